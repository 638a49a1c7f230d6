//! Delayed discrimination: compare two frequencies separated by a delay.

use ctrnn_random::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evidence::rising_and_falling;
use crate::{Check, Clock, Condition, Duration, Epoch, Layout, Meaning, Task, TaskError, Trial};

/// First of the two tuned inputs.
const TUNED: usize = 1;
/// Outputs after fixation.
const LOWER: usize = 1;
const HIGHER: usize = 2;
/// Range of frequencies over which the inputs rise and fall.
const RANGE_HZ: [f64; 2] = [10.0, 34.0];

/// Remember a frequency through a delay and report whether it was lower or higher than a second one.
///
/// While a frequency is presented, the input `rising` encodes it linearly from 0.4 at 10 Hz to 1.2 at 34 Hz, and
/// `falling`
/// from 1.2 to 0.4. The fixation input is 1 until the response epoch. The output
/// `fixation` should be 1 until then, and afterwards `lower` or `higher`, depending on the first frequency;
/// all else 0. In a catch trial only the fixation input is 1, up to the end, and so should be the output
/// `fixation`.
///
/// Source: Romo, Brody, Hernandez & Lemus (1999); epochs and frequencies of Song, Yang & Wang (2016).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DelayedDiscrimination {
    /// Pairs of different frequencies, from 10 to 34 Hz; each pair occurs in both orders.
    pub pairs_hz: Vec<[f64; 2]>,
    /// Duration of fixation before the first frequency.
    pub fixation_ms: Duration,
    /// Duration of the first frequency.
    pub first_ms: Duration,
    /// Duration of the delay between the frequencies.
    pub delay_ms: Duration,
    /// Duration of the second frequency.
    pub second_ms: Duration,
    /// Duration of the response.
    pub response_ms: Duration,
    /// Fraction of catch trials in training.
    pub catch_fraction: f64,
    /// Standard deviation of the noise on every input, per time step.
    pub input_noise: f64,
}

impl Default for DelayedDiscrimination {
    fn default() -> Self {
        Self {
            pairs_hz: vec![
                [18.0, 10.0],
                [22.0, 14.0],
                [26.0, 18.0],
                [30.0, 22.0],
                [34.0, 26.0],
            ],
            fixation_ms: 100.0.into(),
            first_ms: 500.0.into(),
            delay_ms: Duration::Uniform([2500.0, 3500.0]),
            second_ms: 500.0.into(),
            response_ms: 300.0.into(),
            catch_fraction: 0.0,
            input_noise: 0.05,
        }
    }
}

impl Task for DelayedDiscrimination {
    fn layout(&self) -> Layout {
        let inputs = ["fixation", "rising", "falling"];
        Layout::new(inputs, ["fixation", "lower", "higher"]).with_choices(&[LOWER, HIGHER])
    }

    fn epochs(&self) -> Vec<Epoch> {
        vec![
            Epoch::new("fixation", &self.fixation_ms),
            Epoch::new("first", &self.first_ms),
            Epoch::new("delay", &self.delay_ms),
            Epoch::new("second", &self.second_ms),
            Epoch::new("response", &self.response_ms),
        ]
    }

    fn check(&self, clock: Clock) -> Result<(), Vec<TaskError>> {
        Check::new(clock)
            .epochs(&self.epochs())
            .not_zero("first_ms", &self.first_ms, "it presents a frequency")
            .not_zero("second_ms", &self.second_ms, "it presents a frequency")
            .read_at_end("response_ms", &self.response_ms)
            .numbers(
                "pairs_hz",
                self.pairs_hz.as_flattened(),
                RANGE_HZ[0]..=RANGE_HZ[1],
            )
            .require(self.pairs_hz.iter().all(|[a, b]| a != b), || {
                TaskError::config("pairs_hz", "the frequencies of a pair must differ")
            })
            .catch_fraction(self.catch_fraction)
            .not_negative("input_noise", self.input_noise)
            .finish()
    }

    /// Lists `first_hz` and `second_hz`.
    fn conditions(&self) -> Vec<Condition> {
        let orders = |&[a, b]: &[f64; 2]| {
            [[a, b], [b, a]].map(|[f1, f2]| Condition::new([("first_hz", f1), ("second_hz", f2)]))
        };
        let conditions = self.pairs_hz.iter().flat_map(orders).collect();
        Condition::with_catch(conditions, self.catch_fraction)
    }

    fn meaning(&self, condition: &str) -> Meaning {
        match condition {
            "first_hz" => Meaning::quantity("first frequency", "Hz"),
            "second_hz" => Meaning::quantity("second frequency", "Hz"),
            _ => Meaning::of_name(condition),
        }
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let mut trial = Trial::blank(self, condition, clock, rng);
        if condition.is_catch() {
            trial.fixate(0..trial.n_steps);
        } else {
            let [f1, f2] = ["first_hz", "second_hz"].map(|name| condition.value(name));
            for (epoch, frequency) in [("first", f1), ("second", f2)] {
                let steps = trial.timeline.steps(epoch);
                trial.add_inputs(steps, TUNED, &rising_and_falling(frequency, RANGE_HZ));
            }
            let response = trial.timeline.steps("response");
            trial.fixate(0..response.start);
            trial.answer(response, if f1 < f2 { LOWER } else { HIGHER });
        }
        trial.add_input_noise(self.input_noise, rng);
        trial
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctrnn_random::{Key, Stream};

    /// One time step per epoch: 10 Hz is (0.4, 1.2), 34 Hz the other way round.
    #[test]
    fn a_trial_by_hand() {
        let step: Duration = 20.0.into();
        let task = DelayedDiscrimination {
            fixation_ms: 0.0.into(),
            first_ms: step.clone(),
            delay_ms: step.clone(),
            second_ms: step.clone(),
            response_ms: step,
            input_noise: 0.0,
            ..DelayedDiscrimination::default()
        };
        let condition = Condition::new([("first_hz", 10.0), ("second_hz", 34.0)]);
        let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
        let trial = task.sample_trial(&condition, Clock::new(20.0).unwrap(), &mut rng);
        let expected = [
            [1.0, 0.4, 1.2],
            [1.0, 0.0, 0.0],
            [1.0, 1.2, 0.4],
            [0.0, 0.0, 0.0],
        ];
        let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-6;
        assert!(trial.inputs.iter().zip(expected.as_flattened()).all(close));
        assert_eq!(trial.correct, Some(LOWER));
    }

    #[test]
    fn the_frequencies_of_a_pair_differ() {
        let task = DelayedDiscrimination {
            pairs_hz: vec![[18.0, 18.0], [50.0, 20.0]],
            ..DelayedDiscrimination::default()
        };
        let errors = task.check(Clock::new(20.0).unwrap()).unwrap_err();
        let messages: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            messages,
            [
                "pairs_hz: 50 is not a number from 10 to 34",
                "pairs_hz: the frequencies of a pair must differ"
            ]
        );
    }
}
