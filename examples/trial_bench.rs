//! What making a batch of 64 trials costs, as a fraction of the training step of 128 units on it, for every built-in task:
//!
//! ```text
//! cargo run --release --example trial_bench
//! ```

use std::path::Path;
use std::time::Instant;

use burn::backend::{Autodiff, NdArray};
use ctrnn::model::{CtrnnConfig, CtrnnModule};
use ctrnn::random::{Key, Stream};
use ctrnn::tasks::{BatchRequest, BuildContext, Clock, ConditionOrder, Registry, Task};
use ctrnn::train::{TrainError, TrainSettings, Trainer};

const BATCHES: u64 = 20;
const STEPS: u64 = 10;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let registry = Registry::built_in();
    let context = BuildContext {
        clock: Clock::new(20.0)?,
        seed: 1,
        base_dir: Path::new("."),
        registry: &registry,
    };
    println!(
        "{:45} {:>9} {:>9} {:>9}",
        "task", "batch ms", "step ms", "fraction"
    );
    for entry in registry.entries() {
        let Ok(task) = entry.build(Default::default(), &context) else {
            continue;
        };
        let (batch, step) = (batch_ms(&*task, context.clock)?, step_ms(&*task)?);
        println!(
            "{:45} {batch:9.3} {step:9.2} {:8.1}%",
            entry.name,
            100.0 * batch / step
        );
    }
    Ok(())
}

/// The mean time of making a batch.
fn batch_ms(task: &dyn Task, clock: Clock) -> Result<f64, TrainError> {
    let start = Instant::now();
    for step in 0..BATCHES {
        task.sample_batch(&BatchRequest {
            clock,
            first_trial: 0,
            n_trials: 64,
            key: Key::new(1, Stream::Trials, 0),
            step,
            conditions: ConditionOrder::Weighted,
        })?;
    }
    Ok(start.elapsed().as_secs_f64() * 1000.0 / BATCHES as f64)
}

/// The mean time of a training step, its batch included.
fn step_ms(task: &dyn Task) -> Result<f64, TrainError> {
    let layout = task.layout();
    let config = CtrnnConfig::new(layout.inputs.len(), 128, layout.outputs.len());
    let network = CtrnnModule::<Autodiff<NdArray>>::init(&config, 1, &Default::default())?;
    let mut settings = TrainSettings::default();
    settings.train.batch_size = 64;
    settings.train.steps = STEPS;
    settings.validate.every_steps = 0;
    settings.validate.trials = 1;
    let mut trainer = Trainer::new(network, task, settings)?;
    let start = Instant::now();
    trainer.run(&mut [], &|| None)?;
    Ok(start.elapsed().as_secs_f64() * 1000.0 / STEPS as f64)
}
