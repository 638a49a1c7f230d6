//! Options and results of a forward pass.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use ctrnn_kernels::UnitState;

/// Options of a forward pass; the default is a noise-free pass from the network's own initial state that records the outputs alone.
#[derive(Clone, Debug)]
pub struct Forward<B: Backend> {
    /// Noise of the inputs, the initial state, the dynamics and the readout.
    pub noise: Noise<B>,
    /// State to start from, `[trial, unit]`: `v(0)` in the voltage form, `r(0)` in the rate form.
    /// Absent: the network's own, with its noise.
    pub initial_state: Option<UnitState<Tensor<B, 2>>>,
    /// Number of the condition of each trial, `[trial]`, for a network with an initial state per condition.
    pub conditions: Vec<usize>,
    /// Number of time steps of each trial, `[trial]`: outputs and states after a trial's end are 0, and its final state is the one
    /// at its end. Empty: all trials run for all time steps, together, which is faster; the states of a short trial may then grow
    /// without bound after its end.
    pub lengths: Vec<usize>,
    /// Results to keep besides outputs and final state.
    pub record: Record,
    /// Keep a few states for the backward pass instead of the whole trajectory, and recompute it there: about a third more time,
    /// and memory that grows with the square root of T. Gradients are the same to rounding. It has no effect where rates or
    /// potentials are recorded, and on backends without a fused sweep.
    pub recompute: bool,
}

impl<B: Backend> Default for Forward<B> {
    fn default() -> Self {
        Self {
            noise: Noise::Off,
            initial_state: None,
            conditions: Vec::new(),
            lengths: Vec::new(),
            record: Record::default(),
            recompute: false,
        }
    }
}

/// Source of the noise of a forward pass. Its size is always given by the network's own `sigma` and convention.
#[derive(Clone, Debug, Default)]
pub enum Noise<B: Backend> {
    /// No noise.
    #[default]
    Off,
    /// Standard normals drawn from our generator at this address.
    Drawn(NoiseAddress),
    /// Standard normals given as `[trial, time, unit]`; a kind that is absent is zero.
    Given {
        /// Standard normals of `eps`.
        preactivation: Option<Tensor<B, 3>>,
        /// Standard normals of `xi`.
        postactivation: Option<Tensor<B, 3>>,
        /// Standard normals of the input noise, `[trial, time, input]`.
        input: Option<Tensor<B, 3>>,
    },
}

/// Address of a pass's noise: the same address gives the same noise, whatever the batch, device or thread count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoiseAddress {
    /// Seed of the run.
    pub seed: u64,
    /// Number of the pass: the training step, for example.
    pub step: u32,
    /// Number of the first trial of the batch; trial b of the batch has number `first_trial + b`.
    pub first_trial: u32,
}

/// Results that a forward pass keeps besides outputs and final state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Firing rates after every step.
    pub rates: bool,
    /// Potentials after every step: `v`, or `z` of that step in the rate form.
    pub potentials: bool,
}

impl Record {
    /// Outputs and final state only.
    pub const OUTPUTS: Self = Self {
        rates: false,
        potentials: false,
    };
    /// Outputs, final state and firing rates.
    pub const RATES: Self = Self {
        rates: true,
        potentials: false,
    };
    /// Outputs, final state, firing rates and potentials.
    pub const ALL: Self = Self {
        rates: true,
        potentials: true,
    };
}

/// Results of a forward pass: `[trial, time, unit]` views of time-major memory. Index k is the state after input k.
#[derive(Clone, Debug)]
pub struct Trajectory<B: Backend> {
    /// Readout `y`, `[trial, time, output]`, before the output nonlinearity ([`CtrnnModule::activate`](crate::CtrnnModule::activate)).
    pub outputs: Tensor<B, 3>,
    /// Firing rates `[trial, time, unit]`, if recorded.
    pub rates: Option<Tensor<B, 3>>,
    /// Potentials `[trial, time, unit]`, if recorded.
    pub potentials: Option<Tensor<B, 3>>,
    /// State after the last step `[trial, unit]`: `v` (voltage form) or `r` (rate form).
    pub final_state: UnitState<Tensor<B, 2>>,
}
