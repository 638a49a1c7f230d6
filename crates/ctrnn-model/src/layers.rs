//! The layers below the last one, as a part of its burn module.
//!
//! burn derives records of modules that hold others, but not of modules that hold some of their own type.

use burn::module::{
    AutodiffModule, Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper,
    ModuleVisitor, Param,
};
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};

/// Layers below the last one, from the inputs up.
#[derive(Clone, Debug)]
pub(crate) struct Layers<M>(pub Vec<M>);

/// Collects the parameters as vectors, in the order of a visit.
struct Flatten<B: Backend>(Vec<Param<Tensor<B, 1>>>);

impl<B: Backend> ModuleVisitor<B> for Flatten<B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let (size, value) = (param.shape().num_elements(), param.val());
        if size > 0 {
            let flat = Param::initialized(param.id, value.reshape([size]));
            self.0.push(flat);
        }
    }
}

/// Replaces parameters by vectors, in the order of a visit.
struct Restore<B: Backend>(std::vec::IntoIter<Param<Tensor<B, 1>>>);

impl<B: Backend> ModuleMapper<B> for Restore<B> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let shape = param.shape();
        if shape.num_elements() == 0 {
            return param;
        }
        let (own, value, mapper) = param.consume();
        match self.0.next() {
            Some(flat) => {
                let restored = flat.val().reshape(shape).detach();
                let restored = restored.set_require_grad(value.is_require_grad());
                Param::from_mapped_value(flat.id, restored, mapper)
            }
            None => Param::from_mapped_value(own, value, mapper),
        }
    }
}

impl<B: Backend, M: Module<B>> Module<B> for Layers<M> {
    type Record = Vec<Param<Tensor<B, 1>>>;

    fn collect_devices(&self, devices: Devices<B>) -> Devices<B> {
        let all = self.0.iter();
        all.fold(devices, |devices, layer| layer.collect_devices(devices))
    }

    fn fork(self, device: &B::Device) -> Self {
        Self(self.0.into_iter().map(|layer| layer.fork(device)).collect())
    }

    fn to_device(self, device: &B::Device) -> Self {
        let all = self.0.into_iter();
        Self(all.map(|layer| layer.to_device(device)).collect())
    }

    fn visit<V: ModuleVisitor<B>>(&self, visitor: &mut V) {
        self.0.iter().for_each(|layer| layer.visit(visitor));
    }

    fn map<Mapper: ModuleMapper<B>>(self, mapper: &mut Mapper) -> Self {
        Self(self.0.into_iter().map(|layer| layer.map(mapper)).collect())
    }

    fn into_record(self) -> Self::Record {
        let mut flat = Flatten(Vec::new());
        self.visit(&mut flat);
        flat.0
    }

    fn load_record(self, record: Self::Record) -> Self {
        self.map(&mut Restore(record.into_iter()))
    }
}

impl<B: AutodiffBackend, M: AutodiffModule<B>> AutodiffModule<B> for Layers<M> {
    type InnerModule = Layers<M::InnerModule>;

    fn valid(&self) -> Self::InnerModule {
        Layers(self.0.iter().map(AutodiffModule::valid).collect())
    }

    fn from_inner(module: Self::InnerModule) -> Self {
        let all = module.0.into_iter();
        Self(all.map(AutodiffModule::from_inner).collect())
    }
}

impl<M: ModuleDisplay> ModuleDisplayDefault for Layers<M> {
    fn content(&self, content: Content) -> Option<Content> {
        let all = self.0.iter().enumerate();
        let content = all.fold(content, |content, (number, layer)| {
            content.add(&number.to_string(), layer)
        });
        content.optional()
    }
}

impl<M: ModuleDisplay> ModuleDisplay for Layers<M> {}
