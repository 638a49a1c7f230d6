//! Division of a sweep into cubes and threads.

use cubecl::prelude::*;

use crate::Shape;

/// Largest number of units of a network whose whole sweep runs in one launch.
pub const RESIDENT_UNITS: usize = 512;

/// Largest number of units of a network whose whole sweep runs in one launch, where the recurrent matrix is the product of its
/// factors alone; a device with less than 48 KB of shared memory for a cube runs fewer in one launch.
pub const RESIDENT_UNITS_LOW_RANK: usize = 2048;

/// Number of trials of a quad.
pub(super) const QUAD: usize = 4;

/// Number of cubes that keeps a large device busy.
const MANY_CUBES: usize = 128;

/// Part of a sweep that one cube of the time loop takes.
///
/// Sums over presynaptic units run from the first to the last for every tile: the tile changes speed, not results. Only the
/// projections onto a factor are cut into parts, whose number depends on the threads.
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
    /// True if the recurrent matrix has a full part besides factors, or is one.
    pub has_full: bool,
    /// Rank of the factors of the recurrent matrix; 0: it has none.
    pub rank: usize,
    /// Parts into which the projection onto a column of a factor is cut, each a sum by one thread.
    pub parts: usize,
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
        let most_units = if shape.without_full {
            RESIDENT_UNITS_LOW_RANK
        } else {
            RESIDENT_UNITS
        };
        let wide = Self::resident(shape);
        let narrow = Self { quads: 1, ..wide };
        let fits =
            |tile: &Self| tile.threads <= most_threads && tile.shared_bytes() <= shared_bytes;
        let candidates = [wide, narrow].into_iter();
        let tile = candidates.filter(|_| shape.units <= most_units).find(fits);
        tile.unwrap_or_else(|| Self::staged(shape, most_threads))
    }

    /// Returns a tile of all units.
    fn resident(shape: &Shape) -> Self {
        let per_thread = match shape.units {
            0..=128 => 1,
            129..=256 => 2,
            257..=1024 => 4,
            _ => 8,
        };
        let tile = Self {
            threads: shape.units.div_ceil(per_thread).next_multiple_of(32),
            per_thread,
            quads: if shape.trials > MANY_CUBES * QUAD {
                2
            } else {
                1
            },
            resident: true,
            has_full: !shape.without_full,
            rank: shape.rank,
            parts: 0,
        };
        tile.with_parts(shape.units)
    }

    /// Returns a tile of some units, which stages the rates of all units chunk by chunk.
    fn staged(shape: &Shape, most_threads: usize) -> Self {
        let tile = Self {
            threads: 64.min(most_threads),
            per_thread: 1,
            quads: 2,
            resident: false,
            ..Self::resident(shape)
        };
        tile.with_parts(shape.units)
    }

    /// Returns the tile with the number of parts that takes the fewest operations one after the other: a sum over `units / parts`
    /// units, and one over the parts.
    fn with_parts(self, units: usize) -> Self {
        let most = self.threads.checked_div(self.rank).unwrap_or(0).max(1);
        Self {
            parts: units.isqrt().clamp(1, most),
            ..self
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

    /// Returns the bytes of shared memory: rates, and projections onto a factor.
    pub const fn shared_bytes(&self) -> usize {
        self.shared_quads() * QUAD * size_of::<f32>()
    }

    /// Returns the number of quads of shared memory.
    pub(super) const fn shared_quads(&self) -> usize {
        self.projections_at() + self.rank * self.parts * self.quads
    }

    /// Returns the first place of the projections in shared memory, which follow the rates: a chunk of them, or the buffers of all
    /// units.
    pub(super) const fn projections_at(&self) -> usize {
        if self.resident {
            self.units() * self.quads + self.second_buffer()
        } else {
            CHUNK * self.quads
        }
    }

    /// Returns the first place of the second buffer of rates of a resident tile. With two buffers a time step has one barrier. The
    /// barriers of the projections make one buffer enough: the second is then the first.
    pub(super) const fn second_buffer(&self) -> usize {
        if self.rank == 0 {
            self.units() * self.quads
        } else {
            0
        }
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

/// Returns cubes and threads for `n` independent numbers, indexed by `ABSOLUTE_POS`.
pub(super) fn elementwise(n: usize) -> (CubeCount, CubeDim) {
    const THREADS: usize = 256;
    (grid(n.div_ceil(THREADS)), CubeDim::new_1d(THREADS as u32))
}

/// Returns a launch of at least as many cubes, indexed by `CUBE_POS`. No axis is longer than every device allows.
pub(super) fn grid(cubes: usize) -> CubeCount {
    const ROW: usize = 1 << 14;
    match cubes {
        0..=ROW => CubeCount::Static(cubes as u32, 1, 1),
        _ => CubeCount::Static(ROW as u32, cubes.div_ceil(ROW) as u32, 1),
    }
}
