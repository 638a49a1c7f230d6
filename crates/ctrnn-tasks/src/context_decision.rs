//! Context-dependent decision: judge motion or colour, depending on the context.

use ctrnn_random::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evidence::{shares, signed};
use crate::{Check, Clock, Condition, Duration, Epoch, Layout, Meaning, Task, TaskError, Trial};

/// First of the two context inputs, and first input of each pair.
const CONTEXT: usize = 1;
const MOTION: usize = 3;
const COLOUR: usize = 5;
/// Outputs after fixation.
const LEFT: usize = 1;
const RIGHT: usize = 2;

/// Judge the motion or the colour of a stimulus, depending on the context, and ignore the other.
///
/// During the stimulus one of the inputs `motion_context` and `colour_context` is 1, and both kinds of
/// evidence are shown: at signed coherence c, `motion_left` is (1 - c)/2 and `motion_right`
/// (1 + c)/2, and likewise for colour. The fixation input is 1 until the response epoch. The output `fixation`
/// should be 1 until then, and afterwards the output of the side favoured by the relevant evidence should be 1;
/// all else 0. If the relevant coherence is 0, no choice is correct. In a catch trial only the fixation input
/// is 1, up to the end, and so should be the output `fixation`.
///
/// Source: Mante, Sussillo, Shenoy & Newsome (2013); epochs and coherences of Song, Yang & Wang (2016).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ContextDecision {
    /// Coherences of either kind of evidence, from 0 to 1; each occurs with both signs.
    pub coherences: Vec<f64>,
    /// Duration of fixation before the stimulus.
    pub fixation_ms: Duration,
    /// Duration of context and evidence.
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

impl Default for ContextDecision {
    fn default() -> Self {
        Self {
            coherences: vec![0.05, 0.15, 0.5],
            fixation_ms: 100.0.into(),
            stimulus_ms: 800.0.into(),
            delay_ms: 0.0.into(),
            response_ms: 300.0.into(),
            catch_fraction: 0.0,
            input_noise: 0.1,
        }
    }
}

impl Task for ContextDecision {
    fn layout(&self) -> Layout {
        let inputs = [
            "fixation",
            "motion_context",
            "colour_context",
            "motion_left",
            "motion_right",
            "colour_left",
            "colour_right",
        ];
        Layout::new(inputs, ["fixation", "left", "right"]).with_choices(&[LEFT, RIGHT])
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

    /// Lists `context` (0 motion, 1 colour) and the coherences `motion` and `colour`, negative for left.
    fn conditions(&self) -> Vec<Condition> {
        let coherences = signed(&self.coherences);
        let axes: [(&str, &[f64]); 3] = [
            ("context", &[0.0, 1.0]),
            ("motion", &coherences),
            ("colour", &coherences),
        ];
        Condition::with_catch(Condition::grid(&axes), self.catch_fraction)
    }

    fn meaning(&self, condition: &str) -> Meaning {
        match condition {
            "context" => Meaning::names(&["motion", "colour"]),
            "motion" => Meaning::percent("motion coherence"),
            "colour" => Meaning::percent("colour coherence"),
            _ => Meaning::of_name(condition),
        }
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let mut trial = Trial::blank(self, condition, clock, rng);
        let [stimulus, response] = ["stimulus", "response"].map(|name| trial.timeline.steps(name));
        if condition.is_catch() {
            trial.fixate(0..trial.n_steps);
        } else {
            let context = condition.value("context") as usize;
            let evidence = ["motion", "colour"].map(|name| condition.value(name));
            trial.fixate(0..response.start);
            trial.set_input(stimulus.clone(), CONTEXT + context, 1.0);
            trial.add_inputs(stimulus.clone(), MOTION, &shares(evidence[0]));
            trial.add_inputs(stimulus, COLOUR, &shares(evidence[1]));
            let relevant = evidence[context];
            trial.answer(response, if relevant < 0.0 { LEFT } else { RIGHT });
            trial.correct = trial.correct.filter(|_| relevant != 0.0);
        }
        trial.add_input_noise(self.input_noise, rng);
        trial
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctrnn_random::{Key, Stream};

    #[test]
    fn the_context_picks_the_evidence() {
        let task = ContextDecision {
            fixation_ms: 0.0.into(),
            stimulus_ms: 20.0.into(),
            response_ms: 20.0.into(),
            input_noise: 0.0,
            ..ContextDecision::default()
        };
        let trial = |context: f64, colour: f64| {
            let values = [("context", context), ("motion", 0.5), ("colour", colour)];
            let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
            task.sample_trial(&Condition::new(values), Clock::new(20.0).unwrap(), &mut rng)
        };
        let by_colour = trial(1.0, -0.5);
        assert_eq!(
            by_colour.inputs[..7],
            [1.0, 0.0, 1.0, 0.25, 0.75, 0.75, 0.25]
        );
        assert_eq!(by_colour.inputs[7..], [0.0; 7]);
        assert_eq!(by_colour.correct, Some(LEFT));
        assert_eq!(trial(0.0, -0.5).correct, Some(RIGHT));
        assert_eq!(trial(1.0, 0.0).correct, None);
    }

    /// Two contexts, three strengths with two signs each of two kinds: 2 (3 x 2)^2.
    #[test]
    fn there_are_72_conditions() {
        assert_eq!(ContextDecision::default().conditions().len(), 72);
    }
}
