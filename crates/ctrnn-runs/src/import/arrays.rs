//! Arrays of a file, removed one by one, so that unused arrays are noticed.

use std::collections::BTreeMap;

use ctrnn_files::{Array, ArrayData};

/// Arrays of a file by name. Errors are sentences; the caller adds the path.
pub struct Arrays(BTreeMap<String, Array>);

/// A matrix `[rows, columns]`, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixOf {
    pub rows: usize,
    pub columns: usize,
    pub values: Vec<f64>,
}

impl Arrays {
    pub fn new(arrays: BTreeMap<String, Array>) -> Self {
        Self(arrays)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Removes an array, which may be absent.
    pub fn take(&mut self, name: &str) -> Option<Array> {
        self.0.remove(name)
    }

    /// Removes an array, which must be present.
    pub fn need(&mut self, name: &str) -> Result<Array, String> {
        let present = self.present();
        self.take(name)
            .ok_or(format!("has no array {name}; {present}"))
    }

    /// Lists the arrays that are present: "it has: a, b, c".
    pub fn present(&self) -> String {
        let names: Vec<&str> = self.names().take(20).collect();
        if names.is_empty() {
            "it has no arrays".to_owned()
        } else {
            format!("it has: {}", names.join(", "))
        }
    }

    /// Removes the prefix of the name `end`, such as `module.`, `_orig_mod.` or the name of the network in a larger
    /// one, from it and from all names with the same prefix. Other names stay unchanged.
    pub fn without_prefix(&mut self, end: &str) -> Option<String> {
        let prefixes = self.names().filter_map(|name| name.strip_suffix(end));
        let prefixes: Vec<String> = prefixes.map(str::to_owned).collect();
        let [prefix] = <[String; 1]>::try_from(prefixes).ok()?;
        let arrays = std::mem::take(&mut self.0).into_iter();
        let shorter = |name: String| match name.strip_prefix(&prefix) {
            Some(rest) => rest.to_owned(),
            None => name,
        };
        self.0 = arrays.map(|(name, array)| (shorter(name), array)).collect();
        (!prefix.is_empty()).then_some(prefix)
    }

    /// Removes `W_in`, `W_rc` and `W_out`, whose shapes must fit together.
    pub fn matrices(&mut self, names: [&str; 3]) -> Result<[MatrixOf; 3], String> {
        let [w_in, w_rc, w_out] = names;
        let recurrent = self.matrix(w_rc)?;
        let n = recurrent.rows;
        recurrent.expect(w_rc, n, n)?;
        let input = self.matrix(w_in)?;
        input.expect(w_in, n, input.columns)?;
        let output = self.matrix(w_out)?;
        output.expect(w_out, output.rows, n)?;
        Ok([input, recurrent, output])
    }

    pub fn matrix(&mut self, name: &str) -> Result<MatrixOf, String> {
        let array = self.need(name)?;
        let [rows, columns] = array.shape()[..] else {
            return Err(format!(
                "{name} has shape {:?}, but must be a matrix",
                array.shape()
            ));
        };
        let values = values(name, &array)?;
        Ok(MatrixOf {
            rows,
            columns,
            values,
        })
    }

    /// Removes a vector of length `len`; returns zeros if it is absent.
    pub fn vector_or_zero(&mut self, name: &str, len: usize) -> Result<Vec<f64>, String> {
        if self.contains(name) {
            self.vector(name, len)
        } else {
            Ok(vec![0.0; len])
        }
    }

    pub fn vector(&mut self, name: &str, len: usize) -> Result<Vec<f64>, String> {
        let array = self.need(name)?;
        if array.shape() != [len] {
            return Err(format!(
                "{name} has shape {:?}, but must have [{len}]",
                array.shape()
            ));
        }
        values(name, &array)
    }

    /// Checks that no array is unused, because it would be missing from the network.
    pub fn nothing_left(&self, of: &str) -> Result<(), String> {
        let left: Vec<&str> = self.names().take(20).collect();
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("holds what no {of} has: {}", left.join(", ")))
        }
    }
}

impl MatrixOf {
    /// Checks the shape of the matrix against that implied by other arrays.
    pub fn expect(&self, name: &str, rows: usize, columns: usize) -> Result<(), String> {
        if (self.rows, self.columns) == (rows, columns) {
            Ok(())
        } else {
            Err(format!(
                "{name} has shape [{}, {}], but must have [{rows}, {columns}]",
                self.rows, self.columns
            ))
        }
    }

    pub fn identity(n: usize) -> Self {
        let values = (0..n * n).map(|k| f64::from(k / n == k % n)).collect();
        Self {
            rows: n,
            columns: n,
            values,
        }
    }

    pub fn into_array(self) -> Array {
        Array::f64(&[self.rows, self.columns], self.values)
    }
}

/// Converts a vector to an array.
pub fn vector_array(values: Vec<f64>) -> Array {
    Array::f64(&[values.len()], values)
}

/// Returns the values of an array; all must be finite in single precision, in which networks compute.
fn values(name: &str, array: &Array) -> Result<Vec<f64>, String> {
    if !matches!(array.data(), ArrayData::F32(_) | ArrayData::F64(_)) {
        return Err(format!(
            "{name} holds {:?}, but weights are floating point numbers",
            array.data().dtype()
        ));
    }
    if let Some(index) = array.first_nonfinite() {
        return Err(format!(
            "{name} holds NaN or an infinity at flat index {index}"
        ));
    }
    let values = array.to_f64().map_err(|error| format!("{name}: {error}"))?;
    match values.iter().position(|x| !(*x as f32).is_finite()) {
        None => Ok(values),
        Some(index) => Err(format!(
            "{name} holds {:e} at flat index {index}, which single precision (f32) does not hold",
            values[index]
        )),
    }
}

/// Adds two vectors of equal length.
pub fn sum(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}
