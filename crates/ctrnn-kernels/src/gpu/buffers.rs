//! Tensors of a sweep on a device: buffers of `f32` in the layout of the CPU kernels.

use cubecl::server::Handle;

use crate::{Activation, Form, NoiseSource, NoiseTarget, Operands, Shape, SweepResults, UnitState};

/// Everything that determines a trajectory, on the device.
#[derive(Clone, Debug)]
pub struct SweepBuffers {
    /// Sizes.
    pub shape: Shape,
    /// Variable that the leak acts on.
    pub form: Form,
    /// Rate as a function of potential.
    pub activation: Activation,
    /// Place where `eps` enters; in the voltage form always the state.
    pub noise_target: NoiseTarget,
    /// Inputs, weights, factors per unit and initial state. The right factor is divided by N: the recurrent matrix is
    /// `w_rc + left right'`.
    pub operands: Operands<Handle>,
    /// Recurrent weights as `[pre, post]`, if there is a full matrix, followed by the right and the left factor.
    pub w_forward: Handle,
    /// Recurrent weights as `[post, pre]`, if there is a full matrix, followed by the left and the right factor.
    pub w_backward: Handle,
    /// Noise `eps`, which the dynamics carry on; given normals are `[T, B, N]`.
    pub eps: NoiseSource<Handle>,
    /// Noise `xi`, which only the readout sees.
    pub xi: NoiseSource<Handle>,
    /// Factor of the standard normals of `xi`.
    pub sigma_post: f32,
}

impl SweepBuffers {
    /// Returns the place where the kernels add `eps`. In the voltage form the drive is a part of the new state, so that one kernel
    /// prepares drive and noise together.
    pub(super) fn noise_place(&self) -> NoiseTarget {
        match self.form {
            Form::Voltage => NoiseTarget::Drive,
            Form::Rate => self.noise_target,
        }
    }

    /// Returns the number of weights in `w_forward`, and in `w_backward`.
    pub(super) fn weights(&self) -> usize {
        (self.shape.full_rows() + 2 * self.shape.rank) * self.shape.units
    }

    /// Returns true if the readout sees noise.
    pub(super) fn has_readout_noise(&self) -> bool {
        !self.xi.is_none() && self.sigma_post != 0.0 && self.shape.outputs > 0
    }
}

/// Results that a forward sweep keeps besides rates, outputs and final state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Keep {
    /// `f(z)`, which the backward sweep of the rate form needs.
    pub responses: bool,
    /// Potentials, which the gradient of decay of the voltage form needs.
    pub potentials: bool,
}

/// Results of a forward sweep.
#[derive(Clone, Debug)]
pub struct TrajectoryBuffers {
    /// Rates `[T + 1, B, N]`; the first are those of the initial state.
    pub rates: Handle,
    /// `f(z)` `[T, B, N]`, if kept; rate form only.
    pub responses: Option<Handle>,
    /// Potentials `[T, B, N]`, if kept.
    pub potentials: Option<Handle>,
    /// Rates with the noise of the readout `[T, B, N]`, where there is such noise.
    pub noisy_rates: Option<Handle>,
    /// Readout `[T, B, O]`.
    pub outputs: Handle,
    /// State after the last time step.
    pub final_state: UnitState<Handle>,
}

/// Gradients of a loss with respect to the results of a sweep; `None` where the loss does not use one.
pub type UpstreamBuffers = SweepResults<Option<Handle>>;

/// Gradients of a loss with respect to the operands of a sweep.
#[derive(Clone, Debug)]
pub struct GradientBuffers {
    /// Gradients of the matrices, the inputs, the readout bias and the initial state; `None` where one is not wanted, or zero because
    /// the network has no inputs or the loss does not use the readout. That of the right factor is with respect to the factor divided by N.
    pub operands: Operands<Option<Handle>>,
    /// Gradients of bias, decay, gain (rate form only) and noise scale, `[4, N]`; zero where not wanted. In the voltage form the
    /// gradient of gain follows from those of the weights: `gain g_gain = w_rc g_w_rc + left g_left + W_in g_W_in + b g_b`, sums over
    /// the entries of a unit's row.
    pub units: Handle,
}
