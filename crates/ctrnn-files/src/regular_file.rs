//! Opening untrusted files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use crate::error::{FileError, FormatError};

/// Opens a file for reading and returns it with its length in bytes.
///
/// A pipe or a device is refused before it is opened, because reading from one may never end.
pub(crate) fn open(path: &Path) -> Result<(File, u64), FileError> {
    let metadata = fs::metadata(path).map_err(|error| unreadable(path, error))?;
    if !metadata.is_file() {
        return Err(FileError::NotAFile {
            path: path.to_owned(),
        });
    }
    let file = File::open(path).map_err(|error| unreadable(path, error))?;
    Ok((file, metadata.len()))
}

/// Reads a whole file of at most `limit` bytes.
///
/// # Errors
/// If it is missing, not a regular file, longer than `limit`, or cannot be read.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let (file, bytes) = open(path)?;
    if bytes > limit {
        return Err(FileError::format(path)(FormatError::TooLong {
            bytes,
            limit,
        }));
    }
    let mut content = Vec::new();
    // The limit holds again here, because the file may have grown since its length was read.
    file.take(limit)
        .read_to_end(&mut content)
        .map_err(FileError::io("read", path))?;
    Ok(content)
}

/// Opens a file for appending and reading, and creates it if it is missing.
///
/// # Errors
/// As [`check_own`], or if it cannot be opened.
pub(crate) fn open_to_append(path: &Path) -> Result<File, FileError> {
    check_own(path)?;
    let mut options = OpenOptions::new();
    let opened = options.read(true).append(true).create(true).open(path);
    opened.map_err(FileError::io("open", path))
}

/// Appends all of `bytes`; if that fails, the file keeps its former length.
pub(crate) fn append_whole(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    let before = file.metadata()?.len();
    file.write_all(bytes).inspect_err(|_| {
        // Best effort: the first error is the one to report.
        let _ = file.set_len(before);
    })
}

/// Checks that writing to the file at `path` changes no other file: a run folder is untrusted.
///
/// # Errors
/// [`FileError::Linked`] if it is a link or has a second name, [`FileError::NotAFile`] if it is a folder, pipe or device.
pub(crate) fn check_own(path: &Path) -> Result<(), FileError> {
    let Ok(metadata) = path.symlink_metadata() else {
        return Ok(()); // missing, or unreadable: opening it reports that
    };
    let path = path.to_owned();
    if metadata.is_symlink() || names(&metadata) > 1 {
        Err(FileError::Linked { path })
    } else if !metadata.is_file() {
        Err(FileError::NotAFile { path })
    } else {
        Ok(())
    }
}

#[cfg(unix)]
fn names(metadata: &fs::Metadata) -> u64 {
    // A folder has a link for each of its subfolders, which says nothing about other names.
    if metadata.is_file() {
        std::os::unix::fs::MetadataExt::nlink(metadata)
    } else {
        1
    }
}

#[cfg(not(unix))]
fn names(_: &fs::Metadata) -> u64 {
    1
}

fn unreadable(path: &Path, error: io::Error) -> FileError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => FileError::Missing {
            path: path.to_owned(),
        },
        _ => FileError::io("read", path)(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_within_the_limit_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("four");
        fs::write(&path, b"1234").unwrap();
        assert_eq!(read(&path, 4).unwrap(), b"1234");
        let too_long = read(&path, 3).unwrap_err().to_string();
        assert!(
            too_long.contains("four: is 4 bytes long, but at most 3 are read"),
            "{too_long}"
        );
        let missing = read(&folder.path().join("five"), 4);
        assert!(matches!(missing, Err(FileError::Missing { .. })));
        assert!(matches!(
            read(folder.path(), 4),
            Err(FileError::NotAFile { .. })
        ));
        assert!(matches!(
            read(&path.join("below-a-file"), 4),
            Err(FileError::Missing { .. })
        ));
    }

    #[cfg(unix)]
    #[test]
    fn nothing_is_appended_to_what_has_another_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("thesis"), b"years of work").unwrap();
        std::os::unix::fs::symlink(path("thesis"), path("soft")).unwrap();
        fs::hard_link(path("thesis"), path("hard")).unwrap();
        for name in ["soft", "hard"] {
            let refused = open_to_append(&path(name)).unwrap_err();
            assert!(matches!(refused, FileError::Linked { .. }), "{refused}");
        }
        assert!(matches!(
            open_to_append(folder.path()),
            Err(FileError::NotAFile { .. })
        ));
        assert!(open_to_append(&path("new")).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_refused() {
        assert!(matches!(
            read(Path::new("/dev/zero"), 4),
            Err(FileError::NotAFile { .. })
        ));
    }
}
