//! Initial weights of a run, from `--init-from` or the run folder, and the command that branches a new run off an
//! existing one.

use std::path::{Path, PathBuf};

use ctrnn_config::{Code, GivenWeights, Reading, Run, WeightSource};
use ctrnn_files::{FileError, RunFolder, digest};
use ctrnn_model::{InitialState, Parameter, Weights};
use ctrnn_runs::{Checkpoint, INIT_FROM, RunWeights, as_typed, begun_in};
use ctrnn_tasks::{Programs, Registry};
use ctrnn_train::conditions_of_states;
use serde_json::Value;

use crate::args::{Data, TrainArgs};
use crate::failure::{Failure, USAGE};
use crate::folder_name::{default_path, free_name, with_name};
use crate::shell::quoted_path;
use crate::terminal::Terminal;

/// Start of the override by which `--init-from` names a file of weights.
pub const INIT_FILE: &str = "model.init.file=";

/// Returns true for an override that the user gave, and not `--init-from`.
pub fn is_own_override(word: &str) -> bool {
    !word.starts_with(INIT_FILE)
}

/// Returns the weight file that `--init-from` refers to, and its content.
///
/// # Errors
/// If two checkpoints are requested, the run does not exist, or its weights, or the state of its optimizer, cannot be read.
pub fn weights_to_begin_with(
    source: &Path,
    checkpoint: Option<&str>,
    with_optimizer: bool,
    terminal: &Terminal,
) -> Result<(PathBuf, GivenWeights), Failure> {
    let asked = asked_source(source, checkpoint, with_optimizer)?;
    let folder = RunFolder::at(&asked.run);
    if !folder.run_json().is_file() {
        return Err(no_run_to_begin_with(source, &asked.run));
    }
    let checkpoint = asked.checkpoint.as_deref();
    let mut found = RunWeights::read(&folder, checkpoint, None)?;
    let mut digest = digest::blake3_file(&found.path);
    for _ in 0..20 {
        if !matches!(digest, Err(FileError::Missing { .. })) {
            break;
        }
        // The run is still in training and has replaced this checkpoint by newer ones.
        found = RunWeights::read(&folder, checkpoint, None)?;
        digest = digest::blake3_file(&found.path);
    }
    let run = asked.run.display();
    terminal.notes(found.notes.iter().map(|note| format!("{run}: {note}")));
    let optimizer = with_optimizer.then(|| optimizer_at(&folder, found.step));
    let optimizer = optimizer.transpose()?;
    let given = GivenWeights {
        weights: found.weights,
        blake3: digest?,
        source: absolute(asked),
        step: found.step,
        optimizer,
    };
    Ok((found.path, given))
}

/// Reads the state of the optimizer after a step of a run.
fn optimizer_at(folder: &RunFolder, step: u64) -> Result<Weights, Failure> {
    let checkpoint = folder.checkpoint(step);
    if !checkpoint.is_dir() {
        let what = format!(
            "{} has no checkpoint of step {step}, which would hold the state of its optimizer",
            folder.root().display()
        );
        let help = "remove --with-optimizer, or name a checkpoint: --from RUN@last";
        return Err(Failure::of_code(Code::Data, what, help));
    }
    Ok(Checkpoint::read(&checkpoint)?.optimizer)
}

fn no_run_to_begin_with(source: &Path, run: &Path) -> Failure {
    let what = format!(
        "{} is not a run to begin with: it has no RUN.json",
        run.display()
    );
    let around = source
        .ancestors()
        .skip(1)
        .find(|folder| RunFolder::at(*folder).run_json().is_file());
    let is_weight_file = source
        .extension()
        .is_some_and(|extension| extension == "safetensors" || extension == "npz");
    let help = if source.is_file() && is_weight_file {
        let file = quoted_path(source);
        format!("begin with a weight file by its key: model.init.file={file}")
    } else if let Some(around) = around.filter(|around| *around != Path::new("")) {
        let around = quoted_path(around);
        format!(
            "give the folder of the run: --init-from {around}, and a checkpoint of it if its newest weights are not meant: --checkpoint last|best|STEP"
        )
    } else {
        "give the folder of a run, and a checkpoint of it if its newest weights are not meant: --init-from RUN --checkpoint last|best|STEP".to_owned()
    };
    Failure::of_code(Code::Data, what, help)
}

/// Returns the run and the checkpoint named by `--init-from` and `--checkpoint`.
fn asked_source(
    source: &Path,
    checkpoint: Option<&str>,
    optimizer: bool,
) -> Result<WeightSource, Failure> {
    let (run, named) = run_and_checkpoint(source);
    if let (Some(asked), Some(named)) = (checkpoint, &named) {
        let what = format!("two checkpoints are given: {named} and {asked}");
        let help = "remove --checkpoint, or give only the folder of the run";
        return Err(Failure::new(USAGE, "U005", what, help));
    }
    Ok(WeightSource {
        run,
        checkpoint: checkpoint.map(str::to_owned).or(named),
        optimizer,
    })
}

/// Splits `RUN`, `RUN@WHICH`, `RUN/checkpoints/step-00000500` or `RUN/checkpoints/last` into run and checkpoint.
fn run_and_checkpoint(source: &Path) -> (PathBuf, Option<String>) {
    let name = source.file_name().and_then(|name| name.to_str());
    let is_among_checkpoints = source
        .parent()
        .is_some_and(|parent| parent.ends_with("checkpoints"));
    let word = name.filter(|_| is_among_checkpoints).and_then(|name| {
        let step = name.strip_prefix("step-").map(str::parse::<u64>);
        match step {
            Some(step) => Some(step.ok()?.to_string()),
            None => matches!(name, "last" | "best").then(|| name.to_owned()),
        }
    });
    if let (Some(word), Some(run)) = (word, source.ancestors().nth(2)) {
        let run = if run == Path::new("") {
            Path::new(".")
        } else {
            run
        };
        return (run.to_owned(), Some(word));
    }
    match source.to_str().and_then(|text| text.rsplit_once('@')) {
        Some((run, which)) if !source.exists() => (run.into(), Some(which.to_owned())),
        _ => (source.to_owned(), None),
    }
}

/// Makes the path of a source absolute, so that it is valid in any working directory.
fn absolute(source: WeightSource) -> WeightSource {
    let run = source.run.canonicalize();
    let run = run.or_else(|_| std::path::absolute(&source.run));
    WeightSource {
        run: run.unwrap_or(source.run),
        ..source
    }
}

/// Returns the initial weights kept by the run that this command continues, if there is one: the source of
/// `--init-from` may no longer exist.
pub fn kept_weights(
    args: &TrainArgs,
    overrides: &[String],
    registry: &Registry,
) -> Option<PathBuf> {
    let path = match &args.run_dir {
        Some(path) => path.clone(),
        None => {
            let without = [overrides, &["~model.init.file".to_owned()]].concat();
            let reading = Reading {
                overrides: &without,
                data_root: args.data.data_root.as_deref(),
                programs: Programs::NEVER,
                ..Reading::new(registry)
            };
            let values = reading.values(&args.config).ok()?;
            default_path(&args.config, values.resolved().seed)
        }
    };
    let folder = RunFolder::at(path);
    let own = folder.initial_weights().canonicalize().ok()?;
    began_from(&folder, args)?.then_some(own)
}

/// Returns true if a run began with the weights that `--init-from` and `--checkpoint` name, or `None` if its folder
/// does not record them.
fn began_from(folder: &RunFolder, args: &TrainArgs) -> Option<bool> {
    let source = args.init_from.as_deref()?;
    let checkpoint = args.checkpoint.as_deref();
    let asked = absolute(asked_source(source, checkpoint, args.with_optimizer).ok()?);
    let manifest: Value = ctrnn_files::json::read(&folder.manifest()).ok()?;
    if let Some(began) = manifest.get(INIT_FROM) {
        let began: WeightSource = serde_json::from_value(began.clone()).ok()?;
        return Some(began == asked);
    }
    // Earlier versions recorded only the file.
    let step = asked
        .checkpoint
        .as_deref()
        .and_then(|word| word.parse().ok());
    let place = match step {
        Some(step) => RunFolder::at(&asked.run).checkpoint(step),
        None => asked.run,
    };
    Some(recorded_inputs(&manifest).any(|(path, _)| path.starts_with(&place)))
}

/// Replaces the initial weights of a continued run by the copy that it keeps, because the source of `--init-from` may
/// have been trained further since.
///
/// # Errors
/// If its manifest cannot be read.
pub fn with_own_beginning(
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
    let Ok(own) = initial.path.canonicalize() else {
        return Ok(run);
    };
    if *file == own {
        return Ok(run.beginning_with(own));
    }
    let manifest: Value = ctrnn_files::json::read(&folder.manifest())?;
    let recorded = recorded_inputs(&manifest).find(|(path, _)| path == file);
    let is_own = match args.init_from {
        Some(_) => began_from(&folder, args) == Some(true),
        None => recorded.is_some(),
    };
    if !is_own {
        return Ok(run);
    }
    let is_as_it_was = recorded.is_some_and(|(_, blake3)| {
        digest::blake3_file(file).is_ok_and(|now| Some(now.as_str()) == blake3)
    });
    if !is_as_it_was && file.exists() {
        note_other_weights(path, file, terminal);
    }
    Ok(run.beginning_with(own))
}

/// Notes that a run continues with its own initial weights, because those of the file have changed.
fn note_other_weights(path: &Path, file: &Path, terminal: &Terminal) {
    terminal.note(format!(
        "{} continues with its own initial weights; {} has other weights now",
        path.display(),
        file.display()
    ));
}

/// Returns path and digest of each input file in the manifest of a run.
fn recorded_inputs(manifest: &Value) -> impl Iterator<Item = (&Path, Option<&str>)> {
    let inputs = manifest["inputs"].as_array().into_iter().flatten();
    inputs.filter_map(|input| Some((Path::new(input["path"].as_str()?), input["blake3"].as_str())))
}

/// Returns the command for a new run that begins with the newest weights of the run at `path`, or `None` if they do not
/// fit the requested network.
pub fn branch(
    path: &Path,
    asked: &Run,
    config: &Path,
    overrides: &[String],
    data: &Data,
) -> Option<String> {
    let newest = RunWeights::read(&RunFolder::at(path), None, None).ok()?;
    if !fits(&newest.weights, asked) {
        return None;
    }
    let text = |path: &Path| path.display().to_string();
    let run = with_name(path);
    let mut branch = run.clone().into_os_string();
    branch.push("-branch");
    let mut words = vec!["train-ctrnn".to_owned(), "train".to_owned(), text(config)];
    words.extend(overrides.iter().cloned());
    if let Some(root) = &data.data_root {
        words.extend(["--data-root".to_owned(), text(root)]);
    }
    words.extend(["--run-dir".to_owned(), text(&free_name(branch))]);
    words.extend(["--init-from".to_owned(), text(&run)]);
    Some(as_typed(&words))
}

/// Returns true if weights have the shapes of a network; initial states may belong to other conditions.
fn fits(weights: &Weights, run: &Run) -> bool {
    let has_conditions = matches!(run.model.initial_state, InitialState::LearnedPerCondition)
        && conditions_of_states(weights);
    run.model.parameters().into_iter().all(|spec| {
        let parameter = spec.parameter;
        let Some(data) = weights.get(&parameter.name()) else {
            return true; // drawn
        };
        let (found, asked) = (&data.shape[..], spec.shape);
        let is_by_condition = parameter == Parameter::INITIAL_STATE && has_conditions;
        found == asked || is_by_condition && found.last() == asked.last()
    })
}
