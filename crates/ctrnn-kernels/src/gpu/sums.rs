//! Sums over many numbers: a part of the sum for each cube, then the sum of the parts.

use cubecl::prelude::*;
use cubecl::server::Handle;

use super::launches::count;
use super::list::{Share, Shares, array, items_of_launch};

/// Threads per cube.
const THREADS: usize = 256;
/// Largest number of cubes that share a sum; more would leave the last thread more parts to add than they save.
const MOST_CUBES: usize = 64;
/// Smallest number of terms per cube.
const WORTH_A_CUBE: usize = 4 * THREADS;

/// Returns the number of cubes for a sum over `n` numbers.
fn cubes(n: usize) -> usize {
    n.div_ceil(WORTH_A_CUBE).clamp(1, MOST_CUBES)
}

/// Returns the sum over the threads of a cube; only its first thread has it.
#[cube]
fn cube_sum(own: f32) -> f32 {
    let mut sums = SharedMemory::<f32>::new(THREADS);
    let thread = UNIT_POS as usize;
    sums[thread] = own;
    sync_cube();
    #[unroll]
    for level in 1..comptime![THREADS.ilog2() as usize + 1] {
        let half = comptime![THREADS >> level];
        if thread < half {
            let other = sums[thread + half];
            sums[thread] += other;
        }
        sync_cube();
    }
    sums[0]
}

/// Numbers of which some cubes of a launch make a sum.
#[derive(CubeType, CubeLaunch)]
struct Numbers {
    numbers: Array<f32>,
    n: u32,
    cubes: Share,
}

/// Adds squares of one item in each cube, whose rows of 256 numbers lie as far apart as the item has cubes.
#[cube(launch_unchecked)]
fn squares(all: &Sequence<Numbers>, parts: &mut Array<f32>, first_part: u32) {
    let mut sum = 0.0f32;
    let cube = CUBE_POS_X as usize;
    #[unroll]
    for k in 0..all.len() {
        let item = all.index(k);
        if item.cubes.has(cube) {
            let mut at = item.cubes.place(cube) * comptime![THREADS] + UNIT_POS as usize;
            let stride = item.cubes.count as usize * comptime![THREADS];
            while at < item.n as usize {
                sum = fma(item.numbers[at], item.numbers[at], sum);
                at += stride;
            }
        }
    }
    let sum = cube_sum(sum);
    if UNIT_POS == 0 {
        parts[first_part as usize + cube] = sum;
    }
}

/// Adds parts of a sum in one cube, and takes its root where that is wanted.
#[cube(launch_unchecked)]
fn total(parts: &Array<f32>, result: &mut Array<f32>, n: u32, #[comptime] is_root: bool) {
    let mut own = 0.0f32;
    let mut at = UNIT_POS as usize;
    while at < n as usize {
        own += parts[at];
        at += comptime![THREADS];
    }
    let sum = cube_sum(own);
    if UNIT_POS == 0 {
        if comptime!(is_root) {
            result[0] = sum.sqrt();
        } else {
            result[0] = sum;
        }
    }
}

/// Returns the sum of the squares of all numbers of these buffers, `[1]`; each buffer comes with its length.
pub fn sum_of_squares<R: Runtime>(
    client: &ComputeClient<R>,
    buffers: &[(Handle, usize)],
) -> Handle {
    let (parts, n) = parts_of_squares(client, buffers);
    sum_of(client, parts, n, false)
}

/// Returns the root of the sum of the squares of all numbers of these buffers, `[1]`; each buffer comes with its length.
pub fn norm<R: Runtime>(client: &ComputeClient<R>, buffers: &[(Handle, usize)]) -> Handle {
    let (parts, n) = parts_of_squares(client, buffers);
    sum_of(client, parts, n, true)
}

/// Returns parts of the sum of squares, and their number.
fn parts_of_squares<R: Runtime>(
    client: &ComputeClient<R>,
    buffers: &[(Handle, usize)],
) -> (Handle, usize) {
    let n_parts = buffers.iter().map(|&(_, n)| cubes(n)).sum();
    let parts = client.empty(n_parts * size_of::<f32>());
    let mut first_part = 0;
    for some in buffers.chunks(items_of_launch(client, 1, 1)) {
        let mut shares = Shares::default();
        let numbers = some.iter().map(|(numbers, n)| {
            NumbersLaunch::new(array(numbers, *n), *n as u32, shares.next(cubes(*n)))
        });
        let numbers = numbers.collect();
        count(|launches| &mut launches.other);
        // SAFETY: a thread reads numbers below `n`; cubes of all launches write parts of their own.
        unsafe {
            squares::launch_unchecked::<R>(
                client,
                CubeCount::Static(shares.total as u32, 1, 1),
                CubeDim::new_1d(THREADS as u32),
                numbers,
                array(&parts, n_parts),
                first_part as u32,
            );
        }
        first_part += shares.total;
    }
    (parts, n_parts)
}

/// Returns the sum of `n` parts, `[1]`, or its root.
fn sum_of<R: Runtime>(client: &ComputeClient<R>, parts: Handle, n: usize, is_root: bool) -> Handle {
    if n == 1 && !is_root {
        return parts;
    }
    let result = client.empty(size_of::<f32>());
    count(|launches| &mut launches.other);
    // SAFETY: a thread reads parts below `n`.
    unsafe {
        total::launch_unchecked::<R>(
            client,
            CubeCount::Static(1, 1, 1),
            CubeDim::new_1d(THREADS as u32),
            array(&parts, n),
            array(&result, 1),
            n as u32,
            is_root,
        );
    }
    result
}

/// Adds weighted squared errors of every `CUBE_COUNT`-th row of 256 in each cube, and writes the gradients in place of the errors.
#[cube(launch_unchecked)]
fn errors(
    y: &Array<f32>,
    target: &Array<f32>,
    weights: &Array<f32>,
    gradient: &mut Array<f32>,
    parts: &mut Array<f32>,
    width: u32,
    n: u32,
) {
    let mut sum = 0.0f32;
    let mut at = ABSOLUTE_POS;
    let stride = CUBE_COUNT_X as usize * comptime![THREADS];
    while at < n as usize {
        let error = y[at] - target[at];
        let weighted = weights[at / width as usize] * error;
        gradient[at] = weighted + weighted;
        sum = fma(weighted, error, sum);
        at += stride;
    }
    let sum = cube_sum(sum);
    if UNIT_POS == 0 {
        parts[CUBE_POS_X as usize] = sum;
    }
}

/// Returns `sum w (y - target)^2` over `n` numbers, `[1]`, and its gradient with respect to each, `2 w (y - target)`. Each weight
/// holds for `width` consecutive numbers.
pub fn squared_error<R: Runtime>(
    client: &ComputeClient<R>,
    [y, target, weights]: [&Handle; 3],
    n: usize,
    width: usize,
) -> (Handle, Handle) {
    let n_parts = cubes(n);
    let gradient = client.empty(n * size_of::<f32>());
    let parts = client.empty(n_parts * size_of::<f32>());
    count(|launches| &mut launches.other);
    // SAFETY: a thread reads and writes numbers below `n` and weights below `n / width`; a cube writes its own part.
    unsafe {
        errors::launch_unchecked::<R>(
            client,
            CubeCount::Static(n_parts as u32, 1, 1),
            CubeDim::new_1d(THREADS as u32),
            array(y, n),
            array(target, n),
            array(weights, n / width),
            array(&gradient, n),
            array(&parts, n_parts),
            width as u32,
            n as u32,
        );
    }
    (sum_of(client, parts, n_parts, false), gradient)
}
