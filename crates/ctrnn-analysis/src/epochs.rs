//! Marks of the epochs of trials on time courses.

use std::collections::BTreeMap;

use crate::Study;
use crate::plot::{Layer, Panel, Rgb};
use crate::text::{short, spoken};
use crate::trial_record::occurrence;

/// The epochs of trials in order, each from its median onset to its median end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Epochs {
    /// Name, onset and end in ms of each epoch.
    pub epochs: Vec<(String, [f64; 2])>,
    /// Name, first and last onset in ms of each epoch that does not begin at the same time in all trials.
    pub varying: Vec<(String, [f64; 2])>,
}

impl Epochs {
    /// Returns the epochs of the trials of a study. An epoch that occurs several times in a trial is there as often.
    pub fn of(study: &Study) -> Self {
        let timelines = study.batch.timelines.iter().zip(&study.batch.n_steps);
        let mut found: Vec<(String, [Vec<usize>; 2])> = Vec::new();
        for (timeline, &n_steps) in timelines {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for (name, steps) in &timeline.epochs {
                let [start, end] = [steps.start, steps.end].map(|step| step.min(n_steps));
                if start == end {
                    continue;
                }
                let count = counts.entry(name).or_default();
                *count += 1;
                let key = occurrence(name, *count);
                match found.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, [starts, ends])) => {
                        starts.push(start);
                        ends.push(end);
                    }
                    None => found.push((key, [vec![start], vec![end]])),
                }
            }
        }
        let dt_ms = study.dynamics.dt_ms;
        let varying = found.iter().filter_map(|(name, [starts, _])| {
            let [first, last] = [starts.iter().min()?, starts.iter().max()?];
            let ends = [first, last].map(|step| *step as f64 * dt_ms);
            (first != last).then(|| (name.clone(), ends))
        });
        let varying: Vec<(String, [f64; 2])> = varying.collect();
        let in_ms = |steps: Vec<usize>| median(steps) as f64 * dt_ms;
        let epoch = |(name, ends): (String, [Vec<usize>; 2])| (name, ends.map(in_ms));
        let mut epochs: Vec<_> = found.into_iter().map(epoch).collect();
        epochs.sort_by(|(_, a), (_, b)| a[0].total_cmp(&b[0]));
        Self { epochs, varying }
    }

    /// Says which epochs begin at different times in different trials, so that means over trials at one time mix epochs;
    /// `None` if all begin at the same time.
    pub fn statement(&self) -> Option<String> {
        let onset = |(name, [first, last]): &(String, [f64; 2])| {
            format!(
                "{} at {} to {} ms",
                spoken(name),
                short(*first),
                short(*last)
            )
        };
        let onsets: Vec<String> = self.varying.iter().map(onset).collect();
        (!onsets.is_empty()).then(|| {
            format!(
                "time runs from the start of trials; epochs that begin at different times are shaded at their median: {}",
                onsets.join(", ")
            )
        })
    }

    /// Shades every other epoch behind a panel over the time of trials and writes the names above it; over a heat map,
    /// which hides the shades, a line marks each onset.
    pub fn mark(&self, panel: &mut Panel) {
        let has_map = panel
            .layers
            .iter()
            .any(|layer| matches!(layer, Layer::HeatMap(_)));
        let names = abbreviated(&self.epochs);
        if !self.varying.is_empty() && panel.x.label == "time (ms)" {
            panel.x_label("time from trial start (ms)");
        }
        let bands = self
            .epochs
            .iter()
            .zip(names)
            .enumerate()
            .map(|(k, ((_, ends), label))| Layer::Band {
                x: *ends,
                colour: if k % 2 == 0 {
                    Rgb([248, 248, 248])
                } else {
                    Rgb::PALE
                },
                label,
            });
        let bands: Vec<Layer> = bands.collect();
        panel.layers.splice(0..0, bands);
        if let (true, Some(y)) = (has_map, panel.y.range) {
            let onsets = self.epochs.iter().map(|(_, [onset, _])| *onset);
            let later = onsets.filter(|onset| *onset > 0.0);
            let line = |onset: f64| {
                let line = Layer::line(vec![onset; 2], y.to_vec(), Rgb([90, 90, 90]));
                line.wide(0.15).dashed()
            };
            panel.extend(later.map(line));
        }
    }
}

/// Returns the names of epochs as they are written above a panel. Of the repetitions of an epoch, `delay`, `delay 2`, ..., the later
/// ones have only their number where there are more than a few epochs.
fn abbreviated(epochs: &[(String, [f64; 2])]) -> Vec<String> {
    const MOST_WHOLE: usize = 8;
    let short = |name: &String| {
        let spoken = spoken(name);
        let number = spoken.rsplit_once(' ').map(|(_, number)| number.to_owned());
        let number = number.filter(|number| number.parse::<usize>().is_ok());
        number
            .filter(|_| epochs.len() > MOST_WHOLE)
            .unwrap_or(spoken)
    };
    epochs.iter().map(|(name, _)| short(name)).collect()
}

fn median(mut steps: Vec<usize>) -> usize {
    steps.sort_unstable();
    steps[steps.len() / 2]
}
