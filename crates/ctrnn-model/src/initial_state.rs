//! States that trials start from.

use ctrnn_kernels::UnitState;
use ctrnn_random::{Key, Rng};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// State at the start of a trial: `v(0)` (voltage form) or `r(0)` (rate form).
///
/// In files: a word, a list of numbers, or a table with the key `learned`.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum InitialState {
    /// Zero for every unit.
    Zero,
    /// A trained vector `[N]` that starts at zero.
    #[default]
    Learned,
    /// A trained vector `[N]` that starts at given values.
    LearnedFrom(FirstValues),
    /// A trained vector for each condition of the task, `[C,N]`, that starts at zero.
    LearnedPerCondition,
    /// The last state of the same row of the previous batch ([`CtrnnModule::carry`](crate::CtrnnModule::carry)), without a gradient
    /// through it. It is used in training alone; the first batch, and every other pass, starts from zero.
    Carry,
    /// A fixed vector `[N]`.
    Given(Vec<f64>),
}

/// Values at which a learned initial state starts.
///
/// In files: a number, a list of them, or a table with mean and std.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FirstValues {
    /// One number for all units.
    Shared(f64),
    /// A number for each unit.
    PerUnit(Vec<f64>),
    /// Normal values, drawn from the seed (PsychRNN: mean 0.1, std 0.01).
    Normal(NormalValues),
}

/// Normal values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NormalValues {
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub std: f64,
}

/// Key of the table of a learned initial state.
const LEARNED: &str = "learned";

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
            (Self::LearnedFrom(values), _) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(LEARNED, values)?;
                map.end()
            }
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
            Table(Learned),
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Learned {
            learned: FirstValues,
        }
        let word = match Written::deserialize(deserializer)? {
            Written::List(values) => return Ok(Self::Given(values)),
            Written::Table(Learned { learned }) => return Ok(Self::LearnedFrom(learned)),
            Written::Word(word) => word,
        };
        match WORDS.into_iter().find(|(known, _)| *known == word) {
            Some((_, meaning)) => Ok(meaning),
            None => {
                let words = WORDS.map(|(known, _)| known).join(", ");
                let message = format!(
                    "{word:?} is not an initial state: {words}, a list of numbers, or a table with learned"
                );
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
        let list = json_schema!({ "type": "array", "items": { "type": "number" } });
        let normal = json_schema!({
            "type": "object",
            "properties": {
                "mean": { "type": "number", "description": "Mean." },
                "std": { "type": "number", "minimum": 0, "description": "Standard deviation." },
            },
            "required": ["mean", "std"],
            "additionalProperties": false,
        });
        let first = json_schema!({
            "description": "Values at which a trained state starts: one for all units, one for each, or normal ones.",
            "anyOf": [{ "type": "number" }, list, normal],
        });
        json_schema!({ "anyOf": [
            { "type": "string", "title": "initial state", "enum": words },
            list,
            {
                "type": "object",
                "properties": { (LEARNED): first },
                "required": [LEARNED],
                "additionalProperties": false,
            },
        ] })
    }
}

impl InitialState {
    /// Returns true if the state is trained.
    pub const fn is_learned(&self) -> bool {
        matches!(
            self,
            Self::Learned | Self::LearnedFrom(_) | Self::LearnedPerCondition
        )
    }

    /// Returns the values, `n` or a multiple of it for several conditions, at which a trained state starts; `key` draws normal ones.
    pub(crate) fn first_values(&self, n: usize, key: Key) -> Vec<f64> {
        let Self::LearnedFrom(values) = self else {
            return vec![0.0; n];
        };
        match values {
            FirstValues::Shared(value) => vec![*value; n],
            FirstValues::PerUnit(list) => list.clone(),
            FirstValues::Normal(law) => {
                let mut rng = Rng::new(key, 0, 0);
                let draw = |_| law.mean + law.std * f64::from(rng.normal());
                (0..n).map(draw).collect()
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_initial_state_is_read_and_written() {
        for (text, expected) in [
            ("\"learned\"", InitialState::Learned),
            ("[0.5,1.0]", InitialState::Given(vec![0.5, 1.0])),
            (
                "{\"learned\":0.1}",
                InitialState::LearnedFrom(FirstValues::Shared(0.1)),
            ),
            (
                "{\"learned\":[0.5,1.0]}",
                InitialState::LearnedFrom(FirstValues::PerUnit(vec![0.5, 1.0])),
            ),
            (
                "{\"learned\":{\"mean\":0.1,\"std\":0.01}}",
                InitialState::LearnedFrom(FirstValues::Normal(NormalValues {
                    mean: 0.1,
                    std: 0.01,
                })),
            ),
        ] {
            let found: InitialState = serde_json::from_str(text).unwrap();
            assert_eq!(found, expected);
            assert_eq!(serde_json::to_string(&found).unwrap(), text);
        }
        for wrong in ["\"learnt\"", "{\"learned\":\"zero\"}", "{\"zero\":0.0}"] {
            assert!(
                serde_json::from_str::<InitialState>(wrong).is_err(),
                "{wrong}"
            );
        }
    }

    fn key() -> Key {
        Key::new(3, ctrnn_random::Stream::FirstState, 0)
    }

    /// The standard error of a mean of 1000 is 0.01 / 32.
    #[test]
    fn a_learned_state_starts_at_its_values() {
        let start = |values| InitialState::LearnedFrom(values).first_values(1000, key());
        assert_eq!(start(FirstValues::Shared(0.1)), vec![0.1; 1000]);
        let law = NormalValues {
            mean: 0.1,
            std: 0.01,
        };
        let drawn = start(FirstValues::Normal(law));
        let mean = drawn.iter().sum::<f64>() / 1000.0;
        assert!((mean - 0.1).abs() < 0.001, "{mean}");
        assert_ne!(drawn[0], drawn[1]);
        assert_eq!(InitialState::Learned.first_values(2, key()), [0.0, 0.0]);
    }
}
