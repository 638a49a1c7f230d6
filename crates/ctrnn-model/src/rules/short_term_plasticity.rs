//! Rules about short-term plasticity.

use super::activation::negative_rates;
use super::single_keys::value;
use crate::short_term_plasticity::PerUnit;
use crate::{CtrnnConfig, Integrator, SynapseKind, Topic, Violation};

const KEY: &str = "model.short_term_plasticity";

/// Returns the violations of every rule about short-term plasticity.
pub(super) fn all(config: &CtrnnConfig) -> Vec<Violation> {
    let mut found = constants(config);
    found.extend(activation(config));
    found.extend(cell_types(config));
    found.extend(time_step(config));
    found
}

/// Checks that rates are never negative: a negative one would fill up resources and lower the utilisation.
fn activation(config: &CtrnnConfig) -> Option<Violation> {
    config.short_term_plasticity.as_ref()?;
    let why = "spikes cannot be fewer than none";
    let violation = negative_rates(config, "short-term plasticity", why, KEY)?;
    Some(violation.at(KEY, "short-term plasticity"))
}

/// Checks that plasticity of cell types is given under Dale's law only.
fn cell_types(config: &CtrnnConfig) -> Option<Violation> {
    let plasticity = config.short_term_plasticity.as_ref()?;
    (plasticity.is_per_type() && config.dale.is_none()).then(|| {
        Violation::new(
            Topic::Connections,
            "short-term plasticity of cell types needs Dale's law, which says which units are excitatory",
            format!("add model.dale = {{ excitatory_fraction = 0.8 }}, or one kind for all units: {KEY} = \"facilitating\""),
        )
        .at(KEY, "e and i")
        .needs(&["model.dale"])
    })
}

/// Checks the values and the number of given constants.
fn constants(config: &CtrnnConfig) -> Vec<Violation> {
    let plasticity = config.short_term_plasticity.as_ref();
    let kinds = plasticity.map_or(Vec::new(), |plasticity| plasticity.kinds());
    let mut found = Vec::new();
    for (part, kind) in kinds {
        let SynapseKind::Given(given) = kind else {
            continue;
        };
        for (key, values) in given.by_key() {
            found.extend(of_constant(&format!("{KEY}{part}.{key}"), values, config));
        }
    }
    found
}

fn of_constant(path: &str, values: &PerUnit, config: &CtrnnConfig) -> Option<Violation> {
    if let PerUnit::List(list) = values
        && list.len() != config.n_units
    {
        let n = config.n_units;
        let violation = Violation::new(
            Topic::Connections,
            format!("{path} has {} numbers for {n} units", list.len()),
            "give one number for each unit, or one for all",
        );
        return Some(
            violation
                .at(path, "")
                .at("model.n_units", "the number of units"),
        );
    }
    let is_fraction = path.ends_with(".U");
    let holds = |x: &f64| x.is_finite() && *x > 0.0 && (!is_fraction || *x <= 1.0);
    let broken = values.values().iter().find(|x| !holds(x))?;
    let rule = if is_fraction {
        "must lie in (0, 1]"
    } else {
        "must be a finite number of milliseconds above 0"
    };
    Some(value(path, broken.to_string(), rule))
}

/// Checks that `dt / tau_u` and `dt / tau_x` lie in (0, 1], as Euler's method requires.
fn time_step(config: &CtrnnConfig) -> Option<Violation> {
    let plasticity = config.short_term_plasticity.as_ref()?;
    let (dt, [tau, longest]) = (config.dt_ms, plasticity.range_ms());
    let is_positive = tau > 0.0 && longest.is_finite();
    if !is_positive || dt <= tau || config.integrator != Integrator::Euler {
        return None;
    }
    let violation = Violation::new(
        Topic::TimeStep,
        format!("time.dt_ms = {dt} is longer than the shortest time constant of {KEY}, {tau} ms"),
        format!(
            "dt / tau must lie in (0, 1]: time.dt_ms = {tau} or less, or longer time constants"
        ),
    );
    Some(
        violation
            .at("time.dt_ms", "the time step")
            .at(KEY, "the time constants")
            .needs(&["time"]),
    )
}
