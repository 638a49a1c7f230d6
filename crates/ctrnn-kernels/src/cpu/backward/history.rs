//! Rates, inputs and gradients of a block of time steps, from which the weight gradients are summed.

use std::ops::Range;

use super::plan::Plan;
use super::sums::{Sums, recurrent_len};
use crate::cpu::noise::Noise;
use crate::cpu::rows::add_noise;
use crate::cpu::tile::Tile;
use crate::shape::Shape;
use crate::simd::{Accumulate, AccumulatePart, Block, Element, Simd, padded};

/// Numbers from which the weight gradients of a block of time steps are computed. Row `s * trials + m` is trial `m` in the `s`-th
/// step.
pub(super) struct History<'a, E: Element> {
    plan: &'a Plan<'a, E>,
    tile: Tile,
    /// Gradients with respect to the drive.
    drives: Block<'a, E>,
    /// Rates before each step, and after the last.
    rates: Block<'a, E>,
    /// Rates that each step takes by the delays above 0, in their order.
    delayed_rates: Vec<Block<'a, E>>,
    /// Rates with the noise of the readout after each step, where there is such noise.
    noisy_rates: Option<Block<'a, E>>,
    /// Inputs and a one, whose weight is the bias.
    inputs: Block<'a, E>,
    /// Gradients with respect to the readout.
    outputs: Block<'a, E>,
}

impl<'a, E: Element> History<'a, E> {
    #[inline(always)]
    pub(super) fn new<S: Simd<Elem = E>>(
        plan: &'a Plan<'a, E>,
        tile: Tile,
        block_steps: usize,
        is_noisy: bool,
    ) -> Self {
        let (shape, workspace) = (&plan.sweep.shape, plan.workspace);
        let rows = block_steps * tile.trials;
        let mut inputs = Block::matrix::<S>(workspace, rows, shape.inputs + 1);
        for row in 0..rows {
            inputs.row_mut(0, row)[shape.inputs] = E::from(1.0);
        }
        let delays = plan.sweep.delays.map_or(&[][..], |d| &d.steps()[1..]);
        let block = |_: &usize| Block::strips::<S>(workspace, rows, shape.units);
        Self {
            plan,
            tile,
            delayed_rates: delays.iter().map(block).collect(),
            drives: Block::strips::<S>(workspace, rows, shape.units),
            rates: Block::strips::<S>(workspace, rows + tile.trials, shape.units),
            noisy_rates: is_noisy.then(|| Block::strips::<S>(workspace, rows, shape.units)),
            inputs,
            outputs: Block::matrix::<S>(workspace, rows, shape.outputs),
        }
    }

    /// Fetches the rates, inputs and output gradients of some time steps.
    #[inline(always)]
    pub(super) fn load<S: Simd<Elem = E>>(&mut self, times: Range<usize>) {
        if !self.plan.wanted.recurrence && !self.plan.wanted.readout {
            return;
        }
        let Shape {
            trials,
            inputs,
            outputs,
            ..
        } = self.plan.sweep.shape;
        let tile = self.tile;
        let of_tile = |slice: &'a [E], t: usize, width: usize| {
            &slice[(t * trials + tile.first) * width..][..tile.trials * width]
        };
        for t in times.start..=times.end {
            let first = (t - times.start) * self.tile.trials;
            for m in 0..self.tile.trials {
                let rates = self.plan.row(self.plan.saved.rates, t, self.tile.first + m);
                self.rates.set_row::<S>(first + m, rates);
            }
            if t < times.end {
                self.load_delayed_rates::<S>(first, t);
                let now = of_tile(self.plan.sweep.operands.inputs, t, inputs);
                self.inputs.set_rows(first, now, inputs);
                if let Some(gradient) = self.plan.upstream.outputs {
                    self.outputs
                        .set_rows(first, of_tile(gradient, t, outputs), outputs);
                }
            }
        }
    }

    /// Fetches the rates that step `t` takes by its delays: those of the initial state where a delay reaches beyond it.
    #[inline(always)]
    fn load_delayed_rates<S: Simd<Elem = E>>(&mut self, first: usize, t: usize) {
        let Some(delays) = self.plan.sweep.delays else {
            return;
        };
        for (block, delay) in self.delayed_rates.iter_mut().zip(&delays.steps()[1..]) {
            let before = t.saturating_sub(*delay);
            for m in 0..self.tile.trials {
                let rates = self.plan.saved.rates;
                let rates = self.plan.row(rates, before, self.tile.first + m);
                block.set_row::<S>(first + m, rates);
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
        let rates = [&self.rates].into_iter().chain(delayed);
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
            for m in 0..self.tile.trials {
                let rates = self
                    .plan
                    .row(self.plan.saved.rates, t + 1, self.tile.first + m);
                add_noise::<S>(
                    &mut noisy_rates,
                    rates,
                    self.plan.sweep.sigma_post,
                    &noise[m * padded(units)..][..padded(units)],
                );
                if let Some(block) = &mut self.noisy_rates {
                    let row = (t - times.start) * self.tile.trials + m;
                    block.set_row::<S>(row, &noisy_rates[..units]);
                }
            }
        }
    }

    /// Records the gradients with respect to the drive in row `row`.
    #[inline(always)]
    pub(super) fn set_drive<S: Simd<Elem = E>>(&mut self, row: usize, drive: &[E]) {
        self.drives.set_row::<S>(row, drive);
    }

    /// Adds the contribution of `steps` time steps to the sums of weights.
    #[inline(always)]
    pub(super) fn add_weights<S: Simd<Elem = E>>(&self, sums: &mut Sums<'_, E>, steps: usize) {
        let Shape {
            units,
            inputs,
            outputs,
            ..
        } = self.plan.sweep.shape;
        let (stride, rows) = (padded(units), steps * self.tile.trials);
        if self.plan.wanted.recurrence {
            self.add_recurrent_weights::<S>(&mut sums.w_rc, rows);
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
                None => (&self.rates, self.tile.trials),
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
