//! The page about a sweep: one self-contained HTML file.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ctrnn_analysis::plot::{Figure, Layer, Ticks, colour};
use ctrnn_analysis::{Metrics, escaped, page, table_box};

use crate::status::TrialState;
use crate::table::{Row, Table};

/// Largest number of trials in a list.
const MOST_LISTED: usize = 20;
/// Largest number of groups with a curve.
const MOST_CURVES: usize = 12;
/// Largest number of runs of a group whose logs are read for its curve.
const MOST_RUNS_OF_CURVE: usize = 32;
/// Largest number of values of a key with a tick each.
const MOST_TICKS: usize = 12;
/// Size of a panel: with its axis it fits a narrow screen.
const PANEL_MM: [f64; 2] = [48.0, 38.0];

/// Writes the page: means over seeds, the metric against each key, curves by group, best trials, and failures with their
/// reasons.
pub fn report(table: &Table) -> String {
    let sweep = table.sweep;
    let counts = table.counts();
    let tiles: Vec<(String, String)> = TrialState::ALL
        .iter()
        .filter_map(|state| Some((counts.get(state)?.to_string(), state.word().to_owned())))
        .collect();
    let metric = table.metric.as_deref().unwrap_or("the metric");
    let lead = format!(
        "{} trials of {} · compared by {metric}",
        sweep.trials.len(),
        sweep.file.base.display()
    );
    let mut sections = vec![
        ("Means over seeds", means(table)),
        ("Metric by key", by_key(table, metric)),
        ("Curves", curves(table)),
        ("Best trials", best(table, metric)),
        ("Failures", failures(table)),
        (
            "Sweep file",
            format!(
                "<div class=\"box\"><pre>{}</pre></div>\n",
                escaped(&sweep.file.text)
            ),
        ),
    ];
    sections.retain(|(_, body)| !body.is_empty());
    let footer =
        "Figures are vector graphics; <code>train-ctrnn sweep collect</code> writes their numbers.";
    page(&sweep.file.name, &lead, tiles, &sections, footer)
}

fn short(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

fn number(number: f64) -> String {
    match number {
        n if n.is_nan() => "–".to_owned(),
        n if n != 0.0 && (n.abs() < 1e-3 || n.abs() >= 1e5) => format!("{n:.3e}"),
        n => format!("{n:.4}"),
    }
}

fn means(table: &Table) -> String {
    let groups = table.groups();
    let mut head: Vec<String> = table
        .sweep
        .group_keys()
        .map(|key| short(key).to_owned())
        .collect();
    head.extend(["done", "mean", "standard deviation"].map(str::to_owned));
    let rows = groups.iter().take(5 * MOST_LISTED).map(|group| {
        let [mean, deviation] = group.best();
        let mut row = group.values.clone();
        row.extend([
            format!("{}/{}", group.n.0, group.n.1),
            number(mean),
            number(deviation),
        ]);
        row
    });
    let mut text = table_box(&head, &rows.collect::<Vec<_>>());
    if groups.len() > 5 * MOST_LISTED {
        let _ = writeln!(
            text,
            "<p class=\"about\">and {} groups more: <code>sweep collect --means</code></p>",
            groups.len() - 5 * MOST_LISTED
        );
    }
    text
}

/// Returns the value of the metric of a trial.
fn value(row: &Row) -> Option<f64> {
    row.results.as_ref()?.best.as_ref().map(|best| best.value)
}

fn by_key(table: &Table, metric: &str) -> String {
    let mut cards = String::new();
    for key in table.sweep.group_keys() {
        let points: Vec<(&str, f64)> = table
            .rows
            .iter()
            .filter_map(|row| Some((row.trial.value(key)?, value(row)?)))
            .filter(|(_, value)| value.is_finite())
            .collect();
        if points.is_empty() {
            continue;
        }
        let figure = scatter(key, &points, metric);
        let (mm, svg) = (figure.size_mm()[0], figure.to_svg());
        let _ = writeln!(
            cards,
            "<article class=\"card\"><h3>{}</h3><div class=\"figures\"><figure style=\"--mm:{mm:.1}\">{svg}</figure></div></article>",
            escaped(key)
        );
    }
    if cards.is_empty() {
        cards
    } else {
        format!("<div class=\"cards\">\n{cards}</div>\n")
    }
}

/// Returns the metric of all trials against the values of a key: few values are ticks with their names, in order; many
/// numbers an axis, whose logarithm is taken where they span two decades.
fn scatter(key: &str, points: &[(&str, f64)], metric: &str) -> Figure {
    let parsed: Option<Vec<f64>> = points.iter().map(|(text, _)| text.parse().ok()).collect();
    let mut names: Vec<&str> = points.iter().map(|(text, _)| *text).collect();
    names.sort_by(|a, b| match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a.total_cmp(&b),
        _ => a.cmp(b),
    });
    names.dedup();
    let mut figure = Figure::new(&[PANEL_MM[0]], &[PANEL_MM[1]]);
    let panel = figure.cell(0, 0);
    panel.y_label(metric);
    let y: Vec<f64> = points.iter().map(|(_, value)| *value).collect();
    let x: Vec<f64> = match parsed {
        Some(numbers) if names.len() > MOST_TICKS => {
            let (low, high) = numbers
                .iter()
                .fold((f64::INFINITY, 0.0_f64), |(low, high), &x| {
                    (low.min(x), high.max(x))
                });
            let is_wide = low > 0.0 && high / low >= 100.0;
            panel.x_label(short(key));
            if is_wide {
                panel.x_ticks(Ticks::logarithmic([low.log10(), high.log10()]));
            }
            numbers
                .into_iter()
                .map(|x| if is_wide { x.log10() } else { x })
                .collect()
        }
        _ => {
            let place =
                |text: &str| names.iter().position(|name| *name == text).unwrap_or(0) as f64;
            if names.len() <= MOST_TICKS {
                let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
                panel.x(short(key), [0.0, names.len() as f64]);
                panel.x_ticks(Ticks::named(&names));
            } else {
                panel.x_label(&format!("{} (in alphabetical order)", short(key)));
            }
            points.iter().map(|(text, _)| place(text) + 0.5).collect()
        }
    };
    panel.add(Layer::points(x, y, colour(0)).radius(0.8));
    figure
}

/// Returns the mean validation loss by step of each group.
fn curves(table: &Table) -> String {
    let mut groups: Vec<(String, Vec<&Row>)> = Vec::new();
    for row in &table.rows {
        let words = table.sweep.group_keys().map(|key| {
            format!(
                "{} {}",
                short(key),
                row.trial.value(key).unwrap_or_default()
            )
        });
        let name = words.collect::<Vec<_>>().join(", ");
        match groups.iter().position(|(known, _)| *known == name) {
            Some(k) => groups[k].1.push(row),
            None if groups.len() < MOST_CURVES => groups.push((name, vec![row])),
            None => {}
        }
    }
    let mut figure = Figure::new(&[110.0], &[65.0]);
    let panel = figure.cell(0, 0);
    panel.x_label("training step").y_label("validation loss");
    let mut is_empty = true;
    for (k, (name, rows)) in groups.iter().enumerate() {
        let (steps, means) = mean_curve(table, rows);
        if steps.is_empty() {
            continue;
        }
        is_empty = false;
        let name = if name.is_empty() {
            "all trials"
        } else {
            name.as_str()
        };
        let line = Layer::line(steps, means, colour(k % 8)).named(name);
        panel.add(if k < 8 { line } else { line.dashed() });
    }
    if is_empty {
        return String::new();
    }
    let mm = figure.size_mm()[0];
    format!(
        "<article class=\"card wide\"><p class=\"about\">Mean over the seeds of each group (the first {MOST_CURVES} groups).</p><div class=\"figures\"><figure style=\"--mm:{mm:.1}\">{}</figure></div></article>\n",
        figure.to_svg()
    )
}

/// Returns the mean over runs of the validation loss, at the steps that all runs with the first of them share.
fn mean_curve(table: &Table, rows: &[&Row]) -> (Vec<f64>, Vec<f64>) {
    let mut sums: BTreeMap<u64, (f64, u32)> = BTreeMap::new();
    for row in rows.iter().take(MOST_RUNS_OF_CURVE) {
        let Ok(metrics) = Metrics::read(&table.sweep.run(row.trial).metrics()) else {
            continue;
        };
        let (steps, losses) = metrics.curve("val", "loss");
        for (step, loss) in steps
            .into_iter()
            .zip(losses)
            .filter(|(_, loss)| loss.is_finite())
        {
            let sum = sums.entry(step as u64).or_insert((0.0, 0));
            *sum = (sum.0 + loss, sum.1 + 1);
        }
    }
    let most = sums.values().map(|(_, n)| *n).max().unwrap_or(0);
    let whole = sums.into_iter().filter(|(_, (_, n))| *n == most);
    whole
        .map(|(step, (sum, n))| (step as f64, sum / f64::from(n)))
        .unzip()
}

fn best(table: &Table, metric: &str) -> String {
    let mut rows: Vec<(&Row, f64)> = table
        .rows
        .iter()
        .filter_map(|row| Some((row, value(row)?)))
        .collect();
    let is_loss = metric.ends_with(".loss");
    rows.sort_by(|(_, a), (_, b)| {
        if is_loss {
            a.total_cmp(b)
        } else {
            b.total_cmp(a)
        }
    });
    if rows.is_empty() {
        return String::new();
    }
    let mut head = vec!["trial".to_owned()];
    head.extend(table.sweep.keys.iter().map(|key| short(key).to_owned()));
    head.push(metric.to_owned());
    let rows = rows.into_iter().take(MOST_LISTED).map(|(row, best)| {
        let mut cells = vec![row.trial.name.clone()];
        let value = |key: &String| row.trial.value(key).unwrap_or_default().to_owned();
        cells.extend(table.sweep.keys.iter().map(value));
        cells.push(number(best));
        cells
    });
    table_box(&head, &rows.collect::<Vec<_>>())
}

fn failures(table: &Table) -> String {
    let failed = table
        .rows
        .iter()
        .filter(|row| row.status.state == TrialState::Failed);
    let rows: Vec<Vec<String>> = failed
        .map(|row| {
            let reason = row.status.reason.clone().unwrap_or_default();
            vec![row.trial.name.clone(), row.trial.words(), reason]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let head = ["trial", "values", "reason"].map(str::to_owned);
    table_box(&head, &rows[..rows.len().min(5 * MOST_LISTED)])
}
