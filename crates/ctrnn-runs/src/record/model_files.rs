//! The files of a network: its weights, and the description with which the files alone say what it is.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::backend::{AutodiffBackend, Backend};
use ctrnn_config::{InputFile, Run, replace_string};
use ctrnn_files::{FileError, RunFolder, atomic, npz};
use ctrnn_model::{CtrnnModule, Weights};
use serde_json::json;

use crate::RunError;
use crate::weights::description::description;
use crate::weights::weight_file::{arrays_of, safetensors_bytes};

/// Returns the resolved configuration as JSON without the device and the folders of input files. It is stored in weight
/// files, which must not depend on the machine.
pub fn portable_json(run: &Run) -> String {
    let mut table = run.kept().table();
    table.remove("device");
    let paths = |file: &InputFile| [file.named.clone(), file.path.clone()];
    for path in run.input_files.iter().flat_map(paths) {
        let (from, name) = (path.to_string_lossy(), path.file_name().unwrap_or_default());
        let to = name.to_string_lossy();
        let values = table.iter_mut();
        values.for_each(|(_, value)| replace_string(value, &from, &to));
    }
    let value = serde_json::to_value(table).expect("TOML fits JSON");
    value.to_string()
}

/// Returns the metadata of a weight file, with which the file alone describes the model: its configuration, and the names to
/// which the numbers in `unit.area` and `unit.type` belong.
pub fn weight_metadata(run: &Run) -> BTreeMap<String, String> {
    let (areas, types) = (run.model.areas.names().collect(), run.model.type_names());
    let list = |names: Vec<&str>| (!names.is_empty()).then(|| json!(names).to_string());
    let entries = [
        ("format", Some("pt".to_owned())),
        ("ctrnn.schema", Some("1".to_owned())),
        ("ctrnn.config", Some(portable_json(run))),
        ("ctrnn.areas", list(areas)),
        ("ctrnn.cell_types", list(types)),
    ];
    let given = entries.into_iter();
    given
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
}

/// The files of a network: its weights, and the metadata that a reader needs.
pub struct ModelFiles {
    weights: Weights,
    pub safetensors: Vec<u8>,
    json: String,
}

impl ModelFiles {
    pub fn of<B: Backend>(run: &Run, network: &CtrnnModule<B>, step: u64) -> Self {
        let weights = network.weights();
        let resolved = portable_json(run);
        let description = json!({
            "schema": 1,
            "step": step,
            "task": run.task_name,
            "model": description(network.config()),
            "config": serde_json::from_str::<serde_json::Value>(&resolved).expect("written a line above"),
        });
        Self {
            safetensors: safetensors_bytes(&weights, weight_metadata(run)),
            json: serde_json::to_string_pretty(&description).expect("a JSON value"),
            weights,
        }
    }

    pub fn write(&self, folder: &Path) -> Result<(), FileError> {
        atomic::write(&folder.join("weights.safetensors"), &self.safetensors)?;
        atomic::write(&folder.join("model.json"), self.json.as_bytes())
    }
}

/// Writes `model/`, the network after the last step.
pub fn write_model<B: AutodiffBackend>(
    folder: &RunFolder,
    run: &Run,
    network: &CtrnnModule<B>,
    step: u64,
) -> Result<(), RunError> {
    let files = ModelFiles::of(run, network, step);
    folder.replace(&folder.model(), |staged| -> Result<(), RunError> {
        files.write(staged)?;
        npz::write(&staged.join("weights.npz"), &arrays_of(&files.weights))?;
        Ok(())
    })
}
