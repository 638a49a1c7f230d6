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

use super::arrays::{Arrays, sum, vector_array};
use super::{Found, Imported, Note, table};

/// Defaults of nn4n.
const DT_MS: f64 = 10.0;
const TAU_MS: f64 = 100.0;

/// Converts the arrays of a state_dict. `given_dt_ms` is the time step set on the command line, with which alpha
/// determines tau.
pub fn convert(mut arrays: Arrays, given_dt_ms: Option<f64>) -> Result<Imported, String> {
    let prefix = arrays.without_prefix("recurrent_layer.hidden_layer.weight");
    let dt_ms = given_dt_ms.unwrap_or(DT_MS);
    let layer = |name: &str, what: &str| format!("recurrent_layer.{name}_layer.{what}");
    let w_rc = arrays.matrix(&layer("hidden", "weight"))?;
    let n = w_rc.rows;
    w_rc.expect(&layer("hidden", "weight"), n, n)?;
    let w_in = arrays.matrix(&layer("input", "weight"))?;
    w_in.expect(&layer("input", "weight"), n, w_in.columns)?;
    let w_out = arrays.matrix("readout_layer.weight")?;
    w_out.expect("readout_layer.weight", w_out.rows, n)?;
    let b_in = arrays.vector_or_zero(&layer("input", "bias"), n)?;
    let b_hidden = arrays.vector_or_zero(&layer("hidden", "bias"), n)?;
    let b_out = arrays.vector_or_zero("readout_layer.bias", w_out.rows)?;
    let initial_state = arrays.vector_or_zero("recurrent_layer.hidden_state", n)?;
    let mut notes: Vec<Note> = prefix
        .map(|prefix| Note::new(format!("{prefix:?} before the names was left out")))
        .into_iter()
        .collect();
    notes.extend([
        Note::assumed(
            "model.activation",
            "the file does not say the activation: relu is assumed (else model.activation=NAME)",
        ),
        Note::new("masks and signs are not in the file: weights may have any sign if the network is trained on"),
        Note::assumed(
            "time.dt_ms",
            format!("it does not say dt: {DT_MS} ms is assumed (else time.dt_ms=DT)"),
        ),
    ]);
    let tau_ms = if arrays.contains("recurrent_layer.alpha") {
        notes.push(Note::assumed(
            "model.tau_ms",
            format!("it has alpha, so that tau = dt / alpha with dt = {dt_ms} ms"),
        ));
        tau_of(&arrays.vector("recurrent_layer.alpha", n)?, dt_ms)?
    } else {
        notes.push(Note::assumed(
            "model.tau_ms",
            format!("it does not say tau: {TAU_MS} ms is assumed (else model.tau_ms=TAU)"),
        ));
        TAU_MS.into()
    };
    arrays.nothing_left("CTRNN of nn4n 1.1.1 or 1.2.0")?;
    let found = Found {
        dt_ms,
        n_inputs: w_in.columns,
        n_outputs: w_out.rows,
        model: table([
            ("n_units", (n as i64).into()),
            ("form", "voltage".into()),
            ("activation", "relu".into()),
            ("tau_ms", tau_ms),
        ]),
    };
    let weights = [
        ("input.weight", w_in.into_array()),
        ("recurrent.weight", w_rc.into_array()),
        ("recurrent.bias", vector_array(sum(&b_in, &b_hidden))),
        ("output.weight", w_out.into_array()),
        ("output.bias", vector_array(b_out)),
        ("initial_state", vector_array(initial_state)),
    ];
    Ok(found.with(weights, notes))
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
