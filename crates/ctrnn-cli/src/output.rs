//! Checks of the paths for results that a user names: `-o`, `--run-dir`, `--force`.

use std::path::Path;

use ctrnn_files::{FileError, RunFolder, output};

use crate::failure::{Failure, USAGE};
use crate::terminal::Terminal;

/// Checks that a file may be written at a path, so that a command fails before a long computation.
///
/// # Errors
/// If an existing file would be lost, or the standard output would receive both the file and JSON.
pub fn check(path: &Path, force: bool, terminal: &Terminal) -> Result<(), Failure> {
    if terminal.is_json() && output::is_stdout(path) {
        let what = format!(
            "{} is the standard output, which --json uses too",
            path.display()
        );
        let help = "write to a file, or leave out --json";
        return Err(Failure::new(USAGE, "U005", what, help));
    }
    Ok(output::check(path, force)?)
}

/// Checks that a run can be replaced without losing other files in its folder.
///
/// # Errors
/// Names the files that would be lost.
pub fn check_replaced(run: &Path) -> Result<(), Failure> {
    let analyses: Vec<&str> = ctrnn_analysis::ANALYSES
        .iter()
        .map(|analysis| analysis.name)
        .collect();
    let foreign = RunFolder::at(run).foreign(&analyses)?;
    if foreign.is_empty() {
        return Ok(());
    }
    let path = run.to_owned();
    let names = foreign.iter().map(|name| name.display().to_string());
    Err(FileError::Foreign {
        path,
        names: names.collect(),
    }
    .into())
}
