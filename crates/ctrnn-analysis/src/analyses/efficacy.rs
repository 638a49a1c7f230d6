//! Efficacy of plastic synapses over time, and what it tells of the trial beside the rates.

use ndarray::{Array2, Array3, ArrayView1, Axis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::decoding::{self, DecodingOptions};
use super::{Answer, Unsuitable};
use crate::epochs::Epochs;
use crate::groups::{Group, groups, mean_course};
use crate::plot::{Figure, Layer, Panel, Rgb, colour, panel_mm};
use crate::text::{rounded, short, spoken};
use crate::{ArrayDoc, Arrays, Study, SynapseStates};

/// Settings of the efficacy.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EfficacyOptions {
    /// Variables to decode, as in `decoding`.
    pub variables: Vec<String>,
    /// Number of folds of the cross-validation.
    pub folds: usize,
    /// Largest number of time bins.
    pub bins: usize,
    /// Number of principal components that the decoders see; they know no labels.
    pub components: usize,
}

impl Default for EfficacyOptions {
    fn default() -> Self {
        let DecodingOptions {
            variables,
            folds,
            bins,
            components,
        } = DecodingOptions::default();
        Self {
            variables,
            folds,
            bins,
            components,
        }
    }
}

/// Efficacies by group of trials, and decoding from rates and from efficacies.
#[derive(Clone, Debug)]
pub struct Efficacy {
    /// Kinds of synapses that the network has, each with its courses.
    kinds: Vec<SynapseGroup>,
    /// Mean efficacy of each unit over trials, `[unit, time]`.
    of_units: Array2<f64>,
    groups: Vec<Group>,
    /// Name of the condition by which trials are grouped.
    by: String,

    decoded: Vec<Decoded>,
    /// Reason why nothing could be decoded.
    undecoded: Option<String>,
    bins_ms: Vec<f64>,
    t_ms: Vec<f64>,
    epochs: Epochs,
}

/// Facilitating or depressing synapses.
#[derive(Clone, Debug)]
struct SynapseGroup {
    name: &'static str,
    n_units: usize,
    /// Mean over units and trials, `[group, time]`.
    utilisation: Array2<f64>,
    resources: Array2<f64>,
    efficacy: Array2<f64>,
}

/// Decoding of one variable from rates and from efficacies.
#[derive(Clone, Debug)]
struct Decoded {
    name: String,
    n_classes: usize,
    /// Fraction of held-out trials that are decoded correctly in each bin.
    rates: Vec<f64>,
    efficacy: Vec<f64>,
}

impl Answer for Efficacy {
    type Options = EfficacyOptions;

    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new(
            "efficacy_{}",
            "[group, time]",
            "",
            "efficacy u x of `facilitating` (tau_u > tau_x) and `depressing` synapses, averaged over units and trials",
        ),
        ArrayDoc::new(
            "utilisation_{}",
            "[group, time]",
            "",
            "utilisation u, averaged alike",
        ),
        ArrayDoc::new(
            "resources_{}",
            "[group, time]",
            "",
            "resources x, averaged alike",
        ),
        ArrayDoc::new(
            "unit_efficacy",
            "[unit, time]",
            "",
            "efficacy of the synapses of each unit, averaged over trials",
        ),
        ArrayDoc::new(
            "group_names",
            "[group]",
            "",
            "names of the groups of trials",
        ),
        ArrayDoc::new(
            "accuracy_rates",
            "[variable, bin]",
            "fraction",
            "held-out trials decoded correctly from the rates, averaged over the classes of a variable",
        ),
        ArrayDoc::new(
            "accuracy_efficacy",
            "[variable, bin]",
            "fraction",
            "held-out trials decoded correctly from the efficacies",
        ),
        ArrayDoc::new("chance", "[variable]", "fraction", "accuracy of guessing"),
        ArrayDoc::new(
            "variable_names",
            "[variable]",
            "",
            "names of the decoded variables",
        ),
        ArrayDoc::new(
            "bins_ms",
            "[bin]",
            "ms",
            "middle of each time bin of decoding",
        ),
    ];

    fn compute(study: &Study, options: &EfficacyOptions) -> Result<Self, Unsuitable> {
        let (Some(plastic), Some(synapses)) = (&study.dynamics.synapses, &study.synapses) else {
            return Err(Unsuitable::lacks(
                "the network has no short-term plasticity: model.short_term_plasticity = \"half\" gives it one",
            ));
        };
        let (by, groups) = groups(study);
        let whole = crate::groups::of_all(study);
        let efficacy = synapses.efficacy();
        let of_units = mean_course(study, &efficacy, &whole).mean.reversed_axes();
        let n_steps = of_units.ncols();
        let kinds = [("facilitating", true), ("depressing", false)];
        let kinds = kinds.into_iter().filter_map(|(name, facilitates)| {
            let units = (0..of_units.nrows()).filter(|&i| plastic.facilitate[i] == facilitates);
            let units: Vec<usize> = units.collect();
            (!units.is_empty())
                .then(|| SynapseGroup::of(study, name, &units, synapses, &groups, n_steps))
        });
        let kinds = kinds.collect();
        let (decoded, bins_ms, undecoded) = match decoded(study, &efficacy, options) {
            Ok((decoded, bins_ms)) => (decoded, bins_ms, None),
            // The course of the efficacies is a result without a variable to decode.
            Err(why) if options.variables.is_empty() => {
                (Vec::new(), Vec::new(), Some(why.to_string()))
            }
            Err(why) => return Err(why),
        };
        Ok(Self {
            kinds,
            t_ms: study.times_ms(n_steps),
            of_units,
            groups,
            by,

            decoded,
            undecoded,
            bins_ms,
            epochs: Epochs::of(study),
        })
    }

    fn arrays(&self) -> Arrays {
        let names: Vec<String> = self.groups.iter().map(|group| group.name.clone()).collect();
        let arrays = Arrays::default()
            .with("unit_efficacy", &self.of_units)
            .with("group_names", &names);
        let arrays = self.kinds.iter().fold(arrays, |arrays, kind| {
            arrays
                .with(format!("efficacy_{}", kind.name), &kind.efficacy)
                .with(format!("utilisation_{}", kind.name), &kind.utilisation)
                .with(format!("resources_{}", kind.name), &kind.resources)
        });
        if self.decoded.is_empty() {
            return arrays;
        }
        let table = |of: fn(&Decoded) -> &Vec<f64>| {
            Array2::from_shape_fn((self.decoded.len(), self.bins_ms.len()), |(k, t)| {
                of(&self.decoded[k])[t]
            })
        };
        let names = self.decoded.iter().map(|decoded| decoded.name.clone());
        let chance = self.decoded.iter().map(Decoded::chance);
        arrays
            .with("accuracy_rates", &table(|decoded| &decoded.rates))
            .with("accuracy_efficacy", &table(|decoded| &decoded.efficacy))
            .with("chance", &chance.collect::<Vec<f64>>())
            .with("variable_names", &names.collect::<Vec<String>>())
            .with("bins_ms", &self.bins_ms)
    }

    fn statements(&self) -> Vec<String> {
        let of_kind = |kind: &SynapseGroup| {
            let known = || kind.efficacy.iter().copied().filter(|x| x.is_finite());
            let low = known().fold(f64::INFINITY, f64::min);
            let high = known().fold(f64::NEG_INFINITY, f64::max);
            format!(
                "efficacy u x of {} {} units: {} to {} (means of groups of trials)",
                kind.n_units,
                kind.name,
                short(low),
                short(high)
            )
        };
        let of_variable = |decoded: &Decoded| {
            let (bin, when) = self.told_bin()?;
            let percent = |x: f64| rounded(100.0 * x, 1);
            Some(format!(
                "{}: {} % decoded correctly from the rates and {} % from the efficacies {when} (chance {} %)",
                decoded.name,
                percent(*decoded.rates.get(bin).filter(|x| x.is_finite())?),
                percent(*decoded.efficacy.get(bin).filter(|x| x.is_finite())?),
                percent(decoded.chance())
            ))
        };
        let kinds = self.kinds.iter().map(of_kind);
        let decoded = self.decoded.iter().filter_map(of_variable);
        let undecoded = self
            .undecoded
            .iter()
            .map(|why| format!("nothing is decoded: {why}"));
        kinds.chain(decoded).chain(undecoded).collect()
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let n = self.kinds.len();
        let mut course = Figure::new(&vec![panel_mm(n, 48.0); n], &[34.0]);
        for (k, kind) in self.kinds.iter().enumerate() {
            let panel = course.cell(0, k);
            panel.title(format!("{} synapses, by {}", kind.name, self.by));
            let label = if k == 0 { "efficacy u x" } else { "" };
            panel.y_label(label);
            for (group, values) in self.groups.iter().zip(kind.efficacy.outer_iter()) {
                let line = self.line(values, group.colour);
                // One legend serves all panels.
                panel.add(if k + 1 == n {
                    line.named(&group.name)
                } else {
                    line
                });
            }
            panel.time_axis(); // it ends with the lines
            self.epochs.mark(panel);
        }
        let mut figures = vec![("", course)];
        if !self.decoded.is_empty() {
            figures.push(("_decoding", self.decoding_figure()));
        }
        figures
    }
}

impl Efficacy {
    fn line(&self, values: ArrayView1<f64>, ink: Rgb) -> Layer {
        Layer::line(self.t_ms.clone(), values.to_vec(), ink).wide(0.35)
    }

    /// Draws the accuracy from rates and from efficacies over time, a panel for each variable.
    fn decoding_figure(&self) -> Figure {
        let n = self.decoded.len();
        let mut figure = Figure::new(&vec![panel_mm(n, 48.0); n], &[34.0]);
        for (k, decoded) in self.decoded.iter().enumerate() {
            let panel: &mut Panel = figure.cell(0, k);
            let label = if k == 0 { "decoding accuracy" } else { "" };
            panel.title(spoken(&decoded.name)).y(label, [0.0, 1.02]);
            let ends = [self.bins_ms.first(), self.bins_ms.last()];
            let [start, end] = ends.map(|end| end.copied().unwrap_or_default());
            panel.add(Layer::guide([start, end], [decoded.chance(); 2]));
            for (name, values, ink) in [
                ("rates", &decoded.rates, colour(0)),
                ("efficacies", &decoded.efficacy, colour(1)),
            ] {
                let line = Layer::line(self.bins_ms.clone(), values.clone(), ink).wide(0.35);
                panel.add(if k + 1 == n { line.named(name) } else { line });
            }
            panel.time_axis();
            self.epochs.mark(panel);
        }
        figure
    }

    /// Returns the bin of which the statements tell, in words: the last one of the last delay, or of the trial.
    fn told_bin(&self) -> Option<(usize, String)> {
        let delays = self.epochs.epochs.iter().rev();
        let delay = delays
            .into_iter()
            .find(|(name, _)| name.starts_with("delay"));
        let end = delay.map_or(f64::INFINITY, |(_, [_, end])| *end);
        let bin = self.bins_ms.iter().rposition(|&t| t < end)?;
        let what = match delay {
            Some((name, _)) => format!("at the end of the {}", spoken(name)),
            None => "at the end of the trial".to_owned(),
        };
        Some((bin, what))
    }
}

impl SynapseGroup {
    fn of(
        study: &Study,
        name: &'static str,
        units: &[usize],
        synapses: &SynapseStates<Array3<f64>>,
        groups: &[Group],
        n_steps: usize,
    ) -> Self {
        let mean = |values: Array3<f64>| {
            let own = values.select(Axis(2), units);
            let mean = own.mean_axis(Axis(2)).expect("there are units");
            let mean = mean.insert_axis(Axis(2));
            let mut courses = Array2::from_elem((groups.len(), n_steps), f64::NAN);
            for (group, mut row) in groups.iter().zip(courses.outer_iter_mut()) {
                let course = mean_course(study, &mean, group).mean;
                for (to, value) in row.iter_mut().zip(course.column(0)) {
                    *to = *value;
                }
            }
            courses
        };
        Self {
            name,
            n_units: units.len(),
            utilisation: mean(synapses.utilisation.clone()),
            resources: mean(synapses.resources.clone()),
            efficacy: mean(synapses.efficacy()),
        }
    }
}

impl Decoded {
    /// Returns the accuracy of guessing.
    fn chance(&self) -> f64 {
        1.0 / self.n_classes as f64
    }
}

/// Decodes the variables from rates and from efficacies, in the same trials, folds and bins.
fn decoded(
    study: &Study,
    efficacy: &Array3<f64>,
    options: &EfficacyOptions,
) -> Result<(Vec<Decoded>, Vec<f64>), Unsuitable> {
    let options = DecodingOptions {
        variables: options.variables.clone(),
        folds: options.folds,
        bins: options.bins,
        components: options.components,
    };
    let (rates, bins_ms) = decoding::course(study, &study.rates, &options)?;
    let (efficacies, _) = decoding::course(study, efficacy, &options)?;
    let pairs = rates.into_iter().zip(efficacies);
    let decoded = pairs.map(|(from_rates, from_efficacy)| Decoded {
        n_classes: from_rates.classes.len(),
        name: from_rates.name,
        rates: from_rates.accuracy,
        efficacy: from_efficacy.accuracy,
    });
    Ok((decoded.collect(), bins_ms))
}

#[cfg(test)]
mod tests;
