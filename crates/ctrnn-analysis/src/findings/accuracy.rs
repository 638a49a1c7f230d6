//! Accuracy by condition, and which choices are mixed up.

use ndarray::Array2;

use super::layers::{
    BAR_MM, colour_bar, error_bars, guide, matrix, named_ticks, panel_mm, short, spoken,
};
use super::{Findings, Unsuitable, lacks};
use crate::Study;
use crate::evidence::distinct;
use crate::plot::{Axis, ColourMap, Figure, Layer, Panel, Rgb, Ticks, colour};
use crate::psychometric::Level;

pub fn accuracy(study: &Study) -> Result<Findings, Unsuitable> {
    let correct = study.is_correct();
    let answered = correct.iter().flatten().count();
    if answered == 0 {
        return Err(lacks("the task has no right answers"));
    }
    let mut findings = Findings::default();
    let right = correct.iter().flatten().filter(|right| **right).count();
    findings.put_list("accuracy", &[right as f64 / answered as f64]);
    findings.put_numbers(
        "is_correct",
        correct.iter().map(|c| c.map_or(2, usize::from)),
    );
    findings.say(format!(
        "{:.1} % of {answered} trials are right",
        100.0 * right as f64 / answered as f64
    ));
    let columns: Vec<_> = study
        .batch
        .conditions
        .iter()
        .filter(|(_, values)| distinct(values.iter().copied()).len() > 1)
        .collect();
    let shown = columns.len().clamp(1, 4);
    let width_mm = panel_mm(shown, 38.0);
    let mut figure = Figure::new(&vec![width_mm; shown], &[32.0]);
    for (place, (name, values)) in columns.iter().enumerate() {
        let levels: Vec<Level> = distinct(values.iter().copied())
            .into_iter()
            .map(|x| {
                let of = || {
                    (0..values.len())
                        .filter(|&b| values[b] == x)
                        .filter_map(|b| correct[b])
                };
                Level {
                    x,
                    n: of().count(),
                    chosen: of().filter(|right| *right).count(),
                }
            })
            .filter(|level| level.n > 0)
            .collect();
        let table = Array2::from_shape_fn((levels.len(), 3), |(i, k)| match k {
            0 => levels[i].x,
            1 => levels[i].chosen as f64 / levels[i].n as f64,
            _ => levels[i].n as f64,
        });
        for row in table.outer_iter() {
            if let Some(value) = study.task.value_name(name, row[0]) {
                findings.say(format!(
                    "{} {}, {}: {:.1} %",
                    spoken(name),
                    row[0],
                    spoken(&value),
                    100.0 * row[1]
                ));
            }
        }
        findings.put(&format!("by_{name}"), &table);
        if place < shown {
            figure.place(
                0,
                place,
                panel(name, &levels, study.task.chance(), width_mm, place == 0),
            );
        }
    }
    if columns.is_empty() {
        let whole = Level {
            x: 0.0,
            n: answered,
            chosen: right,
        };
        figure.place(
            0,
            0,
            panel("all trials", &[whole], study.task.chance(), width_mm, true),
        );
    }
    findings.draw("", figure);
    Ok(findings)
}

fn panel(
    name: &str,
    levels: &[Level],
    chance: Option<f64>,
    width_mm: f64,
    is_first: bool,
) -> Panel {
    let x: Vec<f64> = (0..levels.len()).map(|k| k as f64 + 0.5).collect();
    let y: Vec<f64> = levels
        .iter()
        .map(|level| level.chosen as f64 / level.n as f64)
        .collect();
    let intervals: Vec<[f64; 2]> = levels.iter().map(Level::interval).collect();
    let mut layers = vec![guide(
        [0.0, levels.len() as f64],
        [chance.unwrap_or(0.0); 2],
    )];
    layers.extend(error_bars(&x, &intervals, colour(0)));
    layers.push(Layer::points(x.clone(), y, colour(0)));
    // A digit is about 1.4 mm wide.
    let label_mm = |level: &Level| 1.4 * short(level.x).chars().count() as f64 + 1.5;
    let needed_mm = levels.iter().map(label_mm).sum::<f64>();
    let every = ((needed_mm / width_mm).ceil() as usize).max(1);
    let ticks = x
        .iter()
        .zip(levels)
        .step_by(every)
        .map(|(x, level)| (*x, short(level.x)));
    Panel {
        x: Axis::new(&spoken(name))
            .with_range(0.0, levels.len() as f64)
            .with_ticks(Ticks::At(ticks.collect())),
        y: Axis::new(if is_first { "fraction right" } else { "" }).with_range(0.0, 1.02),
        layers,
        ..Panel::default()
    }
}

pub fn confusion(study: &Study) -> Result<Findings, Unsuitable> {
    let layout = study.layout();
    let choices = layout.alternatives();
    let place = |choice: usize| choices.iter().position(|&c| c == choice);
    let n = choices.len();
    let mut counts = Array2::<f64>::zeros((n, n));
    for (right, made) in study.batch.correct.iter().zip(study.choices()) {
        if let Some((row, column)) = right.and_then(place).zip(made.and_then(place)) {
            counts[[row, column]] += 1.0;
        }
    }
    if n < 2 || counts.sum() == 0.0 {
        return Err(lacks("the task has no right choices among its outputs"));
    }
    let fractions = Array2::from_shape_fn((n, n), |(i, j)| {
        counts[[i, j]] / counts.row(i).sum().max(1.0)
    });
    let names: Vec<String> = choices
        .iter()
        .map(|&c| spoken(&layout.choice_name(c)))
        .collect();
    let mut layers = vec![matrix(
        fractions.iter().copied().collect(),
        n,
        [0.0, 1.0],
        ColourMap::Blues,
    )];
    if n <= 6 {
        for ((i, j), fraction) in fractions.indexed_iter() {
            let ink = if *fraction > 0.5 {
                Rgb::WHITE
            } else {
                Rgb::BLACK
            };
            layers.push(Layer::text(
                j as f64 + 0.5,
                i as f64 + 0.5,
                &format!("{:.0}", counts[[i, j]]),
                ink,
            ));
        }
    }
    let side = (7.0 * n as f64).clamp(22.0, 60.0);
    let mut figure = Figure::new(&[side, BAR_MM], &[side]);
    let ticks = |axis: Axis| {
        if n <= 12 {
            axis.with_ticks(named_ticks(&names))
        } else {
            axis
        }
    };
    figure.place(
        0,
        0,
        Panel {
            x: ticks(Axis::new("chosen")).with_range(0.0, n as f64),
            y: ticks(Axis::new("correct")).with_range(n as f64, 0.0),
            layers,
            ..Panel::default()
        },
    );
    figure.place(
        0,
        1,
        colour_bar([0.0, 1.0], ColourMap::Blues, "fraction of row"),
    );
    let mut findings = Findings::default();
    findings.put("counts", &counts);
    findings.put_numbers("choices", choices.iter().copied());
    let right: f64 = counts.diag().sum() / counts.sum();
    findings.say(format!(
        "{:.1} % of the choices among {n} are right",
        100.0 * right
    ));
    findings.draw("", figure);
    Ok(findings)
}
