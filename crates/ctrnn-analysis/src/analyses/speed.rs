//! Speed of the state along trajectories.

use ndarray::{Array2, ArrayView3, s};

use super::{Answer, NoOptions, Unsuitable};
use crate::epochs::Epochs;
use crate::groups::{by_title, groups, mean_course};
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
    /// Name, colour, and speed per second over time of each group.
    pub courses: Vec<(String, Rgb, Vec<f64>)>,
    epochs: Epochs,
    dt_ms: f64,
}

impl Answer for Speed {
    type Options = NoOptions;
    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new(
            "speed",
            "[trial, interval]",
            "1/ms",
            "distance per ms between successive states; interval k is between the states k and k + 1",
        ),
        ArrayDoc::new(
            "course_{}",
            "[interval]",
            "1/s",
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
            let last = course.nrows().saturating_sub(1);
            let per_ms = course.column(0);
            let per_s = per_ms.iter().take(last).map(|v| 1000.0 * v).collect();
            (group.name, group.colour, per_s)
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
        let names = self.courses.iter().map(|(name, ..)| name.clone());
        let arrays = Arrays::default()
            .with("speed", &self.speeds)
            .with("group_names", &names.collect::<Vec<String>>());
        let courses = self.courses.iter().enumerate();
        courses.fold(arrays, |arrays, (k, (_, _, per_s))| {
            arrays.with(format!("course_{k}"), per_s)
        })
    }

    fn statements(&self) -> Vec<String> {
        let highest = short(self.highest());
        let fastest = format!("the state moves at up to {highest} per second");
        [fastest]
            .into_iter()
            .chain(self.epochs.statement())
            .collect()
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let mut figure = Figure::new(&[55.0], &[34.0]);
        let lines = self.courses.iter().map(|(name, colour, y)| {
            // A speed lies between two successive states, and the first state at the end of a time step.
            let t = (0..y.len()).map(|t| (t as f64 + 1.5) * self.dt_ms);
            let line = Layer::line(t.collect(), y.clone(), *colour);
            line.wide(0.3).named(name)
        });
        let panel = figure.cell(0, 0);
        panel
            .title(by_title(&self.by))
            .y("speed (1/s)", [0.0, 1.05 * up_to([self.highest()])[1]])
            .extend(lines)
            .time_axis();
        self.epochs.mark(panel);
        vec![("", figure)]
    }
}

impl Speed {
    fn highest(&self) -> f64 {
        let speeds = self.courses.iter().flat_map(|(_, _, y)| y);
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
