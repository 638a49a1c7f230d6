//! Colours that are distinguishable with any kind of colour vision.

use super::{drawable, fraction};

/// Red, green and blue components, from 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rgb(pub [u8; 3]);

impl Rgb {
    /// The colour black.
    pub const BLACK: Self = Self([0, 0, 0]);
    /// Grey of axes and notes.
    pub const GREY: Self = Self([110, 110, 110]);
    /// Pale grey of bands behind data.
    pub const PALE: Self = Self([238, 238, 238]);
    /// The colour white.
    pub const WHITE: Self = Self([255, 255, 255]);

    /// Mixes the colour with `other` at the fraction `t`: 0 is this colour, 1 the other.
    #[must_use]
    pub fn towards(self, other: Self, t: f64) -> Self {
        let part = |k: usize| {
            let (a, b) = (f64::from(self.0[k]), f64::from(other.0[k]));
            (a + t.clamp(0.0, 1.0) * (b - a)).round() as u8
        };
        Self([part(0), part(1), part(2)])
    }
}

/// Returns colour `k` of the palette: blue, vermilion, green, purple, orange, sky blue, black, then again from the
/// start. Yellow is left out because it is too pale for lines.
///
/// # References
/// Okabe & Ito (2008), Color universal design.
#[must_use]
pub fn colour(k: usize) -> Rgb {
    const PALETTE: [[u8; 3]; 7] = [
        [0, 114, 178],
        [213, 94, 0],
        [0, 158, 115],
        [204, 121, 167],
        [230, 159, 0],
        [86, 180, 233],
        [0, 0, 0],
    ];
    Rgb(PALETTE[k % PALETTE.len()])
}

/// Returns the colour of level k of n: from blue through grey to vermilion for ordered levels, otherwise from the
/// palette.
pub(crate) fn level_colour(k: usize, n: usize, is_ordered: bool) -> Rgb {
    const MIDDLE: Rgb = Rgb([175, 175, 175]);
    if !is_ordered || n < 3 {
        return colour(k);
    }
    let place = 2.0 * k as f64 / (n - 1) as f64 - 1.0;
    let strength = 0.3 + 0.7 * place.abs();
    match place {
        p if p < -1e-9 => MIDDLE.towards(colour(0), strength),
        p if p > 1e-9 => MIDDLE.towards(colour(1), strength),
        _ => MIDDLE,
    }
}

/// Colour maps of heat maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColourMap {
    /// From white at the lower end to dark blue at the upper end.
    Blues,
    /// From blue through white in the middle to vermilion.
    BlueWhiteRed,
}

impl ColourMap {
    /// Returns the colour of a value on the scale. There are 17 even levels, which keeps image files small; values
    /// outside of the scale have the colours of its ends, NaN is grey.
    #[must_use]
    pub fn colour(self, value: f64, scale: [f64; 2]) -> Rgb {
        let position = (fraction(value, drawable(scale)) * 16.0).round() / 16.0;
        if position.is_nan() {
            return Rgb::GREY;
        }
        match self {
            Self::Blues if position < 0.5 => Rgb::WHITE.towards(colour(5), 2.0 * position),
            Self::Blues => colour(5).towards(Rgb([8, 40, 92]), 2.0 * position - 1.0),
            Self::BlueWhiteRed if position < 0.5 => colour(0).towards(Rgb::WHITE, 2.0 * position),
            Self::BlueWhiteRed => Rgb::WHITE.towards(colour(1), 2.0 * position - 1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_have_their_ends_and_middle() {
        let scale = [-1.0, 1.0];
        assert_eq!(ColourMap::BlueWhiteRed.colour(0.0, scale), Rgb::WHITE);
        assert_eq!(ColourMap::BlueWhiteRed.colour(9.0, scale), colour(1));
        assert_eq!(ColourMap::Blues.colour(-1.0, scale), Rgb::WHITE);
        assert_eq!(ColourMap::Blues.colour(f64::NAN, scale), Rgb::GREY);
        assert_eq!(
            ColourMap::Blues.colour(f64::NEG_INFINITY, scale),
            Rgb::WHITE
        );
        assert_eq!(ColourMap::BlueWhiteRed.colour(0.0, [0.0, 0.0]), Rgb::WHITE);
    }
}
