//! Figures: panels with axes, drawn as SVG or PNG. Nothing else in this workspace knows how.
//!
//! Sizes are in millimetres on paper. Text in an SVG is text, in the embedded font Arimo or, where that is not
//! installed, in Arial or Helvetica, which are as wide. Colours are those of Okabe & Ito (2008), which readers with any kind of
//! colour vision can tell apart.
//!
//! ```
//! use ctrnn_analysis::plot::{Axis, Figure, Layer, Panel, colour};
//!
//! let t: Vec<f64> = (0..100).map(f64::from).collect();
//! let rate = t.iter().map(|t| 1.0 - (-t / 20.0).exp()).collect();
//! let panel = Panel {
//!     x: Axis::new("time (ms)"),
//!     y: Axis::new("rate"),
//!     layers: vec![Layer::line(t, rate, colour(0)).named("unit 1")],
//!     ..Panel::default()
//! };
//! let mut figure = Figure::new(&[60.0], &[40.0]);
//! figure.place(0, 0, panel);
//! assert!(figure.to_svg().starts_with("<svg"));
//! ```

#[cfg(test)]
mod any_numbers;
mod axis;
mod canvas;
mod colours;
mod figure;
mod font;
mod layer;
mod png;
mod svg;

pub use axis::{Axis, Ticks};
pub(crate) use axis::{drawable, fraction, range_of, round_ticks};
pub use colours::{ColourMap, Rgb, colour};
pub use figure::{Figure, FigureError, Panel};
pub use layer::{HeatMap, Layer};

/// Whether all numbers of an SVG are finite: none is written as Rust writes NaN or an infinity.
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
