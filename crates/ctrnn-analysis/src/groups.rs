//! Groups of trials for figures, by evidence, condition or correct choice.

use crate::Study;
use crate::evidence::{column, distinct, evidence};
use crate::plot::{Rgb, level_colour};
use crate::text::{short, spoken};

/// Trials of one group.
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

/// Groups trials by evidence, with more than 12 levels merged into 12 groups; without evidence by the condition with
/// the most levels, up to 12; otherwise by the correct choice, if there are at most 12; otherwise all in one. Returns
/// the name of the grouping variable, too.
pub fn groups(study: &Study) -> (String, Vec<Group>) {
    let all: Vec<usize> = (0..study.batch.n_trials).collect();
    if let Some(found) = evidence(&study.batch, &all) {
        return (
            spoken(&found.name),
            by_level(&found.values, &found.trials, true),
        );
    }
    let columns = study
        .batch
        .conditions
        .iter()
        .filter(|(name, _)| name != "catch");
    let level = |values: &[f64]| distinct(values.iter().copied()).len();
    let best = columns
        .filter(|(_, values)| (2..=MOST_LEVELS).contains(&level(values)))
        .max_by_key(|(_, values)| level(values));
    if let Some((name, values)) = best {
        let shown: Vec<usize> = match column(&study.batch, "catch") {
            Some(catch) => all.into_iter().filter(|&b| catch[b] != 1.0).collect(),
            None => all,
        };
        let mut groups = by_level(values, &shown, level(values) > 4);
        let levels = distinct(shown.iter().map(|&b| values[b]));
        for (group, level) in groups.iter_mut().zip(levels) {
            if let Some(name) = study.task.value_name(name, level) {
                group.name = spoken(&name);
            }
        }
        return (spoken(name), groups);
    }
    let correct: Vec<f64> = study
        .batch
        .correct
        .iter()
        .map(|c| c.map_or(f64::NAN, |c| c as f64))
        .collect();
    if (2..=MOST_LEVELS).contains(&level(&correct)) {
        let layout = study.layout();
        let mut groups = by_level(&correct, &all, false);
        for (group, value) in groups.iter_mut().zip(distinct(correct.iter().copied())) {
            group.name = spoken(&layout.choice_name(value as usize));
        }
        return ("correct choice".to_owned(), groups);
    }
    ("trials".to_owned(), vec![of_all(study)])
}

fn by_level(values: &[f64], trials: &[usize], is_ordered: bool) -> Vec<Group> {
    let levels = distinct(trials.iter().map(|&b| values[b]));
    let n_groups = levels.len().min(MOST_LEVELS);
    let group = |k: usize| {
        let own = &levels[k * levels.len() / n_groups..(k + 1) * levels.len() / n_groups];
        let [first, last] = [own[0], own[own.len() - 1]];
        Group {
            name: match own {
                [level] => short(*level),
                _ => format!("{} to {}", short(first), short(last)),
            },
            trials: trials
                .iter()
                .copied()
                .filter(|&b| (first..=last).contains(&values[b]))
                .collect(),
            colour: level_colour(k, n_groups, is_ordered),
        }
    };
    (0..n_groups).map(group).collect()
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
        colour: level_colour(0, 1, false),
    }
}
