//! Connections of a network, and the rules that its weights obey.
//!
//! The weights that act on the network ("effective") are a function of the trained ones ("raw"), computed once per
//! forward pass; so a rule holds at the start, after every step of any optimizer, in every file and after loading:
//!
//! ```text
//! W[i,j] = m[i,j] g(w[i,j]) + F[i,j]
//! ```
//!
//! `m` is 1 where there is a plastic connection, else 0; `F` holds the values of the connections that are not plastic;
//! `g` is the identity, or a function that gives column j the sign of unit j ([`Parametrization`]).
//!
//! # References
//! Song, Yang and Wang (2016), "Training excitatory-inhibitory recurrent neural networks for cognitive tasks".

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{InputPath, Parameter, words};

/// Dale's law: column j of `W_rc`, all outgoing weights of unit j, has one sign.
///
/// Drawn weights of one sign add up; [`WeightInits`](crate::WeightInits) says how they are balanced and scaled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Dale {
    /// The first `round(excitatory_fraction * n_units)` units are excitatory, the others inhibitory. 0.8 is the ratio of cortex
    /// that Song et al. (2016) use. `signs`, in its place, lists the units one by one; the array `recurrent.sign` of
    /// `model.connectivity.file` takes precedence over it.
    #[schemars(range(min = 0, max = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excitatory_fraction: Option<f64>,
    /// 1 (excitatory) or -1 (inhibitory) for each unit, in place of `excitatory_fraction`: `signs = [1, 1, -1, 1]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signs: Option<Vec<i64>>,
    /// Parametrization of a weight W of sign s by the trained w. `abs`: `W = s |w|` (PsychRNN), with slope s at zero.
    /// `rectify`: `W = s max(w, 0)` (pycog); w below zero gets no gradient, so that a weight that falls silent stays
    /// silent. `square`: `W = s w^2`; must not begin at zero. `clamp`: `W = w`, and after every step a weight of the
    /// wrong sign is set to zero, from where it can come back.
    pub parametrization: Parametrization,
    /// Signs of `W_out`. `signed`: each column has the sign of its unit (Song et al. 2016). `excitatory`: in addition,
    /// inhibitory units do not reach the readout (PsychRNN). `free`: any sign.
    pub readout: ReadoutSigns,
}

impl Default for Dale {
    fn default() -> Self {
        Self {
            excitatory_fraction: Some(Self::EXCITATORY_FRACTION),
            signs: None,
            parametrization: Parametrization::Abs,
            readout: ReadoutSigns::Signed,
        }
    }
}

impl Dale {
    /// Default fraction of excitatory units.
    pub(crate) const EXCITATORY_FRACTION: f64 = 0.8;

    /// Returns the sign, +1 or -1, of each of `n` units.
    pub fn unit_signs(&self, n: usize) -> Vec<f64> {
        if let Some(signs) = &self.signs {
            return signs.iter().map(|&sign| sign as f64).collect();
        }
        let fraction = self
            .excitatory_fraction
            .unwrap_or(Self::EXCITATORY_FRACTION);
        let excitatory = (fraction * n as f64).round() as usize;
        (0..n)
            .map(|unit| if unit < excitatory { 1.0 } else { -1.0 })
            .collect()
    }
}

words! {
    /// Parametrization of a weight W of sign s: `W = s g(w)`, where w is trained.
    #[derive(Default)]
    pub enum Parametrization: "parametrization" {
        /// `W = s |w|`; slope at zero: s, so that a weight leaves zero again (Ehrlich et al. 2021, PsychRNN).
        #[default]
        Abs = "abs",
        /// `W = s max(w, 0)`; slope at zero: s. Below zero the slope is 0: a weight that a step took there stays silent, and
        /// only momentum or weight decay can bring it back (Song et al. 2016, pycog's default).
        Rectify = "rectify",
        /// `W = s w^2`. The slope at zero is 0, so no weight may begin there (NeuroTorch).
        Square = "square",
        /// `W = w`; after every step a weight of the wrong sign is set to zero, where its slope is 1 (nn4n projects too, but
        /// before the next pass, so that what it saves may break the rule).
        Clamp = "clamp",
    }
}

words! {
    /// The signs of the readout under Dale's law.
    #[derive(Default)]
    pub enum ReadoutSigns: "rule for the readout" {
        /// Each column of `W_out` has the sign of its unit (Song et al. 2016).
        #[default]
        Signed = "signed",
        /// Signs as for `signed`, and inhibitory units do not reach the readout (PsychRNN; the tasks of Song et al. 2016).
        Excitatory = "excitatory",
        /// `W_out` may have any sign.
        Free = "free",
    }
}

/// Connections given one by one: the file that holds them, and the arrays once it has been read.
///
/// Arrays are not serialised with the configuration: weight files hold mask, signs and fixed weights.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Connectivity {
    /// A file (npz or safetensors), relative to this file, with any of these arrays `[post, pre]`, for X = `input`,
    /// `recurrent` or `output`. `X.mask`: 1 where a connection exists, else 0. `X.fixed`: weights that are not trained;
    /// where this is not zero it is the weight, `W = C_plastic g(w) + C_fixed` (Song et al. 2016). `X.plasticity`: factor of
    /// every update, at least 0; 0 leaves a weight as it is, whatever the optimizer. Also `recurrent.sign [N]`: +1 or -1
    /// for each unit, where there is `model.dale`; and `recurrent.delay_ms [N,N]`: the delay of each recurrent connection, a
    /// whole multiple of `time.dt_ms`, 0 for none. A connection with delay d contributes what unit j sent d before:
    /// `W_ij r_j(t - d)`, or with short-term plasticity what its synapses transmitted then. Before the trial that is what its initial
    /// state sends, also where that is carried over from another trial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<InputPath>,
    /// Arrays of `W_in [N,I]`.
    #[serde(skip)]
    pub input: Connections,
    /// Arrays of `W_rc [N,N]`.
    #[serde(skip)]
    pub recurrent: Connections,
    /// Arrays of `W_out [O,N]`.
    #[serde(skip)]
    pub output: Connections,
    /// +1 or -1 for each unit, in place of the signs of [`Dale`].
    #[serde(skip)]
    pub signs: Option<Vec<f64>>,
    /// Delay of each connection of `W_rc [N,N]` in ms, row-major: whole multiples of the time step, 0 for none.
    #[serde(skip)]
    pub delay_ms: Option<Vec<f64>>,
}

/// Arrays of one weight matrix `[post, pre]`, row-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Connections {
    /// 1 where a connection exists, 0 elsewhere.
    pub mask: Option<Vec<f64>>,
    /// Weights that are not trained: where this is not zero, it is the weight.
    pub fixed: Option<Vec<f64>>,
    /// Multiplies every update of a weight, whatever the optimizer: at least 0; 0 leaves the weight as it is, to the bit.
    pub plasticity: Option<Vec<f64>>,
    /// Parts of the matrix in which only some of the possible connections exist, drawn from the seed; no two of them share an
    /// entry.
    pub sparse: Vec<SparseBlock>,
}

/// Part of a matrix, some rows and columns of it, of whose possible connections only some exist.
#[derive(Clone, Debug, PartialEq)]
pub struct SparseBlock {
    /// Number of the block, at which its connections are drawn: no other block changes them.
    pub number: u64,
    /// Rows, postsynaptic units.
    pub post: Vec<usize>,
    /// Columns, presynaptic units.
    pub pre: Vec<usize>,
    /// Number of the connections that exist.
    pub share: Share,
}

/// Number of connections of a block that exist.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Share {
    /// A fraction of the possible ones in the whole block.
    Density(f64),
    /// A number for each postsynaptic unit.
    InDegree(usize),
    /// A number for each presynaptic unit.
    OutDegree(usize),
}

/// A weight matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Matrix {
    /// `W_in [N,I]`
    Input,
    /// `W_rc [N,N]`
    Recurrent,
    /// `W_out [O,N]`
    Output,
}

impl Matrix {
    /// Every weight matrix.
    pub const ALL: [Self; 3] = [Self::Input, Self::Recurrent, Self::Output];

    /// Returns its name in configurations, also the part before the dot in weight files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Recurrent => "recurrent",
            Self::Output => "output",
        }
    }

    /// Returns the parameter that is trained for this matrix of the first layer.
    pub const fn parameter(self) -> Parameter {
        match self {
            Self::Input => Parameter::INPUT_WEIGHT,
            Self::Recurrent => Parameter::RECURRENT_WEIGHT,
            Self::Output => Parameter::OUTPUT_WEIGHT,
        }
    }

    /// Returns the matrix of its layer that a parameter is trained for, if there is one.
    pub fn of(parameter: Parameter) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|m| m.parameter().role == parameter.role)
    }

    /// Returns the name of one of its arrays in weight files, such as `recurrent.mask`.
    pub fn array(self, what: &str) -> String {
        format!("{}.{what}", self.name())
    }
}

impl Connectivity {
    /// Returns the connections of a matrix.
    pub fn of(&self, matrix: Matrix) -> &Connections {
        match matrix {
            Matrix::Input => &self.input,
            Matrix::Recurrent => &self.recurrent,
            Matrix::Output => &self.output,
        }
    }

    /// Returns the connections of a matrix, to be changed.
    pub fn of_mut(&mut self, matrix: Matrix) -> &mut Connections {
        match matrix {
            Matrix::Input => &mut self.input,
            Matrix::Recurrent => &mut self.recurrent,
            Matrix::Output => &mut self.output,
        }
    }
}

#[cfg(test)]
mod tests;
