//! Rate maps of spatial tasks.

use ndarray::Array3;

use super::layers::{short, up_to};
use super::{Findings, Unsuitable, lacks};
use crate::Study;
use crate::plot::{Axis, ColourMap, Figure, HeatMap, Layer, Panel};
use crate::rate_map::RateMap;

/// Units with maps in the figure, those of the most spatial information.
const SHOWN: usize = 16;
const COLUMNS: usize = 8;

pub fn rate_maps(study: &Study) -> Result<Findings, Unsuitable> {
    let mut positions: Vec<[f64; 2]> = Vec::new();
    let mut places: Vec<(usize, usize)> = Vec::new();
    for b in 0..study.batch.n_trials {
        let path = study.task.positions(&study.batch.trial(b));
        let path = path.ok_or_else(|| lacks("nobody moves through a box in the task"))?;
        places.extend((0..path.len()).map(|t| (b, t)));
        positions.extend(path);
    }
    let positions = ndarray::Array2::from_shape_fn((positions.len(), 2), |(i, k)| positions[i][k]);
    let range = super::layers::range_of(positions.iter().copied(), 0.0);
    let n_bins = ((positions.nrows() as f64 / 20.0).sqrt() as usize).clamp(10, 40);
    let n = study.dynamics.n_units();
    let maps: Vec<RateMap> = (0..n)
        .map(|unit| {
            let rates: ndarray::Array1<f64> = places
                .iter()
                .map(|&(b, t)| study.rates[[b, t, unit]])
                .collect();
            RateMap::of(positions.view(), rates.view(), range, n_bins, 1.0)
        })
        .collect();
    let information: Vec<f64> = maps.iter().map(RateMap::information).collect();
    let grid: Vec<f64> = maps.iter().map(RateMap::grid_score).collect();
    let mut findings = Findings::default();
    findings.put(
        "maps",
        &Array3::from_shape_fn((n, n_bins, n_bins), |(unit, y, x)| maps[unit].rates[[y, x]]),
    );
    findings.put("visits", &maps[0].visits);
    findings.put_list("information_bits", &information);
    findings.put_list("grid_score", &grid);
    findings.put_list("range", &range);
    let count = |values: &[f64], bound: f64| values.iter().filter(|x| **x > bound).count();
    findings.say(format!(
        "{} of {n} units carry more than 0.5 bits of place, {} have a grid score above 0.3",
        count(&information, 0.5),
        count(&grid, 0.3)
    ));
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| information[b].total_cmp(&information[a]));
    let shown = n.min(SHOWN);
    let mut figure = Figure::new(
        &vec![16.0; shown.min(COLUMNS)],
        &vec![16.0; shown.div_ceil(COLUMNS)],
    );
    for (k, &unit) in order.iter().take(shown).enumerate() {
        figure.place(
            k / COLUMNS,
            k % COLUMNS,
            Panel {
                title: map_title(unit, information[unit], grid[unit]),
                x: Axis::hidden().with_range(0.0, 1.0),
                y: Axis::hidden().with_range(0.0, 1.0),
                layers: vec![Layer::HeatMap(HeatMap {
                    x: [0.0, 1.0],
                    y: [0.0, 1.0],
                    columns: n_bins,
                    values: maps[unit].rates.iter().copied().collect(),
                    scale: up_to(maps[unit].rates.iter().copied()),
                    map: ColourMap::Blues,
                })],
            },
        );
    }
    findings.draw("", figure);
    Ok(findings)
}

fn map_title(unit: usize, bits: f64, grid: f64) -> String {
    let two_digits = |x: f64| short((x * 100.0).round() / 100.0);
    let grid = match grid.is_finite() {
        true => format!(", grid {}", two_digits(grid)),
        false => String::new(),
    };
    format!("unit {unit}: {} bit{grid}", two_digits(bits))
}
