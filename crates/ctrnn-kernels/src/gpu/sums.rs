//! Sums over many numbers: a part of the sum for each cube, then the sum of the parts.

use cubecl::prelude::*;
use cubecl::server::Handle;

use super::launches::count;
use super::product::sum_of_parts;

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

/// Adds the squares of every `CUBE_COUNT`-th row of 256 numbers in each cube.
#[cube(launch_unchecked)]
fn squares(numbers: &Array<f32>, parts: &mut Array<f32>, first_part: u32, n: u32) {
    let mut sum = 0.0f32;
    let mut at = ABSOLUTE_POS;
    let stride = CUBE_COUNT_X as usize * comptime![THREADS];
    while at < n as usize {
        sum = fma(numbers[at], numbers[at], sum);
        at += stride;
    }
    let sum = cube_sum(sum);
    if UNIT_POS == 0 {
        parts[(first_part + CUBE_POS_X) as usize] = sum;
    }
}

/// Returns the sum of the squares of all numbers of these buffers, `[1]`; each buffer comes with its length.
pub fn sum_of_squares<R: Runtime>(
    client: &ComputeClient<R>,
    buffers: &[(Handle, usize)],
) -> Handle {
    let n_parts = buffers.iter().map(|&(_, n)| cubes(n)).sum();
    let parts = client.empty(n_parts * size_of::<f32>());
    let mut first_part = 0;
    for (numbers, n) in buffers {
        count(|launches| &mut launches.other);
        // SAFETY: a thread reads numbers below `n`; cubes of all launches write parts of their own.
        unsafe {
            squares::launch_unchecked::<R>(
                client,
                CubeCount::Static(cubes(*n) as u32, 1, 1),
                CubeDim::new_1d(THREADS as u32),
                ArrayArg::from_raw_parts(numbers.clone(), *n),
                ArrayArg::from_raw_parts(parts.clone(), n_parts),
                first_part as u32,
                *n as u32,
            );
        }
        first_part += cubes(*n);
    }
    sum_of_parts(client, parts, [1, n_parts, 1])
}

/// Adds weighted squared errors as [`squares`] does, and writes the gradients in place of the errors.
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
            ArrayArg::from_raw_parts(y.clone(), n),
            ArrayArg::from_raw_parts(target.clone(), n),
            ArrayArg::from_raw_parts(weights.clone(), n / width),
            ArrayArg::from_raw_parts(gradient.clone(), n),
            ArrayArg::from_raw_parts(parts.clone(), n_parts),
            width as u32,
            n as u32,
        );
    }
    (sum_of_parts(client, parts, [1, n_parts, 1]), gradient)
}
