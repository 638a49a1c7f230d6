//! What a task is.

use std::path::PathBuf;

use ctrnn_random::{Key, Rng};

use crate::{Check, Clock, Condition, Epoch, TaskError, Trial, TrialBatch};

/// The inputs and outputs of a task. Their order is that of the arrays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Names of the inputs; there may be none.
    pub inputs: Vec<String>,
    /// Names of the outputs.
    pub outputs: Vec<String>,
    /// What the outputs are compared with.
    pub target: TargetKind,
    /// The outputs that are choices, by index; empty for a task without choices.
    pub choices: Vec<usize>,
}

/// What outputs are compared with; decides the default loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// With a value for each output (mean squared error).
    Values,
    /// With the output that should be largest (cross-entropy).
    Classes,
}

impl Layout {
    /// Targets are values, and every output is a choice.
    #[must_use]
    pub fn new<const I: usize, const O: usize>(inputs: [&str; I], outputs: [&str; O]) -> Self {
        Self {
            inputs: inputs.map(str::to_owned).to_vec(),
            outputs: outputs.map(str::to_owned).to_vec(),
            target: TargetKind::Values,
            choices: (0..O).collect(),
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

    /// Makes a trial of a condition; all chance comes from `rng`.
    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial;

    /// Trials set aside for validation, for tasks with a finite set of trials.
    fn held_out(&self) -> Option<&[Trial]> {
        None
    }

    /// The files that trials come from.
    fn input_files(&self) -> Vec<PathBuf> {
        Vec::new()
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
    /// no correct answer. As provided, the choice is the largest of the outputs that are choices,
    /// at the last time step that counts.
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
        let n_choices = self.layout().choices.len();
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
