//! Economic decision: choose the more valuable of two offers.

use ctrnn_random::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Check, Clock, Condition, Duration, Epoch, Layout, Meaning, Task, TaskError, Trial};

/// First input of the offers: two on the left, then two on the right.
const OFFERS: usize = 1;
/// Outputs after fixation.
const LEFT: usize = 1;
const RIGHT: usize = 2;

/// Choose the more valuable of two offers of juice.
///
/// A unit of juice A is worth `value_of_a` units of juice B. One side offers an amount of A, the other an amount
/// of B; the input for that side and juice is the amount divided by `scale`. The fixation input is 1
/// until the response epoch. The output `fixation` should be 1 until then, and afterwards the output of the side with
/// the more valuable offer; all else 0. Between offers of equal value no choice is correct. In a catch
/// trial only the fixation input is 1, up to the end, and so should be the output `fixation`.
///
/// Source: Padoa-Schioppa & Assad (2006). The epochs were chosen for this program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EconomicDecision {
    /// Pairs of amounts, of A and of B; each pair occurs with A on the left and on the right.
    pub offers: Vec<[f64; 2]>,
    /// Value of a unit of A in units of B.
    pub value_of_a: f64,
    /// Amount that gives an input of 1.
    pub scale: f64,
    /// Duration of fixation before the offers.
    pub fixation_ms: Duration,
    /// Duration of the offers.
    pub stimulus_ms: Duration,
    /// Duration of the response.
    pub response_ms: Duration,
    /// Fraction of catch trials in training.
    pub catch_fraction: f64,
    /// Standard deviation of the noise on every input, per time step.
    pub input_noise: f64,
}

impl Default for EconomicDecision {
    fn default() -> Self {
        Self {
            offers: vec![
                [1.0, 0.0],
                [3.0, 1.0],
                [2.0, 1.0],
                [1.0, 1.0],
                [1.0, 2.0],
                [1.0, 3.0],
                [1.0, 4.0],
                [1.0, 6.0],
                [0.0, 2.0],
            ],
            value_of_a: 2.2,
            scale: 5.0,
            fixation_ms: 200.0.into(),
            stimulus_ms: Duration::Uniform([500.0, 1000.0]),
            response_ms: 300.0.into(),
            catch_fraction: 0.0,
            input_noise: 0.05,
        }
    }
}

impl Task for EconomicDecision {
    fn layout(&self) -> Layout {
        let inputs = ["fixation", "left_a", "left_b", "right_a", "right_b"];
        Layout::new(inputs, ["fixation", "left", "right"]).with_choices(&[LEFT, RIGHT])
    }

    fn epochs(&self) -> Vec<Epoch> {
        vec![
            Epoch::new("fixation", &self.fixation_ms),
            Epoch::new("stimulus", &self.stimulus_ms),
            Epoch::new("response", &self.response_ms),
        ]
    }

    fn check(&self, clock: Clock) -> Result<(), Vec<TaskError>> {
        Check::new(clock)
            .epochs(&self.epochs())
            .not_zero("stimulus_ms", &self.stimulus_ms, "it shows the offers")
            .read_at_end("response_ms", &self.response_ms)
            .numbers("offers", self.offers.as_flattened(), 0.0..=1000.0)
            .positive("value_of_a", self.value_of_a)
            .positive("scale", self.scale)
            .catch_fraction(self.catch_fraction)
            .not_negative("input_noise", self.input_noise)
            .finish()
    }

    /// Lists the amounts `a` and `b`, and `a_side`: A is on the left (-1) or on the right (1).
    fn conditions(&self) -> Vec<Condition> {
        let sides = |&[a, b]: &[f64; 2]| {
            [-1.0, 1.0].map(|side| Condition::new([("a", a), ("b", b), ("a_side", side)]))
        };
        let conditions = self.offers.iter().flat_map(sides).collect();
        Condition::with_catch(conditions, self.catch_fraction)
    }

    fn meaning(&self, condition: &str) -> Meaning {
        match condition {
            "a" => Meaning::quantity("amount of A", ""),
            "b" => Meaning::quantity("amount of B", ""),
            "a_side" => Meaning::Names(vec![
                (-1.0, "A on the left".to_owned()),
                (1.0, "A on the right".to_owned()),
            ]),
            _ => Meaning::of_name(condition),
        }
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let mut trial = Trial::blank(self, condition, clock, rng);
        let [stimulus, response] = ["stimulus", "response"].map(|name| trial.timeline.steps(name));
        if condition.is_catch() {
            trial.fixate(0..trial.n_steps);
        } else {
            let [a, b] = ["a", "b"].map(|juice| condition.value(juice));
            let (pattern, [side_of_a, side_of_b]) = if condition.value("a_side") < 0.0 {
                ([a, 0.0, 0.0, b], [LEFT, RIGHT])
            } else {
                ([0.0, b, a, 0.0], [RIGHT, LEFT])
            };
            let value_of_a = a * self.value_of_a;
            trial.add_inputs(stimulus, OFFERS, &pattern.map(|amount| amount / self.scale));
            trial.fixate(0..response.start);
            trial.answer(response, if value_of_a > b { side_of_a } else { side_of_b });
            trial.correct = trial.correct.filter(|_| value_of_a != b);
        }
        trial.add_input_noise(self.input_noise, rng);
        trial
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctrnn_random::{Key, Stream};

    /// 1 A is worth 2.2 B: more than 2 B, less than 3 B.
    #[test]
    fn the_more_valuable_offer_is_correct() {
        let task = EconomicDecision {
            fixation_ms: 0.0.into(),
            input_noise: 0.0,
            ..EconomicDecision::default()
        };
        let trial = |b: f64, side: f64| {
            let condition = Condition::new([("a", 1.0), ("b", b), ("a_side", side)]);
            let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
            task.sample_trial(&condition, Clock::new(20.0).unwrap(), &mut rng)
        };
        assert_eq!(trial(2.0, -1.0).correct, Some(LEFT));
        assert_eq!(trial(2.0, 1.0).correct, Some(RIGHT));
        assert_eq!(trial(3.0, -1.0).correct, Some(RIGHT));
        assert_eq!(trial(2.2, -1.0).correct, None);
        assert_eq!(trial(2.0, -1.0).inputs[..5], [1.0, 0.2, 0.0, 0.0, 0.4]);
        assert_eq!(trial(2.0, 1.0).inputs[..5], [1.0, 0.0, 0.4, 0.2, 0.0]);
    }
}
