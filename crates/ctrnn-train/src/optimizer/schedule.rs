//! Learning-rate schedules: the factor on the learning rate of each update.

use std::f64::consts::PI;

use crate::optimizer::config::{Cosine, Schedule};

impl Schedule {
    /// Returns the factor on the learning rate of the update that follows `step` updates, in a run of `of_steps`.
    ///
    /// During the warm-up it is `(step + 1) / warmup_steps`, then a function of `s = step - warmup_steps`. For the
    /// plateau schedule, which depends on validation results, this factor is 1; see [`Schedule::plateau_factor`].
    pub fn factor(&self, step: u64, of_steps: u64) -> f64 {
        let warmup = self.warmup_steps();
        let Some(s) = step.checked_sub(warmup) else {
            return (step + 1) as f64 / warmup as f64;
        };
        match self {
            Self::Constant(_) | Self::Plateau(_) => 1.0,
            Self::Cosine(cosine) => {
                let length = cosine.steps.unwrap_or(of_steps.saturating_sub(warmup));
                let done = (s as f64 / length.max(1) as f64).min(1.0);
                let f = cosine.final_fraction;
                f + (1.0 - f) * 0.5 * (1.0 + (PI * done).cos())
            }
            Self::Exponential(exponential) => exponential.factor.powf(s as f64),
            Self::Step(step) => step.factor.powf((s / step.every_steps) as f64),
        }
    }

    /// Returns the schedule with its length fixed to the one in a run of `of_steps`: if the run is later given more
    /// steps, the learning rate stays at its final value. A run of 0 steps does not fix the length.
    #[must_use]
    pub fn of_fixed_length(self, of_steps: u64) -> Self {
        match self {
            Self::Cosine(cosine) if cosine.steps.is_none() && of_steps > 0 => {
                let steps = of_steps.saturating_sub(cosine.warmup_steps).max(1);
                Self::Cosine(Cosine {
                    steps: Some(steps),
                    ..cosine
                })
            }
            other => other,
        }
    }

    /// Returns the step after which the learning rate is constant, for a schedule with a fixed length.
    pub fn end(&self) -> Option<u64> {
        match self {
            Self::Cosine(cosine) => Some(cosine.warmup_steps + cosine.steps?),
            _ => None,
        }
    }

    /// Returns the factor of the plateau schedule after this many plateaus; 1 for all other schedules.
    pub fn plateau_factor(&self, plateaus: u32) -> f64 {
        match self {
            Self::Plateau(plateau) => {
                let factor = plateau.factor.powf(f64::from(plateaus));
                factor.max(plateau.final_fraction)
            }
            _ => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::config::{Constant, Exponential, Plateau, StepSchedule};

    fn factors(schedule: &Schedule, steps: impl IntoIterator<Item = u64>) -> Vec<f64> {
        steps.into_iter().map(|k| schedule.factor(k, 10)).collect()
    }

    fn assert_near(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-15, "{found:?}");
        }
    }

    #[test]
    fn constant_is_exactly_one() {
        assert_eq!(factors(&Schedule::default(), [0, 1, 9]), [1.0; 3]);
    }

    /// A rise in quarters, the last of which reaches the full rate; the schedule begins after it.
    #[test]
    fn warm_up_rises_linearly_to_the_rate() {
        let schedule = Schedule::Constant(Constant { warmup_steps: 4 });
        assert_eq!(factors(&schedule, 0..6), [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]);
        let schedule = Schedule::Step(StepSchedule {
            warmup_steps: 2,
            every_steps: 2,
            factor: 0.5,
        });
        assert_eq!(factors(&schedule, 0..6), [0.5, 1.0, 1.0, 1.0, 0.5, 0.5]);
    }

    /// 2 steps of warm-up leave 8: at s = 0, 4 and 8 the cosine is 1, 0 and -1, so f + (1 - f) {1, 1/2, 0} with f = 0.2;
    /// afterwards it stays there.
    #[test]
    fn cosine_falls_to_its_final_fraction() {
        let schedule = Schedule::Cosine(Cosine {
            warmup_steps: 2,
            steps: None,
            final_fraction: 0.2,
        });
        assert_near(&factors(&schedule, [2, 6, 10, 20]), &[1.0, 0.6, 0.2, 0.2]);
        let pinned = Schedule::Cosine(Cosine {
            steps: Some(4),
            ..Cosine::default()
        });
        assert_near(&factors(&pinned, [0, 2, 4]), &[1.0, 0.5, 0.0]);
    }

    /// 2 steps of warm-up in a run of 10 leave 8; that does not change in a run of 20.
    #[test]
    fn a_length_that_is_written_down_is_kept() {
        let open = Schedule::Cosine(Cosine {
            warmup_steps: 2,
            ..Cosine::default()
        });
        let fixed = open.clone().of_fixed_length(10);
        assert_eq!(fixed.end(), Some(10));
        let rates = |schedule: &Schedule, of_steps| {
            let rates = (0..20).map(|step| schedule.factor(step, of_steps));
            rates.collect::<Vec<f64>>()
        };
        assert_eq!(rates(&fixed, 20), rates(&open, 10));
        assert_eq!(fixed.clone().of_fixed_length(20), fixed);
        assert_eq!(open.clone().of_fixed_length(0), open);
        assert_eq!(open.of_fixed_length(2).end(), Some(3)); // a warm-up that takes the whole run
        let constant = Schedule::default();
        assert_eq!(constant.clone().of_fixed_length(10), constant);
        assert_eq!(constant.end(), None);
    }

    #[test]
    fn exponential_multiplies_at_every_step() {
        let schedule = Schedule::Exponential(Exponential {
            warmup_steps: 0,
            factor: 0.5,
        });
        assert_eq!(factors(&schedule, 0..4), [1.0, 0.5, 0.25, 0.125]);
    }

    #[test]
    fn plateaus_multiply_down_to_the_final_fraction() {
        let schedule = Schedule::Plateau(Plateau {
            final_fraction: 0.2,
            ..Plateau::default()
        });
        let factors = [0, 1, 2, 3].map(|plateaus| schedule.plateau_factor(plateaus));
        assert_eq!(factors, [1.0, 0.5, 0.25, 0.2]);
        assert_eq!(schedule.factor(7, 10), 1.0);
        assert_eq!(Schedule::default().plateau_factor(3), 1.0);
    }
}
