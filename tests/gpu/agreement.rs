//! The kernels against the fused sweep of the CPU in double precision.

use std::sync::Arc;

use burn::backend::NdArray;
use burn::tensor::TensorData;
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use ctrnn_model::{
    Activation, Ceiling, Delays, DrawAddress, Form, Gpu, Leak, NoiseSource, NoiseTarget, Operands,
    Record, RecurrenceBackend, ResultTensors, SweepResults, SweepTensors, UnitState, host_tensor,
    launches, primitive,
};
use ctrnn_random::{Key, Rng, Stream};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

type F64 = NdArray<f64>;

/// The sizes of a sweep, and what it is of.
#[derive(Clone, Debug)]
struct Case {
    trials: usize,
    steps: usize,
    inputs: usize,
    units: usize,
    outputs: usize,
    /// Rank of the factors of the recurrent matrix.
    rank: usize,
    /// True if the recurrent matrix is the product of the factors alone.
    without_full: bool,
    form: Form,
    activation: Activation,
    noise: Noise,
    noise_target: NoiseTarget,
    per_unit: bool,
    /// Which results the loss uses: outputs, rates, potentials, final state.
    used: [bool; 4],
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Noise {
    Off,
    Drawn,
    Given,
}

/// A host array `[.., ..]` of numbers that are the same in `f32` and `f64`.
fn array<const D: usize>(rng: &mut Rng, shape: [usize; D], scale: f32) -> TensorData {
    let numbers = (0..shape.iter().product::<usize>()).map(|_| scale * rng.normal());
    TensorData::new(numbers.collect::<Vec<f32>>(), shape)
}

/// A vector of `n` numbers around `middle`, all the same unless `per_unit`.
fn factors(rng: &mut Rng, n: usize, middle: f32, per_unit: bool) -> TensorData {
    let spread = if per_unit { 0.1 * middle } else { 0.0 };
    let numbers = (0..n).map(|_| middle + spread * rng.uniform_in(-1.0, 1.0) as f32);
    TensorData::new(numbers.collect::<Vec<f32>>(), [n])
}

/// The sweep of a case on a backend; the same numbers on each.
fn sweep<B: Backend>(case: &Case) -> SweepTensors<B> {
    let Case {
        trials: b,
        steps: t,
        inputs: i,
        units: n,
        outputs: o,
        rank: r,
        ..
    } = *case;
    let full_rows = if case.without_full { 0 } else { n };
    let device = B::Device::default();
    let rng = &mut Rng::new(Key::new(7, Stream::Weights, 0), 0, 0);
    let scale = if matches!(case.activation, Activation::Power(_)) {
        0.1
    } else {
        0.9
    };
    let noise = |rng: &mut Rng, stream| match case.noise {
        Noise::Off => NoiseSource::None,
        Noise::Drawn => NoiseSource::Drawn(DrawAddress::new(Key::new(5, stream, 0), 3, 2)),
        Noise::Given => NoiseSource::Given(host_tensor(array(rng, [t, b, n], 1.0), &device)),
    };
    let operands = Operands {
        inputs: primitive(host_tensor::<B, 3>(array(rng, [t, b, i], 1.0), &device)),
        w_in: primitive(host_tensor::<B, 2>(array(rng, [n, i], 0.7), &device)),
        w_rc: primitive(host_tensor::<B, 2>(
            array(rng, [full_rows, n], scale / (n as f32).sqrt()),
            &device,
        )),
        left: primitive(host_tensor::<B, 2>(array(rng, [n, r], scale), &device)),
        right: primitive(host_tensor::<B, 2>(array(rng, [n, r], 1.0), &device)),
        bias: primitive(host_tensor::<B, 1>(array(rng, [n], 0.3), &device)),
        w_out: primitive(host_tensor::<B, 2>(array(rng, [o, n], 0.5), &device)),
        bias_out: primitive(host_tensor::<B, 1>(array(rng, [o], 0.5), &device)),
        decay: primitive(host_tensor::<B, 1>(
            factors(rng, n, 0.8, case.per_unit),
            &device,
        )),
        gain: primitive(host_tensor::<B, 1>(
            factors(rng, n, 0.2, case.per_unit),
            &device,
        )),
        noise_scale: primitive(host_tensor::<B, 1>(
            factors(rng, n, 0.1, case.per_unit),
            &device,
        )),
        initial_state: UnitState {
            activity: primitive(host_tensor::<B, 2>(array(rng, [b, n], 0.5), &device)),
            utilisation: primitive(host_tensor::<B, 2>(array(rng, [b, 0], 1.0), &device)),
            resources: primitive(host_tensor::<B, 2>(array(rng, [b, 0], 1.0), &device)),
        },
    };
    SweepTensors {
        operands,
        synapses: None,
        form: case.form,
        activation: case.activation,
        noise_target: case.noise_target,
        preactivation: noise(rng, Stream::Eps),
        postactivation: noise(rng, Stream::Xi),
        readout_noise: 0.2,
        record: Record::ALL,
        recompute: false,
        delays: None,
        lengths: Vec::new(),
        omega: None,
        rate_terms: Vec::new(),
    }
}

/// Gradients of a loss that weighs what it uses at random.
fn upstream<B: Backend>(case: &Case) -> ResultTensors<B> {
    let Case {
        trials: b,
        steps: t,
        units: n,
        outputs: o,
        used: [outputs, rates, potentials, final_state],
        ..
    } = *case;
    let device = B::Device::default();
    let rng = &mut Rng::new(Key::new(8, Stream::Weights, 0), 0, 0);
    let three = |rng: &mut Rng, shape: [usize; 3], scale| {
        primitive(host_tensor::<B, 3>(array(rng, shape, scale), &device))
    };
    SweepResults {
        outputs: (outputs && o > 0).then(|| three(rng, [t, b, o], 1.0)),
        rates: rates.then(|| three(rng, [t, b, n], 0.1)),
        potentials: potentials.then(|| three(rng, [t, b, n], 0.1)),
        final_state: UnitState {
            activity: final_state
                .then(|| primitive(host_tensor::<B, 2>(array(rng, [b, n], 1.0), &device))),
            ..UnitState::default()
        },
        ..SweepResults::default()
    }
}

fn numbers<B: Backend>(tensor: FloatTensor<B>) -> Vec<f64> {
    let data = burn::tensor::try_read_sync(B::float_into_data(tensor)).expect("reads at once");
    data.expect("reads").iter::<f64>().collect()
}

type Named = Vec<(&'static str, Vec<f64>)>;

/// Every result of the sweep and every gradient, by name.
fn results<B: RecurrenceBackend>(case: &Case) -> Named {
    let wanted = Operands {
        noise_scale: case.noise != Noise::Off,
        w_rc: !case.without_full,
        left: case.rank > 0,
        right: case.rank > 0,
        ..Operands::default().map(|_: ()| true)
    };
    let sweep = sweep::<B>(case);
    let (results, pullback) = B::sweep_with_pullback(&sweep, wanted).expect("a fused sweep");
    let gradients = pullback.apply(upstream::<B>(case));
    let results = SweepResults::NAMES.zip(results).into_array();
    let gradients = Operands::NAMES.zip(gradients).into_array();
    results
        .into_iter()
        .chain(gradients)
        // Empty tensors.
        .filter(|(name, _)| case.inputs > 0 || !["inputs", "w_in"].contains(name))
        .filter(|(name, _)| case.outputs > 0 || !["outputs", "w_out", "bias_out"].contains(name))
        .filter(|(name, _)| !["utilisation", "resources"].contains(name))
        .filter_map(|(name, tensor)| Some((name, numbers::<B>(tensor?))))
        .collect()
}

/// `|a - b| / |b|`, or of a part of the numbers' scale where all of them nearly vanish.
fn relative_error(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut a.iter().zip(b).map(|(a, b)| a - b));
    difference / norm(&mut b.iter().copied()).max(1e-3)
}

/// At a kink rounding alone decides the slope.
fn is_near_a_kink(case: &Case, exact: &Named) -> bool {
    let kinks: &[f64] = match case.activation {
        Activation::Relu | Activation::Retanh | Activation::LeakyRelu(_) => &[0.0],
        Activation::ClippedRelu(ceiling) => &[0.0, ceiling.maximum],
        Activation::Cubic => &[-1.0, 1.0], // the rate determines a slope near 0 to few digits
        _ => &[],
    };
    let potentials = exact
        .iter()
        .find(|(name, _)| *name == "potentials")
        .unwrap();
    let is_near = |v: &f64| kinks.iter().any(|kink| (v - kink).abs() < 3e-6);
    potentials.1.iter().any(is_near)
}

/// The worst relative error over all results, and whose it is.
fn worst(case: &Case) -> Option<(&'static str, f64)> {
    let exact = results::<F64>(case);
    if is_near_a_kink(case, &exact) {
        return None;
    }
    let found = results::<Gpu>(case);
    let errors = found.iter().zip(&exact);
    errors
        .map(|((name, a), (_, b))| (*name, relative_error(a, b)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
}

fn any_case() -> impl Strategy<Value = Case> {
    let sizes = (
        1usize..=20,
        1usize..=40,
        0usize..=10,
        1usize..=70,
        0usize..=4,
    );
    // A third of the matrices is full, a third of low rank, and a third both.
    let ranks = (0usize..3, 1usize..=5);
    let kinds = (0usize..2, 0usize..9, 0usize..3, 0usize..2, any::<bool>());
    let used = prop::array::uniform4(any::<bool>());
    (sizes, ranks, kinds, used).prop_map(|(sizes, (matrix, rank), kinds, used)| {
        let (trials, steps, inputs, units, outputs) = sizes;
        let (form, activation, noise, target, per_unit) = kinds;
        let form = [Form::Voltage, Form::Rate][form];
        let used = if used == [false; 4] { [true; 4] } else { used };
        Case {
            trials,
            steps,
            inputs,
            units,
            outputs,
            rank: if matrix == 0 { 0 } else { rank.min(units) },
            without_full: matrix == 1,
            form,
            activation: Activation::ALL[activation],
            noise: [Noise::Off, Noise::Drawn, Noise::Given][noise],
            noise_target: match form {
                Form::Voltage => NoiseTarget::State,
                Form::Rate => [NoiseTarget::Drive, NoiseTarget::State][target],
            },
            per_unit,
            used,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn forward_and_all_gradients_agree_with_double_precision(case in any_case()) {
        if let Some((name, error)) = worst(&case) {
            prop_assert!(error < 1e-5, "{name}: {error:e} for {case:?}");
        }
    }
}

fn case(units: usize, trials: usize, steps: usize) -> Case {
    Case {
        trials,
        steps,
        inputs: 9,
        units,
        outputs: 2,
        rank: 0,
        without_full: false,
        form: Form::Voltage,
        activation: Activation::Tanh,
        noise: Noise::Drawn,
        noise_target: NoiseTarget::State,
        per_unit: true,
        used: [true; 4],
    }
}

/// Powers of other exponents than the two that are products, a gain and a threshold, and other slopes and maxima.
#[test]
fn activations_with_parameters() {
    for activation in [
        Activation::power(1.0, 0.5, -0.5),
        Activation::power(2.0, 0.25, -0.5),
        Activation::power(2.2, 0.25, -0.5),
        Activation::LeakyRelu(Leak { slope: 0.25 }),
        Activation::ClippedRelu(Ceiling { maximum: 0.5 }),
    ] {
        for form in [Form::Voltage, Form::Rate] {
            let case = Case {
                activation,
                form,
                ..case(20, 9, 5)
            };
            if let Some((name, error)) = worst(&case) {
                assert!(error < 1e-5, "{name}: {error:e} for {case:?}");
            }
        }
    }
}

/// Delays have no kernels: the sweep is that of the plain path.
#[test]
fn delays_run_by_the_plain_path() {
    let case = Case {
        noise: Noise::Off,
        ..case(5, 3, 7)
    };
    fn delayed<B: Backend>(case: &Case) -> SweepTensors<B> {
        let steps: Vec<usize> = (0..25).map(|k| [0, 2, 9][k % 3]).collect();
        SweepTensors {
            delays: Delays::new(&steps).map(Arc::new),
            ..sweep::<B>(case)
        }
    }
    assert!(
        Gpu::sweep_with_pullback(&delayed(&case), Operands::default().map(|(): ()| true)).is_none()
    );
    let outputs = numbers::<Gpu>(Gpu::sweep(delayed(&case)).outputs.unwrap());
    let exact = numbers::<F64>(F64::sweep(delayed(&case)).outputs.unwrap());
    assert!(relative_error(&outputs, &exact) < 1e-5);
}

/// The edges of tiles, of groups of threads and of what fits into one launch.
#[test]
fn every_class_of_sizes_agrees() {
    for (units, trials) in [
        (128, 3),
        (129, 5),
        (256, 1),
        (257, 4),
        (512, 2),
        (513, 9),
        (600, 1),
    ] {
        for form in [Form::Voltage, Form::Rate] {
            let case = Case {
                form,
                noise_target: match form {
                    Form::Voltage => NoiseTarget::State,
                    Form::Rate => NoiseTarget::Drive,
                },
                ..case(units, trials, 3)
            };
            let (name, error) = worst(&case).expect("tanh has no kink");
            assert!(
                error < 1e-5,
                "{units} units, {trials} trials, {form:?}: {name} {error:e}"
            );
        }
    }
}

/// The edges of tiles, of groups of threads, of what fits into one launch, and ranks above the number of threads.
#[test]
fn every_class_of_factors_agrees() {
    use Form::{Rate, Voltage};
    for (units, trials, rank, without_full, form) in [
        (1, 1, 1, true, Voltage),
        (33, 5, 33, true, Rate),
        (129, 3, 2, false, Voltage),
        (130, 5, 130, true, Voltage),
        (512, 2, 4, false, Rate),
        (513, 9, 3, false, Voltage),
        (513, 9, 3, true, Rate),
        (600, 1, 70, false, Rate),
        (1025, 3, 2, true, Voltage),
        (2049, 9, 1, true, Voltage),
    ] {
        let case = Case {
            rank,
            without_full,
            form,
            noise_target: match form {
                Voltage => NoiseTarget::State,
                Rate => NoiseTarget::Drive,
            },
            ..case(units, trials, 4)
        };
        let (name, error) = worst(&case).expect("tanh has no kink");
        assert!(error < 1e-5, "{name}: {error:e} for {case:?}");
    }
}

/// More than 512 trials take tiles of eight.
#[test]
fn many_trials_agree() {
    for rank in [0, 2] {
        let case = Case {
            rank,
            ..case(5, 530, 3)
        };
        let (name, error) = worst(&case).expect("tanh has no kink");
        assert!(error < 1e-5, "{name}: {error:e} for {case:?}");
    }
}

/// More than 4 million numbers, which are more threads than a row of cubes has.
#[test]
fn large_trajectories_agree() {
    let (name, error) = worst(&case(8, 530, 1000)).expect("tanh has no kink");
    assert!(error < 1e-5, "{name}: {error:e}");
}

#[test]
fn a_time_loop_is_one_launch_up_to_512_units_and_one_per_time_step_beyond() {
    let (resident, stepped) = ([1, 1], [4, 5]);
    for (units, rank, without_full, expected) in [
        (1, 0, false, resident),
        (70, 0, false, resident),
        (512, 0, false, resident),
        (513, 0, false, stepped),
        (512, 2, false, resident),
        (513, 2, false, stepped),
        (70, 2, true, resident),
        (900, 2, true, resident),
        (2049, 2, true, stepped),
    ] {
        let case = Case {
            rank,
            without_full,
            ..case(units, 2, 4)
        };
        let before = launches();
        drop(results::<Gpu>(&case));
        let after = launches();
        let loops = [
            after.forward - before.forward,
            after.backward - before.backward,
        ];
        assert_eq!(loops, expected, "{case:?}");
        assert!(after.other - before.other < 32, "{after:?}");
    }
}

#[test]
fn the_same_sweep_gives_the_same_bits() {
    for rank in [0, 3] {
        let case = Case {
            rank,
            ..case(33, 17, 20)
        };
        assert_eq!(results::<Gpu>(&case), results::<Gpu>(&case));
    }
}

/// A unit without leak and without synapses keeps its potential v: its rate is f(v), and the gradient of the sum of all rates with
/// respect to its initial state is f'(v). Slopes are computed from rates, so that a saturated one has an absolute error; that of the cubic is
/// inversely proportional to the slope.
#[test]
fn activations_agree_with_the_scalar_form() {
    let n = 256;
    let potentials: Vec<f32> = (0..n as i32)
        .map(|k| [-86.0, 20.0, 2.0, -1e-3][k as usize % 4] * (k + 1) as f32 / n as f32)
        .collect();
    let device = Default::default();
    let vector = |x: f32| host_tensor::<Gpu, 1>(TensorData::new(vec![x; n], [n]), &device);
    let matrix = |values: Vec<f32>, shape: [usize; 2]| {
        primitive(host_tensor::<Gpu, 2>(
            TensorData::new(values, shape),
            &device,
        ))
    };
    for activation in Activation::ALL {
        let case = Case {
            activation,
            noise: Noise::Off,
            inputs: 1,
            ..case(n, 1, 1)
        };
        let mut sweep = sweep::<Gpu>(&case);
        sweep.operands = Operands {
            w_in: matrix(vec![0.0; n], [n, 1]),
            w_rc: matrix(vec![0.0; n * n], [n, n]),
            bias: primitive(vector(0.0)),
            decay: primitive(vector(1.0)),
            initial_state: UnitState {
                activity: matrix(potentials.clone(), [1, n]),
                ..sweep.operands.initial_state
            },
            ..sweep.operands
        };
        let wanted = Operands::default().map(|_: ()| true);
        let (results, pullback) = Gpu::sweep_with_pullback(&sweep, wanted).expect("a fused sweep");
        let ones = host_tensor::<Gpu, 3>(TensorData::new(vec![1.0f32; n], [1, 1, n]), &device);
        let upstream = ResultTensors::<Gpu> {
            rates: Some(primitive(ones)),
            ..SweepResults::default()
        };
        let gradients = pullback.apply(upstream);
        let rates = numbers::<Gpu>(results.rates.expect("recorded"));
        let slopes = numbers::<Gpu>(gradients.initial_state.activity.expect("wanted"));
        for ((&v, rate), slope) in potentials.iter().zip(rates).zip(slopes) {
            let [r, s] = [activation.value(v.into()), activation.slope(v.into())];
            // An exponent is reduced by a multiply-add, which a driver may round twice: an error of eps |v|.
            let limit = 2e-6 + f64::from(f32::EPSILON * v.abs());
            let scale = match activation {
                Activation::Cubic => s.max(slope),
                _ => 1.0 / s.max(1.0),
            };
            let errors = [
                (rate - r).abs() / r.abs().max(1e-37),
                (slope - s).abs() * scale,
            ];
            assert!(
                errors.iter().all(|&error| error < limit),
                "{activation:?} at {v}: {rate} for {r}, slope {slope} for {s}"
            );
        }
    }
}
