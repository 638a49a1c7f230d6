//! Task `npz`: trials written by another tool.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use ctrnn_config::{InputPath, counted};
use ctrnn_random::{Key, Rng, Stream};
use ctrnn_tasks::{
    BatchRequest, BuildContext, Clock, Condition, ConditionOrder, Layout, TargetKind, Task,
    TaskEntry, TaskError, Trained, Trial, TrialBatch, TrialSet, from_toml, implied_choices,
    value_bits,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::trials::choices::{self, OutputName, has_answer};
use crate::trials::trial_file::TrialFile;

/// Trials that another tool wrote, read from npz files.
///
/// Each file holds `inputs [B,T,I]` f32 and either `labels [B,T]` (integers, the class at each time step; the loss is
/// then cross-entropy) or `targets [B,T,O]` f32 (the loss is then the mean squared error). Optional: `mask [B,T]` or
/// `[B,T,O]` (0: does not count; absent: everything counts), `n_steps [B]` (the length of each trial), `dt_ms` (must
/// equal `time.dt_ms`), and one `cond_<name> [B]` for each condition (NaN: it does not apply, as a coherence does not to
/// a catch trial). For networks that are fitted to recordings (`train.loss.unit_rates`): `unit_targets [B,T,K]`, the rates or spike
/// counts of K units after each time step, in which NaN means missing, and `unit_mask [B,T,K]` (0: missing, 1: counts). A file of
/// recordings may leave labels and targets out; it then has one output, which counts nowhere. What lies after `n_steps`, and targets and labels where the mask is 0, may be anything, such as NaN
/// or -100; numbers that count are at most 1e9. Other types of numbers are converted. Training draws trials with replacement; the trials set aside for
/// validation are never trained on. Trials have correct answers, and so an accuracy, where labels, one-hot targets or two values
/// of a single output, one below and one above zero, make a choice; time courses have none. The key `choices` overrides this.
///
/// `eval`, `simulate` and `analyze` with other files than the run's (`task.npz.files=["test.npz"]`) take all of their
/// trials, in the order of the files; the network stays as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NpzConfig {
    /// The files; together they are one set of trials. Relative paths start at the configuration file, or in an
    /// override at the current folder.
    pub files: Vec<InputPath>,
    /// Fraction of the trials, chosen by the seed, that is set aside for validation: at least one, and one is left. 1 takes
    /// all, in their order, to evaluate a network with.
    #[schemars(range(min = 0, max = 1))]
    pub validation_fraction: f64,
    /// Trials without a correct answer, by condition: `{ coh = [0] }` names those whose `cond_coh` is 0. They are left
    /// out of accuracy. A note names a value or condition that no trial has.
    pub no_answer: BTreeMap<String, Vec<f64>>,
    /// The outputs that are choices, by index or as `"output 0"`: the largest of them at the last time step that counts is the
    /// choice, or the sign of the only one; a trial is correct if it is that of the target there, and has no answer where several
    /// targets are equally large (or the only one is 0). `[]`: no accuracy. Absent: with `labels` every output. With `targets` every
    /// output if they are one-hot at that step (the same high value in one output, the same low value in all others, whichever trial;
    /// all equal: no answer); a single output, by its sign, if it has one value below and one above zero; otherwise none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choices: Option<Vec<OutputName>>,
}

impl Default for NpzConfig {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            validation_fraction: 0.2,
            no_answer: BTreeMap::new(),
            choices: None,
        }
    }
}

/// Returns the entry of the task `npz`.
pub(super) fn npz_entry() -> TaskEntry {
    TaskEntry::of_config::<NpzConfig>("npz", |config, context| {
        Ok(Box::new(TrialsFromFile::read(&config, context)?))
    })
}

/// Trials read from files. They stay in the arrays of the files; a trial is identified by its number across all files,
/// and built when it is needed.
#[derive(Debug)]
pub struct TrialsFromFile {
    layout: Layout,
    files: Vec<TrialFile>,
    /// Number of the first trial of each file.
    starts: Vec<usize>,
    no_answer: BTreeMap<String, Vec<f64>>,
    validation_fraction: f64,
    /// Trials from which batches are drawn, grouped by condition.
    drawn: Vec<u32>,
    /// Cumulative number of trials in `drawn`, by condition.
    ends: Vec<u32>,
    /// Conditions, sorted by their values.
    by_values: Vec<u32>,
    held_out: Vec<u32>,
    /// Configuration of the trained run, whose conditions differ, if its network is tested.
    tested: Option<Tested>,
}

/// Trials on which a network was trained, while it is tested with others.
#[derive(Debug)]
struct Tested {
    config: NpzConfig,
    clock: Clock,
    seed: u64,
}

impl Task for TrialsFromFile {
    fn layout(&self) -> Layout {
        self.layout.clone()
    }

    /// Returns no errors: everything is checked when the files are read.
    fn check(&self, _: Clock) -> Result<(), Vec<TaskError>> {
        Ok(())
    }

    /// Returns the conditions of training, because a network with an initial state per condition knows no others.
    fn conditions(&self) -> Vec<Condition> {
        if let Some(tested) = &self.tested {
            return tested.conditions();
        }
        let condition = |k: usize| {
            let members = self.members(k);
            Condition {
                values: self.values(members[0]),
                weight: members.len() as f64,
            }
        };
        (0..self.ends.len()).map(condition).collect()
    }

    fn n_conditions(&self) -> usize {
        match &self.tested {
            Some(tested) => tested.conditions().len(),
            None => self.ends.len(),
        }
    }

    fn sample_trial(&self, condition: &Condition, _: Clock, rng: &mut Rng) -> Trial {
        let values = condition.values.iter().map(|(_, value)| *value);
        let place = self.by_values.binary_search_by(|&k| {
            let first = self.members(k as usize)[0];
            self.column_values(first)
                .map(value_bits)
                .cmp(values.clone().map(value_bits))
        });
        let place = place.expect("a condition of this task");
        let k = self.by_values[place] as usize;
        self.trial(*rng.choose(self.members(k)))
    }

    fn longest_steps(&self, _: Clock) -> Option<usize> {
        Some(*TrialSet::n_steps(self).end())
    }

    fn trial_set(&self) -> Option<&dyn TrialSet> {
        Some(self)
    }

    fn unused_keys(&self) -> Vec<(String, String)> {
        let is_unused = self
            .tested
            .as_ref()
            .is_some_and(|tested| tested.config.validation_fraction != self.validation_fraction);
        let why = "other files than those that the run was trained on are taken whole";
        is_unused
            .then(|| ("validation_fraction".to_owned(), why.to_owned()))
            .into_iter()
            .collect()
    }

    fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.files.iter().flat_map(|f| f.notes.clone()).collect();
        notes.extend(self.note_classes());
        notes.extend(self.note_no_answer());
        notes
    }

    fn input_files(&self) -> Vec<PathBuf> {
        self.files.iter().map(|file| file.path.clone()).collect()
    }

    /// Draws a condition by its position among all trials. The provided method would go through all conditions, of
    /// which there may be as many as trials.
    fn sample_batch(&self, request: &BatchRequest) -> Result<TrialBatch, TaskError> {
        let n_drawn = f64::from(*self.ends.last().expect("one condition at least"));
        let trial = |place: usize| {
            let b = request.first_trial + place;
            let mut rng = Rng::new(request.key, b as u64, request.step);
            let k = match request.conditions {
                ConditionOrder::Balanced | ConditionOrder::BalancedTasks => b % self.ends.len(),
                ConditionOrder::Weighted => {
                    let left = rng.uniform_in(0.0, n_drawn);
                    let k = self.ends.partition_point(|&end| f64::from(end) <= left);
                    k.min(self.ends.len() - 1) // rounding may yield the upper bound itself
                }
            };
            self.trial(*rng.choose(self.members(k)))
        };
        Ok(TrialBatch::new((0..request.n_trials).map(trial)))
    }
}

impl TrialSet for TrialsFromFile {
    fn n_training(&self) -> usize {
        self.n_trials() - self.held_out.len()
    }

    fn n_held_out(&self) -> usize {
        self.held_out.len()
    }

    fn held_out(&self, number: usize) -> Trial {
        self.trial(self.held_out[number])
    }

    fn held_out_condition(&self, number: usize) -> Vec<(String, f64)> {
        self.values(self.held_out[number])
    }

    fn source(&self, number: usize) -> [usize; 2] {
        self.place(self.held_out[number])
    }

    fn n_steps(&self) -> RangeInclusive<usize> {
        let ranges = || self.files.iter().map(TrialFile::shortest_and_longest);
        let shortest = ranges().map(|range| *range.start()).min();
        let longest = ranges().map(|range| *range.end()).max();
        shortest.unwrap_or(0)..=longest.unwrap_or(0)
    }
}

impl TrialsFromFile {
    /// Reads and checks every file, and sets trials aside for validation: all of them, in order, if a network is tested
    /// with other files than it was trained on.
    ///
    /// # Errors
    /// Names the file, the array and the problem.
    pub fn read(config: &NpzConfig, context: &BuildContext) -> Result<Self, Vec<TaskError>> {
        let read = Self::read_files(config, context.clock, context.trained);
        let mut read = read.map_err(|error| vec![error])?;
        let n = read.n_trials();
        let is_test = context.trained.is_some_and(|trained| trained.is_test);
        let is_whole = is_test || config.validation_fraction == 1.0;
        let n_held_out = if is_whole {
            n
        } else {
            n_held_out(n, config.validation_fraction)
        };
        let has_both = 0 < n_held_out && n_held_out < n;
        if !has_both && context.trained.is_none_or(|network| network.is_new) {
            return Err(vec![nothing_to_train_on(n)]);
        }
        read.split(n_held_out, context.seed);
        let trained = context.trained.filter(|_| is_test);
        if let Some(trained) = trained
            && config.choices.is_none()
            && let Some(choices) = trained_choices(trained, context.clock)
        {
            // Test files need not contain every choice, and may resemble choices if there are none.
            read.layout.choices = choices;
        }
        read.tested = trained.and_then(|trained| {
            Some(Tested {
                config: from_toml(trained.table.clone().into()).ok()?,
                clock: context.clock,
                seed: context.seed,
            })
        });
        Ok(read)
    }

    fn read_files(
        config: &NpzConfig,
        clock: Clock,
        trained: Option<Trained>,
    ) -> Result<Self, TaskError> {
        if config.files.is_empty() {
            let help = "give at least one: task.npz.files = [\"trials.npz\"]";
            return Err(TaskError::config("files", "no file of trials is named").with_help(help));
        }
        check_each_once(&config.files)?;
        let mut files: Vec<TrialFile> = Vec::new();
        for InputPath(path) in &config.files {
            let file = TrialFile::read(path, clock)?;
            file_fits(&file, files.first().unwrap_or(&file), trained)?;
            files.push(file);
        }
        let n_trials: usize = files.iter().map(|file| file.n_trials).sum();
        if u32::try_from(n_trials).is_err() {
            let what = format!(
                "{n_trials} trials are too many; at most {} are read",
                u32::MAX
            );
            return Err(TaskError::data("files", what));
        }
        let n_outputs = files.iter().map(|file| file.n_outputs);
        let is_classes = files[0].target_kind == TargetKind::Classes; // a file need not contain all of them
        let trained = trained.filter(|_| is_classes);
        let n_outputs = n_outputs.chain(trained.map(|trained| trained.n_outputs));
        let starts = files.iter().scan(0, |next, file| {
            *next += file.n_trials;
            Some(*next - file.n_trials)
        });
        let mut read = Self {
            layout: layout(&files[0], n_outputs.max().unwrap_or(0)),
            starts: starts.collect(),
            files,
            no_answer: config.no_answer.clone(),
            validation_fraction: config.validation_fraction,
            drawn: Vec::new(),
            ends: Vec::new(),
            by_values: Vec::new(),
            held_out: Vec::new(),
            tested: None,
        };
        read.layout.choices = match &config.choices {
            Some(names) => choices::named(names, &read.layout)?,
            None => read.implied_choices(),
        };
        Ok(read)
    }

    /// Infers the outputs that are choices from the targets of all trials that may have an answer.
    fn implied_choices(&self) -> Vec<usize> {
        let trials = (0..self.n_trials() as u32).map(|trial| self.made(trial));
        match self.layout.target {
            // Labels imply their choices, so the trials, of which there may be many, need not be inspected.
            TargetKind::Classes => implied_choices(trials.take(1)),
            TargetKind::Values => {
                implied_choices(trials.filter(|trial| has_answer(trial, &self.no_answer)))
            }
        }
    }

    /// Sets random trials aside, or all in order; sorts the others into their conditions.
    fn split(&mut self, n_held_out: usize, seed: u64) {
        let n = self.n_trials();
        let mut trials: Vec<u32> = (0..n as u32).collect();
        if n_held_out < n {
            Rng::new(Key::new(seed, Stream::Validation, 0), 0, 0).shuffle(&mut trials);
        }
        let training = trials.split_off(n_held_out);
        self.held_out = trials;
        if training.is_empty() {
            self.sort_into_conditions(&self.held_out.clone());
        } else {
            self.sort_into_conditions(&training);
        }
    }

    /// Groups trials by condition, in order of first appearance; trials keep their order within a condition.
    fn sort_into_conditions(&mut self, trials: &[u32]) {
        let mut order: Vec<u32> = (0..trials.len() as u32).collect();
        let compare = |a: u32, b: u32| self.compare(trials[a as usize], trials[b as usize]);
        order.sort_unstable_by(|&a, &b| compare(a, b).then(a.cmp(&b)));
        let is_new = |k: usize| k == 0 || compare(order[k - 1], order[k]).is_ne();
        let starts = (0..order.len()).filter(|&k| is_new(k)).map(|k| k as u32);
        let starts: Vec<u32> = starts.chain([order.len() as u32]).collect(); // of each condition in `order`, by values
        let n_conditions = starts.len() - 1;
        let mut by_appearance: Vec<u32> = (0..n_conditions as u32).collect();
        by_appearance.sort_unstable_by_key(|&k| order[starts[k as usize] as usize]);
        let mut by_values = vec![0; n_conditions];
        let (mut drawn, mut ends) = (Vec::with_capacity(trials.len()), Vec::new());
        for (number, &k) in by_appearance.iter().enumerate() {
            let k = k as usize;
            let members = &order[starts[k] as usize..starts[k + 1] as usize];
            by_values[k] = number as u32;
            drawn.extend(members.iter().map(|&place| trials[place as usize]));
            ends.push(drawn.len() as u32);
        }
        (self.drawn, self.ends, self.by_values) = (drawn, ends, by_values);
    }

    fn n_trials(&self) -> usize {
        self.files.iter().map(|file| file.n_trials).sum()
    }

    /// Returns the trials of a condition.
    fn members(&self, condition: usize) -> &[u32] {
        let start = match condition {
            0 => 0,
            k => self.ends[k - 1],
        };
        &self.drawn[start as usize..self.ends[condition] as usize]
    }

    /// Returns the file of a trial, and its row in that file.
    fn place(&self, trial: u32) -> [usize; 2] {
        let trial = trial as usize;
        let file = self.starts.partition_point(|&start| start <= trial) - 1;
        [file, trial - self.starts[file]]
    }

    /// Builds a trial without its answer.
    fn made(&self, trial: u32) -> Trial {
        let [file, b] = self.place(trial);
        self.files[file].trial(b, &self.layout)
    }

    fn trial(&self, trial: u32) -> Trial {
        let mut trial = self.made(trial);
        choices::set_answers(
            std::slice::from_mut(&mut trial),
            &self.layout.choices,
            &self.no_answer,
        );
        trial
    }

    fn column_values(&self, trial: u32) -> impl Iterator<Item = f64> + '_ {
        let [file, b] = self.place(trial);
        let columns = self.files[file].conditions.iter();
        columns.map(move |(_, column)| column[b])
    }

    fn values(&self, trial: u32) -> Vec<(String, f64)> {
        let names = self.files[0]
            .conditions
            .iter()
            .map(|(name, _)| name.clone());
        names.zip(self.column_values(trial)).collect()
    }

    fn compare(&self, a: u32, b: u32) -> Ordering {
        self.column_values(a)
            .map(value_bits)
            .cmp(self.column_values(b).map(value_bits))
    }

    /// Returns a note for each condition or value of `no_answer` that no trial has.
    fn note_no_answer(&self) -> Vec<String> {
        if self.tested.is_some() {
            return Vec::new(); // test trials need not have every condition of the training
        }
        let note = |(name, asked): (&String, &Vec<f64>)| {
            let columns = self.files.iter().filter_map(|file| {
                let mut columns = file.conditions.iter();
                columns.find_map(|(column, values)| (column == name).then_some(values))
            });
            let mut found: Vec<f64> = columns.flatten().copied().collect();
            found.sort_unstable_by_key(|value| value_bits(*value));
            found.dedup_by_key(|value| value_bits(*value));
            if found.is_empty() {
                return Some(format!(
                    "task.npz.no_answer has no effect: no trial has a condition {name}"
                ));
            }
            let is_absent =
                |value: &&f64| !found.iter().any(|x| value_bits(*x) == value_bits(**value));
            let absent = asked.iter().find(is_absent)?;
            found.retain(|value| !value.is_nan()); // where the condition does not apply
            found.sort_unstable_by(f64::total_cmp);
            Some(format!(
                "task.npz.no_answer: no trial has {name} = {absent}; there {}",
                shown_values(&found)
            ))
        };
        self.no_answer.iter().filter_map(note).collect()
    }

    /// Returns a note on classes that have an output but no label.
    fn note_classes(&self) -> Option<String> {
        if self.layout.target == TargetKind::Values {
            return None;
        }
        let occurs = |class: &usize| {
            let mut files = self.files.iter();
            files.any(|file| file.classes.get(*class) == Some(&true))
        };
        let in_files = self.files.iter().map(|file| file.n_outputs);
        let classes = 0..in_files.max().unwrap_or(0); // the network may have more outputs
        let never: Vec<String> = classes
            .clone()
            .filter(|class| !occurs(class))
            .map(|class| class.to_string())
            .collect();
        let remedy = match &never[..] {
            [] => return None,
            [first, ..] if first == "0" => {
                "if labels count from 1, as in MATLAB: labels = labels - 1"
            }
            _ => {
                "labels = np.unique(labels, return_inverse=True)[1].reshape(labels.shape) leaves none out"
            }
        };
        let shown = match never.len() {
            1 => format!("class {} never occurs", never[0]),
            n @ 2..=9 => format!("classes {} never occur", never[..n].join(", ")),
            n => format!("{n} classes never occur, such as {}", never[0]),
        };
        Some(format!(
            "{shown} among the labels, which go up to {}; {remedy}",
            classes.end - 1
        ))
    }
}

impl Tested {
    /// Returns the conditions of the trials on which the run was trained; empty if the files no longer exist.
    fn conditions(&self) -> Vec<Condition> {
        let Ok(mut read) = TrialsFromFile::read_files(&self.config, self.clock, None) else {
            return Vec::new();
        };
        let n_held_out = n_held_out(read.n_trials(), self.config.validation_fraction);
        read.split(n_held_out, self.seed);
        read.conditions()
    }
}

/// Returns the choices of the trials on which a run was trained: those that it recorded, otherwise those of its files;
/// `None` if these no longer exist.
fn trained_choices(trained: Trained, clock: Clock) -> Option<Vec<usize>> {
    if let Some(choices) = trained.choices {
        return Some(choices.to_vec());
    }
    let config: NpzConfig = from_toml(trained.table.clone().into()).ok()?;
    let read = TrialsFromFile::read_files(&config, clock, None).ok()?;
    Some(read.layout.choices)
}

/// Lists values, or if there are many says how many and in which range.
fn shown_values(sorted: &[f64]) -> String {
    const MOST: usize = 12;
    match sorted {
        [only] => format!("is only {only}"),
        few if few.len() <= MOST => {
            let few: Vec<String> = few.iter().map(f64::to_string).collect();
            format!("are {}", few.join(", "))
        }
        [first, .., last] => format!("are {} values from {first} to {last}", sorted.len()),
        [] => "is none".to_owned(),
    }
}

/// Computes the number of trials to set aside of `n`: at least one, and leaves at least one if there are two.
fn n_held_out(n: usize, fraction: f64) -> usize {
    ((n as f64 * fraction).round() as usize).clamp(1, n.max(2) - 1)
}

fn nothing_to_train_on(n_trials: usize) -> TaskError {
    match n_trials {
        0 | 1 => {
            let what = format!(
                "{n_trials} trial is too few: one is set aside for validation and one is trained on"
            );
            TaskError::data("files", what)
        }
        _ => TaskError::config(
            "validation_fraction",
            format!("1 sets all {n_trials} trials aside, so none is left to train on"),
        )
        .with_help(
            "a fraction below 1, such as 0.2; `eval` takes all trials of another file by itself",
        ),
    }
}

/// Refuses a file that is named twice, also by another spelling of its path: trials that are set aside for validation
/// would be trained on.
fn check_each_once(files: &[InputPath]) -> Result<(), TaskError> {
    let mut seen = BTreeMap::new();
    for InputPath(path) in files {
        let place = path.canonicalize().unwrap_or_else(|_| path.clone());
        let Some(earlier) = seen.insert(place, path) else {
            continue;
        };
        let same = if earlier == path {
            String::new()
        } else {
            format!(", as {} too", earlier.display())
        };
        let message = format!("{} is named twice{same}", path.display());
        let help = "name each file once; trials that occur twice would be both set aside for validation and trained on";
        return Err(TaskError::config("files", message).with_help(help));
    }
    Ok(())
}

/// Checks that a file can be combined with the first, for the network of a run if there is one.
fn file_fits(
    file: &TrialFile,
    first: &TrialFile,
    trained: Option<Trained>,
) -> Result<(), TaskError> {
    agree(file, first)?;
    let Some(trained) = trained else {
        return Ok(());
    };
    let is_classes = file.target_kind == TargetKind::Classes;
    let (what, found, expected) = match () {
        () if file.n_inputs != trained.n_inputs => ("input", file.n_inputs, trained.n_inputs),
        () if !is_classes && file.n_outputs != trained.n_outputs => {
            ("output", file.n_outputs, trained.n_outputs)
        }
        () if file.n_outputs > trained.n_outputs => return file.check_outputs(trained.n_outputs),
        () => return Ok(()),
    };
    let message = format!(
        "{} has {}, but the network has {expected}",
        file.path.display(),
        counted(found, what)
    );
    let help = "test a network with trials of the channels that it was trained on";
    Err(TaskError::data("files", message).with_help(help))
}

fn layout(file: &TrialFile, n_outputs: usize) -> Layout {
    Layout {
        choices: Vec::new(),
        recorded: file.n_recorded(),
        ..Layout::numbered(file.n_inputs, n_outputs, file.target_kind)
    }
}

/// Checks that two files can be combined into one set of trials.
fn agree(file: &TrialFile, first: &TrialFile) -> Result<(), TaskError> {
    let names = |file: &TrialFile| {
        let names = file.conditions.iter().map(|(name, _)| name.clone());
        names.collect::<Vec<_>>()
    };
    let is_classes = |file: &TrialFile| file.target_kind == TargetKind::Classes;
    let difference = if file.n_inputs != first.n_inputs {
        format!(
            "{} against {}",
            counted(file.n_inputs, "input"),
            first.n_inputs
        )
    } else if is_classes(file) != is_classes(first) {
        "one has labels, the other targets".to_owned()
    } else if !is_classes(file) && file.n_outputs != first.n_outputs {
        format!(
            "{} against {}",
            counted(file.n_outputs, "output"),
            first.n_outputs
        )
    } else if file.is_masked_by_output() != first.is_masked_by_output() {
        "one has a mask per output, the other has not".to_owned()
    } else if file.n_recorded() != first.n_recorded() {
        format!(
            "{} in unit_targets against {}",
            counted(file.n_recorded(), "unit"),
            first.n_recorded()
        )
    } else if names(file) != names(first) {
        format!("conditions {:?} against {:?}", names(file), names(first))
    } else {
        return Ok(());
    };
    let (a, b) = (file.path.display(), first.path.display());
    Err(TaskError::data(
        "files",
        format!("{a} and {b} disagree: {difference}"),
    ))
}

#[cfg(test)]
mod tests {
    use ctrnn_tasks::Registry;

    use super::*;
    use ctrnn_files::{Array, npz};
    use ctrnn_tasks::{Mask, Target};
    use tempfile::TempDir;

    type Arrays = Vec<(&'static str, Array)>;

    /// Returns trials with `inputs[b][t] = 10 b + t`, and the trial's number modulo 3 as labels.
    fn numbered(n_trials: usize, n_steps: usize) -> Arrays {
        let rows = || (0..n_trials).flat_map(|b| (0..n_steps).map(move |t| (b, t)));
        let inputs = rows().map(|(b, t)| (10 * b + t) as f32).collect();
        let labels = rows().map(|(b, _)| (b % 3) as i64).collect();
        vec![
            ("inputs", Array::f32(&[n_trials, n_steps, 1], inputs)),
            ("labels", Array::i64(&[n_trials, n_steps], labels)),
        ]
    }

    fn write(folder: &TempDir, name: &str, arrays: Arrays) -> InputPath {
        let path = folder.path().join(name);
        let named = arrays
            .into_iter()
            .map(|(name, array)| (name.to_owned(), array));
        npz::write(&path, &named.collect()).unwrap();
        InputPath(path)
    }

    fn read_as(
        config: &NpzConfig,
        trained: Option<Trained>,
    ) -> Result<TrialsFromFile, Vec<TaskError>> {
        let registry = Registry::new();
        let context = BuildContext {
            clock: Clock::new(20.0).unwrap(),
            seed: 1,
            base_dir: std::path::Path::new("."),
            registry: &registry,
            programs: ctrnn_tasks::Programs::NEVER,
            trained,
        };
        TrialsFromFile::read(config, &context)
    }

    fn config(files: &[&InputPath]) -> NpzConfig {
        NpzConfig {
            files: files.iter().map(|&file| file.clone()).collect(),
            ..NpzConfig::default()
        }
    }

    fn read(arrays: Arrays) -> Result<TrialsFromFile, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = write(&folder, "trials.npz", arrays);
        let read = read_as(&config(&[&file]), None);
        read.map_err(|errors| errors[0].to_string())
    }

    fn request(n_trials: usize, conditions: ConditionOrder) -> BatchRequest {
        BatchRequest {
            clock: Clock::new(20.0).unwrap(),
            first_trial: 5,
            n_trials,
            key: Key::new(1, Stream::Trials, 0),
            step: 7,
            conditions,
        }
    }

    /// Uses 60 trials with 1, 2, .. trials per condition: the draw must equal that of a walk through all conditions.
    #[test]
    fn conditions_are_drawn_by_their_place() {
        let mut arrays = numbered(60, 2);
        let coh = (0..60).map(|b| f64::from(b).sqrt().floor()).collect();
        arrays.push(("cond_coh", Array::f64(&[60], coh)));
        let task = read(arrays).unwrap();
        let conditions = task.conditions();
        assert!((5..=8).contains(&conditions.len()), "{}", conditions.len());
        assert_eq!(task.n_conditions(), conditions.len());
        for order in [ConditionOrder::Weighted, ConditionOrder::Balanced] {
            let request = request(200, order);
            let batch = task.sample_batch(&request).unwrap();
            for b in 0..request.n_trials {
                let number = request.first_trial + b;
                let mut rng = Rng::new(request.key, number as u64, request.step);
                let condition = match order {
                    ConditionOrder::Weighted => Condition::draw(&conditions, &mut rng),
                    _ => &conditions[number % conditions.len()],
                };
                let trial = task.sample_trial(condition, request.clock, &mut rng);
                assert_eq!(batch.trial(b), trial);
                assert_eq!(trial.condition, condition.values);
            }
        }
    }

    #[test]
    fn conditions_are_those_of_equal_values_in_order_of_appearance() {
        let nan = f64::NAN;
        let mut arrays = numbered(8, 1);
        let coh = vec![0.5, nan, -0.0, 0.5, -nan, 0.0, 0.5, nan];
        arrays.push(("cond_coh", Array::f64(&[8], coh)));
        arrays.push(("cond_side", Array::f64(&[8], vec![1.0; 8])));
        let task = read(arrays).unwrap();
        let weights: f64 = task.conditions().iter().map(|c| c.weight).sum();
        assert_eq!((task.n_conditions(), weights), (3, 6.0)); // a fifth of 8 is held out
        let first: Vec<u32> = (0..3).map(|k| task.members(k)[0]).collect();
        let mut shuffled: Vec<u32> = (0..8).collect();
        Rng::new(Key::new(1, Stream::Validation, 0), 0, 0).shuffle(&mut shuffled);
        assert_eq!(task.held_out, shuffled[..2]);
        let places: Vec<_> = first
            .iter()
            .map(|trial| shuffled.iter().position(|other| other == trial))
            .collect();
        assert!(places.is_sorted(), "{places:?}");
    }

    #[test]
    fn other_files_are_taken_whole_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let own = write(&folder, "own.npz", numbered(9, 2));
        let one = write(&folder, "one.npz", numbered(4, 2));
        let two = write(&folder, "two.npz", numbered(1, 2)); // a single trial, and class 0 alone
        let table = toml::Table::try_from(config(&[&own])).unwrap();
        let trained = Trained {
            n_inputs: 1,
            n_outputs: 3,
            choices: None,
            table: &table,
            is_test: true,
            is_new: false,
        };
        let task = read_as(&config(&[&one, &two]), Some(trained)).unwrap();
        assert_eq!((task.n_training(), task.n_held_out()), (0, 5));
        assert_eq!(task.layout().outputs.len(), 3);
        let inputs: Vec<f32> = (0..5).map(|k| task.held_out(k).inputs[0]).collect();
        assert_eq!(inputs, [0.0, 10.0, 20.0, 30.0, 0.0]);
        let sources: Vec<_> = (0..5).map(|k| task.source(k)).collect();
        assert_eq!(sources, [[0, 0], [0, 1], [0, 2], [0, 3], [1, 0]]);

        let single = read_as(&config(&[&two]), Some(trained)).unwrap();
        assert_eq!((single.n_held_out(), single.layout().outputs.len()), (1, 3));
        let small = Trained {
            n_outputs: 2,
            ..trained
        };
        let error = read_as(&config(&[&own]), Some(small)).unwrap_err()[0].to_string();
        assert!(
            error.contains("label 2 at trial 2, time step 0 has no output"),
            "{error}"
        );
        let wide = Trained {
            n_inputs: 2,
            ..trained
        };
        let error = read_as(&config(&[&own]), Some(wide)).unwrap_err()[0].to_string();
        assert!(
            error.contains("has 1 input, but the network has 2"),
            "{error}"
        );
    }

    /// Checks that the initial states of a network with one per condition are numbered as in training, for any test
    /// files.
    #[test]
    fn a_test_has_the_conditions_of_the_training() {
        let folder = tempfile::tempdir().unwrap();
        let with = |n: usize, side: fn(usize) -> f64| {
            let mut arrays = numbered(n, 1);
            let side = (0..n).map(side).collect();
            arrays.push(("cond_side", Array::f64(&[n], side)));
            arrays
        };
        let own = write(&folder, "own.npz", with(20, |b| (b % 2) as f64));
        let test = write(&folder, "test.npz", with(4, |_| 1.0));
        let own = config(&[&own]);
        let table = toml::Table::try_from(&own).unwrap();
        let trained = Trained {
            n_inputs: 1,
            n_outputs: 3,
            choices: None,
            table: &table,
            is_test: true,
            is_new: false,
        };
        let conditions = read_as(&own, None).unwrap().conditions();
        assert_eq!(conditions.len(), 2);
        let task = read_as(&config(&[&test]), Some(trained)).unwrap();
        assert_eq!(task.conditions(), conditions);
        assert_eq!(task.n_conditions(), 2);
    }

    #[test]
    fn all_trials_are_held_out_by_a_fraction_of_one() {
        let folder = tempfile::tempdir().unwrap();
        let own = write(&folder, "own.npz", numbered(9, 2));
        let whole = NpzConfig {
            validation_fraction: 1.0,
            ..config(&[&own])
        };
        let table = toml::Table::try_from(&whole).unwrap();
        let trained = Trained {
            n_inputs: 1,
            n_outputs: 3,
            choices: None,
            table: &table,
            is_test: false,
            is_new: false,
        };
        let task = read_as(&whole, Some(trained)).unwrap();
        assert_eq!(task.n_held_out(), 9);
        assert_eq!(task.held_out(8).inputs[0], 80.0);
        let error = &read_as(&whole, None).unwrap_err()[0];
        assert_eq!(error.key, "validation_fraction");
        assert!(
            error.to_string().contains("none is left to train on"),
            "{error}"
        );
    }

    /// Uses NaN, infinities, labels of -100 and 255: after the end of a trial, and in targets where the mask is 0.
    #[test]
    fn padding_is_not_data() {
        let nan = f32::NAN;
        let short = Array::i64(&[2], vec![1, 2]);
        let inputs = Array::f32(&[2, 2, 1], vec![1.0, nan, 2.0, 3.0]);
        let labels = |type_: fn(Vec<f64>) -> Array| type_(vec![1.0, -100.0, 0.0, 255.0]);
        let as_f64 = |labels: Vec<f64>| Array::f64(&[2, 2], labels);
        let as_i64 =
            |labels: Vec<f64>| Array::i64(&[2, 2], labels.iter().map(|&x| x as i64).collect());
        for labels in [labels(as_f64), labels(as_i64)] {
            let mask = Array::f32(&[2, 2], vec![1.0, nan, 1.0, 0.0]);
            let arrays = vec![
                ("inputs", inputs.clone()),
                ("labels", labels),
                ("n_steps", short.clone()),
                ("mask", mask),
            ];
            let task = read(arrays).unwrap();
            assert_eq!(task.layout().outputs.len(), 2); // 255 does not count
            let [first, second] = [0, 1].map(|b| task.files[0].trial(b, &task.layout));
            assert_eq!((first.n_steps, first.inputs), (1, vec![1.0]));
            assert_eq!(first.target, Target::Classes(vec![1]));
            assert_eq!(second.target, Target::Classes(vec![0, 0]));
            assert_eq!(second.mask, Mask::Steps(vec![1.0, 0.0]));
        }
        let targets = Array::f32(&[2, 2, 2], vec![1.0, nan, nan, nan, 2.0, 3.0, nan, 4.0]);
        let mask = Array::f32(&[2, 2, 2], vec![1.0, 0.0, nan, -1.0, 1.0, 1.0, 0.0, 1.0]);
        let arrays = vec![
            ("inputs", inputs.clone()),
            ("targets", targets),
            ("n_steps", short),
            ("mask", mask),
        ];
        let task = read(arrays).unwrap();
        let [first, second] = [0, 1].map(|b| task.files[0].trial(b, &task.layout));
        assert_eq!(first.target, Target::Values(vec![1.0, 0.0]));
        assert_eq!(second.target, Target::Values(vec![2.0, 3.0, 0.0, 4.0]));
        assert_eq!(second.mask, Mask::Outputs(vec![1.0, 1.0, 0.0, 1.0]));
    }

    /// Checks that inputs must be valid even where the mask is 0, because the network reads them.
    #[test]
    fn what_is_data_is_told_by_its_place() {
        let zeros = |shape: &[usize]| Array::f32(shape, vec![0.0; shape.iter().product()]);
        let at = |shape: &[usize], place: usize, value: f32| {
            let mut values = vec![0.0; shape.iter().product()];
            values[place] = value;
            Array::f32(shape, values)
        };
        let at_f64 = |shape: &[usize], place: usize, value: f64| {
            let mut values = vec![0.0; shape.iter().product()];
            values[place] = value;
            Array::f64(shape, values)
        };
        let inputs = || ("inputs", zeros(&[3, 4, 2]));
        let targets = || ("targets", zeros(&[3, 4, 1]));
        let table: Vec<(Arrays, &[&str])> = vec![
            (
                vec![
                    ("inputs", at(&[3, 4, 2], 13, f32::NAN)),
                    targets(),
                    ("mask", at(&[3, 4], 0, 1.0)),
                ],
                &[
                    "inputs holds NaN at trial 1, time step 2, input 1",
                    "np.nan_to_num(inputs",
                ],
            ),
            (
                vec![("inputs", at(&[3, 4, 2], 23, f32::NAN)), targets()],
                &[
                    "inputs holds NaN at trial 2, time step 3, input 1",
                    "n_steps = np.isfinite(inputs).all(-1).sum(1)",
                ],
            ),
            (
                vec![
                    ("inputs", Array::f64(&[3, 4, 2], vec![1e39; 24])),
                    targets(),
                ],
                &["at trial 0, time step 0, input 0, which is too large to train on: at most 1e9"],
            ),
            (
                vec![inputs(), ("targets", at(&[3, 4, 1], 5, f32::INFINITY))],
                &[
                    "targets holds inf at trial 1, time step 1, output 0",
                    "mask = np.isfinite(targets)",
                ],
            ),
            (
                vec![
                    inputs(),
                    ("targets", at(&[3, 4, 1], 5, f32::NAN)),
                    ("mask", Array::f32(&[3, 4], vec![1.0; 12])),
                ],
                &["mask = mask[..., None] * np.isfinite(targets)"],
            ),
            (
                vec![inputs(), ("labels", at(&[3, 4], 7, -100.0))],
                &[
                    "label -100 at trial 1, time step 3 is not a class",
                    "mask = (labels != -100)",
                    "np.unique(labels, return_inverse=True)[1]",
                ],
            ),
            (
                vec![inputs(), ("labels", at(&[3, 4], 7, f32::NAN))],
                &["label NaN at trial 1", "mask = np.isfinite(labels)"],
            ),
            (
                vec![inputs(), targets(), ("mask", at(&[3, 4], 6, -1.0))],
                &["mask holds -1 at trial 1, time step 2"],
            ),
            (
                vec![inputs(), targets(), ("mask", at_f64(&[3, 4], 6, 1e39))],
                &[
                    "mask holds 1e39 at trial 1, time step 2; it must be 0 (does not count) or more, at most 1e9",
                    "mask = mask / mask.max()",
                ],
            ),
            (
                vec![inputs(), targets(), ("mask", zeros(&[3, 4]))],
                &["mask is 0 everywhere"],
            ),
            (
                vec![inputs(), targets(), ("n_steps", at_f64(&[3], 0, 2.5))],
                &[
                    "n_steps holds 2.5 at trial 0",
                    "np.clip(np.nan_to_num(n_steps), 1, 4).astype(int)",
                ],
            ),
            (
                vec![inputs(), targets(), ("dt_ms", at_f64(&[1], 0, -5.0))],
                &[
                    "dt_ms is -5; it must be the length of a time step in ms",
                    "dt_ms = 20, or leave it out",
                ],
            ),
            (
                vec![inputs(), targets(), ("dt_ms", at_f64(&[1], 0, f64::NAN))],
                &["dt_ms is NaN", "dt_ms = 20"],
            ),
            (
                vec![inputs(), targets(), ("dt_ms", at_f64(&[1], 0, 5.0))],
                &["has time steps of 5 ms", "set time.dt_ms=5"],
            ),
            (
                vec![
                    inputs(),
                    targets(),
                    (
                        "cond_time",
                        Array::i64(&[3], vec![0, 1_700_000_000_000_000_001, 0]),
                    ),
                ],
                &["cond_time: ", "cond_time = cond_time / 1e9"],
            ),
            (
                vec![
                    inputs(),
                    targets(),
                    ("n_steps", Array::i64(&[3], vec![4, 0, 4])),
                ],
                &["n_steps holds 0 at trial 1; it must be 1 to 4"],
            ),
            (
                vec![
                    inputs(),
                    targets(),
                    ("cond_coh", at(&[3], 2, f32::INFINITY)),
                ],
                &["cond_coh holds an infinity at trial 2", "np.nan"],
            ),
        ];
        for (arrays, says) in table {
            let error = read(arrays).unwrap_err();
            assert!(says.iter().all(|part| error.contains(part)), "{error}");
        }
    }

    #[test]
    fn arrays_of_another_shape_are_told_how_to_get_the_right_one() {
        let zeros = |shape: &[usize]| Array::f32(shape, vec![0.0; shape.iter().product()]);
        let ones = |n: usize| Array::i64(&[n], vec![1; n]);
        let all = |inputs: &[usize], name, other: &[usize]| {
            vec![("inputs", zeros(inputs)), (name, zeros(other))]
        };
        let with = |mut arrays: Arrays, name, array| {
            arrays.push((name, array));
            arrays
        };
        let table: Vec<(Arrays, &str)> = vec![
            (
                all(&[6, 4, 2], "targets", &[6, 4]),
                "targets = targets[..., None]",
            ),
            (
                all(&[6, 4, 2], "labels", &[6, 4, 1]),
                "labels = labels[..., 0]",
            ),
            (
                all(&[6, 4, 2], "labels", &[6, 4, 3]),
                "labels = labels.argmax(-1)",
            ),
            (
                all(&[6, 4, 2], "labels", &[6]),
                "np.repeat(labels[:, None], 4, axis=1)",
            ),
            (
                all(&[6, 4, 2], "labels", &[4, 6]),
                "labels = labels.swapaxes(0, 1)",
            ),
            (
                all(&[6, 4], "labels", &[6, 4]),
                "inputs = inputs[..., None]",
            ),
            (
                all(&[6, 2, 4], "labels", &[6, 4]),
                "inputs = inputs.transpose(0, 2, 1)",
            ),
            (
                all(&[2, 6, 4], "labels", &[6, 4]),
                "inputs = inputs.transpose(1, 2, 0)",
            ),
            (
                with(all(&[4, 6, 2], "labels", &[4, 6]), "n_steps", ones(6)),
                "inputs = inputs.swapaxes(0, 1); labels = labels.swapaxes(0, 1)",
            ),
            (
                with(all(&[4, 6, 2], "labels", &[6, 4]), "cond_side", ones(6)),
                "inputs = inputs.swapaxes(0, 1)",
            ),
            (
                with(all(&[2, 4, 6], "labels", &[4, 6]), "n_steps", ones(6)),
                "inputs = inputs.T; labels = labels.T",
            ),
            (
                with(
                    all(&[6, 4, 2], "labels", &[6, 4]),
                    "cond_side",
                    zeros(&[6, 4]),
                ),
                "cond_side = cond_side[:, 0]",
            ),
        ];
        for (arrays, says) in table {
            let error = read(arrays).unwrap_err();
            assert!(error.contains(says), "{says}: {error}");
        }
    }

    #[test]
    fn what_is_odd_is_noted() {
        let notes = |arrays| read(arrays).unwrap().notes();
        assert_eq!(notes(numbered(9, 2)), [""; 0]);
        let from_one = |mut arrays: Arrays, labels: &[i64]| {
            let shape = arrays[1].1.shape().to_vec();
            arrays[1].1 = Array::i64(&shape, labels.to_vec());
            notes(arrays)
        };
        let found = from_one(numbered(4, 1), &[1, 2, 2, 1]);
        assert_eq!(
            found,
            [
                "class 0 never occurs among the labels, which go up to 2; if labels count from 1, as in MATLAB: labels = labels - 1"
            ]
        );
        let found = from_one(numbered(4, 1), &[0, 3, 0, 3]);
        assert!(
            found[0].starts_with("classes 1, 2 never occur"),
            "{found:?}"
        );
        let found = notes(numbered(4, 9));
        assert!(
            found[0].contains("4 trials of 9 time steps each"),
            "{found:?}"
        );
        let found = from_one(numbered(3, 3), &[0, 1, 2, 0, 1, 2, 0, 1, 2]);
        assert!(
            found[0].contains("all 3 trials have the same labels"),
            "{found:?}"
        );
        assert!(
            found[0].contains("inputs = inputs.swapaxes(0, 1)"),
            "{found:?}"
        );
    }
}
