//! The first steps of a training, made and timed.

use std::time::Instant;

use ctrnn_config::Run;
use ctrnn_model::{Summary, TrainingBackend};
use ctrnn_runs::trainer_at;
use ctrnn_train::{NotFinite, Overflow, TrainError, Trainer};

use crate::backend::{CheckEvery, Job, device_name};
use crate::failure::Failure;

/// Number of training steps that are timed; the fastest counts, because other work of the machine can only slow one down.
const TIMED_STEPS: usize = 5;
/// Seconds after which no further step is timed.
const LONGEST_TIMING_S: f64 = 2.0;

/// A job that makes and times real training steps.
pub struct FirstSteps<'a>(pub &'a Run);

/// The result of the first steps.
pub struct Tried {
    pub device: String,
    /// Number of CPU threads.
    pub threads: usize,
    /// Summary of the network before its first step.
    pub network: Summary,
    pub outcome: Outcome,
}

/// The outcome of the first steps.
pub enum Outcome {
    Timed { steps_per_s: f64 },
    Diverged(Box<NotFinite>, Overflow),
}

impl Job for FirstSteps<'_> {
    type Output = Tried;
    const TRAINS: bool = true;

    fn run<B: TrainingBackend>(self, device: &B::Device, _: CheckEvery) -> Result<Tried, Failure> {
        let mut trainer = trainer_at::<B>(self.0, None, 1, device)?;
        let network = trainer.network().summary().map_err(TrainError::from)?;
        let outcome = match time(&mut trainer) {
            Ok(steps_per_s) => Outcome::Timed { steps_per_s },
            Err(TrainError::NotFinite(found)) if !found.what.is_data() => {
                Outcome::Diverged(found, trainer.overflow()?)
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Tried {
            device: device_name::<B>(device),
            threads: rayon::current_num_threads(),
            network,
            outcome,
        })
    }
}

/// Measures steps per second by the fastest of a few steps.
fn time<B: TrainingBackend>(trainer: &mut Trainer<'_, B>) -> Result<f64, TrainError> {
    trainer.steps_only(1)?; // not timed: it allocates memory, starts threads and fills caches
    let began = Instant::now();
    let mut fastest_s = f64::INFINITY;
    for _ in 0..TIMED_STEPS {
        let step = Instant::now();
        trainer.steps_only(1)?;
        fastest_s = fastest_s.min(step.elapsed().as_secs_f64());
        if began.elapsed().as_secs_f64() > LONGEST_TIMING_S {
            break;
        }
    }
    Ok(1.0 / fastest_s)
}
