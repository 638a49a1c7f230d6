//! Demixed principal components: directions that each depend on one variable of the task, or on time alone.

mod demixing;

use ctrnn_tasks::{Quantity, counted};
use ndarray::{Array1, Array2, Array3, Axis, s};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::demixing::{Averages, Component, Demixed, demixed, levels};
use super::{Answer, Unsuitable};
use crate::arrays::ArrayDoc;
use crate::epochs::Epochs;
use crate::groups::numbers;
use crate::plot::{Figure, Layer, Panel, Rgb, Scale, Ticks, level_colour};
use crate::responses::{common_steps, smoothed};
use crate::statistics::permutation;
use crate::text::{rounded, short};
use crate::variables::{Role, Variable, natural, of_conditions, requested, shown};
use crate::{Arrays, Study};

/// Largest number of factors: of three there are seven sets, each with components of its own.
const MOST_FACTORS: usize = 3;
/// Largest number of levels of a factor; more are merged.
const MOST_LEVELS: usize = 12;
/// Largest number of missing conditions that are named.
const MOST_NAMED: usize = 3;
/// Number of splits of the trials by which the regularisation is chosen, and of their random numbers.
const N_SPLITS: usize = 5;
const PURPOSE: u32 = 21;
/// Least fraction of the variance that a component of the figure explains.
const LEAST_DRAWN: f64 = 1e-3;
/// Number of marginalisations in the figure, and of components of each.
const ROWS: usize = 4;
const COLUMNS: usize = 3;

/// Settings of demixed principal components.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DpcaOptions {
    /// Factors: names of conditions, products `a*b` and differences `a-b` of two, `choice`, `correct`; at most three.
    /// Trials must occur in every combination of their values. Empty for those of `--by`, or the conditions of the task and
    /// the choice.
    pub factors: Vec<String>,
    /// Largest number of components of each marginalisation.
    pub components: usize,
    /// Standard deviation in ms of the Gaussian that smooths rates in time; 0 for none.
    pub smoothing_ms: f64,
}

impl Default for DpcaOptions {
    fn default() -> Self {
        Self {
            factors: Vec::new(),
            components: 5,
            smoothing_ms: 0.0,
        }
    }
}

/// Demixed principal components of the mean rates in all combinations of the levels of some factors.
#[derive(Clone, Debug)]
pub struct Dpca {
    /// Names of the factors.
    pub factors: Vec<String>,
    /// Names of the levels of each factor.
    pub levels: Vec<Vec<String>>,
    /// Components.
    pub demixed: Demixed,
    /// Scores of the condition averages, `[cell, time, component]`.
    pub scores: Array3<f64>,
    /// Number of trials of each cell.
    pub n_trials: Vec<usize>,
    /// Reason why a variable of the task is not among the factors.
    pub left_out: Vec<String>,
    scales: Vec<Scale>,
    is_cross_validated: bool,
    epochs: Epochs,
    dt_ms: f64,
}

/// Factors with the trials of each combination of their levels.
struct Grid {
    factors: Vec<Variable>,
    n_levels: Vec<usize>,
    names: Vec<Vec<String>>,
    cells: Vec<Vec<usize>>,
}

impl Answer for Dpca {
    type Options = DpcaOptions;

    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new(
            "encoders",
            "[component, unit]",
            "",
            "direction of each component, in order of the variance explained: unit vectors",
        ),
        ArrayDoc::new(
            "decoders",
            "[component, unit]",
            "",
            "weights of the units in the score of each component",
        ),
        ArrayDoc::new(
            "marginalisation",
            "[component]",
            "",
            "marginalisation of each component, a row of `marginalisations`",
        ),
        ArrayDoc::new(
            "explained_variance",
            "[component]",
            "fraction",
            "variance of the condition averages that each component explains",
        ),
        ArrayDoc::new(
            "shares",
            "[component, marginalisation]",
            "fraction",
            "variance of the score of a component in each marginalisation",
        ),
        ArrayDoc::new(
            "marginalisations",
            "[marginalisation, factor]",
            "",
            "1 for each factor of a marginalisation; the first has none and is the common time course",
        ),
        ArrayDoc::new(
            "marginalisation_names",
            "[marginalisation]",
            "",
            "names of the marginalisations",
        ),
        ArrayDoc::new("factor_names", "[factor]", "", "names of the factors"),
        ArrayDoc::new(
            "marginalised_variance",
            "[marginalisation]",
            "fraction",
            "variance of the condition averages in each marginalisation",
        ),
        ArrayDoc::new(
            "scores",
            "[cell, time, component]",
            "rate",
            "scores of the condition averages",
        ),
        ArrayDoc::new(
            "cells",
            "[cell, factor]",
            "",
            "level of each factor in each cell, from 0",
        ),
        ArrayDoc::new("n_trials", "[cell]", "", "number of trials of each cell"),
        ArrayDoc::new("mean", "[unit]", "rate", "mean rate that is subtracted"),
        ArrayDoc::new(
            "regularisation",
            "[1]",
            "",
            "strength of the regularisation, lambda",
        ),
    ];

    fn compute(study: &Study, options: &DpcaOptions) -> Result<Self, Unsuitable> {
        let (grid, left_out) = grid(study, &options.factors)?;
        let rates = Smoothed {
            study,
            width: options.smoothing_ms / study.dynamics.dt_ms,
            n_steps: grid.common_steps(study),
        };
        if rates.n_steps == 0 {
            return Err(Unsuitable::lacks(
                "the trials of the conditions have no common time",
            ));
        }
        let averages = rates.averages(&grid, &grid.cells);
        let splits = splits(&rates, &grid);
        let demixed = demixed(&averages, &splits, options.components.max(1))?;
        if demixed.components.is_empty() {
            let why = "demixing needs rates that differ between times or conditions";
            return Err(Unsuitable::lacks(why));
        }
        Ok(Self {
            scores: scores(&averages, &demixed),
            demixed,
            n_trials: grid.cells.iter().map(Vec::len).collect(),
            scales: grid.factors.iter().map(|v| v.role.scale()).collect(),
            factors: grid.labels(),
            levels: grid.names,
            left_out,
            is_cross_validated: !splits.is_empty(),
            epochs: Epochs::of(study),
            dt_ms: study.dynamics.dt_ms,
        })
    }

    fn arrays(&self) -> Arrays {
        let Demixed {
            marginalisations,
            variances,
            mean,
            strength,
            ..
        } = &self.demixed;
        let n_sets = marginalisations.len();
        let n_levels: Vec<usize> = self.levels.iter().map(Vec::len).collect();
        let n_factors = n_levels.len();
        let set_names: Vec<String> = (0..n_sets).map(|m| self.set_name(m)).collect();
        self.demixed
            .component_arrays()
            .with(
                "marginalisations",
                &Array2::from_shape_fn((n_sets, n_factors), |(m, k)| {
                    f64::from(u8::from(marginalisations[m].contains(&k)))
                }),
            )
            .with("marginalisation_names", &set_names)
            .with("factor_names", &self.factors)
            .with("marginalised_variance", variances)
            .with("scores", &self.scores)
            .with(
                "cells",
                &Array2::from_shape_fn((self.n_trials.len(), n_factors), |(c, k)| {
                    levels(&n_levels, c)[k] as f64
                }),
            )
            .with("n_trials", &self.n_trials)
            .with("mean", mean)
            .with("regularisation", strength)
    }

    fn statements(&self) -> Vec<String> {
        let sets = self.demixed.variances.iter().enumerate();
        let parts: Vec<String> = sets
            .map(|(m, part)| format!("{} {} %", self.set_name(m), rounded(100.0 * part, 1)))
            .collect();
        let mut lines = vec![
            format!("variance of the condition averages: {}", parts.join(", ")),
            format!(
                "{} ({}; {} trials of each) of {}; regularisation {}",
                counted(self.n_trials.len(), "condition"),
                self.factors.join(" × "),
                self.numbers(),
                counted(self.demixed.mean.len(), "unit"),
                if self.is_cross_validated {
                    format!("{} by cross-validation", short(self.demixed.strength))
                } else {
                    "negligible, since trials of one condition do not differ or do not repeat"
                        .to_owned()
                }
            ),
        ];
        lines.extend(self.left_out.iter().cloned());
        lines.extend(self.epochs.statement());
        lines
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        vec![
            ("", self.draw_components()),
            ("_variance", self.draw_variances()),
        ]
    }
}

impl Demixed {
    /// Returns the arrays with a row for each component.
    fn component_arrays(&self) -> Arrays {
        let components = &self.components;
        let table = |of: &dyn Fn(&Component) -> &Array1<f64>| {
            let shape = (components.len(), self.mean.len());
            Array2::from_shape_fn(shape, |(k, n)| of(&components[k])[n])
        };
        let sets: Vec<usize> = components.iter().map(|c| c.marginalisation).collect();
        let explained: Vec<f64> = components.iter().map(|c| c.explained).collect();
        let shape = (components.len(), self.marginalisations.len());
        let shares = Array2::from_shape_fn(shape, |(k, m)| components[k].shares[m]);
        Arrays::default()
            .with("encoders", &table(&|c| &c.encoder))
            .with("decoders", &table(&|c| &c.decoder))
            .with("marginalisation", &sets)
            .with("explained_variance", &explained)
            .with("shares", &shares)
    }
}

impl Dpca {
    /// Returns the numbers of trials of the conditions.
    fn numbers(&self) -> String {
        numbers(self.n_trials.iter().copied())
    }

    /// Returns the name of a marginalisation.
    fn set_name(&self, m: usize) -> String {
        let set = &self.demixed.marginalisations[m];
        let names: Vec<&str> = set.iter().map(|&k| &self.factors[k][..]).collect();
        if names.is_empty() {
            "time".to_owned()
        } else {
            names.join(" × ")
        }
    }

    /// Draws the first components of the largest marginalisations over time, averaged over all other factors.
    fn draw_components(&self) -> Figure {
        let variances = &self.demixed.variances;
        let of_set = |m: usize| -> Vec<usize> {
            let all = self.demixed.components.iter().enumerate();
            let own = all.filter(|(_, c)| c.marginalisation == m && c.explained > LEAST_DRAWN);
            own.map(|(k, _)| k).take(COLUMNS).collect()
        };
        let mut sets: Vec<usize> = (0..variances.len())
            .filter(|&m| !of_set(m).is_empty())
            .collect();
        sets.sort_by(|&a, &b| variances[b].total_cmp(&variances[a]));
        let n_sets = sets.len();
        sets.truncate(ROWS);
        let n_columns = sets.iter().map(|&m| of_set(m).len()).max().unwrap_or(1);
        let mut figure = Figure::new(&vec![36.0; n_columns], &vec![26.0; sets.len()]);
        figure.title = format!("{} trials of a condition", self.numbers());
        if n_sets > sets.len() {
            figure.title += &format!(
                "; the largest {} of {n_sets} parts of the variance",
                sets.len()
            );
        }
        for (row, &m) in sets.iter().enumerate() {
            let own = of_set(m);
            let last = own.len() - 1;
            for (column, k) in own.into_iter().enumerate() {
                let panel = figure.cell(row, column);
                self.draw_component(panel, k, column == last);
                if column == 0 {
                    panel.y_label(&format!("{} component", self.set_name(m)));
                }
            }
        }
        figure
    }

    fn draw_component(&self, panel: &mut Panel, k: usize, is_named: bool) {
        let component = &self.demixed.components[k];
        let set = &self.demixed.marginalisations[component.marginalisation];
        let n_levels: Vec<usize> = self.levels.iter().map(Vec::len).collect();
        let own_levels: Vec<usize> = set.iter().map(|&f| n_levels[f]).collect();
        let n_lines: usize = own_levels.iter().product();
        for line in 0..n_lines {
            let own = levels(&own_levels, line);
            let is_member = |cell: &usize| {
                let all = levels(&n_levels, *cell);
                set.iter().zip(&own).all(|(&f, &level)| all[f] == level)
            };
            let cells: Vec<usize> = (0..self.n_trials.len()).filter(is_member).collect();
            let scores = self.scores.slice(s![.., .., k]).select(Axis(0), &cells);
            let mean = scores.mean_axis(Axis(0)).unwrap_or_default();
            let t = (1..=mean.len()).map(|t| t as f64 * self.dt_ms).collect();
            let (level, n, scale) = match set.first() {
                Some(&f) => (own[0], n_levels[f], self.scales[f]),
                None => (0, 1, Scale::Names),
            };
            let mut layer = Layer::line(t, mean.to_vec(), level_colour(level, n, scale)).wide(0.3);
            let is_first = own.iter().skip(1).all(|&level| level == 0);
            if !is_first {
                layer = layer.dashed();
            } else if let (true, Some(&f)) = (is_named, set.first()) {
                layer = layer.named(&self.levels[f][own[0]]);
            }
            panel.add(layer);
        }
        let explained = rounded(100.0 * component.explained, 1);
        let others: Vec<&str> = set.iter().skip(1).map(|&f| &self.factors[f][..]).collect();
        let dashes = match &others[..] {
            [] => String::new(),
            others => {
                let first = set.iter().skip(1).map(|&f| &self.levels[f][0][..]);
                let first: Vec<&str> = first.collect();
                format!("; solid: {} {}", others.join(", "), first.join(", "))
            }
        };
        panel
            .title(format!("{explained} % of variance{dashes}"))
            .time_axis();
        self.epochs.mark(panel);
    }

    /// Draws the variance that each component explains, divided by marginalisation, and that of each marginalisation.
    fn draw_variances(&self) -> Figure {
        let mut figure = Figure::new(&[56.0, 34.0], &[34.0]);
        let shown = self.demixed.components.iter().take(15).enumerate();
        let panel = figure.cell(0, 0);
        for (k, component) in shown {
            let mut bottom = 0.0;
            for (m, share) in component.shares.iter().enumerate() {
                let top = bottom + 100.0 * share * component.explained.max(0.0);
                panel.add(Layer::Box {
                    x: [k as f64 + 0.6, k as f64 + 1.4],
                    y: [bottom, top],
                    colour: self.set_colour(m),
                });
                bottom = top;
            }
        }
        let n = self.demixed.components.len().min(15) as f64;
        let highest = self.demixed.components.first().map_or(1.0, |c| c.explained);
        panel
            .x("component", [0.4, n + 0.6])
            .y("variance explained (%)", [0.0, 104.0 * highest.max(1e-3)]);
        self.draw_marginal_variances(figure.cell(0, 1));
        figure
    }

    /// Returns the colour of a set of factors.
    fn set_colour(&self, m: usize) -> Rgb {
        level_colour(m, self.demixed.variances.len(), Scale::Names)
    }

    fn draw_marginal_variances(&self, panel: &mut Panel) {
        let sets: Vec<String> = (0..self.demixed.variances.len())
            .map(|m| self.set_name(m))
            .collect();
        for (m, part) in self.demixed.variances.iter().enumerate() {
            panel
                .add(Layer::Box {
                    x: [0.0, 100.0 * part],
                    y: [m as f64 + 0.15, m as f64 + 0.85],
                    colour: self.set_colour(m),
                })
                .add(Layer::points(Vec::new(), Vec::new(), self.set_colour(m)).named(&sets[m]));
        }
        panel
            .x("variance (%)", [0.0, 100.0])
            .y("", [sets.len() as f64, 0.0])
            .y_ticks(Ticks::named(&sets));
    }
}

impl Grid {
    /// Returns the labels of the factors.
    fn labels(&self) -> Vec<String> {
        let factors = self.factors.iter();
        factors
            .map(|factor| factor.quantity.label.clone())
            .collect()
    }

    /// Returns the trials of every combination of the levels of some factors.
    fn of(study: &Study, factors: Vec<Variable>) -> Self {
        let trials = shown(study, &factors);
        let level_of: Vec<Vec<Option<usize>>> = factors
            .iter()
            .map(|variable| variable.level_of(MOST_LEVELS))
            .collect();
        let n_levels: Vec<usize> = factors
            .iter()
            .map(|variable| variable.n_groups(MOST_LEVELS))
            .collect();
        let mut cells = vec![Vec::new(); n_levels.iter().product()];
        for b in trials {
            let place = level_of
                .iter()
                .zip(&n_levels)
                .try_fold(0, |place, (level_of, &n)| Some(place * n + level_of[b]?));
            if let Some(place) = place {
                cells[place].push(b);
            }
        }
        let names = factors.iter().map(|v| v.level_names(MOST_LEVELS)).collect();
        Self {
            factors,
            n_levels,
            names,
            cells,
        }
    }

    /// Names the combinations without trials; `None` if there are none.
    fn missing(&self) -> Option<String> {
        let missing: Vec<usize> = (0..self.cells.len())
            .filter(|&c| self.cells[c].is_empty())
            .collect();
        let name = |&cell: &usize| {
            let levels = levels(&self.n_levels, cell);
            let parts = levels.iter().enumerate().map(|(k, &level)| {
                let Quantity { label, unit, .. } = &self.factors[k].quantity;
                let value = format!("{} {unit}", self.names[k][level]);
                format!("{label} = {}", value.trim_end())
            });
            parts.collect::<Vec<_>>().join(", ")
        };
        let named: Vec<String> = missing.iter().take(MOST_NAMED).map(name).collect();
        let more = missing.len().saturating_sub(MOST_NAMED);
        let rest = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        (!missing.is_empty()).then(|| format!("no trial has {}{rest}", named.join("; ")))
    }

    fn common_steps(&self, study: &Study) -> usize {
        let of = |trials: &Vec<usize>| common_steps(trials.iter().map(|&b| study.batch.n_steps[b]));
        self.cells.iter().map(of).min().unwrap_or(0)
    }
}

/// Returns the factors with their trials, and why variables are left out.
fn grid(study: &Study, names: &[String]) -> Result<(Grid, Vec<String>), Unsuitable> {
    if let Some(factors) = requested(study, names)? {
        return Ok((requested_grid(study, factors)?, Vec::new()));
    }
    let conditions = of_conditions(study);
    let choice = natural(study)
        .into_iter()
        .filter(|v| v.role == Role::Choice);
    let mut factors: Vec<Variable> = Vec::new();
    let mut left_out = Vec::new();
    for variable in conditions.into_iter().chain(choice) {
        let name = variable.quantity.label.clone();
        let mut more = factors.clone();
        more.push(variable);
        if more.len() > MOST_FACTORS {
            left_out.push(format!(
                "{name} is not a factor: there are at most {MOST_FACTORS}"
            ));
            continue;
        }
        match Grid::of(study, more.clone()).missing() {
            None => factors = more,
            Some(missing) => left_out.push(format!("{name} is not a factor: {missing}")),
        }
    }
    if factors.is_empty() {
        let why = "all trials of the task are of one condition";
        return Err(Unsuitable::lacks(why));
    }
    Ok((Grid::of(study, factors), left_out))
}

fn requested_grid(study: &Study, factors: Vec<Variable>) -> Result<Grid, Unsuitable> {
    if factors.len() > MOST_FACTORS {
        let why = format!(
            "at most {MOST_FACTORS} factors can be demixed, not {}",
            factors.len()
        );
        return Err(Unsuitable::lacks(why));
    }
    let grid = Grid::of(study, factors);
    match grid.missing() {
        None => Ok(grid),
        Some(missing) => Err(Unsuitable::Lacks(format!(
            "demixing needs trials in every combination of the factors, but {missing}; choose others with dpca.factors=[...]"
        ))),
    }
}

/// Rates of a study, smoothed in time.
struct Smoothed<'a> {
    study: &'a Study<'a>,
    width: f64,
    n_steps: usize,
}

impl Smoothed<'_> {
    /// Averages the rates of the trials of each cell, over those that are running, and smooths them.
    fn averages(&self, grid: &Grid, cells: &[Vec<usize>]) -> Averages {
        let study = self.study;
        let shape = (cells.len(), self.n_steps, study.dynamics.n_units());
        let mut values = Array3::zeros(shape);
        for (mut own, trials) in values.outer_iter_mut().zip(cells) {
            for t in 0..self.n_steps {
                let running = trials.iter().filter(|&&b| study.batch.n_steps[b] > t);
                let mut row = own.row_mut(t);
                let mut count = 0.0;
                for &b in running {
                    row += &study.rates.slice(s![b, t, ..]);
                    count += 1.0;
                }
                row /= f64::max(count, 1.0);
            }
            let smooth = smoothed(own.view(), self.width);
            own.assign(&smooth);
        }
        Averages {
            n_levels: grid.n_levels.clone(),
            values,
        }
    }
}

/// Returns pairs of averages over all but one and over one trial of every cell; none if a cell has only one trial, or the
/// trials of each cell are equal.
fn splits(rates: &Smoothed, grid: &Grid) -> Vec<[Averages; 2]> {
    let is_long = |b: &usize| rates.study.batch.n_steps[*b] >= rates.n_steps;
    let cells: Vec<Vec<usize>> = grid
        .cells
        .iter()
        .map(|trials| trials.iter().copied().filter(is_long).collect())
        .collect();
    if cells.iter().any(|trials| trials.len() < 2) {
        return Vec::new();
    }
    let differs = |trials: &Vec<usize>| {
        let of = |b: usize| rates.study.rates.slice(s![b, ..rates.n_steps, ..]);
        let (a, b) = (of(trials[0]), of(trials[1]));
        a.iter()
            .zip(b.iter())
            .any(|(a, b)| (a - b).abs() > 1e-6 * (1.0 + a.abs()))
    };
    if !cells.iter().any(differs) {
        return Vec::new();
    }
    let split = |number: usize| {
        let mut halves = [Vec::new(), Vec::new()];
        for (c, trials) in cells.iter().enumerate() {
            let purpose = number * cells.len() + c;
            let order = permutation(trials.len(), rates.study.seed, PURPOSE, purpose);
            let order: Vec<usize> = order.into_iter().map(|i| trials[i]).collect();
            halves[0].push(order[1..].to_vec());
            halves[1].push(order[..1].to_vec());
        }
        halves.map(|cells| rates.averages(grid, &cells))
    };
    (0..N_SPLITS).map(split).collect()
}

fn scores(averages: &Averages, demixed: &Demixed) -> Array3<f64> {
    let (n_cells, n_steps, _) = averages.values.dim();
    let mut scores = Array3::zeros((n_cells, n_steps, demixed.components.len()));
    for (k, component) in demixed.components.iter().enumerate() {
        for (c, cell) in averages.values.outer_iter().enumerate() {
            let score = (&cell - &demixed.mean).dot(&component.decoder);
            scores.slice_mut(s![c, .., k]).assign(&score);
        }
    }
    scores
}

#[cfg(test)]
mod tests;
