//! Integrators, laws of drawn time constants, learning, files.

use burn::tensor::{Tensor, TensorData};
use burn_ndarray::NdArray;

use super::*;
use crate::parameters::{TAU_MS, host_tensor};
use crate::{Activation, CtrnnConfig, CtrnnModule, Forward, InitialState, WeightInit};

type F64 = NdArray<f64>;

fn key(seed: u64) -> Key {
    Key::new(seed, Stream::TimeConstants, 0)
}

fn law() -> LogNormal {
    LogNormal {
        median: 100.0,
        sigma: 0.5,
        min: 40.0,
        max: 400.0,
    }
}

fn learned(initial: f64, per_unit: bool) -> TimeConstants {
    TimeConstants::Learned(LearnedTimeConstants {
        initial: Box::new(initial.into()),
        bounds: [20.0, 500.0],
        per_unit,
    })
}

fn per_type(e: TimeConstants, i: TimeConstants) -> TimeConstants {
    TimeConstants::PerType(Box::new(PerType { e, i }))
}

/// Units under the constant input 1, without recurrence, from zero.
fn leaky(config: CtrnnConfig) -> CtrnnModule<F64> {
    let mut config = CtrnnConfig {
        activation: Activation::Linear,
        initial_state: InitialState::Zero,
        ..config
    };
    config.init.recurrent = WeightInit::Zero;
    let n = config.n_units;
    let one = TensorData::new(vec![1.0; n], [n, 1]);
    let network = config.init::<F64>(0, &Default::default()).unwrap();
    network
        .with_weights(&[("input.weight".to_owned(), one)].into())
        .unwrap()
}

fn ones<B: Backend>(shape: [usize; 3]) -> Tensor<B, 3> {
    let values = vec![1.0; shape.iter().product()];
    host_tensor(TensorData::new(values, shape), &Default::default())
}

fn run(network: &CtrnnModule<F64>, steps: usize) -> Vec<f64> {
    let u = ones([1, steps, network.config().n_inputs]);
    let end = network.forward(u, &Forward::default()).final_state.activity;
    end.into_data().iter().collect()
}

/// v(t) = 1 - exp(-t / tau) for every unit, whatever dt: even one longer than tau.
#[test]
fn the_exponential_integrator_is_exact_for_leaky_units() {
    let tau_ms = vec![10.0, 50.0, 300.0];
    for (dt_ms, steps) in [(1.0, 60), (20.0, 3), (60.0, 1)] {
        let found = run(
            &leaky(CtrnnConfig {
                dt_ms,
                tau_ms: TimeConstants::PerUnit(tau_ms.clone()),
                integrator: Integrator::Exponential,
                ..CtrnnConfig::new(1, 3, 1)
            }),
            steps,
        );
        for (v, tau) in found.iter().zip(&tau_ms) {
            let expected = 1.0 - (-60.0 / tau).exp();
            assert!(
                (v - expected).abs() < 1e-13,
                "dt {dt_ms}: {v} is not {expected}"
            );
        }
    }
}

/// A recurrent network without noise: halving dt halves the change of its state.
#[test]
fn both_integrators_converge_with_first_order() {
    for integrator in Integrator::ALL {
        let end = |dt_ms: f64| {
            let config = CtrnnConfig {
                dt_ms,
                integrator,
                activation: Activation::Tanh,
                tau_ms: TimeConstants::Uniform([50.0, 200.0]),
                initial_state: InitialState::Given(vec![0.5; 8]),
                ..CtrnnConfig::new(1, 8, 1)
            };
            let network = config.init::<F64>(5, &Default::default()).unwrap();
            run(&network, (300.0 / dt_ms) as usize)
        };
        let distance = |a: &[f64], b: &[f64]| -> f64 {
            let squares = a.iter().zip(b).map(|(a, b)| (a - b).powi(2));
            squares.sum::<f64>().sqrt()
        };
        let [coarse, middle, fine] = [2.0, 1.0, 0.5].map(end);
        let order = (distance(&coarse, &middle) / distance(&middle, &fine)).log2();
        assert!((order - 1.0).abs() < 0.05, "{integrator:?}: order {order}");
    }
}

#[test]
fn gains_agree_in_both_ways_of_computing_them() {
    for integrator in Integrator::ALL {
        for (dt_ms, tau_ms) in [(0.5, 500.0), (20.0, 100.0), (100.0, 100.0)] {
            let tau = constant::<F64>(tau_ms, 2, &Default::default());
            let gain: Vec<f64> = integrator.gain(dt_ms, tau).into_data().iter().collect();
            let expected = integrator.gain_of(dt_ms, tau_ms);
            assert!((gain[1] / expected - 1.0).abs() < 1e-14, "{integrator:?}");
        }
    }
}

#[test]
fn drawn_time_constants_follow_their_law() {
    let uniform = TimeConstants::Uniform([50.0, 200.0]).draw(4000, &[], key(1));
    let mean = uniform.iter().sum::<f64>() / 4000.0;
    assert!(uniform.iter().all(|tau| (50.0..=200.0).contains(tau)));
    assert!((mean - 125.0).abs() < 3.0, "{mean}"); // standard error 150 / sqrt(12 * 4000) = 0.7
    let lognormal = TimeConstants::LogNormal(law()).draw(4000, &[], key(1));
    assert!(lognormal.iter().all(|tau| (40.0..=400.0).contains(tau)));
    // The cut takes 3.3 % below and 0.3 % above: P(tau < 100) = (0.5 - 0.0334) / 0.9638 = 0.484.
    let below = lognormal.iter().filter(|&&tau| tau < 100.0).count() as f64 / 4000.0;
    assert!((below - 0.484).abs() < 0.03, "{below}");
    let narrow = LogNormal {
        min: 90.0,
        max: 110.0,
        ..law()
    };
    let narrow = TimeConstants::LogNormal(narrow).draw(4000, &[], key(1));
    assert!(narrow.iter().all(|tau| (90.0..=110.0).contains(tau)));
    assert_ne!(
        TimeConstants::LogNormal(law()).draw(5, &[], key(1)),
        TimeConstants::LogNormal(law()).draw(5, &[], key(2))
    );
}

#[test]
fn learned_time_constants_begin_where_they_are_told_and_never_leave_their_bounds() {
    for per_unit in [false, true] {
        let config = CtrnnConfig {
            tau_ms: learned(100.0, per_unit),
            ..CtrnnConfig::new(1, 3, 1)
        };
        let network = config.init::<F64>(0, &Default::default()).unwrap();
        let tau: Vec<f64> = network.tau_ms().into_data().iter().collect();
        assert_eq!(tau.len(), if per_unit { 3 } else { 1 });
        assert!(tau.iter().all(|tau| (tau - 100.0).abs() < 1e-9), "{tau:?}");
        for (raw, bound) in [(-1e6, 20.0), (1e6, 500.0)] {
            let raw = TensorData::new(vec![raw; tau.len()], [tau.len()]);
            let far = network
                .clone()
                .with_weights(&[("tau_raw".to_owned(), raw)].into())
                .unwrap();
            let tau: Vec<f64> = far.tau_ms().into_data().iter().collect();
            assert!(tau.iter().all(|&tau| tau == bound), "{tau:?}");
        }
    }
}

#[test]
fn time_constants_of_a_file_begin_the_learning() {
    let config = CtrnnConfig {
        tau_ms: learned(100.0, true),
        ..CtrnnConfig::new(1, 3, 1)
    };
    let network = config.init::<F64>(0, &Default::default()).unwrap();
    let given = |tau: Vec<f64>| {
        let shape = [tau.len()];
        let weights = [("tau_ms".to_owned(), TensorData::new(tau, shape))].into();
        network.clone().with_weights(&weights)
    };
    let tau: Vec<f64> = given(vec![50.0])
        .unwrap()
        .tau_ms()
        .into_data()
        .iter()
        .collect();
    assert!(tau.len() == 3 && tau.iter().all(|tau| (tau - 50.0).abs() < 1e-9));
    for wrong in [vec![500.0], vec![50.0, 60.0, 700.0], vec![50.0, 60.0]] {
        assert!(given(wrong).is_err());
    }
}

/// Drawn values survive saving and loading in single precision, to the bit.
#[test]
fn drawn_and_learned_time_constants_survive_the_way_out_and_in() {
    let device = Default::default();
    for tau_ms in [
        TimeConstants::Uniform([50.0, 200.0]),
        TimeConstants::LogNormal(law()),
        TimeConstants::PerUnit(vec![30.1, 50.2, 70.3, 90.4]),
        learned(77.7, true),
        learned(77.7, false),
    ] {
        let config = CtrnnConfig {
            tau_ms,
            ..CtrnnConfig::new(2, 4, 1)
        };
        let network = config.init::<NdArray<f32>>(1, &device).unwrap();
        let weights = network.weights();
        let again = CtrnnModule::<NdArray<f32>>::from_weights(&config, &weights, &device);
        let again = again.unwrap();
        assert_eq!(again.weights(), weights);
        let gain = |n: &CtrnnModule<NdArray<f32>>| {
            n.forward(ones([1, 3, 2]), &Forward::default())
                .outputs
                .into_data()
        };
        assert_eq!(gain(&network), gain(&again));
    }
}

/// Unit 1 of three is inhibitory; drawn and learned time constants follow the cell types too.
#[test]
fn each_cell_type_has_its_own() {
    let network = |tau_ms| {
        let mut config = CtrnnConfig {
            tau_ms,
            ..CtrnnConfig::new(1, 3, 1)
        };
        config.dale = Some(crate::Dale {
            signs: Some(vec![1, -1, 1]),
            ..Default::default()
        });
        config.init::<F64>(0, &Default::default())
    };
    let tau_of = |tau_ms| -> Vec<f64> {
        let network = network(tau_ms).unwrap();
        let again = CtrnnModule::<F64>::from_weights(
            network.config(),
            &network.weights(),
            &Default::default(),
        );
        let tau = again.unwrap().tau_ms().into_data();
        assert_eq!(tau, network.tau_ms().into_data());
        tau.iter().collect()
    };
    let given = per_type(100.0.into(), 50.0.into());
    assert_eq!(tau_of(given.clone()), [100.0, 50.0, 100.0]);
    let drawn = tau_of(per_type(TimeConstants::Uniform([90.0, 110.0]), 50.0.into()));
    assert!((90.0..110.0).contains(&drawn[0]) && drawn[0] != drawn[2]);
    assert_eq!(drawn[1], 50.0);
    let learned = tau_of(TimeConstants::Learned(LearnedTimeConstants {
        initial: Box::new(given.clone()),
        bounds: [20.0, 500.0],
        per_unit: true,
    }));
    for (found, expected) in learned.iter().zip([100.0, 50.0, 100.0]) {
        assert!((found - expected).abs() < 1e-9, "{learned:?}");
    }

    let mut weights = network(given.clone()).unwrap().weights();
    let swapped = TensorData::new(vec![50.0, 100.0, 100.0], [3]);
    weights.insert(TAU_MS.to_owned(), swapped);
    let config = network(given.clone()).unwrap().config().clone();
    assert!(CtrnnModule::<F64>::from_weights(&config, &weights, &Default::default()).is_err());

    let without_types = CtrnnConfig {
        tau_ms: given,
        ..CtrnnConfig::new(1, 3, 1)
    };
    let error = without_types.check().unwrap_err().to_string();
    assert!(error.contains("Dale's law"), "{error}");
}

#[test]
fn a_trained_network_runs_at_another_dt() {
    let config = CtrnnConfig {
        tau_ms: learned(100.0, true),
        ..CtrnnConfig::new(1, 2, 1)
    };
    let network = leaky(config);
    let end = |dt_ms: f64, steps| run(&network.clone().with_dt_ms(dt_ms).unwrap(), steps)[0];
    let exact = 1.0 - (-1.0f64).exp();
    assert!((end(20.0, 5) - exact).abs() > 10.0 * (end(1.0, 100) - exact).abs());
    assert!(network.with_dt_ms(50.0).is_err()); // a learned tau may be 20 ms
}

/// 20 ms of 100 ms, then 10 ms; noise of 0.5, then of 1, times the gain.
#[test]
fn the_factors_of_a_step_follow_its_length_and_the_noise() {
    let mut config = CtrnnConfig::new(1, 1, 1);
    config.noise.preactivation = 0.5.into();
    let network = config.init::<F64>(1, &Default::default()).unwrap();
    let factors = |network: &CtrnnModule<F64>| {
        let factors = network.step_factors();
        [factors.decay, factors.gain, factors.noise_scale].map(Tensor::into_scalar)
    };
    assert_eq!(factors(&network), [0.8, 0.2, 0.1]);
    assert_eq!(factors(&network.with_noise_times(2.0)), [0.8, 0.2, 0.2]);
    let faster = network.with_dt_ms(10.0).unwrap();
    assert_eq!(factors(&faster), [0.9, 0.1, 0.05]);
}

#[test]
fn files_hold_every_kind() {
    for (text, expected) in [
        ("100.0", TimeConstants::Shared(100.0)),
        ("[50.0,100.0]", TimeConstants::PerUnit(vec![50.0, 100.0])),
        (
            r#"{"e":100.0,"i":50.0}"#,
            per_type(100.0.into(), 50.0.into()),
        ),
        (
            r#"{"uniform":[50.0,200.0]}"#,
            TimeConstants::Uniform([50.0, 200.0]),
        ),
        (
            r#"{"lognormal":{"median":100.0,"sigma":0.5,"min":40.0,"max":400.0}}"#,
            TimeConstants::LogNormal(law()),
        ),
        (
            r#"{"learned":{"initial":100.0,"bounds":[20.0,500.0],"per_unit":false}}"#,
            learned(100.0, false),
        ),
    ] {
        assert_eq!(
            serde_json::from_str::<TimeConstants>(text).unwrap(),
            expected
        );
        assert_eq!(serde_json::to_string(&expected).unwrap(), text);
    }
    let short = r#"{"learned":{"initial":100,"bounds":[20,500]}}"#;
    let found: TimeConstants = serde_json::from_str(short).unwrap();
    assert_eq!(found, learned(100.0, true));
    for wrong in [
        r#""fast""#,
        "{}",
        r#"{"unifrom":[1,2]}"#,
        r#"{"uniform":[1,2],"x":1}"#,
        r#"{"e":1}"#,
        r#"{"e":1,"i":2,"x":3}"#,
    ] {
        assert!(
            serde_json::from_str::<TimeConstants>(wrong).is_err(),
            "{wrong}"
        );
    }
}
