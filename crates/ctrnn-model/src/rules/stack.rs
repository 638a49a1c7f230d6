//! Rules about the layers of a stack.

use crate::{CtrnnConfig, Densities, OutputNonlinearity, Topic, Violation, WeightInits};

/// Returns the violations of the rules about layers.
pub(super) fn all(config: &CtrnnConfig) -> Vec<Violation> {
    if config.below.is_empty() {
        return Vec::new();
    }
    let mut found: Vec<Violation> = sizes(config).into_iter().collect();
    let below = config.below.iter().enumerate();
    found.extend(below.flat_map(|(number, layer)| of_readout(number, layer)));
    let layers = config.layers().enumerate();
    found.extend(layers.filter_map(|(number, layer)| areas(number, layer)));
    found
}

/// Checks that the layers fit, which [`CtrnnConfig::stacked`] sees to.
fn sizes(config: &CtrnnConfig) -> Option<Violation> {
    let fits = |(number, layer): (usize, &CtrnnConfig)| {
        let receives = number == 0 || layer.n_inputs == config.layer(number - 1).n_units;
        let is_last = number == config.below.len();
        receives
            && usize::from(layer.layer) == number
            && (is_last || layer.below.is_empty() && layer.n_outputs == 0)
            && (layer.dt_ms, layer.integrator) == (config.dt_ms, config.integrator)
    };
    let is_broken = !config.layers().enumerate().all(fits);
    is_broken.then(|| {
        Violation::new(
            Topic::Value,
            "the layers do not fit: each takes as many inputs as the layer below has units, and all have one time step",
            "make the network with CtrnnConfig::stacked",
        )
    })
}

/// Checks that a layer without a readout has no keys of one.
fn of_readout(number: usize, layer: &CtrnnConfig) -> Vec<Violation> {
    let given = [
        (
            "output_nonlinearity",
            layer.output_nonlinearity != OutputNonlinearity::Identity,
        ),
        ("bias.readout", !layer.bias.readout),
        ("noise.postactivation", layer.noise.postactivation != 0.0),
        (
            "density.output",
            layer.density.output != Densities::default().output,
        ),
        ("feedback", layer.feedback.is_some()),
        (
            "init.output",
            layer.init.output != WeightInits::default().output,
        ),
    ];
    let violation = |(key, _): (&str, bool)| {
        let key = format!("model.layer[{number}].{key}");
        Violation::new(
            Topic::Readout,
            format!("{key} is a key of the readout, which only the last layer has"),
            "give it in the last layer",
        )
        .at(key, "")
    };
    let given = given.into_iter().filter(|(_, is_given)| *is_given);
    given.map(violation).collect()
}

/// Checks that no layer has areas.
fn areas(number: usize, layer: &CtrnnConfig) -> Option<Violation> {
    let has_some = !layer.areas.is_empty() || !layer.projections.is_empty();
    has_some.then(|| {
        let key = format!("model.layer[{number}]");
        Violation::new(
            Topic::Connections,
            format!("{key} has areas, which layers cannot have"),
            "write the whole network with model.areas and model.projections, or its areas as layers",
        )
        .at(format!("{key}.areas"), "")
        .at(format!("{key}.projections"), "")
    })
}
