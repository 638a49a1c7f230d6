//! Match to category: report in which part of the circle a direction is.

use ctrnn_random::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Check, Clock, Condition, Duration, Epoch, Layout, Ring, Task, TaskError, Trial};

/// First input of the ring, after fixation.
const RING: usize = 1;
/// First output of the categories, after fixation.
const CATEGORIES: usize = 1;

/// Report in which of several equal parts of the circle a direction is.
///
/// During the stimulus a direction is shown on a ring of tuned inputs (Gaussian, width pi / 8). The categories divide
/// the circle into n equal parts, the first from 0 to 360 degrees / n. Directions are halfway between
/// multiples of 360 degrees / `n_directions`, so that none is on a boundary. The fixation
/// input is 1 until the response epoch. The output `fixation` should be 1 until then, and afterwards the
/// output of the category; all else 0. In a catch trial only the fixation input is 1, up to the end, and so
/// should be the output `fixation`.
///
/// Source: Freedman & Assad (2006), as the task MatchToCategory of PsychRNN (Ehrlich et al. 2021).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MatchToCategory {
    /// Number of categories n.
    #[schemars(range(min = 2, max = 180))]
    pub n_categories: usize,
    /// Number of directions, a multiple of `n_categories`.
    #[schemars(range(min = 2, max = 360))]
    pub n_directions: usize,
    /// Number of tuned inputs.
    #[schemars(range(min = 2, max = 1000))]
    pub n_tuned: usize,
    /// Duration of fixation before the stimulus.
    pub fixation_ms: Duration,
    /// Duration of the stimulus.
    pub stimulus_ms: Duration,
    /// Duration of the response.
    pub response_ms: Duration,
    /// Fraction of catch trials in training.
    pub catch_fraction: f64,
    /// Standard deviation of the noise on every input, per time step.
    pub input_noise: f64,
}

impl Default for MatchToCategory {
    fn default() -> Self {
        Self {
            n_categories: 2,
            n_directions: 16,
            n_tuned: 16,
            fixation_ms: 200.0.into(),
            stimulus_ms: 1000.0.into(),
            response_ms: 800.0.into(),
            catch_fraction: 0.0,
            input_noise: 0.1,
        }
    }
}

impl Task for MatchToCategory {
    fn layout(&self) -> Layout {
        let ring = Ring::gaussian(self.n_tuned);
        let categories = (0..self.n_categories).map(|k| format!("category {k}"));
        let choices: Vec<usize> = (0..self.n_categories).map(|k| CATEGORIES + k).collect();
        Layout::new(["fixation"], ["fixation"])
            .with_inputs(ring.names("direction"))
            .with_outputs(categories)
            .with_choices(&choices)
    }

    fn epochs(&self) -> Vec<Epoch> {
        vec![
            Epoch::new("fixation", &self.fixation_ms),
            Epoch::new("stimulus", &self.stimulus_ms),
            Epoch::new("response", &self.response_ms),
        ]
    }

    fn check(&self, clock: Clock) -> Result<(), Vec<TaskError>> {
        let (directions, categories) = (self.n_directions, self.n_categories);
        Check::new(clock)
            .epochs(&self.epochs())
            .not_zero("stimulus_ms", &self.stimulus_ms, "it shows the direction")
            .read_at_end("response_ms", &self.response_ms)
            .number("n_categories", categories as f64, 2.0..=180.0)
            .number("n_directions", directions as f64, 2.0..=360.0)
            .require(
                categories == 0 || directions.is_multiple_of(categories),
                || {
                    let rule =
                        format!("{directions} is not a multiple of n_categories = {categories}");
                    TaskError::config("n_directions", rule)
                },
            )
            .number("n_tuned", self.n_tuned as f64, 2.0..=1000.0)
            .catch_fraction(self.catch_fraction)
            .not_negative("input_noise", self.input_noise)
            .finish()
    }

    /// Lists `direction_deg`.
    fn conditions(&self) -> Vec<Condition> {
        let directions: Vec<f64> = (0..self.n_directions)
            .map(|k| (k as f64 + 0.5) * 360.0 / self.n_directions as f64)
            .collect();
        let grid = Condition::grid(&[("direction_deg", &directions)]);
        Condition::with_catch(grid, self.catch_fraction)
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let mut trial = Trial::blank(self, condition, clock, rng);
        let [stimulus, response] = ["stimulus", "response"].map(|name| trial.timeline.steps(name));
        if condition.is_catch() {
            trial.fixate(0..trial.n_steps);
        } else {
            let degrees = condition.value("direction_deg");
            let category = (degrees / 360.0 * self.n_categories as f64) as usize;
            let bump = Ring::gaussian(self.n_tuned).encode(degrees.to_radians());
            trial.add_inputs(stimulus, RING, &bump);
            trial.fixate(0..response.start);
            trial.answer(response, CATEGORIES + category);
        }
        trial.add_input_noise(self.input_noise, rng);
        trial
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctrnn_random::{Key, Stream};

    /// With 4 categories and 8 directions, at 22.5, 67.5, ... degrees, each category has two.
    #[test]
    fn categories_are_equal_parts() {
        let task = MatchToCategory {
            n_categories: 4,
            n_directions: 8,
            ..MatchToCategory::default()
        };
        let category = |condition: &Condition| {
            let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
            let trial = task.sample_trial(condition, Clock::new(20.0).unwrap(), &mut rng);
            trial.correct.unwrap() - CATEGORIES
        };
        let found: Vec<usize> = task.conditions().iter().map(category).collect();
        assert_eq!(found, [0, 0, 1, 1, 2, 2, 3, 3]);
        let uneven = MatchToCategory {
            n_categories: 3,
            ..MatchToCategory::default()
        };
        let errors = uneven.check(Clock::new(20.0).unwrap()).unwrap_err();
        assert_eq!(
            errors[0].to_string(),
            "n_directions: 16 is not a multiple of n_categories = 3"
        );
    }
}
