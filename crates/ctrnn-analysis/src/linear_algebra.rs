//! Decompositions of real matrices, in double precision.

use faer::linalg::solvers::{Solve, SolveLstsq};
use faer::{Mat, MatRef, c64};
use ndarray::{Array1, Array2, ArrayView2};
use thiserror::Error;

/// A decomposition whose iteration did not converge, as with numbers that are not finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the {0} of a matrix did not converge; does it hold NaN or infinity?")]
pub struct NotConverged(&'static str);

/// Singular values in descending order: `A = U diag(s) V'`.
#[derive(Clone, Debug)]
pub struct Svd {
    /// `[rows, k]`, k the smaller side.
    pub u: Array2<f64>,
    /// `[k]`
    pub s: Array1<f64>,
    /// `[columns, k]`
    pub v: Array2<f64>,
}

/// Eigenvalues of a general matrix, and unit right eigenvectors as columns.
#[derive(Clone, Debug)]
pub struct Eigen {
    /// In the order of falling modulus.
    pub values: Vec<c64>,
    /// `[n, n]`, a column for each value.
    pub vectors: Array2<c64>,
}

fn mat(a: ArrayView2<f64>) -> Mat<f64> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| a[[i, j]])
}

fn array(a: MatRef<f64>) -> Array2<f64> {
    Array2::from_shape_fn((a.nrows(), a.ncols()), |(i, j)| a[(i, j)])
}

/// Eigenvalues of a square matrix, in the order of falling modulus.
///
/// # Errors
/// [`NotConverged`]
pub fn eigenvalues(a: ArrayView2<f64>) -> Result<Vec<c64>, NotConverged> {
    let values = mat(a).eigenvalues();
    let mut values = values.map_err(|_| NotConverged("eigenvalues"))?;
    values.sort_by(by_falling_modulus);
    Ok(values)
}

/// Eigenvalues and eigenvectors of a square matrix.
///
/// # Errors
/// [`NotConverged`]
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

/// Equal moduli (of a conjugate pair, for instance) by real part, then imaginary part, the larger first.
fn by_falling_modulus(a: &c64, b: &c64) -> std::cmp::Ordering {
    let key = |z: &c64| [z.re.hypot(z.im), z.re, z.im];
    let (a, b) = (key(a), key(b));
    (0..3).fold(std::cmp::Ordering::Equal, |order, k| {
        order.then(b[k].total_cmp(&a[k]))
    })
}

/// The thin singular value decomposition.
///
/// # Errors
/// [`NotConverged`]
pub fn svd(a: ArrayView2<f64>) -> Result<Svd, NotConverged> {
    let found = mat(a).thin_svd();
    let found = found.map_err(|_| NotConverged("singular values"))?;
    let k = a.nrows().min(a.ncols());
    Ok(Svd {
        u: array(found.U()),
        s: (0..k).map(|i| found.S()[i]).collect(),
        v: array(found.V()),
    })
}

/// The nuclear norm: the sum of the singular values.
///
/// # Errors
/// [`NotConverged`]
pub fn nuclear_norm(a: ArrayView2<f64>) -> Result<f64, NotConverged> {
    Ok(svd(a)?.s.sum())
}

/// `Q R = A` with orthonormal columns of Q and a diagonal of R that is not negative; at least as many rows as columns.
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

/// The solution x of the square system `A x = b`; not finite where A is singular.
pub fn solve(a: ArrayView2<f64>, b: &Array1<f64>) -> Array1<f64> {
    let rhs = Mat::from_fn(b.len(), 1, |i, _| b[i]);
    let x = mat(a).partial_piv_lu().solve(&rhs);
    (0..b.len()).map(|i| x[(i, 0)]).collect()
}

/// The X `[k, m]` that minimises `|A X - B|` for `A [n, k]` of full column rank, n >= k, and `B [n, m]`.
pub fn least_squares(a: ArrayView2<f64>, b: ArrayView2<f64>) -> Array2<f64> {
    array(mat(a).qr().solve_lstsq(&mat(b)).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// A rotation by 90 degrees has the eigenvalues i and -i; diag(3, 4) the singular values 4 and 3.
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
        let x = least_squares(a.view(), array![[1.0], [3.0], [5.0]].view());
        assert!((x[[0, 0]] - 1.0).abs() < 1e-12 && (x[[1, 0]] - 2.0).abs() < 1e-12);
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
