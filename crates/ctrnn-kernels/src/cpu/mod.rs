//! Sweeps on the CPU, tile by tile.

pub(crate) mod activation;
pub(crate) mod backward;
mod bands;
pub(crate) mod draw;
pub(crate) mod forward;
pub(crate) mod moments;
mod noise;
pub(crate) mod rate_products;
pub(crate) mod rate_terms;
pub(crate) mod recompute;
mod rows;
pub(crate) mod sums;
pub(crate) mod synapses;
mod tile;
