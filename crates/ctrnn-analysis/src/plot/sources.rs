//! Search for the numbers of a figure in the arrays of an analysis, so that a script refers to them by name.

use std::collections::HashMap;

use ctrnn_files::{Array, ArrayData};

use crate::Arrays;

/// Smallest number of values that are referred to by name; fewer are written out.
const SHORTEST: usize = 10;
/// Largest number of slices of one array that are searched.
const MOST_SLICES: usize = 300_000;
/// Largest number of slices with the same beginning that are compared.
const MOST_ALIKE: usize = 48;

/// Arrays of an analysis, and those that its figures need in addition.
pub(crate) struct Sources {
    known: Vec<Known>,
    slices: HashMap<[u64; 2], Vec<Slice>>,
    /// Arrays that were added, with their names.
    pub added: Vec<(String, Array)>,
}

struct Known {
    name: String,
    shape: Vec<usize>,
    values: Vec<f64>,
}

/// Values along one dimension of an array.
#[derive(Clone, Copy)]
struct Slice {
    array: usize,
    axis: usize,
    start: usize,
    stride: usize,
    len: usize,
}

/// Entries of a matrix by row and column.
type Entries<'a> = &'a dyn Fn(usize, usize) -> f64;

impl Sources {
    /// Indexes arrays of numbers with one to three dimensions.
    pub fn new(arrays: &Arrays) -> Self {
        let mut sources = Self {
            known: Vec::new(),
            slices: HashMap::new(),
            added: Vec::new(),
        };
        // Vectors are found before rows and columns.
        for rank in 1..=3 {
            for (name, array) in arrays.iter().filter(|(_, a)| a.shape().len() == rank) {
                if let (ArrayData::F64(_) | ArrayData::I64(_), Ok(values)) =
                    (array.data(), array.to_f64())
                {
                    sources.learn(name, array.shape(), values);
                }
            }
        }
        sources
    }

    fn learn(&mut self, name: &str, shape: &[usize], values: Vec<f64>) {
        let array = self.known.len();
        for axis in (0..shape.len()).rev() {
            let len = shape[axis];
            let stride: usize = shape[axis + 1..].iter().product();
            let outer: usize = shape[..axis].iter().product();
            if len < 2 || outer * stride > MOST_SLICES {
                continue;
            }
            for k in 0..outer * stride {
                let start = k / stride * stride * len + k % stride;
                let key = [start, start + stride].map(|at| values[at].to_bits());
                let alike = self.slices.entry(key).or_default();
                if alike.len() < MOST_ALIKE {
                    alike.push(Slice {
                        array,
                        axis,
                        start,
                        stride,
                        len,
                    });
                }
            }
        }
        self.known.push(Known {
            name: name.to_owned(),
            shape: shape.to_vec(),
            values,
        });
    }

    /// Returns an expression for values if it is short: a list of a few, evenly spaced ones, or a part of a known array.
    pub fn expression(&self, values: &[f64]) -> Option<String> {
        if values.len() < SHORTEST {
            let list: Vec<String> = values.iter().map(|x| number(*x)).collect();
            return Some(format!("[{}]", list.join(", ")));
        }
        let is_constant = values.iter().all(|x| *x == values[0]);
        let found = if is_constant { None } else { self.find(values) };
        found.or_else(|| evenly_spaced(values))
    }

    /// Returns an expression for values; those of no known array are added under this name.
    pub fn vector(&mut self, values: &[f64], name: impl FnOnce() -> String) -> String {
        if let Some(known) = self.expression(values) {
            return known;
        }
        let name = name();
        let array = Array::f64(&[values.len()], values.to_vec());
        self.learn(&name, &[values.len()], values.to_vec());
        self.added.push((name.clone(), array));
        entry(&name)
    }

    fn find(&self, values: &[f64]) -> Option<String> {
        let key = [values[0], values[1]].map(f64::to_bits);
        let is_equal = |slice: &&Slice| {
            let found = &self.known[slice.array].values;
            let at = |k: usize| found[slice.start + k * slice.stride].to_bits();
            slice.len >= values.len()
                && (values.iter().enumerate()).all(|(k, value)| at(k) == value.to_bits())
        };
        let slice = self.slices.get(&key)?.iter().find(is_equal)?;
        Some(self.written(slice, values.len()))
    }

    /// Returns the first `n` values of a slice as Python writes them.
    fn written(&self, slice: &Slice, n: usize) -> String {
        let Known { name, shape, .. } = &self.known[slice.array];
        let mut index = Vec::new();
        let mut rest = slice.start;
        for (k, _) in shape.iter().enumerate() {
            let stride: usize = shape[k + 1..].iter().product();
            index.push(if k == slice.axis {
                if n == slice.len {
                    ":".to_owned()
                } else {
                    format!(":{n}")
                }
            } else {
                (rest / stride).to_string()
            });
            rest %= stride.max(1);
        }
        while index.last().is_some_and(|last| last == ":") {
            index.pop();
        }
        if index.is_empty() {
            entry(name)
        } else {
            format!("{}[{}]", entry(name), index.join(", "))
        }
    }

    /// Returns an expression for a matrix of so many columns; one that is no known array, part of one, or one with
    /// another order of its rows or columns, is added under this name.
    pub fn matrix(
        &mut self,
        values: &[f64],
        columns: usize,
        name: impl FnOnce() -> String,
    ) -> String {
        let rows = values.len() / columns.max(1);
        if let Some(known) = self.known_matrix(values, [rows, columns]) {
            return known;
        }
        let name = name();
        let array = Array::f64(&[rows, columns], values.to_vec());
        self.learn(&name, &[rows, columns], values.to_vec());
        self.added.push((name.clone(), array));
        entry(&name)
    }

    fn known_matrix(&self, values: &[f64], [rows, columns]: [usize; 2]) -> Option<String> {
        let is_equal = |at: &dyn Fn(usize, usize) -> f64| {
            (0..rows * columns)
                .all(|k| at(k / columns, k % columns).to_bits() == values[k].to_bits())
        };
        let expression = |known: &Known| {
            let (data, all) = (entry(&known.name), &known.values);
            match known.shape[..] {
                [m, n] => {
                    let suffix = self.order_of(all, [m, n], [rows, columns], &is_equal)?;
                    Some(format!("{data}{suffix}"))
                }
                [outer, m, n] if [m, n] == [rows, columns] => {
                    let whole = m * n;
                    let found = (0..outer).find(|k| is_equal(&|i, j| all[k * whole + i * n + j]));
                    found.map(|k| format!("{data}[{k}]"))
                }
                _ => None,
            }
        };
        self.known.iter().find_map(expression)
    }

    /// Returns the index that turns a known matrix of `m` rows and `n` columns into the wanted one of the shape
    /// `wanted`: none, a transposition, or a known order of its rows or columns.
    fn order_of(
        &self,
        known: &[f64],
        [m, n]: [usize; 2],
        wanted: [usize; 2],
        is_equal: &dyn Fn(Entries) -> bool,
    ) -> Option<String> {
        let (is_same, is_turned) = ([m, n] == wanted, [n, m] == wanted);
        if is_same && is_equal(&|i, j| known[i * n + j]) {
            return Some(String::new());
        }
        if is_turned && is_equal(&|i, j| known[j * n + i]) {
            return Some(".T".to_owned());
        }
        self.orders().find_map(|(name, order)| {
            let at = |k: usize| order[k] as usize;
            let name = entry(name);
            if is_same && order.len() == m && is_equal(&|i, j| known[at(i) * n + j]) {
                return Some(format!("[{name}]"));
            }
            let is_ordered =
                is_turned && order.len() == n && is_equal(&|i, j| known[j * n + at(i)]);
            is_ordered.then(|| format!("[:, {name}].T"))
        })
    }

    /// Returns the known permutations, such as an order of units.
    fn orders(&self) -> impl Iterator<Item = (&str, &[f64])> {
        let is_permutation = |known: &&Known| {
            let mut seen = vec![false; known.values.len()];
            known.shape.len() == 1
                && known.values.iter().all(|x| {
                    let at = x.fract() == 0.0 && *x >= 0.0 && (*x as usize) < seen.len();
                    at && !std::mem::replace(&mut seen[*x as usize], true)
                })
        };
        let orders = self.known.iter().filter(is_permutation);
        orders.map(|known| (&known.name[..], &known.values[..]))
    }
}

/// Returns the expression for an array of the npz file.
fn entry(name: &str) -> String {
    format!("data[{}]", text(name))
}

/// Returns an expression for evenly spaced values.
fn evenly_spaced(values: &[f64]) -> Option<String> {
    let [first, last] = [values[0], values[values.len() - 1]];
    let step = (last - first) / (values.len() - 1) as f64;
    let tolerance = 1e-9 * f64::max(first.abs(), last.abs());
    let is_even = |(k, x): (usize, &f64)| (first + k as f64 * step - x).abs() <= tolerance;
    let finite = first.is_finite() && last.is_finite();
    if !finite || !values.iter().enumerate().all(is_even) {
        return None;
    }
    let n = values.len();
    Some(if step == 0.0 {
        format!("np.full({n}, {})", number(first))
    } else {
        format!("np.linspace({}, {}, {n})", number(first), number(last))
    })
}

/// Writes a number in Python, with twelve digits.
pub(super) fn number(x: f64) -> String {
    if x.is_nan() {
        return "np.nan".to_owned();
    }
    if x.is_infinite() {
        return if x > 0.0 { "np.inf" } else { "-np.inf" }.to_owned();
    }
    let rounded: f64 = format!("{x:.12e}").parse().unwrap_or(x);
    let text = format!("{rounded:?}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// Writes a text in Python.
pub(super) fn text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, Array3};

    fn values(n: usize, phase: f64) -> Vec<f64> {
        (0..n).map(|k| (k as f64 * 0.7 + phase).sin()).collect()
    }

    #[test]
    fn numbers_are_found_where_they_are() {
        let table = Array2::from_shape_fn((12, 10), |(i, j)| ((i * 10 + j) as f64).sin());
        let cube =
            Array3::from_shape_fn((3, 12, 9), |(i, j, k)| ((i * 108 + j * 9 + k) as f64).cos());
        let order: Vec<usize> = (0..12).map(|k| (5 * k) % 12).collect();
        let arrays = Arrays::default()
            .with("t_ms", &values(20, 0.0))
            .with("table", &table)
            .with("cube", &cube)
            .with("order", &order);
        let mut sources = Sources::new(&arrays);
        let mut vector = |values: &[f64]| sources.vector(values, || "figure.0.0.x".to_owned());
        assert_eq!(vector(&values(20, 0.0)), r#"data["t_ms"]"#);
        assert_eq!(vector(&values(12, 0.0)), r#"data["t_ms"][:12]"#);
        assert_eq!(vector(&table.row(3).to_vec()), r#"data["table"][3]"#);
        assert_eq!(vector(&table.column(4).to_vec()), r#"data["table"][:, 4]"#);
        let along = cube.slice(ndarray::s![2, ..10, 5]).to_vec();
        assert_eq!(vector(&along), r#"data["cube"][2, :10, 5]"#);
        assert_eq!(vector(&[1.0, 0.5]), "[1, 0.5]");
        let even: Vec<f64> = (0..10).map(|k| 0.1 * f64::from(k)).collect();
        assert_eq!(vector(&even), "np.linspace(0, 0.9, 10)");
        assert_eq!(vector(&[2.5; 10]), "np.full(10, 2.5)");
        assert_eq!(vector(&values(11, 9.0)), r#"data["figure.0.0.x"]"#);
        assert_eq!(vector(&values(10, 9.0)), r#"data["figure.0.0.x"][:10]"#);
        assert_eq!(sources.added.len(), 1);

        let mut matrix = |m: &Array2<f64>| {
            let flat: Vec<f64> = m.iter().copied().collect();
            sources.matrix(&flat, m.ncols(), || "figure.1.0.values".to_owned())
        };
        assert_eq!(matrix(&table), r#"data["table"]"#);
        assert_eq!(matrix(&table.t().to_owned()), r#"data["table"].T"#);
        let sorted = table.select(ndarray::Axis(0), &order);
        assert_eq!(matrix(&sorted), r#"data["table"][data["order"]]"#);
        let layer = cube.index_axis(ndarray::Axis(0), 1).to_owned();
        assert_eq!(matrix(&layer), r#"data["cube"][1]"#);
        assert_eq!(matrix(&(&table + 1.0)), r#"data["figure.1.0.values"]"#);
    }

    #[test]
    fn python_reads_what_is_written() {
        let numbers = [0.1, -3.0, 1e-9, 1e300, f64::NAN, f64::NEG_INFINITY].map(number);
        assert_eq!(numbers, ["0.1", "-3", "1e-9", "1e300", "np.nan", "-np.inf"]);
        assert_eq!(text("a \"b\"\n\\ τ"), r#""a \"b\"\n\\ τ""#);
    }
}
