//! Noise correlations: how the rates of pairs of units vary together from trial to trial of one condition.

use ctrnn_tasks::counted;
use ndarray::{Array2, Array3, Axis};

use super::{Answer, NoOptions, Unsuitable};
use crate::arrays::ArrayDoc;
use crate::groups::{BY_NAMES, Group, MOST_GROUP_PANELS};
use crate::linear_algebra::centred;
use crate::plot::{BAR_MM, ColourMap, Figure, Layer, Panel, Rgb, colour};
use crate::statistics::{correlation, mean_and_std};
use crate::text::{rounded, short, spoken};
use crate::{Arrays, Study, selectivity};

/// Largest number of pairs that are drawn.
const MOST_PAIRS: usize = 3000;
/// Least number of conditions for signal correlations: with two, all are -1 or 1.
const LEAST_CONDITIONS: usize = 3;
/// Number of bins of the signal correlation.
const BINS: usize = 8;

/// Correlations of pairs of units within and between conditions, in the [`telling_epoch`](Study::telling_epoch).
#[derive(Clone, Debug)]
pub struct NoiseCorrelations {
    /// Name of the epoch.
    pub epoch: &'static str,
    /// Correlations in all trials.
    pub all: Correlations,
    /// Name of each group of `study.by`, and the correlations in its trials.
    pub groups: Vec<(String, Correlations)>,
    /// Units in order of their preference.
    pub order: Vec<usize>,
    is_sorted: bool,
}

/// Correlations of pairs of units in some trials.
#[derive(Clone, Debug)]
pub struct Correlations {
    /// Correlations of the deviations from the mean of each condition, `[unit, unit]`; NaN for a unit without any.
    pub noise: Array2<f64>,
    /// Correlations of the means of conditions, `[unit, unit]`; NaN for a unit with equal means, and with fewer than three
    /// conditions.
    pub signal: Array2<f64>,
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
            "correlations of the means of conditions; NaN for a unit with equal means, and with fewer than three conditions",
        ),
        ArrayDoc::new("order", "[unit]", "", "units in the order of the figure"),
        ArrayDoc::new(
            "noise_correlation_by",
            "[group, unit, unit]",
            "",
            "noise correlations in the trials of each group of --by",
        ),
        ArrayDoc::new(
            "signal_correlation_by",
            "[group, unit, unit]",
            "",
            "signal correlations in the trials of each group of --by",
        ),
        BY_NAMES,
    ];

    fn compute(study: &Study, _: &NoOptions) -> Result<Self, Unsuitable> {
        let epoch = study.telling_epoch();
        let rates = study.rates_in(epoch);
        let trials: Vec<usize> = (0..study.batch.n_trials).collect();
        let all = Correlations::of(study, &rates, &trials);
        if all.pairs().is_empty() {
            return Err(Unsuitable::lacks(
                "noise correlations need two units whose rates differ between trials of one condition: add noise (--noise) or trials (--trials N)",
            ));
        }
        let mut order: Vec<usize> = (0..rates.ncols()).collect();
        let preference = study.choice_preference();
        let is_sorted = preference.is_some();
        if let Some(preference) = preference {
            order.sort_by(|&a, &b| preference[a].total_cmp(&preference[b]));
        }
        let in_group = |group: Group| {
            let found = Correlations::of(study, &rates, &group.trials);
            (group.name, found)
        };
        Ok(Self {
            epoch,
            all,
            groups: study.groups_by()?.into_iter().map(in_group).collect(),
            order,
            is_sorted,
        })
    }

    fn arrays(&self) -> Arrays {
        let arrays = Arrays::default()
            .with("noise_correlation", &self.all.noise)
            .with("signal_correlation", &self.all.signal)
            .with("order", &self.order);
        if self.groups.is_empty() {
            return arrays;
        }
        let names: Vec<String> = self.groups.iter().map(|(name, _)| name.clone()).collect();
        let n = self.order.len();
        let by = |of: fn(&Correlations) -> &Array2<f64>| {
            let shape = (self.groups.len(), n, n);
            Array3::from_shape_fn(shape, |(g, i, j)| of(&self.groups[g].1)[[i, j]])
        };
        arrays
            .with("noise_correlation_by", &by(|found| &found.noise))
            .with("signal_correlation_by", &by(|found| &found.signal))
            .with(BY_NAMES.name, &names)
    }

    fn statements(&self) -> Vec<String> {
        let place = format!(" in the {} epoch", spoken(self.epoch));
        let mut lines = vec![self.all.statement("", &place)];
        let pairs = self.all.pairs();
        let both = correlation(pairs.iter().map(|pair| (pair[0], pair[1])));
        if both.is_finite() {
            lines.push(format!(
                "correlation of noise and signal correlations {}",
                short(both)
            ));
        }
        let constant = self.all.noise.diag().iter().filter(|x| x.is_nan()).count();
        if constant > 0 {
            lines.push(format!(
                "grey: {} without differences between trials of one condition",
                counted(constant, "unit")
            ));
        }
        match self.all.counts[1] {
            1 => lines.push("all trials have one condition: whatever differs between them counts as noise, random inputs included; signal correlations are not defined".to_owned()),
            n if n < LEAST_CONDITIONS => lines.push(format!(
                "signal correlations need at least {LEAST_CONDITIONS} conditions; there are {n}"
            )),
            _ => {}
        }
        let groups = self.groups.iter();
        lines.extend(groups.map(|(name, found)| found.statement(&format!("{name}: "), "")));
        lines
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let shown: Vec<(&str, &Correlations)> = if self.groups.is_empty() {
            vec![("", &self.all)]
        } else {
            let groups = self.groups.iter().take(MOST_GROUP_PANELS);
            groups.map(|(name, found)| (&name[..], found)).collect()
        };
        let has_signal = shown.iter().any(|(_, found)| found.has_signal());
        let columns_mm = [38.0, BAR_MM, 40.0];
        let columns_mm = &columns_mm[..if has_signal { 3 } else { 2 }];
        let mut figure = Figure::new(columns_mm, &vec![38.0; shown.len()]);
        for (row, (name, found)) in shown.into_iter().enumerate() {
            let sorted = found
                .noise
                .select(Axis(0), &self.order)
                .select(Axis(1), &self.order);
            figure
                .cell(row, 0)
                .title(found.title(name))
                .x_label(if self.is_sorted {
                    "unit (sorted by preference)"
                } else {
                    "unit"
                })
                .matrix(&sorted, [-1.0, 1.0], ColourMap::BlueWhiteRed);
            if found.has_signal() {
                found.draw_pairs(figure.cell(row, 2));
            }
        }
        figure
            .cell(0, 1)
            .colour_bar([-1.0, 1.0], ColourMap::BlueWhiteRed, "noise correlation");
        vec![("", figure)]
    }
}

/// Groups trials that have the epoch of the rates by condition, for conditions with several of them.
fn repeated_conditions(study: &Study, rates: &Array2<f64>, trials: &[usize]) -> Vec<Vec<usize>> {
    let conditions = &study.batch.conditions;
    let is_known = |b: &usize| rates[[*b, 0]].is_finite();
    let trials: Vec<usize> = trials.iter().copied().filter(is_known).collect();
    let key = |&b: &usize| conditions.iter().map(|(_, values)| values[b]).collect();
    let mut cells: Vec<Vec<usize>> = selectivity::groups(trials.iter().map(key))
        .into_iter()
        .map(|(_, members)| members.into_iter().map(|i| trials[i]).collect())
        .collect();
    cells.retain(|own| own.len() > 1);
    cells
}

impl Correlations {
    /// Returns the title of the matrix: the group, the number of trials and the meaning of grey.
    fn title(&self, group: &str) -> String {
        let n = format!("n = {} trials", self.counts[0]);
        let has_grey = self.noise.diag().iter().any(|x| x.is_nan());
        let grey = if has_grey { "grey: no variance" } else { "" };
        let parts = [group, &n, grey].into_iter();
        let known: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
        known.join("; ")
    }

    fn of(study: &Study, rates: &Array2<f64>, trials: &[usize]) -> Self {
        let cells = repeated_conditions(study, rates, trials);
        let n_units = rates.ncols();
        let mut means = Array2::zeros((cells.len(), n_units));
        let mut left = vec![Array2::zeros((0, n_units))];
        for (mut row, own) in means.outer_iter_mut().zip(&cells) {
            let (mean, deviations) = centred(rates.select(Axis(0), own).view());
            row.assign(&mean);
            left.push(deviations);
        }
        let views: Vec<_> = left.iter().map(|a| a.view()).collect();
        let left = ndarray::concatenate(Axis(0), &views).expect("rows of one width");
        let tuned = if cells.is_empty() {
            means
        } else {
            centred(means.view()).1
        };
        let signal = if cells.len() < LEAST_CONDITIONS {
            Array2::from_elem((n_units, n_units), f64::NAN)
        } else {
            correlations(&tuned)
        };
        Self {
            noise: correlations(&left),
            signal,
            counts: [left.nrows(), cells.len()],
        }
    }

    /// Returns true if a pair of units has a signal correlation.
    fn has_signal(&self) -> bool {
        self.pairs().iter().any(|pair| pair[0].is_finite())
    }

    /// Returns signal and noise correlation of each pair of units that has a noise correlation.
    fn pairs(&self) -> Vec<[f64; 2]> {
        let n = self.noise.nrows();
        (0..n)
            .flat_map(|i| (0..i).map(move |j| (i, j)))
            .map(|at| [self.signal[at], self.noise[at]])
            .filter(|pair| pair[1].is_finite())
            .collect()
    }

    /// Describes the noise correlations between a beginning and an end.
    fn statement(&self, begin: &str, end: &str) -> String {
        let noise: Vec<f64> = self.pairs().iter().map(|pair| pair[1]).collect();
        if noise.is_empty() {
            return format!("{begin}no two units differ between trials of one condition");
        }
        let (mean, std) = mean_and_std(&noise);
        format!(
            "{begin}noise correlation {} ± {} (mean and standard deviation over pairs of units), {} of {}{end}",
            rounded(mean, 3),
            rounded(std, 3),
            counted(self.counts[0], "trial"),
            counted(self.counts[1], "condition"),
        )
    }

    /// Draws the noise correlation of pairs against their signal correlation, and the mean of it.
    fn draw_pairs(&self, panel: &mut Panel) {
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
        panel
            .x("signal correlation", [-1.0, 1.0])
            .y("noise correlation", [-1.0, 1.0])
            .add(Layer::points(x, y, Rgb([190, 190, 190])).radius(0.25))
            .add(Layer::guide([-1.0, 1.0], [0.0, 0.0]))
            .add(
                Layer::line(centres, means, colour(0))
                    .wide(0.4)
                    .named("mean"),
            );
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
