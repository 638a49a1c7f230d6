//! Protection of earlier stages, in the training loop.

use std::collections::HashMap;
use std::ops::Range;

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use ctrnn_model::{
    CtrnnModule, Forward, HostSweep, Noise, NoiseAddress, Parameter, TrainingBackend,
};
use ctrnn_random::{Key, Stream};
use ctrnn_tasks::BatchRequest;

use super::Trainer;
use crate::TrainError;
use crate::batch::Batch;
use crate::condition_states::condition_numbers;
use crate::continual::config::Continual;
use crate::continual::{Activity, Projector, Values, values_of};
use crate::gradients::Gradients;

/// Number of trials whose activity is measured together.
const TOGETHER: usize = 64;

/// Number of the first trial on which a stage is measured, for its noise: no training trial has one so high.
const FIRST_MEASURED: u32 = 1 << 24;

/// Parameters and gradients of the task before an update.
pub(super) struct BeforeUpdate<B: AutodiffBackend> {
    values: Values<B::InnerBackend>,
    gradients: Gradients<B::InnerBackend>,
}

impl<B: TrainingBackend> Trainer<'_, B> {
    /// Adds to the gradients of a batch those of what holds the parameters back; returns the state before the update, if it is needed after
    /// it.
    pub(super) fn held_back(
        &self,
        gradients: &mut Gradients<B::InnerBackend>,
        norm: &mut Tensor<B::InnerBackend, 1>,
    ) -> Option<BeforeUpdate<B>> {
        let strength = match &self.settings.train.continual {
            Continual::None(_) => return None,
            Continual::SynapticIntelligence(rule) => rule.strength,
            Continual::Ewc(rule) => rule.strength / 2.0,
            Continual::Projection(_) => 0.0,
        };
        let before = BeforeUpdate {
            values: values_of(&self.network),
            gradients: gradients.clone(),
        };
        if strength > 0.0 {
            let consolidated = self.optimizer.consolidated();
            consolidated.pull(strength, gradients, &before.values);
            *norm = gradients.global_norm();
        }
        Some(before)
    }

    /// Settles an update: projects it, or adds it to the path of the parameters.
    pub(super) fn settle_update(&mut self, before: Option<BeforeUpdate<B>>) {
        let Some(BeforeUpdate { values, gradients }) = before else {
            return;
        };
        match &self.settings.train.continual {
            Continual::SynapticIntelligence(_) => {
                let after = values_of(&self.network);
                let consolidated = self.optimizer.consolidated_mut();
                consolidated.follow(&gradients, &values, &after);
            }
            Continual::Projection(_) => {
                let Some(projector) = &self.projector else {
                    return; // the first stage
                };
                let proposed = values_of(&self.network);
                let settled = projector.settled(self.network.config(), &values, &proposed);
                self.network = with_values::<B>(self.network.clone(), settled);
            }
            _ => {}
        }
    }

    /// Computes the projections of the present stage from the activity in earlier ones.
    pub(super) fn begin_projections(&mut self) {
        let activity = self.optimizer.consolidated().activity.as_ref();
        self.projector = match (&self.settings.train.continual, activity) {
            (Continual::Projection(rule), Some(activity)) => {
                Some(Projector::new(activity, rule.alpha, &self.network.device()))
            }
            _ => None,
        };
    }

    /// Measures the network at the end of a stage, so that later ones are held back where it matters.
    ///
    /// # Errors
    /// If the task cannot make trials to measure it on.
    pub(super) fn consolidate(&mut self) -> Result<(), TrainError> {
        match self.settings.train.continual.clone() {
            Continual::None(_) => {}
            Continual::SynapticIntelligence(rule) => {
                let now = values_of(&self.network);
                let consolidated = self.optimizer.consolidated_mut();
                consolidated.consolidate_path(rule.damping, &now);
            }
            Continual::Ewc(rule) => {
                let squares = self.mean_squares(rule.trials)?;
                let now = values_of(&self.network);
                let consolidated = self.optimizer.consolidated_mut();
                consolidated.consolidate_squares(squares, &now);
            }
            Continual::Projection(rule) => {
                let found = self.activity(rule.trials)?;
                match &mut self.optimizer.consolidated_mut().activity {
                    Some(activity) => activity.add(&found),
                    none => *none = Some(found),
                }
            }
        }
        Ok(())
    }

    /// Returns the mean squares of the gradients of the loss of single trials.
    fn mean_squares(&mut self, trials: usize) -> Result<Values<B::InnerBackend>, TrainError> {
        let mut sums = Values::<B::InnerBackend>::new();
        for number in 0..trials {
            let (batch, pass) = self.measured_pass(number..number + 1)?;
            let trajectory = self.network.forward(batch.inputs.clone(), &pass);
            let loss = self
                .minimised
                .of(&self.network, &pass, &trajectory, &batch)?;
            for (parameter, gradient) in loss.gradients(&self.network).0 {
                let square = gradient.square() * (1.0 / trials as f64);
                let sum = match sums.remove(&parameter) {
                    Some(sum) => sum + square,
                    None => square,
                };
                sums.insert(parameter, sum);
            }
        }
        Ok(sums)
    }

    /// Returns the activity in some trials.
    fn activity(&self, trials: usize) -> Result<Activity, TrainError> {
        let batch = |from: usize| {
            let (batch, pass) = self.measured_pass(from..trials.min(from + TOGETHER))?;
            let sweep = HostSweep::new(&self.network, batch.inputs.clone(), &pass);
            Ok((sweep, batch.n_steps))
        };
        let starts = (0..trials).step_by(TOGETHER);
        let batches = starts.map(batch).collect::<Result<Vec<_>, TrainError>>()?;
        let weights = self.network.weights();
        Ok(Activity::of(self.network.config(), &weights, &batches))
    }

    /// Returns trials on which a stage is measured at its end, and the settings of a pass over them: trials as in training, at addresses of
    /// their own.
    fn measured_pass(&self, numbers: Range<usize>) -> Result<(Batch<B>, Forward<B>), TrainError> {
        let trials = self.task.sample_batch(&BatchRequest {
            key: Key::new(self.settings.seed, Stream::LearningRule, 1),
            first_trial: numbers.start,
            n_trials: numbers.len(),
            ..self.request(self.counters.step)
        })?;
        let address = NoiseAddress {
            seed: self.settings.seed,
            step: self.counters.step as u32,
            first_trial: FIRST_MEASURED + numbers.start as u32,
            ..NoiseAddress::default()
        };
        let pass = Forward {
            noise: Noise::Drawn(address),
            record: self.minimised.record(),
            conditions: condition_numbers(&self.network, self.task, &trials)?,
            ..Forward::default()
        };
        Ok((Batch::new(&trials, &self.network.device()), pass))
    }
}

/// Replaces values of parameters of a network.
pub(super) fn with_values<B: TrainingBackend>(
    network: CtrnnModule<B>,
    values: Values<B::InnerBackend>,
) -> CtrnnModule<B> {
    struct Replace<B: AutodiffBackend> {
        parameters: HashMap<ParamId, Parameter>,
        values: Values<B::InnerBackend>,
    }
    impl<B: AutodiffBackend> ModuleMapper<B> for Replace<B> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
            let parameter = self.parameters.get(&param.id);
            match parameter.and_then(|p| self.values.remove(p)) {
                None => param,
                Some(value) => param.map(|tensor| {
                    let value = value.reshape(tensor.dims());
                    Tensor::from_inner(value).require_grad()
                }),
            }
        }
    }
    let parameters = network.config().parameters_by_id();
    network.map(&mut Replace { parameters, values })
}
