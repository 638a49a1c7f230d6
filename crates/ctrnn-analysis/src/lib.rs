//! What a trained network does.
//!
//! [`simulate`] runs a network on given inputs and returns every state as a host array; [`States`] knows how such arrays are
//! written for Python. [`trial_figure`] draws trials of a task; [`plot`] is what figures are made of.
//!
//! ```
//! use burn::backend::NdArray;
//! use ctrnn_analysis::{Injected, simulate};
//! use ctrnn_files::Array;
//! use ctrnn_model::{CtrnnConfig, CtrnnModule, Forward};
//!
//! let network = CtrnnModule::<NdArray>::init(&CtrnnConfig::new(2, 16, 1), 7, &Default::default())?;
//! let inputs = Array::f32(&[1, 10, 2], vec![0.5; 20]); // one trial of ten time steps
//! let states = simulate(&network, &inputs, Forward::default());
//! assert_eq!(states.rates.shape(), [1, 10, 16]);
//! assert_eq!(states.t_ms[0], 20.0); // the state after the first step
//! # Ok::<(), ctrnn_model::ModelError>(())
//! ```

pub mod plot;
mod simulation;
mod trial_figure;

pub use simulation::{Injected, InjectedError, States, simulate};
pub use trial_figure::{example_trials, trial_figure};
