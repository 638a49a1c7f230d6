//! The configuration as meant: every value decided, every question answered, or all the errors.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ctrnn_model::{Biases, CtrnnConfig, InitialState, NoiseLevels, WeightInit, WeightInits};
use ctrnn_tasks::{
    BuildContext, Clock, Layout, Registry, TargetKind, Task, TaskEntry, TaskError, TaskErrorKind,
};

use crate::config::{
    CheckpointConfig, DeviceConfig, DivergenceConfig, Loss, Metric, ModelConfig, Optimizer,
    RunConfig, Schedule, StopConfig, VERSION, ValidateConfig,
};
use crate::conformance;
use crate::diagnostic::{Code, ConfigErrors, Diagnostic, Place, Source};
use crate::document::{self, Node, Value};
use crate::overrides::{self, Override};
use crate::schema::{self, schema};

/// A run as meant.
pub struct Run {
    /// The seed from which every stream of random numbers is derived.
    pub seed: u64,
    /// The time grid.
    pub clock: Clock,
    /// The name of the task.
    pub task_name: String,
    /// The task.
    pub task: Box<dyn Task>,
    /// The network; its numbers of inputs and outputs are the task's.
    pub model: CtrnnConfig,
    /// The weight file that the network begins with, absolute.
    pub init_file: Option<PathBuf>,
    /// How the network is trained.
    pub train: Training,
    /// How it is validated.
    pub validate: ValidateConfig,
    /// What is saved on the way.
    pub checkpoint: CheckpointConfig,
    /// What computes.
    pub device: DeviceConfig,
    /// The configuration with every value written out and every path absolute; reading it again gives the same run.
    pub resolved: RunConfig,
    /// What the user should know although nothing is wrong.
    pub notes: Vec<String>,
    /// Every file that the configuration names, absolute.
    pub input_files: Vec<PathBuf>,
    document: Node,
}

/// How the network is trained, as meant.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    /// Number of gradient updates.
    pub steps: u64,
    /// Trials per step.
    pub batch_size: usize,
    /// The update rule.
    pub optimizer: Optimizer,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// Largest norm of the gradient over all parameters together.
    pub clip_grad_norm: Option<f64>,
    /// What is minimised.
    pub loss: Loss,
    /// When training ends early.
    pub stop: Option<Stop>,
    /// What is done about numbers that are not finite.
    pub divergence: DivergenceConfig,
    /// Every how many steps the loss is reported.
    pub log_every: u64,
}

/// Ends the training once a validation metric has reached a bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stop {
    /// The metric.
    pub metric: Metric,
    /// The bound.
    pub bound: Bound,
    /// Whether a run that never reaches it has failed.
    pub required: bool,
}

/// A bound of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// The metric is this or more.
    AtLeast(f64),
    /// The metric is this or less.
    AtMost(f64),
}

impl Bound {
    /// Whether `value` has reached the bound; NaN never has.
    pub fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

/// Where a value of a run comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody gave it.
    Default,
    /// The configuration file.
    File,
    /// An override on the command line.
    CommandLine,
}

impl RunConfig {
    /// Reads a configuration file, lays the overrides over it, and decides everything.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn load(
        path: &Path,
        overrides: &[String],
        registry: &Registry,
    ) -> Result<Run, ConfigErrors> {
        resolve(document::read(path)?, overrides, registry)
    }

    /// The same from a text; `name` is what messages call it, `folder` where its relative paths start.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn from_text(
        text: &str,
        name: &str,
        folder: &Path,
        overrides: &[String],
        registry: &Registry,
    ) -> Result<Run, ConfigErrors> {
        let source = Source {
            order: 0,
            name: name.into(),
            text: text.into(),
            folder: folder.into(),
        };
        resolve(source, overrides, registry)
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Run").field(&self.resolved).finish()
    }
}

impl Run {
    /// The resolved configuration as a TOML file: version, seed, time, task, model, train, validate, checkpoint, device.
    pub fn resolved_toml(&self) -> String {
        toml::to_string(&self.resolved).expect("a configuration is made of TOML types")
    }

    /// The resolved configuration as a table, as [`differences`](crate::differences) takes it.
    pub fn resolved_table(&self) -> toml::Table {
        toml::Table::try_from(&self.resolved).expect("a configuration is made of TOML types")
    }

    /// Where the value of a key, given by its full path, comes from.
    pub fn origin(&self, key: &str) -> Origin {
        match self.document.get(key) {
            None => Origin::Default,
            Some(node) if Arc::ptr_eq(&node.place.source, &self.document.place.source) => {
                Origin::File
            }
            Some(_) => Origin::CommandLine,
        }
    }
}

/// The three passes: syntax, schema, meaning.
fn resolve(source: Source, overrides: &[String], registry: &Registry) -> Result<Run, ConfigErrors> {
    let source = Arc::new(source);
    let schema = schema(registry);
    let (mut document, mut problems) = Node::parse(&source);
    let is_toml = problems.is_empty();
    let overrides = overrides::parse(overrides, &mut problems);
    problems.extend(
        overrides
            .iter()
            .filter_map(|o| unknown_removal(o, &document, &schema)),
    );
    let notes = overrides::apply(
        overrides,
        |name| registry.get(name).is_some(),
        &mut document,
        &mut problems,
    );
    if let Some(problem) = other_version(&document) {
        return Err(problem.into());
    }
    let found = conformance::check(&mut document, &schema);
    problems.extend(found.problems);
    let mut check = Check {
        document: &document,
        removed: &found.removed,
        problems,
    };
    let decided = is_toml.then(|| check.decide(registry)).flatten();
    let mut problems = check.problems;
    match decided {
        Some(run) if problems.is_empty() => Ok(Run {
            notes,
            input_files: found.files,
            document,
            ..run
        }),
        _ => {
            problems.sort_by_key(reading_order);
            Err(ConfigErrors(problems))
        }
    }
}

/// A configuration of another version: nothing else that could be said about it is sure.
fn other_version(document: &Node) -> Option<Diagnostic> {
    let node = document.get("version")?;
    let Value::Integer(version) = node.value else {
        return None;
    };
    let problem = Diagnostic::new(
        Code::Version,
        format!("version = {version}, but this build reads version {VERSION}"),
    );
    let help =
        "if a newer release wrote the file, update; if the number is a slip, write version = 1";
    (version != VERSION).then(|| problem.at(&node.place, "").help(help))
}

fn unknown_removal(
    removal: &Override,
    document: &Node,
    schema: &serde_json::Value,
) -> Option<Diagnostic> {
    let path = removal.path();
    let is_known = !removal.is_removal()
        || document.get(&path).is_some()
        || !schema::find(schema, &path).is_empty();
    (!is_known).then(|| schema::unknown_path(schema, &path).at(&removal.key_place(), ""))
}

/// The file from top to bottom, then the command line, then what has no place.
fn reading_order(problem: &Diagnostic) -> (usize, usize) {
    let first = problem.labels.first().map(|label| &label.place);
    first.map_or((usize::MAX, 0), |place| {
        (place.source.order, place.span.start)
    })
}

/// The checks of meaning, on a tree that conforms to the schema.
struct Check<'a> {
    document: &'a Node,
    /// The keys that did not conform: what depends on one is not checked.
    removed: &'a [String],
    problems: Vec<Diagnostic>,
}

impl Check<'_> {
    fn decide(&mut self, registry: &Registry) -> Option<Run> {
        let config = self.deserialize()?;
        self.check_time_step(&config);
        self.check_initial_state(&config.model);
        self.check_spectral_radius(&config.model);
        let stop = config.train.stop.as_ref().and_then(|stop| self.stop(stop));
        let clock = self
            .is_sound(&["time.dt_ms"])
            .then(|| Clock::new(config.time.dt_ms).ok())??;
        let (entry, table, task) = self.task(&config, clock, registry)?;
        let loss = config
            .train
            .loss
            .name
            .unwrap_or_else(|| default_loss(&task.layout()));
        let model = network(&config, clock, task.as_ref());
        self.check_network(&model);
        let train = training(&config, loss, stop);
        let mut resolved = config;
        resolved.task = [(entry.name.clone(), table)].into();
        resolved.train.loss.name = Some(loss);
        Some(Run {
            seed: resolved.seed,
            clock,
            task_name: entry.name.clone(),
            task,
            model,
            init_file: resolved.model.init.file.clone().map(|file| file.0),
            train,
            validate: resolved.validate.clone(),
            checkpoint: resolved.checkpoint.clone(),
            device: resolved.device.clone(),
            resolved,
            notes: Vec::new(),
            input_files: Vec::new(),
            document: self.document.clone(),
        })
    }

    fn deserialize(&mut self) -> Option<RunConfig> {
        let read = serde_path_to_error::deserialize(self.document.to_toml());
        read.map_err(|error: serde_path_to_error::Error<toml::de::Error>| {
            let path = error.path().to_string();
            let problem = Diagnostic::new(
                Code::UnknownWord,
                format!("{path}: {}", error.inner().message()),
            )
            .help(format!(
                "`train-ctrnn config explain {path}` says what it may be"
            ));
            self.report(problem, &[(&path, "")]);
        })
        .ok()
    }

    /// Adds a problem, with labels at those keys that somebody wrote.
    fn report(&mut self, problem: Diagnostic, keys: &[(&str, &str)]) {
        let labelled = keys.iter().fold(problem, |problem, (key, text)| {
            match self.document.get(key) {
                Some(node) => problem.at(&node.place, *text),
                None => problem,
            }
        });
        self.problems.push(labelled);
    }

    /// Whether none of the keys, nor anything in them or around them, was taken out.
    fn is_sound(&self, keys: &[&str]) -> bool {
        let touches = |a: &str, b: &str| {
            a.strip_prefix(b)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        !self.removed.iter().any(|removed| {
            keys.iter()
                .any(|key| touches(removed, key) || touches(key, removed))
        })
    }

    fn check_time_step(&mut self, config: &RunConfig) {
        let (dt, tau) = (config.time.dt_ms, config.model.tau_ms);
        if dt <= tau || !self.is_sound(&["time.dt_ms", "model.tau_ms"]) {
            return;
        }
        let message = format!("time.dt_ms = {dt} is longer than model.tau_ms = {tau}");
        let help = format!(
            "alpha = dt / tau must lie in (0, 1]: time.dt_ms = {tau} or less, or a longer model.tau_ms"
        );
        let problem = Diagnostic::new(Code::TimeStep, message).help(help);
        self.report(
            problem,
            &[
                ("time.dt_ms", "the time step"),
                ("model.tau_ms", "the time constant"),
            ],
        );
    }

    fn check_initial_state(&mut self, model: &ModelConfig) {
        let InitialState::Given(state) = &model.initial_state else {
            return;
        };
        if state.len() == model.n_units || !self.is_sound(&["model.n_units"]) {
            return;
        }
        let message = format!(
            "model.initial_state has {} numbers for {} units",
            state.len(),
            model.n_units
        );
        let problem = Diagnostic::new(Code::Initial, message)
            .help("give one number for each unit, or \"zero\" or \"learned\"");
        self.report(
            problem,
            &[
                ("model.initial_state", ""),
                ("model.n_units", "the number of units"),
            ],
        );
    }

    fn check_spectral_radius(&mut self, model: &ModelConfig) {
        let Some(radius) = model.init.spectral_radius else {
            return;
        };
        if model.init.recurrent != WeightInit::Zero {
            return;
        }
        let message = format!("a zero matrix cannot be scaled to spectral radius {radius}");
        let problem = Diagnostic::new(Code::Initial, message).help("remove model.init.spectral_radius, or draw the weights: model.init.recurrent = \"gaussian\"");
        self.report(
            problem,
            &[
                ("model.init.spectral_radius", "asked for here"),
                ("model.init.recurrent", "all weights are zero"),
            ],
        );
    }

    fn stop(&mut self, stop: &StopConfig) -> Option<Stop> {
        let bound = match (stop.at_least, stop.at_most) {
            (Some(bound), None) => Bound::AtLeast(bound),
            (None, Some(bound)) => Bound::AtMost(bound),
            (given, _) => {
                if self.is_sound(&["train.stop"]) {
                    let message = if given.is_some() {
                        "train.stop has two bounds"
                    } else {
                        "train.stop has no bound"
                    };
                    let problem = Diagnostic::new(Code::StopRule, message)
                        .help("give one of the two, for instance at_least = 0.9");
                    self.report(problem, &[("train.stop", "")]);
                }
                return None;
            }
        };
        self.check_accuracy_bound(stop.metric, bound);
        Some(Stop {
            metric: stop.metric,
            bound,
            required: stop.required,
        })
    }

    /// An accuracy is a fraction.
    fn check_accuracy_bound(&mut self, metric: Metric, bound: Bound) {
        let (key, value) = match bound {
            Bound::AtLeast(value) => ("train.stop.at_least", value),
            Bound::AtMost(value) => ("train.stop.at_most", value),
        };
        if metric == Metric::Accuracy && !(0.0..=1.0).contains(&value) {
            let message =
                format!("{key} = {value} is no accuracy, which is a fraction from 0 to 1");
            let problem = Diagnostic::new(Code::OutOfRange, message).help("90 % is written 0.9");
            self.report(problem, &[(key, "")]);
        }
    }

    /// The one task: its entry, its table with every value written out, and the task itself.
    fn task<'r>(
        &mut self,
        config: &RunConfig,
        clock: Clock,
        registry: &'r Registry,
    ) -> Option<(&'r TaskEntry, toml::Table, Box<dyn Task>)> {
        let mut named = config.task.iter();
        let (Some((name, table)), None) = (named.next(), named.next()) else {
            if self.is_sound(&["task"]) {
                self.problems.push(not_one_task(self.document));
            }
            return None;
        };
        let entry = registry.get(name)?;
        let base_dir = &self.document.place.source.folder;
        let context = BuildContext {
            clock,
            seed: config.seed,
            base_dir,
        };
        let built = entry
            .resolve(table.clone())
            .map_err(|error| vec![error])
            .and_then(|resolved| {
                let task = entry.build(resolved.clone(), &context)?;
                Ok((resolved, task))
            });
        match built {
            Ok((resolved, task)) => Some((entry, resolved, task)),
            Err(errors) => {
                errors
                    .into_iter()
                    .for_each(|error| self.report_task(name, error));
                None
            }
        }
    }

    /// Reports a broken rule of the task. Where a key of the task was taken out, only rules broken by a key that
    /// stands there are sure.
    fn report_task(&mut self, task: &str, error: TaskError) {
        let table = format!("task.{task}");
        let key = if error.key.is_empty() {
            table.clone()
        } else {
            schema::join(&table, &error.key)
        };
        if self.document.get(&key).is_none() && !self.is_sound(&[&table]) {
            return;
        }
        let code = match error.kind {
            TaskErrorKind::Config => Code::TaskRule,
            TaskErrorKind::Data => Code::Data,
            TaskErrorKind::Io => Code::Io,
        };
        let help = error.help.unwrap_or_else(|| match error.kind {
            TaskErrorKind::Config => format!("`train-ctrnn tasks describe {task}` explains its keys"),
            TaskErrorKind::Data => {
                format!("write the file anew; `train-ctrnn tasks describe {task}` says what it must hold")
            }
            TaskErrorKind::Io => "check the path and its permissions".to_owned(),
        });
        let problem = Diagnostic::new(code, format!("{key}: {}", error.message)).help(help);
        if self.document.get(&key).is_some() {
            self.report(problem, &[(&key, "")]);
        } else {
            let default = format!("{} has its default", error.key);
            self.report(
                problem,
                &[(&table, if error.key.is_empty() { "" } else { &default })],
            );
        }
    }

    /// The rules that the network itself knows, where none of the above has been broken.
    fn check_network(&mut self, model: &CtrnnConfig) {
        if !self.problems.is_empty() {
            return;
        }
        if let Err(error) = model.check() {
            self.problems.push(
                Diagnostic::new(Code::OutOfRange, format!("model: {error}"))
                    .help("`train-ctrnn config explain model` lists its keys"),
            );
        }
    }
}

/// No task, or more than one.
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

fn default_loss(layout: &Layout) -> Loss {
    match layout.target {
        TargetKind::Values => Loss::Mse,
        TargetKind::Classes => Loss::CrossEntropy,
    }
}

fn network(config: &RunConfig, clock: Clock, task: &dyn Task) -> CtrnnConfig {
    let model = &config.model;
    CtrnnConfig {
        n_inputs: task.layout().inputs.len(),
        n_units: model.n_units,
        n_outputs: task.layout().outputs.len(),
        dt_ms: clock.dt_ms(),
        tau_ms: model.tau_ms,
        form: model.form,
        activation: model.activation,
        bias: Biases {
            recurrent: model.bias.recurrent,
            readout: model.bias.readout,
        },
        initial_state: model.initial_state.clone(),
        noise: NoiseLevels {
            preactivation: model.noise.preactivation,
            postactivation: model.noise.postactivation,
            convention: model.noise.convention,
        },
        init: WeightInits {
            input: model.init.input,
            recurrent: model.init.recurrent,
            output: model.init.output,
            spectral_radius: model.init.spectral_radius,
        },
    }
}

fn training(config: &RunConfig, loss: Loss, stop: Option<Stop>) -> Training {
    let train = &config.train;
    Training {
        steps: train.steps,
        batch_size: train.batch_size,
        optimizer: train.optimizer.clone(),
        schedule: train.schedule.clone(),
        clip_grad_norm: train.clip_grad_norm,
        loss,
        stop,
        divergence: train.divergence.clone(),
        log_every: train.log_every,
    }
}

#[cfg(test)]
mod tests;
