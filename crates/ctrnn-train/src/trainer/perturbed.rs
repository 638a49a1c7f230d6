//! Passes of training under interventions.

use std::borrow::Cow;

use burn::tensor::{Int, Tensor};
use ctrnn_model::{CtrnnModule, Forward, TrainingBackend, Trajectory};
use ctrnn_tasks::TrialBatch;

use super::Trainer;
use crate::TrainError;
use crate::interventions::Interventions;
use crate::perturbation::{Perturbation, forward_perturbed};

impl<B: TrainingBackend> Trainer<'_, B> {
    /// Draws the interventions of the next step.
    pub(super) fn draw_interventions(&self, trials: &TrialBatch) -> Interventions {
        Interventions::drawn(
            &self.settings.perturbations,
            self.settings.train.dropout,
            self.network.config(),
            (self.settings.seed, self.counters.step),
            trials,
        )
    }

    /// Returns the network with the noise of the next step.
    pub(super) fn present_network(&self) -> Cow<'_, CtrnnModule<B>> {
        match &self.settings.train.noise_schedule {
            None => Cow::Borrowed(&self.network),
            Some(schedule) => {
                let factor = schedule.factor(self.position(), self.settings.train.steps);
                Cow::Owned(self.network.with_noise_times(factor))
            }
        }
    }

    /// Runs the trials from `first` on, each with its perturbation.
    pub(super) fn run_trials(
        &self,
        network: &CtrnnModule<B>,
        first: usize,
        inputs: Tensor<B, 3>,
        forward: &Forward<B>,
    ) -> Result<Trajectory<B>, TrainError> {
        let [n_trials, n_steps, _] = inputs.dims();
        let within = |trials: &[usize]| -> Vec<usize> {
            let some = trials
                .iter()
                .filter(|b| (first..first + n_trials).contains(*b));
            some.map(|b| b - first).collect()
        };
        let groups = self.interventions.groups.iter();
        let groups = groups.map(|(own, trials)| (own, within(trials)));
        let groups: Vec<_> = groups.filter(|(_, trials)| !trials.is_empty()).collect();
        let run = |own: &Perturbation, trials: &[usize], inputs, forward: &Forward<B>| {
            let timelines = trials
                .iter()
                .map(|b| self.interventions.timelines[first + b].clone());
            let timelines: Vec<_> = timelines.collect();
            if own.is_none() {
                return Ok(network.forward(inputs, forward));
            }
            forward_perturbed(network, own, &timelines, inputs, forward)
        };
        match groups.as_slice() {
            [] => Ok(network.forward(inputs, forward)),
            [(own, trials)] => Ok(run(own, trials, inputs, forward)?),
            groups => {
                let drawn = forward.drawn_for(network, [n_trials, n_steps]);
                let mut parts = Vec::new();
                for (own, trials) in groups {
                    let rows: Vec<i64> = trials.iter().map(|&b| b as i64).collect();
                    let rows: Tensor<B, 1, Int> =
                        Tensor::from_ints(rows.as_slice(), &inputs.device());
                    let inputs = inputs.clone().select(0, rows);
                    parts.push(run(own, trials, inputs, &drawn.of_rows(trials))?);
                }
                let order: Vec<usize> = groups.iter().flat_map(|(_, b)| b.clone()).collect();
                Ok(Trajectory::of_groups(&parts, &order))
            }
        }
    }
}
