//! Evaluation: loss and accuracy on a fixed set of trials, overall and per condition.

use std::collections::BTreeMap;
use std::ops::Range;

use burn::tensor::backend::Backend;
use burn::tensor::{ElementConversion, Tensor};
use ctrnn_model::{
    CtrnnModule, Forward, Noise, NoiseAddress, Record, RecurrenceBackend, Trajectory,
};
use ctrnn_random::Key;
use ctrnn_tasks::{BatchRequest, Clock, ConditionOrder, Task, Trial, TrialBatch};

use crate::TrainError;
use crate::accuracy::{Answer, Tally, answers, confusion};
use crate::batch::{Batch, condition_numbers};
use crate::objective::{LossInputs, Objective};
use crate::observer::{EvalReport, Score, Worst};
use crate::penalty::Statistic;

/// Trials that run together: enough to be quick, few enough for memory.
pub(crate) const TOGETHER: usize = 256;

/// The trials of these numbers that a network is evaluated on: those that the task set aside, as far as there are so many; else
/// trials that take the task's conditions in turn, each drawn at its own address of `key`, the same ones every time.
///
/// # Errors
/// If the task cannot make them.
pub fn evaluation_trials(
    task: &dyn Task,
    clock: Clock,
    key: Key,
    numbers: Range<usize>,
) -> Result<Vec<Trial>, TrainError> {
    if let Some(held_out) = task.held_out() {
        let some = held_out.iter().take(numbers.end).skip(numbers.start);
        return Ok(some.cloned().collect());
    }
    let request = BatchRequest {
        clock,
        first_trial: numbers.start,
        n_trials: numbers.len(),
        key,
        step: 0,
        conditions: ConditionOrder::Balanced,
    };
    let batch = task.sample_batch(&request)?;
    Ok((0..numbers.len()).map(|b| batch.trial(b)).collect())
}

/// Runs `network` on `trials`, 256 at a time, and scores it. No number depends on how many run together.
///
/// # Errors
/// [`TrainError::EmptyMask`] if nothing counts in the loss.
pub fn evaluate<B: RecurrenceBackend>(
    network: &CtrnnModule<B>,
    task: &dyn Task,
    trials: &[Trial],
    objective: &Objective,
    noise: &Noise<B>,
) -> Result<EvalReport, TrainError> {
    let scored = Scored {
        objective,
        names: objective.measured_names(),
        record: objective.record(),
        further: &|_, _| Vec::new(),
        together: TOGETHER,
    };
    evaluate_terms(network, task, trials, &scored, noise)
}

/// Terms beside those of the objective, each with its value for a batch.
pub(crate) type Further<'a, B> = dyn Fn(&Trajectory<B>, &Batch<B>) -> Vec<f64> + 'a;

/// What an evaluation measures beside accuracy.
pub(crate) struct Scored<'a, B: Backend> {
    pub objective: &'a Objective,
    /// The names of all terms: the loss, the penalties, then those of `further`; none where there is only the loss.
    pub names: Vec<String>,
    pub record: Record,
    /// Values of terms that the objective does not hold.
    pub further: &'a Further<'a, B>,
    /// Number of trials that run together: all of them if there are terms in `further`, of which nobody knows how parts make a whole.
    pub together: usize,
}

pub(crate) fn evaluate_terms<B: RecurrenceBackend>(
    network: &CtrnnModule<B>,
    task: &dyn Task,
    trials: &[Trial],
    scored: &Scored<B>,
    noise: &Noise<B>,
) -> Result<EvalReport, TrainError> {
    let device = network.device();
    let Objective {
        loss,
        normalisation,
        penalties,
        ..
    } = scored.objective;
    let together = scored.together;
    let (mut loss_sum, mut weight_sum) = (0.0, 0.0);
    let mut statistics: Vec<Option<Statistic<B>>> = vec![None; penalties.len()];
    let mut further = Vec::new();
    let mut answered = Vec::with_capacity(trials.len());
    for (k, some) in trials.chunks(together).enumerate() {
        let padded = TrialBatch::new(some);
        let batch = Batch::new(&padded, &device);
        let forward = Forward {
            noise: part(noise, k * together, some.len()),
            record: scored.record,
            conditions: condition_numbers(network, task, &padded)?,
            ..Forward::default()
        };
        let trajectory = network.forward(batch.inputs.clone(), &forward);
        let outputs = trajectory.outputs.clone();
        let nonlinearity = network.config().output_nonlinearity;
        let sum: f64 = loss
            .sum(
                *normalisation,
                loss.seen(nonlinearity, outputs.clone()),
                &batch,
            )
            .into_scalar()
            .elem();
        loss_sum += sum;
        weight_sum += loss.weight(*normalisation, &batch);
        answered.extend(answers(task, &padded, network.activate(outputs)));
        further = (scored.further)(&trajectory, &batch);
        let inputs = LossInputs::new(network, trajectory, &batch);
        for (all, penalty) in statistics.iter_mut().zip(penalties) {
            let own = penalty.statistic(&inputs);
            *all = Some(match all.take() {
                Some(before) => before.joined(own),
                None => own,
            });
        }
    }
    if weight_sum == 0.0 {
        return Err(TrainError::EmptyMask(
            "the trials of the evaluation".to_owned(),
        ));
    }
    let of_all = penalties.iter().zip(statistics.into_iter().flatten());
    let values = of_all.map(|(penalty, all)| penalty.of(all).into_scalar().elem::<f64>());
    let terms: Vec<f64> = std::iter::once(loss_sum / weight_sum)
        .chain(values)
        .chain(further)
        .collect();
    let dt_ms = network.config().dt_ms;
    let all = answered.iter().collect::<Tally>().score(dt_ms);
    Ok(EvalReport {
        accuracy: all.accuracy,
        reaction_ms: all.reaction_ms,
        loss: terms.iter().sum(),
        terms: scored.names.iter().cloned().zip(terms).collect(),
        trials: trials.len(),
        confusion: confusion(task, trials, &answered),
        by: scores(trials, &answered, dt_ms),
        worst: worst(trials, &answered),
    })
}

/// Takes the noise of `n` trials from `first` on.
fn part<B: RecurrenceBackend>(noise: &Noise<B>, first: usize, n: usize) -> Noise<B> {
    let narrow = |normals: &Option<Tensor<B, 3>>| {
        let normals = normals.clone();
        normals.map(|normals| normals.narrow(0, first, n))
    };
    match noise {
        Noise::Off => Noise::Off,
        Noise::Drawn(address) => Noise::Drawn(NoiseAddress {
            first_trial: address.first_trial + first as u32,
            ..*address
        }),
        Noise::Given {
            preactivation,
            postactivation,
            input,
        } => Noise::Given {
            preactivation: narrow(preactivation),
            postactivation: narrow(postactivation),
            input: narrow(input),
        },
    }
}

/// The condition with the least accuracy, of equal ones the first to appear; none if there is but one.
fn worst(trials: &[Trial], answers: &[Answer]) -> Option<Worst> {
    let mut tallies: Vec<(&[(String, f64)], Tally)> = Vec::new();
    for (trial, answer) in trials.iter().zip(answers) {
        let place = tallies
            .iter()
            .position(|(values, _)| *values == trial.condition);
        let place = place.unwrap_or_else(|| {
            tallies.push((&trial.condition, Tally::default()));
            tallies.len() - 1
        });
        tallies[place].1.count(answer);
    }
    let several = tallies.len() > 1;
    let scored = tallies.into_iter().filter_map(|(values, tally)| {
        Some(Worst {
            condition: values.iter().cloned().collect(),
            accuracy: tally.accuracy()?,
            trials: tally.trials(),
        })
    });
    let least = scored.min_by(|a, b| a.accuracy.total_cmp(&b.accuracy));
    least.filter(|_| several)
}

fn scores(
    trials: &[Trial],
    answers: &[Answer],
    dt_ms: f64,
) -> BTreeMap<String, BTreeMap<String, Score>> {
    let mut tallies: BTreeMap<String, BTreeMap<String, Tally>> = BTreeMap::new();
    for (trial, answer) in trials.iter().zip(answers) {
        for (name, value) in &trial.condition {
            let by_value = tallies.entry(name.clone()).or_default();
            by_value.entry(value.to_string()).or_default().count(answer);
        }
    }
    let score = |(value, tally): (String, Tally)| (value, tally.score(dt_ms));
    let scores = |values: BTreeMap<String, Tally>| values.into_iter().map(score).collect();
    let all = tallies.into_iter();
    all.map(|(name, values)| (name, scores(values))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctrnn_tasks::{Condition, Layout, Timeline};

    /// Wrong where a = 1 and b = 2 together, which is half of the trials of either value; c = 0 has no right choice.
    #[test]
    fn the_worst_condition_is_one_of_all_values_together() {
        let condition = |a, b| Condition::new([("a", a), ("b", b)]);
        let conditions = [(0.0, 1.0), (1.0, 1.0), (0.0, 2.0), (1.0, 2.0), (5.0, 5.0)];
        let layout = Layout::new([], ["left", "right"]);
        let trial = |(a, b)| Trial::new(&layout, &condition(a, b), Timeline::default());
        let trials: Vec<Trial> = conditions.into_iter().cycle().take(10).map(trial).collect();
        let answer = |trial: &Trial| Answer {
            is_correct: match (trial.value("a"), trial.value("b")) {
                (Some(5.0), _) => None,
                values => Some(values != (Some(1.0), Some(2.0))),
            },
            chosen: None,
            reaction_steps: None,
        };
        let answers: Vec<Answer> = trials.iter().map(answer).collect();
        let found = worst(&trials, &answers).expect("there are right choices");
        let values = [("a".to_owned(), 1.0), ("b".to_owned(), 2.0)];
        assert_eq!(found.condition, BTreeMap::from(values));
        assert_eq!((found.accuracy, found.trials), (0.0, 2));
        assert_eq!(worst(&trials[..1], &answers[..1]), None);
    }
}
