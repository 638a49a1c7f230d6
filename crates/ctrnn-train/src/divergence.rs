//! Divergence: numbers that stopped being finite, and what was done about it.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The first tensor that is not finite, in the order in which a step computes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Culprit {
    /// The inputs that the task gave.
    Inputs,
    /// The targets that the task gave.
    Targets,
    /// The mask that the task gave.
    Mask,
    /// The weights of this name.
    Weights(String),
    /// The readout, from inputs and weights that are finite.
    Outputs,
    /// The loss of a finite readout.
    Loss,
    /// The gradient of the parameter of this name.
    Gradient(String),
    /// The norm over all gradients: each is finite, the sum of their squares is not.
    GradientNorm,
}

impl Culprit {
    /// Whether the task gave it: no learning rate changes that.
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

/// A number of a training run is not finite.
#[derive(Clone, Debug, PartialEq, Error)]
pub struct NotFinite {
    /// The step that found it.
    pub step: u64,
    /// What is not finite.
    pub what: Culprit,
    /// Global gradient norm at the last check before, if there was one.
    pub norm_before: Option<f64>,
    /// Learning rate of the step.
    pub lr: f64,
    /// How often the run had gone back before.
    pub rollbacks: u64,
    /// The step of the last good state, if one is kept.
    pub good_step: Option<u64>,
    /// The largest input and the largest target of the batch, by absolute value, where a batch gave these numbers.
    pub largest: Option<[f64; 2]>,
}

impl NotFinite {
    /// Whether the last good state itself gives these numbers, before any update that a smaller rate could shrink.
    pub fn is_in_good_state(&self) -> bool {
        let is_first = self.good_step.is_some_and(|good| self.step == good + 1);
        is_first && !matches!(self.what, Culprit::Weights(_))
    }

    /// Whether the network had never been updated.
    pub fn is_before_any_update(&self) -> bool {
        self.step == 1 && !matches!(self.what, Culprit::Weights(_))
    }

    /// "the readout is not finite at step 1"
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

/// How often a run went back, and what is left of its learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollbacks {
    /// Times so far.
    pub count: u64,
    /// What the learning rate of the schedule is multiplied with: the product of `lr_factor` over all rollbacks.
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
    /// One more.
    pub(crate) fn next(self, lr_factor: f64) -> Self {
        Self {
            count: self.count + 1,
            lr_scale: self.lr_scale * lr_factor,
        }
    }
}

/// A run went back to its last good state.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollback {
    /// Why.
    pub found: NotFinite,
    /// Updates done in the state that it goes on from.
    pub to_step: u64,
    /// Rollbacks so far, this one included.
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
