//! Noise of a network: levels, conventions and covariances.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use ctrnn_kernels::{Form, NoiseTarget};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::parameters::{constant, host_tensor};
use crate::time_constants::Integrator;
use crate::{InputPath, words};

/// Noise levels of a network; `n` is standard normal per trial, unit and time step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NoiseLevels {
    /// `sigma` of the pre-activation noise `eps`, which the dynamics carry on; `convention` defines its scale. A number holds for
    /// all units, a list has one value for each. `{ covariance = [[..], ..] }` or `{ covariance = "FILE.npz" }` (the array
    /// `covariance [N,N]`) correlates the units: `L n` takes the place of `sigma n`, with `C = L L'`; its draws are made before the
    /// pass, which takes memory for one number per trial, time step and unit.
    pub preactivation: PreactivationNoise,
    /// `sigma_post` of the post-activation noise `xi = sigma_post n`, which the readout alone sees.
    #[schemars(range(min = 0))]
    pub postactivation: f64,
    /// `sigma_in` of the noise of each input at each time step: a standard deviation of `sigma_in` for `spec` and `raw`, of
    /// `sqrt(2 / alpha) sigma_in` for `song`, with `alpha = dt_ms / input_tau_ms`. 0.01 with `song` in Song et al. (2016). Tasks
    /// have input noise of their own, which files contain too; this one is part of the network, and validation and `eval` have it as training does
    /// (`validate.noise`).
    #[schemars(range(min = 0))]
    pub input: f64,
    /// Time constant in ms of the input noise under `convention = "song"`; 100 in Song et al. (2016).
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub input_tau_ms: f64,
    /// Standard deviation of the noise added to each unit's initial state (zero, given or learned), once per trial.
    #[schemars(range(min = 0))]
    pub initial_state: f64,
    /// Convention by which sigma becomes noise of a time step. `spec`: `eps = sigma n`, the potential receives `alpha sigma n`.
    /// `song` (Song et al. 2016, equation 3): `eps = sqrt(2 / alpha) sigma n`, the potential receives
    /// `sqrt(2 alpha) sigma n`, nearly independent of dt. `raw` (Valente et al. 2022): `sigma n` is added to the new state itself.
    /// Under the exponential integrator, with d = exp(-dt / tau), `song` gives the potential `sqrt(1 - d^2) sigma n`: without
    /// weights its standard deviation is sigma at every dt.
    pub convention: NoiseConvention,
}

impl Default for NoiseLevels {
    fn default() -> Self {
        Self {
            preactivation: PreactivationNoise::default(),
            postactivation: 0.0,
            input: 0.0,
            input_tau_ms: 100.0,
            initial_state: 0.0,
            convention: NoiseConvention::default(),
        }
    }
}

/// Size of the pre-activation noise. `eps = sigma n` in the convention `spec`; others scale it.
///
/// In files: a number, a list, or a table with the rows of a `covariance`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PreactivationNoise {
    /// One `sigma` for all units.
    Shared(f64),
    /// One `sigma` for each unit, `[N]`.
    PerUnit(Vec<f64>),
    /// A covariance `C [N,N]` between units: `L n` takes the place of `sigma n`, with `C = L L'`.
    ///
    /// The draws of a pass are made before it and multiplied by the triangular `L`, which takes memory for `T B N` numbers
    /// and at most `T B N^2` multiplications.
    Covariance {
        /// `C`, row by row.
        covariance: Vec<Vec<f64>>,
    },
    /// A covariance that has yet to be read from the array `covariance` of an npz file.
    CovarianceFile {
        /// The file.
        covariance: InputPath,
    },
}

impl NoiseLevels {
    /// Returns the levels times a factor; a covariance stays, since its factor `L` is part of the network.
    #[must_use]
    pub(crate) fn times(&self, factor: f64) -> Self {
        let preactivation = match &self.preactivation {
            PreactivationNoise::Shared(sigma) => PreactivationNoise::Shared(factor * sigma),
            PreactivationNoise::PerUnit(sigma) => {
                PreactivationNoise::PerUnit(sigma.iter().map(|sigma| factor * sigma).collect())
            }
            covariance => covariance.clone(),
        };
        Self {
            preactivation,
            postactivation: factor * self.postactivation,
            input: factor * self.input,
            initial_state: factor * self.initial_state,
            ..self.clone()
        }
    }
}

impl Default for PreactivationNoise {
    fn default() -> Self {
        Self::Shared(0.0)
    }
}

impl JsonSchema for PreactivationNoise {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PreactivationNoise".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let number = json_schema!({ "type": "number" });
        let level = json_schema!({ "type": "number", "minimum": 0 });
        let row = json_schema!({ "type": "array", "items": number });
        let covariance = json_schema!({
            "description": "The covariance between units, row by row, or an npz file with the array covariance [N,N].",
            "anyOf": [{ "type": "array", "items": row }, { "type": "string", "format": "path" }],
        });
        json_schema!({ "default": 0.0, "anyOf": [
            level,
            { "type": "array", "items": level },
            {
                "type": "object",
                "properties": { "covariance": covariance },
                "required": ["covariance"],
                "additionalProperties": false,
            },
        ] })
    }
}

impl From<f64> for PreactivationNoise {
    fn from(sigma: f64) -> Self {
        Self::Shared(sigma)
    }
}

words! {
    /// Convention by which `sigma` becomes noise of a time step, with `alpha = dt / tau`.
    ///
    /// | convention | `eps` | added to the potential |
    /// |---|---|---|
    /// | `spec` | `sigma n` | `alpha sigma n` |
    /// | `song` | `sqrt(2 / alpha) sigma n` | `sqrt(2 alpha) sigma n` |
    /// | `raw` | | `sigma n`, whatever dt and tau |
    ///
    /// Under the exponential integrator `1 - d` replaces alpha, with `d = exp(-dt / tau)`, and `song` is
    /// `eps = sqrt((1 + d) / (1 - d)) sigma n`, so that the potential receives `sqrt(1 - d^2) sigma n` and a unit without weights has
    /// the standard deviation sigma at every dt: the exact step of the process `tau dv = -v dt + sqrt(2 tau) sigma dW`, which
    /// Euler's `song` approaches as dt becomes small.
    ///
    /// # References
    /// Song, Yang and Wang (2016), equation 3, for `song`; Valente et al. (2022) for `raw`; Uhlenbeck and Ornstein (1930) for
    /// the exact step.
    #[derive(Default)]
    pub enum NoiseConvention: "noise convention" {
        /// `eps = sigma n`.
        #[default]
        Spec = "spec",
        /// Scaled so that the noise is nearly independent of `dt`.
        Song = "song",
        /// Added to the new state itself.
        Raw = "raw",
    }
}

impl NoiseConvention {
    /// Returns the place where the noise of a network in this form enters a sweep.
    pub(crate) const fn target(self, form: Form) -> NoiseTarget {
        match (form, self) {
            (Form::Rate, Self::Spec | Self::Song) => NoiseTarget::Drive,
            (Form::Rate, Self::Raw) | (Form::Voltage, _) => NoiseTarget::State,
        }
    }
}

impl PreactivationNoise {
    /// Returns true if every noise level is zero.
    pub fn is_silent(&self) -> bool {
        match self {
            Self::Shared(sigma) => *sigma == 0.0,
            Self::PerUnit(list) => list.iter().all(|&sigma| sigma == 0.0),
            Self::Covariance { covariance } => covariance.iter().flatten().all(|&c| c == 0.0),
            Self::CovarianceFile { .. } => false,
        }
    }

    /// Returns the factor of the normals of each unit: 1 with a covariance, whose factor the normals contain already.
    fn sigma(&self, n_units: usize) -> Vec<f64> {
        match self {
            Self::Shared(sigma) => vec![*sigma; n_units],
            Self::PerUnit(list) => list.clone(),
            Self::Covariance { .. } | Self::CovarianceFile { .. } => vec![1.0; n_units],
        }
    }

    /// Returns `L` with `C = L L'`, row by row, if there is a covariance.
    ///
    /// # Errors
    /// The rule that the covariance breaks.
    pub(crate) fn factor(&self) -> Result<Option<Vec<f64>>, &'static str> {
        match self {
            Self::Covariance { covariance } => cholesky(covariance).map(Some),
            _ => Ok(None),
        }
    }
}

impl NoiseLevels {
    /// Returns true if every noise level is zero.
    pub fn is_silent(&self) -> bool {
        let others = [self.postactivation, self.input, self.initial_state];
        self.preactivation.is_silent() && others.iter().all(|&level| level == 0.0)
    }

    /// Returns the factor of the standard normals of `eps` in a sweep whose steps have `gain [N]`.
    ///
    /// Voltage form: `gain eps` is added to the state (`raw`: sigma). Rate form: `eps` is added inside `f` (`raw`: sigma is added
    /// to the state).
    pub(crate) fn scale<B: Backend>(
        &self,
        form: Form,
        integrator: Integrator,
        gain: Tensor<B, 1>,
    ) -> Tensor<B, 1> {
        let (n, device) = (gain.dims()[0], gain.device());
        let sigma = self.preactivation.sigma(n);
        let sigma = host_tensor(TensorData::new(sigma, [n]), &device);
        if self.preactivation.is_silent() {
            return sigma;
        }
        let eps = match self.convention {
            NoiseConvention::Raw => return sigma,
            NoiseConvention::Spec => sigma,
            NoiseConvention::Song => {
                let variance = constant(2.0, n, &device) / gain.clone();
                match integrator {
                    Integrator::Euler => variance.sqrt() * sigma,
                    Integrator::Exponential => (variance - 1.0).sqrt() * sigma, // (1 + d) / (1 - d)
                }
            }
        };
        match form {
            Form::Voltage => gain * eps,
            Form::Rate => eps,
        }
    }

    /// Returns the standard deviation of the input noise of a time step.
    pub(crate) fn input_std(&self, integrator: Integrator, dt_ms: f64) -> f64 {
        let gain = integrator.gain_of(dt_ms, self.input_tau_ms);
        match (self.convention, integrator) {
            (NoiseConvention::Song, Integrator::Euler) => (2.0 / gain).sqrt() * self.input,
            (NoiseConvention::Song, Integrator::Exponential) => {
                (2.0 / gain - 1.0).sqrt() * self.input
            }
            _ => self.input,
        }
    }
}

/// Returns the lower triangular `L` with `C = L L'` of a covariance, row by row. Directions without variance are allowed.
fn cholesky(rows: &[Vec<f64>]) -> Result<Vec<f64>, &'static str> {
    let n = rows.len();
    let largest = rows.iter().flatten().fold(0.0, |m: f64, c| m.max(c.abs()));
    if !largest.is_finite() || rows.iter().flatten().any(|c| c.is_nan()) {
        return Err("must be of finite numbers");
    }
    // Differences as small as this count as rounding.
    let tolerance = 1e-9 * largest;
    let is_symmetric = (0..n).all(|i| (0..i).all(|j| (rows[i][j] - rows[j][i]).abs() <= tolerance));
    if !is_symmetric {
        return Err("must be symmetric");
    }
    let mut factor = vec![0.0; n * n];
    for j in 0..n {
        let dot = |factor: &[f64], i: usize| -> f64 {
            (0..j).map(|k| factor[i * n + k] * factor[j * n + k]).sum()
        };
        let variance = rows[j][j] - dot(&factor, j);
        let has_variance = variance > tolerance;
        for i in j..n {
            let rest = rows[i][j] - dot(&factor, i);
            // A semidefinite matrix obeys c_ij^2 <= c_ii c_jj, and here c_jj is at most the tolerance.
            if !has_variance && rest.abs() > tolerance.sqrt() * largest.sqrt() {
                return Err("must be positive semidefinite");
            }
            factor[i * n + j] = if has_variance {
                rest / variance.sqrt()
            } else {
                0.0
            };
        }
    }
    Ok(factor)
}

#[cfg(test)]
mod tests;
