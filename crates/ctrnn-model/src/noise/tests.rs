//! Standard deviations, autocorrelations and covariances of every convention; input noise.

use burn_ndarray::NdArray;

use burn::tensor::{Tensor, TensorData};
use ctrnn_kernels::Form;

use super::*;
use crate::noise_sources::seen_inputs;
use crate::{
    Activation, CtrnnConfig, Forward, InitialState, Noise, NoiseAddress, Record, WeightInit,
};

type F32 = NdArray<f32>;

/// Units without weights, inputs or bias: what is left is the leak and the noise.
fn unconnected(n: usize, noise: NoiseLevels) -> CtrnnConfig {
    let mut config = CtrnnConfig {
        noise,
        activation: Activation::Linear,
        initial_state: InitialState::Zero,
        ..CtrnnConfig::new(0, n, 1)
    };
    config.init.recurrent = WeightInit::Zero;
    config
}

fn filled(shape: [usize; 3], value: f32) -> Tensor<F32, 3> {
    let values = vec![value; shape.iter().product()];
    host_tensor(TensorData::new(values, shape), &Default::default())
}

fn drawn(record: Record) -> Forward<F32> {
    Forward {
        noise: Noise::Drawn(NoiseAddress::default()),
        record,
        ..Forward::default()
    }
}

/// Rates `[trial][time][unit]` of `trials` trials from time step `from` to `to`.
fn rates(config: &CtrnnConfig, trials: usize, from: usize, to: usize) -> Vec<Vec<Vec<f64>>> {
    let network = config.init::<F32>(0, &Default::default()).unwrap();
    let inputs = filled([trials, to, 0], 0.0);
    let rates = network
        .forward(inputs, &drawn(Record::RATES))
        .rates
        .unwrap();
    let n = config.n_units;
    let late = rates.slice([0..trials, from..to, 0..n]).into_data();
    let late: Vec<f64> = late.iter().collect();
    let trial = |rows: &[f64]| rows.chunks(n).map(<[f64]>::to_vec).collect();
    late.chunks((to - from) * n).map(trial).collect()
}

/// The mean of the products of what `pair` picks at each trial and time.
fn mean(rates: &[Vec<Vec<f64>>], pair: impl Fn(&[Vec<f64>], usize) -> Option<f64>) -> f64 {
    let products: Vec<f64> = rates
        .iter()
        .flat_map(|trial| (0..trial.len()).filter_map(|t| pair(trial, t)))
        .collect();
    products.iter().sum::<f64>() / products.len() as f64
}

/// Without weights v' = d v + s n has the standard deviation s / sqrt(1 - d^2) and the autocorrelation d^k. Over 64 trials
/// of 32 units and 140 time steps, which count about 15 times for d = 0.82, the standard error is 0.4 %.
#[test]
fn each_convention_has_its_standard_deviation_and_autocorrelation() {
    let sigma = 0.3;
    for integrator in Integrator::ALL {
        for convention in NoiseConvention::ALL {
            for form in [Form::Voltage, Form::Rate] {
                let levels = NoiseLevels {
                    preactivation: sigma.into(),
                    convention,
                    ..NoiseLevels::default()
                };
                let config = CtrnnConfig {
                    integrator,
                    form,
                    ..unconnected(32, levels)
                };
                // dt 20 ms, tau 100 ms
                let a: f64 = match integrator {
                    Integrator::Euler => 0.2,
                    Integrator::Exponential => 1.0 - (-0.2f64).exp(),
                };
                let d = 1.0 - a;
                let expected = match (convention, integrator) {
                    (NoiseConvention::Spec, _) => sigma * a / (1.0 - d * d).sqrt(),
                    (NoiseConvention::Song, Integrator::Euler) => sigma * (2.0 / (2.0 - a)).sqrt(),
                    (NoiseConvention::Song, Integrator::Exponential) => sigma,
                    (NoiseConvention::Raw, _) => sigma / (1.0 - d * d).sqrt(),
                };
                let rates = rates(&config, 64, 60, 200);
                let lagged = |k: usize| {
                    mean(&rates, |trial, t| {
                        let later = trial.get(t + k)?;
                        let dot: f64 = trial[t].iter().zip(later).map(|(a, b)| a * b).sum();
                        Some(dot / 32.0)
                    })
                };
                let variance = lagged(0);
                let what = format!("{integrator:?} {convention:?} {form:?}");
                let ratio = variance.sqrt() / expected;
                assert!((ratio - 1.0).abs() < 0.02, "{what}: {ratio} of theory");
                for k in [1, 2, 5, 10] {
                    let found = lagged(k) / variance;
                    let expected = d.powi(k as i32);
                    assert!((found - expected).abs() < 0.02, "{what}, lag {k}: {found}");
                }
            }
        }
    }
}

/// With `raw` and alpha 1 the state is the noise itself: its covariance is the one asked for. 6400 samples: standard
/// errors below sqrt(2 / 6400) = 1.8 % of the variances.
#[test]
fn noise_has_the_covariance_that_is_asked_for() {
    let covariance = vec![
        vec![4.0, 1.2, 0.0],
        vec![1.2, 1.0, -0.5],
        vec![0.0, -0.5, 2.0],
    ];
    let levels = NoiseLevels {
        preactivation: PreactivationNoise::Covariance {
            covariance: covariance.clone(),
        },
        convention: NoiseConvention::Raw,
        ..NoiseLevels::default()
    };
    let config = CtrnnConfig {
        tau_ms: 20.0.into(),
        ..unconnected(3, levels)
    };
    let rates = rates(&config, 64, 0, 100);
    for i in 0..3 {
        for j in 0..3 {
            let found = mean(&rates, |trial, t| Some(trial[t][i] * trial[t][j]));
            let scale = (covariance[i][i] * covariance[j][j]).sqrt();
            let expected = covariance[i][j];
            assert!(
                (found - expected).abs() < 0.06 * scale,
                "[{i},{j}]: {found} is not {expected}"
            );
        }
    }
}

#[test]
fn each_unit_has_its_own_sigma() {
    let levels = NoiseLevels {
        preactivation: PreactivationNoise::PerUnit(vec![0.0, 0.5, 2.0]),
        convention: NoiseConvention::Raw,
        ..NoiseLevels::default()
    };
    let config = CtrnnConfig {
        tau_ms: 20.0.into(),
        ..unconnected(3, levels)
    };
    let rates = rates(&config, 64, 0, 100);
    let variance = |i: usize| mean(&rates, |trial, t| Some(trial[t][i].powi(2)));
    assert_eq!(variance(0), 0.0);
    assert!((variance(1) / 0.25 - 1.0).abs() < 0.06, "{}", variance(1));
    assert!((variance(2) / 4.0 - 1.0).abs() < 0.06, "{}", variance(2));
}

/// The factor of [[4, 2], [2, 2]] is [[2, 0], [1, 1]]; a direction without variance has a column of zeros.
#[test]
fn the_factor_of_a_covariance_by_hand() {
    let factor = |rows: [[f64; 2]; 2]| cholesky(&rows.map(|row| row.to_vec()));
    assert_eq!(
        factor([[4.0, 2.0], [2.0, 2.0]]),
        Ok(vec![2.0, 0.0, 1.0, 1.0])
    );
    assert_eq!(
        factor([[4.0, 2.0], [2.0, 1.0]]),
        Ok(vec![2.0, 0.0, 1.0, 0.0])
    );
    let rule = |rows| factor(rows).unwrap_err();
    assert!(rule([[1.0, 2.0], [2.0, 1.0]]).contains("semidefinite"));
    assert!(rule([[1.0, 0.5], [0.4, 1.0]]).contains("symmetric"));
    assert!(rule([[1.0, f64::NAN], [0.4, 1.0]]).contains("finite"));
}

/// The inputs that a network of one input sees, over 100 trials of 100 time steps.
fn seen(config: &CtrnnConfig, noise: &Noise<F32>, u: f32) -> Vec<f64> {
    seen_inputs(config, noise, filled([100, 100, 1], u))
        .into_data()
        .iter()
        .collect()
}

/// Song et al. (2016): sigma 0.01 at dt 20 ms and tau 100 ms is 0.0316 per time step, around the baseline 0.2.
#[test]
fn input_noise_follows_the_convention_and_baseline_and_rectification_follow_it() {
    let mut config = CtrnnConfig::new(1, 1, 1);
    config.input.baseline = 0.2;
    config.noise.input = 0.01;
    let on = Noise::Drawn(NoiseAddress::default());
    for (convention, expected) in [
        (NoiseConvention::Spec, 0.01),
        (NoiseConvention::Song, 0.01 * 10.0f64.sqrt()),
        (NoiseConvention::Raw, 0.01),
    ] {
        config.noise.convention = convention;
        let all = seen(&config, &on, 0.5);
        let mean = all.iter().sum::<f64>() / 1e4;
        let std = (all.iter().map(|u| (u - mean).powi(2)).sum::<f64>() / 1e4).sqrt();
        assert!((mean - 0.7).abs() < 5e-2 * expected, "mean {mean}");
        assert!((std / expected - 1.0).abs() < 0.03, "{convention:?}: {std}");
    }
    assert!(
        seen(&config, &Noise::Off, 0.5)
            .iter()
            .all(|u| (u - 0.7).abs() < 1e-6)
    );
    config.input.rectify = true;
    assert!(seen(&config, &Noise::Off, -0.5).iter().all(|&u| u == 0.0));
    let half = seen(&config, &on, -0.2); // around zero: half of it is cut off
    let zeros = half.iter().filter(|&&u| u == 0.0).count();
    assert!(
        half.iter().all(|&u| u >= 0.0) && (4800..5200).contains(&zeros),
        "{zeros}"
    );
}

#[test]
fn a_step_sees_its_inputs_as_a_pass_does() {
    let mut config = CtrnnConfig::new(2, 3, 1);
    config.input.baseline = 0.2;
    config.input.rectify = true;
    let device = Default::default();
    let network = config.init::<F32>(0, &device).unwrap();
    let u: Tensor<F32, 2> = host_tensor(TensorData::from([[0.5, -1.0]]), &device);
    let state = network.rested(host_tensor(TensorData::from([[0.0; 3]]), &device));
    let pass = Forward {
        initial_state: Some(state.clone()),
        ..Forward::default()
    };
    let passed = network
        .forward(u.clone().unsqueeze_dim(1), &pass)
        .final_state;
    let stepped: Vec<f64> = network.step(state, u).activity.into_data().iter().collect();
    let passed: Vec<f64> = passed.activity.into_data().iter().collect();
    for (a, b) in stepped.iter().zip(&passed) {
        assert!((a - b).abs() < 1e-6);
    }
}

#[test]
fn initial_states_have_their_noise_in_drawn_passes_only() {
    let mut config = unconnected(50, NoiseLevels::default());
    config.noise.initial_state = 0.3;
    config.initial_state = InitialState::Given(vec![1.0; 50]);
    let network = config.init::<F32>(0, &Default::default()).unwrap();
    let start = |forward: &Forward<F32>| -> Vec<f64> {
        let states = network.starting_states(forward, 100);
        states.activity.into_data().iter().collect()
    };
    assert!(start(&Forward::default()).iter().all(|&v| v == 1.0));
    let noisy = start(&drawn(Record::OUTPUTS));
    let variance = noisy.iter().map(|v| (v - 1.0).powi(2)).sum::<f64>() / 5000.0;
    assert!((variance / 0.09 - 1.0).abs() < 0.1, "{variance}"); // standard error 2 %
    assert_eq!(noisy, start(&drawn(Record::OUTPUTS)));
}

#[test]
fn without_being_asked_for_no_noise_changes_anything() {
    let quiet = CtrnnConfig::new(2, 6, 2);
    let mut noisy = quiet.clone();
    noisy.noise = NoiseLevels {
        preactivation: PreactivationNoise::PerUnit(vec![0.3; 6]),
        postactivation: 0.3,
        input: 0.3,
        initial_state: 0.3,
        ..NoiseLevels::default()
    };
    let outputs = |config: &CtrnnConfig| {
        let network = config.init::<F32>(3, &Default::default()).unwrap();
        let inputs = filled([2, 9, 2], 1.0);
        network
            .forward(inputs, &Forward::default())
            .outputs
            .into_data()
    };
    assert_eq!(outputs(&quiet), outputs(&noisy));
}
