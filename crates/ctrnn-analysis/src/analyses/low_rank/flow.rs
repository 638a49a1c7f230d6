//! Flow of the coordinates along the left vectors of a network of low rank, under held inputs.

use ndarray::{Array1, Array2, Array3, Axis};

use crate::analyses::Unsuitable;
use crate::analyses::flow::{FlowField, arrows};
use crate::courses::Courses;
use crate::held_inputs::{HeldInputs, HeldOptions};
use crate::plot::{
    BAR_MM, ColourMap, Figure, Layer, Marker, Panel, Rgb, colour, panel_mm, range_of, up_to,
};
use crate::text::{listed, short};
use crate::{Arrays, Dynamics, Factors, Study};

/// Number of grid points of the flow: along each axis of a plane, for arrows there, and along a line.
const N_PLACES: usize = 61;
const N_ARROWS: usize = 15;
const N_ON_LINE: usize = 401;
/// Largest number of panels in a row.
const IN_A_ROW: usize = 4;

/// Flow of the coordinates along the left vectors under held inputs.
#[derive(Clone, Debug)]
pub struct ReducedFlow {
    /// Inputs that were held.
    pub held: HeldInputs,
    /// Range of each coordinate.
    ranges: Vec<[f64; 2]>,
    /// Flow under each input.
    pub fields: Vec<Field>,
}

/// Flow of one or two coordinates.
#[derive(Clone, Debug)]
pub enum Field {
    /// Velocity per ms at places on a line, and the places where it is zero.
    Line {
        /// Coordinates of the grid.
        places: Array1<f64>,
        /// Velocity per ms at each of them.
        velocity: Array1<f64>,
        /// States of rest between them.
        rests: Vec<Rest>,
    },
    /// Velocity per ms on a plane, on a fine grid and on a coarse one for arrows.
    Plane(Box<[FlowField; 2]>),
}

/// State of rest on a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rest {
    /// Coordinate.
    pub kappa: f64,
    /// True if neighbouring states return to it.
    pub is_stable: bool,
}

/// Computes the flow of `kappa` for ranks 1 and 2, or says why there is none.
pub(super) fn reduced_flow(
    study: &Study,
    factors: &Factors,
    kappa: &Array3<f64>,
    options: &HeldOptions,
) -> Result<Result<ReducedFlow, String>, Unsuitable> {
    let dynamics = &study.dynamics;
    let rank = factors.left.ncols();
    let why = if factors.has_full {
        "the full matrix moves the states out of the space of the left vectors".to_owned()
    } else if dynamics.gain.iter().any(|gain| *gain != dynamics.gain[0]) {
        "the units have different time constants, so kappa alone does not determine its change"
            .to_owned()
    } else if dynamics.synapses.is_some() {
        Unsuitable::PlasticSynapses.to_string()
    } else if rank > 2 {
        format!("it is drawn for ranks 1 and 2, and the rank is {rank}")
    } else {
        String::new()
    };
    if !why.is_empty() {
        return Ok(Err(why));
    }
    let Some(held) = HeldInputs::if_any(study, options, 8)? else {
        return Ok(Err("the trials do not say when their epochs are".to_owned()));
    };
    // States of rest often lie beyond the visited ones; a plane also shows the trajectories.
    let room = if rank == 1 { 1.0 } else { 0.3 };
    let visited = study.counted(kappa);
    let ranges: Vec<[f64; 2]> = visited
        .columns()
        .into_iter()
        .map(|column| range_of(column.to_vec(), room))
        .collect();
    let fields = held.inputs.iter().map(|held| {
        let drive = dynamics.input_drive(&held.input);
        match ranges[..] {
            [range] => line_field(dynamics, factors, &drive, range),
            _ => {
                let field = |n| {
                    FlowField::on_grid([ranges[0], ranges[1]], n, |grid| {
                        let moved = velocities(dynamics, factors, &drive, grid);
                        [moved.clone(), moved]
                    })
                };
                Field::Plane(Box::new([field(N_PLACES), field(N_ARROWS)]))
            }
        }
    });
    let fields = fields.collect();
    Ok(Ok(ReducedFlow {
        held,
        ranges,
        fields,
    }))
}

/// Computes the velocity per ms of each row of `kappa [k, R]` under a constant input drive `W_in u + b`, which the input coordinates
/// have followed.
pub(super) fn velocities(
    dynamics: &Dynamics,
    factors: &Factors,
    drive: &Array1<f64>,
    kappa: &Array2<f64>,
) -> Array2<f64> {
    let potentials = kappa.dot(&factors.left.t()) + drive;
    let rates = potentials.mapv(|v| dynamics.activation.value(v));
    let target = rates.dot(&factors.right) / dynamics.n_units() as f64;
    (target - kappa) * (dynamics.gain[0] / dynamics.dt_ms)
}

fn line_field(
    dynamics: &Dynamics,
    factors: &Factors,
    drive: &Array1<f64>,
    [low, high]: [f64; 2],
) -> Field {
    let at = |places: &Array1<f64>| {
        let column = places.clone().insert_axis(Axis(1));
        velocities(dynamics, factors, drive, &column)
            .column(0)
            .to_owned()
    };
    let places = Array1::linspace(low, high, N_ON_LINE);
    let velocity = at(&places);
    let rest = |k: usize| {
        let (before, after) = (velocity[k], velocity[k + 1]);
        let crosses = (before > 0.0 && after <= 0.0) || (before < 0.0 && after >= 0.0);
        crosses.then(|| {
            let [mut left, mut right] = [places[k], places[k + 1]];
            for _ in 0..60 {
                let middle = 0.5 * (left + right);
                if (at(&Array1::from_elem(1, middle))[0] > 0.0) == (before > 0.0) {
                    left = middle;
                } else {
                    right = middle;
                }
            }
            Rest {
                kappa: 0.5 * (left + right),
                is_stable: before > 0.0,
            }
        })
    };
    Field::Line {
        rests: (0..N_ON_LINE - 1).filter_map(rest).collect(),
        places,
        velocity,
    }
}

impl ReducedFlow {
    pub(super) fn add_to(&self, arrays: Arrays) -> Arrays {
        let mut arrays = self.held.add_to(arrays);
        for (k, field) in self.fields.iter().enumerate() {
            arrays = match field {
                Field::Line {
                    places,
                    velocity,
                    rests,
                } => {
                    let kappa: Vec<f64> = rests.iter().map(|rest| rest.kappa).collect();
                    let stable: Vec<usize> =
                        rests.iter().map(|rest| rest.is_stable.into()).collect();
                    arrays
                        .with("places_0", places)
                        .with(format!("line_velocity_{k}"), velocity)
                        .with(format!("rests_{k}"), &kappa)
                        .with(format!("rest_is_stable_{k}"), &stable)
                }
                Field::Plane(fields) => {
                    let [fine, _] = &**fields;
                    arrays
                        .with("places_0", &fine.places[0])
                        .with("places_1", &fine.places[1])
                        .with(format!("velocity_{k}"), &fine.velocity)
                }
            };
        }
        arrays
    }

    pub(super) fn statements(&self) -> Vec<String> {
        let rests = self
            .held
            .inputs
            .iter()
            .zip(&self.fields)
            .filter_map(|(held, field)| {
                let Field::Line { rests, .. } = field else {
                    return None;
                };
                let text = |rest: &Rest| {
                    let kind = if rest.is_stable { "" } else { " (unstable)" };
                    format!("{}{kind}", short(rest.kappa))
                };
                let all: Vec<String> = rests.iter().map(text).collect();
                Some(if all.is_empty() {
                    format!("{}: kappa rests nowhere in the drawn range", held.name)
                } else {
                    format!("{}: kappa rests at {}", held.name, listed(&all))
                })
            });
        rests.chain(self.held.notes.iter().cloned()).collect()
    }

    pub(super) fn draw(&self, courses: &Courses) -> Figure {
        let columns = self.fields.len().min(IN_A_ROW);
        let rows = self.fields.len().div_ceil(IN_A_ROW);
        let speeds = self.fields.iter().flat_map(|field| match field {
            Field::Line { velocity, .. } => velocity.iter().map(|v| v.abs()).collect(),
            Field::Plane(fields) => fields[0].speed.iter().copied().collect::<Vec<f64>>(),
        });
        let scale = up_to([1000.0 * speeds.fold(0.0, f64::max)]);
        let mut widths_mm = vec![panel_mm(columns, 42.0); columns];
        let is_plane = self.ranges.len() == 2;
        if is_plane {
            widths_mm.push(BAR_MM);
        }
        let mut figure = Figure::new(&widths_mm, &vec![38.0; rows]);
        for (k, field) in self.fields.iter().enumerate() {
            let panel = figure.cell(k / IN_A_ROW, k % IN_A_ROW);
            let first = k % IN_A_ROW == 0;
            match field {
                Field::Line {
                    places,
                    velocity,
                    rests,
                } => draw_line(panel, places, velocity, rests, scale[1], first),
                Field::Plane(fields) => {
                    let [fine, coarse] = &**fields;
                    let per_s = fine.speed.mapv(|v| 1000.0 * v);
                    let ranges = [self.ranges[0], self.ranges[1]];
                    courses.draw_on_plane(panel, [0, 1]);
                    let lines = std::mem::take(&mut panel.layers);
                    panel
                        .x("kappa 1", ranges[0])
                        .y(if first { "kappa 2" } else { "" }, ranges[1])
                        .heat_map(&per_s, ranges, scale, ColourMap::Blues)
                        .extend(arrows(coarse, ranges))
                        .extend(lines);
                }
            }
            panel.title(&*self.held.inputs[k].name);
        }
        if is_plane {
            let bar = figure.cell(0, columns);
            bar.colour_bar(scale, ColourMap::Blues, "speed of kappa (1/s)");
        }
        figure
    }
}

/// Draws the velocity over kappa, with discs at stable and rings at unstable states of rest.
fn draw_line(
    panel: &mut Panel,
    places: &Array1<f64>,
    velocity: &Array1<f64>,
    rests: &[Rest],
    fastest: f64,
    is_first: bool,
) {
    let per_s: Vec<f64> = velocity.iter().map(|v| 1000.0 * v).collect();
    let range = [places[0], places[places.len() - 1]];
    panel
        .x("kappa", range)
        .y(
            if is_first {
                "velocity of kappa (1/s)"
            } else {
                ""
            },
            [-1.05 * fastest, 1.05 * fastest],
        )
        .add(Layer::guide(range, [0.0, 0.0]))
        .add(Layer::line(places.to_vec(), per_s, colour(0)));
    for rest in rests {
        let (x, y) = (vec![rest.kappa], vec![0.0]);
        let marker = if rest.is_stable {
            Marker::Disc
        } else {
            Marker::Ring
        };
        let points = Layer::points(x, y, Rgb([40, 40, 40])).radius(0.9);
        panel.add(points.marked(marker));
    }
}
