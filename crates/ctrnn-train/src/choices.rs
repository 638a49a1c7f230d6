//! Choices of trials that come from elsewhere: which outputs they are, and which is right in each trial.

use std::collections::BTreeMap;

use ctrnn_tasks::{Layout, TargetKind, TaskError, Trial, target_answer};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An output, by its index or its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputName {
    /// Counted from 0.
    Index(usize),
    /// As in the layout of the task.
    Name(String),
}

impl OutputName {
    fn index(&self, layout: &Layout) -> Option<usize> {
        let n_outputs = layout.outputs.len();
        match self {
            Self::Index(index) => Some(*index).filter(|&index| index < n_outputs),
            Self::Name(name) => layout.outputs.iter().position(|output| output == name),
        }
    }
}

impl std::fmt::Display for OutputName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Index(index) => write!(f, "{index}"),
            Self::Name(name) => write!(f, "{name:?}"),
        }
    }
}

impl Serialize for OutputName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Index(index) => serializer.serialize_u64(*index as u64),
            Self::Name(name) => serializer.serialize_str(name),
        }
    }
}

impl<'de> Deserialize<'de> for OutputName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(name) => Ok(Self::Name(name)),
            index => index.try_into().map(Self::Index).map_err(D::Error::custom),
        }
    }
}

impl JsonSchema for OutputName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OutputName".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string" }] })
    }
}

/// The outputs that the key `choices` names.
///
/// # Errors
/// If one is not an output or is named twice, or if a single one is to choose between labels.
pub(crate) fn named(names: &[OutputName], layout: &Layout) -> Result<Vec<usize>, TaskError> {
    let outputs = layout.outputs.len();
    let refuse = |message: String| {
        let help = format!(
            "the {outputs} outputs are counted from 0: task.npz.choices = [0, 1], for instance; [] for none"
        );
        TaskError::config("choices", message).with_help(help)
    };
    let mut choices = Vec::new();
    for name in names {
        let index = name
            .index(layout)
            .ok_or_else(|| refuse(format!("{name} is not an output of the trials")))?;
        if choices.contains(&index) {
            return Err(refuse(format!("{name} is named twice")));
        }
        choices.push(index);
    }
    if choices.len() == 1 && layout.target == TargetKind::Classes {
        return Err(refuse(format!(
            "{} alone is not a choice: labels are classes, of which one is chosen",
            names[0]
        )));
    }
    Ok(choices)
}

/// Whether the condition of a trial is not among those of `no_answer`.
pub(crate) fn has_answer(trial: &Trial, no_answer: &BTreeMap<String, Vec<f64>>) -> bool {
    let has_none = |(name, value): &(String, f64)| {
        no_answer
            .get(name)
            .is_some_and(|values| values.contains(value))
    };
    !trial.condition.iter().any(has_none)
}

/// Takes the correct choice of each trial from its target; those of the conditions in `no_answer` have none.
pub(crate) fn set_answers(
    trials: &mut [Trial],
    choices: &[usize],
    no_answer: &BTreeMap<String, Vec<f64>>,
) {
    for trial in trials {
        trial.correct = target_answer(trial, choices).filter(|_| has_answer(trial, no_answer));
    }
}
