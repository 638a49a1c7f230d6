//! Perceptual decision: choose the stronger of two noisy inputs.

use ctrnn_random::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evidence::shares;
use crate::{
    Check, Clock, Condition, Duration, Epoch, Layout, Meaning, Task, TaskError, Trial,
    TruncatedExponential,
};

/// Inputs and outputs after fixation.
const LEFT: usize = 1;
const RIGHT: usize = 2;

/// Decide which of two noisy inputs is stronger (random-dot motion).
///
/// The fixation input is 1 until the response epoch; its end is the go cue. During the stimulus the
/// input on the side of the evidence is (1 + coh)/2 and the other (1 - coh)/2. The output
/// `fixation` should be 1 until the response epoch, and then the output of the stronger side; all
/// else 0. At coherence 0 the target is a random side and no choice is correct. In a catch trial only the
/// fixation input is 1, up to the end, and so should be the output `fixation`.
///
/// Source: Song, Yang & Wang (2016) for the stimulus, Yang et al. (2019) for fixation input and output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PerceptualDecision {
    /// Coherences of the evidence, from 0 to 1; each occurs as often on the left as on the right.
    pub coherences: Vec<f64>,
    /// Duration of fixation before the stimulus.
    pub fixation_ms: Duration,
    /// Duration of the stimulus.
    pub stimulus_ms: Duration,
    /// Duration of the delay between the stimulus and the response.
    pub delay_ms: Duration,
    /// Duration of the response.
    pub response_ms: Duration,
    /// Fraction of catch trials in training.
    pub catch_fraction: f64,
    /// Standard deviation of the noise on every input, per time step.
    pub input_noise: f64,
}

impl PerceptualDecision {
    /// Returns the version with trials of fixed length of Song, Yang & Wang (2016).
    pub(crate) fn fixed() -> Self {
        Self {
            coherences: vec![0.032, 0.064, 0.128, 0.256, 0.512],
            stimulus_ms: 800.0.into(),
            response_ms: 300.0.into(),
            ..Self::default()
        }
    }

    /// Returns the version with a stimulus of unpredictable length of Song, Yang & Wang (2016).
    pub(crate) fn variable() -> Self {
        let law = TruncatedExponential {
            mean: 330.0,
            min: 80.0,
            max: 1500.0,
        };
        Self {
            stimulus_ms: Duration::TruncatedExponential(law),
            catch_fraction: 1.0 / 11.0,
            ..Self::fixed()
        }
    }

    /// Returns the version in which the choice has to be remembered through a delay.
    pub(crate) fn delayed() -> Self {
        Self {
            stimulus_ms: 400.0.into(),
            delay_ms: Duration::Choice(vec![200.0, 400.0, 800.0]),
            ..Self::fixed()
        }
    }
}

impl Default for PerceptualDecision {
    fn default() -> Self {
        Self {
            coherences: vec![0.0, 0.064, 0.128, 0.256, 0.512],
            fixation_ms: 100.0.into(),
            stimulus_ms: Duration::Uniform([200.0, 1000.0]),
            delay_ms: 0.0.into(),
            response_ms: 100.0.into(),
            catch_fraction: 0.0,
            input_noise: 0.1,
        }
    }
}

impl Task for PerceptualDecision {
    fn layout(&self) -> Layout {
        let names = ["fixation", "left", "right"];
        Layout::new(names, names).with_choices(&[LEFT, RIGHT])
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
            .not_zero("stimulus_ms", &self.stimulus_ms, "it shows the evidence")
            .read_at_end("response_ms", &self.response_ms)
            .numbers("coherences", &self.coherences, 0.0..=1.0)
            .catch_fraction(self.catch_fraction)
            .not_negative("input_noise", self.input_noise)
            .finish()
    }

    /// Lists `coh` and `side`: -1 is left, 1 is right.
    fn conditions(&self) -> Vec<Condition> {
        let grid = Condition::grid(&[("coh", &self.coherences), ("side", &[-1.0, 1.0])]);
        Condition::with_catch(grid, self.catch_fraction)
    }

    fn meaning(&self, condition: &str) -> Meaning {
        match condition {
            "coh" => Meaning::percent("coherence"),
            "side" => Meaning::sides(),
            _ => Meaning::of_name(condition),
        }
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let mut trial = Trial::blank(self, condition, clock, rng);
        let [stimulus, response] = ["stimulus", "response"].map(|name| trial.timeline.steps(name));
        if condition.is_catch() {
            trial.fixate(0..trial.n_steps);
        } else {
            let [coherence, side] = ["coh", "side"].map(|name| condition.value(name));
            trial.fixate(0..response.start);
            trial.add_inputs(stimulus, LEFT, &shares(side * coherence));
            trial.answer(response, if side < 0.0 { LEFT } else { RIGHT });
            trial.correct = trial.correct.filter(|_| coherence > 0.0);
        }
        trial.add_input_noise(self.input_noise, rng);
        trial
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;
    use ctrnn_random::{Key, Stream};

    fn trial(coh: f64, side: f64) -> Trial {
        let task = PerceptualDecision {
            fixation_ms: 20.0.into(),
            stimulus_ms: 20.0.into(),
            response_ms: 20.0.into(),
            input_noise: 0.0,
            ..PerceptualDecision::default()
        };
        let condition = Condition::new([("coh", coh), ("side", side)]);
        let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
        task.sample_trial(&condition, Clock::new(20.0).unwrap(), &mut rng)
    }

    /// One time step per epoch: at coherence 1/2 the inputs are (1 + 1/2)/2 and (1 - 1/2)/2.
    #[test]
    fn a_trial_by_hand() {
        let left = trial(0.5, -1.0);
        let inputs = [[1.0, 0.0, 0.0], [1.0, 0.75, 0.25], [0.0, 0.0, 0.0]];
        let targets = [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]];
        assert_eq!(left.inputs, inputs.as_flattened());
        assert_eq!(left.target, Target::Values(targets.as_flattened().to_vec()));
        assert_eq!(left.correct, Some(LEFT));
        assert_eq!(trial(0.5, 1.0).correct, Some(RIGHT));
    }

    #[test]
    fn without_evidence_no_choice_is_correct() {
        let trial = trial(0.0, 1.0);
        assert_eq!(trial.correct, None);
        assert_eq!(trial.inputs[3..6], [1.0, 0.5, 0.5]);
        assert_eq!(
            PerceptualDecision::default().is_correct(&trial, &[0.0; 9]),
            None
        );
    }

    #[test]
    fn nothing_is_shown_in_a_catch_trial() {
        let task = PerceptualDecision {
            input_noise: 0.0,
            ..PerceptualDecision::variable()
        };
        let catch = task.conditions().pop().unwrap();
        assert!(catch.is_catch());
        let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
        let trial = task.sample_trial(&catch, Clock::new(20.0).unwrap(), &mut rng);
        let fixation = [1.0, 0.0, 0.0].repeat(trial.n_steps);
        assert_eq!(trial.inputs, fixation);
        assert_eq!(trial.target, Target::Values(fixation));
        assert_eq!(trial.correct, None);
    }

    #[test]
    fn finds_all_errors_at_once() {
        let task = PerceptualDecision {
            coherences: vec![0.5, 6.4],
            stimulus_ms: Duration::Uniform([0.0, 1010.0]),
            input_noise: -0.1,
            ..PerceptualDecision::default()
        };
        let errors = task.check(Clock::new(20.0).unwrap()).unwrap_err();
        let messages: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            messages,
            [
                "stimulus_ms.uniform: 1010 ms is not a multiple of dt_ms = 20; the nearest are 1000 and 1020",
                "stimulus_ms: 0 ms is too short; it shows the evidence",
                "coherences: 6.4 is not a number from 0 to 1",
                "input_noise: -0.1 is not 0 or a positive number",
            ]
        );
        let none = PerceptualDecision {
            coherences: vec![],
            ..PerceptualDecision::default()
        };
        let errors = none.check(Clock::new(20.0).unwrap()).unwrap_err();
        assert_eq!(
            errors[0].to_string(),
            "coherences: the list is empty; give at least one number"
        );
    }
}
