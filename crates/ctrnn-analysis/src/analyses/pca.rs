//! Trajectories on principal components, and the dimensionality of activity.

use ndarray::{Array2, Array3, s};

use super::{Answer, NoOptions, Unsuitable};
use crate::courses::{Courses, projected};
use crate::plot::{Figure, Layer, Panel, Rgb, colour};
use crate::text::short;
use crate::{Arrays, Pca, Study};

/// Largest number of components that are kept.
const MOST_COMPONENTS: usize = 10;

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
}

impl Answer for StateSpace {
    type Options = NoOptions;

    fn compute(study: &Study, _: &NoOptions) -> Result<Self, Unsuitable> {
        let states = study.all_states();
        if states.nrows() < 3 || states.ncols() < 2 {
            let why = "principal components need two units and three states";
            return Err(Unsuitable::lacks(why));
        }
        let pca = Pca::of(states.view())?;
        if pca.rank() == 0 {
            let why = "principal components need states that differ, but all are the same";
            return Err(Unsuitable::lacks(why));
        }
        let k = pca.components.nrows().min(MOST_COMPONENTS);
        let axes = pca.components.slice(s![..k, ..]).to_owned();
        let scores = projected(study.states(), &pca.mean, &axes);
        Ok(Self {
            courses: Courses::of(study, &scores),
            pca,
            axes,
            scores,
        })
    }

    fn arrays(&self) -> Arrays {
        let arrays = Arrays::default()
            .with("components", &self.axes)
            .with("mean", &self.pca.mean)
            .with("explained_variance", &self.pca.explained())
            .with("scores", &self.scores)
            .with("participation_ratio", &self.pca.participation_ratio());
        let courses = self.courses.courses.iter().enumerate();
        courses.fold(arrays, |arrays, (k, course)| {
            arrays.with(format!("course_{k}"), &course.values)
        })
    }

    fn statements(&self) -> Vec<String> {
        vec![format!(
            "participation ratio {}; {} components explain 90 % of the variance of {} units",
            short(self.pca.participation_ratio()),
            self.pca.n_explaining(0.9),
            self.axes.ncols()
        )]
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
        for k in 0..n {
            let panel = time.cell(0, k).y_label(&format!("PC {}", k + 1));
            self.courses.draw_over_time(panel, k, k + 1 == n);
        }
        vec![("", plane), ("_time", time)]
    }
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
