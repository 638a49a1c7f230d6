//! Matrix products of all rates of a trajectory: their second moments, and the quadratic forms of each time step.
//!
//! Rates are rows of N numbers, one for each time step of each trial. They are split into chunks by their number alone, and sums over
//! chunks are added in their order: results are the same to the bit for any number of threads.

use super::tile::for_each;
use crate::operands::assert_len;
use crate::simd::{Accumulate, Block, Element, Job, Packed, Product, Simd, Term, padded};
use crate::workspace::{Scratch, Workspace};

/// Rows that a thread takes at once.
const CHUNK: usize = 1024;
/// Rows that a product takes at once; they stay in a near cache.
const BLOCK: usize = 64;

/// Implements [`second_moments`](crate::second_moments) for every path.
pub(crate) fn second_moments<E: Element>(
    rates: &[E],
    mean: &[E],
    weights: &[E],
    workspace: &Workspace<E>,
) -> Vec<E> {
    let units = mean.len();
    assert_len("rates", rates, weights.len() * units);
    let chunks = rates.chunks(CHUNK * units).zip(weights.chunks(CHUNK));
    let jobs = chunks.map(|(rates, weights)| MomentsOfChunk {
        rates,
        mean,
        weights,
        workspace,
    });
    let of_chunks = for_each(jobs.collect(), |job: MomentsOfChunk<'_, E>| {
        E::dispatch(workspace.path(), job)
    });
    let mut total = vec![E::default(); units * units];
    for sums in &of_chunks {
        let rows = sums.chunks_exact(padded(units));
        for (to, row) in total.chunks_exact_mut(units).zip(rows) {
            for (to, &sum) in to.iter_mut().zip(row) {
                *to += sum;
            }
        }
    }
    total
}

/// Second moments of some rows.
struct MomentsOfChunk<'a, E: Element> {
    rates: &'a [E],
    mean: &'a [E],
    weights: &'a [E],
    workspace: &'a Workspace<E>,
}

impl<'a, E: Element> Job<E> for MomentsOfChunk<'a, E> {
    /// Padded rows.
    type Output = Scratch<'a, E>;

    #[inline(always)]
    fn run<S: Simd<Elem = E>>(self) -> Scratch<'a, E> {
        let (units, stride) = (self.mean.len(), padded(self.mean.len()));
        // Accumulate writes eight rows at once.
        let mut sums = self.workspace.zeros(units.next_multiple_of(8) * stride);
        let mut deviation = self.workspace.zeros(stride);
        let mut weighted = self.workspace.zeros(stride);
        let mut a = Block::strips::<S>(self.workspace, BLOCK, units);
        let mut b = Block::strips::<S>(self.workspace, BLOCK, units);
        for first in (0..self.weights.len()).step_by(BLOCK) {
            let rows = BLOCK.min(self.weights.len() - first);
            for m in 0..rows {
                let rates = &self.rates[(first + m) * units..][..units];
                let weight = S::splat(self.weights[first + m]);
                let mut at = 0;
                while at < units {
                    let d = S::load(rates, at) - S::load(self.mean, at);
                    d.store(&mut deviation, at);
                    (d * weight).store(&mut weighted, at);
                    at += S::LANES;
                }
                a.set_row::<S>(m, &weighted[..units]);
                b.set_row::<S>(m, &deviation[..units]);
            }
            S::outlined(Accumulate {
                sums: &mut sums,
                stride,
                a: &a,
                columns: units,
                b: &b,
                first: 0,
                rows,
            });
        }
        sums
    }
}

/// Implements [`second_moment_slopes`](crate::second_moment_slopes) for every path.
pub(crate) fn second_moment_slopes<E: Element>(
    rates: &[E],
    mean: &[E],
    weights: &[E],
    of_moments: &[E],
    workspace: &Workspace<E>,
) -> Vec<E> {
    let units = mean.len();
    assert_len("rates", rates, weights.len() * units);
    assert_len("gradient of the moments", of_moments, units * units);
    let entry = |row: usize, column: usize| {
        of_moments[row * units + column] + of_moments[column * units + row]
    };
    let factor = Factor::new(units, workspace, entry);
    let mut start = workspace.zeros(padded(units));
    for (row, &mean) in mean.iter().enumerate() {
        for (column, start) in start[..units].iter_mut().enumerate() {
            *start += -(mean * entry(row, column));
        }
    }
    let mut slopes = vec![E::default(); rates.len()];
    let chunks = rates.chunks(CHUNK * units).zip(weights.chunks(CHUNK));
    let places = slopes.chunks_mut(CHUNK * units);
    let jobs = chunks
        .zip(places)
        .map(|((rates, weights), to)| ProductOfChunk {
            factor: &factor,
            start: &start,
            rates,
            to: Wanted::Scaled(weights, to),
            workspace,
        });
    for_each(jobs.collect(), |job: ProductOfChunk<'_, E>| {
        E::dispatch(workspace.path(), job);
    });
    slopes
}

/// Implements [`quadratic_forms`](crate::quadratic_forms) for every path.
pub(crate) fn quadratic_forms<E: Element>(
    rates: &[E],
    matrix: &[E],
    units: usize,
    workspace: &Workspace<E>,
) -> Vec<E> {
    assert_len("matrix", matrix, units * units);
    let factor = Factor::new(units, workspace, |row, column| matrix[column * units + row]);
    let start = workspace.zeros(padded(units));
    let mut forms = vec![E::default(); rates.len() / units];
    let chunks = rates.chunks(CHUNK * units).zip(forms.chunks_mut(CHUNK));
    let jobs = chunks.map(|(rates, to)| ProductOfChunk {
        factor: &factor,
        start: &start,
        rates,
        to: Wanted::Forms(to),
        workspace,
    });
    for_each(jobs.collect(), |job: ProductOfChunk<'_, E>| {
        E::dispatch(workspace.path(), job);
    });
    forms
}

/// Square matrix that rows are multiplied with.
struct Factor<'a, E: Element> {
    packed: Packed<'a, E>,
    units: usize,
}

impl<'a, E: Element> Factor<'a, E> {
    fn new(units: usize, workspace: &'a Workspace<E>, entry: impl Fn(usize, usize) -> E) -> Self {
        let pack = Pack {
            units,
            workspace,
            entry,
        };
        Self {
            packed: E::dispatch(workspace.path(), pack),
            units,
        }
    }
}

struct Pack<'a, E: Element, F> {
    units: usize,
    workspace: &'a Workspace<E>,
    entry: F,
}

impl<'a, E: Element, F: Fn(usize, usize) -> E> Job<E> for Pack<'a, E, F> {
    type Output = Packed<'a, E>;

    #[inline(always)]
    fn run<S: Simd<Elem = E>>(self) -> Packed<'a, E> {
        let entry = self.entry;
        Packed::new::<S, 1>(
            self.workspace,
            [self.units],
            self.units,
            |_, row, column| entry(row, column),
        )
    }
}

/// Results of the product of some rows with a matrix.
enum Wanted<'a, E> {
    /// The product, each row times a weight.
    Scaled(&'a [E], &'a mut [E]),
    /// The dot product of each row with its product.
    Forms(&'a mut [E]),
}

/// Product of some rows with a matrix, on top of `start`.
struct ProductOfChunk<'a, E: Element> {
    factor: &'a Factor<'a, E>,
    start: &'a [E],
    rates: &'a [E],
    to: Wanted<'a, E>,
    workspace: &'a Workspace<E>,
}

impl<E: Element> Job<E> for ProductOfChunk<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = E>>(mut self) {
        let (units, stride) = (self.factor.units, padded(self.factor.units));
        let all_rows = self.rates.len() / units;
        let mut products = self.workspace.zeros(BLOCK * stride);
        for first in (0..all_rows).step_by(BLOCK) {
            let rows = BLOCK.min(all_rows - first);
            let rates = &self.rates[first * units..][..rows * units];
            S::outlined(Product {
                weights: &self.factor.packed,
                start: self.start,
                terms: &[Term::new(rates, units)],
                out: &mut products,
                out_stride: stride,
                n_rows: rows,
            });
            for m in 0..rows {
                let product = &products[m * stride..][..units];
                match &mut self.to {
                    Wanted::Scaled(weights, to) => {
                        let to = &mut to[(first + m) * units..][..units];
                        write_scaled::<S>(to, product, weights[first + m]);
                    }
                    Wanted::Forms(to) => {
                        to[first + m] = dot::<S>(&rates[m * units..][..units], product);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn write_scaled<S: Simd>(to: &mut [S::Elem], from: &[S::Elem], factor: S::Elem) {
    let factor = S::splat(factor);
    let mut at = 0;
    while at < to.len() {
        (S::load(from, at) * factor).store(to, at);
        at += S::LANES;
    }
}

#[inline(always)]
fn dot<S: Simd>(a: &[S::Elem], b: &[S::Elem]) -> S::Elem {
    let mut sum = S::splat(S::Elem::default());
    let mut at = 0;
    while at < a.len() {
        sum = S::load(a, at).mul_add(S::load(b, at), sum);
        at += S::LANES;
    }
    sum.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instruction_set::KernelPath;

    /// Numbers by formula, so that no two agree.
    fn numbers(len: usize, phase: f64) -> Vec<f64> {
        (0..len).map(|k| (1.7 * k as f64 + phase).sin()).collect()
    }

    fn assert_near(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-10, "{found} {expected}");
        }
    }

    /// Fewer rows and units than a block and a vector, one more than a chunk and several vectors.
    #[test]
    fn products_are_those_of_plain_loops_on_any_number_of_threads() {
        for (rows, n) in [(1, 1), (70, 17), (CHUNK + 1, 33)] {
            let (rates, mean) = (numbers(rows * n, 0.1), numbers(n, 0.2));
            let (weights, matrix) = (numbers(rows, 0.3), numbers(n * n, 0.4));
            let (mut moments, mut slopes, mut forms) = (vec![0.0; n * n], Vec::new(), Vec::new());
            for (r, w) in rates.chunks(n).zip(&weights) {
                let d: Vec<f64> = r.iter().zip(&mean).map(|(r, m)| r - m).collect();
                let row =
                    |i: usize, x: &[f64]| (0..n).map(|k| matrix[i * n + k] * x[k]).sum::<f64>();
                let column = |i: usize| (0..n).map(|k| matrix[k * n + i] * d[k]).sum::<f64>();
                forms.push((0..n).map(|i| r[i] * row(i, r)).sum::<f64>());
                slopes.extend((0..n).map(|i| w * (row(i, &d) + column(i))));
                for k in 0..n * n {
                    moments[k] += w * d[k / n] * d[k % n];
                }
            }
            for path in KernelPath::available() {
                let workspace = Workspace::new(path);
                let found = || {
                    [
                        second_moments(&rates, &mean, &weights, &workspace),
                        second_moment_slopes(&rates, &mean, &weights, &matrix, &workspace),
                        quadratic_forms(&rates, &matrix, n, &workspace),
                    ]
                };
                let on = |threads: usize| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
                    pool.build().unwrap().install(found)
                };
                let alone = on(1);
                for (found, expected) in alone.iter().zip([&moments, &slopes, &forms]) {
                    assert_near(found, expected);
                }
                assert!([2, 3].into_iter().all(|threads| on(threads) == alone));
            }
        }
    }
}
