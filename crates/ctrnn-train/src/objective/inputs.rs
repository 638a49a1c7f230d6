//! Inputs of the terms of an objective.

use std::ops::Range;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use ctrnn_model::{CtrnnModule, RateMeasure, RateSums, RateTerm, Trajectory};

use crate::batch::Batch;
use crate::objective::part::Part;

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
    /// Sums of the rates of each layer, which a training step may have in place of the rates.
    rate_sums: Vec<Option<RateSums<Tensor<B, 1>>>>,
    /// Terms of the rates among these sums.
    rate_terms: Vec<RateTerm>,
    /// Units that a penalty acts on; absent: all units.
    units: Option<Range<usize>>,
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
            rate_sums: trajectory
                .layers()
                .map(|layer| layer.rate_sums.clone())
                .collect(),
            outputs: trajectory.outputs,
            batch,
            is_training: false,
            rate_terms: Vec::new(),
            units: None,
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

    /// Names the terms of the rates that the sweeps of the pass computed.
    pub(crate) fn with_rate_terms(self, rate_terms: Vec<RateTerm>) -> Self {
        Self { rate_terms, ..self }
    }

    /// Returns the same inputs restricted to a part of the network, which has one layer.
    pub(crate) fn of_part(&self, part: &Part) -> Self {
        let (mut rates, mut rate_sums) = (self.rates.clone(), self.rate_sums.clone());
        let (mut of_part, mut block) = (None, None);
        match part {
            Part::Units(units) => {
                for rates in rates.iter_mut().flatten() {
                    *rates = rates.clone().narrow(2, units.start, units.len());
                }
                for sums in rate_sums.iter_mut().flatten() {
                    let terms = sums.terms.take();
                    *sums = (sums.clone()).map(|sums| sums.narrow(0, units.start, units.len()));
                    sums.terms = terms;
                }
                of_part = Some(units.clone());
            }
            Part::Weights(weights) => block = Some(weights.clone()),
        }
        Self {
            network: self.network,
            outputs: self.outputs.clone(),
            batch: self.batch,
            is_training: self.is_training,
            rates,
            rate_sums,
            rate_terms: self.rate_terms.clone(),
            units: of_part,
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

    /// Returns the sums of the rates of a layer, counted from the inputs up, where the pass has them.
    pub(crate) fn rate_sums_of_layer(&self, layer: usize) -> Option<RateSums<Tensor<B, 1>>> {
        self.rate_sums[layer].clone()
    }

    /// Returns the term of the rates of a layer that this measure of the units of the part is, `[1]`, where the pass has it.
    pub(crate) fn rate_term_of_layer(
        &self,
        layer: usize,
        measure: RateMeasure,
    ) -> Option<Tensor<B, 1>> {
        let units = self.units.clone();
        let own = RateTerm { units, measure };
        let number = self.rate_terms.iter().position(|term| *term == own)?;
        let terms = self.rate_sums[layer].as_ref()?.terms.clone()?;
        Some(terms.narrow(0, number, 1))
    }

    /// Returns the firing rates of a layer, counted from the inputs up, `[trial, time, unit]`.
    ///
    /// # Panics
    /// As [`LossInputs::rates`], or if there is no such layer.
    pub fn rates_of_layer(&self, layer: usize) -> Tensor<B, 3> {
        self.rates[layer].clone().expect("rates are recorded")
    }
}
