//! Monitors of training: dimension of the rates, silent and saturated units, spectral radius and drift of the weights.

use super::{Answer, Basis, NoOptions, Unsuitable};
use crate::metrics::Metrics;
use crate::plot::{Figure, Layer, Panel, colour, range_of};
use crate::text::short;
use crate::{ArrayDoc, Arrays, Study};

/// Names of the monitors, as columns of metrics.csv.
const MONITORS: [&str; 6] = [
    "participation",
    "silent",
    "saturated",
    "radius",
    "drift",
    "drift_last",
];

/// Monitors of a run, measured at each validation.
#[derive(Clone, Debug)]
pub struct Participation {
    metrics: Metrics,
}

impl Answer for Participation {
    type Options = NoOptions;
    const BASIS: Basis = Basis::Metrics;
    const SEES_GROUPS: bool = false;
    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new(
            "{}_step",
            "[validation]",
            "training steps",
            "steps of a monitor, by its name in metrics.csv",
        ),
        ArrayDoc::new(
            "{}",
            "[validation]",
            "",
            "a monitor: participation (ratio), silent and saturated (fractions of units), radius (spectral), drift and drift_last (relative change of the weights)",
        ),
    ];

    fn compute(study: &Study, _: &NoOptions) -> Result<Self, Unsuitable> {
        let metrics = study.metrics.clone();
        let metrics = metrics.ok_or_else(|| Unsuitable::lacks("the run has no metrics.csv"))?;
        let found = Self { metrics };
        if found.arrays().is_empty() {
            let why =
                "the run has no monitors; validate.monitors=true switches them on in training";
            return Err(Unsuitable::lacks(why));
        }
        Ok(found)
    }

    fn arrays(&self) -> Arrays {
        let measured = MONITORS.iter().map(|name| (name, self.curve(name)));
        let measured = measured.filter(|(_, (steps, _))| !steps.is_empty());
        measured.fold(Arrays::default(), |arrays, (name, (steps, values))| {
            arrays
                .with(format!("{name}_step"), &steps)
                .with(*name, &values)
        })
    }

    fn statements(&self) -> Vec<String> {
        let last = |name: &str| self.curve(name).1.last().copied();
        let percent = |part: f64| format!("{:.0} %", 100.0 * part);
        let mut lines = Vec::new();
        if let Some(dimension) = last("participation") {
            lines.push(format!(
                "the rates fill {} dimensions (participation ratio) at the end",
                short(dimension)
            ));
        }
        let kinds = [
            ("silent", "silent: their rate never exceeds 0.01"),
            (
                "saturated",
                "saturated: near the bound of their rate for at least half of the time",
            ),
        ];
        for (name, what) in kinds {
            if let Some(part) = last(name) {
                lines.push(format!("{} of the units are {what}", percent(part)));
            }
        }
        if let Some(drift) = last("drift") {
            let radius = last("radius").map_or_else(String::new, |radius| {
                format!("; the spectral radius is {}", short(radius))
            });
            lines.push(format!(
                "training changed the weights by {} of their norm{radius}",
                short(drift)
            ));
        }
        lines
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let mut figure = Figure::new(&[38.0; 2], &[28.0; 2]);
        let panels = [
            (
                (0, 0),
                "participation ratio",
                1.0,
                vec![("participation", "")],
            ),
            (
                (0, 1),
                "units (%)",
                100.0,
                vec![("silent", "silent"), ("saturated", "saturated")],
            ),
            ((1, 0), "spectral radius", 1.0, vec![("radius", "")]),
            (
                (1, 1),
                "change of weights",
                1.0,
                vec![
                    ("drift", "from the start"),
                    ("drift_last", "since the last"),
                ],
            ),
        ];
        for ((row, column), label, factor, lines) in panels {
            self.draw(figure.cell(row, column), label, factor, &lines);
        }
        vec![("", figure)]
    }
}

impl Participation {
    fn curve(&self, name: &str) -> (Vec<f64>, Vec<f64>) {
        self.metrics.curve("val", name)
    }

    /// Draws monitors, each with its word, over the training steps.
    fn draw(&self, panel: &mut Panel, label: &str, factor: f64, lines: &[(&str, &str)]) {
        let curves: Vec<_> = lines.iter().map(|(name, _)| self.curve(name)).collect();
        let values = curves.iter().flat_map(|(_, values)| values);
        let [_, most] = range_of(values.map(|value| factor * value), 0.05);
        let steps = curves.iter().flat_map(|(steps, _)| steps);
        let end = steps.copied().fold(1.0, f64::max);
        panel.y(label, [0.0, most.max(f64::MIN_POSITIVE)]);
        panel.x("step", [0.0, end]);
        for (k, ((steps, values), (_, word))) in curves.into_iter().zip(lines).enumerate() {
            let values = values.into_iter().map(|value| factor * value).collect();
            let line = Layer::line(steps, values, colour(k)).wide(0.4);
            panel.add(if word.is_empty() {
                line
            } else {
                line.named(word)
            });
        }
    }
}
