//! The table `model.init`: distributions, balance and spectral radius of the initial weights.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::connectivity::Matrix;
use crate::word_or_table::{self, Worded};
use crate::{InputPath, words};

/// Distributions of the initial weight matrices, and the spectral radius of the effective recurrent matrix.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WeightInits {
    /// Distribution of `W_in` (fan-in F = number of inputs). `gaussian`: standard deviation 1 / sqrt(F);
    /// `uniform`: within 1 / sqrt(F) of zero; `gamma` (shape 2, Song et al. 2016) and `lognormal` (sigma 1): magnitudes with mean
    /// square 1 / F, of either sign where no rule gives one; `orthogonal`: orthonormal rows or columns, whichever are
    /// fewer; `diagonal`: 1 on the diagonal; `zero`. Masks and signs act on what is drawn; F is then the mean number of
    /// connections onto a unit. A table gives the parameters, `gain` (the factor of this scale) or others:
    /// `{ name = "gaussian", gain = 1.5 }` or `std`, `mean`; `{ name = "uniform", low = 0, high = 0.1 }`;
    /// `{ name = "gamma", shape = 2, scale = 0.05 }`; `{ name = "lognormal", sigma = 1, mu = -4 }`.
    #[serde(with = "word_or_table")]
    #[schemars(schema_with = "word_or_table::schema::<WeightInit>")]
    pub input: WeightInit,
    /// Distribution of `W_rc` (fan-in F = N); words and tables are those of `input`.
    #[serde(with = "word_or_table")]
    #[schemars(schema_with = "word_or_table::schema::<WeightInit>")]
    pub recurrent: WeightInit,
    /// Distribution of `W_out` (fan-in F = N); words and tables are those of `input`.
    #[serde(with = "word_or_table")]
    #[schemars(schema_with = "word_or_table::schema::<WeightInit>")]
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
    /// 0.2 for `activation = "power"`, whose slope grows with the rate. With fixed weights, without a loop of connections, with a
    /// scale that `recurrent` gives, and above 1024 units, where finding it takes minutes, it stays `natural`.
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

/// A distribution of initial weights. F is the fan-in: the number of presynaptic units, or of connections per postsynaptic
/// unit where a mask leaves fewer. Under Dale's law the magnitude is what is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum WeightInit {
    /// Normal distribution.
    Gaussian(Gaussian),
    /// Uniform distribution.
    Uniform(Uniform),
    /// Magnitude from a gamma distribution (Song et al. 2016); without Dale's law either sign is equally likely.
    Gamma(Gamma),
    /// Magnitude from a lognormal distribution; signs as for `gamma`.
    Lognormal(Lognormal),
    /// Orthonormal rows or columns, whichever are fewer, times `gain`; uniform over such matrices. Mask and signs act afterwards.
    Orthogonal(Gain),
    /// `gain` on the diagonal, else zero (Yang et al. 2019 take 0.5).
    Diagonal(Gain),
    /// All zero.
    Zero,
}

impl Default for WeightInit {
    fn default() -> Self {
        Self::GAUSSIAN
    }
}

/// Normal weights with standard deviation `gain / sqrt(F)`, or `std`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Gaussian {
    /// Factor of the natural scale `1 / sqrt(F)`.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub gain: f64,
    /// Mean.
    pub mean: f64,
    /// Standard deviation, in place of `gain / sqrt(F)`.
    #[schemars(with = "f64", extend("exclusiveMinimum" = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub std: Option<f64>,
}

/// Uniform weights within `gain / sqrt(F)` of zero, or between `low` and `high`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Uniform {
    /// Factor of the natural bound `1 / sqrt(F)`.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub gain: f64,
    /// Lower bound, with `high` in place of `gain`.
    #[schemars(with = "f64")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Upper bound.
    #[schemars(with = "f64")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
}

/// Magnitudes from a gamma distribution whose mean square is `gain^2 / F`, or with `scale`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Gamma {
    /// Factor of the natural scale `1 / sqrt(F)`.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub gain: f64,
    /// Shape parameter k: 2 in Song et al. (2016). The mean is `k scale`, the variance `k scale^2`.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub shape: f64,
    /// Scale parameter, in place of `gain`.
    #[schemars(with = "f64", extend("exclusiveMinimum" = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
}

/// Magnitudes `exp(mu + sigma n)` with n standard normal and mean square `gain^2 / F`, or with `mu`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Lognormal {
    /// Factor of the natural scale `1 / sqrt(F)`.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub gain: f64,
    /// Standard deviation of the logarithm.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub sigma: f64,
    /// Mean of the logarithm, in place of `gain`.
    #[schemars(with = "f64")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mu: Option<f64>,
}

/// A matrix of a natural scale, times a factor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Gain {
    /// Factor of the matrix.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub gain: f64,
}

impl Default for Gaussian {
    fn default() -> Self {
        WeightInit::NORMAL
    }
}

impl Default for Uniform {
    fn default() -> Self {
        WeightInit::WITHIN
    }
}

impl Default for Gamma {
    fn default() -> Self {
        WeightInit::SHAPED
    }
}

impl Default for Lognormal {
    fn default() -> Self {
        WeightInit::LOGARITHMIC
    }
}

impl Default for Gain {
    fn default() -> Self {
        Self { gain: 1.0 }
    }
}

impl WeightInit {
    const NORMAL: Gaussian = Gaussian {
        gain: 1.0,
        mean: 0.0,
        std: None,
    };
    const WITHIN: Uniform = Uniform {
        gain: 1.0,
        low: None,
        high: None,
    };
    const SHAPED: Gamma = Gamma {
        gain: 1.0,
        shape: 2.0,
        scale: None,
    };
    const LOGARITHMIC: Lognormal = Lognormal {
        gain: 1.0,
        sigma: 1.0,
        mu: None,
    };
    /// Normal weights of the natural scale.
    pub const GAUSSIAN: Self = Self::Gaussian(Self::NORMAL);
    /// Uniform weights of the natural scale.
    pub const UNIFORM: Self = Self::Uniform(Self::WITHIN);
    /// Gamma distribution of shape 2 and the natural scale.
    pub const GAMMA: Self = Self::Gamma(Self::SHAPED);
    /// Lognormal distribution with sigma 1 and the natural scale.
    pub const LOGNORMAL: Self = Self::Lognormal(Self::LOGARITHMIC);
    /// Orthonormal rows or columns.
    pub const ORTHOGONAL: Self = Self::Orthogonal(Gain { gain: 1.0 });
    /// One on the diagonal.
    pub const DIAGONAL: Self = Self::Diagonal(Gain { gain: 1.0 });

    /// Every kind with its usual parameters, in the order in which the documentation lists them.
    pub const ALL: [Self; 7] = [
        Self::GAUSSIAN,
        Self::UNIFORM,
        Self::GAMMA,
        Self::LOGNORMAL,
        Self::ORTHOGONAL,
        Self::DIAGONAL,
        Self::Zero,
    ];

    /// Returns the word used in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gaussian(_) => "gaussian",
            Self::Uniform(_) => "uniform",
            Self::Gamma(_) => "gamma",
            Self::Lognormal(_) => "lognormal",
            Self::Orthogonal(_) => "orthogonal",
            Self::Diagonal(_) => "diagonal",
            Self::Zero => "zero",
        }
    }

    /// Returns the factor of the natural scale.
    pub const fn gain(self) -> f64 {
        match self {
            Self::Gaussian(Gaussian { gain, .. })
            | Self::Uniform(Uniform { gain, .. })
            | Self::Gamma(Gamma { gain, .. })
            | Self::Lognormal(Lognormal { gain, .. })
            | Self::Orthogonal(Gain { gain })
            | Self::Diagonal(Gain { gain }) => gain,
            Self::Zero => 1.0,
        }
    }

    /// Returns true if the scale of the weights is not the natural one.
    pub const fn has_own_scale(self) -> bool {
        let is_absolute = match self {
            Self::Gaussian(law) => law.std.is_some() || law.mean != 0.0,
            Self::Uniform(law) => law.low.is_some() || law.high.is_some(),
            Self::Gamma(law) => law.scale.is_some(),
            Self::Lognormal(law) => law.mu.is_some(),
            Self::Orthogonal(_) | Self::Diagonal(_) | Self::Zero => false,
        };
        is_absolute || self.gain() != 1.0
    }

    /// Returns the first rule that the parameters break, with the key and the value that break it.
    pub(crate) fn broken(self) -> Option<(&'static str, f64, &'static str)> {
        let positive = |key, x: f64| {
            (!(x > 0.0 && x.is_finite())).then_some((key, x, "must be a finite number above 0"))
        };
        let finite = |key, x: f64| (!x.is_finite()).then_some((key, x, "must be a finite number"));
        let instead = |key, absolute: Option<f64>| {
            let x = absolute.filter(|_| self.gain() != 1.0)?;
            Some((
                key,
                x,
                "sets the scale, and so does gain: keep one of the two",
            ))
        };
        let gain = positive("gain", self.gain());
        gain.or_else(|| match self {
            Self::Gaussian(law) => finite("mean", law.mean)
                .or_else(|| positive("std", law.std?))
                .or_else(|| instead("std", law.std)),
            Self::Uniform(Uniform { low, high, .. }) => match (low, high) {
                (None, None) => None,
                (Some(low), Some(high)) => finite("low", low)
                    .or_else(|| finite("high", high))
                    .or_else(|| (low >= high).then_some(("low", low, "must be below high")))
                    .or_else(|| instead("low", Some(low))),
                (Some(low), None) => Some(("low", low, "needs high, too")),
                (None, Some(high)) => Some(("high", high, "needs low, too")),
            },
            Self::Gamma(law) => positive("shape", law.shape)
                .or_else(|| positive("scale", law.scale?))
                .or_else(|| instead("scale", law.scale)),
            Self::Lognormal(law) => positive("sigma", law.sigma)
                .or_else(|| finite("mu", law.mu?))
                .or_else(|| instead("mu", law.mu)),
            Self::Orthogonal(_) | Self::Diagonal(_) | Self::Zero => None,
        })
    }
}

impl std::fmt::Display for WeightInit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Worded for WeightInit {
    const TITLE: &'static str = "distribution of weights";

    fn all() -> &'static [Self] {
        &Self::ALL
    }

    fn word(&self) -> &'static str {
        self.name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_distributions_are_words_and_others_tables() {
        let written = |init: WeightInit| {
            let inits = WeightInits {
                input: init,
                ..WeightInits::default()
            };
            let value = serde_json::to_value(&inits).unwrap();
            let again: WeightInits = serde_json::from_value(value.clone()).unwrap();
            assert_eq!(again, inits);
            value["input"].clone()
        };
        for init in WeightInit::ALL {
            assert_eq!(written(init), init.name());
        }
        let uniform = Uniform {
            low: Some(0.0),
            high: Some(0.1),
            ..Uniform::default()
        };
        let expected =
            serde_json::json!({ "name": "uniform", "gain": 1.0, "low": 0.0, "high": 0.1 });
        assert_eq!(written(WeightInit::Uniform(uniform)), expected);
        let read = |text: &str| serde_json::from_str::<WeightInits>(text);
        let half = read("{\"recurrent\": {\"name\": \"diagonal\", \"gain\": 0.5}}").unwrap();
        assert_eq!(half.recurrent, WeightInit::Diagonal(Gain { gain: 0.5 }));
        assert!(read("{\"recurrent\": {\"name\": \"diagonal\", \"std\": 0.5}}").is_err());
        let error = read("{\"recurrent\": \"normal\"}").unwrap_err().to_string();
        assert!(
            error.contains("\"normal\" is not a distribution of weights: gaussian,"),
            "{error}"
        );
    }

    #[test]
    fn parameters_that_no_distribution_has_are_refused() {
        let uniform = |low, high| Uniform {
            gain: 1.0,
            low,
            high,
        };
        let std = |gain, std| Gaussian {
            gain,
            mean: 0.0,
            std: Some(std),
        };
        for (init, expected) in [
            (WeightInit::Gaussian(std(1.0, 0.0)), ("std", "above 0")),
            (
                WeightInit::Gaussian(std(2.0, 0.5)),
                ("std", "keep one of the two"),
            ),
            (
                WeightInit::Uniform(uniform(Some(0.0), None)),
                ("low", "needs high"),
            ),
            (
                WeightInit::Uniform(uniform(Some(1.0), Some(0.0))),
                ("low", "below high"),
            ),
            (
                WeightInit::Diagonal(Gain { gain: f64::NAN }),
                ("gain", "above 0"),
            ),
        ] {
            let (key, _, rule) = init.broken().unwrap();
            assert!(
                key == expected.0 && rule.contains(expected.1),
                "{init:?}: {key} {rule}"
            );
        }
        for init in WeightInit::ALL {
            assert_eq!(init.broken(), None);
            assert!(!init.has_own_scale());
        }
    }
}
