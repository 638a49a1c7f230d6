//! The recurrence under automatic differentiation.
//!
//! burn allows one tracked output per operation, and a sweep has up to four. So the core operation returns a token of
//! one element, and each output is a small port operation on that token: in the backward pass a port puts its gradient into
//! a slot that it shares with the core, and the core, which comes after all its ports, reads the slots that were filled.

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::backend::AutodiffBackend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Shape, Tensor, TensorData, TensorMetadata};
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use ctrnn_kernels::{Operands, SweepResults};

use super::{
    Pullback, RecurrenceBackend, ResultTensors, SweepTensors, plain_sweep, primitive, tensor,
};
use crate::FusedOps;

impl<B: RecurrenceBackend, C: CheckpointStrategy> RecurrenceBackend for Autodiff<B, C> {
    fn sweep(sweep: SweepTensors<Self>) -> ResultTensors<Self> {
        let tracked = sweep
            .operands
            .each_ref()
            .map(|operand| !operand.node.requirement.is_none());
        let inner = inner(&sweep);
        if !tracked.into_array().contains(&true) {
            return B::sweep(inner).map(|result| result.map(Self::from_inner));
        }
        match B::sweep_with_pullback(&inner, tracked) {
            Some((results, pullback)) => track::<B, C>(sweep.operands, results, pullback),
            None => plain_sweep(sweep),
        }
    }

    fn ends_trials() -> bool {
        B::ends_trials()
    }

    fn fuses_terms() -> bool {
        B::fuses_terms()
    }
}

impl<B: FusedOps, C: CheckpointStrategy> FusedOps for Autodiff<B, C> {
    fn with_gradient(
        y: Tensor<Self, 3>,
        value: Tensor<Self, 1>,
        gradient: Tensor<Self, 3>,
    ) -> Tensor<Self, 1> {
        let (y, value) = (primitive(y), primitive(value.inner()));
        let prepared = KnownGradient
            .prepare::<C>([y.node])
            .compute_bound()
            .stateful();
        tensor(match prepared {
            OpsKind::Tracked(prepared) => prepared.finish(primitive(gradient.inner()), value),
            OpsKind::UnTracked(prepared) => prepared.finish(value),
        })
    }

    fn squared_error(
        y: Tensor<Self, 3>,
        target: Tensor<Self, 3>,
        weights: Tensor<Self, 3>,
    ) -> (Tensor<Self, 1>, Tensor<Self, 3>) {
        let (sum, gradient) = B::squared_error(y.inner(), target.inner(), weights.inner());
        (Tensor::from_inner(sum), Tensor::from_inner(gradient))
    }

    fn cross_entropy(
        y: Tensor<Self, 3>,
        target: Tensor<Self, 3>,
        weights: Tensor<Self, 3>,
    ) -> (Tensor<Self, 1>, Tensor<Self, 3>) {
        let (sum, gradient) = B::cross_entropy(y.inner(), target.inner(), weights.inner());
        (Tensor::from_inner(sum), Tensor::from_inner(gradient))
    }

    fn squared_deviations(
        rates: Tensor<Self, 3>,
        mean: Tensor<Self, 3>,
        weights: Tensor<Self, 3>,
    ) -> Tensor<Self, 3> {
        let found = B::squared_deviations(rates.inner(), mean.inner(), weights.inner());
        Tensor::from_inner(found)
    }

    fn second_moments(
        rates: Tensor<Self, 3>,
        mean: Tensor<Self, 3>,
        weights: Tensor<Self, 3>,
    ) -> Tensor<Self, 2> {
        let [mean, weights] = [mean, weights].map(Tensor::inner);
        let value = B::second_moments(rates.clone().inner(), mean.clone(), weights.clone());
        let (rates, value) = (primitive(rates), primitive(value));
        let prepared = SecondMoments
            .prepare::<C>([rates.node])
            .compute_bound()
            .stateful();
        tensor(match prepared {
            OpsKind::Tracked(prepared) => {
                let state = [rates.primitive, primitive(mean), primitive(weights)];
                prepared.finish(state, value)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(value),
        })
    }

    fn second_moment_slopes(
        rates: Tensor<Self, 3>,
        mean: Tensor<Self, 3>,
        weights: Tensor<Self, 3>,
        of_moments: Tensor<Self, 2>,
    ) -> Tensor<Self, 3> {
        let [rates, mean, weights] = [rates, mean, weights].map(Tensor::inner);
        let slopes = B::second_moment_slopes(rates, mean, weights, of_moments.inner());
        Tensor::from_inner(slopes)
    }

    fn quadratic_forms(rates: Tensor<Self, 3>, matrix: Tensor<Self, 2>) -> Tensor<Self, 3> {
        Tensor::from_inner(B::quadratic_forms(rates.inner(), matrix.inner()))
    }

    fn host_data<const D: usize>(tensor: Tensor<Self, D>) -> TensorData {
        B::host_data(tensor.inner())
    }
}

/// A function whose gradient is its state.
#[derive(Debug)]
struct KnownGradient;

impl<B: FusedOps> Backward<B, 1> for KnownGradient {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let upstream: Tensor<B, 1> = tensor(grads.consume::<B>(&ops.node));
        if let [Some(y)] = ops.parents {
            let gradient = tensor::<B, 3>(ops.state) * upstream.reshape([1, 1, 1]);
            grads.register::<B>(y.id, primitive(gradient));
        }
    }
}

/// [`FusedOps::second_moments`], with the rates, the mean and the weights as its state.
#[derive(Debug)]
struct SecondMoments;

impl<B: FusedOps> Backward<B, 1> for SecondMoments {
    type State = [FloatTensor<B>; 3];

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let upstream: Tensor<B, 2> = tensor(grads.consume::<B>(&ops.node));
        if let [Some(parent)] = ops.parents {
            let [rates, mean, weights] = ops.state.map(tensor::<B, 3>);
            let slopes = B::second_moment_slopes(rates, mean, weights, upstream);
            grads.register::<B>(parent.id, primitive(slopes));
        }
    }
}

/// Puts the core operation and a port for each result into the graph.
fn track<B: RecurrenceBackend, C: CheckpointStrategy>(
    operands: Operands<FloatTensor<Autodiff<B, C>>>,
    results: ResultTensors<B>,
    pullback: Pullback<B>,
) -> ResultTensors<Autodiff<B, C>> {
    let slots = Slots::default();
    let final_state = results
        .final_state
        .activity
        .as_ref()
        .expect("a sweep gives a final state");
    // Neither the value of the token nor that of its gradient is used.
    let unused = B::float_empty(
        Shape::new([1]),
        &B::float_device(final_state),
        final_state.dtype().into(),
    );
    // The operands themselves live until the core is registered: a backward pass on another thread frees what no tensor refers to.
    let nodes = (operands.each_ref().into_array()).map(|operand| operand.node.clone());
    let token: FloatTensor<Autodiff<B, C>> =
        match Core.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                prepared.finish((pullback, slots.clone()), unused.clone())
            }
            OpsKind::UnTracked(prepared) => prepared.finish(unused.clone()),
        };
    let mut slot = 0..;
    results.map(|result| {
        let port = Port(slot.next().expect("counts without end"));
        result.map(|value| {
            if value.shape().num_elements() == 0 {
                return Autodiff::<B, C>::from_inner(value);
            }
            let prepared = port
                .prepare::<C>([token.node.clone()])
                .compute_bound()
                .stateful();
            match prepared {
                OpsKind::Tracked(prepared) => {
                    prepared.finish((slots.clone(), unused.clone()), value)
                }
                OpsKind::UnTracked(prepared) => prepared.finish(value),
            }
        })
    })
}

/// Returns the sweep without its graph.
fn inner<A: AutodiffBackend>(sweep: &SweepTensors<A>) -> SweepTensors<A::InnerBackend> {
    SweepTensors {
        operands: sweep.operands.clone().map(A::inner),
        synapses: (sweep.synapses.clone()).map(|constants| constants.map(A::inner)),
        form: sweep.form,
        activation: sweep.activation,
        noise_target: sweep.noise_target,
        preactivation: sweep.preactivation.clone().map(Tensor::inner),
        postactivation: sweep.postactivation.clone().map(Tensor::inner),
        readout_noise: sweep.readout_noise,
        record: sweep.record,
        recompute: sweep.recompute,
        delays: sweep.delays.clone(),
        lengths: sweep.lengths.clone(),
        omega: sweep.omega.clone(),
        rate_terms: sweep.rate_terms.clone(),
    }
}

/// Gradients that ports have left for their core.
#[derive(Debug)]
struct Slots<B: RecurrenceBackend>(Arc<Mutex<[Option<FloatTensor<B>>; RESULTS]>>);

const OPERANDS: usize = Operands::<()>::COUNT;
const RESULTS: usize = SweepResults::<()>::COUNT;

impl<B: RecurrenceBackend> Default for Slots<B> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new([const { None }; RESULTS])))
    }
}

impl<B: RecurrenceBackend> Clone for Slots<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B: RecurrenceBackend> Slots<B> {
    fn put(&self, slot: usize, gradient: FloatTensor<B>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[slot] = Some(gradient);
    }

    fn take(&self) -> ResultTensors<B> {
        let slots = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        SweepResults::from_array(slots)
    }
}

/// The sweep itself; its one output is the token.
#[derive(Debug)]
struct Core;

impl<B: RecurrenceBackend> Backward<B, OPERANDS> for Core {
    type State = (Pullback<B>, Slots<B>);

    fn backward(
        self,
        ops: Ops<Self::State, OPERANDS>,
        grads: &mut Gradients,
        _: &mut Checkpointer,
    ) {
        let _token = grads.consume::<B>(&ops.node);
        let (pullback, slots) = ops.state;
        let found = pullback.apply(slots.take());
        for (parent, gradient) in ops.parents.into_iter().zip(found.into_array()) {
            if let (Some(node), Some(gradient)) = (parent, gradient) {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

/// One result of a sweep, by its place in [`SweepResults`], as an operation on the token.
#[derive(Debug)]
struct Port(usize);

impl<B: RecurrenceBackend> Backward<B, 1> for Port {
    type State = (Slots<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let (slots, unused) = ops.state;
        slots.put(self.0, gradient);
        if let [Some(token)] = ops.parents {
            // The core consumes a gradient of its token.
            grads.register::<B>(token.id, unused);
        }
    }
}
