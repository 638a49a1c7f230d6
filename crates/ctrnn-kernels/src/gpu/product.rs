//! Matrix products with arbitrary strides, in `f32` on every device, with sums of fixed order.
//!
//! Readouts, projections and weight gradients are all `C = A B`. A weight gradient has a small `C` and a sum over all trials and
//! time steps: that sum is cut into chunks that are computed side by side and added in their order. Products that do not depend on
//! each other are one launch.

use cubecl::prelude::*;
use cubecl::server::Handle;

use super::launches::count;
use super::list::{Share, ShareLaunch, Shares, array, items_of_launch};
use super::parts::{Parts, sums_of_parts};
use super::tile::grid;

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
        array(self.handle, self.len)
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

/// Properties that a product is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Kind {
    /// True if adjacent numbers of a factor lie along the sum.
    a_along_depth: bool,
    b_along_depth: bool,
    has_bias: bool,
    /// True if the second factor is a column of ones.
    is_row_sum: bool,
}

/// Product on the device; the rows of `b` are the columns of the second factor.
#[derive(CubeType, CubeLaunch)]
struct Task {
    a: Array<f32>,
    b: Array<f32>,
    bias: Array<f32>,
    /// Lengths of the sums, and of the chunks into which they are cut.
    depth: u32,
    chunk: u32,
    a_layout: Layout,
    b_layout: Layout,
    cubes: Share,
    #[cube(comptime)]
    kind: Kind,
}

/// Computes 64 x 64 numbers of one `C` in each cube, for a chunk of the sum.
#[cube(launch_unchecked)]
fn tile_products(tasks: &Sequence<Task>, c: &mut Sequence<Array<f32>>) {
    let mut left = SharedMemory::<f32>::new(comptime![DEPTH * STRIDE]);
    let mut right = SharedMemory::<f32>::new(comptime![DEPTH * STRIDE]);
    #[unroll]
    for k in 0..tasks.len() {
        let task = tasks.index(k);
        if task.cubes.has(CUBE_POS) {
            let cube = task.cubes.place(CUBE_POS);
            tile_product(task, c.index_mut(k), &mut left, &mut right, cube);
        }
    }
}

/// Computes 64 x 64 numbers of `C` for a chunk of the sum; `cube` is the place of the cube among those of the product.
#[cube]
fn tile_product(
    task: &Task,
    c: &mut Array<f32>,
    left: &mut SharedMemory<f32>,
    right: &mut SharedMemory<f32>,
    cube: usize,
) {
    let kind = comptime![task.kind];
    let mut sums = Array::<f32>::new(16usize);
    #[unroll]
    for s in 0..16usize {
        sums[s] = 0.0f32;
    }
    let m = task.a_layout.rows as usize;
    let p = task.b_layout.rows as usize;
    let down = (m + comptime![EDGE - 1]) / comptime![EDGE];
    let across = (p + comptime![EDGE - 1]) / comptime![EDGE];
    let i0 = cube % down * comptime![EDGE];
    let j0 = cube / down % across * comptime![EDGE];
    let z = cube / (down * across);
    let start = z * task.chunk as usize;
    let end = min(start + task.chunk as usize, task.depth as usize);
    let stages = (end - start + comptime![DEPTH - 1]) / comptime![DEPTH];
    for stage in 0..stages {
        let k0 = start + stage * comptime![DEPTH];
        stage_rows(
            left,
            &task.a,
            &task.a_layout,
            i0,
            k0,
            end,
            kind.a_along_depth,
        );
        if comptime!(!kind.is_row_sum) {
            stage_rows(
                right,
                &task.b,
                &task.b_layout,
                j0,
                k0,
                end,
                kind.b_along_depth,
            );
        }
        sync_cube();
        accumulate(&mut sums, left, right, kind);
        sync_cube();
    }
    store_sums(c, &sums, task, z * m, i0, j0);
}

/// Stores the 4 x 4 sums of a thread in the rows of `c` from `first_row` on; `i0` and `j0` are the first row and column of the cube.
#[cube]
fn store_sums(
    c: &mut Array<f32>,
    sums: &Array<f32>,
    task: &Task,
    first_row: usize,
    i0: usize,
    j0: usize,
) {
    let m = task.a_layout.rows as usize;
    let p = task.b_layout.rows as usize;
    #[unroll]
    for r in 0..4usize {
        #[unroll]
        for q in 0..4usize {
            let i = i0 + UNIT_POS as usize / comptime![SIDE] + r * comptime![SIDE];
            let j = j0 + UNIT_POS as usize % comptime![SIDE] + q * comptime![SIDE];
            if i < m && j < p {
                let mut sum = sums[r * 4 + q];
                if comptime!(task.kind.has_bias) {
                    sum += task.bias[j];
                }
                c[(first_row + i) * p + j] = sum;
            }
        }
    }
}

/// Adds the staged terms to the 4 x 4 sums of a thread; of the sums of rows only the first column is used.
#[cube]
fn accumulate(
    sums: &mut Array<f32>,
    left: &SharedMemory<f32>,
    right: &SharedMemory<f32>,
    #[comptime] kind: Kind,
) {
    let x = UNIT_POS as usize % comptime![SIDE];
    let y = UNIT_POS as usize / comptime![SIDE];
    for k in 0..comptime![DEPTH] {
        #[unroll]
        for r in 0..4usize {
            let l = left[k * comptime![STRIDE] + y + r * comptime![SIDE]];
            if comptime!(kind.is_row_sum) {
                sums[r * 4] += l;
            } else {
                #[unroll]
                for q in 0..4usize {
                    let w = right[k * comptime![STRIDE] + x + q * comptime![SIDE]];
                    sums[r * 4 + q] = fma(l, w, sums[r * 4 + q]);
                }
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

/// Product `C [row, column] = A B`, plus `bias [column]`.
#[derive(Clone, Debug)]
pub(super) struct Product<'a> {
    a: Operand<'a>,
    /// Second factor; `None`: a column of ones.
    b: Option<Operand<'a>>,
    bias: Option<&'a Handle>,
    rows: usize,
    columns: usize,
    /// Length of the sums.
    depth: usize,
}

impl<'a> Product<'a> {
    /// Describes a product of `[rows, depth]` and `[depth, columns]`.
    pub(super) const fn new(
        a: Operand<'a>,
        b: Operand<'a>,
        [rows, columns, depth]: [usize; 3],
    ) -> Self {
        Self {
            a,
            b: Some(b),
            bias: None,
            rows,
            columns,
            depth,
        }
    }

    /// Describes the sums of the rows of a matrix `[rows, depth]`.
    pub(super) const fn row_sums(a: Operand<'a>, [rows, depth]: [usize; 2]) -> Self {
        Self {
            a,
            b: None,
            bias: None,
            rows,
            columns: 1,
            depth,
        }
    }

    /// Adds a bias to each row of the product.
    pub(super) const fn with_bias(mut self, bias: &'a Handle) -> Self {
        self.bias = Some(bias);
        self
    }

    /// Returns the number of cubes that compute a chunk of the sums.
    const fn tiles(&self) -> usize {
        self.rows.div_ceil(EDGE) * self.columns.div_ceil(EDGE)
    }

    /// Returns the length of the chunks of a sum, and their number.
    fn chunks(&self) -> [usize; 2] {
        // Every chunk adds the bias, so with a bias there is only one.
        let chunks = match self.bias {
            Some(_) => 1,
            None => (MANY_CUBES / self.tiles()).clamp(1, self.depth.div_ceil(LEAST_CHUNK).max(1)),
        };
        let chunk = self.depth.div_ceil(chunks).next_multiple_of(DEPTH);
        [chunk, self.depth.div_ceil(chunk).max(1)]
    }

    fn argument<R: Runtime>(&self, cubes: ShareLaunch<R>) -> TaskLaunch<R> {
        let b = (self.b.clone()).map_or_else(|| self.a.clone(), Operand::transposed); // ones are not read
        let [chunk, _] = self.chunks();
        TaskLaunch::new(
            self.a.array(),
            b.array(),
            match self.bias {
                Some(bias) => array(bias, self.columns),
                None => self.a.array(), // not read
            },
            self.depth as u32,
            chunk as u32,
            self.a.layout(self.rows),
            b.layout(self.columns),
            cubes,
            Kind {
                a_along_depth: self.a.by_column == 1,
                b_along_depth: b.by_column == 1,
                has_bias: self.bias.is_some(),
                is_row_sum: self.b.is_none(),
            },
        )
    }
}

/// Computes the chunks of the sums of some products.
pub(super) fn parts_of_products<R: Runtime>(
    client: &ComputeClient<R>,
    products: &[Product],
) -> Vec<Parts> {
    let some = products.chunks(items_of_launch(client, 4, 0));
    some.flat_map(|some| parts(client, some)).collect()
}

/// Computes as many products as a launch takes.
fn parts<R: Runtime>(client: &ComputeClient<R>, products: &[Product]) -> Vec<Parts> {
    let parts = products.iter().map(|product| {
        let [_, n_parts] = product.chunks();
        let length = product.rows * product.columns;
        Parts {
            handle: client.empty(n_parts * length * size_of::<f32>()),
            n_parts,
            length,
        }
    });
    let parts: Vec<Parts> = parts.collect();
    let mut shares = Shares::default();
    let pairs = products.iter().zip(&parts);
    let tasks = pairs
        .map(|(product, parts)| product.argument(shares.next(product.tiles() * parts.n_parts)));
    let tasks = tasks.collect();
    let places = parts
        .iter()
        .map(|parts| array(&parts.handle, parts.n_parts * parts.length));
    let places = places.collect();
    let dim = CubeDim::new_1d((SIDE * SIDE) as u32);
    count(|launches| &mut launches.other);
    // SAFETY: rows, columns and terms of the sum are within the operands.
    unsafe { tile_products::launch_unchecked::<R>(client, grid(shares.total), dim, tasks, places) };
    parts
}

/// Computes some products that do not depend on each other.
pub(super) fn products<R: Runtime>(client: &ComputeClient<R>, products: &[Product]) -> Vec<Handle> {
    let parts = parts_of_products(client, products);
    sums_of_parts(client, parts)
}

/// Computes a product.
pub(super) fn product<R: Runtime>(client: &ComputeClient<R>, product: Product) -> Handle {
    let mut found = products(client, &[product]);
    found.pop().expect("a matrix for a product")
}
