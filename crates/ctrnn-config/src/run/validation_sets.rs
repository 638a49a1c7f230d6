//! Named sets of validation trials. A set with keys of the task is resolved like a stage: its tables replace those of the
//! configuration before anything is checked, so that every rule holds for its trials, and problems have their places in the file.

use ctrnn_train::{Metric, Tasks};

use super::check::Check;
use super::resolved::{Run, SetTask};
use super::stages::{entry, is_plain_name, other_sizes, overlay_task, set, task_written_out};
use crate::diagnostic::{Code, Diagnostic};
use crate::document::{Node, Value};
use crate::run_config::RunConfig;

impl Run {
    /// Returns the tasks of training and validation.
    pub fn tasks(&self) -> Tasks<'_> {
        let of_sets = self.set_tasks.iter();
        Tasks {
            trained: self.task.as_ref(),
            of_sets: of_sets
                .map(|set| (set.name.as_str(), set.task.as_ref()))
                .collect(),
        }
    }

    /// Adds the task of a validation set, which `resolved` has in place of its own, and writes the keys of the set out.
    pub(super) fn add_set(&mut self, name: String, resolved: Run) {
        self.add_input_files(&resolved);
        let given = self.config.validate.sets.get_mut(&name);
        let given = given.expect("the configuration names the set");
        given.task = task_written_out(&given.task, &self.config.task, &resolved.config.task);
        let task = resolved.task;
        self.set_tasks.push(SetTask { name, task });
    }
}

/// Replaces a document by one in which a validation set is the main one.
///
/// # Errors
/// If there is no set of this name.
pub(super) fn choose(document: &mut Node, name: Option<&str>) -> Result<(), Diagnostic> {
    let Some(name) = name else { return Ok(()) };
    let names = names_in(document);
    if !names.iter().any(|known| known == name) {
        let message = format!("there is no set of validation trials called {name:?}");
        let help = match names.as_slice() {
            [] => "the configuration has none besides the main one; use --validation alone".into(),
            names => format!("the sets are {}", names.join(", ")),
        };
        return Err(Diagnostic::new(Code::UnknownWord, message).help(help));
    }
    *document = overlaid(document, name);
    Ok(())
}

/// Returns the names of the sets that have keys of their own for the task.
pub(super) fn with_task(config: &RunConfig) -> Vec<String> {
    let sets = config.validate.sets.iter();
    let with_task = sets.filter(|(_, set)| !set.task.is_empty());
    with_task.map(|(name, _)| name.clone()).collect()
}

fn names_in(document: &Node) -> Vec<String> {
    let validate = document.get("validate").into_iter();
    let entries = validate.flat_map(Node::entries);
    let tables = entries.filter(|(_, node)| matches!(node.value, Value::Table(_)));
    tables.map(|(name, _)| name.clone()).collect()
}

/// Returns the document with the keys of a validation set in place of those of the main one and of the task.
pub(super) fn overlaid(document: &Node, name: &str) -> Node {
    let mut whole = document.clone();
    let Some(own) = document.get(&format!("validate.{name}")) else {
        return whole;
    };
    for (key, node) in own.entries() {
        if key == "task" {
            overlay_task(entry(&mut whole, "task", &node.key), node);
        } else {
            set(entry(&mut whole, "validate", &node.key), key, node);
        }
    }
    whole
}

/// Returns the problem of a set whose task does not fit the network or the loss of the run.
pub(super) fn other_trials(run: &Run, name: &str, set: &Run) -> Option<Diagnostic> {
    let loss = |run: &Run| run.objective.loss;
    let message = match other_sizes(run, set) {
        None if loss(run) != loss(set) => format!(
            "the loss of its task is {}, but that of the training {}",
            loss(set).name(),
            loss(run).name()
        ),
        found => found?,
    };
    let problem = Diagnostic::new(Code::Training, message)
        .help("the trials of a set are tested on the trained network: give its task the inputs and outputs of that of the training");
    let at = set.document.get(&format!("validate.{name}.task"));
    Some(at.map_or(problem.clone(), |node| problem.at(&node.key, "")))
}

impl Check<'_> {
    /// Checks the names of validation sets, and that the sets exist whose metrics the run depends on.
    pub(super) fn check_validation_sets(&mut self, config: &RunConfig) {
        let sets = &config.validate.sets;
        for name in sets.keys().filter(|name| !is_plain_name(name)) {
            let message = format!(
                "{name:?} is not a name of a set of validation trials; expected at most 40 letters, digits, _ and -"
            );
            let problem = Diagnostic::new(Code::Training, message);
            let problem = problem.help("for instance [validate.easy]");
            self.report(problem, &[(&format!("validate.{name}"), "")]);
        }
        self.check_sets_of_metrics(config);
    }

    /// Checks that the sets exist whose metrics the run depends on.
    fn check_sets_of_metrics(&mut self, config: &RunConfig) {
        let sets = &config.validate.sets;
        let best = ("checkpoint.best", &config.checkpoint.best);
        let metrics: Vec<(&str, &Metric)> = config.train.metrics().chain([best]).collect();
        for (key, metric) in metrics {
            let Some(set) = &metric.set else { continue };
            let table = format!("validate.{set}");
            if sets.contains_key(set) || !self.is_sound(&[&table, key]) {
                continue;
            }
            let names: Vec<&str> = sets.keys().map(String::as_str).collect();
            let message = format!(
                "{key} = {:?}: there is no set of validation trials called {set:?}",
                metric.name()
            );
            let help = match names.as_slice() {
                [] => format!("define it: [{table}]"),
                names => format!(
                    "the sets are {}; [{table}] defines this one",
                    names.join(", ")
                ),
            };
            self.report(
                Diagnostic::new(Code::UnknownWord, message).help(help),
                &[(key, "")],
            );
        }
    }
}
