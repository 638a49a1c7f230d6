//! ABBA: recognise a sample among distractors.

use ctrnn_random::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ring::directions_deg;
use crate::{
    Check, Clock, Condition, Duration, Epoch, Layout, Meaning, Ring, Task, TaskError, Timeline,
    Trial,
};

/// First input of the ring, after fixation.
const RING: usize = 1;
/// Outputs after fixation.
const MATCH: usize = 1;
const NON_MATCH: usize = 2;
/// Names of the epochs of each test.
const TESTS: [[&str; 2]; 4] = [
    ["delay_1", "test_1"],
    ["delay_2", "test_2"],
    ["delay_3", "test_3"],
    ["delay_4", "test_4"],
];

/// Recognise the sample in a sequence of tests in which distractors may be repeated.
///
/// Directions are shown on a ring of tuned inputs (von Mises, concentration 2): the sample, then up to
/// `n_tests` tests, each after a delay. A test is either the sample, which ends the trial, or a distractor. A
/// distractor repeats the previous one with probability `repeat_fraction`, so that a network that detects any
/// repetition fails. The fixation input is 1 throughout. The output `fixation` should be
/// 1 except during the tests, `match` should be 1 during a test that is the sample, and `non_match` during a
/// distractor; all else 0. In a catch trial neither sample nor tests are shown, and no choice is correct.
///
/// Source: Masse, Yang, Song, Wang & Freedman (2019), tasks ABBA and ABCA.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Abba {
    /// Maximum number of tests: that of a trial in which none is the sample.
    #[schemars(range(min = 1, max = 4))]
    pub n_tests: usize,
    /// Probability that a distractor repeats the previous one.
    pub repeat_fraction: f64,
    /// Number of directions, evenly spaced on the circle.
    #[schemars(range(min = 5, max = 360))]
    pub n_directions: usize,
    /// Number of tuned inputs.
    #[schemars(range(min = 2, max = 1000))]
    pub n_tuned: usize,
    /// Duration of fixation before the sample.
    pub fixation_ms: Duration,
    /// Duration of the sample.
    pub sample_ms: Duration,
    /// Duration of the delay before each test.
    pub delay_ms: Duration,
    /// Duration of each test.
    pub test_ms: Duration,
    /// Fraction of catch trials in training.
    pub catch_fraction: f64,
    /// Standard deviation of the noise on every input, per time step.
    pub input_noise: f64,
}

impl Default for Abba {
    fn default() -> Self {
        Self {
            n_tests: 3,
            repeat_fraction: 0.5,
            n_directions: 8,
            n_tuned: 24,
            fixation_ms: 400.0.into(),
            sample_ms: 400.0.into(),
            delay_ms: 400.0.into(),
            test_ms: 400.0.into(),
            catch_fraction: 0.0,
            input_noise: 0.1,
        }
    }
}

impl Abba {
    pub(crate) fn abca() -> Self {
        Self {
            repeat_fraction: 0.0,
            ..Self::default()
        }
    }

    fn degrees(&self, direction: usize) -> f64 {
        direction as f64 * 360.0 / self.n_directions as f64
    }

    /// Returns the number of tests if the sample is test `match_at`; 0 if no test is.
    fn tests_shown(&self, match_at: usize) -> usize {
        match match_at {
            0 => self.n_tests,
            k => k,
        }
    }

    fn draw_timeline(&self, n_tests: usize, clock: Clock, rng: &mut Rng) -> Timeline {
        let mut timeline = Timeline::default();
        timeline.push("fixation", self.fixation_ms.draw(clock, rng));
        timeline.push("sample", self.sample_ms.draw(clock, rng));
        for [delay, test] in &TESTS[..n_tests] {
            timeline.push(delay, self.delay_ms.draw(clock, rng));
            timeline.push(test, self.test_ms.draw(clock, rng));
        }
        timeline
    }

    /// Draws the directions of the distractors, none of which is the sample.
    fn draw_distractors(&self, sample: usize, n: usize, rng: &mut Rng) -> Vec<usize> {
        let mut unseen: Vec<usize> = (0..self.n_directions).filter(|&k| k != sample).collect();
        rng.shuffle(&mut unseen);
        let mut distractors: Vec<usize> = Vec::with_capacity(n);
        for _ in 0..n {
            let again = distractors
                .last()
                .copied()
                .filter(|_| rng.uniform() < self.repeat_fraction);
            distractors.extend(again.or_else(|| unseen.pop()));
        }
        distractors
    }
}

impl Task for Abba {
    fn layout(&self) -> Layout {
        let ring = Ring::von_mises(self.n_tuned);
        Layout::new(["fixation"], ["fixation", "match", "non_match"])
            .with_inputs(ring.names("direction"))
            .with_choices(&[MATCH, NON_MATCH])
    }

    /// Lists the epochs that every trial has; more delays and tests may follow.
    fn epochs(&self) -> Vec<Epoch> {
        let [delay, test] = TESTS[0];
        vec![
            Epoch::new("fixation", &self.fixation_ms),
            Epoch::new("sample", &self.sample_ms),
            Epoch::new(delay, &self.delay_ms).with_key("delay_ms"),
            Epoch::new(test, &self.test_ms).with_key("test_ms"),
        ]
    }

    fn longest_steps(&self, clock: Clock) -> Option<usize> {
        let longest = |duration: &Duration| clock.nearest(duration.bounds_ms()[1]);
        let tests = self.n_tests * (longest(&self.delay_ms) + longest(&self.test_ms));
        Some(longest(&self.fixation_ms) + longest(&self.sample_ms) + tests)
    }

    fn check(&self, clock: Clock) -> Result<(), Vec<TaskError>> {
        Check::new(clock)
            .epochs(&self.epochs())
            .not_zero("sample_ms", &self.sample_ms, "it shows the sample")
            .read_at_end("test_ms", &self.test_ms)
            .number("n_tests", self.n_tests as f64, 1.0..=TESTS.len() as f64)
            .number("repeat_fraction", self.repeat_fraction, 0.0..=1.0)
            .number("n_directions", self.n_directions as f64, 5.0..=360.0)
            .number("n_tuned", self.n_tuned as f64, 2.0..=1000.0)
            .catch_fraction(self.catch_fraction)
            .not_negative("input_noise", self.input_noise)
            .finish()
    }

    /// Lists `sample_deg` and `match_at`, the number of the test that is the sample; 0 if none is.
    fn conditions(&self) -> Vec<Condition> {
        let samples = directions_deg(self.n_directions);
        let places: Vec<f64> = (0..=self.n_tests).map(|k| k as f64).collect();
        let grid = Condition::grid(&[("sample_deg", &samples), ("match_at", &places)]);
        Condition::with_catch(grid, self.catch_fraction)
    }

    fn meaning(&self, condition: &str) -> Meaning {
        match condition {
            "sample_deg" => Meaning::quantity("sample direction", "deg"),
            "match_at" => {
                let name = |k: usize| match k {
                    0 => "no test".to_owned(),
                    k => format!("test {k}"),
                };
                Meaning::Names((0..=self.n_tests).map(|k| (k as f64, name(k))).collect())
            }
            _ => Meaning::of_name(condition),
        }
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let match_at = condition.value("match_at") as usize;
        let n_tests = self.tests_shown(match_at);
        let timeline = self.draw_timeline(n_tests, clock, rng);
        let mut trial = Trial::new(&self.layout(), condition, timeline);
        trial.fixate(0..trial.n_steps);
        if condition.is_catch() {
            trial.add_input_noise(self.input_noise, rng);
            return trial;
        }
        let sample_deg = condition.value("sample_deg");
        let sample = (sample_deg * self.n_directions as f64 / 360.0).round() as usize;
        let mut shown = self.draw_distractors(sample, n_tests, rng);
        if match_at > 0 {
            shown[match_at - 1] = sample;
        }
        let ring = Ring::von_mises(self.n_tuned);
        let steps = trial.timeline.steps("sample");
        trial.add_inputs(steps, RING, &ring.encode(sample_deg.to_radians()));
        for (direction, [_, test]) in shown.into_iter().zip(TESTS) {
            let steps = trial.timeline.steps(test);
            let bump = ring.encode(self.degrees(direction).to_radians());
            trial.add_inputs(steps.clone(), RING, &bump);
            trial.set_target(steps.clone(), 0, 0.0);
            trial.answer(
                steps,
                if direction == sample {
                    MATCH
                } else {
                    NON_MATCH
                },
            );
        }
        trial.add_input_noise(self.input_noise, rng);
        trial
    }

    fn is_correct(&self, trial: &Trial, outputs: &[f32]) -> Option<bool> {
        trial.correct?; // none in a catch trial
        let match_at = trial.value("match_at")? as usize;
        let is_right = |k: usize| {
            let [_, test] = TESTS[k];
            let row = (trial.timeline.steps(test).end - 1) * trial.n_outputs;
            let [matches, differs] = [MATCH, NON_MATCH].map(|output| outputs[row + output]);
            if k + 1 == match_at {
                matches > differs
            } else {
                differs > matches
            }
        };
        Some((0..self.tests_shown(match_at)).all(is_right))
    }

    fn correct_rule(&self) -> String {
        "At the last time step of every test, the larger of match and non_match must be the right one."
            .to_owned()
    }

    /// Averages over the place of the sample: 1/2 for each test that is shown.
    fn chance(&self) -> Option<f64> {
        let by_place = (0..=self.n_tests).map(|k| 0.5f64.powi(self.tests_shown(k) as i32));
        Some(by_place.sum::<f64>() / (self.n_tests + 1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctrnn_random::{Key, Stream};

    fn rng(b: u64) -> Rng {
        Rng::new(Key::new(1, Stream::Trials, 0), b, 0)
    }

    #[test]
    fn distractors_repeat_or_do_not() {
        let abca = Abba::abca().draw_distractors(3, 3, &mut rng(0));
        assert!(abca.iter().all(|&k| k != 3));
        assert!(abca[0] != abca[1] && abca[1] != abca[2] && abca[0] != abca[2]);
        let always = Abba {
            repeat_fraction: 1.0,
            ..Abba::default()
        };
        let abba = always.draw_distractors(3, 3, &mut rng(0));
        assert!(abba[0] == abba[1] && abba[1] == abba[2] && abba[0] != 3);
    }

    /// Every test counts: a false alarm in the first makes the trial wrong. The mean of 1/8, 1/2, 1/4 and 1/8 is 1/4.
    #[test]
    fn every_test_must_be_answered() {
        let task = Abba::default();
        let condition = Condition::new([("sample_deg", 0.0), ("match_at", 2.0)]);
        let trial = task.sample_trial(&condition, Clock::new(20.0).unwrap(), &mut rng(0));
        assert_eq!(trial.n_steps, 6 * 20);
        let crate::Target::Values(mut outputs) = trial.target.clone() else {
            panic!("targets are values");
        };
        assert_eq!(task.is_correct(&trial, &outputs), Some(true));
        let row = (trial.timeline.steps("test_1").end - 1) * 3;
        outputs[row..row + 3].copy_from_slice(&[0.0, 1.0, 0.0]);
        assert_eq!(task.is_correct(&trial, &outputs), Some(false));
        assert_eq!(task.chance(), Some(0.25));
    }
}
