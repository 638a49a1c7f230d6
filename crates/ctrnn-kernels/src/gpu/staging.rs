//! Sums over presynaptic units in the time loops, whose rates or gradients lie in shared memory.

use cubecl::prelude::*;

use super::quad::{Place, Quad, load_or_zero};
use super::tile::{CHUNK, Tile};

/// Adds `sum_k w[k, unit] x[k]` to the sums of a thread's units, for `len` presynaptic units of which `w_row` is the first row
/// of the weights and `from` the first place in shared memory.
#[cube]
pub(super) fn accumulate(
    sums: &mut Array<Quad>,
    w: &Array<f32>,
    shared: &SharedMemory<Quad>,
    w_row: usize,
    from: usize,
    len: usize,
    first_unit: usize,
    n: usize,
    #[comptime] tile: Tile,
) {
    for k in 0..len {
        #[unroll]
        for q in 0..comptime![tile.per_thread] {
            let unit = min(first_unit + q * comptime![tile.threads], n - 1);
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

/// Runs [`accumulate`] over all presynaptic units, staged in shared memory from the rows of `source` that start at `at.row`, for
/// the trials from `at.trial` and the thread's units from `at.unit` on; zeros for trials beyond the last, which do not count in
/// sums over trials.
#[cube]
pub(super) fn accumulate_staged(
    sums: &mut Array<Quad>,
    w: &Array<f32>,
    shared: &mut SharedMemory<Quad>,
    source: &Array<f32>,
    at: Place,
    #[comptime] tile: Tile,
) {
    let threads = comptime![tile.threads];
    let quads = comptime![tile.quads];
    let turns = comptime![(CHUNK * tile.quads).div_ceil(tile.threads)];
    let n = at.units;
    let chunks = (n + comptime![CHUNK - 1]) / comptime![CHUNK];
    for chunk in 0..chunks {
        let k0 = chunk * comptime![CHUNK];
        #[unroll]
        for turn in 0..turns {
            let place = UNIT_POS as usize + turn * threads;
            if place < comptime![CHUNK * tile.quads] {
                let k = place % comptime![CHUNK];
                let m = place / comptime![CHUNK];
                let from = at.of(at.trial + m * 4, k0 + k);
                shared[k * quads + m] = load_or_zero(source, from);
            }
        }
        sync_cube();
        let len = min(n - k0, comptime![CHUNK]);
        accumulate(sums, w, shared, k0, 0usize, len, at.unit, n, tile);
        sync_cube();
    }
}
