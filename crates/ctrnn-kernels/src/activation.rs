//! Activations: the firing rate as a function of the potential, and its derivative.

/// Activation function: the firing rate as a function of the potential, `r = f(v)`.
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

    /// Returns the name used in configurations and files.
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

    /// Returns the activation called `name`, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.name() == name)
    }

    /// Returns the bounds of the rates.
    pub const fn range(self) -> [f64; 2] {
        match self {
            Self::Relu | Self::Softplus | Self::Power => [0.0, f64::INFINITY],
            Self::Sigmoid | Self::Retanh => [0.0, 1.0],
            Self::Tanh => [-1.0, 1.0],
            Self::Linear => [f64::NEG_INFINITY, f64::INFINITY],
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
            Self::Power => positive_part(v).powi(2),
            Self::Linear => v,
        }
    }

    /// Returns the slope `f'(v)` exactly; zero at a kink.
    #[must_use]
    pub fn slope(self, v: f64) -> f64 {
        let is_positive = f64::from(v > 0.0);
        match self {
            Self::Relu => is_positive,
            Self::Tanh => v.cosh().powi(-2),
            Self::Sigmoid => sigmoid(v) * sigmoid(-v),
            Self::Retanh => is_positive * v.cosh().powi(-2),
            Self::Softplus => sigmoid(v),
            Self::Power => 2.0 * positive_part(v),
            Self::Linear => 1.0,
        }
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

    /// Far out on both sides the rates come close to their bounds, and never beyond.
    #[test]
    fn rates_fill_their_range() {
        for activation in Activation::ALL {
            let [low, high] = activation.range();
            let rates = (-400..=400).map(|k| activation.value(0.1 * f64::from(k)));
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
        for activation in Activation::ALL {
            for v in [-20.0, -3.0, -0.7, -0.01, 0.01, 0.2, 1.0, 4.0, 20.0] {
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
    fn a_kink_has_slope_zero_and_nan_stays() {
        for activation in [Activation::Relu, Activation::Retanh, Activation::Power] {
            assert_eq!(activation.slope(0.0), 0.0, "{activation:?}");
        }
        for activation in Activation::ALL {
            assert!(activation.value(f64::NAN).is_nan(), "{activation:?}");
        }
    }
}
