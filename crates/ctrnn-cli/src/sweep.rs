//! `sweep`: populations of runs.

mod arguments;
mod cost;
mod display;
mod machine;

pub use arguments::SweepArgs;

use std::path::{Path, PathBuf};

use ctrnn_config::{Code, canonical, counted, interpreter};
use ctrnn_files::{FileError, output};
use ctrnn_sweep::{
    JOB_TEMPLATE, Pool, PoolSettings, SlurmOptions, Submission, Sweep, SweepError, Table, Trial,
    TrialState,
};
use ctrnn_tasks::Registry;
use serde_json::json;

use crate::failure::{DATA, FAILED, Failure, IO, USAGE};
use crate::shell::quoted_path;
use crate::stop::StopRequests;
use crate::terminal::{Terminal, path_text};
use crate::threads;
use arguments::{PoolArgs, SubmitArgs, SweepCommand, SweepPlace};
use display::Display;

/// Exit code of a sweep that was stopped; the same command continues it.
const STOPPED: u8 = 75;
/// Largest number of failed trials that are listed with their commands.
const MOST_LISTED: usize = 20;

/// Runs a subcommand of `sweep`.
pub fn run(args: &SweepArgs, registry: &Registry, terminal: &Terminal) -> Result<u8, Failure> {
    match &args.command {
        SweepCommand::Check { place, jobs, trust } => {
            let sweep = open(place, registry, terminal)?;
            let consent = trust.consent(terminal);
            cost::check(
                &sweep,
                threads::elsewhere(*jobs),
                consent,
                registry,
                terminal,
            )?;
        }
        SweepCommand::Run {
            place,
            pool,
            again,
            new_base,
        } => {
            let sweep = open(place, registry, terminal)?;
            sweep.record(new_base.new_base)?;
            remove_cancel(&sweep)?;
            let trials: Vec<&Trial> = sweep.trials.iter().collect();
            return run_pool(&sweep, &trials, pool, *again, registry, terminal);
        }
        SweepCommand::RunTask {
            place,
            trials,
            pool,
        } => {
            let sweep = open(place, registry, terminal)?;
            sweep.record(false)?;
            let trials = trials.iter().map(|word| sweep.trial(word));
            let trials = trials.collect::<Result<Vec<_>, _>>()?;
            return run_pool(&sweep, &trials, pool, false, registry, terminal);
        }
        SweepCommand::Status { place } => {
            status(&open_runs(place, registry, terminal)?, terminal)?;
        }
        SweepCommand::Collect {
            place,
            output,
            means,
            force,
        } => {
            let sweep = open_runs(place, registry, terminal)?;
            collect(&sweep, output, *means, *force, terminal)?;
        }
        SweepCommand::Report {
            place,
            output,
            force,
        } => {
            let sweep = open_runs(place, registry, terminal)?;
            crate::output::check(output, *force, terminal)?;
            let page = ctrnn_sweep::report(&Table::of(&sweep));
            output::write(output, *force, page.as_bytes())?;
            terminal.say(format!("wrote {}", output.display()));
            terminal.wrote(output)?;
        }
        SweepCommand::Cancel { place } => {
            cancel(&open_runs(place, registry, terminal)?, terminal)?;
        }
        SweepCommand::Submit(args) => submit(args, registry, terminal)?,
    }
    Ok(0)
}

fn open(place: &SweepPlace, registry: &Registry, terminal: &Terminal) -> Result<Sweep, Failure> {
    let sweep = Sweep::open(&place.file, place.dir.as_deref(), registry)?;
    if sweep.n_repeated > 0 {
        terminal.note(format!(
            "{} left out, since others have the same configuration",
            counted(sweep.n_repeated as u64, "trial")
        ));
    }
    Ok(sweep)
}

/// Opens a sweep whose runs are read: by its file, or by its folder.
fn open_runs(
    place: &SweepPlace,
    registry: &Registry,
    terminal: &Terminal,
) -> Result<Sweep, Failure> {
    if place.dir.is_none() && place.file.is_dir() {
        return Ok(Sweep::in_folder(&place.file)?);
    }
    open(place, registry, terminal)
}

/// Runs trials by a pool of processes; with `again`, trials whose training failed are tried again.
fn run_pool(
    sweep: &Sweep,
    trials: &[&Trial],
    args: &PoolArgs,
    again: bool,
    registry: &Registry,
    terminal: &Terminal,
) -> Result<u8, Failure> {
    let stop = StopRequests::counting(args.max_time)?;
    let settings = PoolSettings {
        program: this_program()?,
        jobs: threads::elsewhere(args.jobs),
        retries: args.retries,
        memory_mib: machine::available_mib(),
        counts_others: std::env::var_os("SLURM_JOB_ID").is_none(),
    };
    terminal.say(format!(
        "{} into {}, {} at a time",
        counted(trials.len() as u64, "trial"),
        sweep.folder().display(),
        settings.jobs
    ));
    let pool = Pool::new(sweep, trials, again, settings);
    if cancel_path(sweep).exists() {
        terminal.note("the sweep was cancelled, so no trial is started; `sweep run` or `sweep submit` resumes it");
    }
    let mut display = Display::new(sweep, &stop, cancel_path(sweep), registry, terminal);
    let end = pool.run(&mut display)?;
    drop(display);
    terminal.say(format!(
        "{} done, {} failed, {} left",
        end.n_done,
        end.failed.len(),
        end.n_left
    ));
    for (trial, reason) in end.failed.iter().take(MOST_LISTED) {
        terminal.say(format!(
            "failed: {}  {}\n  {reason}\n  repeat: train-ctrnn {}",
            trial.name,
            trial.words(),
            ctrnn_runs::as_typed(&sweep.arguments(trial))
        ));
    }
    if end.failed.len() > MOST_LISTED {
        terminal.say(format!("and {} more", end.failed.len() - MOST_LISTED));
    }
    terminal.print_json(|| {
        let failed = end.failed.iter().map(|(trial, reason)| {
            json!({ "trial": trial.name, "overrides": trial.overrides, "reason": reason })
        });
        json!({
            "folder": path_text(sweep.folder()), "done": end.n_done, "left": end.n_left,
            "failed": failed.collect::<Vec<_>>(),
        })
    })?;
    Ok(match end {
        end if end.is_stopped && end.n_left > 0 => STOPPED,
        end if !end.failed.is_empty() => FAILED,
        _ => 0,
    })
}

/// Returns the words that start this program, which trains the trials: its path, or a Python that runs the package.
fn this_program() -> Result<Vec<PathBuf>, Failure> {
    let program = std::env::current_exe().map_err(|error| {
        let what = format!("cannot find the file of this program: {error}");
        Failure::new(IO, "F003", what, "please report this as a bug")
    })?;
    // The interpreter of a virtual environment is a link, which knows the packages of the environment.
    let interpreter = PathBuf::from(interpreter(None));
    Ok(
        if canonical(interpreter.clone()) == canonical(program.clone()) {
            vec![interpreter, "-m".into(), "ctrnn".into()]
        } else {
            vec![program]
        },
    )
}

fn status(sweep: &Sweep, terminal: &Terminal) -> Result<(), Failure> {
    let table = Table::of(sweep);
    let counts = table.counts();
    let words: Vec<String> = TrialState::ALL
        .iter()
        .filter_map(|state| Some(format!("{} {}", counts.get(state)?, state.word())))
        .collect();
    let summary = format!(
        "{} in {}: {}",
        counted(sweep.trials.len() as u64, "trial"),
        sweep.folder().display(),
        words.join(", ")
    );
    let text = || {
        let mut lines = vec![summary.clone()];
        let rows = table.rows.iter().enumerate();
        for (i, row) in rows.filter(|(_, row)| row.status.state != TrialState::Done) {
            let reason = row.status.reason.as_deref().unwrap_or_default();
            lines.push(format!(
                "{:>6}  {}  {:<8} {}  {reason}",
                i + 1,
                row.trial.name,
                row.status.state.word(),
                row.trial.words()
            ));
        }
        lines.join("\n")
    };
    terminal.print(text, || {
        let trials = table.rows.iter().map(|row| {
            json!({
                "trial": row.trial.name, "state": row.status.state.word(),
                "overrides": row.trial.overrides, "reason": row.status.reason,
            })
        });
        let counts = counts
            .iter()
            .map(|(state, n)| (state.word().to_owned(), json!(n)));
        json!({
            "folder": path_text(sweep.folder()),
            "counts": serde_json::Map::from_iter(counts),
            "trials": trials.collect::<Vec<_>>(),
        })
    })
}

fn collect(
    sweep: &Sweep,
    path: &Path,
    means: bool,
    force: bool,
    terminal: &Terminal,
) -> Result<(), Failure> {
    crate::output::check(path, force, terminal)?;
    let table = Table::of(sweep);
    let columns = if means { table.means() } else { table.trials() };
    let bytes = if path.extension().is_some_and(|kind| kind == "parquet") {
        columns.parquet()
    } else {
        columns.csv().into_bytes()
    };
    output::write(path, force, &bytes)?;
    let n_done = table.counts().get(&TrialState::Done).copied().unwrap_or(0);
    terminal.say(format!(
        "wrote {}: {n_done} of {} done",
        path.display(),
        counted(sweep.trials.len() as u64, "trial")
    ));
    if output::is_stdout(path) {
        return Ok(());
    }
    terminal.print(
        || table.means_text(),
        || json!({ "wrote": path_text(path), "done": n_done, "trials": sweep.trials.len() }),
    )
}

/// Returns the path of the file whose presence asks all drivers of a sweep to stop.
fn cancel_path(sweep: &Sweep) -> PathBuf {
    sweep.folder().join("cancel")
}

fn remove_cancel(sweep: &Sweep) -> Result<(), Failure> {
    let path = cancel_path(sweep);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(FileError::io("remove", &path)(error).into())
        }
        _ => Ok(()),
    }
}

fn cancel(sweep: &Sweep, terminal: &Terminal) -> Result<(), Failure> {
    if !sweep.folder().join("sweep.json").is_file() {
        let what = format!("{} is not the folder of a sweep", sweep.folder().display());
        let help = "nothing of this sweep has been started; `--dir` names another folder";
        return Err(Failure::of_code(Code::Data, what, help));
    }
    output::write(&cancel_path(sweep), true, b"")?;
    let jobs = ctrnn_sweep::cancel_jobs(sweep)?;
    terminal.say(format!(
        "drivers of {} stop within seconds and their trials save; {} cancelled; `sweep run` resumes later",
        sweep.folder().display(),
        counted(jobs.len() as u64, "Slurm job")
    ));
    terminal.print_json(|| json!({ "folder": path_text(sweep.folder()), "cancelled_jobs": jobs }))
}

fn submit(args: &SubmitArgs, registry: &Registry, terminal: &Terminal) -> Result<(), Failure> {
    if args.print_template {
        return terminal.print(
            || JOB_TEMPLATE.to_owned(),
            || json!({ "template": JOB_TEMPLATE }),
        );
    }
    let sweep = open(&args.place, registry, terminal)?;
    sweep.record(args.new_base.new_base)?;
    remove_cancel(&sweep)?;
    let options = SlurmOptions {
        program: this_program()?,
        sweep_file: args.place.file.clone(),
        pack: args.pack as usize,
        cpus: args.cpus,
        at_once: args.at_once,
        options: args.options.clone(),
        template: match &args.template {
            Some(path) => {
                let text = ctrnn_files::read_at_most(path, 1 << 20)?;
                String::from_utf8_lossy(&text).into_owned()
            }
            None => JOB_TEMPLATE.to_owned(),
        },
    };
    let Some(submission) = Submission::write(&sweep, &options)? else {
        terminal.say("nothing to submit: all trials are done, running, or failed in training");
        return terminal.print_json(|| json!({ "trials": 0 }));
    };
    let words = format!(
        "{} in {}",
        counted(submission.n_trials as u64, "trial"),
        counted(submission.n_tasks as u64, "task")
    );
    if args.dry_run {
        terminal.say(format!(
            "{words}: wrote {}; submit it with: sbatch {}",
            submission.script.display(),
            quoted_path(&submission.script)
        ));
        return terminal.wrote(&submission.script);
    }
    let job = submission.submit(&sweep)?;
    terminal.say(format!("submitted {words} as Slurm job {job}"));
    terminal.print_json(
        || json!({ "job": job, "trials": submission.n_trials, "tasks": submission.n_tasks }),
    )
}

impl From<SweepError> for Failure {
    fn from(error: SweepError) -> Self {
        let message = error.to_string();
        let (exit, code, help) = match error {
            SweepError::Config(errors) => return errors.into(),
            SweepError::File(error) => return error.into(),
            SweepError::ChangedBase { .. } => (
                USAGE,
                Code::FixedKey.id(),
                "undo the change, or give the new sweep another name (`name`, or --dir); --new-base continues in this folder with the new values",
            ),
            SweepError::DamagedList { .. } => (
                DATA,
                Code::Data.id(),
                "name the sweep file instead of the folder: its trials are listed from it",
            ),
            SweepError::NoTrial { .. } => (
                USAGE,
                "U008",
                "`train-ctrnn sweep check SWEEP` lists the trials",
            ),
            SweepError::NotStarted { .. } => (
                IO,
                "F003",
                "check that the program exists and can be started",
            ),
            SweepError::Program { .. } => (
                IO,
                "F003",
                "check the options after `--`, and that this machine submits jobs",
            ),
        };
        Self::new(exit, code, message, help)
    }
}
