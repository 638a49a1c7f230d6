//! `train` and `resume`.

mod beginning;
mod continued;
mod job;
mod refusals;

use std::path::{Path, PathBuf};

use ctrnn_config::{Code, GivenWeights, Reading, Run};
use ctrnn_files::output::check_folder;
use ctrnn_files::{FileError, RunFolder, refuse_if_held};
use ctrnn_runs::{
    GivenConfig, check_files, checkpoint_step, initial_states_note, is_begun_by_requeued_job,
    is_in_parts,
};
use ctrnn_tasks::{Programs, Registry};

use crate::args::{Resume, ResumeArgs, TrainArgs};
use crate::failure::Failure;
use crate::folder_name::default_path;
use crate::output::check_replaced;
use crate::run_path::{Needs, RunPart, existing};
use crate::stop::StopRequests;
use crate::terminal::Terminal;
use crate::trust::Consent;
use beginning::{INIT_FILE, branch, kept_weights, weights_to_begin_with};
use continued::{Continued, by_its_own_command};
use job::{Start, print_state, train_and_report};
use refusals::{no_run, no_run_folder, or_from_weights, other_checkpoint, run_exists};

/// Trains a network.
pub fn train(args: &TrainArgs, registry: &Registry, terminal: &Terminal) -> Result<u8, Failure> {
    let resume = if args.force {
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
    let is_own = args.force && is_begun_by_requeued_job(&RunFolder::at(&path));
    if is_own {
        terminal.note(format!(
            "{} was begun by this Slurm job before it was requeued: the run is continued, not replaced",
            path.display()
        ));
    }
    match resume {
        _ if is_own => by_its_own_command(&path, run, &given, args, registry, terminal),
        Resume::Auto | Resume::Must if exists => {
            by_its_own_command(&path, run, &given, args, registry, terminal)
        }
        Resume::Must => Err(no_run(&path, &args.config)),
        Resume::Never if exists && !args.force => {
            refuse_if_held(&path).map_err(|error| {
                let branch = branch(&path, &run, &args.config, &args.overrides, &args.data);
                or_from_weights(error.into(), branch.as_deref())
            })?;
            Err(run_exists(&path, &run))
        }
        Resume::Auto | Resume::Never => {
            if exists {
                check_replaced(&path)?;
            }
            begin(&path, &run, given, args, terminal)
        }
    }
}

/// Begins a run in a new folder, or in place of another run with `--force`.
fn begin(
    path: &Path,
    run: &Run,
    given: GivenConfig,
    args: &TrainArgs,
    terminal: &Terminal,
) -> Result<u8, Failure> {
    check_folder(path)?; // a run around it would remove it
    terminal.notes(initial_states_note(run));
    if args.dry_run {
        terminal.say(format!(
            "{} has no errors; it would train into {}",
            args.config.display(),
            path.display()
        ));
        print_state(terminal, path, "would be trained")?;
        return Ok(0);
    }
    let stop = StopRequests::listen(args.max_time)?;
    let start = Start::New {
        path,
        given,
        replace: args.force,
    };
    train_and_report(run, start, &stop, terminal)
}

/// Reads the configuration of a command, with the weights to begin with.
fn read(
    args: &TrainArgs,
    resume: Resume,
    registry: &Registry,
    terminal: &Terminal,
) -> Result<(Run, GivenConfig), Failure> {
    let (init_file, weights) = initial_weights(args, resume, registry, terminal)?.unzip();
    let overrides = overrides(args, init_file.as_deref())?;
    // Training with a configuration implies consent to its program; a dry run does not.
    let consent = if args.dry_run {
        args.trust.consent(terminal)
    } else {
        Consent::given(terminal)
    };
    let reading = Reading {
        overrides: &overrides,
        data_root: args.data.data_root.as_deref(),
        programs: Programs::Agreed(&|words| consent.agree(words)),
        ..Reading::new(registry)
    };
    let mut run = reading.file(&args.config)?;
    run.given = weights.flatten();
    check_reproduced(&args.config, &run)?;
    terminal.notes(run.notes.iter().chain(&run.unused_keys()));
    let config = std::fs::read(&args.config).map_err(FileError::io("read", &args.config))?;
    if is_in_parts(&config) {
        terminal.note(format!(
            "{} belongs to a run that was made in parts, so a new run of it may differ: its first lines explain how to repeat it",
            args.config.display()
        ));
    }
    Ok((run, GivenConfig { config, overrides }))
}

/// Returns the file that `--init-from` refers to, and its weights. If they are no longer there, a run that is continued
/// has its own copy of the file.
fn initial_weights(
    args: &TrainArgs,
    resume: Resume,
    registry: &Registry,
    terminal: &Terminal,
) -> Result<Option<(PathBuf, Option<GivenWeights>)>, Failure> {
    let Some(source) = &args.init_from else {
        return Ok(None);
    };
    let checkpoint = args.checkpoint.as_deref();
    match weights_to_begin_with(source, checkpoint, args.with_optimizer, terminal) {
        Ok((file, weights)) => Ok(Some((file, Some(weights)))),
        Err(error) if resume == Resume::Never => Err(error),
        Err(error) => {
            let kept = kept_weights(args, &overrides(args, None)?, registry).ok_or(error)?;
            Ok(Some((kept, None)))
        }
    }
}

/// Continues a run.
pub fn resume(args: &ResumeArgs, registry: &Registry, terminal: &Terminal) -> Result<u8, Failure> {
    let needs = Needs::Trials(args.trust.consent(terminal));
    let whole = RunPart::WHOLE;
    let (folder, run) = existing(
        &args.run,
        &args.data,
        &args.overrides,
        registry,
        needs,
        whole,
    )?;
    let config = folder.resolved();
    let branch = branch(&args.run, &run, &config, &args.overrides, &args.data);
    if let Some(checkpoint) = &args.checkpoint {
        checkpoint_step(&folder, checkpoint)?;
        return Err(other_checkpoint(checkpoint, branch.as_deref()));
    }
    let continued = Continued {
        path: &args.run,
        run,
        overrides: &args.overrides,
        branch,
        max_time: args.max_time,
        dry_run: false,
    };
    continued.train(terminal)
}

/// Checks the input files if the configuration is the resolved one of a run, because it should then reproduce that run.
fn check_reproduced(config: &Path, run: &Run) -> Result<(), Failure> {
    let folder = RunFolder::at(config.parent().unwrap_or(Path::new("")));
    if config == folder.resolved() && folder.run_json().is_file() {
        let files = run.input_files.iter().map(|file| file.path.clone());
        check_files(&folder, run, &files.collect::<Vec<_>>())?;
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
    if let Some(file) = init_file {
        let Some(file) = file.to_str() else {
            let what = format!("{} is not UTF-8, as a configuration is", file.display());
            return Err(Failure::of_code(
                Code::Unreadable,
                what,
                "rename the folder",
            ));
        };
        overrides.push(format!("{INIT_FILE}{}", toml::Value::from(file)));
    }
    Ok(overrides)
}

/// Returns auto under Slurm, because a job that is requeued is started by the same command again and should continue.
fn resume_by_default() -> Resume {
    match std::env::var_os("SLURM_JOB_ID") {
        Some(_) => Resume::Auto,
        None => Resume::Never,
    }
}
