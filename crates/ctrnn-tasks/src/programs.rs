//! Permission to start programs that a task's table names.

use std::fmt;

use crate::{Layout, TaskError};

/// Permission for a task to start a program that its table names.
///
/// A table is untrusted, so reading it starts nothing: the caller that builds a task decides what is allowed.
#[derive(Clone, Copy)]
pub enum Programs<'a> {
    /// No program is started, so the task has no trials.
    Never {
        /// Inputs and outputs of the task, if known from elsewhere; with them a network can be built, but no trials.
        layout: Option<&'a Layout>,
    },
    /// A program is started if this function accepts its command line; otherwise its error gives the remedy.
    Agreed(&'a dyn Fn(&[String]) -> Result<(), TaskError>),
}

impl Programs<'_> {
    /// No program is started, and its inputs and outputs are unknown.
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
