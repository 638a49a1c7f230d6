//! Decisions between two successive stimuli of Yang et al. (2019).

use ctrnn_random::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::decision::two_directions;
use super::evidence::{self, Evidence};
use super::scene::{self, Member, Scene};
use crate::{
    Check, Clock, Condition, Duration, Epoch, Layout, Meaning, Task, TaskError, Timeline, Trial,
};

/// Two stimuli are shown one after the other; the response is towards the stronger one.
///
/// Inputs, outputs, mask, noise and catch trials are those of the task `yang_fdgo`. Epochs: `fixation`, `first`, `gap`,
/// `second`, `delay`, `response`; the fixation input goes off at the response. Directions and strengths are drawn
/// as in the task `yang_dm1`. Conditions: the coherence, positive if the first stimulus is stronger; one for each ring
/// with its own evidence.
///
/// Source: Yang et al. (2019), with the numbers of the authors' code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct YangDelayedDecision {
    /// Duration of fixation before the first stimulus.
    pub fixation_ms: Duration,
    /// Duration of the first stimulus.
    pub first_ms: Duration,
    /// Duration of the gap between the stimuli.
    pub gap_ms: Duration,
    /// Duration of the second stimulus.
    pub second_ms: Duration,
    /// Duration of the delay between the second stimulus and the go cue.
    pub delay_ms: Duration,
    /// Duration of the response, from the go cue on.
    pub response_ms: Duration,
    /// Rings that show the evidence, and the rule for the correct stimulus.
    pub evidence: Evidence,
    /// Coherences: half the differences in strength; each occurs in favour of either stimulus.
    pub coherences: Vec<f64>,
    /// Fraction of catch trials in training.
    pub catch_fraction: f64,
    /// Input noise: the standard deviation per time step is this times sqrt(2 tau / dt), with tau = 100 ms.
    pub sigma_x: f64,
}

impl Default for YangDelayedDecision {
    fn default() -> Self {
        let short = || Duration::Choice(vec![200.0, 400.0, 600.0]);
        Self {
            fixation_ms: short(),
            first_ms: short(),
            gap_ms: Duration::Choice(vec![200.0, 400.0, 800.0, 1600.0]),
            second_ms: short(),
            delay_ms: Duration::Uniform([100.0, 300.0]),
            response_ms: 500.0.into(),
            evidence: Evidence::Ring1,
            coherences: vec![0.08, 0.16, 0.32],
            catch_fraction: 0.0,
            sigma_x: 0.01,
        }
    }
}

pub(super) fn family() -> Vec<Member<YangDelayedDecision>> {
    let names = [
        ("yang_delaydm1", "Dly DM 1"),
        ("yang_delaydm2", "Dly DM 2"),
        ("yang_contextdelaydm1", "Ctx Dly DM 1"),
        ("yang_contextdelaydm2", "Ctx Dly DM 2"),
        ("yang_multidelaydm", "MultSen Dly DM"),
    ];
    evidence::family(names, "two successive stimuli", |evidence| {
        YangDelayedDecision {
            evidence,
            ..YangDelayedDecision::default()
        }
    })
}

impl Task for YangDelayedDecision {
    fn layout(&self) -> Layout {
        scene::layout().clone()
    }

    fn epochs(&self) -> Vec<Epoch> {
        vec![
            Epoch::new("fixation", &self.fixation_ms),
            Epoch::new("first", &self.first_ms),
            Epoch::new("gap", &self.gap_ms),
            Epoch::new("second", &self.second_ms),
            Epoch::new("delay", &self.delay_ms),
            Epoch::new("response", &self.response_ms),
        ]
    }

    fn check(&self, clock: Clock) -> Result<(), Vec<TaskError>> {
        Check::new(clock)
            .epochs(&self.epochs())
            .not_zero("first_ms", &self.first_ms, "it shows a stimulus")
            .not_zero("second_ms", &self.second_ms, "it shows a stimulus")
            .with(scene::too_short("response_ms", &self.response_ms))
            .numbers("coherences", &self.coherences, 1e-6..=1.0)
            .catch_fraction(self.catch_fraction)
            .not_negative("sigma_x", self.sigma_x)
            .finish()
    }

    fn conditions(&self) -> Vec<Condition> {
        let conditions = self.evidence.conditions(&self.coherences);
        Condition::with_catch(conditions, self.catch_fraction)
    }

    fn meaning(&self, condition: &str) -> Meaning {
        evidence::meaning(condition)
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let timeline = Timeline::draw(&self.epochs(), clock, rng);
        let mut scene = Scene::new(condition, timeline, clock);
        if condition.is_catch() {
            return scene.catch(self.sigma_x, rng);
        }
        let response = scene.steps("response");
        let directions = two_directions(rng);
        let strengths = self.evidence.draw(condition, rng);
        scene.fixation_point(0..response.start);
        for (k, epoch) in ["first", "second"].into_iter().enumerate() {
            for (ring, strengths) in strengths.by_ring.iter().enumerate() {
                scene.show(scene.steps(epoch), ring, directions[k], strengths[k]);
            }
        }
        let direction = directions[strengths.stronger];
        scene.respond(response.start, Some(direction), self.sigma_x, rng)
    }

    fn is_correct(&self, trial: &Trial, outputs: &[f32]) -> Option<bool> {
        scene::is_correct(trial, outputs)
    }

    fn correct_rule(&self) -> String {
        scene::correct_rule()
    }

    fn chance(&self) -> Option<f64> {
        Some(scene::chance(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctrnn_random::{Key, Stream};

    /// The rates of a ring add up to the strength times those of a bump: more in the epoch of the stronger stimulus, and 0
    /// between.
    #[test]
    fn stimuli_come_one_after_the_other() {
        let task = YangDelayedDecision {
            sigma_x: 0.0,
            ..YangDelayedDecision::default()
        };
        for coherence in [-0.32, 0.32] {
            let condition = Condition::new([("coh", coherence)]);
            let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
            let trial = task.sample_trial(&condition, Clock::new(20.0).unwrap(), &mut rng);
            let shown = |epoch: &str, first: usize| -> f32 {
                let t = trial.timeline.steps(epoch).start;
                trial.inputs[65 * t + first..65 * t + first + 32]
                    .iter()
                    .sum()
            };
            assert_eq!(shown("first", 1) > shown("second", 1), coherence > 0.0);
            assert!(shown("second", 1) > 1.0);
            assert_eq!(
                (shown("gap", 1), shown("delay", 1), shown("first", 33)),
                (0.0, 0.0, 0.0)
            );
        }
    }

    #[test]
    fn finds_all_errors_at_once() {
        let task = YangDelayedDecision {
            first_ms: 0.0.into(),
            second_ms: 0.0.into(),
            response_ms: 100.0.into(),
            coherences: vec![0.0],
            sigma_x: -1.0,
            ..YangDelayedDecision::default()
        };
        let errors = task.check(Clock::new(20.0).unwrap()).unwrap_err();
        let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "first_ms",
                "second_ms",
                "response_ms",
                "coherences",
                "sigma_x"
            ]
        );
    }
}
