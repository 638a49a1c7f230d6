//! States of plastic synapses, computed again from the kept ones.

use std::ops::Range;

use super::plan::Plan;
use crate::cpu::rows::copy_row;
use crate::cpu::synapses::{StepRows, SynapseState, Synapses, kept_every};
use crate::cpu::tile::Tile;
use crate::simd::{Element, Simd, padded};
use crate::workspace::Scratch;

/// States of the plastic synapses of a tile in a block of time steps.
pub(super) struct Replay<'a, E: Element> {
    plan: &'a Plan<'a, E>,
    synapses: &'a Synapses<'a, E>,
    tile: Tile<'a>,
    /// State after the last time step that was taken.
    state: SynapseState<'a, E>,
    /// Rates before a time step, in padded rows.
    rates: Scratch<'a, E>,
    /// First time step of the block.
    start: usize,
    /// Utilisation and resources before each time step of the block, and after the last, in padded rows.
    states: [Scratch<'a, E>; 2],
}

impl<'a, E: Element> Replay<'a, E> {
    /// Returns the replay of a tile in blocks of `block_steps`; `None` without short-term plasticity.
    pub(super) fn new(plan: &'a Plan<'a, E>, tile: Tile<'a>, block_steps: usize) -> Option<Self> {
        let (synapses, workspace) = (plan.synapses.as_ref()?, plan.workspace);
        let len = tile.len() * padded(plan.sweep.shape.units);
        // The step after a block, from which its gradients come, has a state before and one after it.
        let slots = block_steps + 2;
        Some(Self {
            plan,
            synapses,
            tile,
            state: SynapseState::initial(plan.sweep, tile, workspace),
            rates: workspace.zeros(len),
            start: 0,
            states: [(); 2].map(|()| workspace.scratch(slots * len)),
        })
    }

    /// Begins a block, which its time steps then advance through. Blocks come from the last to the first.
    #[inline(always)]
    pub(super) fn begin<S: Simd<Elem = E>>(&mut self, times: Range<usize>) {
        // The state after the step that follows this block: the second of the block before.
        let len = self.rates.len();
        for states in &mut self.states {
            states.copy_within(len..2 * len, (times.len() + 1) * len);
        }
        self.start = times.start;
        self.go_to::<S>(times.start);
        self.states[0][..len].copy_from_slice(&self.state.utilisation);
        self.states[1][..len].copy_from_slice(&self.state.resources);
    }

    /// Returns the rates that the synapses transmit in time step `t`.
    #[inline(always)]
    pub(super) fn transmitted<S: Simd<Elem = E>>(&mut self, t: usize) -> &[E] {
        self.go_to::<S>(t);
        self.advance::<S>(t);
        &self.state.transmitted
    }

    /// Returns what a trial's synapses did in time step `t` of the block, or in the step after it.
    #[inline(always)]
    pub(super) fn rows(&self, t: usize, m: usize) -> StepRows<'_, E> {
        let stride = padded(self.plan.sweep.shape.units);
        let at = ((t - self.start) * self.tile.len() + m) * stride;
        let after = at + self.rates.len();
        let [utilisation, resources] = &self.states;
        StepRows {
            rates: (self.plan).row(self.plan.saved.rates, t, self.tile.trial(m)),
            before: [&utilisation[at..][..stride], &resources[at..][..stride]],
            after: [
                &utilisation[after..][..stride],
                &resources[after..][..stride],
            ],
        }
    }

    /// Takes the state to the one before time step `t`, from the kept one before it.
    #[inline(always)]
    fn go_to<S: Simd<Elem = E>>(&mut self, t: usize) {
        let stride = padded(self.plan.sweep.shape.units);
        let every = kept_every(self.plan.sweep.delays);
        for m in 0..self.tile.len() {
            let kept = self.plan.kept_synapses(t / every, self.tile.trial(m));
            copy_row::<S>(&mut self.state.utilisation[m * stride..], kept[0]);
            copy_row::<S>(&mut self.state.resources[m * stride..], kept[1]);
        }
        for t in t / every * every..t {
            self.advance::<S>(t);
        }
    }

    /// Takes the state through time step `t`.
    #[inline(always)]
    fn advance<S: Simd<Elem = E>>(&mut self, t: usize) {
        let units = self.plan.sweep.shape.units;
        self.plan.copy_rates::<S>(t, self.tile, &mut self.rates);
        self.synapses
            .advance::<S>(&mut self.state, &self.rates, units);
    }

    /// Computes the state after time step `t` of the block from the one before it; returns the rates that the synapses transmit in it.
    #[inline(always)]
    pub(super) fn advance_in_block<S: Simd<Elem = E>>(&mut self, t: usize) -> &[E] {
        let (len, stride) = (self.rates.len(), padded(self.plan.sweep.shape.units));
        let place = (t - self.start) * len;
        let [utilisation, resources] = &mut self.states;
        let (u_before, u_after) = utilisation[place..][..2 * len].split_at_mut(len);
        let (x_before, x_after) = resources[place..][..2 * len].split_at_mut(len);
        for m in 0..self.tile.len() {
            let row = m * stride..(m + 1) * stride;
            self.synapses.advance_row::<S>(
                self.plan.row(self.plan.saved.rates, t, self.tile.trial(m)),
                [&u_before[row.clone()], &x_before[row.clone()]],
                [&mut u_after[row.clone()], &mut x_after[row.clone()]],
                &mut self.state.transmitted[row],
            );
        }
        &self.state.transmitted
    }
}
