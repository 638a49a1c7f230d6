//! Conversion of weights between tensors and files.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{DType, TensorData};
use ctrnn_files::{Array, ArrayData, TensorFile, read_arrays};
use ctrnn_model::{CtrnnConfig, Weights};

use crate::RunError;

/// Name of the array with the resolved configuration, bytes of JSON, in an npz file of weights.
pub(crate) const CONFIG: &str = "config_json";

/// Converts an array of a file to tensor data.
fn data_of(array: Array) -> TensorData {
    let (shape, data) = array.into_parts();
    match data {
        ArrayData::F32(values) => TensorData::new(values, shape),
        ArrayData::F64(values) => TensorData::new(values, shape),
        ArrayData::I32(values) => TensorData::new(values, shape),
        ArrayData::I64(values) => TensorData::new(values, shape),
        ArrayData::U8(values) => TensorData::new(values, shape),
        ArrayData::Bool(values) => TensorData::new(values, shape),
        ArrayData::Text(_) => {
            unreachable!("a file of weights with text is refused when it is read")
        }
    }
}

/// Converts tensor data to an array of a file.
fn array_of(data: &TensorData) -> Array {
    let shape = data.shape.to_vec();
    match data.dtype {
        DType::F64 => Array::f64(&shape, data.to_vec().expect("f64 data")),
        DType::I64 => Array::i64(&shape, data.to_vec().expect("i64 data")),
        _ => Array::f32(&shape, data.iter::<f32>().collect()),
    }
}

/// Converts tensors to arrays of a file, by name.
pub(crate) fn arrays_of(tensors: &BTreeMap<String, TensorData>) -> BTreeMap<String, Array> {
    tensors
        .iter()
        .map(|(name, data)| (name.clone(), array_of(data)))
        .collect()
}

/// Converts arrays of a file to tensors, by name.
pub(crate) fn tensors_of(arrays: BTreeMap<String, Array>) -> BTreeMap<String, TensorData> {
    arrays
        .into_iter()
        .map(|(name, array)| (name, data_of(array)))
        .collect()
}

/// Returns the bytes of a safetensors file. Equal tensors and metadata produce equal bytes.
pub(crate) fn safetensors_bytes(
    tensors: &BTreeMap<String, TensorData>,
    metadata: BTreeMap<String, String>,
) -> Vec<u8> {
    let file = TensorFile {
        metadata,
        tensors: arrays_of(tensors),
    };
    file.to_bytes()
}

/// Returns the size limit of a weight file: six times every parameter in double precision (raw weights, masks, signs
/// and fixed weights in addition to effective ones), and 16 MiB of header.
fn longest_file(network: &CtrnnConfig) -> u64 {
    let all: u64 = network
        .parameters()
        .iter()
        .map(|spec| spec.n_elements() as u64)
        .sum();
    (16 << 20) + 6 * 8 * all
}

/// Reads the weights of a network from a safetensors or npz file, depending on the extension of its name.
///
/// # Errors
/// If the file is missing, damaged, of another format, or longer than any weight file of such a network.
pub fn read_weights(path: &Path, network: &CtrnnConfig) -> Result<Weights, RunError> {
    let limit = longest_file(network);
    let bytes = path.metadata().map_or(0, |metadata| metadata.len());
    if bytes > limit {
        let reason =
            format!("is {bytes} bytes long; a weight file of this network has at most {limit}");
        return Err(RunError::Data {
            path: path.to_owned(),
            reason,
        });
    }
    let mut weights = tensors_of(read_arrays(path)?);
    weights.remove(CONFIG); // also written by `export --to npz`
    Ok(weights)
}
