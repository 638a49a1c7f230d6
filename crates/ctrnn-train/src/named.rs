//! Tables of the configuration whose key `name` selects the other keys.

use schemars::Schema;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

/// Reads a table whose `name` selects its other keys; returns the name, or `default` if absent, and the other keys.
pub(crate) fn named<'de, D: Deserializer<'de>>(
    default: &str,
    deserializer: D,
) -> Result<(String, toml::Table), D::Error> {
    let mut table = toml::Table::deserialize(deserializer)?;
    match table.remove("name") {
        None => Ok((default.to_owned(), table)),
        Some(toml::Value::String(name)) => Ok((name, table)),
        Some(_) => Err(D::Error::custom("name must be a string")),
    }
}

pub(crate) fn read<T: DeserializeOwned, E: serde::de::Error>(table: toml::Table) -> Result<T, E> {
    table.try_into().map_err(E::custom)
}

/// Makes `name` optional in the schema of the first kind of a table.
pub(crate) fn first_name_is_default(schema: &mut Schema) {
    let first = schema.get_mut("oneOf").and_then(|kinds| kinds.get_mut(0));
    if let Some(required) = first
        .and_then(|kind| kind.get_mut("required"))
        .and_then(|r| r.as_array_mut())
    {
        required.retain(|key| key != "name");
    }
}
