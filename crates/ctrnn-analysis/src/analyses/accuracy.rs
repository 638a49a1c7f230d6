//! Accuracy by condition.

use ndarray::Array2;

use super::{Answer, Unsuitable};
use crate::evidence::distinct;
use crate::plot::{Figure, Layer, Panel, Ticks, colour, panel_mm};
use crate::sigmoid::Level;
use crate::text::{short, spoken};
use crate::{Arrays, Study};

/// Conditions in the figure.
const MOST_PANELS: usize = 4;

/// Fraction of right trials, overall and at every level of every condition.
#[derive(Clone, Debug)]
pub struct Accuracy {
    /// True where the network was right; none in a trial without a right answer.
    pub is_correct: Vec<Option<bool>>,
    /// Conditions that differ from trial to trial.
    pub conditions: Vec<Condition>,
    /// The accuracy of guessing, where it is known.
    pub chance: Option<f64>,
}

/// A condition of the trials, level by level.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Its name.
    pub name: String,
    /// Trials at each level, `chosen` being those that are right.
    pub levels: Vec<Level>,
    /// The name of each level, where it has one.
    pub level_names: Vec<Option<String>>,
}

impl Answer for Accuracy {
    type Options = ();

    fn compute(study: &Study, (): &()) -> Result<Self, Unsuitable> {
        let is_correct = study.is_correct();
        if is_correct.iter().all(Option::is_none) {
            return Err(Unsuitable::lacks("the task has no right answers"));
        }
        let columns = study.batch.conditions.iter();
        let conditions = columns
            .filter(|(_, values)| distinct(values.iter().copied()).len() > 1)
            .map(|(name, values)| {
                let levels = levels(values, &is_correct);
                let names = levels.iter().map(|l| study.task.value_name(name, l.x));
                Condition {
                    name: name.clone(),
                    level_names: names.collect(),
                    levels,
                }
            });
        Ok(Self {
            conditions: conditions.collect(),
            chance: study.task.chance(),
            is_correct,
        })
    }

    fn arrays(&self) -> Arrays {
        let whole = self.whole();
        let codes = self.is_correct.iter().map(|c| c.map_or(2, usize::from));
        let arrays = Arrays::default()
            .with("accuracy", &whole.fraction())
            .with("is_correct", &codes.collect::<Vec<usize>>());
        self.conditions.iter().fold(arrays, |arrays, condition| {
            let levels = &condition.levels;
            let table = Array2::from_shape_fn((levels.len(), 3), |(i, k)| match k {
                0 => levels[i].x,
                1 => levels[i].fraction(),
                _ => levels[i].n as f64,
            });
            arrays.with(format!("by_{}", condition.name), &table)
        })
    }

    fn statements(&self) -> Vec<String> {
        let whole = self.whole();
        let percent = |level: &Level| 100.0 * level.fraction();
        let mut statements = vec![format!(
            "{:.1} % of {} trials are right",
            percent(&whole),
            whole.n
        )];
        for condition in &self.conditions {
            for (level, name) in condition.levels.iter().zip(&condition.level_names) {
                statements.extend(name.as_ref().map(|name| {
                    let (key, value) = (spoken(&condition.name), spoken(name));
                    format!("{key} {}, {value}: {:.1} %", level.x, percent(level))
                }));
            }
        }
        statements
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let n = self.conditions.len().clamp(1, MOST_PANELS);
        let width_mm = panel_mm(n, 38.0);
        let mut figure = Figure::new(&vec![width_mm; n], &[32.0]);
        for (k, condition) in self.conditions.iter().take(n).enumerate() {
            let name = spoken(&condition.name);
            self.draw(figure.cell(0, k), &name, &condition.levels, width_mm);
        }
        if self.conditions.is_empty() {
            self.draw(figure.cell(0, 0), "all trials", &[self.whole()], width_mm);
        }
        figure.cell(0, 0).y_label("fraction right");
        vec![("", figure)]
    }
}

impl Accuracy {
    /// Returns all trials with an answer as one level.
    fn whole(&self) -> Level {
        let answered = self.is_correct.iter().flatten();
        Level {
            x: 0.0,
            n: answered.clone().count(),
            chosen: answered.filter(|right| **right).count(),
        }
    }

    fn draw(&self, panel: &mut Panel, name: &str, levels: &[Level], width_mm: f64) {
        let x: Vec<f64> = (0..levels.len()).map(|k| k as f64 + 0.5).collect();
        let intervals: Vec<[f64; 2]> = levels.iter().map(Level::interval).collect();
        // A digit is about 1.4 mm wide.
        let label_mm = |level: &Level| 1.4 * short(level.x).chars().count() as f64 + 1.5;
        let needed_mm = levels.iter().map(label_mm).sum::<f64>();
        let every = ((needed_mm / width_mm).ceil() as usize).max(1);
        let labels = levels.iter().map(|level| short(level.x));
        let ticks = x.iter().copied().zip(labels).step_by(every);
        let n = levels.len() as f64;
        panel
            .x(name, [0.0, n])
            .x_ticks(Ticks::At(ticks.collect()))
            .y("", [0.0, 1.02])
            .add(Layer::guide([0.0, n], [self.chance.unwrap_or(0.0); 2]))
            .extend(Layer::error_bars(&x, &intervals, colour(0)));
        let y = levels.iter().map(Level::fraction).collect();
        panel.add(Layer::points(x, y, colour(0)));
    }
}

/// Returns the trials with an answer at each value of a condition.
fn levels(values: &[f64], is_correct: &[Option<bool>]) -> Vec<Level> {
    let level = |x: f64| {
        let here = (0..values.len()).filter(|&b| values[b] == x);
        let answered: Vec<bool> = here.filter_map(|b| is_correct[b]).collect();
        let (n, chosen) = (answered.len(), answered.iter().filter(|c| **c).count());
        Level { x, n, chosen }
    };
    let all = distinct(values.iter().copied()).into_iter().map(level);
    all.filter(|level| level.n > 0).collect()
}
