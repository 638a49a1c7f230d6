//! `torch.nn.RNN` with one layer in one direction, alone or with a linear readout.
//!
//! ```text
//! h' = f(W_ih u + b_ih + W_hh h + b_hh)        f = tanh, or relu
//! ```
//! is our rate form with `tau = dt`, so that alpha is 1: `r' = f(W_rc r + W_in u + b)` with `W_in = W_ih`, `W_rc = W_hh`,
//! `b = b_ih + b_hh` and `r(0) = 0`. The readout is the one further matrix of the file; without one, every unit is an output.

use ctrnn_files::Array;

use super::arrays::{Arrays, MatrixOf, sum, vector_array};
use super::{Found, Imported, table};

const DT_MS: f64 = 20.0;

pub fn convert(mut arrays: Arrays) -> Result<Imported, String> {
    let prefix = prefix(&arrays)?;
    refuse_more_than_a_layer(&arrays)?;
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
    let mut notes = vec![
        "the file does not say the nonlinearity: tanh is assumed (else model.activation=relu)"
            .to_owned(),
        format!(
            "it has no time: one step is taken for {DT_MS} ms (else time.dt_ms=T model.tau_ms=T)"
        ),
    ];
    let (w_out, b_out) = readout(&mut arrays, n, &mut notes)?;
    arrays.nothing_left("torch.nn.RNN with a linear readout")?;
    let found = Found {
        dt_ms: DT_MS,
        n_inputs: w_ih.columns,
        n_outputs: w_out.rows,
        model: table([
            ("n_units", (n as i64).into()),
            ("form", "rate".into()),
            ("activation", "tanh".into()),
            ("tau_ms", DT_MS.into()),
        ]),
    };
    let weights: [(&str, Array); 6] = [
        ("input.weight", w_ih.into_array()),
        ("recurrent.weight", w_hh.into_array()),
        ("recurrent.bias", vector_array(sum(&b_ih, &b_hh))),
        ("output.weight", w_out.into_array()),
        ("output.bias", vector_array(b_out)),
        ("initial_state", vector_array(vec![0.0; n])),
    ];
    Ok(Imported {
        config: found.config(),
        weights: weights.map(|(name, array)| (name.to_owned(), array)).into(),
        notes,
    })
}

/// What stands before `weight_hh_l0`: the name of the RNN in its module.
fn prefix(arrays: &Arrays) -> Result<String, String> {
    let of_rnn = |name: &str| name.strip_suffix("weight_hh_l0").map(str::to_owned);
    let mut prefixes = arrays.names().filter_map(of_rnn);
    match (prefixes.next(), prefixes.next()) {
        (Some(prefix), None) => Ok(prefix),
        (None, _) => {
            let present: Vec<&str> = arrays.names().take(20).collect();
            Err(format!(
                "has no weight_hh_l0, as a torch.nn.RNN has; it has: {}",
                present.join(", ")
            ))
        }
        _ => Err("holds several recurrent networks; save the state_dict of one".to_owned()),
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

/// The one matrix that is left, and its bias; the units themselves where there is none.
fn readout(
    arrays: &mut Arrays,
    n: usize,
    notes: &mut Vec<String>,
) -> Result<(MatrixOf, Vec<f64>), String> {
    let of_layer = |name: &str| name.strip_suffix("weight").map(str::to_owned);
    let layers: Vec<String> = arrays.names().filter_map(of_layer).collect();
    let [layer] = &layers[..] else {
        if layers.is_empty() {
            notes.push("there is no readout: every unit is an output".to_owned());
            return Ok((MatrixOf::identity(n), vec![0.0; n]));
        }
        return Err(format!(
            "holds {} layers besides the recurrent one; one readout can be taken",
            layers.len()
        ));
    };
    let name = format!("{layer}weight");
    let w_out = arrays.matrix(&name)?;
    w_out.expect(&name, w_out.rows, n)?;
    let b_out = arrays.vector_or_zero(&format!("{layer}bias"), w_out.rows)?;
    Ok((w_out, b_out))
}
