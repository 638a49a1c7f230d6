//! The leaky recurrence over time, forward and backward, as arithmetic on slices.

mod activation;
mod backward;
mod forward;
mod noise;
mod shape;
mod simd;
mod tile;
mod workspace;

pub use activation::Activation;
pub use backward::{Gradients, Saved, Upstream, backward};
pub use forward::{Record, forward};
pub use noise::NoiseSource;
pub use shape::{Dynamics, InitialState, NoiseTarget, Shape, Sweep, Weights};
pub use simd::{Element, KernelPath, KernelPathError};
pub use workspace::Workspace;

/// Which variable the leak acts on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// `v' = decay v + gain (W_rc r + W_in u + b) + noise_scale n`, `r = f(v)`.
    #[default]
    Voltage,
    /// `r' = decay r + gain f(z)`, `z = W_rc r + W_in u + b + noise`.
    Rate,
}
