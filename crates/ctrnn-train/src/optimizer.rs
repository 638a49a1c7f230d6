//! Optimizers: burn's update rules, applied parameter by parameter, with their state held by name.

pub mod config;
pub(crate) mod lbfgs;
mod schedule;
mod update_rule;

use std::collections::{BTreeMap, HashMap};

use crate::TrainError;
use crate::continual::{Consolidated, Values, values_of};
use crate::gradients::{Gradients, flat};
use crate::online::Rls;
use crate::online::config::Rule;
use crate::optimizer::config::{Groups, Optimizer};
use crate::optimizer::lbfgs::Curvature;
use crate::optimizer::update_rule::{Due, Memory};
use burn::module::{AutodiffModule, Module, ModuleMapper, Param, ParamId};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData};
use ctrnn_model::{
    CtrnnConfig, CtrnnModule, Matrix, Parameter, RecurrenceBackend, Role, Synapses, host_tensor,
    scaled_update,
};

/// An optimizer: its update rule, and the state (moments) of each parameter.
#[derive(Clone, Debug)]
pub struct OptimizerState<B: Backend> {
    rule: Optimizer,
    rates: BTreeMap<Parameter, f64>,
    weight_decays: BTreeMap<Parameter, f64>,
    memory: BTreeMap<Parameter, Memory<B>>,
    /// History of L-BFGS.
    curvature: Curvature,
    /// State of what protects earlier stages.
    consolidated: Consolidated<B>,
    /// State of a learning rule that has no gradients.
    rls: Option<Rls>,
    /// The same as it was read, until [`OptimizerState::of_learning_rule`] says whose it is.
    read: BTreeMap<String, TensorData>,
}

impl<B: Backend> OptimizerState<B> {
    /// Creates an optimizer without any state.
    pub fn new(rule: Optimizer) -> Self {
        Self {
            rule,
            rates: BTreeMap::new(),
            weight_decays: BTreeMap::new(),
            memory: BTreeMap::new(),
            curvature: Curvature::default(),
            consolidated: Consolidated::default(),
            rls: None,
            read: BTreeMap::new(),
        }
    }

    /// Returns the state for a network that is trained by a learning rule: recursive least squares go on from their state if they have one,
    /// and begin otherwise; other rules have no state of their own.
    ///
    /// # Errors
    /// [`TrainError::OptimizerState`] if the state is of another rule or network.
    pub(crate) fn of_learning_rule<A>(
        mut self,
        rule: &Rule,
        network: &CtrnnModule<A>,
    ) -> Result<Self, TrainError>
    where
        A: AutodiffBackend<InnerBackend = B>,
    {
        let read = std::mem::take(&mut self.read);
        let Some(begun) = Rls::of(rule, network) else {
            self.rls = None;
            return match read.keys().next() {
                None => Ok(self),
                Some(name) => Err(TrainError::OptimizerState(format!(
                    "{name} is not a state of train.rule = {:?}",
                    rule.name()
                ))),
            };
        };
        self.rls = Some(match self.rls.take().filter(|rls| rls.is_of(&begun)) {
            Some(rls) => rls,
            None if read.is_empty() => begun,
            None => begun.restored(&read)?,
        });
        Ok(self)
    }

    /// Returns the state of what protects earlier stages.
    pub(crate) const fn consolidated(&self) -> &Consolidated<B> {
        &self.consolidated
    }

    /// Returns the state of what protects earlier stages, to be changed.
    pub(crate) const fn consolidated_mut(&mut self) -> &mut Consolidated<B> {
        &mut self.consolidated
    }

    /// Replaces the state of what protects earlier stages.
    #[must_use]
    pub(crate) fn with_consolidated(mut self, consolidated: Consolidated<B>) -> Self {
        self.consolidated = consolidated;
        self
    }

    /// Returns the state of recursive least squares.
    ///
    /// # Panics
    /// If the learning rule is another one.
    pub(crate) fn least_squares(&self) -> Rls {
        self.rls.clone().expect("the rule has begun")
    }

    /// Replaces the state of recursive least squares.
    pub(crate) fn keep_least_squares(&mut self, rls: Rls) {
        self.rls = Some(rls);
    }

    /// Returns the history of L-BFGS.
    pub(crate) const fn curvature(&self) -> &Curvature {
        &self.curvature
    }

    /// Replaces the history of L-BFGS.
    pub(crate) fn keep_curvature(&mut self, curvature: Curvature) {
        self.curvature = curvature;
    }

    /// Returns the optimizer with another rule, for other trials; it keeps its moments if the rule has the same name and the same ones. The
    /// history of L-BFGS, which belongs to its batch, is dropped.
    #[must_use]
    pub fn with_rule(mut self, rule: Optimizer) -> Self {
        self.curvature = Curvature::default();
        let is_same = self.rule.name() == rule.name();
        if !is_same || self.rule.moment_names() != rule.moment_names() {
            self.memory.clear();
        }
        self.rule = rule;
        self
    }

    /// Sets learning rates and weight decays for the parameters of a network that have their own, in place of the rule's; a rate of 0
    /// keeps a parameter fixed.
    #[must_use]
    pub fn with_groups(mut self, groups: &Groups, network: &CtrnnConfig) -> Self {
        self.rates = groups.rates(network);
        self.weight_decays = groups.weight_decays(network);
        self
    }

    /// Returns the network after one update along `gradients`. A parameter that is frozen or has no gradient stays
    /// unchanged; one with its own learning rate is updated at `lr` times the ratio of that rate to the rule's.
    pub fn step<A>(
        &mut self,
        lr: f64,
        network: CtrnnModule<A>,
        mut gradients: Gradients<B>,
    ) -> CtrnnModule<A>
    where
        A: AutodiffBackend<InnerBackend = B>,
        B: RecurrenceBackend,
    {
        gradients
            .0
            .retain(|&parameter, _| !network.config().is_frozen(parameter));
        let of_layer = |(number, layer)| {
            let all = Matrix::ALL.map(|m| {
                let parameter = m.parameter().role.of_layer(number);
                (parameter, CtrnnModule::<A>::synapses(layer, m))
            });
            all.into_iter()
                .filter(|(_, synapses)| !synapses.accepts_any_update())
                .map(|(parameter, synapses)| (parameter, synapses.valid()))
        };
        let synapses = (0..).zip(network.layers()).flat_map(of_layer).collect();
        let config = network.config();
        let of_units = gradients.0.iter().filter_map(|(&parameter, gradient)| {
            let factors = config.update_factors(parameter)?;
            Some((parameter, flat(factors, &gradient.device())))
        });
        let factors = of_units.collect();
        let range = |(number, layer): (u16, &CtrnnConfig)| {
            let range = layer.bias.range?;
            Some((Role::RecurrentBias.of_layer(number), range))
        };
        let bias_ranges = (0..).zip(config.layers()).filter_map(range).collect();
        let parameters = config.parameters_by_id();
        let proposed = self.proposed(lr, values_of(&network), gradients);
        network.map(&mut Update {
            parameters,
            proposed,
            synapses,
            factors,
            bias_ranges,
        })
    }

    /// Returns the next values of the parameters that have a gradient, and stores their optimizer state.
    fn proposed(&mut self, lr: f64, mut values: Values<B>, gradients: Gradients<B>) -> Values<B>
    where
        B: RecurrenceBackend,
    {
        let mut proposed = Values::new();
        let (mut parameters, mut due) = (Vec::new(), Vec::new());
        for (parameter, gradient) in gradients.0 {
            let Some(value) = values.remove(&parameter) else {
                continue;
            };
            let lr = match self.rates.get(&parameter) {
                Some(0.0) => {
                    proposed.insert(parameter, value);
                    continue;
                }
                Some(rate) => lr * (rate / self.rule.lr()),
                None => lr,
            };
            let own = self.weight_decays.get(&parameter).copied();
            parameters.push(parameter);
            due.push(Due {
                lr,
                weight_decay: own.unwrap_or_else(|| self.rule.weight_decay()),
                value,
                gradient,
                memory: self.memory.remove(&parameter),
            });
        }
        for (parameter, (value, memory)) in parameters.into_iter().zip(self.rule.step(due)) {
            proposed.insert(parameter, value);
            self.memory.insert(parameter, memory);
        }
        proposed
    }

    /// Returns the optimizer's state as named arrays: `<parameter>.<moment>` and `<parameter>.updates`.
    pub fn state(&self) -> BTreeMap<String, TensorData> {
        let mut state = self.consolidated.state();
        state.extend(self.curvature.state());
        state.extend(self.rls.iter().flat_map(Rls::state));
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

    /// Returns an optimizer of a network with the state that [`OptimizerState::state`] returned.
    ///
    /// # Errors
    /// [`TrainError::OptimizerState`] names an array that is unknown, missing, of the wrong length or not finite.
    pub fn restore(
        rule: Optimizer,
        state: &BTreeMap<String, TensorData>,
        network: &CtrnnConfig,
        device: &B::Device,
    ) -> Result<Self, TrainError> {
        let refuse = |name: &str, why: &str| TrainError::OptimizerState(format!("{name} {why}"));
        let mut optimizer = Self::new(rule.clone());
        let of_rule = state.iter().filter(|(name, _)| Rls::holds(name));
        optimizer.read = of_rule.map(|(k, v)| (k.clone(), v.clone())).collect();
        optimizer.consolidated = Consolidated::restore(state, network, device)?;
        let of_stages = state.keys().filter(|name| Consolidated::<B>::holds(name));
        let is_lbfgs = matches!(rule, Optimizer::Lbfgs(_));
        let of_curvature = state
            .keys()
            .filter(|name| is_lbfgs && Curvature::holds(name));
        let mut known = optimizer.read.len() + of_stages.count() + of_curvature.count();
        if is_lbfgs {
            optimizer.curvature = Curvature::restore(state, network)?;
        }
        for spec in network.parameters() {
            let parameter = spec.parameter;
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
                if data.num_elements() != spec.n_elements() {
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
                updates.ok_or_else(|| refuse(&parameter.name(), "has no count of updates"))?;
            optimizer
                .memory
                .insert(parameter, Memory { updates, moments });
        }
        if state.len() == known {
            Ok(optimizer)
        } else {
            Err(refuse(
                "the file",
                "holds arrays that this optimizer does not know",
            ))
        }
    }
}

struct Update<B: Backend> {
    parameters: HashMap<ParamId, Parameter>,
    /// Values that the optimizer proposes.
    proposed: Values<B>,
    /// The weight matrices whose updates are scaled by plasticity or projected onto signs.
    synapses: BTreeMap<Parameter, Synapses<B>>,
    /// Factors of the updates of parameters with entries for the units.
    factors: BTreeMap<Parameter, Tensor<B, 1>>,
    /// Bounds of the recurrent biases that have some.
    bias_ranges: BTreeMap<Parameter, [f64; 2]>,
}

impl<B: RecurrenceBackend> Update<B> {
    /// Returns the next value of one parameter: the optimizer's proposal, scaled by plasticity, projected and kept in its range.
    fn next<const D: usize>(
        &self,
        parameter: Parameter,
        value: Tensor<B, D>,
        proposed: Tensor<B, 1>,
    ) -> Tensor<B, D> {
        let shape: [usize; D] = value.dims();
        let before = B::reshaped(value, [shape.iter().product::<usize>()]);
        if let Some(synapses) = self.synapses.get(&parameter) {
            let matrix = [shape[0], shape[1]];
            let settled = synapses.settle(before.reshape(matrix), proposed.reshape(matrix));
            return settled.reshape(shape);
        }
        let bounds = self.bias_ranges.get(&parameter);
        let in_range = |values: Tensor<B, 1>| match bounds {
            Some([low, high]) => values.clamp(*low, *high),
            None => values,
        };
        let next = match self.factors.get(&parameter) {
            Some(factors) => scaled_update(before, proposed, factors.clone(), in_range),
            None => in_range(proposed),
        };
        B::reshaped(next, shape)
    }
}

impl<A: AutodiffBackend> ModuleMapper<A> for Update<A::InnerBackend>
where
    A::InnerBackend: RecurrenceBackend,
{
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<A, D>>) -> Param<Tensor<A, D>> {
        let found = self
            .parameters
            .get(&param.id)
            .and_then(|&p| Some((p, self.proposed.remove(&p)?)));
        let Some((parameter, proposed)) = found else {
            return param;
        };
        param.map(|tensor| {
            let next = self.next(parameter, tensor.inner(), proposed);
            Tensor::from_inner(next).require_grad()
        })
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::{Autodiff, NdArray};
    use ctrnn_model::ParameterSpec;

    use super::*;
    use crate::gradients::Clip;
    use crate::optimizer::config::{AdaGrad, Adam, AdamW, Group, RecurrentGroups, RmsProp, Sgd};

    type Inner = NdArray<f64>;
    type Grad = Autodiff<Inner>;

    fn network() -> CtrnnModule<Grad> {
        CtrnnConfig::new(1, 2, 1)
            .init(3, &Default::default())
            .unwrap()
    }

    fn gradients(network: &CtrnnModule<Grad>, value: f64) -> Gradients<Inner> {
        let one = |spec: ParameterSpec| {
            let len = spec.n_elements();
            (
                spec.parameter,
                host_tensor(
                    TensorData::new(vec![value; len], [len]),
                    &Default::default(),
                ),
            )
        };
        let all = network.config().parameters().into_iter();
        Gradients(all.filter(|spec| spec.is_trained).map(one).collect())
    }

    fn bias(network: &CtrnnModule<Grad>) -> f64 {
        network.weights()["recurrent.bias"]
            .iter::<f64>()
            .next()
            .unwrap()
    }

    /// Returns the bias, initially 1, after updates at rate 0.1 along these gradients.
    fn bias_after(rule: Optimizer, along: &[f64]) -> f64 {
        let mut optimizer = OptimizerState::new(rule);
        let one = TensorData::new(vec![1.0; 2], [2]);
        let name = Parameter::RECURRENT_BIAS.name();
        let start = network().with_weights(&[(name, one)].into()).unwrap();
        let end = along.iter().fold(start, |network, &gradient| {
            let gradients = gradients(&network, gradient);
            optimizer.step(0.1, network, gradients)
        });
        bias(&end)
    }

    /// Ten steps of 0.1 would take the bias from 0 to 1 or -1.
    #[test]
    fn a_bias_stays_within_its_range() {
        let mut config = CtrnnConfig::new(1, 2, 1);
        config.bias.range = Some([-0.25, 0.5]);
        for (gradient, expected) in [(-1.0, 0.5), (1.0, -0.25)] {
            let network = config.init::<Grad>(3, &Default::default()).unwrap();
            let mut optimizer = OptimizerState::new(Optimizer::default());
            let end = (0..10).fold(network, |network, _| {
                let gradients = gradients(&network, gradient);
                optimizer.step(0.1, network, gradients)
            });
            assert_eq!(bias(&end), expected);
        }
        config.bias.range = Some([0.1, 0.5]);
        let network = config.init::<Grad>(3, &Default::default()).unwrap();
        assert_eq!(bias(&network), 0.1);
    }

    fn assert_near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 2e-7, "{found} {expected}");
    }

    /// Several updates in one operation each, by the tensor operations of a backend without one, and by burn, from the same weights along
    /// the same gradients.
    #[test]
    fn adam_in_one_operation_equals_burn_to_the_bit() {
        use burn::optim::SimpleOptimizer;
        use burn::optim::decay::WeightDecayConfig;
        type Single = NdArray<f32>;
        fn wave<B: RecurrenceBackend>(phase: usize) -> Tensor<B, 1> {
            let numbers = (0..37).map(|k| ((k * 7 + phase * 13) as f32).sin() * 0.3);
            let data = TensorData::new(numbers.collect::<Vec<_>>(), [37]);
            host_tensor(data, &Default::default())
        }
        fn own<B: RecurrenceBackend>(weight_decay: f64) -> Vec<Vec<f32>> {
            let (mut value, mut memory) = (wave::<B>(0), None);
            let next = (1..6).map(|update| {
                let due = Due {
                    lr: 0.003,
                    weight_decay,
                    value: value.clone(),
                    gradient: wave(update),
                    memory: memory.take(),
                };
                let next = Optimizer::default().step(vec![due]).remove(0);
                (value, memory) = (next.0, Some(next.1));
                value.to_data().to_vec().unwrap()
            });
            next.collect()
        }
        for decay in [0.0, 0.1] {
            let penalty = (decay > 0.0).then_some(WeightDecayConfig {
                penalty: decay as f32,
            });
            let burn = burn::optim::AdamConfig::new()
                .with_epsilon(Adam::default().eps as f32)
                .with_weight_decay(penalty)
                .build();
            let (mut value, mut state) = (wave::<Single>(0), None);
            let expected: Vec<Vec<f32>> = (1..6)
                .map(|update| {
                    (value, state) = burn.step(0.003, value.clone(), wave(update), state.take());
                    value.to_data().to_vec().unwrap()
                })
                .collect();
            assert_eq!(own::<Single>(decay), expected, "weight decay {decay}");
            let by_tensors = own::<Autodiff<Single>>(decay);
            assert_eq!(by_tensors, expected, "weight decay {decay}");
        }
    }

    /// The first step of Adam is -lr g / (|g| + eps), whatever the size of g. Weight decay 0.5 of the bias 1 only adds
    /// to g.
    #[test]
    fn adam_by_hand() {
        let rule = |weight_decay| {
            Optimizer::Adam(Adam {
                weight_decay,
                ..Adam::default()
            })
        };
        assert_near(
            bias_after(rule(0.0), &[4.0]),
            1.0 - 0.1 * 4.0 / (4.0 + 1e-8),
        );
        assert_near(bias_after(rule(0.5), &[4.0]), 0.9);
        assert_near(bias_after(rule(0.5), &[-0.25]), 0.9); // the sum is 0.25
    }

    /// betas (0, 0.5): moments g and (s + g^2) / 2, corrected by 1 - 0.5^t. g = 2, then 1: s = 2, then 1.5; corrected 4,
    /// then 2: steps 2 / 2 and 1 / sqrt(2). AMSGrad takes the larger s, 2 of 0.75: 1 / sqrt(2 / 0.75).
    #[test]
    fn adam_and_amsgrad_by_hand() {
        let rule = |amsgrad| {
            Optimizer::Adam(Adam {
                betas: [0.0, 0.5],
                amsgrad,
                ..Adam::default()
            })
        };
        let expected = 1.0 - 0.1 - 0.1 / 2.0f64.sqrt();
        assert_near(bias_after(rule(false), &[2.0, 1.0]), expected);
        let expected = 1.0 - 0.1 - 0.1 * (0.75f64 / 2.0).sqrt();
        assert_near(bias_after(rule(true), &[2.0, 1.0]), expected);
    }

    /// Adam's step -0.1 on the decayed bias: 1 - 0.1 * 0.5.
    #[test]
    fn adamw_by_hand() {
        let rule = Optimizer::AdamW(AdamW {
            weight_decay: 0.5,
            ..AdamW::default()
        });
        assert_near(bias_after(rule, &[4.0]), 0.95 - 0.1);
    }

    /// Velocity g, then 0.5 g + g: with g = 2 the steps are lr 2 and lr 3. Nesterov: g + 0.5 u = 3, then 2 + 1.5 = 3.5.
    /// Weight decay 0.5 of the bias 1 makes the first gradient 2.5.
    #[test]
    fn gradient_descent_by_hand() {
        let rule = |momentum, nesterov, weight_decay| {
            Optimizer::Sgd(Sgd {
                momentum,
                nesterov,
                weight_decay,
                ..Sgd::default()
            })
        };
        assert_near(bias_after(rule(0.0, false, 0.0), &[2.0, 2.0]), 0.6);
        assert_near(bias_after(rule(0.5, false, 0.0), &[2.0, 2.0]), 0.5);
        assert_near(bias_after(rule(0.5, true, 0.0), &[2.0, 2.0]), 0.35);
        assert_near(bias_after(rule(0.0, false, 0.5), &[2.0]), 0.75);
    }

    /// decay 0.75: s = 0.25 g^2, so the first step is g / (0.5 g) = 2, and with s = 0.75 * 1 + 0.25 * 4 = 1.75 the second
    /// 2 / sqrt(1.75); momentum 0.5 adds half of the first. Centred: m = 0.5, s - m^2 = 1 - 0.25.
    #[test]
    fn rmsprop_by_hand() {
        let rule = |momentum, centered| {
            Optimizer::RmsProp(RmsProp {
                decay: 0.75,
                momentum,
                centered,
                ..RmsProp::default()
            })
        };
        let second = 2.0 / 1.75f64.sqrt();
        let expected = 1.0 - 0.1 * (2.0 + second);
        assert_near(bias_after(rule(0.0, false), &[2.0, 2.0]), expected);
        let expected = 1.0 - 0.1 * (2.0 + second + 1.0);
        assert_near(bias_after(rule(0.5, false), &[2.0, 2.0]), expected);
        let expected = 1.0 - 0.1 * 2.0 / 0.75f64.sqrt();
        assert_near(bias_after(rule(0.0, true), &[2.0]), expected);
    }

    /// Sums 4, then 4 + 9: steps 2 / 2 and 3 / sqrt(13).
    #[test]
    fn adagrad_by_hand() {
        let rule = Optimizer::AdaGrad(AdaGrad::default());
        let expected = 1.0 - 0.1 - 0.3 / 13.0f64.sqrt();
        assert_near(bias_after(rule, &[2.0, 3.0]), expected);
    }

    /// Plain descent along 1 at rate 0.1; the group's rate is a tenth of the rule's 0.01, and 0 keeps a parameter
    /// fixed.
    #[test]
    fn groups_have_their_own_rates() {
        let groups = Groups {
            recurrent: Some(RecurrentGroups {
                bias: group(Some(0.001), None),
                ..RecurrentGroups::default()
            }),
            initial_state: group(Some(0.0), None),
            ..Groups::default()
        };
        let optimizer = OptimizerState::new(Optimizer::Sgd(Sgd::default()));
        let mut optimizer = optimizer.with_groups(&groups, network().config());
        let after = optimizer.step(0.1, network(), gradients(&network(), 1.0));
        let first = |name: &str| after.weights()[name].iter::<f64>().next().unwrap();
        assert_near(first("recurrent.bias"), -0.01);
        assert_near(first("output.bias"), -0.1);
        assert_eq!(first("initial_state"), 0.0);
    }

    fn group(lr: Option<f64>, weight_decay: Option<f64>) -> Option<Group> {
        Some(Group { lr, weight_decay })
    }

    /// The bias is 1, the gradient 0: Adam does not move, and decoupled decay of 0.5 takes 0.1 * 0.5 = 1/20 of it, 0.2 * 0.5 = 1/10 with
    /// twice the rate. The readout's bias has the decay of the rule, 0. Added to the gradient of plain descent, it takes 1/20, too.
    #[test]
    fn groups_have_their_own_weight_decay() {
        let decayed = |rule: Optimizer, lr: Option<f64>| {
            let ones = ["recurrent.bias", "output.bias"].map(|name| {
                let n = if name == "output.bias" { 1 } else { 2 };
                (name.to_owned(), TensorData::new(vec![1.0; n], [n]))
            });
            let start = network().with_weights(&ones.into()).unwrap();
            let groups = Groups {
                recurrent: Some(RecurrentGroups {
                    bias: group(lr, Some(0.5)),
                    ..RecurrentGroups::default()
                }),
                ..Groups::default()
            };
            let mut optimizer = OptimizerState::new(rule).with_groups(&groups, start.config());
            let gradients = gradients(&start, 0.0);
            let weights = optimizer.step(0.1, start, gradients).weights();
            ["recurrent.bias", "output.bias"]
                .map(|name| weights[name].iter::<f64>().next().unwrap())
        };
        let adamw = Optimizer::AdamW(AdamW {
            weight_decay: 0.0,
            ..AdamW::default()
        });
        let twice = Some(2.0 * adamw.lr());
        for (rule, lr, expected) in [
            (adamw.clone(), None, 0.95),
            (adamw, twice, 0.9),
            (Optimizer::Sgd(Sgd::default()), None, 0.95),
        ] {
            let [bias, of_readout] = decayed(rule, lr);
            assert!(
                (bias - expected).abs() < 1e-7 && of_readout == 1.0,
                "{bias} {of_readout}"
            ); // f32 constants
        }
    }

    /// Returns every rule, with all of its optional state.
    fn rules() -> Vec<Optimizer> {
        vec![
            Optimizer::default(),
            Optimizer::Adam(Adam {
                amsgrad: true,
                weight_decay: 0.1,
                ..Adam::default()
            }),
            Optimizer::AdamW(AdamW::default()),
            Optimizer::AdamW(AdamW {
                amsgrad: true,
                ..AdamW::default()
            }),
            Optimizer::Sgd(Sgd::default()),
            Optimizer::Sgd(Sgd {
                momentum: 0.9,
                nesterov: true,
                ..Sgd::default()
            }),
            Optimizer::RmsProp(RmsProp::default()),
            Optimizer::RmsProp(RmsProp {
                momentum: 0.9,
                centered: true,
                ..RmsProp::default()
            }),
            Optimizer::AdaGrad(AdaGrad::default()),
        ]
    }

    #[test]
    fn a_restored_optimizer_goes_on_as_if_nothing_had_happened() {
        for rule in rules() {
            let mut optimizer = OptimizerState::<Inner>::new(rule.clone());
            let once = optimizer.step(0.1, network(), gradients(&network(), 2.0));
            let config = once.config().clone();
            let restored =
                OptimizerState::restore(rule, &optimizer.state(), &config, &Default::default());
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
        let restore = |state: &BTreeMap<String, TensorData>, rule: Optimizer, n: usize| {
            let sizes = CtrnnConfig::new(1, n, 1);
            OptimizerState::<Inner>::restore(rule, state, &sizes, &Default::default())
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
        // 2 input weights, 4 recurrent, 2 biases, 2 output weights, 1 output bias, 2 of the initial state: 13 entries of 2.
        let gradients = gradients(&network(), 2.0);
        let norm = gradients.global_norm();
        let expected = (13.0f64 * 4.0).sqrt();
        assert!((norm.clone().into_scalar() - expected).abs() < 1e-12);
        let clip = |to: Clip| gradients.clone().clipped(&norm, to);
        let clipped = clip(Clip::GlobalNorm(1.0)).global_norm().into_scalar();
        assert!((clipped - 1.0).abs() < 1e-12, "{clipped}");
        let first = |g: &Gradients<Inner>| g.0[&Parameter::RECURRENT_WEIGHT].to_data();
        for within in [
            Clip::GlobalNorm(49.0),
            Clip::TensorNorm(4.0),
            Clip::Value(2.0),
        ] {
            assert_eq!(first(&clip(within)), first(&gradients));
        }
    }

    /// Entries of 2: the 4 recurrent weights have norm 4 and go to 1.5 each at norm 3; the output bias has norm 2 and stays.
    /// By value, all entries go to 0.5 with their sign.
    #[test]
    fn clipping_by_tensor_and_by_value_by_hand() {
        let gradients = gradients(&network(), -2.0);
        let norm = gradients.global_norm();
        let first = |g: &Gradients<Inner>, p: Parameter| g.0[&p].to_data().iter::<f64>().next();
        let by_tensor = gradients.clone().clipped(&norm, Clip::TensorNorm(3.0));
        assert_eq!(first(&by_tensor, Parameter::RECURRENT_WEIGHT), Some(-1.5));
        assert_eq!(first(&by_tensor, Parameter::OUTPUT_BIAS), Some(-2.0));
        let by_value = gradients.clipped(&norm, Clip::Value(0.5));
        assert_eq!(first(&by_value, Parameter::OUTPUT_BIAS), Some(-0.5));
    }
}
