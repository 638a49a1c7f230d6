//! Teacher forcing: which recorded units of which trials are forced in a step, and how strongly.

use burn::tensor::TensorData;
use ctrnn_model::{Forcing, RecurrenceBackend, host_tensor};
use ctrnn_tasks::TrialBatch;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::annealing::linear;
use crate::objective::unit_rates::FittedRates;

/// Teacher forcing of the recorded units of `train.loss.unit_rates`: each sends `(1 - a) r + a x` to other units, with r its own rate, x
/// the recorded one, and a strength a that falls linearly to 0. Its own rate, which the readout and the loss see, goes on. In a
/// trial with a missing entry of a unit, that unit is not forced. Validation and `eval` run freely.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TeacherForcing {
    /// Strength a at the first step.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 1))]
    pub strength: f64,
    /// Number of steps after which the strength is 0. Absent: `train.steps`.
    #[schemars(range(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
}

impl Default for TeacherForcing {
    fn default() -> Self {
        Self {
            strength: 1.0,
            steps: None,
        }
    }
}

impl TeacherForcing {
    /// Returns the strength at a step of a run or stage of `n_steps`, both counted from 0.
    pub fn strength_at(&self, step: u64, n_steps: u64) -> f64 {
        linear([self.strength, 0.0], step, self.steps.unwrap_or(n_steps))
    }
}

/// Teacher forcing of the trials of a batch.
#[derive(Clone, Debug)]
pub(crate) struct ForcedTrials {
    strength: f64,
    /// Recorded units, in the order of the recordings.
    units: Vec<usize>,
    /// Recorded rates in those of the network, `[trial, time, unit]`.
    rates: Vec<f32>,
    /// Number of time steps of the longest trial.
    n_steps: usize,
    /// Columns of the recordings without a missing entry, each with the trials that have just these.
    pub groups: Vec<(Vec<usize>, Vec<usize>)>,
}

impl ForcedTrials {
    /// Groups the trials of a batch by the units that are recorded throughout; `None` at strength 0 and without recordings.
    pub fn of(trials: &TrialBatch, strength: f64, fitted: &FittedRates) -> Option<Self> {
        let n_recorded = trials.n_recorded();
        if strength == 0.0 || n_recorded == 0 {
            return None;
        }
        let mut groups: Vec<(Vec<usize>, Vec<usize>)> = Vec::new();
        for b in 0..trials.n_trials {
            let rates = trials.rows(&trials.unit_targets, b, n_recorded);
            let is_whole = |k: &usize| {
                rates
                    .iter()
                    .skip(*k)
                    .step_by(n_recorded)
                    .all(|x| !x.is_nan())
            };
            let whole: Vec<usize> = (0..n_recorded).filter(is_whole).collect();
            match groups.iter_mut().find(|(columns, _)| *columns == whole) {
                Some((_, trials)) => trials.push(b),
                None => groups.push((whole, vec![b])),
            }
        }
        let scale = (1.0 / fitted.config.rate_hz) as f32;
        Some(Self {
            strength,
            units: fitted.units.clone(),
            rates: trials
                .unit_targets
                .iter()
                .map(|rate| rate * scale)
                .collect(),
            n_steps: trials.max_steps,
            groups,
        })
    }

    /// Returns the forcing of some columns of the recordings in some trials.
    pub fn forcing<B: RecurrenceBackend>(
        &self,
        columns: &[usize],
        trials: impl Iterator<Item = usize>,
        device: &B::Device,
    ) -> Forcing<B> {
        let (width, n_steps) = (self.units.len(), self.n_steps);
        let mut rates = Vec::new();
        let mut n_trials = 0;
        for b in trials {
            let of_trial = &self.rates[b * n_steps * width..(b + 1) * n_steps * width];
            let rows = of_trial.chunks_exact(width);
            rates.extend(rows.flat_map(|row| columns.iter().map(|&k| row[k])));
            n_trials += 1;
        }
        Forcing {
            units: columns.iter().map(|&k| self.units[k]).collect(),
            strength: self.strength,
            rates: host_tensor(
                TensorData::new(rates, [n_trials, n_steps, columns.len()]),
                device,
            ),
        }
    }
}
