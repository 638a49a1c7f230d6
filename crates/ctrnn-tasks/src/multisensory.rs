//! Multisensory integration: judge whether the rate of flashes, clicks or both is above a boundary.

use ctrnn_random::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evidence::rising_and_falling;
use crate::{
    Check, Clock, Condition, Cues, Duration, Epoch, Layout, Meaning, Task, TaskError, Trial,
};

/// First of the two inputs of each modality.
const MODALITIES: [usize; 2] = [1, 3];
/// Outputs after fixation.
const LOW: usize = 1;
const HIGH: usize = 2;
/// Range of rates over which the inputs rise and fall.
const RANGE_HZ: [f64; 2] = [9.0, 16.0];

/// Judge whether the rate of flashes, clicks or both is above or below a boundary.
///
/// Each modality has an input that rises with the rate, from 0.4 at 9 Hz to 1.2 at 16 Hz, and one that
/// falls; during the stimulus the inputs of the presented modalities are on. The fixation input is 1
/// until the response epoch. The output `fixation` should be 1 until then, and afterwards `high` or
/// `low`; all else 0. At the boundary no choice is correct. In a catch trial only the fixation input is
/// 1, up to the end, and so should be the output `fixation`.
///
/// Source: Raposo, Kaufman & Churchland (2014); epochs and tuning of Song, Yang & Wang (2016).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Multisensory {
    /// Rates, from 9 to 16 Hz.
    pub rates_hz: Vec<f64>,
    /// Boundary between low and high rates.
    pub boundary_hz: f64,
    /// Duration of fixation before the stimulus.
    pub fixation_ms: Duration,
    /// Duration of the flashes, clicks or both.
    pub stimulus_ms: Duration,
    /// Duration of the response.
    pub response_ms: Duration,
    /// Fraction of catch trials in training.
    pub catch_fraction: f64,
    /// Standard deviation of the noise on every input, per time step.
    pub input_noise: f64,
}

impl Default for Multisensory {
    fn default() -> Self {
        Self {
            rates_hz: (9..=16).map(f64::from).collect(),
            boundary_hz: 12.5,
            fixation_ms: 100.0.into(),
            stimulus_ms: 1000.0.into(),
            response_ms: 300.0.into(),
            catch_fraction: 0.2,
            input_noise: 0.1,
        }
    }
}

impl Task for Multisensory {
    fn layout(&self) -> Layout {
        let inputs = [
            "fixation",
            "visual_rising",
            "visual_falling",
            "auditory_rising",
            "auditory_falling",
        ];
        Layout::new(inputs, ["fixation", "low", "high"]).with_choices(&[LOW, HIGH])
    }

    fn epochs(&self) -> Vec<Epoch> {
        vec![
            Epoch::new("fixation", &self.fixation_ms),
            Epoch::new("stimulus", &self.stimulus_ms),
            Epoch::new("response", &self.response_ms),
        ]
    }

    fn check(&self, clock: Clock) -> Result<(), Vec<TaskError>> {
        let range = RANGE_HZ[0]..=RANGE_HZ[1];
        Check::new(clock)
            .epochs(&self.epochs())
            .not_zero("stimulus_ms", &self.stimulus_ms, "it shows the rate")
            .read_at_end("response_ms", &self.response_ms)
            .numbers("rates_hz", &self.rates_hz, range.clone())
            .number("boundary_hz", self.boundary_hz, range)
            .catch_fraction(self.catch_fraction)
            .not_negative("input_noise", self.input_noise)
            .finish()
    }

    /// Lists `modality` (0 visual, 1 auditory, 2 both) and `rate_hz`.
    fn conditions(&self) -> Vec<Condition> {
        let axes: [(&str, &[f64]); 2] =
            [("modality", &[0.0, 1.0, 2.0]), ("rate_hz", &self.rates_hz)];
        Condition::with_catch(Condition::grid(&axes), self.catch_fraction)
    }

    fn meaning(&self, condition: &str) -> Meaning {
        match condition {
            "modality" => Meaning::names(&["visual", "auditory", "both"]),
            _ => Meaning::of_name(condition),
        }
    }

    fn cues(&self) -> Option<Cues> {
        Some(Cues {
            condition: "modality".to_owned(),
            single: [0.0, 1.0],
            both: 2.0,
        })
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let mut trial = Trial::blank(self, condition, clock, rng);
        let [stimulus, response] = ["stimulus", "response"].map(|name| trial.timeline.steps(name));
        if condition.is_catch() {
            trial.fixate(0..trial.n_steps);
        } else {
            let rate_hz = condition.value("rate_hz");
            let shown = match condition.value("modality") as usize {
                2 => &MODALITIES[..],
                modality => &MODALITIES[modality..=modality],
            };
            for &first in shown {
                let pattern = rising_and_falling(rate_hz, RANGE_HZ);
                trial.add_inputs(stimulus.clone(), first, &pattern);
            }
            trial.fixate(0..response.start);
            trial.answer(
                response,
                if rate_hz > self.boundary_hz {
                    HIGH
                } else {
                    LOW
                },
            );
            trial.correct = trial.correct.filter(|_| rate_hz != self.boundary_hz);
        }
        trial.add_input_noise(self.input_noise, rng);
        trial
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctrnn_random::{Key, Stream};

    /// 16 Hz is the end of the range: the rising input is 1.2, the falling one 0.4.
    #[test]
    fn each_modality_has_its_inputs() {
        let task = Multisensory {
            fixation_ms: 0.0.into(),
            stimulus_ms: 20.0.into(),
            response_ms: 20.0.into(),
            input_noise: 0.0,
            ..Multisensory::default()
        };
        for (modality, expected) in [
            (0.0, [1.0, 1.2, 0.4, 0.0, 0.0]),
            (1.0, [1.0, 0.0, 0.0, 1.2, 0.4]),
            (2.0, [1.0, 1.2, 0.4, 1.2, 0.4]),
        ] {
            let condition = Condition::new([("modality", modality), ("rate_hz", 16.0)]);
            let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
            let trial = task.sample_trial(&condition, Clock::new(20.0).unwrap(), &mut rng);
            let close = |(a, b): (&f32, f64)| (f64::from(*a) - b).abs() < 1e-6;
            assert!(
                trial.inputs[..5].iter().zip(expected).all(close),
                "{:?}",
                trial.inputs
            );
            assert_eq!(trial.correct, Some(HIGH));
        }
    }

    /// 3 modalities of 8 rates and a catch trial.
    #[test]
    fn there_are_25_conditions() {
        assert_eq!(Multisensory::default().conditions().len(), 25);
    }
}
