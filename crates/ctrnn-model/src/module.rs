//! The module [`CtrnnModule`]: a pass over a batch of trials, one time step, and the parameters of a leaky recurrent network.

use std::sync::Arc;

use burn::module::{Content, DisplaySettings, Module, ModuleDisplay, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

use crate::connectivity::Matrix;
use crate::factors::RAW;
use crate::layers::Layers;
use crate::lengths::{assert_lengths, run_by_length};
use crate::parameters::{CONDITION_VALUES, constant, host_tensor};
use crate::step_factors::{StepFactors, synapse_constants};
use crate::synapses::Synapses;
use crate::{
    CtrnnConfig, Delays, Forward, ModelError, Operands, RateSums, Record, RecurrenceBackend,
    ResultTensors, Role, SweepTensors, Trajectory, UnitState, Weights, noise_sources, primitive,
    recurrence, tensor,
};

/// A leaky recurrent network (equation in the [crate documentation](crate)); made by [`CtrnnConfig::init`] or
/// [`CtrnnModule::from_weights`].
///
/// # Weights
///
/// Under Dale's law, masks and fixed weights, the trained numbers are not the weights that act on the network:
///
/// | | one matrix | all tensors by name |
/// |---|---|---|
/// | trained, before sign and mask | [`raw_weights`](CtrnnModule::raw_weights), the fields `w_in_raw`, `w_rc_raw`, `w_out_raw` | `weight_raw` in [`weights`](CtrnnModule::weights), where the two differ |
/// | acting on the network | [`effective_weights`](CtrnnModule::effective_weights) | `weight` in [`weights`](CtrnnModule::weights) |
///
/// A recurrent matrix of low rank has factors, `left` and `right`, and perhaps a full matrix `w_rc_raw` besides: these are trained. Its
/// effective weights are the sum of the full matrix and the product, which a pass never forms.
///
/// # Parameter ids and records
///
/// The parameters are what training changes; everything else is derived from [`CtrnnConfig`]. The burn id of a parameter is a
/// function of its name, [`Parameter::id`](crate::Parameter::id), where burn's own ids are random: the state of one of burn's
/// optimizers can be kept by name, and two networks must not share one optimizer.
///
/// A burn record (`into_record`, `load_record`, recorders) holds the trained parameters alone. Load it into a network of the
/// same configuration and seed: masks and time constants that are drawn, and a carried state, are not in it. burn loads it with
/// the float type that the device was first used with in the process. Weight files
/// ([`weights`](CtrnnModule::weights), [`from_weights`](CtrnnModule::from_weights)) hold everything and are checked.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct CtrnnModule<B: Backend> {
    /// Raw input weights, the trained numbers behind `W_in [N,I]`, before sign and mask.
    pub w_in_raw: Param<Tensor<B, 2>>,
    /// Raw recurrent weights, the trained numbers behind `W_rc [N,N]`, before sign and mask; `[0,N]` where the recurrent matrix is
    /// the product of its factors alone.
    pub w_rc_raw: Param<Tensor<B, 2>>,
    /// Left factor `[N,R]` of a recurrent matrix of low rank.
    pub left: Option<Param<Tensor<B, 2>>>,
    /// Right factor `[N,R]` of a recurrent matrix of low rank.
    pub right: Option<Param<Tensor<B, 2>>>,
    /// Recurrent bias `b [N]`, if trained; else it is zero.
    pub bias: Option<Param<Tensor<B, 1>>>,
    /// Raw readout weights, the trained numbers behind `W_out [O,N]`, before sign and mask.
    pub w_out_raw: Param<Tensor<B, 2>>,
    /// Readout bias `b_out [O]`, if trained; else it is zero.
    pub bias_out: Option<Param<Tensor<B, 1>>>,
    /// Initial state `v(0)` or `r(0)`, `[N]`, if one is trained for all trials; else the configuration gives it.
    pub initial_state: Option<Param<Tensor<B, 1>>>,
    /// Initial state `v(0)` or `r(0)` of each condition, `[C,N]`, if trained.
    pub condition_states: Option<Param<Tensor<B, 2>>>,
    /// The parameter behind the time constants, `[1]` or `[N]`, if they are trained.
    pub tau_raw: Option<Param<Tensor<B, 1>>>,
    /// Time constants in ms, one or N, where they are not trained.
    #[module(skip)]
    pub(crate) fixed_tau_ms: Vec<f64>,
    /// Factors of a time step of these time constants; `None` where they are trained.
    #[module(skip)]
    pub(crate) fixed_factors: Option<Arc<StepFactors<TensorData>>>,
    /// Final state `[B,N]` of the last training batch, where the next batch starts from it.
    #[module(skip)]
    pub(crate) carried_state: Option<UnitState<TensorData>>,
    /// The values of the conditions to which `condition_states` belong, by the names of weight files.
    #[module(skip)]
    pub(crate) condition_values: Weights,
    /// `L [N,N]` of correlated pre-activation noise, row by row.
    #[module(skip)]
    pub(crate) noise_factor: Option<Vec<f64>>,
    /// Feedback weights `W_fb [N,O]`, if the readout is fed back.
    #[module(skip)]
    pub(crate) feedback_weights: Option<TensorData>,
    /// Delays of the recurrent connections in time steps, if there are any.
    #[module(skip)]
    pub(crate) delays: Option<Arc<Delays>>,
    pub(crate) input: Synapses<B>,
    pub(crate) recurrent: Synapses<B>,
    pub(crate) output: Synapses<B>,
    /// Layers below this one, from the inputs up; they have no readout.
    pub(crate) below: Layers<CtrnnModule<B>>,
    #[module(skip)]
    pub(crate) config: Arc<CtrnnConfig>,
}

impl<B: RecurrenceBackend> CtrnnModule<B> {
    /// Runs a batch of trials: `inputs [trial, time, input]`.
    ///
    /// The backend's own sweep does the work; it is tested against [`CtrnnModule::forward_reference`]. On an autodiff backend burn
    /// holds the memory of the backward pass until the next `backward`: evaluate on `network.valid()`.
    ///
    /// # Panics
    /// If a shape disagrees with the network's.
    pub fn forward(&self, inputs: Tensor<B, 3>, forward: &Forward<B>) -> Trajectory<B> {
        if forward.runs_by_length(&inputs) {
            return run_by_length(&inputs, forward, |_, inputs, forward| {
                self.forward(inputs, forward)
            });
        }
        let (inputs, below) = self.run_below(inputs.swap_dims(0, 1), forward, B::sweep);
        Trajectory {
            below,
            ..trajectory(B::sweep(self.sweep(inputs, forward)))
        }
    }

    /// Runs [`CtrnnModule::forward`] with a drive `[trial, time, unit]` besides the inputs, as if each unit of the last layer had an
    /// input of its own with weight 1: `W_in u + drive`.
    ///
    /// # Panics
    /// If a shape disagrees with the network's.
    pub fn forward_driven(
        &self,
        inputs: Tensor<B, 3>,
        drive: Tensor<B, 3>,
        forward: &Forward<B>,
    ) -> Trajectory<B> {
        if forward.runs_by_length(&inputs) {
            return run_by_length(&inputs, forward, |trials, inputs, forward| {
                let [_, length, _] = inputs.dims();
                let drive = drive.clone().narrow(0, trials.start, trials.len());
                self.forward_driven(inputs, drive.narrow(1, 0, length), forward)
            });
        }
        let (inputs, below) = self.run_below(inputs.swap_dims(0, 1), forward, B::sweep);
        let mut sweep = self.sweep(inputs, forward);
        let n = self.config.n_units;
        let diagonal = (0..n * n).map(|k| f32::from(u8::from(k % (n + 1) == 0)));
        let ones = TensorData::new(diagonal.collect::<Vec<f32>>(), [n, n]);
        let ones = host_tensor(ones, &self.device());
        self.add_inputs(&mut sweep, drive.swap_dims(0, 1), ones);
        Trajectory {
            below,
            ..trajectory(B::sweep(sweep))
        }
    }

    /// Adds inputs `[T,B,K]` with weights `[N,K]` to those of a sweep of the last layer.
    pub(crate) fn add_inputs(
        &self,
        sweep: &mut SweepTensors<B>,
        further: Tensor<B, 3>,
        weights: Tensor<B, 2>,
    ) {
        let (inputs, w_in) = match self.config.n_inputs {
            0 => (further, weights),
            _ => (
                Tensor::cat(vec![tensor(sweep.operands.inputs.clone()), further], 2),
                Tensor::cat(vec![tensor(sweep.operands.w_in.clone()), weights], 1),
            ),
        };
        sweep.operands.inputs = primitive(inputs);
        sweep.operands.w_in = primitive(w_in);
    }
}

impl<B: Backend> CtrnnModule<B> {
    /// Returns the state after one noise-free time step, in which `inputs [trial, input]` act on `state [trial, unit]`; of a stack, the
    /// last layer, whose inputs are the rates of the layer below.
    ///
    /// The state is `v` in the voltage form and `r` in the rate form, with the synapses where they are plastic
    /// ([`CtrnnModule::rested`]). Training, simulation and fixed points share this. Connections with a delay take the rates of
    /// `state` like the others, as in the first time step of a trial.
    pub fn step(
        &self,
        state: UnitState<Tensor<B, 2>>,
        inputs: Tensor<B, 2>,
    ) -> UnitState<Tensor<B, 2>> {
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
        recurrence::single_step(&sweep, seen)
    }

    /// Runs [`CtrnnModule::forward`] by the plain path of tensor operations, on any backend: the reference.
    pub fn forward_reference(&self, inputs: Tensor<B, 3>, forward: &Forward<B>) -> Trajectory<B> {
        assert_lengths(forward, &inputs);
        if !forward.lengths.is_empty() {
            return run_by_length(&inputs, forward, |_, inputs, forward| {
                self.forward_reference(inputs, forward)
            });
        }
        let sweep = recurrence::plain_sweep;
        let (inputs, below) = self.run_below(inputs.swap_dims(0, 1), forward, sweep);
        Trajectory {
            below,
            ..trajectory(sweep(self.sweep(inputs, forward)))
        }
    }

    /// Applies the output nonlinearity: returns `f_out(y)` for the readout `y` of [`Trajectory::outputs`](crate::Trajectory).
    pub fn activate(&self, outputs: Tensor<B, 3>) -> Tensor<B, 3> {
        self.config().output_nonlinearity.apply(outputs)
    }

    /// Returns the sweep of the last layer over its time-major `inputs [T,B,I]`.
    pub(crate) fn sweep(&self, inputs: Tensor<B, 3>, forward: &Forward<B>) -> SweepTensors<B> {
        let config = &self.config;
        let [steps, trials, width] = inputs.dims();
        assert_eq!(
            width, config.n_inputs,
            "inputs are [.., .., {width}], the network takes {}",
            config.n_inputs
        );
        let record = Record {
            synapses: forward.record.synapses && config.short_term_plasticity.is_some(),
            ..forward.record
        };
        let StepFactors {
            decay,
            gain,
            noise_scale,
        } = self.step_factors();
        let (w_out, bias_out) = (
            self.effective_weights(Matrix::Output),
            self.bias_out_value(),
        );
        let (w_rc, bias) = self.closed_loop(
            self.recurrent.effective(self.w_rc_raw.val()),
            self.bias_value(),
            &w_out,
            &bias_out,
        );
        SweepTensors {
            operands: Operands {
                inputs: primitive(noise_sources::seen_inputs(config, &forward.noise, inputs)),
                w_in: primitive(self.effective_weights(Matrix::Input)),
                w_rc: primitive(w_rc),
                left: primitive(self.factor(&self.left)),
                right: primitive(self.factor(&self.right)),
                bias: primitive(bias),
                w_out: primitive(w_out),
                bias_out: primitive(bias_out),
                decay: primitive(decay),
                gain: primitive(gain),
                noise_scale: primitive(noise_scale),
                initial_state: self.starting_states(forward, trials).map(primitive),
            },
            synapses: synapse_constants::<B>(config, &self.device())
                .map(|constants| constants.map(primitive)),
            form: config.form,
            activation: config.activation,
            noise_target: config.noise.convention.target(config.form),
            preactivation: noise_sources::preactivation(
                config,
                &forward.noise,
                self.noise_factor.as_deref(),
                [steps, trials, config.n_units],
                &self.device(),
            ),
            postactivation: noise_sources::postactivation(
                config,
                &forward.noise,
                [steps, trials, config.n_units],
                &self.device(),
            ),
            readout_noise: config.noise.postactivation,
            record,
            recompute: forward.recompute,
            delays: self.delays.clone(),
            lengths: forward.lengths.clone(),
            omega: forward.omega.clone(),
        }
    }

    /// Returns the configuration that the network was built from.
    pub fn config(&self) -> &CtrnnConfig {
        &self.config
    }

    /// Returns the values of the conditions to which the rows of the learned initial states belong, by name; empty unless they were
    /// given ([`CtrnnModule::with_weights`] with [`CONDITION_VALUES`]).
    pub fn condition_values(&self) -> Vec<(&str, Vec<f64>)> {
        let values = self.condition_values.iter();
        values
            .map(|(name, values)| (&name[CONDITION_VALUES.len()..], values.iter().collect()))
            .collect()
    }

    /// Returns the device that holds the parameters.
    pub fn device(&self) -> B::Device {
        self.w_out_raw.device()
    }

    /// Returns a network with these weights and time constants and another time step, for running a trained network at another dt.
    ///
    /// # Errors
    /// If [`CtrnnConfig::check`] refuses the result: `dt_ms` above `tau_ms` under Euler's integrator, for instance.
    pub fn with_dt_ms(mut self, dt_ms: f64) -> Result<Self, ModelError> {
        let config = CtrnnConfig::clone(&self.config);
        let config = config.map_layers(|layer| CtrnnConfig { dt_ms, ..layer });
        config.check()?;
        for (layer, config) in self.below.0.iter_mut().zip(&config.below) {
            layer.delays = config.delays().map(Arc::new);
            layer.set_config(config.clone());
        }
        self.delays = config.delays().map(Arc::new);
        self.set_config(config);
        Ok(self)
    }

    /// Replaces the configuration of the last layer by one of another time step or noise.
    fn set_config(&mut self, config: CtrnnConfig) {
        if self.fixed_factors.is_some() {
            let factors = StepFactors::fixed(&config, &self.fixed_tau_ms);
            self.fixed_factors = Some(Arc::new(factors));
        }
        self.config = Arc::new(config);
    }

    /// Returns the same network with every level of its noise times a factor.
    #[must_use]
    pub fn with_noise_times(&self, factor: f64) -> Self {
        let mut scaled = self.clone();
        scaled.scale_noise(factor);
        scaled
    }

    fn scale_noise(&mut self, factor: f64) {
        let noise = self.config.noise.times(factor);
        self.set_config(CtrnnConfig {
            noise,
            ..CtrnnConfig::clone(&self.config)
        });
        let correlations = self.noise_factor.iter_mut().flatten();
        correlations.for_each(|entry| *entry *= factor);
        self.below
            .0
            .iter_mut()
            .for_each(|layer| layer.scale_noise(factor));
    }

    /// Returns the constraints of a weight matrix.
    pub fn synapses(&self, matrix: Matrix) -> &Synapses<B> {
        match matrix {
            Matrix::Input => &self.input,
            Matrix::Recurrent => &self.recurrent,
            Matrix::Output => &self.output,
        }
    }

    /// Returns the effective weights `[post, pre]`, which act on the network, computed from the trained ones.
    pub fn effective_weights(&self, matrix: Matrix) -> Tensor<B, 2> {
        let single = || self.synapses(matrix).effective(self.raw_weights(matrix));
        let (Matrix::Recurrent, Some(factors)) = (matrix, &self.config.low_rank) else {
            return single();
        };
        // burn's gradient of a division by a number is rounded to single precision.
        let right = self.factor(&self.right) * (1.0 / self.config.n_units as f64);
        let product = self.factor(&self.left).matmul(right.transpose());
        if factors.has_full() {
            product + single()
        } else {
            product
        }
    }

    /// Returns a factor `[N,R]` of the recurrent matrix; `[N,0]` where it has none.
    fn factor(&self, factor: &Option<Param<Tensor<B, 2>>>) -> Tensor<B, 2> {
        match factor {
            Some(factor) => factor.val(),
            None => {
                let none = TensorData::new(Vec::<f32>::new(), [self.config.n_units, 0]);
                host_tensor(none, &self.device())
            }
        }
    }

    /// Returns the tensors that a matrix is made of by their names in weight files: the raw weights, and the factors of a recurrent
    /// matrix of low rank.
    pub fn raw_tensors(&self, matrix: Matrix) -> Vec<(String, Tensor<B, 2>)> {
        let parameters = self.config.parameters_of(matrix).into_iter();
        parameters
            .map(|parameter| match parameter.role {
                Role::RecurrentLeft => (parameter.name(), self.factor(&self.left)),
                Role::RecurrentRight => (parameter.name(), self.factor(&self.right)),
                _ => (matrix.array(RAW), self.raw_weights(matrix)),
            })
            .collect()
    }

    /// Returns the raw weights `[post, pre]`, which are trained: before sign and mask. Those of a recurrent matrix of low rank are
    /// the full matrix, `[0,N]` if it has none.
    pub fn raw_weights(&self, matrix: Matrix) -> Tensor<B, 2> {
        match matrix {
            Matrix::Input => self.w_in_raw.val(),
            Matrix::Recurrent => self.w_rc_raw.val(),
            Matrix::Output => self.w_out_raw.val(),
        }
    }

    /// Returns the current time constants in ms: one for all units, or one for each.
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

    /// Returns the gain `[N]`, the factor of the drive in a time step: `alpha = dt / tau` of each unit under Euler's integrator.
    pub fn gain(&self) -> Tensor<B, 1> {
        self.step_factors().gain
    }

    /// Returns decay, gain and noise scale of a step. For fixed time constants they are computed in double precision.
    pub(crate) fn step_factors(&self) -> StepFactors<Tensor<B, 1>> {
        match &self.fixed_factors {
            None => StepFactors::new(&self.config, self.tau_ms()),
            Some(factors) => StepFactors::on_device(factors, &self.device()),
        }
    }

    pub(crate) fn bias_value(&self) -> Tensor<B, 1> {
        match &self.bias {
            Some(bias) => bias.val(),
            None => constant(0.0, self.config.n_units, &self.device()),
        }
    }

    pub(crate) fn bias_out_value(&self) -> Tensor<B, 1> {
        match &self.bias_out {
            Some(bias) => bias.val(),
            None => constant(0.0, self.config.n_outputs, &self.device()),
        }
    }
}

impl<B: Backend> ModuleDisplay for CtrnnModule<B> {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new()
            .with_new_line_after_attribute(false)
            .optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        let config = &self.config;
        let content = content
            .add("layers", &config.n_layers())
            .add("inputs", &config.first_layer().n_inputs)
            .add("units", &config.n_units)
            .add("outputs", &config.n_outputs)
            .add("activation", &config.activation.name().to_owned())
            .add("tau", &config.tau_ms.to_string());
        content.add("dale", &config.dale.is_some()).optional()
    }
}

/// Returns `[trial, time, unit]` views of what a sweep wrote time-major.
pub(crate) fn trajectory<B: Backend>(results: ResultTensors<B>) -> Trajectory<B> {
    let by_trial = |x| tensor::<B, 3>(x).swap_dims(0, 1);
    let rate_sums = rate_sums(&results);
    Trajectory {
        outputs: by_trial(results.outputs.expect("a sweep gives outputs")),
        rates: results.rates.map(by_trial),
        potentials: results.potentials.map(by_trial),
        utilisation: results.utilisation.map(by_trial),
        resources: results.resources.map(by_trial),
        rate_sums,
        final_state: results
            .final_state
            .map(|state| tensor(state.expect("a sweep gives a final state"))),
        below: Vec::new(),
    }
}

/// Returns the sums of the rates, if the sweep has them.
fn rate_sums<B: Backend>(results: &ResultTensors<B>) -> Option<RateSums<Tensor<B, 1>>> {
    Some(RateSums {
        rates: tensor(results.rate_sums.clone()?),
        sizes: tensor(results.rate_sizes.clone()?),
        squares: tensor(results.rate_squares.clone()?),
    })
}
