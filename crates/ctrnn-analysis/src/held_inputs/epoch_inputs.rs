//! Inputs of trials in their epochs.

/// Input of a trial in an epoch.
pub(super) struct EpochInput {
    /// Median over the time steps, or the rest at 0 of a channel that changes, `[I]`; of the rates of a layer below, those at the end.
    pub median: Vec<f64>,
    /// True if the input is the same at all time steps.
    pub is_constant: bool,
}

/// Inputs `[trial][epoch]`; `None` if the trial lacks the epoch.
pub(super) type EpochInputs = Vec<Vec<Option<EpochInput>>>;

/// Inputs of every trial in every epoch.
pub(crate) struct Medians {
    pub(super) epochs: Vec<&'static str>,
    /// Inputs of the task.
    pub(super) inputs: EpochInputs,
    /// Rates of the layer below, for a layer above the first.
    pub(super) below: Option<EpochInputs>,
    /// Numbers of the trials of each condition.
    pub(super) conditions: Vec<Vec<usize>>,
}
