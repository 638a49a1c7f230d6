//! Monitors in the training loop: the weights from which they measure the drift.

use ctrnn_model::{CtrnnModule, TrainingBackend, Weights};

use super::Trainer;
use crate::TrainError;
use crate::monitors::{Drift, Monitored, drifting};

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
        self.note_validated();
        Ok(Some(found))
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
