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
        match self {
            Self::Mse => ((outputs - batch.targets.clone()).square() * batch.mask.clone()).sum(),
            Self::CrossEntropy => cross_entropy_sum(outputs, batch),
        }
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

/// `sum m sum_k target_k (- log softmax(y)_k)`, `[1]`, for any finite readout.
///
/// Its gradient is `m (softmax(y) sum_k target_k - target)`; it is computed beside the value and enters the graph as a
/// constant factor of the readout. So the readout is used once: where a tensor is used several times, burn adds the
/// gradients in an order that differs from run to run, and with it the last bits.
fn cross_entropy_sum<B: Backend>(outputs: Tensor<B, 3>, batch: &Batch<B>) -> Tensor<B, 1> {
    let (y, target) = (outputs.clone().detach(), batch.targets.clone());
    let below = y.clone() - y.clone().max_dim(2);
    let exp = below.clone().exp();
    let sum = exp.clone().sum_dim(2);
    let gradient = (exp / sum.clone() * target.clone().sum_dim(2) - target.clone()) * batch.mask.clone();
    let value = ((sum.log() - below) * target * batch.mask.clone()).sum();
    let rest = value - (y * gradient.clone()).sum();
    (outputs * gradient).sum() + rest
}
