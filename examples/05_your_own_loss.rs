//! Adds a custom term to the loss, which penalises fluctuations of the outputs.
//!
//! ```text
//! cargo run --release --example 05_your_own_loss
//! ```

use burn::backend::{Autodiff, NdArray};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use ctrnn::model::CtrnnConfig;
use ctrnn::tasks::GoNogo;
use ctrnn::train::{ForTask, LossInputs, Observer, StepReport, TrainError, TrainSettings, Trainer};

/// `0.1 mean (y(t+1) - y(t))^2` over trials, times and outputs.
fn wiggle<B: Backend>(inputs: &LossInputs<B>) -> Tensor<B, 1> {
    let y = &inputs.outputs; // [trial, time, output]
    let pairs = y.dims()[1] - 1;
    let change = y.clone().narrow(1, 1, pairs) - y.clone().narrow(1, 0, pairs);
    change.square().mean() * 0.1
}

/// Prints the terms of the loss at every report.
struct Print;

impl Observer for Print {
    fn stepped(&mut self, report: &StepReport) -> Result<(), TrainError> {
        if report.step.is_multiple_of(50) {
            let terms = report.terms.iter();
            let words: Vec<String> = terms.map(|(name, x)| format!("{name} {x:.5}")).collect();
            println!("step {:3}  {}", report.step, words.join("  "));
        }
        Ok(())
    }
}

fn main() -> Result<(), TrainError> {
    let task = GoNogo::default();
    let config = CtrnnConfig::for_task(&task, 32);
    let network = config.init::<Autodiff<NdArray>>(1, &Default::default())?;
    let mut settings = TrainSettings::default();
    settings.train.steps = 200;
    settings.train.clip_grad_norm = Some(1.0);
    let mut trainer = Trainer::new(network, &task, settings)?;
    trainer.add_loss("wiggle", wiggle); // has its own column in every report
    trainer.run_with(&mut [&mut Print])?;
    Ok(())
}
