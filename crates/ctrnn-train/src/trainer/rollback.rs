//! Guards against numbers that are not finite, and the way back to the last good state.
//!
//! The last good state is the one after the last multiple of `checkpoint.every_steps`, or the first one, once its
//! weights were found finite. It is a function of the step alone, so that a run that was stopped and resumed goes back
//! to the same place as one that was not: a checkpoint of another step holds the good state beside its own.
//! Keeping it costs the memory of weights and moments once more; tensors are shared until a step replaces them.

use burn::tensor::Tensor;
use burn::tensor::TensorData;
use burn::tensor::backend::{AutodiffBackend, Backend};
use ctrnn_model::{CtrnnModule, RecurrenceBackend};

use super::Trainer;
use crate::TrainError;
use crate::batch::Batch;
use crate::divergence::{Culprit, NotFinite, Rollback};
use crate::observer::{Counters, Observer, SavedState};
use crate::optimizer::OptimizerState;

/// State of a run to which training goes back when a number stops being finite.
#[derive(Clone, Debug)]
pub struct LastGoodState<B: AutodiffBackend> {
    /// The network.
    pub network: CtrnnModule<B>,
    /// The state of the optimizer.
    pub optimizer: OptimizerState<B::InnerBackend>,
    /// Steps, trials and the like.
    pub counters: Counters,
}

impl<B: AutodiffBackend> LastGoodState<B> {
    /// Its values on the host.
    pub(super) fn saved(&self) -> SavedState {
        SavedState {
            counters: self.counters.clone(),
            weights: self.network.weights(),
            optimizer: self.optimizer.state(),
        }
    }
}

impl<B> Trainer<'_, B>
where
    B: AutodiffBackend + RecurrenceBackend,
    B::InnerBackend: RecurrenceBackend,
{
    /// Returns the trainer with the last good state that a checkpoint held besides its own.
    #[must_use]
    pub fn with_good(mut self, good: LastGoodState<B>) -> Self {
        self.good = self.may_ever_roll_back().then_some(good);
        self
    }

    /// Keeps the state as it is now, where it is one to go back to.
    pub(super) fn keep_good(&mut self) {
        let every = self.settings.checkpoint.every_steps;
        if every > 0 && self.counters.step.is_multiple_of(every) {
            self.good = self.may_ever_roll_back().then(|| self.now());
        }
    }

    pub(super) fn now(&self) -> LastGoodState<B> {
        LastGoodState {
            network: self.network.clone(),
            optimizer: self.optimizer.clone(),
            counters: self.counters.clone(),
        }
    }

    fn may_ever_roll_back(&self) -> bool {
        self.settings.train.divergence.max_rollbacks > 0
    }

    /// The good state, where it is not the present one: that of the step itself needs no second copy.
    pub(super) fn good_elsewhere(&self) -> Option<SavedState> {
        let good = self.good.as_ref()?;
        (good.counters.step != self.counters.step).then(|| good.saved())
    }

    /// Goes back to the last good state, with a smaller learning rate. The batches that follow are the same ones
    /// again: their address is the step.
    ///
    /// # Errors
    /// What was found, if it came from the task, if the good state itself is not finite, or if `max_rollbacks` are
    /// used up; an observer that fails, since steps that were abandoned must not stay in any file.
    pub(super) fn roll_back(
        &mut self,
        found: NotFinite,
        observers: &mut [&mut dyn Observer],
    ) -> Result<(), TrainError> {
        let is_hopeless = found.what.is_data() || found.is_in_good_state();
        let settings = &self.settings.train.divergence;
        let Some(good) = self.good.as_mut() else {
            return Err(found.into());
        };
        if is_hopeless || self.counters.rollbacks.count >= settings.max_rollbacks {
            return Err(found.into());
        }
        good.counters.rollbacks = self.counters.rollbacks.next(settings.lr_factor);
        good.counters.wall_s = self.counters.wall_s;
        let good = good.clone();
        (self.network, self.optimizer, self.counters) =
            (good.network, good.optimizer, good.counters);
        let rollback = Rollback {
            found,
            to_step: self.counters.step,
            count: self.counters.rollbacks.count,
            lr: self.rate(),
        };
        let snapshot = self.snapshot(false);
        observers
            .iter_mut()
            .try_for_each(|observer| observer.rolled_back(&rollback, &snapshot))
    }

    /// The learning rate of the next update: that of the schedule, less what rollbacks took from it.
    pub(super) fn rate(&self) -> f64 {
        let train = &self.settings.train;
        let factor = train.schedule.factor(self.counters.step, train.steps);
        let plateaus = train.schedule.plateau_factor(self.counters.plateaus);
        train.optimizer.lr() * factor * plateaus * self.counters.rollbacks.lr_scale
    }

    /// What to say about a number that is not finite, found at `step`.
    pub(super) fn not_finite(&self, step: u64, what: Culprit) -> NotFinite {
        NotFinite {
            step,
            what,
            norm_before: self.counters.grad_norm,
            lr: self.rate(),
            rollbacks: self.counters.rollbacks.count,
            good_step: self.good.as_ref().map(|good| good.counters.step),
        }
    }

    /// The first tensor behind a loss that is not finite.
    pub(super) fn culprit_of_loss(&self, batch: &Batch<B>, outputs: &Tensor<B, 3>) -> Culprit {
        if !tensor_is_finite(&batch.inputs) {
            Culprit::Inputs
        } else if !tensor_is_finite(&batch.targets) {
            Culprit::Targets
        } else if !tensor_is_finite(&batch.mask) {
            Culprit::Mask
        } else if let Some(weights) = self.weights_not_finite() {
            weights
        } else if !tensor_is_finite(outputs) {
            Culprit::Outputs
        } else {
            Culprit::Loss
        }
    }

    /// Refuses weights that are not finite, before they are validated, kept or written.
    pub(super) fn check_weights(&self) -> Result<(), TrainError> {
        match self.weights_not_finite() {
            None => Ok(()),
            Some(what) => Err(self.not_finite(self.counters.step, what).into()),
        }
    }

    fn weights_not_finite(&self) -> Option<Culprit> {
        let mut weights = self.network.weights().into_iter();
        let found = weights.find(|(_, data)| !is_finite(data));
        found.map(|(name, _)| Culprit::Weights(name))
    }
}

fn tensor_is_finite<B: Backend, const D: usize>(tensor: &Tensor<B, D>) -> bool {
    is_finite(&tensor.to_data())
}

fn is_finite(data: &TensorData) -> bool {
    match data.as_slice::<f32>() {
        Ok(values) => values.iter().all(|x| x.is_finite()),
        Err(_) => data.iter::<f64>().all(f64::is_finite),
    }
}
