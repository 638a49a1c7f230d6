//! Every configuration that we publish trains, and what constrains a network is seen by every command.

use std::fs;
use std::path::{Path, PathBuf};

use ctrnn_files::Array;
use serde_json::json;

use crate::project::Project;

/// A run of three steps.
const SHORT: [&str; 6] = [
    "train.steps=3",
    "train.batch_size=4",
    "train.stop=none",
    "validate.trials=8",
    "validate.every_steps=0",
    "checkpoint.every_steps=0",
];

fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("configs")
}

fn config(name: &str) -> String {
    configs().join(name).display().to_string()
}

#[test]
fn every_published_configuration_trains() {
    let project = Project::new();
    let mut n_trained = 0;
    for entry in fs::read_dir(configs()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let run = path.file_stem().unwrap().to_string_lossy().into_owned();
        let path = path.display().to_string();
        let arguments = [&["train", &path, "--run-dir", &run][..], &SHORT].concat();
        project.run(&arguments).exits(0);
        let weights = project.arrays(&format!("{run}/model/weights.npz"));
        assert!(weights.contains_key("recurrent.weight"), "{run}");
        n_trained += 1;
    }
    assert!(n_trained >= 6, "{n_trained} configurations");
}

#[test]
fn check_sums_up_a_constrained_network() {
    let project = Project::new();
    let found = project
        .run(&["check", &config("dale.toml"), "--json"])
        .exits(0)
        .json();
    let network = &found["network"];
    let radius = network["spectral_radius"].as_f64().unwrap();
    assert!((radius - 1.5).abs() < 1e-5, "{radius}");
    assert!(
        network["largest_imbalance"].as_f64().unwrap() < 1e-5,
        "{network}"
    );
    assert_eq!(network["tau_ms"], json!([100.0, 100.0]));
    let recurrent = &network["parameters"][1];
    assert_eq!(recurrent["name"], "recurrent.weight");
    assert_eq!(
        (&recurrent["count"], &recurrent["free"]),
        (&json!(10000), &json!(9900))
    );
    assert_eq!(recurrent["constraint"], "abs, 9900 of 10000 connections");
    assert!(found["kernel_path"].is_string() && found["state_kib_of_a_trial"].is_number());
    let text = project
        .run(&["check", &config("dale.toml")])
        .exits(0)
        .stdout;
    assert!(text.contains("spectral radius 1.5000"), "{text}");
    assert!(text.contains("abs, 9900 of 10000 connections"), "{text}");
}

/// Delays are in `check`, in the weights and in simulations; what takes the network as a map from state to state says so.
#[test]
fn delays_are_seen_by_every_command() {
    let project = Project::new();
    let path = config("delays.toml");
    let checked = project.run(&["check", &path, "--json"]).exits(0).json();
    let recurrent = &checked["network"]["parameters"][1];
    let constraint = "768 of 1024 connections, delays up to 40 ms";
    assert_eq!(recurrent["constraint"], constraint);
    let arguments = [&["train", &path, "--run-dir", "run"][..], &SHORT].concat();
    project.run(&arguments).exits(0);
    let weights = project.arrays("run/model/weights.npz");
    let delays = weights["recurrent.delay_ms"].to_f64().unwrap();
    assert_eq!(delays.iter().sum::<f64>(), 256.0 * (20.0 + 40.0));
    for analysis in ["fixed_points", "flow", "lyapunov", "currents"] {
        let refused = project.run(&["analyze", "run", analysis, "-o", "found"]);
        refused
            .exits(2)
            .says(&["recurrent connections are delayed"]);
    }
    project
        .run(&["analyze", "run", "spectrum", "-o", "found"])
        .exits(0);
    let simulate = ["simulate", "run", "--trials", "2", "-o", "states.npz"];
    project.run(&simulate).exits(0);
    project
        .run(&[&simulate[..], &["--force", "--silence", "0-3@stimulus"]].concat())
        .exits(2)
        .says(&["error[C036]", "recurrent connections are delayed"]);
}

#[test]
fn a_constrained_run_stopped_and_resumed_equals_an_uninterrupted_one() {
    let project = Project::new();
    let path = config("connectivity_file.toml");
    let train = |run: &str, more: &[&str]| {
        let arguments = [
            &["train", &path, "--run-dir", run][..],
            &SHORT,
            &["train.steps=8"],
            more,
        ]
        .concat();
        let arguments: Vec<&str> = arguments
            .into_iter()
            .filter(|a| *a != "train.steps=3")
            .collect();
        project.run(&arguments)
    };
    train("whole", &[]).exits(0);
    train("parts", &["--max-time", "0s"]).exits(75);
    project.run(&["resume", "parts"]).exits(0);
    project.assert_same_run("whole", "parts");
}

#[test]
fn a_weight_file_that_breaks_a_constraint_is_exit_4() {
    let project = Project::new();
    let weights = vec![0.5; 64]; // units 6 and 7 are inhibitory
    project.write_arrays(
        "w.npz",
        [("recurrent.weight", Array::f32(&[8, 8], weights))],
    );
    project
        .train("run", &["model.dale={}", "model.init.file=w.npz"])
        .exits(4)
        .says(&[
            "w.npz",
            "recurrent.weight",
            "0.5 at [0, 6] has another sign than its presynaptic unit",
        ]);
    assert!(!project.path("run").exists());
}
