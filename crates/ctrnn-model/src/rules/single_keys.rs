//! Rules about the values of single keys.

use crate::time_constants::{LearnedTimeConstants, PerType};
use crate::{
    CtrnnConfig, InitialState, LowRank, Matrix, PreactivationNoise, TimeConstants, Topic, Violation,
};

/// Returns the violation of a rule about the value at `path`, which is a key or a part of one.
pub(super) fn value(path: &str, value: String, rule: &str) -> Violation {
    at_key(path, path, value, rule)
}

fn at_key(key: &str, path: &str, value: String, rule: &str) -> Violation {
    let help = format!("`train-ctrnn config explain {key}` says what it may be");
    Violation::new(Topic::Value, format!("{path} = {value} {rule}"), help).at(key, "")
}

fn number(holds: bool, key: &str, found: f64, rule: &str) -> Option<Violation> {
    (!holds).then(|| value(key, found.to_string(), rule))
}

fn above_zero(key: &str, found: f64) -> Option<Violation> {
    let holds = found.is_finite() && found > 0.0;
    number(holds, key, found, "must be a finite number above 0")
}

fn level(key: &str, found: f64) -> Option<Violation> {
    number(
        is_level(&found),
        key,
        found,
        "must be a finite number, at least 0",
    )
}

fn is_level(sigma: &f64) -> bool {
    sigma.is_finite() && *sigma >= 0.0
}

fn fraction(key: &str, found: f64) -> Option<Violation> {
    number(
        (0.0..=1.0).contains(&found),
        key,
        found,
        "must lie in [0, 1]",
    )
}

fn size(key: &str, found: usize) -> Option<Violation> {
    (found == 0).then(|| value(key, found.to_string(), "must be at least 1"))
}

/// Returns the violations of the rules about single keys of the table and the time step.
pub(super) fn of_table(config: &CtrnnConfig) -> Vec<Violation> {
    let mut found = numbers(config);
    found.extend(time_constants(config));
    found.extend(noise(config));
    found.extend(weight_inits(config));
    found.extend(activation(config));
    found
}

/// Checks numbers, which the schema of a configuration file bounds as well.
fn numbers(config: &CtrnnConfig) -> Vec<Violation> {
    let baseline = config.input.baseline;
    let radius = config
        .init
        .spectral_radius
        .and_then(super::super::weight_init::SpectralRadius::asked);
    let excitatory = config.dale.as_ref().and_then(|d| d.excitatory_fraction);
    let density = config.density;
    let found = [
        above_zero("time.dt_ms", config.dt_ms),
        size("model.n_units", config.n_units),
        number(
            baseline.is_finite(),
            "model.input.baseline",
            baseline,
            "must be a finite number",
        ),
        radius.and_then(|radius| above_zero("model.init.spectral_radius", radius)),
        excitatory.and_then(|found| fraction("model.dale.excitatory_fraction", found)),
        fraction("model.density.input", density.input),
        fraction("model.density.recurrent", density.recurrent),
        fraction("model.density.output", density.output),
    ];
    found.into_iter().flatten().collect()
}

/// Checks the numbers of a recurrent matrix of low rank.
pub(super) fn of_factors(factors: &LowRank) -> Vec<Violation> {
    let found = [
        size("model.low_rank.rank", factors.rank),
        level("model.low_rank.gain", factors.gain),
        level("model.low_rank.init.left_std", factors.init.left_std),
        level("model.low_rank.init.right_std", factors.init.right_std),
    ];
    found.into_iter().flatten().collect()
}

/// Checks the sizes that the task gives.
pub(super) fn outputs(config: &CtrnnConfig) -> Option<Violation> {
    (config.n_outputs == 0).then(|| {
        Violation::new(
            Topic::Value,
            "the network has no outputs",
            "take a task with outputs, or CtrnnConfig::with_sizes in Rust",
        )
    })
}

pub(super) fn conditions(config: &CtrnnConfig) -> Option<Violation> {
    let is_broken =
        config.initial_state == InitialState::LearnedPerCondition && config.n_conditions == 0;
    is_broken.then(|| {
        Violation::new(
            Topic::Value,
            "model: initial_state.learned_per_condition = 0 must be at least 1",
            "`train-ctrnn config explain model` lists its keys",
        )
    })
}

fn noise(config: &CtrnnConfig) -> Vec<Violation> {
    let levels = &config.noise;
    let found = [
        preactivation(&levels.preactivation, config.n_units),
        level("model.noise.postactivation", levels.postactivation),
        level("model.noise.input", levels.input),
        level("model.noise.initial_state", levels.initial_state),
        above_zero("model.noise.input_tau_ms", levels.input_tau_ms),
    ];
    let found = found.into_iter().flatten();
    found.map(|v| v.needs(&["model.noise"])).collect()
}

fn preactivation(noise: &PreactivationNoise, n_units: usize) -> Option<Violation> {
    const KEY: &str = "model.noise.preactivation";
    let refuse =
        |found: String, rule: &str| Some(value(KEY, found, rule).needs(&["model.n_units"]));
    match noise {
        PreactivationNoise::Shared(sigma) => level(KEY, *sigma),
        PreactivationNoise::PerUnit(list)
            if list.len() != n_units || !list.iter().all(is_level) =>
        {
            refuse(
                format!("a list of {}", list.len()),
                "must have a finite number, at least 0, for each unit",
            )
        }
        PreactivationNoise::Covariance { covariance: rows }
            if rows.len() != n_units || rows.iter().any(|row| row.len() != n_units) =>
        {
            refuse(
                format!("a covariance of {} rows", rows.len()),
                "must have a row and a column for each unit",
            )
        }
        _ => {
            let rule = noise.factor().err()?;
            refuse("a covariance".to_owned(), rule)
        }
    }
}

/// Checks the parameters of the activation.
fn activation(config: &CtrnnConfig) -> Option<Violation> {
    const KEY: &str = "model.activation";
    config
        .activation
        .parameters()
        .into_iter()
        .find_map(|(name, found)| {
            let (holds, rule) = match name {
                "exponent" => (found >= 1.0, "must be a finite number, at least 1"),
                "slope" => (found >= 0.0, "must be a finite number, at least 0"),
                "threshold" => (true, "must be a finite number"),
                _ => (found > 0.0, "must be a finite number above 0"),
            };
            let path = format!("{KEY}.{name}");
            (!(holds && found.is_finite())).then(|| at_key(KEY, &path, found.to_string(), rule))
        })
}

/// Checks the parameters of the distributions of weights.
fn weight_inits(config: &CtrnnConfig) -> Vec<Violation> {
    let of_matrix = |matrix: Matrix| {
        let key = format!("model.init.{}", matrix.name());
        let (parameter, found, rule) = config.init.of(matrix).broken()?;
        let path = format!("{key}.{parameter}");
        Some(at_key(&key, &path, found.to_string(), rule))
    };
    let feedback = config.feedback.and_then(|feedback| {
        const KEY: &str = "model.feedback.init";
        let (parameter, found, rule) = feedback.init.broken()?;
        Some(at_key(
            KEY,
            &format!("{KEY}.{parameter}"),
            found.to_string(),
            rule,
        ))
    });
    let matrices = Matrix::ALL.into_iter().filter_map(of_matrix);
    matrices.chain(feedback).collect()
}

fn time_constants(config: &CtrnnConfig) -> Option<Violation> {
    let (part, found, rule) = of_time_constants(&config.tau_ms, config.n_units)?;
    let path = format!("model.tau_ms{part}");
    Some(at_key("model.tau_ms", &path, found, rule).needs(&["model.n_units"]))
}

/// A part of the time constants, the value there, and the rule that it breaks.
type Broken = (&'static str, String, &'static str);

/// Returns the first rule that the time constants of `n_units` units break.
fn of_time_constants(tau: &TimeConstants, n_units: usize) -> Option<Broken> {
    if let TimeConstants::PerType(types) = tau
        && let Some(broken) = of_cell_types(types)
    {
        return Some(broken);
    }
    let refuse = |found: String, rule: &'static str| Some(("", found, rule));
    let [lo, hi] = tau.range_ms();
    match tau {
        TimeConstants::PerUnit(list) if list.len() != n_units => refuse(
            format!("a list of {}", list.len()),
            "must have a number for each unit",
        ),
        _ if !(lo > 0.0 && hi.is_finite()) => {
            refuse(tau.to_string(), "must be finite numbers above 0")
        }
        _ if lo > hi => refuse(tau.to_string(), "needs the smaller bound first"),
        TimeConstants::LogNormal(law) if !(law.sigma > 0.0 && law.sigma.is_finite()) => {
            refuse(format!("sigma {}", law.sigma), "must have a sigma above 0")
        }
        TimeConstants::LogNormal(law) if !(lo..=hi).contains(&law.median) => {
            refuse(tau.to_string(), "must have its median within min and max")
        }
        TimeConstants::Learned(learned) => of_learned(learned, n_units),
        _ => None,
    }
}

/// Returns the first broken rule of cell types: each has a number or a distribution of its own.
fn of_cell_types(types: &PerType) -> Option<Broken> {
    [(".e", &types.e), (".i", &types.i)]
        .into_iter()
        .find_map(|(part, tau)| {
            if matches!(tau, TimeConstants::Shared(_)) || tau.are_drawn() {
                of_time_constants(tau, 1)
            } else {
                let rule = "must be a number, uniform or lognormal";
                Some((part, tau.to_string(), rule))
            }
        })
}

fn of_learned(learned: &LearnedTimeConstants, n_units: usize) -> Option<Broken> {
    let initial = &learned.initial;
    let refuse = |rule: &'static str| Some((".learned.initial", initial.to_string(), rule));
    if initial.learned().is_some() {
        return refuse("must not be learned itself");
    }
    if !learned.per_unit && initial.count(n_units) != 1 {
        return refuse("must be one number where the units share one: per_unit = false");
    }
    if let Some(broken) = of_time_constants(initial, n_units) {
        return Some(broken);
    }
    let ([lo, hi], [first, last]) = (learned.bounds, initial.range_ms());
    if lo < first && last < hi {
        None
    } else {
        refuse("must lie strictly within the bounds")
    }
}
