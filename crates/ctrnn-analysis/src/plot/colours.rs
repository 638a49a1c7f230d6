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

const PALETTE: [[u8; 3]; 7] = [
    [0, 114, 178],
    [213, 94, 0],
    [0, 158, 115],
    [204, 121, 167],
    [230, 159, 0],
    [86, 180, 233],
    [0, 0, 0],
];

/// Returns colour `k` of the palette: blue, vermilion, green, purple, orange, sky blue, black, then again from the
/// start. Yellow is left out because it is too pale for lines.
///
/// # References
/// Okabe & Ito (2008), Color universal design.
#[must_use]
pub fn colour(k: usize) -> Rgb {
    Rgb(PALETTE[k % PALETTE.len()])
}

/// Kind of levels that colours tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Names without an order.
    Names,
    /// Numbers of both signs.
    Signed,
    /// Numbers of one sign.
    Sizes,
    /// Directions, of which the last is next to the first.
    Cyclic,
}

/// Returns the colour of level k of n: of names from the palette, of numbers of both signs from blue through grey to
/// vermilion, of sizes from pale to dark blue, of directions around a circle of colours.
pub(crate) fn level_colour(k: usize, n: usize, scale: Scale) -> Rgb {
    const MIDDLE: Rgb = Rgb([175, 175, 175]);
    const PALE_BLUE: Rgb = Rgb([140, 200, 238]);
    const DARK_BLUE: Rgb = Rgb([8, 40, 92]);
    let part = k as f64 / (n.max(2) - 1) as f64;
    match scale {
        Scale::Names if n <= PALETTE.len() => colour(k),
        // The last of many names is not next to the first.
        Scale::Names => around(5.0 / 6.0 * part),
        Scale::Cyclic => around(k as f64 / n as f64),
        _ if n < 3 => colour(k),
        Scale::Sizes => PALE_BLUE.towards(DARK_BLUE, part),
        Scale::Signed => {
            let place = 2.0 * part - 1.0;
            let strength = 0.3 + 0.7 * place.abs();
            match place {
                p if p < -1e-9 => MIDDLE.towards(colour(0), strength),
                p if p > 1e-9 => MIDDLE.towards(colour(1), strength),
                _ => MIDDLE,
            }
        }
    }
}

/// Returns the colour at a part of a circle, from blue over purple, vermilion, orange, green and sky blue.
fn around(part: f64) -> Rgb {
    const CIRCLE: [usize; 6] = [0, 3, 1, 4, 2, 5];
    let place = part.rem_euclid(1.0) * CIRCLE.len() as f64;
    let k = place as usize;
    let [from, to] = [k, k + 1].map(|k| colour(CIRCLE[k % CIRCLE.len()]));
    from.towards(to, place - k as f64)
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

    /// Levels of every scale differ, and neighbours on the circle are closer than opposite directions.
    #[test]
    fn levels_have_colours_of_their_own() {
        for scale in [Scale::Names, Scale::Signed, Scale::Sizes, Scale::Cyclic] {
            for n in 1..=12 {
                let mut inks: Vec<[u8; 3]> = (0..n).map(|k| level_colour(k, n, scale).0).collect();
                inks.sort_unstable();
                inks.dedup();
                assert_eq!(inks.len(), n, "{scale:?}");
            }
        }
        let apart = |a: usize, b: usize| -> f64 {
            let [a, b] = [a, b].map(|k| level_colour(k, 8, Scale::Cyclic).0);
            let squares = (0..3).map(|i| (f64::from(a[i]) - f64::from(b[i])).powi(2));
            squares.sum::<f64>().sqrt()
        };
        assert!(apart(7, 0) < apart(4, 0) && apart(0, 1) < apart(0, 4));
    }

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
