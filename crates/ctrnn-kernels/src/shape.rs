//! The sizes of a sweep.

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
