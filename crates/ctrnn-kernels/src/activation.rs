//! Activations: the firing rate as a function of the potential, and its derivative.

use std::hash::{Hash, Hasher};

/// Activation function: the firing rate as a function of the potential, `r = f(v)`.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
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
    /// `gain max(v - threshold, 0)^exponent`
    Power(PowerLaw),
    /// `v`
    Linear,
    /// `v` above 0, `slope v` below
    LeakyRelu(Leak),
    /// `min(max(v, 0), maximum)`
    ClippedRelu(Ceiling),
    /// `v - v^3 / 3` for `v` in [-1, 1], and constant beyond, where the cubic has its extrema `-2/3` and `2/3`
    Cubic,
}

/// Parameters of [`Activation::Power`].
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PowerLaw {
    /// Exponent n, at least 1. Exponents other than 1 and 2 are computed number by number.
    pub exponent: f64,
    /// Gain k, above 0.
    pub gain: f64,
    /// Threshold.
    pub threshold: f64,
}

impl Default for PowerLaw {
    fn default() -> Self {
        Activation::SQUARE
    }
}

/// Parameter of [`Activation::LeakyRelu`].
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Leak {
    /// Slope below 0, at least 0.
    pub slope: f64,
}

impl Default for Leak {
    fn default() -> Self {
        Activation::LEAK
    }
}

/// Parameter of [`Activation::ClippedRelu`].
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ceiling {
    /// Largest rate, above 0.
    pub maximum: f64,
}

impl Default for Ceiling {
    fn default() -> Self {
        Activation::CEILING
    }
}

// Parameters are finite numbers, for which equality is an equivalence.
impl Eq for Activation {}

impl Hash for Activation {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
        for (_, value) in self.parameters() {
            (value + 0.0).to_bits().hash(state); // -0 equals 0
        }
    }
}

impl Activation {
    const SQUARE: PowerLaw = PowerLaw {
        exponent: 2.0,
        gain: 1.0,
        threshold: 0.0,
    };
    const LEAK: Leak = Leak { slope: 0.01 };
    const CEILING: Ceiling = Ceiling { maximum: 1.0 };
    /// `max(v, 0)^2`
    pub const POWER: Self = Self::Power(Self::SQUARE);
    /// `v` above 0, `0.01 v` below
    pub const LEAKY_RELU: Self = Self::LeakyRelu(Self::LEAK);
    /// `min(max(v, 0), 1)`
    pub const CLIPPED_RELU: Self = Self::ClippedRelu(Self::CEILING);

    /// Every kind with its usual parameters, in the order in which the documentation lists them.
    pub const ALL: [Self; 10] = [
        Self::Relu,
        Self::Tanh,
        Self::Sigmoid,
        Self::Retanh,
        Self::Softplus,
        Self::POWER,
        Self::Linear,
        Self::LEAKY_RELU,
        Self::CLIPPED_RELU,
        Self::Cubic,
    ];

    /// Returns the name used in configurations and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::Retanh => "retanh",
            Self::Softplus => "softplus",
            Self::Power(_) => "power",
            Self::Linear => "linear",
            Self::LeakyRelu(_) => "leaky_relu",
            Self::ClippedRelu(_) => "clipped_relu",
            Self::Cubic => "cubic",
        }
    }

    /// Returns the activation called `name` with its usual parameters, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.name() == name)
    }

    /// Returns the activation `gain max(v - threshold, 0)^exponent`.
    #[must_use]
    pub const fn power(exponent: f64, gain: f64, threshold: f64) -> Self {
        Self::Power(PowerLaw {
            exponent,
            gain,
            threshold,
        })
    }

    /// Returns the parameters by name.
    #[must_use]
    pub fn parameters(self) -> Vec<(&'static str, f64)> {
        match self {
            Self::Power(law) => vec![
                ("exponent", law.exponent),
                ("gain", law.gain),
                ("threshold", law.threshold),
            ],
            Self::LeakyRelu(leak) => vec![("slope", leak.slope)],
            Self::ClippedRelu(ceiling) => vec![("maximum", ceiling.maximum)],
            _ => Vec::new(),
        }
    }

    /// Returns the bounds of the rates.
    pub const fn range(self) -> [f64; 2] {
        match self {
            Self::Relu | Self::Softplus | Self::Power(_) => [0.0, f64::INFINITY],
            Self::Sigmoid | Self::Retanh => [0.0, 1.0],
            Self::Tanh => [-1.0, 1.0],
            Self::Linear | Self::LeakyRelu(_) => [f64::NEG_INFINITY, f64::INFINITY],
            Self::ClippedRelu(ceiling) => [0.0, ceiling.maximum],
            Self::Cubic => [-CUBIC_MAXIMUM, CUBIC_MAXIMUM],
        }
    }

    /// Returns true if no rate is negative, as Dale's law requires.
    pub const fn is_nonnegative(self) -> bool {
        self.range()[0] >= 0.0
    }

    /// Returns the rate `f(v)` exactly, to the rounding of the standard library: the reference for every other form of `f`.
    #[must_use]
    pub fn value(self, v: f64) -> f64 {
        match self {
            Self::Relu => positive_part(v),
            Self::Tanh => v.tanh(),
            Self::Sigmoid => sigmoid(v),
            Self::Retanh => positive_part(v).tanh(),
            Self::Softplus => positive_part(v) + (-v.abs()).exp().ln_1p(),
            Self::Power(law) => law.gain * power(positive_part(v - law.threshold), law.exponent),
            Self::Linear => v,
            Self::LeakyRelu(leak) => {
                if v < 0.0 {
                    leak.slope * v
                } else {
                    v
                }
            }
            Self::ClippedRelu(ceiling) => {
                if v > ceiling.maximum {
                    ceiling.maximum
                } else {
                    positive_part(v)
                }
            }
            Self::Cubic => {
                let v = v.clamp(-1.0, 1.0);
                v * (1.0 - v * v * THIRD)
            }
        }
    }

    /// Returns the slope `f'(v)` exactly; at a kink that of the side where the rate is constant or leaks.
    #[must_use]
    pub fn slope(self, v: f64) -> f64 {
        let is_positive = f64::from(v > 0.0);
        match self {
            Self::Relu => is_positive,
            Self::Tanh => v.cosh().powi(-2),
            Self::Sigmoid => sigmoid(v) * sigmoid(-v),
            Self::Retanh => is_positive * v.cosh().powi(-2),
            Self::Softplus => sigmoid(v),
            Self::Power(law) => {
                let above = positive_part(v - law.threshold);
                let slope = law.gain * law.exponent * power(above, law.exponent - 1.0);
                f64::from(above > 0.0) * slope
            }
            Self::Linear => 1.0,
            Self::LeakyRelu(leak) => {
                if v > 0.0 {
                    1.0
                } else {
                    leak.slope
                }
            }
            Self::ClippedRelu(ceiling) => f64::from(v > 0.0 && v < ceiling.maximum),
            Self::Cubic => {
                let v = v.clamp(-1.0, 1.0);
                1.0 - v * v
            }
        }
    }
}

/// A third, the coefficient of [`Activation::Cubic`], and its largest rate as that is computed.
pub(crate) const THIRD: f64 = 1.0 / 3.0;
const CUBIC_MAXIMUM: f64 = 1.0 - THIRD;

/// Returns `x^exponent` for `x >= 0`; NaN for NaN.
fn power(x: f64, exponent: f64) -> f64 {
    match exponent {
        1.0 => x,
        2.0 => x * x,
        _ => x.powf(exponent),
    }
}

/// Returns the larger of `v` and 0, but NaN for NaN, unlike [`f64::max`].
fn positive_part(v: f64) -> f64 {
    if v < 0.0 { 0.0 } else { v }
}

fn sigmoid(v: f64) -> f64 {
    1.0 / (1.0 + (-v).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Activations with other parameters than the usual ones.
    fn with_parameters() -> [Activation; 5] {
        [
            Activation::power(1.0, 0.5, 0.25),
            Activation::power(2.0, 0.04, -0.5),
            Activation::power(3.0, 0.125, 0.5),
            Activation::LeakyRelu(Leak { slope: 0.25 }),
            Activation::ClippedRelu(Ceiling { maximum: 2.5 }),
        ]
    }

    /// Far out on both sides the rates come close to their bounds, and never beyond.
    #[test]
    fn rates_fill_their_range() {
        for activation in Activation::ALL.into_iter().chain(with_parameters()) {
            let [low, high] = activation.range();
            let rates = (-400..=400).map(|k| activation.value(5.0 * f64::from(k)));
            let (least, most) = rates.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), rate| {
                assert!((low..=high).contains(&rate), "{activation:?}: {rate}");
                (a.min(rate), b.max(rate))
            });
            let is_reached = |bound: f64, found: f64| {
                if bound.is_finite() {
                    (bound - found).abs() < 1e-9
                } else {
                    found.abs() > 10.0
                }
            };
            assert!(
                is_reached(low, least) && is_reached(high, most),
                "{activation:?}: {least} to {most}"
            );
        }
    }

    /// Central differences: error O(h^2) = 1e-10 times third derivatives of order 1, and rounding 1e-16 / h = 1e-11.
    #[test]
    fn slopes_are_central_differences() {
        const H: f64 = 1e-5;
        for activation in Activation::ALL.into_iter().chain(with_parameters()) {
            for v in [-20.0, -3.0, -0.7, -0.01, 0.01, 0.2, 1.1, 4.0, 20.0] {
                let difference = (activation.value(v + H) - activation.value(v - H)) / (2.0 * H);
                let slope = activation.slope(v);
                assert!(
                    (slope - difference).abs() < 1e-9 * slope.max(1.0),
                    "{activation:?} at {v}: {slope}, not {difference}"
                );
            }
        }
    }

    #[test]
    fn a_kink_has_the_slope_of_the_flat_side_and_nan_stays() {
        for activation in [
            Activation::Relu,
            Activation::Retanh,
            Activation::POWER,
            Activation::CLIPPED_RELU,
        ] {
            assert_eq!(activation.slope(0.0), 0.0, "{activation:?}");
        }
        assert_eq!(Activation::LEAKY_RELU.slope(0.0), 0.01);
        assert_eq!(Activation::CLIPPED_RELU.slope(1.0), 0.0);
        for activation in Activation::ALL.into_iter().chain(with_parameters()) {
            assert!(activation.value(f64::NAN).is_nan(), "{activation:?}");
        }
    }

    /// 0.5 (3 - 1)^2, 0.1 (-2), 1/2 - 1/24, and the largest rates.
    #[test]
    fn parameters_by_hand() {
        let power = Activation::power(2.0, 0.5, 1.0);
        assert_eq!([power.value(3.0), power.slope(3.0)], [2.0, 2.0]);
        let leaky = Activation::LeakyRelu(Leak { slope: 0.1 });
        assert_eq!([leaky.value(-2.0), leaky.value(2.0)], [-0.2, 2.0]);
        let cubic = Activation::Cubic;
        assert!((cubic.value(0.5) - 11.0 / 24.0).abs() < 1e-15);
        assert!((cubic.value(-7.0) + 2.0 / 3.0).abs() < 1e-15);
        assert_eq!([0.5, 1.0, -7.0].map(|v| cubic.slope(v)), [0.75, 0.0, 0.0]);
        let clipped = Activation::ClippedRelu(Ceiling { maximum: 0.5 });
        assert_eq!([-1.0, 0.2, 3.0].map(|v| clipped.value(v)), [0.0, 0.2, 0.5]);
    }
}
