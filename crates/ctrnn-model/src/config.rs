//! The description of a network: the table `[model]` of a configuration file, with what the task, the time grid and files add.
//!
//! The doc comment of a field of the table is its description in the JSON schema and what `train-ctrnn config explain KEY`
//! prints, so that adding a key is adding a field. The rules are in `rules.rs`.

use ctrnn_kernels::{Activation, Form};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::word_or_table::{self, Worded};
use crate::{
    Area, Connectivity, Dale, Feedback, InitialState, Integrator, LowRank, Named, NoiseLevels,
    OutputNonlinearity, Projections, ShortTermPlasticity, TimeConstants, UnitGroup, WeightInits,
};

/// Configuration of a network.
///
/// Read and written with serde, it is the table `[model]` of a configuration file. The fields after `short_term_plasticity` are not
/// keys of that table: sizes come from the task ([`CtrnnConfig::with_sizes`]), the time step from `[time]`, arrays from the
/// files that the table names. [`CtrnnConfig::check`] refuses a network that still lacks them.
///
/// ```
/// use ctrnn_model::{Activation, CtrnnConfig};
/// let config = CtrnnConfig { activation: Activation::Tanh, ..CtrnnConfig::new(3, 64, 2) };
/// assert_eq!(config.alpha_range(), [0.2, 0.2]); // dt 20 ms, tau 100 ms
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CtrnnConfig {
    /// Number of recurrent units, N. With `model.areas` it may be left out: it is their sum. The numbers of inputs and outputs are the task's.
    #[schemars(range(min = 1, max = 16384))]
    pub n_units: usize,
    /// Variable that the leak acts on. `voltage`: `v' = (1 - alpha) v + alpha [W_rc r + W_in u + b + eps]`, `r = f(v)`.
    /// `rate` (Yang et al. 2019): `r' = (1 - alpha) r + alpha f(W_rc r + W_in u + b + eps)`.
    #[schemars(schema_with = "form")]
    pub form: Form,
    /// Firing rate as a function of potential, `r = f(v)`. `relu`: max(v, 0); `tanh`; `sigmoid`: 1 / (1 + exp(-v));
    /// `retanh`: max(tanh(v), 0); `softplus`: ln(1 + exp(v)); `power`: max(v, 0)^2; `linear`: v; `leaky_relu`: v above 0, 0.01 v
    /// below; `clipped_relu`: min(max(v, 0), 1); `cubic`: v - v^3 / 3 up to its extrema at -1 and 1, constant beyond. A table gives parameters: `{ name = "power", exponent = 2, gain = 0.04,
    /// threshold = 0 }` is gain max(v - threshold, 0)^exponent (Rubin et al. 2015), `{ name = "leaky_relu", slope = 0.1 }`,
    /// `{ name = "clipped_relu", maximum = 10 }`. Thresholds that differ between units are biases, and gains that differ are factors
    /// of the columns of W_rc and W_out; both are trained.
    #[serde(with = "word_or_table")]
    #[schemars(schema_with = "activation")]
    pub activation: Activation,
    /// Output nonlinearity: the network's answer as a function of the readout y. `identity`: y; `sigmoid`: 1 / (1 + exp(-y)) (Yang
    /// et al.
    /// 2019); `softmax`: exp(y_i) / sum_j exp(y_j). Results and files hold the answer; the loss `mse` compares it with the
    /// targets, while `cross_entropy` takes y itself, which is what softmax is applied to.
    pub output_nonlinearity: OutputNonlinearity,
    /// Time constants of the units in ms, at least `time.dt_ms` under Euler's integrator. A number holds for all units, a list has
    /// one value for each, `{ e = 100, i = 50 }` one for each cell type of `model.dale` (e and i may also be distributions).
    /// `{ uniform = [50, 200] }` and `{ lognormal = { median = 100, sigma = 0.5, min = 40, max = 400 } }`
    /// draw one for each unit (sigma is the standard deviation of ln tau; the law is cut off at min and max).
    /// `{ learned = { initial = 100.0, bounds = [20, 500], per_unit = true } }` trains them: with bounds [lo, hi],
    /// tau = lo + (hi - lo) / (1 + exp(-raw)), and raw is the parameter, so that tau stays within the bounds and alpha within
    /// (0, 1] at every step of any optimizer; `initial` is any of the other kinds, `per_unit = false` trains one for all.
    /// 100 ms is the choice of Song et al. (2016) and Yang et al. (2019); different and learned ones are those of Perez-Nieves et
    /// al. (2021).
    pub tau_ms: TimeConstants,
    /// The state at the start of a trial, `v(0)` (voltage form) or `r(0)` (rate form): `"zero"`; `"learned"`, a trained
    /// vector that starts at zero; `{ learned = 0.1 }`, one that starts at a number (pycog), at those of a list, or at normal ones,
    /// `{ learned = { mean = 0.1, std = 0.01 } }` (PsychRNN); `"learned_per_condition"`, one for each condition of the task (a run that begins with the weights
    /// of another takes them by the conditions' values, and new conditions begin at zero); `"carry"`, in training the
    /// last state of the same row of the batch before (padding included, no gradient goes through it; the first batch,
    /// validation, `eval` and `simulate` start from zero); or a list of N fixed numbers. `noise.initial_state` adds noise.
    pub initial_state: InitialState,
    /// Processing of the inputs before the network sees them.
    pub input: InputStage,
    /// Biases that are trained; the others are zero.
    pub bias: Biases,
    /// Noise of inputs, initial state, dynamics and readout; n is standard normal per trial, unit and time step. There is
    /// none outside training unless asked for.
    pub noise: NoiseLevels,
    /// Initial weights.
    pub init: WeightInits,
    /// Recurrent matrix of low rank, `W_rc = F + M N' / n_units`, alone (F = 0) or on top of a full matrix F that is trained or
    /// fixed. Absent: a full matrix. It cannot be combined with what constrains single entries of `W_rc`: Dale's law, masks, densities,
    /// fixed weights, plasticity, delays, several areas, `self_connections = false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low_rank: Option<LowRank>,
    /// Dale's law: all outgoing weights of a unit have one sign, so that `W_rc[i,j] = s_j g(w[i,j])` with w trained.
    /// Needs an activation that is never negative. Absent: weights may have any sign.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dale: Option<Dale>,
    /// True if no weight of `W_in` may be below zero, as in PsychRNN and in Song et al. (2016); by the parametrization of
    /// `model.dale`, or `abs` where there is none.
    pub positive_input: bool,
    /// Fraction of the possible connections that exist. The others stay zero: `W = m g(w)` with m of 0 and 1 (Song et al. 2016).
    pub density: Densities,
    /// True if a unit may drive itself; otherwise the diagonal of `W_rc` is zero, as in Song et al. (2016).
    pub self_connections: bool,
    /// Connections given by a file.
    pub connectivity: Connectivity,
    /// Short-term plasticity of the recurrent connections, by presynaptic unit (Mongillo et al. 2008; Masse et al. 2019).
    /// Utilisation u and resources x follow the rate r: `u' = u + dt/tau_u (U - u) + dt U (1 - u) r` and
    /// `x' = x + dt/tau_x (1 - x) - dt u x r`, both clipped to [0, 1], dt in seconds, so that r counts as spikes per second; under
    /// `time.integrator = "exponential"` the two fractions dt/tau are 1 - exp(-dt/tau). `W_rc` sees `r u' x'`, the readout sees r.
    /// Trials start from u = U, x = 1. `"facilitating"`: tau_u 1500 ms, tau_x 200 ms, U 0.15; `"depressing"`: 200 ms, 1500 ms, 0.45;
    /// `"half"`: units 0, 2, 4, .. facilitate and the others depress. `{ e = "facilitating", i = "depressing" }` has a kind for each
    /// cell type of `model.dale`, `{ tau_u_ms = 1500, tau_x_ms = 200, U = 0.15 }` gives constants, each a number or a list with one
    /// for each unit. Needs an activation that is never negative. Absent: connections transmit r.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub short_term_plasticity: Option<ShortTermPlasticity>,
    /// Feedback of the readout into the network, as in reservoirs and FORCE learning (Sussillo and Abbott 2009): the drive of each unit
    /// has a further term `W_fb y`. Absent: none. `{}` draws `W_fb` uniformly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feedback: Option<Feedback>,
    /// Areas of units by name, each in its place in the network: `sensory = { units = 100, inputs = ["motion"] }`. Their units
    /// add up to `n_units`, which may be left out.
    #[serde(skip_serializing_if = "Named::is_empty")]
    pub areas: Named<Area>,
    /// Projections between areas, `"FROM -> TO" = { density = 0.2 }`, or a list of them between different cell types. `*` means
    /// all areas; of several keys that hold for two areas, the one that names more of them counts. Without one, all units of an
    /// area are connected, and none of different areas.
    #[serde(skip_serializing_if = "Named::is_empty")]
    pub projections: Named<Projections>,
    /// Layers of a stack, from the inputs up, each a table with the keys of `[model]`: the rates of a layer are the inputs of the next
    /// one at the same time step, and the last one has the readout. `[model]` then holds nothing else but `init.file`, the initial
    /// weights of all layers. Keys of the readout (`output_nonlinearity`, `bias.readout`, `noise.postactivation`, `density.output`,
    /// `init.output`) belong in the last layer; `input`, `noise.input` and `positive_input` of a layer above the first act on the
    /// rates of the layer below. Layers have no areas.
    // In Rust: the layers below this one. `stacked` makes one of the other, once a file has been read.
    #[serde(rename = "layer", skip_serializing)]
    #[schemars(schema_with = "layers")]
    pub below: Vec<CtrnnConfig>,
    /// Number of the layer in its stack, counted from the inputs.
    #[serde(skip)]
    pub layer: u16,
    /// Number of inputs, I; 0 is legal.
    #[serde(skip)]
    pub n_inputs: usize,
    /// Number of outputs, O.
    #[serde(skip)]
    pub n_outputs: usize,
    /// Number of conditions of the task, C; needed by [`InitialState::LearnedPerCondition`] alone.
    #[serde(skip)]
    pub n_conditions: usize,
    /// Time step, `time.dt_ms`.
    #[serde(skip)]
    pub dt_ms: f64,
    /// Integrator, the rule by which the state follows its drive over a step: `time.integrator`.
    #[serde(skip)]
    pub integrator: Integrator,
    /// Parameters that training leaves as they are, `train.freeze`: the name of one (`recurrent.bias`), or the word before
    /// the dot (`input`, `recurrent`, `output`) for all of a group, an area (`sensory`) or a projection between areas (`sensory -> motor`).
    #[serde(skip)]
    pub frozen: Vec<String>,
    /// Groups of units by area and cell type, once the areas are resolved ([`CtrnnConfig::resolved`]).
    #[serde(skip)]
    pub groups: Vec<UnitGroup>,
}

impl Default for CtrnnConfig {
    fn default() -> Self {
        Self {
            n_units: 128,
            form: Form::Voltage,
            activation: Activation::Relu,
            output_nonlinearity: OutputNonlinearity::Identity,
            tau_ms: TimeConstants::Shared(100.0),
            initial_state: InitialState::Learned,
            input: InputStage::default(),
            bias: Biases::default(),
            noise: NoiseLevels::default(),
            init: WeightInits::default(),
            low_rank: None,
            dale: None,
            positive_input: false,
            density: Densities::default(),
            self_connections: true,
            connectivity: Connectivity::default(),
            short_term_plasticity: None,
            feedback: None,
            areas: Named::default(),
            projections: Named::default(),
            below: Vec::new(),
            layer: 0,
            n_inputs: 0,
            n_outputs: 0,
            n_conditions: 0,
            dt_ms: 20.0,
            integrator: Integrator::Euler,
            frozen: Vec::new(),
            groups: Vec::new(),
        }
    }
}

/// Sizes of a network that its task determines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Number of inputs; 0 is legal.
    pub inputs: usize,
    /// Number of outputs.
    pub outputs: usize,
    /// Number of conditions, for [`InitialState::LearnedPerCondition`].
    pub conditions: usize,
}

/// Fractions of the possible connections that exist: the nearest whole number of them, drawn from the seed, all choices
/// equally likely. Possible connections are those that `self_connections`, `dale.readout`, areas and the mask of a file allow.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Densities {
    /// Fraction for `W_in`.
    #[schemars(range(min = 0, max = 1))]
    pub input: f64,
    /// Fraction for `W_rc`.
    #[schemars(range(min = 0, max = 1))]
    pub recurrent: f64,
    /// Fraction for `W_out`.
    #[schemars(range(min = 0, max = 1))]
    pub output: f64,
}

impl Default for Densities {
    fn default() -> Self {
        Self {
            input: 1.0,
            recurrent: 1.0,
            output: 1.0,
        }
    }
}

/// Biases that are trained.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Biases {
    /// True if `b` of the recurrence is trained; otherwise it is zero.
    pub recurrent: bool,
    /// True if `b_out` of the readout is trained; otherwise it is zero.
    pub readout: bool,
    /// Bounds of `b` of the recurrence: after every step a bias beyond one of them is set to it. It begins at the value nearest to
    /// zero.
    #[schemars(with = "[f64; 2]")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<[f64; 2]>,
}

impl Biases {
    /// Returns the value within the range that is nearest to `bias`.
    pub(crate) fn clamped(&self, bias: f64) -> f64 {
        match self.range {
            Some([low, high]) => bias.max(low).min(high),
            None => bias,
        }
    }
}

impl Default for Biases {
    fn default() -> Self {
        Self {
            recurrent: true,
            readout: true,
            range: None,
        }
    }
}

/// Processing of the inputs before the network sees them: `u <- u + baseline + noise`, then `max(u, 0)` if `rectify`.
///
/// # References
/// Song, Yang and Wang (2016), equation 4: inputs are firing rates of upstream units, baseline 0.2, rectified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InputStage {
    /// Added to every input at every time step, in training and outside. 0.2 in Song et al. (2016).
    pub baseline: f64,
    /// True if inputs below zero become zero, after baseline and noise: rates of upstream units (Song et al. 2016).
    pub rectify: bool,
}

impl Worded for Activation {
    const TITLE: &'static str = "activation";

    fn all() -> &'static [Self] {
        &Self::ALL
    }

    fn word(&self) -> &'static str {
        self.name()
    }
}

/// Returns the schema of the list of layers; `ctrnn-config` adds the keys of a layer, which are those of the table itself.
fn layers(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "minItems": 1, "maxItems": 64, "items": { "type": "object" } })
}

fn form(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "title": "form", "enum": ["voltage", "rate"] })
}

fn activation(_: &mut SchemaGenerator) -> Schema {
    let number = |text: &str, default: f64| json_schema!({ "type": "number", "description": text, "default": default });
    let with = |mut schema: Schema, key: &str, value: f64| {
        schema.insert(key.to_owned(), value.into());
        schema
    };
    let tables = Activation::ALL.map(|activation| {
        let parameter = |(key, value): (&'static str, f64)| {
            let schema = match key {
                "exponent" => with(
                    number(
                        "Exponent. Others than 1 and 2 are computed number by number.",
                        value,
                    ),
                    "minimum",
                    1.0,
                ),
                "gain" => with(
                    number("Factor of the power.", value),
                    "exclusiveMinimum",
                    0.0,
                ),
                "threshold" => number("Potential above which the rate is not 0.", value),
                "slope" => with(number("Slope below 0.", value), "minimum", 0.0),
                _ => with(number("Largest rate.", value), "exclusiveMinimum", 0.0),
            };
            (key.to_owned(), schema.to_value())
        };
        (
            activation,
            activation.parameters().into_iter().map(parameter).collect(),
        )
    });
    word_or_table::schema_of(&tables)
}

impl CtrnnConfig {
    /// Returns a network of the default kind: relu, voltage form, dt 20 ms, tau 100 ms, both biases, learned initial state,
    /// no noise, gaussian weights at their natural scale.
    pub fn new(n_inputs: usize, n_units: usize, n_outputs: usize) -> Self {
        Self {
            n_inputs,
            n_units,
            n_outputs,
            ..Self::default()
        }
    }

    /// Returns the smallest and the largest gain that a unit can have: `alpha = dt / tau` under Euler's integrator. Within
    /// (0, 1].
    pub fn alpha_range(&self) -> [f64; 2] {
        let [shortest, longest] = self.tau_ms.range_ms();
        [longest, shortest].map(|tau| self.integrator.gain_of(self.dt_ms, tau))
    }
}
