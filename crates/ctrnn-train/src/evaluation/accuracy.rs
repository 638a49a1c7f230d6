//! Accuracy: the fraction of trials whose choice is correct, over trials that have a correct choice.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use ctrnn_tasks::{Task, TaskError, TrialBatch};

use crate::observer::{Confusion, Score};

/// Counts of answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    trials: usize,
    right: usize,
    answered: usize,
    decided: usize,
    reaction_steps: usize,
}

impl Tally {
    /// Adds one trial to the counts.
    pub fn count(&mut self, answer: &Answer) {
        self.trials += 1;
        self.answered += usize::from(answer.is_correct.is_some());
        self.right += usize::from(answer.is_correct == Some(true));
        self.decided += usize::from(answer.reaction_steps.is_some());
        self.reaction_steps += answer.reaction_steps.unwrap_or(0) as usize;
    }

    /// Returns the number of correct answers.
    pub fn right(self) -> usize {
        self.right
    }

    /// Returns the number of trials that have a correct answer.
    pub fn answered(self) -> usize {
        self.answered
    }

    /// Returns the fraction of correct answers; `None` if no trial has a correct choice.
    pub fn accuracy(self) -> Option<f64> {
        (self.answered > 0).then(|| self.right as f64 / self.answered as f64)
    }

    /// Returns the score, with time steps of `dt_ms`.
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

/// Answer of a network in one trial. Kept small, since there may be millions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    /// True if the answer was correct; `None` if the trial has no correct answer.
    pub is_correct: Option<bool>,
    /// The correct choice; `None` if there is none.
    pub right: Option<u32>,
    /// The choice made.
    pub chosen: Option<u32>,
    /// Time of the decision, in the reaction-time version of a task: [`Task::reaction_steps`].
    pub reaction_steps: Option<u32>,
}

/// Returns the accuracy on a batch with `outputs [trial, time, output]`.
///
/// # Errors
/// See [`answers`].
pub(crate) fn batch_accuracy<B: Backend>(
    task: &dyn Task,
    batch: &TrialBatch,
    outputs: Tensor<B, 3>,
) -> Result<Option<f64>, TaskError> {
    let answers = answers(task, batch, outputs)?;
    Ok(answers.iter().collect::<Tally>().accuracy())
}

/// Returns the answer in each trial, from the readout `[trial, time, output]`.
///
/// # Errors
/// If a program that decides which answers are correct fails.
pub(crate) fn answers<B: Backend>(
    task: &dyn Task,
    batch: &TrialBatch,
    outputs: Tensor<B, 3>,
) -> Result<Vec<Answer>, TaskError> {
    let values = outputs.into_data().convert::<f32>();
    let values = values.as_slice::<f32>().expect("converted to f32");
    let answer = |b: usize| {
        let (trial, readout) = (batch.trial(b), batch.rows(values, b, batch.n_outputs));
        Answer {
            is_correct: task.is_correct(&trial, readout),
            right: trial.correct.map(|choice| choice as u32),
            chosen: task.choice(&trial, readout).map(|choice| choice as u32),
            reaction_steps: task.reaction_steps(&trial, readout).map(|n| n as u32),
        }
    };
    let answers = (0..batch.n_trials).map(answer).collect();
    task.failure().map_or(Ok(answers), Err)
}

/// Counts choices made against correct choices; `None` if no trial has a correct choice among those of the task.
pub(crate) fn confusion(task: &dyn Task, answers: &[Answer]) -> Option<Confusion> {
    let layout = task.layout();
    let choices = layout.alternatives();
    let place = |choice: u32| choices.iter().position(|&c| c == choice as usize);
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
