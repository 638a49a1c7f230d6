//! How long every task takes to make a batch of 64 trials at time steps of 20 ms:
//!
//! ```text
//! cargo run --release -p ctrnn-tasks --example generation_time
//! ```

use std::path::Path;
use std::time::Instant;

use ctrnn_random::{Key, Stream};
use ctrnn_tasks::{BatchRequest, BuildContext, Clock, ConditionOrder, Registry};

const BATCHES: u64 = 20;

fn main() {
    let clock = Clock::new(20.0).expect("a positive time step");
    let registry = Registry::built_in();
    let context = BuildContext {
        clock,
        seed: 1,
        base_dir: Path::new("."),
        registry: &registry,
    };
    println!(
        "{:22} {:>6} {:>10} {:>18}",
        "task", "steps", "ms/batch", "ms/batch/100 steps"
    );
    for entry in registry.entries() {
        let Ok(task) = entry.build(toml::Table::new(), &context) else {
            println!("{:22} needs options", entry.name);
            continue;
        };
        let batch = |step| {
            task.sample_batch(&BatchRequest {
                clock,
                n_trials: 64,
                key: Key::new(1, Stream::Trials, 0),
                step,
                conditions: ConditionOrder::Weighted,
            })
        };
        let Ok(first) = batch(0) else { continue };
        let start = Instant::now();
        let n_steps: usize = (1..=BATCHES)
            .filter_map(|step| batch(step).ok())
            .map(|b| b.max_steps)
            .sum();
        let ms = start.elapsed().as_secs_f64() * 1e3 / BATCHES as f64;
        let mean_steps = n_steps as f64 / BATCHES as f64;
        println!(
            "{:22} {mean_steps:6.0} {ms:10.3} {:18.3}   [64, {}, {}]",
            entry.name,
            100.0 * ms / mean_steps,
            first.max_steps,
            first.n_inputs
        );
    }
}
