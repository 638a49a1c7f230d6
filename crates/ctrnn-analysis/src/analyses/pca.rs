//! Trajectories on principal components, and the dimensionality of activity.

use std::borrow::Cow;

use ctrnn_tasks::counted;
use ndarray::{Array1, Array2, Array3, s};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answer, Unsuitable};
use crate::arrays::ArrayDoc;
use crate::courses::{COURSE_ARRAYS, Courses, projected};
use crate::linear_algebra::centred;
use crate::plot::{Figure, Layer, Panel, Rgb, colour};
use crate::selectivity::groups;
use crate::text::{rounded, short, verb};
use crate::{Arrays, Pca, Study};

/// Largest number of components that are kept.
const MOST_COMPONENTS: usize = 10;

/// Settings of principal components.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PcaOptions {
    /// True if the mean over conditions is subtracted from the states at each time, so that the time course that all
    /// conditions share does not hide their differences.
    pub removes_condition_independent: bool,
}

/// States projected on their principal components.
#[derive(Clone, Debug)]
pub struct StateSpace {
    /// Principal components with their variances.
    pub pca: Pca,
    /// First components, `[k, unit]`.
    pub axes: Array2<f64>,
    /// Scores of the states on the first components, `[trial, time, k]`.
    pub scores: Array3<f64>,
    /// Scores averaged over groups of trials.
    pub courses: Courses,
    /// Fraction of the variance that the mean over conditions had, where it is subtracted.
    pub removed: Option<f64>,
}

impl Answer for StateSpace {
    type Options = PcaOptions;

    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new(
            "components",
            "[component, unit]",
            "",
            "first principal components: unit vectors",
        ),
        ArrayDoc::new("mean", "[unit]", "state", "mean state that is subtracted"),
        ArrayDoc::new(
            "explained_variance",
            "[all components]",
            "fraction",
            "variance along each component, of all components",
        ),
        ArrayDoc::new(
            "scores",
            "[trial, time, component]",
            "state",
            "projections of the states; computed through the padding of short trials, see n_steps",
        ),
        ArrayDoc::new(
            "participation_ratio",
            "[1]",
            "",
            "number of dimensions that the states fill",
        ),
        COURSE_ARRAYS[0],
        COURSE_ARRAYS[1],
        ArrayDoc::new(
            "course_{}",
            "[time, component]",
            "state",
            "mean scores of a group of trials, numbered from 0; single trials if there is only one group",
        ),
        ArrayDoc::new(
            "group_names",
            "[group]",
            "",
            "groups of trials, in the order of their numbers",
        ),
        ArrayDoc::new(
            "condition_independent_variance",
            "[1]",
            "fraction",
            "variance of the mean over conditions, where it is subtracted",
        ),
    ];

    fn compute(study: &Study, options: &PcaOptions) -> Result<Self, Unsuitable> {
        let (values, removed) = if options.removes_condition_independent {
            let (values, removed) = without_common_course(study);
            (Cow::Owned(values), Some(removed))
        } else {
            (Cow::Borrowed(study.states()), None)
        };
        let states = study.counted(&values);
        if states.nrows() < 3 || states.ncols() < 2 {
            let why = "principal components need two units and three states";
            return Err(Unsuitable::lacks(why));
        }
        let pca = Pca::of(states.view())?;
        if pca.rank() == 0 {
            let why = if removed.is_some() {
                "principal components need states that differ between conditions"
            } else {
                "principal components need states that differ, but all are the same"
            };
            return Err(Unsuitable::lacks(why));
        }
        let k = pca.components.nrows().min(MOST_COMPONENTS);
        let axes = pca.components.slice(s![..k, ..]).to_owned();
        drop(states);
        let scores = projected(&values, &pca.mean, &axes);
        Ok(Self {
            courses: Courses::of(study, &scores),
            pca,
            axes,
            scores,
            removed,
        })
    }

    fn arrays(&self) -> Arrays {
        let arrays = Arrays::default()
            .with("components", &self.axes)
            .with("mean", &self.pca.mean)
            .with("explained_variance", &self.pca.explained())
            .with("scores", &self.scores)
            .with("participation_ratio", &self.pca.participation_ratio());
        let arrays = match self.removed {
            Some(removed) => arrays.with("condition_independent_variance", &removed),
            None => arrays,
        };
        self.courses.add_to(arrays)
    }

    fn statements(&self) -> Vec<String> {
        let n = self.pca.n_explaining(0.9);
        let mut lines = vec![format!(
            "participation ratio {}; {} {} 90 % of the variance of {}",
            short(self.pca.participation_ratio()),
            counted(n, "component"),
            verb(n, ["explains", "explain"]),
            counted(self.axes.ncols(), "unit")
        )];
        if let Some(removed) = self.removed {
            lines.push(format!(
                "the mean over conditions, {} % of the variance, is subtracted",
                rounded(100.0 * removed, 1)
            ));
        }
        lines.extend(self.courses.statement());
        lines.extend(self.courses.epochs.statement());
        lines
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let mut plane = Figure::new(&[48.0, 30.0], &[38.0]);
        let panel = plane.cell(0, 0).x_label("PC 1").y_label("PC 2");
        self.courses.draw_on_plane(panel, [0, 1]);
        self.draw_variances(plane.cell(0, 1));
        let n = self.axes.nrows().min(3);
        let n = if self.courses.courses.is_empty() {
            0
        } else {
            n
        };
        let mut time = Figure::new(&vec![40.0; n], &[30.0]);
        time.title = self.courses.title_over_time();
        for k in 0..n {
            let panel = time.cell(0, k).y_label(&format!("PC {}", k + 1));
            self.courses.draw_over_time(panel, k, k + 1 == n);
        }
        vec![("", plane), ("_time", time)]
    }
}

/// Returns the states without the mean over conditions at each time, `[trial, time, unit]`, and the fraction of the
/// variance that this mean has. Conditions have equal weights, however often they occur.
fn without_common_course(study: &Study) -> (Array3<f64>, f64) {
    let conditions = &study.batch.conditions;
    let key = |b: usize| conditions.iter().map(|(_, values)| values[b]).collect();
    let cells = groups((0..study.batch.n_trials).map(key));
    let mut weights = vec![0.0; study.batch.n_trials];
    for (_, trials) in &cells {
        trials
            .iter()
            .for_each(|&b| weights[b] = 1.0 / trials.len() as f64);
    }
    let before = {
        let states = study.all_states();
        centred(states.view()).1.mapv(|x| x * x).sum()
    };
    let mut values = study.states().clone();
    for t in 0..study.batch.max_steps {
        let running: Vec<usize> = (0..study.batch.n_trials)
            .filter(|&b| study.batch.n_steps[b] > t)
            .collect();
        let whole: f64 = running.iter().map(|&b| weights[b]).sum();
        let mut mean = Array1::<f64>::zeros(values.dim().2);
        let first = study.states().slice(s![running[0], t, ..]);
        for &b in &running {
            let left = &study.states().slice(s![b, t, ..]) - &first;
            mean.scaled_add(weights[b] / whole, &left);
        }
        let mean = mean + first;
        for &b in &running {
            let mut row = values.slice_mut(s![b, t, ..]);
            row -= &mean;
        }
    }
    let after = values_square(study, &values);
    let removed = if before > 0.0 {
        1.0 - after / before
    } else {
        0.0
    };
    (values, removed.clamp(0.0, 1.0))
}

/// Returns the sum of the squares of all values that belong to a trial.
fn values_square(study: &Study, values: &Array3<f64>) -> f64 {
    let trials = values.outer_iter().zip(&study.batch.n_steps);
    trials
        .map(|(trial, &n)| trial.slice(s![..n, ..]).mapv(|x| x * x).sum())
        .sum()
}

impl StateSpace {
    /// Draws the variance along each component, and its cumulative sum.
    fn draw_variances(&self, panel: &mut Panel) {
        let explained = self.pca.explained();
        let percent: Vec<f64> = explained.iter().take(10).map(|part| 100.0 * part).collect();
        let sums = percent.iter().scan(0.0, |sum, part| {
            *sum += part;
            Some(*sum)
        });
        let sums: Vec<f64> = sums.collect();
        let x: Vec<f64> = (1..=percent.len()).map(|k| k as f64).collect();
        let bars = x.iter().zip(&percent).map(|(x, y)| Layer::Box {
            x: [x - 0.4, x + 0.4],
            y: [0.0, *y],
            colour: Rgb([190, 190, 190]),
        });
        panel
            .x("component", [0.4, percent.len() as f64 + 0.6])
            .y("variance explained (%)", [0.0, 102.0])
            .extend(bars)
            .add(Layer::line(x.clone(), sums.clone(), colour(0)).wide(0.3))
            .add(Layer::points(x, sums, colour(0)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyses::synthetic::Synthetic;

    /// A large time course that both conditions share, along unit 0, hides their difference along unit 1; conditions count
    /// equally, although one has three times as many trials.
    #[test]
    fn the_common_time_course_can_be_removed() {
        let coh: Vec<f64> = (0..12).map(|b| f64::from(u8::from(b % 4 == 0))).collect();
        let rates = Array3::from_shape_fn((12, 10, 3), |(b, t, n)| match n {
            0 => 5.0 * (t as f64).sin(),
            1 => coh[b] * t as f64 / 10.0,
            _ => 0.1,
        });
        let synthetic = Synthetic::of(&[("coh", coh)], rates);
        let study = synthetic.study();
        let axis = |removes_condition_independent: bool| {
            let options = PcaOptions {
                removes_condition_independent,
            };
            StateSpace::compute(&study, &options).unwrap()
        };
        assert!(axis(false).axes[[0, 0]].abs() > 0.99);
        let found = axis(true);
        assert!((found.axes[[0, 1]] - 1.0).abs() < 1e-9, "{}", found.axes);
        assert!(found.removed.unwrap() > 0.9);
        // The mean of both conditions is 0.45 at the end: half of the difference.
        let end = found.scores[[0, 9, 0]] + found.pca.mean[1];
        assert!((end - 0.45).abs() < 1e-9, "{end}");
    }
}
