//! Mixtures of Gaussians with mean zero, fitted by expectation maximisation.

use ctrnn_random::{Key, Rng, Stream};
use ndarray::{Array2, ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;

use crate::linear_algebra::cholesky;

/// Number of initial assignments from which the fit is tried.
const STARTS: u64 = 10;
/// Largest number of iterations, and the growth of the mean log likelihood of a row below which they end.
const ITERATIONS: usize = 500;
const LEAST_GROWTH: f64 = 1e-8;
/// Added to the diagonal of each covariance, as a fraction of the mean square of all entries.
const RIDGE: f64 = 1e-6;

/// Rows as draws from a mixture of Gaussians with mean zero.
#[derive(Clone, Debug)]
pub struct Mixture {
    /// Weight of each component, in falling order.
    pub weights: Vec<f64>,
    /// Covariance of each component, `[column, column]`.
    pub covariances: Vec<Array2<f64>>,
    /// Component to which each row belongs with the largest probability.
    pub labels: Vec<usize>,
    /// Log likelihood of all rows.
    pub log_likelihood: f64,
}

impl Mixture {
    /// Returns the Bayesian information criterion, `p ln n - 2 ln L` with p free parameters: the smaller, the better.
    pub fn bic(&self) -> f64 {
        let (n, k) = (self.labels.len() as f64, self.weights.len() as f64);
        let d = self.covariances[0].nrows() as f64;
        (k * d * (d + 1.0) / 2.0 + k - 1.0) * n.ln() - 2.0 * self.log_likelihood
    }
}

/// Fits mixtures of 1, 2, ... up to `most` components to the rows `[n, d]`, each from several initial assignments of `seed`.
///
/// # References
/// Dubreuil et al. (2022) describe the loadings of a low-rank network by such a mixture; Schwarz (1978) for the criterion.
pub fn mixtures(rows: ArrayView2<f64>, most: usize, seed: u64) -> Vec<Mixture> {
    let mean_square = rows.iter().map(|x| x * x).sum::<f64>() / rows.len().max(1) as f64;
    let ridge = RIDGE * mean_square.max(f64::MIN_POSITIVE);
    let numbers: Vec<usize> = (1..=most).collect();
    let fitted = numbers.into_par_iter().map(|k| {
        let starts = if k == 1 { 1 } else { STARTS };
        let fits = (0..starts).map(|start| fit(rows, k, ridge, &mut rng(seed, start, k)));
        let best = fits.max_by(|a, b| a.log_likelihood.total_cmp(&b.log_likelihood));
        by_weight(best.expect("a fit from each start"))
    });
    fitted.collect()
}

fn rng(seed: u64, start: u64, k: usize) -> Rng {
    Rng::new(Key::new(seed, Stream::Eval, 3), start, k as u64)
}

/// Assigns each row to the direction of a drawn row that is closest to its own, and iterates from there.
fn fit(rows: ArrayView2<f64>, k: usize, ridge: f64, rng: &mut Rng) -> Mixture {
    let n = rows.nrows();
    let drawn: Vec<usize> = (0..k).map(|_| rng.below(n as u32) as usize).collect();
    let cosine = |a: ArrayView1<f64>, b: ArrayView1<f64>| {
        (a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt().max(f64::MIN_POSITIVE)).abs()
    };
    let mut shares = Array2::from_elem((n, k), 0.1 / k as f64);
    for (row, mut shares) in rows.outer_iter().zip(shares.outer_iter_mut()) {
        let closeness = |c: &usize| cosine(row, rows.row(drawn[*c]));
        let nearest = (0..k).max_by(|a, b| closeness(a).total_cmp(&closeness(b)));
        shares[nearest.unwrap_or(0)] += 0.9;
    }
    let (mut weights, mut covariances) = maximised(rows, &shares, ridge);
    let mut log_likelihood = expected(rows, &weights, &covariances, &mut shares);
    for _ in 1..ITERATIONS {
        (weights, covariances) = maximised(rows, &shares, ridge);
        let found = expected(rows, &weights, &covariances, &mut shares);
        let growth = found - log_likelihood;
        log_likelihood = found;
        if growth < LEAST_GROWTH * n as f64 {
            break;
        }
    }
    let likeliest = |shares: ArrayView1<f64>| {
        (0..k)
            .max_by(|&a, &b| shares[a].total_cmp(&shares[b]))
            .unwrap_or(0)
    };
    Mixture {
        weights,
        covariances,
        labels: shares.outer_iter().map(likeliest).collect(),
        log_likelihood,
    }
}

/// Returns the weights and covariances of the components, given the share of each row in each component `[n, k]`.
fn maximised(
    rows: ArrayView2<f64>,
    shares: &Array2<f64>,
    ridge: f64,
) -> (Vec<f64>, Vec<Array2<f64>>) {
    let n = rows.nrows() as f64;
    let component = |share: ArrayView1<f64>| {
        let total = share.sum().max(f64::MIN_POSITIVE);
        let weighted = &rows * &share.insert_axis(Axis(1));
        let mut covariance = rows.t().dot(&weighted) / total;
        covariance.diag_mut().map_inplace(|x| *x += ridge);
        (total / n, covariance)
    };
    shares.columns().into_iter().map(component).unzip()
}

/// Computes the share of each row in each component; returns the log likelihood of all rows.
fn expected(
    rows: ArrayView2<f64>,
    weights: &[f64],
    covariances: &[Array2<f64>],
    shares: &mut Array2<f64>,
) -> f64 {
    let d = rows.ncols();
    let factors: Vec<Array2<f64>> = covariances.iter().map(|c| cholesky(c.view())).collect();
    let offset = |(weight, factor): (&f64, &Array2<f64>)| {
        let log_root: f64 = factor.diag().iter().map(|x| x.ln()).sum();
        weight.ln() - log_root - 0.5 * d as f64 * std::f64::consts::TAU.ln()
    };
    let offsets: Vec<f64> = weights.iter().zip(&factors).map(offset).collect();
    let mut sum = 0.0;
    for (row, mut shares) in rows.outer_iter().zip(shares.outer_iter_mut()) {
        for ((share, factor), offset) in shares.iter_mut().zip(&factors).zip(&offsets) {
            *share = offset - 0.5 * square_of_solution(factor, row);
        }
        let largest = shares.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        shares.mapv_inplace(|x| (x - largest).exp());
        let total = shares.sum();
        shares /= total;
        sum += largest + total.ln();
    }
    sum
}

/// Computes `|y|^2` with `L y = x` for a lower triangular L.
fn square_of_solution(factor: &Array2<f64>, x: ArrayView1<f64>) -> f64 {
    let mut y: Vec<f64> = Vec::with_capacity(x.len());
    for (i, x) in x.iter().enumerate() {
        let known: f64 = (0..i).map(|j| factor[[i, j]] * y[j]).sum();
        y.push((x - known) / factor[[i, i]]);
    }
    y.iter().map(|y| y * y).sum()
}

/// Numbers the components by falling weight.
fn by_weight(mixture: Mixture) -> Mixture {
    let mut order: Vec<usize> = (0..mixture.weights.len()).collect();
    order.sort_by(|&a, &b| mixture.weights[b].total_cmp(&mixture.weights[a]));
    let place = |label: &usize| order.iter().position(|c| c == label).unwrap_or(0);
    Mixture {
        labels: mixture.labels.iter().map(place).collect(),
        weights: order.iter().map(|&c| mixture.weights[c]).collect(),
        covariances: order
            .iter()
            .map(|&c| mixture.covariances[c].clone())
            .collect(),
        log_likelihood: mixture.log_likelihood,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// One component: the covariance is `X' X / n = [[1, 0], [0, 4]]`, and each of the two rows has the log density
    /// `-ln 2 pi - ln 2 - 1` (determinant 4, squared distance 2): in all -2 (1.8378771 + 0.6931472 + 1) = -7.0620485. With three
    /// free parameters the criterion is 3 ln 2 + 2 x 7.0620485 = 16.2035385.
    #[test]
    fn one_component_by_hand() {
        let rows = array![[1.0, 2.0], [1.0, -2.0]];
        let found = &mixtures(rows.view(), 1, 1)[0];
        let expected = array![[1.0, 0.0], [0.0, 4.0]];
        assert!(
            (&found.covariances[0] - &expected)
                .iter()
                .all(|x| x.abs() < 1e-5)
        );
        assert!((found.log_likelihood + 7.0620485).abs() < 1e-5);
        assert!((found.bic() - 16.2035385).abs() < 1e-5);
    }

    /// 300 rows along one diagonal and 200 along the other: two components, found up to the rows near the origin.
    #[test]
    fn two_populations_are_told_apart() {
        let mut rng = Rng::new(Key::new(4, Stream::Eval, 0), 0, 0);
        let mut normal = || f64::from(rng.normal());
        let mut rows = Array2::zeros((500, 3));
        for (k, mut row) in rows.outer_iter_mut().enumerate() {
            let (common, sign) = (normal(), if k < 300 { 1.0 } else { -1.0 });
            row[0] = common + 0.1 * normal();
            row[1] = sign * common + 0.1 * normal();
            row[2] = normal();
        }
        let found = mixtures(rows.view(), 4, 7);
        let best = (0..4).min_by(|&a, &b| found[a].bic().total_cmp(&found[b].bic()));
        assert_eq!(best, Some(1));
        let right = found[1].labels.iter().enumerate();
        let right = right.filter(|(k, label)| **label == usize::from(*k >= 300));
        assert!(right.count() > 450);
        assert!((found[1].weights[0] - 0.6).abs() < 0.05);
        let covariance = &found[1].covariances[1];
        assert!((covariance[[0, 1]] + 1.0).abs() < 0.2, "{covariance}");
    }
}
