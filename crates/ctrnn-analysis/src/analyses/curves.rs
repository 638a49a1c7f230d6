//! Loss and accuracy during training.

use super::{Answer, Basis, NoOptions, Unsuitable};
use crate::metrics::Metrics;
use crate::plot::{Figure, Layer, Panel, Rgb, Scale, Ticks, colour, level_colour, range_of};
use crate::text::short;
use crate::{ArrayDoc, Arrays, Study};

const SPLITS: [&str; 2] = ["train", "val"];

/// Training metrics of a run, and of others with which it is compared.
#[derive(Clone, Debug)]
pub struct Curves {
    /// Names and metrics of the runs, starting with this one.
    pub runs: Vec<(String, Metrics)>,
}

impl Answer for Curves {
    type Options = NoOptions;
    const BASIS: Basis = Basis::Metrics;
    const SEES_PEERS: bool = true;
    const SEES_GROUPS: bool = false;
    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new(
            "{}_step",
            "[measurement]",
            "training steps",
            "steps of a metric, whose name begins with its split: train or val",
        ),
        ArrayDoc::new(
            "{}",
            "[measurement]",
            "",
            "a metric: loss, accuracy (fraction), grad_norm or lr, with its split",
        ),
    ];

    fn compute(study: &Study, _: &NoOptions) -> Result<Self, Unsuitable> {
        let own = study.metrics.clone();
        let own = own.ok_or_else(|| Unsuitable::lacks("the run has no metrics.csv"))?;
        let peers = study.peers.iter();
        let others = peers.filter_map(|peer| Some((peer.name.clone(), peer.metrics.clone()?)));
        let mut runs = vec![("this run".to_owned(), own)];
        runs.extend(others);
        let found = Self { runs };
        if found.arrays().is_empty() {
            let why = "nothing was measured yet: the run has made no step";
            return Err(Unsuitable::lacks(why));
        }
        Ok(found)
    }

    fn arrays(&self) -> Arrays {
        let mut arrays = Arrays::default();
        for split in SPLITS {
            for name in ["loss", "accuracy", "grad_norm", "lr"] {
                let (steps, values) = self.own().curve(split, name);
                if !steps.is_empty() {
                    arrays = arrays
                        .with(format!("{split}_{name}_step"), &steps)
                        .with(format!("{split}_{name}"), &values);
                }
            }
        }
        arrays
    }

    fn statements(&self) -> Vec<String> {
        let last = |name: &str| self.own().curve("val", name).1.last().copied();
        let accuracy = last("accuracy").map_or_else(String::new, |accuracy| {
            format!(", accuracy {:.1} %", 100.0 * accuracy)
        });
        let loss = last("loss");
        loss.map(|loss| format!("validation at the end: loss {}{accuracy}", short(loss)))
            .into_iter()
            .collect()
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let has_accuracy = !self.own().curve("val", "accuracy").0.is_empty();
        let panels = if has_accuracy { 2 } else { 1 };
        let mut figure = Figure::new(&[48.0; 2][..panels], &[32.0]);
        self.draw_loss(figure.cell(0, 0), !has_accuracy);
        if has_accuracy {
            let panel = figure.cell(0, 1).y("accuracy (%)", [0.0, 101.0]);
            self.draw(panel, "accuracy", true, |accuracy| 100.0 * accuracy);
        }
        if self.runs.len() > 1 {
            figure.title = "thick: validation, thin: training".to_owned();
        }
        vec![("", figure)]
    }
}

impl Curves {
    fn own(&self) -> &Metrics {
        &self.runs[0].1
    }

    fn draw_loss(&self, panel: &mut Panel, is_named: bool) {
        let metrics = || self.runs.iter().map(|(_, metrics)| metrics);
        let losses = || metrics().flat_map(|m| SPLITS.map(|split| m.curve(split, "loss").1));
        // A logarithmic axis needs positive losses; a loss may be 0, and penalties may be negative.
        let is_log = losses().flatten().all(|loss| loss > 0.0);
        let seen = |loss: f64| if is_log { loss.log10() } else { loss };
        let range = range_of(losses().flatten().map(seen), 0.05);
        panel.y("loss", range);
        if is_log {
            panel.y_ticks(Ticks::logarithmic(range));
        }
        self.draw(panel, "loss", is_named, seen);
    }

    /// Draws a metric over the training steps: a line for each run and split, thin and pale for training.
    fn draw(&self, panel: &mut Panel, column: &str, is_named: bool, seen: impl Fn(f64) -> f64) {
        let n = self.runs.len();
        let mut end = 1.0;
        for (k, (name, metrics)) in self.runs.iter().enumerate() {
            let dark = if n > 1 {
                level_colour(k, n, Scale::Names)
            } else {
                colour(0)
            };
            let pale = dark.towards(Rgb::WHITE, 0.5);
            for (split, word, ink, width_mm) in [
                ("train", "training", pale, 0.15),
                ("val", "validation", dark, 0.4),
            ] {
                let steps = metrics.curve(split, "loss").0;
                end = f64::max(end, steps.last().copied().unwrap_or(end));
                let (x, y) = metrics.curve(split, column);
                if x.is_empty() && column != "loss" {
                    continue;
                }
                let line = Layer::line(x, y.into_iter().map(&seen).collect(), ink).wide(width_mm);
                panel.add(match n {
                    1 if is_named => line.named(word),
                    2.. if is_named && split == "val" => line.named(name),
                    _ => line,
                });
            }
        }
        panel.x("step", [0.0, end]);
    }
}
