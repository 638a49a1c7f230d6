//! Trajectories to be drawn: means of groups of trials, or single trials.

use ndarray::{Array1, Array2, Array3};

use crate::epochs::Epochs;
use crate::groups::{Group, by_title, groups, mean_course, numbers};
use crate::plot::{Layer, Panel, Rgb, colour};
use crate::{ArrayDoc, Arrays, Study};

/// Documentation of the array of numbers of trials.
pub const N_AVERAGED: ArrayDoc = ArrayDoc::new(
    "n_averaged",
    "[group]",
    "trials",
    "trials that are averaged: the longer half of a group whose trials differ in length",
);

/// Documentation of the arrays of numbers of trials and of errors that [`Courses::add_to`] adds.
pub const COURSE_ARRAYS: [ArrayDoc; 2] = [
    N_AVERAGED,
    ArrayDoc::new(
        "course_error_{}",
        "[time, component]",
        "as course",
        "standard error of the mean over trials of a group, numbered from 0; missing for single trials",
    ),
];

/// Largest number of single trials drawn if there is only one group.
const MOST_TRIALS: usize = 7;

/// Trajectories, and the condition by which they are grouped.
#[derive(Clone, Debug)]
pub struct Courses {
    /// Name of the condition by which trials are grouped.
    pub by: String,
    /// Trajectory of each group or trial.
    pub courses: Vec<Course>,
    /// Epochs of the trials.
    pub epochs: Epochs,
    dt_ms: f64,
}

/// A trajectory with its name and colour.
#[derive(Clone, Debug)]
pub struct Course {
    /// Name in the legend.
    pub name: String,
    /// Colour in figures.
    pub colour: Rgb,
    /// Coordinates, `[time, axis]`.
    pub values: Array2<f64>,
    /// Standard error of the mean over trials, `[time, axis]`; `None` for a single trial.
    pub error: Option<Array2<f64>>,
    /// Number of trials that are averaged.
    pub n_trials: usize,
}

impl Courses {
    /// Returns the means of groups of trials of `values [trial, time, axis]`, or single trials if there is only one
    /// group.
    pub fn of(study: &Study, values: &Array3<f64>) -> Self {
        let (by, groups) = groups(study);
        let trial = |(k, &b): (usize, &usize)| Course {
            name: format!("trial {b}"),
            colour: colour(k),
            values: (values.slice(ndarray::s![b, ..study.batch.n_steps[b], ..])).to_owned(),
            error: None,
            n_trials: 1,
        };
        let mean = |group: &Group| {
            let own = mean_course(study, values, group);
            Course {
                name: group.name.clone(),
                colour: group.colour,
                values: own.mean,
                error: (own.n_trials > 1).then_some(own.error),
                n_trials: own.n_trials,
            }
        };
        let courses = match &groups[..] {
            [all] => {
                let shown = all.trials.iter().take(MOST_TRIALS);
                shown.enumerate().map(trial).collect()
            }
            several => several.iter().map(mean).collect(),
        };
        Self {
            by,
            courses,
            epochs: Epochs::of(study),
            dt_ms: study.dynamics.dt_ms,
        }
    }

    /// Adds the trajectories, `course_0`, `course_1`, ..., their standard errors, names and numbers of trials.
    pub fn add_to(&self, arrays: Arrays) -> Arrays {
        let names = self.courses.iter().map(|course| course.name.clone());
        let numbers = self.courses.iter().map(|course| course.n_trials);
        let arrays = arrays
            .with("group_names", &names.collect::<Vec<String>>())
            .with("n_averaged", &numbers.collect::<Vec<usize>>());
        let courses = self.courses.iter().enumerate();
        courses.fold(arrays, |arrays, (k, course)| {
            let arrays = arrays.with(format!("course_{k}"), &course.values);
            match &course.error {
                Some(error) => arrays.with(format!("course_error_{k}"), error),
                None => arrays,
            }
        })
    }

    /// Returns the sentence on what is drawn: means of how many trials, and their errors; `None` for single trials.
    pub fn statement(&self) -> Option<String> {
        let has_error = self.courses.iter().any(|course| course.error.is_some());
        let n = numbers(self.courses.iter().map(|course| course.n_trials));
        has_error.then(|| {
            format!(
                "lines: means over the trials of a group ({n}); areas: standard errors of the mean"
            )
        })
    }

    /// Returns the title with the grouping variable and the numbers of trials.
    fn title(&self) -> String {
        match by_title(&self.by) {
            title if title.is_empty() => title,
            title => format!(
                "{title}; {}",
                numbers(self.courses.iter().map(|c| c.n_trials))
            ),
        }
    }

    /// Draws the trajectories on a plane of two axes, with starts and ends marked.
    pub fn draw_on_plane(&self, panel: &mut Panel, [x, y]: [usize; 2]) {
        for Course {
            name,
            colour,
            values,
            ..
        } in &self.courses
        {
            let along = |k: usize| values.column(k).to_vec();
            let line = Layer::line(along(x), along(y), *colour).wide(0.35);
            panel.add(line.named(name));
            if values.nrows() > 0 {
                let last = values.nrows() - 1;
                for (t, ink, mm) in [(0, Rgb([120, 120, 120]), 0.7), (last, *colour, 0.9)] {
                    let (x, y) = (vec![values[[t, x]]], vec![values[[t, y]]]);
                    panel.add(Layer::points(x, y, ink).radius(mm));
                }
            }
        }
        panel.fit(0.06).title(self.title());
    }

    /// Draws one coordinate over time.
    pub fn draw_over_time(&self, panel: &mut Panel, axis: usize, is_named: bool) {
        for Course {
            name,
            colour,
            values,
            error,
            ..
        } in &self.courses
        {
            let t: Vec<f64> = (1..=values.nrows())
                .map(|t| t as f64 * self.dt_ms)
                .collect();
            let values = values.column(axis).to_vec();
            if let Some(error) = error {
                let error = error.column(axis).to_vec();
                panel.add(Layer::ribbon(t.clone(), &values, &error, *colour));
            }
            let line = Layer::line(t, values, *colour).wide(0.3);
            panel.add(if is_named { line.named(name) } else { line });
        }
        panel.time_axis();
        self.epochs.mark(panel);
    }

    /// Returns the title of coordinates over time: the grouping variable, the numbers of trials, and what areas are.
    pub fn title_over_time(&self) -> String {
        match self.statement() {
            Some(_) => format!("{}; areas: s.e.m.", self.title()),
            None => self.title(),
        }
    }
}

/// Projects `values [trial, time, N]`, after subtracting `mean`, on axes given as rows.
pub fn projected(values: &Array3<f64>, mean: &Array1<f64>, axes: &Array2<f64>) -> Array3<f64> {
    let (b, t, _) = values.dim();
    let mut scores = Array3::zeros((b, t, axes.nrows()));
    for (mut own, trial) in scores.outer_iter_mut().zip(values.outer_iter()) {
        own.assign(&(&trial - mean).dot(&axes.t()));
    }
    scores
}
