//! Clipping of gradients to a norm, of all parameters in one launch.

use cubecl::prelude::*;
use cubecl::server::Handle;

use super::launches::count;
use super::list::{Share, Shares, array, items_of_launch};
use super::tile::elementwise;

/// Numbers to be scaled, one in each of some threads.
#[derive(CubeType, CubeLaunch)]
struct Numbers {
    numbers: Array<f32>,
    threads: Share,
}

/// Multiplies a number by `max / max(norm, max)` in each thread.
#[cube(launch_unchecked)]
fn scale_all(
    all: &Sequence<Numbers>,
    norm: &Array<f32>,
    scaled: &mut Sequence<Array<f32>>,
    max: f32,
) {
    // A quotient of equal numbers need not be 1 on a GPU. A norm that is not a number makes all numbers so.
    let mut factor = max / norm[0];
    if norm[0] <= max {
        factor = 1.0f32;
    }
    #[unroll]
    for k in 0..all.len() {
        let item = all.index(k);
        if item.threads.has(ABSOLUTE_POS) {
            let at = item.threads.place(ABSOLUTE_POS);
            let to = scaled.index_mut(k);
            to[at] = item.numbers[at] * factor;
        }
    }
}

/// Returns the numbers of these buffers times `max / max(norm, max)`, for a norm `[1]`; each buffer comes with its length.
pub fn clipped<R: Runtime>(
    client: &ComputeClient<R>,
    buffers: &[(Handle, usize)],
    norm: &Handle,
    max: f32,
) -> Vec<Handle> {
    let some = buffers.chunks(items_of_launch(client, 2, 1));
    some.flat_map(|some| scaled(client, some, norm, max))
        .collect()
}

/// Scales as many buffers as a launch takes.
fn scaled<R: Runtime>(
    client: &ComputeClient<R>,
    buffers: &[(Handle, usize)],
    norm: &Handle,
    max: f32,
) -> Vec<Handle> {
    let mut shares = Shares::default();
    let numbers = buffers
        .iter()
        .map(|(numbers, n)| NumbersLaunch::new(array(numbers, *n), shares.next(*n)))
        .collect();
    let scaled: Vec<Handle> = buffers
        .iter()
        .map(|(_, n)| client.empty(n * size_of::<f32>()))
        .collect();
    let places = buffers.iter().zip(&scaled);
    let places = places.map(|((_, n), to)| array(to, *n)).collect();
    let (cubes, dim) = elementwise(shares.total);
    count(|launches| &mut launches.other);
    // SAFETY: a thread touches its own number.
    unsafe {
        scale_all::launch_unchecked::<R>(client, cubes, dim, numbers, array(norm, 1), places, max);
    }
    scaled
}
