//! Reading of configuration types from TOML.

use std::fmt;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use toml::Value;

/// Error of a TOML value that a type refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedValue {
    /// Path of the value, such as `conditions[2].coh`; `.` is the whole.
    pub path: String,
    /// Reason, such as "unknown variant `x`, expected `y`".
    pub message: String,
}

/// Reads a value of any type from TOML.
///
/// # Errors
/// [`RefusedValue`] for the first value that the type refuses.
pub fn from_toml<T: DeserializeOwned>(value: Value) -> Result<T, RefusedValue> {
    T::deserialize(Source::from(value)).map_err(|refusal| RefusedValue {
        path: refusal.path(),
        message: refusal.message,
    })
}

/// Error with the steps from the refused value to the whole.
#[derive(Debug)]
struct Refusal {
    message: String,
    steps: Vec<Step>,
}

/// Step from a table or an array to a value within it.
#[derive(Debug)]
enum Step {
    Key(String),
    Index(usize),
}

impl Refusal {
    fn within(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for step in self.steps.iter().rev() {
            match step {
                Step::Index(index) => path += &format!("[{index}]"),
                Step::Key(key) if path.is_empty() => path += key,
                Step::Key(key) => path += &format!(".{key}"),
            }
        }
        if path.is_empty() {
            ".".to_owned()
        } else {
            path
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

impl serde::de::Error for Refusal {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            message: message.to_string(),
            steps: Vec::new(),
        }
    }
}

/// Value that a type is read from.
///
/// A type that asks for a number, say, is compiled with the visit of numbers alone. With the deserializer of `toml`, which offers every type
/// whatever there is, and a second one around it for the path, reading was a third of the code of the tasks and of the configuration.
struct Source(Value);

impl From<Value> for Source {
    fn from(value: Value) -> Self {
        match value {
            Value::Datetime(time) => Self(Value::String(time.to_string())),
            value => Self(value),
        }
    }
}

impl Source {
    /// Returns the error of a value of another type than the visitor expects.
    fn refused(&self, expected: &dyn serde::de::Expected) -> Refusal {
        let found = match &self.0 {
            Value::Boolean(x) => Unexpected::Bool(*x),
            Value::Integer(x) => Unexpected::Signed(*x),
            Value::Float(x) => Unexpected::Float(*x),
            Value::String(x) => Unexpected::Str(x),
            Value::Datetime(_) => Unexpected::Other("date or time"), // a string by `From`
            Value::Array(_) => Unexpected::Seq,
            Value::Table(_) => Unexpected::Map,
        };
        Refusal::invalid_type(found, expected)
    }

    fn visit_items<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        let Value::Array(items) = self.0 else {
            return Err(self.refused(&visitor));
        };
        let length = items.len();
        let mut items = Items {
            left: items.into_iter(),
            length,
        };
        let value = visitor.visit_seq(&mut items)?;
        match items.left.len() {
            0 => Ok(value),
            _ => Err(Refusal::invalid_length(length, &"fewer elements in array")),
        }
    }

    fn visit_entries<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        let Value::Table(table) = self.0 else {
            return Err(self.refused(&visitor));
        };
        visitor.visit_map(Entries {
            left: table.into_iter(),
            entry: None,
        })
    }

    fn variant(self) -> Result<Variant, Refusal> {
        match self.0 {
            Value::String(name) => Ok(Variant { name, value: None }),
            Value::Table(table) if table.len() == 1 => {
                let mut entries = table.into_iter();
                let (name, value) = entries.next().expect("the table has one entry");
                Ok(Variant {
                    name,
                    value: Some(value),
                })
            }
            Value::Table(table) => Err(Refusal::custom(format!(
                "wanted exactly 1 element, found {} elements",
                table.len()
            ))),
            other => Err(Self(other).refused(&"a word or a table with one key")),
        }
    }
}

/// Implements the methods that ask for one kind of value, with the visit of each kind that suits.
macro_rules! one_kind {
    ($($method:ident { $($kind:ident => $visit:ident),+ })+) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
            match self.0 {
                $(Value::$kind(value) => visitor.$visit(value),)+
                other => Err(Self(other).refused(&visitor)),
            }
        })+
    };
}

impl<'de> Deserializer<'de> for Source {
    type Error = Refusal;

    one_kind! {
        deserialize_bool { Boolean => visit_bool }
        deserialize_i8 { Integer => visit_i64 }
        deserialize_i16 { Integer => visit_i64 }
        deserialize_i32 { Integer => visit_i64 }
        deserialize_i64 { Integer => visit_i64 }
        deserialize_u8 { Integer => visit_i64 }
        deserialize_u16 { Integer => visit_i64 }
        deserialize_u32 { Integer => visit_i64 }
        deserialize_u64 { Integer => visit_i64 }
        deserialize_f32 { Float => visit_f64, Integer => visit_i64 }
        deserialize_f64 { Float => visit_f64, Integer => visit_i64 }
        deserialize_char { String => visit_string }
        deserialize_str { String => visit_string }
        deserialize_string { String => visit_string }
        deserialize_identifier { String => visit_string }
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self.0 {
            Value::Boolean(value) => visitor.visit_bool(value),
            Value::Integer(value) => visitor.visit_i64(value),
            Value::Float(value) => visitor.visit_f64(value),
            Value::String(value) => visitor.visit_string(value),
            Value::Datetime(value) => visitor.visit_string(value.to_string()),
            Value::Array(_) => self.visit_items(visitor),
            Value::Table(_) => self.visit_entries(visitor),
        }
    }

    // A type that may be absent is `None` where its key is missing.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.visit_items(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.visit_items(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.visit_items(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.visit_entries(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.visit_entries(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_enum(self.variant()?)
    }

    serde::forward_to_deserialize_any! { bytes byte_buf unit unit_struct ignored_any }
}

/// Elements of an array.
struct Items {
    left: std::vec::IntoIter<Value>,
    length: usize,
}

impl<'de> SeqAccess<'de> for Items {
    type Error = Refusal;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Refusal> {
        let index = self.length - self.left.len();
        let Some(value) = self.left.next() else {
            return Ok(None);
        };
        let element = seed.deserialize(Source::from(value));
        element.map(Some).map_err(|e| e.within(Step::Index(index)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.len())
    }
}

/// Keys of a table with their values.
struct Entries {
    left: toml::map::IntoIter<String, Value>,
    /// Entry whose key has been read.
    entry: Option<(String, Value)>,
}

impl<'de> MapAccess<'de> for Entries {
    type Error = Refusal;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Refusal> {
        let Some((key, value)) = self.left.next() else {
            return Ok(None);
        };
        self.entry = Some((key.clone(), value));
        let read = seed.deserialize(Source(Value::String(key.clone())));
        read.map(Some).map_err(|e| e.within(Step::Key(key)))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Refusal> {
        let (key, value) = self.entry.take().expect("a key comes before its value");
        let read = seed.deserialize(Source::from(value));
        read.map_err(|e| e.within(Step::Key(key)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.len())
    }
}

/// Variant of an enum: a word, or a table with the word as its only key.
struct Variant {
    name: String,
    value: Option<Value>,
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = Refusal;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Refusal> {
        let name = seed.deserialize(Source(Value::String(self.name.clone())))?;
        Ok((name, self))
    }
}

impl Variant {
    /// Reads the content of the variant, which is not a word alone.
    fn content<T>(
        self,
        kind: &str,
        read: impl FnOnce(Source) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let Some(value) = self.value else {
            return Err(Refusal::invalid_type(Unexpected::UnitVariant, &kind));
        };
        read(Source::from(value)).map_err(|e| e.within(Step::Key(self.name)))
    }
}

impl<'de> VariantAccess<'de> for Variant {
    type Error = Refusal;

    fn unit_variant(self) -> Result<(), Refusal> {
        match self.value {
            None => Ok(()),
            Some(Value::Table(table)) if table.is_empty() => Ok(()),
            Some(other) => Err(Source::from(other).refused(&"an empty table")),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Refusal> {
        self.content("newtype variant", |source| seed.deserialize(source))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Refusal> {
        self.content("tuple variant", |source| source.visit_items(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.content("struct variant", |source| source.visit_entries(visitor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Point {
        x: f64,
        y: Option<u8>,
    }

    type Points = BTreeMap<String, Vec<Point>>;

    #[test]
    fn an_error_has_the_path_and_the_reason_without_the_key() {
        let read = |text: &str| from_toml::<Points>(toml::from_str(text).unwrap());
        assert_eq!(read("a = [{ x = 1.5 }]").unwrap()["a"][0].x, 1.5);
        let refused = read("a = [{ x = 1 }, { x = \"left\" }]").unwrap_err();
        assert_eq!(refused.path, "a[1].x");
        assert_eq!(
            refused.message,
            "invalid type: string \"left\", expected f64"
        );
        let refused = read("a = [{ x = 1, z = 2 }]").unwrap_err();
        assert_eq!(refused.message, "unknown field `z`, expected `x` or `y`");
        let refused = read("a = [{ x = 1, y = 300 }]").unwrap_err();
        assert_eq!(refused.path, "a[0].y");
        assert_eq!(
            from_toml::<Point>(Value::Boolean(true)).unwrap_err().path,
            "."
        );
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Shape {
        Flat,
        Scaled(f32),
        Box { sides: [u8; 2] },
    }

    #[track_caller]
    fn assert_refused(text: &str, path: &str, message: &str) {
        let refused = from_toml::<BTreeMap<String, Shape>>(toml::from_str(text).unwrap());
        let RefusedValue {
            path: found,
            message: reason,
        } = refused.unwrap_err();
        assert_eq!((found.as_str(), reason.as_str()), (path, message));
    }

    #[test]
    fn enums_are_words_or_tables_of_one_key() {
        let text =
            "a = \"flat\"\nb = { scaled = 2 }\nc = { box = { sides = [1, 2] } }\nd = { flat = {} }";
        let read: BTreeMap<String, Shape> = from_toml(toml::from_str(text).unwrap()).unwrap();
        let expected = [
            Shape::Flat,
            Shape::Scaled(2.0),
            Shape::Box { sides: [1, 2] },
            Shape::Flat,
        ];
        assert!(read.values().eq(&expected), "{read:?}");
        let variants = "expected one of `flat`, `scaled`, `box`";
        assert_refused(
            "a = \"round\"",
            "a",
            &format!("unknown variant `round`, {variants}"),
        );
        assert_refused(
            "a = 1",
            "a",
            "invalid type: integer `1`, expected a word or a table with one key",
        );
        assert_refused("a = {}", "a", "wanted exactly 1 element, found 0 elements");
        assert_refused(
            "a = \"box\"",
            "a",
            "invalid type: unit variant, expected struct variant",
        );
        assert_refused(
            "a = { scaled = true }",
            "a.scaled",
            "invalid type: boolean `true`, expected f32",
        );
        assert_refused(
            "a = { flat = 1 }",
            "a",
            "invalid type: integer `1`, expected an empty table",
        );
        assert_refused(
            "a = { box = [1, 2] }",
            "a.box",
            "invalid type: sequence, expected struct variant Shape::Box",
        );
        let sides = "a.box.sides";
        assert_refused(
            "a = { box = { sides = [1] } }",
            sides,
            "invalid length 1, expected an array of length 2",
        );
        assert_refused(
            "a = { box = { sides = [1, 2, 3] } }",
            sides,
            "invalid length 3, expected fewer elements in array",
        );
        assert_refused(
            "a = { box = { sides = [1, -2] } }",
            "a.box.sides[1]",
            "invalid value: integer `-2`, expected u8",
        );
    }
}
