//! Observer that appends metrics.csv and events.jsonl as a run goes on.

use std::collections::BTreeMap;
use std::path::Path;

use ctrnn_files::{FileError, LineFile, RunFolder, atomic, read_at_most};
use ctrnn_model::{Parameter, Weights};
use serde_json::json;

use crate::TrainError;
use crate::divergence::{NotFinite, Rollback};
use crate::observer::{Observer, Snapshot, StepReport, Validation};

/// The columns of metrics.csv, with one for each term of the loss; an empty field was not measured.
pub fn metrics_header(terms: &[String]) -> String {
    let terms: String = terms.iter().map(|term| format!("loss_{term},")).collect();
    format!("step,wall_s,trials,split,loss,{terms}accuracy,grad_norm,lr\n")
}

/// Writes the log of a run: whole lines only.
pub struct RunLog {
    folder: RunFolder,
    metrics: LineFile,
    events: LineFile,
    terms: Vec<String>,
}

impl RunLog {
    /// Opens the log of a run folder for appending; `terms` are the names of the terms of the loss. Where there are no rows
    /// yet, the header follows them.
    ///
    /// # Errors
    /// If a file cannot be opened.
    pub fn open(folder: &RunFolder, terms: Vec<String>) -> Result<Self, TrainError> {
        let path = folder.metrics();
        let text = std::fs::read_to_string(&path).map_err(FileError::io("read", &path))?;
        if text.lines().count() <= 1 {
            atomic::write(&path, metrics_header(&terms).as_bytes())?;
        }
        Ok(Self {
            folder: folder.clone(),
            metrics: LineFile::open(&path)?,
            events: LineFile::open(&folder.events())?,
            terms,
        })
    }

    /// The fields of the terms, a comma after each.
    fn fields(&self, values: &BTreeMap<String, f64>) -> String {
        let one = |term: &String| format!("{},", field(values.get(term).copied()));
        self.terms.iter().map(one).collect()
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
        let terms = self.fields(&r.terms);
        let row = format!(
            "{},{:.3},{},train,{},{terms}{accuracy},{},{}",
            r.step, r.wall_s, r.trials, r.loss, r.grad_norm, r.lr
        );
        Ok(self.metrics.append(&row)?)
    }

    fn evaluated(&mut self, v: &Validation) -> Result<(), TrainError> {
        let accuracy = field(v.report.accuracy);
        let terms = self.fields(&v.report.terms);
        let row = format!(
            "{},{:.3},{},val,{},{terms}{accuracy},,",
            v.step, v.wall_s, v.trials, v.report.loss
        );
        Ok(self.metrics.append(&row)?)
    }

    fn saved(&mut self, snapshot: &Snapshot) -> Result<(), TrainError> {
        let mut detail = json!({ "step": snapshot.counters.step, "best": snapshot.is_best });
        if let Some(tau_ms) = learned_tau_ms(&snapshot.weights) {
            detail["tau_ms"] = tau_ms;
        }
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

/// The spread of learned time constants, if there are any.
fn learned_tau_ms(weights: &Weights) -> Option<serde_json::Value> {
    weights.get(Parameter::TimeConstants.name())?;
    let tau_ms: Vec<f64> = weights.get("tau_ms")?.iter().collect();
    Some(json!({
        "min": tau_ms.iter().copied().fold(f64::INFINITY, f64::min),
        "mean": tau_ms.iter().sum::<f64>() / tau_ms.len() as f64,
        "max": tau_ms.iter().copied().fold(0.0, f64::max),
    }))
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
    let mut lines = text.split_inclusive('\n');
    let header = lines.next().unwrap_or_default();
    let rows = lines.filter(|line| is_kept(line));
    let kept: String = std::iter::once(header).chain(rows).collect();
    atomic::write(path, kept.as_bytes())?;
    Ok(())
}
