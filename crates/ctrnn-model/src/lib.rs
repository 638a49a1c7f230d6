//! The leaky recurrent network as a burn module.

mod config;
mod error;

pub use config::{
    Biases, CtrnnConfig, InitialState, NoiseConvention, NoiseLevels, WeightInit, WeightInits,
};
pub use ctrnn_kernels::{Activation, Form};
pub use error::ModelError;
