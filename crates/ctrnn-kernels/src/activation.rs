//! The activations: firing rate as a function of potential, and its derivative.

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
}
