//! Observer that appends metrics.csv and events.jsonl as a run goes on.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use ctrnn_files::{FileError, RunFolder, atomic, open_to_append, read_at_most};
use serde_json::json;

use crate::TrainError;
use crate::observer::{Observer, Snapshot, StepReport, Validation};

/// The columns of metrics.csv; an empty field was not measured.
pub const METRICS_HEADER: &str = "step,wall_s,trials,split,loss,accuracy,grad_norm,lr\n";

/// Writes the log of a run: whole lines only.
pub struct RunLog {
    metrics: Appended,
    events: Appended,
}

/// A file that grows by whole lines.
struct Appended {
    path: PathBuf,
    file: File,
}

impl Appended {
    fn open(path: PathBuf) -> Result<Self, TrainError> {
        let file = open_to_append(&path)?;
        Ok(Self { path, file })
    }

    fn append(&mut self, line: &str) -> Result<(), TrainError> {
        let written = self.file.write_all(line.as_bytes());
        Ok(written.map_err(FileError::io("append to", &self.path))?)
    }
}

impl RunLog {
    /// Opens the log of a run folder for appending.
    ///
    /// # Errors
    /// If a file cannot be opened.
    pub fn open(folder: &RunFolder) -> Result<Self, TrainError> {
        Ok(Self {
            metrics: Appended::open(folder.metrics())?,
            events: Appended::open(folder.events())?,
        })
    }

    /// Appends an event: an object with `event`, its name, and whatever belongs to it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn event(&mut self, name: &str, mut detail: serde_json::Value) -> Result<(), TrainError> {
        if let Some(fields) = detail.as_object_mut() {
            fields.insert("event".to_owned(), name.into());
            fields.insert("time".to_owned(), now().into());
        }
        self.events.append(&format!("{detail}\n"))
    }
}

/// The time now, in RFC 3339.
pub(crate) fn now() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

fn field(value: Option<f64>) -> String {
    value.map(|x| x.to_string()).unwrap_or_default()
}

impl Observer for RunLog {
    fn stepped(&mut self, r: &StepReport) -> Result<(), TrainError> {
        let accuracy = field(r.accuracy);
        let row = format!(
            "{},{:.3},{},train,{},{accuracy},{},{}\n",
            r.step, r.wall_s, r.trials, r.loss, r.grad_norm, r.lr
        );
        self.metrics.append(&row)
    }

    fn evaluated(&mut self, v: &Validation) -> Result<(), TrainError> {
        let accuracy = field(v.report.accuracy);
        let row = format!(
            "{},{:.3},{},val,{},{accuracy},,\n",
            v.step, v.wall_s, v.trials, v.report.loss
        );
        self.metrics.append(&row)
    }

    fn saved(&mut self, snapshot: &Snapshot) -> Result<(), TrainError> {
        let detail = json!({ "step": snapshot.counters.step, "best": snapshot.is_best });
        self.event("checkpoint", detail)
    }
}

/// Longest metrics.csv that is read: 1 GiB, ten million rows.
const MAX_METRICS_BYTES: u64 = 1 << 30;

/// Cuts metrics.csv back to the rows of at most `step` steps, from which a resume goes on; to none without a checkpoint.
///
/// # Errors
/// If the file cannot be read or replaced.
pub(crate) fn cut_metrics(path: &Path, step: Option<u64>) -> Result<(), TrainError> {
    let text = read_at_most(path, MAX_METRICS_BYTES)?;
    let text = String::from_utf8_lossy(&text); // a damaged row is not kept
    let is_kept = |line: &str| {
        let of = line
            .split(',')
            .next()
            .and_then(|field| field.parse::<u64>().ok());
        line.ends_with('\n') && of.zip(step).is_some_and(|(of, step)| of <= step)
    };
    let rows = text
        .split_inclusive('\n')
        .skip(1)
        .filter(|line| is_kept(line));
    let kept: String = std::iter::once(METRICS_HEADER).chain(rows).collect();
    atomic::write(path, kept.as_bytes())?;
    Ok(())
}
