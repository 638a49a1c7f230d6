//! Where a run's folder is, and what an existing run was configured with.

use std::path::{Path, PathBuf};

use ctrnn_files::{RunFolder, read_at_most};
use ctrnn_tasks::{Programs, Registry};
use ctrnn_train::{MAX_CONFIG_BYTES, Reading, Run, RunWeights, check_inputs, recorded_layout};

use crate::args::Data;
use crate::failure::{DATA, Failure};
use crate::terminal::Terminal;
use crate::trust::Consent;

/// What a command needs of a run.
#[derive(Clone, Copy)]
pub enum Needs<'a> {
    /// Its configuration and its network; no program is started.
    Network,
    /// Trials of its task too; a program that makes them is started with this consent.
    Trials(Consent<'a>),
}

/// `runs/<config stem>-s<seed>`
pub fn default_path(config: &Path, seed: u64) -> PathBuf {
    let stem = config.file_stem().unwrap_or_default().to_string_lossy();
    Path::new("runs").join(format!("{stem}-s{seed}"))
}

/// The run in a folder, from its resolved configuration and some overrides, whose data are as they were.
///
/// # Errors
/// As [`existing`], and if a file of trials has changed.
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

/// The run in a folder, from its resolved configuration and some overrides.
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
    let reading = Reading {
        registry,
        overrides,
        data_root: data.data_root.as_deref(),
        programs: Programs::NEVER,
    };
    let run = match needs {
        Needs::Trials(consent) => Reading {
            programs: Programs::Agreed(&|words| consent.agree(words)),
            ..reading
        }
        .file(&folder.resolved())?,
        Needs::Network => Reading {
            programs: Programs::Never {
                layout: recorded_layout(&folder).as_ref(),
            },
            ..reading
        }
        .file(&folder.resolved())?,
    };
    let run = run.with_named_paths().begun_in(&folder)?;
    Ok((folder, run))
}

/// The weights of a run: its newest state, of which the user hears which it is, or the checkpoint that was asked for.
///
/// # Errors
/// If there is no such checkpoint, or nothing whole.
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

/// The folder of a run that is there.
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
        "give the folder of a run, such as runs/smoke-s1; `train-ctrnn train CONFIG` makes one",
    ))
}

/// The resolved configuration that a run folder holds, as it was recorded: nothing that it names need be there.
///
/// # Errors
/// If it is missing or no TOML.
pub fn recorded(folder: &RunFolder) -> Result<toml::Table, Failure> {
    let path = folder.resolved();
    let bytes = read_at_most(&path, MAX_CONFIG_BYTES)?;
    let damaged = |why: String| {
        let what = format!("{}: {why}", path.display());
        let help = "the file was changed by hand; restore it from config.toml";
        Failure::new(DATA, "D001", what, help)
    };
    let text = String::from_utf8(bytes).map_err(|error| damaged(error.to_string()))?;
    text.parse()
        .map_err(|error: toml::de::Error| damaged(error.message().to_owned()))
}
