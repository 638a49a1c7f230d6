//! Counts in messages.

use std::fmt::Display;

/// Formats a count: "1 step", "2 steps". The plural of `what` ends in "s".
pub fn counted(n: impl Display, what: &str) -> String {
    let n = n.to_string();
    let plural = if n == "1" { "" } else { "s" };
    format!("{n} {what}{plural}")
}
