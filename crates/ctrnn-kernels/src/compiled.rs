//! The sweeps of each element type as functions that are not generic.
//!
//! Generic functions are compiled by every crate that calls them, and these hold all paths and activations: compiled here, they
//! are compiled once, and with the optimisation level of this crate.

use crate::backward::{self, Saved};
use crate::draw;
use crate::forward::{self, Record};
use crate::noise::Draws;
use crate::operands::{Gradients, Upstream};
use crate::shape::Sweep;
use crate::workspace::Workspace;

/// The compiled sweeps of an element type.
pub trait Compiled: Sized {
    /// [`crate::forward()`]
    fn forward(sweep: &Sweep<'_, Self>, record: Record<'_, Self>, workspace: &Workspace<Self>);

    /// [`crate::backward()`]
    fn backward(
        sweep: &Sweep<'_, Self>,
        saved: &Saved<'_, Self>,
        upstream: &Upstream<'_, Self>,
        gradients: Gradients<'_, Self>,
        workspace: &Workspace<Self>,
    );

    /// [`crate::draw_normals()`]
    fn draw_normals(
        draws: Draws,
        sizes: [usize; 3],
        factor: Option<&[Self]>,
        workspace: &Workspace<Self>,
    ) -> Vec<Self>;
}

macro_rules! compiled {
    ($elem:ty) => {
        impl Compiled for $elem {
            fn forward(
                sweep: &Sweep<'_, Self>,
                record: Record<'_, Self>,
                workspace: &Workspace<Self>,
            ) {
                forward::sweep(sweep, record, workspace);
            }

            fn backward(
                sweep: &Sweep<'_, Self>,
                saved: &Saved<'_, Self>,
                upstream: &Upstream<'_, Self>,
                gradients: Gradients<'_, Self>,
                workspace: &Workspace<Self>,
            ) {
                backward::sweep(sweep, saved, upstream, gradients, workspace);
            }

            fn draw_normals(
                draws: Draws,
                sizes: [usize; 3],
                factor: Option<&[Self]>,
                workspace: &Workspace<Self>,
            ) -> Vec<Self> {
                draw::normals(draws, sizes, factor, workspace)
            }
        }
    };
}
compiled!(f32);
compiled!(f64);
