//! Words of suggested commands, quoted for a shell.

use std::path::Path;

use ctrnn_runs::as_typed;

/// Quotes a word for a shell.
pub fn quoted(word: &str) -> String {
    as_typed(&[word.to_owned()])
}

/// Quotes a path for a shell.
pub fn quoted_path(path: &Path) -> String {
    quoted(&path.display().to_string())
}
