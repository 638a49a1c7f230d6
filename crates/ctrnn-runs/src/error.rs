//! What can go wrong with a run and its folder.

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
    /// Something that the configuration names cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// A file holds something else than it should.
    #[error("{}: {reason}", path.display())]
    Data {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A checkpoint is asked for that a run does not have.
    #[error("{} {}", run.display(), no_checkpoint(asked, steps))]
    NoCheckpoint {
        /// The run folder.
        run: PathBuf,
        /// The word for the checkpoint, or its step.
        asked: String,
        /// The steps of the checkpoints that the run has.
        steps: Vec<u64>,
    },
}

impl RunError {
    /// Returns the exit code of a command that ends with this error: 2 configuration, 3 training failed, 4 data, 5 input/output.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Train(error) => error.exit_code(),
            Self::Config(errors) => errors.exit_code(),
            Self::Data { .. } | Self::NoCheckpoint { .. } => 4,
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
