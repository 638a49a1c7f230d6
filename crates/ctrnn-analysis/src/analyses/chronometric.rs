//! Chronometric curves: decision time as a function of the strength of the evidence.

use ctrnn_tasks::Quantity;
use ndarray::Array2;

use super::{Answer, NoOptions, Unsuitable};
use crate::decision_times::{DECISION_ARRAYS, DecisionTimes};
use crate::evidence::{Context, Contexts, contexts, distinct};
use crate::groups::numbers;
use crate::plot::{Figure, Layer, Panel, Rgb, Scale, level_colour, range_of};
use crate::sigmoid::Level;
use crate::text::{are, short};
use crate::{ArrayDoc, Arrays, Study};

/// Decision times by strength of the evidence.
#[derive(Clone, Debug)]
pub struct Chronometric {
    /// Contexts, and the trials that are left out.
    pub contexts: Contexts,
    /// Decision times in each context.
    pub curves: Vec<Vec<DecisionTime>>,
    /// Lead that counts as a decision, if the task does not define the time of a decision itself.
    pub margin: Option<f64>,
    /// Number of trials that are decided before the onset of the stimulus or the go cue.
    pub n_early: usize,
    quantity: Quantity,
    /// Decision times of all trials.
    times: DecisionTimes,
}

/// Mean and standard error of decision times at one level of the evidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecisionTime {
    /// Strength of the evidence.
    pub strength: f64,
    /// Mean time of the decided trials in ms; NaN if there are none.
    pub mean_ms: f64,
    /// Standard error of the mean, in ms; NaN for less than two trials.
    pub error_ms: f64,
    /// Number of trials with a decision.
    pub n: usize,
    /// Number of trials without a decision after the onset of the stimulus.
    pub n_undecided: usize,
}

impl Answer for Chronometric {
    type Options = NoOptions;
    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new(
            "decision_times{}",
            "[level, 5]",
            "condition, ms, ms, trials, trials",
            "columns strength of the evidence, mean time from the onset of the stimulus, or from the go cue of a task that has one, over the decided trials, its standard error, number of decided and of undecided trials; with several contexts one array for each, numbered from 0",
        ),
        ArrayDoc::new(
            "context_names",
            "[context]",
            "",
            "contexts, in the order of their numbers; an empty name if there is only one",
        ),
        DECISION_ARRAYS[0],
        DECISION_ARRAYS[1],
        DECISION_ARRAYS[2],
    ];

    fn compute(study: &Study, _: &NoOptions) -> Result<Self, Unsuitable> {
        let contexts = contexts(study)?;
        let found = DecisionTimes::of(study);
        if study.layout().choices.is_empty() || found.times_ms.iter().all(Option::is_none) {
            let why = "no trial is decided after the onset of the stimulus";
            return Err(Unsuitable::lacks(why));
        }
        let curve = |context: &Context| {
            let trials = context.evidence.trials.iter();
            let trials = trials.map(|&b| (context.evidence.strength(b), found.times_ms[b]));
            by_strength(&trials.collect::<Vec<_>>())
        };
        let mut quantities = contexts.contexts.iter().map(|context| {
            let quantity = context.evidence.strength_quantity(study.task);
            (&context.evidence.name, quantity)
        });
        let first = quantities.next().expect("there is at least one context");
        let is_one_kind = quantities.all(|(name, _)| name == first.0);
        let label = "strength of the evidence".to_owned();
        let quantity = if is_one_kind {
            first.1
        } else {
            Quantity { label, ..first.1 }
        };
        Ok(Self {
            curves: contexts.contexts.iter().map(curve).collect(),
            contexts,
            margin: found.margin,
            n_early: found.n_early,
            quantity,
            times: found,
        })
    }

    fn arrays(&self) -> Arrays {
        let contexts = self.contexts.contexts.iter();
        let names = contexts.map(|context| context.name.clone());
        let arrays = Arrays::default()
            .with("context_names", &names.collect::<Vec<String>>())
            .with("margin", &Vec::from_iter(self.margin))
            .with("n_early", &(self.n_early as f64))
            .with("n_catch", &(self.contexts.n_catch as f64));
        let is_alone = self.curves.len() == 1;
        self.curves
            .iter()
            .enumerate()
            .fold(arrays, |arrays, (k, times)| {
                let label = if is_alone {
                    String::new()
                } else {
                    format!("_{k}")
                };
                let table = Array2::from_shape_fn((times.len(), 5), |(i, j)| {
                    let time = &times[i];
                    let counts = [time.n, time.n_undecided].map(|n| n as f64);
                    [
                        time.strength,
                        time.mean_ms,
                        time.error_ms,
                        counts[0],
                        counts[1],
                    ][j]
                });
                arrays.with(format!("decision_times{label}"), &table)
            })
    }

    fn statements(&self) -> Vec<String> {
        let contexts = self.contexts.contexts.iter().zip(&self.curves);
        let mut statements: Vec<String> = contexts
            .flat_map(|(context, times)| self.statements_of(&context.prefix(), times))
            .collect();
        if self.n_early > 0 {
            statements.push(format!(
                "{} decided before {}, which counts as undecided",
                are(self.n_early, "trial"),
                self.times.origin()
            ));
        }
        statements.extend(self.contexts.statements());
        statements.push("error bars: standard errors of the mean; of fractions, 95 % intervals of Wilson (1927)".to_owned());
        statements
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let has_undecided = self
            .curves
            .iter()
            .flatten()
            .any(|time| time.n_undecided > 0);
        let n_panels = if has_undecided { 2 } else { 1 };
        let mut figure = Figure::new(&[40.0; 2][..n_panels], &[34.0]);
        let counts = self.curves.iter().flatten().map(|time| time.n);
        let counts = numbers(counts.filter(|n| *n > 0));
        figure
            .cell(0, 0)
            .title(format!("{counts}; bars: s.e.m."))
            .y_label(&self.times.axis());
        self.draw(&mut figure, 0, !has_undecided, |time| {
            let ends = [-1.0, 1.0].map(|side| time.mean_ms + side * time.error_ms);
            (time.mean_ms, ends)
        });
        if has_undecided {
            figure
                .cell(0, 1)
                .title("left out of the curve; bars: 95 %")
                .y("fraction undecided", [0.0, 1.0]);
            self.draw(&mut figure, 1, true, |time| {
                let level = time.undecided();
                (level.fraction(), level.interval())
            });
        }
        vec![("", figure)]
    }
}

impl DecisionTime {
    /// Returns all trials, the undecided ones as those in which the choice was made.
    fn undecided(&self) -> Level {
        Level {
            x: self.strength,
            n: self.n + self.n_undecided,
            chosen: self.n_undecided,
        }
    }
}

impl Chronometric {
    fn statements_of(&self, prefix: &str, times: &[DecisionTime]) -> Vec<String> {
        let Quantity { unit, factor, .. } = &self.quantity;
        let decided = || times.iter().filter(|time| time.n > 0);
        let at = |time: &DecisionTime| {
            let strength = short(factor * time.strength);
            format!(
                "{} ms at {strength}{}{unit}",
                short(time.mean_ms),
                if unit.is_empty() { "" } else { " " }
            )
        };
        let mut statements = Vec::new();
        if let (Some(weakest), Some(strongest)) = (decided().next(), decided().next_back()) {
            statements.push(format!(
                "{prefix}mean {} from {}: {}, {}",
                self.times.name(),
                self.times.origin(),
                at(weakest),
                at(strongest)
            ));
        }
        let n_undecided: usize = times.iter().map(|time| time.n_undecided).sum();
        if n_undecided > 0 {
            let n = n_undecided + times.iter().map(|time| time.n).sum::<usize>();
            statements.push(format!(
                "{prefix}{n_undecided} of {n} trials are undecided and left out ({}): the curve is conditioned on having decided",
                self.times.undecided()
            ));
        }
        statements
    }

    /// Draws a number with its interval for each level of each context.
    fn draw(
        &self,
        figure: &mut Figure,
        column: usize,
        is_named: bool,
        value: impl Fn(&DecisionTime) -> (f64, [f64; 2]),
    ) {
        let factor = self.quantity.factor;
        let times = self.curves.iter().flatten();
        let range = range_of(times.map(|time| factor * time.strength), 0.06);
        let panel = figure.cell(0, column);
        panel.x.range = Some(range);
        panel.x_label(&self.quantity.axis());
        let n = self.curves.len();
        for (k, (context, times)) in self.contexts.contexts.iter().zip(&self.curves).enumerate() {
            let x: Vec<f64> = times.iter().map(|time| factor * time.strength).collect();
            let (y, bars): (Vec<f64>, Vec<[f64; 2]>) = times.iter().map(&value).unzip();
            let ink = level_colour(k, n, Scale::Names);
            let name = (is_named && n > 1).then_some(&context.name[..]);
            draw_curve(panel, [x, y], &bars, ink, name);
        }
    }
}

fn draw_curve(
    panel: &mut Panel,
    [x, y]: [Vec<f64>; 2],
    bars: &[[f64; 2]],
    ink: Rgb,
    name: Option<&str>,
) {
    let line = Layer::line(x.clone(), y.clone(), ink).wide(0.3);
    panel
        .extend(Layer::error_bars(&x, bars, ink))
        .add(match name {
            Some(name) => line.named(name),
            None => line,
        })
        .add(Layer::points(x, y, ink));
}

/// Averages the times of the decided ones of some trials `(strength, time in ms)` by strength, in ascending order.
pub fn by_strength(trials: &[(f64, Option<f64>)]) -> Vec<DecisionTime> {
    let group = |strength: f64| {
        let here = || trials.iter().filter(|(s, _)| *s == strength);
        let times: Vec<f64> = here().filter_map(|(_, time)| *time).collect();
        let n = times.len() as f64;
        let mean_ms = times.iter().sum::<f64>() / n;
        let variance = times.iter().map(|t| (t - mean_ms).powi(2)).sum::<f64>() / (n - 1.0);
        DecisionTime {
            strength,
            mean_ms,
            error_ms: (variance / n).sqrt(),
            n: times.len(),
            n_undecided: here().count() - times.len(),
        }
    };
    let strengths = distinct(trials.iter().map(|(strength, _)| *strength));
    strengths.into_iter().map(group).collect()
}

#[cfg(test)]
mod tests {
    use ctrnn_tasks::PerceptualDecision;
    use ndarray::{Array3, s};

    use super::*;
    use crate::analyses::observer;
    use crate::evidence::column;
    use crate::plot::is_clean;

    /// Times of 100 and 300 ms have mean 200, standard deviation 141.4 and standard error 100. Where no trial is
    /// decided there is no mean, but a count.
    #[test]
    fn times_are_averaged_by_strength() {
        let found = by_strength(&[
            (0.5, Some(100.0)),
            (0.1, Some(400.0)),
            (0.5, None),
            (0.5, Some(300.0)),
            (0.9, None),
        ]);
        let counts: Vec<_> = found
            .iter()
            .map(|t| (t.strength, t.n, t.n_undecided))
            .collect();
        assert_eq!(counts, [(0.1, 1, 0), (0.5, 2, 1), (0.9, 0, 1)]);
        assert_eq!(found[0].mean_ms, 400.0);
        assert!(found[0].error_ms.is_nan() && found[2].mean_ms.is_nan());
        assert!(
            (found[1].mean_ms - 200.0).abs() < 1e-12 && (found[1].error_ms - 100.0).abs() < 1e-9
        );
    }

    /// The choice leads from the third time step of the stimulus on at weak evidence and from the second at medium
    /// evidence; at the strongest it never leads. A quarter of the trials are decided before the stimulus.
    #[test]
    fn undecided_trials_are_counted() {
        let task = PerceptualDecision {
            coherences: vec![0.1, 0.2, 0.4],
            stimulus_ms: 200.0.into(),
            input_noise: 0.0,
            ..PerceptualDecision::default()
        };
        let batch = observer::batch(&task, 6 * 8);
        let coherence = column(&batch, "coh").expect("a condition").to_vec();
        let shape = (batch.n_trials, batch.max_steps, batch.n_outputs);
        let mut outputs = Array3::zeros(shape);
        for (b, &coherence) in coherence.iter().enumerate() {
            let cue = batch.timelines[b].steps("response").start;
            let from = match coherence {
                _ if (b / 6).is_multiple_of(4) => 0,
                c if c < 0.15 => cue + 2,
                c if c < 0.3 => cue + 1,
                _ => continue,
            };
            let choice = batch.correct[b].expect("a side");
            outputs.slice_mut(s![b, from.., choice]).fill(1.0);
        }
        let study = observer::study(&task, batch, outputs);
        let found = Chronometric::compute(&study, &NoOptions {}).unwrap();
        assert_eq!((found.margin, found.n_early), (Some(0.5), 12));
        let table = &found.arrays()["decision_times"];
        assert_eq!(table.shape(), [3, 5]);
        let values = table.to_f64().unwrap();
        assert_eq!([0, 1, 3, 4].map(|k| values[k]), [0.1, 60.0, 12.0, 4.0]);
        assert_eq!([5, 6, 8, 9].map(|k| values[k]), [0.2, 40.0, 12.0, 4.0]);
        assert_eq!([10, 13, 14].map(|k| values[k]), [0.4, 0.0, 16.0]);
        let said = found.statements().join("\n");
        for expected in [
            "mean decision time from the go cue: 60 ms at 10 %, 40 ms at 20 %",
            "24 of 48 trials are undecided and left out",
            "12 trials are decided before the go cue",
        ] {
            assert!(said.contains(expected), "{expected}\n{said}");
        }
        assert!(is_clean(&found.figures()[0].1.to_svg()));
    }
}
