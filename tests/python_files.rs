//! What Python reads. `PYTHON` names the interpreter, `python3` where it is unset.

use std::env;
use std::process::Command;

use crate::project::{Answer, NOISE, Project};

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
starts, ends = states["epoch_steps"][:, :, 0], states["epoch_steps"][:, :, 1]
assert starts.shape == (4, len(states["epoch_names"])) and (ends.max(axis=1) == states["n_steps"]).all()
assert all(str(name) for name in states["choice_names"]) and set(states["choice"]) <= {-1, 0, 1}
assert 0 <= numpy.nanmean(states["correct"]) <= 1 and len(states["unit_names"]) == 8
after_end = numpy.arange(30) >= states["n_steps"][:, None]
assert (numpy.isnan(states["rates"]).all(axis=2) == after_end).all() and not numpy.isnan(states["inputs"]).any()
assert any(line.startswith("rates [trial, time, unit]") for line in states["readme"])
"#;

#[test]
#[ignore = "needs Python with numpy, pandas and safetensors"]
fn python_reads_what_a_run_writes() {
    let project = Project::new();
    project.train("run", &[NOISE, "train.steps=10"]).exits(0);
    project
        .run(&["simulate", "run", "--trials", "4", "-o", "states.npz"])
        .exits(0);

    let status = python()
        .args(["-c", READ_ALL])
        .current_dir(project.path("."))
        .status();
    assert!(status.expect("Python starts").success());
}

/// The table of a sweep in Parquet has types and nulls, and the values of the CSV.
const READ_TABLES: &str = r#"
import pandas, pyarrow.parquet

table = pyarrow.parquet.read_table("t.parquet")
kinds = {field.name: str(field.type) for field in table.schema}
assert kinds["trial"] == kinds["state"] == kinds["model.activation"] == kinds["reason"] == "string", kinds
assert kinds["model.n_units"] == kinds["seed"] == kinds["steps"] == kinds["val_trials"] == "int64", kinds
assert kinds["train.optimizer.lr"] == kinds["best"] == kinds["val_loss"] == "double", kinds
assert kinds["validate.noise"] == "bool", kinds

read, csv = pandas.read_parquet("t.parquet"), pandas.read_csv("t.csv")
assert list(read.columns) == list(csv.columns) and len(read) == 3
for name in csv.columns:
    same = (read[name] == csv[name]) | (read[name].isna() & csv[name].isna())
    assert same.all(), (name, read[name], csv[name])
assert list(read["train.optimizer.lr"]) == [0.01, 0.02, 1e30] and list(read.state) == ["done", "done", "failed"]
assert list(read["model.activation"].isna()) == [False, True, True], read["model.activation"]
assert list(read.val_loss.isna()) == [False, False, True] and "not finite" in read.reason[2]

means = pandas.read_parquet("means.parquet")
assert list(means.done) == [1, 1, 0] and list(means.trials) == [1, 1, 1]
assert means.best_mean[0] == read.best[0] and means.best_sd.isna().all()
"#;

#[test]
#[ignore = "needs Python with pandas and pyarrow"]
fn python_reads_the_table_of_a_sweep() {
    let project = Project::new();
    let base = "version = 1\n[task.go_nogo]\n[model]\nn_units = 8\nnoise.preactivation = 0.1\n[train]\nsteps = 20\nbatch_size = 4\n\
         [validate]\ntrials = 4\nevery_steps = 10\n[checkpoint]\nevery_steps = 10\n";
    project.write("base.toml", base);
    let alternatives = [
        "model.n_units = 6\ntrain.optimizer.lr = 1e-2\nmodel.activation = \"tanh\"\nvalidate.noise = false",
        "model.n_units = 8\ntrain.optimizer.lr = 2e-2\nvalidate.noise = true",
        "train.optimizer.lr = 1e30\nvalidate.noise = true",
    ];
    let list = alternatives
        .map(|keys| format!("[[list]]\n{keys}\n"))
        .concat();
    project.write("s.toml", format!("base = \"base.toml\"\nseeds = 1\n{list}"));
    project.run(&["sweep", "run", "s.toml"]).exits(3);
    for file in ["t.parquet", "t.csv"] {
        project
            .run(&["sweep", "collect", "s.toml", "-o", file])
            .exits(0);
    }
    let means = [
        "sweep",
        "collect",
        "s.toml",
        "--means",
        "-o",
        "means.parquet",
    ];
    project.run(&means).exits(0);
    let mut command = python();
    command
        .args(["-c", READ_TABLES])
        .current_dir(project.path("."));
    assert!(command.status().expect("Python starts").success());
}

/// Every script of `analyze all` draws its figure from the arrays next to it, also after the folder was moved.
#[test]
#[ignore = "needs Python with numpy and matplotlib"]
fn python_draws_every_figure() {
    let project = Project::new();
    project.train("run", &["train.steps=20"]).exits(0);
    project.run(&["analyze", "run", "all"]).exits(0);
    let plot = [
        "plot",
        "run",
        "pca",
        "-o",
        "a b.pdf",
        "--style",
        "width=85,font=7",
    ];
    project.run(&plot).exits(0);
    std::fs::rename(project.path("run/analysis"), project.path("moved")).unwrap();
    let files = |folder: &str, kind: &str| {
        let files = std::fs::read_dir(project.path(folder)).expect("a folder");
        let paths = files.map(|file| file.expect("a file").path());
        let some = paths.filter(|path| path.extension().is_some_and(|end| end == kind));
        some.collect::<Vec<_>>()
    };
    let scripts = [files("moved", "py"), files(".", "py")].concat();
    assert_eq!(files("moved", "py").len(), files("moved", "svg").len());
    assert_eq!(files(".", "py").len(), 2, "pca and its time courses");
    for script in scripts {
        let mut command = python();
        let drawn = command.arg(&script).env("MPLBACKEND", "Agg").output();
        let drawn = drawn.expect("Python starts");
        let said = String::from_utf8_lossy(&drawn.stderr).into_owned();
        assert!(drawn.status.success(), "{}: {said}", script.display());
        let picture = std::fs::read(script.with_extension("png")).expect("a picture");
        assert!(picture.len() > 2000, "{}", script.display());
    }
}

fn python() -> Command {
    Command::new(env::var_os("PYTHON").unwrap_or_else(|| "python3".into()))
}

/// Monitors of a training, recomputed from its checkpoints and states.
#[test]
#[ignore = "needs Python with numpy"]
fn python_recomputes_the_monitors() {
    let project = Project::new();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/monitors.py");
    let mut command = python();
    command.args([script, env!("CARGO_BIN_EXE_train-ctrnn")]);
    let status = command.current_dir(project.path(".")).status();
    assert!(status.expect("Python starts").success());
}

/// Accuracies by two crossed conditions, with and without a perturbation in a window, recomputed from states.
#[test]
#[ignore = "needs Python with numpy"]
fn python_recomputes_the_accuracies_of_eval() {
    let project = Project::new();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/evaluation.py");
    let mut command = python();
    command.args([script, env!("CARGO_BIN_EXE_train-ctrnn")]);
    let status = command.current_dir(project.path(".")).status();
    assert!(status.expect("Python starts").success());
}

/// numpy alone, by `ctrnn_io`, and torch where it is installed, by the exported module: many networks, 1000 time steps each.
#[test]
#[ignore = "needs Python with numpy"]
fn python_computes_what_simulate_does() {
    let project = Project::new();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/agreement.py");
    let mut command = python();
    command.args([script, env!("CARGO_BIN_EXE_train-ctrnn")]);
    let status = command.current_dir(project.path(".")).status();
    assert!(status.expect("Python starts").success());
}

/// Script that asserts that TensorBoard shows the numbers of metrics.csv, also of a run that was resumed, and that its histograms count the weights, and
/// the units by their rates.
const READ_EVENTS: &str = r#"
import csv, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

events = EventAccumulator("run/tb", size_guidance={"scalars": 0, "histograms": 0}).Reload()
found = {(tag, event.step): event.value for tag in events.Tags()["scalars"] for event in events.Scalars(tag)}
expected = {}
with open("run/metrics.csv", newline="") as file:
    for row in csv.DictReader(file):
        step, split = int(row.pop("step")), row.pop("split")
        for name in set(row) - {"wall_s", "trials", "noise"}:
            if row[name]:
                expected[f"{split}/{name}", step] = float(row[name])
assert sorted(found) == sorted(expected), set(found) ^ set(expected)
assert all(abs(found[key] - x) <= 1e-6 * max(1, abs(x)) for key, x in expected.items())
rates = {}
with open("run/units.csv", newline="") as file:
    for row in csv.DictReader(file):
        rates.setdefault(int(row["step"]), []).append(float(row["mean"]))
for event in events.Histograms("rates/mean"):
    found_of_units, expected_of_units = event.histogram_value, rates.pop(event.step)
    assert found_of_units.num == len(expected_of_units) == 8, found_of_units
    for number, value in [("min", min(expected_of_units)), ("max", max(expected_of_units)), ("sum", sum(expected_of_units))]:
        assert abs(getattr(found_of_units, number) - value) <= 1e-9 * max(1, abs(value)), (event.step, number)
    assert sum(found_of_units.bucket) == 8 and len(found_of_units.bucket) == len(found_of_units.bucket_limit)
assert not rates, rates
names = [f"weights/{layer}.weight" for layer in ("input", "recurrent", "output")] + ["rates/mean", "rates/peak"]
assert sorted(events.Tags()["histograms"]) == sorted(names), events.Tags()["histograms"]
assert all(sum(event.histogram_value.bucket) == 64 for event in events.Histograms("weights/recurrent.weight"))
print(len(found), "scalars of", len({tag for tag, _ in found}), "tags")
"#;

#[test]
#[ignore = "needs Python with tensorboard"]
fn python_reads_the_events_of_tensorboard() {
    let project = Project::new();
    project
        .train(
            "run",
            &[
                "train.steps=10",
                "train.loss.rate_l2=0.01",
                "validate.monitors=true",
            ],
        )
        .exits(0);
    // As after a kill between two checkpoints: steps 6 to 10 are done again.
    std::fs::remove_dir_all(project.path("run/checkpoints/step-00000010")).expect("a checkpoint");
    project.run(&["resume", "run", "train.steps=12"]).exits(0);
    let files = std::fs::read_dir(project.path("run/tb"))
        .expect("a folder")
        .count();
    assert_eq!(files, 2, "one for each process");
    let status = python()
        .args(["-c", READ_EVENTS])
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

/// The example of the task `python`: a class makes the trials, the same seed gives the same run, and a resumed run is the same too.
#[test]
#[ignore = "needs Python with numpy"]
fn python_runs_a_class() {
    let project = Project::new();
    let root = env!("CARGO_MANIFEST_DIR");
    let config = format!("{root}/examples/my_task.toml");
    let python = env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let run = |words: &[&str]| -> Answer {
        let mut command = project.command(words);
        command.env("PYTHONPATH", format!("{root}/python"));
        let output = command.env("CTRNN_PYTHON", &python).output();
        output.expect("the program starts").into()
    };
    let train = |folder: &str, further: &[&str]| {
        let every = "validate.every_steps=5";
        let words = ["train", &config, "--run-dir", folder, every];
        run(&[&words, further].concat())
    };
    train("a", &["train.steps=20"]).exits(0);
    train("b", &["train.steps=20", "--max-time", "0s"]).exits(75);
    run(&["resume", "b"]).exits(0);
    project.assert_same_run("a", "b");
    let evaluated = run(&["eval", "a", "--json"]).exits(0).json();
    assert!(evaluated["by"]["coh"].is_object(), "{evaluated}");
    train("c", &["task.python.arguments.noise=\"loud\""])
        .exits(4)
        .says(&["argument 'noise' is 'loud'; expected float"]);
    train("d", &["task.python.class=\"Another\""])
        .exits(4)
        .says(&["no class 'Another' that is a ctrnn.Task; it has StrongerInput"]);
}
