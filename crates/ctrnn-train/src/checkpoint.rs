//! Checkpoints: everything that a run is at one step, as files.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::TensorData;
use ctrnn_files::{
    CheckpointFiles, RunFolder, TensorFile, read_checkpoint, read_pointer, write_pointer,
};
use ctrnn_model::Weights;
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::observer::{Counters, Observer, Snapshot};
use crate::weight_file::{safetensors_bytes, tensors_of};

const WEIGHTS: &str = "weights.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const STATE: &str = "state.json";
const SCHEMA: u32 = 1;

/// `state.json`
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    schema: u32,
    counters: Counters,
}

/// What a checkpoint held.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Where the run stood.
    pub counters: Counters,
    /// The network.
    pub weights: Weights,
    /// The optimizer's state by name.
    pub optimizer: BTreeMap<String, TensorData>,
}

impl Checkpoint {
    /// Reads a checkpoint folder, whole or not at all.
    ///
    /// # Errors
    /// Names the file that is missing, damaged, or not what a checkpoint of this version holds.
    pub fn read(folder: &Path) -> Result<Self, TrainError> {
        let files = read_checkpoint(folder)?;
        let file = |name: &str| {
            files
                .get(name)
                .map(Vec::as_slice)
                .ok_or_else(|| TrainError::Data {
                    path: folder.join(name),
                    reason: "is missing from the checkpoint".to_owned(),
                })
        };
        let tensors = |name: &str| {
            let parsed = TensorFile::from_bytes(file(name)?, &folder.join(name))?;
            Ok::<_, TrainError>(tensors_of(parsed.tensors))
        };
        let state: State =
            serde_json::from_slice(file(STATE)?).map_err(|error| TrainError::Data {
                path: folder.join(STATE),
                reason: format!("is no state of a run: {error}"),
            })?;
        if state.schema != SCHEMA {
            return Err(TrainError::Data {
                path: folder.join(STATE),
                reason: format!(
                    "has schema {}, but this build reads schema {SCHEMA}",
                    state.schema
                ),
            });
        }
        Ok(Self {
            counters: state.counters,
            weights: tensors(WEIGHTS)?,
            optimizer: tensors(OPTIMIZER)?,
        })
    }
}

/// Metadata of a weight file: one file is the model.
pub(crate) fn weight_metadata(resolved_json: &str) -> BTreeMap<String, String> {
    [
        ("format", "pt"),
        ("ctrnn.schema", "1"),
        ("ctrnn.config", resolved_json),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

/// Observer that writes checkpoints into a run folder and keeps the newest and the best.
pub struct CheckpointWriter<'a> {
    folder: &'a RunFolder,
    resolved_json: &'a str,
    keep_last: usize,
}

impl<'a> CheckpointWriter<'a> {
    /// A writer that keeps the `keep_last` newest checkpoints and the best; `resolved_json` goes into the weight files.
    pub fn new(folder: &'a RunFolder, resolved_json: &'a str, keep_last: usize) -> Self {
        Self {
            folder,
            resolved_json,
            keep_last,
        }
    }

    fn files(&self, snapshot: &Snapshot) -> CheckpointFiles {
        let state = State {
            schema: SCHEMA,
            counters: snapshot.counters.clone(),
        };
        let state = serde_json::to_vec_pretty(&state).expect("counters are plain numbers");
        let weights = safetensors_bytes(&snapshot.weights, weight_metadata(self.resolved_json));
        let optimizer = safetensors_bytes(&snapshot.optimizer, BTreeMap::new());
        [(WEIGHTS, weights), (OPTIMIZER, optimizer), (STATE, state)]
            .map(|(name, bytes)| (name.to_owned(), bytes))
            .into()
    }
}

impl Observer for CheckpointWriter<'_> {
    fn saved(&mut self, snapshot: &Snapshot) -> Result<(), TrainError> {
        let step = snapshot.counters.step;
        self.folder.write_checkpoint(step, &self.files(snapshot))?;
        write_pointer(&self.folder.last(), step)?;
        if snapshot.is_best {
            write_pointer(&self.folder.best(), step)?;
        }
        let best = snapshot.counters.best.map(|best| best.step);
        self.folder
            .prune_checkpoints(self.keep_last, best.as_slice())?;
        Ok(())
    }
}

/// The folder of a checkpoint by the word for it: `last`, `best`, or a number of steps.
///
/// # Errors
/// If there is no such checkpoint.
pub fn find_checkpoint(run: &RunFolder, word: &str) -> Result<std::path::PathBuf, TrainError> {
    let step = match word {
        "last" => read_pointer(&run.last())?,
        "best" => read_pointer(&run.best())?,
        number => number.parse().map_err(|_| TrainError::Data {
            path: run.root().to_owned(),
            reason: format!("has no checkpoint {number:?}: say last, best, or a number of steps"),
        })?,
    };
    let folder = run.checkpoint(step);
    if folder.is_dir() {
        return Ok(folder);
    }
    let steps: Vec<String> = run.list_checkpoints()?.iter().map(u64::to_string).collect();
    Err(TrainError::Data {
        path: folder,
        reason: format!(
            "is not there; this run has checkpoints at steps {}",
            steps.join(", ")
        ),
    })
}
