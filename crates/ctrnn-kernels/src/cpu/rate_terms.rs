//! Terms of a loss that are functions of the rates of a few time steps: their values, from a trajectory, and their gradients, within the
//! backward sweep.

use super::activation::log;
use super::tile::{Tile, Tiles, for_each};
use crate::operands::assert_len;
use crate::rate_term::RateMeasure;
use crate::simd::{Element, Job, Simd};
use crate::sweep::SweepSlices;
use crate::workspace::Workspace;

/// Small constant that keeps the shares of silent units, and their logarithms, finite.
const TINY: f64 = 1e-12;

/// Implements [`rate_terms`](crate::rate_terms) for every path.
pub(crate) fn values<E: Element>(
    sweep: &SweepSlices<'_, E>,
    rates: &[E],
    to: &mut [E],
    workspace: &Workspace<E>,
) {
    assert_len("rates", rates, sweep.shape.history());
    assert_len("rate terms", to, sweep.rate_terms.len());
    let tiles = Tiles::new(&sweep.shape, sweep.lengths);
    let jobs = tiles.iter().map(|tile| TileValues { sweep, rates, tile });
    let of_tiles = for_each(jobs.collect(), |job: TileValues<'_, E>| {
        E::dispatch(workspace.path(), job)
    });
    for (k, to) in to.iter_mut().enumerate() {
        *to = E::from_f64(of_tiles.iter().map(|sums| sums[k]).sum());
    }
}

/// Values of the terms for the trials of a tile.
struct TileValues<'a, E: Element> {
    sweep: &'a SweepSlices<'a, E>,
    rates: &'a [E],
    tile: Tile<'a>,
}

impl<E: Element> Job<E> for TileValues<'_, E> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn run<S: Simd<Elem = E>>(self) -> Vec<f64> {
        let (terms, units) = (self.sweep.rate_terms, self.sweep.shape.units);
        let mut sums = vec![0.0; terms.len()];
        for at in 1..=self.sweep.shape.steps {
            for m in 0..self.tile.active(at - 1) {
                let trial = self.tile.trial(m);
                let now = self.sweep.shape.row(self.rates, at, trial);
                for k in 0..terms.len() {
                    let own = terms[k].of_row(units);
                    let value = match terms[k].measure {
                        RateMeasure::Entropy => entropy::<S>(&now[own]),
                        RateMeasure::Change { lag } if at > lag => {
                            let before = self.sweep.shape.row(self.rates, at - lag, trial);
                            distance::<S>(&now[own.clone()], &before[own])
                        }
                        RateMeasure::Change { .. } => continue,
                    };
                    sums[k] += value.into();
                }
            }
        }
        sums
    }
}

/// Addition of the gradients of the terms, times their weights, to the gradients of a trial's rates after time step `t`.
pub(crate) struct AddSlopes<'a, E: Element> {
    pub(crate) sweep: &'a SweepSlices<'a, E>,
    /// Rates `[T + 1, B, N]`.
    pub(crate) rates: &'a [E],
    pub(crate) weights: &'a [E],
    pub(crate) gradients: &'a mut [E],
    pub(crate) t: usize,
    pub(crate) trial: usize,
}

impl<E: Element> Job<E> for AddSlopes<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = E>>(self) {
        let Self {
            sweep,
            rates,
            weights,
            gradients,
            t,
            trial,
        } = self;
        let (at, steps) = (t + 1, sweep.shape.steps);
        let end = (sweep.lengths).map_or(steps, |lengths| lengths.end(trial, steps));
        let now = sweep.shape.row(rates, at, trial);
        for (term, &weight) in sweep.rate_terms.iter().zip(weights) {
            let own = term.of_row(now.len());
            let gradients = &mut gradients[own.clone()];
            match term.measure {
                RateMeasure::Entropy => add_entropy_slopes::<S>(gradients, &now[own], weight),
                RateMeasure::Change { lag } => {
                    if at > lag {
                        let before = &sweep.shape.row(rates, at - lag, trial)[own.clone()];
                        add_distance_slopes::<S>(gradients, &now[own.clone()], before, weight);
                    }
                    if at + lag <= end {
                        let after = &sweep.shape.row(rates, at + lag, trial)[own.clone()];
                        add_distance_slopes::<S>(gradients, &now[own], after, weight);
                    }
                }
            }
        }
    }
}

/// Returns `1 / (sum |r| + TINY)`.
#[inline(always)]
fn scale_of_shares<S: Simd>(rates: &[S::Elem]) -> S::Elem {
    let mut sizes = S::splat(S::Elem::default());
    let mut at = 0;
    while at < rates.len() {
        sizes = sizes + S::load(rates, at).abs();
        at += S::LANES;
    }
    S::Elem::from(1.0) / (sizes.sum() + S::Elem::from_f64(TINY))
}

#[inline(always)]
fn entropy<S: Simd>(rates: &[S::Elem]) -> S::Elem {
    let scale = S::splat(scale_of_shares::<S>(rates));
    let tiny = S::splat(S::Elem::from_f64(TINY));
    let mut sum = S::splat(S::Elem::default());
    let mut at = 0;
    while at < rates.len() {
        let p = S::load(rates, at).abs() * scale;
        sum = p.mul_add(log(p + tiny), sum);
        at += S::LANES;
    }
    -sum.sum()
}

/// Adds `w sign(r_i) (sum_j p_j l_j - l_i) / sum |r|` with `l_i = 1 + log p_i`, the slope of `p_i log p_i`: that of the term, which has
/// `log(p_i + TINY)`, to a part in a hundred for shares above 1e-10.
#[inline(always)]
fn add_entropy_slopes<S: Simd>(gradients: &mut [S::Elem], rates: &[S::Elem], weight: S::Elem) {
    let scale = scale_of_shares::<S>(rates);
    let (shares, factor) = (S::splat(scale), S::splat(weight * scale));
    let tiny = S::splat(S::Elem::from_f64(TINY));
    let one = S::splat(S::Elem::from(1.0));
    let mut sum = S::splat(S::Elem::default());
    let mut at = 0;
    while at < rates.len() {
        let r = S::load(rates, at);
        let p = r.abs() * shares;
        let l = log(p + tiny) + one;
        sum = p.mul_add(l, sum);
        let slope = (l * factor).times_sign_of(r);
        (S::load(gradients, at) - slope).store(gradients, at);
        at += S::LANES;
    }
    let mean = S::splat(sum.sum()) * factor;
    at = 0;
    while at < rates.len() {
        let slope = mean.times_sign_of(S::load(rates, at));
        (S::load(gradients, at) + slope).store(gradients, at);
        at += S::LANES;
    }
}

/// Returns `sum (a - b)^2`.
#[inline(always)]
fn distance<S: Simd>(a: &[S::Elem], b: &[S::Elem]) -> S::Elem {
    let mut sum = S::splat(S::Elem::default());
    let mut at = 0;
    while at < a.len() {
        let change = S::load(a, at) - S::load(b, at);
        sum = change.mul_add(change, sum);
        at += S::LANES;
    }
    sum.sum()
}

/// Adds `2 w (a - b)`.
#[inline(always)]
fn add_distance_slopes<S: Simd>(
    gradients: &mut [S::Elem],
    a: &[S::Elem],
    b: &[S::Elem],
    weight: S::Elem,
) {
    let factor = S::splat(weight + weight);
    let mut at = 0;
    while at < a.len() {
        let change = S::load(a, at) - S::load(b, at);
        let sum = factor.mul_add(change, S::load(gradients, at));
        sum.store(gradients, at);
        at += S::LANES;
    }
}
