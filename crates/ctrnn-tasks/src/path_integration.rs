//! Path integration: track a position by integrating velocity.

use ctrnn_random::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::random_walk::RandomWalk;
use crate::{Check, Clock, Condition, Duration, Epoch, Layout, Target, Task, TaskError, Trial};

/// Keep track of the position in a square box by integrating velocity.
///
/// The animal starts in the middle of the box. Its heading diffuses, its speed is drawn independently in each time step,
/// and walls reflect it. The inputs `vx` and `vy` are the velocity in each time step, in units of the mean
/// speed; the outputs `x` and `y` should be the position at the end of the time step, in units of half the side, from -1
/// to 1. There is one epoch, `walk`, and one condition.
///
/// Source: Cueva & Wei (2018), whose inputs are speed and heading; the walk, in a box of 100 cm at 20 +- 5 cm/s,
/// is that of the task `place_fields`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PathIntegration {
    /// Duration of a trial.
    pub walk_ms: Duration,
    /// Side of the box.
    pub side_cm: f64,
    /// Mean speed, in cm/s.
    pub speed: f64,
    /// Standard deviation of the speed, in cm/s; negative speeds are set to 0.
    pub speed_std: f64,
    /// Standard deviation of the change of heading over one second, in radians.
    pub turning: f64,
    /// Standard deviation of the noise on every input, per time step.
    pub input_noise: f64,
    /// Largest error of the final position in a correct trial.
    pub tolerance_cm: f64,
}

impl Default for PathIntegration {
    fn default() -> Self {
        Self {
            walk_ms: 2000.0.into(),
            side_cm: 100.0,
            speed: 20.0,
            speed_std: 5.0,
            turning: 1.5,
            input_noise: 0.0,
            tolerance_cm: 5.0,
        }
    }
}

impl Task for PathIntegration {
    fn layout(&self) -> Layout {
        Layout::new(["vx", "vy"], ["x", "y"]).with_choices(&[])
    }

    fn epochs(&self) -> Vec<Epoch> {
        vec![Epoch::new("walk", &self.walk_ms)]
    }

    fn check(&self, clock: Clock) -> Result<(), Vec<TaskError>> {
        Check::new(clock)
            .epochs(&self.epochs())
            .not_zero("walk_ms", &self.walk_ms, "the animal moves during it")
            .positive("side_cm", self.side_cm)
            .positive("speed", self.speed)
            .not_negative("speed_std", self.speed_std)
            .not_negative("turning", self.turning)
            .not_negative("input_noise", self.input_noise)
            .not_negative("tolerance_cm", self.tolerance_cm)
            .finish()
    }

    fn conditions(&self) -> Vec<Condition> {
        vec![Condition::new([])]
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let mut trial = Trial::blank(self, condition, clock, rng);
        let (walk, dt_s) = (self.walk(), clock.dt_ms() / 1000.0);
        let mut pose = walk.in_the_middle(rng);
        for t in 0..trial.n_steps {
            let next = walk.step(pose, dt_s, rng);
            for k in 0..2 {
                let velocity = (next.position[k] - pose.position[k]) / dt_s;
                trial.set_input(t..t + 1, k, velocity / self.speed);
                trial.set_target(t..t + 1, k, self.scaled(next.position[k]));
            }
            pose = next;
        }
        trial.add_input_noise(self.input_noise, rng);
        trial
    }

    fn is_correct(&self, trial: &Trial, outputs: &[f32]) -> Option<bool> {
        let Target::Values(target) = &trial.target else {
            return None;
        };
        let last = 2 * (trial.n_steps - 1);
        let off = |k: usize| f64::from(outputs[last + k] - target[last + k]) * self.side_cm / 2.0;
        Some(off(0).hypot(off(1)) <= self.tolerance_cm)
    }

    /// Returns the positions from the middle of the box, in cm.
    fn positions(&self, trial: &Trial) -> Option<Vec<[f64; 2]>> {
        match &trial.target {
            Target::Values(target) => {
                let rows = target.chunks_exact(2);
                let in_cm = |x: f32| f64::from(x) * self.side_cm / 2.0;
                Some(rows.map(|row| [row[0], row[1]].map(in_cm)).collect())
            }
            Target::Classes(_) => None,
        }
    }

    fn correct_rule(&self) -> String {
        format!(
            "A trial is correct if the position at its last time step is off by at most {} cm.",
            self.tolerance_cm
        )
    }

    /// Returns the probability that two standard normals are within r of the origin, near which most walks end:
    /// 1 - exp(-r^2 / 2).
    fn chance(&self) -> Option<f64> {
        let r = 2.0 * self.tolerance_cm / self.side_cm;
        Some(1.0 - (-r * r / 2.0).exp())
    }
}

impl PathIntegration {
    fn walk(&self) -> RandomWalk {
        RandomWalk {
            side_cm: self.side_cm,
            speed: self.speed,
            speed_std: self.speed_std,
            turning: self.turning,
        }
    }

    /// Scales a coordinate to -1 to 1.
    fn scaled(&self, cm: f64) -> f64 {
        2.0 * cm / self.side_cm - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctrnn_random::{Key, Stream};

    fn trial(task: &PathIntegration) -> Trial {
        let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
        task.sample_trial(&Condition::new([]), Clock::new(20.0).unwrap(), &mut rng)
    }

    /// 20 cm/s for 20 ms are 0.4 cm, or 0.008 of half a box of 100 cm: the position is the sum of 0.008 v.
    #[test]
    fn the_target_is_the_sum_of_the_velocities() {
        let trial = trial(&PathIntegration::default());
        let Target::Values(target) = &trial.target else {
            panic!("values");
        };
        for k in 0..2 {
            let mut x = 0.0;
            for t in 0..trial.n_steps {
                x += 0.008 * trial.inputs[2 * t + k];
                assert!((x - target[2 * t + k]).abs() < 1e-5, "{t}");
            }
        }
    }

    /// 5 cm are 0.1 of half the side.
    #[test]
    fn the_last_position_decides() {
        let task = PathIntegration::default();
        let trial = trial(&task);
        let Target::Values(target) = &trial.target else {
            panic!("values");
        };
        let mut readout = target.clone();
        readout[0] += 9.0;
        let last = readout.len() - 1;
        readout[last] += 0.099;
        assert_eq!(task.is_correct(&trial, &readout), Some(true));
        readout[last - 1] -= 0.05;
        assert_eq!(task.is_correct(&trial, &readout), Some(false));
    }

    #[test]
    fn finds_all_errors_at_once() {
        let task = PathIntegration {
            walk_ms: 0.0.into(),
            side_cm: 0.0,
            speed: -1.0,
            speed_std: -1.0,
            turning: f64::NAN,
            input_noise: -1.0,
            tolerance_cm: -1.0,
        };
        let errors = task.check(Clock::new(20.0).unwrap()).unwrap_err();
        assert_eq!(errors.len(), 7, "{errors:?}");
    }
}
