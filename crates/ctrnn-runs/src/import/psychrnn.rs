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
use ctrnn_model::{Matrix, ReadoutSigns};

use super::arrays::{Arrays, MatrixOf};
use super::imported::{FileNetwork, Imported, Note, table};
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

/// Converts the arrays of a file.
pub fn convert(mut arrays: Arrays) -> Result<Imported, String> {
    let [w_in, w_rc, w_out] = arrays.matrices(["W_in", "W_rec", "W_out"])?;
    let (n, n_inputs, n_outputs) = (w_rc.rows, w_in.columns, w_out.rows);
    let bias = arrays.vector("b_rec", n)?;
    let b_out = arrays.vector("b_out", n_outputs)?;
    let start = arrays.matrix("init_state")?;
    start.expect("init_state", 1, n)?;
    let dale = dale(&mut arrays, n)?;
    let reaches = |col: usize| match dale {
        Some((excitatory, ReadoutSigns::Excitatory)) => col < excitatory,
        _ => true,
    };
    let masks = [
        mask(&mut arrays, "input", n, n_inputs, |_| true)?,
        mask(&mut arrays, "rec", n, n, |_| true)?,
        mask(&mut arrays, "output", n_outputs, n, reaches)?,
    ];
    let found = FileNetwork {
        dt_ms: DT_MS,
        form: "voltage",
        activation: "relu",
        tau_ms: TAU_MS.into(),
        w_in,
        w_rc,
        bias,
        w_out,
        b_out,
        initial_state: start.values,
        model: constraints(n, dale),
        notes: notes(),
    };
    Ok(with_masks(found, masks))
}

/// Returns notes on what the file does not say.
fn notes() -> Vec<Note> {
    vec![
        Note::assumed_dt("the file", DT_MS),
        Note::assumed_tau(TAU_MS),
        Note::assumed(
            "model.activation",
            "it does not say the transfer function: relu is assumed (else model.activation=NAME)",
        ),
        Note::assumed(
            "model.noise.preactivation",
            "it does not say the noise: none (else model.noise.preactivation=REC_NOISE)",
        ),
    ]
}

/// Returns the keys of the noise and of Dale's law for a network of `n` units.
fn constraints(n: usize, dale: Option<(usize, ReadoutSigns)>) -> toml::Table {
    let noise = table([("convention", "song".into()), ("preactivation", 0.0.into())]);
    let mut model = table([("noise", noise.into())]);
    if let Some((excitatory, readout)) = dale {
        let dale = table([
            ("excitatory_fraction", (excitatory as f64 / n as f64).into()),
            ("parametrization", "abs".into()),
            ("readout", readout.name().into()),
        ]);
        model.extend(table([
            ("dale", dale.into()),
            ("positive_input", true.into()),
        ]));
    }
    model
}

/// Adds the masks of the three matrices to the weights, and their densities to the configuration.
fn with_masks(mut found: FileNetwork, masks: [Option<(Array, f64)>; 3]) -> Imported {
    let mut density = toml::Table::new();
    let mut arrays = Vec::new();
    for (matrix, mask) in Matrix::ALL.into_iter().zip(masks) {
        let Some((mask, fraction)) = mask else {
            continue;
        };
        density.insert(matrix.name().to_owned(), fraction.into());
        arrays.push((matrix.array("mask"), mask));
    }
    if !density.is_empty() {
        found.model.insert("density".to_owned(), density.into());
    }
    let mut imported = found.into_import();
    imported.weights.extend(arrays);
    imported
}

/// Returns the number of excitatory units, and the signs with which the others reach the readout; `None` without Dale's
/// law.
fn dale(arrays: &mut Arrays, n: usize) -> Result<Option<(usize, ReadoutSigns)>, String> {
    let Some(excitatory) = excitatory(arrays, n)? else {
        return Ok(None);
    };
    Ok(Some((excitatory, readout_signs(arrays, excitatory, n)?)))
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
    matrix: &str,
    rows: usize,
    columns: usize,
    possible: impl Fn(usize) -> bool,
) -> Result<Option<(Array, f64)>, String> {
    let name = format!("{matrix}_connectivity");
    if !arrays.contains(&name) {
        return Ok(None);
    }
    let mask = arrays.matrix(&name)?;
    mask.expect(&name, rows, columns)?;
    let MatrixOf { mut values, .. } = mask;
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
