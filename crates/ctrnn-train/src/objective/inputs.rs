//! Inputs of the terms of an objective.

use std::ops::Range;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use ctrnn_model::{CtrnnModule, Trajectory};

use crate::batch::Batch;
use crate::objective::penalty::Part;

/// Inputs of a term of the objective.
#[derive(Debug)]
pub struct LossInputs<'a, B: Backend> {
    /// The network.
    pub network: &'a CtrnnModule<B>,
    /// The readout, `[trial, time, output]`.
    pub outputs: Tensor<B, 3>,
    /// Targets, mask and padding of the batch; time-major.
    pub batch: &'a Batch<B>,
    /// True in a training step, where the gradient of the term is computed; false in a validation.
    pub is_training: bool,
    /// Rates of each layer, from the inputs up.
    rates: Vec<Option<Tensor<B, 3>>>,
    /// Postsynaptic and presynaptic units of the recurrent weights that a penalty acts on; absent: all matrices.
    block: Option<[Range<usize>; 2]>,
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
            is_training: false,
            block: None,
        }
    }

    /// Marks the inputs as those of a training step.
    pub(crate) fn in_training(self) -> Self {
        Self {
            is_training: true,
            ..self
        }
    }

    /// Returns the same inputs restricted to a part of the network, which has one layer.
    pub(crate) fn of_part(&self, part: &Part) -> Self {
        let rates = self.rates.clone();
        let (rates, block) = match part {
            Part::Units(units) => {
                let narrow = |rates: Tensor<B, 3>| rates.narrow(2, units.start, units.len());
                let layers = rates.into_iter().map(|rates| rates.map(narrow));
                (layers.collect(), None)
            }
            Part::Weights(block) => (rates, Some(block.clone())),
        };
        Self {
            network: self.network,
            outputs: self.outputs.clone(),
            batch: self.batch,
            is_training: self.is_training,
            rates,
            block,
        }
    }

    /// Returns the entries of a matrix that belong to the part.
    pub(crate) fn weights_of_part(&self, matrix: Tensor<B, 2>) -> Tensor<B, 2> {
        match &self.block {
            Some([post, pre]) => {
                let rows = matrix.narrow(0, post.start, post.len());
                rows.narrow(1, pre.start, pre.len())
            }
            None => matrix,
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
