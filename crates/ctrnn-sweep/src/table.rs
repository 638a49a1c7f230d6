//! Results of a sweep as tables: a row for each trial, and means over seeds.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ctrnn_analysis::population::Spread;
use ctrnn_files::RunFolder;
use serde::Deserialize;

use crate::status::{State, Status};
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
            let results = (status.state == State::Done)
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
    pub fn counts(&self) -> BTreeMap<State, usize> {
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

    /// Returns the table as CSV, with a row for each trial: name, state, keys, metric, numbers, run folder and reason.
    pub fn csv(&self) -> String {
        let columns = self.columns();
        let mut head = vec!["trial".to_owned(), "state".to_owned()];
        head.extend(self.sweep.keys.iter().cloned());
        head.push("metric".to_owned());
        head.extend(columns.iter().cloned());
        head.extend(["run", "reason"].map(str::to_owned));
        let mut text = line(&head);
        for Row {
            trial,
            status,
            results,
        } in &self.rows
        {
            let mut row = vec![trial.name.clone(), status.state.word().to_owned()];
            let value = |key: &String| trial.value(key).unwrap_or_default().to_owned();
            row.extend(self.sweep.keys.iter().map(value));
            let best = results.as_ref().and_then(|results| results.best.as_ref());
            row.push(best.map_or(String::new(), |best| best.metric.clone()));
            let numbers = results.as_ref().map(Results::columns).unwrap_or_default();
            let number = |name: &String| numbers.get(name).map_or(String::new(), f64::to_string);
            row.extend(columns.iter().map(number));
            row.push(self.sweep.run(trial).root().display().to_string());
            row.push(status.reason.clone().unwrap_or_default());
            text += &line(&row);
        }
        text
    }

    /// Returns the trials in groups that differ in their seeds only, in the order of the sweep.
    pub fn groups(&self) -> Vec<Group> {
        let mut order: Vec<Vec<String>> = Vec::new();
        let mut members: BTreeMap<Vec<String>, Vec<&Row>> = BTreeMap::new();
        for row in &self.rows {
            let value = |key: &String| row.trial.value(key).unwrap_or_default().to_owned();
            let values: Vec<String> = self.sweep.group_keys().map(value).collect();
            if !members.contains_key(&values) {
                order.push(values.clone());
            }
            members.entry(values).or_default().push(row);
        }
        let group = |values: Vec<String>| {
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
                values,
            }
        };
        order.into_iter().map(group).collect()
    }

    /// Returns the means over seeds as CSV: keys, numbers of trials, and a column with the mean and one with the standard
    /// deviation of each number.
    pub fn means_csv(&self) -> String {
        let columns = self.columns();
        let keys = self.sweep.group_keys().cloned();
        let mut head: Vec<String> = keys.chain(["done", "trials"].map(str::to_owned)).collect();
        for name in &columns {
            head.extend([format!("{name}_mean"), format!("{name}_sd")]);
        }
        let mut text = line(&head);
        for group in self.groups() {
            let mut row = group.values;
            row.extend([group.n.0.to_string(), group.n.1.to_string()]);
            for name in &columns {
                let number = group.means.get(name);
                row.extend(match number {
                    Some(spread) => [finite(spread.mean), finite(spread.deviation)],
                    None => [String::new(), String::new()],
                });
            }
            text += &line(&row);
        }
        text
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

/// Returns a number as text; nothing if it is not finite, as the deviation of a single trial.
fn finite(number: f64) -> String {
    if number.is_finite() {
        number.to_string()
    } else {
        String::new()
    }
}

/// Returns a line of CSV (RFC 4180). A text that a spreadsheet would take for a formula gets an apostrophe.
fn line(cells: &[String]) -> String {
    let cell = |text: &String| {
        let is_number = text.parse::<f64>().is_ok();
        let is_formula = text.starts_with(['=', '+', '-', '@']) && !is_number;
        let text = if is_formula {
            format!("'{text}")
        } else {
            text.clone()
        };
        if text.contains(['"', ',', '\n', '\r']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text
        }
    };
    cells.iter().map(cell).collect::<Vec<_>>().join(",") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted() {
        let cells = ["a,b", "say \"x\"", "=1+1", "-0.5", ""].map(str::to_owned);
        assert_eq!(line(&cells), "\"a,b\",\"say \"\"x\"\"\",'=1+1,-0.5,\n");
    }
}
