//! Recorded rates or spike counts of units in a trial file: the arrays `unit_targets` and `unit_mask`.

use ctrnn_files::{Array, ArrayData, PackedArray};
use ctrnn_tasks::TaskError;

use super::{Reader, TrialFile, is_usable};

/// Recorded rates of units in the trials of a file.
pub(super) struct UnitRecordings {
    /// `[trial, time, unit]`; NaN where one is missing.
    rates: PackedArray,
    /// 1 where an entry counts and 0 where it is missing; absent: NaN alone tells.
    mask: Option<PackedArray>,
}

impl UnitRecordings {
    /// Takes the recordings out of a file, if it has them.
    pub fn take(
        reader: &mut Reader,
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

    fn n_units(&self) -> usize {
        self.rates.shape()[2]
    }
}

impl Reader<'_> {
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

impl TrialFile {
    /// Returns the number of recorded units; 0 without recordings.
    pub(crate) fn n_recorded(&self) -> usize {
        self.recordings.as_ref().map_or(0, UnitRecordings::n_units)
    }

    /// Returns the recorded rates of a trial, `[time, unit]`, with NaN where one is missing; empty without recordings.
    pub(super) fn unit_targets(&self, b: usize) -> Vec<f32> {
        let Some(recordings) = &self.recordings else {
            return Vec::new();
        };
        let width = recordings.n_units();
        let mut rates = self.floats(&recordings.rates, b, width);
        if let Some(mask) = &recordings.mask {
            let mask = self.floats(mask, b, width);
            let missing = rates
                .iter_mut()
                .zip(mask)
                .filter(|(_, counts)| *counts == 0.0);
            missing.for_each(|(rate, _)| *rate = f32::NAN);
        }
        rates
    }

    /// Checks that recordings are numbers where they are not missing, and that some are not.
    pub(super) fn check_recordings(&self) -> Result<(), TaskError> {
        let Some(recordings) = &self.recordings else {
            return Ok(());
        };
        let width = recordings.n_units();
        let place = |b: usize, at: usize| {
            format!("trial {b}, time step {}, unit {}", at / width, at % width)
        };
        let masks = recordings.mask.iter();
        let is_bit = |x: f32| x == 0.0 || x == 1.0;
        for (mask, b) in
            masks.flat_map(|mask| self.suspects(mask, width, is_bit).map(move |b| (mask, b)))
        {
            let values = self.floats(mask, b, width);
            if let Some(at) = values.iter().position(|x| !is_bit(*x)) {
                let what = format!(
                    "unit_mask holds {} at {}; it must be 1 (counts) or 0 (missing)",
                    self.text(mask, b, width, at),
                    place(b, at)
                );
                return Err(self.error(what).with_help("unit_mask = unit_mask > 0"));
            }
        }
        for b in self.suspects(&recordings.rates, width, |x| x.is_nan() || is_usable(x)) {
            let rates = self.unit_targets(b);
            let is_wrong = |x: &f32| !(x.is_nan() || is_usable(*x));
            if let Some(at) = rates.iter().position(is_wrong) {
                let found = self.text(&recordings.rates, b, width, at);
                let help =
                    "a missing rate is NaN: unit_targets[~np.isfinite(unit_targets)] = np.nan";
                return Err(self.not_a_number("unit_targets", &found, &place(b, at), help));
            }
        }
        let is_recorded = |b: usize| self.unit_targets(b).iter().any(|x| !x.is_nan());
        if (0..self.n_trials).any(is_recorded) {
            return Ok(());
        }
        Err(self
            .error("unit_targets are missing everywhere: NaN, or a unit_mask of 0")
            .with_help("leave unit_targets out, or write the recorded rates"))
    }
}
