//! Tests of the efficacy, on synthetic synapses.

use ctrnn_model::{Activation, CtrnnConfig, ShortTermPlasticity};
use ctrnn_random::{Key, Rng, Stream};

use super::*;
use crate::PlasticSynapses;
use crate::analyses::synthetic::Synthetic;

/// Rates that know nothing of the context, and resources that know it: only the efficacies tell.
#[test]
fn a_memory_in_the_synapses_is_decoded_from_them_alone() {
    let context: Vec<f64> = (0..80).map(|b| (b % 2) as f64).collect();
    let mut rng = Rng::new(Key::new(6, Stream::Eval, 0), 0, 0);
    let mut noise =
        |scale: f64| Array3::from_shape_fn((80, 8, 10), |_| scale * f64::from(rng.normal()));
    let rates = noise(1.0);
    let mut resources = noise(0.02) + 0.6;
    for (b, mut trial) in resources.outer_iter_mut().enumerate() {
        trial += 0.2 * (context[b] - 0.5);
    }
    let synthetic = Synthetic::of(&[("context", context)], rates.clone());
    let mut study = synthetic.study();
    let config = CtrnnConfig {
        activation: Activation::Relu,
        short_term_plasticity: Some(ShortTermPlasticity::Half),
        ..CtrnnConfig::new(1, 10, 2)
    };
    study.dynamics.synapses = PlasticSynapses::of(&config);
    study.synapses = Some(SynapseStates {
        utilisation: Array3::from_elem((80, 8, 10), 0.5),
        resources,
    });
    let found = Efficacy::compute(&study, &EfficacyOptions::default()).unwrap();
    let [decoded] = &found.decoded[..] else {
        panic!("one variable: {:?}", found.decoded)
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    assert!(mean(&decoded.efficacy) > 0.95, "{:?}", decoded.efficacy);
    assert!(
        (mean(&decoded.rates) - 0.5).abs() < 0.15,
        "{:?}",
        decoded.rates
    );
    // Half of ten units each; groups by context: u x = 0.5 (0.6 -+ 0.1).
    let kinds: Vec<_> = found
        .kinds
        .iter()
        .map(|kind| (kind.name, kind.n_units))
        .collect();
    assert_eq!(kinds, [("facilitating", 5), ("depressing", 5)]);
    for kind in &found.kinds {
        for (row, expected) in kind.efficacy.outer_iter().zip([0.25, 0.35]) {
            assert!(row.iter().all(|x| (x - expected).abs() < 0.01), "{row}");
        }
    }
    let lines = found.statements();
    assert!(
        lines[0].starts_with("efficacy u x of 5 facilitating units: 0.2"),
        "{lines:?}"
    );
    assert!(
        lines[2].contains("% from the efficacies at the end of the trial (chance 50 %)"),
        "{lines:?}"
    );
}

#[test]
fn a_network_without_plasticity_is_unsuitable() {
    let synthetic = Synthetic::network(4, 6);
    let why = Efficacy::compute(&synthetic.study(), &EfficacyOptions::default()).unwrap_err();
    assert!(
        why.to_string().contains("no short-term plasticity"),
        "{why}"
    );
}
