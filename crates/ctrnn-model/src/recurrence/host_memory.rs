//! Backends whose tensors are arrays in host memory: their numbers as slices, and back.

use std::borrow::Cow;
use std::sync::LazyLock;

use burn::tensor::Shape;
use burn::tensor::backend::Backend;
use burn_ndarray::{NdArray, NdArrayTensor};
use ctrnn_kernels::{KernelPath, SweepElement, Workspace};
use ndarray::{ArrayD, ArrayView, ArrayViewD, Dimension, Ix3, IxDyn};

/// A backend whose tensors are arrays in host memory.
pub(super) trait CpuBackend: Backend {
    /// Element type.
    type Number: SweepElement + burn::tensor::Element;
    /// Returns the memory that sweeps of this process reuse.
    fn workspace() -> &'static Workspace<Self::Number>;
    /// Returns the numbers of a tensor in the order of its shape; a copy only where memory has another order.
    fn numbers(tensor: &Self::FloatTensorPrimitive) -> Cow<'_, [Self::Number]>;
    /// Returns the numbers of a tensor in another shape.
    fn reshaped(tensor: Self::FloatTensorPrimitive, shape: &[usize]) -> Self::FloatTensorPrimitive {
        Self::float_reshape(tensor, Shape::from(shape.to_vec()))
    }
    /// Returns a tensor that takes over numbers in the order of its shape.
    fn tensor(numbers: Vec<Self::Number>, shape: &[usize]) -> Self::FloatTensorPrimitive;
}

macro_rules! in_host_memory {
    ($element:ty, $variant:ident) => {
        impl CpuBackend for NdArray<$element> {
            type Number = $element;

            fn workspace() -> &'static Workspace<$element> {
                static WORKSPACE: LazyLock<Workspace<$element>> =
                    LazyLock::new(|| Workspace::new(kernel_path()));
                &WORKSPACE
            }

            fn numbers(tensor: &NdArrayTensor) -> Cow<'_, [$element]> {
                let NdArrayTensor::$variant(storage) = tensor else {
                    panic!(
                        "a float tensor of this backend holds {}",
                        stringify!($element)
                    );
                };
                let view = storage.view();
                match view.to_slice() {
                    Some(slice) => Cow::Borrowed(slice),
                    None => Cow::Owned(copied(view)),
                }
            }

            fn reshaped(tensor: NdArrayTensor, shape: &[usize]) -> NdArrayTensor {
                let NdArrayTensor::$variant(storage) = tensor else {
                    panic!(
                        "a float tensor of this backend holds {}",
                        stringify!($element)
                    );
                };
                // Takes over the memory unless it has another order.
                let array = storage.into_shared().into_shape_clone(shape);
                array.expect("as many numbers as the shape says").into()
            }

            fn tensor(numbers: Vec<$element>, shape: &[usize]) -> NdArrayTensor {
                ArrayD::from_shape_vec(IxDyn(shape), numbers)
                    .expect("as many numbers as the shape says")
                    .into_shared()
                    .into()
            }
        }
    };
}

in_host_memory!(f32, F32);
in_host_memory!(f64, F64);

/// Copies the numbers of an array in the order of its shape: row by row, which is several times as fast as one by one.
fn copied<T: Copy>(array: ArrayViewD<'_, T>) -> Vec<T> {
    let mut numbers = Vec::with_capacity(array.len());
    // Places of a known number of dimensions are found several times as fast.
    match array.view().into_dimensionality::<Ix3>() {
        Ok(array) => add_rows(&mut numbers, array),
        Err(_) => add_rows(&mut numbers, array),
    }
    numbers
}

fn add_rows<T: Copy, D: Dimension>(numbers: &mut Vec<T>, array: ArrayView<'_, T, D>) {
    for row in array.rows() {
        match row.to_slice() {
            Some(row) => numbers.extend_from_slice(row),
            None => numbers.extend(row.iter().copied()),
        }
    }
}

/// Returns the instruction set that this process uses.
///
/// # Panics
/// If the environment asks for one that this CPU lacks; a program asks [`KernelPath::selected`] first.
pub(super) fn kernel_path() -> KernelPath {
    KernelPath::selected().unwrap_or_else(|error| panic!("{error}"))
}
