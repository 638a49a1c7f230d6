//! Monitors: activity and weights of the network at a validation, from a few of its trials.

use std::collections::BTreeMap;

use burn::tensor::backend::Backend;
use burn::tensor::{ElementConversion, Tensor};
use ctrnn_model::{
    CtrnnModule, Forward, Matrix, Record, RecurrenceBackend, Weights, spectral_radius,
};
use ctrnn_tasks::TrialBatch;
use serde::Serialize;

use crate::TrainError;
use crate::batch::Batch;
use crate::condition_states::condition_numbers;
use crate::evaluation::ValidationSet;
use crate::objective::penalty::participation_ratio;

/// Number of validation trials on which the rates are monitored: so few that a validation takes hardly longer.
pub const MONITORED_TRIALS: usize = 32;
/// Largest absolute rate of a silent unit.
pub const SILENT: f64 = 0.01;
/// Fraction of the largest rate of its activation from which on a unit counts as saturated at a time step.
pub const NEAR_BOUND: f64 = 0.95;
/// Fraction of time steps for which a saturated unit is near its bound.
pub const SATURATED: f64 = 0.5;

/// Measurements of the monitors at a validation. Units are those of all layers, from the inputs up.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Monitored {
    /// Mean rate of each unit over trials and time steps.
    pub mean: Vec<f64>,
    /// Largest absolute rate of each unit.
    pub peak: Vec<f64>,
    /// Fraction of silent units.
    pub silent: f64,
    /// Fraction of saturated units.
    pub saturated: f64,
    /// Participation ratio of the rates, `(tr C)^2 / tr C^2` of their covariance `C` over trials and time steps: the number of
    /// dimensions that they fill. Absent if no rate changes.
    pub participation: Option<f64>,
    /// Spectral radius of the effective recurrent matrix, the largest of all layers.
    pub radius: f64,
    /// Distance of the weights from those at the beginning, relative to these.
    pub drift: f64,
    /// Distance of the weights from those of the validation before, relative to these.
    pub drift_last: f64,
    /// Norm of the gradient of each term of the loss; empty if there is one term, or trials are cut by `train.truncate_steps`.
    pub grad_norms: BTreeMap<String, f64>,
    /// The effective weights, by name.
    #[serde(skip)]
    pub weights: Weights,
}

impl Monitored {
    /// Names of the numbers that are one for the whole network.
    pub const NAMES: [&str; 6] = [
        "silent",
        "saturated",
        "participation",
        "radius",
        "drift",
        "drift_last",
    ];

    /// Returns the column of the norm of the gradient of a term.
    pub fn grad_norm_column(term: &str) -> String {
        format!("{GRAD_NORM}{term}")
    }

    /// Returns the number with the name of a column.
    pub fn value(&self, name: &str) -> Option<f64> {
        if let Some(term) = name.strip_prefix(GRAD_NORM) {
            return self.grad_norms.get(term).copied();
        }
        match name {
            "silent" => Some(self.silent),
            "saturated" => Some(self.saturated),
            "participation" => self.participation,
            "radius" => Some(self.radius),
            "drift" => Some(self.drift),
            "drift_last" => Some(self.drift_last),
            _ => None,
        }
    }

    /// Measures a network on the first trials of a validation set.
    ///
    /// # Errors
    /// If a trial has a condition that the network does not know, or the eigenvalues cannot be computed.
    pub(crate) fn of<B: RecurrenceBackend>(
        network: &CtrnnModule<B>,
        set: &ValidationSet,
        seed: u64,
        drift: &Drift,
    ) -> Result<Self, TrainError> {
        let (batch, pass) = monitored_pass(network, set, seed)?;
        let trajectory = network.forward(batch.inputs.clone(), &pass);
        let layers = trajectory.layers().zip(network.config().layers());
        let (mut rates, mut near) = (Vec::new(), Vec::new());
        for (layer, config) in layers {
            let own = rows(layer.rates.clone().expect("rates are recorded"));
            near.push(near_bound(own.clone(), config.activation.range()[1]));
            rates.push(own);
        }
        let (rates, near) = (Tensor::cat(rates, 1), Tensor::cat(near, 1));
        let [n_rows, n_units] = rates.dims();
        let within = batch.within.clone().reshape([n_rows, 1]);
        let count = batch.within_sum;
        let mean = (rates.clone() * within.clone()).sum_dim(0) / count;
        let peak = (rates.clone().abs() * within.clone()).max_dim(0);
        let near = (near * within.clone()).sum_dim(0) / count;
        let centred = (rates - mean.clone()) * within;
        let [mean, peak, near] = [mean, peak, near].map(values);
        let fraction = |n: usize| n as f64 / n_units as f64;
        let weights = network.weights();
        Ok(Self {
            silent: fraction(peak.iter().filter(|rate| **rate <= SILENT).count()),
            saturated: fraction(near.iter().filter(|part| **part >= SATURATED).count()),
            mean,
            peak,
            participation: participation(centred),
            radius: radius(network)?,
            drift: distance(&weights, &drift.initial),
            drift_last: distance(&weights, &drift.last),
            grad_norms: BTreeMap::new(),
            weights: drifting(weights),
        })
    }
}

/// Beginning of the columns of the norms of the gradients of terms.
const GRAD_NORM: &str = "grad_norm_";

/// Returns the first trials of a validation set, and the settings of a pass over them.
///
/// # Errors
/// If a trial has a condition that the network does not know.
pub(crate) fn monitored_pass<B: Backend>(
    network: &CtrnnModule<B>,
    set: &ValidationSet,
    seed: u64,
) -> Result<(Batch<B>, Forward<B>), TrainError> {
    let numbers = 0..MONITORED_TRIALS.min(set.trials.n_trials());
    let trials = TrialBatch::new(set.trials.some(numbers.clone()).iter());
    let batch = Batch::new(&trials, &network.device());
    let pass = Forward {
        noise: set.noise(seed).of_trials(numbers),
        record: Record::RATES,
        conditions: condition_numbers(network, set.task, &trials)?,
        lengths: if batch.is_padded() {
            trials.n_steps.clone()
        } else {
            Vec::new()
        },
        ..Forward::default()
    };
    Ok((batch, pass))
}

/// Weights from which the distance of the present ones is measured.
#[derive(Clone, Debug)]
pub(crate) struct Drift {
    /// Weights at the beginning of the run.
    pub initial: Weights,
    /// Weights of the validation before, or at the beginning of the run.
    pub last: Weights,
    /// Step of these weights; `None` if a checkpoint of another step held them.
    pub last_step: Option<u64>,
}

/// Returns the arrays of a weight file whose drift is measured.
pub(crate) fn drifting(mut weights: Weights) -> Weights {
    weights.retain(|name, _| drifts(name));
    weights
}

/// Returns true if an array of a weight file is an effective matrix of weights.
fn drifts(name: &str) -> bool {
    let of_layer = |end: &str| {
        name.strip_suffix(end)
            .is_some_and(|layer| layer.is_empty() || layer.ends_with('.'))
    };
    ["input.weight", "recurrent.weight", "output.weight"]
        .into_iter()
        .any(of_layer)
}

/// Returns the Frobenius norm of the change of all weight matrices, relative to that of the weights before.
fn distance(weights: &Weights, before: &Weights) -> f64 {
    let (mut change, mut size) = (0.0, 0.0);
    for (name, old) in before {
        let new = weights[name].iter::<f64>();
        for (new, old) in new.zip(old.iter::<f64>()) {
            change += (new - old).powi(2);
            size += old.powi(2);
        }
    }
    if size == 0.0 {
        0.0
    } else {
        (change / size).sqrt()
    }
}

/// Returns `[trial, time, unit]` as rows of units in the order of time-major memory.
fn rows<B: Backend>(rates: Tensor<B, 3>) -> Tensor<B, 2> {
    let [trials, steps, units] = rates.dims();
    rates.swap_dims(0, 1).reshape([trials * steps, units])
}

/// Returns 1 where a rate is near the bound of its activation; 0 everywhere if there is none.
fn near_bound<B: Backend>(rates: Tensor<B, 2>, bound: f64) -> Tensor<B, 2> {
    if !bound.is_finite() {
        return rates.zeros_like();
    }
    let near = rates.clone().abs().greater_equal_elem(NEAR_BOUND * bound);
    rates.zeros_like().mask_fill(near, 1.0)
}

fn values<B: Backend>(tensor: Tensor<B, 2>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

/// Returns the participation ratio of rates from which their means were taken.
fn participation<B: Backend>(centred: Tensor<B, 2>) -> Option<f64> {
    let covariance = centred.clone().transpose().matmul(centred);
    let ratio: f64 = participation_ratio(covariance).into_scalar().elem();
    (ratio > 0.0).then_some(ratio)
}

/// Returns the spectral radius of the effective recurrent matrix, the largest of all layers.
fn radius<B: Backend>(network: &CtrnnModule<B>) -> Result<f64, TrainError> {
    network.layers().try_fold(0.0, |largest: f64, layer| {
        let matrix = layer.effective_weights(Matrix::Recurrent);
        let matrix: Vec<f64> = matrix.into_data().iter::<f64>().collect();
        let own = spectral_radius(&matrix, layer.config().n_units)?;
        Ok(largest.max(own))
    })
}

#[cfg(test)]
mod tests {
    use burn::backend::NdArray;
    use burn::tensor::TensorData;

    use super::*;

    type Cpu = NdArray<f64>;

    fn tensor(rows: Vec<[f64; 2]>) -> Tensor<Cpu, 2> {
        let n = rows.len();
        let data = TensorData::new(rows.concat(), [n, 2]);
        ctrnn_model::host_tensor(data, &Default::default())
    }

    /// Covariance [[2, 1], [1, 2]] up to a factor: (2 + 2)^2 / (4 + 1 + 1 + 4).
    #[test]
    fn the_participation_ratio_by_hand() {
        let rows = vec![[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]];
        assert!((participation(tensor(rows)).unwrap() - 1.6).abs() < 1e-12);
        assert_eq!(participation(tensor(vec![[0.0, 0.0]])), None);
        let one_direction = vec![[1.0, -2.0], [2.0, -4.0]];
        assert!((participation(tensor(one_direction)).unwrap() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn rates_near_a_bound_on_either_side() {
        let rates = vec![[0.95, -0.96], [0.94, 0.0]];
        let near = near_bound(tensor(rates.clone()), 1.0);
        assert_eq!(values(near), [1.0, 1.0, 0.0, 0.0]);
        assert_eq!(values(near_bound(tensor(rates), f64::INFINITY)), [0.0; 4]);
    }

    /// The change is (0.3, 0.4) of weights with the norm 1; biases do not count.
    #[test]
    fn the_drift_is_relative_to_the_weights_before() {
        let weights = |recurrent: [f64; 2]| -> Weights {
            let all = [
                ("recurrent.weight", recurrent),
                ("recurrent.bias", recurrent),
            ];
            let named = all.map(|(name, x)| (name.to_owned(), TensorData::new(x.to_vec(), [2])));
            drifting(named.into())
        };
        let found = distance(&weights([0.9, 1.2]), &weights([0.6, 0.8]));
        assert!((found - 0.5).abs() < 1e-12, "{found}");
        assert!(
            ["layers.1.recurrent.weight", "input.weight"]
                .into_iter()
                .all(drifts)
        );
        assert!(!drifts("other_input.weight") && !drifts("input.weight_raw"));
    }
}
