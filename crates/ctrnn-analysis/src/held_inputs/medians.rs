//! Medians of the inputs of trials in their epochs, and those that stand for groups of trials.

use std::collections::{HashMap, HashSet};

use ctrnn_random::{Key, Rng, Stream};
use ctrnn_tasks::{Clock, Condition, Meaning, Trial, value_bits};
use ndarray::{Array1, Array2, s};
use rayon::prelude::*;

use super::epoch_inputs::{EpochInput, EpochInputs, Medians};
use crate::evidence::{CONTEXTS, column};
use crate::groups::{Group, of_all};
use crate::linear_algebra::least_squares;
use crate::study::{span, steps_of};
use crate::{Study, Unsuitable};

/// Largest number of combinations of conditions whose inputs are held one by one.
const MOST_CROSSED: usize = 8;

/// Trials of an epoch in groups.
pub(super) struct Grouping {
    pub groups: Vec<Group>,
    /// Conditions that change the inputs of the task in the epoch.
    pub shown: Vec<String>,
    /// Conditions that tell the inputs of the network apart: those shown in the epoch; for a layer above the first, in any epoch up to it.
    pub telling: Vec<String>,
    /// Conditions that tell the groups apart.
    pub by: Vec<String>,
}

impl Medians {
    pub(super) fn of(study: &Study) -> Self {
        let epochs = study.epochs();
        let noiseless = Noiseless::of(study);
        let of_trial = |b: usize| {
            let own = study.batch.trial(b);
            // The inputs of a walk are random by nature; without noise it would be a straight line.
            let is_walk = study.task.positions(&own).is_some();
            let noiseless = noiseless.as_ref().filter(|_| !is_walk);
            let drawn = noiseless.map(|noiseless| noiseless.trial(b));
            let has_rest = is_walk || drawn.is_some();
            let trial = drawn.unwrap_or(own);
            epochs
                .iter()
                .map(|epoch| epoch_input(&trial, epoch, has_rest))
                .collect()
        };
        let inputs = (0..study.batch.n_trials).into_par_iter().map(of_trial);
        Self {
            inputs: inputs.collect(),
            below: study
                .rates_below
                .as_ref()
                .map(|_| rates_below(study, &epochs)),
            conditions: conditions(study),
            epochs,
        }
    }

    /// Returns the inputs that are held: those of the task, or the rates of the layer below.
    pub(super) fn held(&self) -> &EpochInputs {
        self.below.as_ref().unwrap_or(&self.inputs)
    }

    /// Groups the trials that have an epoch, by `study.by` or the conditions that change its inputs.
    pub(super) fn groups(&self, study: &Study, e: usize) -> Result<Grouping, Unsuitable> {
        let has_epoch = |b: &usize| self.inputs[*b][e].is_some();
        let mut kept: HashSet<usize> = (0..study.batch.n_trials).filter(has_epoch).collect();
        if study.by.is_empty() && !kept.iter().all(|b| is_catch(study, *b)) {
            kept.retain(|b| !is_catch(study, *b));
        }
        let shown = self.telling_conditions(study, e, &kept);
        let mut telling = shown.clone();
        if self.below.is_some() {
            for earlier in (0..e).rev() {
                let names = self.telling_conditions(study, earlier, &kept).into_iter();
                telling.extend(
                    names
                        .filter(|name| !telling.contains(name))
                        .collect::<Vec<_>>(),
                );
            }
        }
        let by = if study.by.is_empty() {
            few(study, &kept, &telling)
        } else {
            study.by.clone()
        };
        let mut groups = if by.is_empty() {
            let mut whole = of_all(study);
            whole.name = String::new();
            vec![whole]
        } else {
            study.cells(&by)?
        };
        for group in &mut groups {
            group.trials.retain(|b| kept.contains(b));
        }
        groups.retain(|group| !group.trials.is_empty());
        Ok(Grouping {
            groups,
            shown,
            telling,
            by,
        })
    }

    /// Returns the names of a smallest set of conditions of which the inputs of the task in an epoch are a function, those with the
    /// fewest values first.
    fn telling_conditions(&self, study: &Study, e: usize, trials: &HashSet<usize>) -> Vec<String> {
        let columns = &study.batch.conditions;
        let bits = |k: usize, b: usize| value_bits(columns[k].1[b]);
        let n_levels = |k: usize| {
            let mut levels: Vec<u64> = trials.iter().map(|&b| bits(k, b)).collect();
            levels.sort_unstable();
            levels.dedup();
            levels.len()
        };
        let inputs = self.inputs_of_conditions(e, trials);
        let tell = |kept: &[usize]| {
            let mut known: HashMap<Vec<u64>, &[u64]> = HashMap::new();
            inputs.iter().all(|(b, input)| {
                let key = kept.iter().map(|&k| bits(k, *b)).collect();
                *known.entry(key).or_insert(input) == &input[..]
            })
        };
        let mut order: Vec<(usize, usize)> = (0..columns.len()).map(|k| (n_levels(k), k)).collect();
        order.sort_unstable();
        let mut kept: Vec<usize> = order.into_iter().map(|(_, k)| k).collect();
        for k in kept.clone().into_iter().rev() {
            let fewer: Vec<usize> = kept.iter().copied().filter(|other| *other != k).collect();
            if tell(&fewer) {
                kept = fewer;
            }
        }
        kept.into_iter().map(|k| columns[k].0.clone()).collect()
    }

    /// Returns a trial of each condition that some of the trials have, with the bits of its inputs of the task in an epoch.
    fn inputs_of_conditions(&self, e: usize, trials: &HashSet<usize>) -> Vec<(usize, Vec<u64>)> {
        let of_condition = |own: &Vec<usize>| {
            let own: Vec<usize> = own.iter().copied().filter(|b| trials.contains(b)).collect();
            let median = median_over_trials(&self.inputs, e, &own)?;
            Some((own[0], median.iter().map(|u| value_bits(*u)).collect()))
        };
        self.conditions.iter().filter_map(of_condition).collect()
    }

    /// Computes the change of the input per unit of a variable with these values in the trials; `None` if they are all the
    /// same.
    pub(super) fn change(&self, study: &Study, e: usize, values: &[f64]) -> Option<Array1<f64>> {
        let rows = self.conditions.iter().filter_map(|own| {
            let value = values[own[0]];
            let is_shown = value.is_finite() && !is_catch(study, own[0]);
            let input = median_over_trials(self.held(), e, own).filter(|_| is_shown)?;
            Some((value, Array1::from(input)))
        });
        let rows: Vec<(f64, Array1<f64>)> = rows.collect();
        let mean = rows.iter().map(|(x, _)| x).sum::<f64>() / rows.len() as f64;
        let square: f64 = rows.iter().map(|(x, _)| (x - mean).powi(2)).sum();
        let none = Array1::zeros(study.n_inputs());
        let sum = rows
            .iter()
            .fold(none, |sum, (x, input)| sum + input * (x - mean));
        (square > 0.0).then(|| sum / square)
    }

    /// Computes the median over the conditions of some trials, each of which counts once.
    fn median_over_conditions(&self, e: usize, trials: &[usize]) -> Option<Array1<f64>> {
        let is_here: HashSet<usize> = trials.iter().copied().collect();
        let rows = self.conditions.iter().filter_map(|own| {
            let own: Vec<usize> = own
                .iter()
                .copied()
                .filter(|b| is_here.contains(b))
                .collect();
            median_over_trials(self.held(), e, &own)
        });
        let rows: Vec<Vec<f64>> = rows.collect();
        let rows: Vec<&[f64]> = rows.iter().map(|row| &row[..]).collect();
        Some(median_of_rows(&rows)?.into())
    }

    /// Returns an input that stands for some trials: that of the median condition if the inputs are a linear function of
    /// these conditions, otherwise that of the trial nearest to it, with its number. Without such conditions the rates of a layer below
    /// differ by noise alone: then it is their median.
    pub(super) fn typical(
        &self,
        study: &Study,
        e: usize,
        trials: &[usize],
        conditions: &[String],
    ) -> Option<(Array1<f64>, Option<usize>)> {
        let median = self.median_over_conditions(e, trials)?;
        let known = trials.iter().filter_map(|&b| {
            let input = self.held()[b][e].as_ref()?;
            Some((b, Array1::from(input.median.clone())))
        });
        let known: Vec<(usize, Array1<f64>)> = known.collect();
        let is_same = known.iter().all(|(_, input)| *input == median);
        let differs_by_noise = self.below.is_some() && conditions.is_empty();
        if is_same || differs_by_noise || is_linear(study, &known, conditions) {
            return Some((median, None));
        }
        let distance = |input: &Array1<f64>| (input - &median).mapv(|x| x * x).sum();
        // A ring has many directions at equal distances, up to rounding: the first is taken.
        let nearest = known.into_iter().reduce(|best, next| {
            if distance(&next.1) < distance(&best.1) * (1.0 - 1e-6) {
                next
            } else {
                best
            }
        });
        nearest.map(|(b, input)| (input, Some(b)))
    }
}

/// Returns true if the inputs of some trials are a linear function of these conditions, all of them quantities, of which
/// there are enough values to tell.
fn is_linear(study: &Study, inputs: &[(usize, Array1<f64>)], conditions: &[String]) -> bool {
    let columns: Vec<&[f64]> = conditions
        .iter()
        .filter_map(|name| column(&study.batch, name))
        .collect();
    let key = |b: usize| columns.iter().map(|column| value_bits(column[b])).collect();
    let different: HashSet<Vec<u64>> = inputs.iter().map(|(b, _)| key(*b)).collect();
    let is_known = inputs
        .iter()
        .all(|(b, _)| columns.iter().all(|c| c[*b].is_finite()));
    // There is nothing between two names.
    let are_quantities = conditions
        .iter()
        .all(|name| matches!(study.task.meaning(name), Meaning::Quantity(_)));
    if columns.is_empty() || !are_quantities || !is_known || different.len() < columns.len() + 2 {
        return false;
    }
    let design = Array2::from_shape_fn((inputs.len(), columns.len() + 1), |(i, k)| match k {
        0 => 1.0,
        k => columns[k - 1][inputs[i].0],
    });
    let width = inputs[0].1.len();
    let table = Array2::from_shape_fn((inputs.len(), width), |(i, k)| inputs[i].1[k]);
    let largest = table.iter().fold(0.0, |most: f64, u| most.max(u.abs()));
    least_squares(design.view(), table.view()).is_ok_and(|weights| {
        let rest = table - design.dot(&weights);
        rest.iter().all(|u| u.abs() <= 1e-5 * largest)
    })
}

/// Returns the conditions with few values of which at most 8 combinations occur, and all contexts.
fn few(study: &Study, trials: &HashSet<usize>, names: &[String]) -> Vec<String> {
    let n_combinations = |names: &[String]| {
        let columns: Vec<&[f64]> = names
            .iter()
            .filter_map(|name| column(&study.batch, name))
            .collect();
        let key = |&b: &usize| columns.iter().map(|column| value_bits(column[b])).collect();
        let found: HashSet<Vec<u64>> = trials.iter().map(key).collect();
        found.len()
    };
    let (mut kept, others): (Vec<String>, Vec<String>) = names
        .iter()
        .cloned()
        .partition(|name| CONTEXTS.contains(&name.as_str()));
    for name in others {
        kept.push(name);
        if n_combinations(&kept) > MOST_CROSSED {
            kept.pop();
        }
    }
    kept
}

fn is_catch(study: &Study, b: usize) -> bool {
    column(&study.batch, "catch").is_some_and(|catch| catch[b] == 1.0)
}

/// Returns the numbers of the trials of each condition, in order of appearance.
fn conditions(study: &Study) -> Vec<Vec<usize>> {
    let mut places: HashMap<Vec<u64>, usize> = HashMap::new();
    let mut found: Vec<Vec<usize>> = Vec::new();
    for b in 0..study.batch.n_trials {
        let columns = study.batch.conditions.iter();
        let key = columns.map(|(_, values)| value_bits(values[b])).collect();
        let place = *places.entry(key).or_insert(found.len());
        if place == found.len() {
            found.push(Vec::new());
        }
        found[place].push(b);
    }
    found
}

/// Computes the input of a trial in an epoch; `None` if the trial lacks it. If the inputs have a rest at 0, channels that
/// change are held there, as long as it is in their range.
fn epoch_input(trial: &Trial, epoch: &str, has_rest: bool) -> Option<EpochInput> {
    let width = trial.n_inputs;
    let steps = span(&trial.timeline, epoch, trial.n_steps);
    let rows = trial.inputs.get(steps.start * width..steps.end * width)?;
    if steps.is_empty() {
        return None;
    }
    let mut is_constant = true;
    let median = |k: usize| {
        let column = || rows.iter().skip(k).step_by(width).map(|u| f64::from(*u));
        let first = f64::from(rows[k]);
        if column().all(|u| u == first) {
            return first;
        }
        is_constant = false;
        let includes_rest = column().any(|u| u <= 0.0) && column().any(|u| u >= 0.0);
        if has_rest && includes_rest {
            0.0
        } else {
            median(column().collect())
        }
    };
    Some(EpochInput {
        median: (0..width).map(median).collect(),
        is_constant,
    })
}

/// Returns the rates of the layer below at the end of every epoch.
fn rates_below(study: &Study, epochs: &[&'static str]) -> EpochInputs {
    let rates = study.rates_below.as_ref();
    let at_end = |b: usize, epoch: &str| {
        let last = steps_of(&study.batch, b, epoch).last()?;
        Some(EpochInput {
            median: rates?.slice(s![b, last, ..]).to_vec(),
            is_constant: true,
        })
    };
    let of_trial = |b: usize| epochs.iter().map(|epoch| at_end(b, epoch)).collect();
    (0..study.batch.n_trials).map(of_trial).collect()
}

/// Computes the median over trials that have the epoch; `None` if there are none.
fn median_over_trials(inputs: &EpochInputs, e: usize, trials: &[usize]) -> Option<Vec<f64>> {
    let known = trials.iter().filter_map(|&b| inputs[b][e].as_ref());
    let rows: Vec<&[f64]> = known.map(|input| &input.median[..]).collect();
    median_of_rows(&rows)
}

/// Computes the median of each column; `None` without rows.
fn median_of_rows(rows: &[&[f64]]) -> Option<Vec<f64>> {
    let width = rows.first()?.len();
    let column = |k: usize| rows.iter().map(|row| row[k]).collect();
    Some((0..width).map(|k| median(column(k))).collect())
}

/// Computes the median, which of an even number is the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    let n = values.len();
    let (below, upper, _) = values.select_nth_unstable_by(n / 2, f64::total_cmp);
    if n % 2 == 1 {
        return *upper;
    }
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if lower == *upper {
        lower
    } else {
        lower / 2.0 + *upper / 2.0
    }
}

/// The trials of a study as their task draws them without noise on the inputs.
struct Noiseless<'a> {
    study: &'a Study<'a>,
    clock: Clock,
    conditions: Vec<Condition>,
    /// Condition of each trial.
    numbers: Vec<usize>,
}

impl<'a> Noiseless<'a> {
    /// Returns `None` if the trials cannot be drawn: those of files, and of programs, are what they are.
    fn of(study: &'a Study) -> Option<Self> {
        let task = study.task;
        if task.trial_set().is_some() || task.interrupt().is_some() {
            return None;
        }
        let conditions = task.conditions();
        Some(Self {
            study,
            clock: Clock::new(study.dynamics.dt_ms).ok()?,
            numbers: study.batch.condition_numbers(&conditions).ok()?,
            conditions,
        })
    }

    /// Draws a trial of the condition of trial `b`. If the trials are all those of an evaluation, it is that trial, with
    /// the same durations.
    fn trial(&self, b: usize) -> Trial {
        let key = Key::new(self.study.seed, Stream::Eval, 0);
        let mut rng = Rng::noiseless(key, b as u64, 0);
        let condition = &self.conditions[self.numbers[b]];
        self.study
            .task
            .sample_trial(condition, self.clock, &mut rng)
    }
}
