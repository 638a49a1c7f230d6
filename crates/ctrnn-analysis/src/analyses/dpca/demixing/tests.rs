//! Tests of demixed components, on populations with known axes and against numpy.

use ctrnn_random::{Key, Rng, Stream};

use super::*;
use crate::analyses::synthetic::directions;

fn cosine(a: &Array1<f64>, b: ArrayView1<f64>) -> f64 {
    a.dot(&b).abs() / (a.dot(a) * b.dot(&b)).sqrt()
}

/// A time course, a stimulus and a decision along three directions that are not orthogonal, with noise: the encoders are
/// these directions, and the decoders see one variable each.
#[test]
fn known_axes_are_recovered() {
    let mut axes = directions(3, 40);
    let mixed = &axes.row(1) * 0.6 + &axes.row(2) * 0.8;
    axes.row_mut(2).assign(&mixed);
    let mut rng = Rng::new(Key::new(3, Stream::Eval, 0), 0, 0);
    let values = Array3::from_shape_fn((8, 15, 40), |(cell, t, n)| {
        let (stimulus, decision) = (cell / 2, cell % 2);
        let time = t as f64 / 14.0;
        let weights = [
            4.0 * (5.0 * time).sin(),
            (stimulus as f64 - 1.5) * time,
            (2.0 * decision as f64 - 1.0) * time * time,
        ];
        let signal: f64 = (0..3).map(|k| weights[k] * axes[[k, n]]).sum();
        3.0 + signal + 0.01 * f64::from(rng.normal())
    });
    let averages = Averages {
        n_levels: vec![4, 2],
        values,
    };
    let found = demixed(&averages, &[], 1).unwrap();
    assert_eq!(
        found.marginalisations,
        [vec![], vec![0], vec![1], vec![0, 1]]
    );
    assert!((found.variances.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    for k in 0..3 {
        let own = found
            .components
            .iter()
            .find(|c| c.marginalisation == k)
            .unwrap();
        let cosine = cosine(&own.encoder, axes.row(k));
        assert!(cosine > 0.98, "marginalisation {k}: {cosine}");
        assert!(
            own.shares[k] > 0.98,
            "marginalisation {k}: {:?}",
            own.shares
        );
    }
    assert!(found.variances[3] < 0.01);
}

/// With noise in the trials, cross-validation chooses a regularisation that is not negligible.
#[test]
fn noise_is_regularised() {
    let mut rng = Rng::new(Key::new(4, Stream::Eval, 0), 0, 0);
    let axes = directions(2, 30);
    let mut noisy = |size: f64| Averages {
        n_levels: vec![3],
        values: Array3::from_shape_fn((3, 10, 30), |(cell, t, n)| {
            (cell as f64 - 1.0) * axes[[0, n]]
                + (t as f64).sin() * axes[[1, n]]
                + size * f64::from(rng.normal())
        }),
    };
    let averages = noisy(0.1);
    let splits: Vec<[Averages; 2]> = (0..5).map(|_| [noisy(0.1), noisy(0.5)]).collect();
    let found = demixed(&averages, &splits, 2).unwrap();
    assert!(found.strength > 1e-4, "{}", found.strength);
    let own = found
        .components
        .iter()
        .find(|c| c.marginalisation == 1)
        .unwrap();
    assert!(cosine(&own.encoder, axes.row(0)) > 0.95);
}

/// Reference: tests/golden/make_populations.py, `dpca`.
#[test]
fn components_are_those_of_numpy() {
    let values = Array3::from_shape_fn((6, 5, 4), |(cell, t, n)| {
        ((cell * 20 + t * 4 + n) as f64).powi(2).sin() + (cell as f64 * 0.5 + n as f64).cos()
    });
    let averages = Averages {
        n_levels: vec![2, 3],
        values,
    };
    let found = demixed(&averages, &[], 1).unwrap();
    for (found, expected) in found.variances.iter().zip(NUMPY_VARIANCES) {
        assert!((found - expected).abs() < 1e-9, "{found} {expected}");
    }
    for (set, expected) in NUMPY_EXPLAINED.iter().enumerate() {
        let own = found
            .components
            .iter()
            .find(|c| c.marginalisation == set)
            .unwrap();
        assert!(
            (own.explained - expected).abs() < 1e-6,
            "{} {expected}",
            own.explained
        );
    }
}

const NUMPY_VARIANCES: [f64; 4] = [
    0.106512860431,
    0.431133378276,
    0.231829664139,
    0.230524097153,
];
const NUMPY_EXPLAINED: [f64; 4] = [
    0.089055818395,
    0.477347883575,
    0.129764781951,
    0.156287826522,
];
