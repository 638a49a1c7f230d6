//! Layers as shapes on the sheet.

use std::collections::HashSet;

use super::canvas::{Anchor, Canvas, Shape};
use super::font::SMALL_MM;
use super::{HeatMap, Layer, Marker, Rgb, fraction};

/// Limits beyond which details cannot be distinguished on paper: stretches of a line, markers of a layer, cells along a
/// side of a heat map.
const MOST_STRETCHES: usize = 400;
const MOST_MARKERS: usize = 20_000;
const MOST_CELLS: usize = 1500;

/// Largest number of cells of a heat map that are drawn as rectangles instead of an image.
const MOST_VECTOR_CELLS: usize = 4096;

/// Data area of a panel on the sheet.
pub(super) struct Frame {
    pub corner: [f64; 2],
    pub size: [f64; 2],
    pub ranges: [[f64; 2]; 2],
}

impl Frame {
    pub fn x(&self, value: f64) -> f64 {
        self.corner[0] + self.size[0] * fraction(value, self.ranges[0])
    }

    pub fn y(&self, value: f64) -> f64 {
        self.corner[1] + self.size[1] * (1.0 - fraction(value, self.ranges[1]))
    }

    /// Returns the places of points on the sheet.
    pub fn places(&self, x: &[f64], y: &[f64]) -> Vec<[f64; 2]> {
        let points = x.iter().zip(y);
        points.map(|(x, y)| [self.x(*x), self.y(*y)]).collect()
    }

    pub fn right(&self) -> f64 {
        self.corner[0] + self.size[0]
    }

    pub fn bottom(&self) -> f64 {
        self.corner[1] + self.size[1]
    }

    /// Returns the upper left corner and the size of a rectangle in data coordinates, clipped to the frame; `None` if
    /// an edge is NaN.
    pub fn rectangle(&self, x: [f64; 2], y: [f64; 2]) -> Option<([f64; 2], [f64; 2])> {
        if x.iter().chain(&y).any(|edge| edge.is_nan()) {
            return None;
        }
        let xs = x.map(|value| self.x(value).clamp(self.corner[0], self.right()));
        let ys = y.map(|value| self.y(value).clamp(self.corner[1], self.bottom()));
        let corner = [xs[0].min(xs[1]), ys[0].min(ys[1])];
        Some((corner, [(xs[1] - xs[0]).abs(), (ys[1] - ys[0]).abs()]))
    }

    pub fn contains(&self, [x, y]: [f64; 2]) -> bool {
        // A point on the edge counts as inside in spite of rounding.
        let within = |value: f64, low: f64, high: f64| (low - 1e-6..=high + 1e-6).contains(&value);
        within(x, self.corner[0], self.right()) && within(y, self.corner[1], self.bottom())
    }
}

/// Draws a layer in the frame of its panel.
pub(super) fn draw_layer(layer: &Layer, frame: &Frame, canvas: &mut Canvas) {
    match layer {
        Layer::Line {
            x,
            y,
            colour,
            width_mm,
            dashed,
            ..
        } => {
            let points = frame.places(x, y);
            let seen = points.split(|point| !frame.contains(*point));
            let shapes = seen.filter_map(|points| stretch(points, *colour, *width_mm, *dashed));
            canvas.shapes.extend(shapes);
        }
        Layer::Points {
            x,
            y,
            colour,
            radius_mm,
            marker,
            ..
        } => {
            let mut places = frame.places(x, y);
            places.retain(|&place| frame.contains(place));
            for place in spread(places, frame) {
                draw_marker(*marker, place, *radius_mm, *colour, canvas);
            }
        }
        Layer::Ribbon {
            x,
            low,
            high,
            colour,
        } => {
            let edges = [low, high].map(|edge| frame.places(x, edge));
            canvas.shapes.extend(ribbons(&edges, *colour, frame));
        }
        Layer::Box { x, y, colour } => draw_box(*x, *y, *colour, frame, canvas),
        Layer::Band { x, colour, .. } => draw_box(*x, frame.ranges[1], *colour, frame, canvas),
        Layer::HeatMap(map) => draw_heat_map(map, frame, canvas),
        Layer::Text { at, text, colour } => {
            draw_text(
                [frame.x(at[0]), frame.y(at[1])],
                text,
                *colour,
                frame,
                canvas,
            );
        }
    }
}

/// Draws a text centred on a place, if this is within the frame.
fn draw_text([x, y]: [f64; 2], text: &str, colour: Rgb, frame: &Frame, canvas: &mut Canvas) {
    if frame.contains([x, y]) {
        let at = [x, y + 0.35 * SMALL_MM];
        canvas.text(at, text, SMALL_MM, Anchor::Middle, colour);
    }
}

/// Draws one marker.
pub(super) fn draw_marker(
    marker: Marker,
    [x, y]: [f64; 2],
    radius_mm: f64,
    colour: Rgb,
    canvas: &mut Canvas,
) {
    /// Width of the strokes of a ring and of a cross.
    const STROKE_MM: f64 = 0.25;
    let r = radius_mm;
    let mut disc = |radius_mm: f64, fill: Rgb| {
        canvas.shapes.push(Shape::Disc {
            centre: [x, y],
            radius_mm,
            fill,
        });
    };
    match marker {
        Marker::Disc => disc(r, colour),
        Marker::Ring => {
            disc(r, colour);
            disc((r - STROKE_MM).max(0.0), Rgb::WHITE);
        }
        Marker::Square => canvas.rectangle([x - r, y - r], [2.0 * r; 2], colour),
        Marker::Cross => {
            canvas.line(&[[x - r, y], [x + r, y]], colour, STROKE_MM);
            canvas.line(&[[x, y - r], [x, y + r]], colour, STROKE_MM);
        }
    }
}

/// Returns the areas between two edges, clipped to the frame; they end where either edge is NaN or beyond its sides.
fn ribbons([low, high]: &[Vec<[f64; 2]>; 2], fill: Rgb, frame: &Frame) -> Vec<Shape> {
    let clamped = |[x, y]: [f64; 2]| [x, y.clamp(frame.corner[1], frame.bottom())];
    let pairs = low.iter().zip(high);
    let pairs: Vec<[[f64; 2]; 2]> = pairs.map(|(a, b)| [clamped(*a), clamped(*b)]).collect();
    let seen = pairs.split(|pair| !pair.iter().all(|place| frame.contains(*place)));
    let ribbon = |pairs: &[[[f64; 2]; 2]]| {
        let edge = |side: usize| thinned(&pairs.iter().map(|pair| pair[side]).collect::<Vec<_>>());
        let back = edge(1).into_iter().rev();
        Shape::Ribbon {
            corners: edge(0).into_iter().chain(back).collect(),
            fill,
        }
    };
    seen.filter(|pairs| pairs.len() > 1).map(ribbon).collect()
}

/// Draws a filled rectangle, clipped to the frame.
fn draw_box(x: [f64; 2], y: [f64; 2], colour: Rgb, frame: &Frame, canvas: &mut Canvas) {
    if let Some((corner, size)) = frame.rectangle(x, y) {
        canvas.rectangle(corner, size, colour);
    }
}

/// Returns the shape of an uninterrupted part of a line: a disc if it is a single point.
fn stretch(points: &[[f64; 2]], colour: Rgb, width_mm: f64, dashed: bool) -> Option<Shape> {
    match points {
        [] => None,
        [alone] => Some(Shape::Disc {
            centre: *alone,
            radius_mm: width_mm,
            fill: colour,
        }),
        _ => Some(Shape::Polyline {
            points: thinned(points),
            colour,
            width_mm,
            dashed,
        }),
    }
}

/// Thins the points of a very long line to the ends and extremes in x and y of each stretch.
fn thinned(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    if points.len() <= 6 * MOST_STRETCHES {
        return points.to_vec();
    }
    let furthest = |stretch: &[[f64; 2]]| {
        let largest = |side: usize, sign: f64| {
            (0..stretch.len())
                .max_by(|&a, &b| (sign * stretch[a][side]).total_cmp(&(sign * stretch[b][side])))
        };
        let sides =
            [(0, -1.0), (0, 1.0), (1, -1.0), (1, 1.0)].map(|(side, sign)| largest(side, sign));
        let ends = [Some(0), Some(stretch.len() - 1)];
        let mut kept: Vec<usize> = sides.into_iter().chain(ends).flatten().collect();
        kept.sort_unstable();
        kept.dedup();
        kept.into_iter().map(|k| stretch[k]).collect::<Vec<_>>()
    };
    let stretches = points.chunks(points.len().div_ceil(MOST_STRETCHES));
    stretches.flat_map(furthest).collect()
}

/// Thins very many markers to the first in each cell of a grid over the frame.
fn spread(mut places: Vec<[f64; 2]>, frame: &Frame) -> Vec<[f64; 2]> {
    if places.len() > MOST_MARKERS {
        let side_mm = (frame.size[0] * frame.size[1] / MOST_MARKERS as f64).sqrt();
        let mut taken = HashSet::new();
        places.retain(|place| taken.insert(place.map(|x| (x / side_mm).floor() as i64)));
    }
    places
}

fn draw_heat_map(map: &HeatMap, frame: &Frame, canvas: &mut Canvas) {
    let columns = map.columns.max(1);
    let n_rows = map.values.len() / columns;
    let Some((corner, size)) = frame.rectangle(map.x, map.y).filter(|_| n_rows > 0) else {
        return;
    };
    let first_is_top = frame.y(map.y[0]) < frame.y(map.y[1]);
    let row = |k: usize| if first_is_top { k } else { n_rows - 1 - k };
    let shown_columns: Vec<usize> = shown(columns).collect();
    let pixels = shown(n_rows).flat_map(|k| {
        let row = &map.values[row(k) * columns..];
        shown_columns
            .iter()
            .map(|&column| map.map.colour(row[column], map.scale))
    });
    let pixels: Vec<Rgb> = pixels.collect();
    let columns = shown_columns.len();
    if pixels.len() <= MOST_VECTOR_CELLS {
        canvas
            .shapes
            .extend(cells([corner, size], columns, &pixels));
    } else {
        canvas
            .shapes
            .push(enlarged([corner, size], columns, &pixels));
    }
}

/// Returns the cells of a matrix as rectangles: one of the most frequent colour over the whole matrix, and a shape for
/// each other colour, in which neighbours in a row are joined. Each rectangle reaches a little into its right and lower
/// neighbours, in the last row into the upper ones, so that no viewer shows gaps between them.
fn cells([corner, size]: [[f64; 2]; 2], columns: usize, pixels: &[Rgb]) -> Vec<Shape> {
    const OVERLAP_MM: f64 = 0.02;
    let n_rows = pixels.len() / columns;
    let cell = [size[0] / columns as f64, size[1] / n_rows as f64];
    let overlap = |is_needed: bool| if is_needed { OVERLAP_MM } else { 0.0 };
    let height = cell[1] + overlap(n_rows > 1);
    let mut shapes: Vec<(Rgb, Vec<[[f64; 2]; 2]>)> = Vec::new();
    for (i, row) in pixels.chunks_exact(columns).enumerate() {
        let up = overlap(n_rows > 1 && i + 1 == n_rows);
        let mut from = 0;
        for run in row.chunk_by(|a, b| a == b) {
            let to = from + run.len();
            let [x, y] = [from as f64 * cell[0], i as f64 * cell[1] - up];
            let width = run.len() as f64 * cell[0] + overlap(to < columns);
            let rectangle = [[corner[0] + x, corner[1] + y], [width, height]];
            match shapes.iter_mut().find(|(fill, _)| *fill == run[0]) {
                Some((_, cells)) => cells.push(rectangle),
                None => shapes.push((run[0], vec![rectangle])),
            }
            from = to;
        }
    }
    let most = (0..shapes.len()).max_by_key(|&k| shapes[k].1.len());
    let ground = most.map(|k| (shapes.swap_remove(k).0, vec![[corner, size]]));
    let shape = |(fill, cells)| Shape::Cells { fill, cells };
    ground.into_iter().chain(shapes).map(shape).collect()
}

/// Returns a matrix as an image in which each cell has several pixels: viewers that smooth images blur only the edges of
/// its cells.
fn enlarged([corner, size]: [[f64; 2]; 2], columns: usize, pixels: &[Rgb]) -> Shape {
    /// Pixels along the longer side of an image.
    const SIDE: usize = 1200;
    let n_rows = pixels.len() / columns;
    let times = (SIDE / columns.max(n_rows)).max(1);
    let wide = |row: &[Rgb]| -> Vec<Rgb> {
        row.iter()
            .flat_map(|&ink| std::iter::repeat_n(ink, times))
            .collect()
    };
    let rows = pixels.chunks_exact(columns).map(wide);
    Shape::Image {
        corner,
        size,
        columns: columns * times,
        pixels: rows.flat_map(|row| row.repeat(times)).collect(),
    }
}

/// Selects the rows or columns of `n` that a heat map shows: evenly spaced ones if there are very many.
fn shown(n: usize) -> impl Iterator<Item = usize> {
    (0..n).step_by(n.div_ceil(MOST_CELLS).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::{ColourMap, Figure};
    use ndarray::Array2;

    fn drawn(n: usize) -> (Vec<Shape>, String) {
        let values = Array2::from_shape_fn((n, n), |(i, k)| ((i * n + k) % 3) as f64);
        let over = [[0.0, n as f64]; 2];
        let mut figure = Figure::new(&[20.0], &[20.0]);
        let panel = figure.cell(0, 0).x("", over[0]).y("", over[1]);
        panel.heat_map(&values, over, [0.0, 2.0], ColourMap::Blues);
        let mut canvas = Canvas::default();
        for (frame, panel) in figure.placed() {
            panel
                .layers
                .iter()
                .for_each(|layer| draw_layer(layer, &frame, &mut canvas));
        }
        (canvas.shapes, figure.to_svg())
    }

    /// Three colours make three shapes: the first covers the panel, the other two a third of it each.
    #[test]
    fn a_small_matrix_is_drawn_as_cells() {
        let (shapes, svg) = drawn(8);
        let area = |shape: &Shape| match shape {
            Shape::Cells { cells, .. } => cells.iter().map(|[_, [w, h]]| w * h).sum::<f64>(),
            _ => panic!("{shape:?}"),
        };
        assert_eq!(shapes.len(), 3);
        assert!((area(&shapes[0]) - 400.0).abs() < 1e-9);
        for shape in &shapes[1..] {
            assert!((130.0..138.0).contains(&area(shape)), "{} mm2", area(shape));
        }
        assert!(!svg.contains("<image"), "{svg}");
        assert!(svg.contains("shape-rendering=\"crispEdges\""));
    }

    /// Neighbours of one colour in a row are one rectangle, and all rectangles of a matrix are equally high.
    #[test]
    fn equal_neighbours_are_joined() {
        let [white, black] = [Rgb::WHITE, Rgb::BLACK];
        let pixels = [white, black, black, white, white, black, black, black];
        let found = cells([[0.0, 0.0], [4.0, 2.0]], 4, &pixels);
        let whole = vec![[[0.0, 0.0], [4.0, 2.0]]];
        let runs = vec![[[1.0, 0.0], [2.02, 1.02]], [[1.0, 0.98], [3.0, 1.02]]];
        let expected = [(white, whole), (black, runs)];
        assert_eq!(
            found,
            expected.map(|(fill, cells)| Shape::Cells { fill, cells })
        );
    }

    /// Each cell of a large matrix has several pixels, which limits the effect of smoothing to its edge.
    #[test]
    fn a_large_matrix_is_an_image_of_large_cells() {
        let (shapes, svg) = drawn(100);
        let [
            Shape::Image {
                columns, pixels, ..
            },
        ] = &shapes[..]
        else {
            panic!("one image");
        };
        assert_eq!((*columns, pixels.len()), (1200, 1200 * 1200));
        assert!(pixels[..12].iter().all(|ink| *ink == pixels[0]) && pixels[12] != pixels[0]);
        assert!(svg.len() < 60_000, "{} bytes", svg.len());
    }
}
