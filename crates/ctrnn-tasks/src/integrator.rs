//! Integrator: the running sum of a noisy input.

use ctrnn_random::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::tracking::{rms_error, rms_rule};
use crate::{Check, Clock, Condition, Duration, Epoch, Layout, Task, TaskError, Trial};

/// Integrate a noisy input over time.
///
/// The input `u` is white noise around a bias that is drawn for each trial, uniformly from -bias to
/// bias. The output `integral` should be the integral of u over the time since the start of the trial,
/// in seconds, including the current time step. There is one epoch, `trial`, and one condition.
///
/// Source: the integrator of the tutorials of Google's computation-thru-dynamics, after Mante et al.
/// (2013): 25 time steps of 40 ms, a bias of 0.01 and noise of 0.025 per square root of a second. Here
/// both are 40 times as large, so that the integral is of order 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Integrator {
    /// Duration of a trial.
    pub trial_ms: Duration,
    /// Largest bias, per second.
    pub bias: f64,
    /// Standard deviation of the integral of the noise over one second.
    pub noise: f64,
    /// Factor between the integral and the target.
    pub gain: f64,
    /// Largest root mean square error of a correct trial.
    pub tolerance: f64,
}

impl Default for Integrator {
    fn default() -> Self {
        Self {
            trial_ms: 1000.0.into(),
            bias: 0.4,
            noise: 1.0,
            gain: 1.0,
            tolerance: 0.1,
        }
    }
}

impl Task for Integrator {
    fn layout(&self) -> Layout {
        Layout::new(["u"], ["integral"]).with_choices(&[])
    }

    fn epochs(&self) -> Vec<Epoch> {
        vec![Epoch::new("trial", &self.trial_ms)]
    }

    fn check(&self, clock: Clock) -> Result<(), Vec<TaskError>> {
        let gain = || TaskError::config("gain", format!("{} is not a finite number", self.gain));
        Check::new(clock)
            .epochs(&self.epochs())
            .not_zero("trial_ms", &self.trial_ms, "it shows the input")
            .not_negative("bias", self.bias)
            .not_negative("noise", self.noise)
            .require(self.gain.is_finite(), gain)
            .not_negative("tolerance", self.tolerance)
            .finish()
    }

    fn conditions(&self) -> Vec<Condition> {
        vec![Condition::new([])]
    }

    /// Draws a trial. White noise of intensity s has the standard deviation s / sqrt(dt) in a time step of dt.
    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let mut trial = Trial::blank(self, condition, clock, rng);
        let dt_s = clock.dt_ms() / 1000.0;
        let bias = rng.uniform_in(-self.bias, self.bias);
        trial.set_input(0..trial.n_steps, 0, bias);
        trial.add_input_noise(self.noise / dt_s.sqrt(), rng);
        let mut integral = 0.0;
        for t in 0..trial.n_steps {
            integral += f64::from(trial.inputs[t]) * dt_s;
            trial.set_target(t..t + 1, 0, self.gain * integral);
        }
        trial
    }

    fn is_correct(&self, trial: &Trial, outputs: &[f32]) -> Option<bool> {
        Some(rms_error(trial, outputs, 0..1) <= self.tolerance)
    }

    fn correct_rule(&self) -> String {
        rms_rule("the output", self.tolerance)
    }

    /// Returns 0: standard normal noise does not follow the integral.
    fn chance(&self) -> Option<f64> {
        Some(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;
    use ctrnn_random::{Key, Stream};

    fn trial(task: &Integrator) -> Trial {
        let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
        task.sample_trial(&Condition::new([]), Clock::new(500.0).unwrap(), &mut rng)
    }

    /// Two time steps of half a second: gain (u1 / 2), gain (u1 + u2) / 2.
    #[test]
    fn a_trial_by_hand() {
        let task = Integrator {
            gain: 3.0,
            ..Integrator::default()
        };
        let trial = trial(&task);
        let [u1, u2] = [trial.inputs[0], trial.inputs[1]];
        assert_ne!(u1, u2);
        let Target::Values(values) = &trial.target else {
            panic!("values");
        };
        assert!((values[0] - 1.5 * u1).abs() < 1e-6);
        assert!((values[1] - 1.5 * (u1 + u2)).abs() < 1e-6);
        let near = [values[0] + 0.09, values[1] - 0.09];
        assert_eq!(task.is_correct(&trial, &near), Some(true));
        let far = [values[0] + 0.09, values[1] - 0.12];
        assert_eq!(task.is_correct(&trial, &far), Some(false));
    }

    #[test]
    fn without_noise_the_input_is_the_bias() {
        let trial = trial(&Integrator {
            noise: 0.0,
            ..Integrator::default()
        });
        assert_eq!(trial.inputs[0], trial.inputs[1]);
        assert!(trial.inputs[0].abs() <= 0.4 && trial.inputs[0] != 0.0);
    }

    #[test]
    fn finds_all_errors_at_once() {
        let task = Integrator {
            trial_ms: 0.0.into(),
            bias: -1.0,
            noise: f64::INFINITY,
            gain: f64::NAN,
            tolerance: -1.0,
        };
        let errors = task.check(Clock::new(20.0).unwrap()).unwrap_err();
        let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
        assert_eq!(keys, ["trial_ms", "bias", "noise", "gain", "tolerance"]);
    }
}
