//! Trials that go through time together, on one thread.
//!
//! Trials do not depend on each other, so a sweep splits the batch into tiles and takes each through all time steps without
//! synchronisation. The tiles follow from the shape alone; so does every sum, and results are the same to the bit for any
//! number of threads.

use rayon::prelude::*;

use crate::operands::UnitState;
use crate::shape::Shape;

/// Adjacent trials of a batch that go through time together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tile {
    /// First trial.
    pub(crate) first: usize,
    /// Number of trials.
    pub(crate) trials: usize,
}

/// Splits a batch into tiles.
///
/// Large tiles reuse weights more often once they are in a near cache; small ones keep more threads busy. Where the recurrent
/// weights fill the second-level cache, each time step fetches them from further away, and only a large tile makes up for that; thin
/// factors never do.
pub(crate) fn tiles(shape: &Shape) -> Vec<Tile> {
    let size = match (shape.full_rows(), shape.trials) {
        (_, ..=32) => 8,
        (..384, ..128) => 16,
        (_, ..128) => 32,
        (..384, _) => 32,
        (_, _) => 64,
    };
    (0..shape.trials)
        .step_by(size)
        .map(|first| Tile {
            first,
            trials: size.min(shape.trials - first),
        })
        .collect()
}

/// Parts of a buffer that belong to each tile: for each tile, its rows at each time.
pub(crate) type TiledRows<'a, E> = Vec<Option<Vec<&'a mut [E]>>>;

/// Splits a buffer `[time, trial, width]` by tiles; without a buffer every part is `None`.
pub(crate) fn split<'a, E>(
    buffer: Option<&'a mut [E]>,
    tiles: &[Tile],
    shape: &Shape,
    width: usize,
) -> TiledRows<'a, E> {
    let Some(buffer) = buffer.filter(|_| width > 0) else {
        return tiles.iter().map(|_| None).collect();
    };
    let times = buffer.len() / (shape.trials * width);
    let mut parts: Vec<Vec<_>> = tiles.iter().map(|_| Vec::with_capacity(times)).collect();
    for mut rows in buffer.chunks_exact_mut(shape.trials * width) {
        for (part, tile) in parts.iter_mut().zip(tiles) {
            let (own, rest) = rows.split_at_mut(tile.trials * width);
            part.push(own);
            rows = rest;
        }
    }
    parts.into_iter().map(Some).collect()
}

/// Splits each variable of a state by tiles.
pub(crate) fn split_state<'a, E>(
    state: UnitState<Option<&'a mut [E]>>,
    tiles: &[Tile],
    shape: &Shape,
) -> UnitState<std::vec::IntoIter<Option<Vec<&'a mut [E]>>>> {
    state
        .zip(UnitState::lens(shape))
        .map(|(buffer, len)| split(buffer, tiles, shape, len / shape.trials).into_iter())
}

/// Runs `work` on every item, on as many threads as the current pool has; results come in the order of the items.
pub(crate) fn for_each<T: Send, R: Send>(
    items: Vec<T>,
    work: impl Fn(T) -> R + Send + Sync,
) -> Vec<R> {
    if items.len() == 1 || rayon::current_num_threads() == 1 {
        items.into_iter().map(work).collect()
    } else {
        items.into_par_iter().with_max_len(1).map(work).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(trials: usize, units: usize) -> Shape {
        Shape {
            trials,
            steps: 1,
            units,
            ..Shape::default()
        }
    }

    #[test]
    fn tiles_cover_the_batch() {
        for trials in [1, 5, 8, 33, 127, 128, 300] {
            let mut next = 0;
            for tile in tiles(&shape(trials, 100)) {
                assert_eq!(tile.first, next);
                next += tile.trials;
            }
            assert_eq!(next, trials);
        }
    }

    #[test]
    fn a_batch_of_16_feeds_two_threads() {
        assert_eq!(tiles(&shape(16, 100)).len(), 2);
    }

    #[test]
    fn split_gives_each_tile_its_rows() {
        let mut buffer: Vec<usize> = (0..20).collect(); // two times, ten trials of one unit: tiles of 8 and 2
        let shape = shape(10, 1);
        let parts = split(Some(&mut buffer), &tiles(&shape), &shape, 1);
        let second = parts[1].as_ref().unwrap();
        assert_eq!([&*second[0], &*second[1]], [&[8, 9], &[18, 19]]);
    }
}
