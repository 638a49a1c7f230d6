//! Losses: how far the readout is from what the task asks, where the mask counts.
//!
//! With mask `m` and readout `y`, over trial, time and output, normalised by the mask so that padding, unscored time
//! and the length of trials never change a loss:
//!
//! ```text
//! mse            sum m (y - target)^2 / sum m                (class labels become one-hot targets)
//! cross_entropy  - sum m log softmax(y)[class] / sum m       (m over trial and time)
//! ```
//!
//! `cross_entropy` takes the readout itself, the logits; `mse` takes the network's answer `f_out(y)` in its place.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use ctrnn_model::OutputNonlinearity;

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

    /// Whether a network with this output nonlinearity answers what the loss makes it learn.
    pub(crate) fn suits(self, nonlinearity: OutputNonlinearity) -> bool {
        self != Self::CrossEntropy || nonlinearity != OutputNonlinearity::Sigmoid
    }

    /// The sum of the masked terms of a batch, `[1]`; divided by [`Loss::weight`] it is the loss.
    ///
    /// # Shapes
    /// The readout `outputs [trial, time, output]`, a view of time-major memory.
    pub(crate) fn sum<B: Backend>(
        self,
        outputs: Tensor<B, 3>,
        nonlinearity: OutputNonlinearity,
        batch: &Batch<B>,
    ) -> Tensor<B, 1> {
        let outputs = outputs.swap_dims(0, 1); // [T,B,O], as targets and mask
        match self {
            Self::Mse => {
                let error = nonlinearity.apply(outputs) - batch.targets.clone();
                (error.square() * batch.mask.clone()).sum()
            }
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

    /// The loss of a batch, `[1]`, of the readout of a network with this output nonlinearity.
    pub fn value<B: Backend>(
        self,
        outputs: Tensor<B, 3>,
        nonlinearity: OutputNonlinearity,
        batch: &Batch<B>,
    ) -> Tensor<B, 1> {
        self.sum(outputs, nonlinearity, batch) / self.weight(batch)
    }
}

/// `sum_k m_k target_k (- log softmax(y)_k)` over all trials and times, `[1]`, for any finite readout.
///
/// Its gradient is `softmax(y) sum_k m_k target_k - m target`; it is computed beside the value and enters the graph as a
/// constant factor of the readout. So the readout is used once: where a tensor is used several times, burn adds the
/// gradients in an order that differs from run to run, and with it the last bits.
fn cross_entropy_sum<B: Backend>(outputs: Tensor<B, 3>, batch: &Batch<B>) -> Tensor<B, 1> {
    let (y, target) = (outputs.clone().detach(), batch.targets.clone());
    let below = y.clone() - y.clone().max_dim(2);
    let exp = below.clone().exp();
    let sum = exp.clone().sum_dim(2);
    let wanted = target * batch.mask.clone();
    let gradient = exp / sum.clone() * wanted.clone().sum_dim(2) - wanted.clone();
    let value = ((sum.log() - below) * wanted).sum();
    let rest = value - (y * gradient.clone()).sum();
    (outputs * gradient).sum() + rest
}

#[cfg(test)]
mod tests {
    use burn_test::{Grad, batch, values};
    use ctrnn_tasks::{Mask, Target};

    use super::*;
    use crate::burn_test;

    const IDENTITY: OutputNonlinearity = OutputNonlinearity::Identity;

    /// One trial of two steps and two outputs. Errors (1, 2), (3, 4); mask 1, 0.5:
    /// (1 + 4 + 0.5 (9 + 16)) / (2 (1 + 0.5)) = 17.5 / 3.
    #[test]
    fn mean_squared_error_by_hand() {
        let batch = batch(
            &[(Target::Values(vec![0.0; 4]), Mask::Steps(vec![1.0, 0.5]))],
            2,
        );
        let loss = Loss::Mse.value(
            burn_test::outputs([1, 2, 2], &[1.0, 2.0, 3.0, 4.0]),
            IDENTITY,
            &batch,
        );
        assert!((values(&loss)[0] - 17.5 / 3.0).abs() < 1e-12);
    }

    /// A mask per output counts outputs one by one: (1 * 1 + 2 * 16) / 3 = 11.
    #[test]
    fn a_mask_per_output_by_hand() {
        let mask = Mask::Outputs(vec![1.0, 0.0, 0.0, 2.0]);
        let batch = batch(&[(Target::Values(vec![0.0; 4]), mask)], 2);
        let loss = Loss::Mse.value(
            burn_test::outputs([1, 2, 2], &[1.0, 2.0, 3.0, 4.0]),
            IDENTITY,
            &batch,
        );
        assert!((values(&loss)[0] - 11.0).abs() < 1e-12);
    }

    /// Readout (0, ln 3), targets 0: sigmoid (1/2, 3/4) costs (1/4 + 9/16) / 2, softmax (1/4, 3/4) (1/16 + 9/16) / 2.
    #[test]
    fn mean_squared_error_is_that_of_the_answer() {
        let trial = (Target::Values(vec![0.0; 2]), Mask::Steps(vec![1.0]));
        let batch = batch(&[trial], 2);
        for (nonlinearity, expected) in [
            (OutputNonlinearity::Sigmoid, 13.0 / 32.0),
            (OutputNonlinearity::Softmax, 5.0 / 16.0),
        ] {
            let y = burn_test::outputs([1, 1, 2], &[0.0, 3.0f64.ln()]);
            let loss = Loss::Mse.value(y, nonlinearity, &batch);
            assert!((values(&loss)[0] - expected).abs() < 1e-12);
        }
    }

    /// Readout (0, ln 3): softmax (1/4, 3/4). Class 1 costs -ln(3/4), class 0 costs -ln(1/4); weights 1 and 3:
    /// (ln(4/3) + 3 ln 4) / 4.
    #[test]
    fn cross_entropy_by_hand() {
        let batch = batch(
            &[(Target::Classes(vec![1, 0]), Mask::Steps(vec![1.0, 3.0]))],
            2,
        );
        let y = [0.0, 3.0f64.ln(), 0.0, 3.0f64.ln()];
        let loss = Loss::CrossEntropy.value(burn_test::outputs([1, 2, 2], &y), IDENTITY, &batch);
        let expected = ((4.0f64 / 3.0).ln() + 3.0 * 4.0f64.ln()) / 4.0;
        assert!((values(&loss)[0] - expected).abs() < 1e-12);
    }

    /// d/dy_k = m (softmax_k - 1 if k is the class) / sum m, at the readout above: (1/4, -1/4) / 4 and 3 (-3/4, 3/4) / 4.
    #[test]
    fn the_gradient_of_cross_entropy_by_hand() {
        let batch = batch(
            &[(Target::Classes(vec![1, 0]), Mask::Steps(vec![1.0, 3.0]))],
            2,
        );
        let y = burn_test::outputs([1, 2, 2], &[0.0, 3.0f64.ln(), 0.0, 3.0f64.ln()]).require_grad();
        let grads = Loss::CrossEntropy
            .value(y.clone(), IDENTITY, &batch)
            .backward();
        let found: Vec<f64> = y.grad(&grads).unwrap().into_data().iter().collect();
        for (a, b) in found.iter().zip([0.0625, -0.0625, -0.5625, 0.5625]) {
            assert!((a - b).abs() < 1e-12, "{found:?}");
        }
    }

    /// Only class 1 counts in the mask, with weight 2: softmax (1/4, 3/4), gradient 2 (1/4, 3/4 - 1) / 2.
    #[test]
    fn the_gradient_under_a_mask_per_output_by_hand() {
        let batch = batch(
            &[(Target::Classes(vec![1]), Mask::Outputs(vec![0.0, 2.0]))],
            2,
        );
        let y = burn_test::outputs([1, 1, 2], &[0.0, 3.0f64.ln()]).require_grad();
        let grads = Loss::CrossEntropy
            .value(y.clone(), IDENTITY, &batch)
            .backward();
        let found: Vec<f64> = y.grad(&grads).unwrap().into_data().iter().collect();
        for (a, b) in found.iter().zip([0.25, -0.25]) {
            assert!((a - b).abs() < 1e-12, "{found:?}");
        }
    }

    #[test]
    fn a_large_readout_does_not_overflow() {
        let batch = batch(&[(Target::Classes(vec![0]), Mask::Steps(vec![1.0]))], 2);
        let loss =
            Loss::CrossEntropy.value(burn_test::outputs([1, 1, 2], &[0.0, 1e4]), IDENTITY, &batch);
        assert!((values(&loss)[0] - 1e4).abs() < 1e-9);
    }

    /// A short trial beside a long one costs what it costs alone: padding is masked, and the mask normalises.
    #[test]
    fn padding_changes_no_loss() {
        let short = (Target::Values(vec![0.0; 2]), Mask::Steps(vec![1.0]));
        let long = (Target::Values(vec![0.0; 4]), Mask::Steps(vec![0.0, 0.0]));
        let alone = Loss::Mse.value(
            burn_test::outputs([1, 1, 2], &[1.0, 2.0]),
            IDENTITY,
            &batch(std::slice::from_ref(&short), 2),
        );
        let both: Tensor<Grad, 3> =
            burn_test::outputs([2, 2, 2], &[1.0, 2.0, 7.0, 7.0, 8.0, 8.0, 9.0, 9.0]);
        let padded = Loss::Mse.value(both, IDENTITY, &batch(&[short, long], 2));
        assert_eq!(values(&alone), values(&padded));
    }
}
