//! Arrays of one trial file: reading, checking, and extraction of trials.
//!
//! They stay in memory in the types of the file. Values after the end of a trial (`n_steps`) or under a mask of 0 are
//! ignored: they may be anything, and are 0 in the extracted trials.

mod array_reader;
mod recordings;
mod unit_recordings;

use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};

use ctrnn_config::counted;
use ctrnn_files::npz::NpzReader;
use ctrnn_files::{Dtype, PackedArray};
use ctrnn_tasks::{Clock, Layout, Mask, Target, TargetKind, TaskError, Timeline, Trial};

use crate::trials::decimal::decimal;
use array_reader::{MAX_VALUE, is_usable};
use unit_recordings::UnitRecordings;

pub(crate) use array_reader::ArrayReader;

/// Largest number of classes. Each class is an output, so a larger label is assumed to be a mistake.
const MAX_CLASSES: u32 = 4096;
/// Number of values that are checked together.
const AT_ONCE: usize = 1 << 16;

/// Checked arrays of one trial file.
pub(crate) struct TrialFile {
    pub(crate) path: PathBuf,
    pub(crate) n_trials: usize,
    pub(crate) n_inputs: usize,
    /// Number of outputs implied by the file; with labels, by the largest class.
    pub(crate) n_outputs: usize,
    /// Kind of target.
    pub(crate) target_kind: TargetKind,
    /// Names and values of the conditions, `[trial]`.
    pub(crate) conditions: Vec<(String, Vec<f64>)>,
    /// True for each class that occurs among the labels that count.
    pub(crate) classes: Vec<bool>,
    /// Notes on unusual data that is not an error.
    pub(crate) notes: Vec<String>,
    key: &'static str,
    max_steps: usize,
    /// Number of time steps of each trial; `None` if all trials have the same length.
    n_steps: Option<Vec<u32>>,
    inputs: PackedArray,
    target: PackedArray,
    mask: Option<PackedArray>,
    recordings: Option<UnitRecordings>,
}

impl std::fmt::Debug for TrialFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sizes = [self.n_trials, self.max_steps, self.n_inputs, self.n_outputs];
        f.debug_tuple("TrialFile")
            .field(&self.path)
            .field(&sizes)
            .finish()
    }
}

impl TrialFile {
    /// Reads a trial file.
    ///
    /// # Errors
    /// Names the array, the position in it, the problem and its remedy.
    pub(crate) fn read(path: &Path, clock: Clock) -> Result<Self, TaskError> {
        Self::from_arrays(
            ArrayReader::new("files", path, NpzReader::open(path))?,
            clock,
        )
    }

    /// Checks the arrays and takes them.
    pub(crate) fn from_arrays(mut reader: ArrayReader, clock: Clock) -> Result<Self, TaskError> {
        check_dt(&reader, clock)?;
        let Some(inputs) = reader.arrays.remove("inputs") else {
            return Err(reader.error("has no array inputs [trial, time, input]"));
        };
        let [n_trials, max_steps, n_inputs] = input_shape(&reader, inputs.shape())?;
        let sizes = [n_trials, max_steps];
        check_axes(&reader, inputs.shape())?;
        let n_steps = read_n_steps(&reader, sizes)?;
        let conditions = take_conditions(&mut reader, n_trials)?;
        reader.add_silent_output(sizes)?;
        let (target_kind, target, n_outputs) = take_target(&mut reader, sizes)?;
        let mask = take_mask(&mut reader, sizes, target_kind, n_outputs)?;
        let recordings = UnitRecordings::take(&mut reader, sizes)?;
        let mut file = Self {
            path: reader.path.to_owned(),
            key: reader.key,
            n_trials,
            n_inputs,
            n_outputs,
            target_kind,
            conditions,
            classes: Vec::new(),
            notes: Vec::new(),
            max_steps,
            n_steps,
            inputs,
            target,
            mask,
            recordings,
        };
        file.check_inputs()?;
        file.check_mask()?;
        file.check_recordings()?;
        match target_kind {
            TargetKind::Values => file.check_targets()?,
            TargetKind::Classes => file.classes = file.counted_classes()?,
        }
        file.n_outputs = file.n_outputs.max(file.classes.len());
        file.notes.extend(file.note_axes());
        Ok(file)
    }

    /// Returns the number of time steps of a trial.
    pub(crate) fn steps(&self, b: usize) -> usize {
        let given = self.n_steps.as_ref().map(|n_steps| n_steps[b] as usize);
        given.unwrap_or(self.max_steps)
    }

    /// Returns the number of time steps of the shortest and of the longest trial.
    pub(crate) fn shortest_and_longest(&self) -> RangeInclusive<usize> {
        let n_steps = self.n_steps.iter().flatten();
        let shortest = n_steps
            .clone()
            .min()
            .map_or(self.max_steps, |&n| n as usize);
        let longest = n_steps.max().map_or(self.max_steps, |&n| n as usize);
        shortest..=longest
    }

    /// Returns true if the mask has a weight for each output.
    pub(crate) fn is_masked_by_output(&self) -> bool {
        let mask = self.mask.as_ref();
        mask.is_some_and(|mask| mask.shape().len() == 3)
    }

    /// Returns trial `b`, cut to its length, for the outputs of a layout, without its answer.
    pub(crate) fn trial(&self, b: usize, layout: &Layout) -> Trial {
        let n_steps = self.steps(b);
        let n_outputs = layout.outputs.len();
        let mut timeline = Timeline::default();
        timeline.push("trial", n_steps);
        let value = |(name, column): &(String, Vec<f64>)| (name.clone(), column[b]);
        Trial {
            n_steps,
            n_inputs: self.n_inputs,
            n_outputs,
            inputs: self.floats(&self.inputs, b, self.n_inputs),
            target: match self.target_kind {
                TargetKind::Values => Target::Values(self.target_values(b)),
                TargetKind::Classes => Target::Classes(self.target_classes(b, n_outputs)),
            },
            mask: match &self.mask {
                None => Mask::Steps(vec![1.0; n_steps]),
                Some(mask) if mask.shape().len() == 3 => {
                    Mask::Outputs(self.floats(mask, b, self.n_outputs))
                }
                Some(mask) => Mask::Steps(self.floats(mask, b, 1)),
            },
            unit_targets: self.unit_targets(b),
            condition: self.conditions.iter().map(value).collect(),
            correct: None,
            timeline,
        }
    }

    /// Returns the targets of a trial. Unusable values, allowed where nothing counts, become 0, because 0 times NaN is NaN.
    fn target_values(&self, b: usize) -> Vec<f32> {
        let mut values = self.floats(&self.target, b, self.n_outputs);
        let no_numbers = values.iter_mut().filter(|value| !is_usable(**value));
        no_numbers.for_each(|value| *value = 0.0);
        values
    }

    /// Returns the labels of a trial. Labels that are not classes, allowed where nothing counts, become 0.
    fn target_classes(&self, b: usize, n_outputs: usize) -> Vec<u32> {
        let labels = self.target.elements(self.within(b, 1)).integers();
        let class = |label: Option<i64>| {
            let class = label.and_then(|label| u32::try_from(label).ok());
            class.filter(|&class| (class as usize) < n_outputs)
        };
        labels.into_iter().map(|l| class(l).unwrap_or(0)).collect()
    }

    /// Returns the range of trial `b`, without padding, in an array `[trial, time, width]`.
    fn within(&self, b: usize, width: usize) -> Range<usize> {
        let start = b * self.max_steps * width;
        start..start + self.steps(b) * width
    }

    fn floats(&self, array: &PackedArray, b: usize, width: usize) -> Vec<f32> {
        array.elements(self.within(b, width)).into_f32_or_nan()
    }

    /// Returns the loss weight of each output at each time step of a trial, `[time, output]`.
    fn weights(&self, b: usize) -> Vec<f32> {
        let Some(mask) = &self.mask else {
            return vec![1.0; self.steps(b) * self.n_outputs];
        };
        match mask.shape().len() {
            3 => self.floats(mask, b, self.n_outputs),
            _ => {
                let by_step = self.floats(mask, b, 1).into_iter();
                by_step
                    .flat_map(|weight| std::iter::repeat_n(weight, self.n_outputs))
                    .collect()
            }
        }
    }

    /// Returns the trials with invalid numbers in an array `[trial, time, width]`. Most files have none, which is
    /// determined without a loop over trials.
    fn suspects<'a>(
        &'a self,
        array: &'a PackedArray,
        width: usize,
        is_fine: fn(f32) -> bool,
    ) -> impl Iterator<Item = usize> + 'a {
        let row = (self.max_steps * width).max(1);
        let together = (AT_ONCE / row).max(1);
        let blocks = (0..self.n_trials)
            .step_by(together)
            .map(move |first| first..(first + together).min(self.n_trials));
        let is_whole = array.dtype() == Dtype::Bool || array.dtype() == Dtype::U8;
        let is_suspect = move |trials: &Range<usize>| {
            let numbers =
                trials.start * self.max_steps * width..trials.end * self.max_steps * width;
            let numbers = array.elements(numbers).into_f32_or_nan();
            !is_whole && !numbers.into_iter().all(is_fine)
        };
        blocks.filter(is_suspect).flatten()
    }

    /// Checks the inputs at all time steps of each trial, because they reach the network even where nothing counts.
    fn check_inputs(&self) -> Result<(), TaskError> {
        for b in self.suspects(&self.inputs, self.n_inputs, is_usable) {
            let inputs = self.floats(&self.inputs, b, self.n_inputs);
            let Some(at) = inputs.iter().position(|x| !is_usable(*x)) else {
                continue;
            };
            let found = self.text(&self.inputs, b, self.n_inputs, at);
            let (t, input) = (at / self.n_inputs, at % self.n_inputs);
            let is_padding = inputs[t * self.n_inputs..]
                .chunks_exact(self.n_inputs)
                .all(|row| row.iter().any(|x| x.is_nan()));
            let help = if is_padding && self.n_steps.is_none() {
                "if the trial ends there, say so: n_steps = np.isfinite(inputs).all(-1).sum(1)"
            } else {
                "for 0 in its place: inputs = np.nan_to_num(inputs, posinf=0, neginf=0)"
            };
            let place = format!("trial {b}, time step {t}, input {input}");
            return Err(self.not_a_number("inputs", &found, &place, help));
        }
        Ok(())
    }

    fn check_targets(&self) -> Result<(), TaskError> {
        for b in self.suspects(&self.target, self.n_outputs, is_usable) {
            let targets = self.floats(&self.target, b, self.n_outputs);
            let mut counted = targets.iter().zip(self.weights(b));
            let Some(at) = counted.position(|(x, weight)| weight > 0.0 && !is_usable(*x)) else {
                continue;
            };
            let found = self.text(&self.target, b, self.n_outputs, at);
            let (t, output) = (at / self.n_outputs, at % self.n_outputs);
            let place = format!("trial {b}, time step {t}, output {output}");
            let help = match &self.mask {
                None => "if it does not count: mask = np.isfinite(targets)",
                Some(mask) if mask.shape().len() == 3 => {
                    "if it does not count: mask = mask * np.isfinite(targets)"
                }
                Some(_) => "if it does not count: mask = mask[..., None] * np.isfinite(targets)",
            };
            return Err(self.not_a_number("targets", &found, &place, help));
        }
        Ok(())
    }

    /// Returns, for each class, true if it occurs among the labels that count.
    fn counted_classes(&self) -> Result<Vec<bool>, TaskError> {
        let mut classes = Vec::new();
        for b in 0..self.n_trials {
            for (t, label) in self.counted_labels(b) {
                let class = label.and_then(|label| u32::try_from(label).ok());
                let Some(class) = class.filter(|&class| class < MAX_CLASSES) else {
                    return Err(self.not_a_class(b, t));
                };
                let class = class as usize;
                classes.resize(classes.len().max(class + 1), false);
                classes[class] = true;
            }
        }
        classes.resize(classes.len().max(1), false);
        Ok(classes)
    }

    /// Returns the labels of a trial that count, with their time steps.
    fn counted_labels(&self, b: usize) -> impl Iterator<Item = (usize, Option<i64>)> {
        let labels = self.target.elements(self.within(b, 1)).integers();
        let mask = self.mask.as_ref().map(|mask| self.floats(mask, b, 1));
        let counts = move |t: usize| mask.as_ref().is_none_or(|mask| mask[t] > 0.0);
        let numbered = labels.into_iter().enumerate();
        numbered.filter(move |(t, _)| counts(*t))
    }

    /// Checks that a network with this number of outputs has one for each label that counts.
    pub(crate) fn check_outputs(&self, n_outputs: usize) -> Result<(), TaskError> {
        let beyond = |b: usize| {
            let mut labels = self.counted_labels(b);
            labels.find_map(|(t, label)| {
                let label = label.filter(|&label| label >= n_outputs as i64)?;
                Some((b, t, label))
            })
        };
        match (0..self.n_trials).find_map(beyond) {
            None => Ok(()),
            Some((b, t, label)) => {
                let what = format!(
                    "label {label} at trial {b}, time step {t} has no output: the network has {n_outputs}, for the classes 0 to {}",
                    n_outputs - 1
                );
                Err(self.error(what).with_help(format!(
                    "test a network with the classes that it was trained on; if this one does not count: mask = labels < {n_outputs}"
                )))
            }
        }
    }

    fn check_mask(&self) -> Result<(), TaskError> {
        let Some(mask) = &self.mask else {
            return Ok(());
        };
        let width = mask.shape().get(2).copied().unwrap_or(1);
        for b in self.suspects(mask, width, |weight| weight >= 0.0 && is_usable(weight)) {
            let weights = self.floats(mask, b, width);
            let wrong = |weight: &f32| !(is_usable(*weight) && *weight >= 0.0);
            let Some(at) = weights.iter().position(wrong) else {
                continue;
            };
            let found = self.text(mask, b, width, at);
            let place = self.place_in_mask(b, at, width);
            let what = format!(
                "mask holds {found} at {place}; it must be 0 (does not count) or more, at most {MAX_VALUE:e}"
            );
            let is_too_large = found.parse::<f64>().is_ok_and(|x| x > 0.0 && x.is_finite());
            return Err(self.error(what).with_help(if is_too_large {
                "mask = mask / mask.max()"
            } else {
                "mask = np.nan_to_num(mask, posinf=0).clip(0)"
            }));
        }
        let counts = |b: usize| {
            self.floats(mask, b, width)
                .iter()
                .any(|&weight| weight > 0.0)
        };
        if self.recordings.is_some() || (0..self.n_trials).any(counts) {
            Ok(())
        } else {
            Err(self.error("mask is 0 everywhere, so no output counts in the loss"))
        }
    }

    fn place_in_mask(&self, b: usize, at: usize, width: usize) -> String {
        if self.is_masked_by_output() {
            format!("trial {b}, time step {}, output {}", at / width, at % width)
        } else {
            format!("trial {b}, time step {at}")
        }
    }

    /// Formats an element of trial `b` as stored in the file.
    fn text(&self, array: &PackedArray, b: usize, width: usize, at: usize) -> String {
        let index = self.within(b, width).start + at;
        let text = array.elements(index..index + 1).text(0);
        match text.parse::<f64>() {
            Ok(number) if text.len() > 20 => format!("{number:e}"), // 1e25 is a one and 25 zeros
            _ => text,
        }
    }

    fn error(&self, message: impl std::fmt::Display) -> TaskError {
        TaskError::data(self.key, format!("{}: {message}", self.path.display()))
    }

    fn not_a_number(&self, name: &str, found: &str, place: &str, help: &str) -> TaskError {
        let is_number = found.parse::<f64>().is_ok_and(f64::is_finite);
        if is_number {
            self
                .error(format!(
                    "{name} holds {found} at {place}, which is too large to train on: at most {MAX_VALUE:e}"
                ))
                .with_help(format!(
                    "scale it, for instance {name} = {name} / {name}.std()"
                ))
        } else {
            self.error(format!("{name} holds {found} at {place}"))
                .with_help(help)
        }
    }

    fn not_a_class(&self, b: usize, t: usize) -> TaskError {
        let found = self.text(&self.target, b, 1, t);
        let what = format!(
            "label {found} at trial {b}, time step {t} is not a class: classes are 0, 1, ... up to {}",
            MAX_CLASSES - 1
        );
        let counts = match &found[..] {
            "NaN" => "np.isfinite(labels)".to_owned(),
            _ => format!("(labels != {found})"),
        };
        let mask = match &self.mask {
            Some(_) => format!("mask * {counts}"),
            None => counts,
        };
        self.error(what).with_help(format!(
            "if it does not count: mask = {mask}; if classes have other numbers: \
             labels = np.unique(labels, return_inverse=True)[1].reshape(labels.shape)"
        ))
    }

    /// Returns a note if the axes of trials and time steps may be swapped and no other array distinguishes them.
    fn note_axes(&self) -> Option<String> {
        let [n_trials, n_steps] = [self.n_trials, self.max_steps];
        if self.n_steps.is_some() || !self.conditions.is_empty() || n_trials < 2 {
            return None;
        }
        let name = match self.target_kind {
            TargetKind::Values if self.recordings.is_some() => "unit_targets",
            TargetKind::Values => "targets",
            TargetKind::Classes => "labels",
        };
        let sign = if self.has_one_target_for_all_trials() {
            format!(
                "all {n_trials} trials have the same {name}, which differ from time step to time step"
            )
        } else if n_trials < n_steps {
            format!(
                "{} of {} each",
                counted(n_trials, "trial"),
                counted(n_steps, "time step")
            )
        } else {
            return None;
        };
        Some(format!(
            "{}: {sign}; if its first axis is time, not trial: inputs = inputs.swapaxes(0, 1), and likewise {name}",
            self.path.display()
        ))
    }

    fn has_one_target_for_all_trials(&self) -> bool {
        let width = self.target.shape().get(2).copied().unwrap_or(1);
        let row = self.max_steps * width;
        let first = self.target.elements(0..row);
        let step = |t: usize| self.target.elements(t * width..(t + 1) * width);
        let differs = (1..self.max_steps).any(|t| step(t) != step(0));
        differs && (1..self.n_trials).all(|b| self.target.elements(b * row..(b + 1) * row) == first)
    }
}

fn check_dt(reader: &ArrayReader, clock: Clock) -> Result<(), TaskError> {
    let Some(array) = reader.arrays.get("dt_ms") else {
        return Ok(());
    };
    let values = array.unpacked().to_f64();
    let Ok([dt_ms]) = values.as_deref() else {
        return Err(reader.error("dt_ms must be one number"));
    };
    if (dt_ms - clock.dt_ms()).abs() <= 1e-6 * clock.dt_ms() {
        return Ok(());
    }
    let shortest = *dt_ms as f32;
    if !(shortest.is_finite() && shortest > 0.0) {
        let message = format!("dt_ms is {dt_ms}; it must be the length of a time step in ms");
        let help = format!("dt_ms = {}, or leave it out", clock.dt_ms());
        return Err(reader.error(message).with_help(help));
    }
    let message = format!(
        "has time steps of {shortest} ms, but time.dt_ms = {}",
        clock.dt_ms()
    );
    let help = format!("set time.dt_ms={shortest}");
    Err(reader.error(message).with_help(help))
}

/// Returns the numbers of trials, time steps and inputs.
fn input_shape(reader: &ArrayReader, shape: &[usize]) -> Result<[usize; 3], TaskError> {
    let wrong = || {
        reader.error(format!(
            "inputs has shape {shape:?}, but must be [trial, time, input]"
        ))
    };
    match *shape {
        [0, _, _] | [_, 0, _] => Err(reader.error(format!(
            "inputs has shape {shape:?}: no trial or no time step"
        ))),
        [n_trials, n_steps, n_inputs] => Ok([n_trials, n_steps, n_inputs]),
        [_, _] => Err(wrong().with_help(
            "with one input: inputs = inputs[..., None]; with one trial: inputs = inputs[None]",
        )),
        [_] => Err(wrong().with_help("inputs = inputs.reshape(n_trials, n_steps, n_inputs)")),
        _ => Err(wrong().with_help("inputs = inputs.reshape(*inputs.shape[:2], -1)")),
    }
}

/// Checks the order of the axes of the inputs against arrays whose axes are known.
fn check_axes(reader: &ArrayReader, inputs: &[usize]) -> Result<(), TaskError> {
    let shape = |name: &str| reader.arrays.get(name).map(PackedArray::shape);
    let rows = ["labels", "targets", "mask", "unit_targets"]
        .into_iter()
        .find_map(|name| {
            let shape = shape(name)?.get(..2)?;
            Some((name, [shape[0], shape[1]]))
        });
    let mut columns = reader.arrays.iter().filter(|(name, array)| {
        (*name == "n_steps" || name.starts_with("cond_")) && array.shape().len() == 1
    });
    let count = columns.next().map(|(name, array)| (name, array.shape()[0]));
    let count = count.filter(|(_, n)| columns.all(|(_, array)| array.shape()[0] == *n));
    let n_is = |size: usize| count.is_some_and(|(_, n)| n == size);
    let [b, t, i] = [inputs[0], inputs[1], inputs[2]];
    let (order, others) = match rows {
        Some((_, found)) if found == [b, t] && !n_is(b) && n_is(t) => ("swapaxes(0, 1)", true),
        Some((_, found)) if found == [t, b] && found != [b, t] && n_is(t) => {
            ("swapaxes(0, 1)", false)
        }
        None if !n_is(b) && n_is(t) => ("swapaxes(0, 1)", false),
        Some((_, found)) if found == [b, t] || found == [t, b] => return Ok(()),
        Some((_, found)) if found == [t, i] && n_is(i) => ("T", true), // MATLAB 7.3 reverses the order of all axes
        Some((_, found)) if found == [b, i] => ("transpose(0, 2, 1)", false),
        Some((_, found)) if found == [t, i] => ("transpose(1, 2, 0)", false),
        Some((_, found)) if found == [i, b] => ("transpose(2, 0, 1)", false),
        Some((_, found)) if found == [i, t] => ("transpose(2, 1, 0)", false),
        _ => return Ok(()),
    };
    let mut evidence: Vec<String> = rows
        .iter()
        .map(|(name, _)| format!("{name} has shape {:?}", shape(name).unwrap_or_default()))
        .collect();
    evidence.extend(count.map(|(name, n)| format!("{name} has {n} entries")));
    let and_others = match (rows, others) {
        (Some((name, _)), true) => {
            let turned = if order == "T" { "T" } else { "swapaxes(0, 1)" };
            format!("; {name} = {name}.{turned}, and so every array of trials")
        }
        _ => String::new(),
    };
    let what = format!(
        "inputs has shape {inputs:?}, but {}: its axes are not [trial, time, input]",
        evidence.join(" and ")
    );
    Err(reader
        .error(what)
        .with_help(format!("inputs = inputs.{order}{and_others}")))
}

/// Reads the length of each trial.
fn read_n_steps(
    reader: &ArrayReader,
    [n_trials, max_steps]: [usize; 2],
) -> Result<Option<Vec<u32>>, TaskError> {
    let Some(array) = reader.arrays.get("n_steps") else {
        return Ok(None);
    };
    reader.expect_shape("n_steps", array.shape(), &[n_trials])?;
    let mut lengths = Vec::with_capacity(n_trials);
    for first in (0..n_trials).step_by(AT_ONCE) {
        let some = array.elements(first..(first + AT_ONCE).min(n_trials));
        for (k, n) in some.integers().into_iter().enumerate() {
            let length = n.and_then(|n| u32::try_from(n).ok());
            let Some(length) = length.filter(|&n| (1..=max_steps).contains(&(n as usize))) else {
                let what = format!(
                    "n_steps holds {} at trial {}; it must be 1 to {max_steps}",
                    some.text(k),
                    first + k
                );
                let help = format!(
                    "n_steps = np.clip(np.nan_to_num(n_steps), 1, {max_steps}).astype(int)"
                );
                return Err(reader.error(what).with_help(help));
            };
            lengths.push(length);
        }
    }
    Ok(Some(lengths))
}

/// Reads labels or targets, and the number of outputs given by their shape: 1 for labels.
fn take_target(
    reader: &mut ArrayReader,
    [n_trials, max_steps]: [usize; 2],
) -> Result<(TargetKind, PackedArray, usize), TaskError> {
    let found = [
        reader.arrays.remove("labels"),
        reader.arrays.remove("targets"),
    ];
    match found {
        [Some(labels), None] => {
            reader.expect_shape("labels", labels.shape(), &[n_trials, max_steps])?;
            Ok((TargetKind::Classes, labels, 1))
        }
        [None, Some(targets)] => {
            let shape = targets.shape();
            if shape.len() < 3 {
                let help = if shape == [n_trials, max_steps] {
                    "it lacks its last axis: targets = targets[..., None]".to_owned()
                } else {
                    format!(
                        "targets = np.broadcast_to(targets, ({n_trials}, {max_steps}, n_outputs)) repeats them"
                    )
                };
                let what =
                    format!("targets has shape {shape:?}, but must be [trial, time, output]");
                return Err(reader.error(what).with_help(help));
            }
            let n_outputs = shape[shape.len() - 1];
            reader.expect_shape("targets", shape, &[n_trials, max_steps, n_outputs])?;
            match n_outputs {
                0 => Err(reader.error("targets have no output")),
                _ => Ok((TargetKind::Values, targets, n_outputs)),
            }
        }
        [None, None] => {
            Err(reader.error(
                "has neither labels [trial, time] nor targets [trial, time, output], nor unit_targets [trial, time, unit]",
            ))
        }
        [Some(_), Some(_)] => {
            Err(reader.error("has both labels and targets; keep the one that is to be learned"))
        }
    }
}

fn take_mask(
    reader: &mut ArrayReader,
    [n_trials, max_steps]: [usize; 2],
    target: TargetKind,
    n_outputs: usize,
) -> Result<Option<PackedArray>, TaskError> {
    let Some(mask) = reader.arrays.remove("mask") else {
        return Ok(None);
    };
    if mask.shape().len() == 3 && target == TargetKind::Classes {
        return Err(reader
            .error("labels take a mask [trial, time], not one per output")
            .with_help("mask = mask.any(-1)"));
    }
    match mask.shape().len() {
        3 => reader.expect_shape("mask", mask.shape(), &[n_trials, max_steps, n_outputs])?,
        _ => reader.expect_shape("mask", mask.shape(), &[n_trials, max_steps])?,
    }
    Ok(Some(mask))
}

/// Reads the conditions of each trial. NaN means that one does not apply, as a coherence does not to a catch trial.
fn take_conditions(
    reader: &mut ArrayReader,
    n_trials: usize,
) -> Result<Vec<(String, Vec<f64>)>, TaskError> {
    let names = reader
        .arrays
        .keys()
        .filter(|name| name.starts_with("cond_"));
    let names: Vec<String> = names.cloned().collect();
    let mut conditions = Vec::new();
    for name in &names {
        let Some((condition, array)) = name.strip_prefix("cond_").zip(reader.arrays.remove(name))
        else {
            continue;
        };
        reader.expect_shape(name, array.shape(), &[n_trials])?;
        let values = values_of_condition(reader, name, &array)?;
        conditions.push((condition.to_owned(), values));
    }
    Ok(conditions)
}

/// Returns the values of a condition, `[trial]`.
fn values_of_condition(
    reader: &ArrayReader,
    name: &str,
    array: &PackedArray,
) -> Result<Vec<f64>, TaskError> {
    let n_trials = array.shape()[0];
    let inexact = |error: &dyn std::fmt::Display| {
        reader.error(format!("{name}: {error}")).with_help(format!(
            "{name} = np.unique({name}, return_inverse=True)[1] numbers its values; nanoseconds in seconds: {name} = {name} / 1e9"
        ))
    };
    let mut values = Vec::with_capacity(n_trials);
    for first in (0..n_trials).step_by(AT_ONCE) {
        let some = array.elements(first..(first + AT_ONCE).min(n_trials));
        values.extend(decimal(some, array.dtype()).map_err(|error| inexact(&error))?);
    }
    if let Some(b) = values.iter().position(|value| value.is_infinite()) {
        let what = format!("{name} holds an infinity at trial {b}");
        let help =
            format!("where it does not apply: {name} = np.where(np.isinf({name}), np.nan, {name})");
        return Err(reader.error(what).with_help(help));
    }
    Ok(values)
}
