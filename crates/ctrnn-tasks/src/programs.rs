//! Programs that a task's table names, and whether they may be started.

use std::fmt;

use crate::{Layout, TaskError};

/// Whether a task may start a program that its table names.
///
/// A table may come from anybody, so reading it starts nothing: whoever builds a task says what is allowed.
#[derive(Clone, Copy)]
pub enum Programs<'a> {
    /// No program is started, and no trials of it can be made.
    Never {
        /// The inputs and outputs of the task, where they are known from elsewhere: such a task has a network, but no trials.
        layout: Option<&'a Layout>,
    },
    /// A program is started if this function agrees to its words; else its error says what to do.
    Agreed(&'a dyn Fn(&[String]) -> Result<(), TaskError>),
}

impl Programs<'_> {
    /// No program, and nothing known of its trials.
    pub const NEVER: Self = Self::Never { layout: None };
}

impl Default for Programs<'_> {
    fn default() -> Self {
        Self::NEVER
    }
}

impl fmt::Debug for Programs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never { layout } => f.debug_struct("Never").field("layout", layout).finish(),
            Self::Agreed(_) => f.write_str("Agreed(..)"),
        }
    }
}
