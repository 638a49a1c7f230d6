//! Similarity of two sets of states: Procrustes distance and centred kernel alignment (CKA).

use ndarray::{Array2, ArrayView2};

use crate::linear_algebra::{NotConverged, centred, nuclear_norm};

/// Computes the Procrustes angle, in [0, pi / 2]: `arccos
/// X'Y
/// _*` of states `[n, N]` and `[n, M]` of the same n observations, centred and scaled to norm 1. It is invariant under
/// rotation, reflection, translation and scaling of either, 0 if these map one onto the other, and obeys the triangle
/// inequality. Two constants have the angle 0; a constant and varying states have pi / 2.
///
/// # Errors
/// [`NotConverged`] if the decomposition does not converge.
///
/// # References
/// Williams, Kunz, Kornblith & Linderman (2021), Generalized shape metrics on neural representations.
pub fn procrustes_angle(x: ArrayView2<f64>, y: ArrayView2<f64>) -> Result<f64, NotConverged> {
    match (scaled(x), scaled(y)) {
        (Some(x), Some(y)) => {
            let product = x.t().dot(&y);
            Ok(nuclear_norm(product.view())?.clamp(0.0, 1.0).acos())
        }
        (None, None) => Ok(0.0),
        _ => Ok(std::f64::consts::FRAC_PI_2),
    }
}

/// Computes linear CKA, in [0, 1]: `
/// X'Y
/// ^2 / (
/// X'X
///
/// Y'Y
/// )` (Frobenius) of the centred states `[n, N]` and `[n, M]` of the same n observations. It is 1 for states that
/// differ by a rotation and a scale, and for two constants; 0 for a constant and varying states.
///
/// # References
/// Kornblith, Norouzi, Lee & Hinton (2019), Similarity of neural network representations revisited.
pub fn cka(x: ArrayView2<f64>, y: ArrayView2<f64>) -> f64 {
    let norm = |a: Array2<f64>| a.mapv(|v| v * v).sum().sqrt();
    match (scaled(x), scaled(y)) {
        (Some(x), Some(y)) => {
            norm(x.t().dot(&y)).powi(2) / (norm(x.t().dot(&x)) * norm(y.t().dot(&y)))
        }
        (None, None) => 1.0,
        _ => 0.0,
    }
}

/// Centres the columns and scales to Frobenius norm 1; `None` for constant states.
fn scaled(x: ArrayView2<f64>) -> Option<Array2<f64>> {
    let (_, left) = centred(x);
    let norm = left.mapv(|v| v * v).sum().sqrt();
    (norm > 0.0).then(|| left / norm)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn rotated_states_are_alike() {
        let x = Array2::from_shape_fn((10, 2), |(i, k)| ((3 * i + k) as f64).sin());
        let turned = x.dot(&array![[0.6, 0.8], [-0.8, 0.6]]) * 3.0 + 1.0;
        assert!(procrustes_angle(x.view(), turned.view()).unwrap() < 1e-6);
        assert!((cka(x.view(), turned.view()) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn constants_are_alike_and_nothing_else_is_like_them() {
        let still = Array2::from_elem((10, 3), 0.1);
        let silent = Array2::zeros((10, 2));
        let moving = Array2::from_shape_fn((10, 2), |(i, k)| ((3 * i + k) as f64).sin());
        assert_eq!(cka(still.view(), silent.view()), 1.0);
        assert_eq!(procrustes_angle(still.view(), silent.view()), Ok(0.0));
        assert_eq!(cka(still.view(), moving.view()), 0.0);
        let quarter = std::f64::consts::FRAC_PI_2;
        assert_eq!(procrustes_angle(moving.view(), still.view()), Ok(quarter));
    }

    /// Orthogonal time courses have no similarity; with one of two equal dimensions in common, the nuclear norm is 1 /
    /// sqrt 2 and CKA is (1/2) / (1 x 1 / sqrt 2).
    #[test]
    fn values_by_hand() {
        let (a, b) = ([1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0]);
        let one = Array2::from_shape_fn((4, 1), |(i, _)| a[i]);
        let other = Array2::from_shape_fn((4, 1), |(i, _)| b[i]);
        let both = Array2::from_shape_fn((4, 2), |(i, k)| if k == 0 { a[i] } else { b[i] });
        let quarter = std::f64::consts::FRAC_PI_2;
        assert!((procrustes_angle(one.view(), other.view()).unwrap() - quarter).abs() < 1e-9);
        assert!((procrustes_angle(one.view(), both.view()).unwrap() - quarter / 2.0).abs() < 1e-9);
        assert!(cka(one.view(), other.view()) < 1e-12);
        assert!((cka(one.view(), both.view()) - 0.5f64.sqrt()).abs() < 1e-9);
    }
}
