//! The result of an analysis, and the data and settings that it needs.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::plot::Figure;
use crate::{ArrayDoc, Arrays, Study, Unsuitable};

/// Result of an analysis.
pub trait Answer: Sized {
    /// Settings of the analysis: a structure of keys with defaults.
    type Options: Default + Serialize + DeserializeOwned + JsonSchema;

    /// Data that the analysis needs.
    const BASIS: Basis = Basis::FiniteStates;
    /// True if the analysis compares with other runs.
    const SEES_PEERS: bool = false;
    /// True if the analysis follows trajectories of the map of [`Dynamics`](crate::Dynamics), which takes the synapses of short-term
    /// plasticity to rest at each state.
    const FOLLOWS_DYNAMICS: bool = false;
    /// True if the analysis runs the network or linearises it, which some of its units alone do not allow.
    const NEEDS_WHOLE: bool = false;
    /// True if the analysis groups or splits the trials by `study.by`.
    const SEES_GROUPS: bool = true;
    /// Documentation of each array of `<name>.npz`.
    const ARRAYS: &'static [ArrayDoc] = &[];

    /// Computes the analysis of a network and its trials.
    ///
    /// # Errors
    /// Returns the reason if there is no result for this network and these trials.
    fn compute(study: &Study, options: &Self::Options) -> Result<Self, Unsuitable>;

    /// Returns the numbers for `<name>.npz`.
    fn arrays(&self) -> Arrays;

    /// Returns the main results, one sentence each.
    fn statements(&self) -> Vec<String>;

    /// Draws the result as figures, each with its suffix for `<name><suffix>.svg`; the first suffix is usually empty.
    fn figures(&self) -> Vec<(&'static str, Figure)>;
}

/// Data that an analysis needs; each level includes those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// Numbers measured during training.
    Metrics,
    /// Weights.
    Weights,
    /// Trials, even if the network diverges in them.
    Trials,
    /// Trials in which all states are finite.
    FiniteStates,
}

/// Settings of an analysis that has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoOptions {}
