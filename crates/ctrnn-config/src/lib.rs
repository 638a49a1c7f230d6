//! The configuration language: TOML files, overrides, their schema and their errors.
//!
//! A [`RunConfig`] is a configuration as written, with its defaults; a [`Run`] is its resolved form, in which every
//! value is decided and every file found. [`RunConfig::load`] resolves a configuration in three passes (syntax, schema,
//! meaning) and reports all problems at once.
//!
//! ```
//! use ctrnn_config::RunConfig;
//! use ctrnn_tasks::Registry;
//!
//! let text = "[task.go_nogo]\n[model]\nn_units = 32";
//! let run = RunConfig::from_text(text, "run.toml", ".".as_ref(), &[], &Registry::built_in())?;
//! assert_eq!(run.model.n_units, 32);
//! # Ok::<(), ctrnn_config::ConfigErrors>(())
//! ```

mod conformance;
mod covariance;
mod diagnostic;
mod difference;
mod document;
mod overrides;
mod python;
mod run;
mod run_config;
mod schema;
mod suggestion;

pub use conformance::{InputFile, canonical};
pub use ctrnn_model::InputPath;
pub use ctrnn_tasks::counted;
pub use ctrnn_train::{Measure, Metric};
pub use diagnostic::{Code, ConfigErrors, Diagnostic, Label, Place, Source, render_error};
pub use difference::{CHANGEABLE_ON_RESUME, Difference, check_resume, differences};
pub use document::{MAX_CONFIG_BYTES, shortened};
pub use overrides::{is_within, only_options_of, only_under, overridden};
pub use python::interpreter;
pub use run::{
    Document, GivenWeights, InitialWeights, KEYS_OF_DRAWN_WEIGHTS, Origin, Reading, Run, SetTask,
    Stage, StageChoice, TermPrograms, TrainedChannels, Values, WeightSource, replace_string,
};
pub use run_config::{AdapterChoice, Backend, DeviceConfig, RunConfig, TimeConfig, VERSION};
pub use schema::{Explanation, explain, keys, schema};
pub use suggestion::{tasks_like, word_like};
