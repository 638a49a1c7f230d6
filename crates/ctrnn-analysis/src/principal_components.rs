//! Principal components, and the dimensionality of activity.

use ndarray::{Array1, Array2, ArrayView2};

use crate::linear_algebra::{NotConverged, centred_svd};

/// Principal components of observations.
#[derive(Clone, Debug)]
pub struct Pca {
    /// Mean of the observations, `[N]`.
    pub mean: Array1<f64>,
    /// Orthonormal components as rows `[k, N]`, k = min(n, N), in order of falling variance; the entry of largest
    /// magnitude in each is positive.
    pub components: Array2<f64>,
    /// Variance along each component, `[k]`, with n - 1 in the denominator.
    pub variances: Array1<f64>,
}

impl Pca {
    /// Computes the principal components of `observations [n, N]`, n > 1.
    ///
    /// # Errors
    /// [`NotConverged`] if the decomposition does not converge.
    pub fn of(observations: ArrayView2<f64>) -> Result<Self, NotConverged> {
        let (mean, s, v) = centred_svd(observations)?;
        let mut components = v.t().to_owned();
        for mut row in components.outer_iter_mut() {
            let largest = row
                .iter()
                .copied()
                .fold(0.0f64, |a, b| if b.abs() > a.abs() { b } else { a });
            if largest < 0.0 {
                row.mapv_inplace(|x| -x);
            }
        }
        let freedom = observations.nrows().saturating_sub(1).max(1) as f64;
        Ok(Self {
            mean,
            components,
            variances: s.mapv(|s| s * s / freedom),
        })
    }

    /// Projects `observations [n, N]` on the first `k` components, `[n, k]`.
    pub fn project(&self, observations: ArrayView2<f64>, k: usize) -> Array2<f64> {
        let axes = self
            .components
            .slice(ndarray::s![..k.min(self.components.nrows()), ..]);
        (&observations - &self.mean).dot(&axes.t())
    }

    /// Returns the number of directions in which the observations vary by more than rounding: at least 1e-12 of the
    /// largest deviation.
    pub fn rank(&self) -> usize {
        let largest = self.variances.iter().copied().fold(0.0, f64::max);
        let varies = |variance: &&f64| **variance > 1e-24 * largest;
        self.variances.iter().filter(varies).count()
    }

    /// Returns the fraction of the variance that each component explains; 0 if there is no variance.
    pub fn explained(&self) -> Array1<f64> {
        let whole = self.variances.sum();
        let part = |variance| if whole > 0.0 { variance / whole } else { 0.0 };
        self.variances.mapv(part)
    }

    /// Returns the participation ratio `(sum l)^2 / sum l^2` of the variances: N if they are equal, 1 if there is only
    /// one, 0 if there is none.
    ///
    /// # References
    /// Gao et al. (2017), A theory of multineuronal dimensionality, dynamics and measurement.
    pub fn participation_ratio(&self) -> f64 {
        match self.explained().mapv(|part| part * part).sum() {
            0.0 => 0.0,
            squares => 1.0 / squares,
        }
    }

    /// Returns the number of components that together explain at least this fraction of the variance.
    pub fn n_explaining(&self, fraction: f64) -> usize {
        let mut sum = 0.0;
        let enough = |part: &f64| {
            sum += part;
            // Rounding may leave the sum of all parts slightly below 1.
            sum >= fraction - 1e-12
        };
        self.explained()
            .iter()
            .position(enough)
            .map_or(0, |k| k + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// Four points at (+-2, +-1) have variances 16/3 and 4/3 along the axes, participation ratio (20/3)^2 / (272/9) =
    /// 25/17.
    #[test]
    fn components_of_a_rectangle() {
        let points = array![[2.0, 1.0], [2.0, -1.0], [-2.0, 1.0], [-2.0, -1.0]] + 5.0;
        let pca = Pca::of(points.view()).unwrap();
        assert!((&pca.mean - 5.0).iter().all(|x| x.abs() < 1e-12));
        for (k, expected) in [16.0 / 3.0, 4.0 / 3.0].into_iter().enumerate() {
            assert!((pca.variances[k] - expected).abs() < 1e-12);
            assert!((pca.components[[k, k]] - 1.0).abs() < 1e-12);
        }
        assert!((pca.participation_ratio() - 25.0 / 17.0).abs() < 1e-12);
        assert_eq!((pca.n_explaining(0.8), pca.n_explaining(0.9)), (1, 2));
        assert!((pca.project(points.view(), 1)[[2, 0]] + 2.0).abs() < 1e-12);
    }

    #[test]
    fn a_constant_has_no_dimensions() {
        let pca = Pca::of(Array2::from_elem((7, 2), 0.1).view()).unwrap();
        assert_eq!((pca.rank(), pca.participation_ratio()), (0, 0.0));
        assert_eq!(
            (pca.explained().to_vec(), pca.n_explaining(0.9)),
            (vec![0.0; 2], 0)
        );
        let line = Array2::from_shape_fn((7, 2), |(i, k)| (i * (k + 1)) as f64);
        assert_eq!(Pca::of(line.view()).unwrap().rank(), 1);
    }

    /// Observations in several blocks of rows have the components of all together.
    #[test]
    fn blocks_of_rows_are_joined() {
        let x = Array2::from_shape_fn((5000, 3), |(i, j)| {
            ((3 * i + j) as f64).powi(2).sin() + j as f64
        });
        let pca = Pca::of(x.view()).unwrap();
        let left = &x - &x.mean_axis(ndarray::Axis(0)).unwrap();
        let covariance = left.t().dot(&left) / 4999.0;
        for (k, row) in pca.components.outer_iter().enumerate() {
            let error = covariance.dot(&row) - &(&row * pca.variances[k]);
            assert!(error.iter().all(|e| e.abs() < 1e-12), "{error}");
        }
    }

    /// ```python
    /// import numpy as np
    /// x = np.sin(np.arange(15.0).reshape(5, 3) ** 2)
    /// u, s, vt = np.linalg.svd(x - x.mean(0), full_matrices=False)
    /// print(s**2 / 4, vt)
    /// ```
    #[test]
    fn components_are_those_of_numpy() {
        let x = Array2::from_shape_fn((5, 3), |(i, j)| ((3 * i + j) as f64).powi(2).sin());
        let pca = Pca::of(x.view()).unwrap();
        for (found, expected) in pca.variances.iter().zip(NUMPY_VARIANCES) {
            assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        }
        for (row, expected) in pca.components.outer_iter().zip(NUMPY_COMPONENTS) {
            let cosine: f64 = row.iter().zip(expected).map(|(a, b)| a * b).sum();
            assert!((cosine.abs() - 1.0).abs() < 1e-9);
        }
    }

    const NUMPY_VARIANCES: [f64; 3] = [1.232083302323, 0.138609122874, 0.033985489109];
    const NUMPY_COMPONENTS: [[f64; 3]; 3] = [
        [-0.408478706706, -0.575492792411, 0.708486550367],
        [0.814105514024, -0.580712305523, -0.002330289546],
        [0.412767922934, 0.575830933605, 0.705720467112],
    ];
}
