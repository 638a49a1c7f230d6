//! Axes of regressors in the space of units.

use ndarray::{Array2, Array3, ArrayView2, Axis, s};
use rayon::prelude::*;

use crate::analyses::Unsuitable;
use crate::linear_algebra::{NotConverged, least_squares, qr};
use crate::responses::Responses;
use crate::variables::Regressor;
use crate::{Pca, selectivity};

/// Regression of responses on the variables of a task.
#[derive(Clone, Debug)]
pub struct Regression {
    /// Coefficients of the z-scored responses, denoised, `[regressor, time, unit]`; NaN where too few trials are left.
    pub coefficients: Array3<f64>,
    /// Time step at which the coefficients of each regressor are largest, `[regressor]`.
    pub peak: Vec<usize>,
    /// Coefficients at the peak, as unit vectors: axes before they are made orthogonal, `[regressor, unit]`.
    pub raw_axes: Array2<f64>,
    /// Orthonormal axes `[regressor, unit]`: each without its part along those before it.
    pub axes: Array2<f64>,
    /// Principal components that denoise, `[component, unit]`.
    pub components: Array2<f64>,
}

/// Regresses the responses of every unit at every time on the regressors `design [trial, regressor]` and a constant.
///
/// Coefficients are projected on the first `n_components` principal components of the responses, averaged over the
/// trials of each condition. The axis of a regressor is the vector of its coefficients at the time of its largest norm from
/// its time step in `from` on, orthogonalised in the order of the regressors. Only times count at which at least half of the
/// trials are running.
///
/// # Errors
/// If regressors are collinear, there are too few trials or units, or a regressor has no axis of its own.
///
/// # References
/// Mante, Sussillo, Shenoy & Newsome (2013), Context-dependent computation by recurrent dynamics in prefrontal cortex,
/// supplementary information 6.4 to 6.7.
pub fn regression(
    responses: &Responses,
    design: ArrayView2<f64>,
    regressors: &[Regressor],
    n_components: usize,
    from: &[usize],
) -> Result<Regression, Unsuitable> {
    let (n_trials, n_regressors) = design.dim();
    let n_units = responses.mean.len();
    check_units(n_units, n_regressors)?;
    check_independence(design, regressors)?;
    let components = denoising(responses, design, n_components)?;
    let all: Vec<usize> = (0..n_trials).collect();
    let at = |t: usize| coefficients_at(responses, design, t);
    let found: Vec<Option<Array2<f64>>> = (0..responses.n_common_steps(&all))
        .into_par_iter()
        .map(at)
        .collect::<Result<_, _>>()?;
    let n_steps = responses.values.dim().1;
    let mut coefficients = Array3::from_elem((n_regressors, n_steps, n_units), f64::NAN);
    for (t, found) in found.iter().enumerate() {
        if let Some(found) = found {
            let denoised = found.dot(&components.t()).dot(&components);
            coefficients.index_axis_mut(Axis(1), t).assign(&denoised);
        }
    }
    if found.iter().all(Option::is_none) {
        return Err(Unsuitable::Lacks(format!(
            "at no time do at least {} trials tell the {n_regressors} regressors apart",
            n_regressors + 2
        )));
    }
    axes(coefficients, components, regressors, from)
}

/// Checks that there are as many units as regressors.
fn check_units(n_units: usize, n_regressors: usize) -> Result<(), Unsuitable> {
    if n_units >= n_regressors {
        return Ok(());
    }
    Err(Unsuitable::Lacks(format!(
        "orthogonal axes of {n_regressors} regressors need as many units; there {}",
        if n_units == 1 {
            "is 1".to_owned()
        } else {
            format!("are {n_units}")
        }
    )))
}

/// Computes the coefficients at one time from the trials that are running, `[regressor, unit]`; `None` if these do not
/// determine them.
fn coefficients_at(
    responses: &Responses,
    design: ArrayView2<f64>,
    t: usize,
) -> Result<Option<Array2<f64>>, NotConverged> {
    let is_running = |i: &usize| responses.n_steps[*i] > t;
    let trials: Vec<usize> = (0..design.nrows()).filter(is_running).collect();
    let design = with_constant(design.select(Axis(0), &trials).view());
    if trials.len() <= design.ncols() || first_dependent(design.view()).is_some() {
        return Ok(None);
    }
    let found = least_squares(design.view(), responses.at(&trials, t).view())?;
    Ok(Some(found.slice(s![1.., ..]).to_owned()))
}

/// Returns the principal components of the responses averaged over the trials of each condition, that is of each
/// combination of values of the regressors.
fn denoising(
    responses: &Responses,
    design: ArrayView2<f64>,
    n_components: usize,
) -> Result<Array2<f64>, Unsuitable> {
    let conditions = selectivity::groups(design.outer_iter().map(|row| row.to_vec()));
    let courses: Vec<Array2<f64>> = conditions
        .iter()
        .map(|(_, trials)| responses.mean_course(trials))
        .collect();
    let views: Vec<ArrayView2<f64>> = courses.iter().map(|a| a.view()).collect();
    let states = ndarray::concatenate(Axis(0), &views).expect("courses of one width");
    let pca = Pca::of(states.view())?;
    let n = pca.rank().min(n_components.max(1));
    Ok(pca.components.slice(s![..n, ..]).to_owned())
}

/// Takes the coefficients of each regressor at their peak and makes them orthogonal.
fn axes(
    coefficients: Array3<f64>,
    components: Array2<f64>,
    regressors: &[Regressor],
    from: &[usize],
) -> Result<Regression, Unsuitable> {
    let (n_regressors, n_steps, n_units) = coefficients.dim();
    let square = |k: usize, t: usize| coefficients.slice(s![k, t, ..]).mapv(|x| x * x).sum();
    let last = |k: usize| {
        let known: Vec<usize> = (0..n_steps).filter(|&t| square(k, t).is_finite()).collect();
        let late = known.iter().copied().filter(|t| *t >= from[k]);
        let late: Vec<usize> = late.collect();
        // All times, if the coefficients are known before the stimulus alone.
        let known = if late.is_empty() { known } else { late };
        known
            .into_iter()
            .max_by(|&a, &b| square(k, a).total_cmp(&square(k, b)))
    };
    let peak: Vec<usize> = (0..n_regressors).map(|k| last(k).unwrap_or(0)).collect();
    let at_peak = Array2::from_shape_fn((n_units, n_regressors), |(n, k)| {
        coefficients[[k, peak[k], n]]
    });
    let (orthogonal, part) = qr(at_peak.view());
    // The part orthogonal to the earlier axes must be larger than rounding.
    let norm = |k: usize| part.column(k).dot(&part.column(k)).sqrt();
    let is_old = |k: &usize| part[[*k, *k]] <= 1e-9 * norm(*k) || norm(*k) < 1e-12;
    if let Some(k) = (0..n_regressors).find(is_old) {
        return Err(Unsuitable::Lacks(format!(
            "the responses do not change with `{}` in a direction of its own",
            regressors[k].name
        )));
    }
    let raw = |(k, n): (usize, usize)| at_peak[[n, k]] / norm(k);
    Ok(Regression {
        raw_axes: Array2::from_shape_fn((n_regressors, n_units), raw),
        axes: orthogonal.t().to_owned(),
        coefficients,
        peak,
        components,
    })
}

/// Refuses regressors of which one is a linear combination of others and a constant.
fn check_independence(design: ArrayView2<f64>, regressors: &[Regressor]) -> Result<(), Unsuitable> {
    let full = with_constant(design);
    if full.nrows() < full.ncols() {
        return Ok(()); // too few trials to tell
    }
    let Some(k) = first_dependent(full.view()) else {
        return Ok(());
    };
    let name = |column: usize| format!("`{}`", regressors[column - 1].name);
    let before = full.slice(s![.., ..k]);
    let weights = least_squares(before, full.slice(s![.., k..=k]))?;
    let others: Vec<String> = (1..k)
        .filter(|&column| weights[[column, 0]].abs() > 1e-6)
        .map(name)
        .collect();
    Err(Unsuitable::Lacks(if others.is_empty() {
        let own = name(k);
        format!("the regressor {own} has the same value in all trials; leave it out")
    } else {
        format!(
            "the regressors {} and {} are collinear: {} is a linear combination of the others; leave one out, as with tdr.regressors=[...]",
            others.join(", "),
            name(k),
            name(k)
        )
    }))
}

fn with_constant(design: ArrayView2<f64>) -> Array2<f64> {
    Array2::from_shape_fn((design.nrows(), design.ncols() + 1), |(i, k)| match k {
        0 => 1.0,
        k => design[[i, k - 1]],
    })
}

/// Returns the first column that is, up to rounding, a linear combination of those before it.
fn first_dependent(design: ArrayView2<f64>) -> Option<usize> {
    let (_, r) = qr(design);
    let norm = |k: usize| r.column(k).dot(&r.column(k)).sqrt();
    (0..r.ncols()).find(|&k| r[[k, k]] <= 1e-9 * norm(k).max(1e-300))
}

#[cfg(test)]
mod tests;
