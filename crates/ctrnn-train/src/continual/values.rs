//! Values of parameters.

use std::collections::{BTreeMap, HashMap};

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use ctrnn_model::{CtrnnModule, FusedOps, Parameter};

/// Numbers of each parameter, flat.
pub(crate) type Values<B> = BTreeMap<Parameter, Tensor<B, 1>>;

/// Returns the values of the trained parameters of a network.
pub(crate) fn values_of<A>(network: &CtrnnModule<A>) -> Values<A::InnerBackend>
where
    A: AutodiffBackend<InnerBackend: FusedOps>,
{
    struct Collect<A: AutodiffBackend> {
        parameters: HashMap<ParamId, Parameter>,
        found: Values<A::InnerBackend>,
    }
    impl<A: AutodiffBackend<InnerBackend: FusedOps>> ModuleVisitor<A> for Collect<A> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<A, D>>) {
            let value = param.val().inner();
            let length = value.shape().num_elements();
            // burn reads a 0 in a shape as "keep".
            if let Some(&parameter) = self.parameters.get(&param.id).filter(|_| length > 0) {
                let flat = A::InnerBackend::reshaped(value, [length]);
                self.found.insert(parameter, flat);
            }
        }
    }
    let mut collect = Collect::<A> {
        parameters: network.config().parameters_by_id(),
        found: Values::new(),
    };
    network.visit(&mut collect);
    collect.found
}
