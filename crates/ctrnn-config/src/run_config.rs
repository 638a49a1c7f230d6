//! The configuration as written: what a TOML file may hold, with its defaults.
//!
//! The doc comment of a field is what `train-ctrnn config explain KEY` prints and what the schema holds,
//! so that adding a key is adding a field. [`Run`](crate::Run) is the configuration as meant.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use ctrnn_model::{
    Activation, Balance, Form, Integrator, NoiseConvention, OutputNonlinearity, Parametrization,
    ReadoutSigns, TimeConstants, WeightInit,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use ctrnn_train::{CheckpointConfig, DEFAULT_DT_MS, TrainConfig, ValidateConfig};

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
    /// Length of a time step in ms, at most `model.tau_ms` under `integrator = "euler"`. Durations of the task are multiples
    /// of it. 20 ms with tau 100 ms is the choice of Song et al. (2016) and Yang et al. (2019).
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub dt_ms: f64,
    /// How the state follows its drive over a step. `euler`: alpha = dt / tau, an error of first order in dt. `exponential`:
    /// 1 - exp(-dt / tau) stands for alpha, which is exact where the drive does not change within a step. A trained network
    /// runs with either: `eval RUN time.integrator=exponential time.dt_ms=5`.
    #[schemars(schema_with = "integrator")]
    pub integrator: Integrator,
}

impl Default for TimeConfig {
    fn default() -> Self {
        Self {
            dt_ms: DEFAULT_DT_MS,
            integrator: Integrator::Euler,
        }
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
    /// What the network answers as a function of the readout y. `identity`: y; `sigmoid`: 1 / (1 + exp(-y)) (Yang et al.
    /// 2019); `softmax`: exp(y_i) / sum_j exp(y_j). Results and files hold the answer; the loss `mse` compares it with the
    /// targets, while `cross_entropy` takes y itself, which is what softmax is applied to.
    #[schemars(schema_with = "output_nonlinearity")]
    pub output_nonlinearity: OutputNonlinearity,
    /// Time constants of the units in ms, at least `time.dt_ms` under Euler's integrator. A number is that of all units, a
    /// list has one for each, `{ e = 100, i = 50 }` one for each cell type of `model.dale` (e and i may also be distributions).
    /// `{ uniform = [50, 200] }` and `{ lognormal = { median = 100, sigma = 0.5, min = 40, max = 400 } }`
    /// draw one for each unit (sigma is the standard deviation of ln tau; the law is cut off at min and max).
    /// `{ learned = { initial = 100.0, bounds = [20, 500], per_unit = true } }` trains them: with bounds [lo, hi],
    /// tau = lo + (hi - lo) / (1 + exp(-raw)), and raw is the parameter, so that tau stays within the bounds and alpha within
    /// (0, 1] at every step of any optimizer; `initial` is any of the other kinds, `per_unit = false` trains one for all.
    /// 100 ms is the choice of Song et al. (2016) and Yang et al. (2019); different and learned ones are those of Perez-Nieves et
    /// al. (2021).
    #[schemars(schema_with = "time_constants")]
    pub tau_ms: TimeConstants,
    /// The state at the start of a trial, `v(0)` (voltage form) or `r(0)` (rate form): `"zero"`; `"learned"`, a trained
    /// vector that starts at zero; `"learned_per_condition"`, one for each condition of the task (a run that begins with the weights
    /// of another takes them by the conditions' values, and new conditions begin at zero); `"carry"`, in training the
    /// last state of the same row of the batch before (padding included, no gradient goes through it; the first batch,
    /// validation, `eval` and `simulate` start from zero); or a list of N fixed numbers. `noise.initial_state` adds noise.
    #[serde(with = "initial_state")]
    #[schemars(schema_with = "initial_state::schema")]
    pub initial_state: InitialStateConfig,
    /// What happens to the inputs before the network sees them.
    pub input: InputConfig,
    /// Which biases are trained; one that is not is zero.
    pub bias: BiasConfig,
    /// Noise of inputs, initial state, dynamics and readout; n is standard normal per trial, unit and time step. There is
    /// none outside training unless asked for.
    pub noise: NoiseConfig,
    /// How the weights begin.
    pub init: InitConfig,
    /// Dale's law: all outgoing weights of a unit have one sign, so that `W_rc[i,j] = s_j g(w[i,j])` with w trained.
    /// Needs an activation that is never negative. Absent: weights may have any sign.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dale: Option<DaleConfig>,
    /// Whether no weight of `W_in` is below zero, as in PsychRNN and in Song et al. (2016); by the parametrization of
    /// `model.dale`, or `abs` where there is none.
    pub positive_input: bool,
    /// Fraction of the possible connections that exist. The others are zero for ever: `W = m g(w)` with m of 0 and 1 (Song
    /// et al. 2016).
    pub density: DensityConfig,
    /// Whether a unit may drive itself; if not, the diagonal of `W_rc` is zero, as in Song et al. (2016).
    pub self_connections: bool,
    /// Connections given by a file.
    pub connectivity: ConnectivityConfig,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            n_units: 128,
            form: Form::Voltage,
            activation: Activation::Relu,
            output_nonlinearity: OutputNonlinearity::Identity,
            tau_ms: TimeConstants::Shared(100.0),
            initial_state: InitialStateConfig::Learned,
            input: InputConfig::default(),
            bias: BiasConfig::default(),
            noise: NoiseConfig::default(),
            init: InitConfig::default(),
            dale: None,
            positive_input: false,
            density: DensityConfig::default(),
            self_connections: true,
            connectivity: ConnectivityConfig::default(),
        }
    }
}

/// Dale's law.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DaleConfig {
    /// The first `round(excitatory_fraction * n_units)` units are excitatory, the others inhibitory. 0.8 is the ratio of
    /// cortex that Song et al. (2016) use. `signs`, in its place, says
    /// it unit by unit; the array `recurrent.sign` of `model.connectivity.file` wins over it.
    #[schemars(range(min = 0, max = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excitatory_fraction: Option<f64>,
    /// 1 (excitatory) or -1 (inhibitory) for each unit, in place of `excitatory_fraction`: `signs = [1, 1, -1, 1]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signs: Option<Vec<i64>>,
    /// How a weight W of sign s is kept from the trained w. `abs`: `W = s |w|` (PsychRNN), with slope s at zero.
    /// `rectify`: `W = s max(w, 0)` (pycog); w below zero gets no gradient, so that a weight that falls silent stays
    /// silent. `square`: `W = s w^2`; must not begin at zero. `clamp`: `W = w`, and after every step a weight of the
    /// wrong sign is set to zero, from where it can come back.
    #[schemars(schema_with = "parametrization")]
    pub parametrization: Parametrization,
    /// Signs of `W_out`. `signed`: each column has the sign of its unit (Song et al. 2016). `excitatory`: besides,
    /// inhibitory units do not reach the readout (PsychRNN). `free`: any sign.
    #[schemars(schema_with = "readout_signs")]
    pub readout: ReadoutSigns,
}

impl Default for DaleConfig {
    fn default() -> Self {
        Self {
            excitatory_fraction: Some(0.8),
            signs: None,
            parametrization: Parametrization::Abs,
            readout: ReadoutSigns::Signed,
        }
    }
}

/// Fractions of the possible connections that exist: the nearest whole number of them, drawn from the seed, all choices
/// equally likely. Possible are those that `self_connections`, `dale.readout` and the mask of a file allow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DensityConfig {
    /// Of `W_in`.
    #[schemars(range(min = 0, max = 1))]
    pub input: f64,
    /// Of `W_rc`.
    #[schemars(range(min = 0, max = 1))]
    pub recurrent: f64,
    /// Of `W_out`.
    #[schemars(range(min = 0, max = 1))]
    pub output: f64,
}

impl Default for DensityConfig {
    fn default() -> Self {
        Self {
            input: 1.0,
            recurrent: 1.0,
            output: 1.0,
        }
    }
}

/// Connections given by a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConnectivityConfig {
    /// A file (npz or safetensors), relative to this file, with any of these arrays `[post, pre]`, for X = `input`,
    /// `recurrent` or `output`. `X.mask`: 1 where a connection exists, else 0. `X.fixed`: weights that are not trained;
    /// where this is not zero it is the weight, `W = C_plastic g(w) + C_fixed` (Song et al. 2016). `X.plasticity`: factor of
    /// every update, at least 0; 0 leaves a weight as it is, whatever the optimizer. Besides `recurrent.sign [N]`: +1 or -1
    /// for each unit, where there is `model.dale`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<InputPath>,
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

/// The state at the start of a trial.
#[derive(Clone, Debug, PartialEq)]
pub enum InitialStateConfig {
    /// Zero.
    Zero,
    /// A trained vector.
    Learned,
    /// A trained vector for each condition.
    LearnedPerCondition,
    /// The last state of the batch before.
    Carry,
    /// A fixed vector.
    Given(Vec<f64>),
}

/// What happens to the inputs before the network sees them: `u <- u + baseline + noise`, then `max(u, 0)` if `rectify`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InputConfig {
    /// Added to every input at every time step, in training and outside. 0.2 in Song et al. (2016).
    pub baseline: f64,
    /// Whether inputs below zero become zero, after baseline and noise: rates of upstream units (Song et al. 2016).
    pub rectify: bool,
}

/// The pre-activation noise.
#[derive(Clone, Debug, PartialEq)]
pub enum PreactivationConfig {
    /// One sigma for all units.
    Shared(f64),
    /// One for each unit.
    PerUnit(Vec<f64>),
    /// A covariance, row by row.
    Covariance(Vec<Vec<f64>>),
    /// A file with the array `covariance`.
    CovarianceFile(InputPath),
}

impl Default for PreactivationConfig {
    fn default() -> Self {
        Self::Shared(0.0)
    }
}

/// Noise of inputs, initial state, dynamics and readout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NoiseConfig {
    /// `sigma` of the pre-activation noise `eps`, which the dynamics carry on; `convention` says how. A number is that of all
    /// units, a list has one for each. `{ covariance = [[..], ..] }` or `{ covariance = "FILE.npz" }` (the array `covariance
    /// [N,N]`) correlates the units: `L n` stands for `sigma n`, with `C = L L'`; its draws are made before the pass, in
    /// memory for one number per trial, time step and unit.
    #[serde(with = "preactivation")]
    #[schemars(schema_with = "preactivation::schema")]
    pub preactivation: PreactivationConfig,
    /// `sigma_post` of the post-activation noise `xi = sigma_post n`, which the readout alone sees.
    #[schemars(range(min = 0))]
    pub postactivation: f64,
    /// `sigma_in` of the noise of each input at each time step: a standard deviation of `sigma_in` for `spec` and `raw`, of
    /// `sqrt(2 / alpha) sigma_in` for `song`, with `alpha = dt_ms / input_tau_ms`. 0.01 with `song` in Song et al. (2016). Tasks
    /// have input noise of their own, which validation and files see too; this one is off outside training.
    #[schemars(range(min = 0))]
    pub input: f64,
    /// The time constant in ms that `convention = "song"` has for the input noise; 100 in Song et al. (2016).
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub input_tau_ms: f64,
    /// Standard deviation of what is added to each unit's initial state (zero, given or learned), once per trial.
    #[schemars(range(min = 0))]
    pub initial_state: f64,
    /// How sigma becomes noise of a time step. `spec`: `eps = sigma n`, the potential receives `alpha sigma n`.
    /// `song` (Song et al. 2016, equation 3): `eps = sqrt(2 / alpha) sigma n`, the potential receives
    /// `sqrt(2 alpha) sigma n`, nearly independent of dt. `raw` (Valente et al. 2022): `sigma n` is added to the new state itself.
    /// Under the exponential integrator, with d = exp(-dt / tau), `song` gives the potential `sqrt(1 - d^2) sigma n`: without
    /// weights its standard deviation is sigma at every dt.
    #[schemars(schema_with = "noise_convention")]
    pub convention: NoiseConvention,
}

impl Default for NoiseConfig {
    fn default() -> Self {
        Self {
            preactivation: PreactivationConfig::default(),
            postactivation: 0.0,
            input: 0.0,
            input_tau_ms: 100.0,
            initial_state: 0.0,
            convention: NoiseConvention::default(),
        }
    }
}

/// The scale of the recurrent weights at the start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SpectralRadius {
    /// That of the distribution they are drawn from.
    Natural,
    /// The largest modulus of an eigenvalue.
    Of(f64),
}

/// The word for [`SpectralRadius::Natural`].
const NATURAL: &str = "natural";

impl SpectralRadius {
    /// The radius that is asked for, if one is.
    pub const fn asked(self) -> Option<f64> {
        match self {
            Self::Natural => None,
            Self::Of(radius) => Some(radius),
        }
    }
}

impl Serialize for SpectralRadius {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Natural => serializer.serialize_str(NATURAL),
            Self::Of(radius) => serializer.serialize_f64(*radius),
        }
    }
}

impl<'de> Deserialize<'de> for SpectralRadius {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(word) if word == NATURAL => Ok(Self::Natural),
            number => number.try_into().map(Self::Of).map_err(D::Error::custom),
        }
    }
}

/// How the weights begin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InitConfig {
    /// Distribution of `W_in` (fan-in F = number of inputs). `gaussian`: standard deviation 1 / sqrt(F);
    /// `uniform`: within 1 / sqrt(F) of zero; `gamma` (shape 2, Song et al. 2016) and `lognormal` (sigma 1): magnitudes with mean
    /// square 1 / F, of either sign where no rule gives one; `orthogonal`: orthonormal rows or columns, whichever are
    /// fewer; `diagonal`: 1 on the diagonal; `zero`. Masks and signs act on what is drawn; F is then the mean number of
    /// connections onto a unit.
    #[schemars(schema_with = "weight_init")]
    pub input: WeightInit,
    /// Distribution of `W_rc` (fan-in F = N); the words are those of `input`.
    #[schemars(schema_with = "weight_init")]
    pub recurrent: WeightInit,
    /// Distribution of `W_out` (fan-in F = N); the words are those of `input`.
    #[schemars(schema_with = "weight_init")]
    pub output: WeightInit,
    /// Scales the inhibitory weights of `W_rc` so that they cancel the excitatory ones, before `spectral_radius`; needs
    /// `model.dale`. `row`: onto each unit (Song et al. 2016); a unit that receives only one kind stays as drawn. `total`: over the
    /// whole matrix (nn4n). `none`: nowhere. Absent: `row` under Dale's law, where random weights onto some unit can have both
    /// signs; else `none`.
    #[schemars(schema_with = "balance")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance: Option<Balance>,
    /// Scales `W_rc`, as it acts under masks and signs, to this largest modulus of an eigenvalue. Fixed weights are not
    /// scaled: the others are, until the whole fits. `"natural"`: as drawn and balanced, without constraints about 1 for
    /// `gaussian` and `orthogonal`, about 0.58 for `uniform`. Absent: `natural`; but under Dale's law, where `balance` is absent
    /// too, 1, so that neither rates nor gradients grow with the length of a trial (Song et al. 2016 take 1.5, PsychRNN 1.1), and
    /// 0.2 for `activation = "power"`, whose slope grows with the rate. Beside fixed weights, without a loop of connections, and
    /// above 1024 units, where finding it takes minutes, it stays `natural`.
    #[schemars(schema_with = "spectral_radius")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spectral_radius: Option<SpectralRadius>,
    /// A weight file (npz or safetensors) to begin with, relative to this file. What it lacks is drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<InputPath>,
}

/// What computes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeviceConfig {
    /// `cpu`; `wgpu`, the best graphics adapter; `wgpu:` and an index or a part of a name, another; `cuda` or `cuda:` and an index.
    pub backend: Backend,
    /// Number of CPU threads; 0: `RAYON_NUM_THREADS`, else the CPUs that Slurm gives a task, else all cores, but one for the
    /// training of a small network. The results do not depend on it.
    #[schemars(range(max = 1024))]
    pub threads: usize,
}

/// What computes the tensors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// The processor.
    #[default]
    Cpu,
    /// A graphics adapter.
    Wgpu(AdapterChoice),
    /// A CUDA device by its number.
    Cuda(usize),
}

/// Which graphics adapter is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdapterChoice {
    /// The best one.
    Best,
    /// One by its place in the list of `info`.
    Index(usize),
    /// The first whose name contains this.
    Named(String),
}

impl AdapterChoice {
    /// An index, or a part of a name.
    pub fn of(word: &str) -> Self {
        match word.parse() {
            Ok(index) => Self::Index(index),
            Err(_) => Self::Named(word.to_owned()),
        }
    }
}

impl fmt::Display for AdapterChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Best => Ok(()),
            Self::Index(index) => write!(f, "{index}"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Wgpu(AdapterChoice::Best) => f.write_str("wgpu"),
            Self::Wgpu(choice) => write!(f, "wgpu:{choice}"),
            Self::Cuda(0) => f.write_str("cuda"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
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
        let unknown = || {
            D::Error::custom(format!(
                "{word:?} is not a backend: cpu, wgpu, wgpu:INDEX, wgpu:NAME, cuda or cuda:INDEX"
            ))
        };
        match word.split_once(':') {
            None if word == "cpu" => Ok(Self::Cpu),
            None if word == "wgpu" => Ok(Self::Wgpu(AdapterChoice::Best)),
            Some(("wgpu", choice)) if !choice.is_empty() => {
                Ok(Self::Wgpu(AdapterChoice::of(choice)))
            }
            None if word == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", index)) => index.parse().map(Self::Cuda).map_err(|_| unknown()),
            _ => Err(unknown()),
        }
    }
}

impl JsonSchema for Backend {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Backend".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "string", "title": "backend", "enum": ["cpu", "wgpu", "cuda"] },
            { "type": "string", "pattern": "^wgpu:.+$" },
            { "type": "string", "pattern": "^cuda:.+$" },
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

/// The schema of a word; `title` is what messages call it.
fn words(title: &str, words: impl IntoIterator<Item = &'static str>) -> Schema {
    let words: Vec<&str> = words.into_iter().collect();
    json_schema!({ "type": "string", "title": title, "enum": words })
}

fn form(_: &mut SchemaGenerator) -> Schema {
    words("form", ["voltage", "rate"])
}

fn activation(_: &mut SchemaGenerator) -> Schema {
    words("activation", Activation::ALL.map(Activation::name))
}

fn integrator(_: &mut SchemaGenerator) -> Schema {
    words("integrator", Integrator::ALL.map(Integrator::name))
}

/// The schema of a table with the one key `kind`.
fn one_of(kind: &str, value: &Schema) -> Schema {
    json_schema!({
        "type": "object",
        "properties": { (kind): value },
        "required": [kind],
        "additionalProperties": false,
    })
}

/// A number, a list, or a table that says how they are drawn or learned, or those of each cell type; keys as in
/// [`TimeConstants::KINDS`].
fn time_constants(_: &mut SchemaGenerator) -> Schema {
    let number = json_schema!({ "type": "number", "exclusiveMinimum": 0 });
    let list = json_schema!({ "type": "array", "items": number, "minItems": 1 });
    let bounds = json_schema!({ "type": "array", "items": number, "minItems": 2, "maxItems": 2 });
    let law = json_schema!({
        "type": "object",
        "properties": {
            "median": with_text(&number, "Median in ms, before the cut."),
            "sigma": with_text(&number, "Standard deviation of ln tau."),
            "min": with_text(&number, "Smallest value in ms."),
            "max": with_text(&number, "Largest value in ms."),
        },
        "required": ["median", "sigma", "min", "max"],
        "additionalProperties": false,
    });
    let [uniform, lognormal, learned] = TimeConstants::KINDS;
    let uniform = one_of(
        uniform,
        &with_text(&bounds, "Smallest and largest value in ms."),
    );
    let lognormal = one_of(
        lognormal,
        &with_text(&law, "A normal ln tau, cut off at both ends."),
    );
    let of_type = json_schema!({ "anyOf": [number, uniform, lognormal] });
    let types = json_schema!({
        "type": "object",
        "properties": {
            "e": with_text(&of_type, "Those of excitatory units in ms: a number, uniform or lognormal."),
            "i": with_text(&of_type, "Those of inhibitory units in ms."),
        },
        "required": ["e", "i"],
        "additionalProperties": false,
    });
    let initial = json_schema!({
        "description": "Where they begin, strictly within the bounds: anything but learned.",
        "anyOf": [number, list, types, uniform, lognormal],
    });
    let per_unit = json_schema!({
        "type": "boolean",
        "default": true,
        "description": "Whether each unit has its own; else one is trained for all.",
    });
    let training = json_schema!({
        "type": "object",
        "description": "Time constants that are trained within bounds.",
        "properties": {
            "initial": initial,
            "bounds": with_text(&bounds, "Smallest and largest value in ms."),
            "per_unit": per_unit,
        },
        "required": ["initial", "bounds"],
        "additionalProperties": false,
    });
    json_schema!({ "anyOf": [number, list, types, uniform, lognormal, one_of(learned, &training)] })
}

/// A schema with a description.
fn with_text(schema: &Schema, text: &str) -> Schema {
    let mut schema = schema.clone();
    schema.insert("description".to_owned(), text.into());
    schema
}

fn output_nonlinearity(_: &mut SchemaGenerator) -> Schema {
    words(
        "output nonlinearity",
        OutputNonlinearity::ALL.map(OutputNonlinearity::name),
    )
}

fn noise_convention(_: &mut SchemaGenerator) -> Schema {
    words(
        "noise convention",
        NoiseConvention::ALL.map(NoiseConvention::name),
    )
}

fn balance(_: &mut SchemaGenerator) -> Schema {
    words("balance", Balance::ALL.map(Balance::name))
}

fn spectral_radius(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [
        { "type": "number", "exclusiveMinimum": 0 },
        { "type": "string", "title": "spectral radius", "enum": [NATURAL] },
    ] })
}

fn parametrization(_: &mut SchemaGenerator) -> Schema {
    words(
        "parametrization",
        Parametrization::ALL.map(Parametrization::name),
    )
}

fn readout_signs(_: &mut SchemaGenerator) -> Schema {
    words(
        "rule for the readout",
        ReadoutSigns::ALL.map(ReadoutSigns::name),
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
        Deserialize, Deserializer, InitialStateConfig, Schema, SchemaGenerator, Serialize,
        Serializer, json_schema,
    };
    use serde::de::Error as _;

    /// The words, each with its meaning.
    const WORDS: [(&str, InitialStateConfig); 4] = [
        ("zero", InitialStateConfig::Zero),
        ("learned", InitialStateConfig::Learned),
        (
            "learned_per_condition",
            InitialStateConfig::LearnedPerCondition,
        ),
        ("carry", InitialStateConfig::Carry),
    ];

    pub(super) fn serialize<S: Serializer>(
        state: &InitialStateConfig,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match (state, WORDS.iter().find(|(_, meaning)| meaning == state)) {
            (InitialStateConfig::Given(values), _) => values.serialize(serializer),
            (_, Some((word, _))) => serializer.serialize_str(word),
            (_, None) => unreachable!("every other state has its word"),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<InitialStateConfig, D::Error> {
        let value = toml::Value::deserialize(deserializer)?;
        let word = value.as_str();
        match WORDS.iter().find(|(known, _)| Some(*known) == word) {
            Some((_, meaning)) => Ok(meaning.clone()),
            None => value
                .try_into()
                .map(InitialStateConfig::Given)
                .map_err(D::Error::custom),
        }
    }

    pub(super) fn schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
        json_schema!({ "anyOf": [
            { "type": "string", "title": "initial state", "enum": words },
            { "type": "array", "items": { "type": "number" } },
        ] })
    }
}

/// `preactivation`: a number, a list, or a table with a covariance.
mod preactivation {
    use super::{
        Deserialize, Deserializer, InputPath, PreactivationConfig, Schema, SchemaGenerator,
        Serialize, Serializer, json_schema, one_of,
    };
    use serde::de::Error as _;
    use serde::ser::SerializeMap as _;

    const COVARIANCE: &str = "covariance";

    pub(super) fn serialize<S: Serializer>(
        noise: &PreactivationConfig,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        fn table<S: Serializer>(serializer: S, value: &impl Serialize) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry(COVARIANCE, value)?;
            map.end()
        }
        match noise {
            PreactivationConfig::Shared(sigma) => serializer.serialize_f64(*sigma),
            PreactivationConfig::PerUnit(list) => list.serialize(serializer),
            PreactivationConfig::Covariance(rows) => table(serializer, rows),
            PreactivationConfig::CovarianceFile(path) => table(serializer, path),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<PreactivationConfig, D::Error> {
        use toml::Value;
        let read = |value: Value| match value {
            Value::Table(mut table) => match table.remove(COVARIANCE) {
                Some(Value::String(path)) => {
                    Ok(PreactivationConfig::CovarianceFile(InputPath(path.into())))
                }
                Some(rows) => rows.try_into().map(PreactivationConfig::Covariance),
                None => Err(toml::de::Error::custom("the table has no covariance")),
            },
            list @ Value::Array(_) => list.try_into().map(PreactivationConfig::PerUnit),
            number => number.try_into().map(PreactivationConfig::Shared),
        };
        read(Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }

    pub(super) fn schema(_: &mut SchemaGenerator) -> Schema {
        let number = json_schema!({ "type": "number" });
        let level = json_schema!({ "type": "number", "minimum": 0 });
        let row = json_schema!({ "type": "array", "items": number });
        let covariance = json_schema!({
            "description": "The covariance between units, row by row, or an npz file with the array covariance [N,N].",
            "anyOf": [{ "type": "array", "items": row }, { "type": "string", "format": "path" }],
        });
        json_schema!({ "default": 0.0, "anyOf": [
            level,
            { "type": "array", "items": level },
            one_of(COVARIANCE, &covariance),
        ] })
    }
}
