//! Divergence: numbers that are not finite, and the rollbacks that respond to them.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The first tensor that is not finite, in the order in which a step computes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Culprit {
    /// The inputs, which come from the task.
    Inputs,
    /// The targets, which come from the task.
    Targets,
    /// The mask, which comes from the task.
    Mask,
    /// The weights with this name.
    Weights(String),
    /// The readout, computed from finite inputs and weights.
    Outputs,
    /// The loss, computed from a finite readout.
    Loss,
    /// The gradient of the parameter with this name.
    Gradient(String),
    /// The global gradient norm: every gradient is finite, but the sum of their squares is not.
    GradientNorm,
}

impl Culprit {
    /// Returns true if the tensor comes from the task: a smaller learning rate cannot help then.
    pub fn is_data(&self) -> bool {
        matches!(self, Self::Inputs | Self::Targets | Self::Mask)
    }
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inputs => f.write_str("an input of the batch"),
            Self::Targets => f.write_str("a target of the batch"),
            Self::Mask => f.write_str("the mask of the batch"),
            Self::Weights(name) => f.write_str(name),
            Self::Outputs => f.write_str("the readout"),
            Self::Loss => f.write_str("the loss"),
            Self::Gradient(name) => write!(f, "the gradient of {name}"),
            Self::GradientNorm => f.write_str("the global gradient norm"),
        }
    }
}

/// Error: a number in a training run is not finite.
#[derive(Clone, Debug, PartialEq, Error)]
pub struct NotFinite {
    /// The step at which it was found.
    pub step: u64,
    /// The tensor that is not finite.
    pub what: Culprit,
    /// Global gradient norm at the previous check, if there was one.
    pub norm_before: Option<f64>,
    /// Learning rate of the step.
    pub lr: f64,
    /// Number of rollbacks before.
    pub rollbacks: u64,
    /// The step of the last good state, if one is kept.
    pub good_step: Option<u64>,
    /// The largest input and the largest target of the batch, by absolute value, if it was found in a batch.
    pub largest: Option<[f64; 2]>,
}

impl NotFinite {
    /// Returns true if the failing step directly follows the last good state: no update lies between that a smaller
    /// learning rate could shrink.
    pub fn is_in_good_state(&self) -> bool {
        let is_first = self.good_step.is_some_and(|good| self.step == good + 1);
        is_first && !matches!(self.what, Culprit::Weights(_))
    }

    /// Returns true if the network has not been updated yet.
    pub fn is_before_any_update(&self) -> bool {
        self.step == 1 && !matches!(self.what, Culprit::Weights(_))
    }

    /// Returns the tensor and the step in words: "the readout is not finite at step 1".
    pub fn what_and_step(&self) -> String {
        format!("{} is not finite at step {}", self.what, self.step)
    }
}

impl fmt::Display for NotFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what_and_step = self.what_and_step();
        write!(f, "{what_and_step}, with a learning rate of {:e}", self.lr)?;
        if let Some(norm) = self.norm_before {
            write!(f, "; the gradient norm before it was {norm:.3e}")?;
        }
        match (self.rollbacks, self.good_step) {
            (0, _) | (_, None) => write!(f, "; nothing was tried"),
            (1, Some(good)) => write!(f, "; tried: going back once, to step {good}"),
            (n, Some(good)) => write!(
                f,
                "; tried: going back {n} times, the last time to step {good}"
            ),
        }
    }
}

/// Number of rollbacks of a run, and the resulting scale of its learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollbacks {
    /// Number of rollbacks so far.
    pub count: u64,
    /// Factor on the scheduled learning rate: the product of `lr_factor` over all rollbacks.
    pub lr_scale: f64,
}

impl Default for Rollbacks {
    fn default() -> Self {
        Self {
            count: 0,
            lr_scale: 1.0,
        }
    }
}

impl Rollbacks {
    /// Returns the state after one more rollback.
    pub(crate) fn next(self, lr_factor: f64) -> Self {
        Self {
            count: self.count + 1,
            lr_scale: self.lr_scale * lr_factor,
        }
    }
}

/// A rollback of a run to its last good state.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollback {
    /// The reason for the rollback.
    pub found: NotFinite,
    /// Number of updates in the restored state.
    pub to_step: u64,
    /// Number of rollbacks so far, including this one.
    pub count: u64,
    /// Learning rate of the next step.
    pub lr: f64,
}

impl fmt::Display for Rollback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NotFinite { what, step, .. } = &self.found;
        let Self { to_step, lr, .. } = self;
        write!(
            f,
            "{what} is not finite at step {step}: back to step {to_step} with a learning rate of {lr:e}"
        )
    }
}
