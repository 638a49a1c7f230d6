//! Decisions between two simultaneous stimuli of Yang et al. (2019).

use std::f64::consts::{PI, TAU};

use ctrnn_random::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::evidence::{self, Evidence};
use super::scene::{self, Member, Scene};
use crate::{
    Check, Clock, Condition, Duration, Epoch, Layout, Meaning, Task, TaskError, Timeline, Trial,
};

/// Two stimuli are shown at once; the response is towards the stronger one.
///
/// Inputs, outputs, mask, noise and catch trials are those of the task `yang_fdgo`. Epochs: `fixation`, `stimulus`,
/// `response`; the fixation input goes off at the response. The directions of the stimuli are a quarter to
/// three quarters of a circle apart. Their strengths are m + coh and m - coh times the bump, with a mean m drawn from
/// U(0.8, 1.2), separately for rings with independent evidence. If the sum of both rings decides, each stimulus has
/// mean strength s over the rings, and differs by s d between them, with d drawn from U(0.2, 0.8) and
/// either sign. Conditions: the coherence, positive if the first stimulus is stronger; one for each ring with its own
/// evidence.
///
/// Source: Yang et al. (2019), with the numbers of the authors' code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct YangDecision {
    /// Duration of fixation before the stimuli.
    pub fixation_ms: Duration,
    /// Duration of the two stimuli.
    pub stimulus_ms: Duration,
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

impl Default for YangDecision {
    fn default() -> Self {
        Self {
            fixation_ms: Duration::Uniform([100.0, 400.0]),
            stimulus_ms: Duration::Choice(vec![400.0, 800.0, 1600.0]),
            response_ms: 500.0.into(),
            evidence: Evidence::Ring1,
            coherences: vec![0.01, 0.02, 0.04, 0.08],
            catch_fraction: 0.0,
            sigma_x: 0.01,
        }
    }
}

pub(super) fn family() -> Vec<Member<YangDecision>> {
    let names = [
        ("yang_dm1", "DM 1"),
        ("yang_dm2", "DM 2"),
        ("yang_contextdm1", "Ctx DM 1"),
        ("yang_contextdm2", "Ctx DM 2"),
        ("yang_multidm", "MultSen DM"),
    ];
    evidence::family(names, "two stimuli", |evidence| YangDecision {
        evidence,
        ..YangDecision::default()
    })
}

impl Task for YangDecision {
    fn layout(&self) -> Layout {
        scene::layout().clone()
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
            .not_zero("stimulus_ms", &self.stimulus_ms, "it shows the evidence")
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
        let [stimulus, response] = ["stimulus", "response"].map(|name| scene.steps(name));
        let directions = two_directions(rng);
        let strengths = self.evidence.draw(condition, rng);
        scene.fixation_point(0..response.start);
        for (ring, strengths) in strengths.by_ring.iter().enumerate() {
            for (&direction, &strength) in directions.iter().zip(strengths) {
                scene.show(stimulus.clone(), ring, direction, strength);
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

/// Draws a direction, and a second one a quarter to three quarters of a circle further on.
pub(super) fn two_directions(rng: &mut Rng) -> [f64; 2] {
    let first = rng.uniform_in(0.0, TAU);
    [first, first + rng.uniform_in(0.5 * PI, 1.5 * PI)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ring, angular_distance};
    use ctrnn_random::{Key, Stream};

    fn trial(evidence: Evidence, condition: &Condition) -> Trial {
        let task = YangDecision {
            evidence,
            sigma_x: 0.0,
            ..YangDecision::default()
        };
        let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
        task.sample_trial(condition, Clock::new(20.0).unwrap(), &mut rng)
    }

    /// The largest rate of a ring during the stimulus is that of the stronger stimulus, to within a unit.
    #[test]
    fn the_response_is_towards_the_stronger_stimulus() {
        for (evidence, first_input) in [(Evidence::Ring1, 1), (Evidence::Ring2, 33)] {
            for coherence in [-0.3, 0.3] {
                let trial = trial(evidence, &Condition::new([("coh", coherence)]));
                let t = trial.timeline.steps("stimulus").start;
                let shown = &trial.inputs[65 * t..65 * (t + 1)][first_input..first_input + 32];
                let strongest = (0..32)
                    .max_by(|&a, &b| shown[a].total_cmp(&shown[b]))
                    .unwrap();
                let chosen = trial.correct.unwrap() - 1;
                let ring = Ring::gaussian(32);
                let off = angular_distance(ring.preferred(strongest), ring.preferred(chosen));
                assert!(off < 0.2, "{evidence:?} {coherence}");
            }
        }
    }

    #[test]
    fn stimuli_lie_apart() {
        let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
        for _ in 0..100 {
            let [a, b] = two_directions(&mut rng);
            assert!(angular_distance(a, b) >= 0.5 * PI - 1e-9);
        }
    }

    #[test]
    fn finds_all_errors_at_once() {
        let task = YangDecision {
            fixation_ms: 30.0.into(),
            stimulus_ms: 0.0.into(),
            response_ms: 100.0.into(),
            coherences: vec![],
            sigma_x: -1.0,
            ..YangDecision::default()
        };
        let errors = task.check(Clock::new(20.0).unwrap()).unwrap_err();
        let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "fixation_ms",
                "stimulus_ms",
                "response_ms",
                "coherences",
                "sigma_x"
            ]
        );
    }
}
