//! manifest.json: what made a run, beside its configuration.

use ctrnn_files::digest;
use ctrnn_kernels::KernelPath;
use serde_json::{Map, Value, json};

use crate::TrainError;
use crate::config::Backend;
use crate::conformance::InputFile;
use crate::run::Run;

/// The manifest of a run that computes on `device`, as JSON text.
///
/// # Errors
/// If an input file cannot be read.
pub(crate) fn manifest(run: &Run, device: &str) -> Result<String, TrainError> {
    let mut inputs = Vec::new();
    for InputFile { path, .. } in &run.input_files {
        inputs.push(json!({ "path": path.to_string_lossy(), "blake3": digest::blake3_file(path)? }));
    }
    let mut manifest = Map::new();
    manifest.insert("schema".to_owned(), 1.into());
    manifest.extend(machine(run, device));
    manifest.insert("seed".to_owned(), run.seed.into());
    manifest.insert("inputs".to_owned(), inputs.into());
    Ok(serde_json::to_string_pretty(&manifest).expect("a JSON value"))
}

/// What computes: everything of the manifest that can change while a run is stopped.
pub(crate) fn machine(run: &Run, device: &str) -> Map<String, Value> {
    let machine = json!({
        "versions": {
            "ctrnn": env!("CARGO_PKG_VERSION"),
            "burn": "0.21.0",
            "rustc": env!("CTRNN_RUSTC_VERSION"),
        },
        "git": { "commit": option_env!("CTRNN_GIT_COMMIT"), "dirty": option_env!("CTRNN_GIT_DIRTY").map(|d| d == "true") },
        "target": { "arch": std::env::consts::ARCH, "os": std::env::consts::OS, "features": env!("CTRNN_TARGET_FEATURES") },
        "kernel_path": kernel_path(run),
        "backend": run.device.backend.to_string(),
        "device": device,
        "profile": if cfg!(debug_assertions) { "dev" } else { "release" },
        "threads": rayon::current_num_threads(),
    });
    match machine {
        Value::Object(fields) => fields,
        _ => unreachable!("written as an object above"),
    }
}

/// The kernels that compute the recurrence.
fn kernel_path(run: &Run) -> &'static str {
    match run.device.backend {
        Backend::Cpu => KernelPath::selected().map_or("none", KernelPath::name),
        Backend::Wgpu(_) | Backend::Cuda(_) => "cubecl",
    }
}
