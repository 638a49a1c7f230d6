//! Populations of runs: one TOML file describes a sweep, which is expanded into trials.
//!
//! A trial is an ordinary run in the folder of its sweep, named by the digest of its resolved configuration. All that is
//! known of a trial is read from that run folder, so that a sweep has no state of its own to lose: [`Sweep`] knows the
//! trials, [`Status`] reads what became of them, [`Pool`] runs those that are missing as processes of this machine,
//! [`Submission`] as an array job of Slurm, and [`Table`] collects the results.
//!
//! ```
//! use ctrnn_sweep::SweepFile;
//!
//! let text = "base = 'a.toml'\nseeds = 3\n[grid]\ntrain.optimizer.lr = [1e-3, 1e-2]";
//! let file = SweepFile::from_text(text, "lr.toml", ".".as_ref())?;
//! assert_eq!(file.points()?.len(), 2);
//! assert_eq!(file.seeds, Some(vec![1, 2, 3]));
//! # Ok::<(), ctrnn_config::ConfigErrors>(())
//! ```

mod columns;
mod error;
mod expansion;
mod file;
mod identity;
mod pool;
mod random;
mod report;
mod slurm;
mod status;
mod sweep;
mod table;
#[cfg(test)]
mod tests;

pub use columns::{Cells, ColumnTable};
pub use error::SweepError;
pub use expansion::{MOST_TRIALS, Point, Setting};
pub use file::SweepFile;
pub use pool::{Event, Pool, PoolEnd, PoolSettings, Running, Watch};
pub use report::report;
pub use slurm::{JOB_TEMPLATE, SlurmOptions, Submission, cancel_jobs};
pub use status::{Status, TrialState};
pub use sweep::{Sweep, Trial};
pub use table::{Group, Results, Row, Table};
