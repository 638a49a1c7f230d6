//! Short-term plasticity in the sweeps, against numbers worked out independently and finite differences.

use burn::tensor::{Tensor, TensorData};

use super::tests::{F64, Grad, assert_close, check_gradients, floats, formula, inputs, loss_of};
use super::tests::{small, values};
use crate::{
    Activation, CtrnnConfig, Form, Forward, GivenSynapses, InitialState, Integrator, PerUnit,
    Record, ShortTermPlasticity, SynapseKind, UnitState, WeightInit, Weights, host_tensor,
};

/// Returns no plasticity (0), the published kinds (1), one kind for all (2), or constants for each of `n` units with fast and strong
/// effects (3).
pub(super) fn any_plasticity(kind: usize, n: usize) -> Option<ShortTermPlasticity> {
    let each = |value: f64, step: f64| {
        PerUnit::List(
            (0..n)
                .map(|unit| value + step * (unit % 5) as f64)
                .collect(),
        )
    };
    match kind {
        0 => None,
        1 => Some(ShortTermPlasticity::Half),
        2 => Some(ShortTermPlasticity::All(SynapseKind::Depressing)),
        _ => Some(given(
            each(150.0, 60.0),
            each(400.0, -50.0),
            each(0.9, -0.15),
        )),
    }
}

fn given(tau_u_ms: PerUnit, tau_x_ms: PerUnit, baseline: PerUnit) -> ShortTermPlasticity {
    ShortTermPlasticity::All(SynapseKind::Given(Box::new(GivenSynapses {
        tau_u_ms,
        tau_x_ms,
        baseline,
    })))
}

/// One facilitating unit at a rate of 2 that transmits to a silent second one, dt 10 ms:
/// x' = 1 - 0.01 0.15 2 = 0.997, u' = 0.15 + 0.01 0.15 0.85 2 = 0.15255, and 2 u' x' = 0.3041847 arrives.
#[test]
fn one_step_by_hand() {
    for form in [Form::Voltage, Form::Rate] {
        let config = CtrnnConfig {
            dt_ms: 10.0,
            tau_ms: 10.0.into(),
            form,
            initial_state: InitialState::Given(vec![2.0, 0.0]),
            short_term_plasticity: Some(ShortTermPlasticity::All(SynapseKind::Facilitating)),
            ..CtrnnConfig::new(1, 2, 1)
        };
        let weights: Weights = [
            ("input.weight", vec![0.0; 2], vec![2, 1]),
            ("recurrent.weight", vec![0.0, 0.0, 1.0, 0.0], vec![2, 2]),
            ("output.weight", vec![1.0, 0.0], vec![1, 2]),
        ]
        .map(|(name, values, shape)| (name.to_owned(), TensorData::new(values, shape)))
        .into();
        let network = config.init::<F64>(0, &Default::default()).unwrap();
        let network = network.with_weights(&weights).unwrap();
        let pass = Forward {
            record: Record::ALL,
            ..Forward::default()
        };
        let u = Tensor::<F64, 3>::zeros([1, 1, 1], &Default::default());
        for found in [
            network.forward(u.clone(), &pass),
            network.forward_reference(u.clone(), &pass),
        ] {
            assert_close(
                &values(&found.utilisation.unwrap()),
                &[0.15255, 0.15],
                1e-15,
            );
            assert_close(&values(&found.resources.unwrap()), &[0.997, 1.0], 1e-15);
            assert_close(
                &values(&found.final_state.activity),
                &[0.0, 0.304_184_7],
                1e-15,
            );
        }
        let start = network.starting_states(&Forward::default(), 1);
        let next = network.step(start, Tensor::zeros([1, 1], &Default::default()));
        assert_close(&values(&next.utilisation), &[0.15255, 0.15], 1e-15);
        assert_close(&values(&next.activity), &[0.0, 0.304_184_7], 1e-15);
    }
}

/// Trajectories of `tests/golden/make_short_term_plasticity.py`, a loop in float64, in which utilisation and resources are clipped.
#[test]
fn golden_trajectories_with_plasticity() {
    let text = include_str!("../../../../tests/golden/short_term_plasticity.json");
    let golden: serde_json::Value = serde_json::from_str(text).unwrap();
    let number = |key: &str| golden[key].as_f64().unwrap();
    let list = |key: &str| PerUnit::List(floats(&golden[key]));
    let device = Default::default();
    let state = |key: &str| {
        let data = TensorData::new(floats(&golden[key]), [2, 4]);
        host_tensor::<F64, 2>(data, &device)
    };
    for case in golden["cases"].as_array().unwrap() {
        let config = CtrnnConfig {
            dt_ms: number("dt_ms"),
            tau_ms: number("tau_ms").into(),
            form: if case["form"] == "rate" {
                Form::Rate
            } else {
                Form::Voltage
            },
            activation: Activation::Softplus,
            initial_state: InitialState::Zero,
            short_term_plasticity: Some(given(list("tau_u_ms"), list("tau_x_ms"), list("U"))),
            ..CtrnnConfig::new(2, 4, 2)
        };
        let keys = ["w_in", "w_rc", "bias", "w_out", "bias_out"];
        let weights = config.parameters().into_iter().zip(keys);
        let weights = weights.map(|(p, key)| {
            let data = TensorData::new(floats(&golden[key]), p.shape);
            (p.parameter.name(), data)
        });
        let network = config.init::<F64>(0, &device).unwrap();
        let network = network.with_weights(&weights.collect()).unwrap();
        let pass = Forward {
            initial_state: Some(UnitState {
                activity: state("initial_state"),
                utilisation: state("initial_utilisation"),
                resources: state("initial_resources"),
            }),
            record: Record::ALL,
            ..Forward::default()
        };
        let u = TensorData::new(floats(&golden["inputs"]), [2, 8, 2]);
        let u: Tensor<F64, 3> = host_tensor(u, &device);
        for found in [
            network.forward(u.clone(), &pass),
            network.forward_reference(u.clone(), &pass),
        ] {
            let found = [
                ("potentials", found.potentials.unwrap()),
                ("rates", found.rates.unwrap()),
                ("utilisation", found.utilisation.unwrap()),
                ("resources", found.resources.unwrap()),
                ("outputs", found.outputs),
            ];
            for (key, values_found) in found {
                assert_close(&values(&values_found), &floats(&case[key]), 1e-12);
            }
        }
    }
}

/// Every trained parameter, through slow and fast synapses, both integrators and learned time constants.
#[test]
fn gradients_agree_through_plastic_synapses() {
    for form in [Form::Voltage, Form::Rate] {
        for integrator in Integrator::ALL {
            for kind in 1..4 {
                let config = CtrnnConfig {
                    integrator,
                    dt_ms: 60.0,
                    short_term_plasticity: any_plasticity(kind, 3),
                    ..small(form, Activation::Softplus)
                };
                check_gradients(&config, 2, 4);
            }
        }
    }
}

/// The gradients of the synapses that a pass starts from against central differences, by the fused and the plain path.
#[test]
fn gradients_of_initial_synapses_are_finite_differences() {
    for form in [Form::Voltage, Form::Rate] {
        let config = CtrnnConfig {
            dt_ms: 60.0,
            short_term_plasticity: any_plasticity(3, 3),
            ..small(form, Activation::Softplus)
        };
        let network = config.init::<Grad>(3, &Default::default()).unwrap();
        let start = UnitState {
            activity: formula(6, 0.5, 0.1),
            utilisation: formula(6, 0.3, 0.4).iter().map(|x| 0.5 + x).collect(),
            resources: formula(6, 0.3, 0.9).iter().map(|x| 0.6 + x).collect(),
        };
        let run = |start: &UnitState<Vec<f64>>, fused: bool| {
            let state = start.clone().map(|values| {
                let data = TensorData::new(values, [2, 3]);
                host_tensor::<Grad, 2>(data, &Default::default()).require_grad()
            });
            let pass = Forward {
                initial_state: Some(state.clone()),
                record: Record::ALL,
                ..Forward::default()
            };
            let u = inputs([2, 5, 2]);
            let found = if fused {
                network.forward(u, &pass)
            } else {
                network.forward_reference(u, &pass)
            };
            (loss_of(&network, found), state)
        };
        let loss_at = |start: &UnitState<Vec<f64>>| run(start, true).0.into_scalar();
        for fused in [true, false] {
            let (loss, state) = run(&start, fused);
            let grads = loss.backward();
            let found = state.map(|variable| values(&variable.grad(&grads).unwrap()));
            for (variable, found) in found.into_array().iter().enumerate() {
                for (k, found) in found.iter().enumerate() {
                    let moved = |by: f64| {
                        let mut moved = start.clone();
                        moved.each_mut().into_array()[variable][k] += by;
                        loss_at(&moved)
                    };
                    let h = 1e-5;
                    let expected = (moved(h) - moved(-h)) / (2.0 * h);
                    let error = (found - expected).abs();
                    assert!(
                        error < 1e-6 * (1e-2 + expected.abs()),
                        "{form:?} {fused} {variable}[{k}]: {found} is not {expected}"
                    );
                }
            }
        }
    }
}

/// A pass that starts from the final state of another goes on where it ended.
#[test]
fn a_pass_of_two_halves_is_the_whole() {
    let mut config = CtrnnConfig {
        short_term_plasticity: any_plasticity(3, 4),
        dt_ms: 60.0,
        activation: Activation::Softplus,
        ..CtrnnConfig::new(2, 4, 2)
    };
    config.init.recurrent = WeightInit::GAUSSIAN;
    let network = config.init::<F64>(3, &Default::default()).unwrap();
    let u: Tensor<F64, 3> = inputs([3, 10, 2]);
    let whole = network.forward(u.clone(), &Forward::default());
    let first = network.forward(u.clone().narrow(1, 0, 4), &Forward::default());
    let pass = Forward {
        initial_state: Some(first.final_state),
        ..Forward::default()
    };
    let second = network.forward(u.narrow(1, 4, 6), &pass);
    for (found, expected) in second.final_state.zip(whole.final_state).into_array() {
        assert_close(&values(&found), &values(&expected), 1e-14);
    }
}
