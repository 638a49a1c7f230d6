//! Targeted dimensionality reduction: axes of the state space along which the variables of a task are seen.

use ndarray::{Array1, Array2, Array3, ArrayView2, ArrayView3, Axis, s};

use crate::linear_algebra::{centred, least_squares, qr};
use crate::{Pca, Unsuitable};

/// Axes of a regression.
#[derive(Clone, Debug)]
pub struct Tdr {
    /// Regression coefficients `[variable, time, unit]` of z-scored rates on the variables.
    pub coefficients: Array3<f64>,
    /// The time at which the coefficients of each variable are largest, `[variable]`.
    pub peak: Vec<usize>,
    /// Orthonormal rows `[variable, unit]`: the coefficients at the peak, seen in the first principal components and made
    /// orthogonal to those of the variables before.
    pub axes: Array2<f64>,
}

/// Regresses the z-scored rates `[trial, time, unit]` of every unit at every time on `variables [trial, variable]`, which are scaled
/// to a largest magnitude of 1, and a constant; `counts [trial, time]` says which states exist. Components of `pca`, `n_components` of
/// them, are what the axes may lie in: the denoising of the source.
///
/// # Errors
/// If there are fewer units than variables, no time at which a regression tells the variables apart, or no axis for one of them that differs
/// from the others.
///
/// # References
/// Mante, Sussillo, Shenoy & Newsome (2013), Context-dependent computation, supplement section 6.
pub fn tdr(
    rates: ArrayView3<f64>,
    counts: ArrayView2<bool>,
    variables: ArrayView2<f64>,
    pca: &Pca,
    n_components: usize,
) -> Result<Tdr, Unsuitable> {
    let (n_trials, n_steps, n_units) = rates.dim();
    let n_variables = variables.ncols();
    if n_units < n_variables {
        return Err(Unsuitable::Lacks(format!(
            "orthogonal axes of {n_variables} variables need as many units; there {}",
            if n_units == 1 {
                "is 1".to_owned()
            } else {
                format!("are {n_units}")
            }
        )));
    }
    let (mean, std) = moments(rates, counts);
    let scale: Vec<f64> = variables
        .columns()
        .into_iter()
        .map(|c| largest(c.iter()))
        .collect();
    let mut is_regressed = false;
    let mut coefficients = Array3::zeros((n_variables, n_steps, n_units));
    for t in 0..n_steps {
        let trials: Vec<usize> = (0..n_trials).filter(|&b| counts[[b, t]]).collect();
        let design = Array2::from_shape_fn((trials.len(), n_variables + 1), |(i, k)| match k {
            0 => 1.0,
            k => variables[[trials[i], k - 1]] / scale[k - 1],
        });
        if trials.len() <= n_variables + 1 || !has_full_rank(&design) {
            continue;
        }
        is_regressed = true;
        let z = Array2::from_shape_fn((trials.len(), n_units), |(i, n)| {
            (rates[[trials[i], t, n]] - mean[n]) / std[n]
        });
        let found = least_squares(design.view(), z.view())?;
        for k in 0..n_variables {
            coefficients
                .slice_mut(s![k, t, ..])
                .assign(&found.row(k + 1));
        }
    }
    if !is_regressed {
        return Err(Unsuitable::Lacks(format!(
            "at no time do at least {} trials tell the {n_variables} variables apart",
            n_variables + 2
        )));
    }
    let length = |k: usize, t: usize| coefficients.slice(s![k, t, ..]).mapv(|x| x * x).sum();
    let last = |k: usize| (0..n_steps).max_by(|&a, &b| length(k, a).total_cmp(&length(k, b)));
    let peak: Vec<usize> = (0..n_variables).map(|k| last(k).unwrap_or(0)).collect();
    let kept = pca
        .components
        .slice(s![..n_components.min(pca.components.nrows()), ..]);
    let denoised = Array2::from_shape_fn((n_units, n_variables), |(n, k)| {
        let beta = coefficients.slice(s![k, peak[k], ..]);
        kept.dot(&beta).dot(&kept.column(n))
    });
    let (axes, part) = qr(denoised.view());
    let is_new = |k: usize| part[[k, k]] > 1e-9 * part.column(k).dot(&part.column(k)).sqrt();
    if !(0..n_variables).all(is_new) {
        return Err(Unsuitable::Lacks(
            "the rates do not change with each of the variables in a way of its own".to_owned(),
        ));
    }
    Ok(Tdr {
        axes: axes.t().to_owned(),
        coefficients,
        peak,
    })
}

fn largest<'a>(values: impl Iterator<Item = &'a f64>) -> f64 {
    values.fold(0.0f64, |a, b| a.max(b.abs())).max(1e-12)
}

/// Whether the columns are independent: none is left with nearly nothing after the others are taken out.
fn has_full_rank(design: &Array2<f64>) -> bool {
    let (_, r) = qr(design.view());
    r.diag()
        .iter()
        .all(|x| x.abs() > 1e-9 * (design.nrows() as f64).sqrt())
}

/// Mean and standard deviation of every unit over the states that exist; 1 where a unit is constant.
fn moments(rates: ArrayView3<f64>, counts: ArrayView2<bool>) -> (Array1<f64>, Array1<f64>) {
    let exist = counts.indexed_iter().filter(|(_, counts)| **counts);
    let rows: Vec<_> = exist.map(|((b, t), _)| rates.slice(s![b, t, ..])).collect();
    let (mean, left) = match ndarray::stack(Axis(0), &rows) {
        Ok(states) => centred(states.view()),
        Err(_) => return (Array1::zeros(rates.dim().2), Array1::ones(rates.dim().2)),
    };
    let variance = left.mapv(|x| x * x).mean_axis(Axis(0)).unwrap_or_default();
    let std = variance.mapv(|v: f64| if v > 1e-18 { v.sqrt() } else { 1.0 });
    (mean, std)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Unit 0 follows the first variable, unit 1 the second at the later time; units 2 and 3 are constant. The axes are the units.
    #[test]
    fn axes_find_the_units_that_carry_a_variable() {
        let values = [-1.0, 1.0];
        let variables = Array2::from_shape_fn((8, 2), |(b, k)| values[(b >> k) & 1]);
        let rates = Array3::from_shape_fn((8, 2, 4), |(b, t, n)| match (n, t) {
            (0, _) => 2.0 * variables[[b, 0]],
            (1, 1) => 3.0 * variables[[b, 1]],
            (_, _) => 1.0,
        });
        let flat = rates.to_shape((16, 4)).unwrap();
        let pca = Pca::of(flat.view()).unwrap();
        let counts = Array2::from_elem((8, 2), true);
        let found = tdr(rates.view(), counts.view(), variables.view(), &pca, 2).unwrap();
        assert!((found.axes[[0, 0]].abs() - 1.0).abs() < 1e-9);
        assert!((found.axes[[1, 1]].abs() - 1.0).abs() < 1e-9);
        assert_eq!(found.peak[1], 1);
        // z-scored, unit 0 is exactly +-1 with the variable
        assert!((found.coefficients[[0, 0, 0]] - 1.0).abs() < 1e-9);
    }

    /// One unit for two variables, two variables that are one, three trials, silence: none of them has two axes.
    #[test]
    fn where_there_are_no_axes_it_says_so() {
        let values = [-1.0, 1.0];
        let variables = Array2::from_shape_fn((8, 2), |(b, k)| values[(b >> k) & 1]);
        let follows = |gain: f64, n_units: usize| {
            Array3::from_shape_fn((8, 2, n_units), |(b, _, n)| {
                gain * variables[[b, n % 2]] + 0.1
            })
        };
        let of = |rates: &Array3<f64>, variables: &Array2<f64>| {
            let (b, t, n) = rates.dim();
            let flat = rates.to_shape((b * t, n)).unwrap();
            let pca = Pca::of(flat.view()).unwrap();
            let counts = Array2::from_elem((b, t), true);
            tdr(rates.view(), counts.view(), variables.view(), &pca, 12)
        };
        let same = Array2::from_shape_fn((8, 2), |(b, _)| values[b & 1]);
        let few = s![..3, .., ..];
        for (rates, variables, why) in [
            (follows(1.0, 1), variables.clone(), "there is 1"),
            (follows(1.0, 4), same, "tell the 2 variables apart"),
            (
                follows(1.0, 4).slice(few).to_owned(),
                variables.slice(s![..3, ..]).to_owned(),
                "at least 4 trials",
            ),
            (
                follows(0.0, 4),
                variables.clone(),
                "the rates do not change",
            ),
        ] {
            let found = of(&rates, &variables).unwrap_err().to_string();
            assert!(found.contains(why), "{found}");
        }
        assert!(of(&follows(1.0, 2), &variables).is_ok());
    }
}
