//! The training itself, on the backend of the run, and the report of its end.

use std::path::{Path, PathBuf};
use std::time::Instant;

use ctrnn_config::{Run, counted};
use ctrnn_files::RunFolder;
use ctrnn_model::TrainingBackend;
use ctrnn_runs::{GivenConfig, RunRecord, trainer_at};
use ctrnn_train::{Ending, Observer, Trainer};

use super::refusals::{not_created, or_from_weights};
use crate::backend::{CheckEvery, Job, device_name, with_backend};
use crate::failure::Failure;
use crate::progress::{Progress, clock};
use crate::shell::quoted_path;
use crate::stop::StopRequests;
use crate::terminal::{Terminal, path_text};
use crate::threads;

/// The start of a training process.
pub enum Start<'a> {
    New {
        path: &'a Path,
        given: GivenConfig,
        replace: bool,
    },
    Again {
        path: &'a Path,
        overrides: &'a [String],
        /// Command for a new run that begins with the weights of this one.
        branch: Option<&'a str>,
    },
}

impl Start<'_> {
    /// Creates or reopens the record of a run, with a trainer at its step. The network comes first, so that any error in
    /// it is found before a folder is created.
    fn open<'r, B: TrainingBackend>(
        self,
        run: &'r Run,
        check_every: u64,
        device: (&str, &B::Device),
        terminal: &Terminal,
    ) -> Result<(RunRecord, Trainer<'r, B>), Failure> {
        let (device_name, device) = device;
        match self {
            Self::New {
                path,
                given,
                replace,
            } => {
                let trainer = trainer_at::<B>(run, None, check_every, device)?;
                let network = trainer.network();
                let record = RunRecord::create(path, run, &given, device_name, network, replace)
                    .map_err(|error| not_created(error, path, run, replace))?;
                Ok((record, trainer))
            }
            Self::Again {
                path,
                overrides,
                branch,
            } => {
                let reopened = RunRecord::reopen(path, run, device_name, overrides)
                    .map_err(|error| or_from_weights(error, branch))?;
                terminal.notes(&reopened.notes);
                let trainer = trainer_at::<B>(run, reopened.checkpoint, check_every, device)?;
                Ok((reopened.record, trainer))
            }
        }
    }
}

struct TrainJob<'a> {
    run: &'a Run,
    start: Start<'a>,
    stop: &'a StopRequests,
    terminal: &'a Terminal,
}

/// The result of a training process.
struct Trained {
    ending: Ending,
    folder: PathBuf,
    step: u64,
    seconds: f64,
    best: Option<(u64, f64)>,
}

impl Trained {
    fn json(&self, exit_code: u8, best_metric: &str) -> serde_json::Value {
        let best = self.best;
        serde_json::json!({
            "run": path_text(&self.folder),
            "step": self.step,
            "exit_code": exit_code,
            "seconds": self.seconds,
            "best": best.map(|(step, value)| serde_json::json!({
                "metric": best_metric, "step": step, "value": value,
            })),
        })
    }
}

impl Job for TrainJob<'_> {
    type Output = Trained;
    const TRAINS: bool = true;

    fn run<B: TrainingBackend>(
        self,
        device: &B::Device,
        check_every: CheckEvery,
    ) -> Result<Trained, Failure> {
        let Self {
            run,
            start,
            stop,
            terminal,
        } = self;
        let check_every = match check_every {
            CheckEvery::Step => 1,
            CheckEvery::Log => run.config.train.log_every,
        };
        let device_name = device_name::<B>(device);
        threads::tell(run, terminal);
        let (mut record, mut trainer) =
            start.open::<B>(run, check_every, (&device_name, device), terminal)?;
        stop.trains(record.folder());
        let first = trainer.counters().step;
        let folder = record.folder().root().to_owned();
        announce(run, &folder, first, &device_name, terminal);
        let began = Instant::now();
        let mut progress = Progress::new(terminal, first, run.config.train.steps);
        let observers = &mut [&mut progress as &mut dyn Observer];
        let ending = record
            .train(run, &mut trainer, observers, &|| stop.reason())
            .map_err(|error| Failure::of_training(error, run, &RunFolder::at(&folder)))?;
        drop(progress);
        let counters = trainer.counters();
        Ok(Trained {
            ending,
            folder,
            step: counters.step,
            seconds: began.elapsed().as_secs_f64(),
            best: counters.best.map(|best| (best.step, best.value)),
        })
    }
}

/// Prints where a training runs and from which step on.
fn announce(run: &Run, folder: &Path, first_step: u64, device_name: &str, terminal: &Terminal) {
    let from = match first_step {
        0 => String::new(),
        step => format!(", from step {step}"),
    };
    terminal.say(format!(
        "training {} on {} into {}{from}",
        counted(run.model.n_units, "unit"),
        run.task_name,
        folder.display(),
    ));
    terminal.detail(format!(
        "device {device_name}, threads {}, seed {}, {} a step",
        rayon::current_num_threads(),
        run.config.seed,
        counted(run.config.train.trials_of_step(), "trial")
    ));
}

/// Trains a run and prints how the training ended.
pub fn train_and_report(
    run: &Run,
    start: Start,
    stop: &StopRequests,
    terminal: &Terminal,
) -> Result<u8, Failure> {
    let job = TrainJob {
        run,
        start,
        stop,
        terminal,
    };
    let trained = with_backend(run, job)?;
    let (word, code, next) = described(&trained.ending);
    terminal.say(format!(
        "{word}: {} in {}",
        counted(trained.step, "step"),
        clock(trained.seconds)
    ));
    terminal.say(format!(
        "next: train-ctrnn {next} {}",
        quoted_path(&trained.folder)
    ));
    let best_metric = run.config.checkpoint.best.name();
    terminal.print_json(|| trained.json(code, &best_metric))?;
    Ok(code)
}

/// Prints the state of a run as JSON, only with `--json`.
pub fn print_state(terminal: &Terminal, run: &Path, state: &str) -> Result<(), Failure> {
    terminal.print_json(|| serde_json::json!({ "run": path_text(run), "state": state }))
}

/// Returns an ending in words, the exit code, and the command that usually comes next.
fn described(ending: &Ending) -> (String, u8, &'static str) {
    let word = match ending {
        Ending::AllSteps => "done".to_owned(),
        Ending::TargetMet { value } => format!("done, target met ({value:.4})"),
        Ending::NoProgress { validations } => {
            format!(
                "done, no progress for {}",
                counted(*validations, "validation")
            )
        }
        Ending::Converged => "done, converged: the loss falls no further to rounding".to_owned(),
        Ending::Asked(reason) => {
            let word = format!("stopped by {reason} and saved");
            return (word, Ending::STOPPED_EXIT_CODE, "resume");
        }
    };
    (word, 0, "eval")
}
