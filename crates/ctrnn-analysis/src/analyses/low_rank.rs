//! Networks of low rank: overlaps of their vectors, activity and flow along them, and populations of units.
//!
//! With `W_rc = F + M N' / N`, the potentials of a network without F move in the space of the columns of M and of the input axes,
//! `x = M kappa + W_in v + b v_b`, where they follow a system of as many dimensions as the rank:
//!
//! ```text
//! tau dkappa/dt = -kappa + N' f(x) / N        tau dv/dt = -v + u
//! ```
//!
//! # References
//! Mastrogiuseppe and Ostojic (2018); Dubreuil, Valente, Beiran, Mastrogiuseppe and Ostojic (2022).

mod flow;
#[cfg(test)]
mod tests;

use ndarray::{Array1, Array2, Array3, ArrayView1, Axis, concatenate, s};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answer, Unsuitable};
use crate::arrays::ArrayDoc;
use crate::courses::{COURSE_ARRAYS, Courses, projected};
use crate::gaussian_mixture::{Mixture, mixtures};
use crate::held_inputs::{HELD_ARRAYS, HeldOptions};
use crate::linear_algebra::{Svd, eigenvalues, least_squares, svd};
use crate::plot::{BAR_MM, ColourMap, Figure, Layer, Panel, Ticks, colour, panel_mm};
use crate::text::{listed, rounded, short, spoken};
use crate::{Arrays, Factors, Study};
use flow::{ReducedFlow, reduced_flow};

/// Largest number of panels in a row.
const IN_A_ROW: usize = 4;
/// Share of the mean square of the drive of a layer above the first that its input axes hold, and the largest number of these.
const DRIVE_SHARE: f64 = 0.99;
const MOST_DRIVES: usize = 8;
/// Units for each loading of a population: fewer say nothing about its covariance.
const UNITS_PER_LOADING: usize = 5;

/// Settings of the analysis of a network of low rank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LowRankOptions {
    /// Inputs to hold.
    #[serde(flatten)]
    pub held: HeldOptions,
    /// Largest number of populations that are tried.
    pub most_populations: usize,
}

impl Default for LowRankOptions {
    fn default() -> Self {
        Self {
            held: HeldOptions::default(),
            most_populations: 4,
        }
    }
}

/// A network of low rank by its vectors.
#[derive(Clone, Debug)]
pub struct LowRank {
    factors: Factors,
    /// Names of the vectors: left and right ones, input axes, readouts.
    pub names: Vec<String>,
    /// Overlaps `x . y / N` of the vectors, `[vector, vector]`; a readout counts N times.
    pub overlaps: Array2<f64>,
    /// Root mean square of each vector.
    sizes: Array1<f64>,
    /// Moduli of the eigenvalues of the product, in falling order.
    eigenvalues: Vec<f64>,
    /// Coordinates of the potentials along the left vectors, `[trial, time, dimension]`.
    pub kappa: Array3<f64>,
    /// Coordinates of the potentials along the input axes, `[trial, time, input axis]`.
    pub inputs: Array3<f64>,
    /// Names of the input axes.
    input_axes: Vec<String>,
    /// Fraction of the square of the potentials in the space of the left vectors and the input axes.
    pub explained: f64,
    /// Means of `kappa` over groups of trials.
    pub courses: Courses,
    /// Flow of `kappa` under held inputs, or the reason why there is none.
    pub flow: Result<ReducedFlow, String>,
    /// Best mixture of each number of populations; empty where there are too few units.
    pub mixtures: Vec<Mixture>,
    /// Index of the number of populations with the smallest criterion.
    best: usize,
}

impl Answer for LowRank {
    type Options = LowRankOptions;

    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new(
            "left",
            "[unit, dimension]",
            "",
            "left factor M: `W_rc = F + M N' / N`",
        ),
        ArrayDoc::new("right", "[unit, dimension]", "", "right factor N"),
        ArrayDoc::new(
            "vector_names",
            "[vector]",
            "",
            "names of the vectors: left and right ones, numbered from 1, input axes, readouts",
        ),
        ArrayDoc::new(
            "overlaps",
            "[vector, vector]",
            "",
            "mean over units of the product of two vectors; a row of W_out counts as many times as there are units",
        ),
        ArrayDoc::new(
            "kappa",
            "[trial, time, dimension]",
            "",
            "coordinates of the potentials along the left vectors, next to those along the input axes; computed through the padding of short trials, see n_steps",
        ),
        ArrayDoc::new(
            "input_coordinates",
            "[trial, time, input axis]",
            "",
            "coordinates of the potentials along the input axes",
        ),
        ArrayDoc::new(
            "input_axis_names",
            "[input axis]",
            "",
            "names of the input axes: the columns of W_in, or the principal axes of the drive of a layer above the first, and the bias if there is one",
        ),
        ArrayDoc::new(
            "explained",
            "[1]",
            "fraction",
            "square of the potentials in the space of the left vectors and the input axes",
        ),
        COURSE_ARRAYS[0],
        COURSE_ARRAYS[1],
        ArrayDoc::new(
            "course_{}",
            "[time, dimension]",
            "",
            "mean kappa of a group of trials, numbered from 0; single trials if there is only one group",
        ),
        ArrayDoc::new(
            "group_names",
            "[group]",
            "",
            "groups of trials, in the order of their numbers",
        ),
        HELD_ARRAYS[0],
        HELD_ARRAYS[1],
        ArrayDoc::new(
            "places_{}",
            "[place]",
            "",
            "coordinates of the grid along kappa of this dimension, counted from 0; ranks 1 and 2",
        ),
        ArrayDoc::new(
            "line_velocity_{}",
            "[place]",
            "1/ms",
            "velocity of kappa under the held input of this number; rank 1",
        ),
        ArrayDoc::new(
            "rests_{}",
            "[rest]",
            "",
            "values of kappa where its velocity is zero under the held input of this number; rank 1",
        ),
        ArrayDoc::new(
            "rest_is_stable_{}",
            "[rest]",
            "",
            "1 if neighbouring states return to the rest, else 0",
        ),
        ArrayDoc::new(
            "velocity_{}",
            "[row, column, dimension]",
            "1/ms",
            "velocity of kappa under the held input of this number, rows along the second dimension; rank 2",
        ),
        ArrayDoc::new(
            "population",
            "[unit]",
            "",
            "population of each unit, counted from 0 by falling size: component of the best mixture of Gaussians",
        ),
        ArrayDoc::new(
            "population_weights",
            "[population]",
            "fraction",
            "weight of each component",
        ),
        ArrayDoc::new(
            "population_overlaps_{}",
            "[loading, loading]",
            "",
            "covariance of the loadings in the population of this number; loadings are the vectors that are not zero",
        ),
        ArrayDoc::new("loading_names", "[loading]", "", "names of the loadings"),
        ArrayDoc::new(
            "population_criterion",
            "[number of populations]",
            "",
            "Bayesian information criterion of 1, 2, ... populations; the smallest is the best",
        ),
    ];

    fn compute(study: &Study, options: &LowRankOptions) -> Result<Self, Unsuitable> {
        let Some(factors) = study.dynamics.factors.clone() else {
            return Err(Unsuitable::lacks(
                "the recurrent weights have no factors: model.low_rank trains a network with some, and a perturbed one has lost them",
            ));
        };
        let input_axes = input_axes(study)?;
        let (names, vectors) = vectors(study, &factors, &input_axes);
        let n = study.dynamics.n_units() as f64;
        let overlaps = vectors.t().dot(&vectors) / n;
        let sizes = overlaps.diag().mapv(f64::sqrt);
        let rank = factors.left.ncols();
        let product = overlaps.slice(s![rank..2 * rank, ..rank]);
        let eigenvalues = eigenvalues(product)?.into_iter();
        let (input_axes, coordinates, explained) = coordinates(study, &factors, input_axes)?;
        let kappa = coordinates.slice(s![.., .., ..rank]).to_owned();
        let loadings = loadings(&vectors, &sizes);
        let most = (loadings.nrows() / (UNITS_PER_LOADING * loadings.ncols().max(1))).max(1);
        let mixtures = if loadings.ncols() == 0 || options.most_populations == 0 {
            Vec::new()
        } else {
            mixtures(
                loadings.view(),
                most.min(options.most_populations),
                study.seed,
            )
        };
        let criterion = |k: &usize| mixtures[*k].bic();
        let best = (0..mixtures.len()).min_by(|a, b| criterion(a).total_cmp(&criterion(b)));
        Ok(Self {
            courses: Courses::of(study, &kappa),
            flow: reduced_flow(study, &factors, &kappa, &options.held)?,
            inputs: coordinates.slice(s![.., .., rank..]).to_owned(),
            eigenvalues: eigenvalues.map(|value| value.re.hypot(value.im)).collect(),
            best: best.unwrap_or(0),
            kappa,
            names,
            overlaps,
            sizes,
            input_axes,
            explained,
            mixtures,
            factors,
        })
    }

    fn arrays(&self) -> Arrays {
        let arrays = Arrays::default()
            .with("left", &self.factors.left)
            .with("right", &self.factors.right)
            .with("vector_names", &self.names)
            .with("overlaps", &self.overlaps)
            .with("kappa", &self.kappa)
            .with("input_coordinates", &self.inputs)
            .with("input_axis_names", &self.input_axes)
            .with("explained", &self.explained);
        let mut arrays = self.courses.add_to(arrays);
        if let Ok(flow) = &self.flow {
            arrays = flow.add_to(arrays);
        }
        let Some(mixture) = self.mixtures.get(self.best) else {
            return arrays;
        };
        let criteria: Vec<f64> = self.mixtures.iter().map(Mixture::bic).collect();
        let names: Vec<String> = self
            .loading_places()
            .map(|k| self.names[k].clone())
            .collect();
        let covariances = self.population_overlaps(mixture);
        let arrays = arrays
            .with("population", &mixture.labels)
            .with("population_weights", &mixture.weights)
            .with("population_criterion", &criteria)
            .with("loading_names", &names);
        covariances
            .iter()
            .enumerate()
            .fold(arrays, |arrays, (p, covariance)| {
                arrays.with(format!("population_overlaps_{p}"), covariance)
            })
    }

    fn statements(&self) -> Vec<String> {
        let eigenvalues = self.eigenvalues.iter().map(|&value| short(value));
        let mut lines = vec![format!(
            "rank {}; moduli of the eigenvalues of the product: {}",
            self.rank(),
            listed(&eigenvalues.collect::<Vec<String>>())
        )];
        lines.extend((0..self.rank()).flat_map(|r| self.of_dimension(r)));
        lines.push(format!(
            "{} % of the square of the potentials lies in the space of the left vectors and the input axes",
            rounded(100.0 * self.explained, 1)
        ));
        lines.extend(self.courses.statement());
        match &self.flow {
            Ok(flow) => lines.extend(flow.statements()),
            Err(why) => lines.push(format!("no flow of kappa: {why}")),
        }
        if let Some(mixture) = self.mixtures.get(self.best) {
            let size = |p: usize| mixture.labels.iter().filter(|label| **label == p).count();
            let sizes: Vec<String> = (0..mixture.weights.len())
                .map(|p| size(p).to_string())
                .collect();
            lines.push(match &sizes[..] {
                [all] => format!(
                    "the loadings of all {all} units are best described by a single Gaussian"
                ),
                _ => format!(
                    "the loadings are best described by {} populations, of {} units",
                    sizes.len(),
                    listed(&sizes)
                ),
            });
        }
        lines
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let mut figures = vec![
            ("", self.draw_overlaps_and_courses()),
            ("_loadings", self.draw_loadings()),
        ];
        if let Ok(flow) = &self.flow {
            figures.push(("_flow", flow.draw(&self.courses)));
        }
        figures
    }
}

/// Returns the input axes as columns `[N, K]`, with their names: the columns of `W_in`. A layer above the first has too many: its input axes
/// are the principal axes of the drive that it receives over all trials, which hold [`DRIVE_SHARE`] of its mean square, each as long
/// as the root mean square of the drive along it.
fn input_axes(study: &Study) -> Result<(Vec<String>, Array2<f64>), Unsuitable> {
    let dynamics = &study.dynamics;
    if study.rates_below.is_none() {
        let names = study.input_names();
        let names = names.iter().map(|name| spoken(name));
        return Ok((names.collect(), dynamics.w_in.clone()));
    }
    let n = dynamics.n_units();
    let mut moments = Array2::<f64>::zeros((n, n));
    for b in 0..study.batch.n_trials {
        let seen = (study.network_inputs(b)).mapv(|rate| dynamics.seen_input(rate));
        let drive = seen.dot(&dynamics.w_in.t());
        moments += &drive.t().dot(&drive);
    }
    let Svd { u, s: sizes, .. } = svd(moments.view())?;
    let whole = sizes.sum();
    let mut held = 0.0;
    let needed = sizes.iter().take_while(|&&size| {
        let is_needed = held < DRIVE_SHARE * whole;
        held += size;
        is_needed
    });
    let n_axes = needed.count().min(MOST_DRIVES);
    let n_states = study.batch.n_steps.iter().sum::<usize>().max(1) as f64;
    let lengths = sizes
        .slice(s![..n_axes])
        .mapv(|size| (size / n_states).sqrt());
    let names = (1..=n_axes).map(|k| format!("drive {k}"));
    Ok((
        names.collect(),
        u.slice(s![.., ..n_axes]).to_owned() * &lengths,
    ))
}

/// Returns the vectors of a network as columns `[N, K]`, with their names.
fn vectors(
    study: &Study,
    factors: &Factors,
    input_axes: &(Vec<String>, Array2<f64>),
) -> (Vec<String>, Array2<f64>) {
    let dynamics = &study.dynamics;
    let (input_names, inputs) = input_axes;
    let numbered =
        |side: &'static str| (1..=factors.left.ncols()).map(move |r| format!("{side} {r}"));
    let outputs = study.output_names().into_iter();
    let names = numbered("left")
        .chain(numbered("right"))
        .chain(input_names.iter().map(|name| format!("input {name}")))
        .chain(outputs.map(|name| format!("output {}", spoken(&name))));
    let readouts = dynamics.w_out.t().mapv(|w| w * dynamics.n_units() as f64);
    let parts = [
        factors.left.view(),
        factors.right.view(),
        inputs.view(),
        readouts.view(),
    ];
    let columns = concatenate(Axis(1), &parts).expect("vectors have an entry for each unit");
    (names.collect(), columns)
}

/// Returns the names of the input axes, the coordinates of the potentials along left vectors and input axes `[trial, time, axis]`,
/// and the fraction of their square in this space.
fn coordinates(
    study: &Study,
    factors: &Factors,
    (mut names, inputs): (Vec<String>, Array2<f64>),
) -> Result<(Vec<String>, Array3<f64>, f64), Unsuitable> {
    let dynamics = &study.dynamics;
    let bias = dynamics.bias.view().insert_axis(Axis(1));
    let mut parts = vec![factors.left.view(), inputs.view()];
    if dynamics.bias.iter().any(|&b| b != 0.0) {
        parts.push(bias);
        names.push("bias".to_owned());
    }
    let axes = concatenate(Axis(1), &parts).expect("vectors have an entry for each unit");
    let inverse = least_squares(axes.view(), Array2::eye(dynamics.n_units()).view())?;
    let origin = Array1::zeros(dynamics.n_units());
    let found = projected(&study.potentials, &origin, &inverse);
    let (mut whole, mut outside) = (0.0, 0.0);
    for (b, t) in study.visited_steps() {
        let potentials = study.potentials.slice(s![b, t, ..]);
        let left = &potentials - &axes.dot(&found.slice(s![b, t, ..]));
        whole += potentials.dot(&potentials);
        outside += left.dot(&left);
    }
    let explained = if whole > 0.0 {
        1.0 - outside / whole
    } else {
        1.0
    };
    Ok((names, found, explained))
}

/// Returns the loadings of each unit `[N, L]`: the vectors that are not zero, each divided by its root mean square.
fn loadings(vectors: &Array2<f64>, sizes: &Array1<f64>) -> Array2<f64> {
    let kept: Vec<usize> = (0..sizes.len()).filter(|&k| sizes[k] > 0.0).collect();
    vectors.select(Axis(1), &kept) / &sizes.select(Axis(0), &kept)
}

impl LowRank {
    fn rank(&self) -> usize {
        self.factors.left.ncols()
    }

    /// Returns the correlation of two vectors about zero.
    fn correlation(&self, a: usize, b: usize) -> f64 {
        self.overlaps[[a, b]] / (self.sizes[a] * self.sizes[b]).max(f64::MIN_POSITIVE)
    }

    /// Describes the overlaps of a dimension: "right 1 . left 1 / N = 1.9; of the inputs, right 1 is closest to input motion (0.4)".
    fn of_dimension(&self, r: usize) -> Vec<String> {
        let rank = self.rank();
        let (left, right) = (r, rank + r);
        let first_output = self
            .names
            .iter()
            .position(|name| name.starts_with("output "));
        let first_output = first_output.unwrap_or(self.names.len());
        let closest = |to: usize, among: std::ops::Range<usize>| {
            let size = |k: &usize| self.correlation(to, *k).abs();
            let found = among.max_by(|a, b| size(a).total_cmp(&size(b)))?;
            let cosine = rounded(self.correlation(to, found), 2);
            Some(format!(
                "{} with {} {cosine}",
                self.names[to], self.names[found]
            ))
        };
        let own = format!(
            "{} . {} / N = {}",
            self.names[right],
            self.names[left],
            short(self.overlaps[[right, left]])
        );
        let cosines = [
            closest(right, 2 * rank..first_output),
            closest(left, first_output..self.names.len()),
        ];
        let cosines: Vec<String> = cosines.into_iter().flatten().collect();
        if cosines.is_empty() {
            vec![own]
        } else {
            vec![format!("{own}; largest cosines: {}", listed(&cosines))]
        }
    }

    /// Returns the places of the loadings among the vectors.
    fn loading_places(&self) -> impl Iterator<Item = usize> {
        (0..self.sizes.len()).filter(|&k| self.sizes[k] > 0.0)
    }

    /// Returns the covariance of the loadings in each population, in the units of the vectors.
    fn population_overlaps(&self, mixture: &Mixture) -> Vec<Array2<f64>> {
        let sizes: Array1<f64> = self.loading_places().map(|k| self.sizes[k]).collect();
        let column = sizes.view().insert_axis(Axis(1));
        let scaled = |covariance: &Array2<f64>| covariance * &column * &sizes;
        mixture.covariances.iter().map(scaled).collect()
    }

    fn draw_overlaps_and_courses(&self) -> Figure {
        let n = self.rank().min(3);
        let n = if self.courses.courses.is_empty() {
            0
        } else {
            n
        };
        let mut widths_mm = vec![40.0, BAR_MM];
        widths_mm.extend(vec![panel_mm(3, 36.0); n]);
        let mut figure = Figure::new(&widths_mm, &[38.0]);
        let k = self.names.len();
        let cosines = Array2::from_shape_fn((k, k), |(a, b)| self.correlation(a, b));
        figure
            .cell(0, 0)
            .title("cosines of the vectors")
            .matrix(&cosines, [-1.0, 1.0], ColourMap::BlueWhiteRed)
            .x_ticks(Ticks::At(Vec::new()))
            .y_ticks(if k <= 14 {
                Ticks::named(&self.names)
            } else {
                Ticks::first_and_last(k)
            });
        let bar = figure.cell(0, 1);
        bar.colour_bar([-1.0, 1.0], ColourMap::BlueWhiteRed, "cosine");
        for r in 0..n {
            let panel = figure.cell(0, 2 + r).y_label(&format!("kappa {}", r + 1));
            self.courses.draw_over_time(panel, r, r + 1 == n);
            if r + 1 == n {
                panel.title(self.courses.title_over_time());
            }
        }
        figure
    }

    /// Draws each unit by its entries in the left and right vector of each dimension, in the colour of its population.
    fn draw_loadings(&self) -> Figure {
        let n = self.rank().min(IN_A_ROW);
        let mut figure = Figure::new(&vec![panel_mm(n, 38.0); n], &[38.0]);
        for r in 0..n {
            let panel = figure.cell(0, r);
            self.draw_populations(
                panel,
                self.factors.left.column(r),
                self.factors.right.column(r),
            );
            panel
                .x_label(&format!("left {}", r + 1))
                .y_label(&format!("right {}", r + 1))
                .fit(0.06);
        }
        figure
    }

    fn draw_populations(&self, panel: &mut Panel, x: ArrayView1<f64>, y: ArrayView1<f64>) {
        let mixture = self.mixtures.get(self.best);
        let label = |unit: usize| mixture.map_or(0, |mixture| mixture.labels[unit]);
        for p in 0..mixture.map_or(1, |mixture| mixture.weights.len()) {
            let own = (0..x.len()).filter(|&unit| label(unit) == p);
            let (x, y) = own.map(|unit| (x[unit], y[unit])).unzip();
            let points = Layer::points(x, y, colour(p)).radius(0.45);
            panel.add(points.named(&format!("population {}", p + 1)));
        }
    }
}
