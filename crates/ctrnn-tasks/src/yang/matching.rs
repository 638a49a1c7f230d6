//! Matching tasks of Yang et al. (2019): compare a test with a sample.

use std::f64::consts::{PI, TAU};

use ctrnn_random::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scene::{self, Member, Scene, about};
use crate::{
    Check, Clock, Condition, Duration, Epoch, Layout, Meaning, Task, TaskError, Timeline, Trial,
};

/// A sample is shown and, after a delay, a test; the response is towards the test, or withheld.
///
/// Inputs, outputs, mask, noise and catch trials are those of the task `yang_fdgo`; sample and test are each on a random
/// ring. Epochs: `fixation`, `sample`, `delay`, `test`; the go cue is the onset of the test, which stays to the end, as
/// does the fixation input. By direction, the sample has any direction; a matching test has the same direction, and a
/// non-matching test one that is 20 to 340 degrees further on. By category, sample and test have one of the ten
/// directions
/// 18, 54, ... 342 degrees; a matching test is on the same side of 180 degrees as the sample. Conditions: match (0 or 1),
/// equally likely.
///
/// Source: Yang et al. (2019), with the numbers of the authors' code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct YangMatch {
    /// Duration of fixation before the sample.
    pub fixation_ms: Duration,
    /// Duration of the sample.
    pub sample_ms: Duration,
    /// Duration of the delay between the sample and the test.
    pub delay_ms: Duration,
    /// Duration of the test, which is also the response.
    pub test_ms: Duration,
    /// If true, categories are compared instead of directions.
    pub by_category: bool,
    /// If true, the response is to a match; otherwise to a non-match.
    pub respond_to_match: bool,
    /// Fraction of catch trials in training.
    pub catch_fraction: f64,
    /// Input noise: the standard deviation per time step is this times sqrt(2 tau / dt), with tau = 100 ms.
    pub sigma_x: f64,
}

impl Default for YangMatch {
    fn default() -> Self {
        let short = || Duration::Choice(vec![200.0, 400.0, 600.0]);
        Self {
            fixation_ms: short(),
            sample_ms: short(),
            delay_ms: Duration::Choice(vec![200.0, 400.0, 800.0, 1600.0]),
            test_ms: 500.0.into(),
            by_category: false,
            respond_to_match: true,
            catch_fraction: 0.0,
            sigma_x: 0.01,
        }
    }
}

pub(super) fn family() -> Vec<Member<YangMatch>> {
    let by_direction = YangMatch::default();
    let by_category = YangMatch {
        test_ms: Duration::Choice(vec![200.0, 400.0, 600.0]),
        by_category: true,
        ..YangMatch::default()
    };
    let to_non_match = |task: &YangMatch| YangMatch {
        respond_to_match: false,
        ..task.clone()
    };
    vec![
        (
            "yang_dmsnogo",
            about("Respond to a test in another direction than the sample (DNMS)."),
            to_non_match(&by_direction),
        ),
        (
            "yang_dmcnogo",
            about("Respond to a test of another category than the sample (DNMC)."),
            to_non_match(&by_category),
        ),
        (
            "yang_dmsgo",
            about("Respond to a test in the direction of the sample (DMS)."),
            by_direction,
        ),
        (
            "yang_dmcgo",
            about("Respond to a test of the category of the sample (DMC)."),
            by_category,
        ),
    ]
}

impl Task for YangMatch {
    fn layout(&self) -> Layout {
        scene::layout().clone()
    }

    fn epochs(&self) -> Vec<Epoch> {
        vec![
            Epoch::new("fixation", &self.fixation_ms),
            Epoch::new("sample", &self.sample_ms),
            Epoch::new("delay", &self.delay_ms),
            Epoch::new("test", &self.test_ms),
        ]
    }

    fn check(&self, clock: Clock) -> Result<(), Vec<TaskError>> {
        Check::new(clock)
            .epochs(&self.epochs())
            .not_zero("sample_ms", &self.sample_ms, "it shows the sample")
            .with(scene::too_short("test_ms", &self.test_ms))
            .catch_fraction(self.catch_fraction)
            .not_negative("sigma_x", self.sigma_x)
            .finish()
    }

    fn conditions(&self) -> Vec<Condition> {
        let grid = Condition::grid(&[("match", &[0.0, 1.0])]);
        Condition::with_catch(grid, self.catch_fraction)
    }

    fn meaning(&self, condition: &str) -> Meaning {
        match condition {
            "match" => Meaning::names(&["non-match", "match"]),
            _ => Meaning::of_name(condition),
        }
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let timeline = Timeline::draw(&self.epochs(), clock, rng);
        let mut scene = Scene::new(condition, timeline, clock);
        if condition.is_catch() {
            return scene.catch(self.sigma_x, rng);
        }
        let is_match = condition.value("match") == 1.0;
        let [sample, test] = if self.by_category {
            by_category(is_match, rng)
        } else {
            by_direction(is_match, rng)
        };
        let [sample_ring, test_ring] = [rng.below(2), rng.below(2)].map(|ring| ring as usize);
        let go = scene.steps("test");
        scene.fixation_point(0..go.end);
        scene.show(scene.steps("sample"), sample_ring, sample, 1.0);
        scene.show(go.clone(), test_ring, test, 1.0);
        let responds = is_match == self.respond_to_match;
        scene.respond(go.start, responds.then_some(test), self.sigma_x, rng)
    }

    fn is_correct(&self, trial: &Trial, outputs: &[f32]) -> Option<bool> {
        scene::is_correct(trial, outputs)
    }

    fn correct_rule(&self) -> String {
        scene::correct_rule()
    }

    fn chance(&self) -> Option<f64> {
        Some(scene::chance(0.5))
    }
}

/// Draws sample and test: the same direction, or 20 to 340 degrees apart.
fn by_direction(is_match: bool, rng: &mut Rng) -> [f64; 2] {
    let sample = rng.uniform_in(0.0, TAU);
    let apart = rng.uniform_in(PI / 9.0, 17.0 * PI / 9.0);
    [sample, if is_match { sample } else { sample + apart }]
}

/// Draws sample and test: each one of the five directions of its category.
fn by_category(is_match: bool, rng: &mut Rng) -> [f64; 2] {
    let side = rng.below(2);
    let other = if is_match { side } else { 1 - side };
    [side, other].map(|side| PI * (f64::from(side) + 0.1 + 0.2 * f64::from(rng.below(5))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::angular_distance;
    use ctrnn_random::{Key, Stream};

    fn rng() -> Rng {
        Rng::new(Key::new(1, Stream::Trials, 0), 0, 0)
    }

    #[test]
    fn a_match_has_the_direction_or_the_category_of_the_sample() {
        let mut rng = rng();
        for _ in 0..100 {
            let [sample, test] = by_direction(true, &mut rng);
            assert_eq!(sample, test);
            let [sample, test] = by_direction(false, &mut rng);
            assert!(angular_distance(sample, test) >= PI / 9.0 - 1e-9);
            for is_match in [false, true] {
                let directions = by_category(is_match, &mut rng);
                let [a, b] = directions.map(|angle| angle < PI);
                assert_eq!(a == b, is_match);
                let tenths = directions.map(|angle| angle / PI * 10.0);
                assert!(
                    tenths
                        .iter()
                        .all(|x| (x - x.round()).abs() < 1e-9 && x.round() as i32 % 2 == 1)
                );
            }
        }
    }

    #[test]
    fn the_right_trials_ask_for_a_response() {
        for (_, _, task) in family() {
            for is_match in [0.0, 1.0] {
                let condition = Condition::new([("match", is_match)]);
                let trial = task.sample_trial(&condition, Clock::new(20.0).unwrap(), &mut rng());
                let responds = (is_match == 1.0) == task.respond_to_match;
                assert_eq!(trial.correct != Some(scene::FIXATION), responds);
            }
        }
    }

    #[test]
    fn finds_all_errors_at_once() {
        let task = YangMatch {
            fixation_ms: 30.0.into(),
            sample_ms: 0.0.into(),
            test_ms: 100.0.into(),
            sigma_x: -1.0,
            ..YangMatch::default()
        };
        let errors = task.check(Clock::new(20.0).unwrap()).unwrap_err();
        let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
        assert_eq!(keys, ["fixation_ms", "sample_ms", "test_ms", "sigma_x"]);
    }
}
