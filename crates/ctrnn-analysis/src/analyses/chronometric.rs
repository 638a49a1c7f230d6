//! Chronometric curves: decision time as a function of the evidence.

use ndarray::{Array2, ArrayView1, ArrayView2};

use super::{Answer, NoOptions, Unsuitable};
use crate::evidence::{Context, Evidence, contexts};
use crate::plot::{Figure, Layer, Panel, colour, range_of};
use crate::study::steps_of;
use crate::text::{short, spoken};
use crate::{Arrays, Study};

/// Decision times by strength of the evidence.
#[derive(Clone, Debug)]
pub struct Chronometric {
    /// Contexts, and the decision times in each.
    pub curves: Vec<(Context, Vec<DecisionTime>)>,
    /// Lead that counts as a decision, if the task does not define the time of a decision itself.
    pub margin: Option<f64>,
}

impl Answer for Chronometric {
    type Options = NoOptions;

    fn compute(study: &Study, _: &NoOptions) -> Result<Self, Unsuitable> {
        let contexts = contexts(study)?;
        let (times, margin) = decision_times(study);
        if study.layout().choices.len() < 2 || times.iter().all(Option::is_none) {
            let why = "no trial is decided after the onset of the stimulus";
            return Err(Unsuitable::lacks(why));
        }
        let curve = |context: Context| {
            let Evidence { values, trials, .. } = &context.evidence;
            let decided = trials
                .iter()
                .filter_map(|&b| Some((values[b].abs(), times[b]?)));
            let found = by_strength(&decided.collect::<Vec<_>>());
            (context, found)
        };
        Ok(Self {
            curves: contexts.into_iter().map(curve).collect(),
            margin,
        })
    }

    fn arrays(&self) -> Arrays {
        let mut arrays = Arrays::default().with("margin", &Vec::from_iter(self.margin));
        for (k, (_, times)) in self.curves.iter().enumerate() {
            let is_alone = self.curves.len() == 1;
            let label = if is_alone {
                String::new()
            } else {
                format!("_{k}")
            };
            let table = Array2::from_shape_fn((times.len(), 4), |(i, j)| {
                let time = &times[i];
                [time.strength, time.mean_ms, time.error_ms, time.n as f64][j]
            });
            arrays = arrays.with(format!("decision_times{label}"), &table);
        }
        arrays
    }

    fn statements(&self) -> Vec<String> {
        let statement = |(context, times): &(Context, Vec<DecisionTime>)| {
            let (weakest, strongest) = (times.first()?, times.last()?);
            Some(format!(
                "{}decisions {} ms after stimulus onset at the weakest evidence, {} ms at the strongest",
                context.prefix(),
                short(weakest.mean_ms),
                short(strongest.mean_ms)
            ))
        };
        self.curves.iter().filter_map(statement).collect()
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let mut figure = Figure::new(&[40.0], &[34.0]);
        let times = self.curves.iter().flat_map(|(_, times)| times);
        let range = range_of(times.map(|time| time.strength), 0.06);
        let strength = match &self.curves[..] {
            [(only, _)] => format!("strength of {}", spoken(&only.evidence.name)),
            _ => "strength of the evidence".to_owned(),
        };
        let panel = figure.cell(0, 0).x(&strength, range);
        panel.y_label(match self.margin {
            Some(_) => "decision time (ms)",
            None => "reaction time (ms)",
        });
        for (k, (context, times)) in self.curves.iter().enumerate() {
            let name = (self.curves.len() > 1).then_some(&context.name[..]);
            draw(panel, times, k, name);
        }
        vec![("", figure)]
    }
}

fn draw(panel: &mut Panel, times: &[DecisionTime], k: usize, name: Option<&str>) {
    let x: Vec<f64> = times.iter().map(|time| time.strength).collect();
    let y: Vec<f64> = times.iter().map(|time| time.mean_ms).collect();
    let bar = |t: &DecisionTime| [-1.0, 1.0].map(|s| t.mean_ms + s * t.error_ms);
    let bars: Vec<[f64; 2]> = times.iter().map(bar).collect();
    let line = Layer::line(x.clone(), y.clone(), colour(k)).wide(0.3);
    panel
        .extend(Layer::error_bars(&x, &bars, colour(k)))
        .add(match name {
            Some(name) => line.named(name),
            None => line,
        })
        .add(Layer::points(x, y, colour(k)));
}

/// Returns the decision time of each trial after stimulus onset, and the lead that counts as a decision: half of the
/// median final lead. The lead is `None` if the task defines the time of a decision itself.
fn decision_times(study: &Study) -> (Vec<Option<f64>>, Option<f64>) {
    let dt_ms = study.dynamics.dt_ms;
    let n_trials = study.batch.n_trials;
    let reaction = |b: usize| {
        let trial = study.batch.trial(b);
        let steps = study.task.reaction_steps(&trial, &study.readout(b))?;
        Some(steps as f64 * dt_ms)
    };
    let reactions: Vec<Option<f64>> = (0..n_trials).map(reaction).collect();
    if reactions.iter().any(Option::is_some) {
        return (reactions, None);
    }
    let layout = study.layout();
    let choices = study.choices();
    let last: Vec<usize> = (0..n_trials).map(|b| study.answer_step(b)).collect();
    let final_lead = |b: usize| {
        let readout = study.outputs.slice(ndarray::s![b, last[b], ..]);
        Some(lead(readout, &layout.choices, choices[b]?))
    };
    let mut leads: Vec<f64> = (0..n_trials).filter_map(final_lead).collect();
    leads.sort_by(f64::total_cmp);
    let margin = 0.5 * leads.get(leads.len() / 2).copied().unwrap_or(0.0);
    let time = |b: usize| {
        let readout = study.outputs.slice(ndarray::s![b, .., ..]);
        let step = decision_step(readout, &layout.choices, choices[b]?, last[b], margin)?;
        let onset = onset(study, b);
        // A decision before the stimulus cannot depend on it.
        (step >= onset).then(|| (step - onset + 1) as f64 * dt_ms)
    };
    ((0..n_trials).map(time).collect(), Some(margin))
}

/// Returns the time step of stimulus onset in a trial, or the start of its second epoch if no epoch is called stimulus.
fn onset(study: &Study, b: usize) -> usize {
    let stimulus = steps_of(&study.batch, b, "stimulus");
    if stimulus.is_empty() {
        let second = study.batch.timelines[b].epochs.get(1);
        second.map_or(0, |(_, steps)| steps.start)
    } else {
        stimulus.start
    }
}

/// Computes the lead of `choice` in a readout `[O]`: its smallest margin over all other `choices`. A single output
/// chooses by its sign (0 below zero, 1 above), and its lead is its distance from zero.
pub fn lead(readout: ArrayView1<f64>, choices: &[usize], choice: usize) -> f64 {
    if let [only] = choices {
        return if choice == 1 {
            readout[*only]
        } else {
            -readout[*only]
        };
    }
    let others = choices.iter().filter(|&&other| other != choice);
    others
        .map(|&other| readout[choice] - readout[other])
        .fold(f64::INFINITY, f64::min)
}

/// Returns the time step of the decision in a readout `[T, O]`: the first from which `choice` keeps a lead of at least
/// `margin` until `last`, or `None`.
pub fn decision_step(
    readout: ArrayView2<f64>,
    choices: &[usize],
    choice: usize,
    last: usize,
    margin: f64,
) -> Option<usize> {
    let is_ahead = |t: usize| lead(readout.row(t), choices, choice) >= margin;
    let mut steps = (0..=last).rev().take_while(|&t| is_ahead(t));
    let first = steps.next()?;
    Some(steps.last().unwrap_or(first))
}

/// Mean and standard error of decision times at one level of the evidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecisionTime {
    /// Strength of the evidence.
    pub strength: f64,
    /// Mean decision time in ms.
    pub mean_ms: f64,
    /// Standard error of the mean, in ms; NaN for a single trial.
    pub error_ms: f64,
    /// Number of trials with a decision.
    pub n: usize,
}

/// Averages the times of trials `(strength, time in ms)` by strength, in ascending order.
pub fn by_strength(trials: &[(f64, f64)]) -> Vec<DecisionTime> {
    let mut strengths: Vec<f64> = trials.iter().map(|(strength, _)| *strength).collect();
    strengths.sort_by(f64::total_cmp);
    strengths.dedup();
    let group = |strength: f64| {
        let times: Vec<f64> = trials
            .iter()
            .filter(|(s, _)| *s == strength)
            .map(|(_, t)| *t)
            .collect();
        let n = times.len() as f64;
        let mean_ms = times.iter().sum::<f64>() / n;
        let variance = times.iter().map(|t| (t - mean_ms).powi(2)).sum::<f64>() / (n - 1.0);
        DecisionTime {
            strength,
            mean_ms,
            error_ms: (variance / n).sqrt(),
            n: times.len(),
        }
    };
    strengths.into_iter().map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lead is 1 at steps 0 and 2 to 4, and negative at step 1: decided at 2; it never reaches 3.
    #[test]
    fn a_decision_lasts() {
        let y = ndarray::array![
            [1.0, 0.0],
            [0.0, 1.0],
            [1.0, 0.0],
            [2.0, 0.0],
            [1.0, 0.0],
            [0.0, 9.0]
        ];
        assert_eq!(decision_step(y.view(), &[0, 1], 0, 4, 0.5), Some(2));
        assert_eq!(decision_step(y.view(), &[0, 1], 0, 4, 3.0), None);
        assert_eq!(decision_step(y.view(), &[0, 1], 1, 5, 0.5), Some(5));
        // With output 0 alone, the sign decides: above zero at steps 2 to 4, never below.
        assert_eq!(decision_step(y.view(), &[0], 1, 4, 0.5), Some(2));
        assert_eq!(decision_step(y.view(), &[0], 0, 4, 0.5), None);
    }

    /// Times of 100 and 300 ms have mean 200, standard deviation 141.4 and standard error 100.
    #[test]
    fn times_are_averaged_by_strength() {
        let found = by_strength(&[(0.5, 100.0), (0.1, 400.0), (0.5, 300.0)]);
        assert_eq!(
            (found[0].strength, found[0].mean_ms, found[0].n),
            (0.1, 400.0, 1)
        );
        assert!(found[0].error_ms.is_nan());
        assert!(
            (found[1].mean_ms - 200.0).abs() < 1e-12 && (found[1].error_ms - 100.0).abs() < 1e-9
        );
    }
}
