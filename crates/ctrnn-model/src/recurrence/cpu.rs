//! The fused sweep on CPU backends: tensors as slices, and back, without a copy of the trajectory.

use std::borrow::Cow;
use std::sync::LazyLock;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use burn_ndarray::{NdArray, NdArrayTensor};
use ctrnn_kernels::{
    Element, Form, KeptRecord, KernelPath, Operands, Record, Saved, Workspace, backward,
    backward_recomputing, forward, forward_keeping_states, kept_states, segment_steps,
};
use ndarray::{ArrayD, IxDyn};

use super::{GradientTensors, NoiseSource, Pullback, ResultTensors, Sweep, primitive, tensor};
use crate::fused_ops::assert_errors_fit;

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

/// Implements the fused sweep, and the operations around it, for a backend that is a [`CpuBackend`].
macro_rules! fused_sweep {
    ($backend:ty) => {
        impl $crate::RecurrenceBackend for $backend {
            fn sweep(sweep: $crate::Sweep<Self>) -> $crate::ResultTensors<Self> {
                $crate::recurrence::cpu::run(&sweep, None).0
            }

            fn sweep_with_pullback(
                sweep: &$crate::Sweep<Self>,
                wanted: ctrnn_kernels::Operands<bool>,
            ) -> Option<($crate::ResultTensors<Self>, $crate::Pullback<Self>)> {
                Some($crate::recurrence::cpu::run_with_pullback(sweep, wanted))
            }
        }

        impl $crate::FusedOps for $backend {
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
pub(super) struct History<B: CpuBackend> {
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

    /// Returns a tensor of these numbers, which both then share.
    fn share(&mut self, shape: [usize; 3]) -> B::FloatTensorPrimitive {
        if let Self::Pooled(numbers) = self {
            *self = Self::Shared(B::tensor(std::mem::take(numbers), &shape));
        }
        match self {
            Self::Shared(tensor) => tensor.clone(),
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

/// Calls `work` with the sweep as slices.
fn with_slices<B: CpuBackend, R>(
    sweep: &Sweep<B>,
    work: impl FnOnce(&ctrnn_kernels::Sweep<B::Number>) -> R,
) -> R {
    let given = |source: &NoiseSource<B>| match source {
        NoiseSource::Given(normals) => Some(primitive(normals.clone())),
        _ => None,
    };
    let (eps, xi) = (given(&sweep.preactivation), given(&sweep.postactivation));
    let (eps, xi) = (eps.as_ref().map(B::numbers), xi.as_ref().map(B::numbers));
    let operands = sweep.operands.each_ref().map(B::numbers);
    work(&ctrnn_kernels::Sweep {
        shape: sweep.shape(),
        form: sweep.form,
        activation: sweep.activation,
        noise_target: sweep.noise_target,
        operands: operands.each_ref().map(|numbers| &**numbers),
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
        (NoiseSource::Drawn(draws), _) => ctrnn_kernels::NoiseSource::Drawn(*draws),
        (NoiseSource::Given(_), Some(normals)) => ctrnn_kernels::NoiseSource::Given(normals),
        _ => ctrnn_kernels::NoiseSource::None,
    }
}

/// Runs the forward sweep and returns its backward pass too.
pub(super) fn run_with_pullback<B: CpuBackend>(
    sweep: &Sweep<B>,
    wanted: Operands<bool>,
) -> (ResultTensors<B>, Pullback<B>) {
    let (results, kept) = run_keeping(sweep, wanted);
    let sweep = sweep.clone();
    let pullback = Pullback::new(move |upstream| run_back(&sweep, &kept, wanted, upstream));
    (results, pullback)
}

/// Runs the forward sweep and keeps what its backward pass needs.
fn run_keeping<B: CpuBackend>(
    sweep: &Sweep<B>,
    wanted: Operands<bool>,
) -> (ResultTensors<B>, Kept<B>) {
    let is_recorded = sweep.record.rates || sweep.record.potentials;
    if sweep.recompute && !is_recorded {
        return run_keeping_states(sweep);
    }
    let (results, history) = run(sweep, Some(wanted));
    (results, Kept::Trajectory(history))
}

/// Runs the forward sweep and keeps a few of its states.
fn run_keeping_states<B: CpuBackend>(sweep: &Sweep<B>) -> (ResultTensors<B>, Kept<B>) {
    let shape = sweep.shape();
    let segment = segment_steps(&shape);
    let mut states = Buffer::<B>::take(kept_states(&shape, segment));
    let mut outputs = zeros::<B>(shape.steps * shape.trials * shape.outputs);
    let mut final_state = zeros::<B>(shape.trials * shape.units);
    with_slices(sweep, |slices| {
        let record = KeptRecord {
            states: states.slice_mut(),
            outputs: &mut outputs,
            final_state: &mut final_state,
        };
        forward_keeping_states(slices, segment, record, B::workspace());
    });
    let results = ResultTensors::<B> {
        outputs: Some(B::tensor(
            outputs,
            &[shape.steps, shape.trials, shape.outputs],
        )),
        rates: None,
        potentials: None,
        final_state: Some(B::tensor(final_state, &[shape.trials, shape.units])),
    };
    (results, Kept::States { states, segment })
}

fn zeros<B: CpuBackend>(len: usize) -> Vec<B::Number> {
    vec![B::Number::default(); len]
}

/// Runs the forward sweep and keeps its trajectory, of which the gradients in `wanted` need parts.
pub(super) fn run<B: CpuBackend>(
    sweep: &Sweep<B>,
    wanted: Option<Operands<bool>>,
) -> (ResultTensors<B>, History<B>) {
    let shape = sweep.shape();
    let (t, b, n) = (shape.steps, shape.trials, shape.units);
    let keeps_rates = wanted.is_some() || sweep.record.rates;
    let keeps_responses = wanted.is_some() && sweep.form == Form::Rate;
    let keeps_potentials =
        sweep.record.potentials || (wanted.is_some_and(|w| w.decay) && sweep.form == Form::Voltage);
    let buffer = |is_kept: bool, len: usize| is_kept.then(|| Buffer::<B>::take(len));
    let mut rates = buffer(keeps_rates, shape.history());
    let mut responses = buffer(keeps_responses, shape.states());
    let mut potentials = buffer(keeps_potentials, shape.states());
    let mut outputs = zeros::<B>(t * b * shape.outputs);
    let mut final_state = zeros::<B>(b * n);
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
    let results = ResultTensors::<B> {
        outputs: Some(B::tensor(outputs, &[t, b, shape.outputs])),
        rates: shared(&mut rates, t + 1, sweep.record.rates)
            .map(|all| primitive(tensor::<B, 3>(all).slice([1..t + 1, 0..b, 0..n]))),
        potentials: shared(&mut potentials, t, sweep.record.potentials),
        final_state: Some(B::tensor(final_state, &[b, n])),
    };
    let history = History {
        rates: rates.unwrap_or(Buffer::Pooled(Vec::new())),
        responses,
        potentials,
    };
    (results, history)
}

/// Runs the backward sweep.
fn run_back<B: CpuBackend>(
    sweep: &Sweep<B>,
    kept: &Kept<B>,
    wanted: Operands<bool>,
    upstream: ResultTensors<B>,
) -> GradientTensors<B> {
    let shape = sweep.shape();
    let mut gradients = wanted
        .zip(Operands::lens(&shape))
        .map(|(is_wanted, len)| is_wanted.then(|| zeros::<B>(len)));
    let upstream = upstream
        .each_ref()
        .map(|held| held.as_ref().map(B::numbers));
    with_slices(sweep, |slices| {
        let upstream = upstream.each_ref().map(Option::as_deref);
        let to = gradients.each_mut().map(Option::as_deref_mut);
        let workspace = B::workspace();
        match kept {
            Kept::Trajectory(history) => {
                backward(slices, &history.saved(), &upstream, to, workspace);
            }
            Kept::States { states, segment } => {
                backward_recomputing(slices, *segment, states.slice(), &upstream, to, workspace);
            }
        }
    });
    gradients
        .zip(Operands::shapes(&shape))
        .map(|(numbers, shape)| numbers.map(|numbers| B::tensor(numbers, &shape)))
}

/// Computes [`crate::FusedOps::squared_error`] of `[y, target, weights]`, in one pass.
pub(super) fn squared_error<B: CpuBackend>(
    tensors: [Tensor<B, 3>; 3],
) -> (Tensor<B, 1>, Tensor<B, 3>) {
    assert_errors_fit(tensors.each_ref());
    let shape = tensors[0].dims();
    let held = tensors.map(primitive);
    let [y, target, weights] = held.each_ref().map(B::numbers);
    let mut gradient = vec![B::Number::default(); y.len()];
    let sum = ctrnn_kernels::squared_error(&y, &target, &weights, &mut gradient);
    (
        tensor(B::tensor(vec![sum], &[1])),
        tensor(B::tensor(gradient, &shape)),
    )
}

/// Computes [`crate::FusedOps::sum_of_squares`].
pub(super) fn sum_of_squares<B: CpuBackend>(tensors: &[&Tensor<B, 1>]) -> Tensor<B, 1> {
    let sum = tensors
        .iter()
        .map(|&x| ctrnn_kernels::sum_of_squares(&B::numbers(&primitive(x.clone()))))
        .sum();
    tensor(B::tensor(vec![B::Number::from_f64(sum)], &[1]))
}
