//! Accuracy by condition.

use ctrnn_tasks::{Meaning, Quantity, counted};
use ndarray::Array2;

use super::{Answer, NoOptions, Unsuitable};
use crate::evidence::quantity_of;
use crate::groups::numbers;
use crate::plot::{Figure, Layer, Panel, Ticks, colour, panel_mm};
use crate::sigmoid::Level;
use crate::text::{are, short, spoken};
use crate::{ArrayDoc, Arrays, Study};

/// Largest number of conditions in the figure.
const MOST_PANELS: usize = 4;
/// Height of a row with the name of a level.
const ROW_MM: f64 = 3.2;

/// Fraction of correct trials, overall and at every level of every condition.
#[derive(Clone, Debug)]
pub struct Accuracy {
    /// True for each correct trial; `None` for a trial without a correct answer.
    pub is_correct: Vec<Option<bool>>,
    /// Conditions that vary across trials with an answer; with `--by` the groups of trials.
    pub conditions: Vec<Condition>,
    /// Chance level, if it is known.
    pub chance: Option<f64>,
    /// True for a mixture of tasks, whose chance level is the mean of those of its tasks.
    pub is_mixture: bool,
}

/// Accuracy at each level of a condition.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Name of the condition.
    pub name: String,
    /// Label, unit and scale of the levels.
    pub quantity: Quantity,
    /// Trials at each level; `chosen` counts the correct ones.
    pub levels: Vec<Level>,
    /// Name of each level; empty for levels that are numbers.
    pub level_names: Vec<String>,
}

impl Answer for Accuracy {
    type Options = NoOptions;
    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new(
            "accuracy",
            "[1]",
            "",
            "fraction of correct trials among those with a correct answer",
        ),
        ArrayDoc::new(
            "is_correct",
            "[trial]",
            "",
            "1 for a correct trial, 0 for a wrong one, 2 for one without a correct answer",
        ),
        ArrayDoc::new(
            "by_{}",
            "[level, 3]",
            "condition, fraction, trials",
            "for each level of the condition of this name: its value, the fraction of correct trials, and the number of trials",
        ),
        ArrayDoc::new(
            "names_of_{}",
            "[level]",
            "",
            "names of the levels of the condition of this name; missing if they are numbers",
        ),
    ];

    fn compute(study: &Study, _: &NoOptions) -> Result<Self, Unsuitable> {
        let is_correct = study.is_correct();
        if is_correct.iter().all(Option::is_none) {
            return Err(Unsuitable::lacks("the task has no correct answers"));
        }
        let conditions = if study.by.is_empty() {
            let columns = study.batch.conditions.iter();
            columns
                .filter(|(name, _)| study.task.meaning(name) != Meaning::Index)
                .map(|(name, values)| condition(study, name, levels(values, &is_correct)))
                .filter(|condition| condition.levels.len() > 1)
                .collect()
        } else {
            vec![crossed(study, &is_correct)?]
        };
        Ok(Self {
            conditions,
            chance: study.task.chance(),
            is_mixture: !study.task.mixed_tasks().is_empty(),
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
            let arrays = arrays.with(format!("by_{}", condition.name), &table);
            let names = &condition.level_names;
            if names.is_empty() {
                arrays
            } else {
                arrays.with(format!("names_of_{}", condition.name), names)
            }
        })
    }

    fn statements(&self) -> Vec<String> {
        let whole = self.whole();
        let percent = |level: &Level| 100.0 * level.fraction();
        let mut statements = vec![format!(
            "{:.1} % of {} correct",
            percent(&whole),
            are(whole.n, "trial")
        )];
        for condition in &self.conditions {
            let named = condition.levels.iter().zip(&condition.level_names);
            statements.extend(named.map(|(level, name)| {
                let (label, n) = (&condition.quantity.label, counted(level.n, "trial"));
                let equals = if label.is_empty() { "" } else { " = " };
                format!("{label}{equals}{name}: {:.1} % of {n}", percent(level))
            }));
        }
        statements.push("error bars: 95 % intervals (Wilson 1927)".to_owned());
        statements
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let shown = &self.conditions[..self.conditions.len().min(MOST_PANELS)];
        let n = shown.len().max(1);
        let width_mm = panel_mm(n, 38.0);
        let most_names = shown
            .iter()
            .map(|condition| condition.level_names.len())
            .max();
        let height_mm = f64::max(32.0, ROW_MM * most_names.unwrap_or(0) as f64);
        let mut figure = Figure::new(&vec![width_mm; n], &[height_mm]);
        let counts = shown.iter().flat_map(|condition| &condition.levels);
        let counts = numbers(counts.map(|level| level.n).filter(|n| *n > 0));
        figure.title = self.title(&counts);
        for (k, condition) in shown.iter().enumerate() {
            let panel = figure.cell(0, k);
            if condition.level_names.is_empty() {
                self.draw(panel, condition, width_mm);
            } else {
                self.draw_named(panel, condition);
            }
        }
        if shown.is_empty() {
            figure.title = self.title(&numbers([self.whole().n]));
            self.draw_named(figure.cell(0, 0), &self.as_condition());
        }
        vec![("", figure)]
    }
}

impl Accuracy {
    /// Returns a condition without a name that has all trials in one level.
    fn as_condition(&self) -> Condition {
        Condition {
            name: String::new(),
            quantity: Quantity {
                label: String::new(),
                unit: String::new(),
                factor: 1.0,
            },
            levels: vec![self.whole()],
            level_names: vec!["all trials".to_owned()],
        }
    }

    /// Returns all trials with an answer as one level.
    fn whole(&self) -> Level {
        let answered = self.is_correct.iter().flatten();
        Level {
            x: 0.0,
            n: answered.clone().count(),
            chosen: answered.filter(|right| **right).count(),
        }
    }

    /// Draws the levels of a quantity from left to right.
    fn draw(&self, panel: &mut Panel, condition: &Condition, width_mm: f64) {
        let levels = binned(&condition.levels);
        let text = |level: &Level| short(condition.quantity.factor * level.x);
        let x: Vec<f64> = (0..levels.len()).map(|k| k as f64 + 0.5).collect();
        let intervals: Vec<[f64; 2]> = levels.iter().map(Level::interval).collect();
        // A digit is about 1.4 mm wide in this font size.
        let label_mm = |level: &Level| 1.4 * text(level).chars().count() as f64 + 1.5;
        let needed_mm = levels.iter().map(label_mm).sum::<f64>();
        let every = ((needed_mm / width_mm).ceil() as usize).max(1);
        let labels = levels.iter().map(text);
        let ticks = x.iter().copied().zip(labels).step_by(every);
        let n = levels.len() as f64;
        panel
            .x(&condition.quantity.axis(), [0.0, n])
            .x_ticks(Ticks::At(ticks.collect()))
            .y("fraction correct", [0.0, 1.02])
            .extend(
                self.chance
                    .map(|chance| Layer::guide([0.0, n], [chance; 2])),
            )
            .extend(Layer::error_bars(&x, &intervals, colour(0)));
        let y = levels.iter().map(Level::fraction).collect();
        panel.add(Layer::points(x, y, colour(0)));
    }

    /// Returns the title of a figure with these numbers of trials.
    fn title(&self, counts: &str) -> String {
        let chance = match (self.chance, self.is_mixture) {
            (None, _) => "",
            (Some(_), false) => "; dashed: chance",
            (Some(_), true) => "; dashed: mean chance of the tasks",
        };
        format!("{counts}; bars: 95 % intervals{chance}")
    }

    /// Draws levels with names from top to bottom.
    fn draw_named(&self, panel: &mut Panel, condition: &Condition) {
        let n = condition.levels.len() as f64;
        let y: Vec<f64> = (0..condition.levels.len())
            .map(|k| k as f64 + 0.5)
            .collect();
        let bar = |(level, &y): (&Level, &f64)| {
            Layer::line(level.interval().to_vec(), vec![y; 2], colour(0)).wide(0.2)
        };
        panel
            .title(&*condition.quantity.label)
            .x("fraction correct", [0.0, 1.02])
            .y("", [n, 0.0])
            .y_ticks(Ticks::named(&condition.level_names))
            .extend(
                self.chance
                    .map(|chance| Layer::guide([chance; 2], [0.0, n])),
            )
            .extend(condition.levels.iter().zip(&y).map(bar));
        let x = condition.levels.iter().map(Level::fraction).collect();
        panel.add(Layer::points(x, y, colour(0)));
    }
}

/// Describes the levels of a condition.
fn condition(study: &Study, name: &str, levels: Vec<Level>) -> Condition {
    let value_name = |level: &Level| study.task.value_name(name, level.x);
    let is_named = levels.iter().any(|level| value_name(level).is_some());
    let level_name = |level: &Level| {
        let known = value_name(level);
        known.map_or_else(|| short(level.x), |name| spoken(&name))
    };
    Condition {
        name: name.to_owned(),
        quantity: quantity_of(study.task, name),
        level_names: levels.iter().filter(|_| is_named).map(level_name).collect(),
        levels,
    }
}

/// Returns the groups of trials by `study.by` as the levels of one condition, numbered from 0.
fn crossed(study: &Study, is_correct: &[Option<bool>]) -> Result<Condition, Unsuitable> {
    let (mut levels, mut level_names) = (Vec::new(), Vec::new());
    for cell in study.cells(&study.by)? {
        let answered = || cell.trials.iter().filter_map(|&b| is_correct[b]);
        if answered().next().is_some() {
            levels.push(Level {
                x: levels.len() as f64,
                n: answered().count(),
                chosen: answered().filter(|right| *right).count(),
            });
            level_names.push(cell.name);
        }
    }
    Ok(Condition {
        name: study.by.join("_"),
        quantity: Quantity {
            label: String::new(),
            unit: String::new(),
            factor: 1.0,
        },
        levels,
        level_names,
    })
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
    use ctrnn_tasks::Multisensory;
    use ndarray::{Array3, s};

    use super::*;
    use crate::analyses::observer;

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

    /// Conditions have the labels, units and names of the task; the catch trials, which have no correct answer, are in
    /// none of them. With `--by` there is a level for each combination.
    #[test]
    fn conditions_have_names() {
        let task = Multisensory {
            rates_hz: vec![10.0, 15.0],
            input_noise: 0.0,
            ..Multisensory::default()
        };
        let batch = observer::batch(&task, 70);
        let shape = (batch.n_trials, batch.max_steps, batch.n_outputs);
        let mut outputs = Array3::zeros(shape);
        outputs.slice_mut(s![.., .., 2]).fill(1.0);
        let mut study = observer::study(&task, batch, outputs);
        let found = Accuracy::compute(&study, &NoOptions {}).unwrap();
        let names: Vec<&str> = found.conditions.iter().map(|c| &c.name[..]).collect();
        assert_eq!(names, ["modality", "rate_hz"]);
        assert_eq!(
            found.conditions[0].level_names,
            ["visual", "auditory", "both"]
        );
        assert_eq!(found.conditions[1].quantity.axis(), "rate (Hz)");
        assert_eq!(
            found.statements(),
            [
                "50.0 % of 60 trials are correct",
                "modality = visual: 50.0 % of 20 trials",
                "modality = auditory: 50.0 % of 20 trials",
                "modality = both: 50.0 % of 20 trials",
                "error bars: 95 % intervals (Wilson 1927)",
            ]
        );
        let svg = found.figures()[0].1.to_svg();
        assert!(svg.contains(">auditory</text>") && svg.contains(">rate (Hz)</text>"));
        study.by = vec!["modality".to_owned(), "rate_hz".to_owned()];
        let found = Accuracy::compute(&study, &NoOptions {}).unwrap();
        let said = found.statements();
        assert_eq!(
            said[1],
            "modality = visual, rate = 10 Hz: 0.0 % of 10 trials"
        );
        assert_eq!(
            said[2],
            "modality = visual, rate = 15 Hz: 100.0 % of 10 trials"
        );
    }
}
