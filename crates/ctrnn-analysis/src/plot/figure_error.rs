//! Errors of figures.

/// Reason why a figure cannot be drawn.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum FigureError {
    /// The image has no pixels, or too many.
    #[error("a picture of {width} x {height} pixels cannot be drawn; choose another resolution")]
    Pixels {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The requested width leaves no room for the data.
    #[error(
        "a width of {width} mm leaves no room between the labels of this figure; it needs at least {needed:.0} mm at this font size"
    )]
    Narrow {
        /// Requested width in millimetres.
        width: f64,
        /// Smallest possible width in millimetres.
        needed: f64,
    },
}
