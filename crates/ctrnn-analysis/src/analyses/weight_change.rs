//! Weights before and after training.

use ctrnn_tasks::counted;
use ndarray::{Array1, Array2};

use super::{Answer, Basis, NoOptions, Unsuitable};
use crate::blocks::reach_of;
use crate::linear_algebra::svd;
use crate::plot::{Figure, Layer, Panel, colour, range_of, up_to};
use crate::text::{short, verb};
use crate::{ArrayDoc, Arrays, Study};

/// Largest number of singular values in the figure.
const MOST_VALUES: usize = 20;

/// Change of the weights by training.
#[derive(Clone, Debug)]
pub struct WeightChange {
    /// Name and weights, before and after training, of each matrix: input, recurrent, output.
    pub matrices: [(&'static str, [Array2<f64>; 2]); 3],
    /// Singular values of the change of the recurrent weights.
    pub singular_values: Array1<f64>,
}

impl Answer for WeightChange {
    type Options = NoOptions;
    const BASIS: Basis = Basis::Weights;
    const SEES_GROUPS: bool = false;
    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new(
            "change_singular_values",
            "[unit]",
            "",
            "singular values of the change of the recurrent weights",
        ),
        ArrayDoc::new(
            "{}_before",
            "[post, pre]",
            "",
            "input, recurrent or output weights before training",
        ),
        ArrayDoc::new(
            "{}_after",
            "[post, pre]",
            "",
            "input, recurrent or output weights after training",
        ),
    ];

    fn compute(study: &Study, _: &NoOptions) -> Result<Self, Unsuitable> {
        let before = study.before.as_ref();
        let before =
            before.ok_or_else(|| Unsuitable::lacks("the weights before training are not known"))?;
        let after = &study.dynamics;
        Ok(Self {
            matrices: [
                ("input", [&before.w_in, &after.w_in].map(Clone::clone)),
                ("recurrent", [&before.w_rc, &after.w_rc].map(Clone::clone)),
                ("output", [&before.w_out, &after.w_out].map(Clone::clone)),
            ],
            singular_values: svd((&after.w_rc - &before.w_rc).view())?.s,
        })
    }

    fn arrays(&self) -> Arrays {
        let arrays = Arrays::default().with("change_singular_values", &self.singular_values);
        let matrices = self.matrices.iter();
        matrices.fold(arrays, |arrays, (name, [before, after])| {
            arrays
                .with(format!("{name}_before"), before)
                .with(format!("{name}_after"), after)
        })
    }

    fn statements(&self) -> Vec<String> {
        let norm = |w: &Array2<f64>| w.iter().map(|w| w * w).sum::<f64>().sqrt();
        let matrices = self.matrices.iter().filter(|(_, [old, _])| !old.is_empty());
        let changes = matrices.map(|(name, [old, new])| {
            let change = norm(&(new - old));
            match norm(old) {
                0.0 => format!("{name} weights: from 0 to a norm of {}", short(change)),
                before => {
                    let part = short(change / before);
                    format!("{name} weights: changed by {part} of their norm")
                }
            }
        });
        changes.chain([self.rank_statement()]).collect()
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let (_, [before, after]) = &self.matrices[1];
        let mut figure = Figure::new(&[38.0, 38.0, 38.0], &[36.0]);
        let range = range_of(before.iter().chain(after).copied(), 0.05);
        let [x, y] = [before, after].map(|weights| weights.iter().copied().collect());
        figure
            .cell(0, 0)
            .title("recurrent weights")
            .x("before", range)
            .y("after", range)
            .add(Layer::points(x, y, colour(0)).radius(0.2))
            .add(Layer::guide(range, range));
        let change = after - before;
        let reach = reach_of(&change, 0.999);
        let values: Vec<f64> = change.into_iter().collect();
        let panel = figure.cell(0, 1);
        panel.histogram(["change", "connections"], &values, [-reach, reach], 30);
        self.draw_singular_values(figure.cell(0, 2));
        vec![("", figure)]
    }
}

impl WeightChange {
    /// Describes the dimensionality of the change of the recurrent weights.
    fn rank_statement(&self) -> String {
        let energies = self.singular_values.mapv(|s| s * s);
        let energy: f64 = energies.sum();
        if energy == 0.0 {
            return "the recurrent weights did not change".to_owned();
        }
        let mut sum = 0.0;
        let rank = energies.iter().take_while(|part| {
            let is_more = sum < 0.9 * energy;
            sum += **part;
            is_more
        });
        let rank = rank.count();
        format!(
            "{} {} 90 % of the change of the recurrent weights",
            counted(rank, "singular value"),
            verb(rank, ["holds", "hold"])
        )
    }

    fn draw_singular_values(&self, panel: &mut Panel) {
        let values = self.singular_values.to_vec();
        let shown = values.len().min(MOST_VALUES);
        let x = (1..=shown).map(|k| k as f64).collect();
        panel
            .x("singular value of the change", [0.4, shown as f64 + 0.6])
            .y("size", [0.0, 1.05 * up_to(values.clone())[1]])
            .add(Layer::points(x, values[..shown].to_vec(), colour(0)).radius(0.7));
    }
}
