//! `analyze`, `plot`, `report` and perturbed simulations on real runs; the fixed points of a trained network.

use ctrnn::analysis::{Dynamics, Search, fixed_points};
use ctrnn::model::{Activation, Form};
use ctrnn_files::{Array, npz};
use ndarray::{Array1, Array2};

use crate::project::Project;

/// What every run of a task with choices has.
const ALWAYS: [&str; 8] = [
    "curves",
    "accuracy",
    "pca",
    "fixed_points",
    "lyapunov",
    "spectrum",
    "rates",
    "weights",
];

fn run() -> Project {
    let project = Project::new();
    project.train("run", &["train.steps=10"]).exits(0);
    project
}

#[test]
fn every_analysis_writes_arrays_and_figures() {
    let project = run();
    let answer = project
        .run(&[
            "analyze", "run", "all", "-o", "found", "--trials", "60", "--json",
        ])
        .exits(0);
    let found = answer.json();
    let analyses = found["analyses"].as_object().unwrap();
    for name in ALWAYS {
        assert!(
            analyses.contains_key(name),
            "{name} is not among {:?}",
            analyses.keys()
        );
    }
    for (name, analysis) in analyses {
        let arrays = npz::read(&project.path(format!("found/{name}.npz"))).unwrap();
        assert!(!arrays.is_empty(), "{name}");
        let figures: Vec<&str> = analysis["files"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|file| file.as_str())
            .filter(|file| file.ends_with(".svg"))
            .collect();
        assert!(!figures.is_empty(), "{name}");
        for figure in figures {
            let svg = project.text(figure);
            assert!(
                svg.contains("</text>") && svg.len() < 3_000_000,
                "{figure}: {} bytes",
                svg.len()
            );
        }
    }
}

#[test]
fn an_analysis_that_does_not_suit_says_why() {
    let project = run();
    project
        .run(&["analyze", "run", "rate_maps", "-o", "found"])
        .exits(2)
        .says(&["error[C034]", "nobody moves through a box", "help:"]);
    project
        .run(&["analyze", "run", "pcaa", "-o", "found"])
        .exits(2)
        .says(&["error[C033]", "\"pcaa\" is not an analysis", "pca,"]);
    assert!(!project.path("found").exists());
}

#[test]
fn a_figure_has_its_arrays_beside_it() {
    let project = run();
    project
        .run(&["plot", "run", "weights", "-o", "w.png", "--trials", "20"])
        .exits(0);
    assert!(
        std::fs::read(project.path("w.png"))
            .unwrap()
            .starts_with(b"\x89PNG")
    );
    assert!(
        npz::read(&project.path("w.npz"))
            .unwrap()
            .contains_key("recurrent_sorted")
    );
    project
        .run(&["plot", "run", "pca", "-o", "w.pdf"])
        .exits(2)
        .says(&["C031"]);
}

#[test]
fn a_report_is_one_page_without_scripts() {
    let project = run();
    project.run(&["report", "run", "--trials", "40"]).exits(0);
    let page = project.text("run/report.html");
    for part in [
        "<!DOCTYPE html>",
        "How to reproduce",
        "<svg",
        "n_units = 8",
        "fixed points",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("<script") && !page.contains("http-equiv"));
    let links = page.matches("http").count();
    assert_eq!(
        links,
        page.matches("http://www.w3.org/2000/svg").count(),
        "nothing is loaded from elsewhere"
    );
}

/// 130 trials are written in three pieces; what is recorded does not change what happens.
#[test]
fn simulations_are_streamed_and_perturbed() {
    let project = run();
    project
        .run(&[
            "simulate", "run", "--trials", "130", "--noise", "-o", "all.npz",
        ])
        .exits(0);
    project
        .run(&[
            "simulate", "run", "--trials", "5", "--noise", "-o", "few.npz",
        ])
        .exits(0);
    let read = |name: &str| project.arrays(name);
    let (all, few) = (read("all.npz"), read("few.npz"));
    assert_eq!(all["rates"].shape()[0], 130);
    let trial = |arrays: &std::collections::BTreeMap<String, Array>, b: usize| {
        let [_, steps, units] = arrays["rates"].shape()[..] else {
            panic!("three dimensions")
        };
        arrays["rates"].to_f32().unwrap()[b * steps * units..(b * steps + 5) * units].to_vec()
    };
    assert_eq!(trial(&all, 4), trial(&few, 4));
    project
        .run(&[
            "simulate",
            "run",
            "--record",
            "rates",
            "--clamp",
            "3=0.25",
            "--lesion",
            "5-6",
            "--current",
            "0@0..100=1",
            "-o",
            "held.npz",
        ])
        .exits(0);
    let held = read("held.npz");
    assert!(!held.contains_key("potentials") && held.contains_key("t_ms"));
    let rates = held["rates"].to_f32().unwrap();
    assert!(rates.chunks_exact(8).all(|row| row[3] == 0.25));
    project
        .run(&["simulate", "run", "--lesion", "8", "-o", "no.npz"])
        .exits(2)
        .says(&["C036", "there is no unit 8"]);
}

/// 8192 trials of 120 time steps are 100 MB with their states, 20 MB without; they need no more memory than
/// 64 of them, and trial b is the same among few and among many.
#[test]
#[cfg(target_os = "linux")]
fn memory_does_not_grow_with_trials() {
    let project = run();
    let long = "task.go_nogo.stimulus_ms=2000";
    let simulate = |trials: &str, file: &str| {
        let simulate = ["simulate", "run", long, "--trials", trials, "-o", file];
        crate::project::peak_kilobytes(&mut project.command(&simulate))
    };
    let (few, many) = (simulate("64", "few.npz"), simulate("8192", "many.npz"));
    assert!(
        few > 0 && many < few + 8192,
        "{few} kB for 64 trials, {many} kB for 8192"
    );
    let (few, many) = (project.arrays("few.npz"), project.arrays("many.npz"));
    for name in ["inputs", "targets", "mask", "outputs", "cond_go"] {
        assert_eq!(many[name].shape()[0], 8192, "{name}");
        assert_eq!(few[name], many[name].rows(0..64), "{name}");
    }
}

/// A network of 24 units, trained by
///
/// ```text
/// train-ctrnn train configs/tasks/flip_flop.toml model.n_units=24 '~train.stop' train.steps=3000
/// ```
///
/// remembers three bits in eight stable points at the corners of a cube, and has no others.
#[test]
fn a_flip_flop_has_eight_stable_points() {
    let weights = npz::read(std::path::Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/flip_flop.npz"
    )))
    .unwrap();
    let values = |name: &str| weights[name].to_f64().unwrap();
    let matrix = |name: &str| {
        let shape = weights[name].shape();
        Array2::from_shape_vec((shape[0], shape[1]), values(name)).unwrap()
    };
    let n = 24;
    let network = Dynamics {
        w_in: matrix("input.weight"),
        w_rc: matrix("recurrent.weight"),
        bias: values("recurrent.bias").into(),
        w_out: matrix("output.weight"),
        bias_out: values("output.bias").into(),
        gain: Array1::from_elem(n, 0.2),
        tau_ms: Array1::from_elem(n, 100.0),
        dt_ms: 20.0,
        form: Form::Voltage,
        activation: Activation::Tanh,
        input_baseline: 0.0,
        rectifies_inputs: false,
    };
    let silence = network.input_drive(&Array1::zeros(3));
    // From where pulses of every pattern leave the network, a little moved each time.
    let start = |k: usize| {
        let pulse = Array1::from_shape_fn(3, |bit| if k >> bit & 1 == 0 { -1.0 } else { 1.0 });
        let drive = network.input_drive(&pulse);
        let after_pulse = (0..5).fold(Array1::zeros(n), |state, _| network.next(&state, &drive));
        after_pulse.mapv(|v: f64| v * (0.3 + 0.1 * (k / 8) as f64))
    };
    let starts = Array2::from_shape_fn((64, n), |(k, unit)| start(k)[unit]);
    let found = fixed_points(&network, &silence, starts.view(), &Search::default()).unwrap();
    let stable: Vec<Vec<f64>> = found
        .iter()
        .filter(|point| point.is_fixed && point.is_stable())
        .map(|point| network.readout(&point.state).to_vec())
        .collect();
    assert_eq!(stable.len(), 8, "{stable:.2?}");
    assert!(found.iter().all(|point| point.q < 1e-18));
    for corner in 0..8 {
        let is_there = |readout: &&Vec<f64>| {
            (0..3).all(|bit| {
                (readout[bit] - if corner >> bit & 1 == 0 { -1.0 } else { 1.0 }).abs() < 0.1
            })
        };
        assert_eq!(
            stable.iter().filter(is_there).count(),
            1,
            "corner {corner}: {stable:.2?}"
        );
    }
}
