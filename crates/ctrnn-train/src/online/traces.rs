//! Eligibility traces: the gradient of the loss without the paths through other units, summed up while the network runs (RFLO, e-prop).
//!
//! With the derivative `L_i` of the loss by the rate of unit i at the present time step, as errors reach the unit through the readout's
//! weights or random ones, and the trace of the weight from unit j,
//!
//! ```text
//! voltage form:  p_ij <- decay_i p_ij + gain_i r_j                 dW_ij = sum over t of L_i f'(v_i) p_ij
//! rate form:     p_ij <- decay_i p_ij + gain_i f'(z_i) r_j         dW_ij = sum over t of L_i p_ij
//! ```
//!
//! The memory does not depend on the number of time steps.
//!
//! # References
//! Murray (2019), "Local online learning in recurrent networks with random feedback"; Bellec et al. (2020), "A solution to the learning
//! dilemma for recurrent networks of spiking neurons".

use ctrnn_model::{Form, HostState, HostSweep, add_scaled, decay_and_add};
use ctrnn_random::{Key, Rng, Stream};

use super::weights::OnlineWeights;
use super::{Recorded, add_feedback, with_constant};

/// Estimated gradients of the weights, `[post, pre]` row by row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Estimate {
    /// Gradient of what drives the units, `[N, N + 1 + I]`: `W_rc`, `b` and `W_in` beside each other.
    drive: Vec<f64>,
    /// Gradient of the readout, `[O, N + 1]`: `W_out` and `b_out`.
    readout: Vec<f64>,
    n_units: usize,
    n_inputs: usize,
}

impl Estimate {
    /// Returns the gradients of `W_in`, `W_rc`, `b`, `W_out` and `b_out`.
    pub fn parts(&self) -> [Vec<f64>; 5] {
        let n = self.n_units;
        let width = n + 1 + self.n_inputs;
        let columns = |from: &[f64], width: usize, range: std::ops::Range<usize>| -> Vec<f64> {
            let rows = from.chunks(width);
            rows.flat_map(|row| row[range.clone()].to_vec()).collect()
        };
        [
            columns(&self.drive, width, n + 1..width),
            columns(&self.drive, width, 0..n),
            columns(&self.drive, width, n..n + 1),
            columns(&self.readout, n + 1, 0..n),
            columns(&self.readout, n + 1, n..n + 1),
        ]
    }
}

/// Draws the weights by which errors reach the units under RFLO, `[N,O]`.
pub(crate) fn random_feedback(n_units: usize, n_outputs: usize, seed: u64) -> Vec<f64> {
    let std = 1.0 / (n_outputs as f64).sqrt();
    let mut rng = Rng::new(Key::new(seed, Stream::LearningRule, 0), 2, 0);
    (0..n_units * n_outputs)
        .map(|_| std * f64::from(rng.normal()))
        .collect()
}

/// Runs a trial with constant weights; `visit` sees the rates before each time step, with a constant after them, and the state after it.
pub(crate) fn run_trial(
    sweep: &HostSweep,
    weights: &OnlineWeights,
    [trial, steps]: [usize; 2],
    mut visit: impl FnMut([usize; 2], &[f64], &HostState),
) -> HostState {
    let mut state = sweep.start(trial);
    for t in 0..steps {
        let at = [t, trial];
        let rates = with_constant(&state.rates);
        let mut drive = weights.recurrent.times(&rates);
        add_feedback(sweep, &weights.output.times(&rates), &mut drive);
        sweep.advance(at, &mut state, &mut drive);
        visit(at, &rates, &state);
    }
    state
}

/// Runs the trials of a batch, of these numbers of time steps, with constant weights.
pub(crate) fn run(sweep: &HostSweep, weights: &OnlineWeights, n_steps: &[usize]) -> Recorded {
    let n_outputs = weights.output.width();
    let longest = n_steps.iter().copied().max().unwrap_or(0);
    let mut recorded = Recorded::new(n_steps.len(), longest, n_outputs, sweep.n_units);
    for (trial, &steps) in n_steps.iter().enumerate() {
        let last = run_trial(sweep, weights, [trial, steps], |at, _, state| {
            let seen = with_constant(&sweep.seen_rates(at, state));
            recorded.put(at, &weights.output.times(&seen), &state.rates);
        });
        recorded.final_state.extend(last.activity);
    }
    recorded
}

/// Runs the trials of a batch and sums up the estimate. `errors` holds the derivative of the loss by the readout, time-major `[T,B,O]`;
/// `broadcast [N,O]` the weights by which they reach the units.
pub(crate) fn traced_gradients(
    sweep: &HostSweep,
    weights: &OnlineWeights,
    n_steps: &[usize],
    errors: &[f64],
    broadcast: &[f64],
) -> Estimate {
    let (n, n_outputs) = (sweep.n_units, broadcast.len() / sweep.n_units);
    let width = n + 1 + sweep.n_inputs;
    let mut estimate = Estimate {
        drive: vec![0.0; n * width],
        readout: vec![0.0; n_outputs * (n + 1)],
        n_units: n,
        n_inputs: sweep.n_inputs,
    };
    let mut traces = vec![0.0; n * width];
    for (trial, &steps) in n_steps.iter().enumerate() {
        traces.fill(0.0);
        run_trial(sweep, weights, [trial, steps], |at, rates, state| {
            let sources = [rates, sweep.inputs(at)].concat();
            let errors = &errors[(at[0] * n_steps.len() + trial) * n_outputs..][..n_outputs];
            for (i, row) in traces.chunks_mut(width).enumerate() {
                let slope = sweep.activation.slope(state.potentials[i]);
                let (on_trace, on_signal) = match sweep.form {
                    Form::Voltage => (1.0, slope),
                    Form::Rate => (slope, 1.0),
                };
                let gain = sweep.gain[i] * on_trace;
                decay_and_add(row, sweep.decay[i], gain, &sources);
                let weights = &broadcast[i * n_outputs..][..n_outputs];
                let signal: f64 = weights.iter().zip(errors).map(|(w, e)| w * e).sum();
                let sum = &mut estimate.drive[i * width..][..width];
                add_scaled(sum, signal * on_signal, row);
            }
            let seen = with_constant(&sweep.seen_rates(at, state));
            for (row, &error) in estimate.readout.chunks_mut(n + 1).zip(errors) {
                add_scaled(row, error, &seen);
            }
        });
    }
    estimate
}
