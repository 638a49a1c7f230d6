//! Flip-flop: a memory of several bits.

use ctrnn_random::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Check, Clock, Condition, Duration, Epoch, Layout, Mask, Target, Task, TaskError, Trial,
};

/// Remember the sign of the latest pulse on each of several inputs.
///
/// Each bit has an input and an output. Every input receives a pulse of +1 or -1, equally likely, at
/// the start of the trial, and further pulses after that; interval_ms is the time from the onset of a pulse to the
/// next one on the same input. An output should have the sign of the latest pulse on its input. It
/// does not count for settle_ms after the onset of a pulse, because a leaky unit needs time to change its sign.
/// There is one epoch, `trial`, and one condition.
///
/// Source: Sussillo & Barak (2013) and, for three bits and the pulses at the start, the example of
/// Golub & Sussillo (2018), where a pulse occurs at each of 64 time steps with probability 1/2. The durations were chosen
/// for this program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FlipFlop {
    /// Number of bits.
    #[schemars(range(min = 1, max = 1000))]
    pub bits: usize,
    /// Duration of a trial.
    pub trial_ms: Duration,
    /// Duration of a pulse.
    pub pulse_ms: Duration,
    /// Interval from the onset of a pulse to the next one of the same bit.
    pub interval_ms: Duration,
    /// Time after the onset of a pulse during which the output does not count.
    pub settle_ms: Duration,
    /// Standard deviation of the noise on every input, per time step.
    pub input_noise: f64,
}

impl Default for FlipFlop {
    fn default() -> Self {
        Self {
            bits: 3,
            trial_ms: 1600.0.into(),
            pulse_ms: 100.0.into(),
            interval_ms: Duration::Uniform([200.0, 1000.0]),
            settle_ms: 100.0.into(),
            input_noise: 0.0,
        }
    }
}

impl Task for FlipFlop {
    fn layout(&self) -> Layout {
        let names = || (0..self.bits).map(|bit| format!("bit {bit}"));
        let layout = Layout::new([], []).with_inputs(names());
        layout.with_outputs(names())
    }

    fn epochs(&self) -> Vec<Epoch> {
        vec![Epoch::new("trial", &self.trial_ms)]
    }

    fn check(&self, clock: Clock) -> Result<(), Vec<TaskError>> {
        let shortest = self.interval_ms.bounds_ms()[0];
        let settles = self.settle_ms.bounds_ms()[1] < shortest
            && self.settle_ms.bounds_ms()[1] < self.trial_ms.bounds_ms()[0];
        Check::new(clock)
            .number("bits", self.bits as f64, 1.0..=1000.0)
            .epochs(&self.epochs())
            .not_zero("trial_ms", &self.trial_ms, "it contains the pulses")
            .duration("pulse_ms", &self.pulse_ms)
            .not_zero("pulse_ms", &self.pulse_ms, "it sets the bit")
            .duration("interval_ms", &self.interval_ms)
            .not_zero("interval_ms", &self.interval_ms, "it separates the pulses")
            .duration("settle_ms", &self.settle_ms)
            .require(self.pulse_ms.bounds_ms()[1] <= shortest, || {
                let rule =
                    format!("a pulse must not be longer than the shortest interval, {shortest} ms");
                TaskError::config("pulse_ms", rule)
            })
            .require(settles, || {
                let rule = format!(
                    "must be shorter than the trial and the shortest interval, {shortest} ms"
                );
                TaskError::config("settle_ms", rule)
            })
            .not_negative("input_noise", self.input_noise)
            .finish()
    }

    fn conditions(&self) -> Vec<Condition> {
        vec![Condition::new([])]
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let mut trial = Trial::blank(self, condition, clock, rng);
        trial.mask = Mask::Outputs(vec![1.0; trial.n_steps * self.bits]);
        for bit in 0..self.bits {
            self.add_pulses(bit, &mut trial, clock, rng);
        }
        trial.add_input_noise(self.input_noise, rng);
        trial
    }

    fn is_correct(&self, trial: &Trial, outputs: &[f32]) -> Option<bool> {
        let (Target::Values(target), Mask::Outputs(mask)) = (&trial.target, &trial.mask) else {
            return None;
        };
        let mut counted = outputs
            .iter()
            .zip(target)
            .zip(mask)
            .filter(|(_, m)| **m > 0.0);
        Some(counted.all(|((output, target), _)| output * target > 0.0))
    }

    fn correct_rule(&self) -> String {
        "A trial is correct if every output has the sign of its target at every time step that counts."
            .to_owned()
    }

    /// Returns 0: guessing every time step that counts has a negligible probability, 1/2 to the power of their number.
    fn chance(&self) -> Option<f64> {
        Some(0.0)
    }
}

impl FlipFlop {
    fn add_pulses(&self, bit: usize, trial: &mut Trial, clock: Clock, rng: &mut Rng) {
        let mut onset = 0;
        while onset < trial.n_steps {
            let sign = *rng.choose(&[-1.0, 1.0]);
            let [next, off, settled] = [&self.interval_ms, &self.pulse_ms, &self.settle_ms]
                .map(|duration| (onset + duration.draw(clock, rng)).min(trial.n_steps));
            trial.set_input(onset..off, bit, sign);
            trial.set_target(onset..next, bit, sign);
            trial.set_output_mask(onset..settled, bit, 0.0);
            onset = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctrnn_random::{Key, Stream};

    fn trial(task: &FlipFlop) -> Trial {
        let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
        task.sample_trial(&Condition::new([]), Clock::new(20.0).unwrap(), &mut rng)
    }

    /// One bit, pulses of one time step at 0 and at 60 ms, which do not count themselves.
    #[test]
    fn a_trial_by_hand() {
        let task = FlipFlop {
            bits: 1,
            trial_ms: 120.0.into(),
            pulse_ms: 20.0.into(),
            interval_ms: 60.0.into(),
            settle_ms: 20.0.into(),
            input_noise: 0.0,
        };
        let trial = trial(&task);
        let [a, b] = [trial.inputs[0], trial.inputs[3]];
        assert!(a.abs() == 1.0 && b.abs() == 1.0);
        assert_eq!(trial.inputs, [a, 0.0, 0.0, b, 0.0, 0.0]);
        assert_eq!(trial.target, Target::Values(vec![a, a, a, b, b, b]));
        assert_eq!(
            trial.mask,
            Mask::Outputs(vec![0.0, 1.0, 1.0, 0.0, 1.0, 1.0])
        );
        let readout = [-a, 0.1 * a, 9.0 * a, -b, b, 0.2 * b];
        assert_eq!(task.is_correct(&trial, &readout), Some(true));
        let zero_once = [a, a, a, b, 0.0, b];
        assert_eq!(task.is_correct(&trial, &zero_once), Some(false));
    }

    #[test]
    fn bits_are_independent() {
        let trial = trial(&FlipFlop::default());
        let column = |bit: usize| trial.inputs.iter().skip(bit).step_by(3).collect::<Vec<_>>();
        assert_ne!(column(0), column(1));
        assert_ne!(column(1), column(2));
    }

    #[test]
    fn finds_all_errors_at_once() {
        let task = FlipFlop {
            bits: 0,
            trial_ms: 110.0.into(),
            pulse_ms: 300.0.into(),
            settle_ms: 200.0.into(),
            input_noise: -0.1,
            ..FlipFlop::default()
        };
        let errors = task.check(Clock::new(20.0).unwrap()).unwrap_err();
        let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
        assert_eq!(
            keys,
            ["bits", "trial_ms", "pulse_ms", "settle_ms", "input_noise"]
        );
        assert_eq!(
            errors[2].to_string(),
            "pulse_ms: a pulse must not be longer than the shortest interval, 200 ms"
        );
    }
}
