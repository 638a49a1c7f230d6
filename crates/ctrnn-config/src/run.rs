//! The resolved configuration: every value decided and every file found, or a list of all errors.

mod areas;
mod check;
mod connectivity;
mod interventions;
mod layers;
mod lbfgs;
mod network_files;
mod penalties;
mod python_terms;
mod recordings;
mod resolved;
mod rule;
mod stages;
mod task;
mod trained_on;
mod training;
mod unused;
mod validation_sets;

pub use resolved::{
    GivenWeights, InitialWeights, Origin, Run, SetTask, Stage, TermPrograms, WeightSource,
    replace_string,
};
pub use stages::StageChoice;
pub use trained_on::TrainedChannels;
pub use unused::KEYS_OF_DRAWN_WEIGHTS;

use std::path::Path;
use std::sync::Arc;

use ctrnn_tasks::{Programs, Registry};

use crate::conformance::{self, InputFile};
use crate::diagnostic::{Code, ConfigErrors, Diagnostic, Source};
use crate::document::{self, Node, Value};
use crate::overrides::{self, Override};
use crate::run_config::{RunConfig, VERSION};
use crate::schema::{self, schema};
use check::{Check, Decided};
use resolved::origin;
use trained_on::TrainedOn;

/// Options for reading a configuration: the known tasks, the overrides, and the data and programs that may be used.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// The known tasks.
    pub registry: &'a Registry,
    /// Overrides from the command line.
    pub overrides: &'a [String],
    /// The folder in which files named in the configuration file are searched for, instead of at their original paths.
    ///
    /// The longest suffix of a file's path that exists below the root is used: `/old/lab/data/a.npz` is
    /// `lab/data/a.npz`, `data/a.npz` or `a.npz` below the root.
    pub data_root: Option<&'a Path>,
    /// Permission to start programs that the configuration names.
    pub programs: Programs<'a>,
    /// Returns the inputs and outputs of a trained network; for the resolved configuration of a run, whose network
    /// already has sizes. Called only if the trials come from files. If these are other files than the run was trained
    /// on, all of their trials are used to test the network.
    pub trained: Option<&'a dyn Fn() -> Option<TrainedChannels>>,
    /// The stage that is read in place of the whole training.
    pub stage: StageChoice<'a>,
    /// The validation set that is read in place of the main one, with its task in place of that of the training.
    pub validation: Option<&'a str>,
}

impl<'a> Reading<'a> {
    /// Creates options without overrides, for which no program is started.
    pub fn new(registry: &'a Registry) -> Self {
        Self {
            registry,
            overrides: &[],
            data_root: None,
            programs: Programs::NEVER,
            trained: None,
            stage: StageChoice::All,
            validation: None,
        }
    }

    /// Reads a configuration file, applies the overrides, and resolves it.
    ///
    /// # Errors
    /// All problems of the configuration at once.
    pub fn file(&self, path: &Path) -> Result<Run, ConfigErrors> {
        resolve(document::read(path)?, self)?.whole()
    }

    /// Reads a configuration from a text and resolves it; messages call it `name`, and its relative paths start from
    /// `folder`.
    ///
    /// # Errors
    /// All problems of the configuration at once.
    pub fn text(&self, text: &str, name: &str, folder: &Path) -> Result<Run, ConfigErrors> {
        let source = Source {
            order: 0,
            name: name.into(),
            text: text.into(),
            folder: folder.into(),
        };
        resolve(source, self)?.whole()
    }

    /// Reads a configuration file and resolves it as far as possible without starting a program.
    ///
    /// # Errors
    /// All problems of the configuration at once.
    pub fn values(&self, path: &Path) -> Result<Values, ConfigErrors> {
        resolve(document::read(path)?, self)
    }
}

/// The values of a configuration, and its resolved run if no program is needed to determine it.
pub enum Values {
    /// A fully resolved run.
    Run(Box<Run>),
    /// A partly resolved configuration: only a program, which is not started, knows the numbers of inputs and outputs.
    Undecided {
        /// The configuration with every value written out that does not depend on the task's inputs and outputs.
        resolved: Box<RunConfig>,
        /// Notes for the user; not errors.
        notes: Vec<String>,
        /// The reason why the rest is not known.
        problem: Diagnostic,
        /// The source text, from which the origin of each value follows.
        document: Document,
    },
}

/// The text of a configuration, with its overrides applied.
pub struct Document(Node);

impl Values {
    /// Returns the run.
    ///
    /// # Errors
    /// If the run cannot be determined without starting a program.
    fn whole(self) -> Result<Run, ConfigErrors> {
        match self {
            Self::Run(run) => Ok(*run),
            Self::Undecided { problem, .. } => Err(problem.into()),
        }
    }

    /// Returns the configuration with every known value written out.
    pub fn resolved(&self) -> &RunConfig {
        match self {
            Self::Run(run) => &run.config,
            Self::Undecided { resolved, .. } => resolved,
        }
    }

    /// Returns the origin of the value of a key, given by its full path.
    pub fn origin(&self, key: &str) -> Origin {
        match self {
            Self::Run(run) => run.origin(key),
            Self::Undecided { document, .. } => origin(&document.0, key),
        }
    }

    /// Returns notes for the user, which are not errors.
    pub fn notes(&self) -> Vec<String> {
        match self {
            Self::Run(run) => run.notes.clone(),
            Self::Undecided { notes, .. } => {
                let further = "what follows from the task's inputs and outputs is not shown: a program knows them, and it is not started here";
                notes.iter().cloned().chain([further.to_owned()]).collect()
            }
        }
    }
}

impl RunConfig {
    /// Reads a configuration file with overrides and resolves it. Programs that it names are not started; for other
    /// options, see [`Reading`].
    ///
    /// # Errors
    /// All problems of the configuration at once.
    pub fn load(
        path: &Path,
        overrides: &[String],
        registry: &Registry,
    ) -> Result<Run, ConfigErrors> {
        let reading = Reading {
            overrides,
            ..Reading::new(registry)
        };
        reading.file(path)
    }

    /// Reads a configuration from a text and resolves it; messages call it `name`, and its relative paths start from
    /// `folder`.
    ///
    /// # Errors
    /// All problems of the configuration at once.
    pub fn from_text(
        text: &str,
        name: &str,
        folder: &Path,
        overrides: &[String],
        registry: &Registry,
    ) -> Result<Run, ConfigErrors> {
        let reading = Reading {
            overrides,
            ..Reading::new(registry)
        };
        reading.text(text, name, folder)
    }

    /// Converts the configuration to a table, as used by [`differences`](crate::differences).
    pub fn table(&self) -> toml::Table {
        toml::Table::try_from(self).expect("a configuration is made of TOML types")
    }

    /// Writes the configuration as TOML: version, seed, time, task, model, train, validate, checkpoint, device.
    pub fn toml(&self) -> String {
        toml::to_string(self).expect("a configuration is made of TOML types")
    }
}

/// Resolves a configuration in three passes: syntax, schema, meaning.
fn resolve(source: Source, reading: &Reading) -> Result<Values, ConfigErrors> {
    let Reading {
        registry,
        overrides,
        data_root,
        trained,
        stage,
        validation,
        ..
    } = *reading;
    if let Some(root) = data_root.filter(|root| !root.is_dir()) {
        return Err(no_data_root(root).into());
    }
    let schema = schema(registry);
    let source = Arc::new(source);
    let (mut document, mut problems) = Node::parse(&source);
    let stage = stages::choose(&mut document, stage)?;
    validation_sets::choose(&mut document, validation)?;
    let trained = trained.and_then(|channels| TrainedOn::recorded(&document, data_root, channels));
    let is_toml = problems.is_empty();
    let mut overrides = overrides::parse(overrides, &mut problems);
    overrides::remove_none(&mut overrides, schema);
    problems.extend(
        overrides
            .iter()
            .filter_map(|o| unknown_removal(o, &document, schema)),
    );
    let notes = overrides::apply(overrides, registry, schema, &mut document, &mut problems);
    // Checked before the schema: under another version, any further problem would be misleading.
    if let Some(problem) = other_version(&document) {
        return Err(problem.into());
    }
    let written = document.clone();
    match decide_with_sets(document, is_toml, problems, reading, trained.as_ref())? {
        Values::Run(mut run) => {
            run.notes.splice(..0, notes);
            run.stage = stage;
            if run.config.train.stage.is_empty() {
                return Ok(Values::Run(run));
            }
            with_stages(run, &written, reading)
        }
        Values::Undecided {
            resolved,
            problem,
            document,
            ..
        } => Ok(Values::Undecided {
            resolved,
            notes,
            problem,
            document,
        }),
    }
}

/// Checks a document against the schema and its meaning; `problems` are those found before.
fn decide(
    mut document: Node,
    is_toml: bool,
    mut problems: Vec<Diagnostic>,
    reading: &Reading,
    trained: Option<&TrainedOn>,
) -> Result<Values, ConfigErrors> {
    let found = conformance::check(&mut document, schema(reading.registry), reading.data_root);
    problems.extend(found.problems);
    let mut check = Check {
        document: &document,
        removed: &found.removed,
        files: &found.files,
        trained,
        problems,
    };
    let decided = is_toml.then(|| check.decide(reading.registry, reading.programs));
    let problems = check.problems;
    match decided.flatten() {
        Some(decided) if problems.is_empty() => Ok(values(decided, found.files, document)),
        _ => Err(in_order(problems)),
    }
}

/// Returns the values that were decided, with the files that they name and the document from which they come.
fn values(decided: Decided, input_files: Vec<InputFile>, document: Node) -> Values {
    match decided {
        Decided::Run(run) => Values::Run(Box::new(Run {
            notes: [
                run.task.notes(),
                recordings::unfitted_recordings(&run.config.train, run.task.as_ref()),
            ]
            .concat(),
            input_files,
            document,
            ..*run
        })),
        Decided::Undecided(resolved, problem) => Values::Undecided {
            resolved,
            notes: Vec::new(),
            problem,
            document: Document(document),
        },
    }
}

/// Checks a document like [`decide`], and its validation sets.
fn decide_with_sets(
    document: Node,
    is_toml: bool,
    problems: Vec<Diagnostic>,
    reading: &Reading,
    trained: Option<&TrainedOn>,
) -> Result<Values, ConfigErrors> {
    let written = document.clone();
    let mut run = match decide(document, is_toml, problems, reading, trained)? {
        Values::Run(run) => run,
        undecided => return Ok(undecided),
    };
    let mut problems = Vec::new();
    for name in validation_sets::with_task(&run.config) {
        let in_set = |problem: Diagnostic| {
            let message = format!("in validate.{name}: {}", problem.message);
            Diagnostic { message, ..problem }
        };
        let document = validation_sets::overlaid(&written, &name);
        match decide_part(document, Vec::new(), reading) {
            Err(errors) => problems.extend(errors.0.into_iter().map(in_set)),
            Ok(Values::Run(set)) => match validation_sets::other_trials(&run, &name, &set) {
                Some(problem) => problems.push(in_set(problem)),
                None => run.add_set(name, *set),
            },
            Ok(undecided) => return Ok(undecided),
        }
    }
    if problems.is_empty() {
        return Ok(Values::Run(run));
    }
    Err(in_order(problems))
}

/// Checks the document of a part of a run, a stage or a validation set; `problems` are those found before.
fn decide_part(
    document: Node,
    problems: Vec<Diagnostic>,
    reading: &Reading,
) -> Result<Values, ConfigErrors> {
    let recorded = |channels| TrainedOn::recorded(&document, reading.data_root, channels);
    let trained = reading.trained.and_then(recorded);
    decide(document, true, problems, reading, trained.as_ref())
}

/// Resolves the stages of a run whose document, with overrides, is `written`.
fn with_stages(
    mut run: Box<Run>,
    written: &Node,
    reading: &Reading,
) -> Result<Values, ConfigErrors> {
    let (settings, mut problems) = stages::settings(written, &run.config.train.stage);
    for settings in settings {
        let in_stage = |problem: Diagnostic| {
            let message = format!("in stage {}: {}", settings.name, problem.message);
            Diagnostic { message, ..problem }
        };
        let (document, broken) = stages::overlaid(written, settings.index);
        let recorded = |channels| TrainedOn::recorded(&document, reading.data_root, channels);
        let trained = reading.trained.and_then(recorded);
        match decide_with_sets(document, true, broken, reading, trained.as_ref()) {
            Err(errors) => problems.extend(errors.0.into_iter().map(in_stage)),
            Ok(Values::Undecided {
                problem, document, ..
            }) => {
                let (resolved, notes) = (Box::new(run.config.clone()), run.notes.clone());
                return Ok(Values::Undecided {
                    resolved,
                    notes,
                    problem,
                    document,
                });
            }
            Ok(Values::Run(stage)) => {
                problems.extend(stages::other_network(&run, &stage).map(in_stage));
                let given = &run.config.train.stage[settings.index];
                run.config.train.stage[settings.index] = stages::written_out(given, &run, &stage);
                run.add_input_files(&stage);
                run.stages.push(Stage {
                    settings,
                    run: *stage,
                });
            }
        }
    }
    if problems.is_empty() {
        return Ok(Values::Run(run));
    }
    Err(in_order(problems))
}

fn no_data_root(root: &Path) -> Diagnostic {
    let message = format!("--data-root: {} is not a folder", root.display());
    let help =
        "name the folder that holds the input files, or leave --data-root (CTRNN_DATA_ROOT) out";
    Diagnostic::new(Code::Data, message).help(help)
}

/// Reports an unsupported `version`. Other checks are skipped: they assume version 1.
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

/// Returns problems as an error, in the order of reading.
fn in_order(mut problems: Vec<Diagnostic>) -> ConfigErrors {
    problems.sort_by_key(reading_order);
    ConfigErrors(problems)
}

/// Returns the sort key of a problem: the file from top to bottom, then the command line, then problems without a
/// place.
fn reading_order(problem: &Diagnostic) -> (usize, usize) {
    let first = problem.labels.first().map(|label| &label.place);
    first.map_or((usize::MAX, 0), |place| {
        (place.source.order, place.span.start)
    })
}

#[cfg(test)]
mod any_text;
#[cfg(test)]
mod broken_keys;
#[cfg(test)]
mod extreme_numbers;
#[cfg(test)]
mod parts_and_interventions;
#[cfg(test)]
mod tests;
