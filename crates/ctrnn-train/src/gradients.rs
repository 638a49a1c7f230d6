//! Gradients by parameter, their global norm, and gradient clipping.

use std::collections::{BTreeMap, HashMap};

use burn::module::{AutodiffModule, ModuleVisitor, Param, ParamId};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData};
use ctrnn_model::{
    CtrnnModule, FusedOps, Matrix, Parameter, RecurrenceBackend, host_tensor, plastic_gradient,
};

use crate::divergence::Culprit;

/// Gradient of each trained parameter, flat, in the order of [`Parameter`].
///
/// This is the interface between learning rules and the optimizer, which does not depend on how the gradients were
/// found.
#[derive(Clone, Debug)]
pub struct Gradients<B: Backend>(pub BTreeMap<Parameter, Tensor<B, 1>>);

impl<B: Backend> Gradients<B> {
    /// Collects the gradients of the parameters of `network` from backpropagation, without frozen parameters; zero for
    /// synapses and units whose plasticity is zero.
    pub fn of<A>(network: &CtrnnModule<A>, mut grads: A::Gradients) -> Self
    where
        A: AutodiffBackend<InnerBackend = B>,
        B: RecurrenceBackend,
    {
        let mut collect = Collect::<A> {
            parameters: network.config().parameters_by_id(),
            grads: &mut grads,
            found: BTreeMap::new(),
        };
        burn::module::Module::visit(network, &mut collect);
        let mut found = collect.found;
        found.retain(|&parameter, _| !network.config().is_frozen(parameter));
        let plastic = |(parameter, gradient): (Parameter, Tensor<B, 1>)| {
            let layer = network.layer_of(parameter);
            let gradient = match Matrix::of(parameter) {
                Some(matrix) if layer.synapses(matrix).has_plasticity() => {
                    let by_synapse = gradient.reshape(matrix.shape(layer.config()));
                    let synapses = layer.synapses(matrix).valid();
                    synapses.plastic_gradient(by_synapse).flatten(0, 1)
                }
                _ => gradient,
            };
            let gradient = match network.config().update_factors(parameter) {
                None => gradient,
                Some(factors) => {
                    let factors = flat(factors, &gradient.device());
                    plastic_gradient(gradient, factors)
                }
            };
            (parameter, gradient)
        };
        Self(found.into_iter().map(plastic).collect())
    }

    /// Returns the sums of two gradients. A parameter on which a loss does not depend has none.
    #[must_use]
    pub fn plus(mut self, other: Self) -> Self {
        for (parameter, gradient) in other.0 {
            let sum = match self.0.remove(&parameter) {
                Some(own) => own + gradient,
                None => gradient,
            };
            self.0.insert(parameter, sum);
        }
        self
    }

    /// Returns the gradients of penalties without their component against the gradient `task`: `g - (g . t / |t|^2) t` if `g . t < 0`,
    /// over all parameters together; otherwise the gradients as they are. Nothing is read to the host.
    ///
    /// # References
    /// Yu et al. (2020), Gradient surgery for multi-task learning, algorithm 1, which does the same to the task's gradient.
    #[must_use]
    pub(crate) fn without_opposition(self, task: &Self) -> Self
    where
        B: RecurrenceBackend,
    {
        let products = self.0.iter().filter_map(|(parameter, own)| {
            let task = task.0.get(parameter)?;
            Some((own.clone() * task.clone()).sum())
        });
        let Some(product) = products.reduce(|sum, own| sum + own) else {
            return self; // they have no parameter in common
        };
        let all: Vec<_> = task.0.values().collect();
        // A gradient of 0 is not opposed: the bound keeps its quotient at 0.
        let size = B::sum_of_squares(&all).clamp_min(f64::from(f32::MIN_POSITIVE));
        let share = product.clamp_max(0.0).neg() / size;
        let along = task.0.iter();
        let along = along.map(|(parameter, task)| (*parameter, task.clone() * share.clone()));
        self.plus(Self(along.collect()))
    }

    /// Returns the norm over all parameters together, `[1]`, on the device; 0 if everything is frozen.
    pub fn global_norm(&self) -> Tensor<B, 1>
    where
        B: RecurrenceBackend,
    {
        let all: Vec<_> = self.0.values().collect();
        match all.as_slice() {
            [] => host_tensor(TensorData::new(vec![0.0], [1]), &B::Device::default()),
            all => B::norm(all),
        }
    }

    /// Returns the clipped gradients; `norm` is [`Gradients::global_norm`]. Nothing is read to the host.
    #[must_use]
    pub fn clipped(self, norm: &Tensor<B, 1>, clip: Clip) -> Self
    where
        B: RecurrenceBackend,
    {
        let all = self.0.into_iter();
        Self(match clip {
            Clip::GlobalNorm(max) => {
                let (parameters, gradients): (Vec<_>, Vec<_>) = all.unzip();
                let clipped = B::clipped(gradients, norm, max);
                parameters.into_iter().zip(clipped).collect()
            }
            Clip::TensorNorm(max) => {
                let one_by_one = all.flat_map(|(parameter, gradient)| {
                    let norm = B::norm(&[&gradient]);
                    std::iter::once(parameter).zip(B::clipped(vec![gradient], &norm, max))
                });
                one_by_one.collect()
            }
            Clip::Value(max) => all.map(|(p, g)| (p, g.clamp(-max, max))).collect(),
        })
    }

    /// Finds the cause of a global norm that is not finite.
    pub(crate) fn first_not_finite(&self) -> Culprit {
        let is_finite =
            |gradient: &Tensor<B, 1>| gradient.to_data().iter::<f64>().all(f64::is_finite);
        match self.0.iter().find(|(_, gradient)| !is_finite(gradient)) {
            Some((parameter, _)) => Culprit::Gradient(parameter.name()),
            None => Culprit::GradientNorm,
        }
    }
}

/// Gradient clipping.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clip {
    /// Upper bound of the norm over all parameters together; larger gradients are scaled down to it.
    GlobalNorm(f64),
    /// Upper bound of the norm of each parameter's gradient; larger ones are scaled down to it.
    TensorNorm(f64),
    /// Upper bound of the absolute value of each entry.
    Value(f64),
}

/// Returns host values as a flat tensor.
pub(crate) fn flat<B: Backend>(values: Vec<f64>, device: &B::Device) -> Tensor<B, 1> {
    let len = values.len();
    host_tensor(TensorData::new(values, [len]), device)
}

struct Collect<'a, A: AutodiffBackend> {
    parameters: HashMap<ParamId, Parameter>,
    grads: &'a mut A::Gradients,
    found: BTreeMap<Parameter, Tensor<A::InnerBackend, 1>>,
}

impl<A: AutodiffBackend<InnerBackend: FusedOps>> ModuleVisitor<A> for Collect<'_, A> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<A, D>>) {
        let gradient = param.val().grad_remove(self.grads);
        if let (Some(parameter), Some(gradient)) = (self.parameters.get(&param.id), gradient) {
            let length = gradient.shape().num_elements();
            // burn reads a 0 in a shape as "keep".
            if length > 0 {
                let flat = A::InnerBackend::reshaped(gradient, [length]);
                self.found.insert(*parameter, flat);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::NdArray;

    use super::*;

    type F64 = NdArray<f64>;

    fn gradients(all: &[(Parameter, &[f64])]) -> Gradients<F64> {
        let flat = |values: &[f64]| flat(values.to_vec(), &Default::default());
        Gradients(all.iter().map(|(p, values)| (*p, flat(values))).collect())
    }

    #[track_caller]
    fn assert_projected(own: &[(Parameter, &[f64])], expected: &[(Parameter, &[f64])]) {
        let task = gradients(&[(A, &[1.0, 2.0]), (B, &[2.0])]);
        let found = gradients(own).without_opposition(&task).0;
        let expected = gradients(expected).0;
        assert!(found.keys().eq(expected.keys()));
        for (parameter, expected) in expected {
            let pairs = found[&parameter]
                .to_data()
                .iter::<f64>()
                .zip(expected.to_data().iter::<f64>())
                .collect::<Vec<_>>();
            assert!(
                pairs.iter().all(|(a, b)| (a - b).abs() < 1e-15),
                "{pairs:?}"
            );
        }
    }

    const A: Parameter = Parameter::RECURRENT_BIAS;
    const B: Parameter = Parameter::OUTPUT_BIAS;
    const C: Parameter = Parameter::RECURRENT_WEIGHT;

    /// The task is t = (1, 2 | 2), |t|^2 = 9. Against it (-3, 0 | 1) is -1, so a ninth of t is added, which leaves
    /// -3 + 1/9 + 4/9 + 2 + 4/9 = 0; (-3, 0 | 2) is 1 along it and stays. A parameter that one of the two lacks counts as 0.
    #[test]
    fn the_component_against_a_task_by_hand() {
        assert_projected(
            &[(A, &[-3.0, 0.0]), (B, &[1.0])],
            &[(A, &[-3.0 + 1.0 / 9.0, 2.0 / 9.0]), (B, &[1.0 + 2.0 / 9.0])],
        );
        let along: &[(Parameter, &[f64])] = &[(A, &[-3.0, 0.0]), (B, &[2.0])];
        assert_projected(along, along);
        assert_projected(
            &[(A, &[-9.0, 0.0]), (C, &[5.0])],
            &[(A, &[-8.0, 2.0]), (B, &[2.0]), (C, &[5.0])],
        );
        assert_projected(&[(C, &[5.0])], &[(C, &[5.0])]);
    }

    #[test]
    fn a_task_without_a_gradient_is_not_opposed() {
        let task = gradients(&[(A, &[0.0, 0.0])]);
        let found = gradients(&[(A, &[-3.0, 1.0])]).without_opposition(&task);
        assert_eq!(
            found.0[&A].to_data().iter::<f64>().collect::<Vec<_>>(),
            [-3.0, 1.0]
        );
    }
}
