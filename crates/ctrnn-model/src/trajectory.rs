//! What a forward pass is asked for and what it gives.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use ctrnn_kernels::UnitState;

/// What a forward pass needs beside its inputs; the default is a noise-free pass from the network's own initial state
/// that records the outputs alone.
#[derive(Clone, Debug)]
pub struct Forward<B: Backend> {
    /// Noise of the inputs, the initial state, the dynamics and the readout.
    pub noise: Noise<B>,
    /// State to start from, `[trial, unit]`: `v(0)` in the voltage form, `r(0)` in the rate form.
    /// Absent: the network's own, with its noise.
    pub initial_state: Option<UnitState<Tensor<B, 2>>>,
    /// Number of the condition of each trial, `[trial]`, for a network with an initial state per condition.
    pub conditions: Vec<usize>,
    /// What to keep beside outputs and final state.
    pub record: Record,
    /// Keep a few states for the way back instead of the whole trajectory, and compute it again there: about a third more
    /// time, and memory that grows with the root of T. Gradients are the same to rounding. It does nothing where rates or
    /// potentials are recorded, and on backends without a fused sweep.
    pub recompute: bool,
}

impl<B: Backend> Default for Forward<B> {
    fn default() -> Self {
        Self {
            noise: Noise::Off,
            initial_state: None,
            conditions: Vec::new(),
            record: Record::default(),
            recompute: false,
        }
    }
}

/// Where the noise of a forward pass comes from. Its size is always the network's own `sigma` and convention.
#[derive(Clone, Debug, Default)]
pub enum Noise<B: Backend> {
    /// None at all.
    #[default]
    Off,
    /// Standard normals drawn from our generator at this address.
    Drawn(NoiseAddress),
    /// Standard normals given as `[trial, time, unit]`; a kind that is absent is zero.
    Given {
        /// Draws behind `eps`.
        preactivation: Option<Tensor<B, 3>>,
        /// Draws behind `xi`.
        postactivation: Option<Tensor<B, 3>>,
        /// Draws behind the noise of the inputs, `[trial, time, input]`.
        input: Option<Tensor<B, 3>>,
    },
}

/// The address of a pass's noise: the same address gives the same noise, whatever the batch, device or thread count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoiseAddress {
    /// Seed of the run.
    pub seed: u64,
    /// Number of the pass: the training step, for example.
    pub step: u32,
    /// Number of the first trial of the batch; trial b of the batch has number `first_trial + b`.
    pub first_trial: u32,
}

/// What a forward pass keeps beside outputs and final state.
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
    /// Rates too.
    pub const RATES: Self = Self {
        rates: true,
        potentials: false,
    };
    /// Rates and potentials too.
    pub const ALL: Self = Self {
        rates: true,
        potentials: true,
    };
}

/// What a forward pass gives: `[trial, time, unit]` views of time-major memory. Index k is the state after input k.
#[derive(Clone, Debug)]
pub struct Trajectory<B: Backend> {
    /// The readout `y`, `[trial, time, output]`, before the output nonlinearity ([`CtrnnModule::activate`](crate::CtrnnModule::activate)).
    pub outputs: Tensor<B, 3>,
    /// Firing rates `[trial, time, unit]`, if recorded.
    pub rates: Option<Tensor<B, 3>>,
    /// Potentials `[trial, time, unit]`, if recorded.
    pub potentials: Option<Tensor<B, 3>>,
    /// State after the last step `[trial, unit]`: `v` (voltage form) or `r` (rate form).
    pub final_state: UnitState<Tensor<B, 2>>,
}
