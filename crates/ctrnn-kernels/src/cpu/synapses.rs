//! Short-term plasticity of the synapses that leave each unit: one time step, forward and backward.
//!
//! A time step takes the utilisation u and the resources x from the rate r before it,
//!
//! ```text
//! u' = u + a_u (U - u) + dt U (1 - u) r        x' = x + a_x (1 - x) - dt u x r        both clipped to [0, 1]
//! p  = r u' x'
//! ```
//!
//! and the recurrent weights see p in place of r. Write `h_u` and `h_x` for the gradients with respect to `u'` and `x'` before they
//! are clipped, which are zero where a value lies outside of [0, 1]. Then, back through the step,
//!
//! ```text
//! h_u = g_u' + r x' g_p          g_u = (1 - a_u - dt U r) h_u - dt x r h_x
//! h_x = g_x' + r u' g_p          g_x = (1 - a_x - dt u r) h_x
//! g_r = ... + u' x' g_p + dt U (1 - u) h_u - dt u x h_x
//! ```
//!
//! The forward sweep keeps the state of the synapses before every few time steps alone ([`kept_synapses`]): the backward sweep computes
//! the states between them again, from the rates, which costs less than fetching both from memory.
//!
//! A value that the step itself takes to a bound passes its gradient on: x = 1 at a rate of 0 is no clipping, and there the derivative
//! within [0, 1] counts, as in the plain path.
//!
//! # References
//! Mongillo, Barak and Tsodyks (2008); Masse et al. (2019).

use super::rows::padded_rows;
use super::tile::Tile;
use crate::delays::Delays;
use crate::operands::SynapseConstants;
use crate::shape::Shape;
use crate::simd::{Element, GROUP, Simd, each_vector, groups, groups_mut, padded};
use crate::sweep::SweepSlices;
use crate::workspace::{Scratch, Workspace};

/// Time steps from one kept state of the synapses to the next. Few enough that little is computed twice to reach the first step of
/// a block of the backward sweep, many enough that the kept states are small beside the rates.
const KEPT_EVERY: usize = 8;

/// Returns the time steps from one kept state of the synapses to the next: 1 with delays, which transmit what synapses were at any
/// earlier time step.
pub(crate) const fn kept_every(delays: Option<&Delays>) -> usize {
    if delays.is_some() { 1 } else { KEPT_EVERY }
}

/// Returns the length of each of the two buffers of kept states of the synapses, `[kept time step, B, N]`: 0 without short-term
/// plasticity.
#[must_use]
pub fn kept_synapses(shape: &Shape, delays: Option<&Delays>) -> usize {
    shape.steps.div_ceil(kept_every(delays)) * shape.trials * shape.synapses
}

/// Constants of all units, in padded rows.
pub(crate) struct Synapses<'a, E: Element>(SynapseConstants<Scratch<'a, E>>);

/// State of the synapses of a tile, a row of [`padded`] units for each trial.
pub(crate) struct SynapseState<'a, E: Element> {
    pub(crate) utilisation: Scratch<'a, E>,
    pub(crate) resources: Scratch<'a, E>,
    /// Transmitted rates `p`, from which the drive is computed.
    pub(crate) transmitted: Scratch<'a, E>,
}

impl<'a, E: Element> SynapseState<'a, E> {
    /// Returns the state of a tile before the first time step.
    pub(crate) fn initial(
        sweep: &SweepSlices<'_, E>,
        tile: Tile<'_>,
        workspace: &'a Workspace<E>,
    ) -> Self {
        let (units, stride) = (sweep.shape.units, padded(sweep.shape.units));
        let of_tile = |all: &[E]| {
            let mut rows = workspace.zeros(tile.len() * stride);
            for (m, row) in rows.chunks_exact_mut(stride).enumerate() {
                row[..units].copy_from_slice(&all[tile.trial(m) * units..][..units]);
            }
            rows
        };
        let initial = &sweep.operands.initial_state;
        Self {
            utilisation: of_tile(initial.utilisation),
            resources: of_tile(initial.resources),
            transmitted: workspace.zeros(tile.len() * stride),
        }
    }
}

/// Rates, utilisation and resources of one trial before a time step, and the latter two after it; all but the rates in padded rows.
#[derive(Clone, Copy)]
pub(crate) struct StepRows<'a, E> {
    pub(crate) rates: &'a [E],
    pub(crate) before: [&'a [E]; 2],
    pub(crate) after: [&'a [E]; 2],
}

/// Gradients of one trial that go back through a time step, in padded rows.
pub(crate) struct StepGradients<'a, E> {
    /// With respect to the transmitted rates.
    pub(crate) transmitted: &'a [E],
    /// With respect to the utilisation: after the step, then before it.
    pub(crate) utilisation: &'a mut [E],
    /// With respect to the resources, likewise.
    pub(crate) resources: &'a mut [E],
    /// With respect to the rates before the step, to which the step's part is added.
    pub(crate) rates: &'a mut [E],
}

impl<'a, E: Element> Synapses<'a, E> {
    /// Returns the constants of a sweep; `None` without short-term plasticity.
    pub(crate) fn new(sweep: &SweepSlices<'_, E>, workspace: &'a Workspace<E>) -> Option<Self> {
        let units = sweep.shape.units;
        let rows = |constants| padded_rows(workspace, constants, units);
        (sweep.shape.synapses > 0).then(|| Self(sweep.synapses.map(rows)))
    }

    /// Takes the synapses of a tile's first trials through a time step that begins with these rates.
    #[inline(always)]
    pub(crate) fn advance<S: Simd<Elem = E>>(
        &self,
        state: &mut SynapseState<'_, E>,
        rates: &[E],
        units: usize,
    ) {
        let (stride, width) = (padded(units), units.next_multiple_of(GROUP));
        let constants = self.rows(width);
        for m in 0..rates.len() / stride {
            let row = m * stride..m * stride + width;
            let rates = groups(&rates[row.clone()]);
            let utilisation = groups_mut(&mut state.utilisation[row.clone()]);
            let resources = groups_mut(&mut state.resources[row.clone()]);
            let transmitted = groups_mut(&mut state.transmitted[row]);
            each_vector!(S, rates.len(), |g, lane| {
                let r = S::load(&rates[g], lane);
                let u = S::load(&utilisation[g], lane);
                let x = S::load(&resources[g], lane);
                let [u, x, p] = after::<S>(&constants, [g, lane], r, [u, x]);
                u.store(&mut utilisation[g], lane);
                x.store(&mut resources[g], lane);
                p.store(&mut transmitted[g], lane);
            });
        }
    }

    /// Computes the state of one trial's synapses after a time step, and the rates that they transmit, from the rates and the state
    /// before it.
    #[inline(always)]
    pub(crate) fn advance_row<S: Simd<Elem = E>>(
        &self,
        rates: &[E],
        before: [&[E]; 2],
        after_step: [&mut [E]; 2],
        transmitted: &mut [E],
    ) {
        let units = rates.len();
        let width = units.next_multiple_of(GROUP);
        let constants = self.rows(width);
        let u_before = groups(&before[0][..width]);
        let x_before = groups(&before[1][..width]);
        let [u_after, x_after] = after_step;
        let u_after = groups_mut(&mut u_after[..width]);
        let x_after = groups_mut(&mut x_after[..width]);
        let transmitted = groups_mut(&mut transmitted[..width]);
        each_vector!(S, width / GROUP, |g, lane| {
            let at = g * GROUP + lane;
            if at < units {
                let r = S::load(rates, at);
                let (u, x) = (S::load(&u_before[g], lane), S::load(&x_before[g], lane));
                let [u, x, p] = after::<S>(&constants, [g, lane], r, [u, x]);
                u.store(&mut u_after[g], lane);
                x.store(&mut x_after[g], lane);
                p.store(&mut transmitted[g], lane);
            }
        });
    }

    /// Takes gradients back through a time step of one trial; the formulas are those of the module.
    #[inline(always)]
    pub(crate) fn back<S: Simd<Elem = E>>(
        &self,
        rows: StepRows<'_, E>,
        gradients: StepGradients<'_, E>,
    ) {
        let units = rows.rates.len();
        let width = units.next_multiple_of(GROUP);
        let constants = self.rows(width);
        let one = S::splat(E::from(1.0));
        let u_before = groups(&rows.before[0][..width]);
        let x_before = groups(&rows.before[1][..width]);
        let u_after = groups(&rows.after[0][..width]);
        let x_after = groups(&rows.after[1][..width]);
        let from = groups(&gradients.transmitted[..width]);
        let to_u = groups_mut(&mut gradients.utilisation[..width]);
        let to_x = groups_mut(&mut gradients.resources[..width]);
        let to_r = groups_mut(&mut gradients.rates[..width]);
        each_vector!(S, width / GROUP, |g, lane| {
            let at = g * GROUP + lane;
            if at < units {
                let r = S::load(rows.rates, at);
                let u = S::load(&u_before[g], lane);
                let x = S::load(&x_before[g], lane);
                let u_after = S::load(&u_after[g], lane);
                let x_after = S::load(&x_after[g], lane);
                let g_p = S::load(&from[g], lane);
                let [u_raw, x_raw] = unclipped::<S>(&constants, [g, lane], r, [u, x]);
                let h_u = (g_p * r).mul_add(x_after, S::load(&to_u[g], lane));
                let h_u = within(u_raw, h_u);
                let h_x = (g_p * r).mul_add(u_after, S::load(&to_x[g], lane));
                let h_x = within(x_raw, h_x);
                let baseline = S::load(&constants.baseline[g], lane);
                let spikes = S::load(&constants.spikes[g], lane);
                let u_kept = one - S::load(&constants.utilisation_gain[g], lane);
                let x_kept = one - S::load(&constants.resources_gain[g], lane);
                let emitted = spikes * r;
                let g_u = (u_kept - baseline * emitted) * h_u - emitted * x * h_x;
                let g_x = (x_kept - emitted * u) * h_x;
                let g_r = spikes * (baseline * (one - u) * h_u - u * x * h_x);
                g_u.store(&mut to_u[g], lane);
                g_x.store(&mut to_x[g], lane);
                let g_r = (u_after * x_after).mul_add(g_p, g_r);
                (S::load(&to_r[g], lane) + g_r).store(&mut to_r[g], lane);
            }
        });
    }

    /// Returns the constants in groups, as far as there are units.
    #[inline(always)]
    fn rows(&self, width: usize) -> SynapseConstants<&[[E; GROUP]]> {
        SynapseConstants {
            baseline: groups(&self.0.baseline[..width]),
            utilisation_gain: groups(&self.0.utilisation_gain[..width]),
            resources_gain: groups(&self.0.resources_gain[..width]),
            spikes: groups(&self.0.spikes[..width]),
        }
    }
}

/// Computes utilisation and resources after a time step, before they are clipped, for the vector at `[group, lane]`.
#[inline(always)]
fn unclipped<S: Simd>(
    constants: &SynapseConstants<&[[S::Elem; GROUP]]>,
    [g, lane]: [usize; 2],
    r: S,
    [u, x]: [S; 2],
) -> [S; 2] {
    let one = S::splat(S::Elem::from(1.0));
    let baseline = S::load(&constants.baseline[g], lane);
    let u_gain = S::load(&constants.utilisation_gain[g], lane);
    let x_gain = S::load(&constants.resources_gain[g], lane);
    let emitted = S::load(&constants.spikes[g], lane) * r;
    let u_kept = u_gain.mul_add(baseline - u, u);
    let x_kept = x_gain.mul_add(one - x, x);
    [
        (baseline * emitted).mul_add(one - u, u_kept),
        (-(u * emitted)).mul_add(x, x_kept),
    ]
}

/// Computes utilisation and resources after a time step, and the rates that the synapses transmit in it, for the vector at
/// `[group, lane]`.
#[inline(always)]
fn after<S: Simd>(
    constants: &SynapseConstants<&[[S::Elem; GROUP]]>,
    place: [usize; 2],
    r: S,
    state: [S; 2],
) -> [S; 3] {
    let [u, x] = unclipped::<S>(constants, place, r, state);
    let (u, x) = (clipped(u), clipped(x));
    [u, x, r * u * x]
}

/// Returns `x` clipped to [0, 1]; NaN stays NaN.
#[inline(always)]
fn clipped<S: Simd>(x: S) -> S {
    let (zero, one) = (S::splat(S::Elem::default()), S::splat(S::Elem::from(1.0)));
    x.at_least(zero).at_most(one)
}

/// Returns `gradient` where `x` lies in [0, 1], and 0 where it is clipped.
#[inline(always)]
fn within<S: Simd>(x: S, gradient: S) -> S {
    // Positive just there: x^2 - x.
    x.mul_add(x, -x)
        .positive_or(S::splat(S::Elem::default()), gradient)
}
