//! The time grid, which converts milliseconds to time steps.

use std::fmt;

/// Maximum number of time steps of a trial; a longer one is taken for a typing error.
pub const MAX_STEPS: usize = 1_000_000;

/// Tolerance for a duration off the time grid, as a fraction of a time step: decimal fractions are not exact in binary.
const TOLERANCE: f64 = 1e-6;

/// A time grid, given by the length of a time step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clock {
    dt_ms: f64,
}

/// A duration that does not fit the time grid of a [`Clock`].
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ClockError {
    /// The time step is not a positive number.
    #[error("dt_ms = {0} is not a positive number")]
    Dt(f64),
    /// The duration is negative or not finite.
    #[error("{0} ms is not 0 or a positive number")]
    NotADuration(f64),
    /// The duration ends between two time steps.
    #[error("{ms} ms is not a multiple of dt_ms = {dt_ms}; the nearest are {}", Nearest(*ms, *dt_ms))]
    OffGrid {
        /// The duration.
        ms: f64,
        /// The time step.
        dt_ms: f64,
    },
    /// The duration has more than [`MAX_STEPS`] time steps.
    #[error("{ms} ms has more than {MAX_STEPS} time steps of dt_ms = {dt_ms}")]
    TooLong {
        /// The duration.
        ms: f64,
        /// The time step.
        dt_ms: f64,
    },
}

impl Clock {
    /// Creates a time grid with time steps of `dt_ms`.
    ///
    /// # Errors
    /// [`ClockError::Dt`] if `dt_ms` is not positive and finite.
    pub fn new(dt_ms: f64) -> Result<Self, ClockError> {
        if dt_ms > 0.0 && dt_ms.is_finite() {
            Ok(Self { dt_ms })
        } else {
            Err(ClockError::Dt(dt_ms))
        }
    }

    /// Returns the length of a time step.
    #[must_use]
    pub fn dt_ms(self) -> f64 {
        self.dt_ms
    }

    /// Converts a duration to a number of time steps; nothing is rounded.
    ///
    /// # Errors
    /// [`ClockError`] if `ms` is not a multiple of `dt_ms` from 0 to [`MAX_STEPS`] time steps.
    pub fn steps(self, ms: f64) -> Result<usize, ClockError> {
        let dt_ms = self.dt_ms;
        if !(ms >= 0.0 && ms.is_finite()) {
            return Err(ClockError::NotADuration(ms));
        }
        let steps = ms / dt_ms;
        if steps > MAX_STEPS as f64 {
            return Err(ClockError::TooLong { ms, dt_ms });
        }
        // A duration below the tolerance would silently become 0.
        let vanishes = ms > 0.0 && steps.round() == 0.0;
        if (steps - steps.round()).abs() > TOLERANCE || vanishes {
            return Err(ClockError::OffGrid { ms, dt_ms });
        }
        Ok(steps.round() as usize)
    }

    /// Rounds a drawn duration to the nearest number of time steps.
    #[must_use]
    pub fn nearest(self, ms: f64) -> usize {
        (ms / self.dt_ms).round() as usize
    }
}

/// The multiples of a time step below and above a duration, for an error message: "100 and 120".
struct Nearest(f64, f64);

impl fmt::Display for Nearest {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self(ms, dt_ms) = *self;
        // Rounded to hide the inexact last digits of binary fractions.
        let multiple = |steps: f64| (steps * dt_ms * 1e9).round() / 1e9;
        let steps = ms / dt_ms;
        write!(
            f,
            "{} and {}",
            multiple(steps.floor()),
            multiple(steps.ceil())
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_steps_without_rounding() {
        let table = [
            (20.0, 100.0, 5),
            (20.0, 0.0, 0),
            (0.1, 0.3, 3),
            (1.0 / 3.0, 1.0, 3),
        ];
        for (dt_ms, ms, steps) in table {
            assert_eq!(Clock::new(dt_ms).unwrap().steps(ms), Ok(steps));
        }
    }

    #[test]
    fn says_why_a_duration_has_no_number_of_steps() {
        let table = [
            (
                110.0,
                "110 ms is not a multiple of dt_ms = 20; the nearest are 100 and 120",
            ),
            (-20.0, "-20 ms is not 0 or a positive number"),
            (f64::NAN, "NaN ms is not 0 or a positive number"),
            (f64::INFINITY, "inf ms is not 0 or a positive number"),
            (
                3e7,
                "30000000 ms has more than 1000000 time steps of dt_ms = 20",
            ),
        ];
        let clock = Clock::new(20.0).unwrap();
        for (ms, message) in table {
            assert_eq!(clock.steps(ms).unwrap_err().to_string(), message);
        }
        let coarse = Clock::new(1e9).unwrap().steps(100.0).unwrap_err();
        let expected =
            "100 ms is not a multiple of dt_ms = 1000000000; the nearest are 0 and 1000000000";
        assert_eq!(coarse.to_string(), expected);
        let fine = Clock::new(0.1)
            .unwrap()
            .steps(0.25)
            .unwrap_err()
            .to_string();
        assert!(fine.ends_with("the nearest are 0.2 and 0.3"), "{fine}");
    }

    #[test]
    fn a_time_step_is_positive() {
        for dt_ms in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Clock::new(dt_ms).is_err());
        }
    }
}
