//! The initial factors, and the weights of a network of low rank on their way out and in.

use burn::tensor::Tensor;
use burn_ndarray::NdArray;

use super::*;
use crate::{CtrnnModule, FactorInit, Forward, FullMatrix, Record, RecurrenceBackend};

type F64 = NdArray<f64>;

fn network(rank: usize, change: impl FnOnce(&mut LowRank)) -> CtrnnConfig {
    let mut factors = LowRank {
        rank,
        ..LowRank::default()
    };
    change(&mut factors);
    CtrnnConfig {
        low_rank: Some(factors),
        activation: crate::Activation::Tanh,
        ..CtrnnConfig::new(2, 60, 2)
    }
}

fn numbers(weights: &Weights, name: &str) -> Vec<f64> {
    weights[name].iter().collect()
}

/// `sum over units of a[unit, i] b[unit, j] / n`, for matrices of these numbers of columns.
fn overlap(a: (&[f64], usize, usize), b: (&[f64], usize, usize)) -> f64 {
    let column = |(values, width, k): (&[f64], usize, usize)| -> Vec<f64> {
        values.iter().skip(k).step_by(width).copied().collect()
    };
    let (a, b) = (column(a), column(b));
    a.iter().zip(&b).map(|(a, b)| a * b).sum::<f64>() / a.len() as f64
}

/// 60 normals have the mean square 1 up to 0.18 (standard error); both factors and both columns are drawn apart.
#[test]
fn factors_are_drawn_as_independent_normals() {
    let config = network(2, |_| {});
    let weights = crate::init::draw(&config, 3).unwrap();
    let [left, right] = ["recurrent.left", "recurrent.right"].map(|name| numbers(&weights, name));
    assert!(!weights.contains_key("recurrent.weight"));
    for (a, b, same) in [
        (&left, &left, true),
        (&right, &right, true),
        (&left, &right, false),
    ] {
        for (i, j) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let expected = if same && i == j { 1.0 } else { 0.0 };
            let found = overlap((a, 2, i), (b, 2, j));
            assert!((found - expected).abs() < 0.6, "{found} for {i}, {j}");
        }
    }
    let narrow = network(2, |f| (f.init.left_std, f.init.right_std) = (0.5, 2.0));
    let scaled = crate::init::draw(&narrow, 3).unwrap();
    let scaled = numbers(&scaled, "recurrent.left");
    assert!(
        scaled
            .iter()
            .zip(&left)
            .all(|(a, b)| (a - 0.5 * b).abs() < 1e-12)
    );
}

#[test]
fn overlaps_are_exactly_those_asked_for() {
    let config = network(2, |f| {
        f.init = FactorInit {
            left_std: 1.5,
            right_std: 2.0,
            overlap: Some(vec![vec![1.2, -0.3], vec![0.0, 0.8]]),
            input_overlap: Some(vec![vec![0.4, 0.0], vec![0.0, -0.2]]),
            output_overlap: Some(vec![vec![1.0, 0.5], vec![-2.0, 0.0]]),
        };
    });
    let weights = crate::init::draw(&config, 8).unwrap();
    let [left, right, w_in, w_out] = [
        "recurrent.left",
        "recurrent.right",
        "input.weight",
        "output.weight",
    ]
    .map(|name| numbers(&weights, name));
    let readouts: Vec<f64> = (0..120).map(|k| 60.0 * w_out[k % 2 * 60 + k / 2]).collect();
    let init = config.low_rank.unwrap().init;
    for i in 0..2 {
        assert!((overlap((&left, 2, i), (&left, 2, i)) - 2.25).abs() < 1e-9);
        assert!((overlap((&right, 2, i), (&right, 2, i)) - 4.0).abs() < 1e-9);
        for j in 0..2 {
            for (found, asked) in [
                (overlap((&left, 2, i), (&right, 2, j)), &init.overlap),
                (overlap((&right, 2, i), (&w_in, 2, j)), &init.input_overlap),
                (
                    overlap((&left, 2, i), (&readouts, 2, j)),
                    &init.output_overlap,
                ),
            ] {
                let asked = asked.as_ref().unwrap()[i][j];
                assert!((found - asked).abs() < 1e-9, "{found} is not {asked}");
            }
        }
    }
}

/// The right vector of an overlap 2 with a left one of mean square 1 has at least the standard deviation 2: that of 2 m.
#[test]
fn an_overlap_needs_long_enough_vectors() {
    let asked = |std: f64| {
        network(1, |f| {
            f.init.overlap = Some(vec![vec![2.0]]);
            f.init.right_std = std;
        })
    };
    assert!(crate::init::draw(&asked(2.5), 1).is_ok());
    match crate::init::draw(&asked(1.0), 1) {
        Err(ModelError::Overlap {
            factor: "right",
            dimension: 0,
            std: 1.0,
            least,
        }) => {
            assert!((least - 2.0).abs() < 1e-9, "{least}");
        }
        other => panic!("{other:?}"),
    }
    let exact = crate::init::draw(&asked(2.0), 1).unwrap();
    let [left, right] = ["recurrent.left", "recurrent.right"].map(|name| numbers(&exact, name));
    assert!(
        left.iter()
            .zip(&right)
            .all(|(m, n)| (2.0 * m - n).abs() < 1e-9)
    );
}

/// A full matrix of gain g is g times what the distribution draws, and keeps its draws.
#[test]
fn a_gain_scales_the_full_matrix() {
    let full = |gain: f64| {
        let config = network(1, |f| (f.full, f.gain) = (FullMatrix::Fixed, gain));
        numbers(
            &crate::init::draw(&config, 2).unwrap(),
            "recurrent.weight_raw",
        )
    };
    let (one, some) = (full(1.0), full(0.6));
    assert!(
        one.iter()
            .zip(&some)
            .all(|(a, b)| (0.6 * a - b).abs() < 1e-12)
    );
    let plain = crate::init::draw(&CtrnnConfig::new(2, 60, 2), 2).unwrap();
    assert_eq!(one, numbers(&plain, "recurrent.weight"));
}

/// Returns the largest difference between the states of a network of factors and of one with the full matrix that its weight file
/// holds, over the largest state.
fn difference_from_materialised<B: RecurrenceBackend>(full: FullMatrix, rank: usize) -> f64 {
    let config = network(rank, |f| f.full = full);
    let device = Default::default();
    let thin = config.init::<B>(4, &device).unwrap();
    let mut weights = thin.weights();
    weights.retain(|name, _| {
        !["recurrent.left", "recurrent.right", "recurrent.weight_raw"].contains(&&name[..])
    });
    let config = config.unconstrained();
    let whole = CtrnnModule::<B>::from_weights(&config, &weights, &device).unwrap();
    let forward = Forward {
        record: Record::ALL,
        ..Forward::default()
    };
    let ones = TensorData::new(vec![1.0; 300], [3, 50, 2]);
    let inputs: Tensor<B, 3> = crate::host_tensor(ones, &device);
    let [a, b] = [thin, whole].map(|network| {
        let states = network.forward(inputs.clone(), &forward);
        states
            .potentials
            .unwrap()
            .to_data()
            .iter::<f64>()
            .collect::<Vec<f64>>()
    });
    let largest = b.iter().fold(1.0_f64, |m, x| m.max(x.abs()));
    let differences = a.iter().zip(&b).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f64::max) / largest
}

/// In single precision the file rounds each entry of the matrix, a sum of `rank` products, and the network passes that on for 50 steps.
#[test]
fn factors_have_the_states_of_their_materialised_matrix() {
    for full in FullMatrix::ALL {
        for (rank, limit) in [(1, 1e-6), (2, 1e-6), (60, 5e-6)] {
            let double = difference_from_materialised::<NdArray<f64>>(full, rank);
            assert!(double < 1e-12, "{double}: {full}, rank {rank}");
            let single = difference_from_materialised::<NdArray<f32>>(full, rank);
            assert!(single < limit, "{single}: {full}, rank {rank}");
        }
    }
}

#[test]
fn parameters_are_the_factors_and_the_full_matrix() {
    let names = |config: &CtrnnConfig| -> Vec<String> {
        let trained = config
            .parameters()
            .into_iter()
            .filter(|spec| spec.is_trained);
        trained.map(|spec| spec.parameter.name()).collect()
    };
    let common = |recurrent: &[&'static str]| -> Vec<&'static str> {
        let others = [
            "recurrent.bias",
            "output.weight",
            "output.bias",
            "initial_state",
        ];
        [&["input.weight"], recurrent, &others].concat()
    };
    let alone = network(2, |_| {});
    assert_eq!(
        names(&alone),
        common(&["recurrent.left", "recurrent.right"])
    );
    let both = network(2, |f| f.full = FullMatrix::Trained);
    let all = ["recurrent.weight", "recurrent.left", "recurrent.right"];
    assert_eq!(names(&both), common(&all));
    assert_eq!(
        names(&CtrnnConfig::new(2, 5, 2)),
        common(&["recurrent.weight"])
    );
    let held = network(2, |f| {
        (f.full, f.train) = (FullMatrix::Fixed, vec![Factor::Left]);
    });
    let frozen = |name: &str| {
        let all = held.parameters().into_iter().map(|spec| spec.parameter);
        all.filter(|p| p.name() == name).any(|p| held.is_frozen(p))
    };
    assert_eq!(all.map(frozen), [true, false, true]);
}

/// Weight files hold the factors and the effective matrix; those of one network make another one the same.
#[test]
fn weights_hold_the_factors_and_their_product() {
    for full in FullMatrix::ALL {
        let config = network(3, |f| f.full = full);
        let device = Default::default();
        let a = config.init::<F64>(1, &device).unwrap();
        let weights = a.weights();
        let has_full = full != FullMatrix::None;
        assert_eq!(weights.contains_key("recurrent.weight_raw"), has_full);
        let [left, right, effective] = ["recurrent.left", "recurrent.right", "recurrent.weight"]
            .map(|name| numbers(&weights, name));
        for k in [0, 61, 3599] {
            let (post, pre) = (k / 60, k % 60);
            let product = (0..3).map(|r| left[3 * post + r] * right[3 * pre + r] / 60.0);
            let raw = has_full.then(|| numbers(&weights, "recurrent.weight_raw")[k]);
            let expected = product.sum::<f64>() + raw.unwrap_or(0.0);
            assert!((effective[k] - expected).abs() < 1e-12);
        }
        let b = config.init::<F64>(2, &device).unwrap();
        assert_eq!(b.with_weights(&weights).unwrap().weights(), weights);
        let one: Weights = [(
            "recurrent.left".to_owned(),
            weights["recurrent.left"].clone(),
        )]
        .into();
        let c = config
            .init::<F64>(2, &device)
            .unwrap()
            .with_weights(&one)
            .unwrap()
            .weights();
        assert_eq!(c["recurrent.left"], weights["recurrent.left"]);
        assert_ne!(c["recurrent.right"], weights["recurrent.right"]);
    }
}

#[test]
fn weights_that_contradict_the_factors_are_refused() {
    let device = Default::default();
    let refused = |config: &CtrnnConfig, change: &dyn Fn(&mut Weights), expected: &str| {
        let mut weights = config.init::<F64>(1, &device).unwrap().weights();
        change(&mut weights);
        let error = CtrnnModule::<F64>::from_weights(config, &weights, &device).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    let (alone, both) = (
        network(2, |_| {}),
        network(2, |f| f.full = FullMatrix::Trained),
    );
    let change = |weights: &mut Weights, name: &str| {
        let values = weights.get_mut(name).unwrap();
        values.as_mut_slice::<f64>().unwrap()[5] += 0.01;
    };
    let product = "at [0, 5] is not what recurrent.left and recurrent.right give";
    refused(&alone, &|w| change(w, "recurrent.weight"), product);
    refused(&both, &|w| change(w, "recurrent.weight_raw"), product);
    refused(
        &alone,
        &|w| drop(w.remove("recurrent.right")),
        "recurrent.right is missing",
    );
    refused(
        &both,
        &|w| drop(w.remove("recurrent.weight_raw")),
        "recurrent.weight_raw is missing",
    );
    let full = both.init::<F64>(1, &device).unwrap().weights()["recurrent.weight_raw"].clone();
    let extra = |w: &mut Weights| drop(w.insert("recurrent.weight_raw".to_owned(), full.clone()));
    refused(&alone, &extra, "the product of its factors alone");
    refused(
        &CtrnnConfig::new(2, 60, 2),
        &|w| drop(w.insert("recurrent.left".to_owned(), full.clone())),
        "recurrent.left is not a tensor",
    );
    let only = [("recurrent.weight".to_owned(), full.clone())].into();
    let error = both
        .init::<F64>(1, &device)
        .unwrap()
        .with_weights(&only)
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("give recurrent.left, recurrent.right and recurrent.weight_raw"),
        "{error}"
    );
}

/// A full matrix of rank 2 becomes its factors; of a sum of three dyads along orthogonal directions, with singular values 3, 2 and
/// 1, rank 2 keeps the first two.
#[test]
fn a_full_matrix_becomes_its_nearest_factors() {
    let n = 60;
    let wave = |k: usize, unit: usize| {
        let angle = std::f64::consts::TAU * (k * unit) as f64 / n as f64;
        (2.0 / n as f64).sqrt() * angle.sin()
    };
    let sum = |sizes: &[(f64, usize, usize)]| -> Vec<f64> {
        let entry = |k: usize| {
            sizes
                .iter()
                .map(|(s, u, v)| s * wave(*u, k / n) * wave(*v, k % n))
                .sum()
        };
        (0..n * n).map(entry).collect()
    };
    let dyads = [(3.0, 1, 2), (2.0, 3, 1), (1.0, 5, 7)];
    let given = TensorData::new(sum(&dyads), [n, n]);
    let network = network(2, |_| {})
        .init::<F64>(1, &Default::default())
        .unwrap();
    let begun = network.with_weights(&[("recurrent.weight".to_owned(), given)].into());
    let weights = begun.unwrap().weights();
    let found = numbers(&weights, "recurrent.weight");
    for (found, expected) in found.iter().zip(sum(&dyads[..2])) {
        assert!(
            (found - expected).abs() < 1e-12,
            "{found} is not {expected}"
        );
    }
    // Both vectors of a dyad get the root of its size: left^2 / N = right^2 / N = s.
    let left = numbers(&weights, "recurrent.left");
    assert!((overlap((&left, 2, 0), (&left, 2, 0)) - 3.0).abs() < 1e-9);
}
