//! Analyses of trained networks, simulations, and figures.
//!
//! [`simulate`] runs a network on given inputs and returns every state as a host array; [`States`] converts these to
//! arrays for Python. A [`Study`] holds a network with its trials and states; [`analyses`] has one file for each
//! question about it, whose result provides arrays, statements and figures, and [`report`] makes a page of all of them.
//! [`population`] has the analyses of several networks.
//! [`trial_figure`] draws trials of a task; [`plot`] is the plotting library. The other functions are the mathematics
//! shared by several analyses.
//!
//! ```
//! use burn::backend::NdArray;
//! use ctrnn_analysis::{Injected, simulate};
//! use ctrnn_files::Array;
//! use ctrnn_model::{CtrnnConfig, Forward};
//!
//! let network = CtrnnConfig::new(2, 16, 1).init::<NdArray>(7, &Default::default())?;
//! let inputs = Array::f32(&[1, 10, 2], vec![0.5; 20]); // one trial of ten time steps
//! let states = simulate(&network, &inputs, Forward::default());
//! assert_eq!(states.rates.shape(), [1, 10, 16]);
//! assert_eq!(states.t_ms[0], 20.0); // the state after the first step
//! # Ok::<(), ctrnn_model::ModelError>(())
//! ```

pub mod analyses;
mod area;
mod arrays;
mod blocks;
mod channels;
mod clusters;
mod courses;
mod decision_times;
mod dsa;
mod dynamics;
mod epochs;
mod evidence;
mod gaussian_mixture;
mod groups;
mod held_inputs;
mod lesion;
mod linear_algebra;
mod linear_decoder;
mod metrics;
#[cfg(test)]
mod perturbation_test;
pub mod plot;
pub mod population;
mod preference;
mod principal_components;
mod rate_map;
mod report;
mod responses;
mod selection;
mod selectivity;
mod sigmoid;
mod similarity;
mod simulation;
mod state_space_view;
mod statistics;
mod study;
mod text;
mod trial_figure;
mod trial_record;
mod unsuitable;
mod variables;

pub use analyses::fixed_points::{FixedPoint, FixedPoints, FoundPoints, Search};
pub use analyses::{
    ANALYSES, Analysis, AnalysisOption, Answer, Basis, Findings, NoOptions, OptionError, OptionSet,
    Section,
};
pub use arrays::{ArrayDoc, Arrays, FIGURE_ARRAYS, README, ToArray, readme};
pub use blocks::{Block, blocks, reordered, sorted_units};
pub use clusters::{Clusters, clusters};
pub use courses::{Course, Courses};
pub use ctrnn_train::perturbation::{
    Clamp, Current, Cut, Lesion, Perturbation, PerturbationError, PlasticSynapses, SynapseStates,
    Window, forward_perturbed,
};
pub use decision_times::DecisionTimes;
pub use dsa::{delay_dynamics, dsa, dynamical_distance};
pub use dynamics::{Dynamics, Factors};
pub use epochs::Epochs;
pub use evidence::{Context, Contexts, Evidence, evidence};
pub use held_inputs::{HeldEpoch, HeldInput, HeldInputs, Stimulus};
pub use linear_algebra::{Eigen, Modes, NotConverged};
pub use metrics::Metrics;
pub use population::{
    Networks, Observer, POPULATION_ANALYSES, POPULATION_ARRAYS, PopulationAnalysis, population_page,
};
pub use preference::{Preference, Preferences};
pub use principal_components::Pca;
pub use rate_map::RateMap;
pub use report::{ReportedRun, escaped, page, report, table_box};
pub use selection::{Selection, SelectionError};
pub use selectivity::{SelectivityTest, VarianceSplit, d_prime, selectivity_test, variance_split};
pub use sigmoid::{Level, Sigmoid, SigmoidFit, SigmoidIntervals};
pub use similarity::{cka, procrustes_angle};
pub use simulation::{
    Injected, InjectedError, LayerStates, STATES_ARRAYS, States, simulate, simulate_perturbed,
};
pub use study::{Peer, Shared, Study, three_dimensional};
pub use trial_figure::{example_trials, trial_figure};
pub use trial_record::{EpochNames, TRIAL_ARRAYS, TrialRecord, channel_arrays};
pub use unsuitable::Unsuitable;
