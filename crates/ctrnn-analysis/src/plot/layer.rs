//! What a panel shows.

use super::{ColourMap, Rgb};

/// Something drawn in the coordinates of a panel; later layers cover earlier ones.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// A line through points.
    Line {
        /// Along the x axis.
        x: Vec<f64>,
        /// Along the y axis.
        y: Vec<f64>,
        /// Its colour.
        colour: Rgb,
        /// Its width on paper.
        width_mm: f64,
        /// Whether it is dashed.
        dashed: bool,
        /// Its name in the legend, if any.
        name: Option<String>,
    },
    /// Discs.
    Points {
        /// Along the x axis.
        x: Vec<f64>,
        /// Along the y axis.
        y: Vec<f64>,
        /// Their colour.
        colour: Rgb,
        /// Their radius on paper.
        radius_mm: f64,
        /// Their name in the legend, if any.
        name: Option<String>,
    },
    /// A filled rectangle.
    Box {
        /// From where to where along the x axis.
        x: [f64; 2],
        /// From where to where along the y axis.
        y: [f64; 2],
        /// Its colour.
        colour: Rgb,
    },
    /// A range of the x axis, over the whole height, with a label above the panel.
    Band {
        /// From where to where along the x axis.
        x: [f64; 2],
        /// Its colour.
        colour: Rgb,
        /// Its name above the panel; empty for none.
        label: String,
    },
    /// Numbers as colours.
    HeatMap(HeatMap),
    /// A word, centred on a point of the panel.
    Text {
        /// Where.
        at: [f64; 2],
        /// The word.
        text: String,
        /// Its colour.
        colour: Rgb,
    },
}

/// Numbers as colours, in rows that fill a rectangle.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatMap {
    /// From where to where along the x axis.
    pub x: [f64; 2],
    /// From where to where along the y axis; the first row lies at the first of them.
    pub y: [f64; 2],
    /// Numbers in a row.
    pub columns: usize,
    /// Row by row.
    pub values: Vec<f64>,
    /// The numbers at the ends of the colour map.
    pub scale: [f64; 2],
    /// The colours.
    pub map: ColourMap,
}

impl Layer {
    /// A line of ordinary width.
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

    /// A line that keeps each value from one edge to the next: `edges` has one number more than `values`.
    #[must_use]
    pub fn stairs(edges: &[f64], values: &[f64], colour: Rgb) -> Self {
        let x = edges.windows(2).flat_map(|pair| [pair[0], pair[1]]);
        let y = values.iter().flat_map(|&value| [value, value]);
        Self::line(x.collect(), y.collect(), colour)
    }

    /// Discs of ordinary size.
    #[must_use]
    pub fn points(x: Vec<f64>, y: Vec<f64>, colour: Rgb) -> Self {
        Self::Points {
            x,
            y,
            colour,
            radius_mm: 0.6,
            name: None,
        }
    }

    /// A word, centred on a point.
    #[must_use]
    pub fn text(x: f64, y: f64, text: &str, colour: Rgb) -> Self {
        Self::Text {
            at: [x, y],
            text: text.to_owned(),
            colour,
        }
    }

    /// The same line or points with a name in the legend.
    #[must_use]
    pub fn named(mut self, text: &str) -> Self {
        if let Self::Line { name, .. } | Self::Points { name, .. } = &mut self {
            *name = Some(text.to_owned());
        }
        self
    }

    /// Colour and name in the legend.
    pub(super) fn legend(&self) -> Option<(Rgb, &str)> {
        match self {
            Self::Line { colour, name, .. } | Self::Points { colour, name, .. } => {
                name.as_deref().map(|name| (*colour, name))
            }
            _ => None,
        }
    }

    /// From where to where it goes along x and y; finite numbers count.
    pub(super) fn extent(&self) -> [Vec<f64>; 2] {
        match self {
            Self::Line { x, y, .. } | Self::Points { x, y, .. } => [x.clone(), y.clone()],
            Self::Box { x, y, .. } => [x.to_vec(), y.to_vec()],
            Self::Band { x, .. } => [x.to_vec(), Vec::new()],
            Self::HeatMap(map) => [map.x.to_vec(), map.y.to_vec()],
            Self::Text { at, .. } => at.map(|x| vec![x]),
        }
    }
}
