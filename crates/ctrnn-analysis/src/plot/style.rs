//! Size of a figure on paper: width and font size.

use std::str::FromStr;

/// Font size for which figures are designed.
const DESIGN_PT: f64 = 7.0;

/// Size on paper, written as `width=85,font=7`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Style {
    /// Width of the whole figure in millimetres; by default the width that the figure was designed for.
    pub width_mm: Option<f64>,
    /// Size of labels in points; titles are a little larger, notes a little smaller.
    pub font_pt: f64,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            width_mm: None,
            font_pt: DESIGN_PT,
        }
    }
}

impl Style {
    /// Returns the factor by which text, lines and markers differ from the design.
    pub(super) fn magnification(&self) -> f64 {
        self.font_pt / DESIGN_PT
    }
}

impl FromStr for Style {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut style = Self::default();
        for part in text.split(',') {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let within = |low: f64, high: f64, unit: &str| {
                let number = value.trim().parse().ok();
                let number = number.filter(|number| (low..=high).contains(number));
                number.ok_or_else(|| {
                    format!(
                        "`{part}` is not a {key} from {low} to {high} {unit}, such as {key}={}",
                        if key == "font" { 8 } else { 85 }
                    )
                })
            };
            match key.trim() {
                "width" => style.width_mm = Some(within(20.0, 1000.0, "mm")?),
                "font" => style.font_pt = within(3.0, 40.0, "points")?,
                _ => {
                    return Err(format!(
                        "`{part}` is not a part of a style; expected width=MM and font=POINTS, such as width=85,font=7"
                    ));
                }
            }
        }
        Ok(style)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::{Figure, FigureError, Layer, colour};

    #[test]
    fn a_style_is_read() {
        let style: Style = "width=85,font=8".parse().unwrap();
        assert_eq!((style.width_mm, style.font_pt), (Some(85.0), 8.0));
        assert_eq!("font=9".parse::<Style>().unwrap().width_mm, None);
        for (text, problem) in [
            (
                "width=8.5cm",
                "`width=8.5cm` is not a width from 20 to 1000 mm, such as width=85",
            ),
            ("width=5", "is not a width"),
            ("font=NaN", "`font=NaN` is not a font from 3 to 40 points"),
            ("height=5", "`height=5` is not a part of a style"),
            ("", "`` is not a part"),
        ] {
            let error = text.parse::<Style>().unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn a_figure_fills_its_width_in_its_font() {
        let mut figure = Figure::new(&[40.0, 2.5], &[30.0]);
        let line = Layer::line(vec![0.0, 1.0], vec![0.0, 1.0], colour(0)).named("name");
        figure.cell(0, 0).x_label("time (ms)").add(line);
        let map = crate::plot::ColourMap::Blues;
        figure.cell(0, 1).colour_bar([0.0, 1.0], map, "rate");
        let sizes = |svg: &str| -> Vec<f64> {
            let parts = svg.split("font-size=\"").skip(1);
            parts
                .map(|part| part.split('"').next().unwrap().parse().unwrap())
                .collect()
        };
        for (width, font) in [(85.0, 7.0), (174.0, 10.0), (60.0, 5.0)] {
            let style = Style {
                width_mm: Some(width),
                font_pt: font,
            };
            let styled = figure.styled(&style).unwrap();
            assert!(
                (styled.size_mm()[0] - width).abs() < 0.01,
                "{:?}",
                styled.size_mm()
            );
            let label_mm = font * 25.4 / 72.0;
            assert!(
                sizes(&styled.to_svg())
                    .iter()
                    .all(|mm| (mm - label_mm).abs() < 0.02)
            );
        }
        let narrow = Style {
            width_mm: Some(21.0),
            font_pt: 12.0,
        };
        let error = figure.styled(&narrow).unwrap_err();
        assert!(matches!(error, FigureError::Narrow { needed, .. } if needed > 21.0));
        assert_eq!(figure.styled(&Style::default()).unwrap(), figure);
    }
}
