//! Networks of several layers through the program: training, resuming, simulation, export and analyses.

use crate::project::Project;

const STACK: &str = r#"
version = 1
seed = 1
[task.perceptual_decision]
fixation_ms = 40
stimulus_ms = 100
response_ms = 60
[[model.layer]]
n_units = 10
tau_ms = 40
noise = { preactivation = 0.05 }
initial_state = "carry"
[[model.layer]]
n_units = 8
dale = { excitatory_fraction = 0.75 }
positive_input = true
[train]
steps = 6
batch_size = 4
log_every = 1
[validate]
every_steps = 3
trials = 20
[checkpoint]
every_steps = 2
"#;

fn trained() -> Project {
    let project = Project::new();
    project.write("stack.toml", STACK);
    let run = ["train", "stack.toml", "--run-dir", "run"];
    project.run(&run).exits(0);
    project
}

#[test]
fn a_stack_that_is_resumed_is_the_one_that_was_never_stopped() {
    let project = trained();
    let short = ["train", "stack.toml", "train.steps=3", "--run-dir", "parts"];
    project.run(&short).exits(0);
    project.run(&["resume", "parts", "train.steps=6"]).exits(0);
    project.assert_same_run("run", "parts");
}

#[test]
fn a_stack_is_checked_simulated_exported_and_explained() {
    let project = trained();
    project.run(&["check", "stack.toml"]).exits(0);
    project.run(&["config", "explain", "model.layer"]).exits(0);
    project.run(&["eval", "run"]).exits(0);
    project
        .run(&["simulate", "run", "-o", "states.npz"])
        .exits(0);
    for to in ["npz", "safetensors", "torch"] {
        project
            .run(&["export", "run", "--to", to, "-o", to])
            .exits(0);
    }
    project
        .run(&["plot", "run", "weights", "-o", "weights.svg"])
        .exits(0);
    project
        .run(&["report", "run", "-o", "report.html"])
        .exits(0);
}

/// Every analysis works on every layer; for one above the first, the rates of the layer below are its inputs.
#[test]
fn each_layer_is_analysed() {
    let project = trained();
    project.run(&["analyze", "run", "all"]).exits(0);
    project
        .run(&[
            "analyze",
            "run",
            "fixed_points",
            "flow",
            "lyapunov",
            "spectrum",
        ])
        .exits(0)
        .says(&[
            "mean rate of the layer below",
            "rates of the layer below, held as they are at the end",
        ]);
    project
        .run(&["analyze", "run", "all", "--layer", "0"])
        .exits(0);
    let first = ["analyze", "run", "fixed_points", "flow", "--layer", "0"];
    project.run(&first).exits(0);
    project
        .run(&["analyze", "run", "pca", "--layer", "2"])
        .exits(2)
        .says(&["layers: 0 to 1"]);
}

/// A perturbation names the layer of its units; without one it is the last.
#[test]
fn a_layer_is_perturbed() {
    let project = trained();
    let rates = |to: &str, perturbation: &[&str]| {
        let words = [
            &["simulate", "run", "--trials", "4", "-o", to][..],
            perturbation,
        ]
        .concat();
        project.run(&words).exits(0);
        let states = project.arrays(to);
        let all = |name: &str| states[name].to_f64().unwrap();
        [all("layers.0.rates"), all("rates")]
    };
    let intact = rates("intact.npz", &[]);
    let first = rates("first.npz", &["--silence", "layers.0.all"]);
    assert!(first[0].iter().all(|rate| *rate == 0.0 || rate.is_nan()));
    assert_ne!(first[1], intact[1]);
    let last = rates("last.npz", &["--silence", "all"]);
    assert_eq!(format!("{:?}", last[0]), format!("{:?}", intact[0])); // NaN after the end of a trial
    assert!(last[1].iter().all(|rate| *rate == 0.0 || rate.is_nan()));
    project
        .run(&["eval", "run", "--lesion", "layers.5.0"])
        .exits(2)
        .says(&["there is no layer 5", "layers: 0 to 1"]);
    let of_first = [
        "analyze",
        "run",
        "spectrum",
        "--layer",
        "0",
        "--lesion",
        "layers.0.3",
    ];
    project.run(&of_first).exits(0);
}
