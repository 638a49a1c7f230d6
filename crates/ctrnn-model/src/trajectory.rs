//! Options and results of a forward pass.

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use ctrnn_kernels::{OmegaTerm, RateTerm, UnitState};

use crate::parameters::host_tensor;

/// Options of a forward pass; the default is a noise-free pass from the network's own initial state that records the outputs alone.
#[derive(Clone, Debug)]
pub struct Forward<B: Backend> {
    /// Noise of the inputs, the initial state, the dynamics and the readout.
    pub noise: Noise<B>,
    /// State to start from, `[trial, unit]`: `v(0)` in the voltage form, `r(0)` in the rate form, with the synapses, which are
    /// `[trial, 0]` where they are not plastic; [`CtrnnModule::rested`](crate::CtrnnModule::rested) adds those at rest.
    /// Absent: the network's own, with its noise.
    pub initial_state: Option<UnitState<Tensor<B, 2>>>,
    /// Starts of the layers below the last one, from the inputs up. Empty: their own initial states, with the noise of the pass where it
    /// is drawn, and without noise where it is given, since that is the noise of the last layer.
    pub below: Vec<LayerStart<B>>,
    /// Number of the condition of each trial, `[trial]`, for a network with an initial state per condition.
    pub conditions: Vec<usize>,
    /// Number of time steps of each trial, `[trial]`: outputs and states after a trial's end are 0, and its final state is the one
    /// at its end. A fused sweep on the CPU then costs as much as all the time steps together; other backends run the trials of each
    /// length by themselves. Empty: all trials run for all time steps, and the states of a short one may grow without bound after its
    /// end.
    pub lengths: Vec<usize>,
    /// Results to keep besides outputs and final state.
    pub record: Record,
    /// Keep a few states for the backward pass instead of the whole trajectory, and recompute it there: about a third more time,
    /// and memory that grows with the square root of T. Gradients are the same to rounding. It has no effect where rates,
    /// potentials or synapses are recorded or Omega is computed, and on backends without a fused sweep.
    pub recompute: bool,
    /// Vanishing-gradient penalty that the backward pass adds; only on backends that [fuse terms](crate::RecurrenceBackend::fuses_terms).
    pub omega: Option<FusedOmega>,
    /// Terms of the rates of each layer that its sweep computes, on the same backends: they are among the
    /// [sums of the rates](Record::rate_sums), which are to be recorded. The whole trajectory is kept for them.
    pub rate_terms: Vec<RateTerm>,
}

/// Vanishing-gradient penalty of the last layer of a network, which the backward pass of a sweep computes on its way.
///
/// The gradient of the penalty is added to that of the effective recurrent weights. Its `d` is the gradient of everything that depends
/// on the readout; gradients with respect to rates and other results do not count.
#[derive(Clone, Debug)]
pub struct FusedOmega {
    term: OmegaTerm,
    value: Arc<Mutex<Option<f64>>>,
}

impl FusedOmega {
    /// Returns a penalty that has no value yet.
    #[must_use]
    pub fn new(term: OmegaTerm) -> Self {
        Self {
            term,
            value: Arc::default(),
        }
    }

    /// Returns factor, bound and pairing.
    pub const fn term(&self) -> &OmegaTerm {
        &self.term
    }

    /// Returns the value of the penalty times its factor; `None` until the backward pass has run.
    pub fn value(&self) -> Option<f64> {
        *self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, value: f64) {
        *self.value.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }
}

impl<B: Backend> Default for Forward<B> {
    fn default() -> Self {
        Self {
            noise: Noise::Off,
            initial_state: None,
            below: Vec::new(),
            conditions: Vec::new(),
            lengths: Vec::new(),
            record: Record::default(),
            recompute: false,
            omega: None,
            rate_terms: Vec::new(),
        }
    }
}

/// Noise and initial state of a layer below the last one.
#[derive(Clone, Debug, Default)]
pub struct LayerStart<B: Backend> {
    /// Noise of the layer.
    pub noise: Noise<B>,
    /// State to start from, as [`Forward::initial_state`]; absent: the layer's own, with its noise.
    pub initial_state: Option<UnitState<Tensor<B, 2>>>,
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
    /// Number of the first time step of the pass: 0 unless it is a part of a longer one, whose noise it then has.
    pub first_time_step: usize,
}

/// Results that a forward pass keeps besides outputs and final state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Firing rates after every step.
    pub rates: bool,
    /// Potentials after every step: `v`, or `z` of that step in the rate form.
    pub potentials: bool,
    /// Utilisation and resources after every step, where the network has short-term plasticity.
    pub synapses: bool,
    /// Sums of each unit's rates over trials and time steps; only on backends that
    /// [fuse terms](crate::RecurrenceBackend::fuses_terms).
    pub rate_sums: bool,
}

impl Record {
    /// Outputs and final state only.
    pub const OUTPUTS: Self = Self {
        rates: false,
        potentials: false,
        synapses: false,
        rate_sums: false,
    };
    /// Outputs, final state and firing rates.
    pub const RATES: Self = Self {
        rates: true,
        ..Self::OUTPUTS
    };
    /// Outputs, final state and the sums of the rates.
    pub const RATE_SUMS: Self = Self {
        rate_sums: true,
        ..Self::OUTPUTS
    };
    /// Outputs, final state, firing rates, potentials, utilisation and resources.
    pub const ALL: Self = Self {
        rates: true,
        potentials: true,
        synapses: true,
        rate_sums: false,
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
    /// Utilisation of the synapses `[trial, time, unit]`, if recorded and plastic.
    pub utilisation: Option<Tensor<B, 3>>,
    /// Resources of the synapses `[trial, time, unit]`, if recorded and plastic.
    pub resources: Option<Tensor<B, 3>>,
    /// Sums of the rates, if recorded.
    pub rate_sums: Option<RateSums<Tensor<B, 1>>>,
    /// State after the last step `[trial, unit]`: `v` (voltage form) or `r` (rate form), and with short-term plasticity the synapses.
    pub final_state: UnitState<Tensor<B, 2>>,
    /// Trajectories of the layers below the last one, from the inputs up; they have no outputs, `[trial, time, 0]`.
    pub below: Vec<Trajectory<B>>,
}

/// Sums of each unit's rates over the time steps of all trials, `[unit]`.
#[derive(Clone, Debug)]
pub struct RateSums<T> {
    /// Sum of the rates.
    pub rates: T,
    /// Sum of their absolute values.
    pub sizes: T,
    /// Sum of their squares.
    pub squares: T,
    /// Values of [`Forward::rate_terms`], `[K]`, if there are any.
    pub terms: Option<T>,
}

impl<T> RateSums<T> {
    /// Applies `f` to each sum.
    pub fn map<U>(self, f: impl Fn(T) -> U) -> RateSums<U> {
        RateSums {
            rates: f(self.rates),
            sizes: f(self.sizes),
            squares: f(self.squares),
            terms: self.terms.map(f),
        }
    }
}

impl<B: Backend> Trajectory<B> {
    /// Returns the trajectories of all layers, from the inputs up.
    pub fn layers(&self) -> impl Iterator<Item = &Self> {
        self.below.iter().chain([self])
    }
}

/// Applies a function of rows, one for each trial, to each variable of a state. Those of a network without short-term plasticity
/// are empty, `[trial, 0]`, and stay so: not every backend selects from an empty tensor.
pub fn map_rows<B: Backend>(
    state: UnitState<Tensor<B, 2>>,
    change: impl Fn(Tensor<B, 2>) -> Tensor<B, 2>,
) -> UnitState<Tensor<B, 2>> {
    let activity = change(state.activity);
    let of_synapses = |variable: Tensor<B, 2>| match variable.dims() {
        [_, 0] => no_synapses(activity.dims()[0], &activity.device()),
        _ => change(variable),
    };
    UnitState {
        utilisation: of_synapses(state.utilisation),
        resources: of_synapses(state.resources),
        activity,
    }
}

/// Joins the states of different trials.
///
/// # Panics
/// If there are none.
pub fn cat_rows<B: Backend>(
    states: impl IntoIterator<Item = UnitState<Tensor<B, 2>>>,
) -> UnitState<Tensor<B, 2>> {
    let all = states
        .into_iter()
        .map(|state| state.map(|variable| vec![variable]))
        .reduce(|all, more| all.zip(more).map(|(all, more)| [all, more].concat()))
        .expect("there are trials");
    let activity = Tensor::cat(all.activity, 0);
    let of_synapses = |variable: Vec<Tensor<B, 2>>| match variable[0].dims() {
        [_, 0] => no_synapses(activity.dims()[0], &activity.device()),
        _ => Tensor::cat(variable, 0),
    };
    UnitState {
        utilisation: of_synapses(all.utilisation),
        resources: of_synapses(all.resources),
        activity,
    }
}

/// Returns the empty state `[trial, 0]` of synapses that are not plastic.
pub(crate) fn no_synapses<B: Backend>(trials: usize, device: &B::Device) -> Tensor<B, 2> {
    host_tensor(TensorData::new(Vec::<f32>::new(), [trials, 0]), device)
}

/// Returns the outputs `[trial, time, 0]` of a layer below the last one: not every backend works with empty tensors.
pub(crate) fn no_outputs<B: Backend>(
    [trials, steps]: [usize; 2],
    device: &B::Device,
) -> Tensor<B, 3> {
    host_tensor(
        TensorData::new(Vec::<f32>::new(), [trials, steps, 0]),
        device,
    )
}
