//! Figure files; the extension of the name decides the format.

use std::path::Path;

use clap::ValueEnum;
use ctrnn_analysis::plot::{Figure, Style};
use ctrnn_files::output::is_stream;

use crate::failure::{Failure, USAGE};

/// Dots per inch of a PNG: enough for print.
const DPI: f64 = 300.0;

/// A format of figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FigureFormat {
    /// Vector graphics.
    Svg,
    /// Vector graphics on a page, with the font.
    Pdf,
    /// Pixel graphics.
    Png,
}

impl FigureFormat {
    /// Returns the format for the extension of a file's name; a pipe or device without one gets an SVG.
    pub fn of(path: &Path) -> Result<Self, Failure> {
        let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
        match ending.to_str() {
            Some("svg") => Ok(Self::Svg),
            Some("pdf") => Ok(Self::Pdf),
            Some("png") => Ok(Self::Png),
            Some("") if is_stream(path) => Ok(Self::Svg),
            _ => Err(Failure::new(
                USAGE,
                "C031",
                format!(
                    "{} is not the name of a figure; expected .svg, .pdf or .png",
                    path.display()
                ),
                format!("write to {}", path.with_extension("svg").display()),
            )),
        }
    }

    /// Returns the extension of the format.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Svg => "svg",
            Self::Pdf => "pdf",
            Self::Png => "png",
        }
    }

    /// Draws a figure as the content of a file.
    pub fn draw(self, figure: &Figure) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Svg => Ok(figure.to_svg().into_bytes()),
            Self::Pdf => Ok(figure.to_pdf()),
            Self::Png => figure.to_png(DPI).map_err(|error| {
                let help = "draw fewer trials, or write .svg";
                Failure::new(USAGE, "C032", error.to_string(), help)
            }),
        }
    }
}

/// Returns a figure in a style.
pub fn styled(figure: &Figure, style: &Style) -> Result<Figure, Failure> {
    figure.styled(style).map_err(|error| {
        let help = "give a larger width or a smaller font: --style width=MM,font=POINTS";
        Failure::new(USAGE, "C032", error.to_string(), help)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_says_the_format() {
        assert_eq!(
            FigureFormat::of(Path::new("a.svg")).unwrap(),
            FigureFormat::Svg
        );
        assert_eq!(
            FigureFormat::of(Path::new("a.b.PNG")).unwrap(),
            FigureFormat::Png
        );
        assert_eq!(
            FigureFormat::of(Path::new("out/fig.pdf")).unwrap(),
            FigureFormat::Pdf
        );
        let error = FigureFormat::of(Path::new("out/fig.eps")).unwrap_err();
        assert_eq!(
            error.render(false),
            "error[C031]: out/fig.eps is not the name of a figure; expected .svg, .pdf or .png\nhelp: write to out/fig.svg\n"
        );
    }
}
