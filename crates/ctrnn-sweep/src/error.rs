//! Errors of sweeps.

use std::path::PathBuf;

use ctrnn_config::ConfigErrors;
use ctrnn_files::FileError;

/// An error of a sweep.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// Problems of the sweep file or of the configurations that it describes.
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    /// A file that cannot be read or written.
    #[error("{0}")]
    File(#[from] FileError),
    /// A base configuration other than the one with which the sweep began.
    #[error("{base} has other values than when the sweep in {folder} began", base = base.display(), folder = folder.display())]
    ChangedBase {
        /// Base configuration.
        base: PathBuf,
        /// Folder of the sweep.
        folder: PathBuf,
    },
    /// A list of trials that cannot be read.
    #[error("{} is missing or damaged", path.display())]
    DamagedList {
        /// List in the folder of the sweep.
        path: PathBuf,
    },
    /// A trial that the sweep does not have.
    #[error(
        "{word:?} is not a trial of this sweep; expected a number from 1 to {n_trials}, or the first digits of a trial's name"
    )]
    NoTrial {
        /// Number or name that was asked for.
        word: String,
        /// Number of trials of the sweep.
        n_trials: usize,
    },
    /// A process that cannot be started.
    #[error("cannot start {program}: {error}")]
    NotStarted {
        /// Program that was to be started.
        program: String,
        /// Reason given by the system.
        error: std::io::Error,
    },
    /// A program of the cluster that failed.
    #[error("{program} failed: {reason}")]
    Program {
        /// Program and its arguments.
        program: String,
        /// Message of the program.
        reason: String,
    },
}
