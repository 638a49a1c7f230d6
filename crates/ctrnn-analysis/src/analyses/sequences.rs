//! Sequences: units that are active one after another.

use ctrnn_tasks::counted;
use ndarray::{Array2, Array3, ArrayView1, Axis, s};

use super::{Answer, NoOptions, Unsuitable};
use crate::arrays::ArrayDoc;
use crate::epochs::Epochs;
use crate::groups::{BY_NAMES, Group, MOST_GROUP_PANELS};
use crate::plot::{BAR_MM, ColourMap, Figure, Panel, panel_mm};
use crate::responses::common_steps;
use crate::statistics::{correlation, median};
use crate::text::{rounded, short};
use crate::{Arrays, Study};

/// Half of the width of the ridge around a peak, as a fraction of the duration.
const RIDGE: f64 = 0.05;
/// Largest number of panels in a row.
const IN_A_ROW: usize = 4;
const BAR_LABEL: &str = "rate (least to largest)";

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
    /// The same units in the even trials of each group of `study.by`.
    pub groups: Vec<GroupSequence>,
    epochs: Epochs,
    dt_ms: f64,
}

/// The units of a sequence in the even trials of a group.
#[derive(Clone, Debug)]
pub struct GroupSequence {
    /// Name of the group.
    pub name: String,
    /// Time of the peak of each unit; NaN for one that does not change.
    pub peak_ms: Vec<f64>,
    /// Mean rates scaled to the range from 0 to 1, `[unit, time]`; NaN for a unit that does not change.
    pub courses: Array2<f64>,
    /// Sequentiality index; NaN with fewer than two units that change.
    pub sequentiality: f64,
    /// Correlation of the peaks with those of all odd trials.
    pub agreement: f64,
}

impl GroupSequence {
    /// Computes the sequence in a group; `odd_ms` are the peaks of the units `order` in all odd trials.
    fn of(study: &Study, group: Group, order: &[usize], odd_ms: ArrayView1<f64>) -> Self {
        let course = mean_course(study, &group.trials, 1);
        let courses = scaled(&course).select(Axis(1), order).reversed_axes();
        let peak = |unit: ArrayView1<f64>| unit[0].is_finite().then(|| peak_of(unit));
        let peaks: Vec<Option<usize>> = match course.nrows() {
            0 => vec![None; order.len()],
            _ => courses.outer_iter().map(peak).collect(),
        };
        let ms = |t: usize| (t + 1) as f64 * study.dynamics.dt_ms;
        let peak_ms: Vec<f64> = peaks.iter().map(|t| t.map_or(f64::NAN, ms)).collect();
        let changing: Vec<usize> = (0..order.len()).filter(|&k| peaks[k].is_some()).collect();
        let own: Vec<usize> = peaks.iter().copied().flatten().collect();
        Self {
            name: group.name,
            sequentiality: if changing.len() < 2 {
                f64::NAN
            } else {
                sequentiality(
                    peak_entropy(&own, course.nrows()),
                    sparsity(&courses.select(Axis(0), &changing)),
                )
            },
            agreement: correlation(peak_ms.iter().copied().zip(odd_ms.iter().copied())),
            peak_ms,
            courses,
        }
    }

    fn statement(&self) -> String {
        if self.sequentiality.is_nan() {
            return format!("{}: fewer than two units change over time", self.name);
        }
        format!(
            "{}: sequentiality index {}, correlation of the peak times with those of all odd trials {}",
            self.name,
            rounded(self.sequentiality, 2),
            rounded(self.agreement, 2)
        )
    }
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
        ArrayDoc::new(
            "courses_by",
            "[group, k, time]",
            "fraction",
            "courses in the even trials of each group of --by; NaN for a unit that does not change there, and after the end",
        ),
        ArrayDoc::new(
            "peak_ms_by",
            "[group, k]",
            "ms",
            "peak of the units in the even trials of each group of --by",
        ),
        ArrayDoc::new(
            "sequentiality_by",
            "[group]",
            "",
            "sequentiality in each group of --by",
        ),
        BY_NAMES,
    ];

    fn compute(study: &Study, _: &NoOptions) -> Result<Self, Unsuitable> {
        let all: Vec<usize> = (0..study.batch.n_trials).collect();
        let halves = [0, 1].map(|half| mean_course(study, &all, half));
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
        let peak = |half: usize, unit: usize| peak_of(scaled[half].column(unit));
        order.sort_by_key(|&unit| peak(0, unit));
        let dt_ms = study.dynamics.dt_ms;
        let peak_ms = Array2::from_shape_fn((order.len(), 2), |(i, half)| {
            (peak(half, order[i]) + 1) as f64 * dt_ms
        });
        let courses = scaled[1].select(Axis(1), &order).reversed_axes();
        let odd: Vec<usize> = order.iter().map(|&unit| peak(0, unit)).collect();
        let even: Vec<usize> = order.iter().map(|&unit| peak(1, unit)).collect();
        let groups = study.groups_by()?.into_iter();
        let groups = groups.map(|own| GroupSequence::of(study, own, &order, peak_ms.column(0)));
        Ok(Self {
            groups: groups.collect(),
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
        let arrays = Arrays::default()
            .with("order", &self.order)
            .with("peak_ms", &self.peak_ms)
            .with("courses", &self.courses)
            .with("ridge_to_background", &self.ridge)
            .with("sequentiality", &self.sequentiality())
            .with("peak_entropy", &self.peak_entropy)
            .with("sparsity", &self.sparsity);
        let Some(longest) = self.groups.iter().map(|own| own.courses.ncols()).max() else {
            return arrays;
        };
        let names: Vec<String> = self.groups.iter().map(|own| own.name.clone()).collect();
        let (n_groups, n_units) = (names.len(), self.order.len());
        let courses = Array3::from_shape_fn((n_groups, n_units, longest), |(g, k, t)| {
            let value = self.groups[g].courses.get([k, t]);
            value.copied().unwrap_or(f64::NAN)
        });
        let peaks = Array2::from_shape_fn((n_groups, n_units), |(g, k)| self.groups[g].peak_ms[k]);
        let indices: Vec<f64> = self.groups.iter().map(|own| own.sequentiality).collect();
        arrays
            .with("courses_by", &courses)
            .with("peak_ms_by", &peaks)
            .with("sequentiality_by", &indices)
            .with(BY_NAMES.name, &names)
    }

    fn statements(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "sequentiality index {} (peak entropy {}, temporal sparsity {}) of {}",
            rounded(self.sequentiality(), 2),
            rounded(self.peak_entropy, 2),
            rounded(self.sparsity, 2),
            counted(self.order.len(), "unit")
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
        lines.extend(self.groups.iter().map(GroupSequence::statement));
        lines
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let end = self.courses.ncols() as f64 * self.dt_ms;
        let mut figure = Figure::new(&[52.0, BAR_MM, 36.0], &[44.0]);
        let panel = figure.cell(0, 0);
        self.draw(
            panel.title("even trials, sorted by odd ones"),
            &self.courses,
        );
        figure
            .cell(0, 1)
            .colour_bar([0.0, 1.0], ColourMap::Blues, BAR_LABEL);
        let peaks = self.peak_ms.column(1).to_vec();
        let panel = figure.cell(0, 2);
        panel.histogram(["time of the peak (ms)", "units"], &peaks, [0.0, end], 15);
        let mut figures = vec![("", figure)];
        if !self.groups.is_empty() {
            figures.push(("_groups", self.draw_groups()));
        }
        figures
    }
}

impl Sequences {
    /// Draws the courses of the units `[unit, time]`, the first on top.
    fn draw(&self, panel: &mut Panel, courses: &Array2<f64>) {
        let [n, end] = [courses.nrows() as f64, courses.ncols() as f64 * self.dt_ms];
        panel
            .x("time (ms)", [0.0, end])
            .y("unit (sorted by its peak)", [n, 0.0])
            .heat_map(
                courses,
                [[0.0, end], [0.0, n]],
                [0.0, 1.0],
                ColourMap::Blues,
            );
        self.epochs.mark(panel);
    }

    /// Draws the units in each group, in the order of their peaks in all odd trials.
    fn draw_groups(&self) -> Figure {
        let shown = &self.groups[..self.groups.len().min(MOST_GROUP_PANELS)];
        let n_columns = shown.len().min(IN_A_ROW);
        let mut columns = vec![panel_mm(n_columns, 52.0); n_columns];
        columns.push(BAR_MM);
        let mut figure = Figure::new(&columns, &vec![40.0; shown.len().div_ceil(IN_A_ROW)]);
        for (k, own) in shown.iter().enumerate() {
            let panel = figure.cell(k / IN_A_ROW, k % IN_A_ROW);
            self.draw(panel.title(&own.name[..]), &own.courses);
            if k % IN_A_ROW > 0 {
                panel.y_label("");
            }
        }
        let bar = figure.cell(0, n_columns);
        bar.colour_bar([0.0, 1.0], ColourMap::Blues, BAR_LABEL);
        figure
    }

    /// Returns the sequentiality index.
    ///
    /// # References
    /// Zhou, Masmanidis & Buonomano (2020), Neural sequences as an optimal dynamical regime for the readout of time.
    fn sequentiality(&self) -> f64 {
        sequentiality(self.peak_entropy, self.sparsity)
    }
}

fn sequentiality(peak_entropy: f64, sparsity: f64) -> f64 {
    (peak_entropy * sparsity).max(0.0).sqrt()
}

/// Returns the time step of the first peak of a course.
fn peak_of(course: ArrayView1<f64>) -> usize {
    (0..course.len()).fold(0, |best, t| if course[t] > course[best] { t } else { best })
}

/// Averages the rates of the odd (`half` 0: the first, third, ... one) or even of some trials, as long as at least half of
/// them are running, `[time, unit]`.
fn mean_course(study: &Study, trials: &[usize], half: usize) -> Array2<f64> {
    // Every second trial of a condition, since trials cycle through the conditions.
    let conditions = &study.batch.conditions;
    let key = |&b: &usize| conditions.iter().map(|(_, values)| values[b]).collect();
    let cells = crate::selectivity::groups(trials.iter().map(key));
    let is_alone = cells.iter().all(|(_, own)| own.len() == 1);
    let every_second =
        |own: &[usize]| -> Vec<usize> { own.iter().copied().skip(half).step_by(2).collect() };
    let trials: Vec<usize> = if is_alone {
        every_second(trials)
    } else {
        let places = cells.iter().flat_map(|(_, own)| every_second(own));
        places.map(|i| trials[i]).collect()
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
    let ratio = |(course, &peak): (ArrayView1<f64>, &usize)| {
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
        assert!(found.groups.is_empty());
    }

    /// In the second of two groups the units are active in the opposite order.
    #[test]
    fn a_group_shows_the_units_in_the_order_of_all_trials() {
        let context: Vec<f64> = (0..12).map(|b| f64::from(u8::from(b % 3 == 2))).collect();
        let rates = Array3::from_shape_fn((12, 20, 10), |(b, t, n)| {
            let peak = if b % 3 == 2 { 9 - n } else { n };
            f64::from(u8::from(t / 2 == peak))
        });
        let synthetic = Synthetic::of(&[("context", context)], rates);
        let mut study = synthetic.study();
        study.by = vec!["context".to_owned()];
        let found = Sequences::compute(&study, &NoOptions::default()).unwrap();
        assert_eq!(found.order, (0..10).collect::<Vec<_>>());
        let agreement: Vec<f64> = found.groups.iter().map(|own| own.agreement).collect();
        assert!((agreement[0] - 1.0).abs() < 1e-12 && (agreement[1] + 1.0).abs() < 1e-12);
        assert!((found.groups[1].sequentiality - 1.0).abs() < 1e-12);
        assert_eq!(found.arrays()["courses_by"].shape(), [2, 10, 20]);
        let figures = found.figures();
        assert!(figures[1].1.to_svg().contains(">context = colour</text>"));
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
