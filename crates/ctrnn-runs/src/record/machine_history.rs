//! Changes of machine and configuration while a run was stopped, as its manifest records them.

use ctrnn_config::{Difference, Run};
use ctrnn_files::{RunFolder, json};
use serde_json::{Map, Value};

use crate::RunError;
use crate::record::manifest::{THREADS, machine};
use crate::record::resumed::changes_json;
use crate::record::run_log::now;

/// Appends changes since the run began or was last resumed to `resumed` in the manifest: device, kernel path, threads,
/// versions, and the configuration values in `changed`. Returns the manifest, and a note for the user if the machine
/// makes numbers differ from those of an uninterrupted run.
///
/// # Errors
/// If the manifest is missing, damaged, or cannot be replaced.
pub(crate) fn note_changes(
    folder: &RunFolder,
    run: &Run,
    device: &str,
    from_step: u64,
    changed: &[Difference],
) -> Result<(Map<String, Value>, Option<String>), RunError> {
    let mut manifest: Map<String, Value> = json::read(&folder.manifest())?;
    let changes = changes(&manifest, machine(run, device));
    if changes.is_empty() && changed.is_empty() {
        return Ok((manifest, None));
    }
    let ended: Vec<&str> = changes
        .keys()
        .map(String::as_str)
        .filter(|field| *field != THREADS)
        .collect();
    let note = (!ended.is_empty()).then(|| {
        let fields = ended.join(", ");
        format!("resumed with another {fields}: from step {from_step} on, numbers can differ in the last bits from a run that was never stopped")
    });
    let mut entry = serde_json::json!({
        "from_step": from_step,
        "time": now(),
        "bit_exact": note.is_none(),
        "now": changes,
    });
    if !changed.is_empty() {
        entry["changed"] = changes_json(changed);
    }
    match manifest.get_mut("resumed").and_then(Value::as_array_mut) {
        Some(entries) => entries.push(entry),
        None => drop(manifest.insert("resumed".to_owned(), Value::Array(vec![entry]))),
    }
    let text = serde_json::to_vec_pretty(&manifest).expect("a JSON value");
    folder.write(&folder.manifest(), &text)?;
    Ok((manifest, note))
}

/// Returns the fields of `machine` that differ from the latest values in the manifest.
fn changes(manifest: &Map<String, Value>, machine: Map<String, Value>) -> Map<String, Value> {
    let entries = manifest.get("resumed").and_then(Value::as_array);
    let entries = entries.map(Vec::as_slice).unwrap_or_default();
    let last = |field: &str| {
        let later = entries
            .iter()
            .rev()
            .find_map(|entry| entry["now"].get(field));
        later.or_else(|| manifest.get(field)).cloned()
    };
    machine
        .into_iter()
        .filter(|(field, value)| last(field).as_ref() != Some(value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn each_field_is_compared_with_what_was_said_last() {
        let manifest = object(serde_json::json!({
            "kernel_path": "avx2",
            "threads": 2,
            "device": "cpu",
            "resumed": [{ "now": { "threads": 4 } }, { "now": { "kernel_path": "avx512" } }],
        }));
        let now = |path, threads| {
            object(serde_json::json!({ "kernel_path": path, "threads": threads, "device": "cpu" }))
        };
        assert!(changes(&manifest, now("avx512", 4)).is_empty());
        let back = changes(&manifest, now("avx2", 2));
        assert_eq!(
            Value::Object(back),
            serde_json::json!({ "kernel_path": "avx2", "threads": 2 })
        );
    }
}
