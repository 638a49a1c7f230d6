//! Choice of the backend: the only file here that names one.

use burn::tensor::backend::{AutodiffBackend, Backend as BurnBackend};
use burn_autodiff::Autodiff;
use burn_ndarray::NdArray;
use ctrnn_model::RecurrenceBackend;
use ctrnn_train::{Backend, DeviceConfig};

use crate::failure::{DEVICE, Failure};

/// Work for a backend that trains.
pub trait Job {
    /// What it gives.
    type Output;

    /// Does the work on a device; loss and gradient norm are worth reading every `check_every` steps.
    fn run<B>(self, device: &B::Device, check_every: CheckEvery) -> Result<Self::Output, Failure>
    where
        B: AutodiffBackend + RecurrenceBackend,
        B::InnerBackend: RecurrenceBackend;
}

/// How often numbers are read from the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "wgpu"),
    expect(dead_code, reason = "reading is free on every other backend")
)]
pub enum CheckEvery {
    /// Reading is free.
    Step,
    /// Reading makes the host wait.
    Log,
}

/// Does a job on the backend that a run asks for.
///
/// # Errors
/// If this program lacks the backend or the machine lacks the device; what the job fails with.
pub fn with_backend<J: Job>(device: &DeviceConfig, job: J) -> Result<J::Output, Failure> {
    use_threads(device.threads);
    match device.backend {
        Backend::Cpu => job.run::<Autodiff<NdArray<f32>>>(&Default::default(), CheckEvery::Step),
        Backend::Wgpu(index) => with_wgpu(index, job),
    }
}

/// Does a job on the CPU in double precision.
///
/// # Errors
/// What the job fails with.
pub fn with_f64<J: Job>(device: &DeviceConfig, job: J) -> Result<J::Output, Failure> {
    use_threads(device.threads);
    job.run::<Autodiff<NdArray<f64>>>(&Default::default(), CheckEvery::Step)
}

/// Sets the number of threads of this process; 0 is all cores. Only the first call counts, and there is one.
fn use_threads(threads: usize) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    if let Err(error) = pool.build_global() {
        debug_assert!(false, "the thread pool was built before: {error}");
    }
}

#[cfg(feature = "wgpu")]
fn with_wgpu<J: Job>(index: Option<usize>, job: J) -> Result<J::Output, Failure> {
    use burn_wgpu::WgpuDevice;
    use ctrnn_model::Gpu;
    let device = match index {
        Some(index) => WgpuDevice::DiscreteGpu(index),
        None => WgpuDevice::DefaultDevice,
    };
    // The adapter is looked for at the first use, which panics where there is none; that panic is not worth showing.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let found = std::panic::catch_unwind(|| {
        let one = burn::tensor::Tensor::<Gpu, 1>::ones([1], &device);
        one.into_scalar()
    });
    std::panic::set_hook(hook);
    match found {
        Ok(_) => job.run::<Autodiff<Gpu>>(&device, CheckEvery::Log),
        Err(_) => Err(Failure::new(
            DEVICE,
            "G002",
            "no graphics adapter was found",
            "train on the CPU: --device cpu",
        )),
    }
}

#[cfg(not(feature = "wgpu"))]
fn with_wgpu<J: Job>(_: Option<usize>, _: J) -> Result<J::Output, Failure> {
    Err(Failure::new(
        DEVICE,
        "G001",
        "this program was built without the backend wgpu",
        "build it with `cargo build --release --features wgpu`, or train on the CPU: --device cpu",
    ))
}

/// A short name of a backend and its device for manifests and messages.
pub fn device_name<B: BurnBackend>(device: &B::Device) -> String {
    format!("{} {device:?}", B::name(device))
}
