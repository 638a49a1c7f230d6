//! Passes of a network with their gradients, for tensors of other libraries: `ctrnn.torch`.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};

use burn::module::{AutodiffModule, Module, ModuleMapper, Param, ParamId};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Element, Tensor, TensorData};
use burn_autodiff::Autodiff;
use burn_ndarray::{NdArray, NdArrayDevice};
use ctrnn_model::{
    CtrnnConfig, CtrnnModule, Forward, Matrix, Noise, NoiseAddress, Parameter, ParameterSpec,
    Record, RecurrenceBackend, Role, Sizes, TrainingBackend, Trajectory, Violation, Weights,
    host_tensor,
};
use ctrnn_train::Gradients;
use numpy::{PyArray, PyArrayDyn, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::of_value;
use crate::threads::detached;

const DEVICE: NdArrayDevice = NdArrayDevice::Cpu;

/// Arrays by name.
type Arrays = BTreeMap<String, TensorData>;

/// Arguments of a pass.
struct Given {
    /// `[trial, time, input]`
    inputs: TensorData,
    parameters: Arrays,
    /// `[trial, unit]`
    initial_state: Option<TensorData>,
    /// Seed and number of the pass; none: without noise.
    noise: Option<(u64, u32)>,
    record: Record,
    is_tracked: bool,
    /// True if the backward pass is to find the gradient of the inputs, which costs a product for each time step.
    wants_inputs: bool,
}

/// Network that runs passes, in the precision of a backend.
trait Passes: Send {
    fn config(&self) -> &CtrnnConfig;

    /// Returns the names of the trained parameters, as weight files have them.
    fn names(&self) -> Vec<String>;

    /// Returns all arrays of a weight file, after replacing the parameters.
    fn weights(&mut self, parameters: Arrays) -> Result<Weights, String>;

    /// Returns the parameters after they are projected onto what the network allows.
    fn settled(&mut self, parameters: Arrays) -> Result<Arrays, String>;

    /// Runs a pass; its results are time-major.
    fn forward(&mut self, given: Given) -> Result<(Arrays, Option<Box<dyn Pullback>>), String>;
}

/// Backward pass of one forward pass.
trait Pullback: Send {
    /// Returns the gradients of the time-major `inputs`, of the initial state as `given_state`, and of the parameters by their names.
    fn pull(self: Box<Self>, upstream: Arrays) -> Arrays;

    /// Frees the memory of a forward pass whose gradients nobody asked for.
    fn abandon(self: Box<Self>);
}

struct Typed<B: TrainingBackend> {
    network: CtrnnModule<B>,
    /// Parameters that are trained, by their names in weight files.
    names: BTreeMap<String, ParameterSpec>,
}

impl<B: TrainingBackend> Typed<B> {
    fn new(network: CtrnnModule<B>) -> Self {
        let weights = network.weights();
        let trained = network
            .config()
            .parameters()
            .into_iter()
            .filter(|spec| spec.is_trained && !network.config().is_frozen(spec.parameter));
        let named = |spec: ParameterSpec| {
            let name = spec.parameter.name();
            let raw = format!("{name}_raw");
            let is_raw = Matrix::of(spec.parameter).is_some() && weights.contains_key(&raw);
            (if is_raw { raw } else { name }, spec)
        };
        Self {
            names: trained.map(named).collect(),
            network,
        }
    }

    /// Returns the parameter of this name, which `data` must fit.
    fn parameter(&self, name: &str, data: &TensorData) -> Result<Parameter, String> {
        let Some(spec) = self.names.get(name) else {
            let known: Vec<&str> = self.names.keys().map(String::as_str).collect();
            let known = known.join(", ");
            return Err(format!(
                "`{name}` is not a trained parameter; expected one of {known}"
            ));
        };
        let (shape, expected) = (data.shape.to_vec(), &spec.shape);
        if shape == *expected {
            Ok(spec.parameter)
        } else {
            Err(format!(
                "`{name}` has shape {shape:?}; expected {expected:?}"
            ))
        }
    }

    /// Replaces parameters of the network.
    fn assign(&mut self, parameters: Arrays) -> Result<(), String> {
        let mut assign = Assign {
            by_id: self.network.config().parameters_by_id(),
            values: BTreeMap::new(),
        };
        for (name, data) in parameters {
            let parameter = self.parameter(&name, &data)?;
            assign.values.insert(parameter, data);
        }
        self.network = self.network.clone().map(&mut assign);
        Ok(())
    }

    /// Returns a parameter after it is projected onto what the network allows.
    fn settled_one(&self, parameter: Parameter, data: TensorData) -> TensorData {
        let layer = self.network.layer_of(parameter);
        if let Some(matrix) = Matrix::of(parameter) {
            let raw: Tensor<B, 2> = host_tensor(data, &layer.device());
            return layer.synapses(matrix).settle(raw.clone(), raw).into_data();
        }
        match layer.config().bias.range {
            Some([low, high]) if parameter.role == Role::RecurrentBias => {
                let bias: Tensor<B, 1> = host_tensor(data, &layer.device());
                bias.clamp(low, high).into_data()
            }
            _ => data,
        }
    }
}

/// Replaces the values of parameters.
struct Assign {
    by_id: HashMap<ParamId, Parameter>,
    values: BTreeMap<Parameter, TensorData>,
}

impl<B: AutodiffBackend> ModuleMapper<B> for Assign {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let parameter = self.by_id.get(&param.id);
        let Some(data) = parameter.and_then(|parameter| self.values.remove(parameter)) else {
            return param;
        };
        param.map(|old| {
            let shape = old.shape();
            host_tensor::<B, D>(TensorData { shape, ..data }, &old.device()).require_grad()
        })
    }
}

/// Returns the names of the results of a pass and their tensors, time-major.
fn results_of<B: Backend>(trajectory: Trajectory<B>) -> Vec<(&'static str, Tensor<B, 3>)> {
    let state = trajectory.final_state.activity;
    let by_name = [
        ("outputs", Some(trajectory.outputs)),
        ("rates", trajectory.rates),
        ("potentials", trajectory.potentials),
        ("final_state", Some(state.unsqueeze_dim(1))),
    ];
    let present = by_name.into_iter();
    present
        .filter_map(|(name, tensor)| Some((name, tensor?.swap_dims(0, 1))))
        .collect()
}

/// Returns the options of a pass on any backend.
fn options<B: RecurrenceBackend>(
    network: &CtrnnModule<B>,
    state: Option<&Tensor<B, 2>>,
    (noise, record): (Option<(u64, u32)>, Record),
) -> Forward<B> {
    let drawn = |(seed, step)| {
        Noise::Drawn(NoiseAddress {
            seed,
            step,
            ..NoiseAddress::default()
        })
    };
    Forward {
        noise: noise.map_or(Noise::Off, drawn),
        initial_state: state.map(|state| network.rested(state.clone())),
        record,
        ..Forward::default()
    }
}

impl<B: TrainingBackend> Passes for Typed<B> {
    fn config(&self) -> &CtrnnConfig {
        self.network.config()
    }

    fn names(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }

    fn weights(&mut self, parameters: Arrays) -> Result<Weights, String> {
        self.assign(parameters)?;
        Ok(self.network.weights())
    }

    fn settled(&mut self, parameters: Arrays) -> Result<Arrays, String> {
        let settled = |(name, data): (String, TensorData)| {
            let parameter = self.parameter(&name, &data)?;
            Ok((name, self.settled_one(parameter, data)))
        };
        parameters.into_iter().map(settled).collect()
    }

    fn forward(&mut self, mut given: Given) -> Result<(Arrays, Option<Box<dyn Pullback>>), String> {
        self.assign(std::mem::take(&mut given.parameters))?;
        let device = self.network.device();
        let inputs: Tensor<B, 3> = host_tensor(given.inputs, &device);
        let state = given.initial_state.take();
        let state: Option<Tensor<B, 2>> = state.map(|state| host_tensor(state, &device));
        if !given.is_tracked {
            let network = self.network.valid();
            let state = state.map(Tensor::inner);
            let forward = options(&network, state.as_ref(), (given.noise, given.record));
            let results = results_of(network.forward(inputs.inner(), &forward));
            let arrays = results
                .into_iter()
                .map(|(name, tensor)| (name.to_owned(), tensor.into_data()));
            return Ok((arrays.collect(), None));
        }
        let inputs = inputs.set_require_grad(given.wants_inputs);
        let state = state.map(Tensor::require_grad);
        let forward = options(&self.network, state.as_ref(), (given.noise, given.record));
        let trajectory = self.network.forward(inputs.clone(), &forward);
        let results = results_of(trajectory);
        let values = results
            .iter()
            .map(|(name, tensor)| ((*name).to_owned(), B::host_data(tensor.clone())));
        let arrays = values.collect();
        let pullback = Tape {
            network: self.network.clone(),
            names: self.names.clone(),
            inputs,
            state,
            results,
        };
        Ok((arrays, Some(Box::new(pullback))))
    }
}

struct Tape<B: TrainingBackend> {
    network: CtrnnModule<B>,
    names: BTreeMap<String, ParameterSpec>,
    inputs: Tensor<B, 3>,
    state: Option<Tensor<B, 2>>,
    results: Vec<(&'static str, Tensor<B, 3>)>,
}

impl<B: TrainingBackend> Pullback for Tape<B> {
    fn pull(self: Box<Self>, mut upstream: Arrays) -> Arrays {
        let device = self.inputs.device();
        // Terms whose gradients are those given; their values do not matter.
        let zero = || host_tensor(TensorData::from([0.0_f32]), &device);
        let terms = self.results.into_iter().filter_map(|(name, result)| {
            let upstream = host_tensor(upstream.remove(name)?, &device);
            Some(B::with_gradient(result, zero(), upstream))
        });
        let mut found = Arrays::new();
        let Some(sum) = terms.reduce(|sum, term| sum + term) else {
            return found;
        };
        let grads = sum.backward();
        let mut put = |name: &str, data: TensorData| found.insert(name.to_owned(), data);
        if let Some(gradient) = self.inputs.grad(&grads) {
            put("inputs", gradient.swap_dims(0, 1).into_data());
        }
        if let Some(gradient) = self.state.and_then(|state| state.grad(&grads)) {
            put("given_state", gradient.into_data());
        }
        let mut gradients = Gradients::of(&self.network, grads).0;
        for (name, spec) in &self.names {
            if let Some(gradient) = gradients.remove(&spec.parameter) {
                put(name, gradient.into_data());
            }
        }
        found
    }

    fn abandon(self: Box<Self>) {
        let device = self.inputs.device();
        drop(self);
        // burn frees graphs that nobody holds in the next backward pass of any tensor.
        let leaf: Tensor<B, 1> = host_tensor(TensorData::from([0.0_f32]), &device);
        drop(leaf.require_grad().backward());
    }
}

/// A network whose passes have gradients, on arrays of numpy.
#[pyclass(module = "ctrnn", frozen)]
pub struct Sweeps {
    passes: Mutex<Box<dyn Passes>>,
    is_double: bool,
}

/// Backward pass of one forward pass; it can be used once.
#[pyclass(module = "ctrnn", frozen)]
pub struct Backward {
    pullback: Mutex<Option<Box<dyn Pullback>>>,
    is_double: bool,
}

#[pymethods]
impl Sweeps {
    /// Draws a network from the table `[model]`, as JSON, and a seed.
    #[staticmethod]
    fn drawn(
        table: &str,
        sizes: [usize; 2],
        dt_ms: f64,
        seed: u64,
        is_double: bool,
    ) -> PyResult<Self> {
        let table: toml::Table = serde_json::from_str(table).map_err(of_value)?;
        let config: CtrnnConfig = ctrnn_tasks::from_toml(toml::Value::Table(table))
            .map_err(|refused| of_value(format!("{}: {}", refused.path, refused.message)))?;
        let [inputs, outputs] = sizes;
        let config = CtrnnConfig { dt_ms, ..config }.with_sizes(Sizes {
            inputs,
            outputs,
            conditions: 1,
        });
        let channels = |name: &str, n: usize| -> Vec<String> {
            (0..n).map(|k| format!("{name} {k}")).collect()
        };
        let refused = |violations: Vec<Violation>| match violations.first() {
            None => Ok(()),
            Some(first) => Err(of_value(format!("{}; {}", first.message, first.help))),
        };
        refused(config.violations_of_areas())?;
        let config = config.with_areas();
        let (inputs, outputs) = (channels("input", inputs), channels("output", outputs));
        refused(config.violations_of_channels(&inputs, &outputs))?;
        let config = config.with_channels(&inputs, &outputs);
        Self::of(
            is_double,
            |device| config.init(seed, device),
            |device| config.init(seed, device),
        )
        .map_err(of_value)
    }

    /// Opens the network of a run.
    #[staticmethod]
    #[pyo3(signature = (run, checkpoint, is_double))]
    fn of_run(run: PathBuf, checkpoint: Option<String>, is_double: bool) -> PyResult<Self> {
        let registry = ctrnn_runs::registry();
        let checkpoint = checkpoint.as_deref();
        Self::of(
            is_double,
            |device| {
                ctrnn_cli::network_of::<Autodiff<NdArray<f32>>>(&run, checkpoint, &registry, device)
                    .map(|(_, network)| network)
            },
            |device| {
                ctrnn_cli::network_of::<Autodiff<NdArray<f64>>>(&run, checkpoint, &registry, device)
                    .map(|(_, network)| network)
            },
        )
        .map_err(|failure| of_value(failure.render(false).trim_end().to_owned()))
    }

    /// Sizes by name.
    #[getter]
    fn sizes(&self) -> BTreeMap<&'static str, usize> {
        let passes = self.locked();
        let config = passes.config();
        [
            ("n_inputs", config.first_layer().n_inputs),
            ("n_units", config.n_units),
            ("n_outputs", config.n_outputs),
        ]
        .into()
    }

    /// Time step in ms.
    #[getter]
    fn dt_ms(&self) -> f64 {
        self.locked().config().dt_ms
    }

    /// All arrays of a weight file, with these values of the parameters.
    fn weights<'py>(
        &self,
        py: Python<'py>,
        parameters: BTreeMap<String, Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let weights = self
            .locked()
            .weights(arrays_by_name(parameters, self.is_double)?);
        numpy_of(py, weights.map_err(of_value)?)
    }

    /// The parameters after they are projected onto what the network allows.
    fn settled<'py>(
        &self,
        py: Python<'py>,
        parameters: BTreeMap<String, Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let settled = self
            .locked()
            .settled(arrays_by_name(parameters, self.is_double)?);
        numpy_of(py, settled.map_err(of_value)?)
    }

    /// Names of the trained parameters, as weight files have them.
    #[getter]
    fn names(&self) -> Vec<String> {
        self.locked().names()
    }

    /// Runs a pass over `inputs [trial, time, input]`; its results are time-major. A tracked one has a backward pass, which finds the
    /// gradient of the inputs if it is wanted.
    #[pyo3(signature = (inputs, parameters, initial_state, noise, record, is_tracked, wants_inputs))]
    #[expect(clippy::too_many_arguments, reason = "they have names in Python")]
    fn forward<'py>(
        &self,
        py: Python<'py>,
        inputs: &Bound<'py, PyAny>,
        parameters: BTreeMap<String, Bound<'py, PyAny>>,
        initial_state: Option<Bound<'py, PyAny>>,
        noise: Option<(u64, u32)>,
        record: Vec<String>,
        is_tracked: bool,
        wants_inputs: bool,
    ) -> PyResult<(Bound<'py, PyDict>, Option<Backward>)> {
        let given = Given {
            inputs: array_of(inputs, "inputs", self.is_double)?,
            parameters: arrays_by_name(parameters, self.is_double)?,
            initial_state: initial_state
                .map(|state| array_of(&state, "initial_state", self.is_double))
                .transpose()?,
            noise,
            record: Record {
                rates: record.iter().any(|name| name == "rates"),
                potentials: record.iter().any(|name| name == "potentials"),
                ..Record::OUTPUTS
            },
            is_tracked,
            wants_inputs,
        };
        let run = || {
            let mut passes = self.locked();
            check(&given, passes.config())?;
            passes.forward(given)
        };
        let (results, pullback) = detached(py, run).map_err(of_value)?;
        let backward = pullback.map(|pullback| Backward {
            pullback: Mutex::new(Some(pullback)),
            is_double: self.is_double,
        });
        Ok((numpy_of(py, results)?, backward))
    }
}

impl Drop for Backward {
    fn drop(&mut self) {
        if let Ok(pullback) = self.pullback.get_mut()
            && let Some(pullback) = pullback.take()
        {
            pullback.abandon();
        }
    }
}

#[pymethods]
impl Backward {
    /// Returns the gradients of `inputs`, `given_state` and the parameters, given those of the results; time comes before trials.
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        upstream: BTreeMap<String, Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let arrays = arrays_by_name(upstream, self.is_double)?;
        // The guard must not live on: a thread that waits for it here holds Python's lock, which the pass needs to return.
        let pullback = (self.pullback.lock())
            .expect("no panic under the lock")
            .take();
        let Some(pullback) = pullback else {
            let message = "the backward pass has been made already; run the network again";
            return Err(PyRuntimeError::new_err(message));
        };
        let gradients = detached(py, || pullback.pull(arrays));
        numpy_of(py, gradients)
    }
}

impl Sweeps {
    /// Creates the network in one of two precisions.
    fn of<E>(
        is_double: bool,
        single: impl FnOnce(&NdArrayDevice) -> Result<CtrnnModule<Autodiff<NdArray<f32>>>, E>,
        double: impl FnOnce(&NdArrayDevice) -> Result<CtrnnModule<Autodiff<NdArray<f64>>>, E>,
    ) -> Result<Self, E> {
        let passes: Box<dyn Passes> = if is_double {
            Box::new(Typed::new(double(&DEVICE)?))
        } else {
            Box::new(Typed::new(single(&DEVICE)?))
        };
        Ok(Self {
            passes: Mutex::new(passes),
            is_double,
        })
    }

    fn locked(&self) -> MutexGuard<'_, Box<dyn Passes>> {
        self.passes.lock().expect("no panic under the lock")
    }
}

/// Returns the numbers of arrays of numpy, see [`array_of`].
fn arrays_by_name(arrays: BTreeMap<String, Bound<'_, PyAny>>, is_double: bool) -> PyResult<Arrays> {
    let numbers = |(name, array): (String, Bound<'_, PyAny>)| {
        let data = array_of(&array, &name, is_double)?;
        Ok((name, data))
    };
    arrays.into_iter().map(numbers).collect()
}

/// Checks the shapes of a pass.
fn check(given: &Given, config: &CtrnnConfig) -> Result<(), String> {
    let n_inputs = config.first_layer().n_inputs;
    let shape = given.inputs.shape.to_vec();
    let [trials, steps, width] = shape[..] else {
        return Err(format!(
            "`inputs` has shape {shape:?}; expected [trials, time steps, {n_inputs}]"
        ));
    };
    if width != n_inputs || trials == 0 || steps == 0 {
        return Err(format!(
            "`inputs` has shape {shape:?}; expected [trials, time steps, {n_inputs}], at least one of each"
        ));
    }
    let expected = [trials, config.n_units];
    match &given.initial_state {
        Some(state) if state.shape.to_vec() != expected => Err(format!(
            "`initial_state` has shape {:?}; expected {expected:?}",
            state.shape.to_vec()
        )),
        _ => Ok(()),
    }
}

/// Returns the numbers of an array of numpy of the precision of the network.
fn array_of(given: &Bound<'_, PyAny>, name: &str, is_double: bool) -> PyResult<TensorData> {
    fn values<T: Element + numpy::Element>(given: &Bound<'_, PyAny>) -> Option<TensorData> {
        let array = given.cast::<PyArrayDyn<T>>().ok()?;
        let array = array.try_readonly().ok()?;
        let shape = array.shape().to_vec();
        let values = match array.as_slice() {
            // Arrays in the order of Fortran have a slice, too.
            Ok(values) if array.is_c_contiguous() => values.to_vec(),
            _ => array.as_array().iter().copied().collect(),
        };
        Some(TensorData::new(values, shape))
    }
    let (found, wanted) = if is_double {
        (values::<f64>(given), "float64")
    } else {
        (values::<f32>(given), "float32")
    };
    found.ok_or_else(|| PyTypeError::new_err(format!("`{name}` is not an array of {wanted}")))
}

/// Returns arrays of numpy by name.
fn numpy_of(
    py: Python<'_>,
    arrays: impl IntoIterator<Item = (String, TensorData)>,
) -> PyResult<Bound<'_, PyDict>> {
    fn array<'py, T: Element + numpy::Element>(
        py: Python<'py>,
        data: TensorData,
    ) -> PyResult<Bound<'py, PyAny>> {
        let shape = data.shape.to_vec();
        let values = data
            .into_vec::<T>()
            .map_err(|error| of_value(format!("{error:?}")))?;
        Ok(PyArray::from_vec(py, values).reshape(shape)?.into_any())
    }
    let dict = PyDict::new(py);
    for (name, data) in arrays {
        let value = match data.dtype {
            burn::tensor::DType::F64 => array::<f64>(py, data)?,
            burn::tensor::DType::F32 => array::<f32>(py, data)?,
            _ => {
                let data = data.convert::<f64>();
                array::<f64>(py, data)?
            }
        };
        dict.set_item(name, value)?;
    }
    Ok(dict)
}
