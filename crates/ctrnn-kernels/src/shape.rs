//! Sizes of a sweep.

/// Sizes of a sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Number of trials B, at least 1.
    pub trials: usize,
    /// Number of time steps T, at least 1.
    pub steps: usize,
    /// Number of inputs I; may be 0.
    pub inputs: usize,
    /// Number of units N, at least 1.
    pub units: usize,
    /// Number of outputs O; may be 0.
    pub outputs: usize,
    /// Rank R of the factors of the recurrent matrix; 0: it has none.
    pub rank: usize,
    /// True if the recurrent matrix is the product of its factors alone: `w_rc` is then empty.
    pub without_full: bool,
    /// Number of units whose synapses have short-term plasticity: N, or 0 without it.
    pub synapses: usize,
    /// Number of terms of the rates ([`RateTerm`](crate::RateTerm)).
    pub rate_terms: usize,
}

impl Shape {
    /// Returns the shape of a sweep without inputs and outputs, from `[T, B, N]`.
    pub(crate) const fn of_states([steps, trials, units]: [usize; 3]) -> Self {
        Self {
            trials,
            steps,
            units,
            inputs: 0,
            outputs: 0,
            rank: 0,
            without_full: false,
            synapses: 0,
            rate_terms: 0,
        }
    }

    /// Returns the number of rows of `w_rc`: N, or 0 if the recurrent matrix is the product of its factors alone.
    #[must_use]
    pub const fn full_rows(&self) -> usize {
        if self.without_full { 0 } else { self.units }
    }

    /// Returns the length of a buffer `[time, trial, unit]` with one entry per time step: `T B N`.
    #[must_use]
    pub const fn states(&self) -> usize {
        self.steps * self.trials * self.units
    }

    /// Returns the numbers of a trial at time `t` in a buffer `[time, trial, unit]`.
    #[inline(always)]
    pub(crate) fn row<'a, E>(&self, buffer: &'a [E], t: usize, trial: usize) -> &'a [E] {
        &buffer[(t * self.trials + trial) * self.units..][..self.units]
    }

    /// Returns the length of a buffer `[trial, unit]`: `B N`.
    #[must_use]
    pub const fn state(&self) -> usize {
        self.trials * self.units
    }

    /// Returns the number of rows of a buffer over time `[time, trial, *]`: `T B`.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.steps * self.trials
    }

    /// Returns the length of a history that starts with the initial state: `(T + 1) B N`.
    #[must_use]
    pub const fn history(&self) -> usize {
        self.states() + self.state()
    }
}
