//! Inputs that are held constant, under which a driven network is an autonomous system.

mod by_hand;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use ctrnn_random::{Key, Rng, Stream};
use ctrnn_tasks::{Clock, Condition, Layout, Meaning, Trial, value_bits};
use ndarray::{Array1, Array2, Axis};
use rayon::prelude::*;

pub use self::by_hand::as_text;
use self::by_hand::read_rows;
use crate::evidence::{column, level_name};
use crate::groups::{Group, of_all};
use crate::linear_algebra::least_squares;
use crate::study::{span, steps_of};
use crate::text::{listed, short, spoken};
use crate::{ArrayDoc, Arrays, Study, Unsuitable};

/// Largest number of combinations of conditions whose inputs are held one by one.
const MOST_CROSSED: usize = 8;
/// Names of conditions that are told apart however many values they have.
const CONTEXTS: [&str; 3] = ["context", "rule", "task"];
/// Largest number of channels that a sentence names.
const MOST_CHANNELS: usize = 8;

/// A constant input, and the parts of the trials that have it.
#[derive(Clone, Debug)]
pub struct HeldInput {
    /// Input values `[I]`.
    pub input: Array1<f64>,
    /// Name in figures and sentences, such as `stimulus, context = motion`.
    pub name: String,
    /// Parts of the trials that have this input; none if it was given by the user.
    pub places: Vec<Place>,
}

/// An epoch in some trials.
#[derive(Clone, Debug)]
pub struct Place {
    /// Name of the epoch.
    pub epoch: &'static str,
    /// Name of the group of trials; empty if all trials are in one group.
    pub group: String,
    /// Indices of the trials.
    pub trials: Vec<usize>,
}

/// A condition that changes the inputs of an epoch by its size.
#[derive(Clone, Debug)]
pub struct Stimulus {
    /// Name of the condition.
    pub condition: String,
    /// Name of the epoch.
    pub epoch: &'static str,
    /// Change of the input per unit of the condition's value, by linear regression over the conditions, `[I]`.
    pub change: Array1<f64>,
}

/// The inputs under which the dynamics is analysed.
#[derive(Clone, Debug)]
pub struct HeldInputs {
    /// Inputs in the order of their epochs and groups, at least one.
    pub inputs: Vec<HeldInput>,
    /// Stimuli: conditions, except contexts, that change the inputs of an epoch.
    pub stimuli: Vec<Stimulus>,
    /// Remarks for the reader: conditions at their median, inputs that change in an epoch, inputs left out.
    pub notes: Vec<String>,
}

/// Documentation of the arrays that [`HeldInputs::add_to`] adds: the inputs, and their names.
pub const HELD_ARRAYS: [ArrayDoc; 2] = [
    ArrayDoc {
        name: "inputs",
        shape: "[held input, input]",
        unit: "",
        meaning: "inputs that were held",
    },
    ArrayDoc {
        name: "held_names",
        shape: "[held input]",
        unit: "",
        meaning: "names of the held inputs: their epochs and groups of trials",
    },
];

/// Returns the title of a panel that shows at most `most` of `n` inputs.
pub(crate) fn drawn_of(title: &str, most: usize, n: usize) -> String {
    if n > most {
        format!("{title}: {most} of {n}")
    } else {
        title.to_owned()
    }
}

impl HeldInputs {
    /// Returns the inputs given by the user in `by_hand`; if that is empty, those of each epoch, for each group of
    /// trials: the cells of `study.by` or, if that is empty, of the conditions that change the inputs of the epoch,
    /// those with the fewest values first, as long as there are at most 8 combinations; `context`, `rule` and `task`
    /// are always among them. Catch trials are left out of the latter.
    ///
    /// If the inputs of a group are a linear function of its conditions, as with coherences, the input is that of the
    /// median condition; otherwise, as with directions, it is that of a single trial, the one nearest to the median, and
    /// the name says which. Channels that change during the epoch are held at 0 if that is in their range (no pulse, no
    /// movement), otherwise at their median over time. The inputs are those before noise is added, if the task can
    /// draw its trials without. Inputs are merged only if they are equal. Of more than `most` inputs, those that are
    /// held longest in each group are kept.
    ///
    /// # Errors
    /// If the trials have no epochs, a condition in `study.by` is unknown, or `by_hand` cannot be read.
    pub fn of(study: &Study, by_hand: &str, most: usize) -> Result<Self, Unsuitable> {
        if !by_hand.is_empty() {
            return Self::by_hand(by_hand, study.batch.n_inputs);
        }
        let medians = study.shared.medians.get_or_init(|| Medians::of(study));
        let mut collected = Collected::default();
        for e in 0..medians.epochs.len() {
            let grouping = medians.groups(study, e)?;
            collected.add_epoch(study, medians, e, grouping);
        }
        if collected.inputs.is_empty() {
            let why = "the trials do not say when their epochs are";
            return Err(Unsuitable::lacks(why));
        }
        Ok(collected.finish(study, most))
    }

    /// Returns the inputs as [`of`](Self::of); `None` if the trials have no epochs and none is given.
    ///
    /// # Errors
    /// As those of [`of`](Self::of) for trials with epochs.
    pub fn if_any(study: &Study, by_hand: &str, most: usize) -> Result<Option<Self>, Unsuitable> {
        if by_hand.is_empty() && study.epochs().is_empty() {
            return Ok(None);
        }
        Self::of(study, by_hand, most).map(Some)
    }

    /// Adds the inputs and their names to the arrays of an analysis.
    pub fn add_to(&self, arrays: Arrays) -> Arrays {
        let names = self.inputs.iter().map(|held| held.name.clone());
        arrays
            .with("inputs", &self.table())
            .with("held_names", &names.collect::<Vec<String>>())
    }

    /// Reads inputs as a user writes them: numbers separated by commas, several inputs separated by semicolons, or a
    /// file (.npz or .json) with the array `inputs [K, I]`.
    fn by_hand(text: &str, n_inputs: usize) -> Result<Self, Unsuitable> {
        let rows = read_rows(text)?;
        if let Some(row) = rows.iter().find(|row| row.len() != n_inputs) {
            let n = row.len();
            return Err(Unsuitable::lacks(format!(
                "{text:?} holds an input of {n} numbers; this network has {n_inputs} inputs"
            )));
        }
        if rows.is_empty() || rows.iter().flatten().any(|x| !x.is_finite()) {
            let why = format!("{text:?} holds no input, or one with a number that is not finite");
            return Err(Unsuitable::lacks(why));
        }
        let named = |(k, row): (usize, Vec<f64>)| HeldInput {
            input: row.into(),
            name: format!("input {k}"),
            places: Vec::new(),
        };
        Ok(Self {
            inputs: rows.into_iter().enumerate().map(named).collect(),
            stimuli: Vec::new(),
            notes: Vec::new(),
        })
    }

    /// Returns the inputs as an array `[held, I]`.
    pub fn table(&self) -> Array2<f64> {
        let n_inputs = self.inputs[0].input.len();
        Array2::from_shape_fn((self.inputs.len(), n_inputs), |(k, i)| {
            self.inputs[k].input[i]
        })
    }
}

impl HeldInput {
    /// Describes the values of the input by the names of the channels that are not 0.
    pub fn channels(&self, layout: &Layout) -> String {
        let values = self.input.iter().zip(&layout.inputs);
        let named = values.filter(|(u, _)| **u != 0.0);
        let named: Vec<String> = named
            .map(|(u, name)| format!("{} {}", spoken(name), short(*u)))
            .collect();
        match named.len() {
            0 if self.input.is_empty() => "no inputs".to_owned(),
            0 => "all inputs 0".to_owned(),
            n if n > MOST_CHANNELS => {
                let first = named[..MOST_CHANNELS].join(", ");
                format!("{first} and {} other inputs", n - MOST_CHANNELS)
            }
            _ => named.join(", "),
        }
    }

    /// Returns at most `most` states that the network visits under this input, spread evenly over the trials and epochs
    /// that have it; those of all trials if it was given by the user.
    pub fn visited(&self, study: &Study, most: usize) -> Array2<f64> {
        let steps = |place: &Place| {
            let of = |&b: &usize| {
                let steps = steps_of(&study.batch, b, place.epoch);
                steps.map(move |t| (b, t)).collect::<Vec<_>>()
            };
            place.trials.iter().flat_map(of).collect::<Vec<_>>()
        };
        let places: Vec<(usize, usize)> = if self.places.is_empty() {
            study.visited_steps().collect()
        } else {
            self.places.iter().flat_map(steps).collect()
        };
        study.states_at(&places, most)
    }

    /// Computes the mean over trials of the last state in the epochs with this input.
    pub fn mean_end(&self, study: &Study) -> Array1<f64> {
        let end = |place: &Place, b: usize| {
            let steps = steps_of(&study.batch, b, place.epoch);
            Some((b, steps.last()?))
        };
        let ends = self.places.iter().flat_map(|place| {
            let ends = place.trials.iter().filter_map(|&b| end(place, b));
            ends.collect::<Vec<_>>()
        });
        let mut ends: Vec<(usize, usize)> = ends.collect();
        if self.places.is_empty() {
            let last = |b: usize| Some((b, study.batch.n_steps[b].checked_sub(1)?));
            ends = (0..study.batch.n_trials).filter_map(last).collect();
        }
        let n = ends.len();
        let states = study.states_at(&ends, n);
        states
            .mean_axis(Axis(0))
            .unwrap_or_else(|| Array1::zeros(study.dynamics.n_units()))
    }
}

/// Input of a trial in an epoch.
struct EpochInput {
    /// Median over the time steps, or the rest at 0 of a channel that changes, `[I]`.
    median: Vec<f64>,
    /// True if the input is the same at all time steps.
    is_constant: bool,
}

/// Trials of an epoch in groups.
struct Grouping {
    groups: Vec<Group>,
    /// Conditions that change the inputs of the epoch.
    telling: Vec<String>,
    /// Conditions that tell the groups apart.
    by: Vec<String>,
}

/// Inputs of every trial in every epoch.
pub(crate) struct Medians {
    epochs: Vec<&'static str>,
    /// Inputs `[trial][epoch]`; `None` if the trial lacks the epoch.
    inputs: Vec<Vec<Option<EpochInput>>>,
    /// Numbers of the trials of each condition.
    conditions: Vec<Vec<usize>>,
}

impl Medians {
    fn of(study: &Study) -> Self {
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
        Self {
            inputs: (0..study.batch.n_trials)
                .into_par_iter()
                .map(of_trial)
                .collect(),
            conditions: conditions(study),
            epochs,
        }
    }

    /// Groups the trials that have an epoch, by `study.by` or the conditions that change its inputs.
    fn groups(&self, study: &Study, e: usize) -> Result<Grouping, Unsuitable> {
        let has_epoch = |b: &usize| self.inputs[*b][e].is_some();
        let mut kept: HashSet<usize> = (0..study.batch.n_trials).filter(has_epoch).collect();
        if study.by.is_empty() && !kept.iter().all(|b| is_catch(study, *b)) {
            kept.retain(|b| !is_catch(study, *b));
        }
        let telling = self.telling_conditions(study, e, &kept);
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
            telling,
            by,
        })
    }

    /// Returns the names of a smallest set of conditions of which the inputs of an epoch are a function, those with the
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
        let inputs: Vec<(usize, Vec<u64>)> = self
            .conditions
            .iter()
            .filter_map(|own| {
                let own: Vec<usize> = own.iter().copied().filter(|b| trials.contains(b)).collect();
                let median = self.median_over_trials(e, &own)?;
                Some((own[0], median.iter().map(|u| value_bits(*u)).collect()))
            })
            .collect();
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

    /// Computes the median over trials that have the epoch; `None` if there are none.
    fn median_over_trials(&self, e: usize, trials: &[usize]) -> Option<Vec<f64>> {
        let known = trials.iter().filter_map(|&b| self.inputs[b][e].as_ref());
        let rows: Vec<&[f64]> = known.map(|input| &input.median[..]).collect();
        median_of_rows(&rows)
    }

    /// Computes the change of the input per unit of a condition's value; `None` if that is the same in all trials.
    fn change(&self, study: &Study, e: usize, condition: &str) -> Option<Array1<f64>> {
        let values = column(&study.batch, condition)?;
        let rows = self.conditions.iter().filter_map(|own| {
            let value = values[own[0]];
            let is_shown = value.is_finite() && !is_catch(study, own[0]);
            let input = self.median_over_trials(e, own).filter(|_| is_shown)?;
            Some((value, Array1::from(input)))
        });
        let rows: Vec<(f64, Array1<f64>)> = rows.collect();
        let mean = rows.iter().map(|(x, _)| x).sum::<f64>() / rows.len() as f64;
        let square: f64 = rows.iter().map(|(x, _)| (x - mean).powi(2)).sum();
        let none = Array1::zeros(study.batch.n_inputs);
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
            self.median_over_trials(e, &own)
        });
        let rows: Vec<Vec<f64>> = rows.collect();
        let rows: Vec<&[f64]> = rows.iter().map(|row| &row[..]).collect();
        Some(median_of_rows(&rows)?.into())
    }

    /// Returns an input that stands for some trials: that of the median condition if the inputs are a linear function of
    /// these conditions, otherwise that of the trial nearest to it, with its number.
    fn typical(
        &self,
        study: &Study,
        e: usize,
        trials: &[usize],
        conditions: &[String],
    ) -> Option<(Array1<f64>, Option<usize>)> {
        let median = self.median_over_conditions(e, trials)?;
        let known = trials.iter().filter_map(|&b| {
            let input = self.inputs[b][e].as_ref()?;
            Some((b, Array1::from(input.median.clone())))
        });
        let known: Vec<(usize, Array1<f64>)> = known.collect();
        let is_same = known.iter().all(|(_, input)| *input == median);
        if is_same || is_linear(study, &known, conditions) {
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

/// Held inputs on the way.
#[derive(Default)]
struct Collected {
    inputs: Vec<HeldInput>,
    stimuli: Vec<Stimulus>,
    /// For each input, the names of the groups that have it and the number of all groups, by epoch.
    groups: Vec<Vec<(&'static str, Vec<String>, usize)>>,
    /// Epochs with conditions at their median, those with the input of a single trial, and those in which inputs change.
    at_median: Vec<(&'static str, String)>,
    single: Vec<&'static str>,
    changing: Vec<&'static str>,
}

impl Collected {
    fn add_epoch(&mut self, study: &Study, medians: &Medians, e: usize, grouping: Grouping) {
        let Grouping {
            groups,
            telling,
            by,
        } = grouping;
        let epoch = medians.epochs[e];
        self.add_stimuli(study, medians, e, &telling);
        let others: Vec<String> = telling
            .into_iter()
            .filter(|name| !by.contains(name))
            .collect();
        let n_groups = groups.len();
        let changes = |b: &usize| {
            let input = medians.inputs[*b][e].as_ref();
            input.is_some_and(|input| !input.is_constant)
        };
        if groups.iter().any(|group| group.trials.iter().any(changes)) {
            self.changing.push(epoch);
        }
        let mut is_at_median = false;
        for mut group in groups {
            let Some((input, trial)) = medians.typical(study, e, &group.trials, &others) else {
                continue;
            };
            match trial {
                Some(b) => {
                    group.name = name_of_trial(study, &group.name, &others, b);
                    self.single.push(epoch);
                }
                None => is_at_median = true,
            }
            self.add_group(input, epoch, group, n_groups);
        }
        self.single.dedup();
        if is_at_median && !others.is_empty() {
            let others: Vec<String> = others.iter().map(|name| spoken(name)).collect();
            self.at_median.push((epoch, listed(&others)));
        }
    }

    /// Adds the conditions that change the input of an epoch, other than contexts.
    fn add_stimuli(&mut self, study: &Study, medians: &Medians, e: usize, telling: &[String]) {
        let is_stimulus = |name: &&String| !CONTEXTS.contains(&name.as_str());
        let found = telling.iter().filter(is_stimulus).filter_map(|condition| {
            Some(Stimulus {
                condition: condition.clone(),
                epoch: medians.epochs[e],
                change: medians.change(study, e, condition)?,
            })
        });
        self.stimuli.extend(found);
    }

    /// Adds the input of one of the groups of an epoch, or its place if the input is known.
    fn add_group(
        &mut self,
        input: Array1<f64>,
        epoch: &'static str,
        group: Group,
        n_groups: usize,
    ) {
        let known = self.inputs.iter().position(|held| held.input == input);
        let k = known.unwrap_or_else(|| {
            self.inputs.push(HeldInput {
                input,
                name: String::new(),
                places: Vec::new(),
            });
            self.groups.push(Vec::new());
            self.inputs.len() - 1
        });
        match self.groups[k].last_mut() {
            Some((last, names, _)) if *last == epoch => names.push(group.name.clone()),
            _ => self.groups[k].push((epoch, vec![group.name.clone()], n_groups)),
        }
        self.inputs[k].places.push(Place {
            epoch,
            group: group.name,
            trials: group.trials,
        });
    }

    fn finish(mut self, study: &Study, most: usize) -> HeldInputs {
        for (held, groups) in self.inputs.iter_mut().zip(&self.groups) {
            held.name = name(groups);
        }
        let n = self.inputs.len();
        let mut notes: Vec<String> = Vec::new();
        for (conditions, epochs) in joined(&self.at_median) {
            notes.push(format!(
                "{conditions} at the median in {epochs}; --by tells the values apart"
            ));
        }
        let spoken_list = |epochs: &[&str]| {
            let epochs: Vec<String> = epochs.iter().map(|epoch| spoken(epoch)).collect();
            listed(&epochs)
        };
        if !self.single.is_empty() {
            notes.push(format!(
                "the inputs in {} are those of one trial of each group, which the name describes; --by tells the conditions apart",
                spoken_list(&self.single)
            ));
        }
        if !self.changing.is_empty() {
            notes.push(format!(
                "the inputs change during {}: a channel that changes is held at 0 if its values include or surround 0, otherwise at its median over time",
                spoken_list(&self.changing)
            ));
        }
        if n > most {
            self.inputs = longest(self.inputs, study, most.max(1));
            notes.push(format!(
                "{} of {n} inputs are left out, those that are held shortest; --where chooses trials, and the option most_inputs allows more",
                n - self.inputs.len()
            ));
        }
        HeldInputs {
            inputs: self.inputs,
            stimuli: self.stimuli,
            notes,
        }
    }
}

/// Names a group of trials by its name and the conditions of the trial that stands for it.
fn name_of_trial(study: &Study, group: &str, conditions: &[String], b: usize) -> String {
    let values = conditions.iter().filter_map(|name| {
        let value = column(&study.batch, name)?[b];
        Some(level_name(study.task, name, value))
    });
    let mut parts: Vec<String> = (!group.is_empty())
        .then(|| group.to_owned())
        .into_iter()
        .chain(values)
        .collect();
    if conditions.is_empty() {
        parts.push(format!("trial {b}"));
    }
    parts.join(", ")
}

/// Joins the epochs of each list of conditions.
fn joined(at_median: &[(&'static str, String)]) -> Vec<(String, String)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for (epoch, conditions) in at_median {
        match found.iter_mut().find(|(known, _)| known == conditions) {
            Some((_, epochs)) => epochs.push(spoken(epoch)),
            None => found.push((conditions.clone(), vec![spoken(epoch)])),
        }
    }
    let text = |(conditions, epochs): (String, Vec<String>)| (conditions, listed(&epochs));
    found.into_iter().map(text).collect()
}

/// Names an input by its epochs, and by its groups where not all groups of an epoch have it.
fn name(groups: &[(&'static str, Vec<String>, usize)]) -> String {
    const MOST_NAMED: usize = 2;
    let mut parts: Vec<(Vec<String>, String)> = Vec::new();
    for (epoch, names, n_groups) in groups {
        let text = match names.len() {
            n if n == *n_groups && (n > 1 || names[0].is_empty()) => String::new(),
            n if n <= MOST_NAMED => names.join(" or "),
            n => format!("{} and {} other groups", names[0], n - 1),
        };
        match parts.iter_mut().find(|(_, known)| *known == text) {
            Some((epochs, _)) => epochs.push(spoken(epoch)),
            None => parts.push((vec![spoken(epoch)], text)),
        }
    }
    let part = |(epochs, group): (Vec<String>, String)| match group.as_str() {
        "" => epochs.join(", "),
        group => format!("{}, {group}", epochs.join(", ")),
    };
    let parts: Vec<String> = parts.into_iter().map(part).collect();
    parts.join("; ")
}

/// Keeps the inputs that are held longest: the first of each group, then the second of each.
fn longest(inputs: Vec<HeldInput>, study: &Study, most: usize) -> Vec<HeldInput> {
    let n_steps = |held: &HeldInput| {
        let of = |place: &Place| {
            let steps = |&b: &usize| {
                span(
                    &study.batch.timelines[b],
                    place.epoch,
                    study.batch.n_steps[b],
                )
                .len()
            };
            place.trials.iter().map(steps).sum::<usize>()
        };
        held.places.iter().map(of).sum::<usize>()
    };
    let lengths: Vec<usize> = inputs.iter().map(n_steps).collect();
    let group = |k: usize| inputs[k].places.first().map(|place| &place.group);
    let rank = |k: usize| {
        let longer = |&j: &usize| (lengths[j], k) > (lengths[k], j);
        (0..inputs.len())
            .filter(|&j| group(j) == group(k))
            .filter(longer)
            .count()
    };
    let mut order: Vec<usize> = (0..inputs.len()).collect();
    order.sort_by_key(|&k| (rank(k), std::cmp::Reverse(lengths[k])));
    let kept: HashSet<usize> = order.into_iter().take(most).collect();
    let numbered = inputs.into_iter().enumerate();
    numbered
        .filter(|(k, _)| kept.contains(k))
        .map(|(_, held)| held)
        .collect()
}
