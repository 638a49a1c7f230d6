//! Weight matrices sorted by cell type and preference, and block statistics.

use ctrnn_model::UnitGroup;
use ctrnn_tasks::counted;
use ndarray::{Array2, Axis};

use super::{Answer, Basis, NoOptions, Unsuitable};
use crate::blocks::{Block, blocks, reach_of, reordered, sorted_units};
use crate::channels::channel_ticks;
use crate::plot::{BAR_MM, ColourMap, Figure, Layer, Panel, Rgb, Ticks, up_to};
use crate::preference::{Preference, Preferences};
use crate::text::{short, spoken};
use crate::{ArrayDoc, Arrays, Study};

/// Fraction of the weights within the colour scale; larger ones are saturated.
const SHOWN: f64 = 0.98;

/// Weight matrices with grouped units, and statistics of the blocks between groups.
#[derive(Clone, Debug)]
pub struct SortedWeights {
    /// Order of units in the sorted matrices.
    pub order: Vec<usize>,
    /// Group of each unit: areas and cell types where the network has them, else excitatory and inhibitory units under
    /// Dale's law, otherwise units that prefer either choice, those without a preference, and silent ones.
    pub groups: Vec<usize>,
    /// Names of the groups.
    pub names: Vec<String>,
    /// Statistics of the weights between every pair of groups.
    pub blocks: Vec<Block>,
    /// Sorted recurrent weights, `[post, pre]`.
    pub recurrent: Array2<f64>,
    /// Sorted input weights, `[post, input]`.
    pub input: Array2<f64>,
    /// Sorted output weights, `[output, pre]`.
    pub output: Array2<f64>,
    /// Preference of each unit for one of two choices; `None` unless there are two.
    pub preferences: Option<Preferences>,
    /// Names of inputs and outputs.
    channels: [Vec<String>; 2],
    /// Criteria of the order of units.
    sorted_by: Vec<&'static str>,
}

impl Answer for SortedWeights {
    type Options = NoOptions;
    const BASIS: Basis = Basis::Weights;
    const SEES_GROUPS: bool = false;
    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new(
            "recurrent_sorted",
            "[post, pre]",
            "",
            "recurrent weights, sorted by group and preference",
        ),
        ArrayDoc::new(
            "input_sorted",
            "[post, input]",
            "",
            "input weights, in the same order of units",
        ),
        ArrayDoc::new(
            "output_sorted",
            "[output, pre]",
            "",
            "output weights, in the same order of units",
        ),
        ArrayDoc::new(
            "order",
            "[unit]",
            "",
            "units in the order of the sorted matrices, numbered from 0",
        ),
        ArrayDoc::new(
            "group",
            "[unit]",
            "",
            "group of each unit, as an index of group_names: of areas and cell types where the network has them, of excitatory and inhibitory under Dale's law, otherwise of prefer second choice, prefer first choice, no preference, silent, those that exist",
        ),
        ArrayDoc::new("group_names", "[group]", "", "names of the groups"),
        ArrayDoc::new(
            "preference",
            "[unit]",
            "",
            "1 prefers the second choice, -1 the first, 0 neither, NaN is silent; missing unless there are two choices",
        ),
        ArrayDoc::new(
            "d_prime",
            "[unit]",
            "",
            "d' of the two choices, positive for the second",
        ),
        ArrayDoc::new(
            "preference_p",
            "[unit]",
            "",
            "two-sided p-value of the rank-sum test between the choices",
        ),
        ArrayDoc::new(
            "block_mean",
            "[post group, pre group]",
            "",
            "mean weight of each block",
        ),
        ArrayDoc::new(
            "block_std",
            "[post group, pre group]",
            "",
            "standard deviation of the weights of each block",
        ),
        ArrayDoc::new(
            "block_density",
            "[post group, pre group]",
            "",
            "fraction of nonzero weights of each block",
        ),
    ];

    fn compute(study: &Study, _: &NoOptions) -> Result<Self, Unsuitable> {
        let network = &study.dynamics;
        let preferences = Preferences::of(study);
        let (names, groups) = unit_groups(study, preferences.as_ref());
        let criteria = [
            ("area", !study.groups.is_empty()),
            ("type", !study.groups.is_empty() || study.signs.is_some()),
            ("preference", preferences.is_some()),
        ];
        let sorted_by = criteria.into_iter().filter(|(_, is_used)| *is_used);
        let sorted_by = sorted_by.map(|(criterion, _)| criterion).collect();
        let d_prime = match &preferences {
            Some(preferences) => preferences.d_prime.to_vec(),
            None => vec![0.0; network.n_units()],
        };
        let order = sorted_units(&groups, &d_prime);
        Ok(Self {
            blocks: blocks(network.w_rc.view(), &groups),
            recurrent: reordered(network.w_rc.view(), &order),
            input: network.w_in.select(Axis(0), &order),
            output: network.w_out.select(Axis(1), &order),
            order,
            groups,
            names,
            preferences,
            channels: [study.input_names(), study.output_names()],
            sorted_by,
        })
    }

    fn arrays(&self) -> Arrays {
        let k = self.names.len();
        let table = |of: fn(&Block) -> f64| {
            Array2::from_shape_fn((k, k), |(i, j)| of(&self.blocks[i * k + j]))
        };
        let arrays = Arrays::default()
            .with("recurrent_sorted", &self.recurrent)
            .with("input_sorted", &self.input)
            .with("output_sorted", &self.output)
            .with("order", &self.order)
            .with("group", &self.groups)
            .with("group_names", &self.names)
            .with("block_mean", &table(|block| block.mean))
            .with("block_std", &table(|block| block.std))
            .with("block_density", &table(|block| block.density));
        let Some(Preferences {
            d_prime,
            p_values,
            units,
        }) = &self.preferences
        else {
            return arrays;
        };
        let code = |preference: &Preference| match preference {
            Preference::Second => 1.0,
            Preference::First => -1.0,
            Preference::None => 0.0,
            Preference::Silent => f64::NAN,
        };
        arrays
            .with("d_prime", d_prime)
            .with("preference_p", p_values)
            .with("preference", &units.iter().map(code).collect::<Vec<f64>>())
    }

    fn statements(&self) -> Vec<String> {
        let size = |k: usize| self.groups.iter().filter(|group| **group == k).count();
        let sizes = self.names.iter().enumerate();
        let sizes: Vec<String> = sizes
            .map(|(k, name)| format!("{} {name}", size(k)))
            .collect();
        let statement = |block: &Block| {
            let [post, pre] = block.groups.map(|group| &self.names[group]);
            format!(
                "{pre} to {post}: mean {}, standard deviation {}, density {}",
                short(block.mean),
                short(block.std),
                short(block.density)
            )
        };
        let n_units = counted(self.order.len(), "unit");
        std::iter::once(format!("{n_units}: {}", sizes.join(", ")))
            .chain(self.blocks.iter().map(statement))
            .collect()
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let columns_mm = [side_mm(self.input.ncols()), 48.0, BAR_MM];
        let mut figure = Figure::new(&columns_mm, &[48.0, side_mm(self.output.nrows())]);
        if self.input.ncols() > 0 {
            self.draw_input(figure.cell(0, 0));
        }
        let reach = self.draw_recurrent(figure.cell(0, 1));
        let bar = figure.cell(0, 2);
        let largest = up_to(self.recurrent.iter().map(|w| w.abs()))[1];
        let label = if largest > reach {
            format!("recurrent weight (up to {})", short(largest))
        } else {
            "recurrent weight".to_owned()
        };
        bar.colour_bar([-reach, reach], ColourMap::BlueWhiteRed, &label);
        if self.output.nrows() > 0 {
            self.draw_output(figure.cell(1, 1));
        }
        vec![("", figure)]
    }
}

impl SortedWeights {
    fn draw_input(&self, panel: &mut Panel) {
        let reach = draw_signed(panel, &self.input);
        let side_mm = side_mm(self.input.ncols());
        panel
            .title(format!("input (±{})", short(reach)))
            .x_ticks(channel_ticks(&self.channels[0], side_mm))
            .y_label("postsynaptic unit")
            .y_ticks(Ticks::first_and_last(self.order.len()));
    }

    /// Draws the recurrent weights, with lines between groups; returns the largest magnitude of the colour scale.
    fn draw_recurrent(&self, panel: &mut Panel) -> f64 {
        let reach = draw_signed(panel, &self.recurrent);
        let size = self.order.len() as f64;
        let below = |group: usize| self.groups.iter().filter(|g| **g < group).count() as f64;
        let n_groups = self.names.len();
        for edge in (1..n_groups).map(below) {
            for (x, y) in [([0.0, size], [edge; 2]), ([edge; 2], [0.0, size])] {
                let line = Layer::line(x.to_vec(), y.to_vec(), Rgb([90, 90, 90]));
                panel.add(line.wide(0.15));
            }
        }
        let middle = |k: usize| (below(k) + below(k + 1)) / 2.0;
        let names = self.names.iter().enumerate().filter(|_| n_groups > 1);
        let ticks = names.map(|(k, name)| (middle(k), name.clone()));
        panel
            .title(match self.sorted_by.as_slice() {
                [] => "recurrent".to_owned(),
                criteria => format!("recurrent, sorted by {}", criteria.join(", ")),
            })
            .x_ticks(Ticks::At(Vec::new()))
            .y_ticks(Ticks::At(ticks.collect()));
        reach
    }

    fn draw_output(&self, panel: &mut Panel) {
        let reach = draw_signed(panel, &self.output);
        let side_mm = side_mm(self.output.nrows());
        panel
            .title(format!("output (±{})", short(reach)))
            .x_label("presynaptic unit")
            .x_ticks(Ticks::first_and_last(self.order.len()))
            .y_ticks(channel_ticks(&self.channels[1], side_mm));
    }
}

/// Returns the length of the side of a matrix with `n` channels.
fn side_mm(n: usize) -> f64 {
    (2.5 * n as f64).clamp(5.0, 26.0)
}

/// Draws weights of both signs; returns the largest magnitude of the colour scale.
fn draw_signed(panel: &mut Panel, weights: &Array2<f64>) -> f64 {
    let reach = reach_of(weights, SHOWN);
    panel.matrix(weights, [-reach, reach], ColourMap::BlueWhiteRed);
    reach
}

/// Returns the names of the groups and the group of each unit: areas and cell types where the network has them, else
/// excitatory and inhibitory units under Dale's law, otherwise units that prefer either choice, those without a preference, and silent ones. Groups without a unit are
/// left out.
fn unit_groups(study: &Study, preferences: Option<&Preferences>) -> (Vec<String>, Vec<usize>) {
    if !study.groups.is_empty() {
        let groups = study.groups.iter();
        let name = |group: &UnitGroup| match &group.cell_type {
            Some(cell_type) => format!("{} {cell_type}", group.area),
            None => group.area.clone(),
        };
        let of_unit = groups.clone().enumerate();
        let of_unit = of_unit.flat_map(|(k, group)| vec![k; group.units.len()]);
        return (groups.map(name).collect(), of_unit.collect());
    }
    let layout = study.layout();
    let name = |choice: usize| format!("prefer {}", spoken(&layout.choice_name(choice)));
    let (names, groups): (Vec<String>, Vec<usize>) =
        match (&study.signs, preferences, &layout.alternatives()[..]) {
            (Some(signs), _, _) => {
                let names = ["excitatory", "inhibitory"].map(str::to_owned).to_vec();
                let is_inhibitory = signs.iter().map(|sign| usize::from(*sign < 0.0));
                (names, is_inhibitory.collect())
            }
            (None, Some(preferences), &[first, second]) => {
                let others = ["no preference", "silent"].map(str::to_owned);
                let names = [name(second), name(first)].into_iter().chain(others);
                let of_unit = preferences
                    .units
                    .iter()
                    .map(|&preference| preference as usize);
                (names.collect(), of_unit.collect())
            }
            _ => {
                let n_units = study.dynamics.n_units();
                return (vec!["all units".to_owned()], vec![0; n_units]);
            }
        };
    let present: Vec<usize> = (0..names.len()).filter(|k| groups.contains(k)).collect();
    let place = |group: &usize| present.iter().position(|k| k == group).unwrap_or(0);
    let groups = groups.iter().map(place).collect();
    (present.iter().map(|&k| names[k].clone()).collect(), groups)
}

#[cfg(test)]
mod tests {
    use ctrnn_tasks::{PerceptualDecision, Task};
    use ndarray::{Array3, s};

    use super::*;
    use crate::analyses::observer;
    use crate::plot::is_clean;

    /// Unit 0 is silent, unit 1 fires more before the choice of the right, unit 2 in every other cycle of conditions.
    #[test]
    fn units_without_a_preference_are_a_group() {
        let task = PerceptualDecision {
            coherences: vec![0.1, 0.2],
            input_noise: 0.0,
            ..PerceptualDecision::default()
        };
        let batch = observer::batch(&task, 4 * 10);
        let shape = (batch.n_trials, batch.max_steps, batch.n_outputs);
        let mut outputs = Array3::zeros(shape);
        let choices: Vec<usize> = batch.correct.iter().map(|c| c.expect("a side")).collect();
        for (b, &choice) in choices.iter().enumerate() {
            outputs.slice_mut(s![b, .., choice]).fill(1.0);
        }
        let mut study = observer::study(&task, batch, outputs);
        for (b, &choice) in choices.iter().enumerate() {
            study.rates.slice_mut(s![b, .., 1]).fill(choice as f64);
            let rate = if b / 4 % 2 == 0 { 0.3 } else { 0.5 };
            study.rates.slice_mut(s![b, .., 2]).fill(rate);
        }
        let found = SortedWeights::compute(&study, &NoOptions {}).unwrap();
        assert_eq!(found.names, ["prefer right", "no preference", "silent"]);
        assert_eq!(found.groups, [2, 0, 1]);
        assert_eq!(found.order, [1, 2, 0]);
        let preference = found.arrays()["preference"].to_f64().unwrap();
        assert!(preference[0].is_nan());
        assert_eq!(preference[1..], [1.0, 0.0]);
        let first = &found.statements()[0];
        let expected = "3 units: 1 prefer right, 1 no preference, 1 silent";
        assert_eq!(first, expected);
        let svg = found.figures()[0].1.to_svg();
        assert!(is_clean(&svg) && svg.contains(">no preference</text>"));
        for input in task.layout().inputs {
            assert!(svg.contains(&format!(">{input}</text>")), "{input}");
        }
    }
}
