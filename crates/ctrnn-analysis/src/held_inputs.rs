//! Inputs that are held constant, under which a driven network is an autonomous system.

mod by_hand;
mod epoch_inputs;
mod medians;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use ctrnn_tasks::Meaning;
use ndarray::{Array1, Array2, Array3, Axis, s};

pub use self::by_hand::HeldOptions;
use self::by_hand::read_rows;
pub(crate) use self::epoch_inputs::Medians;
use self::medians::Grouping;
use crate::evidence::{CONTEXTS, column, evidence, level_name, quantity_of, shown_trials};
use crate::groups::Group;
use crate::study::{span, steps_of};
use crate::text::{listed, short, spoken};
use crate::{ArrayDoc, Arrays, Study, SynapseStates, Unsuitable};

/// Largest number of channels that a sentence names.
const MOST_CHANNELS: usize = 8;

/// A constant input, and the parts of the trials that have it.
#[derive(Clone, Debug)]
pub struct HeldInput {
    /// Input values `[I]`.
    pub input: Array1<f64>,
    /// Name in figures and sentences, such as `stimulus, context = motion`.
    pub name: String,
    /// Parts of the trials that have this input; none if it was given by the user.
    pub places: Vec<HeldEpoch>,
}

/// An epoch in some trials.
#[derive(Clone, Debug)]
pub struct HeldEpoch {
    /// Name of the epoch.
    pub epoch: &'static str,
    /// Name of the group of trials; empty if all trials are in one group.
    pub group: String,
    /// Indices of the trials.
    pub trials: Vec<usize>,
}

/// A condition, or signed evidence, that changes the inputs of an epoch by its size.
#[derive(Clone, Debug)]
pub struct Stimulus {
    /// Label of the condition or of the evidence.
    pub label: String,
    /// Name of the epoch.
    pub epoch: &'static str,
    /// Change of the input per unit of the condition's value, by linear regression over the conditions, `[I]`.
    pub change: Array1<f64>,
}

/// The inputs under which the dynamics is analysed.
#[derive(Clone, Debug)]
pub struct HeldInputs {
    /// Inputs in the order of their epochs and groups, at least one.
    pub inputs: Vec<HeldInput>,
    /// Stimuli: quantities that change the inputs of an epoch.
    pub stimuli: Vec<Stimulus>,
    /// Remarks for the reader: conditions at their median, inputs that change in an epoch, inputs left out.
    pub notes: Vec<String>,
}

/// Documentation of the arrays that [`HeldInputs::add_to`] adds: the inputs, and their names.
pub const HELD_ARRAYS: [ArrayDoc; 2] = [
    ArrayDoc {
        name: "inputs",
        shape: "[held input, input]",
        unit: "",
        meaning: "inputs that were held",
    },
    ArrayDoc {
        name: "held_names",
        shape: "[held input]",
        unit: "",
        meaning: "names of the held inputs: their epochs and groups of trials",
    },
];

/// Returns the title of a panel that shows at most `most` of `n` inputs.
pub(crate) fn drawn_of(title: &str, most: usize, n: usize) -> String {
    if n > most {
        format!("{title}: {most} of {n}")
    } else {
        title.to_owned()
    }
}

impl HeldInputs {
    /// Returns the inputs given by the user in `options.inputs`; if that is empty, those of each epoch, for each group of
    /// trials: the cells of `study.by` or, if that is empty, of the conditions that change the inputs of the epoch,
    /// those with the fewest values first, as long as there are at most 8 combinations; `context`, `rule` and `task`
    /// are always among them. Catch trials are left out of the latter.
    ///
    /// If the inputs of a group are a linear function of its conditions, as with coherences, the input is that of the
    /// median condition; otherwise, as with directions, it is that of a single trial, the one nearest to the median, and
    /// the name says which. Channels that change during the epoch are held at 0 if that is in their range (no pulse, no
    /// movement), otherwise at their median over time. The inputs are those before noise is added, if the task can
    /// draw its trials without. Inputs are merged only if they are equal. Of more than
    /// `options.most_inputs`, by default `most`, those that are held longest in each group are kept.
    ///
    /// The inputs of a layer above the first are the rates of the layer below, held as they are at the end of each epoch. Its groups are
    /// the cells of all conditions that have changed the inputs of the task by then, since the layer below may remember them.
    ///
    /// # Errors
    /// If the trials have no epochs, a condition in `study.by` is unknown, or the given inputs cannot be read.
    pub fn of(study: &Study, options: &HeldOptions, most: usize) -> Result<Self, Unsuitable> {
        if !options.inputs.is_empty() {
            return Self::by_hand(&options.inputs, study.n_inputs());
        }
        let medians = study.shared.medians.get_or_init(|| Medians::of(study));
        let mut collected = Collected::default();
        for e in 0..medians.epochs.len() {
            let grouping = medians.groups(study, e)?;
            collected.add_epoch(study, medians, e, grouping);
        }
        if collected.inputs.is_empty() {
            let why = "the trials do not say when their epochs are";
            return Err(Unsuitable::lacks(why));
        }
        Ok(collected.finish(study, options.most_inputs.unwrap_or(most)))
    }

    /// Returns the inputs as [`of`](Self::of); `None` if the trials have no epochs and none is given.
    ///
    /// # Errors
    /// As those of [`of`](Self::of) for trials with epochs.
    pub fn if_any(
        study: &Study,
        options: &HeldOptions,
        most: usize,
    ) -> Result<Option<Self>, Unsuitable> {
        if options.inputs.is_empty() && study.epochs().is_empty() {
            return Ok(None);
        }
        Self::of(study, options, most).map(Some)
    }

    /// Adds the inputs and their names to the arrays of an analysis.
    pub fn add_to(&self, arrays: Arrays) -> Arrays {
        let names = self.inputs.iter().map(|held| held.name.clone());
        arrays
            .with("inputs", &self.table())
            .with("held_names", &names.collect::<Vec<String>>())
    }

    /// Reads inputs as a user writes them: numbers separated by commas, several inputs separated by semicolons, or a
    /// file (.npz or .json) with the array `inputs [K, I]`.
    fn by_hand(text: &str, n_inputs: usize) -> Result<Self, Unsuitable> {
        let rows = read_rows(text)?;
        if let Some(row) = rows.iter().find(|row| row.len() != n_inputs) {
            let n = row.len();
            return Err(Unsuitable::lacks(format!(
                "{text:?} holds an input of {n} numbers; this network has {n_inputs} inputs"
            )));
        }
        if rows.is_empty() || rows.iter().flatten().any(|x| !x.is_finite()) {
            let why = format!("{text:?} holds no input, or one with a number that is not finite");
            return Err(Unsuitable::lacks(why));
        }
        let named = |(k, row): (usize, Vec<f64>)| HeldInput {
            input: row.into(),
            name: format!("input {k}"),
            places: Vec::new(),
        };
        Ok(Self {
            inputs: rows.into_iter().enumerate().map(named).collect(),
            stimuli: Vec::new(),
            notes: Vec::new(),
        })
    }

    /// Returns the inputs as an array `[held, I]`.
    pub fn table(&self) -> Array2<f64> {
        let n_inputs = self.inputs[0].input.len();
        Array2::from_shape_fn((self.inputs.len(), n_inputs), |(k, i)| {
            self.inputs[k].input[i]
        })
    }
}

impl HeldInput {
    /// Describes the values of the input: by the names of the channels that are not 0 or, for a layer above the first, by the mean of the
    /// rates below.
    pub fn channels(&self, study: &Study) -> String {
        if study.rates_below.is_some() {
            let mean = self.input.mean().unwrap_or(0.0);
            return format!("mean rate of the layer below {}", short(mean));
        }
        let names = study.input_names();
        let values = self.input.iter().zip(&names);
        let named = values.filter(|(u, _)| **u != 0.0);
        let named: Vec<String> = named
            .map(|(u, name)| format!("{} {}", spoken(name), short(*u)))
            .collect();
        match named.len() {
            0 if self.input.is_empty() => "no inputs".to_owned(),
            0 => "all inputs 0".to_owned(),
            n if n > MOST_CHANNELS => {
                let first = named[..MOST_CHANNELS].join(", ");
                format!("{first} and {} other inputs", n - MOST_CHANNELS)
            }
            _ => named.join(", "),
        }
    }

    /// Returns at most `most` states that the network visits under this input, spread evenly over the trials and epochs
    /// that have it; those of all trials if it was given by the user.
    pub fn visited(&self, study: &Study, most: usize) -> Array2<f64> {
        let steps = |place: &HeldEpoch| {
            let of = |&b: &usize| {
                let steps = steps_of(&study.batch, b, place.epoch);
                steps.map(move |t| (b, t)).collect::<Vec<_>>()
            };
            place.trials.iter().flat_map(of).collect::<Vec<_>>()
        };
        let places: Vec<(usize, usize)> = if self.places.is_empty() {
            study.visited_steps().collect()
        } else {
            self.places.iter().flat_map(steps).collect()
        };
        study.states_at(&places, most)
    }

    /// Returns the trial and the time step at the end of each of the epochs with this input; of all trials if it was given by the user.
    fn ends(&self, study: &Study) -> Vec<(usize, usize)> {
        let end = |place: &HeldEpoch, b: usize| {
            let steps = steps_of(&study.batch, b, place.epoch);
            Some((b, steps.last()?))
        };
        let ends = self.places.iter().flat_map(|place| {
            let ends = place.trials.iter().filter_map(|&b| end(place, b));
            ends.collect::<Vec<_>>()
        });
        if self.places.is_empty() {
            let last = |b: usize| Some((b, study.batch.n_steps[b].checked_sub(1)?));
            return (0..study.batch.n_trials).filter_map(last).collect();
        }
        ends.collect()
    }

    /// Computes the mean over trials of the last state in the epochs with this input.
    pub fn mean_end(&self, study: &Study) -> Array1<f64> {
        let ends = self.ends(study);
        let states = study.states_at(&ends, ends.len());
        states
            .mean_axis(Axis(0))
            .unwrap_or_else(|| Array1::zeros(study.dynamics.n_units()))
    }

    /// Computes the means of the synapses' states, as [`mean_end`](Self::mean_end); `None` without short-term plasticity or trials.
    pub fn mean_end_synapses(&self, study: &Study) -> Option<SynapseStates<Array1<f64>>> {
        let synapses = study.synapses.as_ref()?;
        let ends = self.ends(study);
        let mean = |all: &Array3<f64>| {
            let rows = ends
                .iter()
                .map(|&(b, t)| all.slice(s![b, t, ..]).to_owned());
            let sum = rows.reduce(|sum, row| sum + row)?;
            Some(sum / ends.len() as f64)
        };
        Some(SynapseStates {
            utilisation: mean(&synapses.utilisation)?,
            resources: mean(&synapses.resources)?,
        })
    }
}

/// Held inputs on the way.
#[derive(Default)]
struct Collected {
    inputs: Vec<HeldInput>,
    stimuli: Vec<Stimulus>,
    /// For each input, the names of the groups that have it and the number of all groups, by epoch.
    groups: Vec<Vec<(&'static str, Vec<String>, usize)>>,
    /// Epochs with conditions at their median, those with the input of a single trial, and those in which inputs change.
    at_median: Vec<(&'static str, String)>,
    single: Vec<&'static str>,
    changing: Vec<&'static str>,
}

impl Collected {
    fn add_epoch(&mut self, study: &Study, medians: &Medians, e: usize, grouping: Grouping) {
        let Grouping {
            groups,
            shown,
            telling,
            by,
        } = grouping;
        let epoch = medians.epochs[e];
        self.add_stimuli(study, medians, e, &shown);
        let others: Vec<String> = telling
            .into_iter()
            .filter(|name| !by.contains(name))
            .collect();
        let n_groups = groups.len();
        let changes = |b: &usize| {
            let input = medians.held()[*b][e].as_ref();
            input.is_some_and(|input| !input.is_constant)
        };
        if groups.iter().any(|group| group.trials.iter().any(changes)) {
            self.changing.push(epoch);
        }
        let mut is_at_median = false;
        for mut group in groups {
            let Some((input, trial)) = medians.typical(study, e, &group.trials, &others) else {
                continue;
            };
            match trial {
                // Where there is no input, no trial needs to be named.
                Some(_) if input.iter().all(|u| *u == 0.0) => {}
                Some(b) => {
                    group.name = name_of_trial(study, &group.name, &others, b);
                    self.single.push(epoch);
                }
                None => is_at_median = true,
            }
            self.add_group(input, epoch, group, n_groups);
        }
        self.single.dedup();
        if is_at_median && !others.is_empty() {
            let label = |name: &String| quantity_of(study.task, name).label;
            let others: Vec<String> = others.iter().map(label).collect();
            self.at_median.push((epoch, listed(&others)));
        }
    }

    /// Adds the quantities that change the input of an epoch: conditions, and signed evidence in place of a strength and a
    /// side. There is nothing between the names of other conditions, such as contexts.
    fn add_stimuli(&mut self, study: &Study, medians: &Medians, e: usize, telling: &[String]) {
        let batch = &study.batch;
        let signed = evidence(batch, &shown_trials(batch)).and_then(|found| {
            let parts = found.strength_and_side()?.clone();
            let are_telling = parts.iter().all(|part| telling.contains(part));
            are_telling.then_some((found, parts))
        });
        let mut variables: Vec<(String, &[f64])> = Vec::new();
        if let Some((found, _)) = &signed {
            variables.push((found.quantity(study.task).label, &found.values));
        }
        let is_quantity = |name: &&String| {
            let is_context = CONTEXTS.contains(&name.as_str());
            !is_context && matches!(study.task.meaning(name), Meaning::Quantity(_))
        };
        for name in telling.iter().filter(is_quantity) {
            let is_part = signed
                .as_ref()
                .is_some_and(|(_, parts)| parts.contains(name));
            let values = column(batch, name).filter(|_| !is_part);
            let label = quantity_of(study.task, name).label;
            variables.extend(values.map(|values| (label, values)));
        }
        let found = variables.into_iter().filter_map(|(label, values)| {
            Some(Stimulus {
                label,
                epoch: medians.epochs[e],
                change: medians.change(study, e, values)?,
            })
        });
        self.stimuli.extend(found);
    }

    /// Adds the input of one of the groups of an epoch, or its place if the input is known.
    fn add_group(
        &mut self,
        input: Array1<f64>,
        epoch: &'static str,
        group: Group,
        n_groups: usize,
    ) {
        let known = self.inputs.iter().position(|held| held.input == input);
        let k = known.unwrap_or_else(|| {
            self.inputs.push(HeldInput {
                input,
                name: String::new(),
                places: Vec::new(),
            });
            self.groups.push(Vec::new());
            self.inputs.len() - 1
        });
        match self.groups[k].last_mut() {
            Some((last, names, _)) if *last == epoch => names.push(group.name.clone()),
            _ => self.groups[k].push((epoch, vec![group.name.clone()], n_groups)),
        }
        self.inputs[k].places.push(HeldEpoch {
            epoch,
            group: group.name,
            trials: group.trials,
        });
    }

    fn finish(mut self, study: &Study, most: usize) -> HeldInputs {
        for (held, groups) in self.inputs.iter_mut().zip(&self.groups) {
            held.name = name(groups);
        }
        let n = self.inputs.len();
        let mut notes: Vec<String> = Vec::new();
        if study.rates_below.is_some() {
            notes.push("the inputs are the rates of the layer below, held as they are at the end of each epoch".to_owned());
        }
        for (conditions, epochs) in joined(&self.at_median) {
            notes.push(format!(
                "{conditions} at the median in {epochs}; --by tells the values apart"
            ));
        }
        let spoken_list = |epochs: &[&str]| {
            let epochs: Vec<String> = epochs.iter().map(|epoch| spoken(epoch)).collect();
            listed(&epochs)
        };
        if !self.single.is_empty() {
            notes.push(format!(
                "the inputs in {} are those of one trial of each group, which the name describes; --by tells the conditions apart",
                spoken_list(&self.single)
            ));
        }
        if !self.changing.is_empty() {
            notes.push(format!(
                "the inputs change during {}: a channel that changes is held at 0 if its values include or surround 0, otherwise at its median over time",
                spoken_list(&self.changing)
            ));
        }
        if n > most {
            self.inputs = longest(self.inputs, study, most.max(1));
            notes.push(format!(
                "{} of {n} inputs are left out, those that are held shortest; --where chooses trials, and the option most_inputs allows more",
                n - self.inputs.len()
            ));
        }
        HeldInputs {
            inputs: self.inputs,
            stimuli: self.stimuli,
            notes,
        }
    }
}

/// Names a group of trials by its name and the conditions of the trial that stands for it.
fn name_of_trial(study: &Study, group: &str, conditions: &[String], b: usize) -> String {
    let values = conditions.iter().filter_map(|name| {
        let value = column(&study.batch, name)?[b];
        Some(level_name(study.task, name, value))
    });
    let mut parts: Vec<String> = (!group.is_empty())
        .then(|| group.to_owned())
        .into_iter()
        .chain(values)
        .collect();
    if conditions.is_empty() {
        parts.push(format!("trial {b}"));
    }
    parts.join(", ")
}

/// Joins the epochs of each list of conditions.
fn joined(at_median: &[(&'static str, String)]) -> Vec<(String, String)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for (epoch, conditions) in at_median {
        match found.iter_mut().find(|(known, _)| known == conditions) {
            Some((_, epochs)) => epochs.push(spoken(epoch)),
            None => found.push((conditions.clone(), vec![spoken(epoch)])),
        }
    }
    let text = |(conditions, epochs): (String, Vec<String>)| (conditions, listed(&epochs));
    found.into_iter().map(text).collect()
}

/// Names an input by its epochs, and by its groups where not all groups of an epoch have it.
fn name(groups: &[(&'static str, Vec<String>, usize)]) -> String {
    const MOST_NAMED: usize = 2;
    let mut parts: Vec<(Vec<String>, String)> = Vec::new();
    for (epoch, names, n_groups) in groups {
        let text = match names.len() {
            n if n == *n_groups && (n > 1 || names[0].is_empty()) => String::new(),
            n if n <= MOST_NAMED => names.join(" or "),
            n => format!("{} and {} other groups", names[0], n - 1),
        };
        match parts.iter_mut().find(|(_, known)| *known == text) {
            Some((epochs, _)) => epochs.push(spoken(epoch)),
            None => parts.push((vec![spoken(epoch)], text)),
        }
    }
    let part = |(epochs, group): (Vec<String>, String)| match group.as_str() {
        "" => epochs.join(", "),
        group => format!("{}, {group}", epochs.join(", ")),
    };
    let parts: Vec<String> = parts.into_iter().map(part).collect();
    parts.join("; ")
}

/// Keeps the inputs that are held longest: the first of each group, then the second of each.
fn longest(inputs: Vec<HeldInput>, study: &Study, most: usize) -> Vec<HeldInput> {
    let n_steps = |held: &HeldInput| {
        let of = |place: &HeldEpoch| {
            let steps = |&b: &usize| {
                span(
                    &study.batch.timelines[b],
                    place.epoch,
                    study.batch.n_steps[b],
                )
                .len()
            };
            place.trials.iter().map(steps).sum::<usize>()
        };
        held.places.iter().map(of).sum::<usize>()
    };
    let lengths: Vec<usize> = inputs.iter().map(n_steps).collect();
    let group = |k: usize| inputs[k].places.first().map(|place| &place.group);
    let rank = |k: usize| {
        let longer = |&j: &usize| (lengths[j], k) > (lengths[k], j);
        (0..inputs.len())
            .filter(|&j| group(j) == group(k))
            .filter(longer)
            .count()
    };
    let mut order: Vec<usize> = (0..inputs.len()).collect();
    order.sort_by_key(|&k| (rank(k), std::cmp::Reverse(lengths[k])));
    let kept: HashSet<usize> = order.into_iter().take(most).collect();
    let numbered = inputs.into_iter().enumerate();
    numbered
        .filter(|(k, _)| kept.contains(k))
        .map(|(_, held)| held)
        .collect()
}
