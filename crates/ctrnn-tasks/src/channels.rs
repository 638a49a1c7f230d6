//! The inputs and outputs of one network shared by several tasks.

use std::borrow::Cow;
use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Condition, Layout, Mask, Target, TargetKind, Trial};

/// The way in which tasks use the inputs, or outputs, of one network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Channels {
    /// Channels of the same name are one channel.
    Shared,
    /// Each task has its own channels.
    Separate,
}

/// The inputs and outputs of all tasks together, and the columns of each task among them.
pub(crate) struct Plan {
    pub layout: Layout,
    pub columns: Vec<Columns>,
}

/// The columns of a task's inputs and outputs among those of all tasks.
pub(crate) struct Columns {
    inputs: Vec<usize>,
    outputs: Vec<usize>,
    target: TargetKind,
    /// The task's own output whose sign is the choice, if it has one.
    sign: Option<usize>,
}

impl Plan {
    /// Plans the channels of tasks given by name and layout. Targets are classes only if those of all tasks are.
    pub fn new(tasks: &[(&str, Layout)], inputs: Channels, outputs: Channels) -> Self {
        let (all_inputs, input_columns) = place(tasks, inputs, |layout| &layout.inputs);
        let (all_outputs, output_columns) = place(tasks, outputs, |layout| &layout.outputs);
        let columns: Vec<Columns> = tasks
            .iter()
            .zip(input_columns.into_iter().zip(output_columns))
            .map(|((_, layout), (inputs, outputs))| Columns {
                inputs,
                outputs,
                target: layout.target,
                sign: match layout.choices[..] {
                    [only] => Some(only),
                    _ => None,
                },
            })
            .collect();
        let mut choices: Vec<usize> = tasks
            .iter()
            .zip(&columns)
            .flat_map(|((_, layout), columns)| layout.choices.iter().map(|&k| columns.outputs[k]))
            .collect();
        choices.sort_unstable();
        choices.dedup();
        let mut targets = tasks.iter().map(|(_, layout)| layout.target);
        let target = if targets.all(|target| target == TargetKind::Classes) {
            TargetKind::Classes
        } else {
            TargetKind::Values
        };
        Self {
            layout: Layout {
                inputs: all_inputs,
                outputs: all_outputs,
                target,
                choices,
                recorded: 0, // a mixture has units of no single task
            },
            columns,
        }
    }
}

/// Returns the names of all channels, and the columns of each task among them.
fn place<'a>(
    tasks: &'a [(&str, Layout)],
    channels: Channels,
    names: impl Fn(&'a Layout) -> &'a [String],
) -> (Vec<String>, Vec<Vec<usize>>) {
    let mut all: Vec<String> = Vec::new();
    let mut columns = Vec::new();
    for (task, layout) in tasks {
        let own = names(layout).iter().map(|name| match channels {
            Channels::Shared => name.clone(),
            Channels::Separate => format!("{task} {name}"),
        });
        let mut places = Vec::new();
        for name in own {
            let place = all.iter().position(|known| *known == name);
            places.push(place.unwrap_or(all.len()));
            if place.is_none() {
                all.push(name);
            }
        }
        columns.push(places);
    }
    (all, columns)
}

impl Columns {
    /// Embeds a trial of the task in one of all tasks: other inputs and outputs are 0 and do not count.
    pub fn embed(&self, own: &Trial, layout: &Layout, condition: &Condition) -> Trial {
        let mut trial = Trial::new(layout, condition, own.timeline.clone());
        let (n_inputs, n_outputs) = (trial.n_inputs, trial.n_outputs);
        scatter(
            &own.inputs,
            own.n_inputs,
            &self.inputs,
            &mut trial.inputs,
            n_inputs,
        );
        match (&own.target, &mut trial.target) {
            (Target::Values(from), Target::Values(to)) => {
                scatter(from, own.n_outputs, &self.outputs, to, n_outputs);
            }
            (Target::Classes(from), Target::Values(to)) => {
                for (row, &class) in to.chunks_exact_mut(n_outputs).zip(from) {
                    row[self.outputs[class as usize]] = 1.0;
                }
            }
            (Target::Classes(from), Target::Classes(to)) => {
                for (to, &class) in to.iter_mut().zip(from) {
                    *to = self.outputs[class as usize] as u32;
                }
            }
            (Target::Values(_), Target::Classes(_)) => {
                unreachable!("targets are classes only if those of all tasks are")
            }
        }
        trial.mask = self.embed_mask(own, layout);
        let correct = own.correct;
        trial.correct = correct.map(|choice| self.embed_choice(choice, layout));
        trial
    }

    /// Returns a choice of the task as one of all tasks.
    pub fn embed_choice(&self, choice: usize, layout: &Layout) -> usize {
        match self.sign {
            Some(_) if layout.choices.len() == 1 => choice,
            Some(output) => self.outputs[output],
            None => self.outputs[choice],
        }
    }

    /// Returns a mask of outputs in which those of other tasks do not count; for classes, a mask of time steps.
    fn embed_mask(&self, own: &Trial, layout: &Layout) -> Mask {
        let by_output = match &own.mask {
            Mask::Steps(mask) => Cow::Owned(repeated(mask, own.n_outputs)),
            Mask::Outputs(mask) => Cow::Borrowed(&mask[..]),
        };
        if layout.target == TargetKind::Classes {
            let largest = |row: &[f32]| row.iter().copied().fold(0.0, f32::max);
            return Mask::Steps(by_output.chunks_exact(own.n_outputs).map(largest).collect());
        }
        let width = layout.outputs.len();
        let mut mask = vec![0.0; own.n_steps * width];
        scatter(&by_output, own.n_outputs, &self.outputs, &mut mask, width);
        Mask::Outputs(mask)
    }

    /// Extracts the trial of the task from one of all tasks.
    pub fn extract(&self, trial: &Trial, condition: &Condition) -> Trial {
        let gather = |rows: &[f32]| gather(rows, trial.n_outputs, &self.outputs);
        let place = |column: usize| self.outputs.iter().position(|&k| k == column);
        let class = |row: &[f32]| row.iter().position(|&value| value == 1.0).unwrap_or(0) as u32;
        let target = match (&trial.target, self.target) {
            (Target::Values(values), TargetKind::Values) => Target::Values(gather(values)),
            (Target::Values(values), TargetKind::Classes) => {
                let rows = gather(values);
                Target::Classes(rows.chunks_exact(self.outputs.len()).map(class).collect())
            }
            (Target::Classes(classes), _) => {
                let own = |&k: &u32| place(k as usize).unwrap_or(0) as u32;
                Target::Classes(classes.iter().map(own).collect())
            }
        };
        let own = Trial {
            n_steps: trial.n_steps,
            n_inputs: self.inputs.len(),
            n_outputs: self.outputs.len(),
            inputs: self::gather(&trial.inputs, trial.n_inputs, &self.inputs),
            target,
            mask: match &trial.mask {
                Mask::Steps(mask) => Mask::Steps(mask.clone()),
                Mask::Outputs(mask) => Mask::Outputs(gather(mask)),
            },
            unit_targets: Vec::new(),
            condition: condition.values.clone(),
            correct: trial.correct.and_then(place),
            timeline: trial.timeline.clone(),
        };
        match (self.sign, trial.correct) {
            (Some(output), Some(_)) => Trial {
                correct: own.target_choice(&[output]),
                ..own
            },
            _ => own,
        }
    }

    /// Extracts the outputs of the task from a readout `[T, width]` of all tasks.
    pub fn readout(&self, outputs: &[f32], width: usize) -> Vec<f32> {
        gather(outputs, width, &self.outputs)
    }
}

/// Repeats every number of a row `n` times.
fn repeated(row: &[f32], n: usize) -> Vec<f32> {
    row.iter()
        .flat_map(|&x| std::iter::repeat_n(x, n))
        .collect()
}

/// Copies rows of `from_width` into the columns of wider rows.
fn scatter(from: &[f32], from_width: usize, columns: &[usize], to: &mut [f32], width: usize) {
    if from_width == 0 {
        return;
    }
    let runs = runs(columns);
    let rows = from.chunks_exact(from_width);
    for (from, to) in rows.zip(to.chunks_exact_mut(width)) {
        for (own, place) in &runs {
            to[place.clone()].copy_from_slice(&from[own.clone()]);
        }
    }
}

/// Splits the columns into runs that are adjacent in the wider rows too: each as own columns and their places, so that a
/// run is copied at once.
fn runs(columns: &[usize]) -> Vec<(Range<usize>, Range<usize>)> {
    let mut own = 0;
    columns
        .chunk_by(|a, b| a + 1 == *b)
        .map(|places| {
            own += places.len();
            (own - places.len()..own, places[0]..places[0] + places.len())
        })
        .collect()
}

/// Copies the given columns out of rows of `width`.
fn gather(rows: &[f32], width: usize, columns: &[usize]) -> Vec<f32> {
    if width == 0 {
        return Vec::new();
    }
    let rows = rows.chunks_exact(width);
    rows.flat_map(|row| columns.iter().map(|&column| row[column]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timeline;

    fn layouts() -> [(&'static str, Layout); 2] {
        let first = Layout::new(["fixation", "a"], ["fixation", "x"]);
        let second = Layout::new(["b", "fixation"], ["y", "fixation"]);
        [("first", first), ("second", second)]
    }

    fn trial(layout: &Layout) -> Trial {
        let mut timeline = Timeline::default();
        timeline.push("trial", 2);
        let mut trial = Trial::new(layout, &Condition::new([]), timeline);
        trial.set_input(0..2, 0, 3.0);
        trial.set_input(1..2, 1, 4.0);
        trial.set_mask(0..1, 0.5);
        trial.correct = Some(0);
        trial
    }

    #[test]
    fn names_are_shared_or_not() {
        let shared = Plan::new(&layouts(), Channels::Shared, Channels::Shared);
        assert_eq!(shared.layout.inputs, ["fixation", "a", "b"]);
        assert_eq!(shared.layout.outputs, ["fixation", "x", "y"]);
        assert_eq!(shared.layout.choices, [0, 1, 2]);
        let separate = Plan::new(&layouts(), Channels::Separate, Channels::Shared);
        let names = ["first fixation", "first a", "second b", "second fixation"];
        assert_eq!(separate.layout.inputs, names);
        assert_eq!(separate.layout.outputs, ["fixation", "x", "y"]);
    }

    #[test]
    fn a_trial_is_put_into_its_columns_and_taken_out_again() {
        let layouts = layouts();
        let plan = Plan::new(&layouts, Channels::Shared, Channels::Shared);
        let mut own = trial(&layouts[1].1);
        own.set_target(1..2, 0, 7.0);
        let all = plan.columns[1].embed(&own, &plan.layout, &Condition::new([]));
        assert_eq!(all.inputs, [0.0, 0.0, 3.0, 4.0, 0.0, 3.0]);
        assert_eq!(
            all.target,
            Target::Values(vec![0.0, 0.0, 0.0, 0.0, 0.0, 7.0])
        );
        assert_eq!(all.mask, Mask::Outputs(vec![0.5, 0.0, 0.5, 1.0, 0.0, 1.0]));
        assert_eq!(all.correct, Some(2));
        let back = plan.columns[1].extract(&all, &Condition::new([]));
        assert_eq!(
            (&back.inputs, &back.target, back.correct),
            (&own.inputs, &own.target, own.correct)
        );
        assert_eq!(plan.columns[1].readout(&[1.0, 2.0, 3.0], 3), [3.0, 1.0]);
    }

    #[test]
    fn a_choice_by_sign_stays_one() {
        let sign = Layout::new(["u"], ["y"]).with_choices(&[0]);
        let course = Layout::new(["u"], ["z"]);
        let mut timeline = Timeline::default();
        timeline.push("trial", 2);
        let mut own = Trial::new(&sign, &Condition::new([]), timeline);
        own.set_target(0..2, 0, -1.0);
        own.correct = Some(0);
        let choices = Layout::new(["u"], ["left", "right"]);
        for (other, embedded) in [(course, 0), (choices, 2)] {
            let layouts = [("other", other), ("sign", sign.clone())];
            let plan = Plan::new(&layouts, Channels::Shared, Channels::Shared);
            let all = plan.columns[1].embed(&own, &plan.layout, &Condition::new([]));
            assert_eq!(all.correct, Some(embedded));
            let back = plan.columns[1].extract(&all, &Condition::new([]));
            assert_eq!(back.correct, Some(0));
        }
    }

    #[test]
    fn classes_stay_classes_among_themselves_and_become_values_among_others() {
        let [(first, values), (second, layout)] = layouts();
        let classes = Layout {
            target: TargetKind::Classes,
            ..layout
        };
        let mut own = trial(&classes);
        own.set_class(1..2, 1);
        let mixed = [(first, values), (second, classes.clone())];
        let plan = Plan::new(&mixed, Channels::Shared, Channels::Shared);
        let all = plan.columns[1].embed(&own, &plan.layout, &Condition::new([]));
        assert_eq!(
            all.target,
            Target::Values(vec![0.0, 0.0, 1.0, 1.0, 0.0, 0.0])
        );
        let back = plan.columns[1].extract(&all, &Condition::new([]));
        assert_eq!(back.target, own.target);
        let alone = [(first, classes.clone()), (second, classes)];
        let plan = Plan::new(&alone, Channels::Shared, Channels::Separate);
        let all = plan.columns[1].embed(&own, &plan.layout, &Condition::new([]));
        assert_eq!(all.target, Target::Classes(vec![2, 3]));
        assert_eq!(all.mask, Mask::Steps(vec![0.5, 1.0]));
        assert_eq!(
            plan.columns[1].extract(&all, &Condition::new([])).target,
            own.target
        );
    }
}
