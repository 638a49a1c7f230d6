//! Evaluation: loss and accuracy on a fixed set of trials, overall and per condition.

pub(crate) mod accuracy;
#[cfg(test)]
mod breakdown_test;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Range;

use burn::tensor::backend::Backend;
use burn::tensor::{ElementConversion, Tensor};
use ctrnn_model::{
    CtrnnModule, Forward, ModelError, Noise, NoiseAddress, Record, RecurrenceBackend, Trajectory,
};
use ctrnn_random::{Key, Stream};
use ctrnn_tasks::{
    BatchRequest, Clock, ConditionOrder, Task, Trial, TrialBatch, TrialSet, value_bits,
};

use crate::TrainError;
use crate::batch::Batch;
use crate::condition_states::condition_numbers;
use crate::evaluation::accuracy::{Answer, Tally, answers, confusion};
use crate::objective::penalty::Statistic;
use crate::objective::{LossInputs, Objective};
use crate::observer::{EvalReport, GroupScore, Score, Worst};
use crate::settings::TrainSettings;

/// Number of trials that run together: a compromise between speed and memory.
pub(crate) const TOGETHER: usize = 256;

/// Largest number of values of a condition that are scored one by one. A table with more would take more memory than
/// the trials themselves.
const MOST_SCORED: usize = 10_000;

/// The trials on which a network is evaluated.
pub enum EvaluationTrials<'a> {
    /// Trials in memory.
    Made(Cow<'a, [Trial]>),
    /// The first trials of a task's held-out set, as many as given; each is made on demand.
    HeldOut(&'a dyn TrialSet, usize),
}

impl<'a> EvaluationTrials<'a> {
    /// Selects the first `n` trials that the task holds out, or all if there are fewer; for a task without a held-out
    /// set, makes `n` trials, whose conditions are in the given order.
    ///
    /// # Errors
    /// If the task cannot make the trials.
    pub fn of(
        task: &'a dyn Task,
        clock: Clock,
        key: Key,
        order: ConditionOrder,
        n: usize,
    ) -> Result<Self, TrainError> {
        Ok(match task.trial_set() {
            Some(set) => Self::HeldOut(set, n.min(set.n_held_out())),
            None if n == 0 => Self::Made(Vec::new().into()),
            None => Self::Made(drawn_trials(task, clock, key, order, 0..n)?.into()),
        })
    }

    /// Returns the number of trials.
    pub fn n_trials(&self) -> usize {
        match self {
            Self::Made(trials) => trials.len(),
            Self::HeldOut(_, n) => *n,
        }
    }

    /// Returns the names of the conditions, each with its value in every trial.
    pub fn conditions(&self) -> Vec<(String, Vec<f64>)> {
        let mut columns = Columns::new();
        for number in 0..self.n_trials() {
            let values = match self {
                Self::Made(trials) => Cow::Borrowed(&trials[number].condition),
                Self::HeldOut(set, _) => Cow::Owned(set.held_out_condition(number)),
            };
            if number == 0 {
                columns.extend(values.iter().map(|(name, _)| (name.clone(), Vec::new())));
            }
            for ((_, column), (_, value)) in columns.iter_mut().zip(values.iter()) {
                column.push(*value);
            }
        }
        columns
    }

    /// Returns the trials with these numbers.
    ///
    /// # Panics
    /// If a number is not below [`EvaluationTrials::n_trials`].
    pub fn some(&self, numbers: Range<usize>) -> Cow<'_, [Trial]> {
        match self {
            Self::Made(trials) => trials[numbers].into(),
            Self::HeldOut(set, _) => numbers.map(|number| set.held_out(number)).collect(),
        }
    }
}

/// The tasks of a training: the one whose trials it learns, and those of validation sets with trials of their own.
#[derive(Clone)]
pub struct Tasks<'a> {
    /// The task of the training and of the main validation set.
    pub trained: &'a dyn Task,
    /// Tasks of named validation sets; a set that is not listed has the task of the training.
    pub of_sets: Vec<(&'a str, &'a dyn Task)>,
}

impl<'a> Tasks<'a> {
    /// Creates the tasks of a training whose validation sets all have its own task.
    pub fn of(trained: &'a dyn Task) -> Self {
        Self {
            trained,
            of_sets: Vec::new(),
        }
    }

    /// Returns the task of a validation set.
    pub fn of_set(&self, name: Option<&str>) -> &'a dyn Task {
        let mut named = self.of_sets.iter();
        let own = named.find(|(own, _)| Some(*own) == name);
        own.map_or(self.trained, |(_, task)| *task)
    }
}

/// A set of validation trials, which are the same in every validation.
pub struct ValidationSet<'a> {
    /// Its name; `None` for the main set.
    pub name: Option<String>,
    /// The task that judges the answers.
    pub task: &'a dyn Task,
    /// The trials.
    pub trials: EvaluationTrials<'a>,
    /// True if the network and its inputs have their noise.
    pub has_noise: bool,
}

impl<'a> ValidationSet<'a> {
    /// Makes a validation set of a run: the main one, or one with a name. Trials of all sets are drawn from one stream, so that sets
    /// of one task differ only in their settings.
    ///
    /// # Errors
    /// If its task cannot make the trials.
    pub fn new(
        name: Option<&str>,
        task: &'a dyn Task,
        settings: &TrainSettings,
    ) -> Result<Self, TrainError> {
        let key = Key::new(settings.seed, Stream::Validation, 0);
        let own = settings.validate.of_set(name);
        let order = own.balance.order();
        Ok(Self {
            name: name.map(str::to_owned),
            task,
            trials: EvaluationTrials::of(task, settings.clock, key, order, own.trials)?,
            has_noise: own.noise,
        })
    }

    /// Makes all validation sets of a run: the main one, then those with names.
    ///
    /// # Errors
    /// If a task cannot make its trials.
    pub fn all(tasks: &Tasks<'a>, settings: &TrainSettings) -> Result<Vec<Self>, TrainError> {
        let named = settings.validate.sets.keys();
        let names = std::iter::once(None).chain(named.map(|name| Some(name.as_str())));
        names
            .map(|name| Self::new(name, tasks.of_set(name), settings))
            .collect()
    }

    /// Returns the noise of the set in a run with this seed.
    pub fn noise<B: Backend>(&self, seed: u64) -> Noise<B> {
        if self.has_noise {
            Noise::Drawn(validation_noise(seed))
        } else {
            Noise::Off
        }
    }
}

/// Returns the evaluation trials with these numbers: the trials that the task holds out, as far as there are enough;
/// for a task without a held-out set, trials whose conditions come in an order, each drawn at its own address of `key`,
/// so that they are the same every time.
///
/// # Errors
/// If the task cannot make the trials.
pub fn evaluation_trials(
    task: &dyn Task,
    clock: Clock,
    key: Key,
    order: ConditionOrder,
    numbers: Range<usize>,
) -> Result<Vec<Trial>, TrainError> {
    if let Some(set) = task.trial_set() {
        let some = numbers.start..numbers.end.min(set.n_held_out());
        return Ok(some.map(|number| set.held_out(number)).collect());
    }
    drawn_trials(task, clock, key, order, numbers)
}

fn drawn_trials(
    task: &dyn Task,
    clock: Clock,
    key: Key,
    order: ConditionOrder,
    numbers: Range<usize>,
) -> Result<Vec<Trial>, TrainError> {
    let request = BatchRequest {
        clock,
        first_trial: numbers.start,
        n_trials: numbers.len(),
        key,
        step: 0,
        conditions: order,
    };
    let batch = task.sample_batch(&request)?;
    Ok((0..numbers.len()).map(|b| batch.trial(b)).collect())
}

/// Returns the address of the noise in every validation of a run: a number that no training step has.
pub const fn validation_noise(seed: u64) -> NoiseAddress {
    NoiseAddress {
        seed,
        step: u32::MAX - 1,
        first_trial: 0,
        first_time_step: 0,
    }
}

/// Returns the address of the noise outside training and validation: a number that no training step has.
pub const fn evaluation_noise(seed: u64) -> NoiseAddress {
    NoiseAddress {
        seed,
        step: u32::MAX,
        first_trial: 0,
        first_time_step: 0,
    }
}

/// Selection and grouping of the trials of an evaluation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Breakdown<'a> {
    /// Numbers of the trials that count, increasing; `None` for all. A trial has the same noise whichever others count.
    pub only: Option<&'a [usize]>,
    /// Names of conditions whose values are crossed: each combination is scored. Empty for none.
    pub by: &'a [String],
}

/// Evaluates `network` on `trials`, 256 at a time. The results do not depend on how many trials run together.
///
/// # Errors
/// [`TrainError::EmptyMask`] if the mask of all trials is zero.
pub fn evaluate<B: RecurrenceBackend>(
    network: &CtrnnModule<B>,
    task: &dyn Task,
    trials: &EvaluationTrials,
    objective: &Objective,
    noise: &Noise<B>,
) -> Result<EvalReport, TrainError> {
    let all = Breakdown::default();
    evaluate_with(network, task, trials, objective, noise, all, None)
}

/// Function that runs trials in place of [`CtrnnModule::forward`], for instance with a perturbed network.
pub type RunTrials<'a, B> =
    dyn Fn(&TrialBatch, Tensor<B, 3>, &Forward<B>) -> Result<Trajectory<B>, ModelError> + 'a;

/// Evaluates `network` like [`evaluate`], on some of the trials, with scores of groups, or with the trials run by a function
/// of the caller's.
///
/// # Errors
/// As [`evaluate`], and those of that function.
pub fn evaluate_with<B: RecurrenceBackend>(
    network: &CtrnnModule<B>,
    task: &dyn Task,
    trials: &EvaluationTrials,
    objective: &Objective,
    noise: &Noise<B>,
    breakdown: Breakdown,
    run: Option<&RunTrials<B>>,
) -> Result<EvalReport, TrainError> {
    let scored = Scored {
        objective,
        names: objective.measured_names(),
        record: objective.record(),
        further: &|_, _| Ok(Vec::new()),
        together: TOGETHER,
        run,
    };
    evaluate_terms(network, task, trials, &scored, noise, breakdown)
}

/// Function that computes the values of further terms, besides those of the objective, for a batch.
pub(crate) type Further<'a, B> =
    dyn Fn(&Trajectory<B>, &Batch<B>) -> Result<Vec<f64>, TrainError> + 'a;

/// The quantities that an evaluation measures besides accuracy.
pub(crate) struct Scored<'a, B: Backend> {
    pub objective: &'a Objective,
    /// Names of all terms: the loss, the penalties, then those of `further`; empty if the loss is the only term.
    pub names: Vec<String>,
    pub record: Record,
    /// Values of terms that are not part of the objective.
    pub further: &'a Further<'a, B>,
    /// Function that runs the trials; `None`: the network itself.
    pub run: Option<&'a RunTrials<'a, B>>,
    /// Number of trials that run together: all of them if there are terms in `further`, since values of blocks of an
    /// arbitrary term cannot be combined.
    pub together: usize,
}

/// Measurements from one forward pass over a block of trials.
struct Block<B: Backend> {
    loss_sum: f64,
    weight: f64,
    /// Statistics of each penalty, by layer.
    statistics: Vec<Vec<Statistic<B>>>,
    further: Vec<f64>,
    answers: Vec<Answer>,
}

impl<B: Backend> Block<B> {
    fn is_finite(&self) -> bool {
        self.loss_sum.is_finite()
            && self.statistics.iter().flatten().all(Statistic::is_finite)
            && self.further.iter().all(|value| value.is_finite())
    }
}

impl<B: RecurrenceBackend> Scored<'_, B> {
    /// Measures a block of trials, or those of them that count (`only`).
    ///
    /// Trials end at their own lengths where that costs nothing. Elsewhere, if a number is not finite, short trials may have overflowed
    /// after their end: there the mask is 0, and infinity times 0 is NaN. Each trial is then run once more, for its own length only.
    fn measure(
        &self,
        network: &CtrnnModule<B>,
        task: &dyn Task,
        trials: &TrialBatch,
        only: Option<&[usize]>,
        noise: Noise<B>,
    ) -> Result<Block<B>, TrainError> {
        let batch = Batch::new(trials, &network.device());
        let ends = batch.is_padded() && self.run.is_none() && B::ends_trials();
        let forward = Forward {
            lengths: if ends {
                trials.n_steps.clone()
            } else {
                Vec::new()
            },
            noise,
            record: self.record,
            conditions: condition_numbers(network, task, trials)?,
            ..Forward::default()
        };
        let counted = only.map(|only| {
            let some = only.iter().map(|&b| trials.trial(b));
            let some = TrialBatch::padded(some, trials.max_steps);
            let batch = Batch::new(&some, &network.device());
            (some, batch)
        });
        let pass = |forward: &Forward<B>| -> Result<Block<B>, TrainError> {
            let inputs = batch.inputs.clone();
            let trajectory = match self.run {
                None => network.forward(inputs, forward),
                Some(run) => run(trials, inputs, forward)?,
            };
            match (&counted, only) {
                (Some((some, batch)), Some(only)) => {
                    self.block(network, task, some, batch, trajectory.of_trials(only))
                }
                _ => self.block(network, task, trials, &batch, trajectory),
            }
        };
        let block = pass(&forward)?;
        if block.is_finite() || !batch.is_padded() || ends {
            return Ok(block);
        }
        pass(&Forward {
            lengths: trials.n_steps.clone(),
            ..forward
        })
    }

    /// Measures trials whose pass is done.
    fn block(
        &self,
        network: &CtrnnModule<B>,
        task: &dyn Task,
        trials: &TrialBatch,
        batch: &Batch<B>,
        trajectory: Trajectory<B>,
    ) -> Result<Block<B>, TrainError> {
        let Objective {
            loss,
            normalisation,
            penalties,
            ..
        } = self.objective;
        let outputs = trajectory.outputs.clone();
        let seen = loss.seen(network.config().output_nonlinearity, outputs.clone());
        let loss_sum = loss.sum(*normalisation, seen, batch).into_scalar().elem();
        let answers = answers(task, trials, network.activate(outputs))?;
        let further = (self.further)(&trajectory, batch)?;
        let inputs = LossInputs::new(network, trajectory, batch);
        let statistics = penalties.iter().map(|penalty| penalty.statistics(&inputs));
        Ok(Block {
            loss_sum,
            weight: loss.weight(*normalisation, batch),
            statistics: statistics.collect(),
            further,
            answers,
        })
    }
}

pub(crate) fn evaluate_terms<B: RecurrenceBackend>(
    network: &CtrnnModule<B>,
    task: &dyn Task,
    trials: &EvaluationTrials,
    scored: &Scored<B>,
    noise: &Noise<B>,
    breakdown: Breakdown,
) -> Result<EvalReport, TrainError> {
    let penalties = &scored.objective.penalties;
    let together = scored.together;
    let (mut loss_sum, mut weight_sum) = (0.0, 0.0);
    let mut statistics: Vec<Option<Vec<Statistic<B>>>> = vec![None; penalties.len()];
    let mut further = Vec::new();
    let n_trials = trials.n_trials();
    let mut answered = Vec::with_capacity(n_trials);
    let mut conditions = Columns::new();
    for first in (0..n_trials).step_by(together) {
        let numbers = first..n_trials.min(first.saturating_add(together));
        let only = breakdown.only.map(|only| within(only, &numbers));
        if only.as_ref().is_some_and(Vec::is_empty) {
            continue;
        }
        let padded = TrialBatch::new(trials.some(numbers.clone()).iter());
        let noise = noise.of_trials(numbers);
        let block = scored.measure(network, task, &padded, only.as_deref(), noise)?;
        loss_sum += block.loss_sum;
        weight_sum += block.weight;
        answered.extend(block.answers);
        append(&mut conditions, &padded.conditions, only.as_deref());
        further = block.further;
        for (all, own) in statistics.iter_mut().zip(block.statistics) {
            *all = Some(match all.take() {
                Some(before) => {
                    let layers = before.into_iter().zip(own);
                    layers.map(|(before, own)| before.joined(own)).collect()
                }
                None => own,
            });
        }
    }
    if weight_sum == 0.0 && scored.objective.fitted_rates().is_none() {
        return Err(TrainError::EmptyMask(
            "the trials of the evaluation".to_owned(),
        ));
    }
    let of_all = penalties.iter().zip(statistics.into_iter().flatten());
    let values = of_all.map(|(penalty, all)| penalty.of(all).into_scalar().elem::<f64>());
    let loss = match weight_sum {
        0.0 => 0.0, // trials of which the rates alone were recorded
        _ => loss_sum / weight_sum,
    };
    let terms: Vec<f64> = std::iter::once(loss).chain(values).chain(further).collect();
    let dt_ms = network.config().dt_ms;
    let all = answered.iter().collect::<Tally>().score(dt_ms);
    let (by, unscored) = scores(&conditions, &answered, dt_ms);
    Ok(EvalReport {
        accuracy: all.accuracy,
        reaction_ms: all.reaction_ms,
        loss: terms.iter().sum(),
        terms: scored.names.iter().cloned().zip(terms).collect(),
        trials: answered.len(),
        noise: !matches!(noise, Noise::Off) && !network.config().noise.is_silent(),
        tasks: task_scores(task, &conditions, &answered, dt_ms),
        confusion: confusion(task, &answered),
        by,
        groups: group_scores(&conditions, breakdown.by, &answered, dt_ms),
        unscored,
        worst: worst(&conditions, &answered),
    })
}

/// Names of conditions, with the value in each trial.
type Columns = Vec<(String, Vec<f64>)>;

/// Returns the places within a block of those trials that are in it; `numbers` increase.
fn within(numbers: &[usize], block: &Range<usize>) -> Vec<usize> {
    let place = |end: usize| numbers.partition_point(|&b| b < end);
    let inside = &numbers[place(block.start)..place(block.end)];
    inside.iter().map(|b| b - block.start).collect()
}

/// Appends the values of the trials of a block, or of some of them.
fn append(all: &mut Columns, block: &Columns, only: Option<&[usize]>) {
    if all.is_empty() {
        all.extend(block.iter().map(|(name, _)| (name.clone(), Vec::new())));
    }
    for ((_, all), (_, block)) in all.iter_mut().zip(block) {
        match only {
            None => all.extend(block),
            Some(only) => all.extend(only.iter().map(|&b| block[b])),
        }
    }
}

/// Scores each combination of the values of some conditions, in increasing order.
fn group_scores(
    conditions: &Columns,
    by: &[String],
    answers: &[Answer],
    dt_ms: f64,
) -> Vec<GroupScore> {
    if by.is_empty() {
        return Vec::new();
    }
    let column = |name: &String| conditions.iter().find(|(own, _)| own == name).cloned();
    let columns: Columns = by.iter().filter_map(column).collect();
    let trials = grouped(&columns, answers.len());
    let groups = trials.chunk_by(|&a, &b| compare(&columns, a, b).is_eq());
    let score = |group: &[usize]| {
        let tally = tally(answers, group);
        let value = |(name, column): &(String, Vec<f64>)| (name.clone(), column[group[0]] + 0.0);
        GroupScore {
            condition: columns.iter().map(value).collect(),
            score: tally.score(dt_ms),
            right: tally.right(),
            answered: tally.answered(),
        }
    };
    let mut scores: Vec<GroupScore> = groups.map(score).collect();
    scores.sort_by(|a, b| {
        let pairs = a.condition.iter().zip(&b.condition);
        let mut orders = pairs.map(|((_, a), (_, b))| a.total_cmp(b));
        orders
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    });
    scores
}

/// Compares trials by their values, so that sorting puts trials with equal values next to each other.
fn compare(columns: &[(String, Vec<f64>)], a: usize, b: usize) -> Ordering {
    let bits = |trial: usize| {
        columns
            .iter()
            .map(move |(_, column)| value_bits(column[trial]))
    };
    bits(a).cmp(bits(b))
}

/// Returns all trials ordered by their values; trials with equal values keep their order.
fn grouped(columns: &[(String, Vec<f64>)], n_trials: usize) -> Vec<usize> {
    let mut trials: Vec<usize> = (0..n_trials).collect();
    trials.sort_unstable_by(|&a, &b| compare(columns, a, b).then(a.cmp(&b)));
    trials
}

/// Returns the condition with the least accuracy, the first to appear if there are several; `None` if there is only one
/// condition. Values that do not apply to the condition are left out.
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

/// Scores each task of a mixture, by name; tasks without trials are left out.
fn task_scores(
    task: &dyn Task,
    conditions: &Columns,
    answers: &[Answer],
    dt_ms: f64,
) -> BTreeMap<String, Score> {
    let names = task.mixed_tasks();
    let mut tallies = vec![Tally::default(); names.len()];
    let column = conditions.iter().find(|(name, _)| name == "task");
    if let Some((_, column)) = column.filter(|_| !names.is_empty()) {
        for (answer, &k) in answers.iter().zip(column) {
            tallies[k as usize].count(answer);
        }
    }
    let scores = tallies.into_iter().map(|tally| tally.score(dt_ms));
    let scored = names.into_iter().zip(scores);
    scored.filter(|(_, score)| score.trials > 0).collect()
}

fn tally(answers: &[Answer], trials: &[usize]) -> Tally {
    trials.iter().map(|&b| &answers[b]).collect()
}

/// Scores each value of each condition; for conditions with too many values, returns only their number.
fn scores(
    conditions: &Columns,
    answers: &[Answer],
    dt_ms: f64,
) -> (
    BTreeMap<String, BTreeMap<String, Score>>,
    BTreeMap<String, usize>,
) {
    let (mut by, mut unscored) = (BTreeMap::new(), BTreeMap::new());
    for condition in conditions {
        let (name, values) = condition;
        let column = std::slice::from_ref(condition);
        let trials = grouped(column, answers.len());
        let groups = || trials.chunk_by(|&a, &b| compare(column, a, b).is_eq());
        let n_values = groups().count();
        if n_values > MOST_SCORED {
            unscored.insert(name.clone(), n_values);
            continue;
        }
        let score = |group: &[usize]| {
            let value = values[group[0]] + 0.0; // -0 is 0
            (value.to_string(), tally(answers, group).score(dt_ms))
        };
        by.insert(name.clone(), groups().map(score).collect());
    }
    (by, unscored)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctrnn_tasks::{Condition, Layout, Timeline};

    #[test]
    fn a_condition_of_too_many_values_is_counted_alone() {
        let answer = Answer {
            is_correct: Some(true),
            right: None,
            chosen: None,
            reaction_steps: None,
        };
        let columns = |n: usize| vec![("x".to_owned(), (0..n).map(|k| k as f64).collect())];
        let scored = |n: usize| scores(&columns(n), &vec![answer; n], 20.0);
        let (by, unscored) = scored(MOST_SCORED);
        assert_eq!((by["x"].len(), unscored.len()), (MOST_SCORED, 0));
        let (by, unscored) = scored(MOST_SCORED + 1);
        assert_eq!((by.len(), unscored["x"]), (0, MOST_SCORED + 1));
    }

    /// Wrong where a = 1 and b = 2 together, which is half of the trials with either value; c = 0 has no correct choice.
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
        let found = worst(&columns, &answers).expect("there are correct choices");
        let values = [("a".to_owned(), 1.0), ("b".to_owned(), 2.0)];
        assert_eq!(found.condition, BTreeMap::from(values));
        assert_eq!((found.accuracy, found.trials), (0.0, 2));
        assert_eq!(worst(&columns, &answers[..1]), None);
    }
}
