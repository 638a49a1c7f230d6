//! Simulation of a network on given inputs, with every state recorded.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};
use ctrnn_files::{Array, ArrayData, FileError, npz};
use ctrnn_model::{
    CtrnnConfig, CtrnnModule, FEEDBACK, Forward, InitialState, ModelError, Noise, Parameter,
    Record, RecurrenceBackend, Trajectory, UnitState, host_tensor,
};
use ctrnn_tasks::Timeline;
use ndarray::{Array1, Array2};
use thiserror::Error;

use crate::{ArrayDoc, Dynamics, Factors, Perturbation, PlasticSynapses, forward_perturbed};

/// Documentation of the arrays of `states.npz`, beside those of its trials.
pub const STATES_ARRAYS: &[ArrayDoc] = &[
    ArrayDoc::new(
        "potentials",
        "[trial, time, unit]",
        "",
        "potentials v, in the rate form the drive z of the time step; NaN after the end of a trial",
    ),
    ArrayDoc::new(
        "rates",
        "[trial, time, unit]",
        "",
        "firing rates r; NaN after the end of a trial",
    ),
    ArrayDoc::new(
        "utilisation",
        "[trial, time, unit]",
        "",
        "utilisation u of the synapses that leave a unit, with short-term plasticity; NaN after the end of a trial",
    ),
    ArrayDoc::new(
        "resources",
        "[trial, time, unit]",
        "",
        "resources x of the synapses that leave a unit, with short-term plasticity; NaN after the end of a trial",
    ),
    ArrayDoc::new(
        "layers.{}.potentials",
        "[trial, time, unit]",
        "",
        "potentials of a layer below the last one, counted from 0 at the inputs",
    ),
    ArrayDoc::new(
        "layers.{}.rates",
        "[trial, time, unit]",
        "",
        "firing rates of a layer below the last one",
    ),
    ArrayDoc::new(
        "layers.{}.utilisation",
        "[trial, time, unit]",
        "",
        "utilisation of the synapses of a layer below the last one",
    ),
    ArrayDoc::new(
        "layers.{}.resources",
        "[trial, time, unit]",
        "",
        "resources of the synapses of a layer below the last one",
    ),
    ArrayDoc::new(
        "inputs",
        "[trial, time, input]",
        "",
        "inputs u as given, before baseline, noise and rectification; 0 after the end of a trial",
    ),
    ArrayDoc::new(
        "outputs",
        "[trial, time, output]",
        "",
        "outputs of the network; NaN after the end of a trial",
    ),
    ArrayDoc::new(
        "targets",
        "[trial, time, output]",
        "",
        "targets of the task; 0 after the end of a trial",
    ),
    ArrayDoc::new(
        "mask",
        "[trial, time] or [trial, time, output]",
        "",
        "weight of each time step in the loss; 0 after the end of a trial",
    ),
    ArrayDoc::new(
        "trial_index",
        "[trial, 2]",
        "",
        "file and row from 0 of a trial that comes from files",
    ),
];

/// All states of a simulation, `[trial, time, ...]`; index k is the state after input k, at `t_ms[k] = (k+1) dt_ms`.
#[derive(Clone, Debug)]
pub struct States {
    /// Potentials `v`, or the drive `z` of that step in the rate form, `[B,T,N]`.
    pub potentials: Array,
    /// Firing rates `[B,T,N]`.
    pub rates: Array,
    /// Utilisation and resources of the synapses `[B,T,N]`, where they are plastic.
    pub synapses: Option<[Array; 2]>,
    /// States of the layers below the last one, from the inputs up.
    pub below: Vec<LayerStates>,
    /// Inputs `[B,T,I]` as given: before baseline, input noise and rectification.
    pub inputs: Array,
    /// Outputs of the network `f_out(y)`, `[B,T,O]`.
    pub outputs: Array,
    /// Time of each state in ms.
    pub t_ms: Vec<f32>,
}

/// States of a layer below the last one, as in [`States`].
#[derive(Clone, Debug)]
pub struct LayerStates {
    /// Potentials.
    pub potentials: Array,
    /// Firing rates.
    pub rates: Array,
    /// Utilisation and resources of the synapses, where they are plastic.
    pub synapses: Option<[Array; 2]>,
}

impl LayerStates {
    /// Returns the states that a trajectory records.
    fn of<B: Backend>(trajectory: Trajectory<B>) -> Self {
        let host = |recorded: Option<Tensor<B, 3>>| array(recorded.expect("Record::ALL keeps it"));
        Self {
            potentials: host(trajectory.potentials),
            rates: host(trajectory.rates),
            synapses: (trajectory.utilisation.zip(trajectory.resources))
                .map(|(utilisation, resources)| [utilisation, resources].map(array)),
        }
    }

    /// Returns the arrays by their names in `states.npz`, without the layer.
    pub fn arrays(&self) -> impl Iterator<Item = (&'static str, &Array)> {
        let states = [("potentials", &self.potentials), ("rates", &self.rates)];
        let both = self.synapses.iter().flatten();
        let synapses = ["utilisation", "resources"].into_iter().zip(both);
        states.into_iter().chain(synapses)
    }

    /// Returns the arrays by their names in `states.npz`, without the layer.
    fn into_arrays(self) -> impl Iterator<Item = (&'static str, Array)> {
        let states = [("potentials", self.potentials), ("rates", self.rates)];
        let both = self.synapses.into_iter().flatten();
        let synapses = ["utilisation", "resources"].into_iter().zip(both);
        states.into_iter().chain(synapses)
    }
}

/// Simulates `network` on `inputs [B,T,I]`; `pass` sets noise and initial state.
///
/// # Panics
/// If a shape does not fit the network; [`Injected::read`] checks arrays from a file.
pub fn simulate<B: RecurrenceBackend>(
    network: &CtrnnModule<B>,
    inputs: &Array,
    pass: Forward<B>,
) -> States {
    run(network, inputs, pass, |inputs, pass| {
        Ok(network.forward(inputs, pass))
    })
    .expect("only a perturbed network may be impossible")
}

/// Simulates a perturbed network; otherwise like [`simulate`]. `timelines` are those of the trials, for windows that are
/// epochs.
///
/// # Errors
/// If the perturbed network cannot be built.
///
/// # Panics
/// If a shape does not fit the network, or a unit does not exist ([`Perturbation::check`]).
pub fn simulate_perturbed<B: RecurrenceBackend>(
    network: &CtrnnModule<B>,
    inputs: &Array,
    pass: Forward<B>,
    timelines: &[Timeline],
    perturbation: &Perturbation,
) -> Result<States, ModelError> {
    run(network, inputs, pass, |inputs, pass| {
        forward_perturbed(network, perturbation, timelines, inputs, pass)
    })
}

fn run<B: RecurrenceBackend>(
    network: &CtrnnModule<B>,
    inputs: &Array,
    pass: Forward<B>,
    forward: impl Fn(Tensor<B, 3>, &Forward<B>) -> Result<Trajectory<B>, ModelError>,
) -> Result<States, ModelError> {
    let device = network.device();
    let pass = Forward {
        record: Record::ALL,
        ..pass
    };
    let inputs: Tensor<B, 3> = tensor(inputs, &device);
    let mut trajectory = forward(inputs.clone(), &pass)?;
    let below = std::mem::take(&mut trajectory.below);
    let outputs = array(network.activate(trajectory.outputs.clone()));
    let last = LayerStates::of(trajectory);
    let n_steps = inputs.dims()[1];
    let dt_ms = network.config().dt_ms;
    Ok(States {
        potentials: last.potentials,
        rates: last.rates,
        synapses: last.synapses,
        below: below.into_iter().map(LayerStates::of).collect(),
        inputs: array(inputs),
        outputs,
        t_ms: (1..=n_steps).map(|k| (k as f64 * dt_ms) as f32).collect(),
    })
}

impl Dynamics {
    /// Returns the noise-free dynamics of a network; of a stack, those of its last layer, whose inputs are the rates of the layer below.
    pub fn of<B: Backend>(network: &CtrnnModule<B>) -> Self {
        Self::of_layer(network, network.n_layers() - 1)
    }

    /// Returns the noise-free dynamics of a layer, counted from the inputs up; one below the last has no outputs.
    ///
    /// # Panics
    /// If there is no such layer.
    pub fn of_layer<B: Backend>(network: &CtrnnModule<B>, number: usize) -> Self {
        let layer = network.layer(number);
        let config = layer.config();
        let weights = layer.weights();
        let n = config.n_units;
        let values = |name: &str| weights[name].iter::<f64>().collect::<Vec<_>>();
        let matrix = |p: Parameter| {
            let shape = p.shape(config);
            Array2::from_shape_vec((shape[0], shape[1]), values(&p.name()))
                .expect("as many values as the shape says")
        };
        let tau_ms: Array1<f64> = match &values("tau_ms")[..] {
            [shared] => Array1::from_elem(n, *shared),
            each => each.to_vec().into(),
        };
        let (w_out, bias_out) = match config.n_outputs {
            0 => (Array2::zeros((0, n)), Array1::zeros(0)),
            _ => (
                matrix(Parameter::OUTPUT_WEIGHT),
                values(&Parameter::OUTPUT_BIAS.name()).into(),
            ),
        };
        let mut recurrent = matrix(Parameter::RECURRENT_WEIGHT);
        let mut bias: Array1<f64> = values(&Parameter::RECURRENT_BIAS.name()).into();
        if config.feedback.is_some() {
            let shape = (n, config.n_outputs);
            let feedback = Array2::from_shape_vec(shape, values(FEEDBACK))
                .expect("as many values as the shape says");
            recurrent += &feedback.dot(&w_out);
            bias += &feedback.dot(&bias_out);
        }
        Self {
            w_in: matrix(Parameter::INPUT_WEIGHT),
            w_rc: recurrent,
            factors: config.low_rank.as_ref().map(|low_rank| Factors {
                left: matrix(Parameter::RECURRENT_LEFT),
                right: matrix(Parameter::RECURRENT_RIGHT),
                has_full: low_rank.has_full(),
            }),
            bias,
            w_out,
            bias_out,
            gain: tau_ms.mapv(|tau| config.integrator.gain_of(config.dt_ms, tau)),
            tau_ms,
            dt_ms: config.dt_ms,
            form: config.form,
            activation: config.activation,
            output_nonlinearity: config.output_nonlinearity,
            input_baseline: config.input.baseline,
            rectifies_inputs: config.input.rectify,
            synapses: PlasticSynapses::of(config),
            is_delayed: config.longest_delay_ms().is_some(),
        }
    }
}

impl States {
    /// Returns true if all states and outputs are finite.
    pub fn are_finite(&self) -> bool {
        let all = [&self.potentials, &self.rates, &self.outputs];
        let all = all.into_iter().chain(self.synapses.iter().flatten());
        let below = self.below.iter().flat_map(LayerStates::arrays);
        let mut all = all.chain(below.map(|(_, array)| array));
        all.all(|array| array.first_nonfinite().is_none())
    }

    /// Returns the outputs `[time, output]` of a trial, up to its last time step, row by row.
    pub fn readout(&self, trial: usize, n_steps: usize) -> Vec<f32> {
        let width = self.outputs.shape()[2];
        let whole = self.outputs.rows(trial..trial + 1);
        let values = whole.data().clone().into_f32_or_nan();
        values[..n_steps * width].to_vec()
    }

    /// Sets potentials, rates, synapses and outputs after the last time step of each trial to NaN.
    pub fn end_at(&mut self, n_steps: &[usize]) {
        let states = [&mut self.potentials, &mut self.rates, &mut self.outputs];
        let below = self.below.iter_mut().flat_map(|layer| {
            let states = [&mut layer.potentials, &mut layer.rates];
            states
                .into_iter()
                .chain(layer.synapses.iter_mut().flatten())
        });
        let last = states.into_iter().chain(self.synapses.iter_mut().flatten());
        for array in last.chain(below) {
            let whole = std::mem::replace(array, Array::f32(&[0], Vec::new()));
            let (shape, mut data) = whole.into_parts();
            let [_, max_steps, width] = shape[..] else {
                unreachable!("states have three axes");
            };
            for (trial, &n) in n_steps.iter().enumerate() {
                let padding = (trial * max_steps + n) * width..(trial + 1) * max_steps * width;
                match &mut data {
                    ArrayData::F32(values) => values[padding].fill(f32::NAN),
                    ArrayData::F64(values) => values[padding].fill(f64::NAN),
                    _ => unreachable!("states are floating point numbers"),
                }
            }
            *array = Array::new(&shape, data);
        }
    }

    /// Returns the arrays by their names in `states.npz`.
    pub fn into_arrays(self) -> BTreeMap<String, Array> {
        let layers = self.below.into_iter().enumerate();
        let below = layers.flat_map(|(number, layer)| {
            let arrays = layer.into_arrays();
            arrays.map(move |(own, array)| (format!("layers.{number}.{own}"), array))
        });
        let last = LayerStates {
            potentials: self.potentials,
            rates: self.rates,
            synapses: self.synapses,
        };
        let t_ms = Array::f32(&[self.t_ms.len()], self.t_ms);
        last.into_arrays()
            .chain([
                ("inputs", self.inputs),
                ("outputs", self.outputs),
                ("t_ms", t_ms),
            ])
            .map(|(name, array)| (name.to_owned(), array))
            .chain(below)
            .collect()
    }

    /// Returns the arrays of the layers below the last one: each with its name without and with the layer.
    pub fn below_arrays(&self) -> impl Iterator<Item = (&'static str, String, &Array)> {
        let layers = self.below.iter().enumerate();
        layers.flat_map(|(number, layer)| {
            let arrays = layer.arrays();
            arrays.map(move |(own, array)| (own, format!("layers.{number}.{own}"), array))
        })
    }
}

/// User-supplied inputs of a simulation, and optionally initial state and noise.
#[derive(Clone, Debug)]
pub struct Injected {
    /// Inputs `[B,T,I]`.
    pub inputs: Array,
    /// Initial state `[B,N]`.
    pub initial_state: Option<Array>,
    /// Utilisation `[B,N]` in the initial state, with short-term plasticity.
    pub initial_utilisation: Option<Array>,
    /// Resources `[B,N]` in the initial state, with short-term plasticity.
    pub initial_resources: Option<Array>,
    /// Standard normal numbers for the pre-activation noise, `[B,T,N]`.
    pub preactivation_noise: Option<Array>,
    /// Standard normal numbers for the post-activation noise, `[B,T,N]`.
    pub postactivation_noise: Option<Array>,
    /// Standard normal numbers for the input noise, `[B,T,I]`.
    pub input_noise: Option<Array>,
    /// Index of each trial's condition, for an initial state per condition.
    pub conditions: Vec<usize>,
}

/// Error of a file of inputs.
#[derive(Debug, Error)]
pub enum InjectedError {
    /// The file cannot be read as arrays.
    #[error(transparent)]
    File(#[from] FileError),
    /// An array is missing, unknown, or has a shape that does not fit the network.
    #[error("{0}")]
    Array(String),
}

/// Returns the numbers of trials, time steps and inputs of an array of inputs.
fn shape_of_inputs(inputs: &Array, config: &CtrnnConfig) -> Result<[usize; 3], String> {
    let [b, t, width] = inputs.shape()[..] else {
        return Err(format!(
            "inputs has shape {:?}, but must be [trial, time, input]",
            inputs.shape()
        ));
    };
    let expected = config.first_layer().n_inputs;
    if width != expected || b == 0 || t == 0 {
        return Err(format!(
            "inputs has shape [{b}, {t}, {width}], but the network takes [.., .., {expected}]"
        ));
    }
    Ok([b, t, width])
}

impl Injected {
    /// Reads a file of inputs for a network.
    ///
    /// # Errors
    /// Names the array and the problem.
    pub fn read(path: &Path, config: &CtrnnConfig) -> Result<Self, InjectedError> {
        let mut arrays = npz::read(path)?;
        let error =
            |message: String| InjectedError::Array(format!("{}: {message}", path.display()));
        let n = config.n_units;
        let inputs = arrays.remove("inputs");
        let inputs =
            inputs.ok_or_else(|| error("has no array inputs [trial, time, input]".to_owned()))?;
        let [b, t, width] = shape_of_inputs(&inputs, config).map_err(error)?;
        let mut optional = |name: &str, shapes: &[&[usize]]| match arrays.remove(name) {
            Some(array) if !shapes.contains(&array.shape()) => Err(error(format!(
                "{name} has shape {:?}, but must be {:?}",
                array.shape(),
                shapes[0]
            ))),
            Some(array) => Ok(Some(array)),
            None => Ok(None),
        };
        let mut state = |name: &str| {
            let state = optional(name, &[&[b, n], &[n]])?;
            Ok::<_, InjectedError>(state.map(|state| for_each_trial(state, b)))
        };
        let injected = Self {
            initial_state: state("initial_state")?,
            initial_utilisation: state("initial_utilisation")?,
            initial_resources: state("initial_resources")?,
            preactivation_noise: optional("preactivation_noise", &[&[b, t, n]])?,
            postactivation_noise: optional("postactivation_noise", &[&[b, t, n]])?,
            input_noise: optional("input_noise", &[&[b, t, width]])?,
            conditions: numbers(optional("conditions", &[&[b]])?, config).map_err(error)?,
            inputs,
        };
        if config.n_layers() > 1 {
            injected.check_stack().map_err(error)?;
        }
        if let Some(name) = arrays.keys().next() {
            let known = "inputs, initial_state, initial_utilisation, initial_resources, conditions, preactivation_noise, postactivation_noise and input_noise";
            return Err(error(format!(
                "array {name:?} is unknown; a file of inputs may hold {known}"
            )));
        }
        injected.check_values().map_err(error)?;
        injected.check_start(config).map_err(error)?;
        injected.check_synapses(config).map_err(error)?;
        Ok(injected)
    }

    fn check_values(&self) -> Result<(), String> {
        let named = [
            ("inputs", Some(&self.inputs)),
            ("initial_state", self.initial_state.as_ref()),
            ("initial_utilisation", self.initial_utilisation.as_ref()),
            ("initial_resources", self.initial_resources.as_ref()),
            ("preactivation_noise", self.preactivation_noise.as_ref()),
            ("postactivation_noise", self.postactivation_noise.as_ref()),
            ("input_noise", self.input_noise.as_ref()),
        ];
        for (name, array) in named {
            if let Some(index) = array.and_then(Array::first_nonfinite) {
                return Err(format!(
                    "{name} holds NaN or an infinity at flat index {index}"
                ));
            }
            if let Some(problem) = array.and_then(|array| array.check_f32().err()) {
                return Err(format!("{name}: {problem}"));
            }
        }
        Ok(())
    }

    /// Checks that initial states or conditions are given if the network has an initial state per condition.
    fn check_start(&self, config: &CtrnnConfig) -> Result<(), String> {
        let is_per_condition = matches!(config.initial_state, InitialState::LearnedPerCondition);
        if is_per_condition && self.initial_state.is_none() && self.conditions.is_empty() {
            return Err("has neither initial_state [trial, unit] nor conditions [trial], but the network has an initial state for each condition".to_owned());
        }
        Ok(())
    }

    /// Checks that the synapses of an initial state are given with it, for a network whose synapses have a state, and within [0, 1].
    fn check_synapses(&self, config: &CtrnnConfig) -> Result<(), String> {
        let named = [
            ("initial_utilisation", &self.initial_utilisation),
            ("initial_resources", &self.initial_resources),
        ];
        for (name, array) in named {
            let Some(array) = array else { continue };
            if config.short_term_plasticity.is_none() {
                return Err(format!(
                    "{name} is given, but the network has no short-term plasticity"
                ));
            }
            if self.initial_state.is_none() {
                return Err(format!("{name} is given without initial_state"));
            }
            let values = array.to_f64().map_err(|error| format!("{name}: {error}"))?;
            if let Some(index) = values.iter().position(|x| !(0.0..=1.0).contains(x)) {
                return Err(format!(
                    "{name} holds {} at flat index {index}, but must lie in [0, 1]",
                    values[index]
                ));
            }
        }
        Ok(())
    }

    /// Checks that a file for a network of several layers has arrays of the whole network alone.
    fn check_stack(&self) -> Result<(), String> {
        let of_layer = [
            ("initial_state", &self.initial_state),
            ("initial_utilisation", &self.initial_utilisation),
            ("initial_resources", &self.initial_resources),
            ("preactivation_noise", &self.preactivation_noise),
            ("postactivation_noise", &self.postactivation_noise),
            ("input_noise", &self.input_noise),
        ];
        match of_layer.iter().find(|(_, array)| array.is_some()) {
            None => Ok(()),
            Some((name, _)) => Err(format!(
                "array {name} is that of a network of one layer; for one with model.layer a file holds inputs and conditions, and --noise draws the noise"
            )),
        }
    }

    /// Returns the inputs, states and noise of some of the trials.
    #[must_use]
    pub fn rows(&self, trials: Range<usize>) -> Self {
        let some = |array: &Option<Array>| array.as_ref().map(|array| array.rows(trials.clone()));
        let conditions = self.conditions.get(trials.clone());
        Self {
            inputs: self.inputs.rows(trials.clone()),
            initial_state: some(&self.initial_state),
            initial_utilisation: some(&self.initial_utilisation),
            initial_resources: some(&self.initial_resources),
            preactivation_noise: some(&self.preactivation_noise),
            postactivation_noise: some(&self.postactivation_noise),
            input_noise: some(&self.input_noise),
            conditions: conditions.unwrap_or_default().to_vec(),
        }
    }

    /// Returns the given noise; none for arrays that are absent.
    pub fn noise<B: Backend>(&self, device: &B::Device) -> Noise<B> {
        let given = |array: &Option<Array>| array.as_ref().map(|array| tensor(array, device));
        let all = [
            &self.preactivation_noise,
            &self.postactivation_noise,
            &self.input_noise,
        ];
        if all.iter().all(|array| array.is_none()) {
            return Noise::Off;
        }
        let [preactivation, postactivation, input] = all.map(given);
        Noise::Given {
            preactivation,
            postactivation,
            input,
        }
    }

    /// Returns the given initial state of a network, if there is one; its synapses are at rest unless they are given, too.
    pub fn state<B: Backend>(&self, network: &CtrnnModule<B>) -> Option<UnitState<Tensor<B, 2>>> {
        let device = network.device();
        let given = |array: &Option<Array>| array.as_ref().map(|array| tensor(array, &device));
        let rested = network.rested(given(&self.initial_state)?);
        Some(UnitState {
            utilisation: given(&self.initial_utilisation).unwrap_or(rested.utilisation),
            resources: given(&self.initial_resources).unwrap_or(rested.resources),
            activity: rested.activity,
        })
    }
}

/// Returns the condition indices of an array of numbers from 0.
fn numbers(array: Option<Array>, config: &CtrnnConfig) -> Result<Vec<usize>, String> {
    let has_states = |layer: &CtrnnConfig| layer.initial_state == InitialState::LearnedPerCondition;
    let Some(array) = array.filter(|_| config.layers().any(has_states)) else {
        return Ok(Vec::new());
    };
    let numbers = array
        .to_i64()
        .map_err(|error| format!("conditions: {error}"))?;
    let number = |&n: &i64| {
        let number = usize::try_from(n).ok().filter(|&n| n < config.n_conditions);
        number.ok_or_else(|| {
            let last = config.n_conditions - 1;
            format!("conditions holds {n}, but they are numbered 0 to {last}")
        })
    };
    numbers.iter().map(number).collect()
}

/// Returns an initial state `[N]` or `[B,N]` as `[B,N]`.
fn for_each_trial(state: Array, n_trials: usize) -> Array {
    if state.shape().len() == 2 {
        return state;
    }
    let values = state.to_f64().expect("numbers that f32 holds are f64 too");
    Array::f64(&[n_trials, values.len()], values.repeat(n_trials))
}

fn tensor<B: Backend, const D: usize>(array: &Array, device: &B::Device) -> Tensor<B, D> {
    let values = array.to_f64().expect("numbers that f32 holds are f64 too");
    host_tensor(TensorData::new(values, array.shape().to_vec()), device)
}

fn array<B: Backend>(tensor: Tensor<B, 3>) -> Array {
    let shape = tensor.dims();
    let data = tensor.into_data();
    match data.dtype {
        DType::F64 => Array::f64(&shape, data.to_vec().expect("f64 data")),
        _ => Array::f32(&shape, data.iter::<f32>().collect()),
    }
}
