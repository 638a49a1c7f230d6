//! Small JSON files: read with a size limit, written whole.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{FileError, FormatError};
use crate::{atomic, regular_file};

/// Maximum length of a JSON file that is read: 4 MiB.
pub const MAX_BYTES: u64 = 4 << 20;

/// Reads a JSON file of at most [`MAX_BYTES`].
///
/// # Errors
/// If the file is missing, too long, cannot be read, or is not the JSON of a `T`.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T, FileError> {
    parse(&regular_file::read(path, MAX_BYTES)?).map_err(FileError::format(path))
}

pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FormatError> {
    serde_json::from_slice(bytes).map_err(|error| FormatError::Json {
        why: error.to_string(),
    })
}

/// Writes a value as indented JSON, atomically.
///
/// # Errors
/// If the file cannot be written.
///
/// # Panics
/// If `value` has no JSON form, such as a map with keys that are not strings.
pub fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), FileError> {
    atomic::write(path, &to_bytes(value))
}

pub(crate) fn to_bytes<T: Serialize>(value: &T) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("the value should have a JSON form");
    text.push(b'\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.json");
        write(&path, &vec![1, 2]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "[\n  1,\n  2\n]\n");
        assert_eq!(read::<Vec<u32>>(&path).unwrap(), [1, 2]);
        let wrong = read::<String>(&path).unwrap_err().to_string();
        assert!(
            wrong.contains("list.json: is not the JSON expected here"),
            "{wrong}"
        );
    }

    #[test]
    fn deep_nesting_is_an_error() {
        let deep = "[".repeat(100_000);
        assert!(matches!(
            parse::<serde_json::Value>(deep.as_bytes()),
            Err(FormatError::Json { .. })
        ));
    }
}
