//! The sweeps as CubeCL kernels, for any CubeCL runtime.
//!
//! A sweep is a handful of launches, and for networks of up to [`RESIDENT_UNITS`] units (up to [`RESIDENT_UNITS_LOW_RANK`] without a
//! full recurrent matrix) the whole time loop is one of them:
//!
//! ```text
//! normals    n(t), xi(t)                         Philox, the same integers as on the CPU
//! drive      e(t) = scale (W_in u(t) + b) + noise
//! forward    r(t+1) from W_rc r(t) + e(t)        one launch for all time steps, or one launch each
//! readout    y = W_out r + b_out                 a product of matrices
//!
//! readout    G_r += W_out' G_y                   a product of matrices
//! backward   g_z(t) from W_rc' g_z(t+1) + G_r    one launch for all time steps, or one launch each
//! weights    g_W = g_z' r                        products over all trials and time steps, split and added in a fixed order: two launches
//! ```
//!
//! Around the sweep, the squared error of the readout and its gradient are at most two launches ([`squared_error`]), the norm of all
//! gradients two ([`norm`]), clipping to it one ([`clipped`]), and the optimizer's update of all parameters one ([`adam`]). A device
//! limits the buffers of a launch: long lists of parameters take more of them.
//!
//! In the time loop a cube of threads takes a few trials (4 or 8) through all time steps: its rates lie in shared
//! memory in two buffers, so that there is one barrier per time step, and potentials in registers. Larger networks do not fit
//! there: a launch per time step then divides units over cubes as well.
//!
//! A recurrent matrix of low rank is two thin products: a time step projects the rates onto the columns of the right factor, a part of
//! the sum for each thread, and adds the columns of the left factor times these projections; backward the factors change places. That
//! takes three barriers per time step. Beyond the resident sizes each cube makes the projections for its own trials.
//!
//! Everything is `f32`. Sums have an order that depends on the shape alone: the same device returns the same bits on every run.
//! Buffers are time-major as on the CPU. Tiles are chosen from the shape and the limits of the device ([`Tile`]).

#![expect(
    unsafe_code,
    reason = "kernels are launched without bounds checks; every index is within by construction"
)]
#![allow(
    clippy::collapsible_if,
    clippy::manual_div_ceil,
    reason = "kernels are written in the part of Rust that CubeCL translates"
)]
#![allow(
    clippy::too_many_arguments,
    reason = "a kernel takes buffers one by one, and what it is made of takes places in them"
)]

mod activation;
mod adam;
mod backward;
mod buffers;
mod clipping;
mod drive;
mod forward;
mod launches;
mod list;
mod normals;
mod parts;
mod product;
mod quad;
mod staging;
mod sums;
mod sweep;
mod tile;

pub use adam::{AdamBuffers, adam};
pub use buffers::{GradientBuffers, Keep, SweepBuffers, TrajectoryBuffers, UpstreamBuffers};
pub use clipping::clipped;
pub use launches::{Launches, launches};
pub use sums::{norm, squared_error, sum_of_squares};
pub use sweep::{backward, forward};
pub use tile::{RESIDENT_UNITS, RESIDENT_UNITS_LOW_RANK, Tile};
