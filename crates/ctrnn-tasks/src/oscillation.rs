//! Oscillation: a chirp triggered by a pulse, with or without a hint.

use std::f64::consts::TAU;

use ctrnn_random::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::tracking::{rms_error, rms_rule};
use crate::{Check, Clock, Condition, Duration, Epoch, Layout, Task, TaskError, Trial};

/// The input.
const PULSE: usize = 0;
/// First output.
const CHIRP: usize = 0;
/// Second output.
const HINT: usize = 1;

/// Produce a chirp, an oscillation that speeds up and slows down again, after a pulse.
///
/// The input `pulse` is 1 for pulse_ms from the start of the epoch `chirp`. With t the time since that
/// start, and the frequency f(t) rising linearly from slow_hz to fast_hz, the output `chirp` should be
/// sin(2 pi f(t) t) up to the middle of the epoch and its mirror image after it; before the pulse it
/// should be 0. With `hint` there is a second output, `hint`, which should follow the triangle (f - slow_hz) /
/// (fast_hz - slow_hz), which a network must represent to produce the chirp. The hint counts in the
/// loss, but not in the accuracy. There is one condition.
///
/// Source: DePasquale et al. (2018), the oscillation task of full-FORCE: 1 to 3 Hz within 1 s, then
/// mirrored, after a pulse of 50 ms. There the hint is an input of the network that generates the targets;
/// gradient descent has no such network, so here it is an output. Here the pulse is 60 ms long, a
/// multiple of the default time step. The time before it was chosen for this program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Oscillation {
    /// Duration of fixation before the pulse.
    pub fixation_ms: Duration,
    /// Duration of the chirp, including its mirror image.
    pub chirp_ms: Duration,
    /// Duration of the pulse that triggers the chirp.
    pub pulse_ms: Duration,
    /// Frequency at both ends, in Hz.
    pub slow_hz: f64,
    /// Frequency in the middle, in Hz.
    pub fast_hz: f64,
    /// If true, the normalised frequency is a second output.
    pub hint: bool,
    /// Standard deviation of the noise on the input, per time step.
    pub input_noise: f64,
    /// Largest root mean square error of a correct trial.
    pub tolerance: f64,
}

impl Default for Oscillation {
    fn default() -> Self {
        Self {
            fixation_ms: Duration::Uniform([100.0, 300.0]),
            chirp_ms: 2000.0.into(),
            pulse_ms: 60.0.into(),
            slow_hz: 1.0,
            fast_hz: 3.0,
            hint: true,
            input_noise: 0.0,
            tolerance: 0.2,
        }
    }
}

impl Task for Oscillation {
    fn layout(&self) -> Layout {
        let hint = self.hint.then(|| "hint".to_owned());
        let layout = Layout::new(["pulse"], ["chirp"]).with_choices(&[]);
        layout.with_outputs(hint)
    }

    fn epochs(&self) -> Vec<Epoch> {
        vec![
            Epoch::new("fixation", &self.fixation_ms),
            Epoch::new("chirp", &self.chirp_ms),
        ]
    }

    fn check(&self, clock: Clock) -> Result<(), Vec<TaskError>> {
        let fits = self.pulse_ms.bounds_ms()[1] <= self.chirp_ms.bounds_ms()[0];
        let order = || {
            let message = format!(
                "{} Hz is not more than slow_hz = {}",
                self.fast_hz, self.slow_hz
            );
            TaskError::config("fast_hz", message)
        };
        Check::new(clock)
            .epochs(&self.epochs())
            .not_zero("chirp_ms", &self.chirp_ms, "the chirp is produced in it")
            .duration("pulse_ms", &self.pulse_ms)
            .not_zero("pulse_ms", &self.pulse_ms, "it triggers the chirp")
            .require(fits, || {
                TaskError::config("pulse_ms", "the pulse must not be longer than the chirp")
            })
            .not_negative("slow_hz", self.slow_hz)
            .require(
                self.fast_hz > self.slow_hz && self.fast_hz.is_finite(),
                order,
            )
            .not_negative("input_noise", self.input_noise)
            .not_negative("tolerance", self.tolerance)
            .finish()
    }

    fn conditions(&self) -> Vec<Condition> {
        vec![Condition::new([])]
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let mut trial = Trial::blank(self, condition, clock, rng);
        let steps = trial.timeline.steps("chirp");
        let pulse = self.pulse_ms.draw(clock, rng).min(steps.len());
        trial.set_input(steps.start..steps.start + pulse, PULSE, 1.0);
        trial.add_input_noise(self.input_noise, rng);
        let half_s = steps.len() as f64 * clock.dt_ms() / 2000.0;
        for (k, t) in steps.enumerate() {
            let elapsed_s = (k + 1) as f64 * clock.dt_ms() / 1000.0;
            let [chirp, hint] = self.targets(elapsed_s, half_s);
            trial.set_target(t..t + 1, CHIRP, chirp);
            if self.hint {
                trial.set_target(t..t + 1, HINT, hint);
            }
        }
        trial
    }

    fn is_correct(&self, trial: &Trial, outputs: &[f32]) -> Option<bool> {
        Some(rms_error(trial, outputs, CHIRP..CHIRP + 1) <= self.tolerance)
    }

    fn correct_rule(&self) -> String {
        rms_rule("the output chirp", self.tolerance)
    }

    /// Returns 0: standard normal noise does not trace a chirp.
    fn chance(&self) -> Option<f64> {
        Some(0.0)
    }
}

impl Oscillation {
    /// Returns chirp and hint at a time since the start of an epoch whose middle is at `half_s`.
    fn targets(&self, elapsed_s: f64, half_s: f64) -> [f64; 2] {
        let to_nearer_end_s = elapsed_s.min(2.0 * half_s - elapsed_s);
        let hint = to_nearer_end_s / half_s;
        let hz = self.slow_hz + (self.fast_hz - self.slow_hz) * hint;
        [(TAU * hz * to_nearer_end_s).sin(), hint]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;
    use ctrnn_random::{Key, Stream};

    /// From 0 to 1 Hz within 500 ms, in steps of 250 ms: at 250 ms f = 1/2 and the chirp is sin(2 pi / 8)
    /// = sqrt(1/2); at 500 ms f = 1 and it is sin(pi) = 0; then back.
    #[test]
    fn a_trial_by_hand() {
        let task = Oscillation {
            fixation_ms: 250.0.into(),
            chirp_ms: 1000.0.into(),
            pulse_ms: 250.0.into(),
            slow_hz: 0.0,
            fast_hz: 1.0,
            ..Oscillation::default()
        };
        let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
        let clock = Clock::new(250.0).unwrap();
        let trial = task.sample_trial(&Condition::new([]), clock, &mut rng);
        assert_eq!(trial.inputs, [0.0, 1.0, 0.0, 0.0, 0.0]);
        let Target::Values(values) = &trial.target else {
            panic!("values");
        };
        let root = 0.5f32.sqrt();
        let expected = [0.0, 0.0, root, 0.5, 0.0, 1.0, root, 0.5, 0.0, 0.0];
        for (value, expected) in values.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-6, "{values:?}");
        }
        let without = Oscillation {
            hint: false,
            ..task
        };
        assert_eq!(without.layout().outputs, ["chirp"]);
    }

    #[test]
    fn finds_all_errors_at_once() {
        let task = Oscillation {
            chirp_ms: 30.0.into(),
            pulse_ms: 40.0.into(),
            fast_hz: 0.5,
            input_noise: -1.0,
            ..Oscillation::default()
        };
        let errors = task.check(Clock::new(20.0).unwrap()).unwrap_err();
        let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
        assert_eq!(keys, ["chirp_ms", "pulse_ms", "fast_hz", "input_noise"]);
    }
}
