//! Common input of all analyses: a network, its trials and its states.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use ctrnn_files::Array;
use ctrnn_model::{Form, UnitGroup};
use ctrnn_tasks::{Layout, Task, Timeline, TrialBatch};
use ndarray::{Array1, Array2, Array3, Axis};

use crate::held_inputs::Medians;
use crate::metrics::Metrics;
use crate::selectivity::d_prime;
use crate::{Dynamics, EpochNames, SynapseStates, ToArray, TrialRecord, channel_arrays};

/// A network, its trials, and its states and outputs in them.
pub struct Study<'a> {
    /// Task of the run.
    pub task: &'a dyn Task,
    /// Trials on which the network was run.
    pub batch: TrialBatch,
    /// Noise-free dynamics of the network.
    pub dynamics: Dynamics,
    /// Dynamics of the network before training, if it is known.
    pub before: Option<Dynamics>,
    /// Potentials `v`, or the drive `z` in the rate form, `[trial, time, unit]`.
    pub potentials: Array3<f64>,
    /// Rates `r`, `[trial, time, unit]`.
    pub rates: Array3<f64>,
    /// Outputs of the network, `[trial, time, output]`.
    pub outputs: Array3<f64>,
    /// Rates of the layer below `[trial, time, unit]`, which are the inputs of a layer above the first of a stack; none for the first.
    pub rates_below: Option<Array3<f64>>,
    /// States of the synapses `[trial, time, unit]`, with short-term plasticity.
    pub synapses: Option<SynapseStates<Array3<f64>>>,
    /// Sign of each unit, +1 or -1, under Dale's law.
    pub signs: Option<Vec<f64>>,
    /// Areas and cell types of the units; empty for a network without areas.
    pub groups: Vec<UnitGroup>,
    /// Area to which the study is restricted ([`Study::restrict_to_area`]).
    pub area: Option<String>,
    /// Training metrics of the run.
    pub metrics: Option<Metrics>,
    /// Other networks on the same trials.
    pub peers: Vec<Peer>,
    /// Conditions by which analyses group or split the trials; if empty, they choose.
    pub by: Vec<String>,
    /// Seed of all random numbers: bootstraps, initial states of searches.
    pub seed: u64,
    /// Values that several analyses need.
    pub shared: Shared,
}

/// Values of a study that several analyses need, computed for the first of them. Code that changes trials or states
/// replaces them by the default.
#[derive(Default)]
pub struct Shared {
    nonfinite: OnceLock<Option<[usize; 2]>>,
    pub(crate) medians: OnceLock<Medians>,
}

/// Another network that was run on the same trials.
pub struct Peer {
    /// Name of the network in results.
    pub name: String,
    /// Rates `r`, `[trial, time, unit]`.
    pub rates: Array3<f64>,
    /// Training metrics of its run.
    pub metrics: Option<Metrics>,
}

/// Converts an array of a file to an array of three dimensions.
///
/// # Panics
/// If it has another number of dimensions.
pub fn three_dimensional(array: &Array) -> Array3<f64> {
    let shape = array.shape();
    assert_eq!(
        shape.len(),
        3,
        "an array of shape {shape:?} is not three-dimensional"
    );
    let values = array.to_f64().expect("numbers that f32 holds are f64 too");
    Array3::from_shape_vec((shape[0], shape[1], shape[2]), values)
        .expect("as many values as the shape says")
}

impl Study<'_> {
    /// Returns the inputs and outputs of the task.
    pub fn layout(&self) -> Layout {
        self.task.layout()
    }

    /// Returns the names of the inputs of the network: those of the task, or the units of the layer below.
    pub(crate) fn input_names(&self) -> Vec<String> {
        match &self.rates_below {
            Some(rates) => (0..rates.dim().2)
                .map(|unit| format!("unit {unit}"))
                .collect(),
            None => self.layout().inputs,
        }
    }

    /// Returns the names of the outputs that the network drives; none for a layer below the last one.
    pub(crate) fn output_names(&self) -> Vec<String> {
        let mut names = self.layout().outputs;
        names.truncate(self.dynamics.w_out.nrows());
        names
    }

    /// Returns the states of the dynamics `[trial, time, unit]`: potentials, or rates in the rate form.
    pub fn states(&self) -> &Array3<f64> {
        match self.dynamics.form {
            Form::Voltage => &self.potentials,
            Form::Rate => &self.rates,
        }
    }

    /// Computes the rates `[time, unit]` of a trial as its recurrent connections transmit them in the time step after each: with
    /// short-term plasticity `r u' x'`, otherwise r.
    pub fn transmitted(&self, b: usize) -> Array2<f64> {
        let n_steps = self.batch.n_steps[b];
        let rates = self.rates.slice(ndarray::s![b, ..n_steps, ..]);
        let (Some(plastic), Some(synapses)) = (&self.dynamics.synapses, &self.synapses) else {
            return rates.to_owned();
        };
        let own = |all: &Array3<f64>| all.slice(ndarray::s![b, ..n_steps, ..]).to_owned();
        let mut states = SynapseStates {
            utilisation: own(&synapses.utilisation),
            resources: own(&synapses.resources),
        };
        plastic.transmit(rates, &mut states)
    }

    /// Returns true for each state that belongs to a trial and not to its padding, `[trial, time]`.
    pub fn counts(&self) -> Array2<bool> {
        let shape = (self.batch.n_trials, self.batch.max_steps);
        Array2::from_shape_fn(shape, |(b, t)| t < self.batch.n_steps[b])
    }

    /// Returns all states that belong to a trial, one per row.
    pub fn all_states(&self) -> Array2<f64> {
        self.counted(self.states())
    }

    /// Returns the rows of `values [trial, time, k]` that belong to a trial.
    pub fn counted(&self, values: &Array3<f64>) -> Array2<f64> {
        let places =
            (0..self.batch.n_trials).flat_map(|b| (0..self.batch.n_steps[b]).map(move |t| (b, t)));
        let n_rows = self.batch.n_steps.iter().sum();
        let mut rows = Array2::zeros((n_rows, values.dim().2));
        for (mut row, (b, t)) in rows.outer_iter_mut().zip(places) {
            row.assign(&values.slice(ndarray::s![b, t, ..]));
        }
        rows
    }

    /// Returns trial and time step of the first non-finite state or output.
    pub fn first_nonfinite(&self) -> Option<[usize; 2]> {
        *self.shared.nonfinite.get_or_init(|| {
            let all = [&self.potentials, &self.rates, &self.outputs];
            all.into_iter().filter_map(first_nonfinite).min()
        })
    }

    /// Returns the number of inputs of the network, or of the analysed layer of a stack.
    pub(crate) fn n_inputs(&self) -> usize {
        (self.rates_below.as_ref()).map_or(self.batch.n_inputs, |rates| rates.dim().2)
    }

    /// Returns the inputs `[time, input]` of the network in a trial: those of the task, or the rates of the layer below.
    pub(crate) fn network_inputs(&self, b: usize) -> Array2<f64> {
        match &self.rates_below {
            Some(rates) => (rates.slice(ndarray::s![b, ..self.batch.n_steps[b], ..])).to_owned(),
            None => self.inputs(b),
        }
    }

    /// Returns the inputs `[time, input]` of the task in a trial.
    pub fn inputs(&self, b: usize) -> Array2<f64> {
        let width = self.batch.n_inputs;
        let rows = self.batch.rows(&self.batch.inputs, b, width);
        Array2::from_shape_fn((self.batch.n_steps[b], width), |(t, k)| {
            f64::from(rows[t * width + k])
        })
    }

    /// Returns the time step at which the choice of a trial is read: the last one that counts.
    pub fn answer_step(&self, b: usize) -> usize {
        self.batch
            .trial(b)
            .last_counted_step()
            .unwrap_or(self.batch.n_steps[b] - 1)
    }

    /// Returns the choices of the network, `[trial]`.
    pub fn choices(&self) -> Vec<Option<usize>> {
        let choice = |b: usize| self.task.choice(&self.batch.trial(b), &self.readout(b));
        (0..self.batch.n_trials).map(choice).collect()
    }

    /// Returns, for each trial, true if the network was correct; `None` without a correct answer.
    pub fn is_correct(&self) -> Vec<Option<bool>> {
        let is_correct = |b: usize| self.task.is_correct(&self.batch.trial(b), &self.readout(b));
        (0..self.batch.n_trials).map(is_correct).collect()
    }

    /// Returns the outputs `[time, output]` of a trial, row by row.
    pub fn readout(&self, b: usize) -> Vec<f32> {
        let rows = self
            .outputs
            .slice(ndarray::s![b, ..self.batch.n_steps[b], ..]);
        rows.iter().map(|&y| y as f32).collect()
    }

    /// Returns lengths, epochs, conditions and answers of the trials, as arrays by name.
    pub(crate) fn trial_arrays(&self) -> BTreeMap<String, Array> {
        let mut epochs = EpochNames::default();
        self.batch
            .timelines
            .iter()
            .for_each(|timeline| epochs.add(timeline));
        let record = TrialRecord {
            task: self.task,
            batch: &self.batch,
            epochs: &epochs,
        };
        let mut arrays = record.rows(|b| self.readout(b));
        arrays.extend(epochs.names(self.task));
        arrays
    }

    /// Returns the arrays that name or number the positions along some axes.
    pub(crate) fn axis_arrays(&self, has_axis: impl Fn(&str) -> bool) -> BTreeMap<String, Array> {
        let signs = self.signs.as_deref();
        let layout = Layout {
            inputs: self.input_names(),
            outputs: self.output_names(),
            ..self.layout()
        };
        let mut arrays = channel_arrays(layout, self.dynamics.n_units(), signs, &self.groups);
        let t_ms = self.times_ms(self.batch.max_steps).to_array();
        arrays.insert("t_ms".to_owned(), t_ms);
        let axes = [
            ("t_ms", "time"),
            ("unit_names", "unit"),
            ("unit_areas", "unit"),
            ("unit_types", "unit"),
            ("input_names", "input"),
            ("output_names", "output"),
        ];
        let needed = |name: &str| {
            axes.iter()
                .any(|(known, axis)| *known == name && has_axis(axis))
        };
        arrays.retain(|name, _| needed(name));
        arrays
    }

    /// Returns the names of the epochs in order of appearance.
    pub fn epochs(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        for timeline in &self.batch.timelines {
            for (name, steps) in &timeline.epochs {
                if !steps.is_empty() && !names.contains(name) {
                    names.push(*name);
                }
            }
        }
        names
    }

    /// Computes the mean rates `[trial, unit]` within an epoch; NaN in a trial without it.
    pub fn rates_in(&self, epoch: &str) -> Array2<f64> {
        let mut means = Array2::from_elem((self.batch.n_trials, self.dynamics.n_units()), f64::NAN);
        for (b, mut row) in means.outer_iter_mut().enumerate() {
            let steps = steps_of(&self.batch, b, epoch);
            if let Some(mean) = self
                .rates
                .slice(ndarray::s![b, steps, ..])
                .mean_axis(Axis(0))
            {
                row.assign(&mean);
            }
        }
        means
    }

    /// Returns the last epoch, other than fixation and response, that at least half of the trials have; otherwise the one
    /// that most trials have. By then all stimuli have been shown.
    pub fn telling_epoch(&self) -> &'static str {
        let onset_and_count = |name: &&'static str| {
            let steps = (0..self.batch.n_trials).map(|b| steps_of(&self.batch, b, name));
            let starts: Vec<usize> = steps.filter(|s| !s.is_empty()).map(|s| s.start).collect();
            let n = starts.len();
            (starts.iter().sum::<usize>() as f64 / n.max(1) as f64, n)
        };
        let is_told = |name: &&'static str| !["fixation", "response"].contains(name);
        let epochs = self.epochs();
        let told: Vec<&'static str> = epochs.iter().copied().filter(is_told).collect();
        let candidates = if told.is_empty() { epochs } else { told };
        let rank = |name: &&'static str| {
            let (onset, n) = onset_and_count(name);
            let is_common = 2 * n >= self.batch.n_trials;
            (if is_common { usize::MAX } else { n }, onset)
        };
        let latest = candidates.into_iter().max_by(|a, b| {
            let (a, b) = (rank(a), rank(b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
        });
        latest.unwrap_or("trial")
    }

    /// Computes d' of every unit between the two choices of the network, in the [`telling_epoch`](Self::telling_epoch);
    /// `None` unless there are two choices.
    pub fn choice_preference(&self) -> Option<Array1<f64>> {
        let group = self.choice_groups()?;
        let rates = self.rates_in(self.telling_epoch());
        Some(d_prime(rates.view(), &group).mapv(|d| d.clamp(-20.0, 20.0)))
    }

    /// Returns, for each trial, true if the network made the second of two choices; `None` unless both are made.
    pub fn choice_groups(&self) -> Option<Vec<Option<bool>>> {
        let [first, second] = self.layout().alternatives()[..] else {
            return None;
        };
        let side = |made: Option<usize>| match made {
            Some(choice) if choice == first => Some(false),
            Some(choice) if choice == second => Some(true),
            _ => None,
        };
        let group: Vec<Option<bool>> = self.choices().into_iter().map(side).collect();
        let both = group.contains(&Some(true)) && group.contains(&Some(false));
        both.then_some(group)
    }

    /// Returns trial and time step of every state that belongs to a trial.
    pub fn visited_steps(&self) -> impl Iterator<Item = (usize, usize)> {
        let trials = 0..self.batch.n_trials;
        trials.flat_map(|b| (0..self.batch.n_steps[b]).map(move |t| (b, t)))
    }

    /// Returns the states at some places, given by trial and time step, one per row; of more than `most` places, evenly
    /// spread ones.
    pub fn states_at(&self, places: &[(usize, usize)], most: usize) -> Array2<f64> {
        let n = places.len().min(most);
        let mut states = Array2::zeros((n, self.dynamics.n_units()));
        for (k, mut row) in states.outer_iter_mut().enumerate() {
            let (b, t) = places[k * places.len() / n];
            row.assign(&self.states().slice(ndarray::s![b, t, ..]));
        }
        states
    }

    /// Returns the times of the first `n` states of a trial in ms.
    pub fn times_ms(&self, n: usize) -> Vec<f64> {
        let step = |t: usize| t as f64 * self.dynamics.dt_ms;
        (1..=n).map(step).collect()
    }
}

/// Returns trial and time step of the first non-finite number of `[trial, time, unit]`.
pub fn first_nonfinite(values: &Array3<f64>) -> Option<[usize; 2]> {
    let mut numbers = values.indexed_iter();
    numbers.find_map(|((b, t, _), x)| (!x.is_finite()).then_some([b, t]))
}

/// Returns the time steps of a trial that belong to an epoch of this name.
pub fn steps_of(batch: &TrialBatch, b: usize, epoch: &str) -> std::ops::Range<usize> {
    span(&batch.timelines[b], epoch, batch.n_steps[b])
}

/// Returns the time steps from the first epoch of this name to the last, before `n_steps`.
pub fn span(timeline: &Timeline, epoch: &str, n_steps: usize) -> std::ops::Range<usize> {
    let mut named = timeline.epochs.iter().filter(|(name, _)| *name == epoch);
    let first = named.next().map_or(0..0, |(_, steps)| steps.clone());
    let last = named.next_back().map_or(first.end, |(_, steps)| steps.end);
    first.start..last.min(n_steps)
}
