//! Values of parameters.

use std::collections::{BTreeMap, HashMap};

use burn::module::{AutodiffModule, Module, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use ctrnn_model::{CtrnnModule, Parameter};

/// Numbers of each parameter, flat.
pub(crate) type Values<B> = BTreeMap<Parameter, Tensor<B, 1>>;

/// Returns the values of the trained parameters of a network.
pub(crate) fn values_of<A: AutodiffBackend>(network: &CtrnnModule<A>) -> Values<A::InnerBackend> {
    struct Collect<B: Backend> {
        parameters: HashMap<ParamId, Parameter>,
        found: Values<B>,
    }
    impl<B: Backend> ModuleVisitor<B> for Collect<B> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            let value = param.val();
            let length = value.shape().num_elements();
            if let Some(&parameter) = self.parameters.get(&param.id).filter(|_| length > 0) {
                self.found.insert(parameter, value.reshape([length])); // burn reads a 0 here as "keep"
            }
        }
    }
    let mut collect = Collect {
        parameters: network.config().parameters_by_id(),
        found: Values::new(),
    };
    network.valid().visit(&mut collect);
    collect.found
}
