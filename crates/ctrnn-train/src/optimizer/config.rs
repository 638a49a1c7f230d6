//! `[train] optimizer`, `schedule` and `groups` as written.

use std::collections::BTreeMap;

use ctrnn_model::{CtrnnConfig, Parameter, Role};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::metric::Metric;
use crate::named::tables;

tables! {
    /// The update rule; `name` selects it, `adam` if absent.
    ///
    /// `g` is the gradient of a parameter `w`. `weight_decay` adds `weight_decay w` to `g`, except in AdamW.
    pub enum Optimizer: "optimizer", "an optimizer" {
        /// Adam (Kingma and Ba 2015).
        Adam(Adam) = "adam",
        /// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
        AdamW(AdamW) = "adamw",
        /// Stochastic gradient descent, with or without momentum.
        Sgd(Sgd) = "sgd",
        /// RMSProp (Tieleman and Hinton 2012).
        RmsProp(RmsProp) = "rmsprop",
        /// AdaGrad (Duchi et al. 2011).
        AdaGrad(AdaGrad) = "adagrad",
        /// L-BFGS (Liu and Nocedal 1989), for small networks: every step takes the same batch.
        Lbfgs(Lbfgs) = "lbfgs",
    }
    with {
        /// Returns the learning rate.
        lr: f64,
        /// Returns the weight decay.
        weight_decay: f64,
    }
}

impl Default for Optimizer {
    fn default() -> Self {
        Self::Adam(Adam::default())
    }
}

/// Adam: `m = beta_1 m + (1 - beta_1) g`, `s = beta_2 s + (1 - beta_2) g^2`, `w -= lr m^ / (sqrt(s^) + eps)`, where
/// `m^` and `s^` are `m` and `s` with bias correction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Adam {
    /// Learning rate.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub lr: f64,
    /// `[beta_1, beta_2]`: decay rates per step of the first and second moment of the gradient, in [0, 1).
    #[schemars(schema_with = "betas")]
    pub betas: [f64; 2],
    /// Small constant added to the root of the second moment.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub eps: f64,
    /// Weight decay (L2): this fraction of the parameter is added to its gradient.
    #[schemars(range(min = 0))]
    pub weight_decay: f64,
    /// Divides by the largest second moment so far (AMSGrad, Reddi et al. 2018).
    pub amsgrad: bool,
}

impl Default for Adam {
    fn default() -> Self {
        Self {
            lr: 1e-3,
            betas: [0.9, 0.999],
            eps: 1e-8,
            weight_decay: 0.0,
            amsgrad: false,
        }
    }
}

/// AdamW: Adam's step, and in addition `w -= lr weight_decay w`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdamW {
    /// Learning rate.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub lr: f64,
    /// `[beta_1, beta_2]`: decay rates per step of the first and second moment of the gradient, in [0, 1).
    #[schemars(schema_with = "betas")]
    pub betas: [f64; 2],
    /// Small constant added to the root of the second moment.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub eps: f64,
    /// Decoupled weight decay: `lr weight_decay` times the parameter is subtracted at each step.
    #[schemars(range(min = 0))]
    pub weight_decay: f64,
    /// Divides by the largest second moment so far (AMSGrad, Reddi et al. 2018).
    pub amsgrad: bool,
}

impl Default for AdamW {
    fn default() -> Self {
        Self {
            lr: 1e-3,
            betas: [0.9, 0.999],
            eps: 1e-8,
            weight_decay: 1e-2,
            amsgrad: false,
        }
    }
}

/// Gradient descent: `u = momentum u + g`, `w -= lr u`; with Nesterov's correction `w -= lr (g + momentum u)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sgd {
    /// Learning rate.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub lr: f64,
    /// Momentum coefficient, in [0, 1); 0: plain gradient descent.
    #[schemars(range(min = 0), extend("exclusiveMaximum" = 1))]
    pub momentum: f64,
    /// Nesterov momentum: the gradient as if the momentum had already moved the parameter. Needs `momentum`.
    pub nesterov: bool,
    /// Weight decay (L2): this fraction of the parameter is added to its gradient.
    #[schemars(range(min = 0))]
    pub weight_decay: f64,
}

impl Default for Sgd {
    fn default() -> Self {
        Self {
            lr: 1e-2,
            momentum: 0.0,
            nesterov: false,
            weight_decay: 0.0,
        }
    }
}

/// RMSProp: `s = decay s + (1 - decay) g^2`, `u = momentum u + g / (sqrt(s) + eps)`, `w -= lr u`. Centred: `sqrt(s - m^2)`,
/// where `m = decay m + (1 - decay) g`. All begin at zero.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RmsProp {
    /// Learning rate.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub lr: f64,
    /// Decay rate per step of the mean square of the gradient, in [0, 1).
    #[schemars(range(min = 0), extend("exclusiveMaximum" = 1))]
    pub decay: f64,
    /// Small constant added to the root of the mean square.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub eps: f64,
    /// Momentum coefficient, in [0, 1).
    #[schemars(range(min = 0), extend("exclusiveMaximum" = 1))]
    pub momentum: f64,
    /// Divides by the standard deviation of the gradient instead of its root mean square.
    pub centered: bool,
    /// Weight decay (L2): this fraction of the parameter is added to its gradient.
    #[schemars(range(min = 0))]
    pub weight_decay: f64,
}

impl Default for RmsProp {
    fn default() -> Self {
        Self {
            lr: 1e-3,
            decay: 0.99,
            eps: 1e-8,
            momentum: 0.0,
            centered: false,
            weight_decay: 0.0,
        }
    }
}

/// AdaGrad: `s = s + g^2`, `w -= lr g / (sqrt(s) + eps)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdaGrad {
    /// Learning rate.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub lr: f64,
    /// Small constant added to the root of the sum.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub eps: f64,
    /// Weight decay (L2): this fraction of the parameter is added to its gradient.
    #[schemars(range(min = 0))]
    pub weight_decay: f64,
}

impl Default for AdaGrad {
    fn default() -> Self {
        Self {
            lr: 1e-2,
            eps: 1e-10,
            weight_decay: 0.0,
        }
    }
}

/// L-BFGS: `w += t d`, where `d` is minus the gradient times an estimate of the inverse Hessian from the last `history` steps, and `t` a length
/// at which the objective has fallen and its slope along `d` has become flatter (strong Wolfe conditions; Nocedal and Wright 2006, algorithms
/// 3.5, 3.6 and 7.4).
///
/// The objective is that of one batch of `train.batch_size` trials, with one draw of the noise: those of the first step of the run or stage.
/// A step evaluates it at least once. The training ends before its last step when the objective falls no further to rounding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Lbfgs {
    /// The length `t` that is tried first; the first step of all divides it by the sum of the absolute entries of the gradient if that is above 1.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub lr: f64,
    /// Number of steps from which the curvature is estimated. Each takes the memory of two copies of the parameters in double precision.
    #[schemars(range(min = 1, max = 1000))]
    pub history: usize,
    /// Largest number of evaluations of the objective and its gradient in a line search.
    #[schemars(range(min = 1, max = 1000))]
    pub evaluations: usize,
    /// Weight decay (L2): this fraction of the parameter is added to its gradient, and half of it times the sum of the squares of all
    /// parameters to the objective.
    #[schemars(range(min = 0))]
    pub weight_decay: f64,
}

impl Default for Lbfgs {
    fn default() -> Self {
        Self {
            lr: 1.0,
            history: 10,
            evaluations: 20,
            weight_decay: 0.0,
        }
    }
}

tables! {
    /// Learning-rate schedule; `name` selects it, `constant` if absent.
    ///
    /// Each schedule may begin with a warm-up: over the first `warmup_steps` updates the rate rises linearly to `lr`, and
    /// the schedule counts its own steps `s` from there.
    pub enum Schedule: "schedule", "a schedule" {
        /// `lr` at every step.
        Constant(Constant) = "constant",
        /// Half a period of a cosine from `lr` down to `lr final_fraction`.
        Cosine(Cosine) = "cosine",
        /// `lr factor^s`.
        Exponential(Exponential) = "exponential",
        /// `lr factor^floor(s / every_steps)`.
        Step(StepSchedule) = "step",
        /// `lr` times `factor` each time that a validation metric has not improved for `patience` validations.
        Plateau(Plateau) = "plateau",
    }
    with {
        /// Returns the number of warm-up updates.
        warmup_steps: u64,
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Self::Constant(Constant::default())
    }
}

/// Constant learning rate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Constant {
    /// Updates over which the rate rises linearly to `lr`; 0: none.
    pub warmup_steps: u64,
}

/// `lr (f + (1 - f) (1 + cos(pi s / S)) / 2)`, `f` the final fraction; `lr f` from step S on (Loshchilov and Hutter 2017).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cosine {
    /// Updates over which the rate rises linearly to `lr`; 0: none.
    pub warmup_steps: u64,
    /// Length S of the descent in updates. Absent: from the warm-up to `train.steps`; a run that is resumed with more
    /// steps keeps the original length, unless another one is given.
    #[schemars(range(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Final rate as a fraction of `lr`, from 0 to 1.
    #[schemars(range(min = 0, max = 1))]
    pub final_fraction: f64,
}

/// `lr factor^s`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Exponential {
    /// Updates over which the rate rises linearly to `lr`; 0: none.
    pub warmup_steps: u64,
    /// Factor on the rate after every update, in (0, 1].
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 1))]
    pub factor: f64,
}

impl Default for Exponential {
    fn default() -> Self {
        Self {
            warmup_steps: 0,
            factor: 0.9995,
        }
    }
}

/// `lr factor^floor(s / every_steps)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StepSchedule {
    /// Updates over which the rate rises linearly to `lr`; 0: none.
    pub warmup_steps: u64,
    /// Number of updates between changes of the rate.
    #[schemars(range(min = 1))]
    pub every_steps: u64,
    /// Factor on the rate at each change, in (0, 1].
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 1))]
    pub factor: f64,
}

impl Default for StepSchedule {
    fn default() -> Self {
        Self {
            warmup_steps: 0,
            every_steps: 1000,
            factor: 0.5,
        }
    }
}

/// `lr factor^k`, where k counts how often `metric` has not improved for `patience` validations in a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Plateau {
    /// Updates over which the rate rises linearly to `lr`; 0: none.
    pub warmup_steps: u64,
    /// The validation metric, measured every `validate.every_steps`.
    pub metric: Metric,
    /// Number of validations without improvement before the rate changes.
    #[schemars(range(min = 1))]
    pub patience: u64,
    /// Factor on the rate at each change, in (0, 1].
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 1))]
    pub factor: f64,
    /// Smallest rate as a fraction of `lr`, from 0 to 1.
    #[schemars(range(min = 0, max = 1))]
    pub final_fraction: f64,
}

impl Default for Plateau {
    fn default() -> Self {
        Self {
            warmup_steps: 0,
            metric: Metric::LOSS,
            patience: 5,
            factor: 0.5,
            final_fraction: 0.0,
        }
    }
}

/// Learning rates and weight decays of single parameters, by their names in weight files; in a stack, those of all layers. Areas and projections have a
/// factor of their own, `model.areas.NAME.plasticity` and `model.projections."FROM -> TO".plasticity`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Groups {
    /// Settings of the input weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<WeightGroups>,
    /// Settings of the recurrent weights and biases, and of the factors of a recurrent matrix of low rank.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recurrent: Option<RecurrentGroups>,
    /// Settings of the readout weights and biases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<WeightAndBiasGroups>,
    /// Settings of `initial_state`, if it is learned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_state: Option<Group>,
    /// Settings of `tau_raw`, if time constants are learned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tau_raw: Option<Group>,
}

/// Settings of the recurrent weights, or of their factors, and of their bias.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RecurrentGroups {
    /// Settings of the weights; with `model.low_rank`, of the full matrix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<Group>,
    /// Settings of the left factor of `model.low_rank`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<Group>,
    /// Settings of the right factor of `model.low_rank`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub right: Option<Group>,
    /// Settings of the bias.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bias: Option<Group>,
}

/// Settings of weights without a bias.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WeightGroups {
    /// Settings of the weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<Group>,
}

/// Settings of weights and their bias.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WeightAndBiasGroups {
    /// Settings of the weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<Group>,
    /// Settings of the bias.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bias: Option<Group>,
}

/// Settings of a single parameter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Learning rate, in place of `train.optimizer.lr`; the schedule applies to it alike. 0: the parameter stays fixed.
    #[schemars(range(min = 0))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// Weight decay, in place of `train.optimizer.weight_decay`: decoupled from the gradient under `adamw`, added to it under any other
    /// rule. `optimizer = { name = "adamw", weight_decay = 0 }` decays only the parameters that have one here.
    #[schemars(range(min = 0))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
}

impl Groups {
    /// Returns the learning rates of the parameters of a network that have their own.
    pub fn rates(&self, network: &CtrnnConfig) -> BTreeMap<Parameter, f64> {
        by_parameter(network, |role| self.lr(role))
    }

    /// Returns the weight decays of the parameters of a network that have their own.
    pub fn weight_decays(&self, network: &CtrnnConfig) -> BTreeMap<Parameter, f64> {
        by_parameter(network, |role| self.of(role)?.weight_decay)
    }

    /// Returns true if no parameter has settings of its own.
    pub fn is_empty(&self) -> bool {
        Role::ALL.into_iter().all(|role| self.of(role).is_none())
    }

    /// Returns the learning rate of a parameter, if it has its own.
    pub fn lr(&self, role: Role) -> Option<f64> {
        self.of(role)?.lr
    }

    /// Returns the settings of a parameter, if it has its own.
    pub fn of(&self, role: Role) -> Option<&Group> {
        match role {
            Role::InputWeight => self.input.as_ref()?.weight.as_ref(),
            Role::RecurrentWeight => self.recurrent.as_ref()?.weight.as_ref(),
            Role::RecurrentLeft => self.recurrent.as_ref()?.left.as_ref(),
            Role::RecurrentRight => self.recurrent.as_ref()?.right.as_ref(),
            Role::RecurrentBias => self.recurrent.as_ref()?.bias.as_ref(),
            Role::OutputWeight => self.output.as_ref()?.weight.as_ref(),
            Role::OutputBias => self.output.as_ref()?.bias.as_ref(),
            Role::InitialState => self.initial_state.as_ref(),
            Role::TimeConstants => self.tau_raw.as_ref(),
        }
    }
}

/// Returns a value of the parameters of a network whose role has one.
fn by_parameter(
    network: &CtrnnConfig,
    value: impl Fn(Role) -> Option<f64>,
) -> BTreeMap<Parameter, f64> {
    let all = network.parameters().into_iter().map(|spec| spec.parameter);
    all.filter_map(|parameter| Some((parameter, value(parameter.role)?)))
        .collect()
}

fn betas(_: &mut SchemaGenerator) -> Schema {
    let beta = json_schema!({ "type": "number", "minimum": 0, "exclusiveMaximum": 1 });
    json_schema!({ "type": "array", "items": beta, "minItems": 2, "maxItems": 2 })
}
