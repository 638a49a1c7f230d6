//! Windows of perturbations, and passes that are perturbed in some of their time steps.

use std::collections::BTreeMap;
use std::ops::Range;

use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};
use ctrnn_model::{
    CtrnnModule, Forward, ModelError, RecurrenceBackend, Trajectory, cat_rows, host_tensor,
    map_rows,
};
use ctrnn_tasks::Timeline;

use super::plastic_clamp::ClampedSynapses;
use super::{Active, Perturbation, Segment};

/// The time at which a perturbation acts.
///
/// Time step k takes the state from time `k dt` to `(k + 1) dt`, where it is recorded at index k. A perturbation of
/// step k acts on that step, and on the rates and outputs that are recorded at index k.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Window {
    /// Every time step.
    #[default]
    Always,
    /// Some time steps, counted from 0; those after the end of a trial are ignored.
    Steps(Range<usize>),
    /// The epochs of this name, in each trial where its timeline has them.
    Epoch(String),
}

impl Window {
    /// Returns the time steps of the window in a trial that is run for `n_steps`.
    pub fn steps(&self, timeline: &Timeline, n_steps: usize) -> Vec<Range<usize>> {
        let within = |steps: &Range<usize>| steps.start.min(n_steps)..steps.end.min(n_steps);
        match self {
            Self::Always => Vec::from([within(&(0..n_steps))]),
            Self::Steps(steps) => vec![within(steps)],
            Self::Epoch(name) => {
                let epochs = timeline.epochs.iter();
                let named = epochs.filter(|(epoch, _)| epoch == name);
                named.map(|(_, steps)| within(steps)).collect()
            }
        }
    }

    /// Returns false if two windows have no time step in common, whatever the trial.
    pub fn may_overlap(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Steps(a), Self::Steps(b)) => a.start < b.end && b.start < a.end,
            (Self::Epoch(a), Self::Epoch(b)) => a == b, // epochs follow one another
            _ => true,
        }
    }
}

/// Segments and length of trials that run together.
type Course = (Vec<Segment>, usize);

/// Runs a perturbed network, otherwise like [`CtrnnModule::forward`]. `timelines` are those of the trials, for windows
/// that are epochs; none are needed otherwise. Noise is the same, draw by draw, as without the perturbation.
///
/// A pass is made of segments in which the same lesions, cuts and clamps act; the state is carried from one to the
/// next, and trials with equal segments run together.
///
/// # Errors
/// If a perturbed network cannot be built.
///
/// # Panics
/// If a shape does not fit the network, a unit does not exist, or a lesion, cut or clamp has a window in a network
/// with delays ([`Perturbation::check`], [`Perturbation::check_delays`]).
pub fn forward_perturbed<B: RecurrenceBackend>(
    network: &CtrnnModule<B>,
    perturbation: &Perturbation,
    timelines: &[Timeline],
    inputs: Tensor<B, 3>,
    forward: &Forward<B>,
) -> Result<Trajectory<B>, ModelError> {
    if network.n_layers() > 1 {
        return layers_perturbed(network, perturbation, timelines, inputs, forward);
    }
    let [n_trials, n_steps, _] = inputs.dims();
    let unknown = Timeline::default();
    let timeline = |b: usize| timelines.get(b).unwrap_or(&unknown);
    let timelines: Vec<&Timeline> = (0..n_trials).map(timeline).collect();
    let device = network.device();
    let drive = perturbation.drive(&timelines, n_steps, network.config().n_units);
    let drive: Option<Tensor<B, 3>> = drive.map(|drive| host_tensor(drive, &device));
    let courses = courses(perturbation, &timelines, &forward.lengths, n_steps);
    let mut runner = Runner {
        network,
        perturbation,
        networks: BTreeMap::new(),
    };
    let mut segments = courses.keys().flat_map(|(segments, _)| segments);
    let first = segments.next().expect("there are trials").active.clone();
    if segments.all(|segment| segment.active == first) {
        return runner.pass(&first, inputs, drive, forward); // the same all the time
    }
    assert!(
        network.config().longest_delay_ms().is_none(),
        "a pass with delays is not split into segments"
    );
    let start = network.starting_states(forward, n_trials);
    let noise = forward
        .noise
        .drawn_for(network.config(), [n_trials, n_steps], &device);
    let mut parts = Vec::new();
    for ((segments, length), trials) in &courses {
        let rows: Vec<i32> = trials.iter().map(|&b| b as i32).collect();
        let rows: Tensor<B, 1, Int> = Tensor::from_ints(&rows[..], &device);
        let of_trials = Forward {
            noise: noise.of_rows(&rows),
            initial_state: Some(map_rows(start.clone(), |all| all.select(0, rows.clone()))),
            conditions: Vec::new(),
            lengths: Vec::new(),
            ..forward.clone()
        };
        let inputs = inputs.clone().select(0, rows.clone());
        let drive = drive.clone().map(|drive| drive.select(0, rows));
        let part = runner.course(segments, *length, &inputs, drive.as_ref(), of_trials)?;
        parts.push(padded(part, n_steps));
    }
    let order: Vec<usize> = courses.into_values().flatten().collect();
    Ok(in_order(parts, &order))
}

/// Runs a perturbed stack, layer by layer.
fn layers_perturbed<B: RecurrenceBackend>(
    network: &CtrnnModule<B>,
    perturbation: &Perturbation,
    timelines: &[Timeline],
    inputs: Tensor<B, 3>,
    forward: &Forward<B>,
) -> Result<Trajectory<B>, ModelError> {
    let n_layers = network.n_layers();
    let run = |number: usize, seen: Tensor<B, 3>, pass: &Forward<B>| {
        let (own, layer) = (
            perturbation.of_layer(number, n_layers),
            network.layer(number),
        );
        if own.is_none() {
            return Ok(layer.forward(seen, pass));
        }
        forward_perturbed(&layer, &own, timelines, seen, pass)
    };
    let (mut seen, mut below) = (inputs, Vec::new());
    for number in 0..n_layers - 1 {
        let mut states = run(number, seen, &forward.of_layer(number))?;
        seen = states.rates.clone().expect("a layer records its rates");
        if !forward.record.rates {
            states.rates = None;
        }
        below.push(states);
    }
    let of_last = Forward {
        below: Vec::new(),
        ..forward.clone()
    };
    let last = run(n_layers - 1, seen, &of_last)?;
    Ok(Trajectory { below, ..last })
}

/// Groups trials by their courses.
fn courses(
    perturbation: &Perturbation,
    timelines: &[&Timeline],
    lengths: &[usize],
    n_steps: usize,
) -> BTreeMap<Course, Vec<usize>> {
    let mut courses: BTreeMap<Course, Vec<usize>> = BTreeMap::new();
    for (b, timeline) in timelines.iter().enumerate() {
        let length = lengths.get(b).copied().unwrap_or(n_steps);
        let course = (perturbation.segments(timeline, n_steps), length);
        courses.entry(course).or_default().push(b);
    }
    courses
}

/// A network with its perturbed variants, which are built when they are needed.
struct Runner<'a, B: Backend> {
    network: &'a CtrnnModule<B>,
    perturbation: &'a Perturbation,
    networks: BTreeMap<Active, CtrnnModule<B>>,
}

impl<B: RecurrenceBackend> Runner<'_, B> {
    /// Runs trials segment by segment.
    fn course(
        &mut self,
        segments: &[Segment],
        length: usize,
        inputs: &Tensor<B, 3>,
        drive: Option<&Tensor<B, 3>>,
        mut forward: Forward<B>,
    ) -> Result<Trajectory<B>, ModelError> {
        let noise = forward.noise.clone();
        let mut parts: Vec<Trajectory<B>> = Vec::new();
        for segment in segments.iter().filter(|segment| segment.steps[0] < length) {
            let [start, end] = segment.steps.map(|step| step.min(length));
            let some = |all: &Tensor<B, 3>| all.clone().narrow(1, start, end - start);
            forward.noise = noise.clone().of_steps(start..end);
            let part = self.pass(&segment.active, some(inputs), drive.map(some), &forward)?;
            forward.initial_state = Some(part.final_state.clone());
            parts.push(part);
        }
        Ok(joined(parts, 1))
    }

    /// Runs trials with the same lesions, cuts and clamps in all time steps.
    fn pass(
        &mut self,
        active: &[bool],
        inputs: Tensor<B, 3>,
        drive: Option<Tensor<B, 3>>,
        forward: &Forward<B>,
    ) -> Result<Trajectory<B>, ModelError> {
        if !self.networks.contains_key(active) {
            let network = self.perturbation.applied(active, self.network)?;
            self.networks.insert(active.to_vec(), network);
        }
        let network = &self.networks[active];
        let [n_trials, n_steps, _] = inputs.dims();
        let clamped: Vec<(usize, f64)> = self.perturbation.clamped_rates(active).collect();
        let start = || network.starting_states(forward, n_trials);
        let synapses = ClampedSynapses::of(network, &clamped, start, &forward.lengths, n_steps);
        let transmitted = synapses.as_ref().map(|synapses| {
            let weights = self.perturbation.recurrent_weights(active, self.network);
            synapses.drive(network, &weights)
        });
        let drives = [drive, transmitted].into_iter().flatten();
        let trajectory = match drives.reduce(|sum, drive| sum + drive) {
            None => network.forward(inputs, forward),
            Some(drive) => network.forward_driven(inputs, drive, forward),
        };
        let trajectory = match &synapses {
            None => trajectory,
            Some(synapses) => synapses.record(network, trajectory),
        };
        let rates = trajectory.rates;
        Ok(Trajectory {
            rates: rates.map(|rates| self.clamp(active, rates)),
            ..trajectory
        })
    }

    /// Sets the recorded rates `[trial, time, unit]` of clamped units to their values, which the perturbed network does
    /// not compute.
    fn clamp(&self, active: &[bool], rates: Tensor<B, 3>) -> Tensor<B, 3> {
        let n = self.network.config().n_units;
        let (mut is_clamped, mut values) = (vec![0.0f32; n], vec![0.0f64; n]);
        for (unit, rate) in self.perturbation.clamped_rates(active) {
            (is_clamped[unit], values[unit]) = (1.0, rate);
        }
        if !is_clamped.contains(&1.0) {
            return rates;
        }
        let (shape, device) = (rates.dims(), rates.device());
        let of_units = |data: TensorData| -> Tensor<B, 3> {
            let row: Tensor<B, 3> = host_tensor(data, &device);
            row.expand(shape)
        };
        let is_clamped = of_units(TensorData::new(is_clamped, [1, 1, n]));
        let values = of_units(TensorData::new(values, [1, 1, n]));
        rates.mask_where(is_clamped.greater_elem(0.5), values)
    }
}

/// Joins trajectories of the same trials in time (1), or of different trials (0); the last final state is that of joined
/// times.
fn joined<B: Backend>(parts: Vec<Trajectory<B>>, side: usize) -> Trajectory<B> {
    let all = |of: fn(&Trajectory<B>) -> Option<&Tensor<B, 3>>| {
        let some: Option<Vec<Tensor<B, 3>>> = parts.iter().map(|part| of(part).cloned()).collect();
        some.map(|some| Tensor::cat(some, side))
    };
    let states = parts.iter().map(|part| part.final_state.clone());
    let final_state = match side {
        0 => cat_rows(states),
        _ => states.last().expect("there are parts"),
    };
    Trajectory {
        outputs: all(|part| Some(&part.outputs)).expect("outputs are always recorded"),
        rates: all(|part| part.rates.as_ref()),
        potentials: all(|part| part.potentials.as_ref()),
        utilisation: all(|part| part.utilisation.as_ref()),
        resources: all(|part| part.resources.as_ref()),
        rate_sums: None,
        final_state,
        below: Vec::new(),
    }
}

/// Returns a trajectory with every tensor changed by one function: of three dimensions, or of two.
fn mapped<B: Backend>(
    trajectory: Trajectory<B>,
    recorded: impl Fn(Tensor<B, 3>) -> Tensor<B, 3>,
    state: impl Fn(Tensor<B, 2>) -> Tensor<B, 2>,
) -> Trajectory<B> {
    Trajectory {
        outputs: recorded(trajectory.outputs),
        rates: trajectory.rates.map(&recorded),
        potentials: trajectory.potentials.map(&recorded),
        utilisation: trajectory.utilisation.map(&recorded),
        resources: trajectory.resources.map(&recorded),
        rate_sums: None,
        final_state: map_rows(trajectory.final_state, state),
        below: Vec::new(),
    }
}

/// Pads a trajectory with zeros to `n_steps` time steps.
fn padded<B: Backend>(trajectory: Trajectory<B>, n_steps: usize) -> Trajectory<B> {
    let pad = |values: Tensor<B, 3>| {
        let [trials, length, width] = values.dims();
        if length == n_steps {
            return values;
        }
        let padding = [trials, n_steps - length, width];
        let zeros = TensorData::new(vec![0.0f32; padding.iter().product()], padding);
        Tensor::cat(
            vec![values.clone(), host_tensor(zeros, &values.device())],
            1,
        )
    };
    mapped(trajectory, pad, |state| state)
}

/// Joins trajectories of different trials; trial k of all of them goes to place `places[k]`.
fn in_order<B: Backend>(parts: Vec<Trajectory<B>>, places: &[usize]) -> Trajectory<B> {
    let mut from = vec![0i32; places.len()];
    for (k, &place) in places.iter().enumerate() {
        from[place] = k as i32;
    }
    let all = joined(parts, 0);
    let from: Tensor<B, 1, Int> = Tensor::from_ints(&from[..], &all.outputs.device());
    mapped(
        all,
        |values| values.select(0, from.clone()),
        |state| state.select(0, from.clone()),
    )
}
