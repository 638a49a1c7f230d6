//! Choice probability: how well the rate of a unit predicts the choice among trials of equal evidence.

use ctrnn_tasks::counted;
use ndarray::{Array1, Array2, Axis};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answer, Unsuitable};
use crate::arrays::ArrayDoc;
use crate::groups::{BY_NAMES, MOST_GROUP_PANELS};
use crate::plot::{Figure, Layer, Panel};
use crate::statistics::{permutation, q_values, ranks, roc_area};
use crate::text::{rounded, spoken};
use crate::{Arrays, Study, selectivity};

/// Largest false discovery rate of a choice probability that is called significant.
const LEVEL: f64 = 0.05;
/// Number of the random numbers that permute choices.
const PURPOSE: u32 = 23;

/// Settings of choice probabilities.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChoiceProbabilityOptions {
    /// Least number of trials with each choice in a condition that counts.
    pub trials: usize,
    /// Least number of trials with a choice in a condition that counts.
    pub trials_of_condition: usize,
    /// Number of random permutations of the choices within conditions.
    pub permutations: usize,
}

impl Default for ChoiceProbabilityOptions {
    fn default() -> Self {
        Self {
            trials: 4,
            trials_of_condition: 20,
            permutations: 999,
        }
    }
}

/// Choice probability of every unit in the [`telling_epoch`](Study::telling_epoch).
#[derive(Clone, Debug)]
pub struct ChoiceProbability {
    /// Name of the epoch.
    pub epoch: &'static str,
    /// Probabilities over all trials.
    pub all: Probabilities,
    /// Name of each group of `study.by`, and the probabilities over its trials; `None` if no condition of the group
    /// has enough trials of either choice.
    pub groups: Vec<(String, Option<Probabilities>)>,
    /// Names of the choices.
    pub choices: [String; 2],
}

/// Choice probabilities over some trials.
#[derive(Clone, Debug)]
pub struct Probabilities {
    /// Probability that the rate is higher in a trial with the second choice than in one with the first, `[unit]`.
    pub roc_area: Array1<f64>,
    /// The same for the choice that the evidence for which the unit fires more favours, `[unit]`; NaN without a
    /// preference.
    pub choice_probability: Array1<f64>,
    /// p-values of the permutation test, `[unit]`.
    pub p: Array1<f64>,
    /// p-values corrected for the number of units.
    pub q: Array1<f64>,
    /// Number of trials with the first and the second choice in each condition that counts.
    pub n_trials: Vec<[usize; 2]>,
}

/// Trials of one condition with both choices, and the ranks of the rates among them.
struct Stratum {
    /// True for each trial with the second choice.
    is_second: Vec<bool>,
    /// Ranks `[trial, unit]`.
    ranks: Array2<f64>,
}

impl Stratum {
    /// Returns the numbers of trials with the first and with the second choice.
    fn counts(&self) -> [usize; 2] {
        let n = self
            .is_second
            .iter()
            .filter(|is_second| **is_second)
            .count();
        [self.is_second.len() - n, n]
    }
}

impl Answer for ChoiceProbability {
    type Options = ChoiceProbabilityOptions;

    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new(
            "choice_probability",
            "[unit]",
            "",
            "ROC area for the choice that a unit's preferred evidence favours; NaN without a preference",
        ),
        ArrayDoc::new(
            "roc_area",
            "[unit]",
            "",
            "probability that the rate is higher with the second choice than with the first at equal evidence",
        ),
        ArrayDoc::new(
            "p",
            "[unit]",
            "",
            "p-values of permutations of the choices within conditions",
        ),
        ArrayDoc::new(
            "q",
            "[unit]",
            "",
            "p-values corrected for the number of units",
        ),
        ArrayDoc::new(
            "n_trials",
            "[condition, 2]",
            "",
            "number of trials with either choice in each condition that counts",
        ),
        ArrayDoc::new(
            "choice_probability_by",
            "[group, unit]",
            "",
            "choice_probability in each group of --by; NaN in one with too few trials of either choice",
        ),
        ArrayDoc::new(
            "roc_area_by",
            "[group, unit]",
            "",
            "roc_area in each group of --by",
        ),
        ArrayDoc::new("p_by", "[group, unit]", "", "p in each group of --by"),
        ArrayDoc::new("q_by", "[group, unit]", "", "q in each group of --by"),
        BY_NAMES,
    ];

    fn compute(study: &Study, options: &ChoiceProbabilityOptions) -> Result<Self, Unsuitable> {
        let layout = study.layout();
        let [first, second] = layout.alternatives()[..] else {
            return Err(Unsuitable::lacks("choice probabilities need two choices"));
        };
        let epoch = study.telling_epoch();
        let rates = study.rates_in(epoch);
        let responses = Responses {
            study,
            preference: preference(study, &rates, [first, second]),
            rates,
            made: study.choices(),
            choices: [first, second],
        };
        let all: Vec<usize> = (0..study.batch.n_trials).collect();
        let Some(all) = responses.probabilities(&all, options) else {
            let least = options.trials.max(1);
            return Err(Unsuitable::Lacks(format!(
                "no condition has {} trials with a choice, and {least} of either choice; responses must vary: add noise (--noise), trials (--trials N) or weaker evidence",
                options.trials_of_condition
            )));
        };
        let groups = study.groups_by()?.into_iter().map(|group| {
            let found = responses.probabilities(&group.trials, options);
            (group.name, found)
        });
        Ok(Self {
            epoch,
            all,
            groups: groups.collect(),
            choices: [first, second].map(|c| spoken(&layout.choice_name(c))),
        })
    }

    fn arrays(&self) -> Arrays {
        let n_trials = Array2::from_shape_fn((self.all.n_trials.len(), 2), |(c, k)| {
            self.all.n_trials[c][k] as f64
        });
        let arrays = Arrays::default()
            .with("choice_probability", &self.all.choice_probability)
            .with("roc_area", &self.all.roc_area)
            .with("p", &self.all.p)
            .with("q", &self.all.q)
            .with("n_trials", &n_trials);
        if self.groups.is_empty() {
            return arrays;
        }
        let names: Vec<String> = self.groups.iter().map(|(name, _)| name.clone()).collect();
        let by = |of: fn(&Probabilities) -> &Array1<f64>| {
            let shape = (self.groups.len(), self.all.roc_area.len());
            Array2::from_shape_fn(shape, |(g, unit)| {
                let found = self.groups[g].1.as_ref();
                found.map_or(f64::NAN, |found| of(found)[unit])
            })
        };
        arrays
            .with("choice_probability_by", &by(|own| &own.choice_probability))
            .with("roc_area_by", &by(|own| &own.roc_area))
            .with("p_by", &by(|own| &own.p))
            .with("q_by", &by(|own| &own.q))
            .with(BY_NAMES.name, &names)
    }

    fn statements(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "units that predict the choice at equal evidence in the {} epoch: {} (permutation test, false discovery rate {LEVEL})",
            spoken(self.epoch),
            self.all.significant()
        )];
        lines.extend(self.all.mean_statement());
        lines.extend(self.groups.iter().map(|(name, found)| match found {
            Some(found) => format!("{name}: {}", found.significant()),
            None => format!("{name}: too few trials of either choice"),
        }));
        lines
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let shown: Vec<(&str, &Probabilities)> = if self.groups.is_empty() {
            vec![("", &self.all)]
        } else {
            let known = self.groups.iter();
            let known = known.filter_map(|(name, found)| Some((&name[..], found.as_ref()?)));
            known.take(MOST_GROUP_PANELS).collect()
        };
        let mut figure = Figure::new(&[44.0, 44.0], &vec![34.0; shown.len()]);
        for (row, (name, found)) in shown.into_iter().enumerate() {
            let label = format!("ROC area ({} against {})", self.choices[1], self.choices[0]);
            let panel = figure.cell(row, 0).title(name);
            let areas = found.roc_area.to_vec();
            panel.histogram([&label, "units"], &areas, [0.0, 1.0], 25);
            mark_chance(panel);
            let label = "choice probability (preferred choice)";
            let panel = figure.cell(row, 1);
            panel.histogram([label, "units"], &found.known(), [0.0, 1.0], 25);
            mark_chance(panel);
        }
        vec![("", figure)]
    }
}

impl Probabilities {
    /// Returns the choice probabilities of the units with a preference.
    fn known(&self) -> Vec<f64> {
        let all = self.choice_probability.iter().copied();
        all.filter(|p| p.is_finite()).collect()
    }

    /// Describes how many units are significant, and of how many trials.
    fn significant(&self) -> String {
        let n_significant = self.q.iter().filter(|q| **q < LEVEL).count();
        let n_trials: usize = self.n_trials.iter().flatten().sum();
        format!(
            "{n_significant} of {}, in {} of {}",
            self.roc_area.len(),
            counted(n_trials, "trial"),
            counted(self.n_trials.len(), "condition")
        )
    }

    /// Describes the mean choice probability, if a unit has a preference.
    fn mean_statement(&self) -> Option<String> {
        let known = self.known();
        let mean = known.iter().sum::<f64>() / known.len() as f64;
        (!known.is_empty()).then(|| {
            format!(
                "mean choice probability {} of {} with a preference",
                rounded(mean, 3),
                counted(known.len(), "unit")
            )
        })
    }
}

/// Rates and choices of all trials.
struct Responses<'a> {
    study: &'a Study<'a>,
    /// Mean rates in the epoch, `[trial, unit]`.
    rates: Array2<f64>,
    /// Choice made in each trial.
    made: Vec<Option<usize>>,
    /// The two choices.
    choices: [usize; 2],
    /// Preference of each unit, positive for the second choice.
    preference: Vec<f64>,
}

impl Responses<'_> {
    /// Computes the probabilities over some trials; `None` if no condition has enough of them with either choice.
    fn probabilities(
        &self,
        trials: &[usize],
        options: &ChoiceProbabilityOptions,
    ) -> Option<Probabilities> {
        let least = [options.trials.max(1), options.trials_of_condition];
        let strata = self.strata(trials, least);
        if strata.is_empty() {
            return None;
        }
        let order = |stratum: &Stratum| (0..stratum.is_second.len()).collect();
        let observed = area(&strata, &strata.iter().map(order).collect::<Vec<_>>());
        let p = p_values(&strata, &observed, options.permutations, self.study.seed);
        let toward = |(area, preference): (&f64, &f64)| match *preference {
            p if p > 0.0 => *area,
            p if p < 0.0 => 1.0 - area,
            _ => f64::NAN,
        };
        Some(Probabilities {
            choice_probability: observed.iter().zip(&self.preference).map(toward).collect(),
            roc_area: observed,
            q: q_values(&p).into(),
            p: p.into(),
            n_trials: strata.iter().map(Stratum::counts).collect(),
        })
    }

    /// Returns the conditions in which the network makes either choice in at least `least` of some trials, and a choice in
    /// at least `least_of_all`.
    fn strata(&self, trials: &[usize], [least, least_of_all]: [usize; 2]) -> Vec<Stratum> {
        let [first, second] = self.choices;
        let conditions = &self.study.batch.conditions;
        let key = |&b: &usize| conditions.iter().map(|(_, values)| values[b]).collect();
        let cells = selectivity::groups(trials.iter().map(key));
        let of = |(_, members): &(Vec<f64>, Vec<usize>)| {
            let own: Vec<usize> = members
                .iter()
                .map(|&i| trials[i])
                .filter(|&b| [Some(first), Some(second)].contains(&self.made[b]))
                .filter(|&b| self.rates[[b, 0]].is_finite())
                .collect();
            let is_second: Vec<bool> = own.iter().map(|&b| self.made[b] == Some(second)).collect();
            let n = is_second.iter().filter(|is_second| **is_second).count();
            if n.min(own.len() - n) < least || own.len() < least_of_all {
                return None;
            }
            let own = self.rates.select(Axis(0), &own);
            let mut ranked = own.clone();
            for (mut column, unit) in ranked.axis_iter_mut(Axis(1)).zip(own.axis_iter(Axis(1))) {
                column.assign(&Array1::from(ranks(&unit.to_vec())));
            }
            Some(Stratum {
                is_second,
                ranks: ranked,
            })
        };
        cells.iter().filter_map(of).collect()
    }
}

/// Draws a line at one half, over the height of the panel.
fn mark_chance(panel: &mut Panel) {
    let height = panel.y.range.unwrap_or([0.0, 1.0]);
    panel.add(Layer::guide([0.5; 2], height));
}

/// Computes the ROC area of every unit: the mean over conditions, weighted by the number of pairs of trials with different
/// choices. Trial i of a condition has the choice of trial `orders[condition][i]`.
fn area(strata: &[Stratum], orders: &[Vec<usize>]) -> Array1<f64> {
    let n_units = strata[0].ranks.ncols();
    let mut sum = Array1::<f64>::zeros(n_units);
    let mut weights = 0.0;
    for (stratum, order) in strata.iter().zip(orders) {
        let seconds = (0..order.len()).filter(|&i| stratum.is_second[order[i]]);
        let mut ranks = Array1::<f64>::zeros(n_units);
        let mut n = 0;
        for i in seconds {
            ranks += &stratum.ranks.row(i);
            n += 1;
        }
        let others = order.len() - n;
        let weight = (n * others) as f64;
        sum += &ranks.mapv(|ranks| weight * roc_area(ranks, n, others));
        weights += weight;
    }
    sum / weights
}

/// Tests the ROC areas by permutations of the choices within each condition, two-sided.
fn p_values(
    strata: &[Stratum],
    observed: &Array1<f64>,
    n_permutations: usize,
    seed: u64,
) -> Vec<f64> {
    let exceeds = |number: usize| {
        let orders: Vec<Vec<usize>> = strata
            .iter()
            .enumerate()
            .map(|(c, stratum)| {
                let number = number * strata.len() + c;
                permutation(stratum.is_second.len(), seed, PURPOSE, number)
            })
            .collect();
        let drawn = area(strata, &orders);
        let is_farther = |(drawn, observed): (&f64, &f64)| {
            f64::from(u8::from(
                (drawn - 0.5).abs() >= (observed - 0.5).abs() - 1e-12,
            ))
        };
        drawn
            .iter()
            .zip(observed)
            .map(is_farther)
            .collect::<Array1<f64>>()
    };
    let zero = || Array1::<f64>::zeros(observed.len());
    let count = (0..n_permutations)
        .into_par_iter()
        .map(exceeds)
        .reduce(zero, |a, b| a + b);
    let p = |count: &f64| (count + 1.0) / (n_permutations + 1) as f64;
    count.iter().map(p).collect()
}

/// Returns the difference of the mean rates of each unit between the trials in which the second choice is correct and
/// those in which the first is: its sign is the choice that the unit's preferred evidence favours.
fn preference(study: &Study, rates: &Array2<f64>, choices: [usize; 2]) -> Vec<f64> {
    let correct = &study.batch.correct;
    let means = choices.map(|choice| {
        let is_own = |&b: &usize| correct[b] == Some(choice) && rates[[b, 0]].is_finite();
        let trials: Vec<usize> = (0..rates.nrows()).filter(is_own).collect();
        rates.select(Axis(0), &trials).mean_axis(Axis(0))
    });
    match means {
        [Some(first), Some(second)] => (second - first)
            .mapv(|d| if d.abs() < 1e-12 { 0.0 } else { d })
            .to_vec(),
        _ => vec![0.0; rates.ncols()],
    }
}

#[cfg(test)]
mod tests;
