//! Which device a configuration is expected to be faster on, and why.
//!
//! The device that was asked for has been timed; the other one is estimated from the work of a step, `6 B T N^2` operations in
//! the recurrence and its gradients. `docs/performance.md` has what the constants were taken from.

use ctrnn_train::{Backend, Run};

use crate::threads::in_training;

/// Operations per second of one thread of the CPU kernels.
const CPU_RATE: f64 = 1.2e11;
/// Operations per second of a discrete GPU in these kernels.
const GPU_RATE: f64 = 1e13;
/// Milliseconds that a GPU needs to launch the kernels of a step, however small.
const GPU_LAUNCHES_MS: f64 = 2.0;
/// Milliseconds that it needs for a time step forward and backward, however few the units.
const GPU_TIME_STEP_MS: f64 = 1.5e-3;

/// A sentence for the user: the faster device and both times.
pub fn advice(run: &Run, max_steps: usize, measured_ms: f64) -> String {
    let n = run.model.n_units as f64;
    let work = 6.0 * run.train.batch_size as f64 * max_steps as f64 * n * n;
    let threads = in_training(run);
    let cpu = 1e3 * work / (CPU_RATE * threads as f64);
    let gpu = GPU_LAUNCHES_MS + GPU_TIME_STEP_MS * max_steps as f64 + 1e3 * work / GPU_RATE;
    let (cpu, gpu, measured) = match run.device.backend {
        Backend::Cpu => (measured_ms, gpu, "CPU"),
        Backend::Wgpu(_) | Backend::Cuda(_) => (cpu, measured_ms, "GPU"),
    };
    let (faster, why) = match cpu <= gpu {
        true => (
            "cpu",
            "a GPU needs longer to launch its kernels and to take one time step after another",
        ),
        false => (
            "wgpu",
            "there is enough work in a time step to keep a GPU busy",
        ),
    };
    format!(
        "{faster}: {why} (a step takes about {cpu:.1} ms on {threads} threads of a CPU and {gpu:.1} ms on a discrete GPU; the {measured} was measured, the other is an estimate)"
    )
}

#[cfg(test)]
mod tests {
    use super::advice;
    use ctrnn_train::RunConfig;

    fn advised(overrides: &str, ms: f64) -> String {
        let text = format!(
            "[task.go_nogo]\n[model]\nn_units = 256\n[train]\nbatch_size = 128\n[device]\nthreads = 4\n{overrides}"
        );
        let registry = ctrnn_train::registry();
        let run = RunConfig::from_text(&text, "a.toml", std::path::Path::new("/"), &[], &registry);
        advice(&run.unwrap(), 200, ms)
    }

    /// 6 * 128 * 200 * 256^2 = 1.0e10 operations: 21 ms on four threads, 2 + 0.3 + 1.0 = 3.3 ms on a GPU.
    #[test]
    fn the_other_device_is_estimated_from_the_work_of_a_step() {
        assert!(advised("", 20.0).starts_with("wgpu: "));
        assert!(advised("", 20.0).contains("20.0 ms on 4 threads of a CPU and 3.3 ms"));
        assert!(advised("", 0.5).starts_with("cpu: "));
        assert!(advised("backend = 'wgpu'", 30.0).starts_with("cpu: "));
        assert!(advised("backend = 'wgpu'", 30.0).contains("21.0 ms on 4 threads"));
    }
}
