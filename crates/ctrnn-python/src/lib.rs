//! The extension module `ctrnn._ctrnn` of the Python package `train-ctrnn`: the command line, networks, built-in tasks, and TOML.
//!
//! The Python part with the documentation is in `python/ctrnn`.

mod errors;
mod network;
mod passes;
mod tasks;
mod threads;

use pyo3::prelude::*;

use errors::of_value;

/// Runs a command line, the name of the program first, and returns its exit code. Python's lock is free meanwhile.
#[pyfunction]
fn main(py: Python<'_>, words: Vec<std::ffi::OsString>) -> u8 {
    py.detach(|| ctrnn_cli::run_words(words, &ctrnn_runs::registry()))
}

/// Returns a TOML document with the tables of a JSON object.
#[pyfunction]
fn to_toml(json: &str) -> PyResult<String> {
    let value: toml::Table = serde_json::from_str(json).map_err(of_value)?;
    toml::to_string(&value).map_err(of_value)
}

/// Returns a JSON value as a value of TOML, such as stands after the `=` of an override.
#[pyfunction]
fn to_toml_value(json: &str) -> PyResult<String> {
    let value: toml::Value = serde_json::from_str(json).map_err(of_value)?;
    Ok(value.to_string())
}

#[pymodule]
#[pyo3(name = "_ctrnn")]
mod module {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::network::Network;
    #[pymodule_export]
    use super::passes::{Backward, Sweeps};
    #[pymodule_export]
    use super::tasks::BuiltinTask;
    #[pymodule_export]
    use super::{main, to_toml, to_toml_value};

    #[pymodule_init]
    fn init(_module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::threads::note_import();
        Ok(())
    }
}
