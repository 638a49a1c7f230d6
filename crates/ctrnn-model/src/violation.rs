//! Broken rules of a network, with the keys they concern.

use std::fmt;

/// A broken rule: the keys that it joins, an error message, and a suggested fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Kind of rule.
    pub topic: Topic,
    /// Error message.
    pub message: String,
    /// Suggested fix.
    pub help: String,
    /// Keys that the rule joins, by full path in a configuration file (`model.tau_ms`), each with the text of its label.
    pub keys: Vec<(String, &'static str)>,
    /// Further keys that must be known before the rule can be checked.
    pub depends_on: Vec<&'static str>,
}

/// Kind of rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// The value of one key.
    Value,
    /// The names of parameters.
    Word,
    /// The time step and the time constants.
    TimeStep,
    /// The initial state and the initial weights.
    Initial,
    /// Connections and signs.
    Connections,
    /// The readout.
    Readout,
    /// The arrays of the file of connections.
    Arrays,
}

impl Violation {
    pub(crate) fn new(topic: Topic, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            topic,
            message: message.into(),
            help: help.into(),
            keys: Vec::new(),
            depends_on: Vec::new(),
        }
    }

    /// Adds a key with the words of its label.
    pub(crate) fn at(mut self, key: impl Into<String>, label: &'static str) -> Self {
        self.keys.push((key.into(), label));
        self
    }

    /// Adds keys that must be known for the rule to be checked.
    pub(crate) fn needs(mut self, keys: &[&'static str]) -> Self {
        self.depends_on.extend(keys);
        self
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message, self.help)
    }
}
