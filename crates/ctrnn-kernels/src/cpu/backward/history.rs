//! Rates, inputs and gradients of a block of time steps, from which the weight gradients are summed.

use std::ops::Range;

use super::plan::Plan;
use super::replay::Replay;
use super::sums::{Sums, recurrent_len};
use crate::cpu::noise::Noise;
use crate::cpu::rows::add_noise;
use crate::cpu::synapses::StepRows;
use crate::cpu::tile::Tile;
use crate::shape::Shape;
use crate::simd::{Accumulate, AccumulatePart, Block, Element, Simd, dots, padded};
use crate::workspace::Scratch;

/// Numbers from which the weight gradients of a block of time steps are computed. Row `s * n_rows + m` is trial `m` of the tile in the
/// `s`-th step, where `n_rows` trials have the first step of the block. Those that end within the block have gradients of 0 after
/// their end.
pub(super) struct History<'a, E: Element> {
    plan: &'a Plan<'a, E>,
    tile: Tile<'a>,
    /// Number of rows for each time step of the block.
    pub(super) n_rows: usize,
    /// Gradients with respect to the drive.
    pub(super) drives: Block<'a, E>,
    /// Rates before each step, and after the last.
    rates: Block<'a, E>,
    /// Rates that each step takes by the delays above 0, in their order.
    delayed_rates: Vec<Block<'a, E>>,
    /// Rates with the noise of the readout after each step, where there is such noise.
    noisy_rates: Option<Block<'a, E>>,
    /// Rates that the synapses transmit in each step, where they are plastic.
    transmitted: Option<Block<'a, E>>,
    /// States of plastic synapses.
    replay: Option<Replay<'a, E>>,
    /// Inputs and a one, whose weight is the bias.
    inputs: Block<'a, E>,
    /// Projections of the rates before each step onto the right factor.
    kappa: Block<'a, E>,
    /// Gradients with respect to `kappa`.
    kappa_gradients: Block<'a, E>,
    /// Rates that the recurrent weights see in one time step, and their projections.
    before: (Scratch<'a, E>, Scratch<'a, E>),
    /// Gradients with respect to the readout.
    outputs: Block<'a, E>,
    /// Inputs of a time step and gradients with respect to its readout, where those of the tile do not stand together in the batch.
    gathered: [Scratch<'a, E>; 2],
}

impl<'a, E: Element> History<'a, E> {
    #[inline(always)]
    pub(super) fn new<S: Simd<Elem = E>>(
        plan: &'a Plan<'a, E>,
        tile: Tile<'a>,
        block_steps: usize,
        is_noisy: bool,
    ) -> Self {
        let (shape, workspace) = (&plan.sweep.shape, plan.workspace);
        let rows = block_steps * tile.len();
        let of_step = |width: usize| workspace.zeros(tile.len() * width);
        let projected = usize::from(shape.rank > 0) * padded(shape.units);
        let strips = || Block::strips::<S>(workspace, rows, shape.units);
        let matrix = |columns| Block::matrix::<S>(workspace, rows, columns);
        let mut inputs = matrix(shape.inputs + 1);
        for row in 0..rows {
            inputs.row_mut(0, row)[shape.inputs] = E::from(1.0);
        }
        let n_delayed = plan.sweep.delays.map_or(0, |d| d.steps().len() - 1);
        Self {
            plan,
            tile,
            n_rows: 0,
            drives: strips(),
            rates: Block::strips::<S>(workspace, rows + tile.len(), shape.units),
            delayed_rates: (0..n_delayed).map(|_| strips()).collect(),
            noisy_rates: is_noisy.then(strips),
            transmitted: plan.synapses.is_some().then(strips),
            replay: Replay::new(plan, tile, block_steps),
            inputs,
            kappa: matrix(shape.rank),
            kappa_gradients: matrix(shape.rank),
            before: (of_step(projected), of_step(shape.rank)),
            outputs: matrix(shape.outputs),
            gathered: [shape.inputs, shape.outputs].map(of_step),
        }
    }

    /// Fetches or computes the numbers of some time steps.
    #[inline(always)]
    pub(super) fn load<S: Simd<Elem = E>>(&mut self, times: Range<usize>) {
        self.n_rows = self.tile.active(times.start);
        self.load_saved::<S>(times.clone());
        // Before the states of the block, which the replay of earlier steps leaves alone.
        self.load_delayed_rates::<S>(times.clone());
        self.load_seen::<S>(times);
    }

    /// Fetches the rates, inputs and output gradients of some time steps.
    #[inline(always)]
    fn load_saved<S: Simd<Elem = E>>(&mut self, times: Range<usize>) {
        if !self.plan.wanted.recurrence && !self.plan.wanted.readout {
            return;
        }
        let Shape {
            trials,
            inputs,
            outputs,
            ..
        } = self.plan.sweep.shape;
        for t in times.start..=times.end {
            let first = (t - times.start) * self.n_rows;
            for m in 0..self.n_rows {
                let rates = self.plan.row(self.plan.saved.rates, t, self.tile.trial(m));
                self.rates.set_row::<S>(first + m, rates);
            }
            if t == times.end {
                continue;
            }
            let (active, [now, gradients]) = (self.tile.active(t), &mut self.gathered);
            let all = self.plan.sweep.operands.inputs;
            let now = self.tile.gather(all, [t, trials, inputs], active, now);
            self.inputs.set_rows(first, now, inputs);
            let Some(all) = self.plan.upstream.outputs else {
                continue;
            };
            let gradients = (self.tile).gather(all, [t, trials, outputs], active, gradients);
            self.outputs.set_rows(first, gradients, outputs);
            for row in first + active..first + self.n_rows {
                self.outputs
                    .set_rows(row, &self.plan.zeros[..outputs], outputs);
            }
        }
    }

    /// Computes what the recurrent weights see in some time steps, where the saved rates are not all of it: the rates that plastic
    /// synapses transmit, and the projections onto the right factor.
    #[inline(always)]
    fn load_seen<S: Simd<Elem = E>>(&mut self, times: Range<usize>) {
        let Shape { units, rank, .. } = self.plan.sweep.shape;
        let (plan, tile, n_rows) = (self.plan, self.tile, self.n_rows);
        let has_kappa = rank > 0 && plan.wanted.recurrence;
        if let Some(replay) = &mut self.replay {
            replay.begin::<S>(times.clone());
        } else if !has_kappa {
            return;
        }
        let active = 0..n_rows * padded(units);
        let (rates, projections) = &mut self.before;
        for t in times.clone() {
            let first = (t - times.start) * n_rows;
            let seen = match (&mut self.replay, &mut self.transmitted) {
                (Some(replay), Some(block)) => {
                    let seen = replay.advance_in_block::<S>(t);
                    block.set_padded_rows::<S>(first, &seen[active.clone()], units);
                    seen
                }
                _ => {
                    plan.copy_rates::<S>(t, tile, &mut rates[active.clone()]);
                    &**rates
                }
            };
            if has_kappa {
                let zeros = &plan.zeros[..rank];
                dots::<S>(&plan.right, zeros, seen, units, projections, n_rows);
                let projections = &projections[..n_rows * rank];
                self.kappa.set_rows(first, projections, rank);
            }
        }
    }

    /// Returns what a trial's plastic synapses did in time step `t` of the block, or in the step after it.
    #[inline(always)]
    pub(super) fn synapse_rows(&self, t: usize, m: usize) -> StepRows<'_, E> {
        let replay = self.replay.as_ref().expect("plastic synapses are replayed");
        replay.rows(t, m)
    }

    /// Fetches what the time steps take by their delays: what the initial state sent where a delay reaches beyond it.
    #[inline(always)]
    fn load_delayed_rates<S: Simd<Elem = E>>(&mut self, times: Range<usize>) {
        let (plan, tile, n_rows) = (self.plan, self.tile, self.n_rows);
        let Some(delays) = plan.sweep.delays.filter(|_| plan.wanted.recurrence) else {
            return;
        };
        let units = plan.sweep.shape.units;
        for (block, delay) in self.delayed_rates.iter_mut().zip(&delays.steps()[1..]) {
            for t in times.clone() {
                let (first, before) = ((t - times.start) * n_rows, t.saturating_sub(*delay));
                if let Some(replay) = &mut self.replay {
                    let sent = &replay.transmitted::<S>(before)[..n_rows * padded(units)];
                    block.set_padded_rows::<S>(first, sent, units);
                    continue;
                }
                for m in 0..n_rows {
                    let rates = plan.row(plan.saved.rates, before, tile.trial(m));
                    block.set_row::<S>(first + m, rates);
                }
            }
        }
    }

    /// Adds the contribution of `rows` rows to the sums of the recurrent weights: for each band of presynaptic units and each
    /// of its delays, that of the postsynaptic units with such connections.
    #[inline(always)]
    fn add_recurrent_weights<S: Simd<Elem = E>>(&self, sums: &mut [E], rows: usize) {
        let units = self.plan.sweep.shape.units;
        let matrices = sums.chunks_exact_mut(recurrent_len(units));
        let delayed = self.delayed_rates.iter();
        let seen = self.transmitted.as_ref().unwrap_or(&self.rates);
        let rates = [seen].into_iter().chain(delayed);
        for (delay, (sums, rates)) in matrices.zip(rates).enumerate() {
            for band in self.plan.weights.iter() {
                for part in band.parts.iter().filter(|part| part.delay == delay) {
                    let whole = Accumulate {
                        sums,
                        stride: padded(units),
                        a: &self.drives,
                        columns: part.rows.end,
                        b: rates,
                        first: 0,
                        rows,
                    };
                    S::outlined(AccumulatePart {
                        whole,
                        first_column: part.rows.start,
                        b_columns: band.columns.clone(),
                    });
                }
            }
        }
    }

    /// Computes the rates with the noise of the readout.
    #[inline(always)]
    pub(super) fn load_noisy_rates<S: Simd<Elem = E>>(
        &mut self,
        times: Range<usize>,
        xi: &mut Noise<'_, E>,
    ) {
        let units = self.plan.sweep.shape.units;
        let mut noisy_rates = self.plan.workspace.zeros(padded(units));
        for t in times.clone() {
            let noise = xi.at(t);
            for m in 0..self.n_rows {
                let rates = self
                    .plan
                    .row(self.plan.saved.rates, t + 1, self.tile.trial(m));
                add_noise::<S>(
                    &mut noisy_rates,
                    rates,
                    self.plan.sweep.sigma_post,
                    &noise[m * padded(units)..][..padded(units)],
                );
                if let Some(block) = &mut self.noisy_rates {
                    let row = (t - times.start) * self.n_rows + m;
                    block.set_row::<S>(row, &noisy_rates[..units]);
                }
            }
        }
    }

    /// Records the gradients with respect to the drive of the block's `s`-th time step, in padded rows.
    #[inline(always)]
    pub(super) fn set_drives<S: Simd<Elem = E>>(&mut self, s: usize, drives: &[E]) {
        let units = self.plan.sweep.shape.units;
        let drives = &drives[..self.n_rows * padded(units)];
        self.drives
            .set_padded_rows::<S>(s * self.n_rows, drives, units);
    }

    /// Records the gradients with respect to `kappa` of the block's `s`-th time step.
    #[inline(always)]
    pub(super) fn set_kappa_gradients(&mut self, s: usize, gradients: &[E]) {
        let rank = self.plan.sweep.shape.rank;
        let rows = &gradients[..self.n_rows * rank];
        self.kappa_gradients.set_rows(s * self.n_rows, rows, rank);
    }

    /// Adds the contribution of `steps` time steps to the sums of weights.
    #[inline(always)]
    pub(super) fn add_weights<S: Simd<Elem = E>>(&self, sums: &mut Sums<'_, E>, steps: usize) {
        let Shape {
            units,
            inputs,
            outputs,
            rank,
            ..
        } = self.plan.sweep.shape;
        let (stride, rows) = (padded(units), steps * self.n_rows);
        let seen = self.transmitted.as_ref().unwrap_or(&self.rates);
        if self.plan.wanted.w_rc {
            self.add_recurrent_weights::<S>(&mut sums.w_rc, rows);
        }
        if self.plan.wanted.recurrence {
            S::outlined(Accumulate {
                sums: &mut sums.left,
                stride,
                a: &self.kappa,
                columns: rank,
                b: &self.drives,
                first: 0,
                rows,
            });
            S::outlined(Accumulate {
                sums: &mut sums.right,
                stride,
                a: &self.kappa_gradients,
                columns: rank,
                b: seen,
                first: 0,
                rows,
            });
            S::outlined(Accumulate {
                sums: &mut sums.w_in,
                stride,
                a: &self.inputs,
                columns: inputs + 1,
                b: &self.drives,
                first: 0,
                rows,
            });
        }
        if self.plan.wanted.readout {
            let (noisy_rates, first) = match &self.noisy_rates {
                Some(noisy_rates) => (noisy_rates, 0),
                None => (&self.rates, self.n_rows),
            };
            S::outlined(Accumulate {
                sums: &mut sums.w_out,
                stride,
                a: &self.outputs,
                columns: outputs,
                b: noisy_rates,
                first,
                rows,
            });
        }
    }
}
