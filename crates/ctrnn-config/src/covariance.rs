//! Covariance of the pre-activation noise, read from a file.

use std::path::Path;

use ctrnn_files::npz;

/// Reads the array `covariance [N,N]` of an npz file, as rows.
///
/// # Errors
/// Describes the fault of the file.
pub(crate) fn read(path: &Path) -> Result<Vec<Vec<f64>>, String> {
    let mut arrays = npz::read(path).map_err(|error| error.to_string())?;
    let file = path.display();
    let array = arrays
        .remove("covariance")
        .ok_or_else(|| format!("{file} has no array covariance"))?;
    let [n, width] = array.shape()[..] else {
        let shape = array.shape();
        return Err(format!(
            "covariance of {file} has shape {shape:?}, not [unit, unit]"
        ));
    };
    if n != width {
        return Err(format!(
            "covariance of {file} has shape [{n}, {width}], not [unit, unit]"
        ));
    }
    let values = array
        .to_f64()
        .and_then(|values| array.to_f32().map(|_| values));
    let values = values.map_err(|error| format!("covariance of {file}: {error}"))?;
    Ok(values.chunks(n.max(1)).map(<[f64]>::to_vec).collect())
}
