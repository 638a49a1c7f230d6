//! The sweeps on every path of this CPU, against a plain loop in f64 and its differences.

mod lengths;
mod network;
mod omega;

use ctrnn_kernels::{
    Activation, DrawAddress, Element, Form, KernelPath, NoiseTarget, Shape, SweepElement,
    Workspace, draw_normals,
};
use network::{Delay, Kind, Network, Normals, distance, names};

const fn shape(trials: usize, steps: usize, inputs: usize, units: usize, outputs: usize) -> Shape {
    Shape {
        trials,
        steps,
        inputs,
        units,
        outputs,
        rank: 0,
        without_full: false,
        synapses: 0,
        rate_terms: 0,
    }
}

/// The same sizes with short-term plasticity.
const fn plastic(shape: Shape) -> Shape {
    Shape {
        synapses: shape.units,
        ..shape
    }
}

/// Odd sizes: one unit, less than a vector, a vector and one, several; one trial and a part of a tile; one time step; no inputs
/// or outputs.
const SHAPES: [Shape; 8] = [
    shape(1, 1, 1, 1, 1),
    shape(5, 7, 0, 3, 2),
    shape(5, 1, 2, 17, 1),
    shape(1, 9, 5, 17, 0),
    shape(9, 6, 3, 100, 3),
    shape(5, 70, 9, 17, 5),
    shape(37, 3, 0, 33, 1),
    shape(5, 2, 4, 257, 2),
];

fn plain(shape: Shape) -> Kind {
    Kind {
        shape,
        form: Form::Voltage,
        activation: Activation::Tanh,
        noise_target: NoiseTarget::State,
        normals: Normals::None,
        delays: Delay::None,
    }
}

/// Shapes whose recurrent matrix has factors: alone and on top of a full matrix, of rank 1, 2, a vector and one, and N.
const LOW_RANK: [Shape; 7] = [
    low_rank(shape(1, 1, 1, 1, 1), 1, true),
    low_rank(shape(5, 7, 0, 3, 2), 3, true),
    low_rank(shape(9, 6, 3, 100, 3), 1, false),
    low_rank(shape(5, 70, 9, 17, 5), 2, true),
    low_rank(shape(37, 3, 0, 33, 1), 17, true),
    low_rank(shape(5, 2, 4, 257, 2), 2, false),
    low_rank(shape(1, 9, 5, 17, 0), 17, false),
];

const fn low_rank(shape: Shape, rank: usize, without_full: bool) -> Shape {
    Shape {
        rank,
        without_full,
        ..shape
    }
}

/// Every shape with the simplest kind of network, without and with short-term plasticity, and every kind of network in one size.
fn shapes_and_kinds() -> Vec<Kind> {
    let shapes = SHAPES.into_iter().chain(LOW_RANK);
    let all = shapes.flat_map(|shape| [plain(shape), plain(plastic(shape))]);
    all.chain(kinds_of_recurrence(shape(5, 6, 2, 17, 2)))
        .chain(delayed())
        .chain(with_rate_terms())
        .collect()
}

/// Every kind of network of a size, with a full matrix, with factors, with both, and with short-term plasticity.
fn kinds_of_recurrence(shape: Shape) -> Vec<Kind> {
    let shapes = [
        shape,
        plastic(shape),
        low_rank(shape, 3, true),
        low_rank(shape, 2, false),
        plastic(low_rank(shape, 1, true)),
        plastic(low_rank(shape, 2, false)),
    ];
    shapes.into_iter().flat_map(kinds).collect()
}

/// Both forms and every noise target, activation and noise source with each other's values.
fn kinds(shape: Shape) -> Vec<Kind> {
    let mut kinds = Vec::new();
    for (form, noise_target) in [
        (Form::Voltage, NoiseTarget::State),
        (Form::Rate, NoiseTarget::State),
        (Form::Rate, NoiseTarget::Drive),
    ] {
        for (a, activation) in Activation::ALL.into_iter().enumerate() {
            kinds.push(Kind {
                shape,
                form,
                activation,
                noise_target,
                normals: [Normals::Drawn, Normals::Given, Normals::None][a % 3],
                delays: Delay::None,
            });
        }
    }
    kinds
}

/// Networks whose loss has terms of the rates: with delays and without, positive and signed rates.
fn with_rate_terms() -> [Kind; 3] {
    let terms = |shape: Shape| Shape {
        rate_terms: 4,
        ..shape
    };
    let [several, odd] = [shape(9, 6, 2, 100, 2), shape(5, 7, 1, 17, 1)];
    [
        plain(terms(several)),
        Kind {
            activation: Activation::Softplus,
            form: Form::Rate,
            ..plain(terms(odd))
        },
        Kind {
            delays: Delay::Scattered([0, 1, 3]),
            ..plain(terms(plastic(odd)))
        },
    ]
}

/// Delays of one step and more, at block edges and within vectors; as long as the trial and longer; and a trial of one step.
fn delayed() -> Vec<Kind> {
    let delays = [
        Delay::Scattered([0, 1, 3]),
        Delay::Scattered([2, 2, 2]),
        Delay::Scattered([5, 0, 70]),
        Delay::Between([2, 0]),
        Delay::Between([1, 6]),
        Delay::Between([7, 9]),
    ];
    let shapes = [
        shape(5, 6, 2, 17, 2),
        shape(9, 7, 0, 100, 3),
        shape(3, 1, 1, 3, 1),
        shape(37, 70, 2, 33, 1),
    ];
    let mut kinds = Vec::new();
    for (s, shape) in shapes.into_iter().enumerate() {
        for (d, delays) in delays.into_iter().enumerate() {
            let (form, noise_target) = [
                (Form::Voltage, NoiseTarget::State),
                (Form::Rate, NoiseTarget::State),
                (Form::Rate, NoiseTarget::Drive),
            ][(s + d) % 3];
            for shape in [shape, plastic(shape)] {
                kinds.push(Kind {
                    delays,
                    form,
                    noise_target,
                    normals: [Normals::None, Normals::Drawn][d % 2],
                    ..plain(shape)
                });
            }
        }
    }
    kinds
}

/// Returns the place of an array among the parameters.
fn index(name: &str) -> usize {
    let found = names().into_iter().position(|n| n == name);
    found.expect("the name of an operand")
}

/// Runs `check` on each path of this CPU and says which were tested.
fn on_each_path(check: impl Fn(KernelPath)) {
    for path in KernelPath::ALL {
        if path.is_available() {
            check(path);
            println!("kernel path {path}: tested");
        } else {
            println!("kernel path {path}: SKIPPED, this CPU has no such instructions");
        }
    }
}

fn assert_close<A: Element, B: Element>(
    what: &str,
    a: &[A],
    b: &[B],
    limit: f64,
    kind: &Kind,
    path: KernelPath,
) {
    let distance = distance(a, b);
    assert!(
        distance < limit,
        "{what} differ by {distance:.1e} on {path} for {kind:?}"
    );
}

fn forward_is_the_reference<E: SweepElement>(kind: Kind, path: KernelPath, limit: f64) {
    let network = Network::random(kind);
    let expected = network.reference();
    let results = network.to::<E>().forward(&Workspace::new(path));
    let close = |what, a: &[E], b: &[f64]| assert_close(what, a, b, limit, &kind, path);
    close("rates", &results.rates, &expected.rates);
    close("potentials", &results.potentials, &expected.potentials);
    close("outputs", &results.outputs, &expected.outputs);
    close("utilisation", &results.utilisation, &expected.utilisation);
    close("resources", &results.resources, &expected.resources);
    for (found, expected) in results.moments.iter().zip(&expected.moments) {
        close("moments", found, expected);
    }
    close("rate terms", &results.rate_terms, &expected.rate_terms);
    let states = results.final_state.zip(expected.final_state);
    for (found, expected) in states.into_array() {
        close("final states", &found, &expected);
    }
    if kind.form == Form::Rate {
        close("responses", &results.responses, &expected.responses);
    }
}

/// Gradients of every parameter on `path` in `E` against those of the portable path in f64.
fn gradients_are_portable<E: SweepElement>(kind: Kind, path: KernelPath, limit: f64) {
    let network = Network::random(kind);
    let portable = Workspace::new(KernelPath::Portable);
    let expected = network.gradients(&network.forward(&portable), &portable);
    let (network, workspace) = (network.to::<E>(), Workspace::new(path));
    let gradients = network.gradients(&network.forward(&workspace), &workspace);
    // The slope of the cubic is found from the rate, which determines it less and less well towards the extrema.
    let limit = match kind.activation {
        Activation::Cubic => 30.0 * limit,
        _ => limit,
    };
    for (p, name) in names().into_iter().enumerate() {
        assert_close(name, &gradients[p], &expected[p], limit, &kind, path);
    }
}

/// Recomputing a trajectory segment by segment returns what keeping it returns: the same bits forward, the same gradients to
/// rounding.
#[test]
fn recomputing_changes_nothing() {
    on_each_path(|path| {
        let workspace = Workspace::<f64>::new(path);
        for (steps, segment) in [(10, 4), (8, 4), (3, 8), (21, 12)] {
            let small = shape(5, steps, 2, 17, 2);
            for kind in kinds_of_recurrence(small) {
                let network = Network::random(kind);
                let kept = network.forward(&workspace);
                let expected = network.gradients(&kept, &workspace);
                let (results, gradients) = network.recomputed(segment, &workspace);
                assert_eq!(results.outputs, kept.outputs);
                assert_eq!(results.final_state, kept.final_state);
                for (found, expected) in results.moments.iter().zip(&kept.moments) {
                    assert_close("moments", found, expected, 1e-13, &kind, path);
                }
                for ((name, found), expected) in names().iter().zip(&gradients).zip(&expected) {
                    assert_close(name, found, expected, 1e-13, &kind, path);
                }
            }
        }
    });
}

#[test]
fn forward_follows_the_equations() {
    on_each_path(|path| {
        for kind in shapes_and_kinds() {
            forward_is_the_reference::<f64>(kind, path, 1e-13);
            forward_is_the_reference::<f32>(kind, path, 3e-6);
        }
    });
}

#[test]
fn gradients_agree_between_paths() {
    on_each_path(|path| {
        for kind in shapes_and_kinds() {
            gradients_are_portable::<f64>(kind, path, 1e-12);
            gradients_are_portable::<f32>(kind, path, 1e-5);
        }
    });
}

/// Each gradient of the portable path in f64 against central differences of the plain loop: error O(h^2) = 1e-10 times third
/// derivatives of order 1 to 10, and rounding 1e-16 / h = 1e-11 times a loss of order 10.
#[test]
fn gradients_are_central_differences() {
    const H: f64 = 1e-5;
    let workspace = Workspace::new(KernelPath::Portable);
    let of_size = |kind: Kind| Kind {
        shape: Shape {
            synapses: if kind.shape.synapses > 0 { 4 } else { 0 },
            ..shape(2, 5, 2, 4, 2)
        },
        ..kind
    };
    let delayed = delayed().into_iter().take(12).map(of_size);
    for kind in kinds_of_recurrence(shape(2, 5, 2, 3, 2))
        .into_iter()
        .chain(delayed)
    {
        let network = Network::random(kind);
        let gradients = network.gradients(&network.forward(&workspace), &workspace);
        for (p, name) in names().into_iter().enumerate() {
            let mut differences = Vec::new();
            for i in 0..network.parameters[p].len() {
                let loss_at = |shift: f64| {
                    let mut moved = network.clone();
                    moved.parameters[p][i] += shift;
                    moved.loss()
                };
                differences.push((loss_at(H) - loss_at(-H)) / (2.0 * H));
            }
            assert_close(
                name,
                &gradients[p],
                &differences,
                1e-7,
                &kind,
                KernelPath::Portable,
            );
        }
    }
}

/// A state that halves in every time step, and a gradient that halves on the way back, become zero before they are subnormal; until then
/// they are exact.
fn what_is_negligible_becomes_zero<E: SweepElement>(form: Form, path: KernelPath, steps: usize) {
    let kind = Kind {
        form,
        activation: Activation::Linear,
        ..plain(shape(3, steps, 0, 5, 0))
    };
    let mut network = Network::random(kind);
    for own in &mut network.upstream {
        own.fill(0.0);
    }
    for (name, value) in [("w_rc", 0.0), ("bias", 0.0), ("decay", 0.5), ("gain", 1.0)] {
        network.parameters[index(name)].fill(value);
    }
    network.parameters[index("activity")].fill(1.0);
    let end = network.upstream.len() - 3; // the final activity
    network.upstream[end].fill(1.0);
    let (network, workspace) = (network.to::<E>(), Workspace::new(path));
    let results = network.forward(&workspace);
    for (t, rates) in results.rates.chunks(15).enumerate() {
        let rate: f64 = rates[7].into();
        assert!(
            rate == 0.5_f64.powi(t as i32) || rate == 0.0 && t > 90,
            "{path}, {t}: {rate}"
        );
    }
    let gradients = network.gradients(&results, &workspace);
    for zero in [&results.final_state.activity, &gradients[index("activity")]] {
        assert!(zero.iter().all(|&x| x == E::default()), "{path}: {zero:?}");
    }
}

#[test]
fn nothing_becomes_subnormal() {
    on_each_path(|path| {
        for form in [Form::Voltage, Form::Rate] {
            what_is_negligible_becomes_zero::<f32>(form, path, 130); // the smallest normal number is 2^-126
            what_is_negligible_becomes_zero::<f64>(form, path, 1030); // 2^-1022
        }
    });
}

/// With no weights and no leak, and a noise scale of one, the linear potentials are the normals themselves.
fn normals_are_the_generators<E: SweepElement>(path: KernelPath) {
    let kind = Kind {
        activation: Activation::Linear,
        normals: Normals::Drawn,
        ..plain(shape(9, 6, 0, 37, 0))
    };
    let mut network = Network::random(kind);
    for (name, value) in [
        ("w_rc", 0.0),
        ("bias", 0.0),
        ("decay", 0.0),
        ("gain", 0.0),
        ("noise_scale", 1.0),
    ] {
        network.parameters[index(name)].fill(value);
    }
    let results = network.to::<E>().forward(&Workspace::new(path));
    let mut drawn = results.potentials.iter();
    for t in 0..6 {
        for trial in 0..9 {
            for unit in 0..37 {
                let address = network::FIRST_TRIAL + trial;
                let normals =
                    ctrnn_random::unit_normals(network::EPS, unit, address, t / 4, network::STEP);
                assert_eq!(
                    drawn.next(),
                    Some(&E::from(normals[t as usize % 4])),
                    "{path}, unit {unit}, t {t}"
                );
            }
        }
    }
}

#[test]
fn noise_is_that_of_the_generator_to_the_bit() {
    on_each_path(|path| {
        normals_are_the_generators::<f32>(path);
        normals_are_the_generators::<f64>(path);
    });
}

/// Three tiles of up to three blocks of columns, with and without a factor whose upper half counts for nothing.
fn normals_are_drawn_and_mixed<E: SweepElement>(path: KernelPath, units: usize) {
    let (steps, trials) = (6, 40);
    let address = DrawAddress {
        key: network::EPS,
        step: 3,
        first_trial: 7,
        first_time_block: 0,
    };
    let workspace = Workspace::new(path);
    let entry = |k: usize| (0.7 * k as f64).sin();
    let factor: Vec<E> = (0..units * units).map(|k| E::from_f64(entry(k))).collect();
    let sizes = [steps, trials, units];
    let plain = draw_normals(address, sizes, None, &workspace);
    let mixed = draw_normals(address, sizes, Some(&factor), &workspace);
    for (row, (plain, mixed)) in plain.chunks(units).zip(mixed.chunks(units)).enumerate() {
        let (t, trial) = (row / trials, row % trials);
        for unit in 0..units {
            let four = ctrnn_random::unit_normals(
                network::EPS,
                unit as u32,
                7 + trial as u32,
                t as u32 / 4,
                3,
            );
            assert_eq!(
                plain[unit],
                E::from(four[t % 4]),
                "{path}, t {t}, trial {trial}"
            );
            let terms = (0..=unit).map(|j| factor[unit * units + j].into() * plain[j].into());
            let expected: f64 = terms.sum();
            let found: f64 = mixed[unit].into();
            let bound = 1e-5 * (units as f64).sqrt();
            assert!(
                (found - expected).abs() < bound,
                "{path}: {found} is not {expected}"
            );
        }
    }
}

#[test]
fn normals_before_a_sweep_are_those_of_the_generator_and_mixed_by_a_factor() {
    on_each_path(|path| {
        for units in [1, 5, 48, 100, 128] {
            normals_are_drawn_and_mixed::<f32>(path, units);
            normals_are_drawn_and_mixed::<f64>(path, units);
        }
    });
}

/// Several tiles, post-activation noise and every gradient; the weights' gradients are sums over tiles.
#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let kind = Kind {
        normals: Normals::Drawn,
        ..plain(low_rank(shape(37, 12, 3, 20, 2), 2, false))
    };
    let network = Network::random(kind).to::<f32>();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let workspace = Workspace::new(KernelPath::detected());
            let results = network.forward(&workspace);
            let gradients = network.gradients(&results, &workspace);
            (results.outputs, gradients)
        })
    };
    let one = run(1);
    for threads in [2, 8] {
        assert!(run(threads) == one, "{threads} threads");
    }
}

/// A trial's trajectory does not depend on the batch it is in: trial 20 of 21 is in another tile, at another place in it, than
/// the only trial of a batch of one.
#[test]
fn a_trial_alone_has_the_same_trajectory() {
    let kind = plain(shape(21, 5, 2, 17, 1));
    let network = Network::random(kind).to::<f32>();
    let mut alone = network.clone();
    alone.kind.shape.trials = 1;
    alone.parameters[0] = network.parameters[0]
        .chunks(21 * 2)
        .flat_map(|now| now[20 * 2..].to_vec())
        .collect();
    alone.parameters[index("activity")] = network.parameters[index("activity")][20 * 17..].to_vec();
    let workspace = Workspace::new(KernelPath::detected());
    let (all, alone) = (network.forward(&workspace), alone.forward(&workspace));
    let last: Vec<f32> = all
        .rates
        .chunks(21 * 17)
        .flat_map(|now| now[20 * 17..].to_vec())
        .collect();
    assert_eq!(alone.rates, last);
}

/// The first entries of the rate history are `f` of the initial state: a table of 16 000 values per activation.
///
/// The limits are what the crate's documentation states: a few units in the last place, relative, wherever the result is a
/// normal number.
fn activations_are_accurate<E: SweepElement>(path: KernelPath, lowest: f64, limit: f64) {
    for activation in Activation::ALL {
        let kind = Kind {
            activation,
            ..plain(shape(1000, 1, 0, 16, 0))
        };
        let mut network = Network::random(kind);
        for (i, v) in network.parameters[index("activity")].iter_mut().enumerate() {
            let fine = (i / 4 + 1) as f64;
            *v = [
                lowest * fine / 4000.0,
                20.0 * fine / 4000.0,
                1e-3 * fine,
                -1e-6 * fine,
            ][i % 4];
        }
        let network = network.to::<E>();
        let rates = network.forward(&Workspace::new(path)).rates;
        let mut worst = (0.0, 0.0);
        for (&v, &rate) in network.parameters[index("activity")].iter().zip(&rates) {
            let (v, rate): (f64, f64) = (v.into(), rate.into());
            let exact = activation.value(v);
            let error = (rate - exact).abs() / exact.abs().max(f64::MIN_POSITIVE);
            worst = if error > worst.0 { (error, v) } else { worst };
        }
        println!(
            "{path} {} relative error {:.1e} at {:.3}",
            activation.name(),
            worst.0,
            worst.1
        );
        assert!(
            worst.0 < limit,
            "{activation:?} on {path}: {:e} at {}",
            worst.0,
            worst.1
        );
    }
}

#[test]
fn activations_keep_their_relative_accuracy() {
    on_each_path(|path| {
        activations_are_accurate::<f32>(path, -86.0, 4e-7);
        activations_are_accurate::<f64>(path, -700.0, 1e-15);
    });
}

#[test]
fn what_is_not_a_number_stays_so() {
    on_each_path(|path| {
        for activation in Activation::ALL {
            let kind = Kind {
                activation,
                ..plain(shape(1, 1, 0, 3, 0))
            };
            let mut network = Network::random(kind).to::<f32>();
            network.parameters[index("activity")][1] = f32::NAN;
            let results = network.forward(&Workspace::new(path));
            assert!(
                results.rates[1].is_nan() && results.final_state.activity[1].is_nan(),
                "{activation:?} on {path}"
            );
        }
    });
}

/// A gradient does not depend on which other gradients are wanted.
#[test]
fn a_gradient_wanted_alone_is_the_same() {
    use ctrnn_kernels::{Operands, Saved, backward};

    let kind = Kind {
        normals: Normals::Given,
        ..plain(low_rank(shape(5, 6, 2, 17, 2), 2, false))
    };
    let network = Network::random(kind);
    let workspace = Workspace::new(KernelPath::detected());
    let results = network.forward(&workspace);
    let together = network.gradients(&results, &workspace);
    let alone = |p: usize| {
        let mut array = vec![0.0; network.parameters[p].len()];
        let mut wanted: Operands<Option<&mut [f64]>> = Operands::default();
        *wanted.each_mut().into_array()[p] = Some(&mut array);
        let saved = Saved {
            rates: &results.rates,
            potentials: Some(&results.potentials),
            ..Saved::default()
        };
        backward(
            &network.sweep(),
            &saved,
            &network.upstream(),
            wanted,
            &workspace,
        );
        array
    };
    for (p, name) in names().into_iter().enumerate() {
        assert_eq!(alone(p), together[p], "{name}");
    }
}

/// A network of factors is the network of their product: of a full matrix alone, and of the sum with another one.
#[test]
fn factors_are_the_network_of_their_product() {
    for without_full in [true, false] {
        let thin = Network::random(plain(low_rank(shape(5, 30, 2, 33, 2), 3, without_full)));
        let mut full = thin.clone();
        full.kind.shape = shape(5, 30, 2, 33, 2);
        let [left, right] = ["left", "right"].map(|name| thin.parameters[index(name)].clone());
        let product = |post: usize, pre: usize| -> f64 {
            let pairs = left[post * 3..][..3].iter().zip(&right[pre * 3..][..3]);
            pairs.map(|(l, r)| l * r / 33.0).sum()
        };
        let w_rc = &mut full.parameters[index("w_rc")];
        w_rc.resize(33 * 33, 0.0);
        for (k, weight) in w_rc.iter_mut().enumerate() {
            *weight += product(k / 33, k % 33);
        }
        for name in ["left", "right"] {
            full.parameters[index(name)].clear();
        }
        let workspace = Workspace::new(KernelPath::detected());
        let (thin, full) = (thin.forward(&workspace), full.forward(&workspace));
        assert!(distance(&thin.potentials, &full.potentials) < 1e-12);
        assert!(distance(&thin.outputs, &full.outputs) < 1e-12);
    }
}

#[test]
#[should_panic(expected = "length of bias")]
fn a_slice_of_another_length_is_refused() {
    let mut network = Network::random(plain(shape(1, 1, 1, 3, 1)));
    network.parameters[index("bias")].pop();
    network.forward(&Workspace::new(KernelPath::Portable));
}
