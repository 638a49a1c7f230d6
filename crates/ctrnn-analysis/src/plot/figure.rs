//! Layout of panels on a sheet.

use std::collections::HashSet;

use super::canvas::{Anchor, Canvas, Shape};
use super::{
    FigureError, HeatMap, Layer, Panel, Rgb, Ticks, drawable, font, fraction, png, range_of, svg,
};

/// Sizes on paper in millimetres. Text has 7 points, as journals require; a point is 0.353 mm.
const TEXT_MM: f64 = 2.47;
const TITLE_MM: f64 = 2.65;
const SMALL_MM: f64 = 2.12;
const LINE_HEIGHT: f64 = 1.25;
const TICK_MM: f64 = 0.9;
const AXIS_MM: f64 = 0.18;
const SPACE_MM: f64 = 1.0;
const COLUMN_GAP_MM: f64 = 3.0;
const EDGE_MM: f64 = 2.0;
/// Distance between the starts of neighbouring tilted labels.
const TILTED_GAP_MM: f64 = 1.5 * SMALL_MM;

/// Limits beyond which details cannot be distinguished on paper: stretches of a line, discs of a layer, cells along a
/// side of a heat map.
const MOST_STRETCHES: usize = 400;
const MOST_DISCS: usize = 20_000;
const MOST_CELLS: usize = 1500;

/// A grid of panels.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Title above all panels; empty for none.
    pub title: String,
    columns_mm: Vec<f64>,
    rows_mm: Vec<f64>,
    panels: Vec<([usize; 2], Panel)>,
}

impl Figure {
    /// Creates a figure without panels, in columns and rows whose data areas have these sizes in millimetres; room for
    /// labels is added.
    #[must_use]
    pub fn new(columns_mm: &[f64], rows_mm: &[f64]) -> Self {
        Self {
            title: String::new(),
            columns_mm: columns_mm.to_vec(),
            rows_mm: rows_mm.to_vec(),
            panels: Vec::new(),
        }
    }

    /// Returns the panel in a row and column, to which axes and layers can be added. Panels are painted in the order of
    /// the first call.
    ///
    /// # Panics
    /// If there is no such row or column.
    pub fn cell(&mut self, row: usize, column: usize) -> &mut Panel {
        let place = [row, column];
        let known = self.panels.iter().position(|(known, _)| *known == place);
        let k = known.unwrap_or_else(|| {
            self.place(row, column, Panel::default());
            self.panels.len() - 1
        });
        &mut self.panels[k].1
    }

    /// Places a panel in a row and column.
    ///
    /// # Panics
    /// If there is no such row or column.
    pub fn place(&mut self, row: usize, column: usize, panel: Panel) {
        assert!(
            row < self.rows_mm.len() && column < self.columns_mm.len(),
            "no place {row}, {column} in a figure of {} x {}",
            self.rows_mm.len(),
            self.columns_mm.len()
        );
        self.panels.push(([row, column], panel));
    }

    /// Returns width and height on paper.
    #[must_use]
    pub fn size_mm(&self) -> [f64; 2] {
        self.draw().size_mm
    }

    /// Renders the figure as an SVG file.
    #[must_use]
    pub fn to_svg(&self) -> String {
        svg::write(&self.draw())
    }

    /// Renders the figure as a PNG file with a resolution of `dpi` dots per inch.
    ///
    /// # Errors
    /// [`FigureError::Pixels`] if the image would be empty or too large.
    pub fn to_png(&self, dpi: f64) -> Result<Vec<u8>, FigureError> {
        png::write(&self.draw(), dpi)
    }

    fn draw(&self) -> Canvas {
        let mut canvas = Canvas::default();
        let tilted = self.tilted();
        let title_mm = match self.title.as_str() {
            "" => 0.0,
            title => {
                let at = [EDGE_MM, EDGE_MM + TITLE_MM];
                canvas.text(at, title, TITLE_MM, Anchor::Start, Rgb::BLACK);
                TITLE_MM * LINE_HEIGHT + SPACE_MM
            }
        };
        let lefts = self.starts(1, EDGE_MM);
        let tops = self.starts(0, EDGE_MM + title_mm);
        for ([row, column], panel) in &self.panels {
            let frame = Frame {
                corner: [lefts[*column], tops[*row]],
                size: [self.columns_mm[*column], self.rows_mm[*row]],
                ranges: panel.ranges(),
            };
            panel.draw(&frame, tilted, &mut canvas);
        }
        let below = self.margins(0, self.rows_mm.len().saturating_sub(1))[1];
        let right = self.margins(1, self.columns_mm.len().saturating_sub(1))[1];
        canvas.size_mm = [
            lefts.last().unwrap_or(&0.0) + self.columns_mm.last().unwrap_or(&0.0) + right + EDGE_MM,
            tops.last().unwrap_or(&0.0) + self.rows_mm.last().unwrap_or(&0.0) + below + EDGE_MM,
        ];
        canvas
    }

    /// Returns true if the names of bands are tilted, because one of them is wider than its band.
    fn tilted(&self) -> bool {
        let mut panels = self.panels.iter();
        panels.any(|([_, column], panel)| panel.has_narrow_bands(self.columns_mm[*column]))
    }

    /// Returns the starts of the data areas of the rows (`side` 0) or columns (1).
    fn starts(&self, side: usize, mut at: f64) -> Vec<f64> {
        let sizes = [&self.rows_mm, &self.columns_mm][side];
        let start = |(k, size): (usize, &f64)| {
            let [before, after] = self.margins(side, k);
            let start = at + before;
            at = start + size + after + [SPACE_MM, COLUMN_GAP_MM][side];
            start
        };
        sizes.iter().enumerate().map(start).collect()
    }

    /// Returns the margins that row or column `k` needs before and after its data area.
    fn margins(&self, side: usize, k: usize) -> [f64; 2] {
        let tilted = self.tilted();
        let here = self.panels.iter().filter(|(place, _)| place[side] == k);
        here.fold([0.0, 0.0], |[before, after], ([row, column], panel)| {
            let size = [self.columns_mm[*column], self.rows_mm[*row]];
            let [first, second] = match side {
                0 => [panel.above(size[0], tilted), panel.below()],
                _ => [panel.left(), panel.right(size[0], tilted)],
            };
            [f64::max(before, first), f64::max(after, second)]
        })
    }
}

/// Data area of a panel on the sheet.
struct Frame {
    corner: [f64; 2],
    size: [f64; 2],
    ranges: [[f64; 2]; 2],
}

impl Frame {
    fn x(&self, value: f64) -> f64 {
        self.corner[0] + self.size[0] * fraction(value, self.ranges[0])
    }

    fn y(&self, value: f64) -> f64 {
        self.corner[1] + self.size[1] * (1.0 - fraction(value, self.ranges[1]))
    }

    fn right(&self) -> f64 {
        self.corner[0] + self.size[0]
    }

    fn bottom(&self) -> f64 {
        self.corner[1] + self.size[1]
    }

    /// Returns the upper left corner and the size of a rectangle in data coordinates, clipped to the frame; `None` if
    /// an edge is NaN.
    fn rectangle(&self, x: [f64; 2], y: [f64; 2]) -> Option<([f64; 2], [f64; 2])> {
        if x.iter().chain(&y).any(|edge| edge.is_nan()) {
            return None;
        }
        let xs = x.map(|value| self.x(value).clamp(self.corner[0], self.right()));
        let ys = y.map(|value| self.y(value).clamp(self.corner[1], self.bottom()));
        let corner = [xs[0].min(xs[1]), ys[0].min(ys[1])];
        Some((corner, [(xs[1] - xs[0]).abs(), (ys[1] - ys[0]).abs()]))
    }

    fn contains(&self, [x, y]: [f64; 2]) -> bool {
        // A point on the edge counts as inside in spite of rounding.
        let within = |value: f64, low: f64, high: f64| (low - 1e-6..=high + 1e-6).contains(&value);
        within(x, self.corner[0], self.right()) && within(y, self.corner[1], self.bottom())
    }
}

impl Panel {
    /// Returns the ranges of both axes: as set, or those of the data, with a margin in y.
    fn ranges(&self) -> [[f64; 2]; 2] {
        let of_data = |side: usize, room: f64| {
            let extents = self.layers.iter().map(Layer::extent);
            range_of(extents.flat_map(|extent| extent[side].clone()), room)
        };
        [
            drawable(self.x.range.unwrap_or_else(|| of_data(0, 0.0))),
            drawable(self.y.range.unwrap_or_else(|| of_data(1, 0.05))),
        ]
    }

    /// Returns the height above the data area, for the title and the names of bands.
    fn above(&self, width_mm: f64, tilted: bool) -> f64 {
        let n_lines = font::wrap(&self.title, TEXT_MM, width_mm).len() as f64;
        let title = n_lines * TEXT_MM * LINE_HEIGHT;
        let heights = self.bands().map(|(_, label)| label_height(label, tilted));
        let bands = heights.fold(0.0, f64::max);
        let space = if title + bands > 0.0 { SPACE_MM } else { 0.0 };
        title + bands + space
    }

    fn below(&self) -> f64 {
        let ticks = match self.x.ticks {
            Ticks::None => 0.0,
            _ => TICK_MM + SPACE_MM / 2.0 + TEXT_MM,
        };
        let label = match self.x.label.as_str() {
            "" => 0.0,
            _ => TEXT_MM * LINE_HEIGHT + SPACE_MM / 2.0,
        };
        ticks + label
    }

    fn left(&self) -> f64 {
        let ticks = self.y.ticks_on(self.ranges()[1]);
        let widths = ticks.iter().map(|(_, label)| font::width(label) * TEXT_MM);
        let ticks_mm = match self.y.ticks {
            Ticks::None => 0.0,
            _ => widths.fold(0.0, f64::max) + TICK_MM + SPACE_MM,
        };
        let label_mm = match self.y.label.as_str() {
            "" => 0.0,
            _ => TEXT_MM * LINE_HEIGHT + SPACE_MM / 2.0,
        };
        ticks_mm + label_mm
    }

    /// Returns the width right of the data area, for the legend and for overhanging text: a tilted name, half a tick
    /// label.
    fn right(&self, width_mm: f64, tilted: bool) -> f64 {
        let names = self.layers.iter().filter_map(Layer::legend);
        let widest = names
            .map(|(_, name)| font::width(name) * TEXT_MM)
            .fold(0.0, f64::max);
        let legend = match widest {
            0.0 => 0.0,
            _ => widest + 6.0 * SPACE_MM,
        };
        let range = self.ranges()[0];
        let from_right = |x: f64| width_mm * (1.0 - fraction(x, range));
        let ticks = self.x.ticks_on(range).into_iter();
        let tick = ticks.map(|(x, label)| font::width(&label) * TEXT_MM / 2.0 - from_right(x));
        let places = self.label_places(width_mm, tilted).into_iter();
        let name = places
            .filter(|_| tilted)
            .map(|(x, label)| font::width(label) * SMALL_MM * 0.75 - (width_mm - x));
        name.chain(tick).fold(legend, f64::max)
    }

    fn bands(&self) -> impl Iterator<Item = ([f64; 2], &str)> {
        self.layers.iter().filter_map(|layer| match layer {
            Layer::Band { x, label, .. } if !label.is_empty() => {
                let is_somewhere = x.iter().all(|end| end.is_finite());
                is_somewhere.then_some((*x, label.as_str()))
            }
            _ => None,
        })
    }

    /// Returns true if a name is wider than its band.
    fn has_narrow_bands(&self, width_mm: f64) -> bool {
        let range = self.ranges()[0];
        self.bands().any(|(ends, label)| {
            let [from, to] = ends.map(|x| fraction(x, range));
            font::width(label) * SMALL_MM > (to - from) * width_mm
        })
    }

    /// Returns the names of bands with their positions in millimetres from the left, each at the middle of its band;
    /// tilted ones that would touch are moved apart.
    fn label_places(&self, width_mm: f64, tilted: bool) -> Vec<(f64, &str)> {
        let range = self.ranges()[0];
        let apart = if tilted { TILTED_GAP_MM } else { 0.0 };
        let mut last = f64::NEG_INFINITY;
        let place = |(ends, label): ([f64; 2], _)| {
            // Clamped to the visible part of a band that extends beyond the panel.
            let [from, to] = ends.map(|x| fraction(x, range).clamp(0.0, 1.0));
            let middle = (from + to) / 2.0 * width_mm;
            last = f64::max(middle, last + apart);
            (last, label)
        };
        self.bands().map(place).collect()
    }

    fn draw(&self, frame: &Frame, tilted: bool, canvas: &mut Canvas) {
        for layer in &self.layers {
            draw_layer(layer, frame, canvas);
        }
        self.draw_band_labels(frame, tilted, canvas);
        self.draw_title(frame, tilted, canvas);
        self.draw_x_axis(frame, canvas);
        self.draw_y_axis(frame, canvas);
        self.draw_legend(frame, canvas);
    }

    fn draw_title(&self, frame: &Frame, tilted: bool, canvas: &mut Canvas) {
        let lines = font::wrap(&self.title, TEXT_MM, frame.size[0]);
        let top = frame.corner[1] - self.above(frame.size[0], tilted);
        for (k, line) in lines.iter().enumerate() {
            let y = top + TEXT_MM * (1.0 + k as f64 * LINE_HEIGHT);
            canvas.text(
                [frame.corner[0], y],
                line,
                TEXT_MM,
                Anchor::Start,
                Rgb::BLACK,
            );
        }
    }

    fn draw_band_labels(&self, frame: &Frame, tilted: bool, canvas: &mut Canvas) {
        let y = frame.corner[1] - SPACE_MM * 0.7;
        let (anchor, degrees) = if tilted {
            (Anchor::Start, 45.0)
        } else {
            (Anchor::Middle, 0.0)
        };
        for (x, label) in self.label_places(frame.size[0], tilted) {
            let at = [frame.corner[0] + x, y];
            canvas.turned_text(at, label, SMALL_MM, anchor, degrees, Rgb::GREY);
        }
    }

    fn draw_x_axis(&self, frame: &Frame, canvas: &mut Canvas) {
        let bottom = frame.bottom();
        let mut below = bottom;
        if self.x.ticks != Ticks::None {
            let ends = [[frame.corner[0], bottom], [frame.right(), bottom]];
            canvas.line(&ends, Rgb::BLACK, AXIS_MM);
            below += TICK_MM + SPACE_MM / 2.0 + TEXT_MM;
            for (value, label) in self.x.ticks_on(frame.ranges[0]) {
                let x = frame.x(value);
                canvas.line(&[[x, bottom], [x, bottom + TICK_MM]], Rgb::BLACK, AXIS_MM);
                let at = [x, below - 0.2 * TEXT_MM];
                canvas.text(at, &label, TEXT_MM, Anchor::Middle, Rgb::BLACK);
            }
        }
        let at = [
            frame.corner[0] + frame.size[0] / 2.0,
            below + TEXT_MM * 1.05,
        ];
        if !self.x.label.is_empty() {
            canvas.text(at, &self.x.label, TEXT_MM, Anchor::Middle, Rgb::BLACK);
        }
    }

    fn draw_y_axis(&self, frame: &Frame, canvas: &mut Canvas) {
        let left = frame.corner[0];
        if self.y.ticks != Ticks::None {
            let ends = [[left, frame.corner[1]], [left, frame.bottom()]];
            canvas.line(&ends, Rgb::BLACK, AXIS_MM);
            for (value, label) in self.y.ticks_on(frame.ranges[1]) {
                let y = frame.y(value);
                canvas.line(&[[left, y], [left - TICK_MM, y]], Rgb::BLACK, AXIS_MM);
                let at = [left - TICK_MM - SPACE_MM / 2.0, y + 0.35 * TEXT_MM];
                canvas.text(at, &label, TEXT_MM, Anchor::End, Rgb::BLACK);
            }
        }
        if !self.y.label.is_empty() {
            let x = left - self.left() + TEXT_MM;
            let at = [x, frame.corner[1] + frame.size[1] / 2.0];
            canvas.turned_text(at, &self.y.label, TEXT_MM, Anchor::Middle, 90.0, Rgb::BLACK);
        }
    }

    fn draw_legend(&self, frame: &Frame, canvas: &mut Canvas) {
        let x = frame.right() + SPACE_MM;
        let entries = self.layers.iter().filter_map(|layer| {
            let is_line = !matches!(layer, Layer::Points { .. });
            layer.legend().map(|entry| (is_line, entry))
        });
        for (k, (is_line, (colour, name))) in entries.enumerate() {
            let y = frame.corner[1] + TEXT_MM * (0.7 + k as f64 * LINE_HEIGHT);
            if is_line {
                canvas.line(&[[x, y], [x + 3.0, y]], colour, 0.4);
            } else {
                canvas.shapes.push(Shape::Disc {
                    centre: [x + 2.3, y],
                    radius_mm: 0.6,
                    fill: colour,
                });
            }
            let at = [x + 4.0, y + 0.35 * TEXT_MM];
            canvas.text(at, name, TEXT_MM, Anchor::Start, Rgb::BLACK);
        }
    }
}

/// Returns the height of the name of a band.
fn label_height(label: &str, tilted: bool) -> f64 {
    if tilted {
        font::width(label) * SMALL_MM * 0.71 + SMALL_MM * 0.7
    } else {
        SMALL_MM
    }
}

fn draw_layer(layer: &Layer, frame: &Frame, canvas: &mut Canvas) {
    match layer {
        Layer::Line {
            x,
            y,
            colour,
            width_mm,
            dashed,
            ..
        } => {
            let points = x.iter().zip(y).map(|(x, y)| [frame.x(*x), frame.y(*y)]);
            let points: Vec<[f64; 2]> = points.collect();
            let seen = points.split(|point| !frame.contains(*point));
            let shapes = seen.filter_map(|points| stretch(points, *colour, *width_mm, *dashed));
            canvas.shapes.extend(shapes);
        }
        Layer::Points {
            x,
            y,
            colour,
            radius_mm,
            ..
        } => {
            let places = x.iter().zip(y).map(|(x, y)| [frame.x(*x), frame.y(*y)]);
            let seen = places.filter(|&place| frame.contains(place)).collect();
            for centre in spread(seen, frame) {
                canvas.shapes.push(Shape::Disc {
                    centre,
                    radius_mm: *radius_mm,
                    fill: *colour,
                });
            }
        }
        Layer::Box { x, y, colour } => {
            if let Some((corner, size)) = frame.rectangle(*x, *y) {
                canvas.rectangle(corner, size, *colour);
            }
        }
        Layer::Band { x, colour, .. } => {
            if let Some((corner, size)) = frame.rectangle(*x, frame.ranges[1]) {
                canvas.rectangle(corner, size, *colour);
            }
        }
        Layer::HeatMap(map) => draw_heat_map(map, frame, canvas),
        Layer::Text { at, text, colour } => {
            let [x, y] = [frame.x(at[0]), frame.y(at[1])];
            if frame.contains([x, y]) {
                let at = [x, y + 0.35 * SMALL_MM];
                canvas.text(at, text, SMALL_MM, Anchor::Middle, *colour);
            }
        }
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

/// Thins very many discs to the first in each cell of a grid over the frame.
fn spread(mut places: Vec<[f64; 2]>, frame: &Frame) -> Vec<[f64; 2]> {
    if places.len() > MOST_DISCS {
        let side_mm = (frame.size[0] * frame.size[1] / MOST_DISCS as f64).sqrt();
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
    canvas.shapes.push(Shape::Image {
        corner,
        size,
        pixels: pixels.collect(),
        columns: shown_columns.len(),
    });
}

/// Selects the rows or columns of `n` that a heat map shows: evenly spaced ones if there are very many.
fn shown(n: usize) -> impl Iterator<Item = usize> {
    (0..n).step_by(n.div_ceil(MOST_CELLS).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::{Axis, ColourMap, colour};

    fn figure() -> Figure {
        let line = Layer::line(vec![0.0, 1.0, 2.0], vec![0.0, f64::NAN, 4.0], colour(0));
        let band = Layer::Band {
            x: [0.0, 1.0],
            colour: Rgb::PALE,
            label: "delay".to_owned(),
        };
        let map = Layer::HeatMap(HeatMap {
            x: [0.0, 2.0],
            y: [0.0, 1.0],
            columns: 2,
            values: vec![0.0, 1.0, 1.0, 0.0],
            scale: [0.0, 1.0],
            map: ColourMap::Blues,
        });
        let panel = Panel {
            title: "a < b".to_owned(),
            x: Axis::new("time"),
            y: Axis::new("rate"),
            layers: vec![
                band,
                map,
                line,
                Layer::points(vec![1.0], vec![2.0], colour(1)).named("mean"),
            ],
        };
        let mut figure = Figure::new(&[40.0], &[30.0]);
        figure.place(0, 0, panel);
        figure
    }

    #[test]
    fn an_svg_holds_text_as_text_and_sizes_in_millimetres() {
        let svg = figure().to_svg();
        for expected in [
            ">a &lt; b</text>",
            ">time</text>",
            ">delay</text>",
            ">mean</text>",
            "mm\" height=\"",
            "data:image/png;base64,",
            "<circle ",
        ] {
            assert!(svg.contains(expected), "{expected}\n{svg}");
        }
    }

    /// At 254 dots per inch a millimetre has ten pixels.
    #[test]
    fn a_png_has_the_size_of_the_sheet() {
        let figure = figure();
        let png = figure.to_png(254.0).unwrap();
        assert_eq!(&png[..4], b"\x89PNG");
        let width = u32::from_be_bytes(png[16..20].try_into().unwrap());
        assert_eq!(width, (figure.draw().size_mm[0] * 10.0).ceil() as u32);
        assert!(figure.to_png(0.0).is_err());
    }

    /// The y axis points up: the middle of 0 to 10 is in the middle, the upper end at the top.
    #[test]
    fn the_data_fill_the_frame() {
        let frame = Frame {
            corner: [5.0, 7.0],
            size: [20.0, 10.0],
            ranges: [[0.0, 2.0], [0.0, 10.0]],
        };
        assert_eq!(
            (frame.x(1.0), frame.y(5.0), frame.y(10.0)),
            (15.0, 12.0, 7.0)
        );
        assert_eq!(
            frame.rectangle([1.0, 9.0], [0.0, 5.0]),
            Some(([15.0, 12.0], [10.0, 5.0]))
        );
        assert_eq!(frame.rectangle([f64::NAN, 9.0], [0.0, 5.0]), None);
    }

    /// A line is interrupted at NaN, which leaves two separate points here.
    #[test]
    fn no_line_is_drawn_through_nan() {
        let canvas = figure().draw();
        let line =
            |shape: &&Shape| matches!(shape, Shape::Polyline { colour: c, .. } if *c == colour(0));
        let point =
            |shape: &&Shape| matches!(shape, Shape::Disc { fill, .. } if *fill == colour(0));
        assert_eq!(canvas.shapes.iter().filter(line).count(), 0);
        assert_eq!(canvas.shapes.iter().filter(point).count(), 2);
    }

    /// A spike within 100 000 points of a line is kept; very many discs and cells make a file of ordinary size.
    #[test]
    fn what_paper_cannot_show_is_left_out() {
        let n = 100_000;
        let x: Vec<f64> = (0..n).map(f64::from).collect();
        let y = (0..n).map(|k| {
            if k == 54_321 {
                9.0
            } else {
                (f64::from(k) * 1.7).sin()
            }
        });
        let dots = |p: f64| {
            (0..200_000)
                .map(move |k| (f64::from(k) * p).fract())
                .collect()
        };
        let cells = HeatMap {
            x: [0.0, 1.0],
            y: [0.0, 1.0],
            columns: 3000,
            values: (0..1_500_000).map(|k| (f64::from(k) * 0.7).sin()).collect(),
            scale: [-1.0, 1.0],
            map: ColourMap::BlueWhiteRed,
        };
        let layers = [
            Layer::line(x, y.collect(), colour(0)),
            Layer::points(dots(0.618_034), dots(0.414_214), colour(1)),
            Layer::HeatMap(cells),
        ];
        let canvases = layers.map(|layer| {
            let mut figure = Figure::new(&[40.0], &[30.0]);
            let layers = vec![layer];
            figure.place(
                0,
                0,
                Panel {
                    layers,
                    ..Panel::default()
                },
            );
            (figure.draw(), figure.to_svg().len())
        });
        assert!(
            canvases.iter().all(|(_, size)| *size < 2_000_000),
            "{:?}",
            canvases.each_ref().map(|c| c.1)
        );
        let top = |shape: &Shape| match shape {
            Shape::Polyline { points, .. } if points.len() > 2 => points
                .iter()
                .map(|point| point[1])
                .fold(f64::INFINITY, f64::min),
            _ => f64::INFINITY,
        };
        let highest = canvases[0]
            .0
            .shapes
            .iter()
            .map(top)
            .fold(f64::INFINITY, f64::min);
        let sine = canvases[0].0.size_mm[1] / 2.0;
        assert!(
            highest < sine / 2.0,
            "the spike is {highest} mm from the top"
        );
    }
}
