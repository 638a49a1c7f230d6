//! Terms of a loss that are functions of the rates of a few time steps.

use std::ops::Range;

/// Function of the rates of some units, summed over the time steps of all trials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateTerm {
    /// Units that count; `None`: all.
    pub units: Option<Range<usize>>,
    /// Function of the rates.
    pub measure: RateMeasure,
}

/// Function of the rates of a trial at one time step, and at an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateMeasure {
    /// Entropy `- sum_i p_i log(p_i + 1e-12)` of the shares `p_i = |r_i| / (sum_j |r_j| + 1e-12)`.
    Entropy,
    /// Change `sum_i (r_i(t) - r_i(t - lag))^2`, where both time steps belong to the trial.
    Change {
        /// Number of time steps, at least 1.
        lag: usize,
    },
}

impl RateTerm {
    /// Returns the part of a row of rates, or of their gradients, that counts.
    #[inline(always)]
    pub(crate) fn of_row(&self, units: usize) -> Range<usize> {
        match &self.units {
            Some(own) => own.start..own.end,
            None => 0..units,
        }
    }

    /// Asserts that the units exist and that the lag is positive.
    pub(crate) fn assert_fits(&self, units: usize) {
        let own = self.of_row(units);
        assert!(
            own.start <= own.end && own.end <= units,
            "units {own:?} of {units}"
        );
        assert!(
            self.measure != RateMeasure::Change { lag: 0 },
            "a lag of no time step"
        );
    }
}
