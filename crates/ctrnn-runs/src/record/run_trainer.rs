//! The trainer of a run: at its beginning, or at a checkpoint.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::TensorData;
use burn::tensor::backend::{AutodiffBackend, Backend};
use ctrnn_config::{Code, ConfigErrors, InitialWeights, Run, Stage, counted};
use ctrnn_files::{RunFolder, TensorFile, digest};
use ctrnn_model::{CtrnnModule, RecurrenceBackend, Weights};
use ctrnn_train::{
    Counters, LastGoodState, Metric, Objective, OptimizerState, TrainError, TrainSettings, Trainer,
    with_states_of_conditions,
};

use crate::RunError;
use crate::checkpoint::Checkpoint;
use crate::python_terms::set_terms;
use crate::weights::weight_file::{read_weights, tensors_of};

/// Returns the network with which a run begins: read from its folder if that exists, otherwise drawn from the seed or
/// read from a file, whose missing parts are drawn.
///
/// # Errors
/// If it cannot be drawn, the file does not fit it, or the weights in the folder are missing, damaged or of another
/// network.
pub fn initial_network<B: AutodiffBackend>(
    run: &Run,
    device: &B::Device,
) -> Result<CtrnnModule<B>, RunError> {
    if let Some(initial) = &run.initial {
        return kept_network(run, initial, device);
    }
    let network = run.model.init(run.config.seed, device)?;
    match &run.init_file {
        None => {
            let (conditions, _) = states(run, Weights::new());
            Ok(network.with_weights(&conditions)?)
        }
        Some(path) => given_weights(run, path)
            .and_then(|weights| {
                let (weights, _) = states(run, weights);
                Ok(network.with_weights(&weights)?)
            })
            .map_err(|error| unusable_init_file(run, path, &error)),
    }
}

/// Returns a note if the initial weights of a new run lack the initial states of exactly its conditions.
pub fn initial_states_note(run: &Run) -> Option<String> {
    let weights = given_weights(run, run.init_file.as_deref()?).ok()?; // reported by the command that needs it
    states(run, weights).1
}

/// Returns weights with an initial state for each condition of the run, and a note if they were changed.
pub fn states(run: &Run, weights: Weights) -> (Weights, Option<String>) {
    with_states_of_conditions(&run.model, run.task.as_ref(), weights)
}

/// Returns the initial network of a run as its folder keeps it.
fn kept_network<B: Backend>(
    run: &Run,
    initial: &InitialWeights,
    device: &B::Device,
) -> Result<CtrnnModule<B>, RunError> {
    let unusable = |reason: String| RunError::Data {
        path: initial.path.clone(),
        reason,
    };
    if digest::blake3_file(&initial.path)? != initial.blake3 {
        let reason = "is not what this run began with: its digest differs";
        return Err(unusable(reason.to_owned()));
    }
    let weights = read_weights(&initial.path, &run.model)?;
    CtrnnModule::from_weights(&run.model, &weights, device)
        .map_err(|error| unusable(error.to_string()))
}

/// Creates the error of an unusable file of initial weights, located at the key that names it.
fn unusable_init_file(run: &Run, path: &Path, error: &RunError) -> RunError {
    let (code, help) = match error.exit_code() {
        5 => (Code::Io, "check the path and its permissions"),
        _ if path.ends_with(RunFolder::INITIAL_WEIGHTS) && !path.exists() => (
            Code::Data,
            "the configuration of a run names the weights that its folder keeps: train it from there, or say where they are with model.init.file=RUN/initial/weights.safetensors",
        ),
        _ => (
            Code::Data,
            "name a weight file of such a network, or remove the key: ~model.init.file",
        ),
    };
    let path = path.display().to_string();
    let message = match error.to_string() {
        message if message.contains(&path) => message,
        message => format!("{path}: {message}"),
    };
    let message = format!("model.init.file: {message}");
    let problem = run.problem("model.init.file", code, message).help(help);
    RunError::Config(problem.into())
}

/// Returns the initial weights given by a file.
fn given_weights(run: &Run, path: &Path) -> Result<Weights, RunError> {
    let mut weights = match &run.given {
        Some(given) => given.weights.clone(),
        None => read_weights(path, &run.model)?,
    };
    weights.retain(|name, _| !name.starts_with("carried_")); // a carried state from another run must not seed a new one
    Ok(weights)
}

/// Returns the training objective of a run; its deviation penalties refer to the initial weights.
///
/// # Errors
/// See [`initial_network`].
pub fn objective<B: AutodiffBackend>(run: &Run, device: &B::Device) -> Result<Objective, RunError> {
    measured_objective::<B>(run, run.objective.clone(), device)
}

/// Returns an objective of a stage of a run, whose deviation penalties refer to the initial weights of the run.
fn measured_objective<B: AutodiffBackend>(
    run: &Run,
    objective: Objective,
    device: &B::Device,
) -> Result<Objective, RunError> {
    if objective.needs_initial_weights() {
        Ok(objective.measured_from(&initial_network::<B>(run, device)?.weights()))
    } else {
        Ok(objective)
    }
}

/// Begins a stage of a run with the present weights of the trainer.
///
/// # Errors
/// See [`Trainer::begin_stage`].
pub fn begin_stage<'r, B>(
    run: &'r Run,
    index: usize,
    trainer: &mut Trainer<'r, B>,
) -> Result<(), RunError>
where
    B: AutodiffBackend + RecurrenceBackend,
    B::InnerBackend: RecurrenceBackend,
{
    let stage = &run.stages[index];
    let mut settings = stage.settings();
    let device = trainer.network().device();
    settings.objective = measured_objective::<B>(run, settings.objective, &device)?;
    let begun = trainer.begin_stage(&stage.run.model, &stage.run.tasks(), settings);
    begun.map_err(|error| with_place(&stage.run, error))?;
    let before = index.checked_sub(1).map(|before| &run.stages[before].run);
    set_terms(&stage.run, before, trainer)
}

/// Creates a trainer at a checkpoint of a run, or at the beginning without one.
///
/// # Errors
/// If the checkpoint belongs to another network or optimizer, or a metric in the configuration can never be measured.
pub fn trainer_at<'a, B>(
    run: &'a Run,
    checkpoint: Option<Checkpoint>,
    check_every: u64,
    device: &B::Device,
) -> Result<Trainer<'a, B>, RunError>
where
    B: AutodiffBackend + RecurrenceBackend,
    B::InnerBackend: RecurrenceBackend,
{
    let whole = run;
    let progress = checkpoint.as_ref().and_then(|state| state.counters.stage);
    let stage = match progress {
        Some(progress) => Some(stage_at(whole, progress.index)?),
        None => whole.stages.first(),
    };
    let run = stage.map_or(whole, |stage| &stage.run);
    let mut settings = TrainSettings {
        check_every,
        ..stage.map_or_else(|| run.settings(), Stage::settings)
    };
    settings.objective = measured_objective::<B>(whole, settings.objective, device)?;
    let tasks = run.tasks();
    let Some(checkpoint) = checkpoint else {
        let drawn = initial_network::<B>(whole, device)?;
        let network = CtrnnModule::from_weights(&run.model, &drawn.weights(), device)?;
        let rule = run.config.train.optimizer.clone();
        let optimizer = initial_optimizer(whole, device)?.with_rule(rule);
        let trainer = Trainer::resume(network, optimizer, Counters::default(), &tasks, settings);
        let mut trainer = trainer.map_err(|error| with_place(run, error))?;
        set_terms(run, None, &mut trainer)?;
        return Ok(if has_monitors(whole) {
            trainer.with_drift_from(&drawn.weights(), None)
        } else {
            trainer
        });
    };
    let network = CtrnnModule::from_weights(&run.model, &checkpoint.weights, device)?;
    let optimizer = optimizer_of(run, &checkpoint.optimizer, device)?;
    let trainer = Trainer::resume(network, optimizer, checkpoint.counters, &tasks, settings);
    let mut trainer = trainer.map_err(|error| with_place(run, error))?;
    set_terms(run, None, &mut trainer)?;
    if has_monitors(whole) {
        let begun_with = initial_network::<B>(whole, device)?.weights();
        trainer = trainer.with_drift_from(&begun_with, checkpoint.validated.as_ref());
    }
    if let Some(progress) = progress.filter(|progress| progress.is_over) {
        begin_stage(whole, progress.index + 1, &mut trainer)?;
        return Ok(trainer);
    }
    let Some(good) = checkpoint.good else {
        return Ok(trainer);
    };
    Ok(trainer.with_good(LastGoodState {
        network: CtrnnModule::from_weights(&run.model, &good.weights, device)?,
        optimizer: optimizer_of(run, &good.optimizer, device)?,
        counters: good.counters,
    }))
}

/// Returns true if a validation of the run, in any of its stages, has monitors.
pub fn has_monitors(run: &Run) -> bool {
    let stages = run.stages.iter().map(|stage| &stage.run);
    let mut parts = std::iter::once(run).chain(stages);
    parts.any(|part| part.config.validate.monitors)
}

/// Returns a stage of a run, to which a checkpoint belongs.
fn stage_at(run: &Run, index: usize) -> Result<&Stage, RunError> {
    let stage = run.stages.get(index);
    stage.ok_or_else(|| {
        let reason = format!(
            "a checkpoint belongs to stage {}, but the run has {}",
            index + 1,
            counted(run.stages.len(), "stage")
        );
        TrainError::OptimizerState(reason).into()
    })
}

/// Locates an error about metrics that are never measured at the keys that name them; returns any other error
/// unchanged.
pub fn with_place(run: &Run, error: TrainError) -> RunError {
    let set_of = |metrics: &[(&str, Metric)]| metrics.first().and_then(|(_, m)| m.set.clone());
    let problems = |metrics: Vec<(&str, Metric)>, why: &str, help: &dyn Fn(&str) -> String| {
        let problem = |(key, metric): (&str, Metric)| {
            let message = format!("{key} = {:?} can never be measured: {why}", metric.name());
            run.problem(key, Code::Training, message).help(help(key))
        };
        RunError::Config(ConfigErrors(metrics.into_iter().map(problem).collect()))
    };
    match error {
        TrainError::NoRightAnswers(metrics) => {
            let set = set_of(&metrics);
            let few = run.config.validate.of_set(set.as_deref()).trials;
            let all = run.tasks().of_set(set.as_deref()).n_conditions();
            let table = set.map_or("validate".to_owned(), |set| format!("validate.{set}"));
            let help = |key: &str| {
                let loss = format!("use val.loss ({key} = \"val.loss\")");
                if few < all {
                    format!(
                        "{few} validation trials are fewer than the {all} conditions: {table}.trials={all} shows each; or {loss}"
                    )
                } else {
                    format!("this task has no correct answers: {loss}")
                }
            };
            problems(metrics, "no validation trial has a correct answer", &help)
        }
        TrainError::NoMixture(metrics) => {
            let help = |key: &str| format!("use val.accuracy ({key} = \"val.accuracy\")");
            problems(metrics, "the task is not a mixture of tasks", &help)
        }
        TrainError::UntestedTasks { metrics, untested } => {
            let why = format!("no validation trial is of the task {}", untested.join(", "));
            let set = set_of(&metrics);
            let n_tasks = run.tasks().of_set(set.as_deref()).mixed_tasks().len();
            let help = |_: &str| {
                format!(
                    "validate.trials={} gives each task 10, and validate.balance=tasks the same number",
                    10 * n_tasks
                )
            };
            problems(metrics, &why, &help)
        }
        error => error.into(),
    }
}

/// Returns the optimizer with which a run begins: a new one, or that of the run from which it begins.
fn initial_optimizer<B: Backend>(
    run: &Run,
    device: &B::Device,
) -> Result<OptimizerState<B>, RunError> {
    let state = match (&run.initial, &run.given) {
        (Some(initial), _) => match &initial.optimizer_blake3 {
            Some(promised) => Some(kept_optimizer(&initial.path, promised)?),
            None => None,
        },
        (None, given) => given.as_ref().and_then(|given| given.optimizer.clone()),
    };
    match state {
        Some(state) => optimizer_of(run, &state, device),
        None => Ok(OptimizerState::new(run.config.train.optimizer.clone())),
    }
}

/// Reads the optimizer's state that a run keeps beside its initial weights.
fn kept_optimizer(
    weights: &Path,
    promised: &str,
) -> Result<BTreeMap<String, TensorData>, RunError> {
    let path = weights.with_file_name("optimizer.safetensors");
    if digest::blake3_file(&path)? != promised {
        let reason = "is not what this run began with: its digest differs".to_owned();
        return Err(RunError::Data { path, reason });
    }
    Ok(tensors_of(TensorFile::read(&path)?.tensors))
}

/// Returns the optimizer of a run with the state stored in a checkpoint.
fn optimizer_of<B: Backend>(
    run: &Run,
    state: &BTreeMap<String, TensorData>,
    device: &B::Device,
) -> Result<OptimizerState<B>, RunError> {
    let optimizer = run.config.train.optimizer.clone();
    Ok(OptimizerState::restore(
        optimizer, state, &run.model, device,
    )?)
}
