//! Checks of meaning: what the schema cannot say.

use ctrnn_model::{CtrnnConfig, PreactivationNoise, Topic, Violation, WeightInits};
use ctrnn_tasks::{Clock, Layout, Programs, RefusedValue, Registry, TargetKind, Task, from_toml};
use ctrnn_train::{Loss, sizes_of};

use super::resolved::Run;
use super::trained_on::TrainedOn;
use crate::conformance::InputFile;
use crate::covariance;
use crate::diagnostic::{Code, Diagnostic};
use crate::document::Node;
use crate::overrides::is_within;
use crate::run_config::RunConfig;

/// A run, or its known part together with the problem that a program needed for the rest is not started.
pub(super) enum Decided {
    Run(Box<Run>),
    Undecided(Box<RunConfig>, Diagnostic),
}

/// A task, or the problem that its program is not started.
pub(super) type Built = Result<Box<dyn Task>, Diagnostic>;

/// Checks of meaning, on a tree that conforms to the schema.
pub(super) struct Check<'a> {
    pub(super) document: &'a Node,
    /// Keys removed because they did not conform; checks that depend on one are skipped.
    pub(super) removed: &'a [String],
    /// The files named in the configuration.
    pub(super) files: &'a [InputFile],
    /// The trained run to which the configuration belongs, if any.
    pub(super) trained: Option<&'a TrainedOn>,
    pub(super) problems: Vec<Diagnostic>,
}

impl Check<'_> {
    pub(super) fn decide(&mut self, registry: &Registry, programs: Programs) -> Option<Decided> {
        let mut config = self.deserialize()?;
        let model = self.network(&config);
        self.check_one_kind_of_signs(&model);
        self.report_violations(model.violations_of_table());
        self.check_training(&config.train);
        self.check_stop(&config.train);
        self.check_validation_sets(&config);
        let clock = self
            .is_sound(&["time.dt_ms"])
            .then(|| Clock::new(config.time.dt_ms).ok())??;
        let (entry, table, task) = self.task(&config, clock, registry, programs)?;
        let task = match task {
            Ok(task) => task,
            Err(problem) => {
                let task = [(entry.name.clone(), table)].into();
                let resolved = Box::new(RunConfig { task, ..config });
                return Some(Decided::Undecided(resolved, problem));
            }
        };
        let loss = config
            .train
            .loss
            .name
            .unwrap_or_else(|| default_loss(&task.layout()));
        let model = self.network_of_task(model, task.as_ref());
        self.check_loss(&model, loss);
        self.check_conditions(&model, task.as_ref())?;
        self.check_something_is_trained(&config.train, &model);
        self.check_groups(&config.train, &model);
        let objective = self.objective(&config.train.loss, loss, &model, clock);
        self.check_recordings(&config, &model, task.as_ref());
        self.check_python_terms(&config.train, &objective);
        self.check_yielding(&config.train.loss, &objective);
        self.check_recompute(&config.train, &objective);
        let term_programs = self.agreed_programs(&config.train, programs);
        self.check_parts(&config.train, &objective, &model);
        let perturbations = self.perturbations(&config, &model, task.as_ref(), clock);
        self.check_rule(&config.train, &objective, &model);
        self.check_continual(&config.train, &model);
        self.check_lbfgs(&config.train, &objective, &model);
        let schedule = config.train.schedule;
        config.train.schedule = schedule.of_fixed_length(config.train.steps);
        if !self.problems.is_empty() {
            return None; // values can be written out for networks that are in order
        }
        let model = model.written_out();
        config.task = [(entry.name.clone(), table)].into();
        config.train.loss.name = Some(loss);
        config.model = config.model.map_layers(|layer| {
            let written = model.layer(usize::from(layer.layer));
            CtrnnConfig {
                dale: written.dale.clone(),
                init: WeightInits {
                    file: layer.init.file.clone(),
                    ..written.init.clone()
                },
                ..layer
            }
        });
        Some(Decided::Run(Box::new(Run {
            clock,
            task_name: entry.name.clone(),
            task,
            model,
            init_file: config.model.init.file.clone().map(|file| file.0),
            given: None,
            initial: None,
            objective,
            term_programs,
            perturbations,
            config,
            notes: Vec::new(),
            input_files: Vec::new(),
            stages: Vec::new(),
            set_tasks: Vec::new(),
            stage: None,
            document: self.document.clone(),
        })))
    }

    fn deserialize(&mut self) -> Option<RunConfig> {
        let read = from_toml(self.document.to_toml());
        let read = read.map(|config| {
            let config = self.with_layers(config);
            self.with_areas_in_order(config)
        });
        read.map_err(|RefusedValue { path, message }| {
            let problem = Diagnostic::new(Code::UnknownWord, format!("{path}: {message}")).help(
                format!("`train-ctrnn config explain {path}` says what it may be"),
            );
            self.report(problem, &[(&path, "")]);
        })
        .ok()
    }

    /// Adds a problem, with labels at those of the keys that are given in the text.
    pub(super) fn report(&mut self, problem: Diagnostic, keys: &[(&str, &str)]) {
        let labelled = self.labelled(problem, keys);
        self.problems.push(labelled);
    }

    /// Adds labels to a problem, at those of the keys that are given in the text.
    pub(super) fn labelled(&self, problem: Diagnostic, keys: &[(&str, &str)]) -> Diagnostic {
        keys.iter().fold(problem, |problem, (key, text)| {
            match self.document.get(key) {
                Some(node) => problem.at(&node.place, *text),
                None => problem,
            }
        })
    }

    /// Returns true if none of the keys was removed, nor anything inside or around them.
    pub(super) fn is_sound(&self, keys: &[&str]) -> bool {
        !self.removed.iter().any(|removed| {
            keys.iter()
                .any(|key| is_within(removed, key) || is_within(key, removed))
        })
    }

    /// Reports broken rules of the network, except those that depend on removed keys.
    pub(super) fn report_violations(&mut self, violations: Vec<Violation>) {
        for violation in violations {
            let labels = violation
                .keys
                .iter()
                .map(|(key, text)| (key.as_str(), *text));
            let labels: Vec<(&str, &str)> = labels.collect();
            let mut keys: Vec<&str> = labels.iter().map(|(key, _)| *key).collect();
            keys.extend(violation.depends_on.iter().map(String::as_str));
            if self.is_sound(&keys) {
                let problem = Diagnostic::new(code(violation.topic), violation.message.clone());
                self.report(problem.help(violation.help.clone()), &labels);
            }
        }
    }

    /// Returns the parts of the network that do not depend on the task: the time step, the frozen parameters, the
    /// covariance from a file.
    fn network(&mut self, config: &RunConfig) -> CtrnnConfig {
        config.model.clone().map_layers(|layer| {
            let number = usize::from(layer.layer);
            let noise = (config.model).key_in_layer(number, "model.noise.preactivation");
            let mut layer = CtrnnConfig {
                dt_ms: config.time.dt_ms,
                integrator: config.time.integrator,
                frozen: config.train.freeze.clone(),
                ..layer
            };
            layer.init.file = None; // it is `Run::init_file`
            layer = self.with_areas(layer);
            self.read_covariance(&mut layer, &noise);
            layer
        })
    }

    /// Replaces the file of a covariance, which stands at `key`, by the covariance.
    fn read_covariance(&mut self, layer: &mut CtrnnConfig, key: &str) {
        let PreactivationNoise::CovarianceFile { covariance } = &layer.noise.preactivation else {
            return;
        };
        match covariance::read(&covariance.0) {
            Ok(covariance) => {
                layer.noise.preactivation = PreactivationNoise::Covariance { covariance };
            }
            Err(message) => {
                let problem = Diagnostic::new(Code::Data, message)
                    .help("write the file again: np.savez(FILE, covariance=C), with C of shape [n_units, n_units]");
                self.report(problem, &[(key, "")]);
            }
        }
    }

    /// Adds the sizes of the task and the arrays of the connections file to the network.
    fn network_of_task(&mut self, network: CtrnnConfig, task: &dyn Task) -> CtrnnConfig {
        let network = network.with_sizes(sizes_of(task));
        self.report_violations(network.violations_of_sizes());
        let network = self.with_channels(network, &task.layout());
        let network = self.with_connections(network);
        if self.problems.is_empty() {
            self.report_violations(network.violations_of_arrays());
        }
        network
    }

    /// Checks that the output nonlinearity of the network fits the loss.
    fn check_loss(&mut self, model: &CtrnnConfig, loss: Loss) {
        let nonlinearity = model.output_nonlinearity;
        let key = &*model.key_in_last("model.output_nonlinearity");
        if loss.suits(nonlinearity) || !self.is_sound(&[key, "train.loss"]) {
            return;
        }
        let (loss, nonlinearity) = (loss.name(), nonlinearity.name());
        let message = format!("the loss {loss} does not fit {key} = {nonlinearity:?}");
        let problem = Diagnostic::new(Code::Readout, message).help(
            "cross_entropy makes softmax(y) the answer: model.output_nonlinearity = \"softmax\", or train.loss.name = \"mse\"",
        );
        let labels = [(key, "the answer"), ("train.loss.name", "the loss")];
        self.report(problem, &labels);
    }
}

/// Returns the code of a broken rule of the network.
fn code(topic: Topic) -> Code {
    match topic {
        Topic::Value => Code::OutOfRange,
        Topic::Word => Code::UnknownWord,
        Topic::TimeStep => Code::TimeStep,
        Topic::Initial => Code::Initial,
        Topic::Connections => Code::Connections,
        Topic::Readout => Code::Readout,
        Topic::Arrays => Code::Data,
    }
}

fn default_loss(layout: &Layout) -> Loss {
    match layout.target {
        TargetKind::Values => Loss::Mse,
        TargetKind::Classes => Loss::CrossEntropy,
    }
}
