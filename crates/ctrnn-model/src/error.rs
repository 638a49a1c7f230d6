//! Errors in the configuration, the weights and the inputs of a network.

use thiserror::Error;

use crate::Violation;

/// Error in the configuration, the weights or the inputs of a network.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// Broken rules of the configuration, all of them.
    #[error("{}", .0.iter().map(Violation::to_string).collect::<Vec<_>>().join("\n"))]
    Config(Vec<Violation>),
    /// A weight matrix whose spectral radius is zero cannot be scaled to another one.
    #[error(
        "the recurrent matrix has spectral radius 0 and cannot be scaled to {asked}: its weights are zero or its connections form no loop; allow more connections, or leave the weights their natural scale: init.spectral_radius = \"natural\" (None in Rust)"
    )]
    ZeroSpectralRadius {
        /// The spectral radius asked for.
        asked: f64,
    },
    /// The fixed weights alone have a larger spectral radius than the one asked for.
    #[error(
        "the fixed recurrent weights alone leave no scale of the others with spectral radius {asked}; ask for a larger one"
    )]
    FixedSpectralRadius {
        /// The spectral radius asked for.
        asked: f64,
    },
    /// No row has both excitation and inhibition to balance.
    #[error(
        "the recurrent weights cannot be balanced: no unit receives both excitation and inhibition that is trained; init.balance = \"none\" leaves them as drawn"
    )]
    Unbalanced,
    /// The overlaps of a factor of the recurrent matrix ask for longer vectors than its standard deviation allows.
    #[error(
        "column {dimension} of the {factor} factor cannot have the overlaps asked for at a standard deviation of {std}: they need {least} or more"
    )]
    Overlap {
        /// Name of the factor.
        factor: &'static str,
        /// Column, counted from 0.
        dimension: usize,
        /// Standard deviation asked for.
        std: f64,
        /// Least standard deviation of vectors with these overlaps; infinite where no vector has them.
        least: f64,
    },
    /// A tensor given by name has another shape than the network's.
    #[error("{name} has shape {found:?}, but this network needs {expected:?}")]
    Shape {
        /// Name of the tensor.
        name: String,
        /// Shape in this network.
        expected: Vec<usize>,
        /// Shape of the given tensor.
        found: Vec<usize>,
    },
    /// A tensor given by name is not part of the network.
    #[error("{name} is not a tensor of this network; it has {known}")]
    UnknownTensor {
        /// Name of the tensor.
        name: String,
        /// Names of the tensors of this network.
        known: String,
    },
    /// A tensor that the network needs is absent.
    #[error("{name} is missing")]
    MissingTensor {
        /// Name of the tensor.
        name: String,
    },
    /// A tensor holds NaN, an infinity, or a number beyond single precision, in which networks compute.
    #[error(
        "{name} holds {value:e} at flat index {index}, which is not a finite number in single precision"
    )]
    NotFinite {
        /// Name of the tensor.
        name: String,
        /// Flat index of the first such element.
        index: usize,
        /// Value of that element.
        value: f64,
    },
    /// A tensor of a weight file contradicts the configuration.
    #[error("{name} of the weights contradicts the configuration: {reason}")]
    Contradiction {
        /// Name of the tensor.
        name: String,
        /// Explanation of the contradiction.
        reason: String,
    },
    /// The eigenvalue iteration for the spectral radius did not converge.
    #[error("the eigenvalues of the recurrent matrix could not be found: {0}")]
    Eigenvalues(String),
}
