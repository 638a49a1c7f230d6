//! Figures of fixed points: in the state space, on the axes of choice and stimuli, and their eigenvalues.

use ndarray::{Array1, ArrayView2};

use super::point::FixedPoint;
use super::result::FixedPoints;
use super::search::FoundPoints;
use super::selection::{SelectionVectors, oriented, slowest};
use crate::analyses::spectrum::{complex_window, draw_on_complex_plane};
use crate::plot::{Figure, Layer, Marker, Panel, Rgb, Ticks, colour, drawable, panel_mm, range_of};

/// Largest number of inputs drawn, and of panels in a row.
const MOST_INPUTS: usize = 8;
const IN_A_ROW: usize = 4;
const HEIGHT_MM: f64 = 38.0;
/// Largest number of eigenvalues drawn in a panel for each kind of point.
const MOST_EIGENVALUES: usize = 4000;
/// Largest number of points at which the leading mode is drawn.
const MOST_DIRECTIONS: usize = 40;
/// Length of the longest eigenvectors as drawn, as fractions of a panel.
const RIGHT_LENGTH: f64 = 0.12;
const LEFT_LENGTH: f64 = 0.35;

const PALE: Rgb = Rgb([205, 205, 205]);
const SELECTION: Rgb = Rgb([0, 158, 115]);

/// Kind of points, with its own marker and colour.
#[derive(Clone, Copy)]
struct PointKind {
    name: &'static str,
    colour: Rgb,
    marker: Marker,
    radius_mm: f64,
    holds: fn(&FixedPoint) -> bool,
}

impl PointKind {
    /// Returns the markers of points at these places.
    fn marks(&self, places: &[[f64; 2]]) -> Layer {
        let (x, y) = places.iter().map(|[x, y]| (*x, *y)).unzip();
        let points = Layer::points(x, y, self.colour).marked(self.marker);
        points.radius(self.radius_mm)
    }
}

/// Kinds of points in the order in which they are drawn.
const KINDS: [PointKind; 4] = [
    PointKind {
        name: "slow",
        colour: Rgb([0, 158, 115]),
        marker: Marker::Cross,
        radius_mm: 0.8,
        holds: |point| !point.is_fixed,
    },
    PointKind {
        name: "saddle",
        colour: Rgb([213, 94, 0]),
        marker: Marker::Ring,
        radius_mm: 0.85,
        holds: |point| point.is_fixed && point.n_unstable > 0,
    },
    PointKind {
        name: "marginal",
        colour: Rgb([0, 114, 178]),
        marker: Marker::Square,
        radius_mm: 0.65,
        holds: |point| point.is_fixed && point.is_marginal(),
    },
    PointKind {
        name: "stable",
        colour: Rgb::BLACK,
        marker: Marker::Disc,
        radius_mm: 0.95,
        holds: |point| point.is_fixed && point.is_stable(),
    },
];

/// A panel on the way: its ranges, and its size on paper.
struct Plane {
    ranges: [[f64; 2]; 2],
    size_mm: [f64; 2],
}

impl Plane {
    /// Returns the plane of two axes on which the panels of some inputs can be compared.
    fn over(
        found: &FixedPoints,
        inputs: &[usize],
        axes: [&Array1<f64>; 2],
        size_mm: [f64; 2],
    ) -> Self {
        let mut seen = [Vec::new(), Vec::new()];
        for &k in inputs {
            for [x, y] in paths_of(found, k, axes) {
                seen[0].extend(x);
                seen[1].extend(y);
            }
            for [x, y] in places_of(found, k, axes) {
                seen[0].push(x);
                seen[1].push(y);
            }
        }
        Self {
            ranges: seen.map(|values| drawable(range_of(values, 0.08))),
            size_mm,
        }
    }

    /// Returns a length on paper in the coordinates of an axis.
    fn length(&self, side: usize, mm: f64) -> f64 {
        let [low, high] = self.ranges[side];
        (high - low) * mm / self.size_mm[side]
    }
}

/// Returns the figures of all points; if there are none, that of the states that were followed.
pub fn all(found: &FixedPoints) -> Vec<(&'static str, Figure)> {
    let mut figures = Vec::new();
    if found.points().next().is_some() {
        if found.pca.components.nrows() > 1 {
            figures.push(("", state_space(found)));
        }
        figures.push(("_eigenvalues", eigenvalues(found)));
        figures.extend(
            found
                .selection
                .as_ref()
                .map(|s| ("_selection", contexts(found, s))),
        );
    }
    let is_followed = |k: &usize| {
        let under = &found.found[*k];
        under.points.is_empty() || under.followed.divergence().is_some()
    };
    let followed: Vec<usize> = (0..found.found.len()).filter(is_followed).collect();
    if !followed.is_empty() {
        figures.push(("_followed", distances(found, &followed)));
    }
    figures
}

/// Creates a figure of `n` equal panels in rows of four.
fn grid(n: usize, most_mm: f64, height_mm: Option<f64>) -> (Figure, [f64; 2]) {
    let columns = n.min(IN_A_ROW);
    let width = panel_mm(columns, most_mm);
    let height = height_mm.unwrap_or(width);
    let figure = Figure::new(&vec![width; columns], &vec![height; n.div_ceil(IN_A_ROW)]);
    (figure, [width, height])
}

/// Adds the markers of some kinds to the legend of a panel.
fn name_kinds(panel: &mut Panel, kinds: &[PointKind]) {
    let entries = kinds.iter().rev();
    panel.extend(entries.map(|kind| kind.marks(&[]).named(kind.name)));
}

/// Returns the kinds of which there is a point under one of the inputs.
fn existing(found: &FixedPoints, inputs: &[usize]) -> Vec<PointKind> {
    let points = || inputs.iter().flat_map(|&k| &found.found[k].points);
    let exists = |kind: &PointKind| points().any(|point| (kind.holds)(point));
    KINDS.into_iter().filter(exists).collect()
}

/// Draws points over the trajectories of some trials, in the plane of the first two components, and for a single input
/// also in that of the first and the third.
fn state_space(found: &FixedPoints) -> Figure {
    let shown: Vec<usize> = (0..found.found.len())
        .filter(|&k| !found.found[k].points.is_empty())
        .take(MOST_INPUTS)
        .collect();
    let panels: Vec<(usize, usize)> = match shown[..] {
        [only] if found.pca.components.nrows() > 2 => vec![(only, 1), (only, 2)],
        _ => shown.iter().map(|&k| (k, 1)).collect(),
    };
    let (mut figure, size_mm) = grid(panels.len(), 42.0, Some(HEIGHT_MM));
    figure.title = left_out(found, &shown);
    let kinds = existing(found, &shown);
    for (place, &(k, second)) in panels.iter().enumerate() {
        let [first_axis, second_axis] =
            [0, second].map(|axis| found.pca.components.row(axis).to_owned());
        let axes = [&first_axis, &second_axis];
        let panel = figure.cell(place / IN_A_ROW, place % IN_A_ROW);
        let plane = Plane::over(found, &shown, axes, size_mm);
        draw_points(panel, found, k, axes, &plane);
        panel
            .title(&*found.held.inputs[k].name)
            .x_label("PC 1")
            .y_label(&format!("PC {}", second + 1));
        if place + 1 == panels.len().min(IN_A_ROW) {
            name_kinds(panel, &kinds);
            let mut drawn = shown.iter().flat_map(|&k| &found.found[k].points);
            if drawn.any(has_direction) {
                panel.add(Layer::line(Vec::new(), Vec::new(), Rgb::GREY).named("leading mode"));
            }
            panel.add(Layer::line(Vec::new(), Vec::new(), PALE).named("whole trials"));
        }
    }
    figure
}

/// Tells whether the leading mode is drawn: at slow points, and along lines.
fn has_direction(point: &FixedPoint) -> bool {
    (!point.is_fixed || point.n_marginal > 0) && point.modes.values[0].im == 0.0
}

/// Returns the title that names inputs which are not drawn; empty if all are.
fn left_out(found: &FixedPoints, shown: &[usize]) -> String {
    let has_points = |found: &&FoundPoints| !found.points.is_empty();
    let n = found.found.iter().filter(has_points).count();
    if n > shown.len() {
        format!("{} of {n} held inputs", shown.len())
    } else {
        String::new()
    }
}

/// Returns the places of the points under an input on two axes.
fn places_of(found: &FixedPoints, k: usize, axes: [&Array1<f64>; 2]) -> Vec<[f64; 2]> {
    let mean = &found.pca.mean;
    let points = found.found[k].points.iter();
    points
        .map(|point| axes.map(|axis| (&point.state - mean).dot(axis)))
        .collect()
}

/// Returns the trajectories of the trials with an input on two axes.
fn paths_of(found: &FixedPoints, k: usize, axes: [&Array1<f64>; 2]) -> Vec<[Vec<f64>; 2]> {
    let mean = &found.pca.mean;
    let trials = found.trajectories[k].iter();
    trials
        .map(|states| axes.map(|axis| along(states.view(), mean, axis)))
        .collect()
}

/// Draws the points under an input on two axes, over trajectories; leading modes below them.
fn draw_points(
    panel: &mut Panel,
    found: &FixedPoints,
    k: usize,
    axes: [&Array1<f64>; 2],
    plane: &Plane,
) {
    let points = &found.found[k].points;
    let places = places_of(found, k, axes);
    panel.x("", plane.ranges[0]).y("", plane.ranges[1]);
    let paths = paths_of(found, k, axes).into_iter();
    panel.extend(paths.map(|[x, y]| Layer::line(x, y, PALE).wide(0.15)));
    let arrows = leading_directions(points, &places, axes);
    panel.extend(segments(plane, &arrows, RIGHT_LENGTH, Rgb::GREY));
    for kind in KINDS {
        let own = points
            .iter()
            .zip(&places)
            .filter(|(point, _)| (kind.holds)(point));
        let own: Vec<[f64; 2]> = own.map(|(_, place)| *place).collect();
        panel.add(kind.marks(&own));
    }
}

/// Returns place and leading mode on two axes of some points, spread over those whose mode is drawn.
fn leading_directions(
    points: &[FixedPoint],
    places: &[[f64; 2]],
    axes: [&Array1<f64>; 2],
) -> Vec<([f64; 2], [f64; 2])> {
    let slow: Vec<usize> = (0..points.len())
        .filter(|&p| has_direction(&points[p]))
        .collect();
    let arrow = |i: usize| {
        let p = slow[i * slow.len() / slow.len().min(MOST_DIRECTIONS)];
        let right = points[p].modes.right[0].mapv(|z| z.re);
        (places[p], axes.map(|axis| right.dot(axis)))
    };
    (0..slow.len().min(MOST_DIRECTIONS)).map(arrow).collect()
}

/// Projects states on an axis.
fn along(states: ArrayView2<f64>, mean: &Array1<f64>, axis: &Array1<f64>) -> Vec<f64> {
    (states.dot(axis) - mean.dot(axis)).to_vec()
}

/// Returns a line through each place along a vector. They have one scale, such that the longest covers a fraction of the
/// panel.
fn segments(
    plane: &Plane,
    vectors: &[([f64; 2], [f64; 2])],
    fraction: f64,
    ink: Rgb,
) -> Vec<Layer> {
    let mm = |[dx, dy]: [f64; 2]| {
        let [x, y] = [0, 1].map(|side| plane.length(side, 1.0));
        (dx / x).hypot(dy / y)
    };
    let longest = vectors
        .iter()
        .map(|(_, vector)| mm(*vector))
        .fold(0.0, f64::max);
    if !(longest > 0.0 && longest.is_finite()) {
        return Vec::new();
    }
    let half = 0.5 * fraction * plane.size_mm[0] / longest;
    let segment = |(place, vector): &([f64; 2], [f64; 2])| {
        let ends = |side: usize| {
            vec![
                place[side] - half * vector[side],
                place[side] + half * vector[side],
            ]
        };
        Layer::line(ends(0), ends(1), ink).wide(0.25)
    };
    vectors.iter().map(segment).collect()
}

/// Draws the points on the axes of choice and stimuli, with a column for each input of an epoch and a row for each
/// stimulus: the right eigenvector of the leading mode as a line at each slow or marginal point and at the slowest of all,
/// which has its selection vector, too.
fn contexts(found: &FixedPoints, selection: &SelectionVectors) -> Figure {
    let shown: Vec<usize> = selection.inputs.iter().copied().take(IN_A_ROW).collect();
    let n_rows = selection.stimuli.len();
    let width = panel_mm(shown.len(), 42.0);
    let size_mm = [width, HEIGHT_MM];
    let mut figure = Figure::new(&vec![width; shown.len()], &vec![HEIGHT_MM; n_rows]);
    let kinds = existing(found, &shown);
    for row in 0..n_rows {
        let stimulus_axis = selection.stimulus_axes.row(row).to_owned();
        let axes = [&selection.choice_axis, &stimulus_axis];
        let plane = Plane::over(found, &shown, axes, size_mm);
        for (column, &k) in shown.iter().enumerate() {
            let panel = figure.cell(row, column);
            draw_points(panel, found, k, axes, &plane);
            if let Some(point) = slowest(&found.dynamics, &found.found[k].points) {
                let place = axes.map(|axis| (&point.state - &found.pca.mean).dot(axis));
                let [right, left] = oriented(point, &selection.choice_axis)
                    .map(|vector| (place, axes.map(|axis| vector.dot(axis))));
                if !has_direction(point) {
                    panel.extend(segments(&plane, &[right], RIGHT_LENGTH, Rgb::GREY));
                }
                panel.extend(segments(&plane, &[left], LEFT_LENGTH, SELECTION));
            }
            let is_below = row + 1 == n_rows;
            let title = if row == 0 {
                title_of(found, k)
            } else {
                String::new()
            };
            panel
                .title(title)
                .x_label(if is_below { "choice axis" } else { "" })
                .y_label(&format!("{} axis", selection.stimuli[row]));
            if row == 0 && column + 1 == shown.len() {
                name_kinds(panel, &kinds);
                name_vectors(panel, found, &shown);
            }
        }
    }
    figure
}

/// Returns the name of an input, with the reason why it has no selection vector.
fn title_of(found: &FixedPoints, k: usize) -> String {
    let name = &found.held.inputs[k].name;
    let points = &found.found[k].points;
    if points.is_empty() {
        format!("{name}; no points")
    } else if slowest(&found.dynamics, points).is_none() {
        format!("{name}; leading modes oscillate")
    } else {
        name.clone()
    }
}

/// Names the lines through points, as far as there are any.
fn name_vectors(panel: &mut Panel, found: &FixedPoints, inputs: &[usize]) {
    let named = |ink: Rgb, name| Layer::line(Vec::new(), Vec::new(), ink).named(name);
    // Points with a direction have a real leading mode, so one of them is the slowest.
    let mut found_slowest = inputs
        .iter()
        .map(|&k| slowest(&found.dynamics, &found.found[k].points));
    if found_slowest.any(|point| point.is_some()) {
        panel.add(named(Rgb::GREY, "right eigenvector"));
        panel.add(named(SELECTION, "selection vector at the slowest point"));
    }
    panel.add(named(PALE, "whole trials"));
}

/// Draws the eigenvalues of a time step at fixed points.
fn eigenvalues(found: &FixedPoints) -> Figure {
    let shown: Vec<usize> = (0..found.found.len())
        .filter(|&k| !found.found[k].points.is_empty())
        .take(MOST_INPUTS)
        .collect();
    let (mut figure, _) = grid(shown.len(), HEIGHT_MM, None);
    figure.title = left_out(found, &shown);
    let kinds = existing(found, &shown);
    let most = (MOST_EIGENVALUES / found.dynamics.n_units()).clamp(1, 16);
    let of = |k: usize, kind: &PointKind| {
        let own = found.found[k]
            .points
            .iter()
            .filter(|point| (kind.holds)(point));
        let values = own.take(most).flat_map(|point| point.modes.values.iter());
        let (x, y) = values.map(|z| (z.re, z.im)).unzip();
        Layer::points(x, y, kind.colour).radius(0.45)
    };
    let of_input = |&k: &usize| kinds.iter().map(|kind| of(k, kind)).collect();
    let drawn: Vec<Vec<Layer>> = shown.iter().map(of_input).collect();
    let window = complex_window(drawn.iter().flatten());
    for (place, (&k, mut layers)) in shown.iter().zip(drawn).enumerate() {
        if place + 1 == shown.len().min(IN_A_ROW) {
            let named = layers.into_iter().zip(&kinds);
            layers = named.map(|(layer, kind)| layer.named(kind.name)).collect();
        }
        let panel = figure.cell(place / IN_A_ROW, place % IN_A_ROW);
        draw_on_complex_plane(
            panel.title(&*found.held.inputs[k].name),
            "m",
            window,
            layers,
        );
        if place % IN_A_ROW > 0 {
            panel.y_label("");
        }
    }
    figure
}

/// Draws how far visited states go when an input is held, under inputs without points or with states that run away.
fn distances(found: &FixedPoints, inputs: &[usize]) -> Figure {
    let shown = &inputs[..inputs.len().min(MOST_INPUTS)];
    let (mut figure, _) = grid(shown.len(), 42.0, Some(34.0));
    for (place, &k) in shown.iter().enumerate() {
        let followed = &found.found[k].followed;
        let logs = followed
            .distances
            .mapv(|distance| distance.max(1e-12).log10());
        let range = range_of(logs.iter().copied(), 0.05);
        let range = drawable([range[0].max(-3.0), range[1].max(1.0)]);
        let n = logs.nrows();
        let t = |t: usize| (t + 1) as f64 * found.dynamics.dt_ms / 1000.0;
        let courses = (0..logs.ncols()).map(|i| {
            let ink = colour(usize::from(followed.runs_away(i)));
            Layer::line((0..n).map(t).collect(), logs.column(i).to_vec(), ink).wide(0.25)
        });
        let panel = figure.cell(place / IN_A_ROW, place % IN_A_ROW);
        panel
            .title(&*found.held.inputs[k].name)
            .x(
                "time with the input held (s)",
                drawable([0.0, t(n.saturating_sub(1))]),
            )
            .y("distance (radii of the visited states)", range)
            .y_ticks(Ticks::logarithmic(range))
            .extend(courses);
        if place + 1 == shown.len().min(IN_A_ROW) {
            name_fates(panel, found, shown);
        }
    }
    figure
}

/// Names the colours of states that run away and of those that do not, as far as there are any.
fn name_fates(panel: &mut Panel, found: &FixedPoints, inputs: &[usize]) {
    let named = |k: usize, name| Layer::line(Vec::new(), Vec::new(), colour(k)).named(name);
    let any = |away: bool| {
        inputs.iter().any(|&k| {
            let followed = &found.found[k].followed;
            (0..followed.distances.ncols()).any(|i| followed.runs_away(i) == away)
        })
    };
    if any(true) {
        panel.add(named(1, "diverges"));
    }
    if any(false) {
        panel.add(named(0, "stays"));
    }
}
