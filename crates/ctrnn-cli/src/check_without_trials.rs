//! `check --no-trials`: checks a configuration without making trials or starting a program.

use std::fmt::Write as _;

use burn::tensor::backend::AutodiffBackend;
use ctrnn_config::{Reading, Run, RunConfig, Values, counted};
use ctrnn_model::{RecurrenceBackend, Summary};
use ctrnn_runs::initial_network;
use ctrnn_tasks::Registry;
use ctrnn_train::TrainError;
use serde_json::json;

use crate::args::CheckArgs;
use crate::backend::{CheckEvery, Job, with_backend};
use crate::check::parameters;
use crate::failure::Failure;
use crate::terminal::Terminal;

/// Checks a configuration as far as possible without trials.
pub fn run(args: &CheckArgs, registry: &Registry, terminal: &Terminal) -> Result<u8, Failure> {
    let overrides = args.data.overrides(&args.overrides);
    let reading = Reading {
        overrides: &overrides,
        data_root: args.data.data_root.as_deref(),
        ..Reading::new(registry)
    };
    let values = reading.values(&args.config)?;
    values.notes().iter().for_each(|note| terminal.note(note));
    if let Values::Run(run) = &values {
        run.unused_keys()
            .iter()
            .for_each(|note| terminal.note(note));
    }
    let network = match &values {
        Values::Run(run) => Some((&**run, with_backend(run, Drawn(run))?)),
        Values::Undecided { .. } => None,
    };
    let config = values.resolved();
    let text = || text(config, network.as_ref());
    let json = || {
        let run = network.as_ref().map(|(run, _)| *run);
        let summary = network.as_ref().map(|(_, summary)| summary);
        json!({
            "task": task(config),
            "n_inputs": run.map(|run| run.model.n_inputs),
            "n_units": config.model.n_units,
            "n_outputs": run.map(|run| run.model.n_outputs),
            "parameters": summary.map(Summary::count),
            "free_parameters": summary.map(Summary::free),
            "steps": config.train.steps,
            "batch_size": config.train.batch_size,
        })
    };
    terminal.print(text, json)?;
    Ok(0)
}

/// A job that draws the initial network of a run.
struct Drawn<'a>(&'a Run);

impl Job for Drawn<'_> {
    type Output = Summary;

    fn run<B>(self, device: &B::Device, _: CheckEvery) -> Result<Summary, Failure>
    where
        B: AutodiffBackend + RecurrenceBackend,
        B::InnerBackend: RecurrenceBackend,
    {
        let network = initial_network::<B>(self.0, device)?;
        Ok(network.summary().map_err(TrainError::from)?)
    }
}

fn task(config: &RunConfig) -> &str {
    config.task.keys().next().map_or("", String::as_str)
}

fn text(config: &RunConfig, network: Option<&(&Run, Summary)>) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<12} {value}");
    };
    let unknown = || "unknown: the program that defines them is not started here".to_owned();
    let layout = network.map(|(run, _)| run.task.layout());
    let channels = |names: Option<&Vec<String>>| {
        names.map_or_else(unknown, |names| {
            format!("{}: {}", names.len(), names.join(", "))
        })
    };
    line("task", task(config).to_owned());
    line("inputs", channels(layout.as_ref().map(|l| &l.inputs)));
    line("outputs", channels(layout.as_ref().map(|l| &l.outputs)));
    let parameters = network.map_or_else(String::new, |(_, summary)| {
        format!(", {}", parameters(summary.count(), summary.free()))
    });
    let activation = config.model.activation.name();
    line(
        "network",
        format!(
            "{}, {activation}{parameters}",
            counted(config.model.n_units, "unit")
        ),
    );
    let train = &config.train;
    line(
        "training",
        format!(
            "{} of {}",
            counted(train.steps, "step"),
            counted(train.batch_size, "trial")
        ),
    );
    text
}
