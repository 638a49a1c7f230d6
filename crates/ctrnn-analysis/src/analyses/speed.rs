//! Speed of the state along trajectories.

use ndarray::{Array2, ArrayView3, s};

use super::{Answer, NoOptions, Unsuitable};
use crate::courses::N_AVERAGED;
use crate::epochs::Epochs;
use crate::groups::{by_title, groups, mean_course, numbers};
use crate::plot::{Figure, Layer, Rgb, up_to};
use crate::text::short;
use crate::{ArrayDoc, Arrays, Study};

/// Speed of the state over time.
#[derive(Clone, Debug)]
pub struct Speed {
    /// Distance per ms between successive states, `[trial, time - 1]`.
    pub speeds: Array2<f64>,
    /// Name of the condition by which trials are grouped.
    pub by: String,
    /// Mean speed of each group of trials.
    pub courses: Vec<SpeedCourse>,
    epochs: Epochs,
    dt_ms: f64,
}

/// Mean speed of a group of trials over time.
#[derive(Clone, Debug)]
pub struct SpeedCourse {
    /// Name of the group.
    pub name: String,
    /// Colour of the group.
    pub colour: Rgb,
    /// Mean over trials, per second.
    pub per_s: Vec<f64>,
    /// Standard error of the mean; NaN for a single trial.
    pub error: Vec<f64>,
    /// Number of trials.
    pub n_trials: usize,
}

impl Answer for Speed {
    type Options = NoOptions;
    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new(
            "speed",
            "[trial, interval]",
            "state / ms",
            "distance per ms between successive states; interval k is between the states k and k + 1",
        ),
        N_AVERAGED,
        ArrayDoc::new(
            "course_error_{}",
            "[interval]",
            "state / s",
            "standard error of the mean speed of a group of trials, numbered from 0",
        ),
        ArrayDoc::new(
            "course_{}",
            "[interval]",
            "state / s",
            "mean speed of a group of trials, numbered from 0",
        ),
        ArrayDoc::new(
            "group_names",
            "[group]",
            "",
            "groups of trials, in the order of their numbers",
        ),
    ];

    fn compute(study: &Study, _: &NoOptions) -> Result<Self, Unsuitable> {
        let dt_ms = study.dynamics.dt_ms;
        let speeds = speeds(study.states().view(), dt_ms);
        let (n_trials, n) = speeds.dim();
        if n == 0 {
            return Err(Unsuitable::lacks("a trial of one time step has no speed"));
        }
        // Padded by one time step, because there is one speed less than states.
        let mut padded = ndarray::Array3::zeros((n_trials, n + 1, 1));
        padded.slice_mut(s![.., ..n, 0]).assign(&speeds);
        let (by, groups) = groups(study);
        let courses = groups.into_iter().map(|group| {
            let course = mean_course(study, &padded, &group);
            let last = course.mean.nrows().saturating_sub(1);
            let per_s = |per_ms: &Array2<f64>| {
                let per_ms = per_ms.column(0).into_iter().take(last);
                per_ms.map(|v| 1000.0 * v).collect()
            };
            SpeedCourse {
                per_s: per_s(&course.mean),
                error: per_s(&course.error),
                n_trials: course.n_trials,
                name: group.name,
                colour: group.colour,
            }
        });
        Ok(Self {
            courses: courses.collect(),
            speeds,
            by,
            epochs: Epochs::of(study),
            dt_ms,
        })
    }

    fn arrays(&self) -> Arrays {
        let names = self.courses.iter().map(|course| course.name.clone());
        let numbers = self.courses.iter().map(|course| course.n_trials);
        let arrays = Arrays::default()
            .with("speed", &self.speeds)
            .with("n_averaged", &numbers.collect::<Vec<usize>>())
            .with("group_names", &names.collect::<Vec<String>>());
        let courses = self.courses.iter().enumerate();
        courses.fold(arrays, |arrays, (k, course)| {
            arrays
                .with(format!("course_{k}"), &course.per_s)
                .with(format!("course_error_{k}"), &course.error)
        })
    }

    fn statements(&self) -> Vec<String> {
        let highest = short(self.highest());
        let fastest = format!(
            "the state, in the units of the unit states, moves at up to {highest} per second in the mean of a group"
        );
        let drawn = format!(
            "lines: means over the trials of a group ({}); areas: standard errors of the mean",
            self.numbers()
        );
        [fastest, drawn]
            .into_iter()
            .chain(self.epochs.statement())
            .collect()
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let mut figure = Figure::new(&[55.0], &[34.0]);
        let lines = self.courses.iter().flat_map(|course| {
            let (y, ink) = (&course.per_s, course.colour);
            // A speed lies between two successive states, and the first state at the end of a time step.
            let t: Vec<f64> = (0..y.len())
                .map(|t| (t as f64 + 1.5) * self.dt_ms)
                .collect();
            let area = Layer::ribbon(t.clone(), y, &course.error, ink);
            let line = Layer::line(t, y.clone(), ink).wide(0.3);
            [area, line.named(&course.name)]
        });
        let title = match by_title(&self.by) {
            title if title.is_empty() => self.numbers(),
            title => format!("{title}; {}", self.numbers()),
        };
        let panel = figure.cell(0, 0);
        panel
            .title(format!("{title}, areas: s.e.m."))
            .y(
                "speed (state / s)",
                [0.0, 1.05 * up_to([self.highest()])[1]],
            )
            .extend(lines)
            .time_axis();
        self.epochs.mark(panel);
        vec![("", figure)]
    }
}

impl Speed {
    /// Returns the remark on the numbers of trials.
    fn numbers(&self) -> String {
        numbers(self.courses.iter().map(|course| course.n_trials))
    }

    fn highest(&self) -> f64 {
        let speeds = self.courses.iter().flat_map(|course| &course.per_s);
        speeds.copied().fold(0.0, f64::max)
    }
}

/// Computes the Euclidean distance per ms between successive `states [trial, time, unit]`, `[trial, time - 1]`.
pub fn speeds(states: ArrayView3<f64>, dt_ms: f64) -> Array2<f64> {
    let (n_trials, n_steps, _) = states.dim();
    Array2::from_shape_fn((n_trials, n_steps.saturating_sub(1)), |(b, t)| {
        let here = states.slice(s![b, t, ..]);
        let there = states.slice(s![b, t + 1, ..]);
        let moved = &there - &here;
        moved.dot(&moved).sqrt() / dt_ms
    })
}

#[cfg(test)]
mod tests {
    /// The state moves from (0, 0) to (3, 4) in 20 ms.
    #[test]
    fn a_step_by_hand() {
        let states = ndarray::array![[[0.0, 0.0], [3.0, 4.0], [3.0, 4.0]]];
        assert_eq!(
            super::speeds(states.view(), 20.0),
            ndarray::array![[0.25, 0.0]]
        );
    }
}
