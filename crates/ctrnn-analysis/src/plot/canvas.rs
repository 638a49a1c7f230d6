//! Shapes of a figure after layout, in millimetres from the upper left corner of the sheet.

use super::Rgb;

/// Opacity of areas over which lines of other groups may run.
pub const RIBBON_OPACITY: f32 = 0.25;

#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    Polyline {
        points: Vec<[f64; 2]>,
        colour: Rgb,
        width_mm: f64,
        dashed: bool,
    },
    Rectangle {
        corner: [f64; 2],
        size: [f64; 2],
        fill: Rgb,
    },
    /// A polygon of the opacity [`RIBBON_OPACITY`].
    Ribbon { corners: Vec<[f64; 2]>, fill: Rgb },
    /// Rectangles of one colour and one height, each by its upper left corner and its size.
    Cells {
        fill: Rgb,
        cells: Vec<[[f64; 2]; 2]>,
    },
    Disc {
        centre: [f64; 2],
        radius_mm: f64,
        fill: Rgb,
    },
    Text {
        at: [f64; 2],
        text: String,
        size_mm: f64,
        anchor: Anchor,
        /// Rotation in degrees, anticlockwise.
        degrees: f64,
        colour: Rgb,
    },
    /// An image of pixels in rows from the top.
    Image {
        corner: [f64; 2],
        size: [f64; 2],
        columns: usize,
        pixels: Vec<Rgb>,
    },
}

/// Horizontal alignment of text at its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    /// Returns the shift of a text relative to its position, in units of its width.
    pub fn shift(self) -> f64 {
        match self {
            Self::Start => 0.0,
            Self::Middle => -0.5,
            Self::End => -1.0,
        }
    }
}

/// A sheet with shapes, painted in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Canvas {
    pub size_mm: [f64; 2],
    pub shapes: Vec<Shape>,
}

impl Shape {
    /// Multiplies all lengths.
    fn magnify(&mut self, factor: f64) {
        let scale = |place: &mut [f64; 2]| *place = place.map(|mm| factor * mm);
        match self {
            Self::Polyline {
                points, width_mm, ..
            } => {
                points.iter_mut().for_each(scale);
                *width_mm *= factor;
            }
            Self::Ribbon { corners, .. } => corners.iter_mut().for_each(scale),
            Self::Rectangle { corner, size, .. } | Self::Image { corner, size, .. } => {
                scale(corner);
                scale(size);
            }
            Self::Cells { cells, .. } => cells.iter_mut().flatten().for_each(scale),
            Self::Disc {
                centre, radius_mm, ..
            } => {
                scale(centre);
                *radius_mm *= factor;
            }
            Self::Text { at, size_mm, .. } => {
                scale(at);
                *size_mm *= factor;
            }
        }
    }
}

impl Canvas {
    /// Multiplies all lengths.
    pub fn magnify(&mut self, factor: f64) {
        if factor != 1.0 {
            self.size_mm = self.size_mm.map(|mm| factor * mm);
            let shapes = self.shapes.iter_mut();
            shapes.for_each(|shape| shape.magnify(factor));
        }
    }

    pub fn text(&mut self, at: [f64; 2], text: &str, size_mm: f64, anchor: Anchor, colour: Rgb) {
        self.turned_text(at, text, size_mm, anchor, 0.0, colour);
    }

    pub fn turned_text(
        &mut self,
        at: [f64; 2],
        text: &str,
        size_mm: f64,
        anchor: Anchor,
        degrees: f64,
        colour: Rgb,
    ) {
        let text = text.to_owned();
        self.shapes.push(Shape::Text {
            at,
            text,
            size_mm,
            anchor,
            degrees,
            colour,
        });
    }

    pub fn line(&mut self, points: &[[f64; 2]], colour: Rgb, width_mm: f64) {
        self.shapes.push(Shape::Polyline {
            points: points.to_vec(),
            colour,
            width_mm,
            dashed: false,
        });
    }

    pub fn rectangle(&mut self, corner: [f64; 2], size: [f64; 2], fill: Rgb) {
        self.shapes.push(Shape::Rectangle { corner, size, fill });
    }
}
