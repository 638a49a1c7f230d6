//! SVG output of shapes.

use std::fmt::Write;

use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::canvas::{Anchor, Canvas, RIBBON_OPACITY, Shape};
use super::{Rgb, png};

/// Renders the whole sheet, with its sizes on paper.
pub fn write(canvas: &Canvas) -> String {
    let [width, height] = canvas.size_mm.map(number);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}mm\" height=\"{height}mm\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"Arimo, Arial, Helvetica, sans-serif\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    for shape in &canvas.shapes {
        svg.push_str(&element(shape));
        svg.push('\n');
    }
    svg + "</svg>\n"
}

fn element(shape: &Shape) -> String {
    match shape {
        Shape::Polyline {
            points,
            colour,
            width_mm,
            dashed,
        } => {
            let (path, colour, width) = (path(points), hex(*colour), number(*width_mm));
            let dashes = ["", " stroke-dasharray=\"1 .7\""][usize::from(*dashed)];
            format!(
                "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" stroke-linejoin=\"round\"{dashes}/>"
            )
        }
        Shape::Rectangle { corner, size, fill } => {
            let ([x, y], [w, h]) = (corner.map(number), size.map(number));
            let fill = hex(*fill);
            format!("<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" fill=\"{fill}\"/>")
        }
        Shape::Ribbon { corners, fill } => {
            let (path, fill) = (path(corners), hex(*fill));
            format!("<path d=\"{path}z\" fill=\"{fill}\" fill-opacity=\"{RIBBON_OPACITY}\"/>")
        }
        Shape::Cells { fill, cells } => {
            let (path, colour) = (strokes(cells), hex(*fill));
            let height = number(cells.first().map_or(0.0, |[_, size]| size[1]));
            format!(
                "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{height}\" shape-rendering=\"crispEdges\"/>"
            )
        }
        Shape::Disc {
            centre,
            radius_mm,
            fill,
        } => {
            let ([x, y], r, fill) = (centre.map(number), number(*radius_mm), hex(*fill));
            format!("<circle cx=\"{x}\" cy=\"{y}\" r=\"{r}\" fill=\"{fill}\"/>")
        }
        Shape::Text {
            at,
            text,
            size_mm,
            anchor,
            degrees,
            colour,
        } => {
            let ([x, y], size) = (at.map(number), number(*size_mm));
            let attributes = text_attributes(*anchor, *degrees, [&x, &y]);
            let (fill, text) = (hex(*colour), escaped(text));
            format!(
                "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\"{attributes} fill=\"{fill}\">{text}</text>"
            )
        }
        Shape::Image {
            corner,
            size,
            columns,
            pixels,
        } => {
            let data = BASE64_STANDARD.encode(png::encode_pixels(*columns, pixels));
            image(*corner, *size, &data)
        }
    }
}

/// Formats rectangles of one height as one path of strokes as wide as they are high, in relative coordinates, which are
/// less than half as long as outlines.
fn strokes(rectangles: &[[[f64; 2]; 2]]) -> String {
    let mut path = String::new();
    let mut last = [0i64; 2]; // in hundredths of a millimetre
    for [[x, y], [w, h]] in rectangles {
        let [left, right, middle] = [*x, x + w, y + h / 2.0].map(hundredths);
        let move_by = ["m", "M"][usize::from(path.is_empty())];
        let [dx, dy, width] = [left - last[0], middle - last[1], right - left]
            .map(|hundredths| number(hundredths as f64 / 100.0));
        let space = if dy.starts_with('-') { "" } else { " " };
        path.push_str(&format!("{move_by}{dx}{space}{dy}h{width}"));
        last = [right, middle];
    }
    path
}

/// Rounds a length in millimetres to hundredths.
fn hundredths(mm: f64) -> i64 {
    (mm * 100.0).round() as i64
}

/// Formats an image from the bytes of a PNG file in base64.
fn image(corner: [f64; 2], size: [f64; 2], data: &str) -> String {
    let ([x, y], [w, h]) = (corner.map(number), size.map(number));
    format!(
        "<image x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" preserveAspectRatio=\"none\" \
         style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{data}\"/>"
    )
}

/// Returns the attributes that position, align and rotate a text.
fn text_attributes(anchor: Anchor, degrees: f64, [x, y]: [&str; 2]) -> String {
    let anchor = match anchor {
        Anchor::Start => "",
        Anchor::Middle => " text-anchor=\"middle\"",
        Anchor::End => " text-anchor=\"end\"",
    };
    if degrees == 0.0 {
        return anchor.to_owned();
    }
    let degrees = number(-degrees);
    format!("{anchor} transform=\"rotate({degrees} {x} {y})\"")
}

/// Formats a path in relative coordinates, which are shorter; rounding errors do not accumulate.
fn path(points: &[[f64; 2]]) -> String {
    let mut path = String::new();
    let mut last = [0i64; 2]; // in hundredths of a millimetre
    for (k, point) in points.iter().enumerate() {
        let here = point.map(hundredths);
        let [dx, dy] = [here[0] - last[0], here[1] - last[1]].map(|d| number(d as f64 / 100.0));
        let written = match (k, dx.as_str(), dy.as_str()) {
            (0, ..) => write!(path, "M{dx} {dy}"),
            (_, "0", "0") => Ok(()),
            (_, _, "0") => write!(path, "h{dx}"),
            (_, "0", _) => write!(path, "v{dy}"),
            _ if dy.starts_with('-') => write!(path, "l{dx}{dy}"),
            _ => write!(path, "l{dx} {dy}"),
        };
        written.expect("a string can be written to");
        last = here;
    }
    path
}

/// Formats a number with at most two decimals, and without superfluous zeros.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match text {
        "-0" | "" => "0".to_owned(),
        _ => match text.strip_prefix("0.") {
            Some(fraction) => format!(".{fraction}"),
            None => text.replacen("-0.", "-.", 1),
        },
    }
}

fn hex(Rgb([r, g, b]): Rgb) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (-0.001, "0"),
            (0.5, ".5"),
            (-0.25, "-.25"),
            (10.0, "10"),
            (1.234, "1.23"),
            (100.0, "100"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_path_goes_from_point_to_point() {
        let points = [[1.0, 2.0], [1.5, 2.0], [1.5, 1.0], [1.5, 1.0], [2.0, 0.75]];
        assert_eq!(path(&points), "M1 2h.5v-1l.5-.25");
    }

    #[test]
    fn rectangles_are_strokes_along_their_middles() {
        let rectangles = [
            [[1.0, 2.0], [0.5, 0.6]],
            [[3.0, 2.0], [1.0, 0.6]],
            [[0.5, 2.6], [2.0, 0.6]],
        ];
        assert_eq!(strokes(&rectangles), "M1 2.3h.5m1.5 0h1m-3.5 .6h2");
    }
}
