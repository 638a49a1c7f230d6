//! Expansion of a sweep into the points at which trials are made.

use std::sync::Arc;

use ctrnn_config::{Code, ConfigErrors, Diagnostic, Place};

/// Largest number of trials of a sweep.
pub const MOST_TRIALS: usize = 100_000;

/// A key and the value that a trial gives it.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Full path of the key.
    pub key: Arc<str>,
    /// Value of the key.
    pub value: toml::Value,
    /// Place of the value in the sweep file.
    pub place: Place,
}

impl Setting {
    /// Returns the setting as an override of the command line.
    pub fn as_override(&self) -> String {
        format!("{}={}", self.key, self.value)
    }
}

/// Settings of a trial apart from its seed.
pub type Point = Vec<Setting>;

/// Alternatives that are combined with those of all other axes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Axis(pub(crate) Vec<Point>);

/// Returns all combinations, the last axis varying fastest.
///
/// # Errors
/// If there are more than [`MOST_TRIALS`], counting `n_seeds` for each.
pub(crate) fn combinations(
    axes: &[Axis],
    n_seeds: usize,
    whole: &Place,
) -> Result<Vec<Point>, ConfigErrors> {
    let n_points = axes
        .iter()
        .try_fold(n_seeds, |n, axis| n.checked_mul(axis.0.len()));
    if n_points.is_none_or(|n| n > MOST_TRIALS) {
        let message = format!("the sweep has more than {MOST_TRIALS} trials");
        let problem = Diagnostic::new(Code::OutOfRange, message).at(&first_line(whole), "");
        let help = "give fewer values: all keys of [grid], all tables of [[list]], all draws of [random] and all seeds are combined";
        return Err(problem.help(help).into());
    }
    let mut points: Vec<Point> = vec![Vec::new()];
    for Axis(alternatives) in axes {
        let extended = points.iter().flat_map(|point| {
            alternatives
                .iter()
                .map(|settings| [point.as_slice(), settings].concat())
        });
        points = extended.collect();
    }
    Ok(points)
}

fn first_line(whole: &Place) -> Place {
    let first = whole.source.text.lines().next().unwrap_or_default();
    Place {
        source: whole.source.clone(),
        span: 0..first.len(),
    }
}
