//! States that trials start from.

use ctrnn_kernels::UnitState;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// State at the start of a trial: `v(0)` (voltage form) or `r(0)` (rate form).
///
/// In files: a word, or a list of numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum InitialState {
    /// Zero for every unit.
    Zero,
    /// A trained vector `[N]` that starts at zero.
    #[default]
    Learned,
    /// A trained vector for each condition of the task, `[C,N]`, that starts at zero.
    LearnedPerCondition,
    /// The last state of the same row of the previous batch ([`CtrnnModule::carry`](crate::CtrnnModule::carry)), without a gradient
    /// through it. It is used in training alone; the first batch, and every other pass, starts from zero.
    Carry,
    /// A fixed vector `[N]`.
    Given(Vec<f64>),
}

/// Initial states that are written as a word.
const WORDS: [(&str, InitialState); 4] = [
    ("zero", InitialState::Zero),
    ("learned", InitialState::Learned),
    ("learned_per_condition", InitialState::LearnedPerCondition),
    ("carry", InitialState::Carry),
];

impl Serialize for InitialState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self, WORDS.iter().find(|(_, meaning)| meaning == self)) {
            (Self::Given(values), _) => values.serialize(serializer),
            (_, Some((word, _))) => serializer.serialize_str(word),
            (_, None) => unreachable!("every other state has its word"),
        }
    }
}

impl<'de> Deserialize<'de> for InitialState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Word(String),
            List(Vec<f64>),
        }
        let word = match Written::deserialize(deserializer)? {
            Written::List(values) => return Ok(Self::Given(values)),
            Written::Word(word) => word,
        };
        match WORDS.into_iter().find(|(known, _)| *known == word) {
            Some((_, meaning)) => Ok(meaning),
            None => {
                let words = WORDS.map(|(known, _)| known).join(", ");
                let message =
                    format!("{word:?} is not an initial state: {words}, or a list of numbers");
                Err(D::Error::custom(message))
            }
        }
    }
}

impl JsonSchema for InitialState {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "InitialState".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words = WORDS.map(|(word, _)| word);
        json_schema!({ "anyOf": [
            { "type": "string", "title": "initial state", "enum": words },
            { "type": "array", "items": { "type": "number" } },
        ] })
    }
}

impl InitialState {
    /// Returns true if the state is trained.
    pub const fn is_learned(&self) -> bool {
        matches!(self, Self::Learned | Self::LearnedPerCondition)
    }

    /// Returns the fixed value of a unit; zero unless the state is given.
    pub(crate) fn fixed(&self, unit: usize) -> f64 {
        match self {
            Self::Given(state) => state[unit],
            _ => 0.0,
        }
    }
}

/// Names of the carried state in weight files, `[B,N]`: not trained, written if the network has one; those of synapses only with
/// short-term plasticity.
pub(crate) const CARRIED_STATE: UnitState<&str> = UnitState {
    activity: "carried_state",
    utilisation: "carried_utilisation",
    resources: "carried_resources",
};
