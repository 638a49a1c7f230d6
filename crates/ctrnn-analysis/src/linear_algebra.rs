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

/// Returns a matrix with the given vectors of `n` numbers as rows.
pub fn from_rows(rows: impl Iterator<Item = Array1<f64>>, n: usize) -> Array2<f64> {
    let rows: Vec<Array1<f64>> = rows.collect();
    Array2::from_shape_fn((rows.len(), n), |(i, j)| rows[i][j])
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

/// Computes the eigenvalues of a symmetric matrix in descending order, and orthonormal eigenvectors as columns.
///
/// # Errors
/// [`NotConverged`] if the iteration does not converge.
pub fn symmetric_eigen(a: ArrayView2<f64>) -> Result<(Array1<f64>, Array2<f64>), NotConverged> {
    let found = mat(a).self_adjoint_eigen(faer::Side::Lower);
    let found = found.map_err(|_| NotConverged("eigenvectors"))?;
    let (u, s, n) = (found.U(), found.S(), a.nrows()); // ascending
    Ok((
        (0..n).map(|k| s[n - 1 - k]).collect(),
        Array2::from_shape_fn((n, n), |(i, k)| u[(i, n - 1 - k)]),
    ))
}

/// Eigenvalues of a general matrix A, and unit eigenvectors of the leading ones on both sides.
#[derive(Clone, Debug)]
pub struct Modes {
    /// Eigenvalues in order of falling modulus.
    pub values: Vec<c64>,
    /// Right eigenvectors `A r = m r`; the entry of largest modulus is real and positive.
    pub right: Vec<Array1<c64>>,
    /// Left eigenvectors `l A = m l`, whose product `l r` is real and not negative.
    pub left: Vec<Array1<c64>>,
}

/// Computes the eigenvalues of a square matrix, and the eigenvectors of the `n_modes` leading ones by inverse iteration;
/// one that it does not find is zero.
///
/// # Errors
/// [`NotConverged`] if the eigenvalues do not converge.
pub fn modes(a: ArrayView2<f64>, n_modes: usize) -> Result<Modes, NotConverged> {
    let values = eigenvalues(a)?;
    let (mut right, mut left) = (Vec::new(), Vec::new());
    for k in 0..n_modes.min(values.len()) {
        let is_conjugate = k > 0 && values[k].im != 0.0 && values[k] == values[k - 1].conj();
        let [r, l]: [Array1<c64>; 2] = if is_conjugate {
            [&right, &left].map(|known: &Vec<Array1<c64>>| known[k - 1].mapv(|z| z.conj()))
        } else {
            eigenvectors(a, values[k], k)
        };
        right.push(r);
        left.push(l);
    }
    Ok(Modes {
        values,
        right,
        left,
    })
}

/// Computes the right and the left eigenvector of an eigenvalue. Where several modes share an eigenvalue, they differ by
/// the number `k` of the mode.
fn eigenvectors(a: ArrayView2<f64>, value: c64, k: usize) -> [Array1<c64>; 2] {
    let n = a.nrows();
    let size = a.iter().fold(1e-300, |size: f64, x| size.max(x.abs()));
    // Off the eigenvalue, where the matrix is singular, but much nearer to it than to any other that differs.
    let shift = value + c64::new(1e-10 * size, 0.0);
    let shifted = Mat::from_fn(n, n, |i, j| {
        let diagonal = if i == j { shift } else { c64::new(0.0, 0.0) };
        c64::new(a[[i, j]], 0.0) - diagonal
    });
    let decomposed = shifted.partial_piv_lu();
    let iterate = |is_left: bool| {
        let mut x = Mat::from_fn(n, 1, |i, _| {
            c64::new(1.0 + ((i * (k + 1)) as f64).cos(), 0.0)
        });
        for _ in 0..3 {
            if is_left {
                decomposed.solve_transpose_in_place(&mut x);
            } else {
                decomposed.solve_in_place(&mut x);
            }
            let largest = (0..n).fold(0.0, |most: f64, i| most.max(x[(i, 0)].norm()));
            (0..n).for_each(|i| x[(i, 0)] /= largest);
        }
        unit((0..n).map(|i| x[(i, 0)]).collect())
    };
    let right = iterate(false);
    let mut left = iterate(true);
    let product: c64 = left.iter().zip(&right).map(|(l, r)| l * r).sum();
    let modulus = product.norm();
    if modulus > 0.0 {
        left.mapv_inplace(|l| l * product.conj() / modulus);
    }
    [right, left]
}

/// Scales a vector to length 1, its entry of largest modulus to a positive number; zero if it is not finite.
fn unit(x: Array1<c64>) -> Array1<c64> {
    let length = x.iter().map(c64::norm_sqr).sum::<f64>().sqrt();
    let largest = x.iter().copied().fold(c64::new(0.0, 0.0), |most, z| {
        if z.norm() > most.norm() * (1.0 + 1e-9) {
            z
        } else {
            most
        }
    });
    if !(length > 0.0 && length.is_finite()) {
        return Array1::from_elem(x.len(), c64::new(0.0, 0.0));
    }
    let phase = largest.conj() / largest.norm();
    x.mapv(|z| z * phase / length)
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

/// Mean of every column, singular values, and right singular vectors `[columns, k]`.
pub type CentredSvd = (Array1<f64>, Array1<f64>, Array2<f64>);

/// Returns the mean of every column, and singular values and right singular vectors `[columns, k]` of the matrix with the
/// means subtracted. A tall matrix is worked on in blocks of rows: their triangular factors are joined by QR, which is as
/// accurate as the decomposition of the whole and needs no copy of it.
///
/// # Errors
/// [`NotConverged`] if the iteration does not converge.
pub fn centred_svd(a: ArrayView2<f64>) -> Result<CentredSvd, NotConverged> {
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

/// Returns the lower triangular L with `L L' = A` for a symmetric, positive definite A.
pub fn cholesky(a: ArrayView2<f64>) -> Array2<f64> {
    let n = a.nrows();
    let mut l = Array2::zeros((n, n));
    for i in 0..n {
        for j in 0..=i {
            let known: f64 = (0..j).map(|k| l[[i, k]] * l[[j, k]]).sum();
            l[[i, j]] = if i == j {
                (a[[i, i]] - known).sqrt()
            } else {
                (a[[i, j]] - known) / l[[j, j]]
            };
        }
    }
    l
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

    /// A matrix with the eigenvalues 3, 2 and 1 +- i, by its eigenvectors: left and right ones are its own.
    #[test]
    fn modes_are_eigenvectors_on_both_sides() {
        let skew = |(i, j)| 0.3 * ((5 * i + 3 * j) as f64).sin();
        let basis = Array2::eye(4) + Array2::from_shape_fn((4, 4), skew);
        let mut inner = Array2::zeros((4, 4));
        inner[[0, 0]] = 3.0;
        inner[[1, 1]] = 2.0;
        inner
            .slice_mut(ndarray::s![2.., 2..])
            .assign(&array![[1.0, -1.0], [1.0, 1.0]]);
        let unit = |k: usize| Array1::from_shape_fn(4, |i| f64::from(u8::from(i == k)));
        let columns: Vec<_> = (0..4).map(|k| solve(basis.view(), &unit(k))).collect();
        let inverse = Array2::from_shape_fn((4, 4), |(i, j)| columns[j][i]);
        let a = basis.dot(&inner).dot(&inverse);
        let found = modes(a.view(), 4).unwrap();
        let complex = a.mapv(|x| c64::new(x, 0.0));
        for k in 0..4 {
            let (r, l, m) = (&found.right[k], &found.left[k], found.values[k]);
            let right = complex.dot(r) - r.mapv(|z| z * m);
            let left = complex.t().dot(l) - l.mapv(|z| z * m);
            assert!(
                right.iter().chain(&left).all(|z| z.norm() < 1e-8),
                "mode {k}"
            );
            let product: c64 = l.iter().zip(r).map(|(l, r)| l * r).sum();
            assert!(product.re > 0.0 && product.im.abs() < 1e-12);
        }
        assert!((found.values[0].re - 3.0).abs() < 1e-9);
        // A Jordan block has one eigenvector on each side, at right angles.
        let block = modes(array![[1.0, 1.0], [0.0, 1.0]].view(), 2).unwrap();
        assert!((block.right[0][0].re - 1.0).abs() < 1e-6 && block.left[0][0].norm() < 1e-6);
    }

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
