//! The configuration as written: the keys that a TOML file may hold, with their defaults.
//!
//! `train-ctrnn config explain KEY` prints the doc comment of a field, and the schema holds it, so that adding a key is
//! adding a field. The resolved form of the configuration is [`Run`](crate::Run).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use ctrnn_model::{CtrnnConfig, InputPath, Integrator};
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
    #[serde(serialize_with = "write_model")]
    pub model: CtrnnConfig,
    /// Training of the network.
    pub train: TrainConfig,
    /// Validation trials, on which the network is not trained; drawn once, from their own random stream.
    pub validate: ValidateConfig,
    /// Checkpoints during training.
    pub checkpoint: CheckpointConfig,
    /// The device that computes.
    pub device: DeviceConfig,
}

/// The only version of the format that this build reads.
pub const VERSION: i64 = 1;

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            version: VERSION,
            seed: 0,
            time: TimeConfig::default(),
            task: BTreeMap::new(),
            model: CtrnnConfig::default(),
            train: TrainConfig::default(),
            validate: ValidateConfig::default(),
            checkpoint: CheckpointConfig::default(),
            device: DeviceConfig::default(),
        }
    }
}

/// Writes the table `[model]`: of a stack the layers, and the file with the initial weights of all of them.
fn write_model<S: Serializer>(model: &CtrnnConfig, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Stack<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        init: Option<InitFile>,
        layer: Vec<Cow<'a, CtrnnConfig>>,
    }
    #[derive(Serialize)]
    struct InitFile {
        file: InputPath,
    }
    if model.below.is_empty() {
        return model.serialize(serializer);
    }
    let mut last = model.alone();
    let file = last.init.file.take();
    let below = model.below.iter().map(Cow::Borrowed);
    Stack {
        init: file.map(|file| InitFile { file }),
        layer: below.chain([Cow::Owned(last)]).collect(),
    }
    .serialize(serializer)
}

/// The time grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TimeConfig {
    /// Length of a time step in ms, at most `model.tau_ms` under `integrator = "euler"`. Durations of the task are multiples
    /// of it. 20 ms with tau 100 ms is the choice of Song et al. (2016) and Yang et al. (2019).
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub dt_ms: f64,
    /// Numerical integration of a step. `euler`: alpha = dt / tau, with an error of first order in dt. `exponential`:
    /// alpha = 1 - exp(-dt / tau), which is exact if the drive does not change within a step. A trained network runs
    /// with either: `eval RUN time.integrator=exponential time.dt_ms=5`.
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

/// The device that computes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeviceConfig {
    /// `cpu`; `wgpu`, the best graphics adapter; `wgpu:` and an index or a part of a name, another adapter; `cuda` or
    /// `cuda:` and an index.
    pub backend: Backend,
    /// Number of CPU threads; 0: `RAYON_NUM_THREADS`, else the number of CPUs that Slurm assigns to a task, else all
    /// cores, but one for the training of a small network. The results do not depend on it.
    #[schemars(range(max = 1024))]
    pub threads: usize,
}

/// Computing backend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// The CPU.
    #[default]
    Cpu,
    /// A graphics adapter, through wgpu.
    Wgpu(AdapterChoice),
    /// A CUDA device, by its number.
    Cuda(usize),
}

/// Choice of a graphics adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdapterChoice {
    /// The best adapter.
    Best,
    /// An adapter by its position in the list of `info`.
    Index(usize),
    /// The first adapter whose name contains this text.
    Named(String),
}

impl AdapterChoice {
    /// Parses an index, or a part of a name.
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
    fn schema_name() -> Cow<'static, str> {
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
