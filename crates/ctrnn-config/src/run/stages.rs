//! Stages of a training. Each is resolved like a configuration of its own: its tables replace those of the
//! configuration before anything is checked, so that every rule holds for every stage, and problems have their places in the file.

use std::collections::{BTreeMap, BTreeSet};

use ctrnn_model::{CtrnnConfig, InitialState};
use ctrnn_train::{StageConfig, StageSettings};
use toml::Table;

use super::resolved::Run;
use crate::diagnostic::{Code, Diagnostic, Place};
use crate::document::{Node, Value};

/// The part of a training with stages that a command reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StageChoice<'a> {
    /// The whole training.
    #[default]
    All,
    /// The last stage, as a configuration without stages.
    Last,
    /// The stage with this name or number, as a configuration without stages.
    Named(&'a str),
}

/// Returns the stages of a document; empty if it has none.
pub(super) fn stages_in(document: &Node) -> &[Node] {
    match document.get("train.stage").map(|node| &node.value) {
        Some(Value::Array(stages)) => stages,
        _ => &[],
    }
}

/// Returns the name of the stage at an index: the one given, or its number.
fn name_of(stage: &Node, index: usize) -> String {
    match stage.get("name").map(|node| &node.value) {
        Some(Value::String(name)) => name.clone(),
        _ => (index + 1).to_string(),
    }
}

/// Replaces a document by one of its stages and returns the name of that one. A document without stages stays as it is
/// unless one is named.
///
/// # Errors
/// If there is no stage of this name.
pub(super) fn choose(
    document: &mut Node,
    choice: StageChoice,
) -> Result<Option<String>, Diagnostic> {
    let stages = stages_in(document);
    let names: Vec<String> = stages
        .iter()
        .enumerate()
        .map(|(k, s)| name_of(s, k))
        .collect();
    let index = match choice {
        StageChoice::All => return Ok(None),
        StageChoice::Last => names.len().checked_sub(1),
        StageChoice::Named(asked) => {
            let by_name = names.iter().position(|name| name == asked);
            let number = asked.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
            let found = by_name.or(number.filter(|k| *k < names.len()));
            Some(found.ok_or_else(|| no_such_stage(asked, &names))?)
        }
    };
    let Some(index) = index else { return Ok(None) };
    *document = overlaid(document, index).0;
    Ok(names.into_iter().nth(index))
}

fn no_such_stage(asked: &str, names: &[String]) -> Diagnostic {
    let message = format!("there is no stage {asked:?}");
    let help = if names.is_empty() {
        "the training has no stages; remove --stage".to_owned()
    } else {
        format!("the stages are {}", names.join(", "))
    };
    Diagnostic::new(Code::UnknownWord, message).help(help)
}

/// Returns the document with the keys of a stage in place of its own, and the problems of keys that a stage cannot have.
pub(super) fn overlaid(document: &Node, index: usize) -> (Node, Vec<Diagnostic>) {
    let stage = stages_in(document)[index].clone();
    let mut whole = document.clone();
    let mut problems = Vec::new();
    train_of(&mut whole).table_mut().remove("stage");
    for (key, node) in stage.entries() {
        match key.as_str() {
            "steps" => set(train_of(&mut whole), "steps", node),
            "until" => set(train_of(&mut whole), "stop", node),
            "task" => overlay_task(entry(&mut whole, "task", &node.key), node),
            "train" => {
                problems.extend(
                    ["steps", "stop", "stage"]
                        .into_iter()
                        .filter_map(|k| Some(other_key_of_stage(k, node.get(k)?))),
                );
                merge(train_of(&mut whole), node);
            }
            "validate" => merge(entry(&mut whole, "validate", &node.key), node),
            "model" => {
                let fixed = node.entries().filter(|(key, _)| *key != "noise");
                problems.extend(fixed.map(|(key, node)| fixed_key(key, node)));
                merge(entry(&mut whole, "model", &node.key), node);
            }
            _ => {}
        }
    }
    (whole, problems)
}

fn train_of(document: &mut Node) -> &mut Node {
    let train = document.table_mut().get_mut("train");
    train.expect("it has the stages")
}

/// Returns the table of a key, which is made if there is none.
pub(super) fn entry<'a>(document: &'a mut Node, key: &str, place: &Place) -> &'a mut Node {
    let table = document.table_mut().entry(key.to_owned());
    table.or_insert_with(|| Node::empty_table(place))
}

pub(super) fn set(table: &mut Node, key: &str, node: &Node) {
    table.table_mut().insert(key.to_owned(), node.clone());
}

/// Replaces the keys of a task; another task replaces the whole task.
pub(super) fn overlay_task(tasks: &mut Node, stage: &Node) {
    let is_same = stage.entries().all(|(name, _)| tasks.get(name).is_some());
    if !is_same {
        *tasks = stage.clone();
        return;
    }
    for (name, keys) in stage.entries() {
        let task = entry(tasks, name, &keys.key);
        for (key, node) in keys.entries() {
            set(task, key, node);
        }
    }
}

/// Replaces values by those of a stage. A table with a `name` replaces the whole table, because the keys of another
/// kind would not be its own.
fn merge(base: &mut Node, stage: &Node) {
    let are_tables = [&*base, stage].map(|node| matches!(node.value, Value::Table(_)));
    if are_tables != [true, true] || stage.get("name").is_some() {
        *base = stage.clone();
        return;
    }
    for (key, node) in stage.entries() {
        match base.table_mut().get_mut(key) {
            Some(old) => merge(old, node),
            None => set(base, key, node),
        }
    }
}

fn other_key_of_stage(key: &str, node: &Node) -> Diagnostic {
    let help = match key {
        "steps" => "a stage has its own key for this: steps = N, above [train.stage.train]",
        "stop" => {
            "a stage has its own key for this: until = { metric = \"val.accuracy\", at_least = 0.9 }"
        }
        _ => "write the stages one after the other, each under [[train.stage]]",
    };
    let message = format!("train.{key} is not a key that a stage can replace");
    Diagnostic::new(Code::NotHere, message)
        .at(&node.key, "")
        .help(help)
}

fn fixed_key(key: &str, node: &Node) -> Diagnostic {
    let message = format!("model.{key} is that of the whole training; a stage cannot change it");
    Diagnostic::new(Code::NotHere, message)
        .at(&node.key, "")
        .help("a stage may change [train.stage.model.noise]; another network needs a run of its own, which may begin with the weights of this one: train --init-from RUN")
}

/// Returns true if a text may be the name of a stage or of a validation set.
pub(super) fn is_plain_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    !name.is_empty() && name.len() <= 40 && name.chars().all(is_plain)
}

/// Returns the settings of a stage, and the problem of a name that is unfit or has been given before.
pub(super) fn settings(
    document: &Node,
    stages: &[StageConfig],
) -> (Vec<StageSettings>, Vec<Diagnostic>) {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    let mut names = BTreeSet::new();
    for (index, stage) in stages.iter().enumerate() {
        let name = stage.name.clone();
        let name = name.unwrap_or_else(|| (index + 1).to_string());
        let why = if !is_plain_name(&name) {
            Some("is not a name of a stage; expected at most 40 letters, digits, _ and -")
        } else if names.contains(&name) {
            Some("is the name of two stages")
        } else {
            None
        };
        if let Some(why) = why {
            let problem = Diagnostic::new(Code::Training, format!("{name:?} {why}"));
            let problem = problem.help("for instance name = \"easy\"");
            let at = document.get(&format!("train.stage[{index}].name"));
            problems.push(at.map_or(problem.clone(), |node| problem.at(&node.place, "")));
        }
        names.insert(name.clone());
        found.push(StageSettings {
            index,
            of: stages.len(),
            name,
            carry: stage.carry.clone(),
        });
    }
    (found, problems)
}

/// Returns the problem of a stage whose network is not that of the configuration.
pub(super) fn other_network(base: &Run, stage: &Run) -> Option<Diagnostic> {
    let (of_base, of_stage) = (&base.model, &stage.model);
    let message = if let Some(found) = other_sizes(base, stage) {
        found
    } else if of_base.initial_state == InitialState::LearnedPerCondition
        && conditions(base) != conditions(stage)
    {
        "its task has other conditions, but the network has an initial state for each of them"
            .to_owned()
    } else if as_of(of_stage, of_base) != *of_base {
        "its task changes the network: the inputs and outputs of areas have other names".to_owned()
    } else {
        return None;
    };
    let problem = Diagnostic::new(Code::Training, message);
    let at = stage.document.get(&format!("task.{}", stage.task_name));
    let problem = at.map_or(problem.clone(), |node| problem.at(&node.key, ""));
    Some(problem.help(
        "all stages train one network: give the tasks the same inputs and outputs, for instance as parts of [task.multitask]",
    ))
}

/// Returns what is wrong with a part of a run whose task has other numbers of inputs or outputs.
pub(super) fn other_sizes(base: &Run, part: &Run) -> Option<String> {
    let sizes = |run: &Run| (run.model.first_layer().n_inputs, run.model.n_outputs);
    let words = |(inputs, outputs)| format!("{inputs} inputs and {outputs} outputs");
    (sizes(base) != sizes(part)).then(|| {
        format!(
            "its task has {}, but that of the configuration {}",
            words(sizes(part)),
            words(sizes(base))
        )
    })
}

fn conditions(run: &Run) -> Vec<Vec<(String, f64)>> {
    let conditions = run.task.conditions().into_iter();
    conditions.map(|condition| condition.values).collect()
}

/// Returns the network of a stage with everything that stages may change as in another network.
fn as_of(stage: &CtrnnConfig, base: &CtrnnConfig) -> CtrnnConfig {
    CtrnnConfig {
        noise: base.noise.clone(),
        frozen: base.frozen.clone(),
        n_conditions: base.n_conditions,
        ..stage.clone()
    }
}

/// Returns a stage with the values of its keys written out, and with all other keys in which it differs, so that it is the
/// same stage on top of the resolved configuration.
pub(super) fn written_out(given: &StageConfig, base: &Run, stage: &Run) -> StageConfig {
    let (of_base, of_stage) = (base.config.table(), stage.config.table());
    let part = |key: &str, given: &Table| {
        let table = |whole: &Table| whole.get(key).and_then(toml::Value::as_table).cloned();
        let (base, mut stage) = (table(&of_base), table(&of_stage).unwrap_or_default());
        if key == "train" {
            stage.retain(|key, _| !["steps", "stop", "stage"].contains(&key));
        }
        if key == "model" {
            stage.retain(|key, _| key == "noise");
        }
        different(given, &base.unwrap_or_default(), &stage, usize::MAX)
    };
    StageConfig {
        until: given
            .until
            .is_some()
            .then(|| stage.config.train.stop.clone())
            .flatten(),
        task: task_written_out(&given.task, &base.config.task, &stage.config.task),
        train: part("train", &given.train),
        validate: part("validate", &given.validate),
        model: part("model", &given.model),
        ..given.clone()
    }
}

/// Returns the keys of the task of a part of a run: those that are given or differ from the base. The keys of a task are replaced as
/// a whole, and so is another task.
pub(super) fn task_written_out(
    given: &Table,
    base: &BTreeMap<String, Table>,
    part: &BTreeMap<String, Table>,
) -> Table {
    let table = |tasks: &BTreeMap<String, Table>| -> Table {
        let tables = tasks.iter();
        tables
            .map(|(name, keys)| (name.clone(), keys.clone().into()))
            .collect()
    };
    let base = if base.keys().eq(part.keys()) {
        table(base)
    } else {
        Table::new()
    };
    different(given, &base, &table(part), 2)
}

/// Returns the values of a stage at the keys that are given or differ from the base; tables are entered to a `depth`.
fn different(given: &Table, base: &Table, stage: &Table, depth: usize) -> Table {
    let mut found = Table::new();
    for (key, value) in stage {
        let tables = [given.get(key), base.get(key)].map(|value| value.and_then(|v| v.as_table()));
        let is_given = given.contains_key(key);
        match (tables, value.as_table()) {
            ([given, Some(base)], Some(stage)) if depth > 1 && !stage.contains_key("name") => {
                let inner = different(given.unwrap_or(&Table::new()), base, stage, depth - 1);
                if is_given || !inner.is_empty() {
                    found.insert(key.clone(), inner.into());
                }
            }
            _ if is_given || base.get(key) != Some(value) => {
                found.insert(key.clone(), value.clone());
            }
            _ => {}
        }
    }
    found
}
