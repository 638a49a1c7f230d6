//! Import of arrays named as in this crate, as `train-ctrnn export --to npz` and `np.savez` write them.
//!
//! `input.weight [N,I]`, `recurrent.weight [N,N]` and `output.weight [O,N]` are required. If absent, `recurrent.bias`,
//! `output.bias` and `initial_state` are zero and `tau_ms [1 or N]` is 100. `config_json`, bytes of JSON, is the
//! resolved configuration that `export` adds.

use ctrnn_files::{Array, ArrayData};

use super::arrays::{Arrays, vector_array};
use super::{Found, Imported, Note, table};
use crate::weights::weight_file::CONFIG;

const DT_MS: f64 = 20.0;
const TAU_MS: f64 = 100.0;

pub fn convert(mut arrays: Arrays) -> Result<Imported, String> {
    match arrays.take(CONFIG) {
        Some(config) => with_config(arrays, &config),
        None => without_config(arrays),
    }
}

fn with_config(mut arrays: Arrays, config: &Array) -> Result<Imported, String> {
    let ArrayData::U8(bytes) = config.data() else {
        return Err(format!("{CONFIG} must be bytes (uint8) of JSON"));
    };
    let mut config: toml::Table =
        serde_json::from_slice(bytes).map_err(|error| format!("{CONFIG}: {error}"))?;
    // The loss is kept because `eval` measures it; the length of the old training does not apply to the new run.
    let mut train = table([("steps", 0.into())]);
    let loss = config
        .get("train")
        .and_then(|train| train.get("loss"))
        .cloned();
    train.extend(loss.map(|loss| ("loss".to_owned(), loss)));
    config.insert("train".to_owned(), train.into());
    if let Some(model) = config.get_mut("model").and_then(toml::Value::as_table_mut)
        && let Some(init) = model.get_mut("init").and_then(toml::Value::as_table_mut)
    {
        init.remove("file"); // the imported weights replace it
    }
    let names: Vec<String> = arrays.names().map(str::to_owned).collect();
    let weights = names
        .into_iter()
        .filter_map(|name| arrays.take(&name).map(|array| (name, array)));
    Ok(Imported {
        config,
        weights: weights.collect(),
        notes: Vec::new(),
    })
}

fn without_config(mut arrays: Arrays) -> Result<Imported, String> {
    let w_rc = arrays.matrix("recurrent.weight")?;
    let n = w_rc.rows;
    w_rc.expect("recurrent.weight", n, n)?;
    let w_in = arrays.matrix("input.weight")?;
    w_in.expect("input.weight", n, w_in.columns)?;
    let w_out = arrays.matrix("output.weight")?;
    w_out.expect("output.weight", w_out.rows, n)?;
    let bias = arrays.vector_or_zero("recurrent.bias", n)?;
    let b_out = arrays.vector_or_zero("output.bias", w_out.rows)?;
    let initial_state = arrays.vector_or_zero("initial_state", n)?;
    let mut notes = vec![
        Note::assumed(
            "time.dt_ms",
            format!("the file does not say dt: {DT_MS} ms is assumed (else time.dt_ms=DT)"),
        ),
        Note::assumed(
            "model.form",
            "it does not say the form: voltage is assumed (else model.form=rate)",
        ),
        Note::assumed(
            "model.activation",
            "it does not say the activation: relu is assumed (else model.activation=NAME)",
        ),
    ];
    let tau_ms = match arrays.take("tau_ms").map(|tau| tau.to_f64()) {
        None => {
            notes.push(Note::assumed(
                "model.tau_ms",
                format!("it does not say tau: {TAU_MS} ms is assumed (else model.tau_ms=TAU)"),
            ));
            TAU_MS.into()
        }
        Some(Err(error)) => return Err(format!("tau_ms: {error}")),
        Some(Ok(tau)) if tau.len() == 1 => tau[0].into(),
        Some(Ok(tau)) => tau.into(),
    };
    arrays.nothing_left("network without constraints")?;
    let found = Found {
        dt_ms: DT_MS,
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
        ("recurrent.bias", vector_array(bias)),
        ("output.weight", w_out.into_array()),
        ("output.bias", vector_array(b_out)),
        ("initial_state", vector_array(initial_state)),
    ];
    Ok(found.with(weights, notes))
}
