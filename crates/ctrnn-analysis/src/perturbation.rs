//! Perturbations of a network: lesions, cut connections, clamped rates, injected currents.

use std::ops::Range;

use burn::tensor::TensorData;
use burn::tensor::backend::Backend;
use ctrnn_files::Array;
use ctrnn_model::{Biases, CtrnnModule, ModelError, Parameter, Weights};
use thiserror::Error;

/// Perturbation of a network during a simulation; the default is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Perturbation {
    /// Lesioned units: their outgoing weights are set to zero.
    pub lesioned: Vec<usize>,
    /// Recurrent connections, from presynaptic to postsynaptic units, that are set to zero.
    pub cut: Vec<Cut>,
    /// Units whose rate is clamped to a value.
    pub clamped: Vec<(usize, f64)>,
    /// Currents injected into units.
    pub currents: Vec<Current>,
}

/// All connections from some units to others, which are cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Postsynaptic units.
    pub post: Vec<usize>,
    /// Presynaptic units.
    pub pre: Vec<usize>,
}

/// A current injected into some units at some time steps, in addition to `W_in u`.
#[derive(Clone, Debug, PartialEq)]
pub struct Current {
    /// Units that receive the current.
    pub units: Vec<usize>,
    /// Time steps, as indices of the inputs; those after the end of a trial are ignored.
    pub steps: Range<usize>,
    /// Strength, in the units of the drive `W_rc r + W_in u + b`.
    pub value: f64,
}

/// Error of a unit that the network does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("there is no unit {unit}: the network has {n_units}, numbered from 0")]
pub struct NoSuchUnit {
    /// Requested index of a unit.
    pub unit: usize,
    /// Number of units of the network.
    pub n_units: usize,
}

impl Perturbation {
    /// Checks that all units exist.
    ///
    /// # Errors
    /// [`NoSuchUnit`] if one does not.
    pub fn check(&self, n_units: usize) -> Result<(), NoSuchUnit> {
        let cut = self
            .cut
            .iter()
            .flat_map(|cut| cut.post.iter().chain(&cut.pre));
        let currents = self.currents.iter().flat_map(|current| &current.units);
        let clamped = self.clamped.iter().map(|(unit, _)| unit);
        let all = self
            .lesioned
            .iter()
            .chain(cut)
            .chain(currents)
            .chain(clamped);
        match all.copied().find(|&unit| unit >= n_units) {
            Some(unit) => Err(NoSuchUnit { unit, n_units }),
            None => Ok(()),
        }
    }

    /// Returns the network with lesions, cuts and clamps. It has the effective weights of the original and no
    /// constraints, because a weight that is now zero may have been fixed at another value.
    ///
    /// The outgoing weights of clamped units are set to zero, and their constant contribution `W c` is added to the
    /// biases.
    ///
    /// # Errors
    /// See [`CtrnnModule::from_weights`].
    pub fn apply<B: Backend>(
        &self,
        network: &CtrnnModule<B>,
    ) -> Result<CtrnnModule<B>, ModelError> {
        if self.lesioned.is_empty() && self.cut.is_empty() && self.clamped.is_empty() {
            return Ok(network.clone());
        }
        let mut config = network.config().clone().unconstrained();
        let n = config.n_units;
        config.bias = Biases {
            recurrent: true,
            readout: true,
        };
        let constrained = ["mask", "sign", "fixed", "weight_raw"];
        let mut weights = network.weights();
        weights.retain(|name, _| !name.split('.').any(|part| constrained.contains(&part)));
        let values =
            |weights: &Weights, p: Parameter| weights[&p.name()].iter::<f64>().collect::<Vec<_>>();
        let mut w_rc = values(&weights, Parameter::RECURRENT_WEIGHT);
        for cut in &self.cut {
            cut.post
                .iter()
                .for_each(|i| cut.pre.iter().for_each(|j| w_rc[i * n + j] = 0.0));
        }
        let mut w_out = values(&weights, Parameter::OUTPUT_WEIGHT);
        let mut bias = values(&weights, Parameter::RECURRENT_BIAS);
        let mut bias_out = values(&weights, Parameter::OUTPUT_BIAS);
        let silenced = self.lesioned.iter().map(|&unit| (unit, 0.0));
        for (unit, rate) in silenced.chain(self.clamped.iter().copied()) {
            for (matrix, bias) in [(&mut w_rc, &mut bias), (&mut w_out, &mut bias_out)] {
                for (row, b) in matrix.chunks_exact_mut(n).zip(bias.iter_mut()) {
                    *b += row[unit] * rate;
                    row[unit] = 0.0;
                }
            }
        }
        let changed = [
            (Parameter::RECURRENT_WEIGHT, w_rc),
            (Parameter::OUTPUT_WEIGHT, w_out),
            (Parameter::RECURRENT_BIAS, bias),
            (Parameter::OUTPUT_BIAS, bias_out),
        ];
        for (p, values) in changed {
            let data = TensorData::new(values, p.shape(&config)).convert::<B::FloatElem>();
            weights.insert(p.name().to_owned(), data);
        }
        CtrnnModule::from_weights(&config, &weights, &network.device())
    }

    /// Returns the injected currents `[trial, time, unit]`, or `None` if there are none.
    pub fn drive(&self, n_trials: usize, n_steps: usize, n_units: usize) -> Option<Array> {
        if self.currents.is_empty() {
            return None;
        }
        let mut trial = vec![0.0; n_steps * n_units];
        for current in &self.currents {
            for t in current.steps.start..current.steps.end.min(n_steps) {
                current
                    .units
                    .iter()
                    .for_each(|unit| trial[t * n_units + unit] += current.value);
            }
        }
        Some(Array::f64(
            &[n_trials, n_steps, n_units],
            trial.repeat(n_trials),
        ))
    }

    /// Sets the recorded rates `[trial, time, unit]` of clamped units to their values, which the perturbed network does
    /// not compute.
    pub(crate) fn clamp(&self, rates: Array) -> Array {
        if self.clamped.is_empty() {
            return rates;
        }
        let n = rates.shape()[2];
        let shape = rates.shape().to_vec();
        let mut values = rates.to_f64().expect("rates are floats");
        for row in values.chunks_exact_mut(n) {
            self.clamped
                .iter()
                .for_each(|&(unit, rate)| row[unit] = rate);
        }
        match rates.data() {
            ctrnn_files::ArrayData::F64(_) => Array::f64(&shape, values),
            _ => Array::f32(&shape, values.into_iter().map(|x| x as f32).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::NdArray;
    use ctrnn_model::{Activation, CtrnnConfig, Forward, InitialState};

    use super::*;
    use crate::simulation::simulate_perturbed;

    type B = NdArray<f64>;

    /// Creates two linear units with alpha = 1; the first projects to the second with weight 2, which is read out with
    /// weight 1.
    fn network() -> CtrnnModule<B> {
        let config = CtrnnConfig {
            tau_ms: ctrnn_model::TimeConstants::Shared(20.0),
            activation: Activation::Linear,
            initial_state: InitialState::Zero,
            ..CtrnnConfig::new(1, 2, 1)
        };
        let put =
            |values: &[f64], shape: &[usize]| TensorData::new(values.to_vec(), shape.to_vec());
        let given: Weights = [
            ("input.weight", put(&[1.0, 0.0], &[2, 1])),
            ("recurrent.weight", put(&[0.0, 0.0, 2.0, 0.0], &[2, 2])),
            ("output.weight", put(&[0.0, 1.0], &[1, 2])),
        ]
        .map(|(name, data)| (name.to_owned(), data))
        .into();
        let drawn = config.init(1, &Default::default()).unwrap();
        drawn.with_weights(&given).unwrap()
    }

    /// Returns the output over four time steps under a constant input of 1.
    fn outputs(perturbation: &Perturbation) -> Vec<f64> {
        let inputs = Array::f64(&[1, 4, 1], vec![1.0; 4]);
        let states =
            simulate_perturbed(&network(), &inputs, Forward::default(), perturbation).unwrap();
        states.outputs.to_f64().unwrap()
    }

    #[test]
    fn every_perturbation_by_hand() {
        let none = Perturbation::default;
        assert_eq!(outputs(&none()), [0.0, 2.0, 2.0, 2.0]);
        assert_eq!(
            outputs(&Perturbation {
                lesioned: vec![0],
                ..none()
            }),
            [0.0; 4]
        );
        let cut = Cut {
            post: vec![1],
            pre: vec![0],
        };
        assert_eq!(
            outputs(&Perturbation {
                cut: vec![cut],
                ..none()
            }),
            [0.0; 4]
        );
        assert_eq!(
            outputs(&Perturbation {
                clamped: vec![(0, 3.0)],
                ..none()
            }),
            [6.0; 4]
        );
        let current = Current {
            units: vec![1],
            steps: 2..9,
            value: 0.5,
        };
        assert_eq!(
            outputs(&Perturbation {
                currents: vec![current],
                ..none()
            }),
            [0.0, 2.0, 2.5, 2.5]
        );
    }

    #[test]
    fn a_clamped_rate_is_recorded_and_an_unknown_unit_refused() {
        let perturbation = Perturbation {
            clamped: vec![(1, 7.0)],
            ..Perturbation::default()
        };
        let inputs = Array::f64(&[1, 2, 1], vec![1.0; 2]);
        let states =
            simulate_perturbed(&network(), &inputs, Forward::default(), &perturbation).unwrap();
        assert_eq!(states.rates.to_f64().unwrap(), [1.0, 7.0, 1.0, 7.0]);
        assert_eq!(
            perturbation.check(1),
            Err(NoSuchUnit {
                unit: 1,
                n_units: 1
            })
        );
    }
}
