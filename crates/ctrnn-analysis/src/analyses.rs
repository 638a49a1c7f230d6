//! Analyses of a trained network by name, one file each.
//!
//! The result of an analysis is a type that implements [`Answer`]: it is computed from a [`Study`] and provides arrays
//! for a notebook, statements for a reader and figures for a paper. [`ANALYSES`] lists all of them. An analysis that
//! does not apply to a task (a psychometric curve without evidence) returns [`Unsuitable`].

pub mod accuracy;
mod answer;
#[cfg(test)]
mod any_network;
pub mod choice_probability;
pub mod chronometric;
pub mod comparison;
pub mod confusion;
pub mod currents;
pub mod curves;
pub mod decoding;
pub mod dpca;
pub mod efficacy;
pub mod fixed_points;
pub mod flow;
pub mod forgetting;
pub mod low_rank;
pub mod lyapunov;
pub mod noise_correlations;
#[cfg(test)]
pub mod observer;
pub mod participation;
pub mod pca;
pub mod psth;
pub mod psychometric;
pub mod rate_maps;
pub mod rates;
pub mod reaction_times;
pub mod sequences;
pub mod spectrum;
pub mod speed;
#[cfg(test)]
pub mod synthetic;
pub mod task_variance;
pub mod tdr;
pub mod timescales;
pub mod tuning;
pub mod weight_change;
pub mod weights;

use schemars::{JsonSchema, schema_for};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::arrays::{FIGURE_ARRAYS, README, readme};
use crate::plot::{Figure, ScriptFiles, Sources};
use crate::{ArrayDoc, Arrays, Study, TRIAL_ARRAYS, Unsuitable};

pub use answer::{Answer, Basis, NoOptions};

macro_rules! analyses {
    ($($section:ident, $name:ident::$answer:ident, $title:literal, $summary:literal;)*) => {
        /// List of every analysis, in the order of help texts and reports.
        pub const ANALYSES: &[Analysis] = &[$(Analysis {
            name: stringify!($name),
            title: $title,
            summary: $summary,
            section: Section::$section,
            basis: $name::$answer::BASIS,
            sees_peers: $name::$answer::SEES_PEERS,
            needs_whole: $name::$answer::NEEDS_WHOLE,
            sees_groups: $name::$answer::SEES_GROUPS,
            arrays: $name::$answer::ARRAYS,
            options: OptionSet::of::<<$name::$answer as Answer>::Options>(stringify!($name)),
            find: find::<$name::$answer>,
        }),*];
    };
}

// Columns: section of a report, result in the module of its name, heading, summary.
analyses! {
    Training, curves::Curves, "Learning curves", "loss and accuracy during training";
    Training, participation::Participation, "Monitors", "dimension of the rates, silent and saturated units, spectral radius and drift of the weights during training";
    Training, forgetting::Forgetting, "Forgetting", "accuracy on every task at the end of each stage of the training";
    Behaviour, accuracy::Accuracy, "Accuracy", "fraction of correct trials by condition";
    Behaviour, confusion::Confusion, "Confusion", "which choice was made for each correct choice";
    Behaviour, psychometric::Psychometric, "Psychometric curve", "how often a choice is made, by the evidence, with fitted curves";
    Behaviour, chronometric::Chronometric, "Chronometric curve", "when a decision is made, by the strength of the evidence";
    Behaviour, reaction_times::ReactionTimes, "Reaction times", "distributions of reaction times, of correct and wrong trials by the strength of the evidence";
    StateSpace, pca::StateSpace, "Principal components", "trajectories on principal components, and how many dimensions they fill";
    StateSpace, tdr::Tdr, "Targeted dimensionality reduction", "trajectories on the axes of the task's variables";
    StateSpace, dpca::Dpca, "Demixed principal components", "directions that each depend on one variable of the task, or on time alone";
    StateSpace, decoding::Decoding, "Decoding", "linear decoding of the task's variables over time, and its generalisation to other times";
    StateSpace, efficacy::Efficacy, "Synaptic efficacy", "efficacy of synapses with short-term plasticity over time, and decoding from it and from the rates";
    StateSpace, speed::Speed, "Speed", "how fast the state moves";
    Dynamics, fixed_points::FixedPoints, "Fixed points", "fixed and slow points under the inputs of every epoch, and their stability";
    Dynamics, flow::Flow, "Flow", "where the dynamics lead on the plane of the first two components";
    Dynamics, low_rank::LowRank, "Low rank", "overlaps of the vectors of a network of low rank, activity and flow along them, and populations of units";
    Dynamics, spectrum::Spectrum, "Spectrum", "eigenvalues of the recurrent weights and timescales of the linearised network";
    Dynamics, lyapunov::Lyapunov, "Lyapunov exponents", "Lyapunov exponents under the inputs of the task";
    Dynamics, timescales::Timescales, "Timescales", "autocorrelation of the rates, the time in which it decays, and intrinsic timescales";
    Units, rates::Rates, "Rates", "histogram of firing rates and rates over time";
    Units, psth::Psth, "Peristimulus time histograms", "mean rates aligned to the onsets of epochs and to the decision";
    Units, tuning::Tuning, "Tuning", "selectivity of units: d', what explains the variance of their rates, and tests";
    Units, choice_probability::ChoiceProbability, "Choice probability", "how well the rate of a unit predicts the choice at equal evidence";
    Units, noise_correlations::NoiseCorrelations, "Noise correlations", "correlations of units within conditions and between them";
    Units, task_variance::TaskVariance, "Task variance", "variance of units by task or epoch, clusters of units, and their lesions";
    Units, sequences::Sequences, "Sequences", "units in order of their peak, and how sequential they are";
    Units, currents::Currents, "Currents", "excitatory and inhibitory currents and their balance";
    Units, rate_maps::RateMaps, "Rate maps", "firing rates over places in a box: information, fields and grid scores, with shuffles";
    Weights, weights::SortedWeights, "Connectivity", "weight matrices sorted by cell type and preference, and block statistics";
    Weights, weight_change::WeightChange, "Before and after training", "weights before and after training";
    Comparison, comparison::Comparison, "Distances to other runs", "distances to other runs: Procrustes, CKA, dynamical similarity";
}

/// Documentation of arrays that do not belong to one analysis.
const COMMON: [&[ArrayDoc]; 3] = [TRIAL_ARRAYS, FIGURE_ARRAYS, &[README]];

/// An analysis that can be requested by name.
#[derive(Clone, Copy, Debug)]
pub struct Analysis {
    /// Name on the command line and of its files.
    pub name: &'static str,
    /// Heading in a report.
    pub title: &'static str,
    /// Summary in one line.
    pub summary: &'static str,
    /// Section of a report.
    pub section: Section,
    /// Data that the analysis needs.
    pub basis: Basis,
    /// True if the analysis compares with other runs.
    pub sees_peers: bool,
    /// True if the analysis needs all units of the network.
    pub needs_whole: bool,
    /// True if the analysis groups or splits the trials by conditions on request.
    pub sees_groups: bool,
    /// Documentation of each array of `<name>.npz`.
    pub arrays: &'static [ArrayDoc],
    /// Settings of the analysis.
    pub options: OptionSet,
    find: fn(&Study, &Map<String, Value>) -> Result<Findings, Unsuitable>,
}

/// Settings of an analysis, by their keys.
#[derive(Clone, Copy, Debug)]
pub struct OptionSet {
    analysis: &'static str,
    list: fn() -> Vec<AnalysisOption>,
    parse: fn(&Map<String, Value>) -> Result<(), String>,
}

/// Key of the settings of an analysis.
#[derive(Clone, Debug, PartialEq)]
pub struct AnalysisOption {
    /// Name of the key.
    pub key: String,
    /// Default; null if there is none.
    pub default: Value,
    /// Documentation.
    pub summary: String,
}

/// Error of the settings of an analysis.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OptionError {
    /// The analysis has no such key.
    #[error("{key} is not an option of {analysis}; {expected}")]
    Unknown {
        /// Name of the analysis.
        analysis: &'static str,
        /// Requested key.
        key: String,
        /// Keys that exist.
        expected: String,
    },
    /// A value is not of the type of its key.
    #[error("{analysis}.{key}: {problem}")]
    Value {
        /// Name of the analysis.
        analysis: &'static str,
        /// Key of the value.
        key: String,
        /// Problem, with the expected type.
        problem: String,
    },
}

/// A section of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Course of training.
    Training,
    /// Choices and their times.
    Behaviour,
    /// Trajectories.
    StateSpace,
    /// The network as a dynamical system.
    Dynamics,
    /// Single units.
    Units,
    /// Connectivity.
    Weights,
    /// Comparison with other runs.
    Comparison,
}

impl Section {
    /// Returns the heading of the section.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Training => "Training",
            Self::Behaviour => "Behaviour",
            Self::StateSpace => "State space",
            Self::Dynamics => "Dynamics",
            Self::Units => "Units",
            Self::Weights => "Weights",
            Self::Comparison => "Comparison",
        }
    }
}

/// Results of an analysis, ready to be written.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Content of `<name>.npz`.
    pub arrays: Arrays,
    /// Suffix and content of each `<name><suffix>.svg`.
    pub figures: Vec<(&'static str, Figure)>,
    /// Main results, one sentence each.
    pub statements: Vec<String>,
}

impl Findings {
    /// Writes a Python script for each figure, which draws it from the arrays in `<stem>.npz`; adds the numbers that
    /// only a figure contains to the arrays.
    pub fn scripts(&mut self, title: &str, stem: &str) -> Vec<String> {
        let mut sources = Sources::new(&self.arrays);
        let figures = self.figures.iter();
        let scripts = figures.map(|(suffix, figure)| {
            let files = ScriptFiles { stem, suffix };
            figure.to_script(title, &files, &mut sources)
        });
        let scripts = scripts.collect();
        self.arrays.extend(sources.added);
        scripts
    }

    /// Documents the arrays in an array of texts: those of the analysis, of trials and axes, and of figures.
    pub fn document(&mut self, of_analysis: &[ArrayDoc]) {
        let names: Vec<&str> = self.arrays.keys().map(String::as_str).collect();
        let readme = readme(&names, COMMON.into_iter().flatten().chain(of_analysis));
        self.arrays.extend([(README.name.to_owned(), readme)]);
    }
}

impl OptionSet {
    /// Returns the settings of an analysis, which are the fields of `O`.
    pub(crate) const fn of<O>(analysis: &'static str) -> Self
    where
        O: Default + Serialize + DeserializeOwned + JsonSchema,
    {
        Self {
            analysis,
            list: listed::<O>,
            parse: |given| parsed::<O>(given).map(drop),
        }
    }

    /// Returns the keys with their defaults.
    pub fn list(&self) -> Vec<AnalysisOption> {
        (self.list)()
    }

    /// Checks settings that are given by their keys.
    ///
    /// # Errors
    /// If a key is unknown or a value is not of its type.
    pub fn check(&self, given: &Map<String, Value>) -> Result<(), OptionError> {
        let options = self.list();
        let is_known = |key: &String| options.iter().any(|option| option.key == *key);
        let unknown = given.keys().find(|key| !is_known(key));
        let Some(key) = unknown else {
            return given.iter().try_for_each(|(key, value)| {
                let alone = Map::from_iter([(key.clone(), value.clone())]);
                (self.parse)(&alone).map_err(|problem| OptionError::Value {
                    analysis: self.analysis,
                    key: key.clone(),
                    problem,
                })
            });
        };
        let keys: Vec<&str> = options.iter().map(|option| &option.key[..]).collect();
        Err(OptionError::Unknown {
            analysis: self.analysis,
            key: key.clone(),
            expected: match &keys[..] {
                [] => "it has none".to_owned(),
                keys => format!("expected {}", keys.join(", ")),
            },
        })
    }
}

impl Analysis {
    /// Returns the analysis with this name, or `None`.
    pub fn named(name: &str) -> Option<&'static Self> {
        ANALYSES.iter().find(|analysis| analysis.name == name)
    }

    /// Returns the documentation of all arrays: its own, those of its trials and axes, and those of its figures.
    pub fn documented(&self) -> impl Iterator<Item = &'static ArrayDoc> {
        COMMON.into_iter().flatten().chain(self.arrays)
    }

    /// Computes the analysis of a network and its trials, with default settings.
    ///
    /// # Errors
    /// Returns the reason if there is no result for this network and these trials.
    pub fn run(&self, study: &Study) -> Result<Findings, Unsuitable> {
        self.run_with(study, &Map::new())
    }

    /// Computes the analysis of a network and its trials; settings that are not given have their defaults.
    ///
    /// # Errors
    /// Returns the reason if there is no result for this network and these trials.
    ///
    /// # Panics
    /// If the settings are wrong ([`OptionSet::check`]).
    pub fn run_with(
        &self,
        study: &Study,
        options: &Map<String, Value>,
    ) -> Result<Findings, Unsuitable> {
        (self.find)(study, options)
    }
}

fn listed<O: Default + Serialize + JsonSchema>() -> Vec<AnalysisOption> {
    let schema = schema_for!(O).to_value();
    let defaults = serde_json::to_value(O::default()).expect("settings are plain values");
    let Some(properties) = schema["properties"].as_object() else {
        return Vec::new();
    };
    let option = |(key, property): (&String, &Value)| AnalysisOption {
        key: key.clone(),
        default: defaults[key].clone(),
        summary: property["description"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
    };
    properties.iter().map(option).collect()
}

/// Returns settings from given keys; the error is the problem and the expected type.
pub(crate) fn parsed<O: DeserializeOwned>(given: &Map<String, Value>) -> Result<O, String> {
    serde_json::from_value(Value::Object(given.clone())).map_err(|error| error.to_string())
}

/// Checks that the states of a network are finite if an analysis is based on them.
///
/// # Errors
/// Names the place of the first number that is not.
pub(crate) fn check_finite(study: &Study, basis: Basis) -> Result<(), Unsuitable> {
    let needs_finite = basis == Basis::FiniteStates;
    match needs_finite.then(|| study.first_nonfinite()).flatten() {
        Some(place) => Err(Unsuitable::diverges("the network", place)),
        None => Ok(()),
    }
}

/// Computes an analysis of a network that suits it.
///
/// # Errors
/// Returns the reason if there is no result for this network and these trials.
pub(crate) fn computed<A: Answer>(study: &Study, options: &A::Options) -> Result<A, Unsuitable> {
    if let Some(area) = study.area.as_ref().filter(|_| A::NEEDS_WHOLE) {
        return Err(Unsuitable::lacks(format!(
            "needs the whole network, not only the area {area}: its units receive input from others"
        )));
    }
    check_finite(study, A::BASIS)?;
    if A::FOLLOWS_DYNAMICS && study.dynamics.synapses.is_some() {
        return Err(Unsuitable::PlasticSynapses);
    }
    A::compute(study, options)
}

fn find<A: Answer>(study: &Study, options: &Map<String, Value>) -> Result<Findings, Unsuitable> {
    let options = parsed(options).expect("settings that were checked");
    let answer = computed::<A>(study, &options)?;
    let mut arrays = answer.arrays();
    let has_axis = |axis: &str| A::ARRAYS.iter().any(|doc| doc.has_axis(axis));
    if has_axis("trial") {
        arrays.add_missing(study.trial_arrays());
    }
    arrays.add_missing(study.axis_arrays(has_axis));
    Ok(Findings {
        arrays,
        figures: answer.figures(),
        statements: answer.statements(),
    })
}
