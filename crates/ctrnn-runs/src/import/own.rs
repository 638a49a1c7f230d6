//! Import of arrays named as in this crate, as `train-ctrnn export --to npz` and `np.savez` write them.
//!
//! `input.weight [N,I]`, `recurrent.weight [N,N]` and `output.weight [O,N]` are required. If absent, `recurrent.bias`,
//! `output.bias` and `initial_state` are zero and `tau_ms [1 or N]` is 100. `config_json`, bytes of JSON, is the
//! resolved configuration that `export` adds.

use ctrnn_files::{Array, ArrayData};

use super::arrays::Arrays;
use super::imported::{FileNetwork, Imported, Note, table};
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
    let [w_in, w_rc, w_out] =
        arrays.matrices(["input.weight", "recurrent.weight", "output.weight"])?;
    let n = w_rc.rows;
    let bias = arrays.vector_or_zero("recurrent.bias", n)?;
    let b_out = arrays.vector_or_zero("output.bias", w_out.rows)?;
    let initial_state = arrays.vector_or_zero("initial_state", n)?;
    let tau_ms = arrays.take("tau_ms").map(|tau| tau.to_f64()).transpose();
    let tau_ms = tau_ms.map_err(|error| format!("tau_ms: {error}"))?;
    arrays.nothing_left("network without constraints")?;
    let notes = notes(tau_ms.is_some());
    let found = FileNetwork {
        dt_ms: DT_MS,
        form: "voltage",
        activation: "relu",
        tau_ms: match tau_ms.as_deref() {
            None => TAU_MS.into(),
            Some([tau]) => (*tau).into(),
            Some(tau) => tau.to_vec().into(),
        },
        w_in,
        w_rc,
        bias,
        w_out,
        b_out,
        initial_state,
        model: toml::Table::new(),
        notes,
    };
    Ok(found.into_import())
}

/// Returns notes on what a file without a configuration does not say.
fn notes(says_tau: bool) -> Vec<Note> {
    let tau = (!says_tau).then(|| Note::assumed_tau(TAU_MS));
    let assumed = [
        Note::assumed_dt("the file", DT_MS),
        Note::assumed(
            "model.form",
            "it does not say the form: voltage is assumed (else model.form=rate)",
        ),
        Note::assumed(
            "model.activation",
            "it does not say the activation: relu is assumed (else model.activation=NAME)",
        ),
    ];
    assumed.into_iter().chain(tau).collect()
}
