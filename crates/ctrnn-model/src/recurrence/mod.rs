//! The recurrence over time: the trait by which a backend brings its own sweep, and the sweeps of backends.

mod autodiff;
mod cpu;
#[cfg(feature = "flex")]
mod flex;
#[cfg(feature = "gpu")]
mod gpu;
mod host_memory;
mod noise;
mod plain;
#[cfg(test)]
mod plasticity_tests;
mod sweep_tensors;
#[cfg(test)]
pub(crate) mod tests;

use burn::tensor::backend::AutodiffBackend;
use ctrnn_kernels::Operands;

use crate::FusedOps;

#[cfg(feature = "cuda")]
pub use gpu::Cuda;
#[cfg(feature = "wgpu")]
pub use gpu::Gpu;
pub(crate) use noise::{drawn, one_by_one};
pub(crate) use plain::{single_step, sweep as plain_sweep};
pub use sweep_tensors::{
    GradientTensors, NormalTensors, Pullback, ResultTensors, SweepTensors, primitive, tensor,
};

/// Backend on which the recurrence runs.
///
/// The provided methods are the plain path: one small tensor operation after another, on any backend; an empty `impl`
/// is enough. A backend with a fused sweep overrides both methods and must agree with the plain path to rounding.
pub trait RecurrenceBackend: FusedOps {
    /// Runs the recurrence over all time steps of a batch of trials.
    fn sweep(sweep: SweepTensors<Self>) -> ResultTensors<Self> {
        plain_sweep(sweep)
    }

    /// Runs the recurrence by one fused operation and returns its backward pass too; `None` if this backend has no fused sweep.
    /// `wanted` selects the gradients that the backward pass computes.
    fn sweep_with_pullback(
        _sweep: &SweepTensors<Self>,
        _wanted: Operands<bool>,
    ) -> Option<(ResultTensors<Self>, Pullback<Self>)> {
        None
    }

    /// Returns true if sweeps end each trial at its own length ([`SweepTensors::lengths`]). Other backends run the trials of each
    /// length in a sweep of their own.
    fn ends_trials() -> bool {
        false
    }

    /// Returns true if sweeps compute terms of an objective on their way: sums of the rates ([`rate_sums`](crate::Record::rate_sums)) and the
    /// vanishing-gradient penalty ([`SweepTensors::omega`]).
    fn fuses_terms() -> bool {
        false
    }
}

/// Backend on which networks are trained: it has gradients, and the recurrence runs on it and on the one without gradients.
pub trait TrainingBackend:
    RecurrenceBackend + AutodiffBackend<InnerBackend: RecurrenceBackend>
{
}

impl<B> TrainingBackend for B where
    B: RecurrenceBackend + AutodiffBackend<InnerBackend: RecurrenceBackend>
{
}
