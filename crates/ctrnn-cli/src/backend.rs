//! Choice of the backend; no other file of this crate names one.

#[cfg(any(feature = "wgpu", feature = "cuda"))]
use std::panic::catch_unwind;

use burn::tensor::backend::Backend as BurnBackend;
use burn_autodiff::Autodiff;
use burn_ndarray::NdArray;
use ctrnn_config::{AdapterChoice, Backend, DeviceConfig, Run};
#[cfg(feature = "cuda")]
use ctrnn_model::Cuda;
#[cfg(feature = "wgpu")]
use ctrnn_model::Gpu;
use ctrnn_model::TrainingBackend;

#[cfg(feature = "wgpu")]
use crate::adapter::{Adapter, adapters, choose};
#[cfg(feature = "wgpu")]
use crate::device_memory::DeviceMemory;
use crate::failure::{DEVICE, Failure};
use crate::threads;

/// Work for a backend that trains.
pub trait Job {
    /// Result of the work.
    type Output;
    /// True if the work consists of training steps, which decides the number of threads.
    const TRAINS: bool = false;

    /// Does the work on a device; loss and gradient norm may be read every `check_every` steps.
    fn run<B: TrainingBackend>(
        self,
        device: &B::Device,
        check_every: CheckEvery,
    ) -> Result<Self::Output, Failure>;
}

/// The interval at which numbers are read from the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(any(feature = "wgpu", feature = "cuda")),
    expect(dead_code, reason = "reading is free on every other backend")
)]
pub enum CheckEvery {
    /// Every step, because reading is free.
    Step,
    /// At every report, because reading makes the host wait.
    Log,
}

/// Does a job on the backend that a run asks for.
///
/// # Errors
/// If this program lacks the backend or the machine lacks the device or the threads, or the error of the job.
pub fn with_backend<J: Job>(run: &Run, job: J) -> Result<J::Output, Failure> {
    threads::start(if J::TRAINS {
        threads::in_training(run)
    } else {
        threads::elsewhere(run.config.device.threads)
    })?;
    match &run.config.device.backend {
        Backend::Cpu => job.run::<Autodiff<NdArray<f32>>>(&Default::default(), CheckEvery::Step),
        Backend::Wgpu(choice) => with_wgpu(run, choice, job),
        Backend::Cuda(index) => with_cuda(*index, job),
    }
}

/// Does a job on the CPU in double precision.
///
/// # Errors
/// If the machine lacks the threads, or the error of the job.
pub fn with_f64<J: Job>(device: &DeviceConfig, job: J) -> Result<J::Output, Failure> {
    threads::start(threads::elsewhere(device.threads))?;
    job.run::<Autodiff<NdArray<f64>>>(&Default::default(), CheckEvery::Step)
}

#[cfg(feature = "wgpu")]
fn with_wgpu<J: Job>(run: &Run, choice: &AdapterChoice, job: J) -> Result<J::Output, Failure> {
    let (adapter, device) = choose(choice)?;
    adapter.check()?;
    let memory = DeviceMemory::of(run)?;
    memory.check(&adapter)?;
    match catch_unwind(|| memory.watch(&adapter, &device)) {
        Ok(()) => job.run::<Autodiff<Gpu>>(&device, CheckEvery::Log),
        Err(_) => Err(memory.no_device(&adapter)), // the panic has printed the reason
    }
}

#[cfg(not(feature = "wgpu"))]
fn with_wgpu<J: Job>(_: &Run, _: &AdapterChoice, _: J) -> Result<J::Output, Failure> {
    Err(Failure::new(
        DEVICE,
        "G001",
        "this program was built without the backend wgpu",
        "build it with `cargo build --release --features wgpu`, or train on the CPU: --device cpu",
    ))
}

#[cfg(feature = "cuda")]
fn with_cuda<J: Job>(index: usize, job: J) -> Result<J::Output, Failure> {
    use cubecl::Runtime;
    use cubecl::cuda::{CudaDevice, CudaRuntime};

    let device = CudaDevice::new(index);
    // Without a driver, or without that device, the runtime panics.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let client = catch_unwind(|| CudaRuntime::client(&device));
    std::panic::set_hook(hook);
    match client {
        Ok(_) => job.run::<Autodiff<Cuda>>(&device, CheckEvery::Log),
        Err(_) => Err(Failure::new(
            DEVICE,
            "G002",
            format!("CUDA device {index} is not usable"),
            "install NVIDIA's driver and the CUDA toolkit (see `nvidia-smi`), or train on the CPU: --device cpu",
        )),
    }
}

#[cfg(not(feature = "cuda"))]
fn with_cuda<J: Job>(_: usize, _: J) -> Result<J::Output, Failure> {
    Err(Failure::new(
        DEVICE,
        "G001",
        "this program was built without the backend cuda",
        "build it with `cargo build --release --features cuda`, or train on the CPU: --device cpu",
    ))
}

/// Returns a short name of a backend and its device for manifests and messages.
pub fn device_name<B: BurnBackend>(device: &B::Device) -> String {
    let name = format!("{} {device:?}", B::name(device));
    #[cfg(feature = "wgpu")]
    {
        let is_it = |adapter: &Adapter| {
            let known = adapter.device.as_ref();
            known.is_some_and(|known| format!("{known:?}") == format!("{device:?}"))
        };
        let is_wgpu = name.contains("wgpu");
        if let Some(adapter) = is_wgpu
            .then(adapters)
            .and_then(|all| all.into_iter().find(is_it))
        {
            return format!("{name}: {} ({})", adapter.name, adapter.driver);
        }
    }
    name
}
