//! Areas and projections of the network: their order, their sizes, and their inputs and outputs.

use ctrnn_model::{CtrnnConfig, Named};
use ctrnn_tasks::Layout;

use super::{Check, Run};
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
            let path = |name| format!("model.areas.{area}.types.{name}");
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
