//! Time constants: their kinds in a configuration, how they are drawn or learned, and the gain of a step.

use std::fmt;

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use ctrnn_random::{Key, Rng, Stream};
use serde::{Deserialize, Serialize};

use crate::parameters::{TAU_MS, constant};
use crate::{ModelError, Parameter, Weights, words};

mod schema;
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
fn tau_of(weights: &Weights, len: usize) -> Result<Vec<f64>, ModelError> {
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

#[cfg(test)]
mod tests;

words! {
    /// Integrator: the rule by which the state follows its drive over one time step.
    ///
    /// ```text
    /// v' = decay v + gain [W_rc r + W_in u + b + eps]        decay = 1 - gain
    /// ```
    #[derive(Default)]
    pub enum Integrator: "integrator" {
        /// Forward Euler: `gain = alpha = dt / tau`; its error is of first order in dt, and dt must not exceed tau.
        #[default]
        Euler = "euler",
        /// Exponential Euler: `gain = 1 - exp(-dt / tau)`; exact where the drive does not change within the step.
        Exponential = "exponential",
    }
}

impl Integrator {
    /// Returns the gain of a step of `dt_ms` for time constants `tau [N]`, in (0, 1].
    pub(crate) fn gain<B: Backend>(self, dt_ms: f64, tau: Tensor<B, 1>) -> Tensor<B, 1> {
        let alpha = constant(dt_ms, tau.dims()[0], &tau.device()) / tau;
        match self {
            Self::Euler => alpha,
            Self::Exponential => exponential_gain(alpha),
        }
    }

    /// Returns the gain of a step of `dt_ms` for one time constant, in double precision.
    pub fn gain_of(self, dt_ms: f64, tau_ms: f64) -> f64 {
        match self {
            Self::Euler => dt_ms / tau_ms,
            Self::Exponential => -(-dt_ms / tau_ms).exp_m1(),
        }
    }
}

/// Returns `1 - exp(-x)`, to full relative precision where x is small: `2 t / (1 + t)` with `t = tanh(x / 2)`.
///
/// The value is computed outside the graph, which only holds the derivative `exp(-x)`: the backward pass of burn's division uses a
/// reciprocal, which is accurate to only 12 bits in a build with burn's feature `simd`.
fn exponential_gain<B: Backend>(x: Tensor<B, 1>) -> Tensor<B, 1> {
    let at = x.clone().detach();
    let t = (at.clone() * 0.5).tanh();
    let value = t.clone() * 2.0 / (t + 1.0);
    let derivative = at.clone().neg().exp();
    (x - at) * derivative + value
}

/// Time constants of the units, in ms.
///
/// In files: `100.0`; `[100.0, 50.0]`, one for each unit; `{ e = 100.0, i = 50.0 }`; `{ uniform = [50, 200] }`;
/// `{ lognormal = { median = 100, sigma = 0.5, min = 40, max = 400 } }`; or
/// `{ learned = { initial = 100.0, bounds = [20, 500], per_unit = true } }`.
#[derive(Clone, Debug, PartialEq)]
pub enum TimeConstants {
    /// One time constant for all units.
    Shared(f64),
    /// One time constant for each unit.
    PerUnit(Vec<f64>),
    /// Separate time constants for excitatory and inhibitory units.
    PerType(Box<PerType>),
    /// Drawn for each unit, uniform between two bounds.
    Uniform([f64; 2]),
    /// Drawn for each unit: the logarithm is normal.
    LogNormal(LogNormal),
    /// Trained within bounds.
    Learned(LearnedTimeConstants),
}

/// Time constants of each cell type of Dale's law: a number, or a distribution that each unit draws from.
#[derive(Clone, Debug, PartialEq)]
pub struct PerType {
    /// Time constants of excitatory units.
    pub e: TimeConstants,
    /// Time constants of inhibitory units.
    pub i: TimeConstants,
}

/// Log-normal distribution: `ln tau` is normal with mean `ln median` and standard deviation `sigma`, truncated at `min` and `max`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogNormal {
    /// Median before truncation, in ms.
    pub median: f64,
    /// Standard deviation of the logarithm.
    pub sigma: f64,
    /// Smallest value, in ms.
    pub min: f64,
    /// Largest value, in ms.
    pub max: f64,
}

impl From<f64> for TimeConstants {
    fn from(tau_ms: f64) -> Self {
        Self::Shared(tau_ms)
    }
}

impl TimeConstants {
    /// Returns the bounds and initial values, if the time constants are learned.
    pub fn learned(&self) -> Option<&LearnedTimeConstants> {
        match self {
            Self::Learned(learned) => Some(learned),
            _ => None,
        }
    }

    /// Returns the number of time constants of `n_units` units: 1 where they share one.
    pub fn count(&self, n_units: usize) -> usize {
        match self {
            Self::Shared(_) => 1,
            Self::Learned(learned) if !learned.per_unit => 1,
            _ => n_units,
        }
    }

    /// Returns the smallest and the largest value that a unit can have, in ms.
    pub fn range_ms(&self) -> [f64; 2] {
        match self {
            Self::Shared(tau) => [*tau, *tau],
            Self::PerUnit(list) => [
                list.iter().copied().fold(f64::INFINITY, f64::min),
                list.iter().copied().fold(0.0, f64::max),
            ],
            Self::PerType(types) => {
                let ([e_lo, e_hi], [i_lo, i_hi]) = (types.e.range_ms(), types.i.range_ms());
                [e_lo.min(i_lo), e_hi.max(i_hi)]
            }
            Self::Uniform(bounds) => *bounds,
            Self::LogNormal(law) => [law.min, law.max],
            Self::Learned(learned) => learned.bounds,
        }
    }

    /// Returns the one number that holds for all units of a sign (0: without Dale's law), if there is one.
    pub(crate) fn shared_by(&self, sign: f64) -> Option<f64> {
        match self {
            Self::Shared(tau) => Some(*tau),
            Self::PerType(types) if sign != 0.0 => types.of(sign).shared_by(0.0),
            _ => None,
        }
    }

    /// Returns true if each unit draws its own, so that the configuration alone does not determine them.
    pub(crate) fn are_drawn(&self) -> bool {
        match self {
            Self::Uniform(_) | Self::LogNormal(_) => true,
            Self::PerType(types) => types.e.are_drawn() || types.i.are_drawn(),
            Self::Shared(_) | Self::PerUnit(_) | Self::Learned(_) => false,
        }
    }

    /// Returns true if they differ between excitatory and inhibitory units.
    pub fn need_cell_types(&self) -> bool {
        match self {
            Self::PerType(_) => true,
            Self::Learned(learned) => learned.initial.need_cell_types(),
            _ => false,
        }
    }

    /// Returns true if `tau_ms` may be values of these time constants, for units of these `signs` (+1 excitatory, -1 inhibitory,
    /// empty without Dale's law); a file holds them in single precision.
    pub(crate) fn allow(&self, tau_ms: &[f64], signs: &[f64]) -> bool {
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-6 * b;
        let [lo, hi] = self.range_ms();
        match self {
            Self::PerUnit(list) => {
                list.len() == tau_ms.len() && tau_ms.iter().zip(list).all(|(a, b)| close(*a, *b))
            }
            Self::PerType(types) => {
                tau_ms.len() == signs.len()
                    && tau_ms
                        .iter()
                        .zip(signs)
                        .all(|(&tau, &sign)| types.of(sign).allow(&[tau], &[]))
            }
            _ => tau_ms
                .iter()
                .all(|&tau| (lo..=hi).contains(&tau) || close(tau, lo) || close(tau, hi)),
        }
    }

    /// Returns the initial values, [`TimeConstants::count`] of them, for units of these `signs` (as in [`TimeConstants::allow`]).
    /// Drawn values come from `key` and are rounded to single precision, as files hold them.
    pub(crate) fn draw(&self, n_units: usize, signs: &[f64], key: Key) -> Vec<f64> {
        let draw = |one: &dyn Fn(&mut Rng) -> f64| -> Vec<f64> {
            (0..n_units)
                .map(|unit| one(&mut Rng::new(key, unit as u64, 0)))
                .map(|tau| f64::from(tau as f32))
                .collect()
        };
        match self {
            Self::Shared(tau) => vec![*tau],
            Self::PerUnit(list) => list.clone(),
            Self::PerType(types) => {
                let of_type = |tau: &TimeConstants| match tau.draw(n_units, &[], key).as_slice() {
                    [shared] => vec![*shared; n_units],
                    each => each.to_vec(),
                };
                let (e, i) = (of_type(&types.e), of_type(&types.i));
                (0..n_units)
                    .map(|unit| if signs[unit] > 0.0 { e[unit] } else { i[unit] })
                    .collect()
            }
            Self::Uniform([lo, hi]) => draw(&|rng| rng.uniform_in(*lo, *hi)),
            Self::LogNormal(law) => draw(&|rng| law.draw(rng)),
            Self::Learned(learned) => {
                let values = learned.initial.draw(n_units, signs, key);
                match values.as_slice() {
                    [shared] => vec![*shared; self.count(n_units)],
                    _ => values,
                }
            }
        }
    }

    /// Returns the values that a network with these weights has: those of the configuration, or those of the weights where they
    /// were drawn; empty for learned ones, which follow from their parameter. `weights` has been checked.
    ///
    /// # Errors
    /// If they were drawn and the weights lack them.
    pub(crate) fn of(
        &self,
        weights: &Weights,
        n_units: usize,
        signs: &[f64],
    ) -> Result<Vec<f64>, ModelError> {
        match self {
            Self::Learned(_) => Ok(Vec::new()),
            drawn if drawn.are_drawn() => tau_of(weights, n_units),
            // Nothing is drawn.
            given => Ok(given.draw(n_units, signs, Key::new(0, Stream::TimeConstants, 0))),
        }
    }
}

impl PerType {
    /// Returns the time constants of units of this sign.
    fn of(&self, sign: f64) -> &TimeConstants {
        if sign > 0.0 { &self.e } else { &self.i }
    }
}

impl LogNormal {
    /// Draws a value by rejection, which accepts more than a third of the proposals: from the normal distribution where the
    /// interval is longer than one standard deviation, from the uniform one where it is shorter.
    fn draw(&self, rng: &mut Rng) -> f64 {
        let z = |tau: f64| (tau / self.median).ln() / self.sigma;
        let (low, high) = (z(self.min), z(self.max));
        loop {
            let (z, accepted) = if high - low > 1.0 {
                let z = f64::from(rng.normal());
                (z, (low..=high).contains(&z))
            } else {
                let z = rng.uniform_in(low, high);
                (z, rng.uniform() < (-0.5 * z * z).exp())
            };
            if accepted {
                return self.median * (self.sigma * z).exp();
            }
        }
    }
}

impl fmt::Display for TimeConstants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [lo, hi] = self.range_ms();
        match self {
            Self::Shared(tau) => write!(f, "{tau} ms"),
            Self::PerUnit(_) => write!(f, "{lo} to {hi} ms, given for each unit"),
            Self::PerType(types) => {
                write!(f, "excitatory {}; inhibitory {}", types.e, types.i)
            }
            Self::Uniform(_) => write!(f, "{lo} to {hi} ms, uniform"),
            Self::LogNormal(law) => write!(
                f,
                "{lo} to {hi} ms, lognormal with median {} ms",
                law.median
            ),
            Self::Learned(learned) => {
                let whose = if learned.per_unit {
                    "each unit"
                } else {
                    "all units"
                };
                write!(f, "{lo} to {hi} ms, learned for {whose}")
            }
        }
    }
}
