//! FORCE: the readout is trained while it runs, fed back or not, and with it the recurrent weights if asked.

use ctrnn_model::HostSweep;

use super::config::{FeedbackSource, Force};
use super::rls::Sample;
use super::{OnlineWeights, Recorded, Rls, Targets, add_feedback, is_due, with_constant};

/// Runs the trials of a batch one after another and updates the weights within them.
pub(crate) fn force(
    rule: &Force,
    sweep: &HostSweep,
    targets: &Targets,
    weights: &mut OnlineWeights,
    rls: &mut Rls,
) -> Recorded {
    let (n_trials, n_outputs) = (targets.n_trials, targets.n_outputs);
    let n_steps = targets.n_steps.iter().copied().max().unwrap_or(0);
    let mut recorded = Recorded::new(n_trials, n_steps, n_outputs, sweep.n_units);
    for trial in 0..n_trials {
        let mut state = sweep.start(trial);
        let mut rates = with_constant(&state.rates);
        for t in 0..targets.n_steps[trial] {
            let at = [t, trial];
            let mut drive = weights.recurrent.times(&rates);
            match rule.feedback {
                // Before the first time step there is no target.
                FeedbackSource::Target if t > 0 => {
                    add_feedback(sweep, targets.at([t - 1, trial]), &mut drive);
                }
                _ => add_feedback(sweep, &weights.output.times(&rates), &mut drive),
            }
            sweep.advance(at, &mut state, &mut drive);
            rates = with_constant(&state.rates);
            let seen = with_constant(&sweep.seen_rates(at, &state));
            let outputs = weights.output.times(&seen);
            recorded.put(at, &outputs, &state.rates);
            if !is_due(t, rule.every_steps) {
                continue;
            }
            let errors: Vec<Option<f64>> = targets.errors(at, &outputs).collect();
            let units: Vec<Option<f64>> = if rule.recurrent {
                (0..sweep.n_units).map(|i| errors[i % n_outputs]).collect()
            } else {
                Vec::new()
            };
            let sample = Sample {
                rates: &rates,
                seen: &seen,
                outputs: &errors,
                units: &units,
            };
            rls.learn(&sample, weights);
        }
        recorded.final_state.extend(state.activity);
    }
    recorded
}
