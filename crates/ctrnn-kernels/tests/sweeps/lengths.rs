//! Sweeps whose trials end before them: each trial is what it is in a sweep of its own length.

use ctrnn_kernels::{KernelPath, Shape, Workspace};

use crate::network::{Kind, Network, names};
use crate::{
    assert_close, delayed, kinds_of_recurrence, on_each_path, plain, shape, with_rate_terms,
};

/// Lengths of 0 to T, in no order; the trials of a length have neighbours of others.
fn lengths(shape: &Shape) -> Vec<usize> {
    (0..shape.trials)
        .map(|trial| (7 * trial + 3) % (shape.steps + 1))
        .collect()
}

/// Returns the rows of a trial at its first `times` times in a buffer `[time, trial, width]`, and all later ones.
fn rows(all: &[f64], times: usize, shape: &Shape, trial: usize, until: usize) -> [Vec<f64>; 2] {
    let width = all.len() / (times * shape.trials);
    let of = |t| all[(t * shape.trials + trial) * width..][..width].iter();
    [0..until, until..times].map(|times| times.flat_map(of).copied().collect())
}

fn check(kind: Kind, path: KernelPath, segment: Option<usize>) {
    let workspace = Workspace::<f64>::new(path);
    let mut network = Network::random(kind);
    let Shape { trials, steps, .. } = kind.shape;
    network.lengths = lengths(&kind.shape);
    let together = network.forward(&workspace);
    let gradients = match segment {
        Some(segment) => network.recomputed(segment, &workspace).1,
        None => network.gradients(&together, &workspace),
    };
    let mut sums = gradients.each_ref().map(|all| vec![0.0; all.len()]);
    let mut moments = together.moments.each_ref().map(|all| vec![0.0; all.len()]);
    let mut terms = vec![0.0; together.rate_terms.len()];
    for (trial, &end) in network.lengths.iter().enumerate() {
        let row = |all: &[f64], times, until| rows(all, times, &kind.shape, trial, until);
        if end == 0 {
            for (k, name) in names().iter().enumerate() {
                let after = network.upstream.len() + k - names().len();
                if ["activity", "utilisation", "resources"].contains(name) {
                    let [own, _] = row(&gradients[k], 1, 1);
                    assert_eq!(own, row(&network.upstream[after], 1, 1)[0], "{name}");
                }
            }
            continue;
        }
        let own = network.alone(trial, end);
        let alone = own.forward(&workspace);
        for (all, alone) in [
            (&together.responses, &alone.responses),
            (&together.potentials, &alone.potentials),
            (&together.outputs, &alone.outputs),
            (&together.utilisation, &alone.utilisation),
            (&together.resources, &alone.resources),
        ] {
            let [within, after] = row(all, steps, end);
            assert_eq!(&within, alone, "trial {trial} on {path}: {kind:?}");
            assert!(after.iter().all(|&x| x == 0.0), "trial {trial}: {kind:?}");
        }
        let [within, after] = row(&together.rates, steps + 1, end + 1);
        assert_eq!(within, alone.rates);
        assert!(after.iter().all(|&x| x == 0.0));
        let states = together.final_state.each_ref().into_array();
        for (all, alone) in states.iter().zip(alone.final_state.each_ref().into_array()) {
            assert_eq!(&row(all, 1, 1)[0], alone);
        }
        for (sum, own) in terms.iter_mut().zip(&alone.rate_terms) {
            *sum += own;
        }
        for (sums, own) in moments.iter_mut().zip(&alone.moments) {
            for (sum, own) in sums.iter_mut().zip(own) {
                *sum += own;
            }
        }
        let found = own.gradients(&alone, &workspace);
        for (k, name) in names().iter().enumerate() {
            let (of_trial, limit) = match *name {
                "inputs" => {
                    let [within, after] = row(&gradients[k], steps, end);
                    assert!(after.iter().all(|&x| x == 0.0));
                    (within, 1e-13)
                }
                "activity" | "utilisation" | "resources" => {
                    (row(&gradients[k], 1, 1)[0].clone(), 1e-13)
                }
                _ => {
                    for (sum, own) in sums[k].iter_mut().zip(&found[k]) {
                        *sum += own;
                    }
                    continue;
                }
            };
            assert_close(name, &of_trial, &found[k], limit, &kind, path);
        }
    }
    for (found, expected) in together.moments.iter().zip(&moments) {
        assert_close("moments", found, expected, 1e-12, &kind, path);
    }
    assert_close("terms", &together.rate_terms, &terms, 1e-12, &kind, path);
    for (k, name) in names().iter().enumerate() {
        if !["inputs", "activity", "utilisation", "resources"].contains(name) {
            assert_close(name, &gradients[k], &sums[k], 1e-12, &kind, path);
        }
    }
    assert_eq!(trials, network.lengths.len());
}

#[test]
fn trials_end_as_in_a_sweep_of_their_own() {
    on_each_path(|path| {
        for kind in kinds_of_recurrence(shape(21, 6, 2, 17, 2)) {
            check(kind, path, None);
        }
        for kind in delayed().into_iter().chain(with_rate_terms()) {
            check(kind, path, None);
        }
        // Blocks of 32 time steps with 8 trials each, and trials that end within one.
        check(plain(shape(37, 70, 3, 33, 2)), path, None);
    });
}

#[test]
fn recomputed_trials_end_as_in_a_sweep_of_their_own() {
    on_each_path(|path| {
        for kind in kinds_of_recurrence(shape(21, 10, 2, 17, 2)) {
            check(kind, path, Some(4));
        }
    });
}
