//! Standard normals as tensors, where they are not drawn inside the sweep.

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Element as _, Tensor, TensorData};
use burn_ndarray::NdArray;
use ctrnn_kernels::{Draws, Element as _, draw_normals};
use ctrnn_random::unit_normals;

use super::NoiseSource;
use super::cpu::CpuBackend;
use crate::parameters::host_tensor;

impl<B: Backend> NoiseSource<B> {
    /// The draws `[T,B,N]`, time-major, or nothing where there is no noise: one after another, the reference.
    pub(crate) fn normals(
        &self,
        [steps, trials, units]: [usize; 3],
        device: &B::Device,
    ) -> Option<Tensor<B, 3>> {
        match self {
            Self::None => None,
            Self::Given(normals) => Some(normals.clone()),
            Self::Drawn(draws) => {
                let values = drawn_one_by_one(*draws, [steps, trials, units]);
                Some(host_tensor(
                    TensorData::new(values, [steps, trials, units]),
                    device,
                ))
            }
        }
    }
}

/// Draws `[T,B,N]` by the kernels; with the factor `L [N,N]` of a covariance, `L n` in place of `n`.
pub(crate) fn drawn<B: Backend>(
    draws: Draws,
    shape: [usize; 3],
    factor: Option<&[f64]>,
    device: &B::Device,
) -> Tensor<B, 3> {
    let data = match B::FloatElem::dtype() {
        DType::F64 => TensorData::new(by_kernel::<NdArray<f64>>(draws, shape, factor), shape),
        _ => TensorData::new(by_kernel::<NdArray<f32>>(draws, shape, factor), shape),
    };
    host_tensor(data, device)
}

fn by_kernel<C: CpuBackend>(
    draws: Draws,
    shape: [usize; 3],
    factor: Option<&[f64]>,
) -> Vec<C::Number> {
    let rounded = |factor: &[f64]| factor.iter().map(|&x| C::Number::from_f64(x)).collect();
    let factor: Option<Vec<C::Number>> = factor.map(rounded);
    draw_normals(draws, shape, factor.as_deref(), C::workspace())
}

/// Draws the normals of every time step, trial and unit, time-major, one after another.
fn drawn_one_by_one(draws: Draws, [steps, trials, units]: [usize; 3]) -> Vec<f32> {
    let mut values = vec![0.0; steps * trials * units];
    for block in 0..steps.div_ceil(4) {
        for trial in 0..trials {
            for unit in 0..units {
                let four = unit_normals(
                    draws.key,
                    unit as u32,
                    draws.first_trial + trial as u32,
                    block as u32,
                    draws.step,
                );
                for (t, value) in (4 * block..steps).zip(four) {
                    values[(t * trials + trial) * units + unit] = value;
                }
            }
        }
    }
    values
}
