//! K-means clustering of rows.

use ctrnn_random::{Key, Rng, Stream};
use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

/// Rows assigned to clusters.
#[derive(Clone, Debug)]
pub struct Clusters {
    /// Cluster of every row.
    pub labels: Vec<usize>,
    /// Mean silhouette, from -1 to 1: the closeness of rows to their own cluster compared with the next one; 0 for a
    /// single cluster.
    pub silhouette: f64,
    /// Mean silhouette of 2, 3, ... clusters.
    pub scores: Vec<f64>,
}

/// Clusters rows `[n, k]` by k-means, into the number of clusters from 2 to `most` with the largest silhouette. Each
/// number is tried from 20 random initialisations of `seed`; labels are in order of falling cluster size.
///
/// # References
/// Lloyd (1982) and Arthur & Vassilvitskii (2007), k-means++; Rousseeuw (1987), silhouettes.
pub fn clusters(rows: ArrayView2<f64>, most: usize, seed: u64) -> Clusters {
    let n = rows.nrows();
    let distances =
        Array2::from_shape_fn((n, n), |(i, j)| distance2(rows.row(i), rows.row(j)).sqrt());
    let numbers: Vec<usize> = (2..=most.min(n.saturating_sub(1))).collect();
    let tried = numbers.into_par_iter().map(|k| {
        let labels = k_means(rows, k, seed);
        Clusters {
            silhouette: silhouette(&distances, &labels),
            labels,
            scores: Vec::new(),
        }
    });
    let one = Clusters {
        labels: vec![0; rows.nrows()],
        silhouette: f64::NEG_INFINITY,
        scores: Vec::new(),
    };
    let tried: Vec<Clusters> = tried.collect();
    let scores = tried.iter().map(|found| found.silhouette).collect();
    let best = tried.into_iter().fold(one, |best, next| {
        if next.silhouette > best.silhouette {
            next
        } else {
            best
        }
    });
    let is_single = best.silhouette.is_infinite();
    Clusters {
        labels: by_size(&best.labels),
        silhouette: if is_single { 0.0 } else { best.silhouette },
        scores,
    }
}

fn distance2(a: ndarray::ArrayView1<f64>, b: ndarray::ArrayView1<f64>) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

fn k_means(rows: ArrayView2<f64>, k: usize, seed: u64) -> Vec<usize> {
    let key = Key::new(seed, Stream::Eval, 2);
    let run = |beginning: u64| {
        lloyd(
            rows,
            first_centres(rows, k, &mut Rng::new(key, beginning, k as u64)),
        )
    };
    let best = (0..20).map(run).min_by(|a, b| a.1.total_cmp(&b.1));
    best.map_or_else(Vec::new, |(labels, _)| labels)
}

/// Draws initial centres by k-means++: a row becomes a centre with a probability proportional to its squared distance
/// to the nearest earlier one.
fn first_centres(rows: ArrayView2<f64>, k: usize, rng: &mut Rng) -> Array2<f64> {
    let mut chosen = vec![rng.below(rows.nrows() as u32) as usize];
    while chosen.len() < k {
        let nearest = |row| {
            chosen
                .iter()
                .map(|&c| distance2(row, rows.row(c)))
                .fold(f64::INFINITY, f64::min)
        };
        let weights: Vec<f64> = rows.outer_iter().map(nearest).collect();
        let mut left = rng.uniform() * weights.iter().sum::<f64>();
        let next = weights.iter().position(|weight| {
            left -= weight;
            left < 0.0
        });
        chosen.push(next.unwrap_or(rows.nrows() - 1));
    }
    rows.select(Axis(0), &chosen)
}

/// Runs Lloyd's algorithm; returns labels and the sum of squared distances to the centres.
fn lloyd(rows: ArrayView2<f64>, mut centres: Array2<f64>) -> (Vec<usize>, f64) {
    let mut labels: Vec<usize> = Vec::new();
    for _ in 0..100 {
        let nearest = |row: ndarray::ArrayView1<f64>| {
            let distances = centres.outer_iter().map(|centre| distance2(row, centre));
            distances
                .enumerate()
                .min_by(|a, b| a.1.total_cmp(&b.1))
                .map_or(0, |(c, _)| c)
        };
        let next: Vec<usize> = rows.outer_iter().map(nearest).collect();
        if next == labels {
            break;
        }
        labels = next;
        for (c, mut centre) in centres.outer_iter_mut().enumerate() {
            let members: Vec<usize> = (0..labels.len()).filter(|&i| labels[i] == c).collect();
            if let Some(mean) = rows.select(Axis(0), &members).mean_axis(Axis(0)) {
                centre.assign(&mean);
            }
        }
    }
    let cost = labels
        .iter()
        .zip(rows.outer_iter())
        .map(|(&c, row)| distance2(row, centres.row(c)));
    let cost = cost.sum();
    (labels, cost)
}

/// Computes the mean silhouette `(b - a) / max(a, b)`: a is the mean distance to the own cluster, b that to the nearest
/// other; 0 for a cluster of one row and for a single cluster.
fn silhouette(distances: &Array2<f64>, labels: &[usize]) -> f64 {
    let n = labels.len();
    let k = labels.iter().max().map_or(0, |k| k + 1);
    let of = |i: usize| {
        let (mut sums, mut counts) = (vec![0.0; k], vec![0.0; k]);
        for j in (0..n).filter(|&j| j != i) {
            sums[labels[j]] += distances[[i, j]];
            counts[labels[j]] += 1.0;
        }
        let mean = |c: usize| sums[c] / counts[c];
        if counts[labels[i]] == 0.0 {
            return 0.0;
        }
        let own = mean(labels[i]);
        let others = (0..k)
            .filter(|&c| c != labels[i] && counts[c] > 0.0)
            .map(mean);
        let next = others.fold(f64::INFINITY, f64::min);
        if next.is_infinite() {
            return 0.0;
        }
        // The floor avoids 0 / 0 for equal rows.
        (next - own) / own.max(next).max(1e-300)
    };
    (0..n).map(of).sum::<f64>() / n as f64
}

/// Renames the labels in order of falling cluster size, so that 0 is the largest.
fn by_size(labels: &[usize]) -> Vec<usize> {
    let k = labels.iter().max().map_or(0, |k| k + 1);
    let size = |c: usize| labels.iter().filter(|&&label| label == c).count();
    let mut order: Vec<usize> = (0..k).collect();
    order.sort_by_key(|&c| std::cmp::Reverse(size(c)));
    let place = |label: usize| order.iter().position(|&c| c == label).unwrap_or(0);
    labels.iter().map(|&label| place(label)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three separate clusters of 5, 4 and 3 rows.
    #[test]
    fn heaps_are_found() {
        let centres = [[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]];
        let heap = [0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2];
        let rows = Array2::from_shape_fn((12, 2), |(i, k)| {
            centres[heap[i]][k] + 0.1 * ((i * 2 + k) as f64).sin()
        });
        let found = clusters(rows.view(), 6, 1);
        assert_eq!(found.labels, heap);
        assert!(found.silhouette > 0.95);
    }

    /// Equal rows, or too few for two clusters, form one cluster.
    #[test]
    fn equal_rows_are_one_group() {
        for n in [0, 1, 2, 5] {
            let found = clusters(Array2::from_elem((n, 3), 0.3).view(), 4, 1);
            assert_eq!((found.labels, found.silhouette), (vec![0; n], 0.0));
        }
    }
}
