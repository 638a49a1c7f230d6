//! What Python reads. `PYTHON` names the interpreter, `python3` where it is unset.

use std::env;
use std::process::Command;

use crate::project::{NOISE, Project};

/// Reads every file of a run with the library that its users have, and compares the two weight files.
const READ_ALL: &str = r#"
import numpy, pandas, safetensors, safetensors.numpy

metrics = pandas.read_csv("run/metrics.csv")
assert list(metrics[metrics.split == "val"].step) == [5, 10], metrics
assert metrics[metrics.split == "train"].notna().all().all(), metrics

weights = safetensors.numpy.load_file("run/model/weights.safetensors")
same = numpy.load("run/model/weights.npz", allow_pickle=False)
assert sorted(weights) == sorted(same.files)
assert all((weights[name] == same[name]).all() for name in weights)
assert weights["recurrent.weight"].shape == (8, 8)
with safetensors.safe_open("run/model/weights.safetensors", "numpy") as file:
    assert file.metadata()["format"] == "pt"

states = numpy.load("states.npz", allow_pickle=False)
assert states["rates"].shape == (4, 30, 8) and states["rates"].dtype == numpy.float32
assert list(states["t_ms"][:2]) == [20, 40] and states["cond_go"].shape == (4,)
"#;

#[test]
#[ignore = "needs Python with numpy, pandas and safetensors"]
fn python_reads_what_a_run_writes() {
    let project = Project::new();
    project.train("run", &[NOISE, "train.steps=10"]).exits(0);
    project
        .run(&["simulate", "run", "--trials", "4", "-o", "states.npz"])
        .exits(0);

    let python = env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
    let status = Command::new(python)
        .args(["-c", READ_ALL])
        .current_dir(project.path("."))
        .status();
    assert!(status.expect("Python starts").success());
}

/// The example of the task `command`: a Python program makes the trials, and the same seed gives the same run.
#[test]
#[ignore = "needs Python with numpy"]
fn python_makes_the_trials() {
    let project = Project::new();
    let example = |name: &str| format!("{}/examples/{name}", env!("CARGO_MANIFEST_DIR"));
    let python = env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let command = format!("task.command.command=[\"{python}\"]");
    for run in ["a", "b"] {
        let config = example("trials_from_python.toml");
        let train = [
            "train",
            &config,
            "--run-dir",
            run,
            &command,
            "train.steps=20",
        ];
        project.run(&train).exits(0);
    }
    project.assert_same_run("a", "b");
    let evaluated = project.run(&["eval", "a", "--json"]).exits(0).json();
    assert!(evaluated["by"]["coh"].is_object(), "{evaluated}");
}
