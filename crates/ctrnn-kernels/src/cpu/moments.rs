//! Sums of the rates of each unit over trials and time steps, and their gradients.

use crate::operands::UpstreamSlices;
use crate::simd::{Element, GROUP, Simd, each_vector, groups, groups_mut, padded};
use crate::workspace::{Scratch, Workspace};

use super::rows::{add, padded_rows};

/// Destinations, or gradients, of the sums of rates, of their absolute values and of their squares.
pub(crate) type Moments<T> = [T; 3];

/// Number of time steps whose sums are added in the precision of the rates, before they are added in double precision: the rounding
/// does not grow with the number of time steps.
const STEPS: usize = 32;

/// Sums of the rates of a tile, for each unit: of the rates, of their absolute values and of their squares.
pub(crate) struct TileMoments<'a, E: Element> {
    recent: Moments<Scratch<'a, E>>,
    n_recent: usize,
    totals: Moments<Vec<f64>>,
}

impl<'a, E: Element> TileMoments<'a, E> {
    pub(crate) fn new(workspace: &'a Workspace<E>, units: usize) -> Self {
        Self {
            recent: [(); 3].map(|()| workspace.zeros(padded(units))),
            n_recent: 0,
            totals: [(); 3].map(|()| vec![0.0; units]),
        }
    }

    /// Adds the rates of a time step, in padded rows.
    #[inline(always)]
    pub(crate) fn add<S: Simd<Elem = E>>(&mut self, rates: &[E]) {
        let stride = self.recent[0].len();
        let n_rows = rates.len() / stride;
        let [sums, sizes, squares] = self.recent.each_mut().map(|recent| groups_mut(recent));
        each_vector!(S, sums.len(), |g, lane| {
            let mut sum = S::load(&sums[g], lane);
            let mut size = S::load(&sizes[g], lane);
            let mut square = S::load(&squares[g], lane);
            for m in 0..n_rows {
                let r = S::load(&groups(&rates[m * stride..][..stride])[g], lane);
                sum = sum + r;
                size = size + r.abs();
                square = r.mul_add(r, square);
            }
            sum.store(&mut sums[g], lane);
            size.store(&mut sizes[g], lane);
            square.store(&mut squares[g], lane);
        });
        self.n_recent += 1;
        if self.n_recent == STEPS {
            self.settle();
        }
    }

    /// Moves the recent sums to those in double precision.
    fn settle(&mut self) {
        for (totals, recent) in self.totals.iter_mut().zip(&mut self.recent) {
            for (total, recent) in totals.iter_mut().zip(recent.iter_mut()) {
                *total += (*recent).into();
                *recent = E::default();
            }
        }
        self.n_recent = 0;
    }

    /// Returns the sums over all time steps.
    pub(crate) fn totals(mut self) -> Moments<Vec<f64>> {
        self.settle();
        self.totals
    }
}

/// Writes the sums over all tiles.
pub(crate) fn write<E: Element>(
    tiles: impl Iterator<Item = Moments<Vec<f64>>>,
    to: Moments<&mut [E]>,
) {
    let plus = |mut sums: Moments<Vec<f64>>, others: Moments<Vec<f64>>| {
        for (sums, others) in sums.iter_mut().zip(&others) {
            add(sums, others);
        }
        sums
    };
    let totals = tiles.reduce(plus).expect("a batch has at least one tile");
    for (to, totals) in to.into_iter().zip(&totals) {
        for (to, &total) in to.iter_mut().zip(totals) {
            *to = E::from_f64(total);
        }
    }
}

/// Gradients of a loss with respect to the sums of rates, in padded rows; those of the squares are doubled.
pub(crate) struct MomentGradients<'a, E: Element>(Moments<Scratch<'a, E>>);

impl<'a, E: Element> MomentGradients<'a, E> {
    /// Returns `None` if the loss uses none of the sums.
    pub(crate) fn new(
        upstream: &UpstreamSlices<'_, E>,
        units: usize,
        workspace: &'a Workspace<E>,
    ) -> Option<Self> {
        let of_sums = upstream.moments();
        if of_sums.iter().all(Option::is_none) {
            return None;
        }
        let row = |gradient: Option<&[E]>| match gradient {
            Some(gradient) => padded_rows(workspace, gradient, units),
            None => workspace.zeros(padded(units)),
        };
        let [a, b, mut c] = of_sums.map(row);
        c.iter_mut().for_each(|c| *c += *c);
        Some(Self([a, b, c]))
    }

    /// Adds `a + b sign(r) + 2 c r` to the gradients of a row of rates `r`, where `a`, `b` and `c` are the gradients of the sums.
    #[inline(always)]
    pub(crate) fn add_to<S: Simd<Elem = E>>(&self, gradients: &mut [E], rates: &[E]) {
        let Self([a, b, twice_c]) = self;
        let (a, b, twice_c) = (groups(a), groups(b), groups(twice_c));
        let gradients = groups_mut(gradients);
        each_vector!(S, gradients.len(), |g, lane| {
            if g * GROUP + lane < rates.len() {
                let r = S::load(rates, g * GROUP + lane);
                let b = S::load(&b[g], lane);
                let sized = b.times_sign_of(r);
                let own = S::load(&twice_c[g], lane).mul_add(r, sized + S::load(&a[g], lane));
                (S::load(&gradients[g], lane) + own).store(&mut gradients[g], lane);
            }
        });
    }
}
