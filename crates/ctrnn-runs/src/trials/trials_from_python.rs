//! Task `python`: trials made by a class of the user's in Python.

use std::collections::BTreeMap;

use ctrnn_config::{InputPath, interpreter};
use ctrnn_tasks::{BuildContext, TaskEntry, TaskError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::trials_from_command::{CommandConfig, TrialsFromCommand, Wording};

/// Trials that a class in Python makes: 15 lines for a task of your own.
///
/// The file has a class that inherits from `ctrnn.Task`, of the Python package `train-ctrnn`: attributes `inputs`, `outputs` and
/// `conditions` (values of each, of which all combinations are used), and a method `trial(self, condition, rng, clock)` that returns
/// `(inputs [T,I], targets [T,O])` and, if something does not count, a mask; or `trials(self, n_trials, conditions, rng, clock)`, which
/// makes a whole batch with numpy and is faster. `python -c "import ctrnn; help(ctrnn.Task)"` has the whole description,
/// `examples/my_task.py` is a task to copy. Everything that is random comes from `rng`.
///
/// Python runs the class in a process of its own, in parallel with training, by the protocol of the task `command`, and with its rule of
/// consent: see `docs/trust.md`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PythonConfig {
    /// The file of Python. A relative path starts at the configuration file, or in an override at the current folder. Its digest is
    /// kept with the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<InputPath>,
    /// The class; may be left out if the file has only one that is a task.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub class: String,
    /// Keyword arguments of the class. Their types are checked against its annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub arguments: BTreeMap<String, serde_json::Value>,
    /// The Python that runs it. Absent: that of the package whose command line this is; otherwise the variable `CTRNN_PYTHON`, or
    /// `python3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interpreter: Option<String>,
    /// Time limit for a batch.
    pub timeout_ms: f64,
    /// Largest number of time steps of a trial; it bounds the memory that a batch may take.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_steps: u32,
    /// Trials without a correct answer, by condition: `{ coh = [0] }` names those whose condition `coh` is 0. They are left out of
    /// accuracy.
    pub no_answer: BTreeMap<String, Vec<f64>>,
}

impl Default for PythonConfig {
    fn default() -> Self {
        let CommandConfig {
            timeout_ms,
            max_steps,
            no_answer,
            ..
        } = CommandConfig::default();
        Self {
            file: None,
            class: String::new(),
            arguments: BTreeMap::new(),
            interpreter: None,
            timeout_ms,
            max_steps,
            no_answer,
        }
    }
}

const WORDING: Wording = Wording {
    task: "python",
    key: "file",
    correct_it: "correct the class; `train-ctrnn tasks describe python` says what it gives",
    install_it: "give the Python that has the package: task.python.interpreter = \"/path/to/bin/python\"",
};

pub(super) fn python_entry() -> TaskEntry {
    TaskEntry::of_config::<PythonConfig>("python", |config, context| {
        let task = python_task(config, context).map_err(|error| vec![error])?;
        Ok(Box::new(task))
    })
}

fn python_task(
    config: PythonConfig,
    context: &BuildContext,
) -> Result<TrialsFromCommand, TaskError> {
    if config.file.is_none() {
        let help = "name the file that has the class: task.python.file = \"my_task.py\"";
        return Err(TaskError::config("file", "no file is named").with_help(help));
    }
    let interpreter = interpreter(config.interpreter.as_deref());
    let arguments = serde_json::to_string(&config.arguments).expect("JSON values");
    let command = CommandConfig {
        command: [&interpreter, "-m", "ctrnn.serve"]
            .map(str::to_owned)
            .into(),
        script: config.file,
        arguments: vec![config.class, arguments],
        timeout_ms: config.timeout_ms,
        max_steps: config.max_steps,
        no_answer: config.no_answer,
    };
    TrialsFromCommand::with_wording(command, context, WORDING)
}
