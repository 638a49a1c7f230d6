//! Groups of trials for figures, by evidence, condition or correct choice.

use std::cmp::Ordering;

use ctrnn_tasks::{Meaning, Quantity};

use crate::evidence::{
    Context, contexts, distinct, evidence, level_name, quantity_of, shown_trials,
};
use crate::plot::{Rgb, Scale, level_colour};
use crate::selection::condition;
use crate::text::{short, spoken};
use crate::variables::{merged, n_merged};
use crate::{ArrayDoc, Study, Unsuitable};

/// Trials of one group.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Name in the legend.
    pub name: String,
    /// Indices of the trials.
    pub trials: Vec<usize>,
    /// Colour in figures.
    pub colour: Rgb,
}

/// Largest number of groups that can be distinguished in a figure.
const MOST_LEVELS: usize = 12;
/// Largest number of groups that have a panel each.
pub const MOST_GROUP_PANELS: usize = 8;
/// Documentation of the names of the groups of `--by`.
pub const BY_NAMES: ArrayDoc = ArrayDoc::new(
    "by_names",
    "[group]",
    "",
    "names of the groups of --by, in their order; missing without --by",
);

impl Study<'_> {
    /// Returns the groups of trials with equal values of all these conditions, in ascending order of the values.
    ///
    /// # Errors
    /// If the trials lack one of the conditions.
    pub fn cells(&self, names: &[String]) -> Result<Vec<Group>, Unsuitable> {
        cells(self, names)
    }

    /// Returns the groups of trials of `study.by`; none if it is empty.
    ///
    /// # Errors
    /// If the trials lack one of the conditions.
    pub fn groups_by(&self) -> Result<Vec<Group>, Unsuitable> {
        if self.by.is_empty() {
            return Ok(Vec::new());
        }
        cells(self, &self.by)
    }
}

/// Returns the groups of trials with equal values of all these conditions, in ascending order of the values; NaN, which
/// says that a condition does not apply, is the last. There is one group for each combination that occurs.
///
/// # Errors
/// If the trials lack one of the conditions.
pub fn cells(study: &Study, names: &[String]) -> Result<Vec<Group>, Unsuitable> {
    let columns = names.iter().map(|name| condition(&study.batch, name));
    let columns: Vec<&[f64]> = columns
        .collect::<Result<_, _>>()
        .map_err(|error| Unsuitable::lacks(error.to_string()))?;
    let order = |a: &usize, b: &usize| {
        let each = columns
            .iter()
            .map(|column| ascending(column[*a], column[*b]));
        each.fold(Ordering::Equal, Ordering::then)
    };
    let mut trials: Vec<usize> = (0..study.batch.n_trials).collect();
    trials.sort_by(order);
    let cells: Vec<&[usize]> = trials.chunk_by(|a, b| order(a, b).is_eq()).collect();
    let n_cells = cells.len();
    let scale = match (names, &columns[..]) {
        ([name], [column]) => scale_of(study, name, column),
        _ => Scale::Names,
    };
    let cell = |(k, own): (usize, &&[usize])| Group {
        name: names
            .iter()
            .zip(&columns)
            .map(|(name, column)| level_name(study.task, name, column[own[0]]))
            .collect::<Vec<_>>()
            .join(", "),
        trials: own.to_vec(),
        colour: level_colour(k, n_cells, scale),
    };
    Ok(cells.iter().enumerate().map(cell).collect())
}

/// Compares two values of a condition; 0 equals -0, and NaN is the largest.
fn ascending(a: f64, b: f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (false, false) => (a + 0.0).total_cmp(&(b + 0.0)),
        (a, b) => a.cmp(&b),
    }
}

/// Returns the scale of the colours of a condition.
fn scale_of(study: &Study, name: &str, values: &[f64]) -> Scale {
    let levels = distinct(values.iter().copied());
    let has_name = |level: &f64| study.task.value_name(name, *level).is_some();
    if levels.iter().all(has_name) {
        Scale::Names
    } else if name.ends_with("_deg") || name == "direction" {
        Scale::Cyclic
    } else if levels.iter().any(|level| *level < 0.0) {
        Scale::Signed
    } else {
        Scale::Sizes
    }
}

/// Groups trials by `study.by`, if it is not empty; otherwise by evidence, or by that which counts in the context of a
/// trial, with more than 12 levels merged; without evidence by the condition with the most levels, up to 12; otherwise by the correct choice, if there
/// are at most 12; otherwise all in one. Catch trials are left out of groups by evidence or condition. Returns the name
/// of the grouping variable, too.
pub fn groups(study: &Study) -> (String, Vec<Group>) {
    let shown = shown_trials(&study.batch);
    if let (false, Ok(cells)) = (study.by.is_empty(), cells(study, &study.by)) {
        return (spoken(&study.by.join(", ")), cells);
    }
    let found = evidence(&study.batch, &shown).filter(|found| found.is_quantity(study.task));
    if let Some(found) = found {
        let quantity = found.quantity(study.task);
        let text = |value: f64| short(quantity.factor * value);
        let groups = by_level(&found.values, &found.trials, Scale::Signed, text);
        return (quantity.axis(), groups);
    }
    by_relevant_evidence(study)
        .or_else(|| by_condition(study, &shown))
        .or_else(|| by_correct_choice(study))
        .unwrap_or_else(|| ("trials".to_owned(), vec![of_all(study)]))
}

/// Groups trials by the evidence that counts in their context, if there are several contexts with evidence in one unit.
fn by_relevant_evidence(study: &Study) -> Option<(String, Vec<Group>)> {
    let found = contexts(study).ok()?.contexts;
    let quantity = found.first()?.evidence.quantity(study.task);
    let is_alike = |context: &Context| {
        let own = context.evidence.quantity(study.task);
        own.unit == quantity.unit && own.factor == quantity.factor && context.evidence.bound == 0.0
    };
    if found.len() < 2 || !found.iter().all(is_alike) {
        return None;
    }
    let mut values = vec![f64::NAN; study.batch.n_trials];
    for Context { evidence, .. } in &found {
        let own = evidence.trials.iter();
        own.for_each(|&b| values[b] = evidence.values[b]);
    }
    let trials: Vec<usize> = (0..values.len())
        .filter(|&b| values[b].is_finite())
        .collect();
    let text = |value: f64| short(quantity.factor * value);
    let groups = by_level(&values, &trials, Scale::Signed, text);
    let label = "evidence that counts".to_owned();
    Some((Quantity { label, ..quantity }.axis(), groups))
}

/// Groups trials by the condition with the most levels, if there is one with two or more.
fn by_condition(study: &Study, shown: &[usize]) -> Option<(String, Vec<Group>)> {
    let is_grouping = |(name, _): &&(String, Vec<f64>)| {
        name != "catch" && study.task.meaning(name) != Meaning::Index
    };
    let n_levels = |values: &[f64]| distinct(shown.iter().map(|&b| values[b])).len();
    let (name, values) = study
        .batch
        .conditions
        .iter()
        .filter(is_grouping)
        .filter(|(_, values)| (2..=MOST_LEVELS).contains(&n_levels(values)))
        .max_by_key(|(_, values)| n_levels(values))?;
    let quantity = quantity_of(study.task, name);
    let text = |value: f64| match study.task.value_name(name, value) {
        Some(name) => spoken(&name),
        None => short(quantity.factor * value),
    };
    let groups = by_level(values, shown, scale_of(study, name, values), text);
    Some((quantity.axis(), groups))
}

/// Groups trials by their correct choices, if there are two or more.
fn by_correct_choice(study: &Study) -> Option<(String, Vec<Group>)> {
    let all: Vec<usize> = (0..study.batch.n_trials).collect();
    let correct = study.batch.correct.iter();
    let correct: Vec<f64> = correct.map(|c| c.map_or(f64::NAN, |c| c as f64)).collect();
    if !(2..=MOST_LEVELS).contains(&distinct(correct.iter().copied()).len()) {
        return None;
    }
    let layout = study.layout();
    let text = |choice: f64| spoken(&layout.choice_name(choice as usize));
    let groups = by_level(&correct, &all, Scale::Names, text);
    Some(("correct choice".to_owned(), groups))
}

/// Groups trials by the levels of some values, neighbouring ones together if there are many; `text` formats a level.
fn by_level(
    values: &[f64],
    trials: &[usize],
    scale: Scale,
    text: impl Fn(f64) -> String,
) -> Vec<Group> {
    let levels = distinct(trials.iter().map(|&b| values[b]));
    let n = levels.len();
    let n_groups = n_merged(n, MOST_LEVELS);
    let group = |k: usize| {
        let own: Vec<f64> = (0..n)
            .filter(|&place| merged(place, n, n_groups) == k)
            .map(|place| levels[place])
            .collect();
        let [first, last] = [own[0], own[own.len() - 1]];
        Group {
            name: match &own[..] {
                [level] => text(*level),
                _ => format!("{} to {}", text(first), text(last)),
            },
            trials: trials
                .iter()
                .copied()
                .filter(|&b| (first..=last).contains(&values[b]))
                .collect(),
            colour: level_colour(k, n_groups, scale),
        }
    };
    (0..n_groups).map(group).collect()
}

/// Returns the title of a figure with groups of trials; empty for all trials together.
pub fn by_title(by: &str) -> String {
    match by {
        "trials" => String::new(),
        by => format!("by {by}"),
    }
}

/// Averages `values [trial, time, k]` over the trials of a group, as long as at least half of them are running.
pub fn mean_course(
    study: &Study,
    values: &ndarray::Array3<f64>,
    group: &Group,
) -> ndarray::Array2<f64> {
    let runs = |b: usize, t: usize| t < study.batch.n_steps[b];
    let running = |t: usize| {
        group
            .trials
            .iter()
            .copied()
            .filter(|&b| runs(b, t))
            .collect::<Vec<_>>()
    };
    let n_steps = (0..study.batch.max_steps)
        .take_while(|&t| 2 * running(t).len() >= group.trials.len().max(1))
        .count();
    let mut course = ndarray::Array2::zeros((n_steps, values.dim().2));
    for (t, mut row) in course.outer_iter_mut().enumerate() {
        let trials = running(t);
        for &b in &trials {
            row += &values.slice(ndarray::s![b, t, ..]);
        }
        row /= trials.len() as f64;
    }
    course
}

/// Returns all trials as one group.
pub fn of_all(study: &Study) -> Group {
    Group {
        name: "all trials".to_owned(),
        trials: (0..study.batch.n_trials).collect(),
        colour: level_colour(0, 1, Scale::Names),
    }
}
