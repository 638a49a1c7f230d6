//! Local pool: trials as child processes of one thread each.

use std::collections::{BTreeMap, VecDeque};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ctrnn_files::FileError;

use crate::SweepError;
use crate::status::{Status, TrialState};
use crate::sweep::{Sweep, Trial};

/// Time between two looks at the children.
const POLL: Duration = Duration::from_millis(10);
/// Time between two looks at trials that other processes run.
const POLL_OTHERS: Duration = Duration::from_secs(1);
/// Time between two updates of the display.
const SHOW_EVERY: Duration = Duration::from_millis(250);

/// Settings of a pool.
#[derive(Clone, Debug)]
pub struct PoolSettings {
    /// Program that trains, and its first arguments.
    pub program: Vec<PathBuf>,
    /// Largest number of processes.
    pub jobs: usize,
    /// Number of further attempts at a trial that failed for a reason other than its training.
    pub retries: u32,
    /// MiB of memory that all processes together may take; unlimited if unknown.
    pub memory_mib: Option<f64>,
    /// True if trials that other drivers on this machine run count as processes of the pool.
    pub counts_others: bool,
}

/// A trial that is being trained by a child.
#[derive(Debug)]
pub struct Running<'a> {
    /// The trial.
    pub trial: &'a Trial,
    /// Time at which the child was started.
    pub began: Instant,
    child: Child,
    memory_mib: f64,
}

/// Change in the state of a trial.
#[derive(Debug)]
pub enum Event<'a> {
    /// It is done.
    Done(&'a Trial, Duration),
    /// It failed, and is tried again.
    Again(&'a Trial, String),
    /// It failed for good.
    Failed(&'a Trial, String),
    /// Another process trains it.
    Elsewhere(&'a Trial),
}

/// Observer of a pool.
pub trait Watch {
    /// Returns the number of requests to stop so far; the second stops at once.
    fn stops(&self) -> usize;
    /// Returns the MiB of memory that a trial takes.
    fn memory_mib(&mut self, trial: &Trial) -> f64;
    /// Reports a change.
    fn event(&mut self, event: &Event);
    /// Shows the trials that are running, the number that have ended, and the number of all.
    fn show(&mut self, running: &[Running], n_ended: usize, n_all: usize);
}

/// The end of a pool's work.
#[derive(Debug, Default)]
pub struct PoolEnd<'a> {
    /// Number of trials that are done, those of earlier calls included.
    pub n_done: usize,
    /// Trials that failed, with their reasons.
    pub failed: Vec<(&'a Trial, String)>,
    /// Number of trials that are neither done nor failed, because the pool was stopped.
    pub n_left: usize,
    /// True if the pool was stopped.
    pub is_stopped: bool,
}

/// A pool of processes that runs the trials of a sweep. It waits for trials that other processes run, and continues them if those end early.
pub struct Pool<'a> {
    sweep: &'a Sweep,
    settings: PoolSettings,
    waiting: VecDeque<&'a Trial>,
    running: Vec<Running<'a>>,
    /// Trials that other processes run, and whether those are on this machine.
    elsewhere: Vec<(&'a Trial, bool)>,
    attempts: BTreeMap<&'a str, u32>,
    end: PoolEnd<'a>,
    n_all: usize,
}

impl<'a> Pool<'a> {
    /// Creates a pool for these trials of a sweep. Trials that are done stay as they are, and so do those whose training
    /// failed, unless `again` is set.
    pub fn new(
        sweep: &'a Sweep,
        trials: &[&'a Trial],
        again: bool,
        settings: PoolSettings,
    ) -> Self {
        let mut pool = Self {
            sweep,
            settings,
            waiting: VecDeque::new(),
            running: Vec::new(),
            elsewhere: Vec::new(),
            attempts: BTreeMap::new(),
            end: PoolEnd::default(),
            n_all: trials.len(),
        };
        for &trial in trials {
            pool.place(trial, again);
        }
        pool
    }

    /// Puts a trial that this pool does not run where it belongs by its run folder; `again` as in [`Pool::new`].
    fn place(&mut self, trial: &'a Trial, again: bool) {
        let status = Status::of(&self.sweep.run(trial));
        match status.state {
            TrialState::Done => self.end.n_done += 1,
            TrialState::Running => self.elsewhere.push((trial, status.is_here)),
            TrialState::Failed if !again && !status.is_worth_repeating() => {
                let reason = status.reason.unwrap_or_default();
                self.end.failed.push((trial, reason));
            }
            TrialState::Failed | TrialState::Stopped | TrialState::Waiting => {
                self.waiting.push_back(trial);
            }
        }
    }

    /// Runs all trials to their ends, or until a stop is requested. Failures do not stop the other trials.
    ///
    /// # Errors
    /// If the program cannot be started, or a log cannot be written; the children are stopped first.
    pub fn run(mut self, watch: &mut dyn Watch) -> Result<PoolEnd<'a>, SweepError> {
        let (mut n_stops, mut shown, mut looked) = (0, None::<Instant>, Instant::now());
        let mut error = None;
        for &(trial, _) in &self.elsewhere {
            watch.event(&Event::Elsewhere(trial));
        }
        loop {
            self.reap(watch);
            if looked.elapsed() >= POLL_OTHERS {
                looked = Instant::now();
                self.look_at_others();
            }
            let asked = watch.stops() + usize::from(error.is_some());
            if asked > n_stops {
                n_stops = asked;
                self.end.is_stopped = true;
                self.stop_children();
            }
            if n_stops > 0 {
                if self.running.is_empty() {
                    break;
                }
            } else if let Err(failed) = self.fill(watch) {
                error = Some(failed);
            } else if self.running.is_empty()
                && self.waiting.is_empty()
                && self.elsewhere.is_empty()
            {
                break;
            }
            if shown.is_none_or(|shown| shown.elapsed() >= SHOW_EVERY) {
                shown = Some(Instant::now());
                watch.show(
                    &self.running,
                    self.end.n_done + self.end.failed.len(),
                    self.n_all,
                );
            }
            std::thread::sleep(POLL);
        }
        self.end.n_left = self.waiting.len() + self.elsewhere.len();
        match error {
            Some(error) => Err(error),
            None => Ok(self.end),
        }
    }

    /// Starts as many trials as there is room for.
    fn fill(&mut self, watch: &mut dyn Watch) -> Result<(), SweepError> {
        loop {
            let others = if self.settings.counts_others {
                let here = self.elsewhere.iter().filter(|(_, is_here)| *is_here);
                here.count()
            } else {
                0
            };
            if self.running.len() + others >= self.settings.jobs {
                return Ok(());
            }
            let Some(trial) = self.waiting.front().copied() else {
                return Ok(());
            };
            let memory_mib = watch.memory_mib(trial);
            let taken: f64 = self.running.iter().map(|running| running.memory_mib).sum();
            let is_full = self
                .settings
                .memory_mib
                .is_some_and(|most| taken + memory_mib > most);
            if is_full && !self.running.is_empty() {
                return Ok(());
            }
            self.waiting.pop_front();
            self.start(trial, memory_mib)?;
        }
    }

    fn start(&mut self, trial: &'a Trial, memory_mib: f64) -> Result<(), SweepError> {
        let log = self.sweep.log(trial);
        let open = || {
            let mut file = OpenOptions::new().create(true).append(true).open(&log)?;
            let arguments = self.sweep.arguments(trial);
            writeln!(file, "$ train-ctrnn {}", arguments.join(" "))?;
            Ok((file.try_clone()?, file, arguments))
        };
        let (out, err, arguments) = open().map_err(FileError::io("write", &log))?;
        let (program, first) = self.settings.program.split_first().expect("a program");
        let mut command = Command::new(program);
        command
            .args(first)
            .args(arguments)
            .args(["--progress=plain", "--color=never"]);
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        // Ctrl-C reaches the driver alone, which stops its children by one TERM each: two signals would end them at once.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.spawn().map_err(|error| SweepError::NotStarted {
            program: program.display().to_string(),
            error,
        })?;
        *self.attempts.entry(&trial.name).or_insert(0) += 1;
        self.running.push(Running {
            trial,
            began: Instant::now(),
            child,
            memory_mib,
        });
        Ok(())
    }

    /// Takes the children that have ended off the list, and reads from their runs what became of them.
    fn reap(&mut self, watch: &mut dyn Watch) {
        let mut at = 0;
        while at < self.running.len() {
            let ended = match self.running[at].child.try_wait() {
                Ok(None) => {
                    at += 1;
                    continue;
                }
                Ok(Some(status)) => status.to_string(),
                Err(error) => error.to_string(),
            };
            let Running { trial, began, .. } = self.running.swap_remove(at);
            let status = Status::of(&self.sweep.run(trial));
            let event = self.judged(trial, &status, &ended, began.elapsed());
            watch.event(&event);
        }
    }

    fn judged(
        &mut self,
        trial: &'a Trial,
        status: &Status,
        ended: &str,
        time: Duration,
    ) -> Event<'a> {
        match status.state {
            TrialState::Done => {
                self.end.n_done += 1;
                return Event::Done(trial, time);
            }
            TrialState::Running => {
                self.elsewhere.push((trial, status.is_here));
                return Event::Elsewhere(trial);
            }
            TrialState::Stopped | TrialState::Failed | TrialState::Waiting => {}
        }
        let reason = match (&status.reason, status.state) {
            (Some(reason), _) => reason.clone(),
            (None, TrialState::Stopped) => format!("its process was killed ({ended})"),
            _ => self.last_error(trial).unwrap_or_else(|| ended.to_owned()),
        };
        let may_repeat = || self.attempts[trial.name.as_str()] <= self.settings.retries;
        if self.end.is_stopped || (status.is_worth_repeating() && may_repeat()) {
            self.waiting.push_back(trial);
            return Event::Again(trial, reason);
        }
        self.end.failed.push((trial, reason.clone()));
        Event::Failed(trial, reason)
    }

    /// Returns the last error in the log of a trial.
    fn last_error(&self, trial: &Trial) -> Option<String> {
        let log = ctrnn_files::read_at_most(&self.sweep.log(trial), 16 << 20).ok()?;
        let log = String::from_utf8_lossy(&log);
        let line = log.lines().rev().find(|line| line.starts_with("error["))?;
        Some(line.to_owned())
    }

    /// Looks at the trials that other processes run: those that have ended are done, or ours to continue.
    fn look_at_others(&mut self) {
        for (trial, _) in std::mem::take(&mut self.elsewhere) {
            self.place(trial, false);
        }
    }

    /// Asks all children to save and stop.
    fn stop_children(&mut self) {
        terminate(self.running.iter().map(|running| running.child.id()));
    }
}

/// Sends TERM to processes.
#[cfg(unix)]
pub(crate) fn terminate(pids: impl Iterator<Item = u32>) {
    let pids: Vec<String> = pids.map(|pid| pid.to_string()).collect();
    if pids.is_empty() {
        return;
    }
    let mut kill = Command::new("sh");
    kill.args(["-c", "kill -s TERM \"$@\"", "sh"]).args(pids);
    kill.stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let _ = kill.status(); // a child that has ended meanwhile is not an error
}

/// Does nothing: on other systems children end with the console.
#[cfg(not(unix))]
pub(crate) fn terminate(_: impl Iterator<Item = u32>) {}
