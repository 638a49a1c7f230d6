//! Terms of the loss that functions in Python compute: `[train.loss.python]`.
//!
//! A program with the function, `python -m ctrnn.loss FILE FUNCTION ARGUMENTS`, is asked in every step. Questions and answers
//! are those of [`Generator`]; arrays follow as float32 in little-endian bytes, in the order and with the shapes of the key
//! `arrays`. The answer to the first question, `{"hello": true}`, names in `takes` what the function takes; each further one has
//! its `value` and, if the question has `"gradient": true`, the gradients as arrays.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use burn::tensor::{Tensor, TensorData};
use ctrnn_config::Run;
use ctrnn_files::printable;
use ctrnn_model::{Matrix, TrainingBackend, host_tensor, layer_prefix};
use ctrnn_tasks::{Interrupt, TaskError};
use ctrnn_train::{LossInputs, PythonTerm, TrainError, Trainer};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::RunError;
use crate::trials::generator::{Answer, Generator, append_little_endian};
use crate::trials::trials_from_command::as_typed;

const CORRECT_IT: &str = "correct the function; `train-ctrnn config explain train.loss.python` says what it takes and returns";

/// Gives a trainer the terms in Python of a run, in place of those of the stage before.
///
/// # Errors
/// If a program must not be started, or fails.
pub fn set_terms<'a, B: TrainingBackend>(
    run: &Run,
    before: Option<&Run>,
    trainer: &mut Trainer<'a, B>,
) -> Result<(), RunError> {
    for name in before
        .iter()
        .flat_map(|before| before.config.train.loss.python.keys())
    {
        trainer.remove_loss(name);
    }
    for (name, config) in &run.config.train.loss.python {
        let key = format!("train.loss.python.{name}");
        let words = run.term_programs.get(name).ok_or_else(|| {
            let why = "its program is not started here";
            TaskError::program(&key, why).with_help("a command that trains starts it")
        })?;
        let program = TermProgram::start(key, words, config)?;
        let program = RefCell::new(program);
        trainer.add_fallible_loss(name, move |inputs| {
            let term = program.borrow_mut().term(inputs);
            term.map_err(TrainError::from)
        });
    }
    Ok(())
}

/// Quantities that a function may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Quantity {
    Outputs,
    Rates,
    Weights,
    Targets,
    Mask,
    NSteps,
}

/// An array in a question or an answer, by its name.
type Named<T> = (String, T);

/// A running program that computes a term.
struct TermProgram {
    /// Key of its table.
    key: String,
    words: Vec<String>,
    timeout: Duration,
    takes: Vec<Quantity>,
    generator: Generator,
}

impl TermProgram {
    fn start(key: String, words: &[String], config: &PythonTerm) -> Result<Self, TaskError> {
        let words = words.to_vec();
        let timeout = Duration::from_secs_f64(config.timeout_ms / 1000.0);
        let mut generator = Generator::start(&words, Path::new(".")).map_err(|message| {
            let install = format!(
                "give the Python that has the package: {key}.interpreter = \"/path/to/bin/python\""
            );
            TaskError::config(&key, message).with_help(install)
        })?;
        let hello = json!({ "hello": true });
        let answer = generator.ask(hello, &[], 0, timeout, &Interrupt::default());
        let takes = answer.and_then(|answer| {
            let takes = answer.header["takes"].clone();
            serde_json::from_value(takes).map_err(|error| {
                let header = printable(&answer.header.to_string());
                format!(
                    "answered hello with {header}: {}",
                    printable(&error.to_string())
                )
            })
        });
        let takes = takes.map_err(|message| failed(&key, &words, &message))?;
        Ok(Self {
            key,
            words,
            timeout,
            takes,
            generator,
        })
    }

    /// Returns the value of the term, `[1]`, whose gradients are those that the program gives.
    fn term<B: TrainingBackend>(
        &mut self,
        inputs: &LossInputs<B>,
    ) -> Result<Tensor<B, 1>, TaskError> {
        let tracked = self.tracked(inputs);
        let fixed = self.fixed(inputs);
        let shapes = shapes(&tracked, &fixed);
        let mut content = Vec::new();
        let of_tracked = tracked.iter().map(|(_, tensor)| tensor.data());
        for data in of_tracked.chain(fixed.into_iter().map(|(_, data)| data)) {
            let data = data.convert::<f32>();
            append_little_endian(&mut content, data.as_slice().expect("converted to f32"));
        }
        let question = json!({ "arrays": shapes, "gradient": inputs.is_training });
        let longest = tracked
            .iter()
            .map(|(_, tensor)| 4 * tensor.len() as u64)
            .sum();
        let answer = self.generator.ask(
            question,
            &content,
            longest,
            self.timeout,
            &Interrupt::default(),
        );
        let found = answer.and_then(|answer| differentiated(&answer, &tracked, inputs));
        found.map_err(|message| failed(&self.key, &self.words, &message))
    }

    /// Returns what the function takes and has gradients.
    fn tracked<B: TrainingBackend>(&self, inputs: &LossInputs<B>) -> Vec<Named<Tracked<B>>> {
        let mut found = Vec::new();
        for quantity in &self.takes {
            match quantity {
                Quantity::Outputs => {
                    let outputs = inputs.outputs.clone();
                    found.push(("outputs".to_owned(), Tracked::Trials(outputs)));
                }
                Quantity::Rates => {
                    found.push(("rates".to_owned(), Tracked::Trials(inputs.rates())));
                }
                Quantity::Weights => found.extend(weights(inputs)),
                Quantity::Targets | Quantity::Mask | Quantity::NSteps => {}
            }
        }
        found
    }

    /// Returns what the function takes of the batch, which does not depend on the network.
    fn fixed<B: TrainingBackend>(&self, inputs: &LossInputs<B>) -> Vec<Named<TensorData>> {
        let batch = inputs.batch;
        let trial_major = |tensor: &Tensor<B, 3>| B::host_data(tensor.clone().swap_dims(0, 1));
        let fixed = |quantity: &Quantity| match quantity {
            Quantity::Targets => Some(("targets".to_owned(), trial_major(&batch.targets))),
            Quantity::Mask => Some(("mask".to_owned(), trial_major(&batch.mask))),
            Quantity::NSteps => {
                let n_steps: Vec<f32> = batch.n_steps.iter().map(|&n| n as f32).collect();
                let shape = [n_steps.len()];
                Some(("n_steps".to_owned(), TensorData::new(n_steps, shape)))
            }
            Quantity::Outputs | Quantity::Rates | Quantity::Weights => None,
        };
        self.takes.iter().filter_map(fixed).collect()
    }
}

/// A quantity of the network, on which a term may depend.
enum Tracked<B: TrainingBackend> {
    /// `[trial, time, output or unit]`
    Trials(Tensor<B, 3>),
    /// `[post, pre]`
    Weights(Tensor<B, 2>),
}

impl<B: TrainingBackend> Tracked<B> {
    fn shape(&self) -> Vec<usize> {
        match self {
            Self::Trials(tensor) => tensor.dims().to_vec(),
            Self::Weights(tensor) => tensor.dims().to_vec(),
        }
    }

    fn len(&self) -> usize {
        self.shape().iter().product()
    }

    fn data(&self) -> TensorData {
        match self {
            Self::Trials(tensor) => B::host_data(tensor.clone()),
            Self::Weights(tensor) => B::host_data(tensor.clone()),
        }
    }

    /// Returns 0 as a function of it with a gradient, `[1]`.
    fn zero_with_gradient(&self, gradient: TensorData) -> Tensor<B, 1> {
        let y: Tensor<B, 3> = match self {
            Self::Trials(tensor) => tensor.clone(),
            Self::Weights(tensor) => tensor.clone().unsqueeze(),
        };
        let device = y.device();
        let gradient = TensorData {
            shape: y.shape(),
            ..gradient
        };
        let zero = host_tensor(TensorData::new(vec![0.0], [1]), &device);
        B::with_gradient(y, zero, host_tensor(gradient, &device))
    }
}

/// Returns the effective matrices of all layers by their names in weight files.
fn weights<B: TrainingBackend>(inputs: &LossInputs<B>) -> Vec<Named<Tracked<B>>> {
    let network = inputs.network;
    let last = network.n_layers() - 1;
    let mut found = Vec::new();
    for (number, layer) in network.layers().enumerate() {
        for matrix in [Matrix::Input, Matrix::Recurrent] {
            let name = layer_prefix(number) + &matrix.array("weight");
            found.push((name, Tracked::Weights(layer.effective_weights(matrix))));
        }
        if number == last {
            let readout = layer.effective_weights(Matrix::Output);
            found.push((Matrix::Output.array("weight"), Tracked::Weights(readout)));
        }
    }
    found
}

/// Returns the shapes of all arrays that a program receives, by name.
fn shapes<B: TrainingBackend>(
    tracked: &[Named<Tracked<B>>],
    fixed: &[Named<TensorData>],
) -> Vec<Named<Vec<usize>>> {
    let tracked = tracked.iter();
    let of_tracked = tracked.map(|(name, tensor)| (name.clone(), tensor.shape()));
    let fixed = fixed.iter();
    let of_fixed = fixed.map(|(name, data)| (name.clone(), data.shape.to_vec()));
    of_tracked.chain(of_fixed).collect()
}

/// Returns the value of an answer as a tensor whose gradients are those of the answer.
fn differentiated<B: TrainingBackend>(
    answer: &Answer,
    tracked: &[Named<Tracked<B>>],
    inputs: &LossInputs<B>,
) -> Result<Tensor<B, 1>, String> {
    let given = &answer.header["value"];
    let infinite = || given.as_str()?.parse().ok(); // JSON has no word for it
    let Some(value) = given.as_f64().or_else(infinite) else {
        let header = printable(&answer.header.to_string());
        return Err(format!("answered {header}; expected a value"));
    };
    let mut sum: Tensor<B, 1> =
        host_tensor(TensorData::new(vec![value], [1]), &inputs.outputs.device());
    for (name, gradient) in gradients(answer)? {
        let known = tracked.iter().find(|(own, _)| *own == name);
        let Some((_, tensor)) = known else {
            return Err(format!(
                "gave a gradient of {name:?}, which it does not take"
            ));
        };
        let expected = tensor.shape();
        if gradient.shape.to_vec() != expected {
            return Err(format!(
                "gave a gradient of {name:?} with shape {:?}; expected {expected:?}",
                gradient.shape.to_vec()
            ));
        }
        sum = sum + tensor.zero_with_gradient(gradient);
    }
    Ok(sum)
}

/// Returns the arrays of an answer.
fn gradients(answer: &Answer) -> Result<Vec<Named<TensorData>>, String> {
    let shapes = match &answer.header["arrays"] {
        Value::Null => Vec::new(),
        given => serde_json::from_value::<Vec<Named<Vec<usize>>>>(given.clone())
            .map_err(|error| format!("answered with arrays that cannot be read: {error}"))?,
    };
    let mut rest = answer.bytes.as_slice();
    let mut found = Vec::new();
    for (name, shape) in shapes {
        let bytes = shape.iter().try_fold(4_usize, |all, n| all.checked_mul(*n));
        let own = bytes.and_then(|bytes| rest.split_at_checked(bytes));
        let Some((own, after)) = own else {
            return Err(format!(
                "answered with less bytes than its arrays of shape {shape:?} have"
            ));
        };
        rest = after;
        let values = own
            .as_chunks::<4>()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes));
        found.push((name, TensorData::new(values.collect::<Vec<f32>>(), shape)));
    }
    Ok(found)
}

fn failed(key: &str, words: &[String], message: &str) -> TaskError {
    let message = format!("{} {message}", as_typed(words));
    TaskError::data(key, message).with_help(CORRECT_IT)
}
