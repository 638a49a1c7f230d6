//! Runs that this and earlier versions wrote: every later version reads them, computes the same, and goes on from them.
//!
//! `tests/fixtures/runs` has a folder for each version that wrote one, with its runs and, in plain numbers, what that
//! version found in them. `just fixture` adds that of this version; those that are there are never written again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ctrnn::files::{Array, ArrayData, RunFolder, RunJson, npz};
use ctrnn::runs::Checkpoint;
use serde::{Deserialize, Serialize};

use crate::project::Project;

/// A run of 4 units with something of everything that is kept: 7 steps, stopped between two good states.
const CONFIG: &str = "version = 1
seed = 14

[task.go_nogo]
fixation_ms = 100
stimulus_ms = 200
delay_ms = 100
response_ms = 200

[model]
n_units = 4
tau_ms = { learned = { initial = { uniform = [50, 150] }, bounds = [20, 500] } }
initial_state = 'learned'
dale = { excitatory_fraction = 0.5 }
noise = { preactivation = 0.1 }

[train]
steps = 7
batch_size = 4
log_every = 1
optimizer = { name = 'adam', lr = 0.01 }

[validate]
every_steps = 3
trials = 4

[checkpoint]
every_steps = 5
keep_last = 1
";

/// The runs of a version, by the optimizer, whose states differ.
const RUNS: [(&str, &str); 3] = [
    ("adam", "name='adam'"),
    ("sgd", "name='sgd',momentum=0.9"),
    ("rmsprop", "name='rmsprop'"),
];

/// How far numbers that are computed again may be from those of another machine.
const ROUNDING: f32 = 1e-4;

type Numbers = BTreeMap<String, Vec<f32>>;

/// What the version that wrote a run found in it.
#[derive(Debug, Serialize, Deserialize)]
struct Expected {
    step: u64,
    trials: u64,
    weights: Numbers,
    optimizer: Numbers,
    /// The state to go back to, if it is another one.
    good: Option<(u64, Numbers)>,
    /// Loss and accuracy of `eval`.
    eval: [f32; 2],
    /// Readouts of one trial of each condition.
    outputs: Vec<f32>,
    /// Losses of the steps 1 to 12, of which the last five are made after a resume.
    losses: Vec<f32>,
    /// The weights after step 12.
    weights_at_12: Numbers,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/runs")
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn numbers(tensors: &BTreeMap<String, burn::tensor::TensorData>) -> Numbers {
    let values = tensors.iter();
    values
        .map(|(name, tensor)| (name.clone(), tensor.iter::<f32>().collect()))
        .collect()
}

fn values(arrays: BTreeMap<String, Array>) -> Numbers {
    let values = |array: Array| {
        let values = array.to_f64().expect("numbers");
        values.into_iter().map(|value| value as f32).collect()
    };
    let numbers = arrays
        .into_iter()
        .filter(|(_, array)| !matches!(array.data(), ArrayData::Text(_)));
    numbers.map(|(name, array)| (name, values(array))).collect()
}

/// What this version finds in the run of a project, and makes of it in further steps.
fn found(project: &Project, run: &str) -> Expected {
    let folder = RunFolder::at(project.path(run));
    let last = ctrnn::files::read_pointer(&folder.last()).unwrap();
    let checkpoint = Checkpoint::read(&folder.checkpoint(last)).unwrap();
    let eval = project.run(&["eval", run, "--json"]).exits(0).json();
    let output = format!("{run}.npz");
    project
        .run(&["simulate", run, "--record=outputs", "-o", &output])
        .exits(0);
    let outputs = values(project.arrays(&output)).remove("outputs");
    project.run(&["resume", run, "train.steps=12"]).exits(0);
    let rows = project.metrics(run).into_iter();
    let losses = rows.filter(|row| row["split"] == "train");
    Expected {
        step: checkpoint.counters.step,
        trials: checkpoint.counters.trials,
        weights: numbers(&checkpoint.weights),
        optimizer: numbers(&checkpoint.optimizer),
        good: checkpoint
            .good
            .map(|good| (good.counters.step, numbers(&good.weights))),
        eval: ["loss", "accuracy"].map(|number| eval[number].as_f64().expect("a number") as f32),
        outputs: outputs.expect("it was recorded"),
        losses: losses.map(|row| row["loss"].parse().unwrap()).collect(),
        weights_at_12: values(npz::read(&folder.model_weights_npz()).unwrap()),
    }
}

#[track_caller]
fn assert_close(what: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() <= ROUNDING * expected.abs().max(1.0),
            "{what}: {found}, expected {expected}"
        );
    }
}

#[test]
fn runs_of_every_version_are_read_and_go_on() {
    let versions = fs::read_dir(fixtures()).expect("the fixtures are there");
    let versions: Vec<PathBuf> = versions.map(|entry| entry.unwrap().path()).collect();
    assert!(!versions.is_empty());
    for version in versions {
        let project = Project::new();
        copy_folder(&version, &project.path("runs"));
        for (name, _) in RUNS {
            let run = format!("runs/{name}");
            let what = format!("{name} of {}", version.display());
            project.run(&["ckpt", "verify", &run]).exits(0);
            let expected = project.json(format!("runs/{name}.json"));
            let expected: Expected = serde_json::from_value(expected).unwrap();
            let found = found(&project, &run);
            assert_eq!(
                (found.step, found.trials, &found.good),
                (expected.step, expected.trials, &expected.good),
                "{what}"
            );
            assert_eq!(found.weights, expected.weights, "weights, {what}");
            assert_eq!(found.optimizer, expected.optimizer, "optimizer, {what}");
            assert_close(&format!("eval, {what}"), &found.eval, &expected.eval);
            assert_close(
                &format!("outputs, {what}"),
                &found.outputs,
                &expected.outputs,
            );
            assert_close(&format!("losses, {what}"), &found.losses, &expected.losses);
            let names = |numbers: &Numbers| numbers.keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(&found.weights_at_12), names(&expected.weights_at_12));
            for (tensor, values) in &expected.weights_at_12 {
                let what = format!("{tensor} after resuming, {what}");
                assert_close(&what, &found.weights_at_12[tensor], values);
            }
        }
    }
}

/// Nothing in a fixture tells on which machine it was made.
fn make_anonymous(run: &RunFolder) {
    let mut json = RunJson::load(&run.run_json()).unwrap();
    let (host, pid) = (std::mem::replace(&mut json.host, "lab".into()), json.pid);
    json.pid = 1;
    json.store(run).unwrap();
    let events = fs::read_to_string(run.events()).unwrap();
    let events = events.replace(&format!("\"{host}\""), "\"lab\"");
    let events = events.replace(&format!("\"pid\":{pid}"), "\"pid\":1");
    fs::write(run.events(), events).unwrap();
    fs::remove_dir_all(run.tensorboard()).unwrap();
}

#[test]
#[ignore = "once per version: just fixture"]
fn write_the_fixture() {
    let version = fixtures().join(env!("CARGO_PKG_VERSION"));
    assert!(!version.exists(), "{} is there", version.display());
    let project = Project::new();
    project.write("config.toml", CONFIG);
    for (name, optimizer) in RUNS {
        let optimizer = format!("train.optimizer={{{optimizer},lr=0.01}}");
        project
            .run(&["train", "config.toml", "--run-dir", name, &optimizer])
            .exits(0);
        make_anonymous(&RunFolder::at(project.path(name)));
        copy_folder(&project.path(name), &version.join(name));
        let expected = serde_json::to_string(&found(&project, name)).unwrap();
        fs::write(version.join(format!("{name}.json")), expected + "\n").unwrap();
    }
}
