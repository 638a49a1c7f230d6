//! Preferences of units for one of two choices.

use ndarray::{Array1, ArrayView1};

use crate::Study;
use crate::sigmoid::normal_cdf;

/// Largest expected fraction of units without a preference among those that are found to have one.
const FALSE_DISCOVERY_RATE: f64 = 0.05;
/// Magnitude of rates below which a unit is silent.
const SILENT: f64 = 1e-6;

/// Preference of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Preference {
    /// Higher rates in trials with the second choice.
    Second,
    /// Higher rates in trials with the first choice.
    First,
    /// No significant difference.
    None,
    /// No activity in any trial.
    Silent,
}

/// Preferences of all units for the two choices of the network, by their rates in the
/// [`telling_epoch`](Study::telling_epoch).
#[derive(Clone, Debug)]
pub struct Preferences {
    /// Discriminability d' of the choices, positive for the second.
    pub d_prime: Array1<f64>,
    /// Two-sided p-value of the rank-sum test of each unit.
    pub p_values: Vec<f64>,
    /// Preference of each unit.
    pub units: Vec<Preference>,
}

impl Preferences {
    /// Tests every unit; `None` unless the network makes two choices.
    pub fn of(study: &Study) -> Option<Self> {
        let d_prime = study.choice_preference()?;
        let group = study.choice_groups()?;
        let rates = study.rates_in(study.telling_epoch());
        let p_values: Vec<f64> = rates
            .columns()
            .into_iter()
            .map(|unit| {
                let of_side = |side: bool| -> Vec<f64> {
                    let own = unit.iter().zip(&group);
                    let own = own.filter(|(rate, g)| **g == Some(side) && rate.is_finite());
                    own.map(|(rate, _)| *rate).collect()
                };
                rank_sum(&of_side(false), &of_side(true))
            })
            .collect();
        let least = largest_significant(&p_values, FALSE_DISCOVERY_RATE);
        let silent = silent_units(study);
        let preference = |unit: usize| match d_prime[unit] {
            _ if silent[unit] => Preference::Silent,
            d if p_values[unit] <= least && d > 0.0 => Preference::Second,
            d if p_values[unit] <= least && d < 0.0 => Preference::First,
            _ => Preference::None,
        };
        Some(Self {
            units: (0..d_prime.len()).map(preference).collect(),
            d_prime,
            p_values,
        })
    }
}

/// Returns true for each unit that is never active.
pub fn silent_units(study: &Study) -> Vec<bool> {
    let is_silent = |unit: ArrayView1<f64>| unit.iter().all(|rate| rate.abs() < SILENT);
    let all = study.counted(&study.rates);
    all.columns().into_iter().map(is_silent).collect()
}

/// Computes the two-sided p-value of the rank-sum test of two samples: the normal approximation with corrections for
/// ties and continuity. It is 1 if all values are equal or a sample is empty.
///
/// # References
/// Mann & Whitney (1947), On a test of whether one of two random variables is stochastically larger than the other.
fn rank_sum(a: &[f64], b: &[f64]) -> f64 {
    let [n_a, n_b] = [a.len() as f64, b.len() as f64];
    let n = n_a + n_b;
    let mut all: Vec<(f64, bool)> = a.iter().map(|&x| (x, true)).collect();
    all.extend(b.iter().map(|&x| (x, false)));
    all.sort_by(|x, y| x.0.total_cmp(&y.0));
    let (mut before, mut sum, mut ties) = (0.0, 0.0, 0.0);
    for equal in all.chunk_by(|x, y| x.0 == y.0) {
        let m = equal.len() as f64;
        let rank = before + (m + 1.0) / 2.0;
        sum += rank * equal.iter().filter(|(_, is_a)| *is_a).count() as f64;
        ties += m * m * m - m;
        before += m;
    }
    let u = sum - n_a * (n_a + 1.0) / 2.0;
    let variance = n_a * n_b / 12.0 * (n + 1.0 - ties / (n * (n - 1.0)));
    if variance.is_nan() || variance <= 0.0 {
        return 1.0;
    }
    let distance = ((u - n_a * n_b / 2.0).abs() - 0.5).max(0.0);
    2.0 * normal_cdf(-distance / variance.sqrt())
}

/// Returns the largest p-value that is significant at a false discovery rate; a negative number if none is.
///
/// # References
/// Benjamini & Hochberg (1995), Controlling the false discovery rate.
fn largest_significant(p_values: &[f64], rate: f64) -> f64 {
    let mut sorted = p_values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let ranked = (1..).zip(&sorted);
    let significant = ranked.filter(|(k, p)| **p <= rate * f64::from(*k) / n);
    significant.last().map_or(-1.0, |(_, p)| *p)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The p-value is that of `scipy.stats.mannwhitneyu(a, b, method="asymptotic")`.
    #[test]
    fn the_rank_sum_test_is_that_of_scipy() {
        let a = [1.0, 2.0, 2.0, 3.5, 4.0, 7.0];
        let b = [2.0, 5.0, 6.0, 6.5, 8.0];
        for found in [rank_sum(&a, &b), rank_sum(&b, &a)] {
            assert!((found - 0.166_994_117_926_185_35).abs() < 1e-12, "{found}");
        }
        assert_eq!(rank_sum(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0]), 1.0);
        assert_eq!(rank_sum(&[1.0, 1.0], &[1.0]), 1.0);
        assert_eq!(rank_sum(&[], &[1.0]), 1.0);
    }

    /// The bounds of four tests at 5 % are 0.0125, 0.025, 0.0375, 0.05.
    #[test]
    fn discoveries_by_hand() {
        let found = largest_significant(&[0.9, 0.001, 0.03, 0.02], 0.05);
        assert_eq!(found, 0.03);
        assert!(largest_significant(&[0.2, 0.9], 0.05) < 0.0);
    }
}
