//! Stacks: networks of several layers, in which the rates of a layer are the inputs of the next one at the same time step.
//!
//! A layer is a network. Configuration and module of a stack are those of its last layer, which has the readout, and hold the
//! layers below it.

use std::sync::Arc;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::module::trajectory;
use crate::trajectory::{LayerStart, Trajectory};
use crate::{
    CtrnnConfig, CtrnnModule, Forward, InitialState, Matrix, ModelError, Noise, Parameter, Record,
    ResultTensors, Sizes, SweepTensors, Weights,
};

impl CtrnnConfig {
    /// Returns the network of these layers, from the inputs up. The first gets the inputs of the task and the last one has the
    /// readout; time step, integrator, frozen parameters and the number of conditions are those of the last.
    ///
    /// # Panics
    /// If there is no layer, or one of them is a stack itself.
    ///
    /// ```
    /// use ctrnn_model::CtrnnConfig;
    /// let stack = CtrnnConfig::stacked(vec![CtrnnConfig::new(3, 64, 0), CtrnnConfig::new(64, 32, 2)]);
    /// assert_eq!((stack.n_layers(), stack.first_layer().n_inputs, stack.n_outputs), (2, 3, 2));
    /// ```
    pub fn stacked(layers: Vec<Self>) -> Self {
        assert!(
            layers.iter().all(|layer| layer.below.is_empty()),
            "a layer has no layers of its own"
        );
        let last = layers.last().expect("a network has a layer");
        let sizes = Sizes {
            inputs: layers[0].n_inputs,
            outputs: last.n_outputs,
            conditions: last.n_conditions,
        };
        let (dt_ms, integrator, frozen) = (last.dt_ms, last.integrator, last.frozen.clone());
        let layers = layers.into_iter().map(|layer| Self {
            dt_ms,
            integrator,
            frozen: frozen.clone(),
            ..layer
        });
        Self::of_layers(layers.collect()).with_sizes(sizes)
    }

    /// Returns the network of these layers, which fit.
    fn of_layers(mut layers: Vec<Self>) -> Self {
        let last = layers.pop().expect("a network has a layer");
        Self {
            below: layers,
            ..last
        }
    }

    /// Returns the same network with each layer changed.
    #[must_use]
    pub fn map_layers(mut self, change: impl FnMut(Self) -> Self) -> Self {
        let mut layers = std::mem::take(&mut self.below);
        layers.push(self);
        Self::of_layers(layers.into_iter().map(change).collect())
    }

    /// Returns the same network for a task of these sizes.
    #[must_use]
    pub fn with_sizes(self, sizes: Sizes) -> Self {
        let last = self.below.len();
        let (mut number, mut n_inputs) = (0, sizes.inputs);
        self.map_layers(|layer| {
            let sized = Self {
                layer: number as u16,
                n_inputs,
                n_outputs: if number == last { sizes.outputs } else { 0 },
                n_conditions: sizes.conditions,
                ..layer
            };
            number += 1;
            n_inputs = sized.n_units;
            sized
        })
    }

    /// Returns the number of layers.
    pub fn n_layers(&self) -> usize {
        self.below.len() + 1
    }

    /// Returns the number of units of all layers together.
    pub fn n_units_of_layers(&self) -> usize {
        self.layers().map(|layer| layer.n_units).sum()
    }

    /// Returns the multiplications of a time step of a trial by recurrent matrices, or their factors, and by the input weights between
    /// layers.
    pub fn multiplications(&self) -> usize {
        let of_layer = |layer: &Self| {
            let recurrent = match &layer.low_rank {
                Some(low_rank) if low_rank.has_full() => layer.n_units + 2 * low_rank.rank,
                Some(low_rank) => 2 * low_rank.rank,
                None => layer.n_units,
            };
            let below = if layer.layer == 0 { 0 } else { layer.n_inputs };
            layer.n_units * (recurrent + below)
        };
        self.layers().map(of_layer).sum()
    }

    /// Returns a layer, counted from the inputs up; the last one is this configuration.
    ///
    /// # Panics
    /// If there is no such layer.
    pub fn layer(&self, number: usize) -> &Self {
        if number == self.below.len() {
            self
        } else {
            &self.below[number]
        }
    }

    /// Returns the layers, from the inputs up; the last one is this configuration.
    pub fn layers(&self) -> impl DoubleEndedIterator<Item = &Self> + ExactSizeIterator {
        (0..self.n_layers()).map(|number| self.layer(number))
    }

    /// Returns the layer that the inputs of the task reach.
    pub fn first_layer(&self) -> &Self {
        self.layer(0)
    }

    /// Returns a key of `[model]` in the table of a layer: `model.layer[1].dale` for `model.dale`, or the key itself where there is one
    /// layer.
    pub fn key_in_layer(&self, number: usize, key: &str) -> String {
        match key.strip_prefix("model.") {
            Some(own) if !self.below.is_empty() => format!("model.layer[{number}].{own}"),
            _ => key.to_owned(),
        }
    }

    /// Returns a key of `[model]` in the table of the last layer, as [`CtrnnConfig::key_in_layer`].
    pub fn key_in_last(&self, key: &str) -> String {
        self.key_in_layer(self.below.len(), key)
    }

    /// Returns the last layer as a network of its own, whose inputs are the rates of the layer below.
    #[must_use]
    pub fn alone(&self) -> Self {
        Self {
            below: Vec::new(),
            ..self.clone()
        }
    }

    /// Returns true if this is a layer below the last one, which has no readout.
    pub(crate) fn is_below(&self) -> bool {
        self.n_outputs == 0
    }
}

/// Returns the prefix of the names of a layer in weight files: none for the first.
pub fn layer_prefix(layer: usize) -> String {
    match layer {
        0 => String::new(),
        layer => format!("layers.{layer}."),
    }
}

/// Splits a name of a weight file into the layer and the name in a network of one layer; the readout belongs to the last layer.
fn split_name(name: &str, last: usize) -> (usize, &str) {
    let split = name.strip_prefix("layers.").and_then(|rest| {
        let (layer, own) = rest.split_once('.')?;
        Some((layer.parse().ok()?, own))
    });
    match split {
        // The first layer has no prefix, and the readout has none in any layer.
        Some((layer, own)) if layer > 0 && !is_of_readout(own) => (layer, own),
        _ if is_of_readout(name) => (last, name),
        _ => (0, name),
    }
}

fn is_of_readout(name: &str) -> bool {
    name.split('.').next() == Some(Matrix::Output.name())
}

/// Returns the name of a tensor of a layer in the weight file of its stack.
fn name_in_stack(layer: usize, own: &str) -> String {
    if is_of_readout(own) {
        own.to_owned()
    } else {
        layer_prefix(layer) + own
    }
}

/// Divides the weights of a stack of `n_layers` into those of its layers, under the names of a network of one layer.
///
/// # Errors
/// Names a tensor of a layer that does not exist.
pub(crate) fn split_weights(
    weights: &Weights,
    n_layers: usize,
) -> Result<Vec<Weights>, ModelError> {
    let mut layers = vec![Weights::new(); n_layers];
    for (name, data) in weights {
        let (layer, own) = split_name(name, n_layers - 1);
        let Some(of_layer) = layers.get_mut(layer) else {
            return Err(ModelError::UnknownTensor {
                name: name.clone(),
                known: format!("the layers 0 to {}", n_layers - 1),
            });
        };
        of_layer.insert(own.to_owned(), data.clone());
    }
    Ok(layers)
}

/// Joins the weights of layers, from the inputs up, under the names of their stack.
pub(crate) fn join_weights(layers: impl IntoIterator<Item = Weights>) -> Weights {
    let named = |(layer, weights): (usize, Weights)| {
        weights
            .into_iter()
            .map(move |(own, data)| (name_in_stack(layer, &own), data))
    };
    layers.into_iter().enumerate().flat_map(named).collect()
}

impl ModelError {
    /// Returns the error about a layer with the names of its stack.
    pub(crate) fn in_layer(mut self, layer: usize) -> Self {
        match &mut self {
            Self::Shape { name, .. }
            | Self::UnknownTensor { name, .. }
            | Self::MissingTensor { name }
            | Self::NotFinite { name, .. }
            | Self::Contradiction { name, .. } => *name = name_in_stack(layer, name),
            _ => {}
        }
        self
    }
}

impl<B: Backend> CtrnnModule<B> {
    /// Returns the number of layers.
    pub fn n_layers(&self) -> usize {
        self.below.0.len() + 1
    }

    /// Returns the layers, from the inputs up. The last one is this network; what a method says of weights, constraints and states
    /// of a network holds for it.
    pub fn layers(&self) -> impl DoubleEndedIterator<Item = &Self> + ExactSizeIterator {
        (0..self.n_layers()).map(|number| self.below.0.get(number).unwrap_or(self))
    }

    /// Returns the layer that has a parameter; the readout belongs to the last one.
    pub fn layer_of(&self, parameter: Parameter) -> &Self {
        if parameter.role.is_of_readout() {
            return self;
        }
        self.below
            .0
            .get(usize::from(parameter.layer))
            .unwrap_or(self)
    }

    /// Returns a layer, counted from the inputs up, as a network of its own. One below the last has no outputs; the inputs of one
    /// above the first are the rates of the layer below.
    ///
    /// # Panics
    /// If there is no such layer.
    #[must_use]
    pub fn layer(&self, number: usize) -> Self {
        if number < self.below.0.len() {
            return self.below.0[number].clone();
        }
        assert_eq!(number, self.below.0.len(), "the network has no such layer");
        let mut alone = self.clone();
        alone.below.0.clear();
        alone.config = Arc::new(self.config.alone());
        alone
    }

    /// Keeps the last states of a batch in the layers that carry them, for the next one to start from.
    pub fn carry_states(&mut self, trajectory: &Trajectory<B>) {
        for (layer, states) in self.below.0.iter_mut().zip(&trajectory.below) {
            layer.carry_states(states);
        }
        if self.config.initial_state == InitialState::Carry {
            self.carry(trajectory.final_state.clone());
        }
    }

    /// Returns the starts of the layers below the last one from the states that they carry, if one of them has a state for a batch of
    /// this many trials.
    pub fn carried_below(&self, trials: usize, noise: &Noise<B>) -> Vec<LayerStart<B>> {
        let start = |layer: &Self| LayerStart {
            noise: noise.clone(),
            initial_state: layer.carried_state(trials),
        };
        let starts: Vec<LayerStart<B>> = self.below.0.iter().map(start).collect();
        if starts.iter().any(|start| start.initial_state.is_some()) {
            starts
        } else {
            Vec::new()
        }
    }

    /// Runs the layers below the last one over time-major `inputs [T,B,I]`; returns the inputs of the last one and the trajectories.
    pub(crate) fn run_below(
        &self,
        mut inputs: Tensor<B, 3>,
        forward: &Forward<B>,
        sweep: impl Fn(SweepTensors<B>) -> ResultTensors<B>,
    ) -> (Tensor<B, 3>, Vec<Trajectory<B>>) {
        let mut all = Vec::with_capacity(self.below.0.len());
        for (number, layer) in self.below.0.iter().enumerate() {
            let mut states = trajectory(sweep(layer.sweep(inputs, &forward.of_layer(number))));
            let rates = states.rates.clone().expect("a layer records its rates");
            inputs = rates.swap_dims(0, 1);
            if !forward.record.rates {
                states.rates = None;
            }
            all.push(states);
        }
        (inputs, all)
    }
}

impl<B: Backend> Forward<B> {
    /// Returns the pass of a layer below the last one, which records its rates.
    #[must_use]
    pub fn of_layer(&self, number: usize) -> Self {
        let start = self.below.get(number);
        let noise = match (start, &self.noise) {
            (Some(start), _) => start.noise.clone(),
            (None, Noise::Given { .. }) => Noise::Off, // it is that of the last layer
            (None, noise) => noise.clone(),
        };
        Self {
            noise,
            initial_state: start.and_then(|start| start.initial_state.clone()),
            below: Vec::new(),
            conditions: self.conditions.clone(),
            lengths: self.lengths.clone(),
            record: Record {
                rates: true,
                ..self.record
            },
            recompute: self.recompute,
            omega: None,
        }
    }
}

#[cfg(test)]
mod tests;
