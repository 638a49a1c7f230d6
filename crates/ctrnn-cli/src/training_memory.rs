//! Memory that training takes on the CPU.
//!
//! The factors were fitted to the largest resident sets of whole runs, checkpoints included: 64 to 2500 units, batches of 8 to 1024
//! trials, one and two threads. They hold within a tenth there.

use ctrnn_config::Run;
use ctrnn_train::Optimizer;

/// Bytes of the program itself, whatever it trains.
const PROGRAM: f64 = 25.0 * 1048576.0;
/// Copies of every parameter that are alive together: the network and its last good state, gradients, what the sweep and the
/// update make of them on the way, and the files of a checkpoint before they are written.
const COPIES: f64 = 15.0;
/// Further copies for each moment of the optimizer: its own, and that of the last good state.
const COPIES_OF_A_MOMENT: f64 = 2.0;
/// Further copies of parameters with masks: raw and effective weights, masks, and steps between them.
const COPIES_UNDER_MASKS: f64 = 15.0;
/// Further copies under Dale's law, without masks and beside them.
const COPIES_UNDER_DALE: [f64; 2] = [11.0, 6.0];
/// Room that the states take for each of their numbers: tiles of trials are filled up.
const ROOM_OF_STATES: f64 = 1.25;
/// Arrays as large as all rates that a penalty on rates makes on its way.
const ARRAYS_OF_A_RATE_PENALTY: f64 = 5.0;
/// The same of the vanishing-gradient penalty, which takes a second pass.
const ARRAYS_OF_OMEGA: f64 = 9.0;

/// Bytes that training takes; `states` are the numbers that a batch keeps for the way back.
pub fn bytes(run: &Run, max_steps: usize, states: usize) -> f64 {
    let model = &run.model;
    let (n, i, o) = (model.n_units, model.n_inputs, model.n_outputs);
    let parameters = (n * (n + i + o + 2) + o) as f64;
    let rows = run.config.train.batch_size * (max_steps + 1);
    let of_rates = (rows * n) as f64;
    // Inputs, targets or readout, and mask, on the host and as tensors.
    let of_batch = (2 * rows * (i + o + 1)) as f64;
    let numbers = copies(run) * parameters
        + ROOM_OF_STATES * states as f64
        + arrays_of_penalties(run) * of_rates
        + of_batch;
    PROGRAM + size_of::<f32>() as f64 * numbers
}

fn copies(run: &Run) -> f64 {
    let model = &run.model;
    let is_masked = !model.self_connections
        || model.density.recurrent < 1.0
        || model.connectivity.recurrent.mask.is_some();
    let under_masks = if is_masked { COPIES_UNDER_MASKS } else { 0.0 };
    let under_dale = match model.dale {
        Some(_) => COPIES_UNDER_DALE[usize::from(is_masked)],
        None => 0.0,
    };
    COPIES + COPIES_OF_A_MOMENT * moments(&run.config.train.optimizer) + under_masks + under_dale
}

/// Numbers that an optimizer keeps for each parameter.
fn moments(optimizer: &Optimizer) -> f64 {
    let is_kept = |kept: bool| if kept { 1.0 } else { 0.0 };
    match optimizer {
        Optimizer::Adam(rule) => 2.0 + is_kept(rule.amsgrad),
        Optimizer::AdamW(rule) => 2.0 + is_kept(rule.amsgrad),
        Optimizer::Sgd(rule) => is_kept(rule.momentum > 0.0),
        Optimizer::RmsProp(rule) => 1.0 + is_kept(rule.momentum > 0.0) + is_kept(rule.centered),
        Optimizer::AdaGrad(_) => 1.0,
    }
}

fn arrays_of_penalties(run: &Run) -> f64 {
    let objective = &run.objective;
    let of_rates = if objective.record().rates {
        ARRAYS_OF_A_RATE_PENALTY
    } else {
        0.0
    };
    match objective.omega {
        Some(_) => of_rates + ARRAYS_OF_OMEGA,
        None => of_rates,
    }
}

#[cfg(test)]
mod tests {
    use super::bytes;
    use ctrnn_config::RunConfig;

    /// Largest resident sets of runs of four steps with 3 inputs and 3 outputs and 60 time steps, one thread, in MiB.
    #[test]
    fn the_estimate_is_what_whole_runs_took() {
        for (sizes, measured) in [
            ("[model]\nn_units = 64\n[train]\nbatch_size = 64", 27.4),
            ("[model]\nn_units = 1000\n[train]\nbatch_size = 64", 118.5),
            ("[model]\nn_units = 1000\n[train]\nbatch_size = 256", 173.8),
            ("[model]\nn_units = 2500\n[train]\nbatch_size = 64", 527.8),
            (
                "[model]\nn_units = 1000\n[train]\nbatch_size = 64\noptimizer.name = 'sgd'",
                103.1,
            ),
        ] {
            let text = format!("[task.perceptual_decision]\n{sizes}");
            let registry = ctrnn_runs::registry();
            let folder = std::path::Path::new("/");
            let run = RunConfig::from_text(&text, "a.toml", folder, &[], &registry).unwrap();
            let states = run.config.train.batch_size * 61 * run.model.n_units;
            let mib = bytes(&run, 60, states) / f64::from(1 << 20);
            assert!(
                (mib / measured - 1.0).abs() < 0.1,
                "{sizes}: {mib} and {measured}"
            );
        }
    }
}
