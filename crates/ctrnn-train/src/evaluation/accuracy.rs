//! Accuracy: the fraction of trials whose choice is right, over trials that have a right choice.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use ctrnn_tasks::{Task, TrialBatch};

use crate::observer::{Confusion, Score};

/// Answers counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    trials: usize,
    right: usize,
    answered: usize,
    decided: usize,
    reaction_steps: usize,
}

impl Tally {
    /// Counts one trial.
    pub fn count(&mut self, answer: &Answer) {
        self.trials += 1;
        self.answered += usize::from(answer.is_correct.is_some());
        self.right += usize::from(answer.is_correct == Some(true));
        self.decided += usize::from(answer.reaction_steps.is_some());
        self.reaction_steps += answer.reaction_steps.unwrap_or(0);
    }

    /// The fraction that is right, absent if no trial has a right choice.
    pub fn accuracy(self) -> Option<f64> {
        (self.answered > 0).then(|| self.right as f64 / self.answered as f64)
    }

    /// All of it, with time steps of `dt_ms`.
    pub fn score(self, dt_ms: f64) -> Score {
        let mean_ms = || self.reaction_steps as f64 * dt_ms / self.decided as f64;
        Score {
            accuracy: self.accuracy(),
            trials: self.trials,
            reaction_ms: (self.decided > 0).then(mean_ms),
        }
    }
}

impl<'a> FromIterator<&'a Answer> for Tally {
    fn from_iter<I: IntoIterator<Item = &'a Answer>>(answers: I) -> Self {
        let mut tally = Self::default();
        answers.into_iter().for_each(|answer| tally.count(answer));
        tally
    }
}

/// What a network did in one trial.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    /// Whether it was right; `None` where nothing is.
    pub is_correct: Option<bool>,
    /// The choice that is right; `None` if no choice is.
    pub right: Option<usize>,
    /// The choice that was made.
    pub chosen: Option<usize>,
    /// When, in a reaction-time version: [`Task::reaction_steps`].
    pub reaction_steps: Option<usize>,
}

/// Accuracy of a batch with `outputs [trial, time, output]`.
pub(crate) fn batch_accuracy<B: Backend>(
    task: &dyn Task,
    batch: &TrialBatch,
    outputs: Tensor<B, 3>,
) -> Option<f64> {
    let answers = answers(task, batch, outputs);
    answers.iter().collect::<Tally>().accuracy()
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
            right: trial.correct,
            chosen: trial.choice(readout, &choices),
            reaction_steps: task.reaction_steps(&trial, readout),
        }
    };
    (0..batch.n_trials).map(answer).collect()
}

/// Counts choices made against choices that were right; absent if no trial has a right choice among those of the task.
pub(crate) fn confusion(task: &dyn Task, answers: &[Answer]) -> Option<Confusion> {
    let layout = task.layout();
    let choices = layout.alternatives();
    let place = |choice: usize| choices.iter().position(|&c| c == choice);
    let mut counts = vec![vec![0; choices.len()]; choices.len()];
    for answer in answers {
        let right = answer.right.and_then(place);
        if let Some((row, column)) = right.zip(answer.chosen.and_then(place)) {
            counts[row][column] += 1;
        }
    }
    let is_empty = counts.iter().flatten().all(|&n| n == 0);
    let names = choices.iter().map(|&c| layout.choice_name(c));
    (!is_empty).then(|| Confusion {
        choices: names.collect(),
        counts,
    })
}
