//! Selectivity of units, and decomposition of the variance of their rates.

use ndarray::{Array1, Array2, Axis};

use super::{Answer, NoOptions, Unsuitable};
use crate::evidence::distinct;
use crate::plot::{Figure, Layer, Panel, Rgb, colour};
use crate::selectivity::{VarianceSplit, variance_split};
use crate::text::spoken;
use crate::{Arrays, Study};

/// Largest number of task variables.
const MOST_VARIABLES: usize = 4;
/// Colour of interactions.
const DARK: Rgb = Rgb([90, 90, 90]);

/// Selectivity of units for task variables and choices, in the last epoch before the answer.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// Name of the epoch.
    pub epoch: &'static str,
    /// Mean rates in that epoch, `[trial, unit]`.
    pub rates: Array2<f64>,
    /// Names of the variables.
    pub names: Vec<String>,
    /// Decomposition of the variance of the rates.
    pub split: VarianceSplit,
    /// Discriminability d' of two choices by every unit; `None` unless there are two.
    pub d_prime: Option<Array1<f64>>,
    /// Names of the choices.
    pub choices: Vec<String>,
}

impl Answer for Tuning {
    type Options = NoOptions;

    fn compute(study: &Study, _: &NoOptions) -> Result<Self, Unsuitable> {
        let varied =
            study.batch.conditions.iter().filter(|(name, values)| {
                name != "catch" && distinct(values.iter().copied()).len() > 1
            });
        let columns: Vec<_> = varied.take(MOST_VARIABLES).collect();
        if columns.is_empty() {
            let why = "all trials of the task are of one condition";
            return Err(Unsuitable::lacks(why));
        }
        let epoch = study.telling_epoch();
        let rates = study.rates_in(epoch);
        let trials: Vec<usize> = (0..rates.nrows())
            .filter(|&b| rates[[b, 0]].is_finite())
            .filter(|&b| columns.iter().all(|(_, values)| values[b].is_finite()))
            .collect();
        if trials.is_empty() {
            return Err(Unsuitable::lacks("no trial has a value of every variable"));
        }
        let variables = Array2::from_shape_fn((trials.len(), columns.len()), |(i, k)| {
            columns[k].1[trials[i]]
        });
        let layout = study.layout();
        let choices = layout.alternatives().into_iter();
        Ok(Self {
            epoch,
            split: variance_split(rates.select(Axis(0), &trials).view(), variables.view()),
            rates,
            names: columns.iter().map(|(name, _)| spoken(name)).collect(),
            d_prime: study.choice_preference(),
            choices: choices.map(|c| spoken(&layout.choice_name(c))).collect(),
        })
    }

    fn arrays(&self) -> Arrays {
        let arrays = Arrays::default()
            .with("rates", &self.rates)
            .with("variance_by_variable", &self.split.by_variable)
            .with("variance_by_interaction", &self.split.by_interaction)
            .with("variance_residual", &self.split.residual);
        match &self.d_prime {
            Some(d_prime) => arrays.with("d_prime", d_prime),
            None => arrays,
        }
    }

    fn statements(&self) -> Vec<String> {
        let VarianceSplit {
            by_interaction,
            residual,
            ..
        } = &self.split;
        let parts = by_interaction.iter().zip(residual);
        let mixed = parts.filter(|(mixed, rest)| **mixed > 0.1 && **rest < 0.9);
        vec![format!(
            "{} of {} units owe more than 10 % of their variance to interactions (mixed selectivity), {} epoch",
            mixed.count(),
            self.rates.ncols(),
            self.epoch
        )]
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let n_panels = if self.d_prime.is_some() { 2 } else { 1 };
        let mut figure = Figure::new(&[60.0, 36.0][..n_panels], &[34.0]);
        self.draw_variance(figure.cell(0, 0));
        if let Some(d_prime) = &self.d_prime {
            let label = format!("d′ ({} against {})", self.choices[1], self.choices[0]);
            let reach = d_prime.iter().map(|d| d.abs()).fold(0.5, f64::max);
            let panel = figure.cell(0, 1);
            panel.histogram([&label, "units"], &d_prime.to_vec(), [-reach, reach], 20);
        }
        vec![("", figure)]
    }
}

impl Tuning {
    /// Draws a column for each unit with the fraction of its variance that each variable explains.
    fn draw_variance(&self, panel: &mut Panel) {
        let parts = |unit: usize| {
            let alone = self.split.by_variable.column(unit).to_vec();
            alone.into_iter().chain([self.split.by_interaction[unit]])
        };
        let explained = |unit: usize| {
            self.split.by_variable.column(unit).sum() + self.split.by_interaction[unit]
        };
        let mut order: Vec<usize> = (0..self.rates.ncols()).collect();
        order.sort_by(|&a, &b| explained(b).total_cmp(&explained(a)));
        let mut inks: Vec<Rgb> = (0..self.names.len()).map(colour).collect();
        inks.push(DARK);
        for (place, &unit) in order.iter().enumerate() {
            let mut bottom = 0.0;
            for (part, &ink) in parts(unit).zip(&inks) {
                panel.add(Layer::Box {
                    x: [place as f64, place as f64 + 1.0],
                    y: [bottom, bottom + part],
                    colour: ink,
                });
                bottom += part;
            }
        }
        let names = self.names.iter().map(|name| &name[..]);
        let entries = inks.iter().zip(names.chain(["interactions"]));
        panel
            .extend(entries.map(|(&ink, name)| {
                Layer::line(Vec::new(), Vec::new(), ink)
                    .wide(0.4)
                    .named(name)
            }))
            .title(format!("rates in the {} epoch", spoken(self.epoch)))
            .x("unit (sorted)", [0.0, order.len() as f64])
            .y("variance explained", [0.0, 1.0]);
    }
}
