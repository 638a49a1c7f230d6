//! Evidence: the number that determines the correct one of two choices.

use ctrnn_tasks::TrialBatch;

use crate::text::{short, spoken};
use crate::{Study, Unsuitable};

/// Signed evidence per trial: one of the two choices of a task is correct above a bound, the other below.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// Name, such as `coh`, `coh × side` or `first_hz − second_hz`.
    pub name: String,
    /// Evidence in each trial.
    pub values: Vec<f64>,
    /// Trials for which the evidence is defined.
    pub trials: Vec<usize>,
    /// Choices that are correct below and above the bound.
    pub choices: [usize; 2],
}

/// Finds the evidence that determines the choice in some trials: a condition, a strength times a side of -1 or 1, or
/// the difference of two conditions with the same unit; of several, the one with the most levels, at least three. Catch
/// trials are left out.
#[must_use]
pub fn evidence(batch: &TrialBatch, trials: &[usize]) -> Option<Evidence> {
    let catch = column(batch, "catch");
    let is_shown = |b: &usize| catch.is_none_or(|catch| catch[*b] != 1.0);
    let trials: Vec<usize> = trials.iter().copied().filter(is_shown).collect();
    let mut found = candidates(batch)
        .into_iter()
        .filter_map(|(name, values)| decisive(batch, &trials, name, values));
    let first = found.next()?;
    Some(found.fold(first, |best, next| {
        if levels(&next) > levels(&best) {
            next
        } else {
            best
        }
    }))
}

/// Evidence in the trials selected by one value of a context; all trials if no context is needed.
#[derive(Clone, Debug, PartialEq)]
pub struct Context {
    /// Name of the context; empty if it is the only one.
    pub name: String,
    /// Evidence in the trials of the context.
    pub evidence: Evidence,
}

impl Context {
    /// Returns the beginning of a sentence about the context.
    pub fn prefix(&self) -> String {
        if self.name.is_empty() {
            String::new()
        } else {
            format!("{}: ", self.name)
        }
    }
}

/// Returns a single context if one number determines the choice; otherwise the levels of the condition within each of
/// which one number does.
///
/// # Errors
/// If no number determines the choice.
pub fn contexts(study: &Study) -> Result<Vec<Context>, Unsuitable> {
    let batch = &study.batch;
    let all: Vec<usize> = (0..batch.n_trials).collect();
    if let Some(evidence) = evidence(batch, &all) {
        let name = String::new();
        return Ok(vec![Context { name, evidence }]);
    }
    let of_column = |(name, values): &(String, Vec<f64>)| {
        let levels = distinct(values.iter().copied());
        let context = |level: &f64| {
            let is_here = |&b: &usize| values[b] == *level;
            let trials: Vec<usize> = all.iter().copied().filter(is_here).collect();
            let name = format!("{} {}", spoken(name), short(*level));
            let evidence = evidence(batch, &trials)?;
            Some(Context { name, evidence })
        };
        let found: Option<Vec<Context>> = levels.iter().map(context).collect();
        found.filter(|_| (2..=4).contains(&levels.len()))
    };
    let found = batch.conditions.iter().find_map(of_column);
    found.ok_or_else(|| {
        Unsuitable::lacks("no condition of the task says by its size which of two choices is right")
    })
}

/// Counts the different values.
fn levels(evidence: &Evidence) -> usize {
    distinct(evidence.trials.iter().map(|&b| evidence.values[b])).len()
}

/// Returns the different values in ascending order.
pub fn distinct(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.filter(|x| !x.is_nan()).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    values
}

/// Returns the values of a condition by its name.
pub fn column<'a>(batch: &'a TrialBatch, name: &str) -> Option<&'a [f64]> {
    let found = batch.conditions.iter().find(|(key, _)| key == name);
    found.map(|(_, values)| &values[..])
}

fn candidates(batch: &TrialBatch) -> Vec<(String, Vec<f64>)> {
    let columns: Vec<&(String, Vec<f64>)> = batch
        .conditions
        .iter()
        .filter(|(name, _)| name != "catch")
        .collect();
    let mut found: Vec<(String, Vec<f64>)> = columns.iter().map(|&column| column.clone()).collect();
    let is_side = |values: &[f64]| distinct(values.iter().copied()) == [-1.0, 1.0];
    for (name, values) in &columns {
        for (other, sides) in columns
            .iter()
            .filter(|(other, sides)| other != name && is_side(sides))
        {
            let products = values.iter().zip(sides).map(|(x, side)| (x * side) + 0.0);
            found.push((format!("{name} × {other}"), products.collect()));
        }
        let unit = |name: &str| name.rsplit_once('_').map(|(_, unit)| unit.to_owned());
        for (other, others) in columns.iter().filter(|(other, _)| other > name) {
            if unit(name).is_some() && unit(name) == unit(other) {
                let differences = values.iter().zip(others).map(|(a, b)| a - b);
                found.push((format!("{name} − {other}"), differences.collect()));
            }
        }
    }
    found
}

/// Returns the evidence if one bound separates the trials with either correct choice.
fn decisive(
    batch: &TrialBatch,
    trials: &[usize],
    name: String,
    values: Vec<f64>,
) -> Option<Evidence> {
    let mut answered: Vec<(f64, usize)> = trials
        .iter()
        .filter_map(|&b| Some((values[b], batch.correct[b]?)))
        .filter(|(value, _)| !value.is_nan()) // it does not apply to the trial
        .collect();
    answered.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (below, above) = (answered.first()?.1, answered.last()?.1);
    let turn = answered.iter().position(|(_, correct)| *correct != below)?;
    let is_parted = answered[turn..]
        .iter()
        .all(|(_, correct)| *correct == above)
        && answered[turn - 1].0 < answered[turn].0;
    let evidence = Evidence {
        name,
        choices: [below, above],
        trials: trials
            .iter()
            .copied()
            .filter(|&b| values[b].is_finite())
            .collect(),
        values,
    };
    (is_parted && below != above && levels(&evidence) > 2).then_some(evidence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctrnn_tasks::{Condition, Layout, Timeline, Trial};

    /// Two conditions of a trial, and its correct choice.
    type Row<'a> = ([(&'a str, f64); 2], Option<usize>);

    fn batch(rows: &[Row]) -> TrialBatch {
        let layout = Layout::new([], ["a", "b"]);
        let trial = |(values, correct): &Row| {
            let mut timeline = Timeline::default();
            timeline.push("trial", 1);
            let mut trial = Trial::new(&layout, &Condition::new(*values), timeline);
            trial.correct = *correct;
            trial
        };
        TrialBatch::new(rows.iter().map(trial))
    }

    #[test]
    fn a_strength_and_a_side_make_evidence() {
        let row = |coh: f64, side: f64, correct| ([("coh", coh), ("side", side)], correct);
        let batch = batch(&[
            row(0.5, -1.0, Some(0)),
            row(0.0, 1.0, None),
            row(0.5, 1.0, Some(1)),
            row(0.1, 1.0, Some(1)),
        ]);
        let found = evidence(&batch, &[0, 1, 2, 3]).unwrap();
        assert_eq!((found.name.as_str(), found.choices), ("coh × side", [0, 1]));
        assert_eq!(found.values, [-0.5, 0.0, 0.5, 0.1]);
    }

    #[test]
    fn two_frequencies_are_compared() {
        let row = |a: f64, b: f64| {
            (
                [("first_hz", a), ("second_hz", b)],
                Some(usize::from(a > b)),
            )
        };
        let pairs = [
            (10.0, 18.0),
            (18.0, 10.0),
            (20.0, 28.0),
            (28.0, 20.0),
            (30.0, 14.0),
        ];
        let batch = batch(&pairs.map(|(a, b)| row(a, b)));
        let found = evidence(&batch, &[0, 1, 2, 3, 4]).unwrap();
        assert_eq!(found.name, "first_hz − second_hz");
        assert_eq!(found.values, [-8.0, 8.0, -8.0, 8.0, 16.0]);
    }

    #[test]
    fn where_no_number_decides_there_is_none() {
        let row = |a: f64, correct| ([("a", a), ("b", 0.0)], Some(correct));
        let batch = batch(&[row(1.0, 0), row(2.0, 1), row(3.0, 0)]);
        assert_eq!(evidence(&batch, &[0, 1, 2]), None);
    }
}
