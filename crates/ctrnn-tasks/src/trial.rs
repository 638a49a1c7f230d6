//! A trial as host arrays.

use std::ops::Range;

use ctrnn_random::Rng;

use crate::{Condition, Layout, TargetKind, Timeline};

/// Number of noise values drawn at a time: a buffer that fits on the stack.
const NOISE_AT_ONCE: usize = 1024;

/// The targets of the outputs.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// A value for each output, `[time, output]`.
    Values(Vec<f32>),
    /// The output that should be largest, `[time]`.
    Classes(Vec<u32>),
}

/// The weight in the loss of each time step, or of each output in it; 0 means that it does not count.
#[derive(Clone, Debug, PartialEq)]
pub enum Mask {
    /// A weight for each time step, `[time]`.
    Steps(Vec<f32>),
    /// A weight for each output and time step, `[time, output]`.
    Outputs(Vec<f32>),
}

/// A trial: inputs, targets, mask, condition and correct choice. Arrays are row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Number of time steps T.
    pub n_steps: usize,
    /// Number of inputs I.
    pub n_inputs: usize,
    /// Number of outputs O.
    pub n_outputs: usize,
    /// Inputs, `[T, I]`.
    pub inputs: Vec<f32>,
    /// Targets, `[T, O]` or `[T]`.
    pub target: Target,
    /// Mask, `[T]` or `[T, O]`.
    pub mask: Mask,
    /// Recorded rates (or spike counts) of K units after each time step, `[T, K]`; NaN where one is missing. Empty without recordings.
    pub unit_targets: Vec<f32>,
    /// Names and values of the trial's condition.
    pub condition: Vec<(String, f64)>,
    /// The output that is the correct choice. If the sign of a single output is the choice, 0 for negative and 1 for
    /// positive.
    /// `None` if no choice is correct.
    pub correct: Option<usize>,
    /// Time steps of the epochs; empty if they are not known.
    pub timeline: Timeline,
}

impl Trial {
    /// Creates a trial in which all inputs and targets are 0, every time step has weight 1, and no choice
    /// is correct.
    #[must_use]
    pub fn new(layout: &Layout, condition: &Condition, timeline: Timeline) -> Self {
        let (n_steps, n_outputs) = (timeline.n_steps(), layout.outputs.len());
        Self {
            n_steps,
            n_inputs: layout.inputs.len(),
            n_outputs,
            inputs: vec![0.0; n_steps * layout.inputs.len()],
            target: match layout.target {
                TargetKind::Values => Target::Values(vec![0.0; n_steps * n_outputs]),
                TargetKind::Classes => Target::Classes(vec![0; n_steps]),
            },
            mask: Mask::Steps(vec![1.0; n_steps]),
            unit_targets: Vec::new(),
            condition: condition.values.clone(),
            correct: None,
            timeline,
        }
    }

    /// Sets an input over some time steps.
    pub fn set_input(&mut self, steps: Range<usize>, input: usize, value: f64) {
        set_column(&mut self.inputs, self.n_inputs, steps, input, value);
    }

    /// Adds a pattern to the inputs from `first` on, such as a bump on a ring, at each of some time steps.
    pub fn add_inputs(&mut self, steps: Range<usize>, first: usize, pattern: &[f64]) {
        add_block(&mut self.inputs, self.n_inputs, steps, first, pattern);
    }

    /// Sets fixation: input 0 and the target of output 0 are 1 over some time steps.
    pub fn fixate(&mut self, steps: Range<usize>) {
        self.set_input(steps.clone(), 0, 1.0);
        self.set_target(steps, 0, 1.0);
    }

    /// Sets the correct choice: the target of `choice` is 1 over some time steps.
    pub fn answer(&mut self, steps: Range<usize>, choice: usize) {
        self.set_target(steps, choice, 1.0);
        self.correct = Some(choice);
    }

    /// Adds independent normal noise to every input at every time step.
    pub fn add_input_noise(&mut self, std: f64, rng: &mut Rng) {
        if std == 0.0 {
            return;
        }
        let mut noise = [0.0; NOISE_AT_ONCE];
        for inputs in self.inputs.chunks_mut(NOISE_AT_ONCE) {
            let noise = &mut noise[..inputs.len()];
            rng.fill_normal(noise);
            for (input, noise) in inputs.iter_mut().zip(noise) {
                *input += std as f32 * *noise;
            }
        }
    }

    /// Sets the target of an output over some time steps.
    ///
    /// # Panics
    /// If targets are classes.
    pub fn set_target(&mut self, steps: Range<usize>, output: usize, value: f64) {
        let Target::Values(values) = &mut self.target else {
            panic!("set_target: the targets of this task are classes; use set_class");
        };
        set_column(values, self.n_outputs, steps, output, value);
    }

    /// Adds a pattern to the targets from output `first` on, at each of some time steps.
    ///
    /// # Panics
    /// If targets are classes.
    pub fn add_targets(&mut self, steps: Range<usize>, first: usize, pattern: &[f64]) {
        let Target::Values(values) = &mut self.target else {
            panic!("add_targets: the targets of this task are classes; use set_class");
        };
        add_block(values, self.n_outputs, steps, first, pattern);
    }

    /// Sets the class over some time steps.
    ///
    /// # Panics
    /// If targets are values, or if there is no such output.
    pub fn set_class(&mut self, steps: Range<usize>, output: usize) {
        let Target::Classes(classes) = &mut self.target else {
            panic!("set_class: the targets of this task are values; use set_target");
        };
        assert!(
            output < self.n_outputs,
            "class {output} of {} outputs",
            self.n_outputs
        );
        classes[steps].fill(output as u32);
    }

    /// Sets the weight of some time steps in the loss.
    pub fn set_mask(&mut self, steps: Range<usize>, weight: f64) {
        match &mut self.mask {
            Mask::Steps(mask) => mask[steps].fill(weight as f32),
            Mask::Outputs(mask) => {
                mask[steps.start * self.n_outputs..steps.end * self.n_outputs].fill(weight as f32);
            }
        }
    }

    /// Sets the weight of one output in the loss over some time steps, and turns a mask of time steps into one
    /// of outputs.
    pub fn set_output_mask(&mut self, steps: Range<usize>, output: usize, weight: f64) {
        let width = self.n_outputs;
        if let Mask::Steps(mask) = &self.mask {
            let by_output = mask.iter().flat_map(|&m| std::iter::repeat_n(m, width));
            self.mask = Mask::Outputs(by_output.collect());
        }
        if let Mask::Outputs(mask) = &mut self.mask {
            set_column(mask, width, steps, output, weight);
        }
    }

    /// Returns the value of this name in the trial's condition.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<f64> {
        let mut values = self.condition.iter();
        values.find(|(key, _)| key == name).map(|&(_, value)| value)
    }

    /// Returns the last time step that counts, at which the choice is read.
    #[must_use]
    pub fn last_counted_step(&self) -> Option<usize> {
        match &self.mask {
            Mask::Steps(mask) => mask.iter().rposition(|&weight| weight > 0.0),
            Mask::Outputs(mask) => mask
                .chunks_exact(self.n_outputs)
                .rposition(|weights| weights.iter().any(|&weight| weight > 0.0)),
        }
    }

    /// Returns the choice in a readout `[T, O]` at the last time step that counts: the largest output among `choices`, the
    /// first of equal ones. For a single output it is the sign, 0 for negative and 1 for positive. `None` if the readout is NaN, or if
    /// it is 0 and the sign decides. Of several outputs only those that count at that step are compared, if any of them does.
    #[must_use]
    pub fn choice(&self, readout: &[f32], choices: &[usize]) -> Option<usize> {
        let t = self.last_counted_step()?;
        let outputs = &readout[t * self.n_outputs..(t + 1) * self.n_outputs];
        match (choices, self.counted_choices(choices).as_slice()) {
            ([only], _) => sign(outputs[*only]),
            (_, []) => largest(outputs, choices),
            (_, counted) => largest(outputs, counted),
        }
    }

    /// Returns the outputs among `choices` that count at the last time step at which anything counts.
    pub(crate) fn counted_choices(&self, choices: &[usize]) -> Vec<usize> {
        let Some(t) = self.last_counted_step() else {
            return Vec::new();
        };
        let counts = |choice: usize| match &self.mask {
            Mask::Steps(_) => true,
            Mask::Outputs(mask) => mask[t * self.n_outputs + choice] > 0.0,
        };
        choices.iter().copied().filter(|&k| counts(k)).collect()
    }

    /// Finds the decision in a readout `[T, O]`: the first of some time steps at which an output among `choices` exceeds
    /// the threshold, and that output (the largest, if several do).
    #[must_use]
    pub fn first_crossing(
        &self,
        readout: &[f32],
        steps: Range<usize>,
        choices: &[usize],
        threshold: f64,
    ) -> Option<(usize, usize)> {
        steps.into_iter().find_map(|t| {
            let outputs = &readout[t * self.n_outputs..(t + 1) * self.n_outputs];
            let choice = largest(outputs, choices)?;
            (f64::from(outputs[choice]) > threshold).then_some((t, choice))
        })
    }

    /// Returns the choice in the target, by the rule of [`choice`](Self::choice); `None` if no choice counts.
    #[must_use]
    pub fn target_choice(&self, choices: &[usize]) -> Option<usize> {
        match &self.target {
            Target::Values(_) if self.counted_choices(choices).is_empty() => None,
            Target::Values(values) => self.choice(values, choices),
            Target::Classes(classes) => {
                let class = classes[self.last_counted_step()?] as usize;
                choices.contains(&class).then_some(class)
            }
        }
    }
}

fn set_column(rows: &mut [f32], width: usize, steps: Range<usize>, column: usize, value: f64) {
    assert!(column < width, "column {column} of {width}");
    for row in rows[steps.start * width..steps.end * width].chunks_exact_mut(width) {
        row[column] = value as f32;
    }
}

fn add_block(rows: &mut [f32], width: usize, steps: Range<usize>, first: usize, pattern: &[f64]) {
    let pattern: Vec<f32> = pattern.iter().map(|&value| value as f32).collect();
    let columns = first..first + pattern.len();
    assert!(columns.end <= width, "columns {columns:?} of {width}");
    for row in rows[steps.start * width..steps.end * width].chunks_exact_mut(width) {
        for (value, add) in row[columns.clone()].iter_mut().zip(&pattern) {
            *value += add;
        }
    }
}

/// Returns 0 for a negative value and 1 for a positive one; `None` for 0 and NaN.
fn sign(value: f32) -> Option<usize> {
    (value != 0.0 && !value.is_nan()).then_some(usize::from(value > 0.0))
}

/// Returns the largest output among `choices`, the first of equal ones; `None` if all are NaN.
pub(crate) fn largest(values: &[f32], choices: &[usize]) -> Option<usize> {
    let numbers = choices
        .iter()
        .copied()
        .filter(|&choice| !values[choice].is_nan());
    numbers.reduce(|best, choice| {
        if values[choice] > values[best] {
            choice
        } else {
            best
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(target: TargetKind) -> Trial {
        let layout = Layout {
            target,
            ..Layout::new(["a", "b"], ["fixation", "left", "right"])
        };
        let mut timeline = Timeline::default();
        timeline.push("stimulus", 2);
        timeline.push("response", 2);
        Trial::new(&layout, &Condition::new([]), timeline)
    }

    #[test]
    fn inputs_and_targets_are_row_major() {
        let mut trial = trial(TargetKind::Values);
        trial.set_input(1..3, 1, 0.5);
        assert_eq!(trial.inputs, [0.0, 0.0, 0.0, 0.5, 0.0, 0.5, 0.0, 0.0]);
        trial.set_target(3..4, 2, 1.0);
        let mut expected = [0.0; 12];
        expected[11] = 1.0;
        assert_eq!(trial.target, Target::Values(expected.to_vec()));
    }

    #[test]
    fn the_choice_is_read_at_the_last_step_that_counts() {
        let mut trial = trial(TargetKind::Values);
        let readout = [
            0.0,
            3.0,
            0.0,
            9.0,
            1.0,
            2.0,
            9.0,
            4.0,
            2.0,
            9.0,
            5.0,
            f32::NAN,
        ];
        assert_eq!(trial.choice(&readout, &[1, 2]), Some(1)); // t = 3; NaN is no choice
        trial.set_mask(2..4, 0.0);
        assert_eq!(trial.choice(&readout, &[1, 2]), Some(2)); // t = 1, the fixation output left out
        trial.mask = Mask::Outputs(vec![
            1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
        ]);
        assert_eq!(trial.choice(&readout, &[1, 2]), Some(1)); // t = 0
        trial.set_mask(0..4, 0.0);
        assert_eq!(trial.choice(&readout, &[1, 2]), None);
    }

    #[test]
    fn a_single_output_chooses_by_its_sign() {
        let mut trial = trial(TargetKind::Values);
        let mut choice = |value: f32| {
            trial.target = Target::Values([vec![0.0; 10], vec![value, 9.0]].concat());
            trial.target_choice(&[1])
        };
        assert_eq!([1.0, -0.1].map(&mut choice), [Some(1), Some(0)]);
        assert_eq!([0.0, f32::NAN].map(&mut choice), [None, None]);
    }

    /// Left is 9 where nothing counts, in the target as in the readout.
    #[test]
    fn outputs_that_do_not_count_are_no_choice() {
        let mut trial = trial(TargetKind::Values);
        trial.set_target(0..4, 1, 9.0);
        trial.set_target(0..4, 2, 1.0);
        let Target::Values(readout) = trial.target.clone() else {
            panic!("values");
        };
        assert_eq!(trial.target_choice(&[0, 1, 2]), Some(1));
        trial.set_output_mask(0..4, 1, 0.0);
        assert_eq!(trial.target_choice(&[0, 1, 2]), Some(2));
        assert_eq!(trial.choice(&readout, &[0, 1, 2]), Some(2));
        trial.set_output_mask(0..4, 2, 0.0);
        assert_eq!(trial.target_choice(&[1, 2]), None);
        assert_eq!(trial.target_choice(&[1]), None);
    }

    #[test]
    fn patterns_are_added_to_a_block() {
        let mut trial = trial(TargetKind::Values);
        trial.add_inputs(1..2, 0, &[1.0, 2.0]);
        trial.add_inputs(1..2, 1, &[0.5]);
        assert_eq!(trial.inputs[..6], [0.0, 0.0, 1.0, 2.5, 0.0, 0.0]);
        trial.add_targets(0..1, 1, &[3.0, 4.0]);
        trial.fixate(0..1);
        trial.answer(1..2, 2);
        let mut expected = [0.0; 12];
        expected[..6].copy_from_slice(&[1.0, 3.0, 4.0, 0.0, 0.0, 1.0]);
        assert_eq!(trial.target, Target::Values(expected.to_vec()));
        assert_eq!((trial.inputs[0], trial.correct), (1.0, Some(2)));
    }

    #[test]
    fn one_output_can_count_more() {
        let mut trial = trial(TargetKind::Values);
        trial.set_mask(2..4, 0.0);
        trial.set_output_mask(0..1, 1, 2.0);
        let expected = [1., 2., 1., 1., 1., 1., 0., 0., 0., 0., 0., 0.];
        assert_eq!(trial.mask, Mask::Outputs(expected.to_vec()));
    }

    #[test]
    fn the_first_crossing_decides() {
        let trial = trial(TargetKind::Values);
        let readout = [9., 0., 0., 9., 0.5, 0., 0., 0.6, 0.7, 0., 9., 0.];
        let crossing = |steps, threshold| trial.first_crossing(&readout, steps, &[1, 2], threshold);
        assert_eq!(crossing(0..4, 0.5), Some((2, 2))); // at 0.5 it is not exceeded
        assert_eq!(crossing(0..4, 0.8), Some((3, 1)));
        assert_eq!(crossing(0..3, 0.8), None);
    }

    #[test]
    fn a_class_is_a_choice_only_if_it_is_listed() {
        let mut trial = trial(TargetKind::Classes);
        assert_eq!(trial.target_choice(&[1, 2]), None);
        trial.set_class(2..4, 2);
        assert_eq!(trial.target_choice(&[1, 2]), Some(2));
    }
}
