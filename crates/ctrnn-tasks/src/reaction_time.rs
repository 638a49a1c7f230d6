//! Perceptual decision, reaction-time version: the network decides when to choose.

use ctrnn_random::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evidence::{shares, signed};
use crate::{Check, Clock, Condition, Duration, Epoch, Layout, Meaning, Task, TaskError, Trial};

/// Inputs.
const START: usize = 0;
const LEFT_INPUT: usize = 1;
/// Outputs, which are the choices.
const CHOICES: [usize; 2] = [0, 1];

/// Decide which of two noisy inputs is stronger, as soon as there is enough evidence.
///
/// The input `start` is 1 while the evidence is shown, during the stimulus and the decision epoch. At
/// signed coherence c the input `left` is (1 - c)/2 and `right` (1 + c)/2. Both outputs should
/// be `low` in the fixation epoch. In the decision epoch, which begins stimulus_ms after the evidence, the output
/// of the stronger side should be `high` and the other `low`. The stimulus epoch, in which a network is
/// free to decide, does not count in the loss. The decision is the first output above `threshold`; its
/// time is the reaction time, which is shorter for stronger evidence. In a catch trial there is only noise,
/// and both outputs should stay `low`. At coherence 0 no choice is correct.
///
/// Source: Song, Yang & Wang (2016), where 5 of 11 trials are catch trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReactionTime {
    /// Coherences of the evidence, from 0 to 1; each occurs as often on the left as on the right.
    pub coherences: Vec<f64>,
    /// Duration of fixation before the evidence.
    pub fixation_ms: Duration,
    /// Duration of the evidence before a decision is required.
    pub stimulus_ms: Duration,
    /// Duration of the evidence while a decision is required.
    pub decision_ms: Duration,
    /// Target of an output that should not be chosen.
    pub low: f64,
    /// Target of the output that should be chosen.
    pub high: f64,
    /// Threshold above which an output is a decision.
    pub threshold: f64,
    /// Fraction of catch trials in training.
    pub catch_fraction: f64,
    /// Standard deviation of the noise on every input, per time step.
    pub input_noise: f64,
}

impl Default for ReactionTime {
    fn default() -> Self {
        Self {
            coherences: vec![0.032, 0.064, 0.128, 0.256, 0.512],
            fixation_ms: 100.0.into(),
            stimulus_ms: 300.0.into(),
            decision_ms: 500.0.into(),
            low: 0.2,
            high: 1.2,
            threshold: 1.0,
            catch_fraction: 1.0 / 3.0,
            input_noise: 0.1,
        }
    }
}

impl ReactionTime {
    /// Returns the decision in a readout `[T, O]`: its time since the onset of the evidence, in time
    /// steps, and the choice. `None` if no output exceeds the threshold.
    #[must_use]
    pub fn decision(&self, trial: &Trial, outputs: &[f32]) -> Option<(usize, usize)> {
        let onset = trial.timeline.steps("stimulus").start;
        let steps = onset..trial.n_steps;
        let (t, choice) = trial.first_crossing(outputs, steps, &CHOICES, self.threshold)?;
        Some((t - onset, choice))
    }
}

impl Task for ReactionTime {
    fn layout(&self) -> Layout {
        Layout::new(["start", "left", "right"], ["left", "right"])
    }

    fn epochs(&self) -> Vec<Epoch> {
        vec![
            Epoch::new("fixation", &self.fixation_ms),
            Epoch::new("stimulus", &self.stimulus_ms),
            Epoch::new("decision", &self.decision_ms),
        ]
    }

    fn check(&self, clock: Clock) -> Result<(), Vec<TaskError>> {
        let ordered = self.low < self.threshold && self.threshold < self.high;
        Check::new(clock)
            .epochs(&self.epochs())
            .not_zero("decision_ms", &self.decision_ms, "the choice is made in it")
            .numbers("coherences", &self.coherences, 0.0..=1.0)
            .require(ordered, || {
                let (low, threshold, high) = (self.low, self.threshold, self.high);
                let rule = format!("{threshold} is not between low = {low} and high = {high}");
                TaskError::config("threshold", rule)
            })
            .catch_fraction(self.catch_fraction)
            .not_negative("input_noise", self.input_noise)
            .finish()
    }

    /// Lists `coh`, negative for left.
    fn conditions(&self) -> Vec<Condition> {
        let grid = Condition::grid(&[("coh", &signed(&self.coherences))]);
        Condition::with_catch(grid, self.catch_fraction)
    }

    fn meaning(&self, condition: &str) -> Meaning {
        match condition {
            "coh" => Meaning::percent("coherence"),
            _ => Meaning::of_name(condition),
        }
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let mut trial = Trial::blank(self, condition, clock, rng);
        let [stimulus, decision] = ["stimulus", "decision"].map(|name| trial.timeline.steps(name));
        let coherence = condition.value("coh");
        for choice in CHOICES {
            trial.set_target(0..trial.n_steps, choice, self.low);
        }
        if !condition.is_catch() {
            let evidence = stimulus.start..decision.end;
            trial.set_input(evidence.clone(), START, 1.0);
            trial.add_inputs(evidence, LEFT_INPUT, &shares(coherence));
            trial.set_mask(stimulus, 0.0);
            let side = usize::from(coherence > 0.0);
            trial.set_target(decision, CHOICES[side], self.high);
            trial.correct = (coherence != 0.0).then_some(CHOICES[side]);
        }
        trial.add_input_noise(self.input_noise, rng);
        trial
    }

    fn choice(&self, trial: &Trial, outputs: &[f32]) -> Option<usize> {
        self.decision(trial, outputs).map(|(_, choice)| choice)
    }

    fn reaction_steps(&self, trial: &Trial, outputs: &[f32]) -> Option<usize> {
        let has_evidence = trial.value("catch") != Some(1.0);
        let (steps, _) = self.decision(trial, outputs).filter(|_| has_evidence)?;
        Some(steps + 1)
    }

    fn correct_rule(&self) -> String {
        format!(
            "The choice is the first output that exceeds {} after the onset of the evidence; a trial without one is an error.",
            self.threshold
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mask, Target};
    use ctrnn_random::{Key, Stream};

    fn trial(coh: f64, catch: f64) -> Trial {
        let task = ReactionTime {
            fixation_ms: 20.0.into(),
            stimulus_ms: 20.0.into(),
            decision_ms: 20.0.into(),
            input_noise: 0.0,
            ..ReactionTime::default()
        };
        let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
        let condition = Condition::new([("coh", coh), ("catch", catch)]);
        task.sample_trial(&condition, Clock::new(20.0).unwrap(), &mut rng)
    }

    #[test]
    fn a_trial_by_hand() {
        let right = trial(0.5, 0.0);
        assert_eq!(
            right.inputs,
            [0.0, 0.0, 0.0, 1.0, 0.25, 0.75, 1.0, 0.25, 0.75]
        );
        assert_eq!(
            right.target,
            Target::Values(vec![0.2, 0.2, 0.2, 0.2, 0.2, 1.2])
        );
        assert_eq!(right.mask, Mask::Steps(vec![1.0, 0.0, 1.0]));
        assert_eq!(right.correct, Some(1));
        let catch = trial(0.0, 1.0);
        assert_eq!(catch.inputs, [0.0; 9]);
        assert_eq!(catch.target, Target::Values(vec![0.2; 6]));
        assert_eq!((catch.correct, trial(0.0, 0.0).correct), (None, None));
    }

    #[test]
    fn the_first_crossing_is_the_choice() {
        let (task, trial) = (ReactionTime::default(), trial(0.5, 0.0));
        let early = [2.0, 0.0, 0.0, 1.1, 2.0, 0.0]; // the fixation epoch is no decision
        assert_eq!(task.decision(&trial, &early), Some((0, 1)));
        assert_eq!(task.is_correct(&trial, &early), Some(true));
        assert_eq!(task.reaction_steps(&trial, &early), Some(1));
        // At the last step the other output is larger, but the response was made.
        assert_eq!(task.choice(&trial, &early), Some(1));
        assert_eq!(task.reaction_steps(&trial, &[0.5; 6]), None);
        assert_eq!(task.choice(&trial, &[0.5; 6]), None);
        assert_eq!(
            task.is_correct(&trial, &[0.0, 0.0, 1.1, 0.0, 0.0, 2.0]),
            Some(false)
        );
        assert_eq!(task.is_correct(&trial, &[0.5; 6]), Some(false));
    }

    #[test]
    fn the_threshold_lies_between_the_targets() {
        let task = ReactionTime {
            threshold: 1.3,
            ..ReactionTime::default()
        };
        let errors = task.check(Clock::new(20.0).unwrap()).unwrap_err();
        assert_eq!(
            errors[0].to_string(),
            "threshold: 1.3 is not between low = 0.2 and high = 1.2"
        );
    }
}
