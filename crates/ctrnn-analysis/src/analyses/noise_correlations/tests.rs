//! Tests of noise correlations.

use ctrnn_random::{Key, Rng, Stream};
use ndarray::Array3;

use super::*;
use crate::analyses::synthetic::Synthetic;

/// Units 0 and 1 share noise with a correlation of 0.6 and are tuned oppositely; unit 2 has noise of its own; unit 3 has
/// none.
#[test]
fn a_known_covariance_is_found() {
    let n = 3000;
    let coh: Vec<f64> = (0..n).map(|b| (b % 5) as f64).collect();
    let mut rng = Rng::new(Key::new(8, Stream::Eval, 0), 0, 0);
    let noise: Vec<[f64; 3]> = (0..n)
        .map(|_| [0; 3].map(|_| f64::from(rng.normal())))
        .collect();
    let rates = Array3::from_shape_fn((n, 1, 4), |(b, _, unit)| {
        let [shared, own, other] = noise[b];
        match unit {
            0 => shared + 3.0 * coh[b],
            1 => 2.0 * (0.6 * shared + 0.8 * own) - 5.0 * coh[b],
            2 => other,
            _ => coh[b],
        }
    });
    let synthetic = Synthetic::of(&[("coh", coh)], rates);
    let found = NoiseCorrelations::compute(&synthetic.study(), &NoOptions::default()).unwrap();
    assert!(found.groups.is_empty());
    let found = found.all;
    assert!((found.noise[[0, 1]] - 0.6).abs() < 0.04, "{}", found.noise);
    assert!(found.noise[[0, 2]].abs() < 0.05, "{}", found.noise);
    assert!(found.noise[[0, 3]].is_nan());
    assert!(found.signal[[0, 1]] < -0.99 && found.signal[[0, 3]] > 0.99);
    assert_eq!(found.counts, [n, 5]);
}

/// With two conditions every signal correlation would be -1 or 1: there is none, and no panel for it.
#[test]
fn two_conditions_have_no_signal_correlation() {
    let wave = |b: usize, n: usize| ((b * 37 + n * 11) as f64 * 1.3).sin();
    let coh: Vec<f64> = (0..20).map(|b| (b % 2) as f64).collect();
    let rates = Array3::from_shape_fn((20, 1, 3), |(b, _, n)| wave(b, n) + (b % 2) as f64);
    let synthetic = Synthetic::of(&[("coh", coh)], rates);
    let found = NoiseCorrelations::compute(&synthetic.study(), &NoOptions::default()).unwrap();
    assert!(found.all.noise[[0, 1]].is_finite());
    assert!(found.all.signal.iter().all(|x| x.is_nan()));
    let said = found.statements().join("\n");
    assert!(
        said.contains("at least 3 conditions; there are 2"),
        "{said}"
    );
    assert!(!found.figures()[0].1.to_svg().contains("signal correlation"));
}

/// Units 0 and 1 have the same deviations in the context of motion and opposite ones in that of colour; together they are
/// uncorrelated.
#[test]
fn each_group_of_by_has_its_own() {
    let wave = |b: usize| ((b * 37) as f64 * 1.3).sin();
    let context: Vec<f64> = (0..40).map(|b| (b % 2) as f64).collect();
    let rates = Array3::from_shape_fn((40, 1, 2), |(b, _, unit)| match unit {
        0 => wave(b / 2),
        _ => wave(b / 2) * [1.0, -1.0][b % 2],
    });
    let synthetic = Synthetic::of(&[("context", context)], rates);
    let mut study = synthetic.study();
    study.by = vec!["context".to_owned()];
    let found = NoiseCorrelations::compute(&study, &NoOptions::default()).unwrap();
    assert!(found.all.noise[[0, 1]].abs() < 1e-9);
    let of_groups: Vec<f64> = found
        .groups
        .iter()
        .map(|(_, own)| own.noise[[0, 1]])
        .collect();
    assert!((of_groups[0] - 1.0).abs() < 1e-9 && (of_groups[1] + 1.0).abs() < 1e-9);
    assert_eq!(found.groups[1].0, "context = colour");
    let arrays = found.arrays();
    assert_eq!(arrays["noise_correlation_by"].shape(), [2, 2, 2]);
    assert!(found.figures()[0].1.to_svg().contains(">context = motion;"));
}

#[test]
fn without_noise_there_are_none() {
    let coh: Vec<f64> = (0..20).map(|b| (b % 2) as f64).collect();
    let rates = Array3::from_shape_fn((20, 1, 3), |(b, _, n)| ((b % 2) * n) as f64);
    let synthetic = Synthetic::of(&[("coh", coh)], rates);
    let why = NoiseCorrelations::compute(&synthetic.study(), &NoOptions::default()).unwrap_err();
    assert!(why.to_string().contains("--noise"), "{why}");
}
