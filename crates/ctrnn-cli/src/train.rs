//! `train` and `resume`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::tensor::backend::AutodiffBackend;
use ctrnn_config::{
    Code, ConfigErrors, Difference, MAX_CONFIG_BYTES, Reading, Run, check_resume, counted,
    differences,
};
use ctrnn_files::output::check_folder;
use ctrnn_files::{FileError, RunFolder, RunJson, RunState, read_at_most, refuse_if_held};
use ctrnn_model::RecurrenceBackend;
use ctrnn_runs::{
    Given, Reopened, RunError, RunRecord, as_typed, check_files, check_inputs, checkpoint_step,
    initial_states_note, is_begun_by_requeued_job, is_in_parts, trainer_at,
};
use ctrnn_tasks::{Programs, Registry};
use ctrnn_train::{Ending, Observer, TrainError};

use crate::args::{Data, Resume, ResumeArgs, TrainArgs};
use crate::backend::{CheckEvery, Job, device_name, with_backend};
use crate::beginning::{branch, kept_weights, weights_to_begin_with, with_own_beginning};
use crate::failure::{DATA, Failure, IO, USAGE};
use crate::output::check_replaced;
use crate::progress::{Progress, clock};
use crate::run_path::{Needs, default_path, existing, folder_beside, recorded};
use crate::stop::StopRequests;
use crate::terminal::{Terminal, path_text};
use crate::threads;
use crate::trust::Consent;

/// Trains a network.
pub fn train(args: &TrainArgs, registry: &Registry, terminal: &Terminal) -> Result<u8, Failure> {
    let mut resume = if args.force {
        Resume::Never
    } else {
        args.resume.unwrap_or_else(resume_by_default)
    };
    let (run, given) = read(args, resume, registry, terminal)?;
    let path = args
        .run_dir
        .clone()
        .unwrap_or_else(|| default_path(&args.config, run.config.seed));
    let exists = path.symlink_metadata().is_ok();
    if exists && !RunFolder::at(&path).run_json().is_file() {
        return Err(no_run_folder(&path));
    }
    let mut is_replaced = args.force;
    if exists && args.force {
        if is_begun_by_requeued_job(&RunFolder::at(&path)) {
            terminal.note(format!(
                "{} was begun by this Slurm job before it was requeued: the run is continued, not replaced",
                path.display()
            ));
            (resume, is_replaced) = (Resume::Auto, false);
        } else {
            check_replaced(&path)?;
        }
    }
    match (resume, exists) {
        (Resume::Auto | Resume::Must, true) => {
            let run = with_own_beginning(run, &path, args, terminal)?;
            let is_own = |word: &&String| !word.starts_with("model.init.file=");
            let own: Vec<String> = given.overrides.iter().filter(is_own).cloned().collect();
            let branch = branch(&path, Some(&run), &args.config, &own, &args.data);
            let branch = branch.as_deref();
            let run = resumed_by_itself(&path, run, &given, args, branch, registry, terminal)?;
            let (max_time, dry_run) = (args.max_time, args.dry_run);
            return resume_run(&path, run, &[], max_time, dry_run, branch, terminal);
        }
        (Resume::Must, false) => return Err(no_run(&path, &args.config)),
        (Resume::Never, true) if !is_replaced => {
            refuse_if_held(&path).map_err(|error| {
                let branch = branch(&path, Some(&run), &args.config, &args.overrides, &args.data);
                or_from_weights(error.into(), branch.as_deref())
            })?;
            return Err(run_exists(&path, &run));
        }
        _ => {}
    }
    check_folder(&path)?; // a run around it would remove it
    if let Some(note) = initial_states_note(&run) {
        terminal.note(note);
    }
    if args.dry_run {
        terminal.say(format!(
            "{} has no errors; it would train into {}",
            args.config.display(),
            path.display()
        ));
        say_json(terminal, &path, "would be trained")?;
        return Ok(0);
    }
    let stop = StopRequests::listen(args.max_time)?;
    let start = Start::New {
        path: &path,
        given,
        replace: is_replaced,
    };
    train_and_report(&run, start, &stop, terminal)
}

/// Reads the configuration of a command, with the weights to begin with.
fn read(
    args: &TrainArgs,
    resume: Resume,
    registry: &Registry,
    terminal: &Terminal,
) -> Result<(Run, Given), Failure> {
    let source = args.init_from.as_deref();
    let begun = source.map(|source| {
        let found = weights_to_begin_with(source, args.checkpoint.as_deref(), terminal);
        match found {
            Ok((file, given)) => Ok((file, Some(given))),
            Err(error) if resume == Resume::Never => Err(error),
            Err(error) => {
                let kept = kept_weights(args, &overrides(args, None)?, registry);
                kept.map(|file| (file, None)).ok_or(error)
            }
        }
    });
    let (init_file, given) = begun.transpose()?.unzip();
    let overrides = overrides(args, init_file.as_deref())?;
    let root = args.data.data_root.as_deref();
    // Training with a configuration implies consent to its program; a dry run does not.
    let consent = if args.dry_run {
        args.trust.consent(terminal)
    } else {
        Consent::given(terminal)
    };
    let reading = Reading {
        registry,
        overrides: &overrides,
        data_root: root,
        programs: Programs::Agreed(&|words| consent.agree(words)),
        trained: None,
    };
    let mut run = reading.file(&args.config)?;
    run.given = given.flatten();
    check_reproduced(&args.config, &run)?;
    let unused = run.unused_keys();
    run.notes
        .iter()
        .chain(&unused)
        .for_each(|note| terminal.note(note));
    let config = std::fs::read(&args.config).map_err(|error| unreadable(&args.config, &error))?;
    if is_in_parts(&config) {
        terminal.note(format!(
            "{} belongs to a run that was made in parts, so a new run of it may differ: its first lines explain how to repeat it",
            args.config.display()
        ));
    }
    Ok((run, Given { config, overrides }))
}

/// Continues a run.
pub fn resume(args: &ResumeArgs, registry: &Registry, terminal: &Terminal) -> Result<u8, Failure> {
    let needs = Needs::Trials(args.trust.consent(terminal));
    let (folder, run) = existing(&args.run, &args.data, &args.overrides, registry, needs)?;
    let branch = branch(
        &args.run,
        Some(&run),
        &folder.resolved(),
        &args.overrides,
        &args.data,
    );
    let branch = branch.as_deref();
    if let Some(checkpoint) = &args.checkpoint {
        return Err(other_checkpoint(&folder, checkpoint, branch)?);
    }
    resume_run(
        &args.run,
        run,
        &args.overrides,
        args.max_time,
        false,
        branch,
        terminal,
    )
}

/// Creates the error of `resume --checkpoint`: a run continues only from its newest checkpoint, but another one can be
/// the beginning of a new run.
fn other_checkpoint(
    folder: &RunFolder,
    checkpoint: &str,
    branch: Option<&str>,
) -> Result<Failure, Failure> {
    checkpoint_step(folder, checkpoint)?;
    let what = "a run goes on from its newest whole checkpoint, not from another one";
    let help = match branch {
        Some(branch) => format!(
            "a new run begins with the weights of that one; its optimizer and step start at 0:\n        {branch} --checkpoint {}",
            quoted(checkpoint)
        ),
        None => "leave --checkpoint out".to_owned(),
    };
    Ok(Failure::new(USAGE, "U007", what, help))
}

/// Returns the run at `path` as `train` continues it. It must be the run of this very command, as in `run` and `given`.
///
/// Values that `resume` has changed since then remain, because steps may have been made with them.
fn resumed_by_itself(
    path: &Path,
    run: Run,
    given: &Given,
    args: &TrainArgs,
    branch: Option<&str>,
    registry: &Registry,
    terminal: &Terminal,
) -> Result<Run, Failure> {
    let folder = RunFolder::at(path);
    let (before, now) = (recorded(&folder)?, run.table_in(&folder));
    let differing = differences(&before, &now);
    if !began_with(&folder, given)? {
        return Err(another_run(path, &differing, branch));
    }
    check_resume(&before, &now, &folder_beside(path, &differing))
        .map_err(|errors| or_branch(errors, branch))?;
    if differing.is_empty() {
        return Ok(run);
    }
    for d in &differing {
        terminal.note(format!(
            "{} continues with {} = {}, with which it was resumed; the command has {}",
            path.display(),
            d.key,
            d.left_word(),
            d.right_word()
        ));
    }
    // The task is that of the command, so its program was agreed to with it.
    let needs = Needs::Trials(Consent::given(terminal));
    let data = Data {
        threads: None, // the run continues with its own number, as the note says
        ..args.data.clone()
    };
    Ok(existing(path, &data, &[], registry, needs)?.1)
}

/// Returns true if a run began with the same configuration file, apart from comments and layout, and the same overrides.
fn began_with(folder: &RunFolder, given: &Given) -> Result<bool, Failure> {
    let values =
        |bytes: &[u8]| -> Option<toml::Table> { std::str::from_utf8(bytes).ok()?.parse().ok() };
    let config = read_at_most(&folder.config(), MAX_CONFIG_BYTES)?;
    let is_same_file = match (values(&config), values(&given.config)) {
        (Some(before), Some(now)) => before == now,
        _ => config == given.config,
    };
    // The weights that `--init-from` finds may be newer now; a run continues with its own initial weights.
    let own = |text: &str| -> Vec<String> {
        let is_own = |word: &&str| !word.starts_with("model.init.file=");
        text.lines().filter(is_own).map(str::to_owned).collect()
    };
    let overrides = read_at_most(&folder.overrides(), MAX_CONFIG_BYTES)?;
    let overrides = String::from_utf8_lossy(&overrides);
    Ok(is_same_file && own(&overrides) == own(&given.overrides_text()))
}

/// Creates the error of a run at `path` that another command began.
fn another_run(path: &Path, differing: &[Difference], branch: Option<&str>) -> Failure {
    let shown = differing.iter().take(3).map(|d| {
        format!(
            "{} is {} there and {} here",
            d.key,
            d.left_word(),
            d.right_word()
        )
    });
    let mut shown: Vec<String> = shown.collect();
    match differing.len() {
        0 => shown.push("its configuration file or overrides were written differently".to_owned()),
        1..=3 => {}
        n => shown.push(format!("{} more", n - 3)),
    }
    let what = format!(
        "the run in {} began with another command: {}",
        path.display(),
        shown.join(", ")
    );
    let quoted = |path: &Path| quoted(&path.display().to_string());
    let branch = branch.map_or(String::new(), |branch| {
        format!(
            "\n      begin a new one with its weights (optimizer and step start at 0):\n        {branch}"
        )
    });
    let help = format!(
        "give this one its own folder:  --run-dir {}\n      continue the other one:  train-ctrnn resume {}{branch}",
        quoted(&folder_beside(path, differing)),
        quoted(path)
    );
    Failure::new(IO, "F004", what, help)
}

/// Checks the input files if the configuration is the resolved one of a run, because it should then reproduce that run.
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

/// Returns the overrides, including those given by `--seed`, `--device`, `--threads` and `--init-from`.
fn overrides(args: &TrainArgs, init_file: Option<&Path>) -> Result<Vec<String>, Failure> {
    let mut overrides = args.data.overrides(&args.overrides);
    overrides.extend(args.seed.map(|seed| format!("seed={seed}")));
    overrides.extend(
        args.device
            .as_ref()
            .map(|device| format!("device.backend={device}")),
    );
    if let Some(weights) = init_file {
        let Some(weights) = init_override(weights) else {
            let what = format!("{} is not UTF-8, as a configuration is", weights.display());
            return Err(Failure::new(USAGE, "C007", what, "rename the folder"));
        };
        overrides.push(weights);
    }
    Ok(overrides)
}

/// Returns the override that names a file of initial weights, or `None` if its path is not UTF-8.
fn init_override(file: &Path) -> Option<String> {
    let file = toml::Value::String(file.to_str()?.to_owned());
    Some(format!("model.init.file={file}"))
}

/// Returns auto under Slurm, because a job that is requeued is started by the same command again and should continue.
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

fn run_exists(path: &Path, run: &Run) -> Failure {
    let before = recorded(&RunFolder::at(path)).unwrap_or_default();
    let differing = if before.is_empty() {
        Vec::new()
    } else {
        differences(&before, &run.table_in(&RunFolder::at(path)))
    };
    let what = format!("the run folder {} exists already", path.display());
    let words = std::env::args_os().skip(1);
    let command: Vec<String> = words.map(|word| quoted(&word.to_string_lossy())).collect();
    let quoted = |path: &Path| quoted(&path.display().to_string());
    let help = format!(
        "continue it:  train-ctrnn resume {}\n        replace it:   train-ctrnn {} --force\n        keep both:    --run-dir {}",
        quoted(path),
        command.join(" "),
        quoted(&folder_beside(path, &differing))
    );
    Failure::new(IO, "F004", what, help)
}

/// Creates the error of a file or folder at `path` that is not a run.
fn no_run_folder(path: &Path) -> Failure {
    let what = format!(
        "{} exists already and is not a run; nothing was overwritten",
        path.display()
    );
    let free = folder_beside(path, &[]).display().to_string();
    let help = format!("choose another folder: --run-dir {}", quoted(&free));
    Failure::new(IO, "F004", what, help)
}

/// Quotes a word for a shell.
pub fn quoted(word: &str) -> String {
    as_typed(&[word.to_owned()])
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        IO,
        "F002",
        format!("cannot read {}: {error}", path.display()),
        "check its permissions",
    )
}

/// Continues the run at `path` with the configuration `run`.
fn resume_run(
    path: &Path,
    run: Run,
    overrides: &[String],
    max_time: Option<std::time::Duration>,
    dry_run: bool,
    branch: Option<&str>,
    terminal: &Terminal,
) -> Result<u8, Failure> {
    let folder = RunFolder::at(path);
    let (before, now) = (recorded(&folder)?, run.table_in(&folder));
    let beside = folder_beside(path, &differences(&before, &now));
    check_resume(&before, &now, &beside).map_err(|errors| or_branch(errors, branch))?;
    check_inputs(&folder, &run)?;
    let json = RunJson::load(&folder.run_json())?;
    let asks_for_more = before.get("train") != now.get("train");
    if json.state == RunState::Done && !asks_for_more {
        if before != now {
            terminal.note("the overrides have no effect, because the run is finished");
        }
        terminal.say(format!(
            "{} is finished; train longer with `train-ctrnn resume {} train.steps=N`",
            path.display(),
            quoted(&path.display().to_string())
        ));
        say_json(terminal, path, "done")?;
        return Ok(0);
    }
    let reached = folder.newest_whole_checkpoint()?.step.unwrap_or(0);
    if run.config.train.steps < reached {
        let message = format!(
            "{} has made {} already, more than train.steps = {}",
            path.display(),
            counted(reached, "step"),
            run.config.train.steps
        );
        let problem = run.problem("train.steps", Code::StepsDone, message);
        let help = format!("use a larger number: train.steps={}", 2 * reached);
        return Err(problem.help(help).into());
    }
    if dry_run {
        terminal.say(format!("{} would be resumed", path.display()));
        say_json(terminal, path, "would be resumed")?;
        return Ok(0);
    }
    let stop = StopRequests::listen(max_time)?;
    let start = Start::Again {
        path,
        overrides,
        branch,
    };
    train_and_report(&run, start, &stop, terminal)
}

/// Adds to the error of a run that is locked or cannot continue the command for a new run with its weights.
fn or_from_weights(error: RunError, branch: Option<&str>) -> Failure {
    if let (RunError::LostCheckpoints { .. }, Some(branch)) = (&error, branch) {
        let help = format!(
            "put the checkpoints back; or a new run begins with this network, its optimizer and step at 0:\n        {branch}"
        );
        return Failure::new(DATA, "D007", error.to_string(), help);
    }
    let (RunError::Train(TrainError::File(FileError::Locked { path, .. })), Some(branch)) =
        (&error, branch)
    else {
        return error.into();
    };
    let help = format!(
        "wait until it has ended, or stop that process; another run needs a folder of its own: train with --run-dir {}; one that begins with the newest weights of this run:\n        {branch}",
        quoted(&folder_beside(path, &[]).display().to_string()),
    );
    Failure::new(IO, "F002", error.to_string(), help)
}

/// Adds to the error of a change that a run refuses the command for a new run with its weights.
fn or_branch(mut errors: ConfigErrors, branch: Option<&str>) -> ConfigErrors {
    if let (Some(last), Some(branch)) = (errors.0.last_mut(), branch) {
        last.help.push_str(&format!(
            "\nto begin a new run with the weights of this one (its optimizer's state and step start at 0):\n  {branch}"
        ));
    }
    errors
}

/// The start of a training process.
enum Start<'a> {
    New {
        path: &'a Path,
        given: Given,
        replace: bool,
    },
    Again {
        path: &'a Path,
        overrides: &'a [String],
        /// Command for a new run that begins with the weights of this one.
        branch: Option<&'a str>,
    },
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

impl Job for TrainJob<'_> {
    type Output = Trained;
    const TRAINS: bool = true;

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
            CheckEvery::Log => run.config.train.log_every,
        };
        let device_name = device_name::<B>(device);
        threads::tell(run, terminal);
        // The network comes first, so that any error in it is found before a folder is created.
        let (mut record, mut trainer) = match start {
            Start::New {
                path,
                given,
                replace,
            } => {
                let trainer = trainer_at::<B>(run, None, check_every, device)?;
                let network = trainer.network();
                let created = RunRecord::create(path, run, &given, &device_name, network, replace);
                let record = created.map_err(|error| match error {
                    RunError::Train(TrainError::File(FileError::AlreadyExists { .. }))
                        if !replace =>
                    {
                        run_exists(path, run) // another process created the run first
                    }
                    error => error.into(),
                })?;
                (record, trainer)
            }
            Start::Again {
                path,
                overrides,
                branch,
            } => {
                let reopened = RunRecord::reopen(path, run, &device_name, overrides);
                let Reopened {
                    record,
                    checkpoint,
                    notes,
                } = reopened.map_err(|error| or_from_weights(error, branch))?;
                notes.iter().for_each(|note| terminal.note(note));
                let trainer = trainer_at::<B>(run, checkpoint, check_every, device)?;
                (record, trainer)
            }
        };
        stop.trains(record.folder());
        let first = trainer.counters().step;
        let folder = record.folder().root().to_owned();
        terminal.say(format!(
            "training {} on {} into {}{}",
            counted(run.model.n_units, "unit"),
            run.task_name,
            folder.display(),
            if first > 0 {
                format!(", from step {first}")
            } else {
                String::new()
            }
        ));
        terminal.detail(format!(
            "device {device_name}, threads {}, seed {}, {} a step",
            rayon::current_num_threads(),
            run.config.seed,
            counted(run.config.train.batch_size, "trial")
        ));
        let began = Instant::now();
        let mut progress = Progress::new(terminal, first, run.config.train.steps);
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
            format!(
                "done, no progress for {}",
                counted(*validations, "validation")
            ),
            0,
        ),
        Ending::Asked(reason) => (
            format!("stopped by {reason} and saved"),
            Ending::STOPPED_EXIT_CODE,
        ),
    };
    terminal.say(format!(
        "{word}: {} in {}",
        counted(trained.step, "step"),
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
            "run": path_text(&trained.folder),
            "step": trained.step,
            "exit_code": code,
            "seconds": trained.seconds,
            "best": trained.best.map(|(step, value)| serde_json::json!({
                "metric": run.config.checkpoint.best.name(), "step": step, "value": value,
            })),
        })
    })?;
    Ok(code)
}

/// Prints the state of a run as JSON, only with `--json`.
fn say_json(terminal: &Terminal, run: &Path, state: &str) -> Result<(), Failure> {
    terminal.print_json(|| serde_json::json!({ "run": path_text(run), "state": state }))
}
