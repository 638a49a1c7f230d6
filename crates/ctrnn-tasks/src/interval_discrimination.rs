//! Interval discrimination: compare the durations of two stimuli.

use ctrnn_random::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Check, Clock, Condition, Duration, Epoch, Layout, Meaning, Task, TaskError, Timeline, Trial,
};

/// Inputs and outputs after fixation, in the order of the stimuli.
const FIRST: usize = 1;
const SECOND: usize = 2;

/// Judge which of two stimuli lasted longer.
///
/// The input `first` is 1 during the first stimulus and `second` during the second; a delay separates them. The fixation
/// input is 1 until the response epoch. The output `fixation` should be 1 until then, and afterwards
/// the output of the longer stimulus; all else 0. In a catch trial only the fixation input is 1, up to
/// the end, and so should be the output `fixation`.
///
/// Source: Genovesio, Tsujimoto & Wise (2009). Durations and epochs were chosen for this program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IntervalDiscrimination {
    /// Durations of the stimuli; each is compared with every other, in both orders.
    pub durations_ms: Vec<f64>,
    /// Duration of fixation before the first stimulus.
    pub fixation_ms: Duration,
    /// Duration of the delay between the stimuli.
    pub delay_ms: Duration,
    /// Duration of the delay between the second stimulus and the response.
    pub second_delay_ms: Duration,
    /// Duration of the response.
    pub response_ms: Duration,
    /// Fraction of catch trials in training.
    pub catch_fraction: f64,
    /// Standard deviation of the noise on every input, per time step.
    pub input_noise: f64,
}

impl Default for IntervalDiscrimination {
    fn default() -> Self {
        Self {
            durations_ms: vec![200.0, 300.0, 400.0, 500.0, 600.0],
            fixation_ms: 100.0.into(),
            delay_ms: Duration::Uniform([200.0, 600.0]),
            second_delay_ms: 100.0.into(),
            response_ms: 200.0.into(),
            catch_fraction: 0.0,
            input_noise: 0.1,
        }
    }
}

impl IntervalDiscrimination {
    /// Returns the epochs for these durations of the two stimuli.
    fn epochs_with(&self, [first, second]: [Duration; 2]) -> Vec<Epoch> {
        let stimulus = |name, duration| Epoch::new(name, &duration).with_key("durations_ms");
        vec![
            Epoch::new("fixation", &self.fixation_ms),
            stimulus("first", first),
            Epoch::new("delay", &self.delay_ms),
            stimulus("second", second),
            Epoch::new("second_delay", &self.second_delay_ms),
            Epoch::new("response", &self.response_ms),
        ]
    }
}

impl Task for IntervalDiscrimination {
    fn layout(&self) -> Layout {
        let names = ["fixation", "first", "second"];
        Layout::new(names, names).with_choices(&[FIRST, SECOND])
    }

    fn epochs(&self) -> Vec<Epoch> {
        let any = || Duration::Choice(self.durations_ms.clone());
        self.epochs_with([any(), any()])
    }

    fn check(&self, clock: Clock) -> Result<(), Vec<TaskError>> {
        let mut epochs = self.epochs();
        epochs.retain(|epoch| epoch.name != "second"); // its errors would be those of the first again
        Check::new(clock)
            .epochs(&epochs)
            .read_at_end("response_ms", &self.response_ms)
            .require(
                self.durations_ms.is_empty() || !self.conditions().is_empty(),
                || TaskError::config("durations_ms", "give at least two durations that differ"),
            )
            .catch_fraction(self.catch_fraction)
            .not_negative("input_noise", self.input_noise)
            .finish()
    }

    /// Lists `first_ms` and `second_ms`, which differ.
    fn conditions(&self) -> Vec<Condition> {
        let durations = &self.durations_ms;
        let mut grid = Condition::grid(&[("first_ms", durations), ("second_ms", durations)]);
        grid.retain(|condition| condition.value("first_ms") != condition.value("second_ms"));
        Condition::with_catch(grid, self.catch_fraction)
    }

    fn meaning(&self, condition: &str) -> Meaning {
        match condition {
            "first_ms" => Meaning::quantity("first interval", "ms"),
            "second_ms" => Meaning::quantity("second interval", "ms"),
            _ => Meaning::of_name(condition),
        }
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        if condition.is_catch() {
            let mut trial = Trial::blank(self, condition, clock, rng);
            trial.fixate(0..trial.n_steps);
            trial.add_input_noise(self.input_noise, rng);
            return trial;
        }
        let durations = ["first_ms", "second_ms"].map(|name| condition.value(name));
        let epochs = self.epochs_with(durations.map(Duration::Fixed));
        let timeline = Timeline::draw(&epochs, clock, rng);
        let mut trial = Trial::new(&self.layout(), condition, timeline);
        let [first, second, response] =
            ["first", "second", "response"].map(|name| trial.timeline.steps(name));
        trial.set_input(first, FIRST, 1.0);
        trial.set_input(second, SECOND, 1.0);
        trial.fixate(0..response.start);
        trial.answer(
            response,
            if durations[0] > durations[1] {
                FIRST
            } else {
                SECOND
            },
        );
        trial.add_input_noise(self.input_noise, rng);
        trial
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctrnn_random::{Key, Stream};

    #[test]
    fn a_trial_has_the_durations_of_its_condition() {
        let task = IntervalDiscrimination::default();
        let condition = Condition::new([("first_ms", 300.0), ("second_ms", 500.0)]);
        let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
        let trial = task.sample_trial(&condition, Clock::new(20.0).unwrap(), &mut rng);
        assert_eq!(trial.timeline.steps("first").len(), 15);
        assert_eq!(trial.timeline.steps("second").len(), 25);
        assert_eq!(trial.correct, Some(SECOND));
    }

    #[test]
    fn durations_are_on_the_grid_and_differ() {
        let messages = |durations_ms: Vec<f64>| -> Vec<String> {
            let task = IntervalDiscrimination {
                durations_ms,
                ..IntervalDiscrimination::default()
            };
            let errors = task.check(Clock::new(20.0).unwrap()).unwrap_err();
            errors.iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            messages(vec![200.0, 310.0]),
            [
                "durations_ms.choice: 310 ms is not a multiple of dt_ms = 20; the nearest are 300 and 320"
            ]
        );
        assert_eq!(
            messages(vec![200.0]),
            ["durations_ms: give at least two durations that differ"]
        );
        assert_eq!(
            messages(vec![]),
            ["durations_ms.choice: the list is empty; give at least one duration"]
        );
    }
}
