//! The leaky recurrence over time, forward and backward, as arithmetic on slices.

mod activation;

pub use activation::Activation;

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
