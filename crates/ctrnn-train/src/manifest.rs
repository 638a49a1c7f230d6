//! manifest.json: what made a run, beside its configuration.

use ctrnn_files::{RunFolder, digest};
use ctrnn_kernels::KernelPath;
use serde_json::{Map, Value, json};

use crate::TrainError;
use crate::config::Backend;
use crate::conformance::InputFile;
use crate::run::Run;

/// The manifest of a run that computes on `device` and begins with weights whose file has the digest `initial`, as JSON text.
///
/// # Errors
/// If an input file cannot be read.
pub(crate) fn manifest(run: &Run, device: &str, initial: &str) -> Result<String, TrainError> {
    let mut inputs = Vec::new();
    for InputFile { path, .. } in &run.input_files {
        let digest = match &run.given {
            Some(given) if run.init_file.as_ref() == Some(path) => given.blake3.clone(),
            _ => digest::blake3_file(path)?,
        };
        inputs.push(json!({ "path": path, "blake3": digest }));
    }
    let mut manifest = Map::new();
    manifest.insert("schema".to_owned(), 1.into());
    manifest.extend(machine(run, device));
    manifest.insert("seed".to_owned(), run.seed.into());
    manifest.insert("inputs".to_owned(), inputs.into());
    let initial = json!({ "path": RunFolder::INITIAL_WEIGHTS, "blake3": initial });
    manifest.insert("initial".to_owned(), initial);
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
        "threads": rayon_threads(run),
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

/// The number of threads asked for, or all there are.
fn rayon_threads(run: &Run) -> usize {
    match run.device.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    }
}
