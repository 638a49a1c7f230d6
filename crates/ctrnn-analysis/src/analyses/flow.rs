//! Flow fields: direction and speed of the dynamics on a plane through the state space.

use ndarray::{Array1, Array2, Array3, ArrayView2, s};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answer, Unsuitable};
use crate::held_inputs::{HELD_ARRAYS, HeldInputs, HeldOptions};
use crate::plot::{BAR_MM, ColourMap, Figure, Layer, Rgb, panel_mm, range_of, up_to};
use crate::text::short;
use crate::{ArrayDoc, Arrays, Dynamics, Pca, Study};

/// Number of grid points along each axis: for the speed, and for arrows.
const N_PLACES: usize = 81;
const N_ARROWS: usize = 15;
/// Largest number of panels in a row.
const IN_A_ROW: usize = 4;
/// Largest number of states that determine the plane.
const MOST_OBSERVED: usize = 20_000;

/// Settings of the flow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FlowOptions {
    /// Inputs to hold.
    #[serde(flatten)]
    pub held: HeldOptions,
}

/// Flow on the plane of the first two principal components.
#[derive(Clone, Debug)]
pub struct Flow {
    /// First two principal components, `[2, unit]`.
    pub axes: Array2<f64>,
    /// Mean state, which is the origin of the plane.
    pub origin: Array1<f64>,
    /// Ranges of both axes.
    pub ranges: [[f64; 2]; 2],
    /// Inputs that were held.
    pub held: HeldInputs,
    /// Values of every input by the names of its channels.
    channels: Vec<String>,
    /// Flow under each input: on a fine grid, and on a coarse one for arrows.
    pub fields: Vec<[FlowField; 2]>,
}

impl Answer for Flow {
    type Options = FlowOptions;
    const FOLLOWS_DYNAMICS: bool = true;
    const NEEDS_WHOLE: bool = true;
    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc {
            name: "axes",
            shape: "[axis, unit]",
            unit: "",
            meaning: "first two principal components",
        },
        ArrayDoc {
            name: "origin",
            shape: "[unit]",
            unit: "",
            meaning: "mean state, the origin of the plane",
        },
        HELD_ARRAYS[0],
        HELD_ARRAYS[1],
        ArrayDoc {
            name: "places_0",
            shape: "[column]",
            unit: "",
            meaning: "coordinates of the grid along the first axis",
        },
        ArrayDoc {
            name: "places_1",
            shape: "[row]",
            unit: "",
            meaning: "coordinates of the grid along the second axis",
        },
        ArrayDoc {
            name: "velocity_{}",
            shape: "[row, column, axis]",
            unit: "1/ms",
            meaning: "velocity in the plane under the held input of this number",
        },
        ArrayDoc {
            name: "speed_{}",
            shape: "[row, column]",
            unit: "1/ms",
            meaning: "speed of the whole state under the held input of this number",
        },
    ];

    fn compute(study: &Study, options: &FlowOptions) -> Result<Self, Unsuitable> {
        study.dynamics.check_undelayed("a flow field needs")?;
        let places: Vec<(usize, usize)> = study.visited_steps().collect();
        let states = study.states_at(&places, MOST_OBSERVED);
        let pca = Pca::of(states.view())?;
        if pca.rank() < 2 {
            return Err(Unsuitable::lacks(match pca.rank() {
                _ if states.ncols() < 2 => "a plane needs two units",
                0 => "a plane needs two directions, but all states are the same",
                _ => "a plane needs two directions, but all states lie on a line",
            }));
        }
        let axes = pca.components.slice(s![..2, ..]);
        let seen = pca.project(states.view(), 2);
        let ranges = [0, 1].map(|k| range_of(seen.column(k).to_vec(), 0.1));
        let held = HeldInputs::of(study, &options.held, 8)?;
        let fields = held.inputs.par_iter().map(|held| {
            let drive = study.dynamics.input_drive(&held.input);
            [N_PLACES, N_ARROWS]
                .map(|n| flow_field(&study.dynamics, &drive, &pca.mean, axes, ranges, n))
        });
        let channels = held.inputs.iter().map(|held| held.channels(study));
        Ok(Self {
            fields: fields.collect(),
            axes: axes.to_owned(),
            ranges,
            channels: channels.collect(),
            held,
            origin: pca.mean,
        })
    }

    fn arrays(&self) -> Arrays {
        let [x, y] = &self.fields[0][0].places;
        let arrays = Arrays::default()
            .with("axes", &self.axes)
            .with("origin", &self.origin)
            .with("places_0", x)
            .with("places_1", y);
        let fields = self.fields.iter().enumerate();
        fields.fold(self.held.add_to(arrays), |arrays, (k, [fine, _])| {
            arrays
                .with(format!("velocity_{k}"), &fine.velocity)
                .with(format!("speed_{k}"), &fine.speed)
        })
    }

    fn statements(&self) -> Vec<String> {
        let fastest = format!(
            "the flow on the plane of the first two components reaches {} per second",
            short(self.fastest())
        );
        let names = self.held.inputs.iter().zip(&self.channels);
        let inputs = names.map(|(held, channels)| format!("{} ({channels})", held.name));
        let inputs: Vec<String> = inputs.collect();
        let mut lines = vec![fastest, format!("inputs held: {}", inputs.join("; "))];
        lines.extend(self.held.notes.iter().cloned());
        lines
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let columns = self.fields.len().min(IN_A_ROW);
        let scale = up_to([self.fastest()]);
        let mut widths_mm = vec![panel_mm(columns, 42.0); columns];
        widths_mm.push(BAR_MM);
        let rows = self.fields.len().div_ceil(IN_A_ROW);
        let mut figure = Figure::new(&widths_mm, &vec![38.0; rows]);
        for (k, [fine, coarse]) in self.fields.iter().enumerate() {
            let per_s = fine.speed.mapv(|v| 1000.0 * v);
            let (row, column) = (k / IN_A_ROW, k % IN_A_ROW);
            figure
                .cell(row, column)
                .title(&*self.held.inputs[k].name)
                .x("PC 1", self.ranges[0])
                .y(if column == 0 { "PC 2" } else { "" }, self.ranges[1])
                .heat_map(&per_s, self.ranges, scale, ColourMap::Blues)
                .extend(arrows(coarse, self.ranges));
        }
        let bar = figure.cell(0, columns);
        bar.colour_bar(scale, ColourMap::Blues, "speed (state / s)");
        vec![("", figure)]
    }
}

impl Flow {
    fn fastest(&self) -> f64 {
        let speeds = self.fields.iter().flat_map(|[fine, _]| &fine.speed);
        1000.0 * speeds.copied().fold(0.0, f64::max)
    }
}

/// Returns an arrow at each grid point. Its length grows with the square root of the speed, up to 0.85 of a cell, and is
/// at least a quarter of that.
pub(super) fn arrows(flow: &FlowField, ranges: [[f64; 2]; 2]) -> Vec<Layer> {
    let n = flow.speed.nrows();
    let cell = ranges.map(|[low, high]| (high - low) / n as f64);
    // In units of cells, so that arrows have the correct direction on paper.
    let in_cells = |i: usize, j: usize| [0, 1].map(|k| flow.velocity[[i, j, k]] / cell[k]);
    let length = |[x, y]: [f64; 2]| x.hypot(y);
    let all = || (0..n).flat_map(|i| (0..n).map(move |j| (i, j)));
    let lengths = all().map(|(i, j)| length(in_cells(i, j)));
    // The floor avoids a division by zero where nothing moves.
    let longest = lengths.fold(1e-300, f64::max);
    let mut layers = Vec::new();
    for (i, j) in all() {
        let [dx, dy] = in_cells(i, j);
        let size = length([dx, dy]);
        // A state at rest has no direction.
        if size < 1e-9 * longest {
            continue;
        }
        let reach = 0.85 * (size / longest).sqrt().max(0.25) / size;
        let (dx, dy) = (dx * reach, dy * reach);
        let (x, y) = (flow.places[0][j], flow.places[1][i]);
        let at = |u: f64, v: f64| (x + u * cell[0], y + v * cell[1]);
        let (tail, head) = (at(-dx / 2.0, -dy / 2.0), at(dx / 2.0, dy / 2.0));
        let is_in = |(x, y): (f64, f64)| {
            let [across, up] = ranges.map(|[low, high]| low..=high);
            across.contains(&x) && up.contains(&y)
        };
        if !is_in(tail) || !is_in(head) {
            continue; // at the border, where a part would be cut off
        }
        let wing = |side: f64| at(0.1 * dx - side * 0.25 * dy, 0.1 * dy + side * 0.25 * dx);
        for points in [vec![tail, head], vec![wing(1.0), head, wing(-1.0)]] {
            let (x, y) = points.into_iter().unzip();
            layers.push(Layer::line(x, y, Rgb([40, 40, 40])).wide(0.15));
        }
    }
    layers
}

/// Velocity of states on a grid in a plane, projected on that plane.
#[derive(Clone, Debug)]
pub struct FlowField {
    /// Coordinates of the grid along the two axes, `[n]` each.
    pub places: [Array1<f64>; 2],
    /// Velocity per ms along the axes, `[n, n, 2]`, at `[second axis, first axis]`.
    pub velocity: Array3<f64>,
    /// Speed per ms of the whole state (Euclidean norm), `[n, n]`.
    pub speed: Array2<f64>,
}

impl FlowField {
    /// Computes the field on an `n` by `n` grid. `moved` returns, for points `[n n, 2]` of the plane, the velocity per ms along its axes
    /// `[n n, 2]` and that of the whole state `[n n, ..]`.
    pub(super) fn on_grid(
        ranges: [[f64; 2]; 2],
        n: usize,
        moved: impl FnOnce(&Array2<f64>) -> [Array2<f64>; 2],
    ) -> Self {
        let places = ranges.map(|[low, high]| Array1::linspace(low, high, n));
        let grid = Array2::from_shape_fn((n * n, 2), |(k, axis)| {
            places[axis][if axis == 0 { k % n } else { k / n }]
        });
        let [along, whole] = moved(&grid);
        Self {
            velocity: Array3::from_shape_fn((n, n, 2), |(i, j, k)| along[[i * n + j, k]]),
            speed: Array2::from_shape_fn((n, n), |(i, j)| {
                let moved = whole.row(i * n + j);
                moved.dot(&moved).sqrt()
            }),
            places,
        }
    }
}

/// Computes the velocity at the states `origin + a_1 e_1 + a_2 e_2` of a plane under a constant input (`input_drive =
/// W_in u + b`): `axes [2, N]` are orthonormal, `ranges` are those of a_1 and a_2.
pub fn flow_field(
    dynamics: &Dynamics,
    input_drive: &Array1<f64>,
    origin: &Array1<f64>,
    axes: ArrayView2<f64>,
    ranges: [[f64; 2]; 2],
    n: usize,
) -> FlowField {
    FlowField::on_grid(ranges, n, |grid| {
        let states = grid.dot(&axes) + origin;
        let next = dynamics.next_of_all(&states, &mut dynamics.rested(&states), input_drive);
        let moved = (next - &states) / dynamics.dt_ms;
        [moved.dot(&axes.t()), moved]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dynamics::tests::map;
    use ctrnn_model::{Activation, Form};

    /// `v' = 0`: in a step of 20 ms a unit at 1 moves by -1; the third unit, at 2, is outside of the plane but
    /// contributes to the speed.
    #[test]
    fn states_fall_to_the_origin() {
        let dynamics = map(Array2::zeros((3, 3)), Activation::Tanh, Form::Voltage);
        let (origin, axes) = (ndarray::array![0.0, 0.0, 2.0], Array2::eye(3));
        let drive = Array1::zeros(3);
        let plane = axes.slice(ndarray::s![..2, ..]);
        let flow = flow_field(
            &dynamics,
            &drive,
            &origin,
            plane,
            [[-1.0, 1.0], [0.0, 2.0]],
            3,
        );
        assert_eq!(flow.velocity[[1, 2, 0]], -1.0 / 20.0);
        assert_eq!(flow.velocity[[1, 2, 1]], -1.0 / 20.0);
        assert!((flow.speed[[1, 2]] - 6f64.sqrt() / 20.0).abs() < 1e-12);
    }
}
