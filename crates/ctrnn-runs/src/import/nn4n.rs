//! Import of nn4n's `CTRNN`, version 1.1.1 or 1.2.0.
//!
//! ```text
//! v' = (1 - alpha) v + alpha [W_hid f(v) + b_hid + W_in u + b_in]        y = W_out f(v) + b_out
//! ```
//! This is our voltage form with `b = b_in + b_hid`; its weights are `[post, pre]` too. Version 1.1.1 stores v(0) as
//! `hidden_state`; 1.2.0 does not and starts at zero. It stores alpha if it was learned, which gives `tau = dt / alpha`
//! for each unit.
//!
//! A state_dict holds neither activation, dt and tau nor masks and noise. nn4n projects weights onto their signs and
//! masks before each training pass, so the last update of the optimizer may violate them; weights are imported
//! unchanged. The post-activation noise of nn4n enters the recurrence, ours does not; both are absent outside of
//! training.

use super::arrays::{Arrays, sum};
use super::imported::{FileNetwork, Imported, Note};

/// Defaults of nn4n.
const DT_MS: f64 = 10.0;
const TAU_MS: f64 = 100.0;

/// Converts the arrays of a state_dict. `given_dt_ms` is the time step set on the command line, with which alpha
/// determines tau.
pub fn convert(mut arrays: Arrays, given_dt_ms: Option<f64>) -> Result<Imported, String> {
    let prefix = arrays.without_prefix("recurrent_layer.hidden_layer.weight");
    let dt_ms = given_dt_ms.unwrap_or(DT_MS);
    let layer = |name: &str, what: &str| format!("recurrent_layer.{name}_layer.{what}");
    let [w_in, w_rc, w_out] = arrays.matrices([
        &layer("input", "weight"),
        &layer("hidden", "weight"),
        "readout_layer.weight",
    ])?;
    let n = w_rc.rows;
    let b_in = arrays.vector_or_zero(&layer("input", "bias"), n)?;
    let b_hidden = arrays.vector_or_zero(&layer("hidden", "bias"), n)?;
    let b_out = arrays.vector_or_zero("readout_layer.bias", w_out.rows)?;
    let initial_state = arrays.vector_or_zero("recurrent_layer.hidden_state", n)?;
    let (tau_ms, tau_note) = tau(&mut arrays, n, dt_ms)?;
    arrays.nothing_left("CTRNN of nn4n 1.1.1 or 1.2.0")?;
    let found = FileNetwork {
        dt_ms,
        form: "voltage",
        activation: "relu",
        tau_ms,
        w_in,
        w_rc,
        bias: sum(&b_in, &b_hidden),
        w_out,
        b_out,
        initial_state,
        model: toml::Table::new(),
        notes: notes(prefix, tau_note),
    };
    Ok(found.into_import())
}

/// Returns the notes on what the file does not say.
fn notes(prefix: Option<String>, tau: Note) -> Vec<Note> {
    let left_out =
        prefix.map(|prefix| Note::new(format!("{prefix:?} before the names was left out")));
    let assumed = [
        Note::assumed(
            "model.activation",
            "the file does not say the activation: relu is assumed (else model.activation=NAME)",
        ),
        Note::new(
            "masks and signs are not in the file: weights may have any sign if the network is trained on",
        ),
        Note::assumed_dt("it", DT_MS),
        tau,
    ];
    left_out.into_iter().chain(assumed).collect()
}

/// Returns the time constants, from alpha if the file has it, and the note on them.
fn tau(arrays: &mut Arrays, n: usize, dt_ms: f64) -> Result<(toml::Value, Note), String> {
    const ALPHA: &str = "recurrent_layer.alpha";
    if !arrays.contains(ALPHA) {
        return Ok((TAU_MS.into(), Note::assumed_tau(TAU_MS)));
    }
    let text = format!("it has alpha, so tau = dt / alpha with dt = {dt_ms} ms");
    let tau_ms = tau_of(&arrays.vector(ALPHA, n)?, dt_ms)?;
    Ok((tau_ms, Note::assumed("model.tau_ms", text)))
}

/// Returns the time constant of each unit; nn4n lets alpha leave (0, 1], where a unit has no valid time constant.
fn tau_of(alpha: &[f64], dt_ms: f64) -> Result<toml::Value, String> {
    alpha
        .iter()
        .enumerate()
        .map(|(unit, &alpha)| {
            if alpha > 0.0 && alpha <= 1.0 {
                Ok((dt_ms / alpha).into())
            } else {
                Err(format!(
                    "alpha of unit {unit} is {alpha}, outside (0, 1]: no time constant gives it"
                ))
            }
        })
        .collect::<Result<Vec<_>, _>>()
        .map(toml::Value::Array)
}
