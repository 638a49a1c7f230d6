//! Training metrics from `metrics.csv`.

use std::path::Path;

use ctrnn_files::FileError;

/// Columns of `metrics.csv` by name; NaN if nothing was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics {
    names: Vec<String>,
    /// Split of each row: `train`, `val`, or `val.NAME` for a named validation set.
    splits: Vec<String>,
    /// Name of the stage of each row; empty without stages.
    stages: Vec<String>,
    rows: Vec<Vec<f64>>,
}

impl Metrics {
    /// Reads a metrics.csv file.
    ///
    /// # Errors
    /// If it is missing or unreadable. A row truncated when a run was killed is left out.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        const MOST_BYTES: u64 = 1 << 30;
        let bytes = ctrnn_files::read_at_most(path, MOST_BYTES)?;
        Ok(Self::parse(&String::from_utf8_lossy(&bytes)))
    }

    pub(crate) fn parse(text: &str) -> Self {
        let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let names: Vec<String> = lines
            .next()
            .unwrap_or_default()
            .into_iter()
            .map(str::to_owned)
            .collect();
        let place = |column: &str| names.iter().position(|name| name == column);
        let (split, stage) = (place("split"), place("stage"));
        let (mut splits, mut stages, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        for cells in lines.filter(|cells| cells.len() == names.len()) {
            let cell = |k: Option<usize>| k.map_or_else(String::new, |k| cells[k].to_owned());
            splits.push(cell(split));
            stages.push(cell(stage));
            rows.push(
                cells
                    .iter()
                    .map(|cell| cell.parse().unwrap_or(f64::NAN))
                    .collect(),
            );
        }
        Self {
            names,
            splits,
            stages,
            rows,
        }
    }

    /// Keeps the rows of at most `step` steps.
    #[must_use]
    pub fn until(mut self, step: u64) -> Self {
        let Some(column) = self.names.iter().position(|name| name == "step") else {
            return self;
        };
        let is_kept: Vec<bool> = self
            .rows
            .iter()
            .map(|row| row[column] <= step as f64)
            .collect();
        let kept = |cells: &mut Vec<String>| {
            let mut is_kept = is_kept.iter();
            cells.retain(|_| *is_kept.next().expect("a cell in each row"));
        };
        kept(&mut self.splits);
        kept(&mut self.stages);
        self.rows.retain(|row| row[column] <= step as f64);
        self
    }

    /// Returns the stages in their order, each with the step of its last validation; empty without stages.
    pub fn stage_ends(&self) -> Vec<(String, f64)> {
        let Some(step) = self.names.iter().position(|name| name == "step") else {
            return Vec::new();
        };
        let mut ends: Vec<(String, f64)> = Vec::new();
        for ((stage, split), row) in self.stages.iter().zip(&self.splits).zip(&self.rows) {
            if stage.is_empty() || split != "val" {
                continue;
            }
            match ends.last_mut() {
                Some((last, end)) if last == stage => *end = row[step],
                _ => ends.push((stage.clone(), row[step])),
            }
        }
        ends
    }

    /// Returns what follows a prefix in the names of columns that have it, in their order.
    pub fn columns_after(&self, prefix: &str) -> Vec<String> {
        let names = self
            .names
            .iter()
            .filter_map(|name| name.strip_prefix(prefix));
        names.map(str::to_owned).collect()
    }

    /// Returns the splits of validation: that of the main set, then those of sets with names.
    pub fn validations(&self) -> Vec<&str> {
        let named = self.splits.iter().map(String::as_str);
        let mut named: Vec<&str> = named.filter(|split| split.starts_with("val.")).collect();
        named.sort_unstable();
        named.dedup();
        std::iter::once("val").chain(named).collect()
    }

    /// Returns step and value of the rows of a split in which a metric was measured.
    pub fn curve(&self, split: &str, name: &str) -> (Vec<f64>, Vec<f64>) {
        let place = |name: &str| self.names.iter().position(|known| known == name);
        let (Some(step), Some(column)) = (place("step"), place(name)) else {
            return (Vec::new(), Vec::new());
        };
        let rows = self
            .rows
            .iter()
            .zip(&self.splits)
            .filter(|(_, found)| *found == split);
        rows.map(|(row, _)| (row[step], row[column]))
            .filter(|(_, value)| value.is_finite())
            .unzip()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_by_split() {
        let metrics = Metrics::parse(
            "step,split,loss,accuracy\n1,train,0.5,\n1,val,0.6,0.7\n2,train,0.4,\n3,tra",
        );
        assert_eq!(
            metrics.curve("train", "loss"),
            (vec![1.0, 2.0], vec![0.5, 0.4])
        );
        assert_eq!(metrics.curve("val", "accuracy"), (vec![1.0], vec![0.7]));
        assert_eq!(metrics.curve("val", "lr").0.len(), 0);
        assert_eq!(metrics.validations(), ["val"]);
        let sets = Metrics::parse("split\nval\nval.b\nval.a\nval.b\ntrain");
        assert_eq!(sets.validations(), ["val", "val.a", "val.b"]);
        let begun = metrics.until(1);
        assert_eq!(begun.curve("train", "loss"), (vec![1.0], vec![0.5]));
        assert_eq!(begun.curve("val", "loss"), (vec![1.0], vec![0.6]));
    }
}
