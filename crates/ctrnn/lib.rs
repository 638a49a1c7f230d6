//! Train continuous-time recurrent neural networks on cognitive tasks.
//!
//! This crate only gathers the others under one name; each has its own documentation:
//!
//! * [`model`]: the leaky recurrent network as a burn module, [`model::CtrnnModule`], and its equation;
//! * [`tasks`]: trials as host arrays, and how to write a task of your own;
//! * [`train`]: the training loop, losses, penalties, optimizers, evaluation;
//! * [`config`]: configuration files, their schema and their errors;
//! * [`runs`]: run folders, checkpoints, import, export, trials from files and programs;
//! * [`analysis`]: what a trained network does;
//! * [`sweep`]: populations of runs: a file that describes them, their state, a pool, a table;
//! * [`files`]: npz, safetensors, PyTorch state_dicts, TensorBoard events, Parquet and run folders;
//! * [`random`]: random numbers with an address;
//! * [`cli`]: the `train-ctrnn` command line for a program with tasks of its own.
//!
//! ```
//! use burn::backend::NdArray;
//! use ctrnn::model::{CtrnnConfig, Forward};
//!
//! let network = CtrnnConfig::new(3, 64, 2).init::<NdArray>(42, &Default::default())?;
//! let inputs = burn::tensor::Tensor::ones([16, 50, 3], &Default::default()); // [trial, time, input]
//! assert_eq!(network.forward(inputs, &Forward::default()).outputs.dims(), [16, 50, 2]);
//! # Ok::<(), ctrnn::model::ModelError>(())
//! ```

pub use ctrnn_analysis as analysis;
#[cfg(feature = "cli")]
pub use ctrnn_cli as cli;
pub use ctrnn_config as config;
pub use ctrnn_files as files;
pub use ctrnn_model as model;
pub use ctrnn_random as random;
pub use ctrnn_runs as runs;
pub use ctrnn_sweep as sweep;
pub use ctrnn_tasks as tasks;
pub use ctrnn_train as train;
