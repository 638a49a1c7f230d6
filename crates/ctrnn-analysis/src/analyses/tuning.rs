//! Selectivity of units, and decomposition of the variance of their rates.

use ctrnn_tasks::counted;
use ndarray::{Array1, Array2, Axis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answer, Unsuitable};
use crate::plot::{Figure, Layer, Panel, Rgb, colour};
use crate::selectivity::{SelectivityTest, VarianceSplit, selectivity_test, variance_split};
use crate::text::spoken;
use crate::variables::{Variable, of_conditions, requested, shown};
use crate::{ArrayDoc, Arrays, Study};

/// Largest number of task variables without a list of them.
const MOST_VARIABLES: usize = 4;
/// Largest number of levels of a variable; more are merged.
const MOST_LEVELS: usize = 12;
/// Largest false discovery rate of a selectivity that is called significant.
const LEVEL: f64 = 0.05;
/// Colours of variance shared by variables, and of interactions.
const PALE: Rgb = Rgb([190, 190, 190]);
const DARK: Rgb = Rgb([90, 90, 90]);

/// Settings of the selectivity of units.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TuningOptions {
    /// Variables: names of conditions, products `a*b` and differences `a-b` of two, `choice`, `correct`. Empty for those of
    /// `--by`, or the evidence and up to three other conditions.
    pub variables: Vec<String>,
    /// Number of random permutations of the test of selectivity.
    pub permutations: usize,
}

impl Default for TuningOptions {
    fn default() -> Self {
        Self {
            variables: Vec::new(),
            permutations: 999,
        }
    }
}

/// Selectivity of units for task variables and choices, in the [`telling_epoch`](Study::telling_epoch).
#[derive(Clone, Debug)]
pub struct Tuning {
    /// Name of the epoch.
    pub epoch: &'static str,
    /// Mean rates in that epoch, `[trial, unit]`.
    pub rates: Array2<f64>,
    /// Trials that have the epoch and a value of every variable.
    pub trials: Vec<usize>,
    /// Names of the variables.
    pub names: Vec<String>,
    /// Decomposition of the variance of the rates.
    pub split: VarianceSplit,
    /// Significance of the selectivity.
    pub test: SelectivityTest,
    /// Discriminability d' of two choices by every unit; `None` unless there are two.
    pub d_prime: Option<Array1<f64>>,
    /// Names of the choices.
    pub choices: Vec<String>,
}

impl Answer for Tuning {
    type Options = TuningOptions;

    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new(
            "rates",
            "[trial, unit]",
            "rate",
            "mean rates in the epoch of `epoch`; NaN in a trial without it",
        ),
        ArrayDoc::new("epoch", "[1]", "", "name of the epoch"),
        ArrayDoc::new(
            "trials",
            "[k]",
            "",
            "trials whose rates are split and tested, numbered from 0",
        ),
        ArrayDoc::new("variable_names", "[variable]", "", "names of the variables"),
        ArrayDoc::new(
            "variance_by_variable",
            "[variable, unit]",
            "fraction",
            "variance that each variable explains beyond the others",
        ),
        ArrayDoc::new(
            "variance_shared",
            "[unit]",
            "fraction",
            "variance explained by correlated variables, by none of them alone",
        ),
        ArrayDoc::new(
            "variance_by_interaction",
            "[unit]",
            "fraction",
            "variance explained by conditions beyond the sum of variables",
        ),
        ArrayDoc::new(
            "variance_residual",
            "[unit]",
            "fraction",
            "variance within conditions",
        ),
        ArrayDoc::new(
            "p",
            "[variable + 1, unit]",
            "",
            "p-values of the permutation test, of interactions in the last row; NaN where there is none",
        ),
        ArrayDoc::new(
            "q",
            "[variable + 1, unit]",
            "",
            "p-values corrected for the number of units (false discovery rate)",
        ),
        ArrayDoc::new(
            "d_prime",
            "[unit]",
            "",
            "discriminability of the second choice from the first",
        ),
    ];

    fn compute(study: &Study, options: &TuningOptions) -> Result<Self, Unsuitable> {
        let chosen = chosen(study, &options.variables)?;
        let epoch = study.telling_epoch();
        let rates = study.rates_in(epoch);
        let mut trials = shown(study, &chosen);
        trials.retain(|&b| rates[[b, 0]].is_finite());
        if trials.is_empty() {
            return Err(Unsuitable::lacks("no trial has a value of every variable"));
        }
        let levels: Vec<Vec<Option<usize>>> = chosen
            .iter()
            .map(|variable| variable.level_of(MOST_LEVELS))
            .collect();
        let factors = Array2::from_shape_fn((trials.len(), chosen.len()), |(i, k)| {
            levels[k][trials[i]].map_or(f64::NAN, |level| level as f64)
        });
        let layout = study.layout();
        let choices = layout.alternatives().into_iter();
        let own = rates.select(Axis(0), &trials);
        let n_permutations = options.permutations;
        Ok(Self {
            epoch,
            split: variance_split(own.view(), factors.view())?,
            test: selectivity_test(own.view(), factors.view(), n_permutations, study.seed)?,
            rates,
            trials,
            names: chosen
                .iter()
                .map(|variable| variable.quantity.label.clone())
                .collect(),
            d_prime: study.choice_preference(),
            choices: choices.map(|c| spoken(&layout.choice_name(c))).collect(),
        })
    }

    fn arrays(&self) -> Arrays {
        let arrays = Arrays::default()
            .with("rates", &self.rates)
            .with("epoch", &vec![self.epoch.to_owned()])
            .with("trials", &self.trials)
            .with("variable_names", &self.names)
            .with("variance_by_variable", &self.split.by_variable)
            .with("variance_shared", &self.split.shared)
            .with("variance_by_interaction", &self.split.by_interaction)
            .with("variance_residual", &self.split.residual)
            .with("p", &self.test.p)
            .with("q", &self.test.q);
        match &self.d_prime {
            Some(d_prime) => arrays.with("d_prime", d_prime),
            None => arrays,
        }
    }

    fn statements(&self) -> Vec<String> {
        let n_units = self.rates.ncols();
        let is_significant = |term: usize, unit: usize| self.test.q[[term, unit]] < LEVEL;
        let n_variables = self.names.len();
        let count =
            |is_counted: &dyn Fn(usize) -> bool| (0..n_units).filter(|&n| is_counted(n)).count();
        let n_main = |unit: usize| {
            (0..n_variables)
                .filter(|&k| is_significant(k, unit))
                .count()
        };
        let each: Vec<String> = (0..n_variables)
            .map(|k| format!("{} for {}", count(&|n| is_significant(k, n)), self.names[k]))
            .collect();
        let mut lines = vec![format!(
            "selective units of {n_units} in the {} epoch of {} (permutation test, false discovery rate {LEVEL}): {}",
            spoken(self.epoch),
            counted(self.trials.len(), "trial"),
            each.join(", ")
        )];
        if n_variables > 1 {
            let mixed = count(&|n| n_main(n) > 1 || is_significant(n_variables, n));
            let nonlinear = count(&|n| is_significant(n_variables, n));
            lines.push(self.mixed_statement(mixed, nonlinear));
        }
        if self.test.is_deterministic {
            lines.push(
                "trials of one condition do not differ: conditions are permuted in place of trials"
                    .to_owned(),
            );
        }
        lines
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

/// Returns the named variables, or the evidence and other conditions.
fn chosen(study: &Study, names: &[String]) -> Result<Vec<Variable>, Unsuitable> {
    let found: Vec<Variable> = match requested(study, names)? {
        Some(found) => found,
        None => of_conditions(study)
            .into_iter()
            .take(MOST_VARIABLES)
            .collect(),
    };
    if found.is_empty() {
        let why = "all trials of the task are of one condition";
        return Err(Unsuitable::lacks(why));
    }
    Ok(found)
}

impl Tuning {
    /// Describes the numbers of units with mixed selectivity and of those that are nonlinear.
    fn mixed_statement(&self, mixed: usize, nonlinear: usize) -> String {
        let interaction = self.test.p.row(self.names.len());
        if interaction.iter().any(|p| p.is_finite()) {
            format!(
                "mixed selectivity: {mixed} units, of which {nonlinear} are nonlinear (their variables interact)"
            )
        } else {
            format!(
                "mixed selectivity: {mixed} units; interactions are not tested, which takes noise and repeated conditions"
            )
        }
    }

    /// Draws a column for each unit with the fraction of its variance that each variable explains.
    fn draw_variance(&self, panel: &mut Panel) {
        let parts = |unit: usize| {
            let alone = self.split.by_variable.column(unit).to_vec();
            let rest = [self.split.shared[unit], self.split.by_interaction[unit]];
            alone.into_iter().chain(rest)
        };
        let explained = |unit: usize| parts(unit).sum::<f64>();
        let mut order: Vec<usize> = (0..self.rates.ncols()).collect();
        order.sort_by(|&a, &b| explained(b).total_cmp(&explained(a)));
        let mut inks: Vec<Rgb> = (0..self.names.len()).map(colour).collect();
        let is_shared = self.split.shared.iter().any(|part| *part > 0.005);
        inks.extend([PALE, DARK]);
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
        let entries = inks.iter().zip(names.chain(["shared", "interactions"]));
        let has_several = self.names.len() > 1;
        let entries = entries
            .filter(|(_, name)| is_shared || *name != "shared")
            .filter(|(_, name)| has_several || *name != "interactions");
        panel
            .extend(entries.map(|(&ink, name)| {
                Layer::line(Vec::new(), Vec::new(), ink)
                    .wide(0.4)
                    .named(name)
            }))
            .title(format!(
                "rates in the {} epoch; n = {} trials",
                spoken(self.epoch),
                self.trials.len()
            ))
            .x("unit (sorted)", [0.0, order.len() as f64])
            .y("variance explained", [0.0, 1.0]);
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::analyses::synthetic::Synthetic;

    /// Strength and side make one variable, signed coherence: a unit that is linear in it does not interact.
    #[test]
    fn a_unit_linear_in_signed_coherence_has_no_interaction() {
        let coh: Vec<f64> = (0..48).map(|b| [0.1, 0.2, 0.4][b % 3]).collect();
        let side: Vec<f64> = (0..48).map(|b| [-1.0, 1.0][b / 3 % 2]).collect();
        let choices: Vec<usize> = side.iter().map(|side| usize::from(*side > 0.0)).collect();
        let rates = Array3::from_shape_fn((48, 4, 3), |(b, t, n)| {
            let noise = 0.01 * ((b * 12 + t * 3 + n) as f64 * 1.3).sin();
            noise + if n == 0 { 2.0 + coh[b] * side[b] } else { 1.0 }
        });
        let conditions = [("coh", coh), ("side", side)];
        let synthetic = Synthetic::with_choices(&conditions, rates, &choices, &[4; 48], 3);
        let found = Tuning::compute(&synthetic.study(), &TuningOptions::default()).unwrap();
        assert_eq!(found.names, ["coh"], "the label of the strength");
        assert!(found.split.by_interaction.iter().all(|part| *part < 1e-9));
        assert!(
            found.split.by_variable[[0, 0]] > 0.99,
            "{}",
            found.split.by_variable
        );
        assert!(
            found.test.q[[0, 0]] < 0.01 && found.test.q[[0, 1]] > 0.05,
            "{}",
            found.test.q
        );
    }
}
