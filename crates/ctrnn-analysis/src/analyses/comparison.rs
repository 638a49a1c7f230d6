//! Distances between runs.

use ndarray::{Array2, Array3};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answer, Unsuitable};
use crate::dsa::{delay_dynamics, dynamical_distance};
use crate::plot::{BAR_MM, ColourMap, Figure, Layer, Panel, Rgb, Ticks};
use crate::similarity::{cka, procrustes_angle};
use crate::study::first_nonfinite;
use crate::text::{rounded, short};
use crate::{ArrayDoc, Arrays, Pca, Study};

/// Settings of the dynamical similarity analysis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ComparisonOptions {
    /// Number of delays in the embedding.
    pub n_delays: usize,
    /// Rank of the linear map.
    pub rank: usize,
}

impl Default for ComparisonOptions {
    fn default() -> Self {
        Self {
            n_delays: 5,
            rank: 10,
        }
    }
}

/// Distances between this run and others, and of the others to each other.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Names of the runs, starting with this one.
    pub names: Vec<String>,
    /// Distances `[run, run]` by each measure.
    pub measures: Vec<Measure>,
    /// Reason why dynamical similarity is not among the measures, if it is not.
    pub without_dsa: Option<Unsuitable>,
}

/// Distances between runs by one measure.
#[derive(Clone, Debug)]
pub struct Measure {
    /// Name in arrays.
    pub name: &'static str,
    /// Name in text.
    pub title: &'static str,
    /// Distances, `[run, run]`.
    pub table: Array2<f64>,
    /// Largest possible value, if there is one.
    pub(crate) most: Option<f64>,
}

impl Answer for Comparison {
    type Options = ComparisonOptions;
    const SEES_GROUPS: bool = false;
    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new(
            "names",
            "[network]",
            "",
            "names of the networks, starting with this one",
        ),
        ArrayDoc::new(
            "{}",
            "[network, network]",
            "",
            "distances between networks: procrustes and dsa in rad, cka as a similarity from 0 to 1",
        ),
    ];

    const SEES_PEERS: bool = true;

    fn compute(study: &Study, options: &ComparisonOptions) -> Result<Self, Unsuitable> {
        check_peers(study)?;
        let others = || study.peers.iter();
        let all: Vec<&Array3<f64>> = std::iter::once(&study.rates)
            .chain(others().map(|peer| &peer.rates))
            .collect();
        let rows: Vec<Array2<f64>> = all.iter().map(|rates| study.counted(rates)).collect();
        if rows[0].nrows() < 2 {
            let why = "a single state is like any other: there is one trial of one time step";
            return Err(Unsuitable::lacks(why));
        }
        let n = rows.len();
        let angles = pairwise(n, 0.0, |i, j| {
            Ok(procrustes_angle(rows[i].view(), rows[j].view())?)
        })?;
        let alignments = pairwise(n, 1.0, |i, j| Ok(cka(rows[i].view(), rows[j].view())))?;
        let mut measures = vec![
            Measure::new("procrustes_angle", "Procrustes angle (rad)", angles, None),
            Measure::new("cka", "CKA", alignments, Some(1.0)),
        ];
        let maps: Result<Vec<Array2<f64>>, Unsuitable> = all
            .iter()
            .zip(&rows)
            .map(|(rates, rows)| dynamics_of(study, rates, rows, options))
            .collect();
        let without_dsa = match maps {
            Ok(maps) => {
                let distances = dynamical_distances(&maps)?;
                measures.push(Measure::new("dsa", "DSA angle (rad)", distances, None));
                None
            }
            Err(why) => Some(why),
        };
        let mut names = vec!["this run".to_owned()];
        names.extend(others().map(|peer| peer.name.clone()));
        Ok(Self {
            names,
            measures,
            without_dsa,
        })
    }

    fn arrays(&self) -> Arrays {
        let measures = self.measures.iter();
        let arrays = Arrays::default().with("names", &self.names);
        measures.fold(arrays, |arrays, measure| {
            arrays.with(measure.name, &measure.table)
        })
    }

    fn statements(&self) -> Vec<String> {
        let why = self.without_dsa.iter();
        let left_out = why.map(|why| format!("DSA is left out: {why}"));
        let distances = self
            .measures
            .iter()
            .flat_map(|Measure { title, table, .. }| {
                let peers = self.names.iter().enumerate().skip(1);
                peers.map(move |(j, peer)| format!("{title} to {peer}: {}", short(table[[0, j]])))
            });
        left_out.chain(distances).collect()
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let mut figure = Figure::new(&[28.0, BAR_MM].repeat(self.measures.len()), &[28.0]);
        let numbers: Vec<String> = (0..self.names.len()).map(|k| k.to_string()).collect();
        for (k, measure) in self.measures.iter().enumerate() {
            let largest = measure.table.iter().copied().fold(0.1, f64::max);
            let highest = measure.most.unwrap_or(largest);
            let numbered = self.names.iter().zip(&numbers);
            let rows: Vec<String> = match k {
                0 => numbered
                    .map(|(name, number)| format!("{name}  {number}"))
                    .collect(),
                _ => numbers.clone(),
            };
            let panel = figure.cell(0, 2 * k).title(measure.title);
            panel.x_ticks(Ticks::named(&numbers));
            panel.y_ticks(Ticks::named(&rows));
            measure.draw(panel, highest);
            let bar = figure.cell(0, 2 * k + 1);
            bar.colour_bar([0.0, highest], ColourMap::Blues, "");
        }
        vec![("", figure)]
    }
}

impl Measure {
    pub(crate) fn new(
        name: &'static str,
        title: &'static str,
        table: Array2<f64>,
        most: Option<f64>,
    ) -> Self {
        Self {
            name,
            title,
            table,
            most,
        }
    }

    /// Draws the table, with its numbers if there is room for them.
    pub(crate) fn draw(&self, panel: &mut Panel, highest: f64) {
        panel.matrix(&self.table, [0.0, highest], ColourMap::Blues);
        if self.table.nrows() <= 5 {
            panel.extend(self.table.indexed_iter().map(|((i, j), &value)| {
                let is_dark = value > 0.5 * highest;
                let ink = if is_dark { Rgb::WHITE } else { Rgb::BLACK };
                Layer::text(j as f64 + 0.5, i as f64 + 0.5, &rounded(value, 2), ink)
            }));
        }
    }
}

/// Checks that there are other networks, and that their states are finite.
fn check_peers(study: &Study) -> Result<(), Unsuitable> {
    if study.peers.is_empty() {
        let why = "there is nothing to compare with: name other runs of the task with --with RUN";
        return Err(Unsuitable::lacks(why));
    }
    for peer in &study.peers {
        if let Some(place) = first_nonfinite(&peer.rates) {
            return Err(Unsuitable::diverges(&peer.name, place));
        }
    }
    Ok(())
}

pub(crate) fn dynamical_distances(maps: &[Array2<f64>]) -> Result<Array2<f64>, Unsuitable> {
    pairwise(maps.len(), 0.0, |i, j| {
        Ok(dynamical_distance(maps[i].view(), maps[j].view())?)
    })
}

/// Returns the symmetric table of a distance between `n` items, with `same` on its diagonal.
pub(crate) fn pairwise(
    n: usize,
    same: f64,
    distance: impl Fn(usize, usize) -> Result<f64, Unsuitable> + Sync,
) -> Result<Array2<f64>, Unsuitable> {
    let pairs: Vec<(usize, usize)> = (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).collect();
    let values: Result<Vec<f64>, Unsuitable> =
        pairs.par_iter().map(|&(i, j)| distance(i, j)).collect();
    let mut table = Array2::from_elem((n, n), same);
    for ((i, j), value) in pairs.into_iter().zip(values?) {
        table[[i, j]] = value;
        table[[j, i]] = value;
    }
    Ok(table)
}

/// Fits the delay-embedded dynamics of a network in its first principal components: as many as explain 99 % of the
/// variance, at most twenty.
pub(crate) fn dynamics_of(
    study: &Study,
    rates: &Array3<f64>,
    rows: &Array2<f64>,
    options: &ComparisonOptions,
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
    delay_dynamics(&views, options.n_delays, options.rank)
}
