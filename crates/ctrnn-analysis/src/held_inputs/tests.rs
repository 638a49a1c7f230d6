//! Tests of the inputs that are held.

use ctrnn_tasks::{DelayedMatchToSample, PathIntegration, PerceptualDecision, Task};
use ndarray::Array3;

use super::*;
use crate::analyses::observer;

fn held(task: &dyn Task, n_trials: usize) -> (HeldInputs, Vec<Vec<f64>>) {
    let batch = observer::batch(task, n_trials);
    let shape = (batch.n_trials, batch.max_steps, batch.n_outputs);
    let study = observer::study(task, batch, Array3::zeros(shape));
    let shown: Vec<Vec<f64>> = (0..study.batch.n_trials)
        .flat_map(|b| {
            let inputs = study.inputs(b);
            let rows: Vec<Vec<f64>> = inputs.outer_iter().map(|row| row.to_vec()).collect();
            rows
        })
        .collect();
    (
        HeldInputs::of(&study, &HeldOptions::default(), 100).unwrap(),
        shown,
    )
}

/// The median of bumps all round a ring is flat and no stimulus: every input that is held is one that some trial has, and
/// its name says in which direction.
#[test]
fn a_stimulus_on_a_ring_is_that_of_a_trial() {
    let task = DelayedMatchToSample {
        input_noise: 0.0,
        ..DelayedMatchToSample::default()
    };
    let (held, shown) = held(&task, 200);
    for own in &held.inputs {
        let is_shown = |row: &Vec<f64>| {
            let pairs = row.iter().zip(&own.input);
            pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-6)
        };
        assert!(shown.iter().any(is_shown), "{}", own.name);
    }
    let names: Vec<&str> = held.inputs.iter().map(|own| &own.name[..]).collect();
    let of_test = names.iter().filter(|name| name.starts_with("test"));
    assert!(of_test.clone().count() > 0, "{names:?}");
    assert!(of_test.clone().all(|name| name.contains('=')), "{names:?}");
}

/// Velocities change from step to step: no movement is held, and a note says that the inputs change.
#[test]
fn a_walk_is_held_without_movement() {
    let (held, _) = held(&PathIntegration::default(), 60);
    assert_eq!(held.inputs.len(), 1);
    assert_eq!(
        held.inputs[0].name, "walk",
        "no trial, since nothing is held"
    );
    assert_eq!(held.inputs[0].input.to_vec(), [0.0, 0.0]);
    let notes = held.notes.join("\n");
    assert!(notes.contains("the inputs change during walk"), "{notes}");
}

/// Strength and side are one stimulus, signed coherence, which moves the inputs of both sides by half of it.
#[test]
fn signed_evidence_is_one_stimulus() {
    let (held, _) = held(&PerceptualDecision::default(), 200);
    let in_stimulus: Vec<&Stimulus> = held
        .stimuli
        .iter()
        .filter(|stimulus| stimulus.epoch == "stimulus")
        .collect();
    let [coherence] = in_stimulus[..] else {
        panic!("{in_stimulus:?}");
    };
    assert_eq!(coherence.label, "coherence");
    for (change, expected) in coherence.change.iter().zip([0.0, -0.5, 0.5]) {
        assert!((change - expected).abs() < 1e-6, "{}", coherence.change);
    }
}
