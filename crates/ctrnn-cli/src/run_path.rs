//! Where a run's folder is, and what an existing run was configured with.

use std::path::{Path, PathBuf};

use ctrnn_files::{RunFolder, read_at_most};
use ctrnn_tasks::Registry;
use ctrnn_train::{MAX_CONFIG_BYTES, Run, RunConfig, check_inputs, trained_sizes};

use crate::args::Data;
use crate::failure::{DATA, Failure};

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
) -> Result<(RunFolder, Run), Failure> {
    let (folder, run) = existing(path, data, overrides, registry)?;
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
) -> Result<(RunFolder, Run), Failure> {
    let folder = existing_folder(path)?;
    let root = data.data_root.as_deref();
    let sizes = || trained_sizes(&folder);
    let resolved = folder.resolved();
    let run = RunConfig::load_trained(&resolved, root, overrides, registry, &sizes)?;
    Ok((folder, run.with_named_paths()))
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
