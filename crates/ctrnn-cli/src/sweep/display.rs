//! Display of a pool: a line for each running trial on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ctrnn_sweep::{Event, Running, Sweep, Trial, Watch};
use ctrnn_tasks::Registry;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle as BarStyle};

use super::cost;
use crate::args::ProgressStyle;
use crate::progress::clock;
use crate::stop::StopRequests;
use crate::terminal::{Terminal, to_stderr};

/// Time between two looks for the file by which a sweep is cancelled.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Largest number of trials with a line of their own.
const MOST_LINES: usize = 24;
/// Bytes at the end of metrics.csv that are read for the display.
const TAIL: u64 = 4096;

/// Display of a pool, and the requests that stop it.
pub struct Display<'a> {
    sweep: &'a Sweep,
    stop: &'a StopRequests,
    cancel: PathBuf,
    looked: Instant,
    is_cancelled: bool,
    registry: &'a Registry,
    memory_mib: BTreeMap<Vec<String>, f64>,
    bars: Option<Bars>,
    is_plain: bool,
}

struct Bars {
    all: MultiProgress,
    total: ProgressBar,
    of_trials: BTreeMap<String, ProgressBar>,
}

impl<'a> Display<'a> {
    /// Creates the display; a file at `cancel` stops the pool.
    pub fn new(
        sweep: &'a Sweep,
        stop: &'a StopRequests,
        cancel: PathBuf,
        registry: &'a Registry,
        terminal: &Terminal,
    ) -> Self {
        let bars = (terminal.progress() == ProgressStyle::Bar).then(|| {
            let all = MultiProgress::new();
            let style =
                BarStyle::with_template("{bar:28} {pos}/{len} trials  {elapsed}  {eta} left");
            let total = ProgressBar::new(sweep.trials.len() as u64);
            let total = all.add(total.with_style(style.expect("a valid template")));
            Bars {
                all,
                total,
                of_trials: BTreeMap::new(),
            }
        });
        Self {
            sweep,
            stop,
            is_cancelled: cancel.exists(),
            cancel,
            looked: Instant::now(),
            registry,
            memory_mib: BTreeMap::new(),
            bars,
            is_plain: terminal.progress() == ProgressStyle::Plain,
        }
    }

    fn line(&self, text: &str) {
        match &self.bars {
            // An error means that stderr is closed, and training continues.
            Some(bars) => drop(bars.all.println(text)),
            None if self.is_plain => to_stderr(text),
            None => {}
        }
    }
}

impl Watch for Display<'_> {
    fn stops(&self) -> usize {
        self.stop
            .n_signals()
            .max(usize::from(self.stop.reason().is_some()))
            + usize::from(self.is_cancelled)
    }

    fn memory_mib(&mut self, trial: &Trial) -> f64 {
        let key: Vec<String> = cost::cost_keys(trial)
            .into_iter()
            .map(str::to_owned)
            .collect();
        let (sweep, registry) = (self.sweep, self.registry);
        let entry = self.memory_mib.entry(key);
        *entry.or_insert_with(|| cost::memory_mib(sweep, trial, registry))
    }

    fn event(&mut self, event: &Event) {
        let (word, trial, detail) = match event {
            Event::Done(trial, time) => {
                ("done", trial, format!("in {}", clock(time.as_secs_f64())))
            }
            Event::Again(trial, reason) => ("interrupted", trial, reason.clone()),
            Event::Failed(trial, reason) => ("failed", trial, reason.clone()),
            Event::Elsewhere(trial) => (
                "elsewhere",
                trial,
                "another process trains it; waiting for its end".to_owned(),
            ),
        };
        if let Some(bar) = self
            .bars
            .as_mut()
            .and_then(|bars| bars.of_trials.remove(&trial.name))
        {
            bar.finish_and_clear();
        }
        self.line(&format!(
            "{word}  {}  {}  {detail}",
            trial.name,
            trial.words()
        ));
    }

    fn show(&mut self, running: &[Running], n_ended: usize, n_all: usize) {
        if self.looked.elapsed() >= LOOK_EVERY {
            self.looked = Instant::now();
            self.is_cancelled |= self.cancel.exists();
        }
        let Some(bars) = &mut self.bars else {
            return;
        };
        bars.total.set_length(n_all as u64);
        bars.total.set_position(n_ended as u64);
        for Running { trial, .. } in running.iter().take(MOST_LINES) {
            let bar = bars.of_trials.entry(trial.name.clone()).or_insert_with(|| {
                let style = BarStyle::with_template("  {msg}").expect("a valid template");
                bars.all.add(ProgressBar::new_spinner().with_style(style))
            });
            let metrics = self.sweep.run(trial).metrics();
            let row = last_row(&metrics).unwrap_or_default();
            bar.set_message(format!("{}  {}  {row}", trial.name, trial.words()));
        }
    }
}

impl Drop for Display<'_> {
    fn drop(&mut self) {
        if let Some(bars) = &self.bars {
            let _closed_stderr = bars.all.clear();
        }
    }
}

/// Returns step and loss of the last whole row of metrics.csv in words.
fn last_row(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))
        .ok()?;
    let mut text = String::new();
    file.take(TAIL).read_to_string(&mut text).ok()?;
    let end = text.rfind('\n')?;
    let row = text[..end].rsplit('\n').next()?;
    let fields: Vec<&str> = row.split(',').collect();
    match fields.as_slice() {
        [step, _, _, split @ ("train" | "val"), loss, ..] => {
            let loss: f64 = loss.parse().ok()?;
            Some(format!("step {step}  {split} loss {loss:.4}"))
        }
        _ => None,
    }
}
