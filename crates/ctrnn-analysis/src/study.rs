//! Common input of all analyses: a network, its trials and its states.

use ctrnn_files::Array;
use ctrnn_model::Form;
use ctrnn_tasks::{Layout, Task, TrialBatch};
use ndarray::{Array1, Array2, Array3, ArrayView1, Axis};

use crate::metrics::Metrics;
use crate::selectivity::d_prime;
use crate::text::spoken;
use crate::{Dynamics, Unsuitable};

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
    /// Sign of each unit, +1 or -1, under Dale's law.
    pub signs: Option<Vec<f64>>,
    /// Training metrics of the run.
    pub metrics: Option<Metrics>,
    /// Other networks on the same trials.
    pub peers: Vec<Peer>,
    /// Conditions by which analyses group or split the trials; if empty, they choose.
    pub by: Vec<String>,
    /// Seed of all random numbers: bootstraps, initial states of searches.
    pub seed: u64,
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

/// Constant input that represents an epoch: the median over all its time steps in all trials.
#[derive(Clone, Debug, PartialEq)]
pub struct TypicalInput {
    /// Epochs that have this input.
    pub epochs: Vec<&'static str>,
    /// Input values `[I]`.
    pub input: Array1<f64>,
}

impl TypicalInput {
    /// Returns the names of the epochs with this input.
    pub fn title(&self) -> String {
        spoken(&self.epochs.join(", "))
    }

    /// Returns inputs as an array `[input, I]` with `n_inputs` columns.
    pub(crate) fn table(inputs: &[Self], n_inputs: usize) -> Array2<f64> {
        Array2::from_shape_fn((inputs.len(), n_inputs), |(k, i)| inputs[k].input[i])
    }
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

    /// Returns the states of the dynamics `[trial, time, unit]`: potentials, or rates in the rate form.
    pub fn states(&self) -> &Array3<f64> {
        match self.dynamics.form {
            Form::Voltage => &self.potentials,
            Form::Rate => &self.rates,
        }
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
        let rows: Vec<ArrayView1<f64>> = (0..self.batch.n_trials)
            .flat_map(|b| (0..self.batch.n_steps[b]).map(move |t| (b, t)))
            .map(|(b, t)| values.slice(ndarray::s![b, t, ..]))
            .collect();
        ndarray::stack(Axis(0), &rows).expect("rows of one width")
    }

    /// Returns trial and time step of the first non-finite state or output.
    pub fn first_nonfinite(&self) -> Option<[usize; 2]> {
        [&self.potentials, &self.rates, &self.outputs]
            .into_iter()
            .filter_map(first_nonfinite)
            .min()
    }

    /// Returns the inputs `[time, input]` of a trial.
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
        let choices = self.layout().choices;
        let choice = |b: usize| self.batch.trial(b).choice(&self.readout(b), &choices);
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

    /// Returns the last epoch before the answer that lasts longer than one time step, otherwise the last one.
    pub fn telling_epoch(&self) -> &'static str {
        let epochs = self.epochs();
        let telling = ["delay", "decision", "stimulus"];
        let found = epochs.iter().rev().find(|name| telling.contains(*name));
        found.or(epochs.last()).copied().unwrap_or("trial")
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

    /// Computes the mean over trials of the state at the end of an epoch.
    pub fn mean_end(&self, epoch: &str) -> Array1<f64> {
        let end = |b: usize| {
            let last = steps_of(&self.batch, b, epoch).last()?;
            Some(self.states().slice(ndarray::s![b, last, ..]).to_owned())
        };
        let ends: Vec<Array1<f64>> = (0..self.batch.n_trials).filter_map(end).collect();
        let none = Array1::<f64>::zeros(self.dynamics.n_units());
        ends.iter().fold(none, |a, b| a + b) / ends.len().max(1) as f64
    }

    /// Returns the times of the first `n` states of a trial in ms.
    pub fn times_ms(&self, n: usize) -> Vec<f64> {
        let step = |t: usize| t as f64 * self.dynamics.dt_ms;
        (1..=n).map(step).collect()
    }

    /// Returns the typical inputs of all epochs, at least one.
    ///
    /// # Errors
    /// If the trials have no epochs.
    pub fn some_typical_inputs(&self) -> Result<Vec<TypicalInput>, Unsuitable> {
        let inputs = self.typical_inputs();
        if inputs.is_empty() {
            let why = "the trials do not say when their epochs are";
            return Err(Unsuitable::lacks(why));
        }
        Ok(inputs)
    }

    /// Returns the typical inputs of all epochs; epochs with equal inputs are merged.
    pub fn typical_inputs(&self) -> Vec<TypicalInput> {
        let mut found: Vec<TypicalInput> = Vec::new();
        let steps = self.input_steps();
        for epoch in self.epochs() {
            let input = self.typical_input(epoch, &steps);
            match found.iter_mut().find(|known| known.input == input) {
                Some(known) => known.epochs.push(epoch),
                None => found.push(TypicalInput {
                    epochs: vec![epoch],
                    input,
                }),
            }
        }
        found
    }

    /// Returns the rounding step of each input: a power of ten, about a hundredth of its range over all trials and time
    /// steps; zero for a constant input.
    ///
    /// Smaller digits of a median are noise, which would make a line of fixed points drift.
    fn input_steps(&self) -> Array1<f64> {
        let width = self.batch.n_inputs;
        let range = |k: usize| {
            let mut bounds = [f64::INFINITY, f64::NEG_INFINITY];
            for b in 0..self.batch.n_trials {
                let rows = self.batch.rows(&self.batch.inputs, b, width);
                for row in rows.chunks_exact(width).take(self.batch.n_steps[b]) {
                    let value = f64::from(row[k]);
                    bounds = [bounds[0].min(value), bounds[1].max(value)];
                }
            }
            let range = bounds[1] - bounds[0];
            if range > 0.0 {
                10f64.powf(range.log10().round() - 2.0)
            } else {
                0.0
            }
        };
        (0..width).map(range).collect()
    }

    /// Returns the median of each input over all trials and time steps of an epoch, rounded to `steps`.
    fn typical_input(&self, epoch: &str, steps: &Array1<f64>) -> Array1<f64> {
        let width = self.batch.n_inputs;
        let median = |k: usize| {
            let trial = |b: usize| {
                let rows = self.batch.rows(&self.batch.inputs, b, width);
                steps_of(&self.batch, b, epoch).map(move |t| f64::from(rows[t * width + k]))
            };
            let mut values: Vec<f64> = (0..self.batch.n_trials).flat_map(trial).collect();
            values.sort_by(f64::total_cmp);
            let middle = values.get(values.len() / 2).copied().unwrap_or(0.0);
            if steps[k] > 0.0 {
                (middle / steps[k]).round() * steps[k]
            } else {
                middle
            }
        };
        (0..width).map(median).collect()
    }
}

/// Returns trial and time step of the first non-finite number of `[trial, time, unit]`.
pub fn first_nonfinite(values: &Array3<f64>) -> Option<[usize; 2]> {
    let mut numbers = values.indexed_iter();
    numbers.find_map(|((b, t, _), x)| (!x.is_finite()).then_some([b, t]))
}

/// Returns the time steps of a trial that belong to an epoch of this name.
pub fn steps_of(batch: &TrialBatch, b: usize, epoch: &str) -> std::ops::Range<usize> {
    let mut named = batch.timelines[b]
        .epochs
        .iter()
        .filter(|(name, _)| *name == epoch);
    let first = named.next().map_or(0..0, |(_, steps)| steps.clone());
    let last = named.next_back().map_or(first.end, |(_, steps)| steps.end);
    first.start..last.min(batch.n_steps[b])
}
