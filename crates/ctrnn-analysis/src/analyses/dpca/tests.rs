//! Tests of the choice of factors.

use ndarray::Array3;

use super::*;
use crate::analyses::synthetic::Synthetic;

/// Two conditions with all combinations but one, which is named.
#[test]
fn missing_conditions_are_named() {
    let pairs: Vec<(f64, f64)> = (0..15).map(|b| ((b % 5) as f64, (b / 5) as f64)).collect();
    let kept: Vec<(f64, f64)> = pairs
        .into_iter()
        .filter(|pair| *pair != (2.0, 1.0))
        .collect();
    let a: Vec<f64> = kept.iter().map(|pair| pair.0).collect();
    let context: Vec<f64> = kept.iter().map(|pair| pair.1).collect();
    let rates = Array3::from_shape_fn((14, 4, 3), |(b, t, n)| ((b * 12 + t * 3 + n) as f64).sin());
    let synthetic = Synthetic::of(&[("a", a), ("context", context)], rates);
    let study = synthetic.study();
    let options = DpcaOptions {
        factors: vec!["a".to_owned(), "context".to_owned()],
        ..DpcaOptions::default()
    };
    let why = Dpca::compute(&study, &options).unwrap_err().to_string();
    assert!(
        why.contains("no trial has a = 2, context = colour;"),
        "{why}"
    );
    let found = Dpca::compute(&study, &DpcaOptions::default()).unwrap();
    assert_eq!(found.factors, ["a"]);
    let lines = found.statements();
    assert!(
        lines
            .iter()
            .any(|line| line.contains("context is not a factor")),
        "{lines:?}"
    );
}

/// Scores of the averages are the averages of scores; variances of components add up in their marginalisations.
#[test]
fn scores_are_projections() {
    let stimulus: Vec<f64> = (0..12).map(|b| (b % 3) as f64).collect();
    let rates = Array3::from_shape_fn((12, 5, 4), |(b, t, n)| {
        (b % 3) as f64 * (n as f64).cos() + (t as f64 * 0.7 + n as f64).sin()
    });
    let synthetic = Synthetic::of(&[("stimulus", stimulus)], rates);
    let study = synthetic.study();
    let found = Dpca::compute(&study, &DpcaOptions::default()).unwrap();
    assert!(!found.is_cross_validated);
    assert_eq!(found.n_trials, [4, 4, 4]);
    let first = &found.demixed.components[0];
    let state: Array1<f64> = &study.rates.slice(s![1, 2, ..]) - &found.demixed.mean;
    assert!((state.dot(&first.decoder) - found.scores[[1, 2, 0]]).abs() < 1e-9);
    let whole: f64 = found.demixed.variances.iter().sum();
    assert!((whole - 1.0).abs() < 1e-9, "{whole}");
}
