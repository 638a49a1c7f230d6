//! Checkpoints: the complete state of a run at one step, as files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::TensorData;
use ctrnn_files::{
    CheckpointFiles, CheckpointManifest, FileError, RunFolder, TensorFile, Versions,
    read_checkpoint, read_pointer,
};
use ctrnn_model::Weights;
use ctrnn_train::{
    Counters, Observer, Rollback, SavedState, Snapshot, TrainError, first_nonfinite,
};
use serde::{Deserialize, Serialize};

use crate::RunError;
use crate::weights::weight_file::{safetensors_bytes, tensors_of};

pub(crate) const WEIGHTS: &str = "weights.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const STATE: &str = "state.json";
const GOOD_WEIGHTS: &str = "good_weights.safetensors";
const GOOD_OPTIMIZER: &str = "good_optimizer.safetensors";
const VALIDATED_WEIGHTS: &str = "validated_weights.safetensors";
/// Readable versions of `state.json`.
const VERSIONS: Versions = Versions(&[]);

/// Content of `state.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    schema: u32,
    counters: Counters,
    /// Counters of the last good state, if it differs from this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    good: Option<Counters>,
}

/// Content of a checkpoint.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Step counters of the run.
    pub counters: Counters,
    /// Weights of the network.
    pub weights: Weights,
    /// Optimizer state by name.
    pub optimizer: BTreeMap<String, TensorData>,
    /// Last good state, to which a rollback returns, if it differs from this one.
    pub good: Option<SavedState>,
    /// Weights of the last validation, if there are monitors and it was at another step.
    pub validated: Option<Weights>,
}

impl Checkpoint {
    /// Reads a checkpoint folder completely, or fails.
    ///
    /// # Errors
    /// Names the file that is missing, damaged, or invalid for a checkpoint of this version.
    pub fn read(folder: &Path) -> Result<Self, RunError> {
        let files = read_checkpoint(folder)?;
        let state: State = VERSIONS
            .parse(content(&files, folder, STATE)?)
            .map_err(FileError::format(&folder.join(STATE)))?;
        check_step(folder, state.counters.step)?;
        let tensors = |name| tensors(&files, folder, name);
        let good = match state.good {
            None => None,
            Some(counters) => Some(SavedState {
                counters,
                weights: tensors(GOOD_WEIGHTS)?,
                optimizer: tensors(GOOD_OPTIMIZER)?,
            }),
        };
        let has_validated = files.contains_key(VALIDATED_WEIGHTS);
        let checkpoint = Self {
            validated: has_validated
                .then(|| tensors(VALIDATED_WEIGHTS))
                .transpose()?,
            counters: state.counters,
            weights: tensors(WEIGHTS)?,
            optimizer: tensors(OPTIMIZER)?,
            good,
        };
        checkpoint.check_finite(folder)?;
        Ok(checkpoint)
    }

    fn check_finite(&self, folder: &Path) -> Result<(), RunError> {
        for (file, tensors) in [(WEIGHTS, &self.weights), (OPTIMIZER, &self.optimizer)] {
            if let Some(name) = first_nonfinite(tensors) {
                return Err(RunError::Data {
                    path: folder.join(file),
                    reason: format!("holds NaN or an infinity in {name}"),
                });
            }
        }
        Ok(())
    }

    /// Returns summaries of the weights and of the optimizer state, sorted by name.
    pub fn summary(&self) -> (Vec<TensorSummary>, Vec<TensorSummary>) {
        let of = |tensors: &BTreeMap<String, TensorData>| {
            tensors.iter().map(TensorSummary::of).collect()
        };
        (of(&self.weights), of(&self.optimizer))
    }
}

/// Checks that a state is that of the step which the manifest of its folder promises.
fn check_step(folder: &Path, found: u64) -> Result<(), RunError> {
    let promised = CheckpointManifest::load(folder)?.step;
    if found == promised {
        return Ok(());
    }
    Err(RunError::Data {
        path: folder.join(STATE),
        reason: format!("is that of step {found}, but the manifest promises step {promised}"),
    })
}

fn content<'a>(
    files: &'a CheckpointFiles,
    folder: &Path,
    name: &str,
) -> Result<&'a [u8], RunError> {
    let content = files.get(name).map(Vec::as_slice);
    content.ok_or_else(|| RunError::Data {
        path: folder.join(name),
        reason: "is missing from the checkpoint".to_owned(),
    })
}

fn tensors(files: &CheckpointFiles, folder: &Path, name: &str) -> Result<Weights, RunError> {
    let file = TensorFile::from_bytes(content(files, folder, name)?, &folder.join(name))?;
    Ok(tensors_of(file.tensors))
}

/// Shape and range of an array of a checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorSummary {
    /// Name of the array.
    pub name: String,
    /// Size along each axis.
    pub shape: Vec<usize>,
    /// Smallest and largest element; `None` for an empty array.
    pub range: Option<(f64, f64)>,
}

impl TensorSummary {
    fn of((name, data): (&String, &TensorData)) -> Self {
        let wider = |(low, high): (f64, f64), x: f64| (low.min(x), high.max(x));
        Self {
            name: name.clone(),
            shape: data.shape.to_vec(),
            range: data
                .iter::<f64>()
                .map(|x| (x, x))
                .reduce(|range, (x, _)| wider(range, x)),
        }
    }
}

/// Observer that writes checkpoints into a run folder and keeps the newest and the best.
pub struct CheckpointWriter<'a> {
    folder: &'a RunFolder,
    metadata: BTreeMap<String, String>,
    keep_last: usize,
}

impl<'a> CheckpointWriter<'a> {
    /// Creates a writer that keeps the `keep_last` newest checkpoints and the best ones; `metadata` is that of the weight
    /// files.
    pub fn new(
        folder: &'a RunFolder,
        metadata: BTreeMap<String, String>,
        keep_last: usize,
    ) -> Self {
        Self {
            folder,
            metadata,
            keep_last,
        }
    }

    fn files(&self, snapshot: &Snapshot) -> CheckpointFiles {
        let good = snapshot.good.as_ref();
        let state = State {
            schema: VERSIONS.current(),
            counters: snapshot.counters.clone(),
            good: good.map(|good| good.counters.clone()),
        };
        let state = serde_json::to_vec_pretty(&state).expect("counters are plain numbers");
        let weights = |weights| safetensors_bytes(weights, self.metadata.clone());
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
        if let Some(validated) = &snapshot.validated {
            files.push((
                VALIDATED_WEIGHTS,
                safetensors_bytes(validated, BTreeMap::new()),
            ));
        }
        let named = files.into_iter();
        named
            .map(|(name, bytes)| (name.to_owned(), bytes))
            .collect()
    }

    /// Writes a checkpoint and points `last` to it.
    fn write(&self, snapshot: &Snapshot) -> Result<(), FileError> {
        let step = snapshot.counters.step;
        self.folder.sync_logs()?;
        self.folder.write_checkpoint(step, &self.files(snapshot))?;
        self.folder.point_last(step)
    }

    /// Removes checkpoints except the newest ones, the best ones and the one just written.
    fn prune(&self, counters: &Counters) -> Result<(), FileError> {
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
            self.folder.point_best(snapshot.counters.step)?;
        }
        Ok(self.prune(&snapshot.counters)?)
    }

    /// Rewrites the checkpoint of the good state, because its counters now include the rollback, and removes later
    /// ones.
    fn rolled_back(&mut self, _: &Rollback, snapshot: &Snapshot) -> Result<(), TrainError> {
        self.write(snapshot)?;
        if let Some(best) = snapshot.counters.best {
            self.folder.point_best(best.step)?;
        }
        let step = snapshot.counters.step;
        self.folder.remove_checkpoints_after(step)?;
        self.folder.remove_model_after(step)?; // the run has abandoned that state as well
        Ok(self.prune(&snapshot.counters)?)
    }
}

/// Returns the step of a checkpoint named `last`, `best`, or by a number of steps.
///
/// # Errors
/// If there is no such checkpoint.
pub fn checkpoint_step(run: &RunFolder, word: &str) -> Result<u64, RunError> {
    let pointed = |pointer: PathBuf| match read_pointer(&pointer) {
        Err(FileError::Missing { .. }) => Ok(None),
        step => step.map(Some),
    };
    let step = match word {
        "last" => pointed(run.last())?,
        "best" => pointed(run.best())?,
        number => Some(number.parse().map_err(|_| RunError::Data {
            path: run.root().to_owned(),
            reason: format!("has no checkpoint {number:?}: say last, best, or a number of steps"),
        })?),
    };
    match step {
        Some(step) if run.checkpoint(step).is_dir() => Ok(step),
        step => Err(RunError::NoCheckpoint {
            run: run.root().to_owned(),
            asked: step.map_or_else(|| format!("{word:?}"), |step| format!("of step {step}")),
            steps: run.list_checkpoints()?,
        }),
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::{Autodiff, NdArray};
    use std::fs;

    use ctrnn_model::CtrnnConfig;
    use ctrnn_random::{Key, Rng, Stream};
    use ctrnn_tasks::GoNogo;
    use tempfile::TempDir;

    use super::*;
    use ctrnn_train::{TrainSettings, Trainer};

    type Grad = Autodiff<NdArray<f64>>;

    /// Returns a run with undamaged checkpoints after steps 1 and 2.
    fn run() -> (TempDir, RunFolder) {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::at(folder.path());
        fs::write(run.metrics(), "").unwrap();
        fs::write(run.events(), "").unwrap();
        let network = CtrnnConfig::new(3, 4, 2)
            .init::<Grad>(1, &Default::default())
            .unwrap();
        let mut settings = TrainSettings::default();
        (settings.train.steps, settings.train.batch_size) = (2, 2);
        (settings.checkpoint.every_steps, settings.validate.trials) = (1, 2);
        let task = GoNogo::default();
        let mut trainer = Trainer::new(network, &task, settings).unwrap();
        let mut writer = CheckpointWriter::new(&run, BTreeMap::new(), 2);
        trainer.run_with(&mut [&mut writer]).unwrap();
        (folder, run)
    }

    /// Returns the files of the newest checkpoint.
    fn files(run: &RunFolder) -> Vec<PathBuf> {
        let entries = fs::read_dir(run.checkpoint(2)).unwrap();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert_eq!(files.len(), 4);
        files
    }

    /// Checks that a damaged newest checkpoint is refused by name and the older one is used; then repairs it.
    #[track_caller]
    fn assert_refused(run: &RunFolder, path: &Path, whole: &[u8], damaged: &[u8]) {
        fs::write(path, damaged).unwrap();
        let error = Checkpoint::read(&run.checkpoint(2)).expect_err("a damaged file is refused");
        let name = path.file_name().unwrap().to_string_lossy();
        let message = error.to_string();
        // The error of a damaged manifest may name the file whose digest in it is wrong.
        let names_it = message.contains(&*name) || name == "MANIFEST.json";
        assert!(names_it && message.contains("step-00000002"), "{message}");
        assert_eq!(error.exit_code(), 4);
        let newest = run.newest_whole_checkpoint().unwrap();
        assert_eq!(newest.step, Some(1), "{message}");
        assert_eq!(newest.passed_over.len(), 1);
        fs::write(path, whole).unwrap();
    }

    #[test]
    fn a_checkpoint_cut_short_anywhere_is_refused() {
        let (_folder, run) = run();
        for path in files(&run) {
            let whole = fs::read(&path).unwrap();
            // The last byte of the manifest is only its final line feed, which may be missing.
            let longest = whole.len() - 1 - usize::from(path.ends_with("MANIFEST.json"));
            for k in 0..100 {
                assert_refused(&run, &path, &whole, &whole[..longest * k / 99]);
            }
        }
        assert!(Checkpoint::read(&run.checkpoint(2)).is_ok());
    }

    #[test]
    fn no_bit_of_a_checkpoint_flips_unseen() {
        let (_folder, run) = run();
        let files = files(&run);
        let mut rng = Rng::new(Key::new(4, Stream::Trials, 0), 0, 0);
        for flip in 0..1000 {
            let path = &files[flip % files.len()];
            let whole = fs::read(path).unwrap();
            let bit = rng.below(8 * whole.len() as u32) as usize;
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_refused(&run, path, &whole, &damaged);
        }
        assert!(Checkpoint::read(&run.checkpoint(2)).is_ok());
    }

    #[test]
    fn what_is_not_finite_is_not_read() {
        let (_folder, run) = run();
        let mut files = read_checkpoint(&run.checkpoint(2)).unwrap();
        let weights = files.get_mut(WEIGHTS).unwrap();
        let end = weights.len();
        weights[end - 8..].copy_from_slice(&f64::NAN.to_le_bytes());
        run.write_checkpoint(2, &files).unwrap();
        let error = Checkpoint::read(&run.checkpoint(2))
            .unwrap_err()
            .to_string();
        assert!(error.contains("weights.safetensors: holds NaN"), "{error}");
    }

    #[test]
    fn the_state_of_another_step_is_refused() {
        let (_folder, run) = run();
        let files = read_checkpoint(&run.checkpoint(1)).unwrap();
        run.write_checkpoint(2, &files).unwrap();
        let error = Checkpoint::read(&run.checkpoint(2))
            .unwrap_err()
            .to_string();
        assert!(error.contains("is that of step 1"), "{error}");
    }
}
