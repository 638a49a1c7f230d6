//! Sweeps that keep a few states instead of the whole trajectory, for trials so long that it does not fit.
//!
//! The forward sweep keeps the state before every K-th time step; the way back runs each segment of K steps forward once more,
//! from the last to the first, and takes the gradients through it. That costs one more forward sweep, and memory for
//! `T / K + K` time steps instead of T ([`segment_steps`]). Sums are added segment by segment: the results equal those of
//! [`backward`](crate::backward) to rounding, and are the same bits for any number of threads.
//!
//! # References
//! Griewank and Walther (2000), "Algorithm 799: Revolve", for the idea; one level of it is enough here.

use std::ops::Range;

use crate::backward::add;
use crate::noise::NoiseSource;
use crate::operands::assert_len;
use crate::shape::{Shape, Sweep};
use crate::workspace::Scratch;
use crate::{
    Element, Form, Gradients, Operands, Record, Saved, Upstream, Workspace, backward, forward,
};

/// Trials times time steps of a segment at least: with fewer, arranging the weights anew for each segment is felt.
const SEGMENT_ROWS: usize = 2048;

/// Time steps of a segment: about the root of T, which needs the least memory, and more for small batches.
///
/// A multiple of four, as noise is drawn for four time steps at once.
#[must_use]
pub fn segment_steps(shape: &Shape) -> usize {
    shape
        .steps
        .isqrt()
        .max(SEGMENT_ROWS / shape.trials)
        .next_multiple_of(4)
}

/// Numbers in the states that are kept with segments of K steps: `[T / K rounded up, B, N]`.
#[must_use]
pub const fn kept_states(shape: &Shape, segment: usize) -> usize {
    shape.steps.div_ceil(segment) * shape.trials * shape.units
}

/// Where the results of a forward sweep go that is to be recomputed.
#[derive(Debug)]
pub struct KeptRecord<'a, E> {
    /// The state before each segment, `[segment, B, N]`; see [`kept_states`].
    pub states: &'a mut [E],
    /// Readout `[T, B, O]`.
    pub outputs: &'a mut [E],
    /// The last state `[B, N]`.
    pub final_state: &'a mut [E],
}

/// [`forward`] that keeps the state before every `segment`-th time step, for [`backward_recomputing`].
///
/// # Panics
/// When a slice has not the length that the shape says, or `segment` is no multiple of four.
pub fn forward_keeping_states<E: Element>(
    sweep: &Sweep<'_, E>,
    segment: usize,
    record: KeptRecord<'_, E>,
    workspace: &Workspace<E>,
) {
    let shape = &sweep.shape;
    assert_len("kept states", record.states, kept_states(shape, segment));
    let state_len = shape.trials * shape.units;
    record.states[..state_len].copy_from_slice(sweep.operands.initial_state);
    let outputs_len = shape.trials * shape.outputs;
    let mut kept = record.states;
    for times in segments(shape, segment) {
        let (now, later) = kept.split_at_mut(state_len);
        let next = match later.get_mut(..state_len) {
            Some(next) => next,
            None => &mut *record.final_state,
        };
        let part = Record {
            outputs: Some(&mut record.outputs[times.start * outputs_len..times.end * outputs_len]),
            final_state: Some(next),
            ..Record::default()
        };
        forward(&sweep.during(times, now), part, workspace);
        kept = later;
    }
}

/// [`backward`](crate::backward) from the states that [`forward_keeping_states`] kept of the same sweep.
///
/// # Panics
/// As [`backward`](crate::backward).
pub fn backward_recomputing<E: Element>(
    sweep: &Sweep<'_, E>,
    segment: usize,
    states: &[E],
    upstream: &Upstream<'_, E>,
    mut gradients: Gradients<'_, E>,
    workspace: &Workspace<E>,
) {
    let shape = &sweep.shape;
    assert_len("kept states", states, kept_states(shape, segment));
    let state_len = shape.trials * shape.units;
    let mut trajectory = Trajectory::new(sweep, segment, gradients.decay.is_some(), workspace);
    let mut sums = PartialSums::like(&gradients, workspace);
    let mut carry = workspace.zeros(state_len);
    let mut carried = workspace.zeros(state_len);
    let parts = segments(shape, segment);
    let last = parts.len() - 1;
    for (k, times) in parts.enumerate().rev() {
        let part = sweep.during(times.clone(), &states[k * state_len..][..state_len]);
        trajectory.recompute(&part, workspace);
        let upstream = Upstream {
            final_state: if k == last {
                upstream.final_state
            } else {
                Some(&carried)
            },
            ..upstream_during(upstream, shape, &times)
        };
        let initial_state = match k {
            0 => gradients.initial_state.take(),
            _ => Some(&mut *carry),
        };
        let inputs_len = shape.trials * shape.inputs;
        let inputs = gradients
            .inputs
            .as_mut()
            .map(|all| &mut all[times.start * inputs_len..times.end * inputs_len]);
        let found = Gradients {
            inputs,
            initial_state,
            ..sums.gradients()
        };
        backward(
            &part,
            &trajectory.saved(&part.shape),
            &upstream,
            found,
            workspace,
        );
        sums.add_to(&mut gradients, k == last);
        std::mem::swap(&mut carry, &mut carried);
    }
}

/// The time steps of each segment, in order.
fn segments(
    shape: &Shape,
    segment: usize,
) -> impl DoubleEndedIterator<Item = Range<usize>> + ExactSizeIterator + use<> {
    let steps = shape.steps;
    (0..steps.div_ceil(segment)).map(move |k| k * segment..steps.min((k + 1) * segment))
}

impl<'a, E: Element> Sweep<'a, E> {
    /// The part of the sweep in some time steps, from the states `[B, N]` before them. They start at a multiple of four.
    fn during(&self, times: Range<usize>, states: &'a [E]) -> Sweep<'a, E> {
        let shape = &self.shape;
        Sweep {
            shape: Shape {
                steps: times.len(),
                ..*shape
            },
            operands: Operands {
                inputs: rows(self.operands.inputs, shape.trials * shape.inputs, &times),
                initial_state: states,
                ..self.operands
            },
            eps: self.eps.during(shape, &times),
            xi: self.xi.during(shape, &times),
            ..*self
        }
    }
}

impl<'a, E> NoiseSource<'a, E> {
    fn during(self, shape: &Shape, times: &Range<usize>) -> Self {
        match self {
            Self::None => Self::None,
            Self::Given(normals) => Self::Given(rows(normals, shape.trials * shape.units, times)),
            Self::Drawn(draws) => Self::Drawn(draws.starting_at(times.start)),
        }
    }
}

/// Returns the part of the gradients that belongs to some time steps, without that of the final state.
fn upstream_during<'a, E>(
    upstream: &Upstream<'a, E>,
    shape: &Shape,
    times: &Range<usize>,
) -> Upstream<'a, E> {
    let part =
        |all: Option<&'a [E]>, width: usize| all.map(|all| rows(all, shape.trials * width, times));
    Upstream {
        outputs: part(upstream.outputs, shape.outputs),
        rates: part(upstream.rates, shape.units),
        potentials: part(upstream.potentials, shape.units),
        final_state: None,
    }
}

/// Some rows of a buffer, each of `width` numbers.
fn rows<'a, E>(buffer: &'a [E], width: usize, rows: &Range<usize>) -> &'a [E] {
    &buffer[rows.start * width..rows.end * width]
}

/// What the way back needs to know of one segment.
struct Trajectory<'a, E: Element> {
    rates: Scratch<'a, E>,
    responses: Option<Scratch<'a, E>>,
    potentials: Option<Scratch<'a, E>>,
}

impl<'a, E: Element> Trajectory<'a, E> {
    fn new(sweep: &Sweep<'_, E>, segment: usize, decay: bool, workspace: &'a Workspace<E>) -> Self {
        let longest = Shape {
            steps: segment.min(sweep.shape.steps),
            ..sweep.shape
        };
        let states = |is_needed: bool| is_needed.then(|| workspace.scratch(longest.states()));
        let form = sweep.form;
        Self {
            rates: workspace.scratch(longest.history()),
            responses: states(form == Form::Rate),
            potentials: states(form == Form::Voltage && decay),
        }
    }

    fn recompute(&mut self, segment: &Sweep<'_, E>, workspace: &Workspace<E>) {
        let states = segment.shape.states();
        let record = Record {
            rates: Some(&mut self.rates[..segment.shape.history()]),
            responses: self.responses.as_mut().map(|all| &mut all[..states]),
            potentials: self.potentials.as_mut().map(|all| &mut all[..states]),
            ..Record::default()
        };
        forward(segment, record, workspace);
    }

    fn saved(&self, segment: &Shape) -> Saved<'_, E> {
        let states = segment.states();
        Saved {
            rates: &self.rates[..segment.history()],
            responses: self.responses.as_ref().map(|all| &all[..states]),
            potentials: self.potentials.as_ref().map(|all| &all[..states]),
        }
    }
}

/// Gradients of one segment, for those that are summed over segments: all but those of the inputs and the initial state.
struct PartialSums<'a, E: Element>(Operands<Option<Scratch<'a, E>>>);

impl<'a, E: Element> PartialSums<'a, E> {
    fn like(gradients: &Gradients<'_, E>, workspace: &'a Workspace<E>) -> Self {
        let scratch = |to: &Option<&mut [E]>| to.as_ref().map(|to| workspace.scratch(to.len()));
        Self(Operands {
            inputs: None,
            initial_state: None,
            ..gradients.each_ref().map(scratch)
        })
    }

    fn gradients(&mut self) -> Gradients<'_, E> {
        self.0.each_mut().map(Option::as_deref_mut)
    }

    /// Adds the segment to the sums, or starts them with it.
    fn add_to(&self, gradients: &mut Gradients<'_, E>, is_first: bool) {
        let pairs = gradients.each_mut().zip(self.0.each_ref());
        for (total, part) in pairs.into_array() {
            let (Some(total), Some(part)) = (total, part) else {
                continue;
            };
            if is_first {
                total.copy_from_slice(part);
            } else {
                add(total, part);
            }
        }
    }
}
