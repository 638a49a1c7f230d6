//! Evaluation: loss and accuracy on a fixed set of trials, overall and per condition.

use std::collections::BTreeMap;

use burn::tensor::ElementConversion;
use ctrnn_model::{CtrnnModule, Forward, Noise, NoiseAddress, RecurrenceBackend};
use ctrnn_random::Key;
use ctrnn_tasks::{BatchRequest, Clock, ConditionOrder, Task, Trial, TrialBatch};

use crate::TrainError;
use crate::accuracy::{Tally, corrects};
use crate::batch::{Batch, condition_numbers};
use crate::config::Loss;
use crate::observer::{EvalReport, Score};

/// Trials that run together: enough to be quick, few enough for memory.
const TOGETHER: usize = 256;

/// The trials that a network is evaluated on: those that the task set aside, at most `n`; else `n` trials that take
/// the task's conditions in turn, each drawn at its own address of `key`, the same ones every time.
///
/// # Errors
/// If the task cannot make them.
pub fn evaluation_trials(
    task: &dyn Task,
    clock: Clock,
    key: Key,
    n: usize,
) -> Result<Vec<Trial>, TrainError> {
    if let Some(held_out) = task.held_out() {
        return Ok(held_out.iter().take(n).cloned().collect());
    }
    let request = BatchRequest {
        clock,
        n_trials: n,
        key,
        step: 0,
        conditions: ConditionOrder::Balanced,
    };
    let batch = task.sample_batch(&request)?;
    Ok((0..n).map(|b| batch.trial(b)).collect())
}

/// Runs `network` on `trials` and scores it.
///
/// # Errors
/// [`TrainError::EmptyMask`] if nothing counts in the loss.
pub fn evaluate<B: RecurrenceBackend>(
    network: &CtrnnModule<B>,
    task: &dyn Task,
    trials: &[Trial],
    loss: Loss,
    noise: &Noise<B>,
) -> Result<EvalReport, TrainError> {
    let device = network.device();
    let (mut loss_sum, mut weight_sum) = (0.0, 0.0);
    let mut choices = Vec::with_capacity(trials.len());
    for (k, some) in trials.chunks(TOGETHER).enumerate() {
        let padded = TrialBatch::new(some);
        let batch = Batch::new(&padded, &device);
        let forward = Forward {
            noise: shifted(noise, k * TOGETHER),
            conditions: condition_numbers(network, task, &padded)?,
            ..Forward::default()
        };
        let outputs = network.forward(batch.inputs.clone(), &forward).outputs;
        let nonlinearity = network.config().output_nonlinearity;
        let sum = loss.sum(outputs.clone(), nonlinearity, &batch);
        let sum: f64 = sum.into_scalar().elem();
        loss_sum += sum;
        weight_sum += loss.weight(&batch);
        choices.extend(corrects(task, &padded, network.activate(outputs)));
    }
    if weight_sum == 0.0 {
        return Err(TrainError::EmptyMask(
            "the trials of the evaluation".to_owned(),
        ));
    }
    let mut all = Tally::default();
    choices.iter().for_each(|&choice| all.count(choice));
    Ok(EvalReport {
        accuracy: all.accuracy(),
        loss: loss_sum / weight_sum,
        trials: trials.len(),
        by: scores(trials, &choices),
    })
}

/// The noise of trials from `first` on.
fn shifted<B: RecurrenceBackend>(noise: &Noise<B>, first: usize) -> Noise<B> {
    match noise {
        Noise::Drawn(address) => Noise::Drawn(NoiseAddress {
            first_trial: address.first_trial + first as u32,
            ..*address
        }),
        other => other.clone(),
    }
}

fn scores(trials: &[Trial], choices: &[Option<bool>]) -> BTreeMap<String, BTreeMap<String, Score>> {
    let mut tallies: BTreeMap<String, BTreeMap<String, (Tally, usize)>> = BTreeMap::new();
    for (trial, &choice) in trials.iter().zip(choices) {
        for (name, value) in &trial.condition {
            let by_value = tallies.entry(name.clone()).or_default();
            let (tally, n) = by_value.entry(value.to_string()).or_default();
            tally.count(choice);
            *n += 1;
        }
    }
    let score = |(tally, trials): (Tally, usize)| Score {
        accuracy: tally.accuracy(),
        trials,
    };
    tallies
        .into_iter()
        .map(|(name, values)| {
            (
                name,
                values.into_iter().map(|(v, t)| (v, score(t))).collect(),
            )
        })
        .collect()
}
