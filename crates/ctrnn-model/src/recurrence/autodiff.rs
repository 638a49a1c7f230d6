//! The recurrence under automatic differentiation.
//!
//! burn allows one tracked output per operation, and a sweep has up to four. So the core operation returns a token of
//! one element, and each output is a small port operation on that token: on the way back a port puts its gradient into
//! a slot that it shares with the core, and the core, which comes after all its ports, reads the slots that were filled.

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::backend::AutodiffBackend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Shape, Tensor, TensorMetadata, TensorPrimitive};
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};

use super::{
    NoiseSource, Pullback, RecurrenceBackend, Sweep, SweepGradients, Swept, Upstream, Wanted,
    plain_sweep,
};

impl<B: RecurrenceBackend, C: CheckpointStrategy> RecurrenceBackend for Autodiff<B, C> {
    fn sweep(sweep: Sweep<Self>) -> Swept<Self> {
        let parents = Parents::of(&sweep);
        let inner = inner(&sweep);
        if parents.none_is_tracked() {
            return from_inner(B::sweep(inner));
        }
        match B::sweep_with_pullback(&inner, parents.wanted()) {
            Some((swept, pullback)) => parents.track(swept, pullback),
            None => plain_sweep(sweep),
        }
    }

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
}

/// A function whose gradient is its state.
#[derive(Debug)]
struct KnownGradient;

impl<B: RecurrenceBackend> Backward<B, 1> for KnownGradient {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let upstream: Tensor<B, 1> = tensor(grads.consume::<B>(&ops.node));
        if let [Some(y)] = ops.parents {
            let gradient = tensor::<B, 3>(ops.state) * upstream.reshape([1, 1, 1]);
            grads.register::<B>(y.id, primitive(gradient));
        }
    }
}

/// The number of tensors that a sweep takes.
const PARENTS: usize = 10;

/// The tracked tensors that a sweep takes, in the order of [`Sweep`].
struct Parents<B: RecurrenceBackend, C: CheckpointStrategy>([FloatTensor<Autodiff<B, C>>; PARENTS]);

impl<B: RecurrenceBackend, C: CheckpointStrategy> Parents<B, C> {
    fn of(sweep: &Sweep<Autodiff<B, C>>) -> Self {
        fn primitive<A: AutodiffBackend, const D: usize>(tensor: &Tensor<A, D>) -> FloatTensor<A> {
            tensor.clone().into_primitive().tensor()
        }
        Self([
            primitive(&sweep.inputs),
            primitive(&sweep.w_in),
            primitive(&sweep.w_rc),
            primitive(&sweep.bias),
            primitive(&sweep.w_out),
            primitive(&sweep.bias_out),
            primitive(&sweep.decay),
            primitive(&sweep.gain),
            primitive(&sweep.noise_scale),
            primitive(&sweep.initial_state),
        ])
    }

    fn is_tracked(&self, parent: usize) -> bool {
        !self.0[parent].node.requirement.is_none()
    }

    fn none_is_tracked(&self) -> bool {
        (0..PARENTS).all(|parent| !self.is_tracked(parent))
    }

    fn wanted(&self) -> Wanted {
        Wanted {
            inputs: self.is_tracked(0),
            w_in: self.is_tracked(1),
            w_rc: self.is_tracked(2),
            w_out: self.is_tracked(4),
            decay: self.is_tracked(6),
            gain: self.is_tracked(7),
            noise_scale: self.is_tracked(8),
            initial_state: self.is_tracked(9),
        }
    }

    /// Puts the core operation and a port for each output into the graph.
    fn track(self, swept: Swept<B>, pullback: Pullback<B>) -> Swept<Autodiff<B, C>> {
        let slots = Slots::default();
        let outputs = primitive(swept.outputs);
        let zero = B::float_zeros(
            Shape::new([1]),
            &B::float_device(&outputs),
            outputs.dtype().into(),
        );
        let nodes = self.0.map(|parent| parent.node);
        let token: FloatTensor<Autodiff<B, C>> =
            match Core.prepare::<C>(nodes).compute_bound().stateful() {
                OpsKind::Tracked(prepared) => {
                    prepared.finish((pullback, slots.clone()), zero.clone())
                }
                OpsKind::UnTracked(prepared) => prepared.finish(zero.clone()),
            };
        let port = |slot: Slot, value: FloatTensor<B>| -> FloatTensor<Autodiff<B, C>> {
            match Port(slot)
                .prepare::<C>([token.node.clone()])
                .compute_bound()
                .stateful()
            {
                OpsKind::Tracked(prepared) => prepared.finish((slots.clone(), zero.clone()), value),
                OpsKind::UnTracked(prepared) => prepared.finish(value),
            }
        };
        Swept {
            outputs: tensor(port(Slot::Outputs, outputs)),
            rates: swept
                .rates
                .map(|rates| tensor(port(Slot::Rates, primitive(rates)))),
            potentials: swept
                .potentials
                .map(|v| tensor(port(Slot::Potentials, primitive(v)))),
            final_state: tensor(port(Slot::FinalState, primitive(swept.final_state))),
        }
    }
}

fn primitive<B: burn::tensor::backend::Backend, const D: usize>(
    tensor: Tensor<B, D>,
) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}

fn tensor<B: burn::tensor::backend::Backend, const D: usize>(
    primitive: FloatTensor<B>,
) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

/// The same sweep without its graph.
fn inner<A: AutodiffBackend>(sweep: &Sweep<A>) -> Sweep<A::InnerBackend> {
    let noise = |source: &NoiseSource<A>| match source {
        NoiseSource::None => NoiseSource::None,
        NoiseSource::Drawn(draws) => NoiseSource::Drawn(*draws),
        NoiseSource::Given(normals) => NoiseSource::Given(normals.clone().inner()),
    };
    Sweep {
        inputs: sweep.inputs.clone().inner(),
        w_in: sweep.w_in.clone().inner(),
        w_rc: sweep.w_rc.clone().inner(),
        bias: sweep.bias.clone().inner(),
        w_out: sweep.w_out.clone().inner(),
        bias_out: sweep.bias_out.clone().inner(),
        decay: sweep.decay.clone().inner(),
        gain: sweep.gain.clone().inner(),
        noise_scale: sweep.noise_scale.clone().inner(),
        initial_state: sweep.initial_state.clone().inner(),
        form: sweep.form,
        activation: sweep.activation,
        noise_on_state: sweep.noise_on_state,
        preactivation: noise(&sweep.preactivation),
        postactivation: noise(&sweep.postactivation),
        readout_noise: sweep.readout_noise,
        record: sweep.record,
        recompute: sweep.recompute,
    }
}

fn from_inner<A: AutodiffBackend>(swept: Swept<A::InnerBackend>) -> Swept<A> {
    Swept {
        outputs: Tensor::from_inner(swept.outputs),
        rates: swept.rates.map(Tensor::from_inner),
        potentials: swept.potentials.map(Tensor::from_inner),
        final_state: Tensor::from_inner(swept.final_state),
    }
}

/// An output of a sweep.
#[derive(Clone, Copy, Debug)]
enum Slot {
    Outputs,
    Rates,
    Potentials,
    FinalState,
}

/// The gradients that ports have left for their core, by [`Slot`].
#[derive(Debug)]
struct Slots<B: RecurrenceBackend>(Arc<Mutex<[Option<FloatTensor<B>>; 4]>>);

impl<B: RecurrenceBackend> Default for Slots<B> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new([const { None }; 4])))
    }
}

impl<B: RecurrenceBackend> Clone for Slots<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B: RecurrenceBackend> Slots<B> {
    fn put(&self, slot: Slot, gradient: FloatTensor<B>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[slot as usize] = Some(gradient);
    }

    fn take(&self) -> Upstream<B> {
        let slots = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let [outputs, rates, potentials, final_state] = slots;
        Upstream {
            outputs: outputs.map(tensor),
            rates: rates.map(tensor),
            potentials: potentials.map(tensor),
            final_state: final_state.map(tensor),
        }
    }
}

/// The sweep itself; its one output is the token.
#[derive(Debug)]
struct Core;

impl<B: RecurrenceBackend> Backward<B, PARENTS> for Core {
    type State = (Pullback<B>, Slots<B>);

    fn backward(self, ops: Ops<Self::State, PARENTS>, grads: &mut Gradients, _: &mut Checkpointer) {
        let _token = grads.consume::<B>(&ops.node);
        let (pullback, slots) = ops.state;
        let found = flat(pullback.take_back(slots.take()));
        for (parent, gradient) in ops.parents.into_iter().zip(found) {
            if let (Some(node), Some(gradient)) = (parent, gradient) {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

/// In the order of [`Parents`].
fn flat<B: RecurrenceBackend>(found: SweepGradients<B>) -> [Option<FloatTensor<B>>; PARENTS] {
    [
        found.inputs.map(primitive),
        found.w_in.map(primitive),
        found.w_rc.map(primitive),
        Some(primitive(found.bias)),
        found.w_out.map(primitive),
        Some(primitive(found.bias_out)),
        found.decay.map(primitive),
        found.gain.map(primitive),
        found.noise_scale.map(primitive),
        found.initial_state.map(primitive),
    ]
}

/// One output of a sweep, as an operation on the token.
#[derive(Debug)]
struct Port(Slot);

impl<B: RecurrenceBackend> Backward<B, 1> for Port {
    type State = (Slots<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let (slots, zero) = ops.state;
        slots.put(self.0, gradient);
        if let [Some(token)] = ops.parents {
            grads.register::<B>(token.id, zero);
        }
    }
}
