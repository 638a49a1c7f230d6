//! Observer that appends metrics.csv and events.jsonl as a run goes on.

use std::path::Path;

use ctrnn_files::{FileError, LineFile, RunFolder, atomic};
use serde_json::json;

use crate::TrainError;
use crate::divergence::{NotFinite, Rollback};
use crate::observer::{Observer, Snapshot, StepReport, Validation};

/// The columns of metrics.csv; an empty field was not measured.
pub const METRICS_HEADER: &str = "step,wall_s,trials,split,loss,accuracy,grad_norm,lr\n";

/// Writes the log of a run: whole lines only.
pub struct RunLog {
    folder: RunFolder,
    metrics: LineFile,
    events: LineFile,
}

impl RunLog {
    /// Opens the log of a run folder for appending.
    ///
    /// # Errors
    /// If a file cannot be opened.
    pub fn open(folder: &RunFolder) -> Result<Self, TrainError> {
        Ok(Self {
            folder: folder.clone(),
            metrics: LineFile::open(&folder.metrics())?,
            events: LineFile::open(&folder.events())?,
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
        Ok(self.events.append(&detail.to_string())?)
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
            "{},{:.3},{},train,{},{accuracy},{},{}",
            r.step, r.wall_s, r.trials, r.loss, r.grad_norm, r.lr
        );
        Ok(self.metrics.append(&row)?)
    }

    fn evaluated(&mut self, v: &Validation) -> Result<(), TrainError> {
        let accuracy = field(v.report.accuracy);
        let row = format!(
            "{},{:.3},{},val,{},{accuracy},,",
            v.step, v.wall_s, v.trials, v.report.loss
        );
        Ok(self.metrics.append(&row)?)
    }

    fn saved(&mut self, snapshot: &Snapshot) -> Result<(), TrainError> {
        let detail = json!({ "step": snapshot.counters.step, "best": snapshot.is_best });
        self.event("checkpoint", detail)
    }

    /// The rows of steps that will be done again go; the event says that they were there.
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
        let path = self.folder.metrics();
        self.metrics.flush()?;
        cut_metrics(&path, Some(rollback.to_step))?;
        self.metrics = LineFile::open(&path)?;
        Ok(())
    }

    fn troubled(&mut self, error: &FileError) -> Result<(), TrainError> {
        self.event("trouble", json!({ "reason": error.to_string() }))
    }
}

/// Cuts metrics.csv back to the rows of at most `step` steps, from which a resume goes on; to none without a checkpoint.
///
/// # Errors
/// If the file cannot be read or replaced.
pub(crate) fn cut_metrics(path: &Path, step: Option<u64>) -> Result<(), TrainError> {
    let text = std::fs::read_to_string(path).map_err(FileError::io("read", path))?;
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
