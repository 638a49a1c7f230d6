//! Resolved constraints of one weight matrix: on the host, where weights are drawn and checked, and as tensors, where they are
//! trained.

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

use crate::connectivity::Matrix;
use crate::{CtrnnConfig, ModelError, Parametrization, Weights, host_tensor};

/// Relative tolerance between an effective weight of a file and the one computed from its raw weight: rounding of single precision.
const AGREEMENT: f64 = 1e-6;

/// Constraints on the weights of one matrix `[post, pre]`. Arrays are row-major; an absent one constrains nothing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Constraints {
    pub matrix: Matrix,
    pub shape: [usize; 2],
    /// 1 where a connection exists, fixed or plastic; else 0.
    pub mask: Option<Vec<f64>>,
    /// Sign of each presynaptic unit, +1 or -1, and the parametrization that keeps it.
    pub signs: Option<(Vec<f64>, Parametrization)>,
    /// Fixed weights; 0 where a weight is not fixed at another value.
    pub fixed: Option<Vec<f64>>,
    /// Factor of every update.
    pub plasticity: Option<Vec<f64>>,
}

impl Constraints {
    /// Returns the constraints of a matrix with this mask.
    pub fn new(config: &CtrnnConfig, matrix: Matrix, mask: Option<Vec<f64>>) -> Self {
        let connections = config.connectivity.of(matrix);
        Self {
            matrix,
            shape: matrix.shape(config),
            mask,
            signs: config.signs(matrix).zip(config.parametrization(matrix)),
            fixed: connections.fixed.clone(),
            plasticity: connections.plasticity.clone(),
        }
    }

    /// Returns the constraints of a matrix whose weights are given: a random mask is the one given with them.
    ///
    /// # Errors
    /// Names the array that is missing or contradicts the configuration.
    pub fn of(config: &CtrnnConfig, matrix: Matrix, weights: &Weights) -> Result<Self, ModelError> {
        let possible = config.possible(matrix);
        let given = weights.get(&matrix.array("mask")).map(host_values);
        let mask = match (given, config.has_drawn_connections(matrix)) {
            (None, true) => return Err(missing(matrix.array("mask"))),
            (None, false) => possible,
            (Some(mask), true) => {
                check_drawn_mask(&mask, config, matrix)?;
                Some(mask)
            }
            (Some(mask), false) => {
                let differs = |k: usize| mask[k] != possible.as_ref().map_or(1.0, |p| p[k]);
                match (0..mask.len()).find(|&k| differs(k)) {
                    Some(k) => return Err(contradiction(matrix.array("mask"), k, mask[k])),
                    None => possible,
                }
            }
        };
        let constraints = Self::new(config, matrix, mask);
        constraints.check_given(weights)?;
        Ok(constraints)
    }

    /// Checks that signs and fixed weights of a file agree with the configuration, which determines them.
    fn check_given(&self, weights: &Weights) -> Result<(), ModelError> {
        let signs = self.signs.as_ref().map(|(signs, _)| signs);
        for (what, own) in [("sign", signs), ("fixed", self.fixed.as_ref())] {
            let name = self.matrix.array(what);
            let Some(given) = weights.get(&name).map(host_values) else {
                continue;
            };
            let own = |k: usize| own.map_or(0.0, |own| own[k]);
            let agrees = |k: usize, x: f64| x == own(k) || x == f64::from(own(k) as f32);
            if let Some(k) = (0..given.len()).find(|&k| !agrees(k, given[k])) {
                return Err(contradiction(name, k, given[k]));
            }
        }
        Ok(())
    }

    /// Returns true if nothing is constrained.
    pub fn is_none(&self) -> bool {
        self.mask.is_none()
            && self.signs.is_none()
            && self.fixed.is_none()
            && self.plasticity.is_none()
    }

    /// Returns true if entry k is a connection that is trained.
    pub fn is_plastic(&self, k: usize) -> bool {
        let exists = self.mask.as_ref().is_none_or(|mask| mask[k] == 1.0);
        exists && self.fixed_weight(k) == 0.0
    }

    /// Returns the number of weights that training can change.
    pub fn n_free(&self) -> usize {
        let moves = |k: usize| self.plasticity.as_ref().is_none_or(|rate| rate[k] > 0.0);
        (0..self.shape[0] * self.shape[1])
            .filter(|&k| self.is_plastic(k) && moves(k))
            .count()
    }

    /// Returns the constraints in words.
    pub fn words(&self) -> Vec<String> {
        let size: usize = self.shape.iter().product();
        let mut words = Vec::new();
        if let Some(parametrization) = self.parametrization() {
            words.push(parametrization.name().to_owned());
        }
        if let Some(mask) = &self.mask {
            let n = mask.iter().filter(|&&x| x == 1.0).count();
            words.push(format!("{n} of {size} connections"));
        }
        if let Some(fixed) = &self.fixed {
            let n = fixed.iter().filter(|&&w| w != 0.0).count();
            words.push(format!("{n} fixed"));
        }
        words.extend(self.plasticity.as_deref().map(range_of_plasticity));
        words
    }

    /// Returns the fixed weight of entry k; 0 if there is none.
    pub fn fixed_weight(&self, k: usize) -> f64 {
        self.fixed.as_ref().map_or(0.0, |fixed| fixed[k])
    }

    /// Returns the sign of entry k, if it has one.
    pub fn sign(&self, k: usize) -> Option<f64> {
        self.signs
            .as_ref()
            .map(|(signs, _)| signs[k % self.shape[1]])
    }

    fn parametrization(&self) -> Option<Parametrization> {
        self.signs
            .as_ref()
            .map(|(_, parametrization)| *parametrization)
    }

    /// Returns the effective weight of entry k with the raw weight `raw`.
    pub fn effective(&self, k: usize, raw: f64) -> f64 {
        if !self.is_plastic(k) {
            return self.fixed_weight(k);
        }
        let sign = self.sign(k).unwrap_or(1.0);
        match self.parametrization() {
            None | Some(Parametrization::Clamp) => raw,
            Some(Parametrization::Abs) => sign * raw.abs(),
            Some(Parametrization::Rectify) => sign * raw.max(0.0),
            Some(Parametrization::Square) => sign * raw * raw,
        }
    }

    /// Returns the raw weights behind effective ones that obey the constraints; 0 where nothing is trained.
    pub fn raw(&self, effective: &[f64]) -> Vec<f64> {
        let raw = |(k, &weight): (usize, &f64)| match self.parametrization() {
            _ if !self.is_plastic(k) => 0.0,
            None | Some(Parametrization::Clamp) => weight,
            Some(Parametrization::Abs | Parametrization::Rectify) => weight.abs(),
            Some(Parametrization::Square) => weight.abs().sqrt(),
        };
        effective.iter().enumerate().map(raw).collect()
    }

    /// Checks that effective weights obey the constraints.
    ///
    /// # Errors
    /// Names the first weight that does not.
    pub fn check_effective(&self, name: &str, effective: &[f64]) -> Result<(), ModelError> {
        for (k, &weight) in effective.iter().enumerate() {
            let fixed = self.fixed_weight(k);
            let reason = if self.is_plastic(k) {
                match self.sign(k) {
                    Some(sign) if sign * weight < 0.0 => {
                        "has another sign than its presynaptic unit"
                    }
                    _ => continue,
                }
            } else if weight == fixed || weight == f64::from(fixed as f32) {
                continue;
            } else if fixed == 0.0 {
                "stands where there is no connection"
            } else {
                "is fixed at another value"
            };
            return Err(self.broken(name, k, weight, reason));
        }
        Ok(())
    }

    /// Returns the raw weights of a file that holds raw weights, effective ones, or both.
    ///
    /// # Errors
    /// If neither is there, or a weight breaks a rule, or the two do not belong together.
    pub fn raw_of(&self, weights: &Weights) -> Result<Vec<f64>, ModelError> {
        let (name, raw_name) = (self.matrix.array("weight"), self.matrix.array("weight_raw"));
        let effective = weights.get(&name).map(host_values);
        if let Some(effective) = &effective {
            self.check_effective(&name, effective)?;
        }
        match (weights.get(&raw_name).map(host_values), effective) {
            (None, None) => Err(missing(name)),
            (None, Some(effective)) => Ok(self.raw(&effective)),
            (Some(raw), effective) => {
                if self.parametrization() == Some(Parametrization::Clamp) {
                    let plastic = |(k, &w): (usize, &f64)| self.effective(k, w);
                    let acting: Vec<f64> = raw.iter().enumerate().map(plastic).collect();
                    self.check_effective(&raw_name, &acting)?;
                }
                if let Some(effective) = effective {
                    self.check_agreement(&name, &raw, &effective)?;
                }
                Ok(raw)
            }
        }
    }

    fn check_agreement(
        &self,
        name: &str,
        raw: &[f64],
        effective: &[f64],
    ) -> Result<(), ModelError> {
        for (k, (&raw, &found)) in raw.iter().zip(effective).enumerate() {
            let expected = self.effective(k, raw);
            let bound = AGREEMENT * expected.abs().max(found.abs()) + f64::from(f32::MIN_POSITIVE);
            if (found - expected).abs() > bound {
                return Err(self.broken(name, k, found, "is not what weight_raw gives"));
            }
        }
        Ok(())
    }

    fn broken(&self, name: &str, k: usize, weight: f64, reason: &str) -> ModelError {
        let [_, pre] = self.shape;
        ModelError::Contradiction {
            name: name.to_owned(),
            reason: format!("{} at [{}, {}] {reason}", weight as f32, k / pre, k % pre),
        }
    }

    /// Returns mask, signs and fixed weights as weight files hold them.
    pub fn arrays(&self) -> Weights {
        let [post, pre] = self.shape;
        let mut arrays = Weights::new();
        let mut put = |what: &str, values: Option<&Vec<f64>>, shape: Vec<usize>| {
            if let Some(values) = values {
                arrays.insert(
                    self.matrix.array(what),
                    TensorData::new(values.clone(), shape),
                );
            }
        };
        put("mask", self.mask.as_ref(), vec![post, pre]);
        put(
            "sign",
            self.signs.as_ref().map(|(signs, _)| signs),
            vec![pre],
        );
        put("fixed", self.fixed.as_ref(), vec![post, pre]);
        arrays
    }
}

/// Checks that a drawn mask has the number of connections that densities and degrees ask for, all of them possible ones.
fn check_drawn_mask(mask: &[f64], config: &CtrnnConfig, matrix: Matrix) -> Result<(), ModelError> {
    let possible = config.possible(matrix);
    let fixed = config.connectivity.of(matrix).fixed.as_ref();
    let choices = config.choices(matrix, possible.as_deref());
    let mut is_candidate = vec![false; mask.len()];
    let candidates = choices.iter().flat_map(|choice| &choice.candidates);
    candidates.for_each(|&k| is_candidate[k] = true);
    let is_wrong = |k: usize| {
        let x = mask[k];
        let is_possible = possible.as_ref().is_none_or(|p| p[k] == 1.0);
        let is_fixed = fixed.is_some_and(|fixed| fixed[k] != 0.0);
        !(x == 1.0 && is_possible
            || x == 0.0 && is_candidate[k] && !is_fixed
            || x == 0.0 && !is_possible)
    };
    if let Some(k) = (0..mask.len()).find(|&k| is_wrong(k)) {
        return Err(contradiction(matrix.array("mask"), k, mask[k]));
    }
    for choice in choices {
        let found = choice
            .candidates
            .iter()
            .filter(|&&k| mask[k] == 1.0)
            .count();
        if found != choice.count {
            let asked = choice.count;
            return Err(ModelError::Contradiction {
                name: matrix.array("mask"),
                reason: format!(
                    "it has {found} connections, the configured density asks for {asked}"
                ),
            });
        }
    }
    Ok(())
}

fn host_values(data: &TensorData) -> Vec<f64> {
    data.iter::<f64>().collect()
}

fn missing(name: String) -> ModelError {
    ModelError::MissingTensor { name }
}

fn contradiction(name: String, index: usize, found: f64) -> ModelError {
    ModelError::Contradiction {
        name,
        reason: format!(
            "{} at index {index} is not what the configuration says",
            found as f32
        ),
    }
}

/// Constraints of one weight matrix, as tensors.
#[derive(Module, Debug)]
pub struct Synapses<B: Backend> {
    /// 0 where nothing is trained; else 1, or the sign of the column where the parametrization needs it; `[post, pre]`.
    factor: Option<Tensor<B, 2>>,
    /// Fixed weights `[post, pre]`.
    fixed: Option<Tensor<B, 2>>,
    /// Factor of every update `[post, pre]`.
    plasticity: Option<Tensor<B, 2>>,
    /// Sign of every column `[1, pre]`, where updates are projected onto it.
    projected: Option<Tensor<B, 2>>,
    #[module(skip)]
    parametrization: Option<Parametrization>,
    #[module(skip)]
    constraints: Arc<Constraints>,
}

impl<B: Backend> Synapses<B> {
    pub(crate) fn new(constraints: Constraints, device: &B::Device) -> Self {
        let [post, pre] = constraints.shape;
        let tensor = |values: Vec<f64>, shape: [usize; 2]| {
            host_tensor::<B, 2>(TensorData::new(values, shape), device)
        };
        let parametrization = constraints.parametrization();
        let is_clamped = parametrization == Some(Parametrization::Clamp);
        let is_signed = parametrization.is_some() && !is_clamped;
        let factor = |k: usize| {
            if !constraints.is_plastic(k) {
                0.0
            } else if is_signed {
                constraints.sign(k).unwrap_or(1.0)
            } else {
                1.0
            }
        };
        let has_factor = is_signed || constraints.mask.is_some() || constraints.fixed.is_some();
        let clamped = constraints.signs.clone().filter(|_| is_clamped);
        Self {
            factor: has_factor.then(|| tensor((0..post * pre).map(factor).collect(), [post, pre])),
            fixed: constraints.fixed.clone().map(|f| tensor(f, [post, pre])),
            plasticity: constraints
                .plasticity
                .clone()
                .map(|p| tensor(p, [post, pre])),
            projected: clamped.map(|(signs, _)| tensor(signs, [1, pre])),
            parametrization,
            constraints: Arc::new(constraints),
        }
    }

    pub(crate) fn constraints(&self) -> &Constraints {
        &self.constraints
    }

    /// Returns the effective weights of raw ones.
    ///
    /// ```text
    /// W = w slope + offset        slope = dW/dw at w, offset = W - w slope, both held constant
    /// ```
    /// so that the gradient reaches the tracked `w` by a single path. `abs` and `rectify` have the slope s at zero.
    pub fn effective(&self, raw: Tensor<B, 2>) -> Tensor<B, 2> {
        let plastic = match &self.factor {
            None => raw,
            Some(factor) => {
                let (slope, offset) = self.tangent(raw.clone().detach(), factor.clone());
                add(raw * slope, offset)
            }
        };
        add(plastic, self.fixed.clone())
    }

    /// Returns the slope and offset of the effective weights at `raw`.
    fn tangent(
        &self,
        raw: Tensor<B, 2>,
        factor: Tensor<B, 2>,
    ) -> (Tensor<B, 2>, Option<Tensor<B, 2>>) {
        // 1 from zero on, -1 below: `sign` alone is 0 at zero.
        let direction = |raw: Tensor<B, 2>| (raw.sign() * 2.0 + 1.0).sign();
        match self.parametrization {
            None | Some(Parametrization::Clamp) => (factor, None),
            Some(Parametrization::Abs) => (direction(raw) * factor, None),
            Some(Parametrization::Rectify) => ((direction(raw) + 1.0) * 0.5 * factor, None),
            // 2 s w w - s w w: the difference of a number and its half is exact.
            Some(Parametrization::Square) => {
                let slope = raw.clone() * factor;
                (slope.clone() * 2.0, Some((raw * slope).neg()))
            }
        }
    }

    /// Returns the gradients of the raw weights, set to zero where the plasticity is zero.
    pub fn plastic_gradient(&self, gradient: Tensor<B, 2>) -> Tensor<B, 2> {
        match &self.plasticity {
            Some(factors) => plastic_gradient(gradient, factors.clone()),
            None => gradient,
        }
    }

    /// Returns the raw weights after an update that an optimizer proposes: `w + plasticity (proposed - w)`, then the projection.
    pub fn settle(&self, before: Tensor<B, 2>, proposed: Tensor<B, 2>) -> Tensor<B, 2> {
        let project = |w: Tensor<B, 2>| match &self.projected {
            Some(signs) => relu(w * signs.clone()) * signs.clone(),
            None => w,
        };
        match &self.plasticity {
            None => project(proposed),
            Some(factors) => scaled_update(before, proposed, factors.clone(), project),
        }
    }

    /// Returns true if updates have factors of their own.
    pub const fn has_plasticity(&self) -> bool {
        self.plasticity.is_some()
    }

    /// Returns true if an optimizer's proposals pass unchanged.
    pub fn accepts_any_update(&self) -> bool {
        self.plasticity.is_none() && self.projected.is_none()
    }
}

/// Returns a gradient, set to zero where the factor of an update is zero.
pub fn plastic_gradient<B: Backend, const D: usize>(
    gradient: Tensor<B, D>,
    factors: Tensor<B, D>,
) -> Tensor<B, D> {
    gradient.mask_fill(factors.equal_elem(0.0), 0.0)
}

/// Returns the values after an update that an optimizer proposes, with a factor for each entry: `before + factor (proposed - before)`,
/// projected. Entries with the factor 0 keep every bit.
pub fn scaled_update<B: Backend, const D: usize>(
    before: Tensor<B, D>,
    proposed: Tensor<B, D>,
    factors: Tensor<B, D>,
    project: impl Fn(Tensor<B, D>) -> Tensor<B, D>,
) -> Tensor<B, D> {
    let kept = before.clone() * (factors.clone().neg() + 1.0);
    let next = project(kept + proposed * factors.clone());
    next.mask_where(factors.equal_elem(0.0), before)
}

fn add<B: Backend>(x: Tensor<B, 2>, y: Option<Tensor<B, 2>>) -> Tensor<B, 2> {
    match y {
        Some(y) => x + y,
        None => x,
    }
}

/// Describes factors of updates: "plasticity 0 to 1".
pub(crate) fn range_of_plasticity(factors: &[f64]) -> String {
    let most = factors.iter().copied().fold(0.0, f64::max);
    let least = factors.iter().copied().fold(most, f64::min);
    format!("plasticity {least} to {most}")
}
