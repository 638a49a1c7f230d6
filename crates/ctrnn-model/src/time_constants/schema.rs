//! Time constants in files: how they are written and read, and their schema.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor, value::SeqAccessDeserializer};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{PerType, TimeConstants};

/// Kinds of time constants that are written as a table.
const KINDS: [&str; 3] = ["uniform", "lognormal", "learned"];

impl Serialize for TimeConstants {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fn table<S: Serializer, T: Serialize>(
            serializer: S,
            kind: usize,
            value: &T,
        ) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry(KINDS[kind], value)?;
            map.end()
        }
        match self {
            Self::Shared(tau) => serializer.serialize_f64(*tau),
            Self::PerUnit(list) => list.serialize(serializer),
            Self::PerType(types) => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("e", &types.e)?;
                map.serialize_entry("i", &types.i)?;
                map.end()
            }
            Self::Uniform(bounds) => table(serializer, 0, bounds),
            Self::LogNormal(law) => table(serializer, 1, law),
            Self::Learned(learned) => table(serializer, 2, learned),
        }
    }
}

impl<'de> Deserialize<'de> for TimeConstants {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TimeConstantsVisitor)
    }
}

struct TimeConstantsVisitor;

impl<'de> Visitor<'de> for TimeConstantsVisitor {
    type Value = TimeConstants;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = KINDS.join(", ");
        write!(
            f,
            "a number of milliseconds, a list of them, or a table with e and i or one of {kinds}"
        )
    }

    fn visit_f64<E: serde::de::Error>(self, tau: f64) -> Result<TimeConstants, E> {
        Ok(TimeConstants::Shared(tau))
    }

    fn visit_i64<E: serde::de::Error>(self, tau: i64) -> Result<TimeConstants, E> {
        Ok(TimeConstants::Shared(tau as f64))
    }

    fn visit_u64<E: serde::de::Error>(self, tau: u64) -> Result<TimeConstants, E> {
        Ok(TimeConstants::Shared(tau as f64))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<TimeConstants, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(TimeConstants::PerUnit)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TimeConstants, A::Error> {
        let Some(kind) = map.next_key::<String>()? else {
            return Err(A::Error::invalid_length(0, &self));
        };
        let found = match kind.as_str() {
            "e" | "i" => {
                let first = map.next_value()?;
                let other = if kind == "e" { "i" } else { "e" };
                if map.next_key::<String>()?.as_deref() != Some(other) {
                    return Err(A::Error::custom(format!(
                        "time constants of cell types are those of e and i, but {other} is missing"
                    )));
                }
                let second = map.next_value()?;
                let [e, i] = match other {
                    "i" => [first, second],
                    _ => [second, first],
                };
                TimeConstants::PerType(Box::new(PerType { e, i }))
            }
            "uniform" => TimeConstants::Uniform(map.next_value()?),
            "lognormal" => TimeConstants::LogNormal(map.next_value()?),
            "learned" => TimeConstants::Learned(map.next_value()?),
            _ => return Err(A::Error::unknown_variant(&kind, &KINDS)),
        };
        match map.next_key::<String>()? {
            None => Ok(found),
            Some(second) => Err(A::Error::custom(format!(
                "time constants are either {kind} or {second}"
            ))),
        }
    }
}

impl JsonSchema for TimeConstants {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TimeConstants".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let number = json_schema!({ "type": "number", "exclusiveMinimum": 0 });
        let list = json_schema!({ "type": "array", "items": number, "minItems": 1 });
        let bounds =
            json_schema!({ "type": "array", "items": number, "minItems": 2, "maxItems": 2 });
        let law = json_schema!({
            "type": "object",
            "properties": {
                "median": with_text(&number, "Median in ms, before the cut."),
                "sigma": with_text(&number, "Standard deviation of ln tau."),
                "min": with_text(&number, "Smallest value in ms."),
                "max": with_text(&number, "Largest value in ms."),
            },
            "required": ["median", "sigma", "min", "max"],
            "additionalProperties": false,
        });
        let [uniform, lognormal, learned] = KINDS;
        let uniform = one_of(
            uniform,
            &with_text(&bounds, "Smallest and largest value in ms."),
        );
        let lognormal = one_of(
            lognormal,
            &with_text(&law, "A normal ln tau, cut off at both ends."),
        );
        let of_type = json_schema!({ "anyOf": [number, uniform, lognormal] });
        let types = json_schema!({
            "type": "object",
            "properties": {
                "e": with_text(&of_type, "Those of excitatory units in ms: a number, uniform or lognormal."),
                "i": with_text(&of_type, "Those of inhibitory units in ms."),
            },
            "required": ["e", "i"],
            "additionalProperties": false,
        });
        let initial = json_schema!({
            "description": "Where they begin, strictly within the bounds: anything but learned.",
            "anyOf": [number, list, types, uniform, lognormal],
        });
        let per_unit = json_schema!({
            "type": "boolean",
            "default": true,
            "description": "Whether each unit has its own; else one is trained for all.",
        });
        let training = json_schema!({
            "type": "object",
            "description": "Time constants that are trained within bounds.",
            "properties": {
                "initial": initial,
                "bounds": with_text(&bounds, "Smallest and largest value in ms."),
                "per_unit": per_unit,
            },
            "required": ["initial", "bounds"],
            "additionalProperties": false,
        });
        json_schema!({ "anyOf": [number, list, types, uniform, lognormal, one_of(learned, &training)] })
    }
}

/// Returns the schema of a table with the one key `kind`.
fn one_of(kind: &str, value: &Schema) -> Schema {
    json_schema!({
        "type": "object",
        "properties": { (kind): value },
        "required": [kind],
        "additionalProperties": false,
    })
}

/// Returns a schema with a description.
fn with_text(schema: &Schema, text: &str) -> Schema {
    let mut schema = schema.clone();
    schema.insert("description".to_owned(), text.into());
    schema
}
