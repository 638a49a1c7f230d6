//! Values that are written as a word, or as a table whose `name` is the word and whose other keys are its parameters.
//!
//! A field of such a type has `#[serde(with = "word_or_table")]` and `#[schemars(schema_with = "word_or_table::schema")]`; the type
//! itself is an enum that serde tags with `name`. A value whose parameters are the usual ones is written as a word.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

/// A type with a word for each of its kinds.
pub(crate) trait Worded: Copy + PartialEq + 'static {
    /// Noun that messages use for such a word.
    const TITLE: &'static str;

    /// Returns each kind with its usual parameters.
    fn all() -> &'static [Self];

    /// Returns the word of the kind.
    fn word(&self) -> &'static str;
}

pub(crate) fn serialize<T: Worded + Serialize, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    if T::all().contains(value) {
        serializer.serialize_str(value.word())
    } else {
        value.serialize(serializer)
    }
}

pub(crate) fn deserialize<'de, T: Worded + DeserializeOwned, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written<T> {
        Word(String),
        Table(T),
    }
    let word = match Written::deserialize(deserializer)? {
        Written::Table(value) => return Ok(value),
        Written::Word(word) => word,
    };
    let known = T::all().iter().find(|kind| kind.word() == word);
    known.copied().ok_or_else(|| {
        let words: Vec<&str> = T::all().iter().map(Worded::word).collect();
        let words = words.join(", ");
        D::Error::custom(format!("{word:?} is not a {}: {words}", T::TITLE))
    })
}

/// Returns the schema of a type that derives one: the words, and the tables of all kinds.
pub(crate) fn schema<T: Worded + JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let tables = T::json_schema(generator).to_value();
    let tables = tables["oneOf"].as_array().cloned();
    one_of::<T>(tables.unwrap_or_default())
}

/// Returns the schema of kinds with the schemas of their parameters by name, all of which may be absent.
pub(crate) fn schema_of<T: Worded>(kinds: &[(T, Map<String, Value>)]) -> Schema {
    let table = |(kind, parameters): &(T, Map<String, Value>)| {
        let mut properties = parameters.clone();
        properties.insert(
            "name".to_owned(),
            json!({ "type": "string", "const": kind.word() }),
        );
        json!({
            "type": "object",
            "properties": properties,
            "required": ["name"],
            "additionalProperties": false,
        })
    };
    one_of::<T>(kinds.iter().map(table).collect())
}

fn one_of<T: Worded>(tables: Vec<Value>) -> Schema {
    let words: Vec<&str> = T::all().iter().map(Worded::word).collect();
    let words = json!({ "type": "string", "title": T::TITLE, "enum": words });
    let shapes: Vec<Value> = [words].into_iter().chain(tables).collect();
    json_schema!({ "oneOf": shapes })
}
