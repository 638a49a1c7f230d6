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

/// Writes a list of one number.
impl ToArray for f64 {
    fn to_array(&self) -> Array {
        [*self][..].to_array()
    }
}
