//! Parts that the 20 tasks share: inputs and outputs, a trial under construction, and which trials are correct.

use std::f64::consts::{PI, TAU};
use std::ops::Range;
use std::sync::LazyLock;

use ctrnn_random::Rng;

use crate::{
    Clock, Condition, Duration, Layout, Mask, Ring, Target, TaskError, Timeline, Trial,
    angular_distance,
};

/// Number of units of each ring.
const RING: usize = 32;
/// Fixation input and output; the rings follow.
pub(super) const FIXATION: usize = 0;
/// Target of an output at rest.
const REST: f64 = 0.05;
/// Target of the fixation output during fixation.
const FIXATE: f64 = 0.8;
/// Time constant by which the input noise is scaled.
const TAU_MS: f64 = 100.0;
/// Time at the start of a trial, and after the go cue, that does not count.
const UNCHECKED_MS: f64 = 100.0;
/// Largest error of a correct response, in radians.
const TOLERANCE: f64 = 0.2 * PI;
/// Probability that a standard normal is below 0.5.
const BELOW_HALF: f64 = 0.691_462;

/// A member of a family: its name, its documentation and its defaults.
pub(super) type Member<T> = (&'static str, String, T);

fn ring() -> Ring {
    Ring::gaussian(RING)
}

/// Returns the layout of all 20 tasks, which is built once because every trial needs it.
pub(super) fn layout() -> &'static Layout {
    static LAYOUT: LazyLock<Layout> = LazyLock::new(|| {
        let inputs = ring().names("ring1").chain(ring().names("ring2"));
        let all: Vec<usize> = (0..=RING).collect();
        Layout::new(["fixation"], ["fixation"])
            .with_inputs(inputs)
            .with_outputs(ring().names("response"))
            .with_choices(&all)
    });
    &LAYOUT
}

/// A trial under construction.
pub(super) struct Scene {
    pub trial: Trial,
    pub clock: Clock,
}

impl Scene {
    /// Creates a trial without stimuli, in which all outputs are at rest.
    pub fn new(condition: &Condition, timeline: Timeline, clock: Clock) -> Self {
        let mut trial = Trial::new(layout(), condition, timeline);
        if let Target::Values(values) = &mut trial.target {
            values.fill(REST as f32);
        }
        Self { trial, clock }
    }

    /// Returns the time steps of an epoch.
    pub fn steps(&self, epoch: &str) -> Range<usize> {
        self.trial.timeline.steps(epoch)
    }

    /// Turns on the fixation input.
    pub fn fixation_point(&mut self, steps: Range<usize>) {
        self.trial.set_input(steps, FIXATION, 1.0);
    }

    /// Shows a bump on ring 1 or 2 (index 0 or 1) at an angle.
    pub fn show(&mut self, steps: Range<usize>, ring_index: usize, angle: f64, strength: f64) {
        let mut bump = ring().encode(angle);
        bump.iter_mut().for_each(|rate| *rate *= strength);
        self.trial.add_inputs(steps, 1 + ring_index * RING, &bump);
    }

    /// Completes a catch trial, in which nothing is shown and fixation should be kept to the end.
    pub fn catch(mut self, sigma_x: f64, rng: &mut Rng) -> Trial {
        let end = self.trial.n_steps;
        self.fixation_point(0..end);
        self.respond(end, None, sigma_x, rng)
    }

    /// Completes a trial with fixation up to `go` and then a response in a direction, or with fixation to the end if
    /// there is
    /// none; also sets the mask and the correct choice and adds the noise.
    pub fn respond(
        mut self,
        go: usize,
        direction: Option<f64>,
        sigma_x: f64,
        rng: &mut Rng,
    ) -> Trial {
        let end = self.trial.n_steps;
        let fixation_end = if direction.is_some() { go } else { end };
        self.trial.set_target(0..fixation_end, FIXATION, FIXATE);
        if let Some(angle) = direction {
            self.trial
                .add_targets(go..end, 1, &ring().encode(angle.rem_euclid(TAU)));
        }
        self.trial.mask = mask(end, go, self.clock.nearest(UNCHECKED_MS));
        self.trial.correct = self.trial.target_choice(&layout().choices);
        let per_step = sigma_x * (2.0 * TAU_MS / self.clock.dt_ms()).sqrt();
        self.trial.add_input_noise(per_step, rng);
        self.trial
    }
}

/// Builds the mask: 0 in the first 100 ms, 1 up to the go cue, 0 for 100 ms, then 5; twice that for the fixation output.
fn mask(n_steps: usize, go: usize, unchecked: usize) -> Mask {
    let mut mask = vec![0.0; n_steps * (RING + 1)];
    for (t, row) in mask.chunks_exact_mut(RING + 1).enumerate() {
        let weight = if t >= go + unchecked {
            5.0
        } else if t >= unchecked && t < go {
            1.0
        } else {
            0.0
        };
        row.fill(weight);
        row[FIXATION] = 2.0 * weight;
    }
    Mask::Outputs(mask)
}

/// Returns the error of a response epoch in which nothing would count.
pub(super) fn too_short(key: &str, duration: &Duration) -> Option<TaskError> {
    let message = "its first 100 ms do not count; make it longer";
    (duration.bounds_ms()[0] <= UNCHECKED_MS).then(|| TaskError::config(key, message))
}

/// Returns true if at the last time step fixation is kept, or broken for the correct direction, as required.
pub(super) fn is_correct(trial: &Trial, outputs: &[f32]) -> Option<bool> {
    let Target::Values(target) = &trial.target else {
        return None;
    };
    let readout = &outputs[outputs.len() - trial.n_outputs..];
    let target = &target[target.len() - trial.n_outputs..];
    let fixates = readout[FIXATION] > 0.5;
    if target[FIXATION] > 0.5 {
        return Some(fixates);
    }
    let off = angular_distance(ring().decode(&readout[1..]), ring().decode(&target[1..]));
    Some(!fixates && off < TOLERANCE)
}

/// Describes which trials are correct.
pub(super) fn correct_rule() -> String {
    "At the last time step, a trial in which fixation should be kept is correct if the fixation output is more than \
     0.5; any other trial is correct if it is not, and the population vector of the response ring is less than 0.2 pi off."
        .to_owned()
}

/// Returns the accuracy of a blind readout if a fraction of the trials requires a response: one in five directions is
/// close
/// enough.
pub(super) fn chance(responses: f64) -> f64 {
    responses * BELOW_HALF * 0.2 + (1.0 - responses) * (1.0 - BELOW_HALF)
}

/// Adds the source that every member of the family shares to its summary.
pub(super) fn about(summary: &str) -> String {
    format!("{summary}\n\nOne of the 20 tasks of Yang et al. (2019).")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctrnn_random::{Key, Stream};

    fn rng() -> Rng {
        Rng::new(Key::new(1, Stream::Trials, 0), 0, 0)
    }

    fn scene(n_steps: usize) -> Scene {
        let mut timeline = Timeline::default();
        timeline.push("trial", n_steps);
        Scene::new(&Condition::new([]), timeline, Clock::new(20.0).unwrap())
    }

    /// 20 ms per time step: the first 5 do not count, nor the 5 after the go at 10.
    #[test]
    fn the_mask_is_the_published_one() {
        let trial = scene(20).respond(10, Some(0.0), 0.0, &mut rng());
        let Mask::Outputs(mask) = &trial.mask else {
            panic!("by output");
        };
        for (t, row) in mask.chunks(33).enumerate() {
            let expected = [0.0, 1.0, 0.0, 5.0][t / 5];
            assert_eq!(row[0], 2.0 * expected, "{t}");
            assert!(row[1..].iter().all(|&m| m == expected), "{t}");
        }
    }

    /// The channel one width off the angle answers 0.8 exp(-1/2); the targets have 0.05 more.
    #[test]
    fn targets_are_a_bump_above_rest() {
        let trial = scene(20).respond(10, Some(0.0), 0.0, &mut rng());
        let Target::Values(target) = &trial.target else {
            panic!("values");
        };
        let [before, after] = [5, 15].map(|t| &target[33 * t..33 * (t + 1)]);
        assert_eq!((before[0], before[1]), (0.8, 0.05));
        assert_eq!(after[0], 0.05);
        assert!((after[1] - 0.85).abs() < 1e-6);
        assert!((after[3] - (0.05 + 0.8 * (-0.5f32).exp())).abs() < 1e-6);
        assert_eq!(trial.correct, Some(1));
        let kept = scene(20).respond(10, None, 0.0, &mut rng());
        assert_eq!(kept.correct, Some(FIXATION));
    }

    /// Fixation 0.5 is given up; 35 degrees off is right and 37 are not.
    #[test]
    fn the_last_time_step_decides() {
        let trial = scene(20).respond(10, Some(1.0), 0.0, &mut rng());
        let readout = |fixation: f32, degrees: f64| {
            let mut outputs = vec![0.0; 19 * 33];
            outputs.push(fixation);
            let bump = ring().encode(1.0 + degrees.to_radians());
            outputs.extend(bump.iter().map(|&rate| rate as f32));
            outputs
        };
        let right = |fixation, degrees| is_correct(&trial, &readout(fixation, degrees));
        assert_eq!(right(0.5, 35.0), Some(true));
        assert_eq!(right(0.5, 37.0), Some(false));
        assert_eq!(right(0.51, 0.0), Some(false));
        let kept = scene(20).respond(10, None, 0.0, &mut rng());
        assert_eq!(is_correct(&kept, &readout(0.51, 0.0)), Some(true));
        assert_eq!(is_correct(&kept, &readout(0.5, 0.0)), Some(false));
    }

    /// sigma_x sqrt(2 tau / dt) = 0.01 sqrt(10) = 0.0316; of 65 x 400 draws to within 5 standard errors.
    #[test]
    fn the_input_noise_is_scaled_by_the_time_step() {
        let trial = scene(400).respond(10, None, 0.01, &mut rng());
        let squares: f64 = trial.inputs.iter().map(|&u| f64::from(u).powi(2)).sum();
        let std = (squares / trial.inputs.len() as f64).sqrt();
        assert!((std / 0.001f64.sqrt() - 1.0).abs() < 0.022, "{std}");
    }
}
