//! Noise correlations: how the rates of pairs of units vary together from trial to trial of one condition.

use ndarray::{Array2, Axis};

use super::{Answer, NoOptions, Unsuitable};
use crate::arrays::ArrayDoc;
use crate::linear_algebra::centred;
use crate::plot::{BAR_MM, ColourMap, Figure, Layer, Rgb, colour};
use crate::statistics::{correlation, mean_and_std};
use crate::text::{rounded, short, spoken};
use crate::{Arrays, Study, selectivity};

/// Largest number of pairs that are drawn.
const MOST_PAIRS: usize = 3000;
/// Number of bins of the signal correlation.
const BINS: usize = 8;

/// Correlations of pairs of units within and between conditions, in the last epoch before the answer.
#[derive(Clone, Debug)]
pub struct NoiseCorrelations {
    /// Name of the epoch.
    pub epoch: &'static str,
    /// Correlations of the deviations from the mean of each condition, `[unit, unit]`; NaN for a unit without any.
    pub noise: Array2<f64>,
    /// Correlations of the means of conditions, `[unit, unit]`; NaN for a unit with equal means.
    pub signal: Array2<f64>,
    /// Units in order of their preference.
    pub order: Vec<usize>,
    /// Number of trials, and of conditions.
    pub counts: [usize; 2],
}

impl Answer for NoiseCorrelations {
    type Options = NoOptions;

    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new(
            "noise_correlation",
            "[unit, unit]",
            "",
            "correlations of deviations from the mean of each condition; NaN for a unit without any",
        ),
        ArrayDoc::new(
            "signal_correlation",
            "[unit, unit]",
            "",
            "correlations of the means of conditions; NaN for a unit with equal means",
        ),
        ArrayDoc::new("order", "[unit]", "", "units in the order of the figure"),
    ];

    fn compute(study: &Study, _: &NoOptions) -> Result<Self, Unsuitable> {
        let epoch = study.telling_epoch();
        let rates = study.rates_in(epoch);
        let cells = repeated_conditions(study, &rates);
        let mut means = Array2::zeros((cells.len(), rates.ncols()));
        let mut left: Vec<Array2<f64>> = Vec::new();
        for (mut row, own) in means.outer_iter_mut().zip(&cells) {
            let (mean, deviations) = centred(rates.select(Axis(0), own).view());
            row.assign(&mean);
            left.push(deviations);
        }
        let views: Vec<_> = left.iter().map(|a| a.view()).collect();
        let left = ndarray::concatenate(Axis(0), &views).unwrap_or_default();
        let noise = correlations(&left);
        let (_, tuned) = centred(means.view());
        let preference = study.choice_preference();
        let mut order: Vec<usize> = (0..rates.ncols()).collect();
        if let Some(preference) = preference {
            order.sort_by(|&a, &b| preference[a].total_cmp(&preference[b]));
        }
        let found = Self {
            epoch,
            noise,
            signal: correlations(&tuned),
            order,
            counts: [left.nrows(), cells.len()],
        };
        if found.pairs().is_empty() {
            return Err(Unsuitable::lacks(
                "noise correlations need two units whose rates differ between trials of one condition: add noise (--noise) or trials (--trials N)",
            ));
        }
        Ok(found)
    }

    fn arrays(&self) -> Arrays {
        Arrays::default()
            .with("noise_correlation", &self.noise)
            .with("signal_correlation", &self.signal)
            .with("order", &self.order)
    }

    fn statements(&self) -> Vec<String> {
        let pairs = self.pairs();
        let noise: Vec<f64> = pairs.iter().map(|pair| pair[1]).collect();
        let (mean, std) = mean_and_std(&noise);
        let mut lines = vec![format!(
            "noise correlation {} ± {} (mean and standard deviation over pairs of units), {} trials of {} conditions in the {} epoch",
            rounded(mean, 3),
            rounded(std, 3),
            self.counts[0],
            self.counts[1],
            spoken(self.epoch)
        )];
        let both = correlation(pairs.iter().map(|pair| (pair[0], pair[1])));
        if both.is_finite() {
            lines.push(format!(
                "correlation of noise and signal correlations {}",
                short(both)
            ));
        }
        lines
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let mut figure = Figure::new(&[38.0, BAR_MM, 40.0], &[38.0]);
        let sorted = self
            .noise
            .select(Axis(0), &self.order)
            .select(Axis(1), &self.order);
        figure
            .cell(0, 0)
            .x_label("unit (sorted by preference)")
            .matrix(&sorted, [-1.0, 1.0], ColourMap::BlueWhiteRed);
        figure
            .cell(0, 1)
            .colour_bar([-1.0, 1.0], ColourMap::BlueWhiteRed, "noise correlation");
        let pairs: Vec<[f64; 2]> = self
            .pairs()
            .into_iter()
            .filter(|pair| pair[0].is_finite())
            .collect();
        let every = pairs.len().div_ceil(MOST_PAIRS).max(1);
        let (x, y): (Vec<f64>, Vec<f64>) = pairs
            .iter()
            .step_by(every)
            .map(|pair| (pair[0], pair[1]))
            .unzip();
        let (centres, means) = binned(&pairs);
        figure
            .cell(0, 2)
            .x("signal correlation", [-1.0, 1.0])
            .y("noise correlation", [-1.0, 1.0])
            .add(Layer::points(x, y, Rgb([190, 190, 190])).radius(0.25))
            .add(Layer::guide([-1.0, 1.0], [0.0, 0.0]))
            .add(
                Layer::line(centres, means, colour(0))
                    .wide(0.4)
                    .named("mean"),
            );
        vec![("", figure)]
    }
}

/// Groups the trials that have the epoch of the rates by condition, for conditions with several of them.
fn repeated_conditions(study: &Study, rates: &Array2<f64>) -> Vec<Vec<usize>> {
    let conditions = &study.batch.conditions;
    let trials: Vec<usize> = (0..rates.nrows())
        .filter(|&b| rates[[b, 0]].is_finite())
        .collect();
    let key = |&b: &usize| conditions.iter().map(|(_, values)| values[b]).collect();
    let mut cells: Vec<Vec<usize>> = selectivity::groups(trials.iter().map(key))
        .into_iter()
        .map(|(_, members)| members.into_iter().map(|i| trials[i]).collect())
        .collect();
    cells.retain(|own| own.len() > 1);
    cells
}

impl NoiseCorrelations {
    /// Returns signal and noise correlation of each pair of units that has a noise correlation.
    fn pairs(&self) -> Vec<[f64; 2]> {
        let n = self.noise.nrows();
        (0..n)
            .flat_map(|i| (0..i).map(move |j| (i, j)))
            .map(|at| [self.signal[at], self.noise[at]])
            .filter(|pair| pair[1].is_finite())
            .collect()
    }
}

/// Returns the mean noise correlation in bins of the signal correlation, with their centres.
fn binned(pairs: &[[f64; 2]]) -> (Vec<f64>, Vec<f64>) {
    let bin = |x: f64| (((x + 1.0) / 2.0 * BINS as f64) as usize).min(BINS - 1);
    let mean = |k: usize| {
        let own: Vec<f64> = pairs
            .iter()
            .filter(|pair| bin(pair[0]) == k)
            .map(|pair| pair[1])
            .collect();
        let centre = -1.0 + 2.0 * (k as f64 + 0.5) / BINS as f64;
        (!own.is_empty()).then(|| (centre, own.iter().sum::<f64>() / own.len() as f64))
    };
    (0..BINS).filter_map(mean).unzip()
}

/// Computes the correlations of centred columns; NaN for a constant one.
fn correlations(centred: &Array2<f64>) -> Array2<f64> {
    let covariance = centred.t().dot(centred);
    let n = centred.nrows().max(1) as f64;
    // A smaller deviation is rounding of a constant rate.
    let size = |i: usize| match covariance[[i, i]] {
        square if square > 1e-18 * n => square.sqrt(),
        _ => f64::NAN,
    };
    let sizes: Vec<f64> = (0..covariance.nrows()).map(size).collect();
    Array2::from_shape_fn(covariance.dim(), |(i, j)| {
        (covariance[[i, j]] / (sizes[i] * sizes[j])).clamp(-1.0, 1.0)
    })
}

#[cfg(test)]
mod tests;
