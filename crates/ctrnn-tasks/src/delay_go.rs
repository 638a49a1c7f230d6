//! Delay-go: remember a direction and point to it.

use std::f64::consts::{PI, TAU};

use ctrnn_random::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ring::directions_deg;
use crate::{
    Check, Clock, Condition, Duration, Epoch, Layout, Task, TaskError, Trial, angular_distance,
};

/// Inputs and outputs: fixation, then cosine and sine of the direction.
const FIXATION: usize = 0;
const COSINE: usize = 1;
/// Largest error of a correct response, in radians, as in Yang et al. (2019).
const TOLERANCE: f64 = 0.2 * PI;

/// Remember a direction through a delay and point to it when fixation ends.
///
/// During the stimulus the inputs `cosine` and `sine` encode the direction. The fixation input
/// is 1 until the response epoch. The output `fixation` should be 1 until then and 0 afterwards; the outputs `cosine` and
/// `sine` should be 0 until then and encode the direction afterwards. In a catch trial only the
/// fixation input is 1, up to the end, and so should be the output `fixation`.
///
/// Source: the task MemoryPro of Driscoll, Shenoy & Sussillo (2024), after Yang et al. (2019).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DelayGo {
    /// Number of directions, evenly spaced on the circle.
    #[schemars(range(min = 1, max = 360))]
    pub n_directions: usize,
    /// Duration of fixation before the stimulus.
    pub fixation_ms: Duration,
    /// Duration of the stimulus.
    pub stimulus_ms: Duration,
    /// Duration of the delay between the stimulus and the response.
    pub delay_ms: Duration,
    /// Duration of the response.
    pub response_ms: Duration,
    /// Fraction of catch trials in training.
    pub catch_fraction: f64,
    /// Standard deviation of the noise on every input, per time step.
    pub input_noise: f64,
}

impl Default for DelayGo {
    fn default() -> Self {
        Self {
            n_directions: 8,
            fixation_ms: Duration::Choice(vec![300.0, 500.0, 700.0]),
            stimulus_ms: Duration::Choice(vec![200.0, 400.0, 600.0]),
            delay_ms: Duration::Choice(vec![200.0, 400.0, 800.0, 1600.0]),
            response_ms: 500.0.into(),
            catch_fraction: 0.0,
            input_noise: 0.1,
        }
    }
}

impl Task for DelayGo {
    fn layout(&self) -> Layout {
        let names = ["fixation", "cosine", "sine"];
        Layout::new(names, names).with_choices(&[])
    }

    fn epochs(&self) -> Vec<Epoch> {
        vec![
            Epoch::new("fixation", &self.fixation_ms),
            Epoch::new("stimulus", &self.stimulus_ms),
            Epoch::new("delay", &self.delay_ms),
            Epoch::new("response", &self.response_ms),
        ]
    }

    fn check(&self, clock: Clock) -> Result<(), Vec<TaskError>> {
        Check::new(clock)
            .epochs(&self.epochs())
            .not_zero("stimulus_ms", &self.stimulus_ms, "it shows the direction")
            .not_zero(
                "response_ms",
                &self.response_ms,
                "the answer is read at its end",
            )
            .number("n_directions", self.n_directions as f64, 1.0..=360.0)
            .catch_fraction(self.catch_fraction)
            .not_negative("input_noise", self.input_noise)
            .finish()
    }

    /// Lists `direction_deg`.
    fn conditions(&self) -> Vec<Condition> {
        let grid = Condition::grid(&[("direction_deg", &directions_deg(self.n_directions))]);
        Condition::with_catch(grid, self.catch_fraction)
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let mut trial = Trial::blank(self, condition, clock, rng);
        let [stimulus, response] = ["stimulus", "response"].map(|name| trial.timeline.steps(name));
        if condition.is_catch() {
            trial.fixate(0..trial.n_steps);
        } else {
            let (sin, cos) = condition.value("direction_deg").to_radians().sin_cos();
            trial.fixate(0..response.start);
            trial.add_inputs(stimulus, COSINE, &[cos, sin]);
            trial.add_targets(response, COSINE, &[cos, sin]);
        }
        trial.add_input_noise(self.input_noise, rng);
        trial
    }

    fn is_correct(&self, trial: &Trial, outputs: &[f32]) -> Option<bool> {
        if trial.value("catch") == Some(1.0) {
            return None;
        }
        let direction_deg = trial.value("direction_deg")?;
        let row = &outputs[(trial.n_steps - 1) * trial.n_outputs..];
        let [cos, sin] = [row[COSINE], row[COSINE + 1]].map(f64::from);
        let angle = sin.atan2(cos).rem_euclid(TAU);
        let is_close = angular_distance(angle, direction_deg.to_radians()) < TOLERANCE;
        Some(row[FIXATION] <= 0.5 && is_close)
    }

    fn correct_rule(&self) -> String {
        "At the last time step the output fixation must be 0.5 or less, and the direction of \
         (cosine, sine) within 36 degrees of the right one."
            .to_owned()
    }

    /// Multiplies the probability 0.69146 that a standard normal is 0.5 or less by the probability 0.2 that a direction
    /// is
    /// within 36 degrees of the right one.
    fn chance(&self) -> Option<f64> {
        Some(0.69146 * 0.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctrnn_random::{Key, Stream};

    #[test]
    fn the_answer_may_be_36_degrees_off() {
        let task = DelayGo::default();
        let condition = Condition::new([("direction_deg", 90.0)]);
        let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
        let trial = task.sample_trial(&condition, Clock::new(20.0).unwrap(), &mut rng);
        let answer = |fixation: f32, degrees: f32| {
            let mut outputs = vec![0.0; trial.n_steps * 3];
            let (sin, cos) = degrees.to_radians().sin_cos();
            let row = outputs.len() - 3;
            outputs[row..].copy_from_slice(&[fixation, cos, sin]);
            task.is_correct(&trial, &outputs)
        };
        assert_eq!(answer(0.0, 125.0), Some(true));
        assert_eq!(answer(0.0, 127.0), Some(false));
        assert_eq!(answer(0.6, 90.0), Some(false));
    }
}
