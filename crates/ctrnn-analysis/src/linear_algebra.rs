//! Decompositions of real matrices in double precision.

use faer::linalg::solvers::Solve;
use faer::{Mat, MatRef, c64};
use ndarray::{Array1, Array2, ArrayView2, Axis};
use thiserror::Error;

/// Error of a decomposition that did not converge, as with numbers that are not finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the {0} of a matrix did not converge; does it hold NaN or infinity?")]
pub struct NotConverged(&'static str);

/// Singular value decomposition `A = U diag(s) V'`.
#[derive(Clone, Debug)]
pub struct Svd {
    /// Left singular vectors `[rows, k]`, where k is the smaller side.
    pub u: Array2<f64>,
    /// Singular values `[k]` in descending order.
    pub s: Array1<f64>,
    /// Right singular vectors `[columns, k]`.
    pub v: Array2<f64>,
}

/// Eigenvalues of a general matrix, and unit right eigenvectors as columns.
#[derive(Clone, Debug)]
pub struct Eigen {
    /// Eigenvalues in order of falling modulus.
    pub values: Vec<c64>,
    /// Unit right eigenvectors `[n, n]`, a column for each eigenvalue.
    pub vectors: Array2<c64>,
}

fn mat(a: ArrayView2<f64>) -> Mat<f64> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| a[[i, j]])
}

fn array(a: MatRef<f64>) -> Array2<f64> {
    Array2::from_shape_fn((a.nrows(), a.ncols()), |(i, j)| a[(i, j)])
}

/// Returns the mean of every column, and the matrix with the means subtracted, which is exactly 0 in a constant column.
pub fn centred(a: ArrayView2<f64>) -> (Array1<f64>, Array2<f64>) {
    let Some(first) = a.outer_iter().next() else {
        return (Array1::zeros(a.ncols()), a.to_owned());
    };
    let mut left = &a - &first;
    let mean = left.mean_axis(Axis(0)).unwrap_or_default();
    left -= &mean;
    (mean + first, left)
}

/// Computes the eigenvalues of a square matrix, in order of falling modulus.
///
/// # Errors
/// [`NotConverged`] if the iteration does not converge.
pub fn eigenvalues(a: ArrayView2<f64>) -> Result<Vec<c64>, NotConverged> {
    let values = mat(a).eigenvalues();
    let mut values = values.map_err(|_| NotConverged("eigenvalues"))?;
    values.sort_by(by_falling_modulus);
    Ok(values)
}

/// Computes the eigenvalues and eigenvectors of a square matrix.
///
/// # Errors
/// [`NotConverged`] if the iteration does not converge.
pub fn eigen(a: ArrayView2<f64>) -> Result<Eigen, NotConverged> {
    let found = mat(a).eigen().map_err(|_| NotConverged("eigenvectors"))?;
    let (u, s) = (found.U(), found.S());
    let n = a.nrows();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| by_falling_modulus(&s[i], &s[j]));
    Ok(Eigen {
        values: order.iter().map(|&k| s[k]).collect(),
        vectors: Array2::from_shape_fn((n, n), |(i, k)| u[(i, order[k])]),
    })
}

/// Orders eigenvalues by falling modulus; equal moduli (of a conjugate pair, for instance) by falling real part, then
/// imaginary part.
fn by_falling_modulus(a: &c64, b: &c64) -> std::cmp::Ordering {
    let key = |z: &c64| [z.re.hypot(z.im), z.re, z.im];
    let (a, b) = (key(a), key(b));
    (0..3).fold(std::cmp::Ordering::Equal, |order, k| {
        order.then(b[k].total_cmp(&a[k]))
    })
}

/// Computes the thin singular value decomposition.
///
/// # Errors
/// [`NotConverged`] if the iteration does not converge.
pub fn svd(a: ArrayView2<f64>) -> Result<Svd, NotConverged> {
    if a.is_empty() {
        return Ok(Svd {
            u: Array2::zeros((a.nrows(), 0)),
            s: Array1::zeros(0),
            v: Array2::zeros((a.ncols(), 0)),
        });
    }
    let found = mat(a).thin_svd();
    let found = found.map_err(|_| NotConverged("singular values"))?;
    let k = a.nrows().min(a.ncols());
    Ok(Svd {
        u: array(found.U()),
        s: (0..k).map(|i| found.S()[i]).collect(),
        v: array(found.V()),
    })
}

/// Smallest number of rows of a block of [`centred_svd`].
const LEAST_BLOCK: usize = 1024;

/// Returns the mean of every column, and singular values and right singular vectors `[columns, k]` of the matrix with the
/// means subtracted. A tall matrix is worked on in blocks of rows: their triangular factors are joined by QR, which is as
/// accurate as the decomposition of the whole and needs no copy of it.
///
/// # Errors
/// [`NotConverged`] if the iteration does not converge.
pub fn centred_svd(
    a: ArrayView2<f64>,
) -> Result<(Array1<f64>, Array1<f64>, Array2<f64>), NotConverged> {
    let block = (4 * a.ncols()).max(LEAST_BLOCK);
    if a.nrows() <= 2 * block {
        let (mean, left) = centred(a);
        let Svd { s, v, .. } = svd(left.view())?;
        return Ok((mean, s, v));
    }
    let first = a.row(0);
    let mut mean = Array1::<f64>::zeros(a.ncols());
    for rows in a.axis_chunks_iter(Axis(0), block) {
        mean += &(&rows - &first).sum_axis(Axis(0));
    }
    mean /= a.nrows() as f64;
    let mut triangle = Array2::zeros((0, a.ncols()));
    for rows in a.axis_chunks_iter(Axis(0), block) {
        let left = &rows - &first - &mean;
        let joined = ndarray::concatenate(Axis(0), &[triangle.view(), left.view()]);
        let joined = joined.expect("rows of one width");
        triangle = array(mat(joined.view()).qr().thin_R());
    }
    let Svd { s, v, .. } = svd(triangle.view())?;
    Ok((mean + first, s, v))
}

/// Computes the nuclear norm, the sum of the singular values.
///
/// # Errors
/// [`NotConverged`] if the iteration does not converge.
pub fn nuclear_norm(a: ArrayView2<f64>) -> Result<f64, NotConverged> {
    Ok(svd(a)?.s.sum())
}

/// Computes the QR decomposition `Q R = A` with orthonormal columns of Q and a nonnegative diagonal of R; A must have
/// at least as many rows as columns.
pub fn qr(a: ArrayView2<f64>) -> (Array2<f64>, Array2<f64>) {
    let found = mat(a).qr();
    let (mut q, mut r) = (
        array(found.compute_thin_Q().as_ref()),
        array(found.thin_R()),
    );
    for k in 0..r.nrows() {
        if r[[k, k]] < 0.0 {
            q.column_mut(k).mapv_inplace(|x| -x);
            r.row_mut(k).mapv_inplace(|x| -x);
        }
    }
    (q, r)
}

/// Solves the square system `A x = b`; the solution is not finite if A is singular.
pub fn solve(a: ArrayView2<f64>, b: &Array1<f64>) -> Array1<f64> {
    let rhs = Mat::from_fn(b.len(), 1, |i, _| b[i]);
    let x = mat(a).partial_piv_lu().solve(&rhs);
    (0..b.len()).map(|i| x[(i, 0)]).collect()
}

/// Solves least squares: returns the X `[k, m]` of smallest norm that minimises `
/// A X - B
/// ` for `A [n, k]` and `B [n, m]`; singular values of A below 1e-12 of the largest count as 0.
///
/// # Errors
/// [`NotConverged`] if the decomposition does not converge.
pub fn least_squares(a: ArrayView2<f64>, b: ArrayView2<f64>) -> Result<Array2<f64>, NotConverged> {
    let Svd { u, s, v } = svd(a)?;
    let least = 1e-12 * s.iter().copied().fold(0.0, f64::max);
    let inverse = s.mapv(|s| if s > least { 1.0 / s } else { 0.0 });
    Ok((v * inverse).dot(&u.t().dot(&b)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// A rotation by 90 degrees has the eigenvalues i and -i; diag(3, 4) has the singular values 4 and 3.
    #[test]
    fn small_matrices_by_hand() {
        let values = eigenvalues(array![[0.0, -1.0], [1.0, 0.0]].view()).unwrap();
        assert!((values[0].im - 1.0).abs() < 1e-12 && values[0].re.abs() < 1e-12);
        assert!((values[1].im + 1.0).abs() < 1e-12);
        let found = svd(array![[3.0, 0.0], [0.0, 4.0]].view()).unwrap();
        assert!((found.s[0] - 4.0).abs() < 1e-12 && (found.s[1] - 3.0).abs() < 1e-12);
        assert!(
            (nuclear_norm(array![[3.0, 0.0], [0.0, -4.0]].view()).unwrap() - 7.0).abs() < 1e-12
        );
        let x = solve(array![[2.0, 1.0], [1.0, 3.0]].view(), &array![5.0, 10.0]);
        assert!((x[0] - 1.0).abs() < 1e-12 && (x[1] - 3.0).abs() < 1e-12);
        assert!(eigenvalues(array![[f64::NAN, 1.0], [1.0, 1.0]].view()).is_err());
    }

    /// The line through (0, 1), (1, 3), (2, 5) is 1 + 2 x.
    #[test]
    fn least_squares_finds_the_line() {
        let a = array![[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]];
        let x = least_squares(a.view(), array![[1.0], [3.0], [5.0]].view()).unwrap();
        assert!((x[[0, 0]] - 1.0).abs() < 1e-12 && (x[[1, 0]] - 2.0).abs() < 1e-12);
    }

    /// `x + y = 2` has the smallest solution (1, 1); `0 x = 5` has 0.
    #[test]
    fn where_much_would_do_least_squares_takes_the_smallest() {
        let x = least_squares(array![[1.0, 1.0]].view(), array![[2.0]].view()).unwrap();
        assert!(x.iter().all(|x| (x - 1.0).abs() < 1e-12));
        let x = least_squares(array![[0.0]].view(), array![[5.0]].view()).unwrap();
        assert_eq!(x, array![[0.0]]);
    }

    /// The mean of a column of tenths is subject to rounding; the centred column must still be exactly 0.
    #[test]
    fn a_constant_column_is_centred_to_zero() {
        let a = Array2::from_shape_fn((7, 2), |(i, k)| if k == 0 { 0.1 } else { i as f64 });
        let (mean, left) = centred(a.view());
        assert_eq!((mean[0], mean[1]), (0.1, 3.0));
        assert!(left.column(0).iter().all(|x| *x == 0.0));
        assert_eq!(
            left.column(1).to_vec(),
            [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0]
        );
        assert_eq!(centred(Array2::zeros((0, 3)).view()).0.len(), 3);
    }

    /// The Q of QR is orthonormal and finite for any rank; eigenvectors are finite even without a full set of them.
    #[test]
    fn matrices_without_full_rank_are_decomposed() {
        let jordan = array![[0.5, 1.0, 0.0], [0.0, 0.5, 1.0], [0.0, 0.0, 0.5]];
        for a in [
            Array2::zeros((3, 3)),
            Array2::ones((3, 3)),
            jordan,
            Array2::from_elem((3, 3), 1e-40),
        ] {
            let (q, r) = qr(a.view());
            let product = q.t().dot(&q) - Array2::<f64>::eye(3);
            assert!(product.iter().all(|x| x.abs() < 1e-12), "{q}");
            assert!((q.dot(&r) - &a).iter().all(|x| x.abs() < 1e-12));
            let found = eigen(a.view()).unwrap();
            assert!(
                found
                    .vectors
                    .iter()
                    .all(|z| z.re.is_finite() && z.im.is_finite()),
                "{a}"
            );
            assert!(
                found
                    .values
                    .iter()
                    .all(|z| z.re.is_finite() && z.im.is_finite())
            );
        }
    }

    #[test]
    fn qr_and_eigenvectors_give_the_matrix_back() {
        let a = array![[1.0, 2.0], [3.0, -4.0]];
        let (q, r) = qr(a.view());
        assert!((&q.dot(&r) - &a).iter().all(|x| x.abs() < 1e-12));
        assert!(r[[0, 0]] > 0.0 && r[[1, 1]] > 0.0);
        let found = eigen(a.view()).unwrap();
        for (k, value) in found.values.iter().enumerate() {
            let v: Vec<f64> = found.vectors.column(k).iter().map(|z| z.re).collect();
            let image = a.dot(&Array1::from(v.clone()));
            assert!((0..2).all(|i| (image[i] - value.re * v[i]).abs() < 1e-12));
        }
    }
}
