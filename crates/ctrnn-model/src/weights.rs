//! Tensors of a network by name: drawn, checked, loaded, returned.

use burn::tensor::TensorData;
use burn::tensor::backend::Backend;

use crate::connectivity::Matrix;
use crate::initial_state::CARRIED_STATE;
use crate::low_rank::RAW;
use crate::parameters::{CONDITION_VALUES, TAU_MS, host_tensor};
use crate::synapses::{Constraints, Synapses};
use crate::{
    CtrnnConfig, CtrnnModule, InitialState, LowRank, ModelError, Parameter, ParameterSpec, Weights,
    init, low_rank,
};

impl CtrnnConfig {
    /// Draws the initial network of `seed`. Biases and a learned initial state begin at zero.
    ///
    /// # Errors
    /// If [`CtrnnConfig::check`] refuses the configuration, or a spectral radius is asked of a matrix that has none.
    ///
    /// ```
    /// use burn::backend::NdArray;
    /// use ctrnn_model::CtrnnConfig;
    /// let network = CtrnnConfig::new(3, 64, 2).init::<NdArray>(42, &Default::default())?;
    /// assert_eq!(network.w_rc_raw.dims(), [64, 64]);
    /// # Ok::<(), ctrnn_model::ModelError>(())
    /// ```
    pub fn init<B: Backend>(
        &self,
        seed: u64,
        device: &B::Device,
    ) -> Result<CtrnnModule<B>, ModelError> {
        self.check()?;
        let mut weights = init::draw(self, seed)?;
        let mut put = |p: Parameter, values: Vec<f64>| {
            weights.insert(p.name(), TensorData::new(values, p.shape(self)));
        };
        for p in [
            Parameter::RECURRENT_BIAS,
            Parameter::OUTPUT_BIAS,
            Parameter::INITIAL_STATE,
        ] {
            if p.is_trained(self) {
                put(p, vec![0.0; p.shape(self).iter().product()]);
            }
        }
        let signs = self.unit_signs().unwrap_or_default();
        let tau_ms = self.tau_ms.draw(self.n_units, &signs, seed);
        let tau_ms = TensorData::new(tau_ms.clone(), [tau_ms.len()]);
        weights.insert(TAU_MS.to_owned(), tau_ms);
        CtrnnModule::from_weights(self, &weights, device)
    }
}

impl<B: Backend> CtrnnModule<B> {
    /// Builds the network with these weights, as [`CtrnnModule::weights`] returns them; nothing is drawn.
    ///
    /// # Errors
    /// If [`CtrnnConfig::check`] refuses the configuration; otherwise names the tensor that is missing, unknown, has another shape,
    /// is not finite, or contradicts the configuration.
    pub fn from_weights(
        config: &CtrnnConfig,
        weights: &Weights,
        device: &B::Device,
    ) -> Result<Self, ModelError> {
        config.check()?;
        check(weights, config)?;
        let factor = |p: Parameter| -> Result<_, ModelError> {
            Ok(match config.low_rank {
                Some(_) => Some(p.part(host_tensor(find(weights, p)?, device), config)),
                None => None,
            })
        };
        let (left, right) = (
            factor(Parameter::RECURRENT_LEFT)?,
            factor(Parameter::RECURRENT_RIGHT)?,
        );
        let vector = |p: Parameter| -> Result<_, ModelError> {
            Ok(if p.is_trained(config) {
                Some(p.param(host_tensor(find(weights, p)?, device)))
            } else {
                None
            })
        };
        let matrix = |matrix: Matrix| -> Result<_, ModelError> {
            let constraints = Constraints::of(config, matrix, weights)?;
            let raw = match &config.low_rank {
                Some(factors) if matrix == Matrix::Recurrent => {
                    full_matrix(config, factors, weights)?
                }
                _ => TensorData::new(constraints.raw_of(weights)?, constraints.shape),
            };
            let raw = matrix.parameter().part(host_tensor(raw, device), config);
            Ok((raw, Synapses::new(constraints, device)))
        };
        let (w_in_raw, input) = matrix(Matrix::Input)?;
        let (w_rc_raw, recurrent) = matrix(Matrix::Recurrent)?;
        let (w_out_raw, output) = matrix(Matrix::Output)?;
        let is_shared = Parameter::INITIAL_STATE.shape(config).len() == 1;
        let tau_raw = match config.tau_ms.learned() {
            Some(learned) => {
                let raw = learned.raw_of(weights, config.n_units)?;
                Some(Parameter::TIME_CONSTANTS.param(host_tensor(raw, device)))
            }
            None => None,
        };
        Ok(Self {
            w_in_raw,
            w_rc_raw,
            left,
            right,
            bias: vector(Parameter::RECURRENT_BIAS)?,
            w_out_raw,
            bias_out: vector(Parameter::OUTPUT_BIAS)?,
            initial_state: if is_shared {
                vector(Parameter::INITIAL_STATE)?
            } else {
                None
            },
            condition_states: if is_shared {
                None
            } else {
                let states = find(weights, Parameter::INITIAL_STATE)?;
                Some(Parameter::INITIAL_STATE.param(host_tensor(states, device)))
            },
            tau_raw,
            fixed_tau_ms: config.tau_ms.of(
                weights,
                config.n_units,
                &config.unit_signs().unwrap_or_default(),
            )?,
            carried_state: CARRIED_STATE.map(|name| weights.get(name).cloned()).all(),
            condition_values: weights
                .iter()
                .filter(|(name, _)| name.starts_with(CONDITION_VALUES))
                .map(|(name, values)| (name.clone(), values.clone()))
                .collect(),
            noise_factor: config
                .noise
                .preactivation
                .factor()
                .expect("the configuration has been checked"),
            input,
            recurrent,
            output,
            config: config.clone(),
        })
    }

    /// Replaces those parameters of the network that `weights` names. A matrix may be given by its effective
    /// weights, by its raw ones, or by both.
    ///
    /// A recurrent matrix that is the product of two factors alone takes effective weights without factors, too: it becomes the matrix
    /// of its rank that is nearest to them, with factors from the largest singular values and their vectors.
    ///
    /// # Errors
    /// Names the tensor that is unknown, has another shape, is not finite, or contradicts the configuration.
    pub fn with_weights(self, weights: &Weights) -> Result<Self, ModelError> {
        let (mut all, mut given) = (self.weights(), weights.clone());
        if let Some(factors) = &self.config.low_rank {
            give_way_to_factors(&mut all, &mut given, &self.config, factors)?;
        }
        let is_single =
            |matrix: &Matrix| *matrix != Matrix::Recurrent || self.config.low_rank.is_none();
        for matrix in Matrix::ALL.into_iter().filter(is_single) {
            let names = ["weight", RAW].map(|what| matrix.array(what));
            if names.iter().any(|name| weights.contains_key(name)) {
                all.retain(|name, _| !names.contains(name));
            }
        }
        if weights.contains_key(TAU_MS) {
            all.remove(&Parameter::TIME_CONSTANTS.name()); // it follows from the time constants that are given
        }
        all.extend(given);
        Self::from_weights(&self.config, &all, &self.device())
    }

    /// Returns every tensor of the network by name, as weight files hold them: the parameters (zeros or the given values where a
    /// parameter is not trained), `tau_ms [1 or N]` and, where the network has them, `tau_raw`, `carried_state [B,N]` and the
    /// values of conditions ([`CONDITION_VALUES`]). The `weight` of a constrained matrix is the effective one, accompanied by
    /// `weight_raw`, `mask`, `sign` and `fixed`; that of a recurrent matrix of low rank by `left` and `right`, and by `weight_raw`,
    /// its full matrix, if it has one.
    pub fn weights(&self) -> Weights {
        let mut weights = Weights::new();
        let mut put = |p: Parameter, data: TensorData| weights.insert(p.name(), data);
        for matrix in Matrix::ALL {
            put(matrix.parameter(), self.effective_weights(matrix).to_data());
        }
        for (parameter, factor) in [
            (Parameter::RECURRENT_LEFT, &self.left),
            (Parameter::RECURRENT_RIGHT, &self.right),
        ] {
            if let Some(factor) = factor {
                put(parameter, factor.val().to_data());
            }
        }
        put(Parameter::RECURRENT_BIAS, self.bias_value().to_data());
        put(Parameter::OUTPUT_BIAS, self.bias_out_value().to_data());
        let initial_state = match &self.condition_states {
            Some(states) => states.to_data(),
            None => self.shared_initial_state().to_data(),
        };
        put(Parameter::INITIAL_STATE, initial_state);
        if let Some(raw) = &self.tau_raw {
            put(Parameter::TIME_CONSTANTS, raw.to_data());
        }
        if let Some(state) = &self.carried_state {
            let named = CARRIED_STATE.zip(state.clone()).into_array();
            weights.extend(named.map(|(name, data)| (name.to_owned(), data)));
        }
        weights.extend(self.condition_values.clone());
        weights.insert(TAU_MS.to_owned(), self.tau_ms().to_data());
        for matrix in Matrix::ALL {
            weights.extend(self.constraint_arrays(matrix));
        }
        weights
    }

    fn constraint_arrays(&self, matrix: Matrix) -> Weights {
        let constraints = self.synapses(matrix).constraints();
        let factors = self.config.low_rank.as_ref();
        let is_full_part = matrix == Matrix::Recurrent && factors.is_some_and(LowRank::has_full);
        if constraints.is_none() && !is_full_part {
            return Weights::new();
        }
        let mut arrays = constraints.arrays();
        let raw = self.raw_weights(matrix).to_data();
        arrays.insert(matrix.array(RAW), raw);
        arrays
            .into_iter()
            .map(|(name, data)| (name, data.convert::<B::FloatElem>()))
            .collect()
    }
}

/// Returns the full matrix to which the product of the factors is added, `[0,N]` if there is none.
fn full_matrix(
    config: &CtrnnConfig,
    factors: &LowRank,
    weights: &Weights,
) -> Result<TensorData, ModelError> {
    let name = Matrix::Recurrent.array(RAW);
    let full = match weights.get(&name) {
        Some(full) if factors.has_full() => full.clone(),
        None if factors.has_full() => return Err(ModelError::MissingTensor { name }),
        Some(_) => {
            return Err(ModelError::Contradiction {
                name,
                reason: "the recurrent matrix is the product of its factors alone".to_owned(),
            });
        }
        None => TensorData::new(Vec::<f64>::new(), [0, config.n_units]),
    };
    low_rank::check_product(config, factors.rank, weights)?;
    Ok(full)
}

/// Removes from the own weights of a network of low rank what follows from given ones, and turns a given matrix without factors into
/// factors; see [`CtrnnModule::with_weights`].
fn give_way_to_factors(
    own: &mut Weights,
    given: &mut Weights,
    config: &CtrnnConfig,
    factors: &LowRank,
) -> Result<(), ModelError> {
    let effective = Parameter::RECURRENT_WEIGHT.name();
    let [left, right] =
        [Parameter::RECURRENT_LEFT, Parameter::RECURRENT_RIGHT].map(Parameter::name);
    let full = Matrix::Recurrent.array(RAW);
    let has_parts = [&left, &right, &full]
        .into_iter()
        .any(|name| given.contains_key(name));
    if has_parts {
        own.remove(&effective);
        return Ok(());
    }
    let Some(matrix) = given.remove(&effective) else {
        return Ok(());
    };
    check_shape(&effective, &matrix, &Matrix::Recurrent.shape(config))?;
    check_finite(&effective, &matrix)?;
    if factors.has_full() {
        return Err(ModelError::Contradiction {
            name: effective,
            reason: format!(
                "the sum of a full matrix and a product does not say what they are; give {left}, {right} and {full}"
            ),
        });
    }
    let found = low_rank::nearest_factors(&matrix, config.n_units, factors.rank)?;
    given.extend([left, right].into_iter().zip(found));
    own.remove(&effective);
    Ok(())
}

/// Returns the weights of a parameter.
fn find(weights: &Weights, parameter: Parameter) -> Result<TensorData, ModelError> {
    let found = weights.get(&parameter.name()).cloned();
    found.ok_or_else(|| ModelError::MissingTensor {
        name: parameter.name(),
    })
}

/// Checks that `weights` fits a network: known names, right shapes, finite values, nothing that contradicts the
/// configuration. Names may be absent.
fn check(weights: &Weights, config: &CtrnnConfig) -> Result<(), ModelError> {
    let parameters = config.parameters();
    for (name, data) in weights {
        if name.starts_with(CONDITION_VALUES) {
            check_condition_values(name, data, config)?;
            continue;
        }
        check_finite(name, data)?;
        match parameters
            .iter()
            .find(|spec| spec.parameter.name() == *name)
        {
            Some(spec) => {
                check_shape(name, data, &spec.shape)?;
                check_untrained(spec, data, config)?;
            }
            None if name == TAU_MS => check_tau(data, config)?,
            None if CARRIED_STATE.into_array().contains(&name.as_str()) => {
                check_carried(name, data, config)?;
            }
            None => match constraint_shape(name, config) {
                Some(shape) => check_shape(name, data, &shape)?,
                None => return Err(unknown(name, config)),
            },
        }
    }
    Ok(())
}

/// Returns the shape of an array that accompanies a constrained weight matrix; its values are checked with the constraints.
fn constraint_shape(name: &str, config: &CtrnnConfig) -> Option<Vec<usize>> {
    let (matrix, what) = name.split_once('.')?;
    let matrix = Matrix::ALL.into_iter().find(|m| m.name() == matrix)?;
    let [post, pre] = matrix.shape(config);
    match what {
        "weight" | RAW | "mask" | "fixed" => Some(vec![post, pre]),
        "sign" => Some(vec![pre]),
        _ => None,
    }
}

fn unknown(name: &str, config: &CtrnnConfig) -> ModelError {
    let parameters = config.parameters().into_iter();
    let mut known: Vec<String> = parameters.map(|spec| spec.parameter.name()).collect();
    let effective = Parameter::RECURRENT_WEIGHT.name();
    if !known.contains(&effective) {
        known.insert(1, effective); // the product of the factors
    }
    let known = known.join(", ");
    let carried = CARRIED_STATE.into_array().join(", ");
    ModelError::UnknownTensor {
        name: name.to_owned(),
        known: format!(
            "{known}, {TAU_MS}, {carried}, and weight_raw, mask, sign and fixed of input, recurrent and output"
        ),
    }
}

fn check_finite(name: &str, data: &TensorData) -> Result<(), ModelError> {
    match data.iter::<f64>().position(|x| !(x as f32).is_finite()) {
        None => Ok(()),
        Some(index) => Err(ModelError::NotFinite {
            name: name.to_owned(),
            index,
            value: data.iter::<f64>().nth(index).unwrap_or(f64::NAN),
        }),
    }
}

fn check_shape(name: &str, data: &TensorData, expected: &[usize]) -> Result<(), ModelError> {
    if data.shape[..] == *expected {
        return Ok(());
    }
    Err(ModelError::Shape {
        name: name.to_owned(),
        expected: expected.to_vec(),
        found: data.shape.to_vec(),
    })
}

/// Checks that a tensor that is not trained has the value that the configuration gives it.
fn check_untrained(
    spec: &ParameterSpec,
    data: &TensorData,
    config: &CtrnnConfig,
) -> Result<(), ModelError> {
    if spec.is_trained {
        return Ok(());
    }
    let parameter = spec.parameter;
    if parameter == Parameter::TIME_CONSTANTS {
        return Err(ModelError::Contradiction {
            name: parameter.name(),
            reason: "the configuration does not learn the time constants".to_owned(),
        });
    }
    let fixed = |index: usize| match parameter {
        Parameter::INITIAL_STATE => config.initial_state.fixed(index),
        _ => 0.0,
    };
    let agrees =
        |(index, x): (usize, f64)| x == fixed(index) || x == f64::from(fixed(index) as f32);
    if data.iter::<f64>().enumerate().all(agrees) {
        return Ok(());
    }
    Err(ModelError::Contradiction {
        name: parameter.name(),
        reason: "the configuration holds it fixed at another value".to_owned(),
    })
}

/// Checks that a carried state comes with a configuration that carries it, and has a row for each trial.
fn check_carried(name: &str, data: &TensorData, config: &CtrnnConfig) -> Result<(), ModelError> {
    if config.initial_state != InitialState::Carry {
        return Err(ModelError::Contradiction {
            name: name.to_owned(),
            reason: "the configuration carries no state".to_owned(),
        });
    }
    let trials = data.shape.first().copied().unwrap_or_default();
    check_shape(name, data, &[trials, config.n_units])
}

/// Checks that values of conditions come with an initial state for each of them.
fn check_condition_values(
    name: &str,
    data: &TensorData,
    config: &CtrnnConfig,
) -> Result<(), ModelError> {
    match config.initial_state {
        InitialState::LearnedPerCondition => check_shape(name, data, &[config.n_conditions]),
        _ => Err(ModelError::Contradiction {
            name: name.to_owned(),
            reason: "the configuration has no initial state for each condition".to_owned(),
        }),
    }
}

/// Checks that the time constants of a file agree, to single precision, with the configuration, which determines them.
fn check_tau(data: &TensorData, config: &CtrnnConfig) -> Result<(), ModelError> {
    let len = config.tau_ms.count(config.n_units);
    if data.shape[..] != [1] {
        check_shape(TAU_MS, data, &[len])?;
    }
    let tau_ms: Vec<f64> = data.iter().collect();
    if config
        .tau_ms
        .allow(&tau_ms, &config.unit_signs().unwrap_or_default())
    {
        return Ok(());
    }
    Err(ModelError::Contradiction {
        name: TAU_MS.to_owned(),
        reason: format!("the configuration says {}", config.tau_ms),
    })
}

#[cfg(test)]
mod tests {
    use burn::module::{Module, ModuleDisplay};
    use burn::record::{BinBytesRecorder, FullPrecisionSettings, Recorder};
    use burn_ndarray::NdArray;

    use super::*;
    use crate::{Dale, LearnedTimeConstants, TimeConstants};

    type F32 = NdArray<f32>;

    /// Dale's law, learned time constants, and one initial state per condition: every kind of parameter.
    fn config() -> CtrnnConfig {
        CtrnnConfig {
            dale: Some(Dale::default()),
            tau_ms: TimeConstants::Learned(LearnedTimeConstants {
                initial: Box::new(100.0.into()),
                bounds: [20.0, 500.0],
                per_unit: true,
            }),
            initial_state: InitialState::LearnedPerCondition,
            n_conditions: 2,
            ..CtrnnConfig::new(3, 6, 2)
        }
    }

    /// Other values than the initial ones for all parameters, through burn's own record and recorder.
    #[test]
    fn a_burn_record_holds_every_parameter() {
        let device = Default::default();
        let states = TensorData::new((0..12).map(f64::from).collect::<Vec<_>>(), [2, 6]);
        let bias = TensorData::new(vec![0.5; 6], [6]);
        let given = [
            ("initial_state".to_owned(), states),
            ("recurrent.bias".to_owned(), bias),
        ];
        let trained = config().init::<F32>(1, &device).unwrap();
        let trained = trained.with_weights(&given.into()).unwrap();
        let recorder = BinBytesRecorder::<FullPrecisionSettings>::default();
        let bytes = recorder.record(trained.clone().into_record(), ()).unwrap();

        let other = config().init::<F32>(2, &device).unwrap();
        let ids = [other.w_in_raw.id, other.w_rc_raw.id];
        let loaded = other.load_record(recorder.load(bytes, &device).unwrap());
        // No operation on the loaded tensors: burn gives them the float type of the process, which another test may have made
        // f64.
        let values = |network: &CtrnnModule<F32>| -> Vec<f64> {
            let matrices = [&network.w_in_raw, &network.w_rc_raw, &network.w_out_raw];
            let states = network.condition_states.as_ref().unwrap();
            let tensors = matrices.map(|matrix| matrix.to_data()).into_iter();
            let vectors = [&network.bias, &network.bias_out, &network.tau_raw];
            let vectors = vectors.map(|vector| vector.as_ref().unwrap().to_data());
            let all = tensors.chain(vectors).chain([states.to_data()]);
            all.flat_map(|data| data.iter::<f64>().collect::<Vec<_>>())
                .collect()
        };
        assert_eq!(values(&loaded), values(&trained));
        assert_eq!(loaded.config(), trained.config());
        assert_eq!([loaded.w_in_raw.id, loaded.w_rc_raw.id], ids);
        assert_eq!(ids[0], Parameter::INPUT_WEIGHT.id());
    }

    #[test]
    fn a_network_is_displayed_by_its_sizes() {
        let network = config().init::<F32>(1, &Default::default()).unwrap();
        let text = network.format(Default::default());
        let expected = ["CtrnnModule", "units: 6", "relu", "params: "];
        assert!(expected.iter().all(|part| text.contains(part)), "{text}");
    }
}
