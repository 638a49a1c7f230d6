//! Rules about the activation.

use crate::{Activation, CtrnnConfig, Topic, Violation};

/// Checks that rates are never negative under Dale's law: a unit has one sign only if its rate has.
pub(super) fn of_dale(config: &CtrnnConfig) -> Option<Violation> {
    config.dale.as_ref()?;
    let signs = if config.areas.is_empty() {
        "model.dale"
    } else {
        "model.dale and the signs of areas"
    };
    let why = "a negative rate turns an excitatory unit into an inhibitory one";
    let violation = negative_rates(config, "Dale's law", why, signs)?;
    Some(
        violation
            .at("model.dale", "Dale's law")
            .at("model.areas", "units with signs"),
    )
}

/// Returns the violation of a feature that needs rates which are never negative, if the activation has others.
pub(super) fn negative_rates(
    config: &CtrnnConfig,
    feature: &str,
    why: &str,
    removed: &str,
) -> Option<Violation> {
    if config.activation.is_nonnegative() {
        return None;
    }
    let name = config.activation.name();
    let fitting = Activation::ALL.into_iter().filter(|a| a.is_nonnegative());
    let fitting: Vec<&str> = fitting.map(Activation::name).collect();
    let violation = Violation::new(
        Topic::Connections,
        format!(
            "{feature} needs rates that are never negative, but the activation is {name}: {why}"
        ),
        format!(
            "model.activation may be {}; or remove {removed}",
            fitting.join(", ")
        ),
    );
    Some(violation.at("model.activation", "can be negative"))
}
