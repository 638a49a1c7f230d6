//! Content of manifest.json: the provenance of a run, apart from its configuration.

use std::path::PathBuf;

use ctrnn_config::{Backend, InputFile, Run};
use ctrnn_files::{RunFolder, digest, json as json_file};
use ctrnn_kernels::KernelPath;
use ctrnn_tasks::{Layout, TargetKind};
use serde_json::{Map, Value, json};

use crate::RunError;
use crate::trials::trials_from_command::check_layout;

/// Key of the inputs and outputs of the task.
const CHANNELS: &str = "channels";

/// Key of the stages that have begun, each with its name and the number of steps before it.
pub const STAGES: &str = "stages";

/// Key of the run that provided the initial weights.
pub const INIT_FROM: &str = "init_from";

/// Field on which no result depends.
pub(crate) const THREADS: &str = "threads";

/// Key of the Slurm job that began the run.
const SLURM_JOB: &str = "slurm_job_id";

/// Returns true if this process belongs to a Slurm job that was requeued, and that job began the run.
pub fn is_begun_by_requeued_job(folder: &RunFolder) -> bool {
    let number = |name: &str| std::env::var(name).ok();
    let restarts: Option<u32> = number("SLURM_RESTART_COUNT").and_then(|n| n.trim().parse().ok());
    let manifest: Option<Map<String, Value>> = json_file::read(&folder.manifest()).ok();
    let began = manifest.and_then(|mut manifest| manifest.remove(SLURM_JOB));
    let job = number("SLURM_JOB_ID").map(Value::String);
    restarts.is_some_and(|n| n > 0) && job.is_some() && began == job
}

/// Returns the manifest, as JSON text, of a run that computes on `device`; `initial` is the digest of its initial
/// weights.
///
/// # Errors
/// If an input file cannot be read.
pub(crate) fn manifest(run: &Run, device: &str, initial: &str) -> Result<String, RunError> {
    let mut inputs = Vec::new();
    for InputFile { path, .. } in &run.input_files {
        // A script is not read if its program is not started, so it may be missing.
        let is_needed = run.task.unstarted_program().is_none() || path.is_file();
        let digest = match &run.given {
            Some(given) if run.init_file.as_ref() == Some(path) => Some(given.blake3.clone()),
            _ => is_needed.then(|| digest::blake3_file(path)).transpose()?,
        };
        inputs.push(json!({ "path": path.to_string_lossy(), "blake3": digest }));
    }
    let is_named = |path: &PathBuf| run.input_files.iter().any(|file| file.path == *path);
    for path in run.task.input_files().iter().filter(|path| !is_named(path)) {
        let digest = digest::blake3_file(path)?; // an argument of the task's program
        inputs.push(json!({ "path": path.to_string_lossy(), "blake3": digest }));
    }
    let mut manifest = Map::new();
    manifest.insert("schema".to_owned(), 1.into());
    manifest.extend(machine(run, device));
    manifest.insert("program".to_owned(), program());
    manifest.insert("seed".to_owned(), run.config.seed.into());
    manifest.insert("inputs".to_owned(), inputs.into());
    manifest.insert(CHANNELS.to_owned(), channels(run));
    if let Some(given) = &run.given {
        let source = serde_json::to_value(&given.source).expect("two texts");
        manifest.insert(INIT_FROM.to_owned(), source);
    }
    if let Ok(job) = std::env::var("SLURM_JOB_ID") {
        manifest.insert(SLURM_JOB.to_owned(), job.into());
    }
    let initial = json!({ "path": RunFolder::INITIAL_WEIGHTS, "blake3": initial });
    manifest.insert("initial".to_owned(), initial);
    Ok(serde_json::to_string_pretty(&manifest).expect("a JSON value"))
}

/// Returns the digest of the program that begins the run, which tells builds of one version apart; null if its file
/// cannot be read.
fn program() -> Value {
    // XXH3, because BLAKE3 of so large a file would take longer than a short training.
    let digest = std::env::current_exe().map(|path| digest::xxh3_file(&path));
    json!({ "xxh3": digest.ok().and_then(Result::ok) })
}

/// Returns the inputs and outputs of the task by name, which is all that is needed if no trials are made.
fn channels(run: &Run) -> Value {
    serde_json::to_value(run.task.layout()).expect("names and numbers have a JSON form")
}

/// Adds the inputs and outputs of the task to a manifest from an earlier version that lacks them.
///
/// # Errors
/// If the manifest is missing, damaged, or cannot be replaced.
pub(crate) fn note_channels(folder: &RunFolder, run: &Run) -> Result<(), RunError> {
    let mut manifest: Map<String, Value> = json_file::read(&folder.manifest())?;
    if !manifest.contains_key(CHANNELS) {
        manifest.insert(CHANNELS.to_owned(), channels(run));
        let text = serde_json::to_string_pretty(&manifest).expect("a JSON value");
        folder.write(&folder.manifest(), text.as_bytes())?;
    }
    Ok(())
}

/// Records the beginning of a stage in the manifest, in place of it and of later ones; returns true if it was not there yet.
///
/// # Errors
/// If the manifest is missing, damaged, or cannot be replaced.
pub(crate) fn note_stage(
    folder: &RunFolder,
    index: usize,
    stage: &Value,
) -> Result<bool, RunError> {
    let mut manifest: Map<String, Value> = json_file::read(&folder.manifest())?;
    let stages = manifest.entry(STAGES).or_insert_with(|| json!([]));
    let Some(stages) = stages.as_array_mut() else {
        let (path, reason) = (folder.manifest(), format!("{STAGES} is not a list"));
        return Err(RunError::Data { path, reason });
    };
    if stages.len() == index + 1 && stages.last() == Some(stage) {
        return Ok(false);
    }
    stages.truncate(index);
    stages.push(stage.clone());
    let text = serde_json::to_string_pretty(&manifest).expect("a JSON value");
    folder.write(&folder.manifest(), text.as_bytes())?;
    Ok(true)
}

/// Returns the inputs and outputs of the task of a run from its manifest, or unnamed ones with the sizes of its model;
/// `None` if neither is available.
pub fn recorded_layout(folder: &RunFolder) -> Option<Layout> {
    let manifest: Map<String, Value> = json_file::read(&folder.manifest()).ok()?;
    let layout = match manifest.get(CHANNELS) {
        Some(channels) => serde_json::from_value(channels.clone()).ok()?,
        None => {
            let model: Value = json_file::read(&folder.model_json()).ok()?;
            let size = |key: &str| model["model"][key].as_u64()?.try_into().ok();
            let loss = model["config"]["train"]["loss"]["name"].as_str();
            unnamed_layout(size("n_inputs")?, size("n_outputs")?, loss)?
        }
    };
    check_layout(&layout).ok().map(|()| layout)
}

/// Returns the outputs that are choices of the task of a run, according to its manifest.
pub(crate) fn recorded_choices(folder: &RunFolder) -> Option<Vec<usize>> {
    let mut manifest: Map<String, Value> = json_file::read(&folder.manifest()).ok()?;
    let layout: Layout = serde_json::from_value(manifest.remove(CHANNELS)?).ok()?;
    Some(layout.choices)
}

/// Returns unnamed channels, given their numbers and the loss; `None` if the numbers are implausibly large.
pub(crate) fn unnamed_layout(
    n_inputs: usize,
    n_outputs: usize,
    loss: Option<&str>,
) -> Option<Layout> {
    const MOST: usize = 1 << 16;
    let target = match loss {
        Some("cross_entropy") => TargetKind::Classes,
        _ => TargetKind::Values,
    };
    let is_possible = n_inputs <= MOST && (1..=MOST).contains(&n_outputs);
    is_possible.then(|| Layout::numbered(n_inputs, n_outputs, target))
}

/// Returns the fields of the manifest that may change while a run is stopped: device, kernels, threads, versions.
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
        "backend": run.config.device.backend.to_string(),
        "device": device,
        "profile": if cfg!(debug_assertions) { "dev" } else { "release" },
        "threads": rayon::current_num_threads(),
    });
    match machine {
        Value::Object(fields) => fields,
        _ => unreachable!("written as an object above"),
    }
}

/// Returns the name of the kernels that compute the recurrence.
fn kernel_path(run: &Run) -> &'static str {
    match run.config.device.backend {
        Backend::Cpu => KernelPath::selected().map_or("none", KernelPath::name),
        Backend::Wgpu(_) | Backend::Cuda(_) => "cubecl",
    }
}
