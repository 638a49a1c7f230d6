//! Factors of a recurrent matrix of low rank: drawn, the nearest ones to a matrix, and compared with the effective matrix of a file.

use burn::tensor::TensorData;
use ctrnn_random::{Key, Rng};
use faer::linalg::solvers::Solve;
use faer::{Mat, Side};

use crate::connectivity::Matrix;
use crate::{CtrnnConfig, Factor, LowRank, ModelError, Parameter, Weights};

/// Ending of the array of the full matrix in weight files, where `weight` is the effective one.
pub(crate) const RAW: &str = "weight_raw";

/// Vectors that a drawn one overlaps with: their values, and the overlaps `v . x / N`.
#[derive(Default)]
struct Overlaps {
    directions: Vec<Vec<f64>>,
    values: Vec<f64>,
    /// True if the root mean square is exactly the standard deviation even without such vectors.
    is_exact: bool,
}

impl Overlaps {
    fn add(&mut self, directions: impl IntoIterator<Item = Vec<f64>>, values: Option<&[f64]>) {
        if let Some(values) = values {
            self.directions.extend(directions);
            self.values.extend(values);
        }
    }

    /// Draws a vector of `n` numbers with these overlaps and this root mean square.
    ///
    /// # Errors
    /// The least root mean square of such a vector, where it is larger; infinity where no vector has these overlaps.
    fn draw(&self, n: usize, std: f64, rng: &mut Rng) -> Result<Vec<f64>, f64> {
        let normals: Vec<f64> = (0..n).map(|_| f64::from(rng.normal())).collect();
        let dot =
            |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / n as f64;
        if self.directions.is_empty() {
            let scale = if self.is_exact {
                std / dot(&normals, &normals).sqrt()
            } else {
                std
            };
            return Ok(normals.into_iter().map(|x| scale * x).collect());
        }
        let k = self.directions.len();
        let gram = Mat::from_fn(k, k, |i, j| dot(&self.directions[i], &self.directions[j]));
        let solver = gram.llt(Side::Lower).map_err(|_| f64::INFINITY)?;
        let combination = |overlaps: &dyn Fn(usize) -> f64| -> Vec<f64> {
            let by = solver.solve(&Mat::from_fn(k, 1, |i, _| overlaps(i)));
            let entry = |unit| (0..k).map(|i| by[(i, 0)] * self.directions[i][unit]).sum();
            (0..n).map(entry).collect()
        };
        let along = combination(&|i| self.values[i]);
        let along_square = dot(&along, &along);
        let rest_square = std * std - along_square;
        // A vector that lies in the span of the others up to rounding.
        if rest_square.abs() <= 1e-9 * along_square {
            return Ok(along);
        }
        if rest_square < 0.0 || k >= n {
            return Err(along_square.sqrt());
        }
        let shadow = combination(&|i| dot(&self.directions[i], &normals));
        let across: Vec<f64> = normals.iter().zip(shadow).map(|(x, s)| x - s).collect();
        let scale = (rest_square / dot(&across, &across)).sqrt();
        Ok(along
            .iter()
            .zip(across)
            .map(|(a, x)| a + scale * x)
            .collect())
    }
}

/// Draws the factors, and renames the drawn recurrent weights, which are those of the full matrix.
///
/// # Errors
/// [`ModelError::Overlap`] if no vectors of the standard deviations have the overlaps that are asked for.
pub(crate) fn draw(
    config: &CtrnnConfig,
    factors: &LowRank,
    key: Key,
    weights: &mut Weights,
) -> Result<(), ModelError> {
    let drawing = Drawing {
        config,
        factors,
        key,
    };
    let numbers = |matrix: Matrix| {
        weights[&matrix.array("weight")]
            .iter()
            .collect::<Vec<f64>>()
    };
    let left = drawing.left(&numbers(Matrix::Output))?;
    let right = drawing.right(&numbers(Matrix::Input), &left)?;
    if let Some(full) = weights.remove(&Matrix::Recurrent.array("weight")) {
        weights.insert(Matrix::Recurrent.array(RAW), full);
    }
    let n = config.n_units;
    weights.insert(Parameter::RECURRENT_LEFT.name(), by_unit(&left, n));
    weights.insert(Parameter::RECURRENT_RIGHT.name(), by_unit(&right, n));
    Ok(())
}

/// The network whose factors are drawn, and the key of its weights.
struct Drawing<'a> {
    config: &'a CtrnnConfig,
    factors: &'a LowRank,
    key: Key,
}

impl Drawing<'_> {
    /// Draws the columns of the left factor, beside the readout `W_out`.
    fn left(&self, w_out: &[f64]) -> Result<Vec<Vec<f64>>, ModelError> {
        let (n, init) = (self.config.n_units, &self.factors.init);
        let readout = |o: usize| w_out[o * n..][..n].iter().map(|w| w * n as f64).collect();
        let column = |column: usize| {
            let mut overlaps = Overlaps {
                is_exact: init.overlap.is_some(),
                ..Overlaps::default()
            };
            let values = init.output_overlap.as_ref().map(|rows| &rows[column][..]);
            overlaps.add((0..self.config.n_outputs).map(readout), values);
            self.column(&overlaps, Factor::Left, column)
        };
        (0..self.factors.rank).map(column).collect()
    }

    /// Draws the columns of the right factor, beside the input weights `W_in` and the left factor.
    fn right(&self, w_in: &[f64], left: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, ModelError> {
        let (n_inputs, init) = (self.config.n_inputs, &self.factors.init);
        let axis = |i: usize| w_in.iter().skip(i).step_by(n_inputs).copied().collect();
        let column = |column: usize| {
            let mut overlaps = Overlaps::default();
            let with_left = init.overlap.as_ref();
            let with_left =
                with_left.map(|rows| rows.iter().map(|row| row[column]).collect::<Vec<f64>>());
            overlaps.add(left.iter().cloned(), with_left.as_deref());
            let values = init.input_overlap.as_ref().map(|rows| &rows[column][..]);
            overlaps.add((0..n_inputs).map(axis), values);
            self.column(&overlaps, Factor::Right, column)
        };
        (0..self.factors.rank).map(column).collect()
    }

    fn column(
        &self,
        overlaps: &Overlaps,
        factor: Factor,
        column: usize,
    ) -> Result<Vec<f64>, ModelError> {
        let (std, side) = match factor {
            Factor::Left => (self.factors.init.left_std, 0),
            Factor::Right => (self.factors.init.right_std, 1),
        };
        // Generators 0 to 5 are those of weights and masks.
        let mut rng = Rng::new(self.key, 6 + 2 * column as u64 + side, 0);
        let drawn = overlaps.draw(self.config.n_units, std, &mut rng);
        drawn.map_err(|least| ModelError::Overlap {
            factor: factor.name(),
            dimension: column,
            std,
            least,
        })
    }
}

/// Returns columns of `n` numbers as a matrix `[n, columns]`.
fn by_unit(columns: &[Vec<f64>], n: usize) -> TensorData {
    let entries = (0..n).flat_map(|unit| columns.iter().map(move |column| column[unit]));
    TensorData::new(entries.collect::<Vec<f64>>(), [n, columns.len()])
}

/// Returns the factors of the matrix of a rank that is nearest to `weight [n, n]`, from its singular vectors: `left = u sqrt(s n)`,
/// `right = v sqrt(s n)`.
///
/// # Errors
/// [`ModelError::Contradiction`] if the singular value decomposition does not converge.
pub(crate) fn nearest_factors(
    weight: &TensorData,
    n: usize,
    rank: usize,
) -> Result<[TensorData; 2], ModelError> {
    let entries: Vec<f64> = weight.iter().collect();
    let matrix = Mat::from_fn(n, n, |post, pre| entries[post * n + pre]);
    let svd = matrix
        .thin_svd()
        .map_err(|error| ModelError::Contradiction {
            name: Parameter::RECURRENT_WEIGHT.name(),
            reason: format!("its singular values could not be found: {error:?}"),
        })?;
    let scale = |k: usize| (svd.S()[k] * n as f64).sqrt();
    let columns = |vectors: faer::MatRef<'_, f64>| -> Vec<Vec<f64>> {
        let column = |k: usize| (0..n).map(|unit| vectors[(unit, k)] * scale(k)).collect();
        (0..rank).map(column).collect()
    };
    Ok([svd.U(), svd.V()].map(|vectors| by_unit(&columns(vectors), n)))
}

/// Checks that the effective matrix of a file is the sum of its full matrix, if it has one, and the product of its factors.
///
/// # Errors
/// [`ModelError::Contradiction`] names the first entry that is not.
pub(crate) fn check_product(
    config: &CtrnnConfig,
    rank: usize,
    weights: &Weights,
) -> Result<(), ModelError> {
    const AGREEMENT: f64 = 1e-5; // rounding of single precision over R products
    let n = config.n_units;
    let numbers = |name: &str| -> Option<Vec<f64>> { Some(weights.get(name)?.iter().collect()) };
    let name = Parameter::RECURRENT_WEIGHT.name();
    let [left, right] = [Parameter::RECURRENT_LEFT, Parameter::RECURRENT_RIGHT]
        .map(|parameter| numbers(&parameter.name()).unwrap_or_default());
    let (Some(found), full) = (numbers(&name), numbers(&Matrix::Recurrent.array(RAW))) else {
        return Ok(());
    };
    for (k, &found) in found.iter().enumerate() {
        let (post, pre) = (k / n, k % n);
        let products = left[post * rank..][..rank].iter().zip(&right[pre * rank..]);
        let products = products.map(|(left, right)| left * right / n as f64);
        let terms = products.chain(full.as_ref().map(|full| full[k]));
        let (sum, size) = terms.fold((0.0, found.abs()), |(sum, size), term: f64| {
            (sum + term, size + term.abs())
        });
        if (found - sum).abs() > AGREEMENT * size + f64::from(f32::MIN_POSITIVE) {
            return Err(ModelError::Contradiction {
                name,
                reason: format!(
                    "{} at [{post}, {pre}] is not what recurrent.left and recurrent.right give",
                    found as f32
                ),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
