//! Measures the cost of making a batch of 64 trials, as a fraction of the training step of 128 units on it, for every
//! built-in task or
//! for the named ones, the most expensive first:
//!
//! ```text
//! cargo run --release --example trial_bench -- place_fields yang_dm1
//! ```
//!
//! Times are CPU times of one thread, each the minimum of three, so that other work on the machine has little effect.

use std::path::Path;
use std::time::Duration;

use burn::backend::{Autodiff, NdArray};
use cpu_time::ProcessTime;
use ctrnn::model::CtrnnConfig;
use ctrnn::random::{Key, Stream};
use ctrnn::tasks::{BatchRequest, BuildContext, Clock, ConditionOrder, Programs, Registry, Task};
use ctrnn::train::{ForTask, TrainError, TrainSettings, Trainer};

const BATCHES: u64 = 20;
const STEPS: u64 = 10;
const REPEATS: usize = 3;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build_global()?;
    let named: Vec<String> = std::env::args().skip(1).collect();
    let registry = Registry::built_in();
    let context = BuildContext {
        clock: Clock::new(20.0)?,
        seed: 1,
        base_dir: Path::new("."),
        registry: &registry,
        programs: Programs::NEVER,
        trained: None,
    };
    let mut rows = Vec::new();
    for entry in registry.entries() {
        let is_asked_for = named.is_empty() || named.contains(&entry.name);
        let built = is_asked_for.then(|| entry.build(Default::default(), &context));
        if let Some(Ok(task)) = built {
            let (batch, step) = (batch_ms(&*task, context.clock)?, step_ms(&*task)?);
            rows.push((100.0 * batch / step, &entry.name, batch, step));
        }
    }
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    println!(
        "{:42} {:>9} {:>9} {:>9}",
        "task", "batch ms", "step ms", "fraction"
    );
    for (percent, name, batch, step) in rows {
        println!("{name:42} {batch:9.3} {step:9.2} {percent:8.1}%");
    }
    Ok(())
}

/// The time of making a batch.
fn batch_ms(task: &dyn Task, clock: Clock) -> Result<f64, TrainError> {
    let mut next = 0;
    least_ms(BATCHES, || {
        for step in next..next + BATCHES {
            task.sample_batch(&BatchRequest {
                clock,
                first_trial: 0,
                n_trials: 64,
                key: Key::new(1, Stream::Trials, 0),
                step,
                conditions: ConditionOrder::Weighted,
            })?;
        }
        next += BATCHES;
        Ok(())
    })
}

/// The time of a training step, its batch included.
fn step_ms(task: &dyn Task) -> Result<f64, TrainError> {
    let config = CtrnnConfig::for_task(task, 128);
    let network = config.init::<Autodiff<NdArray>>(1, &Default::default())?;
    let mut settings = TrainSettings::default();
    settings.train.batch_size = 64;
    settings.train.steps = STEPS;
    settings.validate.every_steps = 0;
    settings.validate.trials = 1;
    least_ms(STEPS, || {
        let mut trainer = Trainer::new(network.clone(), task, settings.clone())?;
        trainer.run()?;
        Ok(())
    })
}

/// The least time that `work` takes, for each of its `n` parts.
fn least_ms(n: u64, mut work: impl FnMut() -> Result<(), TrainError>) -> Result<f64, TrainError> {
    let mut least = Duration::MAX;
    for _ in 0..REPEATS {
        let start = ProcessTime::now();
        work()?;
        least = least.min(start.elapsed());
    }
    Ok(least.as_secs_f64() * 1000.0 / n as f64)
}
