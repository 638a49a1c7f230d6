//! Linear discriminant analysis with shrinkage.

use ndarray::{Array1, Array2, ArrayView2, Axis};

use crate::linear_algebra::{centred, solve};

/// A linear classifier of responses.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// Weights `[k, class]`.
    weights: Array2<f64>,
    /// Bias of each class.
    bias: Array1<f64>,
}

impl Decoder {
    /// Fits class means and a common covariance, shrunk towards a multiple of the unit matrix by the estimate of Ledoit &
    /// Wolf, to `x [trial, k]`; all classes have the same prior. `None` if a class has no trial.
    ///
    /// # References
    /// Ledoit & Wolf (2004), A well-conditioned estimator for large-dimensional covariance matrices.
    pub fn fit(x: ArrayView2<f64>, labels: &[usize], n_classes: usize) -> Option<Self> {
        let (n, k) = x.dim();
        let mut means = Array2::zeros((n_classes, k));
        let mut left = Array2::zeros((n, k));
        for class in 0..n_classes {
            let members: Vec<usize> = (0..n).filter(|&i| labels[i] == class).collect();
            if members.is_empty() {
                return None;
            }
            let (mean, deviations) = centred(x.select(Axis(0), &members).view());
            means.row_mut(class).assign(&mean);
            for (row, &i) in deviations.outer_iter().zip(&members) {
                left.row_mut(i).assign(&row);
            }
        }
        let covariance = shrunk_covariance(&left);
        let mut weights = Array2::zeros((k, n_classes));
        for (class, mean) in means.outer_iter().enumerate() {
            let own = solve(covariance.view(), &mean.to_owned());
            weights.column_mut(class).assign(&own);
        }
        let bias = (0..n_classes).map(|c| -0.5 * means.row(c).dot(&weights.column(c)));
        Some(Self {
            bias: bias.collect(),
            weights,
        })
    }

    /// Returns the class of each row of `x [trial, k]`.
    pub fn classes(&self, x: ArrayView2<f64>) -> Vec<usize> {
        let scores = x.dot(&self.weights) + &self.bias;
        let best = |row: ndarray::ArrayView1<f64>| {
            let mut best = 0;
            for (class, score) in row.iter().enumerate() {
                if *score > row[best] {
                    best = class;
                }
            }
            best
        };
        scores.outer_iter().map(best).collect()
    }
}

/// Returns the covariance of deviations `[trial, k]`, shrunk towards the multiple of the unit matrix with the same trace.
fn shrunk_covariance(left: &Array2<f64>) -> Array2<f64> {
    let (n, k) = left.dim();
    let covariance = left.t().dot(left) / n.max(1) as f64;
    let mean = covariance.diag().sum() / k.max(1) as f64;
    if mean <= 1e-18 {
        return Array2::eye(k); // no noise: the nearest class mean decides
    }
    let square = |a: &Array2<f64>| a.mapv(|x| x * x).sum();
    let spread = square(&(&covariance - &(Array2::<f64>::eye(k) * mean)));
    let fourth: f64 = left.outer_iter().map(|row| row.dot(&row).powi(2)).sum();
    let error = (fourth / n as f64 - square(&covariance)) / n as f64;
    let part = (error / spread.max(1e-300)).clamp(1e-9, 1.0);
    covariance * (1.0 - part) + Array2::<f64>::eye(k) * (part * mean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// Reference: sklearn.covariance.ledoit_wolf(x, assume_centered=True), see tests/golden/make_populations.py.
    #[test]
    fn shrinkage_is_that_of_ledoit_and_wolf() {
        let x = array![[1.0, 2.0], [-1.0, 0.5], [0.5, -1.5], [-0.5, -1.0]];
        let found = shrunk_covariance(&x);
        // S = [[0.625, 0.3125], [0.3125, 1.875]], mu = 1.25, |S - mu|^2 = 0.9765625, sum |x|^4 = 34.375,
        // |S|^2 = 4.1015625, error = (8.59375 - 4.1015625) / 4 = 1.123..., larger than the spread: all is shrunk.
        assert!(
            (&found - &(Array2::<f64>::eye(2) * 1.25))
                .iter()
                .all(|x| x.abs() < 1e-12)
        );
    }

    #[test]
    fn separate_classes_are_told_apart() {
        let x = Array2::from_shape_fn((30, 3), |(i, k)| {
            let noise = ((i * 7 + k * 13) as f64).sin() * 0.3;
            noise + if i % 3 == k { 2.0 } else { 0.0 }
        });
        let labels: Vec<usize> = (0..30).map(|i| i % 3).collect();
        let found = Decoder::fit(x.view(), &labels, 3).unwrap();
        assert_eq!(found.classes(x.view()), labels);
        assert!(Decoder::fit(x.view(), &labels, 4).is_none());
    }
}
