//! Accuracy: the fraction of trials whose choice is right, over trials that have a right choice.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use ctrnn_tasks::{Task, Trial, TrialBatch};

use crate::observer::Confusion;

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

/// What a network did in one trial.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    /// Whether it was right; `None` where nothing is.
    pub is_correct: Option<bool>,
    /// The choice that was made.
    pub chosen: Option<usize>,
}

/// Accuracy of a batch with `outputs [trial, time, output]`.
pub(crate) fn batch_accuracy<B: Backend>(
    task: &dyn Task,
    batch: &TrialBatch,
    outputs: Tensor<B, 3>,
) -> Option<f64> {
    let mut tally = Tally::default();
    answers(task, batch, outputs)
        .into_iter()
        .for_each(|answer| tally.count(answer.is_correct));
    tally.accuracy()
}

/// What the readout `[trial, time, output]` answers in each trial.
pub(crate) fn answers<B: Backend>(
    task: &dyn Task,
    batch: &TrialBatch,
    outputs: Tensor<B, 3>,
) -> Vec<Answer> {
    let values = outputs.into_data().convert::<f32>();
    let values = values.as_slice::<f32>().expect("converted to f32");
    let choices = task.layout().choices;
    let answer = |b: usize| {
        let (trial, readout) = (batch.trial(b), batch.rows(values, b, batch.n_outputs));
        Answer {
            is_correct: task.is_correct(&trial, readout),
            chosen: trial.choice(readout, &choices),
        }
    };
    (0..batch.n_trials).map(answer).collect()
}

/// Counts choices made against choices that were right; absent if no trial has a right choice among those of the task.
pub(crate) fn confusion(
    task: &dyn Task,
    trials: &[Trial],
    answers: &[Answer],
) -> Option<Confusion> {
    let layout = task.layout();
    let place = |choice: usize| layout.choices.iter().position(|&c| c == choice);
    let mut counts = vec![vec![0; layout.choices.len()]; layout.choices.len()];
    for (trial, answer) in trials.iter().zip(answers) {
        let right = trial.correct.and_then(place);
        if let Some((row, column)) = right.zip(answer.chosen.and_then(place)) {
            counts[row][column] += 1;
        }
    }
    let is_empty = counts.iter().flatten().all(|&n| n == 0);
    let names = layout.choices.iter().map(|&c| layout.outputs[c].clone());
    (!is_empty).then(|| Confusion {
        choices: names.collect(),
        counts,
    })
}
