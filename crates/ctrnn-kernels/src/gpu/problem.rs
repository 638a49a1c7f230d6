//! What a sweep on a device takes and gives: buffers of `f32` there, in the layout of the CPU kernels with an axis over networks
//! in front.

use cubecl::server::Handle;

use crate::{Activation, Draws, Form, NoiseTarget, Operands, Shape, SweepResults};

/// The sizes of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Networks K that run side by side, at least 1.
    pub networks: usize,
    /// Trials, time steps, inputs, units and outputs of each.
    pub shape: Shape,
}

impl Size {
    /// Numbers `[K, T, B, N]`.
    pub(super) const fn states(&self) -> usize {
        self.networks * self.shape.states()
    }

    /// Numbers `[K, T + 1, B, N]`.
    pub(super) const fn history(&self) -> usize {
        self.networks * self.shape.history()
    }

    /// Numbers `[K, B, N]`.
    pub(super) const fn state(&self) -> usize {
        self.networks * self.shape.trials * self.shape.units
    }

    /// Rows `T B` of a network.
    pub(super) const fn rows(&self) -> usize {
        self.shape.steps * self.shape.trials
    }
}

/// Standard normals `[K, T, B, N]`.
#[derive(Clone, Debug)]
pub enum Normals {
    /// No noise.
    None,
    /// Drawn by a kernel, for one network.
    Drawn(Draws),
    /// Given.
    Given(Handle),
}

impl Normals {
    pub(super) const fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }
}

/// Everything that determines a trajectory, on the device.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The sizes.
    pub size: Size,
    /// Which variable the leak acts on.
    pub form: Form,
    /// The rate as a function of potential.
    pub activation: Activation,
    /// Where `eps` enters; in the voltage form always at the state.
    pub noise_target: NoiseTarget,
    /// Inputs, weights, factors per unit and initial state, each with an axis over networks in front.
    pub operands: Operands<Handle>,
    /// Recurrent weights as `[K, pre, post]`.
    pub w_rc_transposed: Handle,
    /// The noise `eps` that the dynamics carry on.
    pub eps: Normals,
    /// The noise `xi` that the readout alone sees.
    pub xi: Normals,
    /// What a standard normal of `xi` is multiplied with.
    pub sigma_post: f32,
}

impl Problem {
    /// Whether noise is added to the new state of the rate form.
    pub(super) fn is_kicked(&self) -> bool {
        self.form == Form::Rate && self.noise_target == NoiseTarget::State && self.eps.is_some()
    }

    /// Whether noise is a part of the drive.
    pub(super) fn has_noisy_drive(&self) -> bool {
        self.eps.is_some() && !self.is_kicked()
    }

    /// Whether the readout hears noise.
    pub(super) fn hears_noise(&self) -> bool {
        self.xi.is_some() && self.sigma_post != 0.0 && self.size.shape.outputs > 0
    }
}

/// What a forward sweep keeps beside rates, outputs and final state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// `f(z)`, which the way back of the rate form needs.
    pub responses: bool,
    /// Potentials, which the gradient of decay of the voltage form needs.
    pub potentials: bool,
}

/// What a forward sweep gives.
#[derive(Clone, Debug)]
pub struct Trajectory {
    /// Rates `[K, T + 1, B, N]`; the first are those of the initial state.
    pub rates: Handle,
    /// `f(z)` `[K, T, B, N]`, if kept; rate form only.
    pub responses: Option<Handle>,
    /// Potentials `[K, T, B, N]`, if kept.
    pub potentials: Option<Handle>,
    /// Rates with the noise of the readout `[K, T, B, N]`, where there is such noise.
    pub heard: Option<Handle>,
    /// Readout `[K, T, B, O]`.
    pub outputs: Handle,
    /// The last state `[K, B, N]`.
    pub final_state: Handle,
}

/// Gradients of a loss with respect to the results of a sweep, each with an axis over networks in front; `None` where the loss does
/// not use one.
pub type Upstream = SweepResults<Option<Handle>>;

/// The gradients of a loss with respect to what a sweep took.
#[derive(Clone, Debug)]
pub struct Gradients {
    /// With respect to the inputs, `[K, T, B, I]`, if wanted.
    pub inputs: Option<Handle>,
    /// With respect to the input weights, `[K, N, I]`, if wanted.
    pub w_in: Option<Handle>,
    /// With respect to the recurrent weights, `[K, N, N]`, if wanted.
    pub w_rc: Option<Handle>,
    /// With respect to the readout weights, `[K, O, N]`, if wanted and the loss uses the readout.
    pub w_out: Option<Handle>,
    /// With respect to the readout bias, `[K, O]`, if the loss uses the readout.
    pub bias_out: Option<Handle>,
    /// With respect to the initial state, `[K, B, N]`.
    pub initial_state: Handle,
    /// With respect to bias, decay, gain (rate form only) and noise scale, `[K, 4, N]`; zero where not wanted. In the voltage
    /// form the gradient of gain follows from those of the weights: `gain g_gain = W_rc g_W_rc + W_in g_W_in + b g_b`.
    pub units: Handle,
}
