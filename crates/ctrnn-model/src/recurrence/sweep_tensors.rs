//! Operands and results of a sweep as tensors, and its backward pass.

use std::sync::Arc;

use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorMetadata, TensorPrimitive};
use ctrnn_kernels::{
    Activation, Delays, Form, NoiseSource, NoiseTarget, Operands, RateTerm, Shape, SweepResults,
    SynapseConstants,
};

use crate::trajectory::{FusedOmega, Record};

/// Results of a sweep, or gradients of a loss with respect to them; `None` where one was not recorded or is not used by the loss.
/// Outputs and final state of a sweep are always there.
pub type ResultTensors<B> = SweepResults<Option<FloatTensor<B>>>;

/// Gradients of a loss with respect to the operands of a sweep; `None` where one was not wanted.
pub type GradientTensors<B> = Operands<Option<FloatTensor<B>>>;

/// Returns the rank-free primitive of a float tensor.
pub fn primitive<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}

/// Returns the tensor of a primitive, which must have rank `D`.
pub fn tensor<B: Backend, const D: usize>(primitive: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

/// The backward pass (vector-Jacobian product) of one sweep: maps gradients with respect to its results to gradients with respect
/// to its operands. It holds what the forward pass kept.
pub struct Pullback<B: Backend>(Arc<PullbackFn<B>>);

type PullbackFn<B> = dyn Fn(ResultTensors<B>) -> GradientTensors<B> + Send + Sync;

impl<B: Backend> Pullback<B> {
    /// Wraps a function.
    pub fn new(
        function: impl Fn(ResultTensors<B>) -> GradientTensors<B> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(function))
    }

    /// Computes the gradients.
    pub fn apply(&self, upstream: ResultTensors<B>) -> GradientTensors<B> {
        (self.0)(upstream)
    }
}

// burn keeps the state of an operation in a `Clone + Debug` struct, and neither can be derived for a function.
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
///           (NoiseTarget::State: r' = decay r + gain f(z) + noise_scale n)
/// readout:  y  = W_out (r + readout_noise xi) + b_out
/// ```
/// The recurrent matrix is `w_rc`, or the product of its factors `left right' / N`, or the sum of both.
/// With short-term plasticity `W_rc` sees `r u' x'` in place of r ([`ShortTermPlasticity`](crate::ShortTermPlasticity)).
/// With `delays`, a connection with delay d takes what it sees d time steps earlier; before the first step that is the same as in the
/// first.
///
/// Per-unit and learned time constants, integrators and noise conventions are converted to these factors before the sweep.
#[derive(Clone, Debug)]
pub struct SweepTensors<B: Backend> {
    /// Inputs, weights, factors per unit and initial state.
    pub operands: Operands<FloatTensor<B>>,
    /// Constants of short-term plasticity, if there is any.
    pub synapses: Option<SynapseConstants<FloatTensor<B>>>,
    /// Variable that the leak acts on.
    pub form: Form,
    /// Rate as a function of potential, `f`.
    pub activation: Activation,
    /// Place where the pre-activation noise enters; in the voltage form always the state.
    pub noise_target: NoiseTarget,
    /// Standard normals of the pre-activation noise.
    pub preactivation: NormalTensors<B>,
    /// Standard normals of the readout noise.
    pub postactivation: NormalTensors<B>,
    /// Standard deviation of the readout noise, `sigma_post`.
    pub readout_noise: f64,
    /// Results to keep besides outputs and final state.
    pub record: Record,
    /// Allows the backward pass to recompute the trajectory instead of having it kept ([`crate::Forward::recompute`]).
    pub recompute: bool,
    /// Delays of the recurrent connections; `None` if none is delayed.
    pub delays: Option<Arc<Delays>>,
    /// Number of time steps of each trial, `[B]`; empty if all of them take every time step, as on backends whose sweeps do not
    /// [end trials](crate::RecurrenceBackend::ends_trials).
    pub lengths: Vec<usize>,
    /// Vanishing-gradient penalty that the backward pass computes.
    pub omega: Option<FusedOmega>,
    /// Terms of the rates that the sweep computes, with their gradients.
    pub rate_terms: Vec<RateTerm>,
}

impl<B: Backend> SweepTensors<B> {
    /// Returns the sizes, read off the operands.
    pub fn shape(&self) -> Shape {
        let [steps, trials, inputs] = self.operands.inputs.shape().dims();
        let [outputs, units] = self.operands.w_out.shape().dims();
        let [full_rows, _] = self.operands.w_rc.shape().dims();
        let [_, rank] = self.operands.left.shape().dims();
        Shape {
            trials,
            steps,
            inputs,
            units,
            outputs,
            rank,
            without_full: full_rows == 0,
            synapses: if self.synapses.is_some() { units } else { 0 },
            rate_terms: self.rate_terms.len(),
        }
    }

    /// Returns true if the fused kernels of a GPU cover this sweep; the plain path computes any other there.
    #[cfg(feature = "gpu")]
    pub(crate) fn has_gpu_kernels(&self) -> bool {
        self.synapses.is_none() && self.delays.is_none()
    }
}

/// Source of the standard normals of a sweep; given ones are time-major, `[T,B,N]`.
pub type NormalTensors<B> = NoiseSource<Tensor<B, 3>>;
