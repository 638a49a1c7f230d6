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
        Activation::Power(law) => power(relu(v - law.threshold), law.exponent) * law.gain,
        Activation::Linear => v,
        // The slope at 0 is that of the leak.
        Activation::LeakyRelu(leak) => v.clone() * leak.slope + relu(v) * (1.0 - leak.slope),
        Activation::ClippedRelu(ceiling) => relu(v).clamp_max(ceiling.maximum),
        Activation::Cubic => {
            let v = v.clamp(-1.0, 1.0);
            v.clone() * (v.square() * -THIRD + 1.0)
        }
    }
}

/// Returns the slopes `f'(v)` as a function of the rates `r = f(v)`; at a kink those of [`Activation::slope`].
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
        Activation::Power(law) => match law.exponent {
            1.0 => one_where_positive(rates) * law.gain,
            2.0 => (rates * law.gain).sqrt() * 2.0,
            n => power(rates, (n - 1.0) / n) * (n * law.gain.powf(1.0 / n)),
        },
        Activation::Linear => rates.ones_like(),
        Activation::LeakyRelu(leak) => one_where_positive(rates) * (1.0 - leak.slope) + leak.slope,
        Activation::ClippedRelu(ceiling) => {
            let at_most = one_where_positive(-rates.clone() + ceiling.maximum);
            one_where_positive(rates) * at_most
        }
        Activation::Cubic => cubic_slopes(rates),
    }
}

const THIRD: f64 = 1.0 / 3.0;

/// Returns the slopes of the cubic by the steps of the CPU kernel (`cubic_slope` in `ctrnn-kernels/src/cpu/activation.rs`).
fn cubic_slopes<B: Backend, const D: usize>(rates: Tensor<B, D>) -> Tensor<B, D> {
    let largest = rates.ones_like() * -THIRD + 1.0;
    let q = (largest - rates.abs()).clamp_min(0.0);
    let s = q.clone().sqrt();
    let mut d = s.clone() * (s.clone() * (s * (5.0 / 72.0) + 1.0 / 6.0) + 1.0);
    for _ in 0..3 {
        let excess = d.clone().square() * (d.clone() * -THIRD + 1.0) - q.clone();
        let slope = d.clone() * (-d.clone() + 2.0);
        d = d - excess / slope.clamp_min(f32::MIN_POSITIVE);
    }
    d.clone() * (-d + 2.0)
}

/// Returns `x^exponent` for `x >= 0`. burn's own power takes its exponent in f32.
fn power<B: Backend, const D: usize>(x: Tensor<B, D>, exponent: f64) -> Tensor<B, D> {
    match exponent {
        1.0 => x,
        2.0 => x.square(),
        // A power of the smallest number is as good as 0, and its logarithm is finite.
        _ => (x.clamp_min(f32::MIN_POSITIVE).log() * exponent).exp(),
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

    use ctrnn_kernels::{Ceiling, Leak};

    use super::*;
    use crate::host_tensor;

    #[test]
    fn tensors_agree_with_the_scalar_form() {
        let potentials: Vec<f64> = (-400..=400).map(|k| f64::from(k) / 20.0).collect();
        let further = [
            Activation::power(1.0, 0.5, 0.25),
            Activation::power(2.0, 0.04, -0.5),
            Activation::power(2.2, 0.04, 0.25),
            Activation::LeakyRelu(Leak { slope: 0.25 }),
            Activation::ClippedRelu(Ceiling { maximum: 2.52 }),
        ];
        for activation in Activation::ALL.into_iter().chain(further) {
            let data = TensorData::new(potentials.clone(), [potentials.len()]);
            let v: Tensor<NdArray<f64>, 1> = host_tensor(data, &Default::default());
            let r = rates(activation, v);
            let s: Vec<f64> = slopes(activation, r.clone()).into_data().to_vec().unwrap();
            let r: Vec<f64> = r.into_data().to_vec().unwrap();
            for ((&v, r), s) in potentials.iter().zip(r).zip(s) {
                let (value, slope) = (activation.value(v), activation.slope(v));
                let scale = match activation {
                    Activation::Cubic => slope.max(s),
                    _ => 1.0 / slope.max(1.0),
                };
                let errors = [(r - value) / value.abs().max(1.0), (s - slope) * scale];
                assert!(
                    errors.iter().all(|error| error.abs() < 1e-13),
                    "{activation:?} at {v}: {errors:?}"
                );
            }
        }
    }
}
