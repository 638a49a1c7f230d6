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

/// Reads the keys besides the name into the type of the table.
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

/// Declares an enum of tables whose key `name` selects the other keys: each variant with its table and its name. The title is that of its
/// schema; messages say that an unknown name is not the noun; `with` lists keys that every table has. The name of the default variant,
/// which is the first, may be left out.
macro_rules! tables {
    (
        $(#[$meta:meta])*
        $visibility:vis enum $name:ident: $title:literal, $noun:literal $variants:tt
        with { $( $(#[$key_meta:meta])* $key:ident: $type:ty, )* }
    ) => {
        tables! { @enum [$(#[$meta])*] $visibility $name: $title, $noun $variants }
        impl $name {
            $( tables! { @key [$(#[$key_meta])*] $visibility $key: $type, $variants } )*
        }
    };
    (
        @enum [$(#[$meta:meta])*] $visibility:vis $name:ident: $title:literal, $noun:literal
        { $( $(#[$variant_meta:meta])* $variant:ident($table:ident) = $word:literal, )+ }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, schemars::JsonSchema)]
        #[serde(tag = "name")]
        #[schemars(title = $title, transform = $crate::named::first_name_is_default)]
        $visibility enum $name {
            $( $(#[$variant_meta])* #[serde(rename = $word)] $variant($table), )+
        }

        impl $name {
            /// Returns the name used in configurations.
            $visibility const fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $word,)+
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let (name, rest) = $crate::named::named(Self::default().name(), deserializer)?;
                match name.as_str() {
                    $($word => $crate::named::read(rest).map(Self::$variant),)+
                    _ => Err(serde::de::Error::custom(format!(concat!("{:?} is not ", $noun), name))),
                }
            }
        }
    };
    (
        @key [$(#[$meta:meta])*] $visibility:vis $key:ident: $type:ty,
        { $( $(#[$variant_meta:meta])* $variant:ident($table:ident) = $word:literal, )+ }
    ) => {
        $(#[$meta])*
        $visibility const fn $key(&self) -> $type {
            match self {
                $(Self::$variant(table) => table.$key,)+
            }
        }
    };
}
pub(crate) use tables;
