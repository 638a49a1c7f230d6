//! A pair of axes, built step by step.

use ndarray::Array2;

use super::{Axis, ColourMap, Layer, Ticks, colour, range_of};

/// A pair of axes, and the layers drawn in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Panel {
    /// Title above the panel, broken into lines; empty for none.
    pub title: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// Layers, from back to front.
    pub layers: Vec<Layer>,
    /// Scale and colours if the panel is a colour bar.
    pub bar: Option<([f64; 2], ColourMap)>,
}

/// Width of a colour bar in mm.
pub const BAR_MM: f64 = 2.5;

/// Returns the width of each of `n_panels` equal panels that together fit the two columns of a page, at most `most_mm`.
pub fn panel_mm(n_panels: usize, most_mm: f64) -> f64 {
    const PAGE_MM: f64 = 132.0;
    most_mm.min(PAGE_MM / n_panels.max(1) as f64)
}

impl Panel {
    /// Sets the title.
    pub fn title(&mut self, title: impl Into<String>) -> &mut Self {
        self.title = title.into();
        self
    }

    /// Sets label and range of the horizontal axis.
    pub fn x(&mut self, label: &str, range: [f64; 2]) -> &mut Self {
        self.x.range = Some(range);
        self.x_label(label)
    }

    /// Sets label and range of the vertical axis.
    pub fn y(&mut self, label: &str, range: [f64; 2]) -> &mut Self {
        self.y.range = Some(range);
        self.y_label(label)
    }

    /// Sets the label of the horizontal axis.
    pub fn x_label(&mut self, label: &str) -> &mut Self {
        label.clone_into(&mut self.x.label);
        self
    }

    /// Sets the label of the vertical axis.
    pub fn y_label(&mut self, label: &str) -> &mut Self {
        label.clone_into(&mut self.y.label);
        self
    }

    /// Sets the ticks of the horizontal axis.
    pub fn x_ticks(&mut self, ticks: Ticks) -> &mut Self {
        self.x.ticks = ticks;
        self
    }

    /// Sets the ticks of the vertical axis.
    pub fn y_ticks(&mut self, ticks: Ticks) -> &mut Self {
        self.y.ticks = ticks;
        self
    }

    /// Labels the horizontal axis as time, from the beginning of a trial to the last of the lines.
    pub fn time_axis(&mut self) -> &mut Self {
        let ends = self.layers.iter().filter_map(|layer| match layer {
            Layer::Line { x, .. } => x.last().copied(),
            _ => None,
        });
        let end = ends.fold(1e-9, f64::max);
        self.x("time (ms)", [0.0, end])
    }

    /// Fits the ranges of both axes to the lines and points, with the fraction `room` added at both ends.
    pub fn fit(&mut self, room: f64) -> &mut Self {
        let range = |side: usize| {
            let drawn = self.layers.iter().filter_map(|layer| match layer {
                Layer::Line { .. } | Layer::Points { .. } => Some(layer.extent()),
                _ => None,
            });
            Some(range_of(
                drawn.flat_map(|extent| extent[side].clone()),
                room,
            ))
        };
        let (x, y) = (range(0), range(1));
        (self.x.range, self.y.range) = (x, y);
        self
    }

    /// Draws a layer on top.
    pub fn add(&mut self, layer: Layer) -> &mut Self {
        self.layers.push(layer);
        self
    }

    /// Draws several layers on top, in order.
    pub fn extend(&mut self, layers: impl IntoIterator<Item = Layer>) -> &mut Self {
        self.layers.extend(layers);
        self
    }

    /// Draws a heat map over a rectangle, given by its ranges in x and y.
    pub fn heat_map(
        &mut self,
        values: &Array2<f64>,
        over: [[f64; 2]; 2],
        scale: [f64; 2],
        map: ColourMap,
    ) -> &mut Self {
        self.add(Layer::heat_map(values, over, scale, map))
    }

    /// Draws a matrix as a heat map that fills the panel, with its first row on top.
    pub fn matrix(&mut self, values: &Array2<f64>, scale: [f64; 2], map: ColourMap) -> &mut Self {
        let [columns, rows] = [values.ncols(), values.nrows()].map(|n| n as f64);
        self.x.range = Some([0.0, columns]);
        self.y.range = Some([rows, 0.0]);
        self.heat_map(values, [[0.0, columns], [0.0, rows]], scale, map)
    }

    /// Draws a histogram of values over a range; `what` names them.
    pub fn histogram(
        &mut self,
        [x, what]: [&str; 2],
        values: &[f64],
        range: [f64; 2],
        n_bins: usize,
    ) -> &mut Self {
        let boxes = Layer::histogram(values, range, n_bins, colour(0));
        let tops = boxes.iter().flat_map(|layer| layer.extent()[1].clone());
        let highest = tops.fold(1.0, f64::max);
        self.x(x, range)
            .y(what, [0.0, 1.04 * highest])
            .extend(boxes)
    }

    /// Draws a colour bar from low to high, with its numbers on the left.
    pub fn colour_bar(&mut self, scale: [f64; 2], map: ColourMap, label: &str) -> &mut Self {
        const STEPS: usize = 64;
        let [low, high] = scale;
        let values = Array2::from_shape_fn((STEPS, 1), |(k, _)| {
            low + (high - low) * (k as f64 + 0.5) / STEPS as f64
        });
        self.bar = Some((scale, map));
        self.x("", [0.0, 1.0])
            .x_ticks(Ticks::None)
            .y(label, scale)
            .heat_map(&values, [[0.0, 1.0], scale], scale, map)
    }
}
