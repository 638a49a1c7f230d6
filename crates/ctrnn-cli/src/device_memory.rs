//! How much memory of a device a training step needs, and errors where it has not as much.

use std::process::exit;
use std::sync::Arc;

use burn_wgpu::graphics::AutoGraphicsApi;
use burn_wgpu::{RuntimeOptions, WgpuDevice, init_setup};
use ctrnn_config::Run;
use ctrnn_model::Form;

use crate::adapter::Adapter;
use crate::args::Output;
use crate::failure::{DEVICE, Failure};
use crate::terminal::Terminal;
use crate::trial_length::LongestTrial;

/// Bytes of a training step.
#[derive(Clone, Copy, Debug)]
pub struct DeviceMemory {
    /// Of its largest buffer: the rates, inputs or outputs of all trials and time steps.
    largest: u64,
    /// In all.
    total: u64,
}

impl DeviceMemory {
    /// What a training step of a run needs.
    ///
    /// # Errors
    /// If the task cannot give trials.
    pub fn of(run: &Run) -> Result<Self, Failure> {
        let steps = LongestTrial::of(run)?.n_steps;
        let rows = (steps + 1) * run.config.train.batch_size;
        let (n, i, o) = (run.model.n_units, run.model.n_inputs, run.model.n_outputs);
        // Rates, drive, normals, and the gradients of rates and drive; the rate form keeps its responses besides.
        let states = if run.model.form == Form::Rate { 6 } else { 5 };
        let bytes = |numbers: usize| (numbers * size_of::<f32>()) as u64;
        Ok(Self {
            largest: bytes(rows * n.max(i).max(o)),
            total: bytes(rows * (states * n + 2 * i + 3 * o) + 8 * n * (n + i + o)),
        })
    }

    /// # Errors
    /// If a buffer is larger than an adapter allows.
    pub fn check(self, adapter: &Adapter) -> Result<(), Failure> {
        if self.largest <= adapter.largest_buffer() {
            return Ok(());
        }
        Err(Failure::new(
            DEVICE,
            "G004",
            format!(
                "a batch needs a buffer of {:.1} GiB, and {} allows {:.1} GiB",
                gib(self.largest),
                adapter.name,
                gib(adapter.largest_buffer()),
            ),
            "use a smaller train.batch_size, or train on the CPU: --device cpu",
        ))
    }

    /// Sets a device up. A lack of memory then ends the process: the driver tells a thread of the runtime, and whoever waits for the
    /// device would go on with wrong numbers, and save them.
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

    /// The error of a device that its driver does not open; most often something else has used up its memory.
    pub fn no_device(self, adapter: &Adapter) -> Failure {
        Failure::new(
            DEVICE,
            "G005",
            format!(
                "the driver does not open {}, for the reason above; a training step needs about {:.2} GiB of memory",
                adapter.name,
                gib(self.total),
            ),
            "stop other programs that use the device, or train on the CPU: --device cpu",
        )
    }

    /// The error of a device that ran out of memory.
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
