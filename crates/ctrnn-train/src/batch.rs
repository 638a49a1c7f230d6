//! A batch of trials as tensors: time-major in memory, as the sweep wants them.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use ctrnn_model::{CtrnnModule, InitialState, host_tensor};
use ctrnn_tasks::{Mask, Task, TrialBatch};

use crate::TrainError;

/// A batch of trials on a device.
#[derive(Clone, Debug)]
pub struct Batch<B: Backend> {
    /// `u`, a `[trial, time, input]` view of time-major memory.
    pub inputs: Tensor<B, 3>,
    /// What the readout should be, time-major `[T,B,O]`; class labels as one-hot rows.
    pub targets: Tensor<B, 3>,
    /// What counts, time-major `[T,B,1]` or `[T,B,O]`.
    pub mask: Tensor<B, 3>,
    /// Sum of `mask`.
    pub mask_sum: f64,
}

impl<B: Backend> Batch<B> {
    /// Moves a batch to the device.
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
        Self {
            inputs: time_major(&trials.inputs, trials.n_inputs).swap_dims(0, 1),
            targets,
            mask: time_major(mask, mask_width),
            mask_sum: mask.iter().map(|&m| f64::from(m)).sum(),
        }
    }
}

/// The condition of each trial by its number, for a network with an initial state per condition; else none.
///
/// # Errors
/// [`TrainError::UnknownCondition`] if a trial has a condition that is not one of the task's.
pub fn condition_numbers<B: Backend>(
    network: &CtrnnModule<B>,
    task: &dyn Task,
    trials: &TrialBatch,
) -> Result<Vec<usize>, TrainError> {
    match network.config().initial_state {
        InitialState::LearnedPerCondition(_) => trials
            .condition_numbers(&task.conditions())
            .ok_or(TrainError::UnknownCondition),
        _ => Ok(Vec::new()),
    }
}

/// `[trial, time, width]` rows in the order `[time, trial, width]`.
fn transposed(values: &[f32], n_trials: usize, n_steps: usize, width: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(values.len());
    for t in 0..n_steps {
        for trial in 0..n_trials {
            let row = (trial * n_steps + t) * width;
            out.extend_from_slice(&values[row..row + width]);
        }
    }
    out
}
