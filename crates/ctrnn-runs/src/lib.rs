//! Run folders: what a run writes, reads and goes on from; networks of other programs; trials from outside.
//!
//! A [`RunRecord`] is the folder that a run leaves behind, [`RunWeights`] finds the network of one, [`record_import`] makes one of the
//! weights of another program. [`registry`] has all tasks, those included whose trials come from a file or a program.

mod checkpoint;
#[cfg(test)]
mod constraints_test;
#[cfg(test)]
mod dale_test;
mod error;
mod export;
mod import;
mod record;
mod trials;
mod weights;

pub use checkpoint::{Checkpoint, CheckpointWriter, TensorSummary, checkpoint_step};
pub use error::RunError;
pub use export::Export;
pub use import::{Imported, Origin as ImportOrigin, record_import};
pub use record::manifest::recorded_layout;
pub use record::resumed::{is_in_parts, left_open, recorded};
pub use record::run_log::{RunLog, metrics_header, now};
pub use record::tensorboard_log::TensorBoardLog;
pub use record::{
    Given, Reopened, RunRecord, begun_in, check_files, check_inputs, initial_network,
    note_abrupt_end, objective, trained_sizes, trainer_at,
};
pub use trials::choices::OutputName;
pub use trials::registry;
pub use trials::trials_from_command::{CommandConfig, TrialsFromCommand, as_typed};
pub use trials::trials_from_file::{NpzConfig, TrialsFromFile};
pub use trials::white_noise::WhiteNoise;
pub use weights::run_weights::RunWeights;
pub use weights::weight_file::read_weights;
