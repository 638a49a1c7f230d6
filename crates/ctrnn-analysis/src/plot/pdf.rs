//! PDF output of shapes: one page, with text as text in the embedded font.

use std::collections::BTreeMap;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use pdf_writer::types::{CidFontType, FontFlags, LineJoinStyle, SystemInfo, UnicodeCmap};
use pdf_writer::writers::ExtGraphicsState;
use pdf_writer::{Content, Filter, Finish, Name, Pdf, Rect, Ref, Str};

use super::Rgb;
use super::canvas::{Anchor, Canvas, RIBBON_OPACITY, Shape};
use super::font;

const POINTS_PER_MM: f32 = 72.0 / 25.4;
const FONT: Name = Name(b"F");
/// Name of the graphics state of translucent areas.
const TRANSLUCENT: Name = Name(b"T");
/// Name of the font; six letters and a plus sign mark a reduced font.
const FONT_NAME: Name = Name(b"CTRNNA+Arimo");
const FONT_SYSTEM: SystemInfo = SystemInfo {
    registry: Str(b"Adobe"),
    ordering: Str(b"Identity"),
    supplement: 0,
};

/// Renders the whole sheet. The same shapes give the same bytes.
pub fn write(canvas: &Canvas) -> Vec<u8> {
    let mut page = Page {
        content: Content::new(),
        glyphs: BTreeMap::new(),
        images: Vec::new(),
    };
    let [width, height] = canvas.size_mm.map(|mm| mm as f32 * POINTS_PER_MM);
    page.content
        .transform([POINTS_PER_MM, 0.0, 0.0, -POINTS_PER_MM, 0.0, height])
        .set_line_join(LineJoinStyle::RoundJoin);
    for shape in &canvas.shapes {
        page.draw(shape);
    }
    let mut pdf = Pdf::new();
    let [catalog, pages, sheet, content, font] = [1, 2, 3, 4, 5].map(Ref::new);
    let image = |k: usize| Ref::new(10 + k as i32);
    pdf.catalog(catalog).pages(pages);
    pdf.pages(pages).kids([sheet]).count(1);
    let mut written = pdf.page(sheet);
    written
        .media_box(Rect::new(0.0, 0.0, width, height))
        .parent(pages)
        .contents(content);
    let mut resources = written.resources();
    resources.fonts().pair(FONT, font);
    resources
        .ext_g_states()
        .insert(TRANSLUCENT)
        .start::<ExtGraphicsState>()
        .non_stroking_alpha(RIBBON_OPACITY);
    let mut images = resources.x_objects();
    for k in 0..page.images.len() {
        images.pair(Name(image_name(k).as_bytes()), image(k));
    }
    images.finish();
    resources.finish();
    written.finish();
    let drawn = compressed(page.content.finish().as_slice());
    pdf.stream(content, &drawn).filter(Filter::FlateDecode);
    embed_font(&mut pdf, font, &page.glyphs);
    for (k, (columns, pixels)) in page.images.iter().enumerate() {
        embed_image(&mut pdf, image(k), *columns, pixels);
    }
    pdf.finish()
}

fn embed_image(pdf: &mut Pdf, id: Ref, columns: usize, pixels: &[Rgb]) {
    let bytes: Vec<u8> = pixels.iter().flat_map(|Rgb(parts)| *parts).collect();
    let bytes = compressed(&bytes);
    let mut written = pdf.image_xobject(id, &bytes);
    written.filter(Filter::FlateDecode);
    written
        .width(columns as i32)
        .height((pixels.len() / columns) as i32)
        .bits_per_component(8);
    written.color_space().device_rgb();
}

/// The content of the page, and the resources that it uses.
struct Page<'a> {
    content: Content,
    /// Character of each used glyph.
    glyphs: BTreeMap<u16, char>,
    /// Number of columns and pixels of each image.
    images: Vec<(usize, &'a [Rgb])>,
}

impl<'a> Page<'a> {
    fn draw(&mut self, shape: &'a Shape) {
        let point = |p: [f64; 2]| p.map(|x| x as f32);
        match shape {
            Shape::Polyline {
                points,
                colour,
                width_mm,
                dashed,
            } => {
                self.pen(*colour, *width_mm, *dashed);
                self.outline(points);
                self.content.stroke();
            }
            Shape::Rectangle { corner, size, fill } => self.fill(*fill, &[[*corner, *size]]),
            Shape::Ribbon { corners, fill } => {
                self.content.save_state().set_parameters(TRANSLUCENT);
                self.ink(*fill);
                self.outline(corners);
                self.content.fill_nonzero().restore_state();
            }
            Shape::Cells { fill, cells } => self.fill(*fill, cells),
            Shape::Disc {
                centre,
                radius_mm,
                fill,
            } => {
                self.ink(*fill);
                self.disc(point(*centre), *radius_mm as f32);
            }
            Shape::Text {
                at,
                text,
                size_mm,
                anchor,
                degrees,
                colour,
            } => {
                self.ink(*colour);
                self.text(text, point(*at), *size_mm as f32, *anchor, *degrees as f32);
            }
            Shape::Image {
                corner,
                size,
                columns,
                pixels,
            } => {
                self.place_image(point(*corner), point(*size));
                self.images.push((*columns, pixels));
            }
        }
    }

    /// Sets colour, width and dashes of lines.
    fn pen(&mut self, colour: Rgb, width_mm: f64, dashed: bool) {
        let [r, g, b] = parts(colour);
        let dashes: &[f32] = if dashed { &[1.0, 0.7] } else { &[] };
        self.content
            .set_stroke_rgb(r, g, b)
            .set_line_width(width_mm as f32)
            .set_dash_pattern(dashes.iter().copied(), 0.0);
    }

    /// Adds a line from point to point to the current path.
    fn outline(&mut self, points: &[[f64; 2]]) {
        for (k, [x, y]) in points.iter().map(|p| p.map(|x| x as f32)).enumerate() {
            match k {
                0 => self.content.move_to(x, y),
                _ => self.content.line_to(x, y),
            };
        }
    }

    /// Places the next image.
    fn place_image(&mut self, [x, y]: [f32; 2], [w, h]: [f32; 2]) {
        let name = image_name(self.images.len());
        self.content
            .save_state()
            .transform([w, 0.0, 0.0, -h, x, y + h])
            .x_object(Name(name.as_bytes()))
            .restore_state();
    }

    fn ink(&mut self, colour: Rgb) {
        let [r, g, b] = parts(colour);
        self.content.set_fill_rgb(r, g, b);
    }

    fn fill(&mut self, colour: Rgb, rectangles: &[[[f64; 2]; 2]]) {
        self.ink(colour);
        for [[x, y], [w, h]] in rectangles {
            self.content
                .rect(*x as f32, *y as f32, *w as f32, *h as f32);
        }
        self.content.fill_nonzero();
    }

    /// Draws a disc as four cubic curves.
    fn disc(&mut self, [x, y]: [f32; 2], r: f32) {
        let k = 0.552_284_8 * r;
        self.content
            .move_to(x + r, y)
            .cubic_to(x + r, y + k, x + k, y + r, x, y + r)
            .cubic_to(x - k, y + r, x - r, y + k, x - r, y)
            .cubic_to(x - r, y - k, x - k, y - r, x, y - r)
            .cubic_to(x + k, y - r, x + r, y - k, x + r, y)
            .fill_nonzero();
    }

    fn text(&mut self, text: &str, [x, y]: [f32; 2], size: f32, anchor: Anchor, degrees: f32) {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let shift = (anchor.shift() * font::width(text)) as f32 * size;
        let face = font::face();
        let glyphs = text.chars().map(|letter| {
            let glyph = face.glyph_index(letter).unwrap_or_default().0;
            self.glyphs.entry(glyph).or_insert(letter);
            glyph.to_be_bytes()
        });
        let codes = glyphs.collect::<Vec<_>>().into_flattened();
        // The y axis of the page points down, that of a glyph up.
        let place = [cos, -sin, -sin, -cos, x + shift * cos, y - shift * sin];
        self.content
            .begin_text()
            .set_font(FONT, size)
            .set_text_matrix(place)
            .show(Str(&codes))
            .end_text();
    }
}

/// Embeds the font with the widths of its glyphs and the characters of those that are used, for searching and copying.
fn embed_font(pdf: &mut Pdf, id: Ref, glyphs: &BTreeMap<u16, char>) {
    let [descendant, descriptor, characters, file] = [6, 7, 8, 9].map(Ref::new);
    let face = font::face();
    let to_thousandths = 1000.0 / f32::from(face.units_per_em());
    pdf.type0_font(id)
        .base_font(FONT_NAME)
        .encoding_predefined(Name(b"Identity-H"))
        .descendant_font(descendant)
        .to_unicode(characters);
    let mut cid = pdf.cid_font(descendant);
    cid.subtype(CidFontType::Type2)
        .base_font(FONT_NAME)
        .system_info(FONT_SYSTEM)
        .font_descriptor(descriptor)
        .cid_to_gid_map_predefined(Name(b"Identity"));
    let mut widths = cid.widths();
    for &glyph in glyphs.keys() {
        let advance = face.glyph_hor_advance(ttf_parser::GlyphId(glyph));
        let width = f32::from(advance.unwrap_or_default()) * to_thousandths;
        widths.same(glyph, glyph, width);
    }
    widths.finish();
    cid.finish();
    describe_font(pdf, [descriptor, file]);
    let mut map = UnicodeCmap::new(Name(b"Characters"), FONT_SYSTEM);
    for (&glyph, &letter) in glyphs {
        map.pair(glyph, letter);
    }
    pdf.cmap(characters, map.finish().as_slice());
    let bytes = compressed(font::BYTES);
    let mut written = pdf.stream(file, &bytes);
    written.filter(Filter::FlateDecode);
    written.pair(Name(b"Length1"), font::BYTES.len() as i32);
}

/// Writes the measures of the font, whose outlines are in a file.
fn describe_font(pdf: &mut Pdf, [descriptor, file]: [Ref; 2]) {
    let face = font::face();
    let to_thousandths = 1000.0 / f32::from(face.units_per_em());
    let units = |value: i16| f32::from(value) * to_thousandths;
    let bounds = face.global_bounding_box();
    let [x_min, y_min, x_max, y_max] =
        [bounds.x_min, bounds.y_min, bounds.x_max, bounds.y_max].map(units);
    pdf.font_descriptor(descriptor)
        .name(FONT_NAME)
        .flags(FontFlags::SYMBOLIC)
        .bbox(Rect::new(x_min, y_min, x_max, y_max))
        .italic_angle(0.0)
        .ascent(units(face.ascender()))
        .descent(units(face.descender()))
        .cap_height(units(face.capital_height().unwrap_or(face.ascender())))
        .stem_v(80.0)
        .font_file2(file);
}

fn image_name(k: usize) -> String {
    format!("I{k}")
}

fn parts(Rgb(parts): Rgb) -> [f32; 3] {
    parts.map(|part| f32::from(part) / 255.0)
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.expect("writing to memory succeeds")
}

#[cfg(test)]
mod tests {
    use crate::plot::{ColourMap, Figure, Layer, colour};

    fn figure() -> Figure {
        let mut figure = Figure::new(&[40.0], &[30.0]);
        let x: Vec<f64> = (0..80).map(f64::from).collect();
        let values = ndarray::Array2::from_shape_fn((80, 80), |(i, k)| ((i * k) as f64).sin());
        figure
            .cell(0, 0)
            .title("a title")
            .x_label("τ (ms)")
            .y_label("rate")
            .heat_map(
                &values,
                [[0.0, 80.0]; 2],
                [-1.0, 1.0],
                ColourMap::BlueWhiteRed,
            )
            .add(Layer::line(x.clone(), x.clone(), colour(0)).dashed())
            .add(Layer::points(x.clone(), x, colour(1)).named("points"));
        figure
    }

    /// Every entry of the table of objects points at its object, and the trailer at the table.
    #[test]
    fn offsets_point_at_objects() {
        let pdf = figure().to_pdf();
        let text = String::from_utf8_lossy(&pdf).into_owned();
        assert!(pdf.starts_with(b"%PDF-1.") && text.trim_end().ends_with("%%EOF"));
        let find = |from: usize, what: &[u8]| {
            let mut windows = pdf[from..].windows(what.len());
            windows
                .position(|window| window == what)
                .map(|at| from + at)
        };
        let table = find(0, b"\nxref").unwrap() + 1;
        assert!(text.contains(&format!("startxref\n{table}\n")));
        let lines = pdf[table..].split(|byte| *byte == b'\n');
        let entries: Vec<String> = lines
            .map(|line| String::from_utf8_lossy(line).trim().to_owned())
            .filter(|line| line.len() == 18 && line.ends_with('n'))
            .collect();
        assert!(entries.len() >= 10, "{} objects", entries.len());
        let mut objects = 0;
        for entry in entries {
            let at: usize = entry[..10].parse().unwrap();
            let head = String::from_utf8_lossy(&pdf[at..at + 12]).into_owned();
            objects += usize::from(head.contains(" 0 obj"));
        }
        assert_eq!(objects, text.matches(" 0 obj").count());
    }

    #[test]
    fn the_page_has_the_size_of_the_sheet_and_the_same_bytes() {
        let figure = figure();
        let pdf = figure.to_pdf();
        let text = String::from_utf8_lossy(&pdf).into_owned();
        let box_at = text.split("/MediaBox [").nth(1).unwrap();
        let numbers = box_at.split(']').next().unwrap().split_whitespace();
        let numbers: Vec<f64> = numbers.map(|n| n.parse().unwrap()).collect();
        let [width, height] = figure.size_mm().map(|mm| mm * 72.0 / 25.4);
        assert!((numbers[2] - width).abs() < 0.01 && (numbers[3] - height).abs() < 0.01);
        assert_eq!(pdf, figure.to_pdf());
        assert!(pdf.len() < 80_000, "{} bytes", pdf.len());
    }
}
