//! Forgetting: accuracy on every task at the end of each stage of a training.

use ndarray::Array2;

use super::{Answer, Basis, NoOptions, Unsuitable};
use crate::metrics::Metrics;
use crate::plot::{BAR_MM, ColourMap, Figure, Layer, Rgb, Ticks, panel_mm};
use crate::{ArrayDoc, Arrays, Study};

/// Side of a cell in mm.
const CELL_MM: f64 = 11.0;
/// Largest number of rows or columns whose cells have numbers in them.
const MOST_NUMBERS: usize = 8;

/// Accuracies at the ends of the stages of a training.
#[derive(Clone, Debug)]
pub struct Forgetting {
    stages: Vec<String>,
    /// Names of what was measured: validation sets, or tasks of a mixture.
    tasks: Vec<String>,
    /// Accuracy `[stage, task]`; NaN where there is none.
    accuracy: Array2<f64>,
}

impl Answer for Forgetting {
    type Options = NoOptions;
    const BASIS: Basis = Basis::Metrics;
    const SEES_GROUPS: bool = false;
    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new("stages", "[stage]", "", "names of the stages"),
        ArrayDoc::new(
            "tasks",
            "[task]",
            "",
            "names of the tasks of a mixture, or of the validation sets",
        ),
        ArrayDoc::new(
            "accuracy",
            "[stage, task]",
            "",
            "accuracy at the end of each stage; NaN where it was not measured",
        ),
        ArrayDoc::new(
            "forgetting",
            "[task]",
            "",
            "largest accuracy at the end of a stage, minus that at the end of the last one",
        ),
    ];

    fn compute(study: &Study, _: &NoOptions) -> Result<Self, Unsuitable> {
        let metrics = study.metrics.as_ref();
        let metrics = metrics.ok_or_else(|| Unsuitable::lacks("the run has no metrics.csv"))?;
        Self::of(metrics)
    }

    fn arrays(&self) -> Arrays {
        let loss: Vec<f64> = (0..self.tasks.len()).map(|k| self.loss(k)).collect();
        Arrays::default()
            .with("stages", &self.stages)
            .with("tasks", &self.tasks)
            .with("accuracy", &self.accuracy)
            .with("forgetting", &loss)
    }

    fn statements(&self) -> Vec<String> {
        let percent = |x: f64| format!("{:.0} %", 100.0 * x);
        let last = self.stages.len() - 1;
        let say = |(k, task): (usize, &String)| {
            let loss = self.loss(k);
            let end = self.accuracy[[last, k]];
            loss.is_finite().then(|| {
                format!(
                    "{task}: {} at the end, {} below its best end of a stage",
                    percent(end),
                    percent(loss)
                )
            })
        };
        self.tasks.iter().enumerate().filter_map(say).collect()
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let (rows, columns) = self.accuracy.dim();
        let width = panel_mm(1, CELL_MM * columns as f64);
        let height = (CELL_MM * rows as f64).clamp(11.0, 80.0);
        let mut figure = Figure::new(&[width, BAR_MM], &[height]);
        let ticks = |names: &[String]| {
            let places = names.iter().cloned().enumerate();
            Ticks::At(places.map(|(k, name)| (k as f64 + 0.5, name)).collect())
        };
        let panel = figure.cell(0, 0);
        panel
            .x_label("task")
            .y_label("after stage")
            .x_ticks(ticks(&self.tasks))
            .y_ticks(ticks(&self.stages))
            .matrix(&self.accuracy, [0.0, 1.0], ColourMap::Blues);
        if rows.max(columns) <= MOST_NUMBERS {
            let measured = self.accuracy.indexed_iter().filter(|(_, x)| x.is_finite());
            panel.extend(measured.map(|((i, j), &x)| {
                let ink = if x > 0.5 { Rgb::WHITE } else { Rgb::BLACK };
                let number = format!("{:.0}", 100.0 * x);
                Layer::text(j as f64 + 0.5, i as f64 + 0.5, &number, ink)
            }));
        }
        let bar = figure.cell(0, 1);
        bar.colour_bar([0.0, 1.0], ColourMap::Blues, "accuracy");
        vec![("", figure)]
    }
}

impl Forgetting {
    fn of(metrics: &Metrics) -> Result<Self, Unsuitable> {
        let ends = metrics.stage_ends();
        if ends.len() < 2 {
            let why = "the training has fewer than two stages that were validated; [[train.stage]] begins each";
            return Err(Unsuitable::lacks(why));
        }
        let tasks = tasks_of(metrics);
        let at = |step: f64, split: &str, column: &str| {
            let (steps, values) = metrics.curve(split, column);
            let place = steps.iter().rposition(|found| *found == step);
            place.map_or(f64::NAN, |place| values[place])
        };
        let accuracy = Array2::from_shape_fn((ends.len(), tasks.len()), |(i, j)| {
            at(ends[i].1, &tasks[j].1, &tasks[j].2)
        });
        if accuracy.iter().all(|x| x.is_nan()) {
            return Err(Unsuitable::lacks("no validation has an accuracy"));
        }
        Ok(Self {
            stages: ends.into_iter().map(|(name, _)| name).collect(),
            tasks: tasks.into_iter().map(|(name, ..)| name).collect(),
            accuracy,
        })
    }

    /// Returns the largest accuracy on a task at the end of a stage, minus that at the end of the last one.
    fn loss(&self, task: usize) -> f64 {
        let column = self.accuracy.column(task);
        let best = column.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        best - column[column.len() - 1]
    }
}

/// Returns the tasks of a training, each with the validation set and the column of its accuracy: those of a mixture, or of each
/// validation set.
fn tasks_of(metrics: &Metrics) -> Vec<(String, String, String)> {
    let of_mixture = metrics.columns_after("accuracy_");
    if of_mixture.is_empty() {
        let sets = metrics.validations().into_iter();
        sets.map(|split| {
            let name = split.strip_prefix("val.").unwrap_or("main set");
            (name.to_owned(), split.to_owned(), "accuracy".to_owned())
        })
        .collect()
    } else {
        let column = |task: String| {
            let column = format!("accuracy_{task}");
            (task, "val".to_owned(), column)
        };
        of_mixture.into_iter().map(column).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mixture in two stages, and the same with validation sets: the first task falls from 0.9 to 0.25.
    #[test]
    fn the_matrix_has_the_ends_of_stages() {
        let mixture = "step,split,accuracy,accuracy_go,accuracy_anti,stage\n\
            1,val,0.5,0.2,0.3,a\n2,val,0.6,0.9,0.3,a\n2,train,0.1,,,a\n3,val,0.5,0.5,0.5,b\n4,val,0.5,0.25,0.75,b\n";
        let sets = "step,split,accuracy,stage\n2,val,0.6,a\n2,val.go,0.9,a\n4,val,0.5,b\n4,val.go,0.25,b\n";
        let found = Forgetting::of(&Metrics::parse(mixture)).unwrap();
        assert_eq!(found.stages, ["a", "b"]);
        assert_eq!(found.tasks, ["go", "anti"]);
        assert_eq!(found.accuracy, ndarray::array![[0.9, 0.3], [0.25, 0.75]]);
        assert_eq!([found.loss(0), found.loss(1)], [0.65, 0.0]);
        assert!(found.statements()[0].starts_with("go: 25 % at the end, 65 % below"));
        let found = Forgetting::of(&Metrics::parse(sets)).unwrap();
        assert_eq!(found.tasks, ["main set", "go"]);
        assert_eq!(found.accuracy, ndarray::array![[0.6, 0.9], [0.5, 0.25]]);
        let without = Metrics::parse("step,split,accuracy\n1,val,0.5\n");
        assert!(Forgetting::of(&without).is_err());
    }
}
