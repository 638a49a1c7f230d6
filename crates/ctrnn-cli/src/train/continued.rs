//! Continuation of an existing run, by `resume` or by the command that began it.

use std::path::Path;
use std::time::Duration;

use ctrnn_config::{Code, Difference, MAX_CONFIG_BYTES, Run, check_resume, counted, differences};
use ctrnn_files::{RunFolder, RunJson, RunState, read_at_most};
use ctrnn_runs::{GivenConfig, check_inputs};
use ctrnn_tasks::Registry;

use super::beginning::{branch, is_own_override, with_own_beginning};
use super::job::{Start, print_state, train_and_report};
use super::refusals::{another_run, or_branch};
use crate::args::{Data, TrainArgs};
use crate::failure::Failure;
use crate::folder_name::folder_beside;
use crate::run_path::{Needs, RunPart, existing, recorded};
use crate::shell::quoted_path;
use crate::stop::StopRequests;
use crate::terminal::Terminal;
use crate::trust::Consent;

/// A run to be continued.
pub struct Continued<'a> {
    pub path: &'a Path,
    /// The run with its overrides.
    pub run: Run,
    /// Overrides of this command.
    pub overrides: &'a [String],
    /// Command for a new run that begins with the weights of this one.
    pub branch: Option<String>,
    pub max_time: Option<Duration>,
    /// True if nothing is written.
    pub dry_run: bool,
}

impl Continued<'_> {
    /// Continues the run to its end, or says that it has ended.
    ///
    /// # Errors
    /// If a value differs that a run cannot change, or the data of the run have changed.
    pub fn train(self, terminal: &Terminal) -> Result<u8, Failure> {
        let Self { path, run, .. } = &self;
        let branch = self.branch.as_deref();
        let folder = RunFolder::at(path);
        let (before, now) = (recorded(&folder)?, run.table_in(&folder));
        let beside = folder_beside(path, &differences(&before, &now));
        check_resume(&before, &now, &beside).map_err(|errors| or_branch(errors, branch))?;
        check_inputs(&folder, run)?;
        let is_done = RunJson::load(&folder.run_json())?.state == RunState::Done;
        if is_done && before.get("train") == now.get("train") {
            if before != now {
                terminal.note("the overrides have no effect, because the run is finished");
            }
            terminal.say(format!(
                "{} is finished; train longer with `train-ctrnn resume {} train.steps=N`",
                path.display(),
                quoted_path(path)
            ));
            print_state(terminal, path, "done")?;
            return Ok(0);
        }
        check_steps(&folder, run)?;
        if self.dry_run {
            terminal.say(format!("{} would be resumed", path.display()));
            print_state(terminal, path, "would be resumed")?;
            return Ok(0);
        }
        let stop = StopRequests::listen(self.max_time)?;
        let start = Start::Again {
            path,
            overrides: self.overrides,
            branch,
        };
        train_and_report(run, start, &stop, terminal)
    }
}

/// Checks that a run does not have more steps already than it is to have.
fn check_steps(folder: &RunFolder, run: &Run) -> Result<(), Failure> {
    let reached = folder.newest_whole_checkpoint()?.step.unwrap_or(0);
    let asked = run.config.train.steps;
    if asked >= reached || !run.stages.is_empty() {
        return Ok(());
    }
    let message = format!(
        "{} has made {} already, more than train.steps = {asked}",
        folder.root().display(),
        counted(reached, "step"),
    );
    let problem = run.problem("train.steps", Code::StepsDone, message);
    let help = format!("use a larger number: train.steps={}", 2 * reached);
    Err(problem.help(help).into())
}

/// Continues the run at `path` by the command `args`, which must be the one that began it, as in `run` and `given`.
///
/// # Errors
/// If another command began it, or see [`Continued::train`].
pub fn by_its_own_command(
    path: &Path,
    run: Run,
    given: &GivenConfig,
    args: &TrainArgs,
    registry: &Registry,
    terminal: &Terminal,
) -> Result<u8, Failure> {
    let run = with_own_beginning(run, path, args, terminal)?;
    let own = given.overrides.iter().filter(|word| is_own_override(word));
    let own: Vec<String> = own.cloned().collect();
    let branch = branch(path, &run, &args.config, &own, &args.data);
    let run = as_it_continues(
        path,
        run,
        given,
        args,
        branch.as_deref(),
        registry,
        terminal,
    )?;
    let continued = Continued {
        path,
        run,
        overrides: &[],
        branch,
        max_time: args.max_time,
        dry_run: args.dry_run,
    };
    continued.train(terminal)
}

/// Returns the run at `path` with the values that `resume` has changed since it began, because steps may have been made
/// with them.
fn as_it_continues(
    path: &Path,
    run: Run,
    given: &GivenConfig,
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
    note_resumed_values(path, &differing, terminal);
    // The task is that of the command, so its program was agreed to with it.
    let needs = Needs::Trials(Consent::given(terminal));
    let data = Data {
        threads: None, // the run continues with its own number, as the note says
        ..args.data.clone()
    };
    Ok(existing(path, &data, &[], registry, needs, RunPart::WHOLE)?.1)
}

/// Notes the values with which a run was resumed, and which it keeps.
fn note_resumed_values(path: &Path, differing: &[Difference], terminal: &Terminal) {
    terminal.notes(differing.iter().map(|d| {
        format!(
            "{} continues with {} = {}, with which it was resumed; the command has {}",
            path.display(),
            d.key,
            d.left_word(),
            d.right_word()
        )
    }));
}

/// Returns true if a run began with the same configuration file, apart from comments and layout, and the same overrides.
fn began_with(folder: &RunFolder, given: &GivenConfig) -> Result<bool, Failure> {
    let values =
        |bytes: &[u8]| -> Option<toml::Table> { std::str::from_utf8(bytes).ok()?.parse().ok() };
    let config = read_at_most(&folder.config(), MAX_CONFIG_BYTES)?;
    let is_same_file = match (values(&config), values(&given.config)) {
        (Some(before), Some(now)) => before == now,
        _ => config == given.config,
    };
    // The weights that `--init-from` finds may be newer now; a run continues with its own initial weights.
    let overrides = read_at_most(&folder.overrides(), MAX_CONFIG_BYTES)?;
    let overrides = String::from_utf8_lossy(&overrides);
    let before = overrides.lines().filter(|word| is_own_override(word));
    let now = given.overrides_text();
    let now = now.lines().filter(|word| is_own_override(word));
    Ok(is_same_file && before.eq(now))
}
