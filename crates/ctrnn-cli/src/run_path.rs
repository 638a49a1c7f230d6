//! Where a run's folder is, and what an existing run was configured with.

use std::path::{Path, PathBuf};

use ctrnn_files::RunFolder;
use ctrnn_tasks::Registry;
use ctrnn_train::{Run, RunConfig, check_inputs};

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
    overrides: &[String],
    registry: &Registry,
) -> Result<(RunFolder, Run), Failure> {
    let (folder, run) = existing(path, overrides, registry)?;
    check_inputs(&folder, &run)?;
    Ok((folder, run))
}

/// The run in a folder, from its resolved configuration and some overrides.
///
/// # Errors
/// If there is no run, or its configuration cannot be read.
pub fn existing(
    path: &Path,
    overrides: &[String],
    registry: &Registry,
) -> Result<(RunFolder, Run), Failure> {
    let folder = RunFolder::at(path);
    if !folder.run_json().is_file() {
        return Err(Failure::new(
            DATA,
            "D001",
            format!("{} is not a run: it has no RUN.json", path.display()),
            "give the folder of a run, such as runs/smoke-s1; `train-ctrnn train CONFIG` makes one",
        ));
    }
    let run = RunConfig::load(&folder.resolved(), overrides, registry)?;
    Ok((folder, run))
}

/// Refuses overrides outside of some tables.
///
/// # Errors
/// If an override's key is not under one of `tables`.
pub fn only_under(tables: &[&str], overrides: &[String]) -> Result<(), Failure> {
    let is_under = |key: &str| {
        tables
            .iter()
            .any(|table| key == *table || key.starts_with(&format!("{table}.")))
    };
    for text in overrides {
        let key = text
            .split('=')
            .next()
            .unwrap_or(text)
            .trim_start_matches('~');
        if !is_under(key) {
            return Err(Failure::new(
                crate::failure::USAGE,
                "C019",
                format!("{key} is fixed in a run and cannot be overridden here"),
                format!("override keys under {}", tables.join(", ")),
            ));
        }
    }
    Ok(())
}
