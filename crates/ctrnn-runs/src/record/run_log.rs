//! Observer that appends to metrics.csv and events.jsonl during a run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use ctrnn_files::{FileError, LineFile, RunFolder, read_at_most};
use ctrnn_model::{Parameter, Weights};
use ctrnn_train::{
    EvalReport, Monitored, NotFinite, Observer, Rollback, Snapshot, StepReport, TrainError,
    Validation,
};
use jiff::Timestamp;
use serde_json::json;

/// Columns of metrics.csv that not every run has.
#[derive(Clone, Debug, Default)]
pub struct MetricsColumns {
    /// Names of the loss terms; each has a column.
    pub terms: Vec<String>,
    /// Tasks of a mixture; the accuracy of each has a column.
    pub tasks: Vec<String>,
    /// True if the training has stages.
    pub has_stages: bool,
    /// True if there are monitors; each number has a column, and `units.csv` the rates of each unit.
    pub has_monitors: bool,
}

/// Returns the columns of metrics.csv. An empty field means not measured; `noise` is 1 for a pass with noise and 0 for one
/// without.
pub fn metrics_header(columns: &MetricsColumns) -> String {
    let terms = columns.terms.iter().map(|term| format!("loss_{term},"));
    let tasks = columns.tasks.iter().map(|task| format!("accuracy_{task},"));
    let stage = if columns.has_stages { ",stage" } else { "" };
    let of_terms = columns.terms.iter().map(|t| Monitored::grad_norm_column(t));
    let monitors = Monitored::NAMES
        .map(str::to_owned)
        .into_iter()
        .chain(of_terms);
    let monitors = monitors.filter(|_| columns.has_monitors);
    let monitors: String = monitors.map(|name| format!(",{name}")).collect();
    let (terms, tasks) = (terms.collect::<String>(), tasks.collect::<String>());
    format!(
        "step,wall_s,trials,split,loss,{terms}accuracy,{tasks}grad_norm,lr,noise{monitors}{stage}\n"
    )
}

/// Header of `units.csv`: the rates of a unit at a validation.
const UNITS_HEADER: &str = "step,unit,mean,peak\n";

/// Observer that writes the log of a run, in whole lines only.
pub struct RunLog {
    folder: RunFolder,
    metrics: LineFile,
    events: LineFile,
    /// The file `units.csv`, once there are monitors.
    units: Option<LineFile>,
    /// Columns of metrics.csv: those of its header, which an earlier version may have written.
    columns: Vec<String>,
}

impl RunLog {
    /// Opens the log of a run folder for appending. While there are no rows, the header is rewritten to match `columns`.
    ///
    /// # Errors
    /// If a file cannot be opened, or the folder no longer belongs to the run ([`RunFolder::check_held`]).
    pub fn open(folder: &RunFolder, columns: &MetricsColumns) -> Result<Self, TrainError> {
        folder.check_held()?;
        let path = folder.metrics();
        let text = std::fs::read_to_string(&path).map_err(FileError::io("read", &path))?;
        let mut lines = text.lines();
        let header = match (lines.next(), lines.next()) {
            (Some(header), Some(_)) => header.to_owned(),
            _ => {
                let header = metrics_header(columns);
                folder.write(&path, header.as_bytes())?;
                header
            }
        };
        let columns = header.trim_end().split(',').map(str::to_owned);
        let log = Self {
            folder: folder.clone(),
            metrics: LineFile::open(&path)?,
            events: LineFile::open(&folder.events())?,
            units: None,
            columns: columns.collect(),
        };
        folder.check_held()?; // the files that are open are then those of the run
        Ok(log)
    }

    /// Appends an event: an object with its name as `event`, and the fields of `detail`.
    ///
    /// # Errors
    /// If it cannot be written, or the folder no longer belongs to the run.
    pub fn event(&mut self, name: &str, mut detail: serde_json::Value) -> Result<(), TrainError> {
        if let Some(fields) = detail.as_object_mut() {
            fields.insert("event".to_owned(), name.into());
            fields.insert("time".to_owned(), now().into());
        }
        self.folder.check_held()?;
        Ok(self.events.append(&detail.to_string())?)
    }

    /// Appends the rates of each unit to `units.csv`, which is created with the first ones.
    fn units(&mut self, step: u64, monitored: &Monitored) -> Result<(), TrainError> {
        self.folder.check_held()?;
        let path = self.folder.units();
        let file = match self.units.take() {
            Some(file) => file,
            None => {
                if !path.is_file() {
                    self.folder.write(&path, UNITS_HEADER.as_bytes())?;
                }
                LineFile::open(&path)?
            }
        };
        let file = self.units.insert(file);
        let rates = monitored.mean.iter().zip(&monitored.peak);
        for (unit, (mean, peak)) in rates.enumerate() {
            file.append(&format!("{step},{unit},{mean},{peak}"))?;
        }
        Ok(())
    }

    /// Appends a row to metrics.csv, from the value of each column.
    fn row(&mut self, value: impl Fn(&str) -> String) -> Result<(), TrainError> {
        self.folder.check_held()?;
        let row: Vec<String> = self.columns.iter().map(|column| value(column)).collect();
        Ok(self.metrics.append(&row.join(","))?)
    }
}

/// Returns the current time in RFC 3339.
pub fn now() -> String {
    rfc3339(SystemTime::now())
}

/// Formats a time in RFC 3339; times beyond the year 9999 become the last representable moment.
fn rfc3339(time: SystemTime) -> String {
    let limit = if time < UNIX_EPOCH {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    let time = Timestamp::try_from(time).unwrap_or(limit);
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Formats the value of a loss term by its column; empty for any other column.
fn term(terms: &BTreeMap<String, f64>, column: &str) -> String {
    let name = column.strip_prefix("loss_");
    field(name.and_then(|name| terms.get(name)).copied())
}

/// Returns the name of a validation set in the column `split`: `val`, or `val.easy` for `[validate.easy]`.
pub(crate) fn split(set: Option<&str>) -> String {
    set.map_or("val".to_owned(), |set| format!("val.{set}"))
}

fn field(value: Option<f64>) -> String {
    value.map(|x| x.to_string()).unwrap_or_default()
}

impl Observer for RunLog {
    fn stepped(&mut self, r: &StepReport) -> Result<(), TrainError> {
        self.row(|column| match column {
            "step" => r.step.to_string(),
            "wall_s" => format!("{:.3}", r.wall_s),
            "trials" => r.trials.to_string(),
            "split" => "train".to_owned(),
            "loss" => r.loss.to_string(),
            "accuracy" => field(r.accuracy),
            "grad_norm" => r.grad_norm.to_string(),
            "lr" => r.lr.to_string(),
            "noise" => u8::from(r.noise).to_string(),
            "stage" => r.stage.clone().unwrap_or_default(),
            _ => term(&r.terms, column),
        })
    }

    fn evaluated(&mut self, v: &Validation) -> Result<(), TrainError> {
        let EvalReport { terms, tasks, .. } = &v.report;
        let monitored = v.monitored.as_ref();
        if let Some(monitored) = monitored {
            self.units(v.step, monitored)?;
        }
        self.row(|column| match column {
            "step" => v.step.to_string(),
            "wall_s" => format!("{:.3}", v.wall_s),
            "trials" => v.trials.to_string(),
            "split" => split(v.set.as_deref()),
            "loss" => v.report.loss.to_string(),
            "accuracy" => field(v.report.accuracy),
            "noise" => u8::from(v.report.noise).to_string(),
            "stage" => v.stage.clone().unwrap_or_default(),
            _ => match column.strip_prefix("accuracy_") {
                Some(task) => field(tasks.get(task).and_then(|score| score.accuracy)),
                None => match monitored.and_then(|found| found.value(column)) {
                    Some(value) => value.to_string(),
                    None => term(terms, column),
                },
            },
        })
    }

    fn saved(&mut self, snapshot: &Snapshot) -> Result<(), TrainError> {
        let mut detail = json!({ "step": snapshot.counters.step, "best": snapshot.is_best });
        if let Some(tau_ms) = learned_tau_ms(&snapshot.weights) {
            detail["tau_ms"] = tau_ms;
        }
        self.event("checkpoint", detail)
    }

    /// Removes the rows of steps that will be repeated; the event records the rollback.
    fn rolled_back(&mut self, rollback: &Rollback, _: &Snapshot) -> Result<(), TrainError> {
        let NotFinite {
            step,
            what,
            norm_before,
            ..
        } = &rollback.found;
        let detail = json!({
            "step": step,
            "not_finite": what.to_string(),
            "grad_norm_before": norm_before,
            "to_step": rollback.to_step,
            "rollbacks": rollback.count,
            "lr": rollback.lr,
        });
        self.event("rolled_back", detail)?;
        self.metrics.flush()?;
        if let Some(units) = &mut self.units {
            units.flush()?;
        }
        cut_metrics(&self.folder, Some(rollback.to_step))?;
        self.metrics = LineFile::open(&self.folder.metrics())?;
        self.units = None; // opened again, as it is now
        Ok(self.folder.check_held()?)
    }

    fn troubled(&mut self, error: &FileError) -> Result<(), TrainError> {
        self.event("trouble", json!({ "reason": error.to_string() }))
    }
}

/// Returns the range of the learned time constants, if there are any.
fn learned_tau_ms(weights: &Weights) -> Option<serde_json::Value> {
    weights.get(&Parameter::TIME_CONSTANTS.name())?;
    let tau_ms: Vec<f64> = weights.get("tau_ms")?.iter().collect();
    Some(json!({
        "min": tau_ms.iter().copied().fold(f64::INFINITY, f64::min),
        "mean": tau_ms.iter().sum::<f64>() / tau_ms.len() as f64,
        "max": tau_ms.iter().copied().fold(0.0, f64::max),
    }))
}

/// Size limit for reading metrics.csv: 1 GiB, about ten million rows.
pub(crate) const MAX_METRICS_BYTES: u64 = 1 << 30;

/// Truncates metrics.csv and units.csv to the rows of at most `step` steps, from which a resume continues; removes all rows without
/// a checkpoint.
///
/// # Errors
/// If a file cannot be read or replaced.
pub(crate) fn cut_metrics(folder: &RunFolder, step: Option<u64>) -> Result<(), TrainError> {
    cut(folder, folder.metrics(), step)?;
    if folder.units().is_file() {
        cut(folder, folder.units(), step)?;
    }
    Ok(())
}

fn cut(folder: &RunFolder, path: PathBuf, step: Option<u64>) -> Result<(), TrainError> {
    let text = read_at_most(&path, MAX_METRICS_BYTES)?;
    let text = String::from_utf8_lossy(&text); // a damaged row is not kept
    let is_kept = |line: &str| {
        let of = line
            .split(',')
            .next()
            .and_then(|field| field.parse::<u64>().ok());
        line.ends_with('\n') && of.zip(step).is_some_and(|(of, step)| of <= step)
    };
    let mut lines = text.split_inclusive('\n');
    let header = lines.next().unwrap_or_default();
    let rows = lines.filter(|line| is_kept(line));
    let kept: String = std::iter::once(header).chain(rows).collect();
    Ok(folder.write(&path, kept.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_clock_can_be_written() {
        let after = |seconds| {
            UNIX_EPOCH
                .checked_add(Duration::from_secs(seconds))
                .unwrap()
        };
        assert_eq!(rfc3339(after(951_782_400)), "2000-02-29T00:00:00Z");
        let year_10000 = after(253_402_300_800);
        let far = UNIX_EPOCH.checked_add(Duration::from_secs(i64::MAX as u64));
        for time in [Some(year_10000), far].into_iter().flatten() {
            assert_eq!(rfc3339(time), rfc3339(Timestamp::MAX.into()));
        }
        assert!(rfc3339(Timestamp::MAX.into()).starts_with("9999-12-30T"));
        let before = UNIX_EPOCH.checked_sub(Duration::from_secs(1 << 60));
        assert!(before.is_none_or(|time| !rfc3339(time).is_empty()));
    }
}
