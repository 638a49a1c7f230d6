//! Gradients of a batch in parts: some of the trials (gradient accumulation), in windows of time (truncated backpropagation).
//!
//! The gradient of a part is taken before the next part runs, so that the states of one part at a time are in memory. The state at
//! which a window of time begins is that of the untruncated trial, held constant; the noise is addressed by the time step, so that it
//! is that of the untruncated trial, too.

use std::collections::VecDeque;
use std::ops::Range;

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use ctrnn_model::{
    CtrnnModule, Forward, TrainingBackend, Trajectory, UnitState, cat_rows, host_tensor,
};

use super::Trainer;
use super::terms::Differentiated;
use crate::TrainError;
use crate::batch::Batch;
use crate::gradients::Gradients;
use crate::objective::{Chosen, Evaluated};
use crate::settings::TrainConfig;

/// State of each layer, from the inputs up.
type States<B> = Vec<UnitState<Tensor<B, 2>>>;

/// A window of time steps of a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// Time steps that are run, through which gradients are carried back.
    pub run: Range<usize>,
    /// Time steps whose outputs and rates the objective sees: the last ones.
    pub seen: Range<usize>,
}

/// Returns the windows of a trial: the objective sees `stride` time steps after another, and their gradients are carried back from the
/// last of them through `window` time steps, a multiple of `stride`.
pub(super) fn windows(
    n_steps: usize,
    window: usize,
    stride: usize,
) -> impl Iterator<Item = Window> {
    (0..n_steps.div_ceil(stride)).map(move |k| {
        let end = (k + 1) * stride;
        Window {
            run: end.saturating_sub(window)..end.min(n_steps),
            seen: k * stride..end.min(n_steps),
        }
    })
}

impl TrainConfig {
    /// Returns the window and the stride of truncated backpropagation through trials of `n_steps` time steps.
    fn truncation(&self, n_steps: usize) -> [usize; 2] {
        match self.truncate_steps {
            Some(window) => [window, self.truncate_stride.unwrap_or(window)],
            None => [n_steps, n_steps],
        }
    }
}

/// Sums over the parts of a batch so far.
struct Sums<B: TrainingBackend> {
    value: Evaluated<B>,
    gradients: Gradients<B::InnerBackend>,
}

/// Outputs and final states of some of the trials.
struct Ended<B: TrainingBackend> {
    outputs: Tensor<B::InnerBackend, 3>,
    states: States<B::InnerBackend>,
}

impl<B: TrainingBackend> Trainer<'_, B> {
    /// Returns true if the gradient of a batch is computed in parts.
    pub(super) const fn is_in_parts(&self) -> bool {
        let train = &self.settings.train;
        train.truncate_steps.is_some() || train.accumulate > 1
    }

    /// Computes some terms of the objective of a batch and their gradient part by part.
    ///
    /// # Errors
    /// If a term of the objective cannot be computed in parts, or a trial with delays would be cut.
    pub(super) fn terms_in_parts(
        &self,
        network: &CtrnnModule<B>,
        batch: &Batch<B>,
        pass: &Forward<B>,
        chosen: &Chosen,
    ) -> Result<Differentiated<B>, TrainError> {
        self.check_parts()?;
        let mut sums = None;
        let ended: Vec<Ended<B>> = self
            .courses(batch, pass)
            .into_iter()
            .map(|course| self.course(network, batch, pass, course, chosen, &mut sums))
            .collect::<Result<_, _>>()?;
        let Sums { value, gradients } = sums.expect("a batch has a time step");
        Ok(Differentiated {
            trajectory: joined(ended),
            value,
            gradients,
        })
    }

    /// Returns the trials that run together, each group with its number of time steps.
    fn courses(&self, batch: &Batch<B>, pass: &Forward<B>) -> Vec<(Range<usize>, usize)> {
        let [n_trials, n_steps, _] = batch.inputs.dims();
        let together = self.settings.train.batch_size;
        let lengths = match pass.lengths.as_slice() {
            [] => vec![n_steps; n_trials],
            lengths => lengths.to_vec(),
        };
        let mut first = 0;
        let of_equal_lengths = lengths
            .chunks(together)
            .flat_map(|batch| batch.chunk_by(|a, b| a == b));
        of_equal_lengths
            .map(|equal| {
                let trials = first..first + equal.len();
                first = trials.end;
                (trials, equal[0])
            })
            .collect()
    }

    /// Runs some of the trials through `n_steps` time steps, window by window, and adds value and gradients of the chosen terms in each
    /// to the sums.
    fn course(
        &self,
        network: &CtrnnModule<B>,
        batch: &Batch<B>,
        pass: &Forward<B>,
        (trials, n_steps): (Range<usize>, usize),
        chosen: &Chosen,
        sums: &mut Option<Sums<B>>,
    ) -> Result<Ended<B>, TrainError> {
        let [window, stride] = self.settings.train.truncation(n_steps);
        let mut outputs = Vec::new();
        let mut ends: VecDeque<States<B::InnerBackend>> = VecDeque::new(); // states after the last windows, oldest first
        for Window { run, seen } in windows(n_steps, window, stride) {
            let mut forward = pass.part(trials.clone(), run.clone());
            if run.start > 0 {
                let start = ends.pop_front().expect("a window ended here");
                let constant = start.into_iter();
                let constant = constant.map(|state| state.map(Tensor::<B, 2>::from_inner));
                forward = forward.starting_from(constant.collect());
            }
            let inputs = batch.part(trials.clone(), run.clone()).inputs;
            let trajectory = self.run_trials(network, trials.start, inputs, &forward)?;
            let states = trajectory.layers().map(|layer| layer.final_state.clone());
            ends.push_back(states.map(|state| state.map(Tensor::inner)).collect());
            let part = batch.part(trials.clone(), seen.clone());
            let trajectory = last_steps(trajectory, seen.start - run.start, seen.len());
            outputs.push(trajectory.outputs.clone().inner());
            let is_first = sums.is_none();
            let minimised = &self.minimised;
            let value = minimised.of_part(network, trajectory, &part, is_first, chosen);
            let gradients = value.gradients(network);
            *sums = Some(match sums.take() {
                None => Sums { value, gradients },
                Some(sums) => Sums {
                    value: sums.value.plus(value),
                    gradients: sums.gradients.plus(gradients),
                },
            });
        }
        Ok(Ended {
            outputs: padded(outputs, batch.inputs.dims()[1] - n_steps),
            states: ends.pop_back().expect("a trial has a time step"),
        })
    }

    /// Refuses what cannot be computed in parts; a configuration is checked when it is read.
    fn check_parts(&self) -> Result<(), TrainError> {
        let custom = self.minimised.custom.iter().map(|(name, _)| name.clone());
        let mut terms = self.minimised.objective.indivisible();
        terms.extend(custom);
        let is_cut = self.settings.train.truncate_steps.is_some();
        let mut layers = self.network.config().layers();
        if is_cut && layers.any(|layer| layer.longest_delay_ms().is_some()) {
            terms.push("delays of recurrent connections".to_owned());
        }
        if is_cut && !self.settings.perturbations.is_empty() {
            terms.push("perturbations".to_owned());
        }
        match terms.as_slice() {
            [] => Ok(()),
            terms => Err(TrainError::Indivisible(terms.join(", "))),
        }
    }
}

/// Returns the outputs and rates of the last time steps, after the first `skipped` ones.
fn last_steps<B: TrainingBackend>(
    trajectory: Trajectory<B>,
    skipped: usize,
    n_steps: usize,
) -> Trajectory<B> {
    if skipped == 0 {
        return trajectory;
    }
    let last = |all: Tensor<B, 3>| all.narrow(1, skipped, n_steps);
    let below = trajectory.below.into_iter();
    Trajectory {
        outputs: match trajectory.outputs.dims() {
            [_, _, 0] => trajectory.outputs, // a layer below the last one has no outputs
            _ => last(trajectory.outputs),
        },
        rates: trajectory.rates.map(last),
        below: below
            .map(|layer| last_steps(layer, skipped, n_steps))
            .collect(),
        ..trajectory
    }
}

/// Joins the outputs of successive windows, and pads them with zeros.
fn padded<B: Backend>(mut windows: Vec<Tensor<B, 3>>, padding: usize) -> Tensor<B, 3> {
    if padding > 0 {
        let [trials, _, width] = windows[0].dims();
        let zeros = vec![0.0f32; trials * padding * width];
        let zeros = TensorData::new(zeros, [trials, padding, width]);
        windows.push(host_tensor(zeros, &windows[0].device()));
    }
    Tensor::cat(windows, 1)
}

/// Returns the trajectory of all trials: their outputs and final states, without history.
fn joined<B: TrainingBackend>(ended: Vec<Ended<B>>) -> Trajectory<B> {
    let outputs = ended.iter().map(|part| part.outputs.clone()).collect();
    let outputs: Tensor<B, 3> = Tensor::from_inner(Tensor::cat(outputs, 0));
    let n_layers = ended[0].states.len();
    let of_layer = |number: usize| {
        let states = cat_rows(ended.iter().map(|part| part.states[number].clone()));
        Trajectory {
            outputs: outputs.clone(),
            rates: None,
            potentials: None,
            utilisation: None,
            resources: None,
            rate_sums: None,
            final_state: states.map(Tensor::from_inner),
            below: Vec::new(),
        }
    };
    let mut layers: Vec<_> = (0..n_layers).map(of_layer).collect();
    let last = layers.pop().expect("a network has a layer");
    Trajectory {
        below: layers,
        ..last
    }
}
