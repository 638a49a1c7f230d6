//! Results of a sweep as tables: a row for each trial, and means over seeds.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ctrnn_analysis::population::Spread;
use ctrnn_files::RunFolder;
use serde::Deserialize;

use crate::columns::{Cells, ColumnTable};
use crate::status::{Status, TrialState};
use crate::sweep::{Sweep, Trial, read_json};

/// Final metrics of a run, its `result.json`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Results {
    /// Number of steps that the run made.
    pub step: u64,
    /// Best validation by `checkpoint.best`.
    pub best: Option<Best>,
    /// Last validation: loss, accuracy, and those of penalties and tasks.
    pub validation: BTreeMap<String, f64>,
    /// Last report of training.
    pub training: BTreeMap<String, f64>,
    /// Last validation on each named set of trials.
    pub validation_sets: BTreeMap<String, BTreeMap<String, f64>>,
}

/// The best validation of a run.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Best {
    /// Metric that decides.
    pub metric: String,
    /// Step of the validation.
    pub step: u64,
    /// Value of the metric.
    pub value: f64,
}

impl Results {
    /// Reads the results of a finished run.
    pub fn of(run: &RunFolder) -> Option<Self> {
        read_json(&run.result())
    }

    /// Returns the numbers by name: `best` (the value of the metric), `best_step`, `steps`, `val_loss`, `val_accuracy`,
    /// `train_loss`, `val_easy_loss` for `[validate.easy]`, and so on.
    fn columns(&self) -> BTreeMap<String, f64> {
        let of = |prefix: &str, numbers: &BTreeMap<String, f64>| {
            let named = numbers
                .iter()
                .map(|(name, value)| (format!("{prefix}_{name}"), *value));
            named
                .filter(|(name, _)| !name.ends_with("_step"))
                .collect::<Vec<_>>()
        };
        let mut columns: BTreeMap<String, f64> = BTreeMap::new();
        columns.extend(of("val", &self.validation));
        columns.extend(of("train", &self.training));
        for (set, numbers) in &self.validation_sets {
            columns.extend(of(&format!("val_{set}"), numbers));
        }
        columns.insert("steps".to_owned(), self.step as f64);
        if let Some(best) = &self.best {
            columns.insert("best_step".to_owned(), best.step as f64);
            columns.insert("best".to_owned(), best.value);
        }
        columns
    }
}

/// A trial with what became of it.
#[derive(Debug)]
pub struct Row<'a> {
    /// The trial.
    pub trial: &'a Trial,
    /// State of its run.
    pub status: Status,
    /// Final metrics, if it is done.
    pub results: Option<Results>,
}

/// Results of a sweep: a row for each trial.
#[derive(Debug)]
pub struct Table<'a> {
    /// The sweep.
    pub sweep: &'a Sweep,
    /// Rows in the order of the trials.
    pub rows: Vec<Row<'a>>,
    /// Metric by which trials are compared, as their results name it.
    pub metric: Option<String>,
}

/// Trials that differ in their seeds only, and their mean.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Values of the keys that vary, without the seed.
    pub values: Vec<String>,
    /// Number of its first trial among the rows of the table.
    pub first: usize,
    /// Number of trials that are done, and of all.
    pub n: (usize, usize),
    /// Mean and standard deviation over seeds by column; a column that some trials lack is over those that have it.
    pub means: BTreeMap<String, Spread>,
}

impl Group {
    /// Returns mean and standard deviation of the metric; NaN if no trial is done.
    pub fn best(&self) -> [f64; 2] {
        let best = self.means.get("best");
        best.map_or([f64::NAN; 2], |best| [best.mean, best.deviation])
    }
}

impl<'a> Table<'a> {
    /// Reads the results of all trials.
    pub fn of(sweep: &'a Sweep) -> Self {
        use rayon::prelude::*;
        let row = |trial: &'a Trial| {
            let run = sweep.run(trial);
            let status = Status::of(&run);
            let results = (status.state == TrialState::Done)
                .then(|| Results::of(&run))
                .flatten();
            Row {
                trial,
                status,
                results,
            }
        };
        let rows: Vec<Row> = sweep.trials.par_iter().map(row).collect();
        let best = rows
            .iter()
            .find_map(|row| row.results.as_ref()?.best.as_ref());
        Self {
            metric: best.map(|best| best.metric.clone()),
            sweep,
            rows,
        }
    }

    /// Returns the numbers of trials in each state.
    pub fn counts(&self) -> BTreeMap<TrialState, usize> {
        let mut counts = BTreeMap::new();
        for row in &self.rows {
            *counts.entry(row.status.state).or_insert(0) += 1;
        }
        counts
    }

    /// Returns the columns of numbers that any trial has; the metric comes first.
    pub fn columns(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for results in self.rows.iter().filter_map(|row| row.results.as_ref()) {
            for name in results.columns().into_keys() {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        let first = ["best", "best_step", "steps", "val_loss", "val_accuracy"];
        let rank = |name: &String| {
            first
                .iter()
                .position(|first| first == name)
                .unwrap_or(first.len())
        };
        names.sort_by(|a, b| (rank(a), a).cmp(&(rank(b), b)));
        names
    }

    /// Returns a row for each trial: name, state, keys, metric, numbers, run folder and reason.
    pub fn trials(&self) -> ColumnTable {
        let texts = |text: &dyn Fn(&Row) -> Option<String>| {
            Cells::Texts(self.rows.iter().map(text).collect())
        };
        let mut table = ColumnTable::default();
        table.put("trial", texts(&|row| Some(row.trial.name.clone())));
        table.put(
            "state",
            texts(&|row| Some(row.status.state.word().to_owned())),
        );
        for key in &self.sweep.keys {
            table.put(key, settings(self.rows.iter(), key));
        }
        let metric = |row: &Row| Some(row.results.as_ref()?.best.as_ref()?.metric.clone());
        table.put("metric", texts(&metric));
        let of = |row: &Row| {
            row.results
                .as_ref()
                .map(Results::columns)
                .unwrap_or_default()
        };
        let numbers: Vec<BTreeMap<String, f64>> = self.rows.iter().map(of).collect();
        for name in self.columns() {
            let column = numbers.iter().map(|numbers| numbers.get(&name).copied());
            table.put(&name, numbers_or_counts(&name, column));
        }
        let run = |row: &Row| self.sweep.run(row.trial).root().display().to_string();
        table.put("run", texts(&|row| Some(run(row))));
        table.put("reason", texts(&|row| row.status.reason.clone()));
        table
    }

    /// Returns the trials in groups that differ in their seeds only, in the order of the sweep.
    pub fn groups(&self) -> Vec<Group> {
        let mut order: Vec<(usize, Vec<String>)> = Vec::new();
        let mut members: BTreeMap<Vec<String>, Vec<&Row>> = BTreeMap::new();
        for (i, row) in self.rows.iter().enumerate() {
            let value = |key: &String| row.trial.value(key).unwrap_or_default().to_owned();
            let values: Vec<String> = self.sweep.group_keys().map(value).collect();
            if !members.contains_key(&values) {
                order.push((i, values.clone()));
            }
            members.entry(values).or_default().push(row);
        }
        let group = |(first, values): (usize, Vec<String>)| {
            let rows = &members[&values];
            let results: Vec<_> = rows
                .iter()
                .filter_map(|row| row.results.as_ref())
                .map(Results::columns)
                .collect();
            let mut numbers: BTreeMap<String, Vec<f64>> = BTreeMap::new();
            for (name, value) in results.iter().flatten() {
                numbers.entry(name.clone()).or_default().push(*value);
            }
            let means = numbers
                .into_iter()
                .map(|(name, values)| (name, Spread::of(values)));
            Group {
                n: (results.len(), rows.len()),
                means: means.collect(),
                first,
                values,
            }
        };
        order.into_iter().map(group).collect()
    }

    /// Returns the means over seeds: keys, numbers of trials, and a column with the mean and one with the standard
    /// deviation of each number.
    pub fn means(&self) -> ColumnTable {
        let groups = self.groups();
        let mut table = ColumnTable::default();
        for key in self.sweep.group_keys() {
            let rows = groups.iter().map(|group| &self.rows[group.first]);
            table.put(key, settings(rows, key));
        }
        let count = |n: fn(&Group) -> usize| {
            Cells::Counts(groups.iter().map(|group| Some(n(group) as u64)).collect())
        };
        table.put("done", count(|group| group.n.0));
        table.put("trials", count(|group| group.n.1));
        for name in self.columns() {
            let column = |part: fn(&Spread) -> f64| {
                // The deviation of a single trial is not a number.
                let number =
                    |group: &Group| group.means.get(&name).map(part).filter(|x| x.is_finite());
                Cells::Numbers(groups.iter().map(number).collect())
            };
            table.put(&format!("{name}_mean"), column(|spread| spread.mean));
            table.put(&format!("{name}_sd"), column(|spread| spread.deviation));
        }
        table
    }

    /// Returns the means over seeds as lines for a terminal.
    pub fn means_text(&self) -> String {
        let keys = self.sweep.group_keys();
        let mut head: Vec<String> = keys
            .map(|key| key.rsplit('.').next().unwrap_or(key).to_owned())
            .collect();
        let metric = self.metric.clone().unwrap_or_else(|| "best".to_owned());
        head.extend(["done".to_owned(), metric, "sd".to_owned()]);
        let mut rows = vec![head];
        for group in self.groups() {
            let mut row = group.values.clone();
            row.push(format!("{}/{}", group.n.0, group.n.1));
            row.extend(group.best().map(|number| {
                if number.is_nan() {
                    "-".to_owned()
                } else {
                    format!("{number:.4}")
                }
            }));
            rows.push(row);
        }
        aligned(&rows)
    }
}

/// Returns the values of a key in trials.
fn settings<'a>(rows: impl Iterator<Item = &'a Row<'a>>, key: &str) -> Cells {
    let value = |row: &Row| row.trial.setting(key).map(str::to_owned);
    Cells::Settings(rows.map(value).collect())
}

/// Returns a column of results: whole numbers where it counts steps or trials.
fn numbers_or_counts(name: &str, column: impl Iterator<Item = Option<f64>>) -> Cells {
    let is_count = matches!(name, "steps" | "best_step") || name.ends_with("_trials");
    if is_count {
        Cells::Counts(column.map(|number| number.map(|n| n as u64)).collect())
    } else {
        Cells::Numbers(column.collect())
    }
}

/// Returns rows with aligned columns.
fn aligned(rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut text = String::new();
    for row in rows {
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(text, "{cell:<width$}  ");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}
