//! `info`: version, machine, kernels, devices.

use ctrnn_kernels::KernelPath;
use serde_json::json;

#[cfg(feature = "wgpu")]
use crate::adapter::adapters;
use crate::failure::Failure;
use crate::terminal::Terminal;
use crate::threads;

/// Shows the version of this program and the devices that it found.
pub fn run(terminal: &Terminal) -> Result<u8, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let threads = threads::elsewhere(0);
    let kernel = KernelPath::selected().map_or("none", KernelPath::name);
    let kernels: Vec<&str> = KernelPath::available().map(KernelPath::name).collect();
    let backends: Vec<&str> = [
        ("cpu", true),
        ("wgpu", cfg!(feature = "wgpu")),
        ("cuda", cfg!(feature = "cuda")),
    ]
    .into_iter()
    .filter_map(|(name, is_built)| is_built.then_some(name))
    .collect();
    let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    let adapters = listed();
    let text = || {
        let mut text = format!(
            "train-ctrnn {version} (burn 0.21.0, {target})\nthreads      {threads}\nkernels      {kernel} (available: {})\nbackends     {}",
            kernels.join(", "),
            backends.join(", ")
        );
        for adapter in &adapters {
            let field = |name: &str| adapter[name].as_str().unwrap_or_default().to_owned();
            let (name, kind, driver) = (field("name"), field("kind"), field("driver"));
            let word = format!("wgpu:{}", adapter["index"]);
            text += &format!("\n{word:<13}{name} ({kind}; {driver})");
        }
        text
    };
    let json = || {
        json!({
            "version": version, "burn": "0.21.0", "target": target, "threads": threads,
            "kernel": kernel, "kernels": kernels, "backends": backends,
            "adapters": adapters,
        })
    };
    terminal.print(text, json)?;
    Ok(0)
}

/// Lists the graphics adapters of this machine.
#[cfg(feature = "wgpu")]
fn listed() -> Vec<serde_json::Value> {
    adapters()
        .into_iter()
        .map(|adapter| {
            json!({
                "index": adapter.index,
                "name": adapter.name,
                "kind": adapter.kind,
                "driver": adapter.driver,
                "largest_buffer": adapter.largest_buffer(),
            })
        })
        .collect()
}

/// Returns no adapters: this program was built without wgpu.
#[cfg(not(feature = "wgpu"))]
fn listed() -> Vec<serde_json::Value> {
    Vec::new()
}
