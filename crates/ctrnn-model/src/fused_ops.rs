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

    /// Returns the sum of the squares of all elements of these tensors, `[1]`.
    ///
    /// # Panics
    /// If there is no tensor.
    fn sum_of_squares(tensors: &[&Tensor<Self, 1>]) -> Tensor<Self, 1> {
        let sums = tensors.iter().map(|&x| x.clone().square().sum());
        sums.reduce(|a, b| a + b).expect("there is a tensor")
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

    /// Applies an update of Adam by one operation and returns the next weights and their next two moments; `None` if this backend
    /// has no such operation.
    fn adam(
        _step: &AdamStep,
        _weights: &Tensor<Self, 1>,
        _gradient: &Tensor<Self, 1>,
        _moments: [&Tensor<Self, 1>; 2],
    ) -> Option<[Tensor<Self, 1>; 3]> {
        None
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
