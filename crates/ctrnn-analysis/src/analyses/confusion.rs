//! Confusion matrix of choices.

use ndarray::Array2;

use super::{Answer, NoOptions, Unsuitable};
use crate::plot::{BAR_MM, ColourMap, Figure, Layer, Rgb, Ticks};
use crate::text::spoken;
use crate::{ArrayDoc, Arrays, Study};

/// Largest number of choices for which the figure shows counts.
const MOST_NUMBERS: usize = 6;
/// Heights of the figure that a name of a row needs, and widths that one character of the name of a column needs.
const NAME_MM: f64 = 3.2;
const LETTER_MM: f64 = 1.4;

/// Counts of each choice for each correct choice.
#[derive(Clone, Debug)]
pub struct Confusion {
    /// Number of trials, `[correct choice, actual choice]`.
    pub counts: Array2<f64>,
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
    ];

    fn compute(study: &Study, _: &NoOptions) -> Result<Self, Unsuitable> {
        let layout = study.layout();
        let choices = layout.alternatives();
        let place = |choice: usize| choices.iter().position(|&c| c == choice);
        let n = choices.len();
        let mut counts = Array2::<f64>::zeros((n, n));
        for (right, made) in study.batch.correct.iter().zip(study.choices()) {
            if let Some((row, column)) = right.and_then(place).zip(made.and_then(place)) {
                counts[[row, column]] += 1.0;
            }
        }
        if n < 2 || counts.sum() == 0.0 {
            let why = "the task has no right choices among its outputs";
            return Err(Unsuitable::lacks(why));
        }
        let names = choices.iter().map(|&c| spoken(&layout.choice_name(c)));
        Ok(Self {
            counts,
            names: names.collect(),
            choices,
        })
    }

    fn arrays(&self) -> Arrays {
        Arrays::default()
            .with("counts", &self.counts)
            .with("choices", &self.choices)
            .with("names", &self.names)
    }

    fn statements(&self) -> Vec<String> {
        let right: f64 = self.counts.diag().sum() / self.counts.sum();
        vec![format!(
            "{:.1} % of the choices among {} are right",
            100.0 * right,
            self.choices.len()
        )]
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let n = self.choices.len();
        let fractions = Array2::from_shape_fn((n, n), |(i, j)| {
            self.counts[[i, j]] / self.counts.row(i).sum().max(1.0)
        });
        let side = (7.0 * n as f64).clamp(22.0, 60.0);
        let mut figure = Figure::new(&[side, BAR_MM], &[side]);
        let panel = figure.cell(0, 0).x_label("chosen").y_label("correct");
        let longest = self.names.iter().map(|name| name.chars().count()).max();
        let letters = longest.unwrap_or(0) as f64 + 1.0;
        panel
            .x_ticks(self.ticks(side, LETTER_MM * letters))
            .y_ticks(self.ticks(side, NAME_MM));
        panel.matrix(&fractions, [0.0, 1.0], ColourMap::Blues);
        if n <= MOST_NUMBERS {
            panel.extend(fractions.indexed_iter().map(|((i, j), &fraction)| {
                let ink = if fraction > 0.5 {
                    Rgb::WHITE
                } else {
                    Rgb::BLACK
                };
                let number = format!("{:.0}", self.counts[[i, j]]);
                Layer::text(j as f64 + 0.5, i as f64 + 0.5, &number, ink)
            }));
        }
        let bar = figure.cell(0, 1);
        bar.colour_bar([0.0, 1.0], ColourMap::Blues, "fraction of row");
        vec![("", figure)]
    }
}

impl Confusion {
    /// Returns the names of the choices along a side: as many as there is room for, at even distances.
    fn ticks(&self, side_mm: f64, name_mm: f64) -> Ticks {
        let room = (side_mm / name_mm).max(1.0);
        let every = (self.names.len() as f64 / room).ceil() as usize;
        let Ticks::At(all) = Ticks::named(&self.names) else {
            return Ticks::None;
        };
        Ticks::At(all.into_iter().step_by(every.max(1)).collect())
    }
}
