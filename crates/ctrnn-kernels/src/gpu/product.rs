//! Matrix products with arbitrary strides, in `f32` on every device, with sums of fixed order.
//!
//! Readouts, projections and weight gradients are all `C = A B`. A weight gradient has a small `C` and a sum over all trials and
//! time steps: that sum is cut into chunks that are computed side by side and added in their order.

use cubecl::prelude::*;
use cubecl::server::Handle;

use super::launches::count;
use super::tile::elementwise;

/// Rows and columns of `C` per cube.
const EDGE: usize = 64;
/// Terms of the sum that are staged in shared memory at once.
const DEPTH: usize = 16;
/// Threads along each side of a cube; a thread computes 4 x 4 numbers.
const SIDE: usize = 16;
/// Length of a row of shared memory: one longer than its content, so that threads of a group access different banks.
const STRIDE: usize = EDGE + 1;
/// Number of cubes that keeps a large device busy.
const MANY_CUBES: usize = 264;
/// Smallest length of a chunk; shorter ones are not worth adding up.
const LEAST_CHUNK: usize = 128;

/// Matrix `[row, column]` in a buffer.
#[derive(Clone, Debug)]
pub(super) struct Operand<'a> {
    handle: &'a Handle,
    /// Length of the buffer.
    len: usize,
    offset: usize,
    by_row: usize,
    by_column: usize,
}

impl<'a> Operand<'a> {
    /// Describes a matrix that is stored row by row.
    pub(super) const fn new(handle: &'a Handle, rows: usize, columns: usize) -> Self {
        Self {
            handle,
            len: rows * columns,
            offset: 0,
            by_row: columns,
            by_column: 1,
        }
    }

    /// Returns the rows from `first` on.
    pub(super) const fn rows_from(mut self, first: usize) -> Self {
        self.offset = first * self.by_row;
        self
    }

    /// Returns the transposed matrix.
    pub(super) const fn transposed(mut self) -> Self {
        (self.by_row, self.by_column) = (self.by_column, self.by_row);
        self
    }

    fn array<R: Runtime>(&self) -> ArrayArg<R> {
        // SAFETY: the length is that of the buffer.
        unsafe { ArrayArg::from_raw_parts(self.handle.clone(), self.len) }
    }

    fn layout<R: Runtime>(&self, rows: usize) -> LayoutLaunch<R> {
        LayoutLaunch::new(
            self.offset as u32,
            self.by_row as u32,
            self.by_column as u32,
            rows as u32,
        )
    }
}

/// Layout of a matrix in its buffer.
#[derive(CubeType, CubeLaunch)]
struct Layout {
    offset: u32,
    by_row: u32,
    by_column: u32,
    /// Number of rows.
    rows: u32,
}

#[cube]
impl Layout {
    /// Returns the index of an entry.
    fn at(&self, row: usize, column: usize) -> usize {
        self.offset as usize + row * self.by_row as usize + column * self.by_column as usize
    }
}

/// Lengths of the sums of a product, and of the chunks into which they are cut.
#[derive(CubeType, CubeLaunch)]
struct Extents {
    depth: u32,
    chunk: u32,
}

/// Properties that a product is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Kind {
    /// True if adjacent numbers of a factor lie along the sum.
    a_along_depth: bool,
    b_along_depth: bool,
    has_bias: bool,
}

/// Computes 64 x 64 numbers of `C` in each cube, for a chunk of the sum; the rows of `b` are the columns of the second factor.
#[cube(launch_unchecked)]
fn tile_product(
    a: &Array<f32>,
    b: &Array<f32>,
    bias: &Array<f32>,
    c: &mut Array<f32>,
    extents: &Extents,
    a_layout: &Layout,
    b_layout: &Layout,
    #[comptime] kind: Kind,
) {
    let mut left = SharedMemory::<f32>::new(comptime![DEPTH * STRIDE]);
    let mut right = SharedMemory::<f32>::new(comptime![DEPTH * STRIDE]);
    let mut sums = Array::<f32>::new(16usize);
    #[unroll]
    for s in 0..16usize {
        sums[s] = 0.0f32;
    }
    let m = a_layout.rows as usize;
    let p = b_layout.rows as usize;
    let thread = UNIT_POS as usize;
    let x = thread % comptime![SIDE];
    let y = thread / comptime![SIDE];
    let i0 = CUBE_POS_X as usize * comptime![EDGE];
    let j0 = CUBE_POS_Y as usize * comptime![EDGE];
    let chunk = extents.chunk as usize;
    let start = CUBE_POS_Z as usize * chunk;
    let end = min(start + chunk, extents.depth as usize);
    let stages = (end - start + comptime![DEPTH - 1]) / comptime![DEPTH];
    for stage in 0..stages {
        let k0 = start + stage * comptime![DEPTH];
        stage_rows(&mut left, a, a_layout, i0, k0, end, kind.a_along_depth);
        stage_rows(&mut right, b, b_layout, j0, k0, end, kind.b_along_depth);
        sync_cube();
        for k in 0..comptime![DEPTH] {
            #[unroll]
            for r in 0..4usize {
                let l = left[k * comptime![STRIDE] + y + r * comptime![SIDE]];
                #[unroll]
                for q in 0..4usize {
                    let w = right[k * comptime![STRIDE] + x + q * comptime![SIDE]];
                    sums[r * 4 + q] = fma(l, w, sums[r * 4 + q]);
                }
            }
        }
        sync_cube();
    }
    #[unroll]
    for r in 0..4usize {
        #[unroll]
        for q in 0..4usize {
            let i = i0 + y + r * comptime![SIDE];
            let j = j0 + x + q * comptime![SIDE];
            if i < m && j < p {
                let mut sum = sums[r * 4 + q];
                if comptime!(kind.has_bias) {
                    sum += bias[j];
                }
                c[(CUBE_POS_Z as usize * m + i) * p + j] = sum;
            }
        }
    }
}

/// Copies the terms from `k0` to `end`, `DEPTH` at most, of `EDGE` rows of a factor from `row0` on to shared memory, with zeros beyond
/// the last.
#[cube]
fn stage_rows(
    shared: &mut SharedMemory<f32>,
    factor: &Array<f32>,
    layout: &Layout,
    row0: usize,
    k0: usize,
    end: usize,
    #[comptime] along_depth: bool,
) {
    #[unroll]
    for s in 0..4usize {
        // Adjacent threads read adjacent numbers, along the sum or along the edge.
        let (k, i) = place(UNIT_POS as usize, s, along_depth);
        let mut value = 0.0f32;
        if k0 + k < end && row0 + i < layout.rows as usize {
            value = factor[layout.at(row0 + i, k0 + k)];
        }
        shared[k * comptime![STRIDE] + i] = value;
    }
}

/// Returns the term of the sum and the place on the edge that a thread stages in its turn `s`.
#[cube]
fn place(thread: usize, s: usize, #[comptime] along_depth: bool) -> (usize, usize) {
    if comptime!(along_depth) {
        (
            thread % comptime![DEPTH],
            thread / comptime![DEPTH] + s * comptime![SIDE * SIDE / DEPTH],
        )
    } else {
        (
            thread / comptime![EDGE] + s * comptime![SIDE * SIDE / EDGE],
            thread % comptime![EDGE],
        )
    }
}

/// Computes `C [row, column] = A B`, plus `bias [column]`; `depth` is the length of the sums.
pub(super) fn product<R: Runtime>(
    client: &ComputeClient<R>,
    a: &Operand,
    b: &Operand,
    bias: Option<&Handle>,
    [rows, columns, depth]: [usize; 3],
) -> Handle {
    let tiles = rows.div_ceil(EDGE) * columns.div_ceil(EDGE);
    // Every chunk adds the bias, so with a bias there is only one.
    let chunks = match bias {
        Some(_) => 1,
        None => (MANY_CUBES / tiles).clamp(1, depth.div_ceil(LEAST_CHUNK).max(1)),
    };
    let chunk = depth.div_ceil(chunks).next_multiple_of(DEPTH);
    let chunks = depth.div_ceil(chunk).max(1);
    let length = rows * columns;
    let b = &b.clone().transposed();
    let parts = client.empty(chunks * length * size_of::<f32>());
    count(|launches| &mut launches.other);
    // SAFETY: rows, columns and terms of the sum are within the operands.
    unsafe {
        tile_product::launch_unchecked::<R>(
            client,
            CubeCount::Static(
                rows.div_ceil(EDGE) as u32,
                columns.div_ceil(EDGE) as u32,
                chunks as u32,
            ),
            CubeDim::new_1d((SIDE * SIDE) as u32),
            a.array(),
            b.array(),
            match bias {
                Some(bias) => ArrayArg::from_raw_parts(bias.clone(), columns),
                None => a.array(), // not read
            },
            ArrayArg::from_raw_parts(parts.clone(), chunks * length),
            ExtentsLaunch::new(depth as u32, chunk as u32),
            a.layout(rows),
            b.layout(columns),
            Kind {
                a_along_depth: a.by_column == 1,
                b_along_depth: b.by_column == 1,
                has_bias: bias.is_some(),
            },
        );
    }
    sum_of_parts(client, parts, [1, chunks, length])
}

/// Adds the parts of one number in each thread, from the first to the last.
#[cube(launch_unchecked)]
fn add_parts(parts: &Array<f32>, sums: &mut Array<f32>, n_parts: u32, length: u32, total: u32) {
    let at = ABSOLUTE_POS;
    if at < total as usize {
        let len = length as usize;
        let first = at / len * n_parts as usize * len + at % len;
        let mut sum = 0.0f32;
        for part in 0..n_parts as usize {
            sum += parts[first + part * len];
        }
        sums[at] = sum;
    }
}

/// Returns `[group, number]`, the sums over the parts of `[group, part, number]`.
pub(super) fn sum_of_parts<R: Runtime>(
    client: &ComputeClient<R>,
    parts: Handle,
    [groups, n_parts, length]: [usize; 3],
) -> Handle {
    if n_parts == 1 {
        return parts;
    }
    let total = groups * length;
    let sums = client.empty(total * size_of::<f32>());
    let (cubes, dim) = elementwise(total);
    count(|launches| &mut launches.other);
    // SAFETY: a thread writes its own sum.
    unsafe {
        add_parts::launch_unchecked::<R>(
            client,
            cubes,
            dim,
            ArrayArg::from_raw_parts(parts, total * n_parts),
            ArrayArg::from_raw_parts(sums.clone(), total),
            n_parts as u32,
            length as u32,
            total as u32,
        );
    }
    sums
}
