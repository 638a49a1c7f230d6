//! Values that are written as a word, or as a table whose `name` is the word and whose other keys are its parameters.
//!
//! A field of such a type has `#[serde(with = "word_or_table")]` and `#[schemars(schema_with = "word_or_table::schema")]`; the type
//! itself is an enum that serde tags with `name`. A value whose parameters are the usual ones is written as a word.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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

/// Returns the schema: the words, and the tables of those kinds that have parameters.
pub(crate) fn schema<T: Worded + JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let words: Vec<&str> = T::all().iter().map(Worded::word).collect();
    let mut shapes = vec![
        json_schema!({ "type": "string", "title": T::TITLE, "enum": words }).to_value(),
    ];
    let tables = T::json_schema(generator).to_value();
    if let Some(tables) = tables["oneOf"].as_array() {
        shapes.extend(tables.iter().cloned());
    }
    json_schema!({ "oneOf": shapes })
}
