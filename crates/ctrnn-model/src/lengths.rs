//! Passes in which every trial ends at its own length.

use std::ops::Range;

use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};

use crate::trajectory::no_outputs;
use crate::{
    CtrnnConfig, Forward, LayerStart, Noise, NoiseAddress, RecurrenceBackend, Trajectory,
    UnitState, cat_rows, host_tensor, map_rows, noise_sources,
};

impl<B: Backend> Noise<B> {
    /// Returns the noise of some of the trials.
    #[must_use]
    pub fn of_trials(&self, trials: Range<usize>) -> Self {
        let narrow = |normals: &Option<Tensor<B, 3>>| {
            let normals = normals.clone();
            normals.map(|normals| normals.narrow(0, trials.start, trials.len()))
        };
        match self {
            Self::Off => Self::Off,
            Self::Drawn(address) => Self::Drawn(NoiseAddress {
                first_trial: address.first_trial + trials.start as u32,
                ..*address
            }),
            Self::Given {
                preactivation,
                postactivation,
                input,
            } => Self::Given {
                preactivation: narrow(preactivation),
                postactivation: narrow(postactivation),
                input: narrow(input),
            },
        }
    }

    /// Returns the noise of a pass with its normals drawn, so that parts of them can be given to passes over some of the
    /// trials and time steps. The noise of the initial state is left out: it is part of
    /// [`CtrnnModule::starting_states`](crate::CtrnnModule::starting_states).
    #[must_use]
    pub fn drawn_for(
        &self,
        config: &CtrnnConfig,
        [trials, steps]: [usize; 2],
        device: &B::Device,
    ) -> Self {
        match self {
            Self::Drawn(_) => noise_sources::all_drawn(config, self, [trials, steps], device),
            given => given.clone(),
        }
    }

    /// Returns given noise of the trials with these numbers.
    ///
    /// # Panics
    /// If the noise is drawn by address.
    #[must_use]
    pub fn of_rows(&self, rows: &Tensor<B, 1, Int>) -> Self {
        self.clone()
            .given(|normals| normals.select(0, rows.clone()))
    }

    /// Returns the noise of some time steps, from the first one on.
    #[must_use]
    pub fn of_steps(self, steps: Range<usize>) -> Self {
        match self {
            Self::Drawn(address) => Self::Drawn(NoiseAddress {
                first_time_step: address.first_time_step + steps.start,
                ..address
            }),
            given => given.given(|normals| normals.narrow(1, steps.start, steps.len())),
        }
    }

    /// Changes the normals of given noise.
    fn given(self, change: impl Fn(Tensor<B, 3>) -> Tensor<B, 3>) -> Self {
        match self {
            Self::Off => Self::Off,
            Self::Drawn(_) => panic!("noise that is drawn by address has no normals yet"),
            Self::Given {
                preactivation,
                postactivation,
                input,
            } => Self::Given {
                preactivation: preactivation.map(&change),
                postactivation: postactivation.map(&change),
                input: input.map(&change),
            },
        }
    }
}

impl<B: Backend> Trajectory<B> {
    /// Joins the results of different trials; trial k of all of them goes to place `places[k]`.
    ///
    /// # Panics
    /// If there are none.
    #[must_use]
    pub fn of_groups(groups: &[Self], places: &[usize]) -> Self {
        let mut from = vec![0; places.len()];
        for (k, &place) in places.iter().enumerate() {
            from[place] = k;
        }
        let [_, n_steps, _] = groups[0].outputs.dims();
        joined(&groups.iter().collect::<Vec<_>>(), n_steps).of_trials(&from)
    }

    /// Returns the results of some of the trials, in the given order.
    #[must_use]
    pub fn of_trials(self, trials: &[usize]) -> Self {
        let device = self.outputs.device();
        let numbers: Vec<i64> = trials.iter().map(|&b| b as i64).collect();
        let numbers = Tensor::<B, 1, Int>::from_ints(numbers.as_slice(), &device);
        // Selected in time-major memory, which is the layout of a trajectory.
        let some = |all: Tensor<B, 3>| {
            if all.dims()[2] == 0 {
                return no_outputs([trials.len(), all.dims()[1]], &device);
            }
            let some = all.swap_dims(0, 1).select(1, numbers.clone());
            some.swap_dims(0, 1)
        };
        Self {
            outputs: some(self.outputs),
            rates: self.rates.map(some),
            potentials: self.potentials.map(some),
            utilisation: self.utilisation.map(some),
            resources: self.resources.map(some),
            rate_sums: None,
            final_state: map_rows(self.final_state, |all| all.select(0, numbers.clone())),
            below: (self.below.into_iter())
                .map(|layer| layer.of_trials(trials))
                .collect(),
        }
    }
}

impl<B: Backend> Forward<B> {
    /// Returns the pass of some of the trials in some of their time steps, all of them that long, from the states from which the whole
    /// pass starts; [`Forward::starting_from`] gives it other ones.
    #[must_use]
    pub fn part(&self, trials: Range<usize>, times: Range<usize>) -> Self {
        let some = |state: &Option<UnitState<Tensor<B, 2>>>| {
            state.clone().map(|variables| {
                map_rows(variables, |all| all.narrow(0, trials.start, trials.len()))
            })
        };
        let of_noise = |noise: &Noise<B>| noise.of_trials(trials.clone()).of_steps(times.clone());
        let start = |start: &LayerStart<B>| LayerStart {
            noise: of_noise(&start.noise),
            initial_state: some(&start.initial_state),
        };
        let conditions = self.conditions.get(trials.clone());
        Self {
            noise: of_noise(&self.noise),
            initial_state: some(&self.initial_state),
            below: self.below.iter().map(start).collect(),
            conditions: conditions.unwrap_or_default().to_vec(),
            lengths: Vec::new(),
            omega: None,
            rate_terms: Vec::new(),
            ..*self
        }
    }

    /// Returns a pass whose noise is given for the trials with these numbers, in this order.
    ///
    /// # Panics
    /// If noise is drawn by address.
    #[must_use]
    pub fn of_rows(&self, rows: &[usize]) -> Self {
        let numbers: Vec<i64> = rows.iter().map(|&b| b as i64).collect();
        let some = |state: &Option<UnitState<Tensor<B, 2>>>| {
            let state = state.clone()?;
            let device = state.activity.device();
            let numbers = Tensor::<B, 1, Int>::from_ints(numbers.as_slice(), &device);
            Some(map_rows(state, |all| all.select(0, numbers.clone())))
        };
        let of_noise = |noise: &Noise<B>| {
            noise.clone().given(|normals| {
                let device = normals.device();
                normals.select(0, Tensor::from_ints(numbers.as_slice(), &device))
            })
        };
        let start = |start: &LayerStart<B>| LayerStart {
            noise: of_noise(&start.noise),
            initial_state: some(&start.initial_state),
        };
        let of_trials = |all: &[usize]| rows.iter().filter_map(|&b| all.get(b).copied()).collect();
        Self {
            noise: of_noise(&self.noise),
            initial_state: some(&self.initial_state),
            below: self.below.iter().map(start).collect(),
            conditions: of_trials(&self.conditions),
            lengths: of_trials(&self.lengths),
            omega: None,
            rate_terms: Vec::new(),
            ..*self
        }
    }

    /// Returns the pass from these states of the layers, from the inputs up.
    #[must_use]
    pub fn starting_from(self, mut states: Vec<UnitState<Tensor<B, 2>>>) -> Self {
        let last = states.pop();
        let start = |(number, state)| LayerStart {
            noise: self.of_layer(number).noise,
            initial_state: Some(state),
        };
        Self {
            below: states.into_iter().enumerate().map(start).collect(),
            initial_state: last,
            ..self
        }
    }
}

impl<B: RecurrenceBackend> Forward<B> {
    /// Returns true if the trials of `inputs [trial, time, ..]` have lengths of their own and the backend's sweep does not end them, so
    /// that [`run_by_length`] does.
    ///
    /// # Panics
    /// If there is not one length for each trial, or a length is not from 1 to the number of time steps.
    pub(crate) fn runs_by_length(&self, inputs: &Tensor<B, 3>) -> bool {
        assert_lengths(self, inputs);
        !self.lengths.is_empty() && !B::ends_trials()
    }
}

/// Asserts that there is a length for each trial of `inputs [trial, time, ..]`, from 1 to the number of time steps, or none at all.
pub(crate) fn assert_lengths<B: Backend>(forward: &Forward<B>, inputs: &Tensor<B, 3>) {
    let ([n_trials, n_steps, _], lengths) = (inputs.dims(), &forward.lengths);
    assert!(
        lengths.is_empty() || lengths.len() == n_trials,
        "{} lengths for {n_trials} trials",
        lengths.len()
    );
    let is_possible = |&length: &usize| (1..=n_steps).contains(&length);
    assert!(
        lengths.iter().all(is_possible),
        "lengths of 1 to {n_steps} time steps: {lengths:?}"
    );
}

/// Runs adjacent trials of equal length by one call of `run`, which receives the inputs `[trial, time, ..]` of these trials, and
/// pads all results with zeros.
pub(crate) fn run_by_length<B: Backend>(
    inputs: &Tensor<B, 3>,
    forward: &Forward<B>,
    run: impl Fn(Range<usize>, Tensor<B, 3>, &Forward<B>) -> Trajectory<B>,
) -> Trajectory<B> {
    let [_, n_steps, _] = inputs.dims();
    let mut first = 0;
    let parts: Vec<Trajectory<B>> = (forward.lengths)
        .chunk_by(|a, b| a == b)
        .map(|equal| {
            let (trials, length) = (first..first + equal.len(), equal[0]);
            first = trials.end;
            let own = inputs.clone().narrow(0, trials.start, trials.len());
            let own = own.narrow(1, 0, length);
            run(trials.clone(), own, &forward.part(trials, 0..length))
        })
        .collect();
    joined(&parts.iter().collect::<Vec<_>>(), n_steps)
}

/// Joins the results of different trials, padded with zeros to `n_steps` time steps.
fn joined<B: Backend>(parts: &[&Trajectory<B>], n_steps: usize) -> Trajectory<B> {
    let outputs: Vec<_> = parts
        .iter()
        .map(|part| filled_up(&part.outputs, n_steps))
        .collect();
    let recorded = |of: fn(&Trajectory<B>) -> &Option<Tensor<B, 3>>| {
        let padded = parts
            .iter()
            .map(|part| Some(filled_up(of(part).as_ref()?, n_steps)));
        Some(Tensor::cat(padded.collect::<Option<_>>()?, 0))
    };
    Trajectory {
        outputs: match outputs[0].dims() {
            [_, _, 0] => {
                let trials = outputs.iter().map(|part| part.dims()[0]).sum();
                no_outputs([trials, n_steps], &outputs[0].device())
            }
            _ => Tensor::cat(outputs, 0),
        },
        rates: recorded(|part| &part.rates),
        potentials: recorded(|part| &part.potentials),
        utilisation: recorded(|part| &part.utilisation),
        resources: recorded(|part| &part.resources),
        rate_sums: None,
        final_state: cat_rows(parts.iter().map(|part| part.final_state.clone())),
        below: (0..parts[0].below.len())
            .map(|layer| {
                let parts: Vec<_> = parts.iter().map(|part| &part.below[layer]).collect();
                joined(&parts, n_steps)
            })
            .collect(),
    }
}

/// Returns `[trial, time, ..]`, padded with zeros to `n_steps` time steps.
fn filled_up<B: Backend>(values: &Tensor<B, 3>, n_steps: usize) -> Tensor<B, 3> {
    let [trials, length, width] = values.dims();
    if length == n_steps || width == 0 {
        return values.clone();
    }
    let padding = [trials, n_steps - length, width];
    let zeros = TensorData::new(vec![0.0f32; padding.iter().product()], padding);
    Tensor::cat(
        vec![values.clone(), host_tensor(zeros, &values.device())],
        1,
    )
}

#[cfg(test)]
mod tests {
    use burn_autodiff::Autodiff;
    use burn_ndarray::NdArray;

    use super::*;
    use crate::{Biases, CtrnnConfig, InitialState, NoiseLevels, Record};

    type F64 = NdArray<f64>;

    fn values<B: Backend, const D: usize>(x: &Tensor<B, D>) -> Vec<f64> {
        x.to_data().iter().collect()
    }

    /// Trials agree until their ends, with noise of every kind; everything later is 0, and the final state is the one at the end.
    #[test]
    fn a_trial_that_ends_early_is_the_beginning_of_a_longer_one() {
        let config = CtrnnConfig {
            noise: NoiseLevels {
                preactivation: 0.3.into(),
                postactivation: 0.2,
                input: 0.1,
                initial_state: 0.4,
                ..NoiseLevels::default()
            },
            initial_state: InitialState::LearnedPerCondition,
            n_conditions: 2,
            ..CtrnnConfig::new(1, 4, 2)
        };
        let network = config.init::<F64>(3, &Default::default()).unwrap();
        let ramp = TensorData::new((0..28).map(|k| 0.1 * f64::from(k)).collect(), [4, 7, 1]);
        let inputs: Tensor<F64, 3> = host_tensor(ramp, &Default::default());
        let together = Forward {
            noise: Noise::Drawn(NoiseAddress::default()),
            conditions: vec![0, 1, 1, 0],
            record: Record::ALL,
            ..Forward::default()
        };
        let lengths = vec![3, 5, 5, 7];
        let ended = Forward {
            lengths: lengths.clone(),
            ..together.clone()
        };
        let reference = network.forward_reference(inputs.clone(), &ended);
        let [all, ended] = [together, ended].map(|pass| network.forward(inputs.clone(), &pass));
        let check = |all: &Tensor<F64, 3>, ended: &Tensor<F64, 3>| {
            for (b, &length) in lengths.iter().enumerate() {
                let [all, ended] = [all, ended].map(|x| x.clone().narrow(0, b, 1));
                let begins = values(&all.narrow(1, 0, length));
                let ended = values(&ended);
                let (within, behind) = ended.split_at(begins.len());
                let differ = |(a, b): (&f64, &f64)| (a - b).abs() > 1e-12;
                assert!(!begins.iter().zip(within).any(differ), "trial {b}");
                assert!(behind.iter().all(|&x| x == 0.0), "trial {b}: {behind:?}");
            }
        };
        for ended in [&ended, &reference] {
            check(&all.outputs, &ended.outputs);
            check(all.rates.as_ref().unwrap(), ended.rates.as_ref().unwrap());
            let potentials = all.potentials.as_ref().unwrap();
            check(potentials, ended.potentials.as_ref().unwrap());
            let there = potentials.clone().narrow(0, 1, 1).narrow(1, 4, 1);
            let last = ended.final_state.activity.clone().narrow(0, 1, 1);
            let differ = |(a, b): (&f64, &f64)| (a - b).abs() > 1e-12;
            assert!(!values(&there).iter().zip(&values(&last)).any(differ));
        }
    }

    /// A weight of 1e37 overflows after the end of the first trial; its gradients are those of the trial alone.
    #[test]
    fn what_would_overflow_behind_the_end_has_finite_gradients() {
        type Grad = Autodiff<F64>;
        let config = CtrnnConfig {
            tau_ms: 20.0.into(),
            activation: crate::Activation::Linear,
            bias: Biases {
                recurrent: false,
                readout: false,
                range: None,
            },
            initial_state: InitialState::Zero,
            ..CtrnnConfig::new(1, 1, 1)
        };
        let ones = |name: &str, value: f64| {
            let data = TensorData::new(vec![value], [1, 1]);
            (name.to_owned(), data)
        };
        let weights = [
            ones("input.weight", 1.0),
            ones("recurrent.weight", 1e37),
            ones("output.weight", 1.0),
        ];
        let network = config.init::<Grad>(3, &Default::default()).unwrap();
        let network = network.with_weights(&weights.into()).unwrap();
        let gradients = |inputs: &[f64], shape: [usize; 3], lengths: &[usize]| {
            let inputs = TensorData::new(inputs.to_vec(), shape);
            let forward = Forward {
                lengths: lengths.to_vec(),
                ..Forward::default()
            };
            let pass = network.forward(host_tensor(inputs, &Default::default()), &forward);
            let first = pass.outputs.narrow(0, 0, 1).narrow(1, 0, 2);
            let grads = first.sum().backward();
            let of = |weights: Tensor<Grad, 2>| values(&weights.grad(&grads).unwrap());
            [
                network.w_in_raw.val(),
                network.w_rc_raw.val(),
                network.w_out_raw.val(),
            ]
            .map(of)
        };
        let mut both = [0.0; 24];
        both[1] = 1.0;
        let alone = gradients(&both[..2], [1, 2, 1], &[]);
        assert_eq!(alone.concat(), [1.0, 0.0, 1.0]);
        assert_eq!(gradients(&both, [2, 12, 1], &[2, 12]), alone);
        let together = gradients(&both, [2, 12, 1], &[]);
        assert!(together.concat().iter().any(|x| x.is_nan()));
    }
}
