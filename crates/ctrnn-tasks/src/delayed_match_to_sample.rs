//! Delayed match to a sample, to a rotated sample, or to its category.

use ctrnn_random::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ring::directions_deg;
use crate::{
    Check, Clock, Condition, Duration, Epoch, Layout, Meaning, Ring, Task, TaskError, Trial,
};

/// First input of the ring, after fixation.
const RING: usize = 1;
/// Outputs after fixation.
const MATCH: usize = 1;
const NON_MATCH: usize = 2;

/// Report whether a test direction matches a sample direction shown before a delay.
///
/// Directions k 360/n are shown on a ring of tuned inputs (von Mises, concentration 2): the sample, and after a delay the
/// test. The test matches if it is the sample rotated by `rotation_deg`; with `by_category`, it matches if it is in the
/// same half of the circle, [0, 180) or [180, 360). Half of the tests match; the others are drawn from
/// the directions that do not. The fixation input is 1 until the test. The output `fixation` should be 1 until
/// then, and during the test `match` or `non_match`; all else 0. The first `grace_ms` of the test do not
/// count. In a catch trial only the fixation input is 1, up to the end, and so should be the output `fixation`.
///
/// Source: Masse, Yang, Song, Wang & Freedman (2019), where the grace period is 50 ms; the categories go back to
/// Freedman &
/// Assad (2006).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DelayedMatchToSample {
    /// Number of directions, evenly spaced on the circle.
    #[schemars(range(min = 2, max = 360))]
    pub n_directions: usize,
    /// Rotation of a matching test relative to the sample, in degrees.
    pub rotation_deg: f64,
    /// If true, a test matches if it is in the same half of the circle as the sample.
    pub by_category: bool,
    /// Number of tuned inputs.
    #[schemars(range(min = 2, max = 1000))]
    pub n_tuned: usize,
    /// Duration of fixation before the sample.
    pub fixation_ms: Duration,
    /// Duration of the sample.
    pub sample_ms: Duration,
    /// Duration of the delay between sample and test.
    pub delay_ms: Duration,
    /// Duration of the test, during which the choice is made.
    pub test_ms: Duration,
    /// Grace period after the onset of the test, which does not count in the loss.
    pub grace_ms: f64,
    /// Fraction of catch trials in training.
    pub catch_fraction: f64,
    /// Standard deviation of the noise on every input, per time step.
    pub input_noise: f64,
}

impl Default for DelayedMatchToSample {
    fn default() -> Self {
        Self {
            n_directions: 8,
            rotation_deg: 0.0,
            by_category: false,
            n_tuned: 24,
            fixation_ms: 500.0.into(),
            sample_ms: 500.0.into(),
            delay_ms: 1000.0.into(),
            test_ms: 500.0.into(),
            grace_ms: 40.0,
            catch_fraction: 0.0,
            input_noise: 0.1,
        }
    }
}

impl DelayedMatchToSample {
    pub(crate) fn rotated(rotation_deg: f64) -> Self {
        Self {
            rotation_deg,
            ..Self::default()
        }
    }

    pub(crate) fn category() -> Self {
        Self {
            by_category: true,
            ..Self::default()
        }
    }

    /// Draws the direction of the test, in degrees.
    fn draw_test(&self, sample: usize, is_match: bool, rng: &mut Rng) -> f64 {
        let n = self.n_directions;
        let half = |k: usize| 2 * k / n;
        let candidates: Vec<usize> = (0..n)
            .filter(|&k| {
                let matches = if self.by_category {
                    half(k) == half(sample)
                } else {
                    k == sample
                };
                matches == is_match
            })
            .collect();
        let test = *rng.choose(&candidates) as f64 * 360.0 / n as f64;
        test + if self.by_category {
            0.0
        } else {
            self.rotation_deg
        }
    }
}

impl Task for DelayedMatchToSample {
    fn layout(&self) -> Layout {
        let ring = Ring::von_mises(self.n_tuned);
        Layout::new(["fixation"], ["fixation", "match", "non_match"])
            .with_inputs(ring.names("direction"))
            .with_choices(&[MATCH, NON_MATCH])
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
        let shortest = self.test_ms.bounds_ms()[0];
        Check::new(clock)
            .epochs(&self.epochs())
            .not_zero("sample_ms", &self.sample_ms, "it shows the sample")
            .duration("grace_ms", &self.grace_ms.into())
            .require(self.grace_ms < shortest, || {
                let rule = format!(
                    "{} ms is not shorter than the shortest test, {shortest} ms",
                    self.grace_ms
                );
                TaskError::config("grace_ms", rule)
            })
            .number("n_directions", self.n_directions as f64, 2.0..=360.0)
            .number("n_tuned", self.n_tuned as f64, 2.0..=1000.0)
            .number("rotation_deg", self.rotation_deg, -360.0..=360.0)
            .catch_fraction(self.catch_fraction)
            .not_negative("input_noise", self.input_noise)
            .finish()
    }

    fn unused_keys(&self) -> Vec<(String, String)> {
        let why = "by_category = true compares categories, not directions";
        let is_unused = self.by_category && self.rotation_deg != 0.0;
        is_unused
            .then(|| ("rotation_deg".to_owned(), why.to_owned()))
            .into_iter()
            .collect()
    }

    /// Lists `sample_deg` and `match`, which is 1 if the test matches.
    fn conditions(&self) -> Vec<Condition> {
        let samples = directions_deg(self.n_directions);
        let grid = Condition::grid(&[("sample_deg", &samples), ("match", &[0.0, 1.0])]);
        Condition::with_catch(grid, self.catch_fraction)
    }

    fn meaning(&self, condition: &str) -> Meaning {
        match condition {
            "sample_deg" => Meaning::quantity("sample direction", "deg"),
            "match" => Meaning::names(&["non-match", "match"]),
            _ => Meaning::of_name(condition),
        }
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let mut trial = Trial::blank(self, condition, clock, rng);
        let [sample, test] = ["sample", "test"].map(|name| trial.timeline.steps(name));
        if condition.is_catch() {
            trial.fixate(0..trial.n_steps);
        } else {
            let ring = Ring::von_mises(self.n_tuned);
            let sample_deg = condition.value("sample_deg");
            let is_match = condition.value("match") == 1.0;
            let k = (sample_deg * self.n_directions as f64 / 360.0).round() as usize;
            let test_deg = self.draw_test(k, is_match, rng);
            trial.add_inputs(sample, RING, &ring.encode(sample_deg.to_radians()));
            trial.add_inputs(test.clone(), RING, &ring.encode(test_deg.to_radians()));
            trial.fixate(0..test.start);
            trial.set_mask(test.start..test.start + clock.nearest(self.grace_ms), 0.0);
            trial.answer(test, if is_match { MATCH } else { NON_MATCH });
        }
        trial.add_input_noise(self.input_noise, rng);
        trial
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::angular_distance;
    use ctrnn_random::{Key, Stream};

    /// Sample and test directions, in degrees, as the ring shows them.
    fn directions(task: &DelayedMatchToSample, condition: &Condition, b: u64) -> [f64; 2] {
        let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), b, 0);
        let trial = task.sample_trial(condition, Clock::new(20.0).unwrap(), &mut rng);
        ["sample", "test"].map(|epoch| {
            let row = trial.timeline.steps(epoch).start * trial.n_inputs;
            let ring = &trial.inputs[row + RING..row + trial.n_inputs];
            Ring::von_mises(task.n_tuned).decode(ring).to_degrees()
        })
    }

    fn differ_by(a: f64, b: f64) -> f64 {
        angular_distance(a.to_radians(), b.to_radians()).to_degrees()
    }

    fn noiseless(task: DelayedMatchToSample) -> DelayedMatchToSample {
        DelayedMatchToSample {
            input_noise: 0.0,
            ..task
        }
    }

    #[test]
    fn a_match_is_the_rotated_sample() {
        for rotation in [0.0, 45.0, 90.0, 180.0] {
            let task = noiseless(DelayedMatchToSample::rotated(rotation));
            for (b, condition) in task.conditions().iter().enumerate() {
                let [sample, test] = directions(&task, condition, b as u64);
                let is_match = differ_by(test, sample + rotation) < 1e-3;
                assert_eq!(is_match, condition.value("match") == 1.0, "{sample} {test}");
            }
        }
    }

    #[test]
    fn a_category_is_half_a_circle() {
        let task = noiseless(DelayedMatchToSample::category());
        let half = |degrees: f64| ((degrees + 1e-3).rem_euclid(360.0) / 180.0) as usize;
        for (b, condition) in task.conditions().iter().enumerate() {
            let [sample, test] = directions(&task, condition, b as u64);
            let is_match = half(sample) == half(test);
            assert_eq!(is_match, condition.value("match") == 1.0, "{sample} {test}");
        }
    }

    #[test]
    fn finds_all_errors_at_once() {
        let task = DelayedMatchToSample {
            n_directions: 1,
            grace_ms: 500.0,
            input_noise: -1.0,
            ..DelayedMatchToSample::default()
        };
        let errors = task.check(Clock::new(20.0).unwrap()).unwrap_err();
        let messages: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            messages,
            [
                "grace_ms: 500 ms is not shorter than the shortest test, 500 ms",
                "n_directions: 1 is not a number from 2 to 360",
                "input_noise: -1 is not 0 or a positive number",
            ]
        );
    }
}
