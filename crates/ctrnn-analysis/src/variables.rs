//! Variables of a task that differ from trial to trial: signed evidence, contexts, categories and the choice.

use ctrnn_tasks::{Meaning, Quantity, Task, TrialBatch, value_bits};

use crate::evidence::{column, distinct, evidence, quantity_of};
use crate::groups::merged;
use crate::plot::Scale;
use crate::text::{short, spoken};
use crate::{Study, Unsuitable};

/// Kind of a variable. Axes of variables are made orthogonal in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Choice of the network.
    Choice,
    /// Evidence that determines the correct choice, in all trials or in one context.
    Evidence,
    /// Any other number.
    Number,
    /// Direction in degrees.
    Direction,
    /// Context or category: its values are names.
    Category,
}

/// A variable of a task, with its value in each trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    /// Name, such as `choice`, `motion` or `coh × side`.
    pub name: String,
    /// Label, unit and scale in texts and figures; the evidence `coh × side` has those of `coh`.
    pub quantity: Quantity,
    /// Value in each trial; NaN if the variable does not apply to it.
    pub values: Vec<f64>,
    /// Kind of the variable.
    pub role: Role,
    /// Different values in ascending order, each with its name, or as a number in the unit of the quantity.
    pub levels: Vec<(f64, String)>,
}

/// A column of a regression.
#[derive(Clone, Debug, PartialEq)]
pub struct Regressor {
    /// Name, such as `motion`, `cos direction` or `task: go`.
    pub name: String,
    /// Name in texts and figures, from the label of the variable.
    pub label: String,
    /// Value in each trial, from -1 to 1; NaN if the variable does not apply to it.
    pub values: Vec<f64>,
    /// Index of its variable.
    pub variable: usize,
}

/// Condition that selects which evidence counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    /// Name of the condition.
    pub name: String,
    /// Each value, with the name of the evidence that counts.
    pub evidence: Vec<(f64, String)>,
}

impl Role {
    /// Returns the scale of the colours of its levels.
    pub(crate) fn scale(self) -> Scale {
        match self {
            Self::Evidence | Self::Number => Scale::Signed,
            Self::Direction => Scale::Cyclic,
            Self::Category | Self::Choice => Scale::Names,
        }
    }
}

impl Variable {
    /// Returns the variable with these values; in catch trials it does not apply, so that what they say is no level.
    fn new(study: &Study, name: String, mut values: Vec<f64>, role: Role) -> Self {
        if let Some(catch) = column(&study.batch, "catch").filter(|_| name != "catch") {
            let in_catch = values.iter_mut().zip(catch).filter(|(_, c)| **c == 1.0);
            in_catch.for_each(|(value, _)| *value = f64::NAN);
        }
        let is_condition = column(&study.batch, &name).is_some();
        let quantity = if is_condition {
            quantity_of(study.task, &name)
        } else {
            quantity_of_two(study.task, &name, role)
        };
        let named = |level: f64| match study.task.value_name(&name, level) {
            Some(name) => (level, spoken(&name)),
            None => (level, short(quantity.factor * level)),
        };
        let levels = distinct(values.iter().copied()).into_iter().map(named);
        Self {
            levels: levels.collect(),
            quantity,
            name,
            values,
            role,
        }
    }

    /// Returns the number of different values.
    pub fn n_levels(&self) -> usize {
        self.levels.len()
    }

    /// Returns the group of each level if more than `most` levels of a number are [merged]; categories and directions,
    /// which have no order or no end, are never merged.
    fn groups(&self, most: usize) -> Vec<usize> {
        let levels: Vec<f64> = self.levels.iter().map(|(level, _)| *level).collect();
        match self.role {
            Role::Category | Role::Choice | Role::Direction => (0..levels.len()).collect(),
            Role::Evidence | Role::Number => merged(&levels, most),
        }
    }

    /// Returns the number of groups of levels if more than `most` levels of a number are merged.
    pub fn n_groups(&self, most: usize) -> usize {
        self.groups(most).last().map_or(0, |last| last + 1)
    }

    /// Returns the group of each trial; `None` if the variable does not apply.
    pub fn level_of(&self, most: usize) -> Vec<Option<usize>> {
        let groups = self.groups(most);
        let group = |value: &f64| {
            let is_level = |(level, _): &(f64, String)| value_bits(*level) == value_bits(*value);
            Some(groups[self.levels.iter().position(is_level)?])
        };
        self.values.iter().map(group).collect()
    }

    /// Returns the names of the groups of [`n_groups`](Self::n_groups).
    pub fn level_names(&self, most: usize) -> Vec<String> {
        let groups = self.groups(most);
        let numbered: Vec<(usize, &str)> = groups
            .into_iter()
            .zip(self.levels.iter().map(|(_, name)| &name[..]))
            .collect();
        let name = |own: &[(usize, &str)]| match own {
            [(_, only)] => (*only).to_owned(),
            [(_, first), .., (_, last)] => format!("{first} to {last}"),
            [] => String::new(),
        };
        numbered.chunk_by(|a, b| a.0 == b.0).map(name).collect()
    }

    /// Returns the regressors of the variable: a number scaled to the range from -1 to 1, two values as -1 and 1, a
    /// direction as cosine and sine, and more than two categories as contrasts. The contrast of a category is its
    /// difference from the mean of all categories; that of the last follows from the others and is left out.
    fn regressors(&self, variable: usize) -> Vec<Regressor> {
        let column = |text: &dyn Fn(&str) -> String, value: &dyn Fn(f64) -> f64| Regressor {
            name: text(&self.name),
            label: text(&self.quantity.label),
            values: self.values.iter().map(|&x| value(x)).collect(),
            variable,
        };
        let (low, high) = match (self.levels.first(), self.levels.last()) {
            (Some(low), Some(high)) => (low.0, high.0),
            _ => return Vec::new(),
        };
        match self.role {
            Role::Direction => [("cos", f64::cos as fn(f64) -> f64), ("sin", f64::sin)]
                .map(|(part, of)| {
                    let text = |name: &str| format!("{part} {name}");
                    column(&text, &|x: f64| of(x.to_radians()))
                })
                .into(),
            Role::Category | Role::Choice if self.n_levels() > 2 => self.levels
                [..self.n_levels() - 1]
                .iter()
                .map(|(level, name)| {
                    let contrast = |x: f64| contrast(x, *level, high);
                    column(&|of: &str| format!("{of}: {name}"), &contrast)
                })
                .collect(),
            _ => {
                let scaled = |x: f64| (2.0 * x - low - high) / (high - low).max(1e-300);
                vec![column(&str::to_owned, &scaled)]
            }
        }
    }
}

/// Returns the contrast of a category for a value: 1 in it, -1 in the last category, 0 in others, NaN without a value.
fn contrast(x: f64, category: f64, last: f64) -> f64 {
    match x {
        x if x.is_nan() => x,
        x if x == category => 1.0,
        x if x == last => -1.0,
        _ => 0.0,
    }
}

/// Returns the variables that differ from trial to trial: the choice of the network between two alternatives, the
/// evidence, which replaces the strength and the side that it is made of, and all other conditions.
pub fn natural(study: &Study) -> Vec<Variable> {
    let mut found: Vec<Variable> = choice(study).into_iter().collect();
    found.extend(of_conditions(study));
    found
}

/// Returns the variables of these names, or of the conditions by which the study is grouped; `None` if there are neither.
///
/// # Errors
/// As [`named`].
pub fn requested(study: &Study, names: &[String]) -> Result<Option<Vec<Variable>>, Unsuitable> {
    let names = if names.is_empty() { &study.by } else { names };
    if names.is_empty() {
        return Ok(None);
    }
    let found = names.iter().map(|name| named(study, name));
    found.collect::<Result<_, _>>().map(Some)
}

/// Returns the variables of the conditions: as [`natural`], without the choice.
pub fn of_conditions(study: &Study) -> Vec<Variable> {
    let batch = &study.batch;
    let signed = evidences(study);
    let is_product = |name: &str| name.contains('×');
    let parts: Vec<&str> = signed
        .iter()
        .filter(|(name, _)| is_product(name))
        .flat_map(|(name, _)| name.split('×').map(str::trim))
        .collect();
    let selector = selector(study).map(|found| found.name);
    let mut found: Vec<Variable> = signed
        .iter()
        .filter(|(name, _)| is_product(name) || column(batch, name).is_some())
        .map(|(name, values)| Variable::new(study, name.clone(), values.clone(), Role::Evidence))
        .collect();
    for (name, values) in &batch.conditions {
        let is_known = found.iter().any(|variable| variable.name == *name);
        if is_known || parts.contains(&&name[..]) || !is_variable(study, name) {
            continue;
        }
        let is_selector = selector.as_ref() == Some(name);
        let role = role(study, name, values, is_selector);
        let variable = Variable::new(study, name.clone(), values.clone(), role);
        if variable.n_levels() > 1 {
            found.push(variable);
        }
    }
    found
}

/// Returns the variable of this name: `choice`, `correct` (the correct choice), a condition, the product of two
/// conditions `a*b`, or their difference `a-b`.
///
/// # Errors
/// If there is no such variable, or it does not differ from trial to trial.
pub fn named(study: &Study, name: &str) -> Result<Variable, Unsuitable> {
    let all = natural(study);
    let name = name.trim();
    let found = match all.iter().find(|variable| variable.name == name) {
        Some(known) => Some(known.clone()),
        None => derived(study, name),
    };
    let found = found.ok_or_else(|| {
        let known: Vec<&str> = all.iter().map(|variable| &variable.name[..]).collect();
        Unsuitable::lacks(format!(
            "{name:?} is not a variable of these trials; variables: {}, the correct choice `correct`, a product `a*b` or a difference `a-b` of two conditions",
            known.join(", ")
        ))
    })?;
    if found.n_levels() < 2 {
        let why = format!("{name:?} has the same value in all trials");
        return Err(Unsuitable::lacks(why));
    }
    Ok(found)
}

/// Returns the columns of a regression on some variables.
pub fn regressors(variables: &[Variable]) -> Vec<Regressor> {
    let columns = variables.iter().enumerate();
    columns
        .flat_map(|(k, variable)| variable.regressors(k))
        .collect()
}

/// Returns the trials to which all variables apply, without catch trials.
pub fn shown(study: &Study, variables: &[Variable]) -> Vec<usize> {
    let catch = column(&study.batch, "catch");
    (0..study.batch.n_trials)
        .filter(|&b| catch.is_none_or(|catch| catch[b] != 1.0))
        .filter(|&b| variables.iter().all(|v| v.values[b].is_finite()))
        .collect()
}

/// Finds the condition whose value selects the evidence that determines the choice, if not one evidence determines it
/// in all trials.
pub fn selector(study: &Study) -> Option<Selector> {
    let batch = &study.batch;
    let all: Vec<usize> = (0..batch.n_trials).collect();
    if evidence(batch, &all).is_some() {
        return None;
    }
    batch.conditions.iter().find_map(|(name, values)| {
        let levels = distinct(values.iter().copied());
        if !(2..=4).contains(&levels.len()) || !is_variable(study, name) {
            return None;
        }
        let of_level = |&level: &f64| {
            let is_here = |&b: &usize| values[b] == level;
            let trials: Vec<usize> = all.iter().copied().filter(is_here).collect();
            evidence(batch, &trials).map(|found| (level, found.name))
        };
        let evidence: Option<Vec<(f64, String)>> = levels.iter().map(of_level).collect();
        let name = name.clone();
        evidence.map(|evidence| Selector { name, evidence })
    })
}

/// Returns false for a condition that is no variable: a mark of catch trials, or an index that has a meaning only together
/// with another condition.
fn is_variable(study: &Study, name: &str) -> bool {
    name != "catch" && study.task.meaning(name) != Meaning::Index
}

/// Returns name and values of the evidence, or of that of each context.
fn evidences(study: &Study) -> Vec<(String, Vec<f64>)> {
    let batch = &study.batch;
    let all: Vec<usize> = (0..batch.n_trials).collect();
    let names: Vec<String> = match (evidence(batch, &all), selector(study)) {
        (Some(found), _) => vec![found.name],
        (None, Some(selector)) => selector
            .evidence
            .into_iter()
            .map(|(_, name)| name)
            .collect(),
        (None, None) => Vec::new(),
    };
    let mut found: Vec<(String, Vec<f64>)> = Vec::new();
    for name in names {
        if found.iter().all(|(known, _)| *known != name)
            && let Some(values) = combined(batch, &name)
        {
            found.push((name, values));
        }
    }
    found
}

/// Returns the values of a condition, of a product `a × b` (or `a*b`), or of a difference `a − b` (or `a-b`).
fn combined(batch: &TrialBatch, name: &str) -> Option<Vec<f64>> {
    if let Some(values) = column(batch, name) {
        return Some(values.to_vec());
    }
    let of_two = |signs: [char; 2], combine: fn(f64, f64) -> f64| {
        let (a, b) = name.split_once(signs)?;
        let (a, b) = (column(batch, a.trim())?, column(batch, b.trim())?);
        // Adding 0 turns the -0 of 0 x -1 into 0.
        Some(
            a.iter()
                .zip(b)
                .map(|(a, b)| combine(*a, *b) + 0.0)
                .collect(),
        )
    };
    of_two(['×', '*'], |a, b| a * b).or_else(|| of_two(['−', '-'], |a, b| a - b))
}

/// Returns a variable that is not among the natural ones.
fn derived(study: &Study, name: &str) -> Option<Variable> {
    let batch = &study.batch;
    match name {
        "choice" => choice_among_all(study, &study.choices(), name),
        "correct" => choice_among_all(study, &batch.correct, name),
        _ => {
            let role = match column(batch, name) {
                Some(values) => role(study, name, values, false),
                None => Role::Number,
            };
            let values = combined(batch, name)?;
            Some(Variable::new(study, name.to_owned(), values, role))
        }
    }
}

/// Returns label, unit and scale of a product or difference of two conditions. Evidence that is a strength times a side
/// has those of the strength.
fn quantity_of_two(task: &dyn Task, name: &str, role: Role) -> Quantity {
    let of = |name: &str| quantity_of(task, name.trim());
    if let Some((a, b)) = name.split_once(['×', '*']) {
        let strength = of(a);
        return match role {
            Role::Evidence => strength,
            _ => Quantity {
                label: format!("{} × {}", strength.label, of(b).label),
                unit: String::new(),
                factor: 1.0,
            },
        };
    }
    match name.split_once(['−', '-']) {
        Some((a, b)) => Quantity {
            label: format!("{} − {}", of(a).label, of(b).label),
            ..of(a)
        },
        None => of(name),
    }
}

fn role(study: &Study, name: &str, values: &[f64], is_selector: bool) -> Role {
    let levels = distinct(values.iter().copied());
    let has_name = |&level: &f64| study.task.value_name(name, level).is_some();
    if is_selector || (!levels.is_empty() && levels.iter().all(has_name)) {
        Role::Category
    } else if name.ends_with("_deg") || name == "direction" {
        Role::Direction
    } else {
        Role::Number
    }
}

/// Returns the choice of the network as a variable, if it makes each of two choices at least twice.
fn choice(study: &Study) -> Option<Variable> {
    if study.layout().alternatives().len() != 2 {
        return None;
    }
    let choices = study.choices();
    let found = choice_among_all(study, &choices, "choice")?;
    let is_made_twice = |(level, _): &(f64, String)| {
        let made = found.values.iter().filter(|value| *value == level);
        made.count() > 1
    };
    (found.n_levels() == 2 && found.levels.iter().all(is_made_twice)).then_some(found)
}

/// Returns choices as a variable whose values are their indices among the alternatives.
fn choice_among_all(study: &Study, choices: &[Option<usize>], name: &str) -> Option<Variable> {
    let layout = study.layout();
    let alternatives = layout.alternatives();
    let index = |choice: &Option<usize>| {
        let place = alternatives.iter().position(|c| Some(*c) == *choice);
        place.map_or(f64::NAN, |place| place as f64)
    };
    let values: Vec<f64> = choices.iter().map(index).collect();
    let levels = distinct(values.iter().copied()).into_iter();
    let named = |level: f64| {
        (
            level,
            spoken(&layout.choice_name(alternatives[level as usize])),
        )
    };
    let levels: Vec<(f64, String)> = levels.map(named).collect();
    let label = match name {
        "correct" => "correct choice",
        name => name,
    };
    (!levels.is_empty()).then(|| Variable {
        name: name.to_owned(),
        quantity: Quantity {
            label: label.to_owned(),
            unit: String::new(),
            factor: 1.0,
        },
        values,
        role: Role::Choice,
        levels,
    })
}

#[cfg(test)]
mod tests {
    use ctrnn_tasks::{DelayedMatchToSample, ReactionTime};
    use ndarray::Array3;

    use super::*;
    use crate::analyses::observer;

    /// Catch trials have a coherence of 0, which is no level of the evidence.
    #[test]
    fn catch_trials_make_no_level() {
        let task = ReactionTime {
            catch_fraction: 0.2,
            ..ReactionTime::default()
        };
        let batch = observer::batch(&task, 200);
        let catch = column(&batch, "catch").unwrap().to_vec();
        assert!(catch.contains(&1.0));
        let shape = (batch.n_trials, batch.max_steps, batch.n_outputs);
        let study = observer::study(&task, batch, Array3::zeros(shape));
        let found = of_conditions(&study);
        let evidence = found.iter().find(|v| v.role == Role::Evidence).unwrap();
        assert!(evidence.levels.iter().all(|(x, _)| *x != 0.0));
        let is_level = evidence.level_of(12);
        assert!(
            is_level
                .iter()
                .zip(&catch)
                .all(|(k, c)| k.is_none() == (*c == 1.0))
        );
    }

    /// Directions on a ring are never merged with their neighbours; the match of sample and test is first known in the test.
    #[test]
    fn directions_are_not_merged_and_the_test_tells_the_match() {
        let task = DelayedMatchToSample::default();
        let batch = observer::batch(&task, 200);
        let shape = (batch.n_trials, batch.max_steps, batch.n_outputs);
        let study = observer::study(&task, batch, Array3::zeros(shape));
        assert_eq!(study.telling_epoch(), "test");
        let found = of_conditions(&study);
        let direction = found.iter().find(|v| v.role == Role::Direction).unwrap();
        assert_eq!(direction.n_groups(3), direction.n_levels());
    }
}
