//! Standard normals as tensors, for paths that do not draw them inside the sweep.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use ctrnn_random::unit_normals;

use super::{Draws, NoiseSource};
use crate::parameters::host_tensor;

impl<B: Backend> NoiseSource<B> {
    /// The draws `[T,B,N]`, time-major, or nothing where there is no noise.
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
