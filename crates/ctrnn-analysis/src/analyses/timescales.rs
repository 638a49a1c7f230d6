//! Timescales of units, from the autocorrelation of their rates.

use ctrnn_tasks::counted;
use ndarray::{Array1, Array2, Array3, ArrayView1, ArrayView2, ArrayView3, Axis, s};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answer, Unsuitable};
use crate::evidence::distinct;
use crate::linear_algebra::centred;
use crate::plot::{Figure, Layer, Rgb, colour};
use crate::selectivity::groups;
use crate::statistics::median;
use crate::study::steps_of;
use crate::text::{short, spoken};
use crate::{ArrayDoc, Arrays, Study};

/// Largest number of units whose autocorrelation is drawn.
const MOST_UNITS: usize = 60;

/// Least number of lags, and of trials, that determine a fit.
const LEAST_LAGS: usize = 4;
const LEAST_TRIALS: usize = 10;

/// Largest number of time bins.
const MOST_BINS: usize = 60;

/// Settings of timescales.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TimescalesOptions {
    /// Epoch whose rates are correlated. Empty for fixation, or another one if that has no noise or is too short.
    pub epoch: String,
    /// Width of a time bin in ms, at least one time step.
    pub bin_ms: f64,
}

impl Default for TimescalesOptions {
    fn default() -> Self {
        Self {
            epoch: String::new(),
            bin_ms: 50.0,
        }
    }
}

/// Autocorrelation of the rates of units, and its decay time.
#[derive(Clone, Debug)]
pub struct Timescales {
    /// Autocorrelation over time within trials, `[lag, unit]`, up to half of the longest trial.
    pub autocorrelation: Array2<f64>,
    /// Time in ms in which the autocorrelation of each unit falls to 1/e; NaN if it does not.
    pub decay_ms: Vec<f64>,
    /// Time constant of each unit.
    pub tau_ms: Array1<f64>,
    /// Intrinsic timescales; `None` without variability between trials.
    pub intrinsic: Option<Intrinsic>,
    /// True if all trials have one condition and different inputs, which the correlations contain.
    pub is_driven: bool,
    dt_ms: f64,
}

/// Intrinsic timescales: correlations between time bins over trials of one condition.
#[derive(Clone, Debug)]
pub struct Intrinsic {
    /// Name of the epoch.
    pub epoch: String,
    /// Lags of the correlations.
    pub lag_ms: Vec<f64>,
    /// Correlation over trials of the rates in two bins, averaged over pairs of one lag, `[lag, unit]`; NaN without
    /// variability.
    pub correlation: Array2<f64>,
    /// Fit to each unit.
    pub fits: Vec<Option<Decay>>,
    /// Fit to the mean over units.
    pub mean_fit: Option<Decay>,
}

/// Exponential decay with an offset, `amplitude (exp(-lag / tau) + offset)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decay {
    /// Timescale in ms.
    pub tau_ms: f64,
    /// Amplitude of the decay.
    pub amplitude: f64,
    /// Offset relative to the amplitude: the contribution of timescales much longer than the epoch.
    pub offset: f64,
}

impl Answer for Timescales {
    type Options = TimescalesOptions;
    const SEES_GROUPS: bool = false;

    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new(
            "autocorrelation",
            "[lag, unit]",
            "",
            "autocorrelation over time within trials, without the mean of each; one time step per lag",
        ),
        ArrayDoc::new(
            "decay_ms",
            "[unit]",
            "ms",
            "time in which that autocorrelation falls to 1/e; NaN if it does not",
        ),
        ArrayDoc::new("tau_ms", "[unit]", "ms", "time constant of each unit"),
        ArrayDoc::new(
            "lag_ms",
            "[lag]",
            "ms",
            "lags of the autocorrelation over time",
        ),
        ArrayDoc::new(
            "intrinsic_lag_ms",
            "[lag]",
            "ms",
            "lags of the correlations over trials",
        ),
        ArrayDoc::new(
            "intrinsic_correlation",
            "[lag, unit]",
            "",
            "correlation over trials of the rates in two time bins of an epoch",
        ),
        ArrayDoc::new(
            "intrinsic_ms",
            "[unit]",
            "ms",
            "intrinsic timescale: of a fit of amplitude (exp(-lag / tau) + offset); NaN where it is not determined",
        ),
        ArrayDoc::new("intrinsic_amplitude", "[unit]", "", "amplitude of the fit"),
        ArrayDoc::new("intrinsic_offset", "[unit]", "", "offset of the fit"),
    ];

    fn compute(study: &Study, options: &TimescalesOptions) -> Result<Self, Unsuitable> {
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
            intrinsic: intrinsic(study, options)?,
            is_driven: is_driven(study),
            dt_ms,
        };
        if found.sorted().is_empty() && found.intrinsic.is_none() {
            let why = "the rate of no unit changes for long enough";
            return Err(Unsuitable::lacks(why));
        }
        Ok(found)
    }

    fn arrays(&self) -> Arrays {
        let arrays = Arrays::default()
            .with("autocorrelation", &self.autocorrelation)
            .with("decay_ms", &self.decay_ms)
            .with("tau_ms", &self.tau_ms)
            .with("lag_ms", &self.lags_ms());
        let Some(found) = &self.intrinsic else {
            return arrays;
        };
        let of = |part: fn(&Decay) -> f64| -> Vec<f64> {
            let fits = found.fits.iter();
            fits.map(|fit| fit.as_ref().map_or(f64::NAN, part))
                .collect()
        };
        arrays
            .with("intrinsic_lag_ms", &found.lag_ms)
            .with("intrinsic_correlation", &found.correlation)
            .with("intrinsic_ms", &of(|fit| fit.tau_ms))
            .with("intrinsic_amplitude", &of(|fit| fit.amplitude))
            .with("intrinsic_offset", &of(|fit| fit.offset))
    }

    fn statements(&self) -> Vec<String> {
        let mut lines = match &self.intrinsic {
            Some(found) => found.statements(),
            None => vec![
                "no intrinsic timescales: they take an epoch of several time bins in which trials of one condition differ (--noise)"
                    .to_owned(),
            ],
        };
        let sorted = self.sorted();
        if !sorted.is_empty() {
            lines.push(format!(
                "rates lose their correlation over time within a trial in {} ms (median of {})",
                short(sorted[sorted.len() / 2]),
                counted(sorted.len(), "unit")
            ));
        }
        if self.is_driven {
            lines.push(
                "all trials have one condition and different inputs: the correlations, and these timescales, are also those of the inputs"
                    .to_owned(),
            );
        }
        lines
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let mut figures = vec![("", self.draw_within_trials())];
        if let Some(found) = &self.intrinsic {
            figures.push(("_intrinsic", found.draw()));
        }
        figures
    }
}

impl Intrinsic {
    /// Describes the timescales of the units and of their mean.
    fn statements(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let known = self.known();
        let epoch = spoken(&self.epoch);
        if !known.is_empty() {
            lines.push(format!(
                "intrinsic timescale {} ms (median of {} with a determined fit, correlations between trials in the {epoch} epoch)",
                short(median(&known)),
                counted(known.len(), "unit")
            ));
        }
        if let Some(fit) = &self.mean_fit {
            lines.push(format!(
                "intrinsic timescale of the mean autocorrelation {} ms",
                short(fit.tau_ms)
            ));
        }
        if lines.is_empty() {
            lines.push(format!(
                "correlations between trials in the {epoch} epoch determine no intrinsic timescale"
            ));
        }
        lines
    }

    fn known(&self) -> Vec<f64> {
        self.fits.iter().flatten().map(|fit| fit.tau_ms).collect()
    }

    /// Returns the mean correlation over units at each lag.
    fn mean(&self) -> Vec<f64> {
        self.correlation.outer_iter().map(mean_of_known).collect()
    }

    fn draw(&self) -> Figure {
        let mut figure = Figure::new(&[44.0, 34.0], &[34.0]);
        let units = self
            .correlation
            .axis_iter(Axis(1))
            .take(MOST_UNITS)
            .map(|unit| {
                Layer::line(self.lag_ms.clone(), unit.to_vec(), Rgb([200, 200, 200])).wide(0.15)
            });
        let end = self.lag_ms.last().copied().unwrap_or(1.0);
        let panel = figure.cell(0, 0);
        panel
            .title(format!("{} epoch", spoken(&self.epoch)))
            .x("lag (ms)", [0.0, end])
            .y("correlation over trials", [-0.5, 1.0])
            .extend(units)
            .add(Layer::points(self.lag_ms.clone(), self.mean(), colour(0)).named("mean"));
        if let Some(fit) = &self.mean_fit {
            let lags = (0..=100).map(|k| f64::from(k) / 100.0 * end);
            let lags: Vec<f64> = lags.filter(|lag| *lag >= self.lag_ms[0]).collect();
            let y = lags.iter().map(|lag| fit.at(*lag)).collect();
            let name = format!("τ = {} ms", short(fit.tau_ms));
            panel.add(Layer::line(lags, y, colour(1)).wide(0.4).named(&name));
        }
        let known = self.known();
        let most = known.iter().copied().fold(1.0, f64::max);
        let panel = figure.cell(0, 1);
        panel.histogram(
            ["intrinsic timescale (ms)", "units"],
            &known,
            [0.0, most * 1.02],
            18,
        );
        figure
    }
}

impl Decay {
    fn at(&self, lag_ms: f64) -> f64 {
        self.amplitude * ((-lag_ms / self.tau_ms).exp() + self.offset)
    }

    /// Fits a decay to correlations at lags by least squares; `None` if the timescale is not determined: it lies at a
    /// bound of the search, a fifth of the first lag or ten times the last, or the correlations do not fall.
    pub fn fit(lag_ms: &[f64], correlation: &[f64]) -> Option<Self> {
        const N_TRIED: usize = 240;
        // Adaptation may lower the correlations of the shortest lags: the fit starts where they begin to fall.
        let start = correlation.windows(2).position(|pair| pair[1] < pair[0])?;
        let (lag_ms, correlation) = (&lag_ms[start..], &correlation[start..]);
        if lag_ms.len() < LEAST_LAGS || correlation.iter().any(|c| !c.is_finite()) {
            return None;
        }
        let bounds = [
            (lag_ms[0] / 5.0).ln(),
            (10.0 * lag_ms[lag_ms.len() - 1]).ln(),
        ];
        let step = (bounds[1] - bounds[0]) / N_TRIED as f64;
        let error = |log_tau: f64| linear_fit(lag_ms, correlation, log_tau.exp()).1;
        let tried: Vec<f64> = (0..=N_TRIED)
            .map(|k| error(bounds[0] + k as f64 * step))
            .collect();
        let best = (0..=N_TRIED).min_by(|&a, &b| tried[a].total_cmp(&tried[b]))?;
        if best == 0 || best == N_TRIED {
            return None;
        }
        let around = [best - 1, best + 1].map(|k| bounds[0] + k as f64 * step);
        let tau_ms = golden_section(around, error).exp();
        let ([amplitude, constant], _) = linear_fit(lag_ms, correlation, tau_ms);
        (amplitude > 0.0).then(|| Self {
            tau_ms,
            amplitude,
            offset: constant / amplitude,
        })
    }
}

/// Fits `a exp(-lag / tau) + c` for a given tau; returns a, c and the sum of squared errors.
fn linear_fit(lag_ms: &[f64], values: &[f64], tau_ms: f64) -> ([f64; 2], f64) {
    let n = values.len() as f64;
    let decay: Vec<f64> = lag_ms.iter().map(|lag| (-lag / tau_ms).exp()).collect();
    let (mean_x, mean_y) = (
        decay.iter().sum::<f64>() / n,
        values.iter().sum::<f64>() / n,
    );
    let (mut xx, mut xy) = (0.0, 0.0);
    for (x, y) in decay.iter().zip(values) {
        xx += (x - mean_x).powi(2);
        xy += (x - mean_x) * (y - mean_y);
    }
    let slope = if xx > 0.0 { xy / xx } else { 0.0 };
    let constant = mean_y - slope * mean_x;
    let pairs = decay.iter().zip(values);
    let error = pairs.map(|(x, y)| (y - slope * x - constant).powi(2)).sum();
    ([slope, constant], error)
}

/// Finds the minimum of a function with a single one between two bounds.
fn golden_section([mut low, mut high]: [f64; 2], f: impl Fn(f64) -> f64) -> f64 {
    let part = 0.5 * (5f64.sqrt() - 1.0);
    for _ in 0..80 {
        let (a, b) = (high - part * (high - low), low + part * (high - low));
        if f(a) < f(b) {
            high = b;
        } else {
            low = a;
        }
    }
    0.5 * (low + high)
}

fn mean_of_known(row: ArrayView1<f64>) -> f64 {
    let known: Vec<f64> = row.iter().copied().filter(|x| x.is_finite()).collect();
    known.iter().sum::<f64>() / known.len() as f64
}

/// Returns true if all trials have one condition, but not the same inputs.
fn is_driven(study: &Study) -> bool {
    let values = study.batch.conditions.iter().map(|(_, values)| values);
    let is_one = |values: &Vec<f64>| distinct(values.iter().copied()).len() < 2;
    let first = study.inputs(0);
    let differs = |b: usize| {
        let own = study.inputs(b);
        let n = own.nrows().min(first.nrows());
        own.slice(ndarray::s![..n, ..]) != first.slice(ndarray::s![..n, ..])
    };
    values.clone().all(is_one) && (1..study.batch.n_trials).any(differs)
}

/// Finds the intrinsic timescales in the epoch of the options, or in the first of fixation and all others that has
/// variability between trials in enough time bins.
///
/// # References
/// Murray et al. (2014), A hierarchy of intrinsic timescales across primate cortex.
fn intrinsic(study: &Study, options: &TimescalesOptions) -> Result<Option<Intrinsic>, Unsuitable> {
    let epochs = study.epochs();
    if options.epoch.is_empty() {
        let tried = ["fixation", study.telling_epoch()]
            .into_iter()
            .chain(epochs.iter().copied());
        let mut found = tried
            .filter(|epoch| epochs.contains(epoch))
            .filter_map(|epoch| in_epoch(study, epoch, options.bin_ms));
        return Ok(found.next());
    }
    if !epochs.contains(&&options.epoch[..]) {
        return Err(Unsuitable::Lacks(format!(
            "{:?} is not an epoch of these trials; epochs: {}",
            options.epoch,
            epochs.join(", ")
        )));
    }
    Ok(in_epoch(study, &options.epoch, options.bin_ms))
}

fn in_epoch(study: &Study, epoch: &str, bin_ms: f64) -> Option<Intrinsic> {
    let dt_ms = study.dynamics.dt_ms;
    let steps: Vec<_> = (0..study.batch.n_trials)
        .map(|b| steps_of(&study.batch, b, epoch))
        .collect();
    let shared = crate::responses::common_steps(steps.iter().map(ExactSizeIterator::len));
    let size = ((bin_ms / dt_ms).round() as usize)
        .max(1)
        .max(shared.div_ceil(MOST_BINS));
    let n_bins = shared / size;
    let trials: Vec<usize> = (0..study.batch.n_trials)
        .filter(|&b| steps[b].len() >= n_bins * size)
        .collect();
    if n_bins <= LEAST_LAGS || trials.len() < LEAST_TRIALS {
        return None;
    }
    let starts: Vec<(usize, usize)> = trials.iter().map(|&b| (b, steps[b].start)).collect();
    let mut binned = binned_rates(study, &starts, n_bins, size);
    subtract_condition_means(&mut binned, study, &trials);
    let correlation = correlation_over_trials(&binned);
    if correlation.iter().all(|c| c.is_nan()) {
        return None;
    }
    let lag_ms: Vec<f64> = (1..n_bins).map(|k| (k * size) as f64 * dt_ms).collect();
    let fit = |unit: ArrayView1<f64>| Decay::fit(&lag_ms, &unit.to_vec());
    let mean: Vec<f64> = correlation.outer_iter().map(mean_of_known).collect();
    Some(Intrinsic {
        epoch: epoch.to_owned(),
        fits: correlation.axis_iter(Axis(1)).map(fit).collect(),
        mean_fit: Decay::fit(&lag_ms, &mean),
        correlation,
        lag_ms,
    })
}

/// Averages rates in `n_bins` bins of `size` time steps from the first time step of each trial on, `[trial, bin, unit]`.
fn binned_rates(
    study: &Study,
    starts: &[(usize, usize)],
    n_bins: usize,
    size: usize,
) -> Array3<f64> {
    let mut binned = Array3::zeros((starts.len(), n_bins, study.dynamics.n_units()));
    for (mut own, &(b, start)) in binned.outer_iter_mut().zip(starts) {
        for (bin, mut row) in own.outer_iter_mut().enumerate() {
            let from = start + bin * size;
            let mean = study
                .rates
                .slice(s![b, from..from + size, ..])
                .mean_axis(Axis(0));
            row.assign(&mean.unwrap_or_default());
        }
    }
    binned
}

/// Subtracts from the responses of each trial the mean over the trials of its condition.
fn subtract_condition_means(binned: &mut Array3<f64>, study: &Study, trials: &[usize]) {
    let conditions = &study.batch.conditions;
    let key = |&b: &usize| conditions.iter().map(|(_, values)| values[b]).collect();
    for (_, members) in groups(trials.iter().map(key)) {
        let mean = binned
            .select(Axis(0), &members)
            .mean_axis(Axis(0))
            .unwrap_or_default();
        for i in members {
            let mut own = binned.index_axis_mut(Axis(0), i);
            own -= &mean;
        }
    }
}

/// Computes the correlation over trials between deviations `[trial, bin, unit]` in two bins, averaged over the pairs of
/// each lag from one bin on, `[lag, unit]`; NaN for a unit without deviations.
fn correlation_over_trials(deviations: &Array3<f64>) -> Array2<f64> {
    let (n_trials, n_bins, n_units) = deviations.dim();
    let square = deviations.mapv(|x| x * x).sum_axis(Axis(0)) / n_trials as f64;
    // A smaller variance is rounding of equal rates.
    let std = square.mapv(|v| if v > 1e-14 { v.sqrt() } else { f64::NAN });
    let row = |lag: usize| {
        let mut sum = Array1::<f64>::zeros(n_units);
        for bin in 0..n_bins - lag {
            let (a, b) = (
                deviations.slice(s![.., bin, ..]),
                deviations.slice(s![.., bin + lag, ..]),
            );
            let mut product = Array1::<f64>::zeros(n_units);
            for (a, b) in a.outer_iter().zip(b.outer_iter()) {
                ndarray::Zip::from(&mut product)
                    .and(a)
                    .and(b)
                    .for_each(|p, a, b| *p += a * b);
            }
            product /= n_trials as f64;
            sum += &(product / (&std.row(bin) * &std.row(bin + lag)));
        }
        sum / (n_bins - lag) as f64
    };
    let rows: Vec<Array1<f64>> = (1..n_bins).into_par_iter().map(row).collect();
    Array2::from_shape_fn((rows.len(), n_units), |(k, n)| rows[k][n])
}

impl Timescales {
    fn draw_within_trials(&self) -> Figure {
        let auto = &self.autocorrelation;
        let lag = self.lags_ms();
        let end = lag[lag.len() - 1];
        let units = auto
            .axis_iter(Axis(1))
            .take(MOST_UNITS)
            .map(|unit| Layer::line(lag.clone(), unit.to_vec(), Rgb([200, 200, 200])).wide(0.15));
        let means = auto.outer_iter().map(mean_of_known).collect();
        let mut figure = Figure::new(&[44.0, 34.0], &[34.0]);
        figure
            .cell(0, 0)
            .x("lag (ms)", [0.0, end])
            .y("autocorrelation", [-1.0, 1.0])
            .extend(units)
            .add(Layer::guide([0.0, end], [(-1.0f64).exp(); 2]).named("1/e"))
            .add(Layer::line(lag, means, colour(0)).wide(0.4).named("mean"));
        let sorted = self.sorted();
        let range = [0.0, sorted.last().copied().unwrap_or(1.0) * 1.02];
        let panel = figure.cell(0, 1);
        panel.histogram(["decay time (ms)", "units"], &sorted, range, 18);
        figure
    }

    fn lags_ms(&self) -> Vec<f64> {
        let lags = 0..self.autocorrelation.nrows();
        lags.map(|k| k as f64 * self.dt_ms).collect()
    }

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
    let variance = |lags: ArrayView1<f64>| match lags.first() {
        // A smaller variance is rounding of a constant rate.
        Some(&variance) if variance > 1e-18 => variance,
        _ => f64::NAN,
    };
    let variances: Array1<f64> = sums.axis_iter(Axis(1)).map(variance).collect();
    sums / &variances
}

/// Returns the time in which the autocorrelation `[lag]` of a unit falls to 1/e, interpolated between lags; NaN if it
/// does not.
pub fn decay_time_ms(autocorrelation: ArrayView1<f64>, dt_ms: f64) -> f64 {
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
        let rates = Array3::from_shape_fn(
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

    /// Reference: tests/golden/make_populations.py, `decay`.
    #[test]
    fn decays_are_those_of_scipy() {
        let lag_ms: Vec<f64> = (1..15).map(|k| 50.0 * f64::from(k)).collect();
        let values: Vec<f64> = lag_ms
            .iter()
            .enumerate()
            .map(|(k, lag)| 0.6 * ((-lag / 180.0).exp() + 0.2) + 0.01 * (k as f64 * 2.3).sin())
            .collect();
        let found = Decay::fit(&lag_ms, &values).unwrap();
        for (found, expected) in [found.tau_ms, found.amplitude, found.offset]
            .iter()
            .zip(SCIPY_DECAY)
        {
            assert!((found / expected - 1.0).abs() < 1e-5, "{found} {expected}");
        }
        // A line does not determine a timescale, nor does a rise.
        let line: Vec<f64> = lag_ms.iter().map(|lag| 1.0 - lag / 1000.0).collect();
        assert_eq!(Decay::fit(&lag_ms, &line), None);
        assert_eq!(Decay::fit(&lag_ms, &lag_ms), None);
    }

    const SCIPY_DECAY: [f64; 3] = [181.045952573, 0.602410624, 0.196634192];

    /// An Ornstein-Uhlenbeck process of 100 ms in every trial.
    #[test]
    fn a_known_timescale_is_found() {
        use ctrnn_random::{Key, Rng, Stream};
        let keep = (-0.1f64).exp();
        let mut rates = Array3::zeros((400, 60, 2));
        for b in 0..400 {
            for n in 0..2 {
                let mut rng = Rng::new(Key::new(3, Stream::Eval, 0), b as u64, n as u64);
                let mut x = f64::from(rng.normal());
                for t in 0..60 {
                    rates[[b, t, n]] = x;
                    x = keep * x + (1.0 - keep * keep).sqrt() * f64::from(rng.normal());
                }
            }
        }
        let conditions = [("coh", (0..400).map(|b| (b % 2) as f64).collect())];
        let synthetic = crate::analyses::synthetic::Synthetic::of(&conditions, rates);
        let options = TimescalesOptions {
            bin_ms: 10.0,
            ..TimescalesOptions::default()
        };
        let found = Timescales::compute(&synthetic.study(), &options).unwrap();
        let tau_ms = found.intrinsic.unwrap().mean_fit.unwrap().tau_ms;
        assert!((tau_ms - 100.0).abs() < 15.0, "{tau_ms}");
    }
}
