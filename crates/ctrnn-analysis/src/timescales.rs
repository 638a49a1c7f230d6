//! Timescales: of units, from the autocorrelation of their rates.

use ndarray::{Array2, ArrayView2, ArrayView3, Axis};

use crate::linear_algebra::centred;

/// The autocorrelation of every unit over lags `[lag, unit]`, averaged over trials, from `rates [trial, time, unit]`: of what is left after
/// the mean over time of each trial is taken out; `counts [trial, time]` says which states exist. NaN for a silent unit.
pub fn autocorrelation(
    rates: ArrayView3<f64>,
    counts: ArrayView2<bool>,
    n_lags: usize,
) -> Array2<f64> {
    let n_units = rates.dim().2;
    let (mut sums, mut pairs) = (Array2::<f64>::zeros((n_lags, n_units)), vec![0.0; n_lags]);
    for (trial, counts) in rates.outer_iter().zip(counts.outer_iter()) {
        let n_steps = counts.iter().filter(|c| **c).count();
        let (_, left) = centred(trial.slice(ndarray::s![..n_steps, ..]));
        for (lag, n_pairs) in pairs.iter_mut().enumerate().take(n_steps) {
            let early = left.slice(ndarray::s![..n_steps - lag, ..]);
            let late = left.slice(ndarray::s![lag.., ..]);
            let mut row = sums.row_mut(lag);
            row += &(&early * &late).sum_axis(Axis(0));
            *n_pairs += (n_steps - lag) as f64;
        }
    }
    for (lag, mut row) in sums.outer_iter_mut().enumerate() {
        row /= f64::max(pairs[lag], 1.0);
    }
    let variance = |lags: ndarray::ArrayView1<f64>| match lags.first() {
        Some(&variance) if variance > 1e-18 => variance,
        _ => f64::NAN,
    };
    let variances: ndarray::Array1<f64> = sums.axis_iter(Axis(1)).map(variance).collect();
    sums / &variances
}

/// The time in which the autocorrelation `[lag]` of a unit falls to 1/e, between lags by interpolation; NaN if it does not.
pub fn decay_time_ms(autocorrelation: ndarray::ArrayView1<f64>, dt_ms: f64) -> f64 {
    let bound = (-1.0f64).exp();
    let below = autocorrelation.iter().position(|c| *c < bound);
    match below {
        Some(lag) if lag > 0 => {
            let (before, after) = (autocorrelation[lag - 1], autocorrelation[lag]);
            (lag as f64 - 1.0 + (before - bound) / (before - after)) * dt_ms
        }
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A course of +1, -1, +1, ... has the correlation -1 at lag 1 and 1 at lag 2.
    #[test]
    fn an_alternating_unit() {
        let rates =
            ndarray::Array3::from_shape_fn(
                (1, 4, 2),
                |(_, t, n)| if n == 0 && t % 2 == 0 { 1.0 } else { 0.0 },
            );
        let counts = Array2::from_elem((1, 4), true);
        let found = autocorrelation(rates.view(), counts.view(), 3);
        assert_eq!(found.column(0).to_vec(), [1.0, -1.0, 1.0]);
        assert!(found[[1, 1]].is_nan());
    }

    /// 1, 0.5, 0.25: 1/e = 0.368 lies (0.5 - 0.368) / 0.25 = 0.528 of the way from lag 1 to 2.
    #[test]
    fn times_lie_between_lags() {
        let found = decay_time_ms(ndarray::array![1.0, 0.5, 0.25].view(), 20.0);
        assert!((found - 20.0 * (1.0 + (0.5 - (-1.0f64).exp()) / 0.25)).abs() < 1e-12);
        assert!(decay_time_ms(ndarray::array![1.0, 0.9].view(), 20.0).is_nan());
    }
}
