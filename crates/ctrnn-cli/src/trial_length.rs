//! Length of the longest trial of a task.

use ctrnn_config::{Run, counted};
use ctrnn_random::{Key, Stream};
use ctrnn_tasks::{BatchRequest, ConditionOrder};

use crate::failure::Failure;

/// Number of batches that are drawn if a task does not know its longest trial.
const DRAWN_BATCHES: u64 = 4;

/// The number of time steps of the longest trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongestTrial {
    pub n_steps: usize,
    /// Number of trials that were drawn to find it; `None` if the task knows it.
    pub of_drawn: Option<usize>,
}

impl LongestTrial {
    /// Finds the longest trial of the task of a run.
    ///
    /// # Errors
    /// If the task cannot make trials.
    pub fn of(run: &Run) -> Result<Self, Failure> {
        if run.task.unstarted_program().is_some() {
            return Ok(Self {
                n_steps: 0, // no trial can be made, and so no step
                of_drawn: None,
            });
        }
        if let Some(n_steps) = run.task.longest_steps(run.clock) {
            return Ok(Self {
                n_steps,
                of_drawn: None,
            });
        }
        let request = |step| BatchRequest {
            clock: run.clock,
            first_trial: 0,
            n_trials: run.config.train.batch_size,
            key: Key::new(run.config.seed, Stream::Trials, 0),
            step,
            conditions: ConditionOrder::Weighted,
        };
        let mut n_steps = 0;
        for step in 0..DRAWN_BATCHES {
            n_steps = n_steps.max(run.task.sample_batch(&request(step))?.max_steps);
        }
        Ok(Self {
            n_steps,
            of_drawn: Some(DRAWN_BATCHES as usize * run.config.train.batch_size),
        })
    }
}

impl std::fmt::Display for LongestTrial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "up to {} in a trial", counted(self.n_steps, "step"))?;
        match self.of_drawn {
            None => Ok(()),
            Some(drawn) => write!(f, ", the longest of {drawn} drawn trials"),
        }
    }
}
