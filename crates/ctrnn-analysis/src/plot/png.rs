//! PNG output of shapes.

use std::io::Write as _;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use tiny_skia::{
    Color, FillRule, FilterQuality, LineJoin, Paint, Path, PathBuilder, Pixmap, PixmapPaint,
    PremultipliedColorU8, Rect, Stroke, StrokeDash, Transform,
};

use super::canvas::{Canvas, RIBBON_OPACITY, Shape};
use super::font::{self, Stroke as Outline};
use super::{FigureError, Rgb};

/// Largest number of pixels: half a gigabyte of memory.
const MOST_PIXELS: u64 = 1 << 27;

/// Renders the sheet as a PNG file with a resolution of `dpi` dots per inch.
pub fn write(canvas: &Canvas, dpi: f64) -> Result<Vec<u8>, FigureError> {
    let scale = dpi / 25.4;
    let [width, height] = canvas.size_mm.map(|mm| (mm * scale).ceil() as u32);
    let too_large = || FigureError::Pixels { width, height };
    if u64::from(width) * u64::from(height) > MOST_PIXELS {
        return Err(too_large());
    }
    let mut pixmap = Pixmap::new(width, height).ok_or_else(too_large)?;
    pixmap.fill(Color::WHITE);
    for shape in &canvas.shapes {
        draw(
            shape,
            &mut pixmap,
            Transform::from_scale(scale as f32, scale as f32),
        );
    }
    pixmap.encode_png().map_err(|_| too_large())
}

/// Encodes pixels, in rows from the top, as a PNG file: with a palette if there are at most 256 colours, which makes the
/// file several times smaller.
pub fn encode_pixels(columns: usize, pixels: &[Rgb]) -> Vec<u8> {
    if let Some(file) = indexed(columns, pixels) {
        return file;
    }
    let pixmap = pixmap(columns, pixels);
    let encoded = pixmap.map(|pixmap| {
        pixmap
            .encode_png()
            .expect("pixels in memory can be encoded")
    });
    encoded.unwrap_or_default()
}

/// Encodes pixels with a palette; `None` if there are none, or too many colours.
fn indexed(columns: usize, pixels: &[Rgb]) -> Option<Vec<u8>> {
    const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
    // A bit depth of 8, indices of a palette, and the only methods of compression, filtering and interlacing.
    const FORMAT: [u8; 5] = [8, 3, 0, 0, 0];
    let rows = pixels.len().checked_div(columns).filter(|rows| *rows > 0)?;
    let mut palette: Vec<Rgb> = Vec::new();
    let mut data = ZlibEncoder::new(Vec::new(), Compression::best());
    for row in pixels.chunks_exact(columns) {
        let mut line = vec![0]; // no filter
        for ink in row {
            let place = palette.iter().position(|known| known == ink);
            let place = place.unwrap_or_else(|| {
                palette.push(*ink);
                palette.len() - 1
            });
            line.push(u8::try_from(place).ok()?);
        }
        data.write_all(&line).ok()?;
    }
    let size = [columns, rows].map(|n| (n as u32).to_be_bytes()).concat();
    let colours: Vec<u8> = palette.iter().flat_map(|ink| ink.0).collect();
    let mut file = SIGNATURE.to_vec();
    for (name, content) in [
        (b"IHDR", [&size[..], &FORMAT].concat()),
        (b"PLTE", colours),
        (b"IDAT", data.finish().ok()?),
        (b"IEND", Vec::new()),
    ] {
        let mut crc = Crc::new();
        crc.update(name);
        crc.update(&content);
        file.extend((content.len() as u32).to_be_bytes());
        file.extend(name);
        file.extend(&content);
        file.extend(crc.sum().to_be_bytes());
    }
    Some(file)
}

/// Creates an image of pixels; `None` if there are no pixels.
fn pixmap(columns: usize, pixels: &[Rgb]) -> Option<Pixmap> {
    let rows = pixels.len().checked_div(columns)?;
    let mut pixmap = Pixmap::new(columns as u32, rows as u32)?;
    for (to, Rgb([r, g, b])) in pixmap.pixels_mut().iter_mut().zip(pixels) {
        *to = PremultipliedColorU8::from_rgba(*r, *g, *b, 255).expect("opaque");
    }
    Some(pixmap)
}

fn paint(Rgb([r, g, b]): Rgb) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color_rgba8(r, g, b, 255);
    paint
}

fn draw(shape: &Shape, pixmap: &mut Pixmap, to_pixels: Transform) {
    match shape {
        Shape::Polyline {
            points,
            colour,
            width_mm,
            dashed,
        } => {
            let stroke = stroke(*width_mm, *dashed);
            if let Some(path) = polyline(points) {
                pixmap.stroke_path(&path, &paint(*colour), &stroke, to_pixels, None);
            }
        }
        Shape::Rectangle { corner, size, fill } => {
            fill_rectangle(*corner, *size, &paint(*fill), pixmap, to_pixels);
        }
        Shape::Ribbon { corners, fill } => {
            let Rgb([r, g, b]) = *fill;
            let mut ink = Paint::default();
            ink.set_color_rgba8(r, g, b, (255.0 * RIBBON_OPACITY).round() as u8);
            if let Some(path) = polyline(corners) {
                pixmap.fill_path(&path, &ink, FillRule::Winding, to_pixels, None);
            }
        }
        Shape::Cells { fill, cells } => {
            // Whole pixels, as in an image without smoothing.
            let mut ink = paint(*fill);
            ink.anti_alias = false;
            for [corner, size] in cells {
                fill_rectangle(*corner, *size, &ink, pixmap, to_pixels);
            }
        }
        Shape::Disc {
            centre: [x, y],
            radius_mm,
            fill,
        } => {
            let circle = PathBuilder::from_circle(*x as f32, *y as f32, *radius_mm as f32);
            fill_outline(circle, *fill, pixmap, to_pixels);
        }
        Shape::Text {
            at,
            text,
            size_mm,
            anchor,
            degrees,
            colour,
        } => {
            let shift = anchor.shift() * font::width(text);
            let place = turned(to_pixels, *at, *degrees)
                .pre_scale(*size_mm as f32, *size_mm as f32)
                .pre_translate(shift as f32, 0.0);
            fill_outline(letters(text), *colour, pixmap, place);
        }
        Shape::Image {
            corner,
            size,
            columns,
            pixels,
        } => {
            if let Some(image) = self::pixmap(*columns, pixels) {
                draw_image(&image, *corner, *size, pixmap, to_pixels);
            }
        }
    }
}

fn fill_outline(path: Option<Path>, colour: Rgb, pixmap: &mut Pixmap, to_pixels: Transform) {
    if let Some(path) = path {
        pixmap.fill_path(&path, &paint(colour), FillRule::Winding, to_pixels, None);
    }
}

fn fill_rectangle(
    corner: [f64; 2],
    size: [f64; 2],
    ink: &Paint,
    pixmap: &mut Pixmap,
    to_pixels: Transform,
) {
    let ([x, y], [w, h]) = (corner.map(|v| v as f32), size.map(|v| v as f32));
    if let Some(rectangle) = Rect::from_xywh(x, y, w, h) {
        pixmap.fill_rect(rectangle, ink, to_pixels, None);
    }
}

/// Moves the origin to a point and turns the axes anticlockwise.
fn turned(to_pixels: Transform, [x, y]: [f64; 2], degrees: f64) -> Transform {
    to_pixels
        .pre_translate(x as f32, y as f32)
        .pre_concat(Transform::from_rotate(-degrees as f32))
}

fn stroke(width_mm: f64, dashed: bool) -> Stroke {
    let dash = dashed.then(|| StrokeDash::new(vec![1.0, 0.7], 0.0));
    Stroke {
        width: width_mm as f32,
        line_join: LineJoin::Round,
        dash: dash.flatten(),
        ..Stroke::default()
    }
}

fn draw_image(
    image: &Pixmap,
    corner: [f64; 2],
    size: [f64; 2],
    pixmap: &mut Pixmap,
    to_pixels: Transform,
) {
    let scale = [
        size[0] / f64::from(image.width()),
        size[1] / f64::from(image.height()),
    ];
    let place = to_pixels
        .pre_translate(corner[0] as f32, corner[1] as f32)
        .pre_scale(scale[0] as f32, scale[1] as f32);
    let nearest = PixmapPaint {
        quality: FilterQuality::Nearest,
        ..PixmapPaint::default()
    };
    pixmap.draw_pixmap(0, 0, image.as_ref(), &nearest, place, None);
}

fn polyline(points: &[[f64; 2]]) -> Option<Path> {
    let mut builder = PathBuilder::new();
    for (k, &[x, y]) in points.iter().enumerate() {
        match k {
            0 => builder.move_to(x as f32, y as f32),
            _ => builder.line_to(x as f32, y as f32),
        }
    }
    builder.finish()
}

fn letters(text: &str) -> Option<Path> {
    let mut builder = PathBuilder::new();
    font::outline(text, &mut |stroke| match stroke {
        Outline::Move([x, y]) => builder.move_to(x, -y),
        Outline::Line([x, y]) => builder.line_to(x, -y),
        Outline::Quadratic([x1, y1], [x, y]) => builder.quad_to(x1, -y1, x, -y),
        Outline::Cubic([x1, y1], [x2, y2], [x, y]) => builder.cubic_to(x1, -y1, x2, -y2, x, -y),
        Outline::Close => builder.close(),
    });
    builder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::colour;

    /// The pixels come back, with a palette and without one.
    #[test]
    fn pixels_come_back() {
        let grey = |k: usize| Rgb([k as u8, (k / 2) as u8, (k / 256) as u8]);
        for (columns, pixels) in [
            (3, (0..6).map(|k| colour(k % 4)).collect::<Vec<Rgb>>()),
            (100, (0..300).map(grey).collect()),
        ] {
            let file = encode_pixels(columns, &pixels);
            let back = Pixmap::decode_png(&file).expect("a PNG file");
            assert_eq!(back.width() as usize, columns);
            let found = back
                .pixels()
                .iter()
                .map(|p| Rgb([p.red(), p.green(), p.blue()]));
            assert_eq!(found.collect::<Vec<Rgb>>(), pixels);
        }
    }
}
