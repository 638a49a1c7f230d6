//! Sums that are cut into parts, added in the order of the parts.

use cubecl::prelude::*;
use cubecl::server::Handle;

use super::launches::count;
use super::list::{Share, Shares, array, items_of_launch};
use super::tile::elementwise;

/// Parts of sums, `[part, number]`.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    pub(super) handle: Handle,
    pub(super) n_parts: usize,
    /// Number of sums.
    pub(super) length: usize,
}

/// [`Parts`] on the device.
#[derive(CubeType, CubeLaunch)]
struct Cut {
    parts: Array<f32>,
    n_parts: u32,
    /// A thread for each sum.
    threads: Share,
}

/// Adds the parts of one number in each thread, from the first to the last.
#[cube(launch_unchecked)]
fn add_parts(all: &Sequence<Cut>, sums: &mut Sequence<Array<f32>>) {
    #[unroll]
    for k in 0..all.len() {
        let cut = all.index(k);
        if cut.threads.has(ABSOLUTE_POS) {
            let at = cut.threads.place(ABSOLUTE_POS);
            let length = cut.threads.count as usize;
            let mut sum = 0.0f32;
            for part in 0..cut.n_parts as usize {
                sum += cut.parts[at + part * length];
            }
            let to = sums.index_mut(k);
            to[at] = sum;
        }
    }
}

/// Returns the sums, `[number]` each. A single part is the sum.
pub(super) fn sums_of_parts<R: Runtime>(client: &ComputeClient<R>, all: Vec<Parts>) -> Vec<Handle> {
    let cut: Vec<&Parts> = all.iter().filter(|parts| parts.n_parts > 1).collect();
    let some = cut.chunks(items_of_launch(client, 2, 0));
    let sums: Vec<Handle> = some.flat_map(|some| added(client, some)).collect();
    let mut sums = sums.into_iter();
    let sum = |parts: Parts| {
        if parts.n_parts > 1 {
            sums.next().expect("a sum of the parts")
        } else {
            parts.handle
        }
    };
    all.into_iter().map(sum).collect()
}

/// Adds as many as a launch takes.
fn added<R: Runtime>(client: &ComputeClient<R>, all: &[&Parts]) -> Vec<Handle> {
    let mut shares = Shares::default();
    let cut = all.iter().map(|parts| {
        CutLaunch::new(
            array(&parts.handle, parts.n_parts * parts.length),
            parts.n_parts as u32,
            shares.next(parts.length),
        )
    });
    let cut = cut.collect();
    let sums: Vec<Handle> = all
        .iter()
        .map(|parts| client.empty(parts.length * size_of::<f32>()))
        .collect();
    let places = all.iter().zip(&sums);
    let places = places.map(|(parts, to)| array(to, parts.length)).collect();
    let (cubes, dim) = elementwise(shares.total);
    count(|launches| &mut launches.other);
    // SAFETY: a thread reads the parts of its own sum and writes that.
    unsafe { add_parts::launch_unchecked::<R>(client, cubes, dim, cut, places) };
    sums
}
