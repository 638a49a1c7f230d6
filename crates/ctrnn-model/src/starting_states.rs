//! The states that a pass starts from.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use ctrnn_kernels::{Form, UnitState};

use crate::parameters::{constant, host_tensor};
use crate::trajectory::no_synapses;
use crate::{CtrnnModule, Forward, InitialState, LayerStart, Synapse, activation, noise_sources};

impl<B: Backend> CtrnnModule<B> {
    /// Keeps the last state `[trial, unit]` of a batch, for the next one to start from. It is kept on the host and written with the
    /// weights, so that a resumed training continues from it.
    pub fn carry(&mut self, state: UnitState<Tensor<B, 2>>) {
        self.carried_state = Some(state.map(|variable| match variable.dims() {
            // Not every backend reads an empty tensor.
            [trials, 0] => TensorData::new(Vec::<f32>::new(), [trials, 0]),
            _ => variable.into_data(),
        }));
    }

    /// Returns the final state of the last batch, if there is one for a batch of this many trials.
    pub fn carried_state(&self, trials: usize) -> Option<UnitState<Tensor<B, 2>>> {
        let state = self.carried_state.as_ref()?;
        if state.activity.shape[0] != trials {
            return None;
        }
        Some(state.clone().map(|data| host_tensor(data, &self.device())))
    }

    /// Returns the state, all `[trials, N]`, that a pass starts from.
    ///
    /// # Panics
    /// If `forward` holds states of another shape, or no condition for each trial where the state is that of a condition.
    pub fn starting_states(&self, forward: &Forward<B>, trials: usize) -> UnitState<Tensor<B, 2>> {
        let n = self.config().n_units;
        if let Some(state) = &forward.initial_state {
            let synapses = self.config().n_synapses();
            let shapes = [[trials, n], [trials, synapses], [trials, synapses]];
            for (values, shape) in state.each_ref().into_array().into_iter().zip(shapes) {
                assert_eq!(values.dims(), shape, "initial_state must be [trial, unit]");
            }
            return state.clone();
        }
        let own = match &self.condition_states {
            Some(states) => select(states.val(), &forward.conditions, trials),
            None => self.shared_initial_state().expand([trials, n]),
        };
        let noise = noise_sources::of_initial_state(
            self.config(),
            &forward.noise,
            [trials, n],
            &self.device(),
        );
        self.rested(match noise {
            Some(noise) => own + noise,
            None => own,
        })
    }

    /// Returns the state of these activities `[trial, unit]` with the synapses at rest: u = U and x = 1 with short-term plasticity.
    pub fn rested(&self, activity: Tensor<B, 2>) -> UnitState<Tensor<B, 2>> {
        let ([trials, n], device) = (activity.dims(), activity.device());
        let of_synapses = |at_rest: fn(&Synapse) -> f64| match self.config().unit_synapses() {
            None => no_synapses(trials, &device),
            Some(synapses) => {
                let values: Vec<f64> = synapses.iter().map(at_rest).collect();
                let row: Tensor<B, 2> = host_tensor(TensorData::new(values, [1, n]), &device);
                row.expand([trials, n])
            }
        };
        UnitState {
            activity,
            utilisation: of_synapses(|synapse| synapse.baseline),
            resources: of_synapses(|_| 1.0),
        }
    }

    /// Computes the firing rates `[trials, N]` that a pass starts from: `f(v(0))`, or `r(0)` itself in the rate form.
    ///
    /// # Panics
    /// As [`CtrnnModule::forward`].
    pub fn initial_rates(&self, forward: &Forward<B>, trials: usize) -> Tensor<B, 2> {
        let activity = self.starting_states(forward, trials).activity;
        match self.config().form {
            Form::Voltage => activation::rates(self.config().activation, activity),
            Form::Rate => activity,
        }
    }

    /// Returns the one initial state `[N]` that all trials share.
    pub(crate) fn shared_initial_state(&self) -> Tensor<B, 1> {
        let n = self.config().n_units;
        match (&self.initial_state, &self.config().initial_state) {
            (Some(state), _) => state.val(),
            (None, InitialState::Given(state)) => {
                host_tensor(TensorData::new(state.clone(), [n]), &self.device())
            }
            (None, _) => constant(0.0, n, &self.device()),
        }
    }
}

/// Selects the rows `conditions` of `states [C,N]` by a product with one-hot rows: the result is the same on every backend, and its
/// gradient adds trials in their order.
fn select<B: Backend>(states: Tensor<B, 2>, conditions: &[usize], trials: usize) -> Tensor<B, 2> {
    let [n_conditions, _] = states.dims();
    assert_eq!(
        conditions.len(),
        trials,
        "a network with an initial state per condition needs the condition of each trial"
    );
    let mut one_hot = vec![0.0; trials * n_conditions];
    for (row, &condition) in one_hot.chunks_exact_mut(n_conditions).zip(conditions) {
        assert!(
            condition < n_conditions,
            "condition {condition} of {n_conditions}"
        );
        row[condition] = 1.0;
    }
    let one_hot = TensorData::new(one_hot, [trials, n_conditions]);
    host_tensor::<B, 2>(one_hot, &states.device()).matmul(states)
}

impl<B: Backend> Forward<B> {
    /// Returns the pass over all trials of `[trial, time]` with its noise drawn and its starting states, from which
    /// [`Forward::of_rows`] takes some.
    #[must_use]
    pub fn drawn_for(&self, network: &CtrnnModule<B>, sizes: [usize; 2]) -> Self {
        let last = network.n_layers() - 1;
        let mut starts: Vec<LayerStart<B>> = (network.layers().enumerate())
            .map(|(number, layer)| {
                let own = if number == last {
                    self.clone()
                } else {
                    self.of_layer(number)
                };
                LayerStart {
                    noise: own.noise.drawn_for(layer.config(), sizes, &layer.device()),
                    initial_state: Some(layer.starting_states(&own, sizes[0])),
                }
            })
            .collect();
        let own = starts.pop().expect("a network has a layer");
        Self {
            noise: own.noise,
            initial_state: own.initial_state,
            below: starts,
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use burn_ndarray::NdArray;

    use super::*;
    use crate::{CtrnnConfig, ShortTermPlasticity};

    type F32 = NdArray<f32>;

    fn network(initial_state: InitialState) -> CtrnnModule<F32> {
        let config = CtrnnConfig {
            initial_state,
            n_conditions: 3,
            ..CtrnnConfig::new(1, 2, 1)
        };
        config.init(0, &Default::default()).unwrap()
    }

    fn values(state: UnitState<Tensor<F32, 2>>) -> Vec<f32> {
        state.activity.into_data().to_vec().unwrap()
    }

    #[test]
    fn each_trial_starts_from_the_state_of_its_condition() {
        let states = TensorData::new(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [3, 2]);
        let network = network(InitialState::LearnedPerCondition)
            .with_weights(&[("initial_state".to_owned(), states)].into())
            .unwrap();
        let pass = Forward {
            conditions: vec![2, 0, 2],
            ..Forward::default()
        };
        let found = values(network.starting_states(&pass, 3));
        assert_eq!(found, [5.0, 6.0, 1.0, 2.0, 5.0, 6.0]);
    }

    #[test]
    #[should_panic(expected = "needs the condition of each trial")]
    fn conditions_are_not_guessed() {
        let network = network(InitialState::LearnedPerCondition);
        let _ = network.starting_states(&Forward::default(), 2);
    }

    #[test]
    fn a_carried_state_is_written_and_read_and_used_only_when_it_is_asked_for() {
        let mut network = network(InitialState::Carry);
        assert!(network.carried_state(2).is_none());
        let state = host_tensor(
            TensorData::new(vec![1.0, 2.0, 3.0, 4.0], [2, 2]),
            &Default::default(),
        );
        network.carry(network.rested(state));
        let weights = network.weights();
        let again = CtrnnModule::<F32>::from_weights(network.config(), &weights, &network.device());
        let again = again.unwrap();
        assert_eq!(again.weights(), weights);
        assert_eq!(
            values(again.carried_state(2).unwrap()),
            [1.0, 2.0, 3.0, 4.0]
        );
        assert!(again.carried_state(3).is_none());
        assert_eq!(
            values(again.starting_states(&Forward::default(), 1)),
            [0.0, 0.0]
        );
        let other = CtrnnConfig::new(1, 2, 1);
        assert!(CtrnnModule::<F32>::from_weights(&other, &weights, &network.device()).is_err());
    }

    #[test]
    fn plastic_synapses_start_at_rest_and_are_carried() {
        let config = CtrnnConfig {
            initial_state: InitialState::Carry,
            short_term_plasticity: Some(ShortTermPlasticity::Half),
            ..CtrnnConfig::new(1, 2, 1)
        };
        let device = Default::default();
        let mut network = config.init::<F32>(0, &device).unwrap();
        let list = |x: Tensor<F32, 2>| x.into_data().to_vec::<f32>().unwrap();
        let start = network.starting_states(&Forward::default(), 2).map(list);
        assert_eq!(start.utilisation, [0.15, 0.45, 0.15, 0.45]);
        assert_eq!(start.resources, [1.0; 4]);
        let row = |x: f32| host_tensor::<F32, 2>(TensorData::new(vec![x; 2], [1, 2]), &device);
        network.carry(UnitState {
            activity: row(3.0),
            utilisation: row(0.5),
            resources: row(0.25),
        });
        let mut weights = network.weights();
        let again = CtrnnModule::<F32>::from_weights(&config, &weights, &device).unwrap();
        assert_eq!(again.weights(), weights);
        let carried = again.carried_state(1).unwrap().map(list);
        assert_eq!([carried.utilisation[0], carried.resources[1]], [0.5, 0.25]);
        weights.remove("carried_resources");
        let half = CtrnnModule::<F32>::from_weights(&config, &weights, &device).unwrap_err();
        assert!(half.to_string().contains("carried_resources"), "{half}");
        let plain = CtrnnConfig {
            short_term_plasticity: None,
            ..config
        };
        let refused = CtrnnModule::<F32>::from_weights(&plain, &weights, &device).unwrap_err();
        assert!(
            refused.to_string().contains("no short-term plasticity"),
            "{refused}"
        );
    }
}
