//! Checks of a task's configuration that report all errors at once.

use std::ops::RangeInclusive;

use crate::clock::MAX_STEPS;
use crate::{Clock, Condition, Duration, Epoch, TaskError};

/// A chain of checks that collects all errors.
///
/// ```
/// use ctrnn_tasks::{Check, Clock};
///
/// let errors = Check::new(Clock::new(20.0)?)
///     .duration("stimulus_ms", &110.0.into())
///     .number("go_fraction", 2.0, 0.0..=1.0)
///     .finish()
///     .unwrap_err();
/// assert_eq!(errors.len(), 2);
/// assert_eq!(errors[1].to_string(), "go_fraction: 2 is not a number from 0 to 1");
/// # Ok::<(), ctrnn_tasks::ClockError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "the errors are in `finish()`"]
pub struct Check {
    clock: Clock,
    /// The shortest and the longest trial in ms, once its epochs are known.
    trial_ms: Option<[f64; 2]>,
    errors: Vec<TaskError>,
}

impl Check {
    /// Starts a chain of checks.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            trial_ms: None,
            errors: Vec::new(),
        }
    }

    /// Requires a duration to be a multiple of the time step.
    pub fn duration(mut self, key: &str, duration: &Duration) -> Self {
        self.errors.extend(duration.check(key, self.clock));
        self
    }

    /// Requires the durations of all epochs to be multiples of the time step, and their sum to be from one to
    /// [`MAX_STEPS`] time
    /// steps.
    pub fn epochs(mut self, epochs: &[Epoch]) -> Self {
        let bounds = epochs.iter().map(|epoch| epoch.duration.bounds_ms());
        self.trial_ms = bounds.reduce(|[a, b], [c, d]| [a + c, b + d]);
        epochs.iter().fold(self, |check, epoch| {
            check.duration(&epoch.key(), &epoch.duration)
        })
    }

    /// Requires a duration to be longer than 0 in every trial; `why` gives the reason in the error.
    pub fn not_zero(self, key: &str, duration: &Duration, why: &str) -> Self {
        let rule = || TaskError::config(key, format!("0 ms is too short; {why}"));
        self.require(duration.bounds_ms()[0] != 0.0, rule)
    }

    /// Requires an epoch at whose end the choice is read to be longer than 0.
    pub fn read_at_end(self, key: &str, duration: &Duration) -> Self {
        self.not_zero(key, duration, "the choice is read at its end")
    }

    /// Requires `catch_fraction`, the fraction of catch trials, to be from 0 to 0.9.
    pub fn catch_fraction(self, fraction: f64) -> Self {
        self.number("catch_fraction", fraction, 0.0..=0.9)
    }

    /// Requires a number to be in a range.
    pub fn number(self, key: &str, value: f64, range: RangeInclusive<f64>) -> Self {
        let (low, high) = (range.start(), range.end());
        let rule =
            || TaskError::config(key, format!("{value} is not a number from {low} to {high}"));
        self.require(range.contains(&value), rule)
    }

    /// Requires a list to have entries, all of them in a range.
    pub fn numbers(self, key: &str, values: &[f64], range: RangeInclusive<f64>) -> Self {
        let empty = || TaskError::config(key, "the list is empty; give at least one number");
        let check = self.require(!values.is_empty(), empty);
        values.iter().fold(check, |check, &value| {
            check.number(key, value, range.clone())
        })
    }

    /// Requires a number to be 0 or more, and finite.
    pub fn not_negative(self, key: &str, value: f64) -> Self {
        let rule = || TaskError::config(key, format!("{value} is not 0 or a positive number"));
        self.require(value >= 0.0 && value.is_finite(), rule)
    }

    /// Requires a number to be more than 0, and finite.
    pub fn positive(self, key: &str, value: f64) -> Self {
        let rule = || TaskError::config(key, format!("{value} is not a positive number"));
        self.require(value > 0.0 && value.is_finite(), rule)
    }

    /// Requires a condition of positive weight, and no weight that is negative or not finite.
    pub fn conditions(self, conditions: &[Condition]) -> Self {
        let rule = "the probabilities of the conditions must be 0 or more, and at least one must be positive";
        let mut weights = conditions.iter().map(|condition| condition.weight);
        let are_valid = weights
            .clone()
            .all(|weight| weight >= 0.0 && weight.is_finite());
        self.require(are_valid && weights.any(|weight| weight > 0.0), || {
            TaskError::config("", rule)
        })
    }

    /// Adds errors found elsewhere.
    pub fn with(mut self, errors: impl IntoIterator<Item = TaskError>) -> Self {
        self.errors.extend(errors);
        self
    }

    /// Requires any other rule.
    pub fn require(mut self, met: bool, error: impl FnOnce() -> TaskError) -> Self {
        if !met {
            self.errors.push(error());
        }
        self
    }

    /// Ends the chain.
    ///
    /// # Errors
    /// All errors of the checks, in their order. The length of a whole trial is only checked if no other check failed.
    pub fn finish(mut self) -> Result<(), Vec<TaskError>> {
        if let Some([shortest, longest]) = self.trial_ms.filter(|_| self.errors.is_empty()) {
            let dt_ms = self.clock.dt_ms();
            let message = if shortest == 0.0 {
                Some(
                    "all durations can be 0, but a trial must have at least one time step"
                        .to_owned(),
                )
            // Half a time step leaves room for the rounding of the sum.
            } else if longest > (MAX_STEPS as f64 + 0.5) * dt_ms {
                Some(format!(
                    "a trial of {longest} ms has more than {MAX_STEPS} time steps of dt_ms = {dt_ms}"
                ))
            } else {
                None
            };
            self.errors
                .extend(message.map(|message| TaskError::config("", message)));
        }
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(self.errors)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(check: Check) -> Vec<String> {
        let errors = check.finish().err().unwrap_or_default();
        errors.iter().map(ToString::to_string).collect()
    }

    fn check() -> Check {
        Check::new(Clock::new(20.0).unwrap())
    }

    #[test]
    fn conditions_have_probabilities() {
        let with = |weight: f64| Condition::new([]).with_weight(weight);
        assert!(check().conditions(&[with(1.0), with(0.0)]).finish().is_ok());
        for weights in [&[][..], &[0.0], &[1.0, -1.0], &[1.0, f64::NAN]] {
            let conditions: Vec<Condition> = weights.iter().copied().map(with).collect();
            let expected = "the probabilities of the conditions must be 0 or more, and at least one must be positive";
            assert_eq!(
                messages(check().conditions(&conditions)),
                [expected],
                "{weights:?}"
            );
        }
    }

    #[test]
    fn a_trial_has_some_time_steps_but_not_too_many() {
        let epochs = |ms: [f64; 2]| ms.map(|ms| Epoch::new("epoch", &ms.into()));
        let found = |ms| messages(check().epochs(&epochs(ms)));
        assert_eq!(found([0.0, 20.0]), [""; 0]);
        let none = "all durations can be 0, but a trial must have at least one time step";
        assert_eq!(found([0.0, 0.0]), [none]);
        let long = "a trial of 24000000 ms has more than 1000000 time steps of dt_ms = 20";
        assert_eq!(found([1.2e7, 1.2e7]), [long]);
        assert_eq!(found([1.2e7, 10.0]).len(), 1);
    }

    #[test]
    fn nan_is_in_no_range() {
        let found = check()
            .number("p", f64::NAN, 0.0..=1.0)
            .not_negative("std", f64::NAN);
        assert_eq!(
            messages(found),
            [
                "p: NaN is not a number from 0 to 1",
                "std: NaN is not 0 or a positive number"
            ]
        );
    }
}
