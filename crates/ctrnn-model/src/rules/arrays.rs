//! Rules about the arrays that files give.

use super::sources::{FILE, source_of};
use super::{feedback, low_rank};
use crate::delays::{DELAY_MS, whole_steps};
use crate::{CtrnnConfig, InputPath, Matrix, PreactivationNoise, Topic, Violation};

/// Returns the violations of every rule about arrays.
pub(super) fn all(config: &CtrnnConfig) -> Vec<Violation> {
    let mut found = unread_files(config);
    found.extend(low_rank::of_arrays(config));
    found.extend(feedback::of_arrays(config));
    found.extend(signs(config));
    found.extend(delays(config));
    for matrix in Matrix::ALL {
        found.extend(density(config, matrix));
        found.extend(values(config, matrix));
    }
    // Fixed weights are compared with masks and signs, which must be valid.
    if found.is_empty() {
        found.extend(
            Matrix::ALL
                .into_iter()
                .filter_map(|matrix| fixed(config, matrix)),
        );
    }
    found
}

/// Checks that every file named in the table has been read: otherwise it would be ignored silently.
fn unread_files(config: &CtrnnConfig) -> Vec<Violation> {
    let covariance = match &config.noise.preactivation {
        PreactivationNoise::CovarianceFile { covariance } => Some(covariance),
        _ => None,
    };
    let files = [
        ("model.noise.preactivation", covariance),
        ("model.init.file", config.init.file.as_ref()),
        (FILE, config.connectivity.file.as_ref()),
    ];
    let violation = |(key, file): (&str, Option<&InputPath>)| {
        let path = file?.0.display();
        let help = "put what it holds in its place; Run of ctrnn-train does";
        Some(
            Violation::new(
                Topic::Arrays,
                format!("{key}: {path} has not been read"),
                help,
            )
            .at(key, ""),
        )
    };
    files.into_iter().filter_map(violation).collect()
}

fn broken(message: &str) -> Violation {
    let help = format!("`train-ctrnn config explain {FILE}` says what it may hold");
    Violation::new(Topic::Arrays, format!("{FILE}: {message}"), help).at(FILE, "")
}

/// Checks that signs are given once, under Dale's law, and are +1 or -1 for each unit.
fn signs(config: &CtrnnConfig) -> Option<Violation> {
    let signs = config.connectivity.signs.as_ref()?;
    let Some(dale) = &config.dale else {
        return Some(broken(
            "recurrent.sign gives signs, but there is no model.dale",
        ));
    };
    if dale.signs.is_some() {
        let message =
            "recurrent.sign gives signs, and so does model.dale.signs: keep one of the two";
        return Some(broken(message));
    }
    if signs.len() != config.n_units {
        let rule = "must have one number for each unit";
        return Some(broken(&format!(
            "dale.signs = {} numbers {rule}",
            signs.len()
        )));
    }
    let unit = signs.iter().position(|sign| sign.abs() != 1.0)?;
    let rule = "must be +1 or -1 for every unit; a unit without a sign is none";
    Some(broken(&format!(
        "dale.signs = {} at unit {unit} {rule}",
        signs[unit]
    )))
}

/// Checks that the delay of every connection is a whole number of time steps.
fn delays(config: &CtrnnConfig) -> Option<Violation> {
    let delay_ms = config.connectivity.delay_ms.as_ref()?;
    let (n, dt_ms) = (config.n_units, config.dt_ms);
    if delay_ms.len() != n * n {
        let found = delay_ms.len();
        let rule = "must have one number for every pair of units";
        return Some(broken(&format!("{DELAY_MS} = {found} numbers {rule}")));
    }
    let is_broken = |&delay: &f64| whole_steps(delay, dt_ms).is_none();
    let k = delay_ms.iter().position(is_broken)?;
    let (found, post, pre) = (delay_ms[k], k / n, k % n);
    let what = format!("{DELAY_MS} = {found} from unit {pre} to unit {post}");
    Some(broken_delay(what, found, dt_ms).at(source_of(config), "the delays"))
}

/// Returns the violation of a delay that is not a whole number of time steps, still without the place of the delay.
pub(crate) fn broken_delay(what: String, found: f64, dt_ms: f64) -> Violation {
    let below = (found / dt_ms).floor() * dt_ms;
    let help = if found > 0.0 && found.is_finite() {
        format!(
            "take {below} or {} ms, or a time.dt_ms that divides {found}",
            below + dt_ms
        )
    } else {
        "a connection without delay has 0".to_owned()
    };
    let message = format!("{what} must be 0 or a whole multiple of time.dt_ms = {dt_ms}");
    let violation = Violation::new(Topic::Arrays, message, help);
    violation.at("time.dt_ms", "the time step")
}

/// Checks that no density is asked for where a mask is given, other than by areas.
fn density(config: &CtrnnConfig, matrix: Matrix) -> Option<Violation> {
    let density = config.density_of(matrix);
    let is_masked = config.connectivity.of(matrix).mask.is_some() && config.areas.is_empty();
    (is_masked && density != 1.0).then(|| {
        let key = format!("density.{}", matrix.name());
        let message = format!("model: {key} = {density} cannot be asked for where a mask is given");
        let help = "`train-ctrnn config explain model` lists its keys";
        Violation::new(Topic::Value, message, help).at(FILE, "")
    })
}

/// Kind of an array: its name, its values, what they must be, and that in words.
type ArrayRule<'a> = (&'a str, &'a Option<Vec<f64>>, fn(f64) -> bool, &'a str);

/// Checks that each array has one number of its kind for every pair of units.
fn values(config: &CtrnnConfig, matrix: Matrix) -> Vec<Violation> {
    let size: usize = matrix.shape(config).iter().product();
    let given = config.connectivity.of(matrix);
    let kinds: [ArrayRule; 3] = [
        (
            "mask",
            &given.mask,
            |x| x == 0.0 || x == 1.0,
            "must be 0 or 1 everywhere",
        ),
        (
            "fixed",
            &given.fixed,
            f64::is_finite,
            "must be finite everywhere",
        ),
        (
            "plasticity",
            &given.plasticity,
            |x| x.is_finite() && x >= 0.0,
            "must be finite and at least 0 everywhere",
        ),
    ];
    let mut found = Vec::new();
    for (what, values, holds, rule) in kinds {
        let Some(values) = values else { continue };
        let name = matrix.array(what);
        if values.len() != size {
            let n = values.len();
            let rule = "must have one number for every pair of units";
            found.push(broken(&format!("{name} = {n} numbers {rule}")));
        } else if let Some(k) = values.iter().position(|&x| !holds(x)) {
            found.push(broken(&format!(
                "{name} = {} at index {k} {rule}",
                values[k]
            )));
        }
    }
    found
}

/// Checks that fixed weights obey the mask and the signs.
fn fixed(config: &CtrnnConfig, matrix: Matrix) -> Option<Violation> {
    let fixed = config.connectivity.of(matrix).fixed.as_ref()?;
    let possible = config.possible(matrix);
    let signs = config.signs(matrix);
    let pre = matrix.shape(config)[1];
    fixed.iter().enumerate().find_map(|(k, &weight)| {
        let is_possible = weight == 0.0 || possible.as_ref().is_none_or(|p| p[k] == 1.0);
        let has_sign = signs.as_ref().is_none_or(|s| s[k % pre] * weight >= 0.0);
        let rule = match (is_possible, has_sign) {
            (true, true) => return None,
            (false, _) => {
                "stands where the mask, self_connections or the readout's rule allows no connection"
            }
            (true, false) => "has another sign than its presynaptic unit",
        };
        let (name, post, pre) = (matrix.array("fixed"), k / pre, k % pre);
        Some(broken(&format!(
            "{name} = {weight} from unit {pre} to unit {post} {rule}"
        )))
    })
}
