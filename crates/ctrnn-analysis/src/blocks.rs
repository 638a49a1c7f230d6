//! Blocks of a weight matrix: grouped and sorted units, and the weights between groups.

use ndarray::{Array2, ArrayView2};

use crate::plot::up_to;

/// Statistics of the weights from one group of units to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Block {
    /// Postsynaptic and presynaptic group.
    pub groups: [usize; 2],
    /// Mean of all entries.
    pub mean: f64,
    /// Standard deviation of all entries.
    pub std: f64,
    /// Fraction of nonzero entries.
    pub density: f64,
}

/// Returns the units sorted by group, and by falling preference within a group.
pub fn sorted_units(groups: &[usize], preference: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..groups.len()).collect();
    order.sort_by(|&a, &b| {
        groups[a]
            .cmp(&groups[b])
            .then(preference[b].total_cmp(&preference[a]))
    });
    order
}

/// Permutes rows and columns of a square matrix into this order.
pub fn reordered(weights: ArrayView2<f64>, order: &[usize]) -> Array2<f64> {
    Array2::from_shape_fn((order.len(), order.len()), |(i, j)| {
        weights[[order[i], order[j]]]
    })
}

/// Computes the statistics of the weights `[post, pre]` between every pair of groups.
pub fn blocks(weights: ArrayView2<f64>, groups: &[usize]) -> Vec<Block> {
    let n_groups = groups.iter().max().map_or(0, |k| k + 1);
    let members = |group: usize| (0..groups.len()).filter(move |&unit| groups[unit] == group);
    let mut found = Vec::new();
    for post in 0..n_groups {
        for pre in 0..n_groups {
            let entries: Vec<f64> = members(post)
                .flat_map(|i| members(pre).map(move |j| (i, j)))
                .map(|(i, j)| weights[[i, j]])
                .collect();
            let n = entries.len() as f64;
            let mean = entries.iter().sum::<f64>() / n;
            let variance = entries.iter().map(|w| (w - mean).powi(2)).sum::<f64>() / n;
            found.push(Block {
                groups: [post, pre],
                mean,
                std: variance.sqrt(),
                density: entries.iter().filter(|w| **w != 0.0).count() as f64 / n,
            });
        }
    }
    found
}

/// Returns the quantile `part` of the magnitudes of weights; if that is 0, the largest magnitude, or 1 if all weights
/// are 0.
pub fn reach_of(weights: &Array2<f64>, part: f64) -> f64 {
    let mut magnitudes: Vec<f64> = weights.iter().map(|w| w.abs()).collect();
    magnitudes.sort_by(f64::total_cmp);
    let place = (part * magnitudes.len().saturating_sub(1) as f64) as usize;
    match magnitudes.get(place) {
        Some(&most) if most != 0.0 => most,
        _ => up_to(magnitudes)[1],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn blocks_by_hand() {
        let weights = array![[1.0, 3.0, 0.0], [5.0, 7.0, -2.0], [0.0, 1.0, 4.0]];
        let found = blocks(weights.view(), &[0, 0, 1]);
        assert_eq!(
            (found[0].mean, found[0].std, found[0].density),
            (4.0, 5f64.sqrt(), 1.0)
        );
        assert_eq!(
            (found[1].groups, found[1].mean, found[1].density),
            ([0, 1], -1.0, 0.5)
        );
        assert_eq!((found[2].groups, found[2].mean), ([1, 0], 0.5));
        let order = sorted_units(&[1, 0, 0], &[0.0, 0.1, 0.9]);
        assert_eq!(order, [2, 1, 0]);
        assert_eq!(reordered(weights.view(), &order)[[0, 1]], 1.0);
    }
}
