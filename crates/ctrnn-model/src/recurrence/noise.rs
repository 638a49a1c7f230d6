//! Standard normals as tensors, where they are not drawn inside the sweep.

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Element as _, Tensor, TensorData};
use burn_ndarray::NdArray;
use ctrnn_kernels::{DrawAddress, Element as _, NoiseSource, draw_normals};
use ctrnn_random::unit_normals;

use super::NormalTensors;
use super::host_memory::CpuBackend;
use crate::parameters::host_tensor;

/// Returns the normals `[T,B,N]` of a source, drawn one after another: the reference. `None` without noise.
pub(crate) fn one_by_one<B: Backend>(
    source: &NormalTensors<B>,
    shape: [usize; 3],
    device: &B::Device,
) -> Option<Tensor<B, 3>> {
    match source {
        NoiseSource::None => None,
        NoiseSource::Given(normals) => Some(normals.clone()),
        NoiseSource::Drawn(address) => {
            let values = drawn_one_by_one(*address, shape);
            Some(host_tensor(TensorData::new(values, shape), device))
        }
    }
}

/// Draws `[T,B,N]` by the kernels; with the factor `L [N,N]` of a covariance, `L n` in place of `n`.
pub(crate) fn drawn<B: Backend>(
    address: DrawAddress,
    shape: [usize; 3],
    factor: Option<&[f64]>,
    device: &B::Device,
) -> Tensor<B, 3> {
    let data = match B::FloatElem::dtype() {
        DType::F64 => TensorData::new(by_kernel::<NdArray<f64>>(address, shape, factor), shape),
        _ => TensorData::new(by_kernel::<NdArray<f32>>(address, shape, factor), shape),
    };
    host_tensor(data, device)
}

fn by_kernel<C: CpuBackend>(
    address: DrawAddress,
    shape: [usize; 3],
    factor: Option<&[f64]>,
) -> Vec<C::Number> {
    let factor: Option<Vec<C::Number>> =
        factor.map(|factor| factor.iter().map(|&x| C::Number::from_f64(x)).collect());
    draw_normals(address, shape, factor.as_deref(), C::workspace())
}

/// Draws the normals of every time step, trial and unit, time-major, one after another.
fn drawn_one_by_one(address: DrawAddress, [steps, trials, units]: [usize; 3]) -> Vec<f32> {
    let mut values = vec![0.0; steps * trials * units];
    for block in 0..steps.div_ceil(4) {
        for trial in 0..trials {
            for unit in 0..units {
                let four = unit_normals(
                    address.key,
                    unit as u32,
                    address.first_trial + trial as u32,
                    address.first_time_block + block as u32,
                    address.step,
                );
                for (t, value) in (4 * block..steps).zip(four) {
                    values[(t * trials + trial) * units + unit] = value;
                }
            }
        }
    }
    values
}
