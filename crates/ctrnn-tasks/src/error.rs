//! Errors of tasks.

use std::fmt;

/// A broken rule of a task: of its configuration, or of the trials it reads.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub struct TaskError {
    /// The key within the task's table, such as `stimulus_ms.uniform`; empty if the error concerns no single key.
    pub key: String,
    /// The value and the rule.
    pub message: String,
    /// The remedy.
    pub help: Option<String>,
    /// Kind of the error.
    pub kind: TaskErrorKind,
}

/// The kind of a [`TaskError`], which decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskErrorKind {
    /// The configuration is not valid.
    Config,
    /// Trials are missing or corrupt, or contradict the configuration.
    Data,
    /// Reading trials failed.
    Io,
    /// A program would have to be started, but the user has not agreed to it or the command does not start any.
    Program,
}

impl TaskError {
    /// Creates an error of the configuration at `key`.
    pub fn config(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(TaskErrorKind::Config, key, message)
    }

    /// Creates an error of the trials that `key` names.
    pub fn data(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(TaskErrorKind::Data, key, message)
    }

    /// Creates an error of reading the file that `key` names.
    pub fn io(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(TaskErrorKind::Io, key, message)
    }

    /// Creates an error about the program that `key` names, which is not started.
    pub fn program(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(TaskErrorKind::Program, key, message)
    }

    /// Adds a remedy.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    fn new(kind: TaskErrorKind, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            message: message.into(),
            help: None,
            kind,
        }
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_key_message_and_remedy() {
        let error = TaskError::config("coherences", "the list is empty").with_help("give one");
        assert_eq!(error.to_string(), "coherences: the list is empty; give one");
        assert_eq!(
            TaskError::io("", "no such file").to_string(),
            "no such file"
        );
    }
}
