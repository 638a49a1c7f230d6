//! Anti: respond towards a stimulus or away from it, depending on a cue.

use ctrnn_random::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ring::directions_deg;
use crate::{
    Check, Clock, Condition, Duration, Epoch, Layout, Meaning, Ring, Task, TaskError, Trial,
};

/// Inputs before the ring.
const PRO_CUE: usize = 1;
const ANTI_CUE: usize = 2;
const RING: usize = 3;
/// Number of units of the ring.
const RING_UNITS: usize = 32;

/// Respond towards a stimulus or in the opposite direction, depending on a cue (pro- and antisaccades).
///
/// Inputs: `fixation`, 1 until the response; `pro_cue` or `anti_cue`, 1 from the start of the epoch `cue`
/// until the response; and a ring of 32 units, on which the stimulus is a Gaussian bump of height 0.8 and width
/// pi/8 around one of `directions` evenly spaced directions. Epochs: `fixation`, `cue`, `stimulus`, `delay`,
/// `response`. The output `fixation` should be 1 until the response. During the response the output of the direction of
/// the stimulus (pro) or of the opposite direction (anti) should be 1; all else 0. In a catch trial there is no stimulus
/// and fixation should be kept. Conditions: anti (0 or 1) with every direction, in degrees, and catch.
///
/// Source: the antisaccade task of Munoz & Everling (2004) and the task AntiReach of neurogym; the ring of
/// Yang et al. (2019). The durations were chosen for this program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Anti {
    /// Duration of fixation before the cue.
    pub fixation_ms: Duration,
    /// Duration of the cue before the stimulus.
    pub cue_ms: Duration,
    /// Duration of the stimulus.
    pub stimulus_ms: Duration,
    /// Duration of the delay between the stimulus and the response.
    pub delay_ms: Duration,
    /// Duration of the response.
    pub response_ms: Duration,
    /// Number of directions; an even number.
    #[schemars(range(min = 2, max = 360))]
    pub directions: usize,
    /// Fraction of anti trials in training.
    pub anti_fraction: f64,
    /// Fraction of trials without a stimulus.
    pub catch_fraction: f64,
    /// Standard deviation of the noise on every input, per time step.
    pub input_noise: f64,
}

impl Default for Anti {
    fn default() -> Self {
        Self {
            fixation_ms: 100.0.into(),
            cue_ms: Duration::Uniform([200.0, 400.0]),
            stimulus_ms: 200.0.into(),
            delay_ms: Duration::Uniform([0.0, 200.0]),
            response_ms: 300.0.into(),
            directions: 8,
            anti_fraction: 0.5,
            catch_fraction: 0.0,
            input_noise: 0.1,
        }
    }
}

impl Task for Anti {
    fn layout(&self) -> Layout {
        let layout = Layout::new(["fixation", "pro_cue", "anti_cue"], ["fixation"]);
        let directions = (0..self.directions).map(|k| format!("direction {k}"));
        let all: Vec<usize> = (0..=self.directions).collect();
        layout
            .with_inputs(Ring::gaussian(RING_UNITS).names("ring"))
            .with_outputs(directions)
            .with_choices(&all)
    }

    fn epochs(&self) -> Vec<Epoch> {
        vec![
            Epoch::new("fixation", &self.fixation_ms),
            Epoch::new("cue", &self.cue_ms),
            Epoch::new("stimulus", &self.stimulus_ms),
            Epoch::new("delay", &self.delay_ms),
            Epoch::new("response", &self.response_ms),
        ]
    }

    fn check(&self, clock: Clock) -> Result<(), Vec<TaskError>> {
        let odd = || {
            let message = format!(
                "{} is not an even number; every direction needs an opposite",
                self.directions
            );
            TaskError::config("directions", message)
        };
        Check::new(clock)
            .epochs(&self.epochs())
            .not_zero("stimulus_ms", &self.stimulus_ms, "it shows the direction")
            .read_at_end("response_ms", &self.response_ms)
            .number("directions", self.directions as f64, 2.0..=360.0)
            .require(self.directions.is_multiple_of(2), odd)
            .number("anti_fraction", self.anti_fraction, 0.0..=1.0)
            .catch_fraction(self.catch_fraction)
            .not_negative("input_noise", self.input_noise)
            .finish()
    }

    fn conditions(&self) -> Vec<Condition> {
        let directions = directions_deg(self.directions);
        let grid = Condition::grid(&[("anti", &[0.0, 1.0]), ("direction", &directions)]);
        let weighted = grid
            .into_iter()
            .map(|condition| {
                let is_anti = condition.value("anti") == 1.0;
                let pro_fraction = 1.0 - self.anti_fraction;
                condition.with_weight(if is_anti {
                    self.anti_fraction
                } else {
                    pro_fraction
                })
            })
            .collect();
        Condition::with_catch(weighted, self.catch_fraction)
    }

    fn meaning(&self, condition: &str) -> Meaning {
        match condition {
            "anti" => Meaning::names(&["pro", "anti"]),
            "direction" => Meaning::quantity("direction", "deg"),
            _ => Meaning::of_name(condition),
        }
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let mut trial = Trial::blank(self, condition, clock, rng);
        let [cue, stimulus, response] =
            ["cue", "stimulus", "response"].map(|name| trial.timeline.steps(name));
        let degrees = condition.value("direction");
        let is_anti = condition.value("anti") == 1.0;
        let rule = if is_anti { ANTI_CUE } else { PRO_CUE };
        trial.fixate(0..response.start);
        trial.set_input(cue.start..response.start, rule, 1.0);
        if condition.is_catch() {
            trial.answer(response, 0);
        } else {
            let bump = Ring::gaussian(RING_UNITS).encode(degrees.to_radians());
            trial.add_inputs(stimulus, RING, &bump);
            trial.answer(response, 1 + self.response(degrees, is_anti));
        }
        trial.add_input_noise(self.input_noise, rng);
        trial
    }
}

impl Anti {
    /// Returns the index of the direction of the response.
    fn response(&self, degrees: f64, is_anti: bool) -> usize {
        let shown = (degrees / 360.0 * self.directions as f64).round() as usize;
        let turned = if is_anti { self.directions / 2 } else { 0 };
        (shown + turned) % self.directions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctrnn_random::{Key, Stream};

    fn task() -> Anti {
        let step: Duration = 20.0.into();
        Anti {
            fixation_ms: step.clone(),
            cue_ms: step.clone(),
            stimulus_ms: step.clone(),
            delay_ms: 0.0.into(),
            response_ms: step,
            directions: 4,
            input_noise: 0.0,
            ..Anti::default()
        }
    }

    fn trial(task: &Anti, condition: &Condition) -> Trial {
        let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
        task.sample_trial(condition, Clock::new(20.0).unwrap(), &mut rng)
    }

    /// One time step per epoch; at 270 degrees, unit 24 of 32, of four directions number 3, opposite 1.
    #[test]
    fn a_trial_by_hand() {
        for (anti, correct) in [(0.0, 4), (1.0, 2)] {
            let condition = Condition::new([("anti", anti), ("direction", 270.0)]);
            let trial = trial(&task(), &condition);
            let rule = if anti == 1.0 { ANTI_CUE } else { PRO_CUE };
            let column = |k: usize| {
                trial
                    .inputs
                    .iter()
                    .skip(k)
                    .step_by(35)
                    .copied()
                    .collect::<Vec<_>>()
            };
            assert_eq!(column(0), [1.0, 1.0, 1.0, 0.0]);
            assert_eq!(column(rule), [0.0, 1.0, 1.0, 0.0]);
            assert_eq!(column(RING + 24), [0.0, 0.0, 0.8, 0.0]);
            assert_eq!(trial.correct, Some(correct));
            assert_eq!(trial.target_choice(&[0, 1, 2, 3, 4]), Some(correct));
        }
    }

    #[test]
    fn on_catch_trials_nothing_is_shown() {
        let task = Anti {
            catch_fraction: 0.2,
            ..task()
        };
        let conditions = task.conditions();
        let catch = conditions.last().unwrap();
        let trial = trial(&task, catch);
        assert!(
            trial
                .inputs
                .chunks(35)
                .all(|row| row[RING..].iter().all(|&u| u == 0.0))
        );
        assert_eq!(trial.correct, Some(0));
    }

    #[test]
    fn finds_all_errors_at_once() {
        let task = Anti {
            cue_ms: 30.0.into(),
            response_ms: 0.0.into(),
            directions: 3,
            anti_fraction: 1.5,
            catch_fraction: 1.0,
            input_noise: -1.0,
            ..Anti::default()
        };
        let errors = task.check(Clock::new(20.0).unwrap()).unwrap_err();
        assert_eq!(errors.len(), 6, "{errors:?}");
        assert_eq!(
            errors[2].to_string(),
            "directions: 3 is not an even number; every direction needs an opposite"
        );
    }
}
