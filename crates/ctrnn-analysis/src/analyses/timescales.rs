//! Timescales of units, from the autocorrelation of their rates.

use ndarray::{Array1, Array2, ArrayView2, ArrayView3, Axis};

use super::{Answer, NoOptions, Unsuitable};
use crate::linear_algebra::centred;
use crate::plot::{Figure, Layer, Rgb, colour};
use crate::text::short;
use crate::{Arrays, Study};

/// Largest number of units whose autocorrelation is drawn.
const MOST_UNITS: usize = 60;

/// Autocorrelation of the rates of units, and its decay time.
#[derive(Clone, Debug)]
pub struct Timescales {
    /// Autocorrelation `[lag, unit]`, up to half of the longest trial.
    pub autocorrelation: Array2<f64>,
    /// Time in ms in which the autocorrelation of each unit falls to 1/e; NaN if it does not.
    pub decay_ms: Vec<f64>,
    /// Time constant of each unit.
    pub tau_ms: Array1<f64>,
    dt_ms: f64,
}

impl Answer for Timescales {
    type Options = NoOptions;

    fn compute(study: &Study, _: &NoOptions) -> Result<Self, Unsuitable> {
        let longest = study.batch.n_steps.iter().copied().max().unwrap_or(0);
        let n_lags = (longest / 2).max(2);
        let auto = autocorrelation(study.rates.view(), study.counts().view(), n_lags);
        let dt_ms = study.dynamics.dt_ms;
        let decay = auto
            .axis_iter(Axis(1))
            .map(|unit| decay_time_ms(unit, dt_ms));
        let found = Self {
            decay_ms: decay.collect(),
            autocorrelation: auto,
            tau_ms: study.dynamics.tau_ms.clone(),
            dt_ms,
        };
        if found.sorted().is_empty() {
            let why = "the rate of no unit changes for long enough";
            return Err(Unsuitable::lacks(why));
        }
        Ok(found)
    }

    fn arrays(&self) -> Arrays {
        Arrays::default()
            .with("autocorrelation", &self.autocorrelation)
            .with("decay_ms", &self.decay_ms)
            .with("tau_ms", &self.tau_ms)
    }

    fn statements(&self) -> Vec<String> {
        let sorted = self.sorted();
        vec![format!(
            "rates lose their correlation in {} ms (median of {} units)",
            short(sorted[sorted.len() / 2]),
            sorted.len()
        )]
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let auto = &self.autocorrelation;
        let lag: Vec<f64> = (0..auto.nrows()).map(|k| k as f64 * self.dt_ms).collect();
        let end = lag[lag.len() - 1];
        let units = auto
            .axis_iter(Axis(1))
            .take(MOST_UNITS)
            .map(|unit| Layer::line(lag.clone(), unit.to_vec(), Rgb([200, 200, 200])).wide(0.15));
        let mean = |row: ndarray::ArrayView1<f64>| {
            let known = || row.iter().filter(|x| x.is_finite());
            known().sum::<f64>() / known().count().max(1) as f64
        };
        let means = auto.outer_iter().map(mean).collect();
        let mut figure = Figure::new(&[44.0, 34.0], &[34.0]);
        figure
            .cell(0, 0)
            .x("lag (ms)", [0.0, end])
            .y("autocorrelation", [-1.0, 1.0])
            .extend(units)
            .add(Layer::guide([0.0, end], [(-1.0f64).exp(); 2]))
            .add(Layer::line(lag, means, colour(0)).wide(0.4).named("mean"));
        let sorted = self.sorted();
        let range = [0.0, sorted[sorted.len() - 1] * 1.02];
        let panel = figure.cell(0, 1);
        panel.histogram(["decay time (ms)", "units"], &sorted, range, 18);
        vec![("", figure)]
    }
}

impl Timescales {
    /// Returns the known decay times in ascending order.
    fn sorted(&self) -> Vec<f64> {
        let known = self.decay_ms.iter().copied().filter(|t| t.is_finite());
        let mut sorted: Vec<f64> = known.collect();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

/// Computes the autocorrelation of every unit over lags `[lag, unit]`, averaged over trials, from `rates [trial, time,
/// unit]` after subtracting the mean over time of each trial; `counts [trial, time]` is false for padding. NaN for a
/// silent unit.
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
        // A smaller variance is rounding of a constant rate.
        Some(&variance) if variance > 1e-18 => variance,
        _ => f64::NAN,
    };
    let variances: Array1<f64> = sums.axis_iter(Axis(1)).map(variance).collect();
    sums / &variances
}

/// Returns the time in which the autocorrelation `[lag]` of a unit falls to 1/e, interpolated between lags; NaN if it
/// does not.
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

    /// A rate of +1, -1, +1, ... has the correlation -1 at lag 1 and 1 at lag 2.
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

    /// Autocorrelation 1, 0.5, 0.25: 1/e = 0.368 is (0.5 - 0.368) / 0.25 = 0.528 of the way from lag 1 to 2.
    #[test]
    fn times_lie_between_lags() {
        let found = decay_time_ms(ndarray::array![1.0, 0.5, 0.25].view(), 20.0);
        assert!((found - 20.0 * (1.0 + (0.5 - (-1.0f64).exp()) / 0.25)).abs() < 1e-12);
        assert!(decay_time_ms(ndarray::array![1.0, 0.9].view(), 20.0).is_nan());
    }
}
