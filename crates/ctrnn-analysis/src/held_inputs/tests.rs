//! Tests of the inputs that are held.

use ctrnn_tasks::{DelayedMatchToSample, PathIntegration, PerceptualDecision, Task};
use ndarray::Array3;

use super::*;
use crate::analyses::observer;
use crate::evidence::column;

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

/// A layer above the first is held at the rates below at the end of each epoch, for each cell of the conditions that have been shown by then:
/// the sample during the delay, and sample and test in the end.
#[test]
fn a_layer_above_is_held_at_the_rates_below() {
    let task = DelayedMatchToSample {
        n_directions: 2,
        ..DelayedMatchToSample::default()
    };
    let batch = observer::batch(&task, 40);
    let shape = (batch.n_trials, batch.max_steps, batch.n_outputs);
    let sample = column(&batch, "sample_deg").unwrap().to_vec();
    let mut study = observer::study(&task, batch, Array3::zeros(shape));
    let rate = |b: usize, t: usize| t as f64 + sample[b] + 0.001 * b as f64;
    study.rates_below = Some(Array3::from_shape_fn((shape.0, shape.1, 3), |(b, t, _)| {
        rate(b, t)
    }));
    let held = HeldInputs::of(&study, &HeldOptions::default(), 100).unwrap();
    let names: Vec<&str> = held.inputs.iter().map(|own| &own.name[..]).collect();
    let of = |epoch: &str| names.iter().filter(|name| name.starts_with(epoch)).count();
    assert_eq!(
        ["fixation", "sample", "delay", "test"].map(of),
        [1, 2, 2, 4],
        "{names:?}"
    );
    for own in &held.inputs {
        let place = &own.places[0];
        assert_eq!(own.input.len(), 3);
        let rows: Vec<f64> = (place.trials.iter())
            .map(|&b| rate(b, steps_of(&study.batch, b, place.epoch).end - 1))
            .collect();
        let [low, high] = [rows[0], rows[rows.len() - 1]];
        assert!(
            (low..=high).contains(&own.input[0]),
            "{} {low} {high}",
            own.input
        );
    }
    assert!(
        held.notes
            .join(" ")
            .contains("the rates of the layer below")
    );
    assert!(
        held.stimuli
            .iter()
            .all(|own| own.epoch != "delay" && own.change.len() == 3)
    );
    let told = held.inputs[0].channels(&study);
    assert!(told.starts_with("mean rate of the layer below"), "{told}");
    study.restrict(&"sample_deg=0".parse().unwrap()).unwrap();
    let rates = study.rates_below.as_ref().unwrap();
    assert_eq!(rates.dim().0, study.batch.n_trials);
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
