//! Loss and accuracy during training.

use super::layers::{level_colour, log_ticks, range_of, short, thick};
use super::{Findings, Unsuitable, lacks};
use crate::Study;
use crate::metrics::Metrics;
use crate::plot::{Axis, Figure, Layer, Panel, Rgb, Ticks, colour};

pub fn curves(study: &Study) -> Result<Findings, Unsuitable> {
    let own = study
        .metrics
        .as_ref()
        .ok_or_else(|| lacks("the run has no metrics.csv"))?;
    let mut findings = Findings::default();
    for split in ["train", "val"] {
        for name in ["loss", "accuracy", "grad_norm", "lr"] {
            let (steps, values) = own.curve(split, name);
            if !steps.is_empty() {
                findings.put_list(&format!("{split}_{name}_step"), &steps);
                findings.put_list(&format!("{split}_{name}"), &values);
            }
        }
    }
    if let (Some(loss), accuracy) = (
        own.curve("val", "loss").1.last(),
        own.curve("val", "accuracy").1.last().copied(),
    ) {
        let accuracy =
            accuracy.map_or_else(String::new, |a| format!(", accuracy {:.1} %", 100.0 * a));
        findings.say(format!(
            "validation at the end: loss {}{accuracy}",
            short(*loss)
        ));
    }
    if findings.arrays.is_empty() {
        return Err(lacks("nothing was measured yet: the run has made no step"));
    }
    let mut runs: Vec<(&str, &Metrics)> = vec![("this run", own)];
    runs.extend(
        study
            .peers
            .iter()
            .filter_map(|peer| Some((peer.name.as_str(), peer.metrics.as_ref()?))),
    );
    let has_accuracy = !own.curve("val", "accuracy").0.is_empty();
    let mut figure = Figure::new(if has_accuracy { &[48.0, 48.0] } else { &[48.0] }, &[32.0]);
    figure.place(0, 0, loss_panel(&runs, !has_accuracy));
    if has_accuracy {
        figure.place(0, 1, accuracy_panel(&runs));
    }
    findings.draw("", figure);
    Ok(findings)
}

fn ink(k: usize, n: usize) -> Rgb {
    if n > 1 {
        level_colour(k, n, false)
    } else {
        colour(0)
    }
}

fn loss_panel(runs: &[(&str, &Metrics)], named: bool) -> Panel {
    let mut layers = Vec::new();
    let mut shown = Vec::new();
    let losses = runs
        .iter()
        .flat_map(|(_, metrics)| ["train", "val"].map(|split| metrics.curve(split, "loss").1));
    // A loss of 0, or with penalties below it, has no logarithm.
    let is_log = losses.flatten().all(|loss| loss > 0.0);
    for (k, (name, metrics)) in runs.iter().enumerate() {
        for (split, width) in [("train", 0.15), ("val", 0.4)] {
            let (x, y) = metrics.curve(split, "loss");
            let y: Vec<f64> = if is_log {
                y.iter().map(|loss| loss.log10()).collect()
            } else {
                y
            };
            shown.extend(y.iter().copied());
            let dark = ink(k, runs.len());
            let line = thick(
                x,
                y,
                if split == "train" {
                    dark.towards(Rgb::WHITE, 0.5)
                } else {
                    dark
                },
                width,
            );
            let label = if runs.len() > 1 {
                (*name).to_owned()
            } else {
                spelled(split).to_owned()
            };
            let is_named = named && (runs.len() == 1 || split == "val");
            layers.push(if is_named { line.named(&label) } else { line });
        }
    }
    let range = range_of(shown, 0.05);
    Panel {
        x: step_axis(runs),
        y: Axis {
            label: "loss".to_owned(),
            range: Some(range),
            ticks: if is_log {
                log_ticks(range)
            } else {
                Ticks::Round
            },
        },
        layers,
        ..Panel::default()
    }
}

fn step_axis(runs: &[(&str, &Metrics)]) -> Axis {
    let steps = runs.iter().flat_map(|(_, metrics)| {
        ["train", "val"].map(|split| metrics.curve(split, "loss").0.last().copied())
    });
    Axis::new("step").with_range(0.0, steps.flatten().fold(1.0, f64::max))
}

fn spelled(split: &str) -> &'static str {
    if split == "train" {
        "training"
    } else {
        "validation"
    }
}

fn accuracy_panel(runs: &[(&str, &Metrics)]) -> Panel {
    let mut layers: Vec<Layer> = Vec::new();
    for (k, (name, metrics)) in runs.iter().enumerate() {
        for (split, width) in [("train", 0.15), ("val", 0.4)] {
            let (x, y) = metrics.curve(split, "accuracy");
            if x.is_empty() {
                continue;
            }
            let dark = ink(k, runs.len());
            let y = y.iter().map(|a| 100.0 * a).collect();
            let line = thick(
                x,
                y,
                if split == "train" {
                    dark.towards(Rgb::WHITE, 0.5)
                } else {
                    dark
                },
                width,
            );
            let label = if runs.len() > 1 {
                *name
            } else {
                spelled(split)
            };
            let is_named = runs.len() == 1 || split == "val";
            layers.push(if is_named { line.named(label) } else { line });
        }
    }
    Panel {
        x: step_axis(runs),
        y: Axis::new("accuracy (%)").with_range(0.0, 101.0),
        layers,
        ..Panel::default()
    }
}
