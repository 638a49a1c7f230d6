//! Errors of `train` and `resume` about the run folder, with the commands that help.

use std::path::Path;

use ctrnn_config::{Code, ConfigErrors, Difference, Run, differences};
use ctrnn_files::{FileError, RunFolder};
use ctrnn_runs::{RunError, as_typed};
use ctrnn_train::TrainError;

use crate::failure::{DATA, Failure, IO, USAGE};
use crate::folder_name::folder_beside;
use crate::run_path::recorded;
use crate::shell::{quoted, quoted_path};

/// Creates the error of `resume --checkpoint`: a run continues only from its newest checkpoint, but another one can be
/// the beginning of a new run.
pub fn other_checkpoint(checkpoint: &str, branch: Option<&str>) -> Failure {
    let what = "a run continues from its newest whole checkpoint, not from another one";
    let help = match branch {
        Some(branch) => format!(
            "a new run begins with the weights of that one; its optimizer and step start at 0:\n        {branch} --checkpoint {}",
            quoted(checkpoint)
        ),
        None => "leave --checkpoint out".to_owned(),
    };
    Failure::new(USAGE, "U007", what, help)
}

/// Creates the error of a run at `path` that another command began.
pub fn another_run(path: &Path, differing: &[Difference], branch: Option<&str>) -> Failure {
    let mut shown: Vec<String> = differing
        .iter()
        .take(3)
        .map(|d| {
            format!(
                "{} is {} there and {} here",
                d.key,
                d.left_word(),
                d.right_word()
            )
        })
        .collect();
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
    let branch = branch.map_or(String::new(), |branch| {
        format!(
            "\n      begin a new one with its weights (optimizer and step start at 0):\n        {branch}"
        )
    });
    let help = format!(
        "give this one its own folder:  --run-dir {}\n      continue the other one:  train-ctrnn resume {}{branch}",
        quoted_path(&folder_beside(path, differing)),
        quoted_path(path)
    );
    Failure::new(IO, "F004", what, help)
}

/// Creates the error of `--resume must` without a run at `path`.
pub fn no_run(path: &Path, config: &Path) -> Failure {
    let what = format!("there is no run at {}", path.display());
    let help = format!(
        "start it:  train-ctrnn train {} --run-dir {}",
        quoted_path(config),
        quoted_path(path)
    );
    Failure::of_code(Code::Data, what, help)
}

/// Creates the error of a run folder at `path` that the new run `run` would replace.
pub fn run_exists(path: &Path, run: &Run) -> Failure {
    let folder = RunFolder::at(path);
    let differing = recorded(&folder).map_or(Vec::new(), |before| {
        differences(&before, &run.table_in(&folder))
    });
    let what = format!("the run folder {} exists already", path.display());
    // Under Python the interpreter and its script come before.
    let words = std::env::args_os().skip_while(|word| word != "train");
    let command: Vec<String> = words.map(|word| word.to_string_lossy().into()).collect();
    let help = format!(
        "continue it:  train-ctrnn resume {}\n        replace it:   train-ctrnn {} --force\n        keep both:    --run-dir {}",
        quoted_path(path),
        as_typed(&command),
        quoted_path(&folder_beside(path, &differing))
    );
    Failure::new(IO, "F004", what, help)
}

/// Creates the error of a run that cannot be created; another process may have created one at `path` first.
pub fn not_created(error: RunError, path: &Path, run: &Run, replace: bool) -> Failure {
    match error {
        RunError::Train(TrainError::File(FileError::AlreadyExists { .. })) if !replace => {
            run_exists(path, run)
        }
        error => error.into(),
    }
}

/// Creates the error of a file or folder at `path` that is not a run.
pub fn no_run_folder(path: &Path) -> Failure {
    let what = format!(
        "{} exists already and is not a run; nothing was overwritten",
        path.display()
    );
    let free = quoted_path(&folder_beside(path, &[]));
    let help = format!("choose another folder: --run-dir {free}");
    Failure::new(IO, "F004", what, help)
}

/// Adds to the error of a run that is locked or cannot continue the command for a new run with its weights.
pub fn or_from_weights(error: RunError, branch: Option<&str>) -> Failure {
    let Some(branch) = branch else {
        return error.into();
    };
    match &error {
        RunError::LostCheckpoints { .. } => Failure::new(
            DATA,
            "D007",
            error.to_string(),
            format!(
                "put the checkpoints back; or a new run begins with this network, its optimizer and step at 0:\n        {branch}"
            ),
        ),
        RunError::Train(TrainError::File(FileError::Locked { path, .. })) => Failure::new(
            IO,
            "F002",
            error.to_string(),
            format!(
                "wait until it has ended, or stop that process; another run needs a folder of its own: train with --run-dir {}; one that begins with the newest weights of this run:\n        {branch}",
                quoted_path(&folder_beside(path, &[])),
            ),
        ),
        _ => error.into(),
    }
}

/// Adds to the error of a change that a run refuses the command for a new run with its weights.
pub fn or_branch(mut errors: ConfigErrors, branch: Option<&str>) -> ConfigErrors {
    if let (Some(last), Some(branch)) = (errors.0.last_mut(), branch) {
        last.help.push_str(&format!(
            "\nto begin a new run with the weights of this one (its optimizer's state and step start at 0):\n  {branch}"
        ));
    }
    errors
}
