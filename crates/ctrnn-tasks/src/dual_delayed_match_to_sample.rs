//! Dual delayed match to sample: remember two samples and compare the cued one.

use ctrnn_random::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Check, Clock, Condition, Duration, Epoch, Layout, Meaning, Ring, Task, TaskError, Trial,
};

/// First input of the cues, and first input of the rings.
const CUE: usize = 1;
const RING: usize = 3;
/// Outputs after fixation.
const MATCH: usize = 1;
const NON_MATCH: usize = 2;

/// Remember two samples and compare the cued one with each of two tests.
///
/// Two locations, a and b, each have a ring of tuned inputs (von Mises, concentration 2). Each shows a sample:
/// both at once in the sample epoch or, if `second_sample_ms` is not 0, the sample of b in that epoch instead. Two
/// tests follow, each after a delay and a cue. The input `cue_a` or `cue_b` is 1 from the cue to
/// the end of the test. During a test both locations show a direction, each of which matches its sample in half of
/// the trials; only the cued location counts. The fixation input is 1 throughout. The output `fixation` should be 1
/// except during the tests, when `match` or `non_match` should be 1; all else 0. In a catch trial nothing is shown, and
/// no
/// choice is correct.
///
/// Source: Masse, Yang, Song, Wang & Freedman (2019), task dualDMS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DualDelayedMatchToSample {
    /// Number of directions, evenly spaced on the circle.
    #[schemars(range(min = 2, max = 360))]
    pub n_directions: usize,
    /// Number of tuned inputs of each location.
    #[schemars(range(min = 2, max = 1000))]
    pub n_tuned: usize,
    /// Duration of fixation before the samples.
    pub fixation_ms: Duration,
    /// Duration of both samples, or of the first one.
    pub sample_ms: Duration,
    /// Duration of the gap between the samples.
    pub gap_ms: Duration,
    /// Duration of the second sample; 0 if both are shown at once.
    pub second_sample_ms: Duration,
    /// Duration of the delay before the first cue.
    pub first_delay_ms: Duration,
    /// Duration of the first cue.
    pub first_cue_ms: Duration,
    /// Duration of the first test.
    pub first_test_ms: Duration,
    /// Duration of the delay before the second cue.
    pub second_delay_ms: Duration,
    /// Duration of the second cue.
    pub second_cue_ms: Duration,
    /// Duration of the second test.
    pub second_test_ms: Duration,
    /// Fraction of catch trials in training.
    pub catch_fraction: f64,
    /// Standard deviation of the noise on every input, per time step.
    pub input_noise: f64,
}

impl Default for DualDelayedMatchToSample {
    fn default() -> Self {
        Self {
            n_directions: 8,
            n_tuned: 24,
            fixation_ms: 500.0.into(),
            sample_ms: 500.0.into(),
            gap_ms: 0.0.into(),
            second_sample_ms: 0.0.into(),
            first_delay_ms: 500.0.into(),
            first_cue_ms: 500.0.into(),
            first_test_ms: 500.0.into(),
            second_delay_ms: 0.0.into(),
            second_cue_ms: 500.0.into(),
            second_test_ms: 500.0.into(),
            catch_fraction: 0.0,
            input_noise: 0.1,
        }
    }
}

impl DualDelayedMatchToSample {
    pub(crate) fn sequential() -> Self {
        Self {
            gap_ms: 300.0.into(),
            second_sample_ms: 500.0.into(),
            ..Self::default()
        }
    }

    fn is_sequential(&self) -> bool {
        self.second_sample_ms.bounds_ms()[1] > 0.0
    }

    fn draw_direction(&self, rng: &mut Rng) -> usize {
        rng.below(self.n_directions as u32) as usize
    }

    /// Draws the direction of a test: the sample, or another direction.
    fn draw_test(&self, sample: usize, is_match: bool, rng: &mut Rng) -> usize {
        if is_match {
            return sample;
        }
        let other = 1 + rng.below(self.n_directions as u32 - 1) as usize;
        (sample + other) % self.n_directions
    }

    /// Shows a direction at a location during an epoch.
    fn show(&self, trial: &mut Trial, epoch: &str, location: usize, direction: usize) {
        let angle = (direction as f64 * 360.0 / self.n_directions as f64).to_radians();
        let steps = trial.timeline.steps(epoch);
        let bump = Ring::von_mises(self.n_tuned).encode(angle);
        trial.add_inputs(steps, RING + location * self.n_tuned, &bump);
    }
}

impl Task for DualDelayedMatchToSample {
    fn layout(&self) -> Layout {
        let ring = Ring::von_mises(self.n_tuned);
        Layout::new(
            ["fixation", "cue_a", "cue_b"],
            ["fixation", "match", "non_match"],
        )
        .with_inputs(ring.names("a"))
        .with_inputs(ring.names("b"))
        .with_choices(&[MATCH, NON_MATCH])
    }

    fn epochs(&self) -> Vec<Epoch> {
        vec![
            Epoch::new("fixation", &self.fixation_ms),
            Epoch::new("sample", &self.sample_ms),
            Epoch::new("gap", &self.gap_ms),
            Epoch::new("second_sample", &self.second_sample_ms),
            Epoch::new("first_delay", &self.first_delay_ms),
            Epoch::new("first_cue", &self.first_cue_ms),
            Epoch::new("first_test", &self.first_test_ms),
            Epoch::new("second_delay", &self.second_delay_ms),
            Epoch::new("second_cue", &self.second_cue_ms),
            Epoch::new("second_test", &self.second_test_ms),
        ]
    }

    fn check(&self, clock: Clock) -> Result<(), Vec<TaskError>> {
        Check::new(clock)
            .epochs(&self.epochs())
            .not_zero("sample_ms", &self.sample_ms, "it shows a sample")
            .read_at_end("first_test_ms", &self.first_test_ms)
            .read_at_end("second_test_ms", &self.second_test_ms)
            .number("n_directions", self.n_directions as f64, 2.0..=360.0)
            .number("n_tuned", self.n_tuned as f64, 2.0..=1000.0)
            .catch_fraction(self.catch_fraction)
            .not_negative("input_noise", self.input_noise)
            .finish()
    }

    /// Lists the cued location of each test, `first_cue` and `second_cue` (0 a, 1 b), and `first_match` and
    /// `second_match`,
    /// which are 1 if it matches.
    fn conditions(&self) -> Vec<Condition> {
        let names = ["first_cue", "first_match", "second_cue", "second_match"];
        let grid = Condition::grid(&names.map(|name| (name, &[0.0, 1.0][..])));
        Condition::with_catch(grid, self.catch_fraction)
    }

    fn meaning(&self, condition: &str) -> Meaning {
        match condition {
            "first_cue" | "second_cue" => Meaning::names(&["location a", "location b"]),
            "first_match" | "second_match" => Meaning::names(&["non-match", "match"]),
            _ => Meaning::of_name(condition),
        }
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let mut trial = Trial::blank(self, condition, clock, rng);
        trial.fixate(0..trial.n_steps);
        if condition.is_catch() {
            trial.add_input_noise(self.input_noise, rng);
            return trial;
        }
        let samples = [self.draw_direction(rng), self.draw_direction(rng)];
        let sample_b = if self.is_sequential() {
            "second_sample"
        } else {
            "sample"
        };
        self.show(&mut trial, "sample", 0, samples[0]);
        self.show(&mut trial, sample_b, 1, samples[1]);
        for [cue, test, is_match] in [
            ["first_cue", "first_test", "first_match"],
            ["second_cue", "second_test", "second_match"],
        ] {
            let cued = condition.value(cue) as usize;
            let is_match = condition.value(is_match) == 1.0;
            for (location, &sample) in samples.iter().enumerate() {
                let matches = if location == cued {
                    is_match
                } else {
                    rng.uniform() < 0.5
                };
                let direction = self.draw_test(sample, matches, rng);
                self.show(&mut trial, test, location, direction);
            }
            let (start, steps) = (trial.timeline.steps(cue).start, trial.timeline.steps(test));
            trial.set_input(start..steps.end, CUE + cued, 1.0);
            trial.set_target(steps.clone(), 0, 0.0);
            trial.answer(steps, if is_match { MATCH } else { NON_MATCH });
        }
        trial.add_input_noise(self.input_noise, rng);
        trial
    }

    fn is_correct(&self, trial: &Trial, outputs: &[f32]) -> Option<bool> {
        trial.correct?; // none in a catch trial
        let mut all = true;
        for [test, is_match] in [
            ["first_test", "first_match"],
            ["second_test", "second_match"],
        ] {
            let is_match = trial.value(is_match)? == 1.0;
            let row = (trial.timeline.steps(test).end - 1) * trial.n_outputs;
            let [matches, differs] = [MATCH, NON_MATCH].map(|output| outputs[row + output]);
            all &= if is_match {
                matches > differs
            } else {
                differs > matches
            };
        }
        Some(all)
    }

    fn correct_rule(&self) -> String {
        "At the last time step of each of the two tests, the larger of match and non_match must be the right one.".to_owned()
    }

    fn chance(&self) -> Option<f64> {
        Some(0.25)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctrnn_random::{Key, Stream};

    fn shown(
        task: &DualDelayedMatchToSample,
        trial: &Trial,
        epoch: &str,
        location: usize,
    ) -> usize {
        let row = trial.timeline.steps(epoch).start * trial.n_inputs;
        let first = row + RING + location * task.n_tuned;
        let ring = &trial.inputs[first..first + task.n_tuned];
        let degrees = Ring::von_mises(task.n_tuned).decode(ring).to_degrees();
        (degrees / 45.0).round() as usize % 8
    }

    #[test]
    fn the_cued_location_decides() {
        for family in [
            DualDelayedMatchToSample::default(),
            DualDelayedMatchToSample::sequential(),
        ] {
            let task = DualDelayedMatchToSample {
                input_noise: 0.0,
                ..family
            };
            let sample_b = if task.is_sequential() {
                "second_sample"
            } else {
                "sample"
            };
            for (b, condition) in task.conditions().iter().enumerate() {
                let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), b as u64, 0);
                let trial = task.sample_trial(condition, Clock::new(20.0).unwrap(), &mut rng);
                let samples = [
                    shown(&task, &trial, "sample", 0),
                    shown(&task, &trial, sample_b, 1),
                ];
                for test in ["first", "second"] {
                    let cued = condition.value(&format!("{test}_cue")) as usize;
                    let is_match =
                        shown(&task, &trial, &format!("{test}_test"), cued) == samples[cued];
                    let expected = condition.value(&format!("{test}_match")) == 1.0;
                    assert_eq!(is_match, expected, "{condition:?}");
                }
            }
        }
    }
}
