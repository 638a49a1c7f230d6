//! Noise-free responses of a lesioned network to the inputs of a study.

use ctrnn_model::{Form, OutputNonlinearity};
use ndarray::{Array2, Array3, ArrayViewMut1, Axis, s};
use rayon::prelude::*;

use crate::{Dynamics, Study};

/// Largest number of trials that are computed as one matrix.
const BLOCK: usize = 64;

/// Computes the outputs `[trial, time, output]` of the network without noise in some trials, with the rates of some
/// units set to zero: they reach neither other units nor the readout.
///
/// It starts in each trial from the recorded state after the first time step, since a network's initial state may depend
/// on the trial. Outputs after the end of a trial are 0.
pub fn outputs_without(study: &Study, units: &[usize], trials: &[usize]) -> Array3<f64> {
    let longest = trials
        .iter()
        .map(|&b| study.batch.n_steps[b])
        .max()
        .unwrap_or(0);
    let n_outputs = study.dynamics.w_out.nrows();
    let mut outputs = Array3::zeros((trials.len(), longest, n_outputs));
    let blocks: Vec<_> = outputs.axis_chunks_iter_mut(Axis(0), BLOCK).collect();
    blocks
        .into_par_iter()
        .zip(trials.par_chunks(BLOCK))
        .for_each(|(mut own, trials)| {
            let lesion = Lesion::of(study, units);
            let mut state = study
                .states()
                .index_axis(Axis(1), 0)
                .select(Axis(0), trials);
            let mut synapses = study.synapses.as_ref().map(|all| all.at(0, trials));
            for t in 0..longest {
                let rates = study.dynamics.all_rates(&state);
                own.index_axis_mut(Axis(1), t)
                    .assign(&lesion.readout(&rates));
                let transmitted = match (&study.dynamics.synapses, &mut synapses) {
                    (Some(plastic), Some(states)) => plastic.transmit(rates.view(), states),
                    _ => rates,
                };
                lesion.step(&mut state, &transmitted, trials, t + 1);
            }
        });
    for (mut own, &b) in outputs.outer_iter_mut().zip(trials) {
        own.slice_mut(s![study.batch.n_steps[b].., ..]).fill(0.0);
    }
    outputs
}

/// Network whose lesioned units have no outgoing weights.
struct Lesion<'a> {
    study: &'a Study<'a>,
    /// Transposed recurrent weights `[pre, post]`.
    recurrent: Array2<f64>,
    /// Transposed output weights `[unit, output]`.
    output: Array2<f64>,
}

impl<'a> Lesion<'a> {
    fn of(study: &'a Study, units: &[usize]) -> Self {
        let dynamics = &study.dynamics;
        let mut recurrent = dynamics.w_rc.t().to_owned();
        let mut output = dynamics.w_out.t().to_owned();
        for &unit in units {
            recurrent.row_mut(unit).fill(0.0);
            output.row_mut(unit).fill(0.0);
        }
        Self {
            study,
            recurrent,
            output,
        }
    }

    /// Moves the states `[trial, unit]`, whose synapses transmit these rates, to time step `t`.
    fn step(&self, state: &mut Array2<f64>, rates: &Array2<f64>, trials: &[usize], t: usize) {
        let dynamics = &self.study.dynamics;
        let target = dynamics.targets(&rates.dot(&self.recurrent), &self.drive(trials, t));
        for (mut own, target) in state.outer_iter_mut().zip(target.outer_iter()) {
            ndarray::Zip::from(&mut own)
                .and(&target)
                .and(&dynamics.gain)
                .for_each(|s, &target, &gain| *s += gain * (target - *s));
        }
    }

    /// Returns the input drives of some trials at time step `t`, `[trial, unit]`; those after the end of a trial are of no
    /// consequence.
    fn drive(&self, trials: &[usize], t: usize) -> Array2<f64> {
        let batch = &self.study.batch;
        let width = batch.n_inputs;
        let inputs = Array2::from_shape_fn((trials.len(), width), |(i, k)| {
            let b = trials[i];
            let t = t.min(batch.n_steps[b] - 1);
            f64::from(batch.rows(&batch.inputs, b, width)[t * width + k])
        });
        self.study.dynamics.input_drives(inputs)
    }

    /// Returns the outputs at these rates `[trial, unit]`.
    fn readout(&self, rates: &Array2<f64>) -> Array2<f64> {
        let dynamics = &self.study.dynamics;
        let mut outputs = rates.dot(&self.output) + &dynamics.bias_out;
        outputs
            .outer_iter_mut()
            .for_each(|own| dynamics.activate(own));
        outputs
    }
}

impl Dynamics {
    /// Computes the rates of several states `[trial, unit]`.
    fn all_rates(&self, states: &Array2<f64>) -> Array2<f64> {
        match self.form {
            Form::Voltage => states.mapv(|v| self.activation.value(v)),
            Form::Rate => states.clone(),
        }
    }

    /// Computes the targets of several states from their recurrent and input drives, `[trial, unit]`.
    fn targets(&self, recurrent: &Array2<f64>, input: &Array2<f64>) -> Array2<f64> {
        let drive = recurrent + input;
        match self.form {
            Form::Voltage => drive,
            Form::Rate => drive.mapv(|z| self.activation.value(z)),
        }
    }

    /// Computes `W_in u + b` of several inputs `[trial, input]`, with baseline and rectification.
    fn input_drives(&self, mut inputs: Array2<f64>) -> Array2<f64> {
        let floor = if self.rectifies_inputs {
            0.0
        } else {
            f64::NEG_INFINITY
        };
        inputs.mapv_inplace(|u| (u + self.input_baseline).max(floor));
        inputs.dot(&self.w_in.t()) + &self.bias
    }

    /// Applies the output nonlinearity to the readout of one time step.
    fn activate(&self, mut readout: ArrayViewMut1<f64>) {
        match self.output_nonlinearity {
            OutputNonlinearity::Identity => {}
            OutputNonlinearity::Sigmoid => readout.mapv_inplace(|y| 1.0 / (1.0 + (-y).exp())),
            OutputNonlinearity::Softmax => {
                let largest = readout.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                readout.mapv_inplace(|y| (y - largest).exp());
                let sum = readout.sum();
                readout /= sum;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyses::synthetic::Synthetic;

    /// Without a lesion the outputs are those that were recorded; without the only unit that is read out they are the
    /// bias.
    #[test]
    fn lesions_silence_units() {
        let synthetic = Synthetic::network(5, 12);
        let study = synthetic.study();
        let all: Vec<usize> = (0..study.batch.n_trials).collect();
        let intact = outputs_without(&study, &[], &all);
        let error = (&intact - &study.outputs).mapv(f64::abs);
        assert!(error.iter().all(|e| *e < 1e-5), "{error}");
        let units: Vec<usize> = (0..5).collect();
        let silent = outputs_without(&study, &units, &all[..3]);
        let bias = 1.0 / (1.0 + (-study.dynamics.bias_out[0]).exp());
        assert!((silent[[2, 1, 0]] - bias).abs() < 1e-12);
    }
}
