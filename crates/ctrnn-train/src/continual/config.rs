//! `[train] continual` as written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::named::tables;

tables! {
    /// Protection of what earlier stages have learned; `name` selects it, `none` if absent. At the end of each stage the network is
    /// measured, and later stages are held back where it matters.
    pub enum Continual: "protection of earlier stages", "a protection of earlier stages" {
        /// None: a stage may undo what earlier ones have learned.
        None(Unprotected) = "none",
        /// Synaptic intelligence (Zenke et al. 2017).
        SynapticIntelligence(SynapticIntelligence) = "synaptic_intelligence",
        /// Elastic weight consolidation (Kirkpatrick et al. 2017).
        Ewc(Ewc) = "ewc",
        /// Projected updates (Duncker et al. 2020).
        Projection(Projection) = "projection",
    }
    with {}
}

impl Default for Continual {
    fn default() -> Self {
        Self::None(Unprotected {})
    }
}

impl Continual {
    /// Returns true if nothing is protected.
    pub const fn is_none(&self) -> bool {
        matches!(self, Self::None(_))
    }
}

/// No protection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Unprotected {}

/// Synaptic intelligence: the loss has a further term `strength sum_k Omega_k (w_k - w*_k)^2`, with w* the parameters at the end of the last
/// stage. Each stage adds `max(0, omega_k) / (D_k^2 + damping)` to Omega_k, where `omega_k = - sum of g_k dw_k` over its updates is the
/// part of parameter k in the fall of the loss, and D_k its whole change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SynapticIntelligence {
    /// Factor c of the term.
    #[schemars(range(min = 0))]
    pub strength: f64,
    /// Damping xi, which bounds the importance of parameters that hardly changed. 1e-3 in Yang et al. (2019).
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub damping: f64,
}

impl Default for SynapticIntelligence {
    fn default() -> Self {
        Self {
            strength: 1.0,
            damping: 1e-3,
        }
    }
}

/// Elastic weight consolidation: the loss has a further term `strength / 2 sum over earlier stages s, parameters k of F_sk (w_k - w_sk)^2`,
/// with w_s the parameters at the end of stage s and F_sk the mean square, over trials, of the derivative of the loss of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ewc {
    /// Factor lambda of the term.
    #[schemars(range(min = 0))]
    pub strength: f64,
    /// Number of trials, drawn as in training, whose gradients are taken at the end of a stage.
    #[schemars(range(min = 1))]
    pub trials: usize,
}

impl Default for Ewc {
    fn default() -> Self {
        Self {
            strength: 1000.0,
            trials: 128,
        }
    }
}

/// Projected updates: with z = (r, 1, u) what drives the units, and S the sum over earlier stages of the mean of z z', the update D of
/// (W_rc, b, W_in) is replaced by `(W S W' / alpha + 1)^-1 D (S / alpha + 1)^-1`, with the W that each stage ended with; that of the
/// readout in the same way. Earlier stages' activity then hardly meets changed weights. Other parameters stay as the first stage left them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Projection {
    /// Regularisation alpha: directions whose mean square activity is far above it do not change. 1e-3 in Duncker et al. (2020).
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub alpha: f64,
    /// Number of trials, drawn as in training, whose activity is taken at the end of a stage.
    #[schemars(range(min = 1))]
    pub trials: usize,
}

impl Default for Projection {
    fn default() -> Self {
        Self {
            alpha: 1e-3,
            trials: 128,
        }
    }
}
