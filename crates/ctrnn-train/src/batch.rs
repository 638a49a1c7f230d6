//! A batch of trials as tensors, time-major in memory: the layout that the recurrence iterates over.

use std::ops::Range;

use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData};
use ctrnn_model::host_tensor;
use ctrnn_tasks::{Mask, TrialBatch};

/// A batch of trials as tensors on a device.
#[derive(Clone, Debug)]
pub struct Batch<B: Backend> {
    /// Inputs `u`, a `[trial, time, input]` view of time-major memory.
    pub inputs: Tensor<B, 3>,
    /// Target values of the readout, time-major `[T,B,O]`; class labels as one-hot rows.
    pub targets: Tensor<B, 3>,
    /// Loss mask, time-major `[T,B,1]` or `[T,B,O]`.
    pub mask: Tensor<B, 3>,
    /// Mask of all time steps of the trials, of which a part of a batch has only some.
    pub mask_of_trials: Tensor<B, 3>,
    /// Sum of all entries of `mask`; in a part of a batch, that of the whole batch, as the next sum and `counted_trials`.
    pub mask_sum: f64,
    /// Indicator of the time steps within the trials: 1 there and 0 in the padding, time-major `[T,B,1]`.
    pub within: Tensor<B, 3>,
    /// Sum of all entries of `within`: the number of time steps of all trials together.
    pub within_sum: f64,
    /// Number of time steps of each trial, `[B]`.
    pub n_steps: Vec<usize>,
    /// Number of trials whose mask is not zero everywhere.
    pub counted_trials: usize,
    /// Recorded rates of some units, if the trials have them.
    pub recordings: Option<Recordings<B>>,
}

/// Recorded rates (or spike counts) of K units, time-major `[T,B,K]`.
#[derive(Clone, Debug)]
pub struct Recordings<B: Backend> {
    /// The rate after each time step; 0 where it is missing.
    pub rates: Tensor<B, 3>,
    /// Indicator of the entries that were recorded: 0 where one is missing, and in the padding.
    pub observed: Tensor<B, 3>,
    /// Number of entries that were recorded; in a part of a batch, that of the whole batch.
    pub n_observed: f64,
}

impl<B: Backend> Recordings<B> {
    /// Applies a function to both tensors.
    fn map<C: Backend>(&self, change: impl Fn(&Tensor<B, 3>) -> Tensor<C, 3>) -> Recordings<C> {
        Recordings {
            rates: change(&self.rates),
            observed: change(&self.observed),
            n_observed: self.n_observed,
        }
    }
}

impl<B: Backend> Batch<B> {
    /// Converts a batch of trials to tensors on the device.
    pub fn new(trials: &TrialBatch, device: &B::Device) -> Self {
        let (n_trials, n_steps) = (trials.n_trials, trials.max_steps);
        let time_major = |values: &[f32], width: usize| -> Tensor<B, 3> {
            let values = transposed(values, n_trials, n_steps, width);
            let data = TensorData::new(values, [n_steps, n_trials, width]);
            host_tensor(data, device)
        };
        let targets = time_major(&trials.target_rows(), trials.n_outputs);
        let (mask, mask_width) = match &trials.mask {
            Mask::Steps(mask) => (mask, 1),
            Mask::Outputs(mask) => (mask, trials.n_outputs),
        };
        let masked = time_major(mask, mask_width);
        let recordings = observed(trials).map(|observed| {
            let recorded = trials.unit_targets.iter().zip(&observed);
            let rates: Vec<f32> = recorded
                .map(|(&rate, &is_observed)| if is_observed == 0.0 { 0.0 } else { rate })
                .collect();
            Recordings {
                rates: time_major(&rates, trials.n_recorded()),
                n_observed: observed.iter().map(|&x| f64::from(x)).sum(),
                observed: time_major(&observed, trials.n_recorded()),
            }
        });
        Self {
            recordings,
            inputs: time_major(&trials.inputs, trials.n_inputs).swap_dims(0, 1),
            targets,
            mask_of_trials: masked.clone(),
            mask: masked,
            mask_sum: mask.iter().map(|&m| f64::from(m)).sum(),
            within: host_tensor(
                TensorData::new(within(trials), [n_steps, n_trials, 1]),
                device,
            ),
            within_sum: trials.n_steps.iter().sum::<usize>() as f64,
            n_steps: trials.n_steps.clone(),
            counted_trials: mask
                .chunks_exact((n_steps * mask_width).max(1))
                .filter(|mask| mask.iter().any(|&m| m != 0.0))
                .count(),
        }
    }

    /// Returns true if some trials are shorter than others and hence padded.
    pub fn is_padded(&self) -> bool {
        let [n_steps, _, _] = self.within.dims();
        self.n_steps.iter().any(|&length| length < n_steps)
    }

    /// Returns some time steps of some of the trials. Losses and means over it have the divisors of the whole batch, so that those of
    /// the parts of a batch add up to those of the batch.
    #[must_use]
    pub fn part(&self, trials: Range<usize>, times: Range<usize>) -> Self {
        let is_all = trials.len() == self.n_steps.len();
        let of_trials = |all: Tensor<B, 3>| {
            if is_all {
                return all; // a copy for each window would cost time that grows with the square of T
            }
            all.narrow(1, trials.start, trials.len())
        };
        let some = |all: &Tensor<B, 3>| {
            let during = all.clone().narrow(0, times.start, times.len());
            of_trials(during)
        };
        let lengths = self.n_steps[trials.clone()].iter();
        let within = |length: &usize| length.saturating_sub(times.start).min(times.len());
        Self {
            inputs: some(&self.inputs.clone().swap_dims(0, 1)).swap_dims(0, 1),
            targets: some(&self.targets),
            mask: some(&self.mask),
            mask_of_trials: of_trials(self.mask_of_trials.clone()),
            within: some(&self.within),
            n_steps: lengths.map(within).collect(),
            recordings: self.recordings.as_ref().map(|all| all.map(some)),
            ..*self
        }
    }

    /// Returns the batch with its tensors lifted to the autodiff backend.
    pub fn from_inner(batch: &Batch<B::InnerBackend>) -> Self
    where
        B: AutodiffBackend,
    {
        let tensor = |inner: &Tensor<B::InnerBackend, 3>| Tensor::from_inner(inner.clone());
        Self {
            inputs: tensor(&batch.inputs),
            targets: tensor(&batch.targets),
            mask: tensor(&batch.mask),
            mask_of_trials: tensor(&batch.mask_of_trials),
            mask_sum: batch.mask_sum,
            within: tensor(&batch.within),
            within_sum: batch.within_sum,
            n_steps: batch.n_steps.clone(),
            counted_trials: batch.counted_trials,
            recordings: batch.recordings.as_ref().map(|all| all.map(tensor)),
        }
    }
}

/// Returns the indicator of the recorded entries, `[trial, time, unit]`; `None` without recordings.
fn observed(trials: &TrialBatch) -> Option<Vec<f32>> {
    let row = trials.max_steps * trials.n_recorded();
    if row == 0 {
        return None;
    }
    let of_trials = trials.unit_targets.chunks_exact(row).zip(&trials.n_steps);
    let observed = of_trials.flat_map(|(rates, n_steps)| {
        let end = n_steps * trials.n_recorded();
        let is_observed = move |(k, rate): (usize, &f32)| k < end && !rate.is_nan();
        rates
            .iter()
            .enumerate()
            .map(move |entry| f32::from(u8::from(is_observed(entry))))
    });
    Some(observed.collect())
}

/// Returns the indicator of the time steps within the trials (0 in the padding), `[time, trial]`.
fn within(trials: &TrialBatch) -> Vec<f32> {
    (0..trials.max_steps)
        .flat_map(|t| {
            trials
                .n_steps
                .iter()
                .map(move |&n_steps| f32::from(u8::from(t < n_steps)))
        })
        .collect()
}

/// Reorders `[trial, time, width]` rows to `[time, trial, width]`.
fn transposed(values: &[f32], n_trials: usize, n_steps: usize, width: usize) -> Vec<f32> {
    /// Longest row that is copied number by number: a call of the library's copy costs more.
    const SHORT: usize = 8;
    let mut out = vec![0.0; values.len()];
    let row = n_trials * width;
    for (t, out) in out.chunks_exact_mut(row.max(1)).enumerate() {
        let of_trials = values[t * width..].chunks(n_steps * width);
        if width > SHORT {
            let rows = out.chunks_exact_mut(width).zip(of_trials);
            rows.for_each(|(to, from)| to.copy_from_slice(&from[..width]));
            continue;
        }
        for column in 0..width {
            let to = out[column..].iter_mut().step_by(width);
            to.zip(of_trials.clone())
                .for_each(|(to, from)| *to = from[column]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two trials of three time steps, with short rows and long ones.
    #[test]
    fn rows_are_reordered_by_time() {
        for width in [0, 1, 3, 9] {
            let values: Vec<f32> = (0..6 * width as u16).map(f32::from).collect();
            let found = transposed(&values, 2, 3, width);
            for (trial, t) in [(0, 0), (0, 2), (1, 0), (1, 1)] {
                let row = &found[(t * 2 + trial) * width..][..width];
                assert_eq!(row, &values[(trial * 3 + t) * width..][..width]);
            }
        }
    }
}
