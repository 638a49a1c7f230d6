//! Layout of panels on a sheet.

mod fit;
#[cfg(test)]
mod tests;

use super::canvas::{Anchor, Canvas, Shape};
use super::draw::{Frame, draw_layer, draw_marker};
use super::font::{SMALL_MM, TEXT_MM};
use super::{
    FigureError, Layer, Panel, Rgb, Ticks, drawable, font, fraction, pdf, png, range_of, svg,
};

/// Sizes on paper in millimetres at the default font size of 7 points, as journals require; a point is 0.353 mm.
const TITLE_MM: f64 = 2.65;
const LINE_HEIGHT: f64 = 1.25;
const TICK_MM: f64 = 0.9;
const AXIS_MM: f64 = 0.18;
const SPACE_MM: f64 = 1.0;
const COLUMN_GAP_MM: f64 = 3.0;
const EDGE_MM: f64 = 2.0;
/// Distance between the starts of neighbouring tilted labels.
const TILTED_GAP_MM: f64 = 1.5 * SMALL_MM;

/// A grid of panels.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Title above all panels; empty for none.
    pub title: String,
    columns_mm: Vec<f64>,
    rows_mm: Vec<f64>,
    panels: Vec<([usize; 2], Panel)>,
    /// Factor of all sizes: a font size relative to the default.
    magnification: f64,
    /// Entries of a legend below all panels, which replaces those beside the panels of a narrow figure.
    pub(super) legend: Vec<Layer>,
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
            magnification: 1.0,
            legend: Vec::new(),
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

    /// Returns the number of columns of the legend below the panels on a sheet of a width, and their own width.
    pub(super) fn legend_columns(&self, sheet_mm: f64) -> (usize, f64) {
        let names = self.legend.iter().filter_map(Layer::legend);
        let widths = names.map(|(_, name)| font::width(name) * TEXT_MM);
        let wide = widths.fold(0.0, f64::max) + 6.0 * SPACE_MM;
        let n = ((sheet_mm - 2.0 * EDGE_MM) / wide).floor().max(1.0) as usize;
        (n.min(self.legend.len().max(1)), wide)
    }

    /// Draws the legend below the panels, column by column, and enlarges the sheet.
    fn draw_legend(&self, canvas: &mut Canvas) {
        if self.legend.is_empty() {
            return;
        }
        let [width, height] = canvas.size_mm;
        let (n_columns, wide) = self.legend_columns(width);
        let n_rows = self.legend.len().div_ceil(n_columns);
        for (k, layer) in self.legend.iter().enumerate() {
            let x = EDGE_MM + (k / n_rows) as f64 * wide;
            let y = height + TEXT_MM * ((k % n_rows) as f64 * LINE_HEIGHT + 0.5);
            draw_entry(layer, [x, y], canvas);
        }
        canvas.size_mm = [
            width.max(wide + 2.0 * EDGE_MM),
            height + n_rows as f64 * TEXT_MM * LINE_HEIGHT + SPACE_MM,
        ];
    }

    /// Lists what a reader of the figure would have to guess: colours that no legend explains, matrices without a colour
    /// bar, and courses over the time of a trial without its epochs.
    #[cfg(test)]
    pub(crate) fn unexplained(&self) -> Vec<String> {
        let panels = || self.panels.iter().map(|(_, panel)| panel);
        let layers = || panels().flat_map(|panel| &panel.layers);
        let is_coloured = |Rgb(parts): &Rgb| {
            let [least, most] = [parts.iter().min(), parts.iter().max()];
            most > least.map(|least| least.saturating_add(40)).as_ref()
        };
        let named: Vec<Rgb> = layers().filter_map(|l| Some(l.legend()?.0)).collect();
        let mut used: Vec<Rgb> = layers()
            .filter_map(Layer::ink)
            .filter(is_coloured)
            .collect();
        used.sort_by_key(|ink| ink.0);
        used.dedup();
        let mut found = Vec::new();
        if used.len() > 1 {
            // A paler line of the same colour belongs to the same entry.
            let pale = |ink: &Rgb| named.iter().any(|n| n.towards(Rgb::WHITE, 0.5) == *ink);
            let unknown = used.iter().filter(|ink| !named.contains(ink) && !pale(ink));
            found.extend(unknown.map(|ink| format!("no legend explains {ink:?}")));
        }
        let is_map = |layer: &Layer| matches!(layer, Layer::HeatMap(_));
        if layers().any(is_map) && !panels().any(|panel| panel.bar.is_some()) {
            found.push("a matrix without a colour bar".to_owned());
        }
        let is_band = |layer: &Layer| matches!(layer, Layer::Band { .. });
        let is_bare =
            |panel: &&Panel| panel.x.label == "time (ms)" && !panel.layers.iter().any(is_band);
        found.extend(
            panels()
                .find(is_bare)
                .map(|_| "a course without epochs".to_owned()),
        );
        found
    }

    /// Returns true if a column contains only colour bars.
    fn is_of_bars(&self, column: usize) -> bool {
        let mut here = self.panels.iter().filter(|(place, _)| place[1] == column);
        here.clone().count() > 0 && here.all(|(_, panel)| panel.bar.is_some())
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

    /// Renders the figure as a PDF file with embedded font.
    #[must_use]
    pub fn to_pdf(&self) -> Vec<u8> {
        pdf::write(&self.draw())
    }

    fn draw(&self) -> Canvas {
        let mut canvas = Canvas::default();
        let tilted = self.tilted();
        for (k, line) in self.title_lines().iter().enumerate() {
            let at = [EDGE_MM, EDGE_MM + TITLE_MM * (1.0 + k as f64 * LINE_HEIGHT)];
            canvas.text(at, line, TITLE_MM, Anchor::Start, Rgb::BLACK);
        }
        for (frame, panel) in self.placed() {
            panel.draw(&frame, tilted, &mut canvas);
        }
        let [_, tops] = self.corners();
        let below = self.margins(0, self.rows_mm.len().saturating_sub(1))[1];
        canvas.size_mm = [
            self.width_mm(),
            tops.last().unwrap_or(&0.0) + self.rows_mm.last().unwrap_or(&0.0) + below + EDGE_MM,
        ];
        self.draw_legend(&mut canvas);
        canvas.magnify(self.magnification);
        canvas
    }

    /// Returns the width of the sheet.
    fn width_mm(&self) -> f64 {
        let lefts = self.starts(1, EDGE_MM);
        let right = self.margins(1, self.columns_mm.len().saturating_sub(1))[1];
        lefts.last().unwrap_or(&0.0) + self.columns_mm.last().unwrap_or(&0.0) + right + EDGE_MM
    }

    /// Returns the title, broken into lines as wide as the sheet.
    pub(super) fn title_lines(&self) -> Vec<String> {
        font::wrap(&self.title, TITLE_MM, self.width_mm() - 2.0 * EDGE_MM)
    }

    /// Returns the left ends of the columns and the upper ends of the rows.
    fn corners(&self) -> [Vec<f64>; 2] {
        let title_mm = match self.title_lines().len() {
            0 => 0.0,
            n => n as f64 * TITLE_MM * LINE_HEIGHT + SPACE_MM,
        };
        [self.starts(1, EDGE_MM), self.starts(0, EDGE_MM + title_mm)]
    }

    /// Returns the panels with their data areas, at the default font size.
    pub(super) fn placed(&self) -> Vec<(Frame, &Panel)> {
        let [lefts, tops] = self.corners();
        let place = |([row, column], panel): &([usize; 2], Panel)| Frame {
            corner: [lefts[*column], tops[*row]],
            size: [self.columns_mm[*column], self.rows_mm[*row]],
            ranges: panel.ranges(),
        };
        let panels = self.panels.iter();
        panels.map(|placed| (place(placed), &placed.1)).collect()
    }

    /// Returns the factor of all sizes: a font size relative to the default.
    pub(super) fn magnification(&self) -> f64 {
        self.magnification
    }

    /// Returns true if the names of bands are tilted, because one of them is wider than its band.
    pub(super) fn tilted(&self) -> bool {
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
                0 => {
                    let label = panel.label_overhang(size[1]);
                    let below = panel.below(size[0]).max(panel.legend_overhang(size[1]));
                    [panel.above(size[0], tilted).max(label), below.max(label)]
                }
                _ => [panel.left(), panel.right(size, tilted)],
            };
            [f64::max(before, first), f64::max(after, second)]
        })
    }
}

impl Panel {
    /// Returns the ranges of both axes: as set, or those of the data, with a margin in y.
    pub(super) fn ranges(&self) -> [[f64; 2]; 2] {
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
        let title = self.title_lines(width_mm).len() as f64 * TEXT_MM * LINE_HEIGHT;
        let bands = self.band_height(tilted);
        let space = if title + bands > 0.0 { SPACE_MM } else { 0.0 };
        title + bands + space
    }

    /// Returns the title, broken into lines.
    pub(super) fn title_lines(&self, width_mm: f64) -> Vec<String> {
        font::wrap(&self.title, TEXT_MM, width_mm)
    }

    /// Returns the height of the names of bands.
    pub(super) fn band_height(&self, tilted: bool) -> f64 {
        let heights = self.bands().map(|(_, label)| label_height(label, tilted));
        heights.fold(0.0, f64::max)
    }

    fn below(&self, width_mm: f64) -> f64 {
        let ticks = match self.x.ticks {
            Ticks::None => 0.0,
            _ => TICK_MM + SPACE_MM / 2.0 + self.x_label_height(width_mm),
        };
        let label = match self.x_label_lines(width_mm).len() {
            0 => 0.0,
            n => n as f64 * TEXT_MM * LINE_HEIGHT + SPACE_MM / 2.0,
        };
        ticks + label
    }

    /// Returns the label of the x axis, broken into lines that reach a little beyond the axis at most.
    pub(super) fn x_label_lines(&self, width_mm: f64) -> Vec<String> {
        /// Length of a line beyond either end of the axis.
        const BEYOND_MM: f64 = 3.0;
        font::wrap(&self.x.label, TEXT_MM, width_mm + 2.0 * BEYOND_MM)
    }

    /// Returns the length of the label of the y axis beyond either end of the data area.
    fn label_overhang(&self, height_mm: f64) -> f64 {
        let length = font::width(&self.y.label) * TEXT_MM;
        ((length - height_mm) / 2.0).max(0.0)
    }

    /// Returns the height of the legend below the data area.
    fn legend_overhang(&self, height_mm: f64) -> f64 {
        let n = self.layers.iter().filter_map(Layer::legend).count();
        n as f64 * TEXT_MM * LINE_HEIGHT - height_mm
    }

    /// Returns true if the labels of the x axis are upright, because neighbouring ones would touch.
    pub(super) fn has_upright_labels(&self, width_mm: f64) -> bool {
        let range = self.ranges()[0];
        let Ticks::At(_) = self.x.ticks else {
            return false;
        };
        let ends = |(x, label): &(f64, String)| {
            let half = font::width(label) * TEXT_MM / 2.0;
            let middle = fraction(*x, range) * width_mm;
            [middle - half, middle + half]
        };
        let mut places: Vec<[f64; 2]> = self.x.ticks_on(range).iter().map(ends).collect();
        places.sort_by(|a, b| a[0].total_cmp(&b[0]));
        let touch = |pair: &[[f64; 2]]| pair[0][1] + SPACE_MM / 2.0 > pair[1][0];
        places.windows(2).any(touch)
    }

    /// Returns the height of the labels of the x axis.
    fn x_label_height(&self, width_mm: f64) -> f64 {
        if !self.has_upright_labels(width_mm) {
            return TEXT_MM;
        }
        let ticks = self.x.ticks_on(self.ranges()[0]);
        let widths = ticks.iter().map(|(_, label)| font::width(label) * TEXT_MM);
        widths.fold(TEXT_MM, f64::max)
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
    fn right(&self, [width_mm, height_mm]: [f64; 2], tilted: bool) -> f64 {
        let names = self.layers.iter().filter_map(Layer::legend);
        let widest = names
            .map(|(_, name)| font::width(name) * TEXT_MM)
            .fold(0.0, f64::max);
        let legend = match widest {
            0.0 => 0.0,
            _ => widest + 5.0 * SPACE_MM + self.legend_gap([width_mm, height_mm]),
        };
        let tick = [self.tick_overhang(width_mm)].into_iter();
        let places = self.label_places(width_mm, tilted).into_iter();
        let name = places
            .filter(|_| tilted)
            .map(|(x, label)| font::width(label) * SMALL_MM * 0.75 - (width_mm - x));
        name.chain(tick).fold(legend, f64::max)
    }

    /// Returns the length of the last label of the x axis beyond the right end.
    fn tick_overhang(&self, width_mm: f64) -> f64 {
        let range = self.ranges()[0];
        let from_right = |x: f64| width_mm * (1.0 - fraction(x, range));
        let is_upright = self.has_upright_labels(width_mm);
        let width = |label: &str| {
            if is_upright {
                TEXT_MM
            } else {
                font::width(label) * TEXT_MM
            }
        };
        let ticks = self.ticks_across(width_mm).into_iter();
        let beyond = ticks.map(|(x, label)| width(&label) / 2.0 - from_right(x));
        beyond.fold(0.0, f64::max)
    }

    /// Returns the distance of the legend from the data area: beyond the last label of the x axis if it reaches down to it.
    fn legend_gap(&self, [width_mm, height_mm]: [f64; 2]) -> f64 {
        let tick = if self.legend_overhang(height_mm) > 0.0 {
            self.tick_overhang(width_mm)
        } else {
            0.0
        };
        // A marker at the right end would look like one of the legend.
        let range = self.ranges()[0];
        let is_at_end = |layer: &Layer| match layer {
            Layer::Points { x, .. } => x.iter().any(|x| fraction(*x, range) > 0.97),
            _ => false,
        };
        let marker = if self.layers.iter().any(is_at_end) {
            2.0 * SPACE_MM
        } else {
            0.0
        };
        SPACE_MM + f64::max(tick, marker)
    }

    /// Returns the ticks of the x axis: of round ones whose labels would touch, every second, third, ... one.
    pub(super) fn ticks_across(&self, width_mm: f64) -> Vec<(f64, String)> {
        let range = self.ranges()[0];
        let all = self.x.ticks_on(range);
        if self.x.ticks != Ticks::Round || all.len() < 2 {
            return all;
        }
        let apart = (fraction(all[1].0, range) - fraction(all[0].0, range)).abs() * width_mm;
        let widths = all.iter().map(|(_, label)| font::width(label) * TEXT_MM);
        let needed = widths.fold(0.0, f64::max) + SPACE_MM / 2.0;
        let every = (needed / apart).ceil().max(1.0) as usize;
        all.into_iter().step_by(every).collect()
    }

    fn bands(&self) -> impl Iterator<Item = ([f64; 2], &str)> {
        self.layers.iter().filter_map(Self::labelled_band)
    }

    /// Returns the ends and the name of a layer that is a band with a name.
    pub(super) fn labelled_band(layer: &Layer) -> Option<([f64; 2], &str)> {
        match layer {
            Layer::Band { x, label, .. } if !label.is_empty() => {
                let is_somewhere = x.iter().all(|end| end.is_finite());
                is_somewhere.then_some((*x, label.as_str()))
            }
            _ => None,
        }
    }

    /// Returns true if a name is wider than its band, or touches the name of a band that overlaps with its own.
    fn has_narrow_bands(&self, width_mm: f64) -> bool {
        let range = self.ranges()[0];
        let mut is_narrow = self.bands().map(|(ends, label)| {
            // The visible part of a band that extends beyond the panel.
            let [from, to] = ends.map(|x| fraction(x, range).clamp(0.0, 1.0));
            font::width(label) * SMALL_MM + SPACE_MM / 2.0 > (to - from) * width_mm
        });
        let places = self.label_places(width_mm, false);
        let half = |label: &str| (font::width(label) * SMALL_MM + SPACE_MM / 2.0) / 2.0;
        let touches = |pair: &[(f64, &str)]| {
            let [(left, first), (right, second)] = [pair[0], pair[1]];
            right - left < half(first) + half(second)
        };
        is_narrow.any(|is_narrow| is_narrow) || places.windows(2).any(touches)
    }

    /// Returns the names of bands with their positions in millimetres from the left, each at the middle of its band;
    /// tilted ones that would touch are moved apart.
    pub(super) fn label_places(&self, width_mm: f64, tilted: bool) -> Vec<(f64, &str)> {
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
        // Points are drawn over the axes, so that one at the end of an axis is seen whole.
        let is_point = |layer: &Layer| matches!(layer, Layer::Points { .. });
        let first_points = self.layers.iter().position(is_point);
        let (below, above) = self
            .layers
            .split_at(first_points.unwrap_or(self.layers.len()));
        below
            .iter()
            .for_each(|layer| draw_layer(layer, frame, canvas));
        self.draw_x_axis(frame, canvas);
        self.draw_y_axis(frame, canvas);
        above
            .iter()
            .for_each(|layer| draw_layer(layer, frame, canvas));
        self.draw_band_labels(frame, tilted, canvas);
        self.draw_title(frame, tilted, canvas);
        self.draw_legend(frame, canvas);
    }

    fn draw_title(&self, frame: &Frame, tilted: bool, canvas: &mut Canvas) {
        let lines = self.title_lines(frame.size[0]);
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
            let is_upright = self.has_upright_labels(frame.size[0]);
            let top = bottom + TICK_MM + SPACE_MM / 2.0;
            below = top + self.x_label_height(frame.size[0]);
            for (value, label) in self.ticks_across(frame.size[0]) {
                let x = frame.x(value);
                canvas.line(&[[x, bottom], [x, bottom + TICK_MM]], Rgb::BLACK, AXIS_MM);
                if is_upright {
                    let at = [x + 0.35 * TEXT_MM, top];
                    canvas.turned_text(at, &label, TEXT_MM, Anchor::End, 90.0, Rgb::BLACK);
                } else {
                    let at = [x, below - 0.2 * TEXT_MM];
                    canvas.text(at, &label, TEXT_MM, Anchor::Middle, Rgb::BLACK);
                }
            }
        }
        let middle = frame.corner[0] + frame.size[0] / 2.0;
        for (k, line) in self.x_label_lines(frame.size[0]).iter().enumerate() {
            let y = below + TEXT_MM * (1.05 + k as f64 * LINE_HEIGHT);
            canvas.text([middle, y], line, TEXT_MM, Anchor::Middle, Rgb::BLACK);
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
        let x = frame.right() + self.legend_gap(frame.size);
        let named = self.layers.iter().filter(|layer| layer.legend().is_some());
        for (k, layer) in named.enumerate() {
            let y = frame.corner[1] + TEXT_MM * (0.7 + k as f64 * LINE_HEIGHT);
            draw_entry(layer, [x, y], canvas);
        }
    }
}

/// Draws the line or marker and the name of a layer as an entry of a legend.
fn draw_entry(layer: &Layer, [x, y]: [f64; 2], canvas: &mut Canvas) {
    const MARKER_MM: f64 = 0.7;
    let Some((colour, name)) = layer.legend() else {
        return;
    };
    match layer {
        Layer::Points { marker, .. } => {
            draw_marker(*marker, [x + 2.3, y], MARKER_MM, colour, canvas);
        }
        Layer::Line { dashed, .. } => canvas.shapes.push(Shape::Polyline {
            points: vec![[x, y], [x + 3.0, y]],
            colour,
            width_mm: 0.4,
            dashed: *dashed,
        }),
        _ => {}
    }
    let at = [x + 4.0, y + 0.35 * TEXT_MM];
    canvas.text(at, name, TEXT_MM, Anchor::Start, Rgb::BLACK);
}

/// Returns the height of the name of a band.
fn label_height(label: &str, tilted: bool) -> f64 {
    if tilted {
        font::width(label) * SMALL_MM * 0.71 + SMALL_MM * 0.7
    } else {
        SMALL_MM
    }
}
