//! Four adjacent trials of a unit, read and written together.

use cubecl::prelude::*;

use super::tile::Tile;
use crate::Shape;

/// One value for each of four adjacent trials.
pub(super) type Quad = Vector<f32, Const<4>>;

/// Place of a [`Quad`] in a buffer `[row, unit]`, where a row is a trial.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Place {
    /// Row of the first trial of the time step.
    pub(super) row: usize,
    /// First of the four trials.
    pub(super) trial: usize,
    /// Trials per time step.
    pub(super) trials: usize,
    pub(super) unit: usize,
    /// Units per row.
    pub(super) units: usize,
}

#[cube]
impl Place {
    /// Returns other trials and another unit in the same rows.
    pub(super) fn of(self, trial: usize, unit: usize) -> Place {
        Place {
            row: self.row,
            trial,
            trials: self.trials,
            unit,
            units: self.units,
        }
    }

    /// Returns the same trials and unit in the rows from `row` on.
    pub(super) fn at_row(self, row: usize) -> Place {
        Place {
            row,
            trial: self.trial,
            trials: self.trials,
            unit: self.unit,
            units: self.units,
        }
    }
}

/// Sizes that a kernel receives at launch.
#[derive(CubeType, CubeLaunch)]
pub(super) struct Sizes {
    pub(super) steps: u32,
    pub(super) trials: u32,
    pub(super) units: u32,
}

/// Returns [`Sizes`] as an argument.
pub(super) fn sizes<R: Runtime>(shape: &Shape) -> SizesLaunch<R> {
    SizesLaunch::new(shape.steps as u32, shape.trials as u32, shape.units as u32)
}

/// Returns the place of four trials of a unit in a buffer of one time step.
#[cube]
pub(super) fn place(trial: usize, unit: usize, sizes: &Sizes) -> Place {
    Place {
        row: 0usize.runtime(),
        trial,
        trials: sizes.trials as usize,
        unit,
        units: sizes.units as usize,
    }
}

/// Returns the place of a thread's first unit in the first four trials of its cube, in a buffer of one time step.
#[cube]
pub(super) fn first_place(sizes: &Sizes, #[comptime] tile: Tile) -> Place {
    place(
        CUBE_POS_X as usize * comptime![tile.trials()],
        CUBE_POS_Y as usize * comptime![tile.units()] + UNIT_POS as usize,
        sizes,
    )
}

/// Returns the place of a thread's `q`-th unit in the `m`-th four trials of its cube; `first` is that of its first unit.
#[cube]
pub(super) fn nth_place(first: Place, q: usize, m: usize, #[comptime] tile: Tile) -> Place {
    first.of(
        first.trial + m * 4,
        first.unit + q * comptime![tile.threads],
    )
}

/// Reads a unit's numbers of four trials. Trials and units beyond the last are read as the last.
#[cube]
pub(super) fn load(buffer: &Array<f32>, at: Place) -> Quad {
    let column = min(at.unit, at.units - 1);
    let mut quad = Quad::new(0.0f32);
    #[unroll]
    for c in 0..4usize {
        quad[c] = buffer[(at.row + min(at.trial + c, at.trials - 1)) * at.units + column];
    }
    quad
}

/// Reads as [`load`] does, but returns zeros for trials beyond the last: gradients of trials that do not exist.
#[cube]
pub(super) fn load_or_zero(buffer: &Array<f32>, at: Place) -> Quad {
    let mut quad = load(buffer, at);
    #[unroll]
    for c in 0..4usize {
        quad[c] = select(at.trial + c < at.trials, quad[c], 0.0f32);
    }
    quad
}

/// Writes a unit's numbers of four trials; trials and units beyond the last are not written.
#[cube]
pub(super) fn store(buffer: &mut Array<f32>, quad: Quad, at: Place) {
    if at.unit < at.units {
        #[unroll]
        for c in 0..4usize {
            if at.trial + c < at.trials {
                buffer[(at.row + at.trial + c) * at.units + at.unit] = quad[c];
            }
        }
    }
}

/// Returns the sum over the four trials.
#[cube]
pub(super) fn total(quad: Quad) -> f32 {
    (quad[0] + quad[1]) + (quad[2] + quad[3])
}
