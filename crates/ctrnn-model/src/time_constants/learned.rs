//! Time constants that are trained.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::TimeConstants;
use crate::parameters::TAU_MS;
use crate::{ModelError, Parameter, Weights};

/// Time constants that are trained within bounds.
///
/// ```text
/// tau = lo + (hi - lo) / (1 + exp(-raw))
/// ```
/// `raw` is the trained parameter, so that no step of any optimizer takes tau out of `[lo, hi]`, nor alpha out of (0, 1].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearnedTimeConstants {
    /// Initial time constants: any kind but learned, strictly within the bounds.
    pub initial: Box<TimeConstants>,
    /// `[lo, hi]` in ms.
    pub bounds: [f64; 2],
    /// True if each unit has a time constant of its own; otherwise all units share one.
    #[serde(default = "default_per_unit")]
    pub per_unit: bool,
}

const fn default_per_unit() -> bool {
    true
}

impl LearnedTimeConstants {
    /// Returns tau for values of the trained parameter.
    pub(crate) fn tau_ms<B: Backend>(&self, raw: Tensor<B, 1>) -> Tensor<B, 1> {
        let [lo, hi] = self.bounds;
        // burn's own sigmoid computes in f32 whatever the backend.
        let sigmoid = ((raw * 0.5).tanh() + 1.0) * 0.5;
        sigmoid * (hi - lo) + lo
    }

    /// Returns the trained parameter of a network with these weights: their own tensor, or the one that gives their time constants.
    ///
    /// # Errors
    /// If the weights have neither, or a time constant that is not strictly within the bounds.
    pub(crate) fn raw_of(
        &self,
        weights: &Weights,
        n_units: usize,
    ) -> Result<TensorData, ModelError> {
        if let Some(raw) = weights.get(&Parameter::TIME_CONSTANTS.name()) {
            return Ok(raw.clone());
        }
        let len = if self.per_unit { n_units } else { 1 };
        let [lo, hi] = self.bounds;
        let tau_ms = tau_of(weights, len)?;
        if let Some(tau) = tau_ms.iter().find(|&&tau| !(lo < tau && tau < hi)) {
            return Err(ModelError::Contradiction {
                name: TAU_MS.to_owned(),
                reason: format!("{tau} ms is not strictly within {lo} and {hi} ms"),
            });
        }
        let raw = tau_ms.iter().map(|tau| ((tau - lo) / (hi - tau)).ln());
        Ok(TensorData::new(raw.collect::<Vec<f64>>(), [len]))
    }
}

/// Returns the `len` time constants of a weight file, which may hold one for all units.
pub(super) fn tau_of(weights: &Weights, len: usize) -> Result<Vec<f64>, ModelError> {
    let data = weights
        .get(TAU_MS)
        .ok_or_else(|| ModelError::MissingTensor {
            name: TAU_MS.to_owned(),
        })?;
    let tau_ms: Vec<f64> = data.iter().collect();
    match tau_ms.as_slice() {
        [shared] => Ok(vec![*shared; len]),
        _ => Ok(tau_ms),
    }
}
