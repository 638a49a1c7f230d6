//! Arrays by name, from either of the two formats that hold them.

use std::collections::BTreeMap;
use std::path::Path;

use crate::array::Array;
use crate::error::{FileError, FormatError};
use crate::npz;
use crate::safetensors::TensorFile;

/// Reads the arrays of a safetensors or npz file, whichever its name ends with.
///
/// # Errors
/// If the file is missing, damaged, or neither of the two.
pub fn read_arrays(path: &Path) -> Result<BTreeMap<String, Array>, FileError> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("safetensors") => Ok(TensorFile::read(path)?.tensors),
        Some("npz") => npz::read_numbers(path),
        _ => Err(FileError::Format {
            path: path.to_owned(),
            rule: FormatError::UnknownExtension,
        }),
    }
}
