//! Held inputs as a user writes them.

use std::path::Path;

use ctrnn_files::npz;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::Unsuitable;

/// Settings of every analysis that holds inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HeldOptions {
    /// Inputs to hold, in place of those of the task's epochs: numbers in the order of the task's inputs, as in `1,0,0.5`,
    /// several inputs separated by semicolons, or a file (.npz or .json) with the array `inputs [K, I]`. Default: those
    /// of each epoch and group of conditions.
    #[serde(deserialize_with = "as_text")]
    pub inputs: String,
    /// Largest number of inputs that are held; of more, those that are held longest in each group. Default: 8 for `flow`
    /// and `low_rank`, which draw them all, otherwise 24.
    pub most_inputs: Option<usize>,
}

/// Deserializes inputs by hand: the text, a number, or lists of numbers, which are written as text.
fn as_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    fn text(value: &Value) -> String {
        match value {
            Value::String(text) => text.clone(),
            Value::Array(items) => {
                let between = if items.iter().any(Value::is_array) {
                    "; "
                } else {
                    ","
                };
                items.iter().map(text).collect::<Vec<_>>().join(between)
            }
            other => other.to_string(),
        }
    }
    Ok(text(&Value::deserialize(deserializer)?))
}

/// Reads the numbers of an input by hand, one row for each input.
pub(super) fn read_rows(text: &str) -> Result<Vec<Vec<f64>>, Unsuitable> {
    let unreadable = |why: String| Unsuitable::lacks(format!("{text:?} cannot be read: {why}"));
    match Path::new(text).extension().and_then(|end| end.to_str()) {
        Some("npz") => rows_of_npz(Path::new(text)).map_err(unreadable),
        Some("json") => rows_of_json(Path::new(text)).map_err(unreadable),
        _ => {
            let number = |word: &str| word.trim().parse().map_err(|_| word.trim().to_owned());
            let row = |row: &str| row.split(',').map(number).collect::<Result<Vec<f64>, _>>();
            let rows: Result<_, String> = text.split(';').map(row).collect();
            rows.map_err(|word| {
                let help = "expected numbers such as \"1,0,0.5\", one for each input, or a file with the ending .npz or .json";
                unreadable(format!("{word:?} is not a number; {help}"))
            })
        }
    }
}

fn rows_of_npz(path: &Path) -> Result<Vec<Vec<f64>>, String> {
    let arrays = npz::read(path).map_err(|error| error.to_string())?;
    let array = arrays.get("inputs").ok_or("it has no array \"inputs\"")?;
    let values = array.to_f64().map_err(|error| error.to_string())?;
    match *array.shape() {
        [_] => Ok(vec![values]),
        [_, n] if n > 0 => Ok(values.chunks_exact(n).map(<[f64]>::to_vec).collect()),
        _ => Err("\"inputs\" must have the shape [K, I] or [I]".to_owned()),
    }
}

fn rows_of_json(path: &Path) -> Result<Vec<Vec<f64>>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let mut json: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    if let Some(inputs) = json.get_mut("inputs") {
        json = inputs.take();
    }
    if let Ok(row) = serde_json::from_value::<Vec<f64>>(json.clone()) {
        return Ok(vec![row]);
    }
    serde_json::from_value(json).map_err(|_| {
        "expected a list of lists of numbers, or an object with it as \"inputs\"".to_owned()
    })
}
