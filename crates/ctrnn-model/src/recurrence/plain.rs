//! The recurrence by tensor operations: the reference on every backend.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use ctrnn_kernels::{
    Activation, Delays, Form, NoiseTarget, SweepResults, SynapseConstants, UnitState,
};

use super::noise::one_by_one;
use super::{ResultTensors, SweepTensors, primitive, tensor};
use crate::activation::rates;
use crate::parameters::host_tensor;
use crate::trajectory::no_outputs;

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
    w_rc: Option<Tensor<B, 2>>, // [N,N] as [pre, post], only the connections without delay; absent where a product is all
    delayed: Vec<(usize, Tensor<B, 2>)>, // the others, by their delay in time steps
    factors: Option<[Tensor<B, 2>; 2]>, // right / N [N,R], left [R,N]
    bias: Tensor<B, 2>,         // [1,N], as the next three
    decay: Tensor<B, 2>,
    gain: Tensor<B, 2>,
    noise_scale: Tensor<B, 2>,
    synapses: Option<SynapseConstants<Tensor<B, 2>>>,
    form: Form,
    activation: Activation,
    noise_target: NoiseTarget,
}

impl<B: Backend> Step<B> {
    fn new(sweep: &SweepTensors<B>) -> Self {
        let operands = sweep.operands.clone();
        let shape = sweep.shape();
        let row = |vector| tensor::<B, 1>(vector).unsqueeze();
        let w_rc = tensor::<B, 2>(operands.w_rc).transpose();
        let mut by_delay = match &sweep.delays {
            None => vec![(0, w_rc)],
            Some(delays) => by_delay(&w_rc, delays),
        };
        let (_, undelayed) = by_delay.remove(0);
        Self {
            w_in: (shape.inputs > 0).then(|| tensor::<B, 2>(operands.w_in).transpose()),
            w_rc: (!shape.without_full).then_some(undelayed),
            delayed: by_delay,
            factors: (shape.rank > 0).then(|| {
                // burn's gradient of a division by a number is rounded to single precision.
                let right = tensor::<B, 2>(operands.right) * (1.0 / shape.units as f64);
                [right, tensor::<B, 2>(operands.left).transpose()]
            }),
            bias: row(operands.bias),
            decay: row(operands.decay),
            gain: row(operands.gain),
            noise_scale: row(operands.noise_scale),
            synapses: (sweep.synapses.clone()).map(|constants| constants.map(row)),
            form: sweep.form,
            activation: sweep.activation,
            noise_target: sweep.noise_target,
        }
    }

    /// Advances the trials by one time step: `inputs [B,I]` where the network has inputs, `noise [B,N]` standard normal. `past` is
    /// what the weights saw in each time step before, where connections are delayed; this one adds to it.
    fn advance(
        &self,
        before: Trials<B>,
        past: &mut Vec<Tensor<B, 2>>,
        inputs: Option<Tensor<B, 2>>,
        noise: Option<Tensor<B, 2>>,
    ) -> Trials<B> {
        let UnitState {
            activity,
            utilisation,
            resources,
        } = before.state;
        let (transmitted, [utilisation, resources]) = match &self.synapses {
            Some(constants) => transmit(constants, before.rates, [utilisation, resources]),
            None => (before.rates, [utilisation, resources]),
        };
        let state = |activity| UnitState {
            activity,
            utilisation,
            resources,
        };
        let mut drive = match &self.w_rc {
            Some(w_rc) => transmitted.clone().matmul(w_rc.clone()) + self.bias.clone(),
            None => self.bias.clone(),
        };
        if !self.delayed.is_empty() {
            past.push(transmitted.clone());
        }
        for (delay, weights) in &self.delayed {
            let earlier = past[past.len().saturating_sub(1 + delay)].clone();
            drive = drive + earlier.matmul(weights.clone());
        }
        if let Some([right, left]) = &self.factors {
            drive = drive + transmitted.matmul(right.clone()).matmul(left.clone());
        }
        if let Some((w_in, inputs)) = self.w_in.as_ref().zip(inputs) {
            drive = drive + inputs.matmul(w_in.clone());
        }
        let noise = noise.map(|n| n * self.noise_scale.clone());
        let kept = activity * self.decay.clone();
        match self.form {
            Form::Voltage => {
                let v = add(kept + drive * self.gain.clone(), noise);
                Trials {
                    rates: rates(self.activation, v.clone()),
                    state: state(v.clone()),
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
                    state: state(r.clone()),
                    rates: r,
                    potentials: z,
                }
            }
        }
    }
}

/// Takes the utilisation and the resources of the synapses through a time step that begins with these rates, and returns what the
/// synapses transmit, and both.
fn transmit<B: Backend>(
    constants: &SynapseConstants<Tensor<B, 2>>,
    rates: Tensor<B, 2>,
    [utilisation, resources]: [Tensor<B, 2>; 2],
) -> (Tensor<B, 2>, [Tensor<B, 2>; 2]) {
    let SynapseConstants {
        baseline,
        utilisation_gain,
        resources_gain,
        spikes,
    } = constants.clone();
    let unused = |x: &Tensor<B, 2>| x.clone().neg() + 1.0;
    let emitted = rates.clone() * spikes;
    let u = utilisation.clone()
        + (utilisation.clone().neg() + baseline.clone()) * utilisation_gain
        + emitted.clone() * baseline * unused(&utilisation);
    let x =
        resources.clone() + unused(&resources) * resources_gain - emitted * utilisation * resources;
    let [u, x] = [u, x].map(|value| value.clamp(0.0, 1.0));
    (rates * u.clone() * x.clone(), [u, x])
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
    Step::new(sweep)
        .advance(start(sweep), &mut Vec::new(), Some(inputs), None)
        .state
}

/// Runs the recurrence step by step and stacks the recorded results.
///
/// Each step projects its own input: slicing one big projection would make the backward pass quadratic in T.
pub(crate) fn sweep<B: Backend>(sweep: SweepTensors<B>) -> ResultTensors<B> {
    assert!(sweep.lengths.is_empty(), "trials of one length");
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
    // burn computes with no empty tensors, which the readout of a layer below the last one is.
    let readout = (shape.outputs > 0).then(|| {
        let w_out = tensor::<B, 2>(sweep.operands.w_out.clone()).transpose();
        (
            w_out,
            tensor::<B, 1>(sweep.operands.bias_out.clone()).unsqueeze::<2>(),
        )
    });
    let mut state = start(&sweep);
    let mut past = Vec::new();
    let (mut outputs, mut rates, mut potentials) = (Vec::new(), Vec::new(), Vec::new());
    let (mut utilisation, mut resources) = (Vec::new(), Vec::new());
    let keeps_synapses = sweep.record.synapses && shape.synapses > 0;
    for t in 0..steps {
        let inputs = (shape.inputs > 0).then(|| at(&all_inputs, t, shape.inputs)); // burn reads a 0 in `reshape` as "keep"
        let noise = preactivation.as_ref().map(|n| at(n, t, units));
        state = step.advance(state, &mut past, inputs, noise);
        let seen = match &postactivation {
            Some(xi) => state.rates.clone() + at(xi, t, units) * sweep.readout_noise,
            None => state.rates.clone(),
        };
        if let Some((w_out, bias_out)) = &readout {
            outputs.push(seen.matmul(w_out.clone()) + bias_out.clone());
        }
        if sweep.record.rates {
            rates.push(state.rates.clone());
        }
        if sweep.record.potentials {
            potentials.push(state.potentials.clone());
        }
        if keeps_synapses {
            utilisation.push(state.state.utilisation.clone());
            resources.push(state.state.resources.clone());
        }
    }
    let stack = |states: Vec<Tensor<B, 2>>| primitive(Tensor::stack::<3>(states, 0));
    ResultTensors::<B> {
        outputs: Some(match readout {
            Some(_) => stack(outputs),
            None => primitive(no_outputs::<B>([steps, trials], &device)),
        }),
        rates: sweep.record.rates.then(|| stack(rates)),
        potentials: sweep.record.potentials.then(|| stack(potentials)),
        utilisation: keeps_synapses.then(|| stack(utilisation)),
        resources: keeps_synapses.then(|| stack(resources)),
        final_state: state.state.map(|state| Some(primitive(state))),
        ..SweepResults::default()
    }
}
