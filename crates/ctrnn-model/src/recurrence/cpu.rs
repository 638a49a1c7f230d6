//! The fused sweep on CPU backends: tensors as slices, and back, without a copy of the trajectory.

use std::borrow::Cow;

use burn::tensor::{Tensor, TensorData};
use burn_ndarray::NdArray;
use ctrnn_kernels::{
    Element, Form, GradientSlices, Operands, Saved, SegmentSlices, Shape, SweepElement,
    SweepResults, SweepSlices, SynapseConstants, TrajectorySlices, TrialLengths, UnitState,
    UpstreamSlices, Workspace, backward, backward_recomputing, backward_with_omega, forward,
    forward_keeping_states, kept_states, kept_synapses, rate_terms, segment_steps,
};

use super::host_memory::CpuBackend;
use super::{GradientTensors, Pullback, ResultTensors, SweepTensors, primitive, tensor};
use crate::fused_ops::assert_errors_fit;
use crate::{AdamUpdate, FusedOmega};

/// Implements the fused sweep, and the operations around it, for a backend that is a [`CpuBackend`].
macro_rules! fused_sweep {
    ($backend:ty) => {
        impl $crate::RecurrenceBackend for $backend {
            fn sweep(sweep: $crate::SweepTensors<Self>) -> $crate::ResultTensors<Self> {
                $crate::recurrence::cpu::run(&sweep, None).0
            }

            fn sweep_with_pullback(
                sweep: &$crate::SweepTensors<Self>,
                wanted: ctrnn_kernels::Operands<bool>,
            ) -> Option<($crate::ResultTensors<Self>, $crate::Pullback<Self>)> {
                Some($crate::recurrence::cpu::run_with_pullback(sweep, wanted))
            }

            fn ends_trials() -> bool {
                true
            }

            fn fuses_terms() -> bool {
                true
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

            fn cross_entropy(
                y: burn::tensor::Tensor<Self, 3>,
                target: burn::tensor::Tensor<Self, 3>,
                weights: burn::tensor::Tensor<Self, 3>,
            ) -> (burn::tensor::Tensor<Self, 1>, burn::tensor::Tensor<Self, 3>) {
                $crate::recurrence::cpu::cross_entropy([y, target, weights])
            }

            fn squared_deviations(
                rates: burn::tensor::Tensor<Self, 3>,
                mean: burn::tensor::Tensor<Self, 3>,
                weights: burn::tensor::Tensor<Self, 3>,
            ) -> burn::tensor::Tensor<Self, 3> {
                $crate::recurrence::cpu::squared_deviations([rates, mean, weights])
            }

            fn second_moments(
                rates: burn::tensor::Tensor<Self, 3>,
                mean: burn::tensor::Tensor<Self, 3>,
                weights: burn::tensor::Tensor<Self, 3>,
            ) -> burn::tensor::Tensor<Self, 2> {
                $crate::recurrence::cpu::second_moments([rates, mean, weights])
            }

            fn second_moment_slopes(
                rates: burn::tensor::Tensor<Self, 3>,
                mean: burn::tensor::Tensor<Self, 3>,
                weights: burn::tensor::Tensor<Self, 3>,
                of_moments: burn::tensor::Tensor<Self, 2>,
            ) -> burn::tensor::Tensor<Self, 3> {
                $crate::recurrence::cpu::second_moment_slopes([rates, mean, weights], of_moments)
            }

            fn quadratic_forms(
                rates: burn::tensor::Tensor<Self, 3>,
                matrix: burn::tensor::Tensor<Self, 2>,
            ) -> burn::tensor::Tensor<Self, 3> {
                $crate::recurrence::cpu::quadratic_forms(rates, matrix)
            }

            fn sum_of_squares(
                tensors: &[&burn::tensor::Tensor<Self, 1>],
            ) -> burn::tensor::Tensor<Self, 1> {
                $crate::recurrence::cpu::sum_of_squares(tensors)
            }

            fn adam(
                updates: Vec<$crate::AdamUpdate<Self>>,
            ) -> Vec<[burn::tensor::Tensor<Self, 1>; 3]> {
                let next = updates.into_iter().map($crate::recurrence::cpu::adam);
                next.collect()
            }

            fn reshaped<const D: usize, const E: usize>(
                tensor: burn::tensor::Tensor<Self, D>,
                shape: [usize; E],
            ) -> burn::tensor::Tensor<Self, E> {
                $crate::recurrence::cpu::reshaped(tensor, shape)
            }

            fn host_data<const D: usize>(
                tensor: burn::tensor::Tensor<Self, D>,
            ) -> burn::tensor::TensorData {
                $crate::recurrence::cpu::host_data(tensor)
            }
        }
    };
}

#[cfg(feature = "flex")]
pub(super) use fused_sweep;

fused_sweep!(NdArray<f32>);
fused_sweep!(NdArray<f64>);

/// Results that a forward sweep kept for its backward pass.
enum Stored<B: CpuBackend> {
    /// All that the backward pass needs.
    Trajectory(StoredTrajectory<B>),
    /// The state before every `segment`-th step, from which the backward pass computes the rest again.
    States {
        states: UnitState<Buffer<B>>,
        segment: usize,
    },
}

/// Stored trajectory. In bytes per trial, unit and step: 4 (f32) for the rates, as much again for the responses of the rate
/// form, and for the potentials where the gradient of decay is wanted.
pub(super) struct StoredTrajectory<B: CpuBackend> {
    rates: Buffer<B>,
    responses: Option<Buffer<B>>,
    potentials: Option<Buffer<B>>,
    /// Utilisation and resources before every few time steps, where synapses are plastic.
    synapses: Option<[Buffer<B>; 2]>,
}

impl<B: CpuBackend> StoredTrajectory<B> {
    fn saved(&self) -> Saved<'_, B::Number> {
        Saved {
            synapses: (self.synapses.as_ref()).map(|both| both.each_ref().map(Buffer::slice)),
            rates: self.rates.slice(),
            responses: self.responses.as_ref().map(Buffer::slice),
            potentials: self.potentials.as_ref().map(Buffer::slice),
        }
    }
}

/// Numbers that return to the workspace when dropped, unless a tensor has taken them over.
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
    sweep: &SweepTensors<B>,
    work: impl FnOnce(&SweepSlices<B::Number>) -> R,
) -> R {
    let noise =
        [&sweep.preactivation, &sweep.postactivation].map(|source| source.clone().map(primitive));
    let noise = noise
        .each_ref()
        .map(|source| source.as_ref().map(B::numbers));
    let [eps, xi] = noise
        .each_ref()
        .map(|source| source.as_ref().map(|numbers| &**numbers));
    let operands = sweep.operands.each_ref().map(B::numbers);
    let synapses = (sweep.synapses.as_ref()).map(|all| all.each_ref().map(B::numbers));
    work(&SweepSlices {
        shape: sweep.shape(),
        form: sweep.form,
        activation: sweep.activation,
        noise_target: sweep.noise_target,
        operands: operands.each_ref().map(|numbers| &**numbers),
        synapses: (synapses.as_ref()).map_or(SynapseConstants::default(), |all| {
            all.each_ref().map(|numbers| &**numbers)
        }),
        eps,
        xi,
        sigma_post: B::Number::from_f64(sweep.readout_noise),
        delays: sweep.delays.as_deref(),
        lengths: (!sweep.lengths.is_empty()).then(|| TrialLengths::new(&sweep.lengths)),
        rate_terms: &sweep.rate_terms,
    })
}

/// Runs the forward sweep and returns its backward pass too.
pub(super) fn run_with_pullback<B: CpuBackend>(
    sweep: &SweepTensors<B>,
    wanted: Operands<bool>,
) -> (ResultTensors<B>, Pullback<B>) {
    let (results, stored) = run_keeping(sweep, wanted);
    let sweep = sweep.clone();
    let pullback = Pullback::new(move |upstream| run_back(&sweep, &stored, wanted, upstream));
    (results, pullback)
}

/// Runs the forward sweep and keeps what its backward pass needs.
fn run_keeping<B: CpuBackend>(
    sweep: &SweepTensors<B>,
    wanted: Operands<bool>,
) -> (ResultTensors<B>, Stored<B>) {
    let record = sweep.record;
    let is_recorded = record.rates || record.potentials || record.synapses;
    // A recorded trajectory takes its memory anyway, a delayed one is needed from one segment to the next, and so are the terms of
    // penalties.
    let is_whole = is_recorded
        || sweep.delays.is_some()
        || sweep.omega.is_some()
        || !sweep.rate_terms.is_empty();
    if sweep.recompute && !is_whole {
        return run_keeping_states(sweep);
    }
    let (results, stored) = run(sweep, Some(wanted));
    (results, Stored::Trajectory(stored))
}

/// Runs the forward sweep and keeps a few of its states.
fn run_keeping_states<B: CpuBackend>(sweep: &SweepTensors<B>) -> (ResultTensors<B>, Stored<B>) {
    let shape = sweep.shape();
    let segment = segment_steps(&shape);
    let mut states = kept_states(&shape, segment).map(Buffer::<B>::take);
    let lens = SweepResults::lens(&shape);
    let mut outputs = zeros::<B>(lens.outputs);
    let mut final_state = lens.final_state.map(zeros::<B>);
    let mut sums = rate_sums(sweep);
    with_slices(sweep, |slices| {
        let places = SegmentSlices {
            states: states.each_mut().map(Buffer::slice_mut),
            outputs: &mut outputs,
            moments: sums
                .as_mut()
                .map(|all| all.each_mut().map(Vec::as_mut_slice)),
            final_state: final_state.each_mut().map(Vec::as_mut_slice),
        };
        forward_keeping_states(slices, segment, places, B::workspace());
    });
    let results = owned_results::<B>(outputs, sums, final_state);
    (
        tensors::<B>(results, &shape),
        Stored::States { states, segment },
    )
}

fn zeros<B: CpuBackend>(len: usize) -> Vec<B::Number> {
    vec![B::Number::default(); len]
}

/// Returns destinations of the sums of the rates, if they are recorded.
fn rate_sums<B: CpuBackend>(sweep: &SweepTensors<B>) -> Option<[Vec<B::Number>; 3]> {
    let units = sweep.shape().units;
    (sweep.record.rate_sums).then(|| [(); 3].map(|()| zeros::<B>(units)))
}

/// Returns the results that every sweep has, and the sums of the rates.
fn owned_results<B: CpuBackend>(
    outputs: Vec<B::Number>,
    rate_sums: Option<[Vec<B::Number>; 3]>,
    final_state: UnitState<Vec<B::Number>>,
) -> SweepResults<Option<Vec<B::Number>>> {
    let [rate_sums, rate_sizes, rate_squares] = match rate_sums {
        Some(sums) => sums.map(Some),
        None => [const { None }; 3],
    };
    SweepResults {
        outputs: Some(outputs),
        rate_sums,
        rate_sizes,
        rate_squares,
        final_state: final_state.map(Some),
        ..SweepResults::default()
    }
}

/// Returns tensors that take over the numbers of results.
fn tensors<B: CpuBackend>(
    results: SweepResults<Option<Vec<B::Number>>>,
    shape: &Shape,
) -> ResultTensors<B> {
    results
        .zip(SweepResults::shapes(shape))
        .map(|(numbers, shape)| numbers.map(|numbers| B::tensor(numbers, &shape)))
}

/// Runs the forward sweep and keeps as much of its trajectory as the gradients in `wanted` need.
pub(super) fn run<B: CpuBackend>(
    sweep: &SweepTensors<B>,
    wanted: Option<Operands<bool>>,
) -> (ResultTensors<B>, StoredTrajectory<B>) {
    let shape = sweep.shape();
    let (t, b, n) = (shape.steps, shape.trials, shape.units);
    let keeps_rates = wanted.is_some() || sweep.record.rates || !sweep.rate_terms.is_empty();
    let keeps_responses = wanted.is_some() && sweep.form == Form::Rate;
    let keeps_potentials =
        sweep.record.potentials || (wanted.is_some_and(|w| w.decay) && sweep.form == Form::Voltage);
    let buffer = |is_kept: bool, len: usize| is_kept.then(|| Buffer::<B>::take(len));
    let mut rates = buffer(keeps_rates, shape.history());
    let mut responses = buffer(keeps_responses, shape.states());
    let mut potentials = buffer(keeps_potentials, shape.states());
    let is_plastic = shape.synapses > 0;
    let records_synapses = is_plastic && sweep.record.synapses;
    let mut synapses = [(); 2].map(|()| buffer(records_synapses, shape.states()));
    let n_kept = kept_synapses(&shape, sweep.delays.as_deref());
    let mut kept_synapses =
        (is_plastic && wanted.is_some()).then(|| [(); 2].map(|()| Buffer::<B>::take(n_kept)));
    let lens = SweepResults::lens(&shape);
    let mut outputs = zeros::<B>(lens.outputs);
    let mut final_state = lens.final_state.map(zeros::<B>);
    let mut sums = rate_sums(sweep);
    let mut terms = zeros::<B>(lens.rate_terms);
    with_slices(sweep, |slices| {
        let [utilisation, resources] = synapses.each_mut().map(Option::as_mut);
        let places = TrajectorySlices {
            rates: rates.as_mut().map(Buffer::slice_mut),
            responses: responses.as_mut().map(Buffer::slice_mut),
            potentials: potentials.as_mut().map(Buffer::slice_mut),
            outputs: Some(&mut outputs),
            utilisation: utilisation.map(Buffer::slice_mut),
            resources: resources.map(Buffer::slice_mut),
            kept_synapses: (kept_synapses.as_mut())
                .map(|both| both.each_mut().map(Buffer::slice_mut)),
            moments: sums
                .as_mut()
                .map(|all| all.each_mut().map(Vec::as_mut_slice)),
            final_state: final_state.each_mut().map(|state| Some(&mut state[..])),
        };
        forward(slices, places, B::workspace());
        if let Some(rates) = rates.as_ref().filter(|_| !terms.is_empty()) {
            rate_terms(slices, rates.slice(), &mut terms, B::workspace());
        }
    });
    let shared = |buffer: &mut Option<Buffer<B>>, steps: usize, is_recorded: bool| {
        let buffer = buffer.as_mut().filter(|_| is_recorded)?;
        if !sweep.lengths.is_empty() {
            let after_start = &mut buffer.slice_mut()[(steps - t) * b * n..];
            TrialLengths::new(&sweep.lengths).clear_padding(after_start, n);
        }
        Some(buffer.share([steps, b, n]))
    };
    let owned = owned_results::<B>(outputs, sums, final_state);
    let [utilisation, resources] = synapses
        .each_mut()
        .map(|all| shared(all, t, sweep.record.synapses));
    let results = ResultTensors::<B> {
        rates: shared(&mut rates, t + 1, sweep.record.rates).map(B::without_first),
        rate_terms: (!terms.is_empty()).then(|| B::tensor(terms, &[shape.rate_terms])),
        utilisation,
        resources,
        potentials: shared(&mut potentials, t, sweep.record.potentials),
        ..tensors::<B>(owned, &shape)
    };
    let stored = StoredTrajectory {
        rates: rates.unwrap_or(Buffer::Pooled(Vec::new())),
        responses,
        potentials,
        synapses: kept_synapses,
    };
    (results, stored)
}

/// Runs the backward sweep.
fn run_back<B: CpuBackend>(
    sweep: &SweepTensors<B>,
    stored: &Stored<B>,
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
        match stored {
            Stored::Trajectory(trajectory) => match &sweep.omega {
                None => backward(slices, &trajectory.saved(), &upstream, to, workspace),
                Some(omega) => {
                    let saved = trajectory.saved();
                    back_with_omega(slices, &saved, &upstream, to, omega, workspace);
                }
            },
            Stored::States { states, segment } => {
                let states = states.each_ref().map(Buffer::slice);
                backward_recomputing(slices, *segment, states, &upstream, to, workspace);
            }
        }
    });
    gradients
        .zip(Operands::shapes(&shape))
        .map(|(numbers, shape)| numbers.map(|numbers| B::tensor(numbers, &shape)))
}

/// Runs the backward sweep with the penalty Omega, whose gradient `d` is that of the readout: gradients with respect to other results go
/// back in a sweep of their own.
fn back_with_omega<E: SweepElement>(
    sweep: &SweepSlices<'_, E>,
    saved: &Saved<'_, E>,
    upstream: &UpstreamSlices<'_, E>,
    mut gradients: GradientSlices<'_, E>,
    omega: &FusedOmega,
    workspace: &Workspace<E>,
) {
    let of_readout = UpstreamSlices {
        outputs: upstream.outputs,
        ..UpstreamSlices::default()
    };
    let to = gradients.each_mut().map(Option::as_deref_mut);
    let value = backward_with_omega(sweep, saved, &of_readout, to, omega.term(), workspace);
    omega.set(value);
    let others = UpstreamSlices {
        outputs: None,
        ..*upstream
    };
    if others.into_array().iter().all(Option::is_none) {
        return;
    }
    let zeros = |to: &Option<&mut [E]>| Some(vec![E::default(); to.as_ref()?.len()]);
    let mut found = gradients.each_ref().map(zeros);
    let to = found.each_mut().map(Option::as_deref_mut);
    backward(sweep, saved, &others, to, workspace);
    for (total, found) in gradients.zip(found).into_array() {
        let pairs = total.into_iter().flatten().zip(found.iter().flatten());
        pairs.for_each(|(total, &found)| *total += found);
    }
}

/// Computes [`crate::FusedOps::adam`] of one parameter.
pub(super) fn adam<B: CpuBackend>(update: AdamUpdate<B>) -> [Tensor<B, 1>; 3] {
    let [first, second] = update.moments;
    let held = [update.weights, update.gradient, first, second].map(primitive);
    let now = held.each_ref().map(B::numbers);
    let next = ctrnn_kernels::adam(&update.step, now.each_ref().map(AsRef::as_ref));
    next.map(|numbers| {
        let shape = [numbers.len()];
        tensor(B::tensor(numbers, &shape))
    })
}

/// Computes [`crate::FusedOps::reshaped`].
pub(super) fn reshaped<B: CpuBackend, const D: usize, const E: usize>(
    x: Tensor<B, D>,
    shape: [usize; E],
) -> Tensor<B, E> {
    tensor(B::reshaped(primitive(x), &shape))
}

/// Copies the numbers of a tensor; burn's `into_data` copies those of a shared one element by element.
pub(super) fn host_data<B: CpuBackend, const D: usize>(tensor: Tensor<B, D>) -> TensorData {
    let shape = tensor.dims();
    TensorData::new(B::numbers(&primitive(tensor)).into_owned(), shape)
}

/// Computes [`crate::FusedOps::squared_error`] of `[y, target, weights]`, in one pass.
pub(super) fn squared_error<B: CpuBackend>(
    tensors: [Tensor<B, 3>; 3],
) -> (Tensor<B, 1>, Tensor<B, 3>) {
    with_gradient(tensors, |y, target, weights, gradient| {
        ctrnn_kernels::squared_error(y, target, weights, gradient)
    })
}

/// Computes [`crate::FusedOps::cross_entropy`] of `[y, target, weights]`, in one pass.
pub(super) fn cross_entropy<B: CpuBackend>(
    tensors: [Tensor<B, 3>; 3],
) -> (Tensor<B, 1>, Tensor<B, 3>) {
    let [_, _, outputs] = tensors[0].dims();
    with_gradient(tensors, |y, target, weights, gradient| {
        ctrnn_kernels::cross_entropy(y, target, weights, outputs, gradient)
    })
}

/// Computes a sum over `[y, target, weights]` and its gradient with respect to `y`, which `sum` writes to its last argument.
fn with_gradient<B: CpuBackend>(
    tensors: [Tensor<B, 3>; 3],
    sum: impl FnOnce(&[B::Number], &[B::Number], &[B::Number], &mut [B::Number]) -> B::Number,
) -> (Tensor<B, 1>, Tensor<B, 3>) {
    assert_errors_fit(tensors.each_ref());
    let shape = tensors[0].dims();
    let held = tensors.map(primitive);
    let [y, target, weights] = held.each_ref().map(B::numbers);
    let mut gradient = vec![B::Number::default(); y.len()];
    let sum = sum(&y, &target, &weights, &mut gradient);
    (
        tensor(B::tensor(vec![sum], &[1])),
        tensor(B::tensor(gradient, &shape)),
    )
}

/// Computes [`crate::FusedOps::squared_deviations`] of `[rates, mean, weights]`.
pub(super) fn squared_deviations<B: CpuBackend>(tensors: [Tensor<B, 3>; 3]) -> Tensor<B, 3> {
    let [_, _, units] = tensors[0].dims();
    let held = tensors.map(primitive);
    let [rates, mean, weights] = held.each_ref().map(B::numbers);
    let found = ctrnn_kernels::squared_deviations(&rates, &mean, &weights);
    tensor(B::tensor(found, &[1, 1, units]))
}

/// Computes [`crate::FusedOps::second_moments`] of `[rates, mean, weights]`.
pub(super) fn second_moments<B: CpuBackend>(tensors: [Tensor<B, 3>; 3]) -> Tensor<B, 2> {
    let [_, _, units] = tensors[0].dims();
    let held = tensors.map(primitive);
    let [rates, mean, weights] = held.each_ref().map(B::numbers);
    let moments = ctrnn_kernels::second_moments(&rates, &mean, &weights, B::workspace());
    tensor(B::tensor(moments, &[units, units]))
}

/// Computes [`crate::FusedOps::second_moment_slopes`] of `[rates, mean, weights]`.
pub(super) fn second_moment_slopes<B: CpuBackend>(
    tensors: [Tensor<B, 3>; 3],
    of_moments: Tensor<B, 2>,
) -> Tensor<B, 3> {
    let shape = tensors[0].dims();
    let (held, of_moments) = (tensors.map(primitive), primitive(of_moments));
    let [rates, mean, weights] = held.each_ref().map(B::numbers);
    let of_moments = B::numbers(&of_moments);
    let workspace = B::workspace();
    let slopes =
        ctrnn_kernels::second_moment_slopes(&rates, &mean, &weights, &of_moments, workspace);
    tensor(B::tensor(slopes, &shape))
}

/// Computes [`crate::FusedOps::quadratic_forms`].
pub(super) fn quadratic_forms<B: CpuBackend>(
    rates: Tensor<B, 3>,
    matrix: Tensor<B, 2>,
) -> Tensor<B, 3> {
    let [steps, trials, units] = rates.dims();
    let (rates, matrix) = (primitive(rates), primitive(matrix));
    let (rates, matrix) = (B::numbers(&rates), B::numbers(&matrix));
    let forms = ctrnn_kernels::quadratic_forms(&rates, &matrix, units, B::workspace());
    tensor(B::tensor(forms, &[steps, trials, 1]))
}

/// Computes [`crate::FusedOps::sum_of_squares`].
pub(super) fn sum_of_squares<B: CpuBackend>(tensors: &[&Tensor<B, 1>]) -> Tensor<B, 1> {
    let sum = tensors
        .iter()
        .map(|&x| ctrnn_kernels::sum_of_squares(&B::numbers(&primitive(x.clone()))))
        .sum();
    tensor(B::tensor(vec![B::Number::from_f64(sum)], &[1]))
}
