//! Teacher forcing: recorded rates that are mixed into what units send to others.
//!
//! A forced unit j with the rate `r_j` and the recording `x_j` sends `(1 - a) r_j + a x_j` at strength a, so the drive of a unit is
//! linear in both, and a network under teacher forcing is one without, with
//!
//! ```text
//! (1 - a) W_rc[:,j]   in place of W_rc[:,j],      and a further input x_j with the weights a W_rc[:,j]
//! ```
//!
//! Every sweep, its backward pass included, computes it as any other. Before the first time step, at which nothing was recorded, a unit
//! sends its initial rate.

use burn::tensor::{Int, Tensor, TensorData};

use crate::lengths::run_by_length;
use crate::module::trajectory;
use crate::parameters::host_tensor;
use crate::{CtrnnModule, Forward, RecurrenceBackend, Trajectory, primitive, tensor};

/// Recorded rates that are mixed into what some units of the last layer send.
#[derive(Clone, Debug)]
pub struct Forcing<B: RecurrenceBackend> {
    /// Forced units.
    pub units: Vec<usize>,
    /// Fraction a of the recorded rate in what a unit sends: 0 is the network as it is, 1 the recording alone.
    pub strength: f64,
    /// Recorded rates of these units after each time step, `[trial, time, unit]`.
    pub rates: Tensor<B, 3>,
}

impl<B: RecurrenceBackend> CtrnnModule<B> {
    /// Runs [`CtrnnModule::forward`] under teacher forcing; the readout sees the rates of the network.
    ///
    /// # Panics
    /// If a shape disagrees with the network's, or the last layer has factors, delays, feedback or short-term plasticity, in which what a
    /// unit sends is more than a column of `W_rc`.
    pub fn forward_forced(
        &self,
        inputs: Tensor<B, 3>,
        forcing: &Forcing<B>,
        forward: &Forward<B>,
    ) -> Trajectory<B> {
        self.check_forcible();
        if forward.runs_by_length(&inputs) {
            return run_by_length(&inputs, forward, |trials, inputs, forward| {
                let [_, length, _] = inputs.dims();
                let rates = forcing.rates.clone().narrow(0, trials.start, trials.len());
                let own = Forcing {
                    rates: rates.narrow(1, 0, length),
                    ..forcing.clone()
                };
                self.forward_forced(inputs, &own, forward)
            });
        }
        let sent = self.rates_before(forcing, forward);
        let (inputs, below) = self.run_below(inputs.swap_dims(0, 1), forward, B::sweep);
        let mut sweep = self.sweep(inputs, forward);
        let w_rc: Tensor<B, 2> = tensor(sweep.operands.w_rc.clone());
        let columns = w_rc.clone().select(1, self.numbers(&forcing.units));
        let mut own = vec![1.0; self.config.n_units];
        forcing
            .units
            .iter()
            .for_each(|&j| own[j] = 1.0 - forcing.strength);
        let own = TensorData::new(own, [1, self.config.n_units]);
        sweep.operands.w_rc = primitive(w_rc * host_tensor(own, &self.device()));
        self.add_inputs(&mut sweep, sent, columns * forcing.strength);
        Trajectory {
            below,
            ..trajectory(B::sweep(sweep))
        }
    }

    /// Returns the rates of forced units before each time step, time-major `[T,B,K]`: the initial ones, then the recorded ones.
    fn rates_before(&self, forcing: &Forcing<B>, forward: &Forward<B>) -> Tensor<B, 3> {
        let [n_trials, n_steps, _] = forcing.rates.dims();
        let initial = self.initial_rates(forward, n_trials);
        let initial = initial.select(1, self.numbers(&forcing.units));
        let initial: Tensor<B, 3> = initial.unsqueeze_dim(0);
        if n_steps == 1 {
            return initial;
        }
        let recorded = forcing.rates.clone().narrow(1, 0, n_steps - 1);
        Tensor::cat(vec![initial, recorded.swap_dims(0, 1)], 0)
    }

    fn numbers(&self, units: &[usize]) -> Tensor<B, 1, Int> {
        let units: Vec<i64> = units.iter().map(|&unit| unit as i64).collect();
        Tensor::from_ints(units.as_slice(), &self.device())
    }

    fn check_forcible(&self) {
        let config = &self.config;
        assert!(
            config.low_rank.is_none()
                && config.feedback.is_none()
                && config.short_term_plasticity.is_none()
                && self.delays.is_none(),
            "teacher forcing takes a network without factors, feedback, short-term plasticity and delays"
        );
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::{Autodiff, NdArray};

    use super::*;
    use crate::{Activation, CtrnnConfig, Form, Parameter, Record};

    type Grad = Autodiff<NdArray<f64>>;

    const RATES: [f64; 12] = [
        0.2, -0.3, 0.5, 0.1, 0.9, -0.7, 0.4, 0.6, -0.2, 0.8, 0.3, -0.5,
    ];

    fn network(form: Form) -> CtrnnModule<Grad> {
        let config = CtrnnConfig {
            activation: Activation::Tanh,
            form,
            ..CtrnnConfig::new(1, 4, 1)
        };
        config.init(5, &Default::default()).unwrap()
    }

    fn tensor_of(shape: [usize; 3], values: &[f64]) -> Tensor<Grad, 3> {
        host_tensor(TensorData::new(values.to_vec(), shape), &Default::default())
    }

    fn inputs() -> Tensor<Grad, 3> {
        tensor_of([2, 3, 1], &[1.0, -0.5, 0.3, 0.7, 2.0, -1.0])
    }

    /// Forces units 3 and 1 of two trials of three time steps.
    fn forcing(strength: f64) -> Forcing<Grad> {
        Forcing {
            units: vec![3, 1],
            strength,
            rates: tensor_of([2, 3, 2], &RATES),
        }
    }

    fn pass() -> Forward<Grad> {
        Forward {
            record: Record::RATES,
            ..Forward::default()
        }
    }

    fn values(tensor: &Tensor<Grad, 3>) -> Vec<f64> {
        tensor.to_data().iter().collect()
    }

    /// Time step by time step in the equations themselves: `v' = (1 - alpha) v + alpha (W s + W_in u + b)`, with s the rates that units
    /// send.
    #[test]
    fn forced_units_send_what_the_equations_say() {
        for strength in [0.25, 1.0] {
            let network = network(Form::Voltage);
            let list = |name: &str| -> Vec<f64> { network.weights()[name].iter().collect() };
            let (w, w_in) = (list("recurrent.weight"), list("input.weight"));
            let alpha: Vec<f64> = network.gain().to_data().iter().collect();
            let u: Vec<f64> = values(&inputs());
            let found = network.forward_forced(inputs(), &forcing(strength), &pass());
            let found = values(&found.rates.unwrap());
            for b in 0..2 {
                let mut v = [0.0f64; 4];
                for t in 0..3 {
                    let mut sent = v.map(f64::tanh);
                    for (column, unit) in [3, 1].into_iter().enumerate().filter(|_| t > 0) {
                        let recorded = RATES[(b * 3 + t - 1) * 2 + column];
                        sent[unit] = (1.0 - strength) * sent[unit] + strength * recorded;
                    }
                    v = std::array::from_fn(|i| {
                        let recurrent: f64 = (0..4).map(|j| w[i * 4 + j] * sent[j]).sum();
                        let drive = recurrent + w_in[i] * u[b * 3 + t];
                        (1.0 - alpha[i]) * v[i] + alpha[i] * drive
                    });
                    for (i, v) in v.into_iter().enumerate() {
                        let found = found[(b * 3 + t) * 4 + i];
                        assert!((found - v.tanh()).abs() < 1e-12, "{b} {t} {i}: {found}");
                    }
                }
            }
        }
    }

    /// At strength 0 the pass is the free one, and trials of other lengths are those of a batch of their own.
    #[test]
    fn strength_0_forces_nothing_and_lengths_cut_trials() {
        let network = network(Form::Rate);
        let free = values(&network.forward(inputs(), &pass()).rates.unwrap());
        let forced = network.forward_forced(inputs(), &forcing(0.0), &pass());
        for (a, b) in values(&forced.rates.unwrap()).iter().zip(&free) {
            assert!((a - b).abs() < 1e-14, "{a} {b}");
        }
        let lengths = Forward {
            lengths: vec![2, 3],
            ..pass()
        };
        let all = network.forward_forced(inputs(), &forcing(0.5), &pass());
        let cut = network.forward_forced(inputs(), &forcing(0.5), &lengths);
        let (all, cut) = (values(&all.rates.unwrap()), values(&cut.rates.unwrap()));
        assert_eq!(all[..8], cut[..8]);
        assert_eq!(cut[8..12], [0.0; 4]);
        assert_eq!(all[12..], cut[12..]);
    }

    /// Central differences of the sum of squares of the rates, with respect to each recurrent weight.
    #[test]
    fn gradients_are_those_of_finite_differences() {
        let network = network(Form::Voltage);
        let value = |network: &CtrnnModule<Grad>| {
            let forced = network.forward_forced(inputs(), &forcing(0.4), &pass());
            forced.rates.unwrap().square().sum()
        };
        let w_rc = network.w_rc_raw.val();
        let gradients = value(&network).backward();
        let found: Vec<f64> = w_rc.grad(&gradients).unwrap().to_data().iter().collect();
        let mut weights = network.weights();
        let name = Parameter::RECURRENT_WEIGHT.name();
        let start: Vec<f64> = weights[&name].iter().collect();
        for k in 0..16 {
            let at = |h: f64, weights: &mut crate::Weights| -> f64 {
                let mut moved = start.clone();
                moved[k] += h;
                weights.insert(name.clone(), TensorData::new(moved, [4, 4]));
                let moved = network.clone().with_weights(weights).unwrap();
                value(&moved).to_data().iter().next().unwrap()
            };
            let slope = (at(1e-5, &mut weights) - at(-1e-5, &mut weights)) / 2e-5;
            assert!((found[k] - slope).abs() < 1e-8, "{k}: {} {slope}", found[k]);
        }
    }
}
