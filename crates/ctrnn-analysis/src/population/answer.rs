//! The result of an analysis of several networks.

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::networks::Networks;
use crate::analyses::Basis;
use crate::{ArrayDoc, Arrays, Study, Unsuitable};

/// Result of an analysis of several networks.
pub trait PopulationAnswer: Sized {
    /// Settings of the analysis: a structure of keys with defaults.
    type Options: Default + Serialize + DeserializeOwned + JsonSchema;
    /// Part of a study that the analysis keeps.
    type Observation;

    /// Data that the analysis needs of each network.
    const BASIS: Basis = Basis::FiniteStates;
    /// Documentation of each array of `<name>.npz`, apart from [`POPULATION_ARRAYS`](super::POPULATION_ARRAYS).
    const ARRAYS: &'static [ArrayDoc];

    /// Observes one of `n_networks` networks on its trials.
    ///
    /// # Errors
    /// Returns the reason if there is no result for this network.
    fn observe(
        study: &Study,
        n_networks: usize,
        options: &Self::Options,
    ) -> Result<Self::Observation, Unsuitable>;

    /// Joins the observations of all networks.
    ///
    /// # Errors
    /// Returns the reason if they have no common result.
    fn join(
        networks: &Networks,
        observed: Vec<Self::Observation>,
        options: &Self::Options,
    ) -> Result<Self, Unsuitable>;

    /// Returns the numbers for `<name>.npz`.
    fn arrays(&self) -> Arrays;

    /// Returns the main results, one sentence each.
    fn statements(&self) -> Vec<String>;

    /// Draws the result as figures, each with its suffix for `<name><suffix>.svg`.
    fn figures(&self) -> Vec<(&'static str, crate::plot::Figure)>;
}
