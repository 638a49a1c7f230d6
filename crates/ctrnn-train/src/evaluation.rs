//! Evaluation: loss and accuracy on a fixed set of trials, overall and per condition.

pub(crate) mod accuracy;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Range;

use burn::tensor::backend::Backend;
use burn::tensor::{ElementConversion, Tensor};
use ctrnn_model::{
    CtrnnModule, Forward, Noise, NoiseAddress, Record, RecurrenceBackend, Trajectory,
};
use ctrnn_random::Key;
use ctrnn_tasks::{
    BatchRequest, Clock, ConditionOrder, Task, Trial, TrialBatch, TrialSet, value_bits,
};

use crate::TrainError;
use crate::batch::{Batch, condition_numbers};
use crate::evaluation::accuracy::{Answer, Tally, answers, confusion};
use crate::objective::penalty::Statistic;
use crate::objective::{LossInputs, Objective};
use crate::observer::{EvalReport, Score, Worst};

/// Trials that run together: enough to be quick, few enough for memory.
pub(crate) const TOGETHER: usize = 256;

/// The trials that a network is evaluated on.
pub enum EvaluationTrials<'a> {
    /// Trials that were made.
    Made(Cow<'a, [Trial]>),
    /// The first trials that a task holds out; each is made when it is needed.
    HeldOut(&'a dyn TrialSet, usize),
}

impl<'a> EvaluationTrials<'a> {
    /// The first `n` trials of [`evaluation_trials`], fewer if there are not so many.
    ///
    /// # Errors
    /// If the task cannot make them.
    pub fn of(task: &'a dyn Task, clock: Clock, key: Key, n: usize) -> Result<Self, TrainError> {
        match task.trial_set() {
            Some(set) => Ok(Self::HeldOut(set, n.min(set.n_held_out()))),
            None => Ok(Self::Made(
                evaluation_trials(task, clock, key, 0..n)?.into(),
            )),
        }
    }

    /// Returns the number of trials.
    pub fn n_trials(&self) -> usize {
        match self {
            Self::Made(trials) => trials.len(),
            Self::HeldOut(_, n) => *n,
        }
    }

    /// Some of them.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn some(&self, numbers: Range<usize>) -> Cow<'_, [Trial]> {
        match self {
            Self::Made(trials) => trials[numbers].into(),
            Self::HeldOut(set, _) => numbers.map(|number| set.held_out(number)).collect(),
        }
    }
}

/// The trials of these numbers that a network is evaluated on: those that the task holds out, as far as there are so many; else
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
    if let Some(set) = task.trial_set() {
        let some = numbers.start..numbers.end.min(set.n_held_out());
        return Ok(some.map(|number| set.held_out(number)).collect());
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
    trials: &EvaluationTrials,
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
    trials: &EvaluationTrials,
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
    let n_trials = trials.n_trials();
    let mut answered = Vec::with_capacity(n_trials);
    let mut conditions = Columns::new();
    for first in (0..n_trials).step_by(together) {
        let some = trials.some(first..n_trials.min(first.saturating_add(together)));
        let padded = TrialBatch::new(some.iter());
        let batch = Batch::new(&padded, &device);
        let forward = Forward {
            noise: part(noise, first, some.len()),
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
        append(&mut conditions, &padded.conditions);
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
        trials: n_trials,
        confusion: confusion(task, &answered),
        by: scores(&conditions, &answered, dt_ms),
        worst: worst(&conditions, &answered),
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

/// Names of conditions, and the value in each trial.
type Columns = Vec<(String, Vec<f64>)>;

fn append(all: &mut Columns, some: &Columns) {
    if all.is_empty() {
        all.extend(some.iter().cloned());
        return;
    }
    for ((_, all), (_, some)) in all.iter_mut().zip(some) {
        all.extend(some);
    }
}

/// The order in which trials with the same values stand together.
fn compare(columns: &[(String, Vec<f64>)], a: usize, b: usize) -> Ordering {
    let bits = |trial: usize| {
        columns
            .iter()
            .map(move |(_, column)| value_bits(column[trial]))
    };
    bits(a).cmp(bits(b))
}

/// All trials, those with the same values together; within a group they keep their order.
fn grouped(columns: &[(String, Vec<f64>)], n_trials: usize) -> Vec<usize> {
    let mut trials: Vec<usize> = (0..n_trials).collect();
    trials.sort_by(|&a, &b| compare(columns, a, b));
    trials
}

/// The condition with the least accuracy, of equal ones the first to appear; none if there is but one. A value that does not
/// apply to it is left out.
fn worst(conditions: &Columns, answers: &[Answer]) -> Option<Worst> {
    let trials = grouped(conditions, answers.len());
    let groups = || trials.chunk_by(|&a, &b| compare(conditions, a, b).is_eq());
    let scored = groups().filter_map(|group| Some((tally(answers, group).accuracy()?, group)));
    let (accuracy, group) =
        scored.min_by(|(a, one), (b, other)| a.total_cmp(b).then(one[0].cmp(&other[0])))?;
    let several = group.len() < answers.len();
    let values = conditions
        .iter()
        .map(|(name, column)| (name.clone(), column[group[0]]));
    several.then(|| Worst {
        condition: values.filter(|(_, value)| !value.is_nan()).collect(),
        accuracy,
        trials: group.len(),
    })
}

fn tally(answers: &[Answer], trials: &[usize]) -> Tally {
    trials.iter().map(|&b| &answers[b]).collect()
}

fn scores(
    conditions: &Columns,
    answers: &[Answer],
    dt_ms: f64,
) -> BTreeMap<String, BTreeMap<String, Score>> {
    let scores = |condition: &(String, Vec<f64>)| {
        let column = std::slice::from_ref(condition);
        let trials = grouped(column, answers.len());
        let groups = trials.chunk_by(|&a, &b| compare(column, a, b).is_eq());
        let score = |group: &[usize]| {
            let value = condition.1[group[0]] + 0.0; // -0 is 0
            (value.to_string(), tally(answers, group).score(dt_ms))
        };
        groups.map(score).collect()
    };
    let columns = conditions.iter();
    columns
        .map(|column| (column.0.clone(), scores(column)))
        .collect()
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
            right: None,
            chosen: None,
            reaction_steps: None,
        };
        let answers: Vec<Answer> = trials.iter().map(answer).collect();
        let columns = TrialBatch::new(&trials).conditions;
        let found = worst(&columns, &answers).expect("there are right choices");
        let values = [("a".to_owned(), 1.0), ("b".to_owned(), 2.0)];
        assert_eq!(found.condition, BTreeMap::from(values));
        assert_eq!((found.accuracy, found.trials), (0.0, 2));
        assert_eq!(worst(&columns, &answers[..1]), None);
    }
}
