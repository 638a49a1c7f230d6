//! The layers of a stack: `[[model.layer]]` as written, and the network that they are.

use ctrnn_model::CtrnnConfig;

use super::check::Check;
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ctrnn_model::Activation;

    use super::*;
    use crate::{ConfigErrors, Run};

    const STACK: &str = "[task.go_nogo]\n[[model.layer]]\nn_units = 8\nactivation = \"tanh\"\ntau_ms = 50\n[[model.layer]]\nn_units = 6\ndale = {}\nnoise.preactivation = 0.1\n";

    fn read(text: &str, overrides: &[&str]) -> Result<Run, ConfigErrors> {
        let overrides: Vec<String> = overrides.iter().map(|o| (*o).to_owned()).collect();
        let registry = ctrnn_runs::registry();
        RunConfig::from_text(text, "stack.toml", Path::new("/"), &overrides, &registry)
    }

    fn refused(text: &str, overrides: &[&str]) -> String {
        read(text, overrides).unwrap_err().to_string()
    }

    #[test]
    fn layers_are_read_and_written() {
        let run = read(STACK, &["model.init.file=/a/weights.npz"]).unwrap();
        let model = &run.model;
        let sizes: Vec<_> = (model.layers())
            .map(|layer| [layer.n_inputs, layer.n_units, layer.n_outputs])
            .collect();
        assert_eq!(sizes, [[3, 8, 0], [8, 6, 2]]);
        assert_eq!(model.below[0].activation, Activation::Tanh);
        assert_eq!(run.init_file, Some("/a/weights.npz".into()));
        model.check().unwrap();
        let resolved = run.resolved_toml();
        let again = read(&resolved, &[]).unwrap();
        assert_eq!(again.model, run.model);
        assert_eq!(again.resolved_toml(), resolved);
        assert!(
            resolved.contains(
                "[model.init]\nfile = \"/a/weights.npz\"\n\n[[model.layer]]\nn_units = 8\n"
            )
        );
        // The last layer has Dale's law, so its balance and radius are written out, and those of the first are not.
        assert_eq!(resolved.matches("spectral_radius = 1.0").count(), 1);
    }

    /// A list of one layer is the network that the same keys in `[model]` describe.
    #[test]
    fn one_layer_is_a_network() {
        let listed = read("[task.go_nogo]\n[[model.layer]]\nn_units = 8", &[]).unwrap();
        let plain = read("[task.go_nogo]\n[model]\nn_units = 8", &[]).unwrap();
        assert_eq!(listed.model, plain.model);
        assert_eq!(listed.resolved_toml(), plain.resolved_toml());
    }

    #[test]
    fn keys_at_the_wrong_place_are_shown_there() {
        let beside = STACK.replace(
            "[[model.layer]]\nn_units = 8",
            "[model]\nn_units = 8\ninit.input = \"zero\"\n[[model.layer]]\nn_units = 8",
        );
        insta::assert_snapshot!(refused(&beside, &[]));
        insta::assert_snapshot!(refused(STACK, &["model.tau_ms=20"]));
        let readout = STACK.replace(
            "tau_ms = 50",
            "tau_ms = 50\noutput_nonlinearity = \"sigmoid\"\ninit.file = \"a.npz\"",
        );
        insta::assert_snapshot!(refused(&readout, &[]));
    }

    #[test]
    fn broken_rules_are_shown_in_their_layer() {
        let tanh = STACK.replace("dale = {}", "dale = {}\nactivation = \"tanh\"");
        insta::assert_snapshot!(refused(&tanh, &[]));
        let areas = STACK.replace("dale = {}", "dale = {}\nareas = { a = { units = 6 } }");
        let told = refused(&areas, &[]);
        assert!(told.contains("unknown key model.layer[1].areas"), "{told}");
        assert!(
            told.contains("a network has areas or several layers"),
            "{told}"
        );
        let frozen = format!("{STACK}[train]\nfreeze = [\"layers.2.recurrent\"]");
        insta::assert_snapshot!(refused(&frozen, &[]));
        let softmax = STACK.replace("dale = {}", "dale = {}\noutput_nonlinearity = \"softmax\"");
        let softmax = format!("{softmax}[train.loss]\nname = \"mse\"");
        read(&softmax, &[]).unwrap();
    }

    #[test]
    fn learning_rates_of_a_role_are_those_of_all_layers() {
        let groups = format!(
            "{STACK}[train]\ngroups.recurrent.weight.lr = 1e-4\nfreeze = [\"layers.1.input\"]"
        );
        let run = read(&groups, &[]).unwrap();
        let rates = run.config.train.groups.rates(&run.model);
        let names: Vec<String> = rates.keys().map(|p| p.name()).collect();
        assert_eq!(names, ["recurrent.weight", "layers.1.recurrent.weight"]);
        assert_eq!(run.unused_keys(), Vec::<String>::new());
        let none = refused(&format!("{STACK}[train]\ngroups.tau_raw.lr = 1e-4"), &[]);
        assert!(none.contains("tau_raw is not trained"), "{none}");
    }
}
