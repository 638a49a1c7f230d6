//! A trained network in double precision: steps, trials and Jacobians on arrays of numpy.

use std::path::PathBuf;
use std::sync::Mutex;

use burn::tensor::{Tensor, TensorData};
use burn_ndarray::{NdArray, NdArrayDevice};
use ctrnn_analysis::Dynamics;
use ctrnn_cli::failure::DATA;
use ctrnn_model::{
    CtrnnConfig, CtrnnModule, Forward, InitialState, Record, Trajectory, UnitState, host_tensor,
};
use ndarray::{Array, Dimension, Ix1, Ix2, Ix3};
use numpy::{
    AllowTypeChange, PyArrayDescrMethods, PyArrayLike, PyUntypedArray, PyUntypedArrayMethods,
    ToPyArray,
};
use pyo3::Borrowed;
use pyo3::exceptions::{PyFileNotFoundError, PyNotImplementedError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::of_value;
use crate::threads::detached;

type F64 = NdArray<f64>;

const DEVICE: NdArrayDevice = NdArrayDevice::Cpu;

/// Array of real numbers, or lists of them, of any type and order.
struct Real<'py, D: Dimension>(PyArrayLike<'py, f64, D, AllowTypeChange>);

impl<'a, 'py, D: Dimension + 'py> FromPyObject<'a, 'py> for Real<'py, D> {
    type Error = PyErr;

    fn extract(given: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        // numpy would drop the imaginary parts with a warning.
        let array = given.cast::<PyUntypedArray>().ok();
        if array.is_some_and(|array| array.dtype().kind() == b'c') {
            return Err(PyTypeError::new_err(
                "the numbers are complex; expected real ones",
            ));
        }
        given.extract().map(Self)
    }
}

/// A trained network, computed in double precision.
#[pyclass(module = "ctrnn", frozen)]
pub struct Network {
    /// Behind a lock, because parameters of burn are not shared between threads.
    module: Mutex<CtrnnModule<F64>>,
    config: CtrnnConfig,
    dynamics: Dynamics,
    step: u64,
}

#[pymethods]
impl Network {
    /// Opens the network of a run: its newest weights, or those of a checkpoint.
    #[new]
    #[pyo3(signature = (run, checkpoint = None))]
    fn new(py: Python<'_>, run: PathBuf, checkpoint: Option<String>) -> PyResult<Self> {
        let open = || {
            let registry = ctrnn_runs::registry();
            let opened =
                ctrnn_cli::network_of::<F64>(&run, checkpoint.as_deref(), &registry, &DEVICE);
            opened.map(|(weights, module)| Self {
                config: module.config().clone(),
                dynamics: Dynamics::of(&module),
                module: Mutex::new(module),
                step: weights.step,
            })
        };
        detached(py, open).map_err(|failure| {
            let text = failure.render(false).trim_end().to_owned();
            match failure.exit_code {
                DATA => PyFileNotFoundError::new_err(text),
                _ => PyValueError::new_err(text),
            }
        })
    }

    /// Number of units, N.
    #[getter]
    fn n_units(&self) -> usize {
        self.config.n_units
    }

    /// Number of inputs, I: of several layers, those of the first.
    #[getter]
    fn n_inputs(&self) -> usize {
        self.config.first_layer().n_inputs
    }

    /// Number of outputs, O.
    #[getter]
    fn n_outputs(&self) -> usize {
        self.config.n_outputs
    }

    /// Time step in ms.
    #[getter]
    fn dt_ms(&self) -> f64 {
        self.config.dt_ms
    }

    /// Step of the training at which the weights were saved.
    #[getter]
    fn trained_steps(&self) -> u64 {
        self.step
    }

    /// Time constants in ms, [unit].
    #[getter]
    fn tau_ms<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.dynamics.tau_ms.to_pyarray(py).into_any()
    }

    /// Weights by name as weight files have them, in double precision.
    #[getter]
    fn weights<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let weights = self
            .module
            .lock()
            .expect("no panic under the lock")
            .weights();
        let dict = PyDict::new(py);
        for (name, data) in weights {
            let shape = data.shape.to_vec();
            let values = Array::from_shape_vec(shape, data.iter::<f64>().collect());
            dict.set_item(name, values.map_err(of_value)?.to_pyarray(py))?;
        }
        Ok(dict)
    }

    /// Computes the state after one noise-free time step.
    fn step<'py>(
        &self,
        py: Python<'py>,
        state: Real<'py, Ix1>,
        inputs: Real<'py, Ix1>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.check_map("`step`")?;
        let (state, inputs) = self.state_and_inputs(&state, &inputs)?;
        let next = self
            .dynamics
            .next(&state, &self.dynamics.input_drive(&inputs));
        Ok(next.to_pyarray(py).into_any())
    }

    /// Computes the Jacobian of one time step with respect to the state, [unit, unit].
    fn jacobian<'py>(
        &self,
        py: Python<'py>,
        state: Real<'py, Ix1>,
        inputs: Real<'py, Ix1>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.check_map("`jacobian`")?;
        let (state, inputs) = self.state_and_inputs(&state, &inputs)?;
        let drive = self.dynamics.input_drive(&inputs);
        Ok(self
            .dynamics
            .step_jacobian(&state, &drive)
            .to_pyarray(py)
            .into_any())
    }

    /// Runs trials without noise.
    #[pyo3(signature = (inputs, initial_state = None, conditions = None))]
    fn forward<'py>(
        &self,
        py: Python<'py>,
        inputs: Real<'py, Ix3>,
        initial_state: Option<Real<'py, Ix2>>,
        conditions: Option<Vec<usize>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let [trials, steps, width] = <[usize; 3]>::try_from(inputs.0.as_array().shape())
            .expect("an array of three dimensions");
        let n_inputs = self.n_inputs();
        if width != n_inputs || trials == 0 || steps == 0 {
            return Err(of_value(format!(
                "`inputs` has shape ({trials}, {steps}, {width}); expected (trials, time steps, {n_inputs}), at least one of each"
            )));
        }
        let state = initial_state.map(|state| self.given_state(&state, trials));
        let state = state.transpose()?;
        let conditions = self.conditions(conditions, trials, state.is_some())?;
        let values = TensorData::new(values_of(&inputs), [trials, steps, width]);
        let trajectory = detached(py, || {
            let module = self.module.lock().expect("no panic under the lock");
            let forward = Forward {
                initial_state: state.map(|state| module.rested(host_tensor(state, &DEVICE))),
                conditions,
                record: Record::ALL,
                ..Forward::default()
            };
            module.forward(host_tensor(values, &DEVICE), &forward)
        });
        arrays_of(py, trajectory)
    }

    fn __repr__(&self) -> String {
        format!(
            "Network({} inputs, {} units, {} outputs, dt {} ms, {}, trained for {} steps)",
            self.n_inputs(),
            self.config.n_units,
            self.config.n_outputs,
            self.config.dt_ms,
            self.config.activation.name(),
            self.step
        )
    }
}

impl Network {
    /// Checks that the state determines the next one.
    fn check_map(&self, what: &str) -> PyResult<()> {
        let reason = if self.dynamics.is_delayed {
            "recurrent connections are delayed"
        } else if self.dynamics.synapses.is_some() {
            "synapses have short-term plasticity"
        } else {
            return Ok(());
        };
        Err(PyNotImplementedError::new_err(format!(
            "{what} needs a network whose next state depends on its rates alone, but {reason}; `forward` runs such a network"
        )))
    }

    fn state_and_inputs(
        &self,
        state: &Real<'_, Ix1>,
        inputs: &Real<'_, Ix1>,
    ) -> PyResult<(ndarray::Array1<f64>, ndarray::Array1<f64>)> {
        let (state, inputs) = (state.0.as_array(), inputs.0.as_array());
        let expected = [
            ("state", state.len(), self.config.n_units),
            ("inputs", inputs.len(), self.config.n_inputs),
        ];
        for (name, is, should) in expected {
            if is != should {
                return Err(of_value(format!(
                    "`{name}` has {is} values; expected {should}"
                )));
            }
        }
        Ok((state.to_owned(), inputs.to_owned()))
    }

    fn given_state(&self, state: &Real<'_, Ix2>, trials: usize) -> PyResult<TensorData> {
        let n = self.config.n_units;
        let shape = state.0.as_array().shape().to_vec();
        if shape != [trials, n] {
            return Err(of_value(format!(
                "`initial_state` has shape ({}, {}); expected ({trials}, {n})",
                shape[0], shape[1]
            )));
        }
        Ok(TensorData::new(values_of(state), shape))
    }

    /// Checks the conditions of trials, which a network with an initial state for each condition needs.
    fn conditions(
        &self,
        given: Option<Vec<usize>>,
        trials: usize,
        has_state: bool,
    ) -> PyResult<Vec<usize>> {
        let is_needed = matches!(self.config.initial_state, InitialState::LearnedPerCondition);
        let n = self.config.n_conditions;
        match given {
            Some(given) if given.len() != trials => Err(of_value(format!(
                "`conditions` has {} values for {trials} trials",
                given.len()
            ))),
            Some(given) if is_needed && given.iter().any(|&condition| condition >= n) => {
                Err(of_value(format!(
                    "`conditions` has numbers above {}",
                    n.saturating_sub(1)
                )))
            }
            Some(given) => Ok(given),
            None if is_needed && !has_state => Err(of_value(
                "the network has an initial state for each condition: `conditions` gives the number of that of each trial",
            )),
            None => Ok(Vec::new()),
        }
    }
}

/// Returns the values of an array, row by row.
fn values_of<D: Dimension>(array: &Real<'_, D>) -> Vec<f64> {
    array.0.as_array().iter().copied().collect()
}

/// Returns the arrays of a trajectory by the names that files of `simulate` have.
fn arrays_of(py: Python<'_>, trajectory: Trajectory<F64>) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    let by_name = [
        ("outputs", Some(trajectory.outputs)),
        ("rates", trajectory.rates),
        ("potentials", trajectory.potentials),
        ("utilisation", trajectory.utilisation),
        ("resources", trajectory.resources),
    ];
    for (name, tensor) in by_name {
        if let Some(tensor) = tensor {
            dict.set_item(name, array_of(py, tensor)?)?;
        }
    }
    let UnitState { activity, .. } = trajectory.final_state;
    dict.set_item("final_state", array_of(py, activity)?)?;
    Ok(dict)
}

fn array_of<const D: usize>(py: Python<'_>, tensor: Tensor<F64, D>) -> PyResult<Bound<'_, PyAny>> {
    let shape = tensor.dims().to_vec();
    let values = tensor.into_data().into_vec::<f64>();
    let values = values.map_err(|error| of_value(format!("{error:?}")))?;
    let array = Array::from_shape_vec(shape, values).map_err(of_value)?;
    Ok(array.to_pyarray(py).into_any())
}
