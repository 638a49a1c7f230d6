//! Export of the weights of a run for other programs.

use std::ffi::OsStr;
use std::path::Path;

use burn::tensor::backend::Backend;
use ctrnn_config::Run;
use ctrnn_files::output::{self, OutputFile};
use ctrnn_files::{Array, ArrayData, FileError, atomic, npz};
use ctrnn_model::CtrnnModule;

use crate::RunError;
use crate::record::model_files::{portable_json, weight_metadata};
use crate::weights::description::description;
use crate::weights::weight_file::{CONFIG, arrays_of, safetensors_bytes};

/// Format of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Export {
    /// An npz file with the arrays of `model/weights.npz` and the configuration as bytes of JSON, `config_json`.
    Npz,
    /// A safetensors file with the configuration in its metadata, as in `model/`.
    Safetensors,
    /// A folder with `weights.safetensors` and `torch_model.py`, which runs the same dynamics and needs only torch.
    Torch,
}

/// Python module with `{}` as the placeholder for the description of the network.
const TORCH_MODEL: &str = include_str!("torch_model.py");
/// Activations for numpy and torch, which replace the import of them in the module.
const ACTIVATIONS: &str = include_str!("activations.py");

/// Names of the files in a torch export; Python adds its cache folder.
const TORCH_FILES: [&str; 3] = [WEIGHTS, MODULE, "__pycache__"];
const WEIGHTS: &str = "weights.safetensors";
const MODULE: &str = "torch_model.py";

impl Export {
    /// Writes the network of a run. With `force` an existing file, or the folder of an earlier export, is replaced.
    ///
    /// # Errors
    /// See [`output::check`]; also if a folder exists and `force` is unset or it holds other files, or if writing
    /// fails.
    pub fn write<B: Backend>(
        self,
        run: &Run,
        network: &CtrnnModule<B>,
        path: &Path,
        force: bool,
    ) -> Result<(), RunError> {
        let weights = network.weights();
        let safetensors = || safetensors_bytes(&weights, weight_metadata(run));
        match self {
            Self::Npz => {
                let mut arrays = arrays_of(&weights);
                let config = portable_json(run).into_bytes();
                let shape = [config.len()];
                arrays.insert(CONFIG.to_owned(), Array::new(&shape, ArrayData::U8(config)));
                npz::write_to(OutputFile::create(path, force)?, &arrays)?;
            }
            Self::Safetensors => output::write(path, force, &safetensors())?,
            Self::Torch => {
                write_folder(path, force, &safetensors(), &torch_model(network))?;
            }
        }
        Ok(())
    }
}

/// Writes the folder of a torch export.
fn write_folder(path: &Path, force: bool, weights: &[u8], module: &str) -> Result<(), RunError> {
    let fill = |staged: &Path| -> Result<(), RunError> {
        atomic::write(&staged.join(WEIGHTS), weights)?;
        Ok(atomic::write(&staged.join(MODULE), module.as_bytes())?)
    };
    output::check_folder(path)?;
    if force && path.exists() {
        refuse_to_lose(path)?;
        let there = path.canonicalize().map_err(FileError::io("read", path))?; // replaces the target and keeps the link
        atomic::replace_folder(&there, fill, || Ok(()))
    } else {
        atomic::create_folder(path, fill)
    }
}

/// Refuses to replace anything but a folder, and a folder that holds more than a torch export.
fn refuse_to_lose(folder: &Path) -> Result<(), FileError> {
    let path = folder.to_owned();
    if !folder.is_dir() {
        return Err(FileError::AlreadyExists { path });
    }
    let entries = std::fs::read_dir(folder).map_err(FileError::io("read", folder))?;
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
    let is_foreign =
        |name: &std::ffi::OsString| !TORCH_FILES.iter().any(|own| OsStr::new(own) == name);
    let mut names: Vec<String> = names
        .filter(is_foreign)
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    if names.is_empty() {
        Ok(())
    } else {
        Err(FileError::Foreign { path, names })
    }
}

/// Returns the Python module of a network. JSON never contains three quotes in a row, so it fits into a raw Python
/// string.
fn torch_model<B: Backend>(network: &CtrnnModule<B>) -> String {
    let model = description(network.config());
    let model = serde_json::to_string_pretty(&model).expect("a JSON value");
    TORCH_MODEL
        .replacen("from activations import activation\n", ACTIVATIONS, 1)
        .replacen("\n{}\n", &format!("\n{model}\n"), 1)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// `UPDATE_ACTIVATIONS=1 cargo test -p ctrnn-runs activations` copies the file.
    #[test]
    fn ctrnn_io_has_the_same_activations() {
        let copy =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../python/ctrnn_io/activations.py");
        if std::env::var_os("UPDATE_ACTIVATIONS").is_some() {
            std::fs::write(&copy, ACTIVATIONS).unwrap();
        }
        assert!(
            std::fs::read_to_string(&copy).unwrap() == ACTIVATIONS,
            "run UPDATE_ACTIVATIONS=1 cargo test -p ctrnn-runs activations"
        );
    }

    #[test]
    fn python_knows_every_activation() {
        for activation in ctrnn_model::Activation::ALL {
            let entry = format!("        \"{}\": ", activation.name());
            assert!(ACTIVATIONS.contains(&entry), "{activation:?}");
        }
        assert!(TORCH_MODEL.contains("\nfrom activations import activation\n"));
    }
}
