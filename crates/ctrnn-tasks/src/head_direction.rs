//! Head direction: integrate angular velocity.

use std::f64::consts::PI;

use ctrnn_random::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ring::directions_deg;
use crate::{
    Check, Clock, Condition, Duration, Epoch, Layout, Meaning, Target, Task, TaskError, Trial,
    angular_distance,
};

/// Inputs.
const VELOCITY: usize = 0;
const COS: usize = 1;
const SIN: usize = 2;

/// Keep track of the heading by integrating angular velocity.
///
/// In the epoch `cue` the head is still and the inputs `cos` and `sin` show its direction, one of
/// `directions` evenly spaced directions; then they are 0. In the epoch `turn` the head turns: its angular velocity,
/// the input `velocity` in units of its standard deviation, fluctuates around 0 with a correlation time of
/// correlation_ms.
/// The outputs `cos` and `sin` should be those of the heading at the end of each
/// time step. Conditions: the initial direction, in degrees.
///
/// Source: Cueva et al. (2020), the ring attractor that integrates angular velocity. The numbers were chosen for this
/// program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HeadDirection {
    /// Duration of the cue, which shows the initial direction.
    pub cue_ms: Duration,
    /// Duration of the turns, without a cue.
    pub turn_ms: Duration,
    /// Number of initial directions.
    #[schemars(range(min = 1, max = 360))]
    pub directions: usize,
    /// Standard deviation of the angular velocity, in degrees per second.
    pub velocity_std: f64,
    /// Correlation time of the angular velocity.
    pub correlation_ms: f64,
    /// Standard deviation of the noise on every input, per time step.
    pub input_noise: f64,
    /// Largest error of the final heading in a correct trial, in degrees.
    pub tolerance_degrees: f64,
}

impl Default for HeadDirection {
    fn default() -> Self {
        Self {
            cue_ms: 200.0.into(),
            turn_ms: Duration::Uniform([500.0, 1500.0]),
            directions: 8,
            velocity_std: 120.0,
            correlation_ms: 300.0,
            input_noise: 0.0,
            tolerance_degrees: 15.0,
        }
    }
}

impl Task for HeadDirection {
    fn layout(&self) -> Layout {
        Layout::new(["velocity", "cos", "sin"], ["cos", "sin"]).with_choices(&[])
    }

    fn epochs(&self) -> Vec<Epoch> {
        vec![
            Epoch::new("cue", &self.cue_ms),
            Epoch::new("turn", &self.turn_ms),
        ]
    }

    fn check(&self, clock: Clock) -> Result<(), Vec<TaskError>> {
        Check::new(clock)
            .epochs(&self.epochs())
            .not_zero("cue_ms", &self.cue_ms, "it shows the initial direction")
            .not_zero("turn_ms", &self.turn_ms, "the head turns during it")
            .number("directions", self.directions as f64, 1.0..=360.0)
            .not_negative("velocity_std", self.velocity_std)
            .positive("correlation_ms", self.correlation_ms)
            .not_negative("input_noise", self.input_noise)
            .number("tolerance_degrees", self.tolerance_degrees, 0.0..=180.0)
            .finish()
    }

    fn conditions(&self) -> Vec<Condition> {
        Condition::grid(&[("direction", &directions_deg(self.directions))])
    }

    fn meaning(&self, condition: &str) -> Meaning {
        match condition {
            "direction" => Meaning::quantity("direction", "deg"),
            _ => Meaning::of_name(condition),
        }
    }

    /// Draws a trial. The velocity, in units of its standard deviation, follows w' = c w + sqrt(1 - c^2) n with
    /// c = exp(-dt / correlation time).
    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let mut trial = Trial::blank(self, condition, clock, rng);
        let turn = trial.timeline.steps("turn");
        let mut heading = condition.value("direction").to_radians();
        trial.set_input(0..turn.start, COS, heading.cos());
        trial.set_input(0..turn.start, SIN, heading.sin());
        let kept = (-clock.dt_ms() / self.correlation_ms).exp();
        let turned = self.velocity_std.to_radians() * clock.dt_ms() / 1000.0;
        let mut velocity = f64::from(rng.normal());
        for t in 0..trial.n_steps {
            if turn.contains(&t) {
                trial.set_input(t..t + 1, VELOCITY, velocity);
                heading += turned * velocity;
                velocity = kept * velocity + (1.0 - kept * kept).sqrt() * f64::from(rng.normal());
            }
            trial.set_target(t..t + 1, 0, heading.cos());
            trial.set_target(t..t + 1, 1, heading.sin());
        }
        trial.add_input_noise(self.input_noise, rng);
        trial
    }

    fn is_correct(&self, trial: &Trial, outputs: &[f32]) -> Option<bool> {
        let Target::Values(target) = &trial.target else {
            return None;
        };
        let last = 2 * (trial.n_steps - 1);
        let angle = |values: &[f32]| f64::from(values[last + 1]).atan2(f64::from(values[last]));
        let off = angular_distance(angle(outputs), angle(target));
        Some(off <= self.tolerance_degrees.to_radians())
    }

    fn correct_rule(&self) -> String {
        format!(
            "A trial is correct if the angle of the outputs (cos, sin) at its last time step is off by at most {} \
             degrees.",
            self.tolerance_degrees
        )
    }

    /// Returns the fraction of the circle within the tolerance: a blind readout has any angle, equally likely.
    fn chance(&self) -> Option<f64> {
        Some(self.tolerance_degrees.to_radians() / PI)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctrnn_random::{Key, Stream};

    /// One time step of 100 ms each, from 90 degrees at a velocity of 900 w degrees per second: 90 (1 + w).
    #[test]
    fn a_trial_by_hand() {
        let task = HeadDirection {
            cue_ms: 100.0.into(),
            turn_ms: 100.0.into(),
            velocity_std: 900.0,
            ..HeadDirection::default()
        };
        let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
        let condition = Condition::new([("direction", 90.0)]);
        let trial = task.sample_trial(&condition, Clock::new(100.0).unwrap(), &mut rng);
        let w = trial.inputs[3];
        let expected = [0.0, 0.0, 1.0, w, 0.0, 0.0];
        for (input, expected) in trial.inputs.iter().zip(expected) {
            assert!((input - expected).abs() < 1e-6, "{:?}", trial.inputs);
        }
        let end = (90.0 * (1.0 + w)).to_radians();
        let readout = |off: f32| [0.0, 1.0, 3.0 * (end + off).cos(), 3.0 * (end + off).sin()];
        assert_eq!(task.is_correct(&trial, &readout(0.26)), Some(true)); // 14.9 degrees
        assert_eq!(task.is_correct(&trial, &readout(-0.27)), Some(false));
    }

    #[test]
    fn finds_all_errors_at_once() {
        let task = HeadDirection {
            cue_ms: 0.0.into(),
            turn_ms: 30.0.into(),
            directions: 0,
            velocity_std: -1.0,
            correlation_ms: 0.0,
            input_noise: -1.0,
            tolerance_degrees: 200.0,
        };
        let errors = task.check(Clock::new(20.0).unwrap()).unwrap_err();
        assert_eq!(errors.len(), 7, "{errors:?}");
    }
}
