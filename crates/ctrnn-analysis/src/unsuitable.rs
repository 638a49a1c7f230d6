//! The reason why an analysis has no result.

use thiserror::Error;

use crate::NotConverged;

/// Reason why an analysis has no result.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unsuitable {
    /// The task or the run lacks the subject of the analysis.
    #[error("{0}")]
    Lacks(String),
    /// The analysis follows the states of the units, which do not determine those of plastic synapses.
    #[error(
        "the network has short-term plasticity: its state is that of the units and of their synapses, and this analysis covers only the units"
    )]
    PlasticSynapses,
    /// A decomposition did not converge.
    #[error(transparent)]
    NotConverged(#[from] NotConverged),
}

impl Unsuitable {
    pub(crate) fn lacks(what: impl Into<String>) -> Self {
        Self::Lacks(what.into())
    }

    pub(crate) fn diverges(who: &str, [trial, step]: [usize; 2]) -> Self {
        Self::lacks(format!(
            "{who} diverges: its states are not finite from time step {step} of trial {trial} on (both counted from 0)"
        ))
    }
}
