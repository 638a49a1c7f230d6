//! Optimizers: burn's update rules, driven parameter by parameter, with their state held by name.

use std::collections::BTreeMap;

use crate::TrainError;
use crate::config::{Adam as AdamConfig, Optimizer, Sgd};
use crate::gradients::Gradients;
use burn::module::{Module, ModuleMapper, Param};
use burn::optim::momentum::{Momentum, MomentumConfig, MomentumState};
use burn::optim::{Adam, AdamState, AdaptiveMomentumState, SimpleOptimizer};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData};
use ctrnn_model::{CtrnnModule, Parameter, host_tensor};

/// What an update rule remembers of one parameter, flat.
#[derive(Clone, Debug)]
struct Memory<B: Backend> {
    /// Updates so far.
    updates: usize,
    /// Adam: `moment_1`, `moment_2`; SGD: `velocity`.
    moments: Vec<Tensor<B, 1>>,
}

/// An optimizer: its rule, and what the rule remembers of each parameter.
#[derive(Clone, Debug)]
pub struct OptimizerState<B: Backend> {
    rule: Optimizer,
    memory: BTreeMap<Parameter, Memory<B>>,
}

impl<B: Backend> OptimizerState<B> {
    /// An optimizer that has seen nothing yet.
    pub fn new(rule: Optimizer) -> Self {
        Self {
            rule,
            memory: BTreeMap::new(),
        }
    }

    /// The network after one update along `gradients`. A parameter without a gradient stays as it is.
    pub fn step<A>(
        &mut self,
        lr: f64,
        network: CtrnnModule<A>,
        gradients: Gradients<B>,
    ) -> CtrnnModule<A>
    where
        A: AutodiffBackend<InnerBackend = B>,
    {
        network.map(&mut Update {
            optimizer: self,
            lr,
            gradients,
        })
    }

    /// One parameter's next value.
    fn update(
        &mut self,
        parameter: Parameter,
        lr: f64,
        value: Tensor<B, 1>,
        gradient: Tensor<B, 1>,
    ) -> Tensor<B, 1> {
        let memory = self.memory.remove(&parameter);
        let (value, memory) = match &self.rule {
            Optimizer::Adam(config) => adam_step(config, lr, value, gradient, memory),
            Optimizer::Sgd(config) => sgd_step(config, lr, value, gradient, memory),
        };
        self.memory.insert(parameter, memory);
        value
    }

    /// The optimizer's state as named arrays: `<parameter>.<moment>` and `<parameter>.updates`.
    pub fn state(&self) -> BTreeMap<String, TensorData> {
        let mut state = BTreeMap::new();
        for (parameter, memory) in &self.memory {
            let name = |what: &str| format!("{}.{what}", parameter.name());
            state.insert(
                name("updates"),
                TensorData::new(vec![memory.updates as i64], [1]),
            );
            for (moment, tensor) in self.rule.moment_names().iter().zip(&memory.moments) {
                state.insert(name(moment), tensor.to_data());
            }
        }
        state
    }

    /// An optimizer with the state that [`OptimizerState::state`] gave; `length` says how long each parameter is.
    ///
    /// # Errors
    /// [`TrainError::OptimizerState`] names an array that is unknown, missing, of another length or not finite.
    pub fn restore(
        rule: Optimizer,
        state: &BTreeMap<String, TensorData>,
        length: impl Fn(Parameter) -> usize,
        device: &B::Device,
    ) -> Result<Self, TrainError> {
        let refuse = |name: &str, why: &str| TrainError::OptimizerState(format!("{name} {why}"));
        let mut optimizer = Self::new(rule.clone());
        let mut known = 0;
        for parameter in Parameter::ALL {
            let Some(updates) = state.get(&format!("{}.updates", parameter.name())) else {
                continue;
            };
            known += 1;
            let mut moments = Vec::new();
            for moment in rule.moment_names() {
                let name = format!("{}.{moment}", parameter.name());
                let data = state
                    .get(&name)
                    .ok_or_else(|| refuse(&name, "is missing"))?;
                known += 1;
                if data.num_elements() != length(parameter) {
                    return Err(refuse(&name, "has another length than its parameter"));
                }
                if data.iter::<f64>().any(|x| !x.is_finite()) {
                    return Err(refuse(&name, "is not finite"));
                }
                moments.push(host_tensor(data.clone(), device));
            }
            let updates = updates
                .iter::<i64>()
                .next()
                .and_then(|n| usize::try_from(n).ok());
            let updates =
                updates.ok_or_else(|| refuse(parameter.name(), "has no count of updates"))?;
            optimizer
                .memory
                .insert(parameter, Memory { updates, moments });
        }
        match state.len() == known {
            true => Ok(optimizer),
            false => Err(refuse(
                "the file",
                "holds arrays that this optimizer does not know",
            )),
        }
    }
}

impl Optimizer {
    /// The name used in configurations.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Adam(_) => "adam",
            Self::Sgd(_) => "sgd",
        }
    }

    const fn moment_names(&self) -> &'static [&'static str] {
        match self {
            Self::Adam(_) => &["moment_1", "moment_2"],
            Self::Sgd(_) => &["velocity"],
        }
    }
}

/// burn's Adam with our constants (burn's own `eps` is 1e-5).
fn adam(config: &AdamConfig) -> Adam {
    let [beta_1, beta_2] = config.betas;
    burn::optim::AdamConfig::new()
        .with_beta_1(beta_1 as f32)
        .with_beta_2(beta_2 as f32)
        .with_epsilon(config.eps as f32)
        .build()
}

fn adam_step<B: Backend>(
    config: &AdamConfig,
    lr: f64,
    value: Tensor<B, 1>,
    gradient: Tensor<B, 1>,
    memory: Option<Memory<B>>,
) -> (Tensor<B, 1>, Memory<B>) {
    let state = memory.map(
        |Memory {
             updates,
             mut moments,
         }| {
            let (second, first) = (moments.pop(), moments.pop());
            let both = first.zip(second).expect("Adam remembers two moments");
            AdamState::new(AdaptiveMomentumState::new(updates, both.0, both.1))
        },
    );
    let (value, state) = adam(config).step(lr, value, gradient, state);
    let momentum = state.expect("Adam has a state after a step").momentum;
    let memory = Memory {
        updates: momentum.time,
        moments: vec![momentum.moment_1, momentum.moment_2],
    };
    (value, memory)
}

fn sgd_step<B: Backend>(
    config: &Sgd,
    lr: f64,
    value: Tensor<B, 1>,
    gradient: Tensor<B, 1>,
    memory: Option<Memory<B>>,
) -> (Tensor<B, 1>, Memory<B>) {
    let momentum = MomentumConfig::new()
        .with_momentum(config.momentum)
        .with_dampening(0.0);
    let updates = memory.as_ref().map_or(0, |m| m.updates) + 1;
    let state = memory
        .and_then(|mut m| m.moments.pop())
        .map(MomentumState::new);
    // Without Nesterov's correction the transformed gradient is the new velocity.
    let (velocity, _) = Momentum::new(&momentum).transform(gradient, state);
    let value = value - velocity.clone() * lr;
    let memory = Memory {
        updates,
        moments: vec![velocity],
    };
    (value, memory)
}

struct Update<'a, B: Backend> {
    optimizer: &'a mut OptimizerState<B>,
    lr: f64,
    gradients: Gradients<B>,
}

impl<A: AutodiffBackend> ModuleMapper<A> for Update<'_, A::InnerBackend> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<A, D>>) -> Param<Tensor<A, D>> {
        let found =
            Parameter::from_id(param.id).and_then(|p| Some((p, self.gradients.0.remove(&p)?)));
        let Some((parameter, gradient)) = found else {
            return param;
        };
        param.map(|tensor| {
            let value = tensor.inner();
            let shape = value.shape();
            let flat = value.reshape([shape.num_elements()]);
            let next = self.optimizer.update(parameter, self.lr, flat, gradient);
            Tensor::from_inner(next.reshape(shape)).require_grad()
        })
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::{Autodiff, NdArray};
    use ctrnn_model::CtrnnConfig;

    use super::*;

    type Inner = NdArray<f64>;
    type Grad = Autodiff<Inner>;

    fn network() -> CtrnnModule<Grad> {
        CtrnnModule::init(&CtrnnConfig::new(1, 2, 1), 3, &Default::default()).unwrap()
    }

    fn gradients(network: &CtrnnModule<Grad>, value: f64) -> Gradients<Inner> {
        let one = |p: Parameter| {
            let len = p.shape(network.config()).iter().product();
            (
                p,
                host_tensor(
                    TensorData::new(vec![value; len], [len]),
                    &Default::default(),
                ),
            )
        };
        let trained = |p: &Parameter| p.is_trained(network.config());
        Gradients(
            Parameter::ALL
                .into_iter()
                .filter(trained)
                .map(one)
                .collect(),
        )
    }

    fn bias(network: &CtrnnModule<Grad>) -> f64 {
        network.weights()["recurrent.bias"]
            .iter::<f64>()
            .next()
            .unwrap()
    }

    /// The first step of Adam is -lr g / (|g| + eps), whatever the size of g.
    #[test]
    fn adam_first_step_by_hand() {
        let rule = Optimizer::Adam(AdamConfig::default());
        let mut optimizer = OptimizerState::new(rule);
        let after = optimizer.step(0.1, network(), gradients(&network(), 4.0));
        assert!(
            (bias(&after) + 0.1 * 4.0 / (4.0 + 1e-8)).abs() < 1e-7,
            "{}",
            bias(&after)
        );
    }

    /// Velocity g, then 0.5 g + g: the bias goes from 0 to -lr g to -lr g - 1.5 lr g = -0.5 for lr 0.1, g 2.
    #[test]
    fn momentum_by_hand() {
        let rule = Optimizer::Sgd(Sgd {
            momentum: 0.5,
            ..Sgd::default()
        });
        let mut optimizer = OptimizerState::new(rule);
        let once = optimizer.step(0.1, network(), gradients(&network(), 2.0));
        let twice = optimizer.step(0.1, once, gradients(&network(), 2.0));
        assert!((bias(&twice) + 0.5).abs() < 1e-12, "{}", bias(&twice));
    }

    #[test]
    fn a_restored_optimizer_goes_on_as_if_nothing_had_happened() {
        for rule in [
            Optimizer::default(),
            Optimizer::Sgd(Sgd {
                momentum: 0.9,
                ..Sgd::default()
            }),
        ] {
            let mut optimizer = OptimizerState::<Inner>::new(rule.clone());
            let once = optimizer.step(0.1, network(), gradients(&network(), 2.0));
            let config = once.config().clone();
            let length = |p: Parameter| p.shape(&config).iter().product();
            let restored =
                OptimizerState::restore(rule, &optimizer.state(), length, &Default::default());
            let (a, b) = (
                optimizer.step(0.1, once.clone(), gradients(&network(), 1.0)),
                restored
                    .unwrap()
                    .step(0.1, once, gradients(&network(), 1.0)),
            );
            assert_eq!(a.weights(), b.weights());
        }
    }

    #[test]
    fn a_foreign_state_is_refused() {
        let rule = Optimizer::default();
        let mut optimizer = OptimizerState::<Inner>::new(rule.clone());
        optimizer.step(0.1, network(), gradients(&network(), 2.0));
        let restore = |state: &BTreeMap<String, TensorData>, rule: Optimizer, length: usize| {
            OptimizerState::<Inner>::restore(rule, state, |_| length, &Default::default())
                .unwrap_err()
                .to_string()
        };
        assert!(restore(&optimizer.state(), rule.clone(), 99).contains("another length"));
        let sgd = Optimizer::Sgd(Sgd::default());
        assert!(restore(&optimizer.state(), sgd, 2).contains("velocity is missing"));
        let mut extra = BTreeMap::new();
        extra.insert("other.moment_1".to_owned(), TensorData::new(vec![0.0], [1]));
        assert!(restore(&extra, rule, 2).contains("does not know"));
    }

    #[test]
    fn the_global_norm_is_over_all_parameters_and_clipping_scales_to_it() {
        // 2 inputs weights, 4 recurrent, 2 biases, 2 output weights, 1 output bias, 2 of the initial state: 13 entries of 2.
        let gradients = gradients(&network(), 2.0);
        let norm = gradients.global_norm();
        let expected = (13.0f64 * 4.0).sqrt();
        assert!((norm.clone().into_scalar() - expected).abs() < 1e-12);
        let clipped = gradients
            .clone()
            .clipped(&norm, 1.0)
            .global_norm()
            .into_scalar();
        assert!((clipped - 1.0).abs() < 1e-12, "{clipped}");
        let untouched = gradients.clone().clipped(&norm, 49.0);
        let first = |g: &Gradients<Inner>| g.0[&Parameter::RecurrentWeight].to_data();
        assert_eq!(first(&untouched), first(&gradients));
    }
}
