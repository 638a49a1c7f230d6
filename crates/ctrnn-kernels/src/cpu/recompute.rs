//! Sweeps that keep a few states instead of the whole trajectory, for trials so long that it does not fit.
//!
//! The forward sweep keeps the state before every K-th time step; the backward sweep runs each segment of K steps forward once more,
//! from the last to the first, and takes the gradients through it. That costs one more forward sweep, and memory for
//! `T / K + K` time steps instead of T ([`segment_steps`]). Sums are added segment by segment: the results equal those of
//! [`backward`](crate::backward()) to rounding, and are the same bits for any number of threads.
//!
//! # References
//! Griewank and Walther (2000), "Algorithm 799: Revolve", for the idea; one level of it is enough here.

use std::ops::Range;

use super::backward::{Saved, backward};
use super::forward::{TrajectorySlices, forward};
use super::rows::add;
use super::synapses::kept_synapses;
use crate::operands::{GradientSlices, Operands, UnitState, UpstreamSlices, assert_len};
use crate::shape::Shape;
use crate::simd::Element;
use crate::sweep::{Form, NoiseSource, SweepSlices};
use crate::workspace::{Scratch, Workspace};

/// Smallest number of rows (trials times time steps) of a segment: with fewer, packing the weights for each segment costs a
/// noticeable share.
const SEGMENT_ROWS: usize = 2048;

/// Returns the number of time steps of a segment: about the square root of T, which needs the least memory, and more for small
/// batches.
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

/// Returns the length of the buffer for each variable of the state before every segment of K steps: `[T / K rounded up, B, N]`.
#[must_use]
pub fn kept_states(shape: &Shape, segment: usize) -> UnitState<usize> {
    let segments = shape.steps.div_ceil(segment);
    UnitState::lens(shape).map(|len| segments * len)
}

/// Destinations of the results of a forward sweep whose trajectory is recomputed later.
#[derive(Debug)]
pub struct SegmentSlices<'a, E> {
    /// State before each segment, `[segment, B, N]`; see [`kept_states`].
    pub states: UnitState<&'a mut [E]>,
    /// Readout `[T, B, O]`.
    pub outputs: &'a mut [E],
    /// Sums of each unit's rates, of their absolute values and of their squares, `[N]`.
    pub moments: Option<[&'a mut [E]; 3]>,
    /// State after the last time step.
    pub final_state: UnitState<&'a mut [E]>,
}

/// Implements [`forward_keeping_states`](crate::forward_keeping_states) for every path.
pub(crate) fn forward_keeping_states<E: Element>(
    sweep: &SweepSlices<'_, E>,
    segment: usize,
    mut to: SegmentSlices<'_, E>,
    workspace: &Workspace<E>,
) {
    let shape = &sweep.shape;
    assert_fits(sweep, to.states.each_ref().map(|kept| &**kept), segment);
    let initial = to.states.each_mut().zip(sweep.operands.initial_state);
    for (kept, initial) in initial.into_array() {
        kept[..initial.len()].copy_from_slice(initial);
    }
    let lens = UnitState::lens(shape);
    let outputs_len = shape.trials * shape.outputs;
    let mut moments =
        (to.moments.as_ref()).map(|all| all.each_ref().map(|sums| workspace.zeros(sums.len())));
    for (k, times) in segments(shape, segment).enumerate() {
        let states = states_around(k, lens, &mut to.states, &mut to.final_state);
        let before = states.each_ref().map(|(before, _)| *before);
        let part = TrajectorySlices {
            outputs: Some(rows_mut(to.outputs, outputs_len, &times)),
            moments: (moments.as_mut()).map(|all| all.each_mut().map(|sums| &mut **sums)),
            final_state: states.map(|(_, after)| Some(after)),
            ..TrajectorySlices::default()
        };
        forward(&sweep.during(times, before), part, workspace);
        let totals = to.moments.iter_mut().flatten();
        for (total, part) in totals.zip(moments.iter().flatten()) {
            add_part(total, part, k == 0);
        }
    }
}

/// Returns the state before segment `k`, and the place of the state after it: before the next segment, or after the last time step.
fn states_around<'s, E>(
    k: usize,
    lens: UnitState<usize>,
    kept: &'s mut UnitState<&mut [E]>,
    last: &'s mut UnitState<&mut [E]>,
) -> UnitState<(&'s [E], &'s mut [E])> {
    let variables = kept.each_mut().zip(last.each_mut()).zip(lens);
    variables.map(|((kept, last), len)| {
        let (before, later) = kept[k * len..].split_at_mut(len);
        (&*before, later.get_mut(..len).unwrap_or(last))
    })
}

/// Implements [`backward_recomputing`](crate::backward_recomputing) for every path.
pub(crate) fn backward_recomputing<E: Element>(
    sweep: &SweepSlices<'_, E>,
    segment: usize,
    states: UnitState<&[E]>,
    upstream: &UpstreamSlices<'_, E>,
    mut gradients: GradientSlices<'_, E>,
    workspace: &Workspace<E>,
) {
    let shape = &sweep.shape;
    assert_fits(sweep, states, segment);
    let lens = UnitState::lens(shape);
    let mut trajectory = SegmentTrajectory::new(sweep, segment, &gradients, workspace);
    let mut sums = PartialSums::like(&gradients, workspace);
    let [mut carry, mut carried] = [(); 2].map(|()| lens.map(|len| workspace.zeros(len)));
    for (k, times) in segments(shape, segment).enumerate().rev() {
        let before = states.zip(lens).map(|(kept, len)| &kept[k * len..][..len]);
        let part = sweep.during(times.clone(), before);
        let saved = trajectory.recompute(&part, workspace);
        let mut upstream = upstream_during(upstream, shape, &times);
        if times.end < shape.steps {
            upstream.final_state = carried.each_ref().map(|state| Some(&**state));
        }
        let inputs = gradients.inputs.as_deref_mut();
        let mut found = sums.gradients();
        found.inputs = inputs.map(|all| rows_mut(all, shape.trials * shape.inputs, &times));
        found.initial_state = if k == 0 {
            std::mem::take(&mut gradients.initial_state)
        } else {
            carry.each_mut().map(|state| Some(&mut **state))
        };
        backward(&part, &saved, &upstream, found, None, workspace);
        sums.add_to(&mut gradients, times.end == shape.steps);
        std::mem::swap(&mut carry, &mut carried);
    }
}

/// Asserts that the kept states are as long as [`kept_states`], and that no connection is delayed: a segment would need the rates of
/// the one before it.
fn assert_fits<E>(sweep: &SweepSlices<'_, E>, states: UnitState<&[E]>, segment: usize) {
    assert!(
        sweep.delays.is_none(),
        "a sweep with delays is not recomputed"
    );
    assert!(
        sweep.rate_terms.is_empty(),
        "a sweep with terms of the rates is not recomputed"
    );
    let lens = kept_states(&sweep.shape, segment);
    for (kept, len) in states.zip(lens).into_array() {
        assert_len("kept states", kept, len);
    }
}

/// Returns the time steps of each segment, in order.
fn segments(
    shape: &Shape,
    segment: usize,
) -> impl DoubleEndedIterator<Item = Range<usize>> + ExactSizeIterator + use<> {
    let steps = shape.steps;
    (0..steps.div_ceil(segment)).map(move |k| k * segment..steps.min((k + 1) * segment))
}

impl<'a, E: Element> SweepSlices<'a, E> {
    /// Returns the part of the sweep in some time steps, from the state before them. They start at a multiple of four.
    fn during(&self, times: Range<usize>, states: UnitState<&'a [E]>) -> SweepSlices<'a, E> {
        let shape = &self.shape;
        SweepSlices {
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
            lengths: (self.lengths).map(|lengths| lengths.starting_at(times.start)),
            ..*self
        }
    }
}

impl<E> NoiseSource<&[E]> {
    fn during(self, shape: &Shape, times: &Range<usize>) -> Self {
        match self {
            Self::None => Self::None,
            Self::Given(normals) => Self::Given(rows(normals, shape.trials * shape.units, times)),
            Self::Drawn(address) => Self::Drawn(address.starting_at(times.start)),
        }
    }
}

/// Returns the part of the gradients that belongs to some time steps; the final state keeps its own.
fn upstream_during<'a, E>(
    upstream: &UpstreamSlices<'a, E>,
    shape: &Shape,
    times: &Range<usize>,
) -> UpstreamSlices<'a, E> {
    let part =
        |all: Option<&'a [E]>, width: usize| all.map(|all| rows(all, shape.trials * width, times));
    UpstreamSlices {
        outputs: part(upstream.outputs, shape.outputs),
        rates: part(upstream.rates, shape.units),
        potentials: part(upstream.potentials, shape.units),
        utilisation: part(upstream.utilisation, shape.synapses),
        resources: part(upstream.resources, shape.synapses),
        ..*upstream
    }
}

/// Returns some rows of a buffer, each of `width` numbers.
fn rows<'a, E>(buffer: &'a [E], width: usize, rows: &Range<usize>) -> &'a [E] {
    &buffer[rows.start * width..rows.end * width]
}

/// Returns some rows of a buffer, each of `width` numbers, to be written.
fn rows_mut<'a, E>(buffer: &'a mut [E], width: usize, rows: &Range<usize>) -> &'a mut [E] {
    &mut buffer[rows.start * width..rows.end * width]
}

/// Adds the sums of a segment to those of all segments, or starts them with it.
fn add_part<E: Element>(total: &mut [E], part: &[E], is_first: bool) {
    if is_first {
        total.copy_from_slice(part);
    } else {
        add(total, part);
    }
}

/// Trajectory of one segment, as far as its backward sweep needs it.
struct SegmentTrajectory<'a, E: Element> {
    rates: Scratch<'a, E>,
    responses: Option<Scratch<'a, E>>,
    potentials: Option<Scratch<'a, E>>,
    /// Utilisation and resources before every few time steps.
    synapses: Option<[Scratch<'a, E>; 2]>,
}

impl<'a, E: Element> SegmentTrajectory<'a, E> {
    fn new(
        sweep: &SweepSlices<'_, E>,
        segment: usize,
        gradients: &GradientSlices<'_, E>,
        workspace: &'a Workspace<E>,
    ) -> Self {
        let longest = Shape {
            steps: segment.min(sweep.shape.steps),
            ..sweep.shape
        };
        let states = |is_needed: bool| is_needed.then(|| workspace.scratch(longest.states()));
        let form = sweep.form;
        Self {
            rates: workspace.scratch(longest.history()),
            responses: states(form == Form::Rate),
            potentials: states(form == Form::Voltage && gradients.decay.is_some()),
            synapses: (longest.synapses > 0)
                .then(|| [(); 2].map(|()| workspace.scratch(kept_synapses(&longest, None)))),
        }
    }

    /// Runs a segment forward; returns what its backward sweep needs.
    fn recompute(
        &mut self,
        segment: &SweepSlices<'_, E>,
        workspace: &Workspace<E>,
    ) -> Saved<'_, E> {
        let states = segment.shape.states();
        let kept = kept_synapses(&segment.shape, None);
        let both = self.synapses.as_mut().map(<[Scratch<'_, E>; 2]>::each_mut);
        let places = TrajectorySlices {
            rates: Some(&mut self.rates[..segment.shape.history()]),
            responses: self.responses.as_mut().map(|all| &mut all[..states]),
            potentials: self.potentials.as_mut().map(|all| &mut all[..states]),
            kept_synapses: both.map(|both| both.map(|all| &mut all[..kept])),
            ..TrajectorySlices::default()
        };
        forward(segment, places, workspace);
        let both = self.synapses.as_ref().map(<[Scratch<'_, E>; 2]>::each_ref);
        Saved {
            rates: &self.rates[..segment.shape.history()],
            responses: self.responses.as_ref().map(|all| &all[..states]),
            potentials: self.potentials.as_ref().map(|all| &all[..states]),
            synapses: both.map(|both| both.map(|all| &all[..kept])),
        }
    }
}

/// Gradients of one segment, for those that are summed over segments: all but those of the inputs and the initial state.
struct PartialSums<'a, E: Element>(Operands<Option<Scratch<'a, E>>>);

impl<'a, E: Element> PartialSums<'a, E> {
    fn like(gradients: &GradientSlices<'_, E>, workspace: &'a Workspace<E>) -> Self {
        let scratch = |to: &Option<&mut [E]>| to.as_ref().map(|to| workspace.scratch(to.len()));
        Self(Operands {
            inputs: None,
            initial_state: UnitState::default(),
            ..gradients.each_ref().map(scratch)
        })
    }

    fn gradients(&mut self) -> GradientSlices<'_, E> {
        self.0.each_mut().map(Option::as_deref_mut)
    }

    /// Adds the segment to the sums, or starts them with it.
    fn add_to(&self, gradients: &mut GradientSlices<'_, E>, is_first: bool) {
        let pairs = gradients.each_mut().zip(self.0.each_ref());
        for (total, part) in pairs.into_array() {
            let (Some(total), Some(part)) = (total, part) else {
                continue;
            };
            add_part(total, part, is_first);
        }
    }
}
