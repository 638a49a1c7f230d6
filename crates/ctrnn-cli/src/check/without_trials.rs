//! `check --no-trials`: checks a configuration without making trials or starting a program.

use ctrnn_config::{Reading, Run, RunConfig, Values, counted};
use ctrnn_model::{Summary, TrainingBackend};
use ctrnn_runs::initial_network;
use ctrnn_tasks::Registry;
use ctrnn_train::TrainError;
use serde_json::json;

use super::words::{channels, parameters, table};
use crate::args::CheckArgs;
use crate::backend::{CheckEvery, Job, with_backend};
use crate::failure::Failure;
use crate::terminal::Terminal;

/// Checks a configuration as far as possible without trials.
pub fn run(args: &CheckArgs, registry: &Registry, terminal: &Terminal) -> Result<(), Failure> {
    let overrides = args.data.overrides(&args.overrides);
    let reading = Reading {
        overrides: &overrides,
        data_root: args.data.data_root.as_deref(),
        ..Reading::new(registry)
    };
    let values = reading.values(&args.config)?;
    terminal.notes(values.notes());
    if let Values::Run(run) = &values {
        terminal.notes(run.unused_keys());
    }
    let network = match &values {
        Values::Run(run) => Some((&**run, with_backend(run, Drawn(run))?)),
        Values::Undecided { .. } => None,
    };
    let config = values.resolved();
    terminal.print(
        || text(config, network.as_ref()),
        || json(config, network.as_ref()),
    )
}

/// A job that draws the initial network of a run.
struct Drawn<'a>(&'a Run);

impl Job for Drawn<'_> {
    type Output = Summary;

    fn run<B: TrainingBackend>(
        self,
        device: &B::Device,
        _: CheckEvery,
    ) -> Result<Summary, Failure> {
        let network = initial_network::<B>(self.0, device)?;
        Ok(network.summary().map_err(TrainError::from)?)
    }
}

fn task(config: &RunConfig) -> &str {
    config.task.keys().next().map_or("", String::as_str)
}

fn text(config: &RunConfig, network: Option<&(&Run, Summary)>) -> String {
    let unknown = || "unknown: the program that defines them is not started here".to_owned();
    let layout = network.map(|(run, _)| run.task.layout());
    let (inputs, outputs) = layout.map_or_else(
        || (unknown(), unknown()),
        |layout| (channels(&layout.inputs), channels(&layout.outputs)),
    );
    let parameters = network.map_or_else(String::new, |(_, summary)| {
        format!(", {}", parameters(summary.count(), summary.free()))
    });
    let n_units: Vec<usize> = config.model.layers().map(|layer| layer.n_units).collect();
    let network = match &n_units[..] {
        [n_units] => {
            let activation = config.model.activation.name();
            format!("{}, {activation}", counted(*n_units, "unit"))
        }
        layers => format!("{} layers of {} units", layers.len(), join(layers)),
    };
    let train = &config.train;
    table([
        ("task", task(config).to_owned()),
        ("inputs", inputs),
        ("outputs", outputs),
        ("network", format!("{network}{parameters}")),
        (
            "training",
            format!(
                "{} of {}",
                counted(train.steps, "step"),
                counted(train.trials_of_step(), "trial")
            ),
        ),
    ])
}

/// Joins numbers: "64, 32".
fn join(numbers: &[usize]) -> String {
    let words: Vec<String> = numbers.iter().map(usize::to_string).collect();
    words.join(", ")
}

fn json(config: &RunConfig, network: Option<&(&Run, Summary)>) -> serde_json::Value {
    let (run, summary) = network.map(|(run, summary)| (run, summary)).unzip();
    json!({
        "task": task(config),
        "n_inputs": run.map(|run| run.model.first_layer().n_inputs),
        "n_units": config.model.n_units,
        "n_outputs": run.map(|run| run.model.n_outputs),
        "parameters": summary.map(Summary::count),
        "free_parameters": summary.map(Summary::free),
        "steps": config.train.steps,
        "batch_size": config.train.batch_size,
    })
}
