//! full-FORCE: the recurrent drive of each unit is trained towards that of a random network which the targets drive.

use ctrnn_model::HostSweep;
use ctrnn_random::{Key, Rng, Stream};

use super::config::FullForce;
use super::rls::Sample;
use super::weights::Table;
use super::{OnlineWeights, Recorded, Rls, Targets, is_due, with_constant};

/// Network that generates the targets of the recurrent drive: random connections, and weights from the targets of the task.
pub(crate) struct TargetNetwork {
    /// Recurrent weights `[N + 1, N]` without biases.
    recurrent: Table,
    /// Weights from the targets `[O + 1, N]`.
    from_targets: Table,
}

impl TargetNetwork {
    /// Draws the network of a seed: normal connections of standard deviation `g / sqrt(N)`, and uniform weights from the targets.
    pub fn draw(rule: &FullForce, n_units: usize, n_outputs: usize, seed: u64) -> Self {
        let key = Key::new(seed, Stream::LearningRule, 0);
        let std = rule.target_gain / (n_units as f64).sqrt();
        let mut rng = Rng::new(key, 0, 0);
        let connections: Vec<f64> = (0..n_units * n_units)
            .map(|_| std * f64::from(rng.normal()))
            .collect();
        let mut rng = Rng::new(key, 1, 0);
        let from_targets: Vec<f64> = (0..n_units * n_outputs)
            .map(|_| rng.uniform_in(-rule.target_drive, rule.target_drive))
            .collect();
        let no_bias = vec![0.0; n_units];
        Self {
            recurrent: Table::of(&connections, &no_bias),
            from_targets: Table::of(&from_targets, &no_bias),
        }
    }

    /// Returns the recurrent drive at rates that have a constant after them, with that of the targets.
    fn drive(&self, rates: &[f64], targets: &[f64]) -> Vec<f64> {
        let mut drive = self.recurrent.times(rates);
        let from_targets = self.from_targets.times(&with_constant(targets));
        drive
            .iter_mut()
            .zip(from_targets)
            .for_each(|(d, x)| *d += x);
        drive
    }
}

/// Runs the trials of a batch one after another, in the network and in the one that generates the targets, and updates the weights within
/// them.
pub(crate) fn full_force(
    rule: &FullForce,
    sweep: &HostSweep,
    targets: &Targets,
    target_network: &TargetNetwork,
    weights: &mut OnlineWeights,
    rls: &mut Rls,
) -> Recorded {
    let (n_trials, n_outputs) = (targets.n_trials, targets.n_outputs);
    let n_steps = targets.n_steps.iter().copied().max().unwrap_or(0);
    let mut recorded = Recorded::new(n_trials, n_steps, n_outputs, sweep.n_units);
    for trial in 0..n_trials {
        let mut state = sweep.start(trial);
        let mut target_state = state.clone();
        let mut rates = with_constant(&state.rates);
        let mut target_drive = target_network.drive(&rates, targets.at([0, trial]));
        for t in 0..targets.n_steps[trial] {
            let at = [t, trial];
            sweep.advance(at, &mut state, &mut weights.recurrent.times(&rates));
            sweep.advance_silently(at, &mut target_state, &mut target_drive);
            rates = with_constant(&state.rates);
            let target_rates = with_constant(&target_state.rates);
            target_drive = target_network.drive(&target_rates, targets.at(at));
            let seen = with_constant(&sweep.seen_rates(at, &state));
            let outputs = weights.output.times(&seen);
            recorded.put(at, &outputs, &state.rates);
            if !is_due(t, rule.every_steps) {
                continue;
            }
            let drive = weights.recurrent.times(&rates);
            let pairs = drive.iter().zip(&target_drive);
            let units: Vec<Option<f64>> = pairs.map(|(own, target)| Some(own - target)).collect();
            let errors: Vec<Option<f64>> = targets.errors(at, &outputs).collect();
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
