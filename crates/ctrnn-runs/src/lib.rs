//! Run folders (record, resume, read), import and export of networks, and tasks with external trials.
//!
//! A [`RunRecord`] writes the folder of a run, [`RunWeights`] reads the network in one, and [`record_import`] creates
//! one from the weights of another program. [`registry`] returns all tasks, including those whose trials come from a
//! file or a program.

mod checkpoint;
#[cfg(test)]
mod constraints_test;
#[cfg(test)]
mod dale_test;
mod error;
mod export;
mod import;
mod python_terms;
mod record;
mod trials;
mod weights;

pub use checkpoint::{Checkpoint, CheckpointWriter, TensorSummary, checkpoint_step};
pub use error::RunError;
pub use export::Export;
pub use import::{Imported, Origin as ImportOrigin, record_import};
pub use record::manifest::{INIT_FROM, is_begun_by_requeued_job, recorded_layout};
pub use record::resumed::{is_in_parts, left_open, recorded};
pub use record::run_log::{MetricsColumns, RunLog, metrics_header, now};
pub use record::run_trainer::{initial_network, initial_states_note, objective, trainer_at};
pub use record::tensorboard_log::TensorBoardLog;
pub use record::{
    GivenConfig, Reopened, RunRecord, begun_in, check_files, check_inputs, note_abrupt_end,
    trained_channels,
};
pub use trials::choices::OutputName;
pub use trials::registry;
pub use trials::trials_from_command::{CommandConfig, TrialsFromCommand, as_typed};
pub use trials::trials_from_file::{NpzConfig, TrialsFromFile};
pub use trials::white_noise::WhiteNoise;
pub use weights::run_weights::RunWeights;
pub use weights::weight_file::read_weights;
