//! `tasks`: list, describe, preview, export.

use std::path::{Path, PathBuf};

use ctrnn_analysis::plot::Figure;
use ctrnn_analysis::{example_trials, trial_figure};
use ctrnn_config::{Code, Reading, Run, counted, only_options_of, tasks_like};
use ctrnn_files::output::{self as files, OutputFile};
use ctrnn_files::{Array, npz};
use ctrnn_random::{Key, Stream};
use ctrnn_tasks::{
    BatchRequest, ConditionOrder, Programs, Registry, Target, TaskEntry, TrialBatch,
};
use serde_json::json;

use crate::args::{TasksArgs, TasksCommand, TrialSource};
use crate::failure::Failure;
use crate::figure::FigureFormat;
use crate::output;
use crate::terminal::Terminal;
use crate::trial_arrays::trial_arrays;

/// Runs a subcommand of `tasks`.
pub fn run(args: &TasksArgs, registry: &Registry, terminal: &Terminal) -> Result<(), Failure> {
    match &args.command {
        TasksCommand::List => list(registry, terminal)?,
        TasksCommand::Describe { name } => describe(entry(name, registry)?, terminal)?,
        TasksCommand::Preview {
            name,
            source,
            trials,
            output,
            force,
        } => {
            let default = PathBuf::from(format!("{name}.svg"));
            let path = output.as_ref().unwrap_or(&default);
            let format = FigureFormat::of(path)?;
            let run = run_of(name, source, registry, terminal)?;
            output::check(path, *force, terminal)?;
            let figure = preview(name, &run, *trials as usize)?;
            files::write(path, *force, &format.draw(&figure)?)?;
            terminal.wrote(path)?;
            terminal.say(format!(
                "drew {} of {name} in {}",
                counted(trials, "trial"),
                path.display()
            ));
        }
        TasksCommand::Export {
            name,
            source,
            trials,
            output: path,
            force,
        } => {
            let run = run_of(name, source, registry, terminal)?;
            output::check(path, *force, terminal)?;
            let batch = exported(&run, *trials as usize)?;
            write(OutputFile::create(path, *force)?, &batch, source.dt_ms)?;
            terminal.wrote(path)?;
            terminal.say(format!(
                "wrote {} of {name} to {}",
                counted(trials, "trial"),
                path.display()
            ));
        }
    }
    Ok(())
}

fn describe(task: &TaskEntry, terminal: &Terminal) -> Result<(), Failure> {
    let (name, description) = (&task.name, task.description());
    terminal.print(
        || format!("# {name}\n\n{description}"),
        || json!({ "name": name, "description": description, "schema": task.schema() }),
    )
}

/// Draws trials of the task of a run.
fn preview(name: &str, run: &Run, n_trials: usize) -> Result<Figure, Failure> {
    let task = run.task.as_ref();
    let batch = example_trials(task, run.clock, run.config.seed, n_trials)?;
    Ok(trial_figure(name, task, &batch, run.clock))
}

/// Returns trials of the task of a run, which cycle through the conditions.
fn exported(run: &Run, n_trials: usize) -> Result<TrialBatch, Failure> {
    let request = BatchRequest {
        clock: run.clock,
        first_trial: 0,
        n_trials,
        key: Key::new(run.config.seed, Stream::Trials, 0),
        step: 0,
        conditions: ConditionOrder::Balanced,
    };
    Ok(run.task.sample_batch(&request)?)
}

fn list(registry: &Registry, terminal: &Terminal) -> Result<(), Failure> {
    let width = registry.names().map(str::len).max().unwrap_or(0);
    let line = |entry: &TaskEntry| format!("{:width$}  {}\n", entry.name, entry.summary());
    let json = |entry: &TaskEntry| json!({ "name": entry.name, "summary": entry.summary() });
    terminal.print(
        || registry.entries().map(line).collect(),
        || json!({ "tasks": registry.entries().map(json).collect::<Vec<_>>() }),
    )
}

fn entry<'r>(name: &str, registry: &'r Registry) -> Result<&'r TaskEntry, Failure> {
    registry.get(name).ok_or_else(|| {
        let near = tasks_like(name, registry.names());
        let help = if near.is_empty() {
            format!("tasks: {}", registry.names().collect::<Vec<_>>().join(", "))
        } else {
            format!(
                "did you mean {}? `train-ctrnn tasks list` lists all tasks",
                near.join(" or ")
            )
        };
        Failure::of_code(Code::UnknownTask, format!("{name:?} is not a task"), help)
    })
}

/// Builds a run with the task, its defaults and the overrides.
fn run_of(
    name: &str,
    source: &TrialSource,
    registry: &Registry,
    terminal: &Terminal,
) -> Result<Run, Failure> {
    let TrialSource {
        seed,
        dt_ms,
        overrides,
        trust,
    } = source;
    entry(name, registry)?;
    only_options_of(name, overrides)?;
    let consent = trust.consent(terminal);
    let dt_ms = toml::Value::Float(*dt_ms);
    // tau_ms only has to be valid, because no network is built.
    let text = format!(
        "version = 1\nseed = {seed}\n[time]\ndt_ms = {dt_ms}\n[model]\ntau_ms = {dt_ms}\n[task.{name}]\n"
    );
    let reading = Reading {
        overrides,
        programs: Programs::Agreed(&|words| consent.agree(words)),
        ..Reading::new(registry)
    };
    Ok(reading.text(&text, "defaults", Path::new("."))?)
}

/// Writes a file of trials that the task `npz` can read.
fn write(file: OutputFile, batch: &TrialBatch, dt_ms: f64) -> Result<(), Failure> {
    let (b, t, o) = (batch.n_trials, batch.max_steps, batch.n_outputs);
    let mut arrays = trial_arrays(batch);
    let (name, target) = match &batch.target {
        Target::Values(values) => ("targets", Array::f32(&[b, t, o], values.clone())),
        Target::Classes(labels) => {
            let labels = labels.iter().map(|&label| i64::from(label)).collect();
            ("labels", Array::i64(&[b, t], labels))
        }
    };
    let n_steps = batch.n_steps.iter().map(|&n| n as i64).collect();
    arrays.insert(name.to_owned(), target);
    arrays.insert("n_steps".to_owned(), Array::i64(&[b], n_steps));
    arrays.insert("dt_ms".to_owned(), Array::f64(&[], vec![dt_ms]));
    Ok(npz::write_to(file, &arrays)?)
}
