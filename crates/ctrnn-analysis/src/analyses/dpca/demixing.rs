//! Demixed principal components of condition averages over a complete design.

use ndarray::{Array1, Array2, Array3, ArrayView1, ArrayView2, Axis, s};
use rayon::prelude::*;

use crate::Pca;
use crate::linear_algebra::{NotConverged, Svd, svd};

/// Largest number of principal components in which components are demixed: enough for all but rounding and noise.
const MOST_RANK: usize = 40;

/// Strengths of the regularisation among which cross-validation chooses: `1e-7 * 2.25^k`, over the published range with
/// every second of its steps.
const N_STRENGTHS: usize = 13;

/// Strength without trials to choose by.
const WEAK: f64 = 1e-7;

/// Mean responses in every combination of the levels of some factors.
#[derive(Clone, Debug)]
pub struct Averages {
    /// Number of levels of each factor.
    pub n_levels: Vec<usize>,
    /// Mean responses `[cell, time, unit]`; the level of the last factor changes fastest from cell to cell.
    pub values: Array3<f64>,
}

/// A demixed principal component.
#[derive(Clone, Debug)]
pub struct Component {
    /// Index of its marginalisation.
    pub marginalisation: usize,
    /// Direction of the responses that it stands for: a unit vector, `[unit]`.
    pub encoder: Array1<f64>,
    /// Weights of the units in its score, `[unit]`.
    pub decoder: Array1<f64>,
    /// Fraction of the variance of the averages that it explains.
    pub explained: f64,
    /// Fraction of the variance of its score in each marginalisation.
    pub shares: Vec<f64>,
}

/// Demixed principal components of condition averages.
#[derive(Clone, Debug)]
pub struct Demixed {
    /// Factors of each marginalisation; the first has none and is the time course that all conditions share.
    pub marginalisations: Vec<Vec<usize>>,
    /// Fraction of the variance of the averages in each marginalisation.
    pub variances: Vec<f64>,
    /// Components in order of the variance that they explain.
    pub components: Vec<Component>,
    /// Mean response of each unit, which is subtracted.
    pub mean: Array1<f64>,
    /// Strength of the regularisation.
    pub strength: f64,
}

impl Averages {
    /// Returns the averages as `[cell and time, unit]`.
    fn flat(&self) -> Array2<f64> {
        let (c, t, n) = self.values.dim();
        let flat = self
            .values
            .to_shape((c * t, n))
            .expect("a product of sizes");
        flat.to_owned()
    }

    /// Returns the level of each factor in a cell.
    pub fn levels(&self, cell: usize) -> Vec<usize> {
        levels(&self.n_levels, cell)
    }
}

/// Returns the levels of the factors in a cell; that of the last factor changes fastest.
pub fn levels(n_levels: &[usize], mut cell: usize) -> Vec<usize> {
    let mut found = vec![0; n_levels.len()];
    for (level, &n) in found.iter_mut().zip(n_levels).rev() {
        *level = cell % n;
        cell /= n;
    }
    found
}

/// Returns all sets of factors, each with its time course: the smaller ones first.
fn subsets(n_factors: usize) -> Vec<Vec<usize>> {
    let of = |bits: usize| (0..n_factors).filter(|k| bits >> k & 1 == 1).collect();
    let mut all: Vec<Vec<usize>> = (0..1usize << n_factors).map(of).collect();
    all.sort_by_key(|set| (set.len(), set.clone()));
    all
}

/// Averages rows `[cell and time, k]` over all factors but some, at every time.
fn averaged(flat: &Array2<f64>, n_levels: &[usize], kept: &[usize]) -> Array2<f64> {
    let n_cells: usize = n_levels.iter().product();
    let n_steps = flat.nrows() / n_cells;
    let key = |cell: usize| -> Vec<usize> {
        let levels = levels(n_levels, cell);
        kept.iter().map(|&k| levels[k]).collect()
    };
    let mut means = std::collections::BTreeMap::new();
    for cell in 0..n_cells {
        let rows = flat.slice(s![cell * n_steps..(cell + 1) * n_steps, ..]);
        let (sum, count) = means
            .entry(key(cell))
            .or_insert_with(|| (Array2::<f64>::zeros(rows.dim()), 0.0));
        *sum += &rows;
        *count += 1.0;
    }
    let mut out = Array2::zeros(flat.dim());
    for cell in 0..n_cells {
        let (sum, count) = &means[&key(cell)];
        let mut rows = out.slice_mut(s![cell * n_steps..(cell + 1) * n_steps, ..]);
        rows.assign(&(sum / *count));
    }
    out
}

/// Splits centred averages `[cell and time, k]` into the parts that depend on time and each set of factors: for each set
/// the mean over all other factors, without the parts of smaller sets. The parts add up and are uncorrelated.
fn marginals(flat: &Array2<f64>, n_levels: &[usize], sets: &[Vec<usize>]) -> Vec<Array2<f64>> {
    let mut parts: Vec<Array2<f64>> = Vec::new();
    for set in sets {
        let mut part = averaged(flat, n_levels, set);
        for (smaller, known) in sets.iter().zip(&parts) {
            if smaller.iter().all(|k| set.contains(k)) {
                part -= known;
            }
        }
        parts.push(part);
    }
    parts
}

/// Encoders and decoders of one marginalisation, `[k, component]`.
struct Solution {
    encoder: Array2<f64>,
    decoder: Array2<f64>,
}

/// Reduced-rank ridge regression of parts of responses on the responses: minimises `|part - X D F'|^2 + m |D F'|^2` with
/// orthonormal columns of F.
struct Regression {
    v: Array2<f64>,
    s: Array1<f64>,
    norm2: f64,
    /// `U' part` for every part.
    products: Vec<Array2<f64>>,
}

impl Regression {
    fn of(x: &Array2<f64>, parts: &[Array2<f64>]) -> Result<Self, NotConverged> {
        let Svd { u, s, v } = svd(x.view())?;
        Ok(Self {
            norm2: s.dot(&s),
            products: parts.iter().map(|part| u.t().dot(part)).collect(),
            s,
            v,
        })
    }

    /// Returns at most `n` components of a part; the penalty is `m = (strength |X|)^2`.
    fn solve(&self, part: usize, strength: f64, n: usize) -> Result<Solution, NotConverged> {
        let penalty = (strength * strength * self.norm2).max(1e-300);
        let product = &self.products[part];
        let scaled = |factor: &dyn Fn(f64) -> f64| {
            let mut rows = product.clone();
            for (mut row, &s) in rows.outer_iter_mut().zip(&self.s) {
                row *= factor(s);
            }
            rows
        };
        let fitted = svd(scaled(&|s| s * s / (s * s + penalty)).view())?;
        let least = 1e-10
            * fitted
                .s
                .first()
                .copied()
                .unwrap_or(0.0)
                .max(1e-7 * self.norm2.sqrt());
        let n = fitted.s.iter().take(n).take_while(|s| **s > least).count();
        let encoder = fitted.v.slice(s![.., ..n]).to_owned();
        let weights = self.v.dot(&scaled(&|s| s / (s * s + penalty)));
        Ok(Solution {
            decoder: weights.dot(&encoder),
            encoder,
        })
    }
}

/// Finds at most `n_components` demixed components of each marginalisation of the averages.
///
/// `splits` are pairs of averages over most and over the remaining trials of every cell, among which cross-validation
/// chooses the strength of the regularisation: the smallest error of the parts of the first, predicted from the second.
/// Without any the regularisation is negligible.
///
/// # Errors
/// [`NotConverged`] if a decomposition does not converge.
///
/// # References
/// Kobak et al. (2016), Demixed principal component analysis of neural population data.
pub fn demixed(
    averages: &Averages,
    splits: &[[Averages; 2]],
    n_components: usize,
) -> Result<Demixed, NotConverged> {
    let flat = averages.flat();
    let pca = Pca::of(flat.view())?;
    let n = pca.rank().min(MOST_RANK);
    let axes = pca.components.slice(s![..n, ..]);
    let sets = subsets(averages.n_levels.len());
    let x = (&flat - &pca.mean).dot(&axes.t());
    let parts = marginals(&x, &averages.n_levels, &sets);
    let strength = strength(averages, splits, &sets, &pca, axes, n_components)?;
    let regression = Regression::of(&x, &parts)?;
    let total = regression.norm2.max(1e-300);
    let mut components = Vec::new();
    for (k, _) in sets.iter().enumerate() {
        let Solution { encoder, decoder } = regression.solve(k, strength, n_components)?;
        for (f, d) in encoder.axis_iter(Axis(1)).zip(decoder.axis_iter(Axis(1))) {
            let rest = &x - &(&x.dot(&d).insert_axis(Axis(1)) * &f);
            components.push(oriented(Component {
                marginalisation: k,
                encoder: axes.t().dot(&f),
                decoder: axes.t().dot(&d),
                explained: 1.0 - rest.mapv(|y| y * y).sum() / total,
                shares: shares(&parts, d),
            }));
        }
    }
    components.sort_by(|a, b| b.explained.total_cmp(&a.explained));
    let square = |part: &Array2<f64>| part.mapv(|y| y * y).sum() / total;
    Ok(Demixed {
        variances: parts.iter().map(square).collect(),
        marginalisations: sets,
        components,
        mean: pca.mean,
        strength,
    })
}

/// Computes the fractions of the variance of a decoder's score in each marginalisation.
fn shares(parts: &[Array2<f64>], decoder: ArrayView1<f64>) -> Vec<f64> {
    let size = |part: &Array2<f64>| part.dot(&decoder).mapv(|y| y * y).sum();
    let sizes: Vec<f64> = parts.iter().map(size).collect();
    let whole = sizes.iter().sum::<f64>().max(1e-300);
    sizes.into_iter().map(|size| size / whole).collect()
}

/// Turns a component so that the entry of its encoder with the largest magnitude is positive.
fn oriented(mut component: Component) -> Component {
    let largest = component
        .encoder
        .iter()
        .fold(0.0f64, |a, &b| if b.abs() > a.abs() { b } else { a });
    if largest < 0.0 {
        component.encoder.mapv_inplace(|x| -x);
        component.decoder.mapv_inplace(|x| -x);
    }
    component
}

/// Chooses the strength of the regularisation with the smallest mean error over all splits.
fn strength(
    averages: &Averages,
    splits: &[[Averages; 2]],
    sets: &[Vec<usize>],
    pca: &Pca,
    axes: ArrayView2<f64>,
    n_components: usize,
) -> Result<f64, NotConverged> {
    if splits.is_empty() {
        return Ok(WEAK);
    }
    let strengths: Vec<f64> = (0..N_STRENGTHS)
        .map(|k| 1e-7 * 2.25f64.powi(k as i32))
        .collect();
    let errors = |[train, test]: &[Averages; 2]| -> Result<Vec<f64>, NotConverged> {
        let [train, test] = [train, test].map(|a| (&a.flat() - &pca.mean).dot(&axes.t()));
        let parts = marginals(&train, &averages.n_levels, sets);
        let regression = Regression::of(&train, &parts)?;
        let square = test.t().dot(&test);
        let products: Vec<Array2<f64>> = parts.iter().map(|part| part.t().dot(&test)).collect();
        let error = |&strength: &f64| {
            let of_part = |k: usize| {
                let found = regression.solve(k, strength, n_components)?;
                // |P - X D F'|^2 without |P|^2, for orthonormal columns of F.
                let fit = (&found.encoder * &products[k].dot(&found.decoder)).sum();
                let size = (&found.decoder * &square.dot(&found.decoder)).sum();
                Ok(size - 2.0 * fit)
            };
            (0..parts.len())
                .map(of_part)
                .sum::<Result<f64, NotConverged>>()
        };
        strengths.iter().map(error).collect()
    };
    let all: Vec<Vec<f64>> = splits.par_iter().map(errors).collect::<Result<_, _>>()?;
    let mean = |k: &usize| all.iter().map(|errors| errors[*k]).sum::<f64>();
    let best = (0..N_STRENGTHS).min_by(|a, b| mean(a).total_cmp(&mean(b)));
    Ok(best.map_or(WEAK, |k| strengths[k]))
}

#[cfg(test)]
mod tests;
