//! Selectivity of units: d', the variance of rates explained by task variables, and its significance.

use std::collections::HashMap;

use ctrnn_tasks::value_bits;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;

use crate::linear_algebra::{NotConverged, Svd, centred, svd};
use crate::statistics::{permutation, q_values};

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
    /// Variance that each variable explains beyond the others in an additive model, `[variable, unit]`; in a balanced
    /// design this is the variance of the means over its levels.
    pub by_variable: Array2<f64>,
    /// Variance that the additive model owes to correlated variables and to none of them alone, `[unit]`; 0 in a balanced
    /// design.
    pub shared: Array1<f64>,
    /// Variance explained by the conditions beyond the additive model: nonlinear mixed selectivity, `[unit]`.
    pub by_interaction: Array1<f64>,
    /// Variance within conditions: noise, `[unit]`.
    pub residual: Array1<f64>,
}

/// Decomposes the variance of `rates [trial, unit]` by `variables [trial, variable]`, whose values are the levels of
/// factors. Conditions have equal weights, however often they occur.
///
/// # Errors
/// [`NotConverged`] if a decomposition of the design does not converge.
///
/// # References
/// Rigotti et al. (2013), The importance of mixed selectivity in complex cognitive tasks.
pub fn variance_split(
    rates: ArrayView2<f64>,
    variables: ArrayView2<f64>,
) -> Result<VarianceSplit, NotConverged> {
    let design = Design::of(variables, |_| 1.0)?;
    let n_cells = design.cells.len() as f64;
    let (means, within) = design.moments(rates);
    let (_, left) = centred(means.view());
    let square = |a: &Array2<f64>| a.mapv(|x| x * x).sum_axis(Axis(0)) / n_cells;
    let between = square(&left);
    let additive = square(&design.full.t().dot(&left));
    let unique: Vec<Array1<f64>> = design
        .own
        .iter()
        .map(|basis| square(&basis.t().dot(&left)))
        .collect();
    // The floor avoids 0 / 0 for a constant unit.
    let total = (&between + &within).mapv(|v: f64| v.max(1e-300));
    let main = unique
        .iter()
        .fold(Array1::<f64>::zeros(rates.ncols()), |a, b| a + b);
    let part = |variance: Array1<f64>| variance.mapv(|v| v.max(0.0)) / &total;
    Ok(VarianceSplit {
        by_variable: Array2::from_shape_fn((unique.len(), rates.ncols()), |(k, n)| {
            unique[k][n] / total[n]
        }),
        shared: part(&additive - &main),
        by_interaction: part(&between - &additive),
        residual: within / &total,
    })
}

/// Significance of the selectivity of units.
#[derive(Clone, Debug)]
pub struct SelectivityTest {
    /// p-values of each variable, and in the last row of the interactions, `[variable + 1, unit]`; NaN where the trials
    /// do not allow a test.
    pub p: Array2<f64>,
    /// p-values corrected for the number of units, `[variable + 1, unit]`.
    pub q: Array2<f64>,
    /// True if trials of one condition do not differ, so that conditions are permuted in place of trials.
    pub is_deterministic: bool,
}

/// Number of the random numbers that permute trials.
const PURPOSE: u32 = 20;

/// Tests by permutations whether the rates `[trial, unit]` depend on each of the variables `[trial, variable]`, and on
/// their interactions. The statistic is the F ratio of what a term adds to the additive model of the others; the
/// residuals of that model are permuted.
///
/// # Errors
/// [`NotConverged`] if a decomposition of the design does not converge.
///
/// # References
/// Freedman & Lane (1983), A nonstochastic interpretation of reported significance levels; Benjamini & Hochberg (1995).
pub fn selectivity_test(
    rates: ArrayView2<f64>,
    variables: ArrayView2<f64>,
    n_permutations: usize,
    seed: u64,
) -> Result<SelectivityTest, NotConverged> {
    let cells = groups(variables.outer_iter().map(|row| row.to_vec()));
    let is_deterministic = cells.len() < rates.nrows() && cells_repeat(rates, &cells);
    if is_deterministic {
        // Copies of one response are no further evidence.
        let first: Vec<usize> = cells.iter().map(|(_, trials)| trials[0]).collect();
        let (rates, variables) = (
            rates.select(Axis(0), &first),
            variables.select(Axis(0), &first),
        );
        let found = permutation_test(rates.view(), variables.view(), n_permutations, seed)?;
        return Ok(SelectivityTest {
            is_deterministic,
            ..found
        });
    }
    permutation_test(rates, variables, n_permutations, seed)
}

fn permutation_test(
    rates: ArrayView2<f64>,
    variables: ArrayView2<f64>,
    n_permutations: usize,
    seed: u64,
) -> Result<SelectivityTest, NotConverged> {
    let design = Design::of(variables, |trials| (trials as f64).sqrt())?;
    let n_units = rates.ncols();
    let n_terms = variables.ncols() + 1;
    let mut p = Array2::from_elem((n_terms, n_units), f64::NAN);
    for term in 0..n_terms {
        if !design.is_testable(term) {
            continue;
        }
        let left = design.residuals(rates, term);
        let order =
            |number: usize| permutation(rates.nrows(), seed, PURPOSE, number * n_terms + term);
        let count = design.count_larger(&left, term, n_permutations, order);
        p.row_mut(term)
            .assign(&((count + 1.0) / (n_permutations + 1) as f64));
    }
    let mut q = p.clone();
    for mut row in q.outer_iter_mut() {
        let corrected = q_values(&row.to_vec());
        row.assign(&Array1::from(corrected));
    }
    Ok(SelectivityTest {
        p,
        q,
        is_deterministic: false,
    })
}

/// Returns true if trials of one condition have equal rates.
fn cells_repeat(rates: ArrayView2<f64>, cells: &[(Vec<f64>, Vec<usize>)]) -> bool {
    let is_copy = |trials: &Vec<usize>| {
        let first = rates.row(trials[0]);
        let mut others = trials[1..].iter();
        others.all(|&b| {
            let pairs = rates.row(b).into_iter().zip(first);
            pairs
                .into_iter()
                .all(|(a, b)| (a - b).abs() <= 1e-9 * (1.0 + b.abs()))
        })
    };
    cells.iter().all(|(_, trials)| is_copy(trials))
}

/// Design of factors: the conditions that occur, and orthonormal bases of what variables explain in the space of
/// weighted condition means.
struct Design {
    /// Trials of each condition.
    cells: Vec<Vec<usize>>,
    /// Condition of each trial.
    cell_of: Vec<usize>,
    /// Weight of each condition.
    weights: Vec<f64>,
    /// Basis of the additive model with all variables and a constant, `[cell, k]`.
    full: Array2<f64>,
    /// Basis of the additive model without each variable.
    without: Vec<Array2<f64>>,
    /// Basis of what each variable adds to the others.
    own: Vec<Array2<f64>>,
}

/// Returns the weighted columns of an additive model `[cell, k]`: a constant, and the conditions of each level of all
/// variables but one that is left out.
fn dummies(levels: &[Vec<Vec<usize>>], weights: &[f64], left_out: Option<usize>) -> Array2<f64> {
    let factors = levels
        .iter()
        .enumerate()
        .filter(|(k, _)| Some(*k) != left_out);
    let columns: Vec<&Vec<usize>> = factors.flat_map(|(_, members)| members).collect();
    let mut dummies = Array2::zeros((weights.len(), columns.len() + 1));
    dummies
        .column_mut(0)
        .assign(&Array1::from(weights.to_vec()));
    for (k, members) in columns.iter().enumerate() {
        members
            .iter()
            .for_each(|&c| dummies[[c, k + 1]] = weights[c]);
    }
    dummies
}

impl Design {
    fn of(variables: ArrayView2<f64>, weight: impl Fn(usize) -> f64) -> Result<Self, NotConverged> {
        let found = groups(variables.outer_iter().map(|row| row.to_vec()));
        let mut cell_of = vec![0; variables.nrows()];
        for (c, (_, trials)) in found.iter().enumerate() {
            trials.iter().for_each(|&b| cell_of[b] = c);
        }
        let weights: Vec<f64> = found
            .iter()
            .map(|(_, trials)| weight(trials.len()))
            .collect();
        let levels: Vec<Vec<Vec<usize>>> = (0..variables.ncols())
            .map(|k| {
                let level = groups(found.iter().map(|(values, _)| vec![values[k]]));
                level.into_iter().map(|(_, members)| members).collect()
            })
            .collect();
        let model = |left_out: Option<usize>| range(&dummies(&levels, &weights, left_out));
        let full = model(None)?;
        let without: Vec<Array2<f64>> = (0..variables.ncols())
            .map(|k| model(Some(k)))
            .collect::<Result<_, _>>()?;
        let own = without
            .iter()
            .map(|without| range(&(&full - &without.dot(&without.t().dot(&full)))))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            cells: found.into_iter().map(|(_, trials)| trials).collect(),
            cell_of,
            weights,
            full,
            without,
            own,
        })
    }

    /// Counts the permutations with at least the F ratio of the responses `left` of each unit; `order` draws one.
    fn count_larger(
        &self,
        left: &Array2<f64>,
        term: usize,
        n_permutations: usize,
        order: impl Fn(usize) -> Vec<usize> + Sync,
    ) -> Array1<f64> {
        let observed = self.f_ratio(left, None, term);
        let exceeds = |number: usize| {
            let drawn = self.f_ratio(left, Some(&order(number)), term);
            // The tolerance counts equal ratios in spite of rounding.
            let is_larger = |(drawn, observed): (&f64, &f64)| {
                f64::from(u8::from(*drawn >= observed * (1.0 - 1e-9)))
            };
            drawn
                .iter()
                .zip(&observed)
                .map(is_larger)
                .collect::<Array1<f64>>()
        };
        let zero = || Array1::<f64>::zeros(left.ncols());
        (0..n_permutations)
            .into_par_iter()
            .map(exceeds)
            .reduce(zero, |a, b| a + b)
    }

    /// Returns the mean of each condition `[cell, unit]`, and the variance within conditions, averaged over these.
    fn moments(&self, rates: ArrayView2<f64>) -> (Array2<f64>, Array1<f64>) {
        let mut means = Array2::zeros((self.cells.len(), rates.ncols()));
        let mut within = Array1::<f64>::zeros(rates.ncols());
        for (mut own, trials) in means.outer_iter_mut().zip(&self.cells) {
            let (mean, left) = centred(rates.select(Axis(0), trials).view());
            within += &(left.mapv(|x| x * x).sum_axis(Axis(0)) / trials.len() as f64);
            own.assign(&mean);
        }
        (means, within / self.cells.len() as f64)
    }

    /// Returns the model that a term is compared with: all variables for the interactions, the others for a variable.
    fn reduced(&self, term: usize) -> &Array2<f64> {
        self.without.get(term).unwrap_or(&self.full)
    }

    /// Returns true if a term and the residuals have degrees of freedom.
    fn is_testable(&self, term: usize) -> bool {
        let n_trials = self.cell_of.len();
        match self.own.get(term) {
            Some(own) => own.ncols() > 0 && n_trials > self.full.ncols(),
            None => self.cells.len() > self.full.ncols() && n_trials > self.cells.len(),
        }
    }

    /// Returns the sums of rates over the trials of each condition, divided by the square root of their number.
    fn weighted(&self, rates: &Array2<f64>, order: Option<&[usize]>) -> Array2<f64> {
        let mut sums = Array2::<f64>::zeros((self.cells.len(), rates.ncols()));
        for (b, &cell) in self.cell_of.iter().enumerate() {
            let source = order.map_or(b, |order| order[b]);
            let mut row = sums.row_mut(cell);
            row += &rates.row(source);
        }
        for (mut row, weight) in sums.outer_iter_mut().zip(&self.weights) {
            row /= *weight;
        }
        sums
    }

    /// Returns the residuals of the model without a term, `[trial, unit]`.
    fn residuals(&self, rates: ArrayView2<f64>, term: usize) -> Array2<f64> {
        let (_, mut left) = centred(rates);
        let reduced = self.reduced(term);
        let mut fit = reduced.dot(&reduced.t().dot(&self.weighted(&left, None)));
        for (mut row, weight) in fit.outer_iter_mut().zip(&self.weights) {
            row /= *weight;
        }
        for (mut row, &cell) in left.outer_iter_mut().zip(&self.cell_of) {
            row -= &fit.row(cell);
        }
        left
    }

    /// Returns the ratio of what a term explains to what is left, without the constant factor of the degrees of freedom,
    /// `[unit]`; the rows of `left` are taken in the given order.
    fn f_ratio(&self, left: &Array2<f64>, order: Option<&[usize]>, term: usize) -> Array1<f64> {
        let square = |a: &Array2<f64>| a.mapv(|x| x * x).sum_axis(Axis(0));
        let total = square(left);
        let cells = self.weighted(left, order);
        let additive = square(&self.full.t().dot(&cells));
        let (explained, rest) = match self.own.get(term) {
            Some(own) => (square(&own.t().dot(&cells)), &total - &additive),
            None => {
                let between = square(&cells);
                (&between - &additive, &total - &between)
            }
        };
        // Less than rounding is nothing: a constant unit, or one without noise.
        let ratio = |(explained, (rest, total)): (&f64, (&f64, &f64))| match *total {
            total if total < 1e-18 || *explained <= 1e-12 * total => 0.0,
            total => explained / rest.max(1e-12 * total),
        };
        explained
            .iter()
            .zip(rest.iter().zip(&total))
            .map(ratio)
            .collect()
    }
}

/// Returns an orthonormal basis of the range of a matrix.
fn range(a: &Array2<f64>) -> Result<Array2<f64>, NotConverged> {
    let Svd { u, s, .. } = svd(a.view())?;
    let kept: Vec<usize> = (0..s.len()).filter(|&k| s[k] > 1e-9).collect();
    Ok(u.select(Axis(1), &kept))
}

/// Groups the indices of equal rows, in order of first appearance.
pub fn groups(rows: impl Iterator<Item = Vec<f64>>) -> Vec<(Vec<f64>, Vec<usize>)> {
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
        let found = variance_split(rates.view(), variables.view()).unwrap();
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(close(found.by_variable[[0, 0]], 1.0) && close(found.residual[0], 0.0));
        assert!(close(found.by_interaction[1], 1.0) && close(found.by_variable[[1, 1]], 0.0));
        assert!(close(found.by_variable[[1, 2]], 0.5) && close(found.residual[2], 0.5));
    }

    /// Two correlated variables, of which the first alone drives unit 0: nothing is left for interactions.
    #[test]
    fn correlated_variables_do_not_interact() {
        let pairs = [
            [-1.0, -1.0],
            [-1.0, 0.0],
            [0.0, 0.0],
            [1.0, 0.0],
            [1.0, 1.0],
        ];
        let variables = Array2::from_shape_fn((10, 2), |(i, k)| pairs[i % 5][k]);
        let rates = Array2::from_shape_fn((10, 1), |(i, _)| 3.0 * pairs[i % 5][0]);
        let found = variance_split(rates.view(), variables.view()).unwrap();
        assert!(found.by_interaction[0] < 1e-12 && found.residual[0] < 1e-12);
        assert!(found.by_variable[[1, 0]] < 1e-12 && found.by_variable[[0, 0]] > 0.1);
        let sum = found.by_variable.column(0).sum() + found.shared[0];
        assert!((sum - 1.0).abs() < 1e-12);
    }

    /// Unit 0 follows the first variable, unit 1 the product of both, unit 2 nothing.
    #[test]
    fn the_test_finds_what_drives_a_unit() {
        let mut rng = ctrnn_random::Rng::new(
            ctrnn_random::Key::new(1, ctrnn_random::Stream::Eval, 0),
            0,
            0,
        );
        let sign = |bit: usize| [-1.0, 1.0][bit & 1];
        let variables = Array2::from_shape_fn((80, 2), |(b, k)| sign(b >> k));
        let rates = Array2::from_shape_fn((80, 3), |(b, n)| {
            let noise = f64::from(rng.normal());
            noise + [1.5 * sign(b), 1.5 * sign(b) * sign(b >> 1), 0.0][n]
        });
        let found = selectivity_test(rates.view(), variables.view(), 199, 1).unwrap();
        let least = 1.0 / 200.0;
        assert_eq!([found.p[[0, 0]], found.p[[2, 1]]], [least; 2]);
        for (term, unit) in [(1, 0), (2, 0), (0, 1), (1, 1), (0, 2), (1, 2), (2, 2)] {
            assert!(found.p[[term, unit]] > 0.02, "{}", found.p);
        }
        assert!((found.q[[0, 0]] - 3.0 * least).abs() < 1e-12 && !found.is_deterministic);
    }

    /// Copies of one response do not make it more significant: 3 of 3 conditions cannot be tested.
    #[test]
    fn copies_are_no_evidence() {
        let variables = Array2::from_shape_fn((300, 1), |(b, _)| (b % 3) as f64);
        let rates = Array2::from_shape_fn((300, 2), |(b, n)| ((b % 3) * (n + 1)) as f64);
        let found = selectivity_test(rates.view(), variables.view(), 99, 1).unwrap();
        assert!(
            found.is_deterministic && found.p.iter().all(|p| p.is_nan()),
            "{}",
            found.p
        );
    }
}
