//! `CtrnnModule`: the parameters of a leaky recurrent network, one time step, and a pass over a batch of trials.

use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use ctrnn_kernels::Form;
use ctrnn_random::{Key, Stream};

use crate::init::InitialWeights;
use crate::parameters::{self, TAU_MS, constant, host_tensor};
use crate::recurrence::{self, Draws, NoiseSource};
use crate::{
    CtrnnConfig, Forward, InitialState, ModelError, Noise, NoiseConvention, Parameter,
    RecurrenceBackend, Sweep, Swept, Trajectory, Weights,
};

/// A leaky recurrent network (equation in the [crate documentation](crate)).
///
/// The parameters are what training changes; everything else is derived from [`CtrnnConfig`]. A parameter's burn id is
/// a function of its name ([`Parameter::id`]), so optimizer state can be kept by name.
#[derive(Module, Debug)]
pub struct CtrnnModule<B: Backend> {
    /// `W_in [N,I]`
    pub w_in: Param<Tensor<B, 2>>,
    /// `W_rc [N,N]`
    pub w_rc: Param<Tensor<B, 2>>,
    /// `b [N]`, if trained; else zero.
    pub bias: Option<Param<Tensor<B, 1>>>,
    /// `W_out [O,N]`
    pub w_out: Param<Tensor<B, 2>>,
    /// `b_out [O]`, if trained; else zero.
    pub bias_out: Option<Param<Tensor<B, 1>>>,
    /// `v(0)` or `r(0)`, `[N]`, if trained; else given by the configuration.
    pub initial_state: Option<Param<Tensor<B, 1>>>,
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
        let drawn = InitialWeights::draw(config, seed)?;
        let mut weights = Weights::new();
        let mut put = |p: Parameter, values: Vec<f64>| {
            weights.insert(
                p.name().to_owned(),
                TensorData::new(values, p.shape(config)),
            );
        };
        put(Parameter::InputWeight, drawn.input);
        put(Parameter::RecurrentWeight, drawn.recurrent);
        put(Parameter::OutputWeight, drawn.output);
        for p in Parameter::ALL.into_iter().filter(|p| p.is_trained(config)) {
            if let [len] = p.shape(config)[..] {
                put(p, vec![0.0; len]);
            }
        }
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
        let matrix = |p: Parameter| -> Result<_, ModelError> {
            Ok(p.param(host_tensor(find(weights, p)?, device)))
        };
        Ok(Self {
            w_in: matrix(Parameter::InputWeight)?,
            w_rc: matrix(Parameter::RecurrentWeight)?,
            bias: vector(Parameter::RecurrentBias)?,
            w_out: matrix(Parameter::OutputWeight)?,
            bias_out: vector(Parameter::OutputBias)?,
            initial_state: vector(Parameter::InitialState)?,
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
    /// What [`CtrnnConfig::check`] refuses: `dt_ms` above `tau_ms`, for instance.
    pub fn with_dt_ms(mut self, dt_ms: f64) -> Result<Self, ModelError> {
        self.config.dt_ms = dt_ms;
        self.config.check()?;
        Ok(self)
    }

    /// Every tensor of the network by name, as weight files hold them: the parameters, zeros or the given values where
    /// a parameter is not trained, and `tau_ms [1]`.
    pub fn weights(&self) -> Weights {
        let mut weights = Weights::new();
        let mut put = |p: Parameter, data: TensorData| weights.insert(p.name().to_owned(), data);
        put(Parameter::InputWeight, self.w_in.to_data());
        put(Parameter::RecurrentWeight, self.w_rc.to_data());
        put(Parameter::OutputWeight, self.w_out.to_data());
        put(Parameter::RecurrentBias, self.bias_value().to_data());
        put(Parameter::OutputBias, self.bias_out_value().to_data());
        put(
            Parameter::InitialState,
            self.initial_state_value().to_data(),
        );
        let tau = TensorData::new(vec![self.config.tau_ms], [1]).convert::<B::FloatElem>();
        weights.insert(TAU_MS.to_owned(), tau);
        weights
    }

    /// The network with those of its parameters replaced that `weights` names.
    ///
    /// # Errors
    /// Names the tensor that is unknown, has another shape, is not finite, or contradicts the configuration.
    pub fn with_weights(self, weights: &Weights) -> Result<Self, ModelError> {
        let mut all = self.weights();
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
        let sweep = self.sweep(inputs.clone().unsqueeze_dim(0), &forward);
        recurrence::single_step(&sweep, inputs).state
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

    fn initial_state_value(&self) -> Tensor<B, 1> {
        match (&self.initial_state, &self.config.initial_state) {
            (Some(state), _) => state.val(),
            (None, InitialState::Given(state)) => host_tensor(
                TensorData::new(state.clone(), [state.len()]),
                &self.device(),
            ),
            (None, _) => constant(0.0, self.config.n_units, &self.device()),
        }
    }

    /// The sweep of this network over time-major `inputs [T,B,I]`.
    fn sweep(&self, inputs: Tensor<B, 3>, forward: &Forward<B>) -> Sweep<B> {
        let config = &self.config;
        let device = self.device();
        let [_, trials, width] = inputs.dims();
        let n = config.n_units;
        assert_eq!(
            width, config.n_inputs,
            "inputs are [.., .., {width}], the network takes {}",
            config.n_inputs
        );
        let initial_state = match &forward.initial_state {
            Some(state) => {
                assert_eq!(
                    state.dims(),
                    [trials, n],
                    "initial_state must be [trial, unit]"
                );
                state.clone()
            }
            None => self
                .initial_state_value()
                .unsqueeze::<2>()
                .expand([trials, n]),
        };
        let alpha = config.alpha();
        let per_unit = |x: f64| constant(x, n, &device);
        let (preactivation, postactivation) = self.noise(&forward.noise);
        Sweep {
            inputs,
            w_in: self.w_in.val(),
            w_rc: self.w_rc.val(),
            bias: self.bias_value(),
            w_out: self.w_out.val(),
            bias_out: self.bias_out_value(),
            decay: per_unit(1.0 - alpha),
            gain: per_unit(alpha),
            noise_scale: per_unit(noise_scale(config)),
            initial_state,
            form: config.form,
            activation: config.activation,
            noise_on_state: config.noise.convention == NoiseConvention::Raw,
            preactivation,
            postactivation,
            readout_noise: config.noise.postactivation,
            record: forward.record,
            recompute: forward.recompute,
        }
    }

    /// Sources of `eps` and `xi`; none where sigma is zero.
    fn noise(&self, noise: &Noise<B>) -> (NoiseSource<B>, NoiseSource<B>) {
        let levels = &self.config.noise;
        let source = |stream: Stream, given: fn(&Noise<B>) -> Option<Tensor<B, 3>>| match noise {
            Noise::Off => NoiseSource::None,
            Noise::Drawn(address) => NoiseSource::Drawn(Draws {
                key: Key::new(address.seed, stream, 0),
                step: address.step,
                first_trial: address.first_trial,
            }),
            Noise::Given { .. } => match given(noise) {
                Some(normals) => NoiseSource::Given(normals.swap_dims(0, 1)),
                None => NoiseSource::None,
            },
        };
        let silent_at_zero = |sigma: f64, source| {
            if sigma == 0.0 {
                NoiseSource::None
            } else {
                source
            }
        };
        let eps = source(Stream::Eps, |noise| match noise {
            Noise::Given { preactivation, .. } => preactivation.clone(),
            _ => None,
        });
        let xi = source(Stream::Xi, |noise| match noise {
            Noise::Given { postactivation, .. } => postactivation.clone(),
            _ => None,
        });
        (
            silent_at_zero(levels.preactivation, eps),
            silent_at_zero(levels.postactivation, xi),
        )
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
        let (drive, ones) = (drive.swap_dims(0, 1), host_tensor(ones, &self.device()));
        (sweep.inputs, sweep.w_in) = match self.config.n_inputs {
            0 => (drive, ones),
            _ => (
                Tensor::cat(vec![sweep.inputs, drive], 2),
                Tensor::cat(vec![sweep.w_in, ones], 1),
            ),
        };
        trajectory(B::sweep(sweep))
    }

    /// Runs a batch of trials: `inputs [trial, time, input]`.
    ///
    /// The backend's own sweep does the work; [`CtrnnModule::forward_reference`] is what it is tested against.
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

/// `noise_scale` of a sweep: what multiplies a standard normal.
///
/// Voltage form: the potential receives `alpha eps` (`spec`: alpha sigma; `song`: sqrt(2 alpha) sigma) or sigma (`raw`).
/// Rate form: `eps` stands inside `f` (`spec`: sigma; `song`: sqrt(2/alpha) sigma), or sigma is added to `r` (`raw`).
fn noise_scale(config: &CtrnnConfig) -> f64 {
    let (alpha, sigma) = (config.alpha(), config.noise.preactivation);
    let eps = match config.noise.convention {
        NoiseConvention::Spec => sigma,
        NoiseConvention::Song => (2.0 / alpha).sqrt() * sigma,
        NoiseConvention::Raw => return sigma,
    };
    match config.form {
        Form::Voltage => alpha * eps,
        Form::Rate => eps,
    }
}

/// `[trial, time, unit]` views of what a sweep wrote time-major.
fn trajectory<B: Backend>(swept: Swept<B>) -> Trajectory<B> {
    let by_trial = |x: Tensor<B, 3>| x.swap_dims(0, 1);
    Trajectory {
        outputs: by_trial(swept.outputs),
        rates: swept.rates.map(by_trial),
        potentials: swept.potentials.map(by_trial),
        final_state: swept.final_state,
    }
}
