//! Task `command`: trials made by an external program in any language.

use std::collections::BTreeMap;
use std::io::{BufRead, Seek};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ctrnn_config::{InputPath, counted};
use ctrnn_files::npz::NpzReader;
use ctrnn_files::printable;
use ctrnn_random::{Key, Rng, Stream};
use ctrnn_tasks::{
    BatchRequest, BuildContext, Clock, Condition, ConditionOrder, Interrupt, Layout, Programs,
    Target, TargetKind, Task, TaskEntry, TaskError, Trial, TrialBatch, implied_choices,
    rule_of_choices, value_bits,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::trials::choices::{has_answer, set_answers};
use crate::trials::generator::{Answer, Generator, append_little_endian};
use crate::trials::trial_file::{ArrayReader, TrialFile};

/// Trials that a program makes: a generator in Python, or anything that reads and writes lines.
///
/// The program is started once, in the current folder, as `command`, then `script`, then `arguments`, and ends with this process. It is asked by lines of
/// JSON on its standard input and answers on its standard output, where nothing else may be written. Each question has one
/// answer, which repeats its `id`. The first line is
/// `{"id": 1, "hello": true, "dt_ms": 20.0}`; its answer names the channels: `{"id": 1, "inputs": ["fixation", "u"], "outputs": ["left",
/// "right"]}`, with `"target": "classes"` if it will send labels, and `"choices": ["left", "right"]` for the outputs that
/// are choices (a single one chooses by its sign, `[]` is none; absent: what the key `choices` of the task `npz` says, by 64 trials
/// that are asked for beforehand); `"is_correct": true` if it decides which answers are correct; `"recorded": K` if trials have `unit_targets` of K units. Each further line asks for a batch: `{"id": 2, "seed": 123, "step": 7, "n_trials": 64, "dt_ms": 20.0, "balanced": false}`. Its
/// answer is `{"id": 2, "bytes": N}`, a line feed, and N bytes: an npz file as the task `npz` reads it. The same seed and step must
/// give the same batch, so the first one is asked for twice and compared; `seed` differs between training and validation;
/// `balanced` asks for every condition in turn. `{"error": "why"}` ends the run with that message.
///
/// A program that decides is asked of each trial `{"id": 3, "is_correct": true, "dt_ms": 20.0, "condition": {"coh": 0.1}, "arrays":
/// [["inputs", [T, I]], ["targets", [T, O]], ["outputs", [T, O]]], "bytes": N}` (or `["labels", [T]]`), followed by N bytes: the
/// arrays, one after the other, as little-endian float32. It answers `{"id": 3, "correct": true}`, false, or null if the trial has no correct answer.
///
/// `examples/trials_from_python.py` is a generator to copy.
///
/// `train CONFIG` starts the program. Every other command that makes trials starts only a program that you have trained with
/// before, or that `--trust` agrees to; see `docs/trust.md`.
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
    /// Time limit for an answer.
    pub timeout_ms: f64,
    /// Largest number of time steps of a trial; it bounds the memory that an answer may take.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_steps: u32,
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
            max_steps: 10_000,
            no_answer: BTreeMap::new(),
        }
    }
}

pub(crate) fn command_entry() -> TaskEntry {
    TaskEntry::of_config::<CommandConfig>("command", |config, context| {
        let task = TrialsFromCommand::new(config, context).map_err(|error| vec![error])?;
        Ok(Box::new(task))
    })
}

/// Words of the errors of a task whose trials a program makes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wording {
    /// Name of the task.
    pub task: &'static str,
    /// Key of its table that names the program.
    pub key: &'static str,
    /// Remedy for an invalid answer.
    pub correct_it: &'static str,
    /// Remedy for a program that cannot be started.
    pub install_it: &'static str,
}

const WORDING: Wording = Wording {
    task: "command",
    key: "command",
    correct_it: "correct the program; `train-ctrnn tasks describe command` says what it is asked and how it answers",
    install_it: "give a program that is installed, by its name or its path",
};

/// Task whose trials are made by an external program.
#[derive(Debug)]
pub struct TrialsFromCommand {
    config: CommandConfig,
    wording: Wording,
    script: Option<PathBuf>,
    clock: Clock,
    layout: Layout,
    /// True if the program decides which answers are correct.
    decides: bool,
    /// Failure of the program in deciding.
    failure: Mutex<Option<TaskError>>,
    /// True if the user has agreed to start the program.
    is_agreed: bool,
    /// True once the program has made one batch twice, as a check of repeatability.
    is_repeated: AtomicBool,
    /// Outputs that are choices, named by the program or inferred once from targets; `None` until then.
    choices: Mutex<Option<Vec<usize>>>,
    /// Request to end the wait for an answer.
    interrupt: Interrupt,
    /// Running program; `None` after a failure until the next batch is requested.
    generator: Mutex<Option<Generator>>,
}

/// A program that has answered the first question.
struct Greeted {
    generator: Generator,
    layout: Layout,
    /// True if it named its choices.
    names_choices: bool,
    /// True if it decides which answers are correct.
    decides: bool,
}

/// Answer of the program to the first question: its channels.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hello {
    inputs: Vec<String>,
    outputs: Vec<String>,
    #[serde(default)]
    target: HelloTarget,
    choices: Option<Vec<String>>,
    #[serde(default)]
    is_correct: bool,
    /// Number of units in `unit_targets`.
    #[serde(default)]
    recorded: usize,
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

    /// Returns a single condition, because only the program knows its conditions.
    fn conditions(&self) -> Vec<Condition> {
        vec![Condition::new([])]
    }

    /// # Panics
    /// If the program fails; [`sample_batch`](Task::sample_batch) returns an error instead.
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

    /// Returns the script and other arguments that are files; if there are none, the program itself, which is then not
    /// an interpreter.
    fn input_files(&self) -> Vec<PathBuf> {
        if !self.is_agreed {
            return Vec::new(); // it makes no trials
        }
        let words = self.words();
        let file = |word: &String| {
            let path = Path::new(word);
            let path = path.is_file().then(|| std::path::absolute(path).ok())?;
            path.map(|path| path.canonicalize().unwrap_or(path))
        };
        let further: Vec<PathBuf> = words.iter().skip(1).filter_map(file).collect();
        if further.is_empty() {
            return words
                .iter()
                .take(1)
                .filter(|word| word.contains('/'))
                .filter_map(file)
                .collect();
        }
        further
    }

    fn unstarted_program(&self) -> Option<String> {
        (!self.is_agreed).then(|| as_typed(&self.words()))
    }

    fn interrupt(&self) -> Option<&Interrupt> {
        Some(&self.interrupt)
    }

    fn is_correct(&self, trial: &Trial, outputs: &[f32]) -> Option<bool> {
        if !self.decides {
            return Some(self.choice(trial, outputs) == Some(trial.correct?));
        }
        if !has_answer(trial, &self.config.no_answer) {
            return None;
        }
        self.decided(trial, outputs).unwrap_or_else(|error| {
            let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            failure.get_or_insert(error);
            None
        })
    }

    fn correct_rule(&self) -> String {
        if self.decides {
            return "The program decides which answers are correct.".to_owned();
        }
        rule_of_choices(&self.layout)
    }

    fn chance(&self) -> Option<f64> {
        let n_choices = self.layout.alternatives().len();
        (n_choices > 0 && !self.decides).then(|| 1.0 / n_choices as f64)
    }

    fn failure(&self) -> Option<TaskError> {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.take()
    }

    fn sample_batch(&self, request: &BatchRequest) -> Result<TrialBatch, TaskError> {
        let batch = self.asked(request)?;
        if !self.is_repeated.swap(true, Ordering::Relaxed)
            && !is_same(&self.asked(request)?, &batch)
        {
            let help = "draw everything from the question's seed and step: rng = np.random.default_rng([question[\"seed\"], question[\"step\"]])";
            let what = "made two different batches for the same seed and step, so a run could be neither repeated nor resumed";
            return Err(self.error(what).with_help(help));
        }
        Ok(batch)
    }
}

impl TrialsFromCommand {
    /// Requests a batch from the program.
    fn asked(&self, request: &BatchRequest) -> Result<TrialBatch, TaskError> {
        let choices = self.choices(request.clock)?;
        let file = self.file(request)?;
        self.check_count(&file, request.n_trials)?;
        let mut trials = self.trials(&file);
        set_answers(&mut trials, &choices, &self.config.no_answer);
        Ok(TrialBatch::new(&trials))
    }

    /// Asks the program whether an answer is correct.
    fn decided(&self, trial: &Trial, outputs: &[f32]) -> Result<Option<bool>, TaskError> {
        let (t, o) = (trial.n_steps, trial.n_outputs);
        let (name, target, shape) = match &trial.target {
            Target::Values(values) => ("targets", values.clone(), vec![t, o]),
            Target::Classes(labels) => {
                let labels = labels.iter().map(|&label| label as f32);
                ("labels", labels.collect(), vec![t])
            }
        };
        let condition: BTreeMap<&str, f64> = trial
            .condition
            .iter()
            .map(|(name, value)| (name.as_str(), *value))
            .collect();
        let question = json!({
            "is_correct": true,
            "dt_ms": self.clock.dt_ms(),
            "condition": condition,
            "arrays": [("inputs", vec![t, trial.n_inputs]), (name, shape), ("outputs", vec![t, o])],
        });
        let mut content = Vec::new();
        for values in [trial.inputs.as_slice(), &target, outputs] {
            append_little_endian(&mut content, values);
        }
        let answer = self.ask(question, &content, 0)?;
        match &answer.header["correct"] {
            Value::Bool(correct) => Ok(Some(*correct)),
            Value::Null => Ok(None),
            other => Err(self.error(format!(
                "answered whether a trial is correct with {}; expected true, false or null",
                printable(&other.to_string())
            ))),
        }
    }

    /// Returns the outputs that are choices. If the program does not name them, they are inferred from the same trials
    /// in every command, and from many: few trials could resemble choices by chance.
    fn choices(&self, clock: Clock) -> Result<Vec<usize>, TaskError> {
        const LOOKED_AT: usize = 64;
        let mut known = self.choices.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(choices) = known.as_ref() {
            return Ok(choices.clone());
        }
        let trials = self.trials(&self.file(&BatchRequest {
            clock,
            first_trial: 0,
            n_trials: LOOKED_AT,
            key: Key::new(0, Stream::Validation, 0),
            step: 0,
            conditions: ConditionOrder::Balanced,
        })?);
        let answered = |trial: &&Trial| has_answer(trial, &self.config.no_answer);
        let choices = implied_choices(trials.iter().filter(answered));
        Ok(known.insert(choices).clone())
    }

    /// Returns the trials of an answer, without their choices.
    fn trials(&self, file: &TrialFile) -> Vec<Trial> {
        (0..file.n_trials)
            .map(|b| file.trial(b, &self.layout))
            .collect()
    }

    /// Returns the answer of the program to a request.
    fn file(&self, request: &BatchRequest) -> Result<TrialFile, TaskError> {
        let Key([low, high]) = request.key;
        // 53 bits are exact in a double, the only number type of some languages.
        let seed = (u64::from(high) << 32 | u64::from(low)) >> 11;
        let question = json!({
            "seed": seed,
            // A program cannot start in the middle of a batch: a part of a batch is a batch of another step.
            "step": request.step + request.first_trial as u64,
            "n_trials": request.n_trials,
            "dt_ms": request.clock.dt_ms(),
            "balanced": request.conditions != ConditionOrder::Weighted,
        });
        let longest = self.longest_answer(request.n_trials);
        let answer = self.ask(question, &[], longest)?;
        self.read(&answer, longest)
    }

    /// Returns the largest size of a batch in bytes, in uncompressed double precision.
    fn longest_answer(&self, n_trials: usize) -> u64 {
        /// Allowance in numbers per trial, for conditions and the like, and in bytes for names and headers.
        const BESIDES: [u64; 2] = [1000, 1 << 20];
        let (inputs, outputs) = (self.layout.inputs.len(), self.layout.outputs.len());
        // Targets or labels, and a mask for each output; rates of units, and a mask for each.
        let channels = (inputs + 2 * outputs + 1 + 2 * self.layout.recorded) as u64;
        let of_trial = channels * u64::from(self.config.max_steps) + BESIDES[0];
        (n_trials as u64).saturating_mul(8 * of_trial) + BESIDES[1]
    }

    /// Creates the task from its configuration: starts the program and asks for its channels, if that is allowed.
    ///
    /// # Errors
    /// If the configuration names no program that can be started, the user has not agreed to it, or its answer is
    /// invalid.
    pub fn new(config: CommandConfig, context: &BuildContext) -> Result<Self, TaskError> {
        if config.command.is_empty() {
            let help = "give for instance task.command.command = [\"python3\"] and task.command.script = \"trials.py\"";
            return Err(TaskError::config("command", "no program is named").with_help(help));
        }
        Self::with_wording(config, context, WORDING)
    }

    /// Creates the task as [`new`](Self::new) does, with other words in its errors.
    pub(super) fn with_wording(
        config: CommandConfig,
        context: &BuildContext,
        wording: Wording,
    ) -> Result<Self, TaskError> {
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
            wording,
            script,
            clock: context.clock,
            layout: Layout::new([], []),
            choices: Mutex::new(None),
            decides: false,
            failure: Mutex::new(None),
            interrupt: Interrupt::default(),
            is_agreed: false,
            is_repeated: AtomicBool::new(false),
            generator: Mutex::new(None),
        };
        match context.programs {
            Programs::Never { layout: None } => return Err(task.unstarted("inputs and outputs")),
            Programs::Never {
                layout: Some(layout),
            } => task.layout = layout.clone(),
            Programs::Agreed(agree) => {
                agree(&task.words())?;
                let Greeted {
                    generator,
                    layout,
                    names_choices,
                    decides,
                } = task.greet()?;
                (task.is_agreed, task.decides) = (true, decides);
                if names_choices || layout.target == TargetKind::Classes {
                    task.choices = Mutex::new(Some(layout.choices.clone()));
                }
                task.layout = layout;
                task.generator = Mutex::new(Some(generator));
            }
        }
        Ok(task)
    }

    /// Creates the error of a program that is not started although it is needed for `what`.
    fn unstarted(&self, what: &str) -> TaskError {
        let words = as_typed(&self.words());
        let message = format!(
            "only this program knows the {what} of the task, and it is not started here:\n    {words}"
        );
        TaskError::program(self.wording.key, message)
            .with_help("a command that makes trials starts it, if you trust it: `train-ctrnn eval RUN --trust`")
    }

    fn error(&self, message: impl std::fmt::Display) -> TaskError {
        let message = format!("{} {message}", as_typed(&self.words()));
        TaskError::data(self.wording.key, message).with_help(self.wording.correct_it)
    }

    /// Returns the program and all its arguments.
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

    /// Starts the program and asks for its channels.
    fn greet(&self) -> Result<Greeted, TaskError> {
        let mut generator = Generator::start(&self.words(), Path::new(".")).map_err(|message| {
            TaskError::config(self.wording.key, message).with_help(self.wording.install_it)
        })?;
        let hello = json!({ "hello": true, "dt_ms": self.clock.dt_ms() });
        let answer = generator
            .ask(hello, &[], 0, self.timeout(), &self.interrupt)
            .map_err(|message| self.error(message))?;
        let hello: Hello = serde_json::from_value(answer.header.clone()).map_err(|error| {
            let header = printable(&answer.header.to_string());
            self.error(format!(
                "answered hello with {header}: {}",
                printable(&error.to_string())
            ))
        })?;
        Ok(Greeted {
            generator,
            names_choices: hello.choices.is_some(),
            decides: hello.is_correct,
            layout: hello.layout().map_err(|message| self.error(message))?,
        })
    }

    /// Asks the program for an answer of at most `longest` bytes, and restarts it first if it failed before.
    fn ask(&self, question: Value, content: &[u8], longest: u64) -> Result<Answer, TaskError> {
        if !self.is_agreed {
            return Err(self.unstarted("trials"));
        }
        let mut running = self
            .generator
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut generator = match running.take() {
            Some(generator) => generator,
            None => self.greet()?.generator,
        };
        let answer = generator.ask(question, content, longest, self.timeout(), &self.interrupt);
        let answer = answer.map_err(|message| self.error(message))?;
        *running = Some(generator);
        Ok(answer)
    }

    fn read(&self, answer: &Answer, longest: u64) -> Result<TrialFile, TaskError> {
        if answer.bytes.is_empty() {
            let what = "answered without trials; expected \"bytes\": N in the answer, and an npz file of N bytes after its line";
            return Err(self.error(what));
        }
        let path = PathBuf::from(as_typed(&self.words()));
        let explained = |error: TaskError| TaskError {
            help: error
                .help
                .or_else(|| Some(self.wording.correct_it.to_owned())),
            ..error
        };
        let mut npz = NpzReader::from_bytes(&answer.bytes, &path);
        if let Ok(npz) = &mut npz {
            self.check_size(npz, &path, longest)?;
        }
        let reader = ArrayReader::new(self.wording.key, &path, npz).map_err(explained)?;
        let file = TrialFile::from_arrays(reader, self.clock).map_err(explained)?;
        self.check_channels(&file)?;
        Ok(file)
    }

    /// Checks, before memory is allocated, that an answer is not larger than its batch can be and its trials are not
    /// longer than promised.
    fn check_size<R: BufRead + Seek>(
        &self,
        npz: &mut NpzReader<R>,
        path: &Path,
        longest: u64,
    ) -> Result<(), TaskError> {
        let max_steps = self.config.max_steps;
        if let Ok(header) = npz.header("inputs")
            && let [_, steps, _] = header.shape[..]
            && steps > max_steps as usize
        {
            let what = format!(
                "made trials of {}, but max_steps = {max_steps}",
                counted(steps, "time step")
            );
            let help = format!("allow them: task.{}.max_steps = {steps}", self.wording.task);
            return Err(self.error(what).with_help(help));
        }
        let bytes = unpacked_bytes(npz);
        if bytes > longest {
            let what = format!(
                "{}: an answer of {bytes} bytes when unpacked, but the batch has at most {longest}",
                path.display()
            );
            return Err(TaskError::data(self.wording.key, printable(&what))
                .with_help(self.wording.correct_it));
        }
        Ok(())
    }

    fn check_count(&self, file: &TrialFile, n_trials: usize) -> Result<(), TaskError> {
        if file.n_trials == n_trials {
            return Ok(());
        }
        let what = format!(
            "made {} instead of {n_trials}",
            counted(file.n_trials, "trial")
        );
        Err(self.error(what))
    }

    /// Checks that a batch has the channels that the program named.
    fn check_channels(&self, file: &TrialFile) -> Result<(), TaskError> {
        let is_classes = self.layout.target == TargetKind::Classes;
        let kind = |is_classes| if is_classes { "labels" } else { "targets" };
        let n_outputs = self.layout.outputs.len();
        let difference = if file.n_inputs != self.layout.inputs.len() {
            let (found, named) = (file.n_inputs, self.layout.inputs.len());
            format!("gave {}, but named {named}", counted(found, "input"))
        } else if file.target_kind != self.layout.target {
            let (found, named) = (kind(!is_classes), kind(is_classes));
            format!("gave {found}, but announced {named}")
        } else if file.n_outputs > n_outputs || (!is_classes && file.n_outputs < n_outputs) {
            format!(
                "gave {}, but named {n_outputs}",
                counted(file.n_outputs, "output")
            )
        } else if file.n_recorded() != self.layout.recorded {
            let (found, named) = (file.n_recorded(), self.layout.recorded);
            format!(
                "gave unit_targets of {}, but announced {named} as \"recorded\"",
                counted(found, "unit")
            )
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
            place.ok_or_else(|| format!("names {name:?} as a choice, which is not an output"))
        };
        let choices = match &self.choices {
            Some(names) => names.iter().map(place).collect::<Result<_, _>>()?,
            None if self.outputs.len() == 1 && matches!(self.target, HelloTarget::Classes) => {
                Vec::new()
            }
            None => (0..self.outputs.len()).collect(),
        };
        let layout = Layout {
            inputs: self.inputs,
            outputs: self.outputs,
            target: match self.target {
                HelloTarget::Values => TargetKind::Values,
                HelloTarget::Classes => TargetKind::Classes,
            },
            choices,
            recorded: self.recorded,
        };
        check_layout(&layout).map(|()| layout)
    }
}

/// Checks that a layout from an external source is valid.
pub(crate) fn check_layout(layout: &Layout) -> Result<(), String> {
    let mut names = layout.inputs.iter().chain(&layout.outputs);
    if layout.outputs.is_empty() {
        return Err("names no output".to_owned());
    }
    if let Some(name) = names.find(|name| name.chars().any(char::is_control)) {
        return Err(format!(
            "names a channel {name:?}, with a control character"
        ));
    }
    for (what, names) in [("input", &layout.inputs), ("output", &layout.outputs)] {
        if let Some(name) = first_twice(names) {
            return Err(format!(
                "names the {what} {name:?} twice; expected a name of its own for each"
            ));
        }
    }
    if let Some(k) = first_twice(&layout.choices) {
        let name = layout.outputs.get(*k);
        return Err(format!(
            "names the choice {:?} twice",
            name.map_or("", |name| name)
        ));
    }
    if layout.choices.iter().all(|&k| k < layout.outputs.len()) {
        Ok(())
    } else {
        Err("names a choice that is not an output".to_owned())
    }
}

/// Returns the first value that occurs again.
fn first_twice<T: PartialEq>(values: &[T]) -> Option<&T> {
    let again = |&(k, value): &(usize, &T)| values[k + 1..].contains(value);
    let found = values.iter().enumerate().find(again);
    found.map(|(_, value)| value)
}

/// Returns true if two batches are equal. NaN, a condition that does not apply or a missing rate, equals itself here.
fn is_same(a: &TrialBatch, b: &TrialBatch) -> bool {
    let bits = |batch: &TrialBatch| -> Vec<(String, Vec<u64>)> {
        let columns = batch.conditions.iter();
        columns
            .map(|(name, values)| {
                (
                    name.clone(),
                    values.iter().copied().map(value_bits).collect(),
                )
            })
            .collect()
    };
    let rates = |batch: &TrialBatch| -> Vec<u32> {
        let rates = batch.unit_targets.iter();
        rates.map(|rate| rate.to_bits()).collect()
    };
    let rest = |batch: &TrialBatch| TrialBatch {
        conditions: Vec::new(),
        unit_targets: Vec::new(),
        ..batch.clone()
    };
    bits(a) == bits(b) && rates(a) == rates(b) && rest(a) == rest(b)
}

/// Returns the bytes of all arrays of an answer. An array with an unreadable header counts as 0, because reading it
/// fails anyway.
fn unpacked_bytes<R: BufRead + Seek>(npz: &mut NpzReader<R>) -> u64 {
    let names: Vec<String> = npz.names().map(str::to_owned).collect();
    let headers = names.iter().filter_map(|name| npz.header(name).ok());
    headers
        .map(|header| (header.shape.iter().product::<usize>() * header.dtype.bytes()) as u64)
        .fold(0, u64::saturating_add)
}

/// Formats the words of a command as for a shell, in one line and without terminal control characters.
pub fn as_typed(words: &[String]) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+%@".contains(c);
    // Characters that `Debug` would escape are not printable, or change the direction of text.
    let is_odd = |c: char| !"'\"\\".contains(c) && c.escape_debug().len() > 1;
    let shown = |word: &String| {
        if word.chars().any(is_odd) {
            format!("{word:?}")
        } else if !word.is_empty() && word.chars().all(is_plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    };
    words.iter().map(shown).collect::<Vec<_>>().join(" ")
}
#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use ctrnn_files::{Array, npz};
    use ctrnn_tasks::{Registry, Target};

    /// Returns two trials with one input, two outputs and three time steps.
    fn arrays_with(first_input: f32) -> BTreeMap<String, Array> {
        BTreeMap::from([
            (
                "inputs".to_owned(),
                Array::f32(&[2, 3, 1], vec![first_input, 2.0, 3.0, 4.0, 5.0, 6.0]),
            ),
            (
                "targets".to_owned(),
                Array::f32(&[2, 3, 2], [[0.0, 1.0]; 6].as_flattened().to_vec()),
            ),
            ("cond_coh".to_owned(), Array::f64(&[2], vec![0.0, 0.5])),
        ])
    }

    /// Creates a folder with two different batches and a shell script as the program.
    fn start(
        script: &str,
        timeout_ms: f64,
    ) -> (tempfile::TempDir, Result<TrialsFromCommand, TaskError>) {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        npz::write(&path("batch.npz"), &arrays_with(1.0)).unwrap();
        npz::write(&path("other.npz"), &arrays_with(9.0)).unwrap();
        let script = script
            .replace("BATCH", &path("batch.npz").to_string_lossy())
            .replace("OTHER", &path("other.npz").to_string_lossy());
        std::fs::write(path("program.sh"), script).unwrap();
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
            programs: Programs::Agreed(&|_| Ok(())),
            trained: None,
        };
        let task = TrialsFromCommand::new(config, &context);
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

    const HELLO: &str = "read question\nid=1\n\
         echo '{\"id\": 1, \"inputs\": [\"u\"], \"outputs\": [\"a\", \"b\"]}'\n\
         answer() { echo \"{\\\"id\\\": $id, \\\"bytes\\\": $(wc -c < \"$1\")}\"; cat \"$1\"; }\n";
    const ANSWERS: &str = "while read question; do\nid=$((id + 1))\n\
         echo \"$question\" >> \"$0.log\"\nanswer BATCH\ndone\n";

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
        // One process: 64 trials for the choices, then the first batch twice.
        let ids: Vec<_> = questions.iter().map(|q| q["id"].as_u64()).collect();
        assert_eq!(ids, [Some(2), Some(3), Some(4), Some(5)]);
        assert_eq!(questions[0]["n_trials"], 64);
        assert_eq!(questions[1]["seed"], questions[3]["seed"]);
        assert_eq!(questions[1]["step"], 7);
        assert_eq!(questions[1]["balanced"], true);
        assert!(questions[1]["seed"].as_u64().unwrap() < 1 << 53);
        assert_eq!(task.input_files(), [folder.path().join("program.sh")]);
    }

    /// Checks that a batch of one-hot targets is not taken as choices if the 64 inspected trials are a regression.
    #[test]
    fn what_is_a_choice_is_decided_once() {
        let script = "read question\nid=2\nanswer GRADED\nwhile read question; do\nid=$((id + 1))\nanswer BATCH\ndone\n";
        let folder = tempfile::tempdir().unwrap();
        let graded = folder.path().join("graded.npz");
        let mut arrays = arrays_with(1.0);
        let targets = (0..12).map(|k| 0.1 * k as f32).collect();
        arrays.insert("targets".to_owned(), Array::f32(&[2, 3, 2], targets));
        arrays.insert("cond_coh".to_owned(), Array::f64(&[2], vec![0.5, 0.6]));
        npz::write(&graded, &arrays).unwrap();
        let script = script.replace("GRADED", &graded.to_string_lossy());
        let (_folder, task) = start(&format!("{HELLO}{script}"), 60_000.0);
        let batch = task.unwrap().sample_batch(&request(2)).unwrap();
        assert_eq!(batch.correct, [None, None]);
    }

    /// The program reads the 3 x (1 + 2 + 2) numbers of a trial of 3 time steps, and answers true, then nonsense.
    #[test]
    fn a_program_may_decide_which_answers_are_correct() {
        let hello = HELLO.replace("\"b\"]}", "\"b\"], \"choices\": [], \"is_correct\": true}");
        let decide =
            "read question; echo \"$question\" > \"$0.log\"; head -c 60 > \"$0.arrays\"; echo";
        let script = format!(
            "{hello}id=2; read question; answer BATCH; id=3; read question; answer BATCH\n\
             {decide} '{{\"id\": 4, \"correct\": true}}'\n{decide} '{{\"id\": 5, \"correct\": \"maybe\"}}'"
        );
        let (folder, task) = start(&script, 60_000.0);
        let task = task.unwrap();
        let batch = task.sample_batch(&request(2)).unwrap();
        let outputs = [0.5, 0.25, 0.0, 1.0, 2.0, 3.0];
        assert_eq!(task.chance(), None);
        assert_eq!(
            task.is_correct(&batch.trial(0), &outputs),
            None,
            "no_answer"
        );
        assert_eq!(task.is_correct(&batch.trial(1), &outputs), Some(true));
        let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        let question: Value = serde_json::from_slice(&read("program.sh.log")).unwrap();
        assert_eq!(question["condition"], json!({ "coh": 0.5 }));
        assert_eq!(
            question["arrays"],
            json!([["inputs", [3, 1]], ["targets", [3, 2]], ["outputs", [3, 2]]])
        );
        let mut expected = Vec::new();
        append_little_endian(&mut expected, &outputs);
        assert_eq!(read("program.sh.arrays")[36..], expected[..]);
        assert_eq!(task.failure(), None);
        assert_eq!(task.is_correct(&batch.trial(1), &outputs), None);
        let failure = task.failure().unwrap().to_string();
        assert!(
            failure.contains("is correct with \"maybe\"; expected true, false or null"),
            "{failure}"
        );
        assert_eq!(task.failure(), None, "it is told once");
    }

    #[test]
    fn a_wait_for_an_answer_can_be_ended() {
        let script = format!("{HELLO}read question; sleep 600");
        let (_folder, task) = start(&script, 600_000.0);
        let task = task.unwrap();
        let error = std::thread::scope(|scope| {
            let batch = scope.spawn(|| task.sample_batch(&request(2)));
            task.interrupt().expect("it waits").set(true);
            batch.join().expect("no panic").unwrap_err()
        });
        let message = error.to_string();
        assert!(
            message.contains(" was not waited for any longer"),
            "{message}"
        );
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

    /// Uses a program that starts others and does not wait for them, as a wrapper may.
    #[test]
    fn everything_that_the_program_started_ends_with_the_task() {
        let script =
            format!("mkfifo \"$0.pipe\"\n(exec 3> \"$0.pipe\"; sleep 600) &\n{HELLO}{ANSWERS}");
        let (folder, task) = start(&script, 60_000.0);
        let task = task.unwrap();
        let pipe = folder.path().join("program.sh.pipe");
        let mut pipe = std::fs::File::open(pipe).unwrap(); // blocks until the other end is open, too
        drop(task);
        let (ended, end) = std::sync::mpsc::channel();
        std::thread::spawn(move || ended.send(std::io::Read::read(&mut pipe, &mut [0])));
        let read = end.recv_timeout(Duration::from_secs(30));
        assert_eq!(
            read.expect("the pipe is not closed; expected the program to have ended")
                .unwrap(),
            0
        );
    }

    #[test]
    fn nothing_is_started_without_consent() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        let layout = Layout::new(["u"], ["a", "b"]);
        let registry = Registry::new();
        let task = |programs: Programs| {
            let config = CommandConfig {
                command: vec!["touch".to_owned(), mark.to_string_lossy().into_owned()],
                ..CommandConfig::default()
            };
            let context = BuildContext {
                clock: Clock::new(20.0).unwrap(),
                seed: 1,
                base_dir: Path::new("."),
                registry: &registry,
                programs,
                trained: None,
            };
            TrialsFromCommand::new(config, &context)
        };
        let known = task(Programs::Never {
            layout: Some(&layout),
        });
        let known = known.unwrap();
        assert_eq!(known.layout(), layout);
        assert!(known.unstarted_program().unwrap().starts_with("touch "));
        let refuse = |_: &[String]| Err(TaskError::program("command", "no"));
        let errors = [
            known.sample_batch(&request(2)).unwrap_err(),
            task(Programs::NEVER).unwrap_err(),
            task(Programs::Agreed(&refuse)).unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind, ctrnn_tasks::TaskErrorKind::Program, "{error}");
        }
        assert!(!mark.exists());
    }

    #[test]
    fn what_an_answer_unpacks_to_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("batch.npz");
        npz::write(&path, &arrays_with(1.0)).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        // 2 x 3 inputs and 2 x 3 x 2 targets of 4 bytes, 2 conditions of 8.
        assert_eq!(
            unpacked_bytes(&mut NpzReader::from_bytes(&bytes, &path).unwrap()),
            88
        );
    }

    #[test]
    fn words_are_shown_as_a_shell_takes_them_and_no_terminal_obeys_them() {
        let shown = |word: &str| as_typed(&[word.to_owned()]);
        assert_eq!(shown("a-b/c.py"), "a-b/c.py");
        assert_eq!(shown("id > x; rm \\ \""), "'id > x; rm \\ \"'");
        assert_eq!(shown("it's"), r"'it'\''s'");
        assert_eq!(shown("\u{1b}[2J\n"), r#""\u{1b}[2J\n""#);
        assert_eq!(shown("\u{202e}gpj"), r#""\u{202e}gpj""#);
        assert_eq!(as_typed(&["".to_owned(), "é".to_owned()]), "'' 'é'");
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
                "read q; echo '{\"id\": 1, \"inputs\": [\"u\"]}'",
                "missing field `outputs`",
            ),
            (
                "read q; echo '{\"id\": 1, \"inputs\": [], \"outputs\": []}'",
                "names no output",
            ),
            (
                "read q; echo '{\"id\": 1, \"inputs\": [], \"outputs\": [\"a\"], \"choices\": [\"b\"]}'",
                "names \"b\" as a choice, which is not an output",
            ),
            (
                "read q; echo '{\"id\": 1, \"inputs\": [\"a\", \"a\"], \"outputs\": [\"a\"]}'",
                "names the input \"a\" twice",
            ),
            (
                "read q; echo '{\"id\": 1, \"inputs\": [\"a\"], \"outputs\": [\"a\", \"b\", \"a\"]}'",
                "names the output \"a\" twice",
            ),
            (
                "read q; echo '{\"id\": 1, \"inputs\": [], \"outputs\": [\"a\", \"b\"], \"choices\": [\"b\", \"b\"]}'",
                "names the choice \"b\" twice",
            ),
            (
                "read q; echo '{\"id\": 1, \"inputs\": [\"\\u001b[2J\"], \"outputs\": [\"a\"]}'",
                "names a channel \"\\u{1b}[2J\", with a control character",
            ),
            (
                "read q; echo '{\"inputs\": [], \"outputs\": [\"a\"]}'",
                "answered without the id of the question; each answer repeats it: {\"id\": 1, ..}",
            ),
            (
                "read q; printf '\\033]0;boom\\007' >&2; exit 3",
                "its last words: \u{fffd}]0;boom\u{fffd}",
            ),
            (
                "read q; echo '{\"error\": \"\\u001b[2Jboom\"}'",
                "says: \u{fffd}[2Jboom",
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
                "read q; echo '{\"id\": 2, \"bytes\": 4}'; echo abc",
                "is text, such as CSV or JSON, not an npz (zip) archive",
            ),
            (
                "read q; echo '{\"bytes\": 400}'; echo abc",
                "ended after 4 of 400 bytes",
            ),
            (
                "read q; echo '{\"id\": 2, \"bytes\": 0}'",
                "answered without trials; expected \"bytes\": N in the answer",
            ),
            ("read q; exit 1", "ended without an answer (exit status: 1)"),
            (
                "read q; echo '{\"id\": 2, \"bytes\": 4294967296}'; yes",
                "announces bytes = 4294967296; the answer to this question has from 0 to ",
            ),
            (
                "read q; id=2; answer BATCH; answer BATCH; read q; id=3; answer BATCH",
                "gave an answer with \"id\": 2 to the question with \"id\": 3",
            ),
            (
                "read q; id=2; answer BATCH; read q; id=3; answer OTHER",
                "made two different batches for the same seed and step",
            ),
        ];
        let named = HELLO.replace("\"b\"]}", "\"b\"], \"choices\": []}");
        for (script, expected) in table {
            let (_folder, task) = start(&format!("{named}{script}"), 60_000.0);
            let task = task.unwrap();
            let error = task.sample_batch(&request(2)).unwrap_err();
            assert!(error.to_string().contains(expected), "{script}: {error}");
        }
        let (_folder, task) = start(&format!("{HELLO}{ANSWERS}"), 60_000.0);
        let mut task = task.unwrap();
        let error = task.sample_batch(&request(3)).unwrap_err().message;
        assert!(error.ends_with("made 2 trials instead of 3"), "{error}");
        task.config.max_steps = 2;
        let error = task.sample_batch(&request(2)).unwrap_err().message;
        assert!(
            error.ends_with("made trials of 3 time steps, but max_steps = 2"),
            "{error}"
        );
        let hello = HELLO.replace("[\"u\"]", "[\"u\", \"v\"]");
        let (_folder, task) = start(&format!("{hello}{ANSWERS}"), 60_000.0);
        let task = task.unwrap();
        let error = task.sample_batch(&request(2)).unwrap_err().message;
        assert!(error.ends_with("gave 1 input, but named 2"), "{error}");
    }

    #[test]
    fn a_program_must_be_named_and_there() {
        let registry = Registry::new();
        let context = BuildContext {
            clock: Clock::new(20.0).unwrap(),
            seed: 1,
            base_dir: Path::new("."),
            registry: &registry,
            programs: Programs::Agreed(&|_| Ok(())),
            trained: None,
        };
        let start = |command: &[&str], timeout_ms: f64| {
            let config = CommandConfig {
                command: command.iter().map(|&word| word.to_owned()).collect(),
                timeout_ms,
                ..CommandConfig::default()
            };
            TrialsFromCommand::new(config, &context)
                .unwrap_err()
                .to_string()
        };
        assert!(start(&[], 1.0).starts_with("command: no program is named; give for instance"));
        assert!(start(&["no-such-program"], 1.0).contains("no-such-program cannot be started"));
        assert!(start(&["sh"], 0.0).starts_with("timeout_ms: 0 must be a number above 0"));
    }
}
