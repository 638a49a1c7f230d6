//! Remedies for errors of files.

use std::path::Path;

use ctrnn_config::word_like;
use ctrnn_files::{FileError, FormatError};

use crate::folder_name::folder_beside;
use crate::shell::quoted_path;

/// Returns the remedy for an error of a file or folder.
pub fn remedy(error: &FileError) -> String {
    let help = match error {
        FileError::Locked { path, .. } => {
            return format!(
                "wait until it has ended, or stop that process; another run needs its own folder: train with --run-dir {}",
                quoted_path(&folder_beside(path, &[])),
            );
        }
        FileError::Displaced { path, now } => return displaced(path, now.as_deref()),
        FileError::NoFolder { folder, .. } if folder.symlink_metadata().is_err() => {
            return format!("make it: mkdir -p {}", quoted_path(folder));
        }
        FileError::Missing { path } => return missing(path),
        FileError::NoFolder { .. } => "choose another place",
        FileError::AlreadyExists { .. } => "choose another name, or replace it: --force",
        FileError::OfRun { .. } => "choose a path outside of the run, or next to its report.html",
        FileError::NotWritable { .. } => "name a file, such as FOLDER/NAME",
        FileError::Foreign { .. } => "move these files to another folder, or choose another name",
        FileError::NotAFile { .. } => "give the path of a file",
        FileError::Linked { .. } => {
            "copy the run with its content, for instance with `cp -rL RUN COPY`"
        }
        FileError::Format { path, rule } => malformed(path, rule),
        _ => "check that the folder exists, its free space and its permissions",
    };
    help.to_owned()
}

/// Returns the remedy for a run folder that is no longer at `path`, but `now` elsewhere.
fn displaced(path: &Path, now: Option<&Path>) -> String {
    match now {
        Some(now) => format!(
            "continue in its current folder: train-ctrnn resume {}; do not rename the folder of a run that is training",
            quoted_path(now)
        ),
        None if path.join("RUN.json").is_file() => format!(
            "a run is at that place: if it is this one, and only its .lock was removed, continue it: train-ctrnn resume {}",
            quoted_path(path)
        ),
        None => "everything that was saved has been lost with the folder; begin again with --run-dir and another folder, and keep it while the run is training".to_owned(),
    }
}

/// Returns the remedy for a file that breaks a rule of its format.
fn malformed(path: &Path, rule: &FormatError) -> &'static str {
    match rule {
        FormatError::Container { container } => container.remedy(),
        FormatError::Entries { dictionaries, .. } if *dictionaries > 0 => {
            "choose one: --entry NAME"
        }
        FormatError::Entries { .. }
        | FormatError::NoStateDict { .. }
        | FormatError::StateDict { .. }
        | FormatError::ForeignCode { .. } => {
            "in Python: torch.save(model.state_dict(), \"model.pt\")"
        }
        _ if is_of_checkpoint(path) => {
            "`train-ctrnn ckpt verify RUN` shows which checkpoints are undamaged; eval, simulate, analyze, plot, report and export \
             use one with --checkpoint STEP"
        }
        _ => "write it again with the program that made it, or copy it again",
    }
}

/// Returns the remedy for a file that does not exist: a missing folder, or a file of a similar name.
fn missing(path: &Path) -> String {
    /// Maximum number of files that are searched.
    const MAX_FILES: usize = 1000;
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let Ok(files) = folder.read_dir() else {
        return format!(
            "check the path: the folder {} does not exist",
            folder.display()
        );
    };
    let files = files.take(MAX_FILES).filter_map(Result::ok);
    let names: Vec<String> = files
        .filter_map(|file| file.file_name().into_string().ok())
        .collect();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match word_like(&name, names.iter().map(String::as_str)) {
        Some(near) => format!(
            "check the path; did you mean {}?",
            path.with_file_name(near).display()
        ),
        None => "check the path".to_owned(),
    }
}

/// Returns true if a file belongs to a checkpoint of a run.
fn is_of_checkpoint(path: &Path) -> bool {
    path.ancestors()
        .any(|folder| folder.ends_with("checkpoints"))
}
