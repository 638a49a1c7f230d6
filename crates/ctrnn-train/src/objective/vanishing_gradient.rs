//! The vanishing-gradient penalty Omega: keeps the norm of the gradient constant during backpropagation through time.
//!
//! With `x` the potentials, `E` the loss and `d(t) = dE/dx(t)`, for every trial and each of its T steps from t to t+1,
//! where the first step starts from the initial state x(0)
//!
//! ```text
//! q     = d(t+1) dx(t+1)/dx(t) = (1 - alpha) d(t+1) + f'(x(t)) * ((alpha d(t+1)) W_rc)
//! Omega = mean ( |q|^2 / |d(t+1)|^2 - 1 )^2
//! ```
//!
//! over all pairs within the trials in which `|d(t+1)|^2` is above a bound. Its gradient is the immediate one: `d` and `x` are
//! held constant, so that it reaches `W_rc` alone. `d` comes from one more pass over the batch, with a zero drive to every
//! unit whose gradient is alpha d.
//!
//! # References
//! Pascanu, Mikolov and Bengio (2013), equations 9 and 10; Song, Yang and Wang (2016), equation 17, whose published code pairs
//! `d(t+1)` with `f'(x(t+1))` ([`Pairing::Code`]).

use burn::module::Module;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData};
use ctrnn_model::{
    CtrnnModule, Forward, Matrix, Record, RecurrenceBackend, activation, host_tensor,
};

use crate::batch::Batch;
use crate::objective::config::{Omega, Pairing};
use crate::objective::inputs::LossInputs;

/// Gradient of the loss with respect to the potentials after each step, and the slopes `f'`, time-major.
pub(crate) struct Sensitivity<B: AutodiffBackend> {
    /// Gradient `dE/dx(t)` for t = 1 to T, `[T,B,N]`.
    pub d: Tensor<B, 3>,
    /// Slope `f'(x(t))` for t = 0 to T, `[T+1,B,N]`.
    pub slopes: Tensor<B, 3>,
}

impl<B: AutodiffBackend + RecurrenceBackend> Sensitivity<B> {
    /// Runs one more forward and backward pass over the batch; `loss` maps the readout `[trial, time, output]` to the
    /// loss.
    pub fn of(
        network: &CtrnnModule<B>,
        forward: &Forward<B>,
        batch: &Batch<B>,
        loss: impl Fn(Tensor<B, 3>) -> Tensor<B, 1>,
    ) -> Self {
        let [trials, steps, _] = batch.inputs.dims();
        let n = network.config().n_units;
        let zeros = TensorData::new(vec![0.0f32; trials * steps * n], [trials, steps, n]);
        let drive = host_tensor::<B, 3>(zeros, &network.device()).require_grad();
        let forward = Forward {
            record: Record::RATES,
            ..forward.clone()
        };
        let network = network.clone().no_grad();
        let first = network.initial_rates(&forward, trials).inner();
        let trajectory = network.forward_driven(batch.inputs.clone(), drive.clone(), &forward);
        let grads = loss(trajectory.outputs).backward();
        let d = drive.grad(&grads).expect("the loss depends on the drive");
        let later = trajectory.rates.expect("recorded").inner();
        let rates = Tensor::cat(vec![first.unsqueeze(), later.swap_dims(0, 1)], 0); // [T+1,B,N]
        let alpha = network.gain().inner().unsqueeze::<3>(); // [1,1,N]
        let slopes = activation::slopes(network.config().activation, rates);
        Self {
            d: Tensor::from_inner(d.swap_dims(0, 1) / alpha),
            slopes: Tensor::from_inner(slopes),
        }
    }
}

/// Returns 1 where a value is above the bound, and 0 elsewhere.
fn one_where<B: Backend>(values: Tensor<B, 3>, above: f64) -> Tensor<B, 3> {
    let others = values.clone().lower_equal_elem(above);
    values.ones_like().mask_fill(others, 0.0)
}

/// Computes Omega times its weight, `[1]`, as a function of the network's `W_rc`.
pub(crate) fn omega<B: AutodiffBackend>(
    omega: &Omega,
    inputs: &LossInputs<B>,
    at: &Sensitivity<B>,
) -> Tensor<B, 1> {
    let w_rc = inputs.network.effective_weights(Matrix::Recurrent);
    let alpha = inputs.network.gain().detach().unsqueeze::<3>(); // [1,1,N]
    let [steps, trials, n] = at.d.dims();
    let from = match omega.pairing {
        Pairing::Paper => 0,
        Pairing::Code => 1,
    };
    let d = at.d.clone();
    let slopes = at.slopes.clone().narrow(0, from, steps);
    let driven = d.clone() * alpha.clone();
    let back = driven.reshape([steps * trials, n]).matmul(w_rc);
    let back = back.reshape([steps, trials, n]);
    let q = d.clone() * (-alpha + 1.0) + slopes * back;
    let size = d.square().sum_dim(2); // [T,B,1]
    let counts = one_where(size.clone(), omega.bound) * inputs.batch.within.clone();
    let ratio = q.square().sum_dim(2) / size.clamp_min(omega.bound);
    let number = counts.clone().sum().clamp_min(1.0);
    ((ratio - 1.0).square() * counts).sum() / number * omega.weight
}

#[cfg(test)]
mod tests {
    use ctrnn_model::{Activation, CtrnnConfig, Parameter};
    use ctrnn_tasks::{Mask, Target};

    use super::*;
    use crate::burn_test::{Grad, batch, outputs, values};
    use crate::gradients::Gradients;

    const OMEGA: Omega = Omega {
        weight: 1.0,
        pairing: Pairing::Paper,
        bound: 1e-20,
    };

    const CODE: Omega = Omega {
        pairing: Pairing::Code,
        ..OMEGA
    };

    /// Builds a network with alpha = 0.2; weights by name.
    fn network(
        n: usize,
        activation: Activation,
        weights: &[(&str, TensorData)],
    ) -> CtrnnModule<Grad> {
        let config = CtrnnConfig {
            activation,
            ..CtrnnConfig::new(1, n, 1)
        };
        let network = config.init(5, &Default::default()).unwrap();
        let weights = weights
            .iter()
            .map(|(name, data)| ((*name).to_owned(), data.clone()));
        network.with_weights(&weights.collect()).unwrap()
    }

    fn one_unit() -> CtrnnModule<Grad> {
        let weight = TensorData::new(vec![0.5], [1, 1]);
        network(1, Activation::Linear, &[("recurrent.weight", weight)])
    }

    /// Builds a trial of `steps` inputs whose outputs all have mask 1.
    fn trial(steps: usize) -> Batch<Grad> {
        let ones = (
            Target::Values(vec![1.0; steps]),
            Mask::Steps(vec![1.0; steps]),
        );
        Batch {
            inputs: outputs(
                [1, steps, 1],
                &(0..steps).map(|k| 0.3 + k as f64).collect::<Vec<_>>(),
            ),
            ..batch(&[ones], 1)
        }
    }

    fn squares(outputs: Tensor<Grad, 3>) -> Tensor<Grad, 1> {
        outputs.square().sum()
    }

    fn value(
        omega: &Omega,
        network: &CtrnnModule<Grad>,
        at: &Sensitivity<Grad>,
        batch: &Batch<Grad>,
    ) -> Tensor<Grad, 1> {
        let trajectory = network.forward(batch.inputs.clone(), &Forward::default());
        super::omega(omega, &LossInputs::new(network, trajectory, batch), at)
    }

    /// One linear unit with w = 0.5: q / d = 0.8 + 0.2 * 0.5 = 0.9 at every step, whatever d.
    /// Omega = (0.81 - 1)^2 = 0.0361, and its slope in w is 2 (0.81 - 1) 2 * 0.9 * 0.2 = -0.1368.
    #[test]
    fn one_linear_unit_by_hand() {
        let (network, batch) = (one_unit(), trial(4));
        let at = Sensitivity::of(&network, &Forward::default(), &batch, squares);
        let omega = value(&OMEGA, &network, &at, &batch);
        assert!((values(&omega)[0] - 0.0361).abs() < 1e-12);
        let found = Gradients::of(&network, omega.backward()).0;
        assert_eq!(found.len(), 1, "the immediate gradient reaches W_rc alone");
        let slope: f64 = found[&Parameter::RECURRENT_WEIGHT].clone().into_scalar();
        assert!((slope + 0.1368).abs() < 1e-12, "{slope}");
    }

    /// Slope 0 at x(0), 1 at x(1) and x(2): q / d of the two steps is 0.8 and 0.9 or, in the pairing of the code, 0.9
    /// twice. The last d of a second trial is 0, so that step does not count: (2 * 0.1296 + 0.0361) / 3, and 0.0361.
    #[test]
    fn pairings_and_bound_by_hand() {
        let network = one_unit();
        let ones = (Target::Values(vec![1.0; 2]), Mask::Steps(vec![1.0; 2]));
        let batch = Batch {
            inputs: outputs([2, 2, 1], &[1.0; 4]),
            ..batch(&[ones.clone(), ones], 1)
        };
        let at = Sensitivity {
            d: outputs([2, 2, 1], &[9.0, 9.0, 3.0, 0.0]),
            slopes: outputs([3, 2, 1], &[0.0, 0.0, 1.0, 1.0, 1.0, 1.0]),
        };
        for (omega, expected) in [(OMEGA, 0.2953 / 3.0), (CODE, 0.0361)] {
            let found = values(&value(&omega, &network, &at, &batch))[0];
            assert!((found - expected).abs() < 1e-12, "{found}");
        }
    }

    /// A step into padding does not count: the steps to x(1) and x(2) are left.
    #[test]
    fn padding_does_not_count() {
        let (network, batch) = (one_unit(), trial(3));
        let padded = Batch {
            within: outputs([3, 1, 1], &[1.0, 1.0, 0.0]),
            ..batch
        };
        let at = Sensitivity {
            d: outputs([3, 1, 1], &[1.0, 1.0, 1.0]),
            slopes: outputs([4, 1, 1], &[1.0, 1.0, 0.0, 0.0]),
        };
        let found = values(&value(&OMEGA, &network, &at, &padded))[0];
        assert!((found - 0.0361).abs() < 1e-12, "{found}");
    }

    /// The step from the learned initial state counts like any other. The numbers are those of the equations in numpy, in double
    /// precision, and the slopes in `W_rc` their finite differences with d and x held, for trials of 3 time steps and of 1.
    #[test]
    fn the_first_step_counts() {
        let array = |values: &[f64], shape: &[usize]| TensorData::new(values.to_vec(), shape);
        let weights = [
            ("input.weight", array(&[1.0, -0.5], &[2, 1])),
            ("recurrent.weight", array(&[0.5, -0.3, 0.2, 0.4], &[2, 2])),
            ("recurrent.bias", array(&[0.1, -0.2], &[2])),
            ("output.weight", array(&[1.0, 2.0], &[1, 2])),
            ("output.bias", array(&[0.05], &[1])),
            ("initial_state", array(&[0.1, -0.4], &[2])),
        ];
        let network = network(2, Activation::Tanh, &weights);
        let (inputs, targets) = ([1.0, 0.5, -1.0], [0.2, 0.0, -0.3]);
        let expected = [
            (
                OMEGA,
                3,
                0.061604398290,
                [-0.0401796689, -0.0570963972, -0.0724937885, -0.1033345835],
            ),
            (
                CODE,
                3,
                0.061990599591,
                [-0.0394152643, -0.0578421204, -0.0712384041, -0.1048148152],
            ),
            (
                OMEGA,
                1,
                0.056950152929,
                [-0.0441236627, -0.0586393674, -0.0783413918, -0.1041139691],
            ),
            (
                CODE,
                1,
                0.062253462506,
                [-0.0411074004, -0.0568687263, -0.0729860298, -0.1009702027],
            ),
        ];
        for (omega, steps, expected, slopes) in expected {
            let batch = Batch {
                inputs: outputs([1, steps, 1], &inputs[..steps]),
                ..trial(steps)
            };
            let wanted = outputs([1, steps, 1], &targets[..steps]);
            let loss = |y: Tensor<Grad, 3>| (y - wanted.clone()).square().mean();
            let at = Sensitivity::of(&network, &Forward::default(), &batch, loss);
            let omega = value(&omega, &network, &at, &batch);
            let found = values(&omega)[0];
            assert!((found - expected).abs() < 1e-11, "{steps}: {found}");
            let found = Gradients::of(&network, omega.backward()).0;
            assert_eq!(found.len(), 1, "the immediate gradient reaches W_rc alone");
            let found = found[&Parameter::RECURRENT_WEIGHT].to_data();
            for (found, slope) in found.iter::<f64>().zip(slopes) {
                assert!((found - slope).abs() < 1e-9, "{steps}: {found} {slope}");
            }
        }
    }

    /// The slopes at x(0) are those of the initial state passed to the forward pass.
    #[test]
    fn a_given_initial_state_counts() {
        let (network, batch) = (network(2, Activation::Tanh, &[]), trial(1));
        let state = outputs([1, 1, 2], &[0.3, -0.7]).reshape([1, 2]);
        let forward = Forward {
            initial_state: Some(network.rested(state)),
            ..Forward::default()
        };
        let at = Sensitivity::of(&network, &forward, &batch, squares);
        for (found, v) in values(&at.slopes).into_iter().zip([0.3f64, -0.7]) {
            assert!((found - (1.0 - v.tanh().powi(2))).abs() < 1e-12, "{found}");
        }
    }

    /// `alpha d(t)` is the slope of the loss in a drive at step t; at the last step d is `2 y w_out f'`.
    #[test]
    fn sensitivities_are_the_slopes_of_the_loss() {
        for activation in Activation::ALL {
            let (network, batch) = (network(3, activation, &[]), trial(4));
            let at = Sensitivity::of(&network, &Forward::default(), &batch, squares);
            let d: Vec<f64> = values(&at.d);
            let pass = network.forward(batch.inputs.clone(), &Forward::default());
            let readout: Vec<f64> = values(&pass.outputs);
            let w_out: Vec<f64> = network.weights()["output.weight"].iter().collect();
            let slopes = values(&at.slopes);
            for unit in 0..3 {
                let expected = 2.0 * readout[3] * w_out[unit] * slopes[12 + unit];
                assert!(
                    (d[9 + unit] - expected).abs() < 1e-9,
                    "{activation:?} {unit}"
                );
            }
            for index in 0..12 {
                let value = |h: f64| {
                    let mut drive = vec![0.0; 12];
                    drive[index] = h;
                    let drive = outputs([1, 4, 3], &drive);
                    let pass =
                        network.forward_driven(batch.inputs.clone(), drive, &Forward::default());
                    values(&squares(pass.outputs))[0]
                };
                let slope = (value(1e-6) - value(-1e-6)) / 2e-6;
                let found = 0.2 * d[index];
                assert!(
                    (found - slope).abs() < 1e-7,
                    "{activation:?} {index}: {found} {slope}"
                );
            }
        }
    }

    /// With two pairs of steps and three units, the gradient is the slope in each weight, with d and slopes held
    /// constant.
    #[test]
    fn the_immediate_gradient_is_the_slope() {
        let (network, batch) = (network(3, Activation::Tanh, &[]), trial(4));
        let at = Sensitivity::of(&network, &Forward::default(), &batch, squares);
        let omega = value(&OMEGA, &network, &at, &batch);
        let found = Gradients::of(&network, omega.backward()).0;
        let found: Vec<f64> = found[&Parameter::RECURRENT_WEIGHT]
            .to_data()
            .iter()
            .collect();
        let before: Vec<f64> = network.weights()["recurrent.weight"].iter().collect();
        for (k, found) in found.into_iter().enumerate() {
            let shifted = |h: f64| {
                let mut weights = before.clone();
                weights[k] += h;
                let weights = TensorData::new(weights, [3, 3]);
                let moved = network
                    .clone()
                    .with_weights(&[("recurrent.weight".to_owned(), weights)].into());
                values(&value(&OMEGA, &moved.unwrap(), &at, &batch))[0]
            };
            let slope = (shifted(1e-6) - shifted(-1e-6)) / 2e-6;
            assert!(
                (found - slope).abs() < 1e-6 * (1.0 + slope.abs()),
                "{k}: {found} {slope}"
            );
        }
    }
}
