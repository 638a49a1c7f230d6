//! `train` and `resume`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::tensor::backend::AutodiffBackend;
use ctrnn_config::{
    Code, ConfigErrors, Difference, GivenWeights, MAX_CONFIG_BYTES, Reading, Run, check_resume,
    differences,
};
use ctrnn_files::output::check_folder;
use ctrnn_files::{FileError, RunFolder, RunJson, RunState, digest, read_at_most, refuse_if_held};
use ctrnn_model::{InitialState, RecurrenceBackend};
use ctrnn_runs::{
    Given, Reopened, RunError, RunRecord, RunWeights, as_typed, begun_in, check_files, is_in_parts,
    trainer_at,
};
use ctrnn_tasks::{Programs, Registry};
use ctrnn_train::{Ending, Observer, TrainError};

use crate::args::{Data, Resume, ResumeArgs, TrainArgs};
use crate::backend::{CheckEvery, Job, device_name, with_backend};
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
    let source = args.init_from.as_deref();
    let (init_file, given) = source
        .map(|source| weights_to_begin_with(source, args.checkpoint.as_deref(), terminal))
        .transpose()?
        .unzip();
    let overrides = overrides(args, init_file.as_deref())?;
    let root = args.data.data_root.as_deref();
    // Who trains with a configuration wants its program to run; who asks what would be done need not.
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
        sizes: None,
    };
    let mut run = reading.file(&args.config)?;
    run.given = given;
    if run.init_file.is_some()
        && matches!(run.model.initial_state, InitialState::LearnedPerCondition)
    {
        terminal.note(
            "initial states of conditions are taken by number: those of the weights fit only if the conditions and their order are the same",
        );
    }
    check_reproduced(&args.config, &run)?;
    let unused = run.unused_keys();
    run.notes
        .iter()
        .chain(&unused)
        .for_each(|note| terminal.note(note));
    let path = args
        .run_dir
        .clone()
        .unwrap_or_else(|| default_path(&args.config, run.config.seed));
    let config = std::fs::read(&args.config).map_err(|error| unreadable(&args.config, &error))?;
    if is_in_parts(&config) {
        terminal.note(format!(
            "{} is of a run that was made in parts, and a new run of it need not be the same: its first lines say how to repeat it",
            args.config.display()
        ));
    }
    let given = Given { config, overrides };
    let exists = path.symlink_metadata().is_ok();
    let resume = match args.force {
        true => Resume::Never,
        false => args.resume.unwrap_or_else(resume_by_default),
    };
    if exists && !RunFolder::at(&path).run_json().is_file() {
        return Err(no_run_folder(&path));
    }
    if exists && args.force {
        check_replaced(&path)?;
    }
    if !exists {
        check_folder(&path)?; // the run around it removes what is not its own
    }
    match (resume, exists) {
        (Resume::Auto | Resume::Must, true) => {
            let run = with_own_beginning(run, &path, args, terminal)?;
            let is_own = |word: &&String| !word.starts_with("model.init.file=");
            let own: Vec<String> = given.overrides.iter().filter(is_own).cloned().collect();
            let branch = branch(&path, &args.config, &own);
            let run = resumed_by_itself(&path, run, &given, args, &branch, registry, terminal)?;
            let (max_time, dry_run) = (args.max_time, args.dry_run);
            return resume_run(&path, run, &[], max_time, dry_run, &branch, terminal);
        }
        (Resume::Must, false) => return Err(no_run(&path, &args.config)),
        (Resume::Never, true) if !args.force => {
            refuse_if_held(&path)?;
            return Err(run_exists(&path, &run));
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
    let needs = Needs::Trials(args.trust.consent(terminal));
    let (folder, run) = existing(&args.run, &args.data, &args.overrides, registry, needs)?;
    let branch = branch(&args.run, &folder.resolved(), &args.overrides);
    if let Some(checkpoint) = &args.checkpoint {
        let what = "a run goes on from its newest whole checkpoint, not from another one";
        let help = format!(
            "a new run begins with the weights of that one; its optimizer and step start at 0:\n        {branch} --checkpoint {}",
            quoted(checkpoint)
        );
        return Err(Failure::new(USAGE, "U007", what, help));
    }
    resume_run(
        &args.run,
        run,
        &args.overrides,
        args.max_time,
        false,
        &branch,
        terminal,
    )
}

/// The command that trains a new run which begins with the weights of the run at `path`.
pub fn branch(path: &Path, config: &Path, overrides: &[String]) -> String {
    let run = path.display().to_string();
    let run = run.trim_end_matches('/');
    let words = ["train-ctrnn".to_owned(), "train".to_owned()]
        .into_iter()
        .chain([config.display().to_string()])
        .chain(overrides.iter().cloned())
        .chain(["--run-dir".to_owned(), format!("{run}-branch")])
        .chain(["--init-from".to_owned(), run.to_owned()]);
    words
        .map(|word| quoted(&word))
        .collect::<Vec<_>>()
        .join(" ")
}

/// A run that is there goes on with what it began with, of which it keeps a copy: the weights that `--init-from` named then may
/// have been trained further since.
fn with_own_beginning(
    run: Run,
    path: &Path,
    args: &TrainArgs,
    terminal: &Terminal,
) -> Result<Run, Failure> {
    let folder = RunFolder::at(path);
    let run = begun_in(run, &folder)?;
    let (Some(file), Some(initial)) = (&run.init_file, &run.initial) else {
        return Ok(run);
    };
    let source = match (&args.init_from, &args.checkpoint) {
        (Some(source), None) => source.canonicalize().ok(),
        _ => None,
    };
    let manifest: serde_json::Value = ctrnn_files::json::read(&folder.manifest())?;
    let inputs = manifest["inputs"].as_array().into_iter().flatten();
    let mut recorded = inputs.filter_map(|input| {
        let path = Path::new(input["path"].as_str()?);
        Some((path, input["blake3"].as_str()))
    });
    let is_source = |path: &Path| {
        path == file
            || source
                .as_ref()
                .is_some_and(|source| path.starts_with(source))
    };
    let Some((recorded, blake3)) = recorded.find(|(path, _)| is_source(path)) else {
        return Ok(run);
    };
    let Ok(own) = initial.path.canonicalize() else {
        return Ok(run);
    };
    let is_as_it_was =
        recorded == file && digest::blake3_file(file).is_ok_and(|now| Some(now.as_str()) == blake3);
    if !is_as_it_was {
        terminal.note(format!(
            "{} goes on with the weights that it began with; {} has others now",
            path.display(),
            file.display()
        ));
    }
    Ok(run.beginning_with(own))
}

/// The run at `path` as `train` goes on with it, for which it must be the run of this very command: `run` and what was `given`.
///
/// Where `resume` has given it other values since, these hold, since steps may have been made with them.
fn resumed_by_itself(
    path: &Path,
    run: Run,
    given: &Given,
    args: &TrainArgs,
    branch: &str,
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
            "{} goes on with {} = {}, as it was resumed with; the command says {}",
            path.display(),
            d.key,
            d.left_word(),
            d.right_word()
        ));
    }
    // The task is that of the command, so its program was agreed to with it.
    let needs = Needs::Trials(Consent::given(terminal));
    let data = Data {
        threads: None, // the run goes on with its own, as the note says
        ..args.data.clone()
    };
    Ok(existing(path, &data, &[], registry, needs)?.1)
}

/// Whether a run began with the same configuration file, but for comments and layout, and the same overrides.
fn began_with(folder: &RunFolder, given: &Given) -> Result<bool, Failure> {
    let values =
        |bytes: &[u8]| -> Option<toml::Table> { std::str::from_utf8(bytes).ok()?.parse().ok() };
    let config = read_at_most(&folder.config(), MAX_CONFIG_BYTES)?;
    let is_same_file = match (values(&config), values(&given.config)) {
        (Some(before), Some(now)) => before == now,
        _ => config == given.config,
    };
    // The weights that `--init-from` finds may be newer now; a run goes on with those that it began with.
    let own = |text: &str| -> Vec<String> {
        let is_own = |word: &&str| !word.starts_with("model.init.file=");
        text.lines().filter(is_own).map(str::to_owned).collect()
    };
    let overrides = read_at_most(&folder.overrides(), MAX_CONFIG_BYTES)?;
    let overrides = String::from_utf8_lossy(&overrides);
    Ok(is_same_file && own(&overrides) == own(&given.overrides_text()))
}

/// The run at `path` is that of another command.
fn another_run(path: &Path, differing: &[Difference], branch: &str) -> Failure {
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
    let help = format!(
        "give this one a folder of its own:  --run-dir {}\n      go on with the other one:  train-ctrnn resume {}\n      begin a new one with its weights (optimizer and step start at 0):\n        {branch}",
        quoted(&folder_beside(path, differing)),
        quoted(path)
    );
    Failure::new(IO, "F004", what, help)
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
fn overrides(args: &TrainArgs, init_file: Option<&Path>) -> Result<Vec<String>, Failure> {
    let mut overrides = args.data.overrides(&args.overrides);
    overrides.extend(args.seed.map(|seed| format!("seed={seed}")));
    overrides.extend(
        args.device
            .as_ref()
            .map(|device| format!("device.backend={device}")),
    );
    if let Some(weights) = init_file {
        let Some(weights) = weights.to_str() else {
            let what = format!("{} is not UTF-8, as a configuration is", weights.display());
            return Err(Failure::new(USAGE, "C007", what, "rename the folder"));
        };
        let weights = toml::Value::String(weights.to_owned());
        overrides.push(format!("model.init.file={weights}"));
    }
    Ok(overrides)
}

/// The file of the weights that `--init-from` means, and what it holds: a run, `RUN@WHICH`, or the folder of a checkpoint.
fn weights_to_begin_with(
    source: &Path,
    checkpoint: Option<&str>,
    terminal: &Terminal,
) -> Result<(PathBuf, GivenWeights), Failure> {
    let (run, named) = run_and_checkpoint(source);
    if let (Some(asked), Some(named)) = (checkpoint, &named) {
        let what = format!("two checkpoints are asked for: {named} and {asked}");
        let help = "leave --checkpoint out, or give the folder of the run alone";
        return Err(Failure::new(USAGE, "U005", what, help));
    }
    let folder = RunFolder::at(&run);
    if !folder.run_json().is_file() {
        let what = format!(
            "{} is not a run to begin with: it has no RUN.json",
            run.display()
        );
        let file = quoted(&source.display().to_string());
        let help = if source.is_file() {
            format!("begin with a weight file by its key: model.init.file={file}")
        } else {
            "give the folder of a run, and a checkpoint of it if its newest weights are not meant: --init-from RUN --checkpoint last|best|STEP".to_owned()
        };
        return Err(Failure::new(DATA, "D001", what, help));
    }
    let checkpoint = checkpoint.or(named.as_deref());
    let mut found = RunWeights::read(&folder, checkpoint, None)?;
    let mut digest = digest::blake3_file(&found.path);
    for _ in 0..20 {
        if !matches!(digest, Err(FileError::Missing { .. })) {
            break;
        }
        // The run trains, and has removed this checkpoint for newer ones.
        found = RunWeights::read(&folder, checkpoint, None)?;
        digest = digest::blake3_file(&found.path);
    }
    for note in &found.notes {
        terminal.note(format!("{}: {note}", run.display()));
    }
    let given = GivenWeights {
        weights: found.weights,
        blake3: digest?,
    };
    Ok((found.path, given))
}

/// The run and the word for a checkpoint in `RUN`, `RUN@WHICH` or `RUN/checkpoints/step-00000500`.
fn run_and_checkpoint(source: &Path) -> (PathBuf, Option<String>) {
    let name = source.file_name().and_then(|name| name.to_str());
    let step = name
        .and_then(|name| name.strip_prefix("step-")?.parse::<u64>().ok())
        .filter(|_| {
            source
                .parent()
                .is_some_and(|parent| parent.ends_with("checkpoints"))
        });
    if let (Some(step), Some(run)) = (step, source.ancestors().nth(2)) {
        return (run.to_owned(), Some(step.to_string()));
    }
    match source.to_str().and_then(|text| text.rsplit_once('@')) {
        Some((run, which)) if !source.exists() => (run.into(), Some(which.to_owned())),
        _ => (source.to_owned(), None),
    }
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

fn run_exists(path: &Path, run: &Run) -> Failure {
    let before = recorded(&RunFolder::at(path)).unwrap_or_default();
    let differing = match before.is_empty() {
        true => Vec::new(),
        false => differences(&before, &run.table_in(&RunFolder::at(path))),
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

/// Something is at `path` that no run may take the place of.
fn no_run_folder(path: &Path) -> Failure {
    let what = format!(
        "{} exists already and is not a run; it stays as it is",
        path.display()
    );
    let free = folder_beside(path, &[]).display().to_string();
    let help = format!("choose another folder: --run-dir {}", quoted(&free));
    Failure::new(IO, "F004", what, help)
}

/// A word as a shell needs it.
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

/// Continues the run at `path` as `run` configures it now.
fn resume_run(
    path: &Path,
    run: Run,
    overrides: &[String],
    max_time: Option<std::time::Duration>,
    dry_run: bool,
    branch: &str,
    terminal: &Terminal,
) -> Result<u8, Failure> {
    let folder = RunFolder::at(path);
    let (before, now) = (recorded(&folder)?, run.table_in(&folder));
    let beside = folder_beside(path, &differences(&before, &now));
    check_resume(&before, &now, &beside).map_err(|errors| or_branch(errors, branch))?;
    let json = RunJson::load(&folder.run_json())?;
    let asks_for_more = before.get("train") != now.get("train");
    if json.state == RunState::Done && !asks_for_more {
        if before != now {
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
    if run.config.train.steps < reached {
        let message = format!(
            "{} has done {reached} steps already, more than train.steps = {}",
            path.display(),
            run.config.train.steps
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
    train_and_report(&run, Start::Again { path, overrides }, &stop, terminal)
}

/// A change that a run refuses is made in a new one, which may begin with its weights.
fn or_branch(mut errors: ConfigErrors, branch: &str) -> ConfigErrors {
    if let Some(last) = errors.0.last_mut() {
        last.help.push_str(&format!(
            "\nto begin a new run with the weights of this one (its optimizer and step start at 0):\n  {branch}"
        ));
    }
    errors
}

/// How a run starts.
enum Start<'a> {
    New {
        path: &'a Path,
        given: Given,
        replace: bool,
    },
    Again {
        path: &'a Path,
        overrides: &'a [String],
    },
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
        // Everything that can be wrong with the network is found before a folder is made.
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
                        run_exists(path, run) // somebody else was quicker
                    }
                    error => error.into(),
                })?;
                (record, trainer)
            }
            Start::Again { path, overrides } => {
                let Reopened {
                    record,
                    checkpoint,
                    notes,
                } = RunRecord::reopen(path, run, &device_name, overrides)?;
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
            "device {device_name}, threads {}, seed {}, {} trials a step",
            rayon::current_num_threads(),
            run.config.seed,
            run.config.train.batch_size
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

/// What there was to say, where JSON is asked for.
fn say_json(terminal: &Terminal, run: &Path, state: &str) -> Result<(), Failure> {
    terminal.print_json(|| serde_json::json!({ "run": path_text(run), "state": state }))
}
