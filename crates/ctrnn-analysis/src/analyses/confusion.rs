//! Confusion matrix of choices.

use ndarray::{Array2, Array3};

use super::{Answer, NoOptions, Unsuitable};
use crate::groups::{BY_NAMES, MOST_GROUP_PANELS, numbers};
use crate::plot::{BAR_MM, ColourMap, Figure, Layer, Panel, Rgb, Ticks, panel_mm};
use crate::text::spoken;
use crate::{ArrayDoc, Arrays, Study};

/// Largest number of choices for which the figure shows counts.
const MOST_NUMBERS: usize = 6;
/// Length of a side that the name of a row or column needs.
const NAME_MM: f64 = 3.2;
/// Largest number of panels in a row.
const IN_A_ROW: usize = 4;

/// Counts of each choice for each correct choice.
#[derive(Clone, Debug)]
pub struct Confusion {
    /// Number of trials, `[correct choice, actual choice]`.
    pub counts: Array2<f64>,
    /// Name of each group of `study.by`, and the numbers in it.
    pub groups: Vec<(String, Array2<f64>)>,
    /// Choices, as indices of outputs.
    pub choices: Vec<usize>,
    /// Names of the choices.
    pub names: Vec<String>,
}

impl Answer for Confusion {
    type Options = NoOptions;
    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new(
            "counts",
            "[correct choice, actual choice]",
            "trials",
            "number of trials",
        ),
        ArrayDoc::new(
            "choices",
            "[choice]",
            "",
            "choices, as indices of outputs; 0 and 1 for the sign of a single one",
        ),
        ArrayDoc::new("names", "[choice]", "", "names of the choices"),
        ArrayDoc::new(
            "counts_by",
            "[group, correct choice, actual choice]",
            "trials",
            "number of trials in each group of --by",
        ),
        BY_NAMES,
    ];

    fn compute(study: &Study, _: &NoOptions) -> Result<Self, Unsuitable> {
        let layout = study.layout();
        let choices = layout.alternatives();
        let place = |choice: usize| choices.iter().position(|&c| c == choice);
        let n = choices.len();
        let made = study.choices();
        let counted = |trials: &[usize]| {
            let mut counts = Array2::<f64>::zeros((n, n));
            for &b in trials {
                let right = study.batch.correct[b].and_then(place);
                if let Some((row, column)) = right.zip(made[b].and_then(place)) {
                    counts[[row, column]] += 1.0;
                }
            }
            counts
        };
        let groups = study.groups_by()?.into_iter();
        let groups = groups.map(|group| (group.name, counted(&group.trials)));
        let counts = counted(&(0..study.batch.n_trials).collect::<Vec<_>>());
        if n < 2 || counts.sum() == 0.0 {
            let why = "the task has no correct choices among its outputs";
            return Err(Unsuitable::lacks(why));
        }
        let names = choices.iter().map(|&c| spoken(&layout.choice_name(c)));
        Ok(Self {
            groups: groups.collect(),
            counts,
            names: names.collect(),
            choices,
        })
    }

    fn arrays(&self) -> Arrays {
        let arrays = Arrays::default()
            .with("counts", &self.counts)
            .with("choices", &self.choices)
            .with("names", &self.names);
        if self.groups.is_empty() {
            return arrays;
        }
        let names: Vec<String> = self.groups.iter().map(|(name, _)| name.clone()).collect();
        let n = self.choices.len();
        let by = Array3::from_shape_fn((names.len(), n, n), |(g, i, j)| self.groups[g].1[[i, j]]);
        arrays.with("counts_by", &by).with(BY_NAMES.name, &names)
    }

    fn statements(&self) -> Vec<String> {
        let percent = |counts: &Array2<f64>| 100.0 * counts.diag().sum() / counts.sum();
        let whole = format!(
            "{:.1} % of the choices among {} are correct, in the {} with a choice and a correct one (accuracy counts trials without a choice as wrong)",
            percent(&self.counts),
            self.choices.len(),
            ctrnn_tasks::counted(self.counts.sum() as usize, "trial")
        );
        let groups = self.groups.iter().map(|(name, counts)| match counts.sum() {
            0.0 => format!("{name}: no trial with a correct choice"),
            _ => format!("{name}: {:.1} %", percent(counts)),
        });
        std::iter::once(whole).chain(groups).collect()
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let shown: Vec<(&str, &Array2<f64>)> = if self.groups.is_empty() {
            vec![("", &self.counts)]
        } else {
            let groups = self.groups.iter().take(MOST_GROUP_PANELS);
            groups.map(|(name, counts)| (&name[..], counts)).collect()
        };
        let n_columns = shown.len().min(IN_A_ROW);
        let side = (7.0 * self.choices.len() as f64).clamp(22.0, 60.0);
        let side = panel_mm(n_columns, side);
        let mut columns = vec![side; n_columns];
        columns.push(BAR_MM);
        let mut figure = Figure::new(&columns, &vec![side; shown.len().div_ceil(IN_A_ROW)]);
        figure.title = numbers(shown.iter().map(|(_, counts)| counts.sum() as usize));
        if self.choices.len() <= MOST_NUMBERS {
            figure.title += "; in cells: trials";
        }
        for (k, (name, counts)) in shown.into_iter().enumerate() {
            let panel = figure.cell(k / IN_A_ROW, k % IN_A_ROW).title(name);
            self.draw(panel, counts, side);
            if k % IN_A_ROW > 0 {
                panel.y_label("").y_ticks(Ticks::At(Vec::new()));
            }
        }
        let bar = figure.cell(0, n_columns);
        bar.colour_bar([0.0, 1.0], ColourMap::Blues, "fraction of row");
        vec![("", figure)]
    }
}

impl Confusion {
    /// Draws the fraction of each choice among the trials of a correct choice.
    fn draw(&self, panel: &mut Panel, counts: &Array2<f64>, side_mm: f64) {
        let n = self.choices.len();
        let fractions = Array2::from_shape_fn((n, n), |(i, j)| {
            counts[[i, j]] / counts.row(i).sum().max(1.0)
        });
        let every = (n as f64 * NAME_MM / side_mm).ceil().max(1.0) as usize;
        let ticks = || {
            let places = (0..n).map(|k| k as f64 + 0.5);
            let all = places.zip(self.names.iter().cloned());
            Ticks::At(all.step_by(every).collect())
        };
        panel
            .x_label("chosen")
            .y_label("correct")
            .x_ticks(ticks())
            .y_ticks(ticks())
            .matrix(&fractions, [0.0, 1.0], ColourMap::Blues);
        if n <= MOST_NUMBERS {
            panel.extend(fractions.indexed_iter().map(|((i, j), &fraction)| {
                let ink = if fraction > 0.5 {
                    Rgb::WHITE
                } else {
                    Rgb::BLACK
                };
                let number = format!("{:.0}", counts[[i, j]]);
                Layer::text(j as f64 + 0.5, i as f64 + 0.5, &number, ink)
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, array};

    use super::*;
    use crate::analyses::synthetic::Synthetic;

    /// One choice of the context of colour is wrong; the counts of groups add up to those of all.
    #[test]
    fn the_groups_of_by_have_matrices_of_their_own() {
        let context: Vec<f64> = (0..6).map(|b| (b % 2) as f64).collect();
        let choices = [0, 0, 1, 0, 1, 1];
        let rates = Array3::zeros((6, 2, 2));
        let synthetic =
            Synthetic::with_choices(&[("context", context)], rates, &choices, &[2; 6], 2);
        let mut study = synthetic.study();
        assert!(
            Confusion::compute(&study, &NoOptions {})
                .unwrap()
                .groups
                .is_empty()
        );
        study.by = vec!["context".to_owned()];
        study.batch.correct[3] = Some(1);
        let found = Confusion::compute(&study, &NoOptions {}).unwrap();
        let expected = [
            (
                "context = motion".to_owned(),
                array![[1.0, 0.0], [0.0, 2.0]],
            ),
            (
                "context = colour".to_owned(),
                array![[1.0, 0.0], [1.0, 1.0]],
            ),
        ];
        assert_eq!(found.groups, expected);
        assert_eq!(found.counts, &expected[0].1 + &expected[1].1);
        assert_eq!(found.statements()[2], "context = colour: 66.7 %");
        assert_eq!(found.arrays()["counts_by"].shape(), [2, 2, 2]);
    }
}
