//! Reading of configuration types from TOML.

use serde::de::DeserializeOwned;
use serde_path_to_error::Track;

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
pub fn from_toml<T: DeserializeOwned>(value: toml::Value) -> Result<T, RefusedValue> {
    let mut read = None;
    deserialize(value, &mut |deserializer| {
        read = Some(erased_serde::deserialize(deserializer)?);
        Ok(())
    })?;
    Ok(read.expect("a deserializer without an error has made a value"))
}

/// Hands `read` a deserializer that records the path. Behind a trait object it is compiled once, here, instead of once for each
/// type: half of the code of the tasks would be copies of it.
fn deserialize(
    value: toml::Value,
    read: &mut dyn FnMut(
        &mut dyn erased_serde::Deserializer<'_>,
    ) -> Result<(), erased_serde::Error>,
) -> Result<(), RefusedValue> {
    let mut track = Track::new();
    let tracked = serde_path_to_error::Deserializer::new(value, &mut track);
    let result = read(&mut <dyn erased_serde::Deserializer>::erase(tracked));
    result.map_err(|error| {
        // The text of an error of `toml` ends with a line for each key, which the path says in full.
        let text = error.to_string();
        let message = text.split("\nin `").next().unwrap_or_default();
        RefusedValue {
            path: track.path().to_string(),
            message: message.trim_end().to_owned(),
        }
    })
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
            from_toml::<Point>(toml::Value::Boolean(true))
                .unwrap_err()
                .path,
            "."
        );
    }
}
