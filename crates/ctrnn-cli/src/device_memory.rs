//! Device memory that a training step needs, and the errors if there is less.

use std::process::exit;
use std::sync::Arc;

use burn_wgpu::graphics::AutoGraphicsApi;
use burn_wgpu::{RuntimeOptions, WgpuDevice, init_setup};
use ctrnn_config::Run;
use ctrnn_model::{CtrnnConfig, Form, LowRank};

use crate::adapter::Adapter;
use crate::args::Output;
use crate::failure::{DEVICE, Failure};
use crate::terminal::Terminal;
use crate::trial_length::LongestTrial;

/// Memory of a training step, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct DeviceMemory {
    /// Size of the largest buffer: the rates, inputs or outputs of all trials and time steps.
    largest: u64,
    /// Total size.
    total: u64,
}

impl DeviceMemory {
    /// Estimates the memory of a training step of a run.
    ///
    /// # Errors
    /// If the task cannot make trials.
    pub fn of(run: &Run) -> Result<Self, Failure> {
        let steps = run
            .config
            .train
            .steps_together(LongestTrial::of(run)?.n_steps);
        let rows = (steps + 1) * run.config.train.batch_size;
        let of_layer = |layer: &CtrnnConfig| {
            let (n, i, o) = (layer.n_units, layer.n_inputs, layer.n_outputs);
            // Rates, drive, normals, and the gradients of rates and drive; the rate form also keeps its responses.
            let states = if layer.form == Form::Rate { 6 } else { 5 };
            let factors = layer.low_rank.as_ref();
            let rank = factors.map_or(0, |factors| factors.rank);
            let full_rows = if factors.is_none_or(LowRank::has_full) {
                n
            } else {
                0
            };
            // Rates and gradients are projected onto the factors.
            let total = rows * (states * n + 2 * i + 3 * o + 2 * rank)
                + 8 * n * (full_rows + 2 * rank + i + o);
            [rows * n.max(i).max(o), total].map(|numbers| (numbers * size_of::<f32>()) as u64)
        };
        let layers = || run.model.layers().map(of_layer);
        Ok(Self {
            largest: layers().map(|[largest, _]| largest).max().unwrap_or(0),
            total: layers().map(|[_, total]| total).sum(),
        })
    }

    /// Checks the largest buffer against the limit of an adapter.
    ///
    /// # Errors
    /// If a buffer is larger than the adapter allows.
    pub fn check(self, adapter: &Adapter) -> Result<(), Failure> {
        if self.largest <= adapter.largest_buffer() {
            return Ok(());
        }
        Err(Failure::new(
            DEVICE,
            "G004",
            format!(
                "a batch needs a buffer of {:.1} GiB, but {} allows only {:.1} GiB",
                gib(self.largest),
                adapter.name,
                gib(adapter.largest_buffer()),
            ),
            "use a smaller train.batch_size, or train on the CPU: --device cpu",
        ))
    }

    /// Sets up a device so that a lack of memory ends the process. The driver reports it only to a thread of the
    /// runtime, and the training would otherwise continue with wrong numbers and save them.
    pub fn watch(self, adapter: &Adapter, device: &WgpuDevice) {
        let exhausted = self.exhausted(adapter);
        let setup = init_setup::<AutoGraphicsApi>(device, RuntimeOptions::default());
        setup.device.on_uncaptured_error(Arc::new(move |error| {
            if matches!(error, wgpu::Error::OutOfMemory { .. }) {
                Terminal::new(&Output::default()).error(&exhausted);
                exit(DEVICE.into());
            }
            panic!("{error}");
        }));
    }

    /// Creates the error of a device that its driver cannot open, usually because another program has used up its memory.
    pub fn no_device(self, adapter: &Adapter) -> Failure {
        Failure::new(
            DEVICE,
            "G005",
            format!(
                "the driver cannot open {} for the reason above; a training step needs about {:.2} GiB of memory",
                adapter.name,
                gib(self.total),
            ),
            "stop other programs that use the device, or train on the CPU: --device cpu",
        )
    }

    /// Creates the error of a device that ran out of memory.
    fn exhausted(self, adapter: &Adapter) -> Failure {
        Failure::new(
            DEVICE,
            "G005",
            format!(
                "{} ran out of memory; a training step needs about {:.2} GiB of it",
                adapter.name,
                gib(self.total),
            ),
            "use a smaller train.batch_size, stop other programs that use the device, or train on the CPU: --device cpu",
        )
    }
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}
