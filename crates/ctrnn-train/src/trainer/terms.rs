//! Gradients of the objective of a batch, and of some of its terms: penalties that yield to the task have a gradient of their own.

use burn::tensor::backend::AutodiffBackend;
use ctrnn_model::{CtrnnModule, Forward, TrainingBackend, Trajectory};

use super::{Computed, Trainer};
use crate::TrainError;
use crate::batch::Batch;
use crate::gradients::Gradients;
use crate::objective::{Chosen, Evaluated};

/// Terms of the objective of a batch, with their gradient and the pass from which they were computed.
pub(super) struct Differentiated<B: AutodiffBackend> {
    pub trajectory: Trajectory<B>,
    pub value: Evaluated<B>,
    pub gradients: Gradients<B::InnerBackend>,
}

impl<B: TrainingBackend> Trainer<'_, B> {
    /// Computes the gradient along which the network is trained from a batch whose pass is given.
    ///
    /// # Errors
    /// If a term cannot be computed, or not in parts of a batch, or a number is not finite.
    pub(super) fn gradients_of_pass(
        &mut self,
        batch: &Batch<B>,
        pass: &Forward<B>,
    ) -> Result<Computed<B>, TrainError> {
        let Differentiated {
            trajectory,
            value,
            gradients,
        } = self.objective_of_batch(batch, pass)?;
        self.computed(batch, trajectory, &value, gradients)
    }

    /// Computes the objective of a batch and its gradient. If there are terms that yield to the task, they have passes of their own,
    /// since a backward pass uses up what the forward pass has recorded.
    fn objective_of_batch(
        &self,
        batch: &Batch<B>,
        pass: &Forward<B>,
    ) -> Result<Differentiated<B>, TrainError> {
        let network = self.present_network();
        let Some([loss, yielding, others]) = self.minimised.divided() else {
            return self.of_terms(&network, batch, pass, &self.minimised.all());
        };
        let task = self.of_terms(&network, batch, pass, &loss)?;
        let trajectory = task.trajectory;
        let (added, gradients) = self.further(&network, batch, pass, &trajectory, &yielding)?;
        let mut value = task.value.plus(added);
        let unopposed = gradients.without_opposition(&task.gradients);
        let mut gradients = task.gradients.plus(unopposed);
        if !others.is_empty() {
            let (added, own) = self.further(&network, batch, pass, &trajectory, &others)?;
            value = value.plus(added);
            gradients = gradients.plus(own);
        }
        Ok(Differentiated {
            trajectory,
            value,
            gradients,
        })
    }

    /// Computes further terms of a batch and their gradient, in a pass of their own if they depend on more than the weights.
    fn further(
        &self,
        network: &CtrnnModule<B>,
        batch: &Batch<B>,
        pass: &Forward<B>,
        trajectory: &Trajectory<B>,
        chosen: &Chosen,
    ) -> Result<(Evaluated<B>, Gradients<B::InnerBackend>), TrainError> {
        if self.minimised.needs_pass(chosen) {
            let found = self.of_terms(network, batch, pass, chosen)?;
            return Ok((found.value, found.gradients));
        }
        let minimised = &self.minimised;
        let value = minimised.of_chosen(network, pass, trajectory, batch, chosen)?;
        let gradients = value.gradients(network);
        Ok((value, gradients))
    }

    /// Runs a batch, and computes some terms of its objective and their gradient.
    fn of_terms(
        &self,
        network: &CtrnnModule<B>,
        batch: &Batch<B>,
        pass: &Forward<B>,
        chosen: &Chosen,
    ) -> Result<Differentiated<B>, TrainError> {
        let mut pass = pass.clone();
        pass.record = self.minimised.record_of(chosen);
        if self.is_in_parts() {
            return self.terms_in_parts(network, batch, &pass, chosen);
        }
        let ends = !batch.is_padded() || !pass.lengths.is_empty();
        if ends && self.settings.perturbations.is_empty() {
            pass = self.minimised.fused(network, pass, chosen);
        }
        let trajectory = self.run_trials(network, 0, batch.inputs.clone(), &pass)?;
        let minimised = &self.minimised;
        let value = minimised.of_chosen(network, &pass, &trajectory, batch, chosen)?;
        let gradients = value.gradients(network);
        Ok(Differentiated {
            trajectory,
            value: value.completed(pass.omega.as_ref()),
            gradients,
        })
    }
}
