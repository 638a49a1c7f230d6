//! Division of a sweep into cubes and threads.

use cubecl::prelude::*;

use crate::Shape;

/// Largest number of units of a network whose whole sweep runs in one launch.
pub const RESIDENT_UNITS: usize = 512;

/// Number of trials of a quad.
pub(super) const QUAD: usize = 4;

/// Number of cubes that keeps a large device busy.
const MANY_CUBES: usize = 128;

/// Part of a sweep that one cube of the time loop takes.
///
/// Sums over presynaptic units run from the first to the last for every tile: the tile changes speed, not results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tile {
    /// Threads per cube.
    pub threads: usize,
    /// Units per thread; they are `threads` apart.
    pub per_thread: usize,
    /// Groups of four trials per cube.
    pub quads: usize,
    /// True if all units are in one cube, which can then go on to the next time step without another launch.
    pub resident: bool,
}

impl Tile {
    /// Returns the tile for a sweep on a device.
    pub fn of<R: Runtime>(client: &ComputeClient<R>, shape: &Shape) -> Self {
        let hardware = &client.properties().hardware;
        Self::within(
            shape,
            hardware.max_shared_memory_size,
            hardware.max_units_per_cube as usize,
        )
    }

    /// Returns the tile for a sweep where a cube has this many bytes of shared memory and at most this many threads.
    pub fn within(shape: &Shape, shared_bytes: usize, most_threads: usize) -> Self {
        let (units, trials) = (shape.units, shape.trials);
        let quads = if trials > MANY_CUBES * QUAD { 2 } else { 1 };
        let per_thread = match units {
            0..=128 => 1,
            129..=256 => 2,
            _ => 4,
        };
        let resident = Self {
            threads: units.div_ceil(per_thread).next_multiple_of(32),
            per_thread,
            quads,
            resident: true,
        };
        let fits =
            |tile: &Self| tile.threads <= most_threads && tile.shared_bytes() <= shared_bytes;
        let narrow = Self {
            quads: 1,
            ..resident
        };
        if units <= RESIDENT_UNITS
            && let Some(tile) = [resident, narrow].into_iter().find(fits)
        {
            return tile;
        }
        Self {
            threads: 64.min(most_threads),
            per_thread: 1,
            quads: 2,
            resident: false,
        }
    }

    /// Returns the number of units of a cube.
    pub const fn units(&self) -> usize {
        self.threads * self.per_thread
    }

    /// Returns the number of trials of a cube.
    pub const fn trials(&self) -> usize {
        self.quads * QUAD
    }

    /// Returns the bytes of shared memory: two buffers of rates, or a chunk of them.
    pub const fn shared_bytes(&self) -> usize {
        let units = if self.resident {
            2 * self.units()
        } else {
            CHUNK
        };
        units * self.trials() * size_of::<f32>()
    }

    /// Returns the number of cubes along the trials.
    pub(super) const fn trial_tiles(&self, shape: &Shape) -> usize {
        shape.trials.div_ceil(self.trials())
    }

    /// Returns the launch grid: tiles of trials, tiles of units.
    pub(super) fn cubes(&self, shape: &Shape) -> CubeCount {
        CubeCount::Static(
            self.trial_tiles(shape) as u32,
            shape.units.div_ceil(self.units()) as u32,
            1,
        )
    }

    /// Returns the number of threads of a cube.
    pub(super) fn dim(&self) -> CubeDim {
        CubeDim::new_1d(self.threads as u32)
    }
}

/// Presynaptic units that a cube stages in shared memory at once, if it is not resident.
pub(super) const CHUNK: usize = 128;

/// Returns cubes and threads for `n` independent numbers, indexed by `ABSOLUTE_POS`. No axis is longer than every device allows.
pub(super) fn elementwise(n: usize) -> (CubeCount, CubeDim) {
    const THREADS: usize = 256;
    const ROW: usize = 1 << 14;
    let cubes = n.div_ceil(THREADS);
    let count = match cubes {
        0..=ROW => CubeCount::Static(cubes as u32, 1, 1),
        _ => CubeCount::Static(ROW as u32, cubes.div_ceil(ROW) as u32, 1),
    };
    (count, CubeDim::new_1d(THREADS as u32))
}
