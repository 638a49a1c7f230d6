//! Words and lines of a description.

use ctrnn_config::counted;

/// Name and value of a line.
pub type Row = (&'static str, String);

/// Formats rows as lines with aligned values.
pub fn table(rows: impl IntoIterator<Item = Row>) -> String {
    rows.into_iter()
        .map(|(name, value)| format!("{name:<12} {value}\n"))
        .collect()
}

/// Formats inputs or outputs: "2: left, right".
pub fn channels(names: &[String]) -> String {
    format!("{}: {}", names.len(), names.join(", "))
}

/// Formats numbers of parameters: "172 parameters, 82 of them free".
pub fn parameters(count: usize, free: usize) -> String {
    let parameters = counted(count, "parameter");
    if free == count {
        parameters
    } else {
        format!("{parameters}, {free} of them free")
    }
}
