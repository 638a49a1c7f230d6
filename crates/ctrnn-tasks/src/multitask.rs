//! Multitask: one network trained on many tasks.

use std::collections::BTreeMap;

use ctrnn_random::Rng;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::channels::{Channels, Columns, Plan};
use crate::task::{batch_of, batch_with};
use crate::{
    BatchRequest, BuildContext, Clock, Condition, ConditionOrder, Interrupt, Layout, Meaning,
    Registry, Task, TaskEntry, TaskError, Trial, TrialBatch,
};

/// Address of the random number that selects the task of a batch; no trial has this number.
const TASK_OF_BATCH: u64 = (1 << 48) - 1;

/// Train one network on many tasks, mixed by weight, in blocks or one after another.
///
/// `tasks` holds a table for each task, with the options of that task. Inputs of the same name are one input
/// (`shared`), or each task has its own (`separate`); likewise for outputs. Only the outputs of the trial's own task
/// count
/// in the loss. With `rule_inputs` each task has an additional input, which is rule_strength throughout its trials. Tasks
/// whose targets are classes are mixed with others as one-hot values. Conditions: the index of the task in
/// alphabetical order, from 0, and the index of the condition of that task. A trial is correct by the rule of its own
/// task.
///
/// The default is the 20 tasks of Yang et al. (2019) with 85 inputs and 33 outputs, one task per batch, the
/// two context-dependent decisions five times as often as any other.
///
/// Source: Yang et al. (2019) for rule inputs and sampling by weight; `sequence` as in their sequential training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MultitaskConfig {
    /// A table for each task, as in `[task.multitask.tasks.go_nogo]`; an empty table gives the task its defaults. In a file
    /// these are all tasks. On the command line `task.multitask.tasks.NAME.KEY=VALUE`, `task.multitask.tasks.NAME={}` and
    /// `~task.multitask.tasks.NAME` change the tasks of the file, or the default ones if it has none, and
    /// `task.multitask.tasks={...}` replaces them all.
    #[schemars(schema_with = "tables_of_tasks")]
    pub tasks: BTreeMap<String, toml::Table>,
    /// Weights of the tasks: their probability or length of turn relative to the others; 1 for tasks that are not
    /// listed. If
    /// the key is absent, every weight is 1, except that with exactly the 20 default tasks, whatever their options,
    /// yang_contextdm1 and yang_contextdm2 have 5.
    #[serde(default)]
    pub weights: Option<BTreeMap<String, f64>>,
    /// Order of the tasks in training. Validation cycles through all of them: see validate.balance.
    pub mixing: Mixing,
    /// Order of the turns, by name; alphabetical if the list is empty.
    pub turns: Vec<String>,
    /// Length of a turn in training steps, for a task of weight 1.
    #[schemars(range(min = 1))]
    pub turn_steps: u32,
    /// Use of inputs of the same name by several tasks.
    pub inputs: Channels,
    /// Use of outputs of the same name by several tasks.
    pub outputs: Channels,
    /// If true, each task has a rule input, which identifies it.
    pub rule_inputs: bool,
    /// Value of the rule input of the current task.
    pub rule_strength: f64,
    /// Standard deviation of the noise on all rule inputs, per time step.
    pub rule_noise: f64,
}

/// The order of the tasks of a mixture in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mixing {
    /// A task is drawn by weight for each trial.
    Trials,
    /// A task is drawn by weight for each batch.
    Batches,
    /// The tasks take turns in a cycle; a turn lasts turn_steps times the weight.
    Blocks,
    /// The tasks take one turn each; the turn of the last one lasts to the end of training.
    Sequence,
}

impl Default for MultitaskConfig {
    fn default() -> Self {
        Self {
            tasks: tasks_of_yang(),
            weights: None,
            mixing: Mixing::Batches,
            turns: Vec::new(),
            turn_steps: 500,
            inputs: Channels::Shared,
            outputs: Channels::Shared,
            rule_inputs: true,
            rule_strength: 1.0,
            rule_noise: 0.0316,
        }
    }
}

/// Returns the default tasks.
fn tasks_of_yang() -> BTreeMap<String, toml::Table> {
    crate::yang::NAMES
        .map(|name| (name.to_owned(), toml::Table::new()))
        .into()
}

impl MultitaskConfig {
    /// Returns the weights of the tasks whose weight is not 1.
    fn weights(&self) -> BTreeMap<String, f64> {
        let often = ["yang_contextdm1", "yang_contextdm2"];
        match &self.weights {
            Some(given) => given.clone(),
            None if self.tasks.keys().eq(tasks_of_yang().keys()) => {
                often.map(|name| (name.to_owned(), 5.0)).into()
            }
            None => BTreeMap::new(),
        }
    }
}

/// Returns the schema of a table of tasks; the caller fills in the schemas of the tasks, because it has the registry.
fn tables_of_tasks(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "format": "tasks",
        "additionalProperties": { "type": "object" }
    })
}

pub(crate) fn entry() -> TaskEntry {
    TaskEntry::of_mixture("multitask", resolve, |config, context| {
        Ok(Box::new(Multitask::new(&config, context)?))
    })
}

/// Fills in the defaults of every task.
fn resolve(mut config: MultitaskConfig, registry: &Registry) -> Result<MultitaskConfig, TaskError> {
    config.weights = Some(config.weights());
    for (name, table) in &mut config.tasks {
        if let Some(entry) = registry.get(name) {
            *table = entry
                .resolve(std::mem::take(table), registry)
                .map_err(|error| within(name, error))?;
        }
    }
    Ok(config)
}

/// Adds the place of a task within the mixture to its error.
fn within(name: &str, error: TaskError) -> TaskError {
    let place = if error.key.is_empty() {
        format!("tasks.{name}")
    } else {
        format!("tasks.{name}.{}", error.key)
    };
    TaskError {
        key: place,
        ..error
    }
}

/// One task of the mixture.
struct Part {
    name: String,
    weight: f64,
    task: Box<dyn Task>,
    conditions: Vec<Condition>,
    columns: Columns,
}

/// A mixture of tasks as one task.
pub struct Multitask {
    layout: Layout,
    parts: Vec<Part>,
    conditions: Vec<Condition>,
    mixing: Mixing,
    /// Indices of the tasks in the order of their turns, each with the length of its turn in training steps.
    turns: Vec<(usize, u64)>,
    /// Index of the first rule input, and value and noise of these inputs.
    rules: Option<(usize, f64, f64)>,
    /// Keys of the mixture that have no effect, with the reasons.
    unused_keys: Vec<(String, String)>,
}

impl Task for Multitask {
    fn layout(&self) -> Layout {
        self.layout.clone()
    }

    fn conditions(&self) -> Vec<Condition> {
        self.conditions.clone()
    }

    /// Returns the length of the longest trial of any of the tasks.
    fn longest_steps(&self, clock: Clock) -> Option<usize> {
        let of_parts = self.parts.iter().map(|part| part.task.longest_steps(clock));
        of_parts.collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    fn unused_keys(&self) -> Vec<(String, String)> {
        let of_parts = self.parts.iter().flat_map(|part| {
            let keys = part.task.unused_keys().into_iter();
            keys.map(|(key, why)| (format!("tasks.{}.{key}", part.name), why))
        });
        self.unused_keys.iter().cloned().chain(of_parts).collect()
    }

    fn interrupt(&self) -> Option<&Interrupt> {
        self.parts.iter().find_map(|part| part.task.interrupt())
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let [k, c] = ["task", "condition"].map(|name| condition.value(name) as usize);
        let part = &self.parts[k];
        let own = part.task.sample_trial(&part.conditions[c], clock, rng);
        let mut trial = part.columns.embed(&own, &self.layout, condition);
        if let Some((first, strength, noise)) = self.rules {
            trial.set_input(0..trial.n_steps, first + k, strength);
            let mut normals = vec![0.0; trial.n_steps * self.parts.len()];
            rng.fill_normal(&mut normals);
            let rows = trial.inputs.chunks_exact_mut(trial.n_inputs);
            for (row, normals) in rows.zip(normals.chunks_exact(self.parts.len())) {
                for (input, normal) in row[first..].iter_mut().zip(normals) {
                    *input += noise as f32 * normal;
                }
            }
        }
        trial
    }

    fn sample_batch(&self, request: &BatchRequest) -> Result<TrialBatch, TaskError> {
        if request.conditions == ConditionOrder::BalancedTasks {
            let tasks = self.possible_conditions();
            let condition = |b: usize, _: &mut Rng| {
                let own = &tasks[b % tasks.len()];
                own[b / tasks.len() % own.len()]
            };
            return Ok(batch_with(self, request, condition));
        }
        let conditions = match self.task_at(request) {
            None => self.conditions.clone(),
            Some(k) => {
                let is_of_task = |c: &&Condition| c.value("task") == k as f64;
                self.conditions.iter().filter(is_of_task).cloned().collect()
            }
        };
        Ok(batch_of(self, &conditions, request))
    }

    fn choice(&self, trial: &Trial, outputs: &[f32]) -> Option<usize> {
        let (part, own) = self.own_trial(trial)?;
        let readout = part.columns.readout(outputs, trial.n_outputs);
        let choice = part.task.choice(&own, &readout)?;
        Some(part.columns.embed_choice(choice, &self.layout))
    }

    fn is_correct(&self, trial: &Trial, outputs: &[f32]) -> Option<bool> {
        let (part, own) = self.own_trial(trial)?;
        let readout = part.columns.readout(outputs, trial.n_outputs);
        part.task.is_correct(&own, &readout)
    }

    fn reaction_steps(&self, trial: &Trial, outputs: &[f32]) -> Option<usize> {
        let (part, own) = self.own_trial(trial)?;
        let readout = part.columns.readout(outputs, trial.n_outputs);
        part.task.reaction_steps(&own, &readout)
    }

    fn mixed_tasks(&self) -> Vec<String> {
        self.parts.iter().map(|part| part.name.clone()).collect()
    }

    fn meaning(&self, condition: &str) -> Meaning {
        match condition {
            "task" => {
                let numbered = self.parts.iter().enumerate();
                Meaning::Names(
                    numbered
                        .map(|(k, part)| (k as f64, part.name.clone()))
                        .collect(),
                )
            }
            "condition" => Meaning::Index,
            _ => Meaning::of_name(condition),
        }
    }

    fn correct_rule(&self) -> String {
        let rules = self.parts.iter().map(|part| {
            let rule = part.task.correct_rule();
            format!("{}: {rule}", part.name)
        });
        rules.collect::<Vec<_>>().join("\n")
    }

    /// Averages over the tasks that have an accuracy, by weight.
    fn chance(&self) -> Option<f64> {
        let known = self.parts.iter().filter_map(|part| {
            let chance = part.task.chance()?;
            Some([part.weight * chance, part.weight])
        });
        let [sum, weight] = known.fold([0.0; 2], |[s, w], [a, b]| [s + a, w + b]);
        (weight > 0.0).then(|| sum / weight)
    }
}

impl Multitask {
    /// Builds every task and plans the inputs and outputs.
    ///
    /// # Errors
    /// All errors of the mixture and of each of its tasks.
    pub fn new(config: &MultitaskConfig, context: &BuildContext) -> Result<Self, Vec<TaskError>> {
        let mut errors = check(config);
        let mut built = Vec::new();
        for (name, table) in &config.tasks {
            match build(name, table, context) {
                Ok(task) => built.push((name.clone(), task)),
                Err(wrong) => errors.extend(wrong),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self::from_tasks(built, config))
    }

    fn from_tasks(built: Vec<(String, Box<dyn Task>)>, config: &MultitaskConfig) -> Self {
        let layouts: Vec<(&str, Layout)> = built
            .iter()
            .map(|(name, task)| (name.as_str(), task.layout()))
            .collect();
        let Plan {
            mut layout,
            columns,
        } = Plan::new(&layouts, config.inputs, config.outputs);
        let first_rule = layout.inputs.len();
        if config.rule_inputs {
            let rules = built.iter().map(|(name, _)| format!("rule {name}"));
            layout.inputs.extend(rules);
        }
        let weights = config.weights();
        let weight = |name: &str| weights.get(name).copied().unwrap_or(1.0);
        let parts: Vec<Part> = built
            .into_iter()
            .zip(columns)
            .map(|((name, task), columns)| Part {
                weight: weight(&name),
                conditions: task.conditions(),
                name,
                task,
                columns,
            })
            .collect();
        Self {
            conditions: conditions(&parts),
            mixing: config.mixing,
            turns: turns(&parts, config),
            rules: config.rule_inputs.then_some((
                first_rule,
                config.rule_strength,
                config.rule_noise,
            )),
            unused_keys: unused_keys(config),
            layout,
            parts,
        }
    }

    /// Returns the conditions of positive weight, one list for each task that has any.
    fn possible_conditions(&self) -> Vec<Vec<&Condition>> {
        let of_task = |k: usize| -> Vec<&Condition> {
            let is_possible = |c: &&Condition| c.weight > 0.0 && c.value("task") == k as f64;
            self.conditions.iter().filter(is_possible).collect()
        };
        let tasks = (0..self.parts.len()).map(of_task);
        tasks.filter(|own| !own.is_empty()).collect()
    }

    /// Returns the task of a trial, and the trial in the layout of that task.
    fn own_trial(&self, trial: &Trial) -> Option<(&Part, Trial)> {
        let part = &self.parts[trial.value("task")? as usize];
        let condition = &part.conditions[trial.value("condition")? as usize];
        Some((part, part.columns.extract(trial, condition)))
    }

    /// Returns the only task of a batch, or `None` if the batch may have any of them.
    fn task_at(&self, request: &BatchRequest) -> Option<usize> {
        if request.conditions != ConditionOrder::Weighted {
            return None;
        }
        match self.mixing {
            Mixing::Trials => None,
            Mixing::Batches => {
                let mut rng = Rng::new(request.key, TASK_OF_BATCH, request.step);
                Some(Condition::draw(&self.conditions, &mut rng).value("task") as usize)
            }
            Mixing::Blocks => {
                let round: u64 = self.turns.iter().map(|(_, steps)| steps).sum();
                Some(self.turn_at(request.step % round))
            }
            Mixing::Sequence => Some(self.turn_at(request.step)),
        }
    }

    /// Returns the index of the task at a step of the first cycle; after the cycle, that of the last task.
    fn turn_at(&self, step: u64) -> usize {
        let mut end = 0;
        let current = self.turns.iter().find(|(_, steps)| {
            end += steps;
            step < end
        });
        current.or(self.turns.last()).map_or(0, |(task, _)| *task)
    }
}

/// Returns the errors of the mixture itself.
fn check(config: &MultitaskConfig) -> Vec<TaskError> {
    let mut errors = Vec::new();
    if config.tasks.is_empty() {
        let help = "add a table for each task, for instance [task.multitask.tasks.go_nogo]";
        errors.push(TaskError::config("tasks", "there are no tasks to train on").with_help(help));
    }
    let unknown = |key: String, name: &str| {
        let known: Vec<&str> = config.tasks.keys().map(String::as_str).collect();
        let message = format!("{name:?} is not one of the tasks {}", known.join(", "));
        TaskError::config(key, message)
    };
    for (name, weight) in config.weights() {
        let key = format!("weights.{name}");
        if !config.tasks.contains_key(&name) {
            let help =
                "remove this weight, or all of them, so that each is 1: ~task.multitask.weights";
            errors.push(unknown(key, &name).with_help(help));
        } else if !(weight > 0.0 && weight.is_finite()) {
            let message = format!(
                "{weight} is not a positive number; to exclude a task, leave out its table"
            );
            errors.push(TaskError::config(key, message));
        }
    }
    for (k, name) in config.turns.iter().enumerate() {
        if !config.tasks.contains_key(name) {
            errors.push(unknown(format!("turns[{k}]"), name));
        }
    }
    if config.turn_steps == 0 {
        errors.push(TaskError::config(
            "turn_steps",
            "a turn must have at least one training step",
        ));
    }
    if !config.rule_strength.is_finite() {
        let message = format!("{} is not a finite number", config.rule_strength);
        errors.push(TaskError::config("rule_strength", message));
    }
    if !(config.rule_noise >= 0.0 && config.rule_noise.is_finite()) {
        let message = format!("{} is not 0 or a positive number", config.rule_noise);
        errors.push(TaskError::config("rule_noise", message));
    }
    errors
}

/// Returns the keys of the mixture itself that have no effect because of other keys, with the reasons.
fn unused_keys(config: &MultitaskConfig) -> Vec<(String, String)> {
    let usual = MultitaskConfig::default();
    let has_turns = matches!(config.mixing, Mixing::Blocks | Mixing::Sequence);
    let no_turns = "only mixing = \"blocks\" and mixing = \"sequence\" use turns";
    let no_rules = "rule_inputs = false";
    let keys = [
        ("turns", !has_turns && !config.turns.is_empty(), no_turns),
        (
            "turn_steps",
            !has_turns && config.turn_steps != usual.turn_steps,
            no_turns,
        ),
        (
            "rule_strength",
            !config.rule_inputs && config.rule_strength != usual.rule_strength,
            no_rules,
        ),
        (
            "rule_noise",
            !config.rule_inputs && config.rule_noise != usual.rule_noise,
            no_rules,
        ),
    ];
    let unused = keys.into_iter().filter(|(_, is_unused, _)| *is_unused);
    let unused = unused.map(|(key, _, why)| (key.to_owned(), why.to_owned()));
    let has_no_turn =
        |name: &&String| has_turns && !config.turns.is_empty() && !config.turns.contains(name);
    let untrained = config.tasks.keys().filter(has_no_turn).map(|name| {
        let why = "turns does not name it, so it is never trained on, only validated";
        (format!("tasks.{name}"), why.to_owned())
    });
    unused.chain(untrained).collect()
}

/// Builds one task of the mixture.
fn build(
    name: &str,
    table: &toml::Table,
    context: &BuildContext,
) -> Result<Box<dyn Task>, Vec<TaskError>> {
    let refuse = |message: &str| Err(vec![within(name, TaskError::config("", message))]);
    let Some(entry) = context.registry.get(name) else {
        return refuse("this task does not exist");
    };
    if !entry.can_be_mixed() {
        return refuse("cannot be mixed; only tasks that make their own trials can");
    }
    let all_within = |errors: Vec<TaskError>| errors.into_iter().map(|e| within(name, e)).collect();
    entry.build(table.clone(), context).map_err(all_within)
}

/// Lists the first condition of every task, then the second, and so on, so that even a few validation trials include
/// every
/// task.
fn conditions(parts: &[Part]) -> Vec<Condition> {
    let most = parts.iter().map(|part| part.conditions.len()).max();
    let mut all = Vec::new();
    for c in 0..most.unwrap_or(0) {
        for (k, part) in parts.iter().enumerate() {
            if let Some(condition) = part.conditions.get(c) {
                let total: f64 = part.conditions.iter().map(|c| c.weight).sum();
                let both = Condition::new([("task", k as f64), ("condition", c as f64)]);
                all.push(both.with_weight(part.weight * condition.weight / total));
            }
        }
    }
    all
}

fn turns(parts: &[Part], config: &MultitaskConfig) -> Vec<(usize, u64)> {
    let place = |name: &String| parts.iter().position(|part| part.name == *name);
    let order: Vec<usize> = if config.turns.is_empty() {
        (0..parts.len()).collect()
    } else {
        config.turns.iter().filter_map(place).collect()
    };
    let steps = |k: usize| {
        (f64::from(config.turn_steps) * parts[k].weight)
            .round()
            .max(1.0) as u64
    };
    order.into_iter().map(|k| (k, steps(k))).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::Target;
    use ctrnn_random::{Key, Stream};

    fn build(text: &str) -> Result<Multitask, Vec<String>> {
        let registry = Registry::built_in();
        let context = BuildContext {
            clock: Clock::new(20.0).unwrap(),
            seed: 1,
            base_dir: Path::new("."),
            registry: &registry,
            programs: crate::Programs::NEVER,
            trained: None,
        };
        let config: MultitaskConfig = toml::from_str(text).unwrap();
        Multitask::new(&config, &context)
            .map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    fn batch(task: &Multitask, step: u64, n_trials: usize) -> TrialBatch {
        let request = BatchRequest {
            clock: Clock::new(20.0).unwrap(),
            first_trial: 0,
            n_trials,
            key: Key::new(1, Stream::Trials, 0),
            step,
            conditions: ConditionOrder::Weighted,
        };
        task.sample_batch(&request).unwrap()
    }

    /// The tasks of a batch, by their places.
    fn tasks_of(batch: &TrialBatch) -> Vec<f64> {
        let (name, column) = &batch.conditions[0];
        assert_eq!(name, "task");
        column.clone()
    }

    #[test]
    fn the_default_is_the_network_of_yang() {
        let task = build("").unwrap();
        let layout = task.layout();
        assert_eq!((layout.inputs.len(), layout.outputs.len()), (85, 33));
        assert_eq!(layout.inputs[65], "rule yang_contextdelaydm1");
        let total: f64 = task.conditions().iter().map(|c| c.weight).sum();
        assert!((total - 28.0).abs() < 1e-9); // 18 tasks once, two five times
    }

    /// The defaults of `weights` belong to the default `tasks`.
    #[test]
    fn tasks_of_ones_own_come_equally_often() {
        let weights = |text: &str| {
            let task = build(text).unwrap();
            let weights = task.parts.into_iter().map(|part| (part.name, part.weight));
            weights.collect::<BTreeMap<_, _>>()
        };
        let two = weights("tasks.go_nogo = {}\ntasks.yang_contextdm1 = {}");
        assert!(two.values().all(|&weight| weight == 1.0), "{two:?}");
        let yang = weights("turn_steps = 7");
        assert_eq!((yang["yang_contextdm1"], yang["yang_dm1"]), (5.0, 1.0));
        let given = weights("tasks.go_nogo = {}\ntasks.anti = {}\nweights.anti = 2");
        assert_eq!((given["anti"], given["go_nogo"]), (2.0, 1.0));
    }

    #[test]
    fn keys_without_effect_are_named() {
        let unused = |text: &str| {
            let task = build(&format!("tasks.go_nogo = {{}}\n{text}")).unwrap();
            let keys = task.unused_keys().into_iter().map(|(key, _)| key);
            keys.collect::<Vec<_>>()
        };
        assert_eq!(
            unused("turn_steps = 7\nturns = [\"go_nogo\"]"),
            ["turns", "turn_steps"]
        );
        assert!(unused("turn_steps = 7\nmixing = \"blocks\"").is_empty());
        assert_eq!(
            unused("rule_inputs = false\nrule_strength = 2"),
            ["rule_strength"]
        );
        let part = "tasks.delayed_match_to_category = { rotation_deg = 90 }";
        assert_eq!(
            unused(part),
            ["tasks.delayed_match_to_category.rotation_deg"]
        );
    }

    /// As a run does it: the defaults are written out, and what was written is built.
    #[test]
    fn written_out_defaults_are_the_defaults() {
        let registry = Registry::built_in();
        let entry = registry.get("multitask").unwrap();
        let weights = |text: &str| {
            let table = entry
                .resolve(toml::from_str(text).unwrap(), &registry)
                .unwrap();
            let again = entry.resolve(table.clone(), &registry).unwrap();
            assert_eq!(again, table);
            table["weights"].as_table().unwrap().len()
        };
        assert_eq!(weights(""), 2);
        assert_eq!(weights("tasks.go_nogo = {}\ntasks.yang_contextdm1 = {}"), 0);
    }

    const TWO: &str = "weights = {}\nturn_steps = 2\nrule_noise = 0\n\
        tasks.go_nogo = { input_noise = 0 }\ntasks.perceptual_decision = { input_noise = 0 }\n";

    #[test]
    fn a_trial_is_that_of_its_task_with_a_rule_input() {
        let task = build(TWO).unwrap();
        let names = [
            "fixation",
            "go_cue",
            "nogo_cue",
            "left",
            "right",
            "rule go_nogo",
            "rule perceptual_decision",
        ];
        assert_eq!(task.layout().inputs, names);
        assert_eq!(task.layout().outputs, ["fixation", "go", "left", "right"]);
        let condition = Condition::new([("task", 1.0), ("condition", 9.0)]);
        let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
        let trial = task.sample_trial(&condition, Clock::new(20.0).unwrap(), &mut rng);
        assert_eq!(trial.inputs[..7], [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(trial.correct, Some(3)); // coherence 0.512, right
        let Target::Values(values) = &trial.target else {
            panic!("values");
        };
        assert_eq!(task.is_correct(&trial, values), Some(true));
        let mut wrong = values.clone();
        let last = wrong.len() - 4;
        wrong[last..].copy_from_slice(&[9.0, 9.0, 1.0, 0.5]); // of left and right the former
        assert_eq!(task.is_correct(&trial, &wrong), Some(false));
    }

    /// go_nogo has 2 conditions and perceptual_decision more; each gets every other trial.
    #[test]
    fn balanced_tasks_get_the_same_number_of_trials() {
        let task = build(TWO).unwrap();
        let request = |first_trial, n_trials| BatchRequest {
            clock: Clock::new(20.0).unwrap(),
            first_trial,
            n_trials,
            key: Key::new(1, Stream::Validation, 0),
            step: 0,
            conditions: ConditionOrder::BalancedTasks,
        };
        let batch = task.sample_batch(&request(0, 12)).unwrap();
        let expected: Vec<f64> = (0..12).map(|b| f64::from(b % 2)).collect();
        assert_eq!(tasks_of(&batch), expected);
        let (name, conditions) = &batch.conditions[1];
        assert_eq!(name, "condition");
        let of_task = |k: usize| conditions.iter().skip(k).step_by(2).copied();
        assert!(of_task(0).eq([0.0, 1.0, 0.0, 1.0, 0.0, 1.0]));
        assert!(of_task(1).eq([0.0, 1.0, 2.0, 3.0, 4.0, 5.0]));
        let later = task.sample_batch(&request(5, 2)).unwrap();
        assert_eq!(later.trial(1), batch.trial(6)); // a part of the same trials
        assert_eq!(task.mixed_tasks(), ["go_nogo", "perceptual_decision"]);
    }

    #[test]
    fn tasks_mix_by_trial_and_by_batch() {
        let by_trial = build(&format!("{TWO}mixing = \"trials\"")).unwrap();
        let tasks = tasks_of(&batch(&by_trial, 0, 32));
        assert!(tasks.contains(&0.0) && tasks.contains(&1.0));
        let by_batch = build(&format!("{TWO}mixing = \"batches\"")).unwrap();
        let drawn: Vec<f64> = (0..32)
            .map(|step| {
                let tasks = tasks_of(&batch(&by_batch, step, 4));
                assert!(tasks.iter().all(|&task| task == tasks[0]));
                tasks[0]
            })
            .collect();
        assert!(drawn.contains(&0.0) && drawn.contains(&1.0));
    }

    /// Turns of two steps, of go_nogo (task 0) of four.
    #[test]
    fn tasks_take_turns() {
        let turns = "turns = [\"perceptual_decision\", \"go_nogo\"]\nweights = { go_nogo = 2 }\n\
            tasks.go_nogo = {}\ntasks.perceptual_decision = {}\nturn_steps = 2\n";
        let at = |mixing: &str| -> Vec<f64> {
            let task = build(&format!("{turns}mixing = \"{mixing}\"")).unwrap();
            (0..9)
                .map(|step| tasks_of(&batch(&task, step, 1))[0])
                .collect()
        };
        assert_eq!(at("blocks"), [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
        assert_eq!(
            at("sequence"),
            [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
        );
    }

    #[test]
    fn defaults_of_every_task_are_written_out() {
        let registry = Registry::built_in();
        let given = toml::from_str("tasks.go_nogo = { delay_ms = 200 }").unwrap();
        let resolved = registry
            .get("multitask")
            .unwrap()
            .resolve(given, &registry)
            .unwrap();
        let go_nogo = resolved["tasks"]["go_nogo"].as_table().unwrap();
        assert_eq!(go_nogo["delay_ms"].as_float(), Some(200.0));
        assert_eq!(go_nogo["go_fraction"].as_float(), Some(0.5));
    }

    #[test]
    fn finds_all_errors_at_once() {
        let text = "turns = [\"sine\"]\nweights = { lorenz = 1, go_nogo = 0 }\nturn_steps = 0\n\
            rule_noise = -1\ntasks.go_nogo = { delay_ms = 30 }\ntasks.multitask = {}\ntasks.nothing = {}\n";
        let expected = [
            "weights.go_nogo: 0 is not a positive number; to exclude a task, leave out its table",
            "weights.lorenz: \"lorenz\" is not one of the tasks go_nogo, multitask, nothing; remove this weight, or all of them, so that each is 1: ~task.multitask.weights",
            "turns[0]: \"sine\" is not one of the tasks go_nogo, multitask, nothing",
            "turn_steps: a turn must have at least one training step",
            "rule_noise: -1 is not 0 or a positive number",
            "tasks.go_nogo.delay_ms: 30 ms is not a multiple of dt_ms = 20; the nearest are 20 and 40",
            "tasks.multitask: cannot be mixed; only tasks that make their own trials can",
            "tasks.nothing: this task does not exist",
        ];
        assert_eq!(build(text).err().unwrap(), expected);
        let none = build("tasks = {}\nweights = {}").err().unwrap();
        assert!(
            none[0].starts_with("tasks: there are no tasks to train on"),
            "{none:?}"
        );
    }
}
