//! `info`: version, machine, kernels, devices.

use ctrnn_kernels::KernelPath;
use serde_json::{Value, json};

#[cfg(feature = "wgpu")]
use crate::adapter::adapters;
use crate::failure::Failure;
use crate::terminal::Terminal;
use crate::threads;

/// Shows the version of this program and the devices that it found.
pub fn run(terminal: &Terminal) -> Result<(), Failure> {
    let kernels: Vec<&str> = KernelPath::available().map(KernelPath::name).collect();
    let backends = [
        ("cpu", true),
        ("wgpu", cfg!(feature = "wgpu")),
        ("cuda", cfg!(feature = "cuda")),
    ];
    let backends = backends.into_iter().filter(|(_, is_built)| *is_built);
    let info = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "burn": "0.21.0",
        "target": format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        "threads": threads::elsewhere(0),
        "kernel": KernelPath::selected().map_or("none", KernelPath::name),
        "kernels": kernels,
        "backends": backends.map(|(name, _)| name).collect::<Vec<_>>(),
        "adapters": listed(),
    });
    terminal.print(|| text(&info), || info.clone())
}

fn text(info: &Value) -> String {
    let word = |info: &Value, key: &str| info[key].as_str().unwrap_or_default().to_owned();
    let list = |key: &str| {
        let words = info[key].as_array().into_iter().flatten();
        words
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut text = format!(
        "train-ctrnn {} (burn {}, {})\nthreads      {}\nkernels      {} (available: {})\nbackends     {}",
        word(info, "version"),
        word(info, "burn"),
        word(info, "target"),
        info["threads"],
        word(info, "kernel"),
        list("kernels"),
        list("backends"),
    );
    for adapter in info["adapters"].as_array().into_iter().flatten() {
        let field = |key: &str| word(adapter, key);
        let index = format!("wgpu:{}", adapter["index"]);
        text += &format!(
            "\n{index:<13}{} ({}; {})",
            field("name"),
            field("kind"),
            field("driver")
        );
    }
    text
}

/// Lists the graphics adapters of this machine.
#[cfg(feature = "wgpu")]
fn listed() -> Vec<Value> {
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
fn listed() -> Vec<Value> {
    Vec::new()
}
