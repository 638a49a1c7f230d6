//! Tests of decoding, on synthetic codes.

use ctrnn_random::{Key, Rng, Stream};
use ndarray::Array3;

use super::*;
use crate::analyses::synthetic::{Synthetic, directions};

/// The context is coded along one direction in the first half of a trial and along another in the second: decoders
/// generalise within either half and are at chance in the other.
#[test]
fn a_code_that_switches_does_not_generalise() {
    let mut axes = directions(2, 20);
    let second = &axes.row(1) - &(&axes.row(0) * axes.row(0).dot(&axes.row(1)));
    axes.row_mut(1).assign(&second);
    let context: Vec<f64> = (0..80).map(|b| (b % 2) as f64).collect();
    let mut rng = Rng::new(Key::new(6, Stream::Eval, 0), 0, 0);
    let rates = Array3::from_shape_fn((80, 12, 20), |(b, t, n)| {
        let side = 2.0 * context[b] - 1.0;
        3.0 * side * axes[[t / 6, n]] + 0.5 * f64::from(rng.normal())
    });
    let synthetic = Synthetic::of(&[("context", context)], rates);
    let found = Decoding::compute(&synthetic.study(), &DecodingOptions::default()).unwrap();
    let [decoded] = &found.decoded[..] else {
        panic!("one variable")
    };
    assert_eq!(decoded.name, "context");
    assert_eq!(decoded.classes, ["motion", "colour"]);
    let mean = |rows: std::ops::Range<usize>, columns: std::ops::Range<usize>| {
        decoded.accuracy.slice(s![rows, columns]).mean().unwrap()
    };
    assert!(
        mean(0..6, 0..6) > 0.97 && mean(6..12, 6..12) > 0.97,
        "{}",
        decoded.accuracy
    );
    for off in [mean(0..6, 6..12), mean(6..12, 0..6)] {
        assert!((off - 0.5).abs() < 0.12, "{}", decoded.accuracy);
    }
    assert!(!found.repeats);
}

/// Rates that know nothing of the condition are decoded at chance.
#[test]
fn noise_is_decoded_at_chance() {
    let context: Vec<f64> = (0..120).map(|b| (b % 3) as f64).collect();
    let mut rng = Rng::new(Key::new(7, Stream::Eval, 0), 0, 0);
    let rates = Array3::from_shape_fn((120, 6, 15), |_| f64::from(rng.normal()));
    let synthetic = Synthetic::of(&[("context", context)], rates);
    let found = Decoding::compute(&synthetic.study(), &DecodingOptions::default()).unwrap();
    let accuracy = found.decoded[0].accuracy.mean().unwrap();
    assert!((accuracy - 1.0 / 3.0).abs() < 0.06, "{accuracy}");
}

/// Trials of a class are dealt evenly to the folds.
#[test]
fn folds_hold_every_class() {
    let labels = Labels {
        name: String::new(),
        classes: vec![String::new(); 2],
        trials: (0..25).collect(),
        labels: (0..25).map(|i| usize::from(i >= 10)).collect(),
    };
    let folds = labels.folds(5, 1);
    for fold in 0..5 {
        let own = |class| {
            (0..25)
                .filter(|&i| folds[i] == fold && labels.labels[i] == class)
                .count()
        };
        assert_eq!([own(0), own(1)], [2, 3]);
    }
}
