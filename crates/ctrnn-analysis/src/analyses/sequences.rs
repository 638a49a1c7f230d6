//! Sequences: units that are active one after another.

use ndarray::{Array2, Axis, s};

use super::{Answer, NoOptions, Unsuitable};
use crate::arrays::ArrayDoc;
use crate::epochs::Epochs;
use crate::plot::{BAR_MM, ColourMap, Figure};
use crate::responses::common_steps;
use crate::statistics::{correlation, median};
use crate::text::{rounded, short};
use crate::{Arrays, Study};

/// Half of the width of the ridge around a peak, as a fraction of the duration.
const RIDGE: f64 = 0.05;

/// Order of units by the time of their peak, and measures of how sequential their activity is.
///
/// Peaks and order come from the odd trials; all measures from the even ones.
#[derive(Clone, Debug)]
pub struct Sequences {
    /// Units whose mean rate changes, in order of the peak in the odd trials.
    pub order: Vec<usize>,
    /// Time of the peak of each of these units in odd and in even trials, `[unit, 2]`.
    pub peak_ms: Array2<f64>,
    /// Mean rate in even trials of these units, scaled to the range from 0 to 1, `[unit, time]`.
    pub courses: Array2<f64>,
    /// Correlation of the peaks in odd and even trials.
    pub agreement: f64,
    /// Entropy of the peak times relative to that of a uniform distribution.
    pub peak_entropy: f64,
    /// Temporal sparsity: 1 if only one unit is active at a time, 0 if all are.
    pub sparsity: f64,
    /// Ridge-to-background ratio of each unit.
    pub ridge: Vec<f64>,
    epochs: Epochs,
    dt_ms: f64,
}

impl Answer for Sequences {
    type Options = NoOptions;

    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new(
            "order",
            "[k]",
            "",
            "units whose mean rate changes, in order of their peak in odd trials",
        ),
        ArrayDoc::new(
            "peak_ms",
            "[k, 2]",
            "ms",
            "peak of these units in odd and in even trials",
        ),
        ArrayDoc::new(
            "courses",
            "[k, time]",
            "fraction",
            "mean rate of these units in even trials, from 0 at the least to 1 at the largest",
        ),
        ArrayDoc::new(
            "ridge_to_background",
            "[k]",
            "",
            "rate around the peak over the rate elsewhere",
        ),
        ArrayDoc::new("sequentiality", "[1]", "", "sqrt(peak_entropy * sparsity)"),
        ArrayDoc::new(
            "peak_entropy",
            "[1]",
            "",
            "entropy of peak times over its maximum",
        ),
        ArrayDoc::new("sparsity", "[1]", "", "temporal sparsity"),
    ];

    fn compute(study: &Study, _: &NoOptions) -> Result<Self, Unsuitable> {
        let halves = [0, 1].map(|half| mean_course(study, half));
        let n_steps = halves[0].nrows().min(halves[1].nrows());
        if n_steps < 3 {
            let why = "sequences need two trials of at least three time steps";
            return Err(Unsuitable::lacks(why));
        }
        let scaled = halves.map(|course| scaled(&course.slice(s![..n_steps, ..]).to_owned()));
        let varies = |&unit: &usize| scaled.iter().all(|half| half[[0, unit]].is_finite());
        let mut order: Vec<usize> = (0..study.dynamics.n_units()).filter(varies).collect();
        if order.len() < 2 {
            return Err(Unsuitable::lacks("fewer than two units change over time"));
        }
        let peak = |half: usize, unit: usize| {
            let course = scaled[half].column(unit);
            (0..n_steps).fold(0, |best, t| if course[t] > course[best] { t } else { best })
        };
        order.sort_by_key(|&unit| peak(0, unit));
        let dt_ms = study.dynamics.dt_ms;
        let peak_ms = Array2::from_shape_fn((order.len(), 2), |(i, half)| {
            (peak(half, order[i]) + 1) as f64 * dt_ms
        });
        let courses = scaled[1].select(Axis(1), &order).reversed_axes();
        let odd: Vec<usize> = order.iter().map(|&unit| peak(0, unit)).collect();
        let even: Vec<usize> = order.iter().map(|&unit| peak(1, unit)).collect();
        Ok(Self {
            agreement: correlation(peak_ms.outer_iter().map(|row| (row[0], row[1]))),
            peak_entropy: peak_entropy(&even, n_steps),
            sparsity: sparsity(&courses),
            ridge: ridges(&courses, &odd),
            order,
            peak_ms,
            courses,
            epochs: Epochs::of(study),
            dt_ms,
        })
    }

    fn arrays(&self) -> Arrays {
        Arrays::default()
            .with("order", &self.order)
            .with("peak_ms", &self.peak_ms)
            .with("courses", &self.courses)
            .with("ridge_to_background", &self.ridge)
            .with("sequentiality", &self.sequentiality())
            .with("peak_entropy", &self.peak_entropy)
            .with("sparsity", &self.sparsity)
    }

    fn statements(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "sequentiality index {} (peak entropy {}, temporal sparsity {}) of {} units",
            rounded(self.sequentiality(), 2),
            rounded(self.peak_entropy, 2),
            rounded(self.sparsity, 2),
            self.order.len()
        )];
        let ridge = median(&self.ridge);
        if ridge.is_finite() {
            lines.push(format!(
                "ridge-to-background ratio {} (median)",
                short(ridge)
            ));
        }
        if self.agreement.is_finite() {
            lines.push(format!(
                "correlation of the peak times in odd and in even trials {}",
                rounded(self.agreement, 2)
            ));
        }
        lines
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let end = self.courses.ncols() as f64 * self.dt_ms;
        let n = self.order.len() as f64;
        let mut figure = Figure::new(&[52.0, BAR_MM, 36.0], &[44.0]);
        let panel = figure.cell(0, 0);
        panel
            .title("even trials, sorted by odd ones")
            .x("time (ms)", [0.0, end])
            .y("unit (sorted by its peak)", [n, 0.0])
            .heat_map(
                &self.courses,
                [[0.0, end], [0.0, n]],
                [0.0, 1.0],
                ColourMap::Blues,
            );
        self.epochs.mark(panel);
        figure
            .cell(0, 1)
            .colour_bar([0.0, 1.0], ColourMap::Blues, "rate (least to largest)");
        let peaks = self.peak_ms.column(1).to_vec();
        let panel = figure.cell(0, 2);
        panel.histogram(["time of the peak (ms)", "units"], &peaks, [0.0, end], 15);
        vec![("", figure)]
    }
}

impl Sequences {
    /// Returns the sequentiality index.
    ///
    /// # References
    /// Zhou, Masmanidis & Buonomano (2020), Neural sequences as an optimal dynamical regime for the readout of time.
    fn sequentiality(&self) -> f64 {
        (self.peak_entropy * self.sparsity).max(0.0).sqrt()
    }
}

/// Averages the rates of the odd (`half` 0: the first, third, ... trial) or even trials, as long as at least half of them
/// are running, `[time, unit]`.
fn mean_course(study: &Study, half: usize) -> Array2<f64> {
    // Every second trial of a condition, since trials cycle through the conditions.
    let conditions = &study.batch.conditions;
    let key = |b: usize| conditions.iter().map(|(_, values)| values[b]).collect();
    let cells = crate::selectivity::groups((0..study.batch.n_trials).map(key));
    let is_alone = cells.iter().all(|(_, trials)| trials.len() == 1);
    let trials: Vec<usize> = if is_alone {
        (half..study.batch.n_trials).step_by(2).collect()
    } else {
        cells
            .iter()
            .flat_map(|(_, own)| own.iter().copied().skip(half).step_by(2))
            .collect()
    };
    let n_steps = common_steps(trials.iter().map(|&b| study.batch.n_steps[b]));
    let mut course = Array2::zeros((n_steps, study.dynamics.n_units()));
    for (t, mut row) in course.outer_iter_mut().enumerate() {
        let running = trials.iter().filter(|&&b| study.batch.n_steps[b] > t);
        let mut count = 0.0f64;
        for &b in running {
            row += &study.rates.slice(s![b, t, ..]);
            count += 1.0;
        }
        row /= count.max(1.0);
    }
    course
}

/// Scales the course of each unit `[time, unit]` to the range from 0 to 1; NaN for one that does not change.
fn scaled(course: &Array2<f64>) -> Array2<f64> {
    let mut scaled = course.clone();
    for mut unit in scaled.axis_iter_mut(Axis(1)) {
        let low = unit.iter().copied().fold(f64::INFINITY, f64::min);
        let high = unit.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        // Smaller changes are rounding.
        let range = if high - low > 1e-9 * (1.0 + high.abs()) {
            high - low
        } else {
            f64::NAN
        };
        unit.mapv_inplace(|x| (x - low) / range);
    }
    scaled
}

/// Computes the entropy of peak times over that of a uniform distribution, in as many bins as there are units, or time
/// steps if these are fewer.
fn peak_entropy(peaks: &[usize], n_steps: usize) -> f64 {
    let n_bins = n_steps.min(peaks.len());
    let mut counts = vec![0.0; n_bins];
    peaks
        .iter()
        .for_each(|&t| counts[t * n_bins / n_steps] += 1.0);
    entropy(&counts) / (n_bins as f64).ln()
}

/// Computes the temporal sparsity of courses `[unit, time]`: one minus the mean over time of the entropy of the activity
/// over units, relative to its largest. Times without activity do not count.
fn sparsity(courses: &Array2<f64>) -> f64 {
    let largest = (courses.nrows() as f64).ln();
    let parts = courses.axis_iter(Axis(1)).filter(|at| at.sum() > 0.0);
    let entropies: Vec<f64> = parts.map(|at| entropy(&at.to_vec()) / largest).collect();
    1.0 - entropies.iter().sum::<f64>() / entropies.len() as f64
}

/// Computes the entropy in nats of a distribution that is given up to a factor.
fn entropy(weights: &[f64]) -> f64 {
    let whole: f64 = weights.iter().sum();
    let part = |w: &f64| match w / whole {
        p if p > 0.0 => -p * p.ln(),
        _ => 0.0,
    };
    weights.iter().map(part).sum()
}

/// Computes the ridge-to-background ratio of each course `[unit, time]`: the mean around the given peak over the mean at
/// all other times; NaN without activity at these.
///
/// # References
/// Harvey, Coen & Tank (2012), Choice-specific sequences in parietal cortex during a virtual-navigation decision task.
fn ridges(courses: &Array2<f64>, peaks: &[usize]) -> Vec<f64> {
    let n = courses.ncols();
    let reach = ((RIDGE * n as f64).round() as usize).max(1);
    let ratio = |(course, &peak): (ndarray::ArrayView1<f64>, &usize)| {
        let is_ridge = |t: usize| t.abs_diff(peak) <= reach;
        let mean = |wanted: bool| {
            let own: Vec<f64> = (0..n)
                .filter(|&t| is_ridge(t) == wanted)
                .map(|t| course[t])
                .collect();
            own.iter().sum::<f64>() / own.len() as f64
        };
        match mean(true) / mean(false) {
            ratio if ratio.is_finite() => ratio,
            _ => f64::NAN,
        }
    };
    courses.outer_iter().zip(peaks).map(ratio).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyses::synthetic::Synthetic;
    use ndarray::Array3;

    /// Ten units that are active one at a time, two time steps each: the order is that of the peaks, both parts of the
    /// index are 1.
    #[test]
    fn a_perfect_sequence() {
        let peak = |unit: usize| (7 * unit) % 10;
        let rates = Array3::from_shape_fn((4, 20, 10), |(_, t, n)| {
            f64::from(u8::from(t / 2 == peak(n)))
        });
        let synthetic = Synthetic::of(&[("coh", vec![0.0; 4])], rates);
        let found = Sequences::compute(&synthetic.study(), &NoOptions::default()).unwrap();
        assert_eq!(found.order, [0, 3, 6, 9, 2, 5, 8, 1, 4, 7]);
        assert!((found.peak_entropy - 1.0).abs() < 1e-12);
        assert!((found.sparsity - 1.0).abs() < 1e-12);
        assert!((found.sequentiality() - 1.0).abs() < 1e-12);
        assert!((found.agreement - 1.0).abs() < 1e-12);
    }

    /// All units peak together: no entropy of peak times. Course (0, 1, 0.5, 0.5) with its peak at 1 and a reach of 1
    /// has a ridge of 0.5 and a background of 0.5.
    #[test]
    fn measures_by_hand() {
        assert_eq!(peak_entropy(&[2, 2, 2], 4), 0.0);
        let courses = ndarray::array![[0.0, 1.0, 0.5, 0.5]];
        assert_eq!(ridges(&courses, &[1]), [1.0]);
        let all = Array2::from_elem((3, 4), 1.0);
        assert!(sparsity(&all).abs() < 1e-12);
    }
}
