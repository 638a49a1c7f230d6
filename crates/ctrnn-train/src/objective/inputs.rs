//! Inputs of the terms of an objective.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use ctrnn_model::{CtrnnModule, Trajectory};

use crate::batch::Batch;

/// Inputs of a term of the objective.
#[derive(Debug)]
pub struct LossInputs<'a, B: Backend> {
    /// The network.
    pub network: &'a CtrnnModule<B>,
    /// The readout, `[trial, time, output]`.
    pub outputs: Tensor<B, 3>,
    /// Targets, mask and padding of the batch; time-major.
    pub batch: &'a Batch<B>,
    /// Rates of each layer, from the inputs up.
    rates: Vec<Option<Tensor<B, 3>>>,
}

impl<'a, B: Backend> LossInputs<'a, B> {
    /// Takes outputs and rates from the trajectory of a forward pass.
    pub(crate) fn new(
        network: &'a CtrnnModule<B>,
        trajectory: Trajectory<B>,
        batch: &'a Batch<B>,
    ) -> Self {
        Self {
            network,
            rates: trajectory
                .layers()
                .map(|layer| layer.rates.clone())
                .collect(),
            outputs: trajectory.outputs,
            batch,
        }
    }

    /// Returns the firing rates of the last layer, `[trial, time, unit]`.
    ///
    /// # Panics
    /// If the forward pass did not record them. A trainer records them if there are custom terms or penalties on rates.
    pub fn rates(&self) -> Tensor<B, 3> {
        self.rates_of_layer(self.rates.len() - 1)
    }

    /// Returns the firing rates of a layer, counted from the inputs up, `[trial, time, unit]`.
    ///
    /// # Panics
    /// As [`LossInputs::rates`], or if there is no such layer.
    pub fn rates_of_layer(&self, layer: usize) -> Tensor<B, 3> {
        self.rates[layer].clone().expect("rates are recorded")
    }
}
