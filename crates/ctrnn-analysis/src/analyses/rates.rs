//! Histogram of firing rates, and rates over time.

use ctrnn_tasks::counted;
use ndarray::{Array2, Axis};

use super::{Answer, NoOptions, Unsuitable};
use crate::epochs::Epochs;
use crate::groups::{mean_course, of_all};
use crate::plot::{BAR_MM, ColourMap, Figure, Ticks, range_of, up_to};
use crate::text::short;
use crate::{ArrayDoc, Arrays, Study};

/// Firing rates of units.
#[derive(Clone, Debug)]
pub struct Rates {
    /// Mean rate over all states.
    pub mean: f64,
    /// Mean rate of each unit.
    pub mean_rates: Vec<f64>,
    /// Number of units that never fire.
    pub n_silent: usize,
    /// Mean rate over trials, `[time, unit]`.
    pub mean_course: Array2<f64>,
    epochs: Epochs,
    dt_ms: f64,
}

impl Answer for Rates {
    type Options = NoOptions;
    const SEES_GROUPS: bool = false;
    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new("mean_rates", "[unit]", "", "mean rate over all states"),
        ArrayDoc::new("mean_course", "[time, unit]", "", "mean rate over trials"),
        ArrayDoc::new(
            "order",
            "[unit]",
            "",
            "units, from 0, sorted by the time of their largest mean rate",
        ),
    ];

    fn compute(study: &Study, _: &NoOptions) -> Result<Self, Unsuitable> {
        let all = study.counted(&study.rates);
        let n_states = all.nrows().max(1) as f64;
        let mean = |unit: ndarray::ArrayView1<f64>| unit.iter().sum::<f64>() / n_states;
        let units = || all.axis_iter(Axis(1));
        Ok(Self {
            mean: all.iter().sum::<f64>() / all.len().max(1) as f64,
            mean_rates: units().map(mean).collect(),
            n_silent: units()
                .filter(|unit| unit.iter().all(|r| r.abs() < 1e-6))
                .count(),
            mean_course: mean_course(study, &study.rates, &of_all(study)).mean,
            epochs: Epochs::of(study),
            dt_ms: study.dynamics.dt_ms,
        })
    }

    fn arrays(&self) -> Arrays {
        Arrays::default()
            .with("mean_rates", &self.mean_rates)
            .with("mean_course", &self.mean_course)
            .with("order", &self.order())
    }

    fn statements(&self) -> Vec<String> {
        vec![format!(
            "mean rate {}, {} of {} silent",
            short(self.mean),
            self.n_silent,
            counted(self.mean_rates.len(), "unit")
        )]
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let mut figure = Figure::new(&[36.0, 60.0, BAR_MM], &[36.0]);
        let range = range_of(self.mean_rates.iter().copied(), 0.0);
        let panel = figure.cell(0, 0);
        panel.histogram(["mean rate", "units"], &self.mean_rates, range, 20);
        let low = self.mean_course.iter().copied().fold(0.0, f64::min);
        let high = self.mean_course.iter().copied().fold(0.0, f64::max);
        let (scale, map) = if low < -0.1 * high {
            let reach = high.max(-low);
            ([-reach, reach], ColourMap::BlueWhiteRed)
        } else {
            (up_to([high]), ColourMap::Blues)
        };
        let units = self
            .mean_course
            .select(Axis(1), &self.order())
            .reversed_axes();
        let n = units.nrows();
        let end = units.ncols() as f64 * self.dt_ms;
        let panel = figure.cell(0, 1);
        panel
            .title("mean over trials")
            .x("time (ms)", [0.0, end])
            .y("unit (sorted by peak)", [n as f64, 0.0])
            .y_ticks(Ticks::first_and_last(n))
            .heat_map(&units, [[0.0, end], [0.0, n as f64]], scale, map);
        self.epochs.mark(panel);
        figure.cell(0, 2).colour_bar(scale, map, "rate");
        vec![("", figure)]
    }
}

impl Rates {
    /// Returns the units, sorted by the time of their largest mean rate.
    fn order(&self) -> Vec<usize> {
        let peak = |&unit: &usize| {
            let course = self.mean_course.column(unit);
            (0..course.len()).max_by(|&a, &b| course[a].total_cmp(&course[b]))
        };
        let mut order: Vec<usize> = (0..self.mean_rates.len()).collect();
        order.sort_by_key(peak);
        order
    }
}
