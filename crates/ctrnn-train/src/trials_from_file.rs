//! The task `npz`: trials that another tool wrote.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ctrnn_files::{Array, ArrayData, ErrorKind, npz};
use ctrnn_random::{Key, Rng, Stream};
use ctrnn_tasks::{
    BuildContext, Clock, Condition, Layout, Mask, Registry, Target, TargetKind, Task, TaskEntry,
    TaskError, Timeline, Trial,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::InputPath;
use crate::white_noise::WhiteNoise;

/// Trials that another tool wrote, read from npz files.
///
/// Each file holds `inputs [B,T,I]` f32 and either `labels [B,T]` (integers, the class at each time step; the loss is
/// then cross-entropy) or `targets [B,T,O]` f32 (the loss is then the mean squared error). Optional: `mask [B,T]` or
/// `[B,T,O]` (0: does not count; absent: everything counts), `n_steps [B]` (the length of each trial), `dt_ms` (must
/// equal `time.dt_ms`), and one `cond_<name> [B]` for each condition. Training draws trials with replacement; the
/// trials set aside for validation are never trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NpzConfig {
    /// The files; together they are one set of trials. Relative paths start at the configuration file, or in an
    /// override at the current folder.
    pub files: Vec<InputPath>,
    /// Fraction of the trials, chosen by the seed, that is set aside for validation: at least one, and one is left.
    #[schemars(range(min = 0, max = 1))]
    pub validation_fraction: f64,
    /// Trials without a correct answer, by condition: `{ coh = [0] }` names those whose `cond_coh` is 0. They are left
    /// out of accuracy. A condition that the trials do not have is passed over.
    pub no_answer: BTreeMap<String, Vec<f64>>,
}

impl Default for NpzConfig {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            validation_fraction: 0.2,
            no_answer: BTreeMap::new(),
        }
    }
}

/// All built-in tasks, with those that read files or run a program, and the one of networks without a task.
pub fn registry() -> Registry {
    let mut registry = Registry::built_in();
    registry.add_entry(npz_entry());
    registry.add_entry(crate::trials_from_command::command_entry());
    registry.add::<WhiteNoise>("white_noise");
    registry
}

fn npz_entry() -> TaskEntry {
    TaskEntry::of_config::<NpzConfig>("npz", |config, context| {
        Ok(Box::new(TrialsFromFile::read(&config, context)?))
    })
}

/// Trials read from files.
#[derive(Debug)]
pub struct TrialsFromFile {
    layout: Layout,
    files: Vec<PathBuf>,
    conditions: Vec<Condition>,
    /// For training: the trials of each condition, in the order of `conditions`.
    training: Vec<Vec<Trial>>,
    held_out: Vec<Trial>,
}

impl Task for TrialsFromFile {
    fn layout(&self) -> Layout {
        self.layout.clone()
    }

    fn conditions(&self) -> Vec<Condition> {
        self.conditions.clone()
    }

    fn sample_trial(&self, condition: &Condition, _: Clock, rng: &mut Rng) -> Trial {
        let k = self
            .conditions
            .iter()
            .position(|c| c.values == condition.values);
        let trials = &self.training[k.expect("a condition of this task")];
        rng.choose(trials).clone()
    }

    fn longest_steps(&self, _: Clock) -> Option<usize> {
        let trials = self.training.iter().flatten().chain(&self.held_out);
        trials.map(|trial| trial.n_steps).max()
    }

    fn held_out(&self) -> Option<&[Trial]> {
        Some(&self.held_out)
    }

    fn input_files(&self) -> Vec<PathBuf> {
        self.files.clone()
    }
}

impl TrialsFromFile {
    /// Reads and checks every file, and sets trials aside for validation.
    ///
    /// # Errors
    /// Names the file, the array and what is wrong with it.
    pub fn read(config: &NpzConfig, context: &BuildContext) -> Result<Self, Vec<TaskError>> {
        let fail = |error: TaskError| vec![error];
        if config.files.is_empty() {
            let help = "give at least one: task.npz.files = [\"trials.npz\"]";
            return Err(fail(
                TaskError::config("files", "no file of trials is named").with_help(help),
            ));
        }
        let mut files = Vec::new();
        for InputPath(path) in &config.files {
            files.push(TrialFile::read(path, context.clock).map_err(fail)?);
        }
        let n_outputs = files.iter().map(|file| file.n_outputs).max().unwrap_or(0);
        let mut trials = Vec::new();
        for file in &files {
            file.agrees_with(&files[0]).map_err(fail)?;
            trials.extend((0..file.n_trials).map(|b| file.trial(b, n_outputs)));
        }
        forget_answers(&mut trials, &config.no_answer);
        let layout = files[0].layout(n_outputs);
        let paths = files.into_iter().map(|file| file.path).collect();
        Self::split(
            layout,
            paths,
            trials,
            config.validation_fraction,
            context.seed,
        )
        .map_err(fail)
    }

    fn split(
        layout: Layout,
        files: Vec<PathBuf>,
        mut trials: Vec<Trial>,
        fraction: f64,
        seed: u64,
    ) -> Result<Self, TaskError> {
        let n = trials.len();
        if n < 2 {
            let message = format!(
                "{n} trial is too few: one is set aside for validation and one is trained on"
            );
            return Err(TaskError::data("files", message));
        }
        let n_held_out = ((n as f64 * fraction).round() as usize).clamp(1, n - 1);
        Rng::new(Key::new(seed, Stream::Validation, 0), 0, 0).shuffle(&mut trials);
        let training = trials.split_off(n_held_out);
        let mut by_condition: Vec<(Condition, Vec<Trial>)> = Vec::new();
        for trial in training {
            match by_condition
                .iter_mut()
                .find(|(c, _)| c.values == trial.condition)
            {
                Some((condition, trials)) => {
                    condition.weight += 1.0;
                    trials.push(trial);
                }
                None => {
                    let condition = Condition {
                        values: trial.condition.clone(),
                        weight: 1.0,
                    };
                    by_condition.push((condition, vec![trial]));
                }
            }
        }
        let (conditions, training) = by_condition.into_iter().unzip();
        Ok(Self {
            layout,
            files,
            conditions,
            training,
            held_out: trials,
        })
    }
}

/// Leaves the trials of these conditions without a correct answer.
pub(crate) fn forget_answers(trials: &mut [Trial], no_answer: &BTreeMap<String, Vec<f64>>) {
    for trial in trials {
        let has_none = |(name, value): &(String, f64)| {
            no_answer
                .get(name)
                .is_some_and(|values| values.contains(value))
        };
        if trial.condition.iter().any(has_none) {
            trial.correct = None;
        }
    }
}

/// The arrays of one file, checked.
pub(crate) struct TrialFile {
    path: PathBuf,
    pub(crate) n_trials: usize,
    max_steps: usize,
    pub(crate) n_inputs: usize,
    pub(crate) n_outputs: usize,
    inputs: Vec<f32>,
    target: Target,
    mask: Mask,
    n_steps: Vec<usize>,
    conditions: Vec<(String, Vec<f64>)>,
}

/// A shape and the numbers in it.
type Shaped<T> = (Vec<usize>, Vec<T>);

/// Reads arrays of one file by name and says what is wrong with them.
pub(crate) struct Reader<'a> {
    /// The key of the task's table that is to blame.
    pub(crate) key: &'static str,
    pub(crate) path: &'a Path,
    pub(crate) arrays: BTreeMap<String, Array>,
}

impl Reader<'_> {
    fn error(&self, message: impl std::fmt::Display) -> TaskError {
        TaskError::data(self.key, format!("{}: {message}", self.path.display()))
    }

    /// An array of finite numbers with its shape, if it is there.
    fn floats(&self, name: &str) -> Result<Option<Shaped<f32>>, TaskError> {
        let Some(array) = self.arrays.get(name) else {
            return Ok(None);
        };
        if let Some(index) = array.first_nonfinite() {
            return Err(self.error(format!(
                "{name} holds NaN or an infinity at flat index {index}"
            )));
        }
        let values = array
            .to_f32()
            .map_err(|error| self.error(format!("{name}: {error}")))?;
        Ok(Some((array.shape().to_vec(), values)))
    }

    fn integers(&self, name: &str) -> Result<Option<Shaped<i64>>, TaskError> {
        let Some(array) = self.arrays.get(name) else {
            return Ok(None);
        };
        let values = array
            .to_i64()
            .map_err(|error| self.error(format!("{name}: {error}")))?;
        Ok(Some((array.shape().to_vec(), values)))
    }

    fn expect_shape(
        &self,
        name: &str,
        found: &[usize],
        expected: &[usize],
    ) -> Result<(), TaskError> {
        if found == expected {
            return Ok(());
        }
        Err(self.error(format!(
            "{name} has shape {found:?}, but inputs ask for {expected:?}"
        )))
    }
}

impl TrialFile {
    fn read(path: &Path, clock: Clock) -> Result<Self, TaskError> {
        let arrays = npz::read(path).map_err(|error| match error.kind() {
            ErrorKind::Io => TaskError::io("files", error.to_string()),
            ErrorKind::Data => TaskError::data("files", error.to_string()),
        })?;
        let key = "files";
        Self::from_arrays(&Reader { key, path, arrays }, clock)
    }

    /// Checks the arrays and takes them over.
    pub(crate) fn from_arrays(reader: &Reader, clock: Clock) -> Result<Self, TaskError> {
        check_names(reader)?;
        check_dt(reader, clock)?;
        let inputs = reader.floats("inputs")?;
        let Some((shape, inputs)) = inputs else {
            return Err(reader.error("has no array inputs [trial, time, input]"));
        };
        let [n_trials, max_steps, n_inputs] = shape[..] else {
            return Err(reader.error(format!(
                "inputs has shape {shape:?}, but must be [trial, time, input]"
            )));
        };
        if n_trials == 0 || max_steps == 0 {
            return Err(reader.error(format!(
                "inputs has shape {shape:?}: no trial or no time step"
            )));
        }
        let (target, n_outputs) = read_target(reader, n_trials, max_steps)?;
        let n_steps = read_n_steps(reader, n_trials, max_steps)?;
        Ok(Self {
            path: reader.path.to_owned(),
            mask: read_mask(reader, n_trials, max_steps, n_outputs)?,
            conditions: read_conditions(reader, n_trials)?,
            n_trials,
            max_steps,
            n_inputs,
            n_outputs,
            inputs,
            target,
            n_steps,
        })
    }

    fn layout(&self, n_outputs: usize) -> Layout {
        let names =
            |what: &str, n: usize| (0..n).map(|k| format!("{what} {k}")).collect::<Vec<_>>();
        Layout {
            inputs: names("input", self.n_inputs),
            outputs: names("output", n_outputs),
            target: self.target_kind(),
            choices: choices(n_outputs),
        }
    }

    /// Whether two files can be one set of trials.
    fn agrees_with(&self, first: &Self) -> Result<(), TaskError> {
        let names = |file: &Self| {
            file.conditions
                .iter()
                .map(|(name, _)| name.clone())
                .collect::<Vec<_>>()
        };
        let is_classes = |file: &Self| matches!(file.target, Target::Classes(_));
        let by_output = |file: &Self| matches!(file.mask, Mask::Outputs(_));
        let difference = if self.n_inputs != first.n_inputs {
            format!("{} inputs against {}", self.n_inputs, first.n_inputs)
        } else if is_classes(self) != is_classes(first) {
            "one has labels, the other targets".to_owned()
        } else if !is_classes(self) && self.n_outputs != first.n_outputs {
            format!("{} outputs against {}", self.n_outputs, first.n_outputs)
        } else if by_output(self) != by_output(first) {
            "one has a mask per output, the other has not".to_owned()
        } else if names(self) != names(first) {
            format!("conditions {:?} against {:?}", names(self), names(first))
        } else {
            return Ok(());
        };
        let (a, b) = (self.path.display(), first.path.display());
        Err(TaskError::data(
            "files",
            format!("{a} and {b} disagree: {difference}"),
        ))
    }

    /// What the outputs are compared with.
    pub(crate) fn target_kind(&self) -> TargetKind {
        match &self.target {
            Target::Values(_) => TargetKind::Values,
            Target::Classes(_) => TargetKind::Classes,
        }
    }

    /// Trial `b`, cut to its length.
    pub(crate) fn trial(&self, b: usize, n_outputs: usize) -> Trial {
        let n_steps = self.n_steps[b];
        let condition = Condition {
            values: self
                .conditions
                .iter()
                .map(|(name, column)| (name.clone(), column[b]))
                .collect(),
            weight: 1.0,
        };
        let mut timeline = Timeline::default();
        timeline.push("trial", n_steps);
        let mut trial = Trial::new(&self.layout(n_outputs), &condition, timeline);
        trial.inputs = self.rows(&self.inputs, b, self.n_inputs);
        trial.target = match &self.target {
            Target::Values(values) => Target::Values(self.rows(values, b, self.n_outputs)),
            Target::Classes(labels) => Target::Classes(self.rows(labels, b, 1)),
        };
        trial.mask = match &self.mask {
            Mask::Steps(mask) => Mask::Steps(self.rows(mask, b, 1)),
            Mask::Outputs(mask) => Mask::Outputs(self.rows(mask, b, self.n_outputs)),
        };
        trial.correct = trial.target_choice(&choices(n_outputs));
        trial
    }

    fn rows<T: Copy>(&self, values: &[T], b: usize, width: usize) -> Vec<T> {
        let start = b * self.max_steps * width;
        values[start..start + self.n_steps[b] * width].to_vec()
    }
}

/// Every output is a choice, unless there is only one.
pub(crate) fn choices(n_outputs: usize) -> Vec<usize> {
    match n_outputs {
        1 => Vec::new(),
        n => (0..n).collect(),
    }
}

fn check_names(reader: &Reader) -> Result<(), TaskError> {
    let known = ["inputs", "labels", "targets", "mask", "n_steps", "dt_ms"];
    let is_unknown = |name: &&String| !known.contains(&name.as_str()) && !name.starts_with("cond_");
    match reader.arrays.keys().find(is_unknown) {
        None => Ok(()),
        Some(name) => {
            let help = format!(
                "a file of trials may hold {} and cond_<name>",
                known.join(", ")
            );
            Err(reader
                .error(format!("array {name:?} is not part of a file of trials"))
                .with_help(help))
        }
    }
}

fn check_dt(reader: &Reader, clock: Clock) -> Result<(), TaskError> {
    let Some((_, values)) = reader.floats("dt_ms")? else {
        return Ok(());
    };
    let [dt_ms] = values[..] else {
        return Err(reader.error("dt_ms must be one number"));
    };
    if (f64::from(dt_ms) - clock.dt_ms()).abs() <= 1e-6 * clock.dt_ms() {
        return Ok(());
    }
    let message = format!(
        "has time steps of {dt_ms} ms, but time.dt_ms = {}",
        clock.dt_ms()
    );
    Err(reader
        .error(message)
        .with_help(format!("set time.dt_ms={dt_ms}")))
}

/// Labels or targets, and the number of outputs.
fn read_target(
    reader: &Reader,
    n_trials: usize,
    max_steps: usize,
) -> Result<(Target, usize), TaskError> {
    match (reader.integers("labels")?, reader.floats("targets")?) {
        (Some((shape, labels)), None) => {
            reader.expect_shape("labels", &shape, &[n_trials, max_steps])?;
            let classes = labels
                .iter()
                .map(|&label| u32::try_from(label).ok().filter(|&l| l < MAX_CLASSES));
            let classes: Option<Vec<u32>> = classes.collect();
            let Some(classes) = classes else {
                let wrong = labels
                    .iter()
                    .find(|&&l| !(0..i64::from(MAX_CLASSES)).contains(&l));
                let wrong = wrong.copied().unwrap_or_default();
                return Err(reader.error(format!(
                    "label {wrong} is no class: classes are 0, 1, ... up to {}",
                    MAX_CLASSES - 1
                )));
            };
            let n_outputs = 1 + classes.iter().copied().max().unwrap_or(0) as usize;
            Ok((Target::Classes(classes), n_outputs))
        }
        (None, Some((shape, targets))) => {
            let n_outputs = *shape.last().unwrap_or(&0);
            reader.expect_shape("targets", &shape, &[n_trials, max_steps, n_outputs])?;
            match n_outputs {
                0 => Err(reader.error("targets have no output")),
                _ => Ok((Target::Values(targets), n_outputs)),
            }
        }
        (None, None) => {
            Err(reader.error("has neither labels [trial, time] nor targets [trial, time, output]"))
        }
        (Some(_), Some(_)) => {
            Err(reader.error("has both labels and targets; keep the one that is to be learned"))
        }
    }
}

/// A class is an output, so a larger label is taken for a slip.
const MAX_CLASSES: u32 = 4096;

fn read_mask(
    reader: &Reader,
    n_trials: usize,
    max_steps: usize,
    n_outputs: usize,
) -> Result<Mask, TaskError> {
    let Some((shape, mask)) = reader.floats("mask")? else {
        return Ok(Mask::Steps(vec![1.0; n_trials * max_steps]));
    };
    if let Some(weight) = mask.iter().find(|&&weight| weight < 0.0) {
        return Err(reader.error(format!(
            "mask holds {weight}; it must be 0 (does not count) or more"
        )));
    }
    if mask.iter().all(|&weight| weight == 0.0) {
        return Err(reader.error("mask is 0 everywhere, so that no output counts in the loss"));
    }
    if shape.len() == 3 && reader.arrays.contains_key("labels") {
        return Err(reader.error("labels take a mask [trial, time], not one per output"));
    }
    if shape.len() == 3 {
        reader.expect_shape("mask", &shape, &[n_trials, max_steps, n_outputs])?;
        return Ok(Mask::Outputs(mask));
    }
    reader.expect_shape("mask", &shape, &[n_trials, max_steps])?;
    Ok(Mask::Steps(mask))
}

fn read_n_steps(
    reader: &Reader,
    n_trials: usize,
    max_steps: usize,
) -> Result<Vec<usize>, TaskError> {
    let Some((shape, values)) = reader.integers("n_steps")? else {
        return Ok(vec![max_steps; n_trials]);
    };
    reader.expect_shape("n_steps", &shape, &[n_trials])?;
    let in_range = |&n: &i64| {
        usize::try_from(n)
            .ok()
            .filter(|n| (1..=max_steps).contains(n))
    };
    values
        .iter()
        .map(|n| {
            in_range(n).ok_or_else(|| {
                reader.error(format!("n_steps holds {n}; it must be 1 to {max_steps}"))
            })
        })
        .collect()
}

fn read_conditions(reader: &Reader, n_trials: usize) -> Result<Vec<(String, Vec<f64>)>, TaskError> {
    let mut conditions = Vec::new();
    for (name, array) in &reader.arrays {
        let Some(condition) = name.strip_prefix("cond_") else {
            continue;
        };
        reader.expect_shape(name, array.shape(), &[n_trials])?;
        if array.first_nonfinite().is_some() {
            return Err(reader.error(format!("{name} holds NaN or an infinity")));
        }
        let values = decimal(array).map_err(|error| reader.error(format!("{name}: {error}")))?;
        conditions.push((condition.to_owned(), values));
    }
    Ok(conditions)
}

/// Values as a person wrote them: 6.4 that was saved in single precision is 6.4, not 6.400000095367432.
fn decimal(array: &Array) -> Result<Vec<f64>, ctrnn_files::ValueError> {
    match array.data() {
        ArrayData::F32(values) => {
            let shortest = |x: &f32| x.to_string().parse().unwrap_or(f64::from(*x));
            Ok(values.iter().map(shortest).collect())
        }
        _ => array.to_f64(),
    }
}
