//! The problem that a sweep solves: its sizes, and what each slice means.
//!
//! Buffers over time are time-major, `[time, trial, *]`, without gaps; matrices are `[post, pre]`, row by row.

use crate::noise::NoiseSource;
use crate::{Activation, Element, Form};

/// The sizes of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Trials B, at least 1.
    pub trials: usize,
    /// Time steps T, at least 1.
    pub steps: usize,
    /// Inputs I, may be 0.
    pub inputs: usize,
    /// Units N, at least 1.
    pub units: usize,
    /// Outputs O, may be 0.
    pub outputs: usize,
}

impl Shape {
    /// Numbers in a buffer `[time, trial, unit]` with one entry per time step: `T B N`.
    #[must_use]
    pub const fn states(&self) -> usize {
        self.steps * self.trials * self.units
    }

    /// Numbers in a history that starts with the initial state: `(T + 1) B N`.
    #[must_use]
    pub const fn history(&self) -> usize {
        self.states() + self.trials * self.units
    }
}

/// The effective weights of a network.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a, E> {
    /// Input weights `[N, I]`.
    pub w_in: &'a [E],
    /// Recurrent weights `[N, N]`.
    pub w_rc: &'a [E],
    /// Recurrent bias `[N]`.
    pub bias: &'a [E],
    /// Readout weights `[O, N]`.
    pub w_out: &'a [E],
    /// Readout bias `[O]`.
    pub bias_out: &'a [E],
}

/// How the state of a unit follows from its drive. Decay, gain and noise scale are per unit, `[N]`.
#[derive(Clone, Copy, Debug)]
pub struct Dynamics<'a, E> {
    /// Which variable the leak acts on.
    pub form: Form,
    /// The rate as a function of potential.
    pub activation: Activation,
    /// What remains of the state after a time step.
    pub decay: &'a [E],
    /// What the drive adds to the state.
    pub gain: &'a [E],
    /// What a standard normal of `eps` is multiplied with; all zeros draw nothing.
    pub noise_scale: &'a [E],
    /// Where `eps` enters; in the voltage form always at the state.
    pub noise_target: NoiseTarget,
}

/// Where the noise `eps` of the rate form enters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NoiseTarget {
    /// It is added to the new state.
    #[default]
    State,
    /// It is added to the drive `z`, before the activation.
    Drive,
}

/// The state before the first input: potentials in the voltage form, rates in the rate form.
#[derive(Clone, Copy, Debug)]
pub enum InitialState<'a, E> {
    /// The same for all trials, `[N]`.
    Shared(&'a [E]),
    /// One per trial, `[B, N]`.
    PerTrial(&'a [E]),
}

impl<'a, E> InitialState<'a, E> {
    /// The state of a trial, `[N]`.
    pub(crate) fn of_trial(&self, trial: usize, units: usize) -> &'a [E] {
        match self {
            Self::Shared(state) => state,
            Self::PerTrial(states) => &states[trial * units..][..units],
        }
    }
}

/// Everything that determines a trajectory.
#[derive(Clone, Copy, Debug)]
pub struct Sweep<'a, E> {
    /// The sizes.
    pub shape: Shape,
    /// The weights.
    pub weights: Weights<'a, E>,
    /// The dynamics.
    pub dynamics: Dynamics<'a, E>,
    /// Inputs `[T, B, I]`.
    pub inputs: &'a [E],
    /// The state before the first input.
    pub initial_state: InitialState<'a, E>,
    /// The noise `eps` that the dynamics carry on.
    pub eps: NoiseSource<'a, E>,
    /// The noise `xi` that the readout alone sees.
    pub xi: NoiseSource<'a, E>,
    /// What a standard normal of `xi` is multiplied with; zero draws nothing.
    pub sigma_post: E,
}

impl<E: Element> Sweep<'_, E> {
    /// # Panics
    /// When a slice has not the length that the shape says, or a size that must not be zero is.
    pub(crate) fn assert_lengths(&self) {
        let Shape {
            trials,
            steps,
            inputs,
            units,
            outputs,
        } = self.shape;
        assert!(
            trials > 0 && steps > 0 && units > 0,
            "trials, steps and units must be positive, not {trials}, {steps}, {units}"
        );
        assert_length("inputs", self.inputs, steps * trials * inputs);
        assert_length("w_in", self.weights.w_in, units * inputs);
        assert_length("w_rc", self.weights.w_rc, units * units);
        assert_length("bias", self.weights.bias, units);
        assert_length("w_out", self.weights.w_out, outputs * units);
        assert_length("bias_out", self.weights.bias_out, outputs);
        assert_length("decay", self.dynamics.decay, units);
        assert_length("gain", self.dynamics.gain, units);
        assert_length("noise_scale", self.dynamics.noise_scale, units);
        match self.initial_state {
            InitialState::Shared(state) => assert_length("initial state", state, units),
            InitialState::PerTrial(state) => assert_length("initial states", state, trials * units),
        }
        for (name, source) in [("eps", self.eps), ("xi", self.xi)] {
            if let NoiseSource::Given(normals) = source {
                assert_length(name, normals, self.shape.states());
            }
        }
        assert!(
            self.dynamics.form == Form::Rate || self.dynamics.noise_target == NoiseTarget::State,
            "in the voltage form noise enters at the state"
        );
    }

    /// What row `post` of the drive's weights is multiplied with in advance: the gain in the voltage form, where it acts on a
    /// linear drive; one in the rate form.
    pub(crate) fn drive_scale(&self, post: usize) -> E {
        match self.dynamics.form {
            Form::Voltage => self.dynamics.gain[post],
            Form::Rate => E::from(1.0),
        }
    }

    /// The source of `eps`, or nothing if it would be multiplied with zero.
    pub(crate) fn audible_eps(&self) -> NoiseSource<'_, E> {
        let silent = self.dynamics.noise_scale.iter().all(|&s| s == E::default());
        if silent { NoiseSource::None } else { self.eps }
    }

    /// The source of `xi`, or nothing if it would be multiplied with zero.
    pub(crate) fn audible_xi(&self) -> NoiseSource<'_, E> {
        let silent = self.sigma_post == E::default() || self.shape.outputs == 0;
        if silent { NoiseSource::None } else { self.xi }
    }
}

/// # Panics
/// When `slice` has another length.
pub(crate) fn assert_length<E>(name: &str, slice: &[E], expected: usize) {
    assert_eq!(
        slice.len(),
        expected,
        "length of {name} (left) and what the shape says (right)"
    );
}
