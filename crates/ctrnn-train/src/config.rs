//! The configuration as written: what a TOML file may hold, with its defaults.
//!
//! The doc comment of a field is what `train-ctrnn config explain KEY` prints and what the schema holds,
//! so that adding a key is adding a field. [`Run`](crate::Run) is the configuration as meant.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use ctrnn_model::{Activation, Form, InitialState, NoiseConvention, WeightInit};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The configuration of a run: one file, from which a run is reproduced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunConfig {
    /// Version of the configuration format. This build reads version 1.
    pub version: i64,
    /// The one seed of the run, 0 to 2^63 - 1. Every stream of random numbers (weights, trials, both noises,
    /// validation) is derived from it, so that the same seed gives the same run.
    #[schemars(range(max = 9_223_372_036_854_775_807_u64))]
    pub seed: u64,
    /// The time grid.
    pub time: TimeConfig,
    /// The task: one table named like it, for instance `[task.go_nogo]`. `train-ctrnn tasks list` shows all tasks,
    /// `train-ctrnn tasks describe NAME` the keys of one.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub task: BTreeMap<String, toml::Table>,
    /// The network: `v(t+1) = (1 - alpha) v(t) + alpha [W_rc r(t) + W_in u(t) + b + eps(t)]`, `r = f(v)`,
    /// `y = W_out [r + xi] + b_out`, with `alpha = dt_ms / tau_ms`.
    pub model: ModelConfig,
    /// How the network is trained.
    pub train: TrainConfig,
    /// Trials that the network is not trained on, drawn once from a stream of their own.
    pub validate: ValidateConfig,
    /// What is saved on the way.
    pub checkpoint: CheckpointConfig,
    /// What computes.
    pub device: DeviceConfig,
}

/// The one version of the format that this build reads.
pub const VERSION: i64 = 1;

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            version: VERSION,
            seed: 0,
            time: TimeConfig::default(),
            task: BTreeMap::new(),
            model: ModelConfig::default(),
            train: TrainConfig::default(),
            validate: ValidateConfig::default(),
            checkpoint: CheckpointConfig::default(),
            device: DeviceConfig::default(),
        }
    }
}

/// The time grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TimeConfig {
    /// Length of a time step in ms, at most `model.tau_ms`. Durations of the task are multiples of it.
    /// 20 ms with tau 100 ms is the choice of Song et al. (2016) and Yang et al. (2019).
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub dt_ms: f64,
}

impl Default for TimeConfig {
    fn default() -> Self {
        Self { dt_ms: 20.0 }
    }
}

/// The network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// Number of recurrent units, N. The numbers of inputs and outputs are the task's.
    #[schemars(range(min = 1, max = 16384))]
    pub n_units: usize,
    /// Which variable the leak acts on. `voltage`: `v' = (1 - alpha) v + alpha [W_rc r + W_in u + b + eps]`, `r = f(v)`.
    /// `rate` (Yang et al. 2019): `r' = (1 - alpha) r + alpha f(W_rc r + W_in u + b + eps)`.
    #[schemars(schema_with = "form")]
    pub form: Form,
    /// Firing rate as a function of potential, `r = f(v)`. `relu`: max(v, 0); `tanh`; `sigmoid`: 1 / (1 + exp(-v));
    /// `retanh`: max(tanh(v), 0); `softplus`: ln(1 + exp(v)); `power`: max(v, 0)^2; `linear`: v.
    #[schemars(schema_with = "activation")]
    pub activation: Activation,
    /// Time constant of every unit in ms, at least `time.dt_ms`.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub tau_ms: f64,
    /// The state at the start of a trial, `v(0)` (voltage form) or `r(0)` (rate form): `"zero"`; `"learned"`, a trained
    /// vector that starts at zero; or a list of N fixed numbers.
    #[serde(with = "initial_state")]
    #[schemars(schema_with = "initial_state::schema")]
    pub initial_state: InitialState,
    /// Which biases are trained; one that is not is zero.
    pub bias: BiasConfig,
    /// Noise of the dynamics and of the readout; n is standard normal per trial, unit and time step. There is none
    /// outside training unless asked for.
    pub noise: NoiseConfig,
    /// How the weights begin.
    pub init: InitConfig,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            n_units: 128,
            form: Form::Voltage,
            activation: Activation::Relu,
            tau_ms: 100.0,
            initial_state: InitialState::Learned,
            bias: BiasConfig::default(),
            noise: NoiseConfig::default(),
            init: InitConfig::default(),
        }
    }
}

/// Which biases are trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BiasConfig {
    /// Whether `b` of the recurrence is trained; otherwise it is zero.
    pub recurrent: bool,
    /// Whether `b_out` of the readout is trained; otherwise it is zero.
    pub readout: bool,
}

impl Default for BiasConfig {
    fn default() -> Self {
        Self {
            recurrent: true,
            readout: true,
        }
    }
}

/// Noise of the dynamics and of the readout.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NoiseConfig {
    /// `sigma` of the pre-activation noise `eps`, which the dynamics carry on; `convention` says how.
    #[schemars(range(min = 0))]
    pub preactivation: f64,
    /// `sigma_post` of the post-activation noise `xi = sigma_post n`, which the readout alone sees.
    #[schemars(range(min = 0))]
    pub postactivation: f64,
    /// How sigma becomes noise of a time step. `spec`: `eps = sigma n`, the potential receives `alpha sigma n`.
    /// `song` (Song et al. 2016, equation 3): `eps = sqrt(2 / alpha) sigma n`, the potential receives
    /// `sqrt(2 alpha) sigma n`, nearly independent of dt. `raw` (Valente et al. 2022): `sigma n` is added to the new state itself.
    #[schemars(schema_with = "noise_convention")]
    pub convention: NoiseConvention,
}

/// How the weights begin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InitConfig {
    /// Distribution of `W_in` (fan-in F = number of inputs). `gaussian`: standard deviation 1 / sqrt(F);
    /// `uniform`: within 1 / sqrt(F) of zero; `orthogonal`: orthonormal rows or columns, whichever are fewer; `zero`.
    #[schemars(schema_with = "weight_init")]
    pub input: WeightInit,
    /// Distribution of `W_rc` (fan-in F = N); the words are those of `input`.
    #[schemars(schema_with = "weight_init")]
    pub recurrent: WeightInit,
    /// Distribution of `W_out` (fan-in F = N); the words are those of `input`.
    #[schemars(schema_with = "weight_init")]
    pub output: WeightInit,
    /// Scales the drawn `W_rc` to this largest modulus of an eigenvalue. Absent: the natural scale of `recurrent`,
    /// about 1 for `gaussian` and `orthogonal`, about 0.58 for `uniform`.
    #[schemars(extend("exclusiveMinimum" = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spectral_radius: Option<f64>,
    /// A weight file (npz or safetensors) to begin with, relative to this file. What it lacks is drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<InputPath>,
}

/// How the network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Number of gradient updates; 0 writes the initial network as a finished run.
    pub steps: u64,
    /// Trials per step.
    #[schemars(range(min = 1, max = 65536))]
    pub batch_size: usize,
    /// Norm that the gradient over all parameters together is scaled down to where it is larger. Absent: no clipping.
    #[schemars(extend("exclusiveMinimum" = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_grad_norm: Option<f64>,
    /// Every how many steps the loss is read from the device and reported.
    #[schemars(range(min = 1))]
    pub log_every: u64,
    /// The update rule, by `name`, with its learning rate `lr`.
    pub optimizer: Optimizer,
    /// How the learning rate changes over the run, by `name`.
    pub schedule: Schedule,
    /// What is minimised.
    pub loss: LossConfig,
    /// Stops the training early, once a validation metric has reached its bound. Absent: all steps are done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<StopConfig>,
    /// What is done when the loss, a gradient or a weight is no longer a finite number.
    pub divergence: DivergenceConfig,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            steps: 5000,
            batch_size: 64,
            clip_grad_norm: None,
            log_every: 10,
            optimizer: Optimizer::default(),
            schedule: Schedule::default(),
            loss: LossConfig::default(),
            stop: None,
            divergence: DivergenceConfig::default(),
        }
    }
}

/// The update rule; `name` says which, `adam` where it is absent.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "name", rename_all = "lowercase")]
#[schemars(title = "optimizer", transform = first_name_is_default)]
pub enum Optimizer {
    /// Adam (Kingma and Ba 2015).
    Adam(Adam),
    /// Stochastic gradient descent, with or without momentum.
    Sgd(Sgd),
}

impl Default for Optimizer {
    fn default() -> Self {
        Self::Adam(Adam::default())
    }
}

impl Optimizer {
    /// The learning rate.
    pub fn lr(&self) -> f64 {
        match self {
            Self::Adam(adam) => adam.lr,
            Self::Sgd(sgd) => sgd.lr,
        }
    }
}

impl<'de> Deserialize<'de> for Optimizer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match named("adam", deserializer)? {
            (name, rest) if name == "adam" => read(rest).map(Self::Adam),
            (name, rest) if name == "sgd" => read(rest).map(Self::Sgd),
            (name, _) => Err(D::Error::custom(format!("{name:?} is not an optimizer"))),
        }
    }
}

/// Adam: `m = beta_1 m + (1 - beta_1) g`, `s = beta_2 s + (1 - beta_2) g^2`, `w -= lr m^ / (sqrt(s^) + eps)`,
/// with `m^` and `s^` corrected for their start at zero.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Adam {
    /// Learning rate.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub lr: f64,
    /// `[beta_1, beta_2]`: decay per step of the two moments of the gradient, in [0, 1).
    #[schemars(schema_with = "betas")]
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub eps: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Self {
            lr: 1e-3,
            betas: [0.9, 0.999],
            eps: 1e-8,
        }
    }
}

/// Gradient descent: `u = momentum u + g`, `w -= lr u`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sgd {
    /// Learning rate.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub lr: f64,
    /// What is left of the last update after a step, in [0, 1); 0: plain gradient descent.
    #[schemars(range(min = 0), extend("exclusiveMaximum" = 1))]
    pub momentum: f64,
}

impl Default for Sgd {
    fn default() -> Self {
        Self {
            lr: 1e-2,
            momentum: 0.0,
        }
    }
}

/// How the learning rate changes over the run; `name` says how, `constant` where it is absent.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
#[schemars(title = "schedule", transform = first_name_is_default)]
pub enum Schedule {
    /// `lr` at every step.
    Constant {},
}

impl Default for Schedule {
    fn default() -> Self {
        Self::Constant {}
    }
}

impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match named("constant", deserializer)? {
            (name, rest) if name == "constant" => read(rest).map(|Empty {}| Self::Constant {}),
            (name, _) => Err(D::Error::custom(format!("{name:?} is not a schedule"))),
        }
    }
}

/// What is minimised.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LossConfig {
    /// The loss; both are averaged over the outputs and times that the mask counts. Absent: `cross_entropy` where the
    /// trials have class labels and no target values, `mse` otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Loss>,
}

/// The loss of one output at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "loss")]
pub enum Loss {
    /// Mean squared error, `(y - target)^2`.
    Mse,
    /// Cross-entropy of the label under `softmax(y)`, `-log softmax(y)[label]`.
    CrossEntropy,
}

/// Stops the training once `metric` is at least or at most a bound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StopConfig {
    /// The validation metric that is looked at, every `validate.every_steps`.
    pub metric: Metric,
    /// Stop when the metric is this or more. Give this or `at_most`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    /// Stop when the metric is this or less. Give this or `at_least`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    /// Whether a run that has not met its bound after all steps has failed (exit code 3).
    #[serde(default)]
    pub required: bool,
}

/// What is done when the loss, a gradient or a weight is no longer a finite number: the run goes back to its last good
/// state, the one after the last multiple of `checkpoint.every_steps`, and trains on from there with a smaller learning
/// rate. The trials are the same ones again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DivergenceConfig {
    /// How often a run goes back before it has failed (exit code 3). 0: never; no good state is kept.
    pub max_rollbacks: u64,
    /// What the learning rate is multiplied with each time, for the rest of the run.
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
    pub lr_factor: f64,
}

impl Default for DivergenceConfig {
    fn default() -> Self {
        Self {
            max_rollbacks: 3,
            lr_factor: 0.5,
        }
    }
}

/// A number that validation measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "metric")]
pub enum Metric {
    /// Loss on the validation trials; lower is better.
    #[serde(rename = "val.loss")]
    Loss,
    /// Fraction of validation trials with the right choice, over those that have one; higher is better.
    #[serde(rename = "val.accuracy")]
    Accuracy,
}

impl Metric {
    /// Whether `new` is better than `old`: a lower loss, a higher accuracy. A tie is not.
    pub fn is_better(self, new: f64, old: f64) -> bool {
        match self {
            Self::Loss => new < old,
            Self::Accuracy => new > old,
        }
    }
}

/// Validation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ValidateConfig {
    /// Every how many steps the network is validated; it always is at the last one. 0: only there.
    pub every_steps: u64,
    /// Number of validation trials; the same ones every time.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub trials: usize,
}

impl Default for ValidateConfig {
    fn default() -> Self {
        Self {
            every_steps: 100,
            trials: 512,
        }
    }
}

/// Checkpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointConfig {
    /// Every how many steps everything is saved; it always is at the last one. 0: only there.
    pub every_steps: u64,
    /// How many of the newest checkpoints are kept; the best ones are kept besides.
    #[schemars(range(min = 1))]
    pub keep_last: usize,
    /// How many of the best checkpoints are kept. One is saved at each validation that is among the best so far.
    #[schemars(range(min = 1))]
    pub keep_best: usize,
    /// The metric whose best checkpoints are kept: the lowest `val.loss` or the highest `val.accuracy`. Ties go to the
    /// earlier step.
    pub best: Metric,
    /// What happens when a checkpoint or a line of the log cannot be written, as on a full disk. `stop`: the run ends
    /// (exit code 5). `retry`: it trains on; the next checkpoint tries again, lines wait in memory, and only what
    /// cannot be written at the end is an error.
    pub on_error: OnError,
}

/// What happens when something cannot be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(title = "way to handle errors")]
pub enum OnError {
    /// The run ends.
    #[default]
    Stop,
    /// It trains on and tries again.
    Retry,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self {
            every_steps: 500,
            keep_last: 3,
            keep_best: 1,
            best: Metric::Loss,
            on_error: OnError::Stop,
        }
    }
}

/// What computes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeviceConfig {
    /// `cpu`; `wgpu`, the best graphics adapter; or `wgpu:0`, `wgpu:1`, ..., one of them.
    pub backend: Backend,
    /// Number of CPU threads; 0: all cores. The results do not depend on it.
    #[schemars(range(max = 1024))]
    pub threads: usize,
}

/// What computes the tensors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// The processor.
    #[default]
    Cpu,
    /// A graphics adapter, by its index or the best one.
    Wgpu(Option<usize>),
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Wgpu(None) => f.write_str("wgpu"),
            Self::Wgpu(Some(index)) => write!(f, "wgpu:{index}"),
        }
    }
}

impl Serialize for Backend {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Backend {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        match word.split_once(':') {
            None if word == "cpu" => Ok(Self::Cpu),
            None if word == "wgpu" => Ok(Self::Wgpu(None)),
            Some(("wgpu", index)) if index.parse::<usize>().is_ok() => {
                Ok(Self::Wgpu(index.parse().ok()))
            }
            _ => Err(D::Error::custom(format!(
                "{word:?} is not a backend: cpu, wgpu or wgpu:INDEX"
            ))),
        }
    }
}

impl JsonSchema for Backend {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Backend".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "string", "title": "backend", "enum": ["cpu", "wgpu"] },
            { "type": "string", "pattern": "^wgpu:[0-9]+$" },
        ] })
    }
}

/// A file that is read. In a configuration file it is relative to that file, in an override to the current folder;
/// in a [`Run`](crate::Run) it is absolute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InputPath(pub PathBuf);

impl JsonSchema for InputPath {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "InputPath".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "path" })
    }
}

/// A table without keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Empty {}

/// Reads a table whose `name` says which keys the rest of it has: the name, or `default`, and the rest.
fn named<'de, D: Deserializer<'de>>(
    default: &str,
    deserializer: D,
) -> Result<(String, toml::Table), D::Error> {
    let mut table = toml::Table::deserialize(deserializer)?;
    match table.remove("name") {
        None => Ok((default.to_owned(), table)),
        Some(toml::Value::String(name)) => Ok((name, table)),
        Some(_) => Err(D::Error::custom("name must be a string")),
    }
}

fn read<T: DeserializeOwned, E: serde::de::Error>(table: toml::Table) -> Result<T, E> {
    table.try_into().map_err(E::custom)
}

/// Lets the first kind of a table with a `name` do without it.
fn first_name_is_default(schema: &mut Schema) {
    let first = schema.get_mut("oneOf").and_then(|kinds| kinds.get_mut(0));
    if let Some(required) = first
        .and_then(|kind| kind.get_mut("required"))
        .and_then(|r| r.as_array_mut())
    {
        required.retain(|key| key != "name");
    }
}

/// The schema of a word; `title` is what messages call it.
fn words(title: &str, words: impl IntoIterator<Item = &'static str>) -> Schema {
    let words: Vec<&str> = words.into_iter().collect();
    json_schema!({ "type": "string", "title": title, "enum": words })
}

fn betas(_: &mut SchemaGenerator) -> Schema {
    let beta = json_schema!({ "type": "number", "minimum": 0, "exclusiveMaximum": 1 });
    json_schema!({ "type": "array", "items": beta, "minItems": 2, "maxItems": 2 })
}

fn form(_: &mut SchemaGenerator) -> Schema {
    words("form", ["voltage", "rate"])
}

fn activation(_: &mut SchemaGenerator) -> Schema {
    words("activation", Activation::ALL.map(Activation::name))
}

fn noise_convention(_: &mut SchemaGenerator) -> Schema {
    words(
        "noise convention",
        NoiseConvention::ALL.map(NoiseConvention::name),
    )
}

fn weight_init(_: &mut SchemaGenerator) -> Schema {
    words(
        "distribution of weights",
        WeightInit::ALL.map(WeightInit::name),
    )
}

/// `initial_state`: a word or a list.
mod initial_state {
    use super::{
        Deserialize, Deserializer, InitialState, Schema, SchemaGenerator, Serialize, Serializer,
        json_schema,
    };
    use serde::de::Error as _;

    pub(super) fn serialize<S: Serializer>(
        state: &InitialState,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match state {
            InitialState::Zero => serializer.serialize_str("zero"),
            InitialState::Learned => serializer.serialize_str("learned"),
            InitialState::Given(values) => values.serialize(serializer),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<InitialState, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(word) if word == "zero" => Ok(InitialState::Zero),
            toml::Value::String(word) if word == "learned" => Ok(InitialState::Learned),
            value => value
                .try_into()
                .map(InitialState::Given)
                .map_err(D::Error::custom),
        }
    }

    pub(super) fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "string", "title": "initial state", "enum": ["zero", "learned"] },
            { "type": "array", "items": { "type": "number" } },
        ] })
    }
}
