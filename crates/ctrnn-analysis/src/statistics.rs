//! Statistics of tests: ranks, ROC areas, false discovery rates, random permutations.

use ctrnn_random::{Key, Rng, Stream};

/// Returns the q-values of p-values: the smallest false discovery rate at which each is significant. NaN stays NaN and
/// counts as no test.
///
/// # References
/// Benjamini & Hochberg (1995), Controlling the false discovery rate.
pub fn q_values(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).filter(|&i| !p[i].is_nan()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let n = order.len() as f64;
    let mut q = vec![f64::NAN; p.len()];
    let mut least = 1.0f64;
    for (rank, &i) in order.iter().enumerate().rev() {
        least = least.min(p[i] * n / (rank + 1) as f64);
        q[i] = least;
    }
    q
}

/// Returns the rank of each value, from 1; equal values share their mean rank.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut n_before = 0;
    for same in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let mean = n_before as f64 + (same.len() + 1) as f64 / 2.0;
        same.iter().for_each(|&i| ranks[i] = mean);
        n_before += same.len();
    }
    ranks
}

/// Returns the area under the ROC curve from the sum of the ranks of `n_upper` values among `n_upper + n_lower`: the
/// probability that a random upper value is larger than a random lower one, with half of that of equality.
pub fn roc_area(rank_sum: f64, n_upper: usize, n_lower: usize) -> f64 {
    let (upper, lower) = (n_upper as f64, n_lower as f64);
    (rank_sum - upper * (upper + 1.0) / 2.0) / (upper * lower)
}

/// Returns random permutation `number` of `0..n` among those of a seed and a purpose.
pub fn permutation(n: usize, seed: u64, purpose: u32, number: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    let key = Key::new(seed, Stream::Eval, purpose);
    Rng::new(key, number as u64, 0).shuffle(&mut order);
    order
}

/// Returns Pearson's correlation of finite pairs; NaN for fewer than three pairs or a constant.
pub fn correlation(pairs: impl Iterator<Item = (f64, f64)>) -> f64 {
    let pairs: Vec<(f64, f64)> = pairs
        .filter(|(a, b)| a.is_finite() && b.is_finite())
        .collect();
    if pairs.len() < 3 {
        return f64::NAN;
    }
    let n = pairs.len() as f64;
    let sums = pairs
        .iter()
        .fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
    let (ma, mb) = (sums.0 / n, sums.1 / n);
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in pairs {
        ab += (a - ma) * (b - mb);
        aa += (a - ma).powi(2);
        bb += (b - mb).powi(2);
    }
    ab / (aa * bb).sqrt()
}

/// Returns mean and standard deviation of the finite values, with n - 1 in the denominator; NaN without any.
pub fn mean_and_std(values: &[f64]) -> (f64, f64) {
    let known: Vec<f64> = values.iter().copied().filter(|x| x.is_finite()).collect();
    let n = known.len() as f64;
    let mean = known.iter().sum::<f64>() / n;
    let squares: f64 = known.iter().map(|x| (x - mean).powi(2)).sum();
    (mean, (squares / (n - 1.0).max(1.0)).sqrt())
}

/// Returns the median of the finite values; NaN without any.
pub fn median(values: &[f64]) -> f64 {
    let mut known: Vec<f64> = values.iter().copied().filter(|x| x.is_finite()).collect();
    known.sort_by(f64::total_cmp);
    match known.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => known[n / 2],
        n => 0.5 * (known[n / 2 - 1] + known[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Benjamini & Hochberg's step-up rule with five tests: 0.04 x 5 / 4 = 0.05 bounds 0.035 x 5 / 3.
    #[test]
    fn q_values_by_hand() {
        let found = q_values(&[0.005, 0.04, f64::NAN, 0.2, 0.035, 0.01]);
        let expected = [0.025, 0.05, f64::NAN, 0.2, 0.05, 0.025];
        for (a, b) in found.iter().zip(expected) {
            assert!(
                (a - b).abs() < 1e-12 || (a.is_nan() && b.is_nan()),
                "{found:?}"
            );
        }
    }

    /// The pairs of upper values 2, 3 and lower ones 1, 2 are (2,1), (2,2), (3,1), (3,2): 3.5 of 4.
    #[test]
    fn roc_area_by_hand() {
        let found = ranks(&[2.0, 3.0, 1.0, 2.0]);
        assert_eq!(found, [2.5, 4.0, 1.0, 2.5]);
        assert_eq!(roc_area(found[0] + found[1], 2, 2), 0.875);
    }

    #[test]
    fn permutations_hold_every_number_once() {
        let mut found = permutation(50, 1, 20, 3);
        assert_ne!(found, permutation(50, 1, 20, 4));
        found.sort_unstable();
        assert_eq!(found, (0..50).collect::<Vec<_>>());
        assert_eq!(median(&[3.0, f64::NAN, 1.0]), 2.0);
    }
}
