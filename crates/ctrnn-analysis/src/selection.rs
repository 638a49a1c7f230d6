//! Selections of trials by their conditions, such as `context=motion,coh>0.1`.

use std::fmt;
use std::str::FromStr;

use ctrnn_tasks::{Task, TrialBatch};
use ndarray::Axis;
use thiserror::Error;

use crate::evidence::{distinct, values_of};
use crate::text::spoken;
use crate::{Shared, Study};

/// Largest number of values that an error lists.
const MOST_VALUES: usize = 20;

/// Selection of the trials in which all terms hold.
///
/// A value is a number, the name of a value ([`Task::value_name`]), or `none` where a condition does not apply to a
/// trial (NaN). As in numpy, NaN is not equal to any number.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    terms: Vec<Term>,
}

/// Comparison of a condition with a value.
#[derive(Clone, Debug, PartialEq)]
struct Term {
    name: String,
    comparison: Comparison,
    value: String,
}

/// Relation between the value of a condition and that of a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

impl Comparison {
    /// Operators, longer ones before their beginnings.
    const ALL: [(&'static str, Self); 7] = [
        ("==", Self::Equal),
        ("!=", Self::NotEqual),
        ("<=", Self::AtMost),
        (">=", Self::AtLeast),
        ("=", Self::Equal),
        ("<", Self::Less),
        (">", Self::Greater),
    ];

    fn holds(self, x: f64, value: f64) -> bool {
        match self {
            Self::Equal => is_equal(x, value),
            Self::NotEqual => !is_equal(x, value),
            Self::Less => x < value,
            Self::AtMost => x <= value,
            Self::Greater => x > value,
            Self::AtLeast => x >= value,
        }
    }
}

/// Returns true if two values of a condition are equal up to rounding, or if neither applies.
fn is_equal(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()) || (a.is_nan() && b.is_nan())
}

/// Error of a selection.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SelectionError {
    /// A term is not a comparison of a condition with a value.
    #[error(
        "{0:?} is not a condition of trials; expected NAME=VALUE, or !=, <, <=, >, >= in place of ="
    )]
    NotATerm(String),
    /// Trials have no such condition.
    #[error("the trials have no condition {name:?}; they have {known}")]
    NoSuchCondition {
        /// Requested condition.
        name: String,
        /// Conditions of the trials.
        known: String,
    },
    /// A value is neither a number nor the name of a value.
    #[error("{value:?} is not a value of {name}; expected one of {known}")]
    NoSuchValue {
        /// Name of the condition.
        name: String,
        /// Requested value.
        value: String,
        /// Values that occur.
        known: String,
    },
    /// No trial satisfies all terms.
    #[error("no trial satisfies {selection}; the trials have {known}")]
    NoTrial {
        /// Text of the selection.
        selection: String,
        /// Conditions of the selection and their values.
        known: String,
    },
}

impl FromStr for Selection {
    type Err = SelectionError;

    fn from_str(text: &str) -> Result<Self, SelectionError> {
        let terms = text.split(',').map(Term::parse);
        Ok(Self {
            terms: terms.collect::<Result<_, _>>()?,
        })
    }
}

impl Term {
    fn parse(text: &str) -> Result<Self, SelectionError> {
        let places = Comparison::ALL
            .into_iter()
            .filter_map(|(sign, comparison)| {
                let (name, value) = text.split_once(sign)?;
                Some((name.trim(), comparison, value.trim()))
            });
        // The first operator ends the name; of several that begin there, the longest is listed first.
        let first = places.min_by_key(|(name, ..)| name.len());
        match first {
            Some((name, comparison, value)) if !name.is_empty() && !value.is_empty() => Ok(Self {
                name: name.to_owned(),
                comparison,
                value: value.to_owned(),
            }),
            _ => Err(SelectionError::NotATerm(text.trim().to_owned())),
        }
    }

    /// Returns the number that the term compares with.
    fn number(&self, values: &[f64], task: &dyn Task) -> Result<f64, SelectionError> {
        if self.value == "none" {
            return Ok(f64::NAN);
        }
        if let Ok(number) = self.value.parse() {
            return Ok(number);
        }
        let plain = |text: &str| spoken(&text.to_lowercase());
        let mut levels = distinct(values.iter().copied()).into_iter();
        let named = levels.find(|&level| {
            let name = task.value_name(&self.name, level);
            name.is_some_and(|name| plain(&name) == plain(&self.value))
        });
        named.ok_or_else(|| SelectionError::NoSuchValue {
            name: self.name.clone(),
            value: self.value.clone(),
            known: known_values(&self.name, values, task),
        })
    }
}

impl Selection {
    /// Returns the indices of the trials in which all terms hold, at least one.
    ///
    /// # Errors
    /// If a condition or the name of a value is unknown, or no trial is selected.
    pub fn trials(
        &self,
        batch: &TrialBatch,
        task: &dyn Task,
    ) -> Result<Vec<usize>, SelectionError> {
        self.trials_of(&batch.conditions, batch.n_trials, task)
    }

    /// Returns the indices of the trials as [`trials`](Self::trials), from the values of each condition, `[n_trials]`.
    ///
    /// # Errors
    /// See [`Selection::trials`].
    pub fn trials_of(
        &self,
        conditions: &[(String, Vec<f64>)],
        n_trials: usize,
        task: &dyn Task,
    ) -> Result<Vec<usize>, SelectionError> {
        let mut selected: Vec<usize> = (0..n_trials).collect();
        for term in &self.terms {
            let values = column(conditions, &term.name)?;
            let number = term.number(values, task)?;
            selected.retain(|&b| term.comparison.holds(values[b], number));
        }
        if selected.is_empty() {
            let of_term = |term: &Term| {
                let values = column(conditions, &term.name).unwrap_or_default();
                let known = known_values(&term.name, values, task);
                format!("{} = {known}", term.name)
            };
            let known: Vec<String> = self.terms.iter().map(of_term).collect();
            return Err(SelectionError::NoTrial {
                selection: self.to_string(),
                known: known.join("; "),
            });
        }
        Ok(selected)
    }
}

/// Returns the values of a condition in all trials.
///
/// # Errors
/// If the trials have no such condition.
pub(crate) fn condition<'a>(
    batch: &'a TrialBatch,
    name: &str,
) -> Result<&'a [f64], SelectionError> {
    column(&batch.conditions, name)
}

fn column<'a>(
    conditions: &'a [(String, Vec<f64>)],
    name: &str,
) -> Result<&'a [f64], SelectionError> {
    values_of(conditions, name).ok_or_else(|| SelectionError::NoSuchCondition {
        name: name.to_owned(),
        known: match conditions {
            [] => "none".to_owned(),
            several => several
                .iter()
                .map(|(name, _)| &name[..])
                .collect::<Vec<_>>()
                .join(", "),
        },
    })
}

/// Lists the values of a condition by name or number; of many, the first and the last.
fn known_values(name: &str, values: &[f64], task: &dyn Task) -> String {
    let text = |level: f64| {
        let number = if level.is_nan() {
            "none".to_owned()
        } else {
            level.to_string()
        };
        task.value_name(name, level).unwrap_or(number)
    };
    let levels = distinct(values.iter().copied());
    match &levels[..] {
        [] => "no value".to_owned(),
        [first, .., last] if levels.len() > MOST_VALUES => {
            format!(
                "{} values from {} to {}",
                levels.len(),
                text(*first),
                text(*last)
            )
        }
        several => several
            .iter()
            .map(|&level| text(level))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (
            k,
            Term {
                name,
                comparison,
                value,
            },
        ) in self.terms.iter().enumerate()
        {
            let signs = Comparison::ALL.iter().rev();
            let sign = signs.clone().find(|(_, known)| known == comparison);
            let sign = sign.map_or("=", |(sign, _)| sign);
            write!(f, "{}{name}{sign}{value}", if k > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

impl Study<'_> {
    /// Restricts the study to some of its trials.
    ///
    /// # Errors
    /// If the selection does not fit the trials, or no trial is left.
    pub fn restrict(&mut self, selection: &Selection) -> Result<(), SelectionError> {
        let trials = selection.trials(&self.batch, self.task)?;
        self.shared = Shared::default();
        self.batch = self.batch.select(&trials);
        let n_steps = self.batch.max_steps;
        let all = [&mut self.potentials, &mut self.rates, &mut self.outputs];
        let peers = self.peers.iter_mut().map(|peer| &mut peer.rates);
        let synapses = (self.synapses.iter_mut())
            .flat_map(|states| [&mut states.utilisation, &mut states.resources]);
        let below = self.rates_below.iter_mut();
        for values in all.into_iter().chain(peers).chain(synapses).chain(below) {
            let rows = values.select(Axis(0), &trials);
            *values = rows.slice_move(ndarray::s![.., ..n_steps, ..]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ctrnn_random::Rng;
    use ctrnn_tasks::{Clock, Condition, Layout, Timeline, Trial};

    use super::*;

    struct Contexts;

    impl Task for Contexts {
        fn layout(&self) -> Layout {
            Layout::new(["u"], ["y"])
        }

        fn conditions(&self) -> Vec<Condition> {
            Vec::new()
        }

        fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
            Trial::blank(self, condition, clock, rng)
        }

        fn value_name(&self, name: &str, value: f64) -> Option<String> {
            (name == "context").then(|| ["motion", "colour_wheel"][value as usize].to_owned())
        }
    }

    /// Returns trials with these values of context and coh.
    fn batch(conditions: &[[f64; 2]]) -> TrialBatch {
        TrialBatch::new(conditions.iter().map(|[context, coh]| {
            let mut timeline = Timeline::default();
            timeline.push("trial", 1);
            let condition = Condition::new([("context", *context), ("coh", *coh)]);
            Trial::new(&Contexts.layout(), &condition, timeline)
        }))
    }

    fn selected(text: &str) -> Result<Vec<usize>, String> {
        let batch = batch(&[[0.0, -0.1], [1.0, 0.0], [0.0, 0.1], [1.0, f64::NAN]]);
        let selection: Selection = text
            .parse()
            .map_err(|error: SelectionError| error.to_string())?;
        selection
            .trials(&batch, &Contexts)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn every_comparison_selects_as_in_numpy() {
        for (text, trials) in [
            ("coh=0.1", &[2][..]),
            ("coh==0.1", &[2]),
            ("coh != 0.1", &[0, 1, 3]),
            ("coh<0", &[0]),
            ("coh<=0", &[0, 1]),
            ("coh>0", &[2]),
            ("coh>=-0", &[1, 2]),
            ("coh=none", &[3]),
            ("context=motion", &[0, 2]),
            ("context=Colour wheel,coh!=none", &[1]),
            ("context=0,coh>0", &[2]),
        ] {
            assert_eq!(selected(text).as_deref(), Ok(trials), "{text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, message) in [
            (
                "coh",
                "\"coh\" is not a condition of trials; expected NAME=VALUE",
            ),
            ("=1", "\"=1\" is not a condition of trials"),
            ("cohh=1", "no condition \"cohh\"; they have context, coh"),
            (
                "context=size",
                "\"size\" is not a value of context; expected one of motion, colour_wheel",
            ),
            (
                "coh>0.5",
                "no trial satisfies coh>0.5; the trials have coh = -0.1, 0, 0.1",
            ),
        ] {
            let found = selected(text).unwrap_err();
            assert!(found.contains(message), "{found}");
        }
    }
}
