//! `[train] rule` as written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::named::tables;

tables! {
    /// The learning rule; `name` selects it, `gradient` if absent.
    pub enum Rule: "learning rule", "a learning rule" {
        /// Gradient of the loss by backpropagation through time, followed by `train.optimizer`.
        Gradient(Gradient) = "gradient",
        /// FORCE (Sussillo and Abbott 2009): recursive least squares on the readout while the network runs, and on the recurrent weights if
        /// asked.
        Force(Force) = "force",
        /// full-FORCE (DePasquale et al. 2018): recursive least squares on the recurrent weights, towards the drive in a random network which
        /// the targets drive, and on the readout.
        FullForce(FullForce) = "full_force",
        /// Random feedback local online learning (Murray 2019): eligibility traces times errors that reach the units by random weights, in
        /// place of the gradient.
        Rflo(Rflo) = "rflo",
        /// e-prop (Bellec et al. 2020) for rate units: eligibility traces times errors that reach the units by the readout's own weights, in
        /// place of the gradient.
        Eprop(Eprop) = "eprop",
    }
    with {}
}

impl Default for Rule {
    fn default() -> Self {
        Self::Gradient(Gradient {})
    }
}

impl Rule {
    /// Returns true for the usual rule, the gradient of the loss.
    pub const fn is_gradient(&self) -> bool {
        matches!(self, Self::Gradient(_))
    }

    /// Returns true if the rule changes weights within a trial, by recursive least squares, without an optimizer.
    pub const fn is_least_squares(&self) -> bool {
        matches!(self, Self::Force(_) | Self::FullForce(_))
    }

    /// Returns true if the recurrent weights are trained by recursive least squares.
    pub const fn squares_recurrence(&self) -> bool {
        match self {
            Self::Force(force) => force.recurrent,
            Self::FullForce(_) => true,
            _ => false,
        }
    }
}

/// Backpropagation through time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Gradient {}

/// FORCE: at every `every_steps` time steps, with the error `e = y - target` of each output and the rates r that the readout sees,
/// `k = P r / (1 + r' P r)`, `P <- P - k (P r)'`, `W_out <- W_out - e k'`. Trials of a batch run one after another; a trained `b_out` has a
/// constant among the rates. P and the weights are double precision; P belongs to the checkpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Force {
    /// Number of time steps between updates, counted from the beginning of a trial.
    #[schemars(range(min = 1))]
    pub every_steps: usize,
    /// P begins at I / alpha: small values learn fast. Sussillo and Abbott (2009) take 1 to 100.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub alpha: f64,
    /// True if `W_rc` and a trained `b` follow the errors as well: unit i that of output i mod O (Sussillo and Abbott 2009, figure 1C,
    /// where all units follow the one output). P is that of each unit's presynaptic units.
    pub recurrent: bool,
    /// Signal that `model.feedback` carries in training: `readout`, the output of the network; `target`, the target of the time step
    /// (teacher forcing). Outside training it is the readout.
    pub feedback: FeedbackSource,
}

impl Default for Force {
    fn default() -> Self {
        Self {
            every_steps: 1,
            alpha: 1.0,
            recurrent: false,
            feedback: FeedbackSource::Readout,
        }
    }
}

ctrnn_model::words! {
    /// Signal that the feedback carries in training.
    #[derive(Default)]
    pub enum FeedbackSource: "signal of the feedback" {
        /// The readout of the network.
        #[default]
        Readout = "readout",
        /// The targets.
        Target = "target",
    }
}

/// full-FORCE: a second network of as many units, with random connections J_D, runs beside the one that is trained, with the same inputs
/// and driven by the targets f as well. At every `every_steps` time steps the weights of the trained network follow the errors
/// `W_rc r + b - (J_D r_D + U f)` of each unit and `y - f` of each output by recursive least squares, as in `force`. Every output of the
/// task drives the target network: one that is there as a hint (`hint = true` of the task `oscillation`) is read out, too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FullForce {
    /// Number of time steps between updates, counted from the beginning of a trial. DePasquale et al. (2018): 2 on average.
    #[schemars(range(min = 1))]
    pub every_steps: usize,
    /// P begins at I / alpha. 1 in DePasquale et al. (2018).
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub alpha: f64,
    /// Gain g of the random connections: normal with standard deviation `g / sqrt(N)`. 1.5 in DePasquale et al. (2018).
    #[schemars(range(min = 0))]
    pub target_gain: f64,
    /// Bound of the weights U from the targets to the units of the target network, uniform within it of zero. 1 in DePasquale et al.
    /// (2018).
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub target_drive: f64,
}

impl Default for FullForce {
    fn default() -> Self {
        Self {
            every_steps: 2,
            alpha: 1.0,
            target_gain: 1.5,
            target_drive: 1.0,
        }
    }
}

/// RFLO: `dW_ij = sum over time of (B e)_i p_ij`, where e is the derivative of the loss by the readout, B random with standard deviation
/// `1 / sqrt(O)`, and the trace p_ij the derivative of the rate of unit i by the weight, without the paths through other units. The sum over a
/// batch takes the place of the gradient of `W_in`, `W_rc` and `b`; the readout has its exact gradient.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rflo {}

/// e-prop: as `rflo`, with `W_out'` in place of B.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Eprop {}
