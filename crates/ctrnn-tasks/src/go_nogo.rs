//! Go/no-go: the template for new tasks.

use ctrnn_random::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Check, Clock, Condition, Duration, Epoch, Layout, Meaning, Task, TaskError, Trial};

const FIXATION: usize = 0;
/// Inputs after fixation.
const GO_CUE: usize = 1;
const NOGO_CUE: usize = 2;
/// Output after fixation.
const GO: usize = 1;

/// Respond after one cue and withhold the response after the other.
///
/// The fixation input is 1 until the response epoch; its end is the go cue. One of the two
/// cues is 1 during the stimulus and has to be remembered through the delay. In the response epoch
/// of a go trial the output `go` should be 1 and `fixation` 0; in the response epoch of a no-go trial, and in all
/// other epochs, it is the other way round.
///
/// Source: the task GoNogo of neurogym. The epochs were chosen for this program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GoNogo {
    /// Duration of fixation before the cue.
    pub fixation_ms: Duration,
    /// Duration of the cue.
    pub stimulus_ms: Duration,
    /// Duration of the delay between the cue and the response.
    pub delay_ms: Duration,
    /// Duration of the response epoch.
    pub response_ms: Duration,
    /// Fraction of go trials in training.
    pub go_fraction: f64,
    /// Standard deviation of the noise on every input, per time step.
    pub input_noise: f64,
}

impl Default for GoNogo {
    fn default() -> Self {
        Self {
            fixation_ms: 100.0.into(),
            stimulus_ms: 200.0.into(),
            delay_ms: Duration::Uniform([100.0, 400.0]),
            response_ms: 200.0.into(),
            go_fraction: 0.5,
            input_noise: 0.1,
        }
    }
}

impl Task for GoNogo {
    fn layout(&self) -> Layout {
        Layout::new(["fixation", "go_cue", "nogo_cue"], ["fixation", "go"])
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
        Check::new(clock)
            .epochs(&self.epochs())
            .not_zero("stimulus_ms", &self.stimulus_ms, "it shows the cue")
            .read_at_end("response_ms", &self.response_ms)
            .number("go_fraction", self.go_fraction, 0.0..=1.0)
            .not_negative("input_noise", self.input_noise)
            .finish()
    }

    fn conditions(&self) -> Vec<Condition> {
        vec![
            Condition::new([("go", 0.0)]).with_weight(1.0 - self.go_fraction),
            Condition::new([("go", 1.0)]).with_weight(self.go_fraction),
        ]
    }

    fn meaning(&self, condition: &str) -> Meaning {
        match condition {
            "go" => Meaning::names(&["no-go", "go"]),
            _ => Meaning::of_name(condition),
        }
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let mut trial = Trial::blank(self, condition, clock, rng);
        let [stimulus, response] = ["stimulus", "response"].map(|name| trial.timeline.steps(name));
        let (cue, output) = if condition.value("go") == 1.0 {
            (GO_CUE, GO)
        } else {
            (NOGO_CUE, FIXATION)
        };
        trial.set_input(0..response.start, FIXATION, 1.0);
        trial.set_input(stimulus, cue, 1.0);
        trial.add_input_noise(self.input_noise, rng);
        trial.set_target(0..response.start, FIXATION, 1.0);
        trial.set_target(response, output, 1.0);
        trial.correct = Some(output);
        trial
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctrnn_random::{Key, Stream};

    /// One time step per epoch and no noise: each array can be written down.
    #[test]
    fn a_go_trial_by_hand() {
        let step: Duration = 20.0.into();
        let task = GoNogo {
            fixation_ms: step.clone(),
            stimulus_ms: step.clone(),
            delay_ms: step.clone(),
            response_ms: step,
            input_noise: 0.0,
            ..GoNogo::default()
        };
        let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
        let go = Condition::new([("go", 1.0)]);
        let trial = task.sample_trial(&go, Clock::new(20.0).unwrap(), &mut rng);
        let inputs = [
            [1.0, 0.0, 0.0],
            [1.0, 1.0, 0.0],
            [1.0, 0.0, 0.0],
            [0.0, 0.0, 0.0],
        ];
        let targets = [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]];
        assert_eq!(trial.inputs, inputs.as_flattened());
        assert_eq!(
            trial.target,
            crate::Target::Values(targets.as_flattened().to_vec())
        );
        assert_eq!(trial.correct, Some(GO));
    }

    #[test]
    fn finds_all_errors_at_once() {
        let task = GoNogo {
            delay_ms: 30.0.into(),
            response_ms: 0.0.into(),
            go_fraction: 1.5,
            input_noise: f64::NAN,
            ..GoNogo::default()
        };
        let errors = task.check(Clock::new(20.0).unwrap()).unwrap_err();
        let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
        assert_eq!(
            keys,
            ["delay_ms", "response_ms", "go_fraction", "input_noise"]
        );
    }
}
