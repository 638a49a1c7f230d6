//! Weights of a run: its newest undamaged state in the folder, or a requested checkpoint.
//!
//! `model/` is written when training ends or is stopped, and is not updated when the run continues after a resume. The
//! newest state is therefore the one with the most steps among `model/` and the checkpoints; without either, it is the
//! initial one.

use std::path::{Path, PathBuf};

use burn::tensor::backend::Backend;
use ctrnn_config::Run;
use ctrnn_files::{FileError, RunFolder, RunJson, RunState, TensorFile};
use ctrnn_model::{CtrnnConfig, CtrnnModule, Weights};
use ctrnn_train::first_nonfinite;

use crate::RunError;
use crate::checkpoint::{Checkpoint, checkpoint_step};
use crate::weights::weight_file::{read_weights, tensors_of};

/// Largest number of listings. A run in training removes old checkpoints while its folder is read, which may need a
/// few; more indicate another problem.
const MOST_LISTINGS: usize = 20;

/// The weights of a run at one step.
#[derive(Clone, Debug)]
pub struct RunWeights {
    /// Number of updates made.
    pub step: u64,
    /// Path of the file from which they were read.
    pub path: PathBuf,
    /// Weights by name.
    pub weights: Weights,
    /// Notes for the user: damaged states that were skipped, and the step, unless this is the network of a finished
    /// run.
    pub notes: Vec<String>,
}

/// Location of a state; for equal steps the later variant is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum StateLocation {
    Initial,
    Checkpoint,
    Model,
}

/// The state of a run after `step` steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct StoredState {
    step: u64,
    place: StateLocation,
}

impl RunWeights {
    /// Reads the newest undamaged state of a run, or the one that `checkpoint` names. With the sizes of the network,
    /// oversized files are refused.
    ///
    /// # Errors
    /// If the requested checkpoint is missing or damaged, or no state is undamaged.
    pub fn read(
        folder: &RunFolder,
        checkpoint: Option<&str>,
        network: Option<&CtrnnConfig>,
    ) -> Result<Self, RunError> {
        let Some(word) = checkpoint else {
            return newest(folder, network);
        };
        let state = StoredState {
            step: checkpoint_step(folder, word)?,
            place: StateLocation::Checkpoint,
        };
        Ok(Self {
            step: state.step,
            path: state.path(folder),
            weights: state.read(folder, network)?,
            notes: Vec::new(),
        })
    }

    /// Creates the network with these weights.
    ///
    /// # Errors
    /// If they belong to another network.
    pub fn network<B: Backend>(
        &self,
        run: &Run,
        device: &B::Device,
    ) -> Result<CtrnnModule<B>, RunError> {
        let network = CtrnnModule::from_weights(&run.model, &self.weights, device);
        network.map_err(|error| RunError::Data {
            path: self.path.clone(),
            reason: error.to_string(),
        })
    }
}

fn newest(folder: &RunFolder, network: Option<&CtrnnConfig>) -> Result<RunWeights, RunError> {
    let (mut states, mut damaged) = states(folder)?;
    for _ in 0..MOST_LISTINGS {
        for &state in &states {
            // The initial weights must not replace a damaged state, because they are untrained.
            if state.place == StateLocation::Initial && (!damaged.is_empty() || has_ended(folder)) {
                break;
            }
            match state.read(folder, network) {
                Ok(weights) => {
                    let passed_over = damaged.iter().map(|(what, error)| {
                        format!("passed over {what}, which is damaged: {error}")
                    });
                    return Ok(RunWeights {
                        step: state.step,
                        path: state.path(folder),
                        weights,
                        notes: passed_over.chain(state.note(folder)).collect(),
                    });
                }
                Err(error) if error.exit_code() != 4 => return Err(error),
                Err(_) if !state.path(folder).exists() => {} // removed since it was listed
                Err(error) => damaged.push((state.words(), error)),
            }
        }
        if !damaged.is_empty() {
            break;
        }
        states = self::states(folder)?.0;
    }
    let damaged = damaged.into_iter().next();
    Err(damaged.map_or_else(|| no_network(folder), |(_, error)| error))
}

/// Creates the error of a run folder without any state.
fn no_network(folder: &RunFolder) -> RunError {
    let reason = if has_ended(folder) {
        "has no network any more: it has ended, but model/ and its checkpoints are gone"
    } else {
        "has no network yet: no checkpoint, and no model/"
    };
    RunError::Data {
        path: folder.root().to_owned(),
        reason: reason.to_owned(),
    }
}

/// Returns true if a run has done all its steps: its initial weights are then not its network.
fn has_ended(folder: &RunFolder) -> bool {
    RunJson::load(&folder.run_json()).is_ok_and(|json| json.state == RunState::Done)
}

type Damaged = Vec<(String, RunError)>;

/// Returns the states in a run folder, newest first, and the error of a `model/` whose step cannot be read.
fn states(folder: &RunFolder) -> Result<(Vec<StoredState>, Damaged), RunError> {
    let at = |place| move |step| StoredState { step, place };
    let steps = folder.list_checkpoints()?.into_iter();
    let mut states: Vec<StoredState> = steps.map(at(StateLocation::Checkpoint)).collect();
    let mut damaged = Vec::new();
    match folder.model_step() {
        Ok(step) => states.push(at(StateLocation::Model)(step)),
        Err(FileError::Missing { .. }) if !folder.model_weights().exists() => {}
        Err(error) => damaged.push(("model/".to_owned(), error.into())),
    }
    if folder.initial_weights().exists() {
        states.push(at(StateLocation::Initial)(0));
    }
    states.sort_unstable_by(|a, b| b.cmp(a));
    Ok((states, damaged))
}

impl StoredState {
    /// Returns the weight file of this state.
    fn path(self, folder: &RunFolder) -> PathBuf {
        match self.place {
            StateLocation::Model => folder.model_weights(),
            StateLocation::Checkpoint => folder.checkpoint(self.step).join("weights.safetensors"),
            StateLocation::Initial => folder.initial_weights(),
        }
    }

    fn read(self, folder: &RunFolder, network: Option<&CtrnnConfig>) -> Result<Weights, RunError> {
        if self.place == StateLocation::Checkpoint {
            return Ok(Checkpoint::read(&folder.checkpoint(self.step))?.weights);
        }
        let path = self.path(folder);
        let weights = match network {
            Some(network) => read_weights(&path, network)?,
            None => tensors_of(TensorFile::read(&path)?.tensors),
        };
        finite(&path, weights)
    }

    fn words(self) -> String {
        match self.place {
            StateLocation::Model => "model/".to_owned(),
            StateLocation::Checkpoint => format!("the checkpoint of step {}", self.step),
            StateLocation::Initial => "the initial weights".to_owned(),
        }
    }

    /// Describes this network; `None` for the network of a finished run.
    fn note(self, folder: &RunFolder) -> Option<String> {
        let state = RunJson::load(&folder.run_json()).map(|json| json.state);
        let ending = match state {
            Ok(RunState::Done) | Err(_) => "",
            Ok(RunState::Created | RunState::Running) => "; the run has not ended",
            Ok(RunState::Stopped) => "; the run was stopped before its end",
            Ok(RunState::Failed) => "; the run failed",
        };
        let place = match self.place {
            StateLocation::Model if ending.is_empty() => return None,
            StateLocation::Model => "",
            StateLocation::Checkpoint => ", its newest checkpoint",
            StateLocation::Initial => ", with which it began: it has no checkpoint yet",
        };
        Some(format!("the network of step {}{place}{ending}", self.step))
    }
}

fn finite(path: &Path, weights: Weights) -> Result<Weights, RunError> {
    match first_nonfinite(&weights) {
        None => Ok(weights),
        Some(name) => Err(RunError::Data {
            path: path.to_owned(),
            reason: format!("holds NaN or an infinity in {name}"),
        }),
    }
}
