//! Localisation of an overflow: the time step of a trial at which the states stop being finite.

use ctrnn_model::{Forward, Record, TrainingBackend};

use super::Trainer;
use crate::TrainError;
use crate::batch::Batch;

/// The location of an overflow in a batch whose loss or gradient is not finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Overflow {
    /// An overflow of the potentials.
    States {
        /// The earliest time step after which a potential is not finite, counted from 0.
        from_step: usize,
        /// Number of time steps of the trial.
        n_steps: usize,
    },
    /// An overflow elsewhere: all potentials are finite.
    Elsewhere {
        /// The largest absolute value of a potential.
        largest: f64,
        /// Number of time steps of the trial with the largest potential.
        n_steps: usize,
    },
}

impl<B: TrainingBackend> Trainer<'_, B> {
    /// Finds where the states overflow in the batch of the next step; after an error, this is the step that failed.
    ///
    /// # Errors
    /// If the task cannot make the batch.
    pub fn overflow(&mut self) -> Result<Overflow, TrainError> {
        let step = self.counters.step;
        let trials = self.task.sample_batch(&self.request(step))?;
        let batch = Batch::<B>::new(&trials, &self.network.device());
        let pass = Forward {
            record: Record {
                potentials: true,
                ..Record::OUTPUTS
            },
            recompute: false,
            ..self.pass(step, &trials)?
        };
        let potentials = self.network.forward(batch.inputs, &pass).potentials;
        let potentials = potentials.expect("they were asked for").into_data();
        let potentials: Vec<f64> = potentials.iter::<f64>().collect(); // [trial, time, unit]
        let n_units = self.network.config().n_units;
        let of_trial = potentials.chunks_exact(trials.max_steps * n_units);
        let (mut overflow, mut largest) = (None, (0.0, 0));
        for (states, &n_steps) in of_trial.zip(&trials.n_steps) {
            let states = states.chunks_exact(n_units).take(n_steps);
            for (step, &x) in states
                .enumerate()
                .flat_map(|(t, now)| now.iter().map(move |x| (t, x)))
            {
                if !x.is_finite() {
                    let found = (step, n_steps);
                    overflow = Some(overflow.map_or(found, |before| found.min(before)));
                    break;
                }
                if x.abs() > largest.0 {
                    largest = (x.abs(), n_steps);
                }
            }
        }
        Ok(match overflow {
            Some((from_step, n_steps)) => Overflow::States { from_step, n_steps },
            None => Overflow::Elsewhere {
                largest: largest.0,
                n_steps: largest.1,
            },
        })
    }
}
