//! Areas and projections of the network: their order, their sizes, and their inputs and outputs.

use ctrnn_model::{CtrnnConfig, Named};
use ctrnn_tasks::Layout;

use super::Run;
use super::check::Check;
use crate::run_config::RunConfig;

impl Run {
    /// Describes inputs that reach no unit, and units that reach neither other units nor the readout.
    pub fn unconnected(&self) -> Vec<String> {
        let names = self.task.layout().inputs;
        let inputs = self.model.unheard_inputs().into_iter();
        let inputs: Vec<&str> = inputs.map(|input| names[input].as_str()).collect();
        let units = self.model.unheard_units();
        let mut notes = Vec::new();
        if !inputs.is_empty() {
            notes.push(format!("no unit receives the input {}", inputs.join(", ")));
        }
        if let Some(first) = units.first() {
            let which = match units.len() {
                1 => format!("unit {first} has"),
                n => format!("{n} units, the first of them unit {first}, have"),
            };
            notes.push(format!(
                "{which} no outgoing connections, and so no effect on other units or the readout"
            ));
        }
        notes
    }
}

impl Check<'_> {
    /// Puts areas, cell types and projections in the order of the text, which a TOML table does not keep, and fills in the
    /// number of units.
    pub(super) fn with_areas_in_order(&self, mut config: RunConfig) -> RunConfig {
        let place = |index: Option<usize>, path: String| {
            let key = self.document.get(&path).map(|node| &node.key);
            let key = key.map(|key| (key.source.order, key.span.start));
            (index.unwrap_or(usize::MAX), key)
        };
        let model = &mut config.model;
        model
            .areas
            .sort_by_key(|name, area| place(area.index, format!("model.areas.{name}")));
        for (number, (area, own)) in model.areas.iter_mut().enumerate() {
            own.index = Some(number);
            let path = |name: &str| format!("model.areas.{area}.types.{name}");
            own.types
                .sort_by_key(|name, own| place(own.index, path(name)));
            let types = own.types.iter_mut().enumerate();
            types.for_each(|(number, (_, own))| own.index = Some(number));
        }
        if !model.areas.is_empty() && self.document.get("model.n_units").is_none() {
            model.n_units = model.units_of_areas();
        }
        config
    }

    /// Adds what follows from areas and projections to the network; one whose areas are broken gets none, so that the other
    /// rules can be checked.
    pub(super) fn with_areas(&mut self, mut network: CtrnnConfig) -> CtrnnConfig {
        let violations = network.violations_of_areas();
        if violations.is_empty() && self.is_sound(&["model.areas", "model.projections"]) {
            return network.with_areas();
        }
        self.report_violations(violations);
        network.areas = Named::default();
        network.projections = Named::default();
        network
    }

    /// Connects the inputs and outputs of the task with the areas that receive and drive them.
    pub(super) fn with_channels(&mut self, network: CtrnnConfig, layout: &Layout) -> CtrnnConfig {
        let (inputs, outputs) = (&layout.inputs, &layout.outputs);
        let violations = network.violations_of_channels(inputs, outputs);
        if violations.is_empty() {
            return network.with_channels(inputs, outputs);
        }
        self.report_violations(violations);
        network
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::ConfigErrors;

    const AREAS: &str = r#"
[task.context_decision]

[model.areas]
sensory = { units = 6, types = { pyr = { fraction = 0.5, sign = "excitatory" }, pv = { fraction = 0.5, sign = "inhibitory", tau_ms = 40 } }, inputs = ["motion_*"] }
motor = { units = 4, excitatory_fraction = 0.5, inputs = ["fixation", "*_context", "colour_*"], read_out = true }

[model.projections]
"sensory -> motor" = { density = 0.5, from = "pyr" }
"#;

    fn read(text: &str, overrides: &[&str]) -> Result<Run, ConfigErrors> {
        let overrides: Vec<String> = overrides.iter().map(|o| (*o).to_owned()).collect();
        let registry = ctrnn_runs::registry();
        RunConfig::from_text(text, "areas.toml", Path::new("/"), &overrides, &registry)
    }

    fn refused(text: &str) -> String {
        read(text, &[]).unwrap_err().to_string()
    }

    fn areas(run: &Run) -> Vec<(&str, usize)> {
        let areas = run.model.areas.iter();
        areas.map(|(name, area)| (name, area.units)).collect()
    }

    /// Neither the alphabet nor an override changes the order; a resolved configuration reads as the same network.
    #[test]
    fn areas_keep_the_order_of_the_text() {
        let run = read(AREAS, &[]).unwrap();
        assert_eq!(areas(&run), [("sensory", 6), ("motor", 4)]);
        assert_eq!(run.model.n_units, 10);
        assert_eq!(run.model.type_units("pv"), [3, 4, 5]);
        assert_eq!(run.unconnected(), Vec::<String>::new());
        let resolved = run.resolved_toml();
        let again = read(&resolved, &[]).unwrap();
        assert_eq!(again.model, run.model);
        assert_eq!(again.resolved_toml(), resolved);
        let table = toml::to_string(&run.resolved_table()).unwrap(); // in the order of the alphabet
        assert_eq!(read(&table, &[]).unwrap().model, run.model);
        let other = read(AREAS, &["model.areas.sensory={ units = 8, types = { pyr = { fraction = 1, sign = 'excitatory' } } }"]).unwrap();
        assert_eq!(areas(&other), [("sensory", 8), ("motor", 4)]);
    }

    #[test]
    fn broken_areas_are_shown_at_their_place() {
        let unknown = AREAS.replace("\"sensory -> motor\"", "\"sensori -> motor\"");
        insta::assert_snapshot!(refused(&unknown), @r#"
        error[C023]: "sensori" in model.projections."sensori -> motor" is not an area
         --> areas.toml:9:22
          |
        9 | "sensori -> motor" = { density = 0.5, from = "pyr" }
          |                      ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        help: did you mean "sensory"? areas: "sensory", "motor"
        "#);
        let sizes = AREAS.replace("[model.areas]", "[model]\nn_units = 12\n[model.areas]");
        insta::assert_snapshot!(refused(&sizes), @r#"
        error[C023]: the areas have 10 units together, but model.n_units = 12
         --> areas.toml:6:1
          |
        6 | [model.areas]
          | ^^^^^^^^^^^^^ the areas
         ::: areas.toml:5:11
          |
        5 | n_units = 12
          |           ^^ the number of units
        help: remove model.n_units, or write 10
        "#);
        let input = AREAS.replace("\"fixation\"", "\"fixtion\"");
        insta::assert_snapshot!(refused(&input), @r#"
        error[C003]: "fixtion" in model.areas.motor.inputs is not an input of the task
         --> areas.toml:6:59
          |
        6 | motor = { units = 4, excitatory_fraction = 0.5, inputs = ["fixtion", "*_context", "colour_*"], read_out = true }
          |                                                           ^^^^^^^^^
        help: did you mean "fixation"? the task has: "fixation", "motion_context", "colour_context", "motion_left", "motion_right", "colour_left", "colour_right"
        "#);
        let missing = AREAS.replace("motor = { units = 4, ", "motor = { ");
        insta::assert_snapshot!(refused(&missing), @r#"
        error[C005]: model.areas.motor.units is missing
         --> areas.toml:6:1
          |
        6 | motor = { excitatory_fraction = 0.5, inputs = ["fixation", "*_context", "colour_*"], read_out = true }
          | ^^^^^ has no units
        help: `train-ctrnn config explain model.areas.motor.units` says what it means
        "#);
        let misspelt = AREAS.replace("density", "densty");
        insta::assert_snapshot!(refused(&misspelt), @r#"
        error[C001]: unknown key model.projections.sensory -> motor.densty
         --> areas.toml:9:24
          |
        9 | "sensory -> motor" = { densty = 0.5, from = "pyr" }
          |                        ^^^^^^
        help: did you mean "density"? Keys of [model.projections.sensory -> motor]: delay_ms, density, from, in_degree, out_degree, plasticity, to
        "#);
        let activation = AREAS.replace(
            "[model.areas]",
            "[model]\nactivation = \"tanh\"\n[model.areas]",
        );
        insta::assert_snapshot!(refused(&activation), @r#"
        error[C023]: Dale's law needs rates that are never negative, but the activation is tanh: a negative rate turns an excitatory unit into an inhibitory one
         --> areas.toml:5:14
          |
        5 | activation = "tanh"
          |              ^^^^^^ can be negative
         ::: areas.toml:6:1
          |
        6 | [model.areas]
          | ^^^^^^^^^^^^^ units with signs
        help: model.activation may be relu, sigmoid, retanh, softplus, power, clipped_relu; or remove model.dale and the signs of areas
        "#);
    }

    #[test]
    fn training_names_areas_and_projections() {
        let overrides = [
            "train.freeze=[\"sensory\"]",
            "train.loss.areas.motor.rate_l2=0.1",
            "train.loss.projections={\"sensory -> motor\"={weight_l1=0}}",
        ];
        let run = read(AREAS, &overrides).unwrap();
        assert!(run.model.is_frozen_area("sensory") && !run.model.is_frozen_area("motor"));
        let names = [
            "mse",
            "areas.motor.rate_l2",
            "projections.sensory -> motor.weight_l1",
        ];
        assert_eq!(run.objective.term_names(), names);
        let zero =
            "train.loss.projections.sensory -> motor.weight_l1 has no effect: its weight is 0";
        assert!(run.unused_keys().iter().any(|note| note == zero));
        let again = read(&run.resolved_toml(), &[]).unwrap();
        assert_eq!((again.model, again.objective), (run.model, run.objective));
        let refused = |key: &str| read(AREAS, &[key]).unwrap_err().to_string();
        for (key, message, help) in [
            (
                "train.freeze=[\"sensori\"]",
                "\"sensori\" in train.freeze is not a parameter, a group of them, an area or a projection",
                "areas: sensory, motor; projections: FROM -> TO",
            ),
            (
                "train.loss.areas.sensori.rate_l1=1",
                "\"sensori\" in train.loss.areas.sensori is not an area",
                "areas: sensory, motor",
            ),
            (
                "train.loss.projections={\"motor -> sensory\"={weight_l2=1}}",
                "\"motor -> sensory\" in train.loss.projections.motor -> sensory is not a projection of the network",
                "where there are connections between two of them",
            ),
        ] {
            let found = refused(key);
            assert!(found.contains(message) && found.contains(help), "{found}");
        }
    }

    #[test]
    fn what_is_not_connected_is_noted() {
        let text = AREAS
            .replace("\"fixation\", ", "")
            .replace("\"sensory -> motor\"", "\"sensory -> sensory\"");
        let notes = read(&text, &[]).unwrap().unconnected();
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert_eq!(notes[0], "no unit receives the input fixation");
        assert!(notes[1].starts_with("3 units, the first of them unit 3, have no outgoing"));
    }
}
