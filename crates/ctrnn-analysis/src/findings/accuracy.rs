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
        let levels = levels(values, &correct);
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
                panel(
                    name,
                    &binned(levels),
                    study.task.chance(),
                    width_mm,
                    place == 0,
                ),
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

/// The trials with an answer by their value, ascending.
fn levels(values: &[f64], correct: &[Option<bool>]) -> Vec<Level> {
    let answered = values.iter().zip(correct);
    let mut answered: Vec<(f64, bool)> = answered
        .filter_map(|(x, right)| right.filter(|_| !x.is_nan()).map(|right| (x + 0.0, right))) // -0 is 0
        .collect();
    answered.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let of_one = |equal: &[(f64, bool)]| Level {
        x: equal[0].0,
        n: equal.len(),
        chosen: equal.iter().filter(|(_, right)| *right).count(),
    };
    answered
        .chunk_by(|(a, _), (b, _)| a == b)
        .map(of_one)
        .collect()
}

/// The same levels, or where there are too many to be told apart, groups of neighbours of about the same number of trials, each at
/// its mean value.
fn binned(levels: Vec<Level>) -> Vec<Level> {
    const MOST: usize = 50;
    const BINS: usize = 20;
    if levels.len() <= MOST {
        return levels;
    }
    let n_trials: usize = levels.iter().map(|level| level.n).sum();
    let mut before = 0;
    let mut bins: Vec<(usize, Level)> = Vec::new();
    for level in levels {
        let bin = before * BINS / n_trials;
        before += level.n;
        match bins.last_mut() {
            Some((last, all)) if *last == bin => {
                let n = all.n + level.n;
                let part = level.n as f64 / n as f64;
                *all = Level {
                    x: all.x * (1.0 - part) + level.x * part,
                    n,
                    chosen: all.chosen + level.chosen,
                };
            }
            _ => bins.push((bin, level)),
        }
    }
    bins.into_iter().map(|(_, level)| level).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A value that is not a number, and a trial without an answer, are left out; -0 is 0.
    #[test]
    fn levels_are_sorted_and_counted() {
        let values = [2.0, -0.0, f64::NAN, 0.0, 2.0, 1.0];
        let correct = [
            Some(true),
            Some(true),
            Some(true),
            Some(false),
            Some(true),
            None,
        ];
        let found = levels(&values, &correct);
        let found: Vec<_> = found.iter().map(|l| (l.x, l.n, l.chosen)).collect();
        assert_eq!(found, [(0.0, 2, 1), (2.0, 2, 2)]);
    }

    /// As many points as there is room for, whatever the number of values, and no trial is lost.
    #[test]
    fn many_values_are_drawn_in_groups() {
        let each = |n: usize| {
            let one = |k| Level {
                x: k as f64,
                n: 1,
                chosen: k % 2,
            };
            binned((0..n).map(one).collect())
        };
        assert_eq!(each(50).len(), 50);
        let found = each(10_000);
        assert_eq!(found.len(), 20);
        assert!(
            found
                .iter()
                .all(|level| (level.n, level.chosen) == (500, 250))
        );
        assert!((found[0].x - 249.5).abs() < 1e-9, "{}", found[0].x);
    }
}
