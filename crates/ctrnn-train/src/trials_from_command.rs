//! The task `command`: trials that a program of the user's makes, in any language.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ctrnn_files::npz::NpzReader;
use ctrnn_random::{Key, Rng};
use ctrnn_tasks::{
    BatchRequest, BuildContext, Clock, Condition, ConditionOrder, Layout, TargetKind, Task,
    TaskEntry, TaskError, Trial, TrialBatch, implied_choices,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::choices::{has_answer, set_answers};
use crate::config::InputPath;
use crate::generator::{Answer, Generator};
use crate::trials_from_file::{Reader, TrialFile};

/// Trials that a program makes: a generator in Python, or anything that reads and writes lines.
///
/// The program is started once, in the current folder, as `command`, then `script`, then `arguments`, and ended with us. It is asked by lines of
/// JSON on its standard input and answers on its standard output, where nothing else may be written. The first line is
/// `{"hello": true, "dt_ms": 20.0}`; its answer names the channels: `{"inputs": ["fixation", "u"], "outputs": ["left",
/// "right"]}`, with `"target": "classes"` if it will give labels, and `"choices": ["left", "right"]` for the outputs that are
/// choices (a single one chooses by its sign, `[]` is none; absent: what the key `choices` of the task `npz` says, batch by
/// batch). Each further line asks for a batch: `{"seed": 123, "step": 7, "n_trials": 64, "dt_ms": 20.0, "balanced": false}`. Its
/// answer is `{"bytes": N}`, a line feed, and N bytes: an npz file as the task `npz` reads it. The same seed and step must
/// give the same batch; `seed` differs between training and validation; `balanced` asks for every condition in turn.
/// `{"error": "why"}` ends the run with that message. `examples/trials_from_python.py` is a generator to copy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CommandConfig {
    /// The program and its first arguments, such as `["python3"]`.
    pub command: Vec<String>,
    /// A file that follows them. A relative path starts at the configuration file, or in an override at the current
    /// folder. Its digest is kept with the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script: Option<InputPath>,
    /// Further arguments.
    pub arguments: Vec<String>,
    /// How long an answer may take.
    pub timeout_ms: f64,
    /// Trials without a correct answer, by condition: `{ coh = [0] }` names those whose `cond_coh` is 0. They are left
    /// out of accuracy.
    pub no_answer: BTreeMap<String, Vec<f64>>,
}

impl Default for CommandConfig {
    fn default() -> Self {
        Self {
            command: Vec::new(),
            script: None,
            arguments: Vec::new(),
            timeout_ms: 60_000.0,
            no_answer: BTreeMap::new(),
        }
    }
}

pub(crate) fn command_entry() -> TaskEntry {
    TaskEntry::of_config::<CommandConfig>("command", |config, context| {
        let task = TrialsFromCommand::start(config, context).map_err(|error| vec![error])?;
        Ok(Box::new(task))
    })
}

/// A program that makes trials.
#[derive(Debug)]
pub struct TrialsFromCommand {
    config: CommandConfig,
    script: Option<PathBuf>,
    clock: Clock,
    layout: Layout,
    /// Whether the program says which outputs are choices; else the targets of each batch say so.
    names_choices: bool,
    /// None after a failure, and until the next batch is asked for.
    generator: Mutex<Option<Generator>>,
}

/// What the program says of itself.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hello {
    inputs: Vec<String>,
    outputs: Vec<String>,
    #[serde(default)]
    target: HelloTarget,
    choices: Option<Vec<String>>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum HelloTarget {
    #[default]
    Values,
    Classes,
}

impl Task for TrialsFromCommand {
    fn layout(&self) -> Layout {
        self.layout.clone()
    }

    /// One for all: the program alone knows more.
    fn conditions(&self) -> Vec<Condition> {
        vec![Condition::new([])]
    }

    /// # Panics
    /// If the program fails; [`sample_batch`](Task::sample_batch) says so in an error.
    fn sample_trial(&self, _: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let request = BatchRequest {
            clock,
            first_trial: 0,
            n_trials: 1,
            key: Key([rng.next_u32(), rng.next_u32()]),
            step: 0,
            conditions: ConditionOrder::Weighted,
        };
        match self.sample_batch(&request) {
            Ok(batch) => batch.trial(0),
            Err(error) => panic!("{error}"),
        }
    }

    fn input_files(&self) -> Vec<PathBuf> {
        self.script.iter().cloned().collect()
    }

    fn sample_batch(&self, request: &BatchRequest) -> Result<TrialBatch, TaskError> {
        let Key([low, high]) = request.key;
        // 53 bits are exact in every language's numbers.
        let seed = (u64::from(high) << 32 | u64::from(low)) >> 11;
        let question = json!({
            "seed": seed,
            // A program knows no first trial: a part of a batch is a batch of another step.
            "step": request.step + request.first_trial as u64,
            "n_trials": request.n_trials,
            "dt_ms": request.clock.dt_ms(),
            "balanced": request.conditions == ConditionOrder::Balanced,
        });
        let answer = self.ask(&question)?;
        self.batch(&answer, request.n_trials)
    }
}

impl TrialsFromCommand {
    /// Starts the program and asks for its channels.
    ///
    /// # Errors
    /// If the configuration names no program or none that can be started, or if its answer is no answer.
    pub fn start(config: CommandConfig, context: &BuildContext) -> Result<Self, TaskError> {
        if config.command.is_empty() {
            let help = "give for instance task.command.command = [\"python3\"] and task.command.script = \"trials.py\"";
            return Err(TaskError::config("command", "no program is named").with_help(help));
        }
        if !(config.timeout_ms > 0.0 && config.timeout_ms <= 1e9) {
            let rule = format!(
                "{} must be a number above 0, and at most 1e9",
                config.timeout_ms
            );
            return Err(TaskError::config("timeout_ms", rule));
        }
        let script = config
            .script
            .as_ref()
            .map(|InputPath(path)| context.base_dir.join(path));
        let mut task = Self {
            config,
            script,
            clock: context.clock,
            layout: Layout::new([], []),
            names_choices: false,
            generator: Mutex::new(None),
        };
        let (generator, layout, names_choices) = task.greet()?;
        task.layout = layout;
        task.names_choices = names_choices;
        task.generator = Mutex::new(Some(generator));
        Ok(task)
    }

    fn error(&self, message: impl std::fmt::Display) -> TaskError {
        TaskError::data("command", format!("{} {message}", self.words().join(" ")))
    }

    /// The program and all its arguments.
    fn words(&self) -> Vec<String> {
        let script = self
            .script
            .iter()
            .map(|path| path.to_string_lossy().into_owned());
        let command = self.config.command.iter().cloned();
        command
            .chain(script)
            .chain(self.config.arguments.iter().cloned())
            .collect()
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs_f64(self.config.timeout_ms / 1000.0)
    }

    /// A running program, its channels, and whether it named its choices.
    fn greet(&self) -> Result<(Generator, Layout, bool), TaskError> {
        let help = "give a program that is installed, by its name or its path";
        let mut generator = Generator::start(&self.words(), Path::new("."))
            .map_err(|message| TaskError::config("command", message).with_help(help))?;
        let hello = json!({ "hello": true, "dt_ms": self.clock.dt_ms() });
        let answer = generator
            .ask(&hello, self.timeout())
            .map_err(|message| self.error(message))?;
        let hello: Hello = serde_json::from_value(answer.header.clone()).map_err(|error| {
            self.error(format!("answered hello with {}: {error}", answer.header))
        })?;
        let names_choices = hello.choices.is_some();
        let layout = hello.layout().map_err(|message| self.error(message))?;
        Ok((generator, layout, names_choices))
    }

    /// Asks the program, which is started anew if it failed before.
    fn ask(&self, question: &Value) -> Result<Answer, TaskError> {
        let mut running = self
            .generator
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut generator = match running.take() {
            Some(generator) => generator,
            None => self.greet()?.0,
        };
        let answer = generator.ask(question, self.timeout());
        let answer = answer.map_err(|message| self.error(message))?;
        *running = Some(generator);
        Ok(answer)
    }

    fn batch(&self, answer: &Answer, n_trials: usize) -> Result<TrialBatch, TaskError> {
        let path = PathBuf::from(self.words().join(" "));
        let reader = Reader {
            key: "command",
            arrays: arrays(&answer.bytes, &path)
                .map_err(|error| TaskError::data("command", error))?,
            path: &path,
        };
        let file = TrialFile::from_arrays(&reader, self.clock)?;
        self.check(&file, n_trials)?;
        let n_outputs = self.layout.outputs.len();
        let mut trials: Vec<Trial> = (0..n_trials).map(|b| file.trial(b, n_outputs)).collect();
        let no_answer = &self.config.no_answer;
        let choices = if self.names_choices {
            self.layout.choices.clone()
        } else {
            implied_choices(trials.iter().filter(|trial| has_answer(trial, no_answer)))
        };
        set_answers(&mut trials, &choices, no_answer);
        Ok(TrialBatch::new(&trials))
    }

    /// Whether a batch is what was asked for.
    fn check(&self, file: &TrialFile, n_trials: usize) -> Result<(), TaskError> {
        let is_classes = self.layout.target == TargetKind::Classes;
        let kind = |is_classes| if is_classes { "labels" } else { "targets" };
        let n_outputs = self.layout.outputs.len();
        let difference = if file.n_trials != n_trials {
            format!("made {} trials instead of {n_trials}", file.n_trials)
        } else if file.n_inputs != self.layout.inputs.len() {
            let (found, named) = (file.n_inputs, self.layout.inputs.len());
            format!("gave {found} inputs, but named {named}")
        } else if file.target_kind() != self.layout.target {
            let (found, named) = (kind(!is_classes), kind(is_classes));
            format!("gave {found}, but announced {named}")
        } else if file.n_outputs > n_outputs || (!is_classes && file.n_outputs < n_outputs) {
            format!("gave {} outputs, but named {n_outputs}", file.n_outputs)
        } else {
            return Ok(());
        };
        Err(self.error(difference))
    }
}

impl Hello {
    fn layout(self) -> Result<Layout, String> {
        let place = |name: &String| {
            let place = self.outputs.iter().position(|output| output == name);
            place.ok_or_else(|| format!("names {name:?} as a choice, which is no output"))
        };
        let choices = match &self.choices {
            Some(names) => names.iter().map(place).collect::<Result<_, _>>()?,
            None if self.outputs.len() == 1 && matches!(self.target, HelloTarget::Classes) => {
                Vec::new()
            }
            None => (0..self.outputs.len()).collect(),
        };
        if self.outputs.is_empty() {
            return Err("names no output".to_owned());
        }
        Ok(Layout {
            inputs: self.inputs,
            outputs: self.outputs,
            target: match self.target {
                HelloTarget::Values => TargetKind::Values,
                HelloTarget::Classes => TargetKind::Classes,
            },
            choices,
        })
    }
}

fn arrays(bytes: &[u8], path: &Path) -> Result<BTreeMap<String, ctrnn_files::Array>, String> {
    let mut reader = NpzReader::from_bytes(bytes, path).map_err(|error| error.to_string())?;
    let names: Vec<String> = reader.names().map(str::to_owned).collect();
    let read = |name: String| match reader.read(&name) {
        Ok(array) => Ok((name, array)),
        Err(error) => Err(error.to_string()),
    };
    names.into_iter().map(read).collect()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use ctrnn_files::{Array, npz};
    use ctrnn_random::Stream;
    use ctrnn_tasks::{Registry, Target};

    /// A folder with two trials of one input, two outputs and three time steps, and a shell script that is the program.
    fn start(
        script: &str,
        timeout_ms: f64,
    ) -> (tempfile::TempDir, Result<TrialsFromCommand, TaskError>) {
        let folder = tempfile::tempdir().unwrap();
        let batch = folder.path().join("batch.npz");
        let arrays = BTreeMap::from([
            (
                "inputs".to_owned(),
                Array::f32(&[2, 3, 1], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
            ),
            (
                "targets".to_owned(),
                Array::f32(&[2, 3, 2], [[0.0, 1.0]; 6].as_flattened().to_vec()),
            ),
            ("cond_coh".to_owned(), Array::f64(&[2], vec![0.0, 0.5])),
        ]);
        npz::write(&batch, &arrays).unwrap();
        std::fs::write(
            folder.path().join("program.sh"),
            script.replace("BATCH", &batch.to_string_lossy()),
        )
        .unwrap();
        let config = CommandConfig {
            command: vec!["sh".to_owned()],
            script: Some(InputPath("program.sh".into())),
            timeout_ms,
            no_answer: BTreeMap::from([("coh".to_owned(), vec![0.0])]),
            ..CommandConfig::default()
        };
        let context = BuildContext {
            clock: Clock::new(20.0).unwrap(),
            seed: 1,
            base_dir: folder.path(),
            registry: &Registry::new(),
        };
        let task = TrialsFromCommand::start(config, &context);
        (folder, task)
    }

    fn request(n_trials: usize) -> BatchRequest {
        BatchRequest {
            clock: Clock::new(20.0).unwrap(),
            first_trial: 0,
            n_trials,
            key: Key::new(1, Stream::Trials, 0),
            step: 7,
            conditions: ConditionOrder::Balanced,
        }
    }

    const HELLO: &str =
        "read question\necho '{\"inputs\": [\"u\"], \"outputs\": [\"a\", \"b\"]}'\n";
    const ANSWERS: &str = "while read question; do\necho \"$question\" >> \"$0.log\"\n\
         echo \"{\\\"bytes\\\": $(wc -c < BATCH)}\"\ncat BATCH\ndone\n";

    #[test]
    fn a_program_is_asked_for_every_batch() {
        let (folder, task) = start(&format!("{HELLO}{ANSWERS}"), 60_000.0);
        let task = task.unwrap();
        let layout = task.layout();
        assert_eq!(
            (layout.inputs, layout.choices),
            (vec!["u".to_owned()], vec![0, 1])
        );
        let first = task.sample_batch(&request(2)).unwrap();
        assert_eq!(first.inputs, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert!(matches!(first.target, Target::Values(_)));
        assert_eq!(first.correct, [None, Some(1)]);
        assert_eq!(task.sample_batch(&request(2)).unwrap(), first);
        let log = std::fs::read_to_string(folder.path().join("program.sh.log")).unwrap();
        let questions: Vec<Value> = log
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(questions.len(), 2); // of one process
        assert_eq!(questions[0], questions[1]);
        assert_eq!(questions[0]["step"], 7);
        assert_eq!(questions[0]["balanced"], true);
        assert!(questions[0]["seed"].as_u64().unwrap() < 1 << 53);
        assert_eq!(task.input_files(), [folder.path().join("program.sh")]);
    }

    #[test]
    fn the_process_ends_with_the_task() {
        let (_folder, task) = start(&format!("{HELLO}{ANSWERS}"), 60_000.0);
        let task = task.unwrap();
        let id = task
            .generator
            .lock()
            .unwrap()
            .as_ref()
            .unwrap()
            .id()
            .to_string();
        let is_alive = || {
            let mut probe = std::process::Command::new("kill");
            let probe = probe.args(["-0", &id]).stderr(std::process::Stdio::null());
            probe.status().unwrap().success()
        };
        assert!(is_alive());
        drop(task);
        assert!(!is_alive());
    }

    #[test]
    fn says_how_a_program_failed_to_greet() {
        let table = [
            (
                "read q; echo hello",
                "wrote \"hello\" to its standard output",
            ),
            (
                "read q; echo boom >&2; exit 3",
                "ended without an answer (exit status: 3); its last words: boom",
            ),
            ("exit 0", "ended without an answer (exit status: 0)"),
            (
                "read q; echo '{\"error\": \"no such cortex\"}'",
                "says: no such cortex",
            ),
            (
                "read q; echo '{\"inputs\": [\"u\"]}'",
                "missing field `outputs`",
            ),
            (
                "read q; echo '{\"inputs\": [], \"outputs\": []}'",
                "names no output",
            ),
            (
                "read q; echo '{\"inputs\": [], \"outputs\": [\"a\"], \"choices\": [\"b\"]}'",
                "names \"b\" as a choice, which is no output",
            ),
        ];
        for (script, expected) in table {
            let error = start(script, 60_000.0).1.unwrap_err();
            assert!(error.to_string().contains(expected), "{script}: {error}");
            assert_eq!(error.key, "command");
        }
        let error = start("exec sleep 60", 50.0).1.unwrap_err().to_string();
        assert!(error.contains("gave no answer within 50 ms"), "{error}");
    }

    #[test]
    fn says_how_a_batch_is_wrong() {
        let table = [
            (
                "read q; echo '{\"bytes\": 4}'; echo abc",
                "is not a whole npz (zip) archive",
            ),
            (
                "read q; echo '{\"bytes\": 400}'; echo abc",
                "ended after 4 of 400 bytes",
            ),
            ("read q; exit 1", "ended without an answer (exit status: 1)"),
        ];
        for (script, expected) in table {
            let (_folder, task) = start(&format!("{HELLO}{script}"), 60_000.0);
            let task = task.unwrap();
            let error = task.sample_batch(&request(2)).unwrap_err();
            assert!(error.to_string().contains(expected), "{script}: {error}");
        }
        let (_folder, task) = start(&format!("{HELLO}{ANSWERS}"), 60_000.0);
        let task = task.unwrap();
        let error = task.sample_batch(&request(3)).unwrap_err().to_string();
        assert!(error.ends_with("made 2 trials instead of 3"), "{error}");
        let hello = HELLO.replace("[\"u\"]", "[\"u\", \"v\"]");
        let (_folder, task) = start(&format!("{hello}{ANSWERS}"), 60_000.0);
        let task = task.unwrap();
        let error = task.sample_batch(&request(2)).unwrap_err().to_string();
        assert!(error.ends_with("gave 1 inputs, but named 2"), "{error}");
    }

    #[test]
    fn a_program_must_be_named_and_there() {
        let registry = Registry::new();
        let context = BuildContext {
            clock: Clock::new(20.0).unwrap(),
            seed: 1,
            base_dir: Path::new("."),
            registry: &registry,
        };
        let start = |command: &[&str], timeout_ms: f64| {
            let config = CommandConfig {
                command: command.iter().map(|&word| word.to_owned()).collect(),
                timeout_ms,
                ..CommandConfig::default()
            };
            TrialsFromCommand::start(config, &context)
                .unwrap_err()
                .to_string()
        };
        assert!(start(&[], 1.0).starts_with("command: no program is named; give for instance"));
        assert!(start(&["no-such-program"], 1.0).contains("no-such-program cannot be started"));
        assert!(start(&["sh"], 0.0).starts_with("timeout_ms: 0 must be a number above 0"));
    }
}
