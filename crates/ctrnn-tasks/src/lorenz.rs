//! Lorenz: predict the next state of a chaotic system.

use ctrnn_random::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::tracking::{rms_error, rms_rule};
use crate::{Check, Clock, Condition, Duration, Epoch, Layout, Task, TaskError, Trial};

/// Parameters of Lorenz (1963).
const SIGMA: f64 = 10.0;
const RHO: f64 = 28.0;
const BETA: f64 = 8.0 / 3.0;
/// Centre of the attractor and half its extent, by which states are scaled to order 1.
const CENTRE: [f64; 3] = [0.0, 0.0, 24.0];
const EXTENT: [f64; 3] = [20.0, 27.0, 25.0];
/// Longest step of the integration, in the system's own time.
const MAX_STEP: f64 = 0.02;
/// Time for a random initial state to reach the attractor, in the system's own time: phase-space volume shrinks by
/// exp(-13.7) per unit.
const TRANSIENT: f64 = 4.0;

/// Predict the next state of the Lorenz system from the current one.
///
/// The system x' = 10 (y - x), y' = x (28 - z) - y, z' = x y - (8/3) z evolves on its attractor; its states are
/// shifted and scaled to order 1. In the epoch `forced` the inputs are the state at the start of each time
/// step (teacher forcing) and the outputs `x`, `y`, `z` should be the state at its end; the first
/// settle_ms do not count. In the epoch `free` the inputs are 0 and the network has to continue by itself;
/// this epoch counts too. There is one condition.
///
/// Source: Lorenz (1963) for the system, integrated by the classical Runge-Kutta method in steps of at most
/// 0.02. The trials were designed for this program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Lorenz {
    /// Duration of teacher forcing, when the inputs are the state.
    pub forced_ms: Duration,
    /// Duration of the free run, without inputs.
    pub free_ms: Duration,
    /// Time at the start of a trial that does not count.
    pub settle_ms: Duration,
    /// Speed of the system: units of its own time per second.
    pub speed: f64,
    /// Standard deviation of the noise on every input, per time step.
    pub input_noise: f64,
    /// Largest root mean square error of a correct trial.
    pub tolerance: f64,
}

impl Default for Lorenz {
    fn default() -> Self {
        Self {
            forced_ms: 1600.0.into(),
            free_ms: 0.0.into(),
            settle_ms: 200.0.into(),
            speed: 1.0,
            input_noise: 0.0,
            tolerance: 0.05,
        }
    }
}

impl Task for Lorenz {
    fn layout(&self) -> Layout {
        Layout::new(["x", "y", "z"], ["x", "y", "z"]).with_choices(&[])
    }

    fn epochs(&self) -> Vec<Epoch> {
        vec![
            Epoch::new("forced", &self.forced_ms),
            Epoch::new("free", &self.free_ms),
        ]
    }

    fn check(&self, clock: Clock) -> Result<(), Vec<TaskError>> {
        let counts = self.settle_ms.bounds_ms()[1] < self.forced_ms.bounds_ms()[0];
        let speed = || {
            let message = format!("{} is not more than 0 and at most 100", self.speed);
            TaskError::config("speed", message)
        };
        Check::new(clock)
            .epochs(&self.epochs())
            .not_zero("forced_ms", &self.forced_ms, "it shows the state")
            .duration("settle_ms", &self.settle_ms)
            .require(counts, || {
                TaskError::config("settle_ms", "must be shorter than forced_ms")
            })
            .require(self.speed > 0.0 && self.speed <= 100.0, speed)
            .not_negative("input_noise", self.input_noise)
            .not_negative("tolerance", self.tolerance)
            .finish()
    }

    fn conditions(&self) -> Vec<Condition> {
        vec![Condition::new([])]
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let mut trial = Trial::blank(self, condition, clock, rng);
        let forced = trial.timeline.steps("forced").end;
        let settle = self.settle_ms.draw(clock, rng);
        let mut state = on_the_attractor(rng);
        for t in 0..trial.n_steps {
            let before = scaled(state);
            state = advance(state, self.speed * clock.dt_ms() / 1000.0);
            let after = scaled(state);
            for k in 0..3 {
                if t < forced {
                    trial.set_input(t..t + 1, k, before[k]);
                }
                trial.set_target(t..t + 1, k, after[k]);
            }
        }
        trial.add_input_noise(self.input_noise, rng);
        trial.set_mask(0..settle, 0.0);
        trial
    }

    fn is_correct(&self, trial: &Trial, outputs: &[f32]) -> Option<bool> {
        Some(rms_error(trial, outputs, 0..3) <= self.tolerance)
    }

    fn correct_rule(&self) -> String {
        rms_rule("the outputs", self.tolerance)
    }

    /// Returns 0: standard normal noise does not follow the state.
    fn chance(&self) -> Option<f64> {
        Some(0.0)
    }
}

fn scaled(state: [f64; 3]) -> [f64; 3] {
    std::array::from_fn(|k| (state[k] - CENTRE[k]) / EXTENT[k])
}

/// Draws a random state and lets it reach the attractor.
fn on_the_attractor(rng: &mut Rng) -> [f64; 3] {
    let state = std::array::from_fn(|k| CENTRE[k] + EXTENT[k] * rng.uniform_in(-0.5, 0.5));
    advance(state, TRANSIENT)
}

/// Returns the state after some time.
fn advance(mut state: [f64; 3], time: f64) -> [f64; 3] {
    let n = (time / MAX_STEP).ceil().max(1.0);
    for _ in 0..n as usize {
        state = runge_kutta(state, time / n);
    }
    state
}

/// Makes one step of the classical fourth-order Runge-Kutta method.
fn runge_kutta(s: [f64; 3], h: f64) -> [f64; 3] {
    let along = |k: [f64; 3], h: f64| std::array::from_fn(|i| s[i] + h * k[i]);
    let k1 = derivative(s);
    let k2 = derivative(along(k1, h / 2.0));
    let k3 = derivative(along(k2, h / 2.0));
    let k4 = derivative(along(k3, h));
    std::array::from_fn(|i| s[i] + h / 6.0 * (k1[i] + 2.0 * k2[i] + 2.0 * k3[i] + k4[i]))
}

fn derivative([x, y, z]: [f64; 3]) -> [f64; 3] {
    [SIGMA * (y - x), x * (RHO - z) - y, x * y - BETA * z]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mask, Target};
    use ctrnn_random::{Key, Stream};

    fn trial(task: &Lorenz) -> Trial {
        let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
        task.sample_trial(&Condition::new([]), Clock::new(20.0).unwrap(), &mut rng)
    }

    /// At the fixed points x = y = sqrt(beta (rho - 1)), z = rho - 1 nothing moves; halving the step
    /// divides the error by 2^4.
    #[test]
    fn the_system_is_integrated_to_fourth_order() {
        let x = (BETA * (RHO - 1.0)).sqrt();
        let fixed = [x, x, RHO - 1.0];
        for (a, b) in advance(fixed, 1.0).into_iter().zip(fixed) {
            assert!((a - b).abs() < 1e-9);
        }
        let steps = |n: usize| (0..n).fold([1.0, 2.0, 20.0], |s, _| runge_kutta(s, 0.2 / n as f64));
        let exact = steps(4096);
        let error = |n| (steps(n)[0] - exact[0]).abs();
        let order = (error(32) / error(64)).log2();
        assert!((order - 4.0).abs() < 0.3, "{order}");
    }

    #[test]
    fn each_target_is_the_next_input() {
        let task = Lorenz {
            forced_ms: 200.0.into(),
            free_ms: 40.0.into(),
            settle_ms: 40.0.into(),
            ..Lorenz::default()
        };
        let trial = trial(&task);
        let Target::Values(values) = &trial.target else {
            panic!("values");
        };
        assert_eq!(trial.inputs[3..30], values[..27]);
        assert_eq!(trial.inputs[30..], [0.0; 6]);
        assert!(values[30..].iter().all(|&value| value != 0.0));
        assert_eq!(
            trial.mask,
            Mask::Steps([[0.0; 2].as_slice(), &[1.0; 10]].concat())
        );
        assert_eq!(task.is_correct(&trial, values), Some(true));
    }

    #[test]
    fn states_are_of_order_one() {
        let trial = trial(&Lorenz {
            forced_ms: 40_000.0.into(),
            ..Lorenz::default()
        });
        for k in 0..3 {
            let column = trial.inputs.iter().skip(k).step_by(3).copied();
            let (low, high) = column.fold((f32::MAX, f32::MIN), |(low, high), x| {
                (low.min(x), high.max(x))
            });
            assert!(
                low > -1.1 && low < -0.6 && high < 1.1 && high > 0.6,
                "{k}: {low} {high}"
            );
        }
    }

    #[test]
    fn finds_all_errors_at_once() {
        let task = Lorenz {
            forced_ms: 100.0.into(),
            free_ms: 10.0.into(),
            settle_ms: 100.0.into(),
            speed: 0.0,
            input_noise: -1.0,
            tolerance: f64::NAN,
        };
        let errors = task.check(Clock::new(20.0).unwrap()).unwrap_err();
        let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
        assert_eq!(
            keys,
            ["free_ms", "settle_ms", "speed", "input_noise", "tolerance"]
        );
    }
}
