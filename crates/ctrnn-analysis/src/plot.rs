//! Figures: panels with axes, drawn as SVG, PDF or PNG, or as a Python script that draws them. This is the only plotting code of the workspace.
//!
//! Sizes are in millimetres on paper. Text in an SVG remains text, in the font Arimo or, if that is not
//! installed, in Arial or Helvetica, which have the same widths; a PDF contains the font. Colours are those of Okabe & Ito (2008), which readers
//! with any kind of colour vision can distinguish.
//!
//! ```
//! use ctrnn_analysis::plot::{Figure, Layer, colour};
//!
//! let t: Vec<f64> = (0..100).map(f64::from).collect();
//! let rate = t.iter().map(|t| 1.0 - (-t / 20.0).exp()).collect();
//! let mut figure = Figure::new(&[60.0], &[40.0]); // one panel, in millimetres
//! figure
//!     .cell(0, 0)
//!     .x_label("time (ms)")
//!     .y("rate", [0.0, 1.0])
//!     .add(Layer::line(t, rate, colour(0)).named("unit 1"));
//! assert!(figure.to_svg().starts_with("<svg"));
//! ```

#[cfg(test)]
mod any_numbers;
mod axis;
mod canvas;
mod colours;
mod draw;
mod figure;
mod figure_error;
mod font;
mod layer;
mod panel;
mod pdf;
mod png;
mod script;
mod sources;
mod style;
mod svg;

#[cfg(test)]
use axis::round_ticks;
pub use axis::{Axis, Ticks};
pub(crate) use axis::{drawable, fraction, range_of, up_to};
pub use colours::{ColourMap, Rgb, colour};
pub(crate) use colours::{Scale, level_colour};
pub use figure::Figure;
pub use figure_error::FigureError;
pub(crate) use font::{TEXT_MM, text_mm};
pub(crate) use layer::beside;
pub use layer::{HeatMap, Layer, Marker};
pub use panel::Panel;
pub(crate) use panel::{BAR_MM, panel_mm};
pub(crate) use script::ScriptFiles;
pub(crate) use sources::Sources;
pub use style::Style;

/// Returns true if all numbers of an SVG are finite: none is formatted as NaN or infinity.
#[cfg(test)]
pub(crate) fn is_clean(svg: &str) -> bool {
    let without_images = svg.split("base64,").map(|part| match part.split_once('"') {
        Some((_, after)) if !part.starts_with("<svg") => after,
        _ => part,
    });
    let is_number = |word: &str| !["NaN", "inf"].contains(&word);
    let words = without_images.flat_map(|part| part.split(|c: char| !c.is_ascii_alphanumeric()));
    words.into_iter().all(is_number)
}
