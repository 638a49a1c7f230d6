//! What can be wrong with a file, one variant per broken rule.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::container::Container;

/// Where the fault lies, which decides the exit code of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The machine said no: disk full, permission, lock, a run folder that exists already.
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
        /// What was tried, as a verb ("read", "write", "rename").
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's answer.
        error: io::Error,
    },
    /// Something exists where a new file or folder was to be made.
    #[error("{} exists already; nothing was overwritten", .path.display())]
    AlreadyExists {
        /// The file or folder in the way.
        path: PathBuf,
    },
    /// A file was to be written where a run keeps its own.
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
    /// A file was to be written where a folder or a disk is, or under no name.
    #[error("{} is not a place for a file; give a path that ends in the name of a file", .path.display())]
    NotWritable {
        /// Name that was asked for.
        path: PathBuf,
    },
    /// A folder was to be replaced that holds more than what is replaced.
    #[error("{} holds what would be lost: {}; nothing was removed", .path.display(), .names.join(", "))]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// Entries that it holds.
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
        /// When the holder took the lock (RFC 3339).
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
        /// Where the folder is now, if it is known.
        now: Option<PathBuf>,
    },
    /// A file to be read is not there.
    #[error("{} does not exist", .path.display())]
    Missing {
        /// The file or folder that was looked for.
        path: PathBuf,
    },
    /// A file to be read is a folder, pipe or device.
    #[error("{} is not a regular file; give the path of a file", .path.display())]
    NotAFile {
        /// Name that was asked for.
        path: PathBuf,
    },
    /// A file to be written into is a link or has a second name.
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
        /// What is wrong with it.
        rule: FormatError,
    },
}

/// A rule that the bytes of a file break. Bytes have no path: [`FileError::Format`] adds it.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormatError {
    /// The name of the file does not say which format it has.
    #[error("is not a weight file; expected a name that ends in .safetensors or .npz")]
    UnknownExtension,
    /// The file is longer than anything of its sort should be.
    #[error("is {bytes} bytes long, at most {limit} are read; this is not a file of ours")]
    TooLong {
        /// Length of the file.
        bytes: u64,
        /// Longest accepted.
        limit: u64,
    },
    /// The file ends before what it promises.
    #[error(
        "{what} needs {needed} bytes but only {found} are there; the file is cut short, copy it again"
    )]
    Truncated {
        /// What was being read.
        what: String,
        /// Bytes it needs.
        needed: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// No zip archive, or one that contradicts itself.
    #[error("is not a whole npz (zip) archive: {why}; write it with np.savez")]
    Archive {
        /// What is wrong.
        why: String,
    },
    /// Another format in place of an npz archive.
    #[error("is {}, not an npz (zip) archive", .container.name())]
    Container {
        /// The format.
        container: Container,
    },
    /// The arrays would take far more room than the file.
    #[error(
        "promises {promised} bytes of arrays in a file of {found} bytes, over the limit of {limit}; \
         write it without compression (np.savez)"
    )]
    Bomb {
        /// Bytes of all arrays.
        promised: u64,
        /// Bytes of the file.
        found: u64,
        /// Bytes of arrays accepted for a file of this length.
        limit: u64,
    },
    /// An entry is compressed or encrypted in a way that numpy does not write.
    #[error("array `{name}` is {how}; write it with np.savez or np.savez_compressed")]
    Packing {
        /// The array.
        name: String,
        /// How it is packed.
        how: String,
    },
    /// The packed bytes of an array cannot be unpacked to what the archive promises.
    #[error("array `{name}` is damaged: {why}; copy the file again")]
    Damaged {
        /// The array.
        name: String,
        /// What went wrong.
        why: String,
    },
    /// The stored checksum of an array differs from that of its bytes.
    #[error(
        "array `{name}` has checksum {found:08x}, promised {promised:08x}; the file is damaged, copy it again"
    )]
    Checksum {
        /// The array.
        name: String,
        /// CRC-32 in the archive's directory.
        promised: u32,
        /// CRC-32 of the bytes.
        found: u32,
    },
    /// More arrays than accepted.
    #[error("holds {found} arrays, at most {limit} are read")]
    TooManyArrays {
        /// Arrays in the file.
        found: u64,
        /// Most accepted.
        limit: u64,
    },
    /// A name that no array of ours has.
    #[error(
        "array name {name:?} is odd; names are 1 to 200 printable characters without slashes, first no dot"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// Two arrays or keys of one name.
    #[error("`{name}` occurs twice")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// An array that was asked for is not there.
    #[error("has no array `{name}`; it has: {}", .present.join(", "))]
    NoSuchArray {
        /// The array asked for.
        name: String,
        /// The arrays that are there.
        present: Vec<String>,
    },
    /// A header that is malformed.
    #[error("the header of `{name}` is malformed: {why}")]
    Header {
        /// The array, or `safetensors` for the header of a whole file.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// An array of Python objects: reading it would run code from the file.
    #[error(
        "array `{name}` holds Python objects (a pickle), which are never loaded; convert it to numbers before np.savez"
    )]
    Pickle {
        /// The array.
        name: String,
    },
    /// No file of `torch.save(model.state_dict(), PATH)`.
    #[error("is no file of torch.save: {why}; write it with torch.save(model.state_dict(), PATH)")]
    NoStateDict {
        /// What is wrong.
        why: String,
    },
    /// A pickle that is damaged, or that holds more than a dictionary of tensors.
    #[error(
        "is no state_dict: {why}, at byte {at} of its pickle; write it with torch.save(model.state_dict(), PATH)"
    )]
    StateDict {
        /// Where reading stopped.
        at: u64,
        /// What is wrong.
        why: String,
    },
    /// A pickle in which no dictionary of tensors is, or not the one that was asked for, or several of which none was.
    #[error("{}", entries(.asked.as_deref(), .dictionaries, .held))]
    Entries {
        /// The entry that was asked for.
        asked: Option<String>,
        /// Number of dictionaries of tensors.
        dictionaries: usize,
        /// The entries, those of tensors first.
        held: Vec<String>,
    },
    /// A pickle that would call a function other than those that a state_dict needs.
    #[error(
        "asks for {name}, which was not run: only tensors are read; write it with torch.save(model.state_dict(), PATH)"
    )]
    ForeignCode {
        /// Module and name of the function.
        name: String,
    },
    /// An array of numbers of a sort that is not read, or of no numbers at all.
    #[error(
        "array `{name}` has dtype {dtype}; only bool, integers and real floating point numbers up to 64 bits are read"
    )]
    Dtype {
        /// The array.
        name: String,
        /// The type as the file writes it.
        dtype: String,
    },
    /// A shape that cannot be.
    #[error(
        "array `{name}` has shape {shape:?}; at most 32 dimensions and 2^32 elements (a size of 0 counted as 1) are read"
    )]
    Shape {
        /// The array.
        name: String,
        /// The shape as the file writes it.
        shape: Vec<u64>,
    },
    /// Shape and dtype promise another number of bytes than are there.
    #[error("array `{name}` needs {needed} bytes by its shape and dtype, but {found} are there")]
    Size {
        /// The array.
        name: String,
        /// Bytes by shape and dtype.
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
        /// Where it begins.
        begin: u64,
        /// Where it ends.
        end: u64,
        /// Where it should begin.
        expected: u64,
    },
    /// Bytes that belong to no tensor.
    #[error("has {bytes} bytes after the last tensor; this is not a whole safetensors file")]
    Trailing {
        /// How many.
        bytes: u64,
    },
    /// An unsigned 64-bit value beyond the signed ones.
    #[error(
        "array `{name}` holds {value} at index {index}, above the largest 64-bit signed integer"
    )]
    TooLargeInteger {
        /// The array.
        name: String,
        /// Flat index.
        index: usize,
        /// The value.
        value: u64,
    },
    /// Text that is not the JSON it should be.
    #[error("is not the JSON expected here: {why}")]
    Json {
        /// What the parser says, with line and column.
        why: String,
    },
    /// Written by another version of the program.
    #[error(
        "has schema version {found}, this program reads {supported}; use the version that wrote it"
    )]
    Schema {
        /// Version in the file.
        found: u32,
        /// Version that is read.
        supported: u32,
    },
    /// A manifest that speaks of another checkpoint.
    #[error("speaks of step {found}, but the folder is that of step {expected}")]
    OtherStep {
        /// Step in the manifest.
        found: u64,
        /// Step in the folder's name.
        expected: u64,
    },
    /// A file whose length is not the one in the manifest.
    #[error("is {found} bytes long, the manifest promises {promised}; the checkpoint is damaged")]
    Length {
        /// Bytes promised.
        promised: u64,
        /// Bytes found.
        found: u64,
    },
    /// A file whose digest is not the one in the manifest.
    #[error("has digest {found}, the manifest promises {promised}; the checkpoint is damaged")]
    Digest {
        /// XXH3 promised.
        promised: String,
        /// XXH3 found.
        found: String,
    },
    /// A `best` or `last` file that names no checkpoint.
    #[error("holds {text:?}, not the name of a checkpoint such as step-00002000")]
    Pointer {
        /// What it holds.
        text: String,
    },
}

impl FileError {
    /// Whether the machine or the data is at fault.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { .. }
            | Self::AlreadyExists { .. }
            | Self::OfRun { .. }
            | Self::NotWritable { .. }
            | Self::Foreign { .. }
            | Self::Locked { .. }
            | Self::Displaced { .. } => ErrorKind::Io,
            Self::Missing { .. }
            | Self::NotAFile { .. }
            | Self::Linked { .. }
            | Self::Format { .. } => ErrorKind::Data,
        }
    }

    /// The file or folder that the error is about.
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. }
            | Self::AlreadyExists { path }
            | Self::OfRun { path, .. }
            | Self::NotWritable { path }
            | Self::Foreign { path, .. }
            | Self::Locked { path, .. }
            | Self::Displaced { path, .. }
            | Self::Missing { path }
            | Self::NotAFile { path }
            | Self::Linked { path }
            | Self::Format { path, .. } => path,
        }
    }

    /// For `map_err`: an operating system's error while doing `action` to `path`.
    pub fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |error| Self::Io {
            action,
            path: path.to_owned(),
            error,
        }
    }

    /// For `map_err`: a broken rule in the content of `path`.
    pub(crate) fn format(path: &Path) -> impl FnOnce(FormatError) -> Self + '_ {
        |rule| Self::Format {
            path: path.to_owned(),
            rule,
        }
    }
}

/// Why bytes could not be read, before their path is known.
#[derive(Debug)]
pub(crate) enum ReadError {
    Io(io::Error),
    Format(FormatError),
}

impl ReadError {
    /// For `map_err`: adds the path.
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
    now.map_or("removed or replaced".to_owned(), |now| {
        format!("renamed to {}", now.display())
    })
}

fn entries(asked: Option<&str>, dictionaries: &usize, held: &[String]) -> String {
    let held = match held {
        [] => "it is empty".to_owned(),
        held => format!("it holds: {}", held.join(", ")),
    };
    match (asked, dictionaries) {
        (Some(asked), _) => format!("its entry {asked:?} is not a dictionary of tensors; {held}"),
        (None, 0) => format!("holds no dictionary of tensors; {held}"),
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
