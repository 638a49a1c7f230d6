//! Trials that go through time together, on one thread.
//!
//! Trials do not depend on each other, so a sweep splits the batch into tiles and takes each through all time steps without
//! synchronisation. The tiles follow from the shape and the lengths of the trials alone; so does every sum, and results are the same
//! to the bit for any number of threads.
//!
//! Trials that end before the sweep does share tiles with others of about the same length, the longest first: those that go on at a time
//! step are the first rows of the tile, and what a sweep costs follows the sum of all lengths.

use rayon::prelude::*;

use crate::operands::UnitState;
use crate::shape::Shape;
use crate::simd::Element;
use crate::sweep::TrialLengths;

use super::rows::{Rows, TileRows};

/// Trial of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Trial {
    /// Number of the trial in its batch.
    number: usize,
    /// Number of its time steps within the sweep.
    end: usize,
}

/// Trials of a batch that go through time together, those that end last first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tile<'a> {
    trials: &'a [Trial],
    /// True if the trials stand one after another in the batch.
    is_adjacent: bool,
}

impl Tile<'_> {
    /// Returns the number of trials.
    pub(crate) const fn len(&self) -> usize {
        self.trials.len()
    }

    /// Returns the number in the batch of the trial in row `m`.
    #[inline(always)]
    pub(crate) fn trial(&self, m: usize) -> usize {
        self.trials[m].number
    }

    /// Returns the number of trials that have a time step `t`; they are the first rows.
    #[inline(always)]
    pub(crate) fn active(&self, t: usize) -> usize {
        match self.trials {
            [.., last] if t < last.end => self.len(),
            trials => trials.iter().take_while(|trial| t < trial.end).count(),
        }
    }

    /// Returns true if all trials end together.
    pub(crate) fn is_of_one_length(&self) -> bool {
        self.trials.first().map(|trial| trial.end) == self.trials.last().map(|trial| trial.end)
    }

    /// Returns the number of time steps of the longest trial.
    pub(crate) fn longest(&self) -> usize {
        self.trials[0].end
    }

    /// Returns the rows of the first `n` trials at time step `t` in a buffer `[time, trial, width]` of `trials` trials, one after
    /// another; they are copied to `copy` unless they stand so.
    #[inline(always)]
    pub(crate) fn gather<'r, E: Element>(
        &self,
        buffer: &'r [E],
        [t, trials, width]: [usize; 3],
        n: usize,
        copy: &'r mut [E],
    ) -> &'r [E] {
        if self.is_adjacent {
            return &buffer[(t * trials + self.trial(0)) * width..][..n * width];
        }
        if width > 0 {
            for (to, trial) in copy.chunks_exact_mut(width).zip(&self.trials[..n]) {
                to.copy_from_slice(&buffer[(t * trials + trial.number) * width..][..width]);
            }
        }
        &copy[..n * width]
    }
}

/// Tiles of a batch.
#[derive(Debug)]
pub(crate) struct Tiles {
    trials: Vec<Trial>,
    size: usize,
}

impl Tiles {
    /// Splits a batch into tiles.
    ///
    /// Large tiles reuse weights more often once they are in a near cache; small ones keep more threads busy. Where the recurrent
    /// weights fill the second-level cache, each time step fetches them from further away, and only a large tile makes up for that; thin
    /// factors never do.
    pub(crate) fn new(shape: &Shape, lengths: Option<TrialLengths<'_>>) -> Self {
        let size = match (shape.full_rows(), shape.trials) {
            (_, ..=32) => 8,
            (..384, ..128) => 16,
            (_, ..128) => 32,
            (..384, _) => 32,
            (_, _) => 64,
        };
        let end = |trial| lengths.map_or(shape.steps, |lengths| lengths.end(trial, shape.steps));
        let trials = (0..shape.trials).map(|number| Trial {
            number,
            end: end(number),
        });
        let mut trials: Vec<Trial> = trials.collect();
        trials.sort_by_key(|trial| std::cmp::Reverse(trial.end));
        Self { trials, size }
    }

    /// Returns the tiles, that with the longest trial first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Tile<'_>> {
        let follows = |pair: &[Trial]| pair[1].number == pair[0].number + 1;
        self.trials.chunks(self.size).map(move |trials| Tile {
            trials,
            is_adjacent: trials.windows(2).all(follows),
        })
    }

    /// Splits a buffer `[time, trial, width]` by tiles; without a buffer every part is `None`.
    pub(crate) fn split<'a, E>(
        &self,
        buffer: Option<&'a mut [E]>,
        width: usize,
    ) -> std::vec::IntoIter<Rows<'a, E>> {
        let Some(buffer) = buffer.filter(|_| width > 0) else {
            let none: Vec<_> = self.iter().map(|_| None).collect();
            return none.into_iter();
        };
        let n_trials = self.trials.len();
        let times = buffer.len() / (n_trials * width);
        let chunk_len = |tile: Tile<'_>| if tile.is_adjacent { tile.len() } else { 1 };
        let rows_of = |tile: Tile<'_>| TileRows::new(times, tile.len() / chunk_len(tile));
        let mut parts: Vec<TileRows<'a, E>> = self.iter().map(rows_of).collect();
        // The chunks of a time by their first trials, each with its length, its tile and its place there.
        let mut chunks = Vec::new();
        for (k, tile) in self.iter().enumerate() {
            let len = chunk_len(tile);
            let firsts = (0..tile.len()).step_by(len).enumerate();
            chunks.extend(firsts.map(|(place, m)| (tile.trial(m), [len * width, k, place])));
        }
        chunks.sort_unstable();
        for (t, mut rows) in buffer.chunks_exact_mut(n_trials * width).enumerate() {
            for &(_, [len, tile, place]) in &chunks {
                let (own, rest) = rows.split_at_mut(len);
                parts[tile].at(t)[place] = own;
                rows = rest;
            }
        }
        let parts: Vec<_> = parts.into_iter().map(Some).collect();
        parts.into_iter()
    }

    /// Splits each variable of a state by tiles.
    pub(crate) fn split_state<'a, E>(
        &self,
        state: UnitState<Option<&'a mut [E]>>,
        shape: &Shape,
    ) -> UnitState<std::vec::IntoIter<Rows<'a, E>>> {
        state
            .zip(UnitState::lens(shape))
            .map(|(buffer, len)| self.split(buffer, len / shape.trials))
    }
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
            steps: 9,
            units,
            ..Shape::default()
        }
    }

    #[test]
    fn tiles_cover_the_batch() {
        for trials in [1, 5, 8, 33, 127, 128, 300] {
            let tiles = Tiles::new(&shape(trials, 100), None);
            let covered = tiles
                .iter()
                .flat_map(|tile| (0..tile.len()).map(move |m| tile.trial(m)));
            assert!(covered.eq(0..trials));
        }
    }

    #[test]
    fn a_batch_of_16_feeds_two_threads() {
        assert_eq!(Tiles::new(&shape(16, 100), None).iter().count(), 2);
    }

    #[test]
    fn split_gives_each_tile_its_rows() {
        let mut buffer: Vec<usize> = (0..20).collect(); // two times, ten trials of one unit: tiles of 8 and 2
        let tiles = Tiles::new(&shape(10, 1), None);
        let mut second = tiles.split(Some(&mut buffer), 1).nth(1).flatten().unwrap();
        assert_eq!(second.at(0), [&[8, 9]]);
        assert_eq!(second.at(1), [&[18, 19]]);
    }

    /// Ten trials of 9 - k / 2 time steps, and one of none: the longest tile first, and those that go on are its first rows.
    #[test]
    fn trials_that_end_early_are_the_last() {
        let steps: Vec<usize> = (0..10).map(|k| (k + 1) % 10).collect();
        let lengths = TrialLengths::new(&steps);
        let tiles = Tiles::new(&shape(10, 1), Some(lengths));
        let [first, second] = tiles.iter().collect::<Vec<_>>()[..] else {
            panic!("two tiles")
        };
        assert_eq!([first.trial(0), first.trial(7), second.trial(1)], [8, 1, 9]);
        assert_eq!([0, 2, 8, 9].map(|t| first.active(t)), [8, 7, 1, 0]);
        assert_eq!([0, 1].map(|t| second.active(t)), [1, 0]);
        let mut buffer: Vec<usize> = (0..10).collect();
        let copied: Vec<f32> = (0..10u8).map(f32::from).collect();
        let mut parts = tiles.split(Some(&mut buffer), 1);
        let mut second_rows = parts.nth(1).flatten().unwrap();
        assert_eq!(second_rows.at(0), [&[0], &[9]]);
        let mut copy = [0.0; 8];
        assert_eq!(first.gather(&copied, [0, 10, 1], 2, &mut copy), [8.0, 7.0]);
    }
}
