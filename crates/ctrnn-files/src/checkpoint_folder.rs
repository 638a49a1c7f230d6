//! Checkpoints: folders with a manifest against which they are checked, and the pointers `best` and `last`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{FileError, FormatError};
use crate::fail_point::fail_point;
use crate::run_folder::{RunFolder, checkpoint_name, checkpoint_step};
use crate::versions::Versions;
use crate::{atomic, digest, json, regular_file};

const MANIFEST: &str = "MANIFEST.json";
const MAX_POINTER_BYTES: u64 = 64;

/// The files of a checkpoint by name.
pub type CheckpointFiles = BTreeMap<String, Vec<u8>>;

/// The content of `MANIFEST.json`, which is written after all other files of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointManifest {
    /// Version of this format.
    pub schema: u32,
    /// Training steps made.
    pub step: u64,
    /// Every other file of the checkpoint.
    pub files: BTreeMap<String, FilePromise>,
}

/// Length and digest of one file, as recorded in a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilePromise {
    /// Length in bytes.
    pub bytes: u64,
    /// Digest by [`digest::xxh3`].
    pub xxh3: String,
}

/// The result of [`RunFolder::newest_whole_checkpoint`].
#[derive(Debug)]
pub struct NewestCheckpoint {
    /// Step of the newest whole checkpoint, if there is one.
    pub step: Option<u64>,
    /// Newer checkpoints that are damaged, the newest first, each with its error.
    pub passed_over: Vec<(u64, FileError)>,
}

impl CheckpointManifest {
    /// Versions of this format.
    const VERSIONS: Versions = Versions(&[]);

    fn new(step: u64, files: &CheckpointFiles) -> Self {
        let files = files
            .iter()
            .map(|(name, content)| {
                let promise = FilePromise {
                    bytes: content.len() as u64,
                    xxh3: digest::xxh3(content),
                };
                (name.clone(), promise)
            })
            .collect();
        Self {
            schema: Self::VERSIONS.current(),
            step,
            files,
        }
    }

    /// Reads the manifest of the checkpoint in `folder`, without checking the other files.
    ///
    /// # Errors
    /// If it is missing or damaged, has another schema version, belongs to another step than the folder's name says, or
    /// names a file outside the folder.
    pub fn load(folder: &Path) -> Result<Self, FileError> {
        let path = folder.join(MANIFEST);
        let manifest: Self = Self::VERSIONS.read(&path)?;
        manifest.check(folder).map_err(FileError::format(&path))?;
        Ok(manifest)
    }

    fn check(&self, folder: &Path) -> Result<(), FormatError> {
        let named = folder
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(checkpoint_step);
        if let Some(expected) = named.filter(|&expected| expected != self.step) {
            return Err(FormatError::OtherStep {
                found: self.step,
                expected,
            });
        }
        match self.files.keys().find(|name| !is_plain_name(name)) {
            Some(name) => Err(FormatError::Name { name: name.clone() }),
            None => Ok(()),
        }
    }
}

/// Checks every file of a checkpoint against its manifest.
///
/// # Errors
/// Names the first file that is missing or whose length or digest differs from the manifest.
pub fn verify_checkpoint(folder: &Path) -> Result<CheckpointManifest, FileError> {
    let manifest = CheckpointManifest::load(folder)?;
    for (name, promise) in &manifest.files {
        let path = folder.join(name);
        check_length(&path, promise)?;
        check_digest(&path, promise, digest::xxh3_file(&path)?)?;
    }
    Ok(manifest)
}

/// Reads a checkpoint and checks the very bytes that it returns.
///
/// # Errors
/// As [`verify_checkpoint`].
pub fn read_checkpoint(folder: &Path) -> Result<CheckpointFiles, FileError> {
    let manifest = CheckpointManifest::load(folder)?;
    let mut files = CheckpointFiles::new();
    for (name, promise) in manifest.files {
        let content = read_promised(&folder.join(&name), &promise)?;
        files.insert(name, content);
    }
    Ok(files)
}

impl RunFolder {
    /// Writes the checkpoint after `step` steps atomically, and replaces one that already exists (written before a
    /// resume).
    /// The pointer `last` is not moved.
    ///
    /// # Errors
    /// As [`RunFolder::check_held`], or if it cannot be written.
    ///
    /// # Panics
    /// If a name is not that of a file in the folder, or is `MANIFEST.json`.
    pub fn write_checkpoint(&self, step: u64, files: &CheckpointFiles) -> Result<(), FileError> {
        let place = self.checkpoint(step);
        self.replace(&place, |folder| {
            for (name, content) in files {
                assert!(
                    is_plain_name(name),
                    "{name:?} should name a file of the checkpoint"
                );
                write_new(folder, name, content, &place)?;
            }
            // Last, so that a folder with a manifest has all its files.
            let manifest = json::to_bytes(&CheckpointManifest::new(step, files));
            write_new(folder, MANIFEST, &manifest, &place)
        })
    }

    /// Removes the leftovers of a killed writer in the run folder and among its checkpoints, and returns their paths.
    /// A complete checkpoint that was moved aside for a new one of the same step, which was never completed, is put back.
    ///
    /// Call this only while holding the lock of the run.
    ///
    /// # Errors
    /// As [`RunFolder::check_held`], or if a folder cannot be read or a leftover not removed.
    pub fn clean_leftovers(&self) -> Result<Vec<PathBuf>, FileError> {
        self.check_held()?;
        let mut removed = atomic::clean_leftovers(self.root())?;
        let checkpoints = self.checkpoints();
        if checkpoints.is_dir() {
            // First, because the second call removes the leftovers for good.
            for leftover in atomic::leftovers(&checkpoints)? {
                self.put_back(&leftover)?;
            }
            removed.extend(atomic::clean_leftovers(&checkpoints)?);
        }
        Ok(removed)
    }

    /// Restores a complete checkpoint from a leftover, if there is no other one of its step.
    fn put_back(&self, leftover: &Path) -> Result<(), FileError> {
        for folder in [leftover.to_owned(), leftover.join(atomic::OLD)] {
            let Ok(manifest) = verify_checkpoint(&folder) else {
                continue;
            };
            let place = self.checkpoint(manifest.step);
            if place.symlink_metadata().is_err() {
                fs::rename(&folder, &place).map_err(FileError::io("rename", &folder))?;
            }
        }
        Ok(())
    }

    /// Lists the steps of all checkpoints, complete or not, ascending. Other entries of the folder are skipped.
    ///
    /// # Errors
    /// If the folder of checkpoints exists but cannot be read.
    pub fn list_checkpoints(&self) -> Result<Vec<u64>, FileError> {
        let folder = self.checkpoints();
        if !folder.exists() {
            return Ok(Vec::new());
        }
        let mut steps = Vec::new();
        for entry in fs::read_dir(&folder).map_err(FileError::io("read", &folder))? {
            let name = entry.map_err(FileError::io("read", &folder))?.file_name();
            steps.extend(name.to_str().and_then(checkpoint_step));
        }
        steps.sort_unstable();
        Ok(steps)
    }

    /// Finds the newest checkpoint that agrees with its manifest.
    ///
    /// # Errors
    /// If the folder of checkpoints cannot be read. Damaged checkpoints are not errors; they are listed in the result.
    pub fn newest_whole_checkpoint(&self) -> Result<NewestCheckpoint, FileError> {
        let mut passed_over = Vec::new();
        for step in self.list_checkpoints()?.into_iter().rev() {
            match verify_checkpoint(&self.checkpoint(step)) {
                Ok(_) => {
                    return Ok(NewestCheckpoint {
                        step: Some(step),
                        passed_over,
                    });
                }
                Err(error) => passed_over.push((step, error)),
            }
        }
        Ok(NewestCheckpoint {
            step: None,
            passed_over,
        })
    }

    /// Removes all checkpoints except the newest `keep_last` and those of the steps in `keep`; returns the removed steps.
    ///
    /// # Errors
    /// If a checkpoint cannot be removed.
    pub fn prune_checkpoints(&self, keep_last: usize, keep: &[u64]) -> Result<Vec<u64>, FileError> {
        let removed = self.checkpoints_to_prune(keep_last, keep)?;
        for &step in &removed {
            self.remove(&self.checkpoint(step))?;
        }
        Ok(removed)
    }

    /// Lists the steps that [`RunFolder::prune_checkpoints`] would remove.
    ///
    /// # Errors
    /// If the folder of checkpoints cannot be read.
    pub fn checkpoints_to_prune(
        &self,
        keep_last: usize,
        keep: &[u64],
    ) -> Result<Vec<u64>, FileError> {
        let mut steps = self.list_checkpoints()?;
        steps.truncate(steps.len().saturating_sub(keep_last));
        steps.retain(|step| !keep.contains(step));
        Ok(steps)
    }
}

impl RunFolder {
    /// Sets the pointer `last` to the checkpoint of `step`.
    ///
    /// # Errors
    /// As [`RunFolder::check_held`], or if it cannot be written.
    pub fn point_last(&self, step: u64) -> Result<(), FileError> {
        self.write(&self.last(), pointer_to(step).as_bytes())
    }

    /// Sets the pointer `best` to the checkpoint of `step`.
    ///
    /// # Errors
    /// As [`RunFolder::check_held`], or if it cannot be written.
    pub fn point_best(&self, step: u64) -> Result<(), FileError> {
        self.write(&self.best(), pointer_to(step).as_bytes())
    }

    /// Removes all checkpoints of more than `step` steps, and returns their steps, the newest first.
    ///
    /// # Errors
    /// If a checkpoint cannot be removed.
    pub fn remove_checkpoints_after(&self, step: u64) -> Result<Vec<u64>, FileError> {
        let mut later = self.list_checkpoints()?;
        later.retain(|&other| other > step);
        // The newest first, so that the ones left after a crash have no gap.
        later.reverse();
        for &other in &later {
            self.remove(&self.checkpoint(other))?;
        }
        Ok(later)
    }
}

/// Returns the content of a pointer to the checkpoint of `step`.
fn pointer_to(step: u64) -> String {
    format!("{}\n", checkpoint_name(step))
}

/// Reads the step of the checkpoint that `pointer` names. That checkpoint may be missing.
///
/// # Errors
/// If the pointer is missing or does not hold the name of a checkpoint.
pub fn read_pointer(pointer: &Path) -> Result<u64, FileError> {
    let bytes = regular_file::read(pointer, MAX_POINTER_BYTES)?;
    let text = String::from_utf8_lossy(&bytes);
    let name = text.strip_suffix('\n').unwrap_or(&text);
    checkpoint_step(name).ok_or_else(|| {
        FileError::format(pointer)(FormatError::Pointer {
            text: text.clone().into_owned(),
        })
    })
}

/// Returns true for the name of a file in the same folder, other than the manifest.
fn is_plain_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    matches!((components.next(), components.next()), (Some(Component::Normal(only)), None) if only == name)
        && name != MANIFEST
}

fn read_promised(path: &Path, promise: &FilePromise) -> Result<Vec<u8>, FileError> {
    check_length(path, promise)?;
    let content = regular_file::read(path, promise.bytes)?;
    check_digest(path, promise, digest::xxh3(&content))?;
    Ok(content)
}

/// Refuses links and files of another length, before anything is read.
fn check_length(path: &Path, promise: &FilePromise) -> Result<(), FileError> {
    if path.is_symlink() {
        return Err(FileError::NotAFile {
            path: path.to_owned(),
        });
    }
    let (_, found) = regular_file::open(path)?;
    if found == promise.bytes {
        return Ok(());
    }
    let promised = promise.bytes;
    Err(FileError::format(path)(FormatError::Length {
        promised,
        found,
    }))
}

fn check_digest(path: &Path, promise: &FilePromise, found: String) -> Result<(), FileError> {
    if found == promise.xxh3 {
        return Ok(());
    }
    let promised = promise.xxh3.clone();
    Err(FileError::format(path)(FormatError::Digest {
        promised,
        found,
    }))
}

/// Writes a file into `folder`, which will be renamed to `place`; errors name the path in `place`.
fn write_new(folder: &Path, name: &str, content: &[u8], place: &Path) -> Result<(), FileError> {
    let path = folder.join(name);
    // In two halves, so that a test can end the process between them.
    let (first, second) = content.split_at(content.len() / 2);
    let write = || {
        let mut file = File::create_new(&path)?;
        file.write_all(first)?;
        fail_point("torn", &path);
        file.write_all(second)
    };
    write().map_err(FileError::io("write", &place.join(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn files() -> CheckpointFiles {
        CheckpointFiles::from([
            ("state.json".into(), b"{}".to_vec()),
            ("weights.safetensors".into(), vec![7; 100]),
        ])
    }

    fn run_with(steps: &[u64]) -> (TempDir, RunFolder) {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::at(folder.path());
        for &step in steps {
            run.write_checkpoint(step, &files()).unwrap();
        }
        (folder, run)
    }

    fn rule(error: FileError) -> FormatError {
        match error {
            FileError::Format { rule, .. } => rule,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_checkpoint_comes_back_and_can_be_written_again() {
        let (_folder, run) = run_with(&[50, 50]);
        assert_eq!(read_checkpoint(&run.checkpoint(50)).unwrap(), files());
        assert_eq!(verify_checkpoint(&run.checkpoint(50)).unwrap().step, 50);
        assert_eq!(run.list_checkpoints().unwrap(), [50]);
    }

    #[test]
    fn truncated_altered_and_missing_files_are_named() {
        let (_folder, run) = run_with(&[50]);
        let folder = run.checkpoint(50);
        let weights = folder.join("weights.safetensors");

        fs::write(&weights, [7; 99]).unwrap();
        let error = verify_checkpoint(&folder).unwrap_err();
        assert_eq!(error.path(), weights);
        assert_eq!(error.kind(), crate::ErrorKind::Data);
        assert_eq!(
            rule(error),
            FormatError::Length {
                promised: 100,
                found: 99
            }
        );

        fs::write(&weights, [8; 100]).unwrap();
        let error = read_checkpoint(&folder).unwrap_err();
        assert_eq!(error.path(), weights);
        let (promised, found) = (digest::xxh3(&[7; 100]), digest::xxh3(&[8; 100]));
        assert_eq!(rule(error), FormatError::Digest { promised, found });

        fs::remove_file(&weights).unwrap();
        let error = verify_checkpoint(&folder).unwrap_err();
        assert!(
            matches!(&error, FileError::Missing { path } if *path == weights),
            "{error}"
        );
    }

    #[test]
    fn flipped_bits_are_found() {
        let (_folder, run) = run_with(&[50]);
        let folder = run.checkpoint(50);
        for name in ["MANIFEST.json", "state.json", "weights.safetensors"] {
            let path = folder.join(name);
            let whole = fs::read(&path).unwrap();
            for bit in (0..whole.len() * 8).step_by(7) {
                // 7 and 8 have no common factor, so each bit of a byte is met
                let mut flipped = whole.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                fs::write(&path, flipped).unwrap();
                assert!(read_checkpoint(&folder).is_err(), "bit {bit} of {name}");
            }
            fs::write(&path, whole).unwrap();
        }
        assert!(read_checkpoint(&folder).is_ok());
    }

    #[test]
    fn a_checkpoint_under_the_name_of_another_is_refused() {
        let (_folder, run) = run_with(&[50]);
        fs::rename(run.checkpoint(50), run.checkpoint(60)).unwrap();
        let error = verify_checkpoint(&run.checkpoint(60)).unwrap_err();
        assert_eq!(
            rule(error),
            FormatError::OtherStep {
                found: 50,
                expected: 60
            }
        );
    }

    #[test]
    fn a_manifest_stays_within_its_folder() {
        for name in [
            "../RUN.json",
            "/etc/hostname",
            "below/file",
            ".",
            "..",
            "",
            MANIFEST,
        ] {
            assert!(!is_plain_name(name), "{name}");
        }
        assert!(is_plain_name("weights.safetensors"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_refused() {
        let (_folder, run) = run_with(&[50]);
        let state = run.checkpoint(50).join("state.json");
        let elsewhere = run.root().join("elsewhere");
        fs::rename(&state, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &state).unwrap();
        assert!(matches!(
            verify_checkpoint(&run.checkpoint(50)),
            Err(FileError::NotAFile { .. })
        ));
    }

    #[test]
    fn damaged_checkpoints_are_passed_over() {
        let (_folder, run) = run_with(&[50, 100, 150]);
        fs::write(run.checkpoint(150).join("state.json"), b"").unwrap();
        fs::remove_file(run.checkpoint(100).join(MANIFEST)).unwrap();
        let newest = run.newest_whole_checkpoint().unwrap();
        assert_eq!(newest.step, Some(50));
        let passed_over: Vec<u64> = newest.passed_over.iter().map(|(step, _)| *step).collect();
        assert_eq!(passed_over, [150, 100]);
    }

    #[test]
    fn a_run_without_checkpoints_has_none() {
        let (_folder, run) = run_with(&[]);
        assert_eq!(run.newest_whole_checkpoint().unwrap().step, None);
    }

    #[test]
    fn only_checkpoints_are_listed_in_the_order_of_their_steps() {
        let (_folder, run) = run_with(&[123_456_789, 5]);
        for other in [
            "best",
            "step-5",
            "step-00000x05",
            ".step-00000007.tmp-abc123",
            "step-+0000005",
        ] {
            fs::create_dir(run.checkpoints().join(other)).unwrap();
        }
        assert_eq!(run.list_checkpoints().unwrap(), [5, 123_456_789]);
    }

    #[test]
    fn pruning_keeps_the_newest_and_the_chosen() {
        let (_folder, run) = run_with(&[10, 20, 30, 40, 50]);
        assert_eq!(run.prune_checkpoints(2, &[20]).unwrap(), [10, 30]);
        assert_eq!(run.list_checkpoints().unwrap(), [20, 40, 50]);
        assert_eq!(run.prune_checkpoints(9, &[]).unwrap(), [0; 0]);
        assert_eq!(fs::read_dir(run.checkpoints()).unwrap().count(), 3);
    }

    #[test]
    fn a_pointer_names_a_checkpoint() {
        let (_folder, run) = run_with(&[10]);
        assert!(matches!(
            read_pointer(&run.best()),
            Err(FileError::Missing { .. })
        ));
        run.point_best(10).unwrap();
        assert_eq!(fs::read(run.best()).unwrap(), b"step-00000010\n");
        assert_eq!(read_pointer(&run.best()).unwrap(), 10);
        for foreign in ["", "step-10", "../step-00000010", "step-00000010\n\n"] {
            fs::write(run.best(), foreign).unwrap();
            let text = foreign.to_owned();
            assert_eq!(
                rule(read_pointer(&run.best()).unwrap_err()),
                FormatError::Pointer { text }
            );
        }
    }
}
