//! Sizes of a training.

use ctrnn_config::{Backend, Run};
use ctrnn_kernels::{Shape, kept_states, segment_steps};
use ctrnn_model::{CtrnnConfig, Form};

use super::training_memory;
use crate::failure::Failure;
use crate::trial_length::LongestTrial;

/// Sizes of a run.
pub struct Size {
    pub longest: LongestTrial,
    /// MiB of states that are kept for the backward pass of a batch.
    pub states_mib: f64,
    /// Peak memory of the training in MiB; unknown on a GPU, which has its own memory.
    pub training_mib: Option<f64>,
}

impl Size {
    /// Determines the sizes of a run.
    ///
    /// # Errors
    /// If the task cannot make trials.
    pub fn of(run: &Run) -> Result<Self, Failure> {
        let longest = LongestTrial::of(run)?;
        let states = kept_numbers(run, longest.n_steps);
        let mib = |bytes: f64| bytes / f64::from(1 << 20);
        let is_on_cpu = run.config.device.backend == Backend::Cpu;
        let training = is_on_cpu.then(|| mib(training_memory::bytes(run, longest.n_steps, states)));
        Ok(Self {
            longest,
            states_mib: mib((states * size_of::<f32>()) as f64),
            training_mib: training,
        })
    }

    /// Returns the KiB of states that are kept for a trial.
    pub fn trial_kib(&self, run: &Run) -> f64 {
        1024.0 * self.states_mib / run.config.train.batch_size as f64
    }
}

/// Counts the numbers that a sweep over a batch keeps for the backward pass: the rates of every time step, and the
/// responses in the rate form or the potentials if time constants are learned, and the synapses if they are plastic. With
/// recomputation only a few of them are kept.
fn kept_numbers(run: &Run, max_steps: usize) -> usize {
    let layers = run.model.layers();
    layers
        .map(|layer| kept_by_layer(run, layer, max_steps))
        .sum()
}

fn kept_by_layer(run: &Run, model: &CtrnnConfig, max_steps: usize) -> usize {
    let shape = Shape {
        trials: run.config.train.batch_size,
        steps: run.config.train.steps_together(max_steps),
        inputs: model.n_inputs,
        units: model.n_units,
        outputs: model.n_outputs,
        synapses: model.n_synapses(),
        ..Shape::default()
    };
    let besides = model.form == Form::Rate || model.tau_ms.learned().is_some();
    let plastic = model.short_term_plasticity.is_some();
    let arrays = 1 + usize::from(besides) + 2 * usize::from(plastic);
    let of_steps = |steps: usize| arrays * shape.trials * (steps + 1) * shape.units;
    // The rates of a layer below the last one are recorded, since they are inputs.
    let is_last = model.n_outputs > 0;
    if run.config.train.recompute && is_last && model.longest_delay_ms().is_none() {
        let segment = segment_steps(&shape);
        let kept: usize = kept_states(&shape, segment).into_array().into_iter().sum();
        kept + of_steps(segment.min(shape.steps))
    } else {
        of_steps(shape.steps)
    }
}
