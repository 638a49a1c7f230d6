//! The dynamics against numbers worked out independently, and the gradients against finite differences.

use burn::tensor::{Tensor, TensorData};
use burn_autodiff::Autodiff;
use burn_ndarray::NdArray;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::{
    Activation, Ceiling, CtrnnConfig, CtrnnModule, Form, Forward, FullMatrix, FusedOps,
    InitialState, InputStage, Integrator, Leak, LearnedTimeConstants, LowRank, Noise, NoiseAddress,
    NoiseConvention, NoiseLevels, OutputNonlinearity, Parameter, PreactivationNoise, Record,
    RecurrenceBackend, Role, TimeConstants, Trajectory, Weights,
};

use super::plasticity_tests;

mod delays;

pub(super) type F64 = NdArray<f64>;
pub(super) type Grad = Autodiff<F64>;

/// Values by formula, so that no two weights agree and none is special.
pub(super) fn formula(size: usize, scale: f64, phase: f64) -> Vec<f64> {
    (0..size)
        .map(|k| scale * (1.7 * k as f64 + phase).sin())
        .collect()
}

fn weights_by_formula(config: &CtrnnConfig, scale: f64) -> Weights {
    let trained = config.parameters().into_iter().filter(|p| p.is_trained);
    trained
        .enumerate()
        .map(|(k, p)| {
            let values = formula(p.n_elements(), scale, k as f64);
            (
                array_of(config, p.parameter),
                TensorData::new(values, p.shape),
            )
        })
        .collect()
}

/// Name of the array that gives a parameter: with factors, `recurrent.weight` is the sum of the full matrix and their product.
fn array_of(config: &CtrnnConfig, parameter: Parameter) -> String {
    match (&config.low_rank, parameter) {
        (Some(_), Parameter::RECURRENT_WEIGHT) => "recurrent.weight_raw".to_owned(),
        _ => parameter.name(),
    }
}

pub(super) fn small(form: Form, activation: Activation) -> CtrnnConfig {
    CtrnnConfig {
        form,
        activation,
        ..CtrnnConfig::new(2, 3, 2)
    }
}

pub(super) fn inputs<B: burn::tensor::backend::Backend>([b, t, i]: [usize; 3]) -> Tensor<B, 3> {
    let data = TensorData::new(formula(b * t * i, 1.0, 0.5), [b, t, i]);
    crate::host_tensor(data, &Default::default())
}

fn all() -> Forward<F64> {
    Forward {
        record: Record::ALL,
        ..Forward::default()
    }
}

pub(super) fn values<const D: usize>(x: &Tensor<F64, D>) -> Vec<f64> {
    x.to_data().to_vec().unwrap()
}

pub(crate) fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (k, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(
            (a - b).abs() <= tolerance * (1.0 + b.abs()),
            "index {k}: {a} is not {b}"
        );
    }
}

/// One unit by hand: alpha 0.2, w_rc 0.5, w_in 2, b 0.1, w_out 3, b_out -1, u = 1, v(0) = 1, relu.
/// v(1) = 0.8 + 0.2 (0.5 + 2 + 0.1) = 1.32, y = 2.96; v(2) = 1.056 + 0.2 (0.66 + 2.1) = 1.608, y = 3.824.
#[test]
fn one_unit_by_hand() {
    let config = CtrnnConfig {
        initial_state: InitialState::Given(vec![1.0]),
        ..CtrnnConfig::new(1, 1, 1)
    };
    let scalars = [
        (Parameter::RECURRENT_WEIGHT, 0.5),
        (Parameter::INPUT_WEIGHT, 2.0),
        (Parameter::RECURRENT_BIAS, 0.1),
        (Parameter::OUTPUT_WEIGHT, 3.0),
        (Parameter::OUTPUT_BIAS, -1.0),
    ];
    let weights = scalars
        .map(|(p, w)| {
            (
                p.name().to_owned(),
                TensorData::new(vec![w], p.shape(&config)),
            )
        })
        .into();
    let network = config.init::<F64>(0, &Default::default()).unwrap();
    let network = network.with_weights(&weights).unwrap();
    let u = Tensor::ones([1, 2, 1], &Default::default());
    let trajectory = network.forward(u.clone(), &all());
    assert_close(
        &values(&trajectory.potentials.unwrap()),
        &[1.32, 1.608],
        1e-12,
    );
    assert_close(&values(&trajectory.outputs), &[2.96, 3.824], 1e-12);
    assert_close(&values(&trajectory.final_state.activity), &[1.608], 1e-12);
    let next = network.step(
        network.rested(Tensor::ones([1, 1], &Default::default())),
        u.slice([0..1, 0..1, 0..1]).reshape([1, 1]),
    );
    assert_close(&values(&next.activity), &[1.32], 1e-12);
}

/// Without recurrence a unit under constant input relaxes as v(t) = u (1 - exp(-t / tau)); Euler's error is of first
/// order, so halving dt halves it.
#[test]
fn halving_dt_halves_the_error_of_a_leaky_unit() {
    let error_at_tau = |dt_ms: f64| {
        let mut config = CtrnnConfig {
            dt_ms,
            activation: Activation::Linear,
            ..CtrnnConfig::new(1, 1, 1)
        };
        config.init.recurrent = crate::WeightInit::Zero;
        let one = TensorData::new(vec![1.0], [1, 1]);
        let weights = [("input.weight".to_owned(), one)].into();
        let network = config.init::<F64>(0, &Default::default()).unwrap();
        let network = network.with_weights(&weights).unwrap();
        let steps = (100.0 / dt_ms) as usize; // one tau
        let u = Tensor::ones([1, steps, 1], &Default::default());
        let v = values(&network.forward(u, &Forward::default()).final_state.activity)[0];
        (v - (1.0 - (-1.0f64).exp())).abs()
    };
    let order = (error_at_tau(5.0) / error_at_tau(2.5)).log2();
    assert!((order - 1.0).abs() < 0.05, "order {order}");
}

/// Every form, activation and noise convention against a float64 loop in numpy (`tests/golden/make_ctrnn.py`).
#[test]
fn golden_trajectories() {
    let text = include_str!("../../../../tests/golden/ctrnn.json");
    let golden: serde_json::Value = serde_json::from_str(text).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() >= 2 * Activation::ALL.len());
    for case in cases {
        golden_case(&golden, case);
    }
}

pub(super) fn floats(value: &serde_json::Value) -> Vec<f64> {
    match value {
        serde_json::Value::Array(items) => items.iter().flat_map(floats).collect(),
        number => vec![number.as_f64().unwrap()],
    }
}

fn golden_case(golden: &serde_json::Value, case: &serde_json::Value) {
    let number = |key: &str| golden[key].as_f64().unwrap();
    let convention = case["convention"].as_str();
    let noise = NoiseLevels {
        preactivation: number("sigma").into(),
        postactivation: number("sigma_post"),
        convention: NoiseConvention::ALL
            .into_iter()
            .find(|c| Some(c.name()) == convention)
            .unwrap_or_default(),
        ..NoiseLevels::default()
    };
    let form = if case["form"] == "rate" {
        Form::Rate
    } else {
        Form::Voltage
    };
    let config = CtrnnConfig {
        initial_state: InitialState::Zero,
        dt_ms: number("dt_ms"),
        tau_ms: number("tau_ms").into(),
        noise,
        ..small(
            form,
            Activation::from_name(case["activation"].as_str().unwrap()).unwrap(),
        )
    };
    let weights = config
        .parameters()
        .into_iter()
        .zip(["w_in", "w_rc", "bias", "w_out", "bias_out"])
        .map(|(p, key)| {
            (
                p.parameter.name(),
                TensorData::new(floats(&golden[key]), p.shape),
            )
        })
        .collect();
    let network = config.init::<F64>(0, &Default::default()).unwrap();
    let network = network.with_weights(&weights).unwrap();
    let device = Default::default();
    let array = |key: &str, width: usize| {
        Tensor::<F64, 3>::from_data(
            TensorData::new(floats(&golden[key]), [2, 5, width]),
            &device,
        )
    };
    let given = Noise::Given {
        preactivation: Some(array("preactivation_noise", 3)),
        postactivation: Some(array("postactivation_noise", 3)),
        input: None,
    };
    let forward = Forward {
        noise: if convention.is_some() {
            given
        } else {
            Noise::Off
        },
        initial_state: Some(network.rested(Tensor::from_data(
            TensorData::new(floats(&golden["initial_state"]), [2, 3]),
            &device,
        ))),
        record: Record::ALL,
        ..Forward::default()
    };
    for found in [
        network.forward(array("inputs", 2), &forward),
        network.forward_reference(array("inputs", 2), &forward),
    ] {
        assert_close(
            &values(&found.potentials.unwrap()),
            &floats(&case["potentials"]),
            1e-10,
        );
        assert_close(
            &values(&found.rates.unwrap()),
            &floats(&case["rates"]),
            1e-10,
        );
        assert_close(&values(&found.outputs), &floats(&case["outputs"]), 1e-10);
    }
}

/// A noisy pass that records everything, with conditions in turn for networks that ask for them.
fn noisy_pass<B: RecurrenceBackend>(config: &CtrnnConfig, b: usize) -> Forward<B> {
    let conditions = match config.initial_state {
        InitialState::LearnedPerCondition => {
            (0..b).map(|trial| trial % config.n_conditions).collect()
        }
        _ => Vec::new(),
    };
    Forward {
        record: Record::ALL,
        noise: Noise::Drawn(NoiseAddress::default()),
        conditions,
        ..Forward::default()
    }
}

/// A loss that uses outputs, rates, potentials and final state, each with its own sign pattern.
pub(super) fn loss_of<B: RecurrenceBackend>(
    network: &CtrnnModule<B>,
    trajectory: Trajectory<B>,
) -> Tensor<B, 1> {
    let wave = |x: Tensor<B, 3>| (x.clone().square() * 0.3 + x).mean();
    let loss = wave(network.activate(trajectory.outputs)) + wave(trajectory.rates.unwrap()) * 0.7
        - wave(trajectory.potentials.unwrap()) * 0.4
        + trajectory.final_state.activity.clone().square().mean();
    match trajectory.utilisation.zip(trajectory.resources) {
        None => loss,
        Some((utilisation, resources)) => {
            let last = trajectory.final_state;
            let synapses = wave(utilisation) * 0.6 - wave(resources) * 0.5;
            loss + synapses + last.utilisation.square().mean() - last.resources.square().mean()
        }
    }
}

fn loss(network: &CtrnnModule<Grad>, b: usize, t: usize) -> Tensor<Grad, 1> {
    let i = network.config().n_inputs;
    let forward = noisy_pass(network.config(), b);
    loss_of(network, network.forward(inputs([b, t, i]), &forward))
}

fn loss_value(network: &CtrnnModule<Grad>, b: usize, t: usize) -> f64 {
    loss(network, b, t).into_scalar()
}

/// Every gradient against central differences in f64, 1e-6 relative to the largest of its tensor.
pub(super) fn check_gradients(config: &CtrnnConfig, b: usize, t: usize) {
    let trained = config.parameters().into_iter().filter(|p| p.is_trained);
    let names: Vec<String> = trained.map(|p| p.parameter.name()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    check_gradients_of(config, &names, b, t);
}

/// As [`check_gradients`], of some parameters; masked matrices keep their drawn weights.
fn check_gradients_of(config: &CtrnnConfig, names: &[&str], b: usize, t: usize) {
    let device = Default::default();
    let mut base = weights_by_formula(config, 0.7);
    for (name, density) in [
        ("input.weight", config.density.input),
        ("output.weight", config.density.output),
    ] {
        if density < 1.0 {
            base.remove(name);
        }
    }
    let build = |weights: &Weights| {
        let network = config.init::<Grad>(0, &device).unwrap();
        network.with_weights(weights).unwrap()
    };
    let network = build(&base);
    assert_away_from_kinks(&network, b, t);
    let grads = loss(&network, b, t).backward();
    let flat = |g: Tensor<F64, 2>| g.to_data().to_vec::<f64>().unwrap();
    let vector = |p: &Option<burn::module::Param<Tensor<Grad, 1>>>| {
        p.as_ref()
            .map(|p| p.grad(&grads).unwrap().to_data().to_vec::<f64>().unwrap())
    };
    let checked = config.parameters().into_iter().map(|p| p.parameter);
    let checked = checked.filter(|&p| !config.is_frozen(p));
    for parameter in checked.filter(|p| names.contains(&p.name().as_str())) {
        if config.n_inputs == 0 && parameter == Parameter::INPUT_WEIGHT {
            continue;
        }
        let found = match parameter.role {
            Role::InputWeight => flat(network.w_in_raw.grad(&grads).unwrap()),
            Role::RecurrentWeight => flat(network.w_rc_raw.grad(&grads).unwrap()),
            Role::RecurrentLeft => flat(network.left.as_ref().unwrap().grad(&grads).unwrap()),
            Role::RecurrentRight => flat(network.right.as_ref().unwrap().grad(&grads).unwrap()),
            Role::OutputWeight => flat(network.w_out_raw.grad(&grads).unwrap()),
            Role::RecurrentBias => vector(&network.bias).unwrap(),
            Role::OutputBias => vector(&network.bias_out).unwrap(),
            Role::InitialState => match &network.condition_states {
                Some(states) => flat(states.grad(&grads).unwrap()),
                None => vector(&network.initial_state).unwrap(),
            },
            Role::TimeConstants => vector(&network.tau_raw).unwrap(),
        };
        let expected: Vec<f64> = (0..found.len())
            .map(|k| {
                let moved = |by: f64| {
                    let mut weights = base.clone();
                    let data = weights.get_mut(&array_of(config, parameter)).unwrap();
                    data.as_mut_slice::<f64>().unwrap()[k] += by;
                    loss_value(&build(&weights), b, t)
                };
                let h = 1e-5;
                (moved(h) - moved(-h)) / (2.0 * h)
            })
            .collect();
        let largest = expected.iter().fold(1e-3, |m: f64, x| m.max(x.abs()));
        for (k, (a, e)) in found.iter().zip(&expected).enumerate() {
            let (form, activation, name) = (config.form, config.activation, parameter.name());
            assert!(
                (a - e).abs() < 1e-6 * largest,
                "{form:?} {activation:?} {name}[{k}]: {a} is not {e}"
            );
        }
    }
}

fn has_kink(activation: Activation) -> bool {
    !kinks(activation).is_empty()
}

/// Potentials at which the slope jumps.
fn kinks(activation: Activation) -> Vec<f64> {
    match activation {
        Activation::Relu | Activation::Retanh | Activation::LeakyRelu(_) => vec![0.0],
        Activation::ClippedRelu(ceiling) => vec![0.0, ceiling.maximum],
        Activation::Power(law) if law.exponent == 1.0 => vec![law.threshold],
        Activation::Cubic => vec![-1.0, 1.0], // the rate determines a slope near 0 to few digits
        _ => Vec::new(),
    }
}

/// Every activation with its usual parameters, and some with others.
fn activations() -> Vec<Activation> {
    let others = [
        Activation::power(1.0, 0.5, -0.3),
        Activation::power(2.0, 0.4, -0.2),
        Activation::power(2.2, 0.4, -0.3),
        Activation::LeakyRelu(Leak { slope: 0.2 }),
        Activation::ClippedRelu(Ceiling { maximum: 0.3 }),
    ];
    Activation::ALL.into_iter().chain(others).collect()
}

/// Finite differences mean nothing across a kink: every potential is at least 1e-4 from it, ten
/// times the difference.
fn assert_away_from_kinks(network: &CtrnnModule<Grad>, b: usize, t: usize) {
    if !has_kink(network.config().activation) {
        return;
    }
    let forward = noisy_pass(network.config(), b);
    let v = network
        .forward(inputs([b, t, network.config().n_inputs]), &forward)
        .potentials
        .unwrap();
    for kink in kinks(network.config().activation) {
        let nearest = (v.clone() - kink).abs().min().into_scalar();
        assert!(nearest > 1e-4, "a potential is {nearest} from the kink");
    }
}

#[test]
fn gradients_agree_with_finite_differences() {
    for form in [Form::Voltage, Form::Rate] {
        for activation in activations() {
            check_gradients(&small(form, activation), 2, 4);
        }
    }
}

#[test]
fn gradients_agree_under_noise_of_every_convention() {
    for form in [Form::Voltage, Form::Rate] {
        for convention in NoiseConvention::ALL {
            let noise = NoiseLevels {
                preactivation: 0.1.into(),
                postactivation: 0.2,
                convention,
                ..NoiseLevels::default()
            };
            let config = CtrnnConfig {
                noise,
                ..small(form, Activation::Tanh)
            };
            check_gradients(&config, 2, 4);
        }
    }
}

/// Factors of rank 1 to N, alone and on top of a full matrix, in both forms, with noise, masks and learned time constants.
#[test]
fn gradients_agree_through_factors() {
    for form in [Form::Voltage, Form::Rate] {
        for full in FullMatrix::ALL {
            for rank in 1..=3 {
                let mut config = CtrnnConfig {
                    low_rank: Some(LowRank {
                        rank,
                        full,
                        ..LowRank::default()
                    }),
                    ..small(form, Activation::Softplus)
                };
                check_gradients(&config, 2, 4);
                config.tau_ms = learned_tau(true);
                config.density.input = 0.5;
                config.density.output = 0.5;
                let config = noisy(config, 0.1.into());
                check_gradients_of(
                    &config,
                    &["recurrent.left", "recurrent.right", "tau_raw"],
                    2,
                    3,
                );
            }
        }
    }
}

fn learned_tau(per_unit: bool) -> TimeConstants {
    TimeConstants::Learned(LearnedTimeConstants {
        initial: Box::new(60.0.into()),
        bounds: [20.0, 150.0],
        per_unit,
    })
}

/// Noise of every kind and inputs with a baseline.
fn noisy(config: CtrnnConfig, preactivation: PreactivationNoise) -> CtrnnConfig {
    CtrnnConfig {
        noise: NoiseLevels {
            preactivation,
            postactivation: 0.2,
            input: 0.1,
            initial_state: 0.1,
            ..config.noise
        },
        input: InputStage {
            baseline: 0.3,
            rectify: true,
        },
        ..config
    }
}

#[test]
fn gradients_agree_through_time_constants_integrators_and_noise() {
    let per_unit = PreactivationNoise::PerUnit(vec![0.1, 0.0, 0.3]);
    let covariance = vec![
        vec![0.02, 0.01, 0.0],
        vec![0.01, 0.03, 0.0],
        vec![0.0, 0.0, 0.0],
    ];
    for form in [Form::Voltage, Form::Rate] {
        for integrator in Integrator::ALL {
            for convention in NoiseConvention::ALL {
                for tau_ms in [
                    learned_tau(false),
                    learned_tau(true),
                    TimeConstants::PerUnit(vec![20.0, 50.0, 100.0]),
                ] {
                    let mut config = CtrnnConfig {
                        integrator,
                        tau_ms,
                        ..small(form, Activation::Tanh)
                    };
                    config.noise.convention = convention;
                    check_gradients(&config, 2, 3);
                    check_gradients(&noisy(config.clone(), per_unit.clone()), 2, 3);
                    let covariance = covariance.clone();
                    let covariance = PreactivationNoise::Covariance { covariance };
                    check_gradients(&noisy(config, covariance), 2, 3);
                }
            }
        }
    }
}

#[test]
fn gradients_agree_through_initial_states_and_output_nonlinearities() {
    for form in [Form::Voltage, Form::Rate] {
        for output_nonlinearity in OutputNonlinearity::ALL {
            let config = CtrnnConfig {
                output_nonlinearity,
                initial_state: InitialState::LearnedPerCondition,
                n_conditions: 2,
                ..small(form, Activation::Softplus)
            };
            check_gradients(&config, 3, 3);
        }
    }
}

#[test]
fn the_smallest_networks_have_gradients_too() {
    check_gradients(&CtrnnConfig::new(0, 3, 1), 2, 3);
    check_gradients(&CtrnnConfig::new(0, 1, 1), 1, 1);
    check_gradients(&CtrnnConfig::new(1, 1, 1), 1, 1);
}

#[test]
fn readout_noise_never_enters_the_dynamics() {
    let quiet = CtrnnConfig::new(2, 8, 2);
    let noisy = CtrnnConfig {
        noise: NoiseLevels {
            postactivation: 0.5,
            ..NoiseLevels::default()
        },
        ..quiet.clone()
    };
    let run = |config: &CtrnnConfig| {
        let network = config.init::<F64>(3, &Default::default()).unwrap();
        let forward = Forward {
            noise: Noise::Drawn(NoiseAddress::default()),
            ..all()
        };
        network.forward(inputs([3, 6, 2]), &forward)
    };
    let (a, b) = (run(&quiet), run(&noisy));
    assert_eq!(
        values(&a.potentials.unwrap()),
        values(&b.potentials.unwrap())
    );
    assert_ne!(values(&a.outputs), values(&b.outputs));
}

#[test]
fn drawn_noise_is_addressed_by_trial_not_by_batch() {
    let config = CtrnnConfig {
        noise: NoiseLevels {
            preactivation: 0.3.into(),
            ..NoiseLevels::default()
        },
        ..CtrnnConfig::new(0, 4, 1)
    };
    let network = config.init::<F64>(3, &Default::default()).unwrap();
    let run = |trials: usize, first_trial: u32| {
        let address = NoiseAddress {
            seed: 5,
            step: 9,
            first_trial,
            first_time_step: 0,
        };
        let forward = Forward {
            noise: Noise::Drawn(address),
            ..Forward::default()
        };
        network.forward(Tensor::zeros([trials, 7, 0], &Default::default()), &forward)
    };
    let (whole, second) = (run(2, 0).outputs, run(1, 1).outputs);
    assert_eq!(values(&whole.slice([1..2, 0..7, 0..1])), values(&second));
}

#[test]
fn weights_survive_the_way_out_and_in() {
    let config = CtrnnConfig::new(2, 5, 3);
    let device = Default::default();
    let a = config.init::<NdArray<f32>>(1, &device).unwrap();
    let b = config.init::<NdArray<f32>>(2, &device).unwrap();
    assert_ne!(a.weights(), b.weights());
    assert_eq!(b.with_weights(&a.weights()).unwrap().weights(), a.weights());
}

/// Loss and all gradients, by the fused or by the plain path.
fn loss_and_gradients<B>(config: &CtrnnConfig, b: usize, t: usize, fused: bool) -> Vec<Vec<f64>>
where
    B: RecurrenceBackend,
    Autodiff<B>: RecurrenceBackend,
{
    let device = Default::default();
    let network = config.init::<Autodiff<B>>(11, &device).unwrap();
    let mut vectors = weights_by_formula(config, 0.5);
    // Matrices stay at their natural scale.
    vectors.retain(|name, _| !name.ends_with(".weight") && !name.ends_with(".weight_raw"));
    let network = network.with_weights(&vectors).unwrap();
    let forward = noisy_pass(config, b);
    let u = inputs([b, t, config.n_inputs]);
    let trajectory = if fused {
        network.forward(u, &forward)
    } else {
        network.forward_reference(u, &forward)
    };
    let loss = loss_of(&network, trajectory);
    let grads = loss.backward();
    let list = |data: TensorData| data.iter::<f64>().collect::<Vec<f64>>();
    let mut found = vec![list(loss.to_data())];
    if config.n_inputs > 0 {
        found.push(list(network.w_in_raw.grad(&grads).unwrap().to_data()));
    }
    let full = Parameter::RECURRENT_WEIGHT;
    if full.is_trained(config) && !config.is_frozen(full) {
        found.push(list(network.w_rc_raw.grad(&grads).unwrap().to_data()));
    }
    for factor in [&network.left, &network.right].into_iter().flatten() {
        found.push(list(factor.grad(&grads).unwrap().to_data()));
    }
    found.push(list(network.w_out_raw.grad(&grads).unwrap().to_data()));
    for vector in [
        &network.bias,
        &network.bias_out,
        &network.initial_state,
        &network.tau_raw,
    ]
    .into_iter()
    .flatten()
    {
        found.push(list(vector.grad(&grads).unwrap().to_data()));
    }
    if let Some(states) = &network.condition_states {
        found.push(list(states.grad(&grads).unwrap().to_data()));
    }
    found
}

/// The worst difference of two sets of results.
fn worst(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(a, b)| relative_difference(a, b))
        .fold(0.0, f64::max)
}

/// Relative to the largest entry, or to 0.01 where all are smaller: terms of the loss, which is near 1, cancel there.
fn relative_difference(a: &[f64], b: &[f64]) -> f64 {
    let largest = b.iter().fold(1e-2, |m: f64, x| m.max(x.abs()));
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs() / largest)
        .fold(0.0, f64::max)
}

fn any_network() -> impl Strategy<Value = (CtrnnConfig, usize, usize)> {
    let sizes = (0usize..4, 1usize..40, 1usize..4, 1usize..12, 1usize..14);
    let n_activations = activations().len();
    let kinds = (
        0usize..2,
        0..n_activations,
        0usize..3,
        0usize..4,
        0.02f64..1.0,
    );
    let variants = (0usize..4, 0usize..2, 0usize..2, 0usize..3, prop::bool::ANY);
    let matrices = (
        0usize..6,
        0.0f64..1.0,
        prop::bool::ANY,
        0usize..4,
        0usize..4,
    );
    (sizes, kinds, variants, matrices).prop_map(
        |((i, n, o, b, t), (form, activation, convention, noise, alpha), variants, matrices)| {
            let (factors, rank, sparse, plasticity, delays) = matrices;
            let (tau, integrator, state, output, cooked) = variants;
            let mut config = CtrnnConfig {
                form: [Form::Voltage, Form::Rate][form],
                activation: activations()[activation],
                integrator: Integrator::ALL[integrator],
                tau_ms: any_tau(tau, n),
                initial_state: [InitialState::Learned, InitialState::LearnedPerCondition][state]
                    .clone(),
                n_conditions: 3,
                output_nonlinearity: match OutputNonlinearity::ALL[output] {
                    OutputNonlinearity::Softmax if o == 1 => OutputNonlinearity::Sigmoid,
                    other => other,
                },
                ..CtrnnConfig::new(i, n, o)
            };
            config.noise.convention = NoiseConvention::ALL[convention];
            config.noise.preactivation = any_noise(noise, n);
            config.noise.postactivation = if noise > 0 { 0.1 } else { 0.0 };
            if cooked {
                config.noise.input = 0.1;
                config.noise.initial_state = 0.1;
                config.input = InputStage {
                    baseline: 0.2,
                    rectify: true,
                };
            }
            if config.activation.is_nonnegative() {
                config.short_term_plasticity = plasticity_tests::any_plasticity(plasticity, n);
            }
            let [mut shortest, _] = config.tau_ms.range_ms();
            if let Some(plasticity) = &config.short_term_plasticity {
                shortest = shortest.min(plasticity.range_ms()[0]);
            }
            config.dt_ms = alpha * shortest;
            config.low_rank = any_factors(factors, rank, n);
            if sparse {
                (config.density.input, config.density.output) = (0.6, 0.6);
            }
            if config.low_rank.is_none() {
                config.connectivity.delay_ms = any_delays(delays, n, config.dt_ms);
            }
            if matches!(config.activation, Activation::Power(_)) {
                // Squares feed on themselves: larger weights explode.
                match &mut config.low_rank {
                    Some(factors) => factors.gain = 0.1,
                    None => config.init.spectral_radius = Some(0.1.into()),
                }
            }
            (config, b, t)
        },
    )
}

fn any_tau(kind: usize, n: usize) -> TimeConstants {
    match kind {
        0 => TimeConstants::Shared(100.0),
        1 => TimeConstants::PerUnit((0..n).map(|unit| 100.0 + unit as f64).collect()),
        _ => learned_tau(kind == 2),
    }
}

/// Factors of rank 1 to n, alone or on top of a full matrix, for half of the networks.
fn any_factors(kind: usize, rank: f64, n: usize) -> Option<LowRank> {
    let full = *FullMatrix::ALL.get(kind)?;
    Some(LowRank {
        rank: 1 + (rank * n as f64) as usize,
        full,
        ..LowRank::default()
    })
}

/// No delays, delays without structure, or delays between two halves of the units, one longer than any trial.
fn any_delays(kind: usize, n: usize, dt_ms: f64) -> Option<Vec<f64>> {
    let steps = |k: usize| match (kind, 2 * (k / n) < n, 2 * (k % n) < n) {
        (2, ..) => [0.0, 1.0, 3.0][k % 3],
        (_, true, false) => 2.0,
        (_, false, true) => 20.0,
        _ => 0.0,
    };
    let delays = (0..n * n).map(|k| steps(k) * dt_ms);
    (kind > 1).then(|| delays.collect())
}

fn any_noise(kind: usize, n: usize) -> PreactivationNoise {
    match kind {
        0 => PreactivationNoise::default(),
        1 => 0.1.into(),
        2 => PreactivationNoise::PerUnit((0..n).map(|unit| 0.01 * unit as f64).collect()),
        _ => {
            let entry = |i: usize, j: usize| if i == j { 0.01 } else { 0.002 };
            let row = |i: usize| (0..n).map(|j| entry(i, j)).collect();
            PreactivationNoise::Covariance {
                covariance: (0..n).map(row).collect(),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fused_and_plain_path_agree((config, b, t) in any_network()) {
        let plain = loss_and_gradients::<NdArray<f64>>(&config, b, t, false);
        let double = worst(&loss_and_gradients::<NdArray<f64>>(&config, b, t, true), &plain);
        prop_assert!(double < 1e-12, "f64: {double} for {config:?}, {b} trials, {t} steps");
        // At a kink rounding alone decides the slope, so f32 is compared where f is smooth.
        if !has_kink(config.activation) {
            // The reference is in f64, so this counts rounding; plastic synapses multiply three rounded numbers.
            let limit = if config.short_term_plasticity.is_some() { 3e-5 } else { 1e-5 };
            let single = worst(&loss_and_gradients::<NdArray<f32>>(&config, b, t, true), &plain);
            prop_assert!(single < limit, "f32: {single} for {config:?}, {b} trials, {t} steps");
            #[cfg(feature = "flex")]
            {
                let flex = worst(&loss_and_gradients::<burn_flex::Flex>(&config, b, t, true), &plain);
                prop_assert!(flex < limit, "burn-flex: {flex} for {config:?}, {b} trials, {t} steps");
            }
        }
    }
}

#[test]
fn a_network_is_not_built_from_half_of_its_weights() {
    let config = CtrnnConfig::new(2, 5, 3);
    let network = config.init::<F64>(1, &Default::default()).unwrap();
    let mut weights = network.weights();
    weights.remove("recurrent.bias");
    let built = CtrnnModule::<F64>::from_weights(&config, &weights, &Default::default());
    let expected = crate::ModelError::MissingTensor {
        name: "recurrent.bias".to_owned(),
    };
    assert_eq!(built.err(), Some(expected));
}

/// 40 trials of 120 steps are three segments. With delays the trajectory is kept after all.
#[test]
fn recomputing_the_trajectory_changes_no_gradient() {
    let factors = Some(LowRank {
        rank: 2,
        full: FullMatrix::Trained,
        ..LowRank::default()
    });
    let kinds = [Form::Voltage, Form::Rate].into_iter();
    let kinds = kinds.flat_map(|form| [0, 3].map(|plasticity| (form, plasticity)));
    let variants = [(None, 0), (factors, 0), (None, 2)];
    for ((form, plasticity), (low_rank, delays)) in
        kinds.flat_map(|kind| variants.clone().map(|variant| (kind, variant)))
    {
        let mut config = CtrnnConfig {
            form,
            low_rank,
            activation: Activation::Sigmoid,
            short_term_plasticity: plasticity_tests::any_plasticity(plasticity, 3),
            noise: NoiseLevels {
                preactivation: 0.1.into(),
                postactivation: 0.1,
                convention: NoiseConvention::Song,
                ..NoiseLevels::default()
            },
            ..CtrnnConfig::new(2, 3, 2)
        };
        config.connectivity.delay_ms = any_delays(delays, 3, config.dt_ms);
        let network = config
            .init::<Autodiff<F64>>(1, &Default::default())
            .unwrap();
        let gradients = |recompute: bool| {
            let forward = Forward {
                noise: Noise::Drawn(NoiseAddress::default()),
                recompute,
                ..Forward::default()
            };
            let trajectory = network.forward(inputs([40, 120, 2]), &forward);
            let loss = trajectory.outputs.square().mean() + trajectory.final_state.activity.sum();
            let grads = loss.backward();
            let list = |data: TensorData| data.iter::<f64>().collect::<Vec<f64>>();
            let initial_state = network.initial_state.as_ref().unwrap();
            let factors = [&network.left, &network.right].into_iter().flatten();
            let factors = factors.map(|factor| list(factor.grad(&grads).unwrap().to_data()));
            let mut found = vec![
                list(loss.to_data()),
                list(network.w_in_raw.grad(&grads).unwrap().to_data()),
                list(network.w_rc_raw.grad(&grads).unwrap().to_data()),
                list(network.w_out_raw.grad(&grads).unwrap().to_data()),
                list(initial_state.grad(&grads).unwrap().to_data()),
            ];
            found.extend(factors);
            found
        };
        let difference = worst(&gradients(true), &gradients(false));
        assert!(difference < 1e-12, "{form:?}: {difference}");
    }
}

/// The squared error as one operation, and as tensor operations; times 3, so that the upstream gradient is not 1.
#[test]
fn a_squared_error_and_its_gradient_are_those_of_tensor_operations() {
    for width in [1, 3] {
        let [y, target] = [[4, 5, 3]; 2].map(inputs::<Grad>);
        let weights = inputs::<Grad>([4, 5, width]).abs();
        let (one, many) = (y.clone().require_grad(), y.require_grad());
        let target = target.mul_scalar(0.3);
        let (sum, gradient) = Grad::squared_error(one.clone(), target.clone(), weights.clone());
        let fused = Grad::with_gradient(one.clone(), sum, gradient) * 3.0;
        let plain = ((many.clone() - target).square() * weights).sum() * 3.0;
        let (a, b) = (
            values(&fused.clone().inner()),
            values(&plain.clone().inner()),
        );
        assert!((a[0] / b[0] - 1.0).abs() < 1e-14, "{a:?} {b:?}");
        let fused = one.grad(&fused.backward()).expect("tracked");
        let plain = many.grad(&plain.backward()).expect("tracked");
        for (a, b) in values(&fused).into_iter().zip(values(&plain)) {
            assert!((a - b).abs() < 1e-14, "{a} {b}");
        }
    }
}

/// Moments and forms of rates are those of tensor operations, and so is the gradient of the moments; the rates stand in memory in another
/// order.
#[test]
fn moments_of_rates_are_those_of_tensors() {
    let [b, t, n] = [5, 4, 3];
    let rates = inputs::<Grad>([b, t, n]).swap_dims(0, 1);
    let (mean, weights) = (inputs::<Grad>([1, 1, n]), inputs::<Grad>([t, b, 1]));
    let matrix = inputs::<Grad>([1, n, n]).squeeze_dim::<2>(0);
    let (one, many) = (rates.clone().require_grad(), rates.require_grad());
    let deviations = many.clone() - mean.clone();
    let rows = |all: Tensor<Grad, 3>| all.reshape([t * b, n]);
    let weighted = rows(deviations.clone() * weights.clone());
    let plain = weighted.transpose().matmul(rows(deviations.clone()));
    let fused = Grad::second_moments(one.clone(), mean.clone(), weights.clone());
    let near = |found: Tensor<F64, 1>, expected: Tensor<F64, 1>| {
        for (a, b) in found
            .to_data()
            .iter::<f64>()
            .zip(expected.to_data().iter::<f64>())
        {
            assert!((a - b).abs() < 1e-13, "{a} {b}");
        }
    };
    near(
        fused.clone().inner().flatten(0, 1),
        plain.clone().inner().flatten(0, 1),
    );
    let found = one
        .grad(&(fused * matrix.clone()).backward())
        .expect("tracked");
    let expected = many
        .grad(&(plain * matrix.clone()).backward())
        .expect("tracked");
    near(found.flatten(0, 2), expected.flatten(0, 2));
    let squares = deviations.square().sum_dim(0).sum_dim(1);
    let found = Grad::squared_deviations(one.clone(), mean, weights.ones_like());
    near(found.inner().flatten(0, 2), squares.inner().flatten(0, 2));
    let forms = (rows(many.clone()).matmul(matrix.clone().transpose()) * rows(many)).sum_dim(1);
    let found = Grad::quadratic_forms(one, matrix);
    near(found.inner().flatten(0, 2), forms.inner().flatten(0, 1));
}

#[test]
#[should_panic(expected = "weights [4, 1, 1] of [4, 5, 3]")]
fn weights_of_another_shape_are_refused() {
    let [y, target] = [[4, 5, 3]; 2].map(inputs::<F64>);
    F64::squared_error(y, target, inputs([4, 1, 1]));
}

/// The transpose of a matrix has another order in memory.
#[test]
fn numbers_keep_their_order_in_another_shape() {
    let data = TensorData::from([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
    let matrix: Tensor<F64, 2> = crate::host_tensor(data, &Default::default());
    let flat = |matrix: Tensor<F64, 2>| {
        F64::reshaped(matrix, [6])
            .into_data()
            .iter()
            .collect::<Vec<f64>>()
    };
    assert_eq!(flat(matrix.clone()), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(flat(matrix.transpose()), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
}
