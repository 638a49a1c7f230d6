//! Normals of a sweep, tile by tile.

use ctrnn_random::Key;

use super::tile::Tile;
use crate::instruction_set::KernelPath;
use crate::shape::Shape;
use crate::simd::{Element, Job, NORMALS, Simd, padded};
use crate::sweep::{DrawAddress, NoiseSource};
use crate::workspace::{Scratch, Workspace};

const TIMES: usize = DrawAddress::TIMES;

/// Normals of a tile for four time steps, drawn or copied when a time step is first asked for.
pub(crate) struct Noise<'a, E: Element> {
    path: KernelPath,
    source: NoiseSource<&'a [E]>,
    tile: Tile<'a>,
    units: usize,
    trials: usize,
    steps: usize,
    block: Option<usize>,
    rows: Scratch<'a, E>,
}

impl<'a, E: Element> Noise<'a, E> {
    /// Returns nothing for [`NoiseSource::None`].
    pub(crate) fn new(
        workspace: &'a Workspace<E>,
        source: NoiseSource<&'a [E]>,
        tile: Tile<'a>,
        shape: &Shape,
    ) -> Option<Self> {
        if matches!(source, NoiseSource::None) {
            return None;
        }
        Some(Self {
            path: workspace.path(),
            source,
            tile,
            units: shape.units,
            trials: shape.trials,
            steps: shape.steps,
            block: None,
            rows: workspace.zeros(TIMES * tile.len() * padded(shape.units)),
        })
    }

    /// Returns the normals of time step `t`, a row of [`padded`] units for each trial of the tile.
    pub(crate) fn at(&mut self, t: usize) -> &[E] {
        let block = t / TIMES;
        if self.block != Some(block) {
            self.fill(block);
            self.block = Some(block);
        }
        let length = self.tile.len() * padded(self.units);
        &self.rows[t % TIMES * length..][..length]
    }

    fn fill(&mut self, block: usize) {
        match self.source {
            NoiseSource::None => {}
            NoiseSource::Given(normals) => self.copy(block, normals),
            NoiseSource::Drawn(draws) => {
                let draw = Draw {
                    key: draws.key,
                    first_trial: draws.first_trial,
                    tile: self.tile,
                    n_rows: self.tile.active(block * TIMES),
                    time_block: draws.first_time_block + block as u32,
                    step: draws.step,
                    units: self.units,
                    rows: &mut self.rows,
                };
                E::dispatch(self.path, draw);
            }
        }
    }

    fn copy(&mut self, block: usize, normals: &[E]) {
        let stride = padded(self.units);
        for time in 0..TIMES.min(self.steps - block * TIMES) {
            for m in 0..self.tile.active(block * TIMES) {
                let trial = self.tile.trial(m);
                let from = ((block * TIMES + time) * self.trials + trial) * self.units;
                let to = (time * self.tile.len() + m) * stride;
                self.rows[to..to + self.units].copy_from_slice(&normals[from..from + self.units]);
            }
        }
    }
}

/// Draws the normals of a tile's trials for four time steps. A separate function on every path: inside the sweeps it would cost
/// them registers.
struct Draw<'a, E> {
    key: Key,
    first_trial: u32,
    tile: Tile<'a>,
    /// Number of the tile's trials for which normals are drawn.
    n_rows: usize,
    time_block: u32,
    step: u32,
    units: usize,
    rows: &'a mut [E],
}

impl<E: Element> Job<E> for Draw<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = E>>(self) {
        let stride = padded(self.units);
        let time = self.rows.len() / TIMES;
        for m in 0..self.n_rows {
            let address = [
                self.first_trial.wrapping_add(self.tile.trial(m) as u32),
                self.time_block,
                self.step,
            ];
            for unit in (0..self.units).step_by(NORMALS) {
                let normals = S::unit_normals(self.key, unit as u32, address);
                for (t, normals) in normals.iter().enumerate() {
                    let start = t * time + m * stride + unit;
                    for (place, &normal) in
                        self.rows[start..start + NORMALS].iter_mut().zip(normals)
                    {
                        *place = E::from(normal);
                    }
                }
            }
        }
    }
}
