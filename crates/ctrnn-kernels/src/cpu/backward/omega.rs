//! The penalty [`OmegaTerm`] of a tile: its value, and its gradient with respect to the recurrent weights.

use super::plan::Plan;
use super::sums::recurrent_len;
use crate::OmegaTerm;
use crate::cpu::activation::for_activation;
use crate::cpu::rows::add;
use crate::cpu::tile::Tile;
use crate::simd::{
    Accumulate, Block, Element, GROUP, Job, Simd, each_vector, groups, groups_mut, padded,
};
use crate::sweep::SweepSlices;
use crate::workspace::Scratch;

/// Sums of the penalty over trials and time steps.
pub(super) struct OmegaSums<'a, E: Element> {
    /// Sum of `(|q|^2 / |d|^2 - 1)^2`.
    total: f64,
    /// Number of terms of the sum.
    number: usize,
    /// Gradient of the sum with respect to the recurrent weights, without the scale of the drive; empty if it is not wanted.
    w_rc: Scratch<'a, E>,
}

impl<E: Element> OmegaSums<'_, E> {
    pub(super) fn plus(mut self, other: &Self) -> Self {
        self.total += other.total;
        self.number += other.number;
        add(&mut self.w_rc, &other.w_rc);
        self
    }

    /// Adds the gradient of the penalty to that of the recurrent weights, and returns the value of the penalty.
    pub(super) fn finish(
        &self,
        term: &OmegaTerm,
        sweep: &SweepSlices<'_, E>,
        w_rc: Option<&mut [E]>,
    ) -> f64 {
        let units = sweep.shape.units;
        let factor = term.weight / self.number.max(1) as f64;
        if let Some(w_rc) = w_rc {
            let rows = self.w_rc.chunks_exact(padded(units));
            for (post, (to, sums)) in w_rc.chunks_exact_mut(units).zip(rows).enumerate() {
                let factor = E::from_f64(factor) * sweep.drive_scale(post);
                for (to, &sum) in to.iter_mut().zip(sums) {
                    *to += factor * sum;
                }
            }
        }
        factor * self.total
    }
}

/// Penalty of a tile while the backward sweep runs.
pub(super) struct TileOmega<'a, E: Element> {
    term: OmegaTerm,
    sums: OmegaSums<'a, E>,
    /// Gradient with respect to the rates before the last time step that was visited, along the recurrent weights.
    pub(super) recurrent: Scratch<'a, E>,
    /// Gradient of the sum with respect to `gain d W_rc`, a row of padded units.
    row: Scratch<'a, E>,
    /// These rows for a block of time steps, as those of [`History`](super::history::History).
    rows: Block<'a, E>,
}

impl<'a, E: Element> TileOmega<'a, E> {
    #[inline(always)]
    pub(super) fn new<S: Simd<Elem = E>>(
        term: OmegaTerm,
        plan: &Plan<'a, E>,
        n_trials: usize,
        block_steps: usize,
    ) -> Self {
        let (units, workspace) = (plan.sweep.shape.units, plan.workspace);
        let w_rc = if plan.wanted.w_rc {
            recurrent_len(units)
        } else {
            0
        };
        Self {
            term,
            sums: OmegaSums {
                total: 0.0,
                number: 0,
                w_rc: workspace.zeros(w_rc),
            },
            recurrent: workspace.zeros(n_trials * padded(units)),
            row: workspace.zeros(padded(units)),
            rows: Block::strips::<S>(workspace, block_steps * n_trials, units),
        }
    }

    /// Adds the terms of the trials that have time step `t`, whose first row in the block is `first`; `drives` are the gradients
    /// with respect to the potentials after the step.
    #[inline(always)]
    pub(super) fn visit<S: Simd<Elem = E>>(
        &mut self,
        plan: &Plan<'_, E>,
        tile: Tile<'_>,
        drives: &[E],
        [t, first, n_rows]: [usize; 3],
    ) {
        let (units, active) = (plan.sweep.shape.units, tile.active(t));
        let stride = padded(units);
        for m in 0..active {
            let place = m * stride..m * stride + units.next_multiple_of(GROUP);
            let slopes_at = t + usize::from(self.term.slopes_after);
            let rates = plan.saved.rates;
            let terms = S::outlined(OmegaRow {
                plan,
                rates: plan.row(rates, slopes_at, tile.trial(m)),
                d: &drives[place.clone()],
                recurrent: &self.recurrent[place],
                bound: self.term.bound,
                gradient: &mut self.row,
            });
            self.rows.set_row::<S>(first + m, &self.row[..units]);
            if let Some(term) = terms {
                self.sums.total += term;
                self.sums.number += 1;
            }
        }
        for m in active..n_rows {
            self.rows.set_row::<S>(first + m, &plan.zeros[..units]);
        }
    }

    /// Adds the gradients of a block, whose gradients with respect to the potentials are `drives`.
    #[inline(always)]
    pub(super) fn add_weights<S: Simd<Elem = E>>(
        &mut self,
        plan: &Plan<'_, E>,
        drives: &Block<'_, E>,
        rows: usize,
    ) {
        if !plan.wanted.w_rc {
            return;
        }
        let units = plan.sweep.shape.units;
        S::outlined(Accumulate {
            sums: &mut self.sums.w_rc,
            stride: padded(units),
            a: drives,
            columns: units,
            b: &self.rows,
            first: 0,
            rows,
        });
    }

    pub(super) fn sums(self) -> OmegaSums<'a, E> {
        self.sums
    }
}

/// One trial and time step of the penalty.
struct OmegaRow<'r, 'p, E: Element> {
    plan: &'r Plan<'p, E>,
    rates: &'r [E],
    d: &'r [E],
    recurrent: &'r [E],
    bound: f64,
    /// Destination of the gradient of the term with respect to `gain d W_rc`; zero if the term does not count.
    gradient: &'r mut [E],
}

impl<E: Element> Job<E> for OmegaRow<'_, '_, E> {
    /// Term of the sum, if it counts.
    type Output = Option<f64>;

    #[inline(always)]
    fn run<S: Simd<Elem = E>>(self) -> Option<f64> {
        let units = self.plan.sweep.shape.units;
        let (d, recurrent) = (groups(self.d), groups(self.recurrent));
        let (decay, gradient) = (groups(&self.plan.decay), groups_mut(self.gradient));
        let zero = S::splat(E::default());
        let (mut size, mut size_back) = (zero, zero);
        for_activation!(self.plan.sweep.activation, f => each_vector!(S, d.len(), |g, lane| {
            if g * GROUP + lane < units {
                let slope = f.slopes(S::load(self.rates, g * GROUP + lane));
                let d = S::load(&d[g], lane);
                let q = slope.mul_add(S::load(&recurrent[g], lane), S::load(&decay[g], lane) * d);
                size = d.mul_add(d, size);
                size_back = q.mul_add(q, size_back);
                (q * slope).store(&mut gradient[g], lane);
            }
        }));
        let (size, size_back): (f64, f64) = (size.sum().into(), size_back.sum().into());
        let counts = size > self.bound;
        let change = size_back / size - 1.0;
        let factor = if counts { 4.0 * change / size } else { 0.0 };
        let factor = S::splat(E::from_f64(factor));
        each_vector!(S, gradient.len(), |g, lane| {
            (factor * S::load(&gradient[g], lane)).store(&mut gradient[g], lane);
        });
        counts.then_some(change * change)
    }
}
