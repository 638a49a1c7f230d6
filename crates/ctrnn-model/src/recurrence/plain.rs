//! The recurrence by tensor operations: the reference on every backend.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use ctrnn_kernels::{Activation, Delays, Form, NoiseTarget, UnitState};

use super::noise::one_by_one;
use super::{ResultTensors, SweepTensors, primitive, tensor};
use crate::activation::rates;
use crate::parameters::host_tensor;

/// A batch of trials between two time steps, all `[B,N]`.
#[derive(Clone, Debug)]
pub(crate) struct Trials<B: Backend> {
    /// Numbers that go on to the next step.
    pub state: UnitState<Tensor<B, 2>>,
    /// Firing rates.
    pub rates: Tensor<B, 2>,
    /// Potentials: `v`, or `z` of the last step in the rate form.
    pub potentials: Tensor<B, 2>,
}

/// The part of a sweep that one time step needs, with the weights transposed once.
struct Step<B: Backend> {
    w_in: Option<Tensor<B, 2>>,          // [I,N]; absent without inputs
    w_rc: Tensor<B, 2>,                  // [N,N] as [pre, post]; only the connections without delay
    delayed: Vec<(usize, Tensor<B, 2>)>, // the others, by their delay in time steps
    bias: Tensor<B, 2>,                  // [1,N], as the next three
    decay: Tensor<B, 2>,
    gain: Tensor<B, 2>,
    noise_scale: Tensor<B, 2>,
    form: Form,
    activation: Activation,
    noise_target: NoiseTarget,
}

impl<B: Backend> Step<B> {
    fn new(sweep: &SweepTensors<B>) -> Self {
        let operands = sweep.operands.clone();
        let has_inputs = sweep.shape().inputs > 0;
        let row = |vector| tensor::<B, 1>(vector).unsqueeze();
        let w_rc = tensor::<B, 2>(operands.w_rc).transpose();
        let mut by_delay = match &sweep.delays {
            None => vec![(0, w_rc)],
            Some(delays) => by_delay(&w_rc, delays),
        };
        let (_, undelayed) = by_delay.remove(0);
        Self {
            w_in: has_inputs.then(|| tensor::<B, 2>(operands.w_in).transpose()),
            w_rc: undelayed,
            delayed: by_delay,
            bias: row(operands.bias),
            decay: row(operands.decay),
            gain: row(operands.gain),
            noise_scale: row(operands.noise_scale),
            form: sweep.form,
            activation: sweep.activation,
            noise_target: sweep.noise_target,
        }
    }

    /// Advances the trials by one time step: `inputs [B,I]` where the network has inputs, `noise [B,N]` standard normal. `past` are
    /// the rates before each time step up to this one, where connections are delayed.
    fn advance(
        &self,
        before: Trials<B>,
        past: &[Tensor<B, 2>],
        inputs: Option<Tensor<B, 2>>,
        noise: Option<Tensor<B, 2>>,
    ) -> Trials<B> {
        let mut drive = before.rates.matmul(self.w_rc.clone()) + self.bias.clone();
        for (delay, weights) in &self.delayed {
            let rates = past[past.len().saturating_sub(1 + delay)].clone();
            drive = drive + rates.matmul(weights.clone());
        }
        if let Some((w_in, inputs)) = self.w_in.as_ref().zip(inputs) {
            drive = drive + inputs.matmul(w_in.clone());
        }
        let noise = noise.map(|n| n * self.noise_scale.clone());
        let kept = before.state.activity * self.decay.clone();
        match self.form {
            Form::Voltage => {
                let v = add(kept + drive * self.gain.clone(), noise);
                Trials {
                    rates: rates(self.activation, v.clone()),
                    state: UnitState {
                        activity: v.clone(),
                    },
                    potentials: v,
                }
            }
            Form::Rate => {
                let (on_drive, on_state) = match self.noise_target {
                    NoiseTarget::State => (None, noise),
                    NoiseTarget::Drive => (noise, None),
                };
                let z = add(drive, on_drive);
                let r = kept + rates(self.activation, z.clone()) * self.gain.clone();
                let r = add(r, on_state);
                Trials {
                    state: UnitState {
                        activity: r.clone(),
                    },
                    rates: r,
                    potentials: z,
                }
            }
        }
    }
}

/// Returns the weights `[pre, post]` of the connections with each delay in time steps, the others zero; the first delay is 0.
fn by_delay<B: Backend>(w_rc: &Tensor<B, 2>, delays: &Delays) -> Vec<(usize, Tensor<B, 2>)> {
    let n = delays.units();
    let with_delay = |(number, &steps): (usize, &usize)| {
        let has = |k: usize| f32::from(u8::from(delays.number(k % n, k / n) == number));
        let mask = TensorData::new((0..n * n).map(has).collect::<Vec<f32>>(), [n, n]);
        (steps, w_rc.clone() * host_tensor(mask, &w_rc.device()))
    };
    delays.steps().iter().enumerate().map(with_delay).collect()
}

fn add<B: Backend>(x: Tensor<B, 2>, noise: Option<Tensor<B, 2>>) -> Tensor<B, 2> {
    match noise {
        Some(noise) => x + noise,
        None => x,
    }
}

/// Returns the state before the first step.
fn start<B: Backend>(sweep: &SweepTensors<B>) -> Trials<B> {
    let state = sweep.operands.initial_state.clone().map(tensor::<B, 2>);
    let activity = state.activity.clone();
    Trials {
        rates: match sweep.form {
            Form::Voltage => rates(sweep.activation, activity.clone()),
            Form::Rate => activity.clone(),
        },
        potentials: activity,
        state,
    }
}

/// Returns the state after one time step of `sweep` from its initial state under `inputs [B,I]`, without noise. Delayed
/// connections take the rates of that state, too.
pub(crate) fn single_step<B: Backend>(
    sweep: &SweepTensors<B>,
    inputs: Tensor<B, 2>,
) -> UnitState<Tensor<B, 2>> {
    let start = start(sweep);
    let past = [start.rates.clone()];
    Step::new(sweep)
        .advance(start, &past, Some(inputs), None)
        .state
}

/// Runs the recurrence step by step and stacks the recorded results.
///
/// Each step projects its own input: slicing one big projection would make the backward pass quadratic in T.
pub(crate) fn sweep<B: Backend>(sweep: SweepTensors<B>) -> ResultTensors<B> {
    let shape = sweep.shape();
    let (steps, trials, units) = (shape.steps, shape.trials, shape.units);
    let all_inputs = tensor::<B, 3>(sweep.operands.inputs.clone());
    let device = all_inputs.device();
    let sizes = [steps, trials, units];
    let preactivation = one_by_one(&sweep.preactivation, sizes, &device);
    let postactivation = one_by_one(&sweep.postactivation, sizes, &device);
    let at = |x: &Tensor<B, 3>, t: usize, width: usize| {
        x.clone()
            .slice([t..t + 1, 0..trials, 0..width])
            .reshape([trials, width])
    };

    let step = Step::new(&sweep);
    let w_out = tensor::<B, 2>(sweep.operands.w_out.clone()).transpose();
    let bias_out = tensor::<B, 1>(sweep.operands.bias_out.clone()).unsqueeze::<2>();
    let mut state = start(&sweep);
    let mut past = Vec::new();
    let (mut outputs, mut rates, mut potentials) = (Vec::new(), Vec::new(), Vec::new());
    for t in 0..steps {
        let inputs = (shape.inputs > 0).then(|| at(&all_inputs, t, shape.inputs)); // burn reads a 0 in `reshape` as "keep"
        let noise = preactivation.as_ref().map(|n| at(n, t, units));
        if sweep.delays.is_some() {
            past.push(state.rates.clone());
        }
        state = step.advance(state, &past, inputs, noise);
        let seen = match &postactivation {
            Some(xi) => state.rates.clone() + at(xi, t, units) * sweep.readout_noise,
            None => state.rates.clone(),
        };
        outputs.push(seen.matmul(w_out.clone()) + bias_out.clone());
        if sweep.record.rates {
            rates.push(state.rates.clone());
        }
        if sweep.record.potentials {
            potentials.push(state.potentials.clone());
        }
    }
    let stack = |states: Vec<Tensor<B, 2>>| primitive(Tensor::stack::<3>(states, 0));
    ResultTensors::<B> {
        outputs: Some(stack(outputs)),
        rates: sweep.record.rates.then(|| stack(rates)),
        potentials: sweep.record.potentials.then(|| stack(potentials)),
        final_state: state.state.map(|state| Some(primitive(state))),
    }
}
