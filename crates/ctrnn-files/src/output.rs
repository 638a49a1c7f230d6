//! Files that a user names, such as `-o FILE`.
//!
//! | at the path | what is done |
//! |---|---|
//! | nothing | the file appears whole or not at all |
//! | a file | it is replaced whole, and only with `force` |
//! | a file that belongs to a run, or a place among such files | refused, always |
//! | a link | it stays; these rules apply to the place that it points to, even if nothing is there yet |
//! | a pipe, a terminal, another device, an open descriptor such as `/dev/stdout` | it stays and is written through |
//! | a folder or a disk | refused |
//!
//! A pipe whose reader has closed it is not an error: `train-ctrnn ... | head` is a normal use.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::atomic::{AtomicFile, parent};
use crate::error::FileError;
use crate::run_folder::RunFolder;

/// Maximum number of links that are followed; Linux treats a longer chain as a loop.
const MAX_LINKS: usize = 40;

/// Writes a file that a user names.
///
/// # Errors
/// As [`check`], and if it cannot be written.
pub fn write(path: &Path, force: bool, content: &[u8]) -> Result<(), FileError> {
    let mut file = OutputFile::create(path, force)?;
    file.write_all(content)
        .map_err(FileError::io("write", path))?;
    file.commit()
}

/// Checks that a file may be written at `path`, so that a command can fail before a long computation.
///
/// # Errors
/// [`FileError::AlreadyExists`] without `force`, [`FileError::OfRun`], [`FileError::NotWritable`], [`FileError::NoFolder`], or if the
/// place cannot be examined.
pub fn check(path: &Path, force: bool) -> Result<(), FileError> {
    place(path, force).map(drop)
}

/// Checks that a folder at `path` would not lie among the files of a run, and that nothing but folders leads to it.
///
/// # Errors
/// [`FileError::OfRun`], [`FileError::NoFolder`]
pub fn check_folder(path: &Path) -> Result<(), FileError> {
    if let Some(run) = owner(path) {
        return Err(FileError::OfRun {
            path: path.to_owned(),
            run,
        });
    }
    let above = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut above = above.ancestors().skip(1);
    match above.find(|folder| folder.symlink_metadata().is_ok()) {
        Some(folder) if !folder.is_dir() => Err(FileError::NoFolder {
            path: path.to_owned(),
            folder: folder.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Checks that a path chosen by the program, in an untrusted folder, is not a link: writing through it could replace
/// any file of the user.
///
/// # Errors
/// [`FileError::Linked`]
pub fn check_unlinked(path: &Path) -> Result<(), FileError> {
    if path.is_symlink() {
        return Err(FileError::Linked {
            path: path.to_owned(),
        });
    }
    Ok(())
}

/// Returns true if `path` is a pipe, a device or an open descriptor, which is written through.
pub fn is_stream(path: &Path) -> bool {
    matches!(place(path, true), Ok(Place::Stream))
}

/// Returns true if `path` leads to the standard output.
#[cfg(unix)]
pub fn is_stdout(path: &Path) -> bool {
    standard_stream(path, io::stdout()).is_some()
}

/// Returns true if `path` leads to the standard output.
#[cfg(not(unix))]
pub fn is_stdout(_: &Path) -> bool {
    false
}

/// A file named by the user, while it is being written.
#[derive(Debug)]
pub struct OutputFile {
    path: PathBuf,
    to: To,
}

#[derive(Debug)]
enum To {
    /// A file of the program, which replaces anything at its path.
    Ours(AtomicFile),
    Whole {
        file: AtomicFile,
        force: bool,
    },
    Stream(BufWriter<Stream>),
}

impl OutputFile {
    /// Opens the file for writing. Opening a pipe waits for its reader.
    ///
    /// # Errors
    /// As [`check`], and if it cannot be opened.
    pub fn create(path: &Path, force: bool) -> Result<Self, FileError> {
        let to = match place(path, force)? {
            Place::File(target) => To::Whole {
                file: AtomicFile::create(&target)?,
                force,
            },
            Place::Stream => {
                let stream = open_stream(path).map_err(FileError::io("open", path))?;
                To::Stream(BufWriter::new(Stream(stream)))
            }
        };
        Ok(Self {
            path: path.to_owned(),
            to,
        })
    }

    /// Completes the file.
    ///
    /// # Errors
    /// If the disk is full, or something was put at the path in the meantime.
    pub fn commit(self) -> Result<(), FileError> {
        match self.to {
            To::Ours(file) => file.commit(),
            To::Whole { file, force } => {
                check(&self.path, force)?;
                file.commit()
            }
            To::Stream(mut stream) => stream.flush().map_err(FileError::io("write", &self.path)),
        }
    }

    /// Opens a file whose path the program chose.
    pub(crate) fn ours(path: &Path) -> Result<Self, FileError> {
        Ok(Self {
            path: path.to_owned(),
            to: To::Ours(AtomicFile::create(path)?),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the folder for parts of the file that are written later: on the same disk, if the file is on one.
    pub(crate) fn spool_folder(&self) -> PathBuf {
        match &self.to {
            To::Ours(file) | To::Whole { file, .. } => parent(file.path()).to_owned(),
            To::Stream(_) => std::env::temp_dir(),
        }
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.to {
            To::Ours(file) | To::Whole { file, .. } => file.write(bytes),
            To::Stream(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.to {
            To::Ours(file) | To::Whole { file, .. } => file.flush(),
            To::Stream(stream) => stream.flush(),
        }
    }
}

/// A pipe, a device or an open descriptor.
#[derive(Debug)]
struct Stream(File);

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.write(bytes) {
            // The reader has seen enough, as `head` does: the rest is discarded.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(bytes.len()),
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The destination of an output file.
#[derive(Debug)]
enum Place {
    /// A file at this path, in which all links have been followed.
    File(PathBuf),
    /// An existing pipe, device or descriptor.
    Stream,
}

fn place(path: &Path, force: bool) -> Result<Place, FileError> {
    let owned = || path.to_owned();
    let there = match fs::metadata(path) {
        Ok(there) => Some(there),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            None
        }
        Err(error) => return Err(FileError::io("write", path)(error)),
    };
    match &there {
        Some(there) if is_through(path, there) => return Ok(Place::Stream),
        Some(there) if !there.is_file() => return Err(FileError::NotWritable { path: owned() }),
        None if path.file_name().is_none() => return Err(FileError::NotWritable { path: owned() }),
        _ => {}
    }
    let target = links(path).last().expect("the path itself comes first");
    if let Some(run) = owner(&target) {
        return Err(FileError::OfRun { path: owned(), run });
    }
    if there.is_some() && !force {
        return Err(FileError::AlreadyExists { path: owned() });
    }
    let folder = parent(&target);
    if !folder.is_dir() {
        return Err(FileError::NoFolder {
            path: owned(),
            folder: folder.to_owned(),
        });
    }
    Ok(Place::File(target))
}

/// Yields a path, and the targets of the chain of links that starts there.
fn links(path: &Path) -> impl Iterator<Item = PathBuf> {
    let next = |path: &PathBuf| Some(parent(path).join(fs::read_link(path).ok()?));
    std::iter::successors(Some(path.to_owned()), next).take(MAX_LINKS)
}

/// Returns the run folder to whose own files a path belongs.
fn owner(path: &Path) -> Option<PathBuf> {
    let path = canonical(path);
    path.ancestors()
        .skip(1)
        .find(|folder| {
            let below = path.strip_prefix(folder).expect("an ancestor");
            let first = below.iter().next().unwrap_or_default();
            let run = RunFolder::at(*folder);
            RunFolder::owns(first) && run.run_json().is_file()
        })
        .map(Path::to_path_buf)
}

/// Returns the absolute path without links, as far as the path exists.
fn canonical(path: &Path) -> PathBuf {
    match (path.canonicalize(), path.file_name()) {
        (Ok(path), _) => path,
        (Err(_), Some(name)) => canonical(parent(path)).join(name),
        (Err(_), None) => path.to_owned(),
    }
}

/// Returns true if the existing entry is to be written through, neither replaced nor refused.
#[cfg(unix)]
fn is_through(path: &Path, there: &Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let kind = there.file_type();
    kind.is_fifo() || kind.is_char_device() || kind.is_socket() || is_descriptor(path)
}

#[cfg(not(unix))]
fn is_through(_: &Path, there: &Metadata) -> bool {
    !there.is_file() && !there.is_dir()
}

/// Returns true if the path is an entry of `/proc/self/fd`: the user opened it for writing, even if it leads to a file.
#[cfg(unix)]
fn is_descriptor(path: &Path) -> bool {
    links(path).any(|path| {
        let folder = parent(&path).canonicalize().unwrap_or_default();
        folder.ends_with("fd") && (folder.starts_with("/proc") || folder.starts_with("/dev"))
    })
}

/// Opens a pipe, a device or a descriptor.
#[cfg(unix)]
fn open_stream(path: &Path) -> io::Result<File> {
    // A standard stream is not opened again: it may be a socket, which cannot be opened, or a file whose position would
    // be lost.
    standard_stream(path, io::stdout())
        .or_else(|| standard_stream(path, io::stderr()))
        .map_or_else(|| OpenOptions::new().append(true).open(path), Ok)
}

#[cfg(not(unix))]
fn open_stream(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).open(path)
}

/// Returns a copy of the standard stream if `path` leads to it.
#[cfg(unix)]
fn standard_stream(path: &Path, stream: impl std::os::fd::AsFd) -> Option<File> {
    use std::os::unix::fs::MetadataExt;
    let stream = File::from(stream.as_fd().try_clone_to_owned().ok()?);
    let (there, own) = (fs::metadata(path).ok()?, stream.metadata().ok()?);
    ([there.dev(), there.ino()] == [own.dev(), own.ino()]).then_some(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("runs/toy");
        fs::create_dir_all(run.join("checkpoints")).unwrap();
        for name in ["RUN.json", "metrics.csv", "report.html"] {
            fs::write(run.join(name), name).unwrap();
        }
        (folder, run)
    }

    #[test]
    fn a_file_is_replaced_only_by_force() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("states.npz");
        write(&path, false, b"old").unwrap();
        let error = write(&path, false, b"new").unwrap_err();
        assert!(
            matches!(error, FileError::AlreadyExists { .. }),
            "{error:?}"
        );
        assert_eq!(fs::read(&path).unwrap(), b"old");
        write(&path, true, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_file_that_appears_meanwhile_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("states.npz");
        let late = OutputFile::create(&path, false).unwrap();
        fs::write(&path, b"theirs").unwrap();
        assert!(late.commit().is_err());
        assert_eq!(fs::read(&path).unwrap(), b"theirs");
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for path in [
            folder.path(),
            Path::new(""),
            Path::new("/"),
            Path::new(".."),
        ] {
            let error = check(path, true).unwrap_err();
            assert!(matches!(error, FileError::NotWritable { .. }), "{error:?}");
        }
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), b"").unwrap();
        for name in ["missing/x.npz", "file/x.npz"] {
            let path = folder.path().join(name);
            for error in [check(&path, true), write(&path, true, b"")] {
                let error = error.unwrap_err();
                assert!(matches!(error, FileError::NoFolder { .. }), "{error:?}");
                assert!(error.to_string().contains(name), "{error}");
            }
        }
        assert!(check_folder(&folder.path().join("missing/x")).is_ok()); // it is made
        assert!(check_folder(&folder.path().join("file/x")).is_err());
    }

    #[test]
    fn the_files_of_a_run_stay() {
        let (_folder, run) = run();
        for name in [
            "RUN.json",
            "metrics.csv",
            "config.toml",
            "model/x.npz",
            "checkpoints/x.npz",
            "../toy/RUN.json",
            ".lock",
        ] {
            let error = check(&run.join(name), true).unwrap_err();
            assert!(
                matches!(error, FileError::OfRun { .. }),
                "{name}: {error:?}"
            );
        }
        fs::create_dir(run.join("figures")).unwrap();
        for name in ["report.html", "figures/a.svg", "notes.txt"] {
            check(&run.join(name), true).unwrap();
        }
        assert!(check_folder(&run.join("model/torch")).is_err());
        assert!(check_folder(&run.join("torch")).is_ok());
        // The same names elsewhere are anybody's.
        check(&run.join("../metrics.csv"), false).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_and_its_target_is_written() {
        use std::os::unix::fs::symlink;
        let (folder, run) = run();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("elsewhere")).unwrap();
        symlink("elsewhere/file", path("second")).unwrap();
        symlink("second", path("first")).unwrap();
        write(&path("first"), false, b"one").unwrap(); // nothing is there yet
        assert!(write(&path("first"), false, b"two").is_err());
        write(&path("first"), true, b"two").unwrap();
        assert_eq!(fs::read(path("elsewhere/file")).unwrap(), b"two");
        for name in ["first", "second"] {
            assert!(path(name).is_symlink(), "{name}");
        }
        symlink(run.join("RUN.json"), path("into_a_run")).unwrap();
        symlink(run.join("config.toml"), path("dangling_into_a_run")).unwrap();
        for name in ["into_a_run", "dangling_into_a_run"] {
            let error = check(&path(name), true).unwrap_err();
            assert!(matches!(error, FileError::OfRun { .. }), "{error:?}");
        }
        symlink("loop", path("loop")).unwrap();
        assert!(check(&path("loop"), true).is_err());
    }
}
