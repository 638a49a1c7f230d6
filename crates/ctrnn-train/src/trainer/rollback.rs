//! Checks for numbers that are not finite, and the rollback to the last good state.
//!
//! The last good state is the one after the last multiple of `checkpoint.every_steps`, or the first one, once its
//! weights were found finite. It depends on the step alone, so that a run that was stopped and resumed goes back to the
//! same place as an uninterrupted one; therefore a checkpoint of another step holds the good state in addition to its
//! own. Keeping it costs the memory of weights and moments once more; tensors are shared until a step replaces them.

use burn::tensor::Tensor;
use burn::tensor::TensorData;
use burn::tensor::backend::{AutodiffBackend, Backend};
use ctrnn_model::{CtrnnModule, TrainingBackend};

use super::Trainer;
use crate::TrainError;
use crate::batch::Batch;
use crate::condition_states::first_nonfinite;
use crate::divergence::{Culprit, NotFinite, Rollback};
use crate::observer::{Counters, Observer, SavedState};
use crate::optimizer::OptimizerState;

/// State of a run to which training goes back when a number is not finite.
#[derive(Clone, Debug)]
pub struct LastGoodState<B: AutodiffBackend> {
    /// The network.
    pub network: CtrnnModule<B>,
    /// State of the optimizer.
    pub optimizer: OptimizerState<B::InnerBackend>,
    /// Progress of the run: steps, trials and so on.
    pub counters: Counters,
}

impl<B: AutodiffBackend> LastGoodState<B> {
    /// Copies the state to the host.
    pub(super) fn saved(&self) -> SavedState {
        SavedState {
            counters: self.counters.clone(),
            weights: self.network.weights(),
            optimizer: self.optimizer.state(),
        }
    }
}

impl<B: TrainingBackend> Trainer<'_, B> {
    /// Sets the last good state, as read from a checkpoint.
    #[must_use]
    pub fn with_good(mut self, good: LastGoodState<B>) -> Self {
        self.good = self.may_ever_roll_back().then_some(good);
        self
    }

    /// Keeps the present state as the last good one, if its step is a multiple of `checkpoint.every_steps`.
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

    pub(super) fn may_ever_roll_back(&self) -> bool {
        let train = &self.settings.train;
        // Least squares have no learning rate that could be made smaller.
        train.divergence.max_rollbacks > 0 && !train.rule.is_least_squares()
    }

    /// Returns the last good state unless it is the present one, of which a checkpoint needs no second copy.
    pub(super) fn good_elsewhere(&self) -> Option<SavedState> {
        let good = self.good.as_ref()?;
        (good.counters.step != self.counters.step).then(|| good.saved())
    }

    /// Goes back to the last good state, with a smaller learning rate. The batches that follow are the same ones again,
    /// since the step is their address.
    ///
    /// If trials were padded and not every step was checked, overflow in the padding may have been the only fault. In
    /// that case the learning rate stays unchanged, and every step from there on is checked, so that such trials can be
    /// run again for their own lengths.
    ///
    /// # Errors
    /// Returns the error `found` if it came from the task, if the good state itself is not finite, or if
    /// `max_rollbacks` are used up. Also fails if an observer fails, since steps that were abandoned must not remain in
    /// any file.
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
        let may_be_padding = self.has_padding && self.settings.check_every != 1;
        let is_last = self.counters.rollbacks.count >= settings.max_rollbacks;
        if is_hopeless || (is_last && !may_be_padding) {
            return Err(found.into());
        }
        if may_be_padding {
            self.settings.check_every = 1;
        } else {
            good.counters.rollbacks = self.counters.rollbacks.next(settings.lr_factor);
        }
        good.counters.wall_s = self.counters.wall_s;
        let good = good.clone();
        self.return_to(good);
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

    /// Continues from a state; the validations after it are void.
    fn return_to(&mut self, good: LastGoodState<B>) {
        (self.network, self.optimizer, self.counters) =
            (good.network, good.optimizer, good.counters);
        self.located = None;
        self.note_validated();
    }

    /// Returns the learning rate of the next update: the scheduled rate, scaled down by plateaus and rollbacks.
    pub(super) fn rate(&self) -> f64 {
        let train = &self.settings.train;
        let factor = train.schedule.factor(self.position(), train.steps);
        let plateaus = train.schedule.plateau_factor(self.counters.plateaus);
        train.optimizer.lr() * factor * plateaus * self.counters.rollbacks.lr_scale
    }

    /// Describes a number that is not finite, found at `step`.
    pub(super) fn not_finite(&self, step: u64, what: Culprit) -> NotFinite {
        NotFinite {
            step,
            what,
            norm_before: self.counters.grad_norm,
            lr: self.rate(),
            rollbacks: self.counters.rollbacks.count,
            good_step: self.good.as_ref().map(|good| good.counters.step),
            largest: None,
        }
    }

    /// Describes a number that is not finite, with the largest input and target of the batch in which it was found.
    pub(super) fn not_finite_in(&self, batch: &Batch<B>, step: u64, what: Culprit) -> NotFinite {
        let largest = [&batch.inputs, &batch.targets].map(|tensor| {
            let data = tensor.to_data();
            data.iter::<f64>()
                .fold(0.0, |most: f64, x| most.max(x.abs()))
        });
        NotFinite {
            largest: Some(largest),
            ..self.not_finite(step, what)
        }
    }

    /// Finds the first tensor that makes a loss not finite.
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

    /// Refuses weights that are not finite; to be called before they are validated, kept or written.
    pub(super) fn check_weights(&self) -> Result<(), TrainError> {
        match self.weights_not_finite() {
            None => Ok(()),
            Some(what) => Err(self.not_finite(self.counters.step, what).into()),
        }
    }

    fn weights_not_finite(&self) -> Option<Culprit> {
        let found = first_nonfinite(&self.network.weights()).map(str::to_owned);
        found.map(Culprit::Weights)
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
