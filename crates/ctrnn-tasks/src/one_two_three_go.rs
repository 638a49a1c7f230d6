//! One, two, three, go: continue a rhythm.

use ctrnn_random::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::interval::{CHANCE, check_intervals, in_time_rule, is_in_time, ramp_steps, set_ramp};
use crate::{
    Check, Clock, Condition, Duration, Epoch, Layout, Meaning, Task, TaskError, Timeline, Trial,
};

/// Names of the epochs, one for each beat.
const BEATS: [&str; 4] = ["one", "two", "three", "four"];

/// Watch a few evenly spaced flashes and produce the next beat of the rhythm.
///
/// Epochs: `fixation`; `one`, `two`, `three`, each with a flash at its start. Each lasts for one interval, the last
/// for 1.25 intervals. The input `flash` is 1 during a flash. The output `ramp` should be 0 until the
/// last flash and then the time since its onset as a fraction of the interval; the response (go) is when it reaches 1.
/// Conditions: the intervals. With `flashes = 2` this is the task 1-2-Go.
///
/// Source: Egger et al. (2019), the tasks 1-2-3-Go and 1-2-Go, with intervals of 600 to 1000 ms, which are a list here so
/// that each is a condition. The duration of the flash was chosen for this program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OneTwoThreeGo {
    /// Duration of fixation before the first flash.
    pub fixation_ms: Duration,
    /// Duration of a flash.
    pub pulse_ms: f64,
    /// Intervals between the onsets of successive flashes.
    pub intervals_ms: Vec<f64>,
    /// Number of flashes, from 2 to 4.
    #[schemars(range(min = 2, max = 4))]
    pub flashes: usize,
    /// Standard deviation of the noise on the input, per time step.
    pub input_noise: f64,
    /// Largest error of the produced interval in a correct trial, as a fraction of the target interval.
    pub tolerance: f64,
}

impl Default for OneTwoThreeGo {
    fn default() -> Self {
        Self {
            fixation_ms: Duration::Uniform([100.0, 500.0]),
            pulse_ms: 80.0,
            intervals_ms: (6..=10).map(|n| 100.0 * f64::from(n)).collect(),
            flashes: 3,
            input_noise: 0.0,
            tolerance: 0.1,
        }
    }
}

impl Task for OneTwoThreeGo {
    fn layout(&self) -> Layout {
        Layout::new(["flash"], ["ramp"]).with_choices(&[])
    }

    fn check(&self, clock: Clock) -> Result<(), Vec<TaskError>> {
        let pulse: Duration = self.pulse_ms.into();
        let intervals = check_intervals("intervals_ms", &self.intervals_ms, self.pulse_ms, clock);
        Check::new(clock)
            .duration("fixation_ms", &self.fixation_ms)
            .duration("pulse_ms", &pulse)
            .not_zero("pulse_ms", &pulse, "it marks a beat")
            .number("flashes", self.flashes as f64, 2.0..=4.0)
            .not_negative("input_noise", self.input_noise)
            .number("tolerance", self.tolerance, 0.0..=1.0)
            .with(intervals)
            .finish()
    }

    fn conditions(&self) -> Vec<Condition> {
        Condition::grid(&[("interval", &self.intervals_ms)])
    }

    fn longest_steps(&self, clock: Clock) -> Option<usize> {
        let beats = |&ms: &f64| (self.flashes - 1) * clock.nearest(ms) + ramp_steps(ms, clock);
        let longest = self.intervals_ms.iter().map(beats).max()?;
        Some(clock.nearest(self.fixation_ms.bounds_ms()[1]) + longest)
    }

    fn meaning(&self, condition: &str) -> Meaning {
        match condition {
            "interval" => Meaning::quantity("interval", "ms"),
            _ => Meaning::of_name(condition),
        }
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let interval_ms = condition.value("interval");
        let beats = &BEATS[..self.flashes];
        let mut timeline = Timeline::draw(&[Epoch::new("fixation", &self.fixation_ms)], clock, rng);
        for beat in &beats[..self.flashes - 1] {
            timeline.push(beat, clock.nearest(interval_ms));
        }
        timeline.push(beats[self.flashes - 1], ramp_steps(interval_ms, clock));
        let mut trial = Trial::new(&self.layout(), condition, timeline);
        let pulse = clock.nearest(self.pulse_ms);
        for beat in beats {
            let onset = trial.timeline.steps(beat).start;
            trial.set_input(onset..onset + pulse, 0, 1.0);
        }
        trial.add_input_noise(self.input_noise, rng);
        let last = trial.timeline.steps(beats[self.flashes - 1]);
        set_ramp(&mut trial, last.start, interval_ms, clock);
        trial
    }

    fn is_correct(&self, trial: &Trial, outputs: &[f32]) -> Option<bool> {
        let last = trial.timeline.steps(BEATS[self.flashes - 1]);
        is_in_time(trial, outputs, last.start, self.tolerance)
    }

    fn correct_rule(&self) -> String {
        in_time_rule("the last flash", self.tolerance)
    }

    fn chance(&self) -> Option<f64> {
        Some(CHANCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;
    use ctrnn_random::{Key, Stream};

    /// Time steps of 100 ms, two flashes 400 ms apart; the ramp is 1 after another 400 and ends after 500.
    #[test]
    fn a_trial_by_hand() {
        let task = OneTwoThreeGo {
            fixation_ms: 0.0.into(),
            pulse_ms: 100.0,
            flashes: 2,
            ..OneTwoThreeGo::default()
        };
        let condition = Condition::new([("interval", 400.0)]);
        let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
        let trial = task.sample_trial(&condition, Clock::new(100.0).unwrap(), &mut rng);
        assert_eq!(trial.inputs, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        let ramp = [0.0, 0.0, 0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.25];
        assert_eq!(trial.target, Target::Values(ramp.to_vec()));
        assert_eq!(task.is_correct(&trial, &ramp), Some(true));
        let epochs = [("fixation", 0..0), ("one", 0..4), ("two", 4..9)];
        assert_eq!(trial.timeline.epochs, epochs);
    }

    #[test]
    fn finds_all_errors_at_once() {
        let task = OneTwoThreeGo {
            intervals_ms: vec![610.0],
            flashes: 5,
            input_noise: -1.0,
            ..OneTwoThreeGo::default()
        };
        let errors = task.check(Clock::new(20.0).unwrap()).unwrap_err();
        let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
        assert_eq!(keys, ["flashes", "input_noise", "intervals_ms"]);
    }
}
