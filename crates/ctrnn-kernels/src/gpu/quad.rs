//! Four neighbouring trials of a unit, read and written together.

use cubecl::prelude::*;

/// A number of four neighbouring trials.
pub(super) type Quad = Vector<f32, Const<4>>;

/// Reads a unit's numbers of four trials from `buffer [row, unit]`, where a row is a trial and rows of a time step start at
/// `first_row`. Trials and units beyond the last are read as the last.
#[cube]
pub(super) fn load(
    buffer: &Array<f32>,
    first_row: usize,
    trial: usize,
    trials: usize,
    unit: usize,
    units: usize,
) -> Quad {
    let column = min(unit, units - 1);
    let mut quad = Quad::new(0.0f32);
    #[unroll]
    for c in 0..4usize {
        quad[c] = buffer[(first_row + min(trial + c, trials - 1)) * units + column];
    }
    quad
}

/// [`load`], with zeros for trials beyond the last: gradients of trials that do not exist.
#[cube]
pub(super) fn load_or_zero(
    buffer: &Array<f32>,
    first_row: usize,
    trial: usize,
    trials: usize,
    unit: usize,
    units: usize,
) -> Quad {
    let mut quad = load(buffer, first_row, trial, trials, unit, units);
    #[unroll]
    for c in 0..4usize {
        quad[c] = select(trial + c < trials, quad[c], 0.0f32);
    }
    quad
}

/// Writes a unit's numbers of four trials; what is beyond the last trial or unit is not written.
#[cube]
pub(super) fn store(
    buffer: &mut Array<f32>,
    quad: Quad,
    first_row: usize,
    trial: usize,
    trials: usize,
    unit: usize,
    units: usize,
) {
    if unit < units {
        #[unroll]
        for c in 0..4usize {
            if trial + c < trials {
                buffer[(first_row + trial + c) * units + unit] = quad[c];
            }
        }
    }
}

/// The sum over the four trials.
#[cube]
pub(super) fn total(quad: Quad) -> f32 {
    (quad[0] + quad[1]) + (quad[2] + quad[3])
}
