//! Sequence reproduction: repeat a sequence in order.

use std::ops::Range;

use ctrnn_random::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::trial::largest;
use crate::{
    Check, Clock, Condition, Duration, Epoch, Layout, Meaning, Target, Task, TaskError, Timeline,
    Trial,
};

/// First input; the items follow.
const GO: usize = 0;

/// Reproduce a sequence of items in the order in which they were shown.
///
/// Epochs: `fixation`; `items`, in which the items of the sequence are shown one after another, each for
/// item_ms; `delay`; `response`, with as many slots of item_ms. Items are drawn independently, so they may
/// repeat. The input of an item is 1 while it is shown; the input `go` is 1 in the response. In each slot of
/// the response the output of the item at the same place in the sequence should be 1; all else 0. The first
/// settle_ms of each slot do not count, because a leaky unit needs time to change. Conditions: the length of the
/// sequence.
///
/// Source: immediate serial recall as in Botvinick & Plaut (2006). The durations were chosen for this program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SequenceReproduction {
    /// Number of different items.
    #[schemars(range(min = 2, max = 1000))]
    pub items: usize,
    /// Lengths of the sequences, in items.
    pub lengths: Vec<u32>,
    /// Duration of fixation before the first item.
    pub fixation_ms: Duration,
    /// Duration of each item, when shown and when reproduced.
    pub item_ms: f64,
    /// Duration of the delay between the last item and the response.
    pub delay_ms: Duration,
    /// Time at the start of each slot of the response that does not count.
    pub settle_ms: f64,
    /// Standard deviation of the noise on every input, per time step.
    pub input_noise: f64,
}

impl Default for SequenceReproduction {
    fn default() -> Self {
        Self {
            items: 4,
            lengths: vec![2, 3],
            fixation_ms: 100.0.into(),
            item_ms: 200.0,
            delay_ms: Duration::Uniform([200.0, 400.0]),
            settle_ms: 60.0,
            input_noise: 0.1,
        }
    }
}

impl Task for SequenceReproduction {
    fn layout(&self) -> Layout {
        let names = || (0..self.items).map(|item| format!("item {item}"));
        let layout = Layout::new(["go"], []).with_inputs(names());
        layout.with_outputs(names())
    }

    fn check(&self, clock: Clock) -> Result<(), Vec<TaskError>> {
        let (item, settle): (Duration, Duration) = (self.item_ms.into(), self.settle_ms.into());
        let lengths: Vec<f64> = self.lengths.iter().copied().map(f64::from).collect();
        Check::new(clock)
            .number("items", self.items as f64, 2.0..=1000.0)
            .numbers("lengths", &lengths, 1.0..=100.0)
            .duration("fixation_ms", &self.fixation_ms)
            .duration("item_ms", &item)
            .not_zero("item_ms", &item, "it shows an item")
            .duration("delay_ms", &self.delay_ms)
            .duration("settle_ms", &settle)
            .require(self.settle_ms < self.item_ms, || {
                TaskError::config(
                    "settle_ms",
                    "must be shorter than item_ms, or nothing counts",
                )
            })
            .not_negative("input_noise", self.input_noise)
            .finish()
    }

    fn conditions(&self) -> Vec<Condition> {
        let lengths: Vec<f64> = self.lengths.iter().copied().map(f64::from).collect();
        Condition::grid(&[("length", &lengths)])
    }

    fn longest_steps(&self, clock: Clock) -> Option<usize> {
        let longest = *self.lengths.iter().max()? as usize;
        let epochs = [&self.fixation_ms, &self.delay_ms];
        let besides: usize = epochs
            .map(|ms| clock.nearest(ms.bounds_ms()[1]))
            .iter()
            .sum();
        Some(besides + 2 * longest * clock.nearest(self.item_ms))
    }

    fn meaning(&self, condition: &str) -> Meaning {
        match condition {
            "length" => Meaning::quantity("length", "items"),
            _ => Meaning::of_name(condition),
        }
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let length = condition.value("length") as usize;
        let (item, settle) = (clock.nearest(self.item_ms), clock.nearest(self.settle_ms));
        let mut timeline = Timeline::draw(&[Epoch::new("fixation", &self.fixation_ms)], clock, rng);
        timeline.push("items", length * item);
        timeline.push("delay", self.delay_ms.draw(clock, rng));
        timeline.push("response", length * item);
        let mut trial = Trial::new(&self.layout(), condition, timeline);
        let [shown, response] = ["items", "response"].map(|name| trial.timeline.steps(name));
        trial.set_input(response.clone(), GO, 1.0);
        for place in 0..length {
            let identity = rng.below(self.items as u32) as usize;
            trial.set_input(slot(&shown, item, place), GO + 1 + identity, 1.0);
            let answer = slot(&response, item, place);
            trial.set_mask(answer.start..answer.start + settle, 0.0);
            trial.set_target(answer, identity, 1.0);
        }
        trial.add_input_noise(self.input_noise, rng);
        trial
    }

    fn is_correct(&self, trial: &Trial, outputs: &[f32]) -> Option<bool> {
        let Target::Values(target) = &trial.target else {
            return None;
        };
        let length = trial.value("length")? as usize;
        let response = trial.timeline.steps("response");
        let item = response.len() / length;
        let items: Vec<usize> = (0..self.items).collect();
        let said = |values: &[f32], place: usize| {
            let last = slot(&response, item, place).end - 1;
            largest(
                &values[last * trial.n_outputs..(last + 1) * trial.n_outputs],
                &items,
            )
        };
        Some((0..length).all(|place| said(outputs, place) == said(target, place)))
    }

    fn correct_rule(&self) -> String {
        "A trial is correct if at the last time step of every slot the largest output is that of the item."
            .to_owned()
    }

    /// Returns the probability of guessing every slot: the mean of items^-length over the lengths.
    fn chance(&self) -> Option<f64> {
        let guessed = |&length: &u32| (self.items as f64).powi(-(length as i32));
        Some(self.lengths.iter().map(guessed).sum::<f64>() / self.lengths.len() as f64)
    }
}

/// Returns the time steps of one item.
fn slot(epoch: &Range<usize>, item: usize, place: usize) -> Range<usize> {
    let start = epoch.start + place * item;
    start..start + item
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mask;
    use ctrnn_random::{Key, Stream};

    /// Two items of two time steps, of which the second counts; no fixation, no delay, no noise.
    #[test]
    fn a_trial_by_hand() {
        let task = SequenceReproduction {
            items: 2,
            fixation_ms: 0.0.into(),
            item_ms: 40.0,
            delay_ms: 0.0.into(),
            settle_ms: 20.0,
            input_noise: 0.0,
            ..SequenceReproduction::default()
        };
        let condition = Condition::new([("length", 2.0)]);
        let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
        let trial = task.sample_trial(&condition, Clock::new(20.0).unwrap(), &mut rng);
        let Target::Values(target) = &trial.target else {
            panic!("values");
        };
        let shown: Vec<f32> = trial
            .inputs
            .chunks(3)
            .flat_map(|row| [row[1], row[2]])
            .collect();
        assert_eq!(target[..8], [0.0; 8]);
        assert_eq!(target[8..], shown[..8]); // the response shows what the first epoch showed
        let go: Vec<f32> = trial.inputs.iter().step_by(3).copied().collect();
        assert_eq!(go, [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]);
        let mask = vec![1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0];
        assert_eq!(trial.mask, Mask::Steps(mask));
        assert_eq!(task.is_correct(&trial, target), Some(true));
        let mut wrong = target.clone();
        wrong.swap(14, 15); // the last time step of the second slot
        assert_eq!(task.is_correct(&trial, &wrong), Some(false));
        wrong.swap(14, 15);
        wrong.swap(12, 13); // its first
        assert_eq!(task.is_correct(&trial, &wrong), Some(true));
    }

    #[test]
    fn finds_all_errors_at_once() {
        let task = SequenceReproduction {
            items: 1,
            lengths: vec![0],
            item_ms: 30.0,
            settle_ms: 40.0,
            input_noise: -1.0,
            ..SequenceReproduction::default()
        };
        let errors = task.check(Clock::new(20.0).unwrap()).unwrap_err();
        let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
        assert_eq!(
            keys,
            ["items", "lengths", "item_ms", "settle_ms", "input_noise"]
        );
    }
}
