//! `train` and `resume`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::tensor::backend::AutodiffBackend;
use ctrnn_files::{RunFolder, RunJson, RunState, refuse_if_held};
use ctrnn_model::RecurrenceBackend;
use ctrnn_tasks::Registry;
use ctrnn_train::{
    Code, Ending, Given, Observer, Reopened, Run, RunConfig, RunRecord, check_files, check_resume,
    trainer_at,
};

use crate::args::{Resume, ResumeArgs, TrainArgs};
use crate::backend::{CheckEvery, Job, device_name, with_backend};
use crate::failure::{DATA, Failure, IO};
use crate::progress::{Progress, clock};
use crate::run_path::{default_path, existing, recorded};
use crate::stop::StopRequests;
use crate::terminal::Terminal;

/// Trains a network.
pub fn train(args: &TrainArgs, registry: &Registry, terminal: &Terminal) -> Result<u8, Failure> {
    let overrides = overrides(args)?;
    let root = args.data.data_root.as_deref();
    let run = RunConfig::load_with_data(&args.config, root, &overrides, registry)?;
    check_reproduced(&args.config, &run)?;
    let unused = run.unused_keys();
    run.notes
        .iter()
        .chain(&unused)
        .for_each(|note| terminal.note(note));
    let path = args
        .run_dir
        .clone()
        .unwrap_or_else(|| default_path(&args.config, run.seed));
    let exists = path.symlink_metadata().is_ok();
    let resume = match args.force {
        true => Resume::Never,
        false => args.resume.unwrap_or_else(resume_by_default),
    };
    if exists && !RunFolder::at(&path).run_json().is_file() {
        return Err(no_run_folder(&path));
    }
    match (resume, exists) {
        (Resume::Auto | Resume::Must, true) => {
            return resume_run(&path, run, args.max_time, args.dry_run, terminal);
        }
        (Resume::Must, false) => return Err(no_run(&path, &args.config)),
        (Resume::Never, true) if !args.force => {
            refuse_if_held(&path)?;
            return Err(run_exists(&path));
        }
        _ => {}
    }
    if args.dry_run {
        terminal.say(format!(
            "{} is right; it would train into {}",
            args.config.display(),
            path.display()
        ));
        say_json(terminal, &path, "would be trained")?;
        return Ok(0);
    }
    let config = std::fs::read(&args.config).map_err(|error| unreadable(&args.config, &error))?;
    let given = Given { config, overrides };
    let stop = StopRequests::listen(args.max_time)?;
    let start = Start::New {
        path: &path,
        given,
        replace: args.force,
    };
    train_and_report(&run, start, &stop, terminal)
}

/// Continues a run.
pub fn resume(args: &ResumeArgs, registry: &Registry, terminal: &Terminal) -> Result<u8, Failure> {
    let (_, run) = existing(&args.run, &args.data, &args.overrides, registry)?;
    resume_run(&args.run, run, args.max_time, false, terminal)
}

/// The resolved configuration of a run reproduces it, so its files must be those of the run.
fn check_reproduced(config: &Path, run: &Run) -> Result<(), Failure> {
    let folder = RunFolder::at(config.parent().unwrap_or(Path::new("")));
    if config == folder.resolved() && folder.run_json().is_file() {
        let files: Vec<PathBuf> = run
            .input_files
            .iter()
            .map(|file| file.path.clone())
            .collect();
        check_files(&folder, run, &files)?;
    }
    Ok(())
}

/// `--seed`, `--device`, `--threads` and `--init-from` are overrides with names of their own.
fn overrides(args: &TrainArgs) -> Result<Vec<String>, Failure> {
    let mut overrides = args.overrides.clone();
    overrides.extend(args.seed.map(|seed| format!("seed={seed}")));
    overrides.extend(
        args.device
            .as_ref()
            .map(|device| format!("device.backend={device}")),
    );
    overrides.extend(
        args.threads
            .map(|threads| format!("device.threads={threads}")),
    );
    if let Some(run) = &args.init_from {
        let weights = RunFolder::at(run).model_weights();
        if !weights.is_file() {
            let what = format!("{} has no weights to begin with", run.display());
            return Err(Failure::new(
                DATA,
                "D001",
                what,
                "give the folder of a run that has ended",
            ));
        }
        overrides.push(format!(
            "model.init.file={}",
            toml::Value::String(weights.display().to_string())
        ));
    }
    Ok(overrides)
}

/// A job that Slurm requeues is started by the same command again, and should go on.
fn resume_by_default() -> Resume {
    match std::env::var_os("SLURM_JOB_ID") {
        Some(_) => Resume::Auto,
        None => Resume::Never,
    }
}

fn no_run(path: &Path, config: &Path) -> Failure {
    let what = format!("there is no run at {}", path.display());
    let config = quoted(&config.display().to_string());
    let help = format!(
        "start it:  train-ctrnn train {config} --run-dir {}",
        quoted(&path.display().to_string())
    );
    Failure::new(DATA, "D001", what, help)
}

fn run_exists(path: &Path) -> Failure {
    let what = format!("the run folder {} exists already", path.display());
    let command: Vec<String> = std::env::args().skip(1).map(|word| quoted(&word)).collect();
    let help = format!(
        "continue it:  train-ctrnn resume {}\n        replace it:   train-ctrnn {} --force",
        quoted(&path.display().to_string()),
        command.join(" ")
    );
    Failure::new(IO, "F004", what, help)
}

/// Something is at `path` that no run may take the place of.
fn no_run_folder(path: &Path) -> Failure {
    let what = format!(
        "{} exists already and is not a run; it stays as it is",
        path.display()
    );
    Failure::new(
        IO,
        "F004",
        what,
        "choose another folder: --run-dir runs/NAME",
    )
}

/// A word as a shell needs it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+%@".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        IO,
        "F002",
        format!("cannot read {}: {error}", path.display()),
        "check its permissions",
    )
}

/// Continues the run at `path` as `run` configures it now.
fn resume_run(
    path: &Path,
    run: Run,
    max_time: Option<std::time::Duration>,
    dry_run: bool,
    terminal: &Terminal,
) -> Result<u8, Failure> {
    let folder = RunFolder::at(path);
    let before = recorded(&folder)?;
    check_resume(&before, &run.resolved_table())?;
    let json = RunJson::load(&folder.run_json())?;
    let asks_for_more = before.get("train") != run.resolved_table().get("train");
    if json.state == RunState::Done && !asks_for_more {
        if before != run.resolved_table() {
            terminal.note("the overrides have no effect on a run that is finished");
        }
        terminal.say(format!(
            "{} is finished; train longer with `train-ctrnn resume {} train.steps=N`",
            path.display(),
            path.display()
        ));
        say_json(terminal, path, "done")?;
        return Ok(0);
    }
    let reached = folder.newest_whole_checkpoint()?.step.unwrap_or(0);
    if run.train.steps < reached {
        let message = format!(
            "{} has done {reached} steps already, more than train.steps = {}",
            path.display(),
            run.train.steps
        );
        let problem = run.problem("train.steps", Code::StepsDone, message);
        let help = format!("ask for more: train.steps={}", 2 * reached);
        return Err(problem.help(help).into());
    }
    if dry_run {
        terminal.say(format!("{} would be resumed", path.display()));
        say_json(terminal, path, "would be resumed")?;
        return Ok(0);
    }
    let stop = StopRequests::listen(max_time)?;
    train_and_report(&run, Start::Again(path), &stop, terminal)
}

/// How a run starts.
enum Start<'a> {
    New {
        path: &'a Path,
        given: Given,
        replace: bool,
    },
    Again(&'a Path),
}

struct TrainJob<'a> {
    run: &'a Run,
    start: Start<'a>,
    stop: &'a StopRequests,
    terminal: &'a Terminal,
}

/// How training ended.
struct Trained {
    ending: Ending,
    folder: PathBuf,
    step: u64,
    seconds: f64,
    best: Option<(u64, f64)>,
}

impl Job for TrainJob<'_> {
    type Output = Trained;

    fn run<B>(self, device: &B::Device, check_every: CheckEvery) -> Result<Trained, Failure>
    where
        B: AutodiffBackend + RecurrenceBackend,
        B::InnerBackend: RecurrenceBackend,
    {
        let Self {
            run,
            start,
            stop,
            terminal,
        } = self;
        let check_every = match check_every {
            CheckEvery::Step => 1,
            CheckEvery::Log => run.train.log_every,
        };
        let device_name = device_name::<B>(device);
        // Everything that can be wrong with the network is found before a folder is made.
        let (mut record, mut trainer) = match start {
            Start::New {
                path,
                given,
                replace,
            } => {
                let trainer = trainer_at::<B>(run, None, check_every, device)?;
                let record = RunRecord::create(path, run, &given, &device_name, replace)?;
                (record, trainer)
            }
            Start::Again(path) => {
                let Reopened {
                    record,
                    checkpoint,
                    notes,
                } = RunRecord::reopen(path, run, &device_name)?;
                notes.iter().for_each(|note| terminal.note(note));
                let trainer = trainer_at::<B>(run, checkpoint, check_every, device)?;
                (record, trainer)
            }
        };
        stop.trains(record.folder());
        let first = trainer.counters().step;
        let folder = record.folder().root().to_owned();
        terminal.say(format!(
            "training {} units on {} into {}{}",
            run.model.n_units,
            run.task_name,
            folder.display(),
            if first > 0 {
                format!(", from step {first}")
            } else {
                String::new()
            }
        ));
        terminal.detail(format!(
            "device {device_name}, seed {}, {} trials a step",
            run.seed, run.train.batch_size
        ));
        let began = Instant::now();
        let mut progress = Progress::new(terminal, first, run.train.steps);
        let ending = record.train(
            run,
            &mut trainer,
            &mut [&mut progress as &mut dyn Observer],
            &|| stop.reason(),
        );
        let folder_of_run = RunFolder::at(&folder);
        let ending = ending.map_err(|error| Failure::of_training(error, run, &folder_of_run))?;
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

fn train_and_report(
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
    let (word, code) = match &trained.ending {
        Ending::AllSteps => ("done".to_owned(), 0),
        Ending::TargetMet { value } => (format!("done, target met ({value:.4})"), 0),
        Ending::NoProgress { validations } => (
            format!("done, no progress for {validations} validations"),
            0,
        ),
        Ending::Asked(reason) => (
            format!("stopped by {reason} and saved"),
            Ending::STOPPED_EXIT_CODE,
        ),
    };
    terminal.say(format!(
        "{word}: {} steps in {}",
        trained.step,
        clock(trained.seconds)
    ));
    let folder = quoted(&trained.folder.display().to_string());
    let next = match code {
        0 => format!("train-ctrnn eval {folder}"),
        _ => format!("train-ctrnn resume {folder}"),
    };
    terminal.say(format!("next: {next}"));
    terminal.print_json(|| {
        serde_json::json!({
            "run": trained.folder,
            "step": trained.step,
            "exit_code": code,
            "seconds": trained.seconds,
            "best": trained.best.map(|(step, value)| serde_json::json!({
                "metric": run.checkpoint.best.name(), "step": step, "value": value,
            })),
        })
    })?;
    Ok(code)
}

/// What there was to say, where JSON is asked for.
fn say_json(terminal: &Terminal, run: &Path, state: &str) -> Result<(), Failure> {
    terminal.print_json(|| serde_json::json!({ "run": run, "state": state }))
}
