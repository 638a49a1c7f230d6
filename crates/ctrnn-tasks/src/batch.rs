//! Trials of one batch, padded to one length.

use std::borrow::Cow;

use crate::{Condition, Mask, Target, Timeline, Trial};

/// Trials in rows of one length: `B` trials, `T` time steps of the longest, padded with 0 in
/// inputs, targets and mask. Arrays are row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialBatch {
    /// Number of trials B.
    pub n_trials: usize,
    /// Number of time steps T of the longest trial.
    pub max_steps: usize,
    /// Number of inputs I.
    pub n_inputs: usize,
    /// Number of outputs O.
    pub n_outputs: usize,
    /// Inputs, `[B, T, I]`.
    pub inputs: Vec<f32>,
    /// Targets, `[B, T, O]` or `[B, T]`.
    pub target: Target,
    /// Mask, `[B, T]` or `[B, T, O]`.
    pub mask: Mask,
    /// Time steps of each trial, `[B]`.
    pub n_steps: Vec<usize>,
    /// Names of the conditions' values, and the value in each trial, `[B]`.
    pub conditions: Vec<(String, Vec<f64>)>,
    /// The correct choice of each trial, `[B]`.
    pub correct: Vec<Option<usize>>,
    /// The epochs of each trial, `[B]`.
    pub timelines: Vec<Timeline>,
}

impl TrialBatch {
    /// Pads trials to the length of the longest.
    ///
    /// # Panics
    /// If the trials differ in inputs, outputs, kind of target or mask, or names of conditions, or
    /// if there are none.
    #[must_use]
    pub fn new(trials: &[Trial]) -> Self {
        let longest = trials.iter().map(|trial| trial.n_steps).fold(0, usize::max);
        Self::padded(trials, longest)
    }

    /// Pads trials to a length.
    ///
    /// # Panics
    /// As [`TrialBatch::new`], or if a trial is longer.
    #[must_use]
    pub fn padded(trials: &[Trial], max_steps: usize) -> Self {
        let first = trials.first().expect("a batch has at least one trial");
        for trial in trials {
            assert_same_layout(first, trial);
            let n_steps = trial.n_steps;
            assert!(
                n_steps <= max_steps,
                "a trial of {n_steps} time steps, padded to {max_steps}"
            );
        }
        Self {
            n_trials: trials.len(),
            max_steps,
            n_inputs: first.n_inputs,
            n_outputs: first.n_outputs,
            inputs: pad(
                trials.iter().map(|trial| &trial.inputs[..]),
                max_steps * first.n_inputs,
            ),
            target: pad_targets(trials, max_steps),
            mask: pad_masks(trials, max_steps),
            n_steps: trials.iter().map(|trial| trial.n_steps).collect(),
            conditions: columns(trials),
            correct: trials.iter().map(|trial| trial.correct).collect(),
            timelines: trials.iter().map(|trial| trial.timeline.clone()).collect(),
        }
    }

    /// What each output should be, `[B, T, O]`: the target values, or a one-hot row for each class label.
    #[must_use]
    pub fn target_rows(&self) -> Cow<'_, [f32]> {
        let classes = match &self.target {
            Target::Values(values) => return Cow::Borrowed(values),
            Target::Classes(classes) => classes,
        };
        let mut rows = vec![0.0; classes.len() * self.n_outputs];
        for (row, &class) in rows.chunks_exact_mut(self.n_outputs).zip(classes) {
            row[class as usize] = 1.0;
        }
        Cow::Owned(rows)
    }

    /// The number of each trial's condition among `conditions`; nothing if one has a condition that is not among them.
    #[must_use]
    pub fn condition_numbers(&self, conditions: &[Condition]) -> Option<Vec<usize>> {
        let is_of = |b: usize, condition: &Condition| {
            let mut values = condition.values.iter().zip(&self.conditions);
            condition.values.len() == self.conditions.len()
                && values.all(|((name, value), (column, all))| name == column && *value == all[b])
        };
        let number = |b| conditions.iter().position(|condition| is_of(b, condition));
        (0..self.n_trials).map(number).collect()
    }

    /// The trial `b` alone, without padding.
    ///
    /// # Panics
    /// If there is no trial `b`.
    #[must_use]
    pub fn trial(&self, b: usize) -> Trial {
        let value = |(name, column): &(String, Vec<f64>)| (name.clone(), column[b]);
        Trial {
            n_steps: self.n_steps[b],
            n_inputs: self.n_inputs,
            n_outputs: self.n_outputs,
            inputs: self.rows(&self.inputs, b, self.n_inputs).to_vec(),
            target: match &self.target {
                Target::Values(all) => Target::Values(self.rows(all, b, self.n_outputs).to_vec()),
                Target::Classes(all) => Target::Classes(self.rows(all, b, 1).to_vec()),
            },
            mask: match &self.mask {
                Mask::Steps(all) => Mask::Steps(self.rows(all, b, 1).to_vec()),
                Mask::Outputs(all) => Mask::Outputs(self.rows(all, b, self.n_outputs).to_vec()),
            },
            condition: self.conditions.iter().map(value).collect(),
            correct: self.correct[b],
            timeline: self.timelines[b].clone(),
        }
    }

    /// The rows of trial `b` in an array `[B, T, width]`, without padding: `[n_steps, width]`.
    ///
    /// # Panics
    /// If there is no trial `b` or the array is too short.
    #[must_use]
    pub fn rows<'a, T>(&self, array: &'a [T], b: usize, width: usize) -> &'a [T] {
        let start = b * self.max_steps * width;
        &array[start..start + self.n_steps[b] * width]
    }
}

fn assert_same_layout(a: &Trial, b: &Trial) {
    let kind = |trial: &Trial| {
        let names: Vec<&str> = trial
            .condition
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        let classes = matches!(trial.target, Target::Classes(_));
        let by_output = matches!(trial.mask, Mask::Outputs(_));
        (
            trial.n_inputs,
            trial.n_outputs,
            classes,
            by_output,
            names.join(" "),
        )
    };
    assert_eq!(
        kind(a),
        kind(b),
        "trials of a batch agree in (inputs, outputs, targets are classes, mask is by output, conditions)"
    );
}

fn pad_targets(trials: &[Trial], max_steps: usize) -> Target {
    let values = trials.iter().filter_map(|trial| match &trial.target {
        Target::Values(values) => Some(&values[..]),
        Target::Classes(_) => None,
    });
    let classes = trials.iter().filter_map(|trial| match &trial.target {
        Target::Values(_) => None,
        Target::Classes(classes) => Some(&classes[..]),
    });
    match trials[0].target {
        Target::Values(_) => Target::Values(pad(values, max_steps * trials[0].n_outputs)),
        Target::Classes(_) => Target::Classes(pad(classes, max_steps)),
    }
}

fn pad_masks(trials: &[Trial], max_steps: usize) -> Mask {
    let masks = trials.iter().map(|trial| match &trial.mask {
        Mask::Steps(mask) | Mask::Outputs(mask) => &mask[..],
    });
    match trials[0].mask {
        Mask::Steps(_) => Mask::Steps(pad(masks, max_steps)),
        Mask::Outputs(_) => Mask::Outputs(pad(masks, max_steps * trials[0].n_outputs)),
    }
}

/// Rows one after another, each filled up with zeros to `width`.
fn pad<'a, T: Copy + Default + 'a>(rows: impl Iterator<Item = &'a [T]>, width: usize) -> Vec<T> {
    let rows: Vec<&[T]> = rows.collect();
    let mut padded = Vec::with_capacity(rows.len() * width);
    for (b, row) in rows.into_iter().enumerate() {
        padded.extend_from_slice(row);
        padded.resize((b + 1) * width, T::default());
    }
    padded
}

fn columns(trials: &[Trial]) -> Vec<(String, Vec<f64>)> {
    let column = |i: usize| trials.iter().map(|trial| trial.condition[i].1).collect();
    let names = trials[0].condition.iter().map(|(name, _)| name.clone());
    names
        .enumerate()
        .map(|(i, name)| (name, column(i)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Layout, TargetKind};

    fn trial(n_steps: usize, target: TargetKind) -> Trial {
        let layout = Layout {
            target,
            ..Layout::new(["u"], ["a", "b"])
        };
        let mut timeline = Timeline::default();
        timeline.push("stimulus", n_steps);
        let mut trial = Trial::new(&layout, &Condition::new([("n", n_steps as f64)]), timeline);
        trial.set_input(0..n_steps, 0, 1.0);
        trial.correct = Some(n_steps % 2);
        trial
    }

    #[test]
    fn classes_become_one_hot_rows() {
        let layout = Layout {
            target: TargetKind::Classes,
            ..Layout::new([], ["a", "b", "c"])
        };
        let mut timeline = Timeline::default();
        timeline.push("trial", 2);
        let mut trial = Trial::new(&layout, &Condition::new([]), timeline);
        trial.set_class(1..2, 2);
        assert_eq!(
            TrialBatch::new(&[trial]).target_rows()[..],
            [1.0, 0.0, 0.0, 0.0, 0.0, 1.0]
        );
    }

    #[test]
    fn short_trials_are_padded_with_zeros() {
        let [short, long] = [1, 3].map(|n_steps| {
            let mut trial = trial(n_steps, TargetKind::Values);
            trial.set_target(0..n_steps, 1, 2.0);
            trial
        });
        let batch = TrialBatch::new(&[short, long]);
        assert_eq!((batch.n_trials, batch.max_steps), (2, 3));
        assert_eq!(batch.inputs, [1.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
        assert_eq!(batch.mask, Mask::Steps(batch.inputs.clone()));
        let values = [0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 2.0, 0.0, 2.0];
        assert_eq!(batch.target, Target::Values(values.to_vec()));
        assert_eq!(batch.n_steps, [1, 3]);
        assert_eq!(batch.conditions, [("n".to_owned(), vec![1.0, 3.0])]);
    }

    #[test]
    fn a_trial_comes_out_as_it_went_in() {
        for target in [TargetKind::Values, TargetKind::Classes] {
            for by_output in [false, true] {
                let trials = [2, 5, 3].map(|n_steps| {
                    let mut trial = trial(n_steps, target);
                    if by_output {
                        trial.mask = Mask::Outputs((0..2 * n_steps).map(|i| i as f32).collect());
                    }
                    trial
                });
                let batch = TrialBatch::new(&trials);
                for (b, trial) in trials.iter().enumerate() {
                    assert_eq!(batch.trial(b), *trial);
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "trials of a batch agree")]
    fn trials_of_different_kinds_make_no_batch() {
        let _ = TrialBatch::new(&[trial(2, TargetKind::Values), trial(2, TargetKind::Classes)]);
    }

    #[test]
    fn conditions_are_numbered_by_their_values() {
        let trials = [2, 3, 2].map(|n| trial(n, TargetKind::Values));
        let batch = TrialBatch::new(&trials);
        let conditions = [3.0, 2.0].map(|n| Condition::new([("n", n)]));
        assert_eq!(batch.condition_numbers(&conditions), Some(vec![1, 0, 1]));
        assert_eq!(batch.condition_numbers(&conditions[..1]), None);
        let other = [Condition::new([("m", 2.0)]), Condition::new([("m", 3.0)])];
        assert_eq!(batch.condition_numbers(&other), None);
    }
}
