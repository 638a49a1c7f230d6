//! Learning curves of several networks.

use std::collections::BTreeMap;

use ctrnn_tasks::counted;
use ndarray::Array2;

use super::{Networks, PopulationAnswer, Spread};
use crate::analyses::{Basis, NoOptions};
use crate::plot::{Figure, Layer, colour};
use crate::{ArrayDoc, Arrays, Study, Unsuitable};

/// Name in arrays and in figures of each curve.
const CURVES: [(&str, &str); 2] = [("loss", "validation loss"), ("accuracy", "accuracy")];
/// Largest number of groups with a line of their own.
const MOST_LINES: usize = 16;

/// Mean and spread of the validations of each group.
#[derive(Clone, Debug)]
pub struct Curves {
    networks: Networks,
    /// Steps of all validations.
    steps: Vec<f64>,
    /// Spread `[curve][group][step]`.
    spreads: [Vec<Vec<Spread>>; 2],
    /// Last value of each network, `[curve][network]`.
    last: [Vec<f64>; 2],
}

impl PopulationAnswer for Curves {
    type Options = NoOptions;
    /// Step and value of each validation, for each curve.
    type Observation = [BTreeMap<u64, f64>; 2];

    const BASIS: Basis = Basis::Metrics;
    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new(
            "steps",
            "[validation]",
            "",
            "training steps of the validations",
        ),
        ArrayDoc::new(
            "{}_mean",
            "[group, validation]",
            "",
            "mean over the networks of a group that have this validation: loss and accuracy",
        ),
        ArrayDoc::new(
            "{}_std",
            "[group, validation]",
            "",
            "standard deviation over these networks (n - 1)",
        ),
        ArrayDoc::new(
            "{}_n",
            "[group, validation]",
            "",
            "number of these networks",
        ),
        ArrayDoc::new("{}_last", "[network]", "", "last value of each network"),
    ];

    fn observe(study: &Study, _: usize, _: &NoOptions) -> Result<Self::Observation, Unsuitable> {
        let Some(metrics) = &study.metrics else {
            return Err(Unsuitable::lacks("it has no metrics.csv"));
        };
        let found = CURVES.map(|(name, _)| {
            let (steps, values) = metrics.curve("val", name);
            let points = steps.into_iter().map(|step| step as u64).zip(values);
            points.collect::<BTreeMap<u64, f64>>()
        });
        if found[0].is_empty() {
            return Err(Unsuitable::lacks("it was not validated in training"));
        }
        Ok(found)
    }

    fn join(
        networks: &Networks,
        observed: Vec<Self::Observation>,
        _: &NoOptions,
    ) -> Result<Self, Unsuitable> {
        let all = observed.iter().flat_map(|curves| curves[0].keys().copied());
        let steps: std::collections::BTreeSet<u64> = all.collect();
        let of_group = |curve: usize, group: usize| {
            let own = networks.of_group(group);
            let steps = steps.iter().map(|step| {
                let values = own.iter().filter_map(|&k| observed[k][curve].get(step));
                Spread::of(values.copied())
            });
            steps.collect::<Vec<Spread>>()
        };
        let of_curve = |curve: usize| {
            let groups = (0..networks.groups.len()).map(|group| of_group(curve, group));
            groups.collect::<Vec<_>>()
        };
        let last = |curve: usize| {
            let ends = observed.iter().map(|curves| curves[curve].values().last());
            ends.map(|end| end.copied().unwrap_or(f64::NAN)).collect()
        };
        Ok(Self {
            networks: networks.clone(),
            spreads: [0, 1].map(of_curve),
            last: [0, 1].map(last),
            steps: steps.iter().map(|&step| step as f64).collect(),
        })
    }

    fn arrays(&self) -> Arrays {
        let arrays = Arrays::default().with("steps", &self.steps);
        let curves = self.known().into_iter();
        curves.fold(arrays, |arrays, curve| {
            let (name, spreads) = (CURVES[curve].0, &self.spreads[curve]);
            let table = |of: fn(&Spread) -> f64| {
                let shape = (spreads.len(), self.steps.len());
                Array2::from_shape_fn(shape, |(g, k)| of(&spreads[g][k]))
            };
            arrays
                .with(format!("{name}_mean"), &table(|spread| spread.mean))
                .with(format!("{name}_std"), &table(|spread| spread.deviation))
                .with(format!("{name}_n"), &table(|spread| spread.n as f64))
                .with(format!("{name}_last"), &self.last[curve])
        })
    }

    fn statements(&self) -> Vec<String> {
        let of_group = |group: usize| {
            let own = self.networks.of_group(group);
            let ends = self.known().into_iter().map(|curve| {
                let spread = Spread::of(own.iter().map(|&k| self.last[curve][k]));
                format!("{} {spread}", CURVES[curve].1)
            });
            let ends: Vec<String> = ends.collect();
            let name = &self.networks.groups[group];
            let n = counted(own.len() as u64, "network");
            format!("{name}: {} at the end ({n})", ends.join(", "))
        };
        (0..self.networks.groups.len()).map(of_group).collect()
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let known = self.known();
        let mut figure = Figure::new(&vec![55.0; known.len()], &[40.0]);
        for (column, &curve) in known.iter().enumerate() {
            let panel = figure.cell(0, column);
            panel.x_label("training step").y_label(CURVES[curve].1);
            for (group, spreads) in self.spreads[curve].iter().enumerate().take(MOST_LINES) {
                let line = self.line(group, spreads, column + 1 == known.len());
                panel.extend(line);
            }
        }
        vec![("", figure)]
    }
}

impl Curves {
    /// Returns the curves that some network has.
    fn known(&self) -> Vec<usize> {
        let has = |curve: &usize| self.last[*curve].iter().any(|x| x.is_finite());
        (0..CURVES.len()).filter(has).collect()
    }

    /// Returns the mean of a group with its standard deviation, at the steps that most of its networks share: where some have ended, the
    /// mean would be one of others.
    fn line(&self, group: usize, spreads: &[Spread], is_named: bool) -> Vec<Layer> {
        let most = spreads.iter().map(|spread| spread.n).max().unwrap_or(0);
        let shared = self.steps.iter().zip(spreads);
        let shared: Vec<(f64, &Spread)> = shared
            .filter(|(_, spread)| spread.n == most && most > 0)
            .map(|(step, spread)| (*step, spread))
            .collect();
        let steps: Vec<f64> = shared.iter().map(|(step, _)| *step).collect();
        let means: Vec<f64> = shared.iter().map(|(_, spread)| spread.mean).collect();
        let ink = colour(group);
        let mut layers = Vec::new();
        if most > 1 {
            let deviations: Vec<f64> = shared.iter().map(|(_, spread)| spread.deviation).collect();
            layers.push(Layer::ribbon(steps.clone(), &means, &deviations, ink));
        }
        let line = Layer::line(steps, means, ink);
        let line = if group < 7 { line } else { line.dashed() };
        layers.push(if is_named {
            line.named(&self.networks.groups[group])
        } else {
            line
        });
        layers
    }
}
