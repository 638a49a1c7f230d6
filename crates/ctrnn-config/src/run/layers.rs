//! The layers of a stack: `[[model.layer]]` as written, and the network that they are.

use std::path::PathBuf;

use ctrnn_model::{CtrnnConfig, InputPath, PreactivationNoise};

use super::Check;
use crate::diagnostic::{Code, Diagnostic};
use crate::run_config::RunConfig;

const LAYERS: &str = "model.layer";

impl Check<'_> {
    /// Returns the configuration with the layers that were read as one network, and reports keys that lie at the wrong place.
    pub(super) fn with_layers(&mut self, mut config: RunConfig) -> RunConfig {
        let layers = std::mem::take(&mut config.model.below);
        if layers.is_empty() {
            return config;
        }
        self.check_keys_of_stack();
        for number in 0..layers.len() {
            let key = format!("{LAYERS}[{number}].init.file");
            if self.document.get(&key).is_some() {
                let message = format!("{key} names the weights of one layer");
                let problem = Diagnostic::new(Code::UnknownKey, message)
                    .help("a weight file holds all layers: model.init.file");
                self.report(problem, &[(&key, "")]);
            }
        }
        let file = config.model.init.file.take();
        config.model = CtrnnConfig::stacked(layers);
        config.model.init.file = file;
        config
    }

    /// Reports keys of single layers in the table of the stack.
    fn check_keys_of_stack(&mut self) {
        let Some(model) = self.document.get("model") else {
            return;
        };
        let own = model.entries().filter(|(key, _)| *key != "layer");
        let keys = own.flat_map(|(key, node)| match key.as_str() {
            "init" => {
                let inner = node
                    .entries()
                    .map(|(inner, _)| format!("model.init.{inner}"));
                inner.filter(|key| key != "model.init.file").collect()
            }
            key => vec![format!("model.{key}")],
        });
        for key in keys.collect::<Vec<_>>() {
            let message = format!("{key} is given together with {LAYERS}");
            let problem = Diagnostic::new(Code::UnknownKey, message).help(format!(
                "give it in each layer: [[{LAYERS}]]; of the keys of [model], a stack has init.file alone"
            ));
            self.report(problem, &[(&key, ""), (LAYERS, "the layers")]);
        }
    }
}

/// Returns the files that the layers of a network name, besides that of initial weights.
pub(super) fn files(model: &CtrnnConfig) -> impl Iterator<Item = PathBuf> {
    let of_layer = |layer: &CtrnnConfig| {
        let covariance = match &layer.noise.preactivation {
            PreactivationNoise::CovarianceFile { covariance } => Some(covariance.0.clone()),
            _ => None,
        };
        let connectivity = layer.connectivity.file.as_ref();
        covariance
            .into_iter()
            .chain(connectivity.map(|file| file.0.clone()))
    };
    model.layers().flat_map(of_layer)
}

/// Calls a function for each path of a file that a network names.
pub(super) fn change_files(model: &mut CtrnnConfig, mut change: impl FnMut(&mut InputPath)) {
    *model = std::mem::take(model).map_layers(|mut layer| {
        let covariance = match &mut layer.noise.preactivation {
            PreactivationNoise::CovarianceFile { covariance } => Some(covariance),
            _ => None,
        };
        let files = [
            layer.init.file.as_mut(),
            layer.connectivity.file.as_mut(),
            covariance,
        ];
        files.into_iter().flatten().for_each(&mut change);
        layer
    });
}
