//! Weights of networks in files.

pub(crate) mod description;
pub mod run_weights;
pub mod weight_file;
