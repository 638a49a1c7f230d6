//! Trials as arrays: their lengths, epochs, conditions and answers, the same in every file.

use std::collections::BTreeMap;

use ctrnn_files::Array;
use ctrnn_model::UnitGroup;
use ctrnn_tasks::{Layout, Task, Timeline, Trial, TrialBatch};

use crate::ArrayDoc;

/// Documentation of the arrays of [`TrialRecord`] and [`channel_arrays`].
pub const TRIAL_ARRAYS: &[ArrayDoc] = &[
    ArrayDoc {
        name: "n_steps",
        shape: "[trial]",
        unit: "time steps",
        meaning: "length of each trial",
    },
    ArrayDoc {
        name: "cond_{}",
        shape: "[trial]",
        unit: "",
        meaning: "value of a condition in each trial",
    },
    ArrayDoc {
        name: "epoch_names",
        shape: "[epoch]",
        unit: "",
        meaning: "names of the epochs; an epoch that a trial has twice is there twice",
    },
    ArrayDoc {
        name: "epoch_steps",
        shape: "[trial, epoch, 2]",
        unit: "time steps",
        meaning: "first time step of each epoch, and the one after its last; -1 in a trial without it",
    },
    ArrayDoc {
        name: "choice_names",
        shape: "[choice]",
        unit: "",
        meaning: "names of the choices",
    },
    ArrayDoc {
        name: "choice",
        shape: "[trial]",
        unit: "",
        meaning: "choice of the network, as an index of choice_names; -1 if there is none",
    },
    ArrayDoc {
        name: "correct_choice",
        shape: "[trial]",
        unit: "",
        meaning: "correct choice, as an index of choice_names; -1 if there is none",
    },
    ArrayDoc {
        name: "correct",
        shape: "[trial]",
        unit: "",
        meaning: "1 for a correct choice, 0 for a wrong one, NaN in a trial without a correct answer",
    },
    ArrayDoc {
        name: "t_ms",
        shape: "[time]",
        unit: "ms",
        meaning: "time of each state: index k is the state after time step k, at (k + 1) dt_ms",
    },
    ArrayDoc {
        name: "input_names",
        shape: "[input]",
        unit: "",
        meaning: "names of the inputs",
    },
    ArrayDoc {
        name: "output_names",
        shape: "[output]",
        unit: "",
        meaning: "names of the outputs",
    },
    ArrayDoc {
        name: "unit_names",
        shape: "[unit]",
        unit: "",
        meaning: "names of the units, numbered from 0: e for excitatory, i for inhibitory, u without a type",
    },
    ArrayDoc {
        name: "unit_areas",
        shape: "[unit]",
        unit: "",
        meaning: "area of each unit; missing without model.areas",
    },
    ArrayDoc {
        name: "unit_types",
        shape: "[unit]",
        unit: "",
        meaning: "cell type of each unit, empty without one; missing without model.areas",
    },
];

/// Names of the epochs of trials, in order of appearance: the columns of `epoch_steps`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochNames(Vec<String>);

impl EpochNames {
    /// Adds the epochs of a trial.
    pub fn add(&mut self, timeline: &Timeline) {
        for (name, _) in occurrences(timeline) {
            if !self.0.contains(&name) {
                self.0.push(name);
            }
        }
    }

    /// Returns the names of the epochs and of the choices of a task, as arrays by name.
    pub fn names(&self, task: &dyn Task) -> BTreeMap<String, Array> {
        let layout = task.layout();
        let epochs = Array::texts(self.0.iter().cloned());
        let mut names = BTreeMap::from([("epoch_names".to_owned(), epochs)]);
        let choices = layout.alternatives();
        if !choices.is_empty() {
            let choices = choices.iter().map(|choice| layout.choice_name(*choice));
            names.insert("choice_names".to_owned(), Array::texts(choices));
        }
        names
    }

    /// Returns first and last time steps, `[trial, epoch, 2]`; -1 for an epoch that a trial lacks.
    fn steps(&self, batch: &TrialBatch) -> Array {
        let mut steps = vec![-1; 2 * self.0.len() * batch.n_trials];
        for (b, timeline) in batch.timelines.iter().enumerate() {
            for (name, [start, end]) in occurrences(timeline) {
                let column = self.0.iter().position(|known| *known == name);
                if let Some(column) = column {
                    let at = 2 * (b * self.0.len() + column);
                    steps[at] = start as i64;
                    steps[at + 1] = end as i64;
                }
            }
        }
        Array::i64(&[batch.n_trials, self.0.len(), 2], steps)
    }
}

/// Returns the epochs of a trial that last at least one time step, with the names of their columns.
fn occurrences(timeline: &Timeline) -> Vec<(String, [usize; 2])> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let lasting = timeline
        .epochs
        .iter()
        .filter(|(_, steps)| !steps.is_empty());
    lasting
        .map(|(name, steps)| {
            let count = counts.entry(name).or_default();
            *count += 1;
            (occurrence(name, *count), [steps.start, steps.end])
        })
        .collect()
}

/// Returns the name of an epoch's occurrence in a trial: `pulse`, `pulse 2`, ...
pub(crate) fn occurrence(name: &str, count: usize) -> String {
    match count {
        1 => name.to_owned(),
        _ => format!("{name} {count}"),
    }
}

/// Trials of which arrays are made.
pub struct TrialRecord<'a> {
    /// Task of the trials.
    pub task: &'a dyn Task,
    /// The trials.
    pub batch: &'a TrialBatch,
    /// Names of all epochs.
    pub epochs: &'a EpochNames,
}

impl TrialRecord<'_> {
    /// Returns the arrays with a row for each trial; `readout` returns the outputs `[time, output]` of a trial.
    pub fn rows(&self, readout: impl Fn(usize) -> Vec<f32>) -> BTreeMap<String, Array> {
        let trials: Vec<(Trial, Vec<f32>)> = (0..self.batch.n_trials)
            .map(|b| (self.batch.trial(b), readout(b)))
            .collect();
        let n = [trials.len()];
        let lengths = self.batch.n_steps.iter().map(|&n| n as i64);
        let mut rows: BTreeMap<String, Array> = BTreeMap::from([
            ("n_steps".to_owned(), Array::i64(&n, lengths.collect())),
            ("epoch_steps".to_owned(), self.epochs.steps(self.batch)),
        ]);
        rows.extend(self.choice_rows(&trials));
        let is_correct = trials
            .iter()
            .map(|(trial, y)| self.task.is_correct(trial, y));
        let correct =
            is_correct.map(|right| right.map_or(f32::NAN, |right| f32::from(u8::from(right))));
        rows.insert("correct".to_owned(), Array::f32(&n, correct.collect()));
        for (name, values) in &self.batch.conditions {
            let column = values.iter().map(|&x| x as f32).collect();
            rows.insert(format!("cond_{name}"), Array::f32(&n, column));
        }
        rows
    }

    /// Returns the choices of the network and the correct ones in each trial; nothing in a task without choices.
    fn choice_rows(&self, trials: &[(Trial, Vec<f32>)]) -> Vec<(String, Array)> {
        let layout = self.task.layout();
        let alternatives = layout.alternatives();
        if alternatives.is_empty() {
            return Vec::new();
        }
        let index = |choice: Option<usize>| {
            let place = |choice| alternatives.iter().position(|known| *known == choice);
            choice.and_then(place).map_or(-1, |place| place as i64)
        };
        let made = trials
            .iter()
            .map(|(trial, y)| index(self.task.choice(trial, y)));
        let right = self.batch.correct.iter().map(|choice| index(*choice));
        let n = [trials.len()];
        vec![
            ("choice".to_owned(), Array::i64(&n, made.collect())),
            ("correct_choice".to_owned(), Array::i64(&n, right.collect())),
        ]
    }
}

/// Returns the names of inputs, outputs and units, and the areas and cell types of the units; `signs` are those of the units'
/// outgoing weights under Dale's law, `groups` is empty for a network without areas.
pub fn channel_arrays(
    layout: Layout,
    n_units: usize,
    signs: Option<&[f64]>,
    groups: &[UnitGroup],
) -> BTreeMap<String, Array> {
    let unit = |k: usize| {
        let kind = match signs.map(|signs| signs[k]) {
            Some(sign) if sign > 0.0 => 'e',
            Some(sign) if sign < 0.0 => 'i',
            _ => 'u',
        };
        format!("{kind}{k}")
    };
    let of_groups = |name: &str, text: &dyn Fn(&UnitGroup) -> String| {
        let units = groups.iter();
        let texts = units.flat_map(|group| vec![text(group); group.units.len()]);
        (!groups.is_empty()).then(|| (name.to_owned(), Array::texts(texts)))
    };
    let areas = [
        of_groups("unit_areas", &|group| group.area.clone()),
        of_groups("unit_types", &|group| {
            group.cell_type.clone().unwrap_or_default()
        }),
    ];
    let names = [
        ("input_names".to_owned(), Array::texts(layout.inputs)),
        ("output_names".to_owned(), Array::texts(layout.outputs)),
        (
            "unit_names".to_owned(),
            Array::texts((0..n_units).map(unit)),
        ),
    ];
    names
        .into_iter()
        .chain(areas.into_iter().flatten())
        .collect()
}
