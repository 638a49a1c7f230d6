//! The fused sweep on burn-flex, burn's other CPU backend (feature `flex`).

use std::borrow::Cow;
use std::sync::LazyLock;

use burn::tensor::TensorData;
use burn_flex::{Flex, FlexTensor};
use ctrnn_kernels::Workspace;

use super::cpu::fused_sweep;
use super::host_memory::{CpuBackend, kernel_path};
use super::{primitive, tensor};

impl CpuBackend for Flex {
    type Number = f32;

    fn workspace() -> &'static Workspace<f32> {
        static WORKSPACE: LazyLock<Workspace<f32>> =
            LazyLock::new(|| Workspace::new(kernel_path()));
        &WORKSPACE
    }

    fn numbers(tensor: &FlexTensor) -> Cow<'_, [f32]> {
        match tensor.as_slice() {
            Some(numbers) => Cow::Borrowed(numbers),
            None => Cow::Owned(tensor.to_contiguous().storage().to_vec()),
        }
    }

    fn tensor(numbers: Vec<f32>, shape: &[usize]) -> FlexTensor {
        FlexTensor::from_data(TensorData::new(numbers, shape.to_vec()))
    }

    fn without_first(all: FlexTensor) -> FlexTensor {
        let all = tensor::<Self, 3>(all);
        let [rows, _, _] = all.dims();
        primitive(all.narrow(0, 1, rows - 1))
    }
}

fused_sweep!(Flex);
