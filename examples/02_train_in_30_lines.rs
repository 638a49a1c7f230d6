//! Trains a network on a built-in task from Rust:
//!
//! ```text
//! cargo run --release --example 02_train_in_30_lines
//! ```

use burn::backend::{Autodiff, NdArray};
use ctrnn::model::CtrnnConfig;
use ctrnn::tasks::PerceptualDecision;
use ctrnn::train::{ForTask, Observer, TrainError, TrainSettings, Trainer, Validation};

/// Prints each validation.
struct Print;

impl Observer for Print {
    fn evaluated(&mut self, v: &Validation) -> Result<(), TrainError> {
        let accuracy = 100.0 * v.report.accuracy.unwrap_or(f64::NAN);
        println!(
            "step {:4}  loss {:.4}  accuracy {accuracy:.1} %",
            v.step, v.report.loss
        );
        Ok(())
    }
}

fn main() -> Result<(), TrainError> {
    let task = PerceptualDecision::default(); // 3 inputs and 3 outputs: fixation, left, right
    let config = CtrnnConfig::for_task(&task, 64);
    let network = config.init::<Autodiff<NdArray>>(42, &Default::default())?;
    let mut settings = TrainSettings::default();
    settings.train.steps = 300;
    settings.train.clip_grad_norm = Some(1.0);
    let mut trainer = Trainer::new(network, &task, settings)?;
    trainer.run_with(&mut [&mut Print])?;
    let weights = trainer.network().weights(); // host arrays by name
    println!(
        "trained: {}",
        weights.keys().cloned().collect::<Vec<_>>().join(", ")
    );
    Ok(())
}
