//! Import of `torch.nn.RNN` with one layer in one direction, alone or with a linear readout.
//!
//! ```text
//! h' = f(W_ih u + b_ih + W_hh h + b_hh)        f = tanh, or relu
//! ```
//! This is our rate form with `tau = dt`, so that alpha is 1: `r' = f(W_rc r + W_in u + b)` with `W_in = W_ih`, `W_rc =
//! W_hh`, `b = b_ih + b_hh` and `r(0) = 0`. The readout is the only other matrix in the file; without one, every unit
//! is an output.

use super::arrays::{Arrays, MatrixOf, sum};
use super::imported::{FileNetwork, Imported, Note};

const DT_MS: f64 = 20.0;

/// Converts the arrays of a state_dict. `given_dt_ms` is the time step set on the command line; tau equals it, because
/// alpha is 1.
pub fn convert(mut arrays: Arrays, given_dt_ms: Option<f64>) -> Result<Imported, String> {
    let prefix = prefix(&arrays)?;
    let dt_ms = given_dt_ms.unwrap_or(DT_MS);
    refuse_more_than_a_layer(&arrays)?;
    let (w_ih, w_hh, bias) = recurrent(&mut arrays, &prefix)?;
    let n = w_hh.rows;
    let mut notes = notes(&prefix);
    let (w_out, b_out) = readout(&mut arrays, n, &mut notes)?;
    arrays.nothing_left("torch.nn.RNN with a linear readout")?;
    let found = FileNetwork {
        dt_ms,
        form: "rate",
        activation: "tanh",
        tau_ms: dt_ms.into(),
        w_in: w_ih,
        w_rc: w_hh,
        bias,
        w_out,
        b_out,
        initial_state: vec![0.0; n],
        model: toml::Table::new(),
        notes,
    };
    Ok(found.into_import())
}

/// Returns notes on what the file does not say, and on the part of it that is the network.
fn notes(prefix: &str) -> Vec<Note> {
    let part = (!prefix.is_empty())
        .then(|| Note::new(format!("the recurrent network is its part {prefix:?}")));
    let assumed = [
        Note::assumed(
            "model.activation",
            "the file does not say the nonlinearity: tanh is assumed (else model.activation=relu)",
        ),
        Note::assumed(
            "time.dt_ms",
            format!("it has no time: one step is taken for {DT_MS} ms (else time.dt_ms=T)"),
        ),
    ];
    assumed.into_iter().chain(part).collect()
}

/// Removes `W_ih`, `W_hh` and the sum of the two biases.
fn recurrent(arrays: &mut Arrays, prefix: &str) -> Result<(MatrixOf, MatrixOf, Vec<f64>), String> {
    let name = |what: &str| format!("{prefix}{what}_l0");
    let w_hh = arrays.matrix(&name("weight_hh"))?;
    let w_ih = arrays.matrix(&name("weight_ih"))?;
    let n = w_hh.columns;
    if w_hh.rows != n && w_ih.rows == w_hh.rows {
        let gates = w_hh.rows / n.max(1);
        return Err(format!(
            "{} has {} rows for {n} units: a gated network (an LSTM or GRU with {gates} gates) is none of ours",
            name("weight_hh"),
            w_hh.rows
        ));
    }
    w_hh.expect(&name("weight_hh"), n, n)?;
    w_ih.expect(&name("weight_ih"), n, w_ih.columns)?;
    let b_ih = arrays.vector_or_zero(&name("bias_ih"), n)?;
    let b_hh = arrays.vector_or_zero(&name("bias_hh"), n)?;
    Ok((w_ih, w_hh, sum(&b_ih, &b_hh)))
}

/// Returns the prefix of `weight_hh_l0`: the name of the RNN in its module.
fn prefix(arrays: &Arrays) -> Result<String, String> {
    let mut prefixes = arrays
        .names()
        .filter_map(|name| name.strip_suffix("weight_hh_l0").map(str::to_owned));
    match (prefixes.next(), prefixes.next()) {
        (Some(prefix), None) => Ok(prefix),
        (None, _) => {
            let cell = arrays.names().find(|name| name.ends_with("weight_hh"));
            match cell {
                Some(cell) => Err(format!(
                    "{cell} is that of a torch.nn.RNNCell; rename it in Python: a torch.nn.RNN has the same weights as weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0"
                )),
                None => Err(format!(
                    "has no weight_hh_l0, as a torch.nn.RNN has; {}",
                    arrays.present()
                )),
            }
        }
        _ => {
            let all: Vec<&str> = arrays
                .names()
                .filter(|name| name.ends_with("weight_hh_l0"))
                .collect();
            Err(format!(
                "holds several recurrent networks ({}); save the state_dict of one",
                all.join(", ")
            ))
        }
    }
}

fn refuse_more_than_a_layer(arrays: &Arrays) -> Result<(), String> {
    let refuse = |name: &str, why: &str| Err(format!("{name}: {why} cannot be a network of ours"));
    for name in arrays.names() {
        if name.ends_with("_reverse") {
            return refuse(name, "a network in both directions of time");
        }
        if name.contains("weight_hr_") {
            return refuse(name, "an LSTM with a projection");
        }
        if name.ends_with("weight_hh_l1") {
            return refuse(name, "a stack of layers");
        }
    }
    Ok(())
}

/// Returns the remaining matrix and its bias; the identity if there is none.
fn readout(
    arrays: &mut Arrays,
    n: usize,
    notes: &mut Vec<Note>,
) -> Result<(MatrixOf, Vec<f64>), String> {
    let Some(layer) = remaining_layer(arrays)? else {
        notes.push(Note::new("there is no readout: every unit is an output"));
        return Ok((MatrixOf::identity(n), vec![0.0; n]));
    };
    let name = format!("{layer}weight");
    let w_out = arrays.matrix(&name)?;
    if w_out.columns != n {
        return Err(format!(
            "{name} takes {} numbers, but the recurrent network has {n} units: it is not a readout",
            w_out.columns
        ));
    }
    notes.push(Note::new(format!(
        "the readout is its layer {:?}",
        layer.trim_end_matches('.')
    )));
    let b_out = arrays.vector_or_zero(&format!("{layer}bias"), w_out.rows)?;
    Ok((w_out, b_out))
}

/// Returns the prefix of the only remaining weights, or `None` if there are none.
fn remaining_layer(arrays: &Arrays) -> Result<Option<String>, String> {
    let mut layers: Vec<&str> = arrays
        .names()
        .filter_map(|name| name.strip_suffix("weight"))
        .collect();
    if layers.len() < 2 {
        return Ok(layers.pop().map(str::to_owned));
    }
    let names: Vec<&str> = layers
        .iter()
        .map(|name| name.trim_end_matches('.'))
        .collect();
    Err(format!(
        "holds {} layers besides the recurrent one: {}; one linear readout can be taken, no encoder and no second head",
        layers.len(),
        names.join(", ")
    ))
}
