//! Initial states of conditions: the mapping from conditions to rows of `initial_state [C,N]`.
//!
//! The weights hold this mapping themselves: besides the states, there is an array `initial_state.condition.NAME [C]`
//! for each value of the conditions. Therefore states are matched to conditions by value, also in another task that
//! orders them differently. Weights of earlier versions have no such arrays; their states are taken in the order of the
//! task's conditions.

use std::collections::{HashMap, HashSet};

use burn::tensor::TensorData;
use burn::tensor::backend::Backend;
use ctrnn_model::{
    CONDITION_VALUES, CtrnnConfig, CtrnnModule, InitialState, Parameter, Weights, layer_prefix,
};
use ctrnn_tasks::{Condition, Task, TrialBatch, TrialSet, value_bits};

use crate::TrainError;

/// Returns the index of each trial's initial state; empty unless the network has an initial state per condition.
///
/// # Errors
/// [`TrainError::UnknownCondition`] if a trial has a condition for which the network has no state.
pub fn condition_numbers<B: Backend>(
    network: &CtrnnModule<B>,
    task: &dyn Task,
    trials: &TrialBatch,
) -> Result<Vec<usize>, TrainError> {
    let has_states =
        |layer: &&CtrnnModule<B>| layer.config().initial_state == InitialState::LearnedPerCondition;
    let Some(layer) = network.layers().find(has_states) else {
        return Ok(Vec::new());
    };
    let names: Vec<&str> = trials.conditions.iter().map(|(name, _)| &**name).collect();
    let own = layer.condition_values();
    let conditions = if own.is_empty() {
        task.conditions()
    } else {
        conditions(&own, &names).unwrap_or_default()
    };
    trials.condition_numbers(&conditions).map_err(|b| {
        let columns = trials.conditions.iter();
        let values: Vec<_> = columns.map(|(name, all)| (name.clone(), all[b])).collect();
        TrainError::UnknownCondition {
            condition: described(&values),
        }
    })
}

/// Builds the conditions from columns of values; `None` unless the columns have exactly these `names`, in any order.
fn conditions(columns: &[(&str, Vec<f64>)], names: &[&str]) -> Option<Vec<Condition>> {
    let column = |name: &&str| columns.iter().find(|(own, _)| own == name);
    let in_order: Vec<_> = names.iter().map(column).collect::<Option<_>>()?;
    if in_order.len() != columns.len() {
        return None;
    }
    let condition = |k: usize| {
        let value = |(name, values): &&(&str, Vec<f64>)| ((*name).to_owned(), values[k]);
        Condition {
            values: in_order.iter().map(value).collect(),
            weight: 1.0,
        }
    };
    let n = columns.first().map_or(0, |(_, values)| values.len());
    Some((0..n).map(condition).collect())
}

/// Describes the condition of the first held-out trial whose condition no training trial has.
pub fn first_untrained(task: &dyn Task, set: &dyn TrialSet) -> Option<String> {
    let conditions = task.conditions();
    let bits = |values: &[(String, f64)]| -> Vec<u64> {
        values.iter().map(|(_, value)| value_bits(*value)).collect()
    };
    let trained: HashSet<Vec<u64>> = conditions.iter().map(|c| bits(&c.values)).collect();
    let mut held_out = (0..set.n_held_out()).map(|number| set.held_out_condition(number));
    let unknown = held_out.find(|values| !trained.contains(&bits(values)))?;
    Some(described(&unknown))
}

/// Formats the values of a condition: "coh = 0.5, side = 1".
pub(crate) fn described(values: &[(String, f64)]) -> String {
    let shown = values
        .iter()
        .map(|(name, value)| format!("{name} = {value}"));
    shown.collect::<Vec<_>>().join(", ")
}

/// Reorders the initial states in `weights` to the order of the task's conditions, for a run that begins with them.
///
/// Also returns a note for the user if the states had to be matched by number, or if the weights lack some of the
/// conditions; the states of those begin at zero.
pub fn with_states_of_conditions(
    model: &CtrnnConfig,
    task: &dyn Task,
    mut weights: Weights,
) -> (Weights, Option<String>) {
    let mut first_note = None;
    for (number, layer) in model.layers().enumerate() {
        if layer.initial_state == InitialState::LearnedPerCondition {
            let prefix = layer_prefix(number);
            let note;
            (weights, note) = with_states_of_layer(layer, &prefix, task, weights);
            first_note = first_note.or(note);
        }
    }
    (weights, first_note)
}

/// Reorders the initial states of a layer, whose names in `weights` begin with `prefix`.
fn with_states_of_layer(
    model: &CtrnnConfig,
    prefix: &str,
    task: &dyn Task,
    mut weights: Weights,
) -> (Weights, Option<String>) {
    let of_values = format!("{prefix}{CONDITION_VALUES}");
    let n = model.n_conditions;
    let wanted = task.conditions();
    let columns = take_condition_values(&mut weights, &of_values);
    let name = prefix.to_owned() + &Parameter::INITIAL_STATE.name();
    let note = match weights.get(&name) {
        Some(states) if columns.is_empty() => (n > 1 && states.shape.len() == 2).then(|| {
            "the weights do not say to which conditions their initial states belong: they are taken by number, which is right only if the conditions and their order are the same".to_owned()
        }),
        Some(states) => match by_value(states, &columns, &wanted, model.n_units) {
            Some((states, missing)) => {
                weights.insert(name.clone(), states);
                missing_note(&missing, wanted.len())
            }
            None => None, // the network reports the wrong shape
        },
        None => None,
    };
    let arrays = condition_arrays(&wanted).into_iter();
    weights.extend(arrays.map(|(own, data)| (prefix.to_owned() + &own, data)));
    (weights, note)
}

/// Removes the values of the conditions from weights, whose names begin with `prefix`, and returns them by the names of the variables.
fn take_condition_values(weights: &mut Weights, prefix: &str) -> Vec<(String, Vec<f64>)> {
    let of_values = weights.keys().filter(|name| name.starts_with(prefix));
    let names: Vec<String> = of_values.cloned().collect();
    let taken = names.into_iter().filter_map(|name| {
        let values = weights.remove(&name)?.iter().collect();
        Some((name[prefix.len()..].to_owned(), values))
    });
    taken.collect()
}

/// Returns true if the weights record the conditions of their initial states.
pub fn conditions_of_states(weights: &Weights) -> bool {
    weights.keys().any(|name| name.contains(CONDITION_VALUES))
}

/// Returns the states of the `wanted` conditions, in that order, and the conditions without a state.
fn by_value<'a>(
    states: &TensorData,
    columns: &[(String, Vec<f64>)],
    wanted: &'a [Condition],
    n_units: usize,
) -> Option<(TensorData, Vec<&'a Condition>)> {
    let n_known = columns.first()?.1.len();
    let is_whole = columns.iter().all(|(_, values)| values.len() == n_known);
    if !is_whole || states.shape[..] != [n_known, n_units] {
        return None;
    }
    let rows: Vec<f64> = states.iter().collect();
    let names: Vec<&str> = wanted
        .first()?
        .values
        .iter()
        .map(|(name, _)| &**name)
        .collect();
    let borrowed: Vec<(&str, Vec<f64>)> = columns
        .iter()
        .map(|(name, values)| (&**name, values.clone()))
        .collect();
    let known = conditions(&borrowed, &names).unwrap_or_default();
    let key = |condition: &Condition| -> Vec<u64> {
        let values = condition.values.iter();
        values.map(|(_, value)| value_bits(*value)).collect()
    };
    let places: HashMap<Vec<u64>, usize> = known.iter().map(key).zip(0..).collect();
    let mut missing = Vec::new();
    // Zeros remain for a condition without a stored state.
    let mut found = vec![0.0; wanted.len() * n_units];
    for (row, condition) in found.chunks_exact_mut(n_units).zip(wanted) {
        match places.get(&key(condition)) {
            Some(&place) => row.copy_from_slice(&rows[place * n_units..(place + 1) * n_units]),
            None => missing.push(condition),
        }
    }
    Some((TensorData::new(found, [wanted.len(), n_units]), missing))
}

fn missing_note(missing: &[&Condition], n: usize) -> Option<String> {
    const SHOWN: usize = 3;
    if missing.is_empty() {
        return None;
    }
    let shown = missing.iter().take(SHOWN).map(|c| described(&c.values));
    let mut shown: Vec<String> = shown.collect();
    if missing.len() > SHOWN {
        shown.push(format!("{} more", missing.len() - SHOWN));
    }
    Some(format!(
        "the weights have no initial state for {} of the {n} conditions, which begin at zero: {}",
        missing.len(),
        shown.join("; ")
    ))
}

/// Returns the arrays that record the conditions of a network's initial states; empty if the name of a value cannot be
/// part of an array name.
pub(crate) fn condition_arrays(conditions: &[Condition]) -> Weights {
    let Some(first) = conditions.first() else {
        return Weights::new();
    };
    let is_name = |name: &str| {
        name.len() <= 100
            && name
                .chars()
                .all(|c| !c.is_control() && c != '/' && c != '\\')
    };
    if !first.values.iter().all(|(name, _)| is_name(name)) {
        return Weights::new();
    }
    let array = |(k, (name, _)): (usize, &(String, f64))| {
        let values: Vec<f64> = conditions.iter().map(|c| c.values[k].1).collect();
        let n = values.len();
        (
            format!("{CONDITION_VALUES}{name}"),
            TensorData::new(values, [n]),
        )
    };
    first.values.iter().enumerate().map(array).collect()
}

/// Returns the name of the first tensor with an entry that is not finite.
pub fn first_nonfinite(tensors: &Weights) -> Option<&str> {
    let is_broken = |data: &TensorData| data.iter::<f64>().any(|x| !x.is_finite());
    // NaN among the values of a condition is legitimate: it marks a value that does not apply.
    let mut numbers = tensors
        .iter()
        .filter(|(name, _)| !name.contains(CONDITION_VALUES));
    let broken = numbers.find(|(_, data)| is_broken(data));
    broken.map(|(name, _)| name.as_str())
}
