//! Monitors in the training loop: the weights from which they measure the drift, and the gradients of single terms of the loss.

use burn::tensor::ElementConversion;
use ctrnn_model::{CtrnnModule, Forward, TrainingBackend, Weights};

use super::Trainer;
use crate::TrainError;
use crate::gradients::Gradients;
use crate::monitors::{Drift, Monitored, drifting, monitored_pass};

/// Gradients of the terms of a loss, by name.
type TermGradients<B> = Vec<(String, Gradients<B>)>;

impl<B: TrainingBackend> Trainer<'_, B> {
    /// Sets the weights from which the monitors measure the drift: those with which the run began, and those of its last validation,
    /// if they are not the present ones.
    #[must_use]
    pub fn with_drift_from(mut self, initial: &Weights, validated: Option<&Weights>) -> Self {
        let last = validated.cloned();
        self.drift = Some(Drift {
            initial: drifting(initial.clone()),
            last: drifting(last.unwrap_or_else(|| self.network.weights())),
            last_step: validated.map_or(Some(self.counters.step), |_| None),
        });
        self
    }

    /// Measures the drift from the present weights on, if there are monitors and none is measured yet.
    pub(super) fn begin_drift(&mut self) {
        if self.drift.is_none() && self.settings.validate.monitors {
            let weights = drifting(self.network.weights());
            self.drift = Some(Drift {
                initial: weights.clone(),
                last: weights,
                last_step: Some(self.counters.step),
            });
        }
    }

    /// Measures the network, whose form without gradients is given, if there are monitors.
    pub(super) fn monitor(
        &mut self,
        network: &CtrnnModule<B::InnerBackend>,
    ) -> Result<Option<Monitored>, TrainError> {
        let drift = self.drift.as_ref();
        let Some(drift) = drift.filter(|_| self.settings.validate.monitors) else {
            return Ok(None);
        };
        let main = &self.validation[0];
        let found = Monitored::of(network, main, self.settings.seed, drift)?;
        let norms = self.term_gradients()?.into_iter().map(|(term, gradients)| {
            let norm = gradients.global_norm().into_scalar().elem();
            (term, norm)
        });
        let grad_norms = norms.collect();
        self.note_validated();
        Ok(Some(Monitored {
            grad_norms,
            ..found
        }))
    }

    /// Computes the gradient of each term of the loss on the monitored trials, as training does; none if the loss is the only term, or
    /// trials are cut in training, since whole ones may not fit into memory.
    ///
    /// # Errors
    /// If a term cannot be computed.
    pub(super) fn term_gradients(&self) -> Result<TermGradients<B::InnerBackend>, TrainError> {
        let names = self.term_names();
        if self.settings.train.truncate_steps.is_some() {
            return Ok(Vec::new());
        }
        let (minimised, network) = (&self.minimised, &self.network);
        let (batch, pass) = monitored_pass(network, &self.validation[0], self.settings.seed)?;
        let mut trajectory = None;
        let gradients = |(number, name): (usize, String)| {
            let chosen = minimised.only(number);
            let record = minimised.record_of(&chosen);
            let pass = Forward {
                record,
                ..pass.clone()
            };
            let pass = minimised.fused(network, pass, &chosen);
            // A backward pass uses up what the forward pass has recorded, so each term that depends on one has its own.
            if minimised.needs_pass(&chosen) {
                trajectory = Some(network.forward(batch.inputs.clone(), &pass));
            }
            let trajectory = trajectory
                .as_ref()
                .expect("the loss, which is the first term, has one");
            let value = minimised.of_chosen(network, &pass, trajectory, &batch, &chosen)?;
            Ok((name, value.gradients(network)))
        };
        names.into_iter().enumerate().map(gradients).collect()
    }

    /// Takes the present weights as those of the last validation.
    pub(super) fn note_validated(&mut self) {
        if let Some(drift) = &mut self.drift {
            drift.last = drifting(self.network.weights());
            drift.last_step = Some(self.counters.step);
        }
    }

    /// Returns the weights of the last validation unless they are the present ones, of which a checkpoint needs no second copy.
    pub(super) fn validated_elsewhere(&self) -> Option<Weights> {
        let drift = self.drift.as_ref()?;
        (drift.last_step != Some(self.counters.step)).then(|| drift.last.clone())
    }
}
