//! Distances between runs.

use ndarray::{Array2, Array3, ArrayView1};

use super::layers::{BAR_MM, colour_bar, matrix, named_ticks, short};
use super::{Findings, Unsuitable, diverges, lacks};
use crate::dsa::{delay_dynamics, dynamical_distance};
use crate::plot::{Axis, ColourMap, Figure, Layer, Panel, Rgb};
use crate::similarity::{cka, procrustes_angle};
use crate::study::first_nonfinite;
use crate::{Pca, Study};

/// Delays and dimensions of the dynamical similarity.
const DELAYS: usize = 5;
const RANK: usize = 10;

pub fn comparison(study: &Study) -> Result<Findings, Unsuitable> {
    if study.peers.is_empty() {
        return Err(lacks(
            "there is nothing to compare with: name other runs of the task with --with RUN",
        ));
    }
    for peer in &study.peers {
        if let Some(place) = first_nonfinite(&peer.rates) {
            return Err(diverges(&peer.name, place));
        }
    }
    let mut names = vec!["this run".to_owned()];
    names.extend(study.peers.iter().map(|peer| peer.name.clone()));
    let all: Vec<&Array3<f64>> = std::iter::once(&study.rates)
        .chain(study.peers.iter().map(|peer| &peer.rates))
        .collect();
    let rows: Vec<Array2<f64>> = all.iter().map(|rates| counted(study, rates)).collect();
    if rows[0].nrows() < 2 {
        return Err(lacks(
            "a single state is like any other: there is one trial of one time step",
        ));
    }
    let n = names.len();
    let table = |of: &dyn Fn(usize, usize) -> Result<f64, Unsuitable>, same: f64| {
        let mut table = Array2::from_elem((n, n), same);
        for (i, j) in (0..n).flat_map(|i| (0..i).map(move |j| (i, j))) {
            let value = of(i, j)?;
            table[[i, j]] = value;
            table[[j, i]] = value;
        }
        Ok::<_, Unsuitable>(table)
    };
    let angle = |i: usize, j: usize| Ok(procrustes_angle(rows[i].view(), rows[j].view())?);
    let alignment = |i: usize, j: usize| Ok(cka(rows[i].view(), rows[j].view()));
    let mut tables = vec![
        ("procrustes_angle", "Procrustes angle", table(&angle, 0.0)?),
        ("cka", "CKA", table(&alignment, 1.0)?),
    ];
    let mut findings = Findings::default();
    let maps: Result<Vec<Array2<f64>>, Unsuitable> = all
        .iter()
        .zip(&rows)
        .map(|(rates, rows)| dynamics_of(study, rates, rows))
        .collect();
    match maps {
        Ok(maps) => {
            let distance =
                |i: usize, j: usize| Ok(dynamical_distance(maps[i].view(), maps[j].view())?);
            tables.push(("dsa", "DSA angle", table(&distance, 0.0)?));
        }
        Err(why) => findings.say(format!("DSA is left out: {why}")),
    }
    let mut figure = Figure::new(&[28.0, BAR_MM].repeat(tables.len()), &[28.0]);
    for (k, (name, title, table)) in tables.iter().enumerate() {
        findings.put(name, table);
        for (j, peer) in names.iter().enumerate().skip(1) {
            findings.say(format!("{title} to {peer}: {}", short(table[[0, j]])));
        }
        let highest = if k == 1 {
            1.0
        } else {
            table.iter().copied().fold(0.1, f64::max)
        };
        figure.place(
            0,
            2 * k,
            matrix_panel(table, &names, title, highest, k == 0),
        );
        figure.place(
            0,
            2 * k + 1,
            colour_bar([0.0, highest], ColourMap::Blues, ""),
        );
    }
    findings.draw("", figure);
    Ok(findings)
}

fn matrix_panel(
    table: &Array2<f64>,
    names: &[String],
    title: &str,
    highest: f64,
    is_first: bool,
) -> Panel {
    let n = names.len();
    let mut layers = vec![matrix(
        table.iter().copied().collect(),
        n,
        [0.0, highest],
        ColourMap::Blues,
    )];
    for ((i, j), value) in table.indexed_iter().filter(|_| n <= 5) {
        let ink = if *value > 0.5 * highest {
            Rgb::WHITE
        } else {
            Rgb::BLACK
        };
        layers.push(Layer::text(
            j as f64 + 0.5,
            i as f64 + 0.5,
            &short((value * 100.0).round() / 100.0),
            ink,
        ));
    }
    let numbers: Vec<String> = (1..=n).map(|k| k.to_string()).collect();
    let y = Axis::default().with_range(n as f64, 0.0);
    Panel {
        title: title.to_owned(),
        x: Axis::default()
            .with_range(0.0, n as f64)
            .with_ticks(named_ticks(&numbers)),
        y: y.with_ticks(named_ticks(if is_first { names } else { &numbers })),
        layers,
    }
}

/// The rates of all states that belong to a trial, one per row.
fn counted(study: &Study, rates: &Array3<f64>) -> Array2<f64> {
    let rows: Vec<ArrayView1<f64>> = (0..study.batch.n_trials)
        .flat_map(|b| (0..study.batch.n_steps[b]).map(move |t| (b, t)))
        .map(|(b, t)| rates.slice(ndarray::s![b, t, ..]))
        .collect();
    ndarray::stack(ndarray::Axis(0), &rows).expect("rows of one width")
}

/// The delay-embedded dynamics of a network, seen in its first principal components: what is left out is under a hundredth of the variance, or
/// beyond twenty dimensions.
fn dynamics_of(
    study: &Study,
    rates: &Array3<f64>,
    rows: &Array2<f64>,
) -> Result<Array2<f64>, Unsuitable> {
    let pca = Pca::of(rows.view())?;
    let k = pca.n_explaining(0.99).clamp(1, 20);
    let scale = match pca.rank() {
        0 => 1.0, // constant: all scores are 0
        _ => pca.variances[0].sqrt(),
    };
    let trials: Vec<Array2<f64>> = (0..study.batch.n_trials.min(100))
        .map(|b| pca.project(rates.slice(ndarray::s![b, ..study.batch.n_steps[b], ..]), k) / scale)
        .collect();
    let views: Vec<_> = trials.iter().map(|trial| trial.view()).collect();
    delay_dynamics(&views, DELAYS, RANK)
}
