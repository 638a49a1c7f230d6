//! `info`: version, machine, kernels, devices.

use ctrnn_kernels::KernelPath;
use serde_json::json;

use crate::failure::Failure;
use crate::terminal::Terminal;

/// Shows what this program is and what it found.
pub fn run(terminal: &Terminal) -> Result<u8, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = KernelPath::selected().map_or("none", KernelPath::name);
    let kernels: Vec<&str> = KernelPath::available().map(KernelPath::name).collect();
    let backends: &[&str] = if cfg!(feature = "wgpu") {
        &["cpu", "wgpu"]
    } else {
        &["cpu"]
    };
    let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    let text = || {
        format!(
            "train-ctrnn {version} (burn 0.21.0, {target})\nthreads      {threads}\nkernels      {kernel} (available: {})\nbackends     {}",
            kernels.join(", "),
            backends.join(", ")
        )
    };
    let json = || {
        json!({
            "version": version, "burn": "0.21.0", "target": target, "threads": threads,
            "kernel": kernel, "kernels": kernels, "backends": backends,
        })
    };
    terminal.print(text, json)?;
    Ok(0)
}
