//! Named arrays, as written to npz files.

use std::collections::BTreeMap;
use std::ops::Deref;

use ctrnn_files::Array;
use ndarray::Dimension;

/// Named arrays: the content of an npz file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arrays(BTreeMap<String, Array>);

impl Arrays {
    /// Adds an array.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, values: &(impl ToArray + ?Sized)) -> Self {
        self.0.insert(name.into(), values.to_array());
        self
    }

    /// Adds arrays whose names are not in use.
    pub(crate) fn add_missing(&mut self, arrays: impl IntoIterator<Item = (String, Array)>) {
        for (name, array) in arrays {
            self.0.entry(name).or_insert(array);
        }
    }

    /// Adds arrays.
    pub fn extend(&mut self, arrays: impl IntoIterator<Item = (String, Array)>) {
        self.0.extend(arrays);
    }
}

impl Deref for Arrays {
    type Target = BTreeMap<String, Array>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// Documentation of an array of an npz file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArrayDoc {
    /// Name; `{}` represents a number or a label.
    pub name: &'static str,
    /// Meaning of each axis, such as `[point, unit]`.
    pub shape: &'static str,
    /// Unit of the values; empty for numbers without a unit.
    pub unit: &'static str,
    /// Meaning of the values.
    pub meaning: &'static str,
}

/// Documentation of the numbers that only a figure has, which its script reads.
pub const FIGURE_ARRAYS: &[ArrayDoc] = &[
    ArrayDoc {
        name: "figure{}.{}.{}.{}",
        shape: "[point]",
        unit: "",
        meaning: "numbers of one layer of a figure: suffix of the figure, panel and layer from 0, coordinate; read by its script",
    },
    ArrayDoc {
        name: "figure{}.{}.{}.values",
        shape: "[row, column]",
        unit: "",
        meaning: "matrix of one layer of a figure; read by its script",
    },
];

/// Documentation of the array that documents the others.
pub const README: ArrayDoc = ArrayDoc {
    name: "readme",
    shape: "[line]",
    unit: "",
    meaning: "one line about each array of this file",
};

impl ArrayDoc {
    /// Creates the documentation of an array.
    pub const fn new(
        name: &'static str,
        shape: &'static str,
        unit: &'static str,
        meaning: &'static str,
    ) -> Self {
        Self {
            name,
            shape,
            unit,
            meaning,
        }
    }

    /// Returns true if this documents the array of a name: `{}` represents any text.
    pub fn is_of(&self, name: &str) -> bool {
        let mut parts = self.name.split("{}");
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else {
            return false;
        };
        let parts: Vec<&str> = parts.collect();
        let Some((last, between)) = parts.split_last() else {
            return rest.is_empty();
        };
        for part in between {
            match rest.split_once(part) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
        rest.ends_with(last)
    }

    /// Returns the number of axes.
    pub fn rank(&self) -> usize {
        let axes = self.shape.trim_matches(['[', ']']);
        axes.split(',').filter(|axis| !axis.trim().is_empty()).count()
    }

    /// Returns true if one of the axes has this name.
    pub fn has_axis(&self, name: &str) -> bool {
        let mut axes = self.shape.trim_matches(['[', ']']).split(',');
        axes.any(|axis| axis.trim() == name)
    }

    /// Returns a line about the array.
    pub fn line(&self) -> String {
        let unit = match self.unit {
            "" => String::new(),
            unit => format!(" ({unit})"),
        };
        format!("{} {}{unit}: {}", self.name, self.shape, self.meaning)
    }
}

/// Returns a list of lines about arrays: those of `docs` that document an array.
pub fn readme<'a>(names: &[&str], docs: impl IntoIterator<Item = &'a ArrayDoc>) -> Array {
    let documented = docs.into_iter().filter(|doc| names.iter().any(|name| doc.is_of(name)));
    let lines: Vec<String> = documented.map(ArrayDoc::line).collect();
    Array::texts(lines)
}

/// Trait of values that can be written as an array.
pub trait ToArray {
    /// Converts the values to an array of a file.
    fn to_array(&self) -> Array;
}

impl<D: Dimension> ToArray for ndarray::Array<f64, D> {
    fn to_array(&self) -> Array {
        Array::f64(self.shape(), self.iter().copied().collect())
    }
}

impl ToArray for [f64] {
    fn to_array(&self) -> Array {
        Array::f64(&[self.len()], self.to_vec())
    }
}

impl ToArray for Vec<f64> {
    fn to_array(&self) -> Array {
        self[..].to_array()
    }
}

/// Writes indices and counts.
impl ToArray for Vec<usize> {
    fn to_array(&self) -> Array {
        let values = self.iter().map(|&x| x as i64).collect();
        Array::i64(&[self.len()], values)
    }
}

/// Writes texts, such as names.
impl ToArray for Vec<String> {
    fn to_array(&self) -> Array {
        Array::texts(self.iter().cloned())
    }
}

/// Writes a list of one number.
impl ToArray for f64 {
    fn to_array(&self) -> Array {
        [*self][..].to_array()
    }
}
