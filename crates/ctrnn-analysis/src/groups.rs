//! Groups of trials for figures, by evidence, condition or correct choice.

use std::cmp::Ordering;

use ctrnn_tasks::Meaning;
use ndarray::{Array2, Array3, ArrayView2, s};

use crate::evidence::{
    by_one_condition, distinct, evidence, level_name, quantity_of, shown_trials,
};
use crate::plot::{Rgb, Scale, colour, level_colour};
use crate::responses::common_steps;
use crate::selection::condition;
use crate::text::{short, spoken};
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
/// Largest number of tasks, rules or contexts that are groups.
const MOST_CONTEXTS: usize = 24;
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

/// Groups trials by `study.by`, if it is not empty; otherwise by evidence, with more than 12 levels merged into 12
/// groups; in a task with contexts by context and the evidence that counts in it; without evidence by the condition with
/// the most levels, up to 12, or by task, rule or context, up to 24; otherwise by the correct choice, if there
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
        let groups = by_level(
            &found.values,
            &found.trials,
            Scale::Signed,
            MOST_LEVELS,
            text,
        );
        return (quantity.axis(), groups);
    }
    by_context(study, &shown)
        .or_else(|| by_condition(study, &shown))
        .or_else(|| by_many_contexts(study, &shown))
        .or_else(|| by_correct_choice(study))
        .unwrap_or_else(|| ("trials".to_owned(), vec![of_all(study)]))
}

/// Groups trials by context and the evidence that counts in it, if there are contexts: half of the trials of one level of
/// any evidence would ignore it. Contexts have colours of their own, from pale for the lowest evidence on.
fn by_context(study: &Study, shown: &[usize]) -> Option<(String, Vec<Group>)> {
    let contexts = by_one_condition(study, shown)?;
    let is_quantity = contexts
        .iter()
        .all(|context| context.evidence.is_quantity(study.task));
    if !is_quantity || contexts.is_empty() {
        return None;
    }
    let most = (MOST_LEVELS / contexts.len()).max(3);
    let groups = contexts.iter().enumerate().flat_map(|(k, context)| {
        let quantity = context.evidence.quantity(study.task);
        let text = |value: f64| short(quantity.factor * value);
        let own = by_level(
            &context.evidence.values,
            &context.evidence.trials,
            Scale::Signed,
            most,
            text,
        );
        let n = own.len();
        let named = move |(level, group): (usize, Group)| Group {
            name: format!("{}: {} {}", context.name, group.name, quantity.unit)
                .trim_end()
                .to_owned(),
            colour: pale(colour(k), 0.7 * (1.0 - (level + 1) as f64 / n as f64)),
            ..group
        };
        own.into_iter().enumerate().map(named).collect::<Vec<_>>()
    });
    Some(("context and its evidence".to_owned(), groups.collect()))
}

/// Mixes a colour with a part of white.
fn pale(Rgb(ink): Rgb, part: f64) -> Rgb {
    Rgb(ink.map(|c| (f64::from(c) + part * (255.0 - f64::from(c))).round() as u8))
}

/// Groups trials by task, rule or context, if one of these conditions has two or more values, at most 24.
fn by_many_contexts(study: &Study, shown: &[usize]) -> Option<(String, Vec<Group>)> {
    ["task", "rule", "context"].into_iter().find_map(|name| {
        let values = condition(&study.batch, name).ok()?;
        let n_levels = distinct(shown.iter().map(|&b| values[b])).len();
        let text = |value: f64| match study.task.value_name(name, value) {
            Some(name) => spoken(&name),
            None => short(value),
        };
        (2..=MOST_CONTEXTS).contains(&n_levels).then(|| {
            let groups = by_level(values, shown, Scale::Names, MOST_CONTEXTS, text);
            (quantity_of(study.task, name).axis(), groups)
        })
    })
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
    let scale = scale_of(study, name, values);
    let groups = by_level(values, shown, scale, MOST_LEVELS, text);
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
    let groups = by_level(&correct, &all, Scale::Names, MOST_LEVELS, text);
    Some(("correct choice".to_owned(), groups))
}

/// Returns the group of each of some ascending levels, of at most `most` groups of neighbours with about equal numbers
/// of levels. If there are levels on either side of 0, those of equal size on both sides are merged in the same way, and 0
/// is a group of its own.
pub(crate) fn merged(levels: &[f64], most: usize) -> Vec<usize> {
    let n = levels.len();
    if n <= most {
        return (0..n).collect();
    }
    let has_sides = levels[0] < 0.0 && levels[n - 1] > 0.0;
    if !has_sides || most < 3 {
        return (0..n).map(|k| k * most / n).collect();
    }
    let sizes = distinct(levels.iter().map(|x| x.abs()).filter(|size| *size > 0.0));
    let n_side = ((most - 1) / 2).min(sizes.len()) as isize;
    let signed = |level: &f64| {
        let place = sizes.partition_point(|size| *size < level.abs()) as isize;
        match level {
            x if *x > 0.0 => 1 + place * n_side / sizes.len() as isize,
            x if *x < 0.0 => -1 - place * n_side / sizes.len() as isize,
            _ => 0,
        }
    };
    // A side may lack a group of the other.
    let signed: Vec<isize> = levels.iter().map(signed).collect();
    let mut number = 0;
    let pairs = std::iter::once(signed[0]).chain(signed.iter().copied());
    let numbered = pairs.zip(&signed).map(|(before, own)| {
        number += usize::from(before != *own);
        number
    });
    numbered.collect()
}

/// Groups trials by the levels of some values, neighbouring ones together if there are more than `most`; `text` formats a
/// level.
fn by_level(
    values: &[f64],
    trials: &[usize],
    scale: Scale,
    most: usize,
    text: impl Fn(f64) -> String,
) -> Vec<Group> {
    let levels = distinct(trials.iter().map(|&b| values[b]));
    let numbers = merged(&levels, most);
    let numbered: Vec<(usize, f64)> = numbers.into_iter().zip(levels).collect();
    let own: Vec<&[(usize, f64)]> = numbered.chunk_by(|a, b| a.0 == b.0).collect();
    let n_groups = own.len();
    let group = |(k, own): (usize, &&[(usize, f64)])| {
        let [first, last] = [own[0].1, own[own.len() - 1].1];
        Group {
            name: if own.len() == 1 {
                text(first)
            } else {
                format!("{} to {}", text(first), text(last))
            },
            trials: trials
                .iter()
                .copied()
                .filter(|&b| (first..=last).contains(&values[b]))
                .collect(),
            colour: level_colour(k, n_groups, scale),
        }
    };
    own.iter().enumerate().map(group).collect()
}

/// Returns the title of a figure with groups of trials; empty for all trials together.
pub fn by_title(by: &str) -> String {
    match by {
        "trials" => String::new(),
        by => format!("by {by}"),
    }
}

/// Returns the remark on numbers of trials of a title or sentence, such as `n = 38 to 42`.
pub fn numbers(n_trials: impl IntoIterator<Item = usize>) -> String {
    let n_trials: Vec<usize> = n_trials.into_iter().collect();
    match [n_trials.iter().min(), n_trials.iter().max()] {
        [Some(least), Some(most)] if least < most => format!("n = {least} to {most}"),
        [_, Some(n)] => format!("n = {n}"),
        _ => String::new(),
    }
}

/// Mean over trials, and its standard error, both `[time, k]`.
pub struct MeanCourse {
    pub mean: Array2<f64>,
    /// Standard error of the mean; NaN for a single trial.
    pub error: Array2<f64>,
    /// Number of trials that are averaged.
    pub n_trials: usize,
}

/// Averages `values [trial, time, k]` over the longer half of the trials of a group, as long as all of these are running:
/// over one set of trials at all times.
pub fn mean_course(study: &Study, values: &Array3<f64>, group: &Group) -> MeanCourse {
    let n_steps = common_steps(group.trials.iter().map(|&b| study.batch.n_steps[b]));
    let long = group.trials.iter().copied();
    let long: Vec<usize> = long
        .filter(|&b| study.batch.n_steps[b] >= n_steps)
        .collect();
    let rows = || long.iter().map(|&b| values.slice(s![b, ..n_steps, ..]));
    let (mean, error) = mean_and_error(rows, (n_steps, values.dim().2));
    MeanCourse {
        mean,
        error,
        n_trials: long.len(),
    }
}

/// Computes the mean of some arrays of one shape, and its standard error; 0 and NaN without any.
pub fn mean_and_error<'a, I>(
    rows: impl Fn() -> I,
    shape: (usize, usize),
) -> (Array2<f64>, Array2<f64>)
where
    I: Iterator<Item = ArrayView2<'a, f64>>,
{
    let n = rows().count() as f64;
    let sum = rows().fold(Array2::zeros(shape), |sum, row| sum + row);
    let mean = sum / n.max(1.0);
    let squares = rows().fold(Array2::<f64>::zeros(shape), |sum, row| {
        let left = &row - &mean;
        sum + &left * &left
    });
    let error = (squares / (n - 1.0) / n).mapv(f64::sqrt);
    (mean, error)
}

/// Returns all trials as one group.
pub fn of_all(study: &Study) -> Group {
    Group {
        name: "all trials".to_owned(),
        trials: (0..study.batch.n_trials).collect(),
        colour: level_colour(0, 1, Scale::Names),
    }
}

#[cfg(test)]
mod tests {
    use ctrnn_tasks::ContextDecision;
    use ndarray::Array3;

    use super::*;
    use crate::analyses::observer;

    /// In each context the evidence that counts there sorts the trials: two contexts of four levels, each with the trials
    /// of its context alone.
    #[test]
    fn contexts_are_sorted_by_the_evidence_that_counts() {
        let task = ContextDecision {
            coherences: vec![0.1, 0.5],
            ..ContextDecision::default()
        };
        let batch = observer::batch(&task, 2 * 16 * 2);
        let shape = (batch.n_trials, batch.max_steps, batch.n_outputs);
        let study = observer::study(&task, batch, Array3::zeros(shape));
        let (by, groups) = groups(&study);
        assert_eq!((&by[..], groups.len()), ("context and its evidence", 8));
        let context = condition(&study.batch, "context").unwrap();
        let evidence = ["motion", "colour"].map(|name| condition(&study.batch, name).unwrap());
        for (k, group) in groups.iter().enumerate() {
            let level = [-0.5, -0.1, 0.1, 0.5][k % 4];
            assert!(!group.trials.is_empty());
            for &b in &group.trials {
                assert_eq!(context[b] as usize, k / 4, "{}", group.name);
                assert!((evidence[k / 4][b] - level).abs() < 1e-9, "{}", group.name);
            }
        }
        assert_eq!(groups[0].name, "context = motion: −50 %");
    }

    /// Nine levels in at most six groups: 0 alone, and on each side the sizes 1 and 2, and 3 and 4.
    #[test]
    fn levels_are_merged_symmetrically_about_zero() {
        let nine: Vec<f64> = (-4..=4).map(f64::from).collect();
        assert_eq!(merged(&nine, 9), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(merged(&nine, 6), [0, 0, 1, 1, 2, 3, 3, 4, 4]);
        let without_zero: Vec<f64> = nine.iter().copied().filter(|x| *x != 0.0).collect();
        assert_eq!(merged(&without_zero, 5), [0, 0, 1, 1, 2, 2, 3, 3]);
        // One side alone has a level of 3: the size counts, not the place.
        assert_eq!(
            merged(&[-2.0, -1.0, 1.0, 2.0, 3.0, 4.0], 5),
            [0, 0, 1, 1, 2, 2]
        );
        assert_eq!(merged(&[1.0, 2.0, 3.0, 4.0], 2), [0, 0, 1, 1]);
    }
}
