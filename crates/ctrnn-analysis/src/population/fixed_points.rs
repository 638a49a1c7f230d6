//! Types of solutions by their fixed points.

use std::collections::BTreeMap;

use ctrnn_tasks::counted;
use ndarray::Array2;

use super::{Networks, PopulationAnswer};
use crate::analyses::computed;
use crate::analyses::fixed_points::{CONTINUUM, FixedPoints, FoundPoints, Search};
use crate::plot::{BAR_MM, ColourMap, Figure, Layer, Rgb, Ticks};
use crate::text::listed;
use crate::{ArrayDoc, Arrays, FixedPoint, Study, Unsuitable};

/// Largest number of types in the figure and in statements.
const MOST_TYPES: usize = 12;

/// Numbers of fixed points under one held input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Topology {
    /// Stable points.
    pub n_stable: usize,
    /// Points with at least one unstable direction.
    pub n_saddles: usize,
    /// Points with marginal directions but no unstable one.
    pub n_marginal: usize,
    /// True if there are so many marginal points that they are a continuum, such as a line; their number means nothing then.
    pub is_continuum: bool,
    /// True if states run away with the input held.
    pub diverges: bool,
}

/// Types of solutions: networks of a type have equal numbers of fixed points of each kind under every input.
#[derive(Clone, Debug)]
pub struct Solutions {
    networks: Networks,
    /// Names of the held inputs.
    inputs: Vec<String>,
    /// Numbers of points `[network][input]`.
    topologies: Vec<Vec<Topology>>,
    /// Types by falling number of networks.
    types: Vec<Vec<Topology>>,
    /// Type of each network.
    type_of: Vec<usize>,
}

impl PopulationAnswer for Solutions {
    type Options = Search;
    type Observation = (Vec<String>, Vec<Topology>);

    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new(
            "input_names",
            "[held input]",
            "",
            "names of the held inputs",
        ),
        ArrayDoc::new(
            "n_stable",
            "[network, held input]",
            "",
            "number of stable fixed points",
        ),
        ArrayDoc::new(
            "n_saddles",
            "[network, held input]",
            "",
            "number of fixed points with at least one unstable direction",
        ),
        ArrayDoc::new(
            "n_marginal",
            "[network, held input]",
            "",
            "number of fixed points with marginal directions but no unstable one; 0 where they are a continuum",
        ),
        ArrayDoc::new(
            "is_continuum",
            "[network, held input]",
            "",
            "1 if there are so many marginal points that they are a continuum, such as a line",
        ),
        ArrayDoc::new(
            "diverges",
            "[network, held input]",
            "",
            "1 if states run away with the input held",
        ),
        ArrayDoc::new("types", "[type]", "", "types of solutions in words"),
        ArrayDoc::new("type_index", "[network]", "", "type of each network"),
        ArrayDoc::new(
            "n_networks",
            "[group, type]",
            "",
            "number of networks of each group that have each type",
        ),
    ];

    fn observe(
        study: &Study,
        _: usize,
        options: &Search,
    ) -> Result<(Vec<String>, Vec<Topology>), Unsuitable> {
        let found = computed::<FixedPoints>(study, options)?;
        let names = found.held.inputs.iter().map(|held| held.name.clone());
        Ok((
            names.collect(),
            found.found.iter().map(Topology::of).collect(),
        ))
    }

    fn join(
        networks: &Networks,
        observed: Vec<(Vec<String>, Vec<Topology>)>,
        _: &Search,
    ) -> Result<Self, Unsuitable> {
        let inputs = observed[0].0.clone();
        if let Some(k) = observed.iter().position(|(names, _)| *names != inputs) {
            let [a, b] = [0, k].map(|k| &networks.names[k]);
            let why = format!("{a} and {b} have different held inputs");
            return Err(Unsuitable::lacks(why));
        }
        let topologies: Vec<Vec<Topology>> = observed.into_iter().map(|(_, found)| found).collect();
        let mut counts: BTreeMap<&Vec<Topology>, usize> = BTreeMap::new();
        for own in &topologies {
            *counts.entry(own).or_insert(0) += 1;
        }
        let mut types: Vec<(&Vec<Topology>, usize)> = counts.into_iter().collect();
        types.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        let types: Vec<Vec<Topology>> = types.into_iter().map(|(of, _)| of.clone()).collect();
        let place = |own: &Vec<Topology>| types.iter().position(|of| of == own).unwrap_or(0);
        Ok(Self {
            type_of: topologies.iter().map(place).collect(),
            networks: networks.clone(),
            inputs,
            topologies,
            types,
        })
    }

    fn arrays(&self) -> Arrays {
        let table = |of: fn(&Topology) -> usize| {
            let shape = (self.topologies.len(), self.inputs.len());
            Array2::from_shape_fn(shape, |(k, i)| of(&self.topologies[k][i]) as f64)
        };
        let words: Vec<String> = self.types.iter().map(|of| self.words(of)).collect();
        Arrays::default()
            .with("input_names", &self.inputs)
            .with("n_stable", &table(|of| of.n_stable))
            .with("n_saddles", &table(|of| of.n_saddles))
            .with("n_marginal", &table(|of| of.n_marginal))
            .with("is_continuum", &table(|of| of.is_continuum.into()))
            .with("diverges", &table(|of| of.diverges.into()))
            .with("types", &words)
            .with("type_index", &self.type_of)
            .with("n_networks", &self.counts())
    }

    fn statements(&self) -> Vec<String> {
        let counts = self.counts();
        let n = self.networks.len();
        let shown = self.types.iter().enumerate().take(MOST_TYPES);
        let mut lines: Vec<String> = shown
            .map(|(t, of)| {
                let groups = (0..self.networks.groups.len()).filter(|&g| counts[[g, t]] > 0.0);
                let groups: Vec<String> = groups
                    .map(|g| format!("{} in {}", counts[[g, t]], self.networks.groups[g]))
                    .collect();
                let all: f64 = counts.column(t).sum();
                let places = match self.networks.groups.len() {
                    1 => String::new(),
                    _ => format!(" ({})", groups.join("; ")),
                };
                format!(
                    "type {}: {all} of {n} networks{places}: {}",
                    t + 1,
                    self.words(of)
                )
            })
            .collect();
        if self.types.len() > MOST_TYPES {
            lines.push(format!(
                "and {} further types",
                self.types.len() - MOST_TYPES
            ));
        }
        lines
    }

    /// Draws the number of networks of each type in each group.
    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let counts = self.counts();
        let n_types = self.types.len().min(MOST_TYPES);
        let shown = counts.slice(ndarray::s![.., ..n_types]).to_owned();
        let most = shown.iter().copied().fold(1.0, f64::max);
        let n_groups = shown.nrows();
        let columns = [6.0 * n_types as f64 + 6.0, BAR_MM];
        let mut figure = Figure::new(&columns, &[5.0 * n_groups as f64 + 8.0]);
        let panel = figure.cell(0, 0).title("networks of each type");
        let numbers: Vec<String> = (1..=n_types).map(|t| t.to_string()).collect();
        panel.matrix(&shown, [0.0, most], ColourMap::Blues);
        panel.x_label("type").x_ticks(Ticks::named(&numbers));
        panel.y_ticks(Ticks::named(&self.networks.groups));
        panel.extend(shown.indexed_iter().map(|((g, t), &n)| {
            let ink = if n > 0.5 * most {
                Rgb::WHITE
            } else {
                Rgb::BLACK
            };
            Layer::text(t as f64 + 0.5, g as f64 + 0.5, &n.to_string(), ink)
        }));
        figure
            .cell(0, 1)
            .colour_bar([0.0, most], ColourMap::Blues, "");
        vec![("", figure)]
    }
}

impl Topology {
    fn of(found: &FoundPoints) -> Self {
        let fixed = || found.points.iter().filter(|point| point.is_fixed);
        let count = |is: fn(&FixedPoint) -> bool| fixed().filter(|point| is(point)).count();
        let n_marginal = count(FixedPoint::is_marginal);
        let is_continuum = n_marginal >= CONTINUUM;
        Self {
            n_stable: count(FixedPoint::is_stable),
            n_saddles: count(|point| point.n_unstable > 0),
            n_marginal: if is_continuum { 0 } else { n_marginal },
            is_continuum,
            diverges: found.followed.divergence().is_some(),
        }
    }

    /// Describes the points, such as `2 stable points and 1 saddle`.
    fn words(&self) -> String {
        let counts = [
            (self.n_stable, "stable point"),
            (self.n_saddles, "saddle"),
            (self.n_marginal, "marginal point"),
        ];
        let some = counts.into_iter().filter(|(n, _)| *n > 0);
        let mut words: Vec<String> = some.map(|(n, what)| counted(n as u64, what)).collect();
        if self.is_continuum {
            words.push("a continuum".to_owned());
        }
        if words.is_empty() {
            words.push("no fixed points".to_owned());
        }
        let words = listed(&words);
        if self.diverges {
            format!("{words} (states diverge)")
        } else {
            words
        }
    }
}

impl Solutions {
    /// Returns the number of networks `[group, type]`.
    fn counts(&self) -> Array2<f64> {
        let mut counts = Array2::zeros((self.networks.groups.len(), self.types.len()));
        for (group, of) in self.networks.group_of.iter().zip(&self.type_of) {
            counts[[*group, *of]] += 1.0;
        }
        counts
    }

    /// Describes a type; inputs with equal numbers share their words.
    fn words(&self, of: &[Topology]) -> String {
        let mut parts: Vec<(String, Vec<&str>)> = Vec::new();
        for (topology, input) in of.iter().zip(&self.inputs) {
            let words = topology.words();
            match parts.iter_mut().find(|(known, _)| *known == words) {
                Some((_, inputs)) => inputs.push(input),
                None => parts.push((words, vec![input])),
            }
        }
        if let [(words, _)] = &parts[..] {
            return format!("{words} under every input");
        }
        let parts = parts.into_iter();
        let parts = parts.map(|(words, inputs)| format!("{words} ({})", inputs.join("; ")));
        parts.collect::<Vec<_>>().join("; ")
    }
}
