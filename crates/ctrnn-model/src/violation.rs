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
    pub depends_on: Vec<String>,
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
        self.depends_on
            .extend(keys.iter().map(|key| (*key).to_owned()));
        self
    }

    /// Returns the violation of a rule by a layer of a stack: with the place of the layer in the names of keys.
    pub(crate) fn in_layer(self, layer: usize) -> Self {
        const EXPLAIN: &str = "config explain "; // takes the key of any layer
        let prefix = format!("model.layer[{layer}].");
        let placed = |text: String| {
            let placed = text.replace("model.", &prefix);
            placed.replace(&format!("{EXPLAIN}{prefix}"), &format!("{EXPLAIN}model."))
        };
        Self {
            topic: self.topic,
            message: placed(self.message),
            help: placed(self.help),
            keys: (self.keys.into_iter())
                .map(|(key, label)| (placed(key), label))
                .collect(),
            depends_on: self.depends_on.into_iter().map(placed).collect(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message, self.help)
    }
}
