//! Analyses of a trained network by name: each gives arrays for a notebook and figures for a paper.
//!
//! [`ANALYSES`] lists them. An analysis that makes no sense for a task (a psychometric curve without evidence) says so.

mod accuracy;
#[cfg(test)]
mod any_network;
mod choices;
mod comparison;
mod connectivity;
mod curves;
mod dynamics;
mod groups;
pub(crate) mod layers;
mod space;
mod state_space;
mod units;

use std::collections::BTreeMap;

use ctrnn_files::Array;
use ndarray::Dimension;
use thiserror::Error;

use crate::Study;
use crate::linear_algebra::NotConverged;
use crate::plot::Figure;

/// What an analysis found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// For `<name>.npz`.
    pub arrays: BTreeMap<String, Array>,
    /// For `<name><suffix>.svg`.
    pub figures: Vec<(String, Figure)>,
    /// The main numbers, one sentence each.
    pub summary: Vec<String>,
}

/// Why an analysis has no result.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unsuitable {
    /// The task or the run lacks what it is about.
    #[error("{0}")]
    Lacks(String),
    /// A decomposition did not converge.
    #[error(transparent)]
    NotConverged(#[from] NotConverged),
}

/// An analysis by name.
#[derive(Clone, Copy, Debug)]
pub struct Analysis {
    /// As it is asked for, and what its files are called.
    pub name: &'static str,
    /// What it shows, in a line.
    pub summary: &'static str,
    find: fn(&Study) -> Result<Findings, Unsuitable>,
}

/// Analyses of what a network is, not of the states that it was in: they do without finite ones.
const WITHOUT_STATES: [&str; 4] = ["curves", "spectrum", "weights", "weight_change"];

impl Analysis {
    /// Does it.
    ///
    /// # Errors
    /// Why it has no result for this network and these trials.
    pub fn run(&self, study: &Study) -> Result<Findings, Unsuitable> {
        if !WITHOUT_STATES.contains(&self.name)
            && let Some(place) = study.first_nonfinite()
        {
            return Err(diverges("the network", place));
        }
        (self.find)(study)
    }
}

fn diverges(who: &str, [trial, step]: [usize; 2]) -> Unsuitable {
    Unsuitable::Lacks(format!(
        "{who} diverges: its states are not finite from time step {} of trial {} on",
        step + 1,
        trial + 1
    ))
}

impl Analysis {
    /// Whether it looks at trials; the weights and the metrics are enough for the others.
    pub fn needs_trials(&self) -> bool {
        !["curves", "weights", "weight_change"].contains(&self.name)
    }
}

macro_rules! analyses {
    ($($name:literal: $find:path, $summary:literal;)*) => {
        /// Every analysis.
        pub const ANALYSES: &[Analysis] = &[$(Analysis { name: $name, summary: $summary, find: $find }),*];
    };
}

analyses! {
    "curves": curves::curves, "loss and accuracy during training";
    "accuracy": accuracy::accuracy, "fraction of right trials by condition";
    "confusion": accuracy::confusion, "which choice was made where which was right";
    "psychometric": choices::psychometric, "how often a choice is made, by the evidence, with fitted curves";
    "chronometric": choices::chronometric, "when a decision is made, by the strength of the evidence";
    "pca": state_space::pca, "trajectories on principal components, and how many dimensions they fill";
    "tdr": state_space::tdr, "trajectories on the axes of the task's variables";
    "speed": state_space::speed, "how fast the state moves";
    "fixed_points": dynamics::fixed_points, "fixed and slow points under the inputs of every epoch, and their stability";
    "flow": dynamics::flow, "where the dynamics lead on the plane of the first two components";
    "lyapunov": dynamics::lyapunov, "Lyapunov exponents under the inputs of the task";
    "spectrum": dynamics::spectrum, "eigenvalues of the recurrent weights and timescales of the linearised network";
    "timescales": units::timescales, "autocorrelation of the rates and the time in which it decays";
    "tuning": units::tuning, "selectivity of units: d' and what explains the variance of their rates";
    "task_variance": units::task_variance, "variance of units by task or epoch, and clusters of units";
    "rates": units::rates, "histogram of firing rates and rates over time";
    "currents": units::currents, "excitatory and inhibitory currents and their balance";
    "rate_maps": space::rate_maps, "firing rates over places in a box, place and grid scores";
    "weights": connectivity::weights, "weight matrices sorted by cell type and preference, and block statistics";
    "weight_change": connectivity::weight_change, "weights before and after training";
    "comparison": comparison::comparison, "distances to other runs: Procrustes, CKA, dynamical similarity";
}

/// The analysis of a name.
pub fn analysis(name: &str) -> Option<&'static Analysis> {
    ANALYSES.iter().find(|analysis| analysis.name == name)
}

impl Findings {
    fn put<D: Dimension>(&mut self, name: &str, values: &ndarray::Array<f64, D>) {
        let array = Array::f64(values.shape(), values.iter().copied().collect());
        self.arrays.insert(name.to_owned(), array);
    }

    fn put_list(&mut self, name: &str, values: &[f64]) {
        self.arrays.insert(
            name.to_owned(),
            Array::f64(&[values.len()], values.to_vec()),
        );
    }

    fn put_numbers(&mut self, name: &str, values: impl IntoIterator<Item = usize>) {
        let values: Vec<i64> = values.into_iter().map(|x| x as i64).collect();
        self.arrays
            .insert(name.to_owned(), Array::i64(&[values.len()], values));
    }

    fn draw(&mut self, suffix: &str, figure: Figure) {
        self.figures.push((suffix.to_owned(), figure));
    }

    fn say(&mut self, sentence: impl Into<String>) {
        self.summary.push(sentence.into());
    }
}

fn lacks(what: &str) -> Unsuitable {
    Unsuitable::Lacks(what.to_owned())
}
