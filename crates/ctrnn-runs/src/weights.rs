//! Weights of networks in files.

pub mod run_weights;
pub mod weight_file;
