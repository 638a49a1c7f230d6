//! Versions of a JSON format: files of earlier versions are brought up to the present one, files of later ones are refused.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{FileError, FormatError};
use crate::json::{self, parse};
use crate::regular_file;

/// Change that turns a file of one version into one of the next.
pub type Migration = fn(&mut Map<String, Value>);

/// Versions of a format, counted from 1 in the key `schema`.
///
/// ```
/// use ctrnn_files::Versions;
///
/// // Version 2 calls `step` what version 1 called `iteration`.
/// const VERSIONS: Versions = Versions(&[|file| {
///     let step = file.remove("iteration").unwrap_or_default();
///     file.insert("step".to_owned(), step);
/// }]);
/// #[derive(serde::Deserialize)]
/// struct State {
///     schema: u32,
///     step: u64,
/// }
/// let state: State = VERSIONS.parse(br#"{ "schema": 1, "iteration": 7 }"#)?;
/// assert_eq!((state.schema, state.step), (2, 7));
/// # Ok::<(), ctrnn_files::FormatError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Versions(
    /// Element `i` turns version `i + 1` into version `i + 2`.
    pub &'static [Migration],
);

impl Versions {
    /// Returns the version that is written.
    pub const fn current(&self) -> u32 {
        self.0.len() as u32 + 1
    }

    /// Reads a file of this or an earlier version, of at most [`json::MAX_BYTES`].
    ///
    /// # Errors
    /// If the file is missing, too long, cannot be read, or as [`Versions::parse`].
    pub fn read<T: DeserializeOwned>(&self, path: &Path) -> Result<T, FileError> {
        let bytes = regular_file::read(path, json::MAX_BYTES)?;
        self.parse(&bytes).map_err(FileError::format(path))
    }

    /// Parses a file of this or an earlier version.
    ///
    /// # Errors
    /// [`FormatError::Schema`] for a later version, before anything else is said about the file; [`FormatError::Json`] for text that
    /// is not the JSON of a `T`.
    pub fn parse<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, FormatError> {
        #[derive(Deserialize)]
        struct Schema {
            schema: u32,
        }
        let Schema { schema: found } = parse(bytes)?;
        if found == self.current() {
            return parse(bytes);
        }
        if found == 0 || found > self.current() {
            return Err(FormatError::Schema {
                found,
                supported: self.current(),
            });
        }
        let mut file: Map<String, Value> = parse(bytes)?;
        for migrate in &self.0[found as usize - 1..] {
            migrate(&mut file);
        }
        file.insert("schema".to_owned(), self.current().into());
        serde_json::from_value(file.into()).map_err(|error| FormatError::Json {
            why: error.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        schema: u32,
        steps: [u64; 2],
    }

    /// Version 2 renamed `a`, version 3 made a pair of it.
    const VERSIONS: Versions = Versions(&[
        |file| {
            let a = file.remove("a").unwrap_or_default();
            file.insert("steps".to_owned(), a);
        },
        |file| {
            let step = file.remove("steps").unwrap_or_default();
            file.insert("steps".to_owned(), vec![step, 0.into()].into());
        },
    ]);

    #[test]
    fn earlier_versions_are_brought_up_step_by_step() {
        for text in [
            r#"{"schema": 1, "a": 5}"#,
            r#"{"schema": 2, "steps": 5}"#,
            r#"{"schema": 3, "steps": [5, 0]}"#,
        ] {
            let file: File = VERSIONS.parse(text.as_bytes()).unwrap();
            let expected = File {
                schema: 3,
                steps: [5, 0],
            };
            assert_eq!(file, expected, "{text}");
        }
    }

    #[test]
    fn later_versions_are_refused_before_anything_else_is_said() {
        for found in [0, 4, 1000] {
            let text = format!(r#"{{"schema": {found}, "colour": "blue"}}"#);
            let error = VERSIONS.parse::<File>(text.as_bytes()).unwrap_err();
            let supported = 3;
            assert_eq!(error, FormatError::Schema { found, supported });
        }
    }

    #[test]
    fn an_earlier_version_that_breaks_its_own_rules_is_an_error() {
        let error = VERSIONS.parse::<File>(br#"{"schema": 1, "b": 5}"#);
        assert!(matches!(error, Err(FormatError::Json { .. })), "{error:?}");
    }
}
