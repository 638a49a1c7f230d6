//! The weights of a run as files for other programs.

use std::path::Path;

use burn::tensor::backend::Backend;
use ctrnn_files::{Array, ArrayData, FileError, atomic, npz};
use ctrnn_model::CtrnnModule;

use crate::TrainError;
use crate::checkpoint::weight_metadata;
use crate::import::CONFIG;
use crate::run::Run;
use crate::weight_file::{arrays_of, safetensors_bytes};

/// What a network is exported to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Export {
    /// An npz file: the arrays of `model/weights.npz`, and the configuration as bytes of JSON, `config_json`.
    Npz,
    /// A safetensors file with the configuration in its metadata, as in `model/`.
    Safetensors,
    /// A folder with `weights.safetensors` and `torch_model.py`, which runs the same dynamics and needs torch alone.
    Torch,
}

/// A Python module with `{}` where the description of the network belongs.
const TORCH_MODEL: &str = include_str!("torch_model.py");

impl Export {
    /// Writes a network of a run.
    ///
    /// # Errors
    /// If something is at `path` already, or it cannot be written.
    pub fn write<B: Backend>(
        self,
        run: &Run,
        network: &CtrnnModule<B>,
        path: &Path,
    ) -> Result<(), TrainError> {
        if path.symlink_metadata().is_ok() {
            return Err(FileError::AlreadyExists {
                path: path.to_owned(),
            }
            .into());
        }
        let weights = network.weights();
        let resolved = run.portable_json();
        let safetensors = || safetensors_bytes(&weights, weight_metadata(&resolved));
        match self {
            Self::Npz => {
                let mut arrays = arrays_of(&weights);
                let config = resolved.clone().into_bytes();
                let shape = [config.len()];
                arrays.insert(CONFIG.to_owned(), Array::new(&shape, ArrayData::U8(config)));
                npz::write(path, &arrays)?;
            }
            Self::Safetensors => atomic::write(path, &safetensors())?,
            Self::Torch => atomic::create_folder(path, |staged| -> Result<(), TrainError> {
                atomic::write(&staged.join("weights.safetensors"), &safetensors())?;
                let module = torch_model(network);
                Ok(atomic::write(
                    &staged.join("torch_model.py"),
                    module.as_bytes(),
                )?)
            })?,
        }
        Ok(())
    }
}

/// The module of a network. A JSON text never holds three quotes in a row, so it stands in a raw string of Python.
fn torch_model<B: Backend>(network: &CtrnnModule<B>) -> String {
    let model =
        serde_json::to_string_pretty(network.config()).expect("a configuration is plain data");
    TORCH_MODEL.replacen("\n{}\n", &format!("\n{model}\n"), 1)
}
