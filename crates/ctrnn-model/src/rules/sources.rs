//! Keys from which arrays come.

use crate::CtrnnConfig;

/// Key of the file of connections.
pub(super) const FILE: &str = "model.connectivity.file";

/// Returns the key from which arrays of the recurrent matrix come.
pub(super) fn source_of(config: &CtrnnConfig) -> &'static str {
    if config.connectivity.file.is_none() && !config.areas.is_empty() {
        "model.areas"
    } else {
        FILE
    }
}
