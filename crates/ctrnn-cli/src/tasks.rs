//! `tasks`: list, describe, preview, export.

use std::path::{Path, PathBuf};

use ctrnn_analysis::{trial_figure, varied_trials};
use ctrnn_files::{Array, atomic, npz};
use ctrnn_random::{Key, Stream};
use ctrnn_tasks::{
    BatchRequest, BuildContext, Clock, ConditionOrder, Registry, Target, Task, TaskEntry,
    TrialBatch,
};

use crate::args::{TasksArgs, TasksCommand};
use crate::failure::{Failure, USAGE};
use crate::figure::FigureFormat;
use crate::terminal::Terminal;
use crate::trial_arrays::trial_arrays;

/// Answers a question about tasks.
pub fn run(args: &TasksArgs, registry: &Registry, terminal: &Terminal) -> Result<u8, Failure> {
    match &args.command {
        TasksCommand::List => list(registry, terminal)?,
        TasksCommand::Describe { name } => {
            let entry = entry(name, registry)?;
            let json = || serde_json::json!({ "name": entry.name, "description": entry.description, "schema": entry.schema() });
            terminal.print(
                || format!("# {}\n\n{}", entry.name, entry.description),
                json,
            )?;
        }
        TasksCommand::Preview {
            name,
            trials,
            seed,
            dt_ms,
            output,
        } => {
            let default = PathBuf::from(format!("{name}.svg"));
            let path = output.as_ref().unwrap_or(&default);
            let format = FigureFormat::of(path)?;
            let (clock, task) = built(entry(name, registry)?, registry, *seed, *dt_ms)?;
            let order = ConditionOrder::Weighted;
            let batch = task.sample_batch(&request(clock, 8 * trials, *seed, order))?;
            let batch = varied_trials(&batch, *trials as usize);
            let figure = trial_figure(name, &task.layout(), &batch, clock);
            atomic::write(path, &format.draw(&figure)?)?;
            terminal.wrote(path)?;
            terminal.say(format!(
                "drew {trials} trials of {name} in {}",
                path.display()
            ));
        }
        TasksCommand::Export {
            name,
            trials,
            seed,
            dt_ms,
            output,
        } => {
            let (clock, task) = built(entry(name, registry)?, registry, *seed, *dt_ms)?;
            let order = ConditionOrder::Balanced;
            let batch = task.sample_batch(&request(clock, *trials, *seed, order))?;
            write(output, &batch, *dt_ms)?;
            terminal.wrote(output)?;
            terminal.say(format!(
                "wrote {trials} trials of {name} to {}",
                output.display()
            ));
        }
    }
    Ok(0)
}

fn list(registry: &Registry, terminal: &Terminal) -> Result<(), Failure> {
    let width = registry.names().map(str::len).max().unwrap_or(0);
    let line = |entry: &TaskEntry| format!("{:width$}  {}\n", entry.name, entry.summary);
    let json =
        |entry: &TaskEntry| serde_json::json!({ "name": entry.name, "summary": entry.summary });
    terminal.print(
        || registry.entries().map(line).collect(),
        || serde_json::json!({ "tasks": registry.entries().map(json).collect::<Vec<_>>() }),
    )
}

fn entry<'r>(name: &str, registry: &'r Registry) -> Result<&'r TaskEntry, Failure> {
    registry.get(name).ok_or_else(|| {
        let names: Vec<&str> = registry.names().collect();
        Failure::new(
            USAGE,
            "C011",
            format!("{name:?} is not a task"),
            format!("tasks: {}", names.join(", ")),
        )
    })
}

/// The task with its defaults, on a grid of `dt_ms`.
fn built(
    entry: &TaskEntry,
    registry: &Registry,
    seed: u64,
    dt_ms: f64,
) -> Result<(Clock, Box<dyn Task>), Failure> {
    let wrong_dt = |error| {
        Failure::new(
            USAGE,
            "C004",
            format!("{error}"),
            "give for instance --dt-ms 20",
        )
    };
    let clock = Clock::new(dt_ms).map_err(wrong_dt)?;
    let context = BuildContext {
        clock,
        seed,
        base_dir: Path::new("."),
        registry,
    };
    let task = entry
        .build(toml::Table::new(), &context)
        .map_err(|errors| {
            let messages: Vec<String> = errors.iter().map(ToString::to_string).collect();
            let help = "choose another --dt-ms; a task that needs options has no trials of its own";
            Failure::new(
                USAGE,
                "C014",
                format!("{}: {}", entry.name, messages.join("; ")),
                help,
            )
        })?;
    Ok((clock, task))
}

fn request(clock: Clock, trials: u32, seed: u64, conditions: ConditionOrder) -> BatchRequest {
    BatchRequest {
        clock,
        n_trials: trials as usize,
        key: Key::new(seed, Stream::Trials, 0),
        step: 0,
        conditions,
    }
}

/// A file of trials, as the npz task reads it.
fn write(path: &Path, batch: &TrialBatch, dt_ms: f64) -> Result<(), Failure> {
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
    Ok(npz::write(path, &arrays)?)
}
