//! Estimate of the memory for training on the CPU.
//!
//! The factors were fitted to the peak resident memory of whole runs, including checkpoints: 64 to 2500 units, batches
//! of 8 to 1024 trials, one and two threads. In this range they are accurate to 10 %.

use ctrnn_config::Run;
use ctrnn_model::CtrnnConfig;
use ctrnn_random::{Key, Stream};
use ctrnn_tasks::{BatchRequest, ConditionOrder, Mask};

/// Bytes of the program itself, without any training.
const PROGRAM: f64 = 25.0 * 1048576.0;
/// Copies of every parameter that exist at the same time: the network and its last good state, gradients, intermediate
/// results of the sweep and the update, and the files of a checkpoint before they are written.
const COPIES: f64 = 15.0;
/// Further copies for each moment of the optimizer: the current one and that of the last good state.
const COPIES_OF_A_MOMENT: f64 = 2.0;
/// Further copies of parameters with masks: raw and effective weights, masks, and intermediate results.
const COPIES_UNDER_MASKS: f64 = 15.0;
/// Further copies under Dale's law, without and with masks.
const COPIES_UNDER_DALE: [f64; 2] = [11.0, 6.0];
/// Copies of the effective recurrent matrix of a network of factors, which is formed for files: the tensor, its check against the
/// factors, and the bytes of two formats. Counted, not fitted.
const COPIES_OF_A_PRODUCT: f64 = 5.0;
/// Factor for the padding of states: tiles of trials are filled up.
const ROOM_OF_STATES: f64 = 1.25;
/// Temporary arrays of a penalty on rates in a validation, each as large as all rates.
const ARRAYS_OF_A_RATE_PENALTY: f64 = 5.0;
/// Temporary arrays of the vanishing-gradient penalty where it needs a second pass.
const ARRAYS_OF_OMEGA: f64 = 9.0;

/// Number of arrays as large as the readout that an evaluation makes.
const ARRAYS_OF_A_READOUT: usize = 3;
/// Trials of an evaluation that run together.
const BLOCK: usize = 256;

/// Estimates the bytes for training; `states` is the number of values that a batch keeps for the backward pass.
pub fn bytes(run: &Run, max_steps: usize, states: usize) -> f64 {
    let model = &run.model;
    let n = model.n_units_of_layers();
    let (i, o) = (model.first_layer().n_inputs, model.n_outputs);
    let weights: f64 = model.layers().map(|layer| of_weights(run, layer)).sum();
    let train = &run.config.train;
    let of_rates = (train.batch_size * (train.steps_together(max_steps) + 1) * n) as f64;
    // Inputs, targets or readout, and mask; each both on the host and as a tensor.
    let of_batch = (2 * train.trials_of_step() * (max_steps + 1) * (i + o + 1)) as f64;
    let of_step = ROOM_OF_STATES * states as f64 + arrays_of_penalties(run) * of_rates + of_batch;
    let [held, of_block] = validation(run, max_steps);
    let numbers = weights + held + of_step.max(of_block);
    PROGRAM + size_of::<f32>() as f64 * numbers
}

/// Estimates the numbers in all copies of the parameters of a layer.
fn of_weights(run: &Run, model: &CtrnnConfig) -> f64 {
    let (n, i, o) = (model.n_units, model.n_inputs, model.n_outputs);
    let factors = model.low_rank.as_ref();
    let recurrent = factors.map_or(n, |factors| {
        2 * factors.rank + if factors.has_full() { n } else { 0 }
    });
    let parameters = (n * (recurrent + i + o + 2) + o) as f64;
    let product = factors.map_or(0, |_| n * n) as f64;
    copies(run, model) * parameters + COPIES_OF_A_PRODUCT * product
}

/// Counts the numbers in all validation trials, and those needed while a block of them runs.
fn validation(run: &Run, max_steps: usize) -> [f64; 2] {
    let (i, o) = (run.model.first_layer().n_inputs, run.model.n_outputs);
    let n = run.model.n_units_of_layers();
    let validate = &run.config.validate;
    let names = std::iter::once(None).chain(validate.sets.keys().map(Some));
    let of_sets = names.map(|name| validate.of_set(name.map(String::as_str)).trials);
    let of_sets: Vec<usize> = of_sets.collect();
    let tasks = run.set_tasks.iter();
    let steps = tasks.filter_map(|set| set.task.longest_steps(run.clock));
    let max_steps = steps.fold(max_steps, usize::max);
    let (all, largest) = (of_sets.iter().sum::<usize>(), of_sets.iter().max());
    let trials = largest.copied().unwrap_or(0);
    let of_trial = i + o + mask_width(run);
    let held = match run.task.trial_set() {
        Some(_) => 0,                           // each is made when it is needed
        None => 2 * all * max_steps * of_trial, // the single trials, and the batch as which they were made
    };
    let rates = if run.objective.record().rates {
        (1.0 + ARRAYS_OF_A_RATE_PENALTY) * n as f64
    } else {
        0.0
    };
    let of_row = (2 * of_trial + ARRAYS_OF_A_READOUT * o) as f64 + rates;
    let rows = (trials.min(BLOCK) * max_steps) as f64;
    [held as f64, rows * of_row]
}

/// Returns the number of mask values per time step in trials of the task.
fn mask_width(run: &Run) -> usize {
    if run.task.interrupt().is_some() {
        return run.model.n_outputs; // a program is not asked for a batch just for the estimate
    }
    let request = BatchRequest {
        clock: run.clock,
        first_trial: 0,
        n_trials: 1,
        key: Key::new(run.config.seed, Stream::Validation, 0),
        step: 0,
        conditions: ConditionOrder::Balanced,
    };
    match run.task.sample_batch(&request).map(|batch| batch.mask) {
        Ok(Mask::Steps(_)) => 1,
        _ => run.model.n_outputs,
    }
}

fn copies(run: &Run, model: &CtrnnConfig) -> f64 {
    let is_masked = !model.self_connections
        || model.density.recurrent < 1.0
        || model.connectivity.recurrent.mask.is_some();
    let under_masks = if is_masked { COPIES_UNDER_MASKS } else { 0.0 };
    let under_dale = match model.dale {
        Some(_) => COPIES_UNDER_DALE[usize::from(is_masked)],
        None => 0.0,
    };
    let moments = run.config.train.optimizer.values_per_parameter() as f64;
    COPIES + COPIES_OF_A_MOMENT * moments + under_masks + under_dale
}

fn arrays_of_penalties(run: &Run) -> f64 {
    let objective = &run.objective;
    let of_rates = objective.arrays_of_rates();
    match objective.omega {
        Some(_) if !objective.fuses_omega(&run.model) => of_rates + ARRAYS_OF_OMEGA,
        _ => of_rates,
    }
}

#[cfg(test)]
mod tests {
    use super::bytes;
    use ctrnn_config::RunConfig;

    /// Compares with the peak resident memory, in MiB, of runs of four steps with 3 inputs and 3 outputs and 60 time
    /// steps, on one thread.
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
