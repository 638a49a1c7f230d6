//! `[train] loss` as written: the loss and the penalties that are added to it.
//!
//! Each penalty is a key with its coefficient `c`; an absent penalty is not computed. A penalty with further parameters
//! is a table, with the coefficient as `weight`. `r` are firing rates; means over trials and times leave padding out.

use std::collections::BTreeMap;

use ctrnn_model::{InputPath, Named, OmegaTerm};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::objective::unit_rates::UnitRates;

/// The objective of training: a loss, and penalties with their coefficients.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LossConfig {
    /// The loss of an output, or of all outputs together, at one time. Absent: `cross_entropy` where the trials have
    /// class labels and no target values, `mse` otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Loss>,
    /// Average of the loss over trials, times and outputs, with their mask `m`.
    pub normalisation: Normalisation,
    /// `c mean |W|` of each matrix: one number for all, or `{ input, recurrent, output, on }`; `on = "raw"` takes the weights
    /// before sign and mask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_l1: Option<PerMatrix>,
    /// `c mean W^2` of each matrix: one number for all, or `{ input, recurrent, output, on }`; `on = "raw"` takes the weights
    /// before sign and mask. Not halved, not a norm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_l2: Option<PerMatrix>,
    /// `c mean (W - W_0)^2` of each matrix, with `W_0` the weights at step 0: one number for all, or
    /// `{ input, recurrent, output, on }`; `on = "raw"` takes the weights before sign and mask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_deviation: Option<PerMatrix>,
    /// `c mean |r|` over trials, times and units.
    #[schemars(range(min = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_l1: Option<f64>,
    /// `c mean r^2` over trials, times and units.
    #[schemars(range(min = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_l2: Option<f64>,
    /// Pulls the mean rate of each unit to a target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_target: Option<RateTarget>,
    /// Penalty on the spread of the units' mean rates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_spread: Option<RateSpread>,
    /// `c mean_i [ max(0, at_least - mu_i)^2 + max(0, mu_i - at_most)^2 ]`, with `mu_i` the mean of `r_i` over trials and times:
    /// `{ weight, at_least, at_most }`, with one of the bounds or both. It limits means, not peaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_range: Option<RangePenalty>,
    /// `c` times the entropy of the population, `- sum_i p_i log p_i` with `p_i = |r_i| / sum_j |r_j|`, averaged over
    /// trials and times. Positive: few units share the activity; negative: many do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_entropy: Option<f64>,
    /// `c [ max(0, 1 - PR / at_least)^2 + max(0, PR / at_most - 1)^2 ]`, with `PR = (tr C)^2 / tr C^2` the participation ratio of the
    /// covariance `C` of the rates over trials and times, the number of dimensions that they fill: `{ weight, at_least, at_most }`, with
    /// one of the bounds or both. Relative to the bound, so that a coefficient suits networks of any size; 0 dimensions if no rate
    /// changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub participation: Option<RangePenalty>,
    /// `c mean_i [ max(0, at_least - s_i)^2 + max(0, s_i - at_most)^2 ]`, with `s_i = sum_j |W_ij|` the weighted in-degree of unit i:
    /// the absolute recurrent weights onto it, after sign and mask. `{ weight, at_least, at_most }`, with one of the bounds or both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_degree: Option<RangePenalty>,
    /// Penalty on the divergence between two groups of units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub population_kl: Option<PopulationKl>,
    /// `c mean_b | mean_t r^T W_rc r |` over trials b and times t: synaptic weights times the correlations of the units that
    /// they join, summed over pairs before the modulus.
    #[schemars(range(min = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hebbian: Option<f64>,
    /// Penalty on the change of rates over a time lag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_prediction: Option<StatePrediction>,
    /// Fits the rates of recorded units to the `unit_targets` of the trials: `{ units = [0, 3, 7] }`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit_rates: Option<UnitRates>,
    /// Penalties on the rates of the units of single areas, by the name of the area: `areas = { motor = { rate_l2 = 1e-3 } }`.
    #[serde(skip_serializing_if = "Named::is_empty")]
    pub areas: Named<AreaPenalties>,
    /// Penalties on the recurrent weights between areas, after sign and mask:
    /// `projections = { "sensory -> motor" = { weight_l1 = 1e-3 } }`, where `*` means all areas. Means are over all pairs of units,
    /// connected or not, as those of a matrix.
    #[serde(skip_serializing_if = "Named::is_empty")]
    pub projections: Named<ProjectionPenalties>,
    /// Keeps gradients from vanishing or exploding during backpropagation through time; voltage form only, and measured
    /// only in training. Takes a second pass over each batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub omega: Option<Omega>,
    /// Penalties that yield to the task, by their keys: `["rate_l2", "areas.motor.rate_l1", "slow"]`. The gradient of their sum loses its
    /// component against the gradient of the loss, over all parameters together: with `g . t < 0` it is `g - (g . t / |t|^2) t` (Yu et
    /// al. 2020). Takes a second forward and backward pass in each step if one of them depends on rates or is a term of your own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub yield_to_task: Vec<String>,
    /// Terms of your own, as functions in Python, by the name of their column: the value of `slow` is `loss_slow` in `metrics.csv`.
    /// `python = { slow = { file = "my_loss.py", arguments = { weight = 0.1 } } }`
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub python: BTreeMap<String, PythonTerm>,
}

/// A term of the loss that a function in Python computes.
///
/// The names of its parameters say what it takes: `outputs` `[trial, time, output]` before the output nonlinearity, `rates`
/// `[trial, time, unit]` of the last layer, `weights`, a dict of the effective matrices by their names in weight files, `targets`
/// `[trial, time, output]`, `mask` `[trial, time, 1]` or `[trial, time, output]`, `n_steps` `[trial]`, the length of each trial, after
/// which everything is padding. Further parameters are the keys of `arguments`. It returns the value, and a dict of
/// its gradients by the names of what it takes (`"outputs"`, `"rates"`, `"recurrent.weight"`): float32 arrays of numpy. Under the decorator
/// `ctrnn.torch.loss` it takes tensors and returns the value alone.
///
/// Python runs it in a process of its own, which `train CONFIG` agrees to, as for the task `python`; see `docs/trust.md`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PythonTerm {
    /// The file of Python. A relative path starts at the configuration file, or in an override at the current folder. Its digest is
    /// kept with the run.
    pub file: InputPath,
    /// The function. Absent: that of the name of the term.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub function: String,
    /// Further arguments of the function. Their types are checked against its annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub arguments: BTreeMap<String, serde_json::Value>,
    /// The Python that runs it; see `task.python.interpreter`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interpreter: Option<String>,
    /// Time limit for a value.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    #[serde(default = "a_minute")]
    pub timeout_ms: f64,
}

fn a_minute() -> f64 {
    60_000.0
}

/// Penalties on the rates of an area; means are over its units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AreaPenalties {
    /// `c mean |r|` over trials, times and the units of the area.
    #[schemars(range(min = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_l1: Option<f64>,
    /// `c mean r^2` over trials, times and the units of the area.
    #[schemars(range(min = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_l2: Option<f64>,
    /// Pulls the mean rate of each unit of the area to a target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_target: Option<RateTarget>,
    /// Penalty on the spread of the mean rates of the area's units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_spread: Option<RateSpread>,
    /// Keeps the mean rate of each unit of the area within bounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_range: Option<RangePenalty>,
    /// `c` times the entropy of the area's population.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_entropy: Option<f64>,
    /// Keeps the participation ratio of the area's rates within bounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub participation: Option<RangePenalty>,
}

/// Penalties on the weights of a projection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProjectionPenalties {
    /// `c mean |W|` over pairs of units.
    #[schemars(range(min = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_l1: Option<f64>,
    /// `c mean W^2` over pairs of units.
    #[schemars(range(min = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_l2: Option<f64>,
    /// `c mean (W - W_0)^2` over pairs of units, with `W_0` the weights at step 0.
    #[schemars(range(min = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_deviation: Option<f64>,
    /// Keeps the sum of the absolute weights of the projection onto each unit within bounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_degree: Option<RangePenalty>,
}

ctrnn_model::words! {
    /// The loss of one output (or of all outputs together) at one time.
    #[derive(JsonSchema)]
    #[schemars(title = "loss")]
    pub enum Loss {
        /// Mean squared error, `(y - target)^2`.
        Mse = "mse",
        /// Binary cross-entropy of each output, `- target log p - (1 - target) log (1 - p)` with `p = 1 / (1 + exp(-y))`.
        Bce = "bce",
        /// Cross-entropy of the label under `softmax(y)`, `-log softmax(y)[label]`.
        CrossEntropy = "cross_entropy",
        /// Cross-entropy of target values that are probabilities of the outputs, `- sum_k target_k log softmax(y)_k`.
        SoftCrossEntropy = "soft_cross_entropy",
    }
}

/// Divisor of the loss, chosen so that padding, unscored time and the number of trials change nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "normalisation")]
pub enum Normalisation {
    /// `sum m l / sum m` (Song et al. 2016).
    #[default]
    Mask,
    /// The mean of `m l` over all entries within the trials; `m^2 l` for `mse`, where the mask multiplies the error (PsychRNN,
    /// Yang et al. 2019).
    Entries,
    /// The mean over trials of `sum m l / sum m` within the trial; `m^2 l` for `mse` (Dubreuil et al. 2022).
    Trials,
}

/// A coefficient for each weight matrix; 0 leaves one out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PerMatrix {
    /// Coefficient for `W_in`.
    pub input: f64,
    /// Coefficient for `W_rc`.
    pub recurrent: f64,
    /// Coefficient for `W_out`.
    pub output: f64,
    /// The weights that are penalised.
    pub on: On,
}

/// The weights that a penalty acts on. Both are the same for a matrix without constraints and without factors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// Effective weights: after sign and mask.
    #[default]
    Effective,
    /// Raw weights: the trained parameters. Of a recurrent matrix of low rank these are its factors, one after the other.
    Raw,
}

/// `c mean_i (mu_i - rate)^2`, with `mu_i` the mean of `r_i` over trials and times.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateTarget {
    /// The coefficient `c`.
    #[schemars(range(min = 0))]
    pub weight: f64,
    /// The target rate.
    pub rate: f64,
}

/// A penalty on what lies beyond bounds: none within them, and the square of the distance outside. One bound at least is given.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RangePenalty {
    /// The coefficient `c`.
    #[schemars(range(min = 0))]
    pub weight: f64,
    /// The lower bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    /// The upper bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
}

/// `c` times a measure of the spread of `mu_i`, the mean of `r_i` over trials and times, over units.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateSpread {
    /// The coefficient `c`; a negative one increases the spread.
    pub weight: f64,
    /// The measure.
    pub measure: Spread,
}

/// A measure of spread over units; `mean` is over units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "measure of spread")]
pub enum Spread {
    /// Standard deviation, `sqrt(mean (mu - mean mu)^2)`: divided by N, not by N - 1.
    Sd,
    /// Coefficient of variation, `sd / |mean mu|`.
    Cv,
    /// Mean absolute deviation, `mean |mu - mean mu|`.
    MeanAd,
    /// Largest absolute deviation, `max |mu - mean mu|`.
    MaxAd,
}

/// `c mean_k KL_k`: unit k of one group against unit k of the other, each as a normal distribution over trials and
/// times, averaged over both directions: `KL = ((v + d^2) / w + (w + d^2) / v - 2) / 4`, with variances `v` and `w`
/// (divided by the number of samples) and `d` the difference of the means.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PopulationKl {
    /// The coefficient `c`; negative drives the groups apart.
    pub weight: f64,
    /// The first group: units from the first index up to the second, exclusive.
    #[schemars(schema_with = "range")]
    pub first: [usize; 2],
    /// The second group, as long as the first.
    #[schemars(schema_with = "range")]
    pub second: [usize; 2],
}

/// `c mean (r(t + lag) - r(t))^2` over trials, units, and those times t for which `t + lag` is still within the trial.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatePrediction {
    /// The coefficient `c`.
    #[schemars(range(min = 0))]
    pub weight: f64,
    /// The lag in ms, a multiple of `time.dt_ms`.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub lag_ms: f64,
}

/// `c mean ( |d(t+1) dx(t+1)/dx(t)|^2 / |d(t+1)|^2 - 1 )^2` over trials and their T steps, the first from the initial
/// state `x(0)`, with `d = dE/dx`; `d` and `x` are held constant, so that only the immediate gradient reaches `W_rc`
/// (Pascanu et al. 2013; Song et al. 2016 use c = 2).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Omega {
    /// The coefficient `c`.
    #[schemars(range(min = 0))]
    pub weight: f64,
    /// The time at which the slope in `dx(t+1)/dx(t)` is taken.
    #[serde(default)]
    pub pairing: Pairing,
    /// Lower bound of `|d(t+1)|^2`: steps at or below it do not count.
    #[serde(default = "smallest_gradient")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub bound: f64,
}

impl Omega {
    /// Returns the penalty as a sweep computes it.
    pub(crate) fn term(&self) -> OmegaTerm {
        OmegaTerm {
            weight: self.weight,
            bound: self.bound,
            slopes_after: self.pairing == Pairing::Code,
        }
    }
}

/// Returns the bound used by Song et al. (2016).
const fn smallest_gradient() -> f64 {
    1e-20
}

/// The time at which the slope of the activation is taken in the vanishing-gradient penalty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "pairing")]
pub enum Pairing {
    /// At `x(t)`, as in the derivative.
    #[default]
    Paper,
    /// At `x(t+1)`, as in the code published with Song et al. (2016).
    Code,
}

impl<'de> Deserialize<'de> for PerMatrix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Table {
            input: f64,
            recurrent: f64,
            output: f64,
            on: On,
        }
        let all = |c: f64| Table {
            input: c,
            recurrent: c,
            output: c,
            on: On::default(),
        };
        let Table {
            input,
            recurrent,
            output,
            on,
        } = match toml::Value::deserialize(deserializer)? {
            toml::Value::Float(c) => all(c),
            toml::Value::Integer(c) => all(c as f64),
            table => table.try_into().map_err(D::Error::custom)?,
        };
        Ok(Self {
            input,
            recurrent,
            output,
            on,
        })
    }
}

impl JsonSchema for PerMatrix {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PerMatrix".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let of = |matrix: &str| {
            json_schema!({
                "type": "number", "minimum": 0, "default": 0.0, "description": format!("Coefficient of {matrix}."),
            })
        };
        let mut on = On::json_schema(generator);
        on.insert("default".to_owned(), "effective".into());
        json_schema!({ "anyOf": [
            { "type": "number", "minimum": 0 },
            {
                "type": "object", "additionalProperties": false,
                "properties": { "input": of("W_in"), "recurrent": of("W_rc"), "output": of("W_out"), "on": on },
            },
        ] })
    }
}

fn range(_: &mut SchemaGenerator) -> Schema {
    let index = json_schema!({ "type": "integer", "minimum": 0 });
    json_schema!({ "type": "array", "items": index, "minItems": 2, "maxItems": 2 })
}
