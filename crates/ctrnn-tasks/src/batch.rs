//! Batches of trials, padded to one length.

use std::borrow::{Borrow, Cow};
use std::collections::HashMap;

use crate::{Condition, Mask, Target, Timeline, Trial, value_bits};

/// A batch of `B` trials of `T` time steps, the length of the longest; shorter trials are padded with 0 in
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
    /// Recorded rates (or spike counts) of K units, `[B, T, K]`; NaN where one is missing. Empty without recordings.
    pub unit_targets: Vec<f32>,
    /// Number of time steps of each trial, `[B]`.
    pub n_steps: Vec<usize>,
    /// Names of the conditions' values, each with its value in every trial, `[B]`.
    pub conditions: Vec<(String, Vec<f64>)>,
    /// The correct choice of each trial, `[B]`.
    pub correct: Vec<Option<usize>>,
    /// The epochs of each trial, `[B]`.
    pub timelines: Vec<Timeline>,
}

impl TrialBatch {
    /// Creates a batch of trials padded to the length of the longest. An iterator of trials is consumed one by one.
    ///
    /// # Panics
    /// If there are no trials, or they differ in inputs, outputs, kind of target or mask, or names of conditions.
    #[must_use]
    pub fn new(trials: impl IntoIterator<Item = impl Borrow<Trial>>) -> Self {
        Self::with_capacity(trials, 0)
    }

    /// Creates a batch of trials padded to the given length.
    ///
    /// # Panics
    /// As [`TrialBatch::new`], or if a trial is longer.
    #[must_use]
    pub fn padded(trials: impl IntoIterator<Item = impl Borrow<Trial>>, max_steps: usize) -> Self {
        let mut batch = Self::unpadded(trials, max_steps);
        let longest = batch.max_steps;
        assert!(
            longest <= max_steps,
            "a trial of {longest} time steps, padded to {max_steps}"
        );
        batch.max_steps = max_steps;
        batch.pad();
        batch
    }

    /// Creates a batch as [`new`](Self::new), with capacity reserved for trials of `longest` time steps, so that
    /// nothing is
    /// reallocated.
    pub(crate) fn with_capacity(
        trials: impl IntoIterator<Item = impl Borrow<Trial>>,
        longest: usize,
    ) -> Self {
        let mut batch = Self::unpadded(trials, longest);
        batch.pad();
        batch
    }

    /// Concatenates the trials, with capacity for `longest` time steps each.
    fn unpadded(trials: impl IntoIterator<Item = impl Borrow<Trial>>, longest: usize) -> Self {
        let mut trials = trials.into_iter();
        let first = trials.next().expect("a batch has at least one trial");
        let steps = longest.max(first.borrow().n_steps);
        let mut batch = Self::empty_like(first.borrow(), 1 + trials.size_hint().0, steps);
        batch.append(first.borrow());
        for trial in trials {
            batch.append(trial.borrow());
        }
        batch
    }

    /// Creates an empty batch with capacity for `n_trials` trials like this one, of `n_steps` time steps each.
    fn empty_like(trial: &Trial, n_trials: usize, n_steps: usize) -> Self {
        let capacity = n_trials * n_steps;
        let names = trial.condition.iter().map(|(name, _)| name.clone());
        Self {
            n_trials: 0,
            max_steps: 0,
            n_inputs: trial.n_inputs,
            n_outputs: trial.n_outputs,
            inputs: Vec::with_capacity(capacity * trial.n_inputs),
            target: match trial.target {
                Target::Values(_) => Target::Values(Vec::with_capacity(capacity * trial.n_outputs)),
                Target::Classes(_) => Target::Classes(Vec::with_capacity(capacity)),
            },
            mask: match trial.mask {
                Mask::Steps(_) => Mask::Steps(Vec::with_capacity(capacity)),
                Mask::Outputs(_) => Mask::Outputs(Vec::with_capacity(capacity * trial.n_outputs)),
            },
            unit_targets: Vec::new(),
            n_steps: Vec::with_capacity(n_trials),
            conditions: names
                .map(|name| (name, Vec::with_capacity(n_trials)))
                .collect(),
            correct: Vec::with_capacity(n_trials),
            timelines: Vec::with_capacity(n_trials),
        }
    }

    /// Appends a trial without padding.
    fn append(&mut self, trial: &Trial) {
        self.assert_same_layout(trial);
        self.inputs.extend_from_slice(&trial.inputs);
        match (&mut self.target, &trial.target) {
            (Target::Values(all), Target::Values(values)) => all.extend_from_slice(values),
            (Target::Classes(all), Target::Classes(classes)) => all.extend_from_slice(classes),
            _ => unreachable!("targets of one kind"),
        }
        match (&mut self.mask, &trial.mask) {
            (Mask::Steps(all), Mask::Steps(mask)) | (Mask::Outputs(all), Mask::Outputs(mask)) => {
                all.extend_from_slice(mask);
            }
            _ => unreachable!("masks of one kind"),
        }
        self.unit_targets.extend_from_slice(&trial.unit_targets);
        for ((_, column), (_, value)) in self.conditions.iter_mut().zip(&trial.condition) {
            column.push(*value);
        }
        self.n_trials += 1;
        self.max_steps = self.max_steps.max(trial.n_steps);
        self.n_steps.push(trial.n_steps);
        self.correct.push(trial.correct);
        self.timelines.push(trial.timeline.clone());
    }

    /// Pads every trial to the length of the longest.
    fn pad(&mut self) {
        let (n_steps, max_steps) = (&self.n_steps, self.max_steps);
        pad(&mut self.inputs, n_steps, max_steps, self.n_inputs);
        let n_rows: usize = n_steps.iter().sum();
        let n_recorded = self.unit_targets.len() / n_rows.max(1);
        pad(&mut self.unit_targets, n_steps, max_steps, n_recorded);
        match &mut self.target {
            Target::Values(values) => pad(values, n_steps, max_steps, self.n_outputs),
            Target::Classes(classes) => pad(classes, n_steps, max_steps, 1),
        }
        match &mut self.mask {
            Mask::Steps(mask) => pad(mask, n_steps, max_steps, 1),
            Mask::Outputs(mask) => pad(mask, n_steps, max_steps, self.n_outputs),
        }
    }

    fn assert_same_layout(&self, trial: &Trial) {
        let kind = |target: &Target, mask: &Mask| {
            let classes = matches!(target, Target::Classes(_));
            (classes, matches!(mask, Mask::Outputs(_)))
        };
        let names = self.conditions.iter().map(|(name, _)| name);
        let own_names = trial.condition.iter().map(|(name, _)| name);
        let same = (self.n_inputs, self.n_outputs) == (trial.n_inputs, trial.n_outputs)
            && kind(&self.target, &self.mask) == kind(&trial.target, &trial.mask)
            && names.clone().eq(own_names.clone())
            && self.unit_targets.is_empty()
                == (self.n_trials == 0 || trial.unit_targets.is_empty());
        assert!(
            same,
            "trials of a batch should agree in inputs, outputs, whether targets are classes, whether the mask is by output, and \
             names of conditions: {:?} and {:?}",
            (
                self.n_inputs,
                self.n_outputs,
                kind(&self.target, &self.mask),
                names.collect::<Vec<_>>()
            ),
            (
                trial.n_inputs,
                trial.n_outputs,
                kind(&trial.target, &trial.mask),
                own_names.collect::<Vec<_>>()
            ),
        );
    }

    /// Returns the number K of recorded units; 0 without recordings.
    #[must_use]
    pub fn n_recorded(&self) -> usize {
        self.unit_targets.len() / (self.n_trials * self.max_steps).max(1)
    }

    /// Returns some of the trials as a batch, in the given order.
    ///
    /// # Panics
    /// If no trial is selected or one does not exist.
    #[must_use]
    pub fn select(&self, trials: &[usize]) -> Self {
        Self::new(trials.iter().map(|&b| self.trial(b)))
    }

    /// Returns the target of each output, `[B, T, O]`: the target values, or a one-hot row for each class label.
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

    /// Returns the index of each trial's condition in `conditions`.
    ///
    /// # Errors
    /// The first trial whose condition is not among them.
    pub fn condition_numbers(&self, conditions: &[Condition]) -> Result<Vec<usize>, usize> {
        let names = || self.conditions.iter().map(|(name, _)| name);
        let mut numbers = HashMap::new();
        for (number, Condition { values, .. }) in conditions.iter().enumerate() {
            if values.iter().map(|(name, _)| name).eq(names()) {
                let key: Vec<u64> = values.iter().map(|(_, x)| value_bits(*x)).collect();
                numbers.entry(key).or_insert(number);
            }
        }
        let columns = &self.conditions;
        let key = |b: usize| columns.iter().map(|(_, all)| value_bits(all[b])).collect();
        let number = |b| numbers.get::<Vec<u64>>(&key(b)).copied().ok_or(b);
        (0..self.n_trials).map(number).collect()
    }

    /// Returns trial `b` without padding.
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
            unit_targets: self.rows(&self.unit_targets, b, self.n_recorded()).to_vec(),
            condition: self.conditions.iter().map(value).collect(),
            correct: self.correct[b],
            timeline: self.timelines[b].clone(),
        }
    }

    /// Returns the rows of trial `b` in an array `[B, T, width]`, without padding: `[n_steps, width]`.
    ///
    /// # Panics
    /// If there is no trial `b` or the array is too short.
    #[must_use]
    pub fn rows<'a, T>(&self, array: &'a [T], b: usize, width: usize) -> &'a [T] {
        let start = b * self.max_steps * width;
        &array[start..start + self.n_steps[b] * width]
    }
}

/// Pads each trial in place with zeros to `max_steps` rows.
fn pad<T: Copy + Default>(rows: &mut Vec<T>, n_steps: &[usize], max_steps: usize, width: usize) {
    let (mut end, padded) = (rows.len(), n_steps.len() * max_steps * width);
    if end == padded {
        return; // all trials are as long as the longest
    }
    rows.resize(padded, T::default());
    // From the last trial to the first, so that no rows are overwritten before they have moved.
    for (b, n) in n_steps.iter().enumerate().rev() {
        let (start, place) = (end - n * width, b * max_steps * width);
        rows.copy_within(start..end, place);
        rows[place + n * width..place + max_steps * width].fill(T::default());
        end = start;
    }
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
                    trial.unit_targets = (0..3 * n_steps).map(|i| i as f32 + 0.5).collect();
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
    fn some_trials_are_a_batch() {
        let trials = [2, 5, 3].map(|n_steps| trial(n_steps, TargetKind::Values));
        let some = TrialBatch::new(&trials).select(&[2, 0]);
        assert_eq!(some.max_steps, 3);
        assert_eq!(
            [some.trial(0), some.trial(1)],
            [trials[2].clone(), trials[0].clone()]
        );
    }

    #[test]
    #[should_panic(expected = "trials of a batch should agree")]
    fn trials_of_different_kinds_make_no_batch() {
        let _ = TrialBatch::new(&[trial(2, TargetKind::Values), trial(2, TargetKind::Classes)]);
    }

    /// NaN says that a value does not apply, so two of them are alike, as are 0 and -0.
    #[test]
    fn a_value_that_does_not_apply_is_a_value() {
        let [mut a, mut b] = [1, 2].map(|n| trial(n, TargetKind::Values));
        (a.condition[0].1, b.condition[0].1) = (f64::NAN, -0.0);
        let conditions = [0.0, -f64::NAN].map(|n| Condition::new([("n", n)]));
        let batch = TrialBatch::new(&[a, b]);
        assert_eq!(batch.condition_numbers(&conditions), Ok(vec![1, 0]));
    }

    #[test]
    fn conditions_are_numbered_by_their_values() {
        let trials = [2, 3, 2].map(|n| trial(n, TargetKind::Values));
        let batch = TrialBatch::new(&trials);
        let conditions = [3.0, 2.0].map(|n| Condition::new([("n", n)]));
        assert_eq!(batch.condition_numbers(&conditions), Ok(vec![1, 0, 1]));
        assert_eq!(batch.condition_numbers(&conditions[..1]), Err(0));
        let other = [Condition::new([("m", 2.0)]), Condition::new([("m", 3.0)])];
        assert_eq!(batch.condition_numbers(&other), Err(0));
    }
}
