//! Noise: how large it is, by which convention, and where its draws come from.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use ctrnn_kernels::{Draws, Form, NoiseTarget};
use ctrnn_random::{Key, Stream};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::parameters::{constant, host_tensor};
use crate::recurrence::{NoiseSource, drawn};
use crate::time_constants::Integrator;
use crate::{CtrnnConfig, InputPath, Noise, NoiseAddress, words};

/// The noises of a network; `n` is standard normal per trial, unit and time step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NoiseLevels {
    /// `sigma` of the pre-activation noise `eps`, which the dynamics carry on; `convention` says how. A number is that of all
    /// units, a list has one for each. `{ covariance = [[..], ..] }` or `{ covariance = "FILE.npz" }` (the array `covariance
    /// [N,N]`) correlates the units: `L n` stands for `sigma n`, with `C = L L'`; its draws are made before the pass, in
    /// memory for one number per trial, time step and unit.
    pub preactivation: PreactivationNoise,
    /// `sigma_post` of the post-activation noise `xi = sigma_post n`, which the readout alone sees.
    #[schemars(range(min = 0))]
    pub postactivation: f64,
    /// `sigma_in` of the noise of each input at each time step: a standard deviation of `sigma_in` for `spec` and `raw`, of
    /// `sqrt(2 / alpha) sigma_in` for `song`, with `alpha = dt_ms / input_tau_ms`. 0.01 with `song` in Song et al. (2016). Tasks
    /// have input noise of their own, which validation and files see too; this one is off outside training.
    #[schemars(range(min = 0))]
    pub input: f64,
    /// The time constant in ms that `convention = "song"` has for the input noise; 100 in Song et al. (2016).
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub input_tau_ms: f64,
    /// Standard deviation of what is added to each unit's initial state (zero, given or learned), once per trial.
    #[schemars(range(min = 0))]
    pub initial_state: f64,
    /// How sigma becomes noise of a time step. `spec`: `eps = sigma n`, the potential receives `alpha sigma n`.
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

/// The size of the pre-activation noise. `eps = sigma n` in the convention `spec`; others scale it.
///
/// In files: a number, a list, or a table with the rows of a `covariance`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PreactivationNoise {
    /// One `sigma` for all units.
    Shared(f64),
    /// One `sigma` for each unit, `[N]`.
    PerUnit(Vec<f64>),
    /// A covariance `C [N,N]` between units: `L n` stands for `sigma n`, with `C = L L'`.
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
    /// How `sigma` becomes noise of a time step, with `alpha = dt / tau`.
    ///
    /// | convention | `eps` | what the potential receives |
    /// |---|---|---|
    /// | `spec` | `sigma n` | `alpha sigma n` |
    /// | `song` | `sqrt(2 / alpha) sigma n` | `sqrt(2 alpha) sigma n` |
    /// | `raw` | | `sigma n`, whatever dt and tau |
    ///
    /// Under the exponential integrator `1 - d` stands for alpha, with `d = exp(-dt / tau)`, and `song` is
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
        /// Nearly independent of `dt`.
        Song = "song",
        /// Added to the new state itself.
        Raw = "raw",
    }
}

impl NoiseConvention {
    /// Returns where the noise of a network in this form enters a sweep.
    pub(crate) const fn target(self, form: Form) -> NoiseTarget {
        match (form, self) {
            (Form::Rate, Self::Spec | Self::Song) => NoiseTarget::Drive,
            (Form::Rate, Self::Raw) | (Form::Voltage, _) => NoiseTarget::State,
        }
    }
}

impl PreactivationNoise {
    /// Whether there is none.
    pub fn is_silent(&self) -> bool {
        match self {
            Self::Shared(sigma) => *sigma == 0.0,
            Self::PerUnit(list) => list.iter().all(|&sigma| sigma == 0.0),
            Self::Covariance { covariance } => covariance.iter().flatten().all(|&c| c == 0.0),
            Self::CovarianceFile { .. } => false,
        }
    }

    /// What multiplies the normals of each unit; with a covariance they are multiplied by its factor already.
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
    /// What multiplies the standard normals of `eps` in a sweep whose steps have `gain [N]`.
    ///
    /// Voltage form: `gain eps` is added to the state (`raw`: sigma). Rate form: `eps` stands inside `f` (`raw`: sigma is
    /// added to the state).
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

    /// Standard deviation of the input noise of a time step.
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

/// The lower triangular `L` with `C = L L'` of a covariance, row by row. Directions without variance are allowed.
fn cholesky(rows: &[Vec<f64>]) -> Result<Vec<f64>, &'static str> {
    let n = rows.len();
    let largest = rows.iter().flatten().fold(0.0, |m: f64, c| m.max(c.abs()));
    if !largest.is_finite() || rows.iter().flatten().any(|c| c.is_nan()) {
        return Err("must be of finite numbers");
    }
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
            if !has_variance && rest.abs() > tolerance.sqrt() * largest.sqrt() {
                return Err("must be positive semidefinite: no noise has it");
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

/// A source of the draws of `stream`.
fn source<B: Backend>(
    noise: &Noise<B>,
    stream: Stream,
    given: Option<&Tensor<B, 3>>,
) -> NoiseSource<B> {
    match noise {
        Noise::Off => NoiseSource::None,
        Noise::Drawn(address) => NoiseSource::Drawn(draws(stream, *address)),
        Noise::Given { .. } => match given {
            Some(normals) => NoiseSource::Given(normals.clone().swap_dims(0, 1)),
            None => NoiseSource::None,
        },
    }
}

fn draws(stream: Stream, address: NoiseAddress) -> Draws {
    Draws::new(
        Key::new(address.seed, stream, 0),
        address.step,
        address.first_trial,
    )
}

/// The source of the normals behind `eps`, multiplied by the factor of the covariance where there is one.
///
/// # Shapes
/// `shape` is `[T, B, N]`; `factor [N,N]` row by row.
pub(crate) fn preactivation<B: Backend>(
    levels: &NoiseLevels,
    noise: &Noise<B>,
    factor: Option<&[f64]>,
    shape: [usize; 3],
    device: &B::Device,
) -> NoiseSource<B> {
    if levels.preactivation.is_silent() {
        return NoiseSource::None;
    }
    let given = match noise {
        Noise::Given { preactivation, .. } => preactivation.as_ref(),
        _ => None,
    };
    let source = source(noise, Stream::Eps, given);
    match (source, factor) {
        (source, None) => source,
        (NoiseSource::None, _) => NoiseSource::None,
        (NoiseSource::Drawn(draws), _) => NoiseSource::Given(drawn(draws, shape, factor, device)),
        (NoiseSource::Given(normals), Some(factor)) => {
            let [t, b, n] = shape;
            let factor = TensorData::new(factor.to_vec(), [n, n]);
            let factor: Tensor<B, 2> = host_tensor(factor, device);
            let correlated = normals.reshape([t * b, n]).matmul(factor.transpose());
            NoiseSource::Given(correlated.reshape(shape))
        }
    }
}

/// The source of the normals behind `xi`.
pub(crate) fn postactivation<B: Backend>(levels: &NoiseLevels, noise: &Noise<B>) -> NoiseSource<B> {
    if levels.postactivation == 0.0 {
        return NoiseSource::None;
    }
    let given = match noise {
        Noise::Given { postactivation, .. } => postactivation.as_ref(),
        _ => None,
    };
    source(noise, Stream::Xi, given)
}

/// The inputs that the network sees: with baseline, noise and rectification.
///
/// ```text
/// u <- u + baseline + std n,   then max(u, 0) if rectified
/// ```
/// # Shapes
/// `inputs [T,B,I]`.
pub(crate) fn seen_inputs<B: Backend>(
    config: &CtrnnConfig,
    noise: &Noise<B>,
    inputs: Tensor<B, 3>,
) -> Tensor<B, 3> {
    let (shape, device) = (inputs.dims(), inputs.device());
    if shape.contains(&0) {
        return inputs;
    }
    let given = match noise {
        Noise::Given { input, .. } => input.as_ref(),
        _ => None,
    };
    let std = config.noise.input_std(config.integrator, config.dt_ms);
    let source = match std > 0.0 {
        true => source(noise, Stream::InputNoise, given),
        false => NoiseSource::None,
    };
    let normals = match source {
        NoiseSource::None => None,
        NoiseSource::Drawn(draws) => Some(drawn(draws, shape, None, &device)),
        NoiseSource::Given(normals) => Some(normals),
    };
    let raised = match config.input.baseline == 0.0 {
        true => inputs,
        false => inputs + config.input.baseline,
    };
    let noisy = match normals {
        Some(normals) => raised + normals * std,
        None => raised,
    };
    match config.input.rectify {
        true => burn::tensor::activation::relu(noisy),
        false => noisy,
    }
}

/// What is added to the initial states `[B,N]`, if anything.
pub(crate) fn of_initial_state<B: Backend>(
    levels: &NoiseLevels,
    noise: &Noise<B>,
    [trials, units]: [usize; 2],
    device: &B::Device,
) -> Option<Tensor<B, 2>> {
    let Noise::Drawn(address) = noise else {
        return None;
    };
    if levels.initial_state == 0.0 {
        return None;
    }
    let source = NoiseSource::<B>::Drawn(draws(Stream::InitialState, *address));
    let normals = source.normals([1, trials, units], device)?;
    Some(normals.reshape([trials, units]) * levels.initial_state)
}

#[cfg(test)]
mod tests {
    use burn_ndarray::NdArray;

    use super::*;
    use crate::{Activation, Forward, InitialState, Record, WeightInit};

    type F32 = NdArray<f32>;

    /// Units without weights, inputs or bias: what is left is the leak and the noise.
    fn unconnected(n: usize, noise: NoiseLevels) -> CtrnnConfig {
        let mut config = CtrnnConfig {
            noise,
            activation: Activation::Linear,
            initial_state: InitialState::Zero,
            ..CtrnnConfig::new(0, n, 1)
        };
        config.init.recurrent = WeightInit::Zero;
        config
    }

    fn filled(shape: [usize; 3], value: f32) -> Tensor<F32, 3> {
        let values = vec![value; shape.iter().product()];
        host_tensor(TensorData::new(values, shape), &Default::default())
    }

    fn drawn(record: Record) -> Forward<F32> {
        Forward {
            noise: Noise::Drawn(NoiseAddress::default()),
            record,
            ..Forward::default()
        }
    }

    /// Rates `[trial][time][unit]` of `trials` trials from time step `from` to `to`.
    fn rates(config: &CtrnnConfig, trials: usize, from: usize, to: usize) -> Vec<Vec<Vec<f64>>> {
        let network = config.init::<F32>(0, &Default::default()).unwrap();
        let inputs = filled([trials, to, 0], 0.0);
        let rates = network
            .forward(inputs, &drawn(Record::RATES))
            .rates
            .unwrap();
        let n = config.n_units;
        let late = rates.slice([0..trials, from..to, 0..n]).into_data();
        let late: Vec<f64> = late.iter().collect();
        let trial = |rows: &[f64]| rows.chunks(n).map(<[f64]>::to_vec).collect();
        late.chunks((to - from) * n).map(trial).collect()
    }

    /// The mean of the products of what `pair` picks at each trial and time.
    fn mean(rates: &[Vec<Vec<f64>>], pair: impl Fn(&[Vec<f64>], usize) -> Option<f64>) -> f64 {
        let products: Vec<f64> = rates
            .iter()
            .flat_map(|trial| (0..trial.len()).filter_map(|t| pair(trial, t)))
            .collect();
        products.iter().sum::<f64>() / products.len() as f64
    }

    /// Without weights v' = d v + s n has the standard deviation s / sqrt(1 - d^2) and the autocorrelation d^k. Over 64 trials
    /// of 32 units and 140 time steps, which count about 15 times for d = 0.82, the standard error is 0.4 %.
    #[test]
    fn each_convention_has_its_standard_deviation_and_autocorrelation() {
        let sigma = 0.3;
        for integrator in Integrator::ALL {
            for convention in NoiseConvention::ALL {
                for form in [Form::Voltage, Form::Rate] {
                    let levels = NoiseLevels {
                        preactivation: sigma.into(),
                        convention,
                        ..NoiseLevels::default()
                    };
                    let config = CtrnnConfig {
                        integrator,
                        form,
                        ..unconnected(32, levels)
                    };
                    // dt 20 ms, tau 100 ms
                    let a: f64 = match integrator {
                        Integrator::Euler => 0.2,
                        Integrator::Exponential => 1.0 - (-0.2f64).exp(),
                    };
                    let d = 1.0 - a;
                    let expected = match (convention, integrator) {
                        (NoiseConvention::Spec, _) => sigma * a / (1.0 - d * d).sqrt(),
                        (NoiseConvention::Song, Integrator::Euler) => {
                            sigma * (2.0 / (2.0 - a)).sqrt()
                        }
                        (NoiseConvention::Song, Integrator::Exponential) => sigma,
                        (NoiseConvention::Raw, _) => sigma / (1.0 - d * d).sqrt(),
                    };
                    let rates = rates(&config, 64, 60, 200);
                    let lagged = |k: usize| {
                        mean(&rates, |trial, t| {
                            let later = trial.get(t + k)?;
                            let dot: f64 = trial[t].iter().zip(later).map(|(a, b)| a * b).sum();
                            Some(dot / 32.0)
                        })
                    };
                    let variance = lagged(0);
                    let what = format!("{integrator:?} {convention:?} {form:?}");
                    let ratio = variance.sqrt() / expected;
                    assert!((ratio - 1.0).abs() < 0.02, "{what}: {ratio} of theory");
                    for k in [1, 2, 5, 10] {
                        let found = lagged(k) / variance;
                        let expected = d.powi(k as i32);
                        assert!((found - expected).abs() < 0.02, "{what}, lag {k}: {found}");
                    }
                }
            }
        }
    }

    /// With `raw` and alpha 1 the state is the noise itself: its covariance is the one asked for. 6400 samples: standard
    /// errors below sqrt(2 / 6400) = 1.8 % of the variances.
    #[test]
    fn noise_has_the_covariance_that_is_asked_for() {
        let covariance = vec![
            vec![4.0, 1.2, 0.0],
            vec![1.2, 1.0, -0.5],
            vec![0.0, -0.5, 2.0],
        ];
        let levels = NoiseLevels {
            preactivation: PreactivationNoise::Covariance {
                covariance: covariance.clone(),
            },
            convention: NoiseConvention::Raw,
            ..NoiseLevels::default()
        };
        let config = CtrnnConfig {
            tau_ms: 20.0.into(),
            ..unconnected(3, levels)
        };
        let rates = rates(&config, 64, 0, 100);
        for i in 0..3 {
            for j in 0..3 {
                let found = mean(&rates, |trial, t| Some(trial[t][i] * trial[t][j]));
                let scale = (covariance[i][i] * covariance[j][j]).sqrt();
                let expected = covariance[i][j];
                assert!(
                    (found - expected).abs() < 0.06 * scale,
                    "[{i},{j}]: {found} is not {expected}"
                );
            }
        }
    }

    #[test]
    fn each_unit_has_its_own_sigma() {
        let levels = NoiseLevels {
            preactivation: PreactivationNoise::PerUnit(vec![0.0, 0.5, 2.0]),
            convention: NoiseConvention::Raw,
            ..NoiseLevels::default()
        };
        let config = CtrnnConfig {
            tau_ms: 20.0.into(),
            ..unconnected(3, levels)
        };
        let rates = rates(&config, 64, 0, 100);
        let variance = |i: usize| mean(&rates, |trial, t| Some(trial[t][i].powi(2)));
        assert_eq!(variance(0), 0.0);
        assert!((variance(1) / 0.25 - 1.0).abs() < 0.06, "{}", variance(1));
        assert!((variance(2) / 4.0 - 1.0).abs() < 0.06, "{}", variance(2));
    }

    /// The factor of [[4, 2], [2, 2]] is [[2, 0], [1, 1]]; a direction without variance has a column of zeros.
    #[test]
    fn the_factor_of_a_covariance_by_hand() {
        let factor = |rows: [[f64; 2]; 2]| cholesky(&rows.map(|row| row.to_vec()));
        assert_eq!(
            factor([[4.0, 2.0], [2.0, 2.0]]),
            Ok(vec![2.0, 0.0, 1.0, 1.0])
        );
        assert_eq!(
            factor([[4.0, 2.0], [2.0, 1.0]]),
            Ok(vec![2.0, 0.0, 1.0, 0.0])
        );
        let rule = |rows| factor(rows).unwrap_err();
        assert!(rule([[1.0, 2.0], [2.0, 1.0]]).contains("semidefinite"));
        assert!(rule([[1.0, 0.5], [0.4, 1.0]]).contains("symmetric"));
        assert!(rule([[1.0, f64::NAN], [0.4, 1.0]]).contains("finite"));
    }

    /// The inputs that a network of one input sees, over 100 trials of 100 time steps.
    fn seen(config: &CtrnnConfig, noise: &Noise<F32>, u: f32) -> Vec<f64> {
        seen_inputs(config, noise, filled([100, 100, 1], u))
            .into_data()
            .iter()
            .collect()
    }

    /// Song et al. (2016): sigma 0.01 at dt 20 ms and tau 100 ms is 0.0316 per time step, around the baseline 0.2.
    #[test]
    fn input_noise_follows_the_convention_and_baseline_and_rectification_follow_it() {
        let mut config = CtrnnConfig::new(1, 1, 1);
        config.input.baseline = 0.2;
        config.noise.input = 0.01;
        let on = Noise::Drawn(NoiseAddress::default());
        for (convention, expected) in [
            (NoiseConvention::Spec, 0.01),
            (NoiseConvention::Song, 0.01 * 10.0f64.sqrt()),
            (NoiseConvention::Raw, 0.01),
        ] {
            config.noise.convention = convention;
            let all = seen(&config, &on, 0.5);
            let mean = all.iter().sum::<f64>() / 1e4;
            let std = (all.iter().map(|u| (u - mean).powi(2)).sum::<f64>() / 1e4).sqrt();
            assert!((mean - 0.7).abs() < 5e-2 * expected, "mean {mean}");
            assert!((std / expected - 1.0).abs() < 0.03, "{convention:?}: {std}");
        }
        assert!(
            seen(&config, &Noise::Off, 0.5)
                .iter()
                .all(|u| (u - 0.7).abs() < 1e-6)
        );
        config.input.rectify = true;
        assert!(seen(&config, &Noise::Off, -0.5).iter().all(|&u| u == 0.0));
        let half = seen(&config, &on, -0.2); // around zero: half of it is cut off
        let zeros = half.iter().filter(|&&u| u == 0.0).count();
        assert!(
            half.iter().all(|&u| u >= 0.0) && (4800..5200).contains(&zeros),
            "{zeros}"
        );
    }

    #[test]
    fn a_step_sees_its_inputs_as_a_pass_does() {
        let mut config = CtrnnConfig::new(2, 3, 1);
        config.input.baseline = 0.2;
        config.input.rectify = true;
        let device = Default::default();
        let network = config.init::<F32>(0, &device).unwrap();
        let u: Tensor<F32, 2> = host_tensor(TensorData::from([[0.5, -1.0]]), &device);
        let state: Tensor<F32, 2> = host_tensor(TensorData::from([[0.0; 3]]), &device);
        let pass = Forward {
            initial_state: Some(state.clone()),
            ..Forward::default()
        };
        let passed = network
            .forward(u.clone().unsqueeze_dim(1), &pass)
            .final_state;
        let stepped: Vec<f64> = network.step(state, u).into_data().iter().collect();
        let passed: Vec<f64> = passed.into_data().iter().collect();
        for (a, b) in stepped.iter().zip(&passed) {
            assert!((a - b).abs() < 1e-6);
        }
    }

    #[test]
    fn initial_states_have_their_noise_in_drawn_passes_only() {
        let mut config = unconnected(50, NoiseLevels::default());
        config.noise.initial_state = 0.3;
        config.initial_state = InitialState::Given(vec![1.0; 50]);
        let network = config.init::<F32>(0, &Default::default()).unwrap();
        let start = |forward: &Forward<F32>| -> Vec<f64> {
            let states = network.starting_states(forward, 100);
            states.into_data().iter().collect()
        };
        assert!(start(&Forward::default()).iter().all(|&v| v == 1.0));
        let noisy = start(&drawn(Record::OUTPUTS));
        let variance = noisy.iter().map(|v| (v - 1.0).powi(2)).sum::<f64>() / 5000.0;
        assert!((variance / 0.09 - 1.0).abs() < 0.1, "{variance}"); // standard error 2 %
        assert_eq!(noisy, start(&drawn(Record::OUTPUTS)));
    }

    #[test]
    fn without_being_asked_for_no_noise_changes_anything() {
        let quiet = CtrnnConfig::new(2, 6, 2);
        let mut noisy = quiet.clone();
        noisy.noise = NoiseLevels {
            preactivation: PreactivationNoise::PerUnit(vec![0.3; 6]),
            postactivation: 0.3,
            input: 0.3,
            initial_state: 0.3,
            ..NoiseLevels::default()
        };
        let outputs = |config: &CtrnnConfig| {
            let network = config.init::<F32>(3, &Default::default()).unwrap();
            let inputs = filled([2, 9, 2], 1.0);
            network
                .forward(inputs, &Forward::default())
                .outputs
                .into_data()
        };
        assert_eq!(outputs(&quiet), outputs(&noisy));
    }
}
