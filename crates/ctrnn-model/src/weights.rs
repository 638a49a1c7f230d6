//! Tensors of a network by name: drawn, checked, loaded, returned.

use std::sync::Arc;

use burn::module::{Param, ParamId};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use ctrnn_kernels::UnitState;
use ctrnn_random::{Key, Stream};

use crate::connectivity::Matrix;
use crate::delays::DELAY_MS;
use crate::factors::RAW;
use crate::feedback::FEEDBACK;
use crate::initial_state::CARRIED_STATE;
use crate::layers::Layers;
use crate::parameters::{CONDITION_VALUES, TAU_MS, host_tensor};
use crate::stack::{join_weights, split_weights};
use crate::step_factors::StepFactors;
use crate::synapses::{Constraints, Synapses};
use crate::{
    CtrnnConfig, CtrnnModule, InitialState, LowRank, ModelError, Parameter, ParameterSpec, Role,
    UNIT_AREA, UNIT_TYPE, Weights, factors, init,
};

impl CtrnnConfig {
    /// Draws the initial network of `seed`. Biases begin at zero, as does a learned initial state without values of its own.
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
        let first = |(number, layer): (usize, &Self)| {
            let drawn = layer.first_weights(seed);
            drawn.map_err(|error| error.in_layer(number))
        };
        let layers: Vec<Weights> = self
            .layers()
            .enumerate()
            .map(first)
            .collect::<Result<_, _>>()?;
        CtrnnModule::from_weights(self, &join_weights(layers), device)
    }

    /// Draws the initial weights of the last layer, under the names of a network of one layer.
    fn first_weights(&self, seed: u64) -> Result<Weights, ModelError> {
        let mut weights = init::draw(self, seed)?;
        let mut put = |role: Role, values: Vec<f64>| {
            weights.insert(
                role.name().to_owned(),
                TensorData::new(values, role.shape(self)),
            );
        };
        let size = |role: Role| role.shape(self).iter().product::<usize>();
        for role in [Role::RecurrentBias, Role::OutputBias] {
            if role.is_trained(self) {
                let first = match role {
                    Role::RecurrentBias => self.bias.clamped(0.0),
                    _ => 0.0,
                };
                put(role, vec![first; size(role)]);
            }
        }
        let state = Role::InitialState;
        if state.is_trained(self) {
            let key = Key::new(seed, Stream::FirstState, self.layer.into());
            put(state, self.initial_state.first_values(size(state), key));
        }
        if let Some(feedback) = &self.feedback {
            let key = Key::new(seed, Stream::Weights, self.layer.into());
            let drawn = feedback.draw([self.n_units, self.n_outputs], key);
            weights.insert(FEEDBACK.to_owned(), drawn);
        }
        let signs = self.unit_signs().unwrap_or_default();
        let key = Key::new(seed, Stream::TimeConstants, self.layer.into());
        let tau_ms = self.tau_ms.draw(self.n_units, &signs, key);
        let tau_ms = TensorData::new(tau_ms.clone(), [tau_ms.len()]);
        weights.insert(TAU_MS.to_owned(), tau_ms);
        Ok(weights)
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
        let layers = split_weights(weights, config.n_layers())?;
        let layer = |(number, weights): (usize, &Weights)| {
            let layer = Self::layer_from_weights(config.layer(number), weights, device);
            layer.map_err(|error| error.in_layer(number))
        };
        let mut below: Vec<Self> = (layers.iter().enumerate())
            .map(layer)
            .collect::<Result<_, _>>()?;
        let last = below.pop().expect("a network has a layer");
        Ok(Self {
            below: Layers(below),
            ..last
        })
    }

    /// Builds the last layer from its weights, which have the names of a network of one layer.
    fn layer_from_weights(
        config: &CtrnnConfig,
        weights: &Weights,
        device: &B::Device,
    ) -> Result<Self, ModelError> {
        check(weights, config)?;
        let own = |role: Role| role.of_layer(config.layer);
        let factor = |role: Role| -> Result<_, ModelError> {
            Ok(match config.low_rank {
                Some(_) => {
                    let value = host_tensor(find(weights, role)?, device);
                    Some(part_of_matrix(own(role), value, config))
                }
                None => None,
            })
        };
        let (left, right) = (factor(Role::RecurrentLeft)?, factor(Role::RecurrentRight)?);
        let vector = |role: Role| -> Result<_, ModelError> {
            Ok(if role.is_trained(config) {
                Some(own(role).param(host_tensor(find(weights, role)?, device)))
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
                _ if matrix == Matrix::Output && config.is_below() => {
                    // Not a parameter, so its id is that of none.
                    let none = TensorData::new(Vec::<f32>::new(), constraints.shape);
                    let none = Param::initialized(ParamId::new(), host_tensor(none, device));
                    return Ok((none, Synapses::new(constraints, device)));
                }
                _ => TensorData::new(constraints.raw_of(weights)?, constraints.shape),
            };
            let parameter = own(matrix.parameter().role);
            let raw = part_of_matrix(parameter, host_tensor(raw, device), config);
            Ok((raw, Synapses::new(constraints, device)))
        };
        let (w_in_raw, input) = matrix(Matrix::Input)?;
        let (w_rc_raw, recurrent) = matrix(Matrix::Recurrent)?;
        let (w_out_raw, output) = matrix(Matrix::Output)?;
        let is_shared = Role::InitialState.shape(config).len() == 1;
        let tau_raw = match config.tau_ms.learned() {
            Some(learned) => {
                let raw = learned.raw_of(weights, config.n_units)?;
                Some(own(Role::TimeConstants).param(host_tensor(raw, device)))
            }
            None => None,
        };
        let signs = config.unit_signs().unwrap_or_default();
        let fixed_tau_ms = config.tau_ms.of(weights, config.n_units, &signs)?;
        Ok(Self {
            w_in_raw,
            w_rc_raw,
            left,
            right,
            bias: vector(Role::RecurrentBias)?,
            w_out_raw,
            bias_out: vector(Role::OutputBias)?,
            initial_state: if is_shared {
                vector(Role::InitialState)?
            } else {
                None
            },
            condition_states: if is_shared {
                None
            } else {
                let states = find(weights, Role::InitialState)?;
                Some(own(Role::InitialState).param(host_tensor(states, device)))
            },
            fixed_factors: (tau_raw.is_none())
                .then(|| Arc::new(StepFactors::fixed(config, &fixed_tau_ms))),
            tau_raw,
            fixed_tau_ms,
            carried_state: carried_state(weights, config)?,
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
            feedback_weights: feedback_weights(weights, config)?,
            delays: config.delays().map(Arc::new),
            input,
            recurrent,
            output,
            below: Layers(Vec::new()),
            config: Arc::new(config.clone()),
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
        let given = split_weights(weights, self.n_layers())?;
        let layer = |((number, layer), given): ((usize, &Self), Weights)| {
            let all = layer.completed(given);
            all.map_err(|error| error.in_layer(number))
        };
        let layers: Vec<Weights> = (self.layers().enumerate().zip(given))
            .map(layer)
            .collect::<Result<_, _>>()?;
        Self::from_weights(&self.config, &join_weights(layers), &self.device())
    }

    /// Adds to given weights of the last layer those of its own that they do not replace.
    fn completed(&self, mut given: Weights) -> Result<Weights, ModelError> {
        let weights = given.clone();
        let mut all = self.own_weights();
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
        Ok(all)
    }

    /// Returns every tensor of the network by name, as weight files hold them: the parameters (zeros or the given values where a
    /// parameter is not trained), `tau_ms [1 or N]` and, where the network has them, `tau_raw`, `carried_state [B,N]` and the
    /// values of conditions ([`CONDITION_VALUES`]). The `weight` of a constrained matrix is the effective one, accompanied by
    /// `weight_raw`, `mask`, `sign` and `fixed`; that of a recurrent matrix of low rank by `left` and `right`, and by `weight_raw`,
    /// its full matrix, if it has one. `recurrent.delay_ms [N,N]` holds the delays of connections. A network with areas has
    /// [`UNIT_AREA`] and, with cell types, [`UNIT_TYPE`], `[N]`. Names of layers above the first begin with `layers.1.` and so on, but
    /// those of the readout, which is that of the last layer.
    pub fn weights(&self) -> Weights {
        join_weights(self.layers().map(Self::own_weights))
    }

    /// Returns every tensor of the last layer, under the names of a network of one layer.
    pub(crate) fn own_weights(&self) -> Weights {
        let mut weights = Weights::new();
        let mut put = |p: Parameter, data: TensorData| weights.insert(p.name(), data);
        let matrices = || {
            let all = Matrix::ALL.into_iter();
            all.filter(|matrix| *matrix != Matrix::Output || !self.config.is_below())
        };
        for matrix in matrices() {
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
        if !self.config.is_below() {
            put(Parameter::OUTPUT_BIAS, self.bias_out_value().to_data());
        }
        let initial_state = match &self.condition_states {
            Some(states) => states.to_data(),
            None => self.shared_initial_state().to_data(),
        };
        put(Parameter::INITIAL_STATE, initial_state);
        if let Some(raw) = &self.tau_raw {
            put(Parameter::TIME_CONSTANTS, raw.to_data());
        }
        if let Some(state) = &self.carried_state {
            let named = CARRIED_STATE.zip(state.clone()).into_array().into_iter();
            let named = named.filter(|(_, data)| data.shape[1] > 0);
            weights.extend(named.map(|(name, data)| (name.to_owned(), data)));
        }
        weights.extend(self.condition_values.clone());
        weights.insert(TAU_MS.to_owned(), self.tau_ms().to_data());
        for matrix in matrices() {
            weights.extend(self.constraint_arrays(matrix));
        }
        weights.extend(self.config.unit_labels());
        if let Some(feedback) = self.feedback() {
            weights.insert(FEEDBACK.to_owned(), feedback.to_data());
        }
        if let Some(delay_ms) = &self.config.connectivity.delay_ms {
            let shape = Matrix::Recurrent.shape(&self.config);
            let data = TensorData::new(delay_ms.clone(), shape).convert::<B::FloatElem>();
            weights.insert(DELAY_MS.to_owned(), data);
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
    factors::check_product(config, factors.rank, weights)?;
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
    let found = factors::nearest_factors(&matrix, config.n_units, factors.rank)?;
    given.extend([left, right].into_iter().zip(found));
    own.remove(&effective);
    Ok(())
}

/// Returns the carried state that the weights hold, if they hold one.
fn carried_state(
    weights: &Weights,
    config: &CtrnnConfig,
) -> Result<Option<UnitState<TensorData>>, ModelError> {
    let held = CARRIED_STATE.map(|name| weights.get(name).cloned());
    let trials = match &held.activity {
        Some(activity) => activity.shape[0],
        None => return Ok(None),
    };
    let shapes = UnitState {
        activity: [trials, config.n_units],
        utilisation: [trials, config.n_synapses()],
        resources: [trials, config.n_synapses()],
    };
    for (data, (name, shape)) in held.each_ref().zip(CARRIED_STATE.zip(shapes)).into_array() {
        match data {
            Some(data) => check_shape(name, data, &shape)?,
            None if shape[1] == 0 => {}
            None => {
                let name = name.to_owned();
                return Err(ModelError::MissingTensor { name });
            }
        }
    }
    let none = TensorData::new(Vec::<f32>::new(), [trials, 0]);
    Ok(Some(held.map(|data| data.unwrap_or(none.clone()))))
}

/// Returns the feedback weights of a network that has some.
fn feedback_weights(
    weights: &Weights,
    config: &CtrnnConfig,
) -> Result<Option<TensorData>, ModelError> {
    if config.feedback.is_none() {
        return Ok(None);
    }
    let found = weights.get(FEEDBACK).cloned();
    let name = FEEDBACK.to_owned();
    found.ok_or(ModelError::MissingTensor { name }).map(Some)
}

/// Returns the weights of a parameter.
fn find(weights: &Weights, role: Role) -> Result<TensorData, ModelError> {
    let found = weights.get(role.name()).cloned();
    found.ok_or_else(|| ModelError::MissingTensor {
        name: role.name().to_owned(),
    })
}

/// Checks that `weights` fits a network: known names, right shapes, finite values, nothing that contradicts the
/// configuration. Names may be absent.
fn check(weights: &Weights, config: &CtrnnConfig) -> Result<(), ModelError> {
    let parameters = config.own_parameters();
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
                check_bias(spec.parameter, data, config)?;
            }
            None if name == TAU_MS => check_tau(data, config)?,
            None if name == FEEDBACK && config.feedback.is_some() => {
                check_shape(name, data, &[config.n_units, config.n_outputs])?;
            }
            None if [UNIT_AREA, UNIT_TYPE].contains(&name.as_str()) => {
                check_labels(name, data, config)?;
            }
            None if CARRIED_STATE.into_array().contains(&name.as_str()) => {
                check_carried(name, data, config)?;
            }
            None => match constraint_shape(name, config) {
                Some(shape) => check_shape(name, data, &shape)?,
                None => return Err(unknown(name, config)),
            },
        }
    }
    config.check_delays(weights)
}

/// Returns the shape of an array that accompanies a constrained weight matrix; its values are checked with the constraints.
fn constraint_shape(name: &str, config: &CtrnnConfig) -> Option<Vec<usize>> {
    let (matrix, what) = name.split_once('.')?;
    let matrix = Matrix::ALL.into_iter().find(|m| m.name() == matrix)?;
    let [post, pre] = matrix.shape(config);
    match what {
        "weight" | RAW | "mask" | "fixed" => Some(vec![post, pre]),
        "delay_ms" if matrix == Matrix::Recurrent => Some(vec![post, pre]),
        "sign" => Some(vec![pre]),
        _ => None,
    }
}

fn unknown(name: &str, config: &CtrnnConfig) -> ModelError {
    let parameters = config.own_parameters().into_iter();
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
            "{known}, {TAU_MS}, {FEEDBACK}, {carried}, {DELAY_MS}, {UNIT_AREA}, {UNIT_TYPE}, and weight_raw, mask, sign and fixed of input, recurrent and output"
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

/// Checks that areas or cell types of units are those of the configuration.
fn check_labels(name: &str, data: &TensorData, config: &CtrnnConfig) -> Result<(), ModelError> {
    let own = config.unit_labels().remove(name);
    if own.is_some_and(|own| own.iter::<i64>().eq(data.iter::<i64>())) {
        return Ok(());
    }
    Err(ModelError::Contradiction {
        name: name.to_owned(),
        reason: "the areas of the configuration have other units".to_owned(),
    })
}

/// Checks that biases lie within their range, to single precision.
fn check_bias(
    parameter: Parameter,
    data: &TensorData,
    config: &CtrnnConfig,
) -> Result<(), ModelError> {
    let Some([low, high]) = config.bias.range else {
        return Ok(());
    };
    let is_outside = |x: &f64| (*x as f32) < low as f32 || (*x as f32) > high as f32;
    let outside = data.iter::<f64>().find(is_outside);
    match outside.filter(|_| parameter == Parameter::RECURRENT_BIAS) {
        None => Ok(()),
        Some(bias) => Err(ModelError::Contradiction {
            name: parameter.name(),
            reason: format!("{bias} is not within model.bias.range, {low} to {high}"),
        }),
    }
}

/// Checks that a carried state comes with a configuration that carries it, and has a row for each trial.
fn check_carried(name: &str, data: &TensorData, config: &CtrnnConfig) -> Result<(), ModelError> {
    if config.initial_state != InitialState::Carry {
        return Err(ModelError::Contradiction {
            name: name.to_owned(),
            reason: "the configuration carries no state".to_owned(),
        });
    }
    if name != CARRIED_STATE.activity && config.n_synapses() == 0 {
        return Err(ModelError::Contradiction {
            name: name.to_owned(),
            reason: "the configuration has no short-term plasticity".to_owned(),
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

/// Returns a part of the recurrent matrix as a burn parameter with the id of `parameter`; one that the network holds as it is drawn is
/// not tracked, so that no sweep computes its gradient.
fn part_of_matrix<B: Backend>(
    parameter: Parameter,
    value: Tensor<B, 2>,
    config: &CtrnnConfig,
) -> Param<Tensor<B, 2>> {
    let factors = config.low_rank.as_ref();
    if factors.is_some_and(|factors| factors.holds(parameter.role)) {
        Param::initialized(parameter.id(), value)
    } else {
        parameter.param(value)
    }
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
