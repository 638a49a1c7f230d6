//! Classical multidimensional scaling.

use ndarray::{Array1, Array2, ArrayView2, Axis};

use crate::linear_algebra::{NotConverged, symmetric_eigen};

/// Points in a space of few dimensions whose distances approximate given ones.
#[derive(Clone, Debug)]
pub struct Embedding {
    /// Coordinates `[item, dimension]`.
    pub points: Array2<f64>,
    /// Eigenvalues of the centred matrix, in descending order; negative ones mean that no such points have these distances exactly.
    pub eigenvalues: Array1<f64>,
}

impl Embedding {
    /// Returns the part of the sum of absolute eigenvalues that the dimensions have.
    pub fn explained(&self) -> f64 {
        let n = self.points.ncols();
        let kept: f64 = self.eigenvalues.iter().take(n).map(|x| x.max(0.0)).sum();
        let all: f64 = self.eigenvalues.iter().map(|x| x.abs()).sum();
        if all > 0.0 { kept / all } else { 1.0 }
    }
}

/// Embeds items with given distances in `n_dimensions` dimensions: the eigenvectors of `-1/2 J D^2 J` with the largest eigenvalues, scaled by the
/// roots of these. The item farthest from the origin in a dimension has a positive coordinate there.
///
/// # Errors
/// [`NotConverged`] if the decomposition does not converge.
///
/// # References
/// Torgerson (1952), Multidimensional scaling: I. Theory and method.
pub fn classical_scaling(
    distances: ArrayView2<f64>,
    n_dimensions: usize,
) -> Result<Embedding, NotConverged> {
    let n = distances.nrows();
    let squares = distances.mapv(|d| d * d);
    let of_row = squares.mean_axis(Axis(1)).unwrap_or_default();
    let of_all = of_row.mean().unwrap_or(0.0);
    let centred = Array2::from_shape_fn((n, n), |(i, j)| {
        -0.5 * (squares[[i, j]] - of_row[i] - of_row[j] + of_all)
    });
    let (eigenvalues, vectors) = symmetric_eigen(centred.view())?;
    let mut points = Array2::zeros((n, n_dimensions));
    for k in 0..n_dimensions.min(n) {
        let vector = vectors.column(k);
        let farthest = vector.iter().copied().fold(0.0f64, |most, x| {
            if x.abs() > most.abs() + 1e-12 {
                x
            } else {
                most
            }
        });
        let scale = eigenvalues[k].max(0.0).sqrt() * farthest.signum();
        points.column_mut(k).assign(&(&vector * scale));
    }
    Ok(Embedding {
        points,
        eigenvalues,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// The corners of a rectangle of 4 x 2: eigenvalues 4 * 2^2 and 4 * 1^2, coordinates +-2 and +-1.
    #[test]
    fn points_in_a_plane_are_found_again() {
        let corners = [[0.0, 0.0], [4.0, 0.0], [4.0, 2.0], [0.0, 2.0f64]];
        let distances = Array2::from_shape_fn((4, 4), |(i, j)| {
            let [a, b] = [corners[i], corners[j]];
            (a[0] - b[0]).hypot(a[1] - b[1])
        });
        let found = classical_scaling(distances.view(), 2).unwrap();
        assert!((found.eigenvalues[0] - 16.0).abs() < 1e-9);
        assert!((found.eigenvalues[1] - 4.0).abs() < 1e-9);
        assert!((found.explained() - 1.0).abs() < 1e-9);
        let again = Array2::from_shape_fn((4, 4), |(i, j)| {
            let difference = &found.points.row(i) - &found.points.row(j);
            difference.dot(&difference).sqrt()
        });
        assert!((again - distances).iter().all(|x| x.abs() < 1e-9));
    }

    /// Distances that no points have: numpy.linalg.eigvalsh(-0.5 * J @ D**2 @ J) = [-2.25, 0, 2, 4.5] for this table.
    #[test]
    fn distances_that_no_points_have() {
        let distances = array![
            [0.0, 1.0, 2.0, 1.0],
            [1.0, 0.0, 1.0, 3.0],
            [2.0, 1.0, 0.0, 1.0],
            [1.0, 3.0, 1.0, 0.0]
        ];
        let found = classical_scaling(distances.view(), 2).unwrap();
        for (found, expected) in found.eigenvalues.iter().zip([4.5, 2.0, 0.0, -2.25]) {
            assert!((found - expected).abs() < 1e-9, "{found}");
        }
        assert!((found.explained() - 6.5 / 8.75).abs() < 1e-9);
    }

    #[test]
    fn items_at_one_place() {
        let found = classical_scaling(Array2::zeros((3, 3)).view(), 2).unwrap();
        assert!(found.points.iter().all(|x| *x == 0.0));
        assert_eq!(found.explained(), 1.0);
        assert_eq!(
            classical_scaling(Array2::zeros((1, 1)).view(), 2)
                .unwrap()
                .points
                .dim(),
            (1, 2)
        );
    }
}
