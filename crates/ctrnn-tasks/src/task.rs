//! The trait of tasks.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use ctrnn_random::{Key, Rng};

use crate::{
    Check, Clock, Condition, Cues, Epoch, Layout, Meaning, TaskError, Timeline, Trial, TrialBatch,
};

/// A request for a batch of trials.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchRequest {
    /// The time grid.
    pub clock: Clock,
    /// Number of the first trial: 0, or more for a part of a larger batch.
    pub first_trial: usize,
    /// Number of trials, at least 1.
    pub n_trials: usize,
    /// Seed and stream.
    pub key: Key,
    /// Training step, which together with the key determines the batch.
    pub step: u64,
    /// Choice of the conditions.
    pub conditions: ConditionOrder,
}

/// The way in which the conditions of a batch are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionOrder {
    /// For training: the condition of each trial is drawn by weight.
    Weighted,
    /// The conditions of positive weight are used in a cycle.
    Balanced,
    /// For validation: the tasks of a mixture are used in a cycle, and so are the conditions of each; for any other task
    /// the same as `Balanced`.
    BalancedTasks,
}

/// Request from another thread to stop waiting for trials: [`Task::sample_batch`] then fails soon.
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

/// A finite set of trials, such as those in files. Some are held out: they are never used in training, and are
/// evaluated in order.
pub trait TrialSet {
    /// Returns the number of trials used in training; 0 for a set of test trials.
    fn n_training(&self) -> usize;

    /// Returns the number of trials that are held out.
    fn n_held_out(&self) -> usize;

    /// Returns a held-out trial by its number.
    ///
    /// # Panics
    /// If there is no trial of this number.
    fn held_out(&self, number: usize) -> Trial;

    /// Returns the condition of a held-out trial.
    ///
    /// # Panics
    /// If there are not so many.
    fn held_out_condition(&self, number: usize) -> Vec<(String, f64)> {
        self.held_out(number).condition
    }

    /// Returns the source of a held-out trial: the number of its file and its row there, from 0.
    ///
    /// # Panics
    /// If there is no trial of this number.
    fn source(&self, number: usize) -> [usize; 2];

    /// Returns the number of time steps of the shortest and of the longest trial.
    fn n_steps(&self) -> RangeInclusive<usize>;
}

/// A task: its inputs and outputs, conditions and trials, and the rule for correct trials.
///
/// The struct that implements it is the task's table in a configuration. The required methods are
/// [`layout`](Self::layout), [`conditions`](Self::conditions) and
/// [`sample_trial`](Self::sample_trial). If a task implements [`epochs`](Self::epochs), its durations are
/// checked and described. Copy `go_nogo.rs` to start a new task.
pub trait Task: Send + Sync {
    /// Returns the inputs and outputs.
    fn layout(&self) -> Layout;

    /// Returns the epochs of a trial, in order; empty if they depend on the condition.
    fn epochs(&self) -> Vec<Epoch> {
        Vec::new()
    }

    /// Returns the number of time steps of the longest trial that can be drawn, if known beforehand. By default this is
    /// the
    /// sum of the longest durations of the [`epochs`](Self::epochs), or `None` without epochs.
    fn longest_steps(&self, clock: Clock) -> Option<usize> {
        let epochs = self.epochs();
        let longest = |epoch: &Epoch| clock.nearest(epoch.duration.bounds_ms()[1]);
        (!epochs.is_empty()).then(|| epochs.iter().map(longest).sum())
    }

    /// Checks the configuration. By default it checks that durations are multiples of the time step
    /// and that the conditions can be drawn; see [`Check`] for more.
    ///
    /// # Errors
    /// All errors at once. Other methods may panic on a task that fails its check.
    fn check(&self, clock: Clock) -> Result<(), Vec<TaskError>> {
        Check::new(clock)
            .epochs(&self.epochs())
            .conditions(&self.conditions())
            .finish()
    }

    /// Returns the keys of the table that differ from their default but have no effect because of other keys, each with
    /// the
    /// reason.
    fn unused_keys(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// Returns every condition; at least one.
    fn conditions(&self) -> Vec<Condition>;

    /// Returns the number of [`conditions`](Self::conditions).
    fn n_conditions(&self) -> usize {
        self.conditions().len()
    }

    /// Makes a trial of a condition; all random numbers come from `rng`.
    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial;

    /// Returns the trials of a task that has a finite set of them.
    fn trial_set(&self) -> Option<&dyn TrialSet> {
        None
    }

    /// Returns notes for the user about unusual trials, which are not errors.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// Returns the files that hold the trials.
    fn input_files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Returns the program that makes the trials, if it is not started ([`Programs::Never`](crate::Programs)): then
    /// there is a
    /// layout, but no batch can be made.
    fn unstarted_program(&self) -> Option<String> {
        None
    }

    /// Returns the request that ends a wait in [`sample_batch`](Self::sample_batch), for tasks whose trials another process makes.
    fn interrupt(&self) -> Option<&Interrupt> {
        None
    }

    /// Makes a batch. Trial `b`, counted from `first_trial`, draws from `Rng::new(key, b, step)`: first
    /// its condition, if weighted, then the trial. It depends only on key, step and `b`, so that a large
    /// batch can be made in parts.
    ///
    /// # Errors
    /// If the task has no conditions; an implementation may have other errors.
    fn sample_batch(&self, request: &BatchRequest) -> Result<TrialBatch, TaskError> {
        let conditions = self.conditions();
        if conditions.is_empty() {
            return Err(TaskError::config("", "the task has no conditions"));
        }
        Ok(batch_of(self, &conditions, request))
    }

    /// Returns the choice in a readout `[T, O]` of this trial (without padding): by default the largest of the outputs
    /// that are choices, or the sign of the only one, at the last time step that counts. A reaction-time version reads
    /// it at the response; `None` without one.
    fn choice(&self, trial: &Trial, outputs: &[f32]) -> Option<usize> {
        trial.choice(outputs, &self.layout().choices)
    }

    /// Returns true if a readout `[T, O]` of this trial (without padding) is correct; `None` if the trial has
    /// no correct answer. By default its [`choice`](Self::choice) must be the correct one.
    fn is_correct(&self, trial: &Trial, outputs: &[f32]) -> Option<bool> {
        let correct = trial.correct?;
        Some(self.choice(trial, outputs) == Some(correct))
    }

    /// Returns the error, once, because of which [`is_correct`](Self::is_correct) could not decide, for tasks whose program decides.
    fn failure(&self) -> Option<TaskError> {
        None
    }

    /// Returns the reaction time in a readout `[T, O]` of this trial, in a reaction-time version: the number of time
    /// steps from
    /// the onset of the evidence up to and including the decision. `None` without a decision, and in all other tasks.
    fn reaction_steps(&self, _trial: &Trial, _outputs: &[f32]) -> Option<usize> {
        None
    }

    /// Returns the position (x, y) in cm after each time step of a trial of a spatial task; `None` for other tasks.
    fn positions(&self, _trial: &Trial) -> Option<Vec<[f64; 2]>> {
        None
    }

    /// Returns the names of the tasks of a mixture; the condition `task` of a trial is an index into them. Empty for
    /// any other task.
    fn mixed_tasks(&self) -> Vec<String> {
        Vec::new()
    }

    /// Describes a condition: label, unit and scale of a quantity, or the names of its values. By default its name says
    /// what it is ([`Meaning::of_name`]).
    fn meaning(&self, condition: &str) -> Meaning {
        Meaning::of_name(condition)
    }

    /// Returns the name of a condition's value, such as `motion` for the context 0; `None` if it is a number.
    fn value_name(&self, condition: &str, value: f64) -> Option<String> {
        match self.meaning(condition) {
            Meaning::Names(names) => {
                let mut names = names.into_iter();
                names
                    .find(|(known, _)| *known == value)
                    .map(|(_, name)| name)
            }
            Meaning::Quantity(_) | Meaning::Index => None,
        }
    }

    /// Returns the condition that shows one of two cues, or both; `None` if the task does not combine cues.
    fn cues(&self) -> Option<Cues> {
        None
    }

    /// Describes the rule of [`is_correct`](Self::is_correct) in a sentence; override both together.
    fn correct_rule(&self) -> String {
        rule_of_choices(&self.layout())
    }

    /// Returns chance level: the accuracy of a blind readout, independent standard normal numbers at every
    /// output and time step. `None` if the task has no accuracy. By default this is 1 / number of
    /// choices; override it together with [`is_correct`](Self::is_correct).
    fn chance(&self) -> Option<f64> {
        let n_choices = self.layout().alternatives().len();
        (n_choices > 0).then(|| 1.0 / n_choices as f64)
    }
}

/// Describes the rule of tasks whose choice is the largest of some outputs, or the sign of one.
#[must_use]
pub fn rule_of_choices(layout: &Layout) -> String {
    let Layout {
        outputs, choices, ..
    } = layout;
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

// Here rather than next to the struct, so that a trial does not depend on the trait.
impl Trial {
    /// Creates a trial as [`new`](Self::new) does, with the epochs of `task`, whose durations are drawn.
    #[must_use]
    pub fn blank<T: Task>(task: &T, condition: &Condition, clock: Clock, rng: &mut Rng) -> Self {
        let timeline = Timeline::draw(&task.epochs(), clock, rng);
        Self::new(&task.layout(), condition, timeline)
    }
}

/// Makes a batch of trials of some conditions of a task, as [`Task::sample_batch`] does of all.
pub(crate) fn batch_of<T: Task + ?Sized>(
    task: &T,
    conditions: &[Condition],
    request: &BatchRequest,
) -> TrialBatch {
    let possible: Vec<&Condition> = conditions.iter().filter(|c| c.weight > 0.0).collect();
    batch_with(task, request, |b, rng| match request.conditions {
        ConditionOrder::Weighted => Condition::draw(conditions, rng),
        ConditionOrder::Balanced | ConditionOrder::BalancedTasks => possible[b % possible.len()],
    })
}

/// Makes a batch of trials of a task; `condition` chooses the condition of trial `b`.
pub(crate) fn batch_with<'a, T: Task + ?Sized>(
    task: &T,
    request: &BatchRequest,
    condition: impl Fn(usize, &mut Rng) -> &'a Condition,
) -> TrialBatch {
    let trials = (0..request.n_trials).map(|place| {
        let b = request.first_trial + place;
        let mut rng = Rng::new(request.key, b as u64, request.step);
        let condition = condition(b, &mut rng);
        task.sample_trial(condition, request.clock, &mut rng)
    });
    let longest = task.longest_steps(request.clock).unwrap_or(0);
    TrialBatch::with_capacity(trials, longest)
}
