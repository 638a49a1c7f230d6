//! Pulse accumulation: choose the side with more pulses.

use ctrnn_random::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evidence::signed;
use crate::{Check, Clock, Condition, Duration, Epoch, Layout, Meaning, Task, TaskError, Trial};

/// Inputs and outputs after fixation.
const LEFT: usize = 1;
const RIGHT: usize = 2;

/// Count random pulses on two sides and choose the side that had more.
///
/// During the stimulus each of the inputs `left` and `right` is 1 in a time step with probability rate x dt,
/// else 0. The two rates add up to `total_rate_hz`; the right one is exp(gamma) times the left one. The correct side is
/// the one with more pulses, not the one with the higher rate; if both have equally many, no choice is correct. The
/// fixation input is 1 until the response epoch. The output `fixation` should be 1 until then, and
/// afterwards `left` or `right`; all else 0. In a catch trial only the fixation input is 1, up to the end,
/// and so should be the output `fixation`.
///
/// Source: Brunton, Botvinick & Brody (2013), Poisson clicks. The epochs were chosen for this program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PulseAccumulation {
    /// Logarithms of the ratio of the rates; each occurs with both signs.
    pub gammas: Vec<f64>,
    /// Sum of both rates, in pulses per second.
    pub total_rate_hz: f64,
    /// Duration of fixation before the pulses.
    pub fixation_ms: Duration,
    /// Duration of the pulses.
    pub stimulus_ms: Duration,
    /// Duration of the delay between the pulses and the response.
    pub delay_ms: Duration,
    /// Duration of the response.
    pub response_ms: Duration,
    /// Fraction of catch trials in training.
    pub catch_fraction: f64,
    /// Standard deviation of the noise on every input, per time step.
    pub input_noise: f64,
}

impl Default for PulseAccumulation {
    fn default() -> Self {
        Self {
            gammas: vec![0.5, 1.5, 2.5, 3.5],
            total_rate_hz: 40.0,
            fixation_ms: 100.0.into(),
            stimulus_ms: Duration::Uniform([200.0, 1000.0]),
            delay_ms: 0.0.into(),
            response_ms: 200.0.into(),
            catch_fraction: 0.0,
            input_noise: 0.0,
        }
    }
}

impl PulseAccumulation {
    /// Returns the rates on the left and on the right, in Hz.
    fn rates_hz(&self, gamma: f64) -> [f64; 2] {
        let right = self.total_rate_hz / (1.0 + (-gamma).exp());
        [self.total_rate_hz - right, right]
    }
}

impl Task for PulseAccumulation {
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
        let fastest_hz = 1000.0 / clock.dt_ms();
        Check::new(clock)
            .epochs(&self.epochs())
            .not_zero("stimulus_ms", &self.stimulus_ms, "it shows the pulses")
            .read_at_end("response_ms", &self.response_ms)
            .numbers("gammas", &self.gammas, -20.0..=20.0)
            .require((0.0..=fastest_hz).contains(&self.total_rate_hz), || {
                let rate = self.total_rate_hz;
                let rule = format!(
                    "{rate} is not a number from 0 to {fastest_hz}, one pulse per time step"
                );
                TaskError::config("total_rate_hz", rule)
            })
            .catch_fraction(self.catch_fraction)
            .not_negative("input_noise", self.input_noise)
            .finish()
    }

    /// Lists `gamma`, negative for left.
    fn conditions(&self) -> Vec<Condition> {
        let grid = Condition::grid(&[("gamma", &signed(&self.gammas))]);
        Condition::with_catch(grid, self.catch_fraction)
    }

    fn meaning(&self, condition: &str) -> Meaning {
        match condition {
            "gamma" => Meaning::quantity("log ratio of rates", ""),
            _ => Meaning::of_name(condition),
        }
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let mut trial = Trial::blank(self, condition, clock, rng);
        let [stimulus, response] = ["stimulus", "response"].map(|name| trial.timeline.steps(name));
        if condition.is_catch() {
            trial.fixate(0..trial.n_steps);
        } else {
            let chances = self
                .rates_hz(condition.value("gamma"))
                .map(|rate_hz| rate_hz * clock.dt_ms() / 1000.0);
            let mut counts = [0, 0];
            for t in stimulus {
                for side in 0..2 {
                    if rng.uniform() < chances[side] {
                        trial.set_input(t..t + 1, LEFT + side, 1.0);
                        counts[side] += 1;
                    }
                }
            }
            trial.fixate(0..response.start);
            trial.answer(response, if counts[0] > counts[1] { LEFT } else { RIGHT });
            trial.correct = trial.correct.filter(|_| counts[0] != counts[1]);
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
    fn rates_have_the_sum_and_the_ratio() {
        let [left, right] = PulseAccumulation::default().rates_hz(1.5);
        assert!((left + right - 40.0).abs() < 1e-12);
        assert!((right / left - 1.5f64.exp()).abs() < 1e-12);
    }

    /// The choice follows the pulses that came. 100 trials of 50 steps at 40 x e^0.5 / (1 + e^0.5) = 24.9 Hz:
    /// 2490 pulses on the right, standard deviation sqrt(5000 x 0.498 x 0.502) = 35.
    #[test]
    fn the_side_with_more_pulses_is_correct() {
        let task = PulseAccumulation {
            stimulus_ms: 1000.0.into(),
            ..PulseAccumulation::default()
        };
        let condition = Condition::new([("gamma", 0.5)]);
        let mut total = 0.0;
        for b in 0..100 {
            let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), b, 0);
            let trial = task.sample_trial(&condition, Clock::new(20.0).unwrap(), &mut rng);
            let count = |input: usize| trial.inputs.iter().skip(input).step_by(3).sum::<f32>();
            let (left, right) = (count(LEFT), count(RIGHT));
            let expected = (left != right).then_some(if left > right { LEFT } else { RIGHT });
            assert_eq!(trial.correct, expected, "{left} against {right}");
            total += right;
        }
        assert!((total - 2490.0).abs() < 175.0, "{total}");
    }

    #[test]
    fn a_time_step_holds_one_pulse() {
        let task = PulseAccumulation {
            total_rate_hz: 60.0,
            ..PulseAccumulation::default()
        };
        let errors = task.check(Clock::new(20.0).unwrap()).unwrap_err();
        assert_eq!(
            errors[0].to_string(),
            "total_rate_hz: 60 is not a number from 0 to 50, one pulse per time step"
        );
    }
}
