//! Loss and accuracy during training.

use super::{Answer, Basis, NoOptions, Unsuitable};
use crate::metrics::Metrics;
use crate::plot::{Figure, Layer, Panel, Rgb, Scale, Ticks, colour, level_colour, range_of};
use crate::text::short;
use crate::{ArrayDoc, Arrays, Study};

/// Returns the splits of a run: training, then those of validation.
fn splits(metrics: &Metrics) -> Vec<&str> {
    std::iter::once("train")
        .chain(metrics.validations())
        .collect()
}

/// Returns words for a split of validation: "validation", "validation (easy)".
fn validation_words(split: &str) -> String {
    match split.split_once('.') {
        Some((_, set)) => format!("validation ({set})"),
        None => "validation".to_owned(),
    }
}

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
            "steps of a metric, whose name begins with its split: train, val, or val_NAME for a named validation set",
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
        for split in splits(self.own()) {
            let prefix = split.replace('.', "_");
            for name in ["loss", "accuracy", "grad_norm", "lr"] {
                let (steps, values) = self.own().curve(split, name);
                if !steps.is_empty() {
                    arrays = arrays
                        .with(format!("{prefix}_{name}_step"), &steps)
                        .with(format!("{prefix}_{name}"), &values);
                }
            }
        }
        arrays
    }

    fn statements(&self) -> Vec<String> {
        let statement = |split: &str| {
            let last = |name: &str| self.own().curve(split, name).1.last().copied();
            let accuracy = last("accuracy").map_or_else(String::new, |accuracy| {
                format!(", accuracy {:.1} %", 100.0 * accuracy)
            });
            let loss = short(last("loss")?);
            let name = validation_words(split);
            Some(format!("{name} at the end: loss {loss}{accuracy}"))
        };
        let validations = self.own().validations();
        validations.into_iter().filter_map(statement).collect()
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
        let losses = || {
            let splits = metrics().flat_map(|m| splits(m).into_iter().map(move |split| (m, split)));
            splits.map(|(m, split)| m.curve(split, "loss").1)
        };
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

    /// Draws a metric over the training steps: a line for each run and split, thin and pale for training. Validation sets with
    /// names have colours of their own; they are left out where several runs are compared.
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
            let mut lines = vec![("train", "training".to_owned(), pale, 0.15)];
            let shown = if n == 1 { usize::MAX } else { 1 };
            let validations = metrics.validations().into_iter().take(shown);
            lines.extend(validations.enumerate().map(|(set, split)| {
                let ink = if set == 0 { dark } else { colour(set) };
                (split, validation_words(split), ink, 0.4)
            }));
            for (split, word, ink, width_mm) in lines {
                let steps = metrics.curve(split, "loss").0;
                end = f64::max(end, steps.last().copied().unwrap_or(end));
                let (x, y) = metrics.curve(split, column);
                if x.is_empty() && column != "loss" {
                    continue;
                }
                let line = Layer::line(x, y.into_iter().map(&seen).collect(), ink).wide(width_mm);
                panel.add(match n {
                    1 if is_named => line.named(&word),
                    2.. if is_named && split == "val" => line.named(name),
                    _ => line,
                });
            }
        }
        panel.x("step", [0.0, end]);
    }
}
