//! Sine: generate an oscillation without input.

use std::f64::consts::TAU;

use ctrnn_random::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::tracking::{rms_error, rms_rule};
use crate::{Check, Clock, Condition, Duration, Epoch, Layout, Task, TaskError, Trial};

/// Produce a sine wave without any input.
///
/// There is one epoch, `trial`, and one condition. The output `sine` should be amplitude sin(2 pi t
/// / period), where t is the time since the start of the trial. All trials are the same: the network
/// starts from its initial state, which should be trained.
///
/// Source: Song, Yang & Wang (2016), the example `sinewave`: 0.9 sin(2 pi t / 800 ms) over 1600 ms, trained to
/// a root mean square error of 0.05.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sine {
    /// Duration of a trial.
    pub trial_ms: Duration,
    /// Period of the sine.
    pub period_ms: f64,
    /// Amplitude of the sine.
    pub amplitude: f64,
    /// Largest root mean square error of a correct trial.
    pub tolerance: f64,
}

impl Default for Sine {
    fn default() -> Self {
        Self {
            trial_ms: 1600.0.into(),
            period_ms: 800.0,
            amplitude: 0.9,
            tolerance: 0.05,
        }
    }
}

impl Task for Sine {
    fn layout(&self) -> Layout {
        Layout::new([], ["sine"]).with_choices(&[])
    }

    fn epochs(&self) -> Vec<Epoch> {
        vec![Epoch::new("trial", &self.trial_ms)]
    }

    fn check(&self, clock: Clock) -> Result<(), Vec<TaskError>> {
        let slow = self.period_ms >= 2.0 * clock.dt_ms() && self.period_ms.is_finite();
        let period = || {
            let message = format!(
                "{} ms is shorter than two time steps of {} ms",
                self.period_ms,
                clock.dt_ms()
            );
            TaskError::config("period_ms", message)
        };
        Check::new(clock)
            .epochs(&self.epochs())
            .not_zero("trial_ms", &self.trial_ms, "it shows the sine")
            .require(slow, period)
            .not_negative("amplitude", self.amplitude)
            .not_negative("tolerance", self.tolerance)
            .finish()
    }

    fn conditions(&self) -> Vec<Condition> {
        vec![Condition::new([])]
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let mut trial = Trial::blank(self, condition, clock, rng);
        for t in 0..trial.n_steps {
            let t_ms = (t + 1) as f64 * clock.dt_ms();
            let value = self.amplitude * (TAU * t_ms / self.period_ms).sin();
            trial.set_target(t..t + 1, 0, value);
        }
        trial
    }

    fn is_correct(&self, trial: &Trial, outputs: &[f32]) -> Option<bool> {
        Some(rms_error(trial, outputs, 0..1) <= self.tolerance)
    }

    fn correct_rule(&self) -> String {
        rms_rule("the output", self.tolerance)
    }

    /// Returns 0: standard normal noise does not trace a sine.
    fn chance(&self) -> Option<f64> {
        Some(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;
    use ctrnn_random::{Key, Stream};

    /// A period of four time steps, and the first output comes after one of them: 1, 0, -1, 0.
    #[test]
    fn a_trial_by_hand() {
        let task = Sine {
            trial_ms: 800.0.into(),
            amplitude: 1.0,
            ..Sine::default()
        };
        let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
        let clock = Clock::new(200.0).unwrap();
        let trial = task.sample_trial(&Condition::new([]), clock, &mut rng);
        let Target::Values(values) = &trial.target else {
            panic!("values");
        };
        for (value, expected) in values.iter().zip([1.0, 0.0, -1.0, 0.0]) {
            assert!((value - expected).abs() < 1e-6, "{values:?}");
        }
        assert_eq!(task.is_correct(&trial, values), Some(true));
        assert_eq!(task.is_correct(&trial, &[0.0; 4]), Some(false));
    }

    #[test]
    fn finds_all_errors_at_once() {
        let task = Sine {
            trial_ms: 0.0.into(),
            period_ms: 30.0,
            amplitude: -1.0,
            tolerance: f64::NAN,
        };
        let errors = task.check(Clock::new(20.0).unwrap()).unwrap_err();
        let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
        assert_eq!(keys, ["trial_ms", "period_ms", "amplitude", "tolerance"]);
        assert_eq!(
            errors[1].to_string(),
            "period_ms: 30 ms is shorter than two time steps of 20 ms"
        );
    }
}
