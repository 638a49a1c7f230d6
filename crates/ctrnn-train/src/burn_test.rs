//! Shared fixtures of the unit tests of this crate: a backend in double precision, and small batches.

use burn::backend::{Autodiff, NdArray};
use burn::tensor::{Tensor, TensorData};
use ctrnn_model::host_tensor;
use ctrnn_tasks::{Condition, Layout, Mask, Target, TargetKind, Timeline, Trial, TrialBatch};

use crate::batch::Batch;

pub type Grad = Autodiff<NdArray<f64>>;

/// Builds a batch of trials without inputs, one for each target and mask.
pub fn batch(trials: &[(Target, Mask)], n_outputs: usize) -> Batch<Grad> {
    let trials: Vec<Trial> = trials
        .iter()
        .map(|(target, mask)| trial(target, mask, n_outputs))
        .collect();
    Batch::new(&TrialBatch::new(&trials), &Default::default())
}

fn trial(target: &Target, mask: &Mask, n_outputs: usize) -> Trial {
    let layout = Layout {
        inputs: Vec::new(),
        outputs: (0..n_outputs).map(|k| k.to_string()).collect(),
        target: TargetKind::Values,
        choices: (0..n_outputs).collect(),
        recorded: 0,
    };
    let mut timeline = Timeline::default();
    let n_steps = match (target, mask) {
        (Target::Classes(classes), _) => classes.len(),
        (Target::Values(values), _) => values.len() / n_outputs,
    };
    timeline.push("trial", n_steps);
    let mut trial = Trial::new(&layout, &Condition::new([]), timeline);
    trial.target = target.clone();
    trial.mask = mask.clone();
    trial
}

/// Builds a readout `[trial, time, output]`.
pub fn outputs(shape: [usize; 3], values: &[f64]) -> Tensor<Grad, 3> {
    host_tensor(TensorData::new(values.to_vec(), shape), &Default::default())
}

pub fn values<const D: usize>(tensor: &Tensor<Grad, D>) -> Vec<f64> {
    tensor.to_data().iter().collect()
}
