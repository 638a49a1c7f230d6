//! Recorded rates or spike counts of units in a trial file: the arrays `unit_targets` and `unit_mask`.

use ctrnn_files::{Array, ArrayData, PackedArray};
use ctrnn_tasks::TaskError;

use super::array_reader::ArrayReader;

/// Recorded rates of units in the trials of a file.
pub(super) struct UnitRecordings {
    /// `[trial, time, unit]`; NaN where one is missing.
    pub rates: PackedArray,
    /// 1 where an entry counts and 0 where it is missing; absent: NaN alone tells.
    pub mask: Option<PackedArray>,
}

impl UnitRecordings {
    /// Takes the recordings out of a file, if it has them.
    pub fn take(
        reader: &mut ArrayReader,
        [n_trials, max_steps]: [usize; 2],
    ) -> Result<Option<Self>, TaskError> {
        let mask = reader.arrays.remove("unit_mask");
        let Some(rates) = reader.arrays.remove("unit_targets") else {
            return match mask {
                None => Ok(None),
                Some(_) => Err(reader
                    .error("has a unit_mask, but no unit_targets [trial, time, unit]")
                    .with_help("add the recorded rates as unit_targets, or leave unit_mask out")),
            };
        };
        let shape = rates.shape();
        let Some(&n_units) = shape.get(2).filter(|&&n| n > 0 && shape.len() == 3) else {
            let what = format!("unit_targets has shape {shape:?}, but must be [trial, time, unit]");
            return Err(reader
                .error(what)
                .with_help("of one unit: unit_targets = unit_targets[..., None]"));
        };
        let expected = [n_trials, max_steps, n_units];
        reader.expect_shape("unit_targets", shape, &expected)?;
        if let Some(mask) = &mask {
            reader.expect_shape("unit_mask", mask.shape(), &expected)?;
        }
        Ok(Some(Self { rates, mask }))
    }

    /// Returns the number of recorded units.
    pub fn n_units(&self) -> usize {
        self.rates.shape()[2]
    }
}

impl ArrayReader<'_> {
    /// Gives a file of recordings that has neither labels nor targets one output that counts nowhere.
    pub(super) fn add_silent_output(
        &mut self,
        [n_trials, max_steps]: [usize; 2],
    ) -> Result<(), TaskError> {
        let has = |name| self.arrays.contains_key(name);
        if has("labels") || has("targets") || !has("unit_targets") {
            return Ok(());
        }
        if has("mask") {
            return Err(self
                .error("has a mask, but neither labels nor targets to which it belongs")
                .with_help("the mask of unit_targets is unit_mask [trial, time, unit]"));
        }
        let zeros = |shape: &[usize]| {
            let zeros = vec![0; shape.iter().product()];
            PackedArray::from(&Array::new(shape, ArrayData::U8(zeros)))
        };
        let targets = zeros(&[n_trials, max_steps, 1]);
        self.arrays.insert("targets".to_owned(), targets);
        let mask = zeros(&[n_trials, max_steps]);
        self.arrays.insert("mask".to_owned(), mask);
        Ok(())
    }
}
