//! File formats of ctrnn: npz, safetensors, PyTorch's state_dict, TensorBoard's events, Parquet, atomic files and run folders.
//!
//! This crate deals with bytes on disk and nothing else. Three rules hold throughout:
//!
//! * A file that is written appears whole or not at all ([`atomic`]), and the same content gives the same bytes.
//! * A file that is read is untrusted: sizes, names, types and checksums are checked before memory is allocated, and
//!   no file makes the program panic ([`limits`]).
//! * Every error names the path, the value, the rule and the remedy ([`FileError`]), and says whether the machine or
//!   the data is at fault ([`FileError::kind`]).
//!
//! A run is a folder whose layout [`RunFolder`] describes. A checkpoint is refused if a single bit of it has changed:
//!
//! ```
//! use ctrnn_files::{Array, CheckpointFiles, RunFolder, TensorFile, read_checkpoint};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let run = RunFolder::at(folder.path().join("runs/toy"));
//! let mut weights = TensorFile::default();
//! weights.tensors.insert("output.bias".into(), Array::f32(&[2], vec![0.1, -0.1]));
//!
//! let files = CheckpointFiles::from([("weights.safetensors".into(), weights.to_bytes())]);
//! run.write_checkpoint(2000, &files)?;
//!
//! let newest = run.newest_whole_checkpoint()?;
//! assert_eq!(newest.step, Some(2000));
//! let path = run.checkpoint(2000);
//! let bytes = &read_checkpoint(&path)?["weights.safetensors"];
//! assert_eq!(TensorFile::from_bytes(bytes, &path)?, weights);
//! # Ok(())
//! # }
//! ```

mod array;
mod array_file;
pub mod atomic;
mod checkpoint_folder;
mod container;
pub mod digest;
mod error;
mod fail_point;
pub mod json;
pub mod limits;
mod line_file;
mod lock;
mod npy;
pub mod npz;
pub mod output;
mod parquet;
mod pickle;
mod printable;
mod regular_file;
mod run_folder;
mod safetensors;
mod tensorboard;
mod torch_file;
mod versions;
mod zip;

pub use array::{Array, ArrayData, Dtype, PackedArray, ValueError};
pub use array_file::read_arrays;
pub use checkpoint_folder::{
    CheckpointFiles, CheckpointManifest, FilePromise, NewestCheckpoint, read_checkpoint,
    read_pointer, verify_checkpoint,
};
pub use container::Container;
pub use error::{ErrorKind, FileError, FormatError};
pub use line_file::LineFile;
pub use lock::{Holder, RunLock, host_name, refuse_if_held};
pub use parquet::{Column, parquet_bytes};
pub use printable::printable;
pub use regular_file::read as read_at_most;
pub use run_folder::{RunFolder, RunJson, RunState};
pub use safetensors::TensorFile;
pub use tensorboard::{EventFile, Summary};
pub use torch_file::{StateDict, is_torch_file, read_state_dict, state_dict_from_bytes};
pub use versions::{Migration, Versions};
