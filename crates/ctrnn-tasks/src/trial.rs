//! One trial as host arrays.

use std::ops::Range;

use ctrnn_random::Rng;

use crate::{Clock, Condition, Layout, TargetKind, Task, Timeline};

/// How many numbers of noise are drawn together.
const NOISE_AT_ONCE: usize = 1024;

/// What the outputs should be.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// A value for each output, `[time, output]`.
    Values(Vec<f32>),
    /// The output that should be largest, `[time]`.
    Classes(Vec<u32>),
}

/// How much each time step, or each output in it, counts in the loss; 0 = not at all.
#[derive(Clone, Debug, PartialEq)]
pub enum Mask {
    /// `[time]`.
    Steps(Vec<f32>),
    /// `[time, output]`.
    Outputs(Vec<f32>),
}

/// One trial: what the network is shown and what it should answer. Arrays are row-major.
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
    /// Names and values of the trial's condition.
    pub condition: Vec<(String, f64)>,
    /// The output that is the correct choice; where a single output chooses by its sign, 0 for below zero and 1 for above.
    /// `None` if no choice is correct.
    pub correct: Option<usize>,
    /// When the epochs were; empty where that is not known.
    pub timeline: Timeline,
}

impl Trial {
    /// A trial in which nothing happens: inputs and targets 0, every time step counts 1, no choice
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
            condition: condition.values.clone(),
            correct: None,
            timeline,
        }
    }

    /// [`new`](Self::new) with the epochs of `task`, their durations drawn.
    #[must_use]
    pub fn blank<T: Task>(task: &T, condition: &Condition, clock: Clock, rng: &mut Rng) -> Self {
        let timeline = Timeline::draw(&task.epochs(), clock, rng);
        Self::new(&task.layout(), condition, timeline)
    }

    /// Sets an input over some time steps.
    pub fn set_input(&mut self, steps: Range<usize>, input: usize, value: f64) {
        set_column(&mut self.inputs, self.n_inputs, steps, input, value);
    }

    /// Adds a pattern to the inputs from `first` on, at each of some time steps: a bump on a ring, say.
    pub fn add_inputs(&mut self, steps: Range<usize>, first: usize, pattern: &[f64]) {
        add_block(&mut self.inputs, self.n_inputs, steps, first, pattern);
    }

    /// Fixation: input 0 and the target of output 0 are 1 over some time steps.
    pub fn fixate(&mut self, steps: Range<usize>) {
        self.set_input(steps.clone(), 0, 1.0);
        self.set_target(steps, 0, 1.0);
    }

    /// The answer: the target of `choice` is 1 over some time steps, and this choice is correct.
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

    /// Sets how much some time steps count in the loss.
    pub fn set_mask(&mut self, steps: Range<usize>, weight: f64) {
        match &mut self.mask {
            Mask::Steps(mask) => mask[steps].fill(weight as f32),
            Mask::Outputs(mask) => {
                mask[steps.start * self.n_outputs..steps.end * self.n_outputs].fill(weight as f32);
            }
        }
    }

    /// Sets how much one output counts in the loss over some time steps; from now on the mask is one
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

    /// The value of this name of the trial's condition.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<f64> {
        let mut values = self.condition.iter();
        values.find(|(key, _)| key == name).map(|&(_, value)| value)
    }

    /// The last time step that counts: where the choice is read.
    #[must_use]
    pub fn last_counted_step(&self) -> Option<usize> {
        let counts = |weights: &[f32]| weights.iter().any(|&weight| weight > 0.0);
        match &self.mask {
            Mask::Steps(mask) => mask.iter().rposition(|&weight| weight > 0.0),
            Mask::Outputs(mask) => mask.chunks_exact(self.n_outputs).rposition(counts),
        }
    }

    /// The choice that a readout `[T, O]` makes at the last time step that counts: the output among `choices` that is largest,
    /// of equal ones the first; of a single output its sign, 0 for below zero and 1 for above. None where the readout is NaN,
    /// and at zero where the sign decides. Of several outputs only those that count there are compared, if any of them does.
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

    /// The outputs among `choices` that count at the last time step at which anything counts.
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

    /// The first of some time steps at which an output among `choices` of a readout `[T, O]` exceeds
    /// the threshold, and that output (the largest, if several do): the decision and its time.
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

    /// The choice that the target makes, read as [`choice`](Self::choice) reads the readout; none where no choice counts.
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

/// Returns 0 below zero and 1 above; none at zero and for NaN.
fn sign(value: f32) -> Option<usize> {
    (value != 0.0 && !value.is_nan()).then_some(usize::from(value > 0.0))
}

/// The output among `choices` that is largest: of equal ones the first; none where they are NaN.
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
