//! Tables as columns, and how they are written: as CSV and as Parquet.

use ctrnn_files::{Column, parquet_bytes};

/// Table of named columns with as many cells each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColumnTable(Vec<(String, Cells)>);

/// Cells of a column; `None` is a missing one.
#[derive(Clone, Debug, PartialEq)]
pub enum Cells {
    /// Texts.
    Texts(Vec<Option<String>>),
    /// Values of a key as TOML has them. In Parquet they have the narrowest type that holds all of them.
    Settings(Vec<Option<String>>),
    /// Real numbers.
    Numbers(Vec<Option<f64>>),
    /// Whole numbers.
    Counts(Vec<Option<u64>>),
}

impl ColumnTable {
    /// Appends a column.
    pub fn put(&mut self, name: &str, cells: Cells) {
        self.0.push((name.to_owned(), cells));
    }

    /// Returns the table as CSV with a line of names.
    pub fn csv(&self) -> String {
        let names: Vec<String> = self.0.iter().map(|(name, _)| name.clone()).collect();
        let columns: Vec<Vec<String>> = self.0.iter().map(|(_, cells)| cells.texts()).collect();
        let n_rows = columns.first().map_or(0, Vec::len);
        let row = |i: usize| line(columns.iter().map(|column| column[i].as_str()));
        let rows: String = (0..n_rows).map(row).collect();
        line(names.iter().map(String::as_str)) + &rows
    }

    /// Returns the table as the bytes of a Parquet file.
    pub fn parquet(&self) -> Vec<u8> {
        let column = |(name, cells): &(String, Cells)| (name.clone(), cells.typed());
        parquet_bytes(&self.0.iter().map(column).collect::<Vec<_>>())
    }
}

impl Cells {
    fn texts(&self) -> Vec<String> {
        match self {
            Self::Texts(cells) => texts(cells, String::clone),
            Self::Settings(cells) => texts(cells, |value| without_quotes(value).to_owned()),
            Self::Numbers(cells) => texts(cells, f64::to_string),
            Self::Counts(cells) => texts(cells, u64::to_string),
        }
    }

    fn typed(&self) -> Column {
        match self {
            Self::Texts(cells) => Column::Texts(cells.clone()),
            Self::Settings(cells) => typed(cells),
            Self::Numbers(cells) => Column::Floats(cells.clone()),
            Self::Counts(cells) => {
                let whole = |n: &Option<u64>| n.and_then(|n| i64::try_from(n).ok());
                Column::Integers(cells.iter().map(whole).collect())
            }
        }
    }
}

/// Returns the text of each cell; that of a missing one is empty.
fn texts<T>(cells: &[Option<T>], text: impl Fn(&T) -> String) -> Vec<String> {
    let cell = |cell: &Option<T>| cell.as_ref().map_or(String::new(), &text);
    cells.iter().map(cell).collect()
}

/// Returns values of TOML as whole numbers if all are, otherwise as real numbers, truth values or texts.
fn typed(cells: &[Option<String>]) -> Column {
    let value = |cell: &Option<String>| cell.as_deref().map(parsed);
    let values: Vec<Option<toml::Value>> = cells.iter().map(value).collect();
    let real = |value: &toml::Value| match value {
        toml::Value::Integer(number) => Some(*number as f64),
        other => other.as_float(),
    };
    let texts = || {
        let text = |cell: &Option<String>| Some(without_quotes(cell.as_ref()?).to_owned());
        Column::Texts(cells.iter().map(text).collect())
    };
    let whole = all(&values, toml::Value::as_integer).map(Column::Integers);
    whole
        .or_else(|| all(&values, real).map(Column::Floats))
        .or_else(|| all(&values, toml::Value::as_bool).map(Column::Booleans))
        .unwrap_or_else(texts)
}

/// Returns the values as `get` gives them, if it gives all that are not missing.
fn all<T>(
    values: &[Option<toml::Value>],
    get: impl Fn(&toml::Value) -> Option<T>,
) -> Option<Vec<Option<T>>> {
    let got = |value: &Option<toml::Value>| match value {
        Some(value) => get(value).map(Some),
        None => Some(None),
    };
    values.iter().map(got).collect()
}

/// Returns a value as TOML reads it; a text that it does not read is a string.
fn parsed(text: &str) -> toml::Value {
    let document = format!("value = {text}").parse::<toml::Table>();
    let value = document.ok().and_then(|mut table| table.remove("value"));
    value.unwrap_or_else(|| toml::Value::String(text.to_owned()))
}

/// Returns the text of a value, without the quotes of a string.
pub fn without_quotes(value: &str) -> &str {
    let inner = value
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    inner.unwrap_or(value)
}

/// Returns a line of CSV (RFC 4180). A text that a spreadsheet would take for a formula gets an apostrophe.
fn line<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    let cell = |text: &str| {
        let is_number = text.parse::<f64>().is_ok();
        let is_formula = text.starts_with(['=', '+', '-', '@']) && !is_number;
        let text = if is_formula {
            format!("'{text}")
        } else {
            text.to_owned()
        };
        if text.contains(['"', ',', '\n', '\r']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text
        }
    };
    cells.map(cell).collect::<Vec<_>>().join(",") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted() {
        let cells = ["a,b", "say \"x\"", "=1+1", "-0.5", ""];
        assert_eq!(
            line(cells.into_iter()),
            "\"a,b\",\"say \"\"x\"\"\",'=1+1,-0.5,\n"
        );
    }

    #[test]
    fn settings_have_the_narrowest_type() {
        let typed = |cells: &[&str]| {
            let cell = |text: &&str| (!text.is_empty()).then(|| (*text).to_owned());
            typed(&cells.iter().map(cell).collect::<Vec<_>>())
        };
        assert_eq!(
            typed(&["64", "", "1_000"]),
            Column::Integers(vec![Some(64), None, Some(1000)])
        );
        assert_eq!(
            typed(&["1e-3", "1", ""]),
            Column::Floats(vec![Some(0.001), Some(1.0), None])
        );
        assert_eq!(
            typed(&["true", "false"]),
            Column::Booleans(vec![Some(true), Some(false)])
        );
        let texts = |texts: &[&str]| {
            Column::Texts(texts.iter().map(|text| Some((*text).to_owned())).collect())
        };
        // A string of digits is a string, a list has the text that TOML has, and so have values of several types.
        assert_eq!(typed(&["\"5\"", "\"last\""]), texts(&["5", "last"]));
        assert_eq!(typed(&["[0.1, 0.2]"]), texts(&["[0.1, 0.2]"]));
        assert_eq!(typed(&["true", "1"]), texts(&["true", "1"]));
    }
}
