//! Linear decoding of task variables over time, and its generalisation from one time to others.

use ndarray::{Array2, Array3, Axis, s};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answer, Unsuitable};
use crate::arrays::ArrayDoc;
use crate::epochs::Epochs;
use crate::groups::numbers;
use crate::linear_decoder::Decoder;
use crate::plot::{BAR_MM, ColourMap, Figure, Layer, Panel, Rgb, colour, panel_mm};
use crate::responses::{Responses, repeats};
use crate::statistics::permutation;
use crate::text::{rounded, short};
use crate::variables::{Role, Variable, natural, requested, shown};
use crate::{Arrays, Pca, Study};

/// Largest number of variables without a list of them.
const MOST_VARIABLES: usize = 4;
/// Largest number of classes of a variable; more levels are merged.
const MOST_CLASSES: usize = 12;
/// Number of the random numbers that assign trials to folds.
const PURPOSE: u32 = 22;

/// Settings of decoding.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DecodingOptions {
    /// Variables to decode: `choice`, `correct`, names of conditions, products `a*b` and differences `a-b` of two. Of
    /// evidence the sign is decoded. Empty for those of `--by`, or the choice, the evidence and other conditions, four at
    /// most.
    pub variables: Vec<String>,
    /// Number of folds of the cross-validation.
    pub folds: usize,
    /// Largest number of time bins.
    pub bins: usize,
    /// Number of principal components of the rates that the decoder sees; they know no labels.
    pub components: usize,
}

impl Default for DecodingOptions {
    fn default() -> Self {
        Self {
            variables: Vec::new(),
            folds: 5,
            bins: 50,
            components: 50,
        }
    }
}

/// Accuracy of linear decoders, trained at one time and tested at all others.
#[derive(Clone, Debug)]
pub struct Decoding {
    /// Decoded variables.
    pub decoded: Vec<Decoded>,
    /// Middle of each time bin.
    pub t_ms: Vec<f64>,
    epochs: Epochs,
    n_folds: usize,
    repeats: bool,
}

/// Decoding of one variable.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// Name of the variable.
    pub name: String,
    /// Names of its classes.
    pub classes: Vec<String>,
    /// Number of trials of each class.
    pub n_trials: Vec<usize>,
    /// Fraction of held-out trials that are decoded correctly, averaged over classes, `[time of training, time of test]`;
    /// NaN where a class has no trial.
    pub accuracy: Array2<f64>,
    /// Standard error of the accuracy of training and test at one time, `[time]`: from the binomial ones of the classes, as
    /// if held-out trials were independent.
    pub error: Vec<f64>,
}

/// Trials with the class of each.
struct Labels {
    name: String,
    classes: Vec<String>,
    trials: Vec<usize>,
    labels: Vec<usize>,
}

/// Projected responses in time bins.
struct Binned {
    /// Values `[trial, bin, component]`.
    values: Array3<f64>,
    /// Number of bins of each trial.
    n_bins: Vec<usize>,
    t_ms: Vec<f64>,
}

impl Answer for Decoding {
    type Options = DecodingOptions;

    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new(
            "accuracy_{}",
            "[bin of training, bin of test]",
            "fraction",
            "held-out trials decoded correctly, averaged over the classes of a variable",
        ),
        ArrayDoc::new(
            "error_{}",
            "[bin]",
            "fraction",
            "standard error of the accuracy of training and test in one bin: that of the mean of one binomial fraction for each class, as if held-out trials were independent",
        ),
        ArrayDoc::new(
            "n_trials_{}",
            "[class]",
            "",
            "number of trials of each class",
        ),
        ArrayDoc::new("bin_ms", "[bin]", "ms", "middle of each time bin"),
        ArrayDoc::new(
            "variable_names",
            "[variable]",
            "",
            "names of the variables, in the order of their numbers",
        ),
        ArrayDoc::new(
            "class_names_{}",
            "[class]",
            "",
            "names of the classes of a variable",
        ),
    ];

    fn compute(study: &Study, options: &DecodingOptions) -> Result<Self, Unsuitable> {
        let n_folds = options.folds.max(2);
        let wanted = wanted(study, &options.variables, n_folds)?;
        let binned = Binned::of(study, &study.rates, options)?;
        let decode = |labels: Labels| {
            let found = accuracy(&binned, &labels, n_folds, study.seed);
            Decoded {
                accuracy: found.accuracy,
                error: found.error,
                n_trials: labels.counts(),
                name: labels.name,
                classes: labels.classes,
            }
        };
        Ok(Self {
            decoded: wanted.into_iter().map(decode).collect(),
            t_ms: binned.t_ms,
            epochs: Epochs::of(study),
            n_folds,
            repeats: repeats(study),
        })
    }

    fn arrays(&self) -> Arrays {
        let names = self.decoded.iter().map(|decoded| decoded.name.clone());
        let arrays = Arrays::default()
            .with("bin_ms", &self.t_ms)
            .with("variable_names", &names.collect::<Vec<String>>());
        self.decoded
            .iter()
            .enumerate()
            .fold(arrays, |arrays, (k, decoded)| {
                arrays
                    .with(format!("accuracy_{k}"), &decoded.accuracy)
                    .with(format!("error_{k}"), &decoded.error)
                    .with(format!("n_trials_{k}"), &decoded.n_trials)
                    .with(format!("class_names_{k}"), &decoded.classes)
            })
    }

    fn statements(&self) -> Vec<String> {
        let line = |decoded: &Decoded| {
            let best = decoded.best()?;
            Some(format!(
                "{} ({} trials): {} % decoded correctly at {} ms (chance {} %)",
                decoded.name,
                decoded.n_trials.iter().sum::<usize>(),
                rounded(100.0 * decoded.accuracy[[best, best]], 1),
                short(self.t_ms[best]),
                rounded(100.0 * decoded.chance(), 1)
            ))
        };
        let mut lines: Vec<String> = self.decoded.iter().filter_map(line).collect();
        lines.push(format!(
            "{}-fold cross-validation; areas: standard errors of the accuracy; dashed: chance",
            self.n_folds
        ));
        if self.repeats {
            let why =
                "trials of one condition do not differ: held-out trials repeat those of training";
            lines.push(why.to_owned());
        }
        lines.extend(self.epochs.statement());
        lines
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let n = self.decoded.len();
        let mut columns = vec![panel_mm(n, 34.0); n];
        columns.push(BAR_MM);
        let mut generalisation = Figure::new(&columns, &[34.0]);
        let end = self.t_ms.last().copied().unwrap_or(1.0);
        let start = self.t_ms.first().copied().unwrap_or(0.0);
        let mut course = Figure::new(&[60.0], &[36.0]);
        for (k, decoded) in self.decoded.iter().enumerate() {
            let panel = generalisation.cell(0, k);
            let label = if k == 0 { "time of training (ms)" } else { "" };
            decoded.draw_gain(panel.y(label, [start, end]), [start, end]);
            self.epochs.mark(panel);
            decoded.draw_course(course.cell(0, 0), &self.t_ms, colour(k));
        }
        generalisation.cell(0, n).colour_bar(
            [-1.0, 1.0],
            ColourMap::BlueWhiteRed,
            "accuracy (0 chance, 1 perfect)",
        );
        let panel = course.cell(0, 0);
        let counts = self.decoded.iter().map(|own| own.n_trials.iter().sum());
        panel
            .title(format!("{}; areas: s.e., dashed: chance", numbers(counts)))
            .y("decoding accuracy", [0.0, 1.02])
            .time_axis();
        self.epochs.mark(panel);
        vec![("", course), ("_generalisation", generalisation)]
    }
}

impl Decoded {
    /// Draws the accuracy relative to chance, which is white for any number of classes.
    /// Draws the accuracy at the time of training with its error and chance.
    fn draw_course(&self, panel: &mut Panel, t_ms: &[f64], colour: Rgb) {
        let end = t_ms.last().copied().unwrap_or(1.0);
        let start = t_ms.first().copied().unwrap_or(0.0);
        let diagonal = self.accuracy.diag().to_vec();
        let area = Layer::ribbon(t_ms.to_vec(), &diagonal, &self.error, colour);
        let line = Layer::line(t_ms.to_vec(), diagonal, colour).wide(0.35);
        let chance = Layer::line(vec![start, end], vec![self.chance(); 2], colour);
        panel
            .add(area)
            .add(line.named(&self.name))
            .add(chance.wide(0.15).dashed());
    }

    fn draw_gain(&self, panel: &mut Panel, range: [f64; 2]) {
        let chance = self.chance();
        let gain = self.accuracy.mapv(|a| (a - chance) / (1.0 - chance));
        panel
            .title(&self.name[..])
            .x("time of test (ms)", range)
            .heat_map(&gain, [range; 2], [-1.0, 1.0], ColourMap::BlueWhiteRed);
    }

    /// Returns the accuracy of guessing.
    fn chance(&self) -> f64 {
        1.0 / self.classes.len() as f64
    }

    /// Returns the bin of the highest accuracy of training and test at one time.
    fn best(&self) -> Option<usize> {
        let diagonal = self.accuracy.diag();
        let known = (0..diagonal.len()).filter(|&t| diagonal[t].is_finite());
        known.max_by(|&a, &b| diagonal[a].total_cmp(&diagonal[b]).then(b.cmp(&a)))
    }
}

impl Labels {
    /// Returns the classes of a variable; `None` unless at least two have a trial in every fold.
    fn of(study: &Study, variable: &Variable, n_folds: usize) -> Option<Self> {
        let trials = shown(study, std::slice::from_ref(variable));
        let is_signed = variable.role == Role::Evidence
            && variable.levels.iter().any(|(x, _)| *x < 0.0)
            && variable.levels.iter().any(|(x, _)| *x > 0.0);
        let label = &variable.quantity.label;
        let (name, names, class_of): (String, Vec<String>, Vec<Option<usize>>) = if is_signed {
            let sign = |x: &f64| (*x != 0.0 && !x.is_nan()).then(|| usize::from(*x > 0.0));
            let names = ["negative", "positive"].map(str::to_owned).to_vec();
            let name = format!("sign of {label}");
            (name, names, variable.values.iter().map(sign).collect())
        } else {
            let names = variable.level_names(MOST_CLASSES);
            (label.clone(), names, variable.level_of(MOST_CLASSES))
        };
        let count = |class: usize| {
            trials
                .iter()
                .filter(|&&b| class_of[b] == Some(class))
                .count()
        };
        let kept: Vec<usize> = (0..names.len()).filter(|&c| count(c) >= n_folds).collect();
        let pairs = trials.iter().filter_map(|&b| {
            let place = kept.iter().position(|c| Some(*c) == class_of[b])?;
            Some((b, place))
        });
        let (trials, labels) = pairs.unzip();
        (kept.len() > 1).then(|| Self {
            name,
            classes: kept.iter().map(|&c| names[c].clone()).collect(),
            trials,
            labels,
        })
    }

    fn counts(&self) -> Vec<usize> {
        let count = |class: usize| self.labels.iter().filter(|&&label| label == class).count();
        (0..self.classes.len()).map(count).collect()
    }

    /// Returns the fold of each trial: the trials of a class are dealt out in random order.
    fn folds(&self, n_folds: usize, seed: u64) -> Vec<usize> {
        let mut folds = vec![0; self.trials.len()];
        for class in 0..self.classes.len() {
            let own: Vec<usize> = (0..self.labels.len())
                .filter(|&i| self.labels[i] == class)
                .collect();
            let order = permutation(own.len(), seed, PURPOSE, class);
            order
                .iter()
                .enumerate()
                .for_each(|(k, &i)| folds[own[i]] = k % n_folds);
        }
        folds
    }
}

impl Binned {
    /// Averages z-scored rates, or other `values [trial, time, unit]`, in time bins and projects them on their principal components.
    fn of(
        study: &Study,
        values: &Array3<f64>,
        options: &DecodingOptions,
    ) -> Result<Self, Unsuitable> {
        let all: Vec<usize> = (0..study.batch.n_trials).collect();
        let responses = Responses::of(values, &study.batch.n_steps, &all, 0.0);
        let n_steps = responses.n_common_steps(&all);
        let size = n_steps.div_ceil(options.bins.max(1)).max(1);
        let n_bins: Vec<usize> = responses
            .n_steps
            .iter()
            .map(|&n| n.min(n_steps) / size)
            .collect();
        let most = n_steps / size;
        let binned = bin_means(&responses, &n_bins, most, size);
        let rows: Vec<_> = n_bins
            .iter()
            .enumerate()
            .flat_map(|(b, &n)| (0..n).map(move |bin| (b, bin)))
            .map(|(b, bin)| binned.slice(s![b, bin, ..]))
            .collect();
        if rows.len() < 2 {
            return Err(Unsuitable::lacks("the trials are too short to be decoded"));
        }
        let stacked = ndarray::stack(Axis(0), &rows).expect("rows of one width");
        let pca = Pca::of(stacked.view())?;
        if pca.rank() == 0 {
            return Err(Unsuitable::lacks(
                "no rate changes, so nothing can be decoded",
            ));
        }
        let k = pca.rank().min(options.components.max(1));
        let axes = pca.components.slice(s![..k, ..]).to_owned();
        let middle =
            |bin: usize| ((bin * size) as f64 + 0.5 * (size + 1) as f64) * study.dynamics.dt_ms;
        Ok(Self {
            values: crate::courses::projected(&binned, &pca.mean, &axes),
            n_bins,
            t_ms: (0..most).map(middle).collect(),
        })
    }

    /// Returns the responses of some trials in one bin, `[trial, component]`.
    fn at(&self, trials: &[usize], bin: usize) -> Array2<f64> {
        self.values.index_axis(Axis(1), bin).select(Axis(0), trials)
    }
}

/// Averages responses in up to `most` bins of `size` time steps, `[trial, bin, unit]`.
fn bin_means(responses: &Responses, n_bins: &[usize], most: usize, size: usize) -> Array3<f64> {
    let mut binned = Array3::zeros((n_bins.len(), most, responses.values.dim().2));
    for (b, &n) in n_bins.iter().enumerate() {
        for bin in 0..n {
            let rows = responses
                .values
                .slice(s![b, bin * size..(bin + 1) * size, ..]);
            let mean = rows.mean_axis(Axis(0)).unwrap_or_default();
            binned.slice_mut(s![b, bin, ..]).assign(&mean);
        }
    }
    binned
}

/// Decoding of one variable over time, trained and tested at the same times.
pub(super) struct Course {
    pub name: String,
    pub classes: Vec<String>,
    /// Fraction of held-out trials that are decoded correctly, averaged over classes, in each bin.
    pub accuracy: Vec<f64>,
}

/// Decodes the variables from `values [trial, time, unit]` over time, and returns the middles of the bins in ms.
///
/// # Errors
/// If there is no variable, or nothing in the values that changes.
pub(super) fn course(
    study: &Study,
    values: &Array3<f64>,
    options: &DecodingOptions,
) -> Result<(Vec<Course>, Vec<f64>), Unsuitable> {
    let n_folds = options.folds.max(2);
    let wanted = wanted(study, &options.variables, n_folds)?;
    let binned = Binned::of(study, values, options)?;
    let decode = |labels: Labels| Course {
        accuracy: accuracy(&binned, &labels, n_folds, study.seed)
            .accuracy
            .diag()
            .to_vec(),
        name: labels.name,
        classes: labels.classes,
    };
    Ok((wanted.into_iter().map(decode).collect(), binned.t_ms))
}

/// Returns the trials and classes of the named variables, or of those of the task.
fn wanted(study: &Study, names: &[String], n_folds: usize) -> Result<Vec<Labels>, Unsuitable> {
    let few = |what: &str| {
        Unsuitable::Lacks(format!(
            "{what} with two or more values that occur in at least {n_folds} trials each"
        ))
    };
    let Some(requested) = requested(study, names)? else {
        let all = natural(study);
        let found = all
            .iter()
            .filter_map(|variable| Labels::of(study, variable, n_folds));
        let found: Vec<Labels> = found.take(MOST_VARIABLES).collect();
        return if found.is_empty() {
            Err(few("the task has no variable"))
        } else {
            Ok(found)
        };
    };
    let of = |variable: &Variable| {
        let found = Labels::of(study, variable, n_folds);
        found.ok_or_else(|| few(&format!("`{}` is not a variable", variable.name)))
    };
    requested.iter().map(of).collect()
}

/// Adds the numbers of right and of all tests `[bin, class]` of a decoder.
fn count_right(
    decoder: &Decoder,
    tests: &[(Array2<f64>, Vec<usize>)],
    [right, tested]: &mut [Array2<f64>; 2],
) {
    for (t, (x, own)) in tests.iter().enumerate() {
        for (class, label) in decoder.classes(x.view()).into_iter().zip(own) {
            tested[[t, *label]] += 1.0;
            right[[t, *label]] += f64::from(u8::from(class == *label));
        }
    }
}

/// Accuracy of decoders, and its standard error where training and test are at one time.
struct Accuracy {
    accuracy: Array2<f64>,
    error: Vec<f64>,
}

/// Trains a decoder at every time on all folds but one and tests it at all times on that one.
fn accuracy(binned: &Binned, labels: &Labels, n_folds: usize, seed: u64) -> Accuracy {
    let n = binned.t_ms.len();
    let n_classes = labels.classes.len();
    let folds = labels.folds(n_folds, seed);
    let members = |bin: usize, is_in: &dyn Fn(usize) -> bool| -> (Vec<usize>, Vec<usize>) {
        let all = 0..labels.trials.len();
        all.filter(|&i| is_in(folds[i]) && binned.n_bins[labels.trials[i]] > bin)
            .map(|i| (labels.trials[i], labels.labels[i]))
            .unzip()
    };
    // Tested trials of each fold and bin, with their labels.
    let tests: Vec<Vec<(Array2<f64>, Vec<usize>)>> = (0..n_folds)
        .map(|fold| {
            let of = |bin: usize| {
                let (trials, own) = members(bin, &|f| f == fold);
                (binned.at(&trials, bin), own)
            };
            (0..n).map(of).collect()
        })
        .collect();
    let row = |train: usize| -> (Vec<f64>, f64) {
        let mut counts = [0, 1].map(|_| Array2::<f64>::zeros((n, n_classes)));
        for (fold, tests) in tests.iter().enumerate() {
            let (trials, own) = members(train, &|f| f != fold);
            let found = Decoder::fit(binned.at(&trials, train).view(), &own, n_classes);
            if let Some(decoder) = found {
                count_right(&decoder, tests, &mut counts);
            }
        }
        let [right, tested] = counts;
        let parts = right / &tested;
        let here = parts.row(train).into_iter().zip(tested.row(train));
        let variance: f64 = here.map(|(p, n)| p * (1.0 - p) / n).sum();
        let mean = parts.mean_axis(Axis(1)).unwrap_or_default();
        (mean.to_vec(), variance.sqrt() / n_classes as f64)
    };
    let (rows, error): (Vec<Vec<f64>>, Vec<f64>) = (0..n).into_par_iter().map(row).unzip();
    Accuracy {
        accuracy: Array2::from_shape_fn((n, n), |(i, j)| rows[i][j]),
        error,
    }
}

#[cfg(test)]
mod tests;
