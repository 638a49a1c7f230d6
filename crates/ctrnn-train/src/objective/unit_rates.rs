//! The term `unit_rates` of the objective: rates of recorded units against their recordings, for networks that are fitted to data.
//!
//! With the rate `r` of a recorded unit, its firing rate `p` and its recording `x` after the same time step, a term is
//!
//! ```text
//! p = rate_hz g(r)                  g: the output, exp, softplus or none
//! squared_error    (p - x)^2
//! poisson          m - x log m      m = p dt_ms / 1000, the expected number of spikes; without log x!, which has no gradient
//! ```
//!
//! and `unit_rates` is `c` times its mean over the entries that were recorded.
//!
//! # References
//! * Pandarinath et al. (2018), Inferring single-trial neural population dynamics using sequential auto-encoders: rates through an
//!   exponential, Poisson likelihood of the spikes of each bin.
//! * Truccolo et al. (2005), A point process framework for relating neural spiking activity to spiking history: the likelihood of bins.
//! * Perich et al. (2020), Inferring brain-wide interactions using data-constrained recurrent neural network models: squared error of
//!   the rates of units, each of which is a neuron.

use std::borrow::Cow;

use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};
use ctrnn_model::CtrnnConfig;
use ctrnn_tasks::{TaskError, TrialBatch};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::batch::{Batch, Recordings};
use crate::objective::penalty::Statistic;

/// `c` times the mean of the errors of the rates of recorded units over all entries of the trials' `unit_targets` that are not
/// missing (`docs/recordings.md`). `p = rate_hz g(r)` is the firing rate of a unit in spikes per second, with g its output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnitRates {
    /// The coefficient `c`.
    #[schemars(range(min = 0))]
    #[serde(default = "one")]
    pub weight: f64,
    /// The recorded units, in the order of `unit_targets`: indices from 0 (`[0, 3, 7]`), or the name of an area. Of a stack of layers,
    /// units of the last one.
    pub units: RecordedUnits,
    /// The error of a unit after a time step.
    #[serde(default)]
    pub kind: RateError,
    /// Function g between the rate of the network and the firing rate. Absent: `p = rate_hz r`, and `exponential` for `poisson`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<RateOutput>,
    /// Firing rate at which `g(r)` is 1.
    #[schemars(extend("exclusiveMinimum" = 0))]
    #[serde(default = "one")]
    pub rate_hz: f64,
}

const fn one() -> f64 {
    1.0
}

/// The error of the rate of a unit after a time step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "error of a rate")]
pub enum RateError {
    /// `(p - x)^2`, with x the recorded firing rate.
    #[default]
    SquaredError,
    /// `m - x log m`, the negative logarithm of the Poisson likelihood of x spikes in a time step in which `m = p dt_ms / 1000` are
    /// expected, without `log x!`.
    Poisson,
}

/// Function between the rate of a unit of the network and a firing rate, which is then positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "output of a rate")]
pub enum RateOutput {
    /// `exp(r)`.
    Exponential,
    /// `log(1 + exp(r))`.
    Softplus,
}

/// The recorded units of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordedUnits {
    /// Units by index, in the order of their recordings.
    Listed(Vec<usize>),
    /// All units of an area.
    Area(String),
}

impl RecordedUnits {
    /// Returns the indices of the units; `None` if the network does not have the area.
    pub fn indices(&self, network: &CtrnnConfig) -> Option<Vec<usize>> {
        match self {
            Self::Listed(units) => Some(units.clone()),
            Self::Area(name) => network.area_units(name).map(Iterator::collect),
        }
    }
}

impl Serialize for RecordedUnits {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Listed(units) => units.serialize(serializer),
            Self::Area(name) => name.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for RecordedUnits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(name) => Ok(Self::Area(name)),
            units => units.try_into().map(Self::Listed).map_err(D::Error::custom),
        }
    }
}

impl JsonSchema for RecordedUnits {
    fn schema_name() -> Cow<'static, str> {
        "RecordedUnits".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let index = json_schema!({ "type": "integer", "minimum": 0 });
        json_schema!({ "anyOf": [{ "type": "array", "items": index, "minItems": 1 }, { "type": "string" }] })
    }
}

impl UnitRates {
    /// Returns the term for the units of a network; `None` if it does not have their area.
    pub(crate) fn of_network(&self, network: &CtrnnConfig) -> Option<FittedRates> {
        Some(FittedRates {
            units: self.units.indices(network)?,
            dt_ms: network.dt_ms,
            config: self.clone(),
        })
    }
}

/// The term `unit_rates` with the indices of its units.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedRates {
    /// The table as written.
    pub config: UnitRates,
    /// The recorded units, in the order of their recordings.
    pub units: Vec<usize>,
    /// Length of a time step in ms.
    pub dt_ms: f64,
}

impl FittedRates {
    /// Checks that the recordings of a batch can be numbers of spikes, where they are taken as such.
    ///
    /// # Errors
    /// Names the first negative one.
    pub(crate) fn check_counts(&self, trials: &TrialBatch) -> Result<(), TaskError> {
        let mut counts = trials.unit_targets.iter();
        let negative = match self.config.kind {
            RateError::SquaredError => None,
            RateError::Poisson => counts.position(|&count| count < 0.0),
        };
        let Some(at) = negative else { return Ok(()) };
        let message = format!(
            "unit_targets holds {}, which is not a number of spikes, as kind = \"poisson\" takes it; expected 0 or more per time step",
            trials.unit_targets[at]
        );
        let help =
            "write spike counts, or fit rates: train.loss.unit_rates.kind = \"squared_error\"";
        Err(TaskError::data("", message).with_help(help))
    }

    /// Computes the mean error over the recorded entries of a batch, given the rates `[T,B,N]` of the layer; 0 without recordings.
    pub(crate) fn statistic<B: Backend>(
        &self,
        rates: Tensor<B, 3>,
        batch: &Batch<B>,
    ) -> Statistic<B> {
        let Some(recordings) = &batch.recordings else {
            return Statistic::of_one(rates.sum() * 0.0, 0.0);
        };
        let errors = self.errors(of_units(rates, &self.units, 2), recordings);
        let sum = (errors * recordings.observed.clone()).sum();
        // burn's gradient of a division by a number is rounded to single precision.
        let mean = sum * (1.0 / recordings.n_observed.max(1.0));
        Statistic::of_one(mean, recordings.n_observed)
    }

    /// Computes the error of each entry, given the rates `[T,B,K]` of the recorded units.
    fn errors<B: Backend>(&self, rates: Tensor<B, 3>, recordings: &Recordings<B>) -> Tensor<B, 3> {
        /// Smallest softplus of which a logarithm is taken, so that it is finite.
        const TINY: f64 = 1e-12;
        let UnitRates {
            kind,
            output,
            rate_hz,
            ..
        } = self.config;
        let recorded = recordings.rates.clone();
        match (kind, output) {
            (RateError::SquaredError, output) => {
                let g = match output {
                    None => rates,
                    Some(RateOutput::Exponential) => rates.exp(),
                    Some(RateOutput::Softplus) => softplus(rates),
                };
                (g * rate_hz - recorded).square()
            }
            (RateError::Poisson, output) => {
                let spikes = rate_hz * self.dt_ms / 1000.0; // expected in a time step where g is 1
                let (g, log) = match output {
                    Some(RateOutput::Softplus) => {
                        let g = softplus(rates);
                        (g.clone(), (g + TINY).log())
                    }
                    Some(RateOutput::Exponential) | None => (rates.clone().exp(), rates),
                };
                g * spikes - recorded * (log + spikes.ln())
            }
        }
    }
}

/// Selects units along a dimension of a tensor, in their order.
pub(crate) fn of_units<B: Backend, const D: usize>(
    all: Tensor<B, D>,
    units: &[usize],
    dimension: usize,
) -> Tensor<B, D> {
    let first = units[0];
    if units.iter().copied().eq(first..first + units.len()) {
        return all.narrow(dimension, first, units.len());
    }
    let units: Vec<i64> = units.iter().map(|&unit| unit as i64).collect();
    let units: Tensor<B, 1, Int> = Tensor::from_ints(units.as_slice(), &all.device());
    all.select(dimension, units)
}

/// Computes `log(1 + exp(x))`, whose slope is right at 0 too, where a rate may be exactly.
fn softplus<B: Backend>(x: Tensor<B, 3>) -> Tensor<B, 3> {
    /// Value above which the function is x itself, to double precision and without overflow.
    const LINEAR: f64 = 40.0;
    let above = burn::tensor::activation::relu(x.clone() - LINEAR);
    x.clamp_max(LINEAR).exp().log1p() + above
}

#[cfg(test)]
mod tests;
