//! The recurrence on the GPU: the plain path, until there are kernels for it.

use burn_wgpu::{CubeBackend, WgpuRuntime};

use super::RecurrenceBackend;

/// The GPU backend: burn's, without its fusion layer, whatever features other crates of a program turn on.
pub type Gpu = CubeBackend<WgpuRuntime, f32, i32, u32>;

impl RecurrenceBackend for Gpu {}
