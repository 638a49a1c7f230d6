//! Task `white_noise`: trials for a network without a known task, such as an imported one.

use ctrnn_random::Rng;
use ctrnn_tasks::{Check, Clock, Condition, Duration, Epoch, Layout, Task, TaskError, Trial};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// White noise into any number of inputs; the outputs should stay at zero.
///
/// Every input is independent normal noise at every time step. There is one epoch, `trial`, one condition and no choice: the task
/// is there to drive a network, not to teach it anything. `train-ctrnn import` sets it for networks without a known task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WhiteNoise {
    /// The length of a trial.
    pub trial_ms: Duration,
    /// Number of inputs; there may be none.
    #[schemars(range(max = 16384))]
    pub inputs: usize,
    /// Number of outputs.
    #[schemars(range(min = 1, max = 16384))]
    pub outputs: usize,
    /// Standard deviation of each input at each time step.
    pub input_noise: f64,
}

impl Default for WhiteNoise {
    fn default() -> Self {
        Self {
            trial_ms: 1000.0.into(),
            inputs: 1,
            outputs: 1,
            input_noise: 1.0,
        }
    }
}

impl Task for WhiteNoise {
    fn layout(&self) -> Layout {
        let named =
            |word: &str, n: usize| (1..=n).map(|k| format!("{word}_{k}")).collect::<Vec<_>>();
        Layout::new([], [])
            .with_inputs(named("input", self.inputs))
            .with_outputs(named("output", self.outputs))
    }

    fn epochs(&self) -> Vec<Epoch> {
        vec![Epoch::new("trial", &self.trial_ms)]
    }

    fn check(&self, clock: Clock) -> Result<(), Vec<TaskError>> {
        let outputs = || TaskError::config("outputs", "0 must be at least 1".to_owned());
        Check::new(clock)
            .epochs(&self.epochs())
            .not_zero("trial_ms", &self.trial_ms, "it shows the input")
            .require(self.outputs > 0, outputs)
            .not_negative("input_noise", self.input_noise)
            .finish()
    }

    fn conditions(&self) -> Vec<Condition> {
        vec![Condition::new([])]
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let mut trial = Trial::blank(self, condition, clock, rng);
        trial.add_input_noise(self.input_noise, rng);
        trial
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctrnn_random::{Key, Stream};

    #[test]
    fn inputs_are_noise_and_targets_zero() {
        let task = WhiteNoise {
            inputs: 2,
            outputs: 3,
            input_noise: 0.5,
            ..WhiteNoise::default()
        };
        let clock = Clock::new(1.0).unwrap();
        task.check(clock).unwrap();
        let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
        let trial = task.sample_trial(&Condition::new([]), clock, &mut rng);
        assert_eq!(trial.inputs.len(), 2000);
        let variance = trial.inputs.iter().map(|u| u * u).sum::<f32>() / 2000.0;
        assert!((variance - 0.25).abs() < 0.05, "{variance}"); // standard error 0.008
        let ctrnn_tasks::Target::Values(target) = &trial.target else {
            panic!("values");
        };
        assert_eq!(target, &vec![0.0; 3000]);
        assert_eq!(task.layout().inputs, ["input_1", "input_2"]);
    }
}
