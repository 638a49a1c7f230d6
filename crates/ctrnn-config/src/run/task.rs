//! The task of a configuration: its table, its entry in the registry, and the conditions that the network needs.

use ctrnn_model::{CtrnnConfig, InitialState};
use ctrnn_tasks::{
    BuildContext, Clock, Programs, Registry, Task, TaskEntry, TaskError, TaskErrorKind,
};
use ctrnn_train::first_untrained;

use super::check::{Built, Check};
use super::trained_on::given_network;
use crate::diagnostic::{Code, Diagnostic, Place};
use crate::document::Node;
use crate::run_config::RunConfig;
use crate::schema;

impl Check<'_> {
    /// Returns the registry entry of the only task, its table with every value written out, and the task itself, or the
    /// problem that its program is not started.
    pub(super) fn task<'r>(
        &mut self,
        config: &RunConfig,
        clock: Clock,
        registry: &'r Registry,
        programs: Programs,
    ) -> Option<(&'r TaskEntry, toml::Table, Built)> {
        let mut named = config.task.iter();
        let (Some((name, table)), None) = (named.next(), named.next()) else {
            if self.is_sound(&["task"]) {
                self.problems.push(not_one_task(self.document));
            }
            return None;
        };
        let entry = registry.get(name)?;
        let base_dir = &self.document.place.source.folder;
        let init_file = config.model.init.file.as_ref().map(|file| file.0.as_path());
        let context = BuildContext {
            clock,
            seed: config.seed,
            base_dir,
            registry,
            programs,
            trained: match self.trained {
                Some(run) => Some(run.now(table, self.files)),
                None => given_network(table, programs, init_file),
            },
        };
        let resolved = match entry.resolve(table.clone(), registry) {
            Ok(resolved) => resolved,
            Err(error) => {
                self.report_task(name, error);
                return None;
            }
        };
        match entry.build(resolved.clone(), &context) {
            Ok(task) => Some((entry, resolved, Ok(task))),
            Err(errors) => {
                let (unstarted, broken): (Vec<_>, Vec<_>) = errors
                    .into_iter()
                    .partition(|error| error.kind == TaskErrorKind::Program);
                let is_whole = broken.is_empty();
                broken
                    .into_iter()
                    .for_each(|error| self.report_task(name, error));
                let unstarted = unstarted.into_iter().next().filter(|_| is_whole)?;
                let problem = self.task_problem(name, unstarted)?;
                Some((entry, resolved, Err(problem)))
            }
        }
    }

    fn report_task(&mut self, task: &str, error: TaskError) {
        let problem = self.task_problem(task, error);
        self.problems.extend(problem);
    }

    /// Returns the problem for a broken rule of the task. If a key of the task was removed, only rules broken by a key
    /// that is present are certain; for others, returns `None`.
    fn task_problem(&self, task: &str, error: TaskError) -> Option<Diagnostic> {
        let table = format!("task.{task}");
        let key = if error.key.is_empty() {
            table.clone()
        } else {
            schema::join(&table, &error.key)
        };
        if self.document.get(&key).is_none() && !self.is_sound(&[&table]) {
            return None;
        }
        let describe = format!("`train-ctrnn tasks describe {task}`");
        let (code, help) = match error.kind {
            TaskErrorKind::Config => (Code::TaskRule, format!("{describe} explains its keys")),
            TaskErrorKind::Data => (
                Code::Data,
                format!("write it again; {describe} says what it must hold"),
            ),
            TaskErrorKind::Io => (Code::Io, "check the path and its permissions".to_owned()),
            TaskErrorKind::Program => (
                Code::Program,
                "a command that makes trials starts it with --trust".to_owned(),
            ),
        };
        let help = error.help.unwrap_or(help);
        let problem = Diagnostic::new(code, format!("{key}: {}", error.message)).help(help);
        if self.document.get(&key).is_some() {
            return Some(self.labelled(problem, &[(&key, "")]));
        }
        let default = format!("{} has its default", error.key);
        let text = if error.key.is_empty() { "" } else { &default };
        Some(self.labelled(problem, &[(&table, text)]))
    }

    /// Checks the trials of a network with an initial state per condition: it must be trained on all conditions, and it
    /// can be tested with other trials only if the training trials, which number its conditions, can be read.
    pub(super) fn check_conditions(&mut self, model: &CtrnnConfig, task: &dyn Task) -> Option<()> {
        let has_states =
            |layer: &CtrnnConfig| layer.initial_state == InitialState::LearnedPerCondition;
        if !model.layers().any(has_states) {
            return Some(());
        }
        let Some(trained) = self.trained else {
            self.check_held_out_conditions(task);
            return Some(());
        };
        if task.n_conditions() > 0 {
            return Some(());
        }
        let named: Vec<String> = trained
            .named
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        let message = format!(
            "the trials that the run was trained on cannot be read: {}; they say which initial state belongs to which condition",
            named.join(", ")
        );
        let problem = Diagnostic::new(Code::Data, message)
            .help("put them back, or say where they are now: --data-root DIR");
        self.report(problem, &[("task", "")]);
        None
    }

    /// Refuses a condition that only held-out trials have, since its initial state would never be trained.
    fn check_held_out_conditions(&mut self, task: &dyn Task) {
        let Some(set) = task.trial_set() else { return };
        let Some(condition) = first_untrained(task, set) else {
            return;
        };
        let message = format!(
            "model.initial_state = \"learned_per_condition\", but no trial that is trained on has the condition {condition}: only trials that are set aside for validation have it"
        );
        let problem = Diagnostic::new(Code::Initial, message).help(
            "one initial state for all conditions: model.initial_state = \"learned\"; or more trials of this condition, a smaller validation_fraction, or another seed, by which trials are set aside",
        );
        self.report(problem, &[("model.initial_state", "")]);
    }
}

/// Reports that there is no task, or more than one.
fn not_one_task(document: &Node) -> Diagnostic {
    let tasks: Vec<&Node> = document
        .get("task")
        .into_iter()
        .flat_map(Node::entries)
        .map(|(_, node)| node)
        .collect();
    if tasks.is_empty() {
        let start = Place {
            span: 0..0,
            ..document.place.clone()
        };
        return Diagnostic::new(Code::NoTask, "the configuration names no task")
            .at(&start, "")
            .help("add a table of its name, for instance [task.go_nogo]; `train-ctrnn tasks list` shows all tasks");
    }
    let problem = Diagnostic::new(Code::SeveralTasks, "a run has one task, not several");
    let labelled = tasks
        .into_iter()
        .fold(problem, |problem, task| problem.at(&task.key, ""));
    labelled.help("keep one of them")
}
