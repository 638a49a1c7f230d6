//! Words and lines of a description.

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

/// Formats a count: "1 condition", "2 conditions".
pub fn counted(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

/// Formats numbers of parameters: "172 parameters, 82 of them free".
pub fn parameters(count: usize, free: usize) -> String {
    if free == count {
        format!("{count} parameters")
    } else {
        format!("{count} parameters, {free} of them free")
    }
}
