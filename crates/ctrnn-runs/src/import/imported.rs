//! A network that was read from a file of another program, with notes on its origin.

use std::collections::BTreeMap;

use ctrnn_files::Array;

use super::arrays::{MatrixOf, vector_array};

/// A network read from a file of another program.
#[derive(Clone, Debug)]
pub struct Imported {
    /// Configuration of a run with this network, as TOML.
    pub config: toml::Table,
    /// Weights by parameter name, rows postsynaptic.
    pub weights: BTreeMap<String, Array>,
    /// Notes on the origin of values, and on values that were assumed because the file lacks them.
    pub notes: Vec<Note>,
}

/// A note on an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Key whose value was assumed; `None` for a note on the file.
    pub(super) key: Option<&'static str>,
    pub(super) text: String,
}

impl Note {
    /// Creates a note on the conversion of the file.
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self {
            key: None,
            text: text.into(),
        }
    }

    /// Creates a note on the value assumed for a key.
    pub(super) fn assumed(key: &'static str, text: impl Into<String>) -> Self {
        Self {
            key: Some(key),
            text: text.into(),
        }
    }

    /// Creates the note on the time step assumed because `who` does not say it.
    pub(super) fn assumed_dt(who: &str, dt_ms: f64) -> Self {
        let text = format!("{who} does not say dt: {dt_ms} ms is assumed (else time.dt_ms=DT)");
        Self::assumed("time.dt_ms", text)
    }

    /// Creates the note on the time constant assumed because the file does not say it.
    pub(super) fn assumed_tau(tau_ms: f64) -> Self {
        let text = format!("it does not say tau: {tau_ms} ms is assumed (else model.tau_ms=TAU)");
        Self::assumed("model.tau_ms", text)
    }
}

/// A network as far as a weight file alone determines it.
pub(super) struct FileNetwork {
    pub dt_ms: f64,
    pub form: &'static str,
    pub activation: &'static str,
    pub tau_ms: toml::Value,
    pub w_in: MatrixOf,
    pub w_rc: MatrixOf,
    pub bias: Vec<f64>,
    pub w_out: MatrixOf,
    pub b_out: Vec<f64>,
    pub initial_state: Vec<f64>,
    /// Further keys of `[model]`.
    pub model: toml::Table,
    pub notes: Vec<Note>,
}

impl FileNetwork {
    /// Returns the weights, and the configuration of a finished run of 0 steps on white noise.
    pub fn into_import(self) -> Imported {
        let size = |n: usize| toml::Value::Integer(n as i64);
        let mut model = table([
            ("n_units", size(self.w_rc.rows)),
            ("form", self.form.into()),
            ("activation", self.activation.into()),
            ("tau_ms", self.tau_ms),
        ]);
        model.extend(self.model);
        let white_noise = table([
            ("inputs", size(self.w_in.columns)),
            ("outputs", size(self.w_out.rows)),
        ]);
        let config = table([
            ("version", 1.into()),
            ("time", table([("dt_ms", self.dt_ms.into())]).into()),
            ("task", table([("white_noise", white_noise.into())]).into()),
            ("model", model.into()),
            ("train", table([("steps", 0.into())]).into()),
        ]);
        let weights = [
            ("input.weight", self.w_in.into_array()),
            ("recurrent.weight", self.w_rc.into_array()),
            ("recurrent.bias", vector_array(self.bias)),
            ("output.weight", self.w_out.into_array()),
            ("output.bias", vector_array(self.b_out)),
            ("initial_state", vector_array(self.initial_state)),
        ];
        Imported {
            config,
            weights: weights.map(|(name, array)| (name.to_owned(), array)).into(),
            notes: self.notes,
        }
    }
}

/// Builds a TOML table from some values.
pub(super) fn table<const N: usize>(entries: [(&str, toml::Value); N]) -> toml::Table {
    entries
        .map(|(key, value)| (key.to_owned(), value))
        .into_iter()
        .collect()
}
