//! The activations: firing rate as a function of potential, and its derivative.
//!
//! Exponentials and logarithms are polynomials (`scripts/minimax.py`), so that every path computes a whole vector at once. The
//! derivative is taken from the rate itself, so that potentials need not be kept.

use crate::simd::{Simd, each_vector, groups, groups_mut};

/// Evaluates `$body` with `$a` bound to the activation as a constant, so that the compiler makes a loop for each.
macro_rules! for_activation {
    ($activation:expr, $a:ident => $body:expr) => {
        match $activation {
            $crate::Activation::Relu => $crate::activation::for_activation!(@ $a, Relu, $body),
            $crate::Activation::Tanh => $crate::activation::for_activation!(@ $a, Tanh, $body),
            $crate::Activation::Sigmoid => $crate::activation::for_activation!(@ $a, Sigmoid, $body),
            $crate::Activation::Retanh => $crate::activation::for_activation!(@ $a, Retanh, $body),
            $crate::Activation::Softplus => $crate::activation::for_activation!(@ $a, Softplus, $body),
            $crate::Activation::Power => $crate::activation::for_activation!(@ $a, Power, $body),
            $crate::Activation::Linear => $crate::activation::for_activation!(@ $a, Linear, $body),
        }
    };
    (@ $a:ident, $variant:ident, $body:expr) => {{
        let $a = $crate::Activation::$variant;
        $body
    }};
}
pub(crate) use for_activation;

/// How a potential becomes a firing rate, `r = f(v)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// `max(v, 0)`
    Relu,
    /// `tanh(v)`
    Tanh,
    /// `1 / (1 + exp(-v))`
    Sigmoid,
    /// `max(tanh(v), 0)`
    Retanh,
    /// `ln(1 + exp(v))`
    Softplus,
    /// `max(v, 0)^2`
    Power,
    /// `v`
    Linear,
}

impl Activation {
    /// Every activation, in the order in which the documentation lists them.
    pub const ALL: [Self; 7] = [
        Self::Relu,
        Self::Tanh,
        Self::Sigmoid,
        Self::Retanh,
        Self::Softplus,
        Self::Power,
        Self::Linear,
    ];

    /// The name used in configurations and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::Retanh => "retanh",
            Self::Softplus => "softplus",
            Self::Power => "power",
            Self::Linear => "linear",
        }
    }

    /// The activation called `name`, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.name() == name)
    }

    /// Whether every rate is at least zero, as Dale's law needs.
    pub const fn is_nonnegative(self) -> bool {
        !matches!(self, Self::Tanh | Self::Linear)
    }

    /// `r = f(v)` for a padded row.
    #[inline(always)]
    pub(crate) fn rates<S: Simd>(self, v: &[S::Elem], r: &mut [S::Elem]) {
        let (v, r) = (groups(v), groups_mut(r));
        for_activation!(self, f => each_vector!(S, r.len(), |g, lane| {
            f.value(S::load(&v[g], lane)).store(&mut r[g], lane);
        }));
    }

    /// `f(v)`.
    #[inline(always)]
    pub(crate) fn value<S: Simd>(self, v: S) -> S {
        let zero = S::splat(S::Elem::default());
        match self {
            Self::Relu => v.at_least(zero),
            Self::Tanh => tanh(v),
            Self::Sigmoid => sigmoid(v),
            Self::Retanh => tanh(v.at_least(zero)),
            Self::Softplus => softplus(v),
            Self::Power => {
                let v = v.at_least(zero);
                v * v
            }
            Self::Linear => v,
        }
    }

    /// `f'(v)` as a function of `r = f(v)`.
    #[inline(always)]
    pub(crate) fn slope<S: Simd>(self, r: S) -> S {
        let (zero, one) = (S::splat(S::Elem::default()), S::splat(S::Elem::from(1.0)));
        match self {
            Self::Relu => r.positive_or(one, zero),
            Self::Tanh => one - r * r,
            Self::Sigmoid => r - r * r,
            Self::Retanh => r.positive_or(one - r * r, zero),
            Self::Softplus => -expm1_of_negative(-r),
            Self::Power => S::splat(S::Elem::from(2.0)) * r.sqrt(),
            Self::Linear => one,
        }
    }
}

/// The numbers in the polynomials of an element type, from `scripts/minimax.py`; lowest power first.
pub trait Coefficients: Sized + 'static {
    /// `expm1(x) / x` for |x| <= ln(2) / 2; relative error 2.2e-8 (`f32`), 2.1e-17 (`f64`).
    const EXPM1: &[Self];
    /// `log1p(x) / x` on [0, 1]; relative error 3.3e-8 (`f32`), 6.9e-17 (`f64`).
    const LOG1P: &[Self];
    /// `ln 2` as a sum; the first times an exponent is exact.
    const LN_2: [Self; 2];
    /// `1 / ln 2`
    const LOG2_E: Self;
    /// Exponentials of less than this stay at its value: `2^n` would leave the normal numbers.
    const LOWEST: Self;
}

impl Coefficients for f32 {
    const EXPM1: &[Self] = &[
        1.0,
        0.49999997,
        0.16666506,
        0.041667137,
        0.008369138,
        0.0013888873,
    ];
    const LOG1P: &[Self] = &[
        1.0,
        -0.49999902,
        0.33329964,
        -0.24954134,
        0.19675939,
        -0.15305592,
        0.10603655,
        -0.056959536,
        0.019851463,
        -0.0032440252,
    ];
    const LN_2: [Self; 2] = [0.69314575, 1.4286068e-06];
    const LOG2_E: Self = std::f32::consts::LOG2_E;
    const LOWEST: Self = -87.0;
}

impl Coefficients for f64 {
    const EXPM1: &[Self] = &[
        1.0,
        0.5000000000000006,
        0.16666666666666563,
        0.041666666666573184,
        0.008333333333398339,
        0.0013888888932513334,
        0.00019841269706683253,
        2.480150427886698e-05,
        2.755741516183068e-06,
        2.762639748609094e-07,
        2.505209702084636e-08,
    ];
    const LOG1P: &[Self] = &[
        1.0,
        -0.49999999999999856,
        0.3333333333330922,
        -0.24999999998422934,
        0.19999999945157382,
        -0.166666654932892,
        0.14285697425289962,
        -0.1249982758978879,
        0.11109804396423349,
        -0.09992437787582865,
        0.09056731801586654,
        -0.08210573036828511,
        0.07336860897458403,
        -0.06302992276783259,
        0.05028096325265341,
        -0.03575837034650723,
        0.021708305558940672,
        -0.010744093757739133,
        0.00410992428070609,
        -0.0011299546226542986,
        0.0001975085371433686,
        -1.6418507893122393e-05,
    ];
    const LN_2: [Self; 2] = [0.6931471805598903, 5.497923018708371e-14];
    const LOG2_E: Self = std::f64::consts::LOG2_E;
    const LOWEST: Self = -708.0;
}

/// Horner's scheme.
#[inline(always)]
fn polynomial<S: Simd>(coefficients: &'static [S::Elem], x: S) -> S {
    let (last, lower) = coefficients.split_last().expect("constants are not empty");
    let mut sum = S::splat(*last);
    for &c in lower.iter().rev() {
        sum = sum.mul_add(x, S::splat(c));
    }
    sum
}

/// `x <= 0` as `n ln 2 + rest`: returns `2^n` and `expm1(rest)`.
#[inline(always)]
fn reduced<S: Simd>(x: S) -> (S, S) {
    let x = x.at_least(S::splat(S::Elem::LOWEST));
    let n = (x * S::splat(S::Elem::LOG2_E)).round();
    let [high, low] = S::Elem::LN_2;
    let rest = n.mul_add(S::splat(-low), n.mul_add(S::splat(-high), x));
    (n.exp2(), rest * polynomial(S::Elem::EXPM1, rest))
}

/// `exp(x)` for `x <= 0`.
#[inline(always)]
fn exp_of_negative<S: Simd>(x: S) -> S {
    let (scale, fraction) = reduced(x);
    scale.mul_add(fraction, scale)
}

/// `exp(x) - 1` for `x <= 0`, with its full relative accuracy near 0.
#[inline(always)]
fn expm1_of_negative<S: Simd>(x: S) -> S {
    let (scale, fraction) = reduced(x);
    scale.mul_add(fraction, scale - S::splat(S::Elem::from(1.0)))
}

/// `tanh |x| = -e / (2 + e)` with `e = expm1(-2 |x|)`.
#[inline(always)]
fn tanh<S: Simd>(x: S) -> S {
    let two = S::splat(S::Elem::from(2.0));
    let e = expm1_of_negative(-(two * x.abs()));
    let t = e / (two + e);
    x.positive_or(-t, t)
}

/// `1 / (1 + z)` for positive `x` and `z / (1 + z)` for others, `z = exp(-|x|)`.
#[inline(always)]
fn sigmoid<S: Simd>(x: S) -> S {
    let one = S::splat(S::Elem::from(1.0));
    let z = exp_of_negative(-x.abs());
    x.positive_or(one, z) / (one + z)
}

/// `max(x, 0) + log1p(exp(-|x|))`
#[inline(always)]
fn softplus<S: Simd>(x: S) -> S {
    let z = exp_of_negative(-x.abs());
    z.mul_add(
        polynomial(S::Elem::LOG1P, z),
        x.at_least(S::splat(S::Elem::default())),
    )
}
