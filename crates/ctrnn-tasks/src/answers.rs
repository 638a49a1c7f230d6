//! Choices and correct answers inferred from targets alone.

use std::borrow::Borrow;

use crate::{Mask, Target, Trial};

/// Infers from the targets of some trials which outputs are choices, in the form of
/// [`Layout::choices`](crate::Layout::choices):
///
/// * class labels: every output, unless there is only one;
/// * values of several outputs: every output, if the targets are one-hot. This considers the outputs that count in the
///   last
///   time step that counts. One of them has the same high value in every trial and all others have the same low value. A
///   trial in which all are equal has no answer; this value is the same in all such trials and differs from the high one;
/// * values of one output, at the last time step that counts: this output, by its sign, if it is the same number below zero in
///   some trials and the same number above zero in the others; at zero, the trial has no answer;
/// * anything else is a time course: no output.
#[must_use]
pub fn implied_choices(trials: impl IntoIterator<Item = impl Borrow<Trial>>) -> Vec<usize> {
    let mut seen = Levels::default();
    let mut n_outputs = 0;
    for trial in trials {
        let trial = trial.borrow();
        n_outputs = trial.n_outputs;
        if !seen.agree_with(trial) {
            return Vec::new();
        }
    }
    if seen.are_complete(n_outputs) {
        (0..n_outputs).collect()
    } else {
        Vec::new()
    }
}

/// Returns the correct choice of a trial according to its target: as [`Trial::target_choice`], but `None` if several outputs
/// are equally large, because a target of zeros is not an answer, or if only one of several outputs counts.
#[must_use]
pub fn target_answer(trial: &Trial, choices: &[usize]) -> Option<usize> {
    let choice = trial.target_choice(choices)?;
    if let (Target::Values(values), [_, _, ..]) = (&trial.target, choices) {
        let row = &values[trial.last_counted_step()? * trial.n_outputs..];
        let counted = trial.counted_choices(choices);
        let ties = counted.iter().filter(|&&other| row[other] == row[choice]);
        return (counted.len() > 1 && ties.count() == 1).then_some(choice);
    }
    Some(choice)
}

/// The high and low values of one-hot targets.
#[derive(Default)]
struct Levels {
    low: Option<f32>,
    high: Option<f32>,
    /// The value of all outputs in trials without an answer.
    none: Option<f32>,
    are_classes: bool,
}

impl Levels {
    /// Returns true if the target of a trial has the same levels as those of the trials before it.
    fn agree_with(&mut self, trial: &Trial) -> bool {
        if let Target::Classes(_) = trial.target {
            self.are_classes = true;
            return true;
        }
        let row = last_counted_row(trial);
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let least = row.iter().copied().fold(f32::INFINITY, f32::min);
        match row.as_slice() {
            [] => true,
            [y] if trial.n_outputs == 1 => match y {
                0.0 => true,
                y if *y > 0.0 => is_same(&mut self.high, *y),
                y => is_same(&mut self.low, *y),
            },
            _ if largest == least => is_same(&mut self.none, largest),
            row => {
                let is_one_hot = row.iter().filter(|&&y| y == largest).count() == 1
                    && row.iter().all(|&y| y == largest || y == least);
                is_one_hot && is_same(&mut self.low, least) && is_same(&mut self.high, largest)
            }
        }
    }

    fn are_complete(&self, n_outputs: usize) -> bool {
        // Outputs that can all be high at once are not alternatives, but separate answers.
        let are_alternatives = self.none.is_none() || self.none != self.high;
        let has_both = self.low.is_some() && self.high.is_some();
        (self.are_classes && n_outputs > 1) || (has_both && are_alternatives)
    }
}

/// Returns true if a value is the first of its kind or equals the first.
fn is_same(known: &mut Option<f32>, value: f32) -> bool {
    *known.get_or_insert(value) == value
}

/// Returns the targets of the outputs that count in the last time step that counts.
fn last_counted_row(trial: &Trial) -> Vec<f32> {
    let (Target::Values(values), Some(t)) = (&trial.target, trial.last_counted_step()) else {
        return Vec::new();
    };
    let columns = t * trial.n_outputs..(t + 1) * trial.n_outputs;
    let counts = |k: &usize| match &trial.mask {
        Mask::Steps(_) => true,
        Mask::Outputs(mask) => mask[*k] > 0.0,
    };
    columns.filter(counts).map(|k| values[k]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Condition, Layout, TargetKind, Timeline};

    /// Whatever the target is where an output does not count, it is neither right nor a tie.
    #[test]
    fn an_output_that_does_not_count_is_no_answer() {
        for garbage in [99.0, 1.0, 0.0, f32::NAN] {
            let mut trial = trial(&[0.0, 1.0, garbage]);
            trial.mask = Mask::Outputs([1.0, 1.0, 0.0].repeat(2));
            assert_eq!(target_answer(&trial, &[0, 1, 2]), Some(1), "{garbage}");
            let readout = [0.0, 0.0, 0.0, 0.2, 0.6, 5.0];
            assert_eq!(trial.choice(&readout, &[0, 1, 2]), Some(1));
        }
        let mut trial = trial(&[0.0, 1.0, 0.0]);
        trial.mask = Mask::Outputs([0.0, 1.0, 0.0].repeat(2));
        assert_eq!(
            target_answer(&trial, &[0, 1, 2]),
            None,
            "nothing to choose from"
        );
    }

    /// A trial of two time steps whose last target is this.
    fn trial(last: &[f32]) -> Trial {
        let outputs = (0..last.len()).map(|k| k.to_string());
        let layout = Layout::new([], []).with_outputs(outputs);
        let mut timeline = Timeline::default();
        timeline.push("trial", 2);
        let mut trial = Trial::new(&layout, &Condition::new([]), timeline);
        trial.target = Target::Values([vec![7.0; last.len()], last.to_vec()].concat());
        trial
    }

    fn implied(targets: &[&[f32]]) -> Vec<usize> {
        implied_choices(targets.iter().map(|last| trial(last)))
    }

    #[test]
    fn one_hot_targets_are_choices() {
        assert_eq!(implied(&[&[0.0, 1.0], &[1.0, 0.0], &[0.0, 0.0]]), [0, 1]);
        assert_eq!(
            implied(&[&[0.05, 0.05, 0.85], &[0.85, 0.05, 0.05]]),
            [0, 1, 2]
        );
        assert_eq!(implied(&[&[0.0, 1.0], &[0.5, 0.5]]), [0, 1]);
        assert_eq!(implied(&[&[-1.0, 1.0], &[1.0, -1.0]]), [0, 1]);
    }

    #[test]
    fn time_courses_are_no_choices() {
        let none = [0; 0];
        assert_eq!(implied(&[&[0.6, 0.8], &[0.8, 0.6], &[1.0, 0.0]]), none);
        assert_eq!(implied(&[&[1.0, 0.0], &[-1.0, 0.0]]), none);
        assert_eq!(implied(&[&[1.0, 1.0, 0.0], &[0.0, 0.0, 1.0]]), none);
        assert_eq!(implied(&[&[0.0, 0.0], &[0.0, 0.0]]), none);
        // Two bits, each with an answer of its own.
        assert_eq!(implied(&[&[0.0, 1.0], &[1.0, 0.0], &[1.0, 1.0]]), none);
        assert_eq!(implied(&[&[-1.0, -1.0], &[1.0, 1.0], &[-1.0, 1.0]]), none);
        assert_eq!(implied(&[]), none);
    }

    #[test]
    fn one_output_of_two_signs_is_a_choice() {
        let none = [0; 0];
        assert_eq!(implied(&[&[1.0], &[-1.0], &[0.0], &[1.0]]), [0]);
        assert_eq!(implied(&[&[1.0], &[0.0]]), none);
        assert_eq!(implied(&[&[1.0], &[-1.0], &[0.5]]), none);
        let (right, left) = (trial(&[1.0]), trial(&[-1.0]));
        assert_eq!(target_answer(&right, &[0]), Some(1));
        assert_eq!(target_answer(&left, &[0]), Some(0));
        assert_eq!(target_answer(&trial(&[0.0]), &[0]), None);
    }

    #[test]
    fn what_does_not_count_decides_nothing() {
        let mut masked = trial(&[9.0, 0.0, 1.0]);
        masked.set_output_mask(1..2, 0, 0.0);
        assert_eq!(
            implied_choices([masked, trial(&[0.0, 1.0, 0.0])]),
            [0, 1, 2]
        );
        let mut earlier = trial(&[0.3, 0.4]);
        earlier.set_mask(1..2, 0.0); // 7 and 7 are left
        assert_eq!(implied_choices([earlier, trial(&[0.0, 1.0])]), [0, 1]);
    }

    /// 9 is no target where the mask is 0: neither the answer, nor one of two that are equally large.
    #[test]
    fn the_answer_is_among_the_outputs_that_count() {
        for garbage in [9.0, 1.0, 0.0] {
            let mut masked = trial(&[garbage, 0.0, 1.0]);
            masked.set_output_mask(0..2, 0, 0.0);
            assert_eq!(target_answer(&masked, &[0, 1, 2]), Some(2));
            masked.set_output_mask(0..2, 1, 0.0);
            assert_eq!(target_answer(&masked, &[0, 1, 2]), None);
        }
    }

    #[test]
    fn labels_are_choices() {
        let layout = Layout {
            target: TargetKind::Classes,
            ..Layout::new([], ["a", "b"])
        };
        let mut timeline = Timeline::default();
        timeline.push("trial", 1);
        let trial = Trial::new(&layout, &Condition::new([]), timeline);
        assert_eq!(implied_choices([&trial]), [0, 1]);
        assert_eq!(target_answer(&trial, &[0, 1]), Some(0));
    }

    #[test]
    fn a_tie_is_no_answer() {
        assert_eq!(target_answer(&trial(&[0.0, 0.0]), &[0, 1]), None);
        assert_eq!(target_answer(&trial(&[0.5, 0.2, 0.5]), &[0, 1]), Some(0));
    }
}
