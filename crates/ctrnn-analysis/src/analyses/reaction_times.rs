//! Distributions of reaction times.

use ctrnn_tasks::{Quantity, counted};
use ndarray::Array2;

use super::{Answer, NoOptions, Unsuitable};
use crate::decision_times::{DECISION_ARRAYS, DecisionTimes};
use crate::evidence::{distinct, evidence, shown_trials};
use crate::groups::{Group, by_many_contexts, by_title, of_all};
use crate::plot::{Figure, Layer, Panel, Rgb, Scale, colour, level_colour, range_of};
use crate::text::{are, short};
use crate::{ArrayDoc, Arrays, Study};

/// Fractions of the trials at which quantiles are given.
///
/// # References
/// Ratcliff & McKoon (2008), The diffusion decision model: theory and data for two-choice decision tasks.
const QUANTILES: [f64; 5] = [0.1, 0.3, 0.5, 0.7, 0.9];
/// Largest number of bins of the histogram.
const MOST_BINS: f64 = 20.0;
/// Largest number of distributions in the figure.
const MOST_GROUPS: usize = 8;

/// Distributions of reaction times (decision times in a task that does not define them), of correct and wrong trials
/// by the strength of the evidence.
#[derive(Clone, Debug)]
pub struct ReactionTimes {
    /// Time of each trial from the onset of the stimulus, or from the go cue of a task that has one, in ms; NaN without a
    /// decision.
    pub times_ms: Vec<f64>,
    /// True for each correct trial; `None` for a trial without a correct answer.
    pub is_correct: Vec<Option<bool>>,
    /// Groups of trials, by strength of the evidence or by `--by`.
    pub groups: Vec<Distribution>,
    /// Name of the variable of the groups.
    pub by: String,
    /// Lead that counts as a decision, if the task does not define the time of a decision itself.
    pub margin: Option<f64>,
    /// Number of trials that are decided before the onset of the stimulus or the go cue.
    pub n_early: usize,
    n_catch: usize,
    name: &'static str,
    /// Label of the axis of times.
    axis: String,
    /// Definition of an undecided trial.
    undecided: &'static str,
    is_cued: bool,
    dt_ms: f64,
}

/// Reaction times of a group of trials.
#[derive(Clone, Debug)]
pub struct Distribution {
    /// Name of the group.
    pub name: String,
    /// Colour of the group.
    pub colour: Rgb,
    /// Number of trials.
    pub n: usize,
    /// Times of the decided correct and wrong trials, and of those without a correct answer, in ascending order.
    pub times_ms: [Vec<f64>; 3],
    trials: Vec<usize>,
}

impl Answer for ReactionTimes {
    type Options = NoOptions;
    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new(
            "times",
            "[trial]",
            "ms",
            "time from the onset of the stimulus, or from the go cue of a task that has one, to the decision; NaN without one",
        ),
        ArrayDoc::new(
            "is_correct",
            "[trial]",
            "",
            "1 for a correct trial, 0 for a wrong one, 2 for one without a correct answer",
        ),
        ArrayDoc::new(
            "group",
            "[trial]",
            "",
            "number of the group of trials, -1 for a trial that is in none",
        ),
        ArrayDoc::new(
            "group_names",
            "[group]",
            "",
            "names of the groups, in the order of their numbers",
        ),
        ArrayDoc::new(
            "quantile_fractions",
            "[quantile]",
            "",
            "fractions of the trials at which quantiles are given",
        ),
        ArrayDoc::new(
            "quantiles_correct",
            "[group, quantile]",
            "ms",
            "quantiles of the times of correct trials; NaN without any",
        ),
        ArrayDoc::new(
            "quantiles_wrong",
            "[group, quantile]",
            "ms",
            "quantiles of the times of wrong trials",
        ),
        ArrayDoc::new(
            "n_trials",
            "[group, 4]",
            "trials",
            "columns decided correct, decided wrong, decided without a correct answer, undecided",
        ),
        DECISION_ARRAYS[0],
        DECISION_ARRAYS[1],
        DECISION_ARRAYS[2],
    ];

    fn compute(study: &Study, _: &NoOptions) -> Result<Self, Unsuitable> {
        let found = DecisionTimes::of(study);
        let shown = shown_trials(&study.batch);
        if study.layout().choices.is_empty() || shown.iter().all(|&b| found.times_ms[b].is_none()) {
            let why = "no trial is decided after the onset of the stimulus";
            return Err(Unsuitable::lacks(why));
        }
        let is_correct = study.is_correct();
        let (by, groups) = groups(study, &shown)?;
        let distribution = |Group {
                                name,
                                colour,
                                trials,
                            }: Group| {
            let of_kind = |kind: Option<bool>| {
                let own = trials.iter().filter(|&&b| is_correct[b] == kind);
                let mut times: Vec<f64> = own.filter_map(|&b| found.times_ms[b]).collect();
                times.sort_by(f64::total_cmp);
                times
            };
            Distribution {
                name,
                colour,
                n: trials.len(),
                times_ms: [Some(true), Some(false), None].map(of_kind),
                trials,
            }
        };
        Ok(Self {
            groups: groups.into_iter().map(distribution).collect(),
            times_ms: found
                .times_ms
                .iter()
                .map(|t| t.unwrap_or(f64::NAN))
                .collect(),
            is_correct,
            by,
            margin: found.margin,
            n_early: found.n_early,
            n_catch: study.batch.n_trials - shown.len(),
            name: found.name(),
            axis: found.axis(),
            undecided: found.undecided(),
            is_cued: found.is_cued,
            dt_ms: study.dynamics.dt_ms,
        })
    }

    fn arrays(&self) -> Arrays {
        let codes = self.is_correct.iter().map(|c| c.map_or(2, usize::from));
        let mut group = vec![-1.0; self.times_ms.len()];
        for (k, own) in self.groups.iter().enumerate() {
            own.trials.iter().for_each(|&b| group[b] = k as f64);
        }
        let quantiles = |kind: usize| {
            Array2::from_shape_fn((self.groups.len(), QUANTILES.len()), |(k, q)| {
                quantile(&self.groups[k].times_ms[kind], QUANTILES[q])
            })
        };
        let counts = Array2::from_shape_fn((self.groups.len(), 4), |(k, kind)| {
            let own = &self.groups[k];
            let count = own.times_ms.get(kind).map(Vec::len);
            count.unwrap_or_else(|| own.n_undecided()) as f64
        });
        let names = self.groups.iter().map(|own| own.name.clone());
        Arrays::default()
            .with("group_names", &names.collect::<Vec<String>>())
            .with("times", &self.times_ms)
            .with("is_correct", &codes.collect::<Vec<usize>>())
            .with("group", &group)
            .with("quantile_fractions", &QUANTILES.to_vec())
            .with("quantiles_correct", &quantiles(0))
            .with("quantiles_wrong", &quantiles(1))
            .with("n_trials", &counts)
            .with("margin", &Vec::from_iter(self.margin))
            .with("n_early", &(self.n_early as f64))
            .with("n_catch", &(self.n_catch as f64))
    }

    fn statements(&self) -> Vec<String> {
        let kinds = ["correct", "wrong", "other"];
        let of_kind = |(kind, name): (usize, &&str)| {
            let mut times: Vec<f64> = self
                .groups
                .iter()
                .flat_map(|own| own.times_ms[kind].iter().copied())
                .collect();
            times.sort_by(f64::total_cmp);
            let [low, middle, high] = [0.1, 0.5, 0.9].map(|part| short(quantile(&times, part)));
            let n = times.len();
            (n > 0).then(|| {
                let name = match kind {
                    2 => format!("{} without a correct answer", counted(n, "trial")),
                    _ => counted(n, &format!("{name} trial")),
                };
                format!(
                    "median {}{} of {name}: {middle} ms (10 % to 90 %: {low} to {high} ms)",
                    self.name,
                    if self.is_cued { " from the go cue" } else { "" }
                )
            })
        };
        let mut statements: Vec<String> = kinds.iter().enumerate().filter_map(of_kind).collect();
        let n_undecided: usize = self.groups.iter().map(Distribution::n_undecided).sum();
        if n_undecided > 0 {
            let n: usize = self.groups.iter().map(|own| own.n).sum();
            statements.push(format!(
                "undecided: {n_undecided} of {} ({}); accuracy counts {}",
                counted(n, "trial"),
                self.undecided,
                match self.margin {
                    Some(_) => "their final choice",
                    None => "them as wrong",
                }
            ));
        }
        if self.n_catch > 0 {
            statements.push(format!("{} left out", are(self.n_catch, "catch trial")));
        }
        statements
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let mut figure = Figure::new(&[40.0, 46.0], &[34.0]);
        let all = self
            .groups
            .iter()
            .flat_map(|own| own.times_ms.iter().flatten());
        let range = range_of(all.copied(), 0.02);
        self.draw_histogram(figure.cell(0, 0));
        let label = self.axis.clone();
        figure.cell(0, 1).x(&label, range);
        self.draw_distributions(figure.cell(0, 1), range);
        vec![("", figure)]
    }
}

impl Distribution {
    /// Returns the number of trials without a decision.
    fn n_undecided(&self) -> usize {
        self.n - self.times_ms.iter().map(Vec::len).sum::<usize>()
    }
}

impl ReactionTimes {
    /// Draws the numbers of correct and wrong trials of all groups in bins of time.
    fn draw_histogram(&self, panel: &mut Panel) {
        let all = self
            .groups
            .iter()
            .flat_map(|own| own.times_ms.iter().flatten());
        let [low, high] = all.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], &time| {
            [low.min(time), high.max(time)]
        });
        // Times are multiples of the time step: bins of as many steps each hold equally many possible times.
        let n_steps = ((high - low) / self.dt_ms).round() + 1.0;
        let width_ms = self.dt_ms * (n_steps / MOST_BINS).ceil();
        let n_bins = (n_steps * self.dt_ms / width_ms).ceil() as usize;
        let start = low - self.dt_ms / 2.0;
        let edges: Vec<f64> = (0..=n_bins).map(|k| start + width_ms * k as f64).collect();
        let kinds = [("correct", 0), ("wrong", 1), ("no correct answer", 2)];
        let mut highest = 1.0f64;
        for (name, kind) in kinds {
            let mut counts = vec![0.0; n_bins];
            for time in self.groups.iter().flat_map(|own| &own.times_ms[kind]) {
                let bin = ((time - start) / width_ms) as usize;
                counts[bin.min(n_bins - 1)] += 1.0;
            }
            if counts.iter().any(|count| *count > 0.0) {
                highest = counts.iter().copied().fold(highest, f64::max);
                panel.add(Layer::stairs(&edges, &counts, colour(kind)).named(name));
            }
        }
        panel
            .x(&self.axis, [edges[0], edges[n_bins]])
            .y("trials", [0.0, 1.05 * highest]);
    }

    /// Draws the defective distribution functions of the groups: the fraction of all trials of a group that are decided
    /// correctly (solid) or wrongly (dashed) up to a time.
    fn draw_distributions(&self, panel: &mut Panel, [low, high]: [f64; 2]) {
        let n = self.groups.len().min(MOST_GROUPS);
        for k in 0..n {
            let own = &self.groups[k * self.groups.len() / n];
            for (kind, times) in own
                .times_ms
                .iter()
                .enumerate()
                .filter(|(_, t)| !t.is_empty())
            {
                let mut edges = vec![low];
                edges.extend(times);
                edges.push(high);
                let parts: Vec<f64> = (0..=times.len()).map(|n| n as f64 / own.n as f64).collect();
                let line = Layer::stairs(&edges, &parts, own.colour);
                let line = if kind == 1 { line.dashed() } else { line };
                let is_first = own.times_ms[..kind].iter().all(Vec::is_empty);
                panel.add(if is_first {
                    line.named(&own.name)
                } else {
                    line
                });
            }
        }
        let mut title = vec![by_title(&self.by)];
        if n < self.groups.len() {
            title.push(format!("{n} of {}", self.groups.len()));
        }
        title.push("dashed: wrong".to_owned());
        title.retain(|part| !part.is_empty());
        panel
            .title(title.join("; "))
            .y("fraction of trials", [0.0, 1.0]);
    }
}

/// Returns groups of trials by `study.by`, by default by the strength of the evidence, or all trials as one group, after the
/// name of the variable.
fn groups(study: &Study, shown: &[usize]) -> Result<(String, Vec<Group>), Unsuitable> {
    if !study.by.is_empty() {
        let mut cells = study.cells(&study.by)?;
        for cell in &mut cells {
            cell.trials.retain(|b| shown.binary_search(b).is_ok());
        }
        return Ok((study.by.join(", "), cells));
    }
    let found = evidence(&study.batch, shown).filter(|found| found.is_quantity(study.task));
    let Some(found) = found else {
        let all = || Group {
            trials: shown.to_vec(),
            ..of_all(study)
        };
        let ungrouped = || ("trials".to_owned(), vec![all()]);
        return Ok(by_many_contexts(study, shown).unwrap_or_else(ungrouped));
    };
    let quantity = found.strength_quantity(study.task);
    let strengths = distinct(found.trials.iter().map(|&b| found.strength(b)));
    let group = |(k, &strength): (usize, &f64)| {
        let Quantity { unit, factor, .. } = &quantity;
        let name = format!("{} {unit}", short(factor * strength));
        let own = found.trials.iter().copied();
        Group {
            name: name.trim_end().to_owned(),
            trials: own.filter(|&b| found.strength(b) == strength).collect(),
            colour: level_colour(k, strengths.len(), Scale::Sizes),
        }
    };
    let groups = strengths.iter().enumerate().map(group).collect();
    Ok((quantity.label.clone(), groups))
}

/// Returns a quantile of sorted values, interpolated between neighbours as by numpy; NaN without values.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let place = part * sorted.len().saturating_sub(1) as f64;
    let [below, above] = [place.floor(), place.ceil()].map(|k| sorted.get(k as usize));
    match (below, above) {
        (Some(below), Some(above)) => below + (place - place.floor()) * (above - below),
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use ctrnn_tasks::{ReactionTime, Task};
    use ndarray::{Array3, s};

    use super::*;
    use crate::analyses::observer;
    use crate::evidence::column;
    use crate::plot::is_clean;

    /// `numpy.quantile([100, 200, 300, 500], [0.1, 0.5, 0.9])` is 130, 250, 440.
    #[test]
    fn quantiles_are_those_of_numpy() {
        let times = [100.0, 200.0, 300.0, 500.0];
        for (part, expected) in [(0.1, 130.0), (0.5, 250.0), (0.9, 440.0)] {
            assert!((quantile(&times, part) - expected).abs() < 1e-9);
        }
        assert!(quantile(&[], 0.5).is_nan());
    }

    /// The network crosses the threshold in the fifth time step of the evidence (100 ms), at the strong coherence in the
    /// third (60 ms); every fourth cycle it is wrong, 40 ms later, and every fifth it does not decide.
    #[test]
    fn times_are_sorted_by_strength_and_outcome() {
        let task = ReactionTime {
            coherences: vec![0.1, 0.4],
            input_noise: 0.0,
            ..ReactionTime::default()
        };
        let n_conditions = task.conditions().len();
        let batch = observer::batch(&task, 20 * n_conditions);
        let coherence = column(&batch, "coh").expect("a condition").to_vec();
        let shape = (batch.n_trials, batch.max_steps, batch.n_outputs);
        let mut outputs = Array3::zeros(shape);
        for (b, &coherence) in coherence.iter().enumerate() {
            let cycle = b / n_conditions;
            let Some(correct) = batch.correct[b].filter(|_| !cycle.is_multiple_of(5)) else {
                continue;
            };
            let onset = batch.timelines[b].steps("stimulus").start;
            let step = onset + if coherence.abs() > 0.2 { 2 } else { 4 };
            let (choice, step) = if cycle.is_multiple_of(4) {
                (1 - correct, step + 2)
            } else {
                (correct, step)
            };
            outputs.slice_mut(s![b, step.., choice]).fill(1.1);
        }
        let study = observer::study(&task, batch, outputs);
        let found = ReactionTimes::compute(&study, &NoOptions {}).unwrap();
        assert_eq!((found.margin, found.n_early, found.n_catch), (None, 0, 20));
        let names: Vec<&str> = found.groups.iter().map(|own| &own.name[..]).collect();
        assert_eq!((&found.by[..], names), ("coherence", vec!["10 %", "40 %"]));
        // Of 20 cycles 4 are undecided, and of the others those numbered 4, 8, 12, 16 wrong.
        let arrays = found.arrays();
        let values = |name: &str| arrays[name].to_f64().unwrap();
        assert_eq!(
            values("n_trials"),
            [24.0, 8.0, 0.0, 8.0, 24.0, 8.0, 0.0, 8.0]
        );
        let expected = [[100.0; 5], [60.0; 5]].concat();
        assert_eq!(values("quantiles_correct"), expected);
        let expected = [[140.0; 5], [100.0; 5]].concat();
        assert_eq!(values("quantiles_wrong"), expected);
        let said = found.statements().join("\n");
        for expected in [
            "median reaction time of 48 correct trials: 80 ms (10 % to 90 %: 60 to 100 ms)",
            "undecided: 16 of 80 trials (no reaction by the rule of the task); accuracy counts them as wrong",
            "20 catch trials are left out",
        ] {
            assert!(said.contains(expected), "{expected}\n{said}");
        }
        assert!(is_clean(&found.figures()[0].1.to_svg()));
    }
}
