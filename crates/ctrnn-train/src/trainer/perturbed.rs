//! Passes of training under interventions and teacher forcing.

use std::borrow::Cow;

use burn::tensor::{Int, Tensor};
use ctrnn_model::{CtrnnModule, Forward, TrainingBackend, Trajectory};
use ctrnn_tasks::TrialBatch;

use super::Trainer;
use crate::TrainError;
use crate::interventions::Interventions;
use crate::perturbation::{Perturbation, forward_perturbed};
use crate::teacher_forcing::ForcedTrials;

impl<B: TrainingBackend> Trainer<'_, B> {
    /// Draws the interventions of the next step.
    pub(super) fn draw_interventions(&self, trials: &TrialBatch) -> Interventions {
        let train = &self.settings.train;
        let forced = train.teacher_forcing.as_ref().and_then(|forcing| {
            let strength = forcing.strength_at(self.position(), train.steps);
            ForcedTrials::of(trials, strength, self.minimised.objective.fitted_rates()?)
        });
        let drawn = Interventions::drawn(
            &self.settings.perturbations,
            train.dropout,
            self.network.config(),
            (self.settings.seed, self.counters.step),
            trials,
        );
        Interventions { forced, ..drawn }
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

    /// Runs the trials from `first` on, each with its perturbation or its teacher forcing.
    pub(super) fn run_trials(
        &self,
        network: &CtrnnModule<B>,
        first: usize,
        inputs: Tensor<B, 3>,
        forward: &Forward<B>,
    ) -> Result<Trajectory<B>, TrainError> {
        if let Some(forced) = &self.interventions.forced {
            let groups = within(&forced.groups, first, inputs.dims()[0]);
            return by_groups(
                network,
                &groups,
                inputs,
                forward,
                |columns, trials, inputs, forward| {
                    if columns.is_empty() {
                        return Ok(network.forward(inputs, forward));
                    }
                    let trials = trials.iter().map(|b| first + b);
                    let forcing = forced.forcing(columns, trials, &network.device());
                    Ok(network.forward_forced(inputs, &forcing, forward))
                },
            );
        }
        let groups = within(&self.interventions.groups, first, inputs.dims()[0]);
        by_groups(
            network,
            &groups,
            inputs,
            forward,
            |own: &Perturbation, trials, inputs, forward| {
                if own.is_none() {
                    return Ok(network.forward(inputs, forward));
                }
                let timelines = trials.iter();
                let timelines = timelines.map(|b| self.interventions.timelines[first + b].clone());
                let timelines: Vec<_> = timelines.collect();
                Ok(forward_perturbed(
                    network, own, &timelines, inputs, forward,
                )?)
            },
        )
    }
}

/// Returns the trials of each group among `n_trials` from `first` on, counted from there; a group without any is left out.
fn within<G>(groups: &[(G, Vec<usize>)], first: usize, n_trials: usize) -> Vec<(&G, Vec<usize>)> {
    let here = |trials: &Vec<usize>| -> Vec<usize> {
        let some = trials
            .iter()
            .filter(|b| (first..first + n_trials).contains(*b));
        some.map(|b| b - first).collect()
    };
    let groups = groups.iter().map(|(own, trials)| (own, here(trials)));
    groups.filter(|(_, trials)| !trials.is_empty()).collect()
}

/// Runs groups of trials, each by a function of what its trials have in common, with the noise that they have together; the network as
/// it is without groups.
fn by_groups<B: TrainingBackend, G>(
    network: &CtrnnModule<B>,
    groups: &[(&G, Vec<usize>)],
    inputs: Tensor<B, 3>,
    forward: &Forward<B>,
    run: impl Fn(&G, &[usize], Tensor<B, 3>, &Forward<B>) -> Result<Trajectory<B>, TrainError>,
) -> Result<Trajectory<B>, TrainError> {
    let [n_trials, n_steps, _] = inputs.dims();
    match groups {
        [] => Ok(network.forward(inputs, forward)),
        [(own, trials)] => run(own, trials, inputs, forward),
        groups => {
            let drawn = forward.drawn_for(network, [n_trials, n_steps]);
            let mut parts = Vec::new();
            for (own, trials) in groups {
                let rows: Vec<i64> = trials.iter().map(|&b| b as i64).collect();
                let rows: Tensor<B, 1, Int> = Tensor::from_ints(rows.as_slice(), &inputs.device());
                let inputs = inputs.clone().select(0, rows);
                parts.push(run(own, trials, inputs, &drawn.of_rows(trials))?);
            }
            let order: Vec<usize> = groups.iter().flat_map(|(_, b)| b.clone()).collect();
            Ok(Trajectory::of_groups(&parts, &order))
        }
    }
}
