//! The layout of a run folder.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::checkpoint_folder::checkpoint_name;
use crate::error::FileError;
use crate::{atomic, json};

/// A run: one training from one configuration, which is a folder. This value only knows its paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    root: PathBuf,
}

impl RunFolder {
    /// The run at this path, which need not exist.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What became of the run: see [`RunJson`].
    pub fn run_json(&self) -> PathBuf {
        self.root.join("RUN.json")
    }

    /// The configuration as the user gave it, byte for byte.
    pub fn config(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    /// The overrides of the command line, one per line.
    pub fn overrides(&self) -> PathBuf {
        self.root.join("overrides.txt")
    }

    /// The configuration with every value.
    pub fn resolved(&self) -> PathBuf {
        self.root.join("config.resolved.toml")
    }

    /// Versions, machine, seeds and digests of the input files.
    pub fn manifest(&self) -> PathBuf {
        self.root.join("manifest.json")
    }

    /// What was measured, one row per report.
    pub fn metrics(&self) -> PathBuf {
        self.root.join("metrics.csv")
    }

    /// Everything that happened, one JSON object per line.
    pub fn events(&self) -> PathBuf {
        self.root.join("events.jsonl")
    }

    /// Brings metrics.csv and events.jsonl to the disk, so that a checkpoint never outlives the rows before it.
    ///
    /// # Errors
    /// If one is missing, as when the folder was removed, or cannot be written.
    pub fn sync_logs(&self) -> Result<(), FileError> {
        atomic::sync_file(&self.metrics())?;
        atomic::sync_file(&self.events())
    }

    /// Folder of the TensorBoard event file.
    pub fn tensorboard(&self) -> PathBuf {
        self.root.join("tb")
    }

    /// Folder of all checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    /// Folder of the checkpoint after `step` steps, such as `checkpoints/step-00002000`.
    pub fn checkpoint(&self, step: u64) -> PathBuf {
        self.checkpoints().join(checkpoint_name(step))
    }

    /// Small text file with the name of the best checkpoint.
    pub fn best(&self) -> PathBuf {
        self.checkpoints().join("best")
    }

    /// Small text file with the name of the last checkpoint.
    pub fn last(&self) -> PathBuf {
        self.checkpoints().join("last")
    }

    /// Folder of the network at which training ended or was last stopped; a run that goes on leaves it behind.
    pub fn model(&self) -> PathBuf {
        self.root.join("model")
    }

    /// The weights in `model/` as safetensors.
    pub fn model_weights(&self) -> PathBuf {
        self.model().join("weights.safetensors")
    }

    /// The weights in `model/` as npz.
    pub fn model_weights_npz(&self) -> PathBuf {
        self.model().join("weights.npz")
    }

    /// The description of the model in `model/`.
    pub fn model_json(&self) -> PathBuf {
        self.model().join("model.json")
    }

    /// The step of the weights in `model/`.
    ///
    /// # Errors
    /// If `model/model.json` is missing or damaged.
    pub fn model_step(&self) -> Result<u64, FileError> {
        #[derive(Deserialize)]
        struct Described {
            step: u64,
        }
        let described: Described = json::read(&self.model_json())?;
        Ok(described.step)
    }

    /// Removes `model/` if its weights are of more than `step` steps; returns theirs.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn remove_model_after(&self, step: u64) -> Result<Option<u64>, FileError> {
        let later = self.model_step().ok().filter(|&model| model > step);
        if later.is_some() {
            atomic::remove_folder(&self.model())?;
        }
        Ok(later)
    }

    /// The weights with which the run began, by their place in its folder.
    pub const INITIAL_WEIGHTS: &str = "initial/weights.safetensors";

    /// The weights with which the run began.
    pub fn initial_weights(&self) -> PathBuf {
        self.root.join(Self::INITIAL_WEIGHTS)
    }

    /// The description of the network with which the run began.
    pub fn initial_json(&self) -> PathBuf {
        self.root.join("initial/model.json")
    }

    /// Folder of evaluations.
    pub fn eval(&self) -> PathBuf {
        self.root.join("eval")
    }

    /// Folder of analyses.
    pub fn analysis(&self) -> PathBuf {
        self.root.join("analysis")
    }

    /// Folder of figures.
    pub fn figures(&self) -> PathBuf {
        self.root.join("figures")
    }

    /// The report on the run.
    pub fn report(&self) -> PathBuf {
        self.root.join("report.html")
    }
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// The folder is there, no step was made.
    Created,
    /// A process trains, or was killed while it did: whoever gets the lock knows which.
    Running,
    /// Stopped by a signal or a time limit; can be resumed.
    Stopped,
    /// All steps made, or the stop criterion met.
    Done,
    /// Training failed.
    Failed,
}

/// The content of `RUN.json`. Times are RFC 3339 strings that the caller provides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunJson {
    /// Version of this format: [`RunJson::SCHEMA`].
    pub schema: u32,
    /// Identifies the run wherever its folder is moved.
    pub id: String,
    /// Where the run stands.
    pub state: RunState,
    /// Exit code of the last process, once it has ended.
    pub exit_code: Option<u8>,
    /// Why it stopped or failed, in words.
    pub reason: Option<String>,
    /// When the folder was made.
    pub created: String,
    /// When the last process began to train.
    pub started: Option<String>,
    /// When the last process ended.
    pub ended: Option<String>,
    /// Machine of the last process.
    pub host: String,
    /// The last process.
    pub pid: u32,
    /// How often the run was resumed.
    pub restarts: u32,
}

impl RunJson {
    /// The version of this format that is read and written.
    pub const SCHEMA: u32 = 1;

    /// Reads `RUN.json`.
    ///
    /// # Errors
    /// If it is missing, of another schema version, or damaged.
    pub fn load(path: &Path) -> Result<Self, FileError> {
        json::read_schema(path, Self::SCHEMA)
    }

    /// Replaces `RUN.json` atomically. On a full disk, where there is no room for a second file, it is written over.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn store(&self, path: &Path) -> Result<(), FileError> {
        match json::write(path, self) {
            Err(FileError::Io { error, .. }) if is_full(&error) => {
                let content = json::to_bytes(self);
                write_over(path, content).map_err(FileError::io("write", path))
            }
            written => written,
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Writes over a small file, in the room that it has: spaces make up for a shorter content.
fn write_over(path: &Path, mut content: Vec<u8>) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    let length = file.metadata()?.len() as usize;
    content.resize(content.len().max(length), b' ');
    file.write_all(&content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::FormatError;

    fn run_json() -> RunJson {
        RunJson {
            schema: RunJson::SCHEMA,
            id: "c0ffee".into(),
            state: RunState::Running,
            exit_code: None,
            reason: None,
            created: "2026-01-01T00:00:00Z".into(),
            started: Some("2026-01-01T00:00:01Z".into()),
            ended: None,
            host: "lab".into(),
            pid: 17,
            restarts: 0,
        }
    }

    #[test]
    fn paths_are_those_of_the_layout() {
        let run = RunFolder::at("runs/toy");
        assert_eq!(
            run.checkpoint(2000),
            Path::new("runs/toy/checkpoints/step-00002000")
        );
        assert_eq!(run.best(), Path::new("runs/toy/checkpoints/best"));
        assert_eq!(
            run.model_weights(),
            Path::new("runs/toy/model/weights.safetensors")
        );
    }

    #[test]
    fn run_json_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::at(folder.path());
        run_json().store(&run.run_json()).unwrap();
        assert_eq!(RunJson::load(&run.run_json()).unwrap(), run_json());
        let text = std::fs::read_to_string(run.run_json()).unwrap();
        assert!(text.contains(r#""state": "running""#), "{text}");
    }

    #[test]
    fn run_json_is_written_over_in_the_room_that_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("RUN.json");
        run_json().store(&path).unwrap();
        let long = std::fs::metadata(&path).unwrap().len();
        let shorter = RunJson {
            started: None,
            ..run_json()
        };
        write_over(&path, json::to_bytes(&shorter)).unwrap();
        assert_eq!(RunJson::load(&path).unwrap(), shorter);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), long);
    }

    #[test]
    fn another_schema_is_named_even_if_its_fields_differ() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("RUN.json");
        std::fs::write(&path, r#"{"schema": 2, "colour": "blue"}"#).unwrap();
        let error = RunJson::load(&path).unwrap_err();
        let FileError::Format { rule, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(
            rule,
            FormatError::Schema {
                found: 2,
                supported: 1
            }
        );
    }

    #[test]
    fn a_model_of_later_steps_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::at(folder.path());
        assert_eq!(run.remove_model_after(0).unwrap(), None);
        std::fs::create_dir(run.model()).unwrap();
        std::fs::write(run.model_json(), r#"{"step": 7, "task": "toy"}"#).unwrap();
        assert_eq!(run.remove_model_after(7).unwrap(), None);
        assert_eq!(run.remove_model_after(6).unwrap(), Some(7));
        assert!(!run.model().exists());
    }
}
