//! Go and anti tasks of Yang et al. (2019): respond towards a stimulus or in the opposite direction.

use std::f64::consts::{PI, TAU};

use ctrnn_random::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scene::{self, Member, Scene, about};
use crate::ring::directions_deg;
use crate::{
    Check, Clock, Condition, Duration, Epoch, Layout, Meaning, Task, TaskError, Timeline, Trial,
};

/// A stimulus is shown on one of two rings; the response is towards it or, in anti tasks, in the opposite direction.
///
/// Inputs: `fixation`, and two rings of 32 units with preferred directions evenly spaced on the circle. A stimulus
/// adds 0.8 exp(-(d / (pi/8))^2 / 2) to each unit of its ring, where d is the distance between their directions. Outputs:
/// `fixation`, which should be 0.8 up to the go cue, and a ring of 32 units, `response`, which should show
/// the same bump plus 0.05 in the direction of the response from the go cue on. Otherwise all outputs should be
/// 0.05. Epochs: `fixation`, `stimulus`, `delay`, `response`; the go cue is the start of the
/// response. The fixation input is 1 up to the go cue, or always.
///
/// The mask is 0 in the first 100 ms, 1 up to the go cue, 0 for 100 ms and 5 from then on, and twice that for the
/// fixation output. The authors multiply the error by it before squaring. Every input has noise with standard
/// deviation sigma_x sqrt(2 tau / dt), with tau = 100 ms. Conditions: the ring, and the direction if `directions` is not
/// 0. In a catch trial nothing is shown, and fixation should be kept to the end. Durations are drawn for each trial (by
///    the
/// authors for each batch); the authors have no catch trials.
///
/// Source: Yang et al. (2019), with the numbers of the authors' code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct YangGo {
    /// Duration of fixation before the stimulus.
    pub fixation_ms: Duration,
    /// Duration of the stimulus epoch; if it is 0 and `stimulus_stays` is true, the stimulus itself is the go cue.
    pub stimulus_ms: Duration,
    /// Duration of the delay between the stimulus and the go cue.
    pub delay_ms: Duration,
    /// Duration of the response, from the go cue on.
    pub response_ms: Duration,
    /// If true, the response is opposite to the stimulus.
    pub anti: bool,
    /// If true, the stimulus stays to the end of the trial.
    pub stimulus_stays: bool,
    /// If true, the fixation input stays to the end of the trial.
    pub fixation_stays: bool,
    /// Number of evenly spaced directions, each of which is a condition; with 0, any direction is drawn for each trial.
    #[schemars(range(min = 0, max = 360))]
    pub directions: usize,
    /// Fraction of catch trials in training.
    pub catch_fraction: f64,
    /// Input noise: the standard deviation per time step is this times sqrt(2 tau / dt), with tau = 100 ms.
    pub sigma_x: f64,
}

impl Default for YangGo {
    fn default() -> Self {
        delay()
    }
}

/// Returns the go task after a delay.
fn delay() -> YangGo {
    YangGo {
        fixation_ms: Duration::Choice(vec![300.0, 500.0, 700.0]),
        stimulus_ms: Duration::Choice(vec![200.0, 400.0, 600.0]),
        delay_ms: Duration::Choice(vec![200.0, 400.0, 800.0, 1600.0]),
        response_ms: 500.0.into(),
        anti: false,
        stimulus_stays: false,
        fixation_stays: false,
        directions: 0,
        catch_fraction: 0.0,
        sigma_x: 0.01,
    }
}

/// Returns the go task in which the stimulus stays.
fn fixed_duration() -> YangGo {
    YangGo {
        fixation_ms: Duration::Uniform([300.0, 700.0]),
        stimulus_ms: Duration::Uniform([500.0, 1500.0]),
        delay_ms: 0.0.into(),
        stimulus_stays: true,
        ..delay()
    }
}

/// Returns the go task in which the stimulus is the go cue.
fn react() -> YangGo {
    YangGo {
        fixation_ms: Duration::Uniform([500.0, 2500.0]),
        stimulus_ms: 0.0.into(),
        delay_ms: 0.0.into(),
        stimulus_stays: true,
        fixation_stays: true,
        ..delay()
    }
}

pub(super) fn family() -> Vec<Member<YangGo>> {
    let anti = |task: YangGo| YangGo { anti: true, ..task };
    vec![
        (
            "yang_fdgo",
            about("Respond towards a stimulus that stays, when the fixation point goes off (Go)."),
            fixed_duration(),
        ),
        (
            "yang_fdanti",
            about(
                "Respond opposite to a stimulus that stays, when the fixation point goes off (Anti).",
            ),
            anti(fixed_duration()),
        ),
        (
            "yang_reactgo",
            about("Respond towards a stimulus as soon as it appears (RT Go)."),
            react(),
        ),
        (
            "yang_reactanti",
            about("Respond opposite to a stimulus as soon as it appears (RT Anti)."),
            anti(react()),
        ),
        (
            "yang_delaygo",
            about(
                "Respond towards a remembered stimulus, when the fixation point goes off (Dly Go).",
            ),
            delay(),
        ),
        (
            "yang_delayanti",
            about(
                "Respond opposite to a remembered stimulus, when the fixation point goes off (Dly Anti).",
            ),
            anti(delay()),
        ),
    ]
}

impl Task for YangGo {
    fn layout(&self) -> Layout {
        scene::layout().clone()
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
        let shown = self.stimulus_stays || self.stimulus_ms.bounds_ms()[0] > 0.0;
        Check::new(clock)
            .epochs(&self.epochs())
            .require(shown, || {
                let message = "0 ms is too short for a stimulus that does not stay";
                TaskError::config("stimulus_ms", message)
            })
            .with(scene::too_short("response_ms", &self.response_ms))
            .number("directions", self.directions as f64, 0.0..=360.0)
            .catch_fraction(self.catch_fraction)
            .not_negative("sigma_x", self.sigma_x)
            .finish()
    }

    /// Lists `ring`, 1 or 2, and `direction` in degrees.
    fn conditions(&self) -> Vec<Condition> {
        let rings: (&str, &[f64]) = ("ring", &[1.0, 2.0]);
        let grid = match self.directions {
            0 => Condition::grid(&[rings]),
            n => Condition::grid(&[rings, ("direction", &directions_deg(n))]),
        };
        Condition::with_catch(grid, self.catch_fraction)
    }

    fn meaning(&self, condition: &str) -> Meaning {
        match condition {
            "ring" => Meaning::Names(vec![(1.0, "ring 1".to_owned()), (2.0, "ring 2".to_owned())]),
            "direction" => Meaning::quantity("direction", "deg"),
            _ => Meaning::of_name(condition),
        }
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let timeline = Timeline::draw(&self.epochs(), clock, rng);
        let mut scene = Scene::new(condition, timeline, clock);
        if condition.is_catch() {
            return scene.catch(self.sigma_x, rng);
        }
        let [stimulus, response] = ["stimulus", "response"].map(|name| scene.steps(name));
        let direction = if self.directions == 0 {
            rng.uniform_in(0.0, TAU)
        } else {
            condition.value("direction").to_radians()
        };
        let until = |stays: bool, end: usize| if stays { response.end } else { end };
        let shown = stimulus.start..until(self.stimulus_stays, stimulus.end);
        scene.fixation_point(0..until(self.fixation_stays, response.start));
        scene.show(shown, condition.value("ring") as usize - 1, direction, 1.0);
        let opposite = if self.anti { PI } else { 0.0 };
        scene.respond(
            response.start,
            Some(direction + opposite),
            self.sigma_x,
            rng,
        )
    }

    fn is_correct(&self, trial: &Trial, outputs: &[f32]) -> Option<bool> {
        scene::is_correct(trial, outputs)
    }

    fn correct_rule(&self) -> String {
        scene::correct_rule()
    }

    fn chance(&self) -> Option<f64> {
        Some(scene::chance(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;
    use ctrnn_random::{Key, Stream};

    /// Time steps of 100 ms, one or two per epoch; the stimulus at 0 degrees on ring 2.
    fn trial(task: YangGo) -> Trial {
        let task = YangGo {
            fixation_ms: 100.0.into(),
            stimulus_ms: 100.0.into(),
            delay_ms: 100.0.into(),
            response_ms: 200.0.into(),
            directions: 8,
            sigma_x: 0.0,
            ..task
        };
        let condition = Condition::new([("ring", 2.0), ("direction", 0.0)]);
        let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
        task.sample_trial(&condition, Clock::new(100.0).unwrap(), &mut rng)
    }

    fn column(values: &[f32], width: usize, k: usize) -> Vec<f32> {
        values.iter().skip(k).step_by(width).copied().collect()
    }

    #[test]
    fn a_delayed_trial_by_hand() {
        let trial = trial(delay());
        assert_eq!(column(&trial.inputs, 65, 0), [1.0, 1.0, 1.0, 0.0, 0.0]);
        assert_eq!(column(&trial.inputs, 65, 1), [0.0; 5]);
        assert_eq!(column(&trial.inputs, 65, 33), [0.0, 0.8, 0.0, 0.0, 0.0]);
        assert_eq!(trial.correct, Some(1));
        let Target::Values(target) = &trial.target else {
            panic!("values");
        };
        assert_eq!(column(target, 33, 0), [0.8, 0.8, 0.8, 0.05, 0.05]);
        assert_eq!(scene::is_correct(&trial, target), Some(true));
    }

    #[test]
    fn a_stimulus_that_stays() {
        let stays = trial(fixed_duration());
        assert_eq!(column(&stays.inputs, 65, 33), [0.0, 0.8, 0.8, 0.8, 0.8]);
        assert_eq!(column(&stays.inputs, 65, 0), [1.0, 1.0, 1.0, 0.0, 0.0]);
        let react = trial(react());
        assert_eq!(column(&react.inputs, 65, 0), [1.0; 5]);
    }

    /// Opposite to unit 0 of 32 is unit 16: output 17 after fixation.
    #[test]
    fn anti_is_opposite() {
        let anti = trial(YangGo {
            anti: true,
            ..delay()
        });
        assert_eq!(anti.correct, Some(17));
    }

    #[test]
    fn finds_all_errors_at_once() {
        let task = YangGo {
            fixation_ms: 30.0.into(),
            stimulus_ms: 0.0.into(),
            response_ms: 100.0.into(),
            directions: 400,
            sigma_x: -1.0,
            ..delay()
        };
        let errors = task.check(Clock::new(20.0).unwrap()).unwrap_err();
        let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "fixation_ms",
                "stimulus_ms",
                "response_ms",
                "directions",
                "sigma_x"
            ]
        );
    }
}
