//! The registry, which builds a [`Task`] from its name and a table of a configuration.

use std::path::Path;
use std::sync::{LazyLock, OnceLock};

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::description::{describe, describe_options};
use crate::{Clock, Programs, RefusedValue, Task, TaskError, from_toml};

/// The context in which a task is built from its table.
#[derive(Clone, Copy, Debug)]
pub struct BuildContext<'a> {
    /// The time grid.
    pub clock: Clock,
    /// The seed of the run.
    pub seed: u64,
    /// The folder from which relative paths start.
    pub base_dir: &'a Path,
    /// All tasks, for a task that is a mixture of others.
    pub registry: &'a Registry,
    /// Permission to start a program that the table names.
    pub programs: Programs<'a>,
    /// The network, if it is given; none for a new run whose network is drawn.
    pub trained: Option<Trained<'a>>,
}

/// The network for which a task is built, if it is given, whatever the trials are: that of a run that is evaluated or
/// continued, or that of a file of weights.
#[derive(Clone, Copy, Debug)]
pub struct Trained<'a> {
    /// Number of inputs of its network.
    pub n_inputs: usize,
    /// Number of outputs of its network.
    pub n_outputs: usize,
    /// Outputs that were choices in its training; `None` where that is not recorded.
    pub choices: Option<&'a [usize]>,
    /// The task's table in the configuration of the run.
    pub table: &'a toml::Table,
    /// True if the files differ from those in that table: they hold test trials.
    pub is_test: bool,
    /// True if the network is about to be trained in a new run.
    pub is_new: bool,
}

/// A value that is computed on first use.
type Lazy<T> = LazyLock<T, Box<dyn FnOnce() -> T + Send>>;
type Resolve = dyn Fn(toml::Table, &Registry) -> Result<toml::Table, TaskError> + Send + Sync;
type Build =
    dyn Fn(toml::Table, &BuildContext) -> Result<Box<dyn Task>, Vec<TaskError>> + Send + Sync;

/// An entry of the registry: a named task.
pub struct TaskEntry {
    /// Name of its table in a configuration.
    pub name: String,
    about: Lazy<About>,
    can_be_mixed: bool,
    resolve: Box<Resolve>,
    build: Box<Build>,
}

/// Documentation and schema of a task.
struct About {
    description: String,
    schema: serde_json::Value,
}

impl About {
    /// Builds the documentation from the schema of the table and a description of the trials.
    fn new(schema: serde_json::Value, trials: &str) -> Self {
        let text = schema["description"].as_str().unwrap_or_default();
        Self {
            description: format!("{text}\n\n{}{trials}", describe_options(&schema)),
            schema,
        }
    }
}

impl TaskEntry {
    /// Creates an entry for a task whose configuration is the task itself.
    #[must_use]
    pub fn of_task<T>(name: &str) -> Self
    where
        T: Task + Default + Serialize + DeserializeOwned + JsonSchema + 'static,
    {
        Self {
            about: LazyLock::new(Box::new(|| {
                About::new(schema_of::<T>(), &describe(&T::default()))
            })),
            can_be_mixed: true,
            ..Self::of_config::<T>(name, |task, _| Ok(Box::new(task)))
        }
    }

    /// Creates an entry for a variant of a task, with its own name, defaults and documentation: one struct can serve a
    /// family of tasks. `doc` replaces the first paragraph of the documentation of the struct, which
    /// summarises its own defaults; its first sentence is the summary.
    ///
    /// # Panics
    /// If the defaults cannot be written as TOML.
    #[must_use]
    pub fn of_variant<T>(name: &str, doc: &str, defaults: T) -> Self
    where
        T: Task + Serialize + DeserializeOwned + JsonSchema + 'static,
    {
        let table = write(&defaults).expect("the defaults of a task are TOML");
        let (doc, own) = (doc.to_owned(), table.clone());
        let about = move || {
            let mut schema = schema_of::<T>();
            let family = schema["description"].as_str().unwrap_or_default();
            let rest = family.split_once("\n\n").map_or("", |(_, rest)| rest);
            schema["description"] = format!("{doc}\n\n{rest}").trim_end().into();
            for (key, value) in &own {
                schema["properties"][key]["default"] =
                    serde_json::to_value(value).expect("TOML without dates is JSON");
            }
            About::new(schema, &describe(&defaults))
        };
        let read_variant = move |given: toml::Table| {
            let mut all = table.clone();
            all.extend(given);
            read::<T>(all)
        };
        let resolve = read_variant.clone();
        Self {
            name: name.to_owned(),
            about: LazyLock::new(Box::new(about)),
            can_be_mixed: true,
            resolve: Box::new(move |given, _| write(&resolve(given)?)),
            build: Box::new(move |given, context| {
                let task = read_variant(given).map_err(|error| vec![error])?;
                task.check(context.clock)?;
                Ok(Box::new(task))
            }),
        }
    }

    /// Creates an entry for a task that `make` builds from its configuration, for instance by reading files. The task is
    /// checked afterwards.
    #[must_use]
    pub fn of_config<C>(
        name: &str,
        make: impl Fn(C, &BuildContext) -> Result<Box<dyn Task>, Vec<TaskError>> + Send + Sync + 'static,
    ) -> Self
    where
        C: Serialize + DeserializeOwned + JsonSchema + 'static,
    {
        Self {
            name: name.to_owned(),
            about: LazyLock::new(Box::new(|| About::new(schema_of::<C>(), ""))),
            can_be_mixed: false,
            resolve: Box::new(|table, _| write(&read::<C>(table)?)),
            build: Box::new(move |table, context| {
                let config = read::<C>(table).map_err(|error| vec![error])?;
                let task = make(config, context)?;
                task.check(context.clock)?;
                Ok(task)
            }),
        }
    }

    /// Creates an entry for a mixture of tasks; `fill_in` adds their defaults.
    pub(crate) fn of_mixture<C>(
        name: &str,
        fill_in: impl Fn(C, &Registry) -> Result<C, TaskError> + Send + Sync + 'static,
        make: impl Fn(C, &BuildContext) -> Result<Box<dyn Task>, Vec<TaskError>> + Send + Sync + 'static,
    ) -> Self
    where
        C: Serialize + DeserializeOwned + JsonSchema + 'static,
    {
        Self {
            resolve: Box::new(move |table, registry| write(&fill_in(read::<C>(table)?, registry)?)),
            ..Self::of_config(name, make)
        }
    }

    /// Returns the first sentence of the description.
    #[must_use]
    pub fn summary(&self) -> String {
        first_sentence(self.description())
    }

    /// Returns the description in Markdown: the documentation of the struct, then its options, epochs, channels and
    /// conditions.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.about.description
    }

    /// Returns true if the task can be mixed with others, which is so if it makes its own trials, one by one.
    #[must_use]
    pub fn can_be_mixed(&self) -> bool {
        self.can_be_mixed
    }

    /// Returns the JSON schema of its table, without references. A table of other tasks' tables has the format `tasks`.
    #[must_use]
    pub fn schema(&self) -> &serde_json::Value {
        &self.about.schema
    }

    /// Fills in all defaults of its table; for a mixture, also those of its tasks, which are looked up in `registry`.
    ///
    /// # Errors
    /// If the table does not fit the schema.
    pub fn resolve(
        &self,
        table: toml::Table,
        registry: &Registry,
    ) -> Result<toml::Table, TaskError> {
        (self.resolve)(table, registry)
    }

    /// Builds and checks the task.
    ///
    /// # Errors
    /// If the table does not fit the schema; otherwise all errors that the task finds.
    pub fn build(
        &self,
        table: toml::Table,
        context: &BuildContext,
    ) -> Result<Box<dyn Task>, Vec<TaskError>> {
        (self.build)(table, context)
    }
}

impl std::fmt::Debug for TaskEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("TaskEntry")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// All tasks that a configuration may name, in alphabetical order.
#[derive(Debug, Default)]
pub struct Registry {
    entries: Vec<TaskEntry>,
    schema: OnceLock<serde_json::Value>,
}

impl Registry {
    /// Creates a registry without tasks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a task whose configuration is the task itself.
    ///
    /// # Panics
    /// As [`add_entry`](Self::add_entry).
    pub fn add<T>(&mut self, name: &str) -> &mut Self
    where
        T: Task + Default + Serialize + DeserializeOwned + JsonSchema + 'static,
    {
        self.add_entry(TaskEntry::of_task::<T>(name))
    }

    /// Adds a task.
    ///
    /// # Panics
    /// If the name is taken, or is not of the form `lower_case`.
    pub fn add_entry(&mut self, entry: TaskEntry) -> &mut Self {
        let name = &entry.name;
        let lower_case = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        assert!(
            !name.is_empty() && name.chars().all(lower_case),
            "{name:?} is not a name of a task; expected lower-case letters, digits and _"
        );
        match self.entries.binary_search_by(|other| other.name.cmp(name)) {
            Ok(_) => panic!("a task {name:?} exists already; give the new one another name"),
            Err(place) => self.entries.insert(place, entry),
        }
        self.schema.take();
        self
    }

    /// Returns the task of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&TaskEntry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// Returns the names of all tasks.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    /// Returns the schema of configurations with these tasks, which `make` builds on the first call.
    pub fn schema(&self, make: impl FnOnce(&Self) -> serde_json::Value) -> &serde_json::Value {
        self.schema.get_or_init(|| make(self))
    }

    /// Splits the registry into one for each task.
    pub fn one_by_one(self) -> impl Iterator<Item = Self> {
        self.entries.into_iter().map(|entry| Self {
            entries: vec![entry],
            schema: OnceLock::new(),
        })
    }

    /// Returns all tasks.
    pub fn entries(&self) -> impl Iterator<Item = &TaskEntry> {
        self.entries.iter()
    }
}

fn schema_of<C: JsonSchema>() -> serde_json::Value {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<C>().into()
}

fn read<C: DeserializeOwned>(table: toml::Table) -> Result<C, TaskError> {
    from_toml(toml::Value::Table(table)).map_err(|RefusedValue { path, message }| {
        let key = if path == "." { String::new() } else { path };
        TaskError::config(key, message)
    })
}

fn write<C: Serialize>(config: &C) -> Result<toml::Table, TaskError> {
    toml::Table::try_from(config).map_err(|error| TaskError::config("", error.to_string()))
}

fn first_sentence(text: &str) -> String {
    let paragraph = text
        .split("\n\n")
        .next()
        .unwrap_or_default()
        .replace('\n', " ");
    paragraph.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GoNogo;

    fn context(registry: &Registry) -> BuildContext<'_> {
        BuildContext {
            clock: Clock::new(20.0).unwrap(),
            seed: 1,
            base_dir: Path::new("."),
            registry,
            programs: Programs::NEVER,
            trained: None,
        }
    }

    fn errors(text: &str) -> Vec<String> {
        let registry = Registry::built_in();
        let entry = registry.get("perceptual_decision").unwrap();
        let built = entry.build(toml::from_str(text).unwrap(), &context(&registry));
        built
            .err()
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn names_the_key_of_an_error() {
        let table = [
            ("fixaton_ms = 100", "unknown field `fixaton_ms`"),
            (
                "fixation_ms = true",
                "fixation_ms: invalid type: boolean `true`, expected a duration",
            ),
            (
                "stimulus_ms = { uniform = [1, \"a\"] }",
                "stimulus_ms.uniform[1]: invalid type: string",
            ),
            (
                "coherences = [0.1, false]",
                "coherences[1]: invalid type: boolean",
            ),
            (
                "fixation_ms = 110",
                "fixation_ms: 110 ms is not a multiple of dt_ms = 20",
            ),
        ];
        for (text, expected) in table {
            let found = errors(text);
            assert!(
                found.len() == 1 && found[0].contains(expected),
                "{text}: {found:?}"
            );
        }
    }

    #[test]
    fn reports_all_errors_of_meaning() {
        assert_eq!(errors("fixation_ms = 110\ninput_noise = -1").len(), 2);
    }

    #[test]
    fn a_variant_has_its_own_name_defaults_and_documentation() {
        let defaults = GoNogo {
            delay_ms: 0.0.into(),
            ..GoNogo::default()
        };
        let doc = "Respond at once.\n\nThere is no delay.";
        let entry = TaskEntry::of_variant("react", doc, defaults.clone());
        assert_eq!(entry.summary(), "Respond at once");
        let description = entry.description();
        assert!(description.starts_with("Respond at once.\n\nThere is no delay.\n\n"));
        // The summary of the family would contradict that of the variant.
        assert!(
            !description.contains("Respond after one cue"),
            "{description}"
        );
        assert!(entry.description().contains("* `delay_ms = 0.0`: "));
        assert!(entry.description().contains("* delay: 0 ms\n"));
        let given: toml::Table = toml::from_str("go_fraction = 0.25").unwrap();
        let expected = GoNogo {
            go_fraction: 0.25,
            ..defaults
        };
        let registry = Registry::new();
        assert_eq!(
            entry.resolve(given, &registry).unwrap(),
            write(&expected).unwrap()
        );
        let wrong = toml::from_str("stimulus_ms = 30\ndelay_ms = 30").unwrap();
        assert_eq!(
            entry.build(wrong, &context(&registry)).err().unwrap().len(),
            2
        );
        let wrong = toml::from_str("delay = 30").unwrap();
        let error = entry
            .build(wrong, &context(&registry))
            .err()
            .unwrap()
            .remove(0);
        assert!(error.message.contains("unknown field `delay`"), "{error}");
    }

    /// A task made from a configuration that is not the task itself and has a required key.
    #[derive(Serialize, serde::Deserialize, JsonSchema)]
    struct Recorded {
        file: String,
    }

    fn recorded() -> TaskEntry {
        TaskEntry::of_config("recorded", |config: Recorded, context| {
            if context
                .base_dir
                .join(&config.file)
                .ends_with("trials/off_grid")
            {
                return Ok(Box::new(GoNogo {
                    delay_ms: 30.0.into(),
                    ..GoNogo::default()
                }));
            }
            Err(vec![TaskError::io(
                "file",
                format!("there is no {}", config.file),
            )])
        })
    }

    #[test]
    fn a_task_made_from_a_configuration_is_checked() {
        let registry = Registry::new();
        let context = BuildContext {
            base_dir: Path::new("trials"),
            ..context(&registry)
        };
        let table = [
            ("", "missing field `file`"),
            ("file = \"gone\"", "file: there is no gone"),
            (
                "file = \"off_grid\"",
                "delay_ms: 30 ms is not a multiple of dt_ms = 20",
            ),
        ];
        for (text, expected) in table {
            let errors = recorded()
                .build(toml::from_str(text).unwrap(), &context)
                .err()
                .unwrap();
            assert!(
                errors[0].to_string().contains(expected),
                "{text}: {errors:?}"
            );
        }
        assert!(recorded().description().contains("* `file` (required)"));
    }

    #[test]
    fn resolve_fills_in_the_defaults() {
        let registry = Registry::built_in();
        let entry = registry.get("perceptual_decision").unwrap();
        let given = toml::from_str("fixation_ms = 200").unwrap();
        let resolved = entry.resolve(given, &registry).unwrap();
        let expected: toml::Table = toml::from_str(
            "coherences = [0.0, 0.064, 0.128, 0.256, 0.512]\nfixation_ms = 200.0\n\
             stimulus_ms = { uniform = [200.0, 1000.0] }\ndelay_ms = 0.0\nresponse_ms = 100.0\n\
             catch_fraction = 0.0\ninput_noise = 0.1",
        )
        .unwrap();
        assert_eq!(resolved, expected);
        assert_eq!(
            entry.resolve(resolved.clone(), &registry).unwrap(),
            resolved
        );
    }

    #[test]
    #[should_panic(expected = "exists already")]
    fn a_name_is_given_once() {
        Registry::built_in().add::<GoNogo>("go_nogo");
    }

    #[test]
    #[should_panic(expected = "is not a name of a task")]
    fn a_name_is_a_bare_key() {
        Registry::new().add::<GoNogo>("Go");
    }
}
