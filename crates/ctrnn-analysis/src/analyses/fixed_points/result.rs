//! The result of the analysis.

use ndarray::Array2;

use super::search::FoundPoints;
use super::selection::SelectionVectors;
use crate::held_inputs::HeldInputs;
use crate::{Dynamics, Pca};

/// Fixed and slow points under every held input.
#[derive(Clone, Debug)]
pub struct FixedPoints {
    /// Inputs that were held.
    pub held: HeldInputs,
    /// Fixed and slow points under each input.
    pub found: Vec<FoundPoints>,
    /// The network.
    pub dynamics: Dynamics,
    /// Principal components of the visited states.
    pub pca: Pca,
    /// Axes of choice and stimuli, for a task with two choices and stimuli that differ within an epoch.
    pub selection: Option<SelectionVectors>,
    /// Values of every input by the names of its channels.
    pub(super) channels: Vec<String>,
    /// States of some trials that have each input.
    pub(super) trajectories: Vec<Vec<Array2<f64>>>,
}
