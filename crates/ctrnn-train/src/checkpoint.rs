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
use crate::divergence::Rollback;
use crate::observer::{Counters, Observer, SavedState, Snapshot};
use crate::weight_file::{safetensors_bytes, tensors_of};

const WEIGHTS: &str = "weights.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const STATE: &str = "state.json";
const GOOD_WEIGHTS: &str = "good_weights.safetensors";
const GOOD_OPTIMIZER: &str = "good_optimizer.safetensors";
const SCHEMA: u32 = 1;

/// `state.json`
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    schema: u32,
    counters: Counters,
    /// Of the last good state, where it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    good: Option<Counters>,
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
    /// The last good state, to which the run would go back, where it is another one.
    pub good: Option<SavedState>,
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
        let good = match state.good {
            None => None,
            Some(counters) => Some(SavedState {
                counters,
                weights: tensors(GOOD_WEIGHTS)?,
                optimizer: tensors(GOOD_OPTIMIZER)?,
            }),
        };
        Ok(Self {
            counters: state.counters,
            weights: tensors(WEIGHTS)?,
            optimizer: tensors(OPTIMIZER)?,
            good,
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
    /// A writer that keeps the `keep_last` newest checkpoints and the best ones; `resolved_json` goes into the weight files.
    pub fn new(folder: &'a RunFolder, resolved_json: &'a str, keep_last: usize) -> Self {
        Self {
            folder,
            resolved_json,
            keep_last,
        }
    }

    fn files(&self, snapshot: &Snapshot) -> CheckpointFiles {
        let good = snapshot.good.as_ref();
        let state = State {
            schema: SCHEMA,
            counters: snapshot.counters.clone(),
            good: good.map(|good| good.counters.clone()),
        };
        let state = serde_json::to_vec_pretty(&state).expect("counters are plain numbers");
        let weights = |weights| safetensors_bytes(weights, weight_metadata(self.resolved_json));
        let optimizer = |optimizer| safetensors_bytes(optimizer, BTreeMap::new());
        let mut files = vec![
            (WEIGHTS, weights(&snapshot.weights)),
            (OPTIMIZER, optimizer(&snapshot.optimizer)),
            (STATE, state),
        ];
        if let Some(good) = good {
            files.push((GOOD_WEIGHTS, weights(&good.weights)));
            files.push((GOOD_OPTIMIZER, optimizer(&good.optimizer)));
        }
        let named = files.into_iter();
        named
            .map(|(name, bytes)| (name.to_owned(), bytes))
            .collect()
    }

    /// Writes a checkpoint and makes `last` name it.
    fn write(&self, snapshot: &Snapshot) -> Result<(), TrainError> {
        let step = snapshot.counters.step;
        self.folder.sync_logs()?;
        self.folder.write_checkpoint(step, &self.files(snapshot))?;
        Ok(write_pointer(&self.folder.last(), step)?)
    }

    /// Removes what is neither among the newest nor among the best, nor the one that was just written.
    fn prune(&self, counters: &Counters) -> Result<(), TrainError> {
        let mut keep = counters.best_steps();
        keep.push(counters.step);
        self.folder.prune_checkpoints(self.keep_last, &keep)?;
        Ok(())
    }
}

impl Observer for CheckpointWriter<'_> {
    fn saved(&mut self, snapshot: &Snapshot) -> Result<(), TrainError> {
        self.write(snapshot)?;
        if snapshot.is_best {
            write_pointer(&self.folder.best(), snapshot.counters.step)?;
        }
        self.prune(&snapshot.counters)
    }

    /// The checkpoint of the good state is written anew, since it counts the rollback, and later ones are removed.
    fn rolled_back(&mut self, _: &Rollback, snapshot: &Snapshot) -> Result<(), TrainError> {
        self.write(snapshot)?;
        if let Some(best) = snapshot.counters.best {
            write_pointer(&self.folder.best(), best.step)?;
        }
        let step = snapshot.counters.step;
        self.folder.remove_checkpoints_after(step)?;
        self.prune(&snapshot.counters)
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
