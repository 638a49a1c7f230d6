//! Variance of units by task or epoch, clusters of units, and lesions of these clusters.

use ctrnn_tasks::{counted, value_bits};
use ndarray::{Array1, Array2, ArrayView2, ArrayView3, Axis};

use super::{Answer, NoOptions, Unsuitable};
use crate::arrays::ArrayDoc;
use crate::clusters::{Clusters, clusters};
use crate::evidence::{column, distinct};
use crate::lesion::outputs_without;
use crate::plot::{BAR_MM, ColourMap, Figure, Layer, Panel, Rgb, Ticks};
use crate::study::steps_of;
use crate::text::{short, spoken};
use crate::{Arrays, Study};

/// Largest number of clusters of units.
const MOST_CLUSTERS: usize = 30;

/// Largest number of trials of all tasks, and of one, in which lesioned networks are run.
const LESION_TRIALS: usize = 400;
const MOST_OF_A_TASK: usize = 100;

/// Epoch before the task begins, in which no condition differs from another.
const FIXATION: &str = "fixation";

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
    /// Lesions of the clusters; `None` if no trial has a correct answer or connections are delayed.
    pub lesions: Option<Lesions>,
    is_delayed: bool,
}

/// Accuracy of a network without noise, whole and without each cluster of units.
#[derive(Clone, Debug)]
pub struct Lesions {
    /// Names of the tasks.
    pub tasks: Vec<String>,
    /// Fraction of correct trials of the whole network, `[task]`; NaN for a task whose trials have no correct answer.
    pub intact: Vec<f64>,
    /// Fraction of correct trials without each cluster, `[task, cluster]`.
    pub lesioned: Array2<f64>,
    /// Number of trials of each task.
    pub n_trials: Vec<usize>,
}

impl Answer for TaskVariance {
    type Options = NoOptions;

    const NEEDS_WHOLE: bool = true;
    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new(
            "task_variance",
            "[task or epoch, unit]",
            "rate²",
            "variance over trials, averaged over time; conditions of a task have equal weights",
        ),
        ArrayDoc::new(
            "names",
            "[task or epoch]",
            "",
            "names of the tasks or epochs",
        ),
        ArrayDoc::new(
            "cluster",
            "[unit]",
            "",
            "cluster of each unit, from 0; -1 for an inactive one",
        ),
        ArrayDoc::new("silhouette", "[1]", "", "mean silhouette of the clusters"),
        ArrayDoc::new(
            "silhouettes",
            "[k]",
            "",
            "mean silhouette of 2, 3, ... clusters",
        ),
        ArrayDoc::new(
            "task_names",
            "[task]",
            "",
            "names of the tasks in the lesions",
        ),
        ArrayDoc::new(
            "accuracy",
            "[task]",
            "fraction",
            "correct trials of the whole network without noise",
        ),
        ArrayDoc::new(
            "lesioned_accuracy",
            "[task, cluster]",
            "fraction",
            "correct trials without the units of a cluster",
        ),
        ArrayDoc::new(
            "lesion_trials",
            "[task]",
            "",
            "number of trials of each task in the lesions",
        ),
    ];

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
        let clusters = clusters(rows.view(), MOST_CLUSTERS, study.seed);
        let dynamics = &study.dynamics;
        // A layer of several does not answer the task by itself.
        let answers = study.rates_below.is_none() && !dynamics.w_out.is_empty();
        Ok(Self {
            lesions: (answers && !dynamics.is_delayed)
                .then(|| lesions(study, &active, &clusters.labels))
                .flatten(),
            is_delayed: dynamics.is_delayed,
            clusters,
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
        let arrays = Arrays::default()
            .with("task_variance", &self.variances)
            .with("names", &self.names)
            .with("cluster", &labels)
            .with("silhouette", &self.clusters.silhouette)
            .with("silhouettes", &self.clusters.scores);
        match &self.lesions {
            Some(lesions) => arrays
                .with("task_names", &lesions.tasks)
                .with("accuracy", &lesions.intact)
                .with("lesioned_accuracy", &lesions.lesioned)
                .with("lesion_trials", &lesions.n_trials),
            None => arrays,
        }
    }

    fn statements(&self) -> Vec<String> {
        let n_clusters = self.clusters.labels.iter().max().map_or(0, |k| k + 1);
        let mut lines = vec![format!(
            "active units: {} of {}, in {} (silhouette {})",
            self.active.len(),
            self.variances.ncols(),
            counted(n_clusters, "cluster"),
            short(self.clusters.silhouette)
        )];
        lines.extend(self.lesions.as_ref().and_then(Lesions::statement));
        if self.is_delayed {
            let why = "recurrent connections are delayed: lesions of the clusters are left out";
            lines.push(why.to_owned());
        }
        lines
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let mut figures = vec![("", self.draw_variances())];
        if let Some(lesions) = &self.lesions {
            figures.push(("_lesions", lesions.draw()));
        }
        figures
    }
}

impl TaskVariance {
    fn draw_variances(&self) -> Figure {
        let labels = &self.clusters.labels;
        let mut order: Vec<usize> = (0..self.active.len()).collect();
        order.sort_by_key(|&i| labels[i]);
        let values = normalised(&self.variances, &self.active);
        let values = values.select(Axis(0), &order).reversed_axes();
        let n = self.names.len() as f64;
        let is_edge = |place: &usize| labels[order[*place]] != labels[order[place - 1]];
        let edges = (1..order.len()).filter(is_edge).map(|place| {
            Layer::line(vec![place as f64; 2], vec![0.0, n], Rgb([40, 40, 40])).wide(0.3)
        });
        let names: Vec<String> = self.names.iter().map(|name| spoken(name)).collect();
        let height_mm = (5.0 * n).clamp(20.0, 70.0);
        let mut figure = Figure::new(&[70.0, BAR_MM], &[height_mm]);
        figure
            .cell(0, 0)
            .x_label("unit (sorted by cluster, from 0)")
            .matrix(&values, [0.0, 1.0], ColourMap::Blues)
            .y_ticks(Ticks::named(&names))
            .extend(edges);
        let bar = figure.cell(0, 1);
        bar.colour_bar([0.0, 1.0], ColourMap::Blues, "task variance / its maximum");
        figure
    }
}

impl Lesions {
    /// Returns the change of accuracy by each lesion, `[task, cluster]`.
    fn changes(&self) -> Array2<f64> {
        Array2::from_shape_fn(self.lesioned.dim(), |(k, c)| {
            self.lesioned[[k, c]] - self.intact[k]
        })
    }

    /// Names the lesion that costs most.
    fn statement(&self) -> Option<String> {
        let changes = self.changes();
        let known = changes
            .indexed_iter()
            .filter(|(_, change)| change.is_finite());
        let ((task, cluster), change) = known.min_by(|a, b| a.1.total_cmp(b.1))?;
        Some(format!(
            "the lesion that costs most is that of cluster {cluster}: accuracy of {} from {} to {} %",
            spoken(&self.tasks[task]),
            short(100.0 * self.intact[task]),
            short(100.0 * (self.intact[task] + change))
        ))
    }

    fn draw(&self) -> Figure {
        let changes = self.changes().mapv(|change| 100.0 * change);
        let (n_tasks, n_clusters) = changes.dim();
        let names: Vec<String> = self.tasks.iter().map(|name| spoken(name)).collect();
        let clusters: Vec<String> = (0..n_clusters).map(|c| c.to_string()).collect();
        let size_mm = [
            (4.0 * n_clusters as f64).max(12.0),
            (5.0 * n_tasks as f64).clamp(6.0, 90.0),
        ];
        let scale = [-100.0, 100.0];
        let mut figure = Figure::new(&[size_mm[0], BAR_MM], &[size_mm[1].max(20.0)]);
        let panel: &mut Panel = figure.cell(0, 0);
        panel
            .x_label("lesioned cluster")
            .matrix(&changes, scale, ColourMap::BlueWhiteRed)
            .x_ticks(Ticks::named(&clusters))
            .y_ticks(Ticks::named(&names));
        let bar = figure.cell(0, 1);
        bar.colour_bar(
            scale,
            ColourMap::BlueWhiteRed,
            "change of accuracy (points)",
        );
        figure
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

/// Returns name and trials of each group of `study.by`, or of each task of a mixture; a single task is named by `alone`.
fn tasks(study: &Study, alone: &str) -> Vec<(String, Vec<usize>)> {
    if let (false, Ok(groups)) = (study.by.is_empty(), study.cells(&study.by)) {
        return groups
            .into_iter()
            .map(|group| (group.name, group.trials))
            .collect();
    }
    let Some(tasks) = column(&study.batch, "task") else {
        return vec![(alone.to_owned(), (0..study.batch.n_trials).collect())];
    };
    let of = |level: &f64| {
        let trials = (0..tasks.len()).filter(|&b| tasks[b] == *level).collect();
        let name = study.task.value_name("task", *level);
        (name.unwrap_or_else(|| format!("task {level}")), trials)
    };
    distinct(tasks.iter().copied()).iter().map(of).collect()
}

/// Returns the number of each trial among those of its condition, from 0, and the weight of the trial: one over the
/// number of trials of its condition.
fn repetitions(study: &Study) -> (Vec<usize>, Vec<f64>) {
    let key = |b: usize| -> Vec<u64> {
        let conditions = study.batch.conditions.iter();
        conditions
            .map(|(_, values)| value_bits(values[b]))
            .collect()
    };
    let mut counts = std::collections::HashMap::new();
    let keys: Vec<Vec<u64>> = (0..study.batch.n_trials).map(key).collect();
    let number = |key: &Vec<u64>| {
        let count = counts.entry(key.clone()).or_insert(0usize);
        *count += 1;
        *count - 1
    };
    let numbers: Vec<usize> = keys.iter().map(number).collect();
    let weights = keys.iter().map(|key| 1.0 / counts[key] as f64).collect();
    (numbers, weights)
}

/// Computes the variance of units after fixation for each task, if trials of several tasks are mixed, or for each group of
/// `study.by`; otherwise for each epoch.
fn variances(study: &Study) -> (Vec<String>, Vec<Array1<f64>>) {
    let (_, weights) = repetitions(study);
    let catch = column(&study.batch, "catch");
    let counts = Array2::from_shape_fn((study.batch.n_trials, study.batch.max_steps), |(b, t)| {
        t < study.batch.n_steps[b] && catch.is_none_or(|catch| catch[b] != 1.0)
    });
    if column(&study.batch, "task").is_some() || !study.by.is_empty() {
        let of = |(name, trials): (String, Vec<usize>)| {
            let mut counts = counts.select(Axis(0), &trials);
            for (mut own, &b) in counts.outer_iter_mut().zip(&trials) {
                steps_of(&study.batch, b, FIXATION).for_each(|t| own[t] = false);
            }
            let rates = study.rates.select(Axis(0), &trials);
            let weights: Vec<f64> = trials.iter().map(|&b| weights[b]).collect();
            (
                name,
                variance_over_trials(rates.view(), counts.view(), &weights),
            )
        };
        return tasks(study, "").into_iter().map(of).unzip();
    }
    let of = |epoch: &'static str| {
        let within = Array2::from_shape_fn(counts.dim(), |(b, t)| {
            counts[[b, t]] && steps_of(&study.batch, b, epoch).contains(&t)
        });
        let row = variance_over_trials(study.rates.view(), within.view(), &weights);
        (epoch.to_owned(), row)
    };
    study.epochs().into_iter().map(of).unzip()
}

/// Computes the task variance of every unit: the variance over trials of its rate, averaged over time,
/// `TV = < <r^2>_trial - <r>_trial^2 >_time`, from `rates [trial, time, unit]`; `counts [trial, time]` is false for padding. Trials have the
/// given weights, so that conditions can count equally however often they occur.
///
/// # References
/// Yang et al. (2019), Task representations in neural networks trained to perform many cognitive tasks.
pub fn variance_over_trials(
    rates: ArrayView3<f64>,
    counts: ArrayView2<bool>,
    weights: &[f64],
) -> Array1<f64> {
    let (n_trials, n_steps, n_units) = rates.dim();
    let mut sum = Array1::<f64>::zeros(n_units);
    let mut n_counted = 0.0f64;
    for t in 0..n_steps {
        let trials: Vec<usize> = (0..n_trials).filter(|&b| counts[[b, t]]).collect();
        if trials.len() < 2 {
            continue;
        }
        let whole: f64 = trials.iter().map(|&b| weights[b]).sum();
        let at = rates.index_axis(Axis(1), t);
        // Differences from one trial are exactly 0 for a constant unit.
        let first = at.row(trials[0]);
        let mut mean = Array1::<f64>::zeros(n_units);
        let mut square = Array1::<f64>::zeros(n_units);
        for &b in &trials {
            mean.scaled_add(weights[b] / whole, &(&at.row(b) - &first));
        }
        for &b in &trials {
            let left = &at.row(b) - &first - &mean;
            square.scaled_add(weights[b] / whole, &left.mapv(|x| x * x));
        }
        sum += &square;
        n_counted += 1.0;
    }
    sum / n_counted.max(1.0)
}

/// Measures the accuracy of each task without each cluster of units, in the same trials for all; the trials of a task are
/// spread evenly over its conditions.
fn lesions(study: &Study, active: &[usize], labels: &[usize]) -> Option<Lesions> {
    let (numbers, _) = repetitions(study);
    let tasks = tasks(study, "the task");
    let most = (LESION_TRIALS / tasks.len()).clamp(4, MOST_OF_A_TASK);
    let choose = |(_, trials): &(_, Vec<usize>)| {
        let mut trials = trials.clone();
        trials.sort_by_key(|&b| (numbers[b], b));
        trials.truncate(most);
        trials
    };
    let chosen: Vec<Vec<usize>> = tasks.iter().map(choose).collect();
    let intact = accuracies_without(study, &[], &chosen);
    if intact.iter().all(|accuracy| accuracy.is_nan()) {
        return None;
    }
    let n_clusters = labels.iter().max().map_or(0, |k| k + 1);
    let mut lesioned = Array2::zeros((tasks.len(), n_clusters));
    for cluster in 0..n_clusters {
        let members = active
            .iter()
            .zip(labels)
            .filter(|(_, label)| **label == cluster);
        let units: Vec<usize> = members.map(|(&unit, _)| unit).collect();
        let column = Array1::from(accuracies_without(study, &units, &chosen));
        lesioned.column_mut(cluster).assign(&column);
    }
    Some(Lesions {
        tasks: tasks.into_iter().map(|(name, _)| name).collect(),
        intact,
        lesioned,
        n_trials: chosen.iter().map(Vec::len).collect(),
    })
}

/// Computes the accuracy without some units in the trials of each task; NaN without a correct answer.
fn accuracies_without(study: &Study, units: &[usize], chosen: &[Vec<usize>]) -> Vec<f64> {
    let all = chosen.concat();
    let outputs = outputs_without(study, units, &all);
    let verdict = |(i, &b): (usize, &usize)| {
        let own = outputs.slice(ndarray::s![i, ..study.batch.n_steps[b], ..]);
        let readout: Vec<f32> = own.iter().map(|&y| y as f32).collect();
        study.task.is_correct(&study.batch.trial(b), &readout)
    };
    let verdicts: Vec<Option<bool>> = all.iter().enumerate().map(verdict).collect();
    let mut start = 0;
    let accuracy = |trials: &Vec<usize>| {
        let own = verdicts[start..start + trials.len()].iter().flatten();
        start += trials.len();
        let right = own.clone().filter(|is_right| **is_right).count();
        right as f64 / own.count() as f64
    };
    chosen.iter().map(accuracy).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::analyses::synthetic::Synthetic;

    /// Two trials with rates 0 and 2 at the first time, equal ones at the second; only one trial has a third: (1 + 0) /
    /// 2. A third trial that repeats the second changes nothing if each counts half.
    #[test]
    fn task_variance_by_hand() {
        let rates = ndarray::array![[[0.0], [5.0], [9.0]], [[2.0], [5.0], [0.0]]];
        let counts = ndarray::array![[true, true, true], [true, true, false]];
        let found = variance_over_trials(rates.view(), counts.view(), &[1.0; 2]);
        assert_eq!(found[0], 0.5);
        let (rates, counts) = (
            rates.select(Axis(0), &[0, 1, 1]),
            counts.select(Axis(0), &[0, 1, 1]),
        );
        let found = variance_over_trials(rates.view(), counts.view(), &[1.0, 0.5, 0.5]);
        assert!((found[0] - 0.5).abs() < 1e-12);
    }

    /// Reference: tests/golden/make_populations.py, `task_variance`: conditions with three, two, one and one trial.
    #[test]
    fn task_variance_is_that_of_numpy() {
        let rates = Array3::from_shape_fn((7, 4, 3), |(b, t, n)| {
            (b as f64 * 5.0 + t as f64 * 2.0 + n as f64).sin()
        });
        let condition = vec![0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 3.0];
        let synthetic = Synthetic::of(&[("coh", condition)], rates);
        let (names, found) = variances(&synthetic.study());
        assert_eq!(names, ["stimulus"]);
        for (found, expected) in
            found[0]
                .iter()
                .zip([0.446038920722, 0.434732631560, 0.435268285445])
        {
            assert!((found - expected).abs() < 1e-10, "{found} {expected}");
        }
    }

    /// Units 0 and 1 decide, the others do nothing: without the first group all trials are wrong or chance, without the
    /// second none is.
    #[test]
    fn lesions_show_who_decides() {
        let synthetic = Synthetic::decider(6, 20);
        let study = synthetic.study();
        let found = lesions(&study, &[0, 1, 2, 3, 4, 5], &[0, 0, 1, 1, 1, 1]).unwrap();
        assert_eq!((found.tasks.len(), found.n_trials[0]), (1, 20));
        assert_eq!(found.intact, [1.0]);
        assert!(
            found.lesioned[[0, 0]] < 0.6 && found.lesioned[[0, 1]] == 1.0,
            "{found:?}"
        );
    }
}
