//! What a task is.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use ctrnn_random::{Key, Rng};
use serde::{Deserialize, Serialize};

use crate::{Check, Clock, Condition, Epoch, TaskError, Trial, TrialBatch};

/// The inputs and outputs of a task. Their order is that of the arrays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Names of the inputs; there may be none.
    pub inputs: Vec<String>,
    /// Names of the outputs.
    pub outputs: Vec<String>,
    /// What the outputs are compared with.
    pub target: TargetKind,
    /// The outputs that are choices, by index: the largest of them is the choice. A single one chooses by its sign. Empty for a
    /// task without choices.
    pub choices: Vec<usize>,
}

/// What outputs are compared with; decides the default loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// With a value for each output (mean squared error).
    Values,
    /// With the output that should be largest (cross-entropy).
    Classes,
}

impl Layout {
    /// Targets are values, and every output is a choice, unless there is only one.
    #[must_use]
    pub fn new<const I: usize, const O: usize>(inputs: [&str; I], outputs: [&str; O]) -> Self {
        Self {
            inputs: inputs.map(str::to_owned).to_vec(),
            outputs: outputs.map(str::to_owned).to_vec(),
            target: TargetKind::Values,
            choices: if O == 1 { Vec::new() } else { (0..O).collect() },
        }
    }

    /// Lists the choices that can be made, by the numbers that [`Trial::choice`] has for them.
    #[must_use]
    pub fn alternatives(&self) -> Vec<usize> {
        match self.choices[..] {
            [_] => vec![0, 1],
            _ => self.choices.clone(),
        }
    }

    /// Names a choice, given by its number, like its output; where one output chooses by its sign, `output < 0` or `output > 0`.
    ///
    /// # Panics
    /// If there is no such choice.
    #[must_use]
    pub fn choice_name(&self, choice: usize) -> String {
        match self.choices[..] {
            [only] => format!("{} {} 0", self.outputs[only], ["<", ">"][choice]),
            _ => self.outputs[choice].clone(),
        }
    }

    /// The same with further inputs, such as those of a [`Ring`](crate::Ring).
    #[must_use]
    pub fn with_inputs(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.inputs.extend(names);
        self
    }

    /// The same with further outputs, which are no choices.
    #[must_use]
    pub fn with_outputs(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.outputs.extend(names);
        self
    }

    /// Channels of which only the numbers are known: `input 0`, `output 0`.
    #[must_use]
    pub fn numbered(n_inputs: usize, n_outputs: usize, target: TargetKind) -> Self {
        let names = |what: &str, n: usize| (0..n).map(|k| format!("{what} {k}")).collect();
        Self {
            inputs: names("input", n_inputs),
            outputs: names("output", n_outputs),
            target,
            choices: match n_outputs {
                1 => Vec::new(),
                n => (0..n).collect(),
            },
        }
    }

    /// The same with these outputs as the choices.
    #[must_use]
    pub fn with_choices(self, choices: &[usize]) -> Self {
        Self {
            choices: choices.to_vec(),
            ..self
        }
    }
}

/// Which trials are asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchRequest {
    /// The time grid.
    pub clock: Clock,
    /// The number of the first trial: 0, or more for a part of a larger batch.
    pub first_trial: usize,
    /// How many trials, at least 1.
    pub n_trials: usize,
    /// Seed and stream.
    pub key: Key,
    /// The training step; with the key it determines the batch.
    pub step: u64,
    /// How conditions are chosen.
    pub conditions: ConditionOrder,
}

/// How the conditions of a batch are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionOrder {
    /// Each trial draws its condition by weight: training.
    Weighted,
    /// One after another, again and again, whatever their weights above zero: validation.
    Balanced,
}

/// A request, made on another thread, that a wait for trials ends: [`Task::sample_batch`] then fails soon.
#[derive(Debug, Default)]
pub struct Interrupt(AtomicBool);

impl Interrupt {
    /// Ends a wait, or, by `false`, lets further ones begin.
    pub fn set(&self, is_asked: bool) {
        self.0.store(is_asked, Ordering::Relaxed);
    }

    /// Tells whether the wait is to end.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A finite set of trials, as files hold them. Some are held out: never trained on, and evaluated in the order of their numbers.
pub trait TrialSet {
    /// Number of trials that are trained on; 0 for a set that only tests.
    fn n_training(&self) -> usize;

    /// Number of trials that are held out.
    fn n_held_out(&self) -> usize;

    /// Makes a trial that is held out, by its number.
    ///
    /// # Panics
    /// If there are not so many.
    fn held_out(&self, number: usize) -> Trial;

    /// Where a trial that is held out comes from: the number of its file and its row there, from 0.
    ///
    /// # Panics
    /// If there are not so many.
    fn source(&self, number: usize) -> [usize; 2];

    /// Time steps of the shortest and of the longest trial.
    fn n_steps(&self) -> RangeInclusive<usize>;
}

/// An experiment: which trials there are, and what is right in them.
///
/// The struct that implements it is the task's table in a configuration. Required are
/// [`layout`](Self::layout), [`conditions`](Self::conditions) and
/// [`sample_trial`](Self::sample_trial); a task with [`epochs`](Self::epochs) has its durations
/// checked and described. `go_nogo.rs` is the example to copy.
pub trait Task: Send + Sync {
    /// The inputs and outputs.
    fn layout(&self) -> Layout;

    /// The epochs of a trial, in order; empty if they differ from condition to condition.
    fn epochs(&self) -> Vec<Epoch> {
        Vec::new()
    }

    /// Returns the number of time steps of the longest trial that can be drawn, if it is known beforehand. As provided, the
    /// sum of the longest [`epochs`](Self::epochs); `None` without epochs.
    fn longest_steps(&self, clock: Clock) -> Option<usize> {
        let epochs = self.epochs();
        let longest = |epoch: &Epoch| clock.nearest(epoch.duration.bounds_ms()[1]);
        (!epochs.is_empty()).then(|| epochs.iter().map(longest).sum())
    }

    /// Finds everything that is wrong with the configuration. As provided: durations off the grid
    /// and conditions that cannot be drawn; see [`Check`] for more.
    ///
    /// # Errors
    /// All that was found. Other methods may panic on a task that fails its check.
    fn check(&self, clock: Clock) -> Result<(), Vec<TaskError>> {
        Check::new(clock)
            .epochs(&self.epochs())
            .conditions(&self.conditions())
            .finish()
    }

    /// Returns the keys of the table that have another value than their default, and no effect beside the others, each with the
    /// reason.
    fn unused_keys(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// Every condition; at least one.
    fn conditions(&self) -> Vec<Condition>;

    /// Number of [`conditions`](Self::conditions).
    fn n_conditions(&self) -> usize {
        self.conditions().len()
    }

    /// Makes a trial of a condition; all chance comes from `rng`.
    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial;

    /// The trials of a task that has a finite set of them.
    fn trial_set(&self) -> Option<&dyn TrialSet> {
        None
    }

    /// Tells what is odd in the trials although nothing is wrong.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// The files that trials come from.
    fn input_files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// The program that makes the trials, where it is not started ([`Programs::Never`](crate::Programs)): there is a layout, but
    /// no batch can be made.
    fn unstarted_program(&self) -> Option<String> {
        None
    }

    /// Returns what ends a wait in [`sample_batch`](Self::sample_batch), for tasks whose trials something outside of this process
    /// makes.
    fn interrupt(&self) -> Option<&Interrupt> {
        None
    }

    /// Makes a batch. Trial `b`, counted from `first_trial`, draws from `Rng::new(key, b, step)`, first
    /// its condition if weighted, then itself: trials depend on key, step and `b` alone, so that a large
    /// batch can be made in parts.
    ///
    /// # Errors
    /// If the task has no conditions; overridden, whatever keeps trials from being had.
    fn sample_batch(&self, request: &BatchRequest) -> Result<TrialBatch, TaskError> {
        let conditions = self.conditions();
        if conditions.is_empty() {
            return Err(TaskError::config("", "the task has no conditions"));
        }
        Ok(batch_of(self, &conditions, request))
    }

    /// Whether a readout `[T, O]` of this trial (without padding) is right; `None` if the trial has
    /// no correct answer. As provided, the choice is the largest of the outputs that are choices, or the sign of
    /// the only one, at the last time step that counts.
    fn is_correct(&self, trial: &Trial, outputs: &[f32]) -> Option<bool> {
        let correct = trial.correct?;
        Some(trial.choice(outputs, &self.layout().choices) == Some(correct))
    }

    /// In a reaction-time version, when a readout `[T, O]` of this trial decides: the number of time steps from the onset of
    /// the evidence, that of the decision included. `None` without a decision, and in all other tasks.
    fn reaction_steps(&self, _trial: &Trial, _outputs: &[f32]) -> Option<usize> {
        None
    }

    /// Where the animal of a spatial task is after each time step of a trial, x and y; `None` for other tasks.
    fn positions(&self, _trial: &Trial) -> Option<Vec<[f64; 2]>> {
        None
    }

    /// What a value of a condition is called, where it is only a number for a name, as the `task` of a mixture is.
    fn value_name(&self, _condition: &str, _value: f64) -> Option<String> {
        None
    }

    /// What [`is_correct`](Self::is_correct) decides, in a sentence; goes with it.
    fn correct_rule(&self) -> String {
        let Layout {
            outputs, choices, ..
        } = self.layout();
        if choices.is_empty() {
            return "This task has no choices.".to_owned();
        }
        if let [only] = choices[..] {
            let name = &outputs[only];
            return format!(
                "The choice is the sign of the output {name} at the last time step that counts."
            );
        }
        let names: Vec<&str> = choices
            .iter()
            .map(|&choice| outputs[choice].as_str())
            .collect();
        format!(
            "The choice is the largest of the outputs {} at the last time step that counts.",
            names.join(", ")
        )
    }

    /// The accuracy of a readout that knows nothing: of independent standard normal numbers at every
    /// output and time step. `None` if the task has no accuracy. As provided, one in the number of
    /// choices; goes with [`is_correct`](Self::is_correct).
    fn chance(&self) -> Option<f64> {
        let n_choices = self.layout().alternatives().len();
        (n_choices > 0).then(|| 1.0 / n_choices as f64)
    }
}

/// A batch of trials of some conditions of a task, as [`Task::sample_batch`] makes it of all.
pub(crate) fn batch_of<T: Task + ?Sized>(
    task: &T,
    conditions: &[Condition],
    request: &BatchRequest,
) -> TrialBatch {
    let possible: Vec<&Condition> = conditions.iter().filter(|c| c.weight > 0.0).collect();
    let trial = |place: usize| {
        let b = request.first_trial + place;
        let mut rng = Rng::new(request.key, b as u64, request.step);
        let condition = match request.conditions {
            ConditionOrder::Weighted => Condition::draw(conditions, &mut rng),
            ConditionOrder::Balanced => possible[b % possible.len()],
        };
        task.sample_trial(condition, request.clock, &mut rng)
    };
    let longest = task.longest_steps(request.clock).unwrap_or(0);
    TrialBatch::with_room((0..request.n_trials).map(trial), longest)
}
