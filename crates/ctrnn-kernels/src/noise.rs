//! Where the standard normals of a sweep come from.

use ctrnn_random::Key;

use crate::simd::{Element, NORMALS, Simd, padded};
use crate::tile::Tile;
use crate::workspace::{Scratch, Workspace};

/// Time steps for which one call of the generator gives a unit its normals.
const TIMES: usize = 4;

/// Standard normals per trial, unit and time step.
#[derive(Clone, Copy, Debug)]
pub enum NoiseSource<'a, E> {
    /// No noise.
    None,
    /// Drawn while the sweep runs, from `ctrnn_random::unit_normals`: the same bits on every path, for any number of threads
    /// and for any batch that a trial is part of.
    Drawn {
        /// Seed, stream and layer.
        key: Key,
        /// The training step.
        step: u32,
        /// The number of the batch's first trial.
        first_trial: u32,
    },
    /// Given as `[T, B, N]`.
    Given(&'a [E]),
}

/// The normals of a tile for four time steps, drawn or copied when a time step is first asked for.
pub(crate) struct Noise<'a, E: Element> {
    source: NoiseSource<'a, E>,
    tile: Tile,
    units: usize,
    trials: usize,
    steps: usize,
    block: Option<usize>,
    rows: Scratch<'a, E>,
}

impl<'a, E: Element> Noise<'a, E> {
    /// Nothing for [`NoiseSource::None`].
    pub(crate) fn new(
        workspace: &'a Workspace<E>,
        source: NoiseSource<'a, E>,
        tile: Tile,
        [steps, trials, units]: [usize; 3],
    ) -> Option<Self> {
        if matches!(source, NoiseSource::None) {
            return None;
        }
        Some(Self {
            source,
            tile,
            units,
            trials,
            steps,
            block: None,
            rows: workspace.zeros(TIMES * tile.trials * padded(units)),
        })
    }

    /// The normals of time step `t`, a row of [`padded`] units for each trial of the tile.
    #[inline(always)]
    pub(crate) fn at<S: Simd<Elem = E>>(&mut self, t: usize) -> &[E] {
        let block = t / TIMES;
        if self.block != Some(block) {
            self.fill::<S>(block);
            self.block = Some(block);
        }
        let length = self.tile.trials * padded(self.units);
        &self.rows[t % TIMES * length..][..length]
    }

    #[inline(always)]
    fn fill<S: Simd<Elem = E>>(&mut self, block: usize) {
        match self.source {
            NoiseSource::None => {}
            NoiseSource::Drawn {
                key,
                step,
                first_trial,
            } => {
                for trial in 0..self.tile.trials {
                    let address = first_trial.wrapping_add((self.tile.first + trial) as u32);
                    self.draw::<S>(key, trial, [address, block as u32, step]);
                }
            }
            NoiseSource::Given(normals) => self.copy(block, normals),
        }
    }

    #[inline(always)]
    fn draw<S: Simd<Elem = E>>(&mut self, key: Key, trial: usize, address: [u32; 3]) {
        let stride = padded(self.units);
        let time = self.tile.trials * stride;
        for unit in (0..self.units).step_by(NORMALS) {
            let normals = S::unit_normals(key, unit as u32, address);
            let places = self.rows[trial * stride + unit..].chunks_mut(time);
            for (places, normals) in places.zip(&normals) {
                for (place, &normal) in places.iter_mut().zip(normals) {
                    *place = E::from(normal);
                }
            }
        }
    }

    fn copy(&mut self, block: usize, normals: &[E]) {
        let stride = padded(self.units);
        for time in 0..TIMES.min(self.steps - block * TIMES) {
            for trial in 0..self.tile.trials {
                let from =
                    ((block * TIMES + time) * self.trials + self.tile.first + trial) * self.units;
                let to = (time * self.tile.trials + trial) * stride;
                self.rows[to..to + self.units].copy_from_slice(&normals[from..from + self.units]);
            }
        }
    }
}
