//! Selectivity of units: d', and the variance of rates explained by task variables.

use std::collections::HashMap;

use ctrnn_tasks::value_bits;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

/// Computes the discriminability `d' = (m_1 - m_0) / sqrt((s_1^2 + s_0^2) / 2)` of two groups of trials by every unit,
/// from `rates [trial, unit]`; `group` is the group of each trial, or `None`; non-finite rates do not count. It is 0 if
/// the means are equal or a group is empty.
pub fn d_prime(rates: ArrayView2<f64>, group: &[Option<bool>]) -> Array1<f64> {
    let of = |unit: ArrayView1<f64>| {
        let [a, b] = [false, true].map(|side| {
            let values = unit
                .iter()
                .zip(group)
                .filter(|(r, g)| **g == Some(side) && r.is_finite());
            mean_and_variance(&values.map(|(r, _)| *r).collect::<Vec<_>>())
        });
        let pooled = ((a.1 + b.1) / 2.0).sqrt();
        match b.0 - a.0 {
            // Smaller differences are rounding; an empty group has a mean of NaN.
            difference if difference.abs() < 1e-12 || difference.is_nan() => 0.0,
            difference => difference / pooled.max(1e-12),
        }
    };
    rates.axis_iter(Axis(1)).map(of).collect()
}

fn mean_and_variance(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n; // NaN of an empty group
    let square: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
    (mean, square / (n - 1.0).max(1.0))
}

/// Decomposition of the variance of the rates of every unit, as fractions of the total.
#[derive(Clone, Debug)]
pub struct VarianceSplit {
    /// Variance explained by each variable alone, averaged over the others, `[variable, unit]`.
    pub by_variable: Array2<f64>,
    /// Variance explained by the conditions beyond the sum of the variables: nonlinear mixed selectivity, `[unit]`.
    pub by_interaction: Array1<f64>,
    /// Variance within conditions: noise, `[unit]`.
    pub residual: Array1<f64>,
}

/// Decomposes the variance of `rates [trial, unit]` by `variables [trial, variable]`, whose values are the levels of
/// factors. Conditions have equal weights, however often they occur.
///
/// # References
/// Rigotti et al. (2013), The importance of mixed selectivity in complex cognitive tasks.
pub fn variance_split(rates: ArrayView2<f64>, variables: ArrayView2<f64>) -> VarianceSplit {
    let n_units = rates.ncols();
    let cells = groups(variables.outer_iter().map(|row| row.to_vec()));
    let cell_means: Vec<Array1<f64>> = cells
        .iter()
        .map(|(_, trials)| mean_of(&rates, trials))
        .collect();
    let grand = mean_rows(cell_means.iter());
    let within = {
        let square = |(trials, mean): (&Vec<usize>, &Array1<f64>)| {
            let parts = trials
                .iter()
                .map(|&b| (&rates.row(b) - mean).mapv(|x| x * x));
            parts.fold(Array1::<f64>::zeros(n_units), |a, b| a + b) / trials.len() as f64
        };
        let parts: Vec<Array1<f64>> = cells
            .iter()
            .map(|(_, trials)| trials)
            .zip(&cell_means)
            .map(square)
            .collect();
        mean_rows(parts.iter())
    };
    let between = mean_rows(
        cell_means
            .iter()
            .map(|mean| (mean - &grand).mapv(|x| x * x))
            .collect::<Vec<_>>()
            .iter(),
    );
    let by_variable: Vec<Array1<f64>> = (0..variables.ncols())
        .map(|k| {
            let levels = groups(cells.iter().map(|(values, _)| vec![values[k]]));
            let part = |(_, members): &(Vec<f64>, Vec<usize>)| {
                let mean = mean_rows(members.iter().map(|&c| &cell_means[c]));
                (mean - &grand).mapv(|x| x * x) * (members.len() as f64 / cells.len() as f64)
            };
            levels
                .iter()
                .map(part)
                .fold(Array1::<f64>::zeros(n_units), |a, b| a + b)
        })
        .collect();
    // The floor avoids 0 / 0 for a constant unit.
    let total = (&between + &within).mapv(|v: f64| v.max(1e-300));
    let main = by_variable
        .iter()
        .fold(Array1::<f64>::zeros(n_units), |a, b| a + b);
    VarianceSplit {
        by_variable: Array2::from_shape_fn((by_variable.len(), n_units), |(k, n)| {
            by_variable[k][n] / total[n]
        }),
        by_interaction: (&between - &main).mapv(|v: f64| v.max(0.0)) / &total,
        residual: within / &total,
    }
}

/// Groups the indices of equal rows, in order of first appearance.
fn groups(rows: impl Iterator<Item = Vec<f64>>) -> Vec<(Vec<f64>, Vec<usize>)> {
    let mut groups: Vec<(Vec<f64>, Vec<usize>)> = Vec::new();
    let mut places: HashMap<Vec<u64>, usize> = HashMap::new();
    for (b, row) in rows.enumerate() {
        let key = row.iter().map(|&x| value_bits(x)).collect();
        let place = *places.entry(key).or_insert(groups.len());
        if place == groups.len() {
            groups.push((row, Vec::new()));
        }
        groups[place].1.push(b);
    }
    groups
}

fn mean_of(rates: &ArrayView2<f64>, trials: &[usize]) -> Array1<f64> {
    rates
        .select(Axis(0), trials)
        .mean_axis(Axis(0))
        .unwrap_or_default()
}

fn mean_rows<'a>(rows: impl Iterator<Item = &'a Array1<f64>>) -> Array1<f64> {
    let rows: Vec<_> = rows.collect();
    let zero = Array1::<f64>::zeros(rows.first().map_or(0, |row| row.len()));
    let n = rows.len() as f64;
    rows.into_iter().fold(zero, |a, b| a + b) / n
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// Groups (1, 3) and (5, 7) have means 2 and 6, variances 2: d' = 4 / sqrt 2. A silent unit has 0.
    #[test]
    fn d_prime_by_hand() {
        let rates = array![[1.0, 0.0], [3.0, 0.0], [5.0, 0.0], [7.0, 0.0], [99.0, 0.0]];
        let group = [Some(false), Some(false), Some(true), Some(true), None];
        let found = d_prime(rates.view(), &group);
        assert!((found[0] - 4.0 / 2f64.sqrt()).abs() < 1e-12);
        assert_eq!(found[1], 0.0);
        let with_nan = array![[1.0], [3.0], [5.0], [7.0], [f64::NAN]];
        let group = [Some(false), Some(false), Some(true), Some(true), Some(true)];
        assert_eq!(d_prime(with_nan.view(), &group)[0], found[0]);
        assert_eq!(d_prime(with_nan.view(), &[None; 5])[0], 0.0);
    }

    /// Unit 0 follows the first variable, unit 1 the product, unit 2 noise independent of the condition.
    #[test]
    fn variance_goes_to_what_explains_it() {
        let mut rows = Vec::new();
        for a in [-1.0, 1.0] {
            for b in [-1.0, 1.0] {
                for noise in [-1.0, 1.0] {
                    rows.push([a, b, noise]);
                }
            }
        }
        let variables = Array2::from_shape_fn((8, 2), |(i, k)| rows[i][k]);
        let rates = Array2::from_shape_fn((8, 3), |(i, n)| match n {
            0 => 2.0 + rows[i][0],
            1 => rows[i][0] * rows[i][1],
            _ => rows[i][2] + rows[i][1],
        });
        let found = variance_split(rates.view(), variables.view());
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(close(found.by_variable[[0, 0]], 1.0) && close(found.residual[0], 0.0));
        assert!(close(found.by_interaction[1], 1.0) && close(found.by_variable[[1, 1]], 0.0));
        assert!(close(found.by_variable[[1, 2]], 0.5) && close(found.residual[2], 0.5));
    }
}
