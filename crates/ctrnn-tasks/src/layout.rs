//! The inputs and outputs of a task.

use serde::{Deserialize, Serialize};

/// The inputs and outputs of a task. Their order is that of the arrays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Names of the inputs; there may be none.
    pub inputs: Vec<String>,
    /// Names of the outputs.
    pub outputs: Vec<String>,
    /// Kind of the targets.
    pub target: TargetKind,
    /// Indices of the outputs that are choices: the largest of them is the choice. The sign of a single one is the choice. Empty
    /// for a task without choices.
    pub choices: Vec<usize>,
    /// Number of recorded units whose rates trials have ([`Trial::unit_targets`](crate::Trial)); 0 without recordings.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub recorded: usize,
}

/// Returns true for 0, which stands for a key that is left out.
fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// The kind of targets, which decides the default loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// A value for each output (mean squared error).
    Values,
    /// The output that should be largest (cross-entropy).
    Classes,
}

impl Layout {
    /// Creates a layout whose targets are values, and in which every output is a choice, unless there is only one.
    #[must_use]
    pub fn new<const I: usize, const O: usize>(inputs: [&str; I], outputs: [&str; O]) -> Self {
        Self {
            inputs: inputs.map(str::to_owned).into(),
            outputs: outputs.map(str::to_owned).into(),
            target: TargetKind::Values,
            choices: if O == 1 { Vec::new() } else { (0..O).collect() },
            recorded: 0,
        }
    }

    /// Returns the numbers of all choices, as returned by [`Trial::choice`](crate::Trial::choice).
    #[must_use]
    pub fn alternatives(&self) -> Vec<usize> {
        match self.choices[..] {
            [_] => vec![0, 1],
            _ => self.choices.clone(),
        }
    }

    /// Returns the name of a choice, which is that of its output; if the sign of one output is the choice, `output < 0` or
    /// `output > 0`.
    ///
    /// # Panics
    /// If there is no choice of this number.
    #[must_use]
    pub fn choice_name(&self, choice: usize) -> String {
        match self.choices[..] {
            [only] => format!("{} {} 0", self.outputs[only], ["<", ">"][choice]),
            _ => self.outputs[choice].clone(),
        }
    }

    /// Adds inputs, such as those of a [`Ring`](crate::Ring).
    #[must_use]
    pub fn with_inputs(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.inputs.extend(names);
        self
    }

    /// Adds outputs that are not choices.
    #[must_use]
    pub fn with_outputs(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.outputs.extend(names);
        self
    }

    /// Creates a layout with numbered names: `input 0`, `output 0`.
    #[must_use]
    pub fn numbered(n_inputs: usize, n_outputs: usize, target: TargetKind) -> Self {
        let names = |what: &str, n: usize| (0..n).map(|k| format!("{what} {k}")).collect();
        Self {
            inputs: names("input", n_inputs),
            outputs: names("output", n_outputs),
            target,
            choices: match n_outputs {
                1 => Vec::new(),
                n => (0..n).collect(),
            },
            recorded: 0,
        }
    }

    /// Sets the outputs that are choices.
    #[must_use]
    pub fn with_choices(self, choices: &[usize]) -> Self {
        Self {
            choices: choices.to_vec(),
            ..self
        }
    }
}
