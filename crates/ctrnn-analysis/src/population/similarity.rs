//! Similarity of the states of several networks.

use ndarray::{Array2, ArrayView2};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Embedding, Networks, PopulationAnswer, Spread, classical_scaling};
use crate::analyses::comparison::{
    ComparisonOptions, Measure, dynamical_distances, dynamics_of, pairwise,
};
use crate::plot::{BAR_MM, ColourMap, Figure, Layer, Ticks, colour};
use crate::similarity::{cka, procrustes_angle};
use crate::text::rounded;
use crate::{ArrayDoc, Arrays, Study, Unsuitable};

/// Least and largest number of states of a network, and the number of values of all networks together that they are chosen for.
const STATES: [usize; 2] = [500, 4000];
const MOST_VALUES: usize = 200_000;
/// Number of trials from which states are taken, if there are no more conditions.
const TRIALS: usize = 64;
/// Largest number of networks that have their names on the axes, in rows that are as high as text.
const MOST_NAMED: usize = 12;

/// Settings of the similarities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SimilarityOptions {
    /// Number of delays in the embedding of dynamical similarity analysis.
    pub n_delays: usize,
    /// Rank of its linear map.
    pub rank: usize,
    /// Largest number of networks for which it is computed: the time grows with the square of their number.
    pub most_dsa: usize,
}

impl Default for SimilarityOptions {
    fn default() -> Self {
        let ComparisonOptions { n_delays, rank } = ComparisonOptions::default();
        Self {
            n_delays,
            rank,
            most_dsa: 64,
        }
    }
}

/// Similarities between networks, and the networks as points at the distances that belong to them.
#[derive(Clone, Debug)]
pub struct Similarity {
    networks: Networks,
    /// Tables `[network, network]` by each measure.
    measures: Vec<Measure>,
    /// Points of the networks by each measure.
    embeddings: Vec<Embedding>,
    /// Reason why dynamical similarity is not among the measures, if it is not.
    without_dsa: Option<String>,
}

/// Part of the states of a network.
pub struct States {
    /// Rates in some time steps of some trials, `[state, unit]`.
    rates: Array2<f64>,
    /// Linear map of the delay-embedded dynamics.
    dynamics: Result<Array2<f64>, Unsuitable>,
}

impl PopulationAnswer for Similarity {
    type Options = SimilarityOptions;
    type Observation = States;

    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new(
            "cka",
            "[network, network]",
            "",
            "linear CKA of the rates in the same trials, from 0 to 1",
        ),
        ArrayDoc::new(
            "procrustes_angle",
            "[network, network]",
            "rad",
            "Procrustes angle of the rates in the same trials",
        ),
        ArrayDoc::new(
            "dsa",
            "[network, network]",
            "rad",
            "dynamical similarity analysis: angle between the linear maps of the delay-embedded dynamics",
        ),
        ArrayDoc::new(
            "{}_points",
            "[network, 2]",
            "rad",
            "classical multidimensional scaling of the distances: the angles themselves, and the arc cosine of CKA",
        ),
        ArrayDoc::new(
            "{}_eigenvalues",
            "[network]",
            "",
            "eigenvalues of the scaling in descending order; negative ones mean that no points have these distances exactly",
        ),
    ];

    fn observe(
        study: &Study,
        n_networks: usize,
        options: &SimilarityOptions,
    ) -> Result<States, Unsuitable> {
        let rates = sampled(study, n_networks);
        if rates.nrows() < 2 {
            let why = "a single state is like any other: there is one trial of one time step";
            return Err(Unsuitable::lacks(why));
        }
        let dsa = ComparisonOptions {
            n_delays: options.n_delays,
            rank: options.rank,
        };
        let dynamics = if n_networks > options.most_dsa {
            let most = options.most_dsa;
            let why = format!(
                "{n_networks} networks are more than similarity.most_dsa = {most}, and every pair takes its time"
            );
            Err(Unsuitable::lacks(why))
        } else {
            let rows = study.counted(&study.rates);
            dynamics_of(study, &study.rates, &rows, &dsa)
        };
        Ok(States { rates, dynamics })
    }

    fn join(
        networks: &Networks,
        observed: Vec<States>,
        _: &SimilarityOptions,
    ) -> Result<Self, Unsuitable> {
        let n = networks.len();
        if n < 2 {
            return Err(Unsuitable::lacks(
                "there is one network, and nothing to compare it with",
            ));
        }
        let rates: Vec<ArrayView2<f64>> = observed.iter().map(|own| own.rates.view()).collect();
        if let Some(k) = rates.iter().position(|own| own.nrows() != rates[0].nrows()) {
            let [a, b] = [0, k].map(|k| &networks.names[k]);
            let why = format!("{a} and {b} have trials of different lengths");
            return Err(Unsuitable::lacks(why));
        }
        let alignments = pairwise(n, 1.0, |i, j| Ok(cka(rates[i], rates[j]).clamp(0.0, 1.0)))?;
        let angles = pairwise(n, 0.0, |i, j| Ok(procrustes_angle(rates[i], rates[j])?))?;
        let mut measures = vec![
            Measure::new("cka", "CKA", alignments, Some(1.0)),
            Measure::new("procrustes_angle", "Procrustes angle (rad)", angles, None),
        ];
        let maps: Result<Vec<Array2<f64>>, Unsuitable> =
            observed.iter().map(|own| own.dynamics.clone()).collect();
        let without_dsa = match maps {
            Ok(maps) => {
                let distances = dynamical_distances(&maps)?;
                measures.push(Measure::new("dsa", "DSA angle (rad)", distances, None));
                None
            }
            Err(why) => Some(why.to_string()),
        };
        let embeddings = measures.iter().map(|measure| {
            let distances = match measure.name {
                "cka" => measure.table.mapv(f64::acos),
                _ => measure.table.clone(),
            };
            Ok(classical_scaling(distances.view(), 2)?)
        });
        Ok(Self {
            embeddings: embeddings.collect::<Result<_, Unsuitable>>()?,
            networks: networks.clone(),
            measures,
            without_dsa,
        })
    }

    fn arrays(&self) -> Arrays {
        let measures = self.measures.iter().zip(&self.embeddings);
        measures.fold(Arrays::default(), |arrays, (measure, embedding)| {
            let name = measure.name;
            arrays
                .with(name, &measure.table)
                .with(format!("{name}_points"), &embedding.points)
                .with(format!("{name}_eigenvalues"), &embedding.eigenvalues)
        })
    }

    fn statements(&self) -> Vec<String> {
        let why = self.without_dsa.iter();
        let left_out = why.map(|why| format!("DSA is left out: {why}"));
        let measures = self.measures.iter().zip(&self.embeddings);
        let spread = measures.map(|(measure, embedding)| {
            let title = measure.title;
            let percent = rounded(100.0 * embedding.explained(), 0);
            format!(
                "{title}: {}; two dimensions hold {percent} % of the distances",
                self.within_and_between(measure)
            )
        });
        left_out.chain(spread).collect()
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        vec![("", self.tables()), ("_embedding", self.points())]
    }
}

impl Similarity {
    /// Describes the values of a measure within groups and between them.
    fn within_and_between(&self, measure: &Measure) -> String {
        let group_of = &self.networks.group_of;
        let of = |is_within: bool| {
            let pairs = (0..group_of.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
            let wanted = pairs.filter(|&(i, j)| (group_of[i] == group_of[j]) == is_within);
            Spread::of(wanted.map(|(i, j)| measure.table[[i, j]]))
        };
        match (of(true), of(false)) {
            (within, between) if between.n == 0 => format!("{within} between networks"),
            (within, between) if within.n == 0 => format!("{between} between networks"),
            (within, between) => {
                format!(
                    "{within} between networks of a group, {between} between those of different groups"
                )
            }
        }
    }

    fn tables(&self) -> Figure {
        let mut figure = Figure::new(&[32.0, BAR_MM].repeat(self.measures.len()), &[32.0]);
        let n = self.networks.len();
        let numbers: Vec<String> = (0..n).map(|k| k.to_string()).collect();
        for (k, measure) in self.measures.iter().enumerate() {
            let largest = measure.table.iter().copied().fold(0.1, f64::max);
            let highest = measure.most.unwrap_or(largest);
            let panel = figure.cell(0, 2 * k).title(measure.title);
            let rows: Vec<String> = match k {
                0 => self.networks.names.clone(),
                _ => vec![String::new(); n],
            };
            if n <= MOST_NAMED {
                panel
                    .x_ticks(Ticks::named(&numbers))
                    .y_ticks(Ticks::named(&rows));
            } else {
                panel
                    .x_label("network")
                    .x_ticks(Ticks::first_and_last(n))
                    .y_ticks(Ticks::first_and_last(n));
            }
            measure.draw(panel, highest);
            let bar = figure.cell(0, 2 * k + 1);
            bar.colour_bar([0.0, highest], ColourMap::Blues, "");
        }
        figure
    }

    fn points(&self) -> Figure {
        let mut figure = Figure::new(&vec![36.0; self.measures.len()], &[36.0]);
        let measures = self.measures.iter().zip(&self.embeddings);
        for (k, (measure, embedding)) in measures.enumerate() {
            let is_last = k + 1 == self.measures.len();
            let panel = figure.cell(0, k).title(match measure.name {
                "cka" => "arccos CKA (rad)",
                _ => measure.title,
            });
            for (group, name) in self.networks.groups.iter().enumerate() {
                let own = self.networks.of_group(group);
                if own.is_empty() {
                    continue;
                }
                let of = |d: usize| own.iter().map(|&k| embedding.points[[k, d]]).collect();
                let points = Layer::points(of(0), of(1), colour(group)).radius(0.8);
                panel.add(if is_last { points.named(name) } else { points });
            }
            panel.fit(0.1).x_label("dimension 1").y_label("dimension 2");
        }
        figure
    }
}

/// Returns the rates `[state, unit]` of whole trials at evenly spread time steps: of all conditions, and of as many states as leave room for
/// those of all networks. The choice depends on the trials alone, so that states of different networks belong together.
fn sampled(study: &Study, n_networks: usize) -> Array2<f64> {
    let n_trials = study
        .batch
        .n_trials
        .min(TRIALS.max(study.task.n_conditions()));
    let most = (MOST_VALUES / n_networks.max(1)).clamp(STATES[0], STATES[1]);
    let n_steps: usize = study.batch.n_steps[..n_trials].iter().sum();
    let every = n_steps.div_ceil(most).max(1);
    let places = study.visited_steps();
    let places: Vec<(usize, usize)> = places
        .take_while(|(b, _)| *b < n_trials)
        .filter(|(_, t)| t % every == every / 2)
        .collect();
    let mut rows = Array2::zeros((places.len(), study.rates.dim().2));
    for (mut row, (b, t)) in rows.outer_iter_mut().zip(places) {
        row.assign(&study.rates.slice(ndarray::s![b, t, ..]));
    }
    rows
}
