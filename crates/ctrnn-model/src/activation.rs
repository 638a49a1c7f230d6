//! Activations of tensors: the reference on every backend, and the form that automatic differentiation follows.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::backend::Backend;
use ctrnn_kernels::Activation;

/// Returns the firing rates `f(v)`.
pub fn rates<B: Backend, const D: usize>(activation: Activation, v: Tensor<B, D>) -> Tensor<B, D> {
    match activation {
        Activation::Relu => relu(v),
        Activation::Tanh => v.tanh(),
        // burn's own sigmoid computes in f32 whatever the backend.
        Activation::Sigmoid => ((v * 0.5).tanh() + 1.0) * 0.5,
        Activation::Retanh => relu(v.tanh()),
        // max(v, 0) + ln(1 + exp(-|v|)) never overflows.
        Activation::Softplus => relu(v.clone()) + v.abs().neg().exp().log1p(),
        Activation::Power => relu(v).square(),
        Activation::Linear => v,
    }
}

/// Returns the slopes `f'(v)` as a function of the rates `r = f(v)`; zero at a kink.
pub fn slopes<B: Backend, const D: usize>(
    activation: Activation,
    rates: Tensor<B, D>,
) -> Tensor<B, D> {
    match activation {
        Activation::Relu => one_where_positive(rates),
        Activation::Tanh => -rates.square() + 1.0,
        Activation::Sigmoid => rates.clone() * (-rates + 1.0),
        Activation::Retanh => one_where_positive(rates.clone()) * (-rates.square() + 1.0),
        Activation::Softplus => -(-rates).exp() + 1.0,
        Activation::Power => rates.sqrt() * 2.0,
        Activation::Linear => rates.ones_like(),
    }
}

fn one_where_positive<B: Backend, const D: usize>(values: Tensor<B, D>) -> Tensor<B, D> {
    let others = values.clone().lower_equal_elem(0.0);
    values.ones_like().mask_fill(others, 0.0)
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;
    use burn_ndarray::NdArray;

    use super::*;
    use crate::host_tensor;

    #[test]
    fn tensors_agree_with_the_scalar_form() {
        let potentials: Vec<f64> = (-400..=400).map(|k| f64::from(k) / 20.0).collect();
        for activation in Activation::ALL {
            let data = TensorData::new(potentials.clone(), [potentials.len()]);
            let v: Tensor<NdArray<f64>, 1> = host_tensor(data, &Default::default());
            let r = rates(activation, v);
            let s: Vec<f64> = slopes(activation, r.clone()).into_data().to_vec().unwrap();
            let r: Vec<f64> = r.into_data().to_vec().unwrap();
            for ((&v, r), s) in potentials.iter().zip(r).zip(s) {
                let errors = [r - activation.value(v), s - activation.slope(v)];
                assert!(
                    errors.iter().all(|error| error.abs() < 1e-13),
                    "{activation:?} at {v}: {errors:?}"
                );
            }
        }
    }
}
