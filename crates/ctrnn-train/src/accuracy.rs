//! Accuracy: the fraction of trials whose choice is right, over trials that have a right choice.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use ctrnn_tasks::{Task, TrialBatch};

/// Rights and wrongs counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    right: usize,
    answered: usize,
}

impl Tally {
    /// Counts one trial; `None` has no right choice.
    pub fn count(&mut self, is_correct: Option<bool>) {
        self.answered += usize::from(is_correct.is_some());
        self.right += usize::from(is_correct == Some(true));
    }

    /// The fraction, absent if no trial has a right choice.
    pub fn accuracy(self) -> Option<f64> {
        (self.answered > 0).then(|| self.right as f64 / self.answered as f64)
    }
}

/// Accuracy of a batch with `outputs [trial, time, output]`.
pub(crate) fn batch_accuracy<B: Backend>(
    task: &dyn Task,
    batch: &TrialBatch,
    outputs: Tensor<B, 3>,
) -> Option<f64> {
    let mut tally = Tally::default();
    corrects(task, batch, outputs)
        .into_iter()
        .for_each(|choice| tally.count(choice));
    tally.accuracy()
}

/// For each trial, whether the readout `[trial, time, output]` chose right; `None` where no choice is.
pub(crate) fn corrects<B: Backend>(
    task: &dyn Task,
    batch: &TrialBatch,
    outputs: Tensor<B, 3>,
) -> Vec<Option<bool>> {
    let values = outputs.into_data().convert::<f32>();
    let values = values.as_slice::<f32>().expect("converted to f32");
    (0..batch.n_trials)
        .map(|b| task.is_correct(&batch.trial(b), batch.rows(values, b, batch.n_outputs)))
        .collect()
}
