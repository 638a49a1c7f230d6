//! Learning rules without a backward pass through time: recursive least squares (FORCE, full-FORCE) and eligibility traces.
//!
//! They run the network of a batch time step by time step in double precision on the host ([`ctrnn_model::HostSweep`]). Recursive least
//! squares change the weights within a trial; eligibility traces give an estimate of the gradient, which goes to the optimizer as any other.

pub mod config;
mod force;
mod full_force;
mod rls;
mod traces;
mod weights;

pub(crate) use force::force;
pub(crate) use full_force::{TargetNetwork, full_force};
pub(crate) use rls::Rls;
pub(crate) use traces::{Estimate, random_feedback, run, run_trial, traced_gradients};
pub(crate) use weights::OnlineWeights;

use ctrnn_model::HostSweep;

/// Recorded states of a batch that was run time step by time step, time-major as in a sweep.
pub(crate) struct Recorded {
    /// Number of trials.
    n_trials: usize,
    /// Readout `[T,B,O]`; 0 after the end of a trial.
    pub outputs: Vec<f64>,
    /// Rates `[T,B,N]`.
    pub rates: Vec<f64>,
    /// Last states `[B,N]`.
    pub final_state: Vec<f64>,
}

impl Recorded {
    fn new(n_trials: usize, n_steps: usize, n_outputs: usize, n_units: usize) -> Self {
        Self {
            n_trials,
            outputs: vec![0.0; n_steps * n_trials * n_outputs],
            rates: vec![0.0; n_steps * n_trials * n_units],
            final_state: Vec::with_capacity(n_trials * n_units),
        }
    }

    fn put(&mut self, [t, trial]: [usize; 2], outputs: &[f64], rates: &[f64]) {
        let row = t * self.n_trials + trial;
        self.outputs[row * outputs.len()..][..outputs.len()].copy_from_slice(outputs);
        self.rates[row * rates.len()..][..rates.len()].copy_from_slice(rates);
    }
}

/// Targets of a batch, time-major, and the time steps and outputs that count.
pub(crate) struct Targets {
    n_trials: usize,
    n_outputs: usize,
    mask_width: usize,
    values: Vec<f64>,
    mask: Vec<f64>,
    /// Number of time steps of each trial.
    pub n_steps: Vec<usize>,
}

impl Targets {
    /// Creates the targets `[T,B,O]` of a batch with a mask `[T,B,1]` or `[T,B,O]`.
    pub fn new(
        values: Vec<f64>,
        mask: Vec<f64>,
        [n_outputs, mask_width]: [usize; 2],
        n_steps: Vec<usize>,
    ) -> Self {
        Self {
            n_trials: n_steps.len(),
            n_outputs,
            mask_width,
            values,
            mask,
            n_steps,
        }
    }

    /// Returns the targets at a time step of a trial, `[O]`.
    fn at(&self, [t, trial]: [usize; 2]) -> &[f64] {
        &self.values[(t * self.n_trials + trial) * self.n_outputs..][..self.n_outputs]
    }

    /// Returns true if an output counts at a time step of a trial.
    fn counts(&self, [t, trial]: [usize; 2], output: usize) -> bool {
        let row = &self.mask[(t * self.n_trials + trial) * self.mask_width..][..self.mask_width];
        row[output.min(self.mask_width - 1)] != 0.0
    }

    /// Returns the error of each output at a time step of a trial; `None` where it does not count.
    fn errors<'a>(
        &'a self,
        at: [usize; 2],
        outputs: &'a [f64],
    ) -> impl Iterator<Item = Option<f64>> + 'a {
        let pairs = outputs.iter().zip(self.at(at)).enumerate();
        pairs.map(move |(o, (y, target))| self.counts(at, o).then_some(y - target))
    }
}

/// Returns rates with a constant 1 after them, which stands before the bias.
pub(crate) fn with_constant(rates: &[f64]) -> Vec<f64> {
    [rates, &[1.0]].concat()
}

/// Returns true if weights are updated after a time step of a trial.
const fn is_due(t: usize, every: usize) -> bool {
    (t + 1).is_multiple_of(every)
}

/// Adds the drive of the units by feedback of `outputs`, if the network has feedback.
fn add_feedback(sweep: &HostSweep, outputs: &[f64], drive: &mut [f64]) {
    let Some(feedback) = &sweep.feedback else {
        return;
    };
    for (drive, row) in drive.iter_mut().zip(feedback.chunks(outputs.len())) {
        *drive += row.iter().zip(outputs).map(|(w, y)| w * y).sum::<f64>();
    }
}
