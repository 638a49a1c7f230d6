//! Layers of a panel: lines, points, bands, heat maps and text.

use ndarray::Array2;

use super::{ColourMap, Rgb, drawable, fraction};

/// A graphical element in the coordinates of a panel; later layers cover earlier ones.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// A line through points.
    Line {
        /// Coordinates along the x axis.
        x: Vec<f64>,
        /// Coordinates along the y axis.
        y: Vec<f64>,
        /// Colour of the line.
        colour: Rgb,
        /// Width on paper.
        width_mm: f64,
        /// True if the line is dashed.
        dashed: bool,
        /// Name in the legend, if any.
        name: Option<String>,
    },
    /// Markers at points.
    Points {
        /// Coordinates along the x axis.
        x: Vec<f64>,
        /// Coordinates along the y axis.
        y: Vec<f64>,
        /// Colour of the markers.
        colour: Rgb,
        /// Half of the width of a marker on paper.
        radius_mm: f64,
        /// Shape of the markers.
        marker: Marker,
        /// Name in the legend, if any.
        name: Option<String>,
    },
    /// A translucent area between two curves, such as an interval around a line.
    Ribbon {
        /// Coordinates along the x axis.
        x: Vec<f64>,
        /// Lower edge.
        low: Vec<f64>,
        /// Upper edge.
        high: Vec<f64>,
        /// Colour of the line to which the area belongs.
        colour: Rgb,
    },
    /// A filled rectangle.
    Box {
        /// Range along the x axis.
        x: [f64; 2],
        /// Range along the y axis.
        y: [f64; 2],
        /// Fill colour.
        colour: Rgb,
    },
    /// A range of the x axis over the whole height, with a label above the panel.
    Band {
        /// Range along the x axis.
        x: [f64; 2],
        /// Fill colour.
        colour: Rgb,
        /// Label above the panel; empty for none.
        label: String,
    },
    /// A matrix of numbers as colours.
    HeatMap(HeatMap),
    /// A short text, centred on a point of the panel.
    Text {
        /// Position of its centre.
        at: [f64; 2],
        /// Content of the text.
        text: String,
        /// Colour of the text.
        colour: Rgb,
    },
}

/// Shape of the markers of points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Marker {
    /// A filled circle.
    #[default]
    Disc,
    /// A circle with a white interior.
    Ring,
    /// A filled square.
    Square,
    /// A horizontal and a vertical stroke.
    Cross,
}

/// A matrix of numbers as colours, in rows that fill a rectangle.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatMap {
    /// Range along the x axis.
    pub x: [f64; 2],
    /// Range along the y axis; the first row is at its first end.
    pub y: [f64; 2],
    /// Number of columns.
    pub columns: usize,
    /// Values, row by row.
    pub values: Vec<f64>,
    /// Values at the ends of the colour map.
    pub scale: [f64; 2],
    /// Colour map.
    pub map: ColourMap,
}

/// Returns the distance of the marker of series `k` of `n` from a common place along the x axis, so that markers of
/// equal values do not hide each other.
pub fn beside(k: usize, n: usize) -> f64 {
    const APART: f64 = 0.6;
    APART * ((k as f64 + 0.5) / n.max(1) as f64 - 0.5)
}

impl Layer {
    /// Creates a line of ordinary width.
    #[must_use]
    pub fn line(x: Vec<f64>, y: Vec<f64>, colour: Rgb) -> Self {
        Self::Line {
            x,
            y,
            colour,
            width_mm: 0.25,
            dashed: false,
            name: None,
        }
    }

    /// Creates a step line that holds each value from one edge to the next: `edges` has one number more than `values`.
    #[must_use]
    pub fn stairs(edges: &[f64], values: &[f64], colour: Rgb) -> Self {
        let x = edges.windows(2).flat_map(|pair| [pair[0], pair[1]]);
        let y = values.iter().flat_map(|&value| [value, value]);
        Self::line(x.collect(), y.collect(), colour)
    }

    /// Creates the area within `error` of a line on either side.
    #[must_use]
    pub fn ribbon(x: Vec<f64>, y: &[f64], error: &[f64], colour: Rgb) -> Self {
        let edge = |sign: f64| y.iter().zip(error).map(|(y, e)| y + sign * e).collect();
        Self::Ribbon {
            x,
            low: edge(-1.0),
            high: edge(1.0),
            colour,
        }
    }

    /// Creates discs of ordinary size.
    #[must_use]
    pub fn points(x: Vec<f64>, y: Vec<f64>, colour: Rgb) -> Self {
        Self::Points {
            x,
            y,
            colour,
            radius_mm: 0.6,
            marker: Marker::Disc,
            name: None,
        }
    }

    /// Creates a thin grey dashed line for orientation.
    #[must_use]
    pub fn guide(x: [f64; 2], y: [f64; 2]) -> Self {
        let line = Self::line(x.to_vec(), y.to_vec(), Rgb([170, 170, 170]));
        line.wide(0.15).dashed()
    }

    /// Creates a vertical line from low to high at every x.
    #[must_use]
    pub fn error_bars(x: &[f64], intervals: &[[f64; 2]], colour: Rgb) -> Vec<Self> {
        let bar = |(x, interval): (&f64, &[f64; 2])| {
            Self::line(vec![*x; 2], interval.to_vec(), colour).wide(0.2)
        };
        x.iter().zip(intervals).map(bar).collect()
    }

    /// Creates a histogram of values in bins over a range, as filled boxes. Values outside of the range, and NaN, are
    /// not counted.
    pub(super) fn histogram(
        values: &[f64],
        range: [f64; 2],
        n_bins: usize,
        colour: Rgb,
    ) -> Vec<Self> {
        let [low, high] = drawable(range);
        let mut counts = vec![0usize; n_bins];
        for value in values.iter().filter(|value| (low..=high).contains(*value)) {
            let bin = (fraction(*value, [low, high]) * n_bins as f64) as usize;
            counts[bin.min(n_bins - 1)] += 1;
        }
        let place = |bin: f64| {
            let part = bin / n_bins as f64;
            low * (1.0 - part) + high * part
        };
        let bar = |(k, n): (usize, usize)| Self::Box {
            x: [place(k as f64 + 0.06), place(k as f64 + 0.94)],
            y: [0.0, n as f64],
            colour,
        };
        let counted = counts.into_iter().enumerate().filter(|(_, n)| *n > 0);
        counted.map(bar).collect()
    }

    /// Creates a heat map of values in rows that fill a rectangle; the first row is at the first end of `y`.
    #[must_use]
    pub fn heat_map(
        values: &Array2<f64>,
        [x, y]: [[f64; 2]; 2],
        scale: [f64; 2],
        map: ColourMap,
    ) -> Self {
        Self::HeatMap(HeatMap {
            x,
            y,
            columns: values.ncols(),
            values: values.iter().copied().collect(),
            scale,
            map,
        })
    }

    /// Creates a short text, centred on a point.
    #[must_use]
    pub fn text(x: f64, y: f64, text: &str, colour: Rgb) -> Self {
        Self::Text {
            at: [x, y],
            text: text.to_owned(),
            colour,
        }
    }

    /// Returns the line with another width.
    #[must_use]
    pub fn wide(mut self, mm: f64) -> Self {
        if let Self::Line { width_mm, .. } = &mut self {
            *width_mm = mm;
        }
        self
    }

    /// Returns the line dashed.
    #[must_use]
    pub fn dashed(mut self) -> Self {
        if let Self::Line { dashed, .. } = &mut self {
            *dashed = true;
        }
        self
    }

    /// Returns the points with markers of another radius.
    #[must_use]
    pub fn radius(mut self, mm: f64) -> Self {
        if let Self::Points { radius_mm, .. } = &mut self {
            *radius_mm = mm;
        }
        self
    }

    /// Returns the points with markers of another shape.
    #[must_use]
    pub fn marked(mut self, shape: Marker) -> Self {
        if let Self::Points { marker, .. } = &mut self {
            *marker = shape;
        }
        self
    }

    /// Returns the line or points with a name in the legend.
    #[must_use]
    pub fn named(mut self, text: &str) -> Self {
        if let Self::Line { name, .. } | Self::Points { name, .. } = &mut self {
            *name = Some(text.to_owned());
        }
        self
    }

    /// Returns the colour and name for the legend, if the layer has a name.
    pub(super) fn legend(&self) -> Option<(Rgb, &str)> {
        match self {
            Self::Line { colour, name, .. } | Self::Points { colour, name, .. } => {
                name.as_deref().map(|name| (*colour, name))
            }
            _ => None,
        }
    }

    /// Takes the name out of the legend, and returns how its entry looks there, and the name.
    pub(super) fn take_legend(&mut self) -> Option<(Self, String)> {
        let nothing = Vec::new;
        match self {
            Self::Line {
                colour,
                name,
                dashed,
                ..
            } => {
                let line = Self::line(nothing(), nothing(), *colour);
                Some((if *dashed { line.dashed() } else { line }, name.take()?))
            }
            Self::Points {
                colour,
                name,
                marker,
                ..
            } => {
                let points = Self::points(nothing(), nothing(), *colour);
                Some((points.marked(*marker), name.take()?))
            }
            _ => None,
        }
    }

    /// Returns the colour of data.
    #[cfg(test)]
    pub(super) fn ink(&self) -> Option<Rgb> {
        match self {
            Self::Line { x, colour, .. } | Self::Points { x, colour, .. } => {
                (!x.is_empty()).then_some(*colour)
            }
            Self::Box { colour, .. } => Some(*colour),
            _ => None,
        }
    }

    /// Returns the coordinates that determine the extent along x and y; only finite ones count.
    pub(crate) fn extent(&self) -> [Vec<f64>; 2] {
        match self {
            Self::Line { x, y, .. } | Self::Points { x, y, .. } => [x.clone(), y.clone()],
            Self::Ribbon { x, low, high, .. } => [x.clone(), [&low[..], high].concat()],
            Self::Box { x, y, .. } => [x.to_vec(), y.to_vec()],
            Self::Band { x, .. } => [x.to_vec(), Vec::new()],
            Self::HeatMap(map) => [map.x.to_vec(), map.y.to_vec()],
            Self::Text { at, .. } => at.map(|x| vec![x]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_at_the_upper_end_is_counted() {
        let boxes = Layer::histogram(&[0.0, 0.1, 1.0, 7.0], [0.0, 1.0], 2, Rgb::BLACK);
        let heights: Vec<f64> = boxes
            .iter()
            .map(|layer| match layer {
                Layer::Box { y, .. } => y[1],
                _ => 0.0,
            })
            .collect();
        assert_eq!(heights, [2.0, 1.0]);
    }
}
