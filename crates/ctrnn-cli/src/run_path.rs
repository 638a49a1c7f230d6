//! Run folders: default paths, and existing runs with their configurations.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use ctrnn_config::{Difference, Reading, Run};
use ctrnn_files::RunFolder;
use ctrnn_model::InitialState;
use ctrnn_runs::{
    RunError, RunWeights, begun_in, check_inputs, left_open, recorded_layout, trained_channels,
};
use ctrnn_tasks::{Programs, Registry};
use toml::Value;

use crate::args::Data;
use crate::failure::{DATA, Failure, USAGE};
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

/// Returns the default folder of a run, `runs/<config stem>-s<seed>`.
pub fn default_path(config: &Path, seed: u64) -> PathBuf {
    let stem = config.file_stem().unwrap_or_default().to_string_lossy();
    Path::new("runs").join(format!("{stem}-s{seed}"))
}

/// Suggests a free folder for a run other than the one at `path`: the same name with the first values that differ, such
/// as `runs/smoke-s1-lr0.003`, and a number if needed.
pub fn folder_beside(path: &Path, differing: &[Difference]) -> PathBuf {
    let path = with_name(path);
    let name = with_values(&path, differing);
    if differing.is_empty() {
        return numbered_name(&name);
    }
    free_name(name)
}

/// Returns this name if it is free, otherwise the name with a number.
pub fn free_name(name: OsString) -> PathBuf {
    match Path::new(&name).symlink_metadata() {
        Err(_) => name.into(),
        Ok(_) => numbered_name(&name),
    }
}

fn numbered_name(name: &OsString) -> PathBuf {
    let mut names = (2..).map(|number| {
        let mut name = name.clone();
        name.push(format!("-{number}"));
        PathBuf::from(name)
    });
    let is_free = |path: &PathBuf| path.symlink_metadata().is_err();
    names.find(is_free).expect("there is no last number")
}

/// Returns the path of a folder so that it ends in its name, unlike `.` and `..`.
pub fn with_name(path: &Path) -> PathBuf {
    let named = path.components().as_path(); // without a slash or a dot at its end
    let has_name = named.file_name().is_some();
    match path.canonicalize() {
        Ok(absolute) if !has_name => absolute,
        _ => named.to_owned(),
    }
}

fn with_values(path: &Path, differing: &[Difference]) -> OsString {
    let is_telling = |d: &&Difference| d.right.is_some() && !d.key.starts_with("device.");
    let mut telling: Vec<&Difference> = differing.iter().filter(is_telling).collect();
    if telling.is_empty() {
        telling = differing.iter().collect();
    }
    let mut name = path.components().as_path().as_os_str().to_owned(); // without a slash at its end
    for difference in telling.into_iter().take(3) {
        name.push("-");
        name.push(name_part(difference));
    }
    name
}

/// Formats a difference for a folder's name: `lr0.003`, `activation-tanh`, `no-stop`; only the name for a longer value.
fn name_part(Difference { key, right, .. }: &Difference) -> String {
    let name = key.rsplit('.').next().unwrap_or(key);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match right {
        None => format!("no-{name}"),
        Some(value @ (Value::Integer(_) | Value::Float(_))) => format!("{name}{value}"),
        Some(Value::Boolean(value)) => format!("{name}-{value}"),
        Some(Value::String(word)) if word.len() <= 20 && word.chars().all(is_plain) => {
            format!("{name}-{word}")
        }
        Some(_) => name.to_owned(),
    }
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
) -> Result<(RunFolder, Run), Failure> {
    let (folder, run) = existing(path, data, overrides, registry, needs)?;
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
) -> Result<(RunFolder, Run), Failure> {
    let folder = existing_folder(path)?;
    let given = data.overrides(overrides);
    let left_open = left_open(&folder).into_iter();
    let left_open = left_open.filter(|(key, _)| !is_set(key, &given));
    let left_open = left_open.map(|(key, value)| format!("{key}={value}"));
    let overrides: Vec<String> = left_open.chain(given.iter().cloned()).collect();
    let trained = || trained_channels(&folder);
    let reading = Reading {
        registry,
        overrides: &overrides,
        data_root: data.data_root.as_deref(),
        programs: Programs::NEVER,
        trained: Some(&trained),
    };
    let read = |overrides: &[String]| match needs {
        Needs::Trials(consent) => Reading {
            overrides,
            programs: Programs::Agreed(&|words| consent.agree(words)),
            ..reading
        }
        .file(&folder.resolved()),
        Needs::Network => Reading {
            overrides,
            programs: Programs::Never {
                layout: recorded_layout(&folder).as_ref(),
            },
            ..reading
        }
        .file(&folder.resolved()),
    };
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

/// Returns true if an override sets or removes a key or a table around it; for a key of a schedule, any of its keys.
fn is_set(key: &str, overrides: &[String]) -> bool {
    overrides.iter().any(|given| {
        let given = given.trim_start_matches('~');
        let path = given.split('=').next().unwrap_or_default().trim();
        let rest = key.strip_prefix(path);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            || (key.starts_with("train.schedule.") && path.starts_with("train.schedule"))
    })
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
    Err(Failure::new(USAGE, "C019", what, help))
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
    found
        .notes
        .iter()
        .for_each(|note| terminal.note(format!("{root}: {note}")));
    Ok(found)
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
    Err(Failure::new(
        DATA,
        "D001",
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
            Failure::new(DATA, "D001", error.to_string(), help)
        }
        error => error.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_beside_another_is_named_after_what_differs() {
        let name = |differing: &[(&str, Option<Value>)]| {
            let differing = differing.iter().map(|(key, right)| Difference {
                key: (*key).to_owned(),
                left: None,
                right: right.clone(),
            });
            with_values(Path::new("runs/a"), &differing.collect::<Vec<_>>())
        };
        let lr = ("train.optimizer.lr", Some(Value::Float(0.003)));
        assert_eq!(name(&[lr]), "runs/a-lr0.003");
        assert_eq!(name(&[]), "runs/a");
        let word = |word: &str| Some(Value::String(word.to_owned()));
        let several = [
            ("device.threads", Some(Value::Integer(1))),
            ("model.activation", word("tanh")),
            ("task.npz.path", word("/a path/to trials.npz")),
            ("train.stop", None),
            ("validate.trials", Some(Value::Integer(2))),
        ];
        assert_eq!(name(&several), "runs/a-activation-tanh-path-trials2");
        assert_eq!(name(&several[..1]), "runs/a-threads1");
        assert_eq!(name(&several[3..4]), "runs/a-no-stop");
        assert_eq!(folder_beside(Path::new("a"), &[]), Path::new("a-2"));
    }
}
