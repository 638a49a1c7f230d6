//! Areas, cell types and projections by name: the tables `[model.areas]` and `[model.projections]`.
//!
//! They describe which units there are and which of them may be connected. [`CtrnnConfig::resolved`](crate::CtrnnConfig::resolved)
//! turns them into signs, time constants, masks, plasticities and
//! delays, which are all that the other parts of the network know; the names stay available as groups of units.

mod groups;
mod pairs;
mod plasticity;
mod resolution;
pub(crate) mod rules;
/// Units of one area and one cell type, which are next to each other.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitGroup {
    /// Name of the area.
    pub area: String,
    /// Name of the cell type; `e` or `i` where an area has no types under Dale's law; absent without either.
    pub cell_type: Option<String>,
    /// Sign of the outgoing weights, under Dale's law.
    pub sign: Option<Sign>,
    /// Time constant in ms, where the area or the cell type has one.
    pub tau_ms: Option<f64>,
    /// Units.
    pub units: Range<usize>,
}

impl UnitGroup {
    /// Returns true if a word is the name of the cell type, or `e` or `i` for its sign.
    pub fn is_of_type(&self, word: &str) -> bool {
        match word {
            "e" => self.sign == Some(Sign::Excitatory),
            "i" => self.sign == Some(Sign::Inhibitory),
            name => self.cell_type.as_deref() == Some(name),
        }
    }
}

/// Returns true if `name` is that of a channel; `*` in it stands for any characters.
fn is_name_of(name: &str, channel: &str) -> bool {
    match name.split_once('*') {
        None => name == channel,
        Some((beginning, ending)) => {
            let rest = channel.strip_prefix(beginning);
            rest.is_some_and(|rest| rest.ends_with(ending))
        }
    }
}

#[cfg(test)]
mod tests;

pub use groups::{UNIT_AREA, UNIT_TYPE};
pub use pairs::{Direction, PairOfAreas};

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Named, words};

/// Units that are next to each other in the network, with the inputs that they receive and the outputs that read them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Area {
    /// Number of units.
    #[schemars(range(min = 1, max = 16384))]
    pub units: usize,
    /// Fraction of excitatory units, which come first; the others are inhibitory. The number of excitatory units is rounded.
    /// Implies `model.dale`, whose `excitatory_fraction` is the default for areas that have neither this nor `types`.
    #[schemars(range(min = 0, max = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excitatory_fraction: Option<f64>,
    /// Cell types, in place of `excitatory_fraction`: `{ pyr = { fraction = 0.8, sign = "excitatory" }, pv = { .. } }`.
    /// Excitatory types come first, otherwise they keep their order; their fractions add up to 1.
    #[serde(default, skip_serializing_if = "Named::is_empty")]
    pub types: Named<CellType>,
    /// Names of the inputs of the task that the units receive; `*` in a name stands for any characters. Absent: all inputs;
    /// `[]`: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Vec<String>>,
    /// True if every output of the task reads the units, or the names of those outputs that do (`*` as in `inputs`). Absent:
    /// true if no area has this key, false otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_out: Option<ReadOut>,
    /// Time constant of the units in ms, in place of `model.tau_ms`.
    #[schemars(extend("exclusiveMinimum" = 0))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tau_ms: Option<f64>,
    /// Factor of every update of the parameters of the units, whatever the optimizer: their incoming weights, input weights, biases,
    /// initial states and learned time constants. It is the learning rate of the area in units of `train.optimizer.lr`, and
    /// multiplies that of a projection. 0 freezes the area, as `train.freeze` does. Absent: 1.
    #[schemars(range(min = 0))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plasticity: Option<f64>,
    /// Number by which areas are put in order, from 0. Absent: the place in the text. Resolved configurations have it, because
    /// tables have no order of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
}

/// Cell type of an area.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CellType {
    /// Fraction of the units of the area; the number of units is rounded.
    #[schemars(range(min = 0, max = 1))]
    pub fraction: f64,
    /// Sign of the outgoing weights, `excitatory` or `inhibitory`; implies `model.dale`. Absent: any sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign: Option<Sign>,
    /// Time constant in ms, in place of that of the area or of `model.tau_ms`.
    #[schemars(extend("exclusiveMinimum" = 0))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tau_ms: Option<f64>,
    /// Number by which types are put in order, from 0. Absent: the place in the text. Resolved configurations have it, because
    /// tables have no order of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
}

words! {
    /// Sign of the outgoing weights of a cell type.
    pub enum Sign: "sign" {
        /// Weights of at least 0.
        Excitatory = "excitatory",
        /// Weights of at most 0.
        Inhibitory = "inhibitory",
    }
}

impl Sign {
    /// Returns +1 or -1.
    pub const fn value(self) -> f64 {
        match self {
            Self::Excitatory => 1.0,
            Self::Inhibitory => -1.0,
        }
    }
}

/// Outputs that read the units of an area.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ReadOut {
    /// All outputs, or none.
    All(bool),
    /// Outputs by name.
    Of(Vec<String>),
}

/// Connections from the units of one area to those of another.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Projection {
    /// Fraction of the possible connections that exist: the nearest whole number of them, drawn from the seed. Absent: all.
    #[schemars(range(min = 0, max = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub density: Option<f64>,
    /// Number of connections onto each postsynaptic unit, drawn from the seed; in place of `density`.
    #[schemars(range(min = 1, max = 16384))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_degree: Option<usize>,
    /// Number of connections from each presynaptic unit, drawn from the seed; in place of `density`.
    #[schemars(range(min = 1, max = 16384))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out_degree: Option<usize>,
    /// Presynaptic units: the name of a cell type, or `e` or `i` for all excitatory or inhibitory ones. Absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Postsynaptic units, as for `from`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Transmission delay in ms. Absent: a rate acts on the next time step.
    #[schemars(range(min = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<f64>,
    /// Factor of every update of the weights, whatever the optimizer: the learning rate of the projection in units of
    /// `train.optimizer.lr`. 0 keeps the weights as they are drawn. Absent: 1.
    #[schemars(range(min = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plasticity: Option<f64>,
}

/// The projection between two areas, or several between different cell types of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Projections {
    /// One projection.
    One(Projection),
    /// Several projections, which share no pair of units.
    Several(Vec<Projection>),
}

impl From<Projection> for Projections {
    fn from(projection: Projection) -> Self {
        Self::One(projection)
    }
}

impl Projections {
    /// Returns the projections.
    pub fn all(&self) -> &[Projection] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(several) => several,
        }
    }
}
