//! Named arrays, as written to npz files.

use std::collections::BTreeMap;
use std::ops::Deref;

use ctrnn_files::{Array, ArrayData};
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

    /// Adds a table of texts, row by row.
    #[must_use]
    pub(crate) fn with_texts(mut self, name: &str, shape: [usize; 2], texts: Vec<String>) -> Self {
        let array = Array::new(&shape, ArrayData::Text(texts));
        self.0.insert(name.to_owned(), array);
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
        name: "figure{}.{}.{}.values",
        shape: "[row, column]",
        unit: "",
        meaning: "matrix of one layer of a figure; read by its script",
    },
    ArrayDoc {
        name: "figure{}.{}.{}.{}",
        shape: "[point]",
        unit: "",
        meaning: "numbers of one layer of a figure: suffix of the figure, panel and layer from 0, coordinate; read by its script",
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
        axes.split(',')
            .filter(|axis| !axis.trim().is_empty())
            .count()
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

/// Returns a list of lines about arrays, those of `docs` that document one of them, and about the list itself.
pub fn readme<'a>(names: &[&str], docs: impl IntoIterator<Item = &'a ArrayDoc>) -> Array {
    let documented = docs
        .into_iter()
        .filter(|doc| names.iter().any(|name| doc.is_of(name)));
    let lines: Vec<String> = documented.chain([&README]).map(ArrayDoc::line).collect();
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{ANALYSES, POPULATION_ANALYSES, POPULATION_ARRAYS, STATES_ARRAYS, TRIAL_ARRAYS};

    const INTRODUCTION: &str = "# Arrays

All arrays of `states.npz` (`simulate`) and of the files of `analyze` and `plot`: name, axes, unit, meaning. In a name, `{}` represents a number or a
label. Trials, time steps, units, inputs, outputs and groups are numbered from 0; index k of a time axis is the state after time step k. Every file
describes its own arrays, too:

```python
import numpy as np
data = np.load(\"pca.npz\")
print(*data[\"readme\"], sep=\"\\n\")
```

A trial ends after `n_steps[trial]` time steps. In `states.npz` what the network did after that is NaN, so that `np.nanmean(rates, axis=0)` is the mean over
running trials; inputs, targets and mask are 0 there.

A test generates this page: `UPDATE_DOCS=1 cargo test -p ctrnn-analysis page_of_arrays`.

";

    fn table(title: &str, docs: &[ArrayDoc]) -> String {
        let cell = |text: &str| text.replace('|', "\\|");
        let row = |doc: &ArrayDoc| {
            let (shape, meaning) = (cell(doc.shape), cell(doc.meaning));
            format!("| `{}` | {shape} | {} | {meaning} |\n", doc.name, doc.unit)
        };
        let rows: String = docs.iter().map(row).collect();
        format!("## {title}\n\n| name | axes | unit | meaning |\n|---|---|---|---|\n{rows}\n")
    }

    #[test]
    fn the_page_of_arrays_is_up_to_date() {
        let analyses: String = ANALYSES
            .iter()
            .map(|analysis| table(&format!("{}.npz", analysis.name), analysis.arrays))
            .collect();
        let of_populations: String = POPULATION_ANALYSES
            .iter()
            .map(|analysis| {
                let title = format!("Several networks: {}.npz", analysis.name);
                table(&title, analysis.arrays)
            })
            .collect();
        let page = [
            INTRODUCTION.to_owned(),
            table("states.npz", STATES_ARRAYS),
            table("Trials, names and axes", TRIAL_ARRAYS),
            "`states.npz` of trials has all of these, and the file of an analysis those of its axes.\n\n".to_owned(),
            analyses,
            "Analyses of several networks (`analyze RUN RUN...`, `analyze SWEEP`) write files of the same form. Each of them has these arrays and its own:\n\n".to_owned(),
            table("Several networks: all files", POPULATION_ARRAYS),
            of_populations,
            table("In every file", &[FIGURE_ARRAYS, &[README]].concat()),
        ]
        .concat();
        let page = format!("{}\n", page.trim_end());
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/arrays.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, &page).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == page,
            "docs/arrays.md is out of date: UPDATE_DOCS=1 cargo test -p ctrnn-analysis page_of_arrays"
        );
    }

    #[test]
    fn every_analysis_documents_its_arrays() {
        for analysis in ANALYSES {
            assert!(!analysis.arrays.is_empty(), "{}", analysis.name);
            for doc in analysis.arrays {
                assert!(doc.rank() > 0, "{doc:?}");
                assert!(!doc.meaning.ends_with('.'), "{doc:?}");
            }
        }
    }

    /// An array that all analyses share has one meaning.
    #[test]
    fn no_analysis_gives_its_own_array_a_common_name() {
        for analysis in ANALYSES {
            for common in TRIAL_ARRAYS {
                let mut own = analysis.arrays.iter();
                assert_eq!(
                    own.find(|doc| doc.name == common.name),
                    None,
                    "{}",
                    analysis.name
                );
            }
        }
    }

    #[test]
    fn a_name_with_holes_documents_several_arrays() {
        let doc = ArrayDoc::new("{}_log_likelihood{}", "[1]", "", "");
        assert!(doc.is_of("logistic_log_likelihood") && doc.is_of("probit_log_likelihood_0_1"));
        assert!(!doc.is_of("logistic"));
        let doc = ArrayDoc::new("course_{}", "[time, component]", "", "");
        assert!(doc.is_of("course_12") && !doc.is_of("scores"));
        assert_eq!(
            (doc.rank(), doc.has_axis("time"), doc.has_axis("tim")),
            (2, true, false)
        );
        assert!(README.is_of("readme") && !README.is_of("readme2"));
    }
}
