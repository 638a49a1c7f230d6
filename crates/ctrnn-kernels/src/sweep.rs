//! The problem that a sweep solves, and the meaning of each of its slices.
//!
//! Buffers over time are time-major, `[time, trial, *]`, without gaps; matrices are `[post, pre]`, row by row.

use ctrnn_random::Key;

use crate::delays::Delays;
use crate::operands::assert_len;
use crate::rate_term::RateTerm;
use crate::shape::Shape;
use crate::simd::Element;
use crate::{Activation, Operands, SynapseConstants};

/// Variable that the leak acts on.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// `v' = decay v + gain (W_rc r + W_in u + b) + noise_scale n`, `r = f(v)`.
    #[default]
    Voltage,
    /// `z = W_rc r + W_in u + b`, `r' = decay r + gain f(z)`, noise in either.
    Rate,
}

/// Source of standard normals for each trial, unit and time step; `T` holds given ones, such as a slice or a tensor.
#[derive(Clone, Copy, Debug)]
pub enum NoiseSource<T> {
    /// No noise.
    None,
    /// Drawn while the sweep runs, from `ctrnn_random::unit_normals`: the same bits on every path, for any number of threads
    /// and for any batch that a trial is part of.
    Drawn(DrawAddress),
    /// Given as `[T, B, N]`.
    Given(T),
}

/// Address at which the normals of a sweep are drawn.
#[derive(Clone, Copy, Debug)]
pub struct DrawAddress {
    /// Seed, stream and layer.
    pub key: Key,
    /// Training step.
    pub step: u32,
    /// Number of the batch's first trial.
    pub first_trial: u32,
    /// Number of the sweep's first time step divided by four; 0 unless the sweep is a part of a longer one.
    pub first_time_block: u32,
}

impl<T> NoiseSource<T> {
    /// Applies `f` to given normals.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> NoiseSource<U> {
        match self {
            Self::None => NoiseSource::None,
            Self::Drawn(address) => NoiseSource::Drawn(address),
            Self::Given(normals) => NoiseSource::Given(f(normals)),
        }
    }

    /// Borrows given normals.
    pub const fn as_ref(&self) -> NoiseSource<&T> {
        match self {
            Self::None => NoiseSource::None,
            Self::Drawn(address) => NoiseSource::Drawn(*address),
            Self::Given(normals) => NoiseSource::Given(normals),
        }
    }

    /// Returns true if there is no noise.
    pub const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

impl DrawAddress {
    /// Number of time steps for which one call of the generator returns a unit's normals.
    pub const TIMES: usize = 4;

    /// Returns the address of a whole sweep's draws.
    #[must_use]
    pub const fn new(key: Key, step: u32, first_trial: u32) -> Self {
        Self {
            key,
            step,
            first_trial,
            first_time_block: 0,
        }
    }

    /// Returns the address of the draws from time step `t` on, a multiple of four.
    pub(crate) fn starting_at(self, t: usize) -> Self {
        assert!(
            t.is_multiple_of(Self::TIMES),
            "draws are made for four time steps at once"
        );
        Self {
            first_time_block: self.first_time_block + (t / Self::TIMES) as u32,
            ..self
        }
    }
}

/// Place where the noise `eps` of the rate form enters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NoiseTarget {
    /// New state.
    #[default]
    State,
    /// Drive `z`, before the activation.
    Drive,
}

/// Numbers of time steps of trials that may end before a sweep does.
///
/// After its end a trial costs nothing, and its final state is the one at its end. Results and gradients of later time steps are left as
/// they are: a caller that reads them lends zeros, or writes them ([`TrialLengths::clear_padding`]).
#[derive(Clone, Copy, Debug)]
pub struct TrialLengths<'a> {
    steps: &'a [usize],
    first_step: usize,
}

impl<'a> TrialLengths<'a> {
    /// Returns the lengths of trials, `[B]`, from the first time step of the sweep.
    #[must_use]
    pub const fn new(steps: &'a [usize]) -> Self {
        Self {
            steps,
            first_step: 0,
        }
    }

    /// Writes zeros to a result `[T, B, width]` after the end of each trial.
    pub fn clear_padding<E: Copy + Default>(&self, result: &mut [E], width: usize) {
        let trials = self.steps.len();
        for (t, rows) in result.chunks_exact_mut((trials * width).max(1)).enumerate() {
            for (row, &end) in rows.chunks_exact_mut(width.max(1)).zip(self.steps) {
                if t + self.first_step >= end {
                    row.fill(E::default());
                }
            }
        }
    }

    /// Returns the number of time steps of a trial within a sweep of `steps`.
    pub(crate) fn end(self, trial: usize, steps: usize) -> usize {
        let left = self.steps[trial].saturating_sub(self.first_step);
        left.min(steps)
    }

    /// Returns the lengths as a sweep sees them that begins `first_step` time steps later.
    pub(crate) fn starting_at(self, first_step: usize) -> Self {
        Self {
            first_step: self.first_step + first_step,
            ..self
        }
    }
}

/// Everything that determines a trajectory.
#[derive(Clone, Copy, Debug)]
pub struct SweepSlices<'a, E> {
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
    /// Constants of short-term plasticity; empty without it.
    pub synapses: SynapseConstants<&'a [E]>,
    /// Noise `eps`, which the dynamics carry on. Not drawn where every noise scale is zero.
    pub eps: NoiseSource<&'a [E]>,
    /// Noise `xi`, which only the readout sees.
    pub xi: NoiseSource<&'a [E]>,
    /// Factor of the standard normals of `xi`, which are not drawn where it is zero.
    pub sigma_post: E,
    /// Delays of the recurrent connections; `None` if none is delayed.
    pub delays: Option<&'a Delays>,
    /// Lengths of the trials; `None` if all of them take every time step.
    pub lengths: Option<TrialLengths<'a>>,
    /// Terms of the rates that a loss has: values by [`rate_terms`](crate::rate_terms), gradients within the backward sweep.
    pub rate_terms: &'a [RateTerm],
}

impl<'a, E: Element> SweepSlices<'a, E> {
    /// Asserts that each slice has the length that the shape implies, and that every size that must be positive is.
    pub(crate) fn assert_lens(&self) {
        let Shape {
            trials,
            steps,
            units,
            synapses,
            ..
        } = self.shape;
        assert!(
            trials > 0 && steps > 0 && units > 0,
            "trials, steps and units must be positive, not {trials}, {steps}, {units}"
        );
        assert!(
            synapses == 0 || synapses == units,
            "short-term plasticity of {synapses} of {units} units"
        );
        self.synapses.assert_lens(&self.shape);
        self.operands.assert_lens(&self.shape);
        let delayed = self.delays.map_or(units, Delays::units);
        assert_eq!(delayed, units, "delays are those of the units");
        assert_eq!(
            self.shape.rate_terms,
            self.rate_terms.len(),
            "number of the terms of the rates"
        );
        for term in self.rate_terms {
            term.assert_fits(units);
        }
        if let Some(lengths) = self.lengths {
            assert_eq!(lengths.steps.len(), trials, "a length for each trial");
        }
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
        &self.operands.initial_state.activity[trial * units..][..units]
    }

    /// Returns the factor by which row `post` of the drive's weights is multiplied in advance: the gain in the voltage form,
    /// where the drive is linear, and one in the rate form.
    pub(crate) fn drive_scale(&self, post: usize) -> E {
        match self.form {
            Form::Voltage => self.operands.gain[post],
            Form::Rate => E::from(1.0),
        }
    }

    /// Returns the source of `eps`, or [`NoiseSource::None`] if every noise scale is zero.
    pub(crate) fn used_eps(&self) -> NoiseSource<&'a [E]> {
        let is_unused = self.operands.noise_scale.iter().all(|&s| s == E::default());
        if is_unused {
            NoiseSource::None
        } else {
            self.eps
        }
    }

    /// Returns the source of `xi`, or [`NoiseSource::None`] if `sigma_post` is zero or there are no outputs.
    pub(crate) fn used_xi(&self) -> NoiseSource<&'a [E]> {
        let is_unused = self.sigma_post == E::default() || self.shape.outputs == 0;
        if is_unused {
            NoiseSource::None
        } else {
            self.xi
        }
    }
}
