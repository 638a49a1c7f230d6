//! Observer that shows the progress of training: a bar on a terminal, plain lines elsewhere.

use std::time::{Duration, Instant};

use ctrnn_files::FileError;
use ctrnn_train::{Observer, Rollback, Snapshot, StepReport, TrainError, Validation};
use indicatif::{ProgressBar, ProgressStyle as BarStyle};

use crate::args::ProgressStyle;
use crate::terminal::{Terminal, to_stderr};

/// Time between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// A display of loss, accuracy, steps per second and the remaining time.
pub struct Progress {
    bar: Option<ProgressBar>,
    plain: bool,
    began: Instant,
    first_step: u64,
    last_line: Instant,
    last_validation: String,
    /// Name of the stage of the last report.
    stage: Option<String>,
}

impl Progress {
    /// Creates a display for a run that starts at `first_step` of `steps`.
    pub fn new(terminal: &Terminal, first_step: u64, steps: u64) -> Self {
        let bar = (terminal.progress() == ProgressStyle::Bar).then(|| {
            let style = BarStyle::with_template("{bar:28} {pos}/{len}  {msg}  {eta} left");
            let bar = ProgressBar::new(steps).with_style(style.expect("a valid template"));
            bar.set_position(first_step);
            bar.reset_eta();
            bar
        });
        Self {
            bar,
            plain: terminal.progress() == ProgressStyle::Plain,
            began: Instant::now(),
            first_step,
            last_line: Instant::now(),
            last_validation: String::new(),
            stage: None,
        }
    }

    /// Prints a note, above the bar if there is one.
    fn note(&self, message: &str) {
        match &self.bar {
            Some(bar) => bar.println(format!("note: {message}")),
            None if self.plain => to_stderr(&format!("note: {message}")),
            None => {}
        }
    }

    /// Returns the steps per second of this process.
    fn speed(&self, step: u64) -> f64 {
        step.saturating_sub(self.first_step) as f64 / self.began.elapsed().as_secs_f64().max(1e-9)
    }
}

impl Observer for Progress {
    fn stepped(&mut self, report: &StepReport) -> Result<(), TrainError> {
        if self.stage != report.stage {
            self.stage.clone_from(&report.stage);
            if let Some(bar) = &self.bar {
                bar.set_length(report.of_steps);
            }
        }
        let speed = self.speed(report.step);
        let message = format!(
            "{}loss {:.4}{}{}  {} steps/s",
            in_stage(report.stage.as_deref()),
            report.loss,
            percent(report.accuracy),
            self.last_validation,
            rate(speed)
        );
        if let Some(bar) = &self.bar {
            bar.set_position(report.step);
            bar.set_message(message);
        } else if self.plain && self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            let left = (report.of_steps - report.step) as f64 / speed;
            to_stderr(&format!(
                "step {}/{}  {message}  {} left",
                report.step,
                report.of_steps,
                clock(left)
            ));
        }
        Ok(())
    }

    fn evaluated(&mut self, validation: &Validation) -> Result<(), TrainError> {
        let report = &validation.report;
        let accuracy = percent(report.accuracy);
        let set = validation.set.as_ref();
        let set = set.map_or(String::new(), |set| format!(".{set}"));
        let found = format!("  val{set} loss {:.4}{accuracy}", report.loss);
        let (step, stage) = (validation.step, in_stage(validation.stage.as_deref()));
        let line = format!("{stage}step {step}{found}");
        if set.is_empty() {
            self.last_validation = found;
        }
        if let Some(bar) = &self.bar {
            bar.println(line);
        } else if self.plain {
            to_stderr(&line);
        }
        Ok(())
    }

    fn rolled_back(&mut self, rollback: &Rollback, _: &Snapshot) -> Result<(), TrainError> {
        if let Some(bar) = &self.bar {
            bar.set_position(rollback.to_step);
        }
        self.note(&rollback.to_string());
        Ok(())
    }

    fn troubled(&mut self, error: &FileError) -> Result<(), TrainError> {
        self.note(&format!("{error}; training continues and tries again"));
        Ok(())
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Formats the name of a stage at the beginning of a line, if there is one.
fn in_stage(stage: Option<&str>) -> String {
    stage.map_or(String::new(), |stage| format!("stage {stage}  "))
}

/// Formats an accuracy, if there is one.
fn percent(accuracy: Option<f64>) -> String {
    accuracy.map_or(String::new(), |a| format!("  accuracy {:.1} %", 100.0 * a))
}

/// Formats steps per second, with decimals if there are few.
fn rate(speed: f64) -> String {
    let decimals = if speed < 10.0 { 2 } else { 0 };
    format!("{speed:.decimals$}")
}

/// Formats seconds as hours, minutes and seconds.
pub fn clock(seconds: f64) -> String {
    match seconds.round() {
        s if !s.is_finite() => "?".to_owned(),
        s if s < 60.0 => format!("{s:.0} s"),
        s if s < 3600.0 => format!("{:.0} min {:.0} s", (s / 60.0).floor(), s % 60.0),
        s => format!(
            "{:.0} h {:.0} min",
            (s / 3600.0).floor(),
            (s % 3600.0) / 60.0
        ),
    }
}
