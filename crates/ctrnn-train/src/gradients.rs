//! Gradients by parameter, and their global norm.

use std::collections::BTreeMap;

use burn::module::{ModuleVisitor, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use ctrnn_model::{CtrnnModule, Parameter};

use crate::divergence::Culprit;

/// The gradient of each trained parameter, flat, in the order of [`Parameter`].
///
/// Any learning rule ends here; the optimizer does not ask how they were found.
#[derive(Clone, Debug)]
pub struct Gradients<B: Backend>(pub BTreeMap<Parameter, Tensor<B, 1>>);

impl<B: Backend> Gradients<B> {
    /// What backpropagation left for the parameters of `network`.
    pub fn of<A>(network: &CtrnnModule<A>, mut grads: A::Gradients) -> Self
    where
        A: AutodiffBackend<InnerBackend = B>,
    {
        let mut collect = Collect::<A> {
            grads: &mut grads,
            found: BTreeMap::new(),
        };
        burn::module::Module::visit(network, &mut collect);
        Self(collect.found)
    }

    /// The norm over all parameters together, `[1]`, still on the device.
    ///
    /// # Panics
    /// If there is no gradient at all.
    pub fn global_norm(&self) -> Tensor<B, 1> {
        let sums = self.0.values().map(|g| g.clone().square().sum());
        sums.reduce(|a, b| a + b)
            .expect("a network has trained parameters")
            .sqrt()
    }

    /// Scales all gradients by `max_norm / max(norm, max_norm)`, without reading `norm` to the host: a norm within the
    /// bound leaves every bit as it is.
    #[must_use]
    pub fn clipped(self, norm: &Tensor<B, 1>, max_norm: f64) -> Self {
        let larger = norm.clone().clamp_min(max_norm);
        let factor = larger.clone().clamp_max(max_norm) / larger; // exactly 1 within the bound
        Self(
            self.0
                .into_iter()
                .map(|(p, g)| (p, g * factor.clone()))
                .collect(),
        )
    }

    /// What is behind a global norm that is not finite.
    pub(crate) fn first_not_finite(&self) -> Culprit {
        let is_finite =
            |gradient: &Tensor<B, 1>| gradient.to_data().iter::<f64>().all(f64::is_finite);
        match self.0.iter().find(|(_, gradient)| !is_finite(gradient)) {
            Some((parameter, _)) => Culprit::Gradient(parameter.name().to_owned()),
            None => Culprit::GradientNorm,
        }
    }
}

struct Collect<'a, A: AutodiffBackend> {
    grads: &'a mut A::Gradients,
    found: BTreeMap<Parameter, Tensor<A::InnerBackend, 1>>,
}

impl<A: AutodiffBackend> ModuleVisitor<A> for Collect<'_, A> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<A, D>>) {
        let gradient = param.val().grad_remove(self.grads);
        if let (Some(parameter), Some(gradient)) = (Parameter::from_id(param.id), gradient) {
            let length = gradient.shape().num_elements();
            if length > 0 {
                self.found.insert(parameter, gradient.reshape([length])); // burn reads a 0 here as "keep"
            }
        }
    }
}
