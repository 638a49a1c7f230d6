//! Data of the interactive view of the state space in a report.

use ctrnn_files::ArrayData;
use ndarray::Array2;
use serde_json::{Value, json};

use crate::analyses::pca::StateSpace;
use crate::analyses::{Analysis, Answer, Findings};
use crate::plot::Rgb;
use crate::text::{short, spoken};
use crate::{Course, Study, Unsuitable};

/// Largest number of times at which a trajectory is shown.
const MOST_TIMES: usize = 240;
/// Largest coordinate of the view, as an integer: finer than a pixel.
const REACH: f64 = 9999.0;

/// Returns the trajectories of a study on its first three principal components, and the fixed points among the results,
/// as JSON; `None` without trials, or if there are fewer than two components.
pub fn state_space_view(
    study: &Study,
    found: &[(&Analysis, Result<Findings, Unsuitable>)],
) -> Option<Value> {
    if study.batch.n_trials == 0 || study.first_nonfinite().is_some() {
        return None;
    }
    let space = StateSpace::compute(study, &Default::default()).ok()?;
    let n_axes = space.axes.nrows().min(3);
    let courses = &space.courses.courses;
    if n_axes < 2 || courses.is_empty() {
        return None;
    }
    let points = fixed_points(found, &space);
    let drawn = courses
        .iter()
        .flat_map(|course| course.values.iter().copied());
    let reach = drawn.fold(0.0, |most: f64, x| most.max(x.abs())).max(1e-9);
    let longest = courses.iter().map(|course| course.values.nrows()).max()?;
    let every = longest.div_ceil(MOST_TIMES).max(1);
    let course = |course: &Course| course_json(course, n_axes, every, reach);
    let explained = space.pca.explained();
    let axis = |k: usize| format!("PC {} ({} %)", k + 1, short(100.0 * explained[k]));
    let point = |Point { kind, held, at }: &Point| {
        let at = at.map(|x| scaled(x, reach));
        json!([kind, at, held])
    };
    Some(json!({
        "by": space.courses.by,
        "dt": study.dynamics.dt_ms * every as f64,
        "first": study.dynamics.dt_ms,
        "reach": reach / REACH,
        "axes": (0..n_axes).map(axis).collect::<Vec<_>>(),
        "courses": courses.iter().map(course).collect::<Vec<_>>(),
        "epochs": space.courses.epochs.epochs.iter()
            .map(|(name, ends)| json!([spoken(name), ends[0], ends[1]])).collect::<Vec<_>>(),
        "points": points.iter().map(point).collect::<Vec<_>>(),
    }))
}

/// Returns every so many states of a trajectory on the first `n_axes` components.
fn course_json(course: &Course, n_axes: usize, every: usize, reach: f64) -> Value {
    let Rgb([r, g, b]) = course.colour;
    let axis = |k: usize| -> Vec<i64> {
        let column = course.values.columns().into_iter().nth(k);
        let values = column.into_iter().flatten();
        values.step_by(every).map(|x| scaled(*x, reach)).collect()
    };
    json!({
        "name": course.name,
        "colour": format!("#{r:02x}{g:02x}{b:02x}"),
        "at": [axis(0), axis(1), if n_axes > 2 { axis(2) } else { Vec::new() }],
    })
}

/// Converts a coordinate to an integer of the view; `reach` is the largest coordinate of the trajectories.
fn scaled(x: f64, reach: f64) -> i64 {
    (x / reach * REACH).round().clamp(-2.0 * REACH, 2.0 * REACH) as i64
}

/// Fixed point in the view.
struct Point {
    /// Kind, as in the figure of fixed points.
    kind: &'static str,
    /// Name of the input that was held.
    held: String,
    /// Coordinates on the components.
    at: [f64; 3],
}

/// Returns the fixed points among the results of analyses.
fn fixed_points(
    found: &[(&Analysis, Result<Findings, Unsuitable>)],
    space: &StateSpace,
) -> Vec<Point> {
    let of_points = found
        .iter()
        .find(|(analysis, _)| analysis.name == "fixed_points");
    let Some((_, Ok(findings))) = of_points else {
        return Vec::new();
    };
    let arrays = &findings.arrays;
    let column = |name: &str| arrays.get(name)?.to_f64().ok();
    let names = arrays
        .get("held_names")
        .and_then(|array| match array.data() {
            ArrayData::Text(names) => Some(names),
            _ => None,
        });
    let (Some(states), Some(is_fixed), Some(n_unstable), Some(is_stable), Some(inputs)) = (
        column("states"),
        column("is_fixed"),
        column("n_unstable"),
        column("is_stable"),
        column("input_index"),
    ) else {
        return Vec::new();
    };
    let n_units = space.pca.mean.len();
    let Ok(states) = Array2::from_shape_vec((is_fixed.len(), n_units), states) else {
        return Vec::new();
    };
    let places = (&states - &space.pca.mean).dot(&space.axes.t());
    let point = |p: usize| {
        let held = names.and_then(|names| names.get(inputs[p] as usize));
        Point {
            kind: match (n_unstable[p] > 0.0, is_stable[p] == 1.0) {
                (true, _) => "saddle",
                (false, true) => "stable",
                (false, false) => "marginal",
            },
            held: held.cloned().unwrap_or_default(),
            at: [0, 1, 2].map(|k| places.get([p, k]).copied().unwrap_or(0.0)),
        }
    };
    let fixed = (0..is_fixed.len()).filter(|&p| is_fixed[p] == 1.0);
    fixed.map(point).collect()
}
