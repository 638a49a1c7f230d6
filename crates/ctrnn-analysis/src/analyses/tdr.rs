//! Targeted dimensionality reduction: axes of the state space that encode the variables of a task.

use ndarray::{Array1, Array2, Array3, ArrayView2, ArrayView3, Axis, s};

use super::{Answer, NoOptions, Unsuitable};
use crate::courses::{Courses, projected};
use crate::evidence::{column, distinct, evidence};
use crate::linear_algebra::{centred, least_squares, qr};
use crate::plot::{Figure, Layer, colour};
use crate::text::spoken;
use crate::{Arrays, Pca, Study};

/// Largest number of task variables.
const MOST_VARIABLES: usize = 4;

/// Number of principal components that span the axes of the variables.
const N_COMPONENTS: usize = 12;

/// Trajectories on the axes of task variables.
#[derive(Clone, Debug)]
pub struct Tdr {
    /// Names of the variables.
    pub names: Vec<String>,
    /// Regression with the axes of the variables.
    pub regression: Regression,
    /// Mean rate of each unit, which is subtracted.
    pub mean: Array1<f64>,
    /// Projections of the rates on the axes, `[trial, time, variable]`.
    pub scores: Array3<f64>,
    /// Projections averaged over groups of trials.
    pub courses: Courses,
    t_ms: Vec<f64>,
}

impl Answer for Tdr {
    type Options = NoOptions;

    fn compute(study: &Study, _: &NoOptions) -> Result<Self, Unsuitable> {
        let (names, columns): (Vec<String>, Vec<Vec<f64>>) = variables(study).into_iter().unzip();
        if columns.len() < 2 {
            let why = "fewer than two variables differ from trial to trial";
            return Err(Unsuitable::lacks(why));
        }
        let catch = column(&study.batch, "catch");
        let shown: Vec<usize> = (0..study.batch.n_trials)
            .filter(|&b| catch.is_none_or(|catch| catch[b] != 1.0))
            .filter(|&b| columns.iter().all(|column| column[b].is_finite()))
            .collect();
        if shown.is_empty() {
            return Err(Unsuitable::lacks("no trial has a value of every variable"));
        }
        let variables =
            Array2::from_shape_fn((shown.len(), columns.len()), |(i, k)| columns[k][shown[i]]);
        let rates = study.rates.select(Axis(0), &shown);
        let counts = study.counts().select(Axis(0), &shown);
        let pca = Pca::of(study.all_states().view())?;
        let regression = regression(
            rates.view(),
            counts.view(),
            variables.view(),
            &pca,
            N_COMPONENTS,
        )?;
        let mean = study.rates.mean_axis(Axis(0));
        let mean = mean.and_then(|m| m.mean_axis(Axis(0))).unwrap_or_default();
        let scores = projected(&study.rates, &mean, &regression.axes);
        Ok(Self {
            names,
            courses: Courses::of(study, &scores),
            regression,
            mean,
            scores,
            t_ms: study.times_ms(study.batch.max_steps),
        })
    }

    fn arrays(&self) -> Arrays {
        Arrays::default()
            .with("axes", &self.regression.axes)
            .with("coefficients", &self.regression.coefficients)
            .with("scores", &self.scores)
            .with("mean", &self.mean)
            .with("peak", &self.regression.peak)
    }

    fn statements(&self) -> Vec<String> {
        vec![format!("axes, in this order: {}", self.names.join(", "))]
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let names: Vec<String> = self.names.iter().map(|name| spoken(name)).collect();
        // Groups are separated on the axis of the variable by which they are grouped; the last variable is usually the
        // choice.
        let up = names.len() - 1;
        let grouped = names.iter().position(|name| *name == self.courses.by);
        let across = grouped.unwrap_or(0).min(up - 1);
        let mut figure = Figure::new(&[48.0, 40.0], &[38.0]);
        let panel = figure.cell(0, 0);
        panel.x_label(&format!("{} axis", names[across]));
        panel.y_label(&format!("{} axis", names[up]));
        self.courses.draw_on_plane(panel, [across, up]);
        let weight = |k: usize, t: usize| {
            let weights = self.regression.coefficients.slice(s![k, t, ..]);
            weights.mapv(|x| x * x).mean().unwrap_or(0.0).sqrt()
        };
        let lines = names.iter().enumerate().map(|(k, name)| {
            let y = (0..self.t_ms.len()).map(|t| weight(k, t)).collect();
            let line = Layer::line(self.t_ms.clone(), y, colour(k));
            line.wide(0.3).named(name)
        });
        let panel = figure.cell(0, 1).y_label("regression weight (r.m.s.)");
        panel.extend(lines).time_axis();
        vec![("", figure)]
    }
}

/// Returns the task variables that vary across trials, with their values: the evidence, conditions that are not part of
/// it, and the choice.
fn variables(study: &Study) -> Vec<(String, Vec<f64>)> {
    let all: Vec<usize> = (0..study.batch.n_trials).collect();
    let found = evidence(&study.batch, &all).map(|found| (found.name, found.values));
    let mut variables: Vec<(String, Vec<f64>)> = found.into_iter().collect();
    for (name, values) in &study.batch.conditions {
        let is_varied = distinct(values.iter().copied()).len() > 1;
        let is_part = variables.first().is_some_and(|(first, _)| {
            let mut parts = first.split([' ', '×', '−']);
            parts.any(|part| part == name)
        });
        if name != "catch" && is_varied && !is_part && variables.len() < MOST_VARIABLES {
            variables.push((name.clone(), values.clone()));
        }
    }
    let outputs = study.layout().alternatives();
    if outputs.len() == 2 && variables.len() < MOST_VARIABLES {
        let sign = |choice: Option<usize>| match choice {
            Some(choice) if choice == outputs[0] => -1.0,
            Some(choice) if choice == outputs[1] => 1.0,
            _ => 0.0,
        };
        let signs = study.choices().into_iter().map(sign).collect();
        variables.push(("choice".to_owned(), signs));
    }
    variables
}

/// Regression of rates on task variables.
#[derive(Clone, Debug)]
pub struct Regression {
    /// Regression coefficients of z-scored rates on the variables, `[variable, time, unit]`.
    pub coefficients: Array3<f64>,
    /// Time step at which the coefficients of each variable are largest, `[variable]`.
    pub peak: Vec<usize>,
    /// Orthonormal axes `[variable, unit]`: the coefficients at the peak, projected on the first principal components
    /// and orthogonalised against those of earlier variables.
    pub axes: Array2<f64>,
}

/// Regresses the z-scored rates `[trial, time, unit]` of every unit at every time on `variables [trial, variable]`,
/// scaled to a largest magnitude of 1, and a constant; `counts [trial, time]` is false for padding. The axes are
/// restricted to the first `n_components` components of `pca`, the denoising step of the reference.
///
/// # Errors
/// If there are fewer units than variables, no time at which a regression separates the variables, or a variable
/// without an axis of its own.
///
/// # References
/// Mante, Sussillo, Shenoy & Newsome (2013), Context-dependent computation, supplement section 6.
pub fn regression(
    rates: ArrayView3<f64>,
    counts: ArrayView2<bool>,
    variables: ArrayView2<f64>,
    pca: &Pca,
    n_components: usize,
) -> Result<Regression, Unsuitable> {
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
    // The part orthogonal to the earlier axes must be larger than rounding.
    let is_new = |k: usize| part[[k, k]] > 1e-9 * part.column(k).dot(&part.column(k)).sqrt();
    if !(0..n_variables).all(is_new) {
        return Err(Unsuitable::Lacks(
            "the rates do not change with each of the variables in a way of its own".to_owned(),
        ));
    }
    Ok(Regression {
        axes: axes.t().to_owned(),
        coefficients,
        peak,
    })
}

fn largest<'a>(values: impl Iterator<Item = &'a f64>) -> f64 {
    values.fold(0.0f64, |a, b| a.max(b.abs())).max(1e-12)
}

/// Returns true if the columns are linearly independent: none nearly vanishes after projecting out the others.
fn has_full_rank(design: &Array2<f64>) -> bool {
    let (_, r) = qr(design.view());
    r.diag()
        .iter()
        .all(|x| x.abs() > 1e-9 * (design.nrows() as f64).sqrt())
}

/// Computes mean and standard deviation of every unit over the states that count; the standard deviation of a constant
/// unit is set to 1.
fn moments(rates: ArrayView3<f64>, counts: ArrayView2<bool>) -> (Array1<f64>, Array1<f64>) {
    let exist = counts.indexed_iter().filter(|(_, counts)| **counts);
    let rows: Vec<_> = exist.map(|((b, t), _)| rates.slice(s![b, t, ..])).collect();
    let (mean, left) = match ndarray::stack(Axis(0), &rows) {
        Ok(states) => centred(states.view()),
        Err(_) => return (Array1::zeros(rates.dim().2), Array1::ones(rates.dim().2)),
    };
    let variance = left.mapv(|x| x * x).mean_axis(Axis(0)).unwrap_or_default();
    // A smaller variance is rounding of a constant rate, which z-scoring would amplify.
    let std = variance.mapv(|v: f64| if v > 1e-18 { v.sqrt() } else { 1.0 });
    (mean, std)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Unit 0 follows the first variable, unit 1 the second at the later time; units 2 and 3 are constant. The axes are
    /// the units.
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
        let found = regression(rates.view(), counts.view(), variables.view(), &pca, 2).unwrap();
        assert!((found.axes[[0, 0]].abs() - 1.0).abs() < 1e-9);
        assert!((found.axes[[1, 1]].abs() - 1.0).abs() < 1e-9);
        assert_eq!(found.peak[1], 1);
        // The z-scored rate of unit 0 is exactly +-1 with the variable.
        assert!((found.coefficients[[0, 0, 0]] - 1.0).abs() < 1e-9);
    }

    /// One unit for two variables, two equal variables, three trials, silence: none of these has two axes.
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
            regression(rates.view(), counts.view(), variables.view(), &pca, 12)
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
