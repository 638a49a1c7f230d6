//! The vanishing-gradient penalty within a backward sweep, against its equations one number at a time.

use ctrnn_kernels::{Activation, Form, KernelPath, OmegaTerm, Shape, SweepElement, Workspace};

use crate::network::{Kind, Network, Normals, distance};
use crate::{assert_close, index, kinds, on_each_path, plain, shape};

const PAPER: OmegaTerm = OmegaTerm {
    weight: 1.5,
    bound: 1e-3,
    slopes_after: false,
};

const CODE: OmegaTerm = OmegaTerm {
    slopes_after: true,
    ..PAPER
};

/// Loss whose coefficients are those of the readout alone.
fn network(kind: Kind) -> Network<f64> {
    let mut network = Network::random(kind);
    for own in &mut network.upstream[1..] {
        own.fill(0.0);
    }
    network
}

/// Value of the penalty and its gradient with respect to `W_rc`, from `d`, which a loop takes back from the readout.
fn reference(network: &Network<f64>, term: &OmegaTerm) -> (f64, Vec<f64>) {
    let Shape {
        trials: b,
        steps,
        units: n,
        outputs,
        ..
    } = network.kind.shape;
    let operand = |name| &network.parameters[index(name)];
    let (w_rc, w_out) = (operand("w_rc"), operand("w_out"));
    let (decay, gain) = (operand("decay"), operand("gain"));
    let mut potentials = operand("activity").clone(); // [T + 1, B, N]
    potentials.extend(network.reference().potentials);
    let slope = |t: usize, trial: usize, j: usize| {
        (network.kind.activation).slope(potentials[(t * b + trial) * n + j])
    };
    let (mut sum, mut number, mut gradient) = (0.0, 0.0, vec![0.0; n * n]);
    for trial in 0..b {
        let end = network.lengths.get(trial).copied().unwrap_or(steps);
        let mut d = vec![0.0; n]; // of the time step after t
        for t in (0..end).rev() {
            let next = d.clone();
            for j in 0..n {
                let readout = (0..outputs)
                    .map(|o| network.upstream[0][(t * b + trial) * outputs + o] * w_out[o * n + j]);
                let along: f64 = (0..n).map(|i| gain[i] * next[i] * w_rc[i * n + j]).sum();
                d[j] = decay[j] * next[j] + slope(t + 1, trial, j) * (along + readout.sum::<f64>());
            }
            let size: f64 = d.iter().map(|d| d * d).sum();
            if size <= term.bound {
                continue;
            }
            let at = |j| slope(t + usize::from(term.slopes_after), trial, j);
            let along = |j: usize| {
                (0..n)
                    .map(|i| gain[i] * d[i] * w_rc[i * n + j])
                    .sum::<f64>()
            };
            let q: Vec<f64> = (0..n).map(|j| decay[j] * d[j] + at(j) * along(j)).collect();
            let change = q.iter().map(|q| q * q).sum::<f64>() / size - 1.0;
            sum += change * change;
            number += 1.0;
            for i in 0..n {
                for j in 0..n {
                    gradient[i * n + j] += 4.0 * change / size * q[j] * at(j) * gain[i] * d[i];
                }
            }
        }
    }
    assert!(number > 1.0, "terms count");
    let factor = term.weight / number;
    (factor * sum, gradient.iter().map(|g| factor * g).collect())
}

fn check<E: SweepElement>(kind: Kind, lengths: &[usize], path: KernelPath, limit: f64) {
    let mut network = network(kind);
    network.lengths = lengths.to_vec();
    let own = network.to::<E>();
    let workspace = Workspace::new(path);
    let results = own.forward(&workspace);
    let plain = own.gradients(&results, &workspace);
    for term in [PAPER, CODE] {
        let (expected, of_w_rc) = reference(&network, &term);
        let (value, gradients) = own.gradients_with_omega(&results, &term, &workspace);
        let place = index("w_rc");
        assert!(
            (value - expected).abs() < limit * expected.max(1.0),
            "{value} is not {expected} on {path}: {kind:?}"
        );
        for (k, (found, plain)) in gradients.iter().zip(&plain).enumerate() {
            if k != place {
                assert!(distance(found, plain) < limit, "{path}: {kind:?}");
                continue;
            }
            let added: Vec<f64> = (found.iter().zip(plain))
                .map(|(&with, &without)| {
                    let (with, without): (f64, f64) = (with.into(), without.into());
                    with - without
                })
                .collect();
            assert_close("w_rc", &added, &of_w_rc, limit, &kind, path);
        }
    }
}

#[test]
fn omega_follows_its_equations() {
    on_each_path(|path| {
        for kind in kinds(shape(5, 6, 2, 17, 2)).into_iter().take(10) {
            let kind = Kind {
                normals: Normals::None,
                ..kind
            };
            // The slope of the cubic is found from the rate, which determines it less and less well towards the extrema.
            if kind.activation != Activation::Cubic {
                check::<f64>(kind, &[], path, 1e-10);
                check::<f32>(kind, &[], path, 2e-4);
            }
        }
        // Parts of tiles and of blocks.
        for shape in [shape(37, 3, 0, 33, 1), shape(9, 70, 3, 20, 2)] {
            check::<f64>(plain(shape), &[], path, 1e-10);
            check::<f32>(plain(shape), &[], path, 2e-4);
        }
    });
}

#[test]
fn trials_count_until_they_end() {
    on_each_path(|path| {
        let kind = plain(shape(5, 40, 2, 17, 2));
        check::<f64>(kind, &[40, 1, 0, 35, 17], path, 1e-10);
    });
}

/// A gradient that vanishes has no ratio: the penalty is zero, and so is its gradient.
#[test]
fn nothing_counts_below_the_bound() {
    let kind = plain(shape(5, 6, 2, 17, 2));
    let mut network = network(kind);
    network.upstream[0].fill(0.0);
    let workspace = Workspace::new(KernelPath::detected());
    let results = network.forward(&workspace);
    let (value, gradients) = network.gradients_with_omega(&results, &PAPER, &workspace);
    assert_eq!(value, 0.0);
    assert!(gradients.iter().flatten().all(|&g| g == 0.0));
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let network = network(plain(shape(37, 40, 2, 20, 2))).to::<f32>();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(|| {
            let workspace = Workspace::new(KernelPath::detected());
            let results = network.forward(&workspace);
            network.gradients_with_omega(&results, &CODE, &workspace)
        })
    };
    assert!(run(1) == run(3));
}

#[test]
#[should_panic(expected = "voltage form")]
fn the_rate_form_is_refused() {
    let kind = Kind {
        form: Form::Rate,
        ..plain(shape(2, 3, 1, 4, 1))
    };
    let network = network(kind);
    let workspace = Workspace::new(KernelPath::Portable);
    let results = network.forward(&workspace);
    let _ = network.gradients_with_omega(&results, &PAPER, &workspace);
}
