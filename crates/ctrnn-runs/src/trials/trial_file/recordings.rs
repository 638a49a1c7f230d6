//! Checks and extraction of the recordings of a trial file.

use ctrnn_tasks::TaskError;

use super::TrialFile;
use super::array_reader::is_usable;
use super::unit_recordings::UnitRecordings;

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
