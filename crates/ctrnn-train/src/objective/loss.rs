//! Losses: distances between readout and target, weighted by the mask.
//!
//! With readout `y` and target, the loss `l` of an output (cross-entropies: of all outputs together) at one time is
//!
//! ```text
//! mse                 (y - target)^2                                    class labels become one-hot targets
//! bce                 - target log p - (1 - target) log(1 - p)          p = 1 / (1 + exp(-y))
//! cross_entropy       - log softmax(y)[class]
//! soft_cross_entropy  - sum_k target_k log softmax(y)_k
//! ```
//!
//! and with mask `m` and trials b of T_b time steps it is averaged in one of three ways, none of which depends on padding:
//!
//! ```text
//! mask     sum m l / sum m
//! entries  sum w l / number of entries within the trials      w = m^2 for mse (the error is masked, then squared), else m
//! trials   mean_b [ sum w l / sum m ], sums within trial b    over the trials in which something counts
//! ```

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use ctrnn_model::{OutputNonlinearity, RecurrenceBackend};

use crate::batch::Batch;
use crate::objective::config::{Loss, Normalisation};

impl Loss {
    /// Returns true if a network with this output nonlinearity can be trained with the loss.
    pub fn suits(self, nonlinearity: OutputNonlinearity) -> bool {
        match self {
            Self::Mse => true,
            Self::Bce => nonlinearity != OutputNonlinearity::Softmax,
            Self::CrossEntropy | Self::SoftCrossEntropy => {
                nonlinearity != OutputNonlinearity::Sigmoid
            }
        }
    }

    /// Returns the values that the loss compares to the targets: the activated outputs for `mse`, the raw readout
    /// otherwise.
    pub(crate) fn seen<B: Backend>(
        self,
        nonlinearity: OutputNonlinearity,
        outputs: Tensor<B, 3>,
    ) -> Tensor<B, 3> {
        match self {
            Self::Mse => nonlinearity.apply(outputs),
            // The other losses contain their nonlinearity, in a numerically stable form.
            _ => outputs,
        }
    }

    /// Returns true if each output has a loss of its own, rather than all outputs one together.
    const fn is_by_output(self) -> bool {
        matches!(self, Self::Mse | Self::Bce)
    }

    /// Computes the loss of a batch, averaged by the mask, `[1]`.
    pub fn value<B: RecurrenceBackend>(
        self,
        outputs: Tensor<B, 3>,
        batch: &Batch<B>,
    ) -> Tensor<B, 1> {
        self.averaged(Normalisation::Mask, outputs, batch)
    }

    /// Computes the loss of a batch, `[1]`.
    ///
    /// # Shapes
    /// `outputs [trial, time, output]`, a view of time-major memory.
    pub fn averaged<B: RecurrenceBackend>(
        self,
        normalisation: Normalisation,
        outputs: Tensor<B, 3>,
        batch: &Batch<B>,
    ) -> Tensor<B, 1> {
        let sum = self.sum(normalisation, outputs, batch);
        match self.weight(normalisation, batch) {
            0.0 => sum, // 0: trials of which the rates alone were recorded
            weight => sum / weight,
        }
    }

    /// Sums the weighted loss terms of a batch, `[1]`; the loss is this sum divided by [`Loss::weight`].
    pub(crate) fn sum<B: RecurrenceBackend>(
        self,
        normalisation: Normalisation,
        outputs: Tensor<B, 3>,
        batch: &Batch<B>,
    ) -> Tensor<B, 1> {
        let outputs = outputs.swap_dims(0, 1); // [T,B,O], as targets and mask
        let weights = self.weights(normalisation, batch);
        let targets = batch.targets.clone();
        match self {
            Self::Mse => {
                let (sum, gradient) = B::squared_error(outputs.clone(), targets, weights);
                B::with_gradient(outputs, sum, gradient)
            }
            Self::Bce => binary_cross_entropy_sum(outputs, targets, weights),
            Self::CrossEntropy | Self::SoftCrossEntropy => {
                let (sum, gradient) = B::cross_entropy(outputs.clone(), targets, weights);
                B::with_gradient(outputs, sum, gradient)
            }
        }
    }

    /// Returns the weight of each loss term, `[T,B,1]` or `[T,B,O]`.
    fn weights<B: Backend>(self, normalisation: Normalisation, batch: &Batch<B>) -> Tensor<B, 3> {
        let mask = batch.mask.clone();
        let masked = |mask: Tensor<B, 3>| match self {
            Self::Mse => mask.square(),
            _ => mask,
        };
        match normalisation {
            Normalisation::Mask => mask,
            Normalisation::Entries => masked(mask),
            Normalisation::Trials => {
                let [_, _, width] = mask.dims();
                let outputs_of_a_row = if self.is_by_output() { width } else { 1 };
                let all = batch.mask_of_trials.clone();
                let of_trials = all.sum_dim(0).sum_dim(2) / outputs_of_a_row as f64; // [1,B,1]
                masked(mask) / of_trials.clamp_min(f64::from(f32::MIN_POSITIVE)) // 0 / 0 is 0: nothing counts
            }
        }
    }

    /// Returns the divisor of the sum of weighted terms. Over several batches, sums and divisors are each added.
    pub fn weight<B: Backend>(self, normalisation: Normalisation, batch: &Batch<B>) -> f64 {
        let [_, _, mask_width] = batch.mask.dims();
        let [_, _, n_outputs] = batch.targets.dims();
        let terms_of_a_row = if self.is_by_output() { n_outputs } else { 1 } as f64;
        match normalisation {
            Normalisation::Mask if mask_width == 1 => batch.mask_sum * terms_of_a_row,
            Normalisation::Mask => batch.mask_sum,
            Normalisation::Entries => batch.within_sum * terms_of_a_row,
            Normalisation::Trials => batch.counted_trials as f64 * terms_of_a_row,
        }
    }
}

/// Computes `sum w (- target log p - (1 - target) log (1 - p))` with `p = 1 / (1 + exp(-y))`, `[1]`, in the form
/// `max(y, 0) - y target + log(1 + exp(-|y|))`, which is finite for any finite readout.
///
/// Its gradient is `w (p - target)`, computed with the value: this saves a second pass, and `exp` cannot overflow in the backward pass.
fn binary_cross_entropy_sum<B: RecurrenceBackend>(
    outputs: Tensor<B, 3>,
    target: Tensor<B, 3>,
    weights: Tensor<B, 3>,
) -> Tensor<B, 1> {
    let y = outputs.clone().detach();
    let exp = y.clone().abs().neg().exp();
    let p = exp
        .clone()
        .mask_fill(y.clone().greater_equal_elem(0.0), 1.0)
        / (exp.clone() + 1.0);
    let value = y.clone().clamp_min(0.0) - y.clone() * target.clone() + (exp + 1.0).log();
    let gradient = (p - target) * weights.clone();
    B::with_gradient(outputs, (value * weights).sum(), gradient)
}

#[cfg(test)]
mod tests {
    use burn_test::{Grad, batch, values};
    use ctrnn_tasks::{Mask, Target};

    use super::*;
    use crate::burn_test;

    /// One trial of two steps and two outputs. Errors (1, 2), (3, 4); mask 1, 0.5:
    /// (1 + 4 + 0.5 (9 + 16)) / (2 (1 + 0.5)) = 17.5 / 3.
    #[test]
    fn mean_squared_error_by_hand() {
        let batch = batch(
            &[(Target::Values(vec![0.0; 4]), Mask::Steps(vec![1.0, 0.5]))],
            2,
        );
        let loss = Loss::Mse.value(burn_test::outputs([1, 2, 2], &[1.0, 2.0, 3.0, 4.0]), &batch);
        assert!((values(&loss)[0] - 17.5 / 3.0).abs() < 1e-12);
    }

    /// A mask per output counts outputs one by one: (1 * 1 + 2 * 16) / 3 = 11.
    #[test]
    fn a_mask_per_output_by_hand() {
        let mask = Mask::Outputs(vec![1.0, 0.0, 0.0, 2.0]);
        let batch = batch(&[(Target::Values(vec![0.0; 4]), mask)], 2);
        let loss = Loss::Mse.value(burn_test::outputs([1, 2, 2], &[1.0, 2.0, 3.0, 4.0]), &batch);
        assert!((values(&loss)[0] - 11.0).abs() < 1e-12);
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
        let loss = Loss::CrossEntropy.value(burn_test::outputs([1, 2, 2], &y), &batch);
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
        let grads = Loss::CrossEntropy.value(y.clone(), &batch).backward();
        let found: Vec<f64> = y.grad(&grads).unwrap().into_data().iter().collect();
        for (a, b) in found.iter().zip([0.0625, -0.0625, -0.5625, 0.5625]) {
            assert!((a - b).abs() < 1e-12, "{found:?}");
        }
    }

    /// Only class 1 has a mask above 0, with weight 2: softmax (1/4, 3/4), gradient 2 (1/4, 3/4 - 1) / 2.
    #[test]
    fn the_gradient_under_a_mask_per_output_by_hand() {
        let batch = batch(
            &[(Target::Classes(vec![1]), Mask::Outputs(vec![0.0, 2.0]))],
            2,
        );
        let y = burn_test::outputs([1, 1, 2], &[0.0, 3.0f64.ln()]).require_grad();
        let grads = Loss::CrossEntropy.value(y.clone(), &batch).backward();
        let found: Vec<f64> = y.grad(&grads).unwrap().into_data().iter().collect();
        for (a, b) in found.iter().zip([0.25, -0.25]) {
            assert!((a - b).abs() < 1e-12, "{found:?}");
        }
    }

    #[test]
    fn a_large_readout_does_not_overflow() {
        let batch = batch(&[(Target::Classes(vec![0]), Mask::Steps(vec![1.0]))], 2);
        let loss = Loss::CrossEntropy.value(burn_test::outputs([1, 1, 2], &[0.0, 1e4]), &batch);
        assert!((values(&loss)[0] - 1e4).abs() < 1e-9);
    }

    /// A short trial in a batch with a long one has the same loss as alone: padding is masked, and the mask normalises.
    #[test]
    fn padding_changes_no_loss() {
        let short = (Target::Values(vec![0.0; 2]), Mask::Steps(vec![1.0]));
        let long = (Target::Values(vec![0.0; 4]), Mask::Steps(vec![0.0, 0.0]));
        let alone = Loss::Mse.value(
            burn_test::outputs([1, 1, 2], &[1.0, 2.0]),
            &batch(std::slice::from_ref(&short), 2),
        );
        let both: Tensor<Grad, 3> =
            burn_test::outputs([2, 2, 2], &[1.0, 2.0, 7.0, 7.0, 8.0, 8.0, 9.0, 9.0]);
        let padded = Loss::Mse.value(both, &batch(&[short, long], 2));
        assert_eq!(values(&alone), values(&padded));
    }

    /// One trial of two steps, readouts ln 3 and -ln 3 (p = 3/4 and 1/4), targets 1 and 0.5, mask 1 and 3:
    /// (-ln(3/4) + 3 (-ln(1/4) - ln(3/4)) / 2) / 4, gradient m (p - target) / 4: -1/16 and -3/16.
    #[test]
    fn binary_cross_entropy_by_hand() {
        let batch = batch(
            &[(Target::Values(vec![1.0, 0.5]), Mask::Steps(vec![1.0, 3.0]))],
            1,
        );
        let ln3 = 3.0f64.ln();
        let y = burn_test::outputs([1, 2, 1], &[ln3, -ln3]).require_grad();
        let loss = Loss::Bce.value(y.clone(), &batch);
        let expected = ((4.0f64 / 3.0).ln() + 1.5 * (4.0f64.ln() + (4.0f64 / 3.0).ln())) / 4.0;
        assert!((values(&loss)[0] - expected).abs() < 1e-12);
        let found: Vec<f64> = y
            .grad(&loss.backward())
            .unwrap()
            .into_data()
            .iter()
            .collect();
        for (a, b) in found.iter().zip([-0.0625, -0.1875]) {
            assert!((a - b).abs() < 1e-12, "{found:?}");
        }
        let large = Loss::Bce.value(burn_test::outputs([1, 2, 1], &[-1e4, 1e4]), &batch);
        assert!((values(&large)[0] - (1e4 + 3.0 * 5e3) / 4.0).abs() < 1e-8);
    }

    /// Softmax (1/4, 3/4), target (0.5, 0.5): -(ln(1/4) + ln(3/4)) / 2.
    #[test]
    fn soft_cross_entropy_by_hand() {
        let batch = batch(
            &[(Target::Values(vec![0.5, 0.5]), Mask::Steps(vec![2.0]))],
            2,
        );
        let loss = Loss::SoftCrossEntropy
            .value(burn_test::outputs([1, 1, 2], &[0.0, 3.0f64.ln()]), &batch);
        let expected = (4.0f64.ln() + (4.0f64 / 3.0).ln()) / 2.0;
        assert!((values(&loss)[0] - expected).abs() < 1e-12);
    }

    /// Two trials of one output: errors 1, 2 with mask 1, 2, and error 3 with mask 0.5, then padding.
    /// mask: (1 + 2 * 4 + 0.5 * 9) / 3.5; entries: (1 + (2 * 2)^2 + (0.5 * 3)^2) / 3;
    /// trials: the mean of (1 + 16) / 3 and 2.25 / 0.5.
    #[test]
    fn the_three_mean_squared_errors_by_hand() {
        let trials = [
            (Target::Values(vec![0.0; 2]), Mask::Steps(vec![1.0, 2.0])),
            (Target::Values(vec![0.0]), Mask::Steps(vec![0.5])),
        ];
        let batch = batch(&trials, 1);
        let expected = [
            (Normalisation::Mask, 13.5 / 3.5),
            (Normalisation::Entries, 19.25 / 3.0),
            (Normalisation::Trials, (17.0 / 3.0 + 4.5) / 2.0),
        ];
        for (normalisation, expected) in expected {
            let y = burn_test::outputs([2, 2, 1], &[1.0, 2.0, 3.0, 7.0]);
            let loss = Loss::Mse.averaged(normalisation, y, &batch);
            assert!(
                (values(&loss)[0] - expected).abs() < 1e-12,
                "{normalisation:?}"
            );
        }
    }

    /// Class 1 under readout (0, ln 3) costs c = ln(4/3), mask 1 and 3 in trials of one step.
    /// mask: (c + 3 c) / 4; entries: (c + 3 c) / 2; trials: the mean of c and c.
    #[test]
    fn the_three_cross_entropies_by_hand() {
        let trials = [
            (Target::Classes(vec![1]), Mask::Steps(vec![1.0])),
            (Target::Classes(vec![1]), Mask::Steps(vec![3.0])),
        ];
        let batch = batch(&trials, 2);
        let c = (4.0f64 / 3.0).ln();
        let expected = [
            (Normalisation::Mask, c),
            (Normalisation::Entries, 2.0 * c),
            (Normalisation::Trials, c),
        ];
        for (normalisation, expected) in expected {
            let y = burn_test::outputs([2, 1, 2], &[0.0, 3.0f64.ln(), 0.0, 3.0f64.ln()]);
            let loss = Loss::CrossEntropy.averaged(normalisation, y, &batch);
            assert!(
                (values(&loss)[0] - expected).abs() < 1e-12,
                "{normalisation:?}"
            );
        }
    }

    /// Outputs with masks of their own, errors 1 and 2, mask 0 and 2: entries 16 / 2; trials 16 / 2 outputs / (2 / 2).
    #[test]
    fn normalisations_of_a_mask_per_output_by_hand() {
        let trial = (Target::Values(vec![0.0; 2]), Mask::Outputs(vec![0.0, 2.0]));
        let batch = batch(&[trial], 2);
        for normalisation in [Normalisation::Entries, Normalisation::Trials] {
            let y = burn_test::outputs([1, 1, 2], &[1.0, 2.0]);
            let loss = Loss::Mse.averaged(normalisation, y, &batch);
            assert!((values(&loss)[0] - 8.0).abs() < 1e-12, "{normalisation:?}");
        }
    }

    /// A trial with a mask of zeros does not change the mean over trials, and padding does not change any loss.
    #[test]
    fn no_loss_sees_padding_whatever_its_normalisation() {
        for loss in [
            Loss::Mse,
            Loss::Bce,
            Loss::CrossEntropy,
            Loss::SoftCrossEntropy,
        ] {
            for normalisation in [
                Normalisation::Mask,
                Normalisation::Entries,
                Normalisation::Trials,
            ] {
                let short = (Target::Values(vec![0.0, 1.0]), Mask::Steps(vec![1.0]));
                let long = (
                    Target::Values(vec![1.0, 0.0, 0.0, 1.0]),
                    Mask::Steps(vec![1.0, 2.0]),
                );
                let sum = |y, batch: &Batch<Grad>| -> [f64; 2] {
                    let sum = loss.sum(normalisation, y, batch);
                    [values(&sum)[0], loss.weight(normalisation, batch)]
                };
                let [a, b] = [
                    sum(
                        burn_test::outputs([1, 1, 2], &[1.0, 2.0]),
                        &batch(std::slice::from_ref(&short), 2),
                    ),
                    sum(
                        burn_test::outputs([1, 2, 2], &[0.5, 0.1, 0.2, 0.3]),
                        &batch(std::slice::from_ref(&long), 2),
                    ),
                ];
                let y = [1.0, 2.0, 9.0, 9.0, 0.5, 0.1, 0.2, 0.3];
                let both = sum(burn_test::outputs([2, 2, 2], &y), &batch(&[short, long], 2));
                for k in 0..2 {
                    assert!(
                        (both[k] - a[k] - b[k]).abs() < 1e-12,
                        "{loss:?} {normalisation:?}"
                    );
                }
            }
        }
    }
}
