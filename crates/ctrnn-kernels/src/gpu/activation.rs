//! Activations and their slopes, by the polynomials of the CPU kernels, so that results do not depend on a driver's `tanh`.

use cubecl::prelude::*;

use super::quad::Quad;
use crate::Activation;
use crate::activation::THIRD;
use crate::coefficients::Coefficients;

/// Coefficients, lowest power first.
#[derive(Clone, Copy)]
pub(super) struct Polynomial(pub(super) &'static [f32]);

const EXPM1: Polynomial = Polynomial(<f32 as Coefficients>::EXPM1);
const LOG1P: Polynomial = Polynomial(<f32 as Coefficients>::LOG1P);
const LN_2_HIGH: f32 = <f32 as Coefficients>::LN_2[0];
const LN_2_LOW: f32 = <f32 as Coefficients>::LN_2[1];
const LOG2_E: f32 = <f32 as Coefficients>::LOG2_E;
const LOWEST: f32 = <f32 as Coefficients>::LOWEST;

/// Returns `f(v)` of four trials.
#[cube]
pub(super) fn rates(v: Quad, #[comptime] f: Activation) -> Quad {
    let mut r = Quad::new(0.0f32);
    #[unroll]
    for c in 0..4usize {
        r[c] = value(v[c], f);
    }
    r
}

/// Returns `f'(v)` of four trials from their rates `r = f(v)`.
#[cube]
pub(super) fn slopes(r: Quad, #[comptime] f: Activation) -> Quad {
    let mut s = Quad::new(0.0f32);
    #[unroll]
    for c in 0..4usize {
        s[c] = slope(r[c], f);
    }
    s
}

// Places of the parameters of a power.
const EXPONENT: usize = 0;
const GAIN: usize = 1;
const THRESHOLD: usize = 2;

/// Returns a parameter of an activation by its place, in the element type of the kernels.
fn parameter(f: Activation, place: usize) -> f32 {
    f.parameters()[place].1 as f32
}

/// Returns the factor `n k^(1/n)` of `r^(1 - 1/n)` in the slope of `r = k x^n`.
fn slope_scale(f: Activation) -> f32 {
    let [exponent, gain] = [EXPONENT, GAIN].map(|place| f.parameters()[place].1);
    (exponent * gain.powf(1.0 / exponent)) as f32
}

/// Returns `x^exponent` for `x >= 0`.
#[cube]
fn power(x: f32, #[comptime] exponent: f32) -> f32 {
    if comptime![exponent == 1.0] {
        x
    } else if comptime![exponent == 2.0] {
        x * x
    } else {
        f32::powf(x, f32::new(exponent))
    }
}

#[cube]
fn value(v: f32, #[comptime] f: Activation) -> f32 {
    match comptime!(f) {
        Activation::Relu => max(v, 0.0f32),
        Activation::Tanh => tanh(v),
        Activation::Sigmoid => sigmoid(v),
        Activation::Retanh => tanh(max(v, 0.0f32)),
        Activation::Softplus => softplus(v),
        Activation::Power(_) => {
            let above = max(v - f32::new(comptime![parameter(f, THRESHOLD)]), 0.0f32);
            f32::new(comptime![parameter(f, GAIN)])
                * power(above, comptime![parameter(f, EXPONENT)])
        }
        Activation::Linear => v,
        Activation::LeakyRelu(_) => {
            let slope = f32::new(comptime![parameter(f, 0)]);
            select(v > 0.0f32, v, slope * v)
        }
        Activation::ClippedRelu(_) => {
            let maximum = f32::new(comptime![parameter(f, 0)]);
            let above = max(v, 0.0f32);
            select(above > maximum, maximum, above)
        }
        Activation::Cubic => {
            let v = min(max(v, -1.0f32), 1.0f32);
            v * fma(v * v, f32::new(comptime![-(THIRD as f32)]), 1.0f32)
        }
    }
}

#[cube]
fn slope(r: f32, #[comptime] f: Activation) -> f32 {
    match comptime!(f) {
        Activation::Relu => select(r > 0.0f32, 1.0f32, 0.0f32),
        Activation::Tanh => 1.0f32 - r * r,
        Activation::Sigmoid => r - r * r,
        Activation::Retanh => select(r > 0.0f32, 1.0f32 - r * r, 0.0f32),
        Activation::Softplus => -expm1_of_negative(-r),
        Activation::Power(_) => power_slope(r, f),
        Activation::Linear => 1.0f32.runtime(),
        Activation::LeakyRelu(_) => {
            let slope = f32::new(comptime![parameter(f, 0)]);
            select(r > 0.0f32, 1.0f32, slope)
        }
        Activation::ClippedRelu(_) => {
            let maximum = f32::new(comptime![parameter(f, 0)]);
            let below = select(r < maximum, 1.0f32, 0.0f32);
            select(r > 0.0f32, below, 0.0f32)
        }
        Activation::Cubic => cubic_slope(r),
    }
}

/// Returns the slope of the cubic, by the steps of the CPU kernel.
#[cube]
fn cubic_slope(r: f32) -> f32 {
    let minus_third = f32::new(comptime![-(THIRD as f32)]);
    let q = max(fma(1.0f32, minus_third, 1.0f32) - f32::abs(r), 0.0f32);
    let s = f32::sqrt(q);
    let series = fma(
        s,
        f32::new(comptime![5.0 / 72.0]),
        f32::new(comptime![1.0 / 6.0]),
    );
    let mut d = s * fma(s, series, 1.0f32);
    #[unroll]
    for _ in 0..3 {
        let excess = fma(d * d, fma(d, minus_third, 1.0f32), -q);
        let slope = max(d * (2.0f32 - d), f32::new(comptime![f32::MIN_POSITIVE]));
        d -= excess / slope;
    }
    d * (2.0f32 - d)
}

/// Returns the slope `n k x^(n - 1)` of `r = k x^n`.
#[cube]
fn power_slope(r: f32, #[comptime] f: Activation) -> f32 {
    let gain = f32::new(comptime![parameter(f, GAIN)]);
    if comptime![parameter(f, EXPONENT) == 1.0] {
        select(r > 0.0f32, gain, 0.0f32)
    } else if comptime![parameter(f, EXPONENT) == 2.0] {
        2.0f32 * f32::sqrt(gain * r)
    } else {
        let scale = f32::new(comptime![slope_scale(f)]);
        scale * power(r, comptime![1.0 - 1.0 / parameter(f, EXPONENT)])
    }
}

/// Evaluates a polynomial by Horner's scheme.
#[cube]
pub(super) fn polynomial(x: f32, #[comptime] p: Polynomial) -> f32 {
    let last = comptime![p.0.len() - 1];
    let mut sum = f32::new(comptime![p.0[last]]);
    #[unroll]
    for i in 0..last {
        sum = fma(sum, x, f32::new(comptime![p.0[last - 1 - i]]));
    }
    sum
}

/// Returns `n` of `x = n ln 2 + rest`, for `x <= 0`.
#[cube]
fn exponent(x: f32) -> f32 {
    f32::floor(fma(x, f32::new(LOG2_E), 0.5f32))
}

/// Returns `expm1(x - n ln 2)`.
#[cube]
fn fraction(x: f32, n: f32) -> f32 {
    let rest = fma(n, f32::new(-LN_2_LOW), fma(n, f32::new(-LN_2_HIGH), x));
    rest * polynomial(rest, EXPM1)
}

/// Returns `2^n` for a whole number from -126 to 0.
#[cube]
fn exp2(n: f32) -> f32 {
    let bits = i32::cast_from(n) + 127i32;
    f32::reinterpret(u32::cast_from(bits) << 23u32)
}

/// Returns `exp(x)` for `x <= 0`.
#[cube]
fn exp_of_negative(x: f32) -> f32 {
    let x = max(x, f32::new(LOWEST));
    let n = exponent(x);
    let scale = exp2(n);
    fma(scale, fraction(x, n), scale)
}

/// Returns `exp(x) - 1` for `x <= 0`, with its full relative accuracy near 0.
#[cube]
fn expm1_of_negative(x: f32) -> f32 {
    let x = max(x, f32::new(LOWEST));
    let n = exponent(x);
    let scale = exp2(n);
    fma(scale, fraction(x, n), scale - 1.0f32)
}

/// Returns `tanh |x| = -e / (2 + e)` with `e = expm1(-2 |x|)`.
#[cube]
fn tanh(x: f32) -> f32 {
    let e = expm1_of_negative(-(2.0f32 * f32::abs(x)));
    let t = e / (2.0f32 + e);
    select(x > 0.0f32, -t, t)
}

/// Returns `1 / (1 + z)` for positive `x` and `z / (1 + z)` for others, `z = exp(-|x|)`.
#[cube]
fn sigmoid(x: f32) -> f32 {
    let z = exp_of_negative(-f32::abs(x));
    select(x > 0.0f32, 1.0f32, z) / (1.0f32 + z)
}

/// Returns `max(x, 0) + log1p(exp(-|x|))`.
#[cube]
fn softplus(x: f32) -> f32 {
    let z = exp_of_negative(-f32::abs(x));
    fma(z, polynomial(z, LOG1P), max(x, 0.0f32))
}
