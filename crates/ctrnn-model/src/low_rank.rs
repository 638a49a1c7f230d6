//! Recurrent matrices of low rank, `W_rc = F + M N' / n_units`: the table `model.low_rank`.
//!
//! The sweep multiplies by the two factors `[N,R]` and never forms their product. Weight files hold the factors, and the effective
//! matrix for every reader that knows no factors.
//!
//! # References
//! Mastrogiuseppe and Ostojic (2018), "Linking connectivity, dynamics, and computations in low-rank recurrent neural networks";
//! Dubreuil, Valente, Beiran, Mastrogiuseppe and Ostojic (2022), "The role of population structure in computations through neural
//! dynamics".

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Role, words};

/// Recurrent matrix of low rank, `W_rc = F + M N' / n_units` with M and N of R columns: the left and the right factor, whose columns
/// are the vectors m and n of Mastrogiuseppe and Ostojic (2018). A time step costs O(n_units R).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LowRank {
    /// Rank R, the number of columns of each factor; from 1 to `n_units`.
    #[schemars(range(min = 1, max = 16384))]
    pub rank: usize,
    /// Full matrix F to which the product is added, drawn as `model.init.recurrent`. `none`: the product alone. `trained`: F is
    /// trained as well. `fixed`: F stays as drawn, the random part of Mastrogiuseppe and Ostojic (2018).
    pub full: FullMatrix,
    /// Gain g of the full matrix: the factor of what `model.init.recurrent` draws. The entries of a gaussian F have the standard
    /// deviation g / sqrt(n_units), and its spectral radius is about g.
    #[schemars(range(min = 0))]
    pub gain: f64,
    /// Factors that are trained: `left` (M), `right` (N), both or none. The others stay as drawn.
    pub train: Vec<Factor>,
    /// Initial factors.
    pub init: FactorInit,
}

impl Default for LowRank {
    fn default() -> Self {
        Self {
            rank: 1,
            full: FullMatrix::None,
            gain: 1.0,
            train: Factor::ALL.to_vec(),
            init: FactorInit::default(),
        }
    }
}

impl LowRank {
    /// Returns true if there is a full matrix to which the product is added.
    pub fn has_full(&self) -> bool {
        self.full != FullMatrix::None
    }

    /// Returns true if training leaves the parameter with this role as it is drawn.
    pub fn holds(&self, role: Role) -> bool {
        match role {
            Role::RecurrentWeight => self.full == FullMatrix::Fixed,
            Role::RecurrentLeft => !self.train.contains(&Factor::Left),
            Role::RecurrentRight => !self.train.contains(&Factor::Right),
            _ => false,
        }
    }
}

words! {
    /// Full matrix to which the product of the factors is added.
    #[derive(Default)]
    pub enum FullMatrix: "full matrix" {
        /// None: the recurrent matrix is the product.
        #[default]
        None = "none",
        /// A trained one.
        Trained = "trained",
        /// One that stays as it is drawn.
        Fixed = "fixed",
    }
}

words! {
    /// Factor of a recurrent matrix of low rank.
    pub enum Factor: "factor" {
        /// Left factor M `[N,R]`: the directions in which the recurrent input drives the units.
        Left = "left",
        /// Right factor N `[N,R]`: the directions onto which the rates are projected.
        Right = "right",
    }
}

/// Initial factors. Their entries are independent normals, unless overlaps are given: then the drawn vectors have exactly these.
///
/// A vector with given overlaps is a combination of the vectors that it overlaps with, plus a normal vector orthogonal to these;
/// its root mean square is exactly the standard deviation. Overlaps that ask for more than that are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FactorInit {
    /// Standard deviation of the entries of the left factor. 1 in Dubreuil et al. (2022).
    #[schemars(range(min = 0))]
    pub left_std: f64,
    /// Standard deviation of the entries of the right factor.
    #[schemars(range(min = 0))]
    pub right_std: f64,
    /// Overlaps of the factors: row i, column j is `n_j . m_i / n_units`, which for `rank = 1` is the eigenvalue of the product:
    /// `overlap = [[2.0]]`. Absent: those of independent vectors, of order 1 / sqrt(n_units).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Vec<Vec<f64>>>,
    /// Overlaps of the right factor with the drawn input weights: row j, column i is `n_j . w_i / n_units` with column i of `W_in`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_overlap: Option<Vec<Vec<f64>>>,
    /// Overlaps of the left factor with the drawn readout: row j, column o is `w_o . m_j` with row o of `W_out`, the readout of
    /// rates along m_j.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_overlap: Option<Vec<Vec<f64>>>,
}

impl Default for FactorInit {
    fn default() -> Self {
        Self {
            left_std: 1.0,
            right_std: 1.0,
            overlap: None,
            input_overlap: None,
            output_overlap: None,
        }
    }
}
