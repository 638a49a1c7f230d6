//! Inputs of the terms of an objective.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use ctrnn_model::{CtrnnModule, Trajectory};

use crate::batch::Batch;

/// What a term of the objective may depend on.
#[derive(Debug)]
pub struct LossInputs<'a, B: Backend> {
    /// The network.
    pub network: &'a CtrnnModule<B>,
    /// The readout, `[trial, time, output]`.
    pub outputs: Tensor<B, 3>,
    /// Targets, mask, and what is within the trials; time-major.
    pub batch: &'a Batch<B>,
    rates: Option<Tensor<B, 3>>,
}

impl<'a, B: Backend> LossInputs<'a, B> {
    /// What a forward pass gave.
    pub(crate) fn new(
        network: &'a CtrnnModule<B>,
        trajectory: Trajectory<B>,
        batch: &'a Batch<B>,
    ) -> Self {
        Self {
            network,
            outputs: trajectory.outputs,
            batch,
            rates: trajectory.rates,
        }
    }

    /// Firing rates, `[trial, time, unit]`.
    ///
    /// # Panics
    /// If the pass did not record them; a trainer's passes do where a term beside the loss may ask.
    pub fn rates(&self) -> Tensor<B, 3> {
        self.rates.clone().expect("rates are recorded")
    }
}
