//! Figure of a few trials of a task: inputs, targets, mask and epochs.

use ctrnn_random::{Key, Stream};
use ctrnn_tasks::{BatchRequest, Clock, ConditionOrder, Mask, Task, TaskError, Trial, TrialBatch};

use crate::channels::{Channels, grouped};
use crate::evidence::level_name;
use crate::plot::{Axis, ColourMap, Figure, HeatMap, Layer, Panel, Rgb, Ticks, colour};
use crate::text::spoken;

/// Heights in millimetres: of a single channel, and of a channel in a group.
const LANE_MM: f64 = 5.0;
const GROUP_MM: f64 = 0.6;
const SMALLEST_GROUP_MM: f64 = 9.0;
const MASK_MM: f64 = 3.0;
/// Smallest height of the panels of inputs and of targets, which fits the word at their side.
const SMALLEST_PANEL_MM: f64 = 9.5;
/// Total width of the data areas in millimetres: with labels, two columns of a journal.
const WIDTH_MM: f64 = 150.0;
/// Smallest width of a trial; with many trials the page becomes wider.
const NARROWEST_MM: f64 = 5.0;

/// Draws every trial of a batch in its own column: inputs, targets, and the weight of each time step in the loss.
/// Shaded bands are epochs. Channels whose names differ only in a number, such as `ring 0`, `ring 1`, ..., form a heat
/// map.
#[must_use]
pub fn trial_figure(title: &str, task: &dyn Task, batch: &TrialBatch, clock: Clock) -> Figure {
    let layout = task.layout();
    let inputs = lanes(&layout.inputs);
    let outputs = lanes(&layout.outputs);
    let targets = batch.target_rows();
    let heights: Vec<f64> = [height(&inputs), height(&outputs), MASK_MM]
        .into_iter()
        .filter(|&height| height > 0.0)
        .collect();
    let width_mm = (WIDTH_MM / batch.n_trials as f64 - 3.0).max(NARROWEST_MM);
    let columns = vec![width_mm; batch.n_trials];
    let mut figure = Figure::new(&columns, &heights);
    figure.title = title.to_owned();
    let input_scale = scale(&batch.inputs);
    let target_scale = scale(&targets);
    for b in 0..batch.n_trials {
        let trial = Column {
            b,
            batch,
            task,
            dt_ms: clock.dt_ms(),
        };
        let mut panels = Vec::new();
        if !inputs.is_empty() {
            let rows = batch.rows(&batch.inputs, b, batch.n_inputs);
            panels.push(trial.channels("inputs", &inputs, rows, input_scale));
        }
        let rows = batch.rows(&targets, b, batch.n_outputs);
        panels.push(trial.channels("targets", &outputs, rows, target_scale));
        panels.push(trial.mask());
        panels[0].title = trial.title();
        label_bands(&mut panels[0], batch, b);
        for (row, panel) in panels.into_iter().enumerate() {
            figure.place(row, b, panel);
        }
    }
    figure
}

/// Returns `n` diverse trials of a task, selected from the first trials of a few training steps.
///
/// # Errors
/// Returns the error of a task that cannot make trials.
pub fn example_trials(
    task: &dyn Task,
    clock: Clock,
    seed: u64,
    n: usize,
) -> Result<TrialBatch, TaskError> {
    let first_of = |step: usize| -> Result<Trial, TaskError> {
        let batch = task.sample_batch(&BatchRequest {
            clock,
            first_trial: 0,
            n_trials: 1,
            key: Key::new(seed, Stream::Trials, 0),
            step: step as u64,
            conditions: ConditionOrder::Weighted,
        })?;
        Ok(batch.trial(0))
    };
    let trials: Result<Vec<Trial>, TaskError> = (0..8 * n).map(first_of).collect();
    Ok(TrialBatch::new(varied(trials?, n)))
}

/// Selects `n` diverse trials: the first, then repeatedly the one with the most new values of conditions and correct
/// choice.
fn varied(mut trials: Vec<Trial>, n: usize) -> Vec<Trial> {
    let mut chosen: Vec<Trial> = Vec::new();
    while chosen.len() < n && !trials.is_empty() {
        let news = trials.iter().map(|trial| novelty(trial, &chosen));
        let (most, _) = news
            .enumerate()
            .rev()
            .max_by_key(|&(_, news)| news)
            .expect("there are trials left");
        chosen.push(trials.remove(most));
    }
    chosen
}

/// Counts the values of a trial, of its conditions and its correct choice, that occur in none of the others.
fn novelty(trial: &Trial, others: &[Trial]) -> usize {
    let is_new =
        |(k, value): (usize, &(String, f64))| others.iter().all(|o| o.condition[k] != *value);
    let values = trial
        .condition
        .iter()
        .enumerate()
        .filter(|v| is_new(*v))
        .count();
    values + usize::from(others.iter().all(|other| other.correct != trial.correct))
}

/// A channel, or a group of channels that are drawn as one heat map.
#[derive(Clone, Debug, PartialEq)]
struct Lane {
    channels: Channels,
    height_mm: f64,
}

/// Returns the channels in order, each on a line of its own or in a group that is drawn as a heat map.
fn lanes(names: &[String]) -> Vec<Lane> {
    let lane = |channels: Channels| Lane {
        height_mm: match channels.n {
            1 => LANE_MM,
            n => (GROUP_MM * n as f64).clamp(SMALLEST_GROUP_MM, 25.0),
        },
        channels,
    };
    let mut lanes: Vec<Lane> = grouped(names).into_iter().map(lane).collect();
    let stretch = SMALLEST_PANEL_MM / height(&lanes).min(SMALLEST_PANEL_MM);
    for lane in &mut lanes {
        lane.height_mm *= stretch;
    }
    lanes
}

fn height(lanes: &[Lane]) -> f64 {
    lanes.iter().map(|lane| lane.height_mm).sum()
}

/// Returns the range of the values, extended to include 0; [0, 1] if all are 0.
fn scale(values: &[f32]) -> [f64; 2] {
    let finite = values.iter().copied().filter(|value| value.is_finite());
    let [low, high] = finite.fold([0.0f32, 0.0], |[low, high], value| {
        [low.min(value), high.max(value)]
    });
    let [low, high] = [f64::from(low), f64::from(high)];
    if high > low { [low, high] } else { [0.0, 1.0] }
}

/// One trial of the batch.
struct Column<'a> {
    b: usize,
    batch: &'a TrialBatch,
    task: &'a dyn Task,
    dt_ms: f64,
}

impl Column<'_> {
    fn title(&self) -> String {
        let conditions = self.batch.conditions.iter();
        let shown = conditions.filter(|(name, column)| name != "catch" || column[self.b] == 1.0);
        let values = shown.map(|(name, column)| level_name(self.task, name, column[self.b]));
        let layout = self.task.layout();
        let correct = self.batch.correct[self.b]
            .map(|choice| format!("correct: {}", spoken(&layout.choice_name(choice))));
        let unbroken = |part: String| part.replace(' ', "\u{a0}");
        let parts: Vec<String> = values.chain(correct).map(unbroken).collect();
        match parts.join(", ") {
            title if title.is_empty() => format!("trial {}", self.b),
            title => title,
        }
    }

    fn x(&self) -> Axis {
        let end = self.batch.max_steps as f64 * self.dt_ms;
        Axis::hidden().with_range(0.0, end)
    }

    fn bands(&self) -> Vec<Layer> {
        let epochs = &self.batch.timelines[self.b].epochs;
        let shown = epochs.iter().filter(|(_, steps)| !steps.is_empty());
        let band = |(k, (_, steps)): (usize, &(&str, std::ops::Range<usize>))| Layer::Band {
            x: [steps.start, steps.end].map(|t| t as f64 * self.dt_ms),
            colour: if k % 2 == 0 {
                Rgb::PALE
            } else {
                Rgb([250, 250, 250])
            },
            label: String::new(),
        };
        shown.enumerate().map(band).collect()
    }

    /// Draws the lanes above each other, the first on top.
    fn channels(&self, label: &str, lanes: &[Lane], rows: &[f32], scale: [f64; 2]) -> Panel {
        let total = height(lanes);
        let mut layers = self.bands();
        let mut ticks = Vec::new();
        let mut top = total;
        let width = rows.len() / self.batch.n_steps[self.b].max(1);
        for (k, lane) in lanes.iter().enumerate() {
            let bottom = top - lane.height_mm;
            ticks.push(((top + bottom) / 2.0, spoken(&lane.channels.name)));
            layers.extend(self.lane(lane, [bottom, top], rows, width, scale, colour(k)));
            top = bottom;
        }
        let y = match self.b {
            0 => Axis::new(label).with_ticks(Ticks::At(ticks)),
            _ => Axis::hidden(),
        };
        Panel {
            x: self.x(),
            y: y.with_range(0.0, total),
            layers,
            ..Panel::default()
        }
    }

    fn lane(
        &self,
        lane: &Lane,
        [bottom, top]: [f64; 2],
        rows: &[f32],
        width: usize,
        scale: [f64; 2],
        colour: Rgb,
    ) -> Vec<Layer> {
        let n_steps = self.batch.n_steps[self.b];
        let value = |t: usize, channel: usize| f64::from(rows[t * width + channel]);
        let Channels { first, n, .. } = lane.channels;
        if n == 1 {
            let room = 0.08 * lane.height_mm;
            let [low, high] = [bottom + room, top - room];
            let place = |v: f64| low + (high - low) * (v - scale[0]) / (scale[1] - scale[0]);
            let line: Vec<f64> = (0..n_steps).map(|t| place(value(t, first))).collect();
            return self.stairs(&line, place(0.0), colour);
        }
        let channels = first..first + n;
        let values = channels.flat_map(|channel| (0..n_steps).map(move |t| (t, channel)));
        let (scale, map) = colours_of(scale);
        vec![Layer::HeatMap(HeatMap {
            x: [0.0, n_steps as f64 * self.dt_ms],
            y: [top - 0.4, bottom + 0.4],
            columns: n_steps,
            values: values.map(|(t, channel)| value(t, channel)).collect(),
            scale,
            map,
        })]
    }

    /// Draws values over time above a pale line at zero.
    fn stairs(&self, values: &[f64], zero: f64, colour: Rgb) -> Vec<Layer> {
        let edges: Vec<f64> = (0..=values.len()).map(|t| t as f64 * self.dt_ms).collect();
        let baseline = Layer::Line {
            x: vec![0.0, edges[values.len()]],
            y: vec![zero; 2],
            colour: Rgb([200, 200, 200]),
            width_mm: 0.12,
            dashed: false,
            name: None,
        };
        vec![baseline, Layer::stairs(&edges, values, colour)]
    }

    /// Draws the mask: a bar as dark as the weight of each time step, in one row, or in a row for each output if they
    /// differ.
    fn mask(&self) -> Panel {
        let n_steps = self.batch.n_steps[self.b];
        let (mask, n) = match &self.batch.mask {
            Mask::Steps(mask) => (mask, 1),
            Mask::Outputs(mask) => (mask, self.batch.n_outputs),
        };
        let rows = self.batch.rows(mask, self.b, n);
        let heaviest = mask.iter().copied().fold(0.0, f32::max);
        let values =
            (0..n).flat_map(|output| (0..n_steps).map(move |t| f64::from(rows[t * n + output])));
        let end = n_steps as f64 * self.dt_ms;
        let bar = Layer::HeatMap(HeatMap {
            x: [0.0, end],
            y: [1.0, 0.0],
            columns: n_steps,
            values: values.collect(),
            scale: [0.0, 1.25 * f64::from(heaviest).max(1e-9)],
            map: ColourMap::Blues,
        });
        let y = match self.b {
            0 => Axis::default().with_ticks(Ticks::At(vec![(0.5, "mask".to_owned())])),
            _ => Axis::hidden(),
        };
        let time = Axis::new("time (ms)");
        Panel {
            x: Axis {
                range: self.x().range,
                ..time
            },
            y: y.with_range(0.0, 1.0),
            layers: vec![bar],
            ..Panel::default()
        }
    }
}

/// Returns the scale and the colours of values from the lowest to the highest: symmetric about 0 if many are negative.
fn colours_of([low, high]: [f64; 2]) -> ([f64; 2], ColourMap) {
    if low < -0.5 * high {
        let largest = low.abs().max(high);
        ([-largest, largest], ColourMap::BlueWhiteRed)
    } else {
        ([0.0, high], ColourMap::Blues)
    }
}

/// Labels the bands of a panel with the epochs of trial `b`.
fn label_bands(panel: &mut Panel, batch: &TrialBatch, b: usize) {
    let epochs = &batch.timelines[b].epochs;
    let mut names = epochs.iter().filter(|(_, steps)| !steps.is_empty());
    for layer in &mut panel.layers {
        if let Layer::Band { label, .. } = layer {
            *label = names.next().map_or(String::new(), |(name, _)| spoken(name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctrnn_tasks::{BuildContext, Condition, Layout, Registry, Target, Timeline};

    /// Checks that the word at the side of a panel does not reach into the next panel.
    #[test]
    fn a_single_channel_is_as_high_as_the_word_beside_it() {
        assert_eq!(height(&lanes(&["u".to_owned()])), SMALLEST_PANEL_MM);
        let three: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        assert_eq!(height(&lanes(&three)), 3.0 * LANE_MM);
    }

    #[test]
    fn trials_in_which_more_is_new_come_first() {
        let trial = |coh: f64, correct: usize| {
            let layout = Layout::new([], ["a", "b"]);
            let mut timeline = Timeline::default();
            timeline.push("trial", 1);
            let mut trial = Trial::new(&layout, &Condition::new([("coh", coh)]), timeline);
            trial.correct = Some(correct);
            trial
        };
        let trials = || vec![trial(1.0, 0), trial(1.0, 0), trial(2.0, 0), trial(3.0, 1)];
        let cohs = |n| -> Vec<f64> {
            let chosen = varied(trials(), n);
            chosen.iter().map(|trial| trial.condition[0].1).collect()
        };
        assert_eq!(cohs(3), [1.0, 3.0, 2.0]);
        assert_eq!(cohs(9), [1.0, 3.0, 2.0, 1.0]);
    }

    #[test]
    fn a_picture_names_channels_epochs_and_conditions() {
        let clock = Clock::new(20.0).unwrap();
        let registry = Registry::built_in();
        let context = BuildContext {
            clock,
            seed: 1,
            base_dir: std::path::Path::new("."),
            registry: &registry,
            programs: ctrnn_tasks::Programs::NEVER,
            trained: None,
        };
        let task = registry
            .get("perceptual_decision")
            .unwrap()
            .build(Default::default(), &context)
            .unwrap();
        let request = BatchRequest {
            clock,
            first_trial: 0,
            n_trials: 2,
            key: Key::new(1, Stream::Trials, 0),
            step: 0,
            conditions: ConditionOrder::Balanced,
        };
        let batch = task.sample_batch(&request).unwrap();
        let svg = trial_figure("perceptual_decision", &*task, &batch, clock).to_svg();
        for text in [
            "left",
            "stimulus",
            "coherence = 0 %, side = left",
            "mask",
            "time (ms)",
            "inputs",
            "targets",
        ] {
            assert!(svg.contains(&format!(">{text}</text>")), "{text}");
        }
        assert!(matches!(batch.target, Target::Values(_)));
    }
}
