//! Activations of whole vectors.
//!
//! Exponentials and logarithms are polynomials ([`Coefficients`]), so that every path computes a whole vector at
//! once. The derivative is taken from the rate itself, so that potentials need not be kept.

use crate::Activation;
use crate::activation::THIRD;
use crate::coefficients::Coefficients;
use crate::simd::{Element, GROUP, Simd, each_vector, groups, groups_mut};

/// Evaluates `$body` with `$a` bound to the activation as a constant, so that the compiler makes a loop for each.
///
/// The body is compiled for every activation, instruction set and element type. So it holds the loop over lanes alone.
macro_rules! for_activation {
    ($activation:expr, $a:ident => $body:expr) => {
        match $activation {
            $crate::Activation::Relu => $crate::cpu::activation::for_activation!(@ $a, Relu, $body),
            $crate::Activation::Tanh => $crate::cpu::activation::for_activation!(@ $a, Tanh, $body),
            $crate::Activation::Sigmoid => $crate::cpu::activation::for_activation!(@ $a, Sigmoid, $body),
            $crate::Activation::Retanh => $crate::cpu::activation::for_activation!(@ $a, Retanh, $body),
            $crate::Activation::Softplus => $crate::cpu::activation::for_activation!(@ $a, Softplus, $body),
            $crate::Activation::Power(law) => $crate::cpu::activation::for_activation!(@ $a, Power(law), $body),
            $crate::Activation::Linear => $crate::cpu::activation::for_activation!(@ $a, Linear, $body),
            $crate::Activation::LeakyRelu(leak) => $crate::cpu::activation::for_activation!(@ $a, LeakyRelu(leak), $body),
            $crate::Activation::ClippedRelu(ceiling) => $crate::cpu::activation::for_activation!(@ $a, ClippedRelu(ceiling), $body),
            $crate::Activation::Cubic => $crate::cpu::activation::for_activation!(@ $a, Cubic, $body),
        }
    };
    (@ $a:ident, $variant:ident $(($of:ident))?, $body:expr) => {{
        let $a = $crate::Activation::$variant$(($of))?;
        $body
    }};
}
pub(crate) use for_activation;

impl Activation {
    /// Writes the rates `r = f(v)` of a padded row.
    #[inline(always)]
    pub(crate) fn write_rates<S: Simd>(self, v: &[S::Elem], r: &mut [S::Elem]) {
        let (v, r) = (groups(v), groups_mut(r));
        for_activation!(self, f => each_vector!(S, r.len(), |g, lane| {
            f.rates(S::load(&v[g], lane)).store(&mut r[g], lane);
        }));
    }

    /// Returns the rates `f(v)`.
    #[inline(always)]
    pub(crate) fn rates<S: Simd>(self, v: S) -> S {
        let zero = S::splat(S::Elem::default());
        match self {
            Self::Relu => v.at_least(zero),
            Self::Tanh => tanh(v),
            Self::Sigmoid => sigmoid(v),
            Self::Retanh => tanh(v.at_least(zero)),
            Self::Softplus => softplus(v),
            Self::Power(law) => {
                let above = (v - constant(law.threshold)).at_least(zero);
                let power = match law.exponent {
                    1.0 => above,
                    2.0 => above * above,
                    exponent => power(above, exponent),
                };
                constant::<S>(law.gain) * power
            }
            Self::Linear => v,
            Self::LeakyRelu(leak) => v.positive_or(v, constant::<S>(leak.slope) * v),
            Self::ClippedRelu(ceiling) => {
                let (v, maximum) = (v.at_least(zero), constant::<S>(ceiling.maximum));
                (v - maximum).positive_or(maximum, v)
            }
            Self::Cubic => {
                let one = S::splat(S::Elem::from(1.0));
                let v = -((-v.at_least(-one)).at_least(-one));
                v * (v * v).mul_add(constant(-THIRD), one)
            }
        }
    }

    /// Returns the slopes `f'(v)` as a function of the rates `r = f(v)`.
    #[inline(always)]
    pub(crate) fn slopes<S: Simd>(self, r: S) -> S {
        let (zero, one) = (S::splat(S::Elem::default()), S::splat(S::Elem::from(1.0)));
        match self {
            Self::Relu => r.positive_or(one, zero),
            Self::Tanh => one - r * r,
            Self::Sigmoid => r - r * r,
            Self::Retanh => r.positive_or(one - r * r, zero),
            Self::Softplus => -expm1_of_negative(-r),
            // r = k x^n has the slope n k x^(n - 1).
            Self::Power(law) => match law.exponent {
                1.0 => r.positive_or(constant(law.gain), zero),
                2.0 => S::splat(S::Elem::from(2.0)) * (constant::<S>(law.gain) * r).sqrt(),
                n => constant::<S>(n * law.gain.powf(1.0 / n)) * power(r, (n - 1.0) / n),
            },
            Self::Linear => one,
            Self::LeakyRelu(leak) => r.positive_or(one, constant(leak.slope)),
            Self::ClippedRelu(ceiling) => {
                let below = (constant::<S>(ceiling.maximum) - r).positive_or(one, zero);
                r.positive_or(below, zero)
            }
            Self::Cubic => cubic_slope(r),
        }
    }
}

/// Returns the slope of the cubic, `1 - v^2 = d (2 - d)` with `d = 1 - |v|`, the root of `d^2 (1 - d / 3) = q` that belongs to the distance
/// `q` of the rate to its largest value: a series in `sqrt(q)`, and three of Newton's steps. Near the extremum the error of the slope is
/// that of `q` divided by the slope itself, of the order of the root of a rounding error; beyond it `q` and the slope are 0.
#[inline(always)]
fn cubic_slope<S: Simd>(r: S) -> S {
    let (zero, one) = (S::splat(S::Elem::default()), S::splat(S::Elem::from(1.0)));
    let (two, minus_third) = (S::splat(S::Elem::from(2.0)), constant::<S>(-THIRD));
    let q = (one.mul_add(minus_third, one) - r.abs()).at_least(zero);
    let s = q.sqrt();
    let mut d = s * s.mul_add(s.mul_add(constant(5.0 / 72.0), constant(1.0 / 6.0)), one);
    for _ in 0..3 {
        let excess = (d * d).mul_add(d.mul_add(minus_third, one), -q);
        let slope = (d * (two - d)).at_least(constant(f64::from(f32::MIN_POSITIVE)));
        d = d - excess / slope;
    }
    d * (two - d)
}

/// Returns a vector with the nearest number to `x` in every lane.
#[inline(always)]
fn constant<S: Simd>(x: f64) -> S {
    S::splat(S::Elem::from_f64(x))
}

/// Returns `x^exponent` for `x >= 0`, lane by lane.
#[inline(always)]
fn power<S: Simd>(x: S, exponent: f64) -> S {
    let mut lanes = [S::Elem::default(); GROUP];
    x.store(&mut lanes, 0);
    for x in &mut lanes[..S::LANES] {
        let base: f64 = (*x).into();
        *x = S::Elem::from_f64(base.powf(exponent));
    }
    S::load(&lanes, 0)
}

/// Evaluates a polynomial by Horner's scheme.
#[inline(always)]
fn polynomial<S: Simd>(coefficients: &'static [S::Elem], x: S) -> S {
    let (last, lower) = coefficients.split_last().expect("constants are not empty");
    let mut sum = S::splat(*last);
    for &c in lower.iter().rev() {
        sum = sum.mul_add(x, S::splat(c));
    }
    sum
}

/// Writes `x <= 0` as `n ln 2 + rest`; returns `2^n` and `expm1(rest)`.
#[inline(always)]
fn reduced<S: Simd>(x: S) -> (S, S) {
    let x = x.at_least(S::splat(S::Elem::LOWEST));
    let n = (x * S::splat(S::Elem::LOG2_E)).round();
    let [high, low] = S::Elem::LN_2;
    let rest = n.mul_add(S::splat(-low), n.mul_add(S::splat(-high), x));
    (n.exp2(), rest * polynomial(S::Elem::EXPM1, rest))
}

/// Returns `exp(x)` for `x <= 0`.
#[inline(always)]
fn exp_of_negative<S: Simd>(x: S) -> S {
    let (scale, fraction) = reduced(x);
    scale.mul_add(fraction, scale)
}

/// Returns `exp(x) - 1` for `x <= 0`, with its full relative accuracy near 0.
#[inline(always)]
fn expm1_of_negative<S: Simd>(x: S) -> S {
    let (scale, fraction) = reduced(x);
    scale.mul_add(fraction, scale - S::splat(S::Elem::from(1.0)))
}

/// Returns `tanh |x| = -e / (2 + e)` with `e = expm1(-2 |x|)`.
#[inline(always)]
fn tanh<S: Simd>(x: S) -> S {
    let two = S::splat(S::Elem::from(2.0));
    let e = expm1_of_negative(-(two * x.abs()));
    let t = e / (two + e);
    x.positive_or(-t, t)
}

/// Returns `1 / (1 + z)` for positive `x` and `z / (1 + z)` for others, `z = exp(-|x|)`.
#[inline(always)]
fn sigmoid<S: Simd>(x: S) -> S {
    let one = S::splat(S::Elem::from(1.0));
    let z = exp_of_negative(-x.abs());
    x.positive_or(one, z) / (one + z)
}

/// Returns `max(x, 0) + log1p(exp(-|x|))`.
#[inline(always)]
fn softplus<S: Simd>(x: S) -> S {
    let z = exp_of_negative(-x.abs());
    z.mul_add(
        polynomial(S::Elem::LOG1P, z),
        x.at_least(S::splat(S::Elem::default())),
    )
}

/// Returns the natural logarithm of positive normal numbers `2^e (1 + f)`: `e ln 2 + log1p(f)`. The error is below 4e-7 (1e-15) of the
/// larger of the logarithm and 1.
#[inline(always)]
pub(crate) fn log<S: Simd>(x: S) -> S {
    let mut exponents = [S::Elem::default(); GROUP];
    let mut fractions = [S::Elem::default(); GROUP];
    x.store(&mut fractions, 0);
    for k in 0..S::LANES {
        [exponents[k], fractions[k]] = fractions[k].split();
    }
    let (e, f) = (S::load(&exponents, 0), S::load(&fractions, 0));
    let [high, low] = S::Elem::LN_2;
    let rest = e.mul_add(S::splat(low), f * polynomial(S::Elem::LOG1P, f));
    e.mul_add(S::splat(high), rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instruction_set::KernelPath;
    use crate::simd::Job;
    use crate::{Ceiling, Leak};

    /// Rates and slopes of a group of potentials.
    struct Evaluate<E> {
        activation: Activation,
        potentials: [E; GROUP],
    }

    impl<E: Element> Job<E> for Evaluate<E> {
        type Output = [[E; GROUP]; 2];

        #[inline(always)]
        fn run<S: Simd<Elem = E>>(self) -> Self::Output {
            let mut found = [[E::default(); GROUP]; 2];
            for lane in (0..GROUP).step_by(S::LANES) {
                let rates = self.activation.rates(S::load(&self.potentials, lane));
                rates.store(&mut found[0], lane);
                self.activation.slopes(rates).store(&mut found[1], lane);
            }
            found
        }
    }

    /// Compares rates by relative, and slopes by absolute error: a slope computed from a saturated rate has no relative accuracy. The error of
    /// the cubic's slope is inversely proportional to the slope.
    fn agrees_with_the_enum<E: Element>(path: KernelPath, lowest: f64, limits: [f64; 2]) {
        // The thresholds are far enough from the potentials that no difference loses digits.
        let further = [
            Activation::power(1.0, 0.5, -1000.0),
            Activation::power(2.0, 0.04, -1000.0),
            Activation::power(2.2, 0.04, -1000.0),
            Activation::power(3.0, 0.5, 0.0),
            Activation::LeakyRelu(Leak { slope: 0.25 }),
            Activation::ClippedRelu(Ceiling { maximum: 2.5 }),
        ];
        for activation in Activation::ALL.into_iter().chain(further) {
            for k in 0..2000 {
                let potentials: [E; GROUP] = std::array::from_fn(|lane| {
                    let fine = f64::from(k * GROUP as i32 + lane as i32 + 1) / 32000.0;
                    E::from_f64([lowest * fine, 20.0 * fine, 0.5 - fine, -1e-6 * fine][lane % 4])
                });
                let job = Evaluate {
                    activation,
                    potentials,
                };
                let [rates, slopes] = E::dispatch(path, job);
                for ((v, rate), slope) in potentials.into_iter().zip(rates).zip(slopes) {
                    let (v, rate, slope): (f64, f64, f64) = (v.into(), rate.into(), slope.into());
                    let [r, s] = [activation.value(v), activation.slope(v)];
                    let scale = match activation {
                        Activation::Cubic => s.max(slope),
                        _ => 1.0 / s.abs().max(1.0),
                    };
                    let errors = [
                        (rate - r).abs() / r.abs().max(f64::MIN_POSITIVE),
                        (slope - s).abs() * scale,
                    ];
                    assert!(
                        errors[0] < limits[0] && errors[1] < limits[1],
                        "{activation:?} on {path} at {v}: {rate} for {r}, slope {slope} for {s}"
                    );
                }
            }
        }
    }

    struct Logarithms<E>([E; GROUP]);

    impl<E: Element> Job<E> for Logarithms<E> {
        type Output = [E; GROUP];

        #[inline(always)]
        fn run<S: Simd<Elem = E>>(self) -> [E; GROUP] {
            let mut found = [E::default(); GROUP];
            for lane in (0..GROUP).step_by(S::LANES) {
                log(S::load(&self.0, lane)).store(&mut found, lane);
            }
            found
        }
    }

    fn logarithms_are_near<E: Element>(path: KernelPath, limit: f64) {
        for k in 0..1000 {
            let numbers = std::array::from_fn(|lane| {
                E::from_f64(1e-12 * 1.002_f64.powi(k * GROUP as i32 + lane as i32))
            });
            let found = E::dispatch(path, Logarithms(numbers));
            for (x, found) in numbers.into_iter().zip(found) {
                let (x, found): (f64, f64) = (x.into(), found.into());
                let error = (found - x.ln()).abs() / x.ln().abs().max(1.0);
                assert!(error < limit, "{found} for the logarithm of {x} on {path}");
            }
        }
    }

    #[test]
    fn logarithms_agree_with_the_library() {
        for path in KernelPath::available() {
            logarithms_are_near::<f32>(path, 4e-7);
            logarithms_are_near::<f64>(path, 1e-15);
        }
    }

    #[test]
    fn vectors_agree_with_the_scalar_form() {
        for path in KernelPath::available() {
            agrees_with_the_enum::<f32>(path, -86.0, [4e-7, 1e-6]);
            agrees_with_the_enum::<f64>(path, -700.0, [1e-15, 4e-15]);
        }
    }
}
