//! Opening files that others may have written.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::error::{FileError, FormatError};

/// Opens a file for reading; the second value is its length in bytes.
///
/// A pipe or a device is refused before it is opened: reading one may never end.
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
    file.take(limit)
        .read_to_end(&mut content)
        .map_err(FileError::io("read", path))?;
    Ok(content)
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
            too_long.contains("four: is 4 bytes long, at most 3 are read"),
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
    fn a_device_is_refused() {
        assert!(matches!(
            read(Path::new("/dev/zero"), 4),
            Err(FileError::NotAFile { .. })
        ));
    }
}
