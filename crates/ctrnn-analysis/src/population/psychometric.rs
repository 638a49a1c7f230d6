//! Psychometric curves of several networks.

use ndarray::{Array2, Array3};

use super::{Networks, PopulationAnswer, Spread};
use crate::analyses::psychometric::{Curve, Psychometric as OfNetwork, PsychometricOptions};
use crate::analyses::{NoOptions, computed};
use crate::plot::{Figure, Layer, Rgb, colour, panel_mm, range_of};
use crate::text::short;
use crate::{ArrayDoc, Arrays, Study, Unsuitable};

/// Largest number of groups with a curve of their own in the figure.
const MOST_CURVES: usize = 8;
/// Largest number of networks whose own curves are drawn.
const MOST_NETWORKS: usize = 60;
/// Parameters of a fit.
const PARAMETERS: [&str; 3] = ["bias", "threshold sigma", "lapse"];

/// Choice frequencies of networks by evidence, with their means over the networks of each group.
#[derive(Clone, Debug)]
pub struct Psychometric {
    networks: Networks,
    /// Curves `[context][evidence]` of each network.
    observed: Vec<Vec<Vec<Curve>>>,
}

impl PopulationAnswer for Psychometric {
    type Options = NoOptions;
    type Observation = Vec<Vec<Curve>>;

    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new(
            "evidence{}",
            "[level]",
            "condition",
            "evidence at each level; with several contexts _ROW_COLUMN, row = context, column = evidence, from 0",
        ),
        ArrayDoc::new(
            "fraction{}",
            "[network, level]",
            "",
            "fraction of trials in which a network made the second choice; NaN if it made neither",
        ),
        ArrayDoc::new(
            "n_trials{}",
            "[network, level]",
            "trials",
            "trials with either of the two choices",
        ),
        ArrayDoc::new(
            "mean{}",
            "[group, level, 3]",
            "",
            "mean of the fractions over the networks of a group, lower and upper end of its 95 % confidence interval over networks (Student's t)",
        ),
        ArrayDoc::new(
            "probit{}",
            "[network, 3]",
            "condition",
            "bias, width (sigma) and lapse of the normal fit of each network; NaN without a fit",
        ),
        ArrayDoc::new(
            "group_probit{}",
            "[group, parameter, 3]",
            "condition",
            "mean of these over the networks of a group, lower and upper end of its 95 % confidence interval over networks",
        ),
        ArrayDoc::new(
            "curve{}",
            "[3]",
            "",
            "context, evidence, second choice of a curve",
        ),
    ];

    fn observe(study: &Study, _: usize, _: &NoOptions) -> Result<Self::Observation, Unsuitable> {
        Ok(computed::<OfNetwork>(study, &PsychometricOptions { n_samples: 0 })?.curves)
    }

    fn join(
        networks: &Networks,
        observed: Vec<Self::Observation>,
        _: &NoOptions,
    ) -> Result<Self, Unsuitable> {
        let expected = levels_of(&observed[0]);
        for (name, curves) in networks.names.iter().zip(&observed) {
            if levels_of(curves) != expected {
                let first = &networks.names[0];
                let why =
                    format!("{name} and {first} have different contexts or levels of evidence");
                return Err(Unsuitable::lacks(why));
            }
        }
        Ok(Self {
            networks: networks.clone(),
            observed,
        })
    }

    fn arrays(&self) -> Arrays {
        let is_alone = self.observed[0].len() == 1;
        let curves = self.places();
        curves.fold(Arrays::default(), |arrays, (row, column)| {
            let label = if is_alone {
                String::new()
            } else {
                format!("_{row}_{column}")
            };
            self.arrays_of(arrays, &label, row, column)
        })
    }

    fn statements(&self) -> Vec<String> {
        let of_curve = |(row, column): (usize, usize)| {
            let curve = &self.observed[0][row][column];
            let is_relevant = curve.against == curve.context.evidence.name;
            let groups = is_relevant.then_some(0..self.networks.groups.len());
            let groups = groups.into_iter().flatten();
            groups.map(move |group| self.statement(row, column, group))
        };
        self.places().flat_map(of_curve).collect()
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let (n_rows, n_columns) = (self.observed[0].len(), self.observed[0][0].len());
        let columns = vec![panel_mm(n_columns, 50.0); n_columns];
        let mut figure = Figure::new(&columns, &vec![36.0; n_rows]);
        for (row, column) in self.places() {
            let panel = figure.cell(row, column);
            let curve = &self.observed[0][row][column];
            let x: Vec<f64> = curve
                .levels
                .iter()
                .map(|level| level.x * curve.quantity.factor)
                .collect();
            let range = range_of(x.iter().copied(), 0.06);
            if n_rows > 1 {
                panel.title(&curve.context.name[..]);
            }
            panel
                .x(&curve.quantity.axis(), range)
                .y(&format!("P({})", curve.choice), [0.0, 1.0])
                .add(Layer::guide(range, [0.5, 0.5]));
            let is_named = row == 0 && column + 1 == n_columns;
            panel.extend(self.layers(row, column, &x, is_named));
        }
        vec![("", figure)]
    }
}

/// Returns what curves of all networks must share.
fn levels_of(curves: &[Vec<Curve>]) -> Vec<Vec<(&str, &str, Vec<f64>)>> {
    let of = |curve: &'_ Curve| -> Vec<f64> { curve.levels.iter().map(|level| level.x).collect() };
    let rows = curves.iter().map(|row| {
        let row = row.iter();
        row.map(|curve| (&curve.context.name[..], &curve.against[..], of(curve)))
            .collect()
    });
    rows.collect()
}

impl Psychometric {
    /// Returns row and column of each curve.
    fn places(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let [n_rows, n_columns] = [self.observed[0].len(), self.observed[0][0].len()];
        (0..n_rows).flat_map(move |row| (0..n_columns).map(move |column| (row, column)))
    }

    fn curve(&self, network: usize, row: usize, column: usize) -> &Curve {
        &self.observed[network][row][column]
    }

    /// Returns bias, width and lapse of a network; NaN without a fit.
    fn fit(&self, network: usize, row: usize, column: usize) -> [f64; 3] {
        let fit = self.curve(network, row, column).fits[0].as_ref();
        fit.map_or([f64::NAN; 3], |found| {
            [found.fit.bias, found.fit.width, found.fit.lapse]
        })
    }

    /// Returns the spread of the fractions of a group at a level.
    fn fractions(&self, group: usize, row: usize, column: usize, level: usize) -> Spread {
        let own = self.networks.of_group(group).into_iter();
        Spread::of(own.map(|k| self.curve(k, row, column).levels[level].fraction()))
    }

    fn parameters(&self, group: usize, row: usize, column: usize) -> [Spread; 3] {
        let own = self.networks.of_group(group);
        [0, 1, 2].map(|p| Spread::of(own.iter().map(|&k| self.fit(k, row, column)[p])))
    }

    fn arrays_of(&self, arrays: Arrays, label: &str, row: usize, column: usize) -> Arrays {
        let curve = self.curve(0, row, column);
        let (n, n_groups, n_levels) = (
            self.networks.len(),
            self.networks.groups.len(),
            curve.levels.len(),
        );
        let level = |k: usize, l: usize| self.curve(k, row, column).levels[l];
        let evidence: Vec<f64> = curve.levels.iter().map(|level| level.x).collect();
        let names = [&curve.context.name, &curve.against, &curve.choice];
        let of_spread = |spread: Spread, k: usize| {
            let [low, high] = spread.interval();
            [spread.mean, low, high][k]
        };
        arrays
            .with(format!("evidence{label}"), &evidence)
            .with(format!("curve{label}"), &names.map(Clone::clone).to_vec())
            .with(
                format!("fraction{label}"),
                &Array2::from_shape_fn((n, n_levels), |(k, l)| level(k, l).fraction()),
            )
            .with(
                format!("n_trials{label}"),
                &Array2::from_shape_fn((n, n_levels), |(k, l)| level(k, l).n as f64),
            )
            .with(
                format!("mean{label}"),
                &Array3::from_shape_fn((n_groups, n_levels, 3), |(g, l, k)| {
                    of_spread(self.fractions(g, row, column, l), k)
                }),
            )
            .with(
                format!("probit{label}"),
                &Array2::from_shape_fn((n, 3), |(k, p)| self.fit(k, row, column)[p]),
            )
            .with(
                format!("group_probit{label}"),
                &Array3::from_shape_fn((n_groups, 3, 3), |(g, p, k)| {
                    of_spread(self.parameters(g, row, column)[p], k)
                }),
            )
    }

    fn statement(&self, row: usize, column: usize, group: usize) -> String {
        let curve = self.curve(0, row, column);
        let fits = self.parameters(group, row, column);
        let (prefix, name) = (curve.context.prefix(), &self.networks.groups[group]);
        let n = self.networks.of_group(group).len();
        if fits[0].n == 0 {
            return format!("{prefix}{name}: no curve is fitted to any of {n} networks");
        }
        let words = PARAMETERS.iter().zip(fits).map(|(word, spread)| {
            let factor = if *word == "lapse" {
                1.0
            } else {
                curve.quantity.factor
            };
            let [low, high] = spread.interval().map(|end| short(factor * end));
            let mean = short(factor * spread.mean);
            match spread.n {
                1 => format!("{word} {mean}"),
                _ => format!("{word} {mean} ({low} to {high})"),
            }
        });
        let words: Vec<String> = words.collect();
        format!(
            "{prefix}{name}: {} (means of {} of {n} networks with 95 % intervals over networks)",
            words.join(", "),
            fits[0].n
        )
    }

    /// Draws the curves of networks, and the mean of each group with its confidence interval over networks.
    fn layers(&self, row: usize, column: usize, x: &[f64], is_named: bool) -> Vec<Layer> {
        let mut layers = Vec::new();
        for k in 0..self.networks.len().min(MOST_NETWORKS) {
            let levels = self.curve(k, row, column).levels.iter().zip(x);
            let seen = levels.filter(|(level, _)| level.n > 0);
            let (own_x, y) = seen.map(|(level, x)| (*x, level.fraction())).unzip();
            let pale = colour(self.networks.group_of[k]).towards(Rgb::WHITE, 0.5);
            layers.push(Layer::line(own_x, y, pale).wide(0.1));
        }
        for group in 0..self.networks.groups.len().min(MOST_CURVES) {
            let ink = colour(group);
            let spreads = (0..x.len()).map(|level| self.fractions(group, row, column, level));
            let spreads: Vec<Spread> = spreads.collect();
            let means: Vec<f64> = spreads.iter().map(|spread| spread.mean).collect();
            let known = x.iter().zip(&spreads).filter(|(_, spread)| spread.n > 1);
            let (at, intervals): (Vec<f64>, Vec<[f64; 2]>) = known
                .map(|(x, spread)| (*x, spread.interval().map(|end| end.clamp(0.0, 1.0))))
                .unzip();
            layers.extend(Layer::error_bars(&at, &intervals, ink));
            layers.push(Layer::points(x.to_vec(), means.clone(), ink).radius(0.5));
            let line = Layer::line(x.to_vec(), means, ink).wide(0.35);
            layers.push(if is_named {
                line.named(&self.networks.groups[group])
            } else {
                line
            });
        }
        layers
    }
}
