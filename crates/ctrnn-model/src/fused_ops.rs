//! Operations around the sweep that every training step needs, fused where a backend can.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use ctrnn_kernels::AdamStep;

/// Loss, norm and optimizer update by few operations.
///
/// The provided methods are plain tensor operations, on any backend; an empty `impl` is enough. A backend overrides those that it
/// computes in fewer or more exact operations.
pub trait FusedOps: Backend {
    /// Returns `value [1]` as a function of `y` with the given gradient: a single operation under automatic differentiation. Only
    /// `y` may be tracked.
    fn with_gradient(
        _y: Tensor<Self, 3>,
        value: Tensor<Self, 1>,
        _gradient: Tensor<Self, 3>,
    ) -> Tensor<Self, 1> {
        value
    }

    /// Returns `sum w (y - target)^2 [1]` over all entries of `y [T,B,O]`, with weights `[T,B,O]` or, one for each row, `[T,B,1]`;
    /// and its gradient with respect to `y`, `2 w (y - target)`. Nothing is tracked: see [`FusedOps::with_gradient`].
    ///
    /// # Panics
    /// If the shapes differ from these.
    fn squared_error(
        y: Tensor<Self, 3>,
        target: Tensor<Self, 3>,
        weights: Tensor<Self, 3>,
    ) -> (Tensor<Self, 1>, Tensor<Self, 3>) {
        assert_errors_fit([&y, &target, &weights]);
        let error = y - target;
        let weighted = error.clone() * weights;
        ((error * weighted.clone()).sum(), weighted * 2.0)
    }

    /// Returns `sum_k w_k target_k (- log softmax(y)_k) [1]` over all trials and times for `y [T,B,O]`, with weights as in
    /// [`FusedOps::squared_error`]; and its gradient with respect to `y`, `softmax(y) sum_k w_k target_k - w target`. Nothing is
    /// tracked, and both are finite for any finite `y`.
    ///
    /// # Panics
    /// If the shapes differ from these.
    fn cross_entropy(
        y: Tensor<Self, 3>,
        target: Tensor<Self, 3>,
        weights: Tensor<Self, 3>,
    ) -> (Tensor<Self, 1>, Tensor<Self, 3>) {
        assert_errors_fit([&y, &target, &weights]);
        // Subtracting the largest output keeps `exp` from overflowing; the softmax is unchanged.
        let below = y.clone() - y.max_dim(2);
        let exp = below.clone().exp();
        let sum = exp.clone().sum_dim(2);
        let wanted = target * weights;
        let gradient = exp / sum.clone() * wanted.clone().sum_dim(2) - wanted.clone();
        (((sum.log() - below) * wanted).sum(), gradient)
    }

    /// Returns `sum w (r - mean)^2` over trials and time steps for each unit, `[1,1,N]`, of `rates [T,B,N]` about `mean [1,1,N]`, with
    /// weights `[T,B,1]` of 0 or 1. Nothing is tracked.
    fn squared_deviations(
        rates: Tensor<Self, 3>,
        mean: Tensor<Self, 3>,
        weights: Tensor<Self, 3>,
    ) -> Tensor<Self, 3> {
        let deviations = (rates - mean).square() * weights;
        deviations.sum_dim(0).sum_dim(1)
    }

    /// Returns the second moments `sum w (r - mean)(r - mean)' [N,N]` over trials and time steps of `rates [T,B,N]` about `mean [1,1,N]`,
    /// with weights `[T,B,1]`. Only the rates may be tracked: the mean and the weights are constants.
    fn second_moments(
        rates: Tensor<Self, 3>,
        mean: Tensor<Self, 3>,
        weights: Tensor<Self, 3>,
    ) -> Tensor<Self, 2> {
        let [steps, trials, units] = rates.dims();
        let rows = |all: Tensor<Self, 3>| all.reshape([steps * trials, units]);
        let deviations = rates - mean;
        let weighted = rows(deviations.clone() * weights);
        weighted.transpose().matmul(rows(deviations))
    }

    /// Returns the gradient with respect to the rates of [`FusedOps::second_moments`] that have the gradient `of_moments [N,N]`, which is
    /// `w (G + G') (r - mean) [T,B,N]`. Nothing is tracked.
    fn second_moment_slopes(
        rates: Tensor<Self, 3>,
        mean: Tensor<Self, 3>,
        weights: Tensor<Self, 3>,
        of_moments: Tensor<Self, 2>,
    ) -> Tensor<Self, 3> {
        let factor = of_moments.clone() + of_moments.transpose();
        (rates - mean).matmul(factor.unsqueeze()) * weights
    }

    /// Returns `r' M r [T,B,1]` for the rates `[T,B,N]` of each trial and time step and a matrix `M [N,N]`. Nothing is tracked.
    fn quadratic_forms(rates: Tensor<Self, 3>, matrix: Tensor<Self, 2>) -> Tensor<Self, 3> {
        let products = rates.clone().matmul(matrix.transpose().unsqueeze());
        (rates * products).sum_dim(2)
    }

    /// Returns the sum of the squares of all elements of these tensors, `[1]`.
    ///
    /// # Panics
    /// If there is no tensor.
    fn sum_of_squares(tensors: &[&Tensor<Self, 1>]) -> Tensor<Self, 1> {
        let sums = tensors.iter().map(|&x| x.clone().square().sum());
        sums.reduce(|a, b| a + b).expect("there is a tensor")
    }

    /// Returns the root of the sum of the squares of all elements of these tensors, `[1]`.
    ///
    /// # Panics
    /// If there is no tensor.
    fn norm(tensors: &[&Tensor<Self, 1>]) -> Tensor<Self, 1> {
        Self::sum_of_squares(tensors).sqrt()
    }

    /// Returns these tensors times `max / max(norm, max)`, for `norm [1]`. The factor is exactly 1 if the norm is within the bound, which
    /// leaves the tensors unchanged to the bit.
    fn clipped(
        tensors: Vec<Tensor<Self, 1>>,
        norm: &Tensor<Self, 1>,
        max: f64,
    ) -> Vec<Tensor<Self, 1>> {
        let larger = norm.clone().clamp_min(max);
        let factor = larger.clone().clamp_max(max) / larger;
        let scaled = tensors.into_iter().map(|x| x * factor.clone());
        scaled.collect()
    }

    /// Returns the numbers of a tensor in another shape of the same size. burn's `reshape` copies them on a CPU.
    fn reshaped<const D: usize, const E: usize>(
        tensor: Tensor<Self, D>,
        shape: [usize; E],
    ) -> Tensor<Self, E> {
        tensor.reshape(shape)
    }

    /// Returns the numbers of a tensor that others share, in the order of its shape.
    fn host_data<const D: usize>(tensor: Tensor<Self, D>) -> TensorData {
        tensor.into_data()
    }

    /// Returns the next weights of each parameter and their next two moments, see [`AdamStep`].
    fn adam(updates: Vec<AdamUpdate<Self>>) -> Vec<[Tensor<Self, 1>; 3]> {
        updates.into_iter().map(AdamUpdate::apply).collect()
    }
}

/// Update of one parameter by Adam: its coefficients and operands.
#[derive(Clone, Debug)]
pub struct AdamUpdate<B: Backend> {
    /// Coefficients.
    pub step: AdamStep,
    /// Weights before the update.
    pub weights: Tensor<B, 1>,
    /// Gradient of the weights.
    pub gradient: Tensor<B, 1>,
    /// Moments before the update, zero at the first one.
    pub moments: [Tensor<B, 1>; 2],
}

impl<B: Backend> AdamUpdate<B> {
    /// Computes the update by tensor operations.
    fn apply(self) -> [Tensor<B, 1>; 3] {
        let (step, weights) = (self.step, self.weights);
        let g = match step.penalty {
            0.0 => self.gradient, // unchanged to the bit
            penalty => self.gradient + weights.clone() * penalty,
        };
        let [first, second] = self.moments;
        let [beta_1, beta_2] = step.betas;
        let first = first * beta_1 + g.clone() * (1.0 - beta_1);
        let second = second * beta_2 + g.square() * (1.0 - beta_2);
        let quotient = first.clone() * step.correction / (second.clone().sqrt() + step.eps);
        let next = weights * step.keep - quotient * step.lr;
        [next, first, second]
    }
}

/// Asserts the shapes documented at [`FusedOps::squared_error`].
pub(crate) fn assert_errors_fit<B: Backend>([y, target, weights]: [&Tensor<B, 3>; 3]) {
    let [steps, trials, outputs] = y.dims();
    assert_eq!(
        target.dims(),
        y.dims(),
        "targets have the shape of the outputs"
    );
    let fits = [[steps, trials, 1], [steps, trials, outputs]].contains(&weights.dims());
    assert!(fits, "weights {:?} of {:?}", weights.dims(), y.dims());
}
