//! Standard normals as tensors, where they are not drawn inside the sweep.

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Element as _, Tensor, TensorData};
use burn_ndarray::NdArray;
use ctrnn_kernels::{Element as _, draw_normals};
use ctrnn_random::unit_normals;

use super::cpu::CpuBackend;
use super::{Draws, NoiseSource};
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
                let values = draws.normals([steps, trials, units]);
                Some(host_tensor(
                    TensorData::new(values, [steps, trials, units]),
                    device,
                ))
            }
        }
    }
}

impl Draws {
    /// The same by the kernels; with the factor `L [N,N]` of a covariance, `L n` in place of `n`.
    pub(crate) fn tensor<B: Backend>(
        self,
        shape: [usize; 3],
        factor: Option<&[f64]>,
        device: &B::Device,
    ) -> Tensor<B, 3> {
        let data = match B::FloatElem::dtype() {
            DType::F64 => TensorData::new(self.by_kernel::<NdArray<f64>>(shape, factor), shape),
            _ => TensorData::new(self.by_kernel::<NdArray<f32>>(shape, factor), shape),
        };
        host_tensor(data, device)
    }

    fn by_kernel<C: CpuBackend>(self, shape: [usize; 3], factor: Option<&[f64]>) -> Vec<C::Number> {
        let draws = ctrnn_kernels::Draws {
            key: self.key,
            step: self.step,
            first_trial: self.first_trial,
            first_time_block: 0,
        };
        let rounded = |factor: &[f64]| factor.iter().map(|&x| C::Number::from_f64(x)).collect();
        let factor: Option<Vec<C::Number>> = factor.map(rounded);
        draw_normals(draws, shape, factor.as_deref(), C::workspace())
    }

    /// The draws of every time step, trial and unit, time-major.
    fn normals(&self, [steps, trials, units]: [usize; 3]) -> Vec<f32> {
        let mut values = vec![0.0; steps * trials * units];
        for block in 0..steps.div_ceil(4) {
            for trial in 0..trials {
                for unit in 0..units {
                    let four = unit_normals(
                        self.key,
                        unit as u32,
                        self.first_trial + trial as u32,
                        block as u32,
                        self.step,
                    );
                    for (t, value) in (4 * block..steps).zip(four) {
                        values[(t * trials + trial) * units + unit] = value;
                    }
                }
            }
        }
        values
    }
}
