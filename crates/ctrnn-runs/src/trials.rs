//! Tasks with external trials, from files and from programs, and white noise for networks without a task.

pub mod choices;
mod decimal;
pub(crate) mod generator;
mod remedies;
mod trial_file;
pub mod trials_from_command;
pub mod trials_from_file;
mod trials_from_python;
pub mod white_noise;

use ctrnn_tasks::Registry;

use white_noise::WhiteNoise;

/// Returns all built-in tasks, those that read files or run a program, and white noise.
pub fn registry() -> Registry {
    let mut registry = Registry::built_in();
    registry.add_entry(trials_from_file::npz_entry());
    registry.add_entry(trials_from_command::command_entry());
    registry.add_entry(trials_from_python::python_entry());
    registry.add::<WhiteNoise>("white_noise");
    registry
}
