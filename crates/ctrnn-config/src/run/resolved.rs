//! The resolved run: every value decided and every file found.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use ctrnn_files::RunFolder;
use ctrnn_model::{CtrnnConfig, InputPath, Weights};
use ctrnn_tasks::{Clock, Task};
use ctrnn_train::{Objective, StageSettings, TrainSettings, TrainedPerturbation};
use serde::{Deserialize, Serialize};

use super::network_files;
use crate::conformance::{self, InputFile};
use crate::diagnostic::{Code, Diagnostic};
use crate::document::Node;
use crate::run_config::RunConfig;

/// A resolved run: its task, network and objective.
pub struct Run {
    /// The time grid.
    pub clock: Clock,
    /// The name of the task.
    pub task_name: String,
    /// The task.
    pub task: Box<dyn Task>,
    /// The network, whose numbers of inputs and outputs are those of the task.
    pub model: CtrnnConfig,
    /// The weight file with which the network is initialised, absolute.
    pub init_file: Option<PathBuf>,
    /// The content of [`Run::init_file`], if already read: a run that trains removes its old checkpoints, which may
    /// hold the file.
    pub given: Option<GivenWeights>,
    /// The initial weights of the run, if its folder keeps them.
    pub initial: Option<InitialWeights>,
    /// The loss and its penalties.
    pub objective: Objective,
    /// The programs that compute terms of the loss; empty if programs must not be started.
    pub term_programs: TermPrograms,
    /// The perturbations of trials in training.
    pub perturbations: Vec<TrainedPerturbation>,
    /// The configuration with every value written out and every path absolute; reading it again yields the same run.
    pub config: RunConfig,
    /// Notes for the user; not errors.
    pub notes: Vec<String>,
    /// All files named in the configuration.
    pub input_files: Vec<InputFile>,
    /// The stages of the training; empty for one training.
    pub stages: Vec<Stage>,
    /// Tasks of the validation sets that have keys of their own for it.
    pub set_tasks: Vec<SetTask>,
    /// The name of the stage that was read in place of the whole training ([`StageChoice`](crate::StageChoice)).
    pub stage: Option<String>,
    pub(super) document: Node,
}

/// A stage of a training, resolved.
pub struct Stage {
    /// Place of the stage in the training.
    pub settings: StageSettings,
    /// The configuration with the keys of the stage in place of its own, and without stages.
    pub run: Run,
}

/// The task of a validation set that has keys of its own for it.
pub struct SetTask {
    /// Name of the set.
    pub name: String,
    /// Its task.
    pub task: Box<dyn Task>,
}

/// Command lines of the programs that compute terms of the loss, by the names of the terms.
pub type TermPrograms = BTreeMap<String, Vec<String>>;

/// Initial weights, as read from a file.
#[derive(Clone, Debug)]
pub struct GivenWeights {
    /// The weights.
    pub weights: Weights,
    /// The digest of the file.
    pub blake3: String,
    /// The run from which the weights come, and the state that was requested.
    pub source: WeightSource,
    /// Number of updates that the run had made.
    pub step: u64,
    /// The state of its optimizer, if the new run begins with it.
    pub optimizer: Option<Weights>,
}

/// A run whose weights initialise another run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightSource {
    /// The folder of the run, absolute.
    pub run: PathBuf,
    /// The requested checkpoint: `last`, `best`, or a step; absent: the newest weights.
    pub checkpoint: Option<String>,
    /// True if the state of the optimizer was requested as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optimizer: bool,
}

/// The weights with which a run began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitialWeights {
    /// The file in the run folder.
    pub path: PathBuf,
    /// The digest of the file, as recorded in `manifest.json`.
    pub blake3: String,
    /// The digest of the file beside it with the state of the optimizer, if the run began with one.
    pub optimizer_blake3: Option<String>,
}

/// The origin of a value of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The default value.
    Default,
    /// The configuration file.
    File,
    /// An override on the command line.
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::File => "file",
            Self::CommandLine => "command line",
        })
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Run").field(&self.config).finish()
    }
}

impl Run {
    /// Returns the settings of the training loop.
    pub fn settings(&self) -> TrainSettings {
        TrainSettings {
            seed: self.config.seed,
            clock: self.clock,
            train: self.config.train.clone(),
            objective: self.objective.clone(),
            perturbations: self.perturbations.clone(),
            validate: self.config.validate.clone(),
            checkpoint: self.config.checkpoint.clone(),
            check_every: 1,
            stage: None,
        }
    }

    /// Writes the resolved configuration as TOML: version, seed, time, task, model, train, validate, checkpoint,
    /// device.
    pub fn resolved_toml(&self) -> String {
        self.config.toml()
    }

    /// Returns the input files on which the results of a run depend besides its configuration: trials, connections, and
    /// a covariance of the noise, functions in Python.
    pub fn data_files(&self) -> Vec<PathBuf> {
        let mut files = self.task.input_files();
        files.extend(network_files::files(&self.config.model));
        let terms = self.config.train.loss.python.values();
        files.extend(terms.map(|term| term.file.0.clone()));
        let of_sets = self.set_tasks.iter();
        files.extend(of_sets.flat_map(|set| set.task.input_files()));
        files.extend(self.stages.iter().flat_map(|stage| stage.run.data_files()));
        files
    }

    /// Converts the resolved configuration to a table, as used by [`differences`](crate::differences).
    pub fn resolved_table(&self) -> toml::Table {
        self.config.table()
    }

    /// Replaces the paths of files in the resolved configuration by those originally named, from before the data root
    /// was applied.
    #[must_use]
    pub fn with_named_paths(mut self) -> Self {
        for InputFile { named, path } in &self.input_files {
            let (from, to) = (path.to_string_lossy(), named.to_string_lossy());
            for table in self.config.task.values_mut() {
                table
                    .iter_mut()
                    .for_each(|(_, value)| replace_string(value, &from, &to));
            }
            for stage in &mut self.config.train.stage {
                let tables = stage.task.iter_mut().chain(&mut stage.model);
                let tables = tables.chain(&mut stage.validate).chain(&mut stage.train);
                tables.for_each(|(_, value)| replace_string(value, &from, &to));
            }
            let sets = self.config.validate.sets.values_mut();
            sets.flat_map(|set| &mut set.task)
                .for_each(|(_, value)| replace_string(value, &from, &to));
            let rename = |file: &mut InputPath| {
                if file.0 == *path {
                    file.0.clone_from(named);
                }
            };
            network_files::change_files(&mut self.config.model, rename);
            let terms = self.config.train.loss.python.values_mut();
            terms.for_each(|term| rename(&mut term.file));
        }
        self
    }

    /// Sets the file of initial weights.
    #[must_use]
    pub fn beginning_with(mut self, file: PathBuf) -> Self {
        self.config.model.init.file = Some(InputPath(file.clone()));
        self.init_file = Some(file);
        self
    }

    /// Returns the resolved configuration as stored in a run folder: a file of initial weights is replaced by the run's
    /// own copy, named relative to the folder, so that the folder can be moved.
    pub fn kept(&self) -> RunConfig {
        let mut config = self.config.clone();
        if let Some(file) = &mut config.model.init.file {
            file.0 = PathBuf::from(RunFolder::INITIAL_WEIGHTS);
        }
        config
    }

    /// Returns the resolved configuration of an existing run, with the run's own copy of the initial weights named as
    /// in [`Run::kept`].
    pub fn kept_in(&self, folder: &RunFolder) -> RunConfig {
        let own = InputPath(conformance::canonical(folder.initial_weights()));
        if self.config.model.init.file == Some(own) {
            self.kept()
        } else {
            self.config.clone()
        }
    }

    /// Returns the configuration that [`RunFolder::resolved`] would hold, as a table.
    pub fn table_in(&self, folder: &RunFolder) -> toml::Table {
        toml::Table::try_from(self.kept_in(folder)).expect("a configuration is made of TOML types")
    }

    /// Creates a diagnostic about the value of a key, with its place if it is given in the text.
    pub fn problem(&self, key: &str, code: Code, message: impl Into<String>) -> Diagnostic {
        let problem = Diagnostic::new(code, message);
        match self.document.get(key) {
            Some(node) => problem.at(&node.place, ""),
            None => problem,
        }
    }

    /// Returns the origin of the value of a key, given by its full path.
    pub fn origin(&self, key: &str) -> Origin {
        origin(&self.document, key)
    }

    /// Adds the input files of a part of the run, a stage or a validation set.
    pub(super) fn add_input_files(&mut self, part: &Run) {
        for file in &part.input_files {
            if !self.input_files.contains(file) {
                self.input_files.push(file.clone());
            }
        }
    }
}

impl Stage {
    /// Returns the settings of the training loop in this stage.
    pub fn settings(&self) -> TrainSettings {
        TrainSettings {
            stage: Some(self.settings.clone()),
            ..self.run.settings()
        }
    }
}

/// Returns the origin of the value of a key of a document.
pub(super) fn origin(document: &Node, key: &str) -> Origin {
    match document.get(key) {
        None => Origin::Default,
        Some(node) if Arc::ptr_eq(&node.place.source, &document.place.source) => Origin::File,
        Some(_) => Origin::CommandLine,
    }
}

/// Replaces a string wherever it occurs in a value.
pub fn replace_string(value: &mut toml::Value, from: &str, to: &str) {
    match value {
        toml::Value::String(text) if text == from => *text = to.to_owned(),
        toml::Value::Array(items) => items
            .iter_mut()
            .for_each(|item| replace_string(item, from, to)),
        toml::Value::Table(table) => table
            .iter_mut()
            .for_each(|(_, value)| replace_string(value, from, to)),
        _ => {}
    }
}
