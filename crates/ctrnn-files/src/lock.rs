//! Locks that allow one writer per run.

use std::env;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::FileError;
use crate::regular_file;

pub(crate) const NAME: &str = ".lock";
const MAX_BYTES: u64 = 4096;
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// The process that holds a lock, as written into the lock file for error messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Name of the machine.
    pub host: String,
    /// Process on that machine.
    pub pid: u32,
    /// Time at which it took the lock (RFC 3339).
    pub started: String,
}

impl Holder {
    /// Describes this process; `started` is the time now (RFC 3339).
    pub fn this_process(started: &str) -> Self {
        Self {
            host: host_name(),
            pid: process::id(),
            started: started.to_owned(),
        }
    }

    fn unknown() -> Self {
        Self {
            host: "an unknown host".into(),
            pid: 0,
            started: "an unknown time".into(),
        }
    }
}

/// The exclusive right to write to a run, held until it is dropped or the process ends.
///
/// The operating system locks the file `.lock` of the run folder, so the lock cannot outlive its holder: the next
/// process takes over a `.lock` file that is left over. The file itself is never removed.
#[derive(Debug)]
pub struct RunLock {
    file: File,
}

impl RunLock {
    /// Takes the lock of a run folder without waiting, and writes `holder` into it.
    ///
    /// # Errors
    /// [`FileError::Locked`] if another process holds it; [`FileError::Displaced`] if the folder was replaced meanwhile;
    /// [`FileError::Io`] if it cannot be written or its file system does not support locks.
    pub fn acquire(run: &Path, holder: &Holder) -> Result<Self, FileError> {
        let path = run.join(NAME);
        regular_file::check_own(&path)?;
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let file = file.map_err(FileError::io("lock", &path))?;
        let is_taken = |file: &File| match file.try_lock() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(FileError::io("lock", &path)(error)),
        };
        if is_taken(&file)? {
            // `is_held` takes the lock for a moment to test it. After this pause such a test is over, and a real holder
            // has written its name, which it does just after it took the lock.
            thread::sleep(RETRY_AFTER);
            if is_taken(&file)? {
                return Err(locked(run));
            }
        }
        let mut lock = Self { file };
        lock.check(run)?;
        lock.write(holder).map_err(FileError::io("lock", &path))?;
        Ok(lock)
    }

    /// Checks that `run` is still the folder of this lock. It may have been renamed, removed or replaced meanwhile by
    /// another folder or a link to one.
    ///
    /// # Errors
    /// [`FileError::Displaced`] if it is not; [`FileError::Io`] if that cannot be found out.
    pub fn check(&self, run: &Path) -> Result<(), FileError> {
        if self.is_in(run).map_err(FileError::io("read", run))? {
            return Ok(());
        }
        Err(FileError::Displaced {
            path: run.to_owned(),
            now: self.folder_now(),
        })
    }

    /// Returns true if the lock file in this folder is the one that is held.
    #[cfg(unix)]
    fn is_in(&self, run: &Path) -> io::Result<bool> {
        use io::ErrorKind::{NotADirectory, NotFound};
        use std::os::unix::fs::MetadataExt;
        let held = self.file.metadata()?;
        match fs::metadata(run.join(NAME)) {
            Ok(found) => Ok((found.dev(), found.ino()) == (held.dev(), held.ino())),
            Err(error) if matches!(error.kind(), NotFound | NotADirectory) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns true: on other systems a folder in use cannot be renamed or removed.
    #[cfg(not(unix))]
    fn is_in(&self, _: &Path) -> io::Result<bool> {
        Ok(true)
    }

    /// Returns the current path of the lock's folder, unless it was removed.
    #[cfg(target_os = "linux")]
    fn folder_now(&self) -> Option<PathBuf> {
        use std::os::fd::AsRawFd;
        let open = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let file = fs::read_link(open).ok()?;
        file.ends_with(NAME)
            .then(|| file.parent().map(Path::to_owned))?
    }

    /// Returns nothing: other systems do not tell the path of an open file.
    #[cfg(not(target_os = "linux"))]
    fn folder_now(&self) -> Option<PathBuf> {
        None
    }

    fn write(&mut self, holder: &Holder) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(&serde_json::to_vec(holder)?)
    }
}

/// Empties the file, so that it no longer names a holder; the operating system releases the lock when the file closes.
impl Drop for RunLock {
    fn drop(&mut self) {
        // Best effort: if it fails, the file names this process until the next holder overwrites it.
        let _ = self.file.set_len(0);
    }
}

/// Returns the name of this machine, or "unknown".
pub fn host_name() -> String {
    let from_kernel = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    from_kernel
        .or_else(|| env::var("HOSTNAME").ok())
        .or_else(|| env::var("COMPUTERNAME").ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}

/// Returns true if a living process holds the lock of this folder.
pub(crate) fn is_held(run: &Path) -> bool {
    regular_file::open(&run.join(NAME))
        .is_ok_and(|(file, _)| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Returns true if the process that took the lock of this folder died without releasing it.
pub(crate) fn is_abandoned(run: &Path) -> bool {
    named_holder(run).is_some() && !is_held(run)
}

/// Refuses a run folder whose lock a living process holds.
///
/// # Errors
/// [`FileError::Locked`], which names that process.
pub fn refuse_if_held(run: &Path) -> Result<(), FileError> {
    if is_held(run) {
        return Err(locked(run));
    }
    Ok(())
}

fn named_holder(run: &Path) -> Option<Holder> {
    let text = regular_file::read(&run.join(NAME), MAX_BYTES).ok()?;
    serde_json::from_slice(&text).ok()
}

fn locked(run: &Path) -> FileError {
    let Holder { host, pid, started } = named_holder(run).unwrap_or_else(Holder::unknown);
    FileError::Locked {
        path: run.to_owned(),
        host,
        pid,
        started,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_writer_is_refused_and_told_who_is_first() {
        let run = tempfile::tempdir().unwrap();
        let first = RunLock::acquire(run.path(), &Holder::this_process("2026-01-01T00:00:00Z"));
        let first = first.unwrap();
        let refused = RunLock::acquire(run.path(), &Holder::this_process("later")).unwrap_err();
        let FileError::Locked {
            path,
            host,
            pid,
            started,
        } = &refused
        else {
            panic!("{refused}")
        };
        assert_eq!(
            (path.as_path(), host, *pid),
            (run.path(), &host_name(), process::id())
        );
        assert_eq!(started, "2026-01-01T00:00:00Z");
        assert_eq!(refused.kind(), crate::ErrorKind::Io);

        drop(first);
        assert!(!is_held(run.path()));
        RunLock::acquire(run.path(), &Holder::this_process("later")).unwrap();
    }

    #[test]
    fn the_file_of_a_dead_process_is_taken_over() {
        let run = tempfile::tempdir().unwrap();
        fs::write(
            run.path().join(NAME),
            r#"{"host":"gone","pid":1,"started":"long ago"}"#,
        )
        .unwrap();
        let _ours = RunLock::acquire(run.path(), &Holder::this_process("now")).unwrap();
        let told = locked(run.path()).to_string();
        assert!(
            told.contains(&format!("process {} on", process::id())),
            "{told}"
        );
    }

    #[test]
    fn a_lock_is_held_through_a_rename_of_its_folder() {
        let parent = tempfile::tempdir().unwrap();
        let run = parent.path().join("run");
        let mut lock = None;
        crate::atomic::create_folder(&run, |folder| {
            lock = Some(RunLock::acquire(folder, &Holder::this_process("now"))?);
            Ok::<_, FileError>(())
        })
        .unwrap();
        assert!(is_held(&run));
        drop(lock);
        assert!(!is_held(&run));
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_is_of_one_folder_whatever_stands_at_its_path() {
        use std::os::unix::fs::symlink;
        let parent = tempfile::tempdir().unwrap();
        let [run, old, other] = ["run", "old", "other"].map(|name| parent.path().join(name));
        for folder in [&run, &other] {
            fs::create_dir(folder).unwrap();
        }
        let lock = RunLock::acquire(&run, &Holder::this_process("now")).unwrap();
        let _theirs = RunLock::acquire(&other, &Holder::this_process("now")).unwrap();
        lock.check(&run).unwrap();
        let where_now = || match lock.check(&run) {
            Err(error @ FileError::Displaced { .. }) => {
                assert_eq!(error.kind(), crate::ErrorKind::Io);
                let FileError::Displaced { now, .. } = error else {
                    unreachable!()
                };
                now
            }
            other => panic!("{other:?}"),
        };
        let linux = |path: &PathBuf| cfg!(target_os = "linux").then(|| path.clone());

        fs::rename(&run, &old).unwrap();
        assert_eq!(where_now(), linux(&old));
        fs::create_dir(&run).unwrap();
        assert_eq!(where_now(), linux(&old));
        fs::write(run.join(NAME), b"").unwrap();
        assert_eq!(where_now(), linux(&old));
        fs::remove_dir_all(&run).unwrap();
        symlink(&other, &run).unwrap();
        assert_eq!(where_now(), linux(&old));
        fs::remove_file(&run).unwrap();
        symlink(&old, &run).unwrap();
        lock.check(&run).unwrap(); // a link to the folder itself
        fs::remove_dir_all(&old).unwrap();
        assert_eq!(where_now(), None);
    }

    #[test]
    fn a_damaged_lock_file_names_nobody() {
        let run = tempfile::tempdir().unwrap();
        fs::write(run.path().join(NAME), b"\xff{").unwrap();
        assert!(locked(run.path()).to_string().contains("an unknown host"));
    }
}
