//! The three products of the sweeps. Each keeps a small block of sums in registers while it runs along the inner dimension.
//!
//! * [`Product`]: rows times packed weights, for the recurrence in both directions;
//! * [`Accumulate`]: transposed block times block, for weight gradients;
//! * [`dots`]: rows times the rows of a matrix with few rows, for the readout and the gradient of inputs.

use std::ops::Range;

use super::vector::{Element, GROUP, Job, Simd};
use crate::workspace::{Scratch, Workspace};

/// Returns `columns` rounded up to whole vectors of every path, plus a cache line, so that adjacent rows do not compete for the
/// same cache sets.
pub(crate) const fn padded(columns: usize) -> usize {
    columns.next_multiple_of(GROUP) + GROUP
}

/// Splits `vectors` into groups of at most [`Simd::VECTORS`], as even as possible: `(first, count)` of each.
fn groups<S: Simd>(vectors: usize) -> impl Iterator<Item = (usize, usize)> {
    let n = vectors.div_ceil(S::VECTORS);
    (0..n).map(move |g| {
        let first = g * vectors / n;
        (first, (g + 1) * vectors / n - first)
    })
}

/// Matrix `[depth, columns]` in the order in which [`Product`] reads it: group by group of columns, each group row by row, the last
/// vector padded with zeros.
pub(crate) struct Packed<'a, E: Element> {
    data: Scratch<'a, E>,
    depth: usize,
    vectors: usize,
}

impl<'a, E: Element> Packed<'a, E> {
    /// Packs the rows of several matrices, one below the other; `element(part, row, column)` is an entry of part `part`, which
    /// has `depths[part]` rows.
    #[inline(always)]
    pub(crate) fn new<S: Simd<Elem = E>, const PARTS: usize>(
        workspace: &'a Workspace<E>,
        depths: [usize; PARTS],
        columns: usize,
        element: impl Fn(usize, usize, usize) -> E,
    ) -> Self {
        let (depth, vectors) = (depths.iter().sum(), columns.div_ceil(S::LANES));
        let mut data = workspace.scratch(depth * vectors * S::LANES);
        for (first, count) in groups::<S>(vectors) {
            let width = count * S::LANES;
            let mut below = &mut data[first * S::LANES * depth..][..depth * width];
            for (part, part_depth) in depths.into_iter().enumerate() {
                let rows;
                (rows, below) = std::mem::take(&mut below).split_at_mut(part_depth * width);
                for lane in 0..width {
                    let column = first * S::LANES + lane;
                    for (row, values) in rows.chunks_exact_mut(width).enumerate() {
                        values[lane] = if column < columns {
                            element(part, row, column)
                        } else {
                            E::default()
                        };
                    }
                }
            }
        }
        Self {
            data,
            depth,
            vectors,
        }
    }
}

/// One factor of a [`Product`]: row `m` is `rows[m * stride..][..depth]`.
#[derive(Clone, Copy)]
pub(crate) struct Term<'a, E> {
    pub(crate) rows: &'a [E],
    pub(crate) stride: usize,
    pub(crate) depth: usize,
}

impl<'a, E> Term<'a, E> {
    /// A term of no columns, which adds nothing.
    pub(crate) const NONE: Self = Self {
        rows: &[],
        stride: 0,
        depth: 0,
    };

    /// Returns a term of rows of `width` numbers that follow one another.
    pub(crate) const fn new(rows: &'a [E], width: usize) -> Self {
        Self {
            rows,
            stride: width,
            depth: width,
        }
    }
}

/// Product `out[m] = start + sum over the terms of (row m of the term) * (its part of the weights)` for `n_rows` rows.
///
/// The terms lie one below the other in `weights`, from the top; last terms may be left out. `start` and the rows of `out`
/// hold whole vectors.
pub(crate) struct Product<'a, E: Element> {
    pub(crate) weights: &'a Packed<'a, E>,
    pub(crate) start: &'a [E],
    pub(crate) terms: &'a [Term<'a, E>],
    pub(crate) out: &'a mut [E],
    pub(crate) out_stride: usize,
    pub(crate) n_rows: usize,
}

impl<E: Element> Product<'_, E> {
    /// Asserts that every row of the terms, of `start` and of `out` that the product reaches exists.
    #[inline(always)]
    fn assert_extents(&self, lanes: usize) {
        assert!(self.n_rows > 0);
        let (width, before_last) = (self.weights.vectors * lanes, self.n_rows - 1);
        let depth: usize = self.terms.iter().map(|term| term.depth).sum();
        assert!(self.start.len() >= width && depth <= self.weights.depth);
        assert!(self.out_stride >= width);
        assert!(self.out.len() >= before_last * self.out_stride + width);
        for term in self.terms {
            let len = before_last * term.stride + term.depth;
            assert!(term.depth == 0 || term.rows.len() >= len);
        }
    }
}

impl<E: Element> Job<E> for Product<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = E>>(self) {
        self.assert_extents(S::LANES);
        let Self {
            weights,
            start,
            terms,
            out,
            out_stride,
            n_rows,
        } = self;
        for (first, count) in groups::<S>(weights.vectors) {
            let column = first * S::LANES;
            let panel = &weights.data[column * weights.depth..];
            let panel = &panel[..count * S::LANES * weights.depth];
            for row in (0..n_rows).step_by(S::ROWS) {
                let tile = ProductTile {
                    panel: panel.as_ptr(),
                    start: start[column..].as_ptr(),
                    terms,
                    first_row: row,
                    out: out[row * out_stride + column..].as_mut_ptr(),
                    out_stride,
                    rows: S::ROWS.min(n_rows - row),
                };
                // SAFETY: the asserted extents cover every row of the terms, of `start` and of `out` that the tile reaches, and
                // the panel holds `count` vectors for each step of the depth.
                unsafe { tile.run::<S>(count) }
            }
        }
    }
}

/// Part of a [`Product`] that is summed in registers.
struct ProductTile<'a, E> {
    panel: *const E,
    start: *const E,
    terms: &'a [Term<'a, E>],
    first_row: usize,
    out: *mut E,
    out_stride: usize,
    rows: usize,
}

impl<E: Element> ProductTile<'_, E> {
    /// # Safety
    /// As [`ProductTile::sum`], with `V = vectors`.
    #[inline(always)]
    unsafe fn run<S: Simd<Elem = E>>(&self, vectors: usize) {
        // SAFETY: the caller guarantees what the callees need.
        unsafe {
            // Half as many rows where that is enough: the last of a tile, and trials that go on when others have ended.
            match (S::ROWS, 2 * self.rows > S::ROWS, vectors) {
                (8, true, 3) => self.sum::<S, 8, 3>(),
                (8, true, 2) => self.sum::<S, 8, 2>(),
                (8, true, _) => self.sum::<S, 8, 1>(),
                (8, false, 3) | (4, true, 3) => self.sum::<S, 4, 3>(),
                (8, false, 2) | (4, true, 2) => self.sum::<S, 4, 2>(),
                (8, false, _) | (4, true, _) => self.sum::<S, 4, 1>(),
                (_, _, 3) => self.sum::<S, 2, 3>(),
                (_, _, 2) => self.sum::<S, 2, 2>(),
                (_, _, _) => self.sum::<S, 2, 1>(),
            }
        }
    }

    /// Sums `R` rows by `V` vectors. Rows beyond `self.rows` repeat the last one and are not written.
    ///
    /// # Safety
    /// Readable: `V` vectors at `start`, `V` vectors for each step of the terms' depths at `panel`, and in the terms the rows
    /// `first_row..first_row + rows`. Writable: `V` vectors in each of `rows` rows at `out`. `1 <= rows <= R`.
    #[inline(always)]
    unsafe fn sum<S: Simd<Elem = E>, const R: usize, const V: usize>(&self) {
        // SAFETY: every access below is within the bounds that the caller guarantees.
        unsafe {
            let mut sums = [load_vectors::<S, V>(self.start, S::LANES); R];
            let mut panel = self.panel;
            for term in self.terms {
                let mut rows = [term.rows.as_ptr(); R];
                for (m, row) in rows.iter_mut().enumerate() {
                    *row = row.add((self.first_row + m.min(self.rows - 1)) * term.stride);
                }
                sums = Self::along::<S, R, V>(sums, rows, term.depth, panel);
                panel = panel.add(term.depth * V * S::LANES);
            }
            for (m, row) in sums.iter().enumerate().take(self.rows) {
                for (v, sum) in row.iter().enumerate() {
                    sum.store_to(self.out.add(m * self.out_stride + v * S::LANES));
                }
            }
        }
    }

    /// Runs the inner loop. The sums are passed by value: behind a reference they would be stored at every step.
    ///
    /// # Safety
    /// Readable: `depth` numbers at each of `rows`, `depth * V` vectors at `panel`.
    #[inline(always)]
    unsafe fn along<S: Simd<Elem = E>, const R: usize, const V: usize>(
        mut sums: [[S; V]; R],
        rows: [*const E; R],
        depth: usize,
        mut panel: *const E,
    ) -> [[S; V]; R] {
        if S::FOUR_BY_THREE && R == 4 && V == 3 {
            // SAFETY: the sizes are the same; the rows and the panel are as long as the caller guarantees.
            return unsafe {
                let w = [0, 1, 2].map(|v| panel.add(v * S::LANES));
                let sums = S::four_by_three(
                    same(sums),
                    (same(rows), size_of::<E>()),
                    (w, V * S::LANES * size_of::<E>()),
                    depth,
                );
                same(sums)
            };
        }
        for k in 0..depth {
            // SAFETY: `k < depth`.
            unsafe {
                let w = load_vectors::<S, V>(panel, S::LANES);
                for (sums, row) in sums.iter_mut().zip(rows) {
                    let x = S::splat(*row.add(k));
                    for (sum, w) in sums.iter_mut().zip(w) {
                        *sum = x.mul_add(w, *sum);
                    }
                }
                panel = panel.add(V * S::LANES);
            }
        }
        sums
    }
}

/// Reads `V` vectors, each `step` numbers after the one before.
///
/// # Safety
/// Readable: a vector at each of these places.
#[inline(always)]
unsafe fn load_vectors<S: Simd, const V: usize>(from: *const S::Elem, step: usize) -> [S; V] {
    let mut vectors = [S::splat(S::Elem::default()); V];
    for (v, vector) in vectors.iter_mut().enumerate() {
        // SAFETY: the caller guarantees it.
        *vector = unsafe { S::load_from(from.add(v * step)) };
    }
    vectors
}

/// Reinterprets a value as a type that is the same one once the const sizes are known.
///
/// # Safety
/// `A` and `B` must be the same type.
#[inline(always)]
unsafe fn same<A: Copy, B: Copy>(value: A) -> B {
    debug_assert_eq!(size_of::<A>(), size_of::<B>());
    // SAFETY: the caller guarantees it.
    unsafe { std::mem::transmute_copy(&value) }
}

/// Rows in strips of `width` columns: all rows of the first strip, then all rows of the next.
///
/// With a vector as width, a column of vectors is contiguous, which suits both sides of [`Accumulate`]; with one strip, it is a
/// plain matrix.
pub(crate) struct Block<'a, E: Element> {
    data: Scratch<'a, E>,
    width: usize,
    rows: usize,
}

impl<'a, E: Element> Block<'a, E> {
    /// Returns a block in strips of one vector; a row is any numbers until it is set.
    pub(crate) fn strips<S: Simd<Elem = E>>(
        workspace: &'a Workspace<E>,
        rows: usize,
        columns: usize,
    ) -> Self {
        // One row more, so that the strips of a power of two of rows do not compete for the same cache sets.
        let rows = rows + 1;
        Self {
            data: workspace.scratch(rows * columns.next_multiple_of(S::LANES)),
            width: S::LANES,
            rows,
        }
    }

    /// Returns a block of zeros in one strip.
    pub(crate) fn matrix<S: Simd<Elem = E>>(
        workspace: &'a Workspace<E>,
        rows: usize,
        columns: usize,
    ) -> Self {
        let width = columns.next_multiple_of(S::ROWS);
        Self {
            data: workspace.zeros(rows * width),
            width,
            rows,
        }
    }

    /// Returns one row of a strip.
    #[inline(always)]
    pub(crate) fn row_mut(&mut self, strip: usize, row: usize) -> &mut [E] {
        &mut self.data[(strip * self.rows + row) * self.width..][..self.width]
    }

    /// Copies the vectors of a row into its strips.
    #[inline(always)]
    pub(crate) fn set_row<S: Simd<Elem = E>>(&mut self, row: usize, values: &[E]) {
        let (strip, data) = (self.rows * self.width, &mut *self.data);
        let (mut at, mut place) = (0, row * self.width);
        while at < values.len() {
            S::load(values, at).store(data, place);
            at += S::LANES;
            place += strip;
        }
    }

    /// Copies rows of `columns` numbers to the front of the rows from `first` on.
    #[inline(always)]
    pub(crate) fn set_rows(&mut self, first: usize, values: &[E], columns: usize) {
        if columns == 0 {
            return;
        }
        let places = self.data[first * self.width..].chunks_exact_mut(self.width);
        for (place, values) in places.zip(values.chunks_exact(columns)) {
            for (place, value) in place.iter_mut().zip(values) {
                *place = *value;
            }
        }
    }

    /// Copies padded rows of `units` numbers into the rows from `first` on, as [`Block::set_row`] does.
    #[inline(always)]
    pub(crate) fn set_padded_rows<S: Simd<Elem = E>>(
        &mut self,
        first: usize,
        rows: &[E],
        units: usize,
    ) {
        for (m, row) in rows.chunks_exact(padded(units)).enumerate() {
            self.set_row::<S>(first + m, &row[..units]);
        }
    }

    /// Returns the number of vectors of a row, in strips of one vector.
    #[inline(always)]
    fn vectors<S: Simd<Elem = E>>(&self) -> usize {
        self.data.len() / (self.rows * S::LANES)
    }

    /// Returns the offset of the first row of a column.
    const fn offset(&self, column: usize) -> usize {
        column / self.width * self.rows * self.width + column % self.width
    }
}

/// Accumulation `sums[m, :] += sum over k of a[k, m] * b[first + k, :]` for `m < columns` and `k < rows`.
///
/// `b` has strips of one vector; `sums` has rows of `stride` numbers, `columns` of them rounded up to a multiple of
/// [`Simd::ROWS`].
pub(crate) struct Accumulate<'a, E: Element> {
    pub(crate) sums: &'a mut [E],
    pub(crate) stride: usize,
    pub(crate) a: &'a Block<'a, E>,
    pub(crate) columns: usize,
    pub(crate) b: &'a Block<'a, E>,
    pub(crate) first: usize,
    pub(crate) rows: usize,
}

impl<E: Element> Job<E> for Accumulate<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = E>>(self) {
        let part = AccumulatePart {
            first_column: 0,
            b_columns: 0..self.b.vectors::<S>() * S::LANES,
            whole: self,
        };
        part.run::<S>();
    }
}

/// Some columns of `a` and of `b` in an [`Accumulate`]: those of `a` from `first_column` to its end, rounded down to a multiple of
/// [`Simd::ROWS`], and whole vectors of `b`.
pub(crate) struct AccumulatePart<'a, E: Element> {
    pub(crate) whole: Accumulate<'a, E>,
    pub(crate) first_column: usize,
    pub(crate) b_columns: Range<usize>,
}

impl<E: Element> AccumulatePart<'_, E> {
    /// Asserts that the rows and columns of `a` and `b` exist, in strips of the right widths, and a row of `sums` for each column of
    /// `a`.
    #[inline(always)]
    fn assert_extents<S: Simd<Elem = E>>(&self) {
        let whole = &self.whole;
        let (a, b, vectors) = (whole.a, whole.b, whole.b.vectors::<S>());
        assert!(b.width == S::LANES && a.width.is_multiple_of(S::ROWS));
        assert!(self.b_columns.end <= vectors * S::LANES);
        assert!(whole.rows <= a.rows && whole.first + whole.rows <= b.rows);
        assert!(a.data.len() >= whole.columns.next_multiple_of(a.width) * a.rows);
        assert!(whole.sums.len() >= whole.columns.next_multiple_of(S::ROWS) * whole.stride);
        assert!(whole.stride >= vectors * S::LANES);
    }
}

impl<E: Element> Job<E> for AccumulatePart<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = E>>(self) {
        if self.whole.columns == 0 {
            return;
        }
        self.assert_extents::<S>();
        let Accumulate {
            sums,
            stride,
            a,
            columns,
            b,
            first,
            rows,
        } = self.whole;
        let first_column = self.first_column / S::ROWS * S::ROWS;
        let strips = self.b_columns.start / S::LANES..self.b_columns.end.div_ceil(S::LANES);
        for (strip, count) in groups::<S>(strips.len()) {
            let strip = strips.start + strip;
            let mut m = first_column;
            while m < columns {
                let tile = AccumulateTile {
                    a: a.data[a.offset(m)..].as_ptr(),
                    a_stride: a.width,
                    b: b.data[(strip * b.rows + first) * S::LANES..].as_ptr(),
                    b_strip: b.rows * S::LANES,
                    rows,
                    sums: sums[m * stride + strip * S::LANES..].as_mut_ptr(),
                    stride,
                };
                // SAFETY: `rows` rows of `a` and `b` exist from the given ones on; `m` and the strips of `a` are multiples of
                // the columns taken at once, so these lie in one strip; and `sums` has a row for each of them.
                m += unsafe { tile.run::<S>(columns - m > S::ROWS / 2, count) };
            }
        }
    }
}

/// Part of an [`Accumulate`] that is summed in registers.
struct AccumulateTile<E> {
    a: *const E,
    a_stride: usize,
    b: *const E,
    b_strip: usize,
    rows: usize,
    sums: *mut E,
    stride: usize,
}

impl<E: Element> AccumulateTile<E> {
    /// Sums `S::ROWS` columns of `a` (`full`) or half as many, and returns how many.
    ///
    /// # Safety
    /// As [`AccumulateTile::sum`], with `V = vectors`.
    #[inline(always)]
    unsafe fn run<S: Simd<Elem = E>>(&self, full: bool, vectors: usize) -> usize {
        // SAFETY: the caller guarantees what the callees need.
        unsafe {
            match (S::ROWS, full) {
                (8, true) => self.vectors::<S, 8>(vectors),
                (8, false) | (4, true) => self.vectors::<S, 4>(vectors),
                (4, false) | (2, true) => self.vectors::<S, 2>(vectors),
                _ => self.vectors::<S, 1>(vectors),
            }
        }
    }

    /// # Safety
    /// As [`AccumulateTile::sum`], with `V = vectors`.
    #[inline(always)]
    unsafe fn vectors<S: Simd<Elem = E>, const R: usize>(&self, vectors: usize) -> usize {
        // SAFETY: the caller guarantees what the callees need.
        unsafe {
            match vectors {
                3 => self.sum::<S, R, 3>(),
                2 => self.sum::<S, R, 2>(),
                _ => self.sum::<S, R, 1>(),
            }
        }
        R
    }

    /// # Safety
    /// Readable: `R` numbers in each of `rows` rows at `a`, a vector in each of `rows` rows of `V` strips at `b`. Writable: `V`
    /// vectors in each of `R` rows at `sums`.
    #[inline(always)]
    unsafe fn sum<S: Simd<Elem = E>, const R: usize, const V: usize>(&self) {
        // SAFETY: every access below is within the bounds that the caller guarantees.
        unsafe {
            let mut sums = [[S::splat(E::default()); V]; R];
            let (mut a, mut b) = (self.a, self.b);
            let mut rows = self.rows;
            if S::FOUR_BY_THREE && R == 4 && V == 3 {
                let x = [0, 1, 2, 3].map(|m| a.add(m));
                let w = [0, 1, 2].map(|v| b.add(v * self.b_strip));
                let (x_step, w_step) = (self.a_stride * size_of::<E>(), S::LANES * size_of::<E>());
                sums = same(S::four_by_three(same(sums), (x, x_step), (w, w_step), rows));
                rows = 0;
            }
            for _ in 0..rows {
                let y = load_vectors::<S, V>(b, self.b_strip);
                for (m, sums) in sums.iter_mut().enumerate() {
                    let x = S::splat(*a.add(m));
                    for (sum, y) in sums.iter_mut().zip(y) {
                        *sum = x.mul_add(y, *sum);
                    }
                }
                a = a.add(self.a_stride);
                b = b.add(S::LANES);
            }
            for (m, row) in sums.iter().enumerate() {
                for (v, sum) in row.iter().enumerate() {
                    let to = self.sums.add(m * self.stride + v * S::LANES);
                    (S::load_from(to) + *sum).store_to(to);
                }
            }
        }
    }
}

/// Computes `out[m * n + o] = start[o] + (row m of rows) . (row o of matrix)` for `n_rows` rows, where `n = start.len()`.
///
/// Both have [`padded`] rows of `units` numbers.
#[inline(always)]
pub(crate) fn dots<S: Simd>(
    matrix: &[S::Elem],
    start: &[S::Elem],
    rows: &[S::Elem],
    units: usize,
    out: &mut [S::Elem],
    n_rows: usize,
) {
    let n = start.len();
    let (width, stride) = (units.next_multiple_of(S::LANES), padded(units));
    assert!(rows.len() >= n_rows * stride && matrix.len() >= n * stride);
    assert!(out.len() >= n_rows * n);
    for m in (0..n_rows).step_by(4) {
        for o in (0..n).step_by(2) {
            let (r, q) = ((n_rows - m).min(4), (n - o).min(2));
            // SAFETY: rows `m..m + r` of `rows` and `o..o + q` of `matrix` exist, each of `width` numbers.
            let sums = unsafe {
                dot_tile::<S>(
                    rows[m * stride..].as_ptr(),
                    matrix[o * stride..].as_ptr(),
                    [width, stride],
                    [r, q],
                )
            };
            for i in 0..r {
                for j in 0..q {
                    out[(m + i) * n + o + j] = start[o + j] + sums[i][j].sum();
                }
            }
        }
    }
}

/// Returns the dot products of `r <= 4` rows with `q <= 2` rows, before the lanes are summed; further rows repeat the last.
///
/// # Safety
/// `r` rows at `rows` and `q` rows at `matrix` are readable, each of `width` numbers, `stride` apart.
#[inline(always)]
unsafe fn dot_tile<S: Simd>(
    rows: *const S::Elem,
    matrix: *const S::Elem,
    [width, stride]: [usize; 2],
    [r, q]: [usize; 2],
) -> [[S; 2]; 4] {
    let mut sums = [[S::splat(S::Elem::default()); 2]; 4];
    let mut at = 0;
    while at < width {
        // SAFETY: `at` and the vector after it lie within a row.
        unsafe {
            let w = [0, 1].map(|j: usize| S::load_from(matrix.add(j.min(q - 1) * stride + at)));
            for (i, sums) in sums.iter_mut().enumerate() {
                let x = S::load_from(rows.add(i.min(r - 1) * stride + at));
                *sums = [x.mul_add(w[0], sums[0]), x.mul_add(w[1], sums[1])];
            }
        }
        at += S::LANES;
    }
    sums
}
