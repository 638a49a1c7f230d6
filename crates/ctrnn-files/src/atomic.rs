//! Atomic writes: files and folders that appear whole or not at all.
//!
//! Content is first written under a hidden name in the same folder (`.name.tmp-XXXXXX`), synced to the disk,
//! and only then renamed into place; finally the folder itself is synced. A process that is killed
//! leaves the old content and perhaps a leftover, which [`clean_leftovers`] recognises and removes.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile, TempDir};

use crate::error::FileError;
use crate::fail_point::fail_point;
use crate::lock;

const MARK: &str = ".tmp-";
const RANDOM_CHARACTERS: usize = 6;
/// Name of a replaced folder within the hidden folder to which it is moved.
pub(crate) const OLD: &str = "old";

/// Replaces or creates a file atomically.
///
/// # Errors
/// If the folder does not exist or cannot be written, or the disk is full; the old content is then still there.
pub fn write(path: &Path, content: &[u8]) -> Result<(), FileError> {
    write_if(path, content, || Ok(()))
}

/// Does as [`write`], unless `check` fails just before the file is renamed into place.
pub(crate) fn write_if(
    path: &Path,
    content: &[u8],
    check: impl FnOnce() -> Result<(), FileError>,
) -> Result<(), FileError> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(content)
        .map_err(FileError::io("write", path))?;
    file.commit_if(check)
}

/// A file that replaces `path` when it is committed. If it is dropped before, it leaves no trace.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
}

impl AtomicFile {
    /// Creates the file under a hidden name in the folder of `path`.
    ///
    /// # Errors
    /// If the folder does not exist or cannot be written.
    pub fn create(path: &Path) -> Result<Self, FileError> {
        Ok(Self {
            path: path.to_owned(),
            file: BufWriter::new(staged_file(path)?),
        })
    }

    /// Returns the path that it replaces.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Syncs the content to the disk and renames the file into place.
    ///
    /// # Errors
    /// If the disk is full or the file cannot be replaced.
    pub fn commit(self) -> Result<(), FileError> {
        self.commit_if(|| Ok(()))
    }

    fn commit_if(self, check: impl FnOnce() -> Result<(), FileError>) -> Result<(), FileError> {
        let path = self.path.as_path();
        let file = self
            .file
            .into_inner()
            .map_err(|e| FileError::io("write", path)(e.into_error()))?;
        fail_point("written", path);
        file.as_file()
            .sync_all()
            .map_err(FileError::io("write", path))?;
        fail_point("synced", path);
        // As late as possible: writing and syncing may have taken long.
        check()?;
        file.persist(path)
            .map_err(|e| FileError::io("rename", path)(e.error))?;
        fail_point("renamed", path);
        sync_folder(parent(path))
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Creates a folder atomically with the content that `fill` writes into it, and any missing parents.
///
/// `fill` receives the folder under its hidden name. A [`RunLock`](crate::RunLock) taken there stays valid.
///
/// # Errors
/// [`FileError::AlreadyExists`] if there is anything at `path`; otherwise what `fill` returns, or an error while
/// writing. In each case nothing is left behind.
pub fn create_folder<E: From<FileError>>(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    if path.symlink_metadata().is_ok() {
        return Err(FileError::AlreadyExists {
            path: path.to_owned(),
        }
        .into());
    }
    let staged = stage_folder(path, fill)?;
    Ok(move_into_place(staged, path)?)
}

/// Creates a folder as [`create_folder`] does, but replaces one that is at `path`. The old one is moved aside just
/// before the new one takes its place: a process killed between the two renames leaves neither at `path`. `check` is
/// called before the old one is touched; filling the new one may take long, so it should confirm that the old one is
/// still to be replaced.
///
/// # Errors
/// The error of `fill` or `check`, or an error while writing; the old folder is then still there.
pub fn replace_folder<E: From<FileError>>(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
    check: impl FnOnce() -> Result<(), FileError>,
) -> Result<(), E> {
    let staged = stage_folder(path, fill)?;
    match path.symlink_metadata() {
        Ok(_) => remove_folder_if(path, check)?,
        Err(_) => check()?,
    }
    fail_point("made_room", path);
    Ok(move_into_place(staged, path)?)
}

/// Removes a folder if it exists. It is first renamed to a hidden name, so that no other process sees half of it.
///
/// # Errors
/// If it cannot be renamed or removed.
pub fn remove_folder(path: &Path) -> Result<(), FileError> {
    match path.symlink_metadata() {
        Ok(_) => remove_folder_if(path, || Ok(())),
        Err(_) => Ok(()),
    }
}

/// Removes an existing folder, unless `check` fails.
///
/// The hidden folder that receives it is created before the check: if the parent folder is exchanged after the check,
/// the hidden folder does not exist in the new one, and nothing is moved.
pub(crate) fn remove_folder_if(
    path: &Path,
    check: impl FnOnce() -> Result<(), FileError>,
) -> Result<(), FileError> {
    let aside = staged_folder(path)?;
    check()?;
    fs::rename(path, aside.path().join(OLD)).map_err(FileError::io("remove", path))?;
    sync_folder(parent(path))?;
    fail_point("set_aside", path);
    aside.close().map_err(FileError::io("remove", path))
}

/// Removes the leftovers of killed writers in `folder` (not below it), and returns their paths.
///
/// A staged run whose lock is held by a living process stays. Other living writers cannot be told from dead ones: call
/// this only for a folder that no other process writes to, such as a run whose lock you hold.
///
/// # Errors
/// If the folder cannot be read or a leftover not removed.
pub fn clean_leftovers(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let mut removed = leftovers(folder)?;
    removed.retain(|path| !lock::is_held(path));
    for path in &removed {
        // A link is removed as a file, because the folder that it points to is not ours.
        let result = if path.is_dir() && !path.is_symlink() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        };
        result.map_err(FileError::io("remove", path))?;
    }
    Ok(removed)
}

/// Removes the leftovers of writers that were killed before their run appeared at `path`: staged folders whose lock was
/// taken by a process that has ended. A staged folder whose lock is not taken yet may belong to a living process, and
/// stays.
///
/// # Errors
/// If the folder of runs cannot be read or a leftover not removed.
pub fn clean_staged_runs(path: &Path) -> Result<(), FileError> {
    if !parent(path).is_dir() {
        return Ok(());
    }
    let prefix = hidden_prefix(path);
    for leftover in leftovers(parent(path))? {
        let name = leftover.file_name().unwrap_or_default().as_encoded_bytes();
        if name.starts_with(prefix.as_encoded_bytes()) && lock::is_abandoned(&leftover) {
            match fs::remove_dir_all(&leftover) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {} // another process was quicker
                removed => removed.map_err(FileError::io("remove", &leftover))?,
            }
        }
    }
    Ok(())
}

/// Lists the entries of `folder` whose names only this module gives.
pub(crate) fn leftovers(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(FileError::io("read", folder))? {
        let entry = entry.map_err(FileError::io("read", folder))?;
        found.extend(is_leftover(&entry.file_name()).then(|| entry.path()));
    }
    Ok(found)
}

/// Returns true for `.name.tmp-` followed by six letters or digits.
pub(crate) fn is_leftover(name: &OsStr) -> bool {
    name.to_str()
        .and_then(|name| name.strip_prefix('.'))
        .and_then(|name| name.rsplit_once(MARK))
        .is_some_and(|(_, random)| {
            random.len() == RANDOM_CHARACTERS && random.bytes().all(|b| b.is_ascii_alphanumeric())
        })
}

fn stage_folder<E: From<FileError>>(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<TempDir, E> {
    let parent = parent(path);
    fs::create_dir_all(parent).map_err(FileError::io("create", parent))?;
    let staged = staged_folder(path)?;
    fail_point("staged", path);
    fill(staged.path())?;
    fail_point("filled", path);
    sync_tree(staged.path())?;
    fail_point("synced", path);
    Ok(staged)
}

/// Renames a staged folder to `path`. The kernel refuses to replace a folder that is not empty, so two processes cannot
/// both succeed.
fn move_into_place(staged: TempDir, path: &Path) -> Result<(), FileError> {
    use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, NotADirectory};
    fs::rename(staged.path(), path).map_err(|error| match error.kind() {
        AlreadyExists | DirectoryNotEmpty | NotADirectory => FileError::AlreadyExists {
            path: path.to_owned(),
        },
        _ => FileError::io("rename", path)(error),
    })?;
    // The folder has moved, so its guard must not try to remove it.
    let _ = staged.keep();
    fail_point("renamed", path);
    sync_folder(parent(path))
}

fn sync_tree(folder: &Path) -> Result<(), FileError> {
    for entry in fs::read_dir(folder).map_err(FileError::io("read", folder))? {
        let entry = entry.map_err(FileError::io("read", folder))?;
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            sync_tree(&path)?;
        } else {
            sync_file(&path)?;
        }
    }
    sync_folder(folder)
}

/// Syncs a file to the disk.
pub(crate) fn sync_file(path: &Path) -> Result<(), FileError> {
    let file = OpenOptions::new().write(true).open(path);
    file.and_then(|file| file.sync_all())
        .map_err(FileError::io("write", path))
}

/// Syncs a folder to the disk: without this, a renamed file may be lost in a power failure. Only Unix can open a folder.
fn sync_folder(folder: &Path) -> Result<(), FileError> {
    if cfg!(unix) {
        let opened = File::open(folder);
        opened
            .and_then(|folder| folder.sync_all())
            .map_err(FileError::io("write", folder))?;
    }
    Ok(())
}

fn staged_file(path: &Path) -> Result<NamedTempFile, FileError> {
    let prefix = hidden_prefix(path);
    let mut builder = Builder::new();
    builder.prefix(&prefix).rand_bytes(RANDOM_CHARACTERS);
    #[cfg(unix)]
    // The umask applies to this. The default of `tempfile`, 0o600, would hide results from the group.
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder
        .tempfile_in(parent(path))
        .map_err(FileError::io("create", path))
}

fn staged_folder(path: &Path) -> Result<TempDir, FileError> {
    let prefix = hidden_prefix(path);
    let mut builder = Builder::new();
    builder.prefix(&prefix).rand_bytes(RANDOM_CHARACTERS);
    builder
        .tempdir_in(parent(path))
        .map_err(FileError::io("create", path))
}

fn hidden_prefix(path: &Path) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(path.file_name().unwrap_or_default());
    prefix.push(MARK);
    prefix
}

/// Returns the folder that holds `path`; for a bare name, the current folder.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::{Holder, RunLock};

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn failure() -> FileError {
        FileError::Missing {
            path: PathBuf::from("something"),
        }
    }

    #[test]
    fn a_file_is_replaced_only_when_it_is_committed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("best");
        write(&path, b"old").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        write(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["best"]);
    }

    #[test]
    fn a_missing_folder_is_a_fault_of_the_machine() {
        let folder = tempfile::tempdir().unwrap();
        let error = write(&folder.path().join("none/best"), b"").unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Io);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_has_the_permissions_of_any_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (ours, plain) = (folder.path().join("ours"), folder.path().join("plain"));
        write(&ours, b"").unwrap();
        fs::write(&plain, b"").unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(ours), mode(plain));
    }

    #[test]
    fn a_folder_appears_with_its_content_or_not_at_all() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("runs/toy");
        let failed = create_folder(&path, |folder| {
            fs::write(folder.join("a"), b"1").unwrap();
            Err(failure())
        });
        assert!(failed.is_err());
        assert_eq!(names(&parent.path().join("runs")), [""; 0]);

        create_folder(&path, |folder| {
            assert!(!path.exists());
            fs::create_dir(folder.join("below")).unwrap();
            fs::write(folder.join("below/a"), b"1").unwrap();
            Ok::<_, FileError>(())
        })
        .unwrap();
        assert_eq!(fs::read(path.join("below/a")).unwrap(), b"1");
        assert_eq!(names(&parent.path().join("runs")), ["toy"]);
    }

    #[test]
    fn what_exists_is_not_overwritten() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("toy");
        fs::write(&path, b"a file").unwrap();
        let error = create_folder(&path, |_| Ok::<_, FileError>(())).unwrap_err();
        assert!(matches!(error, FileError::AlreadyExists { .. }));
        assert_eq!(error.kind(), crate::ErrorKind::Io);

        fs::remove_file(&path).unwrap();
        let late = create_folder(&path, |_| {
            fs::create_dir(&path).unwrap(); // somebody else was quicker
            fs::write(path.join("theirs"), b"").unwrap();
            Ok::<_, FileError>(())
        });
        assert!(matches!(late, Err(FileError::AlreadyExists { .. })));
        assert_eq!(names(parent.path()), ["toy"]);
    }

    #[test]
    fn a_replaced_folder_keeps_nothing_of_the_old_one() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("model");
        for name in ["old", "new"] {
            let fill = |folder: &Path| {
                fs::write(folder.join(name), b"").unwrap();
                Ok::<_, FileError>(())
            };
            replace_folder(&path, fill, || Ok(())).unwrap();
        }
        assert_eq!(names(&path), ["new"]);
        assert!(replace_folder(&path, |_| Err(failure()), || Ok(())).is_err());
        let fill = |_: &Path| Ok::<_, FileError>(());
        assert!(replace_folder(&path, fill, || Err(failure())).is_err());
        assert_eq!(names(&path), ["new"]);
        assert_eq!(names(parent.path()), ["model"]);
    }

    #[test]
    fn a_staged_run_goes_once_its_process_is_gone() {
        let parent = tempfile::tempdir().unwrap();
        let [dead, living, young, other] = [
            ".toy.tmp-aaaaaa",
            ".toy.tmp-bbbbbb",
            ".toy.tmp-cccccc",
            ".boy.tmp-dddddd",
        ]
        .map(|name| parent.path().join(name));
        for folder in [&dead, &living, &young, &other] {
            fs::create_dir(folder).unwrap();
        }
        let holder = serde_json::to_vec(&Holder::this_process("then")).unwrap();
        fs::write(dead.join(".lock"), &holder).unwrap();
        fs::write(other.join(".lock"), &holder).unwrap();
        fs::write(young.join(".lock"), b"").unwrap();
        let _lock = RunLock::acquire(&living, &Holder::this_process("now")).unwrap();
        clean_staged_runs(&parent.path().join("toy")).unwrap();
        assert_eq!(
            names(parent.path()),
            [".boy.tmp-dddddd", ".toy.tmp-bbbbbb", ".toy.tmp-cccccc"]
        );
    }

    #[test]
    fn leftovers_go_and_everything_else_stays() {
        let parent = tempfile::tempdir().unwrap();
        let leftover = AtomicFile::create(&parent.path().join("best")).unwrap();
        let (_, leftover) = leftover.file.into_parts().0.keep().unwrap();
        let dead = parent.path().join(".toy.tmp-abc123");
        let living = parent.path().join(".toy.tmp-xyz789");
        for folder in [&dead, &living] {
            fs::create_dir(folder).unwrap();
        }
        let _lock = RunLock::acquire(&living, &Holder::this_process("now")).unwrap();
        for name in [
            "toy",
            ".hidden",
            "a.tmp-abc123",
            ".a.tmp-abc1234",
            ".a.tmp-abc-12",
        ] {
            fs::write(parent.path().join(name), b"").unwrap();
        }
        let mut removed = clean_leftovers(parent.path()).unwrap();
        removed.sort();
        assert_eq!(removed, [leftover, dead]);
        assert_eq!(names(parent.path()).len(), 6);
    }
}
