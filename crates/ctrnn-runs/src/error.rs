//! Errors of runs and run folders.

use std::path::PathBuf;

use ctrnn_config::ConfigErrors;
use ctrnn_files::FileError;
use ctrnn_model::ModelError;
use ctrnn_tasks::TaskError;
use ctrnn_train::{NotFinite, TrainError};
use thiserror::Error;

/// Error of a run: its configuration, its files, or the training itself.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// Training or evaluation failed.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// An object named in the configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The content of a file is invalid.
    #[error("{}: {reason}", path.display())]
    Data {
        /// Path of the file.
        path: PathBuf,
        /// Description of the problem.
        reason: String,
    },
    /// A run to be resumed has lost its checkpoints, although its trained network exists.
    #[error("{} has no checkpoint to continue from, but model/ holds its network of step {step}", run.display())]
    LostCheckpoints {
        /// Path of the run folder.
        run: PathBuf,
        /// Step of the network.
        step: u64,
    },
    /// The run does not have the requested checkpoint.
    #[error("{} {}", run.display(), no_checkpoint(asked, steps))]
    NoCheckpoint {
        /// Path of the run folder.
        run: PathBuf,
        /// Requested checkpoint: `last`, `best` or a step.
        asked: String,
        /// Steps of the existing checkpoints.
        steps: Vec<u64>,
    },
}

impl RunError {
    /// Returns the exit code of a command that ends with this error: 2 configuration, 3 training failed, 4 data, 5 input/output.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Train(error) => error.exit_code(),
            Self::Config(errors) => errors.exit_code(),
            Self::Data { .. } | Self::LostCheckpoints { .. } | Self::NoCheckpoint { .. } => 4,
        }
    }
}

fn no_checkpoint(asked: &str, steps: &[u64]) -> String {
    let steps: Vec<String> = steps.iter().map(u64::to_string).collect();
    match &steps[..] {
        [] => "has no checkpoint yet".to_owned(),
        [step] => format!("has no checkpoint {asked}; there is one of step {step}"),
        steps => format!(
            "has no checkpoint {asked}; there are those of steps {}",
            steps.join(", ")
        ),
    }
}

impl From<FileError> for RunError {
    fn from(error: FileError) -> Self {
        Self::Train(error.into())
    }
}

impl From<ModelError> for RunError {
    fn from(error: ModelError) -> Self {
        Self::Train(error.into())
    }
}

impl From<TaskError> for RunError {
    fn from(error: TaskError) -> Self {
        Self::Train(error.into())
    }
}

impl From<NotFinite> for RunError {
    fn from(found: NotFinite) -> Self {
        Self::Train(found.into())
    }
}
