//! Recurrent weights in bands: adjacent columns that take the same rows with the same delays.
//!
//! A product multiplies whole vectors of columns with rows of rates. With delays a column takes some of its rows from an
//! earlier time step, and which ones is decided by the connections. Adjacent columns for which the answer is the same form a
//! band, whose rows follow one another delay by delay; a band holds only rows that some connection of it needs. So delays
//! that follow areas cost no multiplication, and delays that follow no structure cost those of one matrix for each distinct
//! delay. Without delays there is one band of all columns.

use std::ops::Range;

use crate::delays::Delays;
use crate::simd::{Element, Packed, Product, Simd, Term};
use crate::workspace::{Scratch, Workspace};

/// Smallest number of rows that are left out between two parts of a band. At least [`Simd::ROWS`] of every path, so that the
/// rows of two parts do not meet where sums of weights round them up.
const GAP: usize = 8;

/// Side of the recurrent matrix that the columns of a product are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Columns {
    /// Postsynaptic units: the sweep forward.
    Post,
    /// Presynaptic units: the sweep backward.
    Pre,
}

/// Adjacent rows of a band that take the same delay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Place of the delay among the distinct ones.
    pub(crate) delay: usize,
    pub(crate) rows: Range<usize>,
}

/// Adjacent columns whose rows have the same parts.
pub(crate) struct Band<'a, E: Element> {
    pub(crate) columns: Range<usize>,
    pub(crate) parts: Vec<Part>,
    weights: Packed<'a, E>,
}

/// Recurrent weights above two other matrices, in bands of columns.
pub(crate) struct Bands<'a, E: Element>(Vec<Band<'a, E>>);

/// Operands of a product with [`Bands`].
pub(crate) struct BandProduct<'a, E: Element, R: Fn(usize) -> &'a [E]> {
    /// Rows of the units `stride` apart, by the place of their delay.
    pub(crate) rows: R,
    pub(crate) stride: usize,
    /// Factors of the other matrices.
    pub(crate) others: [Term<'a, E>; 2],
    pub(crate) start: &'a [E],
    /// Results, in rows `stride` apart.
    pub(crate) out: &'a mut [E],
    pub(crate) n_rows: usize,
}

impl<'a, E: Element> Bands<'a, E> {
    /// Packs the recurrent weights above two other matrices; `depths` are the numbers of rows, and `element(part, row, column)` is an
    /// entry of the recurrent weights for part 0 and of the other matrices for parts 1 and 2.
    #[inline(always)]
    pub(crate) fn new<S: Simd<Elem = E>>(
        workspace: &'a Workspace<E>,
        delays: Option<&Delays>,
        side: Columns,
        depths: [usize; 3],
        units: usize,
        element: impl Fn(usize, usize, usize) -> E,
    ) -> Self {
        let Some(delays) = delays else {
            return Self(vec![Band {
                columns: 0..units,
                parts: vec![Part {
                    delay: 0,
                    rows: 0..depths[0],
                }],
                weights: Packed::new::<S, 3>(workspace, depths, units, element),
            }]);
        };
        let number = |row: usize, column: usize| match side {
            Columns::Post => delays.number(column, row),
            Columns::Pre => delays.number(row, column),
        };
        let bands = split(units, S::LANES, delays.steps().len(), number);
        let packed = |(columns, parts): (Range<usize>, Vec<Part>)| {
            let first = columns.start;
            let mut rows = Vec::new();
            for part in &parts {
                rows.extend(part.rows.clone().map(|row| (row, part.delay)));
            }
            let entry = |part: usize, row: usize, column: usize| {
                if part > 0 {
                    return element(part, row, first + column);
                }
                let (row, delay) = rows[row];
                if number(row, first + column) == delay {
                    element(0, row, first + column)
                } else {
                    E::default()
                }
            };
            let depths = [rows.len(), depths[1], depths[2]];
            let weights = Packed::new::<S, 3>(workspace, depths, columns.len(), entry);
            Band {
                columns,
                parts,
                weights,
            }
        };
        Self(bands.into_iter().map(packed).collect())
    }

    /// Returns the bands.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Band<'a, E>> {
        self.0.iter()
    }

    /// Computes the products of all bands.
    #[inline(always)]
    pub(crate) fn product<'p, S: Simd<Elem = E>, R: Fn(usize) -> &'p [E]>(
        &self,
        product: BandProduct<'p, E, R>,
    ) {
        let BandProduct {
            rows,
            stride,
            others,
            start,
            out,
            n_rows,
        } = product;
        // Terms of no columns come last, where they are left out.
        let [first, second] = others;
        let used = if first.depth > 0 {
            others
        } else {
            [second, first]
        };
        let n_used = usize::from(first.depth > 0) + usize::from(second.depth > 0);
        for band in &self.0 {
            let term = |part: &Part| Term {
                rows: &rows(part.delay)[part.rows.start..],
                stride,
                depth: part.rows.len(),
            };
            let (several, few);
            let terms: &[Term<'p, E>] = if let [only] = &band.parts[..] {
                // Without delays nothing is allocated in a time step.
                few = [term(only), used[0], used[1]];
                &few[..=n_used]
            } else {
                let used = used[..n_used].iter().copied();
                several = band.parts.iter().map(term).chain(used).collect::<Vec<_>>();
                &several
            };
            S::outlined(Product {
                weights: &band.weights,
                start: &start[band.columns.start..],
                terms,
                out: &mut out[band.columns.start..],
                out_stride: stride,
                n_rows,
            });
        }
    }
}

/// Splits the columns of a square matrix into bands, whole vectors each.
fn split(
    units: usize,
    lanes: usize,
    n_delays: usize,
    number: impl Fn(usize, usize) -> usize,
) -> Vec<(Range<usize>, Vec<Part>)> {
    let mut bands: Vec<(Range<usize>, Vec<Part>)> = Vec::new();
    for first in (0..units).step_by(lanes) {
        let columns = first..units.min(first + lanes);
        let mut parts = Vec::new();
        for delay in 0..n_delays {
            let is_needed =
                |row: &usize| columns.clone().any(|column| number(*row, column) == delay);
            for row in (0..units).filter(is_needed) {
                match parts.last_mut() {
                    Some(Part { delay: last, rows }) if *last == delay && row < rows.end + GAP => {
                        rows.end = row + 1;
                    }
                    _ => parts.push(Part {
                        delay,
                        rows: row..row + 1,
                    }),
                }
            }
        }
        match bands.last_mut() {
            Some((before, same)) if *same == parts => before.end = columns.end,
            _ => bands.push((columns, parts)),
        }
    }
    bands
}

/// Rows of a tile at the time steps that delays reach.
pub(crate) struct Past<'a, E: Element> {
    rows: Scratch<'a, E>,
    /// Numbers of a time step.
    len: usize,
}

impl<'a, E: Element> Past<'a, E> {
    /// Returns zeros for as many time steps as the longest delay reaches within a sweep of `steps`, and one more.
    pub(crate) fn new(
        workspace: &'a Workspace<E>,
        delays: &Delays,
        steps: usize,
        len: usize,
    ) -> Self {
        let slots = delays.longest().min(steps) + 1;
        Self {
            rows: workspace.zeros(slots * len),
            len,
        }
    }

    fn place(&self, time: usize) -> Range<usize> {
        let slot = time % (self.rows.len() / self.len);
        slot * self.len..(slot + 1) * self.len
    }

    /// Returns the rows of a time step.
    pub(crate) fn at(&self, time: usize) -> &[E] {
        &self.rows[self.place(time)]
    }

    /// Keeps the rows of a time step in place of those that no delay reaches any more.
    pub(crate) fn set(&mut self, time: usize, rows: &[E]) {
        let place = self.place(time);
        self.rows[place].copy_from_slice(rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(delay: usize, rows: Range<usize>) -> Part {
        Part { delay, rows }
    }

    /// Two areas of 32 units, delayed between and not within: two bands, each with all rows once.
    #[test]
    fn delays_between_areas_cost_no_row() {
        let number = |row: usize, column: usize| usize::from((row < 32) != (column < 32));
        let found = split(64, 16, 2, number);
        let expected = [
            (0..32, vec![part(0, 0..32), part(1, 32..64)]),
            (32..64, vec![part(0, 32..64), part(1, 0..32)]),
        ];
        assert_eq!(found, expected);
    }

    /// Rows 0 and 9 have a gap of 8 between them, rows 9 and 17 one of 7.
    #[test]
    fn short_gaps_are_filled() {
        let number = |row: usize, _: usize| usize::from([0, 9, 17].contains(&row));
        let found = split(18, 16, 2, number);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, 0..18);
        let delayed: Vec<_> = found[0].1.iter().filter(|part| part.delay == 1).collect();
        assert_eq!(delayed, [&part(1, 0..1), &part(1, 9..18)]);
    }
}
