//! Lists of arrays that one launch works on, each by threads or cubes of its own.

use cubecl::prelude::*;
use cubecl::server::Handle;

/// Largest number of items of a launch: a kernel has code for each.
const MOST_ITEMS: usize = 32;

/// Returns the number of items that a launch takes, with `each` buffers for an item and `others` besides; a device limits the buffers of
/// a launch.
pub(super) fn items_of_launch<R: Runtime>(
    client: &ComputeClient<R>,
    each: usize,
    others: usize,
) -> usize {
    let bindings = client.properties().hardware.max_bindings as usize;
    let scalars = 1; // they are in a buffer as well
    (bindings.saturating_sub(others + scalars) / each).clamp(1, MOST_ITEMS)
}

/// Range of the threads or cubes of a launch that work on one item of a list.
#[derive(CubeType, CubeLaunch)]
pub(super) struct Share {
    pub(super) first: u32,
    pub(super) count: u32,
}

#[cube]
impl Share {
    /// Returns true if a thread or cube is one of these.
    pub(super) fn has(&self, at: usize) -> bool {
        at >= self.first as usize && at < (self.first + self.count) as usize
    }

    /// Returns the place of a thread or cube among these.
    pub(super) fn place(&self, at: usize) -> usize {
        at - self.first as usize
    }
}

/// Allocator of ranges of threads or cubes, one after the other.
#[derive(Default)]
pub(super) struct Shares {
    /// Number of threads or cubes so far.
    pub(super) total: usize,
}

impl Shares {
    /// Returns the next range.
    pub(super) fn next<R: Runtime>(&mut self, count: usize) -> ShareLaunch<R> {
        let first = self.total;
        self.total += count;
        ShareLaunch::new(first as u32, count as u32)
    }
}

/// Returns a buffer of `n` numbers as an argument of a launch.
pub(super) fn array<R: Runtime>(handle: &Handle, n: usize) -> ArrayArg<R> {
    // SAFETY: callers give the length of the buffer.
    unsafe { ArrayArg::from_raw_parts(handle.clone(), n) }
}
