//! What a trained network does.
//!
//! [`simulate`] runs a network on given inputs and returns every state as a host array; [`States`] knows how such arrays are
//! written for Python. [`trial_figure`] draws trials of a task; [`plot`] is what figures are made of.
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

mod blocks;
mod chronometric;
mod clusters;
mod currents;
mod dsa;
mod dynamics;
mod evidence;
pub mod findings;
mod fixed_points;
mod flow;
mod linear_algebra;
mod lyapunov;
mod metrics;
mod pca;
mod perturbation;
pub mod plot;
mod psychometric;
mod rate_map;
mod selectivity;
mod similarity;
mod simulation;
mod speed;
mod study;
mod tdr;
mod timescales;
mod trial_figure;

pub use blocks::{Block, blocks, reordered, sorted_units};
pub use chronometric::{DecisionTime, chronometric, decision_step};
pub use clusters::{Clusters, clusters, task_variance};
pub use currents::Currents;
pub use dsa::{delay_dynamics, dsa, dynamical_distance};
pub use dynamics::Dynamics;
pub use evidence::{Evidence, evidence};
pub use findings::{ANALYSES, Analysis, Findings, Unsuitable, analysis};
pub use fixed_points::{FixedPoint, Search, fixed_points};
pub use flow::{Flow, flow};
pub use linear_algebra::{Eigen, NotConverged};
pub use lyapunov::{Lyapunov, lyapunov};
pub use metrics::Metrics;
pub use pca::Pca;
pub use perturbation::{Current, Cut, NoSuchUnit, Perturbation};
pub use psychometric::{Level, Psychometric, PsychometricFit, Sigmoid};
pub use rate_map::RateMap;
pub use selectivity::{VarianceSplit, d_prime, variance_split};
pub use similarity::{cka, procrustes_angle};
pub use simulation::{Injected, InjectedError, States, simulate, simulate_perturbed};
pub use speed::speed;
pub use study::{Peer, Study, TypicalInput, three_dimensional};
pub use tdr::{Tdr, tdr};
pub use timescales::{autocorrelation, decay_time_ms};
pub use trial_figure::{example_trials, trial_figure};
