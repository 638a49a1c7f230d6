//! Arithmetic on the padded rows of a tile.

use crate::shape::Shape;
use crate::simd::{Element, GROUP, Simd, dots, each_vector, groups, groups_mut, padded};
use crate::sweep::SweepSlices;
use crate::workspace::{Scratch, Workspace};

/// A tile's part of a record, if it is recorded.
pub(crate) type Rows<'a, E> = Option<TileRows<'a, E>>;

/// A tile's part of a buffer `[time, trial, width]`, in chunks: all rows of a time where the trials stand one after another in the batch,
/// otherwise one row each.
pub(crate) struct TileRows<'a, E> {
    chunks: Vec<&'a mut [E]>,
    per_time: usize,
}

impl<'a, E> TileRows<'a, E> {
    /// Returns empty chunks, `per_time` for each time.
    pub(crate) fn new(times: usize, per_time: usize) -> Self {
        let chunks = std::iter::repeat_with(Default::default);
        Self {
            chunks: chunks.take(times * per_time).collect(),
            per_time,
        }
    }

    /// Returns the chunks of a time.
    #[inline(always)]
    pub(crate) fn at(&mut self, time: usize) -> &mut [&'a mut [E]] {
        &mut self.chunks[time * self.per_time..][..self.per_time]
    }

    /// Returns true if the rows of a time are one chunk.
    pub(crate) const fn is_whole(&self) -> bool {
        self.per_time == 1
    }
}

/// Copies rows of `units` numbers into rows of [`padded`] numbers.
pub(crate) fn padded_rows<'a, E: Element>(
    workspace: &'a Workspace<E>,
    rows: &[E],
    units: usize,
) -> Scratch<'a, E> {
    let stride = padded(units);
    let mut copy = workspace.zeros(rows.len() / units * stride);
    for (to, from) in copy.chunks_exact_mut(stride).zip(rows.chunks_exact(units)) {
        to[..units].copy_from_slice(from);
    }
    copy
}

/// Returns the matrix `[units, columns]` whose entries `element` returns, transposed: a row of [`padded`] units for each column.
pub(crate) fn transposed_rows<E: Element>(
    workspace: &Workspace<E>,
    units: usize,
    columns: usize,
    element: impl Fn(usize, usize) -> E,
) -> Scratch<'_, E> {
    let stride = padded(units);
    let mut rows = workspace.zeros(columns * stride);
    for (column, row) in rows.chunks_exact_mut(stride).enumerate() {
        for (unit, value) in row[..units].iter_mut().enumerate() {
            *value = element(unit, column);
        }
    }
    rows
}

/// Returns the right factor of the recurrent matrix divided by N, transposed: a row of [`padded`] units for each dimension.
pub(crate) fn projection_rows<'a, E: Element>(
    workspace: &'a Workspace<E>,
    sweep: &SweepSlices<'_, E>,
) -> Scratch<'a, E> {
    let Shape { units, rank, .. } = sweep.shape;
    let n = E::from_f64(units as f64);
    transposed_rows(workspace, units, rank, |unit, dimension| {
        sweep.operands.right[unit * rank + dimension] / n
    })
}

/// Copies padded rows to the places of a tile's first trials at time `t`, if they are recorded.
#[inline(always)]
pub(crate) fn write_rows<S: Simd>(
    to: &mut Rows<'_, S::Elem>,
    t: usize,
    rows: &[S::Elem],
    units: usize,
) {
    write_rows_of::<S>(to, t, rows, [padded(units), units]);
}

/// Copies the front of rows that are `stride` numbers apart to the places, `width` numbers each, of a tile's first trials at time `t`, if
/// they are recorded.
#[inline(always)]
fn write_rows_of<S: Simd>(
    to: &mut Rows<'_, S::Elem>,
    t: usize,
    rows: &[S::Elem],
    [stride, width]: [usize; 2],
) {
    let Some(to) = to else { return };
    let mut rows = rows.chunks_exact(stride);
    for chunk in to.at(t) {
        for (place, row) in chunk.chunks_exact_mut(width).zip(&mut rows) {
            copy_row::<S>(place, row);
        }
    }
}

/// Computes the [`dots`] of `n_rows` rows with a matrix, on top of `start`, at the places of a tile's first trials at time `t`, if they are
/// recorded: straight there, or by way of `copy` where the places are apart.
#[inline(always)]
pub(crate) fn write_dots<S: Simd>(
    to: &mut Rows<'_, S::Elem>,
    t: usize,
    copy: &mut [S::Elem],
    [matrix, start]: [&[S::Elem]; 2],
    rows: &[S::Elem],
    units: usize,
    n_rows: usize,
) {
    let Some(places) = to else { return };
    let is_whole = places.is_whole();
    let out = if is_whole {
        &mut *places.at(t)[0]
    } else {
        &mut *copy
    };
    dots::<S>(matrix, start, rows, units, out, n_rows);
    if !is_whole {
        let width = start.len();
        write_rows_of::<S>(to, t, &copy[..n_rows * width], [width; 2]);
    }
}

/// Copies the front of `from` over the whole of `to`, or `from` over the front of `to`: a call of the library's copy costs more than
/// the few vectors of a row.
#[inline(always)]
pub(crate) fn copy_row<S: Simd>(to: &mut [S::Elem], from: &[S::Elem]) {
    let len = to.len().min(from.len());
    let (to, from) = (&mut to[..len], &from[..len]);
    let mut at = 0;
    while at < len {
        S::load(from, at).store(to, at);
        at += S::LANES;
    }
}

/// Computes `sums += a b` for a padded row `sums`; `b` may end before its padding.
#[inline(always)]
pub(crate) fn add_products<S: Simd>(sums: &mut [S::Elem], a: &[S::Elem], b: &[S::Elem]) {
    let (sums, a) = (groups_mut(sums), groups(a));
    each_vector!(S, b.len().div_ceil(GROUP), |g, lane| {
        if g * GROUP + lane < b.len() {
            let factor = S::load(b, g * GROUP + lane);
            let sum = S::load(&a[g], lane).mul_add(factor, S::load(&sums[g], lane));
            sum.store(&mut sums[g], lane);
        }
    });
}

/// Computes `sums += others`.
#[inline(always)]
pub(crate) fn add<E: Element>(sums: &mut [E], others: &[E]) {
    for (sum, &other) in sums.iter_mut().zip(others) {
        *sum += other;
    }
}

/// Computes `noisy_rates = rates + sigma noise` for padded rows; the padding of the rates may be missing.
#[inline(always)]
pub(crate) fn add_noise<S: Simd>(
    noisy_rates: &mut [S::Elem],
    rates: &[S::Elem],
    sigma: S::Elem,
    noise: &[S::Elem],
) {
    let (noisy_rates, noise) = (groups_mut(noisy_rates), groups(noise));
    each_vector!(S, noisy_rates.len(), |g, lane| {
        if g * GROUP + lane < rates.len() {
            let rates = S::load(rates, g * GROUP + lane);
            let sum = S::splat(sigma).mul_add(S::load(&noise[g], lane), rates);
            sum.store(&mut noisy_rates[g], lane);
        }
    });
}
