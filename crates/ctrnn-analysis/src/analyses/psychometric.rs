//! Psychometric curves: frequency of a choice as a function of the evidence for it.

use ctrnn_tasks::{Cues, Quantity};
use ndarray::Array2;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answer, Unsuitable};
use crate::evidence::{Context, Contexts, Evidence, column, contexts, distinct};
use crate::groups::numbers;
use crate::plot::{
    Figure, Layer, Marker, Panel, Rgb, Scale, Ticks, beside, colour, level_colour, panel_mm,
    range_of,
};
use crate::sigmoid::{Level, Sigmoid, SigmoidFit, SigmoidIntervals, percentiles};
use crate::text::{rounded, short, spoken};
use crate::{ArrayDoc, Arrays, Study};

/// Settings of the fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PsychometricOptions {
    /// Number of samples of the parametric bootstrap that gives the confidence intervals (Wichmann & Hill 2001).
    pub n_samples: usize,
}

impl Default for PsychometricOptions {
    fn default() -> Self {
        Self { n_samples: 200 }
    }
}

/// Choice frequencies by evidence, with fitted curves.
#[derive(Clone, Debug)]
pub struct Psychometric {
    /// Contexts, and the trials that are left out.
    pub contexts: Contexts,
    /// Curves `[context][evidence]`: in each context, against the relevant evidence and against that to be ignored.
    pub curves: Vec<Vec<Curve>>,
    /// Thresholds with single cues and with both; `None` unless the task combines cues and all of them are determined.
    pub combination: Option<Combination>,
    /// True if the task combines cues.
    has_cues: bool,
}

/// Frequency of the second of two choices, against one kind of evidence in one context.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Context of the trials.
    pub context: Context,
    /// Name of the evidence.
    pub against: String,
    /// Label, unit and scale of the evidence.
    pub quantity: Quantity,
    /// Name of the second choice.
    pub choice: String,
    /// Trials with either choice at each level of the evidence.
    pub levels: Vec<Level>,
    /// Number of trials without either choice at each level.
    pub n_other: Vec<usize>,
    /// Normal and logistic fit; `None` if the choices do not determine bias and width.
    pub fits: [Option<SigmoidIntervals>; 2],
}

/// Thresholds of single cues and of both together, with the threshold of an optimal combination,
/// `sigma_12^2 = sigma_1^2 sigma_2^2 / (sigma_1^2 + sigma_2^2)`.
///
/// # References
/// Ernst & Banks (2002), Humans integrate visual and haptic information in a statistically optimal fashion.
#[derive(Clone, Debug, PartialEq)]
pub struct Combination {
    /// Names of both cues, of the combination and of its prediction.
    pub names: [String; 4],
    /// Threshold sigma of the normal fit for each of these.
    pub sigma: [f64; 4],
    /// 95 % confidence interval of each threshold.
    pub intervals: [[f64; 2]; 4],
    quantity: Quantity,
}

impl Answer for Psychometric {
    type Options = PsychometricOptions;
    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new(
            "evidence{}",
            "[level]",
            "condition",
            "evidence at each level; with several contexts _ROW_COLUMN, row = context, column = evidence, from 0",
        ),
        ArrayDoc::new(
            "n_trials{}",
            "[level]",
            "trials",
            "trials with either of the two choices",
        ),
        ArrayDoc::new(
            "n_chosen{}",
            "[level]",
            "trials",
            "trials with the second choice",
        ),
        ArrayDoc::new(
            "n_other{}",
            "[level]",
            "trials",
            "trials with neither choice, left out of the fit",
        ),
        ArrayDoc::new(
            "names{}",
            "[3]",
            "",
            "context, evidence, second choice of a curve",
        ),
        ArrayDoc::new(
            "probit_log_likelihood{}",
            "[1]",
            "",
            "log-likelihood of the normal fit",
        ),
        ArrayDoc::new(
            "probit{}",
            "[parameter, 3]",
            "condition",
            "rows bias (mu), width (sigma), lapse of the normal fit; columns fit, lower and upper end of the 95 % interval",
        ),
        ArrayDoc::new(
            "logistic_log_likelihood{}",
            "[1]",
            "",
            "log-likelihood of the logistic fit",
        ),
        ArrayDoc::new(
            "logistic{}",
            "[parameter, 3]",
            "condition",
            "rows bias, width, lapse of the logistic fit; columns as in probit",
        ),
        ArrayDoc::new(
            "n_catch",
            "[1]",
            "trials",
            "catch trials, left out of the fits",
        ),
        ArrayDoc::new(
            "cue_sigma",
            "[4, 3]",
            "condition",
            "rows first cue, second cue, both, optimal prediction for both; columns threshold sigma of the normal fit, lower and upper end of the 95 % interval",
        ),
    ];

    fn compute(study: &Study, options: &PsychometricOptions) -> Result<Self, Unsuitable> {
        let contexts = contexts(study)?;
        let (choices, layout) = (study.choices(), study.layout());
        let mut shown: Vec<&Evidence> = Vec::new();
        for Context { evidence, .. } in &contexts.contexts {
            if shown.iter().all(|known| known.name != evidence.name) {
                shown.push(evidence);
            }
        }
        let curve = |context: &Context, against: &Evidence| {
            let pair = context.evidence.choices;
            let trials = &context.evidence.trials;
            let (levels, n_other) = levels(&against.values, trials, &choices, pair);
            Curve {
                context: context.clone(),
                against: against.name.clone(),
                quantity: against.quantity(study.task),
                choice: spoken(&layout.choice_name(pair[1])),
                fits: [Sigmoid::Probit, Sigmoid::Logistic].map(|shape| {
                    let (n, seed) = (options.n_samples, study.seed);
                    SigmoidFit::fit_with_intervals(shape, &levels, n, seed)
                        .filter(|_| is_identified(&levels))
                }),
                levels,
                n_other,
            }
        };
        let row = |context| {
            shown
                .iter()
                .map(|against| curve(context, against))
                .collect()
        };
        let curves: Vec<Vec<Curve>> = contexts.contexts.iter().map(row).collect();
        let cues = study.task.cues();
        Ok(Self {
            has_cues: cues.is_some(),
            combination: cues.and_then(|cues| Combination::of(study, &cues, &curves)),
            curves,
            contexts,
        })
    }

    fn arrays(&self) -> Arrays {
        let n_catch = self.contexts.n_catch as f64;
        let mut arrays = Arrays::default().with("n_catch", &n_catch);
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
        match &self.combination {
            Some(Combination {
                sigma, intervals, ..
            }) => {
                let table = Array2::from_shape_fn((4, 3), |(i, k)| match k {
                    0 => sigma[i],
                    k => intervals[i][k - 1],
                });
                arrays.with("cue_sigma", &table)
            }
            None => arrays,
        }
    }

    fn statements(&self) -> Vec<String> {
        let curves = self.curves.iter().flatten();
        let of_context = curves.filter(|curve| curve.against == curve.context.evidence.name);
        let mut statements: Vec<String> = of_context.flat_map(Curve::statements).collect();
        statements.extend(self.combination.as_ref().map(Combination::statement));
        if self.has_cues && self.combination.is_none() {
            statements.push(
                "no comparison with an optimal combination of the cues: not all thresholds are determined"
                    .to_owned(),
            );
        }
        statements.extend(self.contexts.statements());
        statements
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let n_kinds = self.curves[0].len();
        let mut columns_mm = vec![panel_mm(n_kinds, 40.0); n_kinds];
        columns_mm.extend(self.combination.iter().map(|_| 40.0));
        let mut figure = Figure::new(&columns_mm, &[34.0]);
        figure.title = self.title();
        for kind in 0..n_kinds {
            let curves: Vec<&Curve> = self.curves.iter().map(|row| &row[kind]).collect();
            draw(figure.cell(0, kind), &curves, kind + 1 == n_kinds);
        }
        if let Some(combination) = &self.combination {
            combination.draw(figure.cell(0, n_kinds));
        }
        vec![("", figure)]
    }
}

impl Psychometric {
    /// Returns the title of the figure: numbers of trials, what bars are, and why curves are missing.
    fn title(&self) -> String {
        let curves = || self.curves.iter().flatten();
        let levels = curves().flat_map(Curve::shown);
        let mut title = format!("{}; bars: 95 % intervals", numbers(levels.map(|l| l.n)));
        if self.curves.iter().any(|curves| curves.len() > 1) {
            title += "; points of the curves side by side";
        }
        if curves().any(|curve| curve.fits[0].is_none()) {
            title += "; no fit: steeper than the levels, or too few of them";
        }
        title
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
        let names = vec![
            self.context.name.clone(),
            self.against.clone(),
            self.choice.clone(),
        ];
        let arrays = arrays
            .with(format!("n_other{label}"), &self.n_other)
            .with(format!("names{label}"), &names);
        self.fits.iter().flatten().fold(arrays, |arrays, found| {
            let (fit, name) = (found.fit, found.fit.shape.name());
            let rows = [
                (fit.bias, found.bias),
                (fit.width, found.width),
                (fit.lapse, found.lapse),
            ];
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

    fn statements(&self) -> Vec<String> {
        let prefix = self.context.prefix();
        let n_other: usize = self.n_other.iter().sum();
        let other = (n_other > 0).then(|| {
            let n = n_other + self.levels.iter().map(|level| level.n).sum::<usize>();
            format!("{prefix}{n_other} of {n} trials end in neither choice and are left out")
        });
        let fit = match &self.fits[0] {
            Some(found) => self.fit_statement(found),
            None => format!("no curve is fitted: {}", why_not_fitted(&self.levels)),
        };
        std::iter::once(format!("{prefix}{fit}"))
            .chain(other)
            .collect()
    }

    fn fit_statement(&self, found: &SigmoidIntervals) -> String {
        let plain = Quantity {
            label: String::new(),
            unit: String::new(),
            factor: 1.0,
        };
        format!(
            "P({}) by {}: bias {}, threshold sigma {}, lapse {} (normal distribution function, 95 % intervals)",
            self.choice,
            self.quantity.label,
            estimate(found.fit.bias, found.bias, &self.quantity),
            estimate(found.fit.width, found.width, &self.quantity),
            estimate(found.fit.lapse, found.lapse, &plain)
        )
    }

    /// Returns the levels with at least one choice, in the unit of the axis.
    fn shown(&self) -> Vec<Level> {
        let chosen = self.levels.iter().filter(|level| level.n > 0);
        chosen
            .map(|level| Level {
                x: self.quantity.factor * level.x,
                ..*level
            })
            .collect()
    }
}

/// Draws the curves of all contexts against one kind of evidence.
fn draw(panel: &mut Panel, curves: &[&Curve], is_named: bool) {
    let quantity = &curves[0].quantity;
    let shown: Vec<Vec<Level>> = curves.iter().map(|curve| curve.shown()).collect();
    let [low, high] = range_of(shown.iter().flatten().map(|level| level.x), 0.06);
    panel
        .x(&quantity.axis(), [low, high])
        .y(&format!("P({})", curves[0].choice), [0.0, 1.0])
        .add(Layer::guide([low, high], [0.5, 0.5]));
    if low < 0.0 && high > 0.0 {
        panel.add(Layer::guide([0.0, 0.0], [0.0, 1.0]));
    }
    let places = distinct(shown.iter().flatten().map(|level| level.x));
    let gaps = places.windows(2).map(|pair| pair[1] - pair[0]);
    let gap = gaps.reduce(f64::min).unwrap_or(0.0);
    for (k, (curve, levels)) in curves.iter().zip(&shown).enumerate() {
        let is_alone = curves.len() == 1;
        let ink = match curves.len() {
            1 => Rgb::BLACK,
            n => level_colour(k, n, Scale::Names),
        };
        let [normal, logistic] = &curve.fits;
        if let Some(found) = normal {
            let name = if is_alone {
                "normal"
            } else {
                &curve.context.name[..]
            };
            let ink = if is_alone { colour(0) } else { ink };
            let line = fitted_line(&found.fit, quantity, [low, high], ink).wide(0.4);
            panel.add(if is_named { line.named(name) } else { line });
        }
        if let Some(found) = logistic.as_ref().filter(|_| is_alone) {
            let line = fitted_line(&found.fit, quantity, [low, high], colour(1));
            panel.add(line.wide(0.3).dashed().named("logistic"));
        }
        let is_unnamed = is_named && normal.is_none() && !is_alone;
        // Curves often agree at strong evidence: their points are beside each other.
        let moved = beside(k, curves.len()) * gap;
        let levels: Vec<Level> = levels
            .iter()
            .map(|level| Level {
                x: level.x + moved,
                ..*level
            })
            .collect();
        draw_levels(
            panel,
            &levels,
            ink,
            is_unnamed.then_some(&curve.context.name[..]),
        );
    }
}

/// Returns the line of a fit over a range in the unit of the axis.
fn fitted_line(fit: &SigmoidFit, quantity: &Quantity, [low, high]: [f64; 2], ink: Rgb) -> Layer {
    let x: Vec<f64> = (0..=200)
        .map(|i| low + (high - low) * f64::from(i) / 200.0)
        .collect();
    let y = x.iter().map(|x| fit.at(x / quantity.factor)).collect();
    Layer::line(x, y, ink)
}

/// Draws the fractions of choices with their intervals.
fn draw_levels(panel: &mut Panel, levels: &[Level], ink: Rgb, name: Option<&str>) {
    let x: Vec<f64> = levels.iter().map(|level| level.x).collect();
    let intervals: Vec<[f64; 2]> = levels.iter().map(Level::interval).collect();
    let points = Layer::points(x.clone(), levels.iter().map(Level::fraction).collect(), ink);
    panel.extend(Layer::error_bars(&x, &intervals, ink));
    panel.add(match name {
        Some(name) => points.named(name),
        None => points,
    });
}

/// Returns the curve of such trials with its fit; `None` if there are several, which belong to a finer division of the
/// trials.
fn only_curve(
    curves: &[Vec<Curve>],
    is_wanted: impl Fn(usize) -> bool,
) -> Option<(&Curve, &SigmoidIntervals)> {
    let is_of = |curve: &&Curve| {
        let mut trials = curve.context.evidence.trials.iter();
        trials.all(|&b| is_wanted(b))
    };
    let own: Vec<&Curve> = curves.iter().flatten().filter(is_of).collect();
    match own[..] {
        [only] => Some((only, only.fits[0].as_ref()?)),
        _ => None,
    }
}

impl Combination {
    /// Compares the thresholds of the curves with single cues and with both; `None` if one of them has no fit.
    fn of(study: &Study, cues: &Cues, curves: &[Vec<Curve>]) -> Option<Self> {
        let values = column(&study.batch, &cues.condition)?;
        let [first, second] = cues.single;
        let found =
            [first, second, cues.both].map(|value| only_curve(curves, |b| values[b] == value));
        let [Some((curve, a)), Some((_, b)), Some((_, both))] = found else {
            return None;
        };
        let optimal = |[a, b]: [f64; 2]| a * b / a.hypot(b);
        let pairs = a.samples.iter().zip(&b.samples);
        let predicted = pairs.map(|(a, b)| optimal([a.width, b.width])).collect();
        let name = |value: f64| {
            let name = study.task.value_name(&cues.condition, value);
            name.map_or_else(|| short(value), |name| spoken(&name))
        };
        Some(Self {
            names: [
                name(first),
                name(second),
                name(cues.both),
                "optimal".to_owned(),
            ],
            sigma: [
                a.fit.width,
                b.fit.width,
                both.fit.width,
                optimal([a.fit.width, b.fit.width]),
            ],
            intervals: [a.width, b.width, both.width, percentiles(predicted)],
            quantity: curve.quantity.clone(),
        })
    }

    fn statement(&self) -> String {
        let of = |k: usize| estimate(self.sigma[k], self.intervals[k], &self.quantity);
        format!(
            "threshold sigma with {} cues {}; the optimal combination of {} and {} has {}",
            self.names[2],
            of(2),
            self.names[0],
            self.names[1],
            of(3)
        )
    }

    fn draw(&self, panel: &mut Panel) {
        let factor = self.quantity.factor;
        let x: Vec<f64> = (0..4).map(|k| f64::from(k) + 0.5).collect();
        let intervals = self.intervals.map(|ends| ends.map(|end| factor * end));
        let sigma = self.sigma.map(|sigma| factor * sigma);
        let highest = intervals.iter().map(|ends| ends[1]).chain(sigma);
        let highest = highest.filter(|y| y.is_finite()).fold(0.0, f64::max);
        panel
            .x("", [0.0, 4.0])
            .x_ticks(Ticks::named(&self.names))
            .y(
                &Quantity {
                    label: "threshold σ".to_owned(),
                    ..self.quantity.clone()
                }
                .axis(),
                [0.0, 1.1 * highest],
            )
            .extend(Layer::error_bars(&x, &intervals, Rgb::BLACK))
            .add(Layer::points(x[..3].to_vec(), sigma[..3].to_vec(), Rgb::BLACK).radius(0.8))
            .add(
                Layer::points(x[3..].to_vec(), sigma[3..].to_vec(), Rgb::BLACK)
                    .marked(Marker::Ring)
                    .radius(0.8),
            );
    }
}

/// Formats a parameter with its interval, if there is one, in the unit of a quantity.
fn estimate(value: f64, interval: [f64; 2], quantity: &Quantity) -> String {
    let text = |x: f64| rounded(quantity.factor * x, 4);
    let value = match &quantity.unit[..] {
        "" => text(value),
        unit => format!("{} {unit}", text(value)),
    };
    match interval {
        [low, high] if low.is_finite() && high.is_finite() => {
            format!("{value} [{}, {}]", text(low), text(high))
        }
        _ => value,
    }
}

/// Counts, at every level of some values, the trials with the second of two choices among those with either, and the
/// trials with neither.
fn levels(
    values: &[f64],
    trials: &[usize],
    choices: &[Option<usize>],
    [below, above]: [usize; 2],
) -> (Vec<Level>, Vec<usize>) {
    let level = |x: f64| {
        let count = |is_made: &dyn Fn(Option<usize>) -> bool| {
            let here = trials.iter().filter(|&&b| values[b] == x);
            here.filter(|&&b| is_made(choices[b])).count()
        };
        let chosen = count(&|choice| choice == Some(above));
        let n = chosen + count(&|choice| choice == Some(below));
        let all = count(&|_| true);
        (Level { x, n, chosen }, all - n)
    };
    let xs = distinct(trials.iter().map(|&b| values[b]));
    xs.into_iter().map(level).unzip()
}

/// Returns true if the choices determine bias and width of a curve: at two levels or more, each is made in more than 5 % of
/// the trials. Otherwise any curve that is steep enough between two levels fits.
fn is_identified(levels: &[Level]) -> bool {
    let is_between = |level: &&Level| (0.05..=0.95).contains(&level.fraction());
    levels
        .iter()
        .filter(|level| level.n > 0)
        .filter(is_between)
        .count()
        > 1
}

fn why_not_fitted(levels: &[Level]) -> &'static str {
    let made = levels.iter().map(|level| level.chosen).sum::<usize>();
    match levels.iter().map(|level| level.n).sum::<usize>() {
        0 => "no trial ends in one of the two choices",
        n if made == 0 || made == n => "the same choice in all trials",
        _ if levels.iter().filter(|level| level.n > 0).count() < 2 => {
            "the evidence in trials with a choice is of one level"
        }
        _ => {
            "it is steeper than the spacing of the evidence (fewer than two levels between 5 % and 95 %), so bias and sigma are not determined; add weaker evidence"
        }
    }
}

#[cfg(test)]
mod tests {
    use ctrnn_random::{Key, Rng, Stream};
    use ctrnn_tasks::{Multisensory, PerceptualDecision, Task};
    use ndarray::Array3;

    use super::*;
    use crate::analyses::observer;

    /// Returns outputs `[trial, time, output]` with a 1 at the choice.
    fn outputs(
        batch: &ctrnn_tasks::TrialBatch,
        mut choice: impl FnMut(usize) -> usize,
    ) -> Array3<f64> {
        let shape = (batch.n_trials, batch.max_steps, batch.n_outputs);
        let mut outputs = Array3::zeros(shape);
        for b in 0..batch.n_trials {
            outputs.slice_mut(ndarray::s![b, .., choice(b)]).fill(1.0);
        }
        outputs
    }

    fn short() -> ctrnn_tasks::Duration {
        20.0.into()
    }

    /// An observer with thresholds of 2 and 1.5 Hz who combines them optimally (1.2 Hz), with a bias of 0.3 Hz; 1 of 25
    /// conditions is the catch trial, in which it chooses at random.
    #[test]
    fn thresholds_of_a_multisensory_observer_are_recovered() {
        let task = Multisensory {
            fixation_ms: short(),
            stimulus_ms: short(),
            response_ms: short(),
            input_noise: 0.0,
            ..Multisensory::default()
        };
        let n_conditions = task.conditions().len();
        let batch = observer::batch(&task, 3000 * n_conditions);
        let mut rng = Rng::new(Key::new(3, Stream::Eval, 0), 0, 0);
        let [modality, rate] =
            ["modality", "rate_hz"].map(|name| column(&batch, name).expect("a condition").to_vec());
        let (low, high) = (1, 2);
        let outputs = outputs(&batch, |b| {
            let sigma = [2.0, 1.5, 1.2][modality[b] as usize];
            let felt = rate[b] + sigma * f64::from(rng.normal());
            if felt > 12.8 { high } else { low }
        });
        let study = observer::study(&task, batch, outputs);
        let found = Psychometric::compute(&study, &PsychometricOptions { n_samples: 20 }).unwrap();
        assert_eq!(found.contexts.n_catch, 3000);
        let names: Vec<&str> = found
            .contexts
            .contexts
            .iter()
            .map(|c| &c.name[..])
            .collect();
        let expected = [
            "modality = visual",
            "modality = auditory",
            "modality = both",
        ];
        assert_eq!(names, expected);
        let combination = found.combination.as_ref().unwrap();
        assert_eq!(combination.names[..3], ["visual", "auditory", "both"]);
        for (sigma, truth) in combination.sigma.iter().zip([2.0, 1.5, 1.2, 1.2]) {
            assert!((sigma / truth - 1.0).abs() < 0.05, "{sigma}: {truth}");
        }
        for curves in &found.curves {
            let fit = curves[0].fits[0].as_ref().unwrap().fit;
            assert!((fit.bias - 12.8).abs() < 0.05, "{fit:?}");
        }
        let arrays = found.arrays();
        assert_eq!(arrays["cue_sigma"].shape(), [4, 3]);
        assert_eq!(arrays["n_catch"].to_f64().unwrap(), [3000.0]);
        let said = found.statements().join("\n");
        for expected in [
            "modality = visual: P(high) by rate: bias 12.",
            " Hz [",
            "threshold sigma with both cues 1.",
            "the optimal combination of visual and auditory has 1.",
            "3000 catch trials are left out",
        ] {
            assert!(said.contains(expected), "{expected}\n{said}");
        }
    }

    /// Catch trials have a side of 0, which is neither left nor right.
    #[test]
    fn catch_trials_are_left_out() {
        let task = PerceptualDecision {
            catch_fraction: 0.2,
            input_noise: 0.0,
            ..PerceptualDecision::default()
        };
        let n_conditions = task.conditions().len();
        let batch = observer::batch(&task, 20 * n_conditions);
        let correct = batch.correct.clone();
        let outputs = outputs(&batch, |b| correct[b].unwrap_or(1));
        let study = observer::study(&task, batch, outputs);
        let found = Psychometric::compute(&study, &PsychometricOptions { n_samples: 5 }).unwrap();
        let curve = &found.curves[0][0];
        assert_eq!(curve.against, "coh × side");
        assert_eq!(curve.quantity.axis(), "coherence (%)");
        assert_eq!(found.contexts.n_catch, 20);
        let counts: Vec<usize> = curve.levels.iter().map(|level| level.n).collect();
        assert_eq!(counts, [20, 20, 20, 20, 40, 20, 20, 20, 20]);
        assert_eq!(curve.levels[8].chosen, 20);
    }

    /// Choices that jump from never to always between two levels fit any steep curve; one level between is not enough,
    /// two are.
    #[test]
    fn a_step_has_no_threshold() {
        let of = |chosen: [usize; 4]| {
            let xs = [-2.0, -1.0, 1.0, 2.0];
            let level = |(x, chosen)| Level { x, n: 50, chosen };
            xs.into_iter()
                .zip(chosen)
                .map(level)
                .collect::<Vec<Level>>()
        };
        assert!(!is_identified(&of([0, 0, 50, 50])));
        assert!(!is_identified(&of([0, 10, 50, 50])));
        assert!(is_identified(&of([0, 10, 40, 50])));
        assert!(why_not_fitted(&of([0, 0, 50, 50])).contains("steeper than the spacing"));
    }
}
