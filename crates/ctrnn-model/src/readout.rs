//! Output nonlinearities.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::words;

words! {
    /// Output nonlinearity `f_out`: the network answers `f_out(y)`, with the readout `y = W_out (r + xi) + b_out`.
    ///
    /// Losses that are defined on logits (cross-entropy) take `y`; everything else, files included, takes `f_out(y)`.
    ///
    /// # References
    /// Yang et al. (2019) use `sigmoid`; Song et al. (2016) offer all three.
    #[derive(Default)]
    pub enum OutputNonlinearity: "output nonlinearity" {
        /// `y`
        #[default]
        Identity = "identity",
        /// `1 / (1 + exp(-y))`, each output by itself.
        Sigmoid = "sigmoid",
        /// `exp(y_i) / sum_j exp(y_j)` over the outputs of a time step.
        Softmax = "softmax",
    }
}

impl OutputNonlinearity {
    /// Returns `f_out(y)` of readouts `[.., .., output]`.
    pub fn apply<B: Backend>(self, readout: Tensor<B, 3>) -> Tensor<B, 3> {
        match self {
            Self::Identity => readout,
            // burn's own sigmoid computes in f32 whatever the backend.
            Self::Sigmoid => ((readout * 0.5).tanh() + 1.0) * 0.5,
            Self::Softmax => softmax(readout),
        }
    }
}

/// Returns the softmax over the last dimension, for any finite readout.
///
/// With `c = log sum exp(y)` held fixed, `p = exp(y - c)` adds up to s = 1, and `p (2 - s)` has the value and the gradient of `p /
/// s`: the backward pass of burn's division uses a reciprocal that is accurate to only 12 bits on some CPUs. Two gradients meet in
/// `p`, so that their sum does not depend on an order.
fn softmax<B: Backend>(readout: Tensor<B, 3>) -> Tensor<B, 3> {
    let y = readout.clone().detach();
    let largest = y.clone().max_dim(2);
    let log_sum = (y - largest.clone()).exp().sum_dim(2).log() + largest;
    let p = (readout - log_sum).exp();
    let sum = p.clone().sum_dim(2);
    p * (sum.neg() + 2.0)
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;
    use burn_autodiff::Autodiff;
    use burn_ndarray::NdArray;

    use super::*;

    type Grad = Autodiff<NdArray<f64>>;

    fn readout(values: &[f64]) -> Tensor<Grad, 3> {
        let data = TensorData::new(values.to_vec(), [1, 1, values.len()]);
        crate::host_tensor(data, &Default::default())
    }

    fn values(nonlinearity: OutputNonlinearity, y: &[f64]) -> Vec<f64> {
        nonlinearity.apply(readout(y)).to_data().iter().collect()
    }

    /// sigmoid(ln 3) = 3/4; softmax(0, ln 3) = (1/4, 3/4).
    #[test]
    fn values_by_hand() {
        let y = [0.0, 3.0f64.ln()];
        for (nonlinearity, expected) in [
            (OutputNonlinearity::Identity, y),
            (OutputNonlinearity::Sigmoid, [0.5, 0.75]),
            (OutputNonlinearity::Softmax, [0.25, 0.75]),
        ] {
            for (found, expected) in values(nonlinearity, &y).iter().zip(expected) {
                assert!((found - expected).abs() < 1e-15, "{nonlinearity:?} {found}");
            }
        }
    }

    #[test]
    fn large_readouts_saturate_without_overflow() {
        let y = [-1e4, 1e4];
        assert_eq!(values(OutputNonlinearity::Sigmoid, &y), [0.0, 1.0]);
        assert_eq!(values(OutputNonlinearity::Softmax, &y), [0.0, 1.0]);
    }

    /// A reciprocal of 12 bits would be off by 1e-4.
    #[test]
    fn gradients_have_single_precision() {
        type Single = Autodiff<NdArray<f32>>;
        let y = [0.3, -0.8, 1.1];
        let leaf: Tensor<Single, 3> =
            crate::host_tensor(TensorData::new(y.to_vec(), [1, 1, 3]), &Default::default());
        let leaf = leaf.require_grad();
        let first = softmax(leaf.clone()).slice([0..1, 0..1, 0..1]);
        let grads = first.sum().backward();
        let found: Vec<f64> = leaf.grad(&grads).unwrap().to_data().iter().collect();
        let p = values(OutputNonlinearity::Softmax, &y);
        for (k, found) in found.iter().enumerate() {
            let expected = p[0] * (f64::from(u8::from(k == 0)) - p[k]);
            assert!((found - expected).abs() < 1e-6 * expected.abs(), "{found}");
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let y = [0.3, -0.8, 1.1];
        let weights = [1.0, -0.7, 0.4];
        let loss = |nonlinearity: OutputNonlinearity, y: &[f64]| -> f64 {
            let found = values(nonlinearity, y);
            found.iter().zip(weights).map(|(f, w)| w * f * f).sum()
        };
        for nonlinearity in OutputNonlinearity::ALL {
            let leaf = readout(&y).require_grad();
            let squares = nonlinearity.apply(leaf.clone()).square() * readout(&weights);
            let grads = squares.sum().backward();
            let found: Vec<f64> = leaf.grad(&grads).unwrap().to_data().iter().collect();
            for k in 0..y.len() {
                let moved = |by: f64| {
                    let mut y = y;
                    y[k] += by;
                    loss(nonlinearity, &y)
                };
                let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                assert!(
                    (found[k] - expected).abs() < 1e-9,
                    "{nonlinearity:?} {k}: {} is not {expected}",
                    found[k]
                );
            }
        }
    }
}
