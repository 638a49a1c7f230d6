//! Description of a network for readers of its weights, as `model.json` and the exported PyTorch module hold it.

use ctrnn_model::{CtrnnConfig, InitialState, Synapse};
use serde_json::{Value, json};

/// Returns the table `[model]` with every value, and what the task, `[time]` and `[train]` decide: sizes, time step, integrator, frozen
/// parameters. With short-term plasticity `synapses` holds its constants for each unit; with areas there are the names to which the
/// numbers in `unit.area` and `unit.type` belong. For a stack it is what holds for the whole network, and `layers`, the description of
/// each layer from the inputs up.
pub(crate) fn description(config: &CtrnnConfig) -> Value {
    if config.below.is_empty() {
        return of_layer(config);
    }
    json!({
        "n_inputs": config.first_layer().n_inputs,
        "n_outputs": config.n_outputs,
        "dt_ms": config.dt_ms,
        "integrator": config.integrator,
        "frozen": config.frozen,
        "layers": config.layers().map(of_layer).collect::<Vec<_>>(),
    })
}

fn of_layer(config: &CtrnnConfig) -> Value {
    let mut model = serde_json::to_value(config).expect("a configuration is plain data");
    let mut put = |key: &str, value: Value| model[key] = value;
    put("n_inputs", config.n_inputs.into());
    put("n_outputs", config.n_outputs.into());
    put("dt_ms", config.dt_ms.into());
    put("integrator", json!(config.integrator));
    put("frozen", json!(config.frozen));
    if let Some(synapses) = config.unit_synapses() {
        let list = |of: fn(&Synapse) -> f64| -> Vec<f64> { synapses.iter().map(of).collect() };
        let constants = json!({
            "U": list(|synapse| synapse.baseline),
            "tau_u_ms": list(|synapse| synapse.tau_u_ms),
            "tau_x_ms": list(|synapse| synapse.tau_x_ms),
        });
        put("synapses", constants);
    }
    if !config.areas.is_empty() {
        put(
            "area_names",
            json!(config.areas.names().collect::<Vec<_>>()),
        );
        put("cell_type_names", json!(config.type_names()));
    }
    if config.initial_state == InitialState::LearnedPerCondition {
        put("n_conditions", config.n_conditions.into());
    }
    model
}

#[cfg(test)]
mod tests {
    use ctrnn_model::ShortTermPlasticity;

    use super::*;

    /// `ctrnn_io` and the exported module read these.
    #[test]
    fn a_network_can_be_run_from_its_description() {
        let model = description(&CtrnnConfig::new(3, 8, 2));
        let sizes = ["n_inputs", "n_units", "n_outputs"].map(|key| model[key].as_u64());
        assert_eq!(sizes, [Some(3), Some(8), Some(2)]);
        assert_eq!(model["dt_ms"], 20.0);
        assert_eq!(model["integrator"], "euler");
        for key in [
            "form",
            "activation",
            "output_nonlinearity",
            "tau_ms",
            "noise",
            "input",
        ] {
            assert!(!model[key].is_null(), "{key}");
        }
        assert!(model["synapses"].is_null());
    }

    #[test]
    fn a_stack_is_described_layer_by_layer() {
        let layers = vec![CtrnnConfig::new(3, 8, 0), CtrnnConfig::new(0, 4, 2)];
        let model = description(&CtrnnConfig::stacked(layers));
        assert_eq!([&model["n_inputs"], &model["n_outputs"]], [3, 2]);
        let sizes = [0, 1].map(|k| {
            let layer = &model["layers"][k];
            ["n_inputs", "n_units", "n_outputs"].map(|key| layer[key].as_u64().unwrap())
        });
        assert_eq!(sizes, [[3, 8, 0], [8, 4, 2]]);
        assert!(model["activation"].is_null());
    }

    #[test]
    fn plastic_synapses_are_described_unit_by_unit() {
        let model = description(&CtrnnConfig {
            short_term_plasticity: Some(ShortTermPlasticity::Half),
            ..CtrnnConfig::new(3, 2, 2)
        });
        let expected =
            json!({ "U": [0.15, 0.45], "tau_u_ms": [1500.0, 200.0], "tau_x_ms": [200.0, 1500.0] });
        assert_eq!(model["synapses"], expected);
        assert_eq!(model["short_term_plasticity"], "half");
    }
}
