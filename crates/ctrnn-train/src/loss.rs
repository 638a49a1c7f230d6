//! Losses: how far the readout is from what the task asks, where the mask counts.
//!
//! With mask `m` and readout `y`, over trial, time and output, normalised by the mask so that padding, unscored time
//! and the length of trials never change a loss:
//!
//! ```text
//! mse            sum m (y - target)^2 / sum m                (class labels become one-hot targets)
//! cross_entropy  - sum m log softmax(y)[class] / sum m       (m over trial and time)
//! ```

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::batch::Batch;
use crate::config::Loss;

impl Loss {
    /// The name used in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mse => "mse",
            Self::CrossEntropy => "cross_entropy",
        }
    }

    /// The sum of the masked terms of a batch, `[1]`; divided by [`Loss::weight`] it is the loss.
    ///
    /// # Shapes
    /// `outputs [trial, time, output]`, a view of time-major memory.
    pub(crate) fn sum<B: Backend>(self, outputs: Tensor<B, 3>, batch: &Batch<B>) -> Tensor<B, 1> {
        let outputs = outputs.swap_dims(0, 1); // [T,B,O], as targets and mask
        let terms = match self {
            Self::Mse => (outputs - batch.targets.clone()).square(),
            Self::CrossEntropy => surprise(outputs) * batch.targets.clone(),
        };
        (terms * batch.mask.clone()).sum()
    }

    /// The sum of the mask over everything that the loss sums: the loss's denominator.
    pub fn weight<B: Backend>(self, batch: &Batch<B>) -> f64 {
        let [_, _, mask_width] = batch.mask.dims();
        let [_, _, n_outputs] = batch.targets.dims();
        match self {
            Self::Mse if mask_width == 1 => batch.mask_sum * n_outputs as f64,
            _ => batch.mask_sum,
        }
    }

    /// The loss of a batch, `[1]`.
    pub fn value<B: Backend>(self, outputs: Tensor<B, 3>, batch: &Batch<B>) -> Tensor<B, 1> {
        self.sum(outputs, batch) / self.weight(batch)
    }
}

/// `- log softmax(y)` over the outputs, for any finite readout.
///
/// The readout is used twice: burn adds gradients in an order of its own, which matters only from three uses on.
/// (burn's `log_softmax` has more, and its gradients differ from run to run in the last bits.)
fn surprise<B: Backend>(outputs: Tensor<B, 3>) -> Tensor<B, 3> {
    let largest = outputs.clone().detach().max_dim(2);
    let below = outputs - largest;
    below.clone().exp().sum_dim(2).log() - below
}
