//! `CtrnnModule`: the parameters of a leaky recurrent network, one time step, and a pass over a batch of trials.

use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

use crate::connectivity::Matrix;
use crate::init;
use crate::initial_state::CARRIED_STATE;
use crate::parameters::{self, TAU_MS, constant, host_tensor};
use crate::synapses::{Constraints, Synapses};
use crate::time_constants::StepFactors;
use crate::{
    CtrnnConfig, Forward, ModelError, Operands, Parameter, RecurrenceBackend, ResultTensors, Sweep,
    Trajectory, Weights, noise, primitive, recurrence, tensor,
};

/// A leaky recurrent network (equation in the [crate documentation](crate)).
///
/// The parameters are what training changes; everything else is derived from [`CtrnnConfig`]. A parameter's burn id is
/// a function of its name ([`Parameter::id`]), so optimizer state can be kept by name.
#[derive(Module, Debug)]
pub struct CtrnnModule<B: Backend> {
    /// What is trained for `W_in [N,I]`; [`CtrnnModule::effective`] is what acts.
    pub w_in: Param<Tensor<B, 2>>,
    /// What is trained for `W_rc [N,N]`.
    pub w_rc: Param<Tensor<B, 2>>,
    /// `b [N]`, if trained; else zero.
    pub bias: Option<Param<Tensor<B, 1>>>,
    /// What is trained for `W_out [O,N]`.
    pub w_out: Param<Tensor<B, 2>>,
    /// `b_out [O]`, if trained; else zero.
    pub bias_out: Option<Param<Tensor<B, 1>>>,
    /// `v(0)` or `r(0)`, `[N]`, if one is trained for all trials; else given by the configuration.
    pub initial_state: Option<Param<Tensor<B, 1>>>,
    /// `v(0)` or `r(0)` of each condition, `[C,N]`, if trained.
    pub initial_states: Option<Param<Tensor<B, 2>>>,
    /// What the time constants are computed from, `[1]` or `[N]`, if they are trained.
    pub tau_raw: Option<Param<Tensor<B, 1>>>,
    /// Time constants in ms, one or N, where they are not trained.
    #[module(skip)]
    fixed_tau_ms: Vec<f64>,
    /// The state that the last batch of a training was left in, `[B,N]`, where the next one starts from it.
    #[module(skip)]
    pub(crate) carried_state: Option<TensorData>,
    /// `L [N,N]` of correlated pre-activation noise, row by row.
    #[module(skip)]
    noise_factor: Option<Vec<f64>>,
    input: Synapses<B>,
    recurrent: Synapses<B>,
    output: Synapses<B>,
    #[module(skip)]
    config: CtrnnConfig,
}

impl<B: Backend> CtrnnModule<B> {
    /// Draws the initial network of `seed`. Biases and a learned initial state begin at zero.
    ///
    /// # Errors
    /// What [`CtrnnConfig::check`] refuses, and a spectral radius asked of a matrix that has none.
    pub fn init(config: &CtrnnConfig, seed: u64, device: &B::Device) -> Result<Self, ModelError> {
        config.check()?;
        let mut weights = init::draw(config, seed)?;
        let mut put = |p: Parameter, values: Vec<f64>| {
            weights.insert(
                p.name().to_owned(),
                TensorData::new(values, p.shape(config)),
            );
        };
        for p in [
            Parameter::RecurrentBias,
            Parameter::OutputBias,
            Parameter::InitialState,
        ] {
            if p.is_trained(config) {
                put(p, vec![0.0; p.shape(config).iter().product()]);
            }
        }
        let tau_ms = config.tau_ms.draw(
            config.n_units,
            &config.unit_signs().unwrap_or_default(),
            seed,
        );
        let tau_ms = TensorData::new(tau_ms.clone(), [tau_ms.len()]);
        weights.insert(TAU_MS.to_owned(), tau_ms);
        Self::from_weights(config, &weights, device)
    }

    /// The network with these weights, as [`CtrnnModule::weights`] gives them; nothing is drawn.
    ///
    /// # Errors
    /// What [`CtrnnConfig::check`] refuses; or names the tensor that is missing, unknown, has another shape, is not finite,
    /// or contradicts the configuration.
    pub fn from_weights(
        config: &CtrnnConfig,
        weights: &Weights,
        device: &B::Device,
    ) -> Result<Self, ModelError> {
        config.check()?;
        parameters::check(weights, config)?;
        let vector = |p: Parameter| -> Result<_, ModelError> {
            Ok(match p.is_trained(config) {
                true => Some(p.param(host_tensor(find(weights, p)?, device))),
                false => None,
            })
        };
        let matrix = |matrix: Matrix| -> Result<_, ModelError> {
            let constraints = Constraints::of(config, matrix, weights)?;
            let raw = TensorData::new(constraints.raw_of(weights)?, constraints.shape);
            let raw = matrix.parameter().param(host_tensor(raw, device));
            Ok((raw, Synapses::new(constraints, device)))
        };
        let (w_in, input) = matrix(Matrix::Input)?;
        let (w_rc, recurrent) = matrix(Matrix::Recurrent)?;
        let (w_out, output) = matrix(Matrix::Output)?;
        let is_shared = Parameter::InitialState.shape(config).len() == 1;
        let tau_raw = match config.tau_ms.learned() {
            Some(learned) => {
                let raw = learned.raw_of(weights, config.n_units)?;
                Some(Parameter::TimeConstants.param(host_tensor(raw, device)))
            }
            None => None,
        };
        Ok(Self {
            w_in,
            w_rc,
            bias: vector(Parameter::RecurrentBias)?,
            w_out,
            bias_out: vector(Parameter::OutputBias)?,
            initial_state: match is_shared {
                true => vector(Parameter::InitialState)?,
                false => None,
            },
            initial_states: match is_shared {
                true => None,
                false => {
                    let states = find(weights, Parameter::InitialState)?;
                    Some(Parameter::InitialState.param(host_tensor(states, device)))
                }
            },
            tau_raw,
            fixed_tau_ms: config.tau_ms.of(
                weights,
                config.n_units,
                &config.unit_signs().unwrap_or_default(),
            )?,
            carried_state: weights.get(CARRIED_STATE).cloned(),
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

    /// What the network was built from.
    pub fn config(&self) -> &CtrnnConfig {
        &self.config
    }

    /// The device that holds the parameters.
    pub fn device(&self) -> B::Device {
        self.w_rc.device()
    }

    /// The same weights under another time step (same time constants), for running a trained network at another dt.
    ///
    /// # Errors
    /// What [`CtrnnConfig::check`] refuses: `dt_ms` above `tau_ms` under Euler's integrator, for instance.
    pub fn with_dt_ms(mut self, dt_ms: f64) -> Result<Self, ModelError> {
        self.config.dt_ms = dt_ms;
        self.config.check()?;
        Ok(self)
    }

    /// The constraints of a weight matrix.
    pub fn synapses(&self, matrix: Matrix) -> &Synapses<B> {
        match matrix {
            Matrix::Input => &self.input,
            Matrix::Recurrent => &self.recurrent,
            Matrix::Output => &self.output,
        }
    }

    /// The weights that act on the network `[post, pre]`, computed from what is trained.
    pub fn effective(&self, matrix: Matrix) -> Tensor<B, 2> {
        self.synapses(matrix).effective(self.raw(matrix))
    }

    /// The weights that are trained, `[post, pre]`: before sign and mask.
    pub fn raw(&self, matrix: Matrix) -> Tensor<B, 2> {
        match matrix {
            Matrix::Input => self.w_in.val(),
            Matrix::Recurrent => self.w_rc.val(),
            Matrix::Output => self.w_out.val(),
        }
    }

    /// Every tensor of the network by name, as weight files hold them: the parameters, zeros or the given values where
    /// a parameter is not trained, `tau_ms [1 or N]`, and where there are such things `tau_raw` and
    /// `carried_state [B,N]`. Of a constrained matrix the weight is the effective one, and `weight_raw`, `mask`, `sign` and
    /// `fixed` stand beside it.
    pub fn weights(&self) -> Weights {
        let mut weights = Weights::new();
        let mut put = |p: Parameter, data: TensorData| weights.insert(p.name().to_owned(), data);
        for matrix in Matrix::ALL {
            put(matrix.parameter(), self.effective(matrix).to_data());
        }
        put(Parameter::RecurrentBias, self.bias_value().to_data());
        put(Parameter::OutputBias, self.bias_out_value().to_data());
        let initial_state = match &self.initial_states {
            Some(states) => states.to_data(),
            None => self.shared_initial_state().to_data(),
        };
        put(Parameter::InitialState, initial_state);
        if let Some(raw) = &self.tau_raw {
            put(Parameter::TimeConstants, raw.to_data());
        }
        if let Some(state) = &self.carried_state {
            weights.insert(CARRIED_STATE.to_owned(), state.clone());
        }
        weights.insert(TAU_MS.to_owned(), self.tau_ms().to_data());
        for matrix in Matrix::ALL {
            weights.extend(self.constraint_arrays(matrix));
        }
        weights
    }

    /// The time constants in ms as they are now: one for all units, or one for each.
    pub fn tau_ms(&self) -> Tensor<B, 1> {
        match (&self.tau_raw, self.config.tau_ms.learned()) {
            (Some(raw), Some(learned)) => learned.tau_ms(raw.val()),
            _ => {
                let tau_ms = self.fixed_tau_ms.clone();
                host_tensor(
                    TensorData::new(tau_ms.clone(), [tau_ms.len()]),
                    &self.device(),
                )
            }
        }
    }

    /// What a step adds of the drive, `[N]`: `alpha = dt / tau` of each unit under Euler's integrator.
    pub fn gain(&self) -> Tensor<B, 1> {
        self.step_factors().gain
    }

    /// Decay, gain and noise scale of a step. Fixed time constants are worked on in double precision.
    fn step_factors(&self) -> StepFactors<B> {
        match &self.tau_raw {
            Some(_) => StepFactors::new(&self.config, self.tau_ms()),
            None => StepFactors::fixed(&self.config, &self.fixed_tau_ms, &self.device()),
        }
    }

    fn constraint_arrays(&self, matrix: Matrix) -> Weights {
        let constraints = self.synapses(matrix).constraints();
        if constraints.is_none() {
            return Weights::new();
        }
        let mut arrays = constraints.arrays();
        let raw = self.raw(matrix).to_data();
        arrays.insert(matrix.array("weight_raw"), raw);
        let own_type = |(name, data): (String, TensorData)| (name, data.convert::<B::FloatElem>());
        arrays.into_iter().map(own_type).collect()
    }

    /// The network with those of its parameters replaced that `weights` names. A matrix may be given by its effective
    /// weights, by its raw ones, or by both.
    ///
    /// # Errors
    /// Names the tensor that is unknown, has another shape, is not finite, or contradicts the configuration.
    pub fn with_weights(self, weights: &Weights) -> Result<Self, ModelError> {
        let mut all = self.weights();
        for matrix in Matrix::ALL {
            let names = ["weight", "weight_raw"].map(|what| matrix.array(what));
            if names.iter().any(|name| weights.contains_key(name)) {
                all.retain(|name, _| !names.contains(name));
            }
        }
        if weights.contains_key(TAU_MS) {
            all.remove(Parameter::TimeConstants.name()); // it follows from the time constants that are given
        }
        all.extend(weights.clone());
        Self::from_weights(&self.config, &all, &self.device())
    }

    /// One noise-free time step: the state after `inputs [trial, input]` act on `state [trial, unit]`.
    ///
    /// The state is `v` in the voltage form and `r` in the rate form. Training, simulation and fixed points share this.
    pub fn step(&self, state: Tensor<B, 2>, inputs: Tensor<B, 2>) -> Tensor<B, 2> {
        let forward = Forward {
            initial_state: Some(state),
            ..Forward::default()
        };
        let [trials, width] = inputs.dims();
        let sweep = self.sweep(inputs.clone().unsqueeze_dim(0), &forward);
        let seen = match width {
            0 => inputs, // burn reads a 0 in `reshape` as "keep"
            _ => tensor::<B, 3>(sweep.operands.inputs.clone()).reshape([trials, width]),
        };
        recurrence::single_step(&sweep, seen).state
    }

    /// [`CtrnnModule::forward`] by the plain path of tensor operations, on any backend: the reference.
    pub fn forward_reference(&self, inputs: Tensor<B, 3>, forward: &Forward<B>) -> Trajectory<B> {
        trajectory(recurrence::plain_sweep(
            self.sweep(inputs.swap_dims(0, 1), forward),
        ))
    }

    fn bias_value(&self) -> Tensor<B, 1> {
        match &self.bias {
            Some(bias) => bias.val(),
            None => constant(0.0, self.config.n_units, &self.device()),
        }
    }

    fn bias_out_value(&self) -> Tensor<B, 1> {
        match &self.bias_out {
            Some(bias) => bias.val(),
            None => constant(0.0, self.config.n_outputs, &self.device()),
        }
    }

    /// The sweep of this network over time-major `inputs [T,B,I]`.
    fn sweep(&self, inputs: Tensor<B, 3>, forward: &Forward<B>) -> Sweep<B> {
        let config = &self.config;
        let [steps, trials, width] = inputs.dims();
        assert_eq!(
            width, config.n_inputs,
            "inputs are [.., .., {width}], the network takes {}",
            config.n_inputs
        );
        let StepFactors {
            decay,
            gain,
            noise_scale,
        } = self.step_factors();
        Sweep {
            operands: Operands {
                inputs: primitive(noise::seen_inputs(config, &forward.noise, inputs)),
                w_in: primitive(self.effective(Matrix::Input)),
                w_rc: primitive(self.effective(Matrix::Recurrent)),
                bias: primitive(self.bias_value()),
                w_out: primitive(self.effective(Matrix::Output)),
                bias_out: primitive(self.bias_out_value()),
                decay: primitive(decay),
                gain: primitive(gain),
                noise_scale: primitive(noise_scale),
                initial_state: primitive(self.initial_states(forward, trials)),
            },
            form: config.form,
            activation: config.activation,
            noise_target: config.noise.convention.target(config.form),
            preactivation: noise::preactivation(
                &config.noise,
                &forward.noise,
                self.noise_factor.as_deref(),
                [steps, trials, config.n_units],
                &self.device(),
            ),
            postactivation: noise::postactivation(&config.noise, &forward.noise),
            readout_noise: config.noise.postactivation,
            record: forward.record,
            recompute: forward.recompute,
        }
    }
}

impl<B: RecurrenceBackend> CtrnnModule<B> {
    /// [`CtrnnModule::forward`] with a drive `[trial, time, unit]` beside the inputs, as if each unit had an input of weight 1
    /// to itself: `W_in u + drive`.
    ///
    /// # Panics
    /// If a shape disagrees with the network's.
    pub fn forward_driven(
        &self,
        inputs: Tensor<B, 3>,
        drive: Tensor<B, 3>,
        forward: &Forward<B>,
    ) -> Trajectory<B> {
        let mut sweep = self.sweep(inputs.swap_dims(0, 1), forward);
        let n = self.config.n_units;
        let diagonal = (0..n * n).map(|k| f32::from(u8::from(k % (n + 1) == 0)));
        let ones = TensorData::new(diagonal.collect::<Vec<f32>>(), [n, n]);
        let drive = drive.swap_dims(0, 1);
        let ones: Tensor<B, 2> = host_tensor(ones, &self.device());
        let (inputs, w_in) = match self.config.n_inputs {
            0 => (drive, ones),
            _ => (
                Tensor::cat(vec![tensor(sweep.operands.inputs), drive], 2),
                Tensor::cat(vec![tensor(sweep.operands.w_in), ones], 1),
            ),
        };
        sweep.operands.inputs = primitive(inputs);
        sweep.operands.w_in = primitive(w_in);
        trajectory(B::sweep(sweep))
    }

    /// Runs a batch of trials: `inputs [trial, time, input]`.
    ///
    /// The backend's own sweep does the work; [`CtrnnModule::forward_reference`] is what it is tested against. On an autodiff
    /// backend burn holds what the pass kept for the way back until the next `backward`: evaluate on `network.valid()`.
    ///
    /// # Panics
    /// If a shape disagrees with the network's.
    pub fn forward(&self, inputs: Tensor<B, 3>, forward: &Forward<B>) -> Trajectory<B> {
        trajectory(B::sweep(self.sweep(inputs.swap_dims(0, 1), forward)))
    }
}

/// The weights of a parameter.
fn find(weights: &Weights, parameter: Parameter) -> Result<TensorData, ModelError> {
    let found = weights.get(parameter.name()).cloned();
    found.ok_or_else(|| ModelError::MissingTensor {
        name: parameter.name().to_owned(),
    })
}

/// Returns `[trial, time, unit]` views of what a sweep wrote time-major.
fn trajectory<B: Backend>(results: ResultTensors<B>) -> Trajectory<B> {
    let by_trial = |x| tensor::<B, 3>(x).swap_dims(0, 1);
    Trajectory {
        outputs: by_trial(results.outputs.expect("a sweep gives outputs")),
        rates: results.rates.map(by_trial),
        potentials: results.potentials.map(by_trial),
        final_state: tensor(results.final_state.expect("a sweep gives a final state")),
    }
}
