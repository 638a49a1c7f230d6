//! Weight matrices sorted by cell type and preference, and block statistics.

use ndarray::{Array2, Axis};

use super::{Answer, Basis, NoOptions, Unsuitable};
use crate::blocks::{Block, blocks, reach_of, reordered, sorted_units};
use crate::plot::{BAR_MM, ColourMap, Figure, Layer, Panel, Rgb, Ticks};
use crate::text::{short, spoken};
use crate::{Arrays, Study};

/// Fraction of the weights within the colour scale; larger ones are saturated.
const SHOWN: f64 = 0.98;

/// Weight matrices with grouped units, and statistics of the blocks between groups.
#[derive(Clone, Debug)]
pub struct SortedWeights {
    /// Order of units in the sorted matrices.
    pub order: Vec<usize>,
    /// Group of each unit: excitatory and inhibitory units under Dale's law, otherwise units that prefer either choice.
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
    /// Names of inputs and outputs.
    channels: [Vec<String>; 2],
    has_types: bool,
}

impl Answer for SortedWeights {
    type Options = NoOptions;
    const BASIS: Basis = Basis::Weights;

    fn compute(study: &Study, _: &NoOptions) -> Result<Self, Unsuitable> {
        let network = &study.dynamics;
        let preference = match study.choice_preference() {
            Some(preference) => preference.to_vec(),
            None => vec![0.0; network.n_units()],
        };
        let (names, groups) = unit_groups(study, &preference);
        let order = sorted_units(&groups, &preference);
        let layout = study.layout();
        Ok(Self {
            blocks: blocks(network.w_rc.view(), &groups),
            recurrent: reordered(network.w_rc.view(), &order),
            input: network.w_in.select(Axis(0), &order),
            output: network.w_out.select(Axis(1), &order),
            order,
            groups,
            names,
            channels: [layout.inputs, layout.outputs],
            has_types: study.signs.is_some(),
        })
    }

    fn arrays(&self) -> Arrays {
        let k = self.names.len();
        let table = |of: fn(&Block) -> f64| {
            Array2::from_shape_fn((k, k), |(i, j)| of(&self.blocks[i * k + j]))
        };
        Arrays::default()
            .with("recurrent_sorted", &self.recurrent)
            .with("order", &self.order)
            .with("group", &self.groups)
            .with("block_mean", &table(|block| block.mean))
            .with("block_std", &table(|block| block.std))
            .with("block_density", &table(|block| block.density))
    }

    fn statements(&self) -> Vec<String> {
        let statement = |block: &Block| {
            let [post, pre] = block.groups.map(|group| &self.names[group]);
            format!(
                "{pre} to {post}: mean {}, standard deviation {}, density {}",
                short(block.mean),
                short(block.std),
                short(block.density)
            )
        };
        self.blocks.iter().map(statement).collect()
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let side_mm = |n: usize| (2.5 * n as f64).clamp(5.0, 26.0);
        let columns_mm = [side_mm(self.input.ncols()), 48.0, BAR_MM];
        let mut figure = Figure::new(&columns_mm, &[48.0, side_mm(self.output.nrows())]);
        if self.input.ncols() > 0 {
            self.draw_input(figure.cell(0, 0));
        }
        let reach = self.draw_recurrent(figure.cell(0, 1));
        let bar = figure.cell(0, 2);
        bar.colour_bar([-reach, reach], ColourMap::BlueWhiteRed, "recurrent weight");
        self.draw_output(figure.cell(1, 1));
        vec![("", figure)]
    }
}

impl SortedWeights {
    fn draw_input(&self, panel: &mut Panel) {
        let reach = draw_signed(panel, &self.input);
        let names = &self.channels[0];
        let n = self.input.ncols();
        let initials = names.iter().map(|name| name.chars().take(1).collect());
        panel
            .title(format!("input (±{})", short(reach)))
            .x_ticks(if n <= 3 {
                Ticks::named(&initials.collect::<Vec<String>>())
            } else {
                Ticks::first_and_last(n)
            })
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
        let by_preference = n_groups > 1 && !self.has_types;
        panel
            .title(if by_preference {
                "recurrent, sorted by preference"
            } else {
                "recurrent, sorted by type and preference"
            })
            .x_ticks(Ticks::At(ticks.collect()))
            .y_ticks(Ticks::At(Vec::new()));
        reach
    }

    fn draw_output(&self, panel: &mut Panel) {
        let reach = draw_signed(panel, &self.output);
        let names: Vec<String> = self.channels[1].iter().map(|name| spoken(name)).collect();
        panel
            .title(format!("output (±{})", short(reach)))
            .x_label("presynaptic unit")
            .x_ticks(Ticks::first_and_last(self.order.len()))
            .y_ticks(if self.output.nrows() <= 8 {
                Ticks::named(&names)
            } else {
                Ticks::At(Vec::new())
            });
    }
}

/// Draws weights of both signs; returns the largest magnitude of the colour scale.
fn draw_signed(panel: &mut Panel, weights: &Array2<f64>) -> f64 {
    let reach = reach_of(weights, SHOWN);
    panel.matrix(weights, [-reach, reach], ColourMap::BlueWhiteRed);
    reach
}

/// Returns the names of the groups and the group of each unit: excitatory and inhibitory units under Dale's law,
/// otherwise units that prefer either choice.
fn unit_groups(study: &Study, preference: &[f64]) -> (Vec<String>, Vec<usize>) {
    let layout = study.layout();
    let (names, is_second): ([String; 2], Vec<bool>) =
        match (&study.signs, &layout.alternatives()[..]) {
            (Some(signs), _) => {
                let names = ["excitatory", "inhibitory"].map(str::to_owned);
                (names, signs.iter().map(|sign| *sign < 0.0).collect())
            }
            (None, &[first, second]) => {
                let name = |choice| format!("prefer {}", spoken(&layout.choice_name(choice)));
                let names = [second, first].map(name);
                (names, preference.iter().map(|d| *d <= 0.0).collect())
            }
            _ => return (vec!["all units".to_owned()], vec![0; preference.len()]),
        };
    let groups: Vec<usize> = is_second.iter().copied().map(usize::from).collect();
    let has_both = is_second.contains(&true) && is_second.contains(&false);
    if has_both {
        return (names.to_vec(), groups);
    }
    let only = &names[groups[0]];
    let name = if study.signs.is_some() {
        only
    } else {
        "all units"
    };
    (vec![name.to_owned()], vec![0; preference.len()])
}
