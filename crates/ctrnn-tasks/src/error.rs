//! What can be wrong with a task.

use std::fmt;

/// A broken rule of a task: of its configuration, or of the trials it reads.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub struct TaskError {
    /// The key within the task's table, such as `stimulus_ms.uniform`; empty where no key is to
    /// blame.
    pub key: String,
    /// The value and the rule.
    pub message: String,
    /// The remedy.
    pub help: Option<String>,
    /// Whose fault it is.
    pub kind: TaskErrorKind,
}

/// Whose fault a [`TaskError`] is; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskErrorKind {
    /// The configuration asks for what makes no sense.
    Config,
    /// Trials are missing, corrupt or contradict the configuration.
    Data,
    /// Reading them failed.
    Io,
    /// A program would have to be started, which the user has not agreed to or the command does not do.
    Program,
}

impl TaskError {
    /// An error of the configuration at `key`.
    pub fn config(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(TaskErrorKind::Config, key, message)
    }

    /// An error of the trials that `key` names.
    pub fn data(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(TaskErrorKind::Data, key, message)
    }

    /// A failure to read what `key` names.
    pub fn io(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(TaskErrorKind::Io, key, message)
    }

    /// A program that `key` names and that is not started.
    pub fn program(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(TaskErrorKind::Program, key, message)
    }

    /// The same error with a remedy.
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
