//! Embedded font: widths of text, and outlines of glyphs.

use ttf_parser::{Face, OutlineBuilder};

/// Sizes of text in millimetres at the default font size of 7 points: of labels, and of names within panels and above
/// bands.
pub const TEXT_MM: f64 = 2.47;
pub const SMALL_MM: f64 = 2.12;

/// Font Arimo, reduced to Latin, Greek and a few symbols; see `fonts/OFL.txt`.
pub const BYTES: &[u8] = include_bytes!("../../fonts/arimo_latin_greek.ttf");

pub fn face() -> Face<'static> {
    Face::parse(BYTES, 0).expect("the embedded font is a font")
}

/// Returns the width of a line of text, in units of its size.
pub fn width(text: &str) -> f64 {
    let face = face();
    let advance = |letter: char| {
        let glyph = face.glyph_index(letter).unwrap_or_default();
        f64::from(face.glyph_hor_advance(glyph).unwrap_or_default())
    };
    text.chars().map(advance).sum::<f64>() / f64::from(face.units_per_em())
}

/// Returns the width of a label on paper in millimetres, at the default font size.
pub fn text_mm(text: &str) -> f64 {
    width(text) * TEXT_MM
}

/// Breaks text between words into lines of at most `width_mm` if possible, but not at a no-break space.
pub fn wrap(text: &str, size_mm: f64, width_mm: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_ascii_whitespace() {
        let word = word.replace('\u{a0}', " ");
        match lines.last_mut() {
            Some(line) if width(&format!("{line} {word}")) * size_mm <= width_mm => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

/// Sends the outlines of a line of text to `pen`, in units of its size, with the baseline at y = 0 and y upwards.
pub fn outline(text: &str, pen: &mut impl FnMut(Stroke)) {
    let face = face();
    let scale = 1.0 / f32::from(face.units_per_em());
    let mut x = 0.0;
    for letter in text.chars() {
        let glyph = face.glyph_index(letter).unwrap_or_default();
        let mut outline = Outline { x, scale, pen };
        let _ = face.outline_glyph(glyph, &mut outline); // none for a space
        x += f32::from(face.glyph_hor_advance(glyph).unwrap_or_default()) * scale;
    }
}

/// Segment of an outline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stroke {
    Move([f32; 2]),
    Line([f32; 2]),
    Quadratic([f32; 2], [f32; 2]),
    Cubic([f32; 2], [f32; 2], [f32; 2]),
    Close,
}

struct Outline<'a, P: FnMut(Stroke)> {
    x: f32,
    scale: f32,
    pen: &'a mut P,
}

impl<P: FnMut(Stroke)> Outline<'_, P> {
    fn at(&self, x: f32, y: f32) -> [f32; 2] {
        [self.x + x * self.scale, y * self.scale]
    }
}

impl<P: FnMut(Stroke)> OutlineBuilder for Outline<'_, P> {
    fn move_to(&mut self, x: f32, y: f32) {
        let to = self.at(x, y);
        (self.pen)(Stroke::Move(to));
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let to = self.at(x, y);
        (self.pen)(Stroke::Line(to));
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let (control, to) = (self.at(x1, y1), self.at(x, y));
        (self.pen)(Stroke::Quadratic(control, to));
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let (first, second, to) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        (self.pen)(Stroke::Cubic(first, second, to));
    }

    fn close(&mut self) {
        (self.pen)(Stroke::Close);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As in Arial, a digit is 1139 of 2048 units wide.
    #[test]
    fn text_has_the_width_of_arial() {
        assert!((width("42") - 2.0 * 1139.0 / 2048.0).abs() < 1e-9);
        assert_eq!(wrap("coh 0.5, side 1", 1.0, 4.5), ["coh 0.5,", "side 1"]);
        assert_eq!(wrap("a b\u{a0}c", 1.0, 1.8), ["a", "b c"]);
    }

    #[test]
    fn the_font_has_the_signs_that_figures_use() {
        for sign in "−–·×αβγτσ≤≥≈√°µ'→∑∞".chars().filter(|&c| c != '\'')
        {
            assert!(face().glyph_index(sign).is_some(), "{sign}");
        }
    }
}
