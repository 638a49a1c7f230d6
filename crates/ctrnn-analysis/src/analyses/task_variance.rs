//! Variance of units by task or epoch, and clusters of units.

use ndarray::{Array1, Array2, ArrayView2, ArrayView3, Axis};

use super::{Answer, NoOptions, Unsuitable};
use crate::clusters::{Clusters, clusters};
use crate::evidence::{column, distinct};
use crate::plot::{BAR_MM, ColourMap, Figure, Layer, Ticks, colour};
use crate::study::steps_of;
use crate::text::{short, spoken};
use crate::{Arrays, Study};

/// Largest number of clusters of units.
const MOST_CLUSTERS: usize = 10;

/// Variance of each unit over the trials of each task or epoch, and clusters of units with similar profiles.
#[derive(Clone, Debug)]
pub struct TaskVariance {
    /// Names of the tasks or epochs.
    pub names: Vec<String>,
    /// Task variance, `[task or epoch, unit]`.
    pub variances: Array2<f64>,
    /// Units whose rates vary.
    pub active: Vec<usize>,
    /// Clusters of the active units.
    pub clusters: Clusters,
}

impl Answer for TaskVariance {
    type Options = NoOptions;

    fn compute(study: &Study, _: &NoOptions) -> Result<Self, Unsuitable> {
        let (names, rows) = variances(study);
        if names.len() < 2 {
            let why = "a single task of a single epoch makes no groups of units";
            return Err(Unsuitable::lacks(why));
        }
        let n = study.dynamics.n_units();
        let variances = Array2::from_shape_fn((names.len(), n), |(k, unit)| rows[k][unit]);
        let largest = largest(&variances);
        let least = 1e-3 * largest.iter().copied().fold(0.0, f64::max);
        let active: Vec<usize> = (0..n).filter(|&unit| largest[unit] > least).collect();
        if active.len() < 4 {
            let why = "fewer than four units change from trial to trial";
            return Err(Unsuitable::lacks(why));
        }
        let rows = normalised(&variances, &active);
        Ok(Self {
            clusters: clusters(rows.view(), MOST_CLUSTERS, study.seed),
            names,
            variances,
            active,
        })
    }

    fn arrays(&self) -> Arrays {
        let mut labels = vec![-1.0; self.variances.ncols()];
        for (&unit, &label) in self.active.iter().zip(&self.clusters.labels) {
            labels[unit] = label as f64;
        }
        Arrays::default()
            .with("task_variance", &self.variances)
            .with("cluster", &labels)
            .with("silhouette", &self.clusters.silhouette)
    }

    fn statements(&self) -> Vec<String> {
        let n_clusters = self.clusters.labels.iter().max().map_or(0, |k| k + 1);
        vec![format!(
            "{} of {} units are active; they form {n_clusters} clusters (silhouette {})",
            self.active.len(),
            self.variances.ncols(),
            short(self.clusters.silhouette)
        )]
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let labels = &self.clusters.labels;
        let mut order: Vec<usize> = (0..self.active.len()).collect();
        order.sort_by_key(|&i| labels[i]);
        let values = normalised(&self.variances, &self.active);
        let values = values.select(Axis(0), &order).reversed_axes();
        let n = self.names.len() as f64;
        let is_edge = |place: &usize| labels[order[*place]] != labels[order[place - 1]];
        let edges = (1..order.len())
            .filter(is_edge)
            .map(|place| Layer::line(vec![place as f64; 2], vec![0.0, n], colour(1)).wide(0.3));
        let names: Vec<String> = self.names.iter().map(|name| spoken(name)).collect();
        let height_mm = (5.0 * n).clamp(20.0, 70.0);
        let mut figure = Figure::new(&[70.0, BAR_MM], &[height_mm]);
        figure
            .cell(0, 0)
            .x_label("unit (sorted by cluster)")
            .matrix(&values, [0.0, 1.0], ColourMap::Blues)
            .y_ticks(Ticks::named(&names))
            .extend(edges);
        let bar = figure.cell(0, 1);
        bar.colour_bar([0.0, 1.0], ColourMap::Blues, "normalised");
        vec![("", figure)]
    }
}

/// Returns the largest variance of each unit across tasks or epochs.
fn largest(variances: &Array2<f64>) -> Array1<f64> {
    variances.fold_axis(Axis(0), 0.0f64, |a, b| a.max(*b))
}

/// Returns the variances of some units, normalised by the largest of each, `[unit, task or epoch]`.
fn normalised(variances: &Array2<f64>, units: &[usize]) -> Array2<f64> {
    let largest = largest(variances);
    Array2::from_shape_fn((units.len(), variances.nrows()), |(i, k)| {
        variances[[k, units[i]]] / largest[units[i]]
    })
}

/// Computes the variance of units for each task if trials of several are mixed, otherwise for each epoch.
fn variances(study: &Study) -> (Vec<String>, Vec<Array1<f64>>) {
    let (rates, counts) = (&study.rates, study.counts());
    if let Some(tasks) = column(&study.batch, "task") {
        let of = |level: &f64| {
            let trials: Vec<usize> = (0..tasks.len()).filter(|&b| tasks[b] == *level).collect();
            let rates = rates.select(Axis(0), &trials);
            let counts = counts.select(Axis(0), &trials);
            let name = study.task.value_name("task", *level);
            let name = name.unwrap_or_else(|| format!("task {level}"));
            (name, variance_over_trials(rates.view(), counts.view()))
        };
        return distinct(tasks.iter().copied()).iter().map(of).unzip();
    }
    let of = |epoch: &'static str| {
        let within = Array2::from_shape_fn(counts.dim(), |(b, t)| {
            steps_of(&study.batch, b, epoch).contains(&t)
        });
        let row = variance_over_trials(rates.view(), within.view());
        (epoch.to_owned(), row)
    };
    study.epochs().into_iter().map(of).unzip()
}

/// Computes the task variance of every unit: the variance over trials (conditions) of its rate, averaged over time, `TV
/// = < <r^2>_trial - <r>_trial^2 >_time`, from `rates [trial, time, unit]`; `counts [trial, time]` is false for
/// padding.
///
/// # References
/// Yang et al. (2019), Task representations in neural networks trained to perform many cognitive tasks.
pub fn variance_over_trials(rates: ArrayView3<f64>, counts: ArrayView2<bool>) -> Array1<f64> {
    let (n_trials, n_steps, n_units) = rates.dim();
    let mut sum = Array1::<f64>::zeros(n_units);
    let mut n_counted = 0.0f64;
    for t in 0..n_steps {
        let trials: Vec<usize> = (0..n_trials).filter(|&b| counts[[b, t]]).collect();
        if trials.len() > 1 {
            let at = rates.index_axis(Axis(1), t);
            sum += &at.select(Axis(0), &trials).var_axis(Axis(0), 0.0);
            n_counted += 1.0;
        }
    }
    sum / n_counted.max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two trials with rates 0 and 2 at the first time, equal ones at the second; only one trial has a third: (1 + 0) /
    /// 2.
    #[test]
    fn task_variance_by_hand() {
        let rates = ndarray::array![[[0.0], [5.0], [9.0]], [[2.0], [5.0], [0.0]]];
        let counts = ndarray::array![[true, true, true], [true, true, false]];
        assert_eq!(variance_over_trials(rates.view(), counts.view())[0], 0.5);
    }
}
