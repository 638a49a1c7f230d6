//! Rules about a recurrent matrix of low rank.

use super::single_keys;
use super::sources::source_of;
use crate::{CtrnnConfig, Factor, LowRank, Topic, Violation};

const TABLE: &str = "model.low_rank";
const RANK: &str = "model.low_rank.rank";

/// Returns the violations of the rules that need neither sizes of the task nor arrays.
pub(super) fn of_table(config: &CtrnnConfig) -> Vec<Violation> {
    let Some(factors) = &config.low_rank else {
        return Vec::new();
    };
    let mut found = single_keys::of_factors(factors);
    found.extend(rank(config, factors));
    found.extend(repeated_factor(factors));
    found.extend(lasting_zero(factors));
    found.extend(scale(config, factors));
    found.extend(entries(config));
    let rows = factors.init.overlap.as_ref();
    found.extend(overlaps(
        "overlap",
        rows,
        [factors.rank; 2],
        "columns of the right factor",
    ));
    found
}

/// Returns the violations of the rules about the overlaps with inputs and outputs, whose numbers the task gives.
pub(super) fn of_sizes(config: &CtrnnConfig) -> Vec<Violation> {
    let Some(factors) = &config.low_rank else {
        return Vec::new();
    };
    let sizes = |width| [factors.rank, width];
    let init = &factors.init;
    let input = overlaps(
        "input_overlap",
        init.input_overlap.as_ref(),
        sizes(config.n_inputs),
        "inputs",
    );
    let output = overlaps(
        "output_overlap",
        init.output_overlap.as_ref(),
        sizes(config.n_outputs),
        "outputs",
    );
    input.into_iter().chain(output).collect()
}

/// Returns the violations of the rules about arrays of a file of connections.
pub(super) fn of_arrays(config: &CtrnnConfig) -> Option<Violation> {
    let given = &config.connectivity.recurrent;
    let arrays = [
        ("recurrent.mask", &given.mask),
        ("recurrent.fixed", &given.fixed),
        ("recurrent.plasticity", &given.plasticity),
        ("recurrent.delay_ms", &config.connectivity.delay_ms),
    ];
    let (name, _) = arrays.into_iter().find(|(_, array)| array.is_some())?;
    let message = format!(
        "{name} is about single entries of W_rc, which a network of low rank does not have"
    );
    refused(config, message, source_of(config), "its source")
}

/// Checks that the factors have no more columns than the matrix.
fn rank(config: &CtrnnConfig, factors: &LowRank) -> Option<Violation> {
    let (rank, n) = (factors.rank, config.n_units);
    (rank > n && n > 0).then(|| {
        let message = format!("{RANK} = {rank} is larger than the number of units, {n}");
        let help = format!("{RANK} = {n} or less; no matrix of {n} units has a higher rank");
        Violation::new(Topic::Value, message, help)
            .at(RANK, "the rank")
            .at("model.n_units", "the number of units")
    })
}

fn repeated_factor(factors: &LowRank) -> Option<Violation> {
    let count = |factor: Factor| factors.train.iter().filter(|&&f| f == factor).count();
    let twice = Factor::ALL.into_iter().find(|&factor| count(factor) > 1)?;
    let key = "model.low_rank.train";
    let message = format!("{key} names {twice} twice");
    let help = "name each factor once: [\"left\", \"right\"] trains both, [] none";
    Some(Violation::new(Topic::Word, message, help).at(key, ""))
}

/// Checks that the factors are not both zero: the gradient of each is a multiple of the other.
fn lasting_zero(factors: &LowRank) -> Option<Violation> {
    let init = &factors.init;
    (init.left_std == 0.0 && init.right_std == 0.0).then(|| {
        let message = "both factors begin at zero, which they can never leave: the gradient of each is a multiple of the other";
        let help = "model.low_rank.init.left_std = 1.0 leaves the product at zero and lets it grow";
        Violation::new(Topic::Initial, message, help)
            .at("model.low_rank.init.left_std", "one")
            .at("model.low_rank.init.right_std", "the other")
    })
}

/// Checks that a spectral radius is asked of a full matrix alone, and that it is the only scale of it.
fn scale(config: &CtrnnConfig, factors: &LowRank) -> Option<Violation> {
    const KEY: &str = "model.init.spectral_radius";
    let radius = config.init.spectral_radius?.asked()?;
    let (message, help, other, label) = if !factors.has_full() {
        (
            format!("there is no full matrix to scale to spectral radius {radius}"),
            "remove model.init.spectral_radius: model.low_rank.init.overlap sets the eigenvalues of the product; or add a full matrix: model.low_rank.full = \"fixed\"",
            "model.low_rank",
            "the product alone",
        )
    } else if factors.gain != 1.0 {
        (
            "model.low_rank.gain and model.init.spectral_radius both set the scale of the full matrix".to_owned(),
            "keep one of the two",
            "model.low_rank.gain",
            "the other",
        )
    } else {
        return None;
    };
    Some(
        Violation::new(Topic::Initial, message, help)
            .at(KEY, "asked for here")
            .at(other, label),
    )
}

/// Checks that no rule about single entries of the recurrent matrix is given.
fn entries(config: &CtrnnConfig) -> Vec<Violation> {
    let dale = config.dale.as_ref().and_then(|_| {
        let message =
            "Dale's law gives each entry of W_rc a sign, which a product of factors does not have";
        refused(config, message.to_owned(), "model.dale", "Dale's law")
    });
    let density = Some(config.density.recurrent).filter(|&density| density != 1.0);
    let density = density.and_then(|density| {
        let message = format!(
            "model.density.recurrent = {density} takes single entries out of W_rc, which a product of factors does not have"
        );
        refused(config, message, "model.density.recurrent", "the density")
    });
    let loops = (!config.self_connections).then_some(()).and_then(|()| {
        let message = "the diagonal of a product of factors cannot be left out";
        refused(
            config,
            message.to_owned(),
            "model.self_connections",
            "no self-connections",
        )
    });
    let has_blocks = config.areas.names().count() > 1 || !config.projections.is_empty();
    let areas = has_blocks.then_some(()).and_then(|()| {
        let message = "model.areas decides which entries of W_rc exist, and a product of factors has no entries to leave out";
        refused(config, message.to_owned(), "model.areas", "the areas")
    });
    [areas, dale, density, loops]
        .into_iter()
        .flatten()
        .collect()
}

fn refused(
    config: &CtrnnConfig,
    message: String,
    key: &'static str,
    label: &'static str,
) -> Option<Violation> {
    config.low_rank.as_ref()?;
    let help = format!("remove {key}, or {TABLE} for a full matrix");
    Some(
        Violation::new(Topic::Connections, message, help)
            .at(key, label)
            .at(TABLE, "the factors"),
    )
}

/// Checks that overlaps have a row for each column of their factor, and a finite number for each vector that it overlaps with.
fn overlaps(
    name: &str,
    rows: Option<&Vec<Vec<f64>>>,
    [n_rows, n_columns]: [usize; 2],
    columns: &str,
) -> Option<Violation> {
    let rows = rows?;
    let key = format!("model.low_rank.init.{name}");
    let is_shaped = rows.len() == n_rows && rows.iter().all(|row| row.len() == n_columns);
    let message = if !is_shaped {
        format!(
            "{key} must have {n_rows} rows, one for each dimension, of {n_columns} numbers, one for each of the {columns}"
        )
    } else if rows.iter().flatten().any(|x| !x.is_finite()) {
        format!("{key} must hold finite numbers")
    } else {
        return None;
    };
    let help = format!("`train-ctrnn config explain {key}` says what they mean");
    Some(
        Violation::new(Topic::Initial, message, help)
            .at(key, "")
            .needs(&[RANK]),
    )
}
