//! Accuracy by condition.

use ndarray::Array2;

use super::{Answer, NoOptions, Unsuitable};
use crate::evidence::distinct;
use crate::plot::{Figure, Layer, Panel, Ticks, colour, panel_mm};
use crate::sigmoid::Level;
use crate::text::{short, spoken};
use crate::{Arrays, Study};

/// Largest number of conditions in the figure.
const MOST_PANELS: usize = 4;

/// Fraction of correct trials, overall and at every level of every condition.
#[derive(Clone, Debug)]
pub struct Accuracy {
    /// True for each correct trial; `None` for a trial without a correct answer.
    pub is_correct: Vec<Option<bool>>,
    /// Conditions that vary across trials.
    pub conditions: Vec<Condition>,
    /// Chance level, if it is known.
    pub chance: Option<f64>,
}

/// Accuracy at each level of a condition.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Name of the condition.
    pub name: String,
    /// Trials at each level; `chosen` counts the correct ones.
    pub levels: Vec<Level>,
    /// Name of each level, if it has one.
    pub level_names: Vec<Option<String>>,
}

impl Answer for Accuracy {
    type Options = NoOptions;

    fn compute(study: &Study, _: &NoOptions) -> Result<Self, Unsuitable> {
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
            let levels = binned(&condition.levels);
            self.draw(figure.cell(0, k), &name, &levels, width_mm);
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
        // A digit is about 1.4 mm wide in this font size.
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

/// Returns the trials with an answer at each value of a condition, in ascending order.
fn levels(values: &[f64], correct: &[Option<bool>]) -> Vec<Level> {
    let answered = values.iter().zip(correct);
    let mut answered: Vec<(f64, bool)> = answered
        .filter_map(|(x, right)| right.filter(|_| !x.is_nan()).map(|right| (x + 0.0, right))) // -0 is 0
        .collect();
    answered.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let of_one = |equal: &[(f64, bool)]| Level {
        x: equal[0].0,
        n: equal.len(),
        chosen: equal.iter().filter(|(_, right)| *right).count(),
    };
    answered
        .chunk_by(|(a, _), (b, _)| a == b)
        .map(of_one)
        .collect()
}

/// Returns the levels unchanged, or if there are too many to draw, groups of neighbouring levels with about equal
/// numbers of trials, each at its mean value.
fn binned(levels: &[Level]) -> Vec<Level> {
    const MOST: usize = 50;
    const BINS: usize = 20;
    if levels.len() <= MOST {
        return levels.to_vec();
    }
    let n_trials: usize = levels.iter().map(|level| level.n).sum();
    let mut before = 0;
    let mut bins: Vec<(usize, Level)> = Vec::new();
    for &level in levels {
        let bin = before * BINS / n_trials;
        before += level.n;
        match bins.last_mut() {
            Some((last, all)) if *last == bin => {
                let n = all.n + level.n;
                let part = level.n as f64 / n as f64;
                *all = Level {
                    x: all.x * (1.0 - part) + level.x * part,
                    n,
                    chosen: all.chosen + level.chosen,
                };
            }
            _ => bins.push((bin, level)),
        }
    }
    bins.into_iter().map(|(_, level)| level).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NaN values and trials without an answer are left out; -0 equals 0.
    #[test]
    fn levels_are_sorted_and_counted() {
        let values = [2.0, -0.0, f64::NAN, 0.0, 2.0, 1.0];
        let correct = [
            Some(true),
            Some(true),
            Some(true),
            Some(false),
            Some(true),
            None,
        ];
        let found = levels(&values, &correct);
        let found: Vec<_> = found.iter().map(|l| (l.x, l.n, l.chosen)).collect();
        assert_eq!(found, [(0.0, 2, 1), (2.0, 2, 2)]);
    }

    /// Checks that the number of points is limited for any number of values, and that no trial is lost.
    #[test]
    fn many_values_are_drawn_in_groups() {
        let each = |n: usize| {
            let one = |k| Level {
                x: k as f64,
                n: 1,
                chosen: k % 2,
            };
            binned(&(0..n).map(one).collect::<Vec<_>>())
        };
        assert_eq!(each(50).len(), 50);
        let found = each(10_000);
        assert_eq!(found.len(), 20);
        assert!(
            found
                .iter()
                .all(|level| (level.n, level.chosen) == (500, 250))
        );
        assert!((found[0].x - 249.5).abs() < 1e-9, "{}", found[0].x);
    }
}
