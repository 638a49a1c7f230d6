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
    assert!((found.noise[[0, 1]] - 0.6).abs() < 0.04, "{}", found.noise);
    assert!(found.noise[[0, 2]].abs() < 0.05, "{}", found.noise);
    assert!(found.noise[[0, 3]].is_nan());
    assert!(found.signal[[0, 1]] < -0.99 && found.signal[[0, 3]] > 0.99);
    assert_eq!(found.counts, [n, 5]);
}

#[test]
fn without_noise_there_are_none() {
    let coh: Vec<f64> = (0..20).map(|b| (b % 2) as f64).collect();
    let rates = Array3::from_shape_fn((20, 1, 3), |(b, _, n)| ((b % 2) * n) as f64);
    let synthetic = Synthetic::of(&[("coh", coh)], rates);
    let why = NoiseCorrelations::compute(&synthetic.study(), &NoOptions::default()).unwrap_err();
    assert!(why.to_string().contains("--noise"), "{why}");
}
