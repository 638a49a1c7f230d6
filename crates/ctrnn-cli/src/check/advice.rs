//! Advice on the device on which a configuration is expected to train faster.
//!
//! The time of a step is estimated for both devices from its work, `6 B T` operations for each recurrent weight (`N^2`, or `2 N R` for
//! factors of rank R) and each connection between layers, so that the advice does not depend on the load of the machine; a measured time that is shorter replaces
//! the estimate. `docs/performance.md` has the measurements behind the constants.

use ctrnn_config::{Backend, Run, counted};

use crate::threads::in_training;

/// Operations per second of one thread of the CPU kernels.
const CPU_RATE: f64 = 1.2e11;
/// Operations per second of a discrete GPU in these kernels.
const GPU_RATE: f64 = 1e13;
/// Milliseconds to launch the kernels of a step on a GPU, however small the step.
const GPU_LAUNCHES_MS: f64 = 2.0;
/// Milliseconds of a GPU for a time step forward and backward, however few the units.
const GPU_TIME_STEP_MS: f64 = 1.5e-3;
/// Kernels that the plain path launches for a time step forward and backward.
const PLAIN_LAUNCHES: f64 = 80.0;
/// Milliseconds to launch one of them.
const LAUNCH_MS: f64 = 5e-3;
/// Factor by which a GPU must be faster to be worth a separate build.
const WORTH_A_BUILD: f64 = 3.0;

/// True if this program can compute on a GPU.
const HAS_GPU: bool = cfg!(any(feature = "wgpu", feature = "cuda"));

/// Returns a sentence for the user: the faster device that this program supports, and both times.
pub fn advice(run: &Run, max_steps: usize, measured_ms: f64) -> String {
    advice_of(run, max_steps, measured_ms, HAS_GPU)
}

/// Returns a note on layers whose recurrence has no kernel on the GPU that the run asks for, and on what that costs.
pub fn plain_path_note(run: &Run) -> Option<String> {
    let features = run.model.without_gpu_kernels();
    if features.is_empty() || run.config.device.backend == Backend::Cpu {
        return None;
    }
    let plain = features.len();
    let operations = PLAIN_LAUNCHES * plain as f64;
    let others = match run.model.n_layers() - plain {
        0 => "",
        _ => "; the other layers run fused",
    };
    Some(format!(
        "{} {} no kernel on a GPU: each time step is about {operations} small operations forward and backward, {:.1} ms, in place of a part of one{others}; a CPU computes it by its fused sweep (device.backend = \"cpu\")",
        features.join(" and "),
        if plain == 1 { "has" } else { "have" },
        operations * LAUNCH_MS
    ))
}

fn advice_of(run: &Run, max_steps: usize, measured_ms: f64, has_gpu: bool) -> String {
    if let Some(feature) = run.model.without_gpu_kernels().first() {
        return format!("cpu: {feature} has kernels only there");
    }
    let trial_steps = run.config.train.trials_of_step() as f64 * max_steps as f64;
    let work = 6.0 * trial_steps * run.model.multiplications() as f64;
    let layers = run.model.n_layers() as f64;
    let threads = in_training(run);
    let cpu = 1e3 * work / (CPU_RATE * threads as f64);
    let one_by_one = GPU_LAUNCHES_MS + GPU_TIME_STEP_MS * max_steps as f64;
    let gpu = layers * one_by_one + 1e3 * work / GPU_RATE;
    let (cpu, gpu) = match run.config.device.backend {
        Backend::Cpu => (cpu.min(measured_ms), gpu),
        Backend::Wgpu(_) | Backend::Cuda(_) => (cpu, gpu.min(measured_ms)),
    };
    let times = format!(
        "a step is estimated to take {cpu:.1} ms on {} of a CPU and {gpu:.1} ms on a discrete GPU",
        counted(threads, "thread")
    );
    if cpu <= gpu {
        return format!(
            "cpu: a GPU would spend more time on launching kernels and on successive time steps ({times})"
        );
    }
    let busy = "there is enough work in a time step to keep a GPU busy";
    if has_gpu {
        format!("wgpu: {busy} ({times})")
    } else if cpu >= WORTH_A_BUILD * gpu {
        format!(
            "cpu: this program has no other device; {busy} ({times}), and `cargo build --release --features wgpu` makes a program that uses one"
        )
    } else {
        format!("cpu: this program has no other device ({times})")
    }
}

#[cfg(test)]
mod tests {
    use super::{advice_of, plain_path_note};
    use ctrnn_config::{Run, RunConfig};

    fn advised(device: &str, ms: f64, has_gpu: bool) -> String {
        advised_for("", device, ms, has_gpu)
    }

    fn advised_for(model: &str, device: &str, ms: f64, has_gpu: bool) -> String {
        let threads = if device.contains("threads") {
            ""
        } else {
            "\nthreads = 4"
        };
        let text = format!(
            "[task.go_nogo]\n[model]\nn_units = 256\n{model}\n[train]\nbatch_size = 128\n[device]\n{device}{threads}"
        );
        advice_of(&run_of(&text), 200, ms, has_gpu)
    }

    fn run_of(text: &str) -> Run {
        let registry = ctrnn_runs::registry();
        RunConfig::from_text(text, "a.toml", std::path::Path::new("/"), &[], &registry).unwrap()
    }

    fn note(model: &str, backend: &str) -> Option<String> {
        let text = format!("[task.go_nogo]\n{model}\n[device]\nbackend = '{backend}'");
        plain_path_note(&run_of(&text))
    }

    /// 6 * 128 * 200 * 256^2 = 1.0e10 operations: 21 ms on four threads, 2 + 0.3 + 1.0 = 3.3 ms on a GPU.
    #[test]
    fn both_devices_are_estimated_from_the_work_of_a_step() {
        assert!(advised("", 20.0, true).starts_with("wgpu: "));
        assert!(advised("", 20.0, true).contains("20.0 ms on 4 threads of a CPU and 3.3 ms"));
        assert!(advised("threads = 1", 20.0, true).contains(" ms on 1 thread of a CPU"));
        assert!(advised("", 0.5, true).starts_with("cpu: "));
        assert!(advised("backend = 'wgpu'", 30.0, true).contains("21.0 ms on 4 threads"));
    }

    /// Other work of the machine slows a step down, but does not change the work in it.
    #[test]
    fn a_disturbed_timing_changes_nothing() {
        assert_eq!(advised("", 1e4, true), advised("", 1e6, true));
    }

    #[test]
    fn a_network_without_kernels_is_better_off_on_a_cpu() {
        let plastic = "short_term_plasticity = 'half'";
        assert!(advised_for(plastic, "", 20.0, true).starts_with("cpu: "));
    }

    /// The factors of rank one take 6 * 128 * 200 * 2 * 256 = 7.9e7 operations: 0.2 ms on four threads.
    #[test]
    fn factors_are_less_work_than_a_full_matrix() {
        let factors = "low_rank = { rank = 1 }";
        let told = advised_for(factors, "", 20.0, true);
        assert!(
            told.starts_with("cpu: ") && told.contains("take 0.2 ms"),
            "{told}"
        );
    }

    #[test]
    fn what_has_no_kernel_on_a_gpu_is_noted_with_its_layer_and_its_cost() {
        let plastic = "short_term_plasticity = 'half'";
        let one = format!("[model]\n{plastic}");
        let told = note(&one, "wgpu").unwrap();
        assert!(
            told.starts_with("model.short_term_plasticity has no kernel on a GPU: each time step is about 80 small operations forward and backward, 0.4 ms"),
            "{told}"
        );
        assert!(!told.contains("layer"), "{told}");
        assert_eq!(note(&one, "cpu"), None);
        let stack = format!("[[model.layer]]\n{plastic}\n[[model.layer]]\nn_units = 8");
        let told = note(&stack, "wgpu").unwrap();
        assert!(
            told.starts_with("model.layer[0].short_term_plasticity has"),
            "{told}"
        );
        assert!(told.contains("; the other layers run fused"), "{told}");
        let stack = format!("[[model.layer]]\n{plastic}\n[[model.layer]]\n{plastic}");
        let told = note(&stack, "wgpu").unwrap();
        assert!(
            told.contains("model.layer[1].short_term_plasticity have")
                && told.contains("160 small"),
            "{told}"
        );
    }

    #[test]
    fn areas_stacks_and_low_rank_have_kernels_on_a_gpu() {
        for model in [
            "[model]\nlow_rank = { rank = 2 }",
            "[model]\nlow_rank = { rank = 2, full = 'trained' }",
            "[[model.layer]]\n[[model.layer]]\nlow_rank = { rank = 2 }",
            "[model]\nareas.a = { units = 4 }\nareas.b = { units = 4 }\nprojections.\"a -> b\" = {}",
        ] {
            assert_eq!(note(model, "wgpu"), None, "{model}");
        }
        let delayed = "[model]\nareas.a = { units = 4 }\nareas.b = { units = 4 }\nprojections.\"a -> b\" = { delay_ms = 40 }";
        let told = note(delayed, "wgpu").unwrap();
        assert!(
            told.starts_with("a delay of recurrent connections has"),
            "{told}"
        );
    }

    #[test]
    fn a_program_without_a_gpu_advises_none() {
        let told = advised("", 20.0, false);
        assert!(
            told.starts_with("cpu: this program has no other device"),
            "{told}"
        );
        assert!(told.contains("--features wgpu"), "{told}"); // 20 ms against 3.3 ms
        let told = advised("", 5.0, false);
        assert!(
            told.starts_with("cpu: ") && !told.contains("wgpu"),
            "{told}"
        );
    }
}
