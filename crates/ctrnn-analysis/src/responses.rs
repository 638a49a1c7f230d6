//! Responses of units as regressions of population analyses take them: smoothed in time and z-scored.

use ndarray::{Array1, Array2, Array3, ArrayView2, Axis, s};
use rayon::prelude::*;

use crate::Study;
use crate::selectivity::groups;

/// Smoothed, z-scored rates of some trials.
#[derive(Clone, Debug)]
pub struct Responses {
    /// Values `[trial, time, unit]`; 0 after the end of a trial, which no function here looks at.
    pub values: Array3<f64>,
    /// Number of time steps of each trial.
    pub n_steps: Vec<usize>,
    /// Mean of the smoothed rate of each unit over all states.
    pub mean: Array1<f64>,
    /// Standard deviation of the smoothed rate of each unit over all states; 1 for a constant unit.
    pub std: Array1<f64>,
}

impl Responses {
    /// Smooths the rates `[trial, time, unit]` of some trials with a Gaussian whose standard deviation is `width` time
    /// steps, within each trial, and z-scores each unit with mean and standard deviation over all trials and times.
    /// `n_steps` is the number of time steps of every trial.
    pub fn of(rates: &Array3<f64>, n_steps: &[usize], trials: &[usize], width: f64) -> Self {
        let n_steps: Vec<usize> = trials.iter().map(|&b| n_steps[b]).collect();
        let longest = n_steps.iter().copied().max().unwrap_or(0);
        let n_units = rates.dim().2;
        let mut values = Array3::zeros((trials.len(), longest, n_units));
        let rows: Vec<_> = values.outer_iter_mut().collect();
        rows.into_par_iter()
            .zip(trials.par_iter().zip(&n_steps))
            .for_each(|(mut own, (&b, &n))| {
                let smooth = smoothed(rates.slice(s![b, ..n, ..]), width);
                own.slice_mut(s![..n, ..]).assign(&smooth);
            });
        let mut found = Self {
            values,
            n_steps,
            mean: Array1::zeros(n_units),
            std: Array1::ones(n_units),
        };
        found.standardise();
        found
    }

    /// Subtracts mean and divides by standard deviation.
    fn standardise(&mut self) {
        let Some(first) = self.states().next().map(|row| row.to_owned()) else {
            return;
        };
        let count = self.n_steps.iter().sum::<usize>() as f64;
        let n_units = first.len();
        // Differences from the first state keep a constant unit exactly constant.
        let sum = self
            .states()
            .fold(Array1::<f64>::zeros(n_units), |a, row| a + row - &first);
        let mean = sum / count;
        let squares = self
            .states()
            .fold(Array1::<f64>::zeros(n_units), |mut a, row| {
                ndarray::Zip::from(&mut a)
                    .and(row)
                    .and(&first)
                    .and(&mean)
                    .for_each(|a, &x, &first, &mean| {
                        let d = x - first - mean;
                        *a += d * d;
                    });
                a
            });
        // A smaller variance is rounding of a constant rate, which z-scoring would amplify.
        let std = (squares / count).mapv(|v| if v > 1e-18 { v.sqrt() } else { 1.0 });
        let mean = mean + first;
        for (mut trial, &n) in self.values.outer_iter_mut().zip(&self.n_steps) {
            let mut states = trial.slice_mut(s![..n, ..]);
            states -= &mean;
            states /= &std;
        }
        (self.mean, self.std) = (mean, std);
    }

    fn states(&self) -> impl Iterator<Item = ndarray::ArrayView1<'_, f64>> {
        let trials = self.n_steps.iter().enumerate();
        trials
            .flat_map(|(b, &n)| (0..n).map(move |t| (b, t)))
            .map(|(b, t)| self.values.slice(s![b, t, ..]))
    }

    /// Returns the number of leading time steps in which at least half of some trials are running.
    pub fn n_common_steps(&self, trials: &[usize]) -> usize {
        common_steps(trials.iter().map(|&i| self.n_steps[i]))
    }

    /// Averages the responses of the longer half of some trials, as long as all of these are running, `[time, unit]`: over
    /// one set of trials at all times.
    pub fn mean_course(&self, trials: &[usize]) -> Array2<f64> {
        let n_common = self.n_common_steps(trials);
        let long = trials.iter().copied();
        let long: Vec<usize> = long.filter(|&i| self.n_steps[i] >= n_common).collect();
        let mut sum = Array2::<f64>::zeros((n_common, self.values.dim().2));
        for &i in &long {
            sum += &self.values.slice(s![i, ..n_common, ..]);
        }
        sum / long.len().max(1) as f64
    }

    /// Returns the responses of some trials at one time, `[trial, unit]`.
    pub fn at(&self, trials: &[usize], t: usize) -> Array2<f64> {
        self.values.index_axis(Axis(1), t).select(Axis(0), trials)
    }
}

/// Returns the number of leading time steps in which at least half of some trials of these lengths are running.
pub fn common_steps(n_steps: impl Iterator<Item = usize>) -> usize {
    let mut lengths: Vec<usize> = n_steps.collect();
    lengths.sort_unstable();
    // Half of n trials, rounded up, are at least as long as the one at this place.
    lengths.get(lengths.len() / 2).copied().unwrap_or(0)
}

/// Returns true if conditions repeat, and all trials of one condition have the same rates.
pub fn repeats(study: &Study) -> bool {
    let conditions = &study.batch.conditions;
    let key = |b: usize| conditions.iter().map(|(_, values)| values[b]).collect();
    let cells = groups((0..study.batch.n_trials).map(key));
    let is_copy = |trials: &[usize]| {
        let n = common_steps(trials.iter().map(|&b| study.batch.n_steps[b]));
        let of = |b: usize| {
            study
                .rates
                .slice(s![b, ..n.min(study.batch.n_steps[b]), ..])
        };
        let first = of(trials[0]);
        trials[1..].iter().all(|&b| {
            let pairs = of(b).into_iter().zip(first);
            pairs
                .into_iter()
                .all(|(a, b)| (a - b).abs() <= 1e-6 * (1.0 + b.abs()))
        })
    };
    let several: Vec<_> = cells
        .iter()
        .filter(|(_, trials)| trials.len() > 1)
        .collect();
    !several.is_empty() && several.iter().all(|(_, trials)| is_copy(trials))
}

/// Smooths `rates [time, unit]` with a Gaussian whose standard deviation is `width` time steps; at both ends its
/// weights are those that lie within.
pub fn smoothed(rates: ArrayView2<f64>, width: f64) -> Array2<f64> {
    if width <= 0.0 {
        return rates.to_owned();
    }
    let n = rates.nrows();
    let reach = ((4.0 * width).ceil() as usize).min(n);
    let weights: Vec<f64> = (0..=reach)
        .map(|d| (-0.5 * (d as f64 / width).powi(2)).exp())
        .collect();
    let mut smooth = Array2::zeros(rates.dim());
    for (t, mut row) in smooth.outer_iter_mut().enumerate() {
        let mut total = 0.0;
        for k in t.saturating_sub(reach)..(t + reach + 1).min(n) {
            let weight = weights[t.abs_diff(k)];
            row.scaled_add(weight, &rates.row(k));
            total += weight;
        }
        row /= total;
    }
    smooth
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three trials of 1, 2 and 3 steps: at the third step one of three runs, which is less than half.
    #[test]
    fn padding_is_in_no_mean() {
        let rates = Array3::from_shape_fn(
            (3, 3, 1),
            |(b, t, _)| {
                if t <= b { (b + 2 * t) as f64 } else { 1e9 }
            },
        );
        let found = Responses::of(&rates, &[1, 2, 3], &[0, 1, 2], 0.0);
        // States 0, 1, 3, 2, 4, 6: mean 8 / 3, mean square 11.
        assert!((found.mean[0] - 8.0 / 3.0).abs() < 1e-12);
        assert!((found.std[0] - (11.0f64 - 64.0 / 9.0).sqrt()).abs() < 1e-12);
        let course = found.mean_course(&[0, 1, 2]);
        assert_eq!(course.nrows(), 2);
        assert!((course[[1, 0]] * found.std[0] + found.mean[0] - 3.5).abs() < 1e-12);
        // The same two trials at the first step: 1 and 2, without the 0 of the trial that ends there.
        assert!((course[[0, 0]] * found.std[0] + found.mean[0] - 1.5).abs() < 1e-12);
        assert_eq!(found.n_common_steps(&[2]), 3);
        assert_eq!(common_steps([].into_iter()), 0);
        assert_eq!(common_steps([2, 5].into_iter()), 5);
    }

    /// A constant stays constant up to its ends; an impulse spreads with the weights of the Gaussian.
    #[test]
    fn smoothing_by_hand() {
        let constant = Array2::from_elem((5, 1), 3.0);
        let found = smoothed(constant.view(), 1.5);
        assert!(found.iter().all(|x| (x - 3.0).abs() < 1e-12));
        let mut impulse = Array2::zeros((41, 1));
        impulse[[20, 0]] = 1.0;
        let found = smoothed(impulse.view(), 1.0);
        assert!((found[[21, 0]] / found[[20, 0]] - (-0.5f64).exp()).abs() < 1e-12);
    }
}
