//! Reader of the arrays of a trial file.

use std::collections::BTreeMap;
use std::io::{BufRead, Seek};
use std::path::Path;

use ctrnn_files::npz::NpzReader;
use ctrnn_files::{FileError, FormatError, PackedArray};
use ctrnn_tasks::TaskError;

use crate::trials::remedies::{numbers_of, numbers_of_objects, reshaping, unreadable};

/// Largest magnitude of inputs, targets and mask weights: their squares and products, summed over a batch and all
/// parameters, stay far below the largest single-precision number.
pub(super) const MAX_VALUE: f32 = 1e9;
/// Arrays of a trial file, besides its conditions.
const ARRAYS: &str = "inputs, labels, targets, mask, unit_targets, unit_mask, n_steps, dt_ms";

/// Reader that takes arrays of one file by name and describes problems with them.
pub(crate) struct ArrayReader<'a> {
    /// Key of the task's table to which errors refer.
    pub(super) key: &'static str,
    pub(super) path: &'a Path,
    pub(super) arrays: BTreeMap<String, PackedArray>,
}

impl<'a> ArrayReader<'a> {
    /// Reads all arrays.
    ///
    /// # Errors
    /// If an array does not belong in a trial file or cannot be read.
    pub(crate) fn new<R: BufRead + Seek>(
        key: &'static str,
        path: &'a Path,
        npz: Result<NpzReader<R>, FileError>,
    ) -> Result<Self, TaskError> {
        let mut npz = npz.map_err(|error| unreadable(key, &error))?;
        let arrays = BTreeMap::new();
        let mut reader = Self { key, path, arrays };
        let names: Vec<String> = npz.names().map(str::to_owned).collect();
        reader.check_names(&names)?;
        for name in names {
            let array = npz.read_packed(&name);
            let array = array.map_err(|error| reader.unreadable_array(&name, &error))?;
            reader.arrays.insert(name, array);
        }
        Ok(reader)
    }

    pub(super) fn error(&self, message: impl std::fmt::Display) -> TaskError {
        TaskError::data(self.key, format!("{}: {message}", self.path.display()))
    }

    fn check_names(&self, names: &[String]) -> Result<(), TaskError> {
        let is_known = |name: &&String| {
            ARRAYS.split(", ").any(|known| known == *name) || name.starts_with("cond_")
        };
        match names.iter().find(|name| !is_known(name)) {
            None => Ok(()),
            Some(name) => {
                let help = format!("a file of trials may hold {ARRAYS} and cond_<name>");
                Err(self
                    .error(format!("array {name:?} is not part of a file of trials"))
                    .with_help(help))
            }
        }
    }

    /// Creates the error of an unreadable array; for one without numbers, with the line of numpy that converts it.
    fn unreadable_array(&self, name: &str, error: &FileError) -> TaskError {
        let FileError::Format { rule, .. } = error else {
            return unreadable(self.key, error);
        };
        match rule {
            FormatError::Pickle { .. } => self
                .error(format!(
                    "{name} is an array of Python objects, such as a ragged list, which is never loaded"
                ))
                .with_help(numbers_of_objects(name)),
            FormatError::Dtype { dtype, .. } => self
                .error(format!("{name} has dtype {dtype}, which is not a number"))
                .with_help(numbers_of(name, dtype)),
            _ => unreadable(self.key, error),
        }
    }

    pub(super) fn expect_shape(
        &self,
        name: &str,
        found: &[usize],
        expected: &[usize],
    ) -> Result<(), TaskError> {
        if found == expected {
            return Ok(());
        }
        let error = self.error(format!(
            "{name} has shape {found:?}, but inputs ask for {expected:?}"
        ));
        match reshaping(name, found, expected) {
            Some(help) => Err(error.with_help(help)),
            None => Err(error),
        }
    }
}

/// Returns true if a number can be trained on.
pub(super) fn is_usable(value: f32) -> bool {
    value.abs() <= MAX_VALUE // not NaN
}
