//! The recurrence over time: what a sweep takes and gives, and the trait by which a backend brings its own.

mod autodiff;
mod cpu;
mod noise;
mod plain;
#[cfg(test)]
mod tests;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use ctrnn_kernels::{Activation, Form};
use ctrnn_random::Key;

use crate::trajectory::Record;

pub use plain::State;
pub(crate) use plain::{single_step, sweep as plain_sweep};

/// A backend on which the recurrence runs.
///
/// The provided method is the plain path: one small tensor operation after another. It works on every backend and is
/// the reference; a backend with a fused sweep overrides it and must agree with it to rounding.
pub trait RecurrenceBackend: Backend {
    /// Runs the recurrence over all time steps of a batch of trials.
    fn sweep(sweep: Sweep<Self>) -> Swept<Self> {
        plain_sweep(sweep)
    }
}

/// Everything that a sweep over time needs, in the one general form that covers all conventions.
///
/// ```text
/// voltage:  v' = decay v + gain (W_rc r + W_in u + b) + noise_scale n        r = f(v)
/// rate:     r' = decay r + gain f(z)                                          z = W_rc r + W_in u + b + noise_scale n
///           (noise_on_state: r' = decay r + gain f(z) + noise_scale n)
/// readout:  y  = W_out (r + readout_noise xi) + b_out
/// ```
/// Per-unit and learned time constants, integrators and noise conventions are formulas in front of it.
#[derive(Clone, Debug)]
pub struct Sweep<B: Backend> {
    /// `u`, time-major `[T,B,I]`.
    pub inputs: Tensor<B, 3>,
    /// Effective `W_in [N,I]`.
    pub w_in: Tensor<B, 2>,
    /// Effective `W_rc [N,N]`.
    pub w_rc: Tensor<B, 2>,
    /// `b [N]`.
    pub bias: Tensor<B, 1>,
    /// Effective `W_out [O,N]`.
    pub w_out: Tensor<B, 2>,
    /// `b_out [O]`.
    pub bias_out: Tensor<B, 1>,
    /// What remains of a state after one step, `[N]`.
    pub decay: Tensor<B, 1>,
    /// What a step adds of the drive, `[N]`.
    pub gain: Tensor<B, 1>,
    /// Size of the pre-activation noise, `[N]`.
    pub noise_scale: Tensor<B, 1>,
    /// State before the first step, `[B,N]`.
    pub initial_state: Tensor<B, 2>,
    /// Which variable the leak acts on.
    pub form: Form,
    /// `f`.
    pub activation: Activation,
    /// In the rate form: noise acts on the new state instead of the drive. The voltage form always adds it to the state.
    pub noise_on_state: bool,
    /// Standard normals behind the pre-activation noise.
    pub preactivation: NoiseSource<B>,
    /// Standard normals behind the readout noise.
    pub postactivation: NoiseSource<B>,
    /// Size of the readout noise `sigma_post`.
    pub readout_noise: f64,
    /// What to keep.
    pub record: Record,
}

/// Standard normals of a sweep.
#[derive(Clone, Debug)]
pub enum NoiseSource<B: Backend> {
    /// No noise.
    None,
    /// Drawn at an address.
    Drawn(Draws),
    /// Given, time-major `[T,B,N]`.
    Given(Tensor<B, 3>),
}

/// The address of a sweep's draws.
#[derive(Clone, Copy, Debug)]
pub struct Draws {
    /// Key of the stream.
    pub key: Key,
    /// Number of the pass.
    pub step: u32,
    /// Number of the batch's first trial.
    pub first_trial: u32,
}

/// What a sweep gives, time-major.
#[derive(Clone, Debug)]
pub struct Swept<B: Backend> {
    /// `y [T,B,O]`.
    pub outputs: Tensor<B, 3>,
    /// `r [T,B,N]` after each step, if recorded.
    pub rates: Option<Tensor<B, 3>>,
    /// `v`, or `z` in the rate form, `[T,B,N]` after each step, if recorded.
    pub potentials: Option<Tensor<B, 3>>,
    /// State after the last step, `[B,N]`.
    pub final_state: Tensor<B, 2>,
}
