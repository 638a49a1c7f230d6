//! Ready, set, go: reproduce an interval, or a multiple of it.

use ctrnn_random::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::interval::{CHANCE, check_intervals, in_time_rule, is_in_time, ramp_steps, set_ramp};
use crate::{
    Check, Clock, Condition, Duration, Epoch, Layout, Meaning, Task, TaskError, Timeline, Trial,
};

/// Inputs.
const READY: usize = 0;
const SET: usize = 1;
const GAIN: usize = 2;

/// Measure the interval between two pulses, ready and set, and produce an interval of gain times that length after set.
///
/// Epochs: `fixation`; `ready`, the first pulse; `measure`, up to one interval after the onset of ready;
/// `set`, the second pulse; `produce`, up to 1.25 x gain x interval after the onset of set. The input `gain`
/// is the gain throughout. The output `ramp` should be 0 until set and then the time since its onset as a
/// fraction of gain x interval; the response (go) is when it reaches 1. Conditions: every gain with every interval.
///
/// Source: Jazayeri & Shadlen (2010); gains as in Remington et al. (2018); timing as in the task ReadySetGo of
/// neurogym. There pulses last 83 ms, here 80 ms, a multiple of the default time step; there intervals are
/// drawn from 800 to 1500 ms, here they are a list, so that each is a condition. The ramp is as in Wang et al.
/// (2018), but straight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReadySetGo {
    /// Duration of fixation before ready.
    pub fixation_ms: Duration,
    /// Duration of each pulse.
    pub pulse_ms: f64,
    /// Intervals from the onset of ready to the onset of set.
    pub intervals_ms: Vec<f64>,
    /// Gains: ratios of the interval to be produced to the measured one.
    pub gains: Vec<f64>,
    /// Standard deviation of the noise on every input, per time step.
    pub input_noise: f64,
    /// Largest error of the produced interval in a correct trial, as a fraction of the target interval.
    pub tolerance: f64,
}

impl Default for ReadySetGo {
    fn default() -> Self {
        Self {
            fixation_ms: Duration::Uniform([100.0, 500.0]),
            pulse_ms: 80.0,
            intervals_ms: (8..=15).map(|n| 100.0 * f64::from(n)).collect(),
            gains: vec![1.0],
            input_noise: 0.0,
            tolerance: 0.1,
        }
    }
}

impl Task for ReadySetGo {
    fn layout(&self) -> Layout {
        Layout::new(["ready", "set", "gain"], ["ramp"]).with_choices(&[])
    }

    fn check(&self, clock: Clock) -> Result<(), Vec<TaskError>> {
        let pulse: Duration = self.pulse_ms.into();
        let intervals = check_intervals("intervals_ms", &self.intervals_ms, self.pulse_ms, clock);
        Check::new(clock)
            .duration("fixation_ms", &self.fixation_ms)
            .duration("pulse_ms", &pulse)
            .not_zero("pulse_ms", &pulse, "it marks an end of the interval")
            .numbers("gains", &self.gains, 0.1..=10.0)
            .not_negative("input_noise", self.input_noise)
            .number("tolerance", self.tolerance, 0.0..=1.0)
            .with(intervals)
            .finish()
    }

    fn conditions(&self) -> Vec<Condition> {
        Condition::grid(&[("gain", &self.gains), ("interval", &self.intervals_ms)])
    }

    fn longest_steps(&self, clock: Clock) -> Option<usize> {
        let pulse = clock.nearest(self.pulse_ms);
        let after_fixation = |condition: &Condition| {
            let [gain, interval_ms] = ["gain", "interval"].map(|name| condition.value(name));
            clock.nearest(interval_ms) + pulse.max(ramp_steps(gain * interval_ms, clock))
        };
        let longest = self.conditions().iter().map(after_fixation).max()?;
        Some(clock.nearest(self.fixation_ms.bounds_ms()[1]) + longest)
    }

    fn meaning(&self, condition: &str) -> Meaning {
        match condition {
            "interval" => Meaning::quantity("interval", "ms"),
            _ => Meaning::of_name(condition),
        }
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let [gain, interval_ms] = ["gain", "interval"].map(|name| condition.value(name));
        let wanted_ms = gain * interval_ms;
        let mut timeline = Timeline::draw(&[Epoch::new("fixation", &self.fixation_ms)], clock, rng);
        let pulse = clock.nearest(self.pulse_ms);
        timeline.push("ready", pulse);
        timeline.push("measure", clock.nearest(interval_ms) - pulse);
        timeline.push("set", pulse);
        timeline.push(
            "produce",
            ramp_steps(wanted_ms, clock).saturating_sub(pulse),
        );
        let mut trial = Trial::new(&self.layout(), condition, timeline);
        let [ready, set] = ["ready", "set"].map(|name| trial.timeline.steps(name));
        trial.set_input(0..trial.n_steps, GAIN, gain);
        trial.set_input(ready, READY, 1.0);
        trial.set_input(set.clone(), SET, 1.0);
        trial.add_input_noise(self.input_noise, rng);
        set_ramp(&mut trial, set.start, wanted_ms, clock);
        trial
    }

    fn is_correct(&self, trial: &Trial, outputs: &[f32]) -> Option<bool> {
        let set = trial.timeline.steps("set");
        is_in_time(trial, outputs, set.start, self.tolerance)
    }

    fn correct_rule(&self) -> String {
        in_time_rule("set", self.tolerance)
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

    /// Time steps of 100 ms: an interval of 200 ms, to be doubled, so the ramp is 1 after 400 ms and ends
    /// after 500.
    #[test]
    fn a_trial_by_hand() {
        let task = ReadySetGo {
            fixation_ms: 100.0.into(),
            pulse_ms: 100.0,
            ..ReadySetGo::default()
        };
        let condition = Condition::new([("gain", 2.0), ("interval", 200.0)]);
        let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
        let trial = task.sample_trial(&condition, Clock::new(100.0).unwrap(), &mut rng);
        let column = |k: usize| {
            trial
                .inputs
                .iter()
                .skip(k)
                .step_by(3)
                .copied()
                .collect::<Vec<_>>()
        };
        assert_eq!(column(READY), [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(column(SET), [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(column(GAIN), [2.0; 8]);
        let ramp = [0.0, 0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.25];
        assert_eq!(trial.target, Target::Values(ramp.to_vec()));
        assert_eq!(task.is_correct(&trial, &ramp), Some(true));
        assert_eq!(task.is_correct(&trial, &[1.0; 8]), Some(false));
    }

    #[test]
    fn finds_all_errors_at_once() {
        let task = ReadySetGo {
            fixation_ms: 30.0.into(),
            pulse_ms: 0.0,
            intervals_ms: vec![],
            gains: vec![0.0],
            input_noise: -1.0,
            tolerance: 2.0,
        };
        let errors = task.check(Clock::new(20.0).unwrap()).unwrap_err();
        let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "fixation_ms",
                "pulse_ms",
                "gains",
                "input_noise",
                "tolerance",
                "intervals_ms"
            ]
        );
    }
}
