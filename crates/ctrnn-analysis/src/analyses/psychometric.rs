//! Psychometric curves: frequency of a choice as a function of the evidence for it.

use ndarray::Array2;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answer, Unsuitable};
use crate::evidence::{Context, Evidence, contexts, distinct};
use crate::plot::{Figure, Layer, Panel, Rgb, colour, range_of};
use crate::sigmoid::{Level, Sigmoid, SigmoidFit, SigmoidIntervals};
use crate::text::{rounded, spoken};
use crate::{Arrays, Study};

/// Settings of the fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Number of bootstrap samples.
    pub n_samples: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { n_samples: 200 }
    }
}

/// Choice frequencies by evidence, with fitted curves.
#[derive(Clone, Debug)]
pub struct Psychometric {
    /// Curves `[context][evidence]`: in each context, against the relevant evidence and against that to be ignored.
    pub curves: Vec<Vec<Curve>>,
}

/// Frequency of the second of two choices, against one kind of evidence in one context.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Context of the trials.
    pub context: Context,
    /// Name of the evidence.
    pub against: String,
    /// Name of the second choice.
    pub choice: String,
    /// Trials at each level of the evidence.
    pub levels: Vec<Level>,
    /// Logistic and probit fit, if there is one.
    pub fits: [Option<SigmoidIntervals>; 2],
}

impl Answer for Psychometric {
    type Options = Options;

    fn compute(study: &Study, options: &Options) -> Result<Self, Unsuitable> {
        let contexts = contexts(study)?;
        let (choices, layout) = (study.choices(), study.layout());
        let mut shown: Vec<&Evidence> = Vec::new();
        for Context { evidence, .. } in &contexts {
            if shown.iter().all(|known| known.name != evidence.name) {
                shown.push(evidence);
            }
        }
        let curve = |context: &Context, against: &Evidence| {
            let pair = context.evidence.choices;
            let levels = levels(&against.values, &context.evidence.trials, &choices, pair);
            Curve {
                context: context.clone(),
                against: against.name.clone(),
                choice: spoken(&layout.choice_name(pair[1])),
                fits: [Sigmoid::Logistic, Sigmoid::Probit].map(|shape| {
                    SigmoidFit::fit_with_intervals(shape, &levels, options.n_samples, study.seed)
                }),
                levels,
            }
        };
        let row = |context| {
            shown
                .iter()
                .map(|against| curve(context, against))
                .collect()
        };
        Ok(Self {
            curves: contexts.iter().map(row).collect(),
        })
    }

    fn arrays(&self) -> Arrays {
        let mut arrays = Arrays::default();
        for (row, curves) in self.curves.iter().enumerate() {
            for (column, curve) in curves.iter().enumerate() {
                let is_alone = self.curves.len() == 1;
                let label = if is_alone {
                    String::new()
                } else {
                    format!("_{row}_{column}")
                };
                arrays = curve.add_to(arrays, &label);
            }
        }
        arrays
    }

    fn statements(&self) -> Vec<String> {
        let curves = self.curves.iter().flatten();
        let of_context = curves.filter(|curve| curve.against == curve.context.evidence.name);
        of_context.map(Curve::statement).collect()
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let n_columns = self.curves[0].len();
        let rows_mm = vec![34.0; self.curves.len()];
        let mut figure = Figure::new(&vec![40.0; n_columns], &rows_mm);
        for (row, curves) in self.curves.iter().enumerate() {
            for (column, curve) in curves.iter().enumerate() {
                let panel = figure.cell(row, column).title(&*curve.context.name);
                curve.draw(panel, row == 0 && column + 1 == n_columns);
                if column == 0 {
                    panel.y_label(&format!("P({})", curve.choice));
                }
            }
        }
        vec![("", figure)]
    }
}

impl Curve {
    fn add_to(&self, arrays: Arrays, label: &str) -> Arrays {
        let column = |of: fn(&Level) -> f64| self.levels.iter().map(of).collect::<Vec<_>>();
        let arrays = arrays
            .with(format!("evidence{label}"), &column(|level| level.x))
            .with(format!("n_trials{label}"), &column(|level| level.n as f64))
            .with(
                format!("n_chosen{label}"),
                &column(|level| level.chosen as f64),
            );
        self.fits.iter().flatten().fold(arrays, |arrays, found| {
            let (fit, name) = (found.fit, found.fit.shape.name());
            let rows = [
                (fit.bias, found.bias),
                (fit.width, found.width),
                (fit.lapse, found.lapse),
            ];
            // rows: bias, width, lapse; columns: fit, lower and upper end of the 95 % interval
            let table = Array2::from_shape_fn((3, 3), |(i, k)| match k {
                0 => rows[i].0,
                k => rows[i].1[k - 1],
            });
            let likelihood = format!("{name}_log_likelihood{label}");
            arrays
                .with(format!("{name}{label}"), &table)
                .with(likelihood, &fit.log_likelihood)
        })
    }

    fn statement(&self) -> String {
        let (prefix, name) = (self.context.prefix(), &self.against);
        let Some(found) = &self.fits[0] else {
            let why = why_not_fitted(&self.levels);
            return format!("{prefix}no curve is fitted: {why}");
        };
        let value = |x: f64| rounded(x, 4);
        let estimate = |x: f64, [low, high]: [f64; 2]| {
            format!("{} [{}, {}]", value(x), value(low), value(high))
        };
        format!(
            "{prefix}logistic in {name}: bias {}, width {}, lapse {} (95 %)",
            estimate(found.fit.bias, found.bias),
            estimate(found.fit.width, found.width),
            estimate(found.fit.lapse, found.lapse)
        )
    }

    fn draw(&self, panel: &mut Panel, is_named: bool) {
        let x: Vec<f64> = self.levels.iter().map(|level| level.x).collect();
        let [low, high] = range_of(x.iter().copied(), 0.06);
        panel
            .x(&spoken(&self.against), [low, high])
            .y("", [0.0, 1.0])
            .add(Layer::guide([low, high], [0.5, 0.5]));
        if low < 0.0 && high > 0.0 {
            panel.add(Layer::guide([0.0, 0.0], [0.0, 1.0]));
        }
        let at: Vec<f64> = (0..=200)
            .map(|i| low + (high - low) * f64::from(i) / 200.0)
            .collect();
        for (k, found) in self.fits.iter().enumerate() {
            let Some(SigmoidIntervals { fit, .. }) = found else {
                continue;
            };
            let y = at.iter().map(|x| fit.at(*x)).collect();
            let line = Layer::line(at.clone(), y, colour(k));
            let line = if k == 0 {
                line.wide(0.4)
            } else {
                line.wide(0.3).dashed()
            };
            let name = fit.shape.name();
            panel.add(if is_named { line.named(name) } else { line });
        }
        let intervals: Vec<[f64; 2]> = self.levels.iter().map(Level::interval).collect();
        let y = self.levels.iter().map(Level::fraction).collect();
        panel
            .extend(Layer::error_bars(&x, &intervals, Rgb::BLACK))
            .add(Layer::points(x, y, Rgb::BLACK));
    }
}

/// Counts the second choices at every level of some values.
fn levels(
    values: &[f64],
    trials: &[usize],
    choices: &[Option<usize>],
    [below, above]: [usize; 2],
) -> Vec<Level> {
    let is_made = |b: &usize| choices[*b] == Some(below) || choices[*b] == Some(above);
    let answered: Vec<usize> = trials.iter().copied().filter(is_made).collect();
    let level = |x: f64| {
        let here = || answered.iter().filter(|&&b| values[b] == x);
        Level {
            x,
            n: here().count(),
            chosen: here().filter(|&&b| choices[b] == Some(above)).count(),
        }
    };
    let xs = distinct(answered.iter().map(|&b| values[b]));
    xs.into_iter().map(level).collect()
}

fn why_not_fitted(levels: &[Level]) -> &'static str {
    let made = levels.iter().map(|level| level.chosen).sum::<usize>();
    match levels.iter().map(|level| level.n).sum::<usize>() {
        0 => "no trial ends in one of the two choices",
        n if made == 0 || made == n => "the same choice in all trials",
        _ => "the evidence in trials with a choice is of one level",
    }
}
