//! Tests of the axes of regressors, on populations with known axes.

use ctrnn_random::{Key, Rng, Stream};
use ndarray::{Array1, Array2, Array3};

use super::*;
use crate::analyses::Answer;
use crate::analyses::synthetic::{Synthetic, directions};
use crate::analyses::tdr::{Tdr, TdrOptions};

/// Creates regressors of these names and values, `[trial, regressor]`.
fn columns(names: &[&str], design: &Array2<f64>) -> Vec<Regressor> {
    let column = |(k, name): (usize, &&str)| Regressor {
        label: (*name).to_owned(),
        name: (*name).to_owned(),
        values: design.column(k).to_vec(),
        variable: k,
    };
    names.iter().enumerate().map(column).collect()
}

fn responses(rates: &Array3<f64>) -> Responses {
    let (n_trials, n_steps, _) = rates.dim();
    let all: Vec<usize> = (0..n_trials).collect();
    Responses::of(rates, &vec![n_steps; n_trials], &all, 0.0)
}

fn both_signs() -> Array2<f64> {
    Array2::from_shape_fn((8, 2), |(b, k)| [-1.0, 1.0][(b >> k) & 1])
}

/// Unit 0 follows the first variable, unit 1 the second at the later time; units 2 and 3 are constant. The axes are the
/// units.
#[test]
fn axes_find_the_units_that_carry_a_variable() {
    let design = both_signs();
    let rates = Array3::from_shape_fn((8, 2, 4), |(b, t, n)| match (n, t) {
        (0, _) => 2.0 * design[[b, 0]],
        (1, 1) => 3.0 * design[[b, 1]],
        (_, _) => 1.0,
    });
    let found = regression(
        &responses(&rates),
        design.view(),
        &columns(&["a", "b"], &design),
        2,
        &[0, 0],
    );
    let found = found.unwrap();
    assert!((found.axes[[0, 0]].abs() - 1.0).abs() < 1e-9);
    assert!((found.axes[[1, 1]].abs() - 1.0).abs() < 1e-9);
    assert_eq!(found.peak[1], 1);
    // The z-scored rate of unit 0 is exactly +-1 with the variable.
    assert!((found.coefficients[[0, 0, 0]] - 1.0).abs() < 1e-9);
}

/// Unit 0 follows the choice strongly at the start, by accident, and unit 1 weakly after the onset at step 1: the axis is
/// unit 1.
#[test]
fn an_axis_is_not_taken_before_the_stimulus() {
    let design = both_signs();
    let rates = Array3::from_shape_fn((8, 3, 4), |(b, t, n)| match (n, t) {
        (0, 0) => 9.0 * design[[b, 0]],
        (1, 2) => 0.5 * design[[b, 0]],
        (2, 2) => design[[b, 1]],
        _ => 1.0,
    });
    let names = columns(&["a", "b"], &design);
    let of = |from: &[usize]| {
        let found = regression(&responses(&rates), design.view(), &names, 4, from);
        found.unwrap()
    };
    assert_eq!(of(&[1, 1]).peak, [2, 2]);
    assert!((of(&[1, 1]).axes[[0, 1]].abs() - 1.0).abs() < 1e-9);
    assert_eq!(of(&[9, 9]).peak[1], 2, "no time is left");
}

/// One unit for two variables, equal variables, three trials, silence: none of these has two axes.
#[test]
fn where_there_are_no_axes_it_says_so() {
    let design = both_signs();
    let follows = |gain: f64, n_units: usize| {
        Array3::from_shape_fn((8, 2, n_units), |(b, _, n)| gain * design[[b, n % 2]] + 0.1)
    };
    let of = |rates: &Array3<f64>, design: &Array2<f64>| {
        let names = columns(&["a", "b"], design);
        regression(&responses(rates), design.view(), &names, 12, &[0, 0]).map(|_| ())
    };
    let same = Array2::from_shape_fn((8, 2), |(b, _)| design[[b, 0]]);
    let constant =
        Array2::from_shape_fn((8, 2), |(b, k)| if k == 0 { 1.0 } else { design[[b, 1]] });
    let few = (
        follows(1.0, 4).slice(s![..3, .., ..]).to_owned(),
        design.slice(s![..3, ..]).to_owned(),
    );
    for (rates, design, why) in [
        (follows(1.0, 1), design.clone(), "there is 1"),
        (follows(1.0, 4), same, "`a` and `b` are collinear"),
        (
            follows(1.0, 4),
            constant,
            "`a` has the same value in all trials",
        ),
        (few.0, few.1, "at least 4 trials"),
        (follows(0.0, 4), design.clone(), "do not change with `a`"),
    ] {
        let found = of(&rates, &design).unwrap_err().to_string();
        assert!(found.contains(why), "{found}");
    }
    assert!(of(&follows(1.0, 2), &design).is_ok());
}

/// n1, n2 and n1 - n2: all three are named.
#[test]
fn collinear_regressors_are_refused_by_name() {
    let mut rng = Rng::new(Key::new(1, Stream::Eval, 0), 0, 0);
    let [n1, n2]: [Vec<f64>; 2] =
        [0, 1].map(|_| (0..40).map(|_| f64::from(rng.below(7))).collect());
    let rates = Array3::from_shape_fn((40, 3, 6), |(b, t, n)| {
        n1[b] * (n as f64).sin() + n2[b] * ((n * t) as f64).cos()
    });
    let synthetic = Synthetic::of(&[("n1", n1), ("n2", n2)], rates);
    let options = TdrOptions {
        regressors: ["n1", "n2", "n1-n2"].map(str::to_owned).to_vec(),
        ..TdrOptions::default()
    };
    let why = Tdr::compute(&synthetic.study(), &options)
        .unwrap_err()
        .to_string();
    let expected = "the regressors `n1`, `n2` and `n1-n2` are collinear";
    assert!(why.starts_with(expected), "{why}");
    let options = TdrOptions {
        regressors: vec!["n3".to_owned()],
        ..options
    };
    let why = Tdr::compute(&synthetic.study(), &options)
        .unwrap_err()
        .to_string();
    assert!(why.contains("\"n3\" is not a variable"), "{why}");
}

/// Context, motion and colour of the conditions of a context-dependent decision, and the choice, from 0.
fn context_decision(n_repeats: usize) -> ([Vec<f64>; 3], Vec<usize>) {
    let levels = [-0.5, -0.15, 0.15, 0.5];
    let n = 32 * n_repeats;
    let context: Vec<f64> = (0..n).map(|b| (b % 2) as f64).collect();
    let motion: Vec<f64> = (0..n).map(|b| levels[b / 2 % 4]).collect();
    let colour: Vec<f64> = (0..n).map(|b| levels[b / 8 % 4]).collect();
    let choice = (0..n)
        .map(|b| usize::from([motion[b], colour[b]][b % 2] > 0.0))
        .collect();
    ([context, motion, colour], choice)
}

fn cosine(a: ndarray::ArrayView1<f64>, b: &Array1<f64>) -> f64 {
    a.dot(b) / (a.dot(&a) * b.dot(b)).sqrt()
}

/// A population that encodes choice, motion, colour and context along four directions, with noise and a common time
/// course. The potentials vary in twenty other directions, whose components would remove the axes. Padding holds
/// nonsense.
#[test]
fn known_axes_are_recovered() {
    const N_UNITS: usize = 60;
    const N_STEPS: usize = 20;
    let ([context, motion, colour], choice) = context_decision(8);
    let true_axes = directions(5, N_UNITS);
    let mut rng = Rng::new(Key::new(2, Stream::Eval, 0), 0, 0);
    let n_steps: Vec<usize> = (0..context.len()).map(|b| N_STEPS - b % 3).collect();
    let rates = Array3::from_shape_fn((context.len(), N_STEPS, N_UNITS), |(b, t, n)| {
        if t >= n_steps[b] {
            return 1e6;
        }
        let time = (t + 1) as f64 / N_STEPS as f64;
        let side = 2.0 * choice[b] as f64 - 1.0;
        let weights = [
            side * time,
            2.0 * motion[b] * time,
            2.0 * colour[b] * (1.0 - time),
            2.0 * context[b] - 1.0,
            5.0 * (6.0 * time).sin(),
        ];
        let signal: f64 = (0..5).map(|k| weights[k] * true_axes[[k, n]]).sum();
        signal + 0.05 * f64::from(rng.normal())
    });
    let conditions = [("context", context), ("motion", motion), ("colour", colour)];
    let synthetic = Synthetic::with_choices(&conditions, rates, &choice, &n_steps, N_UNITS);
    let mut study = synthetic.study();
    let nuisance = directions(40, N_UNITS);
    study.potentials = Array3::from_shape_fn(study.rates.dim(), |(b, t, n)| {
        (0..20)
            .map(|k| ((b * 7 + t * 3 + k * 11) as f64).sin() * nuisance[[k + 20, n]])
            .sum()
    });
    let options = TdrOptions {
        smoothing_ms: 0.0,
        ..TdrOptions::default()
    };
    let found = Tdr::compute(&study, &options).unwrap();
    assert_eq!(found.names, ["choice", "motion", "colour", "context"]);
    for k in 0..4 {
        let axis = &true_axes.row(k) / &found.std;
        let found = cosine(found.regression.raw_axes.row(k), &axis);
        assert!(found > 0.98, "axis {k}: {found}");
    }
    let product = found.regression.axes.dot(&found.regression.axes.t());
    assert!(
        (product - Array2::<f64>::eye(4))
            .iter()
            .all(|x| x.abs() < 1e-9)
    );
    // Two contexts with three panels each, in which the irrelevant evidence is divided by choice, too.
    let panels: Vec<(&str, [usize; 2], &str, usize)> = found
        .panels
        .iter()
        .map(|p| (&p.context[..], p.axes, &p.by[..], p.lines.len()))
        .collect();
    let expected = [
        ("context = motion", [1, 0], "motion", 4),
        ("context = motion", [2, 0], "motion", 4),
        ("context = motion", [2, 0], "colour", 8),
        ("context = colour", [1, 0], "motion", 8),
        ("context = colour", [1, 0], "colour", 4),
        ("context = colour", [2, 0], "colour", 4),
    ];
    assert_eq!(panels, expected);
    // The end of a trial is not part of any mean or score.
    assert!(
        found
            .panels
            .iter()
            .flat_map(|p| &p.lines)
            .all(|l| l.values.iter().all(|x| x.abs() < 100.0))
    );
    assert!(
        found.scores[[2, N_STEPS - 1, 0]].is_nan() && found.scores[[0, N_STEPS - 1, 0]].is_finite()
    );
}

/// Nine of thirty trials are longer, and in these the variable is much stronger: the axis is that of the times at which
/// most trials are running.
#[test]
fn the_peak_is_where_enough_trials_are_left() {
    let n_steps: Vec<usize> = (0..30).map(|b| if b < 9 { 10 } else { 6 }).collect();
    let sides: Vec<f64> = (0..30).map(|b| [-1.0, 1.0][b % 2]).collect();
    let other: Vec<f64> = (0..30).map(|b| [-1.0, 0.5, 1.0][b % 3]).collect();
    let rates = Array3::from_shape_fn((30, 10, 3), |(b, t, n)| match n {
        0 => sides[b] * if t == 4 { 2.0 } else { 1.0 },
        1 => other[b] * if t == 2 { 2.0 } else { 1.0 },
        _ if t >= 6 => 50.0 * (sides[b] + other[b]),
        _ => 0.1 * sides[b],
    });
    let conditions = [("a", sides), ("b", other)];
    let synthetic = Synthetic::with_choices(&conditions, rates, &[0; 30], &n_steps, 3);
    let options = TdrOptions {
        smoothing_ms: 0.0,
        ..TdrOptions::default()
    };
    let found = Tdr::compute(&synthetic.study(), &options).unwrap();
    assert_eq!(found.regression.peak, [4, 2]);
    assert!(found.regression.coefficients[[0, 6, 0]].is_nan());
}

/// A condition with three names is a pair of contrasts, not an index.
#[test]
fn categories_are_contrasts() {
    let context: Vec<f64> = (0..30).map(|b| (b % 3) as f64).collect();
    let rates = Array3::from_shape_fn((30, 4, 5), |(b, _, n)| {
        f64::from(u8::from(b % 3 == n)) + 0.01 * ((b * n) as f64).sin()
    });
    let synthetic = Synthetic::of(&[("context", context)], rates);
    let found = Tdr::compute(&synthetic.study(), &TdrOptions::default()).unwrap();
    assert_eq!(found.names, ["context: motion", "context: colour"]);
    // The first contrast raises unit 0 against the mean of units 0 to 2.
    let axis = found.regression.raw_axes.row(0);
    assert!(
        axis[0] > 0.0 && axis[1] < 0.0 && (axis[1] - axis[2]).abs() < 0.05,
        "{axis}"
    );
}

/// Reference: tests/golden/make_populations.py, `tdr`.
#[test]
fn axes_are_those_of_numpy() {
    let wave = |k: usize| (k as f64 * 1.7).sin();
    let design = Array2::from_shape_fn((24, 2), |(b, k)| {
        if k == 0 {
            [-1.0, 1.0][b % 2]
        } else {
            [-1.0, 0.0, 1.0][b / 2 % 3]
        }
    });
    let n_steps: Vec<usize> = (0..24).map(|b| if b < 8 { 7 } else { 5 }).collect();
    let rates = Array3::from_shape_fn((24, 7, 6), |(b, t, n)| {
        design[[b, 0]] * wave(n * 3 + t)
            + design[[b, 1]] * wave(n * 5 + 2 * t + 1)
            + 0.3 * wave(b * 42 + t * 6 + n)
    });
    let all: Vec<usize> = (0..24).collect();
    let responses = Responses::of(&rates, &n_steps, &all, 1.0);
    let names = columns(&["a", "b"], &design);
    let found = regression(&responses, design.view(), &names, 3, &[0, 0]).unwrap();
    assert_eq!(found.peak, NUMPY_PEAKS);
    for (row, expected) in found.axes.outer_iter().zip(NUMPY_AXES) {
        for (found, expected) in row.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-8, "{found} {expected}");
        }
    }
}

const NUMPY_PEAKS: [usize; 2] = [0, 0];
const NUMPY_AXES: [[f64; 6]; 2] = [
    [
        0.4073468856,
        -0.3160432166,
        -0.5240416875,
        -0.1389155102,
        0.4238139484,
        0.5105386645,
    ],
    [
        0.5576199258,
        -0.2019127958,
        -0.0792476742,
        0.6486151679,
        -0.4614043174,
        -0.0917358569,
    ],
];
