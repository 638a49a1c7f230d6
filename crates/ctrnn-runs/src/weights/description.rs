//! Description of a network for readers of its weights, as `model.json` and the exported PyTorch module hold it.

use ctrnn_model::{CtrnnConfig, InitialState};
use serde_json::{Value, json};

/// Returns the table `[model]` with every value, and what the task, `[time]` and `[train]` decide: sizes, time step, integrator, frozen
/// parameters; and the
/// names to which the numbers in `unit.area` and `unit.type` belong.
pub(crate) fn description(config: &CtrnnConfig) -> Value {
    let mut model = serde_json::to_value(config).expect("a configuration is plain data");
    let mut put = |key: &str, value: Value| model[key] = value;
    put("n_inputs", config.n_inputs.into());
    put("n_outputs", config.n_outputs.into());
    put("dt_ms", config.dt_ms.into());
    put("integrator", json!(config.integrator));
    put("frozen", json!(config.frozen));
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
    }
}
