//! Learning-rate schedules: what the learning rate of an update is multiplied by.

use std::f64::consts::PI;

use crate::optimizer::config::{Cosine, Schedule};

impl Schedule {
    /// What the learning rate of the update that follows `step` updates is multiplied by, in a run of `of_steps`.
    ///
    /// Over the warm-up it is `(step + 1) / warmup_steps`, then a function of `s = step - warmup_steps`. The plateau
    /// schedule depends on what validation finds: its factor comes with the counters of the run, here it is 1.
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

    /// The same schedule with the length written down that it has in a run of `of_steps`: given more steps later, the run
    /// then stays at the end of its schedule. In a run of no steps nothing is decided yet.
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

    /// The step from which on the rate stays what it is, of a schedule with a fixed length.
    pub fn end(&self) -> Option<u64> {
        match self {
            Self::Cosine(cosine) => Some(cosine.warmup_steps + cosine.steps?),
            _ => None,
        }
    }

    /// What the plateau schedule multiplies the learning rate by after this many plateaus; 1 for all others.
    pub fn plateau_factor(&self, plateaus: u32) -> f64 {
        match self {
            Self::Plateau(plateau) => {
                let factor = plateau.factor.powf(f64::from(plateaus));
                factor.max(plateau.final_fraction)
            }
            _ => 1.0,
        }
    }

    /// Updates over which the rate rises.
    pub const fn warmup_steps(&self) -> u64 {
        match self {
            Self::Constant(schedule) => schedule.warmup_steps,
            Self::Cosine(schedule) => schedule.warmup_steps,
            Self::Exponential(schedule) => schedule.warmup_steps,
            Self::Step(schedule) => schedule.warmup_steps,
            Self::Plateau(schedule) => schedule.warmup_steps,
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

    /// A rise in quarters, of which the last is the whole rate; the schedule begins after it.
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

    /// 2 steps of warm-up in a run of 10 leave 8, of which a run of 20 makes no more.
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
