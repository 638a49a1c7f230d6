//! Normals drawn before a sweep: for inputs, and for noise that is correlated between units.

use super::noise::Noise;
use super::rows::{Rows, write_rows};
use super::tile::{Tile, Tiles, for_each};
use crate::operands::assert_len;
use crate::shape::Shape;
use crate::simd::{Element, Job, Packed, Product, Simd, Term, padded};
use crate::sweep::{DrawAddress, NoiseSource};
use crate::workspace::Workspace;

/// Columns of `L n` that are computed together, from the columns of `n` up to their last: two thirds of the whole product at 128
/// units. A multiple of every vector length.
const BLOCK: usize = 48;

/// Implements [`draw_normals`](crate::draw_normals) for every path.
pub(crate) fn draw_normals<E: Element>(
    address: DrawAddress,
    [steps, trials, units]: [usize; 3],
    factor: Option<&[E]>,
    workspace: &Workspace<E>,
) -> Vec<E> {
    if let Some(factor) = factor {
        assert_len("factor", factor, units * units);
    }
    let shape = Shape::of_states([steps, trials, units]);
    let mut numbers = vec![E::default(); steps * trials * units];
    let make = MakeBlocks {
        factor,
        units,
        workspace,
    };
    let blocks = E::dispatch(workspace.path(), make);
    let tiles = Tiles::new(&shape, None);
    let rows = tiles.split(Some(&mut numbers), units);
    let jobs = tiles.iter().zip(rows).map(|(tile, rows)| DrawTile {
        address,
        shape: &shape,
        blocks: &blocks,
        workspace,
        tile,
        rows,
    });
    for_each(jobs.collect(), |job: DrawTile<'_, E>| {
        E::dispatch(workspace.path(), job);
    });
    numbers
}

/// Columns of `L n`: the first, and their part of `L'` as deep as the diagonal reaches.
struct Block<'a, E: Element> {
    first: usize,
    depth: usize,
    factor: Packed<'a, E>,
}

struct MakeBlocks<'a, E: Element> {
    factor: Option<&'a [E]>,
    units: usize,
    workspace: &'a Workspace<E>,
}

impl<'a, E: Element> Job<E> for MakeBlocks<'a, E> {
    /// `None` where no factor multiplies the normals.
    type Output = Option<Vec<Block<'a, E>>>;

    #[inline(always)]
    fn run<S: Simd<Elem = E>>(self) -> Self::Output {
        let (factor, units) = (self.factor?, self.units);
        let block = |first: usize| {
            let depth = units.min(first + BLOCK);
            let entry = |_, col: usize, row: usize| {
                if col <= first + row {
                    factor[(first + row) * units + col]
                } else {
                    E::default()
                }
            };
            Block {
                first,
                depth,
                factor: Packed::new::<S, 1>(self.workspace, [depth], depth - first, entry),
            }
        };
        Some((0..units).step_by(BLOCK).map(block).collect())
    }
}

/// Normals of one tile.
struct DrawTile<'a, E: Element> {
    address: DrawAddress,
    shape: &'a Shape,
    blocks: &'a Option<Vec<Block<'a, E>>>,
    workspace: &'a Workspace<E>,
    tile: Tile<'a>,
    rows: Rows<'a, E>,
}

impl<E: Element> Job<E> for DrawTile<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = E>>(mut self) {
        let Shape { steps, units, .. } = *self.shape;
        let stride = padded(units);
        let source = NoiseSource::Drawn(self.address);
        let Some(mut noise) = Noise::new(self.workspace, source, self.tile, self.shape) else {
            return;
        };
        let start = self.workspace.zeros(BLOCK);
        let mut mixed = self.workspace.zeros(self.tile.len() * stride);
        for t in 0..steps {
            let normals = noise.at(t);
            let Some(blocks) = self.blocks else {
                write_rows::<S>(&mut self.rows, t, normals, units);
                continue;
            };
            for block in blocks {
                S::outlined(Product {
                    weights: &block.factor,
                    start: &start,
                    terms: &[Term {
                        rows: normals,
                        stride,
                        depth: block.depth,
                    }],
                    out: &mut mixed[block.first..],
                    out_stride: stride,
                    n_rows: self.tile.len(),
                });
            }
            write_rows::<S>(&mut self.rows, t, &mixed, units);
        }
    }
}
