//! The recurrence time step by time step in double precision on the host, for learning rules that change weights within a trial.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use ctrnn_kernels::{Activation, Form, NoiseTarget};

use crate::connectivity::Matrix;
use crate::recurrence::one_by_one;
use crate::{CtrnnModule, Forward, noise_sources};

/// Batch of trials of a network of one layer, to be run time step by time step with weights that the caller holds.
///
/// Everything else is that of a sweep: inputs as the network sees them, leak, noise and initial states. Synapses that are plastic or delayed
/// are not part of it.
#[derive(Clone, Debug)]
pub struct HostSweep {
    /// Number of inputs.
    pub n_inputs: usize,
    /// Number of units.
    pub n_units: usize,
    /// Activation function.
    pub activation: Activation,
    /// Variable that the leak acts on.
    pub form: Form,
    /// Decay of the state over a time step, `[N]`.
    pub decay: Vec<f64>,
    /// Factor of the drive in a time step, `[N]`.
    pub gain: Vec<f64>,
    /// Feedback weights `W_fb [N,O]`, row by row, if the readout is fed back.
    pub feedback: Option<Vec<f64>>,
    w_in: Vec<f64>,
    n_trials: usize,
    noise_target: NoiseTarget,
    inputs: Vec<f64>,
    initial_state: Vec<f64>,
    noise: Option<Vec<f64>>,
    readout_noise: Option<Vec<f64>>,
}

/// State of a trial between two time steps, all `[N]`.
#[derive(Clone, Debug, PartialEq)]
pub struct HostState {
    /// Variable that the leak acts on: `v` in the voltage form, `r` in the rate form.
    pub activity: Vec<f64>,
    /// Firing rates.
    pub rates: Vec<f64>,
    /// Potentials: `v`, or `z` of the last time step in the rate form.
    pub potentials: Vec<f64>,
}

impl HostSweep {
    /// Reads the operands of a pass over `inputs [trial, time, input]` from a network of one layer.
    ///
    /// # Panics
    /// As [`CtrnnModule::forward`].
    pub fn new<B: Backend>(
        network: &CtrnnModule<B>,
        inputs: Tensor<B, 3>,
        forward: &Forward<B>,
    ) -> Self {
        let config = network.config();
        let [n_trials, steps, n_inputs] = inputs.dims();
        let shape = [steps, n_trials, config.n_units];
        let device = network.device();
        let factors = network.step_factors();
        let scale = host(factors.noise_scale);
        let normals = |source| one_by_one::<B>(&source, shape, &device).map(host);
        let factor = network.noise_factor.as_deref();
        let eps = noise_sources::preactivation(config, &forward.noise, factor, shape, &device);
        let scaled = |values: Vec<f64>| {
            let scale = scale.iter().cycle();
            values.iter().zip(scale).map(|(n, s)| n * s).collect()
        };
        let xi = noise_sources::postactivation(config, &forward.noise, shape, &device);
        let xi = normals(xi);
        let sigma = config.noise.postactivation;
        let seen = noise_sources::seen_inputs(config, &forward.noise, inputs.swap_dims(0, 1));
        Self {
            n_inputs,
            n_units: config.n_units,
            activation: config.activation,
            form: config.form,
            decay: host(factors.decay),
            gain: host(factors.gain),
            feedback: network.feedback().map(host),
            w_in: host(network.effective_weights(Matrix::Input)),
            n_trials,
            noise_target: config.noise.convention.target(config.form),
            inputs: host(seen),
            initial_state: host(network.starting_states(forward, n_trials).activity),
            noise: normals(eps).map(scaled),
            readout_noise: xi.map(|xi| xi.into_iter().map(|n| n * sigma).collect()),
        }
    }

    /// Returns the state of a trial before its first time step.
    pub fn start(&self, trial: usize) -> HostState {
        let n = self.n_units;
        let activity = self.initial_state[trial * n..][..n].to_vec();
        HostState {
            rates: match self.form {
                Form::Voltage => self.rates(&activity),
                Form::Rate => activity.clone(),
            },
            potentials: activity.clone(),
            activity,
        }
    }

    /// Adds the noise of a time step of a trial to its drive and state, and advances it by that time step. `drive [N]` is the recurrent
    /// drive with the bias, `W_rc r + b`; the inputs are added to it.
    pub fn advance(&self, [t, trial]: [usize; 2], state: &mut HostState, drive: &mut [f64]) {
        self.advance_with(t, trial, state, drive, self.noise.as_deref());
    }

    /// Does the same as [`HostSweep::advance`] without noise.
    pub fn advance_silently(
        &self,
        [t, trial]: [usize; 2],
        state: &mut HostState,
        drive: &mut [f64],
    ) {
        self.advance_with(t, trial, state, drive, None);
    }

    fn advance_with(
        &self,
        t: usize,
        trial: usize,
        state: &mut HostState,
        drive: &mut [f64],
        noise: Option<&[f64]>,
    ) {
        let row = t * self.n_trials + trial;
        let inputs = &self.inputs[row * self.n_inputs..][..self.n_inputs];
        let noise = noise.map(|noise| &noise[row * self.n_units..][..self.n_units]);
        for (i, drive) in drive.iter_mut().enumerate() {
            let weights = &self.w_in[i * self.n_inputs..][..self.n_inputs];
            *drive += weights.iter().zip(inputs).map(|(w, u)| w * u).sum::<f64>();
            let n = noise.map_or(0.0, |noise| noise[i]);
            let kept = self.decay[i] * state.activity[i];
            match self.form {
                Form::Voltage => {
                    let v = kept + self.gain[i] * *drive + n;
                    (state.activity[i], state.potentials[i]) = (v, v);
                    state.rates[i] = self.activation.value(v);
                }
                Form::Rate => {
                    let (on_drive, on_state) = match self.noise_target {
                        NoiseTarget::Drive => (n, 0.0),
                        NoiseTarget::State => (0.0, n),
                    };
                    let z = *drive + on_drive;
                    let r = kept + self.gain[i] * self.activation.value(z) + on_state;
                    state.potentials[i] = z;
                    (state.activity[i], state.rates[i]) = (r, r);
                }
            }
        }
    }

    /// Returns the rates that the readout sees after a time step of a trial, `r + xi`.
    pub fn seen_rates(&self, [t, trial]: [usize; 2], state: &HostState) -> Vec<f64> {
        let mut rates = state.rates.clone();
        if let Some(noise) = &self.readout_noise {
            let row = (t * self.n_trials + trial) * self.n_units;
            let noise = &noise[row..][..self.n_units];
            rates.iter_mut().zip(noise).for_each(|(r, xi)| *r += xi);
        }
        rates
    }

    /// Returns true if the readout sees other rates than the network.
    pub const fn has_readout_noise(&self) -> bool {
        self.readout_noise.is_some()
    }

    /// Returns the inputs that the network sees at a time step of a trial, `[I]`.
    pub fn inputs(&self, [t, trial]: [usize; 2]) -> &[f64] {
        &self.inputs[(t * self.n_trials + trial) * self.n_inputs..][..self.n_inputs]
    }

    fn rates(&self, potentials: &[f64]) -> Vec<f64> {
        let rate = |&v: &f64| self.activation.value(v);
        potentials.iter().map(rate).collect()
    }
}

fn host<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f64> {
    if tensor.dims().contains(&0) {
        return Vec::new(); // not every backend reads an empty tensor
    }
    tensor.into_data().iter::<f64>().collect()
}

#[cfg(test)]
mod tests {
    use burn::backend::NdArray;
    use burn::tensor::TensorData;

    use super::*;
    use crate::{
        Feedback, Noise, NoiseAddress, NoiseConvention, NoiseLevels, PreactivationNoise, Record,
        host_tensor,
    };

    type F64 = NdArray<f64>;

    /// Runs a batch time step by time step with the weights of the network; returns outputs and rates, `[trial][time]` one after another.
    fn by_steps(
        network: &CtrnnModule<F64>,
        inputs: Tensor<F64, 3>,
        pass: &Forward<F64>,
    ) -> [Vec<f64>; 2] {
        let [trials, steps, _] = inputs.dims();
        let sweep = HostSweep::new(network, inputs, pass);
        let weights = network.weights();
        let array = |name: &str| weights[name].iter::<f64>().collect::<Vec<_>>();
        let product = |matrix: &[f64], x: &[f64], bias: &[f64]| -> Vec<f64> {
            let rows = matrix.chunks(x.len()).zip(bias);
            rows.map(|(row, b)| b + row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>())
                .collect()
        };
        let [w_rc, bias, w_out, bias_out] = [
            "recurrent.weight",
            "recurrent.bias",
            "output.weight",
            "output.bias",
        ]
        .map(array);
        let (mut outputs, mut rates) = (Vec::new(), Vec::new());
        for b in 0..trials {
            let mut state = sweep.start(b);
            for t in 0..steps {
                let mut drive = product(&w_rc, &state.rates, &bias);
                if let Some(feedback) = &sweep.feedback {
                    let y = product(&w_out, &state.rates, &bias_out);
                    let back = product(feedback, &y, &vec![0.0; drive.len()]);
                    drive.iter_mut().zip(back).for_each(|(d, x)| *d += x);
                }
                sweep.advance([t, b], &mut state, &mut drive);
                rates.extend(&state.rates);
                outputs.extend(product(
                    &w_out,
                    &sweep.seen_rates([t, b], &state),
                    &bias_out,
                ));
            }
        }
        [outputs, rates]
    }

    /// Both forms, with and without feedback, with every kind of noise: the sweep of the closed loop is the explicit loop.
    #[test]
    fn steps_are_those_of_the_sweep() {
        let device = Default::default();
        for form in [Form::Voltage, Form::Rate] {
            for feedback in [None, Some(Feedback::default())] {
                let mut config = crate::CtrnnConfig {
                    form,
                    feedback,
                    activation: Activation::Tanh,
                    noise: NoiseLevels {
                        preactivation: PreactivationNoise::Shared(0.3),
                        postactivation: 0.1,
                        input: 0.2,
                        initial_state: 0.4,
                        convention: NoiseConvention::Song,
                        ..NoiseLevels::default()
                    },
                    ..crate::CtrnnConfig::new(3, 7, 2)
                };
                config.input.baseline = 0.1;
                let network = config.init::<F64>(5, &device).unwrap();
                let bias = |n: usize| {
                    TensorData::new(
                        (0..n).map(|k| 0.1 * k as f64 - 0.2).collect::<Vec<_>>(),
                        [n],
                    )
                };
                let biases = [
                    ("recurrent.bias".to_owned(), bias(7)),
                    ("output.bias".to_owned(), bias(2)),
                ];
                let network = network.with_weights(&biases.into()).unwrap();
                let inputs: Vec<f64> = (0..2 * 20 * 3).map(|k| (k as f64).sin()).collect();
                let inputs = host_tensor(TensorData::new(inputs, [2, 20, 3]), &device);
                let address = NoiseAddress {
                    seed: 3,
                    step: 4,
                    first_trial: 0,
                    ..NoiseAddress::default()
                };
                let pass = Forward {
                    noise: Noise::Drawn(address),
                    record: Record::RATES,
                    ..Forward::default()
                };
                let whole = network.forward(inputs.clone(), &pass);
                let expected = [whole.outputs, whole.rates.unwrap()].map(host);
                for (found, expected) in by_steps(&network, inputs, &pass).iter().zip(&expected) {
                    assert_eq!(found.len(), expected.len());
                    for (a, b) in found.iter().zip(expected) {
                        assert!((a - b).abs() < 1e-12, "{form:?} {feedback:?}: {a} {b}");
                    }
                }
            }
        }
    }
}
