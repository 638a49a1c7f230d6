//! Peristimulus time histograms: mean rates aligned to events.

use ndarray::{Array1, Array2, Array3, ArrayView1, Axis, s};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answer, Unsuitable};
use crate::decision_times::DecisionTimes;
use crate::groups::{Group, by_title, groups, mean_and_error, numbers};
use crate::plot::{Figure, Layer, Rgb, panel_mm, range_of};
use crate::study::steps_of;
use crate::text::spoken;
use crate::{ArrayDoc, Arrays, Study};

/// Largest number of events in the figure.
const MOST_PANELS: usize = 4;

/// Settings of the histograms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PsthOptions {
    /// Time before each event, in ms.
    pub before_ms: f64,
    /// Time after each event, in ms.
    pub after_ms: f64,
    /// Number of units in the figure: the most selective ones, by the fraction of the variance over trials of their
    /// mean rate in the epoch of `tuning` that the groups explain.
    pub units: usize,
}

impl Default for PsthOptions {
    fn default() -> Self {
        Self {
            before_ms: 300.0,
            after_ms: 1000.0,
            units: 3,
        }
    }
}

/// Mean rates of groups of trials, aligned to the onsets of epochs and to the decision.
#[derive(Clone, Debug)]
pub struct Psth {
    /// Name of the condition by which trials are grouped.
    pub by: String,
    /// Name and colour of each group.
    pub groups: Vec<(String, Rgb)>,
    /// Mean rates around each event.
    pub aligned: Vec<Aligned>,
    /// Fraction of the variance over trials that the groups explain, `[unit]`.
    pub selectivity: Array1<f64>,
    /// Most selective units, in falling order.
    pub units: Vec<usize>,
}

/// Mean rates around an event.
#[derive(Clone, Debug)]
pub struct Aligned {
    /// Name of the event: an epoch, for its onset, or `decision_time` or `reaction_time`.
    pub event: String,
    /// Label of the time axis.
    pub label: String,
    /// Time relative to the event in ms, `[time]`.
    pub t_ms: Vec<f64>,
    /// Mean rates, `[group, time, unit]`; NaN where not all trials of the group with the event are running, or are still in
    /// the epoch that begins with the event or in the one before it.
    pub rates: Array3<f64>,
    /// Standard errors of the mean rates over trials, `[group, time, unit]`; NaN for a single trial.
    pub errors: Array3<f64>,
    /// Standard error over trials of the rate averaged over units, `[group, time]`.
    pub population_errors: Array2<f64>,
    /// Number of trials with the event, `[group]`.
    pub n_trials: Vec<usize>,
}

/// An event, and where it is in each trial.
struct Event {
    name: String,
    label: String,
    places: Vec<Option<EventPlace>>,
}

/// Place of an event in a trial.
#[derive(Clone, Copy)]
struct EventPlace {
    /// Number of time steps before the event.
    step: usize,
    /// Time steps that are averaged with those of other trials: for the onset of an epoch, this epoch and the one before it.
    range: [usize; 2],
}

impl Answer for Psth {
    type Options = PsthOptions;
    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new(
            "rates_{}",
            "[group, time from the event, unit]",
            "rate",
            "mean rate of each group of trials around the event of this name; NaN where not all its trials with the event are in the epoch that begins with the event or in the one before it, or, around a decision, running",
        ),
        ArrayDoc::new(
            "errors_{}",
            "[group, time from the event, unit]",
            "rate",
            "standard error of the mean rate over trials",
        ),
        ArrayDoc::new(
            "population_errors_{}",
            "[group, time from the event]",
            "rate",
            "standard error over trials of the rate averaged over units",
        ),
        ArrayDoc::new(
            "t_ms_{}",
            "[time from the event]",
            "ms",
            "time relative to the event",
        ),
        ArrayDoc::new("n_trials_{}", "[group]", "trials", "trials with the event"),
        ArrayDoc::new(
            "group_names",
            "[group]",
            "",
            "groups of trials, in their order",
        ),
        ArrayDoc::new(
            "selectivity",
            "[unit]",
            "",
            "fraction of the variance over trials of the mean rate in the epoch of `tuning` that the groups explain",
        ),
        ArrayDoc::new(
            "units",
            "[shown]",
            "",
            "most selective units, in falling order, numbered from 0",
        ),
    ];

    fn compute(study: &Study, options: &PsthOptions) -> Result<Self, Unsuitable> {
        let is_time = |ms: f64| (0.0..1e9).contains(&ms);
        if !is_time(options.before_ms) || !is_time(options.after_ms) {
            let why = "psth.before_ms and psth.after_ms should be 0 or positive numbers";
            return Err(Unsuitable::lacks(why));
        }
        let (by, groups) = groups(study);
        let events = events(study);
        if events.is_empty() {
            let why = "the trials have no epoch and no decision to which rates could be aligned";
            return Err(Unsuitable::lacks(why));
        }
        let aligned = events
            .into_iter()
            .map(|event| aligned(study, &groups, event, options));
        let selectivity = selectivity(study, &groups);
        let mut units: Vec<usize> = (0..selectivity.len()).collect();
        units.sort_by(|&a, &b| selectivity[b].total_cmp(&selectivity[a]));
        units.truncate(options.units);
        Ok(Self {
            by,
            aligned: aligned.collect(),
            groups: groups
                .into_iter()
                .map(|group| (group.name, group.colour))
                .collect(),
            selectivity,
            units,
        })
    }

    fn arrays(&self) -> Arrays {
        let names = self.groups.iter().map(|(name, _)| name.clone());
        let arrays = Arrays::default()
            .with("group_names", &names.collect::<Vec<String>>())
            .with("selectivity", &self.selectivity)
            .with("units", &self.units);
        self.aligned.iter().fold(arrays, |arrays, aligned| {
            let name = |what: &str| format!("{what}_{}", aligned.event);
            arrays
                .with(name("rates"), &aligned.rates)
                .with(name("errors"), &aligned.errors)
                .with(name("population_errors"), &aligned.population_errors)
                .with(name("t_ms"), &aligned.t_ms)
                .with(name("n_trials"), &aligned.n_trials)
        })
    }

    fn statements(&self) -> Vec<String> {
        let events: Vec<&str> = self
            .aligned
            .iter()
            .map(|aligned| &aligned.label[..])
            .collect();
        let units = self.units.iter();
        let units: Vec<String> = units
            .map(|&unit| format!("{unit} ({:.0} %)", 100.0 * self.selectivity[unit]))
            .collect();
        let by = match &self.by[..] {
            "trials" => String::new(),
            by => format!(" by {by}"),
        };
        let aligned = format!(
            "mean rates{by}, aligned to {}; areas: standard errors of the mean over trials ({})",
            events.join(", "),
            self.numbers()
        );
        let selective = format!(
            "units whose mean rates differ most between the groups (variance explained): {}",
            units.join(", ")
        );
        let has_several = self.groups.len() > 1 && !self.units.is_empty();
        std::iter::once(aligned)
            .chain(has_several.then_some(selective))
            .collect()
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let shown = &self.aligned[..self.aligned.len().min(MOST_PANELS)];
        let width_mm = panel_mm(shown.len(), 40.0);
        let rows: Vec<Option<usize>> = std::iter::once(None)
            .chain(self.units.iter().copied().map(Some))
            .collect();
        let mut figure = Figure::new(&vec![width_mm; shown.len()], &vec![24.0; rows.len()]);
        let by = by_title(&self.by);
        let mut title = vec![self.numbers(), "areas: s.e.m.".to_owned()];
        if !by.is_empty() {
            title.insert(0, by);
        }
        if shown.len() < self.aligned.len() {
            title.push(format!("{} of {} events", shown.len(), self.aligned.len()));
        }
        figure.title = title.join("; ");
        for (row, &unit) in rows.iter().enumerate() {
            let courses: Vec<[Array2<f64>; 2]> =
                shown.iter().map(|aligned| aligned.course(unit)).collect();
            let ends = courses.iter().flat_map(|[mean, error]| {
                let ends = [mean - error, mean + error, mean.clone()];
                ends.into_iter().flatten()
            });
            let range = range_of(ends, 0.03);
            for (column, (aligned, [course, errors])) in shown.iter().zip(&courses).enumerate() {
                let panel = figure.cell(row, column);
                panel
                    .x("", aligned.range())
                    .y("", range)
                    .add(Layer::guide([0.0, 0.0], range));
                // A long legend goes on below the last row.
                let is_named = row + 1 == rows.len() && column + 1 == shown.len();
                let areas = self.groups.iter().enumerate().map(|(k, (_, ink))| {
                    let [y, error] = [course, errors].map(|table| table.row(k).to_vec());
                    Layer::ribbon(aligned.t_ms.clone(), &y, &error, *ink)
                });
                panel.extend(areas);
                for ((name, ink), values) in self.groups.iter().zip(course.outer_iter()) {
                    let line = Layer::line(aligned.t_ms.clone(), values.to_vec(), *ink).wide(0.3);
                    panel.add(if is_named { line.named(name) } else { line });
                }
                if row + 1 == rows.len() {
                    panel.x_label(&format!("time from {} (ms)", aligned.label));
                }
            }
            figure.cell(row, 0).y_label(&match unit {
                Some(unit) => format!("rate of unit {unit}"),
                None => "mean rate".to_owned(),
            });
        }
        vec![("", figure)]
    }
}

impl Psth {
    /// Returns the remark on the numbers of trials with an event.
    fn numbers(&self) -> String {
        let counts = self.aligned.iter().flat_map(|aligned| &aligned.n_trials);
        numbers(counts.copied().filter(|n| *n > 0))
    }
}

impl Aligned {
    /// Returns the times in which any group has a mean rate.
    fn range(&self) -> [f64; 2] {
        let is_known = |k: &usize| {
            let mut rates = self.rates.index_axis(Axis(1), *k).into_iter();
            rates.any(|rate| rate.is_finite())
        };
        let known = (0..self.t_ms.len()).filter(is_known);
        range_of(known.map(|k| self.t_ms[k]), 0.0)
    }

    /// Returns the mean rates `[group, time]` of a unit, or of all units together, and their standard errors.
    fn course(&self, unit: Option<usize>) -> [Array2<f64>; 2] {
        match unit {
            Some(unit) => {
                [&self.rates, &self.errors].map(|of| of.index_axis(Axis(2), unit).to_owned())
            }
            None => [
                self.rates.mean_axis(Axis(2)).unwrap_or_default(),
                self.population_errors.clone(),
            ],
        }
    }
}

/// Returns the onset of every epoch but the first, or of an only one, and the decision if there is one.
fn events(study: &Study) -> Vec<Event> {
    let epochs = study.epochs();
    let first = usize::from(epochs.len() > 1);
    let onset = |epoch: &&'static str| Event {
        name: (*epoch).to_owned(),
        label: format!("{} onset", spoken(epoch)),
        places: (0..study.batch.n_trials)
            .map(|b| onset_place(study, b, epoch))
            .collect(),
    };
    let mut events: Vec<Event> = epochs[first.min(epochs.len())..]
        .iter()
        .map(onset)
        .collect();
    let decisions = DecisionTimes::of(study);
    if !study.layout().choices.is_empty() && decisions.steps.iter().any(Option::is_some) {
        events.push(Event {
            name: decisions.name().replace(' ', "_"),
            label: decisions.name().trim_end_matches(" time").to_owned(),
            places: decisions
                .steps
                .iter()
                .zip(&study.batch.n_steps)
                .map(|(step, &n_steps)| {
                    let place = |t: usize| EventPlace {
                        step: t + 1,
                        range: [0, n_steps],
                    };
                    step.map(place)
                })
                .collect(),
        });
    }
    events
}

/// Returns the place of the onset of an epoch; `None` if the trial lacks it.
fn onset_place(study: &Study, b: usize, epoch: &str) -> Option<EventPlace> {
    let steps = steps_of(&study.batch, b, epoch);
    if steps.is_empty() {
        return None;
    }
    let lasting = study.batch.timelines[b].epochs.iter().map(|(_, own)| own);
    let lasting = || lasting.clone().filter(|own| !own.is_empty());
    let before = lasting().rfind(|own| own.end <= steps.start);
    let own = lasting().find(|own| own.start == steps.start);
    Some(EventPlace {
        step: steps.start,
        range: [
            before.map_or(steps.start, |before| before.start),
            own.map_or(steps.end, |own| own.end)
                .min(study.batch.n_steps[b]),
        ],
    })
}

fn aligned(study: &Study, groups: &[Group], event: Event, options: &PsthOptions) -> Aligned {
    let dt_ms = study.dynamics.dt_ms;
    let longest = study.batch.max_steps as f64;
    let [before, after] =
        [options.before_ms, options.after_ms].map(|ms| (ms / dt_ms).round().min(longest) as isize);
    let offsets: Vec<isize> = (-before..=after).collect();
    let n_units = study.dynamics.n_units();
    let mut rates = Array3::from_elem((groups.len(), offsets.len(), n_units), f64::NAN);
    let mut errors = rates.clone();
    let mut population_errors = Array2::from_elem((groups.len(), offsets.len()), f64::NAN);
    let mut n_trials = Vec::new();
    for (g, group) in groups.iter().enumerate() {
        let placed: Vec<(usize, EventPlace)> = group
            .trials
            .iter()
            .filter_map(|&b| Some((b, event.places[b]?)))
            .collect();
        n_trials.push(placed.len());
        for (k, offset) in offsets.iter().enumerate() {
            // The state of index t is that after time step t, at the time t + 1.
            let states = placed.iter().map(|&(b, EventPlace { step, range })| {
                let t = usize::try_from(step as isize + offset - 1).ok()?;
                (range[0]..range[1])
                    .contains(&t)
                    .then(|| study.rates.slice(s![b, t, ..]))
            });
            // A mean over trials that come and go would have steps that no unit has.
            let all: Option<Vec<ArrayView1<f64>>> = states.collect();
            if let Some(all) = all.filter(|all| !all.is_empty()) {
                let rows = || all.iter().map(|row| row.insert_axis(Axis(0)));
                let (mean, error) = mean_and_error(rows, (1, n_units));
                rates.slice_mut(s![g, k, ..]).assign(&mean.row(0));
                errors.slice_mut(s![g, k, ..]).assign(&error.row(0));
                let pooled: Vec<Array2<f64>> = all
                    .iter()
                    .map(|row| Array2::from_elem((1, 1), row.mean().unwrap_or(f64::NAN)))
                    .collect();
                let (_, error) = mean_and_error(|| pooled.iter().map(|one| one.view()), (1, 1));
                population_errors[[g, k]] = error[[0, 0]];
            }
        }
    }
    Aligned {
        event: event.name,
        label: event.label,
        t_ms: offsets.iter().map(|&k| k as f64 * dt_ms).collect(),
        rates,
        errors,
        population_errors,
        n_trials,
    }
}

/// Computes the fraction of the variance of each unit's mean rate in the telling epoch that the groups
/// explain; 0 for a constant rate.
fn selectivity(study: &Study, groups: &[Group]) -> Array1<f64> {
    let rates = study.rates_in(study.telling_epoch());
    let explained = |unit: usize| {
        let column = rates.column(unit);
        let members = groups.iter().map(|group| {
            let own = group.trials.iter().map(|&b| column[b]);
            own.filter(|rate| rate.is_finite()).collect::<Vec<f64>>()
        });
        let members: Vec<Vec<f64>> = members.filter(|own| !own.is_empty()).collect();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let all = members.concat();
        let grand = mean(&all);
        let total: f64 = all.iter().map(|rate| (rate - grand).powi(2)).sum();
        let between = members
            .iter()
            .map(|own| own.len() as f64 * (mean(own) - grand).powi(2));
        if total > 1e-24 * all.len() as f64 {
            (between.sum::<f64>() / total).min(1.0)
        } else {
            0.0
        }
    };
    (0..rates.ncols()).map(explained).collect()
}

#[cfg(test)]
mod tests {
    use ctrnn_tasks::PerceptualDecision;

    use super::*;
    use crate::analyses::observer;
    use crate::evidence::column;
    use crate::plot::is_clean;

    /// Unit 1 fires from the onset of the stimulus on, if the evidence is for the right.
    #[test]
    fn rates_are_aligned_to_events() {
        let task = PerceptualDecision {
            coherences: vec![0.1, 0.2],
            input_noise: 0.0,
            ..PerceptualDecision::default()
        };
        let batch = observer::batch(&task, 4 * 10);
        let side = column(&batch, "side").expect("a condition").to_vec();
        let shape = (batch.n_trials, batch.max_steps, batch.n_outputs);
        let mut study = observer::study(&task, batch, Array3::zeros(shape));
        for (b, &side) in side.iter().enumerate() {
            let onset = study.batch.timelines[b].steps("stimulus").start;
            let rate = if side > 0.0 { 1.0 } else { 0.0 };
            study.rates.slice_mut(s![b, onset.., 1]).fill(rate);
        }
        let options = PsthOptions {
            before_ms: 60.0,
            after_ms: 100.0,
            units: 1,
        };
        let found = Psth::compute(&study, &options).unwrap();
        assert_eq!(found.units, [1]);
        assert_eq!(found.selectivity.to_vec(), [0.0, 1.0, 0.0]);
        assert_eq!(found.groups.len(), 4);
        let events: Vec<&str> = found
            .aligned
            .iter()
            .map(|aligned| &aligned.event[..])
            .collect();
        assert_eq!(
            events,
            ["stimulus", "response"],
            "the delay has no duration"
        );
        let stimulus = &found.aligned[0];
        assert_eq!(
            stimulus.t_ms,
            [-60.0, -40.0, -20.0, 0.0, 20.0, 40.0, 60.0, 80.0, 100.0]
        );
        assert_eq!(stimulus.n_trials, [10; 4]);
        let right = stimulus.rates.slice(s![3, .., 1]).to_vec();
        assert_eq!(right, [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
        assert!(
            stimulus
                .rates
                .slice(s![0, .., 1])
                .iter()
                .all(|rate| *rate == 0.0)
        );
        // The response ends after 100 ms.
        let response = &found.aligned[1];
        assert_eq!(response.rates[[3, 8, 1]], 1.0);
        assert!(is_clean(&found.figures()[0].1.to_svg()));
        let options = PsthOptions {
            after_ms: 200.0,
            ..options
        };
        let found = Psth::compute(&study, &options).unwrap();
        assert!(
            found.aligned[1].rates[[3, 9, 1]].is_nan(),
            "no trial is running"
        );
    }

    /// Rates that ramp up in every epoch alike, whose durations differ: a mean over trials that come and go would jump.
    #[test]
    fn means_are_over_the_same_trials() {
        let task = PerceptualDecision {
            coherences: vec![0.1, 0.2],
            delay_ms: ctrnn_tasks::Duration::Uniform([100.0, 400.0]),
            ..PerceptualDecision::default()
        };
        let batch = observer::batch(&task, 4 * 10);
        let shape = (batch.n_trials, batch.max_steps, batch.n_outputs);
        let mut study = observer::study(&task, batch, Array3::zeros(shape));
        let steps: Vec<_> = (0..study.batch.n_trials)
            .map(|b| study.batch.timelines[b].steps("delay"))
            .collect();
        for (b, steps) in steps.iter().enumerate() {
            // Each trial has a rate of its own, which falls to 0 with the end of the delay.
            let rate = steps.len() as f64;
            study.rates.slice_mut(s![b, steps.clone(), 1]).fill(rate);
        }
        let found = Psth::compute(&study, &PsthOptions::default()).unwrap();
        let delay = &found.aligned[1];
        assert_eq!(delay.event, "delay");
        let groups = groups(&study).1;
        for (group, rates) in groups.iter().zip(delay.rates.outer_iter()) {
            let shortest = group.trials.iter().map(|&b| steps[b].len()).min().unwrap();
            let own = |t: usize| rates[[t, 1]];
            let onset = delay.t_ms.iter().position(|t| *t == 0.0).unwrap();
            assert!((1..=shortest).all(|k| own(onset + k) == own(onset + 1)));
            assert!(own(onset + shortest + 1).is_nan());
        }
    }
}
