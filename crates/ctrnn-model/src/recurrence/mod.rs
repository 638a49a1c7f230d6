//! The recurrence over time: what a sweep takes and gives, and the trait by which a backend brings its own.

mod autodiff;
mod cpu;
#[cfg(feature = "flex")]
mod flex;
#[cfg(feature = "gpu")]
mod gpu;
mod noise;
mod plain;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use ctrnn_kernels::{Activation, AdamStep, Form};
use ctrnn_random::Key;

use crate::trajectory::Record;

#[cfg(feature = "cuda")]
pub use gpu::Cuda;
#[cfg(feature = "wgpu")]
pub use gpu::Gpu;
pub(crate) use plain::{rates_of, single_step, sweep as plain_sweep};

/// A backend on which the recurrence runs.
///
/// The provided methods are the plain path: one small tensor operation after another, on any backend; an empty `impl`
/// is enough. A backend with a fused sweep overrides `sweep` and `sweep_with_pullback` and must agree with the plain path to rounding.
/// The other methods are what surrounds a sweep in every training step, for backends that do it in fewer and more exact operations.
pub trait RecurrenceBackend: Backend {
    /// Runs the recurrence over all time steps of a batch of trials.
    fn sweep(sweep: Sweep<Self>) -> Swept<Self> {
        plain_sweep(sweep)
    }

    /// The same by one fused operation that can be taken back; nothing if this backend has none. `wanted` says which
    /// gradients the way back will be asked for.
    fn sweep_with_pullback(
        _sweep: &Sweep<Self>,
        _wanted: Wanted,
    ) -> Option<(Swept<Self>, Pullback<Self>)> {
        None
    }

    /// `value [1]`, a function of `y` whose gradient is known: under automatic differentiation one operation. Of the three only `y` may
    /// be tracked.
    fn with_gradient(
        _y: Tensor<Self, 3>,
        value: Tensor<Self, 1>,
        _gradient: Tensor<Self, 3>,
    ) -> Tensor<Self, 1> {
        value
    }

    /// `sum w (y - target)^2 [1]` over all entries of `y [T,B,O]`, with weights `[T,B,O]` or, one for each row, `[T,B,1]`; and its gradient
    /// with respect to `y`, `2 w (y - target)`. Nothing is tracked: see [`RecurrenceBackend::with_gradient`].
    ///
    /// # Panics
    /// If the shapes are others.
    fn squared_error(
        y: Tensor<Self, 3>,
        target: Tensor<Self, 3>,
        weights: Tensor<Self, 3>,
    ) -> (Tensor<Self, 1>, Tensor<Self, 3>) {
        assert_errors_fit([&y, &target, &weights]);
        let error = y - target;
        let weighted = error.clone() * weights;
        ((error * weighted.clone()).sum(), weighted * 2.0)
    }

    /// The sum of the squares of all numbers of these tensors, of which there is one at least, `[1]`.
    fn sum_of_squares(tensors: &[&Tensor<Self, 1>]) -> Tensor<Self, 1> {
        let sums = tensors.iter().map(|&x| x.clone().square().sum());
        sums.reduce(|a, b| a + b).expect("there is a tensor")
    }

    /// An update of Adam by one operation: the next weights and their next two moments; nothing if this backend has none.
    fn adam(
        _step: &AdamStep,
        _weights: &Tensor<Self, 1>,
        _gradient: &Tensor<Self, 1>,
        _moments: [&Tensor<Self, 1>; 2],
    ) -> Option<[Tensor<Self, 1>; 3]> {
        None
    }
}

/// What is said at [`RecurrenceBackend::squared_error`] of its shapes.
fn assert_errors_fit<B: Backend>([y, target, weights]: [&Tensor<B, 3>; 3]) {
    let [steps, trials, outputs] = y.dims();
    assert_eq!(target.dims(), y.dims(), "targets are those of the outputs");
    let fits = [[steps, trials, 1], [steps, trials, outputs]].contains(&weights.dims());
    assert!(fits, "weights {:?} of {:?}", weights.dims(), y.dims());
}

/// Which gradients a backward sweep is asked for, besides those of bias and readout bias.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of the inputs; networks that feed one another need it.
    pub inputs: bool,
    /// Of `W_in`.
    pub w_in: bool,
    /// Of `W_rc`.
    pub w_rc: bool,
    /// Of `W_out`.
    pub w_out: bool,
    /// Of the initial state.
    pub initial_state: bool,
    /// Of decay, for which the potentials of every step are kept.
    pub decay: bool,
    /// Of gain.
    pub gain: bool,
    /// Of the noise scale.
    pub noise_scale: bool,
}

/// Gradients of a loss with respect to what a sweep gave, time-major as there; absent where the loss does not use it.
#[derive(Clone, Debug)]
pub struct Upstream<B: Backend> {
    /// With respect to the outputs `[T,B,O]`.
    pub outputs: Option<Tensor<B, 3>>,
    /// With respect to the rates `[T,B,N]`.
    pub rates: Option<Tensor<B, 3>>,
    /// With respect to the potentials `[T,B,N]`.
    pub potentials: Option<Tensor<B, 3>>,
    /// With respect to the final state `[B,N]`.
    pub final_state: Option<Tensor<B, 2>>,
}

/// Gradients of a loss with respect to what a sweep took; absent where it was not wanted.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names and shapes are those of `Sweep`")]
pub struct SweepGradients<B: Backend> {
    pub inputs: Option<Tensor<B, 3>>,
    pub w_in: Option<Tensor<B, 2>>,
    pub w_rc: Option<Tensor<B, 2>>,
    pub bias: Tensor<B, 1>,
    pub w_out: Option<Tensor<B, 2>>,
    pub bias_out: Tensor<B, 1>,
    pub decay: Option<Tensor<B, 1>>,
    pub gain: Option<Tensor<B, 1>>,
    pub noise_scale: Option<Tensor<B, 1>>,
    pub initial_state: Option<Tensor<B, 2>>,
}

/// The way back through one sweep: from the gradients of what it gave to those of what it took. It holds what the
/// forward sweep kept.
pub struct Pullback<B: Backend>(Arc<PullbackFn<B>>);

type PullbackFn<B> = dyn Fn(Upstream<B>) -> SweepGradients<B> + Send + Sync;

impl<B: Backend> Pullback<B> {
    /// A way back by a function.
    pub fn new(
        function: impl Fn(Upstream<B>) -> SweepGradients<B> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(function))
    }

    /// Takes gradients back.
    pub fn take_back(&self, upstream: Upstream<B>) -> SweepGradients<B> {
        (self.0)(upstream)
    }
}

impl<B: Backend> Clone for Pullback<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B: Backend> std::fmt::Debug for Pullback<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("Pullback")
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
    /// Whether the way back may compute the trajectory again instead of having it kept ([`crate::Forward::recompute`]).
    pub recompute: bool,
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
