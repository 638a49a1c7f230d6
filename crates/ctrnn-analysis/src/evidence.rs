//! Evidence: the number that determines the correct one of two choices.

use ctrnn_tasks::{Meaning, Quantity, Task, TrialBatch};

use crate::text::{are, short, spoken};
use crate::{Study, Unsuitable};

/// Names of conditions that are told apart however many values they have.
pub(crate) const CONTEXTS: [&str; 3] = ["context", "rule", "task"];

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
    /// Bound: 0 if it separates the choices, otherwise the middle between the values with either.
    pub bound: f64,
    source: Source,
}

/// Conditions that make up the evidence.
#[derive(Clone, Debug, PartialEq)]
enum Source {
    /// A condition.
    Value(String),
    /// A strength times a side.
    OnSide([String; 2]),
    /// The difference of two conditions.
    Difference([String; 2]),
}

impl Evidence {
    /// Returns label, unit and scale of the evidence.
    pub fn quantity(&self, task: &dyn Task) -> Quantity {
        match &self.source {
            Source::Value(name) | Source::OnSide([name, _]) => quantity_of(task, name),
            Source::Difference([first, second]) => {
                let [first, second] = [first, second].map(|name| quantity_of(task, name));
                Quantity {
                    label: format!("{} − {}", first.label, second.label),
                    ..first
                }
            }
        }
    }

    /// Returns label, unit and scale of the strength of the evidence, its distance from the bound.
    pub fn strength_quantity(&self, task: &dyn Task) -> Quantity {
        let signed = self.quantity(task);
        let label = match &self.source {
            Source::Value(_) | Source::OnSide(_) if self.bound == 0.0 => signed.label,
            Source::Value(_) | Source::OnSide(_) => {
                format!("distance of {} from bound", signed.label)
            }
            Source::Difference(_) => format!("|{}|", signed.label),
        };
        Quantity { label, ..signed }
    }

    /// Returns the strength and the side whose product is the evidence; `None` if it is not a product.
    pub fn strength_and_side(&self) -> Option<&[String; 2]> {
        match &self.source {
            Source::OnSide(names) => Some(names),
            Source::Value(_) | Source::Difference(_) => None,
        }
    }

    /// Returns true if the evidence is a quantity, not the number of a name.
    pub fn is_quantity(&self, task: &dyn Task) -> bool {
        let is_quantity = |name: &str| matches!(task.meaning(name), Meaning::Quantity(_));
        match &self.source {
            Source::Value(name) | Source::OnSide([name, _]) => is_quantity(name),
            Source::Difference(names) => names.iter().all(|name| is_quantity(name)),
        }
    }

    /// Returns the strength of the evidence in a trial: its distance from the bound.
    pub fn strength(&self, b: usize) -> f64 {
        let distance = (self.values[b] - self.bound).abs();
        // Rounded, so that values on either side of a bound such as 0.15 have equal strengths.
        let unit = 1e-12 * self.bound.abs();
        if unit > 0.0 {
            (distance / unit).round() * unit
        } else {
            distance
        }
    }
}

/// Returns label, unit and scale of a condition, whose values may be names.
pub fn quantity_of(task: &dyn Task, condition: &str) -> Quantity {
    match task.meaning(condition) {
        Meaning::Quantity(quantity) => quantity,
        Meaning::Names(_) | Meaning::Index => Quantity {
            label: spoken(condition),
            unit: String::new(),
            factor: 1.0,
        },
    }
}

/// Returns the trials that are not catch trials.
pub fn shown_trials(batch: &TrialBatch) -> Vec<usize> {
    let catch = column(batch, "catch");
    let is_shown = |b: &usize| catch.is_none_or(|catch| catch[*b] != 1.0);
    (0..batch.n_trials).filter(is_shown).collect()
}

/// Finds the evidence that determines the choice in some trials: a condition, a strength times a side of -1 or 1, or
/// the difference of two conditions with the same unit; of several, the one with the most levels, at least three. Catch
/// trials are left out.
#[must_use]
pub fn evidence(batch: &TrialBatch, trials: &[usize]) -> Option<Evidence> {
    let shown = shown_trials(batch);
    let is_shown = |b: &usize| shown.binary_search(b).is_ok();
    let trials: Vec<usize> = trials.iter().copied().filter(is_shown).collect();
    let mut found = candidates(batch, &trials)
        .into_iter()
        .filter_map(|candidate| decisive(batch, &trials, candidate));
    let first = found.next()?;
    Some(found.fold(first, |best, next| {
        if levels(&next) > levels(&best) {
            next
        } else {
            best
        }
    }))
}

/// Evidence in the trials selected by values of conditions; in all trials if no selection is needed.
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

/// Contexts with evidence, and the trials that are in none of them.
#[derive(Clone, Debug)]
pub struct Contexts {
    /// Contexts, at least one.
    pub contexts: Vec<Context>,
    /// Names of the groups of trials in which no number determines the choice.
    pub without_evidence: Vec<String>,
    /// Number of catch trials.
    pub n_catch: usize,
}

impl Contexts {
    /// Returns sentences on the trials that are left out.
    pub fn statements(&self) -> Vec<String> {
        let catch =
            (self.n_catch > 0).then(|| format!("{} left out", are(self.n_catch, "catch trial")));
        let without = self.without_evidence.iter().map(|name| {
            format!("{name}: no condition says by its size which of two choices is correct")
        });
        catch.into_iter().chain(without).collect()
    }
}

/// Returns the evidence in each group of trials by `study.by`, by default in the cues of a task that combines them, or in each task
/// of a mixture; otherwise a single context if one number determines the choice, or else the levels of the condition within each of
/// which one number does.
///
/// # Errors
/// If no number determines the choice.
pub fn contexts(study: &Study) -> Result<Contexts, Unsuitable> {
    let batch = &study.batch;
    let shown = shown_trials(batch);
    let is_mixture =
        column(batch, "task").is_some_and(|task| distinct(task.iter().copied()).len() > 1);
    // A number of one task says nothing about another.
    let over_all = (!is_mixture)
        .then(|| evidence(batch, &shown).filter(|found| found.is_quantity(study.task)))
        .flatten();
    let mut without_evidence = Vec::new();
    let by = if study.by.is_empty() {
        let cues = study.task.cues().map(|cues| vec![cues.condition]);
        cues.or_else(|| is_mixture.then(|| vec!["task".to_owned()]))
    } else {
        Some(study.by.clone())
    };
    let mut found = Vec::new();
    let contexts = match (by, over_all) {
        (Some(by), over_all) => {
            for cell in study.cells(&by)? {
                match evidence_in(&cell.trials, over_all.as_ref(), batch) {
                    Some(evidence) => found.push(Context {
                        name: cell.name,
                        evidence,
                    }),
                    None => without_evidence.push(cell.name),
                }
            }
            found
        }
        (None, Some(evidence)) => vec![Context {
            name: String::new(),
            evidence,
        }],
        (None, None) => by_one_condition(study, &shown).unwrap_or_default(),
    };
    if contexts.is_empty() {
        let why = "no condition of the task says by its size which of two choices is correct";
        return Err(Unsuitable::lacks(why));
    }
    Ok(Contexts {
        contexts,
        without_evidence,
        n_catch: batch.n_trials - shown.len(),
    })
}

/// Returns the evidence in some of the trials: that over all trials, if there is one.
fn evidence_in(
    trials: &[usize],
    over_all: Option<&Evidence>,
    batch: &TrialBatch,
) -> Option<Evidence> {
    let Some(over_all) = over_all else {
        return evidence(batch, trials);
    };
    let trials: Vec<usize> = trials
        .iter()
        .copied()
        .filter(|b| over_all.trials.binary_search(b).is_ok())
        .collect();
    (!trials.is_empty()).then(|| Evidence {
        trials,
        ..over_all.clone()
    })
}

/// Returns the first condition of two to four levels within each of which one number determines the choice.
pub fn by_one_condition(study: &Study, shown: &[usize]) -> Option<Vec<Context>> {
    let batch = &study.batch;
    batch.conditions.iter().find_map(|(name, values)| {
        let levels = distinct(shown.iter().map(|&b| values[b]));
        let context = |level: &f64| {
            let is_here = |&b: &usize| values[b] == *level;
            let trials: Vec<usize> = shown.iter().copied().filter(is_here).collect();
            Some(Context {
                name: level_name(study.task, name, *level),
                evidence: evidence(batch, &trials)?,
            })
        };
        let found: Option<Vec<Context>> = levels.iter().map(context).collect();
        found.filter(|_| (2..=4).contains(&levels.len()))
    })
}

/// Returns a condition with one of its values, such as "context = motion" or "delay = 400 ms".
pub fn level_name(task: &dyn Task, condition: &str, value: f64) -> String {
    let Quantity {
        label,
        unit,
        factor,
    } = quantity_of(task, condition);
    if value.is_nan() {
        return format!("no {label}");
    }
    let value = match task.value_name(condition, value) {
        Some(name) => spoken(&name),
        None if unit.is_empty() => short(factor * value),
        None => format!("{} {unit}", short(factor * value)),
    };
    format!("{label} = {value}")
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
    values_of(&batch.conditions, name)
}

/// Returns the values of a condition by its name, from the values of all conditions.
pub fn values_of<'a>(conditions: &'a [(String, Vec<f64>)], name: &str) -> Option<&'a [f64]> {
    let found = conditions.iter().find(|(known, _)| known == name);
    found.map(|(_, values)| &values[..])
}

/// A number that may be evidence: its name, its value in each trial, and its source.
type Candidate = (String, Vec<f64>, Source);

fn candidates(batch: &TrialBatch, trials: &[usize]) -> Vec<Candidate> {
    let columns = || batch.conditions.iter().filter(|(name, _)| name != "catch");
    let is_side = |values: &[f64]| distinct(trials.iter().map(|&b| values[b])) == [-1.0, 1.0];
    let alone = |(name, values): &(String, Vec<f64>)| {
        (name.clone(), values.clone(), Source::Value(name.clone()))
    };
    let mut found: Vec<Candidate> = columns().map(alone).collect();
    for (name, values) in columns() {
        for (other, sides) in columns().filter(|(other, sides)| other != name && is_side(sides)) {
            let products = values.iter().zip(sides).map(|(x, side)| (x * side) + 0.0);
            let source = Source::OnSide([name.clone(), other.clone()]);
            found.push((format!("{name} × {other}"), products.collect(), source));
        }
        let unit = |name: &str| name.rsplit_once('_').map(|(_, unit)| unit.to_owned());
        for (other, others) in columns().filter(|(other, _)| other > name) {
            if unit(name).is_some() && unit(name) == unit(other) {
                let differences = values.iter().zip(others).map(|(a, b)| a - b);
                let source = Source::Difference([name.clone(), other.clone()]);
                found.push((format!("{name} − {other}"), differences.collect(), source));
            }
        }
    }
    found
}

/// Returns the evidence if one bound separates the trials with either correct choice.
fn decisive(
    batch: &TrialBatch,
    trials: &[usize],
    (name, values, source): Candidate,
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
    let [low, high] = [answered[turn - 1].0, answered[turn].0];
    let evidence = Evidence {
        name,
        choices: [below, above],
        trials: trials
            .iter()
            .copied()
            .filter(|&b| values[b].is_finite())
            .collect(),
        values,
        bound: bound_between(low, high),
        source,
    };
    (is_parted && below != above && levels(&evidence) > 2).then_some(evidence)
}

/// Returns the bound between two values: 0 if it is between them, otherwise their mean.
fn bound_between(low: f64, high: f64) -> f64 {
    if low < 0.0 && high > 0.0 {
        0.0
    } else {
        low / 2.0 + high / 2.0
    }
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
