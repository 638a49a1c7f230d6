//! The table `model.init`: distributions, balance and spectral radius of the initial weights.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::connectivity::Matrix;
use crate::{InputPath, words};

/// Distributions of the initial weight matrices, and the spectral radius of the effective recurrent matrix.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WeightInits {
    /// Distribution of `W_in` (fan-in F = number of inputs). `gaussian`: standard deviation 1 / sqrt(F);
    /// `uniform`: within 1 / sqrt(F) of zero; `gamma` (shape 2, Song et al. 2016) and `lognormal` (sigma 1): magnitudes with mean
    /// square 1 / F, of either sign where no rule gives one; `orthogonal`: orthonormal rows or columns, whichever are
    /// fewer; `diagonal`: 1 on the diagonal; `zero`. Masks and signs act on what is drawn; F is then the mean number of
    /// connections onto a unit.
    pub input: WeightInit,
    /// Distribution of `W_rc` (fan-in F = N); the words are those of `input`.
    pub recurrent: WeightInit,
    /// Distribution of `W_out` (fan-in F = N); the words are those of `input`.
    pub output: WeightInit,
    /// Scales the inhibitory weights of `W_rc` so that they cancel the excitatory ones, before `spectral_radius`; needs
    /// `model.dale`. `row`: onto each unit (Song et al. 2016); a unit that receives only one kind stays as drawn. `total`: over the
    /// whole matrix (nn4n). `none`: nowhere. Absent: `row` under Dale's law, where random weights onto some unit can have both
    /// signs; else `none`.
    #[schemars(with = "Balance")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance: Option<Balance>,
    /// Scales `W_rc`, as it acts under masks and signs, to this largest modulus of an eigenvalue. Fixed weights are not
    /// scaled: the others are, until the whole fits. `"natural"`: as drawn and balanced, without constraints about 1 for
    /// `gaussian` and `orthogonal`, about 0.58 for `uniform`. Absent: `natural`; but under Dale's law, where `balance` is absent
    /// too, 1, so that neither rates nor gradients grow with the length of a trial (Song et al. 2016 take 1.5, PsychRNN 1.1), and
    /// 0.2 for `activation = "power"`, whose slope grows with the rate. With fixed weights, without a loop of connections, and
    /// above 1024 units, where finding it takes minutes, it stays `natural`.
    #[schemars(with = "SpectralRadius")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spectral_radius: Option<SpectralRadius>,
    /// A weight file (npz or safetensors) to start from, relative to this file. What it lacks is drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<InputPath>,
}

impl WeightInits {
    /// Returns the distribution of a matrix.
    pub const fn of(&self, matrix: Matrix) -> WeightInit {
        match matrix {
            Matrix::Input => self.input,
            Matrix::Recurrent => self.recurrent,
            Matrix::Output => self.output,
        }
    }
}

/// Scale of the initial recurrent weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SpectralRadius {
    /// Scale of the distribution that the weights are drawn from.
    Natural,
    /// Spectral radius to scale to: the largest modulus of an eigenvalue.
    Of(f64),
}

impl SpectralRadius {
    /// Word for [`SpectralRadius::Natural`] in configurations.
    const NATURAL: &str = "natural";

    /// Returns the radius to scale to; `None` for the natural scale.
    pub const fn asked(self) -> Option<f64> {
        match self {
            Self::Natural => None,
            Self::Of(radius) => Some(radius),
        }
    }
}

impl From<f64> for SpectralRadius {
    fn from(radius: f64) -> Self {
        Self::Of(radius)
    }
}

impl Serialize for SpectralRadius {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Natural => serializer.serialize_str(Self::NATURAL),
            Self::Of(radius) => serializer.serialize_f64(*radius),
        }
    }
}

impl<'de> Deserialize<'de> for SpectralRadius {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(f64),
            Word(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(radius) => Ok(Self::Of(radius)),
            Written::Word(word) if word == Self::NATURAL => Ok(Self::Natural),
            Written::Word(word) => Err(serde::de::Error::unknown_variant(&word, &[Self::NATURAL])),
        }
    }
}

impl JsonSchema for SpectralRadius {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SpectralRadius".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "number", "exclusiveMinimum": 0 },
            { "type": "string", "title": "spectral radius", "enum": [Self::NATURAL] },
        ] })
    }
}

words! {
    /// Scaling of the inhibitory weights of `W_rc` so that they cancel the excitatory ones. Fixed weights
    /// count and stay.
    #[derive(Default)]
    pub enum Balance: "balance" {
        /// Nowhere.
        #[default]
        None = "none",
        /// In each row: the weights onto every unit sum to zero (Song et al. 2016). A row without inhibition or without
        /// excitation stays as drawn.
        Row = "row",
        /// In the whole matrix: all weights together sum to zero (nn4n).
        Total = "total",
    }
}

words! {
    /// A distribution of initial weights. F is the fan-in: the number of presynaptic units, or of connections per
    /// postsynaptic unit where a mask leaves fewer. Under Dale's law the magnitude is what is drawn.
    #[derive(Default)]
    pub enum WeightInit: "distribution of weights" {
        /// Normal with standard deviation `1 / sqrt(F)`.
        #[default]
        Gaussian = "gaussian",
        /// Uniform in `[-1/sqrt(F), 1/sqrt(F))`.
        Uniform = "uniform",
        /// Magnitude from the gamma distribution of shape 2 with mean square `1 / F` (Song et al. 2016); without Dale's law
        /// either sign is equally likely.
        Gamma = "gamma",
        /// Magnitude `exp(n - 1) / sqrt(F)` with n standard normal, mean square `1 / F`; signs as for `gamma`.
        Lognormal = "lognormal",
        /// Orthonormal rows or columns, whichever are fewer; uniform over such matrices. Mask and signs act afterwards.
        Orthogonal = "orthogonal",
        /// 1 on the diagonal, else zero (Yang et al. 2019, with spectral radius 0.5).
        Diagonal = "diagonal",
        /// All zero.
        Zero = "zero",
    }
}
