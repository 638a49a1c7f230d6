//! Import of PsychRNN's `Basic` and `BasicScan`, version 1.0.0.
//!
//! ```text
//! v' = (1 - alpha) v + alpha [W_rec f(v) + W_in u + b_rec] + sqrt(2 alpha) sigma n        y = W_out f(v) + b_out
//! ```
//! This is our voltage form with the noise convention `song`; v(0) is `init_state`. `W_rec`, `W_in` and `W_out` in the
//! file are effective weights, after mask and Dale's law. With `dale_ratio`, the first `int(dale_ratio N)` units are
//! excitatory, `abs` keeps weights at their signs, inputs are positive, and `Dale_out` determines whether inhibitory
//! units reach the readout: in files of the released package they do, with their sign; its documentation says they do
//! not. Masks are taken from the file; as with masks drawn here, the weight file stores them and the configuration
//! their density.
//!
//! Without Dale's law, `dale_ratio` is a Python object, which is skipped unread, like the variables of the optimizer.

use std::path::Path;

use ctrnn_files::npz::NpzReader;
use ctrnn_files::{Array, FileError, FormatError};
use ctrnn_model::ReadoutSigns;

use super::arrays::{Arrays, MatrixOf, vector_array};
use super::{Found, Imported, Note, table};
use crate::RunError;

const DT_MS: f64 = 10.0;
const TAU_MS: f64 = 100.0;
const DALE_RATIO: &str = "dale_ratio";

/// Reads the numeric arrays of a file.
pub fn read(path: &Path) -> Result<Arrays, RunError> {
    let mut file = NpzReader::open_foreign(path)?;
    let names: Vec<String> = file.names().map(str::to_owned).collect();
    let mut arrays = std::collections::BTreeMap::new();
    for name in names {
        match file.read(&name) {
            Ok(array) => drop(arrays.insert(name, array)),
            Err(FileError::Format {
                rule: FormatError::Pickle { .. },
                ..
            }) if name == DALE_RATIO || name == "transfer_function" => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Arrays::new(arrays))
}

pub fn convert(mut arrays: Arrays) -> Result<Imported, String> {
    let w_rc = arrays.matrix("W_rec")?;
    let n = w_rc.rows;
    w_rc.expect("W_rec", n, n)?;
    let w_in = arrays.matrix("W_in")?;
    w_in.expect("W_in", n, w_in.columns)?;
    let w_out = arrays.matrix("W_out")?;
    w_out.expect("W_out", w_out.rows, n)?;
    let bias = arrays.vector("b_rec", n)?;
    let b_out = arrays.vector("b_out", w_out.rows)?;
    let start = arrays.matrix("init_state")?;
    start.expect("init_state", 1, n)?;
    let (n_inputs, n_outputs) = (w_in.columns, w_out.rows);

    let mut model = table([
        ("n_units", (n as i64).into()),
        ("form", "voltage".into()),
        ("activation", "relu".into()),
        ("tau_ms", TAU_MS.into()),
        (
            "noise",
            table([("convention", "song".into()), ("preactivation", 0.0.into())]).into(),
        ),
    ]);
    let n_excitatory = excitatory(&mut arrays, n)?;
    let mut readout = ReadoutSigns::Free;
    if let Some(excitatory) = n_excitatory {
        readout = readout_signs(&mut arrays, excitatory, n)?;
        let dale = table([
            ("excitatory_fraction", (excitatory as f64 / n as f64).into()),
            ("parametrization", "abs".into()),
            ("readout", readout.name().into()),
        ]);
        model.insert("dale".to_owned(), dale.into());
        model.insert("positive_input".to_owned(), true.into());
    }
    let reaches = |col: usize| {
        readout != ReadoutSigns::Excitatory
            || n_excitatory.is_none_or(|excitatory| col < excitatory)
    };
    let mut weights = std::collections::BTreeMap::from([
        ("input.weight".to_owned(), w_in.into_array()),
        ("recurrent.weight".to_owned(), w_rc.into_array()),
        ("recurrent.bias".to_owned(), vector_array(bias)),
        ("output.weight".to_owned(), w_out.into_array()),
        ("output.bias".to_owned(), vector_array(b_out)),
        ("initial_state".to_owned(), vector_array(start.values)),
    ]);
    let mut density = toml::Table::new();
    let mut masked = |matrix: &str, mask: Option<(Array, f64)>| {
        if let Some((mask, fraction)) = mask {
            weights.insert(format!("{matrix}.mask"), mask);
            density.insert(matrix.to_owned(), fraction.into());
        }
    };
    masked(
        "input",
        mask(&mut arrays, "input_connectivity", n, n_inputs, |_| true)?,
    );
    masked(
        "recurrent",
        mask(&mut arrays, "rec_connectivity", n, n, |_| true)?,
    );
    masked(
        "output",
        mask(&mut arrays, "output_connectivity", n_outputs, n, reaches)?,
    );
    if !density.is_empty() {
        model.insert("density".to_owned(), density.into());
    }
    let found = Found {
        dt_ms: DT_MS,
        n_inputs,
        n_outputs,
        model,
    };
    Ok(Imported {
        config: found.config(),
        weights,
        notes: vec![
            Note::assumed(
                "time.dt_ms",
                format!("the file does not say dt: {DT_MS} ms is assumed (else time.dt_ms=DT)"),
            ),
            Note::assumed(
                "model.tau_ms",
                format!("it does not say tau: {TAU_MS} ms is assumed (else model.tau_ms=TAU)"),
            ),
            Note::assumed(
                "model.activation",
                "it does not say the transfer function: relu is assumed (else model.activation=NAME)",
            ),
            Note::assumed(
                "model.noise.preactivation",
                "it does not say the noise: none (else model.noise.preactivation=REC_NOISE)",
            ),
        ],
    })
}

/// Returns the number of excitatory units, or `None` without Dale's law.
fn excitatory(arrays: &mut Arrays, n: usize) -> Result<Option<usize>, String> {
    let Some(ratio) = arrays.take(DALE_RATIO) else {
        return Ok(None);
    };
    // PsychRNN treats a ratio of 0 as no Dale's law.
    if ratio.to_f64().is_ok_and(|ratio| ratio == [0.0]) {
        return Ok(None);
    }
    let signs = arrays.matrix("Dale_rec")?;
    signs.expect("Dale_rec", n, n)?;
    let signs: Vec<f64> = (0..n).map(|unit| signs.values[unit * n + unit]).collect();
    let excitatory = signs.iter().take_while(|&&sign| sign == 1.0).count();
    if signs[excitatory..].iter().all(|&sign| sign == -1.0) {
        Ok(Some(excitatory))
    } else {
        Err(
            "Dale_rec mixes excitatory and inhibitory units; the excitatory ones must come first"
                .to_owned(),
        )
    }
}

/// Returns the signs with which inhibitory units reach the readout: their own, or (as in the documentation) none.
fn readout_signs(arrays: &mut Arrays, excitatory: usize, n: usize) -> Result<ReadoutSigns, String> {
    let signs = arrays.matrix("Dale_out")?;
    signs.expect("Dale_out", n, n)?;
    let inhibitory: Vec<f64> = (excitatory..n)
        .map(|unit| signs.values[unit * n + unit])
        .collect();
    if inhibitory.iter().all(|&sign| sign == 0.0) {
        Ok(ReadoutSigns::Excitatory)
    } else if inhibitory.iter().all(|&sign| sign == -1.0) {
        Ok(ReadoutSigns::Signed)
    } else {
        Err("Dale_out must be 0 for all inhibitory units, or -1".to_owned())
    }
}

/// Returns a mask and its density among connections from `possible` presynaptic units, or `None` if it allows all of
/// them.
fn mask(
    arrays: &mut Arrays,
    name: &str,
    rows: usize,
    columns: usize,
    possible: impl Fn(usize) -> bool,
) -> Result<Option<(Array, f64)>, String> {
    if !arrays.contains(name) {
        return Ok(None);
    }
    let MatrixOf { mut values, .. } = {
        let mask = arrays.matrix(name)?;
        mask.expect(name, rows, columns)?;
        mask
    };
    if let Some(x) = values.iter().find(|&&x| x != 0.0 && x != 1.0) {
        return Err(format!(
            "{name} holds {x}: a connection is there (1) or not (0)"
        ));
    }
    let (mut n_possible, mut n_there) = (0, 0);
    for (k, x) in values.iter_mut().enumerate() {
        if possible(k % columns.max(1)) {
            (n_possible, n_there) = (n_possible + 1, n_there + usize::from(*x == 1.0));
        } else {
            *x = 0.0;
        }
    }
    let is_full = n_there == n_possible;
    Ok((!is_full).then(|| {
        let density = n_there as f64 / n_possible as f64;
        (Array::f64(&[rows, columns], values), density)
    }))
}
