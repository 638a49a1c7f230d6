//! Errors about files, one variant per broken rule.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::container::Container;

/// The side at fault, which decides the exit code of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The machine refused: disk full, permission, lock, a run folder that exists already.
    Io,
    /// The bytes are missing, damaged, or not what they should be.
    Data,
}

/// A file operation that failed; every variant names the path.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// The operating system refused.
    #[error("cannot {action} {}: {error}{}", .path.display(), remedy(.error))]
    Io {
        /// Attempted action, as a verb ("read", "write", "rename").
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        error: io::Error,
    },
    /// Something exists where a new file or folder was to be made.
    #[error("{} exists already; nothing was overwritten", .path.display())]
    AlreadyExists {
        /// The file or folder in the way.
        path: PathBuf,
    },
    /// A file was to be written to a path that belongs to a run.
    #[error(
        "{} is where the run {} keeps its own files; nothing was overwritten",
        .path.display(), .run.display()
    )]
    OfRun {
        /// The file or folder that was to be written.
        path: PathBuf,
        /// The run folder.
        run: PathBuf,
    },
    /// A file was to be written to a folder, a disk or a path without a file name.
    #[error("cannot write a file at {}; expected a path that ends in the name of a file", .path.display())]
    NotWritable {
        /// The requested path.
        path: PathBuf,
    },
    /// A file was to be written into a folder that does not exist.
    #[error("cannot write {}: {} is not a folder", .path.display(), .folder.display())]
    NoFolder {
        /// The requested path.
        path: PathBuf,
        /// The path of the folder.
        folder: PathBuf,
    },
    /// A folder was to be replaced that holds other files too.
    #[error("{} also holds {}, which would be lost; nothing was removed", .path.display(), .names.join(", "))]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// Entries that would be lost.
        names: Vec<String>,
    },
    /// Another process writes to this run.
    #[error(
        "{} is in use by process {pid} on {host} since {started}; wait for it or stop it",
        .path.display()
    )]
    Locked {
        /// The run folder.
        path: PathBuf,
        /// The machine of the holder.
        host: String,
        /// The process of the holder on that machine.
        pid: u32,
        /// Time at which the holder took the lock (RFC 3339).
        started: String,
    },
    /// The run folder is no longer the one whose lock this process holds.
    #[error(
        "the folder of the run at {} was {}; nothing more is written",
        .path.display(),
        fate(.now.as_deref())
    )]
    Displaced {
        /// The path of the run folder.
        path: PathBuf,
        /// Current path of the folder, if known.
        now: Option<PathBuf>,
    },
    /// A file to be read does not exist.
    #[error("{} does not exist", .path.display())]
    Missing {
        /// The missing file or folder.
        path: PathBuf,
    },
    /// A file to be read is a folder, pipe or device.
    #[error("{} is not a regular file; give the path of a file", .path.display())]
    NotAFile {
        /// The requested path.
        path: PathBuf,
    },
    /// A file to be written to is a link or has a second name.
    #[error(
        "{} is a link or has other names (hard links), so that writing to it would change another file; \
         copy the folder with its content",
        .path.display()
    )]
    Linked {
        /// The file.
        path: PathBuf,
    },
    /// A file's content breaks a rule.
    #[error("{}: {rule}", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The rule that it breaks.
        rule: FormatError,
    },
}

/// A rule of a format that the bytes of a file break; [`FileError::Format`] adds the path.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormatError {
    /// The name of the file does not say which format it has.
    #[error("is not a weight file; expected a name that ends in .safetensors or .npz")]
    UnknownExtension,
    /// The file is longer than any file of its kind.
    #[error(
        "is {bytes} bytes long, but at most {limit} are read; this is not a file that train-ctrnn wrote"
    )]
    TooLong {
        /// Length of the file.
        bytes: u64,
        /// Maximum length that is accepted.
        limit: u64,
    },
    /// The file ends early.
    #[error(
        "{what} needs {needed} bytes but only {found} are there; the file is cut short, copy it again"
    )]
    Truncated {
        /// The part that was being read.
        what: String,
        /// Bytes it needs.
        needed: u64,
        /// Bytes that are left.
        found: u64,
    },
    /// The file is not a zip archive, or contradicts itself.
    #[error("is not a complete npz (zip) archive: {why}; write it with np.savez")]
    Archive {
        /// The defect.
        why: String,
    },
    /// The file has another format than npz.
    #[error("is {}, not an npz (zip) archive", .container.name())]
    Container {
        /// The format.
        container: Container,
    },
    /// The arrays would take far more memory than the file.
    #[error(
        "declares {promised} bytes of arrays in a file of {found} bytes, above the limit of {limit}; \
         write it without compression (np.savez)"
    )]
    Bomb {
        /// Bytes of all arrays.
        promised: u64,
        /// Bytes of the file.
        found: u64,
        /// Maximum bytes of arrays in a file of this length.
        limit: u64,
    },
    /// An entry is compressed or encrypted in a way that numpy does not write.
    #[error("array `{name}` is {how}; write it with np.savez or np.savez_compressed")]
    Packing {
        /// The array.
        name: String,
        /// The kind of packing.
        how: String,
    },
    /// The packed bytes of an array cannot be unpacked as the archive declares.
    #[error("array `{name}` is damaged: {why}; copy the file again")]
    Damaged {
        /// The array.
        name: String,
        /// The reason.
        why: String,
    },
    /// The stored checksum of an array differs from that of its bytes.
    #[error(
        "array `{name}` has checksum {found:08x}, expected {promised:08x}; the file is damaged, copy it again"
    )]
    Checksum {
        /// The array.
        name: String,
        /// CRC-32 in the archive's directory.
        promised: u32,
        /// CRC-32 of the bytes.
        found: u32,
    },
    /// The file holds too many arrays.
    #[error("holds {found} arrays, but at most {limit} are read")]
    TooManyArrays {
        /// Arrays in the file.
        found: u64,
        /// Maximum number that is accepted.
        limit: u64,
    },
    /// An array's name is not allowed.
    #[error(
        "{name:?} is not an allowed name; expected 1 to 200 printable characters without slashes, not starting with a dot"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// Two arrays or keys have the same name.
    #[error("`{name}` occurs twice")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// A requested array is missing.
    #[error("has no array `{name}`; it has: {}", .present.join(", "))]
    NoSuchArray {
        /// The requested array.
        name: String,
        /// The arrays that are there.
        present: Vec<String>,
    },
    /// A header is malformed.
    #[error("the header of `{name}` is malformed: {why}")]
    Header {
        /// The array, or `safetensors` for the header of a whole file.
        name: String,
        /// The defect.
        why: String,
    },
    /// An array holds Python objects: reading it would run code from the file.
    #[error(
        "array `{name}` holds Python objects (a pickle), which are never loaded; convert it to numbers before np.savez"
    )]
    Pickle {
        /// The array.
        name: String,
    },
    /// The file was not written by `torch.save(model.state_dict(), PATH)`.
    #[error(
        "is not a file of torch.save: {why}; write it with torch.save(model.state_dict(), PATH)"
    )]
    NoStateDict {
        /// The defect.
        why: String,
    },
    /// A pickle is damaged, or is not a dictionary of tensors and plain values.
    #[error(
        "is not a state_dict: {why}, at byte {at} of its pickle; write it with torch.save(model.state_dict(), PATH)"
    )]
    StateDict {
        /// Position at which reading stopped.
        at: u64,
        /// The defect.
        why: String,
    },
    /// A pickle holds no dictionary of tensors, or not the requested one, or several and none was requested.
    #[error("{}", entries(.asked.as_deref(), .dictionaries, .held))]
    Entries {
        /// The requested entry.
        asked: Option<String>,
        /// Number of dictionaries of tensors.
        dictionaries: usize,
        /// The entries, dictionaries of tensors first.
        held: Vec<String>,
    },
    /// A pickle would call a function that a state_dict does not need.
    #[error(
        "asks for {name}, which was not run: only tensors are read; write it with torch.save(model.state_dict(), PATH)"
    )]
    ForeignCode {
        /// Module and name of the function.
        name: String,
    },
    /// An array has an unsupported type of numbers, or holds no numbers.
    #[error(
        "array `{name}` has dtype {dtype}; only bool, integers and real floating point numbers up to 64 bits are read"
    )]
    Dtype {
        /// The array.
        name: String,
        /// The type as the file writes it.
        dtype: String,
    },
    /// A shape is too large.
    #[error(
        "array `{name}` has shape {shape:?}; at most 32 dimensions and 2^32 elements (a size of 0 counted as 1) are read"
    )]
    Shape {
        /// The array.
        name: String,
        /// The shape as the file writes it.
        shape: Vec<u64>,
    },
    /// An array does not have as many bytes as its shape and dtype need.
    #[error("array `{name}` needs {needed} bytes for its shape and dtype, but has {found}")]
    Size {
        /// The array.
        name: String,
        /// Bytes needed for shape and dtype.
        needed: u64,
        /// Bytes in the file.
        found: u64,
    },
    /// Tensors overlap, leave a hole, or end before they begin.
    #[error(
        "tensor `{name}` takes bytes {begin} to {end} but must begin at {expected}; tensors may neither overlap nor leave holes"
    )]
    Offset {
        /// The tensor.
        name: String,
        /// First byte.
        begin: u64,
        /// Byte after the last.
        end: u64,
        /// Expected first byte.
        expected: u64,
    },
    /// The file has bytes that belong to no tensor.
    #[error("has {bytes} bytes after the last tensor; this is not a valid safetensors file")]
    Trailing {
        /// Number of these bytes.
        bytes: u64,
    },
    /// A text is not JSON, or not of the expected form.
    #[error("is not the JSON expected here: {why}")]
    Json {
        /// The parser's message, with line and column.
        why: String,
    },
    /// The file was written by another version of the program.
    #[error(
        "has schema version {found}, but this program reads {supported}; use the version of train-ctrnn that wrote it"
    )]
    Schema {
        /// Version in the file.
        found: u32,
        /// Version that is read.
        supported: u32,
    },
    /// A manifest belongs to another checkpoint.
    #[error("belongs to step {found}, but the folder to step {expected}")]
    OtherStep {
        /// Step in the manifest.
        found: u64,
        /// Step in the folder's name.
        expected: u64,
    },
    /// A file's length differs from the one in the manifest.
    #[error("is {found} bytes long, but the manifest says {promised}; the checkpoint is damaged")]
    Length {
        /// Length in the manifest.
        promised: u64,
        /// Length of the file.
        found: u64,
    },
    /// A file's digest differs from the one in the manifest.
    #[error("has digest {found}, but the manifest says {promised}; the checkpoint is damaged")]
    Digest {
        /// XXH3 in the manifest.
        promised: String,
        /// XXH3 of the file.
        found: String,
    },
    /// A `best` or `last` file does not name a checkpoint.
    #[error("{text:?} is not the name of a checkpoint; expected a name such as step-00002000")]
    Pointer {
        /// The content of the file.
        text: String,
    },
}

impl FileError {
    /// Returns the side at fault: the machine or the data.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { .. }
            | Self::AlreadyExists { .. }
            | Self::OfRun { .. }
            | Self::NotWritable { .. }
            | Self::NoFolder { .. }
            | Self::Foreign { .. }
            | Self::Locked { .. }
            | Self::Displaced { .. } => ErrorKind::Io,
            Self::Missing { .. }
            | Self::NotAFile { .. }
            | Self::Linked { .. }
            | Self::Format { .. } => ErrorKind::Data,
        }
    }

    /// Returns the file or folder that the error is about.
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. }
            | Self::AlreadyExists { path }
            | Self::OfRun { path, .. }
            | Self::NotWritable { path }
            | Self::NoFolder { path, .. }
            | Self::Foreign { path, .. }
            | Self::Locked { path, .. }
            | Self::Displaced { path, .. }
            | Self::Missing { path }
            | Self::NotAFile { path }
            | Self::Linked { path }
            | Self::Format { path, .. } => path,
        }
    }

    /// Converts the operating system's error from doing `action` to `path`; for `map_err`.
    pub fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |error| Self::Io {
            action,
            path: path.to_owned(),
            error,
        }
    }

    /// Adds the path to a broken rule; for `map_err`.
    pub fn format(path: &Path) -> impl FnOnce(FormatError) -> Self + '_ {
        |rule| Self::Format {
            path: path.to_owned(),
            rule,
        }
    }
}

/// An error while reading bytes whose path is not known yet.
#[derive(Debug)]
pub(crate) enum ReadError {
    Io(io::Error),
    Format(FormatError),
}

impl ReadError {
    /// Adds the path; for `map_err`.
    pub(crate) fn at(path: &Path) -> impl FnOnce(Self) -> FileError + '_ {
        |error| match error {
            Self::Format(rule) => FileError::format(path)(rule),
            Self::Io(error) => FileError::io("read", path)(error),
        }
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<FormatError> for ReadError {
    fn from(rule: FormatError) -> Self {
        Self::Format(rule)
    }
}

fn fate(now: Option<&Path>) -> String {
    now.map_or(
        "removed or replaced, or its .lock was removed".to_owned(),
        |now| format!("renamed to {}", now.display()),
    )
}

fn entries(asked: Option<&str>, dictionaries: &usize, held: &[String]) -> String {
    let held = match held {
        [] => "it is empty".to_owned(),
        held => format!("it holds: {}", held.join(", ")),
    };
    match (asked, dictionaries) {
        (Some(asked), _) => format!("its entry {asked:?} is not a dictionary of tensors; {held}"),
        (None, 0) => format!("does not hold a dictionary of tensors; {held}"),
        (None, n) => format!("holds {n} dictionaries of tensors; {held}"),
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free some space",
        io::ErrorKind::FileTooLarge => "; raise the limit on the size of files (ulimit -f)",
        io::ErrorKind::PermissionDenied => "; check the permissions",
        io::ErrorKind::ReadOnlyFilesystem => "; choose a folder that can be written",
        io::ErrorKind::NotFound => "; check the path",
        _ => "",
    }
}
