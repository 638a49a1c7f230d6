//! The problem that a sweep solves: its sizes, and what each slice means.
//!
//! Buffers over time are time-major, `[time, trial, *]`, without gaps; matrices are `[post, pre]`, row by row.

use crate::noise::NoiseSource;
use crate::operands::assert_len;
use crate::{Activation, Element, Form, Operands};

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

/// Where the noise `eps` of the rate form enters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NoiseTarget {
    /// It is added to the new state.
    #[default]
    State,
    /// It is added to the drive `z`, before the activation.
    Drive,
}

/// Everything that determines a trajectory.
#[derive(Clone, Copy, Debug)]
pub struct Sweep<'a, E> {
    /// Sizes.
    pub shape: Shape,
    /// Variable that the leak acts on.
    pub form: Form,
    /// Rate as a function of potential.
    pub activation: Activation,
    /// Place where `eps` enters; in the voltage form always the state.
    pub noise_target: NoiseTarget,
    /// Inputs, weights, factors per unit, and initial state.
    pub operands: Operands<&'a [E]>,
    /// Noise `eps`, which the dynamics carry on. Not drawn where every noise scale is zero.
    pub eps: NoiseSource<'a, E>,
    /// Noise `xi`, which only the readout sees.
    pub xi: NoiseSource<'a, E>,
    /// Factor of the standard normals of `xi`, which are not drawn where it is zero.
    pub sigma_post: E,
}

impl<'a, E: Element> Sweep<'a, E> {
    /// Panics if a slice does not have the length that the shape implies, or a size that must be positive is zero.
    pub(crate) fn assert_lens(&self) {
        let Shape {
            trials,
            steps,
            units,
            ..
        } = self.shape;
        assert!(
            trials > 0 && steps > 0 && units > 0,
            "trials, steps and units must be positive, not {trials}, {steps}, {units}"
        );
        self.operands.assert_lens(&self.shape);
        for (name, source) in [("eps", self.eps), ("xi", self.xi)] {
            if let NoiseSource::Given(normals) = source {
                assert_len(name, normals, self.shape.states());
            }
        }
        assert!(
            self.form == Form::Rate || self.noise_target == NoiseTarget::State,
            "in the voltage form noise enters at the state"
        );
    }

    /// Returns the state of a trial before the first input, `[N]`.
    pub(crate) fn initial_state(&self, trial: usize) -> &'a [E] {
        let units = self.shape.units;
        &self.operands.initial_state[trial * units..][..units]
    }

    /// Returns the factor by which row `post` of the drive's weights is multiplied in advance: the gain in the voltage form,
    /// where the drive is linear, and one in the rate form.
    pub(crate) fn drive_scale(&self, post: usize) -> E {
        match self.form {
            Form::Voltage => self.operands.gain[post],
            Form::Rate => E::from(1.0),
        }
    }

    /// The source of `eps`, or nothing if it would be multiplied with zero.
    pub(crate) fn audible_eps(&self) -> NoiseSource<'_, E> {
        let silent = self.operands.noise_scale.iter().all(|&s| s == E::default());
        if silent { NoiseSource::None } else { self.eps }
    }

    /// The source of `xi`, or nothing if it would be multiplied with zero.
    pub(crate) fn audible_xi(&self) -> NoiseSource<'_, E> {
        let silent = self.sigma_post == E::default() || self.shape.outputs == 0;
        if silent { NoiseSource::None } else { self.xi }
    }
}
