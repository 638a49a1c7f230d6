//! Analyses of several networks of one task: seeds, sizes, penalties.
//!
//! The networks run on the same trials, one after the other. An [`Observer`] keeps of each what its analysis needs, so that only the states of
//! one network are in memory, and joins it at the end. [`POPULATION_ANALYSES`] lists all of these analyses.

mod answer;
mod compare;
mod curves;
mod fixed_points;
mod networks;
mod page;
mod psychometric;
mod scaling;
mod similarity;
mod statistics;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

pub use answer::PopulationAnswer;
pub use compare::Compare;
pub use curves::Curves;
pub use fixed_points::{Solutions, Topology};
pub use networks::{Networks, SEED};
pub use page::population_page;
pub use psychometric::Psychometric;
pub use scaling::{Embedding, classical_scaling};
pub use similarity::Similarity;
pub use statistics::Spread;

use crate::analyses::{Basis, Findings, OptionSet, check_finite, parsed};
use crate::{ArrayDoc, Study, Unsuitable};

macro_rules! analyses {
    ($($name:literal, $answer:ty, $title:literal, $summary:literal;)*) => {
        /// List of all analyses of several networks, in the order of help texts and pages.
        pub const POPULATION_ANALYSES: &[PopulationAnalysis] = &[$(PopulationAnalysis {
            name: $name,
            title: $title,
            summary: $summary,
            basis: <$answer>::BASIS,
            arrays: <$answer>::ARRAYS,
            options: OptionSet::of::<<$answer as PopulationAnswer>::Options>($name),
            observer: observer::<$answer>,
        }),*];
    };
}

// Columns: name, result, heading, summary.
analyses! {
    "compare", Compare, "Side by side", "settings that differ; accuracy, loss and sizes of activity and weights, with mean and spread of each group";
    "curves", Curves, "Learning curves", "loss and accuracy during training: mean and spread of each group";
    "psychometric", Psychometric, "Psychometric curves", "how often a choice is made, by the evidence: mean of each group with its confidence over networks";
    "similarity", Similarity, "Similarity", "CKA, Procrustes and dynamical similarity between all networks, and the networks as points at these distances";
    "fixed_points", Solutions, "Solutions", "types of solutions by the numbers of stable points and saddles under each input, and how many networks have each";
}

/// Documentation of the arrays that every analysis of several networks writes.
pub const POPULATION_ARRAYS: &[ArrayDoc] = &[
    ArrayDoc::new("names", "[network]", "", "names of the networks"),
    ArrayDoc::new(
        "groups",
        "[group]",
        "",
        "settings of each group; the networks of a group differ only in their seed",
    ),
    ArrayDoc::new("group_index", "[network]", "", "group of each network"),
];

/// An analysis of several networks that can be requested by name.
#[derive(Clone, Copy, Debug)]
pub struct PopulationAnalysis {
    /// Name on the command line and of its files.
    pub name: &'static str,
    /// Heading on a page.
    pub title: &'static str,
    /// Summary in one line.
    pub summary: &'static str,
    /// Data that the analysis needs of each network.
    pub basis: Basis,
    /// Documentation of its own arrays.
    pub arrays: &'static [ArrayDoc],
    /// Settings of the analysis.
    pub options: OptionSet,
    observer: fn(&Map<String, Value>, usize) -> Box<dyn Observer>,
}

impl PopulationAnalysis {
    /// Returns the analysis with this name, or `None`.
    pub fn named(name: &str) -> Option<&'static Self> {
        POPULATION_ANALYSES
            .iter()
            .find(|analysis| analysis.name == name)
    }

    /// Returns the documentation of the arrays of the analysis.
    pub fn documented(&self) -> Vec<ArrayDoc> {
        [POPULATION_ARRAYS, self.arrays].concat()
    }

    /// Begins the analysis of a number of networks; settings that are not given have their defaults.
    ///
    /// # Panics
    /// If the settings are wrong ([`OptionSet::check`]).
    pub fn observer(&self, options: &Map<String, Value>, n_networks: usize) -> Box<dyn Observer> {
        (self.observer)(options, n_networks)
    }
}

/// A running analysis of several networks.
pub trait Observer {
    /// Observes the next network.
    fn observe(&mut self, study: &Study);

    /// Joins the observations of all networks, in the order in which they were observed. Networks without a result are left out, with a
    /// statement.
    ///
    /// # Errors
    /// Returns the reason if no network has a result, or all together have none.
    fn finish(self: Box<Self>, networks: &Networks) -> Result<Findings, Unsuitable>;
}

struct Observations<A: PopulationAnswer> {
    options: A::Options,
    n_networks: usize,
    observed: Vec<Result<A::Observation, Unsuitable>>,
}

fn observer<A: PopulationAnswer + 'static>(
    options: &Map<String, Value>,
    n_networks: usize,
) -> Box<dyn Observer> {
    Box::new(Observations::<A> {
        options: parsed(options).expect("settings that were checked"),
        n_networks,
        observed: Vec::new(),
    })
}

impl<A: PopulationAnswer> Observer for Observations<A> {
    fn observe(&mut self, study: &Study) {
        let found = check_finite(study, A::BASIS);
        let found = found.and_then(|()| A::observe(study, self.n_networks, &self.options));
        self.observed.push(found);
    }

    fn finish(self: Box<Self>, networks: &Networks) -> Result<Findings, Unsuitable> {
        let (mut kept, mut observed, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
        for (k, found) in self.observed.into_iter().enumerate() {
            match found {
                Ok(found) => {
                    kept.push(k);
                    observed.push(found);
                }
                Err(why) => left_out.push((k, why)),
            }
        }
        if let (true, Some((_, why))) = (kept.is_empty(), left_out.first()) {
            return Err(why.clone());
        }
        let shown = networks.only(&kept);
        let answer = A::join(&shown, observed, &self.options)?;
        let mut statements = answer.statements();
        let left_out = left_out.iter();
        statements
            .extend(left_out.map(|(k, why)| format!("{} is left out: {why}", networks.names[*k])));
        let arrays = answer
            .arrays()
            .with("names", &shown.names)
            .with("groups", &shown.groups)
            .with("group_index", &shown.group_of);
        Ok(Findings {
            arrays,
            figures: answer.figures(),
            statements,
        })
    }
}
