//! Normals from random integers by the Box-Muller transform:
//!
//! ```text
//! n0 = sqrt(-2 ln u) cos(2 pi a),   n1 = sqrt(-2 ln u) sin(2 pi a)
//! ```
//!
//! with `u` and `a` from one 32-bit word each. Every function is free of branches and uses IEEE
//! addition, multiplication and square root, integer and bit operations only: no library function
//! and no fused multiply-add, so that a version for any vector width gives the same bits, provided
//! it keeps the order of operations. Coefficients come from `scripts/minimax.py`, lowest power
//! first.
//!
//! A normal differs by at most 1.1e-6 from its value in exact arithmetic (by two units in the last
//! place of the largest, 6.66; on average far less).

/// `ln(1 + f) / f` in powers of `f` on [-1/2, 0]; relative error 2.4e-8.
pub const LN: [f32; 9] = [
    1.0,
    -0.499_995_2,
    0.333_632_98,
    -0.243_666_63,
    0.263_831_35,
    0.181_608_77,
    1.210_403_6,
    1.641_854_3,
    1.415_783,
];
/// `sin(2 pi t) / t` in powers of `t^2` on |t| <= 1/8; relative error 2.8e-8.
pub const SIN: [f32; 4] = [6.283_185_5, -41.341_86, 81.624_76, -76.731_834];
/// `cos(2 pi t)` in powers of `t^2` on |t| <= 1/8; relative error 4.4e-10.
pub const COS: [f32; 5] = [1.0, -19.739_208, 64.939_15, -85.424_52, 58.621_06];
/// 2^-32: one step of a 32-bit word as a fraction.
pub const WORD: f32 = 1.0 / 4_294_967_296.0;

/// Returns `ln u` for `u = (word | 1) / 2^32`, so -22.2 <= ln u < 0: never 0, never infinite.
///
/// The lowest bit is set, so u takes the midpoints of 2^31 equal intervals. In the upper half the
/// distance to 1 is converted, not u itself, so that ln u keeps its relative accuracy at both ends.
#[inline(always)]
#[must_use]
pub fn ln(word: u32) -> f32 {
    let signed = (word | 1) as i32 as f32; // u 2^32 in the lower half, (u - 1) 2^32 in the upper
    let bits = signed.to_bits();
    let exponent = ((bits >> 23) as i32 - (126 + 32)) as f32;
    let mantissa = f32::from_bits((bits & 0x007F_FFFF) | 0x3F00_0000); // in [1/2, 1)
    let upper = signed < 0.0;
    let f = if upper { signed * WORD } else { mantissa - 1.0 };
    let whole = if upper {
        0.0
    } else {
        exponent * std::f32::consts::LN_2
    };
    whole + f * polynomial(LN, f)
}

/// Returns `(sin, cos)` of `2 pi word / 2^32`.
///
/// The two top bits, rounded, are the quadrant; the rest is an angle `t` of at most 1/8 turn.
#[inline(always)]
#[must_use]
pub fn sin_cos_2pi(word: u32) -> (f32, f32) {
    let quadrant = word.wrapping_add(1 << 29) >> 30;
    let t = word.wrapping_sub(quadrant << 30) as i32 as f32 * WORD;
    let z = t * t;
    let (sin, cos) = (t * polynomial(SIN, z), polynomial(COS, z));
    let swap = quadrant & 1 == 1;
    let (sin, cos) = if swap { (cos, sin) } else { (sin, cos) };
    let sin_sign = (quadrant & 2) << 30;
    let cos_sign = (quadrant.wrapping_add(1) & 2) << 30;
    (
        f32::from_bits(sin.to_bits() ^ sin_sign),
        f32::from_bits(cos.to_bits() ^ cos_sign),
    )
}

/// Returns two independent standard normals, `[r cos, r sin]`: the radius from the first word, the angle
/// from the second.
///
/// # References
/// Box & Muller (1958), A note on the generation of random normal deviates.
#[inline(always)]
#[must_use]
pub fn box_muller(radius: u32, angle: u32) -> [f32; 2] {
    let r = (-2.0 * ln(radius)).sqrt();
    let (sin, cos) = sin_cos_2pi(angle);
    [r * cos, r * sin]
}

/// Returns four standard normals from the four words of one Philox call.
#[inline]
#[must_use]
pub fn from_words(words: [u32; 4]) -> [f32; 4] {
    from_words_lanes(words.map(|word| [word])).map(|[normal]| normal)
}

/// Computes [`from_words`] for `L` calls at once; `words[w][lane]` in, `normals[i][lane]` out.
#[inline(always)]
#[must_use]
pub fn from_words_lanes<const L: usize>(words: [[u32; L]; 4]) -> [[f32; L]; 4] {
    let mut normals = [[0.0; L]; 4];
    for lane in 0..L {
        [normals[0][lane], normals[1][lane]] = box_muller(words[0][lane], words[1][lane]);
    }
    for lane in 0..L {
        [normals[2][lane], normals[3][lane]] = box_muller(words[2][lane], words[3][lane]);
    }
    normals
}

/// Evaluates a polynomial by Horner's scheme, lowest power first.
#[inline(always)]
fn polynomial<const N: usize>(coefficients: [f32; N], x: f32) -> f32 {
    let mut sum = coefficients[N - 1];
    for i in (0..N - 1).rev() {
        sum = sum * x + coefficients[i];
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    const SCALE: f64 = 4_294_967_296.0;

    /// Yields words on a coarse grid, around the quadrants and powers of two, and at both ends.
    fn words() -> impl Iterator<Item = u32> {
        let edges = (0..32)
            .flat_map(|bit| (-40..40).map(move |d: i32| (1u32 << bit).wrapping_add_signed(d)));
        let octants =
            (0..8).flat_map(|k: u32| (-40..40).map(move |d| (k << 29).wrapping_add_signed(d)));
        (0..200_000)
            .map(|i: u32| i.wrapping_mul(21_473))
            .chain(edges)
            .chain(octants)
    }

    fn radius(word: u32) -> f64 {
        (-2.0 * (f64::from(word | 1) / SCALE).ln()).sqrt()
    }

    #[test]
    fn ln_is_accurate_relative_to_its_value_at_both_ends() {
        for word in words() {
            let exact = (f64::from(word | 1) / SCALE).ln();
            let error = (f64::from(ln(word)) / exact - 1.0).abs();
            assert!(error < 2.5e-7, "ln of {word}: relative error {error:e}");
        }
    }

    #[test]
    fn sin_and_cos_are_accurate_in_every_quadrant() {
        for word in words() {
            let angle = TAU * f64::from(word) / SCALE;
            let (sin, cos) = sin_cos_2pi(word);
            let error = (f64::from(sin) - angle.sin())
                .abs()
                .max((f64::from(cos) - angle.cos()).abs());
            assert!(error < 1.6e-7, "sin, cos of {word}: error {error:e}");
        }
    }

    #[test]
    fn normals_are_close_to_exact_arithmetic() {
        let mut worst = 0.0_f64;
        for (word, turned) in
            words().flat_map(|word| [(word, word.wrapping_mul(0x9E37_79B9)), (word & 0xFF, word)])
        {
            let angle = TAU * f64::from(turned) / SCALE;
            let exact = [radius(word) * angle.cos(), radius(word) * angle.sin()];
            for (normal, exact) in box_muller(word, turned).into_iter().zip(exact) {
                worst = worst.max((f64::from(normal) - exact).abs());
            }
        }
        assert!(worst < 1.1e-6, "largest error {worst:e}");
    }

    /// The smallest u is 2^-32: r = sqrt(64 ln 2) = 6.6604; the largest is 1 - 2^-32: r =
    /// sqrt(2^-31) = 2.158e-5.
    #[test]
    fn the_tails_end_at_6_66_and_nothing_is_infinite() {
        assert!((box_muller(0, 0)[0] - 6.6604).abs() < 1e-4);
        assert!((box_muller(u32::MAX, 0)[0] - 2.158e-5).abs() < 1e-8);
        assert!(words().all(|word| box_muller(word, !word).iter().all(|n| n.is_finite())));
    }
}
