//! The fused sweep on CPU backends: tensors as slices, and back, without a copy of the trajectory.

use std::borrow::Cow;
use std::sync::LazyLock;

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorPrimitive};
use burn_ndarray::{NdArray, NdArrayTensor};
use ctrnn_kernels::{
    Dynamics, Element, Form, Gradients, InitialState, KeptRecord, KernelPath, NoiseTarget, Record,
    Saved, Shape, Weights, Workspace, backward, backward_recomputing, forward,
    forward_keeping_states, kept_states, segment_steps,
};
use ndarray::{ArrayD, IxDyn};

use super::{
    NoiseSource, Pullback, Sweep, SweepGradients, Swept, Upstream, Wanted, assert_errors_fit,
};

/// A backend whose tensors are arrays in host memory.
pub(super) trait CpuBackend: Backend {
    /// Its numbers.
    type Number: Element;
    /// The memory that sweeps of this process reuse.
    fn workspace() -> &'static Workspace<Self::Number>;
    /// The numbers of a tensor in the order of its shape; a copy only where memory has another order.
    fn numbers(tensor: &Self::FloatTensorPrimitive) -> Cow<'_, [Self::Number]>;
    /// A tensor that takes over numbers in the order of its shape.
    fn tensor(numbers: Vec<Self::Number>, shape: &[usize]) -> Self::FloatTensorPrimitive;
}

/// The fused sweep, and what surrounds it, for a backend that is a [`CpuBackend`].
macro_rules! fused_sweep {
    ($backend:ty) => {
        impl $crate::recurrence::RecurrenceBackend for $backend {
            fn sweep(sweep: $crate::recurrence::Sweep<Self>) -> $crate::recurrence::Swept<Self> {
                $crate::recurrence::cpu::swept(&sweep)
            }

            fn sweep_with_pullback(
                sweep: &$crate::recurrence::Sweep<Self>,
                wanted: $crate::recurrence::Wanted,
            ) -> Option<(
                $crate::recurrence::Swept<Self>,
                $crate::recurrence::Pullback<Self>,
            )> {
                Some($crate::recurrence::cpu::run_with_pullback(sweep, wanted))
            }

            fn squared_error(
                y: burn::tensor::Tensor<Self, 3>,
                target: burn::tensor::Tensor<Self, 3>,
                weights: burn::tensor::Tensor<Self, 3>,
            ) -> (burn::tensor::Tensor<Self, 1>, burn::tensor::Tensor<Self, 3>) {
                $crate::recurrence::cpu::squared_error([y, target, weights])
            }

            fn sum_of_squares(
                tensors: &[&burn::tensor::Tensor<Self, 1>],
            ) -> burn::tensor::Tensor<Self, 1> {
                $crate::recurrence::cpu::sum_of_squares(tensors)
            }
        }
    };
}

macro_rules! ndarray_backend {
    ($element:ty, $variant:ident) => {
        impl CpuBackend for NdArray<$element> {
            type Number = $element;

            fn workspace() -> &'static Workspace<$element> {
                static WORKSPACE: LazyLock<Workspace<$element>> =
                    LazyLock::new(|| Workspace::new(kernel_path()));
                &WORKSPACE
            }

            fn numbers(tensor: &NdArrayTensor) -> Cow<'_, [$element]> {
                let NdArrayTensor::$variant(storage) = tensor else {
                    panic!(
                        "a float tensor of this backend holds {}",
                        stringify!($element)
                    );
                };
                let view = storage.view();
                match view.to_slice() {
                    Some(slice) => Cow::Borrowed(slice),
                    None => Cow::Owned(view.iter().copied().collect()),
                }
            }

            fn tensor(numbers: Vec<$element>, shape: &[usize]) -> NdArrayTensor {
                ArrayD::from_shape_vec(IxDyn(shape), numbers)
                    .expect("as many numbers as the shape says")
                    .into_shared()
                    .into()
            }
        }

        fused_sweep!(NdArray<$element>);
    };
}

#[cfg(feature = "flex")]
pub(super) use fused_sweep;

ndarray_backend!(f32, F32);
ndarray_backend!(f64, F64);

/// The instruction set that this process uses.
///
/// # Panics
/// If the environment asks for one that this CPU lacks; a program asks [`KernelPath::selected`] first.
pub(super) fn kernel_path() -> KernelPath {
    KernelPath::selected().unwrap_or_else(|error| panic!("{error}"))
}

/// What a forward sweep kept for the way back.
enum Kept<B: CpuBackend> {
    /// All of it.
    Trajectory(History<B>),
    /// The state before every `segment`-th step, from which the way back computes the rest again.
    States { states: Buffer<B>, segment: usize },
}

/// A trajectory, in bytes per trial, unit and step: 4 (f32) for the rates, as much again for the responses of the rate
/// form, and for the potentials where the gradient of decay is wanted.
struct History<B: CpuBackend> {
    rates: Buffer<B>,
    responses: Option<Buffer<B>>,
    potentials: Option<Buffer<B>>,
}

impl<B: CpuBackend> History<B> {
    fn saved(&self) -> Saved<'_, B::Number> {
        Saved {
            rates: self.rates.slice(),
            responses: self.responses.as_ref().map(Buffer::slice),
            potentials: self.potentials.as_ref().map(Buffer::slice),
        }
    }
}

/// Numbers that go back to the workspace when nobody needs them, unless a tensor has taken them over.
enum Buffer<B: CpuBackend> {
    Pooled(Vec<B::Number>),
    Shared(B::FloatTensorPrimitive),
}

impl<B: CpuBackend> Buffer<B> {
    fn take(len: usize) -> Self {
        Self::Pooled(B::workspace().take(len))
    }

    fn slice(&self) -> &[B::Number] {
        match self {
            Self::Pooled(numbers) => numbers,
            Self::Shared(tensor) => match B::numbers(tensor) {
                Cow::Borrowed(numbers) => numbers,
                Cow::Owned(_) => unreachable!("made in standard order"),
            },
        }
    }

    fn slice_mut(&mut self) -> &mut [B::Number] {
        match self {
            Self::Pooled(numbers) => numbers,
            Self::Shared(_) => unreachable!("a buffer is written before it is shared"),
        }
    }

    /// A tensor of these numbers, which both then share.
    fn share<const D: usize>(&mut self, shape: [usize; D]) -> Tensor<B, D> {
        if let Self::Pooled(numbers) = self {
            *self = Self::Shared(B::tensor(std::mem::take(numbers), &shape));
        }
        match self {
            Self::Shared(tensor) => of_primitive(tensor.clone()),
            Self::Pooled(_) => unreachable!("shared a line above"),
        }
    }
}

impl<B: CpuBackend> Drop for Buffer<B> {
    fn drop(&mut self) {
        if let Self::Pooled(numbers) = self {
            B::workspace().give(std::mem::take(numbers));
        }
    }
}

fn of_primitive<B: Backend, const D: usize>(primitive: B::FloatTensorPrimitive) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

fn tensor<B: CpuBackend, const D: usize>(
    numbers: Vec<B::Number>,
    shape: [usize; D],
) -> Tensor<B, D> {
    of_primitive(B::tensor(numbers, &shape))
}

/// The tensors of a sweep, held while their numbers are borrowed.
struct Held<P> {
    inputs: P,
    w_in: P,
    w_rc: P,
    bias: P,
    w_out: P,
    bias_out: P,
    decay: P,
    gain: P,
    noise_scale: P,
    initial_state: P,
    eps: Option<P>,
    xi: Option<P>,
}

impl<P> Held<P> {
    fn of<B: Backend<FloatTensorPrimitive = P>>(sweep: &Sweep<B>) -> Self {
        let given = |source: &NoiseSource<B>| match source {
            NoiseSource::Given(normals) => Some(primitive(normals)),
            _ => None,
        };
        Self {
            inputs: primitive(&sweep.inputs),
            w_in: primitive(&sweep.w_in),
            w_rc: primitive(&sweep.w_rc),
            bias: primitive(&sweep.bias),
            w_out: primitive(&sweep.w_out),
            bias_out: primitive(&sweep.bias_out),
            decay: primitive(&sweep.decay),
            gain: primitive(&sweep.gain),
            noise_scale: primitive(&sweep.noise_scale),
            initial_state: primitive(&sweep.initial_state),
            eps: given(&sweep.preactivation),
            xi: given(&sweep.postactivation),
        }
    }
}

fn primitive<B: Backend, const D: usize>(tensor: &Tensor<B, D>) -> B::FloatTensorPrimitive {
    tensor.clone().into_primitive().tensor()
}

fn shape<B: Backend>(sweep: &Sweep<B>) -> Shape {
    let [steps, trials, inputs] = sweep.inputs.dims();
    let [outputs, units] = sweep.w_out.dims();
    Shape {
        trials,
        steps,
        inputs,
        units,
        outputs,
    }
}

/// Calls `work` with the sweep as slices.
fn with_slices<B: CpuBackend, R>(
    sweep: &Sweep<B>,
    work: impl FnOnce(&ctrnn_kernels::Sweep<B::Number>) -> R,
) -> R {
    let held = Held::of(sweep);
    let [
        inputs,
        w_in,
        w_rc,
        bias,
        w_out,
        bias_out,
        decay,
        gain,
        noise_scale,
        initial_state,
    ] = [
        &held.inputs,
        &held.w_in,
        &held.w_rc,
        &held.bias,
        &held.w_out,
        &held.bias_out,
        &held.decay,
        &held.gain,
        &held.noise_scale,
        &held.initial_state,
    ]
    .map(B::numbers);
    let (eps, xi) = (
        held.eps.as_ref().map(B::numbers),
        held.xi.as_ref().map(B::numbers),
    );
    let noise_target = match sweep.form {
        Form::Rate if !sweep.noise_on_state => NoiseTarget::Drive,
        _ => NoiseTarget::State,
    };
    work(&ctrnn_kernels::Sweep {
        shape: shape(sweep),
        weights: Weights {
            w_in: &w_in,
            w_rc: &w_rc,
            bias: &bias,
            w_out: &w_out,
            bias_out: &bias_out,
        },
        dynamics: Dynamics {
            form: sweep.form,
            activation: sweep.activation,
            decay: &decay,
            gain: &gain,
            noise_scale: &noise_scale,
            noise_target,
        },
        inputs: &inputs,
        initial_state: InitialState::PerTrial(&initial_state),
        eps: source(&sweep.preactivation, eps.as_deref()),
        xi: source(&sweep.postactivation, xi.as_deref()),
        sigma_post: B::Number::from_f64(sweep.readout_noise),
    })
}

fn source<'a, B: Backend, E>(
    source: &NoiseSource<B>,
    given: Option<&'a [E]>,
) -> ctrnn_kernels::NoiseSource<'a, E> {
    match (source, given) {
        (NoiseSource::Drawn(draws), _) => ctrnn_kernels::NoiseSource::Drawn(ctrnn_kernels::Draws {
            key: draws.key,
            step: draws.step,
            first_trial: draws.first_trial,
            first_time_block: 0,
        }),
        (NoiseSource::Given(_), Some(normals)) => ctrnn_kernels::NoiseSource::Given(normals),
        _ => ctrnn_kernels::NoiseSource::None,
    }
}

/// The forward sweep.
pub(super) fn swept<B: CpuBackend>(sweep: &Sweep<B>) -> Swept<B> {
    run(sweep, None).0
}

/// The forward sweep, and the way back through it.
pub(super) fn run_with_pullback<B: CpuBackend>(
    sweep: &Sweep<B>,
    wanted: Wanted,
) -> (Swept<B>, Pullback<B>) {
    let (swept, kept) = run_keeping(sweep, wanted);
    let sweep = sweep.clone();
    let pullback = Pullback::new(move |upstream| run_back(&sweep, &kept, wanted, &upstream));
    (swept, pullback)
}

/// The forward sweep, and what the way back needs of it.
fn run_keeping<B: CpuBackend>(sweep: &Sweep<B>, wanted: Wanted) -> (Swept<B>, Kept<B>) {
    let is_recorded = sweep.record.rates || sweep.record.potentials;
    if sweep.recompute && !is_recorded {
        return run_keeping_states(sweep);
    }
    let (swept, history) = run(sweep, Some(wanted));
    (swept, Kept::Trajectory(history))
}

/// The forward sweep, of which a few states are kept.
fn run_keeping_states<B: CpuBackend>(sweep: &Sweep<B>) -> (Swept<B>, Kept<B>) {
    let size = shape(sweep);
    let segment = segment_steps(&size);
    let mut states = Buffer::<B>::take(kept_states(&size, segment));
    let mut outputs = vec![B::Number::default(); size.steps * size.trials * size.outputs];
    let mut final_state = vec![B::Number::default(); size.trials * size.units];
    with_slices(sweep, |slices| {
        let record = KeptRecord {
            states: states.slice_mut(),
            outputs: &mut outputs,
            final_state: &mut final_state,
        };
        forward_keeping_states(slices, segment, record, B::workspace());
    });
    let swept = Swept {
        outputs: tensor(outputs, [size.steps, size.trials, size.outputs]),
        rates: None,
        potentials: None,
        final_state: tensor(final_state, [size.trials, size.units]),
    };
    (swept, Kept::States { states, segment })
}

/// The forward sweep, and what it kept.
fn run<B: CpuBackend>(sweep: &Sweep<B>, wanted: Option<Wanted>) -> (Swept<B>, History<B>) {
    let size = shape(sweep);
    let (t, b, n) = (size.steps, size.trials, size.units);
    let keeps_rates = wanted.is_some() || sweep.record.rates;
    let keeps_responses = wanted.is_some() && sweep.form == Form::Rate;
    let keeps_potentials =
        sweep.record.potentials || (wanted.is_some_and(|w| w.decay) && sweep.form == Form::Voltage);
    let buffer = |is_kept: bool, len: usize| is_kept.then(|| Buffer::<B>::take(len));
    let mut rates = buffer(keeps_rates, size.history());
    let mut responses = buffer(keeps_responses, size.states());
    let mut potentials = buffer(keeps_potentials, size.states());
    let mut outputs = vec![B::Number::default(); t * b * size.outputs];
    let mut final_state = vec![B::Number::default(); b * n];
    with_slices(sweep, |slices| {
        let record = Record {
            rates: rates.as_mut().map(Buffer::slice_mut),
            responses: responses.as_mut().map(Buffer::slice_mut),
            potentials: potentials.as_mut().map(Buffer::slice_mut),
            outputs: Some(&mut outputs),
            final_state: Some(&mut final_state),
        };
        forward(slices, record, B::workspace());
    });
    let shared = |buffer: &mut Option<Buffer<B>>, steps: usize, is_recorded: bool| {
        let buffer = buffer.as_mut().filter(|_| is_recorded)?;
        Some(buffer.share([steps, b, n]))
    };
    let swept = Swept {
        outputs: tensor(outputs, [t, b, size.outputs]),
        rates: shared(&mut rates, t + 1, sweep.record.rates)
            .map(|all| all.slice([1..t + 1, 0..b, 0..n])),
        potentials: shared(&mut potentials, t, sweep.record.potentials),
        final_state: tensor(final_state, [b, n]),
    };
    let history = History {
        rates: rates.unwrap_or(Buffer::Pooled(Vec::new())),
        responses,
        potentials,
    };
    (swept, history)
}

/// The backward sweep.
fn run_back<B: CpuBackend>(
    sweep: &Sweep<B>,
    kept: &Kept<B>,
    wanted: Wanted,
    upstream: &Upstream<B>,
) -> SweepGradients<B> {
    let size = shape(sweep);
    let (t, b, n, i, o) = (
        size.steps,
        size.trials,
        size.units,
        size.inputs,
        size.outputs,
    );
    let some = |is_wanted: bool, len: usize| is_wanted.then(|| vec![B::Number::default(); len]);
    let mut inputs = some(wanted.inputs, t * b * i);
    let mut w_in = some(wanted.w_in, n * i);
    let mut w_rc = some(wanted.w_rc, n * n);
    let mut bias = vec![B::Number::default(); n];
    let mut w_out = some(wanted.w_out, o * n);
    let mut bias_out = vec![B::Number::default(); o];
    let mut decay = some(wanted.decay, n);
    let mut gain = some(wanted.gain, n);
    let mut noise_scale = some(wanted.noise_scale, n);
    let mut initial_state = some(wanted.initial_state, b * n);
    let held = [
        upstream.outputs.as_ref().map(primitive),
        upstream.rates.as_ref().map(primitive),
        upstream.potentials.as_ref().map(primitive),
        upstream.final_state.as_ref().map(primitive),
    ];
    let [d_outputs, d_rates, d_potentials, d_final] =
        held.each_ref().map(|held| held.as_ref().map(B::numbers));
    with_slices(sweep, |slices| {
        let upstream = ctrnn_kernels::Upstream {
            outputs: d_outputs.as_deref(),
            rates: d_rates.as_deref(),
            potentials: d_potentials.as_deref(),
            final_state: d_final.as_deref(),
        };
        let gradients = Gradients {
            inputs: inputs.as_deref_mut(),
            w_in: w_in.as_deref_mut(),
            w_rc: w_rc.as_deref_mut(),
            bias: Some(&mut bias),
            w_out: w_out.as_deref_mut(),
            bias_out: Some(&mut bias_out),
            initial_state: initial_state.as_deref_mut(),
            decay: decay.as_deref_mut(),
            gain: gain.as_deref_mut(),
            noise_scale: noise_scale.as_deref_mut(),
        };
        let workspace = B::workspace();
        match kept {
            Kept::Trajectory(history) => {
                backward(slices, &history.saved(), &upstream, gradients, workspace);
            }
            Kept::States { states, segment } => {
                let states = states.slice();
                backward_recomputing(slices, *segment, states, &upstream, gradients, workspace);
            }
        }
    });
    let matrix = |numbers: Option<Vec<B::Number>>, shape: [usize; 2]| {
        numbers.map(|numbers| tensor(numbers, shape))
    };
    let vector = |numbers: Vec<B::Number>| {
        let len = numbers.len();
        tensor(numbers, [len])
    };
    SweepGradients {
        inputs: inputs.map(|numbers| tensor(numbers, [t, b, i])),
        w_in: matrix(w_in, [n, i]),
        w_rc: matrix(w_rc, [n, n]),
        bias: vector(bias),
        w_out: matrix(w_out, [o, n]),
        bias_out: vector(bias_out),
        decay: decay.map(vector),
        gain: gain.map(vector),
        noise_scale: noise_scale.map(vector),
        initial_state: matrix(initial_state, [b, n]),
    }
}

/// [`super::RecurrenceBackend::squared_error`] of `[y, target, weights]`, in one pass.
pub(super) fn squared_error<B: CpuBackend>(
    tensors: [Tensor<B, 3>; 3],
) -> (Tensor<B, 1>, Tensor<B, 3>) {
    assert_errors_fit(tensors.each_ref());
    let shape = tensors[0].dims();
    let held = tensors.map(|tensor| primitive(&tensor));
    let [y, target, weights] = held.each_ref().map(B::numbers);
    let mut gradient = vec![B::Number::default(); y.len()];
    let sum = ctrnn_kernels::squared_error(&y, &target, &weights, &mut gradient);
    (tensor(vec![sum], [1]), tensor(gradient, shape))
}

/// [`super::RecurrenceBackend::sum_of_squares`].
pub(super) fn sum_of_squares<B: CpuBackend>(tensors: &[&Tensor<B, 1>]) -> Tensor<B, 1> {
    let of_one = |x: &&Tensor<B, 1>| ctrnn_kernels::sum_of_squares(&B::numbers(&primitive(*x)));
    let sum = tensors.iter().map(of_one).sum();
    tensor(vec![B::Number::from_f64(sum)], [1])
}
