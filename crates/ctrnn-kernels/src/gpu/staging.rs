//! Sums over presynaptic units in the time loops, whose rates or gradients lie in shared memory.
//!
//! The buffer of the weights holds the full matrix, if there is one, and then the two factors of a matrix of low rank, `[N, R]`: the
//! one onto which the units' numbers are projected, and the one by which the projections drive the units.

use cubecl::prelude::*;

use super::quad::{Place, Quad, load_or_zero};
use super::tile::{CHUNK, Tile};

/// Adds `sum_k w[k, unit] x[k]` to the sums of a thread's units, from `at.unit` on, for `len` presynaptic units of which `w_row` is the
/// first row of the weights and `from` the first place in shared memory.
#[cube]
fn accumulate(
    sums: &mut Array<Quad>,
    w: &Array<f32>,
    shared: &SharedMemory<Quad>,
    w_row: usize,
    from: usize,
    len: usize,
    at: Place,
    #[comptime] tile: Tile,
) {
    let n = at.units;
    for k in 0..len {
        #[unroll]
        for q in 0..comptime![tile.per_thread] {
            let unit = min(at.unit + q * comptime![tile.threads], n - 1);
            let weight = Quad::new(w[(w_row + k) * n + unit]);
            #[unroll]
            for m in 0..comptime![tile.quads] {
                let i = q * comptime![tile.quads] + m;
                let x = shared[from + k * comptime![tile.quads] + m];
                sums[i] = fma(weight, x, sums[i]);
            }
        }
    }
}

/// Adds the products of the recurrent matrix with the numbers of all units, which lie in shared memory from `from` on, for the
/// thread's units from `at.unit` on. With factors it has barriers, and those numbers may be replaced after it.
#[cube]
pub(super) fn accumulate_resident(
    sums: &mut Array<Quad>,
    w: &Array<f32>,
    shared: &mut SharedMemory<Quad>,
    from: usize,
    at: Place,
    #[comptime] tile: Tile,
) {
    let n = at.units;
    if comptime!(tile.has_full) {
        accumulate(sums, w, shared, 0usize, from, n, at, tile);
    }
    if comptime!(tile.rank > 0) {
        clear(shared, tile);
        project(w, shared, 0usize, from, n, n, tile);
        expand(sums, w, shared, at, tile);
    }
}

/// Returns the first place of the factors in the buffer of the weights.
#[cube]
fn factors_at(n: usize, #[comptime] tile: Tile) -> usize {
    if comptime!(tile.has_full) {
        n * n
    } else {
        0usize.runtime()
    }
}

/// Sets the parts of the projections to zero that this thread sums.
#[cube]
fn clear(shared: &mut SharedMemory<Quad>, #[comptime] tile: Tile) {
    let quads = comptime![tile.quads];
    let first = comptime![tile.projections_at()];
    #[unroll]
    for turn in 0..comptime![(tile.rank * tile.parts).div_ceil(tile.threads)] {
        let task = UNIT_POS as usize + turn * comptime![tile.threads];
        if task < comptime![tile.rank * tile.parts] {
            #[unroll]
            for m in 0..quads {
                shared[first + task * quads + m] = Quad::new(0.0f32);
            }
        }
    }
}

/// Adds `sum_k factor[k, column] x[k]` to the projections, for `len` units of which `w_row` is the first row of the factor and
/// `from` the first place in shared memory. A thread adds every `parts`-th term of a column.
#[cube]
fn project(
    w: &Array<f32>,
    shared: &mut SharedMemory<Quad>,
    w_row: usize,
    from: usize,
    len: usize,
    n: usize,
    #[comptime] tile: Tile,
) {
    let rank = comptime![tile.rank];
    let quads = comptime![tile.quads];
    let first = comptime![tile.projections_at()];
    let factor = factors_at(n, tile);
    let mut own = Array::<Quad>::new(comptime![tile.quads]);
    #[unroll]
    for turn in 0..comptime![(tile.rank * tile.parts).div_ceil(tile.threads)] {
        let task = UNIT_POS as usize + turn * comptime![tile.threads];
        if task < comptime![tile.rank * tile.parts] {
            #[unroll]
            for m in 0..quads {
                own[m] = shared[first + task * quads + m];
            }
            let mut k = task / rank;
            while k < len {
                let weight = Quad::new(w[factor + (w_row + k) * rank + task % rank]);
                #[unroll]
                for m in 0..quads {
                    own[m] = fma(weight, shared[from + k * quads + m], own[m]);
                }
                k += comptime![tile.parts];
            }
            #[unroll]
            for m in 0..quads {
                shared[first + task * quads + m] = own[m];
            }
        }
    }
}

/// Adds up the parts of the projections.
#[cube]
fn add_parts(shared: &mut SharedMemory<Quad>, #[comptime] tile: Tile) {
    let width = comptime![tile.rank * tile.quads];
    let first = comptime![tile.projections_at()];
    #[unroll]
    for turn in 0..comptime![(tile.rank * tile.quads).div_ceil(tile.threads)] {
        let place = UNIT_POS as usize + turn * comptime![tile.threads];
        if place < width {
            let mut sum = Quad::new(0.0f32);
            for part in 0..comptime![tile.parts] {
                sum += shared[first + part * width + place];
            }
            shared[first + place] = sum;
        }
    }
}

/// Adds up the parts of the projections, and adds `sum_column factor[unit, column] projection[column]` to the sums of a thread's
/// units.
#[cube]
fn expand(
    sums: &mut Array<Quad>,
    w: &Array<f32>,
    shared: &mut SharedMemory<Quad>,
    at: Place,
    #[comptime] tile: Tile,
) {
    let n = at.units;
    let rank = comptime![tile.rank];
    let quads = comptime![tile.quads];
    let first = comptime![tile.projections_at()];
    let factor = factors_at(n, tile) + n * rank;
    sync_cube();
    add_parts(shared, tile);
    sync_cube();
    for column in 0..rank {
        #[unroll]
        for q in 0..comptime![tile.per_thread] {
            let unit = min(at.unit + q * comptime![tile.threads], n - 1);
            let weight = Quad::new(w[factor + unit * rank + column]);
            #[unroll]
            for m in 0..quads {
                let i = q * quads + m;
                sums[i] = fma(weight, shared[first + column * quads + m], sums[i]);
            }
        }
    }
}

/// Copies the numbers of a chunk of units, from unit `first_unit` on, to the front of shared memory, for the trials from `at.trial` on;
/// zeros for trials beyond the last.
#[cube]
fn stage(
    shared: &mut SharedMemory<Quad>,
    source: &Array<f32>,
    at: Place,
    first_unit: usize,
    #[comptime] tile: Tile,
) {
    #[unroll]
    for turn in 0..comptime![(CHUNK * tile.quads).div_ceil(tile.threads)] {
        let place = UNIT_POS as usize + turn * comptime![tile.threads];
        if place < comptime![CHUNK * tile.quads] {
            let k = place % comptime![CHUNK];
            let m = place / comptime![CHUNK];
            let from = at.of(at.trial + m * 4, first_unit + k);
            shared[k * comptime![tile.quads] + m] = load_or_zero(source, from);
        }
    }
}

/// Adds the products of the recurrent matrix with the numbers of all units, staged in shared memory from the rows of `source` that
/// start at `at.row`, for the trials from `at.trial` and the thread's units from `at.unit` on; zeros for trials beyond the last,
/// which do not count in sums over trials.
#[cube]
pub(super) fn accumulate_staged(
    sums: &mut Array<Quad>,
    w: &Array<f32>,
    shared: &mut SharedMemory<Quad>,
    source: &Array<f32>,
    at: Place,
    #[comptime] tile: Tile,
) {
    let n = at.units;
    let chunks = (n + comptime![CHUNK - 1]) / comptime![CHUNK];
    if comptime!(tile.rank > 0) {
        clear(shared, tile);
    }
    for chunk in 0..chunks {
        let k0 = chunk * comptime![CHUNK];
        stage(shared, source, at, k0, tile);
        sync_cube();
        let len = min(n - k0, comptime![CHUNK]);
        if comptime!(tile.has_full) {
            accumulate(sums, w, shared, k0, 0usize, len, at, tile);
        }
        if comptime!(tile.rank > 0) {
            project(w, shared, k0, 0usize, len, n, tile);
        }
        sync_cube();
    }
    if comptime!(tile.rank > 0) {
        expand(sums, w, shared, at, tile);
    }
}
