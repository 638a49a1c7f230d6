//! Built-in tasks: their channels, batches of trials, and which answers are correct.

use std::path::Path;

use ctrnn_cli::failure::Failure;
use ctrnn_config::{Reading, Run};
use ctrnn_random::{Key, Stream};
use ctrnn_tasks::{BatchRequest, ConditionOrder, Layout, Mask, Target, TrialBatch};
use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray3, PyUntypedArrayMethods};
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::of_value;
use crate::threads::detached;

/// A task of the program.
#[pyclass(module = "ctrnn", frozen)]
pub struct BuiltinTask {
    run: Run,
    layout: Layout,
}

/// Numbers that determine a batch.
#[derive(Clone, Copy)]
struct Numbers {
    n_trials: usize,
    seed: u64,
    step: u64,
    balanced: bool,
}

#[pymethods]
impl BuiltinTask {
    /// Creates a task from its name and the keys of its table, as JSON.
    #[new]
    fn new(name: &str, table: &str, dt_ms: f64) -> PyResult<Self> {
        let registry = ctrnn_runs::registry();
        if registry.get(name).is_none() {
            let near = ctrnn_config::tasks_like(name, registry.names());
            let help = match near.as_slice() {
                [] => "`ctrnn.call(\"tasks\", \"list\")` lists all".to_owned(),
                near => format!("did you mean {}?", near.join(" or ")),
            };
            return Err(PyKeyError::new_err(format!(
                "{name:?} is not a task; {help}"
            )));
        }
        let table: toml::Value = serde_json::from_str(table).map_err(of_value)?;
        // tau_ms only has to be valid, because no network is built.
        let time = toml::Table::from_iter([("dt_ms".to_owned(), dt_ms.into())]);
        let model = toml::Table::from_iter([("tau_ms".to_owned(), dt_ms.into())]);
        let task = toml::Table::from_iter([(name.to_owned(), table)]);
        let document = toml::Table::from_iter([
            ("version".to_owned(), 1.into()),
            ("time".to_owned(), time.into()),
            ("model".to_owned(), model.into()),
            ("task".to_owned(), task.into()),
        ]);
        let text = toml::to_string(&document).map_err(of_value)?;
        let read = Reading::new(&registry).text(&text, "settings", Path::new("."));
        let run =
            read.map_err(|errors| of_value(Failure::from(errors).render(false).trim_end()))?;
        Ok(Self {
            layout: run.task.layout(),
            run,
        })
    }

    /// Names of the inputs.
    #[getter]
    fn inputs(&self) -> Vec<String> {
        self.layout.inputs.clone()
    }

    /// Names of the outputs.
    #[getter]
    fn outputs(&self) -> Vec<String> {
        self.layout.outputs.clone()
    }

    /// Names of the outputs that are choices.
    #[getter]
    fn choices(&self) -> Vec<String> {
        let choices = self.layout.choices.iter();
        choices.map(|&k| self.layout.outputs[k].clone()).collect()
    }

    /// Time step in ms.
    #[getter]
    fn dt_ms(&self) -> f64 {
        self.run.clock.dt_ms()
    }

    /// Makes a batch of trials.
    #[pyo3(signature = (n_trials, *, seed = 0, step = 0, balanced = false))]
    fn batch<'py>(
        &self,
        py: Python<'py>,
        n_trials: usize,
        seed: u64,
        step: u64,
        balanced: bool,
    ) -> PyResult<Bound<'py, PyDict>> {
        let numbers = Numbers {
            n_trials,
            seed,
            step,
            balanced,
        };
        let batch = detached(py, || self.made(numbers))?;
        arrays_of(py, &batch)
    }

    /// Says which outputs, [trial, time, output], of the batch of these numbers are correct: 1, 0, or nan.
    #[pyo3(signature = (outputs, *, seed = 0, step = 0, balanced = false))]
    fn score<'py>(
        &self,
        py: Python<'py>,
        outputs: PyReadonlyArray3<'py, f32>,
        seed: u64,
        step: u64,
        balanced: bool,
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let numbers = Numbers {
            n_trials: outputs.shape()[0],
            seed,
            step,
            balanced,
        };
        let batch = self.made(numbers)?;
        let expected = [batch.n_trials, batch.max_steps, batch.n_outputs];
        if outputs.shape() != expected {
            return Err(of_value(format!(
                "`outputs` has shape {:?}; expected {expected:?}, as the batch of this seed and step",
                outputs.shape()
            )));
        }
        let values: Vec<f32> = outputs.as_array().iter().copied().collect();
        let scored = |b: usize| {
            let readout = batch.rows(&values, b, batch.n_outputs);
            let correct = self.run.task.is_correct(&batch.trial(b), readout);
            correct.map_or(f64::NAN, |correct| f64::from(u8::from(correct)))
        };
        let scores: Vec<f64> = (0..batch.n_trials).map(scored).collect();
        Ok(PyArray1::from_vec(py, scores))
    }
}

impl BuiltinTask {
    /// Returns the batch that training makes at this step with this seed, or, balanced, the trials of validation at step 0.
    fn made(&self, numbers: Numbers) -> PyResult<TrialBatch> {
        if numbers.n_trials == 0 {
            return Err(of_value("`n_trials` is 0; expected at least 1"));
        }
        let (stream, conditions) = if numbers.balanced {
            (Stream::Validation, ConditionOrder::BalancedTasks)
        } else {
            (Stream::Trials, ConditionOrder::Weighted)
        };
        let request = BatchRequest {
            clock: self.run.clock,
            first_trial: 0,
            n_trials: numbers.n_trials,
            key: Key::new(numbers.seed, stream, 0),
            step: numbers.step,
            conditions,
        };
        let made = self.run.task.sample_batch(&request);
        made.map_err(of_value)
    }
}

/// Returns the arrays of a batch by the names that files of trials have.
fn arrays_of<'py>(py: Python<'py>, batch: &TrialBatch) -> PyResult<Bound<'py, PyDict>> {
    let (b, t, o) = (batch.n_trials, batch.max_steps, batch.n_outputs);
    let dict = PyDict::new(py);
    let reshaped =
        |values: &[f32], shape: &[usize]| PyArray1::from_slice(py, values).reshape(shape.to_vec());
    dict.set_item("inputs", reshaped(&batch.inputs, &[b, t, batch.n_inputs])?)?;
    match &batch.target {
        Target::Values(values) => dict.set_item("targets", reshaped(values, &[b, t, o])?)?,
        Target::Classes(labels) => {
            let labels = labels.iter().map(|&label| i64::from(label));
            let labels = PyArray1::from_iter(py, labels).reshape([b, t])?;
            dict.set_item("labels", labels)?;
        }
    }
    match &batch.mask {
        Mask::Steps(mask) => dict.set_item("mask", reshaped(mask, &[b, t])?)?,
        Mask::Outputs(mask) => dict.set_item("mask", reshaped(mask, &[b, t, o])?)?,
    }
    let n_steps = batch.n_steps.iter().map(|&n| n as i64);
    dict.set_item("n_steps", PyArray1::from_iter(py, n_steps))?;
    let correct = batch.correct.iter();
    let correct = correct.map(|choice| choice.map_or(-1, |choice| choice as i64));
    dict.set_item("correct", PyArray1::from_iter(py, correct))?;
    for (name, values) in &batch.conditions {
        let column = PyArray1::from_slice(py, values);
        dict.set_item(format!("cond_{name}"), column)?;
    }
    Ok(dict)
}
