//! Tests of choice probabilities.

use ndarray::Array3;

use super::*;
use crate::analyses::synthetic::Synthetic;

/// Condition 0 has the rates 1, 2 with the first choice and 2, 3 with the second: 3.5 of 4 pairs. Condition 1 has 5, 6
/// and 1, 7: 2 of 4. The mean is 5.5 of 8 pairs. A unit of the opposite sign has 2.5 of 8.
#[test]
fn areas_by_hand() {
    let rates = [1.0, 2.0, 2.0, 3.0, 5.0, 6.0, 1.0, 7.0];
    let choices = [0, 0, 1, 1, 0, 0, 1, 1];
    let coh: Vec<f64> = (0..8).map(|b| (b / 4) as f64).collect();
    let rates = Array3::from_shape_fn((8, 1, 2), |(b, _, n)| [1.0, -1.0][n] * rates[b]);
    let synthetic = Synthetic::with_choices(&[("coh", coh)], rates, &choices, &[1; 8], 2);
    let options = ChoiceProbabilityOptions {
        trials: 2,
        trials_of_condition: 4,
        permutations: 99,
    };
    let mut study = synthetic.study();
    study.by = vec!["coh".to_owned()];
    let all = ChoiceProbability::compute(&study, &options).unwrap();
    let of_groups = all
        .groups
        .iter()
        .map(|(name, own)| (&name[..], own.as_ref()));
    let of_groups: Vec<(&str, f64)> = of_groups
        .map(|(name, own)| (name, own.expect("both choices").roc_area[0]))
        .collect();
    assert_eq!(of_groups, [("coh = 0", 3.5 / 4.0), ("coh = 1", 2.0 / 4.0)]);
    assert_eq!(all.arrays()["roc_area_by"].shape(), [2, 2]);
    let found = all.all;
    assert_eq!(found.roc_area.to_vec(), [5.5 / 8.0, 2.5 / 8.0]);
    assert_eq!(found.n_trials, [[2, 2], [2, 2]]);
    assert!(found.p.iter().all(|p| *p > 0.05));
    let options = ChoiceProbabilityOptions {
        trials_of_condition: 5,
        ..options
    };
    let why = ChoiceProbability::compute(&study, &options).unwrap_err();
    assert!(why.to_string().contains("5 trials with a choice"), "{why}");
}

/// The choice follows one unit within each of two conditions and ignores the other.
#[test]
fn the_unit_that_decides_is_significant() {
    let n = 60;
    let wave = |b: usize, n: usize| ((b * 37 + n * 11) as f64 * 1.3).sin();
    let rates = Array3::from_shape_fn((n, 1, 2), |(b, _, n)| wave(b, n));
    let choices: Vec<usize> = (0..n).map(|b| usize::from(wave(b, 0) > 0.0)).collect();
    let coh: Vec<f64> = (0..n).map(|b| (b % 2) as f64).collect();
    let synthetic = Synthetic::with_choices(&[("coh", coh)], rates, &choices, &vec![1; n], 2);
    let options = ChoiceProbabilityOptions::default();
    let found = ChoiceProbability::compute(&synthetic.study(), &options)
        .unwrap()
        .all;
    assert!(found.roc_area[0] > 0.99 && found.q[0] < 0.01, "{found:?}");
    assert!(
        (found.roc_area[1] - 0.5).abs() < 0.2 && found.q[1] > 0.05,
        "{found:?}"
    );
}

#[test]
fn without_noise_there_is_none() {
    let rates = Array3::from_elem((20, 2, 3), 0.5);
    let synthetic = Synthetic::of(&[("coh", (0..20).map(|b| (b % 2) as f64).collect())], rates);
    let options = ChoiceProbabilityOptions::default();
    let why = ChoiceProbability::compute(&synthetic.study(), &options).unwrap_err();
    assert!(why.to_string().contains("--noise"), "{why}");
}
