//! Existing runs: their folders, configurations and weights.

use std::path::Path;

use burn::tensor::backend::Backend;
use ctrnn_config::{Code, ConfigErrors, Reading, Run, StageChoice, is_within};
use ctrnn_files::RunFolder;
use ctrnn_model::{CtrnnModule, InitialState};
use ctrnn_runs::{
    RunError, RunWeights, begun_in, check_inputs, left_open, recorded_layout, trained_channels,
};
use ctrnn_tasks::{Programs, Registry};

use crate::args::Data;
use crate::failure::Failure;
use crate::terminal::Terminal;
use crate::trust::Consent;

/// Parts of a run that a command needs.
#[derive(Clone, Copy)]
pub enum Needs<'a> {
    /// Configuration and network; no program is started.
    Network,
    /// Also trials of its task; a program that makes them is started with this consent.
    Trials(Consent<'a>),
}

/// Opens the run in a folder, from its resolved configuration and some overrides, and checks that its data have not
/// changed.
///
/// # Errors
/// See [`existing`]; also if a file of trials has changed.
pub fn existing_with_data(
    path: &Path,
    data: &Data,
    overrides: &[String],
    registry: &Registry,
    needs: Needs,
    part: RunPart,
) -> Result<(RunFolder, Run), Failure> {
    let (folder, run) = existing(path, data, overrides, registry, needs, part)?;
    check_inputs(&folder, &run)?;
    Ok((folder, run))
}

/// Opens the run in a folder, from its resolved configuration and some overrides.
///
/// # Errors
/// If there is no run, or its configuration cannot be read.
pub fn existing(
    path: &Path,
    data: &Data,
    overrides: &[String],
    registry: &Registry,
    needs: Needs,
    part: RunPart,
) -> Result<(RunFolder, Run), Failure> {
    let folder = existing_folder(path)?;
    let given = data.overrides(overrides);
    let left_open = left_open(&folder).into_iter();
    let left_open = left_open.filter(|(key, _)| !is_set(key, &given));
    let left_open = left_open.map(|(key, value)| format!("{key}={value}"));
    let overrides: Vec<String> = left_open.chain(given.iter().cloned()).collect();
    let read =
        |overrides: &[String]| read_resolved(&folder, data, overrides, registry, needs, part);
    let run = read(&overrides)?;
    let is_per_condition = matches!(run.model.initial_state, InitialState::LearnedPerCondition);
    if is_per_condition && overrides.iter().any(|given| given.contains("task")) {
        // Conditions are numbered by the trials of training.
        let own = read(&[])?;
        check_inputs(&folder, &own)?;
        check_conditions(&run, &own)?;
    }
    let run = begun_in(run.with_named_paths(), &folder)?;
    Ok((folder, run))
}

/// Part of a run from which a command takes the task, validation and noise.
#[derive(Clone, Copy)]
pub struct RunPart<'a> {
    /// The stage of the training.
    pub stage: StageChoice<'a>,
    /// The named validation set; `None` for the main one, with the task of the training.
    pub validation: Option<&'a str>,
}

impl RunPart<'_> {
    /// The whole training.
    pub const WHOLE: Self = Self {
        stage: StageChoice::All,
        validation: None,
    };
    /// The last stage.
    pub const LAST: Self = Self {
        stage: StageChoice::Last,
        validation: None,
    };
}

/// Returns the part of a run that a command takes its task from: the stage that `--stage` names, or the last.
pub fn asked_stage(stage: Option<&str>) -> RunPart<'_> {
    RunPart {
        stage: stage.map_or(StageChoice::Last, StageChoice::Named),
        validation: None,
    }
}

/// Returns the name that `--validation=NAME` gives.
pub fn named_set(validation: &Option<Option<String>>) -> Option<&str> {
    validation.as_ref()?.as_deref()
}

/// Notes from which stage of a training the task is taken, if it has stages.
pub fn note_stage(run: &Run, terminal: &Terminal) {
    if let Some(stage) = &run.stage {
        terminal.note(format!(
            "task, validation and noise are those of stage {stage}"
        ));
    }
}

/// Returns true if an override sets or removes a key or a table around it; for a key of a schedule, any of its keys.
fn is_set(key: &str, overrides: &[String]) -> bool {
    overrides.iter().any(|given| {
        let given = given.trim_start_matches('~');
        let path = given.split('=').next().unwrap_or_default().trim();
        is_within(key, path)
            || (key.starts_with("train.schedule.") && path.starts_with("train.schedule"))
    })
}

/// Reads the resolved configuration of a run with these overrides.
fn read_resolved(
    folder: &RunFolder,
    data: &Data,
    overrides: &[String],
    registry: &Registry,
    needs: Needs,
    part: RunPart,
) -> Result<Run, ConfigErrors> {
    let trained = || trained_channels(folder);
    let read = |programs: Programs| {
        let reading = Reading {
            registry,
            overrides,
            data_root: data.data_root.as_deref(),
            programs,
            trained: Some(&trained),
            stage: part.stage,
            validation: part.validation,
        };
        reading.file(&folder.resolved())
    };
    match needs {
        Needs::Trials(consent) => read(Programs::Agreed(&|words| consent.agree(words))),
        Needs::Network => read(Programs::Never {
            layout: recorded_layout(folder).as_ref(),
        }),
    }
}

/// Checks that the conditions are those of the run itself, in the same order: a network with an initial state for each
/// condition finds them by index.
fn check_conditions(now: &Run, own: &Run) -> Result<(), Failure> {
    let values = |run: &Run| -> Vec<Vec<(String, f64)>> {
        let conditions = run.task.conditions().into_iter();
        conditions.map(|condition| condition.values).collect()
    };
    if values(now) == values(own) {
        return Ok(());
    }
    let what = "the network has an initial state for each condition of the task that it was trained on, but these overrides change the conditions or their order";
    let help = "remove these overrides: conditions such as coherences, validation_fraction, seed";
    Err(Failure::of_code(Code::NotHere, what, help))
}

/// Reads the weights of a run: its newest state, identified in a note, or the requested checkpoint.
///
/// # Errors
/// If there is no such checkpoint, or all are damaged.
pub fn weights_of(
    folder: &RunFolder,
    run: &Run,
    checkpoint: Option<&str>,
    terminal: &Terminal,
) -> Result<RunWeights, Failure> {
    let found = RunWeights::read(folder, checkpoint, Some(&run.model))?;
    let root = folder.root().display();
    terminal.notes(found.notes.iter().map(|note| format!("{root}: {note}")));
    Ok(found)
}

/// Returns the network of a run with its weights: its newest state, or the checkpoint of these words. For programs that use this crate as
/// a library.
///
/// # Errors
/// If there is no run, or it has no such weights.
pub fn network_of<B: Backend>(
    path: &Path,
    checkpoint: Option<&str>,
    registry: &Registry,
    device: &B::Device,
) -> Result<(RunWeights, CtrnnModule<B>), Failure> {
    let data = Data::default();
    let (folder, run) = existing(path, &data, &[], registry, Needs::Network, RunPart::LAST)?;
    let weights = RunWeights::read(&folder, checkpoint, Some(&run.model))?;
    let network = weights.network(&run, device)?;
    Ok((weights, network))
}

/// Returns the folder of an existing run.
///
/// # Errors
/// If there is no run.
pub fn existing_folder(path: &Path) -> Result<RunFolder, Failure> {
    let folder = RunFolder::at(path);
    if folder.run_json().is_file() {
        return Ok(folder);
    }
    Err(Failure::of_code(
        Code::Data,
        format!("{} is not a run: it has no RUN.json", path.display()),
        "give the folder of a run, such as runs/smoke-s1; `train-ctrnn train CONFIG` creates one",
    ))
}

/// Reads the resolved configuration in a run folder as it was recorded; the files that it names may be missing.
///
/// # Errors
/// If it is missing or not TOML.
pub fn recorded(folder: &RunFolder) -> Result<toml::Table, Failure> {
    ctrnn_runs::recorded(folder).map_err(|error| match error {
        RunError::Data { .. } => {
            let help = "the file was changed by hand; restore it from config.toml";
            Failure::of_code(Code::Data, error.to_string(), help)
        }
        error => error.into(),
    })
}
