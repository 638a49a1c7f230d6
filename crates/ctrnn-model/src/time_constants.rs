//! Time constants: what the configuration may say of them, how they are drawn or learned, and what they make of a step.

use std::fmt;

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use burn_ndarray::{NdArray, NdArrayDevice};
use ctrnn_random::{Key, Rng, Stream};
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor, value::SeqAccessDeserializer};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::parameters::{TAU_MS, constant, host_tensor};
use crate::{CtrnnConfig, ModelError, Parameter, Weights};

/// How the state follows its drive over one time step.
///
/// ```text
/// v' = decay v + gain [W_rc r + W_in u + b + eps]        decay = 1 - gain
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Integrator {
    /// Forward Euler: `gain = alpha = dt / tau`; its error is of first order in dt, and dt must not exceed tau.
    #[default]
    Euler,
    /// Exponential Euler: `gain = 1 - exp(-dt / tau)`; exact where the drive does not change within the step.
    Exponential,
}

impl Integrator {
    /// Every integrator.
    pub const ALL: [Self; 2] = [Self::Euler, Self::Exponential];

    /// The name used in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Euler => "euler",
            Self::Exponential => "exponential",
        }
    }

    /// The gain of a step of `dt_ms` for time constants `tau [N]`, in (0, 1].
    pub(crate) fn gain<B: Backend>(self, dt_ms: f64, tau: Tensor<B, 1>) -> Tensor<B, 1> {
        let alpha = constant(dt_ms, tau.dims()[0], &tau.device()) / tau;
        match self {
            Self::Euler => alpha,
            Self::Exponential => exponential_gain(alpha),
        }
    }

    /// The same for one time constant, in double precision.
    pub fn gain_of(self, dt_ms: f64, tau_ms: f64) -> f64 {
        match self {
            Self::Euler => dt_ms / tau_ms,
            Self::Exponential => -(-dt_ms / tau_ms).exp_m1(),
        }
    }
}

/// `1 - exp(-x)`, to full relative precision where x is small: `2 t / (1 + t)` with `t = tanh(x / 2)`.
///
/// The value stands beside the graph, which only holds the derivative `exp(-x)`: the way back of burn's division takes a
/// reciprocal, which a build with burn's feature `simd` has to 12 bits only.
fn exponential_gain<B: Backend>(x: Tensor<B, 1>) -> Tensor<B, 1> {
    let at = x.clone().detach();
    let t = (at.clone() * 0.5).tanh();
    let value = t.clone() * 2.0 / (t + 1.0);
    let derivative = at.clone().neg().exp();
    (x - at) * derivative + value
}

/// What a sweep is told of time and noise, per unit `[N]`.
pub(crate) struct StepFactors<B: Backend> {
    /// What remains of a state after one step.
    pub decay: Tensor<B, 1>,
    /// What a step adds of the drive.
    pub gain: Tensor<B, 1>,
    /// What multiplies the normals of the pre-activation noise.
    pub noise_scale: Tensor<B, 1>,
}

impl<B: Backend> StepFactors<B> {
    /// The factors for time constants `tau`, one or N, through which gradients flow.
    pub fn new(config: &CtrnnConfig, tau: Tensor<B, 1>) -> Self {
        let tau = tau.expand([config.n_units]);
        let gain = config.integrator.gain(config.dt_ms, tau);
        Self {
            decay: gain.clone().neg() + 1.0,
            noise_scale: config
                .noise
                .scale(config.form, config.integrator, gain.clone()),
            gain,
        }
    }

    /// The factors for time constants that are not trained, computed in double precision.
    pub fn fixed(config: &CtrnnConfig, tau_ms: &[f64], device: &B::Device) -> Self {
        let tau_ms = TensorData::new(tau_ms.to_vec(), [tau_ms.len()]);
        let tau = host_tensor(tau_ms, &NdArrayDevice::default());
        let exact = StepFactors::<NdArray<f64>>::new(config, tau);
        let moved = |x: Tensor<NdArray<f64>, 1>| host_tensor(x.into_data(), device);
        Self {
            decay: moved(exact.decay),
            gain: moved(exact.gain),
            noise_scale: moved(exact.noise_scale),
        }
    }
}

/// The time constants of the units, in ms.
///
/// In files: `100.0`; `[100.0, 50.0]`, one for each unit; `{ e = 100.0, i = 50.0 }`; `{ uniform = [50, 200] }`;
/// `{ lognormal = { median = 100, sigma = 0.5, min = 40, max = 400 } }`; or
/// `{ learned = { initial = 100.0, bounds = [20, 500], per_unit = true } }`.
#[derive(Clone, Debug, PartialEq)]
pub enum TimeConstants {
    /// One for all units.
    Shared(f64),
    /// One for each unit.
    PerUnit(Vec<f64>),
    /// Those of the excitatory and of the inhibitory units.
    PerType(Box<PerType>),
    /// Drawn for each unit, uniform between two bounds.
    Uniform([f64; 2]),
    /// Drawn for each unit: the logarithm is normal.
    LogNormal(LogNormal),
    /// Trained.
    Learned(LearnedTimeConstants),
}

/// One kind of time constants for each cell type of Dale's law: a number, or a distribution that each unit draws from.
#[derive(Clone, Debug, PartialEq)]
pub struct PerType {
    /// Those of the excitatory units.
    pub e: TimeConstants,
    /// Those of the inhibitory units.
    pub i: TimeConstants,
}

/// `ln tau` is normal with mean `ln median` and standard deviation `sigma`, cut off at `min` and `max`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogNormal {
    /// Median before the cut, in ms.
    pub median: f64,
    /// Standard deviation of the logarithm.
    pub sigma: f64,
    /// Smallest value, in ms.
    pub min: f64,
    /// Largest value, in ms.
    pub max: f64,
}

/// Time constants that are trained within bounds.
///
/// ```text
/// tau = lo + (hi - lo) / (1 + exp(-raw))
/// ```
/// `raw` is the trained parameter, so that no step of any optimizer takes tau out of `[lo, hi]`, nor alpha out of (0, 1].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearnedTimeConstants {
    /// Where they begin: anything but learned, strictly within the bounds.
    pub initial: Box<TimeConstants>,
    /// `[lo, hi]` in ms.
    pub bounds: [f64; 2],
    /// Whether each unit has its own; else one is shared.
    #[serde(default = "default_per_unit")]
    pub per_unit: bool,
}

const fn default_per_unit() -> bool {
    true
}

impl From<f64> for TimeConstants {
    fn from(tau_ms: f64) -> Self {
        Self::Shared(tau_ms)
    }
}

impl TimeConstants {
    /// The kinds that are written as a table.
    pub const KINDS: [&'static str; 3] = ["uniform", "lognormal", "learned"];

    /// How they are learned, if they are.
    pub fn learned(&self) -> Option<&LearnedTimeConstants> {
        match self {
            Self::Learned(learned) => Some(learned),
            _ => None,
        }
    }

    /// How many there are for `n_units` units: 1 where they share one.
    pub fn count(&self, n_units: usize) -> usize {
        match self {
            Self::Shared(_) => 1,
            Self::Learned(learned) if !learned.per_unit => 1,
            _ => n_units,
        }
    }

    /// The smallest and the largest value that a unit can have, in ms.
    pub fn range_ms(&self) -> [f64; 2] {
        match self {
            Self::Shared(tau) => [*tau, *tau],
            Self::PerUnit(list) => [
                list.iter().copied().fold(f64::INFINITY, f64::min),
                list.iter().copied().fold(0.0, f64::max),
            ],
            Self::PerType(types) => {
                let ([e_lo, e_hi], [i_lo, i_hi]) = (types.e.range_ms(), types.i.range_ms());
                [e_lo.min(i_lo), e_hi.max(i_hi)]
            }
            Self::Uniform(bounds) => *bounds,
            Self::LogNormal(law) => [law.min, law.max],
            Self::Learned(learned) => learned.bounds,
        }
    }

    /// Whether each unit draws its own, so that the configuration alone does not tell them.
    fn are_drawn(&self) -> bool {
        match self {
            Self::Uniform(_) | Self::LogNormal(_) => true,
            Self::PerType(types) => types.e.are_drawn() || types.i.are_drawn(),
            Self::Shared(_) | Self::PerUnit(_) | Self::Learned(_) => false,
        }
    }

    /// Whether they differ between excitatory and inhibitory units.
    pub fn need_cell_types(&self) -> bool {
        match self {
            Self::PerType(_) => true,
            Self::Learned(learned) => learned.initial.need_cell_types(),
            _ => false,
        }
    }

    /// Whether values of tau may be those of these time constants, for units of these `signs` (+1 excitatory, -1 inhibitory,
    /// empty without Dale's law); a file holds them in single precision.
    pub(crate) fn allow(&self, tau_ms: &[f64], signs: &[f64]) -> bool {
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-6 * b;
        let [lo, hi] = self.range_ms();
        match self {
            Self::PerUnit(list) => {
                list.len() == tau_ms.len() && tau_ms.iter().zip(list).all(|(a, b)| close(*a, *b))
            }
            Self::PerType(types) => {
                tau_ms.len() == signs.len()
                    && tau_ms
                        .iter()
                        .zip(signs)
                        .all(|(&tau, &sign)| types.of(sign).allow(&[tau], &[]))
            }
            _ => tau_ms
                .iter()
                .all(|&tau| (lo..=hi).contains(&tau) || close(tau, lo) || close(tau, hi)),
        }
    }

    /// The values at the beginning, [`TimeConstants::count`] of them, for units of these `signs` (as in
    /// [`TimeConstants::allow`]). What is drawn comes from `seed` and is rounded to single precision, as files hold it.
    pub(crate) fn draw(&self, n_units: usize, signs: &[f64], seed: u64) -> Vec<f64> {
        let key = Key::new(seed, Stream::TimeConstants, 0);
        let draw = |one: &dyn Fn(&mut Rng) -> f64| -> Vec<f64> {
            (0..n_units)
                .map(|unit| one(&mut Rng::new(key, unit as u64, 0)))
                .map(|tau| f64::from(tau as f32))
                .collect()
        };
        match self {
            Self::Shared(tau) => vec![*tau],
            Self::PerUnit(list) => list.clone(),
            Self::PerType(types) => {
                let of_type = |tau: &TimeConstants| match tau.draw(n_units, &[], seed).as_slice() {
                    [shared] => vec![*shared; n_units],
                    each => each.to_vec(),
                };
                let (e, i) = (of_type(&types.e), of_type(&types.i));
                let own = |unit: usize| if signs[unit] > 0.0 { e[unit] } else { i[unit] };
                (0..n_units).map(own).collect()
            }
            Self::Uniform([lo, hi]) => draw(&|rng| rng.uniform_in(*lo, *hi)),
            Self::LogNormal(law) => draw(&|rng| law.draw(rng)),
            Self::Learned(learned) => {
                let values = learned.initial.draw(n_units, signs, seed);
                match values.as_slice() {
                    [shared] => vec![*shared; self.count(n_units)],
                    _ => values,
                }
            }
        }
    }

    /// The values that a network with these weights has, [`TimeConstants::count`] of them: those of the configuration, or those
    /// of the weights where they were drawn. `weights` has been checked.
    ///
    /// # Errors
    /// If they were drawn and the weights lack them.
    pub(crate) fn of(
        &self,
        weights: &Weights,
        n_units: usize,
        signs: &[f64],
    ) -> Result<Vec<f64>, ModelError> {
        match self {
            Self::Learned(_) => Ok(Vec::new()),
            drawn if drawn.are_drawn() => tau_of(weights, n_units),
            given => Ok(given.draw(n_units, signs, 0)),
        }
    }

    /// Checks the rules that no type can hold, for `n_units` units and steps of at most `longest_dt_ms`.
    ///
    /// # Errors
    /// Names the value and the rule that it breaks.
    pub fn check(&self, n_units: usize, longest_dt_ms: f64) -> Result<(), ModelError> {
        let refuse = |value: String, rule: &'static str| {
            Err(ModelError::Config {
                field: "tau_ms",
                value,
                rule,
            })
        };
        if let Self::PerType(types) = self {
            types.check()?;
        }
        let [lo, hi] = self.range_ms();
        match self {
            Self::PerUnit(list) if list.len() != n_units => {
                return refuse(
                    format!("a list of {}", list.len()),
                    "must have a number for each unit",
                );
            }
            _ if !(lo > 0.0 && hi.is_finite()) => {
                return refuse(self.to_string(), "must be finite numbers above 0");
            }
            _ if lo > hi => return refuse(self.to_string(), "needs the smaller bound first"),
            Self::LogNormal(law) if !(law.sigma > 0.0 && law.sigma.is_finite()) => {
                return refuse(format!("sigma {}", law.sigma), "must have a sigma above 0");
            }
            Self::LogNormal(law) if !(lo..=hi).contains(&law.median) => {
                return refuse(self.to_string(), "must have its median within min and max");
            }
            Self::Learned(learned) => learned.check(n_units)?,
            _ => {}
        }
        if lo < longest_dt_ms {
            return refuse(
                self.to_string(),
                "must not be shorter than dt_ms: alpha = dt / tau lies in (0, 1]; or take the exponential integrator",
            );
        }
        Ok(())
    }
}

/// The `len` time constants of a weight file, which may hold one for all units.
fn tau_of(weights: &Weights, len: usize) -> Result<Vec<f64>, ModelError> {
    let data = weights
        .get(TAU_MS)
        .ok_or_else(|| ModelError::MissingTensor {
            name: TAU_MS.to_owned(),
        })?;
    let tau_ms: Vec<f64> = data.iter().collect();
    match tau_ms.as_slice() {
        [shared] => Ok(vec![*shared; len]),
        _ => Ok(tau_ms),
    }
}

impl PerType {
    /// Those of a unit of this sign.
    fn of(&self, sign: f64) -> &TimeConstants {
        if sign > 0.0 { &self.e } else { &self.i }
    }

    /// Each cell type has a number or a distribution of its own, and keeps its rules.
    fn check(&self) -> Result<(), ModelError> {
        for (field, tau) in [("tau_ms.e", &self.e), ("tau_ms.i", &self.i)] {
            if !matches!(tau, TimeConstants::Shared(_)) && !tau.are_drawn() {
                return Err(ModelError::Config {
                    field,
                    value: tau.to_string(),
                    rule: "must be a number, uniform or lognormal",
                });
            }
            tau.check(1, 0.0)?;
        }
        Ok(())
    }
}

impl LogNormal {
    /// A draw by rejection that accepts more than a third of the proposals: from the normal distribution where the
    /// interval is longer than one standard deviation, from the uniform one where it is shorter.
    fn draw(&self, rng: &mut Rng) -> f64 {
        let z = |tau: f64| (tau / self.median).ln() / self.sigma;
        let (low, high) = (z(self.min), z(self.max));
        loop {
            let (z, accepted) = if high - low > 1.0 {
                let z = f64::from(rng.normal());
                (z, (low..=high).contains(&z))
            } else {
                let z = rng.uniform_in(low, high);
                (z, rng.uniform() < (-0.5 * z * z).exp())
            };
            if accepted {
                return self.median * (self.sigma * z).exp();
            }
        }
    }
}

impl LearnedTimeConstants {
    /// tau of the trained parameter.
    pub(crate) fn tau_ms<B: Backend>(&self, raw: Tensor<B, 1>) -> Tensor<B, 1> {
        let [lo, hi] = self.bounds;
        // burn's own sigmoid computes in f32 whatever the backend.
        let sigmoid = ((raw * 0.5).tanh() + 1.0) * 0.5;
        sigmoid * (hi - lo) + lo
    }

    /// The trained parameter of a network with these weights: its own tensor, or what gives their time constants.
    ///
    /// # Errors
    /// If the weights have neither, or a time constant that is not strictly within the bounds.
    pub(crate) fn raw_of(
        &self,
        weights: &Weights,
        n_units: usize,
    ) -> Result<TensorData, ModelError> {
        if let Some(raw) = weights.get(Parameter::TimeConstants.name()) {
            return Ok(raw.clone());
        }
        let len = if self.per_unit { n_units } else { 1 };
        let [lo, hi] = self.bounds;
        let tau_ms = tau_of(weights, len)?;
        if let Some(tau) = tau_ms.iter().find(|&&tau| !(lo < tau && tau < hi)) {
            return Err(ModelError::Contradiction {
                name: TAU_MS.to_owned(),
                reason: format!("{tau} ms is not strictly within {lo} and {hi} ms"),
            });
        }
        let raw = tau_ms.iter().map(|tau| ((tau - lo) / (hi - tau)).ln());
        Ok(TensorData::new(raw.collect::<Vec<f64>>(), [len]))
    }

    fn check(&self, n_units: usize) -> Result<(), ModelError> {
        let refuse = |rule: &'static str| {
            Err(ModelError::Config {
                field: "tau_ms.learned.initial",
                value: self.initial.to_string(),
                rule,
            })
        };
        if self.initial.learned().is_some() {
            return refuse("must not be learned itself");
        }
        if !self.per_unit && self.initial.count(n_units) != 1 {
            return refuse("must be one number where the units share one: per_unit = false");
        }
        self.initial.check(n_units, 0.0)?;
        let ([lo, hi], [first, last]) = (self.bounds, self.initial.range_ms());
        if !(lo < first && last < hi) {
            return refuse("must lie strictly within the bounds");
        }
        Ok(())
    }
}

impl fmt::Display for TimeConstants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [lo, hi] = self.range_ms();
        match self {
            Self::Shared(tau) => write!(f, "{tau} ms"),
            Self::PerUnit(_) => write!(f, "{lo} to {hi} ms, given for each unit"),
            Self::PerType(types) => {
                write!(f, "excitatory {}; inhibitory {}", types.e, types.i)
            }
            Self::Uniform(_) => write!(f, "{lo} to {hi} ms, uniform"),
            Self::LogNormal(law) => write!(
                f,
                "{lo} to {hi} ms, lognormal with median {} ms",
                law.median
            ),
            Self::Learned(learned) => {
                let whose = if learned.per_unit {
                    "each unit"
                } else {
                    "all units"
                };
                write!(f, "{lo} to {hi} ms, learned for {whose}")
            }
        }
    }
}

impl Serialize for TimeConstants {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fn table<S: Serializer, T: Serialize>(
            serializer: S,
            kind: usize,
            value: &T,
        ) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry(TimeConstants::KINDS[kind], value)?;
            map.end()
        }
        match self {
            Self::Shared(tau) => serializer.serialize_f64(*tau),
            Self::PerUnit(list) => list.serialize(serializer),
            Self::PerType(types) => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("e", &types.e)?;
                map.serialize_entry("i", &types.i)?;
                map.end()
            }
            Self::Uniform(bounds) => table(serializer, 0, bounds),
            Self::LogNormal(law) => table(serializer, 1, law),
            Self::Learned(learned) => table(serializer, 2, learned),
        }
    }
}

impl<'de> Deserialize<'de> for TimeConstants {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TimeConstantsVisitor)
    }
}

struct TimeConstantsVisitor;

impl<'de> Visitor<'de> for TimeConstantsVisitor {
    type Value = TimeConstants;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = TimeConstants::KINDS.join(", ");
        write!(
            f,
            "a number of milliseconds, a list of them, or a table with e and i or one of {kinds}"
        )
    }

    fn visit_f64<E: serde::de::Error>(self, tau: f64) -> Result<TimeConstants, E> {
        Ok(TimeConstants::Shared(tau))
    }

    fn visit_i64<E: serde::de::Error>(self, tau: i64) -> Result<TimeConstants, E> {
        Ok(TimeConstants::Shared(tau as f64))
    }

    fn visit_u64<E: serde::de::Error>(self, tau: u64) -> Result<TimeConstants, E> {
        Ok(TimeConstants::Shared(tau as f64))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<TimeConstants, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(TimeConstants::PerUnit)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TimeConstants, A::Error> {
        let Some(kind) = map.next_key::<String>()? else {
            return Err(A::Error::invalid_length(0, &self));
        };
        let found = match kind.as_str() {
            "e" | "i" => {
                let first = map.next_value()?;
                let other = if kind == "e" { "i" } else { "e" };
                if map.next_key::<String>()?.as_deref() != Some(other) {
                    return Err(A::Error::custom(format!(
                        "time constants of cell types are those of e and i, but {other} is missing"
                    )));
                }
                let second = map.next_value()?;
                let [e, i] = match other {
                    "i" => [first, second],
                    _ => [second, first],
                };
                TimeConstants::PerType(Box::new(PerType { e, i }))
            }
            "uniform" => TimeConstants::Uniform(map.next_value()?),
            "lognormal" => TimeConstants::LogNormal(map.next_value()?),
            "learned" => TimeConstants::Learned(map.next_value()?),
            _ => return Err(A::Error::unknown_variant(&kind, &TimeConstants::KINDS)),
        };
        match map.next_key::<String>()? {
            None => Ok(found),
            Some(second) => Err(A::Error::custom(format!(
                "time constants are either {kind} or {second}"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Activation, CtrnnModule, Forward, InitialState, WeightInit};

    type F64 = NdArray<f64>;

    fn law() -> LogNormal {
        LogNormal {
            median: 100.0,
            sigma: 0.5,
            min: 40.0,
            max: 400.0,
        }
    }

    fn learned(initial: f64, per_unit: bool) -> TimeConstants {
        TimeConstants::Learned(LearnedTimeConstants {
            initial: Box::new(initial.into()),
            bounds: [20.0, 500.0],
            per_unit,
        })
    }

    fn per_type(e: TimeConstants, i: TimeConstants) -> TimeConstants {
        TimeConstants::PerType(Box::new(PerType { e, i }))
    }

    /// Units under the constant input 1, without recurrence, from zero.
    fn leaky(config: CtrnnConfig) -> CtrnnModule<F64> {
        let mut config = CtrnnConfig {
            activation: Activation::Linear,
            initial_state: InitialState::Zero,
            ..config
        };
        config.init.recurrent = WeightInit::Zero;
        let n = config.n_units;
        let one = TensorData::new(vec![1.0; n], [n, 1]);
        let network = CtrnnModule::<F64>::init(&config, 0, &Default::default()).unwrap();
        network
            .with_weights(&[("input.weight".to_owned(), one)].into())
            .unwrap()
    }

    fn ones<B: Backend>(shape: [usize; 3]) -> Tensor<B, 3> {
        let values = vec![1.0; shape.iter().product()];
        host_tensor(TensorData::new(values, shape), &Default::default())
    }

    fn run(network: &CtrnnModule<F64>, steps: usize) -> Vec<f64> {
        let u = ones([1, steps, network.config().n_inputs]);
        let end = network.forward(u, &Forward::default()).final_state.activity;
        end.into_data().iter().collect()
    }

    /// v(t) = 1 - exp(-t / tau) for every unit, whatever dt: even one longer than tau.
    #[test]
    fn the_exponential_integrator_is_exact_for_leaky_units() {
        let tau_ms = vec![10.0, 50.0, 300.0];
        for (dt_ms, steps) in [(1.0, 60), (20.0, 3), (60.0, 1)] {
            let found = run(
                &leaky(CtrnnConfig {
                    dt_ms,
                    tau_ms: TimeConstants::PerUnit(tau_ms.clone()),
                    integrator: Integrator::Exponential,
                    ..CtrnnConfig::new(1, 3, 1)
                }),
                steps,
            );
            for (v, tau) in found.iter().zip(&tau_ms) {
                let expected = 1.0 - (-60.0 / tau).exp();
                assert!(
                    (v - expected).abs() < 1e-13,
                    "dt {dt_ms}: {v} is not {expected}"
                );
            }
        }
    }

    /// A recurrent network without noise: halving dt halves the change of its state.
    #[test]
    fn both_integrators_converge_with_first_order() {
        for integrator in Integrator::ALL {
            let end = |dt_ms: f64| {
                let config = CtrnnConfig {
                    dt_ms,
                    integrator,
                    activation: Activation::Tanh,
                    tau_ms: TimeConstants::Uniform([50.0, 200.0]),
                    initial_state: InitialState::Given(vec![0.5; 8]),
                    ..CtrnnConfig::new(1, 8, 1)
                };
                let network = CtrnnModule::<F64>::init(&config, 5, &Default::default()).unwrap();
                run(&network, (300.0 / dt_ms) as usize)
            };
            let distance = |a: &[f64], b: &[f64]| -> f64 {
                let squares = a.iter().zip(b).map(|(a, b)| (a - b).powi(2));
                squares.sum::<f64>().sqrt()
            };
            let [coarse, middle, fine] = [2.0, 1.0, 0.5].map(end);
            let order = (distance(&coarse, &middle) / distance(&middle, &fine)).log2();
            assert!((order - 1.0).abs() < 0.05, "{integrator:?}: order {order}");
        }
    }

    #[test]
    fn gains_agree_in_both_ways_of_computing_them() {
        for integrator in Integrator::ALL {
            for (dt_ms, tau_ms) in [(0.5, 500.0), (20.0, 100.0), (100.0, 100.0)] {
                let tau = constant::<F64>(tau_ms, 2, &Default::default());
                let gain: Vec<f64> = integrator.gain(dt_ms, tau).into_data().iter().collect();
                let expected = integrator.gain_of(dt_ms, tau_ms);
                assert!((gain[1] / expected - 1.0).abs() < 1e-14, "{integrator:?}");
            }
        }
    }

    #[test]
    fn drawn_time_constants_follow_their_law() {
        let uniform = TimeConstants::Uniform([50.0, 200.0]).draw(4000, &[], 1);
        let mean = uniform.iter().sum::<f64>() / 4000.0;
        assert!(uniform.iter().all(|tau| (50.0..=200.0).contains(tau)));
        assert!((mean - 125.0).abs() < 3.0, "{mean}"); // standard error 150 / sqrt(12 * 4000) = 0.7
        let lognormal = TimeConstants::LogNormal(law()).draw(4000, &[], 1);
        assert!(lognormal.iter().all(|tau| (40.0..=400.0).contains(tau)));
        // The cut takes 3.3 % below and 0.3 % above: P(tau < 100) = (0.5 - 0.0334) / 0.9638 = 0.484.
        let below = lognormal.iter().filter(|&&tau| tau < 100.0).count() as f64 / 4000.0;
        assert!((below - 0.484).abs() < 0.03, "{below}");
        let narrow = LogNormal {
            min: 90.0,
            max: 110.0,
            ..law()
        };
        let narrow = TimeConstants::LogNormal(narrow).draw(4000, &[], 1);
        assert!(narrow.iter().all(|tau| (90.0..=110.0).contains(tau)));
        assert_ne!(
            TimeConstants::LogNormal(law()).draw(5, &[], 1),
            TimeConstants::LogNormal(law()).draw(5, &[], 2)
        );
    }

    #[test]
    fn learned_time_constants_begin_where_they_are_told_and_never_leave_their_bounds() {
        for per_unit in [false, true] {
            let config = CtrnnConfig {
                tau_ms: learned(100.0, per_unit),
                ..CtrnnConfig::new(1, 3, 1)
            };
            let network = CtrnnModule::<F64>::init(&config, 0, &Default::default()).unwrap();
            let tau: Vec<f64> = network.tau_ms().into_data().iter().collect();
            assert_eq!(tau.len(), if per_unit { 3 } else { 1 });
            assert!(tau.iter().all(|tau| (tau - 100.0).abs() < 1e-9), "{tau:?}");
            for (raw, bound) in [(-1e6, 20.0), (1e6, 500.0)] {
                let raw = TensorData::new(vec![raw; tau.len()], [tau.len()]);
                let far = network
                    .clone()
                    .with_weights(&[("tau_raw".to_owned(), raw)].into())
                    .unwrap();
                let tau: Vec<f64> = far.tau_ms().into_data().iter().collect();
                assert!(tau.iter().all(|&tau| tau == bound), "{tau:?}");
            }
        }
    }

    #[test]
    fn time_constants_of_a_file_begin_the_learning() {
        let config = CtrnnConfig {
            tau_ms: learned(100.0, true),
            ..CtrnnConfig::new(1, 3, 1)
        };
        let network = CtrnnModule::<F64>::init(&config, 0, &Default::default()).unwrap();
        let given = |tau: Vec<f64>| {
            let shape = [tau.len()];
            let weights = [("tau_ms".to_owned(), TensorData::new(tau, shape))].into();
            network.clone().with_weights(&weights)
        };
        let tau: Vec<f64> = given(vec![50.0])
            .unwrap()
            .tau_ms()
            .into_data()
            .iter()
            .collect();
        assert!(tau.len() == 3 && tau.iter().all(|tau| (tau - 50.0).abs() < 1e-9));
        for wrong in [vec![500.0], vec![50.0, 60.0, 700.0], vec![50.0, 60.0]] {
            assert!(given(wrong).is_err());
        }
    }

    /// What is drawn survives the way out and in through single precision to the bit.
    #[test]
    fn drawn_and_learned_time_constants_survive_the_way_out_and_in() {
        let device = Default::default();
        for tau_ms in [
            TimeConstants::Uniform([50.0, 200.0]),
            TimeConstants::LogNormal(law()),
            TimeConstants::PerUnit(vec![30.1, 50.2, 70.3, 90.4]),
            learned(77.7, true),
            learned(77.7, false),
        ] {
            let config = CtrnnConfig {
                tau_ms,
                ..CtrnnConfig::new(2, 4, 1)
            };
            let network = CtrnnModule::<NdArray<f32>>::init(&config, 1, &device).unwrap();
            let weights = network.weights();
            let again = CtrnnModule::<NdArray<f32>>::from_weights(&config, &weights, &device);
            let again = again.unwrap();
            assert_eq!(again.weights(), weights);
            let gain = |n: &CtrnnModule<NdArray<f32>>| {
                n.forward(ones([1, 3, 2]), &Forward::default())
                    .outputs
                    .into_data()
            };
            assert_eq!(gain(&network), gain(&again));
        }
    }

    /// Unit 1 of three is inhibitory; drawn and learned time constants follow the cell types too.
    #[test]
    fn each_cell_type_has_its_own() {
        let network = |tau_ms| {
            let mut config = CtrnnConfig {
                tau_ms,
                ..CtrnnConfig::new(1, 3, 1)
            };
            config.connectivity.dale = Some(crate::Dale {
                units: crate::UnitSigns::Given(vec![1.0, -1.0, 1.0]),
                ..Default::default()
            });
            CtrnnModule::<F64>::init(&config, 0, &Default::default())
        };
        let tau_of = |tau_ms| -> Vec<f64> {
            let network = network(tau_ms).unwrap();
            let again = CtrnnModule::<F64>::from_weights(
                network.config(),
                &network.weights(),
                &Default::default(),
            );
            let tau = again.unwrap().tau_ms().into_data();
            assert_eq!(tau, network.tau_ms().into_data());
            tau.iter().collect()
        };
        let given = per_type(100.0.into(), 50.0.into());
        assert_eq!(tau_of(given.clone()), [100.0, 50.0, 100.0]);
        let drawn = tau_of(per_type(TimeConstants::Uniform([90.0, 110.0]), 50.0.into()));
        assert!((90.0..110.0).contains(&drawn[0]) && drawn[0] != drawn[2]);
        assert_eq!(drawn[1], 50.0);
        let learned = tau_of(TimeConstants::Learned(LearnedTimeConstants {
            initial: Box::new(given.clone()),
            bounds: [20.0, 500.0],
            per_unit: true,
        }));
        for (found, expected) in learned.iter().zip([100.0, 50.0, 100.0]) {
            assert!((found - expected).abs() < 1e-9, "{learned:?}");
        }

        let mut weights = network(given.clone()).unwrap().weights();
        let swapped = TensorData::new(vec![50.0, 100.0, 100.0], [3]);
        weights.insert(TAU_MS.to_owned(), swapped);
        let config = network(given.clone()).unwrap().config().clone();
        assert!(CtrnnModule::<F64>::from_weights(&config, &weights, &Default::default()).is_err());

        let without_types = CtrnnConfig {
            tau_ms: given,
            ..CtrnnConfig::new(1, 3, 1)
        };
        let error = without_types.check().unwrap_err().to_string();
        assert!(error.contains("Dale's law"), "{error}");
    }

    #[test]
    fn a_trained_network_runs_at_another_dt() {
        let config = CtrnnConfig {
            tau_ms: learned(100.0, true),
            ..CtrnnConfig::new(1, 2, 1)
        };
        let network = leaky(config);
        let end = |dt_ms: f64, steps| run(&network.clone().with_dt_ms(dt_ms).unwrap(), steps)[0];
        let exact = 1.0 - (-1.0f64).exp();
        assert!((end(20.0, 5) - exact).abs() > 10.0 * (end(1.0, 100) - exact).abs());
        assert!(network.with_dt_ms(50.0).is_err()); // a learned tau may be 20 ms
    }

    #[test]
    fn files_hold_every_kind() {
        for (text, expected) in [
            ("100.0", TimeConstants::Shared(100.0)),
            ("[50.0,100.0]", TimeConstants::PerUnit(vec![50.0, 100.0])),
            (
                r#"{"e":100.0,"i":50.0}"#,
                per_type(100.0.into(), 50.0.into()),
            ),
            (
                r#"{"uniform":[50.0,200.0]}"#,
                TimeConstants::Uniform([50.0, 200.0]),
            ),
            (
                r#"{"lognormal":{"median":100.0,"sigma":0.5,"min":40.0,"max":400.0}}"#,
                TimeConstants::LogNormal(law()),
            ),
            (
                r#"{"learned":{"initial":100.0,"bounds":[20.0,500.0],"per_unit":false}}"#,
                learned(100.0, false),
            ),
        ] {
            assert_eq!(
                serde_json::from_str::<TimeConstants>(text).unwrap(),
                expected
            );
            assert_eq!(serde_json::to_string(&expected).unwrap(), text);
        }
        let short = r#"{"learned":{"initial":100,"bounds":[20,500]}}"#;
        let found: TimeConstants = serde_json::from_str(short).unwrap();
        assert_eq!(found, learned(100.0, true));
        for wrong in [
            r#""fast""#,
            "{}",
            r#"{"unifrom":[1,2]}"#,
            r#"{"uniform":[1,2],"x":1}"#,
            r#"{"e":1}"#,
            r#"{"e":1,"i":2,"x":3}"#,
        ] {
            assert!(
                serde_json::from_str::<TimeConstants>(wrong).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn rules_of_time_constants() {
        let within = |initial: TimeConstants, per_unit| {
            TimeConstants::Learned(LearnedTimeConstants {
                initial: Box::new(initial),
                bounds: [20.0, 500.0],
                per_unit,
            })
        };
        for (tau_ms, rule) in [
            (TimeConstants::Shared(0.0), "above 0"),
            (TimeConstants::Shared(f64::NAN), "above 0"),
            (TimeConstants::PerUnit(vec![100.0]), "for each unit"),
            (TimeConstants::Uniform([200.0, 50.0]), "smaller bound first"),
            (per_type(10.0.into(), 50.0.into()), "shorter than dt_ms"),
            (
                per_type(100.0.into(), TimeConstants::PerUnit(vec![50.0; 3])),
                "a number, uniform or lognormal",
            ),
            (
                TimeConstants::Shared(10.0),
                "must not be shorter than dt_ms",
            ),
            (within(500.0.into(), true), "strictly within"),
            (within(learned(100.0, true), true), "must not be learned"),
            (
                within(TimeConstants::PerUnit(vec![50.0; 3]), false),
                "must be one number",
            ),
            (
                TimeConstants::LogNormal(LogNormal {
                    sigma: 0.0,
                    ..law()
                }),
                "sigma above 0",
            ),
            (
                TimeConstants::LogNormal(LogNormal {
                    median: 10.0,
                    ..law()
                }),
                "median within",
            ),
        ] {
            let error = tau_ms.check(3, 20.0).unwrap_err().to_string();
            assert!(error.contains(rule), "{error}");
        }
        assert_eq!(TimeConstants::Shared(10.0).check(3, 0.0), Ok(()));
    }
}
