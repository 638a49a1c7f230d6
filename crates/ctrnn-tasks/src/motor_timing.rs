//! Motor timing: produce one of several learned intervals.

use ctrnn_random::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::interval::{CHANCE, check_intervals, in_time_rule, is_in_time, ramp_steps, set_ramp};
use crate::{
    Check, Clock, Condition, Duration, Epoch, Layout, Meaning, Task, TaskError, Timeline, Trial,
};

/// Inputs.
const CUE: usize = 0;
const SET: usize = 1;

/// Produce a long or a short interval after a pulse, depending on a cue (cue, set, go).
///
/// Epochs: `cue`; `set`, a pulse; `produce`, up to 1.25 intervals after the onset of set. The input `cue` is the
/// interval in seconds throughout. The output `ramp` should be 0 until set and then the time
/// since its onset as a fraction of the interval; the response (go) is when it reaches 1. Conditions: the intervals.
///
/// Source: Wang et al. (2018), whose ramp is curved, and the task MotorTiming of neurogym, with intervals of 800
/// and 1500 ms and a pulse of 50 ms; here the pulse has 60 ms, a multiple of the default time step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MotorTiming {
    /// Duration of the cue before the pulse.
    pub cue_ms: Duration,
    /// Duration of the pulse.
    pub pulse_ms: f64,
    /// Intervals to be produced.
    pub intervals_ms: Vec<f64>,
    /// Standard deviation of the noise on every input, per time step.
    pub input_noise: f64,
    /// Largest error of the produced interval in a correct trial, as a fraction of the target interval.
    pub tolerance: f64,
}

impl Default for MotorTiming {
    fn default() -> Self {
        Self {
            cue_ms: Duration::Uniform([200.0, 600.0]),
            pulse_ms: 60.0,
            intervals_ms: vec![800.0, 1500.0],
            input_noise: 0.0,
            tolerance: 0.1,
        }
    }
}

impl Task for MotorTiming {
    fn layout(&self) -> Layout {
        Layout::new(["cue", "set"], ["ramp"]).with_choices(&[])
    }

    fn check(&self, clock: Clock) -> Result<(), Vec<TaskError>> {
        let pulse: Duration = self.pulse_ms.into();
        let intervals = check_intervals("intervals_ms", &self.intervals_ms, self.pulse_ms, clock);
        Check::new(clock)
            .duration("cue_ms", &self.cue_ms)
            .duration("pulse_ms", &pulse)
            .not_zero("pulse_ms", &pulse, "it starts the interval")
            .not_negative("input_noise", self.input_noise)
            .number("tolerance", self.tolerance, 0.0..=1.0)
            .with(intervals)
            .finish()
    }

    fn conditions(&self) -> Vec<Condition> {
        Condition::grid(&[("interval", &self.intervals_ms)])
    }

    fn longest_steps(&self, clock: Clock) -> Option<usize> {
        let ramps = self.intervals_ms.iter().map(|&ms| ramp_steps(ms, clock));
        Some(clock.nearest(self.cue_ms.bounds_ms()[1]) + ramps.max()?)
    }

    fn meaning(&self, condition: &str) -> Meaning {
        match condition {
            "interval" => Meaning::quantity("interval", "ms"),
            _ => Meaning::of_name(condition),
        }
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let interval_ms = condition.value("interval");
        let mut timeline = Timeline::draw(&[Epoch::new("cue", &self.cue_ms)], clock, rng);
        let pulse = clock.nearest(self.pulse_ms);
        timeline.push("set", pulse);
        timeline.push("produce", ramp_steps(interval_ms, clock) - pulse);
        let mut trial = Trial::new(&self.layout(), condition, timeline);
        let set = trial.timeline.steps("set");
        trial.set_input(0..trial.n_steps, CUE, interval_ms / 1000.0);
        trial.set_input(set.clone(), SET, 1.0);
        trial.add_input_noise(self.input_noise, rng);
        set_ramp(&mut trial, set.start, interval_ms, clock);
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

    /// Time steps of 100 ms, an interval of 400 ms: the cue is 0.4.
    #[test]
    fn a_trial_by_hand() {
        let task = MotorTiming {
            cue_ms: 100.0.into(),
            pulse_ms: 100.0,
            intervals_ms: vec![400.0, 800.0],
            ..MotorTiming::default()
        };
        let condition = Condition::new([("interval", 400.0)]);
        let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
        let trial = task.sample_trial(&condition, Clock::new(100.0).unwrap(), &mut rng);
        let set = [0.0, 1.0, 0.0, 0.0, 0.0, 0.0];
        let inputs: Vec<f32> = set.iter().flat_map(|&set| [0.4, set]).collect();
        assert_eq!(trial.inputs, inputs);
        let ramp = [0.0, 0.25, 0.5, 0.75, 1.0, 1.25];
        assert_eq!(trial.target, Target::Values(ramp.to_vec()));
        let late = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0];
        assert_eq!(task.is_correct(&trial, &late), Some(false));
    }

    #[test]
    fn finds_all_errors_at_once() {
        let task = MotorTiming {
            cue_ms: 30.0.into(),
            pulse_ms: 50.0,
            intervals_ms: vec![800.0, 40.0],
            input_noise: f64::NAN,
            tolerance: -1.0,
        };
        let errors = task.check(Clock::new(20.0).unwrap()).unwrap_err();
        let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "cue_ms",
                "pulse_ms",
                "input_noise",
                "tolerance",
                "intervals_ms"
            ]
        );
    }
}
