//! The spectral radius of a recurrent matrix, also of one with few connections.

use faer::Mat;

use crate::ModelError;

/// Largest number of units for which the spectral radius is computed unasked: above it, that takes minutes.
pub(crate) const MOST_UNITS_FOR_RADIUS: usize = 1024;

/// Fraction of the Frobenius norm below which a radius is rounding of a matrix whose true radius is zero.
const NILPOTENT: f64 = 1e-6;

/// Returns the largest modulus of an eigenvalue of a row-major `[n, n]` matrix.
///
/// The eigenvalues are those of the strongly connected components of the network, each computed separately: a chain of units
/// without a loop has exactly 0, where rounding of the whole matrix would give up to `eps^(1/n)` times its norm.
///
/// # Errors
/// [`ModelError::Eigenvalues`] if the iteration does not converge, as with entries that are not finite.
pub fn spectral_radius(matrix: &[f64], n: usize) -> Result<f64, ModelError> {
    assert_eq!(
        matrix.len(),
        n * n,
        "a matrix of {} entries is not [{n}, {n}]",
        matrix.len()
    );
    let mut radius = 0.0_f64;
    for part in strongly_connected(matrix, n) {
        let (rows, size) = (&part, part.len());
        let entry = |row: usize, col: usize| matrix[rows[row] * n + rows[col]];
        if size == 1 {
            radius = radius.max(entry(0, 0).abs());
            continue;
        }
        let eigenvalues = Mat::from_fn(size, size, entry)
            .eigenvalues()
            .map_err(|error| ModelError::Eigenvalues(format!("{error:?}")))?;
        let moduli = eigenvalues.iter().map(|z| z.re.hypot(z.im));
        radius = moduli.fold(radius, f64::max);
    }
    Ok(radius)
}

/// Returns the [`spectral_radius`], or `None` if it is zero to rounding.
pub(crate) fn positive_radius(matrix: &[f64], n: usize) -> Result<Option<f64>, ModelError> {
    let radius = spectral_radius(matrix, n)?;
    let norm = matrix.iter().map(|w| w * w).sum::<f64>().sqrt();
    Ok((radius > NILPOTENT * norm).then_some(radius))
}

/// Returns true if the connections of a `[n, n]` matrix, all weights that are not zero, form a loop.
pub(crate) fn has_loop(matrix: &[f64], n: usize) -> bool {
    strongly_connected(matrix, n)
        .iter()
        .any(|part| part.len() > 1 || matrix[part[0] * (n + 1)] != 0.0)
}

/// Returns the strongly connected components, the units of each in ascending order: two units share a component if each reaches the
/// other along weights that are not zero.
///
/// # References
/// Sharir (1981), "A strong-connectivity algorithm and its applications in data flow analysis".
fn strongly_connected(matrix: &[f64], n: usize) -> Vec<Vec<usize>> {
    let forward = |post: usize, pre: usize| matrix[post * n + pre] != 0.0;
    let mut seen = vec![false; n];
    let mut finished = Vec::new();
    for start in 0..n {
        finished.extend(visit(start, n, &mut seen, &forward));
    }
    let backward = |post: usize, pre: usize| forward(pre, post);
    let mut seen = vec![false; n];
    let parts = finished.into_iter().rev().map(|start| {
        let mut part = visit(start, n, &mut seen, &backward);
        part.sort_unstable();
        part
    });
    parts.filter(|part| !part.is_empty()).collect()
}

/// Returns the unseen units that `start` reaches, in depth-first postorder, and marks them as seen.
fn visit(
    start: usize,
    n: usize,
    seen: &mut [bool],
    connects: &dyn Fn(usize, usize) -> bool,
) -> Vec<usize> {
    let mut finished = Vec::new();
    if seen[start] {
        return finished;
    }
    seen[start] = true;
    let mut path = vec![(start, 0)]; // a unit, and the first target not yet looked at
    while let Some((unit, next)) = path.last_mut() {
        let target = (*next..n).find(|&target| !seen[target] && connects(target, *unit));
        match target {
            Some(target) => {
                *next = target + 1;
                seen[target] = true;
                path.push((target, 0));
            }
            None => {
                finished.push(*unit);
                path.pop();
            }
        }
    }
    finished
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spectral_radius_of_a_rotation_is_its_scale() {
        // [[0, -2], [2, 0]] has the eigenvalues +-2i.
        let radius = spectral_radius(&[0.0, -2.0, 2.0, 0.0], 2).unwrap();
        assert!((radius - 2.0).abs() < 1e-12);
    }

    /// A shuffled chain of 60 units: nilpotent. Its computed eigenvalues would be about 1e-16^(1/60) = 0.5.
    #[test]
    fn a_chain_has_radius_zero_in_any_order() {
        let n = 60;
        let place = |unit: usize| (unit * 7) % n; // 7 and 60 share no factor
        let mut chain = vec![0.0; n * n];
        for unit in 0..n - 1 {
            chain[place(unit + 1) * n + place(unit)] = 1.0;
        }
        assert_eq!(spectral_radius(&chain, n), Ok(0.0));
        assert_eq!(positive_radius(&chain, n), Ok(None));
        // A small self-connection anywhere is then the one eigenvalue that is not zero.
        chain[place(30) * n + place(30)] = 1e-3;
        assert_eq!(spectral_radius(&chain, n), Ok(1e-3));
    }

    /// [[1, -1], [1, -1]] is nilpotent although every unit reaches every other.
    #[test]
    fn a_nilpotent_matrix_full_of_loops_has_no_positive_radius() {
        assert_eq!(positive_radius(&[1.0, -1.0, 1.0, -1.0], 2), Ok(None));
    }

    /// Two loops of two units, one feeding the other: {0, 2} with radius sqrt(0.5 * 2) = 1, {1, 3} with radius 3.
    #[test]
    fn parts_are_found_wherever_their_units_stand() {
        let mut matrix = vec![0.0; 16];
        let mut connect = |pre: usize, post: usize, weight| matrix[post * 4 + pre] = weight;
        connect(0, 2, 0.5);
        connect(2, 0, 2.0);
        connect(1, 3, 9.0);
        connect(3, 1, 1.0);
        connect(0, 1, 5.0);
        let mut parts = strongly_connected(&matrix, 4);
        parts.sort();
        assert_eq!(parts, [[0, 2], [1, 3]]);
        assert!((spectral_radius(&matrix, 4).unwrap() - 3.0).abs() < 1e-12);
    }
}
