//! The layout of a run folder.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use serde::{Deserialize, Serialize};

use crate::error::FileError;
use crate::lock::{self, RunLock};
use crate::versions::Versions;
use crate::{atomic, json, tensorboard};

/// The folder of a run, which is one training from one configuration: its paths and, for the process that writes to it,
/// its lock.
#[derive(Debug, Clone)]
pub struct RunFolder {
    root: PathBuf,
    lock: Option<Weak<RunLock>>,
}

impl RunFolder {
    /// Returns the run at this path, which need not exist.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            lock: None,
        }
    }

    /// Adds the lock, for the process that holds it. Every write through this value or a clone of it first checks
    /// that the folder is still the locked one, and is refused once the lock is dropped.
    #[must_use]
    pub fn held_by(self, lock: &Arc<RunLock>) -> Self {
        Self {
            lock: Some(Arc::downgrade(lock)),
            ..self
        }
    }

    /// Checks that this process may write to the folder: that it has not been renamed, removed or replaced since the lock
    /// was taken, and that `checkpoints` and `tb` are not links into another run. A folder without a lock ([`RunFolder::at`]) is
    /// not
    /// checked.
    ///
    /// # Errors
    /// [`FileError::Displaced`] if it is another folder now, [`FileError::Linked`] if `checkpoints` or `tb` is a link.
    pub fn check_held(&self) -> Result<(), FileError> {
        match self.lock.as_ref().map(Weak::upgrade) {
            None => Ok(()),
            Some(Some(lock)) => {
                lock.check(&self.root)?;
                let mut folders = [self.checkpoints(), self.tensorboard()].into_iter();
                match folders.find(|path| path.is_symlink()) {
                    Some(path) => Err(FileError::Linked { path }),
                    None => Ok(()),
                }
            }
            Some(None) => Err(FileError::Displaced {
                path: self.root.clone(),
                now: None,
            }),
        }
    }

    /// Replaces or creates a file of the run ([`atomic::write`]).
    ///
    /// # Errors
    /// As [`RunFolder::check_held`], or if it cannot be written.
    pub fn write(&self, file: &Path, content: &[u8]) -> Result<(), FileError> {
        self.check_held()?;
        atomic::write_if(file, content, || self.check_held())
    }

    /// Replaces or creates a folder of the run ([`atomic::replace_folder`]).
    ///
    /// # Errors
    /// As [`RunFolder::check_held`], the error of `fill`, or if it cannot be written.
    pub fn replace<E: From<FileError>>(
        &self,
        folder: &Path,
        fill: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), E> {
        self.check_held()?;
        atomic::replace_folder(folder, fill, || self.check_held())
    }

    /// Removes a folder of the run, if it is there.
    ///
    /// # Errors
    /// As [`RunFolder::check_held`], or if it cannot be removed.
    pub fn remove(&self, folder: &Path) -> Result<(), FileError> {
        self.check_held()?;
        match folder.symlink_metadata() {
            Ok(_) => atomic::remove_folder_if(folder, || self.check_held()),
            Err(_) => Ok(()),
        }
    }

    /// Returns true if a process is training the run.
    pub fn is_in_use(&self) -> bool {
        lock::is_held(&self.root)
    }

    /// Returns true if a run keeps its own files under this name in its folder.
    pub(crate) fn owns(name: &OsStr) -> bool {
        const OWN: [&str; 14] = [
            "RUN.json",
            "result.json",
            "config.toml",
            "overrides.txt",
            "config.resolved.toml",
            "manifest.json",
            "metrics.csv",
            "units.csv",
            "events.jsonl",
            "tb",
            "checkpoints",
            "initial",
            "model",
            lock::NAME,
        ];
        OWN.iter().any(|own| name == *own) || atomic::is_leftover(name)
    }

    /// Lists files and folders that were not written by training, by `report` or by one of these analyses, by their path
    /// in the run folder. Replacing the run would lose them.
    ///
    /// # Errors
    /// If a folder cannot be read.
    pub fn foreign(&self, analyses: &[&str]) -> Result<Vec<PathBuf>, FileError> {
        let is_event = |name: &str| name.starts_with(tensorboard::PREFIX);
        let is_checkpoint =
            |name: &str| matches!(name, "best" | "last") || checkpoint_step(name).is_some();
        let is_finding = |name: &str| {
            let is_result = |end: &str| {
                let suffix = [".svg", ".pdf", ".png", ".py"]
                    .iter()
                    .find_map(|kind| end.strip_suffix(kind));
                end == ".npz" || suffix.is_some_and(|s| s.is_empty() || s.starts_with('_'))
            };
            analyses
                .iter()
                .filter_map(|analysis| name.strip_prefix(*analysis))
                .any(is_result)
        };
        let is_own =
            |name: &str| Self::owns(OsStr::new(name)) || matches!(name, "report.html" | "analysis");
        let mut foreign = names_but(&self.root, &is_own)?;
        for (folder, is_own) in [
            ("tb", &is_event as &dyn Fn(&str) -> bool),
            ("checkpoints", &is_checkpoint),
            ("analysis", &is_finding),
        ] {
            let others = names_but(&self.root.join(folder), is_own)?;
            foreign.extend(others.into_iter().map(|name| Path::new(folder).join(name)));
        }
        foreign.extend(self.foreign_in_states()?);
        if self.report().is_dir() {
            foreign.push(PathBuf::from("report.html"));
        }
        Ok(foreign)
    }

    /// Files in the folders of the run's states that training did not write, by their path in the run: a state is written as a
    /// whole folder, which takes the place of the one before.
    ///
    /// # Errors
    /// If a folder cannot be read.
    pub fn foreign_in_states(&self) -> Result<Vec<PathBuf>, FileError> {
        const OF_NETWORK: [&str; 4] = [
            "weights.safetensors",
            "weights.npz",
            "model.json",
            "optimizer.safetensors",
        ];
        const OF_CHECKPOINT: [&str; 7] = [
            "MANIFEST.json",
            "state.json",
            "weights.safetensors",
            "optimizer.safetensors",
            "good_weights.safetensors",
            "good_optimizer.safetensors",
            "validated_weights.safetensors",
        ];
        let checkpoints = self.list_checkpoints()?.into_iter();
        let folders = [self.model(), self.root.join("initial")].into_iter();
        let folders = folders
            .map(|folder| (folder, &OF_NETWORK[..]))
            .chain(checkpoints.map(|step| (self.checkpoint(step), &OF_CHECKPOINT[..])));
        let mut foreign = Vec::new();
        for (folder, own) in folders {
            let place = folder
                .strip_prefix(&self.root)
                .unwrap_or(&folder)
                .to_owned();
            let others = names_but(&folder, &|name| own.contains(&name))?;
            foreign.extend(others.into_iter().map(|name| place.join(name)));
        }
        Ok(foreign)
    }

    /// Returns the path of the folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the path of the state of the run; its content is [`RunJson`].
    pub fn run_json(&self) -> PathBuf {
        self.root.join("RUN.json")
    }

    /// Returns the path of the final metrics of a finished run.
    pub fn result(&self) -> PathBuf {
        self.root.join("result.json")
    }

    /// Returns the path of the configuration as the user gave it, byte for byte.
    pub fn config(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    /// Returns the path of the overrides from the command line, one per line.
    pub fn overrides(&self) -> PathBuf {
        self.root.join("overrides.txt")
    }

    /// Returns the path of the configuration with every value filled in.
    pub fn resolved(&self) -> PathBuf {
        self.root.join("config.resolved.toml")
    }

    /// Returns the path of the manifest: versions, machine, seeds and digests of the input files.
    pub fn manifest(&self) -> PathBuf {
        self.root.join("manifest.json")
    }

    /// Returns the path of the measurements, one row per report.
    pub fn metrics(&self) -> PathBuf {
        self.root.join("metrics.csv")
    }

    /// Returns the path of the event log, one JSON object per line.
    pub fn events(&self) -> PathBuf {
        self.root.join("events.jsonl")
    }

    /// Returns the path of the rates of each unit at each validation, which a run with monitors has.
    pub fn units(&self) -> PathBuf {
        self.root.join("units.csv")
    }

    /// Syncs metrics.csv, units.csv and events.jsonl to the disk, so that a checkpoint never outlives the rows before it.
    ///
    /// # Errors
    /// As [`RunFolder::check_held`], or if one is missing or cannot be written.
    pub fn sync_logs(&self) -> Result<(), FileError> {
        self.check_held()?;
        atomic::sync_file(&self.metrics())?;
        if self.units().is_file() {
            atomic::sync_file(&self.units())?;
        }
        atomic::sync_file(&self.events())
    }

    /// Returns the folder of the TensorBoard event files.
    pub fn tensorboard(&self) -> PathBuf {
        self.root.join("tb")
    }

    /// Returns the folder of all checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    /// Returns the folder of the checkpoint after `step` steps, such as `checkpoints/step-00002000`.
    pub fn checkpoint(&self, step: u64) -> PathBuf {
        self.checkpoints().join(checkpoint_name(step))
    }

    /// Returns the path of the pointer to the best checkpoint, a text file with its name.
    pub fn best(&self) -> PathBuf {
        self.checkpoints().join("best")
    }

    /// Returns the path of the pointer to the last checkpoint, a text file with its name.
    pub fn last(&self) -> PathBuf {
        self.checkpoints().join("last")
    }

    /// Returns the folder of the network at which training ended or was last stopped. It is out of date while a resumed
    /// run
    /// is training.
    pub fn model(&self) -> PathBuf {
        self.root.join("model")
    }

    /// Returns the path of the weights in `model/` as safetensors.
    pub fn model_weights(&self) -> PathBuf {
        self.model().join("weights.safetensors")
    }

    /// Returns the path of the weights in `model/` as npz.
    pub fn model_weights_npz(&self) -> PathBuf {
        self.model().join("weights.npz")
    }

    /// Returns the path of the description of the model in `model/`.
    pub fn model_json(&self) -> PathBuf {
        self.model().join("model.json")
    }

    /// Reads the step of the weights in `model/`.
    ///
    /// # Errors
    /// If `model/model.json` is missing or damaged.
    pub fn model_step(&self) -> Result<u64, FileError> {
        #[derive(Deserialize)]
        struct ModelJson {
            step: u64,
        }
        let model: ModelJson = json::read(&self.model_json())?;
        Ok(model.step)
    }

    /// Removes `model/` if its weights are of a later step than `step`, and returns that later step.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn remove_model_after(&self, step: u64) -> Result<Option<u64>, FileError> {
        let later = self.model_step().ok().filter(|&model| model > step);
        if later.is_some() {
            self.remove(&self.model())?;
        }
        Ok(later)
    }

    /// Returns the path of the optimizer's state with which the run began, if it began with that of another run.
    pub fn initial_optimizer(&self) -> PathBuf {
        self.root.join("initial/optimizer.safetensors")
    }

    /// Path of the initial weights within the run folder.
    pub const INITIAL_WEIGHTS: &str = "initial/weights.safetensors";

    /// Returns the path of the weights with which the run began.
    pub fn initial_weights(&self) -> PathBuf {
        self.root.join(Self::INITIAL_WEIGHTS)
    }

    /// Returns the folder of evaluations.
    pub fn eval(&self) -> PathBuf {
        self.root.join("eval")
    }

    /// Returns the folder of analyses.
    pub fn analysis(&self) -> PathBuf {
        self.root.join("analysis")
    }

    /// Returns the folder of figures.
    pub fn figures(&self) -> PathBuf {
        self.root.join("figures")
    }

    /// Returns the path of the report on the run.
    pub fn report(&self) -> PathBuf {
        self.root.join("report.html")
    }
}

const CHECKPOINT_PREFIX: &str = "step-";

/// Returns the name of a checkpoint's folder: `step-` and at least eight digits, so that names sort as numbers.
pub(crate) fn checkpoint_name(step: u64) -> String {
    format!("{CHECKPOINT_PREFIX}{step:08}")
}

/// Parses the name of a checkpoint's folder.
pub(crate) fn checkpoint_step(name: &str) -> Option<u64> {
    let step = name.strip_prefix(CHECKPOINT_PREFIX)?.parse().ok()?;
    (checkpoint_name(step) == name).then_some(step)
}

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// The folder exists, but no training step has been made.
    Created,
    /// A process is training, or was killed while training; a process that can take the lock knows it was killed.
    Running,
    /// Training was stopped by a signal or a time limit, and can be resumed.
    Stopped,
    /// All steps have been made, or the stop criterion has been met.
    Done,
    /// Training failed.
    Failed,
}

/// The content of `RUN.json`. Times are RFC 3339 strings that the caller provides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunJson {
    /// Version of this format: [`RunJson::VERSIONS`].
    pub schema: u32,
    /// Identifier of the run, which stays the same when its folder is moved.
    pub id: String,
    /// State of the run.
    pub state: RunState,
    /// Exit code of the last process, once it has ended.
    pub exit_code: Option<u8>,
    /// Reason why it stopped or failed, in words.
    pub reason: Option<String>,
    /// Time at which the folder was created.
    pub created: String,
    /// Time at which the last process began to train.
    pub started: Option<String>,
    /// Time at which the last process ended.
    pub ended: Option<String>,
    /// Machine of the last process.
    pub host: String,
    /// Process identifier of the last process.
    pub pid: u32,
    /// Number of times the run was resumed.
    pub restarts: u32,
}

impl RunJson {
    /// Versions of this format.
    pub const VERSIONS: Versions = Versions(&[]);

    /// Reads `RUN.json`.
    ///
    /// # Errors
    /// If it is missing or damaged, or has another schema version.
    pub fn load(path: &Path) -> Result<Self, FileError> {
        Self::VERSIONS.read(path)
    }

    /// Replaces `RUN.json` atomically. If the disk is too full for a second file, the file is overwritten in place.
    ///
    /// # Errors
    /// As [`RunFolder::check_held`], or if it cannot be written.
    pub fn store(&self, run: &RunFolder) -> Result<(), FileError> {
        let (path, content) = (run.run_json(), json::to_bytes(self));
        match run.write(&path, &content) {
            Err(FileError::Io { error, .. }) if is_full(&error) => {
                let opened = OpenOptions::new().write(true).open(&path);
                let file = opened.map_err(FileError::io("write", &path))?;
                // After opening, so that the open file is known to belong to this run.
                run.check_held()?;
                write_over(file, content).map_err(FileError::io("write", &path))
            }
            written => written,
        }
    }
}

/// Lists the entries of a folder, sorted, except those that `is_out` names, leftovers of writers and empty folders.
/// A missing folder has no entries.
fn names_but(folder: &Path, is_out: &dyn Fn(&str) -> bool) -> Result<Vec<PathBuf>, FileError> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(FileError::io("read", folder))? {
        let entry = entry.map_err(FileError::io("read", folder))?;
        let name = entry.file_name();
        let is_empty = || fs::read_dir(entry.path()).is_ok_and(|mut all| all.next().is_none());
        let is_ours = name.to_str().is_some_and(is_out) || atomic::is_leftover(&name);
        if !is_ours && !is_empty() {
            names.push(PathBuf::from(name));
        }
    }
    names.sort();
    Ok(names)
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Overwrites a small file within its own space; shorter content is padded with spaces.
fn write_over(mut file: File, mut content: Vec<u8>) -> io::Result<()> {
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
            schema: RunJson::VERSIONS.current(),
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
    fn what_is_not_the_runs_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let own = [
            "RUN.json",
            ".lock",
            "report.html",
            "model/weights.npz",
            "tb/events.out.tfevents.0000000017.lab.ctrnn",
            "checkpoints/best",
            "checkpoints/step-00000010/state.json",
            "analysis/pca.npz",
            "analysis/pca_3d.svg",
            "analysis/pca_time.pdf",
            "analysis/pca_3d.py",
            ".RUN.json.tmp-abc123",
        ];
        let theirs = [
            "figures/figure1.svg",
            "nested/RUN.json",
            "notes.md",
            "tb/notes",
            "checkpoints/why.txt",
            "analysis/mine.svg",
            "analysis/pca.txt",
            "model/more/x",
        ];
        for name in own.iter().chain(&theirs) {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"").unwrap();
        }
        fs::create_dir(folder.path().join("eval")).unwrap();
        let foreign = RunFolder::at(folder.path())
            .foreign(&["pca", "tdr"])
            .unwrap();
        let expected = [
            "figures",
            "nested",
            "notes.md",
            "tb/notes",
            "checkpoints/why.txt",
            "analysis/mine.svg",
            "analysis/pca.txt",
            "model/more",
        ];
        assert_eq!(foreign, expected.map(PathBuf::from));
    }

    #[test]
    fn run_json_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::at(folder.path());
        run_json().store(&run).unwrap();
        assert_eq!(RunJson::load(&run.run_json()).unwrap(), run_json());
        let text = fs::read_to_string(run.run_json()).unwrap();
        assert!(text.contains(r#""state": "running""#), "{text}");
    }

    #[test]
    fn run_json_is_written_over_in_the_room_that_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::at(folder.path());
        let path = run.run_json();
        run_json().store(&run).unwrap();
        let long = fs::metadata(&path).unwrap().len();
        let shorter = RunJson {
            started: None,
            ..run_json()
        };
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        write_over(file, json::to_bytes(&shorter)).unwrap();
        assert_eq!(RunJson::load(&path).unwrap(), shorter);
        assert_eq!(fs::metadata(&path).unwrap().len(), long);
    }

    /// Everything that a run writes by a path is refused in another run's folder, which stays as it is.
    #[cfg(unix)]
    #[test]
    fn nothing_is_written_to_a_folder_that_took_the_place_of_the_run() {
        use crate::lock::Holder;
        let parent = tempfile::tempdir().unwrap();
        let [path, old] = ["run", "old"].map(|name| parent.path().join(name));
        fs::create_dir(&path).unwrap();
        let lock = Arc::new(RunLock::acquire(&path, &Holder::this_process("now")).unwrap());
        let run = RunFolder::at(&path).held_by(&lock);
        let files = [("weights".to_owned(), b"ours".to_vec())].into();
        run.write_checkpoint(1, &files).unwrap();

        fs::rename(&path, &old).unwrap();
        fs::create_dir(&path).unwrap();
        let theirs = RunFolder::at(&path);
        let files_of_theirs = [("weights".to_owned(), b"theirs".to_vec())].into();
        theirs.write_checkpoint(1, &files_of_theirs).unwrap();
        theirs.point_last(1).unwrap();
        type Write<'a> = &'a dyn Fn() -> Result<(), FileError>;
        let writes: [(&str, Write); 8] = [
            ("checkpoint", &|| run.write_checkpoint(1, &files)),
            ("last", &|| run.point_last(2)),
            ("best", &|| run.point_best(2)),
            ("RUN.json", &|| run_json().store(&run)),
            ("prune", &|| run.prune_checkpoints(0, &[]).map(drop)),
            ("rollback", &|| run.remove_checkpoints_after(0).map(drop)),
            ("leftovers", &|| run.clean_leftovers().map(drop)),
            ("model", &|| run.replace(&run.model(), |_| Ok(()))),
        ];
        for (what, write) in writes {
            let refused = write();
            let is_displaced = matches!(refused, Err(FileError::Displaced { .. }));
            assert!(is_displaced, "{what}: {refused:?}");
        }
        let weights = crate::read_checkpoint(&theirs.checkpoint(1)).unwrap();
        assert_eq!(weights["weights"], b"theirs");
        assert_eq!(crate::read_pointer(&theirs.last()).unwrap(), 1);
        let names = fs::read_dir(&path).unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["checkpoints"]);

        fs::remove_dir_all(&path).unwrap();
        fs::rename(&old, &path).unwrap();
        run.point_last(1).unwrap(); // it is back
        drop(lock);
        assert!(run.point_last(1).is_err());
    }

    /// The folder is exchanged while a checkpoint is being filled, and while it is brought to the disk.
    #[cfg(unix)]
    #[test]
    fn an_exchange_in_the_middle_of_a_write_is_noticed() {
        use crate::lock::Holder;
        let parent = tempfile::tempdir().unwrap();
        let [path, old] = ["run", "old"].map(|name| parent.path().join(name));
        fs::create_dir(&path).unwrap();
        let lock = Arc::new(RunLock::acquire(&path, &Holder::this_process("now")).unwrap());
        let run = RunFolder::at(&path).held_by(&lock);
        let model = run.model();
        run.replace(&model, |_| Ok::<_, FileError>(())).unwrap();
        let refused = run.replace(&model, |_| {
            fs::rename(&path, &old).unwrap();
            fs::create_dir_all(&model).unwrap();
            Ok::<_, FileError>(())
        });
        assert!(refused.is_err());
        assert!(model.is_dir());
        let names = fs::read_dir(&path).unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["model"]);
    }

    #[test]
    fn another_schema_is_named_even_if_its_fields_differ() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("RUN.json");
        fs::write(&path, r#"{"schema": 2, "colour": "blue"}"#).unwrap();
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
        fs::create_dir(run.model()).unwrap();
        fs::write(run.model_json(), r#"{"step": 7, "task": "toy"}"#).unwrap();
        assert_eq!(run.remove_model_after(7).unwrap(), None);
        assert_eq!(run.remove_model_after(6).unwrap(), Some(7));
        assert!(!run.model().exists());
    }
}
